//! Merging what upstream gives into what the repository has, as git trees. Nothing here touches
//! the work tree, the index or a ref.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::incoming::Bundle;
use super::plan::{Arrival, Move, Plan, Planned, Planner, UpstreamSource, What};
use crate::args::Conflicts;
use transaction::steps::{Conflict, ConflictStage, edit_between, write_tree};
use worker_files::dockerfile::{self, Taken};
use xtask_core::git::Scratch;
use xtask_core::layout::{LOCK, OUTDATED};
use xtask_core::lock::{Lock, LockedFile, Origin, Retired, retired_as};
use xtask_core::records;
use xtask_core::tree::{Entries, Mode, RepoPath, Tree, TreeEntry, differences, equal, same};

/// Stores what came from an upstream in the object database, raw and rendered.
pub fn store(scratch: &Scratch, bundle: &Bundle, source: UpstreamSource) -> Result<Origin> {
    let contents = bundle.files.values();
    let contents = contents.flat_map(|it| [&it.given[..], &it.rewritten.bytes]);
    let oids = scratch.blobs(contents)?;
    let mut files = BTreeMap::new();
    for ((path, incoming), [given, rendered]) in bundle.files.iter().zip(oids.as_chunks().0) {
        let file = LockedFile {
            from: incoming.from.clone(),
            mode: incoming.mode,
            given: given.clone(),
            rendered: (rendered != given).then(|| rendered.clone()),
            written: None,
            removed: false,
        };
        files.insert(path.clone(), file);
    }
    Ok(Origin {
        address: source.address,
        rev: source.rev,
        commit: source.commit,
        shape: source.shape,
        files,
    })
}

/// What a migration is built from. All trees are by path in the modern layout.
pub struct Sides<'a> {
    pub planner: &'a Planner<'a>,
    /// What upstream gave last time, or the legacy files that a fork started from.
    pub base: Entries,
    pub theirs: Entries,
    /// The lines of the lock, and whether they are to be brought up to date.
    pub upstream: (Origin, bool),
    pub tool: Option<(Origin, bool)>,
    pub moves: Vec<Move>,
    /// Where a fork's changes to legacy files belong: pairs of old and new path.
    pub carried: Vec<(RepoPath, RepoPath)>,
    /// Conflicts that are known before the merge: changed, and without a counterpart.
    pub orphans: Vec<(Conflict, Vec<ConflictStage>)>,
    /// Other files to write, such as the baseline.
    pub records: Vec<(RepoPath, Vec<u8>)>,
}

