//! What people can set in the Hub's form, how the Hub tests it, and what the README says of it.

use super::super::facts::{Fact, Facts, WORDING};
use super::variables::{same_value, show};
use super::{Item, Judge, Verdict, difference};
use xtask_core::sglang;

impl<'a> Judge<'a> {
    pub fn hub(&mut self) {
        let listed = self.new.area("hub").any(|(_, fact)| is_listed(fact));
        for (name, old, new) in self.ids("hub") {
            let id = format!("hub:{name}");
            // The facts below a variable are judged with it.
            let owner = name
                .strip_suffix(".default")
                .or(name.strip_suffix(".options"));
            if let Some(owner) = owner {
                self.part(name, owner, old, new);
                continue;
            }
            let item = match (name, old, new) {
                ("cuda", old, new) => self.cuda(&id, old, new),
                (_, Some(old), new) if name.starts_with("category.") => {
                    self.category(&id, old, new)
                }
                ("imageName", Some(old), None) => Item::new(&id, Verdict::Retired, Some(old), None)
                    .why("The Hub builds the image from the repository itself.")
                    .help("Nothing to set instead."),
                (_, Some(old), None) if is_setting(name) => {
                    Item::new(&id, Verdict::Missing, Some(old), None)
                        .why("The new listing doesn't have it.")
                        .help("Set it again in hub.json, or record why not.")
                }
                (_, Some(old), None) => self.variable_undeclared(name, &id, old),
                (_, Some(old), Some(new)) => Self::variable_declared(&id, old, new),
                ("config.endpointType", None, Some(new)) => {
                    Item::new(&id, Verdict::Added, None, Some(new))
                        .open()
                        .why("New endpoints balance load: they take no jobs from a queue any more.")
                        .help("Take endpointType out of hub.json, or record why.")
                }
                (_, None, new) => self.newly_declared(name, &id, new),
            };
            self.push(item);
        }
        if listed {
            self.token();
        }
        self.tests();
        self.readme();
    }

    /// What only the new listing has: a fixed value is what all new endpoints get.
    fn newly_declared(&self, name: &str, id: &str, new: Option<&'a Fact>) -> Item {
        let item = Item::new(id, Verdict::Added, None, new);
        let read = self.old.get(&format!("env:{name}"));
        let (Some(fixed), Some(read)) = (new.and_then(|fact| fact.get("fixed")), read) else {
            return item;
        };
        let before = read.get("default").unwrap_or_default();
        if same_value(before, fixed) {
            return item;
        }
        let before = show(Some(before));
        item.open()
            .why(format!(
                "New endpoints get `{fixed}`; before, {before} held."
            ))
            .help("Let the form ask for it, or record why.")
    }

    /// A category of the old form: it shows no variable that is in none.
    fn category(&self, id: &str, old: &'a Fact, new: Option<&'a Fact>) -> Item {
        fn names(fact: &Fact) -> impl Iterator<Item = &str> {
            fact.get("variables").unwrap_or_default().split(' ')
        }
        let mut all = self.new.area("hub");
        if !all.any(|(name, _)| name.starts_with("category.")) {
            return Item::new(id, Verdict::Retired, Some(old), None)
                .why("The Hub's form has no categories.")
                .help("Mark what few people need as advanced.");
        }
        let shown = self.new.area("hub");
        let shown = shown.filter(|(name, _)| name.starts_with("category."));
        let shown: Vec<&str> = shown.flat_map(|(_, fact)| names(fact)).collect();
        let hidden =
            |name: &&str| !shown.contains(name) && self.new.get(&format!("hub:{name}")).is_some();
        let hidden: Vec<&str> = names(old).filter(hidden).collect();
        if hidden.is_empty() {
            return Item::new(id, Verdict::Kept, Some(old), new);
        }
        let why = format!(
            "The form shows {} no more: no category has it.",
            hidden.join(", ")
        );
        Item::new(id, Verdict::Changed, Some(old), new)
            .why(why)
            .help("List it in a category again, or record why not.")
    }

