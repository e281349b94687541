//! The commands that start `SGLang`'s server, put together from their parts.

use super::flags::is_flag;
use super::process::starts_process;
use crate::python::Set;
use crate::python::evaluation::calls::Site;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::names::takes_out;
use crate::python::evaluation::value::Val;
use crate::python::program::changes::AttributeUses;
use crate::python::program::node::{Node, is_among, last_part};
use crate::python::program::scope::Bound;

const NOT_FOLLOWED: &str = "what this adds to the server's command was not followed";
/// Functions that copy or join lists.
const JOINS: &str = "list tuple chain from_iterable copy deepcopy sorted sum";
/// The most expressions that one command is put together from.
const MOST_PARTS: usize = 3_000;

/// Methods and functions that turn a text or a command into a command.
const SPLITTING: &str = "split strip format copy list tuple chain join";

/// The tuple or list whose elements a comprehension yields one by one.
fn listed<'t>(comprehension: Node<'t>, body: Node<'t>) -> Option<Node<'t>> {
    let last = comprehension.children_of("for_in_clause").last()?;
    let is_body = last.text_of("left") == body.text();
    let words = last.field("right")?;
    (is_body && words.is_any("tuple list")).then_some(words)
}

/// The outermost call around a text that makes another text of it: a default, a path.
pub fn outermost_maker<'t>(node: Node<'t>) -> Node<'t> {
    const MAKERS: &str = "getenv get str Path join with_name joinpath abspath resolve";
    let maker = |node: &Node<'t>| {
        let of = node.parent_of("argument_list attribute");
        let call = of?.parent()?;
        is_among(MAKERS, call.callee_name()).then_some(call)
    };
    let makers = std::iter::successors(Some(node), maker);
    makers.last().unwrap_or(node)
}

