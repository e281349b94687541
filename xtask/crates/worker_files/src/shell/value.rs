//! The values of a script's variables, as far as the script shows them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Word, variables};

/// No variable's value is longer than this: text that doubles with each line is cut off here.
const LONGEST: usize = 4 * 1024;
/// No loop or condition gives more values than this.
const MOST: usize = 256;

/// The names of what a script or a function is called with.
pub const ARGUMENTS: &str = "@ 1 2 3 4 5 6 7 8 9";

#[derive(Debug, Clone)]
pub enum ShellValue {
    /// Any of these: one text, or the words of a loop, or what the branches of a condition set.
    Any(Vec<String>),
    Array(Vec<Word>),
}

impl ShellValue {
    pub fn one(text: impl Into<String>) -> Self {
        Self::Any(vec![text.into()])
    }

    /// The texts, of which an array has several at once.
    pub fn texts(&self) -> Vec<&str> {
        match self {
            Self::Any(texts) => texts.iter().map(String::as_str).collect(),
            Self::Array(words) => words.iter().map(|word| word.text.as_str()).collect(),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Values {
    known: BTreeMap<String, ShellValue>,
    set: BTreeSet<String>,
    /// Whether a value grew too long, and from then on none is followed.
    pub exhausted: bool,
}

impl Values {
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let mut values = Self::default();
        for (name, value) in environment {
            values.known.insert(name.clone(), ShellValue::one(value));
        }
        values
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

    pub fn get(&self, name: &str) -> Option<&ShellValue> {
        self.known.get(name)
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// The script sets the variable to something that is not known.
    pub fn forget(&mut self, name: &str) {
        self.known.remove(name);
        self.set.insert(name.to_owned());
    }

    pub fn put(&mut self, name: &str, value: ShellValue) {
        self.set.insert(name.to_owned());
        let texts = value.texts();
        let lengths = texts.iter().map(|text| text.len());
        let longest = match value {
            ShellValue::Array(_) => lengths.sum(),
            ShellValue::Any(_) => lengths.max().unwrap_or_default(),
        };
        self.exhausted |= texts.len() > MOST || longest > LONGEST;
        if self.exhausted {
            self.known.remove(name);
        } else {
            self.known.insert(name.to_owned(), value);
        }
    }

    /// Sets a variable where the script may also leave it as it was.
    pub fn put_conditionally(&mut self, name: &str, text: String, before: Option<String>) {
        let mut texts = match self.known.remove(name) {
            Some(ShellValue::Any(old)) => old,
            _ => before.into_iter().collect(),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
        self.put(name, ShellValue::Any(texts));
    }

    pub fn append(&mut self, name: &str, text: &str) {
        let texts = match self.known.get(name) {
            Some(ShellValue::Any(old)) => old.iter().map(|old| format!("{old}{text}")).collect(),
            _ => vec![text.to_owned()],
        };
        self.put(name, ShellValue::Any(texts));
    }

    /// Gives a function its arguments, and takes those around it.
    pub fn enter(&mut self, arguments: &[Word]) -> Self {
        let mut around = Self::default();
        for name in ARGUMENTS.split(' ') {
            let known = self.known.remove(name);
            around
                .known
                .extend(known.map(|value| (name.to_owned(), value)));
            around.set.extend(self.set.take(name));
        }
        self.put("@", ShellValue::Array(arguments.to_vec()));
        let is_open = |word: &Word| matches!(&*word.text, "$@" | "$*");
        if !arguments.iter().any(is_open) {
            for (name, word) in ARGUMENTS.split(' ').skip(1).zip(arguments) {
                self.put(name, ShellValue::one(&*word.text));
            }
        }
        around
    }

    /// Puts back the arguments around a function.
    pub fn leave(&mut self, around: Self) {
        for name in ARGUMENTS.split(' ') {
            self.known.remove(name);
            self.set.remove(name);
        }
        self.known.extend(around.known);
        self.set.extend(around.set);
    }

    pub fn extend(&mut self, name: &str, words: Vec<Word>) {
        let mut all = match self.known.remove(name) {
            Some(ShellValue::Array(old)) => old,
            _ => Vec::new(),
        };
        all.extend(words);
        self.put(name, ShellValue::Array(all));
    }
}
