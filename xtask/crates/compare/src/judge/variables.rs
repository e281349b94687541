//! Variables that the running worker reads.

use std::collections::BTreeSet;

use super::super::facts::{ALONE, Fact, NEEDS, PASSED, WHEN};
use super::{Item, Judge, Side, Verdict, attribute, difference, is_runpods};
use worker_files::ALSO;
use worker_files::shell::NOT_SET;
use xtask_core::sglang;

impl<'a> Judge<'a> {
    pub fn environment(&mut self) {
        let all = self.both_sides("env");
        for (name, id, old, new) in &all {
            let item = match (*old, *new) {
                (Some(old), Some(new)) => self.variable_kept(name, id, old, new),
                (Some(old), None) => self.variable_gone(name, id, old),
                (None, new) => self.variable_added(name, id, new),
            };
            self.push(item);
        }
        for (name, id, old, new) in all {
            self.renamed_fallbacks(&id, old, new);
            let used = [old, new].map(|fact| attribute(fact, "used"));
            let idle = "The new worker reads it, and does nothing with it.".to_owned();
            self.change(&id, (used == [Some("yes"), Some("no")]).then_some(idle));
            if is_runpods(name) {
                self.of_runpod(name, &id);
            }
        }
    }

    /// RunPod sets its own variables; any other may have to be set now.
    fn variable_added(&self, name: &str, id: &str, new: Side) -> Item {
        let is_set = name.starts_with("RUNPOD_") || self.new.has(&format!("image:{name}"));
        if attribute(new, "at_start").is_some() && !is_set {
            return Item::new(id, Verdict::Changed, None, new)
                .why("The new worker ends at its start where it is not set; the old one did not know it.")
                .help("Give it a default, or record that every endpoint sets it.");
        }
        let added = Item::new(id, Verdict::Added, None, new);
        let Some((flag, fact)) = attribute(new, "flag").zip(new) else {
            return added;
        };
        let refused = self.refused(flag, fact, added.clone());
        refused.unwrap_or_else(|| match self.passed_unasked(id, flag, fact) {
            Some(why) => added.open(why),
            None => added,
        })
    }

    /// What a variable that only the new worker knows passes to `SGLang` where nobody sets it, and
    /// nothing did before.
    fn passed_unasked(&self, id: &str, flag: &str, new: &Fact) -> Option<String> {
        let use_of = new.get("interpreted");
        let always = use_of.and_then(|it| it.strip_prefix("always "));
        let set = self.set_by_image(id).or(always)?;
        // What is switched off is not passed, and what else decides on it may say so too.
        let is_off = same_value(set, "") || ["0", "no", "off"].contains(&set);
        if is_off || new.has(NEEDS) || new.has(WHEN) {
            return None;
        }
        let own = self.own_default(flag)?;
        let is_flags = |(name, _): (&str, &Fact)| self.same_flag(name, flag);
        let was_passed = self.old.area("flag").any(is_flags);
        let is_computed = set.contains(['$', '(']) || set.contains(ALSO);
        (!was_passed && !is_computed && !same_value(set, &own)).then(|| {
            format!(
                "`{flag} {set}` is passed now where it is not set; before, SGLang's own default ({}) held.",
                show(Some(&own))
            )
        })
    }

    /// What is tried when a variable is unset may go by another name: that is the other's change.
    fn renamed_fallbacks(&mut self, id: &str, old: Side, new: Side) {
        let [Some(was), Some(is)] = [old, new].map(|fact| attribute(fact, "fallbacks")) else {
            return;
        };
        let alone = format!("{}.", difference(TRIED, Some(was), Some(is)));
        if let Some(owner) = was.split(' ').find(|one| self.renamed.contains_key(*one))
            && self.followed(was) == is
            && let Some(item) = self.items.get_mut(id)
            && item.why == alone
        {
            item.part_of = Some(format!("env:{owner}"));
            item.open = false;
        }
    }

