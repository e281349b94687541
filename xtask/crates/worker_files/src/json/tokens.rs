//! What stands between brackets: space, comments, strings, numbers and words.

use super::{Kind, Parser, ProblemKind, Span, Stop, short};

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

    /// The bytes to delete with a comment: its whole line where it stands alone there, else the
    /// space before it too.
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

    /// A string, from its opening quote.
    pub(super) fn string(&mut self) -> Result<String, Stop> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let end = self.run(self.at, |b| b != b'"' && b != b'\\' && b >= 0x20);
            out.push_str(&self.text[self.at..end]);
            self.at = end;
            let here = self.at..self.at + 1;
            match self.peek() {
                None | Some(b'\n' | b'\r') => {
                    let message = "this string is not closed on its line";
                    return self.stop(ProblemKind::BadString, start..self.at, message);
                }
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => self.escape(&mut out)?,
                Some(0) => return self.stop(ProblemKind::Nul, here, "a NUL byte"),
                Some(control) => {
                    let with = match control {
                        b'\t' => "\\t".to_owned(),
                        _ => format!("\\u{control:04x}"),
                    };
                    let message = format!(
                        "in a string, the control character U+{control:04X} is written `{with}`"
                    );
                    self.fix(ProblemKind::BadString, here, message, &with);
                    out.push(char::from(control));
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Result<(), Stop> {
        let start = self.at;
        let plain = match self.bytes.get(start + 1) {
            Some(&same @ (b'"' | b'\\' | b'/')) => char::from(same),
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
                let shown = c.escape_debug();
                let message =
                    format!("strings have no escape `\\{shown}`; a backslash is written `\\\\`");
                return self.stop(ProblemKind::BadString, span, message);
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
            let message = "`\\u` takes four hexadecimal digits";
            return self.stop(ProblemKind::BadString, start..start + 2, message);
        };
        self.at += 6;
        let mut code = Some(first);
        if (0xd800..0xdc00).contains(&first) {
            let second = self
                .hex(self.at)
                .filter(|low| (0xdc00..0xe000).contains(low));
            code = second.map(|low| 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00));
            self.at += if second.is_some() { 6 } else { 0 };
        }
        let Some(c) = code.and_then(char::from_u32) else {
            let message = "half of a surrogate pair without the other half";
            return self.stop(ProblemKind::BadString, start..start + 6, message);
        };
        out.push(c);
        Ok(())
    }

    /// The number of a `\uXXXX` at a place.
    fn hex(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        digits.iter().try_fold(0, |value, &digit| {
            Some(value * 16 + char::from(digit).to_digit(16)?)
        })
    }

    pub(super) fn word_end(&self) -> usize {
        self.run(self.at, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')
        })
    }

    /// `true`, `false` or `null`, or what others write for them.
    pub(super) fn word(&mut self) -> Result<Kind, Stop> {
        let span = self.at..self.word_end();
        let word = &self.text[span.clone()];
        let (right, kind) = match word {
            "true" | "True" | "TRUE" => ("true", Kind::Bool(true)),
            "false" | "False" | "FALSE" => ("false", Kind::Bool(false)),
            "null" | "None" | "NULL" | "Null" | "undefined" | "nil" => ("null", Kind::Null),
            "NaN" | "Infinity" => {
                let message = format!("JSON has no `{word}`");
                return self.stop(ProblemKind::BadValue, span, message);
            }
            _ => {
                let shown = short(word);
                let message = format!("`{shown}` is no JSON value; text stands in double quotes");
                return self.stop(ProblemKind::BadValue, span, message);
            }
        };
        self.at = span.end;
        if word != right {
            let message = format!("`{word}` is written `{right}` in JSON");
            self.fix(ProblemKind::BadValue, span, message, right);
        }
        Ok(kind)
    }

    pub(super) fn number(&mut self) -> Result<Kind, Stop> {
        let takes = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
        let span = self.at..self.run(self.at, takes);
        let text = &self.text[span.clone()];
        let shown = short(text);
        if let Some(why) = bad_number(text) {
            let message = format!("`{shown}` is no JSON number: {why}");
            return self.stop(ProblemKind::BadValue, span, message);
        }
        // Beyond what a reader can hold, parsers disagree: some refuse it, some say infinity.
        if text.parse::<f64>().is_ok_and(f64::is_infinite) {
            let message = format!("`{shown}` is too large a number");
            return self.stop(ProblemKind::BadValue, span, message);
        }
        self.at = span.end;
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
    let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let whole = digits(rest);
    if whole == 0 {
        return Some("there is no digit after the sign");
    }
    if whole > 1 && rest.starts_with('0') {
        return Some("it begins with a zero");
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = &fraction[digits(fraction)..];
        if rest.len() == fraction.len() {
            return Some("there is no digit after the point");
        }
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        rest = &exponent[digits(exponent)..];
        if rest.len() == exponent.len() {
            return Some("there is no digit in the exponent");
        }
    }
    (!rest.is_empty()).then_some("it has something else after its digits")
}
