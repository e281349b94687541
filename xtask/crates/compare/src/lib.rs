//! `cargo xtask compare`: what became of everything that the old worker exposed.
//!
//! Tree → WorkerInterface → Facts → judge → report. Nothing of either worker is run, except with
//! `--execute`.

pub mod accepted;
pub mod args;
pub mod baseline;
pub mod cleanup_gate;
mod diff;
mod execute;
mod facts;
pub mod judge;
mod report;
mod trees;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::accepted::Accepted;
use self::facts::Facts;
use self::judge::judge;
use self::report::Report;
use self::trees::Trees;
use crate::args::{Args, ReportFormat};
use xtask_core::commands::Commands;
use xtask_core::layout::{ACCEPTED, BASELINE, OUTDATED};
use xtask_core::outcome::{Outcome, UsageError, UserError};
use xtask_core::output::{self, quoted};
use xtask_core::suggest::one_of;
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
    let accepted_file = root.join(ACCEPTED);
    if !args.accept.is_empty() {
        return accept(&root, &accepted_file, args, questions);
    }
    if !args.withdraw.is_empty() {
        return withdraw(&accepted_file, &args.withdraw);
    }
    let trees = Trees::new(&root);
    let (old, old_name, old_tree) = old(&trees, &root, args)?;
    if args.write_baseline {
        if args.old.is_none() && old_tree.is_none() {
            bail!(UserError::new(
                format!("{BASELINE} is there, and the old worker's files are not"),
                "name the old worker: `cargo xtask compare OLD --write-baseline`"
            ));
        }
        // The file is committed, so it doesn't say where this repository lies.
        let name = args.old.as_deref().unwrap_or(OUTDATED);
        fs_err::write(root.join(BASELINE), baseline::write(&old, name))?;
        anstream::println!("{BASELINE}: {} facts of {old_name}", old.all.len());
        return Ok(Outcome::Done);
    }
    let compared = compare(repo, &root, args, (old, old_name, old_tree))?;
    let report = &compared.report;
    let text = match args.format {
        ReportFormat::Text => report.text(),
        ReportFormat::Json => report.json(),
        ReportFormat::Markdown => report.markdown(),
    };
    if args.diff {
        output::print(&diff::diff(
            compared.old.as_deref(),
            compared.upstream.as_deref(),
            compared.new.as_ref(),
        )?)?;
    }
    output::print(&text)?;
    Ok(if report.failures() == 0 {
        Outcome::Done
    } else {
        Outcome::Findings
    })
}

/// A comparison, with the trees that it is of.
struct Compared {
    report: Report,
    old: Option<Box<dyn Tree>>,
    new: Box<dyn Tree>,
    upstream: Option<Box<dyn Tree>>,
}

fn compare(
    repo: Option<&Path>,
    root: &Path,
    args: &Args,
    (old, old_name, old_tree): Old,
) -> Result<Compared> {
    let trees = Trees::new(root);
    let new_tree = trees.open(args.new.as_deref())?;
    let new = Facts::read(new_tree.as_ref())?;
    let upstream_tree = match &args.upstream {
        Some(name) => Some(trees.open(Some(name))?),
        None => trees.locked(new_tree.as_ref())?,
    };
    let upstream = match &upstream_tree {
        Some(tree) => Some(Facts::read(tree.as_ref())?),
        None => None,
    };
    let mut items = judge(&old, &new);
    let executed = if args.execute {
        let trees = [old_tree.as_deref(), Some(new_tree.as_ref())];
        Some(executed(trees, [&old, &new], &mut items)?)
    } else {
        None
    };
    // Another worker has its own reasons.
    let accepted = match (&args.new, new_tree.read_file(ACCEPTED)?) {
        (None, _) => read_accepted(&root.join(ACCEPTED))?,
        (Some(_), None) => Accepted::default(),
        (Some(_), Some(bytes)) => Accepted::read(&String::from_utf8_lossy(&bytes))
            .with_context(|| format!("reading {ACCEPTED} of {}", new_tree.describe()))?,
    };
    let mut stale = accepted.apply(&mut items);
    // Reasons speak of the old worker that this repository came from, and of no other; what only
    // runs can show was perhaps not looked for.
    stale.retain(|entry| args.old.is_none() && (executed.is_some() || !entry.needs_run()));
    if let Some(outdated) = &old_tree {
        stale.retain(|entry| !entry.waits_for_cleanup(outdated.as_ref(), new_tree.as_ref()));
    }
    let report = Report {
        old: old_name,
        new: new_tree.describe(),
        items,
        stale,
        unread: [("old", old.unread), ("new", new.unread)],
        upstream,
        executed,
        all: args.all,
        command: command(repo, args),
        commands: Commands::new(repo),
        cleanup: (args.old.is_none() && old_tree.is_some())
            .then(|| Commands::new(repo).task("cleanup", "--dry-run")),
    };
    Ok(Compared {
        report,
        old: old_tree,
        new: new_tree,
        upstream: upstream_tree,
    })
}

