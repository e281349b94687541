//! What became of each fact: the verdicts, and why.
//!
//! Each area has its own rules in a module below. They are given what the others found, because
//! a variable that got another name takes its build argument, its Hub entry and its README row
//! along: such facts are part of another one and fail with it, not beside it.

mod hub;
mod image;
mod running;

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::facts::{Fact, Facts, WORDING};
use xtask_core::sglang::{self, Table};

/// What became of a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The new worker does not have it.
    Missing,
    /// The same role under another name.
    Renamed,
    /// Another default, other options, another type, …
    Changed,
    /// The pinned `SGLang` has no such flag any more.
    Retired,
    /// A reason is on record.
    Accepted,
    /// Only the new worker has it.
    Added,
    Kept,
}

impl Verdict {
    pub const ALL: [Self; 7] = [
        Self::Missing,
        Self::Renamed,
        Self::Changed,
        Self::Retired,
        Self::Accepted,
        Self::Added,
        Self::Kept,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Renamed => "renamed",
            Self::Changed => "changed",
            Self::Retired => "retired",
            Self::Accepted => "accepted",
            Self::Added => "added",
            Self::Kept => "kept",
        }
    }
}

/// A fact with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub id: String,
    pub verdict: Verdict,
    /// Whether it fails until somebody mends it or gives a reason.
    pub open: bool,
    pub old: Option<Fact>,
    /// The fact of the same id, or of the id that it was renamed to.
    pub new: Option<Fact>,
    /// The new id, where that is another.
    pub now: Option<String>,
    /// The fact that this one belongs to: it stands and falls with that.
    pub part_of: Option<String>,
    pub why: String,
    pub help: String,
    /// The reason on record.
    pub reason: Option<String>,
}

impl Item {
    fn new(id: &str, verdict: Verdict, old: Option<&Fact>, new: Option<&Fact>) -> Self {
        let open = matches!(
            verdict,
            Verdict::Missing | Verdict::Renamed | Verdict::Changed
        );
        Self {
            id: id.to_owned(),
            verdict,
            open,
            old: old.cloned(),
            new: new.cloned(),
            now: None,
            part_of: None,
            why: String::new(),
            help: String::new(),
            reason: None,
        }
    }

    /// A finding of a run, open.
    pub fn found(id: &str, why: String, help: &str) -> Self {
        Self::new(id, Verdict::Changed, None, None)
            .why(why)
            .help(help)
    }

    fn why(mut self, why: impl Into<String>) -> Self {
        self.why = why.into();
        self
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    fn now(mut self, id: impl Into<String>) -> Self {
        self.now = Some(id.into());
        self
    }

    fn part_of(mut self, id: impl Into<String>) -> Self {
        self.part_of = Some(id.into());
        self.open = false;
        self
    }

    fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// The area: what stands in front of the colon.
    pub fn area(&self) -> &str {
        self.id.split(':').next().unwrap_or_default()
    }
}

/// Both workers' facts and what is known of `SGLang`.
pub struct Judge<'a> {
    pub old: &'a Facts,
    pub new: &'a Facts,
    /// The flags of the `SGLang` that the new worker runs.
    pub table: Table,
    /// How to call that `SGLang` in a sentence.
    pub sglang: String,
    /// Variables that go by another name now.
    pub renamed: BTreeMap<String, String>,
    items: Vec<Item>,
    /// Where each id stands in `items`.
    index: HashMap<String, usize>,
}

/// The flags by which a worker is judged: those of the `SGLang` that it runs.
pub fn table_of(facts: &Facts) -> Table {
    Table::for_version(facts.sglang.as_deref().unwrap_or("latest")).0
}

/// Judges every fact of both workers. The result is in order of id.
pub fn judge(old: &Facts, new: &Facts) -> Vec<Item> {
    let pinned = new.sglang.clone();
    let (table, exactness) = Table::for_version(pinned.as_deref().unwrap_or("latest"));
    let sglang = match (&pinned, exactness.is_exact()) {
        (Some(version), true) => format!("SGLang {version}"),
        (Some(version), false) => {
            format!(
                "SGLang {version} (judged by the flags of {}, the nearest known)",
                table.release()
            )
        }
        (None, _) => format!("SGLang {} (the new worker pins none)", table.release()),
    };
    let mut judge = Judge {
        old,
        new,
        table,
        sglang,
        renamed: BTreeMap::new(),
        items: Vec::new(),
        index: HashMap::new(),
    };
    judge.environment();
    judge.flags();
    judge.requests();
    judge.python();
    judge.image();
    judge.packages();
    judge.hub();
    judge.rest();
    let mut items = judge.items;
    items.sort_by(|a, b| a.id.cmp(&b.id));
    items.dedup_by(|a, b| a.id == b.id);
    items
}

