//! Splits a Dockerfile into its instructions, with continued lines, comments and here-documents.

use std::iter::repeat_n;
use std::ops::Range;

use crate::shell::Word;

/// An instruction with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    pub keyword: String,
    /// From the keyword to the end, here-documents included.
    pub range: Range<usize>,
    pub start: usize,
    /// The arguments, byte for byte as long as in the file: what continues a line, and comments
    /// inside, are zero bytes. Here-documents follow behind a line end.
    pub text: String,
    pub documents: Vec<Document>,
    /// The first line of text behind which here-documents begin.
    pub line_end: usize,
    /// What continues a line: a backslash, or what `# escape=` says.
    pub escape: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    /// The text, in bytes of the file, without the line that ends it.
    pub body: Range<usize>,
    /// Whether the line that ends it is there.
    pub ends: bool,
}

impl Instruction {
    /// The arguments without here-documents and without what continues lines.
    pub fn line(&self) -> String {
        clean(&self.text[..self.line_end]).trim().to_owned()
    }

    /// Where the instruction stands in the file, without its here-documents.
    pub fn span(&self) -> Range<usize> {
        self.range.start..self.start + self.line_end
    }

    /// Where the arguments stand in the file, without here-documents.
    pub fn arguments(&self) -> Range<usize> {
        self.start..self.start + self.line_end
    }

    /// The strings of the JSON form, if the arguments from `at` on are one.
    pub fn json(&self, at: usize) -> Option<Vec<String>> {
        serde_json::from_str(&clean(&self.text[at..self.line_end])).ok()
    }

    /// The arguments from `at` on: the strings of the JSON form, or the words.
    pub fn words(&self, at: usize) -> Vec<Word> {
        let (text, base) = (&self.text[at..self.line_end], self.start + at);
        let Some(strings) = self.json(at) else {
            return words(text, self.escape, base);
        };
        let words = strings.into_iter().zip(quoted_spans(text, base));
        words.map(|(text, range)| Word::new(text, &range)).collect()
    }

    /// What ARG, ENV or LABEL sets, with the places of the names: `A=1 B="x y"`, the old form
    /// `A value to the end`, or a name alone.
    pub fn assignments(&self) -> Vec<(Word, Option<String>)> {
        let mut words = self.words(0);
        if let Some(first) = words.first()
            && self.keyword != "ARG"
            && !first.text.contains('=')
        {
            let from = first.range.end - self.start;
            let value = clean(&self.text[from..self.line_end]).trim().to_owned();
            return vec![(words.swap_remove(0), Some(value))];
        }
        let words = words.into_iter();
        let words = words.take_while(|word| !word.text.starts_with('#'));
        let assignment = |mut word: Word| {
            let equals = word.text.find('=');
            let value = equals.map(|at| word.text.split_off(at)[1..].to_owned());
            let end = word.range.start + word.text.len();
            word.range.end = word.range.end.min(end);
            (word, value)
        };
        words.map(assignment).collect()
    }

    /// Options in front of the arguments, `--name=value`, and where the rest begins.
    pub fn options(&self) -> (Vec<Word>, usize) {
        let mut options = words(&self.text[..self.line_end], self.escape, self.start);
        let rest = options.iter().position(|word| !word.text.starts_with("--"));
        let rest = options.split_off(rest.unwrap_or(options.len()));
        let at = match (rest.first(), options.last()) {
            (Some(word), _) => word.range.start - self.start,
            (None, Some(option)) => option.range.end - self.start,
            (None, None) => 0,
        };
        (options, at)
    }
}

/// Splits a Dockerfile. No text is too strange: what is no instruction has a strange keyword.
pub fn split(text: &str) -> Vec<Instruction> {
    let mut splitter = Splitter {
        text,
        next: 0,
        end: 0,
        escape: b'\\',
    };
    let directives = text.lines().map_while(|line| {
        let (key, value) = line.trim().strip_prefix('#')?.split_once('=')?;
        Some((key.trim().to_ascii_lowercase(), value.trim()))
    });
    for (key, value) in directives {
        match (key.as_str(), value) {
            ("escape", "`") => splitter.escape = b'`',
            ("escape" | "syntax" | "check", _) => {}
            _ => break,
        }
    }
    std::iter::from_fn(|| splitter.instruction()).collect()
}

struct Splitter<'a> {
    text: &'a str,
    /// Where the next line begins.
    next: usize,
    /// How many bytes end the line before it.
    end: usize,
    escape: u8,
}

