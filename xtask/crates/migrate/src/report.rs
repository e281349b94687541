//! What migrate says: the plan, and how it ended. For people on standard output, or the plan as
//! data.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::official::is_official;
use super::plan::{Arrival, MoveReason, Plan, What};
use super::preflight::Preflight;
use crate::args::{TO_THIS_WORKER, WITH_OWN_CHANGES};
use compare::{ForkChange, few};
use transaction::journal::JournalRecord;
use transaction::steps::Conflict;
use worker_files::references::MentionKind;
use worker_files::rewrite::Change;
use xtask_core::cli::Format;
use xtask_core::commands::{Commands, listed};
use xtask_core::layout::{self, BASELINE, OUTDATED};
use xtask_core::outcome::Outcome;
use xtask_core::output::style::{BOLD, DIM, GREEN, RED, Style, YELLOW};
use xtask_core::output::{counted, diff, print, print_parts, quoted_file, section};
use xtask_core::tree::{Oid, RepoPath, Tree, short};

/// The page with both workers side by side, in the git directory.
pub const PAGE: &str = "compare.html";

/// How many changes of one kind are told one by one.
const FEW: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationEnding {
    UpToDate,
    DryRun,
    WouldChange,
    Conflicts,
    Markers,
    Staged,
    Committed,
    Aborted,
}

impl MigrationEnding {
    pub fn of(record: &JournalRecord) -> Self {
        if !record.conflicts.is_empty() {
            Self::Markers
        } else if record.tip().is_some() {
            Self::Committed
        } else {
            Self::Staged
        }
    }
}

pub struct MigrationReport<'a> {
    pub format: Format,
    pub next: &'a Commands,
}

impl MigrationReport<'_> {
    /// Shows the plan to a person; a program gets it with the end.
    pub fn plan(&self, plan: &Plan) -> Result<()> {
        if self.format == Format::Text && !plan.is_empty() {
            print(&text(plan, self.next))?;
        }
        Ok(())
    }

    /// Says the end of a run: to a program with what `more` adds, to a person in `words`.
    fn print_ending(
        &self,
        ending: MigrationEnding,
        more: impl Serialize,
        words: impl FnOnce() -> String,
    ) -> Result<Outcome> {
        match self.format {
            Format::Text => print(&words())?,
            Format::Json => {
                print_parts(&[&json!({ "version": 1, "ending": ending }), &json!(more)])?;
            }
        }
        Ok(match ending {
            MigrationEnding::WouldChange
            | MigrationEnding::Conflicts
            | MigrationEnding::Markers => Outcome::Findings,
            _ => Outcome::Done,
        })
    }

    /// Says how it ended and what to type next; `tip` is the last commit that was made.
    pub fn end(
        &self,
        at: &Preflight,
        plan: &Plan,
        ending: MigrationEnding,
        tip: Option<&Oid>,
    ) -> Result<Outcome> {
        self.print_ending(ending, json!({ "plan": plan }), || {
            let mut words = ending_text(at, plan, ending, tip, self.next);
            if matches!(ending, MigrationEnding::Staged | MigrationEnding::Committed)
                && !plan.moves.is_empty()
            {
                words += &page(&at.repo.top, &at.repo.git_dir, self.next);
            }
            words
        })
    }

    pub fn resumed(&self, record: &JournalRecord) -> Result<Outcome> {
        let ending = MigrationEnding::of(record);
        self.print_ending(ending, Value::Null, || match ending {
            MigrationEnding::Committed => format!("{GREEN}Finished and committed.{GREEN:#}\n"),
            ending => waiting_text(ending, self.next),
        })
    }

    pub fn aborted(&self, kept: &[PathBuf]) -> Result<Outcome> {
        let kept: Vec<String> = kept.iter().map(|path| path.display().to_string()).collect();
        self.print_ending(MigrationEnding::Aborted, json!({ "kept": kept }), || {
            let mut words = format!("{GREEN}Taken back.{GREEN:#} The repository is as it was.\n");
            if !kept.is_empty() {
                words += "\nFiles that were changed since are kept:\n";
            }
            words.extend(kept.iter().map(|path| format!("  {path}\n")));
            words
        })
    }
}

