//! `cargo xtask cleanup`: removes `outdated/` when, and only when, nothing is lost by it.
//!
//! Everything is decided from the committed tree and told at once: a file that git does not know
//! has no say in whether something is missing. Removing goes through the
//! journal of migrate, so that no moment is a bad one to be killed at: running it again finishes
//! what was begun.

pub mod args;
mod check;
mod differs;
mod mentions;
mod report;
mod restore_point;
mod retired;

use std::path::Path;

use anyhow::Result;

use self::check::{Found, Local, Obstacle, Reason};
use self::differs::Differs;
use self::mentions::Mention;
use self::report::{Ending, Report};
use self::restore_point::Restore;
use self::retired::{Changed, History, Witness};
use crate::args::Args;
use compare::accepted::Accepted;
use compare::cleanup_gate::{self, CleanupGate};
use migrate::preflight::{self, Preflight};
use transaction::apply::Work;
use transaction::files::{holds_no_file, remove_empty_below};
use transaction::journal::{Commit, Journal, Record};
use transaction::{Ways, steps, stopped};
use worker_files::references::Kind as Reads;
use xtask_core::commands::Commands;
use xtask_core::git::{Git, GitTree, Repo, Scratch};
use xtask_core::layout::{self, ACCEPTED, LOCK, OUTDATED};
use xtask_core::lock::{Lock, Retired};
use xtask_core::outcome::Outcome;
use xtask_core::records;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tool_repo;
use xtask_core::tree::{Entries, Entry, Mode, Part, RepoPath, Tree};

/// This task's name in the journal.
pub const TASK: &str = "cleanup";

const WAYS: Ways = Ways {
    name: "cleanup",
    resume: "cargo xtask cleanup",
    abort: "cargo xtask migrate --abort",
};

/// Runs the task.
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
    let report = Report::new(args.format, commands);
    if let Some(mut record) = journal.read()? {
        if record.task != TASK {
            migrate::expect_dealt_with(repo, &record)?;
        } else if is_current(repo, &record)? {
            if args.dry_run {
                return report.interrupted();
            }
            finish(repo, &journal, &mut record)?;
            // What was only to be staged is committed now if that is asked for, as any other time.
            if !args.commit || record.commit.is_some() {
                let restore = restore_point::restore(repo, &record.head)?;
                return report.finished(&record, restore.as_ref());
            }
        } else if !args.dry_run {
            // All that it took away is committed, and somebody has gone on from there.
            journal.remove()?;
        }
    }
    let at = preflight::look_at_any(repo)?;
    let head = at_head(&at)?;
    let local = local(&at);
    let is_there = |entries: &Entries| entries.keys().any(|path| path.is_within(OUTDATED));
    if !is_there(head.entries()) && !is_there(at.ours.entries()) {
        let obstacles: Vec<_> = local
            .iter()
            .map(|one| check::local(one, commands))
            .collect();
        if !obstacles.is_empty() {
            let plan = Plan::stopped(obstacles);
            report.plan(&plan)?;
            return report.end(&plan, &Ending::Stopped);
        }
        if !args.dry_run {
            remove_folders(repo)?;
        }
        return report.nothing();
    }
    let survey = Survey::make(&at, &head)?;
    let scratch_dir = ScratchFolder::new("scratch")?;
    let scratch = repo.scratch(scratch_dir.path())?;
    let writes = writes(head.entries(), survey.lock.as_ref(), &survey.gate.accepted)?;
    let after = after(&scratch, head.entries(), &writes, false)?;
    let staged = staged(&at, &after, &writes);
    let is_staged = !staged.is_empty() && staged.len() == at.status.changed.len();
    let (obstacles, reasons) = survey.check(&at, &head, local, &staged, commands)?;
    let plan = Plan {
        restore: survey.restore.clone(),
        files: within(head.entries().keys()),
        writes: writes.iter().map(|(path, _)| path.clone()).collect(),
        obstacles,
        reasons,
        mentions: survey.prose(),
    };
    report.plan(&plan)?;
    if !plan.obstacles.is_empty() {
        return report.end(&plan, &Ending::Stopped);
    }
    if args.dry_run {
        return report.end(&plan, &Ending::DryRun);
    }
    if is_staged && !args.commit {
        return report.end(&plan, &Ending::Staged);
    }
    preflight::expect_unlocked(repo)?;
    if args.commit {
        transaction::expect_identity(repo)?;
    }
    let after = self::after(&scratch, head.entries(), &writes, true)?;
    let mut record = record(&at, &scratch, head.entries(), &after)?;
    if args.commit {
        record.commit = Some(Commit {
            wanted: true,
            moves_tree: None,
            moves_message: String::new(),
            message: plan.message(),
            tip: None,
        });
    }
    let edit = Work::index_edit(head.entries(), &after, &record)?;
    let work = Work {
        repo,
        journal: &journal,
        scratch,
        objects: at.objects.clone(),
        staged: at.ours.entries().clone(),
    };
    transaction::begin(&journal)?;
    let mut record = work
        .prepare(record, &edit)
        .map_err(|error| stopped(&journal, error))?;
    finish(repo, &journal, &mut record)?;
    match record.commit.and_then(|commit| commit.tip) {
        Some(tip) => report.end(&plan, &Ending::Committed(tip)),
        None => report.end(&plan, &Ending::Staged),
    }
}

