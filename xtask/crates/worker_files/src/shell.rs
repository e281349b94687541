//! Shell: scripts, RUN lines and commands in shell form. It knows words, quotes, variables,
//! arrays and here-documents, and follows values that are written in the script; it runs nothing.

mod command;
mod condition;
mod parse;
mod value;

use std::ops::Range;

use xtask_core::sglang;

pub use command::{ServerFlag, started_through, without_braces};
pub use condition::{
    AND, COMPARING, Condition, Guard, NOT, NOT_SET, OR, WrittenFlag, compared_words,
};
pub use parse::{exec, parse, parse_called, parse_with};

/// A word of a command, quotes removed and known variables filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// In bytes of the script.
    pub range: Range<usize>,
    /// Whether it is an alternative to the word before it, like another value of a loop.
    pub choice: bool,
    /// Whether it is a variable in quotes, which stays one word.
    pub quoted: bool,
}

impl Word {
    pub fn new(text: impl Into<String>, range: &Range<usize>) -> Self {
        Self {
            text: text.into(),
            range: range.clone(),
            choice: false,
            quoted: false,
        }
    }

    /// Whether it is a flag whose value may be the next word. What the shell fills in behind a
    /// switch is arguments: `"${ARGS[@]}" $EXTRA`.
    fn may_take(&self, next: &Self) -> bool {
        let is_flag = self.text.starts_with("--") && !self.text.contains('=');
        is_flag && !(next.text.starts_with(['$', '`']) && sglang::is_switch(&self.text))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    pub words: Vec<Word>,
    /// Variables that are set for it alone: `NAME=value program`.
    pub sets: Vec<(String, String)>,
    /// The index of the program's name: behind `sudo`, `env A=1`, `exec`, `timeout 5`, …
    start: usize,
    /// The files that its output goes to.
    pub writes: Vec<String>,
    /// The text that a here-document or a here-string gives it.
    pub input: Option<(String, Range<usize>)>,
    /// The file whose words are its further arguments, as `xargs` passes them.
    pub list: Option<String>,
    /// Whether it reads what the command before it prints.
    pub piped: bool,
    /// Whether what it sets is seen by all programs: `set -a; . ./.env`.
    pub exports: bool,
    /// The conditions that it stands below.
    pub guard: Guard,
}

/// `$NAME` or `${NAME…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Behind `:-`, `-`, `:=` or `=`, or what the script sets it to where it is empty.
    pub default: Option<String>,
    /// Whether an empty value stays: `${NAME-default}`.
    pub keeps_empty: bool,
    /// Whether the script ends where it is unset: `${NAME:?why}`.
    pub required: bool,
    /// Whether the script tests for it, and ends with an error where it is empty.
    pub checked: bool,
    /// The words that it is compared with: `== true`, `in [a,b]`.
    pub compared: Option<String>,
    pub range: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    pub commands: Vec<Command>,
    /// Variables that the script uses and does not set before.
    pub reads: Vec<Variable>,
    /// Variables that it sets, with their values.
    pub sets: Vec<(String, String, Range<usize>)>,
    /// Those of them that the programs see which it starts.
    pub exports: Vec<(String, String, Range<usize>)>,
    /// Those that are exported below conditions on others.
    pub guarded_exports: Vec<(String, Guard)>,
    pub flags: Vec<WrittenFlag>,
    /// What was not understood: where, and why.
    pub unread: Vec<(Range<usize>, &'static str)>,
}

/// The lines of a text with spaces in place of all characters.
pub fn blank(text: &str) -> String {
    let blank = |byte| if byte == b'\n' { '\n' } else { ' ' };
    text.bytes().map(blank).collect()
}

pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

pub fn variables(text: &str) -> Vec<(String, Range<usize>)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices('$') {
        let from = at + 1 + usize::from(text[at + 1..].starts_with('{'));
        let after =
            text[from..].trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let end = text.len() - after.len();
        if is_name(&text[from..end]) {
            found.push((text[from..end].to_owned(), at..end));
        }
    }
    found
}

#[cfg(test)]
mod tests;
