//! The plan of a migration: one value that the dry run prints and the real run applies.
//!
//! `relocate` decides what has no place in the modern layout; `build` merges what upstream gives
//! into it, as a git tree. Neither touches the work tree, the index or a ref.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::incoming::{Bundle, Incoming};
use super::lock::{Lock, LockedFile, Origin};
use super::steps::Side;
use crate::git::{IndexEdit, Repo, Scratch};
use crate::layout::{self, LOCK, OUTDATED};
use crate::outcome::Refusal;
use crate::tree::{Entries, Entry, Oid, RepoPath};

/// A file of the repository that changes its place.
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
    /// The path in the upstream's repository.
    pub from: RepoPath,
    pub what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Was not here before.
    Added,
    /// Takes the place of a file that moved below `outdated/`.
    Replaces,
    /// Upstream changed it, and it was as upstream gave it.
    Updated,
    /// Changes of both sides are in it.
    Merged,
    /// Both sides changed the same place; see the conflicts.
    Conflict,
    /// Upstream removed it.
    Removed,
    /// Changed here only.
    ChangedHere,
    /// Removed here, and not changed upstream since.
    RemovedHere,
    /// As it was.
    Unchanged,
}

/// A place that a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    pub path: RepoPath,
    pub reason: String,
}

/// One side of a conflict, for the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    pub path: RepoPath,
    /// 1 base, 2 ours, 3 upstream.
    pub stage: u8,
    pub side: Side,
}

/// A merged result as a git tree.
#[derive(Debug)]
pub struct Built {
    pub after: Oid,
    pub entries: Entries,
    pub arrivals: Vec<Arrival>,
    pub conflicts: Vec<Conflict>,
    pub stages: Vec<Stage>,
    /// The lock as it stands in `after`; with conflicts, as it would stand.
    pub lock: Lock,
}