/// The ids of what asks for a reason here, for `compare --accept`.
pub fn questions(root: &Path) -> Result<Vec<String>> {
    let git = Git::find()?;
    let at = preflight::look_at_any(&Repo::open(&git, root)?)?;
    let head = at_head(&at)?;
    let changed = changed(&at, &head, Lock::read(&head)?.as_ref())?;
    let mentions = mentions::find(&head, &mentions::candidates(&at.repo)?)?;
    let mut ids: Vec<String> = changed
        .iter()
        .map(|one| check::changed_id(&one.below))
        .collect();
    let code = mentions.iter().filter(|one| one.kind == Reads::Code);
    ids.extend(code.map(|one| check::mention_id(&one.path)));
    ids.dedup();
    Ok(ids)
}

/// Everything that was found out about the repository.
struct Survey {
    /// Whether anything is committed there.
    has_folder: bool,
    lock: Option<Lock>,
    /// Whether the work tree is a sparse checkout.
    is_sparse: bool,
    restore: Option<Restore>,
    changed: Vec<Changed>,
    gate: CleanupGate,
    lint: hub_lint::Report,
    mentions: Vec<Mention>,
}

impl Survey {
    fn make(at: &Preflight, head: &GitTree) -> Result<Self> {
        // That of the commit: what is staged already may have none of this any more.
        let lock = Lock::read(head)?;
        Ok(Self {
            is_sparse: at.repo.is_sparse()?,
            restore: restore_point::restore(&at.repo, &at.head)?,
            changed: changed(at, head, lock.as_ref())?,
            has_folder: head.entries().keys().any(|path| path.is_within(OUTDATED)),
            lock,
            gate: cleanup_gate::look(head)?,
            lint: hub_lint::lint(&Part::without(head, OUTDATED), true)?,
            mentions: mentions::find(head, &mentions::candidates(&at.repo)?)?,
        })
    }

