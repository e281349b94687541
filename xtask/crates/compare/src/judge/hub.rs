//! What people can set in the Hub's form, how the Hub tests it, and what the README says of it.

use super::super::facts::{ADVANCED, Fact};
use super::values::{env_line, same_value, show};
use super::{Item, Judge, Side, UNREAD, Verdict, attribute, difference};
use xtask_core::sglang;

impl<'a> Judge<'a> {
    pub fn hub(&mut self) {
        for (name, id, old, new) in self.both_sides("hub") {
            // The facts below a variable are judged with it.
            if let Some((owner, kind @ ("default" | "options"))) = name.rsplit_once('.') {
                let item = self.part(owner, kind, old, new);
                self.items.extend(item.map(|item| (id, item)));
                continue;
            }
            // What comes from the Hub's own file, and not from the old form.
            let is_nested = name.starts_with("preset.") || name.starts_with("config.");
            let is_setting = is_nested || matches!(name, "endpointType" | "type");
            let item = match (name, old, new) {
                ("cuda", ..) => self.cuda(&id, old, new),
                (_, Some(old), _) if name.starts_with("category.") => self.category(&id, old, new),
                (_, Some(old), _) if LOOKS.contains(&&*id) => self.looks(&id, old, new),
                ("imageName", Some(old), None) => Item::new(&id, Verdict::Retired, old, None)
                    .why("The Hub builds the image from the repository itself."),
                (_, Some(old), None) if is_setting => self.setting_gone(&id, old),
                (_, Some(old), Some(new)) if name.starts_with("preset.") => {
                    self.preset_kept(&id, old, new)
                }
                (_, Some(old), None) => self.variable_undeclared(name, &id, old),
                (_, Some(old), Some(new)) => self.variable_declared(name, &id, old, new),
                ("config.endpointType", None, _) => Item::new(&id, Verdict::Added, None, new)
                    .open("New endpoints balance load: they take no jobs from a queue any more."),
                (_, None, new) => self.newly_declared(name, &id, new),
            };
            self.push(item);
        }
        self.token();
        self.tests();
        self.readme();
    }

    /// What only the new listing has: a fixed value is what all new endpoints get.
    fn newly_declared(&self, name: &str, id: &str, new: Side<'a>) -> Item {
        let item = Item::new(id, Verdict::Added, None, new);
        let before = self.old.variable(name).map(|fact| fact.get("default"));
        let before = before.map(Option::unwrap_or_default);
        match (attribute(new, "fixed"), before) {
            (Some(fixed), Some(before)) if !same_value(before, fixed) => {
                let before = show(Some(before));
                item.open(format!(
                    "New endpoints get `{fixed}`; before, {before} held."
                ))
            }
            _ => item,
        }
    }

    fn looks(&self, id: &str, old: &Fact, new: Side) -> Item {
        let item = match new {
            Some(new) => Self::kept_or_changed(id, old, new, None),
            None if id == MODEL_VARIABLE => {
                let name = old.get("value").unwrap_or_default();
                let name = self.renamed.get(name).map_or(name, String::as_str);
                if self.new.has(&format!("hub:{name}")) {
                    let why = format!("The new form offers {name}, and has no such key.");
                    return Item::new(id, Verdict::Kept, old, None).why(why);
                }
                let gone =
                    Item::missing(id, old).why(format!("The new form does not offer {name}."));
                let owner = format!("hub:{}", old.get("value").unwrap_or_default());
                // Where no form offered it, the Hub asked for it all the same.
                return if self.old.has(&owner) {
                    gone.part_of(owner)
                } else {
                    gone.help("Declare it in the new form.")
                };
            }
            None => self.setting_gone(id, old),
        };
        item.closed()
    }

    /// A category of the old form: it shows no variable that is in none.
    fn category(&self, id: &str, old: &'a Fact, new: Side<'a>) -> Item {
        let all = self.new.area("hub");
        let categories = all.filter(|(name, _)| name.starts_with("category."));
        if categories.clone().next().is_none() {
            return Item::new(id, Verdict::Retired, old, None)
                .why("The Hub's form has no categories.")
                .help("Mark what few people need as advanced.");
        }
        let names = |fact| words(Some(fact), "variables", ' ');
        let shown: Vec<&str> = categories.flat_map(|(_, fact)| names(fact)).collect();
        let mut hidden = names(old);
        hidden.retain(|name| !shown.contains(name) && self.new.has(&format!("hub:{name}")));
        let hidden = hidden.join(", ");
        let why = format!("The form shows {hidden} no more: no category has it.");
        let mut item = Item::new(id, Verdict::Kept, old, new);
        item.change((!hidden.is_empty()).then_some(why));
        item
    }

