//! What the runs prove: that a variable does the same in both workers, that it does not, or that
//! the static reading was wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::super::facts::{Fact, Facts};
use super::super::judge::{Item, Verdict};
use super::plan::BASE;
use super::{Played, Scenario};
use xtask_core::sglang::{self, Table};

/// What the runs came to.
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

/// Flags of a command line, each by the name that the pinned `SGLang` has for it.
type Flags = BTreeMap<String, String>;

/// Both workers' runs.
pub struct Runs<'a> {
    pub scenarios: &'a [Scenario],
    pub old: &'a [Played],
    pub new: &'a [Played],
}

/// Compares the runs and takes what they show into the items.
pub fn verify(
    runs: &Runs<'_>,
    old: &Facts,
    new: &Facts,
    table: Table,
    items: &mut Vec<Item>,
) -> Summary {
    let mut summary = Summary {
        scenarios: runs.old.len() + runs.new.len(),
        ..Summary::default()
    };
    let before = items.iter().filter(|item| item.open).count();
    let (Some(old_base), Some(new_base)) = (of(runs.old, BASE), of(runs.new, BASE)) else {
        return summary;
    };
    jobs(old_base, new_base, items);
    settings(old_base, new_base, items);
    for (side, played, base, facts) in [
        ("old", runs.old, old_base, old),
        ("new", runs.new, new_base, new),
    ] {
        unseen_reads(side, played, facts, items);
        static_drives(side, played, base, facts, table, items);
    }
    for (name, _) in old.area("env") {
        let scenario = runs.scenarios.iter().find(|s| s.name == name);
        let (Some(was), Some(is), Some(scenario)) =
            (of(runs.old, name), of(runs.new, name), scenario)
        else {
            continue;
        };
        let value = scenario.env.get(name).map_or("", String::as_str);
        let id = format!("env:{name}");
        let was_effect = effect(old_base, was, name, table);
        let is_effect = effect(new_base, is, name, table);
        if was_effect == is_effect && is.error.is_none() {
            summary.alike += 1;
            let lost = items.iter().find(|item| {
                item.id == id
                    && matches!(item.verdict, Verdict::Missing | Verdict::Renamed)
                    && !was_effect.is_empty()
            });
            if lost.is_some() {
                items.push(Item::found(
                    &format!("run:{name}"),
                    format!("Its reading says it is lost, but run with {name}={value} both workers pass {}.", show(&was_effect)),
                    "Look at how the new worker reads it: compare could not follow that.",
                ));
            }
            continue;
        }
        let Some(item) = items.iter_mut().find(|item| item.id == id) else {
            continue;
        };
        // To do more than nothing is no loss.
        let only_more = was_effect.is_empty() && is.error.is_none();
        if item.verdict == Verdict::Kept && !only_more {
            let now = match &is.error {
                Some(error) => format!("the new one stops ({error})"),
                None => format!("the new one passes {}", show(&is_effect)),
            };
            item.verdict = Verdict::Changed;
            item.open = true;
            item.why = format!(
                "Run with {name}={value}, the old worker passes {}, {now}.",
                show(&was_effect)
            );
            "Make it do what it did, or record why not.".clone_into(&mut item.help);
        } else {
            summary.as_read += 1;
        }
    }
    items.sort_by(|a, b| a.id.cmp(&b.id));
    summary.findings = items
        .iter()
        .filter(|item| item.open)
        .count()
        .saturating_sub(before);
    summary
}

fn of<'a>(played: &'a [Played], name: &str) -> Option<&'a Played> {
    played.iter().find(|one| one.name == name)
}

fn show(flags: &Flags) -> String {
    if flags.is_empty() {
        return "nothing for it".to_owned();
    }
    let words: Vec<String> = flags
        .iter()
        .map(|(flag, value)| {
            if value.is_empty() {
                flag.clone()
            } else {
                format!("{flag} {value}")
            }
        })
        .collect();
    words.join(" ")
}

/// What a variable changes in the server's command line.
fn effect(base: &Played, run: &Played, name: &str, table: Table) -> Flags {
    let mut plain = flags(base, table);
    if matches!(name, "MODEL_NAME" | "MODEL_PATH") {
        plain.remove("--model-path");
    }
    let mut with = flags(run, table);
    with.retain(|flag, value| plain.get(flag) != Some(value));
    with
}

/// The flags of the command that starts the server.
fn flags(played: &Played, table: Table) -> Flags {
    let server = played
        .commands
        .iter()
        .find(|command| command.iter().any(|word| word.contains("sglang")));
    let mut out = Flags::new();
    let mut current: Option<String> = None;
    for word in server.into_iter().flatten() {
        if word.starts_with("--") {
            let (flag, value) = word.split_once('=').unwrap_or((word, ""));
            let (flag, fixed) = canonical(flag, table);
            out.insert(flag.clone(), fixed.unwrap_or_else(|| value.to_owned()));
            current = (!word.contains('=')).then_some(flag);
        } else if let Some(flag) = &current
            && let Some(value) = out.get_mut(flag)
        {
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str(word);
        }
    }
    out
}

