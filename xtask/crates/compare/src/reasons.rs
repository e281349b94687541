//! `--accept` and `--withdraw`: reasons go on record and off it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::accepted::{self, Accepted};
use super::args::Args;
use super::entries;
use super::facts::area_of;
use super::judge;
use super::{Questions, Workers, command, trees};
use worker_files::is_one_of;
use xtask_core::git::{Git, Repo};
use xtask_core::layout::ACCEPTED;
use xtask_core::outcome::{Outcome, UsageError, UserError};
use xtask_core::output;
use xtask_core::records;

/// A pattern that takes in more facts than this has to be confirmed: nobody looks at so many.
const MANY: usize = 20;

const NOTHING_OFFERED: &str = "upstream offers no reason for what is open";

pub fn read(root: &Path) -> Result<Accepted> {
    match records::read_file(root, ACCEPTED)? {
        None => Ok(Accepted::default()),
        Some((text, place)) => Accepted::of_repository(&text, place),
    }
}

/// Changes what is on record, and with `--commit` commits that alone. A hook does not run. Reasons
/// belong to the new worker: they are written where its files are.
pub fn record(root: &Path, args: &Args, questions: Questions) -> Result<Outcome> {
    let root = &fs_err::canonicalize(root)?;
    let place = &match &args.new {
        None => root.clone(),
        Some(name) => match trees::directory(root, name) {
            Some(place) => fs_err::canonicalize(place)?,
            None => bail!(UserError::new(
                format!("{name} is a revision, and reasons are written beside a worker's files"),
                "check it out, and run this there with OLD alone"
            )),
        },
    };
    let mut repo = None;
    if args.commit {
        let opened = Repo::open(&Git::find()?, place)?;
        if let Some(operation) = opened.under_way()? {
            bail!(UserError::new(
                format!("{operation} is under way, so nothing can be committed alone"),
                "finish it or abort it, or leave --commit out"
            ));
        }
        repo = Some(opened);
    }
    let before = records::file(place, ACCEPTED)?;
    let workers = || Workers::read(root, args);
    let mut said = if !args.accept.is_empty() {
        accept(place, &workers()?, args, questions)?
    } else if args.accept_upstream {
        accept_upstream(place, &workers()?)?
    } else {
        withdraw(place, &args.withdraw)?
    };
    if let Some(repo) = repo {
        let reason = args.reason.as_deref().unwrap_or_default();
        let message = format!("chore: record what may be gone\n\n{reason}\n\n{said}");
        said += &commit_records(&repo, &[before, place.join(ACCEPTED)], &message)?;
    }
    output::print(&said)?;
    Ok(Outcome::Done)
}

/// Commits records and nothing else, and says so.
pub fn commit_records(repo: &Repo, files: &[PathBuf], message: &str) -> Result<String> {
    let mut files = files.to_vec();
    files.dedup();
    repo.git("add --force --all --").args(&files).output()?;
    let same = repo.git("diff --cached --quiet HEAD --").args(&files);
    if same.finish()?.ok {
        return Ok(format!("{ACCEPTED} is committed already\n"));
    }
    let call = repo.git("commit --quiet --only --cleanup=whitespace --message");
    call.arg(message).arg("--").args(&files).output()?;
    let head = repo.commit("HEAD")?;
    let head = head.as_ref().map_or("", |commit| commit.short());
    Ok(format!("Committed as {head}.\n"))
}

/// Refuses what takes in more than anybody looked at, or says nothing.
fn refuse_unclear(args: &Args, reason: &str) -> Result<()> {
    // As it stands in a command that was printed, to be filled in.
    if reason.is_empty() || reason == "…" {
        bail!(UsageError("a reason is needed: --reason TEXT".to_owned()));
    }
    let mut facts = args.accept.iter();
    if let Some(fact) = facts.find(|fact| area_of(fact).contains('*')) {
        let instead = "name an area, such as `readme:*`";
        bail!(UsageError(format!(
            "{fact} would take in everything; {instead}"
        )));
    }
    if let Some(fact) = args
        .accept
        .iter()
        .find(|it| is_one_of("env input route", area_of(it)))
        && args.for_forks
    {
        bail!(UsageError(format!(
            "{fact} can't be kept for forks: what becomes of variables, input and routes is their own decision"
        )));
    }
    Ok(())
}

fn not_open(fact: &str, args: &Args) -> UserError {
    let see = command(None, args);
    let help = if accepted::is_cleanups(fact) {
        "see the ids with `cargo xtask cleanup --dry-run`; each is accepted by its own name, without `*`".to_owned()
    } else {
        format!("see the ids with `{see}`; what only runs can show is accepted with --execute")
    };
    let what = format!("{fact} matches nothing that is open");
    UserError::new(what, help)
}