impl Sides<'_> {
    /// Merges the sides into one tree, and completes `plan` by it.
    pub fn build(&self, mut plan: Plan) -> Result<Planned> {
        let (scratch, before) = (self.planner.scratch, self.planner.at.ours.entries());
        let (mut outdated, mut moved): (Entries, Entries) =
            (before.clone().into_iter()).partition(|(path, _)| path.is_within(OUTDATED));
        for planned in &self.moves {
            if let Some(entry) = moved.remove(&planned.from) {
                outdated.insert(planned.to.clone(), entry);
            }
        }
        records::settle(&mut moved);
        let lock_before = moved.remove(&RepoPath::from(LOCK));
        // A carried file takes part in the merge under its new name, besides being kept as it was.
        for (from, to) in &self.carried {
            if let Some(entry) = before.get(from) {
                moved.insert(to.clone(), entry.clone());
            }
        }
        let (mut entries, mut conflicts, mut stages) = self.merge(&moved)?;
        if self.planner.args.conflicts == Conflicts::Upstream {
            stages.clear();
            plan.taken = self.take_upstreams(conflicts, &moved, &mut entries)?;
            conflicts = Vec::new();
        } else {
            for (conflict, of_path) in &self.orphans {
                conflicts.push(conflict.clone());
                stages.extend(of_path.iter().cloned());
                if let Some(ours) = of_path.iter().find(|stage| stage.stage == 2) {
                    let entry = TreeEntry::of(ours.side.mode, ours.side.oid.clone());
                    entries.insert(ours.path.clone(), entry);
                }
            }
        }
        plan.files = self.arrivals(&moved, &entries, &conflicts);
        plan.conflicts = conflicts;
        let lock = self.new_lock(&entries, &outdated);
        entries.append(&mut outdated);
        let mut written = self.records.clone();
        if plan.conflicts.is_empty() {
            written.push((LOCK.into(), lock.to_bytes()?));
        } else if let Some(lock) = lock_before {
            entries.insert(LOCK.into(), lock);
        }
        let oids = scratch.blobs(written.iter().map(|(_, content)| content.as_slice()))?;
        for ((path, _), oid) in written.into_iter().zip(oids) {
            entries.insert(path, TreeEntry::of(Mode::File, oid));
        }
        plan.after = write_tree(scratch, before, &entries)?;
        Ok(Planned {
            plan,
            stages,
            entries,
            lock,
        })
    }

    /// Takes upstream's file in each conflict, and returns those in which that loses something.
    fn take_upstreams(
        &self,
        mut taken: Vec<Conflict>,
        moved: &Entries,
        entries: &mut Entries,
    ) -> Result<Vec<Conflict>> {
        // What this fork took out stays out, unless the image needs it.
        let is_needed = self.needed_by_image()?;
        taken.retain(|Conflict { path, .. }| {
            let is_removed = self.base.contains_key(path) && !moved.contains_key(path);
            let stays_out = is_removed && !is_needed(path);
            match self.theirs.get(path).filter(|_| !stays_out) {
                Some(entry) => entries.insert(path.clone(), entry.clone()),
                None => entries.remove(path),
            };
            !stays_out
        });
        // A file that was renamed here stays, and upstream's comes beside it.
        let is_new = |path: &RepoPath| !self.base.contains_key(path);
        for Conflict { path, .. } in taken.iter().filter(|one| is_new(&one.path)) {
            if let (Some(ours), None) = (moved.get(path), self.theirs.get(path)) {
                entries.insert(path.clone(), ours.clone());
                for (path, _, theirs) in self.removed_here(moved) {
                    entries.entry(path).or_insert(theirs);
                }
            }
        }
        // Files without a counterpart are kept below `outdated/`.
        taken.extend(self.orphans.iter().map(|(conflict, _)| conflict.clone()));
        Ok(taken)
    }

    /// The lock of the result: where its files came from, and what has retired.
    fn new_lock(&self, entries: &Entries, outdated: &Entries) -> Lock {
        let up_to_date = |(origin, is_new): &(Origin, bool)| {
            let mut origin = origin.clone();
            if *is_new {
                record(&mut origin, entries);
            }
            origin
        };
        let tool = self.tool.as_ref().map(up_to_date);
        let mut lock = Lock::new(up_to_date(&self.upstream), tool);
        // What is known to have retired earlier; `None` where that was not kept.
        let retired = self.planner.at.lock.as_ref();
        let retired = retired.map(|lock| lock.retired.clone());
        lock.retired = retired.unwrap_or_else(|| Some(Retired::new()));
        if let Some(retired) = &mut lock.retired {
            retired.extend(self.moves.iter().filter_map(|planned| {
                let side = outdated.get(&planned.to)?.side()?;
                Some((planned.to.clone(), retired_as(&side)))
            }));
        }
        lock
    }

    /// Tells which of upstream's files are in its image: modules, and what its Dockerfile names.
    fn needed_by_image(&self) -> Result<impl Fn(&RepoPath) -> bool + use<>> {
        let theirs = self.planner.at.tree(&self.theirs, "upstream");
        let text = theirs.read_file("Dockerfile")?.unwrap_or_default();
        let named = dockerfile::taken(&text).unwrap_or_default();
        Ok(move |path: &RepoPath| {
            let is_named = |it: &Taken| !it.is_everything() && it.covers(path);
            let is_main = ["Dockerfile", ".dockerignore", ".runpod/hub.json"]
                .iter()
                .any(|it| path == it);
            is_main || path.as_bytes().ends_with(b".py") || named.iter().any(is_named)
        })
    }

    /// A three-way merge by git. Without a base upstream's files are all new, and their places free.
    fn merge(&self, ours: &Entries) -> Result<(Entries, Vec<Conflict>, Vec<ConflictStage>)> {
        let (at, scratch) = (self.planner.at, self.planner.scratch);
        let mut ours = ours.clone();
        // Some versions of git look for renames even if told not to, but only of removed files. So
        // those are put back for the merge, unless a new module may be one of them renamed.
        let is_new = |(_, to): &(RepoPath, RepoPath)| !self.base.contains_key(to);
        let looks_for_renames = self.planner.args.carry.is_none();
        let gone = if looks_for_renames || self.carried.iter().any(is_new) {
            Vec::new()
        } else {
            self.removed_here(&ours)
        };
        for (path, base, _) in &gone {
            ours.insert(path.clone(), base.clone());
        }
        if self.base.is_empty() && !meet(&ours, &self.theirs) {
            ours.extend(self.theirs.clone());
            return Ok((ours, Vec::new(), Vec::new()));
        }
        let tree_alone = |entries| scratch.tree(&edit_between(&Entries::new(), entries)?);
        let merged = scratch.merge(
            &tree_alone(&self.base)?,
            &write_tree(scratch, at.ours.entries(), &ours)?,
            &tree_alone(&self.theirs)?,
            looks_for_renames,
        )?;
        let entries = at.repo.entries(&merged.tree)?;
        // A removed file is a conflict if upstream changed it. One that upstream did not change comes
        // back, because the modern files need one another.
        let gone = gone.into_iter();
        let gone = gone.filter(|(_, base, theirs)| !same(base, theirs));
        let gone =
            gone.flat_map(|(path, base, theirs)| [(path.clone(), 1, base), (path, 3, theirs)]);
        let stages = merged.stages.into_iter().chain(gone);
        let stages = stages.filter_map(|(path, stage, entry)| {
            let side = entry.side()?;
            Some(ConflictStage { path, stage, side })
        });
        let stages: Vec<ConflictStage> = stages.collect();
        let mut conflicts: BTreeMap<RepoPath, String> = BTreeMap::new();
        for ConflictStage { path, .. } in &stages {
            let of_path = stages.iter().filter(|other| other.path == *path);
            let reason = reason(of_path.map(|other| other.stage));
            conflicts.insert(path.clone(), reason.to_owned());
        }
        // Conflicts without index stages (a renamed folder, a file against a folder) have only git's
        // message.
        for (paths, kind, message) in merged.messages {
            if kind.starts_with("CONFLICT")
                && !paths.iter().any(|path| conflicts.contains_key(path))
                && let Some(path) = paths.first()
            {
                conflicts.insert(path.clone(), message);
            }
        }
        let conflicts = conflicts.into_iter();
        let conflicts = conflicts.map(|(path, reason)| Conflict { path, reason });
        Ok((entries, conflicts.collect(), stages))
    }

    /// The files of the base that upstream still has and this repository does not: with both versions.
    fn removed_here(&self, ours: &Entries) -> Vec<(RepoPath, TreeEntry, TreeEntry)> {
        let gone = self
            .base
            .iter()
            .filter(|(path, _)| !ours.contains_key(*path));
        let both = gone.filter_map(|(path, base)| {
            Some((path.clone(), base.clone(), self.theirs.get(path)?.clone()))
        });
        both.collect()
    }

    fn arrivals(&self, ours: &Entries, after: &Entries, conflicts: &[Conflict]) -> Vec<Arrival> {
        let from = |path: &RepoPath| {
            let mut origins = std::iter::once(&self.upstream).chain(&self.tool);
            origins.find_map(|(origin, _)| origin.files.get(path))
        };
        let carried = self.carried.iter().map(|(_, to)| to);
        let given = self.base.keys().chain(self.theirs.keys());
        // A file that was renamed here gets upstream's changes under its new name.
        let changed = differences(ours, after).into_iter();
        let changed = changed.filter(|(_, _, now)| now.is_some());
        let changed = changed.map(|(path, ..)| path);
        let paths: BTreeSet<&RepoPath> = given.chain(carried).chain(changed).collect();
        let arrival = |path: &RepoPath| {
            let (base, theirs) = (self.base.get(path), self.theirs.get(path));
            let (mine, now) = (ours.get(path), after.get(path));
            let replaced = self.moves.iter().any(|planned| planned.from == *path);
            let what = match (mine, theirs, now) {
                _ if conflicts.iter().any(|conflict| conflict.path == *path) => What::Conflict,
                (None, ..) if base.is_none() && replaced => What::Replaces,
                (None, Some(_), Some(_)) => What::Added,
                (None, _, None) => What::RemovedHere,
                (Some(_), _, None) => What::Removed,
                _ if equal(now, mine) && equal(mine, theirs) => What::Unchanged,
                _ if equal(now, mine) => What::ChangedHere,
                _ if equal(now, theirs) => What::Updated,
                _ => What::Merged,
            };
            Arrival {
                path: path.clone(),
                from: from(path).map_or_else(|| path.clone(), |file| file.from.clone()),
                what,
            }
        };
        paths.into_iter().map(arrival).collect()
    }
}

