//! What cleanup says: what goes or what keeps it from going, and what to type next.

use anyhow::Result;
use serde::Serialize;
use serde_json::json;

use super::check::{Obstacle, ObstacleKind, PassedReason};
use super::is_outdated;
use compare::few;
use transaction::journal::JournalRecord;
use transaction::steps::PathChange;
use worker_files::references::Dangling;
use xtask_core::cli::Format;
use xtask_core::commands::{Commands, listed};
use xtask_core::layout::{BASELINE, OUTDATED, RECORDS};
use xtask_core::outcome::Outcome;
use xtask_core::output::style::{BOLD, DIM, GREEN, RED, YELLOW};
use xtask_core::output::{counted, print, print_parts, section};
use xtask_core::tree::{Entries, Oid, RepoPath};

#[derive(Serialize)]
pub struct Restore {
    pub commit: Oid,
    pub on: String,
}

impl Restore {
    /// The command of git that brings the folder back.
    fn command(&self) -> String {
        format!("restore --source={} -- {OUTDATED}", self.commit)
    }
}

/// What a run is about to do, or what keeps it from that.
#[derive(Default, Serialize)]
pub struct RemovalPlan {
    pub restore: Option<Restore>,
    pub files: Vec<RepoPath>,
    /// Records that are committed beside the removal.
    pub records: Vec<RepoPath>,
    /// The records that have entries for the folder.
    pub writes: Vec<RepoPath>,
    pub obstacles: Vec<Obstacle>,
    pub reasons: Vec<PassedReason>,
    pub mentions: Vec<Dangling>,
}

impl RemovalPlan {
    pub fn new(head: &Entries, restore: Option<Restore>) -> Self {
        let files = head.keys().filter(|path| is_outdated(path));
        Self {
            restore,
            files: files.cloned().collect(),
            ..Self::default()
        }
    }

    pub fn message(&self) -> String {
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
        text
    }
}

/// How many things with one cause are named.
const FEW: usize = 10;

/// What a person is told of first: as long as something is not committed, what is committed says
/// nothing of the work.
fn shown(plan: &RemovalPlan) -> Vec<&Obstacle> {
    let all = plan.obstacles.iter();
    let first: Vec<&Obstacle> = all
        .filter(|it| it.kind == ObstacleKind::Uncommitted)
        .collect();
    if first.is_empty() {
        plan.obstacles.iter().collect()
    } else {
        first
    }
}

pub struct CleanupReport<'a> {
    pub format: Format,
    pub commands: &'a Commands,
}