    /// The token for gated models: builds take it as a secret, and the libraries that load
    /// models read it at run time, so that a form without it can't serve gated models.
    fn token(&mut self) {
        const ID: &str = "hub:HF_TOKEN";
        let secret = |facts: &Facts| facts.get("mount:secret.HF_TOKEN").cloned();
        if self.item(ID).is_some() || self.new.get(ID).is_some() {
            return;
        }
        if let Some(mount) = secret(self.old).or_else(|| secret(self.new)) {
            self.push(
                Item::new(ID, Verdict::Missing, Some(&mount), None)
                    .why("The build takes the token for gated models, and so do the libraries that load them at run time; but nobody can set it in the Hub's form.")
                    .help("Declare HF_TOKEN in hub.json as a string without a default."),
            );
        }
    }

    fn variable_undeclared(&self, name: &str, id: &str, old: &Fact) -> Item {
        let env = format!("env:{name}");
        if let Some(renamed) = self.renamed_fact("hub", name) {
            return renamed;
        }
        if let Some(variable) = self.item(&env)
            && variable.new.is_none()
        {
            return Item::new(id, variable.verdict, Some(old), None)
                .why(format!("It follows the variable {name} itself."))
                .part_of(env);
        }
        if let Some(other) = self.stand_in("hub:", name, id, old) {
            return other;
        }
        let declare = format!("Declare {name} in hub.json, or record why not.");
        let (why, help) = if self.new.get(&env).is_some() {
            (
                "The new worker reads it, but nobody can set it in the Hub's form any more.",
                declare,
            )
        } else if self.old.get(&env).is_some() {
            ("Nobody can set it in the Hub's form any more.", declare)
        } else {
            (
                "The old form offered it, although the old worker's code never read it; the new form doesn't, and the new worker doesn't read it either.",
                format!(
                    "Nothing reads {name}: record that, or let the worker read it and declare it."
                ),
            )
        };
        Item::new(id, Verdict::Missing, Some(old), None)
            .why(why)
            .help(help)
    }

    fn variable_declared(id: &str, old: &Fact, new: &Fact) -> Item {
        let mut differences = Vec::new();
        let (was, is) = (old.get("type"), new.get("type"));
        // A field for a model's name is still a field for text.
        let is_text = |kind: Option<&str>| matches!(kind, Some("string" | "huggingface"));
        let same_type = was == is || is_text(was) && is_text(is);
        if !same_type {
            differences.push(difference("type", was, is));
        }
        // The old form had no words for limits and for what a switch sets.
        let is_told = |key: &&str| *key != "type" && !WORDING.contains(key);
        let keys = old.value.keys().chain(new.value.keys()).map(String::as_str);
        let listed: Vec<&str> = keys.filter(is_told).collect();
        let had = if is_listed(old) {
            &listed[..]
        } else {
            &["required", "fixed"][..]
        };
        differences.extend(Self::differences(old, new, Some(had)));
        Item::by_differences(id, old, new, &differences)
    }

    /// A variable's default or options.
    fn part(&mut self, name: &str, owner: &str, old: Option<&Fact>, new: Option<&Fact>) {
        let id = format!("hub:{name}");
        let owner_id = format!("hub:{owner}");
        let kind = if name.ends_with(".default") {
            "default"
        } else {
            "options"
        };
        let renamed = self
            .renamed
            .get(owner)
            .map(|other| format!("hub:{other}.{kind}"));
        let follows = renamed.as_deref().and_then(|id| self.new.get(id));
        let offered = self.new.get(&owner_id).is_some();
        if old.is_some() && !offered && follows.is_none() {
            if self.old.get(&owner_id).is_some() {
                let why = format!("It goes with {owner}.");
                let owner = self.item(&owner_id);
                let verdict = owner.map_or(Verdict::Missing, |item| item.verdict);
                self.push(
                    Item::new(&id, verdict, old, None)
                        .why(why)
                        .part_of(owner_id),
                );
            }
            return;
        }
        let new = new.or(follows);
        let flag = self
            .new
            .get(&format!(
                "env:{}",
                self.renamed.get(owner).map_or(owner, String::as_str)
            ))
            .and_then(|fact| fact.get("flag"))
            .or_else(|| self.old.get(&format!("env:{owner}"))?.get("flag"));
        let flag = flag.map_or_else(
            || format!("--{}", owner.to_lowercase().replace('_', "-")),
            str::to_owned,
        );
        let item = if kind == "default" {
            self.default(&id, &owner_id, &flag, old, new)
        } else {
            let was_free = self.old.get(&owner_id).is_some_and(is_listed);
            self.options(&id, &flag, old, new, was_free)
        };
        self.push(item);
    }