fn text(plan: &Plan, next: &Commands) -> String {
    let mut out = String::new();
    out += &format!("{BOLD}Upstream{BOLD:#} {}", plan.upstream.address);
    if let Some(commit) = &plan.upstream.commit {
        out += &format!(" at {}", short(commit));
    }
    if let Some(rev) = &plan.upstream.rev {
        out += &format!(" ({rev})");
    }
    out += "\n";
    out += &moves(plan);
    out += &files(plan);
    let rewrites = plan.rewrites.iter().map(|rewrite| {
        let line = |it: &Change| format!("    {DIM}line {}:{DIM:#} {}\n", it.line, it.what);
        let lines: String = rewrite.changes.iter().map(line).collect();
        let diff = diff::coloured(&rewrite.diff, "    ");
        format!("  {}\n{lines}{diff}", rewrite.path)
    });
    out += &section("Rewritten on the way", rewrites);
    for (title, conflicts) in [
        ("Conflicts", &plan.conflicts),
        ("Not carried: upstream's file is taken", &plan.taken),
    ] {
        let lines = conflicts.iter().map(|Conflict { path, reason }| {
            let changes = changes_in_conflict(plan, path);
            format!("  {RED}{path}{RED:#}: {reason}\n{changes}")
        });
        out += &section(title, lines);
    }
    out += &own(plan, next);
    out += &dangling(plan);
    let local = plan.local.iter().map(|path| format!("  {path}\n"));
    out += &section("Stays where it is, because git does not track it", local);
    let notes = plan.notes.iter();
    out += &section("Notes", notes.map(|note| format!("  {}\n", next.fit(note))));
    out
}

/// Which of the fork's changes a conflict holds, and what became of each.
fn changes_in_conflict(plan: &Plan, conflict: &RepoPath) -> String {
    let changes = plan.own.iter().flat_map(|own| &own.changes);
    let is_held = |change: &&ForkChange| {
        *conflict == change.path || layout::counterpart(&change.path).as_ref() == Some(conflict)
    };
    let all: Vec<&ForkChange> = changes.filter(is_held).collect();
    if all.is_empty() && plan.own.is_some() {
        return "    nothing of it is left to carry\n".to_owned();
    }
    // An edit of a loop changes all that goes through it.
    let (mut settled, mut left): (Vec<&ForkChange>, Vec<_>) =
        all.iter().partition(|it| it.is_settled());
    if settled.len() <= FEW {
        (settled, left) = (Vec::new(), all);
    }
    let mut out = String::new();
    let mut changes = left.into_iter().peekable();
    while let Some(change) = changes.next() {
        let (place, now) = (format!("{}:{}", change.path, change.line), &change.now);
        let what = format!("{} {}", change.id, change.what);
        out += &format!("    {DIM}{place}{DIM:#} {}\n", what.trim_start());
        // What became of several in a row is said once.
        let again = changes.peek().is_some_and(|next| next.now == *now);
        if change.text.is_some() || !again {
            out += &format!("      {now}\n");
        }
        if let Some(text) = &change.text {
            out += &format!("      {DIM}line:{DIM:#} {text}\n");
        }
    }
    if !settled.is_empty() {
        let ids: Vec<&str> = settled.iter().map(|it| &*it.id).collect();
        let count = settled.len();
        out += &format!("    nothing to carry of {count} more: {}\n", few(&ids, FEW));
    }
    out
}

/// The changes of a fork that stay behind.
fn own(plan: &Plan, next: &Commands) -> String {
    let Some(own) = plan.own.as_ref().filter(|own| !own.carried) else {
        return String::new();
    };
    let base = short(&own.base);
    let title = if own.guessed {
        format!("Not as in {base}, which this fork is most like, and not in the new files")
    } else {
        format!("Changed by this fork since {base}, and not in the new files")
    };
    let files = own.files.iter();
    let files = files.map(|path| format!("  {YELLOW}{path}{YELLOW:#}\n"));
    let merge = next.again("migrate", WITH_OWN_CHANGES);
    let how = format!("To merge these changes into the new files:\n  {merge}\n");
    section(&title, files.chain([how]))
}

/// Moves, whole folders in one line.
fn moves(plan: &Plan) -> String {
    let mut folders: BTreeMap<String, (usize, MoveReason)> = BTreeMap::new();
    for one in &plan.moves {
        let top = one.from.top();
        let mut name = one.from.to_string();
        if one.why == MoveReason::Retired && top.len() < one.from.as_bytes().len() {
            name = format!("{}/", RepoPath::new(top));
        }
        folders.entry(name).or_insert((0, one.why)).0 += 1;
    }
    let lines = folders.into_iter().map(|(name, (count, why))| {
        let why = match why {
            MoveReason::Retired => counted(count, "file"),
            MoveReason::NotAHubFile => "no Hub file".to_owned(),
            MoveReason::Replaced => "replaced by upstream's".to_owned(),
        };
        let to = format!("{OUTDATED}/{name}");
        format!("  {name:<26} → {to:<34} {DIM}{why}{DIM:#}\n")
    });
    section("Moves", lines)
}

