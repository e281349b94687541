//! Unified diffs.

use anstyle::Style;

use super::style::{DIM, GREEN, RED};

pub fn unified(old_name: &str, new_name: &str, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    similar::TextDiff::from_lines(&*old, &*new)
        .unified_diff()
        .context_radius(2)
        .header(old_name, new_name)
        .to_string()
}

/// A diff in colours, each line behind `indent`.
pub fn coloured(diff: &str, indent: &str) -> String {
    let line = |line: &str| {
        let style = match line.as_bytes().first() {
            Some(b'+') => GREEN,
            Some(b'-') => RED,
            Some(b'@') => DIM,
            _ => Style::new(),
        };
        format!("{indent}{style}{line}{style:#}\n")
    };
    diff.lines().map(line).collect()
}
