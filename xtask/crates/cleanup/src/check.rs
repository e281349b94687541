//! The obstacles to removing `outdated/`, each with the command that removes it.

use anyhow::Result;
use serde::Serialize;

use super::report::RemovalPlan;
use super::{is_outdated, mentions};
use compare::accepted;
use compare::cleanup_gate::CleanupGate;
use hub_lint::{Finding, Severity};
use migrate::preflight::Preflight;
use transaction::files::{exists, is_file};
use worker_files::references::MentionKind;
use xtask_core::commands::Commands;
use xtask_core::git::{GitTree, Unseen};
use xtask_core::layout::{self, BASELINE, LOCK, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::output::{quoted, quoted_file, quoted_path};
use xtask_core::tree::{Mode, Part, RepoPath, Tree};

/// The kinds of obstacles, in the order in which they are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObstacleKind {
    Uncommitted,
    /// Below `outdated/`, and git does not track it.
    Local,
    /// Below `outdated/`, and no file that could be removed and brought back.
    NotPlain,
    /// No branch or tag keeps the commit.
    Unreachable,
    /// The baseline can't stand for the files; compare takes no reason before it can be read.
    Baseline,
    /// A file that is not the one that migrate put there.
    Changed,
    Open,
    Stale,
    Lint,
    /// Something that runs or builds mentions `outdated/`.
    Mention,
}

