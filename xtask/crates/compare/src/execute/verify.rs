//! What the runs prove: that a variable does the same in both workers, that it does not, or that
//! the static reading was wrong.

use super::jobs::{has_failed, jobs, other_answer};
use super::results::STAND_IN;
use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{Fact, Facts};
use super::super::judge::{Item, Verdict, default_of, is_runpods, same_value};
use super::super::unread::UnreadFact;
use super::plan::{BASE, MODEL};
use super::{Played, Scenario};
use serde_json::Value;
use worker_files::Hides;
use xtask_core::sglang::{self, Table};

#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub scenarios: usize,
    /// Variables with the same effect in both workers.
    pub alike: usize,
    /// Variables whose effect differs, as the static reading says too.
    pub as_read: usize,
    /// Findings that only running could make.
    pub findings: usize,
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} times: {} variables do the same in both workers, {} differ as read, {} findings that only running shows",
            self.scenarios, self.alike, self.as_read, self.findings
        )
    }
}

/// Flags of a command line, each by the name that the pinned `SGLang` has for it.
type Flags = BTreeMap<String, String>;

pub struct Runs<'a> {
    pub scenarios: &'a [Scenario],
    pub old: &'a [Played],
    pub new: &'a [Played],
}

/// A worker with its runs.
struct Side<'a> {
    name: &'static str,
    facts: &'a Facts,
    played: &'a [Played],
    /// The run with nothing set but the model.
    base: &'a Played,
    table: Table,
}

/// Compares the runs and takes what they show into the items.
pub fn verify(runs: &Runs, facts: [&Facts; 2], table: Table, items: &mut Vec<Item>) -> Summary {
    let [old, new] = facts;
    let mut summary = Summary {
        scenarios: runs.old.len() + runs.new.len(),
        ..Summary::default()
    };
    let open = |items: &[Item]| items.iter().filter(|item| item.open).count();
    let before = open(items);
    let [Some(was), Some(is)] =
        [("old", old, runs.old), ("new", new, runs.new)].map(|(name, facts, played)| {
            let base = run_of(played, BASE)?;
            Some(Side {
                name,
                facts,
                played,
                base,
                table,
            })
        })
    else {
        return summary;
    };
    let sides = [&was, &is];
    let stopped = sides.map(|side| side.could_not_run(runs.scenarios));
    if stopped.iter().all(Option::is_none) {
        defaults(sides, items);
        jobs(was.base, is.base, items);
        settings(was.base, is.base, items);
        for side in sides {
            // What the old worker reads too is compared by what it does.
            side.unseen_reads(old, items);
        }
        // What neither run shows is the same in both: a file or a device may decide on it.
        let [was, is] = sides.map(Side::unshown_drives);
        for (found, others) in [(&was, &is), (&is, &was)] {
            let alone = found.iter().filter(|(name, _)| !others.contains_key(*name));
            items.extend(alone.map(|(_, item)| item.clone()));
        }
        let scenarios = runs.scenarios.iter();
        let (others, plain): (Vec<&Scenario>, Vec<&Scenario>) =
            scenarios.partition(|one| one.name.contains('='));
        for scenario in others.into_iter().chain(plain) {
            variable(scenario, sides, items, &mut summary);
        }
        cover(old, runs, items);
    }
    items.extend(stopped.into_iter().flatten());
    items.sort_by(|a, b| a.id.cmp(&b.id));
    summary.findings = open(items).saturating_sub(before);
    summary
}

