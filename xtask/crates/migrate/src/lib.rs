//! `cargo xtask migrate`: from the legacy layout to the modern one, and from one upstream
//! revision to the next.
//!
//! Tree (ours) + Tree (upstream) → `make` → Plan → `apply`. The plan is a value: the dry run
//! prints it, the real run applies it.

pub mod address;
mod adopt;
pub mod args;
mod context;
mod follow_up;
mod fork;
mod incoming;
pub mod merge;
mod official;
mod own_settings;
mod plan;
mod planner;
pub mod preflight;
mod remote;
mod report;
mod revisions;
mod trust;
mod upstream;
mod validate_upstream;

use std::path::Path;

use anyhow::{Context, Result, bail};

pub use self::args::{TO_THIS_WORKER, WITH_OWN_CHANGES};
pub use self::fork::{has_own_changes, names_sglang};
pub use self::official::is_official;
use self::plan::Planner;
use self::report::{MigrationEnding, MigrationReport};
use crate::args::{Args, Conflicts, TASK};
use transaction::apply::Transaction;
use transaction::journal::{Journal, JournalRecord, Phase};
use transaction::steps::{Conflict, PathChange, changes_between, write_tree};
use transaction::{Task, check_identity, list};
use xtask_core::commands::Commands;
use xtask_core::git::{Git, GitTree, IndexEdit, Repo, Status};
use xtask_core::layout::{self, LOCK};
use xtask_core::lock::Lock;
use xtask_core::outcome::{Outcome, UserError};
use xtask_core::progress::Progress;
use xtask_core::records;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tool_repo;
use xtask_core::tree::{Mode, Oid, RepoPath, Tree, TreeEntry};

const TRANSACTION: Task = Task {
    name: "migration",
    resume: "cargo xtask migrate --resume",
    abort: "cargo xtask migrate --abort",
};

/// Migrates the repository that holds `dir`, or that of this tool.
pub fn run(dir: Option<&Path>, args: &Args) -> Result<Outcome> {
    let git = &Git::find()?;
    let next = Commands::new(dir).asking(args.asked());
    let repo = tool_repo::chosen(dir)
        .and_then(|folder| Repo::open(git, &folder))
        .map_err(|error| next.refusal(error))?;
    if args.upstream.is_none() && args.adopt.is_none() && !args.resume && !args.abort {
        tool_repo::expect_named(dir, &repo.top, "migrate")?;
    }
    let next = next.at_root(dir, &repo.top);
    let report = MigrationReport {
        format: args.format,
        next: &next,
    };
    migrate(git, &repo, args, &report).map_err(|error| next.refusal(error))
}

fn migrate(git: &Git, repo: &Repo, args: &Args, report: &MigrationReport) -> Result<Outcome> {
    let journal = Journal::lock(repo, TRANSACTION)?;
    let record = journal.read()?;
    match record {
        Some(record) if args.resume => return resume(repo, &journal, record, args.commit, report),
        Some(record) if args.abort => return abort(repo, &journal, &record, report),
        Some(record) => refuse_unfinished(repo, &record)?,
        None if args.resume => bail!(nothing_to("resume")),
        None if args.abort => bail!(nothing_to("abort")),
        None => {}
    }
    let at = preflight::check(repo)?;
    // Outside of the journal, so that a dry run leaves the repository as it was.
    let scratch_dir = ScratchFolder::new("scratch")?;
    let scratch = repo.scratch(&scratch_dir.path().join("git"))?;
    let progress = Progress::begin("planning");
    let planner = Planner {
        git,
        at: &at,
        scratch: &scratch,
        args,
    };
    let made = match &args.adopt {
        Some(revision) => planner.adopt(revision)?,
        None => planner.make()?,
    };
    drop(progress);
    let plan = &made.plan;
    report.plan(plan)?;
    let is_listed = !plan.conflicts.is_empty() && args.conflicts == Conflicts::List;
    let endings = [
        (plan.is_empty(), MigrationEnding::UpToDate),
        (args.check, MigrationEnding::WouldChange),
        (is_listed, MigrationEnding::Conflicts),
        (args.dry_run, MigrationEnding::DryRun),
    ];
    if let Some((_, ending)) = endings.into_iter().find(|(holds, _)| *holds) {
        return report.end(&at, plan, ending, None);
    }
    if args.commit {
        check_identity(repo)?;
    }
    let record = planner.record(&made)?;
    let transaction = Transaction::begin(repo, &journal, scratch, at.ours.entries())?;
    let record = transaction.apply(record)?;
    report.end(&at, plan, MigrationEnding::of(&record), record.tip())
}

