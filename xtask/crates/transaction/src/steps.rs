//! The steps from one tree to another, as data: what the plan decides and the journal replays.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use xtask_core::git::{IndexEdit, Scratch, Unseen};
use xtask_core::tree::{Entries, Entry, Mode, Oid, RepoPath, Side, differences, same};

/// One step in the work tree. Moves keep the bytes that lie there, whatever git would make of
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "kebab-case")]
pub enum Step {
    Move {
        from: RepoPath,
        to: RepoPath,
    },
    /// A file is taken away.
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

/// The steps from `before` to `after`. `moves` says which files of `after` are those of `before`
/// under another name.
pub fn between(before: &Entries, after: &Entries, moves: &[(RepoPath, RepoPath)]) -> Vec<Step> {
    let changes = differences(before, after);
    let change = |path: &RepoPath| {
        let at = changes.binary_search_by(|(other, _, _)| (*other).cmp(path));
        at.ok().map(|at| (changes[at].1, changes[at].2))
    };
    // A move holds only if the file really leaves, and arrives as it was where none was.
    let holds = |(from, to): &&(RepoPath, RepoPath)| match (change(from), change(to)) {
        (Some((Some(old), _)), Some((None, Some(new)))) => same(old, new),
        _ => false,
    };
    let moves: Vec<(RepoPath, RepoPath)> = moves.iter().filter(holds).cloned().collect();
    let left: BTreeSet<&RepoPath> = moves.iter().map(|(from, _)| from).collect();
    let reached: BTreeSet<&RepoPath> = moves.iter().map(|(_, to)| to).collect();
    let steps = moves.iter().cloned();
    let mut steps: Vec<Step> = steps.map(|(from, to)| Step::Move { from, to }).collect();
    let (mut removes, mut writes) = (Vec::new(), Vec::new());
    for (path, old, new) in changes {
        let old = old.filter(|_| !left.contains(path)).and_then(Entry::side);
        let new = new
            .filter(|_| !reached.contains(path))
            .and_then(Entry::side);
        let path = path.clone();
        match (old, new) {
            (old, Some(new)) => writes.push(Step::Write { path, old, new }),
            (Some(old), None) => removes.push(Step::Remove { path, old }),
            (None, None) => {}
        }
    }
    steps.append(&mut removes);
    steps.append(&mut writes);
    steps
}

/// One side of a conflict, for the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    pub path: RepoPath,
    /// 1 base, 2 ours, 3 upstream.
    pub stage: u8,
    pub side: Side,
}

/// A place that a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub path: RepoPath,
    pub reason: String,
}

/// Puts a file into an edit of the index.
pub fn put(edit: &mut IndexEdit, path: &RepoPath, entry: &Entry) -> Result<()> {
    let oid = entry
        .oid
        .as_ref()
        .with_context(|| format!("{path} is in no object database"))?;
    edit.put(path, entry.mode, oid);
    Ok(())
}

/// The tree of `after`, made from what the index stages, which is `before`.
pub fn tree_of(scratch: &Scratch, before: &Entries, after: &Entries) -> Result<Oid> {
    scratch.tree_from_index(&edit_between(before, after)?)
}

/// What differs between two lists of files, removals first.
pub fn edit_between(before: &Entries, after: &Entries) -> Result<IndexEdit> {
    let mut edit = IndexEdit::default();
    let differences = differences(before, after);
    for (path, _, _) in differences.iter().filter(|(_, _, new)| new.is_none()) {
        edit.remove(path);
    }
    for (path, _, new) in &differences {
        if let Some(new) = new {
            put(&mut edit, path, new)?;
        }
    }
    Ok(edit)
}

/// What a step can't be taken for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Obstacle {
    /// In words, with the path.
    pub what: String,
    pub way: Way,
    /// What is in the way.
    pub path: RepoPath,
}

/// How an obstacle is done away with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Git is told to look at the file again.
    LookAgain(Unseen),
    /// A submodule has to go elsewhere.
    TakeOut,
    /// A tracked file has to go elsewhere.
    Rename,
    /// Git does not track it.
    MoveAway,
}

