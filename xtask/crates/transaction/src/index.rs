//! The index: changed in a copy, which is put in place as git does it, and taken back.

use std::path::Path;

use anyhow::{Result, bail};

use super::apply::Transaction;
use super::files::{atomically, exists, same_file};
use super::journal::JournalRecord;
use super::steps::{ConflictStage, edit_between};
use xtask_core::git::IndexEdit;
use xtask_core::output::quoted_path;
use xtask_core::tree::{Entries, differences, equal};
use xtask_core::{fault, if_there};

const NEW: &str = "index.new";
/// The index from before the transaction.
const OLD: &str = "index.old";

impl Transaction<'_> {
    /// Keeps the index as it was before the transaction.
    pub(crate) fn keep_old_index(&self) -> Result<()> {
        let old = self.journal.file(OLD);
        if !exists(&old) {
            let copy = self.journal.file("index.copy");
            fs_err::copy(&self.repo.index_file, &copy)?;
            fs_err::rename(copy, old)?;
        }
        Ok(())
    }

    /// Forgets the index from before the transaction, because its changes have been committed.
    pub fn forget_old_index(&self) -> Result<()> {
        if_there(fs_err::remove_file(self.journal.file(OLD)))?;
        Ok(())
    }

    /// Stages what the transaction changes; what else was staged since stays.
    pub(crate) fn stage(&self, record: &JournalRecord) -> Result<()> {
        let before = self.repo.entries(&record.before_tree)?;
        let after = self.repo.entries(&record.after_tree)?;
        self.check_not_staged(record, &before, &after)?;
        let mut edit = edit_between(&before, &after)?;
        // The record keeps the stages of resolved conflicts, because an abort needs them.
        if !record.conflicts.is_empty() {
            let stages = record.stages.iter();
            stages.clone().for_each(|stage| edit.remove(&stage.path));
            for ConflictStage { path, stage, side } in stages {
                edit.put(path, side.clone(), *stage);
            }
        }
        self.change_index(&edit, false)
    }

    /// Refuses if a file that the transaction stages has been staged in another state meanwhile.
    fn check_not_staged(
        &self,
        record: &JournalRecord,
        before: &Entries,
        after: &Entries,
    ) -> Result<()> {
        let staged = self.repo.index()?;
        for (path, old, new) in differences(before, after) {
            let is = |entry| equal(staged.entries.get(path), entry);
            let is_known = !staged.unmerged.contains(path) && (is(old) || is(new));
            if !is_known && !record.stages.iter().any(|stage| stage.path == *path) {
                bail!(self.journal.task.resume_or_abort(
                    format!("{path} has been staged since the plan was made"),
                    &format!(
                        "unstage it with `git restore --staged {}`",
                        quoted_path(path)
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Takes back what the transaction staged; what else was staged since stays.
    pub(crate) fn unstage(&self, record: &JournalRecord, before: &Entries) -> Result<()> {
        let mut edit = IndexEdit::default();
        let mut after = self.repo.entries(&record.after_tree)?;
        for stage in &record.stages {
            edit.remove(&stage.path);
            after.remove(&stage.path);
        }
        edit.extend(edit_between(&after, before)?);
        self.change_index(&edit, true)
    }

    /// Changes the index through `index.lock`, as git does it. The lock is a second name of the
    /// index to come, which tells it from another process's. Where the result stages the same as
    /// the old index, an abort puts that back.
    fn change_index(&self, edit: &IndexEdit, is_abort: bool) -> Result<()> {
        let (index, lock) = (&self.repo.index_file, self.repo.index_lock());
        let (new, old) = (self.journal.file(NEW), self.journal.file(OLD));
        // A lock of our own killed run.
        if same_file(&lock, &new) || same_file(&lock, &old) {
            atomically(|| fs_err::remove_file(&lock))?;
        }
        // Another file than `new`, since the index may be a second name of that.
        let copy = self.journal.file("index.copy");
        // A git that was killed may have left the lock.
        for stale in [&copy, &copy.with_added_extension("lock")] {
            if_there(fs_err::remove_file(stale))?;
        }
        let seen = fs_err::read(index)?;
        fs_err::write(&copy, &seen)?;
        self.scratch.edit_index(&copy, edit)?;
        fs_err::rename(copy, &new)?;
        let staged = self.list(&new)?;
        if self.list(index)? == staged {
            return Ok(());
        }
        let next = if is_abort && self.list(&old)? == staged {
            old
        } else {
            new
        };
        fault::point()?;
        match fs_err::hard_link(next, &lock) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!(self.locked(&lock));
            }
            done => done?,
        }
        if fs_err::read(index)? != seen {
            fs_err::remove_file(lock)?;
            bail!("another git has just changed the index");
        }
        atomically(|| fs_err::rename(lock, index))
    }

    /// What an index stages, whatever file times it holds.
    fn list(&self, index: &Path) -> Result<Vec<u8>> {
        let call = self.repo.git("ls-files --stage -z");
        call.env("GIT_INDEX_FILE", index).output()
    }
}
