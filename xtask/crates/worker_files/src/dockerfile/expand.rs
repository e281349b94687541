//! Variables in a Dockerfile's arguments.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// What is known of the variables.
pub type Values = BTreeMap<String, String>;

/// No value grows beyond this: forty lines that double one another would fill the memory.
const LONGEST: usize = 16 * 1024;
/// `${A:-${B:-…}}` deeper than this is no Dockerfile made by a person.
const DEEPEST: usize = 60;

/// `$NAME`, `${NAME}`, `${NAME:-default}` and `${NAME:+other}` with what is known of the names.
/// Text that grows beyond all measure stays as it is.
pub fn expand(text: &str, values: &Values) -> String {
    try_expand(text, values).unwrap_or_else(|| text.to_owned())
}

/// The same; `None` where the text is nested too deeply or grows too long.
pub fn try_expand(text: &str, values: &Values) -> Option<String> {
    expand_to_end(&mut text.chars().peekable(), values, 0)
}

/// Reads to the end, or inside of brackets to the one that closes them.
fn expand_to_end(chars: &mut Peekable<Chars>, values: &Values, depth: usize) -> Option<String> {
    if depth > DEEPEST {
        return None;
    }
    let mut out = String::new();
    while let Some(c) = chars.next() {
        match c {
            '}' if depth > 0 => return Some(out),
            '\\' if chars.peek() == Some(&'$') => out.extend(chars.next()),
            '$' => out.push_str(&variable(chars, values, depth)?),
            c => out.push(c),
        }
        if out.len() > LONGEST.max(chars.size_hint().0) {
            return None;
        }
    }
    Some(out)
}

/// Whether a value is another variable and nothing else.
fn is_name(value: &str) -> bool {
    let name = value.strip_prefix('$');
    name.is_some_and(|name| name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_'))
}

fn variable(chars: &mut Peekable<Chars>, values: &Values, depth: usize) -> Option<String> {
    let is_braced = chars.next_if_eq(&'{').is_some();
    let is_part = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    let name: String = std::iter::from_fn(|| chars.next_if(is_part)).collect();
    let value = values.get(&name);
    if !is_braced {
        return Some(value.cloned().unwrap_or(format!("${name}")));
    }
    let colon = chars.next_if_eq(&':').is_some();
    let mark = |c: &char| matches!(c, '-' | '+' | '?' | '#' | '%' | '/');
    let operator = chars.next_if(mark);
    let other = expand_to_end(chars, values, depth + 1)?;
    let needs_text = colon || operator == Some('-');
    let holds = value.is_some_and(|value| !needs_text || !value.is_empty());
    Some(match (operator, value) {
        (Some('+'), _) if holds => other,
        (Some('+'), _) => String::new(),
        (Some('-'), _) if !holds => other,
        // What a build argument gives is known at the build only.
        (Some('-'), Some(value)) if is_name(value) => format!("${{{}:-{other}}}", &value[1..]),
        (_, Some(value)) => value.clone(),
        (_, None) if name.is_empty() => "$".to_owned(),
        (_, None) => format!("${name}"),
    })
}
