//! The obstacles to removing `outdated/`, each with the command that removes it. A pure function of
//! the [`Survey`].

use serde::Serialize;

use super::survey::{Local, Survey};
use compare::accepted;
use worker_files::references::MentionKind;
use xtask_core::commands::Commands;
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::git::Unseen;
use xtask_core::layout::{BASELINE, OUTDATED};
use xtask_core::output::{quoted, quoted_file, quoted_path};
use xtask_core::tree::{Mode, RepoPath};

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
    /// Something that runs or builds speaks of `outdated/`.
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

/// One thing in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    pub kind: ObstacleKind,
    /// A path, a place or an id.
    pub subject: String,
    pub why: String,
    /// The command that settles it; of what only a person can fix, the one that says how.
    pub settle: String,
}

impl Obstacle {
    fn new(
        kind: ObstacleKind,
        subject: &impl ToString,
        why: impl Into<String>,
        settle: String,
    ) -> Self {
        Self {
            kind,
            subject: subject.to_string(),
            why: why.into(),
            settle,
        }
    }
}

/// A reason on record that lets something pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PassedReason {
    pub id: String,
    pub reason: String,
}

/// What keeps the folder from going, and the reasons that let something pass.
pub fn check(found: &Survey, commands: &Commands) -> (Vec<Obstacle>, Vec<PassedReason>) {
    let mut all = not_committed(found, commands);
    all.extend(found.local.iter().map(|one| local(one, commands)));
    for (path, mode, unseen) in &found.not_plain {
        let (why, settle) = not_plain(path, *mode, *unseen, found.is_sparse);
        let settle = commands.git(&settle);
        all.push(Obstacle::new(ObstacleKind::NotPlain, path, why, settle));
    }
    if let (None, Some(head)) = (&found.restore, &found.head) {
        // A branch name that is free.
        let short = head.get(..10).unwrap_or(head);
        let settle = commands.git(&format!("branch legacy-{short} {head}"));
        let why = "HEAD is on no branch, and no branch or tag has this folder";
        all.push(Obstacle::new(
            ObstacleKind::Unreachable,
            &OUTDATED,
            why,
            settle,
        ));
    }
    let mut passed = Vec::new();
    asked(found, commands, &mut all, &mut passed);
    facts(found, commands, &mut all);
    let errors = found.lint.iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    all.extend(errors.map(|finding| lint(finding, commands)));
    let gate = &found.gate;
    let stale = gate.stale.iter().map(|entry| entry.fact.as_str());
    let idle = gate.accepted.of_cleanup().filter(|id| {
        // The file is there, but needs no reason.
        passed.iter().all(|reason| reason.id != *id) && stale.clone().all(|fact| fact != *id)
    });
    all.extend(stale.clone().chain(idle).map(|id| {
        let settle = commands.task("compare", &accepted::withdrawal(id));
        Obstacle::new(
            ObstacleKind::Stale,
            &id,
            "matches nothing that is open",
            settle,
        )
    }));
    all.sort_by_key(|one| one.kind);
    (all, passed)
}

fn not_committed(found: &Survey, commands: &Commands) -> Vec<Obstacle> {
    let add =
        |path, why: String, settle| Obstacle::new(ObstacleKind::Uncommitted, path, why, settle);
    let uncommitted = found.uncommitted.iter().map(|(path, differs)| {
        let (why, settle) = differs.settle(path, commands);
        add(path, why, settle)
    });
    let unrecorded = found.unrecorded.iter().map(|path| {
        // It may be ignored.
        let settle = commands.git(&format!("add --force -- {}", quoted_path(path)));
        add(path, "only what is committed counts".to_owned(), settle)
    });
    let unseen = found.unseen.iter().map(|(path, unseen)| {
        let (why, settle) = overlooked(path, *unseen);
        add(path, why, commands.git(&settle))
    });
    uncommitted.chain(unrecorded).chain(unseen).collect()
}

fn accept(id: &str, commands: &Commands) -> String {
    let options = format!("--accept {} --reason \"…\"", quoted(id));
    commands.task("compare", &options)
}

