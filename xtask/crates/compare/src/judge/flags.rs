//! Flags of the server's command line.

use super::super::facts::{ALONE, Fact, STARTED_THROUGH};
use super::variables::{DROP_FLAG, same_value, show};
use super::{Item, Judge, Verdict, difference};
use worker_files::COMPUTED;
use xtask_core::sglang;

impl Judge<'_> {
    /// Flags of the server's command line. Those that a variable decides on belong to it.
    pub fn flags(&mut self) {
        for (flag, old, new) in self.ids("flag") {
            let id = format!("flag:{flag}");
            let item = match (old, new) {
                _ if id == STARTED_THROUGH => started_through(old, new),
                (Some(old), Some(new)) => self.flag_kept(flag, &id, old, new),
                (None, Some(new)) => self.flag_added(flag, &id, new),
                (Some(old), None) => self.flag_gone(flag, &id, old),
                (None, None) => continue,
            };
            self.push(item);
        }
    }

    /// A flag that both pass: what the old one fixed must be what holds with nothing set.
    fn flag_kept(&self, flag: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let kept = Item::new(id, Verdict::Kept, Some(old), Some(new));
        if let Some(why) = self.refused(flag).filter(|_| new.get("from").is_none()) {
            let retired = Item::new(id, Verdict::Retired, Some(old), Some(new));
            return retired.open().why(why).help(DROP_FLAG);
        }
        if old.get("computed").is_some() && new.get("computed").is_none() {
            return Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why("The old worker works its value out by itself; the new one does not.")
                .help("Work it out again, set it where it is needed, or record why not.");
        }
        let computed = [old, new].map(|fact| fact.get("computed").filter(|how| *how != "yes"));
        if let [Some(was), Some(is)] = computed
            && shape(was) != shape(is)
        {
            return Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why(format!(
                    "{}.",
                    difference("how its value is worked out", Some(was), Some(is))
                ))
                .help("Work it out as before, or record why not.");
        }
        // What a variable decides on is judged with that, but for a value that it only lets through.
        let Some(was) = old.get("value") else {
            return kept;
        };
        if let Some(from) = old.get("from") {
            let own = self.own_default(flag);
            let is = new.get("value").or(own.as_deref());
            if old.get("through") != Some(was) || is.is_some_and(|is| same_value(was, is)) {
                return kept;
            }
            let why = format!(
                "`{was}` was passed where {from} says so; nothing passes it by itself now."
            );
            return Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why(why)
                .help("Pass it there again, set it where it is needed, or record why not.");
        }
        let variable = new
            .get("from")
            .and_then(|from| from.split_whitespace().next());
        let default = variable
            .map(|name| format!("env:{name}"))
            .and_then(|id| {
                let default = || self.new.get(&id).and_then(|fact| fact.get("default"));
                self.set_by_image(&id).or_else(default)
            })
            .map(|value| match value {
                "1" | "yes" if was == ALONE => ALONE,
                value => value,
            });
        let own = self.own_default(flag);
        let is = new.get("value").or(default).or(own.as_deref());
        if is.is_some_and(|is| same_value(was, is)) || is.is_none() && variable.is_none() {
            return kept;
        }
        let by = variable
            .map(|name| format!(", unless {name} says otherwise"))
            .unwrap_or_default();
        Item::new(id, Verdict::Changed, Some(old), Some(new))
            .why(format!(
                "`{was}` was passed always; now it is {}{by}.",
                show(is)
            ))
            .help("Pass the old value by default, or record why not.")
    }

    /// A flag that only the new worker passes, by itself.
    fn flag_added(&self, flag: &str, id: &str, new: &Fact) -> Item {
        let added = Item::new(id, Verdict::Added, None, Some(new));
        if let Some(why) = self.refused(flag).filter(|_| new.get("from").is_none()) {
            return added.open().why(why).help(DROP_FLAG);
        }
        let (Some(value), Some(own)) = (new.get("value"), self.own_default(flag)) else {
            return added;
        };
        // Under another name it is compared with that.
        if self
            .old
            .area("flag")
            .any(|(other, _)| self.same_flag(other, flag))
        {
            return added;
        }
        let driven = self
            .old
            .area("env")
            .any(|(_, fact)| fact.get("flag").is_some_and(|f| self.same_flag(f, flag)));
        if same_value(value, &own) || driven || new.get("from").is_some() {
            return added;
        }
        added
            .open()
            .why(format!(
                "It is always passed as `{value}` now; before, SGLang's own {} held.",
                show(Some(&own))
            ))
            .help("Pass it only where a variable asks for it, or record why.")
    }

    fn flag_gone(&self, flag: &str, id: &str, old: &Fact) -> Item {
        let other = self
            .new
            .area("flag")
            .filter(|(_, fact)| fact.get("reached").is_none())
            .find(|(other, _)| self.same_flag(flag, other));
        let item = if let Some((other, fact)) = other {
            let verdict = if self.canonical(flag) == self.canonical(other) {
                Verdict::Kept
            } else {
                Verdict::Renamed
            };
            let mut item = self.flag_kept(flag, id, old, fact);
            if item.verdict == Verdict::Kept {
                item.verdict = verdict;
                item.why = format!("{other} is the same flag in {}.", self.sglang);
            }
            item.now(format!("flag:{other}"))
        } else if let Some(item) = self.flag_retired(flag, id, old) {
            item
        } else if old.get("value").is_some_and(|was| {
            self.own_default(flag)
                .is_some_and(|own| same_value(was, &own))
        }) {
            Item::new(id, Verdict::Kept, Some(old), None)
                .why(format!("{} does the same by default.", self.sglang))
        } else {
            Item::new(id, Verdict::Missing, Some(old), None)
                .why(format!(
                    "The new worker never passes it{}.",
                    self.still(flag)
                ))
                .help("Pass it again, or record why not.")
        };
        let owner = old
            .get("from")
            .and_then(|from| from.split_whitespace().next());
        let owner = owner.map(|owner| format!("env:{owner}"));
        match owner.filter(|owner| self.item(owner).is_some()) {
            Some(owner) if item.verdict != Verdict::Kept => item.part_of(owner),
            // A plain rename of the flag itself asks nothing of anybody.
            _ if item.verdict == Verdict::Renamed => item.note(),
            _ => item,
        }
    }

    /// A flag that the pinned release surely lacks.
    pub fn flag_retired(&self, flag: &str, id: &str, old: &Fact) -> Option<Item> {
        if self.takes(flag) != Some(false) {
            return None;
        }
        let history = sglang::history(flag);
        if history.seen.is_none() {
            let known = sglang::known_releases();
            return Some(
                Item::new(id, Verdict::Missing, Some(old), None)
                    .why(format!(
                        "It was passed as {flag}, which is unknown to SGLang {} to {}: a build of SGLang of its own may take it.",
                        known.0, known.1
                    ))
                    .help("Install that build again and pass the flag, or record why not."),
            );
        }
        Some(
            Item::new(id, Verdict::Retired, Some(old), None)
                .why(format!("{flag} is not in {}: {history}.", self.sglang))
                .help(self.instead(&history)),
        )
    }

    /// What a user sets instead of a flag that is gone.
    fn instead(&self, history: &sglang::History) -> String {
        let Some(successor) = history.successor.or(history.nearest) else {
            return "Nothing to set instead.".to_owned();
        };
        let (flag, value) = successor.split_once([' ', '=']).unwrap_or((successor, ""));
        match self.driver(flag) {
            Some(name) if value.is_empty() => format!("Set {name} instead."),
            Some(name) => format!("Set {name}={value} instead."),
            None => format!("SGLang names {successor}; no variable of the new worker sets it."),
        }
    }

    /// `, which SGLang X still takes`, where that is so.
    pub fn still(&self, flag: &str) -> String {
        match self.takes(flag) {
            Some(true) => format!(", which {} still takes", self.sglang),
            _ => self
                .disputed(flag)
                .map_or_else(String::new, |who| format!(", which {who}")),
        }
    }

    /// `SGLang X takes and Y does not`, where the pinned release between them is not known.
    pub fn disputed(&self, flag: &str) -> Option<String> {
        let [older, newer] = self.tables.as_slice() else {
            return None;
        };
        let (takes, lacks) = match [older, newer].map(|table| table.flag(flag).is_some()) {
            [true, false] => (older, newer),
            [false, true] => (newer, older),
            _ => return None,
        };
        Some(format!(
            "SGLang {} takes and {} does not",
            takes.release(),
            lacks.release()
        ))
    }
}

