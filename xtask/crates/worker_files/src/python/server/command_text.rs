//! Commands that are one text, and the parts that they have only sometimes.

use crate::python::Set;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};
use crate::{Hides, shell};

/// The parts of a command that were looked at, and the texts whose flags were noted.
#[derive(Default)]
struct Seen<'t> {
    parts: Set<Node<'t>>,
    texts: Set<Node<'t>>,
}

impl<'t> Reader<'t> {
    /// Notes the flags of a command that is a single text.
    pub fn note_command_text(&mut self, node: Node<'t>) {
        self.note_text_flags(node);
        // A text may be made longer again and again: each part is looked at once.
        let mut seen = Seen::default();
        for part in text_parts(node) {
            self.note_optional(part, &mut seen);
        }
    }

    fn note_text_flags(&mut self, node: Node<'t>) {
        for ctx in self.each_context(node, &[node], Hides::Flags) {
            let value = self.at(node, &ctx);
            let parts = value.pieces();
            let text = |(at, part): (usize, &Val<'t>)| match part.as_str() {
                Some(text) => text.to_owned(),
                // Words that may be missing are no part of the word before them.
                None if is_optional(part) => format!(" \u{1}{at}\u{1} "),
                None => format!("\u{1}{at}\u{1}"),
            };
            let text: String = parts.iter().enumerate().map(text).collect();
            for command in &shell::parse(&text).commands {
                let words = command.words.iter();
                let words = words.map(|word| restore_parts(&word.text, parts));
                self.note_flags_in(node, &words.collect::<Vec<_>>(), &ctx);
            }
        }
    }

    /// Notes the flags of a part of a command that is not always the same:
    /// `"--flag" if test else ""`, `extra += " --flag"`.
    fn note_optional(&mut self, part: Node<'t>, seen: &mut Seen<'t>) {
        let part = part.without_parentheses();
        self.steps += 1;
        if !seen.parts.insert(part) || self.steps > self.limit {
            return;
        }
        match part.kind() {
            "conditional_expression" => {
                let holds = part.condition();
                let holds = holds.and_then(|one| self.static_truth(one, &Ctx::default()));
                for (at, runs_if) in [(0, true), (2, false)] {
                    if let Some(branch) = part.child(at).filter(|_| holds != Some(!runs_if)) {
                        self.note_added_text(branch, seen);
                    }
                }
            }
            "identifier" | "attribute" => {
                // The flags of a text that is always the same are noted with the whole command.
                let sets = match self.value(part).is_text() {
                    true => Vec::new(),
                    false => self.definitions_of(part),
                };
                for set in sets {
                    self.note_added_text(set, seen);
                }
                let added = self.program.variable(part);
                let added = added.and_then(|name| self.program.changes.get(&name).cloned());
                for change in added.unwrap_or_default() {
                    if let Some(added) = change.field("right").or(change.argument(0)) {
                        self.note_added_text(added, seen);
                    }
                }
            }
            // A function that gives a part: `f"python3 … {metrics()}"`.
            "call" => {
                if let Val::Func(function, ..) = self.callee(part) {
                    for returned in self.return_values(function).iter() {
                        self.note_added_text(*returned, seen);
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes the flags of a text that is a part of a command, and of its own parts.
    fn note_added_text(&mut self, text: Node<'t>, seen: &mut Seen<'t>) {
        let text = text.without_parentheses();
        if !seen.texts.insert(text) {
            return;
        }
        let is_words = text.is_any("string concatenated_string binary_operator call");
        if is_words && self.value(text).pieces().iter().any(starts_flag) {
            self.note_text_flags(text);
        }
        let parts = text_parts(text);
        let own = parts.is_empty().then_some(text);
        for part in parts.into_iter().chain(own) {
            self.note_optional(part, seen);
        }
    }
}

/// Whether a text has a flag at its beginning.
fn starts_flag(piece: &Val<'_>) -> bool {
    let starts = |text: &str| text.trim_start().starts_with("--");
    piece
        .each()
        .iter()
        .any(|one| one.as_str().is_some_and(starts))
}

/// Words of a command that may be missing, or begin with a flag.
fn is_optional(part: &Val<'_>) -> bool {
    let is_word = |one: &Val<'_>| {
        let first = one.pieces().first();
        first.is_some_and(|first| first.as_str() == Some("") || starts_flag(first))
    };
    matches!(part, Val::Any(all) if all.iter().all(is_word))
}

/// What a text is put together from: the values in an f-string, a sum, `format` and `join`.
fn text_parts(text: Node<'_>) -> Vec<Node<'_>> {
    let text = text.without_parentheses();
    match text.kind() {
        "string" => {
            let inner = text.children_of("interpolation");
            inner.filter_map(|one| one.child(0)).collect()
        }
        "concatenated_string" | "binary_operator" => {
            let all = text.children().flat_map(|one| match text_parts(one) {
                parts if parts.is_empty() => vec![one],
                parts => parts,
            });
            all.collect()
        }
        "call" if is_among("join format", text.callee_name()) => {
            let values = text.argument_values().into_iter();
            let listed = |one: Node<'_>| one.is_any("list tuple");
            values
                .flat_map(|one| match listed(one) {
                    true => one.children().collect(),
                    false => vec![one],
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The text of a shell with its variables: `$NAME`, `${NAME:-default}`.
fn with_variables<'t>(text: &str) -> Val<'t> {
    let mut whole = Val::text("");
    let mut done = 0;
    for (name, range) in shell::variables(text) {
        let rest = text.get(range.end..).unwrap_or_default();
        let braced = text[range.clone()]
            .starts_with("${")
            .then(|| rest.split_once('}'))
            .flatten();
        let (under, end) = braced.map_or(("", range.end), |(under, _)| {
            (under, range.end + under.len() + 1)
        });
        let default = under.strip_prefix(":-").or(under.strip_prefix('-'));
        let default = default.map_or(Val::None, Val::text);
        let before = text.get(done..range.start).unwrap_or_default();
        let variable = Val::Env(name.as_str().into(), default.into());
        whole = whole.join(&Val::text(before)).join(&variable);
        done = end;
    }
    let rest = Val::text(text.get(done..).unwrap_or_default());
    let pieces = whole.join(&rest);
    let told = pieces
        .pieces()
        .iter()
        .filter(|one| one.as_str() != Some(""));
    told.cloned()
        .reduce(|a, b| a.join(&b))
        .unwrap_or(Val::text(""))
}

/// A word of a text whose unknown parts were replaced by their numbers.
fn restore_parts<'t>(word: &str, parts: &[Val<'t>]) -> Val<'t> {
    let piece = |(at, piece): (usize, &str)| match piece.parse::<usize>() {
        Ok(number) if at % 2 == 1 => parts.get(number).cloned().unwrap_or(Val::Unknown),
        _ => with_variables(piece),
    };
    let pieces = word.split('\u{1}').enumerate().map(piece);
    let pieces = pieces.filter(|piece| piece.as_str() != Some(""));
    let whole = pieces.reduce(|a, b| a.join(&b));
    whole.unwrap_or_else(|| Val::text(""))
}