/// What a reason on record lets pass: files that were changed, and places that speak of the folder.
fn asked(
    found: &Survey,
    commands: &Commands,
    all: &mut Vec<Obstacle>,
    passed: &mut Vec<PassedReason>,
) {
    let mut is_answered = |id: &str| {
        let reason = found.gate.accepted.reason(id).map(str::to_owned);
        let known = passed.iter().any(|passed| passed.id == id);
        let answer = reason.clone().filter(|_| !known);
        passed.extend(answer.map(|reason| PassedReason {
            id: id.to_owned(),
            reason,
        }));
        reason.is_some()
    };
    for file in &found.changed {
        // A submodule blocks the removal anyway, and the reason would be stale afterwards.
        let is_module = |(path, mode, _): &(RepoPath, Mode, _)| {
            *mode == Mode::Submodule && path.strip_prefix(OUTDATED) == Some(file.below.as_bytes())
        };
        let id = changed_id(&file.below);
        if found.not_plain.iter().any(is_module) || is_answered(&id) {
            continue;
        }
        let mut why = file.why.to_owned();
        if found.is_cut_off {
            let fetch = commands.git("fetch --unshallow");
            why += &format!("; `{fetch}` brings the rest of it");
        }
        let settle = accept(&id, commands);
        all.push(Obstacle::new(ObstacleKind::Changed, &id, why, settle));
    }
    // One reason stands for all places of a file.
    for mention in found
        .mentions
        .iter()
        .filter(|one| one.kind == MentionKind::Code)
    {
        let id = mention_id(&mention.path);
        if !is_answered(&id) {
            let place = format!("{}:{}:{}", mention.path, mention.line, mention.column);
            let settle = accept(&id, commands);
            all.push(Obstacle::new(
                ObstacleKind::Mention,
                &place,
                &*mention.text,
                settle,
            ));
        }
    }
}

fn facts(found: &Survey, commands: &Commands, all: &mut Vec<Obstacle>) {
    for item in &found.gate.open {
        let why = match item.why.as_str() {
            "" => item.verdict.word().to_owned(),
            why => format!("{}: {why}", item.verdict.word()),
        };
        let settle = accept(&item.id, commands);
        all.push(Obstacle::new(ObstacleKind::Open, &item.id, why, settle));
    }
    if let Some(unfit) = &found.gate.baseline {
        // With the old worker named, compare does not read the broken baseline.
        let old = if unfit.is_unreadable {
            format!("{OUTDATED} ")
        } else {
            String::new()
        };
        let settle = commands.task("compare", &format!("{old}--write-baseline"));
        all.push(Obstacle::new(
            ObstacleKind::Baseline,
            &BASELINE,
            &*unfit.why,
            settle,
        ));
    }
}

fn lint(finding: &Finding, commands: &Commands) -> Obstacle {
    let options = match finding.fix.as_ref().map(|fix| fix.safety) {
        Some(Safety::Safe) => "--fix".to_owned(),
        Some(Safety::Unsafe) => "--unsafe-fixes".to_owned(),
        None => format!("--explain {}", finding.code),
    };
    let settle = commands.task("hub-lint", &options);
    let subject = format!("{} {}: {}", finding.code, finding.name, finding.place.path);
    Obstacle::new(ObstacleKind::Lint, &subject, &*finding.message, settle)
}

pub fn local(one: &Local, commands: &Commands) -> Obstacle {
    let (what, clean) = if one.is_repository {
        ("a git repository of its own: ", "clean -ffdxi")
    } else {
        ("", "clean -dxi")
    };
    let settle = commands.git(&format!("{clean} -- {}", quoted_path(&one.path)));
    let why = format!("{what}move it to where it belongs, or let git ask about it");
    Obstacle::new(ObstacleKind::Local, &one.path, why, settle)
}

fn not_plain(
    path: &RepoPath,
    mode: Mode,
    unseen: Option<Unseen>,
    is_sparse: bool,
) -> (String, String) {
    let remove = format!("rm -- {}", quoted_path(path));
    let (why, settle) = match (mode, unseen) {
        (Mode::Submodule, _) => ("is a submodule, with a history of its own", remove),
        (_, Some(Unseen::Sparse)) if is_sparse => (
            "is not checked out (sparse checkout)",
            format!("sparse-checkout add {OUTDATED}"),
        ),
        (_, Some(unseen)) => return overlooked(path, unseen),
        _ => ("is not a directory", remove),
    };
    (why.to_owned(), settle)
}

/// Why git does not look at a file, and the command of git that makes it look.
fn overlooked(path: &RepoPath, unseen: Unseen) -> (String, String) {
    let mark = match unseen {
        Unseen::Sparse => "skip-worktree",
        Unseen::Assumed => "assume-unchanged",
    };
    (
        format!("is marked {mark}, so git does not tell whether it is committed"),
        format!("update-index {} {}", unseen.option(), quoted_file(path)),
    )
}

/// The id by which a changed file is accepted.
pub fn changed_id(below: &RepoPath) -> String {
    format!("{}{below}", accepted::CHANGED)
}