impl CleanupReport<'_> {
    /// Shows the plan to a person; a program gets it with the end.
    pub fn plan(&self, plan: &RemovalPlan) -> Result<()> {
        match self.format {
            Format::Text => print(&self.text(plan)),
            Format::Json => Ok(()),
        }
    }

    /// Says how it ended and what to type next; `tip` is the commit.
    pub fn end(&self, plan: &RemovalPlan, dry_run: bool, tip: Option<&Oid>) -> Result<Outcome> {
        let done = format!("{GREEN}Done.{GREEN:#}");
        let (ending, text) = if dry_run {
            let commit = self.commands.task("cleanup", "--commit");
            let text = format!("\nNothing was changed. {OUTDATED}/ can go:\n\n    {commit}\n");
            ("dry-run", text)
        } else if let Some(tip) = tip {
            let text = format!("\n{done} Committed as {}.\n", tip.short());
            ("committed", text)
        } else {
            let done = format!("{done} The removal is staged, HEAD has not moved.");
            ("staged", self.staged(&done, plan.writes.iter()))
        };
        self.print_ending(ending, tip, plan, &text)
    }

    pub fn stopped(&self, plan: &RemovalPlan) -> Result<Outcome> {
        let first = shown(plan);
        let then = match first.first().map(|one| one.kind) {
            Some(ObstacleKind::Uncommitted) => "What is committed decides about the rest. Then:",
            _ => "What is settled has to be committed too. Then:",
        };
        let count = counted(first.len(), "thing");
        let are = if first.len() == 1 { "is" } else { "are" };
        let text = format!(
            "{}\n{RED}{OUTDATED}/ stays: {count} {are} in the way, and nothing was changed.{RED:#}\n\
             {then}\n\n    {}\n",
            self.text(plan),
            self.commands.task("cleanup", "--dry-run")
        );
        self.print_ending("stopped", None, plan, &text)
    }

    /// `open` is how many entries of `compare` wait for a decision all the same; `records` are not
    /// committed, and `commit` is the one that has just taken them in.
    pub fn nothing(
        &self,
        open: usize,
        records: &[RepoPath],
        commit: Option<&Oid>,
    ) -> Result<Outcome> {
        let mut text = format!("{GREEN}Nothing to clean up:{GREEN:#} there is no {OUTDATED}/.\n");
        if let Some(commit) = commit {
            text += &format!("\nThe records are committed as {}.\n", commit.short());
        }
        if open > 0 {
            let title = format!("{YELLOW}But compare has {open} open:{YELLOW:#}");
            text += &listed(&title, &[(self.commands.task("compare", ""), "")]);
        }
        if !records.is_empty() {
            let names = transaction::list(records);
            let title = format!("{YELLOW}Not committed yet:{YELLOW:#}\n  {names}");
            text += &listed(&title, &[(self.commands.task("cleanup", "--commit"), "")]);
        }
        let parts = json!({ "open": open, "records": records });
        self.print_ending("nothing", commit, parts, &text)
    }

    /// An earlier run was killed, and this one is only to look.
    pub fn interrupted(&self) -> Result<Outcome> {
        let cleanup = self.commands.task("cleanup", "");
        let text = format!(
            "{YELLOW}A cleanup was interrupted here.{YELLOW:#} Finish it with:\n\n    {cleanup}\n"
        );
        self.print_ending("interrupted", None, json!({}), &text)
    }

    /// An earlier run was killed, and this one finished it.
    pub fn finished(&self, record: &JournalRecord, restore: Option<&Restore>) -> Result<Outcome> {
        let written = record.steps.iter().filter_map(PathChange::target);
        let finished = format!("{GREEN}Finished{GREEN:#} what was interrupted");
        let mut text = restore.map_or_else(String::new, |restore| self.restore_text(restore));
        let ending = if let Some(tip) = record.tip() {
            text += &format!("\n{finished}, and committed as {}.\n", tip.short());
            "committed"
        } else {
            text += &self.staged(&format!("{finished}; it is staged."), written);
            "staged"
        };
        self.print_ending(ending, record.tip(), json!({ "restore": restore }), &text)
    }

    /// Prints how it ended: to a program with what else there is to tell.
    fn print_ending(
        &self,
        ending: &str,
        commit: Option<&Oid>,
        parts: impl Serialize,
        text: &str,
    ) -> Result<Outcome> {
        let how = json!({ "version": 1, "ending": ending, "commit": commit });
        match self.format {
            Format::Text => print(text)?,
            Format::Json => print_parts(&[&how, &json!(parts)])?,
        }
        Ok(match ending {
            "stopped" | "interrupted" => Outcome::Findings,
            _ => Outcome::Done,
        })
    }

    fn text(&self, plan: &RemovalPlan) -> String {
        let mut out = String::new();
        if plan.obstacles.is_empty() {
            let files = counted(plan.files.len(), "file");
            let listed = transaction::list(&plan.files);
            out += &format!("{BOLD}Removes{BOLD:#} {OUTDATED}/, {files}\n  {listed}\n");
            if !plan.records.is_empty() {
                let records = transaction::list(&plan.records);
                out += &format!("\n{BOLD}Commits beside it{BOLD:#}\n  {records}\n");
            }
            let mut places = RECORDS.iter().filter(|(place, _)| *place == BASELINE);
            let (place, older) = places.next().copied().unwrap_or_default();
            if plan.writes.iter().any(|it| *it == place || *it == older) {
                out += &format!(
                    "\n{BOLD}Made again{BOLD:#} {BASELINE}, which an older reader had made\n"
                );
            }
            if let Some(restore) = &plan.restore {
                out += &format!("\n{}", self.restore_text(restore));
            }
        }
        let commit = self.commands.git("commit --");
        let all = format!("{commit}all");
        for of_kind in shown(plan).chunk_by(|one, other| one.kind == other.kind) {
            let commits = of_kind.iter().filter(|it| it.settle.starts_with(&commit));
            let is_one = commits.count() == 1;
            let settle = |one: &Obstacle| {
                let is_commit = one.settle.starts_with(&commit) && !is_one;
                if is_commit { &all } else { &one.settle }.clone()
            };
            let settled = |one: &&Obstacle, other: &&Obstacle| {
                (settle(one), &one.why) == (settle(other), &other.why)
            };
            let line = |alike: &[&Obstacle]| {
                let one = alike[0];
                // A place is explained by its line, an id by the reason.
                let why = match one.kind {
                    ObstacleKind::Local | ObstacleKind::Unreachable => String::new(),
                    _ => format!(" {DIM}{}{DIM:#}", one.why),
                };
                let subjects: Vec<&str> = alike.iter().map(|one| &*one.subject).collect();
                let subjects = few(&subjects, FEW);
                format!("  {RED}{subjects}{RED:#}{why}\n    {}\n", settle(one))
            };
            let lines = of_kind.chunk_by(settled).map(line);
            out += &section(of_kind[0].kind.title(), lines);
        }
        let reasons = plan.reasons.iter();
        let reasons = reasons.map(|it| format!("  {}: {}\n", it.id, it.reason));
        out += &section("Passes for a reason on record", reasons);
        let mentions = plan.mentions.iter().map(|one| {
            let place = format!("{}:{}:{}", one.path, one.line, one.column);
            format!("  {YELLOW}{place}{YELLOW:#} {DIM}{}{DIM:#}\n", one.text)
        });
        let title = format!("Texts that refer to {OUTDATED}/, and stop nothing");
        out + &section(&title, mentions)
    }

    fn restore_text(&self, restore: &Restore) -> String {
        format!(
            "{BOLD}Comes back with{BOLD:#} {}\n  {DIM}a commit that {} keeps{DIM:#}\n",
            self.commands.git(&restore.command()),
            restore.on
        )
    }

    fn staged<'p>(&self, what: &str, written: impl Iterator<Item = &'p RepoPath>) -> String {
        let keep = self.commands.task("cleanup", "--commit");
        let written: String = written.map(|path| format!(" {path}")).collect();
        let back = format!("restore --staged --worktree -- {OUTDATED}{written}");
        let then = [
            (keep, "commits it, and says how to get it back"),
            (self.commands.git(&back), "or takes it back"),
        ];
        listed(&format!("{what} Next:"), &then)
    }
}