    fn check(
        &self,
        at: &Preflight,
        head: &GitTree,
        mut local: Vec<Local>,
        staged: &[RepoPath],
        commands: &Commands,
    ) -> Result<(Vec<Obstacle>, Vec<Reason>)> {
        let index = at.ours.entries();
        let look = |path: &RepoPath| {
            let differs = Differs::look(path, &at.repo.top, &at.status, head.entries(), index)?;
            Ok((path.clone(), differs))
        };
        let changed = at.status.changed.iter();
        let uncommitted: Vec<_> = changed
            .filter(|path| !staged.contains(path))
            .map(look)
            .collect::<Result<_>>()?;
        // What was staged to go and still lies there is not committed, and no more: nobody is to be
        // led to delete it.
        let forgotten = |path: &RepoPath| {
            let mut uncommitted = uncommitted.iter();
            uncommitted.any(|(one, differs)| one == path && *differs == Differs::Forgotten)
        };
        local.retain(|one| !forgotten(&one.path));
        let not_plain = head.entries().iter().filter_map(|(path, entry)| {
            let unseen = at.unseen.get(path).copied();
            let odd = entry.mode == Mode::Submodule || unseen.is_some() || *path == OUTDATED;
            (path.is_within(OUTDATED) && odd).then(|| (path.clone(), entry.mode, unseen))
        });
        let is_record =
            |path: &&RepoPath| layout::is_record(path) || **path == hub_lint::SUPPRESSIONS;
        let unseen = at.unseen.iter().filter(|(path, _)| is_record(path));
        let found = Found {
            uncommitted: differs::joined(uncommitted, head.entries(), index),
            unrecorded: at.status.local.iter().filter(is_record).cloned().collect(),
            unseen: unseen.map(|(path, why)| (path.clone(), *why)).collect(),
            local,
            not_plain: not_plain.collect(),
            sparse: self.is_sparse,
            head: self.has_folder.then_some(at.head.0.as_str()),
            restore: self.restore.as_ref(),
            changed: &self.changed,
            shallow: at.repo.is_shallow()? && record_of(self.lock.as_ref()).is_none(),
            gate: &self.gate,
            lint: &self.lint.findings,
            mentions: &self.mentions,
        };
        Ok(check::check(&found, commands))
    }

    /// Texts that speak of the folder.
    fn prose(&self) -> Vec<Mention> {
        let prose = self.mentions.iter().filter(|one| one.kind == Reads::Prose);
        prose.cloned().collect()
    }
}

/// What has nothing to speak of any more once the folder is gone, as it is to be then.
fn writes(
    of: &Entries,
    lock: Option<&Lock>,
    accepted: &Accepted,
) -> Result<Vec<(RepoPath, Vec<u8>)>> {
    // A record stays in the place where it is: moving it is migrate's work.
    let place = |record| records::place_in(of, record).map(RepoPath::from);
    let mut writes = Vec::new();
    if accepted.of_cleanup().next().is_some() {
        let accepted = accepted.after_cleanup();
        writes.push((place(ACCEPTED)?, accepted.write().into_bytes()));
    }
    if let (Some(record), Some(lock)) = (record_of(lock), lock) {
        let kept = retired::without_outdated(record);
        if kept != *record {
            let retired = Some(kept);
            let lock = Lock {
                retired,
                ..lock.clone()
            };
            writes.push((place(LOCK)?, lock.to_bytes()?));
        }
    }
    Ok(writes)
}

/// Whether the records of a tree still speak of the folder, which a cleanup would have ended.
pub fn is_on_record(tree: &dyn Tree) -> Result<bool> {
    let accepted = Accepted::of_tree(tree)?;
    Ok(!writes(tree.entries(), Lock::read(tree)?.as_ref(), &accepted)?.is_empty())
}

/// The paths that are staged as this stages them, where that is all that there is to do.
fn staged(at: &Preflight, after: &Entries, writes: &[(RepoPath, Vec<u8>)]) -> Vec<RepoPath> {
    let concerns = |path: &RepoPath| {
        path.is_within(OUTDATED) || writes.iter().any(|(written, _)| written == path)
    };
    let of = |entries: &Entries| -> Vec<(RepoPath, Entry)> {
        let entries = entries.iter().filter(|(path, _)| concerns(path));
        entries
            .map(|(path, entry)| (path.clone(), entry.clone()))
            .collect()
    };
    if of(at.ours.entries()) != of(after) || at.status.unstaged.iter().any(concerns) {
        return Vec::new();
    }
    let changed = at.status.changed.iter();
    changed.filter(|path| concerns(path)).cloned().collect()
}

/// What a run is about to do, or what keeps it from that.
pub struct Plan {
    pub restore: Option<Restore>,
    /// What goes.
    pub files: Vec<RepoPath>,
    /// What is written because it spoke of these.
    pub writes: Vec<RepoPath>,
    pub obstacles: Vec<Obstacle>,
    /// What passed for a reason on record.
    pub reasons: Vec<Reason>,
    pub mentions: Vec<Mention>,
}

