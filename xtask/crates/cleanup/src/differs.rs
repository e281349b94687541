//! How a tracked file differs from HEAD, and what settles that without losing anything.

use std::path::Path;

use anyhow::Result;

use transaction::files::holds_no_file;
use xtask_core::commands::Commands;
use xtask_core::git::Status;
use xtask_core::layout::OUTDATED;
use xtask_core::output::quoted_path;
use xtask_core::tree::{Entries, Mode, RepoPath};

/// The cases that need different commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Differs {
    Changed,
    /// In conflict, perhaps after `git stash pop`.
    Conflict,
    /// On disk, but staged for deletion.
    Forgotten,
    Gone,
    /// Gone from the work tree; the staged content is in no commit.
    OnlyStaged,
    /// An untracked file is in its place, or in the place of a folder above it; restoring would
    /// overwrite that.
    Replaced(RepoPath),
    /// The same, but staged.
    ReplacedStaged,
    /// The whole folder is staged for deletion, without any check.
    RemovalStaged,
}

/// Joins the entries of the folder into one if all its files are gone in the same way.
pub fn joined(
    found: Vec<(RepoPath, Differs)>,
    head: &Entries,
    index: &Entries,
) -> Vec<(RepoPath, Differs)> {
    let within = |path: &RepoPath| path.is_within(OUTDATED);
    let all = head.keys().filter(|path| within(path)).count();
    let is_all = |how: &Differs| {
        let alike = |(path, differs): &&(RepoPath, Differs)| within(path) && differs == how;
        all > 0 && found.iter().filter(alike).count() == all
    };
    let how = if is_all(&Differs::Forgotten) {
        Differs::Forgotten
    } else if !is_all(&Differs::Gone) {
        return found;
    } else if index.keys().any(within) {
        Differs::Gone
    } else {
        Differs::RemovalStaged
    };
    let rest = found.into_iter().filter(|(path, _)| !within(path));
    std::iter::once((OUTDATED.into(), how))
        .chain(rest)
        .collect()
}

impl Differs {
    /// Classifies a file that `git status` reports.
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
        // A folder without files does not count.
        let replaced = if is_folder && !holds_no_file(&lying)? {
            Some(path.clone())
        } else {
            path.ancestors().find(|folder| {
                let folder = folder.below(top);
                folder.is_symlink() || folder.is_file()
            })
        };
        if let Some(way) = replaced {
            let mut strangers = status.local.iter();
            let stranger = strangers
                .find(|local| **local == way || local.ancestors().any(|above| above == way));
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
        let back = "restore --staged --worktree";
        let (more, settle) = match self {
            Self::Changed => ("", "commit"),
            Self::Conflict => (
                ": it holds a conflict; resolve it, then `git add` it",
                "mergetool",
            ),
            Self::Forgotten => (": it is staged to go, and still there", "restore --staged"),
            Self::Gone => ("", back),
            Self::OnlyStaged => (": it is staged, and not there", "restore"),
            Self::Replaced(stranger) => {
                let why = format!(
                    "differs from HEAD: {stranger}, which git does not track, is in its place"
                );
                let settle = format!("clean -dxi -- {}", quoted_path(stranger));
                return (commands.fit(&why), commands.git(&settle));
            }
            Self::ReplacedStaged => {
                let why = "differs from HEAD: what is in its place is staged";
                return (why.to_owned(), commands.git("commit"));
            }
            Self::RemovalStaged => {
                let why = format!(
                    "its removal is staged already, and nothing was checked for that: bring it \
                     back and this removes it, or keep it so with `{}`",
                    commands.git("commit")
                );
                return (
                    commands.fit(&why),
                    commands.git(&format!("{back} -- {}", quoted_path(path))),
                );
            }
        };
        let settle = commands.git(&format!("{settle} -- {}", quoted_path(path)));
        (commands.fit(&format!("differs from HEAD{more}")), settle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::{Entry, Oid};

    fn entries(paths: &[&str]) -> Entries {
        let entry = Entry::of(Mode::File, Oid("1".into()));
        paths
            .iter()
            .map(|&path| (path.into(), entry.clone()))
            .collect()
    }

    #[test]
    fn a_folder_that_went_as_one_is_told_as_one() {
        let head = entries(&["engine.py", "outdated/a", "outdated/b"]);
        let told = |how: &[(&str, Differs)], index: &[&str]| {
            let found = how.iter().cloned();
            let found = found.map(|(path, how)| (path.into(), how)).collect();
            joined(found, &head, &entries(index))
                .into_iter()
                .map(|(path, how)| format!("{path} {how:?}"))
                .collect::<Vec<_>>()
        };
        let gone = |path| (path, Differs::Gone);
        let changed = ("engine.py", Differs::Changed);
        assert_eq!(
            told(&[changed, gone("outdated/a"), gone("outdated/b")], &[]),
            ["outdated RemovalStaged", "engine.py Changed"]
        );
        let both = [gone("outdated/a"), gone("outdated/b")];
        assert_eq!(told(&both, &["outdated/b"]), ["outdated Gone"]);
        assert_eq!(told(&both[..1], &["outdated/b"]), ["outdated/a Gone"]);
        let forgotten = ["outdated/a", "outdated/b"].map(|path| (path, Differs::Forgotten));
        assert_eq!(told(&forgotten, &[]), ["outdated Forgotten"]);
        let mixed = [gone("outdated/a"), ("outdated/b", Differs::Forgotten)];
        assert_eq!(
            told(&mixed, &[]),
            ["outdated/a Gone", "outdated/b Forgotten"]
        );
    }
}
