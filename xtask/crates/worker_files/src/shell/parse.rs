//! From a script's text to its commands, in one pass.

mod conditions;
mod expansions;
mod functions;
mod keywords;
mod patterns;
mod run;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use self::run::Announced;
use super::value::{ShellValue, Values};
use super::{Command, Condition, Guard, Script, Variable, Word, is_name};

/// Substitutions and groups deeper than this are no script made by a person.
const DEEPEST: usize = 40;
/// `bash -c` inside `bash -c`.
const MOST_SHELLS: usize = 6;

/// What is filled in and what functions add may be so many times as long as the script.
const FILLED: usize = 32;

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0)
}

/// Whether a byte ends a word without quotes.
fn ends_word(byte: u8) -> bool {
    b" \t\n\r;&|()<>".contains(&byte)
}

pub fn parse(text: &str) -> Script {
    parse_with(text, &BTreeMap::new())
}

/// Reads a script whose environment has these values.
pub fn parse_with(text: &str, given: &BTreeMap<String, String>) -> Script {
    let mut parser = Parser::new(text, Values::new(given), 0);
    parser.commands(None);
    parser.finish()
}

/// Reads a script that is called with these words, with what the files that it sources set and
/// define. A function that it does not call counts where it is called elsewhere.
pub fn parse_called(
    text: &str,
    arguments: &[Word],
    sourced: &[String],
    is_called_elsewhere: &dyn Fn(&str) -> bool,
) -> Script {
    let mut parser = Parser::default();
    for before in sourced {
        let (values, functions) = (parser.values, parser.functions);
        let flags = parser.script.flags;
        parser = Parser::new(before, values, 1);
        parser.functions = functions;
        parser.script.flags = flags;
        parser.commands(None);
    }
    let flags = parser.script.flags;
    let mut parser = Parser {
        functions: parser.functions,
        ..Parser::new(text, parser.values, 0)
    };
    parser.script.flags = flags;
    if !arguments.is_empty() {
        parser.values.enter(arguments);
    }
    parser.commands(None);
    parser.finish_with(is_called_elsewhere)
}

/// Reads a command that is given as words, and for which no shell fills in variables.
pub fn exec(words: &[String], range: &Range<usize>) -> Script {
    let mut parser = Parser::new("", Values::default(), 0);
    let words = words.iter().map(|text| Word::new(text, range));
    parser.command = Command::new(words.collect());
    parser.end_command();
    parser.finish()
}

/// A text, and the part of it that is the function.
type FunctionBody<'a> = (&'a str, Range<usize>);

#[derive(Default)]
struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    shells: usize,
    script: Script,
    command: Command,
    values: Values,
    blocks: Vec<Block>,
    /// How many blocks are open around the substitution that is being read, and the condition that
    /// it stands below.
    base: (usize, Guard),
    /// The conditions with which the list before ended.
    last: Guard,
    /// The conditions before `||`, for a test that follows it.
    before_or: Option<Guard>,
    /// Whether each open brace began such a block.
    brace_blocks: Vec<bool>,
    /// Whether `&&` or `||` stands before the command in its list.
    may_be_skipped: bool,
    /// Whether the condition of a block is being read.
    in_condition: bool,
    /// Whether the list of commands goes on behind the line.
    is_continued: bool,
    /// How many flags were written before the command.
    flags_before: usize,
    /// Whether `!` stands before the next condition.
    negated: bool,
    /// Whether the script has left by `exit` or `exec`.
    has_left: bool,
    /// The commands of the pipe whose last command is yet to come, and whether `!` stands in front.
    pipe: (Vec<String>, bool),
    /// The conditions that what follows stands below.
    guard: Guard,
    /// Here-documents whose text begins behind the line.
    documents: Vec<Announced>,
    /// Where each function is that was defined; branches may each have one of the same name.
    functions: BTreeMap<String, Vec<FunctionBody<'a>>>,
    called: BTreeSet<String>,
    /// Whether a command's name is a variable's value, so that it may call any function.
    calls_by_value: bool,
    /// Whether what comes next depends on the command before it.
    in_list: bool,
    /// What each `case` that is open asks for, and whether a pattern comes next.
    cases: Vec<(String, bool)>,
    /// `for NAME in`, until its words are over.
    loops: Option<String>,
    /// Where in the script's reads each variable is.
    seen: BTreeMap<String, Vec<usize>>,
    /// Whether programs see all that is set: `set -a`.
    exports_all: bool,
    /// Whether a backtick ends what is read.
    ticks: bool,
    /// How many bytes of values may still be filled in, and of functions be read.
    budget: usize,
}