/// Records reasons. Facts that are not open are refused, because a reason for nothing hides
/// what happens to it later.
fn accept(root: &Path, workers: &Workers, args: &Args, questions: Questions) -> Result<String> {
    let reason = args.reason.as_deref().unwrap_or_default().trim();
    refuse_unclear(args, reason)?;
    let mut items = workers.judge()?;
    let is_asked = args.accept.iter().any(|fact| accepted::is_cleanups(fact));
    let asked = is_asked.then(|| questions(root)).transpose()?;
    let open = |fact: &String, items: &[judge::Item]| match &asked {
        // By name only: a pattern would take in what nobody has looked at.
        Some(asked) if accepted::is_cleanups(fact) => usize::from(asked.contains(fact)),
        _ => accepted::values(fact, items).len(),
    };
    let as_read: Vec<usize> = args.accept.iter().map(|fact| open(fact, &items)).collect();
    if args.execute {
        workers.run(&mut items)?;
    }
    let mut known = read(root)?;
    known.bind(&items, args.execute);
    let entries = entries::of(&items, workers.old.base.as_ref());
    let (mut said, mut taken) = (String::new(), Vec::new());
    if args.accept_upstream {
        taken = take_offered(&mut known, &items);
        said = told(&taken);
        for item in items.iter_mut().filter(|item| taken.contains(&item.id)) {
            item.open = false;
        }
    }
    for (fact, as_read) in args.accept.iter().zip(as_read) {
        let open = open(fact, &items);
        if open == 0 && taken.iter().any(|id| accepted::matches(fact, id)) {
            said += &format!("{fact}: upstream's reasons answer for it\n");
            continue;
        }
        if open == 0 {
            bail!(not_open(fact, args));
        }
        if open > MANY && !args.yes {
            bail!(UserError::new(
                format!("{fact} takes in {open} facts that are open"),
                "accept them by smaller patterns, or say --yes"
            ));
        }
        let mut add = |fact: &str, is_run: bool, of| {
            if args.for_forks {
                known.add_for_forks(fact, reason, of);
            } else {
                known.add(fact, reason, is_run, of);
            }
        };
        add(fact, as_read == 0, accepted::values(fact, &items));
        // What has the same cause goes with it.
        let mut all = open;
        let entry = entries.iter().find(|entry| entry.id == *fact);
        for member in entry.map_or(&[][..], |entry| &entry.members[1..]) {
            let values = accepted::values(member, &items);
            if !values.is_empty() {
                add(member, false, values);
                all += 1;
            }
        }
        said += &format!("{fact}: accepted ({all} open)\n");
    }
    records::write(root, ACCEPTED, &known.write())?;
    Ok(said)
}

/// Takes upstream's reasons for what is open over.
fn accept_upstream(root: &Path, workers: &Workers) -> Result<String> {
    let items = workers.judge()?;
    let mut known = read(root)?;
    known.bind(&items, false);
    let taken = take_offered(&mut known, &items);
    if taken.is_empty() {
        bail!(UserError::new(
            NOTHING_OFFERED,
            "give one with `cargo xtask compare --accept FACT --reason TEXT`"
        ));
    }
    records::write(root, ACCEPTED, &known.write())?;
    Ok(told(&taken))
}

/// Adds upstream's reasons for what is open to those that are known, and gives their ids.
fn take_offered(known: &mut Accepted, items: &[judge::Item]) -> Vec<String> {
    let mut items = items.to_vec();
    known.apply(&mut items);
    known.take_offered(&items)
}

fn told(taken: &[String]) -> String {
    match taken.len() {
        0 => format!("{NOTHING_OFFERED}\n"),
        count => format!(
            "{count} accepted for upstream's reasons: {}\n",
            taken.join(", ")
        ),
    }
}

/// Takes reasons off the record, all of those that are named or none.
fn withdraw(root: &Path, facts: &[String]) -> Result<String> {
    let mut left = read(root)?;
    let mut said = String::new();
    for fact in facts.iter().collect::<BTreeSet<_>>() {
        let Some(reason) = left.withdraw(fact) else {
            bail!(UserError::new(
                format!("no reason for {fact} is on record in {ACCEPTED}"),
                "each is withdrawn by the name that it has there; `cargo xtask compare` names those \
                 that are stale"
            ));
        };
        said += &format!("{fact}: withdrawn; the reason was: {reason}\n");
    }
    records::write(root, ACCEPTED, &left.write())?;
    Ok(said)
}
