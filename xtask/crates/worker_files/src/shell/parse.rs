//! From a script's text to its commands, in one pass.

use std::collections::BTreeMap;
use std::ops::Range;

use super::value::{Value, Values};
use super::{Command, Script, Variable, Word, command, is_name};

/// Substitutions and groups deeper than this are no script made by a person.
const DEEPEST: usize = 40;
/// `bash -c` inside `bash -c`.
const MOST_SHELLS: usize = 6;

/// So many times a script's own length may be filled in for its variables.
const FILLED: usize = 16;

/// Variables that the shell itself sets.
fn is_own(name: &str) -> bool {
    const OWN: &str = "BASH_SOURCE BASH_VERSION BASHPID RANDOM SECONDS LINENO IFS OPTARG OPTIND PPID \
                       REPLY FUNCNAME PIPESTATUS PWD OLDPWD UID EUID _";
    crate::is_one_of(OWN, name)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// What stands between words on a line.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0)
}

/// What ends a word.
fn ends_word(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'\t' | b'\n' | b'\r' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>'
    )
}

/// Reads a script.
pub fn parse(text: &str) -> Script {
    parse_with(text, &BTreeMap::new())
}

/// Reads a script whose environment has these values.
pub fn parse_with(text: &str, given: &BTreeMap<String, String>) -> Script {
    let mut parser = Parser::new(text, Values::new(given), 0);
    parser.commands(None);
    parser.finish()
}

/// Reads a command that is given as words, and for which no shell fills in variables.
pub fn exec(words: &[String], range: &Range<usize>) -> Script {
    let mut parser = Parser::new("", Values::default(), 0);
    let words = words.iter().map(|text| Word::new(text, range));
    parser.command = Command::new(words.collect());
    parser.end_command();
    parser.finish()
}

/// A part of a word: text, or a variable with its name.
struct Part {
    /// Empty where the text is plain, or where only running shows what it becomes.
    name: String,
    /// As it is written.
    text: String,
    quoted: bool,
}

/// The parts of a word.
#[derive(Default)]
struct Parts(Vec<Part>);

impl Parts {
    fn push(&mut self, name: &str, text: &str, quoted: bool) {
        self.0.push(Part {
            name: name.to_owned(),
            text: text.to_owned(),
            quoted,
        });
    }

    /// Text in which nothing is filled in. It joins such text in front of it.
    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(last) if last.name.is_empty() => last.text.push_str(text),
            _ if text.is_empty() => {}
            _ => self.push("", text, true),
        }
    }
}

/// A here-document whose text is yet to come.
struct Announced {
    delimiter: String,
    /// Whether tabs are taken out.
    strips: bool,
    /// Whether variables are filled in.
    expands: bool,
    /// The command that it is given to.
    command: Option<usize>,
}