    /// The token for gated models: builds take it as a secret, and the libraries that load
    /// models read it at run time, so that a form without it can't serve gated models.
    fn token(&mut self) {
        const ID: &str = "hub:HF_TOKEN";
        let mounts = [self.old, self.new].map(|facts| facts.get("mount:secret.HF_TOKEN"));
        let is_listing = self.new.area("hub").any(|(_, fact)| is_listed(fact));
        let is_known = self.items.contains_key(ID) || self.new.has(ID);
        let mount = mounts[0].or(mounts[1]);
        if let Some(mount) = mount.filter(|_| is_listing && !is_known) {
            let why = "The build takes the token for gated models, and so do the libraries that load them at run time; but nobody can set it in the Hub's form.";
            let help = "Declare HF_TOKEN in hub.json as a string without a default.";
            self.push(Item::missing(ID, mount).why(why).help(help));
        }
    }

    fn variable_undeclared(&self, name: &str, id: &str, old: &Fact) -> Item {
        let env = format!("env:{name}");
        if let Some(other) = self.other_variable("hub:", name, id, old) {
            return other;
        }
        let is_read = self.new.has(&env);
        let gone = Item::missing(id, old);
        match self.items.get(&env) {
            Some(variable) if variable.new.is_none() => {
                self.goes_with(name, Item::new(id, variable.verdict, old, None))
            }
            None if !is_read && is_read_outside(name) => self.inherited(name, gone, old),
            None if !is_read => gone
                .why("The old form offered it, although the old worker's code never read it; the new form doesn't, and the new worker doesn't read it either.")
                .help(UNREAD),
            _ => gone,
        }
    }

    /// A variable of the old form that the server and its libraries take from the environment.
    fn inherited(&self, name: &str, gone: Item, old: &Fact) -> Item {
        let default = self.old.attribute(&format!("hub:{name}.default"), "value");
        let given = default.or(old.get("fixed"));
        let Some(given) = given.filter(|given| !given.is_empty()) else {
            return gone;
        };
        let set = self.new.in_image(name);
        if set.is_some_and(|set| same_value(set, given)) {
            let mut kept = gone;
            kept.keep("The new image sets it to what the old form gave.");
            return kept;
        }
        let gone = gone.why(format!("SGLang and its libraries inherit it; new endpoints had `{given}` from the form, and have nothing now."));
        match env_line(name, given) {
            Some(line) => gone.help(format!("{line} sets it for all; or record why not.")),
            None => gone,
        }
    }

    fn variable_declared(&self, name: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        match (old.get("fixed"), new.get("fixed")) {
            (Some(was), None) => return self.fixed_no_more(name, id, was, old, new),
            (None, Some(is)) => {
                let why = format!("People could set it; now all new endpoints get `{is}`.");
                let help = "Offer it in .runpod/hub.json again, or record why not.";
                return Item::new(id, Verdict::Changed, old, new)
                    .why(why)
                    .help(help);
            }
            _ => {}
        }
        let mut differences = Vec::new();
        let (was, is) = (old.get("type"), new.get("type"));
        // A field for a model's name is still a field for text.
        let is_text = |kind: Option<&str>| matches!(kind, Some("string" | "huggingface"));
        if was != is && !(is_text(was) && is_text(is)) {
            differences.push(difference("type", was, is));
        }
        // The old form had no words for limits and for what a switch sets.
        let had = |key: &str| is_listed(old) || matches!(key, "required" | "fixed");
        let is_told = |key: &&str| *key != "type" && had(key);
        let keys: Vec<&str> = old.differing(new).filter(is_told).collect();
        differences.extend(Self::differences(old, new, Some(&keys)));
        let item = Item::by_differences(id, old, new, &differences);
        // Where the form shows it is its appearance.
        let told = match [old, new].map(|fact| fact.has(ADVANCED)) {
            [false, true] if had(ADVANCED) => "The form has it among the advanced settings now.",
            [true, false] => "The form no longer has it among the advanced settings.",
            _ => return item,
        };
        match item.verdict {
            Verdict::Kept => item.why(told),
            _ => item,
        }
    }

