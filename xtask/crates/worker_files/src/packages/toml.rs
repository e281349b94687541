//! As much of TOML as project files need: tables, and strings and lists of strings in them.

use std::ops::Range;

/// A string of a TOML file, with the table and the key that it stands under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlEntry {
    /// `project`, `tool.poetry.dependencies`
    pub table: String,
    /// How many tables came before it: `[[package]]`.
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
pub fn entries(text: &str) -> (Vec<TomlEntry>, Vec<Range<usize>>) {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let (mut table, mut number) = (String::new(), 0);
    let mut at = 0;
    while at < text.len() {
        let mut end = text[at..].find('\n').map_or(text.len(), |n| at + n);
        let line = text[at..end].trim();
        if line.is_empty() || line.starts_with('#') {
        } else if line.starts_with('[') {
            let name = line.split(']').next().unwrap_or_default();
            table = name.replace(['[', '"', '\'', ' '], "");
            number += 1;
        } else if let Some((key, _)) = text[at..end].split_once('=') {
            let from = at + key.len() + 1;
            let value = value(text, from);
            let entry = |value: &str, range: Range<usize>, listed: bool| TomlEntry {
                table: table.clone(),
                number,
                key: key.trim().trim_matches(['"', '\'']).to_owned(),
                value: value.to_owned(),
                range,
                listed,
            };
            let listed = value.rest.starts_with('[');
            if listed || value.rest.is_empty() && !value.strings.is_empty() {
                let strings = value.strings.into_iter();
                found.extend(strings.map(|(string, range)| entry(string, range, listed)));
            } else {
                let written = text[from..value.end.max(end)].trim();
                found.push(entry(written, from..value.end, false));
            }
            end = value.end.max(end);
            end += text[end..].find('\n').unwrap_or(text.len() - end);
        } else {
            unread.push(at..end);
        }
        at = end + 1;
    }
    (found, unread)
}

/// A value, which ends with its line or with the bracket that it begins with.
pub struct TomlValue<'t> {
    /// The strings in it, with their quotes in the place.
    pub strings: Vec<(&'t str, Range<usize>)>,
    /// What else there is, without space and comments.
    pub rest: String,
    pub end: usize,
}

/// Reads the value at a place; Python's lists of strings are written alike.
pub fn value(text: &str, mut at: usize) -> TomlValue<'_> {
    let (mut strings, mut rest, mut depth) = (Vec::new(), String::new(), 0usize);
    while let Some(c) = text[at..].chars().next() {
        match c {
            '\n' if depth == 0 => break,
            '#' => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            '"' | '\'' => {
                let long = c.to_string().repeat(3);
                let is_long = text[at..].starts_with(&long);
                let mark = if is_long { &long } else { &long[..1] };
                let inside = at + mark.len();
                let mut end = inside;
                while let Some(next) = text[end..].chars().next()
                    && !text[end..].starts_with(mark)
                {
                    end += next.len_utf8();
                    if next == '\\' && c == '"' {
                        end += text[end..].chars().next().map_or(0, char::len_utf8);
                    }
                }
                let behind = (end + mark.len()).min(text.len());
                strings.push((&text[inside..end], at..behind));
                at = behind;
                continue;
            }
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += c.len_utf8();
        rest.extend(Some(c).filter(|c| !c.is_whitespace()));
        if depth == 0 && matches!(c, ']' | '}') {
            break;
        }
    }
    let end = at;
    TomlValue { strings, rest, end }
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
