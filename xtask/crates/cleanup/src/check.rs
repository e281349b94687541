//! What stands in the way of removing `outdated/`, with the command that settles each. Pure:
//! everything that was read goes in, a list comes out, all of it at once.

use serde::Serialize;

use super::differs::Differs;
use super::mentions::Mention;
use super::restore_point::Restore;
use super::retired::Changed;
use compare::accepted;
use compare::cleanup_gate::CleanupGate;
use worker_files::references::Kind as Reads;
use xtask_core::commands::Commands;
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::git::Unseen;
use xtask_core::layout::OUTDATED;
use xtask_core::output::{quoted, quoted_file, quoted_path};
use xtask_core::tree::{Mode, RepoPath};

/// What kind of thing it is, in the order in which they are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Not committed.
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
    /// A fact that is open.
    Open,
    /// A reason that matches nothing.
    Stale,
    /// An error that hub-lint finds.
    Lint,
    /// Something that runs or builds speaks of `outdated/`.
    Mention,
}

impl Kind {
    pub fn title(self) -> &'static str {
        match self {
            Self::Uncommitted => "Not committed",
            Self::Local => "Below outdated/ and not tracked by git: never removed",
            Self::NotPlain => "Can't be removed and brought back as a file",
            Self::Unreachable => "Nothing keeps the commit to restore it from",
            Self::Baseline => "The record of the old worker",
            Self::Changed => "Not as migrate put it there",
            Self::Open => "Facts of the old worker that nobody has decided on",
            Self::Stale => "Reasons on record that match nothing any more",
            Self::Lint => "Errors in the Hub's files",
            Self::Mention => {
                "Runs or builds, and speaks of outdated/: write it without, or say why it stays"
            }
        }
    }
}

/// One thing in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Obstacle {
    pub kind: Kind,
    /// A path, a place or an id.
    pub subject: String,
    pub why: String,
    /// The command that settles it; of what only a person can fix, the one that says how.
    pub settle: String,
}

/// A reason on record that lets something pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reason {
    pub id: String,
    pub reason: String,
}

/// The repository as it was found.
pub struct Found<'a> {
    /// Tracked files that differ from HEAD.
    pub uncommitted: Vec<(RepoPath, Differs)>,
    /// Records that git does not track, so that what they say goes unheard.
    pub unrecorded: Vec<RepoPath>,
    /// Records that git does not look at in the work tree, so that it would not tell of changes.
    pub unseen: Vec<(RepoPath, Unseen)>,
    /// What git does not track below `outdated/`.
    pub local: Vec<Local>,
    /// What is tracked there and is no file, or is not looked at.
    pub not_plain: Vec<(RepoPath, Mode, Option<Unseen>)>,
    /// Whether the work tree is a sparse checkout.
    pub sparse: bool,
    /// The commit that must be kept, where it has the folder.
    pub head: Option<&'a str>,
    pub restore: Option<&'a Restore>,
    pub changed: &'a [Changed],
    pub shallow: bool,
    pub gate: &'a CleanupGate,
    pub lint: &'a [Finding],
    pub mentions: &'a [Mention],
}