/// What a worker exposes, as the text of `compare.baseline.json`, and how many facts that is.
pub fn baseline_of(tree: &dyn Tree, name: &str) -> Result<(String, usize)> {
    let facts = Facts::read(tree)?;
    Ok((baseline::write(&facts, name), facts.all.len()))
}

/// The summary of a comparison of the work tree at `root` with its past, and how many things keep
/// it from being clean, for whoever shows the task's result among others.
pub fn summary(root: &Path) -> Result<(String, usize)> {
    let args = Args::default();
    let old = old(&Trees::new(root), root, &args)?;
    let report = compare(Some(root), root, &args, old)?.report;
    Ok((report.summary_text(), report.failures()))
}

/// What keeps a comparison from being clean, in numbers.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub open: usize,
    pub stale: usize,
    pub accepted: usize,
}

/// The same in numbers; `None` where there is no past to compare with.
pub fn counts(root: &Path) -> Result<Option<Counts>> {
    if !root.join(OUTDATED).is_dir() && !root.join(BASELINE).is_file() {
        return Ok(None);
    }
    let args = Args::default();
    let old = old(&Trees::new(root), root, &args)?;
    let report = compare(Some(root), root, &args, old)?.report;
    Ok(Some(Counts {
        open: report.open().count(),
        stale: report.stale.len(),
        accepted: report.count(judge::Verdict::Accepted),
    }))
}

/// The old worker's facts, what to call it, and its files where they are there.
type Old = (Facts, String, Option<Box<dyn Tree>>);

/// Finds the old worker.
fn old(trees: &Trees, root: &Path, args: &Args) -> Result<Old> {
    if let Some(name) = &args.old {
        let tree = trees.open(Some(name))?;
        let facts = Facts::read(tree.as_ref())?;
        if facts.all.is_empty() && facts.unread.is_empty() {
            bail!(UserError::new(
                format!("{} holds nothing that a worker exposes", tree.describe()),
                "name the folder or the revision with the old worker's handler and Dockerfile"
            ));
        }
        return Ok((facts, tree.describe(), Some(tree)));
    }
    let baseline = read_baseline(&root.join(BASELINE))?;
    if !root.join(OUTDATED).is_dir() {
        let Some(facts) = baseline else {
            bail!(UserError::new(
                format!("there is neither {OUTDATED}/ nor {BASELINE} to compare with"),
                "name the old worker: `cargo xtask compare OLD`, a directory or a git revision"
            ));
        };
        return Ok((facts, BASELINE.to_owned(), None));
    }
    let tree = trees.outdated()?;
    let mut facts = Facts::read(tree.as_ref())?;
    // What the old worker kept in files that didn't retire (its README, its bake file) is on
    // record only.
    if let Some(baseline) = baseline {
        facts.complete(baseline, tree.as_ref());
    }
    Ok((facts, tree.describe(), Some(tree)))
}

fn read_baseline(file: &Path) -> Result<Option<Facts>> {
    if !file.is_file() {
        return Ok(None);
    }
    let text = fs_err::read_to_string(file)?;
    Ok(Some(baseline::of_repository(&text)?))
}

/// The command that repeats this comparison, for a shell.
fn command(repo: Option<&Path>, args: &Args) -> String {
    let mut words = vec!["cargo xtask compare".to_owned()];
    if let Some(repo) = repo {
        words.extend(["-C".to_owned(), quoted(&repo.display().to_string())]);
    }
    words.extend(args.old.iter().chain(&args.new).map(|name| quoted(name)));
    if args.execute {
        words.push("--execute".to_owned());
    }
    words.join(" ")
}

