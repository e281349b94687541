//! JSON with places: a strict parser whose messages help.
//!
//! Other parsers stop at the first mistake and don't say where an unclosed brace was opened or what
//! to write instead. This one goes on after mistakes that leave no doubt (a comment, a trailing
//! comma), so that all of them are reported, and fixed, at once. It nests no deeper than
//! [`MAX_DEPTH`], so that no input can exhaust the stack, and reads each byte a bounded number of
//! times. It accepts without a problem exactly what `serde_json` accepts; tests compare the two.

mod node;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;

use std::collections::HashMap;

use crate::{Source, Unread};
pub use node::{JsonKind, JsonNode, Member, Parsed, Problem, ProblemKind};

/// Deeper nesting is refused. `serde_json` has the same limit.
pub const MAX_DEPTH: usize = 127;

/// Bytes of the text.
/// Bytes of a file, or of a file's text.
pub type Span = std::ops::Range<usize>;

/// The root of a JSON file, or what is wrong with it.
pub fn read(source: &Source) -> Result<JsonNode, Unread> {
    let Parsed { root, problems } = parse(source.text.as_bytes());
    root.ok_or_else(|| {
        let first = problems.first();
        let (what, at) = first.map_or(("it is empty", 0), |p| (&*p.message, p.span.start));
        Unread::new(format!("not JSON: {what}"), source.place(at..at))
    })
}

pub fn parse(bytes: &[u8]) -> Parsed {
    let mut parser = Parser {
        text: std::str::from_utf8(bytes).unwrap_or_default(),
        bytes,
        ..Parser::default()
    };
    let root = match std::str::from_utf8(bytes) {
        Ok(_) => parser.document(),
        Err(error) => {
            let utf_16 = bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff");
            let at = error.valid_up_to();
            let end = at + error.error_len().unwrap_or(bytes.len() - at);
            let (span, message) = if utf_16 {
                (0..2, "the file is UTF-16; JSON files are UTF-8")
            } else {
                (at..end, "these bytes are not UTF-8")
            };
            parser.note(ProblemKind::Encoding, span, message);
            None
        }
    };
    let mut problems = parser.problems;
    problems.sort_by_key(|problem| problem.span.start);
    Parsed { root, problems }
}

/// Stops the parser: the problem is noted already.
struct Stop;

#[derive(Default)]
struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Where the line begins that is being read.
    line: usize,
    /// The brackets that are open.
    open: Vec<usize>,
    /// The first bracket that was closed at another indentation than its own. If one is not closed,
    /// it is most likely this one.
    misindented: Option<usize>,
    problems: Vec<Problem>,
}