/// What a variable does in both workers: with a value that fits it, and with an empty one and other
/// ways of writing a word.
fn variable(scenario: &Scenario, sides: [&Side; 2], items: &mut [Item], summary: &mut Summary) {
    let (name, is_plain) = match scenario.name.split_once('=') {
        Some((name, _)) => (name, false),
        None => (scenario.name.as_str(), true),
    };
    let [Some(was), Some(is)] = sides.map(|side| run_of(side.played, &scenario.name)) else {
        return;
    };
    let id = format!("env:{name}");
    let value = scenario.env.get(name).map_or("", String::as_str);
    let item = items.iter_mut().find(|item| item.id == id);
    let item = item.filter(|item| item.old.is_some());
    let Some(item) = item.filter(|item| is_plain || item.verdict == Verdict::Kept) else {
        return;
    };
    let runs = [(sides[0], was), (sides[1], is)];
    let [before, after] = runs.map(|(side, run)| effect(side.base, run, name, side.table));
    let same_effect = before == after;
    let at_once = |played: &Played| {
        let jobs = played.settings.get("concurrency");
        jobs.map_or_else(String::new, |jobs| jobs.to_string().replace('"', ""))
    };
    let as_before = runs.map(|(side, run)| at_once(run) == at_once(side.base));
    let same_jobs = is_plain || as_before[0] == as_before[1];
    let bases = sides.map(|side| side.base);
    let answered = other_answer(bases, [was, is]);
    let same = same_effect && same_jobs && is.error.is_none() && answered.is_none();
    // A value that both refuse is not the one to tell them apart, and where the old worker failed
    // by another, to do otherwise is no loss.
    let refused = was.error.is_some() && (is.error.is_some() || !is_plain);
    if refused || same || !is_plain && at_once(was).starts_with("error") {
        let passed = show(&before);
        let is_lost = matches!(item.verdict, Verdict::Missing | Verdict::Renamed);
        let is_shown = same && is_plain && !before.is_empty();
        if is_shown && is_lost {
            item.keep(format!(
                "Its reading says it is lost, but run with {name}={value} both workers pass {passed}."
            ));
        } else if is_shown && item.open {
            item.why += &format!(" Run with {name}={value}, both workers pass {passed}.");
        }
        summary.alike += usize::from(is_plain);
        return;
    }
    // To do more than nothing is no loss.
    let only_more = is_plain && before.is_empty() && is.error.is_none() && answered.is_none();
    if item.verdict != Verdict::Kept || only_more {
        summary.as_read += 1;
        return;
    }
    if let (true, None, Some(answered)) = (same_effect, &is.error, answered) {
        item.change(format!("Run with {name}={value:?}, {answered}."));
        return;
    }
    let effects = [before, after].into_iter().zip(runs);
    let told = effects.map(|(effect, (side, run))| match &run.error {
        Some(error) => format!("stops ({error})"),
        None if same_effect && same_jobs => "goes on".to_owned(),
        None if same_effect => format!("takes {} jobs at once", at_once(run)),
        None if !effect.is_empty() => format!("passes {}", show(&effect)),
        None => match left_out(side, run) {
            gone if gone.is_empty() => "passes the same as without it".to_owned(),
            gone => format!("leaves out {gone}"),
        },
    });
    let told: Vec<String> = told.collect();
    let (before, after) = (&told[0], &told[1]);
    item.change(format!(
        "Run with {name}={value:?}, the old worker {before}, the new one {after}."
    ));
}

impl Side<'_> {
    /// A worker that never started, or whose handler never ran, shows nothing.
    fn could_not_run(&self, scenarios: &[Scenario]) -> Option<Item> {
        let (side, base) = (self.name, self.base);
        let wanted = scenarios.iter().any(|scenario| !scenario.jobs.is_empty());
        let why = match &base.error {
            Some(error) => error,
            None if !base.started => "it never calls runpod.serverless.start",
            None if wanted && base.jobs.is_empty() => "its handler never ran",
            // The new one's failures are told job by job.
            None if side == "old" && wanted && base.jobs.iter().all(has_failed) => {
                "its handler fails with every job"
            }
            None => return None,
        };
        let why =
            format!("The {side} worker could not be run ({why}), so that running shows nothing.");
        let help = "Leave --execute out, or make it start with stand-ins for what it imports.";
        Some(Item::found(&format!("run:{side}"), why).help(help))
    }

    /// Variables that a run asked for and the reading did not find.
    fn unseen_reads(&self, old: &Facts, items: &mut Vec<Item>) {
        let asked = self.played.iter().flat_map(|run| &run.reads);
        let asked: BTreeSet<&str> = asked.map(String::as_str).collect();
        // Code that goes through all variables asks for whatever is there.
        let loops = asked.contains("*");
        for name in asked {
            let own = matches!(name, "*" | "PATH" | "HOME" | "LANG") || is_runpods(name);
            let is_set = || MODEL.contains(&name) || run_of(self.played, name).is_some();
            let mut known = [self.facts, old].into_iter();
            if own || loops && is_set() || known.any(|facts| facts.variable(name).is_some()) {
                continue;
            }
            let side = self.name;
            let why =
                format!("When run, the {side} worker reads {name}; its source doesn't show where.");
            let help = "Look at how it reads it: compare could not follow that.";
            items.push(Item::found(&format!("run:{side}.reads.{name}"), why).help(help));
        }
    }

    /// Flags that the reading says a variable drives and a run does not show, by the variable.
    fn unshown_drives(&self) -> BTreeMap<String, Item> {
        let (side, table) = (self.name, self.table);
        let mut items = BTreeMap::new();
        for (name, fact) in self.facts.area("env") {
            let run = run_of(self.played, name);
            let run = run.filter(|run| run.error.is_none() && !run.commands.is_empty());
            let (Some(flag), Some(run)) = (fact.get("flag"), run) else {
                continue;
            };
            // A flag that SGLang takes and ignores need not be passed.
            let known = table.flag(flag);
            let ignored = known.is_some_and(|(_, flag)| flag.effect.is_some());
            let (flag, _) = canonical(flag, table);
            let mut shown = [run, self.base].into_iter();
            if !ignored && !shown.any(|run| flags(run, table).contains_key(&flag)) {
                let why = format!(
                    "Its reading says that {name} drives {flag} in the {side} worker, but a run doesn't show it."
                );
                let help = "Look at how it is read: compare misread it, or another variable stands in its way.";
                let item = Item::found(&format!("run:{side}.{name}"), why).help(help);
                items.insert(name.to_owned(), item);
            }
        }
        items
    }
}

