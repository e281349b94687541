//! The commands that start `SGLang`'s server, put together from their parts.

use super::Set;
use super::calls::Site;
use super::eval::Reader;
use super::process::starts;
use super::scope::Bound;
use super::syntax::{Node, is_among};
use super::value::{Ctx, Val};
use crate::shell::started_through;
use crate::{Hides, is_one_of};

const NOT_FOLLOWED: &str = "what this adds to the server's command was not followed";
/// Functions that make one list of others.
const JOINS: &str = "list tuple chain from_iterable copy deepcopy sorted";
/// The most expressions that one command is put together from.
const MOST_PARTS: usize = 3_000;

/// What makes a command of a text or of another command.
const SPLITTING: &str = "split strip format copy list tuple chain join";

/// The tuple or list whose elements are what a comprehension gives.
fn listed<'t>(comprehension: Node<'t>, body: Node<'t>) -> Option<Node<'t>> {
    let last = comprehension
        .children()
        .filter(|child| child.kind() == "for_in_clause")
        .last()?;
    let words = last.field("right")?;
    (matches!(words.kind(), "tuple" | "list") && last.text_of("left") == body.text())
        .then_some(words)
}

/// The outermost call that makes a text of this one: a default, a path.
fn given_to(node: Node<'_>) -> Node<'_> {
    const MAKERS: [&str; 9] = [
        "getenv",
        "get",
        "str",
        "Path",
        "join",
        "with_name",
        "joinpath",
        "abspath",
        "resolve",
    ];
    let mut outer = node;
    while let Some(parent) = outer.parent() {
        let makes = |call: &Node<'_>| MAKERS.contains(&call.callee_name());
        match parent.kind() {
            "argument_list" => match parent.parent().filter(makes) {
                Some(call) => outer = call,
                None => break,
            },
            "attribute" => match parent.parent().filter(makes) {
                Some(call) => outer = call,
                None => break,
            },
            _ => break,
        }
    }
    outer
}

/// The expressions that were seen to be part of a command.
pub type Seen<'t> = Set<Node<'t>>;

impl<'t> Reader<'t> {
    /// A text that names the server's module: the command around it is read.
    pub fn command_string(&mut self, node: Node<'t>) {
        let parent = node.parent();
        if self.program.starts_server(node.text()) {
            if parent.is_some_and(|p| p.kind() != "expression_statement") {
                self.facts.launches = true;
                self.server(node);
            }
        } else if matches!(node.unquoted(), "serve" | "launch_server")
            && given_to(node)
                .parent()
                .is_some_and(|p| p.text().contains("sglang"))
        {
            self.server(node);
        }
    }

    /// What the server is started through: the words before it in its list or text.
    fn note_launcher(&mut self, node: Node<'t>) {
        let parent = node
            .parent()
            .filter(|parent| matches!(parent.kind(), "list" | "tuple" | "argument_list"));
        let mut words: Vec<String> = Vec::new();
        for one in parent.into_iter().flat_map(Node::children) {
            if one == node {
                break;
            }
            words.push(
                self.value(one)
                    .display()
                    .unwrap_or_else(|| one.text().to_owned()),
            );
        }
        words.extend(node.unquoted().split_whitespace().map(str::to_owned));
        self.started_by(node, &words);
    }

    pub fn started_by(&mut self, node: Node<'t>, words: &[String]) {
        let through = started_through(words);
        if !through.is_empty() {
            let place = self.place(node);
            self.facts.started_through.push((through, place));
        }
    }

    /// The command that names the server's module.
    pub fn server(&mut self, node: Node<'t>) {
        self.note_launcher(node);
        let mut seen = Seen::default();
        let mut root = node;
        while let Some(parent) = root.parent() {
            match parent.kind() {
                "list"
                | "tuple"
                | "binary_operator"
                | "concatenated_string"
                | "parenthesized_expression"
                | "conditional_expression"
                | "expression_list" => {
                    root = parent;
                }
                "argument_list" => {
                    // The words of a process are arguments of their own.
                    let callee = parent.parent().and_then(|call| call.field("function"));
                    let value = callee.map_or(Val::Unknown, |callee| self.value(callee));
                    let words = parent.children().filter(|n| n.kind() != "keyword_argument");
                    let words: Vec<_> = words.collect();
                    if starts(&value) && root.kind() != "list" && words.len() > 1 {
                        return self.note_sequence(&words, &mut seen);
                    }
                    break;
                }
                _ => break,
            }
        }
        match given_to(root) {
            same if same == root => self.collect_parts(root, &mut seen),
            // `os.getenv("NAME", "sglang.launch_server")`, `str(Path("launcher.py"))`
            call => {
                if let Some(list) = call.parent().filter(|parent| parent.kind() == "list") {
                    self.collect_parts(list, &mut seen);
                    return self.follow_forward(list, &mut seen);
                }
                if call.callee_name() == "join" {
                    self.collect_parts(call, &mut seen);
                }
                seen.insert(call);
                root = call;
            }
        }
        self.follow_forward(root, &mut seen);
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
            "return_statement" => {
                let sites = parent
                    .function()
                    .and_then(|function| self.sites.get(&function));
                for site in sites.cloned().unwrap_or_default() {
                    if let Site::Call(call) = site
                        && seen.insert(call)
                    {
                        self.follow_forward(call, seen);
                    }
                }
            }
            "subscript" if parent.field("value") == Some(node) => self.follow_forward(parent, seen),
            "argument_list" if parent.parent().is_some_and(Node::is_message) => {}
            "argument_list" => {
                if let Some(call) = parent
                    .parent()
                    .filter(|c| is_among(SPLITTING, c.callee_name()))
                {
                    self.follow_forward(call, seen);
                }
                let call = parent.parent();
                let callee = call.and_then(|call| call.field("function"));
                let callee = callee.map_or(Val::Unknown, |f| self.value(f));
                // Copies and joins: what stands beside it is part of the command too.
                let path = callee.path();
                if is_one_of(JOINS, path.rsplit('.').next().unwrap_or(path))
                    && let Some(call) = call.filter(|call| seen.insert(*call))
                {
                    parent
                        .children()
                        .for_each(|beside| self.collect_parts(beside, seen));
                    return self.follow_forward(call, seen);
                }
                if !callee.may_be(|one| matches!(one, Val::Func(..))) {
                    // The words around it, where they start something: `[*command, "--flag"]`.
                    return match starts(&callee) {
                        true => parent
                            .children()
                            .for_each(|beside| self.collect_parts(beside, seen)),
                        false => self.collect_parts(node, seen),
                    };
                }
                let at = parent
                    .children()
                    .position(|child| child == node)
                    .unwrap_or_default();
                for one in callee.each() {
                    let Val::Func(function, _, bound) = one else {
                        continue;
                    };
                    let mut names = function
                        .parameters()
                        .skip(at + usize::from(bound.is_some()));
                    let Some((name, ..)) = names.next() else {
                        continue;
                    };
                    self.collect_name(*function, name, seen);
                }
            }
            _ => {}
        }
    }

    /// A name that holds the command, or a part of it.
    pub fn collect_variable(&mut self, target: Node<'t>, seen: &mut Seen<'t>) {
        match target.kind() {
            "identifier" => {
                if let Some((scope, name)) = self.program.variable(target) {
                    self.collect_name(scope, name, seen);
                }
            }
            "attribute" => {
                let name = target.text_of("attribute");
                let class = target.function().and_then(Node::class);
                let classes: Vec<_> = class.into_iter().collect();
                for class in &classes {
                    self.collect_name(*class, name, seen);
                }
                let (sets, changes) = self.program.attribute(&classes, name);
                sets.into_iter()
                    .for_each(|(value, _)| self.collect_parts(value, seen));
                changes
                    .into_iter()
                    .for_each(|change| self.collect_change(change, seen));
            }
            _ => {}
        }
    }

    /// Whether the object's own methods set or change the attribute.
    fn is_set_by_object(&self, attribute: Node<'t>) -> bool {
        let class = attribute.function().and_then(Node::class);
        let classes: Vec<_> = class.into_iter().collect();
        let (sets, changes) = self
            .program
            .attribute(&classes, attribute.text_of("attribute"));
        !sets.is_empty() || !changes.is_empty()
    }

    pub fn collect_name(&mut self, scope: Node<'t>, name: &'t str, seen: &mut Seen<'t>) {
        let bindings = self.program.bound_in(scope, name).unwrap_or_default();
        let values = bindings.iter().filter_map(|binding| match binding.what {
            Bound::Value(value) => Some(value),
            _ => None,
        });
        for value in values.collect::<Vec<_>>() {
            self.collect_parts(value, seen);
        }
        let changes = self
            .program
            .changes
            .get(&(scope, name))
            .cloned()
            .unwrap_or_default();
        changes
            .into_iter()
            .for_each(|change| self.collect_change(change, seen));
        let uses = self
            .program
            .uses
            .get(&(scope.file(), name))
            .cloned()
            .unwrap_or_default();
        for one in uses {
            let found = self.program.lookup(one, name);
            let same = found.is_some_and(|(own, _)| own == scope);
            let is_sum = |parent: Node<'_>| parent.kind() == "binary_operator";
            let is_read = one.role() != "left" || one.parent().is_some_and(is_sum);
            if same && is_read && seen.insert(one) {
                self.follow_forward(one, seen);
            }
        }
    }

    pub fn collect_change(&mut self, change: Node<'t>, seen: &mut Seen<'t>) {
        if change.kind() != "call" {
            if let Some(right) = change.field("right") {
                self.collect_parts(right, seen);
            }
            return;
        }
        let Some(last) = change.argument_values().last().copied() else {
            return;
        };
        match change.callee_name() {
            "extend" => self.collect_parts(last, seen),
            "append" | "insert" | "add" if seen.insert(change) => {
                // `append("--x")` and then `append(value)`.
                let next = change.parent().and_then(|statement| {
                    let mut after = statement.parent()?.children();
                    after.find(|other| *other == statement)?;
                    let mut next = after.next()?;
                    // `if value is not True: command.append(value)`
                    if next.kind() == "if_statement" {
                        next = next.field("consequence")?.child(0)?;
                    }
                    let call = next.child(0).filter(|call| call.kind() == "call")?;
                    let same = call.text_of("function") == change.text_of("function");
                    same.then(|| call.argument_values().last().copied())
                        .flatten()
                });
                let both: Vec<_> = std::iter::once(last).chain(next).collect();
                self.note_sequence(&both, seen);
            }
            _ => {}
        }
    }

    /// The parts of the command in an expression.
    pub fn collect_parts(&mut self, node: Node<'t>, seen: &mut Seen<'t>) {
        if !seen.insert(node) || self.steps > self.limit || seen.len() > MOST_PARTS {
            return;
        }
        self.steps += 1;
        let children: Vec<_> = node.children().collect();
        match node.kind() {
            "list" | "tuple" | "set" | "expression_list" => self.note_sequence(&children, seen),
            "parenthesized_expression" | "await" | "list_splat" | "yield" | "boolean_operator" => {
                children
                    .iter()
                    .for_each(|child| self.collect_parts(*child, seen));
            }
            "conditional_expression" => {
                let holds = children
                    .get(1)
                    .and_then(|one| self.static_truth(*one, &Ctx::default()));
                let branches = [children.first(), children.get(2)];
                let branches = match holds {
                    Some(holds) => [branches[usize::from(!holds)], None],
                    None => branches,
                };
                branches
                    .into_iter()
                    .flatten()
                    .for_each(|child| self.collect_parts(*child, seen));
            }
            "binary_operator" => match self.value(node) {
                Val::Str(..) | Val::Pieces(_) => self.note_command_text(node),
                _ => children
                    .iter()
                    .for_each(|child| self.collect_parts(*child, seen)),
            },
            "string" | "concatenated_string" => self.note_command_text(node),
            "identifier" | "attribute" => {
                self.collect_variable(node, seen);
                let value = self.value(node);
                if node.kind() == "attribute" && !self.is_set_by_object(node) {
                    // A constant of the class.
                    self.note_flags_in(
                        node,
                        &value.elements().unwrap_or_default(),
                        &Ctx::default(),
                    );
                }
                let value_only = |bound: &Bound<'_>| matches!(bound, Bound::Value(_));
                if matches!(value, Val::Unknown | Val::Ext(_) | Val::Lost) {
                    self.not_read(node, NOT_FOLLOWED, &[Hides::Flags]);
                } else if let Some((_, bindings)) = self.program.lookup(node, node.text())
                    && !bindings.iter().all(|binding| value_only(&binding.what))
                    && let Some(items) = value.elements()
                {
                    self.note_flags_in(node, &items, &Ctx::default());
                }
            }
            "call" => self.collect_call(node, seen),
            kind if node.is_comprehension() || kind == "pair" => match node.field("body") {
                // `word for … for word in ("--flag", value)`
                Some(body) if let Some(words) = listed(node, body) => {
                    self.collect_parts(words, seen)
                }
                Some(body) if matches!(body.kind(), "tuple" | "list") => {
                    self.collect_parts(body, seen)
                }
                Some(body) => {
                    self.note_sequence(&[body], seen);
                    if matches!(self.value(body), Val::Unknown | Val::Lost) {
                        self.not_read(node, NOT_FOLLOWED, &[Hides::Flags]);
                    }
                }
                None => {}
            },
            _ => {}
        }
    }

    pub fn collect_call(&mut self, node: Node<'t>, seen: &mut Seen<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let args = node.argument_values();
        if let Val::Func(own, ..) = self.value(function) {
            let returned = self.return_values(own);
            for (at, value) in returned.iter().enumerate() {
                match value.kind() {
                    "string" => self.note_sequence(&returned[at..returned.len().min(at + 2)], seen),
                    _ => self.collect_parts(*value, seen),
                }
            }
            return;
        }
        match function.text().rsplit('.').next().unwrap_or_default() {
            "split" if function.text().contains("shlex") => {
                if let Some(arg) = args.first() {
                    self.note_command_text(*arg);
                }
            }
            "split" | "copy" | "strip" if function.kind() == "attribute" => {
                if let Some(object) = function.field("object") {
                    match self.value(object) {
                        Val::Str(..) | Val::Pieces(_) => self.note_command_text(object),
                        value if value.may_be(|one| matches!(one, Val::Env(..))) => {
                            self.note_env_words(&value);
                        }
                        _ => self.collect_parts(object, seen),
                    }
                }
            }
            // The words of what is followed already, put together for a message.
            "join" if args.iter().any(|arg| seen.contains(arg)) => {}
            "join" if matches!(self.value(node), Val::Str(..) | Val::Pieces(_)) => {
                self.note_command_text(node);
            }
            "list" | "tuple" | "chain" | "from_iterable" | "sorted" | "join" | "filter" | "map"
            | "copy" | "deepcopy" | "set" => {
                args.into_iter()
                    .for_each(|arg| self.collect_parts(arg, seen));
            }
            _ => match self.value(node) {
                Val::Env(..) | Val::Str(..) | Val::Pieces(_) => {}
                value => match value.elements() {
                    Some(items) => self.note_flags_in(node, &items, &Ctx::default()),
                    None => self.not_read(node, NOT_FOLLOWED, &[Hides::Flags]),
                },
            },
        }
    }
}
