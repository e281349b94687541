//! What the Hub's form sets where nobody chooses: against the old form, and against what held
//! without one.

use super::super::facts::{Facts, WHEN};
use super::values::{env_line, same_value, show};
use super::{Item, Judge, Side, Verdict, attribute, difference};
use worker_files::{ALSO, is_one_of};
use xtask_core::sglang;

impl<'a> Judge<'a> {
    pub fn default(&self, name: &str, flag: &str, old: Side<'a>, new: Side<'a>) -> Item {
        let id = format!("hub:{name}");
        let types = [self.old, self.new].map(|facts| facts.attribute(&id, "type"));
        let is_switch = types.contains(&Some("boolean"));
        let sides = [(self.old, old), (self.new, new)];
        let [was, is] = sides.map(|(facts, side)| {
            let given = attribute(side, "value").or_else(|| facts.attribute(&id, "fixed"));
            let given = given.unwrap_or_default();
            if is_switch {
                switched(facts, &id, given)
            } else {
                given
            }
        });
        // A form without a default leaves it to SGLang.
        let own = self.own_default(flag);
        let is_own = |value: &str| own.as_deref().is_some_and(|own| same_value(value, own));
        let [old_number, number] = [was, is].map(|text| text.parse::<f64>().ok());
        let same = was == is || old_number.is_some() && old_number == number;
        let verdict = match old {
            _ if same || is.is_empty() && is_own(was) => Verdict::Kept,
            None => Verdict::Added,
            Some(_) => Verdict::Changed,
        };
        let item = Item::new(&format!("{id}.default"), verdict, old, new);
        if !is.is_empty() && self.refuses(flag, is) == Some(true) {
            let sglang = &self.sglang;
            let why = "an endpoint with this default never comes up.";
            return item.open(format!("{sglang} takes no {flag} {is}: {why}"));
        }
        let given = attribute(new, "value").unwrap_or_default();
        if old.is_none()
            && !given.is_empty()
            && let Some(held) = self.held_without_form(name, flag)
            && !self.is_alike(&id, held, given)
            && !((is_own(held) || same_value(held, "")) && is_own(given))
        {
            let item = Item::new(&item.id, Verdict::Added, old, new).open(format!(
                "New endpoints from the Hub start with `{given}`, which is stronger than what the image or the code sets; before, `{held}` held."
            ));
            return item.help(format!(
                "Write `{held}` as its default into .runpod/hub.json, or record why not."
            ));
        }
        // Where the old form left it empty, the old worker's own default held.
        let image = self.old.in_image(name);
        let before = image.or(attribute(self.old.variable(name), "default"));
        let is_as_before = is_own(is) || before.is_some_and(|before| same_value(before, is));
        let set = self.set_by_image(&format!("env:{name}"));
        let set = set.filter(|set| image != Some(*set));
        match verdict {
            // The form follows the worker's own default, as a fork restores that.
            Verdict::Changed if is_as_before && set.is_some_and(|set| same_value(set, is)) => {
                let mut item = item;
                item.keep(format!(
                    "It is the worker's own default now: {}.",
                    show(Some(is))
                ));
                item
            }
            Verdict::Added if !is.is_empty() && self.old.has(&id) && !is_as_before => {
                let why = format!("New endpoints start with `{is}`; the old form left it empty.");
                item.open(why)
            }
            Verdict::Changed => self.default_changed(name, item, old, new),
            _ => item,
        }
    }

    /// Another default of the form, and where else it has to be set.
    fn default_changed(&self, name: &str, item: Item, old: Side, new: Side) -> Item {
        let [was, is] = [old, new].map(|fact| attribute(fact, "value"));
        let item = item.why(format!("{}.", difference("default", was, is)));
        // Deployments without the form use the worker's own default, which should be the same.
        let code = attribute(self.new.variable(name), "default");
        let set = self.new.in_image(name).filter(|set| !set.contains('$'));
        let differs = |own: &&str| was.is_some_and(|was| !same_value(was, own));
        let own = set.or(code).filter(differs);
        match own.zip(was.and_then(|was| env_line(name, was))) {
            Some((own, line)) => item.help(format!(
                "Set it in hub.json again, and {line}: the worker's own default is `{own}`. Or record why not."
            )),
            None => item,
        }
    }

    /// Whether a default of the new form is what held before, or that can't be told.
    fn is_alike(&self, id: &str, held: &str, given: &str) -> bool {
        let is_switch = self.new.attribute(id, "type") == Some("boolean");
        let [on, off] = ["true", "false"].map(|key| self.new.attribute(id, key));
        let plain = |text: &str| {
            let text: String = text.trim_end_matches('/').split_whitespace().collect();
            let word = text.to_lowercase();
            if is_switch && (is_one_of("off no 0 false none", &word) || off == Some(&text)) {
                String::new()
            } else if is_switch && (is_one_of("on yes 1 true", &word) || on == Some(&text)) {
                "true".to_owned()
            } else {
                text
            }
        };
        held.contains(['$', '(']) || held.contains(ALSO) || same_value(&plain(held), &plain(given))
    }

    /// What a variable was to the old worker where no endpoint set it and no form had it: what the
    /// image or the code sets, under whatever name, or the value of its flag that was always passed.
    fn held_without_form(&self, name: &str, flag: &str) -> Option<&'a str> {
        let mut renamed = self.renamed.iter();
        let before = renamed.find(|(_, now)| *now == name);
        let before = before.map_or(name, |(before, _)| before);
        let form = self.old.attribute(&format!("hub:{before}"), "fixed");
        let set = form.or(self.old.attribute(&format!("image:{before}"), "value"));
        // What drove no flag was another thing.
        let sides = [self.old.variable(before), self.new.variable(name)];
        let [was, is] = sides.map(|fact| attribute(fact, "flag").is_some());
        // The default of a switch is a word of its own, and no value of the flag that it passes.
        let is_switch = sides[0].is_some_and(|fact| fact.get("how") == Some("switch"));
        let is_same_kind = !is_switch || sglang::is_switch(flag);
        let default = || attribute(sides[0], "default").filter(|_| (was || !is) && is_same_kind);
        // What was passed under a condition did not always hold.
        let passed = self.old.get(&format!("flag:{flag}"));
        let passed = passed.filter(|fact| !fact.has(WHEN) && !fact.has("from"));
        let fixed = || passed.and_then(|fact| fact.get("value"));
        set.or_else(default)
            .or_else(fixed)
            .filter(|held| !held.is_empty())
    }
}

/// What a switch's default stands for: `true`, or nothing for off.
fn switched<'f>(facts: &'f Facts, id: &str, value: &'f str) -> &'f str {
    let stands_for = |key| facts.attribute(id, key).filter(|it| !it.is_empty());
    match value {
        "false" | "0" | "no" | "off" => "",
        "1" | "yes" | "on" => "true",
        _ if stands_for("false") == Some(value) => "",
        _ if stands_for("true") == Some(value) => "true",
        _ => value,
    }
}
