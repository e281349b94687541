//! The conditions of a script, and the flags that it writes below them.

use std::collections::{BTreeMap, BTreeSet};

use super::Script;
use crate::FlagKind;

/// A flag in the text of a script, and the condition that it stands below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConditionalFlag {
    pub flag: String,
    /// Nothing where the script always writes it.
    pub condition: Option<Condition>,
}

/// A test of one variable: `[ "$NAME" = true ]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    pub variable: String,
    /// The word that it is compared with, with the operator unless that is `=`. The words of a
    /// pattern of `case` have `|` between them.
    pub word: Option<String>,
    /// Whether the condition is true if the variable is empty.
    pub if_empty: bool,
}

/// Stands before the word of a negated condition.
pub const NOT: &str = "not ";
pub const NOT_SET: &str = "not set";

impl Condition {
    /// What people write is short; the rest is not kept for each flag below it.
    pub fn new(variable: String, word: Option<String>, if_empty: bool) -> Option<Self> {
        const LONGEST: usize = 200;
        let length = variable.len() + word.as_ref().map_or(0, String::len);
        (length <= LONGEST).then_some(Self {
            variable,
            word,
            if_empty,
        })
    }

    pub fn negate(&mut self) {
        self.if_empty = !self.if_empty;
    }

    /// The values for which it is true, in words; nothing where any value will do.
    fn values(&self) -> Vec<String> {
        match (&self.word, self.if_empty) {
            (Some(word), false) => word.split('|').map(str::to_owned).collect(),
            (Some(word), true) => vec![format!("{NOT}{word}")],
            (None, false) => Vec::new(),
            (None, true) => vec![NOT_SET.to_owned()],
        }
    }
}

impl Script {
    /// The variables that decide whether a flag is written, for each flag that the script nowhere
    /// writes without a condition.
    pub fn switches(&self) -> BTreeMap<&str, Vec<(String, FlagKind)>> {
        type Words<'s> = BTreeMap<&'s str, BTreeSet<String>>;
        let mut found: BTreeMap<&str, Option<Words<'_>>> = BTreeMap::new();
        for written in &self.flags {
            let known = found
                .entry(&written.flag)
                .or_insert_with(|| Some(Words::new()));
            match (&written.condition, known.as_mut()) {
                (Some(condition), Some(words)) => {
                    let words = words.entry(&condition.variable).or_default();
                    words.extend(condition.values());
                }
                _ => *known = None,
            }
        }
        let switch = |(name, words): (&str, BTreeSet<String>)| {
            let words = words.into_iter().collect();
            (name.to_owned(), FlagKind::Switch { words })
        };
        let found = found.into_iter();
        let found = found.filter_map(|(flag, words)| Some((flag, words?)));
        found
            .map(|(flag, words)| (flag, words.into_iter().map(switch).collect()))
            .collect()
    }
}
