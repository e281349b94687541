//! How a tracked file differs from HEAD, and what settles that without losing anything.

use std::path::Path;

use anyhow::Result;

use crate::commands::Commands;
use crate::git::Status;
use crate::output::quoted_path;
use crate::task::migrate::files::holds_no_file;
use crate::tree::{Entries, Mode, RepoPath};

/// How it differs, as far as that decides what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    /// It lies there.
    Changed,
    /// It holds a conflict, of `git stash pop` perhaps.
    Conflict,
    /// It lies there, and git was told to forget it.
    Forgotten,
    /// It is gone.
    Gone,
    /// It is gone from the work tree, and what is staged is in no commit.
    OnlyStaged,
    /// Something that git does not track lies where it was, or where a folder on the way was: git
    /// would write over that to bring the file back.
    Replaced(RepoPath),
    /// The same, and that is staged.
    ReplacedStaged,
}

impl Differs {
    /// Looks at a file that `status` tells as changed.
    pub fn look(
        path: &RepoPath,
        top: &Path,
        status: &Status,
        head: &Entries,
        index: &Entries,
    ) -> Result<Self> {
        if status.unmerged.contains(path) {
            return Ok(Self::Conflict);
        }
        let is_module = index.get(path).is_some_and(|e| e.mode == Mode::Submodule);
        let lying = path.below(top);
        let is_folder = lying.is_dir() && !lying.is_symlink() && !is_module;
        // A folder in its place that holds no file is nobody's.
        let replaced = if is_folder && !holds_no_file(&lying)? {
            Some(path.clone())
        } else {
            path.ancestors().find(|folder| {
                let folder = folder.below(top);
                folder.is_symlink() || folder.is_file()
            })
        };
        if let Some(way) = replaced {
            let stranger = status
                .local
                .iter()
                .find(|local| **local == way || is_below(local, &way));
            return Ok(stranger.map_or(Self::ReplacedStaged, |one| Self::Replaced(one.clone())));
        }
        let is_there = !is_folder && lying.symlink_metadata().is_ok();
        Ok(match (is_there, index.get(path)) {
            (true, None) if head.contains_key(path) => Self::Forgotten,
            (true, _) => Self::Changed,
            (false, Some(staged)) if head.get(path) != Some(staged) => Self::OnlyStaged,
            (false, _) => Self::Gone,
        })
    }

    /// Why the file is in the way, and the command that settles it.
    pub fn settle(&self, path: &RepoPath, commands: &Commands) -> (String, String) {
        let shown = quoted_path(path);
        let why = "differs from HEAD";
        let (why, settle) = match self {
            Self::Changed => (why.to_owned(), format!("commit -- {shown}")),
            Self::Conflict => (
                format!("{why}: it holds a conflict; resolve it, then `git add` it"),
                format!("mergetool -- {shown}"),
            ),
            Self::Forgotten => (
                format!("{why}: it is staged to go, and still there"),
                format!("restore --staged -- {shown}"),
            ),
            Self::Gone => (
                why.to_owned(),
                format!("restore --staged --worktree -- {shown}"),
            ),
            Self::OnlyStaged => (
                format!("{why}: it is staged, and not there"),
                format!("restore -- {shown}"),
            ),
            Self::Replaced(stranger) => (
                format!("{why}: {stranger}, which git does not track, lies in its place"),
                format!("clean -dxi -- {}", quoted_path(stranger)),
            ),
            Self::ReplacedStaged => (
                format!("{why}: what lies in its place is staged"),
                "commit".to_owned(),
            ),
        };
        (why, commands.git(&settle))
    }
}

fn is_below(path: &RepoPath, folder: &RepoPath) -> bool {
    path.ancestors().any(|above| above == *folder)
}