/// What both pass with nothing set but the model, against SGLang's own defaults.
fn defaults(sides: [&Side; 2], items: &mut Vec<Item>) {
    let table = sides[0].table;
    let [was, is] = sides.map(|side| flags(side.base, table));
    // What SGLang refuses stays open, although both pass it.
    let may_close = |item: &&mut Item| item.open && item.verdict != Verdict::Retired;
    for item in items.iter_mut().filter(may_close) {
        let has_value = item.old.as_ref().is_some_and(|fact| fact.has("value"));
        let is_computed = item.new.as_ref().is_some_and(|fact| fact.has("computed"));
        let flag = item.id.strip_prefix("flag:");
        let flag = flag.filter(|_| has_value || is_computed);
        let flag = flag.map_or_else(String::new, |flag| canonical(flag, table).0);
        if let Some(value) = was.get(&flag).filter(|value| is.get(&flag) == Some(value)) {
            item.keep(format!(
                "Its reading says otherwise, but with nothing set both workers pass `{value}`."
            ));
        } else if is_computed && is.contains_key(&flag) {
            // What differs is told below.
            item.keep(
                "Its value is computed; what both workers pass with nothing set was compared.",
            );
        }
    }
    let own = |flag: &str| Some(default_of(table.flag(flag)?.1));
    let is_reported = |flag: &str| {
        items.iter().filter(|item| item.open).any(|item| {
            let mut sides = [&item.old, &item.new].into_iter().flatten();
            item.id == format!("flag:{flag}") || sides.any(|fact| fact.get("flag") == Some(flag))
        })
    };
    // What is made up at each start is none of a user's business, unless it takes a value's place.
    let is_made = |value: &str| value.contains(STAND_IN);
    let mut differences = Vec::new();
    for flag in was.keys().chain(is.keys()).collect::<BTreeSet<_>>() {
        let of = |side: &Flags| side.get(flag).cloned().or_else(|| own(flag));
        let same = match (of(&was), of(&is)) {
            (Some(was), Some(is)) if is_made(&was) => is_made(&is) || is.is_empty(),
            (Some(was), Some(is)) if is_made(&is) => was.is_empty(),
            (Some(was), Some(is)) => same_value(&was, &is),
            // A switch of its own build of SGLang.
            (was, is) => was == is,
        };
        if !same && flag != "--model-path" && !is_reported(flag) {
            let side = |side: &Flags| match side.get(flag) {
                None => "nothing".to_owned(),
                Some(value) if is_made(value) => "made up at each start".to_owned(),
                Some(value) => format!("`{value}`"),
            };
            differences.push(format!("{flag} was {}, is {}", side(&was), side(&is)));
        }
    }
    if !differences.is_empty() {
        let why = format!("With nothing set, {}.", differences.join("; "));
        items.push(Item::found("run:defaults", why));
    }
}

