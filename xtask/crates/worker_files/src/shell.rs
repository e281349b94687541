//! Shell: scripts, RUN lines and commands in shell form. It knows words, quotes, variables,
//! arrays and here-documents, and follows values that are written in the script; it runs nothing.

mod command;
mod parse;
mod value;

use std::collections::BTreeMap;
use std::ops::Range;

pub use command::{Given, started_through};
pub use parse::{exec, parse, parse_called, parse_with};

/// A word of a command, quotes removed and known variables filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// In bytes of the script.
    pub range: Range<usize>,
    /// Whether it stands instead of the word before it, as the values of a loop do.
    pub choice: bool,
}

impl Word {
    fn new(text: impl Into<String>, range: &Range<usize>) -> Self {
        let (text, range, choice) = (text.into(), range.clone(), false);
        Self {
            text,
            range,
            choice,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Command {
    pub words: Vec<Word>,
    /// Variables that are set for it alone: `NAME=value program`.
    pub sets: Vec<(String, String)>,
    /// Where the program's own name stands: behind `sudo`, `env A=1`, `exec`, `timeout 5`, …
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
}

/// `$NAME` or `${NAME…}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Variable {
    pub name: String,
    /// Behind `:-`, `-`, `:=` or `=`, or what the script sets it to where it is empty.
    pub default: Option<String>,
    /// Whether the script ends where it is unset: `${NAME:?why}`.
    pub required: bool,
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
    /// What was not understood: where, and why.
    pub unread: Vec<(Range<usize>, &'static str)>,
}

/// The text without functions that neither it nor other texts name, in which places stay true.
pub fn without_idle(text: &str, others: &[&str]) -> String {
    let is_part = |c: char| c.is_alphanumeric() || "_-".contains(c);
    let joined = text.replace("\\\n", " ");
    let code = joined.lines().map(str::trim_start);
    let code = code.filter(|line| !line.starts_with('#'));
    // A program that only running shows may be any of them.
    let mut count: BTreeMap<&str, usize> = BTreeMap::new();
    for line in code.chain(others.iter().copied()) {
        if line.trim_start_matches('"').starts_with('$') {
            return text.to_owned();
        }
        let words = line.split(|c| !is_part(c));
        words.for_each(|word| *count.entry(word).or_default() += 1);
    }
    let mut end = None;
    let lines = text.split_inclusive('\n').map(|line| {
        let body = line.trim_start();
        let indent = &line[..line.len() - body.len()];
        let head = body.strip_prefix("function ").unwrap_or(body);
        let name = head.split(|c| !is_part(c)).next().unwrap_or_default();
        let follows = head[name.len()..].trim_start().starts_with("()");
        let defines = follows || head.len() < body.len();
        if defines && count.get(name) == Some(&1) {
            end = end.or(Some(indent));
        }
        let text = end.map_or_else(|| line.to_owned(), |_| blank(line));
        let is_last = body.starts_with('}') || defines && body.trim_end().ends_with('}');
        end = end.filter(|end| !(is_last && *end == indent));
        text
    });
    lines.collect()
}

/// The lines of a text without what stands in them.
pub fn blank(text: &str) -> String {
    let blank = text
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    blank.collect()
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
