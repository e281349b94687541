//! What became of each fact: the verdicts, and why.
//!
//! Each area has its own rules in a module below. They are given what the others found, because
//! a variable that got another name takes its build argument, its Hub entry and its README row
//! along: such facts are part of another one and fail with it, not beside it.

mod api;
mod bodies;
mod builds;
mod doubts;
mod flags;
mod hub;
mod hub_defaults;
mod hub_tests;
mod image;
mod item;
pub mod limits;
mod needs;
mod presets;
mod readme;
mod requests;
mod retired;
mod runpod;
mod table;
mod unread;
mod unset;
mod uses;
mod values;
mod variables;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use table::known;

pub use doubts::release_note;
pub use hub::{LOOKS, MODEL_VARIABLE, is_read_outside};
pub use image::own_build;
pub use item::{Item, Side, Verdict, unsure};
pub use runpod::is_runpods;
pub use table::default_of;
pub use values::{env_assignment, same_value, set_again};

use super::facts::{AREAS, Fact, Facts, without_marks};
use worker_files::IF;
use worker_files::python::REMOVED;
use xtask_core::output::cut;
use xtask_core::sglang::{self, Table};

/// A fact's name and id, and what both workers have of it.
type Both<'a> = (&'a str, String, Side<'a>, Side<'a>);

/// Both workers' facts and what is known of `SGLang`.
pub struct Judge<'a> {
    pub old: &'a Facts,
    pub new: &'a Facts,
    /// The parts of the new worker's requests.
    sent: BTreeSet<String>,
    /// The flags of the `SGLang` that the new worker pins: one table, those of both neighbours of a
    /// release without one, or none where nothing is pinned.
    pub tables: Vec<Table>,
    /// Whether that release is newer than all that are known.
    is_newer: bool,
    /// How to call that `SGLang` in a sentence.
    pub sglang: String,
    /// Variables that go by another name now.
    pub renamed: BTreeMap<String, String>,
    items: BTreeMap<String, Item>,
}

/// The flags by which a worker is judged: those of the `SGLang` that it runs.
pub fn table_of(facts: &Facts) -> Table {
    Table::for_version(facts.sglang.as_deref().unwrap_or("latest")).0
}

/// Judges every fact of both workers. The result is in order of id.
pub fn judge(old: &Facts, new: &Facts) -> Vec<Item> {
    let mut items = judge_once(old, new);
    if items.iter().any(|item| item.open) {
        // What was wrong with the old worker already, in the same words, is no loss.
        let before = judge_once(old, old);
        items.retain_mut(|item| {
            // Whether the code uses it is told where that is lost.
            let [was, is] = [old, new].map(|facts| {
                let told = facts.get(&item.id)?.value.iter();
                Some(told.filter(|(key, _)| *key != "used").collect::<Vec<_>>())
            });
            let told = (&item.id, item.verdict, &item.why);
            let is_told = |it: &Item| it.open && (&it.id, it.verdict, &it.why) == told;
            if !item.open || was != is || !before.iter().any(is_told) {
                return true;
            }
            item.open = false;
            item.verdict = Verdict::Kept;
            item.help.clear();
            was.is_some()
        });
    }
    items
}

