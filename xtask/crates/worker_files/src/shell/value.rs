//! What the variables of a script hold, as far as the script says it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Word, variables};

/// No variable's value is longer than this: text that doubles with each line is cut off here.
const LONGEST: usize = 4 * 1024;
/// No loop or condition gives more values than this.
const MOST: usize = 256;

/// The value of a variable.
#[derive(Debug, Clone)]
pub enum Value {
    One(String),
    /// Any of these: the words of a loop, or the branches of a condition.
    Each(Vec<String>),
    Array(Vec<Word>),
}

/// The variables that a script sets.
#[derive(Debug, Clone, Default)]
pub struct Values {
    known: BTreeMap<String, Value>,
    set: BTreeSet<String>,
    /// Whether a value grew too long, and from then on none is followed.
    pub exhausted: bool,
}

impl Values {
    pub fn new(given: &BTreeMap<String, String>) -> Self {
        let one = |(name, value): (&String, &String)| (name.clone(), Value::One(value.clone()));
        Self {
            known: given.iter().map(one).collect(),
            ..Self::default()
        }
    }

    /// What another shell sees that runs this text.
    pub fn used_in(&self, text: &str) -> Self {
        let mut used = Self {
            exhausted: self.exhausted,
            ..Self::default()
        };
        for (name, _) in variables(text) {
            if let Some(value) = self.known.get(&name) {
                used.known.insert(name.clone(), value.clone());
            }
            if self.set.contains(&name) {
                used.set.insert(name);
            }
        }
        used
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.known.get(name)
    }

    /// Whether the script itself sets the variable.
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// The script sets the variable to something that is not known.
    pub fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.set.insert(name.to_owned());
    }

    pub fn put(&mut self, name: &str, value: Value) {
        self.set.insert(name.to_owned());
        let too_long = match &value {
            Value::One(text) => text.len() > LONGEST,
            Value::Each(texts) => texts.len() > MOST,
            Value::Array(words) => {
                words.len() > MOST || words.iter().map(|w| w.text.len()).sum::<usize>() > LONGEST
            }
        };
        self.exhausted |= too_long;
        if self.exhausted {
            self.known.remove(name);
        } else {
            self.known.insert(name.to_owned(), value);
        }
    }

    /// Sets a variable where the script may also leave it as it was.
    pub fn maybe(&mut self, name: &str, text: String, before: Option<String>) {
        let mut all = match self.known.remove(name) {
            Some(Value::One(old)) => vec![old],
            Some(Value::Each(old)) => old,
            Some(Value::Array(_)) | None => before.into_iter().collect(),
        };
        if !all.contains(&text) {
            all.push(text);
        }
        let value = match <[String; 1]>::try_from(all) {
            Ok([one]) => Value::One(one),
            Err(all) => Value::Each(all),
        };
        self.put(name, value);
    }

    /// `NAME+=text`.
    pub fn append(&mut self, name: &str, text: &str) {
        match self.known.get(name) {
            Some(Value::One(old)) => {
                let value = Value::One(format!("{old}{text}"));
                self.put(name, value);
            }
            _ => self.put(name, Value::One(text.to_owned())),
        }
    }

    /// `NAME+=(words)`.
    pub fn extend(&mut self, name: &str, words: Vec<Word>) {
        let mut all = match self.known.remove(name) {
            Some(Value::Array(old)) => old,
            _ => Vec::new(),
        };
        all.extend(words);
        self.put(name, Value::Array(all));
    }
}
