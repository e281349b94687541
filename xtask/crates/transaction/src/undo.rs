//! Taking back what `apply` has done, step by step and in reverse.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apply::Work;
use super::files::{at_once, exists, is_file, make_parents, rename, same_content, write_new};
use super::journal::JournalRecord;
use super::steps::PathChange;
use super::stopped;
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, RepoPath};

impl Work<'_> {
    /// Undoes everything, in reverse. Files that were changed since are kept, and named.
    pub fn back(&self, record: &JournalRecord) -> Result<Vec<PathBuf>> {
        let kept = self.undo(record);
        kept.map_err(|error| stopped(self.journal, error))
    }

    fn undo(&self, record: &JournalRecord) -> Result<Vec<PathBuf>> {
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
        if let Some(tip) = record.tip() {
            self.remove_own_head_locks(tip)?;
        }
        let mut kept = Vec::new();
        let before = self.repo.entries(&record.before_tree)?;
        for number in (record.undo_from..record.steps.len()).rev() {
            self.step_back(number, record, &before, &mut kept)?;
        }
        for (number, path) in record.ours.iter().enumerate() {
            // A file in conflict that was changed to resolve it.
            let (copy, place) = (self.journal.our_file(number), path.below(&self.repo.top));
            let mode = |path: &Path| path.symlink_metadata().map(|data| data.mode());
            if !(same_content(&copy, &place)? && mode(&copy)? == mode(&place)?) {
                self.put_back(&copy, path, &mut kept)?;
            }
        }
        for folder in &record.new_folders {
            // A folder that is not empty holds the user's files.
            let _ = fs_err::remove_dir(folder.below(&self.repo.top));
        }
        self.index_back(record, &before)?;
        self.journal.remove()?;
        Ok(kept)
    }

    fn step_back(
        &self,
        number: usize,
        record: &JournalRecord,
        before: &Entries,
        kept: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let (top, step) = (&self.repo.top, &record.steps[number]);
        match step {
            PathChange::Move { from, to } => {
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
            PathChange::Write { path, .. } => {
                let target = path.below(top);
                if self.is_written(number, record)? {
                    at_once(|| fs_err::remove_file(&target))?;
                } else if is_file(&target) && self.is_vacated(number, record) {
                    kept.push(self.keep(path, &target)?);
                }
                let is_new = |folder: &RepoPath| record.new_folders.contains(folder);
                for folder in path.ancestors().take_while(is_new) {
                    // A folder that is not empty holds the user's files.
                    let _ = fs_err::remove_dir(folder.below(top));
                }
            }
            PathChange::Remove { .. } => {}
        }
        match step.replaced() {
            Some(path) => self.put_back(&self.journal.old_file(number), path, kept),
            None => Ok(()),
        }
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

    /// Moves a file with the user's changes into the git directory.
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
