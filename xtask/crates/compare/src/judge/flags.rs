//! Flags of the server's command line.

use std::collections::BTreeSet;

use super::super::facts::{ALONE, Fact, NEEDS, STARTED_THROUGH, WHEN};
use super::variables::{same_value, show};
use super::{Item, Judge, Side, Verdict, attribute, difference};
use worker_files::shell::NOT_SET;
use worker_files::{ALSO, COMPUTED};
use xtask_core::sglang;

impl Judge<'_> {
    /// Flags of the server's command line. Those that a variable decides on belong to it.
    pub fn flags(&mut self) {
        for (flag, old, new) in self.both_sides("flag") {
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
        let kept = Item::new(id, Verdict::Kept, old, new);
        let changed = Item::new(id, Verdict::Changed, old, new);
        let from = new.get("from");
        let retired = Item::new(id, Verdict::Retired, old, new);
        if let Some(refused) = self.refused(flag, retired).filter(|_| from.is_none()) {
            return refused;
        }
        match (old.get("computed"), new.get("computed")) {
            (Some(_), None) => {
                let why = "The old worker works its value out by itself; the new one does not.";
                return changed.why(why);
            }
            (Some(was), Some(is)) if was != "yes" && is != "yes" && shape(was) != shape(is) => {
                let differ = difference("how its value is worked out", Some(was), Some(is));
                return changed.why(format!("{differ}."));
            }
            _ => {}
        }
        let (was, is) = (old.get("form"), new.get("form"));
        if was != is && from.is_some() && old.has("from") {
            let differ = difference("the text around the variables of its value", was, is);
            return changed.why(format!("{differ}."));
        }
        if !self.old.is_older && self.needs_otherwise(old, new) {
            let differ = difference("what else decides on it", old.get(NEEDS), new.get(NEEDS));
            return changed.why(format!("{differ}."));
        }
        if let (Some(was), Some(is)) = (old.get(WHEN), new.get(WHEN))
            && was != is
        {
            return changed.why(format!(
                "{}.",
                difference("the test for it", Some(was), Some(is))
            ));
        }
        // What a variable decides on is judged with that, but for a value that it only lets through.
        let Some(was) = old.get("value") else {
            return kept;
        };
        let own = self.own_default(flag);
        let is_same = |is: Option<&str>| is.is_some_and(|is| same_value(was, is));
        // Which of several values is passed is judged with what decides on them.
        let parts = |text: &str| text.split(ALSO).map(str::to_owned).collect::<BTreeSet<_>>();
        let has_same_parts = new.get("value").map(parts) == Some(parts(was));
        if has_same_parts && (old.has("from") || new.has("from") && was.contains(ALSO)) {
            return kept;
        }
        if let Some(from) = old.get("from") {
            if old.get("through") != Some(was) || is_same(new.get("value").or(own.as_deref())) {
                return kept;
            }
            return changed.why(format!(
                "`{was}` was passed where {from} says so; nothing passes it by itself now."
            ));
        }
        let variable = first_variable(new);
        let default = variable.and_then(|name| {
            let id = format!("env:{name}");
            let default = || self.new.attribute(&id, "default");
            match self.set_by_image(&id).or_else(default)? {
                "1" | "yes" if was == ALONE => Some(ALONE),
                value => Some(value),
            }
        });
        let passed = self.passed_unset(flag, new);
        let is_switch = variable
            .and_then(|name| self.new.variable(name))
            .is_some_and(is_switch);
        let default = default.filter(|_| !is_switch);
        let is = passed.as_deref().or(default).or(own.as_deref());
        let (when, when_now) = (old.get(WHEN), new.get(WHEN));
        // A test of the machine may be written in ways that are not followed.
        let asks_machine = |when: Option<&str>| when.is_some_and(|test| test.contains("() "));
        let is_told =
            when.is_some() && when_now.is_some() || !asks_machine(when) && !asks_machine(when_now);
        if is_same(is) && when != when_now && is_told && !new.has("from") {
            let how = [when, when_now].map(passed_when);
            return changed.why(format!(
                "`{was}` was passed {}, and is {} now.",
                how[0], how[1]
            ));
        }
        if is_same(is) || is.is_none() && variable.is_none() {
            return kept;
        }
        let by = variable.map(|name| format!(", unless {name} says otherwise"));
        let by = by.unwrap_or_default();
        let is = show(is);
        let when = passed_when(when);
        changed.why(format!("`{was}` was passed {when}; now it is {is}{by}."))
    }

    /// What the new worker passes where no variable is set, as far as that is known.
    fn passed_unset(&self, flag: &str, new: &Fact) -> Option<String> {
        let from = new.get("from").unwrap_or_default().split_whitespace();
        let from = from.filter_map(|name| self.new.variable(name).zip(Some(name)));
        let is_alone = from.clone().count() > 0 && from.clone().all(|(fact, _)| is_switch(fact));
        let values = new.get("value").or(is_alone.then_some(ALONE))?;
        let through = new.get("through").unwrap_or(ALONE);
        let passes = |value: &&str| {
            !through.split(ALSO).any(|one| one == *value)
                || (from.clone()).all(|(fact, name)| self.lets_through(fact, name, flag, value))
        };
        let values: Vec<&str> = values.split(ALSO).filter(passes).collect();
        (!values.is_empty()).then(|| values.join(ALSO))
    }

    /// Whether a variable that is not set lets a value of a flag through, or may do so.
    fn lets_through(&self, fact: &Fact, name: &str, flag: &str, value: &str) -> bool {
        let image = self.new.attribute(&format!("image:{name}"), "value");
        let set = image.or(fact.get("default")).unwrap_or_default();
        let effect = format!(": {flag} {value}");
        let effect = effect.strip_suffix(" on").unwrap_or(&effect);
        let effects = fact.get("effects").map(|effects| {
            let words = effects
                .split(" | ")
                .filter_map(|one| one.strip_suffix(effect));
            words.collect::<Vec<_>>().join(" ")
        });
        let how = fact.get("interpreted").unwrap_or_default();
        let words = effects.as_deref().or(fact.get("on")).unwrap_or_default();
        // An empty value is greater than no number, and fits no pattern.
        let may_hold = [
            "not ", "or ", "<", "-l", "-ne", "-eq 0", "-ge 0", "==0", "=0", "!=",
        ];
        let may_hold = may_hold
            .iter()
            .any(|part| words.contains(part) || how.contains(part));
        let is_number = words.starts_with(['-', '(']);
        if (set.is_empty() || set == "0" && is_number)
            && !words.is_empty()
            && !may_hold
            && is_switch(fact)
        {
            return false;
        }
        let is_odd =
            |text: &str| text.contains("or ") || text.contains(['<', '>', '~', '*', '-', '|', '$']);
        if !is_switch(fact)
            || !fact.has("interpreted")
            || fact.has("fallbacks")
            || is_odd(words)
            || is_odd(set)
        {
            return true;
        }
        // Python tells of another word by the comparison alone.
        let is_other = effects.is_none() && (how.contains("not ") || how.contains("!="));
        let is_off = set.is_empty() || matches!(how, "int" | "float") && same_value(set, "0");
        let mut all = words.split(' ');
        let holds = match words {
            _ if is_off => false,
            "" | NOT_SET => true,
            _ => all.any(|word| word.eq_ignore_ascii_case(set)),
        };
        holds != (is_other || words.contains("not "))
    }

    /// A flag that only the new worker passes, by itself.
    fn flag_added(&self, flag: &str, id: &str, new: &Fact) -> Item {
        let added = Item::new(id, Verdict::Added, None, new);
        if new.has("from") {
            return added;
        }
        if let Some(refused) = self.refused(flag, added.clone()) {
            return refused;
        }
        // Under another name it is compared with that.
        let mut flags = self.old.area("flag").map(|(other, _)| other);
        let mut driven = self
            .old
            .area("env")
            .filter_map(|(_, fact)| fact.get("flag"));
        let is_this = |other: &str| self.same_flag(other, flag);
        match (new.get("value"), self.own_default(flag)) {
            (Some(value), Some(own))
                if !same_value(value, &own) && !flags.any(is_this) && !driven.any(is_this) =>
            {
                let (own, when) = (show(Some(&own)), passed_when(new.get(WHEN)));
                added.open(format!(
                    "`{value}` is passed {when} now; before, SGLang's own {own} held."
                ))
            }
            _ => added,
        }
    }

    fn flag_gone(&self, flag: &str, id: &str, old: &Fact) -> Item {
        let mut flags = self.new.area("flag").filter(|(_, fact)| fact.is_reached());
        let was_own = || old.get("value").zip(self.own_default(flag));
        let item = if let Some((other, fact)) = flags.find(|(other, _)| self.same_flag(flag, other))
        {
            let mut item = self.flag_kept(flag, id, old, fact);
            if item.verdict == Verdict::Kept {
                if self.canonical(flag) != self.canonical(other) {
                    item.verdict = Verdict::Renamed;
                }
                item.why = format!("{other} is the same flag in {}.", self.sglang);
            }
            item.now(format!("flag:{other}"))
        } else if let Some(item) = self.flag_retired(flag, id, old) {
            item
        } else if was_own().is_some_and(|(was, own)| same_value(was, &own)) {
            let why = format!("{} does the same by default.", self.sglang);
            Item::new(id, Verdict::Kept, old, None).why(why)
        } else {
            let note = self.support_note(flag);
            Item::missing(id, old).why(format!("The new worker never passes it{note}."))
        };
        let owner = first_variable(old).map(|owner| format!("env:{owner}"));
        match owner.filter(|owner| self.items.contains_key(owner)) {
            Some(owner) if item.verdict != Verdict::Kept => item.part_of(owner),
            // A plain rename of the flag itself asks nothing of anybody.
            _ if item.verdict == Verdict::Renamed => item.closed(),
            _ => item,
        }
    }

    /// The item of a flag that is still passed, where the pinned `SGLang` refuses it.
    pub fn refused(&self, flag: &str, item: Item) -> Option<Item> {
        (self.takes(flag) == Some(false)).then(|| {
            let (history, sglang) = (sglang::history(flag), &self.sglang);
            let why = format!(
                "It still passes {flag}, which {sglang} doesn't take ({history}): the server ends with exit code 2."
            );
            item.open(why)
                .help("Don't pass it to this SGLang, or pin one that takes it.")
        })
    }

    /// A flag that the pinned release surely lacks.
    pub fn flag_retired(&self, flag: &str, id: &str, old: &Fact) -> Option<Item> {
        if self.takes(flag) != Some(false) {
            return None;
        }
        let history = sglang::history(flag);
        if history.seen.is_none() {
            let (first, last) = sglang::known_releases();
            let why = format!(
                "It was passed as {flag}, which is unknown to SGLang {first} to {last}: a build of SGLang of its own may take it."
            );
            return Some(Item::missing(id, old).why(why));
        }
        let why = format!("{flag} is not in {}: {history}.", self.sglang);
        let retired = Item::new(id, Verdict::Retired, old, None).why(why);
        let Some(successor) = history.successor.or(history.nearest) else {
            return Some(retired);
        };
        let (flag, value) = successor.split_once([' ', '=']).unwrap_or((successor, ""));
        Some(retired.help(match self.driver(flag) {
            Some(name) if value.is_empty() => format!("Set {name} instead."),
            Some(name) => format!("Set {name}={value} instead."),
            None => format!("SGLang names {successor}; no variable of the new worker sets it."),
        }))
    }

    /// `, which SGLang X still takes`, where that is so.
    pub fn support_note(&self, flag: &str) -> String {
        if self.takes(flag) == Some(true) {
            return format!(", which {} still takes", self.sglang);
        }
        let disputed = self.disputed(flag).map(|who| format!(", which {who}"));
        disputed.unwrap_or_default()
    }

    /// `SGLang X takes and Y does not`, where the pinned release between them is not known.
    pub fn disputed(&self, flag: &str) -> Option<String> {
        let [older, newer] = self.tables.as_slice() else {
            return None;
        };
        let (takes, lacks) = match [older, newer].map(|table| table.flag(flag).is_some()) {
            [true, false] => (older.release(), newer.release()),
            [false, true] => (newer.release(), older.release()),
            _ => return None,
        };
        Some(format!("SGLang {takes} takes and {lacks} does not"))
    }
}

/// When a flag is passed that no variable decides on, or a variable is set.
pub fn passed_when(when: Option<&str>) -> String {
    when.map_or("always".to_owned(), |test| format!("where `{test}` holds"))
}

fn is_switch(variable: &Fact) -> bool {
    variable.get("how") == Some("switch")
}

fn first_variable(flag: &Fact) -> Option<&str> {
    flag.get("from")?.split_whitespace().next()
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
fn started_through(old: Side, new: Side) -> Item {
    let [was, is] = [old, new].map(|fact| attribute(fact, "value"));
    let verdict = match (was, is) {
        _ if was == is => return Item::new(STARTED_THROUGH, Verdict::Kept, old, new),
        (Some(_), None) => Verdict::Missing,
        _ => Verdict::Changed,
    };
    let differ = difference("what starts SGLang", was, is);
    Item::new(STARTED_THROUGH, verdict, old, new).why(format!("{differ}."))
}