    fn variable_kept(&mut self, name: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let (drove, drives) = (old.get("flag"), new.get("flag"));
        let retired = Item::new(id, Verdict::Retired, old, new);
        if let Some(refused) = drives.and_then(|flag| self.refused(flag, new, retired)) {
            return refused;
        }
        match (old.is_reached(), new.is_reached()) {
            (true, false) => {
                // Another variable may do it now.
                let gone = drove.map(|_| self.variable_gone(name, id, old));
                let renamed = gone.filter(|item| item.verdict == Verdict::Renamed);
                let why = "Only code that nothing runs still reads it: endpoints that set it are ignored.";
                let missing = Item::new(id, Verdict::Missing, old, new).why(why);
                return renamed.unwrap_or(missing);
            }
            (false, true) => {
                let kept = Item::new(id, Verdict::Kept, old, new);
                return kept.why("Only code that nothing ran read it.");
            }
            _ => {}
        }
        let (mut differences, mut notes) = (Vec::new(), Vec::new());
        match self.unset(id, old, new) {
            Ok(note) => notes.extend(note),
            Err(difference) => differences.push(difference),
        }
        // To drive a flag at all is more than before.
        if drove.is_some() {
            differences.extend(Self::differences(old, new, Some(&["how"])));
        }
        // With whatever value.
        let successor = drove.and_then(|flag| sglang::history(flag).successor_flag());
        let successor = successor.map(|flag| self.canonical(flag));
        match (drove, drives) {
            (Some(was), Some(is)) if was == is || self.still_drives(id, was) => {}
            (Some(was), Some(is)) if self.same_flag(was, is) => {
                notes.push(format!("It drives {is} now, which is the same as {was}."));
            }
            (Some(was), Some(is)) if successor == Some(self.canonical(is)) => {
                let note = format!("It drives {is} now, which SGLang names instead of {was}.");
                notes.push(note);
            }
            (Some(_), _) => differences.push(difference("flag", drove, drives)),
            (None, Some(is)) => notes.push(format!("It drives {is} now.")),
            (None, None) => {}
        }
        if let Some((flag, who)) = drives.and_then(|flag| Some((flag, self.disputed(flag)?))) {
            notes.push(format!("It passes {flag}, which {who}."));
        }
        if old.has(PASSED) && drives.is_none() && !new.has(PASSED) {
            let lost = "its words were arguments of SGLang's command, and are not now";
            differences.push(lost.to_owned());
        }
        if !old.has("required") && new.has("required") {
            differences.push("the worker fails now where it is not set".to_owned());
        }
        let effects = [old, new].map(|fact| fact.get("effects"));
        let mut known = old.parts("effects", " | ");
        if let Some(is) = effects[1] {
            let lost = known.find(|one| is.split(" | ").all(|own| own != *one));
            let told = |lost| format!("one of its words did something else (`{lost}`)");
            differences.extend(lost.map(told));
        } else {
            let flag = |one: &str| Some(one.split_once(": ")?.1.split(' ').next()?.to_owned());
            let is_passed = |flag: &String| {
                let own = self.new.get(&format!("flag:{flag}"));
                own.is_some_and(|own| own.get("from").is_none()) && !self.still_drives(id, flag)
            };
            let always = known.filter_map(flag).find(is_passed);
            let told = |flag| format!("{flag} is passed whatever it says now");
            differences.extend(always.map(told));
        }
        differences.extend(word_changed(old, new));
        if let Some(to) = new.get("set").filter(|to| old.get("set") != Some(*to)) {
            differences.push(format!("{ALWAYS_SET} (to `{to}`)"));
        }
        if let Some(now) = self.unset_branch(old, new) {
            differences.push(format!("with it unset, `{now}` is passed now"));
        }
        // The same words may do the same in another order of branches.
        let words = [old, new].map(|fact| {
            let words = fact.get("interpreted");
            words.map(|words| words.replace("!=", "==").replace("not ", ""))
        });
        if effects[0].is_none() || effects[0] != effects[1] || words[0] != words[1] {
            differences.extend(use_changed(old, new));
        }
        let (was, is) = (old.get("fallbacks"), new.get("fallbacks"));
        let mut tried = new.parts("fallbacks", " ");
        let is_lost = match was {
            Some(was) => !is.unwrap_or_default().starts_with(was),
            // What the old worker did not read is set nowhere yet.
            None => tried.any(|name| self.old.variable(name).is_some()),
        };
        if is_lost {
            differences.push(difference(TRIED, was, is));
        }
        if differences.is_empty() {
            return Item::new(id, Verdict::Kept, old, new).why(notes.join(" "));
        }
        Item::by_differences(id, old, new, &differences)
    }