fn judge_once(old: &Facts, new: &Facts) -> Vec<Item> {
    let pinned = new.sglang.as_deref();
    let tables = pinned.map(Table::around).unwrap_or_default();
    let newest = Table::newest().release();
    let is_newer = pinned.is_some_and(|pinned| sglang::order(pinned, newest).is_gt());
    let sglang = match (pinned, tables.as_slice()) {
        (None, _) => "SGLang".to_owned(),
        (Some(version), [one]) if one.release() == version => format!("SGLang {version}"),
        (Some(version), tables) => {
            let known: Vec<&str> = tables.iter().map(|table| table.release()).collect();
            let known = known.join(" and ");
            format!("SGLang {version} (judged by the flags of {known})")
        }
    };
    let mut judge = Judge {
        old,
        new,
        sent: requests::sent(new),
        tables,
        is_newer,
        sglang,
        renamed: BTreeMap::new(),
        items: BTreeMap::new(),
    };
    judge.environment();
    judge.flags();
    judge.requests();
    judge.python();
    judge.image();
    judge.packages();
    judge.hub();
    judge.compose_and_bake();
    judge.unread();
    judge.doubts();
    let mut items: Vec<Item> = judge.items.into_values().collect();
    reopen_unanswered(&mut items);
    // An older reader may not have seen what its record lacks, and the first one spelt values in
    // another way: neither is a change.
    let knows_none = old.area("serverless").next().is_none();
    let is_unseen = |item: &&mut Item| {
        let is_loss = matches!(item.verdict, Verdict::Missing | Verdict::Changed);
        let both = item.old.as_ref().zip(new.get(&item.id));
        let lacks = |was: &Fact, is: &Fact| was.differing(is).all(|key| was.get(key).is_none());
        let is_unknown = item.old.is_none() && item.area() == "serverless" && knows_none;
        let is_unseen = both.is_some_and(|(was, is)| old.is_first || lacks(was, is));
        let is_older = old.is_older || old.from_older.contains(&item.id);
        is_older && is_loss && (is_unseen || is_unknown)
    };
    for item in items.iter_mut().filter(is_unseen) {
        item.open = false;
    }
    items
}

/// Opens what was closed as part of a fact that is neither open nor renamed nor decided on, and what
/// endpoints depend on that is part of none: a loss always has somebody to answer for it.
fn reopen_unanswered(items: &mut [Item]) {
    let by_id: HashMap<&str, &Item> = items.iter().map(|item| (&*item.id, item)).collect();
    let owner = |item: &&Item| by_id.get(item.part_of.as_deref()?).copied();
    let answers = |item: &Item| {
        use Verdict::{Accepted, Renamed, Retired};
        let is_decided = matches!(item.verdict, Renamed | Retired | Accepted);
        item.open || is_decided && item.part_of.is_none()
    };
    let is_lost = |item: &&Item| match item.verdict {
        Verdict::Missing | Verdict::Changed => item.area() != "python",
        // The new name of a flag asks nothing of anybody while its variable works.
        Verdict::Renamed => !["python", "flag"].contains(&item.area()),
        _ => false,
    };
    let is_of_endpoints = |item: &Item| {
        let area = AREAS.iter().find(|(area, ..)| *area == item.area());
        let is_lost = item.verdict != Verdict::Renamed && !item.open;
        is_lost
            && area.is_some_and(|area| area.2 < 10)
            && item.old.as_ref().is_some_and(Fact::is_reached)
    };
    let is_orphan = |item: &&Item| {
        // An owner may itself be part of another; nothing is nested deeper.
        let mut owners = std::iter::successors(owner(item), owner).take(4);
        (item.part_of.is_some() || is_of_endpoints(item)) && !owners.any(answers)
    };
    let orphans = items.iter().filter(is_lost).filter(is_orphan);
    let orphans: HashSet<String> = orphans.map(|item| item.id.clone()).collect();
    for item in items.iter_mut().filter(|item| orphans.contains(&item.id)) {
        item.part_of = None;
        item.open = true;
    }
}