impl ObstacleKind {
    pub fn title(self) -> &'static str {
        match self {
            Self::Uncommitted => "Not committed",
            Self::Local => "Below outdated/ and not tracked by git: never removed",
            Self::NotPlain => "Can't be removed and brought back as a file",
            Self::Unreachable => "Nothing keeps the commit to restore it from",
            Self::Baseline => "The record of the old worker",
            Self::Changed => "Not as migrate put it there",
            Self::Open => "Facts of the old worker without a decision",
            Self::Stale => "Reasons on record that match nothing any more",
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
        let changed: Vec<&RepoPath> = changed.filter(|path| !staged.contains(path)).collect();
        self.check_committed(&changed);
        self.check_records();
        self.check_untracked(&changed);
        self.check_plain_files()?;
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

    fn check_committed(&mut self, changed: &[&RepoPath]) {
        const BACK: &str = "restore --staged --worktree --";
        let (head, status) = (self.head.entries(), &self.at.status);
        let (index, top) = (self.at.ours.entries(), &self.at.repo.top);
        let is_unmerged = |path: &RepoPath| status.unmerged.contains(path);
        // A restore must not overwrite something else at that place, nor drop staged content that
        // is in no commit.
        let is_gone = |path: &RepoPath| {
            let is_staged = || index.get(path).is_none_or(|it| head.get(path) == Some(it));
            let mut above = path.ancestors();
            let is_free = !exists(&path.below(top)) && !above.any(|one| is_file(&one.below(top)));
            is_free && is_staged() && !is_unmerged(path)
        };
        let (outdated, others): (Vec<&RepoPath>, Vec<&RepoPath>) =
            changed.iter().partition(|path| is_outdated(path));
        let all = head.keys().filter(|path| is_outdated(path)).count();
        // A restore of the whole folder would remove a file that is only staged.
        let is_all_gone = all > 0
            && outdated.len() == all
            && outdated
                .iter()
                .all(|path| head.contains_key(*path) && is_gone(path));
        if is_all_gone {
            let why = self.commands.fit(
                "is gone, and nothing was checked for that: bring it back and this removes it, or \
                 keep it so with `git commit`",
            );
            let back = format!("{BACK} {OUTDATED}");
            self.add_git(ObstacleKind::Uncommitted, &OUTDATED, &why, &back);
        }
        for &path in if is_all_gone { &others[..] } else { changed } {
            let is_plain = is_file(&path.below(top)) && index.contains_key(path);
            let settle = if is_plain && !is_unmerged(path) {
                format!("commit -- {}", quoted_path(path))
            } else if is_gone(path) {
                format!("{BACK} {}", quoted_path(path))
            } else {
                "status".to_owned()
            };
            self.add_git(
                ObstacleKind::Uncommitted,
                path,
                "differs from HEAD",
                &settle,
            );
        }
    }

    /// Records that are in no commit, or whose changes git does not report.
    fn check_records(&mut self) {
        let is_record =
            |path: &RepoPath| layout::is_record(path) || *path == hub_lint::SUPPRESSIONS;
        for path in self.at.status.local.iter().filter(|path| is_record(path)) {
            // It may be ignored.
            let settle = format!("add --force -- {}", quoted_path(path));
            let why = "only what is committed counts";
            self.add_git(ObstacleKind::Uncommitted, path, why, &settle);
        }
        for (path, unseen) in self.at.unseen.iter().filter(|(path, _)| is_record(path)) {
            self.add_unseen(ObstacleKind::Uncommitted, path, *unseen);
        }
    }

    /// A file that git does not look at, and the command of git that makes it look.
    fn add_unseen(&mut self, kind: ObstacleKind, path: &RepoPath, unseen: Unseen) {
        let mark = unseen.mark();
        let why = format!("is marked {mark}, so git does not tell whether it is committed");
        let settle = format!("update-index --no-{mark} {}", quoted_file(path));
        self.add_git(kind, path, &why, &settle);
    }

    /// What git does not track below the folder, except what `changed` names already.
    pub fn check_untracked(&mut self, changed: &[&RepoPath]) {
        let local = self.at.status.local.iter().filter(|path| is_outdated(path));
        for path in local.filter(|path| !changed.contains(path)) {
            let is_repository = path.below(&self.at.repo.top).join(".git").exists();
            let (what, clean) = if is_repository {
                ("a git repository of its own: ", "clean -ffdxi")
            } else {
                ("", "clean -dxi")
            };
            let why = format!("{what}move it to where it belongs, or let git ask about it");
            let settle = format!("{clean} -- {}", quoted_path(path));
            self.add_git(ObstacleKind::Local, path, &why, &settle);
        }
    }

    fn check_plain_files(&mut self) -> Result<()> {
        let is_sparse = self.at.repo.is_sparse()?;
        let files = self.head.entries().iter();
        for (path, entry) in files.filter(|(path, _)| is_outdated(path)) {
            let remove = format!("rm -- {}", quoted_path(path));
            let (why, settle) = match self.at.unseen.get(path) {
                _ if entry.mode == Mode::Submodule => {
                    ("is a submodule, with a history of its own", remove)
                }
                Some(Unseen::Sparse) if is_sparse => (
                    "is not checked out (sparse checkout)",
                    format!("sparse-checkout add {OUTDATED}"),
                ),
                Some(unseen) => {
                    self.add_unseen(ObstacleKind::NotPlain, path, *unseen);
                    continue;
                }
                None if *path == OUTDATED => ("is not a directory", remove),
                None => continue,
            };
            self.add_git(ObstacleKind::NotPlain, path, why, &settle);
        }
        Ok(())
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
        let mut stale: Vec<&str> = gate.stale.iter().map(|entry| &*entry.fact).collect();
        // Reasons for files that are no obstacle any more.
        let is_idle = |id: &str| self.plan.reasons.iter().all(|passed| passed.id != id);
        for id in gate.accepted.of_cleanup().filter(|id| is_idle(id)) {
            if !stale.contains(&id) {
                stale.push(id);
            }
        }
        for id in stale {
            let settle = self.commands.task("compare", &accepted::withdrawal(id));
            let why = "matches nothing that is open";
            self.add(ObstacleKind::Stale, &id, why, settle);
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
            Some(Some(side)) if entry.oid.as_ref() != Some(&side.oid) => {
                "was changed since migrate put it there".to_owned()
            }
            Some(Some(side)) if side.mode != entry.mode => {
                "its mode was changed since migrate put it there".to_owned()
            }
            Some(Some(_)) => return None,
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
