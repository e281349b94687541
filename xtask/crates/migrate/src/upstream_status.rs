//! Whether an upstream has changed since the lock was written. Uses no network.

use std::path::Path;

use super::address::{OWN_ADDRESS, UpstreamPlace};
use super::remote::Remote;
use super::trust;
use super::upstream::locate;
use xtask_core::git::{Git, foreign, refuse_option};
use xtask_core::layout::{self, Shape};
use xtask_core::lock::Origin;
use xtask_core::tool_repo;

/// How many commits that touch the worker's files the upstream of a lock has had since then; or why
/// that is not known. One that is elsewhere is not asked.
pub fn behind(git: &Git, origin: &Origin, repository: &Path) -> Result<usize, String> {
    let told = |error: anyhow::Error| error.to_string();
    let Some(commit) = &origin.commit else {
        return Err("it is a directory without git".to_owned());
    };
    // What the lock says may be no revision at all.
    if let Some(rev) = &origin.rev {
        refuse_option("revision", rev).map_err(told)?;
        if commit == rev {
            return Ok(0);
        }
    }
    refuse_option("commit", commit).map_err(told)?;
    let place = if origin.address == OWN_ADDRESS {
        UpstreamPlace::Path(tool_repo::repository())
    } else {
        let located = locate(&origin.address, repository, repository);
        located.map_err(told)?.1
    };
    trust::expect(git, &origin.address, &place, repository)
        .map_err(|error| trust::in_short(&error))?;
    match place {
        UpstreamPlace::Path(path) if foreign::is_git(&path) => local(git, &path, origin, commit),
        UpstreamPlace::Path(_) => Err("it has no git any more".to_owned()),
        UpstreamPlace::Url(_) => Err("it is elsewhere, and was not asked".to_owned()),
    }
}

/// Counts the commits of a repository on this machine that touch the worker's files.
fn local(git: &Git, path: &Path, origin: &Origin, commit: &str) -> Result<usize, String> {
    let revision = origin.rev.as_deref().unwrap_or("HEAD");
    // Files that are new there lie in these.
    let folders: &[&str] = match origin.shape {
        Shape::Runpod => &[layout::RUNPOD],
        Shape::Root => layout::CORE_OPTIONAL,
    };
    let files = origin.files.values();
    let files = files.filter_map(|file| file.from.as_str());
    let paths = files.chain(folders.iter().copied());
    let paths = paths.map(|path| format!(":(top,literal){path}"));
    let remote = Remote::open(git, path).map_err(|error| error.to_string())?;
    let count = remote
        .call()
        .args(["rev-list", "--count", "--end-of-options"])
        .arg(format!("{commit}..{revision}"))
        .arg("--")
        .args(paths)
        .said()
        .map_err(|error| error.to_string())?;
    let count = count.and_then(|count| count.parse().ok());
    count.ok_or_else(|| format!("{} does not have both revisions", path.display()))
}