impl Parser<'_> {
    fn note(&mut self, kind: ProblemKind, span: Span, message: impl Into<String>) -> &mut Problem {
        let index = self.problems.len();
        self.problems.push(Problem {
            kind,
            span,
            message: message.into(),
            related: None,
            edits: Vec::new(),
        });
        &mut self.problems[index]
    }

    fn stop<T>(&mut self, kind: ProblemKind, span: Span, message: &str) -> Result<T, Stop> {
        self.note(kind, span, message);
        Err(Stop)
    }

    /// Notes a problem and what to write there instead.
    fn fix(&mut self, kind: ProblemKind, span: Span, message: impl Into<String>, with: &str) {
        let edits = vec![(span.clone(), with.to_owned())];
        self.note(kind, span, message).edits = edits;
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn char_at(&self, at: usize) -> char {
        self.text[at..].chars().next().unwrap_or('\u{fffd}')
    }

    fn document(&mut self) -> Option<JsonNode> {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
            let message = "the file begins with a byte-order mark, which JSON parsers refuse";
            self.fix(ProblemKind::ByteOrderMark, 0..3, message, "");
        }
        let root = self.value().ok()?;
        if self.space().is_ok() && self.at < self.bytes.len() {
            let rest = self.at..self.at + self.char_at(self.at).len_utf8();
            let message = match self.peek() {
                Some(b'}' | b']') => "one closing bracket too many",
                _ => "there is more text after the end of the value",
            };
            let end = root.span.end;
            let related = (end.saturating_sub(1)..end, "the value ends here".to_owned());
            self.note(ProblemKind::Unexpected, rest, message).related = Some(related);
            return None;
        }
        Some(root)
    }

    fn value(&mut self) -> Result<JsonNode, Stop> {
        self.space()?;
        let start = self.at;
        let kind = match self.peek() {
            None => return self.end_of_file(),
            Some(b'{') => {
                let mut members = Vec::new();
                self.collection(|parser| {
                    let (key, key_span) = parser.key()?;
                    members.push(Member::new(key, key_span, parser.value()?));
                    Ok(())
                })?;
                self.duplicates(&members);
                JsonKind::Object(members)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                self.collection(|parser| parser.value().map(|item| items.push(item)))?;
                JsonKind::Array(items)
            }
            Some(b'"') => JsonKind::String(self.string()?),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number()?,
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => self.word()?,
            Some(_) => return self.unexpected("a value"),
        };
        Ok(JsonNode::new(start..self.at, kind))
    }

    /// What stands between two brackets, each part read by `part`.
    fn collection(
        &mut self,
        mut part: impl FnMut(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let start = self.at;
        let closer = self.closer(start);
        if self.open.len() >= MAX_DEPTH {
            let message = format!("nested more than {MAX_DEPTH} levels deep");
            return self.stop(ProblemKind::Unexpected, start..start + 1, &message);
        }
        let line = self.line;
        self.open.push(start);
        self.at += 1;
        self.space()?;
        if self.peek() != Some(closer) {
            part(self)?;
            while self.another(closer)? {
                part(self)?;
            }
        }
        if self.peek() != Some(closer) {
            return self.unexpected("a value");
        }
        if self.misindented.is_none() && self.is_misindented(line) {
            self.misindented = Some(start);
        }
        self.open.pop();
        self.at += 1;
        Ok(())
    }

    /// Behind a value inside something: whether another one follows.
    fn another(&mut self, closer: u8) -> Result<bool, Stop> {
        let end = self.at;
        self.space()?;
        match self.peek() {
            Some(b',') => {
                let comma = self.at..self.at + 1;
                self.at += 1;
                self.space()?;
                if let Some(b'}' | b']') = self.peek() {
                    let message = "JSON has no trailing comma";
                    self.fix(ProblemKind::TrailingComma, comma, message, "");
                    return Ok(false);
                }
            }
            // A value right after a value: only the comma is missing.
            Some(byte @ (b'"' | b'{' | b'[')) if closer == b']' || byte == b'"' => {
                let (kind, before) = (ProblemKind::MissingComma, end.saturating_sub(1)..end);
                let problem = self.note(kind, before, "a comma is missing after this");
                problem.edits = vec![(end..end, ",".to_owned())];
            }
            Some(b'}' | b']') => return Ok(false),
            None => return self.end_of_file(),
            Some(_) => return self.unexpected(&format!("`,` or `{}`", char::from(closer))),
        }
        Ok(true)
    }

    fn key(&mut self) -> Result<(String, Span), Stop> {
        let start = self.at;
        let key = match self.peek() {
            Some(b'"') => self.string()?,
            None => return self.end_of_file(),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                self.at = self.word_end();
                let word = self.text[start..self.at].to_owned();
                let message = format!("the key `{word}` has no quotes");
                let with = format!("\"{word}\"");
                self.fix(ProblemKind::BadString, start..self.at, message, &with);
                word
            }
            Some(_) => return self.unexpected("a key in double quotes"),
        };
        let span = start..self.at;
        self.space()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            None => return self.end_of_file(),
            Some(_) => return self.unexpected(&format!("`:` after the key `{}`", short(&key))),
        }
        Ok((key, span))
    }

    /// What closes the bracket at a place.
    fn closer(&self, open: usize) -> u8 {
        match self.bytes[open] {
            b'{' => b'}',
            _ => b']',
        }
    }

    /// Whether a closing bracket begins its line, and is indented unlike the line that opened it.
    fn is_misindented(&self, opened: usize) -> bool {
        let space = |from: usize| self.run(from, |b| matches!(b, b' ' | b'\t')) - from;
        let indent = space(self.line);
        self.line + indent == self.at && indent != space(opened)
    }

    fn duplicates(&mut self, members: &[Member]) {
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(members.len());
        for (index, member) in members.iter().enumerate() {
            if let Some(first) = seen.insert(&member.key, index) {
                let message = format!("the key `{}` appears twice", short(&member.key));
                let span = member.key_span.clone();
                let related = members[first].key_span.clone();
                let problem = self.note(ProblemKind::DuplicateKey, span, message);
                problem.related = Some((related, "this one has no effect".to_owned()));
                problem.edits = vec![removal(members, first)];
            }
        }
    }

    fn end_of_file<T>(&mut self) -> Result<T, Stop> {
        let end = self.bytes.len();
        let Some(&last) = self.open.last() else {
            let is_empty = end == 0;
            let what = if is_empty {
                "the file is empty"
            } else {
                "the file has no value"
            };
            return self.stop(ProblemKind::Empty, 0..end, what);
        };
        let open = self.misindented.unwrap_or(last);
        let closers = self.open.iter().rev().take(8);
        let closers = closers.map(|open| format!("`{}`", char::from(self.closer(*open))));
        let closers = closers.collect::<Vec<_>>().join(" ");
        let are = if self.open.len() == 1 { "is" } else { "are" };
        let message = format!("the file ends before it is complete: {closers} {are} missing");
        let text = self.text.trim_end().len();
        self.unclosed(text.saturating_sub(1)..text, message, open)
    }

    /// A problem because of a bracket that is not closed.
    fn unclosed<T>(&mut self, span: Span, message: String, open: usize) -> Result<T, Stop> {
        let words = format!("this `{}` is not closed", char::from(self.bytes[open]));
        let problem = self.note(ProblemKind::Unclosed, span, message);
        problem.related = Some((open..open + 1, words));
        Err(Stop)
    }

    fn unexpected<T>(&mut self, wanted: &str) -> Result<T, Stop> {
        let found = self.char_at(self.at);
        let span = self.at..self.at + found.len_utf8();
        if let ('}' | ']', Some(&open)) = (found, self.open.last())
            && let closer = char::from(self.closer(open))
            && found != closer
        {
            let message = format!("expected `{closer}`, found `{found}`");
            return self.unclosed(span, message, open);
        }
        let code = u32::from(found);
        let message = match found {
            '\'' | '‘' | '’' | '“' | '”' | '„' | '`' => {
                let message = format!("strings stand in double quotes (\"), not in {found}");
                return self.stop(ProblemKind::BadString, span, &message);
            }
            '\0' => "a NUL byte".to_owned(),
            c if c.is_control() || c.is_whitespace() => {
                format!("the character U+{code:04X} stands where {wanted} has to")
            }
            c => format!("expected {wanted}, found `{c}`"),
        };
        self.stop(ProblemKind::Unexpected, span, &message)
    }
}

/// Removes a member with the comma that goes with it.
pub fn removal(members: &[Member], index: usize) -> (Span, String) {
    let member = &members[index];
    let (start, end) = (member.key_span.start, member.value.span.end);
    let span = match members.get(index + 1) {
        Some(next) => start..next.key_span.start,
        None if index > 0 => members[index - 1].value.span.end..end,
        None => start..end,
    };
    (span, String::new())
}

/// A text as JSON has it.
pub fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A text from a file, short enough for a message.
pub fn short(text: &str) -> String {
    xtask_core::output::cut(text, 60)
}
