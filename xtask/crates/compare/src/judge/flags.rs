//! Flags of the server's command line.

use std::collections::BTreeSet;

use super::super::facts::{ALONE, Fact, LAST, NEEDS, STARTED_THROUGH, WHEN, without_marks};
use super::values::{same_value, set_again, show};
use super::{Item, Judge, Side, Verdict, attribute, difference};
use worker_files::shell::NOT_SET;
use worker_files::{ALSO, COMPUTED};
use xtask_core::output::cut;

impl Judge<'_> {
    /// Flags of the server's command line. Those that a variable decides on belong to it.
    pub fn flags(&mut self) {
        for (flag, id, old, new) in self.both_sides("flag") {
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

    fn flag_kept(&self, flag: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let retired = Item::new(id, Verdict::Retired, old, new);
        let refused = self.refused(flag, new, retired);
        let refused = refused.filter(|_| !new.has("from"));
        refused.unwrap_or_else(|| match self.flag_differs(flag, old, new) {
            Some(why) => {
                let item = Item::new(id, Verdict::Changed, old, new).why(why);
                self.passed_again(flag, old, item)
            }
            None => Item::new(id, Verdict::Kept, old, new),
        })
    }

    /// Names the variable that brings a fixed value of a flag back.
    fn passed_again(&self, flag: &str, old: &Fact, item: Item) -> Item {
        let fixed = old
            .get("value")
            .filter(|_| !old.has("from") && !old.has(WHEN));
        let line = fixed.and_then(|value| {
            let value = if value == ALONE { "true" } else { value };
            set_again(self.new, self.driver(flag)?, value)
        });
        match line {
            Some(line) => item.help(format!("{line} passes it again; or record why not.")),
            None => item,
        }
    }

    /// How a flag that both pass differs: what the old one fixed must be what holds with nothing set.
    fn flag_differs(&self, flag: &str, old: &Fact, new: &Fact) -> Option<String> {
        let both = |key| (old.get(key), new.get(key));
        let differ = |what, (was, is)| Some(format!("{}.", difference(what, was, is)));
        let is_shape = |how: &str| how != "yes";
        match both("computed") {
            (Some(_), None) => {
                let why = "The old worker works its value out by itself; the new one does not.";
                return Some(why.to_owned());
            }
            (Some(was), Some(is)) if is_shape(was) && is_shape(is) && shape(was) != shape(is) => {
                return differ("how its value is worked out", both("computed"));
            }
            _ => {}
        }
        if let Some(why) = forced_otherwise(old, new) {
            return Some(why);
        }
        if let (Some(was), Some(how)) = (old.get("value"), new.get("computed"))
            && !old.has("from")
            && !new.has("value")
        {
            let was = was_passed(was, old.get(WHEN));
            let how = worked_out(how);
            return Some(format!("{was}; what is passed now can't be told{how}."));
        }
        let (was, is) = both("form");
        if was != is && new.has("from") && old.has("from") {
            return differ("the text around the variables of its value", (was, is));
        }
        if let Some(other) = self.no_more_from(flag, old, new) {
            return Some(format!(
                "{other} gave its value where nothing else did; it does not any more."
            ));
        }
        if !self.old.is_older && self.needs_otherwise(old, new) {
            return differ("what else decides on it", both(NEEDS));
        }
        let (when, when_now) = both(WHEN);
        if when != when_now && when.is_some() && when_now.is_some() {
            return differ("the test for it", (when, when_now));
        }
        if let Some(is) = self.passed_besides(flag, old, new) {
            return Some(format!("`{is}` is passed now whatever the variables say."));
        }
        // What a variable decides on is judged with that, but for a value that it only lets through.
        let was = old.get("value")?;
        // Which of several values is passed is judged with what decides on them.
        let parts = |fact: &Fact| {
            let parts = fact.parts("value", ALSO).map(str::to_owned);
            parts.collect::<BTreeSet<_>>()
        };
        let is_told = old.has("from") || new.has("from") && was.contains(ALSO);
        if is_told && parts(old) == parts(new) {
            return None;
        }
        if let Some(from) = old.get("from") {
            let is_through = old.get("through") == Some(was);
            let own = self.own_default(flag);
            let is = new.get("value").or(own.as_deref());
            let is_lost = is_through && !is.is_some_and(|is| same_value(was, is));
            return is_lost.then(|| {
                let alone = || "it".to_owned();
                let was = Some(was)
                    .filter(|was| *was != ALONE)
                    .map_or_else(alone, subject);
                let from = names(from);
                format!("{from} decided whether {was} is passed; nothing passes it by itself now.")
            });
        }
        self.fixed_differs(flag, was, old, new)
    }

    /// How what is passed with nothing set differs from what the old worker fixed.
    fn fixed_differs(&self, flag: &str, was: &str, old: &Fact, new: &Fact) -> Option<String> {
        let own = self.own_default(flag);
        let is_same = |is: Option<&str>| is.is_some_and(|is| same_value(was, is));
        let (when, when_now) = (old.get(WHEN), new.get(WHEN));
        let variable = new.parts("from", " ").next();
        let fact = variable.and_then(|name| self.new.variable(name));
        let default = variable.and_then(|name| {
            let set = self.set_by_image(&format!("env:{name}"));
            match set.or_else(|| fact?.get("default"))? {
                "1" | "yes" if was == ALONE => Some(ALONE),
                value => Some(value),
            }
        });
        let passed = self.passed_unset(flag, new);
        let default = default.filter(|_| !fact.is_some_and(Fact::is_switch));
        let is = passed.as_deref().or(default).or(own.as_deref());
        // A test of the machine may be written in ways that are not followed.
        let asks_machine = |when: Option<&str>| when.is_some_and(|test| test.contains("() "));
        let is_told =
            when.is_some() && when_now.is_some() || ![when, when_now].into_iter().any(asks_machine);
        if is_same(is) && when != when_now && is_told && !new.has("from") {
            let (was, now) = (was_passed(was, when), passed_when(when_now));
            return Some(format!("{was}, and is passed {now} now."));
        }
        let is_told = is.is_some() || variable.is_some() || self.is_no_default(flag, was);
        if is_same(is) || !is_told || self.default_doubt(flag, Some(was), is).is_some() {
            return None;
        }
        let is_from = |name: &&str| new.parts("from", " ").any(|from| from == *name);
        let by = self.driver(flag).filter(is_from).or(variable);
        let by = by.map(|name| format!(", unless {name} says otherwise"));
        let is = match passed.as_deref().or(default) {
            Some(is) if !is.is_empty() => format!("{} is", show(Some(is))),
            _ if was == ALONE => "it is not".to_owned(),
            _ => match own.as_deref() {
                Some("") => "nothing is".to_owned(),
                own => format!("SGLang's own default ({}) is", show(own)),
            },
        };
        let (was, by) = (was_passed(was, when), by.unwrap_or_default());
        Some(format!("{was}; now {is}{by}."))
    }

    /// A fixed value that only the new worker passes, beside the variables of both.
    fn passed_besides<'f>(&self, flag: &str, old: &Fact, new: &'f Fact) -> Option<&'f str> {
        let is = new
            .get("value")
            .filter(|_| !old.has("value") && old.has("from"))?;
        let own = self.own_default(flag)?;
        let is_plain = !["through", NEEDS, WHEN].iter().any(|key| new.has(key));
        let is_same = same_value(is, &own) || is.contains(ALSO) || is.contains(['$', '(']);
        // A variable's own default is judged with that.
        let mut names = new.get("from")?.split_whitespace();
        let is_default = names.any(|name| {
            let id = format!("env:{name}");
            self.items.get(&id).is_some_and(|item| item.open)
                || self
                    .old
                    .attribute(&id, "default")
                    .is_some_and(|was| same_value(was, is))
        });
        (is_plain && !is_same && !is_default && is != ALONE).then_some(is)
    }

    /// A variable that has a flag of its own and was one of several that this one's value came from.
    fn no_more_from<'f>(&self, flag: &str, old: &'f Fact, new: &Fact) -> Option<&'f str> {
        let now: Vec<&str> = new.get("from")?.split_whitespace().collect();
        let was = old.get("from")?.split_whitespace();
        was.filter(|name| !now.contains(name)).find(|name| {
            let id = format!("env:{name}");
            // Without these flags SGLang takes the model's path as it is.
            let is_as_without = ["--tokenizer-path", "--served-model-name"].contains(&flag)
                && !self
                    .old
                    .attribute(&id, "interpreted")
                    .is_some_and(|it| it.contains('('));
            let mut own = now
                .iter()
                .filter_map(|own| self.items.get(&format!("env:{own}")));
            if is_as_without || own.any(|item| item.open) {
                return false;
            }
            let flags = [self.old, self.new].map(|facts| facts.attribute(&id, "flag"));
            let is_others = flags.iter().all(|own| own.is_some_and(|own| own != flag));
            is_others && flags[0] == flags[1]
        })
    }

    /// What the new worker passes where no variable is set, as far as that is known.
    fn passed_unset(&self, flag: &str, new: &Fact) -> Option<String> {
        let from = new.get("from").unwrap_or_default().split_whitespace();
        let from = from.filter_map(|name| self.new.variable(name).zip(Some(name)));
        let from: Vec<(&Fact, &str)> = from.collect();
        let is_alone = !from.is_empty() && from.iter().all(|(fact, _)| fact.is_switch());
        let values = new.get("value").or(is_alone.then_some(ALONE))?;
        let through = new.get("through").unwrap_or(ALONE);
        let passes = |value: &&str| {
            let mut all = from.iter();
            !through.split(ALSO).any(|one| one == *value)
                || all.all(|(fact, name)| self.lets_through(fact, name, flag, value))
        };
        let values: Vec<&str> = values.split(ALSO).filter(passes).collect();
        (!values.is_empty()).then(|| values.join(ALSO))
    }

    /// Whether a variable that is not set lets a value of a flag through, or may do so.
    fn lets_through(&self, fact: &Fact, name: &str, flag: &str, value: &str) -> bool {
        let image = self.new.in_image(name);
        let set = image.or(fact.get("default")).unwrap_or_default();
        let effect = format!(": {flag} {value}");
        let effect = effect.strip_suffix(" on").unwrap_or(&effect);
        let words = fact.parts("effects", " | ");
        let words: Vec<&str> = words.filter_map(|one| one.strip_suffix(effect)).collect();
        let effects = fact.get("effects").map(|_| words.join(" "));
        let how = fact.get("interpreted").unwrap_or_default();
        let words = effects.as_deref().or(fact.get("on")).unwrap_or_default();
        // An empty value is greater than no number, and fits no pattern.
        let mut may_hold = "not |or |<|-l|-ne|-eq 0|-ge 0|==0|=0|!=".split('|');
        let may_hold = may_hold.any(|part| words.contains(part) || how.contains(part));
        let is_number = words.starts_with(['-', '(']);
        let is_unset = set.is_empty() || set == "0" && is_number;
        if is_unset && !words.is_empty() && !may_hold && fact.is_switch() {
            return false;
        }
        let is_odd =
            |text: &str| text.contains("or ") || text.contains(['<', '>', '~', '*', '-', '|', '$']);
        let is_plain = fact.is_switch() && fact.has("interpreted") && !fact.has("fallbacks");
        if !is_plain || is_odd(words) || is_odd(set) {
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
        if let Some(refused) = self.refused(flag, new, added.clone()) {
            return refused;
        }
        // Under another name it is compared with that.
        let variables = self.old.area("env");
        let driven = variables.filter_map(|(_, fact)| fact.get("flag"));
        let mut flags = self.old.area("flag").map(|(other, _)| other).chain(driven);
        let is_this = |other: &str| self.same_flag(other, flag);
        match (new.get("value"), self.own_default(flag)) {
            (Some(value), Some(own)) if !same_value(value, &own) && !flags.any(is_this) => {
                let (own, when) = (show(Some(&own)), passed_when(new.get(WHEN)));
                let is = subject(value);
                added.open(format!(
                    "{is} is passed {when} now; before, SGLang's own default ({own}) held."
                ))
            }
            (None, Some(own)) if !flags.any(is_this) => match new.get("computed") {
                Some(how) => added.open(format!(
                    "It is passed now, and its value can't be told{}; before, SGLang's own default ({}) held.",
                    worked_out(how),
                    show(Some(&own))
                )),
                None => added,
            },
            (Some(value), None) if self.is_no_default(flag, value) && !flags.any(is_this) => {
                let when = passed_when(new.get(WHEN));
                added.open(format!("`{value}` is passed {when} now; before, SGLang's own default held."))
            }
            _ => added,
        }
    }

    fn flag_gone(&self, flag: &str, id: &str, old: &Fact) -> Item {
        let mut flags = self.new.area("flag").filter(|(_, fact)| fact.is_reached());
        let was_own = || old.get("value").zip(self.own_default(flag));
        let same = flags.find(|(other, _)| self.same_flag(flag, other));
        let item = if let Some((other, fact)) = same {
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
        } else if old
            .get("value")
            .is_some_and(|was| self.default_doubt(flag, Some(was), None).is_some())
        {
            Item::new(id, Verdict::Kept, old, None)
        } else {
            let note = self.support_note(flag);
            let item = Item::missing(id, old);
            let item = item.why(format!("The new worker never passes this flag{note}."));
            self.passed_again(flag, old, item)
        };
        let owner = old.parts("from", " ").next();
        let owner = owner.map(|owner| format!("env:{owner}"));
        match owner.filter(|owner| self.items.contains_key(owner)) {
            Some(owner) if item.verdict != Verdict::Kept => item.part_of(owner),
            // A plain rename of the flag itself asks nothing of anybody.
            _ if item.verdict == Verdict::Renamed => item.closed(),
            _ => item,
        }
    }
}

