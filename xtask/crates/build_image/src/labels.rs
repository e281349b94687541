//! The image's labels, as OCI annotations: source and build time.

use std::path::Path;

use anyhow::Result;

use xtask_core::git::{Git, Repo};
use xtask_core::outcome::UsageError;
use xtask_core::tree::RepoPath;

/// The time that a reproducible build sets.
pub const EPOCH: &str = "SOURCE_DATE_EPOCH";

pub const CREATED: &str = "org.opencontainers.image.created";

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceRevision {
    /// The commit of HEAD, if there is one.
    pub revision: Option<String>,
    /// Files of the image that differ from that commit.
    pub changed: Vec<RepoPath>,
    /// The nearest tag, and the distance to it.
    pub version: Option<String>,
    pub source: Option<String>,
}

/// Reads git's state. `matters` says whether a file or folder affects the image.
pub fn origin(root: &Path, matters: impl Fn(&RepoPath) -> bool) -> Result<SourceRevision> {
    let Ok(repo) = Git::find().and_then(|git| Repo::open(&git, root)) else {
        return Ok(SourceRevision::default());
    };
    let absolute = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if absolute(&repo.top) != absolute(root) {
        // The commit of a repository around this folder says nothing about the worker.
        return Ok(SourceRevision::default());
    }
    let Some(head) = repo.commit("HEAD")? else {
        return Ok(SourceRevision::default());
    };
    let status = repo.status()?;
    let mut changed = [status.changed, status.local].concat();
    changed.retain(matters);
    changed.sort();
    changed.dedup();
    let remote = repo.setting("remote.origin.url")?;
    Ok(SourceRevision {
        revision: Some(head.0),
        changed,
        version: repo.git("describe --tags --always").optional_text()?,
        source: remote.and_then(|url| address(&url)),
    })
}

pub fn labels(origin: &SourceRevision, created: i64) -> Vec<(String, String)> {
    let is_clean = origin.changed.is_empty();
    let marked = |text: &str| format!("{text}{}", if is_clean { "" } else { "-dirty" });
    let version = origin.version.as_deref().map(|text| {
        let number = text.strip_prefix('v');
        let number = number.filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        marked(number.unwrap_or(text))
    });
    let labels = [
        ("revision", origin.revision.as_deref().map(marked)),
        ("version", version),
        ("source", origin.source.clone()),
        ("created", Some(timestamp(created))),
    ];
    let named = |(name, value)| Some((format!("org.opencontainers.image.{name}"), value?));
    labels.into_iter().filter_map(named).collect()
}

/// The build time in seconds since 1970: `$SOURCE_DATE_EPOCH`, or now.
pub fn created(epoch: Option<&str>) -> Result<i64, UsageError> {
    let Some(text) = epoch else {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        return Ok(since.map_or(0, |since| since.as_secs().cast_signed()));
    };
    match text.parse() {
        // RFC 3339 ends with the year 9999.
        Ok(seconds @ 0..=253_402_300_799) => Ok(seconds),
        _ => Err(UsageError(format!(
            "{EPOCH} is `{text}`, and has to be a number of seconds since 1970: unset it, or take \
             the time of the commit, `{EPOCH}=$(git log -1 --format=%ct)`"
        ))),
    }
}

/// Seconds since 1970 as RFC 3339 has them, in UTC.
fn timestamp(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Years that begin in March, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3_600,
        rest / 60 % 60,
        rest % 60
    )
}

/// A remote's address as a web page, without credentials; `None` for a local path.
fn address(url: &str) -> Option<String> {
    let (host, path) = match url.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        // `git@host:path`, and no `C:\` or `./a:b`.
        None => {
            let pair = url.split_once(':');
            pair.filter(|(host, _)| host.len() > 1 && !host.contains('/'))?
        }
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    // Drop ssh's port.
    let host = host.split(':').next()?;
    let path = path.split(['?', '#']).next()?.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    (!host.is_empty() && !path.is_empty()).then(|| format!("https://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_becomes_a_label() {
        let origin = SourceRevision {
            revision: Some("abc".to_owned()),
            changed: Vec::new(),
            version: Some("v1.2.3-4-gabc".to_owned()),
            source: Some("https://x/y".to_owned()),
        };
        let said = |origin: &SourceRevision| {
            let labels = labels(origin, 1_000_000_000);
            let short = |(name, value): (String, String)| {
                let name = name
                    .strip_prefix("org.opencontainers.image.")
                    .unwrap()
                    .to_owned();
                format!("{name}={value}")
            };
            labels.into_iter().map(short).collect::<Vec<_>>()
        };
        assert_eq!(
            said(&origin),
            [
                "revision=abc",
                "version=1.2.3-4-gabc",
                "source=https://x/y",
                "created=2001-09-09T01:46:40Z"
            ]
        );
        assert_eq!(
            said(&SourceRevision {
                changed: vec!["handler.py".into()],
                version: Some("vanilla".to_owned()),
                ..origin
            })[..2],
            ["revision=abc-dirty", "version=vanilla-dirty"]
        );
        assert_eq!(
            said(&SourceRevision::default()),
            ["created=2001-09-09T01:46:40Z"]
        );
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(timestamp(seconds), text);
        }
    }

    #[test]
    fn the_epoch_is_honoured_or_told_to_be_wrong() {
        assert_eq!(created(Some("1700000000")).unwrap(), 1_700_000_000);
        assert!(created(None).unwrap() > 1_700_000_000);
        for wrong in ["yesterday", "-1", "1.5", "253402300800", " 1"] {
            let error = created(Some(wrong)).unwrap_err().to_string();
            assert!(error.contains(&format!("`{wrong}`")), "{error}");
        }
    }

    #[test]
    fn an_address_holds_no_secret_and_can_be_opened() {
        let same = "https://github.com/runpod-workers/worker-sglang";
        for url in [
            same,
            "https://me:token@github.com/runpod-workers/worker-sglang.git",
            "git@github.com:runpod-workers/worker-sglang.git",
            "ssh://git@github.com:22/runpod-workers/worker-sglang/",
            "https://token@github.com/runpod-workers/worker-sglang?key=1",
        ] {
            assert_eq!(address(url).as_deref(), Some(same), "{url}");
        }
        for local in [
            "/srv/git/a.git",
            "../a",
            "file:///srv/a",
            "C:\\a",
            "./a:b",
            "",
        ] {
            assert_eq!(address(local), None, "{local}");
        }
    }
}