/// What is said of an arrival: of each file alone, or without a sign of all of them together.
const ARRIVALS: [(What, &str, Style, &str); 9] = [
    (What::Added, "+", GREEN, "new"),
    (What::Replaces, "+", GREEN, "replaces the old one"),
    (What::Updated, "~", YELLOW, "updated"),
    (
        What::Merged,
        "~",
        YELLOW,
        "merged with the changes made here",
    ),
    (What::Conflict, "!", RED, "conflict"),
    (What::Removed, "-", RED, "removed upstream"),
    (What::Unchanged, "", DIM, "as they were"),
    (What::ChangedHere, "", DIM, "changed here only"),
    (What::RemovedHere, "", DIM, "removed here"),
];

fn files(plan: &Plan) -> String {
    let line = |sign: &str, style: Style, name: &str, words: &str| {
        format!("  {style}{sign}{style:#} {name:<34} {DIM}{words}{DIM:#}\n")
    };
    let (mut lines, mut rest) = (BTreeMap::new(), Vec::new());
    let mut tools: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (what, sign, style, word) in ARRIVALS {
        let files: Vec<_> = plan.files.iter().filter(|it| it.what == what).collect();
        if sign.is_empty() && !files.is_empty() {
            rest.push(format!("{} {word}", files.len()));
        }
        for Arrival { path, .. } in files.iter().filter(|_| !sign.is_empty()) {
            if layout::is_tool(path) {
                *tools.entry(path.top()).or_default() += 1;
            } else {
                lines.insert(path, line(sign, style, &path.to_string(), word));
            }
        }
    }
    let mut lines: Vec<String> = lines.into_values().collect();
    lines.extend(tools.into_iter().map(|(top, count)| {
        let words = format!("the tool, {}", counted(count, "file"));
        line("+", GREEN, &RepoPath::new(top).to_string(), &words)
    }));
    if !rest.is_empty() && !lines.is_empty() {
        lines.push(format!("  {DIM}and {}{DIM:#}\n", rest.join(", ")));
    }
    section("Comes from upstream", lines)
}

fn dangling(plan: &Plan) -> String {
    let mut out = String::new();
    for (kind, title) in [
        (
            MentionKind::Code,
            "To fix by hand: these no longer find what they name",
        ),
        (MentionKind::Prose, "Texts that speak of the old places"),
    ] {
        let of_kind = plan.dangling.iter().filter(|it| it.kind == kind);
        let lines = of_kind.map(|one| {
            let place = format!("{}:{}:{}", one.path, one.line, one.column);
            let text = match kind {
                MentionKind::Code => format!("    {DIM}{}{DIM:#}\n", one.text),
                MentionKind::Prose => String::new(),
            };
            let (what, instead) = (&one.what, &one.instead);
            format!("  {YELLOW}{place}{YELLOW:#} {what}\n{text}    instead: {instead}\n")
        });
        out += &section(title, lines);
    }
    out
}

fn ending_text(
    at: &Preflight,
    plan: &Plan,
    ending: MigrationEnding,
    tip: Option<&Oid>,
    next: &Commands,
) -> String {
    let here = at.repo.top.display();
    match ending {
        MigrationEnding::Aborted => String::new(),
        MigrationEnding::UpToDate => {
            format!("{GREEN}Up to date:{GREEN:#} {here} has all that upstream gives.\n")
        }
        MigrationEnding::DryRun => {
            let with_own = next.again("migrate", WITH_OWN_CHANGES);
            let this = next.again("migrate", "");
            let then: &[_] = if has_own_left(plan) {
                &[
                    (with_own, "with this fork's own changes"),
                    (this, "without them"),
                ]
            } else {
                &[(this, "does this")]
            };
            listed("Nothing was changed. What to type next:", then)
        }
        MigrationEnding::WouldChange => listed(
            "This worker is not in line with its upstream. Bring it in line with:",
            &[(next.again("migrate", ""), "")],
        ),
        MigrationEnding::Conflicts => conflicts_text(plan, next),
        MigrationEnding::Markers | MigrationEnding::Staged => {
            let mut text = waiting_text(ending, next);
            if has_own_left(plan) {
                let first = next.task("migrate", "--abort");
                let then = [(first, ""), (next.again("migrate", WITH_OWN_CHANGES), "")];
                text += &listed("To merge this fork's own changes instead:", &then);
            }
            if let Some((on, why)) = moves_on(at, plan, next) {
                text += &listed("Once it is committed:", &[(on, why)]);
            }
            text
        }
        MigrationEnding::Committed => committed_text(at, plan, tip, next),
    }
}

