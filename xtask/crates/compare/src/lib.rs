//! `cargo xtask compare`: what became of everything that the old worker exposed.
//!
//! Tree → `WorkerInterface` → Facts → judge → report. Nothing of either worker is run, except with
//! `--execute`.

pub mod accepted;
mod advice;
pub mod args;
mod baseline;
mod broken_imports;
pub mod cleanup_gate;
mod edits;
mod entries;
mod execute;
mod facts;
mod judge;
mod not_judged;
mod old;
mod origin;
mod own_changes;
mod pairs;
mod reasons;
mod report;
mod trees;
mod unread;

use std::path::Path;

use anyhow::{Context, Result, bail};

use self::accepted::Accepted;
use self::facts::Facts;
pub use self::judge::{env_assignment, few};
use self::old::Old;
pub use self::old::remade;
pub use self::origin::{Exposed, ForkChange, Setting};
use self::own_changes::judge_all;
use self::pairs::{OldFiles, Pair};
pub use self::reasons::commit_records;
use self::report::Report;
use crate::args::{Args, ReportFormat};
use xtask_core::commands::Commands;
use xtask_core::layout::{ACCEPTED, BASELINE, OUTDATED};
use xtask_core::outcome::{Outcome, UsageError, UserError};
use xtask_core::output::{self, diff, quoted};
use xtask_core::progress::{self, Progress};
use xtask_core::records;
use xtask_core::tool_repo;
use xtask_core::tree::Tree;

/// What `cleanup` asks reasons for in the repository at a path, by id.
pub type Questions<'a> = &'a dyn Fn(&Path) -> Result<Vec<String>>;

/// Runs the task. Reasons may also answer what `cleanup` asks, which is looked up when one does.
pub fn run(repo: Option<&Path>, args: &Args, questions: Questions) -> Result<Outcome> {
    run_in(repo, args, questions).map_err(|error| Commands::new(repo).refusal(error))
}

fn run_in(repo: Option<&Path>, args: &Args, questions: Questions) -> Result<Outcome> {
    let root = tool_repo::chosen(repo)?;
    let records = !args.accept.is_empty() || args.accept_upstream || !args.withdraw.is_empty();
    if records {
        return reasons::record(&root, args, questions);
    }
    if args.commit {
        let with = "--accept, --accept-upstream or --withdraw";
        bail!(UsageError(format!("--commit goes with {with}")));
    }
    let progress = Progress::begin("comparing");
    if args.write_baseline {
        let old = old::find(&root, args.old.as_deref())?;
        return write_baseline(&root, args, &old);
    }
    let mut report = compare(repo, &root, args)?;
    let is_data = args.format != ReportFormat::Text;
    let is_asked_for = args.all || args.diff || args.upstream.is_some();
    if is_data || is_asked_for || report.open().next().is_some() {
        report.read_upstream(&root, args)?;
    }
    drop(progress);
    if let Some(bound) = &report.bound
        && let Err(error) = records::write(&root, ACCEPTED, &bound.write())
    {
        let then = "the next run binds the reasons again";
        output::tell(&format!(
            "{ACCEPTED} is not written, and {then}: {error:#}\n"
        ));
    }
    let text = match args.format {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
        ReportFormat::Html => report.html(&report.pairs()?),
    };
    if args.diff {
        output::print(&diffs(&report.pairs()?))?;
    }
    output::print(&text)?;
    Ok(match report.failures() {
        0 => Outcome::Done,
        _ => Outcome::Findings,
    })
}

/// The diffs of every pair that differs: old against new, and where an upstream is known, upstream
/// against new.
fn diffs(pairs: &[Pair]) -> String {
    let mut out = String::new();
    for Pair { old, upstream, new } in pairs {
        for (side, texts) in [("old", old), ("upstream", upstream)] {
            if let (Some(before), Some(after)) = (texts.first(), new.first()) {
                let was = format!("{side}/{}", before.path);
                let is = format!("new/{}", after.path);
                let (before, after) = (before.text.as_bytes(), after.text.as_bytes());
                let text = diff::unified(&was, &is, before, after);
                out += &diff::coloured(&text, "");
            }
        }
    }
    out
}

