//! From where `outdated/` can be had again: a commit that a branch or a tag keeps.

use anyhow::Result;
use serde::Serialize;

use xtask_core::git::Repo;
use xtask_core::layout::OUTDATED;
use xtask_core::tree::Oid;

/// A commit that has `outdated/` as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restore {
    pub commit: Oid,
    /// The branch or tag that keeps it.
    pub on: String,
}

impl Restore {
    /// The command of git that brings the folder back.
    pub fn command(&self) -> String {
        format!("restore --source={} -- {OUTDATED}", self.commit)
    }
}

/// Finds one: the last that changed anything in the folder, because that is on the main branch
/// most often, whatever becomes of the commits since; else HEAD's.
pub fn restore(repo: &Repo, head: &Oid) -> Result<Option<Restore>> {
    let tree = repo.folder(head, OUTDATED)?;
    let last = repo.last_change(head, OUTDATED)?;
    for commit in last.iter().chain([head]) {
        if tree.is_some()
            && repo.folder(commit, OUTDATED)? == tree
            && let Some(on) = repo.kept_by(commit)?
        {
            let commit = commit.clone();
            return Ok(Some(Restore { commit, on }));
        }
    }
    Ok(None)
}
