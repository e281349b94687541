//! Whether the work tree has room for a plan. A sparse checkout hides paths; files are not written
//! there, since git would remove them.

use anyhow::{Result, bail};

use super::preflight::Preflight;
use transaction::list;
use transaction::steps::{self, PathChange};
use xtask_core::layout::LOCK;
use xtask_core::outcome::UserError;
use xtask_core::tree::{RepoPath, Tree};

/// Refuses steps that the work tree blocks, or that write where a sparse checkout has no files.
pub fn expect_room(at: &Preflight, steps: &[PathChange]) -> Result<()> {
    steps::expect_room(&at.repo, steps, at.ours.entries(), &at.unseen)?;
    if steps.is_empty() || !at.repo.is_sparse()? {
        return Ok(());
    }
    let written = written(steps);
    let (hidden, what) = match at.repo.hidden(&written)? {
        Some(hidden) => (hidden, "the sparse checkout hides what would be written"),
        // What is checked out already is not hidden.
        None => (
            written
                .into_iter()
                .filter(|path| !at.ours.entries().contains_key(path))
                .collect(),
            "this is a sparse checkout, and git before 2.41 can't tell whether it hides what would \
             be written",
        ),
    };
    if hidden.is_empty() {
        return Ok(());
    }
    bail!(UserError::new(
        format!("{what}:\n  {}", list(&hidden)),
        "take these paths into it, or check all out with `git sparse-checkout disable`, then run \
         this again"
    ))
}

/// Every path that the steps put a file at, and the lock's, which may come later.
fn written(steps: &[PathChange]) -> Vec<RepoPath> {
    let mut paths = vec![RepoPath::from(LOCK)];
    paths.extend(steps.iter().filter_map(PathChange::target).cloned());
    paths.sort();
    paths.dedup();
    paths
}
