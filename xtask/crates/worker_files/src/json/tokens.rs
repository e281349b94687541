//! The tokens: space, comments, strings, numbers and words.

use super::{JsonKind, Parser, ProblemKind, Span, Stop, short};

impl Parser<'_> {
    /// Where the bytes of a kind end that begin at a place.
    pub(super) fn run(&self, from: usize, takes: impl Fn(u8) -> bool) -> usize {
        let rest = &self.bytes[from..];
        from + rest.iter().position(|&b| !takes(b)).unwrap_or(rest.len())
    }

    /// Skips what may stand between tokens, and what may not but is meant so.
    pub(super) fn space(&mut self) -> Result<(), Stop> {
        loop {
            match (self.peek(), self.bytes.get(self.at + 1)) {
                (Some(b' ' | b'\t' | b'\r'), _) => self.at += 1,
                (Some(b'\n'), _) => {
                    self.at += 1;
                    self.line = self.at;
                }
                (Some(b'/'), Some(b'/' | b'*')) | (Some(b'#'), _) => self.comment()?,
                (Some(b'\\'), Some(b'n')) => self.literal_escape("\n"),
                (Some(b'\\'), Some(b'r')) => self.literal_escape("\r"),
                (Some(b'\\'), Some(b't')) => self.literal_escape("\t"),
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let mut end = self.run(start, |b| b != b'\n' && b != b'\r');
        if self.bytes[start..].starts_with(b"/*") {
            let Some(length) = self.text[start + 2..].find("*/") else {
                let message = "a comment that never ends; JSON has no comments";
                return self.stop(ProblemKind::Comment, start..start + 2, message);
            };
            end = start + length + 4;
        }
        self.at = end;
        let edits = vec![(self.without(start, end), String::new())];
        let problem = self.note(ProblemKind::Comment, start..end, "JSON has no comments");
        problem.edits = edits;
        Ok(())
    }

    /// The bytes to delete with a comment: its whole line if it is alone there, else space before it.
    fn without(&self, start: usize, end: usize) -> Span {
        let before = self.text[..start].trim_end_matches([' ', '\t']).len();
        let after = self.run(end, |b| matches!(b, b' ' | b'\t'));
        let line_end = match self.bytes[after..] {
            [b'\r', b'\n', ..] => after + 2,
            [b'\n', ..] => after + 1,
            _ => return start..end,
        };
        if before == 0 || self.bytes[before - 1] == b'\n' {
            before..line_end
        } else {
            before..end
        }
    }

    /// `\n` written out where a line should end. Told once, with all of them.
    fn literal_escape(&mut self, with: &str) {
        let span = self.at..self.at + 2;
        self.at += 2;
        let mut problems = self.problems.iter_mut();
        if let Some(problem) = problems.find(|p| p.kind == ProblemKind::LiteralEscape) {
            problem.edits.push((span, with.to_owned()));
            return;
        }
        let written = &self.text[span.clone()];
        let message = format!("`{written}` is written out where a line should end");
        self.fix(ProblemKind::LiteralEscape, span, message, with);
    }

    pub(super) fn string(&mut self) -> Result<String, Stop> {
        let start = self.at;
        self.at += 1;
        let mut strict = "\"".to_owned();
        loop {
            let end = self.run(self.at, |b| b != b'"' && b != b'\\' && b >= 0x20);
            strict.push_str(&self.text[self.at..end]);
            self.at = end;
            let here = end..end + 1;
            match self.peek() {
                None | Some(b'\n' | b'\r') => {
                    let message = "this string is not closed on its line";
                    return self.stop(ProblemKind::BadString, start..end, message);
                }
                Some(b'"') => break,
                Some(b'\\') => {
                    let Some(escape) = self.text[end + 1..].chars().next() else {
                        self.at += 1;
                        continue;
                    };
                    let span = end..end + 1 + escape.len_utf8();
                    if !"\"\\/bfnrtu".contains(escape) {
                        let shown = escape.escape_debug();
                        let message = format!(
                            "strings have no escape `\\{shown}`; a backslash is written `\\\\`"
                        );
                        return self.stop(ProblemKind::BadString, span, &message);
                    }
                    strict.extend(['\\', escape]);
                    self.at = span.end;
                }
                Some(0) => return self.stop(ProblemKind::Unexpected, here, "a NUL byte"),
                Some(control) => {
                    let with = match control {
                        b'\t' => "\\t".to_owned(),
                        _ => format!("\\u{control:04x}"),
                    };
                    let message = format!(
                        "in a string, the control character U+{control:04X} is written `{with}`"
                    );
                    self.fix(ProblemKind::BadString, here, message, &with);
                    strict.push_str(&with);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        strict.push('"');
        serde_json::from_str(&strict).or_else(|_| {
            let message =
                "`\\u` takes four hexadecimal digits, and both halves of a surrogate pair";
            self.stop(ProblemKind::BadString, start..self.at, message)
        })
    }

    pub(super) fn word_end(&self) -> usize {
        self.run(self.at, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
        })
    }

    /// `true`, `false` or `null`, or what others write for them.
    pub(super) fn word(&mut self) -> Result<JsonKind, Stop> {
        let span = self.at..self.word_end();
        let word = &self.text[span.clone()];
        let (right, kind) = match word {
            "true" | "True" | "TRUE" => ("true", JsonKind::Bool(true)),
            "false" | "False" | "FALSE" => ("false", JsonKind::Bool(false)),
            "null" | "None" | "NULL" | "Null" | "undefined" | "nil" => ("null", JsonKind::Null),
            "NaN" | "Infinity" => {
                let message = format!("JSON has no `{word}`");
                return self.stop(ProblemKind::BadValue, span, &message);
            }
            _ => {
                let shown = short(word);
                let message = format!("`{shown}` is no JSON value; text stands in double quotes");
                return self.stop(ProblemKind::BadValue, span, &message);
            }
        };
        self.at = span.end;
        if word != right {
            let message = format!("`{word}` is written `{right}` in JSON");
            self.fix(ProblemKind::BadValue, span, message, right);
        }
        Ok(kind)
    }

    pub(super) fn number(&mut self) -> Result<JsonKind, Stop> {
        let takes = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        let span = self.at..self.run(self.at, takes);
        let text = &self.text[span.clone()];
        let shown = short(text);
        // Beyond what a reader can hold, parsers disagree: some refuse it, some say infinity.
        if text.parse::<f64>().is_ok_and(f64::is_infinite) {
            let message = format!("`{shown}` is too large a number");
            return self.stop(ProblemKind::BadValue, span, &message);
        }
        if serde_json::from_str::<serde_json::Number>(text).is_err() {
            let message = format!(
                "`{shown}` is no JSON number: one has no `+` and no zero in front, and digits on \
                 both sides of a point"
            );
            return self.stop(ProblemKind::BadValue, span, &message);
        }
        self.at = span.end;
        Ok(JsonKind::Number(text.to_owned()))
    }
}