#[derive(Default)]
struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    /// How many shells are around this one.
    shells: usize,
    script: Script,
    command: Command,
    /// Words in front of the command that set variables for it.
    values: Values,
    /// Conditions and loops that are open.
    conditions: usize,
    /// The variable that the condition before asks for, and whether it holds where that is empty.
    guard: Option<(String, bool)>,
    /// Here-documents whose text begins behind the line.
    documents: Vec<Announced>,
    functions: Vec<(String, usize)>,
    braces: usize,
    cases: Vec<bool>,
    /// `for NAME in`, until its words are over.
    loops: Option<String>,
    /// Where in the script's reads each variable is.
    seen: BTreeMap<String, Vec<usize>>,
    /// Whether a backtick ends what is read.
    ticks: bool,
    /// How many bytes were filled in for variables.
    filled: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, values: Values, shells: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            shells,
            values,
            ..Self::default()
        }
    }

    fn finish(mut self) -> Script {
        if self.values.exhausted && self.script.unread.is_empty() {
            let what = "a variable's value grows beyond all measure; variables were not filled in";
            self.script.unread.push((0..0, what));
        }
        let empty = |command: &Command| command.words.is_empty() && command.writes.is_empty();
        self.script.commands.retain(|command| !empty(command));
        self.script.calls(FILLED * (self.bytes.len() + 1024));
        self.script
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next_is(&self, ahead: usize, byte: u8) -> bool {
        self.bytes.get(self.at + ahead) == Some(&byte)
    }

    fn slice(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// Goes on while the bytes are of a kind; what was passed.
    fn pass(&mut self, takes: impl Fn(u8) -> bool) -> &'a str {
        let from = self.at;
        while self.peek().is_some_and(&takes) {
            self.at += 1;
        }
        self.slice(from..self.at)
    }

    /// Goes on over space of a kind, and to the next line where this one is continued.
    fn pass_space(&mut self, takes: impl Fn(u8) -> bool) {
        loop {
            self.pass(&takes);
            if self.peek() != Some(b'\\') || !self.continues() {
                return;
            }
        }
    }

    fn unread(&mut self, range: Range<usize>, what: &'static str) {
        self.script.unread.push((range, what));
    }

    /// Reads one level down. Where that is too deep, nothing more is read.
    fn deeper<T: Default>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        if self.depth >= DEEPEST {
            if self.at < self.bytes.len() {
                self.unread(self.at..self.bytes.len(), "nested too deeply to be read");
            }
            self.at = self.bytes.len();
            return T::default();
        }
        self.depth += 1;
        let found = read(self);
        self.depth -= 1;
        found
    }

    /// Reads commands up to `until`, or to the end.
    fn commands(&mut self, until: Option<u8>) {
        self.deeper(|parser| {
            let outer = std::mem::take(&mut parser.command);
            let cases = std::mem::take(&mut parser.cases);
            let loops = parser.loops.take();
            let ticks = std::mem::replace(&mut parser.ticks, until == Some(b'`'));
            while let Some(byte) = parser.peek() {
                if parser.cases.last() == Some(&true) {
                    parser.pattern();
                    continue;
                }
                if until == Some(byte) {
                    parser.at += 1;
                    break;
                }
                parser.token(byte);
            }
            parser.end_command();
            parser.documents();
            parser.command = outer;
            parser.cases = cases;
            parser.loops = loops;
            parser.ticks = ticks;
        });
    }

    fn token(&mut self, byte: u8) {
        let in_test = self.command.words.first().is_some_and(|w| w.text == "[[");
        match byte {
            b'\\' if self.continues() => {}
            _ if is_blank(byte) => self.at += 1,
            b'#' => self.skip_line(),
            b'\n' => {
                self.end_command();
                self.at += 1;
                if self.conditions == 0 {
                    self.guard = None;
                }
                self.documents();
            }
            b'(' if self.next_is(1, b'(') && self.command.words.is_empty() => {
                self.at += 2;
                self.deeper(Self::arithmetic);
            }
            b'&' | b'|' | b'(' | b')' | b'<' | b'>' if in_test => self.at += 1,
            b'&' if self.next_is(1, b'>') => {
                self.at += 1;
                self.redirect();
            }
            b';' => {
                self.end_command();
                self.at += 1;
                if matches!(self.peek(), Some(b';' | b'&')) {
                    self.at += 1;
                    if let Some(pattern) = self.cases.last_mut() {
                        *pattern = true;
                    }
                }
            }
            b'&' | b'|' => self.operator(byte),
            b'(' => self.group(),
            b')' => {
                self.end_command();
                self.at += 1;
            }
            b'<' | b'>' => self.redirect(),
            _ => self.word(),
        }
    }

    fn operator(&mut self, byte: u8) {
        self.end_command();
        self.at += 1;
        if self.peek() == Some(byte) {
            self.at += 1;
            if let Some((_, empty)) = self.guard.as_mut().filter(|_| byte == b'|') {
                *empty = !*empty;
            }
        } else if byte == b'|' {
            if self.peek() == Some(b'&') {
                self.at += 1;
            }
            self.command.piped = true;
        }
    }

    fn continues(&mut self) -> bool {
        let ends = match self.bytes.get(self.at + 1) {
            Some(b'\n') => 2,
            Some(b'\r') if self.next_is(2, b'\n') => 3,
            _ => return false,
        };
        self.at += ends;
        true
    }

    fn skip_line(&mut self) {
        self.pass(|b| b != b'\n');
    }

    /// `name()`, or commands in round brackets.
    fn group(&mut self) {
        let inside = self.at + 1;
        self.at = inside;
        self.pass(|b| matches!(b, b' ' | b'\t'));
        if self.peek() == Some(b')') && self.command.words.len() == 1 {
            let name = std::mem::take(&mut self.command).words.remove(0).text;
            self.functions.push((name, self.braces));
            self.at += 1;
            return;
        }
        self.at = inside;
        self.end_command();
        self.commands(Some(b')'));
    }

    /// The pattern of a `case`, up to its bracket.
    fn pattern(&mut self) {
        self.pass_space(|b| is_blank(b) || b == b'\n');
        if self.peek() == Some(b'#') {
            self.skip_line();
            return;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"esac") {
            self.at += 4;
            self.keyword("esac");
            return;
        }
        if self.peek() == Some(b'(') {
            self.at += 1;
        }
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.at += 1;
                    break;
                }
                b'\\' => self.at += 2,
                b'\'' => {
                    self.quoted();
                }
                b'"' => self.double(&mut Parts::default()),
                _ => self.at += 1,
            }
        }
        if let Some(pattern) = self.cases.last_mut() {
            *pattern = false;
        }
    }

    /// `> file`, `2>&1`, `< file`, `<<END`, `<<< word`, `<(commands)`.
    fn redirect(&mut self) {
        let start = self.at;
        while matches!(self.peek(), Some(b'<' | b'>' | b'|')) && self.at < start + 3 {
            self.at += 1;
        }
        let operator = self.slice(start..self.at);
        if matches!(operator, "<" | ">") && self.peek() == Some(b'(') {
            self.at += 1;
            return self.commands(Some(b')'));
        }
        if operator == "<<" {
            let strips = self.peek() == Some(b'-');
            self.at += usize::from(strips);
            self.blanks();
            let from = self.at;
            self.pieces();
            let delimiter = self.slice(from..self.at);
            let expands = !delimiter.contains(['"', '\'', '\\']);
            let delimiter = delimiter.replace(['"', '\'', '\\', '\0'], "");
            if !delimiter.is_empty() {
                self.documents.push(Announced {
                    delimiter,
                    strips,
                    expands,
                    command: None,
                });
            }
            return;
        }
        if self.peek() == Some(b'&') {
            self.at += 1;
        }
        self.blanks();
        let from = self.at;
        if matches!(self.peek(), Some(b'<' | b'>')) {
            // `< <(commands)`
            return;
        }
        let words = self.pieces();
        let text: String = words.iter().map(|word| word.text.as_str()).collect();
        if operator == "<<<" {
            self.command.input = Some((text, from..self.at));
        } else if operator.starts_with('>') && !text.starts_with("/dev/") {
            let is_handle = text.chars().all(|c| c.is_ascii_digit() || c == '-');
            if !is_handle {
                self.command.writes.push(text);
            }
        } else if operator == "<" {
            self.command.list.get_or_insert(text);
        }
    }

    fn blanks(&mut self) {
        self.pass_space(|b| matches!(b, b' ' | b'\t' | 0));
    }

    /// The next character.
    fn character(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.chars().next().map_or(1, char::len_utf8);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// The here-documents that the line just read announced.
    fn documents(&mut self) {
        for announced in std::mem::take(&mut self.documents) {
            let start = self.at;
            let mut end = self.bytes.len();
            let mut next = end;
            let mut at = start;
            for line in self.slice(start..end).split_inclusive('\n') {
                let plain = line.trim_end_matches(['\r', '\0', '\n']);
                let tabs = |c: char| announced.strips && c == '\t';
                if plain.trim_start_matches(tabs) == announced.delimiter {
                    (end, next) = (at, at + line.len());
                    break;
                }
                at += line.len();
            }
            if end == self.bytes.len() {
                self.unread(start..end, "this here-document never ends");
            }
            if announced.expands {
                self.at = start;
                self.document_variables(end);
            }
            self.at = next;
            let body = self.slice(start..end).to_owned();
            self.document(body, start..end, announced.command);
        }
    }

    fn document_variables(&mut self, end: usize) {
        while self.at < end {
            match self.bytes[self.at] {
                b'\\' => self.at += 2,
                b'$' => self.dollar(&mut Parts::default(), true),
                _ => self.at += 1,
            }
        }
    }

    /// Gives a here-document to its command. One that has none, or a shell, runs the text.
    fn document(&mut self, body: String, range: Range<usize>, command: Option<usize>) {
        let reader = command.and_then(|index| self.script.commands.get_mut(index));
        let is_shell = reader.as_ref().is_none_or(|command| {
            command.words.is_empty() || is_shell(command.program()) && command.run().len() == 1
        });
        if !is_shell {
            if let Some(reader) = reader {
                reader.input = Some((body, range));
            }
            return;
        }
        if let Some(reader) = reader {
            *reader = Command::default();
        }
        if let Some(first) = body.lines().next().filter(|line| line.starts_with("#!"))
            && !first.contains("sh")
        {
            let words = first[2..].split_whitespace();
            let words = words.map(|text| Word::new(text, &range));
            let mut command = Command::new(words.collect());
            command.input = Some((body, range));
            self.script.commands.push(command);
            return;
        }
        let inner = self.inner(&body);
        self.merge(inner, |at| range.start + at.start..range.start + at.end);
    }

    /// Reads a text that another shell runs.
    fn inner(&mut self, text: &str) -> Script {
        if self.shells >= MOST_SHELLS {
            return Script {
                unread: vec![(0..text.len(), "nested too deeply to be read")],
                ..Script::default()
            };
        }
        let values = self.values.used_in(text);
        let mut parser = Parser::new(text, values, self.shells + 1);
        parser.depth = self.depth;
        parser.commands(None);
        let exhausted = std::mem::take(&mut parser.values.exhausted);
        self.values.exhausted |= exhausted;
        parser.finish()
    }

    fn merge(&mut self, inner: Script, place: impl Fn(Range<usize>) -> Range<usize>) {
        for mut command in inner.commands {
            for word in &mut command.words {
                word.range = place(word.range.clone());
            }
            if let Some((_, range)) = &mut command.input {
                *range = place(range.clone());
            }
            self.script.commands.push(command);
        }
        for read in inner.reads {
            self.read(&read.name, read.default, place(read.range));
        }
        let script = &mut self.script;
        for (name, at) in inner.sets {
            script.sets.push((name, place(at)));
        }
        for (name, value, at) in inner.exports {
            script.exports.push((name, value, place(at)));
        }
        for (at, what) in inner.unread {
            script.unread.push((place(at), what));
        }
    }

    /// Reads a word and gives it to the command.
    fn word(&mut self) {
        let start = self.at;
        let opener = self.command.words.first().map(|word| word.text.as_str());
        let first = opener.is_none();
        let declares = matches!(
            opener,
            Some("export" | "local" | "declare" | "typeset" | "readonly")
        );
        if (first || declares) && self.assignment() {
            return;
        }
        let words = self.pieces();
        if self.at == start {
            // Nothing that a word could begin with.
            self.at += 1;
            return;
        }
        let written = self.slice(start..self.at);
        // The number in front of `>` and `<`.
        let digits = written.bytes().all(|b| b.is_ascii_digit());
        if digits && matches!(self.peek(), Some(b'<' | b'>')) || first && self.keyword(written) {
            return;
        }
        if let Some(opener) = self.command.words.first().map(|word| word.text.clone()) {
            if opener == "for" || opener == "select" {
                if self.loops.is_none() {
                    self.values.forget(written);
                    self.loops = Some(written.to_owned());
                } else if self.command.words.len() == 1 && written == "in" {
                    return;
                }
            }
            if opener == "case" && written == "in" {
                self.command = Command::default();
                self.cases.push(true);
                self.conditions += 1;
                return;
            }
            if opener == "function" {
                self.functions.push((written.to_owned(), self.braces));
                self.command = Command::default();
                return;
            }
            if declares && is_name(written) && opener != "export" {
                self.values.forget(written);
            } else if declares && is_name(written) && self.values.is_set(written) {
                let value = match self.values.get(written) {
                    Some(value @ Value::Any(_)) => value.texts().join(" or "),
                    _ => String::new(),
                };
                let (name, at) = (written.to_owned(), start..self.at);
                self.script.exports.push((name, value, at));
            }
        }
        if self.loops.as_deref() == Some(written) && self.command.words.len() == 1 {
            return;
        }
        self.command.words.extend(words);
    }

    /// Words of the grammar; true where the command itself is yet to come.
    fn keyword(&mut self, word: &str) -> bool {
        match word {
            "if" | "while" | "until" => self.conditions += 1,
            "fi" | "done" => {
                self.conditions = self.conditions.saturating_sub(1);
                self.guard = None;
            }
            "elif" => self.guard = None,
            "else" => {
                if let Some((_, empty)) = &mut self.guard {
                    *empty = !*empty;
                }
            }
            "{" => self.braces += 1,
            "}" => {
                self.braces = self.braces.saturating_sub(1);
                let braces = self.braces;
                self.functions.pop_if(|(_, at)| *at >= braces);
            }
            "esac" => {
                self.cases.pop();
                self.conditions = self.conditions.saturating_sub(1);
            }
            "then" | "do" | "!" => {}
            _ => return false,
        }
        true
    }

    /// `NAME=word`, `NAME+=word`, `NAME=(words)`, `NAME[0]=word`.
    fn assignment(&mut self) -> bool {
        let start = self.at;
        let rest = self.slice(start..self.bytes.len());
        let mut after = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
        let name = &rest[..rest.len() - after.len()];
        let mut element = false;
        if after.starts_with('[') {
            // A subscript is short.
            let close = after.as_bytes().iter().take(200).position(|&b| b == b']');
            if let Some(rest) = close.and_then(|close| after.get(close + 1..)) {
                after = rest;
                element = true;
            }
        }
        let appends = after.starts_with("+=");
        if !is_name(name) || !(appends || after.starts_with('=')) {
            return false;
        }
        let name = name.to_owned();
        self.at = self.bytes.len() - after.len() + 1 + usize::from(appends);
        if self.peek() == Some(b'(') {
            self.at += 1;
            let words = self.array();
            if appends {
                self.values.extend(&name, words);
            } else {
                self.values.put(&name, Value::Array(words));
            }
        } else {
            let words = self.pieces();
            let texts: Vec<String> = words.into_iter().map(|word| word.text).collect();
            let value = texts.join(" ");
            if self.exports() && !self.is_default_of(&name) {
                let export = (name.clone(), value.clone(), start..self.at);
                self.script.exports.push(export);
            }
            if self.command.words.is_empty() {
                self.command.sets.push((name.clone(), value.clone()));
            }
            self.assign(&name, value, appends, element);
        }
        self.script.sets.push((name, start..self.at));
        true
    }

    /// Whether what is being declared is for the programs that the script starts.
    fn exports(&self) -> bool {
        let words = &self.command.words;
        words.first().is_some_and(|first| first.text == "export")
            || words
                .get(1)
                .is_some_and(|option| option.text.starts_with('-') && option.text.contains('x'))
    }

    /// Whether this stands where a variable from outside is empty: what it is set to is its default.
    fn is_default_of(&self, name: &str) -> bool {
        let guard = self.guard.as_ref();
        guard.is_some_and(|(asked, empty)| asked == name && *empty) && !self.values.is_set(name)
    }

    fn assign(&mut self, name: &str, text: String, appends: bool, element: bool) {
        if element {
            let word = Word::new(text, &(self.at..self.at));
            self.values.extend(name, vec![word]);
        } else if appends {
            self.values.append(name, &text);
        } else if self.is_default_of(name) {
            // `[ -z "$NAME" ] && NAME=default`: it is the environment's all the same.
            for index in self.seen.remove(name).unwrap_or_default() {
                self.script.reads[index].default.get_or_insert(text.clone());
            }
            self.seen.insert(name.to_owned(), Vec::new());
        } else if self.conditions > 0 && !text.contains(&format!("${name}")) {
            let from_outside = self.seen.contains_key(name) && !self.values.is_set(name);
            let before = from_outside.then(|| format!("${name}"));
            self.values.maybe(name, text, before);
        } else {
            self.values.put(name, Value::one(text));
        }
    }

    /// The words of an array, up to its bracket.
    fn array(&mut self) -> Vec<Word> {
        let mut words = Vec::new();
        while let Some(byte) = self.peek() {
            match byte {
                b')' => {
                    self.at += 1;
                    break;
                }
                _ if is_blank(byte) || byte == b'\n' => self.at += 1,
                b'#' => self.skip_line(),
                b'\\' if self.continues() => {}
                _ => {
                    let before = self.at;
                    words.extend(self.pieces());
                    self.at = self.at.max(before + 1);
                }
            }
        }
        words
    }

    /// Reads one word; known variables may make it many or none.
    fn pieces(&mut self) -> Vec<Word> {
        let start = self.at;
        let mut parts = Parts::default();
        let mut quoted = false;
        while let Some(byte) = self.peek().filter(|byte| !ends_word(*byte)) {
            match byte {
                0 => self.at += 1,
                b'\\' if self.continues() => {}
                b'\\' => {
                    self.at += 1;
                    parts.text(self.character());
                }
                b'\'' => {
                    parts.text(&self.quoted());
                    quoted = true;
                }
                b'"' => {
                    self.double(&mut parts);
                    quoted = true;
                }
                b'`' if self.ticks => break,
                b'`' => self.backticks(&mut parts),
                b'$' => self.dollar(&mut parts, false),
                _ => parts.text(self.character()),
            }
        }
        self.at = self.at.min(self.bytes.len());
        self.expanded(&parts.0, start..self.at, quoted)
    }

    /// Commands in backticks.
    fn backticks(&mut self, parts: &mut Parts) {
        let from = self.at;
        self.at += 1;
        self.commands(Some(b'`'));
        self.at = self.at.min(self.bytes.len());
        parts.text(self.slice(from..self.at));
    }

    /// Text in single quotes.
    fn quoted(&mut self) -> String {
        let from = self.at + 1;
        let rest = self.bytes.get(from..).unwrap_or_default();
        let end = rest.iter().position(|&b| b == b'\'');
        if end.is_none() {
            self.unread(self.at..self.bytes.len(), "this quote never ends");
        }
        let end = from + end.unwrap_or(rest.len());
        self.at = (end + 1).min(self.bytes.len());
        self.slice(from..end).replace('\0', "")
    }

    /// Text in double quotes.
    fn double(&mut self, parts: &mut Parts) {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    return;
                }
                0 => self.at += 1,
                b'\\' if self.continues() => {}
                b'\\' => {
                    self.at += 1;
                    if !matches!(self.peek(), Some(b'"' | b'\\' | b'$' | b'`')) {
                        parts.text("\\");
                    }
                    parts.text(self.character());
                }
                b'$' => self.dollar(parts, true),
                b'`' => self.backticks(parts),
                _ => parts.text(self.character()),
            }
        }
        self.unread(start..self.bytes.len(), "this quote never ends");
    }

    /// What begins with a dollar sign.
    fn dollar(&mut self, parts: &mut Parts, quoted: bool) {
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
            Some(b'{') => self.braced(parts, quoted),
            Some(b'\'') if !quoted => parts.text(&self.quoted()),
            Some(b'"') if !quoted => self.double(parts),
            Some(byte) if byte.is_ascii_alphabetic() || byte == b'_' => {
                let name = self.pass(is_name_byte);
                self.read(name, None, start..self.at);
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
    fn braced(&mut self, parts: &mut Parts, quoted: bool) {
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
        let written = self.slice(start..end);
        if indirect {
            self.indirect(&name, start..end);
            parts.text(written);
            return;
        }
        let rest = self.slice(operator..end.saturating_sub(1).max(operator));
        let takes_default = [":-", ":=", "-", "="]
            .iter()
            .any(|mark| rest.starts_with(mark));
        let default = Some(operand).filter(|text| takes_default && !text.is_empty());
        self.read(&name, default, start..end);
        if rest.starts_with(":?") || rest.starts_with('?') {
            let read = self.script.reads.last_mut();
            if let Some(read) = read.filter(|read| read.range == (start..end)) {
                read.required = true;
            }
        }
        let plain = rest.is_empty()
            || matches!(rest, "[@]" | "[*]")
            || rest.starts_with([':', '-']) && !rest.starts_with(":+");
        if plain {
            parts.push(&name, written, quoted && !rest.starts_with('['));
        } else {
            parts.text(written);
        }
    }

    /// What follows the name in `${NAME…}`, up to the bracket: the text behind the operator.
    fn operand(&mut self) -> String {
        self.pass(|b| matches!(b, b':' | b'-' | b'=' | b'+' | b'?'));
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
                b'\'' => parts.text(&self.quoted()),
                b'"' => self.double(&mut parts),
                b'$' => self.dollar(&mut parts, true),
                _ => parts.text(self.character()),
            }
        }
        parts.0.into_iter().map(|part| part.text).collect()
    }

    /// `${!NAME}`: the variable whose name a variable holds.
    fn indirect(&mut self, name: &str, range: Range<usize>) {
        let names = self.values.get(name).map(Value::texts).unwrap_or_default();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        if names.is_empty() || !names.iter().all(|name| is_name(name)) {
            self.unread(range, "the name of this variable is computed");
            return;
        }
        for name in names {
            self.read(&name, None, range.clone());
        }
    }

    /// An arithmetic expression up to its two brackets: names in it are variables.
    fn arithmetic(&mut self) {
        let mut open = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' => open += 1,
                b'$' => {
                    self.dollar(&mut Parts::default(), true);
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
                    self.read(name, None, from..self.at);
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn read(&mut self, name: &str, default: Option<String>, range: Range<usize>) {
        if is_name(name) && !self.values.is_set(name) && !is_own(name) {
            let index = self.script.reads.len();
            self.seen.entry(name.to_owned()).or_default().push(index);
            self.script.reads.push(Variable {
                name: name.to_owned(),
                default,
                required: false,
                range,
            });
        }
    }

    /// Fills in what is known, within measure.
    fn expanded(&mut self, parts: &[Part], range: Range<usize>, has_quotes: bool) -> Vec<Word> {
        let words = self.filled_in(parts, range, has_quotes);
        self.filled += words.iter().map(|word| word.text.len()).sum::<usize>();
        if self.filled > FILLED * (self.bytes.len() + 1024) {
            self.values.exhausted = true;
        }
        words
    }

    fn filled_in(&self, parts: &[Part], range: Range<usize>, has_quotes: bool) -> Vec<Word> {
        const MOST: usize = 64;
        let known = |part: &Part| self.values.get(&part.name);
        let mut is_choice = true;
        let mut texts = vec![String::new()];
        if let [alone] = parts
            && let Some(value) = known(alone).filter(|_| !self.values.exhausted)
        {
            // A variable alone may be many words.
            let all = match value {
                Value::Array(words) => return words.clone(),
                Value::Any(texts) => texts,
            };
            is_choice = all.len() > 1;
            texts.clone_from(all);
            if !alone.quoted {
                let words = all.iter().flat_map(|text| text.split_whitespace());
                texts = words.map(str::to_owned).collect();
            }
        } else {
            for part in parts {
                let choices: &[String] = match known(part) {
                    Some(Value::Any(all))
                        if !self.values.exhausted && texts.len() * all.len() <= MOST =>
                    {
                        all
                    }
                    Some(array @ Value::Array(_)) => &[array.texts().join(" ")],
                    _ => std::slice::from_ref(&part.text),
                };
                if let [one] = choices {
                    for text in &mut texts {
                        text.push_str(one);
                    }
                    continue;
                }
                let joined = texts
                    .iter()
                    .flat_map(|text| choices.iter().map(move |choice| format!("{text}{choice}")));
                texts = joined.collect();
            }
            if texts.iter().all(String::is_empty) && !has_quotes {
                return Vec::new();
            }
        }
        let words = texts.into_iter().enumerate().map(|(number, text)| Word {
            choice: is_choice && number > 0,
            ..Word::new(text, &range)
        });
        words.collect()
    }

    fn end_command(&mut self) {
        let mut command = std::mem::take(&mut self.command);
        if let Some(name) = self.loops.take() {
            let words = command.words.into_iter().skip(1);
            let words: Vec<String> = words.map(|word| word.text).collect();
            if words.is_empty() {
                self.values.forget(&name);
            } else {
                self.values.put(&name, Value::Any(words));
            }
            self.conditions += 1;
            return;
        }
        let index = self.script.commands.len();
        for document in &mut self.documents {
            document.command.get_or_insert(index);
        }
        if command.words.is_empty() && command.writes.is_empty() && self.documents.is_empty() {
            return;
        }
        command.start = command::start(&command.words);
        command.function = self.functions.last().map(|(name, _)| name.clone());
        self.builtin(&command);
        self.xargs(&mut command);
        let nested = nested(&command);
        let range = command.words.first().zip(command.words.last());
        let range = range.map_or(0..0, |(a, b)| a.range.start..b.range.end.max(a.range.start));
        match nested {
            Some(text) if !(command.program() == "eval" && text.contains('$')) => {
                let inner = self.inner(&text);
                self.merge(inner, |_| range.clone());
            }
            Some(_) => self.unread(range, "this command is computed"),
            None => self.script.commands.push(command),
        }
    }

    /// What a command does to variables.
    fn builtin(&mut self, command: &Command) {
        let words = command.run();
        let texts = || words.iter().map(|word| word.text.as_str());
        match command.program() {
            "[" | "[[" | "test" => {
                let empty = texts().any(|text| text == "-z") || texts().any(str::is_empty);
                let negated = texts().any(|text| text == "!" || text == "!=");
                let asks = empty || words.len() <= 3 || texts().any(|text| text == "-n");
                let mut names = words.iter().flat_map(|word| super::variables(&word.text));
                self.guard = names
                    .next()
                    .filter(|_| asks)
                    .map(|(name, _)| (name, empty != negated));
            }
            "set" if command.word(1) == "--" => {
                self.values.put("@", Value::Array(words[2..].to_vec()));
            }
            "read" | "mapfile" | "readarray" | "getopts" | "unset" => {
                for text in texts().skip(1).filter(|text| is_name(text)) {
                    self.values.forget(text);
                }
            }
            "printf" if command.word(1) == "-v" => self.values.forget(command.word(2)),
            "printenv" => {
                for word in words.iter().skip(1) {
                    self.read(&word.text, None, word.range.clone());
                }
            }
            _ => {}
        }
    }

    /// `xargs PROGRAM`: the program with the words of a file or of the command before.
    fn xargs(&mut self, command: &mut Command) {
        let before = self.script.commands.last().filter(|_| command.piped);
        let (list, said) = before.map_or((None, Vec::new()), printed);
        if command.program() != "xargs" {
            // What only filters passes the list on.
            if command.list.is_none() && printed(command).0.is_none() {
                command.list = list;
            }
            return;
        }
        let mut at = command.start + 1;
        while let Some(word) = command.words.get(at)
            && word.text.starts_with('-')
        {
            let option = word.text.as_str();
            let value = command.words.get(at + 1).map(|word| word.text.clone());
            at += 1;
            match option {
                "-a" | "--arg-file" => {
                    at += 1;
                    command.list = value;
                }
                "-n" | "-P" | "-L" | "-I" | "-d" | "-s" | "--max-args" => at += 1,
                _ => {
                    if let Some(file) = option.strip_prefix("--arg-file=") {
                        command.list = Some(file.to_owned());
                    }
                }
            }
        }
        command.list = command.list.take().or(list);
        command.words.extend(said);
        let behind = command::start(command.words.get(at..).unwrap_or_default());
        command.start = (at + behind).min(command.words.len());
    }
}

/// The file that a command prints, or the words.
fn printed(command: &Command) -> (Option<String>, Vec<Word>) {
    match command.program() {
        "cat" | "grep" | "egrep" | "sed" | "awk" | "tr" | "cut" | "sort" | "head" | "tail" => {
            let words = command.run();
            let last = words.last().filter(|word| {
                let names_file = words.len() > 2 || words.len() == 2 && command.program() == "cat";
                names_file && !word.text.starts_with('-') && !word.text.contains('$')
            });
            let file = last.map(|word| word.text.clone());
            (command.list.clone().or(file), Vec::new())
        }
        "echo" | "printf" => (None, command.run()[1..].to_vec()),
        _ => (None, Vec::new()),
    }
}

/// The text that a command hands to another shell.
fn nested(command: &Command) -> Option<String> {
    let words = command.run();
    let program = command.program();
    if program == "eval" {
        let texts: Vec<&str> = words[1..].iter().map(|word| word.text.as_str()).collect();
        return Some(texts.join(" "));
    }
    if !is_shell(program) && program != "su" {
        return None;
    }
    let option = words.iter().skip(1).position(|word| {
        let letters = word.text.strip_prefix('-').unwrap_or_default();
        letters.ends_with('c') && letters.bytes().all(|b| b.is_ascii_lowercase())
    })?;
    Some(words.get(option + 2)?.text.clone())
}

fn is_shell(program: &str) -> bool {
    matches!(program, "sh" | "bash" | "dash" | "ash" | "zsh" | "ksh")
}

impl Script {
    /// Gives the commands of a function the words of each call in place of `"$@"`.
    fn calls(&mut self, mut budget: usize) {
        const MOST_CALLS: usize = 64;
        if self
            .commands
            .iter()
            .all(|command| command.function.is_none())
        {
            return;
        }
        let mut calls: BTreeMap<String, Vec<Vec<Word>>> = BTreeMap::new();
        for command in &self.commands {
            let known = calls.entry(command.word(0).to_owned()).or_default();
            if known.len() < MOST_CALLS && !command.run().is_empty() {
                known.push(command.run()[1..].to_vec());
            }
        }
        let mut made = Vec::new();
        for command in &mut self.commands {
            let all = command.words.iter().position(|word| word.text == "$@");
            let called = command.function.as_ref().and_then(|name| calls.get(name));
            let (Some(at), Some(called)) = (all, called) else {
                continue;
            };
            let generic = command.clone();
            for (number, words) in called.iter().enumerate() {
                let mut one = generic.clone();
                one.words.splice(at..=at, words.iter().cloned());
                let size: usize = one.words.iter().map(|word| word.text.len()).sum();
                let Some(left) = budget.checked_sub(size) else {
                    let what = "this script's functions are called with too much";
                    self.unread.push((0..0, what));
                    self.commands.extend(made);
                    return;
                };
                budget = left;
                if number == 0 {
                    *command = one;
                } else {
                    made.push(one);
                }
            }
        }
        self.commands.extend(made);
    }
}
