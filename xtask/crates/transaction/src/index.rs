//! The index: prepared in the journal, put in place as git does it, and taken back.

use std::path::Path;

use anyhow::{Result, bail};

use super::apply::Transaction;
use super::files::{atomically, exists, same_content, same_file};
use super::journal::JournalRecord;
use super::steps::edit_between;
use xtask_core::git::IndexEdit;
use xtask_core::tree::Entries;
use xtask_core::{fault, if_there};

/// The index to come.
const NEW: &str = "index.new";
/// The index that the new one was made from.
const SEEN: &str = "index.seen";
/// The index from before the transaction.
const OLD: &str = "index.old";
/// The index that an abort makes where something else was staged since, and what it is made from.
const BACK: &str = "index.back";
const CURRENT: &str = "index.current";

impl Transaction<'_> {
    /// Puts the current index and the new one into the journal.
    pub(crate) fn prepare_index(&self, edit: &IndexEdit) -> Result<()> {
        self.copy_index(SEEN, &IndexEdit::default())?;
        let old = self.journal.file(OLD);
        if !exists(&old) {
            fs_err::hard_link(self.journal.file(SEEN), old)?;
        }
        self.copy_index(NEW, edit)
    }

    /// Makes an edited copy of the index in the journal.
    fn copy_index(&self, name: &str, edit: &IndexEdit) -> Result<()> {
        // Our lock is recognized as another name of the file that is replaced here.
        self.remove_own_lock()?;
        let copy = self.journal.file(name);
        // Never write into `copy` itself: the live index may be another name of it, and a killed
        // run leaves it whole.
        let next = copy.with_extension("next");
        // A git that was killed may have left the lock.
        for stale in [&next, &next.with_added_extension("lock")] {
            if_there(fs_err::remove_file(stale))?;
        }
        fs_err::copy(&self.repo.index_file, &next)?;
        self.scratch.edit_index(&next, edit)?;
        Ok(fs_err::rename(&next, &copy)?)
    }

    pub(crate) fn install_new_index(&self) -> Result<()> {
        self.install_index(NEW, SEEN)
    }

    /// Puts an index of the journal in the place of the `expected` one, as git does it: through
    /// `index.lock`. That is a second name of the new one, which tells our lock from another
    /// process's.
    fn install_index(&self, next: &str, expected: &str) -> Result<()> {
        self.remove_own_lock()?;
        if self.is_installed(next)? {
            return Ok(());
        }
        if !self.is_installed(expected)? {
            bail!(self.journal.task.resume_or_abort(
                "the index has changed since the plan was made".to_owned(),
                "unstage what was staged in between with `git restore --staged FILE`"
            ));
        }
        let lock = self.repo.index_lock();
        fault::point()?;
        match fs_err::hard_link(self.journal.file(next), &lock) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!(self.locked(&lock));
            }
            done => done?,
        }
        atomically(|| fs_err::rename(&lock, &self.repo.index_file))
    }

    /// Removes a lock of our own killed run: a hard link to an index in the journal.
    fn remove_own_lock(&self) -> Result<()> {
        let lock = self.repo.index_lock();
        let is_ours = |name: &&str| same_file(&lock, &self.journal.file(name));
        if [NEW, OLD, BACK].iter().any(is_ours) {
            atomically(|| fs_err::remove_file(&lock))?;
        }
        Ok(())
    }

    /// Whether the live index stages the same as one of the journal, whatever file times they hold.
    fn is_installed(&self, name: &str) -> Result<bool> {
        let (live, other) = (&self.repo.index_file, &self.journal.file(name));
        let list = |index: &Path| {
            let call = self.repo.git("ls-files --stage -z");
            call.env("GIT_INDEX_FILE", index).output()
        };
        Ok(same_content(live, other)? || list(live)? == list(other)?)
    }

    /// Takes back what the transaction staged; what else was staged since stays.
    pub(crate) fn restore_index(&self, record: &JournalRecord, before: &Entries) -> Result<()> {
        self.remove_own_lock()?;
        if self.is_installed(OLD)? {
            return Ok(());
        }
        if self.is_installed(NEW)? {
            return self.install_index(OLD, NEW);
        }
        let mut edit = IndexEdit::default();
        let mut after = self.repo.entries(&record.after_tree)?;
        for stage in &record.stages {
            edit.remove(&stage.path);
            after.remove(&stage.path);
        }
        edit.extend(edit_between(&after, before)?);
        self.copy_index(CURRENT, &IndexEdit::default())?;
        self.copy_index(BACK, &edit)?;
        self.install_index(BACK, CURRENT)
    }

    /// Forgets the index from before the transaction, because its changes have been committed.
    pub fn forget_old_index(&self) -> Result<()> {
        if_there(fs_err::remove_file(self.journal.file(OLD)))?;
        Ok(())
    }
}
