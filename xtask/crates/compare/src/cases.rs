//! Small workers with known answers: `cases/reading.jsonl` says which facts one has,
//! `cases/pairs.jsonl` which differences between two must be open, `cases/same.jsonl` which pairs
//! mean the same, and `cases/more.jsonl` holds all three kinds of our own. `cases/words.jsonl` says
//! what is told of facts, and what is not.

use std::collections::BTreeMap;

use super::edits;
use super::facts::{Fact, Facts};
use super::judge::{Item, judge};
use xtask_core::tree::Memory;

type Files = BTreeMap<String, String>;

/// Reported, and not read: what `exec` runs is text to the reader, and what `OmegaConf` and click do
/// with a variable is not known.
const UNREAD: [&str; 2] = ["83-exec", "89-hydra-omegaconf"];

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    #[serde(default)]
    files: Files,
    #[serde(default)]
    forbid: Vec<String>,
    #[serde(default)]
    old: Files,
    #[serde(default)]
    new: Files,
    /// Whether only the facts say the same: the edit is told as code.
    #[serde(default)]
    facts_alone: bool,
    /// What the reason and the advice of a fact have in them, or have not, after a `!`. An empty text
    /// stands for a fact that is not open.
    #[serde(default)]
    says: BTreeMap<String, Vec<String>>,
    /// Facts with their values, `"unread"`, `"open"` or `"same"`.
    #[serde(default)]
    expect: serde_json::Value,
}

type Worker = (Memory, Facts);

fn worker(files: &Files) -> Worker {
    // So that no side exposes nothing at all.
    let tree = Memory::new().with("zz_base.py", "import os\nos.getenv(\"ZZ_BASE\")\n");
    let tree = files
        .iter()
        .fold(tree, |tree, (path, text)| tree.with(path, text.as_str()));
    let facts = Facts::read(&tree).unwrap();
    (tree, facts)
}

fn is_open((was, old): &Worker, (is, new): &Worker, facts_alone: bool) -> bool {
    let mut items = judge(old, new);
    if !facts_alone {
        items.extend(edits::of(was, old, is, &items).unwrap());
    }
    items.iter().any(|item| item.open)
}

/// How a worker's facts come out otherwise than expected.
fn reading(case: &Case) -> Option<String> {
    let (_, facts) = worker(&case.files);
    let unread: Vec<_> = facts
        .unread
        .iter()
        .filter(|gap| case.files.contains_key(&gap.unread.place.file.to_string()))
        .collect();
    let value = |fact: &str| facts.all.get(fact).map(|fact: &Fact| &fact.value);
    if let Some(wrong) = case.forbid.iter().find(|fact| value(fact).is_some()) {
        return Some(format!("wrong: {wrong}"));
    }
    let Some(expect) = case.expect.as_object() else {
        let all = facts.all.keys();
        return unread
            .is_empty()
            .then(|| format!("nothing is unread: {all:?}"));
    };
    for (fact, values) in expect {
        let Some(found) = value(fact) else {
            let kind = if unread.is_empty() {
                "silent"
            } else {
                "unread"
            };
            return Some(format!("{kind}: {fact}"));
        };
        for (key, value) in values.as_object().into_iter().flatten() {
            let value = value.as_str().map_or(value.to_string(), str::to_owned);
            if found.get(key) != Some(&value) {
                return Some(format!("wrong: {fact} {key} {:?}", found.get(key)));
            }
        }
    }
    let first = unread.first()?;
    Some(format!(
        "noisy: {} {}",
        first.unread.place, first.unread.what
    ))
}

fn pair(case: &Case) -> Option<String> {
    let (old, new) = (worker(&case.old), worker(&case.new));
    let expected = case.expect == "open";
    let all = [
        (&old, &new, expected, "old/new"),
        (&old, &old, false, "old/old"),
        (&new, &new, false, "new/new"),
    ];
    let wrong = all
        .iter()
        .find(|(old, new, open, _)| is_open(old, new, case.facts_alone) != *open);
    wrong.map(|(_, _, open, which)| format!("{which} is {}open", if *open { "not " } else { "" }))
}

/// What is told of a fact otherwise than expected.
fn words(case: &Case) -> Option<String> {
    let ((_, old), (_, new)) = (worker(&case.old), worker(&case.new));
    let items = judge(&old, &new);
    case.says.iter().find_map(|(id, texts)| {
        let item = items.iter().find(|item| item.id == *id);
        let told = |item: &Item| format!("{} {}", item.why, item.help);
        let is_open = item.is_some_and(|item| item.open);
        let told = item.map(told).unwrap_or_default();
        let is_right = |text: &String| match text.strip_prefix('!') {
            _ if text.is_empty() => !is_open,
            Some(text) => is_open && !told.contains(text),
            None => is_open && told.contains(text),
        };
        (!texts.iter().all(is_right)).then(|| format!("{id}, open {is_open}: {told}"))
    })
}

fn run(text: &str) {
    let mut wrong = Vec::new();
    for line in text.lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let found = if !case.says.is_empty() {
            words(&case)
        } else if case.files.is_empty() {
            pair(&case)
        } else {
            reading(&case)
        };
        let is_known = UNREAD.contains(&case.name.as_str());
        match found {
            Some(how) if is_known && how.starts_with("unread") => {}
            None if !is_known => {}
            found => wrong.push(format!("{}: {found:?}", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_workers_expose_is_read() {
    run(include_str!("../cases/reading.jsonl"));
}

#[test]
fn what_is_lost_between_two_workers_is_open() {
    run(include_str!("../cases/pairs.jsonl"));
}

#[test]
fn what_means_the_same_is_not_open() {
    run(include_str!("../cases/same.jsonl"));
}

#[test]
fn more_of_these_kinds() {
    run(include_str!("../cases/more.jsonl"));
}

#[test]
fn what_is_told_is_true_and_of_use() {
    run(include_str!("../cases/words.jsonl"));
}
