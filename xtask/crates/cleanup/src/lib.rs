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
use transaction::files::{content, is_file, remove_empty};
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
        return nothing_to_remove(&check, args, &report);
    }
    let scratch_dir = ScratchFolder::new("scratch")?;
    let scratch = repo.scratch(scratch_dir.path())?;
    let lock = Lock::read(&head)?;
    let removal = Removal::of(&at, &head, lock.as_ref(), &scratch, args)?;
    let gate = cleanup_gate::look(&removal.tree)?;
    check.head = &removal.tree;
    check.plan.writes = removal
        .writes
        .iter()
        .map(|(path, _)| path.clone())
        .collect();
    check.plan.records.clone_from(&removal.records);
    let plan = check.all(lock.as_ref(), &gate, &removal.staged)?;
    if !plan.obstacles.is_empty() {
        return report.stopped(&plan);
    }
    let mut index = at.ours.entries().clone();
    // They are staged before the removal begins.
    for path in &removal.records {
        let entry = removal.tree.entries().get(path);
        index.extend(entry.map(|entry| (path.clone(), entry.clone())));
    }
    let steps = steps::changes_between(&index, &removal.after, &[]);
    check_targets_free(repo, &steps, &index)?;
    report.plan(&plan)?;
    let staged = removal.staged.len();
    let is_all_staged = staged > 0 && staged == at.status.changed.len();
    if args.dry_run || is_all_staged && !args.commit {
        return report.end(&plan, args.dry_run, None);
    }
    preflight::check_unlocked(repo)?;
    if args.commit {
        transaction::check_identity(repo)?;
    }
    let record = removal.apply(&at, &journal, scratch, args.commit.then(|| plan.message()))?;
    remove_empty(&repo.top.join(OUTDATED))?;
    report.end(&plan, false, record.tip())
}

/// Ends where `outdated/` is gone: what is left are records that nobody has committed yet.
fn nothing_to_remove(
    check: &ObstacleCheck,
    args: &Args,
    report: &CleanupReport,
) -> Result<Outcome> {
    let (at, head) = (check.at, check.head);
    let mut records = uncommitted_records(at, head, &[])?;
    let scratch_dir = ScratchFolder::new("scratch")?;
    let scratch = at.repo.scratch(scratch_dir.path())?;
    let tree = with_records(at, head, &records, &scratch)?;
    let remade = compare::remade(&tree, &at.repo.top)?;
    let open = open_facts(&with_remade(at, tree, remade.as_deref(), &scratch)?)?;
    let mut commit = None;
    if args.commit && !args.dry_run && !records.is_empty() {
        transaction::check_identity(&at.repo)?;
        let files: Vec<_> = records.iter().map(|it| it.below(&at.repo.top)).collect();
        compare::commit_records(&at.repo, &files, "chore: record what may be gone\n")?;
        commit = at.repo.commit("HEAD")?;
        records.clear();
    }
    report.nothing(open, &records, commit.as_ref())
}

/// The committed files, with records as they are in the work tree.
fn with_records(
    at: &Preflight,
    head: &GitTree,
    records: &[RepoPath],
    scratch: &Scratch,
) -> Result<GitTree> {
    let written = records
        .iter()
        .map(|path| Ok((path.clone(), content(&path.below(&at.repo.top))?)));
    with_files(
        at,
        head.entries(),
        &written.collect::<Result<Vec<_>>>()?,
        scratch,
    )
}

/// The same with the record of the old worker, where it was made again.
fn with_remade(
    at: &Preflight,
    tree: GitTree,
    remade: Option<&str>,
    scratch: &Scratch,
) -> Result<GitTree> {
    let Some(text) = remade else {
        return Ok(tree);
    };
    let place = records::place_in(tree.entries(), BASELINE)?;
    let written = [(RepoPath::from(place), text.as_bytes().to_vec())];
    with_files(at, tree.entries(), &written, scratch)
}