/// Whether a line is blank or a comment.
fn is_skipped(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

impl<'a> Splitter<'a> {
    /// Where the next line begins, and its text.
    fn line(&mut self) -> Option<(usize, &'a str)> {
        let start = self.next;
        let whole = self.text[start..].split_inclusive('\n').next()?;
        let line = whole.trim_end_matches('\n');
        let line = line.strip_suffix('\r').unwrap_or(line);
        self.end = whole.len() - line.len();
        self.next += whole.len();
        Some((start, line))
    }

    /// Adds the end of a line, as many bytes as in the file.
    fn push_end(&self, text: &mut String) {
        text.extend(repeat_n('\0', self.end.saturating_sub(1)));
        text.extend((self.end > 0).then_some('\n'));
    }

    fn instruction(&mut self) -> Option<Instruction> {
        let mut lines = std::iter::from_fn(|| self.line());
        let (start, first) = lines.find(|(_, line)| !is_skipped(line))?;
        let indent = first.len() - first.trim_start().len();
        let ends = |c: char| c.is_whitespace() || c == char::from(self.escape);
        let keyword_end = first[indent..].find(ends);
        let keyword_end = keyword_end.map_or(first.len(), |n| indent + n);
        let mut text = String::new();
        let mut end = start + first.len();
        let (mut from, mut next) = (keyword_end, Some((start, first)));
        while let Some((at, line)) = next {
            let mut kept = "";
            if from > 0 || !is_skipped(line) {
                end = at + line.len();
                let body = line[from..].trim_end_matches([' ', '\t']);
                let Some(continued) = body.strip_suffix(char::from(self.escape)) else {
                    text.push_str(&line[from..]);
                    break;
                };
                kept = continued;
            }
            text.push_str(kept);
            text.extend(repeat_n('\0', self.next - at - from - kept.len()));
            (from, next) = (0, self.line());
        }
        let mut instruction = Instruction {
            keyword: first[indent..keyword_end].to_ascii_uppercase(),
            range: start + indent..end,
            start: start + keyword_end,
            line_end: text.len(),
            text,
            documents: Vec::new(),
            escape: self.escape,
        };
        let keyword = instruction.keyword.as_str();
        if matches!(keyword, "RUN" | "COPY" | "ADD") && instruction.json(0).is_none() {
            for (name, strips) in announced(&instruction.text, self.escape) {
                self.document(&mut instruction, name, strips);
            }
        }
        Some(instruction)
    }

    fn document(&mut self, instruction: &mut Instruction, name: String, strips: bool) {
        if instruction.documents.is_empty() {
            // The end of the line that announces them.
            self.push_end(&mut instruction.text);
        }
        let is_last = self.next == self.text.len();
        let start = if is_last {
            instruction.range.end
        } else {
            self.next
        };
        let (mut body, mut ends) = (start..start, false);
        while !ends && let Some((at, line)) = self.line() {
            instruction.text.push_str(line);
            self.push_end(&mut instruction.text);
            instruction.range.end = at + line.len();
            let tabs = |c: char| strips && c == '\t';
            ends = line.trim_start_matches(tabs) == name;
            if !ends {
                body.end = self.next;
            }
        }
        instruction.documents.push(Document { name, body, ends });
    }
}

/// The here-documents that a line announces: their delimiters, and whether tabs are taken out.
fn announced(text: &str, escape: u8) -> Vec<(String, bool)> {
    if !text.contains("<<") {
        return Vec::new();
    }
    let delimiter = |word: Word| {
        let rest = document_mark(&word.text)?;
        let name = rest.strip_prefix('-').unwrap_or(rest);
        let strips = name.len() < rest.len();
        let name = name.split([';', '&', '|', ')', '>', '<']).next()?;
        (!name.is_empty()).then(|| (name.to_owned(), strips))
    };
    let words = words(text, escape, 0).into_iter();
    words.filter_map(delimiter).collect()
}

/// What follows `<<`, with which a word announces a here-document.
pub fn document_mark(word: &str) -> Option<&str> {
    let digits = |c: char| c.is_ascii_digit();
    word.trim_start_matches(digits).strip_prefix("<<")
}

pub fn clean(text: &str) -> String {
    text.replace('\0', "")
}

/// Where the strings of a JSON array stand, without their quotes.
fn quoted_spans(text: &str, base: usize) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut open = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (byte, open) {
            (b'"', None) => open = Some(at + 1),
            (b'"', Some(start)) => {
                spans.push(base + start..base + at);
                open = None;
            }
            (b'\\', Some(_)) => {
                bytes.next();
            }
            _ => {}
        }
    }
    spans
}

/// The words of a line, as Docker splits it, with their places in the line. They have no quotes,
/// and a dollar sign that stands for itself keeps a backslash.
fn words(text: &str, escape: u8, base: usize) -> Vec<Word> {
    let mut out = Vec::new();
    let mut chars = text.char_indices().peekable();
    let blank = |&(_, c): &(usize, char)| c.is_whitespace() || c == '\0';
    loop {
        while chars.next_if(blank).is_some() {}
        let Some(&(start, _)) = chars.peek() else {
            return out;
        };
        let mut word = String::new();
        let mut quote = None;
        let mut end = start;
        while let Some((at, c)) = chars.next_if(|(_, c)| quote.is_some() || !c.is_whitespace()) {
            end = at + c.len_utf8();
            match (c, quote) {
                ('\0', _) => {}
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('$', Some('\'')) => word.push_str("\\$"),
                (c, _) if u32::from(c) == u32::from(escape) && quote != Some('\'') => {
                    if let Some((at, next)) = chars.next() {
                        end = at + next.len_utf8();
                        let escapes = quote == Some('"') && !matches!(next, '"' | '\\');
                        if next == '$' || escapes {
                            word.push('\\');
                        }
                        word.push(next);
                    }
                }
                (c, _) => word.push(c),
            }
        }
        out.push(Word::new(word, &(base + start..base + end)));
    }
}
