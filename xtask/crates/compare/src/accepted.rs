//! `.xtask/accepted.json`: what is gone or different for a reason.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::baseline::{list, unreadable};
use super::facts::Fact;
use super::judge::{Item, Verdict};
use super::unread::digest;
use xtask_core::layout::ACCEPTED;
use xtask_core::output::quoted;
use xtask_core::records;
use xtask_core::tree::{RepoPath, Tree};

/// The version that is written. Version 1 held no values, version 2 no reasons for forks.
const VERSION: u64 = 3;
const WITHOUT_FORKS: u64 = 2;

/// The file: reasons in order, one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct Accepted {
    version: u64,
    accepted: Vec<Reason>,
    /// What upstream says of the same values; it answers for nothing until it is taken.
    #[serde(default)]
    pub offered: Vec<Reason>,
    /// Reasons for values that only forks have, as they started from another revision. They answer
    /// for nothing here, and are offered to those.
    #[serde(default)]
    for_forks: Vec<Reason>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// A fact's id; `*` stands for anything.
    pub fact: String,
    pub reason: String,
    /// Whether only running both workers shows its fact.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub execute: bool,
    /// The facts that it was given for, each with a digest of what it was then, and `+` where the new
    /// worker still had it. Version 1 had none: such a reason stands for whatever is open, until the
    /// file is written again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<BTreeMap<String, String>>,
    /// The upstream's commit that it was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
}

/// What `cleanup` asks reasons for, besides facts: a file below `outdated/` that is not the one
/// that migrate put there, and a file that still mentions `outdated/`.
pub const CHANGED: &str = "outdated:";
pub const MENTION: &str = "mention:";

/// Ends the digest of a fact that the new worker still had when the reason was given.
const CHANGED_ONLY: char = '+';

/// Whether an id is a question of `cleanup`'s and no fact.
pub fn is_cleanups(id: &str) -> bool {
    id.starts_with(CHANGED) || id.starts_with(MENTION)
}

/// The option of `compare` that takes a reason off the record.
pub fn withdrawal(fact: &str) -> String {
    // A file that was written by hand may begin with anything.
    let joint = if fact.starts_with('-') { '=' } else { ' ' };
    format!("--withdraw{joint}{}", quoted(fact))
}

impl Reason {
    /// Whether `cleanup` may still ask for this reason: its file is there.
    pub fn waits_for_cleanup(&self, outdated: &dyn Tree, rest: &dyn Tree) -> bool {
        let mut questions = [(CHANGED, outdated), (MENTION, rest)].into_iter();
        questions.any(|(prefix, tree)| {
            let path = self.fact.strip_prefix(prefix).and_then(RepoPath::unquote);
            path.is_some_and(|path| tree.entries().contains_key(&path))
        })
    }

    /// Whether it can't be told to be stale without running both workers.
    pub fn needs_run(&self) -> bool {
        self.execute || self.fact.starts_with("run:")
    }

    /// Whether it stands for a fact of this value: by the digest that it holds, or where it holds
    /// none, as `unbound` says.
    fn stands_for(&self, id: &str, unbound: bool, digest: &str) -> bool {
        let is_of = |held: &String| held.trim_end_matches(CHANGED_ONLY) == digest;
        let of = self.of.as_ref();
        of.map_or(unbound, |of| of.get(id).is_some_and(is_of))
    }

    /// What it holds of a fact that it stands for.
    pub fn held_for(&self, id: &str, fact: &Fact) -> String {
        let held = self.of.as_ref().and_then(|of| of.get(id));
        held.cloned().unwrap_or_else(|| digest_of(fact))
    }

    /// Whether it stands for what is open. What was said of a change does not answer for a loss.
    fn answers(&self, item: &Item, unbound: bool) -> bool {
        let held = self.of.as_ref().and_then(|of| of.get(&item.id));
        let is_worse = held.is_some_and(|held| held.ends_with(CHANGED_ONLY))
            && item.verdict == Verdict::Missing;
        !is_worse && self.stands_for(&item.id, unbound, &reading(item))
    }
}