    /// What the new worker passes where a variable is not set, and only there.
    fn unset_branch<'f>(&self, old: &Fact, new: &'f Fact) -> Option<&'f str> {
        let known = old.get("effects").unwrap_or_default();
        let effects = new.get("effects")?.split(" | ");
        let mut now = effects.filter(|one| known.split(" | ").all(|own| own != *one));
        now.find_map(|one| {
            let effect = one.strip_prefix(NOT_SET)?.strip_prefix(": ")?;
            let (flag, value) = effect.split_once(' ').unwrap_or((effect, ALONE));
            let default = old.get("default").filter(|_| old.get("flag") == Some(flag));
            let always = self.old.attribute(&format!("flag:{flag}"), "value");
            let was = default.or(always).map(str::to_owned);
            let was = was.or_else(|| self.own_default(flag)).unwrap_or_default();
            (!same_value(&was, value)).then_some(effect)
        })
    }

    /// Whether the new worker has the variable decide on a flag, among others.
    fn still_drives(&self, id: &str, flag: &str) -> bool {
        let from = self.new.attribute(&format!("flag:{flag}"), "from");
        let mut names = from.unwrap_or_default().split(' ');
        names.any(|name| id.strip_prefix("env:") == Some(name))
    }

    /// What both workers do where a variable is not set. What drives a flag is compared as what is
    /// passed to `SGLang`, against `SGLang`'s own default. `Err` tells a difference, `Ok` what to
    /// know where there is none.
    fn unset(&self, id: &str, old: &Fact, new: &Fact) -> Result<Option<String>, String> {
        let image = self.set_by_image(id);
        let (was, is) = (old.get("default"), image.or(new.get("default")));
        if same_value(was.unwrap_or_default(), is.unwrap_or_default()) {
            return Ok(None);
        }
        // One more place that has a default takes nothing away from the others.
        if was.is_none() && image.is_none() && new.has("undefaulted") {
            return Ok(None);
        }
        // It may be what the old worker passed for another variable.
        let for_another = |fact: &Fact| {
            let flags = fact.get("flag").zip(new.get("flag"));
            fact.get("default") == is && flags.is_some_and(|(a, b)| self.same_flag(a, b))
        };
        let mut others = self.old.area("env");
        if was.is_none() && is.is_some() && others.any(|(_, fact)| for_another(fact)) {
            return Ok(None);
        }
        // What drove no flag, or drives none any more, is passed to nobody.
        let drives = old.get("flag").and(new.get("flag"));
        let Some(own) = drives.and_then(|flag| self.own_default(flag)) else {
            // A table's default is decided where it can't be followed.
            let is_by_table = was.is_none() && image.is_none() && new.has("by");
            let differ = (!is_by_table).then(|| difference("default", was, is));
            return differ.map_or(Ok(None), Err);
        };
        let passed = [was, is].map(|value| value.filter(|v| !v.is_empty()).unwrap_or(&own));
        if same_value(passed[0], passed[1]) {
            let note = format!("{} does the same by default: `{own}`.", self.sglang);
            return Ok(Some(note));
        }
        let [was, is] = [was, is].map(|value| match value {
            Some(value) => format!("`{value}`"),
            None => format!("SGLang's own default ({})", show(Some(&own))),
        });
        let differ = format!("with it unset, {was} was passed, {is} is passed now");
        Err(differ)
    }

    /// What the new image sets a variable to, unless the old one did the same.
    pub fn set_by_image(&self, id: &str) -> Option<&'a str> {
        let default = self.new.attribute(id, "default");
        let id = format!("image:{}", id.strip_prefix("env:")?);
        // `ENV NAME=` sets it to nothing. A default that the reader still knows holds all the same.
        let set = |fact: &'a Fact| {
            let value = fact.get("value").unwrap_or_default();
            // `${NAME:-default}` sets what no build argument says otherwise.
            let inner = value.strip_prefix("${").and_then(|it| it.strip_suffix('}'));
            let default = inner.and_then(|inner| inner.split_once(":-"));
            default.map_or(value, |(_, default)| default)
        };
        let new = set(self.new.get(&id)?);
        let is_news = self.old.get(&id).map(set) != Some(new);
        let holds = !new.is_empty() || default.is_none();
        (is_news && holds && !new.contains('$')).then_some(new)
    }

    fn variable_gone(&mut self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::missing(id, old);
        if !old.is_reached() {
            return gone.closed().why("Only code that nothing ran read it.");
        }
        let is_argument = old.has(PASSED) || old.has("flag");
        // What the worker looks for by the beginning of its name is its own business.
        if !name.contains('*') && sglang::reads(name) && !is_argument {
            let always = self.new.attribute(&format!("image:{name}"), "set");
            let kept = Item::new(id, Verdict::Kept, old, None);
            return match old.get("default") {
                _ if always.is_some() => gone.why(format!("{ALWAYS_SET}.")),
                None => kept.why("SGLang inherits it from the worker's environment."),
                default if self.set_by_image(id) == default => kept.why("The new image sets it."),
                Some(default) => gone.why(format!(
                    "SGLang still inherits it, but its default `{default}` is gone."
                )),
            };
        }
        let live = self.new.area("env").filter(|(_, fact)| fact.is_reached());
        let instead = |other: &str, fact: &Fact, role: &str| {
            Item::new(id, Verdict::Renamed, old, fact)
                .now(format!("env:{other}"))
                .why(format!("{role}, but endpoints that set {name} are ignored: the new worker reads {other} instead."))
                .help(for_both(name, old, self.new.offered(other), fact))
        };
        let Some(flag) = old.get("flag") else {
            let mut passed = live.filter(|(_, fact)| old.has(PASSED) && fact.has(PASSED));
            let role = "The words of both are arguments of SGLang's command";
            return match (passed.next(), passed.next()) {
                (Some((other, fact)), None) => instead(other, fact, role),
                _ => gone,
            };
        };
        let same_role = live
            .filter(|(_, fact)| fact.get("flag").is_some_and(|f| self.same_flag(flag, f)))
            // Of several names for one flag, the old one's without its prefix is the new name, then
            // the flag's own, then one that nobody had yet, and first one that the form offers.
            .min_by_key(|(other, fact)| {
                let prefix = name.strip_suffix(other);
                let is_same = prefix.is_some_and(|prefix| prefix.ends_with('_'));
                let flags = fact.get("flag").map(sglang::env_name);
                let is_flags = flags.as_deref() == Some(other);
                let is_offered = self.new.has(&format!("hub:{other}"));
                let is_known = self.old.variable(other).is_some();
                (!is_same, !is_flags, is_known, !is_offered, other.len())
            });
        if let Some((other, fact)) = same_role {
            let driven = fact.get("flag").unwrap_or(flag);
            let role = if driven == flag {
                format!("Both drive {flag}")
            } else {
                format!("It drove {flag}, which SGLang calls {driven} now")
            };
            let item = instead(other, fact, &role);
            self.renamed.insert(name.to_owned(), other.to_owned());
            return item;
        }
        if let Some(item) = self.flag_retired(flag, id, old) {
            return item;
        }
        let still = self.support_note(flag);
        gone.why(format!("It drove {flag}{still}; nothing sets it now."))
    }
}