    /// A value that all new endpoints had, and that people can change now.
    fn fixed_no_more(&self, name: &str, id: &str, was: &str, old: &Fact, new: &Fact) -> Item {
        let is = self.new.attribute(&format!("{id}.default"), "value");
        if is.is_some_and(|is| same_value(was, is)) {
            let why = "People can change it now; what was fixed is the default.";
            return Item::new(id, Verdict::Kept, old, new).why(why);
        }
        let has = match is {
            None => "no default".to_owned(),
            is => format!("the default {}", show(is)),
        };
        let why =
            format!("All new endpoints got `{was}`; now people can set {name}, which has {has}.");
        let help = format!("Give it the default `{was}` in .runpod/hub.json, or record why not.");
        Item::new(id, Verdict::Changed, old, new)
            .why(why)
            .help(help)
    }

    /// The default or the options of a variable in the form.
    fn part(&self, owner: &str, kind: &str, old: Side<'a>, new: Side<'a>) -> Option<Item> {
        let (id, owner_id) = (format!("hub:{owner}.{kind}"), format!("hub:{owner}"));
        let name = self.renamed.get(owner).map_or(owner, String::as_str);
        let new = new.or(self.new.get(&format!("hub:{name}.{kind}")));
        if old.is_some() && new.is_none() && !self.new.has(&owner_id) {
            self.old.get(&owner_id)?;
            let owner_item = self.items.get(&owner_id);
            let verdict = owner_item.map_or(Verdict::Missing, |item| item.verdict);
            let item = Item::new(&id, verdict, old, None).part_of(owner_id);
            return Some(item.why(format!("It goes with {owner}.")).help(""));
        }
        let [now, before] = [self.new.variable(name), self.old.variable(owner)];
        let flag = attribute(now, "flag").or(attribute(before, "flag"));
        let by_name = || format!("--{}", owner.to_lowercase().replace('_', "-"));
        let flag = flag.map_or_else(by_name, str::to_owned);
        Some(match kind {
            "default" => self.default(owner, &flag, old, new),
            _ => self.options(owner, &flag, old, new),
        })
    }

    fn options(&self, name: &str, flag: &str, old: Side<'a>, new: Side<'a>) -> Item {
        let [was, is] = [old, new].map(|fact| words(fact, "values", '\n'));
        let is_refused = |value: &&str| self.refuses(flag, value) == Some(true);
        let is_known = |value: &&str| self.refuses(flag, value).is_some();
        let missing = was.into_iter().filter(|value| !is.contains(value));
        let missing = missing.filter(is_known);
        let (gone, dropped): (Vec<&str>, Vec<&str>) = missing.partition(is_refused);
        let refused: Vec<&str> = is.iter().copied().filter(is_refused).collect();
        let [gone, dropped, refused] = [gone, dropped, refused].map(|values| values.join(", "));
        // Without options the old listing had a field for any text.
        let was_free = || self.old.get(&format!("hub:{name}")).is_some_and(is_listed);
        let sglang = &self.sglang;
        let id = format!("hub:{name}.options");
        let item = |verdict| Item::new(&id, verdict, old, new);
        if !refused.is_empty() {
            let item = item(old.map_or(Verdict::Added, |_| Verdict::Changed));
            let why = "an endpoint with that choice never comes up.";
            return item.open(format!("{sglang} takes no {flag} {refused}: {why}"));
        }
        match (old, new) {
            (None, _) if was_free() => item(Verdict::Changed)
                .why("Any text could be entered; now only these can be chosen."),
            (None, _) => item(Verdict::Added),
            (_, None) => item(Verdict::Kept).why("Any text can be entered now, these options too."),
            _ if !dropped.is_empty() => item(Verdict::Changed).why(format!(
                "{dropped} can't be chosen any more, although {sglang} takes it."
            )),
            _ if !gone.is_empty() => {
                item(Verdict::Retired).why(format!("{sglang} takes no {flag} {gone}."))
            }
            _ => item(Verdict::Kept),
        }
    }