impl Plan {
    /// Nothing is to go.
    fn stopped(obstacles: Vec<Obstacle>) -> Self {
        Self {
            restore: None,
            files: Vec::new(),
            writes: Vec::new(),
            obstacles,
            reasons: Vec::new(),
            mentions: Vec::new(),
        }
    }

    /// The message of the commit: what went, for which reasons, and how to get it back.
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
            for reason in &self.reasons {
                let words = reason.reason.split_whitespace().collect::<Vec<_>>();
                text += &format!("- {}: {}\n", reason.id, words.join(" "));
            }
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

/// The committed files, which are those that everything is decided by.
fn at_head(at: &Preflight) -> Result<GitTree> {
    let entries = at.repo.entries(&at.head_tree)?;
    Ok(GitTree::new(at.objects.clone(), entries, "HEAD"))
}

fn record_of(lock: Option<&Lock>) -> Option<&Retired> {
    lock?.retired.as_ref()
}

fn changed(at: &Preflight, head: &GitTree, lock: Option<&Lock>) -> Result<Vec<Changed>> {
    let entries = head.entries();
    if let Some(record) = record_of(lock) {
        return Ok(retired::changed(entries, &Witness::Record(record)));
    }
    let history = History::read(&at.repo, &at.head, entries)?;
    Ok(retired::changed(entries, &Witness::History(&history)))
}

fn within<'a>(paths: impl Iterator<Item = &'a RepoPath>) -> Vec<RepoPath> {
    paths
        .filter(|path| path.is_within(OUTDATED))
        .cloned()
        .collect()
}

/// What git does not track below the folder.
fn local(at: &Preflight) -> Vec<Local> {
    let local = |path: RepoPath| Local {
        is_repository: path.below(&at.repo.top).join(".git").exists(),
        path,
    };
    let paths = within(at.status.local.iter());
    paths.into_iter().map(local).collect()
}

/// The files as they are in the end. `store` puts new contents into the object database; a dry
/// run only wants their names.
fn after(
    scratch: &Scratch,
    before: &Entries,
    writes: &[(RepoPath, Vec<u8>)],
    store: bool,
) -> Result<Entries> {
    let mut after = before.clone();
    after.retain(|path, _| !path.is_within(OUTDATED));
    let contents = writes.iter().map(|(_, content)| content.as_slice());
    let oids = if store {
        scratch.blobs(contents)?
    } else {
        scratch.hashes(contents)?
    };
    for ((path, _), oid) in writes.iter().zip(oids) {
        let entry = Entry::of(after.get(path).map_or(Mode::File, |entry| entry.mode), oid);
        after.insert(path.clone(), entry);
    }
    Ok(after)
}

fn record(at: &Preflight, scratch: &Scratch, before: &Entries, after: &Entries) -> Result<Record> {
    let staged = at.ours.entries();
    // Nothing is left to do in the work tree where all of it is staged already.
    let steps = steps::between(staged, after, &[]);
    let after_tree = if staged == after {
        steps::tree_of(scratch, staged, after)?
    } else {
        steps::tree_of(scratch, before, after)?
    };
    let mut record = Record::new(TASK, &at.head, &at.head_tree, &after_tree, steps);
    record.ends_when_staged = true;
    Ok(record)
}

/// Whether HEAD is where the cleanup began, or where it leads to.
fn is_current(repo: &Repo, record: &Record) -> Result<bool> {
    let head = repo.commit("HEAD")?;
    let tip = record.commit.as_ref().and_then(|commit| commit.tip.clone());
    Ok(head.is_some() && (head.as_ref() == Some(&record.head) || head == tip))
}

/// Takes the steps that are left.
fn finish(repo: &Repo, journal: &Journal, record: &mut Record) -> Result<()> {
    let work = Work::resumed(repo, journal)?;
    work.forward(record)
        .map_err(|error| stopped(journal, error))?;
    remove_folders(repo)
}

/// Removes what git knows nothing of because nothing is in it.
fn remove_folders(repo: &Repo) -> Result<()> {
    let folder = repo.top.join(OUTDATED);
    if holds_no_file(&folder)? {
        remove_empty_below(&folder)?;
    }
    Ok(())
}