/// Refuses to start while an earlier transaction waits to be finished or committed.
pub fn refuse_unfinished(repo: &Repo, record: &JournalRecord) -> Result<()> {
    if record.task != TASK {
        bail!(interrupted_cleanup());
    }
    let status = repo.status()?;
    let moved_on = status.head.as_ref() != Some(&record.head);
    let is_clean = status.changed.is_empty();
    match record.state {
        Phase::Applying => bail!(UserError::new(
            "a migration was interrupted here",
            "finish it with `cargo xtask migrate --resume`, or take it back with `cargo xtask \
             migrate --abort`"
        )),
        Phase::Staged if moved_on || is_clean => Ok(()),
        Phase::Staged => bail!(staged()),
        Phase::Conflicts if moved_on => bail!(UserError::new(
            "the conflicts of a migration were committed before it was finished, so the lock \
             does not say yet what was merged",
            "write the lock with `cargo xtask migrate --resume`, then commit that too"
        )),
        Phase::Conflicts if is_clean => Ok(()),
        Phase::Conflicts => bail!(match unsettled(repo, &status, record)? {
            Some(unsettled) => unsettled.refusal(),
            None => UserError::new(
                RESOLVED,
                "finish it with `cargo xtask migrate --resume`, or take all back with `cargo xtask \
                 migrate --abort`"
            ),
        }),
    }
}

fn nothing_to(what: &str) -> UserError {
    UserError::new(
        format!("there is no migration to {what}"),
        "start one with `cargo xtask migrate`",
    )
}

fn staged() -> UserError {
    UserError::new(
        "a migration is staged here and not committed yet",
        "commit it with `git commit`, or take it back with `cargo xtask migrate --abort`",
    )
}

fn interrupted_cleanup() -> UserError {
    UserError::new(
        "a cleanup was interrupted here",
        "finish it with `cargo xtask cleanup`, or take it back with `cargo xtask migrate --abort`",
    )
}

/// Finishes what was interrupted, or what waited for conflicts to be resolved.
fn resume(
    repo: &Repo,
    journal: &Journal,
    mut record: JournalRecord,
    commit: bool,
    report: &MigrationReport,
) -> Result<Outcome> {
    if record.task != TASK {
        bail!(interrupted_cleanup());
    }
    let is_staged = record.state == Phase::Staged;
    if is_staged {
        if repo.commit("HEAD")?.as_ref() != Some(&record.head) {
            bail!(nothing_to("resume"));
        } else if !commit {
            bail!(staged());
        }
    }
    if commit {
        check_identity(repo)?;
    }
    let transaction = Transaction::resume(repo, journal)?;
    if let Some(of_record) = &mut record.commit {
        of_record.wanted |= commit;
    }
    if is_staged {
        // The index as it is now; the user may have changed it.
        record.state = Phase::Applying;
        record.after_tree = transaction.scratch.tree_from_index(&IndexEdit::default())?;
        record = transaction.apply(record)?;
    } else if record.state == Phase::Conflicts {
        if let Some(head) = committed_since(repo, &record)? {
            // The user has committed the resolution: only the lock is left to write, or to abort.
            record.before_tree = repo.tree_of(&head)?;
            record.head = head;
            record.undo_from = record.steps.len();
            record.stages.clear();
            record.new_folders.clear();
            transaction.forget_old_index()?;
        }
        resolve(repo, &transaction, &mut record)?;
        record = transaction.apply(record)?;
    } else {
        transaction.forward(&mut record)?;
    }
    report.resumed(&record)
}

/// The commit that HEAD has moved on to since the conflicts were written, if it has.
fn committed_since(repo: &Repo, record: &JournalRecord) -> Result<Option<Oid>> {
    let head = repo.commit("HEAD")?;
    let head = head.context("HEAD names no commit any more")?;
    if head == record.head {
        return Ok(None);
    }
    if !repo.descends(&head, &record.head)? {
        bail!(UserError::new(
            "HEAD is on another line of history than the one whose conflicts were resolved",
            "switch back to it, then run this again; or start over with `cargo xtask migrate` \
             after `cargo xtask migrate --abort`"
        ));
    }
    Ok(Some(head))
}

