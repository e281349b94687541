//! Variables that the running worker reads.

use super::uses::{use_changed, word_changed};
use super::values::{ALWAYS_SET, TRIED, same_value, set_again, show};

use super::super::facts::{Fact, NEEDS, PASSED, WHEN};
use super::{Item, Judge, Side, Verdict, attribute, difference, is_runpods};
use worker_files::ALSO;
use xtask_core::sglang;

impl Judge<'_> {
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
        if let Some(item) = self.by_reach(name, id, old, new) {
            return item;
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
        match self.other_flag(id, drove, drives) {
            Ok(note) => notes.extend(note),
            Err(difference) => differences.push(difference),
        }
        if old.has(PASSED) && drives.is_none() && !new.has(PASSED) {
            let lost = "its words were arguments of SGLang's command, and are not now";
            differences.push(lost.to_owned());
        }
        if !old.has("required") && new.has("required") {
            differences.push("the worker fails now where it is not set".to_owned());
        }
        differences.extend(self.effect_lost(id, old, new));
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
        let is_alike = old.has("effects") && old.get("effects") == new.get("effects");
        if !is_alike || words[0] != words[1] {
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

    /// What is to say where code that runs reads a variable on one side alone.
    fn by_reach(&mut self, name: &str, id: &str, old: &Fact, new: &Fact) -> Option<Item> {
        match (old.is_reached(), new.is_reached()) {
            (true, false) => {
                // Another variable may do it now.
                let gone = old.get("flag").map(|_| self.variable_gone(name, id, old));
                let renamed = gone.filter(|item| item.verdict == Verdict::Renamed);
                let why = "Only code that nothing runs still reads it: endpoints that set it are ignored.";
                let file = new.places.first().map(|at| at.file.to_string());
                let help = format!(
                    "Let the new worker run {}, or record why not.",
                    file.unwrap_or_default()
                );
                let missing = Item::new(id, Verdict::Missing, old, new);
                Some(renamed.unwrap_or_else(|| missing.why(why).help(help)))
            }
            (false, true) => {
                let kept = Item::new(id, Verdict::Kept, old, new);
                Some(kept.why("Only code that nothing ran read it."))
            }
            _ => None,
        }
    }

    /// The flag that a variable drives: a note where that is another one that does the same, or the
    /// difference.
    fn other_flag(
        &self,
        id: &str,
        was: Option<&str>,
        is: Option<&str>,
    ) -> Result<Option<String>, String> {
        let successor = was.and_then(|flag| sglang::history(flag).successor_flag());
        let successor = successor.map(|flag| self.canonical(flag));
        match (was, is) {
            (Some(was), Some(is)) if was == is || self.still_drives(id, was) => Ok(None),
            (Some(was), Some(is)) if self.same_flag(was, is) => Ok(Some(format!(
                "It drives {is} now, which is the same as {was}."
            ))),
            (Some(was), Some(is)) if successor == Some(self.canonical(is)) => Ok(Some(format!(
                "It drives {is} now, which SGLang names instead of {was}."
            ))),
            (Some(_), _) => Err(difference("flag", was, is)),
            (None, is) => Ok(is.map(|is| format!("It drives {is} now."))),
        }
    }

    /// What one of a variable's words did and does not do now.
    fn effect_lost(&self, id: &str, old: &Fact, new: &Fact) -> Option<String> {
        let mut known = old.parts("effects", " | ");
        if let Some(is) = new.get("effects") {
            let lost = known.find(|one| is.split(" | ").all(|own| own != *one));
            return lost.map(|lost| format!("one of its words did something else (`{lost}`)"));
        }
        let flag = |one: &str| Some(one.split_once(": ")?.1.split(' ').next()?.to_owned());
        let is_passed = |flag: &String| {
            let own = self.new.get(&format!("flag:{flag}"));
            own.is_some_and(|own| own.get("from").is_none()) && !self.still_drives(id, flag)
        };
        let always = known.filter_map(flag).find(is_passed);
        always.map(|flag| format!("{flag} is passed whatever it says now"))
    }

    /// Whether the new worker has the variable decide on a flag, among others.
    fn still_drives(&self, id: &str, flag: &str) -> bool {
        let from = self.new.attribute(&format!("flag:{flag}"), "from");
        let mut names = from.unwrap_or_default().split(' ');
        names.any(|name| id.strip_prefix("env:") == Some(name))
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
            (true, false) => {
                let flag = old.get("flag").unwrap_or_default();
                let chosen = self.old.attribute(&format!("flag:{flag}"), "through");
                let chosen = chosen.filter(|value| !value.contains(ALSO));
                return match chosen {
                    Some(value) => format!("Where endpoints switch it on, set {other}={value}."),
                    None => format!("It only switched that on: set {other} to a value."),
                };
            }
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
        format!(
            "Let the worker read {name} too, where {other} is not set: `if \"{name}\" in os.environ: \
             os.environ.setdefault(\"{other}\", os.environ[\"{name}\"])` where it starts.{set}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::compared;
    use xtask_core::tree::Memory;

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
                "Let the worker read TP too, where TP_SIZE is not set: `if \"TP\" in os.environ: os.environ.setdefault(\"TP_SIZE\", os.environ[\"TP\"])` where it starts.",
            ),
            (
                "LEVEL",
                "Let the worker read LEVEL too, where LOG_LEVEL is not set: `if \"LEVEL\" in os.environ: os.environ.setdefault(\"LOG_LEVEL\", os.environ[\"LEVEL\"])` where it starts. For its default: `ENV LOG_LEVEL=debug` ",
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
