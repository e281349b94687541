//! The commit to restore `outdated/` from; a branch or tag keeps it.

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

/// Prefers the last commit that changed the folder, which is most often on the main branch; else
/// HEAD.
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
