//! The commands that start `SGLang`'s server: their flags, and what decides on them.

use super::environment::argument_values;
use super::eval::Reader;
use super::scope::{parameters, scope_of};
use super::syntax::Node;
use super::value::{Ctx, Val};
use super::{FlagGiven, FlagValue, Start};
use crate::{EnvRead, FlagKind, Hides, shell};
use indexmap::IndexSet;

/// Whether a function starts a process.
pub fn starts(callee: &Val<'_>) -> bool {
    callee.each().iter().any(|one| match one {
        Val::Ext(path) => {
            [
                "subprocess.",
                "os.exec",
                "os.spawn",
                "os.posix_spawn",
                "pexpect.",
                "pty.spawn",
            ]
            .iter()
            .any(|begin| path.starts_with(begin))
                || path.contains("create_subprocess_")
                || matches!(&**path, "os.system" | "os.popen" | "Popen")
        }
        _ => false,
    })
}

pub(super) fn is_server(text: &str) -> bool {
    text.contains("sglang.launch_server")
        || text.contains("sglang serve")
        || text.contains("sglang.srt.entrypoints")
}

/// A flag: two dashes and a word.
fn is_flag(value: &Val<'_>) -> bool {
    let text = match value {
        Val::Str(text, _) => text,
        Val::Pieces(parts) => match parts.first() {
            Some(Val::Str(text, _)) => text,
            _ => return false,
        },
        _ => return false,
    };
    text.strip_prefix("--")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

impl<'t> Reader<'t> {
    /// Accounts for a node, where it starts a process or speaks of the server.
    pub fn command(&mut self, node: Node<'t>) {
        match node.kind() {
            "call" => self.process(node),
            "string" if self.program.starts_server(node.text()) => {
                let docstring = node
                    .parent()
                    .is_some_and(|p| p.kind() == "expression_statement");
                if !docstring {
                    self.facts.launches = true;
                    self.server(node);
                }
            }
            "string"
                if matches!(
                    node.text().trim_matches(['"', '\'']),
                    "serve" | "launch_server"
                ) && node.parent().is_some_and(|p| p.text().contains("sglang")) =>
            {
                self.server(node);
            }
            _ => {}
        }
    }

    fn process(&mut self, node: Node<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let callee = self.value(function);
        if let Val::Ext(path) = &callee
            && (path.ends_with("sglang.Engine")
                || path.ends_with("ServerArgs") && path.contains("sglang"))
        {
            return self.engine(node);
        }
        if !starts(&callee) {
            return;
        }
        let place = self.place(node);
        self.facts.starts.push(Start { place });
        let args = argument_values(node);
        let Some(first) = args.first().copied() else {
            return;
        };
        let shell = node.text_of("arguments").contains("shell=True")
            || matches!(&callee, Val::Ext(path) if path.ends_with("_shell") || matches!(&**path, "os.system" | "os.popen" | "subprocess.getoutput" | "subprocess.getstatusoutput"));
        if shell {
            for way in self.ways(&[first], &Ctx::default()) {
                let value = self.eval(first, &way);
                for one in value.each() {
                    self.shell_reads(first, one);
                }
            }
            return;
        }
        let value = self.value(first);
        let words = value
            .elements()
            .unwrap_or_else(|| args.iter().map(|arg| self.value(*arg)).collect());
        let text = |at: usize| words.get(at).and_then(Val::as_str).unwrap_or_default();
        if text(0).ends_with("printenv") {
            for name in words.iter().skip(1).filter_map(Val::as_str) {
                let read = EnvRead {
                    reached: self.program.runs(node),
                    ..EnvRead::new(name, None, self.place(node))
                };
                self.facts.env.push(read);
            }
        } else if text(1).starts_with('-') && text(1).ends_with('c') && text(0).ends_with("sh") {
            let script = words.get(2).cloned().unwrap_or(Val::Unknown);
            self.shell_reads(node, &script);
        }
    }

    /// `sglang.Engine(model_path=…)`: its arguments are the server's.
    fn engine(&mut self, node: Node<'t>) {
        self.facts.launches = true;
        let list: Vec<_> = node
            .field("arguments")
            .into_iter()
            .flat_map(Node::children)
            .collect();
        for argument in list {
            match (argument.kind(), argument.field("value")) {
                ("keyword_argument", Some(value)) => {
                    let flag = format!("--{}", argument.text_of("name").replace('_', "-"));
                    for way in self.ways(&[value], &Ctx::default()) {
                        let value = self.eval(value, &way);
                        self.give(argument, &flag, Some(&value), &way);
                    }
                }
                ("dictionary_splat", _) => {
                    let value = argument
                        .child(0)
                        .map_or(Val::Unknown, |inner| self.value(inner));
                    match value {
                        Val::Dict(items) => {
                            for (key, value) in items.iter() {
                                let flag = format!(
                                    "--{}",
                                    key.as_str().unwrap_or_default().replace('_', "-")
                                );
                                self.give(argument, &flag, Some(value), &Ctx::default());
                            }
                        }
                        _ => self.not_read(
                            argument,
                            "these arguments of the engine were not followed",
                            &[Hides::Flags],
                        ),
                    }
                }
                _ => {}
            }
        }
    }

    /// The command that names the server's module.
    fn server(&mut self, node: Node<'t>) {
        let mut seen = IndexSet::new();
        let mut root = node;
        while let Some(parent) = root.parent() {
            match parent.kind() {
                "list"
                | "tuple"
                | "binary_operator"
                | "concatenated_string"
                | "parenthesized_expression"
                | "conditional_expression"
                | "expression_list" => root = parent,
                "argument_list" => {
                    let callee = parent.parent().and_then(|call| call.field("function"));
                    let value = callee.map_or(Val::Unknown, |callee| self.value(callee));
                    if starts(&value)
                        && root.kind() != "list"
                        && parent
                            .children()
                            .nth(1)
                            .is_some_and(|n| n.kind() != "keyword_argument")
                    {
                        let items: Vec<_> = parent
                            .children()
                            .filter(|n| n.kind() != "keyword_argument")
                            .collect();
                        return self.sequence_of(&items, &mut seen);
                    }
                    break;
                }
                _ => break,
            }
        }
        self.parts(root, &mut seen);
        self.flows(root, &mut seen);
    }

    /// Where a part of the command goes: into a name that more is added to, or to who called.
    fn flows(&mut self, node: Node<'t>, seen: &mut IndexSet<Node<'t>>) {
        let Some(parent) = node.parent() else { return };
        self.steps += 1;
        match parent.kind() {
            "assignment" | "named_expression" | "augmented_assignment" => {
                let target = parent.field("left").or(parent.field("name"));
                if let Some(target) = target.filter(|target| *target != node) {
                    self.variable(target, seen);
                }
            }
            "parenthesized_expression"
            | "list_splat"
            | "list"
            | "binary_operator"
            | "conditional_expression"
            | "tuple" => self.flows(parent, seen),
            "return_statement" => {
                let function = parent
                    .ancestors()
                    .find(|n| n.kind() == "function_definition");
                let calls: Vec<_> = function
                    .and_then(|function| {
                        self.frames.get(&function).map(|frames| (function, frames))
                    })
                    .into_iter()
                    .flat_map(|(function, frames)| {
                        frames
                            .all
                            .iter()
                            .filter_map(move |ctx| match ctx.frame(function) {
                                Some(super::value::Frame::Call(_, call)) => *call,
                                _ => None,
                            })
                    })
                    .collect();
                for call in calls {
                    if seen.insert(call) {
                        self.flows(call, seen);
                    }
                }
            }
            "argument_list" => {
                let call = parent.parent();
                let callee = call
                    .and_then(|call| call.field("function"))
                    .map_or(Val::Unknown, |f| self.value(f));
                for one in callee.each().to_vec() {
                    let Val::Func(function, _, bound) = one else {
                        continue;
                    };
                    let at = parent
                        .children()
                        .position(|child| child == node)
                        .unwrap_or_default();
                    let name = parameters(function)
                        .nth(at + usize::from(bound.is_some()))
                        .map(|(name, _, _)| name);
                    let parameter = function.field("parameters").and_then(|all| {
                        all.below()
                            .find(|n| n.kind() == "identifier" && Some(n.text()) == name)
                    });
                    if let Some(name) = parameter {
                        self.changes_of(name, function, name.text(), seen);
                    }
                }
            }
            _ => {}
        }
    }

    /// A name that holds the command, or a part of it.
    fn variable(&mut self, target: Node<'t>, seen: &mut IndexSet<Node<'t>>) {
        match target.kind() {
            "identifier" => {
                let found = self
                    .program
                    .lookup(target, target.text())
                    .map(|(scope, _)| scope);
                self.changes_of(
                    target,
                    found.unwrap_or_else(|| scope_of(target)),
                    target.text(),
                    seen,
                );
            }
            "attribute" => {
                let name = target.text_of("attribute");
                for (_, value, _) in self
                    .program
                    .attributes
                    .get(name)
                    .cloned()
                    .unwrap_or_default()
                {
                    self.parts(value, seen);
                }
                let changes = self.program.changes.get(name).cloned().unwrap_or_default();
                for change in changes {
                    self.change_parts(change, seen);
                }
            }
            _ => {}
        }
    }

    fn changes_of(
        &mut self,
        target: Node<'t>,
        scope: Node<'t>,
        name: &'t str,
        seen: &mut IndexSet<Node<'t>>,
    ) {
        let bindings: Vec<_> = self
            .program
            .bound_in(scope, name)
            .unwrap_or_default()
            .to_vec();
        for binding in bindings {
            if let super::scope::Bound::Value(value) = binding.what {
                self.parts(value, seen);
            }
        }
        for change in self.program.changes.get(name).cloned().unwrap_or_default() {
            let object = match change.kind() {
                "call" => change.field("function").and_then(|f| f.field("object")),
                _ => change.field("left"),
            };
            let same = object.is_some_and(|object| {
                self.program
                    .lookup(object, name)
                    .is_some_and(|(own, _)| own == scope)
            });
            if same {
                self.change_parts(change, seen);
            }
        }
        for one in self
            .names
            .get(&(scope.file(), name))
            .cloned()
            .unwrap_or_default()
        {
            let is_same = one != target
                && self
                    .program
                    .lookup(one, name)
                    .is_some_and(|(own, _)| own == scope);
            if is_same && one.part() != "left" && seen.insert(one) {
                self.flows(one, seen);
            }
        }
    }

    fn change_parts(&mut self, change: Node<'t>, seen: &mut IndexSet<Node<'t>>) {
        if change.kind() != "call" {
            if let Some(right) = change.field("right") {
                self.parts(right, seen);
            }
            return;
        }
        let method = change
            .field("function")
            .map_or("", |f| f.text_of("attribute"));
        let Some(last) = argument_values(change).last().copied() else {
            return;
        };
        match method {
            "extend" => self.parts(last, seen),
            "append" | "insert" | "add" => {
                if !seen.insert(change) {
                    return;
                }
                // `append("--x")` and then `append(value)`.
                let next = change.parent().and_then(|statement| {
                    let block = statement.parent()?;
                    let mut after = block
                        .children()
                        .skip_while(|other| *other != statement)
                        .skip(1);
                    let call = after
                        .next()?
                        .child(0)
                        .filter(|call| call.kind() == "call")?;
                    let same = call.text_of("function") == change.text_of("function");
                    same.then(|| argument_values(call).last().copied())
                        .flatten()
                });
                self.sequence_of(&std::iter::once(last).chain(next).collect::<Vec<_>>(), seen);
            }
            _ => {}
        }
    }

    /// The parts of the command in an expression.
    fn parts(&mut self, node: Node<'t>, seen: &mut IndexSet<Node<'t>>) {
        if !seen.insert(node) || self.steps > self.limit || seen.len() > 3000 {
            return;
        }
        self.steps += 1;
        let children: Vec<_> = node.children().collect();
        match node.kind() {
            "list" | "tuple" | "set" | "expression_list" => self.sequence_of(&children, seen),
            "parenthesized_expression" | "await" | "list_splat" | "yield" => {
                children.iter().for_each(|child| self.parts(*child, seen));
            }
            "conditional_expression" => [0, 2]
                .iter()
                .filter_map(|at| children.get(*at))
                .for_each(|child| self.parts(*child, seen)),
            "boolean_operator" => children.iter().for_each(|child| self.parts(*child, seen)),
            "binary_operator" => match self.value(node) {
                Val::Str(..) | Val::Pieces(_) => self.text_of_command(node),
                _ => ["left", "right"]
                    .iter()
                    .filter_map(|part| node.field(part))
                    .for_each(|child| self.parts(child, seen)),
            },
            "string" | "concatenated_string" => self.text_of_command(node),
            "identifier" | "attribute" => {
                self.variable(node, seen);
                let value = self.value(node);
                if value == Val::Unknown || matches!(value, Val::Ext(_)) {
                    self.not_read(
                        node,
                        "what this adds to the server's command was not followed",
                        &[Hides::Flags],
                    );
                } else if let Some((_, bindings)) = self.program.lookup(node, node.text())
                    && bindings
                        .iter()
                        .any(|b| !matches!(b.what, super::scope::Bound::Value(_)))
                    && let Some(items) = value.elements()
                {
                    self.pairs(node, &items, &Ctx::default());
                }
            }
            "call" => self.parts_of_call(node, seen),
            kind if super::scope::is_comprehension(node) || kind == "pair" => {
                if let Some(body) = node.field("body") {
                    match body.kind() {
                        "tuple" | "list" => self.parts(body, seen),
                        _ => self.sequence_of(&[body], seen),
                    }
                }
            }
            _ => {}
        }
    }

    fn parts_of_call(&mut self, node: Node<'t>, seen: &mut IndexSet<Node<'t>>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let callee = self.value(function);
        let name = function.text().rsplit('.').next().unwrap_or_default();
        let args = argument_values(node);
        if let Val::Func(own, _, _) = callee {
            let returned = self.returned(own);
            for (at, value) in returned.iter().enumerate() {
                match value.kind() {
                    "string" => self.sequence_of(&returned[at..returned.len().min(at + 2)], seen),
                    _ => self.parts(*value, seen),
                }
            }
            return;
        }
        match name {
            "split" if function.text().contains("shlex") => {
                if let Some(arg) = args.first() {
                    self.text_of_command(*arg);
                }
            }
            "split" | "copy" | "strip" => {
                if let Some(object) = function.field("object") {
                    match self.value(object) {
                        Val::Str(..) | Val::Pieces(_) => self.text_of_command(object),
                        _ => self.parts(object, seen),
                    }
                }
            }
            "list" | "tuple" | "chain" | "from_iterable" | "sorted" | "join" | "filter" | "map"
            | "copy2" | "deepcopy" | "set" => {
                let list = node
                    .field("arguments")
                    .filter(|list| super::scope::is_comprehension(*list));
                for arg in args.into_iter().chain(list) {
                    self.parts(arg, seen);
                }
            }
            _ => match self.value(node) {
                Val::Env(..) | Val::Str(..) | Val::Pieces(_) => {}
                value => match value.elements() {
                    Some(items) => self.pairs(node, &items, &Ctx::default()),
                    None => self.not_read(
                        node,
                        "what this adds to the server's command was not followed",
                        &[Hides::Flags],
                    ),
                },
            },
        }
    }

    /// Expressions that follow each other in the command.
    fn sequence_of(&mut self, items: &[Node<'t>], seen: &mut IndexSet<Node<'t>>) {
        for (at, item) in items.iter().enumerate() {
            if item.kind() == "list_splat" {
                item.children().for_each(|inner| self.parts(inner, seen));
                continue;
            }
            if item.kind() == "conditional_expression" || matches!(item.kind(), "list" | "tuple") {
                self.parts(*item, seen);
                continue;
            }
            let next = items
                .get(at + 1)
                .copied()
                .filter(|next| next.kind() != "list_splat");
            let of: Vec<_> = std::iter::once(*item).chain(next).collect();
            for way in self.ways(&of, &Ctx::default()) {
                let pair: Vec<_> = of.iter().map(|node| self.eval(*node, &way)).collect();
                for one in pair[0].each() {
                    if is_flag(one) {
                        let value = pair.get(1).filter(|value| !is_flag(value));
                        self.flag(*item, one, value, &way);
                    }
                }
            }
        }
    }

    /// The same of values.
    fn pairs(&mut self, node: Node<'t>, items: &[Val<'t>], way: &Ctx<'t>) {
        for (at, item) in items.iter().enumerate() {
            match item {
                Val::List(inner) => self.pairs(node, inner, way),
                item if is_flag(item) => self.flag(
                    node,
                    item,
                    items.get(at + 1).filter(|next| !is_flag(next)),
                    way,
                ),
                _ => {}
            }
        }
    }

    /// A command in one text.
    fn text_of_command(&mut self, node: Node<'t>) {
        for way in self.ways(&[node], &Ctx::default()) {
            let value = self.eval(node, &way);
            let parts = match &value {
                Val::Pieces(parts) => parts.to_vec(),
                one => vec![one.clone()],
            };
            let text: String = parts
                .iter()
                .enumerate()
                .map(|(at, part)| {
                    part.as_str()
                        .map_or_else(|| format!("\u{1}{at}\u{1}"), str::to_owned)
                })
                .collect();
            let script = shell::parse(&text);
            for command in &script.commands {
                let words: Vec<Val<'t>> = command
                    .words
                    .iter()
                    .map(|word| placed(&word.text, &parts))
                    .collect();
                self.pairs(node, &words, &way);
            }
        }
    }

    fn flag(&mut self, node: Node<'t>, flag: &Val<'t>, value: Option<&Val<'t>>, way: &Ctx<'t>) {
        let (name, inline, at) = match flag {
            Val::Str(text, at) => match text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(Val::text(value)), *at),
                None => (text.to_string(), None, *at),
            },
            Val::Pieces(parts) => {
                let Some(Val::Str(first, at)) = parts.first() else {
                    return;
                };
                let Some((name, begin)) = first.split_once('=') else {
                    return self.not_read(
                        node,
                        "the name of this flag is computed",
                        &[Hides::Flags],
                    );
                };
                let rest = parts[1..]
                    .iter()
                    .fold(Val::text(begin), |all, part| all.join(part));
                let rest = match &rest {
                    Val::Pieces(parts) if begin.is_empty() && parts.len() == 2 => parts[1].clone(),
                    _ => rest,
                };
                (name.to_owned(), Some(rest), *at)
            }
            _ => return,
        };
        let value = inline.or_else(|| value.cloned());
        self.give(
            at.filter(|at| at.file() == node.file()).unwrap_or(node),
            &name,
            value.as_ref(),
            way,
        );
        if let Some(at) = at.filter(|at| at.file() == node.file() && *at != node) {
            let place = self.place(at);
            self.facts
                .flags
                .last_mut()
                .into_iter()
                .for_each(|last| last.place = place.clone());
        }
        // What decides on it stands around the place where it is added.
        let guards = self.guards(node, way);
        if let Some(last) = self.facts.flags.last_mut()
            && last.flag == name
            && !matches!(last.value, FlagValue::Env)
        {
            for (variable, words) in guards {
                if !last.from.iter().any(|(own, _)| *own == variable) {
                    last.from.push((variable, FlagKind::Switch { words }));
                }
            }
        }
    }

    fn give(&mut self, node: Node<'t>, flag: &str, value: Option<&Val<'t>>, _way: &Ctx<'t>) {
        let envs = value.map(Val::envs).unwrap_or_default();
        let given = match value {
            None => FlagValue::Alone,
            Some(_) if !envs.is_empty() => FlagValue::Env,
            Some(value) => value
                .display()
                .map_or(FlagValue::Computed, FlagValue::Fixed),
        };
        let from = envs
            .iter()
            .map(|name| (name.to_string(), FlagKind::Value))
            .collect();
        let place = self.place(node);
        let runs = self.program.runs_if_called(node);
        self.facts.flags.push(FlagGiven {
            runs,
            flag: flag.to_owned(),
            value: given,
            from,
            place,
        });
    }

    /// The variables that decide whether the program comes to a place, with the words that they
    /// are held against.
    fn guards(&mut self, node: Node<'t>, way: &Ctx<'t>) -> Vec<(String, Vec<String>)> {
        let mut conditions = Vec::new();
        let mut inner = node;
        for above in node
            .ancestors()
            .take_while(|a| a.kind() != "function_definition")
        {
            match above.kind() {
                "if_statement" | "elif_clause" if inner.part() == "consequence" => {
                    conditions.extend(above.field("condition"));
                }
                "conditional_expression" if above.child(1) != Some(inner) => {
                    conditions.extend(above.child(1));
                }
                "block" => {
                    let before = above.children().take_while(|other| *other != inner);
                    let skips = before.filter(|other| {
                        other.kind() == "if_statement"
                            && other
                                .field("consequence")
                                .is_some_and(|c| c.text().contains("continue"))
                    });
                    conditions.extend(skips.filter_map(|skip| skip.field("condition")));
                }
                kind if kind.ends_with("comprehension") || kind == "generator_expression" => {
                    conditions.extend(
                        above
                            .children()
                            .filter(|c| c.kind() == "if_clause")
                            .filter_map(|c| c.child(0)),
                    );
                }
                _ => {}
            }
            inner = above;
        }
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for condition in conditions {
            let mut names = Vec::new();
            let mut words = Vec::new();
            for part in condition.below() {
                match part.kind() {
                    "call" | "subscript" | "identifier" | "attribute" => {
                        names.extend(self.eval(part, way).envs());
                    }
                    "comparison_operator" => {
                        if let Some(right) = part.child(1) {
                            let value = self.eval(right, way);
                            let all = value.elements().unwrap_or_else(|| vec![value.clone()]);
                            words.extend(all.iter().filter_map(|one| {
                                one.as_str().filter(|w| !w.is_empty()).map(str::to_owned)
                            }));
                            if matches!(value, Val::Environ(_))
                                && let Some(name) = part.child(0)
                                && let Val::Str(name, _) = self.eval(name, way)
                            {
                                names.push(name);
                            }
                        }
                    }
                    _ => {}
                }
            }
            for name in names {
                if !found.iter().any(|(own, _)| **own == *name) {
                    found.push((name.to_string(), words.clone()));
                }
            }
        }
        found
    }
}

/// A word of a text in which what is not fixed has a number for it.
fn placed<'t>(word: &str, parts: &[Val<'t>]) -> Val<'t> {
    let pieces = word
        .split('\u{1}')
        .enumerate()
        .map(|(at, piece)| match piece.parse::<usize>() {
            Ok(number) if at % 2 == 1 => parts.get(number).cloned().unwrap_or(Val::Unknown),
            _ => Val::text(piece),
        });
    let pieces: Vec<_> = pieces.filter(|piece| piece.as_str() != Some("")).collect();
    pieces
        .into_iter()
        .reduce(|a, b| a.join(&b))
        .unwrap_or_else(|| Val::text(""))
}
