//! Taking back what `apply` has done, step by step and in reverse.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::apply::Work;
use super::files::{make_parents, remove_empty_parents_until, rename, same_content, write_new};
use super::journal::{Commit, Record, exists};
use super::steps::Step;
use xtask_core::git::IndexEdit;
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Entry, RepoPath};

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
            self.ours_back(number, path, &mut kept)?;
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
            Step::Move { from, to } => match before.get(from) {
                Some(entry) => self.bring_back(from, to, entry),
                None => Ok(()),
            },
            Step::Remove { path, .. } => self.take_out(number, path, kept),
            Step::Write { path, new, .. } => {
                let (source, target) = (self.journal.new_file(number), path.below(top));
                if exists(&source) && !(self.is_across()? && self.arrived(number, step)?) {
                    return self.take_out(number, path, kept);
                }
                if exists(&target) {
                    if exists(&source) {
                        // A copy across file systems that was killed before its last step.
                        fs_err::remove_file(&target)?;
                    } else if self.hash(&target)? == new.oid {
                        rename(&target, &source)?;
                    } else {
                        kept.push(self.keep(path, &path.below(&self.repo.top))?);
                    }
                    remove_empty_parents_until(path, top, |folder| {
                        before
                            .keys()
                            .any(|path| path.ancestors().any(|above| above == *folder))
                    })?;
                }
                if !exists(&source) {
                    // So that this step counts as undone, whatever comes next.
                    self.lay_out(number, new)?;
                }
                self.take_out(number, path, kept)
            }
        }
    }

    /// Puts a file back that was in conflict, if whoever resolved it has changed it.
    fn ours_back(&self, number: usize, path: &RepoPath, kept: &mut Vec<PathBuf>) -> Result<()> {
        let (copy, place) = (self.journal.our_file(number), path.below(&self.repo.top));
        if !exists(&copy) {
            return Ok(());
        }
        if exists(&place) {
            let mode = |path: &Path| path.symlink_metadata().map(|data| data.mode());
            if same_content(&copy, &place)? && mode(&copy)? == mode(&place)? {
                return Ok(());
            }
            kept.push(self.keep(path, &path.below(&self.repo.top))?);
        }
        make_parents(&place)?;
        rename(&copy, &place)
    }

    /// Moves a file from `to` to where it was; one that is gone comes from git.
    fn bring_back(&self, from: &RepoPath, to: &RepoPath, entry: &Entry) -> Result<()> {
        let (source, target) = (from.below(&self.repo.top), to.below(&self.repo.top));
        if exists(&source) {
            return Ok(());
        }
        make_parents(&source)?;
        if exists(&target) {
            return rename(&target, &source);
        }
        let side = entry.side().context("a tracked file without an object")?;
        write_new(&self.objects, &source, &side)
    }

    /// Moves what a step had taken away back to its place.
    fn take_out(&self, number: usize, path: &RepoPath, kept: &mut Vec<PathBuf>) -> Result<()> {
        let (aside, place) = (self.journal.old_file(number), path.below(&self.repo.top));
        if !exists(&aside) {
            return Ok(());
        }
        if exists(&place) {
            kept.push(self.keep(path, &path.below(&self.repo.top))?);
        }
        make_parents(&place)?;
        rename(&aside, &place)
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

    fn index_back(&self, record: &Record, before: &Entries) -> Result<()> {
        let index = self.repo.index_file.clone();
        let (old, new) = (self.journal.index_old(), self.journal.index_new());
        self.remove_own_lock()?;
        if self.same_index(&index, &old)? {
            return Ok(());
        }
        if self.same_index(&index, &new)? {
            return self.install_index(&old, &new);
        }
        // Something else was staged since; only what the migration staged is taken back.
        let mut edit = IndexEdit::default();
        let after = self.repo.entries(&record.after_tree)?;
        for stage in &record.stages {
            edit.remove(&stage.path);
        }
        for path in after.keys().filter(|path| !before.contains_key(path)) {
            edit.remove(path);
        }
        for (path, entry) in before {
            if after.get(path) != Some(entry) || record.stages.iter().any(|s| s.path == *path) {
                let oid = entry
                    .oid
                    .as_ref()
                    .context("a tracked file without an object")?;
                edit.put(path, entry.mode, oid);
            }
        }
        let back = self.journal.index_new().with_extension("back");
        fs_err::copy(&index, &back)?;
        self.scratch.edit_index(&back, &edit)?;
        let current = self.journal.index_new().with_extension("current");
        fs_err::copy(&index, &current)?;
        self.install_index(&back, &current)
    }
}
