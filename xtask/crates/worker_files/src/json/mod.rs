//! JSON with places: what a strict parser takes, and for what it doesn't, words that help.
//!
//! The parser is our own because of what has to be said: where an unclosed brace was opened, that
//! there are three comments and not just a first one, what to write instead. It goes on after
//! mistakes that leave no doubt (a comment, a trailing comma), so that all of them are told, and
//! fixed, at once. It never recurses, so that no input can exhaust the stack, and reads each byte
//! a bounded number of times. What it takes without a problem is exactly what `serde_json` takes;
//! tests hold the two together.

mod node;
#[cfg(test)]
pub(crate) mod tests;
mod tokens;

use std::collections::HashMap;
use std::ops::Range;

pub use node::{Kind, Member, Node, Parsed, Problem, ProblemKind};

/// Deeper nesting is refused. `serde_json` has the same limit.
pub const MAX_DEPTH: usize = 127;

/// Bytes of the text.
pub type Span = Range<usize>;

/// Reads a text. Never panics, whatever the bytes are.
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut problems = Vec::new();
    if let Some(problem) = encoding(bytes) {
        problems.push(problem);
        return Parsed {
            root: None,
            problems,
        };
    }
    // `encoding` has looked: this always holds.
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Parsed::default();
    };
    let mut parser = Parser {
        text,
        bytes,
        at: 0,
        problems,
        askew: None,
        line: 0,
    };
    let root = parser.document();
    let mut problems = parser.problems;
    problems.sort_by_key(|problem| problem.span.start);
    Parsed { root, problems }
}

/// Whether the bytes are text at all.
fn encoding(bytes: &[u8]) -> Option<Problem> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Some(Problem::new(
            ProblemKind::Encoding,
            0..2,
            "the file is UTF-16; JSON files are UTF-8",
        ));
    }
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to();
        return Some(Problem::new(
            ProblemKind::Encoding,
            at..at + error.error_len().unwrap_or(bytes.len() - at),
            "these bytes are not UTF-8",
        ));
    }
    None
}

/// Stops the parser: the problem is noted already.
struct Stop;

/// What was opened and is not closed yet.
struct Frame {
    open: usize,
    /// Where the line begins that it stands on.
    line: usize,
    items: Vec<Node>,
    members: Vec<Member>,
    /// In an object, the key that waits for its value.
    key: Option<(String, Span)>,
    object: bool,
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    problems: Vec<Problem>,
    /// The first bracket that was closed at another indentation than it was opened at: if one is
    /// missing, it is most likely this one's.
    askew: Option<usize>,
    /// Where the line begins that is being read.
    line: usize,
}

