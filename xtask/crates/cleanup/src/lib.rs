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
use serde::{Serialize, Serializer};
use serde_json::json;

use self::check::{Check, Obstacle, PassedReason};
use self::report::{CleanupEnding, CleanupReport};
use crate::args::Args;
use compare::accepted::Accepted;
use compare::cleanup_gate;
use migrate::preflight::{self, Preflight};
use transaction::apply::Work;
use transaction::files::{holds_no_file, remove_empty_below};
use transaction::journal::{Commit, Journal, JournalRecord};
use transaction::{Ways, steps};
use worker_files::references::{Dangling, MentionKind};
use xtask_core::commands::Commands;
use xtask_core::git::{Git, GitTree, Repo, Scratch};
use xtask_core::layout::{ACCEPTED, LOCK, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::outcome::Outcome;
use xtask_core::output::counted;
use xtask_core::records;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tool_repo;
use xtask_core::tree::{Entries, Entry, Mode, Oid, RepoPath, Tree};

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
            Work::resumed(repo, &journal)?.forward(&mut record)?;
            remove_folders(repo)?;
            // With `--commit`, go on and commit what the interrupted run only staged.
            if !args.commit || record.commit.is_some() {
                let restore = restore(repo, &record.head)?;
                return report.finished(&record, restore.as_ref());
            }
        } else if !args.dry_run {
            // The removed files are committed, and HEAD has moved on.
            journal.remove()?;
        }
    }
    let at = preflight::look_at_any(repo)?;
    let head = at_head(&at)?;
    let mut check = Check::new(&at, &head, commands);
    let is_there = |entries: &Entries| entries.keys().any(|path| path.is_within(OUTDATED));
    if !is_there(head.entries()) && !is_there(at.ours.entries()) {
        check.local(&[]);
        if !check.obstacles.is_empty() {
            return report.stopped(&RemovalPlan::new(check, &[], None));
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
    let restore = restore(repo, &at.head)?;
    check.all(lock.as_ref(), &gate, &staged, restore.as_ref())?;
    let plan = RemovalPlan::new(check, &writes, restore);
    if !plan.obstacles.is_empty() {
        return report.stopped(&plan);
    }
    report.plan(&plan)?;
    if args.dry_run {
        return report.end(&plan, &CleanupEnding::DryRun);
    }
    if !staged.is_empty() && staged.len() == at.status.changed.len() && !args.commit {
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
    let record = remove(&journal, &at, scratch, &after, commit)?;
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
    after: &Entries,
    commit: Option<Commit>,
) -> Result<JournalRecord> {
    let staged = at.ours.entries();
    let record = JournalRecord {
        task: TASK.to_owned(),
        ends_when_staged: true,
        head: at.head.clone(),
        before_tree: at.head_tree.clone(),
        after_tree: steps::tree_of(&scratch, staged, after)?,
        // Nothing is left to do in the work tree where all of it is staged already.
        steps: steps::between(staged, after, &[]),
        commit,
        ..JournalRecord::default()
    };
    let work = Work {
        repo: &at.repo,
        journal,
        scratch,
        objects: at.objects.clone(),
        staged: staged.clone(),
    };
    journal.begin(&at.repo)?;
    let record = work.apply(record, after)?;
    remove_folders(&at.repo)?;
    Ok(record)
}

/// The ids that need a reason from `compare --accept`.
pub fn questions(root: &Path) -> Result<Vec<String>> {
    let at = preflight::look_at_any(&Repo::open(&Git::find()?, root)?)?;
    let head = at_head(&at)?;
    let changed = check::changed(&head, Lock::read(&head)?.as_ref());
    let mentions = mentions::find(&head, &mentions::candidates(&at.repo)?)?;
    let code = mentions.iter().filter(|one| one.kind == MentionKind::Code);
    let code = code.map(|one| check::mention_id(&one.path));
    let mut ids: Vec<String> = changed.into_iter().map(|(id, _)| id).chain(code).collect();
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

/// A commit that has `outdated/` as it is now.
#[derive(Serialize)]
pub struct Restore {
    pub commit: Oid,
    /// The branch or tag that keeps it.
    pub on: String,
}

impl Restore {
    /// The command of git that brings the folder back.
    pub fn command(&self) -> String {
        format!("restore --source={} -- {OUTDATED}", self.commit)
    }
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

/// What a run is about to do, or what keeps it from that.
#[derive(Serialize)]
pub struct RemovalPlan {
    pub restore: Option<Restore>,
    pub files: Vec<RepoPath>,
    /// What is written because it spoke of these.
    pub writes: Vec<RepoPath>,
    pub obstacles: Vec<Obstacle>,
    /// What passed for a reason on record.
    pub reasons: Vec<PassedReason>,
    /// Texts that speak of the folder.
    #[serde(serialize_with = "places")]
    pub mentions: Vec<Dangling>,
}

fn places<S: Serializer>(mentions: &[Dangling], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(mentions.iter().map(|one| {
        json!({
            "path": one.path,
            "line": one.line,
            "column": one.column,
            "kind": one.kind,
            "text": one.text,
        })
    }))
}

impl RemovalPlan {
    fn new(check: Check, writes: &[Written], restore: Option<Restore>) -> Self {
        let files = check.head.entries().keys();
        let files = files.filter(|path| path.is_within(OUTDATED));
        Self {
            restore,
            files: files.cloned().collect(),
            writes: writes.iter().map(|(path, _)| path.clone()).collect(),
            obstacles: check.obstacles,
            reasons: check.passed,
            mentions: check.mentions,
        }
    }

    fn message(&self) -> String {
        const LISTED: usize = 60;
        let count = self.files.len();
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
        text += &format!("\nRemoved, {}:\n", counted(count, "file"));
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

/// Removes empty folders, which git does not track.
fn remove_folders(repo: &Repo) -> Result<()> {
    let folder = repo.top.join(OUTDATED);
    if holds_no_file(&folder)? {
        remove_empty_below(&folder)?;
    }
    Ok(())
}
