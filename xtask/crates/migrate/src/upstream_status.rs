//! Whether an upstream has changed since the lock was written. Uses no network.

use std::path::Path;

use anyhow::Result;

use super::address::{OWN_ADDRESS, UpstreamPlace};
use super::remote::Remote;
use super::trust;
use super::upstream::locate;
use xtask_core::git::{Git, foreign, refuse_option};
use xtask_core::layout::{self, Shape};
use xtask_core::lock::Origin;
use xtask_core::tool_repo;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamStatus {
    UpToDate,
    /// So many commits since then touch the worker's files.
    Behind(usize),
    Unknown(String),
}

/// How the upstream of a lock stands. One that is elsewhere is not asked.
pub fn standing(git: &Git, origin: &Origin, repository: &Path) -> Result<UpstreamStatus> {
    let Some(commit) = &origin.commit else {
        return Ok(unknown("it is a directory without git"));
    };
    if let Some(rev) = &origin.rev {
        refuse_option("revision", rev)?;
        if commit.starts_with(rev.as_str()) && rev.len() == commit.len() {
            return Ok(UpstreamStatus::UpToDate);
        }
    }
    refuse_option("commit", commit)?;
    let place = if origin.address == OWN_ADDRESS {
        UpstreamPlace::Path(tool_repo::repository())
    } else {
        match locate(&origin.address, repository, repository) {
            Ok((_, place)) => place,
            Err(error) => return Ok(unknown(&error.to_string())),
        }
    };
    if let Err(error) = trust::expect(git, &origin.address, &place, repository) {
        return Ok(unknown(&trust::in_short(&error)));
    }
    match place {
        UpstreamPlace::Path(path) if foreign::is_git(&path) => local(git, &path, origin, commit),
        UpstreamPlace::Path(_) => Ok(unknown("it has no git any more")),
        UpstreamPlace::Url(_) => Ok(unknown("it is elsewhere, and was not asked")),
    }
}

fn unknown(why: &str) -> UpstreamStatus {
    UpstreamStatus::Unknown(why.to_owned())
}

/// Counts the commits of a repository on this machine that touch the worker's files.
fn local(git: &Git, path: &Path, origin: &Origin, commit: &str) -> Result<UpstreamStatus> {
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
    let count = remote
        .call()
        .args(["rev-list", "--count", "--end-of-options"])
        .arg(format!("{commit}..{revision}"))
        .arg("--")
        .args(paths)
        .said()?;
    Ok(match count.and_then(|count| count.parse().ok()) {
        Some(0) => UpstreamStatus::UpToDate,
        Some(count) => UpstreamStatus::Behind(count),
        _ => unknown(&format!("{} does not have both revisions", path.display())),
    })
}
