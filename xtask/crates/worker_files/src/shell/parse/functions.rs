//! The functions of a script: each is read where it is called, with what it is called with.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::value::Values;
use super::super::{Condition, variables};
use super::{Command, FunctionBody, Guard, Parser, Script, Word, is_blank};

impl<'a> Parser<'a> {
    /// A function is read where it is called.
    pub(super) fn define(&mut self, name: String) {
        self.pass_space(|b| is_blank(b) || b == b'\n');
        if self.peek() == Some(b'(') && self.next_is(1, b')') {
            self.at += 2;
            self.pass_space(|b| is_blank(b) || b == b'\n');
        }
        // Without a budget a function is read where it stands.
        if self.budget == 0 || !matches!(self.peek(), Some(b'{' | b'(')) {
            return;
        }
        let (text, from) = (self.text, self.at);
        self.at = self.deeper(|parser| {
            let mut body = Parser::new(text, Values::default(), parser.shells);
            (body.at, body.depth, body.budget) = (from, parser.depth, 0);
            while let Some(byte) = body.peek() {
                if body.cases.last().is_some_and(|(_, pattern)| *pattern) {
                    body.pattern();
                    continue;
                }
                body.token(byte);
                if body.brace_blocks.is_empty() {
                    break;
                }
            }
            body.at
        });
        if self.at == 0 {
            self.at = text.len();
        }
        let is_one_of_several = self.is_conditional();
        let bodies = self.functions.entry(name).or_default();
        if !is_one_of_several {
            bodies.clear();
        }
        bodies.push((text, from..self.at));
    }

    /// Reads a function with what it is called with. What follows stands below the test with which
    /// it ends, or else below the call, where that is a test.
    pub(super) fn call(&mut self, command: &Command, is_negated: bool) {
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
    pub(super) fn read_function(
        &mut self,
        name: &str,
        arguments: &[Word],
        call: &Range<usize>,
    ) -> Guard {
        let guard = self.guard.clone();
        let bodies = self.functions.get(name).cloned().unwrap_or_default();
        let all = bodies.into_iter();
        all.fold(guard, |_, (text, body)| {
            self.read_body(name, (text, body), arguments, call)
        })
    }

    pub(super) fn read_body(
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
