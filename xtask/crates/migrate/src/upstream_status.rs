//! Whether an upstream has moved on since the lock was written, for whoever only asks: nothing is
//! fetched, and the network is left alone unless it is asked for.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;

use super::address::Login;
use super::remote::{Remote, scratch_dir};
use super::trust;
use super::upstream::{OWN_ADDRESS, Place, locate};
use xtask_core::git::{Git, foreign, refuse_option};
use xtask_core::layout::{self, Shape};
use xtask_core::lock::Origin;
use xtask_core::process;
use xtask_core::tool_repo;
use xtask_core::tree::Oid;

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    UpToDate,
    /// So many commits since then touch the worker's files.
    Behind(usize),
    /// It is at another commit, of which no more is known.
    Moved(Oid),
    /// Why it isn't known.
    Unknown(String),
}

/// How the upstream of a lock stands. `online` says how long one that is elsewhere may take to
/// answer; without it such a one is not asked.
pub fn standing(
    git: &Git,
    origin: &Origin,
    repository: &Path,
    online: Option<Duration>,
) -> Result<Standing> {
    let Some(commit) = &origin.commit else {
        return Ok(unknown("it is a directory without git"));
    };
    if let Some(rev) = &origin.rev {
        refuse_option("revision", rev)?;
        if commit.starts_with(rev.as_str()) && rev.len() == commit.len() {
            return Ok(Standing::UpToDate);
        }
    }
    refuse_option("commit", commit)?;
    let place = if origin.address == OWN_ADDRESS {
        Place::Path(tool_repo::repository())
    } else {
        match locate(&origin.address, repository, repository) {
            Ok((_, place)) => place,
            Err(error) => return Ok(unknown(&error.to_string())),
        }
    };
    if let Err(error) = trust::expect(git, &origin.address, &place, repository) {
        return Ok(unknown(&trust::in_short(&error)));
    }
    match (place, online) {
        (Place::Path(path), _) if foreign::is_git(&path) => local(git, &path, origin, commit),
        (Place::Path(_), _) => Ok(unknown("it has no git any more")),
        (Place::Url(_), None) => Ok(unknown("it is elsewhere, and was not asked")),
        (Place::Url(url), Some(patience)) => {
            Ok(match ask(git, &url, origin.rev.as_deref(), patience)? {
                Ok(tip) if tip.0 == *commit => Standing::UpToDate,
                Ok(tip) => Standing::Moved(tip),
                Err(why) => unknown(&why),
            })
        }
    }
}

fn unknown(why: &str) -> Standing {
    Standing::Unknown(why.to_owned())
}

/// Counts the commits of a repository on this machine that touch the worker's files.
fn local(git: &Git, path: &Path, origin: &Origin, commit: &str) -> Result<Standing> {
    let revision = origin.rev.as_deref().unwrap_or("HEAD");
    let mut paths: Vec<String> = origin
        .files
        .values()
        .filter_map(|file| file.from.as_str())
        .map(|from| format!(":(top,literal){from}"))
        .collect();
    // Files that are new there.
    let folders: &[&str] = match origin.shape {
        Shape::Runpod => &[layout::RUNPOD],
        Shape::Root => layout::CORE_OPTIONAL,
    };
    paths.extend(
        folders
            .iter()
            .map(|folder| format!(":(top,literal){folder}")),
    );
    let remote = match Remote::open(git, path) {
        Ok(remote) => remote,
        Err(error) => return Ok(unknown(&error.to_string())),
    };
    let answer = remote
        .call()
        .args(["rev-list", "--count", "--end-of-options"])
        .arg(format!("{commit}..{revision}"))
        .arg("--")
        .args(paths)
        .finish()?;
    let count = String::from_utf8_lossy(&answer.stdout).trim().parse();
    Ok(match count {
        Ok(0) if answer.ok => Standing::UpToDate,
        Ok(count) if answer.ok => Standing::Behind(count),
        _ => unknown(&format!("{} does not have both revisions", path.display())),
    })
}

/// Asks a repository elsewhere where a revision is now.
fn ask(
    git: &Git,
    url: &str,
    revision: Option<&str>,
    patience: Duration,
) -> Result<Result<Oid, String>> {
    let revision = revision.unwrap_or("HEAD");
    let nowhere = scratch_dir()?;
    foreign::make_git_dir(nowhere.path(), "sha1")?;
    let login = Login::of(url);
    let call = login
        .call(foreign::call(git, nowhere.path()))
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["ls-remote", "--", &login.url, revision]);
    let mut child = call.spawn()?;
    let reader = child.stdout.take().map(|mut stdout| {
        std::thread::spawn(move || {
            let mut text = String::new();
            std::io::Read::read_to_string(&mut stdout, &mut text).map(|_| text)
        })
    });
    let Some(status) = process::wait(&mut child, patience)? else {
        return Ok(Err(format!(
            "it did not answer in {} s",
            patience.as_secs()
        )));
    };
    let text = match reader.map(std::thread::JoinHandle::join) {
        Some(Ok(Ok(text))) if status.success() => text,
        _ => return Ok(Err("it could not be reached".to_owned())),
    };
    Ok(tip(&text, revision).ok_or_else(|| format!("it has no {revision} any more")))
}

/// The commit that a revision names in the answer of `git ls-remote`.
fn tip(text: &str, revision: &str) -> Option<Oid> {
    let named: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .collect();
    // A tag with a message of its own is followed to its commit.
    let candidates = [
        format!("refs/tags/{revision}^{{}}"),
        format!("{revision}^{{}}"),
        revision.to_owned(),
        format!("refs/heads/{revision}"),
        format!("refs/tags/{revision}"),
    ];
    candidates.iter().find_map(|name| {
        let (oid, _) = named.iter().find(|(_, found)| found == name)?;
        Some(Oid((*oid).to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_found_under_its_full_name() {
        let text = "aa\tHEAD\nbb\trefs/heads/main\ncc\trefs/heads/other/main\n\
                    dd\trefs/tags/v1\nee\trefs/tags/v1^{}\nff\trefs/pull/1/head\n";
        let of = |revision| tip(text, revision).map(|oid| oid.0);
        assert_eq!(of("HEAD").as_deref(), Some("aa"));
        assert_eq!(of("main").as_deref(), Some("bb"));
        assert_eq!(of("v1").as_deref(), Some("ee"));
        assert_eq!(of("refs/pull/1/head").as_deref(), Some("ff"));
        assert_eq!(of("gone"), None);
    }
}
