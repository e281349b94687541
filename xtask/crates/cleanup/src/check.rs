//! The obstacles to removing `outdated/`, each with the command that removes it.

use anyhow::Result;
use serde::Serialize;

use super::report::RemovalPlan;
use super::{is_outdated, mentions};
use compare::accepted;
use compare::cleanup_gate::CleanupGate;
use hub_lint::{Finding, Severity};
use migrate::preflight::Preflight;
use transaction::files::is_file;
use worker_files::references::MentionKind;
use xtask_core::commands::Commands;
use xtask_core::git::GitTree;
use xtask_core::layout::{self, BASELINE, LOCK, OUTDATED};
use xtask_core::lock::{Lock, retired_as};
use xtask_core::output::{quoted, quoted_file, quoted_path};
use xtask_core::tree::{Mode, Part, RepoPath, Tree};

/// The kinds of obstacles, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObstacleKind {
    Uncommitted,
    /// Below `outdated/`, and git does not track it.
    Local,
    /// No branch or tag keeps the commit.
    Unreachable,
    /// The baseline can't stand for the files; compare takes no reason before it can be read.
    Baseline,
    /// A file that is not the one that migrate put there.
    Changed,
    Open,
    Lint,
    /// Something that runs or builds mentions `outdated/`.
    Mention,
}

impl ObstacleKind {
    pub fn title(self) -> &'static str {
        match self {
            Self::Uncommitted => "Not committed",
            Self::Local => "Below outdated/ and not tracked by git: never removed",
            Self::Unreachable => "Nothing keeps the commit to restore it from",
            Self::Baseline => "The record of the old worker",
            Self::Changed => "Not as migrate put it there",
            Self::Open => "Facts of the old worker without a decision",
            Self::Lint => "Errors in the Hub's files",
            Self::Mention => {
                "Runs or builds, and refers to outdated/: remove that, or give a reason"
            }
        }
    }
}

/// Something that keeps `outdated/` from being removed.
#[derive(Debug, Serialize)]
pub struct Obstacle {
    pub kind: ObstacleKind,
    /// A path, a place or an id.
    pub subject: String,
    pub why: String,
    /// The command that settles it; of what only a person can fix, the one that says how.
    pub settle: String,
}

/// A reason on record that lets something pass.
#[derive(Debug, Serialize)]
pub struct PassedReason {
    pub id: String,
    pub reason: String,
}

/// Fills a plan with what is in the way of removing `outdated/`.
pub struct ObstacleCheck<'a> {
    pub at: &'a Preflight,
    /// The files of HEAD, which decide.
    pub head: &'a GitTree,
    pub commands: &'a Commands,
    pub plan: RemovalPlan,
}

