//! What compare says: for people, for programs, and for a browser.

mod columns;
mod html;
mod json;
mod markup;
mod text;

use std::collections::{BTreeMap, HashMap};

use super::Worker;
use super::accepted::{Accepted, Reason};
use super::entries::Entry;
use super::execute::Summary;
use super::facts::{AREAS, Fact};
use super::judge::{Item, Verdict};
use super::old::Old;
use super::own_changes::FORK;
use worker_files::Unread;
use xtask_core::commands::Commands;
use xtask_core::output::quoted;
use xtask_core::tree::short;

pub struct Report {
    pub old: Old,
    pub new: Worker,
    /// A third worker to show beside them.
    pub upstream: Option<Worker>,
    pub items: Vec<Item>,
    /// What is open, gathered by what made it so, the most harmful first.
    pub entries: Vec<Entry>,
    /// Reasons on record that match nothing any more.
    pub stale: Vec<Reason>,
    /// The reasons on record, where some of them held no values, bound to those.
    pub bound: Option<Accepted>,
    /// Upstream's reasons for what is open, by id.
    pub offered: BTreeMap<String, String>,
    /// What to know of where the facts and the reasons come from.
    pub notes: Vec<String>,
    /// What running both workers came to.
    pub executed: Option<Summary>,
    pub all: bool,
    /// Whether the new worker's files are in a directory, where reasons can be recorded.
    pub keeps_reasons: bool,
    /// How to call this tool in advice.
    pub command: String,
    pub commands: Commands,
    /// The task that comes next, where the old worker's files are still in `outdated/`.
    pub cleanup: Option<String>,
}

impl Report {
    pub fn open(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.open)
    }

    /// How many things keep this from being clean.
    pub fn failures(&self) -> usize {
        self.open().count() + self.stale.len()
    }

    pub fn count(&self, verdict: Verdict) -> usize {
        let items = self.items.iter();
        items.filter(|item| item.verdict == verdict).count()
    }

    fn title(&self) -> String {
        format!("{} → {}", self.old.name, self.new.tree.describe())
    }

    fn item_of(&self, id: &str) -> Option<&Item> {
        self.items.iter().find(|item| item.id == id)
    }

    /// The command that accepts an entry, for a shell. Beside the files of a revision nothing can be
    /// recorded.
    fn acceptance(&self, id: &str) -> Option<String> {
        let accept = || format!("{} --accept {} --reason \"…\"", self.command, quoted(id));
        self.keeps_reasons.then(accept)
    }

    /// Whether upstream has a reason for all that is open in an entry.
    fn is_offered(&self, entry: &Entry) -> bool {
        let open = |id: &String| self.item_of(id).is_some_and(|item| item.open);
        let mut open = entry.members.iter().filter(|id| open(id)).peekable();
        open.peek().is_some() && open.all(|id| self.offered.contains_key(id))
    }

    /// What the entries of an origin are, as a heading.
    fn heading(&self, origin: Option<&str>) -> String {
        let base = self.old.base.as_ref();
        let base = base.map_or("", |base| short(&base.commit));
        match origin {
            Some(FORK) => format!("This fork's own changes since {base}"),
            _ => "Upstream's decisions".to_owned(),
        }
    }

    /// What upstream has reasons for, by reason.
    fn offered_by_reason(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, reason) in &self.offered {
            reasons.entry(reason).or_default().push(id);
        }
        reasons
    }

    /// How many open facts upstream has reasons for, in words.
    fn offer(&self) -> Option<String> {
        match self.offered.len() {
            0 => None,
            1 => Some("1 is upstream's decision".to_owned()),
            n => Some(format!("{n} are upstream's decisions")),
        }
    }

    /// Variables and fixed flags that retired and that another variable stands in for.
    fn replaced(&self) -> impl Iterator<Item = &Item> {
        let is_retired = |item: &&Item| item.verdict == Verdict::Retired && !item.open;
        let items = self.items.iter().filter(is_retired);
        let is_fixed = |item: &Item| item.old.as_ref().is_some_and(|old| old.has("value"));
        let is_set = move |item: &&Item| match item.area() {
            "env" => true,
            "flag" => is_fixed(item) && item.part_of.is_none(),
            _ => false,
        };
        items
            .filter(is_set)
            .filter(|item| item.help.starts_with("Set "))
    }

    fn sentence(&self) -> String {
        let (open, stale) = (self.open().count(), self.stale.len());
        if open + stale == 0 {
            return "Nothing is open.".to_owned();
        }
        let stale = match stale {
            0 => String::new(),
            1 => ", and 1 reason on record is stale".to_owned(),
            n => format!(", and {n} reasons on record are stale"),
        };
        let entries = match self.entries.len() {
            n if n == open => String::new(),
            1 => " in one entry".to_owned(),
            n => format!(" in {n} entries"),
        };
        format!("{open} open{entries}{stale}.")
    }

    /// How many facts of each area came to what: the words, and a row of counts for each name.
    fn sums(&self) -> ([&'static str; 6], Vec<(&'static str, [usize; 6])>) {
        let column = |item: &Item| match item.verdict {
            _ if item.open => 0,
            Verdict::Missing | Verdict::Changed | Verdict::Renamed | Verdict::Unread => 1,
            Verdict::Accepted => 2,
            Verdict::Retired => 3,
            Verdict::Kept => 4,
            Verdict::Added => 5,
        };
        let mut counts: HashMap<&str, [usize; 6]> = HashMap::new();
        let (mut all, mut rest) = ([0; 6], [0; 6]);
        for item in &self.items {
            counts.entry(item.area()).or_default()[column(item)] += 1;
            all[column(item)] += 1;
        }
        let mut rows = Vec::new();
        for (area, name, ..) in AREAS {
            let Some(row) = counts.remove(area) else {
                continue;
            };
            if self.all || row[..4].iter().any(|count| *count > 0) {
                rows.push((name, row));
            } else {
                rest = std::array::from_fn(|at| rest[at] + row[at]);
            }
        }
        if rest.iter().any(|count| *count > 0) {
            rows.push(("the rest", rest));
        }
        rows.push(("all", all));
        let columns = ["open", "folded", "accepted", "retired", "kept", "added"];
        (columns, rows)
    }

    /// What each worker has of a fact: the old one, an upstream that is known, the new one.
    fn sides<'a>(&'a self, item: &'a Item) -> Vec<(&'static str, Option<&'a Fact>)> {
        let upstream = self.upstream.as_ref();
        let upstream = upstream.map(|worker| ("upstream", worker.facts.get(&item.id)));
        let old = std::iter::once(("old", item.old.as_ref())).chain(upstream);
        old.chain([("new", item.new.as_ref())]).collect()
    }

    /// What is not open and came to one verdict, without what is part of another fact.
    fn closed(&self, verdict: Verdict) -> Vec<&Item> {
        let is_closed =
            |item: &&Item| item.verdict == verdict && !item.open && item.part_of.is_none();
        self.items.iter().filter(is_closed).collect()
    }

    /// What could not be read, each with its side.
    fn gaps(&self) -> impl Iterator<Item = (&'static str, &Unread)> {
        let sides = [("old", &self.old.facts), ("new", &self.new.facts)].into_iter();
        sides.flat_map(|(side, facts)| facts.unread.iter().map(move |gap| (side, &gap.unread)))
    }
}

/// The first places of a fact.
fn places(fact: &Fact, most: usize) -> String {
    let all = &fact.places;
    let mut out: Vec<String> = all.iter().take(most).map(ToString::to_string).collect();
    if all.len() > most {
        out.push(format!("and {} more", all.len() - most));
    }
    out.join(", ")
}
