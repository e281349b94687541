//! Taking back what `apply` has done, step by step and in reverse.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::add_recovery_help;
use super::apply::Transaction;
use super::files::{atomically, exists, is_file, make_parents, rename, same_content, write_new};
use super::journal::JournalRecord;
use super::steps::PathChange;
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, RepoPath, TreeEntry};

impl Transaction<'_> {
    /// Undoes everything, in reverse. Files that were changed since are kept, and named.
    pub fn abort(&self, record: &JournalRecord) -> Result<Vec<PathBuf>> {
        let kept = self.undo(record);
        kept.map_err(|error| add_recovery_help(self.journal, error))
    }

    fn undo(&self, record: &JournalRecord) -> Result<Vec<PathBuf>> {
        let head = self.repo.commit("HEAD")?;
        if head.as_ref() != Some(&record.head) {
            bail!(UserError::new(
                format!(
                    "the {} is committed already, or HEAD has moved since",
                    self.journal.task.name
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
            self.undo_step(number, record, &before, &mut kept)?;
        }
        for (number, path) in record.ours.iter().enumerate() {
            // A person may have changed it to resolve the conflict.
            let (copy, place) = (self.journal.our_file(number), path.below(&self.repo.top));
            let mode = |path: &Path| path.symlink_metadata().map(|data| data.mode());
            if exists(&copy) && !(same_content(&copy, &place)? && mode(&copy)? == mode(&place)?) {
                if exists(&place) {
                    kept.push(self.keep(path, &place)?);
                }
                make_parents(&place)?;
                rename(&copy, &place)?;
            }
        }
        self.unstage(record, &before)?;
        self.journal.remove()?;
        Ok(kept)
    }

    fn undo_step(
        &self,
        number: usize,
        record: &JournalRecord,
        before: &Entries,
        kept: &mut Vec<PathBuf>,
    ) -> Result<()> {
        let (top, step) = (&self.repo.top, &record.steps[number]);
        if let PathChange::Write { path, .. } = step {
            let target = path.below(top);
            if self.is_written(number, record)? {
                atomically(|| fs_err::remove_file(&target))?;
            } else if is_file(&target) && self.is_vacated(number, record) {
                kept.push(self.keep(path, &target)?);
            }
        }
        if let Some(path) = step.vacated() {
            let (aside, new_place) = self.aside(number, record);
            let place = path.below(top);
            if new_place.is_none() && exists(&aside) && exists(&place) {
                kept.push(self.keep(path, &place)?);
            }
            if !exists(&place) && exists(&aside) {
                make_parents(&place)?;
                rename(&aside, &place)?;
            } else if !exists(&place) && new_place.is_some() {
                let side = before.get(path).and_then(TreeEntry::side);
                make_parents(&place)?;
                let side = side.context("a tracked file without an object")?;
                write_new(&self.objects, &place, &side)?;
            }
        }
        let is_new = |folder: &RepoPath| record.new_folders.contains(folder);
        let above = step.target().into_iter().flat_map(RepoPath::ancestors);
        for folder in above.take_while(is_new) {
            // A folder that is not empty holds the user's files.
            let _ = fs_err::remove_dir(folder.below(top));
        }
        Ok(())
    }

    /// Moves a file with the user's changes into the git directory.
    pub(crate) fn keep(&self, path: &RepoPath, place: &Path) -> Result<PathBuf> {
        let folder = self.repo.git_dir.join("xtask-kept");
        let numbered = (2..).map(|number: u32| path.below(&folder.join(number.to_string())));
        let mut targets = std::iter::once(path.below(&folder)).chain(numbered);
        let target = targets.find(|target| !exists(target));
        let target = target.context("every name for a kept file is taken")?;
        make_parents(&target)?;
        rename(place, &target)?;
        Ok(target)
    }
}
