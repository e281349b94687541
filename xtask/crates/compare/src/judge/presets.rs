//! Presets of the Hub's form: values for several variables, which may have other names now.

use std::collections::BTreeMap;

use super::super::facts::Fact;
use super::values::same_value;
use super::{Item, Judge, difference};

const AGAIN: &str = "Write it into .runpod/hub.json again";

impl Judge<'_> {
    pub fn preset_kept(&self, id: &str, old: &Fact, new: &Fact) -> Item {
        let [was, mut is] = [old, new].map(values);
        let mut followed = Vec::new();
        let mut lost = Vec::new();
        for (name, was) in was {
            let now = if is.contains_key(name) {
                name
            } else {
                self.other_name(name, &is)
            };
            let is = is.remove(now);
            if is.is_none_or(|is| !same_value(was, is)) {
                lost.push(difference(now, Some(was), is));
            } else if now != name {
                followed.push(format!("{now} in the place of {name}"));
            }
        }
        lost.extend(is.iter().map(|(name, is)| difference(name, None, Some(is))));
        let item = Item::by_differences(id, old, new, &lost);
        if lost.is_empty() && !followed.is_empty() {
            return item.why(format!("It sets {}.", followed.join(", ")));
        }
        item
    }

    pub fn setting_gone(&self, id: &str, old: &Fact) -> Item {
        let names = values(old).into_keys();
        let renamed =
            names.filter_map(|name| Some(format!("{} for {name}", self.renamed.get(name)?)));
        let renamed: Vec<String> = renamed.collect();
        let with = match renamed.as_slice() {
            [] => String::new(),
            names => format!(", with {}", names.join(", ")),
        };
        let gone = Item::missing(id, old).why("The new listing doesn't have it.");
        gone.help(format!("{AGAIN}{with}, or record why not."))
    }

    /// The name by which a new preset sets a variable: a new one, or another for the same flag.
    fn other_name<'n>(&'n self, name: &'n str, values: &BTreeMap<&str, &str>) -> &'n str {
        let flag = self.new.variable(name).and_then(|fact| fact.get("flag"));
        let others = flag.into_iter().flat_map(|flag| self.new.drivers(flag));
        let mut others = others.filter(|other| values.contains_key(*other));
        let renamed = self.renamed.get(name).map(String::as_str);
        renamed.or_else(|| others.next()).unwrap_or(name)
    }
}

/// The variables that a preset sets. A value may have spaces in it.
fn values(preset: &Fact) -> BTreeMap<&str, &str> {
    let text = preset.get("defaults").unwrap_or_default();
    let is_name = |word: &str| {
        let name = word.split_once('=').map_or("", |(name, _)| name);
        let is_of_a_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        !name.is_empty() && name.chars().all(is_of_a_name)
    };
    let spaces = text.match_indices(' ').map(|(at, _)| at);
    let starts = spaces.filter(|at| is_name(&text[at + 1..]));
    let ends: Vec<usize> = starts.chain([text.len()]).collect();
    let mut from = 0;
    let pairs = ends.into_iter().filter_map(|end| {
        let pair = text.get(from..end)?;
        from = end + 1;
        pair.split_once('=')
    });
    pairs.collect()
}