/// The pinned release's name for a flag, with the value that stands for one that is gone.
fn canonical(flag: &str, table: Table) -> (String, Option<String>) {
    if let Some((name, _)) = table.flag(flag) {
        return (name.to_owned(), None);
    }
    let history = sglang::history(flag);
    match history.successor {
        Some(successor) => {
            let (flag, value) = successor.split_once([' ', '=']).unwrap_or((successor, ""));
            let name = table.flag(flag).map_or(flag, |(name, _)| name);
            (
                name.to_owned(),
                (!value.is_empty()).then(|| value.to_owned()),
            )
        }
        None => (flag.to_owned(), None),
    }
}

/// Jobs that lead to other requests than before.
fn jobs(old: &Played, new: &Played, items: &mut Vec<Item>) {
    for was in &old.jobs {
        let Some(is) = new.jobs.iter().find(|job| job.name == was.name) else {
            continue;
        };
        let line = |job: &super::PlayedJob| -> Vec<String> {
            let requests = job
                .requests
                .iter()
                .map(|(method, path, _)| format!("{method} {path}"));
            requests.collect()
        };
        let (before, now) = (line(was), line(is));
        let sent = |lines: &[String]| {
            if lines.is_empty() {
                "nothing".to_owned()
            } else {
                lines.join(", ")
            }
        };
        let id = format!("run:job.{}", was.name);
        let value = |lines: &[String]| Fact {
            value: BTreeMap::from([("value".to_owned(), sent(lines))]),
            places: Vec::new(),
        };
        let mut item = Item::found(
            &id,
            format!(
                "Given this job, the old worker requests {}, the new one {}.",
                sent(&before),
                sent(&now)
            ),
            "If that is meant, record why.",
        );
        item.old = Some(value(&before));
        item.new = Some(value(&now));
        if let Some(error) = &is.error {
            item.why = format!("Given this job, the new worker fails with {error}.");
            item.open = was.error.is_none();
        } else if before == now {
            item.verdict = Verdict::Kept;
            item.open = false;
            item.why = String::new();
            item.help = String::new();
        }
        items.push(item);
    }
}

/// Settings of `runpod.serverless.start`, and how many jobs are taken at once.
fn settings(old: &Played, new: &Played, items: &mut Vec<Item>) {
    for (name, was) in &old.settings {
        let Some(is) = new.settings.get(name).filter(|is| *is != was) else {
            continue;
        };
        if was.as_str() == Some("…") || is.as_str() == Some("…") {
            continue;
        }
        let mut item = Item::found(
            &format!("run:serverless.{name}"),
            format!(
                "With nothing else set, it is {was} in the old worker and {is} in the new one."
            ),
            "If that is meant, record why.",
        );
        let value = |value: &serde_json::Value| Fact {
            value: BTreeMap::from([("value".to_owned(), value.to_string())]),
            places: Vec::new(),
        };
        item.old = Some(value(was));
        item.new = Some(value(is));
        items.push(item);
    }
}

/// Variables that a run asked for and the reading did not find.
fn unseen_reads(side: &str, played: &[Played], facts: &Facts, items: &mut Vec<Item>) {
    let asked: BTreeSet<&str> = played
        .iter()
        .flat_map(|one| &one.reads)
        .map(String::as_str)
        .collect();
    // Code that goes through all variables asks for whatever is there.
    let loops = asked.contains("*");
    for name in asked {
        let own = matches!(name, "*" | "PATH" | "HOME" | "LANG");
        let given = loops && played.iter().any(|one| one.name == name);
        if own || given || facts.get(&format!("env:{name}")).is_some() {
            continue;
        }
        if matches!(name, "MODEL_NAME" | "MODEL_PATH") && loops {
            continue;
        }
        items.push(Item::found(
            &format!("run:{side}.reads.{name}"),
            format!("When run, the {side} worker reads {name}; its source doesn't show where."),
            "Look at how it reads it: compare could not follow that.",
        ));
    }
}

/// Flags that the reading says a variable drives and a run does not show.
fn static_drives(
    side: &str,
    played: &[Played],
    base: &Played,
    facts: &Facts,
    table: Table,
    items: &mut Vec<Item>,
) {
    for (name, fact) in facts.area("env") {
        let (Some(flag), Some(run)) = (fact.get("flag"), of(played, name)) else {
            continue;
        };
        if run.error.is_some() || run.commands.is_empty() {
            continue;
        }
        // A flag that SGLang takes and ignores need not be passed.
        let ignored = table
            .flag(flag)
            .is_some_and(|(_, flag)| flag.effect.is_some());
        let (flag, _) = canonical(flag, table);
        let shown = flags(run, table).contains_key(&flag) || flags(base, table).contains_key(&flag);
        if !shown && !ignored {
            items.push(Item::found(
                &format!("run:{side}.{name}"),
                format!("Its reading says that {name} drives {flag} in the {side} worker, but a run doesn't show it."),
                "Look at how it is read: compare misread it, or another variable stands in its way.",
            ));
        }
    }
}
