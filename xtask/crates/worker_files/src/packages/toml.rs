//! As much of TOML as project files need: tables, and strings and lists of strings in them.

use std::ops::Range;

/// A string of a TOML file, with the table and the key that it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `project`, `tool.poetry.dependencies`
    pub table: String,
    /// How many tables of that name came before it: `[[package]]`.
    pub number: usize,
    /// Bare or quoted, dots included.
    pub key: String,
    /// The string, or a list's; the value as written where it is something else.
    pub value: String,
    pub range: Range<usize>,
    /// Whether it is an item of a list.
    pub listed: bool,
}

/// Reads the entries of a TOML file; what is no TOML is passed over, and told by its place.
pub fn entries(text: &str) -> (Vec<Entry>, Vec<Range<usize>>) {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let (mut table, mut number) = (String::new(), 0);
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
        let line = text[at..end].trim();
        if line.is_empty() || line.starts_with('#') {
            at = end + 1;
        } else if line.starts_with('[') {
            let close = line.find(']').unwrap_or(line.len());
            table = line[..close]
                .trim_matches(['[', ' '])
                .replace(['"', '\'', ' '], "");
            number += 1;
            at = end + 1;
        } else if let Some(equals) = text[at..end].find('=') {
            let key = text[at..at + equals]
                .trim()
                .trim_matches(['"', '\''])
                .to_owned();
            let entry = |value: &str, range: Range<usize>, listed: bool| Entry {
                table: table.clone(),
                number,
                key: key.clone(),
                value: value.to_owned(),
                range,
                listed,
            };
            at = value(text, at + equals + 1, &entry, &mut found);
        } else {
            unread.push(at..end);
            at = end + 1;
        }
    }
    (found, unread)
}

/// Reads the value at `at`, and says where the next line begins.
fn value(
    text: &str,
    at: usize,
    entry: &dyn Fn(&str, Range<usize>, bool) -> Entry,
    found: &mut Vec<Entry>,
) -> usize {
    let bytes = text.as_bytes();
    let mut at = at;
    let (mut depth, mut plain) = (0usize, None);
    let from = at;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' if depth == 0 => break,
            b'#' => {
                at = text[at..].find('\n').map_or(bytes.len(), |n| at + n);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            quote @ (b'"' | b'\'') => {
                let mark = if quote == b'"' { "\"" } else { "'" };
                let long = mark.repeat(3);
                let mark = if text[at..].starts_with(&long) {
                    &long
                } else {
                    mark
                };
                let inside = at + mark.len();
                let mut end = inside;
                while end < bytes.len() && !text.is_char_boundary(end)
                    || end < bytes.len() && !text[end..].starts_with(mark)
                {
                    end += 1 + usize::from(bytes[end] == b'\\' && quote == b'"');
                }
                let end = end.min(bytes.len());
                if let Some(string) = text.get(inside..end) {
                    if depth == 0 {
                        found.push(entry(string, at..(end + mark.len()).min(text.len()), false));
                        plain = Some(());
                    } else if text[from..at].trim_start().starts_with('[') {
                        found.push(entry(string, at..(end + mark.len()).min(text.len()), true));
                    }
                }
                at = end + mark.len();
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    let at = at.min(text.len());
    let written = text.get(from..at).unwrap_or_default().trim();
    if plain.is_none() && !written.starts_with('[') {
        found.push(entry(written, from..at, false));
    }
    at + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_lists_and_tables() {
        let text = "a = 1 # x\n[project]\nname = \"w\"\ndependencies = [\n  \"foo>=1\", # why\n  'bar',\n]\n[tool.poetry.dependencies]\npython = \"^3.10\"\n\"q.r\" = { version = \"^1\", extras = [\"a\"] }\n[[package]]\nname = \"é\"\n";
        let (found, unread) = entries(text);
        let found: Vec<_> = found
            .iter()
            .map(|e| format!("{}|{}|{}|{}", e.table, e.key, e.value, e.listed))
            .collect();
        assert_eq!(
            found,
            [
                "|a|1 # x|false",
                "project|name|w|false",
                "project|dependencies|foo>=1|true",
                "project|dependencies|bar|true",
                "tool.poetry.dependencies|python|^3.10|false",
                "tool.poetry.dependencies|q.r|{ version = \"^1\", extras = [\"a\"] }|false",
                "package|name|é|false",
            ]
        );
        assert!(unread.is_empty());
        for broken in [
            "[", "a = \"", "a = [\"x", "=", "é", "a = '''", "\"", "a=\"\\",
        ] {
            let _ = entries(broken);
        }
    }
}