/// Whether two texts are one value: `0.9` and `0.90`, `true` and `True`.
pub fn same_value(a: &str, b: &str) -> bool {
    let is_on = |text: &str| text == ALONE || text.eq_ignore_ascii_case("true");
    let is_off = |text: &str| {
        text.is_empty() || text.eq_ignore_ascii_case("false") || text.eq_ignore_ascii_case("none")
    };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    a == b
        || is_on(a) && is_on(b)
        || is_off(a) && is_off(b)
        || number(a)
            .zip(number(b))
            .is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
}

/// What to do where another variable takes the place of one, and for the default of that.
fn for_both(name: &str, old: &Fact, other: &str, fact: &Fact) -> String {
    match (old.is_switch(), fact.is_switch()) {
        (true, false) => return format!("It only switched that on: set {other} to a value."),
        (false, true) => {
            return format!("Set {other}, which only switches that on, or record why not.");
        }
        _ => {}
    }
    // A switch passes another value than its own.
    let is_alike = old.get("how") == fact.get("how");
    let default = old.get("default").filter(|_| is_alike);
    let default = default.filter(|text| !text.is_empty() && fact.get("default") != Some(text));
    let line = default.and_then(|text| env_line(other, text));
    let set = line.map_or_else(String::new, |line| format!(" For its default: {line}."));
    format!("Let the worker read {name} too, where {other} is not set.{set}")
}

