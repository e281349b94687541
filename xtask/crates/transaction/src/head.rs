//! Moves HEAD to the new commits, past the locks of our own killed git.
//!
//! To move a branch that is a file, git makes `HEAD.lock`, then `refs/heads/NAME.lock` with the new
//! commit in it, renames that into place and removes `HEAD.lock`. A git that is killed on the way
//! leaves one or both; every later commit would then be refused. Only our git knows the commit, so
//! a lock that names it is ours; a `HEAD.lock` that is not younger than that one belongs to the
//! same git. The lock of a reftable does not tell whose it is: it is reported and stays.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::apply::Work;
use super::files::{at_once, exists};
use super::journal::JournalRecord;
use xtask_core::tree::Oid;
use xtask_core::{fault, if_there};

/// The files that stand for HEAD while it is moved.
struct Locks {
    head: PathBuf,
    /// The same as `head` where HEAD is detached.
    branch: PathBuf,
    /// The file of what HEAD names.
    reference: PathBuf,
}

impl Work<'_> {
    /// Moves HEAD, and the branch that it stands for, to `tip`.
    pub(crate) fn advance(&self, tip: &Oid, record: &JournalRecord) -> Result<()> {
        self.remove_own_head_locks(tip)?;
        if self.repo.commit("HEAD")?.as_ref() == Some(tip) {
            return Ok(());
        }
        let commit = record.commit.as_ref();
        let subject = commit.and_then(|commit| commit.message.lines().next());
        let subject = subject.unwrap_or_default();
        let call = self.repo.git("update-ref -m");
        let call = call.arg(format!("xtask {}: {subject}", record.task));
        let call = call.args(["HEAD", &tip.0, &record.head.0]);
        let moved = at_once(|| call.output()).context("moving HEAD to the new commits");
        if moved.is_err() {
            let tables = [&self.repo.git_dir, &self.repo.common_dir]
                .map(|dir| dir.join("reftable/tables.list.lock"));
            let files = self.head_locks()?.map(|locks| [locks.head, locks.branch]);
            if let Some(lock) = files.unwrap_or(tables).iter().find(|lock| exists(lock)) {
                bail!(self.locked(lock));
            }
        }
        moved.map(drop)
    }

    /// Removes the locks of a git that was about to move HEAD to `tip` and was killed. It is dead
    /// by now, because it held the journal's lock.
    pub(crate) fn remove_own_head_locks(&self, tip: &Oid) -> Result<()> {
        let Some(locks) = self.head_locks()? else {
            return Ok(());
        };
        if !exists(&locks.head) && !exists(&locks.branch) {
            return Ok(());
        }
        let content = if_there(fs_err::read(&locks.branch))?;
        let is_locked = content.is_some_and(|content| content.trim_ascii() == tip.0.as_bytes());
        let ours = if is_locked {
            &locks.branch
        } else if self.repo.commit("HEAD")?.as_ref() == Some(tip) {
            &locks.reference
        } else {
            return Ok(());
        };
        if let (Ok(head), Ok(ours)) = (locks.head.metadata(), ours.metadata())
            && head.len() == 0
            && head.modified()? <= ours.modified()?
        {
            fault::point()?;
            fs_err::remove_file(&locks.head)?;
        }
        if is_locked {
            // Last, since it tells that the other one is ours.
            fault::point()?;
            fs_err::remove_file(&locks.branch)?;
        }
        Ok(())
    }

    /// The locks that git takes to move HEAD, if refs are files.
    fn head_locks(&self) -> Result<Option<Locks>> {
        let format = self.repo.setting("extensions.refStorage")?;
        if format.is_some_and(|format| format != "files") {
            return Ok(None);
        }
        let name = self.repo.git("symbolic-ref --quiet HEAD").optional_text()?;
        let (git_dir, common_dir) = (&self.repo.git_dir, &self.repo.common_dir);
        let reference = name.map_or_else(|| git_dir.join("HEAD"), |name| common_dir.join(name));
        Ok(Some(Locks {
            head: git_dir.join("HEAD.lock"),
            branch: reference.with_added_extension("lock"),
            reference,
        }))
    }
}
