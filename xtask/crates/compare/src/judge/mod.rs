//! What became of each fact: the verdicts, and why.
//!
//! Each area has its own rules in a module below. They are given what the others found, because
//! a variable that got another name takes its build argument, its Hub entry and its README row
//! along: such facts are part of another one and fail with it, not beside it.

mod api;
mod hub;
mod image;
mod running;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use serde::Serialize;

use serde_json::Value;

pub use running::same_value;

use super::facts::{ALONE, Fact, Facts, WORDING};
use super::unread::UnreadFact;
use worker_files::{Hides, is_inherited};
use xtask_core::sglang::{self, Flag, Table};

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
    /// A part of the old worker that could not be read may have held anything.
    Unread,
    /// The pinned `SGLang` has no such flag any more.
    Retired,
    /// A reason is on record.
    Accepted,
    /// Only the new worker has it.
    Added,
    Kept,
}

impl Verdict {
    pub const ALL: [Self; 8] = [
        Self::Missing,
        Self::Renamed,
        Self::Changed,
        Self::Unread,
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
            Self::Unread => "unread",
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
    /// Whether it fails until somebody fixes it or gives a reason.
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
            Verdict::Missing | Verdict::Renamed | Verdict::Changed | Verdict::Unread
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

    /// A fact that is there on both sides, and changed where anything differs.
    fn by_differences(id: &str, old: &Fact, new: &Fact, differences: &[String]) -> Self {
        if differences.is_empty() {
            return Self::new(id, Verdict::Kept, Some(old), Some(new));
        }
        Self::new(id, Verdict::Changed, Some(old), Some(new))
            .why(format!("{}.", differences.join("; ")))
            .help("If that is meant, record why.")
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

    /// Told, and nothing that anybody has to decide on.
    fn note(mut self) -> Self {
        self.open = false;
        self
    }

    fn open(mut self) -> Self {
        self.open = true;
        self
    }

    /// Closes what another look shows to be the same.
    pub fn keep(&mut self, why: impl Into<String>) {
        self.verdict = Verdict::Kept;
        self.open = false;
        self.why = why.into();
    }

    /// Opens what another look shows to differ.
    pub fn change(&mut self, why: String, help: &str) {
        self.verdict = Verdict::Changed;
        self.open = true;
        self.why = why;
        help.clone_into(&mut self.help);
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
    /// The flags of the `SGLang` that the new worker pins: one table, those of both neighbours of a
    /// release without one, or none where nothing is pinned.
    pub tables: Vec<Table>,
    /// Whether that release is newer than all that are known.
    is_newer: bool,
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
    let mut items = judged(old, new);
    if items.iter().any(|item| item.open) {
        // What was wrong with the old worker already, in the same words, is no loss.
        let before = judged(old, old);
        let before: BTreeMap<&str, &Item> =
            before.iter().map(|item| (item.id.as_str(), item)).collect();
        let value = |facts: &Facts, id: &str| facts.get(id).map(|fact| fact.value.clone());
        let was_so = |item: &Item| {
            let was = before.get(item.id.as_str());
            was.is_some_and(|was| was.open && was.verdict == item.verdict && was.why == item.why)
                && value(old, &item.id) == value(new, &item.id)
        };
        items.retain(|item| !item.open || old.get(&item.id).is_some() || !was_so(item));
        for item in items.iter_mut().filter(|item| item.open) {
            if was_so(item) {
                item.open = false;
                item.verdict = Verdict::Kept;
                item.help.clear();
            }
        }
    }
    items
}

fn judged(old: &Facts, new: &Facts) -> Vec<Item> {
    let as_then = old.older.map(|reader| new.as_read_by(reader));
    let new = as_then.as_ref().unwrap_or(new);
    let tables = new.sglang.as_deref().map(Table::around).unwrap_or_default();
    let newest = Table::newest().release();
    let is_newer = new
        .sglang
        .as_deref()
        .is_some_and(|pinned| sglang::order(pinned, newest).is_gt());
    let sglang = match (&new.sglang, tables.as_slice()) {
        (None, _) => "SGLang".to_owned(),
        (Some(version), [one]) if one.release() == version => format!("SGLang {version}"),
        (Some(version), tables) => {
            let known: Vec<&str> = tables.iter().map(|table| table.release()).collect();
            format!(
                "SGLang {version} (judged by the flags of {})",
                known.join(" and ")
            )
        }
    };
    let mut judge = Judge {
        old,
        new,
        tables,
        is_newer,
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
    judge.unread();
    let mut items = judge.items;
    items.sort_by(|a, b| a.id.cmp(&b.id));
    items.dedup_by(|a, b| a.id == b.id);
    close_parts(&mut items);
    items
}

/// Opens what was closed as part of a fact that is neither open nor renamed nor decided on: a
/// loss always has somebody to answer for it.
fn close_parts(items: &mut [Item]) {
    let answers = |item: &Item| {
        use Verdict::{Accepted, Renamed, Retired};
        let is_decided = matches!(item.verdict, Renamed | Retired | Accepted);
        item.open || is_decided && item.part_of.is_none()
    };
    let owners: HashMap<String, (bool, Option<String>)> = items
        .iter()
        .map(|item| (item.id.clone(), (answers(item), item.part_of.clone())))
        .collect();
    let answered = |owner: &String| {
        let above = |id: &&String| owners.get(*id)?.1.as_ref();
        // An owner may itself be part of another; nothing is nested deeper.
        let mut all = std::iter::successors(Some(owner), above).take(4);
        all.any(|id| owners.get(id).is_some_and(|(answers, _)| *answers))
    };
    for item in items {
        // The new name of a flag asks nothing of anybody while its variable works.
        let lost = match item.verdict {
            Verdict::Missing | Verdict::Changed => item.area() != "python",
            Verdict::Renamed => !["python", "flag"].contains(&item.area()),
            _ => false,
        };
        if lost && item.part_of.as_ref().is_some_and(|owner| !answered(owner)) {
            item.part_of = None;
            item.open = true;
        }
    }
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

    /// Judges what the old worker has of an area, where that is not done already; what only the new
    /// one has is added.
    fn each(
        &mut self,
        area: &'a str,
        judge: impl Fn(&Self, &str, &str, &Fact, Option<&Fact>) -> Item,
    ) {
        for (name, old, new) in self.ids(area) {
            let id = format!("{area}:{name}");
            if self.item(&id).is_some() {
                continue;
            }
            let item = match old {
                Some(old) => judge(self, name, &id, old, new),
                None => Item::new(&id, Verdict::Added, None, new),
            };
            self.push(item);
        }
    }

    /// The same where a fact holds several things: each is lost that no fact of the new worker holds.
    fn each_part(
        &mut self,
        area: &'a str,
        parts: fn(&str, &Fact) -> Vec<String>,
        missing: impl Fn(&[String], usize) -> String,
        help: &str,
    ) {
        let all = |facts: &Facts| -> HashSet<String> {
            let facts = facts.area(area);
            facts.flat_map(|(name, fact)| parts(name, fact)).collect()
        };
        let known = all(self.new);
        for (name, old, new) in self.ids(area) {
            let id = format!("{area}:{name}");
            let mut parts = old.map_or_else(Vec::new, |fact| parts(name, fact));
            let count = parts.len();
            parts.retain(|part| !known.contains(part));
            self.push(match (old, parts.is_empty()) {
                (Some(_), true) => Item::new(&id, Verdict::Kept, old, new),
                (Some(_), false) => Item::new(&id, Verdict::Missing, old, None)
                    .why(missing(&parts, count))
                    .help(help),
                (None, _) => Item::new(&id, Verdict::Added, None, new),
            });
        }
    }

    /// A fact that follows a renamed variable.
    fn renamed_fact(&self, area: &str, name: &str) -> Option<Item> {
        let other = self.renamed.get(name)?;
        let (id, now) = (format!("{area}:{name}"), format!("{area}:{other}"));
        let new = self.new.get(&now)?;
        Some(
            Item::new(&id, Verdict::Renamed, self.old.get(&id), Some(new))
                .now(now)
                .why(format!("It follows {name}, which is {other} now."))
                .part_of(format!("env:{name}")),
        )
    }

    /// The new worker's variable that sets a flag.
    fn driver(&self, flag: &str) -> Option<&str> {
        let mut variables = self.new.area("env");
        let drives = |fact: &Fact| fact.get("flag").is_some_and(|f| self.same_flag(flag, f));
        variables
            .find(|(_, fact)| drives(fact))
            .map(|(name, _)| name)
    }

    fn item(&self, id: &str) -> Option<&Item> {
        self.index.get(id).and_then(|&at| self.items.get(at))
    }

    fn item_mut(&mut self, id: &str) -> Option<&mut Item> {
        let at = *self.index.get(id)?;
        self.items.get_mut(at)
    }

    fn push(&mut self, item: Item) {
        self.index.insert(item.id.clone(), self.items.len());
        self.items.push(item);
    }

    /// The flag as the pinned release defines it.
    fn flag(&self, flag: &str) -> Option<(&'static str, &'static Flag)> {
        self.tables.iter().find_map(|table| table.flag(flag))
    }

    /// The flag's name in the pinned release, which an alias or a plain rename may lead to.
    fn canonical<'n>(&self, flag: &'n str) -> &'n str
    where
        'a: 'n,
    {
        self.flag(flag).map_or(flag, |(name, _)| name)
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

    /// Whether the pinned release takes this flag, under this very name; `None` where its known
    /// neighbours disagree, or nothing is pinned.
    fn takes(&self, flag: &str) -> Option<bool> {
        let mut takes = self.tables.iter().map(|table| table.flag(flag).is_some());
        let first = takes.next()?;
        ((first || !self.is_newer) && takes.all(|other| other == first)).then_some(first)
    }

    /// Whether the pinned release surely refuses this value.
    fn refuses(&self, flag: &str, value: &str) -> bool {
        let refuses = |table: &Table| {
            let known = table.flag(flag);
            known.is_some_and(|(_, flag)| !flag.is_switch() && !flag.accepts(value))
        };
        !self.is_newer && !self.tables.is_empty() && self.tables.iter().all(refuses)
    }

    /// What `SGLang` itself does without the flag, as text; `None` where that is not known.
    fn own_default(&self, flag: &str) -> Option<String> {
        let mut defaults = self.tables.iter().map(|table| {
            let (_, flag) = table.flag(flag)?;
            Some(match &flag.default {
                Value::String(text) => text.clone(),
                Value::Null => String::new(),
                Value::Bool(true) if flag.is_switch() => ALONE.to_owned(),
                Value::Bool(false) if flag.is_switch() => String::new(),
                other => other.to_string(),
            })
        });
        let first = defaults.next()??;
        defaults
            .all(|other| other.as_deref() == Some(&*first))
            .then_some(first)
    }

    /// The attributes that differ, as `default 1, now 2`, wording left out.
    fn differences(old: &Fact, new: &Fact, keys: Option<&[&str]>) -> Vec<String> {
        let names: BTreeSet<&str> = old
            .value
            .keys()
            .chain(new.value.keys())
            .map(|key| &**key)
            .collect();
        let is_judged = |key: &&str| keys.map_or(!WORDING.contains(key), |keys| keys.contains(key));
        let differing = names.into_iter().filter(is_judged).filter_map(|key| {
            let (old, new) = (old.get(key), new.get(key));
            let same = old.unwrap_or_default() == new.unwrap_or_default();
            (!same).then(|| difference(key, old, new))
        });
        differing.collect()
    }

    /// A fact that is there on both sides, judged by the attributes named.
    fn kept_or_changed(id: &str, old: &Fact, new: &Fact, keys: Option<&[&str]>) -> Item {
        let differences = Self::differences(old, new, keys);
        Item::by_differences(id, old, new, &differences)
    }

    /// Areas without rules of their own: there or not there, the same or not.
    fn simple(&mut self, area: &'a str, missing: &str, help: &str) {
        self.each(area, |_, _, id, old, new| match new {
            Some(new) => Self::kept_or_changed(id, old, new, None),
            None => Item::new(id, Verdict::Missing, Some(old), None)
                .why(missing)
                .help(help),
        });
    }

    fn rest(&mut self) {
        self.renamed_service();
        self.each("compose", |judge, name, id, old, new| match new {
            Some(new) => Self::kept_or_changed(id, old, new, None),
            None => judge.compose_gone(name, id, old),
        });
        self.undeclared_arguments();
        self.simple(
            "bake",
            "The bake file doesn't have it any more: builds that name it fail.",
            "Give the target that name again, or record what to build instead.",
        );
    }

    /// The only service on each side is the same service, whatever it is called.
    fn renamed_service(&mut self) {
        let only = |facts: &'a Facts| -> Option<&'a str> {
            let mut names = facts
                .area("compose")
                .map(|(id, _)| id.split('.').next().unwrap_or(id));
            let first = names.next()?;
            names.all(|name| name == first).then_some(first)
        };
        let (Some(was), Some(is)) = (only(self.old), only(self.new)) else {
            return;
        };
        if was == is {
            return;
        }
        for (id, old) in self.old.area("compose") {
            let now = format!("compose:{is}{}", &id[was.len()..]);
            let id = format!("compose:{id}");
            let variable = id.rsplit_once('.').map_or("", |(_, name)| name);
            let follows = self.renamed.get(variable);
            let follows = follows.map(|other| format!("compose:{is}.{other}"));
            let item = match (self.new.get(&now), follows) {
                (Some(new), _) => Self::kept_or_changed(&id, old, new, None).now(now),
                (None, Some(now)) if self.new.get(&now).is_some() => {
                    Item::new(&id, Verdict::Renamed, Some(old), self.new.get(&now))
                        .now(now)
                        .why(format!("It follows {variable}."))
                        .part_of(format!("env:{variable}"))
                }
                _ => continue,
            };
            self.push(item);
        }
    }

    /// Judges a line of the compose file that is gone: it follows its variable. The advice never
    /// asks to set a variable that the new worker doesn't read.
    fn compose_gone(&self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::new(id, Verdict::Missing, Some(old), None);
        let Some((service, variable)) = name.split_once('.') else {
            return gone
                .why("The compose file doesn't have it any more.")
                .help("Bring it back, or record what to use instead.");
        };
        let env = format!("env:{variable}");
        if let Some(other) = self.renamed.get(variable) {
            let now = format!("compose:{service}.{other}");
            let why = format!("It follows {variable}, which is {other} now.");
            let item = match self.new.get(&now) {
                Some(new) => Item::new(id, Verdict::Renamed, Some(old), Some(new)).now(now),
                None => gone.help(format!("Set {other} there, or record why not.")),
            };
            return item.why(why).part_of(env);
        }
        let read = self.new.get(&env).is_some() || is_inherited(variable);
        match self.item(&env) {
            Some(owner) if !read && owner.verdict != Verdict::Kept => gone
                .why(format!("It goes with the variable {variable}."))
                .part_of(env),
            // A library or the server may read it all the same.
            _ if !read && self.old.get(&env).is_none() => gone
                .why(
                    "The compose file doesn't set it any more, and neither worker's code reads it.",
                )
                .help("Record that nothing reads it, or set what takes its place."),
            _ => gone
                .why("The compose file doesn't set it any more.")
                .help(format!("Set {variable} there again, or record why not.")),
        }
    }

    /// Build arguments that no Dockerfile takes do nothing, and migrate drops them itself.
    fn undeclared_arguments(&mut self) {
        for (id, old) in self.old.area("bake") {
            let Some((_, argument)) = id.split_once(".args.") else {
                continue;
            };
            let id = format!("bake:{id}");
            let declared = self.new.get(&format!("arg:{argument}")).is_some();
            if !declared && self.new.get(&id).is_none() {
                self.push(
                    Item::new(&id, Verdict::Retired, Some(old), None).why(format!(
                        "The new Dockerfile declares no argument {argument}."
                    )),
                );
            }
        }
    }
}

impl Judge<'_> {
    /// What was not understood on either side.
    fn unread(&mut self) {
        for gap in &self.old.unread {
            let place = Fact {
                value: BTreeMap::from([("text".to_owned(), gap.unread.text.clone())]),
                places: vec![gap.unread.place.clone()],
            };
            let item = if gap.is_in(&self.new.unread) {
                Item::new(&gap.id, Verdict::Kept, Some(&place), None).why(
                    "It was not read, but it and what it depends on are the same in both workers.",
                )
            } else {
                Item::new(&gap.id, Verdict::Unread, Some(&place), None)
                    .why(format!("{}: it may hide {}.", gap.unread.what, hides(gap)))
                    .help("Look at what became of it, and record that; or let --execute try it.")
            };
            self.push(item);
        }
        let new = self.new.unread.iter();
        let new: Vec<&UnreadFact> = new.filter(|gap| !gap.is_in(&self.old.unread)).collect();
        for item in &mut self.items {
            let Some(may) = hiding(&item.id) else {
                continue;
            };
            let mut places = new.iter().filter(|gap| gap.unread.may_hide.contains(&may));
            let Some(first) = places.next() else { continue };
            let others = match places.count() {
                0 => String::new(),
                n => format!(" (and {n} more that were not read)"),
            };
            let place = &first.unread.place;
            if item.verdict == Verdict::Missing && item.open {
                let _ = write!(item.why, " Unless {place} reads it{others}.");
            } else if item.verdict == Verdict::Kept && may == Hides::Flags && is_decided(item) {
                let why = format!(
                    "Whether it is still the same can't be told: {place} adds to the command line, and was not read{others}."
                );
                item.change(
                    why,
                    "Look there, and record what holds; or let --execute try it.",
                );
            }
        }
    }
}

/// Whether a kept fact holds a value that another part of the command line may override. What a
/// variable decides on now is judged with that.
fn is_decided(item: &Item) -> bool {
    let by_variable = |fact: &Fact| fact.get("from").is_some();
    item.old
        .as_ref()
        .is_some_and(|fact| fact.get("value").is_some() && !by_variable(fact))
        && !item.new.as_ref().is_some_and(by_variable)
}

/// What kind of unread construct a fact of this id may stand in.
fn hiding(id: &str) -> Option<Hides> {
    Some(match id.split(':').next()? {
        "env" => Hides::Variables,
        "flag" => Hides::Flags,
        "input" | "route" | "serverless" => Hides::JobInput,
        "pip" | "constraint" | "apt" | "apk" | "conda" | "step" => Hides::Packages,
        "image" | "arg" | "copy" | "mount" => Hides::Image,
        "hub" | "tests" | "compose" | "bake" => Hides::Settings,
        _ => return None,
    })
}

/// What a gap may hide, as a list for a sentence.
fn hides(gap: &UnreadFact) -> String {
    let words = gap.unread.may_hide.iter().map(|may| match may {
        Hides::Variables => "variables",
        Hides::Flags => "flags",
        Hides::JobInput => "job input",
        Hides::Packages => "packages and build steps",
        Hides::Image => "image settings",
        Hides::Settings => "settings",
    });
    words.collect::<Vec<_>>().join(", ")
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
