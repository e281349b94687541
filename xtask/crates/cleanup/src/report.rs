//! What cleanup says: what goes or what keeps it from going, and what to type next.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::check::ObstacleKind;
use super::{RemovalPlan, Restore};
use transaction::journal::JournalRecord;
use transaction::steps::PathChange;
use xtask_core::cli::Format;
use xtask_core::commands::{Commands, listed};
use xtask_core::layout::OUTDATED;
use xtask_core::outcome::Outcome;
use xtask_core::output::style::{BOLD, DIM, GREEN, RED, YELLOW};
use xtask_core::output::{counted, print};
use xtask_core::tree::{Oid, RepoPath};

pub enum CleanupEnding {
    DryRun,
    Staged,
    Committed(Oid),
}

pub struct CleanupReport<'a> {
    format: Format,
    commands: &'a Commands,
}

impl<'a> CleanupReport<'a> {
    pub fn new(format: Format, commands: &'a Commands) -> Self {
        Self { format, commands }
    }

    /// Shows the plan to a person; a program gets it with the end.
    pub fn plan(&self, plan: &RemovalPlan) -> Result<()> {
        match self.format {
            Format::Text => print(&self.text(plan)),
            Format::Json => Ok(()),
        }
    }

    /// Says how it ended and what to type next.
    pub fn end(&self, plan: &RemovalPlan, ending: &CleanupEnding) -> Result<Outcome> {
        let (word, commit) = match ending {
            CleanupEnding::DryRun => ("dry-run", None),
            CleanupEnding::Staged => ("staged", None),
            CleanupEnding::Committed(tip) => ("committed", Some(tip)),
        };
        self.say(word, commit, plan, || self.ended(plan, ending))?;
        Ok(Outcome::Done)
    }

    /// Something is in the way; nothing was changed.
    pub fn stopped(&self, plan: &RemovalPlan) -> Result<Outcome> {
        self.say("stopped", None, plan, || {
            let count = plan.obstacles.len();
            let are = if count == 1 { "is" } else { "are" };
            format!(
                "{}\n{RED}{OUTDATED}/ stays: {} {are} in the way, and nothing was changed.{RED:#}\n\
                 What is settled has to be committed too. Then:\n\n    {}\n",
                self.text(plan),
                counted(count, "thing"),
                self.commands.task("cleanup", "--dry-run")
            )
        })?;
        Ok(Outcome::Findings)
    }

    pub fn nothing(&self) -> Result<Outcome> {
        self.say("nothing", None, json!({}), || {
            format!("{GREEN}Nothing to clean up:{GREEN:#} there is no {OUTDATED}/.\n")
        })?;
        Ok(Outcome::Done)
    }

    /// An earlier run was killed, and this one is only to look.
    pub fn interrupted(&self) -> Result<Outcome> {
        self.say("interrupted", None, json!({}), || {
            let cleanup = self.commands.task("cleanup", "");
            format!(
                "{YELLOW}A cleanup was interrupted here.{YELLOW:#} Finish it with:\n\n    {cleanup}\n"
            )
        })?;
        Ok(Outcome::Findings)
    }

    /// An earlier run was killed, and this one finished it.
    pub fn finished(&self, record: &JournalRecord, restore: Option<&Restore>) -> Result<Outcome> {
        let commit = record.commit.as_ref();
        let tip = commit.and_then(|commit| commit.tip.as_ref());
        let word = if tip.is_some() { "committed" } else { "staged" };
        self.say(word, tip, json!({ "restore": restore }), || {
            let back = restore.map(|restore| self.comes_back(restore));
            let written = record.steps.iter().filter_map(|step| match step {
                PathChange::Write { path, .. } => Some(path),
                _ => None,
            });
            let finished = format!("{GREEN}Finished{GREEN:#} what was interrupted");
            let end = match tip {
                Some(tip) => format!("\n{finished}, and committed as {}.\n", tip.short()),
                None => self.staged(&format!("{finished}; it is staged."), written),
            };
            back.unwrap_or_default() + &end
        })?;
        Ok(Outcome::Done)
    }

    /// Prints how it ended: to a program with what else there is to tell.
    fn say(
        &self,
        ending: &str,
        commit: Option<&Oid>,
        parts: impl Serialize,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.format == Format::Text {
            return print(&text());
        }
        let mut value = json!({ "version": 1, "ending": ending, "commit": commit });
        if let (Value::Object(all), Value::Object(parts)) = (&mut value, json!(parts)) {
            all.extend(parts);
        }
        print(&format!("{value:#}\n"))
    }

    fn text(&self, plan: &RemovalPlan) -> String {
        let mut out = String::new();
        if plan.obstacles.is_empty() {
            let files = counted(plan.files.len(), "file");
            out += &format!("{BOLD}Removes{BOLD:#} {OUTDATED}/, {files}\n");
            out += &format!("  {}\n", transaction::list(&plan.files));
            let restore = plan.restore.as_ref();
            let back = restore.map(|restore| format!("\n{}", self.comes_back(restore)));
            out += &back.unwrap_or_default();
        }
        let mut kind = None;
        for obstacle in &plan.obstacles {
            if kind.replace(obstacle.kind) != Some(obstacle.kind) {
                out += &heading(obstacle.kind.title());
            }
            // The one who reads a place wants to see its line, the one who reads an id why.
            let line = match obstacle.kind {
                ObstacleKind::Local | ObstacleKind::Unreachable => String::new(),
                _ => format!(" {DIM}{}{DIM:#}", obstacle.why),
            };
            let (subject, settle) = (&obstacle.subject, &obstacle.settle);
            out += &format!("  {RED}{subject}{RED:#}{line}\n    {settle}\n");
        }
        if !plan.reasons.is_empty() {
            out += &heading("Passes for a reason on record");
        }
        for reason in &plan.reasons {
            out += &format!("  {}: {}\n", reason.id, reason.reason);
        }
        if !plan.mentions.is_empty() {
            let title = format!("Texts that refer to {OUTDATED}/, and stop nothing");
            out += &heading(&title);
        }
        for one in &plan.mentions {
            let place = format!("{}:{}:{}", one.path, one.line, one.column);
            let text = &one.text;
            out += &format!("  {YELLOW}{place}{YELLOW:#} {DIM}{text}{DIM:#}\n");
        }
        out
    }

    fn ended(&self, plan: &RemovalPlan, ending: &CleanupEnding) -> String {
        match ending {
            CleanupEnding::DryRun => format!(
                "\nNothing was changed. {OUTDATED}/ can go:\n\n    {}\n",
                self.commands.task("cleanup", "--commit")
            ),
            CleanupEnding::Staged => self.staged(
                &format!("{GREEN}Done.{GREEN:#} The removal is staged, HEAD has not moved."),
                plan.writes.iter(),
            ),
            CleanupEnding::Committed(tip) => {
                format!("\n{GREEN}Done.{GREEN:#} Committed as {}.\n", tip.short())
            }
        }
    }

    fn comes_back(&self, restore: &Restore) -> String {
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

fn heading(title: &str) -> String {
    format!("\n{BOLD}{title}{BOLD:#}\n")
}