/// Whether two lists of files have other files at one path, or a file where the other has a folder.
fn meet(ours: &Entries, theirs: &Entries) -> bool {
    let differs = |(path, entry)| ours.get(path).is_some_and(|own| !same(own, entry));
    let is_below = |path: &RepoPath, of: &Entries| path.ancestors().any(|at| of.contains_key(&at));
    theirs.iter().any(differs)
        || theirs.keys().any(|path| is_below(path, ours))
        || ours.keys().any(|path| is_below(path, theirs))
}

/// Why a path is a conflict, by which sides have it.
fn reason(stages: impl Iterator<Item = u8>) -> &'static str {
    let mut stages: Vec<u8> = stages.collect();
    stages.sort_unstable();
    stages.dedup();
    match stages[..] {
        [1, 2, 3] => "changed here and upstream in the same place",
        [2, 3] => "added here and upstream with different content",
        [1, 2] => "changed here, removed or moved upstream",
        [1, 3] => "changed upstream, removed or moved here",
        _ => "renamed here and upstream in different ways",
    }
}

/// Notes for each locked file what was made of it.
pub fn record(origin: &mut Origin, entries: &Entries) {
    for (path, file) in &mut origin.files {
        let written = entries.get(path).and_then(|entry| entry.oid.clone());
        file.removed = written.is_none();
        file.written = written.filter(|written| written != file.rendered());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::files;

    #[test]
    fn files_meet_where_git_has_to_merge_them() {
        let theirs = files(&[("engine.py", "a"), ("public/banner.png", "b")]);
        for (ours, met) in [
            (&[("README.md", "x"), ("engine.py", "a")] as &[_], false),
            (&[("engine.py", "mine")], true),
            (&[("public", "a link")], true),
            (&[("engine.py/mine", "x")], true),
        ] {
            assert_eq!(meet(&files(ours), &theirs), met, "{ours:?}");
        }
    }

    #[test]
    fn a_conflict_has_the_reason_of_its_sides() {
        let of = |stages: &[u8]| reason(stages.iter().copied());
        assert_eq!(
            of(&[1, 2, 3]),
            "changed here and upstream in the same place"
        );
        assert_eq!(
            of(&[2, 3]),
            "added here and upstream with different content"
        );
        assert_eq!(of(&[1, 2]), "changed here, removed or moved upstream");
        assert_eq!(of(&[1, 3]), "changed upstream, removed or moved here");
    }
}
