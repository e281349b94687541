//! The image's labels, as OCI annotations of its source.

use std::path::Path;

use anyhow::Result;

use xtask_core::git::{Git, Repo};
use xtask_core::tool_repo::same_folder;
use xtask_core::tree::RepoPath;

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
    if !same_folder(&repo.top, root) {
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

pub fn labels(origin: &SourceRevision) -> Vec<(String, String)> {
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
    ];
    let named = |(name, value)| Some((format!("org.opencontainers.image.{name}"), value?));
    labels.into_iter().filter_map(named).collect()
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
            let labels = labels(origin);
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
            ["revision=abc", "version=1.2.3-4-gabc", "source=https://x/y"]
        );
        assert_eq!(
            said(&SourceRevision {
                changed: vec!["handler.py".into()],
                version: Some("vanilla".to_owned()),
                ..origin
            })[..2],
            ["revision=abc-dirty", "version=vanilla-dirty"]
        );
        assert_eq!(said(&SourceRevision::default()), [""; 0]);
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