/// What one worker passes behind the flag's variables, and the other one doesn't.
fn forced_otherwise(old: &Fact, new: &Fact) -> Option<String> {
    // A fixed value alone is the last one too.
    let alone = |fact: &'_ Fact| {
        fact.get("value")
            .filter(|_| !fact.has("from"))
            .map(str::to_owned)
    };
    let [was, is] = [old, new].map(|fact| fact.get(LAST).map(str::to_owned).or(alone(fact)));
    match (was, is) {
        (Some(was), is) if old.has(LAST) && is.as_ref() != Some(&was) => {
            let from = old.get("from").unwrap_or_default();
            let was = subject(&was);
            Some(match names(from) {
                from if from.is_empty() => {
                    format!("{was} was passed, whatever else was; now it is not.")
                }
                from => {
                    format!("{was} was passed, whatever the value of {from}; that decides now.")
                }
            })
        }
        (was, Some(is)) if new.has(LAST) && was.as_ref() != Some(&is) => {
            let is = subject(&is);
            Some(format!("{is} is passed now whatever the variables say."))
        }
        _ => None,
    }
}

/// What is passed: a value, or the flag alone.
fn subject(value: &str) -> String {
    match value {
        ALONE => "It".to_owned(),
        value => format!("`{}`", without_marks(value)),
    }
}

