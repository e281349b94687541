//! What commands do: to variables, with here-documents, and to the shells that they start.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::value::{ARGUMENTS, ShellValue};
use super::super::{COMPARING, Condition, Guard, command, compared_words, is_name, variables};
use super::words::Parts;
use super::{Command, FunctionBody, MOST_SHELLS, Parser, Script, Word};
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

impl<'a> Parser<'a> {
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

    /// Reads a function with what it is called with. What follows stands below the test with which
    /// it ends, or else below the call, where that is a test.
    fn call(&mut self, command: &Command, is_negated: bool) {
        let name = command.program();
        let arguments = command.run().get(1..).unwrap_or_default();
        let outermost = self.guard.depth();
        let is_test = self.is_test();
        let left = self.read_function(name, arguments, &command.run()[0].range);
        if left.depth() > outermost {
            self.guard = left;
        } else if is_test {
            let mut names = arguments.iter().flat_map(|word| variables(&word.text));
            let asked = names.next().and_then(|(variable, _)| {
                Condition::new(variable, Some(format!("{name}()")), false)
            });
            self.guard = self.guard.and(asked);
        }
        if is_negated {
            self.guard = self.guard.negated_from(outermost);
        }
        self.flags_before = self.script.flags.len();
    }

    /// Gives the conditions with which the function ends.
    fn read_function(&mut self, name: &str, arguments: &[Word], call: &Range<usize>) -> Guard {
        let guard = self.guard.clone();
        let bodies = self.functions.get(name).cloned().unwrap_or_default();
        let all = bodies.into_iter();
        all.fold(guard, |_, (text, body)| {
            self.read_body(name, (text, body), arguments, call)
        })
    }

    fn read_body(
        &mut self,
        name: &str,
        (text, body): FunctionBody<'a>,
        arguments: &[Word],
        call: &Range<usize>,
    ) -> Guard {
        /// What a call costs besides the bytes of its function.
        const CALL: usize = 64;
        let guard = self.guard.clone();
        self.called.insert(name.to_owned());
        let Some(left) = self.budget.checked_sub(body.len() + CALL) else {
            let what = "functions are called too often to be followed";
            if self
                .script
                .unread
                .last()
                .is_none_or(|(_, last)| *last != what)
            {
                self.unread(call.clone(), what);
            }
            return guard;
        };
        self.budget = left;
        let around = self.values.enter(arguments);
        let documents = std::mem::take(&mut self.documents);
        let (outer, at) = (self.text, self.at);
        let before = Counts::of(&self.script);
        (self.text, self.at) = (&text[..body.end], body.start);
        self.bytes = self.text.as_bytes();
        let left = self.commands(None);
        (self.text, self.bytes, self.at) = (outer, outer.as_bytes(), at);
        // Places in a file that is sourced are those of the call.
        if text.as_ptr() != outer.as_ptr() {
            before.place_rest(&mut self.script, call);
        }
        self.documents = documents;
        self.values.leave(around);
        left
    }

    /// Reads functions that were not called, where something else may call them.
    pub(super) fn uncalled(&mut self, is_called_elsewhere: &dyn Fn(&str) -> bool) {
        let is_part = |c: char| c.is_alphanumeric() || "_-".contains(c);
        let words = self
            .script
            .commands
            .iter()
            .flat_map(|command| &command.words);
        let named = words.flat_map(|word| word.text.split(|c| !is_part(c)));
        let named: BTreeSet<&str> = named.collect();
        let names = self.functions.keys().filter(|name| {
            let is_named = self.calls_by_value || named.contains(name.as_str());
            !self.called.contains(*name) && (is_named || is_called_elsewhere(name))
        });
        let mut names: Vec<String> = names.cloned().collect();
        names.sort_by_key(|name| self.functions[name].first().map(|(_, body)| body.start));
        for name in names {
            self.read_function(&name, &[], &(0..0));
        }
    }

