//! What SGLang's table of flags says of a flag.

use super::super::facts::ALONE;
use super::Judge;
use serde_json::Value;
use std::collections::BTreeSet;
use xtask_core::sglang::{self, Table};

impl Judge<'_> {
    /// The flag's name in the pinned release, which an alias or a plain rename may lead to.
    pub fn canonical<'n>(&self, flag: &'n str) -> &'n str {
        let known = match self.tables.as_slice() {
            // A name for short stays what it was for all that is known.
            [] => Table::newest().flag(flag),
            tables => tables.iter().find_map(|table| known(*table, flag)),
        };
        known.map_or(flag, |(name, _)| name)
    }

    /// Whether two flags do the same in the pinned release.
    pub fn same_flag(&self, old: &str, new: &str) -> bool {
        let new = self.canonical(new);
        let successor = || sglang::successor(old).filter(|successor| sglang::is_plain(successor));
        self.canonical(old) == new || successor().is_some_and(|s| self.canonical(s) == new)
    }

    /// Whether the pinned release takes this flag, under this very name; `None` where its known
    /// neighbours disagree, or nothing is pinned.
    pub fn takes(&self, flag: &str) -> Option<bool> {
        let tables = self.tables.iter();
        let mut takes = tables.map(|table| known(*table, flag).is_some());
        let first = takes.next()?;
        ((first || !self.is_newer) && takes.all(|other| other == first)).then_some(first)
    }

    /// Whether none of the releases that the pinned one is judged by has this flag.
    pub fn lacks(&self, flag: &str) -> bool {
        let mut tables = self.tables.iter();
        tables.all(|table| known(*table, flag).is_none())
    }

    /// Whether the pinned release refuses this value; `None` where that is not known.
    pub fn refuses(&self, flag: &str, value: &str) -> Option<bool> {
        let refuses = self.tables.iter().map(|table| {
            let known = known(*table, flag);
            known.is_some_and(|(_, flag)| !flag.is_switch() && !flag.accepts(value))
        });
        let refuses: BTreeSet<bool> = refuses.collect();
        let is_known = refuses.len() < 2 && !(self.is_newer && refuses.contains(&true));
        is_known.then(|| refuses.contains(&true))
    }

    /// What `SGLang` itself does without the flag, as text; `None` where that is not known.
    pub fn own_default(&self, flag: &str) -> Option<String> {
        let tables = self.tables.iter();
        let successor = || sglang::successor(flag).filter(|flag| sglang::is_plain(flag));
        let named = |table| known(table, flag).or_else(|| known(table, successor()?));
        let mut defaults = tables.map(|table| Some(default_of(named(*table)?.1)));
        let first = defaults.next()?;
        first.filter(|first| defaults.all(|other| other.as_ref() == Some(first)))
    }
}

/// A flag of a release by its name, or by the beginning of it that its parser takes.
pub fn known(table: Table, flag: &str) -> Option<(&'static str, &'static sglang::Flag)> {
    table.flag(flag).or_else(|| table.abbreviated(flag))
}

/// The default of a flag of `SGLang`'s, as text.
pub fn default_of(flag: &sglang::Flag) -> String {
    match &flag.default {
        Value::String(text) => text.clone(),
        Value::Bool(true) if flag.is_switch() => ALONE.to_owned(),
        Value::Bool(false) if flag.is_switch() => String::new(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
