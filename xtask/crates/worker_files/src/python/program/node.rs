//! A node of a syntax tree: its text, its parts, and what is around it.

use std::ops::Range;

use super::syntax::{Data, NONE, Syntax};

pub use crate::is_one_of as is_among;

/// A node of a file's syntax.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    pub syntax: &'t Syntax<'t>,
    pub at: u32,
}

impl<'t> Node<'t> {
    fn data(self) -> &'t Data {
        &self.syntax.nodes[self.at as usize]
    }

    pub fn file(self) -> usize {
        self.syntax.file as usize
    }

    /// Its number in the file.
    pub fn number(self) -> usize {
        self.at as usize
    }

    /// Its kind in the grammar: `if_statement`.
    pub fn kind(self) -> &'static str {
        self.data().kind
    }

    pub fn is(self, kind: &str) -> bool {
        self.kind() == kind
    }

    /// Whether its kind is one of a list of words.
    pub fn is_any(self, kinds: &str) -> bool {
        is_among(kinds, self.kind())
    }

    pub fn text(self) -> &'t str {
        self.syntax.text.get(self.range()).unwrap_or_default()
    }

    pub fn range(self) -> Range<usize> {
        self.data().start as usize..self.data().end as usize
    }

    pub fn parent(self) -> Option<Node<'t>> {
        let at = self.data().parent;
        (self.at != NONE).then_some(Node { at, ..self })
    }

    /// The parent, where it is of one of these kinds.
    pub fn parent_of(self, kinds: &str) -> Option<Node<'t>> {
        self.parent().filter(|parent| parent.is_any(kinds))
    }

    /// The scope that its names are looked up in: the file, for what is in none.
    pub fn scope(self) -> Node<'t> {
        let at = self.data().scope;
        Node { at, ..self }
    }

    /// Its ancestors, from the inside out.
    pub fn ancestors(self) -> impl Iterator<Item = Node<'t>> {
        std::iter::successors(self.parent(), |node| node.parent())
    }

    /// Its ancestors within its function, from the inside out.
    pub fn local_ancestors(self) -> impl Iterator<Item = Node<'t>> {
        let all = self.ancestors();
        all.take_while(|above| above.kind() != "function_definition")
    }

    /// The name of its field in the parent.
    pub fn role(self) -> &'static str {
        self.data().part
    }

    fn all(self) -> impl Iterator<Item = Node<'t>> {
        let node = move |at: u32| (at != NONE).then_some(Node { at, ..self });
        std::iter::successors(node(self.data().first_child), move |child| {
            node(child.data().next)
        })
    }

    /// The named children, comments left out.
    pub fn children(self) -> impl Iterator<Item = Node<'t>> {
        self.all().filter(|child| child.data().is_named)
    }

    pub fn child(self, index: usize) -> Option<Node<'t>> {
        self.children().nth(index)
    }

    /// The named children of a kind.
    pub fn children_of(self, kind: &'static str) -> impl Iterator<Item = Node<'t>> {
        self.children().filter(move |child| child.is(kind))
    }

    /// The named children of the child in a field.
    pub fn field_children(self, part: &'static str) -> impl Iterator<Item = Node<'t>> {
        self.field(part).into_iter().flat_map(Node::children)
    }

    /// The child in a field.
    pub fn field(self, part: &'static str) -> Option<Node<'t>> {
        // Statements are many, and in no field but that of `case`.
        match self.kind() {
            "module" => None,
            "block" if part != "alternative" => None,
            _ => self.sibling(self.data().first_child, part),
        }
    }

    /// The first child in a field, from one on.
    fn sibling(self, mut at: u32, part: &str) -> Option<Node<'t>> {
        while at != NONE {
            let child = &self.syntax.nodes[at as usize];
            if child.part == part {
                return Some(Node { at, ..self });
            }
            at = child.next;
        }
        None
    }

    /// The children in a field.
    pub fn fields(self, part: &'static str) -> impl Iterator<Item = Node<'t>> {
        let next = move |child: &Node<'t>| self.sibling(child.data().next, part);
        std::iter::successors(self.field(part), next)
    }

    /// The text of the child in a field, empty where there is none.
    pub fn text_of(self, part: &'static str) -> &'t str {
        self.field(part).map_or("", Node::text)
    }

    /// Whether it is a comprehension or a generator expression.
    pub fn is_comprehension(self) -> bool {
        self.kind().ends_with("_comprehension") || self.is("generator_expression")
    }

    /// The targets of an unpacking, or the node alone.
    pub fn fields_or_self(self) -> impl Iterator<Item = Node<'t>> {
        let several = matches!(self.kind(), "pattern_list" | "tuple_pattern");
        let parts = self.children().filter(move |_| several);
        parts.chain(Some(self).filter(|_| !several))
    }

    /// The nearest ancestor of a kind.
    pub fn ancestor(self, kind: &str) -> Option<Node<'t>> {
        self.ancestors().find(|node| node.kind() == kind)
    }

    /// The function or lambda around it.
    pub fn function(self) -> Option<Node<'t>> {
        let mut all = self.ancestors();
        all.find(|node| matches!(node.kind(), "function_definition" | "lambda"))
    }

    /// The class that a function is a method of.
    pub fn class(self) -> Option<Node<'t>> {
        Some(self.scope()).filter(|scope| scope.is("class_definition"))
    }

    /// Each ancestor within the function, from the inside out, with the child through which it is
    /// reached.
    pub fn steps_up(self) -> impl Iterator<Item = (Node<'t>, Node<'t>)> {
        let mut child = self;
        let ancestors = self.local_ancestors();
        ancestors.map(move |above| (std::mem::replace(&mut child, above), above))
    }

    /// Whether a use of a variable has no effect: it declares or sets it, logs it, or only decides
    /// on that, or that the function ends there.
    pub fn is_idle(self) -> bool {
        let ends = |block: Node<'t>| {
            let last = block.children().last();
            last.is_some_and(|last| last.is_any("return_statement raise_statement"))
        };
        for (child, above) in self.steps_up() {
            let is_idle = match above.kind() {
                // The default of a parameter goes to callers that leave it out.
                kind if kind.ends_with("default_parameter") && child.role() == "value" => {
                    return false;
                }
                "parameters" => true,
                "keyword_argument" => child.role() == "name",
                "assignment" => above.text_of("left") == self.text(),
                "call" => above.logs(),
                "if_statement" if child.role() == "condition" => {
                    let then = above.field("consequence");
                    let sets = |one: Node<'t>| one.text_of("left") == self.text() || one.logs();
                    let only_sets = |block: Node<'t>| {
                        let mut all = block.children();
                        all.all(|one| one.child(0).is_some_and(sets))
                    };
                    then.is_some_and(|then| ends(then) || only_sets(then))
                }
                _ => false,
            };
            if is_idle {
                return true;
            }
        }
        false
    }

    /// Whether a call prints or logs its arguments.
    pub fn logs(self) -> bool {
        const LOGS: &str = "print debug info warning error exception critical log";
        self.is("call") && is_among(LOGS, self.callee_name())
    }

    /// Whether a call only reports its arguments: it logs them, or makes an error of them.
    pub fn is_message(self) -> bool {
        self.logs() || self.parent().map_or("", Self::kind) == "raise_statement"
    }

    /// The last name of a dotted name: `b` of `a.b`.
    pub fn last_name(self) -> &'t str {
        match self.kind() {
            "attribute" => self.text_of("attribute"),
            "identifier" => self.text(),
            _ => "",
        }
    }

    /// The last name of what a call calls.
    pub fn callee_name(self) -> &'t str {
        self.field("function").map_or("", Node::last_name)
    }

    /// The object of the method that a call calls: `a` of `a.b()`.
    pub fn callee_object(self) -> Option<Node<'t>> {
        self.field("function")?.field("object")
    }

    /// A call's arguments: positional, keyword and starred.
    pub fn arguments(self) -> impl Iterator<Item = Node<'t>> {
        let list = self.field("arguments");
        let alone = list.filter(|list| list.is_comprehension());
        let list = list.filter(|list| list.is("argument_list"));
        let all = list.into_iter().flat_map(Node::children);
        all.chain(alone)
    }

    /// The values of a call's arguments, in their order.
    pub fn argument_values(self) -> Vec<Node<'t>> {
        let value = |argument: Node<'t>| match argument.kind() {
            "keyword_argument" => argument.field("value"),
            "list_splat" | "dictionary_splat" => argument.child(0),
            _ => Some(argument),
        };
        self.arguments().filter_map(value).collect()
    }

    /// The value of the argument at this place, by position or not.
    pub fn argument(self, index: usize) -> Option<Node<'t>> {
        self.argument_values().get(index).copied()
    }

    /// The call that an argument, or the list that holds it, belongs to.
    pub fn call_of_arguments(self) -> Option<Node<'t>> {
        match self.kind() {
            "keyword_argument" => self.ancestor("call"),
            _ => self.parent(),
        }
    }

    /// The name of the call that takes a comprehension, or another value, first.
    pub fn call_of_list(self) -> Option<&'t str> {
        let list = self.parent_of("argument_list");
        let call = self.parent_of("call").or_else(|| list?.parent())?;
        Some(call.callee_name())
    }

    /// The name of a function's parameter that takes any number of arguments.
    pub fn starred(self) -> Option<&'t str> {
        self.parameters()
            .find_map(|(name, _, stars)| (stars == 1).then_some(name))
    }

    /// The key and the container of `key in container` and `key not in container`.
    pub fn membership(self) -> Option<(Node<'t>, Node<'t>)> {
        let is_test = self.text_of("operators").ends_with("in");
        self.child(0).zip(self.child(1)).filter(|_| is_test)
    }

    /// The content of a string that has any.
    pub fn string_content(self) -> Option<Node<'t>> {
        self.children_of("string_content").next()
    }

    /// The text of a string without interpolations.
    pub fn content(self) -> &'t str {
        self.string_content().map_or("", Node::text)
    }

    /// An expression without its parentheses.
    pub fn without_parentheses(self) -> Node<'t> {
        match self.kind() {
            "parenthesized_expression" => self.child(0).map_or(self, Node::without_parentheses),
            _ => self,
        }
    }

    /// An expression with the parentheses around it.
    pub fn with_parentheses(self) -> Node<'t> {
        let outer = self.parent_of("parenthesized_expression");
        outer.map_or(self, Node::with_parentheses)
    }

    /// What `and` joins, or the expression alone.
    pub fn terms(self) -> Vec<Node<'t>> {
        let plain = self.without_parentheses();
        if !plain.is("boolean_operator") || plain.text_of("operator") != "and" {
            return vec![plain];
        }
        let sides = [plain.field("left"), plain.field("right")];
        sides.into_iter().flatten().flat_map(Node::terms).collect()
    }

    pub fn contains(self, other: Node<'_>) -> bool {
        self.range().contains(&other.range().start)
    }

    /// The operators of a comparison: `==`, `not in`.
    pub fn operators(self) -> String {
        let all: Vec<_> = self.fields("operators").map(Node::text).collect();
        all.join(" ")
    }

    /// The condition of an `if`, an `elif`, a `while` or a conditional expression.
    pub fn condition(self) -> Option<Node<'t>> {
        match self.kind() {
            "conditional_expression" => self.child(1),
            _ => self.field("condition"),
        }
    }

    /// The expression in a pattern of a `match`.
    pub fn pattern_value(self) -> Node<'t> {
        self.child(0)
            .filter(|_| self.is("case_pattern"))
            .unwrap_or(self)
    }

    /// What `container[key]` or `get(key)` looks up.
    pub fn key_of_read(self) -> Option<Node<'t>> {
        self.field("subscript").or_else(|| self.argument(0))
    }

    /// The value of a keyword argument.
    pub fn keyword(self, name: &str) -> Option<Node<'t>> {
        let mut named = self.arguments().filter(|one| one.is("keyword_argument"));
        named
            .find(|one| one.text_of("name") == name)?
            .field("value")
    }

    /// A function's parameters: name, default, and the stars in front of it.
    pub fn parameters(self) -> impl Iterator<Item = (&'t str, Option<Node<'t>>, usize)> {
        let all = self.field_children("parameters");
        all.filter_map(|parameter| match parameter.kind() {
            "identifier" => Some((parameter.text(), None, 0)),
            "default_parameter" | "typed_default_parameter" => {
                Some((parameter.text_of("name"), parameter.field("value"), 0))
            }
            "typed_parameter" | "list_splat_pattern" | "dictionary_splat_pattern" => {
                let text = parameter.text().split(':').next()?.trim();
                let name = text.trim_start_matches('*');
                Some((name, None, text.len() - name.len()))
            }
            _ => None,
        })
    }

    /// The decorators of a function or class, the outermost first.
    pub fn decorators(self) -> impl Iterator<Item = Node<'t>> {
        let around = self.parent_of("decorated_definition").into_iter();
        let all = around.flat_map(|around| around.children_of("decorator"));
        all.filter_map(|decorator| decorator.child(0))
    }

    /// Whether a decorator of that name is among them.
    pub fn is_decorated(self, name: &str) -> bool {
        self.decorators().any(|one| one.last_name() == name)
    }

    /// What an import names, each with its alias.
    pub fn imports(self) -> impl Iterator<Item = (&'t str, Option<&'t str>)> {
        self.fields("name").map(|name| {
            let imported = name.field("name").unwrap_or(name);
            (imported.text(), name.field("alias").map(Node::text))
        })
    }

    /// The text of a string between its quotes, with its escapes.
    pub fn unquoted(self) -> &'t str {
        let is_prefix = |c: char| c.is_ascii_alphabetic();
        let quoted = self.text().trim_start_matches(is_prefix);
        quoted.trim_matches(['"', '\''])
    }

    /// What a text consists of that only fills in one value as it is: `f"{value}"`.
    pub fn only_part(self) -> Option<Node<'t>> {
        const MARKS: &str = "string_start string_end";
        let mut parts = self.children().filter(|part| !part.is_any(MARKS));
        let inner = parts
            .next()
            .filter(|part| self.is("string") && part.is("interpolation"))?;
        (parts.next().is_none() && inner.child(1).is_none()).then(|| inner.child(0))?
    }

    /// The node and everything below it, in the order of the text.
    pub fn subtree(self) -> impl Iterator<Item = Node<'t>> {
        let end = self.data().end;
        let all = self.number()..self.syntax.nodes.len();
        all.map(move |at| self.syntax.node(at))
            .take_while(move |node| node.at == self.at || node.data().start < end)
    }

    /// The nodes of a kind among it and everything below it.
    pub fn subtree_of(self, kind: &'static str) -> impl Iterator<Item = Node<'t>> {
        self.subtree().filter(move |node| node.is(kind))
    }
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.syntax.file, self.at) == (other.syntax.file, other.at)
    }
}

impl Eq for Node<'_> {}

impl std::hash::Hash for Node<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.syntax.file, self.at).hash(state);
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.kind(), self.text())
    }
}

/// The last part of a dotted name: `c` of `a.b.c`.
pub fn last_part(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