    /// Notes which words a variable is compared with.
    pub(super) fn note_comparison(&mut self, text: &str, how: String) {
        let name = variables(text).into_iter().next();
        let reads = name.and_then(|(name, _)| self.seen.get(&name)?.last());
        if let Some(&read) = reads {
            let known = self.script.reads[read].compared.iter().cloned();
            let all: Vec<String> = known.chain([how]).collect();
            self.script.reads[read].compared = Some(all.join(", "));
        }
    }

    /// What follows stands below the conditions of a test. Behind `||` they are others to those
    /// before it.
    fn test(&mut self, command: &Command, is_negated: bool, before_or: Option<&Guard>) {
        let words = command.run();
        for (left, operator, right) in compared_words(words) {
            match operator {
                "=" | "==" | "!=" => self.note_comparison(left, format!("== {right}")),
                _ if is_one_of(COMPARING, operator) => {
                    self.note_comparison(left, format!("{operator} {right}"));
                }
                _ => {}
            }
        }
        for pair in words.windows(2).filter(|pair| pair[0].text == "-v") {
            self.note_read(&pair[1].text, None, pair[1].range.clone());
        }
        self.stand_below(Condition::of_test(words), is_negated, before_or);
    }

    pub(super) fn stand_below(
        &mut self,
        mut conditions: Vec<Condition>,
        is_negated: bool,
        before_or: Option<&Guard>,
    ) {
        if let Some(first) = conditions.first_mut() {
            first.is_alternative |= before_or.is_some();
        }
        let before = before_or.unwrap_or(&self.guard);
        let outermost = before.depth();
        self.guard = before.and(conditions);
        if is_negated {
            self.guard = self.guard.negated_from(outermost);
        }
    }

    /// Whether what follows the command depends on how it ends.
    fn is_test(&self) -> bool {
        let follows = self.peek().filter(|byte| matches!(byte, b'&' | b'|'));
        self.in_condition || follows.is_some_and(|byte| self.next_is(1, byte))
    }

    /// `if $NAME`, where the variable holds `true` or `false`.
    fn variable_alone(&mut self, command: &Command, is_negated: bool, before_or: Option<&Guard>) {
        if let [word] = command.words.as_slice()
            && word.text.starts_with('$')
            && let [(name, range)] = variables(&word.text).as_slice()
            && (range.end == word.text.len() || word.text.ends_with('}'))
            && self.is_test()
        {
            let condition = Condition::new(name.clone(), Some("true".to_owned()), false);
            self.stand_below(condition.into_iter().collect(), is_negated, before_or);
        }
    }

    /// What follows `[ … ] || return` stands below the test.
    fn leave_function(&mut self, command: &Command) {
        let outermost = self.around(1).depth();
        if command.program() == "return"
            && matches!(command.word(1), "" | "0")
            && self.guard.depth() > outermost
        {
            let rest = self.guard.negated_from(outermost);
            match self.blocks.get_mut(self.base.0..).and_then(<[_]>::last_mut) {
                Some(block) => block.branch = rest,
                None => self.base.1 = rest,
            }
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

/// How much of a script was read.
struct Counts([usize; 5]);

impl Counts {
    fn of(script: &Script) -> Self {
        Self([
            script.commands.len(),
            script.reads.len(),
            script.sets.len(),
            script.exports.len(),
            script.unread.len(),
        ])
    }

    /// Puts all that was read since at one place.
    fn place_rest(&self, script: &mut Script, place: &Range<usize>) {
        let [commands, reads, sets, exports, unread] = self.0;
        for command in script.commands.iter_mut().skip(commands) {
            let words = command.words.iter_mut().map(|word| &mut word.range);
            let input = command.input.as_mut().map(|(_, range)| range);
            words.chain(input).for_each(|range| range.clone_from(place));
        }
        let reads = script
            .reads
            .iter_mut()
            .skip(reads)
            .map(|read| &mut read.range);
        let sets = script.sets.iter_mut().skip(sets).map(|set| &mut set.2);
        let exports = script
            .exports
            .iter_mut()
            .skip(exports)
            .map(|set| &mut set.2);
        let unread = script
            .unread
            .iter_mut()
            .skip(unread)
            .map(|(range, _)| range);
        let ranges = reads.chain(sets).chain(exports).chain(unread);
        ranges.for_each(|range| range.clone_from(place));
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