/// Decides what moves when a legacy worker becomes a modern one.
///
/// `ours` is the repository as committed, `incoming` what will lie at which path.
pub fn relocate(
    ours: &Entries,
    incoming: &Entries,
    first: bool,
) -> Result<Vec<Move>, Vec<String>> {
    let mut moves = Vec::new();
    let mut problems = Vec::new();
    let arrives_below = |path: &RepoPath| {
        incoming
            .keys()
            .any(|arrival| arrival.ancestors().any(|above| above == *path))
    };
    for (path, entry) in ours {
        let why = if path.is_within(OUTDATED) {
            continue;
        } else if first && layout::is_retired(path) {
            MoveReason::Retired
        } else if layout::is_stray_in_runpod(path) {
            MoveReason::NotAHubFile
        } else if first
            && (incoming.get(path).is_some_and(|new| !same(new, entry))
                || path.ancestors().any(|above| incoming.contains_key(&above))
                || arrives_below(path))
        {
            MoveReason::Replaced
        } else {
            continue;
        };
        let to = layout::outdated(path);
        match ours.get(&to) {
            Some(there) if !same(there, entry) => problems.push(format!(
                "{to}: is there already, with other content than {path}"
            )),
            _ => moves.push(Move {
                from: path.clone(),
                to,
                why,
            }),
        }
    }
    if first {
        let planned: std::collections::BTreeSet<&RepoPath> =
            moves.iter().map(|planned| &planned.to).collect();
        for path in ours.keys() {
            if path.is_within(OUTDATED) && !planned.contains(path) {
                let taken = problems
                    .iter()
                    .any(|problem| problem.starts_with(&format!("{path}:")));
                if !taken {
                    problems.push(format!("{path}: is there already"));
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(moves)
    } else {
        Err(problems)
    }
}

fn same(one: &Entry, other: &Entry) -> bool {
    one.mode == other.mode && one.oid == other.oid
}

/// Upstream's files as git objects: the tree side of a merge, and their line in the lock.
#[derive(Debug, Default)]
pub struct Stored {
    pub entries: Entries,
    pub locked: BTreeMap<RepoPath, LockedFile>,
}

/// Stores what came in the object database, raw and rendered.
pub fn store(scratch: &Scratch, bundle: &Bundle) -> Result<Stored> {
    let contents = bundle.files.values().flat_map(|incoming| {
        let rendered = (incoming.rendered != incoming.given).then_some(&incoming.rendered[..]);
        std::iter::once(&incoming.given[..]).chain(rendered)
    });
    let mut oids = scratch.blobs(contents)?.into_iter();
    let mut stored = Stored::default();
    for (path, incoming) in &bundle.files {
        let mut next = || oids.next().context("git stored fewer files than it was given");
        let given = next()?;
        let rendered = if incoming.rendered == incoming.given {
            None
        } else {
            Some(next()?)
        };
        let entry = Entry {
            mode: incoming.mode,
            size: None,
            oid: Some(rendered.clone().unwrap_or_else(|| given.clone())),
        };
        stored.entries.insert(path.clone(), entry);
        stored.locked.insert(path.clone(), locked(incoming, given, rendered));
    }
    Ok(stored)
}

fn locked(incoming: &Incoming, given: Oid, rendered: Option<Oid>) -> LockedFile {
    LockedFile {
        from: incoming.from.clone(),
        mode: incoming.mode,
        given,
        rendered,
        written: None,
        removed: false,
    }
}

/// What a migration is built from. All trees are by path in the modern layout.
pub struct Sides<'a> {
    /// The repository as committed, before anything moves.
    pub before: &'a Entries,
    pub before_tree: &'a Oid,
    pub moves: &'a [Move],
    /// What upstream gave last time, or the legacy files that a fork started from.
    pub base: &'a Entries,
    /// What upstream gives now.
    pub theirs: &'a Entries,
    /// Where a fork's changes to legacy files belong: pairs of old and new path.
    pub carried: &'a [(RepoPath, RepoPath)],
    /// Conflicts that are known before the merge: changed, and without a counterpart.
    pub orphans: &'a [(Conflict, Vec<Stage>)],
    /// Whether renames are looked for (they are known beforehand when a fork is carried).
    pub renames: bool,
    pub upstream: Origin,
    pub tool: Option<Origin>,
}

/// Merges the sides into one tree.
pub fn build(repo: &Repo, scratch: &Scratch, sides: Sides) -> Result<Built> {
    let mut moved = sides.before.clone();
    let mut parked = Entries::new();
    for planned in sides.moves {
        if let Some(entry) = moved.remove(&planned.from) {
            parked.insert(planned.to.clone(), entry);
        }
    }
    for path in sides.before.keys().filter(|path| path.is_within(OUTDATED)) {
        if let Some(entry) = moved.remove(path) {
            parked.insert(path.clone(), entry);
        }
    }
    moved.remove(&RepoPath::from(LOCK));
    // A carried file takes part in the merge under its new name, besides being kept as it was.
    for (from, to) in sides.carried {
        if let Some(entry) = sides.before.get(from) {
            moved.insert(to.clone(), entry.clone());
        }
    }
    let (mut entries, mut conflicts, mut stages) = if sides.base.is_empty() && sides.carried.is_empty()
    {
        merge_added(&moved, sides.theirs)?
    } else {
        merge_changed(repo, scratch, &sides, &moved)?
    };
    for (conflict, sides) in sides.orphans {
        conflicts.push(conflict.clone());
        stages.extend(sides.iter().cloned());
        if let Some(ours) = sides.iter().find(|stage| stage.stage == 2) {
            entries.insert(ours.path.clone(), entry_of(&ours.side));
        }
    }
    let arrivals = arrivals(&sides, &moved, &entries, &conflicts);
    let (mut upstream, mut tool) = (sides.upstream, sides.tool);
    record(&mut upstream, &entries);
    if let Some(tool) = &mut tool {
        record(tool, &entries);
    }
    let lock = Lock::new(upstream, tool);
    entries.append(&mut parked);
    let after = if conflicts.is_empty() {
        let oid = scratch
            .blobs([lock.to_bytes()?.as_slice()])?
            .pop()
            .context("git stored no lock")?;
        entries.insert(LOCK.into(), file_entry(oid));
        tree_of(scratch, sides.before_tree, sides.before, &entries)?
    } else {
        if let Some(lock) = sides.before.get(&RepoPath::from(LOCK)) {
            entries.insert(LOCK.into(), lock.clone());
        }
        tree_of(scratch, sides.before_tree, sides.before, &entries)?
    };
    Ok(Built {
        after,
        entries,
        arrivals,
        conflicts,
        stages,
        lock,
    })
}

type Merge = (Entries, Vec<Conflict>, Vec<Stage>);

/// Without a base: upstream's files are all new, and nothing lies where they go.
fn merge_added(ours: &Entries, theirs: &Entries) -> Result<Merge> {
    let mut entries = ours.clone();
    for (path, entry) in theirs {
        if let Some(there) = entries.insert(path.clone(), entry.clone()) {
            if !same(&there, entry) {
                bail!("{path} was to make room for upstream's file and did not");
            }
        }
    }
    Ok((entries, Vec::new(), Vec::new()))
}

/// A three-way merge by git.
fn merge_changed(repo: &Repo, scratch: &Scratch, sides: &Sides, ours: &Entries) -> Result<Merge> {
    let build = |entries| {
        let mut edit = IndexEdit::default();
        put_all(&mut edit, entries)?;
        scratch.tree(None, &edit)
    };
    let ours = tree_of(scratch, sides.before_tree, sides.before, ours)?;
    let merged = scratch.merge(&build(sides.base)?, &ours, &build(sides.theirs)?, sides.renames)?;
    let entries = repo.entries(&merged.tree)?;
    let stages: Vec<Stage> = merged
        .stages
        .into_iter()
        .filter_map(|(path, stage, entry)| {
            let side = Side {
                mode: entry.mode,
                oid: entry.oid?,
            };
            Some(Stage { path, stage, side })
        })
        .collect();
    let mut conflicts: BTreeMap<RepoPath, String> = BTreeMap::new();
    for stage in &stages {
        conflicts.entry(stage.path.clone()).or_insert_with(|| {
            reason(
                stages
                    .iter()
                    .filter(|other| other.path == stage.path)
                    .map(|other| other.stage),
            )
            .to_owned()
        });
    }
    // What has no sides in the index (a renamed folder, a file against a folder) is told by git's
    // words alone.
    for (paths, kind, message) in merged.messages {
        if kind.starts_with("CONFLICT") && !paths.iter().any(|path| conflicts.contains_key(path)) {
            if let Some(path) = paths.first() {
                conflicts.insert(path.clone(), message);
            }
        }
    }
    let conflicts = conflicts
        .into_iter()
        .map(|(path, reason)| Conflict { path, reason })
        .collect();
    Ok((entries, conflicts, stages))
}

/// Why a path is a conflict, by which sides have it.
fn reason(stages: impl Iterator<Item = u8>) -> &'static str {
    let mut present = [false; 4];
    for stage in stages {
        if let Some(present) = present.get_mut(usize::from(stage)) {
            *present = true;
        }
    }
    match present {
        [_, true, true, true] => "changed here and upstream in the same place",
        [_, false, true, true] => "added here and upstream with different content",
        [_, true, true, false] => "changed here, removed or moved upstream",
        [_, true, false, true] => "changed upstream, removed or moved here",
        _ => "renamed here and upstream in different ways",
    }
}

fn entry_of(side: &Side) -> Entry {
    Entry {
        mode: side.mode,
        size: None,
        oid: Some(side.oid.clone()),
    }
}

fn file_entry(oid: Oid) -> Entry {
    Entry {
        mode: crate::tree::Mode::File,
        size: None,
        oid: Some(oid),
    }
}

fn put_all(edit: &mut IndexEdit, entries: &Entries) -> Result<()> {
    for (path, entry) in entries {
        let oid = entry
            .oid
            .as_ref()
            .with_context(|| format!("{path} is in no object database"))?;
        edit.put(path, entry.mode, oid);
    }
    Ok(())
}

/// The tree of `after`, made from that of `before` by what differs.
pub fn tree_of(
    scratch: &Scratch,
    before_tree: &Oid,
    before: &Entries,
    after: &Entries,
) -> Result<Oid> {
    let edit = edit_between(before, after)?;
    scratch.tree(Some(before_tree), &edit)
}

/// What differs between two lists of files, removals first.
pub fn edit_between(before: &Entries, after: &Entries) -> Result<IndexEdit> {
    let mut edit = IndexEdit::default();
    for path in before.keys().filter(|path| !after.contains_key(path)) {
        edit.remove(path);
    }
    let changed: Entries = after
        .iter()
        .filter(|(path, entry)| !before.get(path).is_some_and(|old| same(old, entry)))
        .map(|(path, entry)| (path.clone(), entry.clone()))
        .collect();
    put_all(&mut edit, &changed)?;
    Ok(edit)
}

/// Notes for each locked file what was made of it.
pub fn record(origin: &mut Origin, entries: &Entries) {
    for (path, file) in &mut origin.files {
        let written = entries.get(path).and_then(|entry| entry.oid.clone());
        file.removed = written.is_none();
        file.written = written.filter(|written| written != file.rendered());
    }
}

fn arrivals(
    sides: &Sides,
    ours: &Entries,
    after: &Entries,
    conflicts: &[Conflict],
) -> Vec<Arrival> {
    let from = |path: &RepoPath| {
        let tool = sides.tool.iter().flat_map(|tool| tool.files.get(path));
        sides.upstream.files.get(path).into_iter().chain(tool).next()
    };
    let paths: std::collections::BTreeSet<&RepoPath> =
        sides.base.keys().chain(sides.theirs.keys()).collect();
    paths
        .into_iter()
        .map(|path| {
            let equal = |one: Option<&Entry>, other: Option<&Entry>| match (one, other) {
                (Some(one), Some(other)) => same(one, other),
                (None, None) => true,
                _ => false,
            };
            let (base, mine, theirs, now) = (
                sides.base.get(path),
                ours.get(path),
                sides.theirs.get(path),
                after.get(path),
            );
            let replaced = sides.moves.iter().any(|planned| planned.from == *path);
            let what = if conflicts.iter().any(|conflict| conflict.path == *path) {
                What::Conflict
            } else if mine.is_none() && base.is_none() && replaced {
                What::Replaces
            } else {
                match (mine, theirs, now) {
                    (None, Some(_), Some(_)) => What::Added,
                    (None, _, None) => What::RemovedHere,
                    (Some(_), _, None) => What::Removed,
                    _ if equal(now, mine) && equal(mine, theirs) => What::Unchanged,
                    _ if equal(now, mine) => What::ChangedHere,
                    _ if equal(now, theirs) => What::Updated,
                    _ => What::Merged,
                }
            };
            Arrival {
                path: path.clone(),
                from: from(path).map_or_else(|| path.clone(), |file| file.from.clone()),
                what,
            }
        })
        .collect()
}

/// The refusal for paths below `outdated/` that are taken.
pub fn outdated_taken(problems: &[String]) -> Refusal {
    Refusal::new(
        format!("{OUTDATED}/ can't take the retired files:\n  {}", problems.join("\n  ")),
        format!("move what lies in {OUTDATED}/ to another place and commit that, then run this again"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Mode;

    fn tree(files: &[(&str, &str)]) -> Entries {
        files
            .iter()
            .map(|&(path, oid)| {
                let entry = Entry {
                    mode: Mode::File,
                    size: None,
                    oid: Some(Oid(oid.into())),
                };
                (path.into(), entry)
            })
            .collect()
    }

    fn shown(moves: &[Move]) -> Vec<String> {
        moves
            .iter()
            .map(|one| format!("{} => {} ({:?})", one.from, one.to, one.why))
            .collect()
    }

    #[test]
    fn a_legacy_worker_makes_room() {
        let ours = tree(&[
            (".runpod/README.md", "1"),
            (".runpod/hub.json", "2"),
            ("Dockerfile", "3"),
            ("README.md", "4"),
            ("builder/setup.sh", "5"),
            ("requirements.txt", "6"),
            ("worker-config.json", "7"),
        ]);
        let incoming = tree(&[
            (".runpod/hub.json", "20"),
            ("Dockerfile", "30"),
            ("requirements.txt", "6"),
        ]);
        assert_eq!(
            shown(&relocate(&ours, &incoming, true).unwrap()),
            [
                ".runpod/README.md => outdated/.runpod/README.md (NotAHubFile)",
                ".runpod/hub.json => outdated/.runpod/hub.json (Replaced)",
                "Dockerfile => outdated/Dockerfile (Replaced)",
                "builder/setup.sh => outdated/builder/setup.sh (Retired)",
                "worker-config.json => outdated/worker-config.json (Retired)",
            ]
        );
        assert_eq!(
            shown(&relocate(&ours, &incoming, false).unwrap()),
            [".runpod/README.md => outdated/.runpod/README.md (NotAHubFile)"]
        );
    }

    #[test]
    fn files_and_folders_of_one_name_make_room_for_each_other() {
        let ours = tree(&[("public", "1"), ("engine.py/x", "2")]);
        let incoming = tree(&[("public/banner.png", "3"), ("engine.py", "4")]);
        assert_eq!(
            shown(&relocate(&ours, &incoming, true).unwrap()),
            [
                "engine.py/x => outdated/engine.py/x (Replaced)",
                "public => outdated/public (Replaced)",
            ]
        );
    }

    #[test]
    fn an_outdated_folder_with_other_content_is_a_problem() {
        let ours = tree(&[
            ("outdated/notes.md", "1"),
            ("outdated/src/a", "2"),
            ("outdated/src/b", "3"),
            ("src/a", "2"),
            ("src/b", "9"),
        ]);
        assert_eq!(
            relocate(&ours, &Entries::new(), true).unwrap_err(),
            [
                "outdated/src/b: is there already, with other content than src/b",
                "outdated/notes.md: is there already",
            ]
        );
    }

    #[test]
    fn a_conflict_has_the_reason_of_its_sides() {
        let of = |stages: &[u8]| reason(stages.iter().copied());
        assert_eq!(of(&[1, 2, 3]), "changed here and upstream in the same place");
        assert_eq!(of(&[2, 3]), "added here and upstream with different content");
        assert_eq!(of(&[1, 2]), "changed here, removed or moved upstream");
        assert_eq!(of(&[1, 3]), "changed upstream, removed or moved here");
    }
}