/// What keeps the folder from going, and the reasons that let something pass.
#[expect(clippy::too_many_lines, reason = "one case per kind of syntax")]
pub fn check(found: &Found, commands: &Commands) -> (Vec<Obstacle>, Vec<Reason>) {
    let mut all = Vec::new();
    let mut add = |kind, subject: String, why: String, settle: String| {
        all.push(Obstacle {
            kind,
            subject,
            why,
            settle,
        });
    };
    let shown = quoted_path;
    let accept = |id: &str| {
        let options = format!("--accept {} --reason \"…\"", quoted(id));
        commands.task("compare", &options)
    };
    for (path, differs) in &found.uncommitted {
        let (why, settle) = differs.settle(path, commands);
        add(Kind::Uncommitted, path.to_string(), why, settle);
    }
    for path in &found.unrecorded {
        // Something may ignore it.
        let settle = commands.git(&format!("add --force -- {}", shown(path)));
        let why = "only what is committed counts".to_owned();
        add(Kind::Uncommitted, path.to_string(), why, settle);
    }
    for (path, unseen) in &found.unseen {
        let why = overlooked(*unseen).to_owned();
        let settle = commands.git(&look_again(path, *unseen));
        add(Kind::Uncommitted, path.to_string(), why, settle);
    }
    for one in &found.local {
        let Obstacle {
            kind,
            subject,
            why,
            settle,
        } = local(one, commands);
        add(kind, subject, why, settle);
    }
    for (path, mode, unseen) in &found.not_plain {
        let (why, settle) = not_plain(path, *mode, *unseen, found.sparse);
        add(Kind::NotPlain, path.to_string(), why, commands.git(&settle));
    }
    if let (None, Some(head)) = (found.restore, found.head) {
        // A name that nothing has yet.
        let short = head.get(..10).unwrap_or(head);
        let settle = commands.git(&format!("branch legacy-{short} {head}"));
        let why = "HEAD is on no branch, and no branch or tag has this folder".to_owned();
        add(Kind::Unreachable, OUTDATED.to_owned(), why, settle);
    }
    let mut passed = Vec::new();
    let answered = |id: &str, passed: &mut Vec<Reason>| {
        let reason = found.gate.accepted.reason(id);
        if let Some(reason) = reason {
            passed.push(Reason {
                id: id.to_owned(),
                reason: reason.to_owned(),
            });
        }
        reason.is_some()
    };
    for file in found.changed {
        // A reason would not let a submodule go, and be stale once it has.
        let is_module = |(path, mode, _): &(RepoPath, Mode, _)| {
            *mode == Mode::Submodule && path.strip_prefix(OUTDATED) == Some(file.below.as_bytes())
        };
        if found.not_plain.iter().any(is_module) {
            continue;
        }
        let id = changed_id(&file.below);
        if answered(&id, &mut passed) {
            continue;
        }
        let mut why = file.why.to_owned();
        if found.shallow {
            let fetch = commands.git("fetch --unshallow");
            why += &format!("; `{fetch}` brings the rest of it");
        }
        add(Kind::Changed, id.clone(), why, accept(&id));
    }
    facts(found.gate, commands, &accept, &mut add);
    // One reason stands for all places of a file.
    let mut last = None;
    let code = |mention: &&Mention| mention.kind == Reads::Code;
    for mention in found.mentions.iter().filter(code) {
        let id = mention_id(&mention.path);
        let known = last.as_ref() == Some(&mention.path);
        last = Some(mention.path.clone());
        let mut again = Vec::new();
        if answered(&id, if known { &mut again } else { &mut passed }) {
            continue;
        }
        let place = format!("{}:{}:{}", mention.path, mention.line, mention.column);
        add(Kind::Mention, place, mention.text.clone(), accept(&id));
    }
    for finding in found.lint.iter().filter(|f| f.severity == Severity::Error) {
        let task = match finding.fix.as_ref().map(|fix| fix.safety) {
            Some(Safety::Safe) => commands.task("hub-lint", "--fix"),
            Some(Safety::Unsafe) => commands.task("hub-lint", "--unsafe-fixes"),
            None => commands.task("hub-lint", &format!("--explain {}", finding.code)),
        };
        let subject = format!("{} {}: {}", finding.code, finding.name, finding.place.path);
        add(Kind::Lint, subject, finding.message.clone(), task);
    }
    for entry in &found.gate.stale {
        stale(&entry.fact, commands, &mut add);
    }
    let ids: Vec<&str> = passed.iter().map(|reason| reason.id.as_str()).collect();
    for id in found.gate.accepted.of_cleanup() {
        // The file is there; but nothing is to be forgiven it.
        if !ids.contains(&id) && found.gate.stale.iter().all(|entry| entry.fact != id) {
            stale(id, commands, &mut add);
        }
    }
    all.sort_by_key(|one| one.kind);
    (all, passed)
}

