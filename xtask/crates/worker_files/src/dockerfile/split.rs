//! From a Dockerfile's text to its instructions: continued lines, comments between them, and
//! here-documents.

use std::ops::Range;

/// An instruction with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instruction {
    /// In capitals.
    pub keyword: String,
    /// From the keyword to the end, here-documents included.
    pub range: Range<usize>,
    /// Where the arguments begin.
    pub start: usize,
    /// The arguments, byte for byte as long as in the file: what continues a line, and comments
    /// inside, are zero bytes. Here-documents follow behind a line end.
    pub text: String,
    pub documents: Vec<Document>,
    /// The first line of text behind which here-documents begin.
    pub line_end: usize,
}

/// A here-document of RUN, COPY or ADD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub name: String,
    /// The text, in bytes of the file, without the line that ends it.
    pub body: Range<usize>,
    /// Whether the line that ends it is there.
    pub ends: bool,
}

/// A word with its quotes removed. A dollar sign that stands for itself keeps a backslash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    /// In bytes of the instruction's text.
    pub range: Range<usize>,
}

impl Instruction {
    /// The arguments without here-documents and without what continues lines.
    pub fn line(&self) -> String {
        clean(&self.text[..self.line_end]).trim().to_owned()
    }

    /// The strings of the JSON form, if the arguments from `at` on are one.
    pub fn json(&self, at: usize) -> Option<Vec<String>> {
        let text = clean(&self.text[at..self.line_end]);
        let text = text.trim();
        text.starts_with('[')
            .then(|| serde_json::from_str(text).ok())
            .flatten()
    }

    /// Options in front of the arguments, `--name=value`, and where the rest begins.
    pub fn options(&self, escape: u8) -> (Vec<Word>, usize) {
        let mut options = Vec::new();
        let mut at = 0;
        for word in words(&self.text[..self.line_end], escape) {
            if !word.text.starts_with("--") {
                return (options, word.range.start);
            }
            at = word.range.end;
            options.push(word);
        }
        (options, at)
    }
}

/// A Dockerfile in instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    pub instructions: Vec<Instruction>,
    /// What continues a line: a backslash, or what `# escape=` says.
    pub escape: u8,
}

/// Splits a Dockerfile. No text is too strange: what is no instruction has a strange keyword.
pub fn split(text: &str) -> Split {
    let mut lines = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let body = line.strip_suffix('\n').unwrap_or(line);
        lines.push((start, body.strip_suffix('\r').unwrap_or(body), line.len()));
        start += line.len();
    }
    let mut escape = b'\\';
    for (_, line, _) in &lines {
        let Some(rest) = line.trim().strip_prefix('#') else {
            break;
        };
        let Some((key, value)) = rest.split_once('=') else {
            break;
        };
        match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
            ("escape", "`") => escape = b'`',
            ("escape" | "syntax" | "check", _) => {}
            _ => break,
        }
    }
    let mut splitter = Splitter {
        lines,
        escape,
        next: 0,
    };
    let mut instructions = Vec::new();
    while let Some(instruction) = splitter.instruction() {
        instructions.push(instruction);
    }
    Split {
        instructions,
        escape,
    }
}

struct Splitter<'a> {
    /// Start, text without its end, length with its end.
    lines: Vec<(usize, &'a str, usize)>,
    escape: u8,
    next: usize,
}