    /// The CUDA versions that hosts must have, against the image and against before.
    pub fn cuda(&self, id: &str, old: Side, new: Side) -> Item {
        let image = self.new.attribute("image:cuda", "value");
        let lowest = [old, new].map(|fact| attribute(fact, "from"));
        let verdict = match lowest {
            [None, _] => Verdict::Added,
            [_, None] => Verdict::Missing,
            [was, is] if was == is => Verdict::Kept,
            _ => Verdict::Changed,
        };
        let item = Item::new(id, verdict, old, new);
        if let (Some(image), Some(lowest)) = (image, lowest[1])
            && sglang::order(lowest, image).is_lt()
        {
            return item.open(format!("Hosts with CUDA {lowest} are let in, but the image needs {image}: they refuse it before it starts."));
        }
        let [was, is] = lowest.map(|version| version.unwrap_or("none"));
        let [mut gone, listed] = [old, new].map(|fact| words(fact, "list", ' '));
        gone.retain(|one| !listed.contains(one) && sglang::order(one, is).is_gt());
        let gone = gone.join(", ");
        match verdict {
            Verdict::Kept if !gone.is_empty() => Item::new(id, Verdict::Changed, old, new)
                .why(format!("Hosts with CUDA {gone} are no longer let in.")),
            Verdict::Changed => {
                let is_images = image.filter(|image| sglang::order(is, image).is_eq());
                let by = is_images.map_or("", |_| ", which the base image needs");
                let help = is_images.map_or(item.help.clone(), |_| {
                    "It comes with the base image: record why that is meant, or build on another."
                        .to_owned()
                });
                let why = format!("The lowest CUDA version was {was}, is {is}{by}.");
                item.why(why).help(help)
            }
            Verdict::Missing => {
                item.why(format!("Nothing says any more that hosts need CUDA {was}."))
            }
            _ => item,
        }
    }
}

/// Whether SGLang, libraries or RunPod read a variable, whatever the worker's own code does.
pub fn is_read_outside(name: &str) -> bool {
    const PREFIXES: &str =
        "HF_ HUGGINGFACE_ TRANSFORMERS_ NCCL_ CUDA_ TORCH_ SGLANG_ RUNPOD_ VLLM_";
    let mut prefixes = PREFIXES.split(' ');
    sglang::reads(name) || prefixes.any(|prefix| name.starts_with(prefix))
}

/// The variable that the old template UI put the model's name into.
pub const MODEL_VARIABLE: &str = "hub:modelEnvVarKey";

/// What people find a listing by, and that variable. Each worker has its own, so that a difference
/// is a loss only where a fork chose it.
pub const LOOKS: [&str; 4] = ["hub:title", "hub:category", "hub:iconUrl", MODEL_VARIABLE];

/// The parts of an attribute.
fn words<'f>(fact: Side<'f>, key: &str, separator: char) -> Vec<&'f str> {
    let words = attribute(fact, key).unwrap_or_default().split(separator);
    words.filter(|word| !word.is_empty()).collect()
}

fn is_listed(fact: &Fact) -> bool {
    let mut files = fact.places.iter().map(|place| place.file.name());
    files.any(|name| name == b"hub.json")
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::compared;
    use xtask_core::tree::Memory;

    #[test]
    fn a_default_of_the_form_is_set_again_where_it_holds_without_the_form_too() {
        let worker = |default: &str, own: &str| {
            let input =
                format!(r#""input": {{"name": "S", "type": "number", "default": {default}}}"#);
            let hub = format!(r#"{{"config": {{"env": [{{"key": "SEED", {input}}}]}}}}"#);
            let text = format!("import os\nprint(os.getenv('SEED'{own}))\n");
            let worker = Memory::new().with(".runpod/hub.json", hub);
            worker.with("engine.py", text)
        };
        let help = |own: &str| {
            let items = compared(&worker("300", own), &worker("7", own));
            let mut found = items
                .into_iter()
                .filter(|item| item.id == "hub:SEED.default");
            found.next().unwrap().help
        };
        assert_eq!(
            help(", '7'"),
            "Set it in hub.json again, and `ENV SEED=300` in the Dockerfile: the worker's own \
             default is `7`. Or record why not."
        );
        assert!(help("").starts_with("If this is meant, record why"));
    }

    #[test]
    fn a_row_of_the_readme_follows_a_name_that_is_documented() {
        let worker = |name: &str, documented: &str| {
            let start = format!(
                "import os, subprocess\nsubprocess.Popen(['python3', '-m', 'sglang.launch_server', '--model-path', os.environ['{name}']])\n"
            );
            let readme =
                format!("| Variable | Description |\n| --- | --- |\n| `{documented}` | |\n");
            let worker = Memory::new().with("engine.py", start);
            worker.with("README.md", readme)
        };
        let told = |documented: &str| {
            let new = worker("MODEL_NAME", documented);
            let items = compared(&worker("MODEL_PATH", "MODEL_PATH"), &new);
            let mut rows = items
                .into_iter()
                .filter(|item| item.id == "readme:MODEL_PATH");
            let row = rows.next().unwrap();
            (row.now, row.help)
        };
        let now = Some("readme:MODEL_NAME".to_owned());
        assert_eq!(told("MODEL_NAME"), (now, String::new()));
        let help = "Document MODEL_NAME in its place.".to_owned();
        assert_eq!(told("PORT"), (None, help));
    }
}