/// The line of a Dockerfile that sets a variable; nothing for what a shell works out at the start.
pub fn env_line(name: &str, value: &str) -> Option<String> {
    if ["$(", "`", ALSO].iter().any(|part| value.contains(part)) {
        return None;
    }
    let is_plain = |c: char| !c.is_whitespace() && !"\"'\\".contains(c);
    let value = if value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
    Some(format!("`ENV {name}={value}` in the Dockerfile"))
}

pub fn show(value: Option<&str>) -> String {
    match value {
        None => "not known".to_owned(),
        Some("") => "no value".to_owned(),
        Some(value) => format!("`{value}`"),
    }
}

/// The words that switch a variable on; `None` where its use is of another kind.
fn words_of(fact: &Fact) -> Option<BTreeSet<String>> {
    let words = |text: &str, by: char| -> BTreeSet<String> {
        let words = text.trim_end_matches(" any case").split(by);
        let words = words.map(|word| word.trim().to_lowercase());
        words.filter(|word| !word.is_empty()).collect()
    };
    let Some(text) = fact.get("interpreted") else {
        return fact.get("on").map(|on| words(on, ' '));
    };
    // Each of several comparisons may hold it against other words.
    let text = text.replace(ALSO, " | ").replace(", == ", " | == ");
    let text = text.replace(", in [", " | in [");
    let each = text.split(" | ").map(|one| {
        if let Some(word) = one.strip_prefix("== ") {
            return Some(words(word, '|'));
        }
        let lists = one.strip_prefix("in [")?.split('[');
        let lists = lists.filter_map(|list| list.split(']').next());
        Some(lists.flat_map(|list| words(list, ',')).collect())
    });
    let each: Option<Vec<BTreeSet<String>>> = each.collect();
    Some(each?.into_iter().flatten().collect())
}

/// A word that stands for something else in the table that it is looked up in.
fn word_changed(old: &Fact, new: &Fact) -> Option<String> {
    let mut was = old.parts("gives", " | ");
    was.find_map(|before| {
        let (word, meant) = before.split_once(": ")?;
        let mut is = new.parts("gives", " | ");
        let is_known = is.clone().any(|one| one == before);
        let is_word = |(own, _): &(&str, &str)| *own == word;
        let now = is.find_map(|one| one.split_once(": ").filter(is_word));
        let (_, means) = now.filter(|_| !is_known)?;
        let what = format!("what `{word}` stands for");
        Some(difference(&what, Some(meant), Some(means)))
    })
}