/// Records the old worker's facts. The file is committed, so it doesn't say where this repository
/// is.
fn write_baseline(root: &Path, args: &Args, old: &Old) -> Result<Outcome> {
    if args.old.is_none() && old.tree.is_none() {
        bail!(UserError::new(
            format!("{BASELINE} is there, and the old worker's files are not"),
            "name the old worker: `cargo xtask compare OLD --write-baseline`"
        ));
    }
    let new = Facts::read(trees::open(root, None)?.0.as_ref())?;
    let name = &old.name;
    if new.all == old.facts.all {
        bail!(UserError::new(
            format!("{name} is this worker itself: nothing could be lost against it"),
            "name the worker before the migration, a directory or a revision"
        ));
    }
    let of = args.old.as_deref().unwrap_or(OUTDATED);
    let text = baseline::write(&old.facts, of, old.commit.as_deref(), old.base.as_ref());
    records::write(root, BASELINE, &text)?;
    let count = old.facts.all.len();
    output::print(&format!("{BASELINE}: {count} facts of {name}\n"))?;
    Ok(Outcome::Done)
}

impl Report {
    /// Reads the upstream too, named or recorded, which is shown beside the others and says what
    /// changed since. No verdict needs it.
    fn read_upstream(&mut self, root: &Path, args: &Args) -> Result<()> {
        let tree = match &args.upstream {
            Some(name) => Some(trees::open(root, Some(name))?.0),
            None => trees::locked(root, self.new.tree.as_ref())?,
        };
        self.upstream = tree.map(Worker::read).transpose()?;
        if let Some(upstream) = &self.upstream {
            entries::own_since(
                &mut self.entries,
                &self.items,
                &self.new.facts,
                &upstream.facts,
            );
        }
        Ok(())
    }

    /// The files of both workers, side by side; the old ones of its commit where that is there.
    fn pairs(&self) -> Result<Vec<Pair>> {
        let recorded = self.old.recorded.as_deref();
        let is_whole = recorded.is_some() || self.cleanup.is_none();
        let tree = recorded.or(self.old.tree.as_deref());
        let old = tree.map(|tree| OldFiles { tree, is_whole });
        let upstream = self.upstream.as_ref().map(|worker| worker.tree.as_ref());
        pairs::of(old, upstream, self.new.tree.as_ref(), &self.items)
    }
}

struct Worker {
    tree: Box<dyn Tree>,
    facts: Facts,
}

impl Worker {
    fn read(tree: Box<dyn Tree>) -> Result<Self> {
        let facts = Facts::read(tree.as_ref())?;
        Ok(Self { tree, facts })
    }
}

struct Workers {
    old: Old,
    new: Worker,
    /// Whether the old one is named, and not the one that a migration put aside.
    is_named: bool,
}

impl Workers {
    /// Reads them, one beside the other.
    fn read(root: &Path, args: &Args) -> Result<Self> {
        let read_new = || Worker::read(trees::open(root, args.new.as_deref())?.0);
        std::thread::scope(|scope| {
            let new = scope.spawn(read_new);
            let old = old::find(root, args.old.as_deref());
            let new = new.join();
            let old = old?;
            let new = new.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let is_named = args.old.is_some();
            Ok(Self { old, new, is_named })
        })
    }

    fn judge(&self) -> Result<Vec<judge::Item>> {
        let (old, new) = (&self.old, &self.new);
        let tree = new.tree.as_ref();
        let mut items = judge_all(&old.facts, old.base.as_ref(), &new.facts, tree)?;
        // A fork's own code is known, and a migration writes the rest anew.
        if let (true, None, Some(files)) = (self.is_named, &old.base, old.files()) {
            items.extend(edits::of(files, &old.facts, tree, &items)?);
        }
        Ok(items)
    }

    /// Runs both workers, the old one first, and takes what that shows into the items. The old one
    /// has its own files, or those of its commit.
    fn run(&self, items: &mut Vec<judge::Item>) -> Result<execute::Summary> {
        let Some(old_tree) = self.old.files() else {
            bail!(UserError::new(
                format!(
                    "{BASELINE} holds facts and no Python, and its commit is not in this repository"
                ),
                "name the old worker: `cargo xtask compare OLD --execute`"
            ));
        };
        let trees = [old_tree, self.new.tree.as_ref()];
        let (old, new) = (&self.old.facts, &self.new.facts);
        output::tell("running the Python of both workers with stand-ins for everything else\n");
        let table = judge::table_of(new);
        let scenarios = execute::scenarios(old, new, table, &execute::jobs(&trees, old));
        let runs = execute::Runs {
            old: &execute::play(trees[0], old, &scenarios)?,
            new: &execute::play(trees[1], new, &scenarios)?,
            scenarios: &scenarios,
        };
        Ok(execute::verify(&runs, [old, new], table, items))
    }
}