impl Accepted {
    /// Reads the file of the repository, and says what to do where it can't be read.
    pub fn of_repository(text: &str, place: &str) -> Result<Self> {
        let help = format!("fix it; `git log -p -- {place}` shows what it was");
        Self::read(text).map_err(|error| unreadable(place, &error, help))
    }

    /// Reads that of a repository's tree; one without it has no reasons.
    pub fn of_tree(tree: &dyn Tree) -> Result<Self> {
        match records::read(tree, ACCEPTED)? {
            None => Ok(Self::default()),
            Some((bytes, place)) => Self::of_repository(&String::from_utf8_lossy(&bytes), place),
        }
    }

    pub fn read(text: &str) -> Result<Self> {
        let file: Self = serde_json::from_str(text)
            .context("it has another shape than {version, accepted: [{fact, reason}]}")?;
        if !(1..=VERSION).contains(&file.version) {
            let version = file.version;
            bail!("it is of version {version}; this tool knows {VERSION}");
        }
        let all = file.accepted.iter().chain(&file.offered);
        let mut all = all.chain(&file.for_forks);
        if let Some(entry) = all.find(|entry| entry.reason.trim().is_empty()) {
            bail!("{} is accepted without a reason", entry.fact);
        }
        Ok(file)
    }

    pub fn write(&self) -> String {
        let sorted = |key: &str, entries: &[Reason]| {
            let mut entries = entries.to_vec();
            entries.sort();
            match entries.as_slice() {
                [] if key != "accepted" => String::new(),
                entries => format!(",\n\"{key}\": {}", list(entries.iter())),
            }
        };
        let accepted = sorted("accepted", &self.accepted);
        let for_forks = sorted("for_forks", &self.for_forks);
        let offered = sorted("offered", &self.offered);
        let version = if for_forks.is_empty() {
            WITHOUT_FORKS
        } else {
            VERSION
        };
        format!("{{\n\"version\": {version}{accepted}{for_forks}{offered}\n}}\n")
    }

    /// What is on record for exactly this.
    pub fn reason(&self, id: &str) -> Option<&str> {
        let entry = self.accepted.iter().find(|entry| entry.fact == id)?;
        Some(&entry.reason)
    }

    pub fn of_cleanup(&self) -> impl Iterator<Item = &str> {
        let ids = self.accepted.iter().map(|entry| entry.fact.as_str());
        ids.filter(|id| is_cleanups(id))
    }

    /// The same without them, once `outdated/` is gone and nobody asks any more.
    pub fn after_cleanup(&self) -> Self {
        let facts = self.accepted.iter().filter(|e| !is_cleanups(&e.fact));
        Self {
            accepted: facts.cloned().collect(),
            for_forks: self.for_forks.clone(),
            ..Self::default()
        }
    }

    /// Upstream's reason for a fact of this value. `is_known` says that upstream's own old worker
    /// had the same value.
    pub fn for_value(&self, id: &str, digest: &str, is_known: bool) -> Option<&Reason> {
        let stands =
            |entry: &&Reason| matches(&entry.fact, id) && entry.stands_for(id, is_known, digest);
        let entries = self.accepted.iter().chain(&self.for_forks).filter(stands);
        // The most particular one speaks.
        entries.max_by_key(|entry| entry.fact.len())
    }

    /// Upstream's reasons for what is open, by id.
    pub fn offered_for(&self, items: &[Item]) -> BTreeMap<String, String> {
        let pair = |entry: &Reason| (entry.fact.clone(), entry.reason.clone());
        self.offers(items).map(pair).collect()
    }

    fn offers(&self, items: &[Item]) -> impl Iterator<Item = &Reason> {
        let open = items.iter().filter(|item| item.open);
        open.filter_map(|item| {
            let mut offered = self.offered.iter();
            offered.find(|entry| entry.fact == item.id && entry.answers(item, false))
        })
    }

