//! Whose change a fact is: the fork's own, or a decision of the upstream that it came from. And
//! what migrate asks of this task.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::Serialize;

use super::accepted::{self, Accepted, Reason};
use super::baseline;
use super::facts::{ALONE, Fact, Facts, PASSED, WHEN, area_of, value};
use super::judge::{Item, Side, Verdict, few, is_read_outside, is_runpods, set_again};
use super::own_changes::{Code, OwnChanges, OwnCode, code_id, code_of, is_in, judge_with, on_list};
use worker_files::{Place, is_one_of};
use xtask_core::layout::BASELINE;
use xtask_core::records;
use xtask_core::secret::{MASK, is_secret};
use xtask_core::tree::{RepoPath, Tree};

/// What a worker exposes: the input of a migration.
pub struct Exposed(Facts, Code);

/// A change of a fork's, and what the new worker has for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ForkChange {
    pub id: String,
    /// Where the fork has it; in a file that it removed it from, where it was.
    pub path: RepoPath,
    pub line: usize,
    /// All places where it is read.
    #[serde(skip)]
    pub places: Vec<(RepoPath, usize)>,
    pub what: String,
    pub now: String,
    /// Whether it is lost if nobody carries it.
    #[serde(skip)]
    pub is_open: bool,
    /// What does it in the new worker, where that is one line.
    #[serde(skip)]
    pub set: Option<Setting>,
    /// The first of the changed lines that hold it, where they are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What a fork set, as the new worker says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A variable of the image, and its value.
    Variable(String, String),
    /// A member of the Hub's listing, `title` or `config.gpuIds`, and its value.
    Listing(String, String),
}

impl ForkChange {
    /// Whether the fork has it no more.
    pub fn is_removal(&self) -> bool {
        self.what == REMOVED
    }

    /// Whether nothing is left to do about it.
    pub fn is_settled(&self) -> bool {
        self.now.starts_with(NOTHING)
    }

    /// Whether all that changed is that something is gone or read as nothing.
    pub fn is_loss(&self) -> bool {
        let parts = self.what.split("; ");
        self.is_removal() || parts.into_iter().all(|part| part.ends_with("→ none"))
    }
}

impl Exposed {
    pub fn read(tree: &dyn Tree) -> Result<Self> {
        Ok(Self(Facts::read(tree)?, code_of(tree)?))
    }

    /// The text of the baseline, and how many facts that is. `of` says in words which worker it
    /// is, `commit` where it was read; `base` is what it started from.
    pub fn baseline(
        &self,
        of: &str,
        commit: Option<&str>,
        base: Option<(&Self, &str)>,
    ) -> (String, usize) {
        let own = base.map(|(base, commit)| self.own(base, commit));
        let text = baseline::write(&self.0, of, commit, own.as_ref());
        (text, self.0.all.len())
    }

    fn own(&self, base: &Self, commit: &str) -> OwnChanges {
        let own = OwnChanges::of(&base.0, &self.0, commit);
        own.with_code((&base.0, &base.1), (&self.0, &self.1))
    }

    /// What this fork changed since `base`, and what `new` has for each.
    pub fn changes(&self, base: &Self, new: &Self) -> Vec<ForkChange> {
        let own = self.own(base, "");
        let items = judge_with(&self.0, Some(&own), &new.0, &new.1);
        let is_own = |item: &&Item| item.open && own.own.contains(&item.id);
        let open: Vec<&Item> = items.iter().filter(is_own).collect();
        let change = |id: &String| {
            let after = self.0.get(id).or_else(|| on_list(id, &self.0));
            let before = base.0.get(id);
            let item = items.iter().find(|item| item.id == *id);
            let places = &after.or(before)?.places;
            let lines: Vec<(RepoPath, usize)> = places.iter().map(line_of).collect();
            let (path, line) = lines.first()?.clone();
            let beside = self.open_beside(id, places, &own.code, &open);
            let set = after.and_then(|after| setting(id, before, after, item, [&self.0, &new.0]));
            let now = match &set {
                Some(Setting::Variable(name, value)) => how_to_set(name, value, &new.0),
                _ => now(id, after, item, &new.0),
            };
            Some(ForkChange {
                id: id.clone(),
                path,
                line,
                places: lines,
                what: what(before, after),
                now: with_open(now, &beside),
                is_open: item.is_some_and(|item| item.open || item.part_of.is_some()),
                set,
                text: None,
            })
        };
        own.own.iter().filter_map(change).collect()
    }