/// Adds to a record whose conflicts have been resolved what is left to do: the lock.
fn resolve(repo: &Repo, transaction: &Transaction, record: &mut JournalRecord) -> Result<()> {
    if let Some(unsettled) = unsettled(repo, &repo.status()?, record)? {
        bail!(unsettled.refusal());
    }
    let entries = &transaction.staged;
    record.state = Phase::Applying;
    let lock = record.pending.take();
    let lock = lock.context("the journal has lost the lock of this migration")?;
    let mut lock = Lock::parse(lock.as_bytes(), LOCK)?;
    merge::record(&mut lock.upstream, entries);
    if let Some(tool) = &mut lock.tool {
        merge::record(tool, entries);
    }
    let oid = transaction.scratch.blob(&lock.to_bytes()?)?;
    let path = RepoPath::from(records::place_in(entries, LOCK)?);
    let mut after = entries.clone();
    after.insert(path, TreeEntry::of(Mode::File, oid));
    record.steps.extend(changes_between(entries, &after, &[]));
    record.after_tree = write_tree(&transaction.scratch, entries, &after)?;
    record.conflicts.clear();
    Ok(())
}

/// What is said of a migration whose conflicts are all resolved and staged.
pub const RESOLVED: &str = "conflicts of a migration are resolved, and it is not finished";

/// What keeps a migration with conflicts from being finished.
pub enum Unsettled {
    Unmerged(Vec<RepoPath>),
    /// Conflict markers are staged.
    Marked(Vec<RepoPath>),
    /// Files that are staged where they have no place any more.
    Retired(Vec<RepoPath>),
}

impl Unsettled {
    pub fn what(&self) -> &'static str {
        self.words().0
    }

    pub fn help(&self) -> &'static str {
        self.words().1
    }

    /// What is open, and what to do about it.
    fn words(&self) -> (&'static str, &'static str) {
        match self {
            Self::Unmerged(_) => (
                "conflicts of a migration wait to be resolved",
                "resolve each and stage it with `git add FILE` or `git rm FILE`, then run `cargo \
                 xtask migrate --resume`; `git checkout --merge FILE` brings a conflict back, and \
                 `cargo xtask migrate --abort` takes all back",
            ),
            Self::Marked(_) => (
                "conflict markers of a migration are staged",
                "bring each conflict back with `git checkout --merge FILE`, resolve it, stage it \
                 with `git add FILE`, then run `cargo xtask migrate --resume`",
            ),
            Self::Retired(_) => (
                "files of a migration are staged that have no place in the modern layout, and are \
                 below outdated/ already",
                "bring what is still needed to the modern files, take each off with `git rm FILE`, \
                 then run `cargo xtask migrate --resume`",
            ),
        }
    }

    fn paths(&self) -> &[RepoPath] {
        match self {
            Self::Unmerged(paths) | Self::Marked(paths) | Self::Retired(paths) => paths,
        }
    }

    fn refusal(&self) -> UserError {
        let (what, help) = self.words();
        UserError::new(format!("{what}:\n  {}", list(self.paths())), help)
    }
}

pub fn unsettled(
    repo: &Repo,
    status: &Status,
    record: &JournalRecord,
) -> Result<Option<Unsettled>> {
    let tree = GitTree::new(repo.objects(), repo.index()?.entries, "the index");
    let (mut marked, mut retired) = (Vec::new(), Vec::new());
    for Conflict { path, .. } in &record.conflicts {
        let Some(entry) = tree.entries().get(path) else {
            continue;
        };
        if layout::is_retired(path) {
            retired.push(path.clone());
        } else if entry.mode.is_file() {
            let text = tree.read(path)?;
            let mut lines = text.split(|&b| b == b'\n');
            if lines.any(|line| line.starts_with(b"<<<<<<< ours")) {
                marked.push(path.clone());
            }
        }
    }
    let all = [
        Unsettled::Unmerged(status.unmerged.clone()),
        Unsettled::Marked(marked),
        Unsettled::Retired(retired),
    ];
    Ok(all.into_iter().find(|it| !it.paths().is_empty()))
}

fn abort(
    repo: &Repo,
    journal: &Journal,
    record: &JournalRecord,
    report: &MigrationReport,
) -> Result<Outcome> {
    let kept = Transaction::resume(repo, journal)?.abort(record)?;
    let page = repo.git_dir.join(report::PAGE);
    let moves = |step: &PathChange| matches!(step, PathChange::Move { .. });
    if record.steps.iter().any(moves) && page.is_file() {
        fs_err::remove_file(page)?;
    }
    report.aborted(&kept)
}
