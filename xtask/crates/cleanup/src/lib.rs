//! `cargo xtask cleanup`: removes `outdated/` if nothing is lost by it.
//!
//! The committed tree decides; untracked files don't count. All obstacles are listed at once. The
//! removal is a transaction: after a kill, running it again finishes it.

pub mod args;
mod check;
mod differs;
mod mentions;
mod report;
mod restore_point;
mod retired;
mod survey;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use self::check::{Obstacle, PassedReason};
use self::mentions::Mention;
use self::report::{CleanupEnding, CleanupReport};
use self::restore_point::Restore;
use self::survey::Survey;
use crate::args::Args;
use compare::accepted::Accepted;
use compare::cleanup_gate;
use migrate::preflight::{self, Preflight};
use transaction::apply::Work;
use transaction::files::{holds_no_file, remove_empty_below};
use transaction::journal::{Commit, Journal, JournalRecord};
use transaction::{Ways, steps, stopped};
use worker_files::references::MentionKind;
use xtask_core::commands::Commands;
use xtask_core::git::{Git, GitTree, Repo, Scratch};
use xtask_core::layout::{ACCEPTED, LOCK, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::outcome::Outcome;
use xtask_core::records;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tool_repo;
use xtask_core::tree::{Entries, Entry, Mode, RepoPath, Tree};

pub const TASK: &str = "cleanup";

const WAYS: Ways = Ways {
    name: "cleanup",
    resume: "cargo xtask cleanup",
    abort: "cargo xtask migrate --abort",
};

/// A file with its contents to come.
type Written = (RepoPath, Vec<u8>);

pub fn run(dir: Option<&Path>, args: &Args) -> Result<Outcome> {
    let commands = Commands::new(dir);
    let repo = open(dir).map_err(|error| commands.refusal(error))?;
    let commands = commands.at_root(dir, &repo.top);
    cleanup(&repo, args, &commands).map_err(|error| commands.refusal(error))
}

fn open(dir: Option<&Path>) -> Result<Repo> {
    let repo = Repo::open(&Git::find()?, &tool_repo::chosen(dir)?)?;
    tool_repo::expect_named(dir, &repo.top, "cleanup")?;
    Ok(repo)
}

fn cleanup(repo: &Repo, args: &Args, commands: &Commands) -> Result<Outcome> {
    let journal = Journal::hold(repo, WAYS)?;
    let report = CleanupReport::new(args.format, commands);
    if let Some(mut record) = journal.read()? {
        if record.task != TASK {
            migrate::expect_dealt_with(repo, &record)?;
        } else if is_current(repo, &record)? {
            if args.dry_run {
                return report.interrupted();
            }
            finish(repo, &journal, &mut record)?;
            // With `--commit`, go on and commit what the interrupted run only staged.
            if !args.commit || record.commit.is_some() {
                let restore = restore_point::restore(repo, &record.head)?;
                return report.finished(&record, restore.as_ref());
            }
        } else if !args.dry_run {
            // The removed files are committed, and HEAD has moved on.
            journal.remove()?;
        }
    }
    let at = preflight::look_at_any(repo)?;
    let head = at_head(&at)?;
    let is_there = |entries: &Entries| entries.keys().any(|path| path.is_within(OUTDATED));
    if !is_there(head.entries()) && !is_there(at.ours.entries()) {
        let local = survey::local(repo, &at.status.local);
        let obstacles = local.iter().map(|one| check::local(one, commands));
        let plan = RemovalPlan {
            obstacles: obstacles.collect(),
            ..RemovalPlan::default()
        };
        if !plan.obstacles.is_empty() {
            report.plan(&plan)?;
            return report.end(&plan, &CleanupEnding::Stopped);
        }
        if !args.dry_run {
            remove_folders(repo)?;
        }
        return report.nothing();
    }
    let lock = Lock::read(&head)?;
    let gate = cleanup_gate::look(&head)?;
    let scratch_dir = ScratchFolder::new("scratch")?;
    let scratch = repo.scratch(scratch_dir.path())?;
    let writes = writes(head.entries(), lock.as_ref(), &gate.accepted)?;
    let after = after(&scratch, head.entries(), &writes)?;
    let staged = staged(&at, &after, &writes);
    let is_staged = !staged.is_empty() && staged.len() == at.status.changed.len();
    let survey = Survey::make(&at, &head, lock.as_ref(), gate, &staged)?;
    let plan = RemovalPlan::make(&survey, head.entries(), &writes, commands);
    report.plan(&plan)?;
    if !plan.obstacles.is_empty() {
        return report.end(&plan, &CleanupEnding::Stopped);
    }
    if args.dry_run {
        return report.end(&plan, &CleanupEnding::DryRun);
    }
    if is_staged && !args.commit {
        return report.end(&plan, &CleanupEnding::Staged);
    }
    preflight::expect_unlocked(repo)?;
    let mut commit = None;
    if args.commit {
        transaction::expect_identity(repo)?;
        commit = Some(Commit {
            wanted: true,
            message: plan.message(),
            ..Commit::default()
        });
    }
    let contents = writes.iter().map(|(_, content)| content.as_slice());
    scratch.blobs(contents)?;
    let record = remove(&journal, &at, scratch, (head.entries(), &after), commit)?;
    match record.commit.and_then(|commit| commit.tip) {
        Some(tip) => report.end(&plan, &CleanupEnding::Committed(tip)),
        None => report.end(&plan, &CleanupEnding::Staged),
    }
}

/// Applies the removal, and commits it if asked to.
fn remove(
    journal: &Journal,
    at: &Preflight,
    scratch: Scratch,
    (before, after): (&Entries, &Entries),
    commit: Option<Commit>,
) -> Result<JournalRecord> {
    let staged = at.ours.entries();
    // Nothing is left to do in the work tree where all of it is staged already.
    let steps = steps::between(staged, after, &[]);
    let from = if staged == after { staged } else { before };
    let after_tree = steps::tree_of(&scratch, from, after)?;
    let mut record = JournalRecord::new(TASK, &at.head, &at.head_tree, &after_tree, steps);
    record.ends_when_staged = true;
    record.commit = commit;
    let edit = Work::index_edit(before, after, &record)?;
    let work = Work {
        repo: &at.repo,
        journal,
        scratch,
        objects: at.objects.clone(),
        staged: staged.clone(),
    };
    journal.begin()?;
    let prepared = work.prepare(record, &edit);
    let mut record = prepared.map_err(|error| stopped(journal, error))?;
    finish(&at.repo, journal, &mut record)?;
    Ok(record)
}

/// The ids that need a reason from `compare --accept`.
pub fn questions(root: &Path) -> Result<Vec<String>> {
    let at = preflight::look_at_any(&Repo::open(&Git::find()?, root)?)?;
    let head = at_head(&at)?;
    let changed = survey::changed(&at, &head, Lock::read(&head)?.as_ref())?;
    let mentions = mentions::find(&head, &mentions::candidates(&at.repo)?)?;
    let changed = changed.iter().map(|one| check::changed_id(&one.below));
    let code = mentions.iter().filter(|one| one.kind == MentionKind::Code);
    let code = code.map(|one| check::mention_id(&one.path));
    let mut ids: Vec<String> = changed.chain(code).collect();
    ids.dedup();
    Ok(ids)
}

/// The records without their entries for the folder.
fn writes(of: &Entries, lock: Option<&Lock>, accepted: &Accepted) -> Result<Vec<Written>> {
    // A record stays in the place where it is: moving it is migrate's work.
    let place = |record| records::place_in(of, record).map(RepoPath::from);
    let mut writes = Vec::new();
    if accepted.of_cleanup().next().is_some() {
        let accepted = accepted.after_cleanup();
        writes.push((place(ACCEPTED)?, accepted.write().into_bytes()));
    }
    let mut kept = lock.cloned();
    if let Some(kept) = &mut kept
        && let Some(retired) = &mut kept.retired
    {
        retired.retain(|path, _| !path.is_within(OUTDATED));
        if Some(&*kept) != lock {
            writes.push((place(LOCK)?, kept.to_bytes()?));
        }
    }
    Ok(writes)
}

/// Whether a tree's records still have entries for the folder.
pub fn is_on_record(tree: &dyn Tree) -> Result<bool> {
    let accepted = Accepted::of_tree(tree)?;
    Ok(!writes(tree.entries(), Lock::read(tree)?.as_ref(), &accepted)?.is_empty())
}

/// The paths of a removal that is already staged in full; else none.
fn staged(at: &Preflight, after: &Entries, writes: &[Written]) -> Vec<RepoPath> {
    let concerns = |path: &RepoPath| {
        path.is_within(OUTDATED) || writes.iter().any(|(written, _)| written == path)
    };
    let concerned = |entries: &Entries| {
        let mut entries = entries.clone();
        entries.retain(|path, _| concerns(path));
        entries
    };
    let status = &at.status;
    if concerned(at.ours.entries()) != concerned(after) || status.unstaged.iter().any(concerns) {
        return Vec::new();
    }
    let changed = status.changed.iter();
    changed.filter(|path| concerns(path)).cloned().collect()
}

/// What a run is about to do, or what keeps it from that.
#[derive(Default, Serialize)]
pub struct RemovalPlan {
    pub restore: Option<Restore>,
    pub files: Vec<RepoPath>,
    /// What is written because it spoke of these.
    pub writes: Vec<RepoPath>,
    pub obstacles: Vec<Obstacle>,
    /// What passed for a reason on record.
    pub reasons: Vec<PassedReason>,
    /// Texts that speak of the folder.
    pub mentions: Vec<Mention>,
}

impl RemovalPlan {
    fn make(survey: &Survey, head: &Entries, writes: &[Written], commands: &Commands) -> Self {
        let (obstacles, reasons) = check::check(survey, commands);
        let files = head.keys().filter(|path| path.is_within(OUTDATED));
        let mut mentions = survey.mentions.clone();
        mentions.retain(|one| one.kind == MentionKind::Prose);
        Self {
            restore: survey.restore.clone(),
            files: files.cloned().collect(),
            writes: writes.iter().map(|(path, _)| path.clone()).collect(),
            obstacles,
            reasons,
            mentions,
        }
    }

    fn message(&self) -> String {
        const LISTED: usize = 60;
        let count = self.files.len();
        let files = if count == 1 { "file" } else { "files" };
        let mut text = format!(
            "chore: remove {OUTDATED}/\n\n\
             `cargo xtask compare` has nothing open, and .xtask/baseline.json keeps what the old\n\
             worker exposed.\n"
        );
        if let Some(restore) = &self.restore {
            text += &format!("\nGet it back with:\n    git {}\n", restore.command());
        }
        if !self.reasons.is_empty() {
            text += "\nAccepted:\n";
        }
        for reason in &self.reasons {
            let words = reason.reason.split_whitespace().collect::<Vec<_>>();
            text += &format!("- {}: {}\n", reason.id, words.join(" "));
        }
        text += &format!("\nRemoved, {count} {files}:\n");
        for path in self.files.iter().take(LISTED) {
            text += &format!("- {path}\n");
        }
        if count > LISTED {
            text += &format!("- and {} more\n", count - LISTED);
        }
        text
    }
}

/// The committed files, which decide everything.
fn at_head(at: &Preflight) -> Result<GitTree> {
    let entries = at.repo.entries(&at.head_tree)?;
    Ok(GitTree::new(at.objects.clone(), entries, "HEAD"))
}

/// The files after the removal. Stores no object, since a dry run needs only the hashes.
fn after(scratch: &Scratch, before: &Entries, writes: &[Written]) -> Result<Entries> {
    let mut after = before.clone();
    after.retain(|path, _| !path.is_within(OUTDATED));
    let oids = scratch.hashes(writes.iter().map(|(_, content)| content.as_slice()))?;
    for ((path, _), oid) in writes.iter().zip(oids) {
        let mode = after.get(path).map_or(Mode::File, |entry| entry.mode);
        after.insert(path.clone(), Entry::of(mode, oid));
    }
    Ok(after)
}

/// Whether HEAD is where the cleanup began, or where it leads to.
fn is_current(repo: &Repo, record: &JournalRecord) -> Result<bool> {
    let head = repo.commit("HEAD")?;
    let tip = record.commit.as_ref().and_then(|commit| commit.tip.clone());
    Ok(head.is_some() && (head.as_ref() == Some(&record.head) || head == tip))
}

/// Takes the steps that are left.
fn finish(repo: &Repo, journal: &Journal, record: &mut JournalRecord) -> Result<()> {
    let work = Work::resumed(repo, journal)?;
    work.forward(record)
        .map_err(|error| stopped(journal, error))?;
    remove_folders(repo)
}

/// Removes empty folders, which git does not track.
fn remove_folders(repo: &Repo) -> Result<()> {
    let folder = repo.top.join(OUTDATED);
    if holds_no_file(&folder)? {
        remove_empty_below(&folder)?;
    }
    Ok(())
}
