//! The index: laid out in the journal, put in place as git does it, and taken back.

use std::path::Path;

use anyhow::{Result, bail};

use super::apply::Work;
use super::files::{at_once, exists, same_content, same_file};
use super::journal::{INDEX_NEW, INDEX_OLD, INDEX_SEEN, JournalRecord};
use super::steps::edit_between;
use xtask_core::fault;
use xtask_core::git::IndexEdit;
use xtask_core::tree::Entries;

/// The index that an abort restores where something else was staged since.
const INDEX_BACK: &str = "index.back";

impl Work<'_> {
    /// Puts the current and the new index into the journal.
    pub(crate) fn lay_out_index(&self, edit: &IndexEdit) -> Result<()> {
        let index = &self.repo.index_file;
        let [old, new] = [INDEX_OLD, INDEX_NEW].map(|name| self.journal.file(name));
        if !exists(&old) {
            // Atomic: a later run takes this file for the old index.
            let next = old.with_extension("next");
            fs_err::copy(index, &next)?;
            fs_err::rename(&next, old)?;
        }
        fs_err::copy(index, self.journal.file(INDEX_SEEN))?;
        // Never write into `new` itself: it may be hard-linked as the live index.
        let next = new.with_extension("next");
        fs_err::copy(index, &next)?;
        self.scratch.edit_index(&next, edit)?;
        Ok(fs_err::rename(&next, new)?)
    }

    /// Puts `next` in the place of the index, as git does it: through `index.lock`, which is a
    /// second name of `next`, which tells our lock from another process's.
    pub(crate) fn install_index(&self, next: &Path, expected: &Path) -> Result<()> {
        let (index, lock) = (&self.repo.index_file, self.repo.index_lock());
        self.remove_own_lock()?;
        if same_file(index, next) {
            return Ok(());
        }
        if !self.same_index(index, expected)? {
            if self.same_index(index, next)? {
                return Ok(());
            }
            bail!(self.journal.ways.refuse(
                "the index has changed since the plan was made".to_owned(),
                "unstage what was staged in between with `git restore --staged FILE`"
            ));
        }
        fault::point()?;
        match fs_err::hard_link(next, &lock) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                bail!(self.locked(&lock));
            }
            done => done?,
        }
        at_once(|| fs_err::rename(&lock, index))
    }

    /// Removes a lock of our own killed run: a hard link to an index in the journal.
    fn remove_own_lock(&self) -> Result<()> {
        let lock = self.repo.index_lock();
        let ours = [INDEX_OLD, INDEX_NEW, INDEX_BACK].map(|name| self.journal.file(name));
        if ours.iter().any(|ours| same_file(&lock, ours)) {
            at_once(|| fs_err::remove_file(&lock))?;
        }
        Ok(())
    }

    /// Whether two index files stage the same, whatever file times they hold.
    fn same_index(&self, one: &Path, other: &Path) -> Result<bool> {
        let list = |index: &Path| {
            let call = self.repo.git("ls-files --stage -z");
            call.env("GIT_INDEX_FILE", index).output()
        };
        Ok(same_file(one, other) || same_content(one, other)? || list(one)? == list(other)?)
    }

    pub(crate) fn index_back(&self, record: &JournalRecord, before: &Entries) -> Result<()> {
        let index = &self.repo.index_file;
        let [old, new, back] =
            [INDEX_OLD, INDEX_NEW, INDEX_BACK].map(|name| self.journal.file(name));
        self.remove_own_lock()?;
        // The new one is another name of the same file.
        if !same_file(index, &new) && self.same_index(index, &old)? {
            return Ok(());
        }
        if self.same_index(index, &new)? {
            return self.install_index(&old, &new);
        }
        // Something else was staged since; only what the transaction staged is taken back.
        let mut edit = IndexEdit::default();
        let mut after = self.repo.entries(&record.after_tree)?;
        for stage in &record.stages {
            edit.remove(&stage.path);
            after.remove(&stage.path);
        }
        edit.extend(edit_between(&after, before)?);
        let current = new.with_extension("current");
        fs_err::copy(index, &back)?;
        self.scratch.edit_index(&back, &edit)?;
        fs_err::copy(index, &current)?;
        self.install_index(&back, &current)
    }
}
