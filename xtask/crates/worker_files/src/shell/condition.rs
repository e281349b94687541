//! The conditions of a script, and the flags that it writes below them.

use std::collections::BTreeMap;

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
    /// The word that it is compared with, with the operator unless that is `=`.
    pub word: Option<String>,
    /// Whether the condition is true if the variable is empty.
    pub if_empty: bool,
}

/// Stands before the word of a negated condition.
pub const NOT: &str = "not ";
pub const NOT_SET: &str = "not set";

impl Condition {
    pub fn negate(&mut self) {
        self.if_empty = !self.if_empty;
    }

    /// The values for which it is true, in words; nothing where any value will do.
    fn values(&self) -> Option<String> {
        match (&self.word, self.if_empty) {
            (Some(word), false) => Some(word.clone()),
            (Some(word), true) => Some(format!("{NOT}{word}")),
            (None, false) => None,
            (None, true) => Some(NOT_SET.to_owned()),
        }
    }
}

impl Script {
    /// The variables that decide whether a flag is written. None do if the script writes it
    /// somewhere without a condition.
    pub fn switches(&self, flag: &str) -> Vec<(String, FlagKind)> {
        let written = self.flags.iter().filter(|written| written.flag == flag);
        let conditions: Option<Vec<&Condition>> =
            written.map(|written| written.condition.as_ref()).collect();
        let mut words: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for condition in conditions.unwrap_or_default() {
            let known = words.entry(&condition.variable).or_default();
            known.extend(condition.values().filter(|word| !known.contains(word)));
        }
        let switch = |(name, words): (&str, _)| (name.to_owned(), FlagKind::Switch { words });
        words.into_iter().map(switch).collect()
    }
}