impl ObstacleCheck<'_> {
    /// Looks at everything. `lock` is the commit's, as a staged removal has changed the index;
    /// `staged` are the paths that this task has staged.
    pub fn all(
        mut self,
        lock: Option<&Lock>,
        gate: &CleanupGate,
        staged: &[RepoPath],
    ) -> Result<RemovalPlan> {
        let changed = self.at.status.changed.iter();
        let is_left =
            |path: &&RepoPath| !staged.contains(path) && !self.plan.records.contains(path);
        let changed: Vec<&RepoPath> = changed.filter(is_left).collect();
        self.check_committed(&changed);
        self.check_untracked(&changed);
        if self.plan.restore.is_none() && self.head.entries().keys().any(is_outdated) {
            let commit = &self.at.head;
            // A branch name that is free.
            let settle = format!("branch legacy-{} {commit}", commit.short());
            let why = "HEAD is on no branch, and no branch or tag has this folder";
            self.add_git(ObstacleKind::Unreachable, &OUTDATED, why, &settle);
        }
        for (id, why) in changed_since(self.head, lock) {
            self.ask(ObstacleKind::Changed, &id, &id, &why, gate);
        }
        self.check_mentions(gate)?;
        self.check_facts(gate);
        self.check_lint()?;
        self.plan.obstacles.sort_by_key(|one| one.kind);
        Ok(self.plan)
    }

    fn add(&mut self, kind: ObstacleKind, subject: &impl ToString, why: &str, settle: String) {
        self.plan.obstacles.push(Obstacle {
            kind,
            subject: subject.to_string(),
            why: why.to_owned(),
            settle,
        });
    }

    /// Adds what a command of git settles.
    fn add_git(&mut self, kind: ObstacleKind, subject: &impl ToString, why: &str, settle: &str) {
        self.add(kind, subject, why, self.commands.git(settle));
    }

    fn accept_with(&self, id: &str) -> String {
        let options = format!("--accept {} --reason \"…\"", quoted(id));
        self.commands.task("compare", &options)
    }

    /// Adds an obstacle that a reason lets pass, unless there is one on record.
    fn ask(&mut self, kind: ObstacleKind, id: &str, subject: &str, why: &str, gate: &CleanupGate) {
        let Some(reason) = gate.accepted.reason(id) else {
            return self.add(kind, &subject, why, self.accept_with(id));
        };
        let (id, reason) = (id.to_owned(), reason.to_owned());
        // One reason stands for all places of a file.
        if self.plan.reasons.iter().all(|passed| passed.id != id) {
            self.plan.reasons.push(PassedReason { id, reason });
        }
    }

    /// What differs from HEAD, records that git does not track, and what it does not look at.
    fn check_committed(&mut self, changed: &[&RepoPath]) {
        let kind = ObstacleKind::Uncommitted;
        let is_record =
            |path: &RepoPath| layout::is_record(path) || *path == hub_lint::SUPPRESSIONS;
        let (top, index) = (&self.at.repo.top, self.at.ours.entries());
        for path in changed {
            let is_there = is_file(&path.below(top)) && index.contains_key(path);
            let settle = if is_there {
                format!("commit -- {}", quoted_path(path))
            } else {
                "status".to_owned()
            };
            self.add_git(kind, path, "changed since HEAD", &settle);
        }
        let local = self.at.status.local.iter().filter(|path| is_record(path));
        let local = local.filter(|path| !self.plan.records.contains(path));
        for path in local.cloned().collect::<Vec<_>>() {
            // It may be ignored.
            let settle = format!("add --force -- {}", quoted_path(&path));
            self.add_git(kind, &path, "only what is committed counts", &settle);
        }
        for (path, mark) in &self.at.unseen {
            if is_record(path) || is_outdated(path) {
                let why = format!("is marked {mark}, so git does not tell whether it is committed");
                let settle = format!("update-index --no-{mark} {}", quoted_file(path));
                self.add_git(kind, path, &why, &settle);
            }
        }
    }

    /// What git does not track below the folder, except what `changed` names already.
    pub fn check_untracked(&mut self, changed: &[&RepoPath]) {
        let local = self.at.status.local.iter().filter(|path| is_outdated(path));
        for path in local.filter(|path| !changed.contains(path)) {
            let why = "move it to where it belongs, or let git ask about it";
            let settle = format!("clean -dxi -- {}", quoted_path(path));
            self.add_git(ObstacleKind::Local, path, why, &settle);
        }
    }

    fn check_mentions(&mut self, gate: &CleanupGate) -> Result<()> {
        for mention in mentions::find(self.head, &self.at.repo)? {
            if mention.kind == MentionKind::Prose {
                self.plan.mentions.push(mention);
                continue;
            }
            let place = format!("{}:{}:{}", mention.path, mention.line, mention.column);
            let id = mention_id(&mention.path);
            self.ask(ObstacleKind::Mention, &id, &place, &mention.text, gate);
        }
        Ok(())
    }

    fn check_facts(&mut self, gate: &CleanupGate) {
        for item in &gate.open {
            let colon = if item.why.is_empty() { "" } else { ": " };
            let why = format!("{}{colon}{}", item.verdict.word(), item.why);
            self.add(
                ObstacleKind::Open,
                &item.id,
                &why,
                self.accept_with(&item.id),
            );
        }
        if let Some(unfit) = &gate.baseline {
            // With the old worker named, compare does not read the broken baseline.
            let old = if unfit.is_unreadable { "outdated " } else { "" };
            let options = format!("{old}--write-baseline");
            let settle = self.commands.task("compare", &options);
            self.add(ObstacleKind::Baseline, &BASELINE, &unfit.why, settle);
        }
    }

    fn check_lint(&mut self) -> Result<()> {
        let report = hub_lint::lint(&Part::without(self.head, OUTDATED), true)?;
        let is_error = |finding: &&Finding| finding.severity == Severity::Error;
        for finding in report.findings.iter().filter(is_error) {
            let rule = finding.rule;
            let options = match finding.fix.as_ref().map(|fix| fix.safety) {
                Some(safety) => safety.option().to_owned(),
                None => format!("--explain {}", rule.code),
            };
            let subject = format!("{} {}: {}", rule.code, rule.name, finding.place.path);
            let settle = self.commands.task("hub-lint", &options);
            self.add(ObstacleKind::Lint, &subject, &finding.message, settle);
        }
        Ok(())
    }
}

/// The files below the folder that are not those that migrate put there, by the record of what
/// retired: the id by which each is accepted, and why. A submodule stops the removal anyway.
pub fn changed_since(head: &GitTree, lock: Option<&Lock>) -> Vec<(String, String)> {
    let record = lock.and_then(|lock| lock.retired.as_ref());
    let files = head.entries().iter().filter_map(|(path, entry)| {
        let inside = path.strip_prefix(OUTDATED).filter(|it| !it.is_empty())?;
        let why = match record.map(|record| record.get(path)) {
            _ if entry.mode == Mode::Submodule => return None,
            None => format!("{LOCK} does not record what migrate put there"),
            Some(None) => "was not put there by migrate".to_owned(),
            Some(Some(was)) if entry.side().is_some_and(|now| *was == retired_as(&now)) => {
                return None;
            }
            Some(Some(_)) => "was changed since migrate put it there".to_owned(),
        };
        let id = format!("{}{}", accepted::CHANGED, RepoPath::new(inside));
        Some((id, why))
    });
    files.collect()
}

/// The id of a file that mentions `outdated/`.
pub fn mention_id(path: &RepoPath) -> String {
    format!("{}{path}", accepted::MENTION)
}