    /// Makes upstream's reasons for what is open the repository's own; gives their ids.
    pub fn take_offered(&mut self, items: &[Item]) -> Vec<String> {
        let is_new = |entry: &&Reason| self.reason(&entry.fact).is_none();
        let taken: Vec<Reason> = self.offers(items).filter(is_new).cloned().collect();
        self.offered.clear();
        let ids = taken.iter().map(|entry| entry.fact.clone()).collect();
        self.accepted.extend(taken);
        ids
    }

    /// Adds a reason for the facts named, or gives an old one a new text.
    pub fn add(&mut self, fact: &str, reason: &str, execute: bool, of: BTreeMap<String, String>) {
        self.accepted.retain(|entry| entry.fact != fact);
        self.accepted.push(Reason {
            fact: fact.to_owned(),
            reason: reason.to_owned(),
            execute: execute && !fact.starts_with("run:"),
            of: (!is_cleanups(fact)).then_some(of),
            upstream: None,
        });
    }

    /// Adds a reason for values that only forks have.
    pub fn add_for_forks(&mut self, fact: &str, reason: &str, of: BTreeMap<String, String>) {
        let entry = Reason {
            fact: fact.to_owned(),
            reason: reason.to_owned(),
            of: Some(of),
            ..Reason::default()
        };
        // One of the same values is given anew.
        self.for_forks
            .retain(|it| it.fact != fact || it.of != entry.of);
        self.for_forks.push(entry);
    }

    /// Binds reasons that hold no value yet to what is open now, and gives how many. What only a
    /// run shows stays unbound until one is made.
    pub fn bind(&mut self, items: &[Item], was_run: bool) -> usize {
        let is_unbound = |entry: &&mut Reason| {
            let is_shown = was_run || !entry.needs_run();
            entry.of.is_none() && !is_cleanups(&entry.fact) && is_shown
        };
        let mut count = 0;
        for entry in self.accepted.iter_mut().filter(is_unbound) {
            entry.of = Some(values(&entry.fact, items));
            count += 1;
        }
        count
    }

    /// Takes a reason off the record, by the name that it has there; gives its text.
    pub fn withdraw(&mut self, fact: &str) -> Option<String> {
        let mut for_forks = self.for_forks.iter();
        let for_forks = || Some(for_forks.find(|it| it.fact == fact)?.reason.as_str());
        let reason = self.reason(fact).or_else(for_forks)?.to_owned();
        self.accepted.retain(|entry| entry.fact != fact);
        self.for_forks.retain(|entry| entry.fact != fact);
        Some(reason)
    }

    /// Turns what a reason is on record for into accepted. Returns the reasons that answer for
    /// nothing any more.
    pub fn apply(&self, items: &mut [Item]) -> Vec<Reason> {
        let mut stale: Vec<&Reason> = self.accepted.iter().collect();
        for item in items.iter_mut().filter(|item| item.open) {
            let entries = self.accepted.iter();
            let entries = entries.filter(|entry| matches(&entry.fact, &item.id));
            let (standing, outgrown): (Vec<_>, Vec<_>) =
                entries.partition(|entry| entry.answers(item, true));
            stale.retain(|entry| !standing.iter().any(|used| std::ptr::eq(*used, *entry)));
            // The most particular entry speaks: the longest, of several the first.
            let best = standing.iter().rev().max_by_key(|entry| entry.fact.len());
            if let Some(entry) = best {
                item.open = false;
                item.verdict = Verdict::Accepted;
                item.reason = Some(entry.reason.clone());
            } else if let Some(Reason { reason, .. }) = outgrown.first() {
                let was = "was given for another value, a smaller change or other facts";
                item.why += &format!(" The reason on record, \"{reason}\", {was}.");
            }
        }
        stale.into_iter().cloned().collect()
    }
}

/// A digest of what a reason is given for: the old fact, or the new one where there is no old.
fn reading(item: &Item) -> String {
    let fact = item.old.as_ref().or(item.new.as_ref());
    digest_of(fact.unwrap_or(&Fact::default()))
}

