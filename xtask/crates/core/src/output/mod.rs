//! Printing, and texts for people. Nothing else prints, except for programs that show their own
//! progress.

pub mod diff;
pub mod style;
pub mod terminal;

use std::io::{ErrorKind, Write};

use anyhow::{Context, Result};
use serde_json::Value;

use self::style::BOLD;
use self::terminal::is_control;
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
    if let Some(text) = path.as_str().filter(|text| !text.contains(is_control)) {
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

#[cfg(test)]
mod tests;