impl<'a> Judge<'a> {
    /// The facts of both workers in an area.
    fn both_sides(&self, area: &'a str) -> Vec<Both<'a>> {
        let names = self.old.area(area).chain(self.new.area(area));
        let names: BTreeSet<&str> = names.map(|(name, _)| name).collect();
        let both = |name| {
            let id = format!("{area}:{name}");
            let (old, new) = (self.old.get(&id), self.new.get(&id));
            // What only code does that nothing runs is not done any more. Variables say so
            // themselves.
            let was_run = area != "env" && old.is_some_and(Fact::is_reached);
            let new = new.filter(|new| new.is_reached() || !was_run);
            (name, id, old, new)
        };
        names.into_iter().map(both).collect()
    }

    /// Judges an area's facts that are not judged already: those that have rules of their own by
    /// these, all others by whether they are there and the same. What only the new worker has is
    /// added.
    fn judge_area(
        &mut self,
        area: &'a str,
        own_rules: impl Fn(&Self, &str, &str, &Fact, Side) -> Option<Item>,
    ) {
        for (name, id, old, new) in self.both_sides(area) {
            if self.items.contains_key(&id) {
                continue;
            }
            let by_area = |old| match new {
                Some(new) => Some(Self::kept_or_changed(&id, old, new, judged_keys(area))),
                None => self.renamed_fact(&format!("{area}:"), name, &id, old),
            };
            let judged = |old| own_rules(self, name, &id, old, new).or_else(|| by_area(old));
            self.push(match old {
                Some(old) => judged(old).unwrap_or_else(|| Item::missing(&id, old)),
                None => Item::new(&id, Verdict::Added, None, new),
            });
        }
    }

    /// The same where a fact holds several things: each is lost that no fact of the new worker holds.
    fn judge_parts(
        &mut self,
        area: &'a str,
        parts: fn(&str, &Fact) -> Vec<String>,
        missing: impl Fn(&[String], usize) -> String,
    ) {
        let all = |facts: &Facts| -> HashSet<String> {
            let facts = facts.area(area);
            facts.flat_map(|(name, fact)| parts(name, fact)).collect()
        };
        let (before, after) = (all(self.old), all(self.new));
        for (name, id, old, new) in self.both_sides(area) {
            let mut parts = old.or(new).map_or_else(Vec::new, |fact| parts(name, fact));
            let (count, known) = (parts.len(), if old.is_some() { &after } else { &before });
            let is_done = |command: &str| {
                let mut others = known.iter().map(|own| own.split(IF).next());
                others.any(|own| own == Some(command))
            };
            // An older reader told no conditions of commands, but tests as parts of their own.
            let is_older = self.old.is_older;
            let is_plain = |part: &String| part.starts_with('[') || is_done(part);
            parts.retain(|part| !(known.contains(part) || is_older && is_plain(part)));
            let Some(old) = old.filter(|_| !parts.is_empty()) else {
                if old.is_some() || !parts.is_empty() {
                    let verdict = old.map_or(Verdict::Added, |_| Verdict::Kept);
                    self.push(Item::new(&id, verdict, old, new));
                }
                continue;
            };
            // `[ -n $NAME ]`, `if NAME is set` follow a variable that has another name now.
            let follows = |(from, to): &(&str, &str)| {
                let now = |part: &String| {
                    let part = part.replace(&format!("${from} "), &format!("${to} "));
                    part.replace(&format!(" {from} is "), &format!(" {to} is "))
                };
                parts.iter().all(|part| after.contains(&now(part)))
            };
            // It goes with an argument that the new build does not take.
            let asks = |(name, _): &(&str, &Fact)| {
                let is_about = |part: &String| {
                    let (command, condition) = part.split_once(IF).unwrap_or((part, ""));
                    part.starts_with('[') && part.contains(&format!("${name} "))
                        || condition.starts_with(&format!("{name} is ")) && is_done(command)
                };
                !self.new.has(&format!("arg:{name}")) && parts.iter().all(is_about)
            };
            let mut renamed = self.renamed.iter().map(|(from, to)| (&**from, &**to));
            let item = if let Some((from, to)) = self.handed_arguments().find(follows) {
                let why = format!("{to} is what {from} says, where it says anything.");
                Item::new(&id, Verdict::Kept, old, new).why(why)
            } else if let Some((from, _)) = renamed.find(follows) {
                self.goes_with(from, Item::new(&id, Verdict::Renamed, old, new))
            } else if let Some((name, _)) = self.old.area("arg").find(asks) {
                let why = format!("It asked for {name}, which the build does not take now.");
                let item = Item::new(&id, Verdict::Changed, old, new).why(why);
                item.part_of(format!("arg:{name}"))
            } else {
                let item = Item::new(&id, Verdict::Missing, old, new);
                item.why(missing(&parts, count))
            };
            self.push(item);
        }
    }

    /// The build arguments that the new image gives to another variable: `ENV A=${A:-$B}`.
    fn handed_arguments(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let facts = self.new;
        let image = facts.area("image").flat_map(|(to, fact)| {
            let value = fact.get("value").filter(|value| value.starts_with('$'));
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let names = value.unwrap_or_default().split(move |c| !is_part(c));
            names.map(move |from| (from, to))
        });
        image.filter(|(from, to)| from != to && facts.has(&format!("arg:{from}")))
    }

    /// A fact that follows a renamed variable. Both are named `prefix` and the variable's name.
    fn renamed_fact(&self, prefix: &str, name: &str, id: &str, old: &Fact) -> Option<Item> {
        let other = self.renamed.get(name)?;
        let now = format!("{prefix}{other}");
        let item = Item::new(id, Verdict::Renamed, old, self.new.get(&now)?);
        Some(self.goes_with(name, item.now(now)))
    }

    /// What a fact that names a variable follows: its new name, or another one for the same flag,
    /// with the same value, although the new worker still reads the old one.
    fn other_variable(&self, prefix: &str, name: &str, id: &str, old: &Fact) -> Option<Item> {
        let renamed = self.renamed_fact(prefix, name, id, old);
        renamed.or_else(|| self.same_flag_variable(prefix, name, id, old))
    }

    fn same_flag_variable(&self, prefix: &str, name: &str, id: &str, old: &Fact) -> Option<Item> {
        let flag = self.new.variable(name)?.get("flag")?;
        let (other, now, new) = self.new.drivers(flag).find_map(|other| {
            let now = format!("{prefix}{other}");
            let new = self.new.get(&now)?;
            (new.get("value") == old.get("value")).then_some((other, now, new))
        })?;
        let why = format!("It is {other} there now; the worker reads {name} too.");
        let item = Item::new(id, Verdict::Renamed, old, new);
        Some(item.now(now).why(why).closed())
    }

    /// A list of variables by the names that they have now.
    fn followed(&self, names: &str) -> String {
        let now = |name| self.renamed.get(name).map_or(name, String::as_str);
        names.split(' ').map(now).collect::<Vec<_>>().join(" ")
    }

    /// What follows a variable that is gone, or is another one now.
    fn goes_with(&self, name: &str, item: Item) -> Item {
        let now = self.renamed.get(name);
        let now = now.map_or_else(String::new, |now| format!(", which is {now} now"));
        let item = item.why(format!("It goes with the variable {name}{now}."));
        item.help("").part_of(format!("env:{name}"))
    }

    /// The new worker's variable to set for a flag: one that the form offers first, and last one
    /// that stands for another flag, which is gone.
    fn driver(&self, flag: &str) -> Option<&str> {
        let variables = self.new.area("env");
        let drives = |fact: &Fact| {
            fact.get("flag")
                .is_some_and(|own| self.same_flag(flag, own))
        };
        let drivers = variables.filter(|(_, fact)| drives(fact));
        let (name, _) = drivers.min_by_key(|(name, _)| {
            let is_offered = self.new.has(&format!("hub:{name}"));
            let own = format!("--{}", name.to_lowercase().replace('_', "-"));
            (
                !is_offered,
                sglang::is_known(&own) && self.takes(&own) == Some(false),
            )
        })?;
        Some(name)
    }

    fn push(&mut self, item: Item) {
        self.items.entry(item.id.clone()).or_insert(item);
    }

    fn change(&mut self, id: &str, why: Option<String>) {
        if let Some(item) = self.items.get_mut(id) {
            item.change(why);
        }
    }

    /// The attributes that differ, as `default 1, now 2`, wording left out.
    fn differences(old: &Fact, new: &Fact, keys: Option<&[&str]>) -> Vec<String> {
        let is_asked = |key: &&str| keys.is_none_or(|keys| keys.contains(key));
        let differing = old.differing(new).filter(is_asked).filter_map(|key| {
            let (was, is) = (old.get(key), new.get(key));
            let is_limit = matches!(key, "min" | "max" | "step");
            let is_one = was.zip(is).is_some_and(|(was, is)| same_value(was, is));
            let same = was.unwrap_or_default() == is.unwrap_or_default() || is_limit && is_one;
            (!same).then(|| difference(key, was, is))
        });
        differing.collect()
    }

    /// A fact that is there on both sides, judged by the attributes named.
    fn kept_or_changed(id: &str, old: &Fact, new: &Fact, keys: Option<&[&str]>) -> Item {
        let differences = Self::differences(old, new, keys);
        Item::by_differences(id, old, new, &differences)
    }
}

/// The attributes by which facts of an area are compared; all but wording, where none are named.
fn judged_keys(area: &str) -> Option<&'static [&'static str]> {
    match area {
        "pip" | "constraint" | "apt" | "conda" | "apk" => Some(&["spec", "index", "options"]),
        "serverless" | "result" | "serves" => Some(&["value"]),
        "python" => Some(&["kind", "signature", "module"]),
        "input" => Some(&["default", "set"]),
        _ => None,
    }
}