/// The variables that a flag's value comes from, for a sentence.
pub fn names(from: &str) -> String {
    let names = from.split(ALSO).flat_map(|one| one.split(' '));
    names.collect::<Vec<_>>().join(" or ")
}

fn was_passed(value: &str, when: Option<&str>) -> String {
    let subject = subject(value);
    match when {
        None => format!("{subject} was always passed"),
        when => format!("{subject} was passed {}", passed_when(when)),
    }
}

/// When a flag is passed that no variable decides on, or a variable is set.
pub fn passed_when(when: Option<&str>) -> String {
    when.map_or("always".to_owned(), |test| format!("where `{test}` holds"))
}

/// How a value is worked out, without the names that the program gives to its parts, where a
/// digest tells what those are.
fn shape(how: &str) -> String {
    let Some((text, made)) = how.split_once(COMPUTED) else {
        return how.to_owned();
    };
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let shape = text.split_inclusive(|c| !is_part(c)).map(|word| {
        let name = word.trim_end_matches(|c| !is_part(c));
        let is_name = name.starts_with(|c: char| !c.is_ascii_digit()) && !word.ends_with('(');
        let name = if is_name { "_" } else { name };
        [name, word.trim_start_matches(is_part)].concat()
    });
    shape.collect::<String>() + made
}

/// The source text of a computed value, where it is known.
fn worked_out(how: &str) -> String {
    let text = without_marks(how);
    Some(text)
        .filter(|text| text != "yes")
        .map_or_else(String::new, |text| format!(" (it is `{}`)", cut(&text, 60)))
}

/// What the server is started through: `numactl`, `nice`, …
fn started_through(old: Side, new: Side) -> Item {
    let [was, is] = [old, new].map(|fact| attribute(fact, "value"));
    // The server inherits what the program is started through that starts it.
    let of_both = |text: &str| {
        let program = text
            .rsplit_once(' ')
            .filter(|(_, last)| last.contains(".py"));
        program.map_or(text, |(before, _)| before).to_owned()
    };
    let is_same = was.map(of_both) == is.map(of_both);
    let verdict = match (was, is) {
        _ if is_same => Verdict::Kept,
        (Some(_), None) => Verdict::Missing,
        _ => Verdict::Changed,
    };
    let mut item = Item::new(STARTED_THROUGH, verdict, old, new);
    if !is_same {
        item.why = format!(
            "{}.",
            difference("what programs are started through", was, is)
        );
    }
    item
}