fn with_files(
    at: &Preflight,
    entries: &Entries,
    files: &[Written],
    scratch: &Scratch,
) -> Result<GitTree> {
    let oids = scratch.blobs(contents(files))?;
    let mut entries = entries.clone();
    for ((path, _), oid) in files.iter().zip(oids) {
        entries.insert(path.clone(), TreeEntry::of(Mode::File, oid));
    }
    Ok(at.tree(&entries, "HEAD"))
}

/// What the removal comes to, where nothing is in its way.
struct Removal {
    /// The files that decide: those of HEAD, with the records that are committed beside the removal.
    tree: GitTree,
    /// Records that `compare` wrote and nobody has committed yet.
    records: Vec<RepoPath>,
    writes: Vec<Written>,
    after: Entries,
    /// The paths of a removal that is already staged in full.
    staged: Vec<RepoPath>,
}

impl Removal {
    fn of(
        at: &Preflight,
        head: &GitTree,
        lock: Option<&Lock>,
        scratch: &Scratch,
        args: &Args,
    ) -> Result<Self> {
        let of = |tree: GitTree| -> Result<Self> {
            let remade = compare::remade(&tree, &at.repo.top)?;
            let tree = with_remade(at, tree, remade.as_deref(), scratch)?;
            let mut writes = writes(tree.entries(), lock, &Accepted::of_tree(&tree)?)?;
            if let Some(text) = remade {
                let place = records::place_in(tree.entries(), BASELINE)?;
                writes.push((place.into(), text.into_bytes()));
            }
            let after = after(scratch, tree.entries(), &writes)?;
            Ok(Self {
                staged: staged(at, &after, &writes),
                records: Vec::new(),
                tree,
                writes,
                after,
            })
        };
        let by_head = of(at.tree(head.entries(), "HEAD"))?;
        let records = uncommitted_records(at, head, &by_head.staged)?;
        if records.is_empty() || !args.commit && !args.dry_run {
            return Ok(by_head);
        }
        let tree = with_records(at, head, &records, scratch)?;
        Ok(Self {
            records,
            ..of(tree)?
        })
    }

    /// Takes the files away, and commits that where there is a message for it.
    fn apply(
        &self,
        at: &Preflight,
        journal: &Journal,
        scratch: Scratch,
        message: Option<String>,
    ) -> Result<JournalRecord> {
        let repo = &at.repo;
        let mut index = at.ours.entries().clone();
        if !self.records.is_empty() {
            let records = self
                .records
                .iter()
                .map(|path| format!(":(top,literal){path}"));
            repo.git("add --force --").args(records).output()?;
            index = repo.index()?.entries;
        }
        scratch.blobs(contents(&self.writes))?;
        let record = JournalRecord {
            task: TASK.to_owned(),
            head: at.head.clone(),
            before_tree: steps::write_tree(&scratch, &index, &index)?,
            after_tree: steps::write_tree(&scratch, &index, &self.after)?,
            // Nothing is left to do in the work tree where all of it is staged already.
            steps: steps::changes_between(&index, &self.after, &[]),
            commit: message.map(|message| Commit {
                wanted: true,
                message,
                ..Commit::default()
            }),
            ..JournalRecord::default()
        };
        Transaction::begin(repo, journal, scratch, &index)?.apply(record)
    }
}

/// What `compare` has written, and the removal may commit beside it.
fn uncommitted_records(
    at: &Preflight,
    head: &GitTree,
    staged: &[RepoPath],
) -> Result<Vec<RepoPath>> {
    let status = &at.status;
    let mut found = Vec::new();
    for record in [ACCEPTED, BASELINE] {
        let path = RepoPath::from(record);
        let differs = status.changed.contains(&path) || status.local.contains(&path);
        let is_whole = !status.unmerged.contains(&path) && is_file(&path.below(&at.repo.top));
        // In its older place it is more than one change.
        let is_in_place = records::place_in(head.entries(), record)? == record;
        if differs && is_whole && is_in_place && !staged.contains(&path) {
            found.push(path);
        }
    }
    Ok(found)
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
