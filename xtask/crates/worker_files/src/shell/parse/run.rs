//! What commands do: to variables, with here-documents, and to the shells that they start.

use std::ops::Range;

use super::super::value::{ARGUMENTS, ShellValue};
use super::super::{command, is_name, variables};
use super::words::Parts;
use super::{Command, MOST_SHELLS, Parser, Script, Word};
use crate::is_one_of;

/// A here-document whose text is yet to come.
pub(super) struct Announced {
    pub delimiter: String,
    /// Whether tabs are taken out.
    pub strips: bool,
    /// Whether variables are filled in.
    pub expands: bool,
    /// The number of the command that reads it.
    pub command: Option<usize>,
}

impl Parser<'_> {
    /// The here-documents that the line just read announced.
    pub(super) fn here_documents(&mut self) {
        for announced in std::mem::take(&mut self.documents) {
            let start = self.at.min(self.bytes.len());
            let (mut end, mut next) = (start, start);
            let is_end = |line: &str| {
                let line = line.trim_end_matches(['\r', '\0', '\n']);
                let tabs = |c: char| announced.strips && c == '\t';
                line.trim_start_matches(tabs) == announced.delimiter
            };
            for line in self.slice(start..self.bytes.len()).split_inclusive('\n') {
                next += line.len();
                if is_end(line) {
                    break;
                }
                end = next;
            }
            if end == self.bytes.len() {
                self.unread(start..end, "this here-document never ends");
            }
            while announced.expands && self.at < end {
                match self.bytes[self.at] {
                    b'\\' => self.at += 2,
                    b'$' => self.expansion(&mut Parts::default(), true),
                    _ => self.at += 1,
                }
            }
            self.at = next;
            let body = self.slice(start..end).to_owned();
            self.here_document(body, start..end, announced.command);
        }
    }

    /// Gives a here-document to its command. One that has none, or a shell, runs the text.
    fn here_document(&mut self, body: String, range: Range<usize>, command: Option<usize>) {
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
        let first = body.lines().next().and_then(|line| line.strip_prefix("#!"));
        if let Some(program) = first.filter(|program| !program.contains("sh")) {
            let words = program.split_whitespace();
            let words = words.map(|text| Word::new(text, &range));
            let mut command = Command::new(words.collect());
            command.input = Some((body, range));
            self.script.commands.push(command);
            return;
        }
        let mut inner = self.parse_inner(&body);
        self.script.flags.append(&mut inner.flags);
        self.merge(inner, |at| range.start + at.start..range.start + at.end);
    }

    /// Reads a text that another shell runs.
    fn parse_inner(&mut self, text: &str) -> Script {
        if self.shells >= MOST_SHELLS {
            return Script {
                unread: vec![(0..text.len(), "nested too deeply to be read")],
                ..Script::default()
            };
        }
        let values = self.values.used_in(text);
        let mut parser = Parser::new(text, values, self.shells + 1);
        parser.depth = self.depth;
        parser.budget = self.budget;
        parser.commands(None);
        parser.uncalled(&|_| true);
        self.budget = parser.budget;
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
            self.note_read(&read.name, read.default, place(read.range));
        }
        let script = &mut self.script;
        let placed = |(name, value, at)| (name, value, place(at));
        script.sets.extend(inner.sets.into_iter().map(placed));
        script.exports.extend(inner.exports.into_iter().map(placed));
        for (at, what) in inner.unread {
            script.unread.push((place(at), what));
        }
    }

    pub(super) fn end_command(&mut self) {
        let mut command = std::mem::take(&mut self.command);
        if let Some(name) = self.loops.take() {
            let words = command.words.into_iter().skip(1);
            let words: Vec<String> = words.map(|word| word.text).collect();
            if words.is_empty() {
                self.values.forget(&name);
            } else {
                self.values.put(&name, ShellValue::Any(words));
            }
            self.open_block();
            return;
        }
        let index = self.script.commands.len();
        for document in &mut self.documents {
            document.command.get_or_insert(index);
        }
        let flags_before = std::mem::replace(&mut self.flags_before, self.script.flags.len());
        if command.words.is_empty() && command.writes.is_empty() && self.documents.is_empty() {
            // `if ! VALUE=$(program)`
            self.negated &= command.sets.is_empty();
            return;
        }
        command.start = command::start(&command.words);
        let is_negated = std::mem::take(&mut self.negated);
        let before_or = self.before_or.take();
        command.guard = self.guard.clone();
        // Flags of other programs are none of SGLang's.
        const HOLDING: &str = "set export local declare typeset readonly eval sh bash dash";
        let is_other = !command.words.is_empty() && !is_one_of(HOLDING, command.program());
        if is_other && command.server_flags().is_none() {
            self.script.flags.truncate(flags_before);
            self.flags_before = flags_before;
        }
        self.calls_by_value |= command.program().contains(['$', '`'])
            || is_one_of("eval compgen declare type", command.program());
        if self.functions.contains_key(command.program()) {
            return self.call(&command, is_negated);
        }
        if matches!(command.program(), "[" | "[[" | "test") {
            self.test(&command, is_negated, before_or.as_ref());
        } else {
            self.variable_alone(&command, is_negated, before_or.as_ref());
            self.leave_function(&command);
            self.leave_script(&command);
            self.asked_program(&command, is_negated, before_or.as_ref());
        }
        self.builtin(&command);
        command.exports = self.exports_all;
        self.resolve_xargs(&mut command);
        let nested = nested(&command);
        let range = command.words.first().zip(command.words.last());
        let range = range.map_or(0..0, |(a, b)| a.range.start..b.range.end.max(a.range.start));
        match nested {
            Some(text) if command.program() != "eval" || !text.contains('$') || is_plain(&text) => {
                let inner = self.parse_inner(&text);
                self.merge(inner, |_| range.clone());
            }
            Some(_) => self.unread(range, "this command is computed"),
            None => self.script.commands.push(command),
        }
    }

    fn builtin(&mut self, command: &Command) {
        let words = command.run();
        let texts = || words.iter().map(|word| word.text.as_str());
        match command.program() {
            "shift" => {
                let count: usize = command.word(1).parse().unwrap_or(1);
                match self.values.get("@").cloned() {
                    Some(ShellValue::Array(all)) if count <= all.len() => {
                        self.values.enter(&all[count..]);
                    }
                    _ => {
                        let names = ARGUMENTS.split(' ');
                        let names: Vec<&str> = names.filter(|it| self.values.is_set(it)).collect();
                        for name in names {
                            self.values.forget(name);
                        }
                    }
                }
            }
            "set" if texts().any(|text| matches!(text, "-a" | "allexport")) => {
                self.exports_all = command.word(1) != "+o";
            }
            "set" if command.word(1) == "+a" => self.exports_all = false,
            "set" if command.word(1) == "--" => {
                self.values.put("@", ShellValue::Array(words[2..].to_vec()));
            }
            "read" | "mapfile" | "readarray" | "getopts" | "unset" => {
                let names: Vec<&str> = texts().skip(1).filter(|text| is_name(text)).collect();
                if command.program() == "unset" && self.is_top_level() {
                    let stays = |name: &String| !names.contains(&name.as_str());
                    self.script.exports.retain(|(name, ..)| stays(name));
                    self.script.sets.retain(|(name, ..)| stays(name));
                    let range = &words[0].range;
                    let gone = names.iter().map(|name| (*name).to_owned());
                    let gone = gone.map(|name| (name, String::new(), range.clone()));
                    self.script.sets.extend(gone);
                }
                match (&command.input, names.as_slice()) {
                    // `read -a WORDS <<< "$EXTRA_ARGS"`
                    (Some((text, _)), [name]) if command.program() == "read" => {
                        self.values.put(name, ShellValue::one(&**text));
                    }
                    _ => names.iter().for_each(|name| self.values.forget(name)),
                }
            }
            "printf" if command.word(1) == "-v" => self.values.forget(command.word(2)),
            "let" => {
                for word in words.iter().skip(1) {
                    let (_, value) = word.text.split_once('=').unwrap_or_default();
                    for name in value.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
                        self.note_read(name, None, word.range.clone());
                    }
                }
            }
            "export" if command.word(1) == "-n" => {
                let stays = |name: &str| texts().all(|text| text != name);
                self.script.exports.retain(|(name, ..)| stays(name));
            }
            // The list of the variables that it fills in.
            "envsubst" => {
                for word in words.iter().skip(1) {
                    for (name, _) in variables(&word.text) {
                        self.note_read(&name, None, word.range.clone());
                    }
                }
            }
            "printenv" => {
                for word in words.iter().skip(1) {
                    self.note_read(&word.text, None, word.range.clone());
                }
            }
            _ => {}
        }
    }

    /// `xargs PROGRAM`: the program with the words of a file or of the command before.
    fn resolve_xargs(&mut self, command: &mut Command) {
        let before = self.script.commands.last().filter(|_| command.piped);
        let (list, said) = before.map_or((None, Vec::new()), printed);
        if command.program() != "xargs" {
            // What only filters passes the list on.
            command.list = command.list.take().or(list);
            return;
        }
        let mut at = command.start + 1;
        while let Some(word) = command.words.get(at)
            && word.text.starts_with('-')
        {
            let option = word.text.as_str();
            let value = command.words.get(at + 1).map(|word| word.text.clone());
            at += 1;
            let takes_value = "-a --arg-file -n -P -L -I -d -s --max-args";
            if let Some(file) = option.strip_prefix("--arg-file=") {
                command.list = Some(file.to_owned());
            } else if is_one_of(takes_value, option) {
                let is_file = matches!(option, "-a" | "--arg-file");
                command.list = if is_file { value } else { command.list.take() };
                at += 1;
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

/// Whether a text that is run again names its program, and has nothing else to work out.
fn is_plain(text: &str) -> bool {
    let begins = ["python", "exec python", "sglang serve"];
    begins.iter().any(|begin| text.starts_with(begin)) && !text.contains(['`', '(', '\\'])
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
