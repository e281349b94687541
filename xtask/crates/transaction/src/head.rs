//! Moves HEAD to the new commits, past the locks of our own killed git.
//!
//! To move a branch that is a file, git makes `HEAD.lock`, then `refs/heads/NAME.lock` with the new
//! commit in it, renames that into place and removes `HEAD.lock`. A git that is killed on the way
//! leaves one or both; every later commit would then be refused. Only our git knows the commit, so
//! a lock that names it is ours; a `HEAD.lock` that is not younger than that one belongs to the
//! same git. The lock of a reftable does not tell whose it is: it is reported and stays.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::apply::Transaction;
use super::files::{atomically, exists};
use super::journal::JournalRecord;
use xtask_core::tree::Oid;
use xtask_core::{fault, if_there};

impl Transaction<'_> {
    /// Moves HEAD, and the branch that it stands for, to `tip`.
    pub(crate) fn move_head(&self, tip: &Oid, record: &JournalRecord) -> Result<()> {
        self.remove_own_head_locks(tip)?;
        if self.repo.commit("HEAD")?.as_ref() == Some(tip) {
            return Ok(());
        }
        let message = record.commit.as_ref().map(|commit| &*commit.message);
        let subject = message.unwrap_or_default().lines().next();
        let reason = format!("xtask {}: {}", record.task, subject.unwrap_or_default());
        let call = self.repo.git("update-ref -m");
        let call = call.args([&reason, "HEAD", &tip.0, &record.head.0]);
        let moved = atomically(|| call.output()).context("moving HEAD to the new commits");
        if moved.is_err() {
            let locks = match self.head_reference()? {
                Some(reference) => [self.head_lock(), reference.with_added_extension("lock")],
                None => [&self.repo.git_dir, &self.repo.common_dir]
                    .map(|dir| dir.join("reftable/tables.list.lock")),
            };
            if let Some(lock) = locks.iter().find(|lock| exists(lock)) {
                bail!(self.locked(lock));
            }
        }
        moved.map(drop)
    }

    /// Removes the locks of a git that was about to move HEAD to `tip` and was killed. It is dead
    /// by now, because it held the journal's lock.
    pub(crate) fn remove_own_head_locks(&self, tip: &Oid) -> Result<()> {
        let Some(reference) = self.head_reference()? else {
            return Ok(());
        };
        let head_lock = self.head_lock();
        let branch_lock = reference.with_added_extension("lock");
        let content = if_there(fs_err::read(&branch_lock))?;
        let is_locked = content.is_some_and(|content| content.trim_ascii() == tip.0.as_bytes());
        let has_moved = || anyhow::Ok(self.repo.commit("HEAD")?.as_ref() == Some(tip));
        if !is_locked && (!exists(&head_lock) || !has_moved()?) {
            return Ok(());
        }
        let ours = if is_locked { &branch_lock } else { &reference };
        if let (Ok(head), Ok(ours)) = (head_lock.metadata(), ours.metadata())
            && head.len() == 0
            && head.modified()? <= ours.modified()?
        {
            fault::point()?;
            fs_err::remove_file(&head_lock)?;
        }
        if is_locked {
            // Last, because it proves that the other lock is ours.
            fault::point()?;
            fs_err::remove_file(&branch_lock)?;
        }
        Ok(())
    }

    fn head_lock(&self) -> PathBuf {
        self.repo.git_dir.join("HEAD.lock")
    }

    /// The file of the branch that HEAD names, or HEAD itself where it is detached; `None` if refs
    /// are not files.
    fn head_reference(&self) -> Result<Option<PathBuf>> {
        let format = self.repo.setting("extensions.refStorage")?;
        if format.is_some_and(|format| format != "files") {
            return Ok(None);
        }
        let branch = self.repo.git("symbolic-ref --quiet HEAD").optional_text()?;
        Ok(Some(match branch {
            Some(branch) => self.repo.common_dir.join(branch),
            None => self.repo.git_dir.join("HEAD"),
        }))
    }
}
