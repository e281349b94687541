//! Taking back what `apply` has done, step by step and in reverse.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apply::Work;
use super::files::{
    content, exists, make_parents, remove_empty_parents_until, rename, same_content, write_new,
};
use super::journal::{Commit, Record};
use super::steps::Step;
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, RepoPath, Side};

impl Work<'_> {
    /// Undoes everything, in reverse. Files that were changed since are kept, and named.
    pub fn back(&self, record: &Record) -> Result<Vec<PathBuf>> {
        let head = self.repo.commit("HEAD")?;
        if head.as_ref() != Some(&record.head) {
            bail!(UserError::new(
                format!(
                    "the {} is committed already, or HEAD has moved since",
                    self.journal.ways.name
                ),
                format!(
                    "take a commit back with `git revert COMMIT`; or, if nobody has it yet, with `git \
                     reset --soft {}`, and run this again",
                    record.head
                )
            ));
        }
        if let Some(Commit { tip: Some(tip), .. }) = &record.commit {
            self.remove_own_head_locks(tip)?;
        }
        let mut kept = Vec::new();
        let before = self.repo.entries(&record.before_tree)?;
        for number in (record.undo_from..record.steps.len()).rev() {
            self.step_back(number, &record.steps[number], &before, &mut kept)?;
        }
        for (number, path) in record.ours.iter().enumerate() {
            // A file that was in conflict, if whoever resolved it has changed it.
            let (copy, place) = (self.journal.our_file(number), path.below(&self.repo.top));
            let mode = |path: &Path| path.symlink_metadata().map(|data| data.mode());
            if !(same_content(&copy, &place)? && mode(&copy)? == mode(&place)?) {
                self.put_back(&copy, path, &mut kept)?;
            }
        }
        self.sweep(record)?;
        for folder in &record.new_folders {
            // Not empty any more means that somebody put something there.
            let _ = fs_err::remove_dir(folder.below(&self.repo.top));
        }
        self.index_back(record, &before)?;
        self.journal.remove()?;
        Ok(kept)
    }

    fn step_back(
        &self,
        number: usize,
        step: &Step,
        before: &Entries,
        kept: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let top = &self.repo.top;
        match step {
            Step::Move { from, to } => {
                let (source, target) = (from.below(top), to.below(top));
                let Some(entry) = before.get(from).filter(|_| !exists(&source)) else {
                    return Ok(());
                };
                make_parents(&source)?;
                if exists(&target) {
                    return rename(&target, &source);
                }
                // One that is gone comes from git.
                let side = entry.side().context("a tracked file without an object")?;
                return write_new(&self.objects, &source, &side);
            }
            Step::Write { path, new, .. } => {
                let is_left = exists(&self.journal.new_file(number));
                if !is_left || self.is_across()? && self.arrived(number, step)? {
                    self.take_out(number, path, new, kept)?;
                    remove_empty_parents_until(path, top, |folder| {
                        let mut stays = before.keys().flat_map(RepoPath::ancestors);
                        stays.any(|above| above == *folder)
                    })?;
                }
            }
            Step::Remove { .. } => {}
        }
        match step.replaced() {
            Some(path) => self.put_back(&self.journal.old_file(number), path, kept),
            None => Ok(()),
        }
    }

    /// Takes what a step has written out of its place, and back into the journal, so that the step
    /// counts as undone, whatever comes next.
    fn take_out(
        &self,
        number: usize,
        path: &RepoPath,
        new: &Side,
        kept: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let (source, target) = (self.journal.new_file(number), path.below(&self.repo.top));
        if exists(&source) {
            // A copy across file systems that was killed before its last step.
            return Ok(fs_err::remove_file(&target)?);
        }
        if exists(&target) {
            if self.hash(&content(&target)?)? == new.oid {
                return rename(&target, &source);
            }
            kept.push(self.keep(path, &target)?);
        }
        self.lay_out(number, new)
    }

    /// Moves a file from the journal back to its place, if it is still there.
    fn put_back(&self, copy: &Path, path: &RepoPath, kept: &mut Vec<PathBuf>) -> Result<()> {
        let place = path.below(&self.repo.top);
        if !exists(copy) {
            return Ok(());
        }
        if exists(&place) {
            kept.push(self.keep(path, &place)?);
        }
        make_parents(&place)?;
        rename(copy, &place)
    }

    /// Moves a file that somebody has changed out of the way, into the git directory.
    pub(crate) fn keep(&self, path: &RepoPath, place: &Path) -> Result<PathBuf> {
        let folder = self.repo.git_dir.join("xtask-kept");
        let mut target = path.below(&folder);
        let mut number = 1;
        while exists(&target) {
            number += 1;
            target = path.below(&folder.join(number.to_string()));
        }
        make_parents(&target)?;
        rename(place, &target)?;
        Ok(target)
    }
}
