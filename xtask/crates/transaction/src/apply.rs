//! Applies the steps of a plan to the work tree, the index and HEAD, path by path, so that a killed
//! run can be resumed or aborted.
//!
//! `git read-tree -u` would overwrite ignored files; here every target and its parents are checked
//! first. Moves are renames, so line-end and filter settings change no bytes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::files::{
    content, copy, exists, is_file, is_free, make_parents, remove_empty_parents, rename, write_new,
};
use super::journal::{Journal, JournalRecord, Phase, VERSION};
use super::steps::PathChange;
use super::{add_recovery_help, list};
use xtask_core::git::{Objects, Repo, Scratch};
use xtask_core::outcome::UserError;
use xtask_core::output::quoted_path;
use xtask_core::progress::{self, Progress};
use xtask_core::tree::{Entries, Oid, RepoPath};
use xtask_core::{fault, if_there};

pub struct Transaction<'a> {
    pub repo: &'a Repo,
    pub journal: &'a Journal,
    pub scratch: Scratch,
    pub objects: Arc<Objects>,
    pub staged: Entries,
}

impl<'a> Transaction<'a> {
    /// Begins where the index stages `staged`, and forgets an earlier transaction.
    pub fn begin(
        repo: &'a Repo,
        journal: &'a Journal,
        scratch: Scratch,
        staged: &Entries,
    ) -> Result<Self> {
        journal.begin(repo)?;
        Ok(Self {
            repo,
            journal,
            scratch,
            objects: repo.objects(),
            staged: staged.clone(),
        })
    }

    /// Continues an earlier run by its record.
    pub fn resume(repo: &'a Repo, journal: &'a Journal) -> Result<Self> {
        Ok(Self {
            repo,
            journal,
            scratch: repo.scratch(&journal.file("scratch"))?,
            objects: repo.objects(),
            staged: repo.index()?.entries,
        })
    }
}

