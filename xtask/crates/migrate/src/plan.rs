//! The plan of a migration: one value that the dry run prints and the real run applies.
//!
//! It says all that will happen and holds the git tree that it comes to; nothing in it refers to
//! what the work tree looks like later.

use std::collections::BTreeSet;

use serde::Serialize;

use super::preflight::Preflight;
use crate::args::Args;
use compare::ForkChange;
use transaction::list;
use transaction::steps::{Conflict, ConflictStage, PathChange};
use worker_files::references::Dangling;
use worker_files::rewrite::Change;
use xtask_core::git::{Git, Scratch};
use xtask_core::layout::{self, OUTDATED, Shape};
use xtask_core::lock::Lock;
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Oid, RepoPath, TreeEntry, same};

pub struct Planner<'a> {
    pub git: &'a Git,
    pub at: &'a Preflight,
    pub scratch: &'a Scratch,
    pub args: &'a Args,
}

/// The plan, and what it takes to apply it.
pub struct Planned {
    pub plan: Plan,
    pub stages: Vec<ConflictStage>,
    pub entries: Entries,
    /// The lock as it stands in `entries`; with conflicts, as it would stand.
    pub lock: Lock,
}

/// All that a migration does. Its JSON form is documented in docs/migrate.md.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    pub upstream: UpstreamSource,
    /// The commit that the plan starts from.
    pub head: Oid,
    pub before: Oid,
    /// The tree that the plan comes to; the same as `before` where there is nothing to do.
    pub after: Oid,
    pub moves: Vec<Move>,
    pub files: Vec<Arrival>,
    pub rewrites: Vec<Rewrite>,
    pub conflicts: Vec<Conflict>,
    /// Conflicts that were settled by taking upstream's file.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taken: Vec<Conflict>,
    /// What this fork changed itself, where it is known what it started from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own: Option<ForkChanges>,
    /// What still points at a path that moved.
    pub dangling: Vec<Dangling>,
    /// Files that git does not track, in folders that retire; they stay where they are.
    pub local: Vec<RepoPath>,
    pub notes: Vec<String>,
    pub steps: Vec<PathChange>,
}

impl Plan {
    /// One that changes nothing yet.
    pub fn new(at: &Preflight, upstream: UpstreamSource) -> Self {
        Self {
            upstream,
            head: at.head.clone(),
            before: at.head_tree.clone(),
            after: at.head_tree.clone(),
            ..Self::default()
        }
    }