    /// What is open beside a change: its variable elsewhere, and the fork's lines around it.
    fn open_beside<'o>(
        &self,
        id: &str,
        places: &[Place],
        own: &BTreeMap<String, OwnCode>,
        open: &[&'o Item],
    ) -> Vec<&'o str> {
        let lines: BTreeSet<_> = places.iter().map(line_of).collect();
        let next_to = places.iter().filter_map(|at| {
            let (path, file) = self.1.get_key_value(&at.file)?;
            let here = file.iter().position(|one| is_in(at, one))?;
            let id = code_id(path, &file[here]);
            let near = &file[here.saturating_sub(1)..file.len().min(here + 2)];
            let code = own.get(&id)?;
            near.iter().any(|one| code.has(&one.text)).then_some(id)
        });
        let next_to: BTreeSet<String> = next_to.collect();
        let drives = |other: &str| {
            let flag = other.strip_prefix("flag:");
            flag.is_some() && flag == self.0.attribute(id, "flag")
        };
        let is_beside = |item: &&&Item| {
            let other = item.id.as_str();
            let is_same = variable_of(id).is_some() && variable_of(other) == variable_of(id);
            let mut places = item.old.iter().flat_map(|fact| &fact.places);
            let mut is_here = || places.any(|place| lines.contains(&line_of(place)));
            other != id && (is_same || drives(other) || next_to.contains(other) || is_here())
        };
        let beside = open.iter().filter(is_beside);
        beside.map(|item| &*item.id).collect()
    }

    /// The text of this worker's accepted reasons (`.xtask/accepted.json`) with those that its
    /// upstream has for the same values, to be taken or not; `None` where upstream has nothing to
    /// offer. `mine` is the worker's tree.
    pub fn offered(
        &self,
        base: &Self,
        mine: &dyn Tree,
        upstream: &dyn Tree,
        commit: &str,
    ) -> Result<Option<String>> {
        let theirs = Accepted::of_tree(upstream)?;
        let record = match records::read(upstream, BASELINE)? {
            Some((text, place)) => {
                let text = String::from_utf8_lossy(&text);
                baseline::of_repository(&text, place)?.facts
            }
            None => Facts::default(),
        };
        let own = OwnChanges::of(&base.0, &self.0, "").own;
        let mut entries = Vec::new();
        for (id, fact) in &self.0.all {
            if own.contains(id) || is_one_of("env input route", area_of(id)) {
                continue;
            }
            // An option that the fork gives for all packages is a change of its own.
            let was = accepted::digest_of(base.0.get(id).unwrap_or(fact));
            let digest = |facts: &Facts| facts.get(id).map(accepted::digest_of);
            let is_known = digest(&record) == digest(&base.0);
            let entry = theirs.for_value(id, &was, is_known);
            entries.extend(entry.map(|entry| Reason {
                fact: id.clone(),
                of: Some([(id.clone(), entry.held_for(id, fact))].into()),
                upstream: Some(commit.to_owned()),
                ..entry.clone()
            }));
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut accepted = Accepted::of_tree(mine)?;
        accepted.offered = entries;
        Ok(Some(accepted.write()))
    }
}

const REMOVED: &str = "removed";
/// What became of a change that is not lost, and which open facts beside it the owner still has to
/// carry.
fn with_open(now: String, beside: &[&str]) -> String {
    let kept = now.strip_prefix(NOTHING);
    match kept.or((now == THERE).then_some(THERE)) {
        Some(kept) if !beside.is_empty() => {
            format!("{kept}; `compare` has open beside it: {}", few(beside, 3))
        }
        _ => now,
    }
}

/// The variable that a fact is about.
fn variable_of(id: &str) -> Option<&str> {
    let (area, name) = id.split_once(':')?;
    let name = name.split('.').next().unwrap_or(name);
    let is_variable = !name.contains(|c: char| c.is_ascii_lowercase());
    (is_variable && ["env", "hub", "image", "tests"].contains(&area)).then_some(name)
}

const NOTHING: &str = "nothing to carry: ";
const THERE: &str = "the new worker has it too";

fn line_of(place: &Place) -> (RepoPath, usize) {
    (place.file.clone(), place.line)
}

fn what(before: Side, after: Side) -> String {
    let Some(after) = after else {
        return REMOVED.to_owned();
    };
    let Some(before) = before else {
        let value = Some(value(after)).filter(|value| !value.is_empty());
        return value.map_or_else(|| "added".to_owned(), |value| format!("added: {value}"));
    };
    let told = before.differing(after).map(|key| {
        let side = |fact: &Fact| fact.get(key).unwrap_or("none").replace('\n', ", ");
        match (key, after.get(key)) {
            ("unused" | "reached", None) => "it is used now".to_owned(),
            ("unused" | "reached", Some(_)) => "nothing uses it now".to_owned(),
            _ => format!("{key} {} → {}", side(before), side(after)),
        }
    });
    told.collect::<Vec<_>>().join("; ")
}

/// Whether a fork reads a variable that drives a flag in one more file, which may use a default of
/// its own and pass nothing.
fn is_read_elsewhere(before: Side, after: &Fact) -> bool {
    let is_new = |place: &Place| {
        let mut known = before.into_iter().flat_map(|fact| &fact.places);
        !known.any(|one| one.file == place.file)
    };
    before.is_some_and(|fact| fact.has("flag"))
        && after.has("undefaulted")
        && after.places.iter().any(is_new)
}