/// How the use of a variable's value changed: words that no longer switch it on, another type.
fn use_changed(old: &Fact, new: &Fact) -> Option<String> {
    let (was, is) = (old.get("interpreted"), new.get("interpreted"));
    if let (Some(before), Some(after)) = (words_of(old), words_of(new)) {
        let lost: Vec<&str> = before.difference(&after).map(String::as_str).collect();
        let any_case = |text: Option<&str>| text.is_none_or(|text| text.contains("any case"));
        if !lost.is_empty() {
            return Some(format!("{} no longer switches it on", lost.join(" or ")));
        }
        if any_case(was) && !any_case(is) {
            return Some("it is switched on in lower case only now".to_owned());
        }
        // Words of several cases, each with its own effect.
        let grouped = |text: Option<&str>| text.is_some_and(|text| text.contains("] ["));
        let regrouped = grouped(was) && grouped(is) && was != is;
        return regrouped.then(|| difference("what its words do", was, is));
    }
    // What the program sets itself is what counts, whatever the endpoint says.
    let is_always_set = was.is_some_and(|was| was.contains("always "));
    // Text that is passed on may be put to any use; a table decides where it can't be followed.
    let free = |text: Option<&str>| text.is_none_or(|text| text == "truthy");
    // A number's text and the number come out as the same argument.
    let number = |text: Option<&str>| free(text) || matches!(text, Some("int" | "float"));
    // `split("/")` gives another text, which nothing decides on later.
    let is_made = was.is_some_and(|was| was.contains('(')) && !new.has("by");
    let one_flag = old.has("flag") && old.get("flag") == new.get("flag");
    // `if "A" not in os.environ: …` gives a default like `setdefault`.
    let one_default = old.has("default") && old.get("default") == new.get("default");
    let asks = Some("not truthy");
    let for_default = (was, is) == (None, asks) || (was, is) == (asks, None);
    let is_same = one_flag && number(was) && number(is)
        || for_default && one_default
        || is.is_none() && !is_made && (new.has("by") || new.has("flag"))
        || free(was) && free(is);
    let set = is_always_set.then_some("as it is set");
    let (before, now) = (was.or(Some("text")), is.or(set).or(Some("text")));
    let differs = was != is && (is_always_set || !is_same);
    differs.then(|| difference("how its value is taken", before, now))
}

pub const ALWAYS_SET: &str = "the worker always sets it now: endpoints that set it are ignored";
const TRIED: &str = "what is tried when it is unset";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_dockerfile_sets_what_it_says() {
        let line = |value| env_line("A", value);
        let told = |line: &str| Some(format!("`ENV A={line}` in the Dockerfile"));
        assert_eq!(line("fp8_e5m2"), told("fp8_e5m2"));
        assert_eq!(
            line("--chunked-prefill-size 4096"),
            told(r#""--chunked-prefill-size 4096""#)
        );
        assert_eq!(line(r#"{"a": 1}"#), told(r#""{\"a\": 1}""#));
        assert_eq!(line("$(nvidia-smi -L | wc -l)"), None);
    }

    #[test]
    fn a_switch_is_no_value_for_another_variable() {
        let value = Fact::default();
        let switch = Fact::single("how", "switch".to_owned(), Vec::new());
        let help = |old, new| for_both("CHUNKED", old, "CHUNK_SIZE", new);
        assert_eq!(
            help(&switch, &value),
            "It only switched that on: set CHUNK_SIZE to a value."
        );
        assert!(help(&value, &switch).starts_with("Set CHUNK_SIZE, which only switches"));
        for both in [&value, &switch] {
            assert!(help(both, both).starts_with("Let the worker read CHUNKED too"));
        }
    }
}
