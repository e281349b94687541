//! Variables that the running worker reads.

use std::collections::BTreeSet;

use super::super::facts::{ALONE, Fact, Facts, NEEDS, PASSED, WHEN, without_marks};
use super::hub::is_read_outside;
use super::{Item, Judge, Side, Verdict, attribute, difference, is_runpods};
use worker_files::shell::NOT_SET;
use worker_files::{ALSO, BY_NAME, COMPUTED, is_one_of};
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
        let own = self.own_default(flag);
        let is_other = match &own {
            Some(own) => !same_value(set, own),
            None => self.is_no_default(flag, set),
        };
        let is_flags = |(name, _): (&str, &Fact)| self.same_flag(name, flag);
        let was_passed = self.old.area("flag").any(is_flags);
        let is_computed = set.contains(['$', '(']) || set.contains(ALSO);
        (!was_passed && !is_computed && is_other).then(|| {
            format!(
                "`{flag} {set}` is passed now where it is not set; before, SGLang's own default ({}) held.",
                show(own.as_deref())
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
        let unset = self.unset(id, old, new);
        let help = unset.is_err().then(|| self.default_again(name, old, new));
        match unset {
            Ok(note) => notes.extend(note),
            Err(difference) => differences.push(difference),
        }
        // To drive a flag at all is more than before.
        if drove.is_some() {
            let told = match (old.is_switch(), new.is_switch()) {
                (true, false) => Some("it only switched its flag on, and its value is passed now"),
                (false, true) => Some("its value was passed, and it only switches its flag on now"),
                _ => None,
            };
            differences.extend(told.filter(|_| new.has("how")).map(str::to_owned));
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
        differences.extend(self.fallback_lost(name, id, old, new));
        if differences.is_empty() {
            return Item::new(id, Verdict::Kept, old, new).why(notes.join(" "));
        }
        let item = Item::by_differences(id, old, new, &differences);
        let usual = item.help.clone();
        item.help(help.flatten().unwrap_or(usual))
    }

    /// How the new worker comes to do what the old one did with a variable unset, and nothing else.
    fn default_again(&self, name: &str, old: &Fact, new: &Fact) -> Option<String> {
        let (default, flag) = (old.get("default")?, old.get("flag"));
        if is_worked_out(default) {
            return Some(WORK_OUT.to_owned());
        }
        let is_driven =
            flag.is_none_or(|flag| new.get("flag").is_some_and(|f| self.same_flag(flag, f)));
        let other = match flag.filter(|_| !is_driven) {
            Some(flag) => self.new.offered(self.driver(flag)?),
            None => self.new.offered(name),
        };
        // A flag must not come of what was none.
        if let Some(other) = new.get("flag").filter(|_| flag.is_none()) {
            return Some(format!(
                "Don't set it again: {name} sets {other} now, and no variable does only what it did. Write the value into your code, or record why not."
            ));
        }
        if flag.is_none() && is_read_outside(name) {
            env_line(name, default)?;
            let line = format!(
                "`os.environ.setdefault(\"{name}\", \"{default}\")` where the worker starts"
            );
            return Some(format!(
                "{line}, and not ENV, which the build and other programs have too; or record why not."
            ));
        }
        let line = set_again(self.new, other, default)?;
        let does = flag.filter(|_| !is_driven);
        let does = does.map_or_else(String::new, |flag| format!("{other} drives {flag} now: "));
        Some(format!(
            "{does}{line} sets it as before; or record why not."
        ))
    }

    /// What was tried where a variable is unset, and is not now.
    fn fallback_lost(&self, name: &str, id: &str, old: &Fact, new: &Fact) -> Option<String> {
        let drives = new.get("flag");
        let (was, is) = (old.get("fallbacks"), new.get("fallbacks"));
        let mut tried = new.parts("fallbacks", " ");
        // A name for the same flag is tried all the same, and without a tokenizer of its own SGLang
        // takes the model's.
        let is_same = |other: &str| {
            let flag = self.new.attribute(&format!("env:{other}"), "flag");
            // So does the program that puts a model into the image.
            let mut files = old.places.iter().map(|place| place.file.name());
            let is_known = drives.is_some() || files.all(|name| name == b"download_model.py");
            let is_models = name.starts_with("TOKENIZER_") && other.starts_with("MODEL_");
            drives.is_some() && flag == drives || is_models && is_known
        };
        let is_set = || self.set_by_image(id).is_some_and(|set| !set.is_empty());
        let is_lost = match was {
            Some(was) => !is.unwrap_or_default().starts_with(was) && !was.split(' ').all(is_same),
            // What the old worker did not read is set nowhere yet.
            None => tried.any(|name| self.old.variable(name).is_some()) && !is_set(),
        };
        is_lost.then(|| difference(TRIED, was, is))
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
        let was = old.get("default");
        // What the image sets for the same flag by another name holds for this one too.
        let by_other = || {
            let mut others = self.new.drivers(new.get("flag")?);
            let set = |other| self.set_by_image(&format!("env:{other}"));
            others.find_map(|other| {
                set(other).filter(|set| was.is_some_and(|was| same_value(set, was)))
            })
        };
        let image = self.set_by_image(id).or_else(by_other);
        let is = image.or(new.get("default"));
        let name = id.strip_prefix("env:").unwrap_or_default();
        if let Some(why) = self.still_in_effect(name, old, new) {
            return Ok(Some(why).filter(|why| !why.is_empty()));
        }
        if same_value(was.unwrap_or_default(), is.unwrap_or_default()) {
            // Of two places that had the default, one lost it.
            let mut files = new.places.iter().map(|place| place.file.to_string());
            let is_lost = new.has("undefaulted")
                && !old.has("undefaulted")
                && !new.has("by")
                && files.all(|file| file.rsplit_once('.').is_some_and(|(_, end)| end == "py"));
            return match is.filter(|_| is_lost && image.is_none()) {
                Some(is) => Err(format!("elsewhere it is read without the default `{is}`")),
                None => Ok(None),
            };
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
        if drives.is_some_and(|flag| self.default_doubt(flag, was, is).is_some()) {
            return Ok(None);
        }
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
            Some(value) => show(Some(value)),
            None => format!("SGLang's own default ({})", show(Some(&own))),
        });
        let differ = format!("with it unset, {was} was passed, {is} is passed now");
        Err(differ)
    }

    /// What the new image sets a variable to.
    pub fn set_by_image(&self, id: &str) -> Option<&'a str> {
        let default = self.new.attribute(id, "default");
        let fact = self
            .new
            .get(&format!("image:{}", id.strip_prefix("env:")?))?;
        let new = self.new.filled_in(fact.get("value").unwrap_or_default());
        // `ENV NAME=` sets it to nothing. A default that the reader still knows holds all the same.
        let holds = !new.is_empty() || default.is_none();
        (holds && !new.contains('$')).then_some(new)
    }

    /// Whether what the old image sets a variable to still holds where nobody sets it: by the new
    /// image, the new worker's own default or `SGLang`'s. The text tells what is not the image.
    pub fn still_in_effect(&self, name: &str, old: &Fact, new: &Fact) -> Option<String> {
        let image = self.old.get(&format!("image:{name}"))?;
        let was = self.old.filled_in(image.get("value")?);
        let other = self.renamed.get(name).map_or(name, String::as_str);
        let set = self.set_by_image(&format!("env:{other}"));
        if was.is_empty() || was.contains('$') {
            return None;
        } else if set == Some(was) {
            return Some(String::new());
        } else if was.contains('(') || was.contains(ALSO) || image.has(WHEN) {
            return None;
        }
        // Elsewhere it may be read without its default.
        let is = set.or(new.get("default").filter(|_| !new.has("undefaulted")));
        if is.is_some_and(|is| same_value(was, is)) {
            return Some("It is the new worker's own default now.".to_owned());
        }
        let flags = old.get("flag").zip(new.get("flag"));
        let (_, flag) = flags.filter(|(was, is)| self.same_flag(was, is))?;
        let own = self.own_default(flag)?;
        let is_own = |text: &str| same_value(text, &own) && old.get("how") == new.get("how");
        let is_same = is_own(was) && is.is_none_or(is_own) && !new.has("undefaulted");
        let why = format!("{} does the same by default: `{own}`.", self.sglang);
        (is_same && !new.has("required")).then_some(why)
    }

    /// Whether only the program that puts a model into the image reads a variable, and the build gives
    /// it none.
    fn is_of_build(&self, name: &str, old: &Fact) -> bool {
        let mut files = old.places.iter().map(|place| place.file.name());
        let is_given = ["arg", "image"]
            .iter()
            .any(|area| self.old.has(&format!("{area}:{name}")));
        let mut steps = self.old.area("step").map(|(step, _)| step);
        let mut mounts = self.old.area("mount").map(|(mount, _)| mount);
        let is_given = is_given || mounts.any(|mount| mount.contains(name));
        let is_built = self.old.has("image:FROM") && files.all(|name| name == b"download_model.py");
        is_built && !is_given && !steps.any(|step| step.contains(name))
    }

    fn variable_gone(&mut self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::missing(id, old);
        if !old.is_reached() {
            let gone = gone.why("Only code that nothing ran read it.");
            let flag = old.get("flag");
            let retired = flag.and_then(|flag| self.flag_retired(flag, id, old));
            return retired.unwrap_or(gone).closed();
        }
        if self.is_of_build(name, old) {
            let why = "Only the build's download program read it, and no build sets it.";
            return Item::new(id, Verdict::Kept, old, None).why(why);
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
                .help(self.for_both(name, old, self.new.offered(other), fact))
        };
        let Some(flag) = old.get("flag") else {
            let mut passed = live.filter(|(_, fact)| old.has(PASSED) && fact.has(PASSED));
            let role = "The words of both are arguments of SGLang's command";
            return match (passed.next(), passed.next()) {
                (Some((other, fact)), None) => instead(other, fact, role),
                _ => match self.start_limit(name, old) {
                    Some(help) => gone.help(help),
                    None => gone,
                },
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

impl Judge<'_> {
    /// What to do where another variable takes the place of one, and for the default of that.
    fn for_both(&self, name: &str, old: &Fact, other: &str, fact: &Fact) -> String {
        match (old.is_switch(), fact.is_switch()) {
            (true, false) => return format!("It only switched that on: set {other} to a value."),
            (false, true) => {
                return format!("Set {other}, which only switches that on, or record why not.");
            }
            _ => {}
        }
        // A switch passes another value than its own.
        let is_alike = old.get("how") == fact.get("how");
        let own = fact.get("flag").and_then(|flag| self.own_default(flag));
        let set = self.set_by_image(&format!("env:{other}"));
        let known = [fact.get("default"), own.as_deref(), set];
        let default = old.get("default").filter(|_| is_alike);
        let is_known = |text: &str| known.iter().flatten().any(|own| same_value(own, text));
        let default = default.filter(|text| !text.is_empty() && !is_known(text));
        let line = default.and_then(|text| set_again(self.new, other, text));
        let set = line.map_or_else(String::new, |line| format!(" For its default: {line}."));
        format!("Let the worker read {name} too, where {other} is not set.{set}")
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

/// What the new Dockerfile sets from its build arguments, besides the model.
const BUILT_WITH: &str = "MODEL_REVISION TOKENIZER_NAME TOKENIZER_REVISION BASE_PATH QUANTIZATION";

/// What to do about a value that no file can hold.
pub const WORK_OUT: &str =
    "Code worked it out: take that along and set the variable by it, or record why not.";

/// Whether a text is the source of a value that code or a shell works out, which no Dockerfile can.
fn is_worked_out(text: &str) -> bool {
    // A line of a Dockerfile would put a variable's value of the build in the place of its name.
    let parts = [
        "$", "`", "\n", " | ", ALSO, COMPUTED, BY_NAME, "\" + ", "' + ", " + \"", " + '", " or \"",
        " or '",
    ];
    // A call, an element, a text with values in it.
    let mut pairs = text.chars().zip(text.chars().skip(1));
    let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let is_called = pairs.any(|(c, next)| "([".contains(next) && is_of_a_name(c));
    let is_choice = text.contains(" if ") && text.contains(" else ");
    let is_filled = text.starts_with("f\"") || text.starts_with("f'");
    // `settings.DEFAULT`
    let is_constant = text.rsplit_once('.').is_some_and(|(owner, name)| {
        let is_name = |text: &str| !text.is_empty() && text.chars().all(is_of_a_name);
        is_name(name)
            && is_name(owner)
            && name.contains(char::is_alphabetic)
            && name == name.to_uppercase()
    });
    is_called
        || is_choice
        || is_filled
        || is_constant
        || parts.iter().any(|part| text.contains(part))
}

/// The line of a Dockerfile that sets a variable; nothing for what is worked out at the start.
pub fn env_line(name: &str, value: &str) -> Option<String> {
    if is_worked_out(value) {
        return None;
    }
    let is_plain = |c: char| !c.is_whitespace() && !"\"'\\".contains(c);
    let value = if value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    };
    let place = match name {
        "MODEL_NAME" | "MODEL_PATH" => {
            " (below the step that downloads a model: set above it, the model is baked in)"
        }
        _ if is_one_of(BUILT_WITH, name) => " (below its own line for that)",
        _ => "",
    };
    Some(format!("`ENV {name}={value}` in the Dockerfile{place}"))
}

/// The places that set a variable where no endpoint does: what the form gives new endpoints is
/// stronger than the image.
pub fn set_again(new: &Facts, name: &str, value: &str) -> Option<String> {
    let line = env_line(name, value)?;
    let form = new.attribute(&format!("hub:{name}.default"), "value");
    let is_other = form.is_some_and(|form| !form.is_empty() && !same_value(form, value));
    let too = " (and as its default in .runpod/hub.json, which is stronger)";
    Some(line + if is_other { too } else { "" })
}

pub fn show(value: Option<&str>) -> String {
    match value {
        None => "not known".to_owned(),
        Some("") => "no value".to_owned(),
        Some(value) => format!("`{}`", without_marks(value)),
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
        // Where words for both are known, those for off switch nothing on.
        let is_off = |word: &str| is_one_of("0 false no off", word);
        let tells_both = before.iter().any(|word| is_one_of("1 true yes on", word));
        let lost = before.difference(&after).map(String::as_str);
        let lost: Vec<&str> = lost.filter(|word| !(tells_both && is_off(word))).collect();
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
    if let Some(bounds) = added_bounds(was, is).filter(|_| differs) {
        return Some(bounds);
    }
    let [before, now] = [before, now].map(show);
    differs.then(|| format!("its value was taken as {before}, and is taken as {now} now"))
}

/// What a number may be now, where nothing else was added to what is made of a value: `int` and
/// `int, min 50`, as `min(50, …)` is written.
fn added_bounds(was: Option<&str>, is: Option<&str>) -> Option<String> {
    let mut added = is?.strip_prefix(was?)?.split(", ");
    added.next().filter(|first| first.is_empty())?;
    let bound = |one: &str| match one.split_once(' ')? {
        ("min", most) => Some(format!("at most {most}")),
        ("max", least) => Some(format!("at least {least}")),
        _ => None,
    };
    let bounds: Option<Vec<String>> = added.map(bound).collect();
    Some(format!(
        "its value is taken as {} now",
        bounds?.join(" and ")
    ))
}

pub const ALWAYS_SET: &str = "the worker always sets it now: endpoints that set it are ignored";
const TRIED: &str = "what is tried when it is unset";

#[cfg(test)]
mod tests {
    use super::super::super::tests::compared;
    use super::*;
    use xtask_core::tree::Memory;

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
    fn advice_names_the_variable_that_does_the_same_and_nothing_more() {
        const FROM: &str =
            "FROM lmsysorg/sglang:v0.5.19-cu129\nCOPY . /\nCMD [\"python3\", \"/engine.py\"]\n";
        let worker = |pairs: &[(&str, &str)], more: &str| {
            let words = pairs
                .iter()
                .map(|(flag, value)| format!(", '--{flag}', {value}"));
            let words: String = words.collect();
            let run = format!("subprocess.Popen(['python3', '-m', 'sglang.launch_server'{words}])");
            let text = format!("import os, subprocess\n{run}\n{more}\n");
            Memory::new()
                .with("Dockerfile", FROM)
                .with("engine.py", text)
        };
        let old = worker(
            &[
                ("download-dir", "os.getenv('HF_HOME', '/x')"),
                ("tp", "os.getenv('TP', '1')"),
                ("log-level", "os.getenv('LEVEL', 'debug')"),
            ],
            "print(os.getenv('SERVER_START_TIMEOUT', '900'), os.getenv('LOG_LEVEL', 'INFO'), \
             os.getenv('START_WAIT', '5'), os.getenv('HF_HUB_CACHE', '/h'), os.getenv('N', '2'))",
        );
        let new = worker(
            &[
                ("download-dir", "os.getenv('DOWNLOAD_DIR')"),
                ("tp-size", "os.getenv('TP_SIZE')"),
                ("log-level", "os.getenv('LOG_LEVEL')"),
            ],
            "print(os.getenv('READY_TIMEOUT', '60'), os.getenv('HF_HOME'), \
             os.getenv('HF_HUB_CACHE'), os.getenv('N', '3'))",
        );
        let items = compared(&old, &new);
        let help = |name: &str| {
            let id = format!("env:{name}");
            let item = items.iter().find(|item| item.id == id);
            item.map(|item| item.help.clone()).unwrap_or_default()
        };
        let told = [
            (
                "HF_HOME",
                "DOWNLOAD_DIR drives --download-dir now: `ENV DOWNLOAD_DIR=/x` ",
            ),
            (
                "TP",
                "Let the worker read TP too, where TP_SIZE is not set.",
            ),
            (
                "LEVEL",
                "Let the worker read LEVEL too, where LOG_LEVEL is not set. For its default: `ENV LOG_LEVEL=debug` ",
            ),
            (
                "LOG_LEVEL",
                "Don't set it again: LOG_LEVEL sets --log-level now, ",
            ),
            (
                "SERVER_START_TIMEOUT",
                "READY_TIMEOUT limits the new worker's start: `ENV READY_TIMEOUT=900` ",
            ),
            ("START_WAIT", "Bring it back"),
            (
                "HF_HUB_CACHE",
                "`os.environ.setdefault(\"HF_HUB_CACHE\", \"/h\")` where ",
            ),
            ("N", "`ENV N=2` in the Dockerfile sets it as before"),
        ];
        for (name, begin) in told {
            let help = help(name);
            assert!(help.starts_with(begin), "{name}: {help}");
        }
        assert!(!help("TP").contains("ENV"));
    }
}
