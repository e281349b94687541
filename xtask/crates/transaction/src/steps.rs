//! The steps from one tree to another, as data: what the plan decides and the journal replays.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use xtask_core::git::{IndexEdit, Scratch};
use xtask_core::tree::{Entries, Oid, RepoPath, Side, TreeEntry, differences, same};

/// One step in the work tree. Moves keep the bytes of the work tree, unfiltered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum PathChange {
    Move {
        from: RepoPath,
        to: RepoPath,
    },
    Remove {
        path: RepoPath,
        old: Side,
    },
    /// A file is put where none was, or in the place of `old`.
    Write {
        path: RepoPath,
        old: Option<Side>,
        new: Side,
    },
}

impl PathChange {
    pub fn target(&self) -> Option<&RepoPath> {
        match self {
            Self::Move { to: path, .. } | Self::Write { path, .. } => Some(path),
            Self::Remove { .. } => None,
        }
    }

    /// The file that is put aside, because it goes or another takes its place.
    pub fn replaced(&self) -> Option<&RepoPath> {
        match self {
            Self::Write { old: None, .. } | Self::Move { .. } => None,
            Self::Write { path, .. } | Self::Remove { path, .. } => Some(path),
        }
    }

    pub fn vacated(&self) -> Option<&RepoPath> {
        match self {
            Self::Move { from, .. } => Some(from),
            step => step.replaced(),
        }
    }
}

/// The steps from `before` to `after`. `moves` says which files of `after` are those of `before`
/// under another name.
pub fn changes_between(
    before: &Entries,
    after: &Entries,
    moves: &[(RepoPath, RepoPath)],
) -> Vec<PathChange> {
    // Only a move if the file leaves its place and arrives unchanged where no file was.
    let holds = |(from, to): &&(RepoPath, RepoPath)| match (before.get(from), after.get(to)) {
        (Some(old), Some(new)) => {
            let stays = after.get(from).is_some_and(|it| same(old, it));
            same(old, new) && !stays && !before.contains_key(to)
        }
        _ => false,
    };
    let moves: Vec<&(RepoPath, RepoPath)> = moves.iter().filter(holds).collect();
    let left: BTreeSet<&RepoPath> = moves.iter().map(|(from, _)| from).collect();
    let reached: BTreeSet<&RepoPath> = moves.iter().map(|(_, to)| to).collect();
    let (mut removes, mut writes) = (Vec::new(), Vec::new());
    for (path, old, new) in differences(before, after) {
        let old = old
            .filter(|_| !left.contains(path))
            .and_then(TreeEntry::side);
        let new = new.filter(|_| !reached.contains(path));
        let path = path.clone();
        match (old, new.and_then(TreeEntry::side)) {
            (old, Some(new)) => writes.push(PathChange::Write { path, old, new }),
            (Some(old), None) => removes.push(PathChange::Remove { path, old }),
            (None, None) => {}
        }
    }
    let moves = moves.into_iter().cloned();
    let moves = moves.map(|(from, to)| PathChange::Move { from, to });
    moves.chain(removes).chain(writes).collect()
}

/// One side of a conflict, for the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConflictStage {
    pub path: RepoPath,
    /// 1 base, 2 ours, 3 upstream.
    pub stage: u8,
    pub side: Side,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub path: RepoPath,
    pub reason: String,
}

/// The tree of `after`, made from what the index stages, which is `before`.
pub fn write_tree(scratch: &Scratch, before: &Entries, after: &Entries) -> Result<Oid> {
    scratch.tree_from_index(&edit_between(before, after)?)
}

/// What differs between two lists of files, removals first.
pub fn edit_between(before: &Entries, after: &Entries) -> Result<IndexEdit> {
    let mut edit = IndexEdit::default();
    let differences = differences(before, after);
    let removed = differences.iter().filter(|(_, _, new)| new.is_none());
    removed.for_each(|(path, _, _)| edit.remove(path));
    for (path, _, new) in differences {
        let Some(new) = new else { continue };
        let file = new.side();
        let file = file.with_context(|| format!("{path} is in no object database"))?;
        edit.put(path, file, 0);
    }
    Ok(edit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::files;

    fn shown(steps: &[PathChange]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                PathChange::Move { from, to } => format!("{from} => {to}"),
                PathChange::Remove { path, .. } => format!("- {path}"),
                PathChange::Write {
                    path, old: None, ..
                } => format!("+ {path}"),
                PathChange::Write { path, .. } => format!("~ {path}"),
            })
            .collect()
    }

    fn moved(paths: &[&str]) -> Vec<(RepoPath, RepoPath)> {
        paths
            .iter()
            .map(|&path| (path.into(), xtask_core::layout::outdated(&path.into())))
            .collect()
    }

    #[test]
    fn files_move_and_a_replaced_one_makes_room() {
        let before = files(&[("Dockerfile", "1"), ("src/a", "2"), ("src/b", "3")]);
        let after = files(&[
            ("Dockerfile", "9"),
            ("outdated/Dockerfile", "1"),
            ("outdated/src/a", "2"),
            ("outdated/src/b", "3"),
        ]);
        let moves = moved(&["Dockerfile", "src/a", "src/b"]);
        let steps = changes_between(&before, &after, &moves);
        assert_eq!(
            shown(&steps),
            [
                "Dockerfile => outdated/Dockerfile",
                "src/a => outdated/src/a",
                "src/b => outdated/src/b",
                "+ Dockerfile"
            ]
        );
    }

    #[test]
    fn equal_trees_need_no_step() {
        let same = files(&[("a", "1"), ("b/c", "2")]);
        assert_eq!(changes_between(&same, &same, &[]), []);
        let less = files(&[("a", "1")]);
        assert_eq!(shown(&changes_between(&same, &less, &[])), ["- b/c"]);
        let other = files(&[("a", "7"), ("b/c", "2")]);
        assert_eq!(shown(&changes_between(&same, &other, &[])), ["~ a"]);
    }
}