fn compare(repo: Option<&Path>, root: &Path, args: &Args) -> Result<Report> {
    progress::at("reading both workers");
    let workers = Workers::read(root, args)?;
    progress::at("judging");
    let mut items = workers.judge()?;
    let run = args.execute.then(|| workers.run(&mut items));
    let executed = run.transpose()?;
    let Workers { old, new, .. } = workers;
    let mut notes = old.notes.clone();
    notes.extend(old.own_removals(&new.facts));
    notes.extend(old.own_files(root, new.tree.as_ref())?);
    notes.extend(judge::release_note(&new.facts));
    notes.extend(judge::unsure(&items));
    notes.extend(broken_imports::note(&items, new.tree.as_ref())?);
    if let Some(tree) = old.files() {
        let base = old.base.as_ref().map(|base| base.commit.as_str());
        let base = trees::revision(root, base)?;
        let both = (tree, base.as_deref());
        let note = not_judged::note(both, &old.facts, new.tree.as_ref(), &items)?;
        notes.extend(note);
    }
    let passed_over = old.facts.passed_over.as_ref();
    notes.extend(passed_over.or(new.facts.passed_over.as_ref()).cloned());
    // Another worker has its own reasons.
    let accepted = match &args.new {
        None => reasons::read(root)?,
        Some(_) => Accepted::of_tree(new.tree.as_ref())
            .with_context(|| format!("reading the reasons of {}", new.tree.describe()))?,
    };
    let mut bound = accepted.clone();
    let count = bound.bind(&items, executed.is_some());
    let is_own = args.old.is_none() && args.new.is_none();
    let bound = (count > 0 && is_own).then_some(bound);
    let mut stale = accepted.apply(&mut items);
    if count > 0 {
        notes.push(format!(
            "{count} reasons on record held no values; `cargo xtask compare` binds them to what is open: commit {ACCEPTED}"
        ));
    }
    // Reasons speak of the old worker that this repository came from, and of no other; what only
    // runs can show was perhaps not looked for.
    let outdated = old.tree.as_deref().filter(|_| args.old.is_none());
    stale.retain(|entry| {
        let is_asked = |outdated| entry.waits_for_cleanup(outdated, new.tree.as_ref());
        let is_shown = executed.is_some() || !entry.needs_run();
        args.old.is_none() && is_shown && !outdated.is_some_and(is_asked)
    });
    let commands = Commands::new(repo);
    let cleanup = outdated.map(|_| commands.task("cleanup", "--dry-run"));
    Ok(Report {
        offered: accepted.offered_for(&items),
        entries: entries::of(&items, old.base.as_ref()),
        items,
        stale,
        bound,
        notes,
        executed,
        all: args.all,
        keeps_reasons: (args.new.iter()).all(|name| trees::directory(root, name).is_some()),
        command: command(repo, args),
        cleanup,
        commands,
        old,
        new,
        upstream: None,
    })
}

/// Compares the work tree at `root` with its past.
fn with_past(root: &Path) -> Result<Report> {
    compare(Some(root), root, &Args::default())
}

/// The summary of a comparison of the work tree at `root` with its past, and how many things keep
/// it from being clean, for a task that shows this result among others.
pub fn summary(root: &Path) -> Result<(String, usize)> {
    let report = with_past(root)?;
    Ok((report.summary(), report.failures()))
}

/// Writes the page of a comparison of the work tree at `root` with its past.
pub fn write_page(root: &Path, file: &Path) -> Result<()> {
    let _progress = Progress::begin("writing the page with both workers");
    let mut report = with_past(root)?;
    report.read_upstream(root, &Args::default())?;
    fs_err::write(file, report.html(&report.pairs()?))?;
    Ok(())
}

/// What keeps a comparison from being clean, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct OpenCounts {
    pub open: usize,
    pub stale: usize,
    pub accepted: usize,
}

/// These numbers; `None` where there is no past to compare with.
pub fn counts(root: &Path) -> Result<Option<OpenCounts>> {
    if !root.join(OUTDATED).is_dir() && !records::file(root, BASELINE)?.is_file() {
        return Ok(None);
    }
    let report = with_past(root)?;
    Ok(Some(OpenCounts {
        open: report.open().count(),
        stale: report.stale.len(),
        accepted: report.count(judge::Verdict::Accepted),
    }))
}

/// The command that repeats this comparison, for a shell.
fn command(repo: Option<&Path>, args: &Args) -> String {
    let names = args.old.iter().chain(&args.new).map(|name| quoted(name));
    let execute = args.execute.then(|| "--execute".to_owned());
    let words: Vec<String> = names.chain(execute).collect();
    Commands::new(repo).task("compare", &words.join(" "))
}

#[cfg(test)]
mod cases;
#[cfg(test)]
mod deletions;
#[cfg(test)]
mod tests;