/// A block that is open: `if`, a loop, `case`, or a brace behind a test.
struct Block {
    /// The conditions that all of it stands below.
    entry: Guard,
    /// The conditions of the branch that is being read.
    branch: Guard,
    /// The conditions of what follows, where a branch leaves the function.
    rest: Option<Guard>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, values: Values, shells: usize) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            shells,
            values,
            budget: FILLED * (text.len() + 1024),
            ..Self::default()
        }
    }

    fn finish(self) -> Script {
        self.finish_with(&|_| true)
    }

    fn finish_with(mut self, is_called_elsewhere: &dyn Fn(&str) -> bool) -> Script {
        self.uncalled(is_called_elsewhere);
        if self.values.exhausted && self.script.unread.is_empty() {
            let what = "a variable's value grows beyond all measure; variables were not filled in";
            self.script.unread.push((0..0, what));
        }
        let empty = |command: &Command| command.words.is_empty() && command.writes.is_empty();
        self.script.commands.retain(|command| !empty(command));
        // A function that is called twice says the same twice.
        if !self.called.is_empty() {
            let start = |word: &Word| word.range.start;
            let mut known = BTreeSet::new();
            let place = |it: &Command| (it.words.first().map(start), it.line());
            self.script.commands.retain(|it| known.insert(place(it)));
            let mut known = BTreeSet::new();
            let place = |it: &Variable| (it.range.start, it.name.clone(), it.compared.clone());
            self.script.reads.retain(|it| known.insert(place(it)));
        }
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

    /// Reads commands up to `until`, or to the end. They stand below the conditions around them;
    /// gives those with which they end.
    fn commands(&mut self, until: Option<u8>) -> Guard {
        self.deeper(|parser| {
            let guard = parser.guard.clone();
            let base = (parser.blocks.len(), guard.clone());
            let base = std::mem::replace(&mut parser.base, base);
            let in_condition = std::mem::take(&mut parser.in_condition);
            let negated = std::mem::take(&mut parser.negated);
            parser.before_or = None;
            let flags = parser.script.flags.len();
            let flags_before = std::mem::replace(&mut parser.flags_before, flags);
            let command = std::mem::take(&mut parser.command);
            let cases = std::mem::take(&mut parser.cases);
            let loops = parser.loops.take();
            let ticks = std::mem::replace(&mut parser.ticks, until == Some(b'`'));
            while let Some(byte) = parser.peek() {
                if parser.cases.last().is_some_and(|(_, pattern)| *pattern) {
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
            parser.here_documents();
            parser.blocks.truncate(parser.base.0);
            parser.base = base;
            parser.in_condition = in_condition;
            parser.negated = negated;
            parser.flags_before = flags_before;
            parser.command = command;
            parser.cases = cases;
            parser.loops = loops;
            parser.ticks = ticks;
            std::mem::replace(&mut parser.guard, guard)
        })
    }

    fn token(&mut self, byte: u8) {
        let words = &self.command.words;
        let is = |word: Option<&Word>, text: &str| word.is_some_and(|word| word.text == text);
        let in_test = is(words.first(), "[[") && !is(words.last(), "]]");
        let in_expression = in_test && is(words.last(), "=~");
        match byte {
            b'\\' if self.continues() => {}
            _ if is_blank(byte) => self.at += 1,
            b'#' => self.skip_line(),
            b'\n' => {
                self.end_command();
                self.at += 1;
                if !self.is_continued {
                    self.end_list();
                }
                self.here_documents();
                if self.has_left {
                    self.at = self.bytes.len();
                }
            }
            b'(' if self.next_is(1, b'(') && self.command.words.is_empty() => {
                self.at += 2;
                let from = self.at;
                self.deeper(Self::arithmetic);
                let test = self.slice(from..self.at).trim_end_matches(')');
                let test = test.replace([' ', '$', '{', '}'], "");
                let names = test.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                // A program that is run there has words of its own.
                let mut names = names.filter(|name| is_name(name) && !test.contains('('));
                let name = names.next();
                let name = name.unwrap_or_default().to_owned();
                let condition = Condition::new(name, Some(format!("(({test}))")), false);
                let before_or = self.before_or.take();
                let is_negated = std::mem::take(&mut self.negated);
                self.stand_below(
                    condition.into_iter().collect(),
                    is_negated,
                    before_or.as_ref(),
                );
            }
            _ if in_expression => self.regular_expression(),
            b'&' | b'|' if in_test && self.next_is(1, byte) => {
                let range = self.at..self.at + 2;
                let word = Word::new(self.slice(range.clone()), &range);
                self.command.words.push(word);
                self.at += 2;
            }
            b'&' | b'|' | b'(' | b')' | b'<' | b'>' if in_test => self.at += 1,
            b'&' if self.next_is(1, b'>') => {
                self.at += 1;
                self.redirect();
            }
            b';' => {
                self.end_command();
                self.end_list();
                self.at += 1;
                if matches!(self.peek(), Some(b';' | b'&')) {
                    self.at += 1;
                    if let Some((_, pattern)) = self.cases.last_mut() {
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
        let decides = !matches!(self.command.program(), "" | "cd");
        self.end_command();
        self.at += 1;
        if self.peek() == Some(byte) {
            self.at += 1;
            self.is_continued = true;
            self.may_be_skipped = true;
            self.in_list |= decides;
            let outermost = self.around(1).depth();
            if byte == b'|' && self.guard.depth() > outermost {
                let negated = self.guard.negated_from(outermost);
                self.before_or = Some(std::mem::replace(&mut self.guard, negated));
            }
        } else if byte == b'|' {
            self.is_continued = true;
            self.at += usize::from(self.peek() == Some(b'&'));
            self.command.piped = true;
        } else {
            self.end_list();
        }
    }

    /// Goes on to the next line where a backslash continues this one.
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
            self.at += 1;
            let name = std::mem::take(&mut self.command).words.remove(0);
            return self.define(name.text);
        }
        self.at = inside;
        self.end_command();
        // `( [ -z "$NAME" ] ) &&`
        self.guard = self.commands(Some(b')'));
    }

    fn blanks(&mut self) {
        self.pass_space(|b| matches!(b, b' ' | b'\t' | 0));
    }

    fn character(&mut self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.chars().next().map_or(1, char::len_utf8);
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// Reads a word and gives it to the command.
    fn word(&mut self) {
        self.is_continued = false;
        let start = self.at;
        let opener = self.command.words.first().map(|word| word.text.as_str());
        let first = opener.is_none();
        let declarations = "export local declare typeset readonly";
        let declares = opener.is_some_and(|opener| crate::is_one_of(declarations, opener));
        if (first || declares) && self.assignment() {
            return;
        }
        let words = self.word_values();
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
            } else if opener == "case" && written == "in" {
                let command = std::mem::take(&mut self.command);
                let subject = command.words.get(1).map_or("", |word| &word.text);
                self.cases.push((subject.to_owned(), true));
                self.open_block();
                return;
            } else if opener == "function" {
                self.command = Command::default();
                return self.define(written.to_owned());
            }
            if declares && is_name(written) && opener != "export" {
                self.values.forget(written);
            } else if declares && is_name(written) && self.values.is_set(written) {
                let value = match self.values.get(written) {
                    Some(value @ ShellValue::Any(_)) => value.texts().join(" or "),
                    _ => String::new(),
                };
                let export = (written.to_owned(), value, start..self.at);
                self.script.exports.push(export);
                self.note_guarded_export(written);
            } else if opener == "export" {
                self.exported(&words, start..self.at);
            }
        }
        if self.loops.as_deref() == Some(written) && self.command.words.len() == 1 {
            return;
        }
        self.command.words.extend(words);
    }
}
