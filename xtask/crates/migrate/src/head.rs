//! Moving HEAD to the commits that were made, past the locks that a killed git of ours left.
//!
//! To move a branch, git makes `HEAD.lock`, then `refs/heads/NAME.lock` with the new commit in it,
//! renames that into place and removes `HEAD.lock`. A git that is killed on the way leaves one or
//! both; every later commit would then be refused. The commit tells whose they are: nobody else
//! knows it. Git keeps others out while it holds `HEAD.lock`, so one that is no younger than what
//! holds the commit belongs to the same git.

use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::apply::{Work, locked};
use super::journal::{Record, exists};
use xtask_core::fault;
use xtask_core::tree::Oid;

impl Work<'_> {
    /// Moves HEAD, and the branch that it stands for, to `tip`.
    pub(super) fn advance(&self, tip: &Oid, record: &Record, message: &str) -> Result<()> {
        self.remove_own_head_locks(tip)?;
        if self.repo.commit("HEAD")?.as_ref() == Some(tip) {
            return Ok(());
        }
        fault::point()?;
        let subject = message.lines().next().unwrap_or_default();
        let moved = self
            .repo
            .call()
            .args(["update-ref", "-m"])
            .arg(format!("xtask {}: {subject}", record.task.name()))
            .args(["HEAD", &tip.0, &record.head.0])
            .output()
            .context("moving HEAD to the new commits");
        if moved.is_err() {
            self.expect_no_head_locks()?;
        }
        moved?;
        fault::point().context("moving HEAD to the new commits")
    }

    /// Removes the locks of a git that was to move HEAD to `tip` and was killed. None of ours is
    /// alive by now: the journal was waited for.
    pub(super) fn remove_own_head_locks(&self, tip: &Oid) -> Result<()> {
        let [head_lock, ref_lock] = self.head_locks()?;
        let reference = ref_lock.with_extension("");
        let names_tip = |path: &PathBuf| match fs_err::read(path) {
            Ok(content) => Ok(content.trim_ascii() == tip.0.as_bytes()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        let locked = names_tip(&ref_lock)?;
        let Some(ours) =
            (locked.then_some(&ref_lock)).or(names_tip(&reference)?.then_some(&reference))
        else {
            return Ok(());
        };
        if let (Ok(head), Ok(ours)) = (head_lock.metadata(), ours.metadata())
            && head.len() == 0
            && head.modified()? <= ours.modified()?
        {
            fault::point()?;
            fs_err::remove_file(&head_lock)?;
        }
        if locked {
            // Last, since it tells that the other one is ours.
            fault::point()?;
            fs_err::remove_file(&ref_lock)?;
        }
        Ok(())
    }

    fn expect_no_head_locks(&self) -> Result<()> {
        for lock in self.head_locks()? {
            if exists(&lock) {
                bail!(locked(&lock));
            }
        }
        Ok(())
    }

    /// The locks that git takes to move HEAD: HEAD's own, and that of the branch; one and the same
    /// where HEAD is detached.
    fn head_locks(&self) -> Result<[PathBuf; 2]> {
        let head = self.repo.git_dir.join("HEAD.lock");
        let answer = self
            .repo
            .call()
            .args(["symbolic-ref", "--quiet", "HEAD"])
            .finish()?;
        if !answer.ok {
            return Ok([head.clone(), head]);
        }
        let mut name = answer.stdout.trim_ascii().to_owned();
        name.extend_from_slice(b".lock");
        Ok([head, self.repo.common_dir.join(OsStr::from_bytes(&name))])
    }
}
