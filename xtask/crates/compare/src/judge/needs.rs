//! What must hold for a flag beside its own variables: `A, B or C, not D`.

use std::collections::BTreeSet;

use super::super::facts::{Fact, Facts, NEEDS};
use super::Judge;
use worker_files::ALSO;

impl Judge<'_> {
    /// Whether other variables must hold for a flag now, or must not. One that is new and need not
    /// be set changes nothing for endpoints that exist.
    pub fn needs_otherwise(&self, old: &Fact, new: &Fact) -> bool {
        let was = groups(old, self.old).into_iter();
        let was: BTreeSet<String> = was.map(|group| self.followed(group)).collect();
        let is = groups(new, self.new).into_iter().map(str::to_owned);
        let is: BTreeSet<String> = is.collect();
        // One variable alone that decides on a flag is told as that.
        let is_told = |fact: &Fact, all: &BTreeSet<String>, group: &str| {
            all.is_empty() && own(fact).contains(group)
        };
        let mut added = is.difference(&was);
        let mut gone = was.difference(&is);
        // What nothing reads any more is missing by itself.
        let is_read = |group: &str| names(group).any(|name| self.new.variable(name).is_some());
        added.any(|group| !is_told(old, &was, group) && !self.holds_unset(group))
            || gone.any(|group| !is_told(new, &is, group) && is_read(group))
    }

    /// Whether a group of new variables holds where none of them is set.
    fn holds_unset(&self, group: &str) -> bool {
        let wanted = !group.starts_with(NOT);
        names(group).all(|name| {
            let Some(new) = self.new.variable(name) else {
                return false;
            };
            let default = new.get("default").unwrap_or_default();
            let is_one = |words: &str| {
                let mut words = words.split([',', '"', '[', ']', ' ']);
                words.any(|word| !word.is_empty() && word.eq_ignore_ascii_case(default))
            };
            let how = new.get("interpreted").unwrap_or("truthy");
            let how = how.strip_suffix(" any case").unwrap_or(how);
            // A test under `not` is told as its opposite.
            let holds = match how.split_once(' ') {
                Some(("==" | "in", words)) => is_one(words),
                Some(("!=", words)) => !is_one(words),
                Some(("not", words)) if words.starts_with("in") => !is_one(&words[2..]),
                Some(("not", _)) => default.is_empty(),
                _ if how == "int" => !matches!(default, "" | "0"),
                _ => default.is_empty() != wanted,
            };
            self.old.variable(name).is_none() && holds
        })
    }
}

const NOT: &str = "not ";

fn names(group: &str) -> impl Iterator<Item = &str> {
    let words = group.strip_prefix(NOT).unwrap_or(group).split(' ');
    words.filter(|word| *word != "or")
}

/// The variables that a flag's value comes from, or that decide on it.
fn own(fact: &Fact) -> BTreeSet<&str> {
    let from = fact.parts("from", ALSO);
    from.flat_map(|one| one.split(' ')).collect()
}

/// What must hold, other than that the variable of a flag's value says nothing: what is passed then
/// is told as its default.
fn groups<'f>(fact: &'f Fact, facts: &Facts) -> BTreeSet<&'f str> {
    let own = own(fact);
    let is_value = |name: &str| {
        let how = facts.variable(name).and_then(|fact| fact.get("how"));
        own.contains(name) && how == Some("value")
    };
    let all = fact.parts(NEEDS, ALSO).flat_map(|all| all.split(", "));
    let is_default = |group: &&str| group.starts_with(NOT) && names(group).all(is_value);
    all.filter(|group| !is_default(group)).collect()
}