/// What to do about a variable that no program reads.
const UNREAD: &str = "Record that nothing reads it, or set what takes its place.";

fn attribute<'f>(fact: Side<'f>, key: &str) -> Option<&'f str> {
    fact.and_then(|fact| fact.get(key))
}

pub fn few<Name: Borrow<str>>(names: &[Name], most: usize) -> String {
    let shown = names[..names.len().min(most)].join(", ");
    match names.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `default was 1, is 2`, short enough for a line: long texts from where they begin to differ.
fn difference(key: &str, old: Option<&str>, new: Option<&str>) -> String {
    const LONGEST: usize = 100;
    const BEFORE: usize = 30;
    let texts = [old, new].map(|it| it.map(|it| without_marks(it).replace('\n', ", ")));
    let key = match key {
        "true" => "what the switch sets where it is on",
        "false" => "what the switch sets where it is off",
        "spec" => "the version asked for",
        key => key,
    };
    let [was, is] = [&texts[0], &texts[1]].map(|text| text.as_deref().unwrap_or_default());
    let mut pairs = was.chars().zip(is.chars());
    let alike = pairs.position(|(a, b)| a != b);
    let alike = alike.unwrap_or(was.chars().count().min(is.chars().count()));
    let is_long = |text: &str| text.chars().count() > LONGEST;
    let hidden = if (is_long(was) || is_long(is)) && was != is {
        alike.saturating_sub(BEFORE)
    } else {
        0
    };
    let shown = |text: &Option<String>| match text {
        None => "nothing".to_owned(),
        Some(text) if hidden == 0 => format!("`{}`", cut(text, LONGEST)),
        Some(text) => {
            let rest: String = text.chars().skip(hidden).collect();
            format!("`…{}`", cut(&rest, LONGEST))
        }
    };
    let [was, is] = [shown(&texts[0]), shown(&texts[1])];
    if key == "set" && was != is {
        return match new {
            None => format!("the new handler no longer sets it to {was}"),
            Some(REMOVED) => "the new handler takes it out".to_owned(),
            Some(_) => format!("the new handler sets it to {is}"),
        };
    }
    if was == is && old != new {
        return format!("{key} is {is} as before, but what that is made of differs");
    }
    format!("{key} was {was}, is {is}")
}

#[cfg(test)]
mod tests;
