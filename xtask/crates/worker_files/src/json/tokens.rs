//! What stands between brackets: space, comments, strings, numbers and words.

use super::{Kind, Parser, ProblemKind, Stop};

impl Parser<'_> {
    /// Skips what may stand between tokens, and what may not but is meant so.
    pub(super) fn space(&mut self) -> Result<(), Stop> {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.at += 1,
                Some(b'\n') => {
                    self.at += 1;
                    self.line = self.at;
                }
                Some(b'/') if matches!(self.bytes.get(self.at + 1), Some(b'/' | b'*')) => {
                    self.comment()?;
                }
                Some(b'#') => self.comment()?,
                Some(b'\\') if matches!(self.bytes.get(self.at + 1), Some(b'n' | b'r' | b't')) => {
                    self.literal_escapes();
                }
                _ => return Ok(()),
            }
        }
    }

    fn comment(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let line_end = rest
            .iter()
            .position(|&b| b == b'\n' || b == b'\r')
            .unwrap_or(rest.len());
        let length = if rest.starts_with(b"/*") {
            let end = self.text[start + 2..].find("*/");
            let Some(end) = end else {
                return self.stop(
                    ProblemKind::Comment,
                    start..start + 2,
                    "a comment that never ends; JSON has no comments",
                );
            };
            end + 4
        } else {
            line_end
        };
        let end = start + length;
        self.at = end;
        let edit = self.without(start, end);
        self.note(ProblemKind::Comment, start..end, "JSON has no comments")
            .edits = vec![(edit, String::new())];
        Ok(())
    }

    /// The bytes to delete with a comment: its whole line where it stands alone there, else the
    /// space before it too.
    fn without(&self, start: usize, end: usize) -> super::Span {
        let before = self.text[..start].trim_end_matches([' ', '\t']).len();
        let after =
            end + (self.text[end..].len() - self.text[end..].trim_start_matches([' ', '\t']).len());
        let begins_line = before == 0 || self.bytes[before - 1] == b'\n';
        let line_end = match self.bytes.get(after..) {
            Some([b'\r', b'\n', ..]) => Some(after + 2),
            Some([b'\n', ..]) => Some(after + 1),
            _ => None,
        };
        match line_end {
            Some(next) if begins_line => before..next,
            Some(_) => before..end,
            None => start..end,
        }
    }

    /// `\n` written out where a line should end. Told once, with all of them.
    fn literal_escapes(&mut self) {
        let start = self.at;
        let with = match self.bytes[start + 1] {
            b'n' => "\n",
            b'r' => "\r",
            _ => "\t",
        };
        self.at += 2;
        let edit = (start..start + 2, with.to_owned());
        if let Some(problem) = self
            .problems
            .iter_mut()
            .find(|problem| problem.kind == ProblemKind::LiteralEscape)
        {
            problem.edits.push(edit);
            return;
        }
        let written = self.text[start..start + 2].to_owned();
        self.note(
            ProblemKind::LiteralEscape,
            start..start + 2,
            format!("`{written}` is written out where a line should end"),
        )
        .edits = vec![edit];
    }

    /// A string, from its opening quote.
    pub(super) fn string(&mut self) -> Result<String, Stop> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.bytes[self.at..];
            let plain = rest
                .iter()
                .position(|&b| b == b'"' || b == b'\\' || b < 0x20)
                .unwrap_or(rest.len());
            out.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                None | Some(b'\n' | b'\r') => return self.unterminated(start),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(0) => {
                    let at = self.at;
                    return self.stop(ProblemKind::Nul, at..at + 1, "a NUL byte");
                }
                Some(control) => {
                    let at = self.at;
                    let with = if control == b'\t' {
                        "\\t".to_owned()
                    } else {
                        format!("\\u{control:04x}")
                    };
                    let message = format!(
                        "in a string, the control character U+{control:04X} is written `{with}`"
                    );
                    self.note(ProblemKind::BadString, at..at + 1, message).edits =
                        vec![(at..at + 1, with)];
                    out.push(char::from(control));
                    self.at += 1;
                }
            }
        }
    }

    fn unterminated<T>(&mut self, start: usize) -> Result<T, Stop> {
        self.stop(
            ProblemKind::BadString,
            start..self.at,
            "this string is not closed on its line",
        )
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Stop> {
        let start = self.at;
        let plain = match self.bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(out),
            None => {
                self.at += 1;
                return Ok(());
            }
            Some(_) => {
                let c = self.char_at(start + 1);
                let span = start..start + 1 + c.len_utf8();
                return self.stop(
                    ProblemKind::BadString,
                    span,
                    format!(
                        "strings have no escape `\\{}`; a backslash is written `\\\\`",
                        c.escape_debug()
                    ),
                );
            }
        };
        out.push(plain);
        self.at += 2;
        Ok(())
    }

    /// `\uXXXX`, or two of them for one character.
    fn unicode(&mut self, out: &mut String) -> Result<(), Stop> {
        let start = self.at;
        let Some(first) = self.hex(start) else {
            return self.stop(
                ProblemKind::BadString,
                start..start + 2,
                "`\\u` takes four hexadecimal digits",
            );
        };
        self.at += 6;
        let code = if (0xd800..0xdc00).contains(&first) {
            let second = (self.bytes.get(self.at..self.at + 2) == Some(b"\\u"))
                .then(|| self.hex(self.at))
                .flatten()
                .filter(|low| (0xdc00..0xe000).contains(low));
            second.map(|low| {
                self.at += 6;
                0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00)
            })
        } else {
            Some(first)
        };
        match code.and_then(char::from_u32) {
            Some(c) => {
                out.push(c);
                Ok(())
            }
            None => self.stop(
                ProblemKind::BadString,
                start..start + 6,
                "half of a surrogate pair without the other half",
            ),
        }
    }

    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at + 2..at + 6)?;
        digits.iter().try_fold(0, |value, &digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        })
    }

    pub(super) fn word_end(&self) -> usize {
        let rest = &self.bytes[self.at..];
        self.at
            + rest
                .iter()
                .position(|&b| !(b.is_ascii_alphanumeric() || b == b'_' || b == b'-'))
                .unwrap_or(rest.len())
    }

    /// `true`, `false` or `null`, or what others write for them.
    pub(super) fn word(&mut self) -> Result<Kind, Stop> {
        let (start, end) = (self.at, self.word_end());
        let word = &self.text[start..end];
        let (right, kind) = match word {
            "true" => (None, Kind::Bool(true)),
            "false" => (None, Kind::Bool(false)),
            "null" => (None, Kind::Null),
            "True" | "TRUE" => (Some("true"), Kind::Bool(true)),
            "False" | "FALSE" => (Some("false"), Kind::Bool(false)),
            "None" | "NULL" | "Null" | "undefined" | "nil" => (Some("null"), Kind::Null),
            "NaN" | "Infinity" => {
                let message = format!("JSON has no `{word}`");
                return self.stop(ProblemKind::BadValue, start..end, message);
            }
            _ => {
                let message = format!(
                    "`{}` is no JSON value; text stands in double quotes",
                    super::short(word)
                );
                return self.stop(ProblemKind::BadValue, start..end, message);
            }
        };
        self.at = end;
        if let Some(right) = right {
            let message = format!("`{word}` is written `{right}` in JSON");
            self.note(ProblemKind::BadValue, start..end, message).edits =
                vec![(start..end, right.to_owned())];
        }
        Ok(kind)
    }

    pub(super) fn number(&mut self) -> Result<Kind, Stop> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let end = start
            + rest
                .iter()
                .position(|&b| {
                    !(b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_'))
                })
                .unwrap_or(rest.len());
        let text = &self.text[start..end];
        if let Some(why) = bad_number(text) {
            let message = format!("`{}` is no JSON number: {why}", super::short(text));
            return self.stop(ProblemKind::BadValue, start..end, message);
        }
        // Beyond what a reader can hold, parsers disagree: some refuse it, some say infinity.
        if text.parse::<f64>().is_ok_and(f64::is_infinite) {
            let message = format!("`{}` is too large a number", super::short(text));
            return self.stop(ProblemKind::BadValue, start..end, message);
        }
        self.at = end;
        Ok(Kind::Number(text.to_owned()))
    }
}

/// What keeps a text from being a number by JSON's grammar.
fn bad_number(text: &str) -> Option<&'static str> {
    let rest = text.strip_prefix('-').unwrap_or(text);
    if text.starts_with('+') {
        return Some("it begins with `+`");
    }
    if rest.starts_with('.') {
        return Some("there is no digit before the point");
    }
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    if whole == 0 {
        return Some("there is no digit after the sign");
    }
    if whole > 1 && rest.starts_with('0') {
        return Some("it begins with a zero");
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return Some("there is no digit after the point");
        }
        rest = &fraction[count..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        if count == 0 {
            return Some("there is no digit in the exponent");
        }
        rest = &exponent[count..];
    }
    (!rest.is_empty()).then_some("it has something else after its digits")
}
