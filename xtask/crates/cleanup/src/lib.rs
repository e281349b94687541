//! `cargo xtask cleanup`: removes `outdated/` if nothing is lost by it.
//!
//! The committed tree decides; untracked files don't count. All obstacles are listed at once. The
//! removal is a transaction: after a kill, running it again finishes it.

pub mod args;
mod check;
mod mentions;
mod report;

use std::path::Path;

use anyhow::Result;

use self::check::ObstacleCheck;
use self::report::{CleanupReport, RemovalPlan, Restore};
use crate::args::Args;
use compare::accepted::Accepted;
use compare::cleanup_gate;
use migrate::preflight::{self, Preflight};
use transaction::apply::Transaction;
use transaction::files::remove_empty;
use transaction::journal::{Commit, Journal, JournalRecord};
use transaction::targets::check_targets_free;
use transaction::{Task, steps};
use worker_files::references::MentionKind;
use xtask_core::commands::Commands;
use xtask_core::git::{Git, GitTree, Repo, Scratch};
use xtask_core::layout::{ACCEPTED, BASELINE, LOCK, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::outcome::Outcome;
use xtask_core::records;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tool_repo;
use xtask_core::tree::{Entries, Mode, Oid, RepoPath, Tree, TreeEntry, differences};

pub const TASK: &str = "cleanup";

const TRANSACTION: Task = Task {
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
    let journal = Journal::lock(repo, TRANSACTION)?;
    let format = args.format;
    let report = CleanupReport { format, commands };
    if let Some(record) = journal.read()?
        && let Some(outcome) = resume_or_clear(repo, &journal, record, args, &report)?
    {
        return Ok(outcome);
    }
    let at = preflight::read(repo)?;
    let head = at_head(&at)?;
    let restore = restore(repo, &at.head)?;
    let mut check = ObstacleCheck {
        at: &at,
        head: &head,
        commands,
        plan: RemovalPlan::new(head.entries(), restore),
    };
    if check.plan.files.is_empty() && !at.ours.entries().keys().any(is_outdated) {
        check.check_untracked(&[]);
        if !check.plan.obstacles.is_empty() {
            return report.stopped(&check.plan);
        }
        if !args.dry_run {
            remove_empty(&repo.top.join(OUTDATED))?;
        }
        return report.nothing(open_facts(&head)?);
    }
    let lock = Lock::read(&head)?;
    let gate = cleanup_gate::look(&head)?;
    let scratch_dir = ScratchFolder::new("scratch")?;
    let scratch = repo.scratch(scratch_dir.path())?;
    let writes = writes(head.entries(), lock.as_ref(), &gate.accepted)?;
    let after = after(&scratch, head.entries(), &writes)?;
    let staged = staged(&at, &after, &writes);
    check.plan.writes = writes.iter().map(|(path, _)| path.clone()).collect();
    let plan = check.all(lock.as_ref(), &gate, &staged)?;
    if !plan.obstacles.is_empty() {
        return report.stopped(&plan);
    }
    let index = at.ours.entries();
    let steps = steps::changes_between(index, &after, &[]);
    check_targets_free(repo, &steps, index)?;
    report.plan(&plan)?;
    let is_all_staged = !staged.is_empty() && staged.len() == at.status.changed.len();
    if args.dry_run || is_all_staged && !args.commit {
        return report.end(&plan, args.dry_run, None);
    }
    preflight::check_unlocked(repo)?;
    if args.commit {
        transaction::check_identity(repo)?;
    }
    scratch.blobs(contents(&writes))?;
    let record = JournalRecord {
        task: TASK.to_owned(),
        head: at.head.clone(),
        before_tree: steps::write_tree(&scratch, index, index)?,
        after_tree: steps::write_tree(&scratch, index, &after)?,
        // Nothing is left to do in the work tree where all of it is staged already.
        steps,
        commit: args.commit.then(|| Commit {
            wanted: true,
            message: plan.message(),
            ..Commit::default()
        }),
        ..JournalRecord::default()
    };
    let record = Transaction::begin(repo, &journal, scratch, index)?.apply(record)?;
    remove_empty(&repo.top.join(OUTDATED))?;
    report.end(&plan, false, record.tip())
}

/// How many entries of `compare` are open by the record of the old worker; none without one.
fn open_facts(head: &GitTree) -> Result<usize> {
    let has_record = records::read(head, BASELINE)?.is_some();
    let gate = has_record.then(|| cleanup_gate::look(head)).transpose()?;
    Ok(gate.map_or(0, |gate| gate.open.len()))
}

/// Deals with the record of an earlier run, and ends there unless there is more to do.
fn resume_or_clear(
    repo: &Repo,
    journal: &Journal,
    mut record: JournalRecord,
    args: &Args,
    report: &CleanupReport,
) -> Result<Option<Outcome>> {
    let head = repo.commit("HEAD")?;
    let is_here = |commit: &Oid| head.as_ref() == Some(commit);
    if record.task != TASK {
        migrate::refuse_unfinished(repo, &record)?;
    } else if is_here(&record.head) || record.tip().is_some_and(is_here) {
        if args.dry_run {
            return report.interrupted().map(Some);
        }
        Transaction::resume(repo, journal)?.forward(&mut record)?;
        remove_empty(&repo.top.join(OUTDATED))?;
        // With `--commit`, go on and commit what the interrupted run only staged.
        if !args.commit || record.commit.is_some() {
            let restore = restore(repo, &record.head)?;
            return report.finished(&record, restore.as_ref()).map(Some);
        }
    } else if !args.dry_run {
        // The removed files are committed, and HEAD has moved on.
        journal.remove()?;
    }
    Ok(None)
}

/// The ids that need a reason from `compare --accept`.
pub fn questions(root: &Path) -> Result<Vec<String>> {
    let at = preflight::read(&Repo::open(&Git::find()?, root)?)?;
    let head = at_head(&at)?;
    let changed = check::changed_since(&head, Lock::read(&head)?.as_ref());
    let mut ids: Vec<String> = changed.into_iter().map(|(id, _)| id).collect();
    let mentions = mentions::find(&head, &at.repo)?.into_iter();
    let code = mentions.filter(|mention| mention.kind == MentionKind::Code);
    ids.extend(code.map(|mention| check::mention_id(&mention.path)));
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
    if let Some(retired) = kept.as_mut().and_then(|lock| lock.retired.as_mut()) {
        retired.retain(|path, _| !is_outdated(path));
    }
    if let Some(kept) = kept.filter(|kept| Some(kept) != lock) {
        writes.push((place(LOCK)?, kept.to_bytes()?));
    }
    Ok(writes)
}

/// The paths of a removal that is already staged in full; else none.
fn staged(at: &Preflight, after: &Entries, writes: &[Written]) -> Vec<RepoPath> {
    let concerns =
        |path: &RepoPath| is_outdated(path) || writes.iter().any(|(written, _)| written == path);
    let (status, index) = (&at.status, at.ours.entries());
    let mut differ = differences(index, after).into_iter();
    if differ.any(|(path, ..)| concerns(path)) || status.unstaged.iter().any(concerns) {
        return Vec::new();
    }
    let changed = status.changed.iter();
    changed.filter(|path| concerns(path)).cloned().collect()
}

/// Prefers the last commit that changed the folder, which is most often on the main branch; else
/// HEAD.
fn restore(repo: &Repo, head: &Oid) -> Result<Option<Restore>> {
    let tree = repo.folder(head, OUTDATED)?;
    let last = repo.last_change(head, OUTDATED)?;
    for commit in last.iter().chain([head]) {
        if tree.is_some()
            && repo.folder(commit, OUTDATED)? == tree
            && let Some(on) = repo.kept_by(commit)?
        {
            let commit = commit.clone();
            return Ok(Some(Restore { commit, on }));
        }
    }
    Ok(None)
}

fn contents(writes: &[Written]) -> impl Iterator<Item = &[u8]> {
    writes.iter().map(|(_, content)| content.as_slice())
}

fn is_outdated(path: &RepoPath) -> bool {
    path.is_within(OUTDATED)
}

fn at_head(at: &Preflight) -> Result<GitTree> {
    Ok(at.tree(&at.repo.entries(&at.head_tree)?, "HEAD"))
}

/// The files after the removal. Stores no object, since a dry run needs only the hashes.
fn after(scratch: &Scratch, before: &Entries, writes: &[Written]) -> Result<Entries> {
    let mut after = before.clone();
    after.retain(|path, _| !is_outdated(path));
    let oids = scratch.hashes(contents(writes))?;
    for ((path, _), oid) in writes.iter().zip(oids) {
        let mode = after.get(path).map_or(Mode::File, |entry| entry.mode);
        after.insert(path.clone(), TreeEntry::of(mode, oid));
    }
    Ok(after)
}
