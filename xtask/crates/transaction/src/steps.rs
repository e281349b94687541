//! The steps from one tree to another, as data: what the plan decides and the journal replays.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use xtask_core::git::{IndexEdit, Repo, Scratch, Unseen};
use xtask_core::outcome::UserError;
use xtask_core::output::{quoted_file, quoted_path};
use xtask_core::tree::{Entries, Mode, Oid, RepoPath, Side, TreeEntry, differences, same};

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

    /// The file that leaves its place.
    pub fn vacated(&self) -> Option<&RepoPath> {
        match self {
            Self::Move { from, .. } => Some(from),
            step => step.replaced(),
        }
    }

    pub fn touches(&self, path: &RepoPath) -> bool {
        self.target() == Some(path) || self.vacated() == Some(path)
    }
}

/// The steps from `before` to `after`. `moves` says which files of `after` are those of `before`
/// under another name.
pub fn between(
    before: &Entries,
    after: &Entries,
    moves: &[(RepoPath, RepoPath)],
) -> Vec<PathChange> {
    // A move holds only if the file really leaves, and arrives as it was where none was.
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

/// A place that a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub path: RepoPath,
    pub reason: String,
}

pub fn put(edit: &mut IndexEdit, path: &RepoPath, entry: &TreeEntry) -> Result<()> {
    let oid = entry.oid.as_ref();
    let oid = oid.with_context(|| format!("{path} is in no object database"))?;
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
    let removed = differences.iter().filter(|(_, _, new)| new.is_none());
    removed.for_each(|(path, _, _)| edit.remove(path));
    for (path, _, new) in &differences {
        if let Some(new) = new {
            put(&mut edit, path, new)?;
        }
    }
    Ok(edit)
}

/// Refuses steps that the work tree blocks: files that git does not track, links and files where a
/// folder is needed, paths that are not checked out. Names each, and what to do about it.
pub fn expect_room(
    repo: &Repo,
    steps: &[PathChange],
    tracked: &Entries,
    unseen: &BTreeMap<RepoPath, Unseen>,
) -> Result<()> {
    let ground = Ground {
        vacated: steps.iter().filter_map(PathChange::vacated).collect(),
        tracked,
        top: &repo.top,
    };
    let mut found: BTreeSet<InTheWay> = BTreeSet::new();
    for &path in &ground.vacated {
        if let Some(unseen) = unseen.get(path) {
            let what = match unseen {
                Unseen::Sparse => "is not checked out (skip-worktree)",
                Unseen::Assumed => "is marked assume-unchanged",
            };
            let way = if *unseen == Unseen::Sparse && repo.is_sparse()? {
                "check everything out with `git sparse-checkout disable`".to_owned()
            } else {
                let mark = unseen.mark();
                format!("have git look again with `git update-index --no-{mark} PATHS`")
            };
            found.insert((format!("{path}: {what}"), way, quoted_file(path)));
        }
        if ground.mode(path) == Some(Mode::Submodule) {
            let what = format!("{path}: is a submodule");
            found.insert((what, TAKE_OUT.to_owned(), quoted_path(path)));
        }
    }
    for target in steps.iter().filter_map(PathChange::target) {
        let blocked = ground.in_the_way(target)?;
        found.extend(blocked.map(|(what, way, path)| (what, way.to_owned(), path)));
    }
    if found.is_empty() {
        return Ok(());
    }
    let mut whats = Vec::new();
    let mut by_way: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (what, way, path) in found {
        whats.push(what);
        let paths = by_way.entry(way).or_default();
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let typed = by_way.iter();
    let typed = typed.map(|(way, paths)| way.replace("PATHS", &paths.join(" ")));
    bail!(UserError::new(
        format!("these paths can't be written:\n  {}", whats.join("\n  ")),
        format!(
            "{}, then run this again",
            typed.collect::<Vec<_>>().join("; ")
        )
    ))
}

/// What is in the way in words, what to do about it with `PATHS` in it, and the path for that.
type InTheWay = (String, String, String);

const TAKE_OUT: &str = "take the submodule out with `git rm -- PATHS`, or move it with `git mv`, \
                        and commit that";
const MOVE_AWAY: &str = "move what git does not track out of the way";

struct Ground<'a> {
    vacated: BTreeSet<&'a RepoPath>,
    tracked: &'a Entries,
    top: &'a Path,
}

impl Ground<'_> {
    fn mode(&self, path: &RepoPath) -> Option<Mode> {
        self.tracked.get(path).map(|entry| entry.mode)
    }

    /// What keeps a file from being put at `target`, and what to do about it.
    fn in_the_way(&self, target: &RepoPath) -> Result<Option<(String, &str, String)>> {
        let above: Vec<RepoPath> = target.ancestors().collect();
        let blocks = |above: &&RepoPath| {
            let metadata = above.below(self.top).symlink_metadata();
            !self.vacated.contains(above) && metadata.is_ok_and(|metadata| !metadata.is_dir())
        };
        if let Some(above) = above.iter().rev().find(blocks) {
            let (kind, way) = match self.mode(above) {
                Some(Mode::Submodule) => ("a submodule", TAKE_OUT),
                Some(_) => (
                    "not a directory",
                    "give PATHS another name with `git mv`, and commit that",
                ),
                None => ("not a directory, and git does not track it", MOVE_AWAY),
            };
            let what = format!("{above}: is {kind}; {target} needs it to be one");
            return Ok(Some((what, way, quoted_file(above))));
        }
        let is_module = |above: &RepoPath| self.mode(above) == Some(Mode::Submodule);
        if let Some(module) = above.into_iter().find(is_module) {
            let what = format!("{target}: is in the submodule {module}");
            return Ok(Some((what, TAKE_OUT, quoted_path(&module))));
        }
        let Ok(metadata) = target.below(self.top).symlink_metadata() else {
            return Ok(None);
        };
        if self.vacated.contains(target) || metadata.is_dir() && self.is_vacated(target)? {
            return Ok(None);
        }
        let kind = if metadata.is_dir() {
            "a folder"
        } else {
            "a file"
        };
        let what = format!("{target}: {kind} that git does not track is in the way");
        Ok(Some((what, MOVE_AWAY, quoted_file(target))))
    }

    /// Whether a folder will be empty once all that leaves has left.
    fn is_vacated(&self, folder: &RepoPath) -> Result<bool> {
        for item in fs_err::read_dir(folder.below(self.top))? {
            let item = item?;
            let name = item.file_name();
            let path = RepoPath::new([folder.as_bytes(), b"/", name.as_bytes()].concat());
            let fine = if item.file_type()?.is_dir() {
                self.is_vacated(&path)?
            } else {
                self.tracked.contains_key(&path) && self.vacated.contains(&path)
            };
            if !fine {
                return Ok(false);
            }
        }
        Ok(true)
    }
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
