//! The flags of the server's command, and the variables that decide on them.

use super::conditions::conditions;

use super::command::Seen;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};
use crate::python::variables::environment::returned_before;
use crate::python::{FlagGiven, FlagValue};
use crate::{FlagKind, Hides};

/// A flag: two dashes and a word, which may be computed.
pub fn is_flag(value: &Val<'_>) -> bool {
    let pieces = value.pieces();
    let first = pieces.first().and_then(Val::as_str);
    let rest = first.and_then(|text| text.strip_prefix("--"));
    rest.is_some_and(|rest| match rest.chars().next() {
        Some(first) => first.is_ascii_alphabetic(),
        None => pieces.len() > 1,
    })
}

/// Whether a text holds several words of a command: an item of a list that is joined.
fn is_line(value: &Val<'_>) -> bool {
    let pieces = value.pieces();
    // `f"{flag} {value}"`
    if let [Val::Any(_), Val::Str(between, _), _] = pieces {
        return between.starts_with(' ');
    }
    let first = pieces.first().and_then(Val::as_str).unwrap_or_default();
    let is_open = |rest: &str| !rest.is_empty() && !rest.starts_with(' ') || pieces.len() > 1;
    let words = first.split_once(' ');
    words.is_some_and(|(word, rest)| !word.contains('=') && is_open(rest))
}

/// Expressions that are one word each.
const LITERALS: [&str; 3] = ["string", "integer", "float"];

fn is_constant(value: &Val<'_>) -> bool {
    matches!(value, Val::Str(..) | Val::Int(_) | Val::Float(_))
}

/// The text around the variables of a value, where there is any: `/models/{}`.
fn form(value: &Val<'_>) -> Option<String> {
    let Val::Pieces(pieces) = value else {
        return None;
    };
    let piece = |piece: &Val<'_>| match piece {
        Val::Str(text, _) => Some(text.to_string()),
        Val::Env(..) => Some("{}".to_owned()),
        _ => None,
    };
    pieces.iter().map(piece).collect()
}

/// A flag's value with the constants behind it: `--lora-paths a=b c=d`.
fn with_more<'t>(value: &Val<'t>, more: impl Iterator<Item = Val<'t>>) -> Val<'t> {
    if !is_constant(value) {
        return value.clone();
    }
    let more = more.take_while(|one| is_constant(one) && !is_flag(one));
    more.fold(value.clone(), |all, one| {
        let text = one.display().unwrap_or_default();
        all.join(&Val::text(" ")).join(&Val::text(&text))
    })
}

impl<'t> Reader<'t> {
    /// Notes the flags among consecutive expressions of the command.
    pub fn note_sequence(&mut self, items: &[Node<'t>], seen: &mut Seen<'t>) {
        // The words before the server's name are options of the program that starts it.
        let names_it =
            |item: &Node<'t>| item.is("string") && self.program.starts_server(item.text());
        let first = items.iter().position(names_it).unwrap_or_default();
        for (at, item) in items.iter().enumerate().skip(first) {
            match item.kind() {
                "list_splat" => self.collect_each(item.children(), seen),
                "conditional_expression" | "list" | "tuple" => self.collect_parts(*item, seen),
                "string" | "concatenated_string" if is_line(&self.value(*item)) => {
                    self.note_command_text(*item);
                }
                _ => self.note_flag_at(items, at),
            }
        }
    }

    /// An expression of the command that may be a flag, with what follows it.
    fn note_flag_at(&mut self, items: &[Node<'t>], at: usize) {
        let item = items[at];
        let next = items.get(at + 1).copied();
        let splat = next.filter(|next| next.is("list_splat"));
        // `append("--lora-paths")` and then `extend(paths)`
        let added = next.filter(|next| {
            let call = next.parent().and_then(Node::call_of_arguments);
            item.parent() != next.parent()
                && call.is_some_and(|call| call.callee_name() == "extend")
        });
        let next = next.filter(|_| splat.is_none() && added.is_none());
        let list = splat.and_then(|splat| splat.child(0)).or(added);
        let of: Vec<_> = std::iter::once(item).chain(next).collect();
        for ctx in self.each_context(item, &of, Hides::Flags) {
            let pair: Vec<_> = of.iter().map(|node| self.at(*node, &ctx)).collect();
            for flag in pair[0].each().iter().filter(|one| is_flag(one)) {
                // `None` and `True` are no words: the flag stands alone.
                let is_word = |value: &&Val<'_>| {
                    !is_flag(value) && !matches!(value, Val::None | Val::Bool(true))
                };
                let value = pair.get(1).filter(is_word);
                // `"--lora-paths", *paths`
                let words = list.and_then(|list| self.value(list).elements());
                let words = words.unwrap_or_default();
                let is_known =
                    |first: &Val<'_>| is_constant(first) || matches!(first, Val::Env(..));
                let is_value = |first: &&Val<'_>| !is_flag(first) && is_known(first);
                let first = words.first().filter(is_value);
                let listed = first.map(|first| with_more(first, words[1..].iter().cloned()));
                let value = value.map(|value| {
                    let more = items.iter().skip(at + 2);
                    let more = more.take_while(|one| LITERALS.contains(&one.kind()));
                    with_more(value, more.map(|one| self.at(*one, &ctx)))
                });
                self.note_flag(item, flag, value.or(listed).as_ref(), &ctx);
                let last = self.facts.flags.last().map(|last| &last.value);
                if let (Some(FlagValue::Computed(_)), Some(next)) = (last, next) {
                    let computed = FlagValue::Computed(self.fingerprinted(next));
                    let last = self.facts.flags.last_mut();
                    if let Some(last) = last {
                        last.value = computed;
                    }
                }
            }
        }
    }

    /// Notes the flags among consecutive values of the command.
    pub fn note_flags_in(&mut self, node: Node<'t>, items: &[Val<'t>], ctx: &Ctx<'t>) {
        for (at, item) in items.iter().enumerate() {
            match item {
                Val::List(inner) => self.note_flags_in(node, inner, ctx),
                Val::Env(..) if at == 0 || !is_flag(&items[at - 1]) => self.note_env_words(item),
                item if is_flag(item) => {
                    let next = items.get(at + 1).filter(|next| !is_flag(next));
                    let more = || items.iter().skip(at + 2).cloned();
                    let value = next.map(|next| with_more(next, more()));
                    self.note_flag(node, item, value.as_ref(), ctx);
                }
                _ => {}
            }
        }
    }