impl Splitter<'_> {
    fn instruction(&mut self) -> Option<Instruction> {
        let is_empty = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        while is_empty(self.lines.get(self.next)?.1) {
            self.next += 1;
        }
        let (start, first, _) = self.lines[self.next];
        let indent = first.len() - first.trim_start().len();
        let keyword_end = first[indent..]
            .find(|c: char| c.is_whitespace() || u32::from(c) == u32::from(self.escape))
            .map_or(first.len(), |n| indent + n);
        let mut text = String::new();
        let mut end = start + first.len();
        let mut from = keyword_end;
        let mut continued = false;
        while let Some(&(at, line, length)) = self.lines.get(self.next) {
            if continued && is_empty(line) {
                text.extend(std::iter::repeat_n('\0', length));
                self.next += 1;
                continue;
            }
            let body = &line[from.min(line.len())..];
            let trimmed = body.trim_end_matches([' ', '\t']);
            continued = trimmed.as_bytes().last() == Some(&self.escape);
            self.next += 1;
            end = at + line.len();
            if !continued {
                text.push_str(body);
                break;
            }
            text.push_str(&trimmed[..trimmed.len() - 1]);
            let kept = line.len() - body.len() + trimmed.len() - 1;
            text.extend(std::iter::repeat_n('\0', length - kept));
            from = 0;
        }
        let mut instruction = Instruction {
            keyword: first[indent..keyword_end].to_ascii_uppercase(),
            range: start + indent..end,
            start: start + keyword_end,
            line_end: text.len(),
            text,
            documents: Vec::new(),
        };
        if matches!(instruction.keyword.as_str(), "RUN" | "COPY" | "ADD")
            && instruction.json(0).is_none()
        {
            self.documents(&mut instruction);
        }
        Some(instruction)
    }

    fn documents(&mut self, instruction: &mut Instruction) {
        let announced = announced(&instruction.text, self.escape);
        for (name, strips) in announced {
            if instruction.documents.is_empty() {
                // The end of the line that announces them.
                let (_, line, length) = self.lines[self.next - 1];
                let end = if length > line.len() { "\n" } else { "" };
                let carriage = length.saturating_sub(line.len() + 1);
                instruction.text.extend(std::iter::repeat_n('\0', carriage));
                instruction.text.push_str(end);
            }
            let start = self
                .lines
                .get(self.next)
                .map_or(instruction.range.end, |line| line.0);
            let mut body = start..start;
            let mut ends = false;
            while let Some(&(at, line, length)) = self.lines.get(self.next) {
                self.next += 1;
                instruction.text.push_str(line);
                instruction.text.extend(std::iter::repeat_n(
                    '\0',
                    (length - line.len()).saturating_sub(1),
                ));
                if length > line.len() {
                    instruction.text.push('\n');
                }
                instruction.range.end = at + line.len();
                let plain = if strips {
                    line.trim_start_matches('\t')
                } else {
                    line
                };
                if plain == name {
                    ends = true;
                    break;
                }
                body.end = at + length;
            }
            instruction.documents.push(Document { name, body, ends });
        }
    }
}

/// The here-documents that a line announces: their delimiters, and whether tabs are taken out.
fn announced(text: &str, escape: u8) -> Vec<(String, bool)> {
    if !text.contains("<<") {
        return Vec::new();
    }
    let mut found = Vec::new();
    for word in words(text, escape) {
        let rest = word.text.trim_start_matches(|c: char| c.is_ascii_digit());
        let Some(rest) = rest.strip_prefix("<<") else {
            continue;
        };
        let (rest, strips) = rest
            .strip_prefix('-')
            .map_or((rest, false), |rest| (rest, true));
        let end = rest
            .find([';', '&', '|', ')', '>', '<'])
            .unwrap_or(rest.len());
        if end > 0 {
            found.push((rest[..end].to_owned(), strips));
        }
    }
    found
}

/// The text without what continues lines.
pub fn clean(text: &str) -> String {
    text.replace('\0', "")
}

/// The words of a line, as Docker splits it.
pub fn words(text: &str, escape: u8) -> Vec<Word> {
    let mut out = Vec::new();
    let mut chars = text.char_indices().peekable();
    loop {
        while chars
            .next_if(|&(_, c)| c.is_whitespace() || c == '\0')
            .is_some()
        {}
        let Some(&(start, _)) = chars.peek() else {
            return out;
        };
        let mut word = String::new();
        let mut quote = None;
        let mut end = start;
        while let Some(&(at, c)) = chars.peek() {
            if quote.is_none() && c.is_whitespace() {
                break;
            }
            chars.next();
            end = at + c.len_utf8();
            match (c, quote) {
                ('\0', _) => {}
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('$', Some('\'')) => word.push_str("\\$"),
                (c, _) if u32::from(c) == u32::from(escape) && quote != Some('\'') => {
                    if let Some((at, next)) = chars.next() {
                        end = at + next.len_utf8();
                        let keeps =
                            next == '$' || quote == Some('"') && !matches!(next, '"' | '\\');
                        if keeps {
                            word.push('\\');
                        }
                        word.push(next);
                    }
                }
                (c, _) => word.push(c),
            }
        }
        out.push(Word {
            text: word,
            range: start..end,
        });
    }
}
