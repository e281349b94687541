//! YAML as the values of JSON with places: aliases and `<<` are resolved, every scalar is a text.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser};

use crate::json::{JsonKind, JsonNode, Member};
use crate::{Hides, Source, Unread};

/// Deeper nesting is made by no person.
const DEEPEST: usize = 200;

/// Where and why a text is no YAML that can be worked with.
pub type Fault = (usize, String);

/// A file's root; `null` where it is no YAML.
pub fn read(source: &Source, may_hide: &[Hides], unread: &mut Vec<Unread>) -> JsonNode {
    parse(&source.text).unwrap_or_else(|(at, what)| {
        unread.push(source.unread(at..at, format!("not YAML: {what}"), may_hide));
        JsonNode::new(0..0, JsonKind::Null)
    })
}

pub fn parse(text: &str) -> Result<JsonNode, Fault> {
    // The parser counts characters.
    let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    offsets.push(text.len());
    let offset = |index: usize| offsets.get(index).copied().unwrap_or(text.len());
    let mut root = JsonNode::new(0..0, JsonKind::Null);
    let mut anchors: HashMap<usize, JsonNode> = HashMap::new();
    // Collections that are open: anchor, start, members.
    let mut open: Vec<(usize, usize, Vec<JsonNode>)> = Vec::new();
    // Aliases may make a file as large as one likes: so much of it is filled in.
    let mut budget = 4 * text.len() + 100_000;
    let mut documents = 0;
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) =
            event.map_err(|error| (offset(error.marker().index()), error.info().to_owned()))?;
        let span = offset(span.start.index())..offset(span.end.index());
        let offset = span.start;
        let fault = |what: &str| Err((offset, what.to_owned()));
        let (anchor, node) = match event {
            Event::DocumentStart(_) => {
                documents += 1;
                if documents > 1 {
                    return fault("a second document");
                }
                continue;
            }
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if open.len() > DEEPEST {
                    return fault("more than 200 levels of nesting");
                }
                open.push((anchor, span.start, Vec::new()));
                continue;
            }
            Event::Alias(anchor) => {
                let Some(node) = anchors.get(&anchor) else {
                    return fault("an alias inside of what it stands for");
                };
                (anchor, node.clone())
            }
            Event::Scalar(value, _, anchor, _) => {
                let kind = JsonKind::String(value.into_owned());
                (anchor, JsonNode::new(span, kind))
            }
            end @ (Event::SequenceEnd | Event::MappingEnd) => {
                let Some((anchor, start, nodes)) = open.pop() else {
                    continue;
                };
                let kind = match end {
                    Event::MappingEnd => JsonKind::Object(members(nodes, text)),
                    _ => JsonKind::Array(nodes),
                };
                (anchor, JsonNode::new(start..span.end, kind))
            }
            _ => continue,
        };
        // What has a name is kept once more, and copied for each alias.
        if anchor > 0 {
            let (size, depth) = measure(&node);
            if size > budget || open.len() + depth > DEEPEST {
                return fault("this file unfolds to more than can be read");
            }
            budget -= size;
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            Some((.., members)) => members.push(node),
            None => root = node,
        }
    }
    Ok(root)
}

/// The values with the types that `PyYAML` gives to scalars without quotes.
pub fn typed(node: &JsonNode, text: &str) -> JsonNode {
    let inner = |node: &JsonNode| typed(node, text);
    let kind = match &node.kind {
        JsonKind::String(value) if text[node.span.clone()] == **value => plain(value),
        JsonKind::Array(items) => JsonKind::Array(items.iter().map(inner).collect()),
        JsonKind::Object(members) => {
            let member = |m: &Member| Member::new(&*m.key, m.key_span.clone(), inner(&m.value));
            JsonKind::Object(members.iter().map(member).collect())
        }
        kind => kind.clone(),
    };
    JsonNode::new(node.span.clone(), kind)
}