/// How a value is worked out, without the names that the program gives to its parts, where a
/// digest tells what those are.
fn shape(how: &str) -> String {
    let Some((text, made)) = how.split_once(COMPUTED) else {
        return how.to_owned();
    };
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut shape = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(is_part) {
        let after = rest[at..].trim_start_matches(is_part);
        let name = &rest[at..rest.len() - after.len()];
        let is_kept = after.starts_with('(') || name.starts_with(|c: char| c.is_ascii_digit());
        shape.extend([&rest[..at], if is_kept { name } else { "_" }]);
        rest = after;
    }
    shape + rest + made
}

/// What the server is started through: `numactl`, `nice`, …
fn started_through(old: Option<&Fact>, new: Option<&Fact>) -> Item {
    let program = |fact: Option<&Fact>| Some(fact?.get("value")?.to_owned());
    let (was, is) = (program(old), program(new));
    let verdict = match (&was, &is) {
        _ if was == is => return Item::new(STARTED_THROUGH, Verdict::Kept, old, new),
        (Some(_), None) => Verdict::Missing,
        _ => Verdict::Changed,
    };
    let differ = difference("what starts SGLang", was.as_deref(), is.as_deref());
    Item::new(STARTED_THROUGH, verdict, old, new)
        .why(format!("{differ}."))
        .help("Start it as before, or record why not.")
}
