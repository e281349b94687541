//! Expansions: `$NAME`, `${NAME:-default}`, arithmetic, and the words that they come to.

use super::super::value::ShellValue;
use super::super::{Condition, is_name};
use super::words::{Parts, WordPart};
use super::{Parser, Word, is_name_byte};
use std::ops::Range;

impl Parser<'_> {
    pub(super) fn expansion(&mut self, parts: &mut Parts, quoted: bool) {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'(') => {
                if self.next_is(1, b'(') {
                    self.at += 2;
                    self.deeper(Self::arithmetic);
                } else {
                    self.at += 1;
                    self.commands(Some(b')'));
                }
                parts.text(self.slice(start..self.at));
            }
            Some(b'{') => self.braced_expansion(parts, quoted),
            Some(b'\'') if !quoted => parts.text(&self.single_quoted()),
            Some(b'"') if !quoted => self.double_quoted(parts),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.pass(is_name_byte);
                self.note_read(name, None, start..self.at);
                parts.push(name, self.slice(start..self.at), quoted);
            }
            Some(byte @ (b'@' | b'*' | b'#' | b'?' | b'!' | b'$' | b'-' | b'0'..=b'9')) => {
                self.at += 1;
                let written = self.slice(start..self.at);
                let name = if byte == b'*' { "@" } else { &written[1..] };
                parts.push(name, written, quoted);
            }
            _ => parts.text("$"),
        }
    }

    /// `${NAME}` with what may follow the name.
    pub fn braced_expansion(&mut self, parts: &mut Parts, quoted: bool) {
        let start = self.at - 1;
        self.at += 1;
        let indirect = self.peek() == Some(b'!');
        if matches!(self.peek(), Some(b'!' | b'#')) {
            self.at += 1;
        }
        let from = self.at;
        if matches!(self.peek(), Some(b'@' | b'*')) {
            self.at += 1;
        }
        self.pass(is_name_byte);
        let name = self.slice(from..self.at).to_owned();
        let operator = self.at;
        let operand = self.deeper(Self::operand);
        let end = self.at.min(self.bytes.len());
        // What the script itself set is its value, where that is one.
        let filled = self.filled_in(&operand.0, start..end, true);
        let operand: String = match filled.as_slice() {
            [one] => one.text.clone(),
            _ => operand.0.into_iter().map(|part| part.text).collect(),
        };
        let written = self.slice(start..end);
        if indirect {
            let named = self.values.get(&name).map(ShellValue::texts);
            let named = match named.as_deref() {
                Some([one]) if is_name(one) => Some((*one).to_owned()),
                _ => None,
            };
            self.indirect(&name, start..end);
            match named {
                Some(named) => parts.push(&named, &format!("${{{named}}}"), quoted),
                None => parts.text(written),
            }
            return;
        }
        let rest = self.slice(operator..end.saturating_sub(1).max(operator));
        let operator = rest.strip_prefix(':').unwrap_or(rest);
        let takes_default = operator.starts_with(['-', '=']);
        let default = Some(operand.clone()).filter(|text| takes_default && !text.is_empty());
        self.note_read(&name, default, start..end);
        let last = self.script.reads.last_mut();
        if let Some(read) = last.filter(|read| read.range == (start..end)) {
            read.required = rest.starts_with(":?") || rest.starts_with('?');
            read.keeps_empty = !rest.starts_with(':');
        }
        let in_test = matches!(self.command.program(), "[" | "[[" | "test");
        if operator.starts_with('+') && !in_test {
            let is_set = Condition::new(name, None, false);
            let guard = self.guard.and(is_set);
            self.note_flags(&operand, &guard);
            // The text that replaces a variable which is set counts.
            self.values.put(written, ShellValue::one(operand));
            parts.push(written, written, quoted);
        } else if matches!(rest, "" | "[@]" | "[*]") || rest.starts_with([':', '-', '+']) {
            parts.push(&name, written, quoted && !rest.starts_with('['));
        } else {
            let known = match self.values.get(&name) {
                Some(ShellValue::Any(texts)) => texts.as_slice(),
                _ => &[],
            };
            let made = known.iter().map(|text| transformed(text, rest));
            match made
                .collect::<Option<Vec<String>>>()
                .filter(|made| !made.is_empty())
            {
                Some(made) => {
                    self.values.put(written, ShellValue::Any(made));
                    parts.push(written, written, quoted);
                }
                None => parts.text(written),
            }
        }
    }

    /// What follows the name in `${NAME…}`, up to the bracket: the text behind the operator.
    pub fn operand(&mut self) -> Parts {
        self.at += usize::from(self.peek() == Some(b':'));
        self.at += usize::from(matches!(self.peek(), Some(b'-' | b'=' | b'+' | b'?')));
        let mut parts = Parts::default();
        while let Some(byte) = self.peek() {
            match byte {
                b'}' => {
                    self.at += 1;
                    break;
                }
                0 => self.at += 1,
                b'\\' => {
                    self.at += 1;
                    parts.text(self.character());
                }
                b'\'' => parts.text(&self.single_quoted()),
                b'"' => self.double_quoted(&mut parts),
                b'$' => self.expansion(&mut parts, true),
                _ => parts.text(self.character()),
            }
        }
        parts
    }

    /// `${!NAME}`: the variable whose name a variable holds.
    pub fn indirect(&mut self, name: &str, range: Range<usize>) {
        let names = self
            .values
            .get(name)
            .into_iter()
            .flat_map(ShellValue::texts);
        let names: Vec<String> = names.map(str::to_owned).collect();
        if names.is_empty() || !names.iter().all(|name| is_name(name)) {
            self.unread(range, "the name of this variable is computed");
            return;
        }
        for name in names {
            self.note_read(&name, None, range.clone());
        }
    }

    /// An arithmetic expression up to its two brackets: names in it are variables.
    pub(super) fn arithmetic(&mut self) {
        let mut open = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => open += 1,
                b'$' => {
                    self.expansion(&mut Parts::default(), true);
                    continue;
                }
                b')' if open == 0 => {
                    self.at = (self.at + 2).min(self.bytes.len());
                    return;
                }
                b')' => open = open.saturating_sub(1),
                byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                    let from = self.at;
                    let name = self.pass(is_name_byte);
                    self.note_read(name, None, from..self.at);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    /// The words that the parts become with the values that are known.
    pub fn filled_in(
        &self,
        parts: &[WordPart],
        range: Range<usize>,
        has_quotes: bool,
    ) -> Vec<Word> {
        const MOST: usize = 64;
        // A test tells the names of what the build gives, and not what that is by default.
        let first = self.command.words.first().map_or("", |word| &word.text);
        let asks = matches!(first, "[" | "[[" | "test" | "case");
        let is_own = |part: &WordPart| !asks || self.values.is_set(&part.name);
        let known = |part: &WordPart| self.values.get(&part.name).filter(|_| is_own(part));
        // `$NAME` is the first word of an array.
        let is_whole = |part: &WordPart| part.name == "@" || part.text.contains('[');
        let choice = |(text, choice): (&str, bool)| Word {
            choice,
            ..Word::new(text, &range)
        };
        let mut words: Vec<Word> = Vec::new();
        if let [alone] = parts
            && let Some(value) = known(alone).filter(|_| !self.values.exhausted)
        {
            // A variable alone may be many words.
            let texts = match value {
                ShellValue::Array(words) if is_whole(alone) => return words.clone(),
                ShellValue::Array(words) => return words.first().cloned().into_iter().collect(),
                ShellValue::Any(texts) => texts,
            };
            for text in texts {
                let pieces = if alone.quoted {
                    vec![&**text]
                } else {
                    split(text)
                };
                let is_first = std::iter::once(true).chain(std::iter::repeat(false));
                words.extend(pieces.into_iter().zip(is_first).map(choice));
            }
        } else {
            let mut texts = vec![String::new()];
            for part in parts {
                let choices: &[String] = match known(part) {
                    Some(ShellValue::Any(all))
                        if !self.values.exhausted && texts.len() * all.len() <= MOST =>
                    {
                        all
                    }
                    Some(array @ ShellValue::Array(_)) if is_whole(part) => {
                        &[array.texts().join(" ")]
                    }
                    Some(ShellValue::Array(words)) => &[words
                        .first()
                        .map_or(String::new(), |word| word.text.clone())],
                    _ => std::slice::from_ref(&part.text),
                };
                if let [only] = choices {
                    for text in &mut texts {
                        text.push_str(only);
                    }
                    continue;
                }
                let with = |text: String| choices.iter().map(move |it| format!("{text}{it}"));
                let before = std::mem::take(&mut texts).into_iter();
                texts = before.flat_map(with).collect();
            }
            if texts.iter().all(String::is_empty) && !has_quotes {
                return Vec::new();
            }
            words.extend(texts.iter().map(|text| choice((text, true))));
        }
        if let Some(first) = words.first_mut() {
            first.choice = false;
            first.quoted = matches!(parts, [alone] if alone.quoted && !alone.name.is_empty());
        }
        words
    }
}