    /// Notes variables whose words are arguments of the command.
    pub fn note_env_words(&mut self, value: &Val<'t>) {
        let names = value.envs().into_iter().map(|name| name.to_string());
        self.facts.passed.extend(names);
    }

    fn note_flag(
        &mut self,
        node: Node<'t>,
        flag: &Val<'t>,
        value: Option<&Val<'t>>,
        ctx: &Ctx<'t>,
    ) {
        let [Val::Str(first, at), rest @ ..] = flag.pieces() else {
            return;
        };
        if !self.may_run(node, ctx) {
            return;
        }
        let (name, value) = match first.split_once('=') {
            // `--flag=value`, of which parts may not be fixed.
            Some((name, "")) if rest.len() == 1 => (name, Some(rest[0].clone())),
            Some((name, begin)) => {
                let begin = Val::text(begin);
                let whole = rest.iter().fold(begin, |all, part| all.join(part));
                (name, Some(whole))
            }
            None if !rest.is_empty() => {
                return self.flags_unread(node, "the name of this flag is computed");
            }
            None => (&**first, value.cloned()),
        };
        let at = at.filter(|at| at.file() == node.file()).unwrap_or(node);
        let index = self.add_flag(at, name, value.as_ref());
        // The variables that decide on it are in the conditions around the place that adds it.
        let guards = self.deciding_variables(node, ctx);
        let mut conditions = conditions(node).into_iter().map(|(one, _)| one);
        let when = conditions.find_map(|one| {
            let file = self.file_test(one, ctx);
            file.or_else(|| self.machine_test(one, ctx))
        });
        let envs = value.as_ref().map(Val::envs).unwrap_or_default();
        let own: Vec<&str> = envs.iter().map(|name| &**name).collect();
        let needs = self.needs(node, &own, ctx);
        if let Some(last) = self.facts.flags.get_mut(index) {
            last.when = when;
            last.needs = needs;
        }
        self.note_guards(index, guards);
        self.note_order(index, node);
    }

    /// Notes which of two values for one flag is added to the command behind the other.
    fn note_order(&mut self, index: usize, node: Node<'t>) {
        let target = node.ancestors().find_map(|above| match above.kind() {
            "augmented_assignment" => above.field("left"),
            "call" if is_among("append extend", above.callee_name()) => above.callee_object(),
            _ => None,
        });
        let (Some(target), Some(given)) = (target, self.facts.flags.get(index)) else {
            return;
        };
        let key = (node.function(), target.text(), given.flag.clone());
        let added = self.added.entry(key).or_default();
        // What a branch adds is not always added.
        const BRANCHES: &str = "if_statement conditional_expression match_statement try_statement";
        let is_always = !node.local_ancestors().any(|above| above.is_any(BRANCHES))
            && returned_before(node).is_empty();
        added.push((node.range().start, index, is_always));
        let flags = &mut self.facts.flags;
        let is_value = |at: usize| matches!(flags[at].value, FlagValue::Env);
        let values = added.iter().filter(|(_, at, _)| is_value(*at));
        let first = values.map(|(start, ..)| *start).min();
        let is_behind = |start: usize| first.is_some_and(|first| first < start);
        for (_, at, is_always) in added.iter().filter(|(start, ..)| is_behind(*start)) {
            let given = &mut flags[*at];
            given.wins = *is_always && given.is_fixed();
        }
    }

