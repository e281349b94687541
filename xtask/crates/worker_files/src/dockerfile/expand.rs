//! Variables in a Dockerfile's arguments.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// No value grows beyond this: forty lines that double one another would fill the memory.
const LONGEST: usize = 16 * 1024;
/// `${A:-${B:-…}}` deeper than this is no Dockerfile made by a person.
const DEEPEST: usize = 60;

/// `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` with what is known of the names.
/// Text that grows beyond all measure stays as it is.
pub fn expand(text: &str, values: &BTreeMap<String, String>) -> String {
    try_expand(text, values).unwrap_or_else(|| text.to_owned())
}

/// The same; `None` where the text is nested too deeply or grows too long.
pub fn try_expand(text: &str, values: &BTreeMap<String, String>) -> Option<String> {
    let mut expander = Expander {
        chars: text.chars().peekable(),
        values,
    };
    expander.text(0)
}

struct Expander<'a> {
    chars: Peekable<Chars<'a>>,
    values: &'a BTreeMap<String, String>,
}

impl Expander<'_> {
    /// Reads to the end, or inside of brackets to the one that closes them.
    fn text(&mut self, depth: usize) -> Option<String> {
        if depth > DEEPEST {
            return None;
        }
        let mut out = String::new();
        while let Some(c) = self.chars.next() {
            match c {
                '}' if depth > 0 => return Some(out),
                '\\' if self.chars.peek() == Some(&'$') => out.extend(self.chars.next()),
                '$' => out.push_str(&self.variable(depth)?),
                c => out.push(c),
            }
            if out.len() > LONGEST.max(self.chars.size_hint().0) {
                return None;
            }
        }
        Some(out)
    }

    fn name(&mut self) -> String {
        let mut name = String::new();
        let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        while let Some(c) = self.chars.next_if(is_part) {
            name.push(c);
        }
        name
    }

    fn variable(&mut self, depth: usize) -> Option<String> {
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            let value = self.values.get(&name).cloned();
            return Some(value.unwrap_or(format!("${name}")));
        }
        let name = self.name();
        let colon = self.chars.next_if_eq(&':').is_some();
        let mark = |c: &char| matches!(c, '-' | '+' | '?' | '#' | '%' | '/');
        let operator = self.chars.next_if(mark);
        let other = self.text(depth + 1)?;
        let value = self.values.get(&name);
        let needs_text = colon || operator == Some('-');
        let holds = value.is_some_and(|value| !needs_text || !value.is_empty());
        Some(match (operator, value) {
            (Some('+'), _) if holds => other,
            (Some('+'), _) => String::new(),
            (Some('-'), _) if !holds => other,
            (_, Some(value)) => value.clone(),
            (_, None) if name.is_empty() => "$".to_owned(),
            (_, None) => format!("${name}"),
        })
    }
}