/// A value as `${NAME##*/}`, `${NAME%:*}`, `${NAME,,}` or `${NAME//_/-}` has it, where that is plain.
fn transformed(text: &str, operator: &str) -> Option<String> {
    let is_plain = |pattern: &str| !pattern.contains(['*', '?', '[', '\\', '$', '"', '\'', '`']);
    if text.contains(['$', '`']) {
        return None;
    }
    match operator {
        ",," => return Some(text.to_lowercase()),
        "^^" => return Some(text.to_uppercase()),
        _ => {}
    }
    let (mark, pattern) = operator.split_at_checked(1)?;
    let doubled = pattern.strip_prefix(mark);
    let pattern = doubled.unwrap_or(pattern);
    let is_long = doubled.is_some();
    let found = match mark {
        "/" => {
            let (from, to) = pattern.split_once('/')?;
            let count = if is_long { usize::MAX } else { 1 };
            let fits =
                is_plain(from) && is_plain(to) && !from.is_empty() && !from.starts_with(['#', '%']);
            return fits.then(|| text.replacen(from, to, count));
        }
        "#" => {
            let end = pattern
                .strip_prefix('*')
                .filter(|end| is_plain(end) && !end.is_empty());
            match end {
                Some(end) if is_long => text.rsplit_once(end).map(|(_, rest)| rest),
                Some(end) => text.split_once(end).map(|(_, rest)| rest),
                None if is_plain(pattern) => text.strip_prefix(pattern),
                None => return None,
            }
        }
        "%" => {
            let begin = pattern
                .strip_suffix('*')
                .filter(|it| is_plain(it) && !it.is_empty());
            match begin {
                Some(begin) if is_long => text.split_once(begin).map(|(rest, _)| rest),
                Some(begin) => text.rsplit_once(begin).map(|(rest, _)| rest),
                None if is_plain(pattern) => text.strip_suffix(pattern),
                None => return None,
            }
        }
        _ => return None,
    };
    Some(found.unwrap_or(text).to_owned())
}

/// The words of a text that a variable holds. What a command prints stays in one piece.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut before) = (0usize, ' ');
    let pieces = text.split(|c: char| {
        match c {
            '(' if depth > 0 || before == '$' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        before = c;
        depth == 0 && c.is_whitespace()
    });
    let pieces: Vec<&str> = pieces.filter(|piece| !piece.is_empty()).collect();
    // A bracket without its other half is text.
    match depth {
        0 => pieces,
        _ => text.split_whitespace().collect(),
    }
}