    /// Notes the variables that decide on a flag, unless one gives its value.
    fn note_guards(&mut self, index: usize, guards: Vec<(String, Vec<String>)>) {
        if let Some(flag) = self.facts.flags.get_mut(index)
            && !matches!(flag.value, FlagValue::Env)
        {
            for (variable, words) in guards {
                if !flag.from.iter().any(|(own, _)| *own == variable) {
                    flag.from.push((variable, FlagKind::Switch { words }));
                }
            }
        }
    }

    /// Notes a flag that is given as a keyword: `Engine(dtype="half" if FAST else "auto")`.
    pub fn note_keyword_flag(
        &mut self,
        argument: Node<'t>,
        flag: &str,
        given: Node<'t>,
        ctx: &Ctx<'t>,
    ) {
        let mut written = self.written(given);
        if let [only] = self.definitions_of(written)[..] {
            written = only.without_parentheses();
        }
        let condition = written
            .condition()
            .filter(|_| written.is("conditional_expression"));
        if let (Some(condition), [Some(yes), Some(no)]) =
            (condition, [0, 2].map(|at| written.child(at)))
        {
            let deciders = self.deciders(condition, ctx);
            let negated = condition.without_parentheses().is("not_operator");
            let (yes, no) = if negated { (no, yes) } else { (yes, no) };
            let [yes, no] = [yes, no].map(|one| self.at(one, ctx));
            if !deciders.is_empty() && yes.envs().is_empty() && no.envs().is_empty() {
                // What is given where the variable is unset.
                if !matches!(no, Val::None | Val::Bool(false)) {
                    self.add_flag(argument, flag, Some(&no));
                }
                let index = self.add_flag(argument, flag, Some(&yes));
                return self.note_guards(index, deciders);
            }
        }
        let value = self.at(given, ctx);
        let index = self.add_flag(argument, flag, Some(&value));
        let given_value = self.facts.flags.get(index).map(|given| &given.value);
        if let Some(FlagValue::Computed(_)) = given_value {
            let deciders = self.deciders(given, ctx);
            self.note_guards(index, deciders);
        }
    }

    /// Notes a flag of a dict that is given as keywords, with the variables that decide whether a
    /// statement puts it there: `if FAST: options["dtype"] = "half"`.
    pub fn note_item_flag(&mut self, argument: Node<'t>, key: &str, flag: &str, value: &Val<'t>) {
        let index = self.add_flag(argument, flag, Some(value));
        let variable = argument.child(0).and_then(|of| self.program.variable(of));
        let changes = variable.and_then(|of| self.program.changes.get(&of));
        let sets = |change: &Node<'t>| {
            let left = change
                .field("left")
                .and_then(|left| left.field("subscript"));
            left.is_some_and(|name| name.is("string") && name.unquoted() == key)
        };
        let mut puts = changes.into_iter().flatten().filter(|one| sets(one));
        // What more than one statement puts there is decided in more than one place.
        if let (Some(put), None) = (puts.next().copied(), puts.next()) {
            let guards = self.deciding_variables(put, &Ctx::default());
            self.note_guards(index, guards);
        }
    }

    /// Adds a flag, and returns its number among the facts.
    pub fn add_flag(&mut self, node: Node<'t>, flag: &str, value: Option<&Val<'t>>) -> usize {
        let envs = value.map(Val::envs).unwrap_or_default();
        let from = envs.iter().map(|name| (name.to_string(), FlagKind::Value));
        let given = FlagGiven {
            runs: self.program.files[node.file()].reached,
            reached: self.program.reaches(node),
            flag: flag.to_owned(),
            form: value.and_then(form),
            value: match value.map(Val::display) {
                None => FlagValue::Alone,
                Some(_) if !envs.is_empty() => FlagValue::Env,
                Some(Some(text)) => FlagValue::Fixed(text),
                Some(None) => FlagValue::Computed(String::new()),
            },
            from: from.collect(),
            when: None,
            needs: None,
            wins: false,
            place: self.place(node),
        };
        // Of a flag that stands twice in one list, SGLang takes the last.
        let list = node.parent().filter(|_| given.is_fixed());
        let key = list.map(|list| (list, given.flag.clone()));
        let before = key.as_ref().and_then(|key| self.fixed_flags.get(key));
        if let Some(&at) = before.filter(|at| self.facts.flags[**at].place < given.place) {
            self.facts.flags[at] = given;
            return at;
        }
        let at = self.facts.flags.len();
        self.fixed_flags.extend(key.map(|key| (key, at)));
        self.facts.flags.push(given);
        at
    }
}