impl<'a> Judge<'a> {
    /// Ids of both workers in an area, without the area's name.
    fn ids(&self, area: &'a str) -> Vec<(&'a str, Option<&'a Fact>, Option<&'a Fact>)> {
        let mut all: BTreeMap<&str, (Option<&Fact>, Option<&Fact>)> = BTreeMap::new();
        for (id, fact) in self.old.area(area) {
            all.entry(id).or_default().0 = Some(fact);
        }
        for (id, fact) in self.new.area(area) {
            all.entry(id).or_default().1 = Some(fact);
        }
        all.into_iter()
            .map(|(id, (old, new))| (id, old, new))
            .collect()
    }

    fn item(&self, id: &str) -> Option<&Item> {
        self.index.get(id).and_then(|&at| self.items.get(at))
    }

    fn push(&mut self, item: Item) {
        self.index.insert(item.id.clone(), self.items.len());
        self.items.push(item);
    }

    /// The flag's name in the pinned release, which an alias or a plain rename may lead to.
    fn canonical<'n>(&self, flag: &'n str) -> &'n str
    where
        'a: 'n,
    {
        self.table.flag(flag).map_or(flag, |(name, _)| name)
    }

    /// Whether two flags do the same in the pinned release.
    fn same_flag(&self, old: &str, new: &str) -> bool {
        let new = self.canonical(new);
        let successor = || sglang::successor(old).filter(|successor| sglang::is_plain(successor));
        self.canonical(old) == new || successor().is_some_and(|s| self.canonical(s) == new)
    }

    /// Whether `SGLang` names the second flag in place of the first, with whatever value.
    fn succeeds(&self, old: &str, new: &str) -> bool {
        let history = sglang::history(old);
        history
            .successor_flag()
            .is_some_and(|s| self.canonical(s) == self.canonical(new))
    }

    /// Whether the pinned release takes this flag, under this very name.
    fn takes(&self, flag: &str) -> bool {
        self.table.flag(flag).is_some()
    }

    /// The attributes that differ, as `default 1, now 2`, wording left out.
    fn differences(old: &Fact, new: &Fact, keys: Option<&[&str]>) -> Vec<String> {
        let mut names: Vec<&String> = old.value.keys().chain(new.value.keys()).collect();
        names.sort();
        names.dedup();
        names
            .into_iter()
            .filter(|key| {
                keys.map_or(!WORDING.contains(&key.as_str()), |k| {
                    k.contains(&key.as_str())
                })
            })
            .filter_map(|key| {
                let (old, new) = (old.get(key), new.get(key));
                let same = old.unwrap_or_default() == new.unwrap_or_default();
                (!same).then(|| difference(key, old, new))
            })
            .collect()
    }

    /// A fact that is there on both sides, judged by the attributes named.
    fn kept_or_changed(id: &str, old: &Fact, new: &Fact, keys: Option<&[&str]>) -> Item {
        let differences = Self::differences(old, new, keys);
        if differences.is_empty() {
            return Item::new(id, Verdict::Kept, Some(old), Some(new));
        }
        Item::new(id, Verdict::Changed, Some(old), Some(new))
            .why(format!("{}.", differences.join("; ")))
            .help("If that is meant, record why.")
    }

    /// Areas without rules of their own: there or not there, the same or not.
    fn simple(&mut self, area: &'a str, missing: &str, help: &str) {
        for (name, old, new) in self.ids(area) {
            let id = format!("{area}:{name}");
            if self.item(&id).is_some() {
                continue;
            }
            let item = match (old, new) {
                (Some(old), Some(new)) => Self::kept_or_changed(&id, old, new, None),
                (Some(old), None) => Item::new(&id, Verdict::Missing, Some(old), None)
                    .why(missing)
                    .help(help),
                (None, new) => Item::new(&id, Verdict::Added, None, new),
            };
            self.push(item);
        }
    }

    fn rest(&mut self) {
        self.simple(
            "compose",
            "The compose file doesn't have it any more.",
            "Bring it back, or record what to use instead.",
        );
        self.simple(
            "bake",
            "The bake file doesn't have it any more: builds that name it fail.",
            "Bring it back, or record what to build instead.",
        );
    }
}

/// `default was 1, is 2`, short enough for a line.
fn difference(key: &str, old: Option<&str>, new: Option<&str>) -> String {
    let show = |value: Option<&str>| match value {
        None => "nothing".to_owned(),
        Some(value) => {
            const LONGEST: usize = 100;
            let line = value.replace('\n', ", ");
            match line.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("`{}…`", &line[..end]),
                None => format!("`{line}`"),
            }
        }
    };
    format!("{key} was {}, is {}", show(old), show(new))
}

#[cfg(test)]
mod tests;