fn plain(value: &str) -> JsonKind {
    match value.to_ascii_lowercase().as_str() {
        "" | "~" | "null" => JsonKind::Null,
        "true" | "yes" | "on" => JsonKind::Bool(true),
        "false" | "no" | "off" => JsonKind::Bool(false),
        _ if is_number(value) => JsonKind::Number(value.to_owned()),
        _ => JsonKind::String(value.to_owned()),
    }
}

/// Whether a scalar is a decimal number; others (`010`, `0x10`, `1_000`) stay as they are written.
fn is_number(value: &str) -> bool {
    let digits = value.trim_start_matches(['-', '+']);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_all = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_octal = whole.len() > 1 && whole.starts_with('0');
    is_all(whole) && is_all(part) && !is_octal && value.len() - digits.len() < 2
}

/// How much a value holds, and how deep it is.
fn measure(node: &JsonNode) -> (usize, usize) {
    let alone = (1 + node.as_str().map_or(0, str::len), 1);
    let inside = node.values().chain(node.items()).map(measure);
    inside.fold(alone, |all, inner| {
        (all.0 + inner.0, all.1.max(inner.1 + 1))
    })
}

/// The members of a mapping from its keys and values in turn. Its own win over merged ones (`<<`).
fn members(nodes: Vec<JsonNode>, text: &str) -> Vec<Member> {
    let (mut members, mut merged) = (Vec::new(), Vec::new());
    let mut nodes = nodes.into_iter();
    while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
        let written = key.as_str().unwrap_or(&text[key.span.clone()]);
        if written == "<<" {
            merged.extend_from_slice(value.members());
            merged.extend(value.items().iter().flat_map(JsonNode::members).cloned());
        } else {
            members.push(Member::new(written, key.span.clone(), value));
        }
    }
    members.append(&mut merged);
    let mut names = HashSet::new();
    members.retain(|member| names.insert(member.key.clone()));
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bytes_even_behind_other_scripts() {
        let text = "# größe ✓\na: &x\n  b: 'ü'\nc: [\"d\", *x]\n";
        let root = parse(text).unwrap();
        let a = root.get("a").unwrap();
        assert_eq!(&text[a.get("b").unwrap().span.clone()], "'ü'");
        let c = root.list("c");
        assert_eq!(&c[1], a);
        assert_eq!(&text[c[0].span.clone()], "\"d\"");
    }

    #[test]
    fn merged_keys_are_seen() {
        let root = parse("x: &x {a: 1, b: 1}\ny:\n  <<: *x\n  b: 2\nz: {<<: [*x, {c: 3}]}\n");
        let root = root.unwrap();
        let members = |key: &str| {
            let members = root.object(key).iter();
            let text = |m: &Member| format!("{}{}", m.key, m.value.as_str().unwrap());
            members.map(text).collect::<Vec<_>>()
        };
        assert_eq!(members("y"), ["b2", "a1"]);
        assert_eq!(members("z"), ["a1", "b1", "c3"]);
    }

    #[test]
    fn scalars_have_types_where_they_are_asked_for() {
        let text = "[1, '1', no, 'no', ~, 1.5, a, 1.5.0, 010, 1e3]";
        let root = typed(&parse(text).unwrap(), text);
        let what: Vec<_> = root.items().iter().map(JsonNode::what).collect();
        let (number, string) = ("a number", "a string");
        let wanted = [
            number,
            string,
            "a boolean",
            string,
            "null",
            number,
            string,
            string,
            string,
            string,
        ];
        assert_eq!(what, wanted);
    }

    #[test]
    fn faults_are_told_not_guessed() {
        assert!(parse("a: [").is_err());
        assert!(parse("a: 1\n---\nb: 2\n").is_err());
        assert!(parse("a: &a [*a]\n").is_err());
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn aliases_that_unfold_without_end_are_a_fault() {
        let mut wide = "a0: &a0 [x, x]\n".to_owned();
        let mut deep = "a0: &a0 [x]\n".to_owned();
        for n in 1..2_000 {
            wide += &format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1);
            deep += &format!("a{n}: &a{n} [[*a{}]]\n", n - 1);
        }
        for text in [wide, deep] {
            assert!(parse(&text).unwrap_err().1.contains("unfolds"));
        }
    }
}