/// Runs both workers, the old one first, and takes what that shows into the items.
fn executed(
    trees: [Option<&dyn Tree>; 2],
    [old, new]: [&Facts; 2],
    items: &mut Vec<judge::Item>,
) -> Result<execute::Summary> {
    let [Some(old_tree), Some(new_tree)] = trees else {
        bail!(UserError::new(
            format!("{BASELINE} holds facts, and no Python that could be run"),
            "name the old worker: `cargo xtask compare OLD --execute`"
        ));
    };
    let trees = [old_tree, new_tree];
    anstream::eprintln!("running the Python of both workers with stand-ins for everything else");
    let table = judge::table_of(new);
    let scenarios = execute::scenarios(old, new, table, &execute::jobs(&trees));
    let runs = execute::Runs {
        old: &execute::play(trees[0], &scenarios)?,
        new: &execute::play(trees[1], &scenarios)?,
        scenarios: &scenarios,
    };
    Ok(execute::verify(&runs, old, new, table, items))
}

fn read_accepted(file: &Path) -> Result<Accepted> {
    if !file.is_file() {
        return Ok(Accepted::default());
    }
    let text = fs_err::read_to_string(file)?;
    Accepted::of_repository(&text)
}

/// Records reasons. Facts that are not open are refused, because a reason for nothing hides
/// what happens to it later.
fn accept(root: &Path, file: &PathBuf, args: &Args, questions: Questions) -> Result<Outcome> {
    let reason = args.reason.as_deref().unwrap_or_default().trim();
    // As it stands in a command that was printed, to be filled in.
    if reason.is_empty() || reason == "…" {
        bail!(UsageError("a reason is needed: --reason TEXT".to_owned()));
    }
    let trees = Trees::new(root);
    let (old, _, old_tree) = old(&trees, root, args)?;
    let new_tree = trees.open(args.new.as_deref())?;
    let new = Facts::read(new_tree.as_ref())?;
    let mut items = judge(&old, &new);
    let asked = if args.accept.iter().any(|fact| accepted::is_cleanups(fact)) {
        questions(root)?
    } else {
        Vec::new()
    };
    let open = |fact: &str, items: &[judge::Item]| {
        if accepted::is_cleanups(fact) {
            // By name only: a pattern would take in what nobody has looked at.
            return usize::from(asked.iter().any(|id| id == fact));
        }
        let fits = |item: &&judge::Item| item.open && accepted::matches(fact, &item.id);
        items.iter().filter(fits).count()
    };
    let as_read: Vec<usize> = args.accept.iter().map(|fact| open(fact, &items)).collect();
    if args.execute {
        let trees = [old_tree.as_deref(), Some(new_tree.as_ref())];
        executed(trees, [&old, &new], &mut items)?;
    }
    let mut known = read_accepted(file)?;
    for (fact, as_read) in args.accept.iter().zip(as_read) {
        let open = open(fact, &items);
        if open == 0 {
            let see = command(None, args);
            let help = if accepted::is_cleanups(fact) {
                "see the ids with `cargo xtask cleanup --dry-run`; each is accepted by its own \
                 name, without `*`"
                    .to_owned()
            } else if args.execute {
                format!("see the ids with `{see}`")
            } else {
                format!(
                    "see the ids with `{see}`; what only runs can show is accepted with --execute"
                )
            };
            bail!(UserError::new(
                format!("{fact} matches nothing that is open"),
                help
            ));
        }
        known.add(fact, reason, as_read == 0);
        anstream::println!("{fact}: accepted ({open} open)");
    }
    fs_err::write(file, known.write())?;
    Ok(Outcome::Done)
}

/// Takes reasons off the record, all of those that are named or none.
fn withdraw(file: &Path, facts: &[String]) -> Result<Outcome> {
    let known = read_accepted(file)?;
    let mut left = known.clone();
    let mut said = String::new();
    for fact in facts.iter().collect::<BTreeSet<_>>() {
        let Some(reason) = left.withdraw(fact) else {
            let near = known.near(fact);
            let help = if near.is_empty() {
                "`cargo xtask compare` names those that are stale; what is withdrawn already is to \
                 be committed"
                    .to_owned()
            } else {
                format!("each is withdrawn by its own name: {}", one_of(&near))
            };
            bail!(UserError::new(
                format!("no reason for {fact} is on record in {ACCEPTED}"),
                help
            ));
        };
        said += &format!("{fact}: withdrawn; the reason was: {reason}\n");
    }
    fs_err::write(file, left.write())?;
    output::print(&said)?;
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests;