/// What does in one line what a fork added or changed.
fn setting(
    id: &str,
    before: Side,
    after: &Fact,
    item: Option<&Item>,
    [old, new]: [&Facts; 2],
) -> Option<Setting> {
    let there = new.get(id);
    let is_kept = item.is_some_and(|item| item.verdict == Verdict::Kept);
    let set = |name: &str, value: &str| {
        let name = new.offered(name);
        // What the image sets is stronger than a default of the code.
        let image = format!("image:{name}");
        let is_weaker = id != image && old.has(&image);
        let is_open = !is_runpods(name) && !is_weaker && !value.contains(MASK);
        set_again(new, name, value).filter(|_| is_open)?;
        Some(Setting::Variable(name.to_owned(), value.to_owned()))
    };
    let does = |new: &&Fact| new.is_reached() && (!after.has(PASSED) || new.has(PASSED));
    if let Some((name, there)) = id.strip_prefix("env:").zip(there.filter(does)) {
        if is_kept {
            return None;
        }
        let flag = there.get("flag");
        let others = [Some(there), before].map(|fact| fact?.get("default"));
        let is_new = |value: &&str| !others.contains(&Some(*value));
        let default = after.get("default").filter(is_new);
        // What was no flag's default must not become one, nor be what other programs read.
        let is_flags = after.has("flag") && !is_read_elsewhere(before, after);
        let is_own = !after.has("flag") && !is_read_outside(name);
        let default = default.filter(|_| if flag.is_some() { is_flags } else { is_own });
        return default.and_then(|default| set(name, default));
    }
    // What a variable lets through is not for all endpoints.
    if let Some(flag) = id.strip_prefix("flag:")
        && let Some(value) = after.get("value")
        && !after.has("through")
        && !after.has(WHEN)
    {
        let said = after.parts("from", " ").next();
        let driver = new.drivers(flag).min_by_key(|name| Some(*name) != said);
        let value = if value == ALONE { "true" } else { value };
        return driver.and_then(|name| set(name, value));
    }
    if let Some(path) = id.strip_prefix("hub:").filter(|path| {
        let name = path.strip_prefix("config.").unwrap_or(path);
        name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.')
    }) {
        let value = after.get("value").filter(|_| there.is_some() && !is_kept)?;
        return Some(Setting::Listing(path.to_owned(), value.to_owned()));
    }
    // Paths are another image's.
    const OTHERS: &str = "FROM WORKDIR USER ENTRYPOINT CMD HEALTHCHECK STOPSIGNAL SHELL PATH \
                          PYTHONPATH LD_LIBRARY_PATH";
    let name = id.strip_prefix("image:")?;
    let is_variable = variable_of(id).is_some() && !is_one_of(OTHERS, name) && !id.contains('.');
    let value = after.get("value").filter(|_| is_variable && !is_kept)?;
    (!is_secret(name)).then(|| set(name, value)).flatten()
}

fn how_to_set(name: &str, value: &str, new: &Facts) -> String {
    let line = set_again(new, name, value).unwrap_or_default();
    format!("set {name}={value} in the new worker: {line}")
}

/// What a person has to know of a change that no variable does now.
fn now(id: &str, after: Side, item: Option<&Item>, new: &Facts) -> String {
    let there = new.get(id);
    let Some(after) = after else {
        let has = there.map(|_| "the new worker has it all the same");
        let lacks = "the new worker does not have it either";
        return has.unwrap_or(lacks).to_owned();
    };
    let is_kept = item.is_some_and(|item| item.verdict == Verdict::Kept);
    let does = |new: &&Fact| new.is_reached() && (!after.has(PASSED) || new.has(PASSED));
    let does = id.strip_prefix("env:").zip(there.filter(does));
    if let Some((name, there)) = does.filter(|_| is_kept) {
        // A switch that is off by default, or what SGLang does by itself.
        return match there.get("flag") {
            Some(flag) => format!("{NOTHING}the new worker's {name} sets {flag}"),
            None => format!("{NOTHING}the new worker reads {name} too"),
        };
    }
    let is_same = |new: &Fact| after.differing(new).next().is_none();
    match item {
        _ if is_kept && there.is_some_and(is_same) => THERE.to_owned(),
        // What is SGLang's own default, or is done in another way.
        _ if is_kept => format!("{NOTHING}`compare` finds no loss of it"),
        Some(item) if !item.help.is_empty() => format!("{} {}", item.why, item.help),
        Some(item) if !item.why.is_empty() => item.why.clone(),
        _ => "bring it to the new files by hand".to_owned(),
    }
}

#[cfg(test)]
mod tests;