/// Closes what could not be read where running speaks for it: it ran, in workers that came to their
/// end, and nothing was asked for that the reading does not know.
fn cover(old: &Facts, runs: &Runs<'_>, items: &mut [Item]) {
    let is_unseen = |item: &Item| item.id.starts_with("run:old.reads.");
    let mut all = runs.old.iter().chain(runs.new);
    if items.iter().any(is_unseen) || all.any(|played| played.error.is_some()) {
        return;
    }
    let shown = [Hides::Variables, Hides::Flags, Hides::JobInput];
    let is_shown = |gap: &UnreadFact| gap.unread.may_hide.iter().all(|may| shown.contains(may));
    for item in items.iter_mut().filter(|item| item.open) {
        let mut gaps = old.unread.iter().filter(|gap| gap.id == item.id);
        let has_run = || runs.old.iter().any(|run| run.reached.contains(&item.id));
        if gaps.any(is_shown) && has_run() {
            item.keep("It was not read; both workers were run, and what it does was compared.");
        }
    }
}

fn run_of<'a>(played: &'a [Played], name: &str) -> Option<&'a Played> {
    played.iter().find(|one| one.name == name)
}

fn show(flags: &Flags) -> String {
    let word = |(flag, value): (&String, &String)| match value.as_str() {
        "" if sglang::is_switch(flag) => flag.clone(),
        "" => format!("{flag} \"\""),
        value => format!("{flag} {value}"),
    };
    flags.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// The flags that are passed with nothing set, and not in a run.
fn left_out(side: &Side, run: &Played) -> String {
    let with = flags(run, side.table);
    let mut plain = flags(side.base, side.table);
    plain.retain(|flag, _| !with.contains_key(flag));
    plain.into_keys().collect::<Vec<_>>().join(" ")
}

/// What a variable changes in the server's command line.
pub(super) fn effect(base: &Played, run: &Played, name: &str, table: Table) -> Flags {
    let mut plain = flags(base, table);
    if MODEL.contains(&name) {
        plain.remove("--model-path");
    }
    let mut with = flags(run, table);
    with.retain(|flag, value| plain.get(flag) != Some(value));
    with
}

/// The flags of the command that starts the server.
fn flags(played: &Played, table: Table) -> Flags {
    let is_server = |command: &&Vec<String>| command.iter().any(|word| word.contains("sglang"));
    // A program of the worker's own may start it: `python3 launch.py --model-path …`.
    let takes_flags = |command: &&Vec<String>| {
        let mut names = command
            .iter()
            .map(|word| word.split('=').next().unwrap_or_default());
        names.any(|name| name.starts_with("--") && table.flag(name).is_some())
    };
    let mut commands = played.commands.iter();
    let server = commands
        .clone()
        .find(is_server)
        .or_else(|| commands.find(takes_flags));
    let mut out = Flags::new();
    let mut current: Option<String> = None;
    for word in server.into_iter().flatten() {
        if word.starts_with("--") {
            let (flag, value) = word.split_once('=').unwrap_or((word, ""));
            let (flag, fixed) = canonical(flag, table);
            out.insert(flag.clone(), fixed.unwrap_or_else(|| value.to_owned()));
            current = (!word.contains('=')).then_some(flag);
        } else if let Some(value) = current.as_ref().and_then(|flag| out.get_mut(flag)) {
            *value += if value.is_empty() { "" } else { " " };
            *value += word;
        }
    }
    out
}

/// The pinned release's name for a flag, with the value that stands for one that is gone.
pub(super) fn canonical(flag: &str, table: Table) -> (String, Option<String>) {
    if let Some((name, _)) = table.flag(flag) {
        return (name.to_owned(), None);
    }
    let Some(successor) = sglang::history(flag).successor else {
        return (flag.to_owned(), None);
    };
    let (flag, value) = successor.split_once([' ', '=']).unwrap_or((successor, ""));
    let name = table.flag(flag).map_or(flag, |(name, _)| name);
    let value = (!value.is_empty()).then(|| value.to_owned());
    (name.to_owned(), value)
}

/// Settings of `runpod.serverless.start`, and how many jobs are taken at once.
fn settings(old: &Played, new: &Played, items: &mut Vec<Item>) {
    for (name, was) in &old.settings {
        let is_known = |value: &&Value| value.as_str() != Some("…");
        let is = new.settings.get(name).filter(|is| *is != was);
        let Some(is) = is.filter(is_known).filter(|_| is_known(&was)) else {
            continue;
        };
        let why = format!(
            "With nothing else set, it is {was} in the old worker and {is} in the new one."
        );
        let mut item = Item::found(&format!("run:serverless.{name}"), why);
        [item.old, item.new] = [was, is].map(|it| Some(Fact::of_value(it)));
        items.push(item);
    }
}