impl Parser<'_> {
    fn note(&mut self, kind: ProblemKind, span: Span, message: impl Into<String>) -> &mut Problem {
        let index = self.problems.len();
        self.problems.push(Problem::new(kind, span, message));
        &mut self.problems[index]
    }

    fn stop<T>(
        &mut self,
        kind: ProblemKind,
        span: Span,
        message: impl Into<String>,
    ) -> Result<T, Stop> {
        self.note(kind, span, message);
        Err(Stop)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// The character at a byte, for a message.
    fn char_at(&self, at: usize) -> char {
        self.text[at..].chars().next().unwrap_or('\u{fffd}')
    }

    fn document(&mut self) -> Option<Node> {
        if self.bytes.starts_with(b"\xef\xbb\xbf") {
            self.at = 3;
            self.note(
                ProblemKind::ByteOrderMark,
                0..3,
                "the file begins with a byte-order mark, which JSON parsers refuse",
            )
            .edits = vec![(0..3, String::new())];
        }
        let root = self.value_with_space().ok()?;
        if self.space().is_ok() && self.at < self.bytes.len() {
            let rest = self.at..self.at + self.char_at(self.at).len_utf8();
            let closes = matches!(self.peek(), Some(b'}' | b']'));
            let related = Some((root.span.clone(), "the value ends here".to_owned()));
            let message = if closes {
                "one closing bracket too many".to_owned()
            } else {
                "there is more text after the end of the value".to_owned()
            };
            self.note(ProblemKind::Trailing, rest, message).related =
                related.map(|(span, words)| {
                    let end = span.end;
                    (end.saturating_sub(1)..end, words)
                });
            return None;
        }
        Some(root)
    }

    /// The whole value, with a stack of our own instead of recursion.
    fn value_with_space(&mut self) -> Result<Node, Stop> {
        let mut stack: Vec<Frame> = Vec::new();
        loop {
            let Some(mut node) = self.begin(&mut stack)? else {
                continue;
            };
            // A value is complete: hand it up, and close whatever closes after it.
            loop {
                let Some(frame) = stack.last_mut() else {
                    return Ok(node);
                };
                frame.add(node);
                if self.another(&mut stack)? {
                    break;
                }
                node = self.close(&mut stack)?;
            }
        }
    }

    /// Reads a value up to its end, or opens an array or object that has something in it.
    fn begin(&mut self, stack: &mut Vec<Frame>) -> Result<Option<Node>, Stop> {
        self.space()?;
        let start = self.at;
        let kind = match self.peek() {
            None => return self.end_of_file(stack),
            Some(open @ (b'{' | b'[')) => {
                if stack.len() >= MAX_DEPTH {
                    return self.stop(
                        ProblemKind::TooDeep,
                        start..start + 1,
                        format!("nested more than {MAX_DEPTH} levels deep"),
                    );
                }
                let object = open == b'{';
                let line = self.line;
                self.at += 1;
                self.space()?;
                stack.push(Frame {
                    open: start,
                    line,
                    items: Vec::new(),
                    members: Vec::new(),
                    key: None,
                    object,
                });
                if self.peek() == Some(if object { b'}' } else { b']' }) {
                    return self.close(stack).map(Some);
                }
                if object {
                    self.key(stack)?;
                }
                return Ok(None);
            }
            Some(b'"') => Kind::String(self.string()?),
            Some(b'-' | b'+' | b'.' | b'0'..=b'9') => self.number()?,
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => self.word()?,
            Some(_) => return self.unexpected(stack, "a value"),
        };
        Ok(Some(Node {
            span: start..self.at,
            kind,
        }))
    }

    /// Behind a value inside something: whether another one follows.
    fn another(&mut self, stack: &mut [Frame]) -> Result<bool, Stop> {
        let end = self.at;
        self.space()?;
        let object = stack.last().is_some_and(|frame| frame.object);
        match self.peek() {
            Some(b',') => {
                let comma = self.at;
                self.at += 1;
                self.space()?;
                if let Some(b'}' | b']') = self.peek() {
                    self.note(
                        ProblemKind::TrailingComma,
                        comma..comma + 1,
                        "JSON has no trailing comma",
                    )
                    .edits = vec![(comma..comma + 1, String::new())];
                    return Ok(false);
                }
            }
            // A value right after a value: only the comma is missing.
            Some(b'"' | b'{' | b'[') if !object || self.peek() == Some(b'"') => {
                self.note(
                    ProblemKind::MissingComma,
                    end.saturating_sub(1)..end,
                    "a comma is missing after this",
                )
                .edits = vec![(end..end, ",".to_owned())];
            }
            Some(b'}' | b']') | None => return Ok(false),
            Some(_) => {
                let wanted = if object { "`,` or `}`" } else { "`,` or `]`" };
                return self.unexpected(stack, wanted);
            }
        }
        if object {
            self.key(stack)?;
        }
        Ok(true)
    }

    /// A key and its colon.
    fn key(&mut self, stack: &mut [Frame]) -> Result<(), Stop> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {}
            None => return self.end_of_file(stack),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let end = self.word_end();
                let word = self.text[start..end].to_owned();
                self.at = end;
                self.note(
                    ProblemKind::BadString,
                    start..end,
                    format!("the key `{word}` has no quotes"),
                )
                .edits = vec![(start..end, format!("\"{word}\""))];
                return self.colon(stack, word, start..end);
            }
            Some(_) => return self.unexpected(stack, "a key in double quotes"),
        }
        let key = self.string()?;
        self.colon(stack, key, start..self.at)
    }

    fn colon(&mut self, stack: &mut [Frame], key: String, span: Span) -> Result<(), Stop> {
        self.space()?;
        match self.peek() {
            Some(b':') => self.at += 1,
            None => return self.end_of_file(stack),
            Some(_) => {
                return self.unexpected(stack, &format!("`:` after the key `{}`", short(&key)));
            }
        }
        if let Some(frame) = stack.last_mut() {
            frame.key = Some((key, span));
        }
        Ok(())
    }

    /// The closing bracket of the innermost frame.
    fn close(&mut self, stack: &mut Vec<Frame>) -> Result<Node, Stop> {
        let byte = self.peek();
        let Some(frame) = stack.pop() else {
            return Err(Stop);
        };
        match byte {
            None => {
                stack.push(frame);
                self.end_of_file(stack)
            }
            Some(byte) if byte == frame.closer() => {
                if self.askew.is_none() && self.is_askew(&frame) {
                    self.askew = Some(frame.open);
                }
                self.at += 1;
                let span = frame.open..self.at;
                if frame.object {
                    self.duplicates(&frame.members);
                    Ok(Node {
                        span,
                        kind: Kind::Object(frame.members),
                    })
                } else {
                    Ok(Node {
                        span,
                        kind: Kind::Array(frame.items),
                    })
                }
            }
            Some(byte) => {
                let open = frame.open;
                self.note(
                    ProblemKind::Mismatched,
                    self.at..self.at + 1,
                    format!(
                        "expected `{}`, found `{}`",
                        char::from(frame.closer()),
                        char::from(byte)
                    ),
                )
                .related = Some((
                    open..open + 1,
                    format!("this `{}` is not closed", char::from(self.bytes[open])),
                ));
                Err(Stop)
            }
        }
    }

    /// Whether a closing bracket that begins its line stands further in or out than the line that
    /// opened it.
    fn is_askew(&self, frame: &Frame) -> bool {
        let space = |from: usize| {
            let rest = self.bytes[from..].iter();
            rest.take_while(|b| matches!(b, b' ' | b'\t')).count()
        };
        let own = space(self.line);
        self.line + own == self.at && own != space(frame.line)
    }

    fn duplicates(&mut self, members: &[Member]) {
        let mut seen: HashMap<&str, &Span> = HashMap::with_capacity(members.len());
        for member in members {
            if let Some(first) = seen.insert(&member.key, &member.key_span) {
                let first = first.clone();
                self.note(
                    ProblemKind::DuplicateKey,
                    member.key_span.clone(),
                    format!("the key `{}` appears twice", short(&member.key)),
                )
                .related = Some((first, "this one has no effect".to_owned()));
            }
        }
    }

    fn end_of_file<T>(&mut self, stack: &[Frame]) -> Result<T, Stop> {
        let end = self.bytes.len();
        let Some(frame) = stack.last() else {
            let what = if end == 0 {
                "the file is empty"
            } else {
                "the file has no value"
            };
            return self.stop(ProblemKind::Empty, 0..end, what);
        };
        let last = self.text.trim_end().len();
        let closers: String = stack
            .iter()
            .rev()
            .map(|frame| format!("`{}`", char::from(frame.closer())))
            .take(8)
            .collect::<Vec<_>>()
            .join(" ");
        let open = self.askew.unwrap_or(frame.open);
        let problem = self.note(
            ProblemKind::Unclosed,
            last.saturating_sub(1)..last,
            format!("the file ends before it is complete: {closers} is missing"),
        );
        if stack.len() > 1 {
            problem.message = format!("the file ends before it is complete: {closers} are missing");
        }
        let opener = char::from(self.bytes[open]);
        if let Some(problem) = self.problems.last_mut() {
            problem.related = Some((open..open + 1, format!("this `{opener}` is not closed")));
        }
        Err(Stop)
    }

    fn unexpected<T>(&mut self, stack: &[Frame], wanted: &str) -> Result<T, Stop> {
        if matches!(self.peek(), Some(b'}' | b']'))
            && let Some(frame) = stack.last()
            && self.peek() != Some(frame.closer())
        {
            let open = frame.open;
            let (want, found) = (char::from(frame.closer()), self.char_at(self.at));
            let opener = char::from(self.bytes[open]);
            self.note(
                ProblemKind::Mismatched,
                self.at..self.at + 1,
                format!("expected `{want}`, found `{found}`"),
            )
            .related = Some((open..open + 1, format!("this `{opener}` is not closed")));
            return Err(Stop);
        }
        let found = self.char_at(self.at);
        let span = self.at..self.at + found.len_utf8();
        let (kind, message) = match found {
            '\'' | '‘' | '’' | '“' | '”' | '„' | '`' => (
                ProblemKind::BadString,
                format!("strings stand in double quotes (\"), not in {found}"),
            ),
            '\0' => (ProblemKind::Nul, "a NUL byte".to_owned()),
            c if c.is_control() || c.is_whitespace() => (
                ProblemKind::Unexpected,
                format!(
                    "the character U+{:04X} stands where {wanted} has to",
                    u32::from(c)
                ),
            ),
            c => (
                ProblemKind::Unexpected,
                format!("expected {wanted}, found `{c}`"),
            ),
        };
        self.stop(kind, span, message)
    }
}

impl Frame {
    fn closer(&self) -> u8 {
        if self.object { b'}' } else { b']' }
    }

    fn add(&mut self, value: Node) {
        if let Some((key, key_span)) = self.key.take() {
            self.members.push(Member {
                key,
                key_span,
                value,
            });
        } else {
            self.items.push(value);
        }
    }
}

/// A text from a file, short enough for a message.
fn short(text: &str) -> String {
    xtask_core::output::cut(text, 60)
}
