//! Blocks and tests: the conditions that each part of a script stands below.

use super::super::condition::without_prefix;
use super::super::{COMPARING, Condition, WrittenFlag, compared_words, variables};
use super::{Block, Command, Guard, Parser};
use crate::is_one_of;

impl Parser<'_> {
    /// The conditions of the innermost open block, or of the one around it.
    pub(super) fn around(&self, level: usize) -> Guard {
        let (base, guard) = &self.base;
        match self.blocks.len().checked_sub(level) {
            Some(at) if at >= *base => self.blocks[at].branch.clone(),
            _ => guard.clone(),
        }
    }

    pub(super) fn open_block(&mut self) {
        self.before_or = None;
        let [entry, branch] = [(); 2].map(|()| self.guard.clone());
        self.blocks.push(Block {
            entry,
            branch,
            rest: None,
        });
    }

    /// What follows a block in its list stands below what the block stood below.
    pub(super) fn close_block(&mut self) {
        let is_own = self.blocks.len() > self.base.0;
        let block = self.blocks.pop_if(|_| is_own);
        self.guard = match block {
            Some(Block {
                rest: Some(rest), ..
            }) => {
                self.continue_below(rest.clone());
                rest
            }
            Some(block) => block.entry,
            None => self.around(1),
        };
    }

    /// The rest of the innermost block, or of the function, stands below these conditions.
    fn continue_below(&mut self, guard: Guard) {
        match self.blocks.get_mut(self.base.0..).and_then(<[_]>::last_mut) {
            Some(block) => block.branch = guard,
            None => self.base.1 = guard,
        }
    }

    /// The next commands of the innermost block stand below these conditions.
    pub(super) fn begin_branch(&mut self, guard: Guard) {
        if let Some(block) = self.blocks.last_mut() {
            block.branch.clone_from(&guard);
        }
        self.guard = guard;
    }

    /// What follows does not depend on the tests before it, unless they are a block's condition.
    pub(super) fn end_list(&mut self) {
        self.before_or = None;
        self.in_list = false;
        self.may_be_skipped = false;
        if !self.in_condition {
            let around = self.around(1);
            self.last = std::mem::replace(&mut self.guard, around);
        }
    }

    /// Notes the flags in a text of the script, with the plain words behind them.
    pub(super) fn note_flags(&mut self, text: &str, guard: &Guard) {
        for word in text.split_whitespace() {
            let (flag, value) = word.split_once('=').unzip();
            if word.starts_with("--") && word.len() > 2 {
                self.script.flags.push(WrittenFlag {
                    flag: flag.unwrap_or(word).to_owned(),
                    value: value.map(str::to_owned),
                    guard: guard.clone(),
                });
            } else if self.script.flags.len() > self.flags_before
                && let Some(last) = self.script.flags.last_mut()
            {
                last.value.get_or_insert_with(|| word.to_owned());
            }
        }
    }

    /// Notes which words a variable is compared with.
    pub(super) fn note_comparison(&mut self, text: &str, how: String) {
        let name = variables(text).into_iter().next();
        let reads = name.and_then(|(name, _)| self.seen.get(&name)?.last());
        // Letters are as good as capitals where the value is changed before.
        let mapped = text.split("| tr ").nth(1).unwrap_or_default();
        let mapped = mapped.trim_start_matches(['"', '\'']);
        let letters = ["A-Z", "a-z", "[:upper", "[:lower"];
        let is_any = [",,}", "^^}"].iter().any(|change| text.contains(change))
            || letters.iter().any(|all| mapped.starts_with(all));
        let how = if is_any {
            format!("{how} any case")
        } else {
            how
        };
        if let Some(&read) = reads {
            let known = self.script.reads[read].compared.iter().cloned();
            let all: Vec<String> = known.chain([how]).collect();
            self.script.reads[read].compared = Some(all.join(", "));
        }
    }

    /// What follows stands below the conditions of a test. Behind `||` they are others to those
    /// before it.
    pub(super) fn test(&mut self, command: &Command, is_negated: bool, before_or: Option<&Guard>) {
        let words = &without_prefix(command.run());
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
    pub(super) fn is_test(&self) -> bool {
        let follows = self.peek().filter(|byte| matches!(byte, b'&' | b'|'));
        self.in_condition || follows.is_some_and(|byte| self.next_is(1, byte))
    }

    /// `if $NAME`, where the variable holds `true` or `false`.
    pub(super) fn variable_alone(
        &mut self,
        command: &Command,
        is_negated: bool,
        before_or: Option<&Guard>,
    ) {
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

    /// Whether the command runs whenever the script comes by: it stands in no block, no braces, no
    /// subshell and no function.
    pub(super) fn is_top_level(&self) -> bool {
        self.depth == 1 && !self.is_conditional() && self.brace_blocks.is_empty()
    }

    /// What follows `exit` or `exec PROGRAM` never runs. A variable is required where the script
    /// fails without it.
    pub(super) fn leave_script(&mut self, command: &Command) {
        let is_exit = command.program() == "exit";
        let first = command.words.first().map_or("", |word| &word.text);
        let mut arguments = command.words.iter().skip(1);
        // `exec {FD}>file` opens a file.
        let is_exec = first == "exec" && arguments.any(|word| !word.text.starts_with(['-', '{']));
        if !is_exit && !is_exec {
            return;
        }
        let goes_on = matches!(self.peek(), Some(b'|' | b'&')) || command.piped;
        let is_certain = self.guard.depth() == 0 && self.is_top_level() && !goes_on;
        self.has_left |= is_certain && !self.may_be_skipped;
        if is_exit && !matches!(command.word(1), "" | "0") {
            for name in self.guard.any_empty() {
                let mut reads = self.script.reads.iter();
                let has_default = reads.any(|read| read.name == *name && read.default.is_some());
                if has_default || self.values.is_set(name) {
                    continue;
                }
                for &read in self.seen.get(name).into_iter().flatten() {
                    self.script.reads[read].checked = true;
                }
            }
        }
    }

    /// `if grep -q NAME FILE`, `command -v PROGRAM &&`: what a program says is a condition. The last
    /// one of a pipe decides.
    pub(super) fn asked_program(
        &mut self,
        command: &Command,
        is_negated: bool,
        before_or: Option<&Guard>,
    ) {
        const ASKING: &str = "grep egrep fgrep command which type hash nvidia-smi pgrep";
        let (mut all, was_negated) = std::mem::take(&mut self.pipe);
        let is_negated = is_negated || was_negated;
        all.push(command.line());
        if self.peek() == Some(b'|') && !self.next_is(1, b'|') {
            self.pipe = (all, is_negated);
            return;
        }
        let program = command.program();
        let asks = self.in_condition || self.is_test() && is_one_of(ASKING, program);
        if !asks || program.is_empty() || program == "read" || program.starts_with('$') {
            return;
        }
        let names = all.iter().flat_map(|line| variables(line));
        let mut names: Vec<String> = names.map(|(name, _)| name).collect();
        names.dedup();
        let condition = match <[String; 1]>::try_from(names) {
            Ok([name]) => Condition::new(name, all.pop(), false),
            Err(_) => Condition::new(String::new(), Some(all.join(", ")), false),
        };
        self.stand_below(condition.into_iter().collect(), is_negated, before_or);
    }

    /// What follows `[ … ] || return`, or `if …; then return; fi`, stands below the test.
    pub(super) fn leave_function(&mut self, command: &Command) {
        let outermost = self.around(1).depth();
        if command.program() != "return" || !matches!(command.word(1), "" | "0") {
            return;
        }
        if self.guard.depth() > outermost {
            self.continue_below(self.guard.negated_from(outermost));
        } else if let Some(block) = self.blocks.get_mut(self.base.0..).and_then(<[_]>::last_mut)
            && block.branch.depth() > block.entry.depth()
        {
            block.rest = Some(block.branch.negated_from(block.entry.depth()));
        }
    }
}
