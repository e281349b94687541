//! Printing. Nothing else prints, except for programs that show their own progress.
//!
//! Every format takes the findings and their [`Sources`], and returns a string; whoever prints it
//! decides about colour.

pub mod diff;
pub mod github;
pub mod json;
pub mod sarif;
pub mod style;
pub mod terminal;
pub mod text;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::ops::Range;

use anyhow::{Context, Result};
use serde_json::Value;

use self::style::BOLD;
use crate::finding::{Finding, Location, Severity, Span};
use crate::progress;
use crate::tree::RepoPath;

/// Prints to standard output, with colours where that is a terminal. A closed pipe (`| head`) is no
/// failure; a full disk is.
pub fn print(text: &str) -> Result<()> {
    write(anstream::stdout().lock(), &terminal::harmless(text, true))
}

#[macro_export]
macro_rules! say {
    ($($words:tt)*) => {
        let _ = $crate::output::print(&format!("{}\n", format_args!($($words)*)));
    };
}

/// Prints text without colours.
pub fn print_plain(text: &str) -> Result<()> {
    write(std::io::stdout().lock(), &terminal::harmless(text, false))
}

/// Prints one JSON object with the members of all `parts`.
pub fn print_parts(parts: &[&Value]) -> Result<()> {
    let objects = parts.iter().filter_map(|part| part.as_object().cloned());
    print_plain(&format!("{:#}\n", objects.flatten().collect::<Value>()))
}

/// Prints to standard error. If that fails too, only the exit code tells of the error.
pub fn tell(text: &str) {
    let _ = write(anstream::stderr().lock(), &terminal::harmless(text, true));
}

fn write(mut out: impl Write, text: &str) -> Result<()> {
    progress::clear();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing to standard output"),
    }
}

/// The texts of the files in which findings are.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<RepoPath, SourceText>);

impl Sources {
    pub fn add(&mut self, path: RepoPath, bytes: &[u8]) {
        self.0.insert(path, SourceText::new(bytes));
    }

    /// Takes the files of `other`, with their paths below `folder`.
    pub fn add_inside(&mut self, folder: &str, other: Self) {
        let files = other.0.into_iter();
        self.0
            .extend(files.map(|(path, text)| (path.inside(folder), text)));
    }

    pub fn get(&self, path: &RepoPath) -> Option<&SourceText> {
        self.0.get(path)
    }

    /// The start and the end of a place in a file that was read.
    pub fn positions(&self, place: &Location) -> Option<(Position, Position)> {
        Some(self.get(&place.path)?.positions(&place.span))
    }
}

#[derive(Debug)]
pub struct SourceText {
    text: String,
    lines: Vec<usize>,
}

/// A position for people: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl SourceText {
    fn new(bytes: &[u8]) -> Self {
        // Each invalid byte becomes one `?`, so that offsets stay right.
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { text, lines }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Limits a span to the text and to whole characters.
    fn clamp(&self, span: &Span) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        start..end
    }

    /// The line of a byte, counted from 0.
    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset) - 1
    }

    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_of(offset);
        let before = &self.text[self.lines[line]..offset];
        // A byte-order mark takes no column.
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        Position {
            line: line + 1,
            column: before.chars().count() + 1,
        }
    }

    pub fn positions(&self, span: &Span) -> (Position, Position) {
        let span = self.clamp(span);
        (self.position(span.start), self.position(span.end))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub errors: usize,
    pub warnings: usize,
}

impl Counts {
    pub fn of(findings: &[Finding]) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
        }
    }
}

/// An argument as a shell reads it.
pub fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_-./:@%+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A path as a shell reads it, for the commands of git that take patterns.
pub fn quoted_path(path: &RepoPath) -> String {
    let is_pattern = path.as_bytes().iter().any(|byte| b"*?[\\".contains(byte))
        || path.as_bytes().starts_with(b":");
    quote_with_prefix(if is_pattern { ":(literal)" } else { "" }, path)
}

/// A path as a shell reads it, for the commands of git that take files.
pub fn quoted_file(path: &RepoPath) -> String {
    quote_with_prefix("", path)
}

fn quote_with_prefix(prefix: &str, path: &RepoPath) -> String {
    if let Some(text) = path
        .as_str()
        .filter(|text| !text.contains(terminal::is_control))
    {
        return quoted(&format!("{prefix}{text}"));
    }
    let shown = |byte: &u8| match byte {
        b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
        b' '..=b'~' => char::from(*byte).to_string(),
        _ => format!("\\{byte:03o}"),
    };
    let path: String = path.as_bytes().iter().map(shown).collect();
    format!("$'{prefix}{path}'")
}

/// A size in decimal units, as docker shows it: `512 B`, `4.1 kB`, `1.2 GB`.
pub fn bytes(size: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if size < 1000 {
        return format!("{size} B");
    }
    // Tenths of a unit, rounded.
    let mut divisor = 100;
    for unit in UNITS {
        let tenths = size.saturating_add(divisor / 2) / divisor;
        if tenths < 10_000 {
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
        divisor *= 1000;
    }
    format!("{size} B")
}

/// A section of a report with its title; empty where it has no lines. Each line ends with a newline.
pub fn section(title: &str, lines: impl IntoIterator<Item = String>) -> String {
    let body: String = lines.into_iter().collect();
    if body.is_empty() {
        return body;
    }
    format!("\n{BOLD}{title}{BOLD:#}\n{body}")
}

/// The first characters of a text.
pub fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// "1 error", "2 errors".
pub fn counted(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// "2 errors, 1 warning"; empty where there is nothing.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [(self.errors, "error"), (self.warnings, "warning")];
        let some = all.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = some.map(|(count, word)| counted(*count, word)).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