/// What stands in the way of the steps in the work tree at `top`: files that git does not track,
/// links and files where a folder is needed, paths that are not checked out. A line each.
pub fn obstacles(
    steps: &[Step],
    tracked: &Entries,
    unseen: &BTreeMap<RepoPath, Unseen>,
    top: &Path,
) -> Result<Vec<Obstacle>> {
    let mut vacated: BTreeSet<&RepoPath> = BTreeSet::new();
    let mut targets: Vec<&RepoPath> = Vec::new();
    for step in steps {
        match step {
            Step::Move { from, to } => {
                vacated.insert(from);
                targets.push(to);
            }
            Step::Remove { path, .. } => {
                vacated.insert(path);
            }
            Step::Write { path, old, .. } => {
                if old.is_some() {
                    vacated.insert(path);
                }
                targets.push(path);
            }
        }
    }
    let leaves = |path: &RepoPath| vacated.contains(path);
    let mut problems = Vec::new();
    let mut add = |path: &RepoPath, way: Way, what: String| {
        let path = path.clone();
        problems.push(Obstacle { what, way, path });
    };
    for (path, unseen) in unseen.iter().filter(|(path, _)| leaves(path)) {
        let what = match unseen {
            Unseen::Sparse => format!("{path}: is not checked out (skip-worktree)"),
            Unseen::Assumed => format!("{path}: is marked assume-unchanged"),
        };
        add(path, Way::LookAgain(*unseen), what);
    }
    let submodules = tracked
        .iter()
        .filter(|(_, entry)| entry.mode == Mode::Submodule);
    for (path, _) in submodules.filter(|(path, _)| leaves(path)) {
        add(path, Way::TakeOut, format!("{path}: is a submodule"));
    }
    for target in targets {
        let above: Vec<RepoPath> = target.ancestors().collect();
        let blocked = above.iter().rev().find(|above| {
            !leaves(above)
                && above
                    .below(top)
                    .symlink_metadata()
                    .is_ok_and(|metadata| !metadata.is_dir())
        });
        if let Some(above) = blocked {
            let (kind, way) = match tracked.get(above).map(|entry| entry.mode) {
                Some(Mode::Submodule) => ("a submodule", Way::TakeOut),
                Some(_) => ("not a directory", Way::Rename),
                None => ("not a directory, and git does not track it", Way::MoveAway),
            };
            let what = format!("{above}: is {kind}; {target} needs it to be one");
            add(above, way, what);
            continue;
        }
        let submodule = above.iter().find(|above| {
            tracked
                .get(above)
                .is_some_and(|entry| entry.mode == Mode::Submodule)
        });
        if let Some(module) = submodule {
            let what = format!("{target}: lies in the submodule {module}");
            add(module, Way::TakeOut, what);
            continue;
        }
        if leaves(target) {
            continue;
        }
        if let Ok(metadata) = target.below(top).symlink_metadata() {
            if metadata.is_dir() && is_vacated(target, tracked, top, &leaves)? {
                continue;
            }
            let kind = if metadata.is_dir() {
                "a folder"
            } else {
                "a file"
            };
            let what = format!("{target}: {kind} that git does not track is in the way");
            add(target, Way::MoveAway, what);
        }
    }
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// Whether a folder will be empty once all that leaves has left.
fn is_vacated(
    folder: &RepoPath,
    tracked: &Entries,
    top: &Path,
    leaves: &impl Fn(&RepoPath) -> bool,
) -> Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    for item in fs_err::read_dir(folder.below(top))? {
        let item = item?;
        let mut path = folder.as_bytes().to_vec();
        path.push(b'/');
        path.extend_from_slice(item.file_name().as_bytes());
        let path = RepoPath::new(path);
        let fine = if item.file_type()?.is_dir() {
            is_vacated(&path, tracked, top, leaves)?
        } else {
            tracked.contains_key(&path) && leaves(&path)
        };
        if !fine {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::files;

    fn shown(steps: &[Step]) -> Vec<String> {
        steps
            .iter()
            .map(|step| match step {
                Step::Move { from, to } => format!("{from} => {to}"),
                Step::Remove { path, .. } => format!("- {path}"),
                Step::Write {
                    path, old: None, ..
                } => format!("+ {path}"),
                Step::Write { path, .. } => format!("~ {path}"),
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
        let steps = between(&before, &after, &moves);
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
        assert_eq!(between(&same, &same, &[]), []);
        let less = files(&[("a", "1")]);
        assert_eq!(shown(&between(&same, &less, &[])), ["- b/c"]);
        let other = files(&[("a", "7"), ("b/c", "2")]);
        assert_eq!(shown(&between(&same, &other, &[])), ["~ a"]);
    }
}