    fn default<'f>(
        &self,
        id: &str,
        owner: &str,
        flag: &str,
        old: Option<&'f Fact>,
        new: Option<&'f Fact>,
    ) -> Item {
        let kind = |facts: &'a Facts| facts.get(owner)?.get("type");
        let boolean = [self.old, self.new].map(kind).contains(&Some("boolean"));
        let text = |fact: Option<&'f Fact>| -> &'f str {
            match fact.and_then(|fact| fact.get("value")).unwrap_or_default() {
                "false" | "0" | "no" if boolean => "",
                "1" | "yes" if boolean => "true",
                value => value,
            }
        };
        let (was, is) = (text(old), text(new));
        let refused = !is.is_empty() && self.refuses(flag, is);
        // A form without a default leaves it to SGLang.
        let own = self.own_default(flag);
        let is_own = |value: &str| own.as_deref().is_some_and(|own| same_value(value, own));
        let number = |text: &str| text.parse::<f64>().ok();
        let same = was == is || number(was).is_some_and(|was| number(is) == Some(was));
        let verdict = match (old, new) {
            _ if same || is.is_empty() && is_own(was) => Verdict::Kept,
            (None, _) => Verdict::Added,
            _ => Verdict::Changed,
        };
        let item = Item::new(id, verdict, old, new);
        if refused {
            return item
                .open()
                .why(format!(
                    "{} takes no {flag} {is}: an endpoint with this default never comes up.",
                    self.sglang
                ))
                .help("Set a default that the flag takes, or none.");
        }
        // Where the old form left it empty, the old worker's own default held.
        let name = owner.trim_start_matches("hub:");
        let before = self.old.get(&format!("env:{name}"));
        let before = before.and_then(|fact| fact.get("default"));
        let is_new = item.verdict == Verdict::Added
            && !is.is_empty()
            && self.old.get(owner).is_some()
            && !is_own(is)
            && !before.is_some_and(|before| same_value(before, is));
        if is_new {
            return item
                .open()
                .why(format!(
                    "New endpoints start with `{is}`; the old form left it empty."
                ))
                .help("Take the default out of hub.json, or record why.");
        }
        if item.verdict != Verdict::Changed {
            return item;
        }
        // A switch that is off was written so.
        let shown = |value: &'f str, fact: Option<&Fact>| match value {
            "" => fact.filter(|_| boolean).map(|_| "false"),
            value => Some(value),
        };
        let difference = difference("default", shown(was, old), shown(is, new));
        item.why(format!("{difference}."))
            .help("New endpoints start with another value: set the old one, or record why not.")
    }

    /// `was_free` says that the old listing had a field for any text, where it had no options.
    fn options(
        &self,
        id: &str,
        flag: &str,
        old: Option<&Fact>,
        new: Option<&Fact>,
        was_free: bool,
    ) -> Item {
        fn list(fact: Option<&Fact>) -> Vec<&str> {
            let values = fact.and_then(|fact| fact.get("values")).unwrap_or_default();
            values.split('\n').filter(|v| !v.is_empty()).collect()
        }
        let (was, mut wrong) = (list(old), list(new));
        let missing = was.into_iter().filter(|value| !wrong.contains(value));
        let (gone, dropped): (Vec<&str>, Vec<&str>) =
            missing.partition(|value| self.refuses(flag, value));
        wrong.retain(|value| self.refuses(flag, value));
        if !wrong.is_empty() {
            let verdict = if old.is_some() {
                Verdict::Changed
            } else {
                Verdict::Added
            };
            return Item::new(id, verdict, old, new)
                .open()
                .why(format!(
                    "{} takes no {flag} {}: an endpoint with that choice never comes up.",
                    self.sglang,
                    wrong.join(", ")
                ))
                .help("Take it out of the options.");
        }
        match (old, new) {
            (None, _) if was_free => Item::new(id, Verdict::Changed, None, new)
                .why("Any text could be entered; now only these can be chosen.")
                .help("Offer what else endpoints have set, or record why not."),
            (None, _) => Item::new(id, Verdict::Added, None, new),
            (_, None) => Item::new(id, Verdict::Kept, old, None)
                .why("Any text can be entered now, these options too."),
            _ if !dropped.is_empty() => Item::new(id, Verdict::Changed, old, new)
                .why(format!(
                    "{} can't be chosen any more, although {} takes it.",
                    dropped.join(", "),
                    self.sglang
                ))
                .help("Offer it again, or record why not."),
            _ if !gone.is_empty() => Item::new(id, Verdict::Retired, old, new)
                .why(format!(
                    "{} takes no {flag} {}.",
                    self.sglang,
                    gone.join(", ")
                ))
                .help("Nothing to set instead."),
            _ => Item::new(id, Verdict::Kept, old, new),
        }
    }

    /// The CUDA versions that hosts must have, against the image and against before.
    fn cuda(&self, id: &str, old: Option<&Fact>, new: Option<&Fact>) -> Item {
        let image = self
            .new
            .get("image:cuda")
            .and_then(|fact| fact.get("value"));
        let lowest = new.and_then(|fact| fact.get("from"));
        let verdict = match (old.and_then(|f| f.get("from")), lowest) {
            (Some(was), Some(is)) if was == is => Verdict::Kept,
            (Some(_), Some(_)) => Verdict::Changed,
            (Some(_), None) => Verdict::Missing,
            (None, _) => Verdict::Added,
        };
        let item = Item::new(id, verdict, old, new);
        if let (Some(image), Some(lowest)) = (image, lowest)
            && sglang::order(lowest, image).is_lt()
        {
            return item
                .open()
                .why(format!("Hosts with CUDA {lowest} are let in, but the image needs {image}: they refuse it before it starts."))
                .help(format!("List {image} and newer only."));
        }
        let (was, is) = (
            old.and_then(|f| f.get("from")).unwrap_or("none"),
            lowest.unwrap_or("none"),
        );
        let list = |fact: Option<&Fact>| -> Vec<String> {
            let all = fact.and_then(|fact| fact.get("list")).unwrap_or_default();
            all.split(' ').map(str::to_owned).collect()
        };
        let mut gone = list(old);
        gone.retain(|one| !list(new).contains(one) && sglang::order(one, is).is_gt());
        match verdict {
            Verdict::Kept if !gone.is_empty() => {
                let mut item = item;
                let why = format!("Hosts with CUDA {} are no longer let in.", gone.join(", "));
                item.change(why, "List them again, or record why not.");
                item
            }
            Verdict::Changed if image.is_some_and(|image| sglang::order(is, image).is_eq()) => item
                .why(format!(
                    "The lowest CUDA version was {was}, is {is}, which the base image needs."
                ))
                .help("Record it: hosts with older drivers are left out."),
            Verdict::Changed => item
                .why(format!("The lowest CUDA version was {was}, is {is}."))
                .help("If that is meant, record why."),
            Verdict::Missing => item
                .why(format!("Nothing says any more that hosts need CUDA {was}."))
                .help("List what the base image needs as allowedCudaVersions in hub.json."),
            _ => item,
        }
    }

    fn tests(&mut self) {
        for (name, old, new) in self.ids("tests") {
            let id = format!("tests:{name}");
            let item = match (old, new) {
                _ if name == "cuda" => self.cuda(&id, old, new),
                (Some(old), None) => self.test_variable_gone(name, &id, old),
                (old, Some(new)) => {
                    let item = match old {
                        Some(old) => Self::kept_or_changed(&id, old, new, None),
                        None => Item::new(&id, Verdict::Added, None, Some(new)),
                    };
                    let env = format!("env:{name}");
                    // It was no use before, either.
                    let as_before = old.is_some() && self.old.get(&env).is_none();
                    let is_read = self.new.get(&env).is_some() || is_outside(name) || as_before;
                    if item.open || is_read || name.contains('.') {
                        item
                    } else {
                        item.open()
                            .why("The Hub's tests set it, but the new worker doesn't read it: they run without it.")
                            .help("Set the variable that the worker reads.")
                    }
                }
                (None, None) => continue,
            };
            self.push(item);
        }
    }

    /// What the Hub's tests set no longer: it follows a renamed variable, and nobody is told to set
    /// one again that the new worker doesn't read.
    fn test_variable_gone(&self, name: &str, id: &str, old: &Fact) -> Item {
        let gone = Item::new(id, Verdict::Missing, Some(old), None);
        let renamed = self.renamed_fact("tests", name);
        if let Some(item) = renamed.or_else(|| self.stand_in("tests:", name, id, old)) {
            return item;
        }
        // What no code of the old worker reads, another program than SGLang reads that it starts.
        let only_sglang = self.old.get("step:start SGLang").is_some();
        let was_read = only_sglang || self.old.get(&format!("env:{name}")).is_some();
        let is_variable = !name.contains('.');
        let is_read = self.new.get(&format!("env:{name}")).is_some();
        if is_variable && was_read && !is_read && !is_outside(name) {
            return gone
                .note()
                .why("The new worker doesn't read it, so that its tests need not set it.");
        }
        gone.why("The Hub's tests don't set it any more.")
            .help("Set it in tests.json again, or record why not.")
    }

    fn readme(&mut self) {
        self.each("readme", |judge, name, id, old, new| {
            if new.is_some() {
                return Item::new(id, Verdict::Kept, Some(old), new);
            }
            if let Some(other) = judge.stand_in("readme:", name, id, old) {
                return other;
            }
            let env = format!("env:{name}");
            match judge.item(&env) {
                Some(variable) if variable.verdict != Verdict::Kept => {
                    let item = Item::new(id, variable.verdict, Some(old), None);
                    let item = match judge.renamed.get(name) {
                        Some(other) => item.help(format!("Document {other} in its place.")),
                        None if variable.new.is_some() => item.help(DOCUMENT),
                        None => item,
                    };
                    let why = format!("It goes with the variable {name}.");
                    item.why(why).part_of(env)
                }
                _ if judge.new.get(&env).is_none() && !is_outside(name) => {
                    let item = Item::new(id, Verdict::Missing, Some(old), None);
                    item.why("The README's tables don't have it any more, and the new worker's code doesn't read it.")
                        .help("Record that nothing reads it, or document what takes its place.")
                }
                _ => Item::new(id, Verdict::Missing, Some(old), None)
                    .why("The README's tables don't have it any more.")
                    .help(DOCUMENT),
            }
        });
    }
}

/// Whether libraries and RunPod read a variable, whatever the worker's own code does.
fn is_outside(name: &str) -> bool {
    let outside = [
        "HF_", "NCCL_", "CUDA_", "TORCH_", "SGLANG_", "RUNPOD_", "VLLM_",
    ];
    outside.iter().any(|prefix| name.starts_with(prefix))
}

const DOCUMENT: &str = "Document it, or record why not.";

/// Whether a fact comes from the Hub's own file, and not from the old form.
fn is_setting(name: &str) -> bool {
    let is_part = ["preset.", "config."]
        .iter()
        .any(|part| name.starts_with(part));
    is_part || matches!(name, "endpointType" | "type" | "category")
}

fn is_listed(fact: &Fact) -> bool {
    fact.places
        .iter()
        .any(|place| place.file.name() == b"hub.json")
}