    /// Whether the repository is what the plan comes to already.
    pub fn is_empty(&self) -> bool {
        self.before == self.after && self.conflicts.is_empty()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct UpstreamSource {
    pub address: String,
    pub rev: Option<String>,
    /// The full commit, where the upstream is a git repository.
    pub commit: Option<String>,
    pub shape: Shape,
}

#[derive(Debug, Clone, Serialize)]
pub struct ForkChanges {
    pub base: String,
    /// Whether the base is only the revision that the fork is most like.
    pub guessed: bool,
    /// Whether the changes are merged into the new files.
    pub carried: bool,
    /// The files that are not as they were there.
    pub files: Vec<RepoPath>,
    /// Of carried changes those in files in conflict, each with what the new worker has for it.
    pub changes: Vec<ForkChange>,
}

/// A file whose paths were rewritten on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rewrite {
    pub path: RepoPath,
    /// What was changed, by line of the upstream's file.
    pub changes: Vec<Change>,
    pub diff: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Move {
    pub from: RepoPath,
    pub to: RepoPath,
    pub why: MoveReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveReason {
    /// The modern layout has no such path.
    Retired,
    /// `.runpod/` holds the two Hub files and nothing else.
    NotAHubFile,
    /// Upstream has a file of this name.
    Replaced,
}

/// What becomes of a file that upstream gives, or gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Arrival {
    pub path: RepoPath,
    pub from: RepoPath,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    Added,
    /// Takes the place of a file that moved below `outdated/`.
    Replaces,
    /// Upstream changed it, and it was as upstream gave it.
    Updated,
    /// Changes of both sides are in it.
    Merged,
    /// Both sides changed the same place; see the conflicts.
    Conflict,
    Removed,
    ChangedHere,
    /// Removed here, and not changed upstream since.
    RemovedHere,
    Unchanged,
}

impl What {
    /// Whether the file is in the end as it was.
    pub fn is_unchanged(self) -> bool {
        matches!(
            self,
            Self::ChangedHere | Self::RemovedHere | Self::Unchanged
        )
    }
}

/// Decides what moves when a legacy worker becomes a modern one.
///
/// `ours` is the repository as committed, `incoming` what will lie at which path.
pub fn relocate(ours: &Entries, incoming: &Entries) -> Result<Vec<Move>, UserError> {
    let there = ours.keys().filter(|path| path.is_within(OUTDATED));
    let there: Vec<RepoPath> = there.cloned().collect();
    if !there.is_empty() {
        return Err(UserError::new(
            format!(
                "{OUTDATED}/ is for the retired files, and holds others:\n  {}",
                list(&there)
            ),
            "move them back to where they were, or to another place, and commit that; then run \
             this again",
        ));
    }
    // Folders that upstream's files need; the repository may have many files, upstream has few.
    let needed: BTreeSet<RepoPath> = incoming.keys().flat_map(RepoPath::ancestors).collect();
    let why = |path: &RepoPath, entry: &TreeEntry| {
        if layout::is_retired(path) {
            Some(MoveReason::Retired)
        } else if layout::is_stray_in_runpod(path) {
            Some(MoveReason::NotAHubFile)
        } else if incoming.get(path).is_some_and(|new| !same(new, entry))
            || path.ancestors().any(|above| incoming.contains_key(&above))
            || needed.contains(path)
        {
            Some(MoveReason::Replaced)
        } else {
            None
        }
    };
    let moves = ours.iter().filter_map(|(path, entry)| {
        Some(Move {
            from: path.clone(),
            to: layout::outdated(path),
            why: why(path, entry)?,
        })
    });
    Ok(moves.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::files;

    fn shown(moves: &[Move]) -> Vec<String> {
        moves
            .iter()
            .map(|one| format!("{} => {} ({:?})", one.from, one.to, one.why))
            .collect()
    }

    #[test]
    fn a_legacy_worker_makes_room() {
        let ours = files(&[
            (".runpod/README.md", "1"),
            (".runpod/hub.json", "2"),
            ("Dockerfile", "3"),
            ("README.md", "4"),
            ("builder/setup.sh", "5"),
            ("requirements.txt", "6"),
            ("worker-config.json", "7"),
        ]);
        let incoming = files(&[
            (".runpod/hub.json", "20"),
            ("Dockerfile", "30"),
            ("requirements.txt", "6"),
        ]);
        assert_eq!(
            shown(&relocate(&ours, &incoming).unwrap()),
            [
                ".runpod/README.md => outdated/.runpod/README.md (NotAHubFile)",
                ".runpod/hub.json => outdated/.runpod/hub.json (Replaced)",
                "Dockerfile => outdated/Dockerfile (Replaced)",
                "builder/setup.sh => outdated/builder/setup.sh (Retired)",
                "worker-config.json => outdated/worker-config.json (Retired)",
            ]
        );
    }

    #[test]
    fn files_and_folders_of_one_name_make_room_for_each_other() {
        let ours = files(&[("public", "1"), ("engine.py/x", "2")]);
        let incoming = files(&[("public/banner.png", "3"), ("engine.py", "4")]);
        assert_eq!(
            shown(&relocate(&ours, &incoming).unwrap()),
            [
                "engine.py/x => outdated/engine.py/x (Replaced)",
                "public => outdated/public (Replaced)",
            ]
        );
    }
}