/// The call of `format` on a text, or the text itself.
pub fn filled_in(text: Node<'_>) -> Node<'_> {
    let method = text.parent_of("attribute");
    let method = method.filter(|method| method.text_of("attribute") == "format");
    let call = method.and_then(|method| method.parent_of("call"));
    call.unwrap_or(text)
}

/// The expressions that are known to be part of a command.
pub type Seen<'t> = Set<Node<'t>>;

impl<'t> Reader<'t> {
    /// A text that names the server's module: reads the command around it.
    pub fn command_string(&mut self, node: Node<'t>) {
        if self.program.starts_server(node.text()) {
            if !self.is_dropped(node, &mut Seen::default()) {
                self.facts.launches = true;
                self.server(node);
            }
        } else if is_among("serve launch_server", node.unquoted()) {
            let around = outermost_maker(node).parent();
            if around.is_some_and(|around| around.text().contains("sglang")) {
                let is_dropped = self.is_dropped(node, &mut Seen::default());
                self.facts.launches |= !is_dropped;
                self.server(node);
            }
        }
    }

    /// Whether a command is only changed and reported, and nothing starts it.
    fn is_dropped(&mut self, node: Node<'t>, seen: &mut Seen<'t>) -> bool {
        const PARTS: &str = "list tuple set list_splat subscript binary_operator string interpolation \
            concatenated_string parenthesized_expression";
        const MOST: usize = 200;
        // A shell may run what is printed: `exec $(python3 build.py)`.
        let takes_output = self.program.takes_output;
        let is_printed = |call: Node<'_>| takes_output && call.callee_name() == "print";
        let Some(parent) = node.parent().filter(|_| seen.insert(node)) else {
            return true;
        };
        match parent.kind() {
            _ if seen.len() > MOST => false,
            "expression_statement" => true,
            "assignment" | "augmented_assignment" => match parent.field("left") {
                Some(left) if left == node => true,
                Some(left) if left.is("attribute") => self.is_unused_attribute(left),
                left => {
                    let variable = left.and_then(|left| self.program.variable(left));
                    variable.is_some_and(|(scope, name)| {
                        let mut uses = self.program.uses_of(scope, name).into_iter();
                        !self.is_shared(scope, name) && uses.all(|one| self.is_dropped(one, seen))
                    })
                }
            },
            "return_statement" => {
                let sites = parent.function().and_then(|of| self.sites.get(&of));
                let sites = sites.cloned().unwrap_or_default();
                !sites.is_empty()
                    && sites.into_iter().all(|site| match site {
                        Site::Call(call) => self.is_dropped(call, seen),
                        Site::Callback(_) => false,
                    })
            }
            "attribute" | "argument_list" => parent.parent_of("call").is_some_and(|call| {
                parent.is("argument_list") && call.is_message() && !is_printed(call)
                    || (parent.is("attribute") || is_among(SPLITTING, call.callee_name()))
                        && self.is_dropped(call, seen)
            }),
            _ => parent.is_any(PARTS) && self.is_dropped(parent, seen),
        }
    }

    /// Follows a part of the command forward: into a variable that more is added to, into a
    /// parameter, or back to the caller.
    pub fn follow_forward(&mut self, node: Node<'t>, seen: &mut Seen<'t>) {
        let Some(parent) = node.parent() else { return };
        self.steps += 1;
        match parent.kind() {
            "assignment" | "named_expression" | "augmented_assignment" => {
                let target = parent.field("left").or(parent.field("name"));
                if let Some(target) = target.filter(|target| *target != node) {
                    self.collect_variable(target, seen);
                }
            }
            "parenthesized_expression"
            | "list_splat"
            | "list"
            | "binary_operator"
            | "conditional_expression"
            | "tuple" => self.follow_forward(parent, seen),
            "attribute" if is_among(SPLITTING, parent.text_of("attribute")) => {
                if let Some(call) = parent.parent() {
                    self.follow_forward(call, seen);
                }
            }
            "return_statement" | "yield" => {
                let function = parent.function();
                if let Some(function) = function.filter(|_| parent.is("yield")) {
                    self.collect_returned(function, seen);
                }
                let sites = function.and_then(|function| self.sites.get(&function));
                for site in sites.cloned().unwrap_or_default() {
                    if let Site::Call(call) = site
                        && seen.insert(call)
                    {
                        self.follow_forward(call, seen);
                    }
                }
            }
            "subscript" if parent.field("value") == Some(node) => self.follow_forward(parent, seen),
            "argument_list" => {
                if let Some(call) = parent.parent().filter(|call| !call.is_message()) {
                    self.follow_into_call(node, parent, call, seen);
                }
            }
            _ => {}
        }
    }

    /// Follows a part of the command that is an argument of a call.
    fn follow_into_call(
        &mut self,
        node: Node<'t>,
        list: Node<'t>,
        call: Node<'t>,
        seen: &mut Seen<'t>,
    ) {
        if is_among(SPLITTING, call.callee_name()) {
            self.follow_forward(call, seen);
        }
        let callee = self.callee(call);
        // Copies and joins: what stands beside it is part of the command too.
        if is_among(JOINS, last_part(callee.path())) && seen.insert(call) {
            self.collect_each(list.children(), seen);
            return self.follow_forward(call, seen);
        }
        if !callee.may_be(|one| matches!(one, Val::Func(..))) {
            // The words around it, where they start something: `[*command, "--flag"]`.
            let is_start = starts_process(&callee);
            if is_start {
                self.started_with(call);
            }
            let parts = list.children().filter(|beside| is_start || *beside == node);
            return self.collect_each(parts, seen);
        }
        let at = list.children().position(|child| child == node);
        for one in callee.each() {
            if let Val::Func(function, _, bound) = one {
                let before = at.unwrap_or_default() + usize::from(bound.is_some());
                if let Some((name, ..)) = function.parameters().nth(before) {
                    self.collect_name(*function, name, seen);
                }
            }
        }
    }

    /// Collects what a variable or attribute that holds a command is set to, and what is added to
    /// it.
    fn collect_variable(&mut self, target: Node<'t>, seen: &mut Seen<'t>) {
        match target.kind() {
            "identifier" => {
                if let Some((scope, name)) = self.program.variable(target) {
                    self.collect_name(scope, name, seen);
                }
            }
            "attribute" => {
                let (class, (sets, changes)) = self.set_by_object(target);
                if let Some(class) = class {
                    self.collect_name(class, target.text_of("attribute"), seen);
                }
                for (value, _) in sets {
                    self.collect_parts(value, seen);
                }
                for change in changes {
                    self.collect_change(change, seen);
                }
            }
            _ => {}
        }
    }

    /// The class whose method mentions an attribute, and what sets and changes that attribute.
    fn set_by_object(&self, attribute: Node<'t>) -> (Option<Node<'t>>, AttributeUses<'t>) {
        let class = attribute.function().and_then(Node::class);
        let name = attribute.text_of("attribute");
        (class, self.program.attribute(class.as_slice(), name))
    }

    fn collect_name(&mut self, scope: Node<'t>, name: &'t str, seen: &mut Seen<'t>) {
        let bindings = self.program.bound_in(scope, name).unwrap_or_default();
        let values = bindings.iter().filter_map(|binding| match binding.what {
            Bound::Value(value) => Some(value),
            _ => None,
        });
        for value in values.collect::<Vec<_>>() {
            self.collect_parts(value, seen);
        }
        let changes = self.program.changes.get(&(scope, name)).cloned();
        for change in changes.unwrap_or_default() {
            self.collect_change(change, seen);
        }
        let uses = self.program.uses.get(&(scope.file(), name)).cloned();
        for one in uses.unwrap_or_default() {
            let found = self.program.lookup(one, name);
            let same = found.is_some_and(|(own, _)| own == scope);
            let is_sum = |parent: Node<'_>| parent.is("binary_operator");
            let is_read = one.role() != "left" || one.parent().is_some_and(is_sum);
            if same && is_read && seen.insert(one) {
                self.follow_forward(one, seen);
            }
        }
    }

    /// Collects what a statement adds to a list that holds the command.
    pub fn collect_change(&mut self, change: Node<'t>, seen: &mut Seen<'t>) {
        let added = match change.kind() {
            "call" => change.argument_values().last().copied(),
            _ => change.field("right"),
        };
        if takes_out(change) {
            return self.flags_unread(
                change,
                "what this takes out of the server's command was not followed",
            );
        }
        let Some(added) = added else { return };
        match change.callee_name() {
            _ if !change.is("call") => self.collect_parts(added, seen),
            "extend" => self.collect_parts(added, seen),
            "append" | "insert" | "add" if seen.insert(change) => {
                let both: Vec<_> = std::iter::once(added).chain(added_next(change)).collect();
                self.note_sequence(&both, seen);
            }
            _ => {}
        }
    }

    /// Collects the flags in an expression that is part of the command.
    pub fn collect_parts(&mut self, node: Node<'t>, seen: &mut Seen<'t>) {
        if !seen.insert(node) || self.steps > self.limit || seen.len() > MOST_PARTS {
            return;
        }
        self.steps += 1;
        match node.kind() {
            "list" | "tuple" | "set" | "expression_list" => {
                self.note_sequence(&node.children().collect::<Vec<_>>(), seen);
            }
            "binary_operator" if self.value(node).is_text() => self.note_command_text(node),
            "parenthesized_expression"
            | "await"
            | "list_splat"
            | "yield"
            | "boolean_operator"
            | "binary_operator" => self.collect_each(node.children(), seen),
            "conditional_expression" => {
                let condition = node.child(1);
                let holds = condition.and_then(|one| self.static_truth(one, &Ctx::default()));
                let branches = [(node.child(0), true), (node.child(2), false)];
                for (branch, runs_if) in branches {
                    if let Some(branch) = branch.filter(|_| holds != Some(!runs_if)) {
                        self.collect_parts(branch, seen);
                    }
                }
            }
            "string" | "concatenated_string" => self.note_command_text(node),
            "identifier" | "attribute" => {
                self.collect_variable(node, seen);
                let value = self.value(node);
                // A constant of the class, which the object's own methods don't set or change.
                if node.is("attribute")
                    && let (_, (sets, changes)) = self.set_by_object(node)
                    && sets.is_empty()
                    && changes.is_empty()
                {
                    let items = value.elements().unwrap_or_default();
                    self.note_flags_in(node, &items, &Ctx::default());
                }
                let is_value = |bound: &Bound<'_>| matches!(bound, Bound::Value(_));
                if matches!(value, Val::Unknown | Val::Ext(_) | Val::Lost) {
                    self.flags_unread(node, NOT_FOLLOWED);
                } else if let Some((_, bindings)) = self.program.lookup(node, node.text())
                    && !bindings.iter().all(|binding| is_value(&binding.what))
                    && let Some(items) = value.elements()
                {
                    self.note_flags_in(node, &items, &Ctx::default());
                }
            }
            "call" => self.collect_call(node, seen),
            kind if node.is_comprehension() || kind == "pair" => {
                let Some(body) = node.field("body") else {
                    return;
                };
                // `word for … for word in ("--flag", value)`
                let words = listed(node, body).unwrap_or(body);
                if words.is_any("tuple list") {
                    return self.collect_parts(words, seen);
                }
                // `word for pair in flags.items() for word in pair`
                let none = Ctx::default();
                if node.children_of("for_in_clause").count() > 1
                    && let Some(words) = self.at(node, &none).elements()
                    && words.iter().any(is_flag)
                    && !words.contains(&Val::Unknown)
                {
                    return self.note_flags_in(body, &words, &none);
                }
                self.note_sequence(&[body], seen);
                if matches!(self.value(body), Val::Unknown | Val::Lost) {
                    self.flags_unread(node, NOT_FOLLOWED);
                }
            }
            _ => {}
        }
    }

    pub fn collect_each(&mut self, parts: impl Iterator<Item = Node<'t>>, seen: &mut Seen<'t>) {
        parts.for_each(|part| self.collect_parts(part, seen));
    }

    /// Collects what a function returns, or yields one by one.
    fn collect_returned(&mut self, function: Node<'t>, seen: &mut Seen<'t>) {
        let returned = self.return_values(function);
        for (at, value) in returned.iter().enumerate() {
            match value.kind() {
                "string" => self.note_sequence(&returned[at..returned.len().min(at + 2)], seen),
                _ => self.collect_parts(*value, seen),
            }
        }
    }

    fn collect_call(&mut self, node: Node<'t>, seen: &mut Seen<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let args = node.argument_values();
        if let Val::Func(own, ..) = self.value(function) {
            return self.collect_returned(own, seen);
        }
        match last_part(function.text()) {
            "split" if function.text().contains("shlex") => {
                if let Some(arg) = args.first() {
                    self.note_command_text(*arg);
                }
            }
            "split" | "copy" | "strip" if function.is("attribute") => {
                let Some(object) = function.field("object") else {
                    return;
                };
                match self.value(object) {
                    value if value.is_text() => self.note_command_text(object),
                    value if value.may_be(|one| matches!(one, Val::Env(..))) => {
                        self.note_env_words(&value);
                    }
                    _ => self.collect_parts(object, seen),
                }
            }
            // A message that joins the words of a command that is followed already.
            "join" if args.iter().any(|arg| seen.contains(arg)) => {}
            "join" | "format" if self.value(node).is_text() => self.note_command_text(node),
            "map" if args.first().is_none_or(|made| made.text() != "str") => {
                self.note_words_of(node);
            }
            "list" | "tuple" | "chain" | "from_iterable" | "sorted" | "join" | "filter" | "map"
            | "copy" | "deepcopy" | "set" | "sum" => self.collect_each(args.into_iter(), seen),
            _ => match self.value(node) {
                Val::Env(..) | Val::Str(..) | Val::Pieces(_) => {}
                _ => self.note_words_of(node),
            },
        }
    }

    /// The flags in the value of an expression.
    fn note_words_of(&mut self, node: Node<'t>) {
        match self.value(node).elements() {
            Some(items) => self.note_flags_in(node, &items, &Ctx::default()),
            None => self.flags_unread(node, NOT_FOLLOWED),
        }
    }
}

/// What the next statement adds to the same list: `append("--x")` and then `append(value)`, or
/// `extend(values)`.
fn added_next(change: Node<'_>) -> Option<Node<'_>> {
    let statement = change.parent()?;
    let all = statement.parent()?.children();
    let mut after = all.skip_while(|other| *other != statement);
    let mut next = after.nth(1)?;
    // `if value is not True: command.append(value)`
    if next.is("if_statement") {
        next = next.field("consequence")?.child(0)?;
    }
    let call = next.child(0).filter(|call| call.is("call"))?;
    let same = call.callee_object()?.text() == change.callee_object()?.text();
    let adds = call.callee_name() == change.callee_name() || call.callee_name() == "extend";
    call.argument_values()
        .last()
        .copied()
        .filter(|_| same && adds)
}