fn conflicts_text(plan: &Plan, next: &Commands) -> String {
    let markers = next.again("migrate", "--conflicts markers");
    let upstream = next.again("migrate", "--conflicts upstream");
    let then: &[_] = if plan.own.as_ref().is_some_and(|own| own.carried) {
        let by_hand = "or upstream's files, and what they lack by hand";
        &[(markers, "to resolve in the files"), (upstream, by_hand)]
    } else {
        &[(markers, "")]
    };
    let count = plan.conflicts.len();
    let (files, are) = (
        counted(count, "file"),
        if count == 1 { "is" } else { "are" },
    );
    let title = format!(
        "{RED}{files} {are} in conflict; nothing was written.{RED:#} To resolve them in \
         the files:"
    );
    listed(&title, then)
}

fn committed_text(at: &Preflight, plan: &Plan, tip: Option<&Oid>, next: &Commands) -> String {
    let log = next.git("log --stat -2");
    let has_past = at.ours.entries().contains_key(&BASELINE.into())
        || plan
            .steps
            .iter()
            .any(|step| step.target().is_some_and(|it| *it == BASELINE));
    let then: &[_] = if let Some(on) = moves_on(at, plan, next) {
        &[(log, ""), on]
    } else if has_past {
        let became = "what became of all that the old worker exposed";
        let compare = next.task("compare", "");
        &[(log, "what has moved and what is new"), (compare, became)]
    } else {
        &[(log, "")]
    };
    let tip = tip.map_or(String::new(), |tip| format!(" as {}", tip.short()));
    let title = format!("{GREEN}Done.{GREEN:#} Committed{tip}. Look at it with:");
    listed(&title, then)
}

/// Whether changes of a fork are not in the new files.
fn has_own_left(plan: &Plan) -> bool {
    plan.own.as_ref().is_some_and(|own| !own.carried)
}

/// The migration that follows where a fork of the official modern worker was adopted.
fn moves_on(at: &Preflight, plan: &Plan, next: &Commands) -> Option<(String, &'static str)> {
    let is_adopted = at.lock.is_none() && plan.moves.is_empty();
    let is_officials = is_adopted && plan.upstream.commit.as_deref().is_some_and(is_official);
    let on = || next.task("migrate", TO_THIS_WORKER);
    is_officials.then(|| {
        (
            on(),
            "moves on from the official worker to this tool's; then `compare`",
        )
    })
}

/// What waits for a person: conflicts in the files, or what is staged.
fn waiting_text(ending: MigrationEnding, next: &Commands) -> String {
    if ending == MigrationEnding::Markers {
        listed(
            &next.fit(&format!(
                "{YELLOW}The conflicts are written with markers.{YELLOW:#} Resolve them, stage \
                 each with `git add` or `git rm`, then:"
            )),
            &[
                (next.task("migrate", "--resume"), "finishes"),
                (next.task("migrate", "--abort"), "or takes all back"),
            ],
        )
    } else {
        listed(
            &format!("{GREEN}Done.{GREEN:#} The result is staged, HEAD has not moved. Next:"),
            &[
                (next.git("status"), "what has moved and what is new"),
                (next.git("diff --cached"), "the content"),
                (next.git("commit"), "keeps it"),
                (next.task("migrate", "--abort"), "or takes it back"),
            ],
        )
    }
}

/// Writes the page with the files of both workers where git does not look, and says where that is.
/// The migration is done by then: a page that cannot be written is no reason to fail.
fn page(root: &Path, git_dir: &Path, next: &Commands) -> String {
    let file = git_dir.join(PAGE);
    let name = quoted_file(&RepoPath::new(file.as_os_str().as_bytes()));
    match compare::write_page(root, &file) {
        Ok(()) => format!("\nSide by side in a browser: {name}\n"),
        Err(error) => format!(
            "\nThe page with both workers side by side was not written: {error:#}\n\n    {} --format html > {name}\n",
            next.task("compare", "")
        ),
    }
}