/// A digest of all of a fact that is judged.
pub fn digest_of(fact: &Fact) -> String {
    let judged = fact.judged();
    let parts = judged.flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]);
    format!("{:016x}", digest(parts))
}

/// The open facts that a pattern takes in, with their values.
pub fn values(pattern: &str, items: &[Item]) -> BTreeMap<String, String> {
    let open = items.iter().filter(|item| item.open);
    let fits = open.filter(|item| matches(pattern, &item.id));
    let held = |item: &Item| match item.verdict {
        Verdict::Missing => reading(item),
        _ => format!("{}{CHANGED_ONLY}", reading(item)),
    };
    fits.map(|item| (item.id.clone(), held(item))).collect()
}

/// Whether a pattern with `*` fits a whole id.
pub fn matches(pattern: &str, id: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else {
        return pattern == id;
    };
    let mut rest = id.strip_prefix(first);
    for part in middle {
        rest = rest.and_then(|rest| Some(rest.split_once(part)?.1));
    }
    rest.is_some_and(|rest| rest.ends_with(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::outcome::UserError;

    #[test]
    fn patterns_fit_whole_ids() {
        assert!(matches("env:A", "env:A"));
        assert!(!matches("env:A", "env:AB"));
        assert!(matches("python:*", "python:A.b"));
        assert!(matches("hub:*.default", "hub:A.default"));
        assert!(matches("*:A*C", "env:ABC"));
        assert!(!matches("hub:*.default", "hub:A.options"));
    }

    #[test]
    fn a_reason_for_a_change_answers_for_no_loss() {
        let old = Fact::of_value(&1);
        let changed = Item::new("env:A", Verdict::Changed, &old, &Fact::of_value(&2));
        let missing = Item::missing("env:A", &old);
        let is_open = |given: &Item, now: &Item| {
            let mut accepted = Accepted::default();
            let of = values("env:A", std::slice::from_ref(given));
            accepted.add("env:A", "meant", false, of);
            let read = Accepted::read(&accepted.write()).unwrap();
            let mut items = [now.clone()];
            read.apply(&mut items);
            items[0].open
        };
        assert!(!is_open(&changed, &changed));
        assert!(is_open(&changed, &missing));
        assert!(!is_open(&missing, &missing) && !is_open(&missing, &changed));
    }

    #[test]
    fn reasons_for_forks_answer_for_nothing_here() {
        let old = Fact::of_value(&1);
        let mut items = [Item::missing("hub:A", &old)];
        let mut accepted = Accepted::default();
        for reason in ["one", "two"] {
            accepted.add_for_forks("hub:A", reason, values("hub:A", &items));
        }
        let mut read = Accepted::read(&accepted.write()).unwrap();
        assert!(accepted.write().starts_with("{\n\"version\": 3,"));
        assert!(read.apply(&mut items).is_empty() && items[0].open);
        let offered = read.for_value("hub:A", &digest_of(&old), false);
        assert_eq!(offered.unwrap().reason, "two");
        assert!(read.for_value("hub:A", "another", false).is_none());
        assert_eq!(read.withdraw("hub:A").as_deref(), Some("two"));
        assert_eq!(read.write(), Accepted::default().write());
    }

    #[test]
    fn what_is_taken_back_leaves_the_rest_as_it_was() {
        let mut accepted = Accepted::default();
        assert_eq!(
            accepted.write(),
            "{\n\"version\": 2,\n\"accepted\": []\n}\n"
        );
        accepted.add("hub:*", "one", false, BTreeMap::new());
        accepted.add("env:MAX_NUM_REQS", "two", false, BTreeMap::new());
        let before = accepted.clone();
        accepted.add("env:B", "three", true, BTreeMap::new());
        assert_eq!(accepted.withdraw("env:B").as_deref(), Some("three"));
        assert_eq!(accepted.write(), before.write());
        assert_eq!(accepted.withdraw("env:B"), None);
        // A pattern is a name like any other here: it takes nothing else with it.
        assert_eq!(accepted.withdraw("*"), None);
        assert_eq!(accepted, before);
    }

    #[test]
    fn a_reason_holds_the_value_that_it_was_given_for() {
        let item = |id: &str, default: &str| {
            let mut item = Item::found(id, "why.".to_owned());
            let value = BTreeMap::from([("default".to_owned(), default.to_owned())]);
            item.old = Some(crate::facts::Fact {
                value,
                places: Vec::new(),
            });
            item
        };
        let open = |items: &[Item]| -> Vec<String> {
            items
                .iter()
                .filter(|item| item.open)
                .map(|item| item.id.clone())
                .collect()
        };
        let first = [item("env:A", "1"), item("env:B", "1")];
        let mut accepted = Accepted::default();
        accepted.add("env:*", "meant", false, values("env:*", &first));
        let accepted = Accepted::read(&accepted.write()).unwrap();
        let mut same = first.clone();
        assert!(accepted.apply(&mut same).is_empty());
        assert!(open(&same).is_empty());
        // Another value, and another fact that the pattern would take in.
        let mut later = [item("env:A", "1"), item("env:B", "2"), item("env:C", "1")];
        assert!(accepted.apply(&mut later).is_empty());
        assert_eq!(open(&later), ["env:B", "env:C"]);
        assert!(
            later[1]
                .why
                .contains("record, \"meant\", was given for another value")
        );
        // A reason of version 1 answers for what is open, and is bound to it once.
        let text = r#"{"version": 1, "accepted": [{"fact": "env:*", "reason": "old"}]}"#;
        let mut old = Accepted::read(text).unwrap();
        let mut items = later.clone();
        for item in &mut items {
            item.open = true;
        }
        assert_eq!(old.bind(&items[..2], false), 1);
        old.apply(&mut items);
        assert_eq!(open(&items), ["env:C"]);
    }

    #[test]
    fn the_option_that_takes_back_is_what_a_shell_reads() {
        assert_eq!(withdrawal("env:A"), "--withdraw env:A");
        assert_eq!(withdrawal("hub:*"), "--withdraw 'hub:*'");
        assert_eq!(withdrawal("-x"), "--withdraw=-x");
        assert_eq!(withdrawal(""), "--withdraw ''");
    }

    #[test]
    fn a_file_is_sorted_one_entry_a_line_and_needs_reasons() {
        let mut accepted = Accepted::default();
        accepted.add("env:B", "because", false, BTreeMap::new());
        accepted.add("env:A", "so", true, BTreeMap::new());
        accepted.add("env:B", "since", false, BTreeMap::new());
        accepted.add("run:job.chat", "meant", true, BTreeMap::new());
        let text = accepted.write();
        assert_eq!(
            text,
            "{\n\"version\": 2,\n\"accepted\": [\n{\"fact\":\"env:A\",\"reason\":\"so\",\"execute\":true,\"of\":{}},\n{\"fact\":\"env:B\",\"reason\":\"since\",\"of\":{}},\n{\"fact\":\"run:job.chat\",\"reason\":\"meant\",\"of\":{}}\n]\n}\n"
        );
        assert_eq!(Accepted::read(&text).unwrap().accepted.len(), 3);
        let empty = "{\"version\": 1, \"accepted\": [{\"fact\": \"x\", \"reason\": \" \"}]}";
        assert!(
            Accepted::read(empty)
                .unwrap_err()
                .to_string()
                .contains("without a reason")
        );
        assert!(Accepted::read("{\"version\": 4, \"accepted\": []}").is_err());
        let error = Accepted::of_repository("{", ACCEPTED).unwrap_err();
        let refusal = error.downcast_ref::<UserError>().unwrap();
        assert!(
            refusal
                .what
                .starts_with(".xtask/accepted.json can't be read: ")
        );
        assert!(refusal.help.contains("git log -p -- .xtask/accepted.json"));
        assert!(Accepted::read("[]").is_err());
    }
}