/// The id by which a file is accepted that speaks of `outdated/`.
pub fn mention_id(path: &RepoPath) -> String {
    format!("{}{path}", accepted::MENTION)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::differs::Differs;
    use crate::mentions::Mention;
    use crate::restore_point::Restore;
    use crate::retired::Changed;
    use compare::accepted::{Accepted, Reason};
    use compare::cleanup_gate::{CleanupGate, Unfit};
    use compare::judge::{Item, Verdict};
    use xtask_core::finding::{self, Location, Severity};
    use xtask_core::tree::Oid;

    fn gate(entries: &str) -> CleanupGate {
        let text = format!("{{\"version\": 1, \"accepted\": [{entries}]}}");
        CleanupGate {
            open: Vec::new(),
            stale: Vec::new(),
            baseline: None,
            accepted: Accepted::read(&text).unwrap(),
        }
    }

    fn found(gate: CleanupGate) -> Survey {
        Survey {
            uncommitted: Vec::new(),
            unrecorded: Vec::new(),
            unseen: Vec::new(),
            local: Vec::new(),
            not_plain: Vec::new(),
            is_sparse: true,
            head: Some("aa".to_owned()),
            restore: Some(restore()),
            changed: Vec::new(),
            is_cut_off: false,
            gate,
            lint: Vec::new(),
            mentions: Vec::new(),
        }
    }

    fn restore() -> Restore {
        Restore {
            commit: Oid("aa".into()),
            on: "main".into(),
        }
    }

    fn mention(path: &str, line: usize, kind: MentionKind) -> Mention {
        Mention {
            path: path.into(),
            line,
            column: 1,
            kind,
            text: "COPY outdated/ .".into(),
        }
    }

    /// The next kind; the compiler asks for an arm for each new one.
    fn following(kind: ObstacleKind) -> Option<ObstacleKind> {
        Some(match kind {
            ObstacleKind::Uncommitted => ObstacleKind::Local,
            ObstacleKind::Local => ObstacleKind::NotPlain,
            ObstacleKind::NotPlain => ObstacleKind::Unreachable,
            ObstacleKind::Unreachable => ObstacleKind::Baseline,
            ObstacleKind::Baseline => ObstacleKind::Changed,
            ObstacleKind::Changed => ObstacleKind::Open,
            ObstacleKind::Open => ObstacleKind::Stale,
            ObstacleKind::Stale => ObstacleKind::Lint,
            ObstacleKind::Lint => ObstacleKind::Mention,
            ObstacleKind::Mention => return None,
        })
    }

    fn lost(id: &str) -> Item {
        Item {
            id: id.to_owned(),
            verdict: Verdict::Missing,
            open: true,
            old: None,
            new: None,
            now: None,
            part_of: None,
            why: String::new(),
            help: String::new(),
            reason: None,
        }
    }

    fn reason(fact: &str) -> Reason {
        Reason {
            upstream: None,
            fact: fact.to_owned(),
            reason: "r".to_owned(),
            execute: false,
            of: None,
        }
    }

    struct Sample;

    impl finding::FindingKind for Sample {
        fn code(&self) -> &'static str {
            "TST001"
        }
        fn name(&self) -> &'static str {
            "a-sample"
        }
        fn severity(&self) -> Severity {
            Severity::Error
        }
    }

    fn error(safety: Option<Safety>) -> Finding {
        let finding = Finding::at(&Sample, Location::new(".runpod/hub.json", 0..1), "wrong");
        match safety {
            Some(safety) => finding.fix(safety, "write it", [(0..1, "{".to_owned())]),
            None => finding,
        }
    }

    fn told(obstacles: &[Obstacle]) -> Vec<String> {
        obstacles
            .iter()
            .map(|one| format!("{:?} {} => {}", one.kind, one.subject, one.settle))
            .collect()
    }

    #[test]
    fn nothing_in_the_way() {
        let found = found(gate(""));
        assert_eq!(check(&found, &Commands::default()), (vec![], vec![]));
    }

    #[test]
    fn everything_at_once_each_with_its_command() {
        let mut gate = gate("");
        gate.baseline = Some(Unfit {
            why: "it lacks env:A".into(),
            is_unreadable: false,
        });
        let changed = [Changed {
            below: "src/it's.py".into(),
            why: "was changed since migrate put it there",
        }];
        let mentions = [
            mention("Dockerfile", 3, MentionKind::Code),
            mention("README.md", 1, MentionKind::Prose),
        ];
        gate.open = vec![lost("env:A B")];
        gate.stale = vec![reason("env:C*")];
        let lint = [Some(Safety::Safe), Some(Safety::Unsafe), None].map(error);
        let mut found = found(gate);
        found.restore = None;
        found.lint = lint.into();
        found.uncommitted = vec![
            ("engine.py".into(), Differs::Changed),
            ("outdated/a".into(), Differs::Gone),
        ];
        found.unrecorded = vec![".xtask/accepted.json".into()];
        found.unseen = vec![(".xtask/upstream.lock.json".into(), Unseen::Sparse)];
        found.local = [("outdated/.env", false), ("outdated/other", true)]
            .map(|(path, is_repository)| Local {
                path: path.into(),
                is_repository,
            })
            .into();
        found.not_plain = vec![
            ("outdated/module".into(), Mode::Submodule, None),
            ("outdated/x".into(), Mode::File, Some(Unseen::Assumed)),
            ("outdated/y".into(), Mode::File, Some(Unseen::Sparse)),
        ];
        found.changed = changed.into();
        found.mentions = mentions.into();
        let commands = Commands::new(Some(std::path::Path::new("../w")));
        let obstacles = check(&found, &commands).0;
        let kinds: BTreeSet<ObstacleKind> = obstacles.iter().map(|one| one.kind).collect();
        let all = std::iter::successors(Some(ObstacleKind::Uncommitted), |kind| following(*kind));
        assert!(kinds.into_iter().eq(all), "a kind without an example here");
        assert_eq!(
            told(&obstacles),
            [
                "Uncommitted engine.py => git -C ../w commit -- engine.py",
                "Uncommitted outdated/a => git -C ../w restore --staged --worktree -- outdated/a",
                "Uncommitted .xtask/accepted.json => git -C ../w add --force -- \
                 .xtask/accepted.json",
                "Uncommitted .xtask/upstream.lock.json => git -C ../w update-index --no-skip-worktree \
                 .xtask/upstream.lock.json",
                "Local outdated/.env => git -C ../w clean -dxi -- outdated/.env",
                "Local outdated/other => git -C ../w clean -ffdxi -- outdated/other",
                "NotPlain outdated/module => git -C ../w rm -- outdated/module",
                "NotPlain outdated/x => git -C ../w update-index --no-assume-unchanged outdated/x",
                "NotPlain outdated/y => git -C ../w sparse-checkout add outdated",
                "Unreachable outdated => git -C ../w branch legacy-aa aa",
                "Baseline .xtask/baseline.json => cargo xtask compare -C ../w --write-baseline",
                "Changed outdated:src/it's.py => cargo xtask compare -C ../w --accept \
                 'outdated:src/it'\\''s.py' --reason \"…\"",
                "Open env:A B => cargo xtask compare -C ../w --accept 'env:A B' --reason \"…\"",
                "Stale env:C* => cargo xtask compare -C ../w --withdraw 'env:C*'",
                "Lint TST001 a-sample: .runpod/hub.json => cargo xtask hub-lint -C ../w --fix",
                "Lint TST001 a-sample: .runpod/hub.json => cargo xtask hub-lint -C ../w \
                 --unsafe-fixes",
                "Lint TST001 a-sample: .runpod/hub.json => cargo xtask hub-lint -C ../w --explain \
                 TST001",
                "Mention Dockerfile:3:1 => cargo xtask compare -C ../w --accept \
                 mention:Dockerfile --reason \"…\"",
            ]
        );
    }

    #[test]
    fn a_baseline_that_can_not_be_read_is_made_without_it() {
        let mut gate = gate("");
        gate.baseline = Some(Unfit {
            why: "can't be read".into(),
            is_unreadable: true,
        });
        let found = found(gate);
        assert_eq!(
            told(&check(&found, &Commands::default()).0),
            ["Baseline .xtask/baseline.json => cargo xtask compare outdated --write-baseline"]
        );
    }

    #[test]
    fn a_reason_answers_for_its_own_file_and_a_useless_one_is_told() {
        let gate = gate(
            r#"{"fact": "outdated:a", "reason": "fixed there"},
               {"fact": "outdated:*", "reason": "no pattern"},
               {"fact": "mention:Dockerfile", "reason": "a label"}"#,
        );
        let changed = ["a", "b"].map(|below| Changed {
            below: below.into(),
            why: "was changed",
        });
        let mentions = [1, 2].map(|line| mention("Dockerfile", line, MentionKind::Code));
        let mut found = found(gate);
        found.changed = changed.into();
        found.mentions = mentions.into();
        let (obstacles, passed) = check(&found, &Commands::default());
        assert_eq!(
            told(&obstacles),
            [
                "Changed outdated:b => cargo xtask compare --accept outdated:b --reason \"…\"",
                "Stale outdated:* => cargo xtask compare --withdraw 'outdated:*'",
            ]
        );
        let ids: Vec<&str> = passed.iter().map(|reason| reason.id.as_str()).collect();
        assert_eq!(ids, ["outdated:a", "mention:Dockerfile"]);
    }
}