/// What git does not track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub path: RepoPath,
    /// Whether it is a repository of its own, which git passes over unless it is told twice.
    pub is_repository: bool,
}

/// What is to be done about it.
pub fn local(one: &Local, commands: &Commands) -> Obstacle {
    let shown = quoted_path(&one.path);
    let (why, clean) = if one.is_repository {
        (
            "a git repository of its own: move it to where it belongs, or let git ask about it",
            "clean -ffdxi",
        )
    } else {
        (
            "move it to where it belongs, or let git ask about it",
            "clean -dxi",
        )
    };
    Obstacle {
        kind: Kind::Local,
        subject: one.path.to_string(),
        why: why.to_owned(),
        settle: commands.git(&format!("{clean} -- {shown}")),
    }
}

fn stale(id: &str, commands: &Commands, add: &mut impl FnMut(Kind, String, String, String)) {
    let settle = commands.task("compare", &accepted::withdrawal(id));
    let why = "matches nothing that is open".to_owned();
    add(Kind::Stale, id.to_owned(), why, settle);
}

/// What compare has to say.
fn facts(
    gate: &CleanupGate,
    commands: &Commands,
    accept: &impl Fn(&str) -> String,
    add: &mut impl FnMut(Kind, String, String, String),
) {
    for item in &gate.open {
        let why = match item.why.as_str() {
            "" => item.verdict.word().to_owned(),
            why => format!("{}: {why}", item.verdict.word()),
        };
        add(Kind::Open, item.id.clone(), why, accept(&item.id));
    }
    if let Some(unfit) = &gate.baseline {
        // What can't be read is not asked for more where the old worker is named.
        let old = if unfit.is_unreadable {
            format!("{OUTDATED} ")
        } else {
            String::new()
        };
        let settle = commands.task("compare", &format!("{old}--write-baseline"));
        let subject = xtask_core::layout::BASELINE.to_owned();
        add(Kind::Baseline, subject, unfit.why.clone(), settle);
    }
}

fn not_plain(
    path: &RepoPath,
    mode: Mode,
    unseen: Option<Unseen>,
    sparse: bool,
) -> (String, String) {
    let shown = quoted_path(path);
    let (why, settle) = match (mode, unseen) {
        (Mode::Submodule, _) => (
            "is a submodule, with a history of its own",
            format!("rm -- {shown}"),
        ),
        (_, Some(Unseen::Sparse)) if sparse => (
            "is not checked out (sparse checkout)",
            format!("sparse-checkout add {OUTDATED}"),
        ),
        (_, Some(unseen)) => (overlooked(unseen), look_again(path, unseen)),
        _ => ("is not a directory", format!("rm -- {shown}")),
    };
    (why.to_owned(), settle)
}

/// Why git does not look at a file.
fn overlooked(unseen: Unseen) -> &'static str {
    match unseen {
        Unseen::Sparse => "is marked skip-worktree, so git does not tell whether it is committed",
        Unseen::Assumed => {
            "is marked assume-unchanged, so git does not tell whether it is committed"
        }
    }
}