impl Transaction<'_> {
    pub fn apply(&self, mut record: JournalRecord) -> Result<JournalRecord> {
        let prepared = self.prepare(&mut record);
        prepared.map_err(|error| add_recovery_help(self.journal, error))?;
        self.forward(&mut record)?;
        Ok(record)
    }

    /// Gathers what the steps need, then writes the record. Nothing else in the repository changes
    /// before that.
    fn prepare(&self, record: &mut JournalRecord) -> Result<()> {
        let top = &self.repo.top;
        record.version = VERSION;
        fault::point()?;
        if !record.conflicts.is_empty() {
            // Submodules and files that are not checked out can't be resolved in a file.
            let stays = |path: &&RepoPath| {
                let is_touched = |step: &PathChange| {
                    step.target() == Some(*path) || step.vacated() == Some(*path)
                };
                is_file(&path.below(top)) && !record.steps.iter().any(is_touched)
            };
            let ours = record.stages.iter().filter(|stage| stage.stage == 2);
            record.ours = ours.map(|it| &it.path).filter(stays).cloned().collect();
            for (number, path) in record.ours.iter().enumerate() {
                copy(&path.below(top), &self.journal.our_file(number))?;
            }
        }
        let left = &record.steps[record.done..];
        let replaced: Vec<&RepoPath> = left.iter().filter_map(PathChange::replaced).collect();
        let files: Vec<PathBuf> = replaced.iter().map(|path| path.below(top)).collect();
        let oids = self.hash_files(&files)?;
        self.check_unchanged(&record.head, &replaced)?;
        record.found.extend(replaced.into_iter().cloned().zip(oids));
        let targets = left.iter().filter_map(PathChange::target);
        let folders: BTreeSet<RepoPath> = targets.flat_map(RepoPath::ancestors).collect();
        // A link to a folder has to make room for one.
        let is_folder = |path: &Path| path.is_dir() && !path.is_symlink();
        let is_new = |folder: &RepoPath| !is_folder(&folder.below(top));
        // The deepest first, as an abort removes them.
        let folders = folders.into_iter().rev().filter(is_new);
        record.new_folders.extend(folders);
        self.keep_old_index()?;
        self.make_commits(record)?;
        self.journal.write(record)
    }

    fn check_unchanged(&self, head: &Oid, replaced: &[&RepoPath]) -> Result<()> {
        let changed = self.repo.changed_among(replaced.iter().copied())?;
        let what = if !changed.is_empty() {
            let changed = list(&changed);
            format!("these have changed since the plan was made:\n  {changed}")
        } else if self.staged != self.repo.index()?.entries {
            "the index has changed since the plan was made".to_owned()
        } else if self.repo.commit("HEAD")?.as_ref() != Some(head) {
            "HEAD has moved since the plan was made".to_owned()
        } else {
            return Ok(());
        };
        // The journal still holds the files that an abort of the conflicts needs.
        let help = if self.journal.is_open() {
            "take that back with `git restore FILE`, then run this again"
        } else {
            self.journal.remove()?;
            "commit or stash that, then run this again"
        };
        bail!(UserError::new(what, help))
    }

    /// Makes the commits; no ref names them until HEAD moves.
    fn make_commits(&self, record: &mut JournalRecord) -> Result<()> {
        let Some(commit) = &mut record.commit else {
            return Ok(());
        };
        if !commit.wanted || commit.tip.is_some() || !record.conflicts.is_empty() {
            return Ok(());
        }
        // `git commit-tree` ignores the setting and signs only with `-S`.
        let sign = self.repo.is_on("commit.gpgSign")?;
        let make = |tree: &Oid, parent: &Oid, message: &str| {
            let call = self.repo.call();
            let call = call.args(["commit-tree", &tree.0, "-p", &parent.0]);
            let made = call.args(sign.then_some("-S")).input(message).line();
            made.map(Oid)
                .map_err(|error| if sign { unsigned(&error).into() } else { error })
        };
        let mut parent = record.head.clone();
        if let Some(moves) = &commit.moves_tree {
            parent = make(moves, &parent, &commit.moves_message)?;
        }
        commit.tip = Some(make(&record.after_tree, &parent, &commit.message)?);
        Ok(())
    }

    /// Takes the remaining steps, then updates the index and HEAD.
    pub fn forward(&self, record: &mut JournalRecord) -> Result<()> {
        let done = self.take_steps(record);
        done.map_err(|error| add_recovery_help(self.journal, error))
    }

    fn take_steps(&self, record: &mut JournalRecord) -> Result<()> {
        // Commits may have been asked for since.
        if record.tip().is_none() {
            self.make_commits(record)?;
            if record.tip().is_some() {
                self.journal.write(record)?;
            }
        }
        let all = record.steps.len();
        // Steps are taken in order and undone in reverse, so a file that has been written says that
        // all moves and removals before it are done; its name may be one that they vacated.
        let mut first = record.done;
        for number in (record.done..all).rev() {
            if self.is_written(number, record)? {
                first = number + 1;
                break;
            }
        }
        let _progress = Progress::begin("changing files");
        for number in first..all {
            progress::done(number, all, "files");
            self.step_forward(number, &record.steps[number], record)
                .with_context(|| format!("step {} of {all}", number + 1))?;
        }
        self.stage(record)?;
        if !record.conflicts.is_empty() {
            record.state = Phase::Conflicts;
        } else if let Some(tip) = record.tip() {
            self.move_head(tip, record)?;
            return self.end(record);
        } else if record.commit.is_none() {
            // A commit has everything that was removed.
            return self.end(record);
        } else {
            record.state = Phase::Staged;
        }
        record.done = all;
        self.journal.write(record)
    }

    fn step_forward(&self, number: usize, step: &PathChange, record: &JournalRecord) -> Result<()> {
        let top = &self.repo.top;
        if let Some(path) = step.vacated() {
            self.move_aside(number, path, record)?;
        }
        let (path, new) = match step {
            PathChange::Write { path, new, .. } => (path, new),
            PathChange::Move { from: path, .. } | PathChange::Remove { path, .. } => {
                return remove_empty_parents(path, top);
            }
        };
        let (source, target) = (self.journal.file("next"), path.below(top));
        // Where a folder was, its files have moved away; empty folders may be left.
        if !is_free(&target)? {
            bail!(self.appeared(path));
        }
        make_parents(&target)?;
        // A killed run may have left a part of it.
        if_there(fs_err::remove_file(&source))?;
        write_new(&self.objects, &source, new)?;
        rename(&source, &target)
    }

    /// Moves a file to its new place, or into the journal if it is still the one that was found.
    fn move_aside(&self, number: usize, path: &RepoPath, record: &JournalRecord) -> Result<()> {
        let source = path.below(&self.repo.top);
        let (aside, new_place) = self.aside(number, record);
        let has_left = is_free(&source)?;
        match (has_left, is_free(&aside)?) {
            (true, true) if new_place.is_some() => bail!(self.changed(path)),
            (true, _) => {}
            (false, false) => bail!(self.appeared(new_place.unwrap_or(path))),
            (false, true) if is_file(&source) => {
                make_parents(&aside)?;
                rename(&source, &aside)?;
            }
            (false, true) => bail!(self.changed(path)),
        }
        let found = record.found.get(path);
        let found = found.filter(|_| new_place.is_none() && exists(&aside));
        if found.is_some() && self.hash_files(std::slice::from_ref(&aside))?.first() != found {
            rename(&aside, &source)?;
            bail!(self.changed(path));
        }
        Ok(())
    }

    fn changed(&self, path: &RepoPath) -> UserError {
        let quoted = quoted_path(path);
        let first = format!(
            "copy your version to another place and restore the file with `git checkout -- {quoted}`"
        );
        let what = format!("{path} has changed since the plan was made");
        self.journal.task.resume_or_abort(what, &first)
    }

    fn appeared(&self, path: &RepoPath) -> UserError {
        let what = format!("{path} has appeared since the plan was made");
        let task = self.journal.task;
        task.resume_only(what, "move it to another place")
    }

    /// Where a step moves a file that leaves its place, and whether that is a new place for it.
    pub(crate) fn aside<'r>(
        &self,
        number: usize,
        record: &'r JournalRecord,
    ) -> (PathBuf, Option<&'r RepoPath>) {
        match &record.steps[number] {
            PathChange::Move { to, .. } => (to.below(&self.repo.top), Some(to)),
            _ => (self.journal.old_file(number), None),
        }
    }

    /// Whether a step has written its file, and the file is unchanged since.
    pub(crate) fn is_written(&self, number: usize, record: &JournalRecord) -> Result<bool> {
        let PathChange::Write { path, new, .. } = &record.steps[number] else {
            return Ok(false);
        };
        let target = path.below(&self.repo.top);
        Ok(is_file(&target)
            && self.is_vacated(number, record)
            && self.objects.blob(&new.oid)?.as_ref() == Some(&content(&target)?))
    }

    pub(crate) fn is_vacated(&self, number: usize, record: &JournalRecord) -> bool {
        let target = record.steps[number].target();
        let leaves = |step: &usize| record.steps[*step].vacated() == target;
        let mut steps = (0..=number).filter(leaves);
        steps.all(|step| exists(&self.aside(step, record).0))
    }

    /// Ends a transaction. The old files are deleted, except those that an open editor has saved
    /// since.
    fn end(&self, record: &JournalRecord) -> Result<()> {
        let steps = record.steps.iter().enumerate();
        let aside = steps.filter_map(|(number, step)| {
            let (path, file) = (step.replaced()?, self.journal.old_file(number));
            exists(&file).then_some((path, file))
        });
        let (paths, files): (Vec<&RepoPath>, Vec<PathBuf>) = aside.unzip();
        let oids = self.hash_files(&files)?;
        let mut kept = Vec::new();
        for ((path, file), oid) in paths.into_iter().zip(files).zip(oids) {
            if record.found.get(path) != Some(&oid) {
                kept.push(self.keep(path, &file)?.display().to_string());
            }
        }
        self.journal.remove()?;
        if !kept.is_empty() {
            bail!(UserError::new(
                format!(
                    "the {} is done, but these were saved while they were replaced:\n  {}",
                    self.journal.task.name,
                    kept.join("\n  ")
                ),
                "bring what you need from there to the new files"
            ));
        }
        Ok(())
    }

    /// The hashes of files in the work tree, unfiltered.
    fn hash_files(&self, files: &[PathBuf]) -> Result<Vec<Oid>> {
        let contents = files.iter().map(|file| content(file));
        let contents: Vec<Vec<u8>> = contents.collect::<Result<_>>()?;
        self.scratch.hashes(contents.iter().map(Vec::as_slice))
    }

    pub(crate) fn locked(&self, lock: &Path) -> UserError {
        let lock = lock.display();
        self.journal.task.resume_only(
            format!("{lock} is there: another git is at work, or was killed"),
            "wait for it to end, or remove the file",
        )
    }
}

fn unsigned(error: &anyhow::Error) -> UserError {
    UserError::new(
        format!("the commit could not be made with a signature: {error:#}"),
        "fix what git says of the key, or do without signatures here by `git config \
         commit.gpgSign false`, then run this again; `git config --show-origin commit.gpgSign` \
         tells who asks for them",
    )
}