/// The command of git that makes it look.
fn look_again(path: &RepoPath, unseen: Unseen) -> String {
    format!("update-index {} {}", unseen.option(), quoted_file(path))
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
    use compare::accepted::{Accepted, Entry};
    use compare::cleanup_gate::Unfit;
    use compare::judge::{Item, Verdict};
    use xtask_core::finding::{self, Place, Severity};
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

    fn found<'a>(gate: &'a CleanupGate, restore: &'a Restore) -> Found<'a> {
        Found {
            uncommitted: Vec::new(),
            unrecorded: Vec::new(),
            unseen: Vec::new(),
            local: Vec::new(),
            not_plain: Vec::new(),
            sparse: true,
            head: Some("aa"),
            restore: Some(restore),
            changed: &[],
            shallow: false,
            gate,
            lint: &[],
            mentions: &[],
        }
    }

    fn restore() -> Restore {
        Restore {
            commit: Oid("aa".into()),
            on: "main".into(),
        }
    }

    fn mention(path: &str, line: usize, kind: Reads) -> Mention {
        Mention {
            path: path.into(),
            line,
            column: 1,
            kind,
            text: "COPY outdated/ .".into(),
        }
    }

    /// The kind that is told after another; whoever adds one is sent here by the compiler.
    fn following(kind: Kind) -> Option<Kind> {
        Some(match kind {
            Kind::Uncommitted => Kind::Local,
            Kind::Local => Kind::NotPlain,
            Kind::NotPlain => Kind::Unreachable,
            Kind::Unreachable => Kind::Baseline,
            Kind::Baseline => Kind::Changed,
            Kind::Changed => Kind::Open,
            Kind::Open => Kind::Stale,
            Kind::Stale => Kind::Lint,
            Kind::Lint => Kind::Mention,
            Kind::Mention => return None,
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

    fn reason(fact: &str) -> Entry {
        Entry {
            upstream: None,
            fact: fact.to_owned(),
            reason: "r".to_owned(),
            execute: false,
            of: None,
        }
    }

    struct Sample;

    impl finding::Kind for Sample {
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
        let finding = Finding::at(&Sample, Place::new(".runpod/hub.json", 0..1), "wrong");
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
        let (gate, restore) = (gate(""), restore());
        let found = found(&gate, &restore);
        assert_eq!(check(&found, &Commands::default()), (vec![], vec![]));
    }

    #[test]
    fn everything_at_once_each_with_its_command() {
        let (mut gate, restore) = (gate(""), restore());
        gate.baseline = Some(Unfit {
            why: "it lacks env:A".into(),
            is_unreadable: false,
        });
        let changed = [Changed {
            below: "src/it's.py".into(),
            why: "was changed since migrate put it there",
        }];
        let mentions = [
            mention("Dockerfile", 3, Reads::Code),
            mention("README.md", 1, Reads::Prose),
        ];
        gate.open = vec![lost("env:A B")];
        gate.stale = vec![reason("env:C*")];
        let lint = [Some(Safety::Safe), Some(Safety::Unsafe), None].map(error);
        let mut found = found(&gate, &restore);
        found.restore = None;
        found.lint = &lint;
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
        found.changed = &changed;
        found.mentions = &mentions;
        let commands = Commands::new(Some(std::path::Path::new("../w")));
        let obstacles = check(&found, &commands).0;
        let kinds: BTreeSet<Kind> = obstacles.iter().map(|one| one.kind).collect();
        let all = std::iter::successors(Some(Kind::Uncommitted), |kind| following(*kind));
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
        let (mut gate, restore) = (gate(""), restore());
        gate.baseline = Some(Unfit {
            why: "can't be read".into(),
            is_unreadable: true,
        });
        let found = found(&gate, &restore);
        assert_eq!(
            told(&check(&found, &Commands::default()).0),
            ["Baseline .xtask/baseline.json => cargo xtask compare outdated --write-baseline"]
        );
    }

    #[test]
    fn a_reason_answers_for_its_own_file_and_a_useless_one_is_told() {
        let restore = restore();
        let gate = gate(
            r#"{"fact": "outdated:a", "reason": "fixed there"},
               {"fact": "outdated:*", "reason": "no pattern"},
               {"fact": "mention:Dockerfile", "reason": "a label"}"#,
        );
        let changed = ["a", "b"].map(|below| Changed {
            below: below.into(),
            why: "was changed",
        });
        let mentions = [1, 2].map(|line| mention("Dockerfile", line, Reads::Code));
        let mut found = found(&gate, &restore);
        found.changed = &changed;
        found.mentions = &mentions;
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
