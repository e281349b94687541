//! How a variable's value is used, and its default.

use std::collections::BTreeSet;

use super::api::normal;
use super::branch_defaults::{is_error, is_given_up};
use super::eval::Reader;
use super::scope::Bound;
use super::syntax::{Node, is_among};
use super::value::{Ctx, Frame, Val};
use crate::COMPUTED;
use crate::EnvRead;

/// The most expressions that a value is followed through.
const MOST_USES: usize = 24;

/// How a value is used.
#[derive(Default)]
pub struct Usage<'t> {
    /// Its defaults, with their nodes.
    pub defaults: Vec<(Val<'t>, Node<'t>)>,
    how: BTreeSet<String>,
    /// Whether the program, or the job, ends where it is unset.
    pub ends: bool,
    /// Whether it is used as plain text somewhere.
    pub plain: bool,
    pub seen: Vec<Node<'t>>,
    /// The context of the mention.
    pub ctx: Ctx<'t>,
}

impl Usage<'_> {
    /// The uses other than as plain text, in words.
    pub fn interpreted(&self) -> Option<String> {
        let mut how = self.how.clone();
        if self.plain || how.len() > 1 {
            how.remove("truthy");
            how.remove("not truthy");
        }
        (!how.is_empty()).then(|| how.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// The numbers that the value is cut to.
    pub fn bounds(&self) -> Option<String> {
        let bound = |how: &String| {
            let (kind, number) = how.split_once(' ')?;
            let number: f64 = number.parse().ok()?;
            Some(match kind {
                "min" => format!("at most {number}"),
                "max" => format!("at least {number}"),
                _ => return None,
            })
        };
        let all: Vec<String> = self.how.iter().filter_map(bound).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    pub fn note_use(&mut self, how: impl Into<String>) {
        self.how.insert(how.into());
    }
}

impl<'t> Reader<'t> {
    /// How the value of a read is used: of `own`, a variable or a key of the job's input.
    pub fn usage(
        &mut self,
        node: Node<'t>,
        own: &Val<'t>,
        required: bool,
        ctx: &Ctx<'t>,
    ) -> Usage<'t> {
        let mut usage = Usage {
            ctx: ctx.clone(),
            ..Usage::default()
        };
        self.follow_uses(node, &mut usage, false);
        // Whether it is there has no default.
        if node.kind() == "comparison_operator" {
            usage.defaults.clear();
        }
        if required {
            self.note_exception_default(node, &mut usage);
        }
        self.note_guard_defaults(node, own, &mut usage);
        self.note_fallback_names(node, own, &mut usage);
        usage
    }

    pub fn default(&mut self, node: Node<'t>, usage: &mut Usage<'t>) {
        let ctx = usage.ctx.clone();
        usage.defaults.push((self.at(node, &ctx), node));
    }

    /// The default that `or`, a condition or an `if` beside a value gives, as text. One that is
    /// computed may be what another kind of job gets, and an empty one is none.
    pub fn default_beside(node: Node<'t>, needed: bool, usage: &Usage<'t>) -> Option<String> {
        // Elsewhere a value that is needed was looked at already.
        let is_beside = |at: &Node<'t>| !needed || at.function() == node.function();
        let mut defaults = usage.defaults.iter().filter(|(_, at)| is_beside(at));
        let empty = ["None", "False", "0", "{}", "[]", ""];
        defaults.find_map(|(value, _)| value.display().filter(|text| !empty.contains(&&**text)))
    }

    /// How the value of an expression is used, followed through names, calls and returns.
    pub fn follow_uses(&mut self, node: Node<'t>, usage: &mut Usage<'t>, any_case: bool) {
        if usage.seen.len() >= MOST_USES || usage.seen.contains(&node) || self.steps > self.limit {
            return;
        }
        usage.seen.push(node);
        self.steps += 1;
        let Some(parent) = node.parent() else { return };
        match parent.kind() {
            "parenthesized_expression" | "await" => self.follow_uses(parent, usage, any_case),
            "boolean_operator" => {
                let is_left = parent.field("left") == Some(node);
                if is_left && parent.text_of("operator") == "and" {
                    if !self.note_branch_defaults(node, usage) {
                        usage.note_use("truthy");
                    }
                    return;
                }
                if let Some(right) = parent.field("right").filter(|_| is_left) {
                    self.default(right, usage);
                }
                self.follow_uses(parent, usage, any_case);
            }
            "conditional_expression" => {
                let branches = [parent.child(0), parent.child(2)];
                if !branches.contains(&Some(node)) {
                    return usage.note_use("truthy");
                }
                // `first if first else value`
                let asked = parent.child(1).map_or("", Node::text);
                let mut others = branches.into_iter().flatten();
                if let Some(other) = others.find(|one| *one != node && one.text() != asked) {
                    self.default(other, usage);
                }
                self.follow_uses(parent, usage, any_case);
            }
            "not_operator" | "if_statement" | "elif_clause"
                if self.note_branch_defaults(node, usage) => {}
            "not_operator" => usage.note_use("not truthy"),
            "assert_statement" if parent.child(0) == Some(node) => {
                usage.ends |= is_given_up(parent, node, usage.seen[0]);
            }
            "if_statement" | "elif_clause" | "while_statement" | "assert_statement"
            | "if_clause" => usage.note_use("truthy"),
            "binary_operator" => match self.arithmetic(node, parent, usage) {
                Some(how) => {
                    usage.note_use(how);
                    self.follow_uses(parent, usage, any_case);
                }
                None => usage.plain = true,
            },
            "comparison_operator" => self.follow_comparison(node, parent, usage, any_case),
            "match_statement" if node.role() == "subject" => {
                self.follow_cases(parent, usage, any_case)
            }
            "attribute" => {
                let Some(call) = parent.parent().filter(|call| call.kind() == "call") else {
                    return;
                };
                match parent.text_of("attribute") {
                    "lower" | "upper" | "casefold" => self.follow_uses(call, usage, true),
                    "strip" | "rstrip" | "lstrip" => self.follow_uses(call, usage, any_case),
                    method => {
                        usage.note_use(normal(&format!("{method}{}", call.text_of("arguments"))));
                        self.follow_conversion(call, usage);
                    }
                }
            }
            "argument_list" | "keyword_argument" => self.passed(node, parent, usage, any_case),
            "subscript" if node.role() == "subscript" => {
                self.follow_lookup(parent.field("value"), usage, any_case);
            }
            "assignment" | "named_expression" => {
                let target = parent.field("left").or(parent.field("name"));
                match target.filter(|target| target.kind() == "identifier" && *target != node) {
                    Some(target) => self.follow_variable(target, usage, any_case),
                    None => usage.plain = true,
                }
                if parent.kind() == "named_expression" {
                    self.follow_uses(parent, usage, any_case);
                }
            }
            "return_statement" | "lambda" | "yield" => self.follow_return(parent, usage, any_case),
            "expression_statement" => {}
            _ => usage.plain = true,
        }
    }

    /// What is made of a value may have a default beside it.
    pub fn follow_conversion(&mut self, call: Node<'t>, usage: &mut Usage<'t>) {
        let parent = call.parent().map_or("", Node::kind);
        if matches!(parent, "conditional_expression" | "boolean_operator") {
            self.follow_uses(call, usage, false);
        }
    }

    /// What the caller does with a result.
    fn follow_return(&mut self, parent: Node<'t>, usage: &mut Usage<'t>, any_case: bool) {
        let function = match parent.kind() {
            "lambda" => Some(parent),
            _ => parent.function(),
        };
        match function.and_then(|function| self.call_of(function, &usage.ctx)) {
            Some(call) => {
                let around = usage.ctx.around(call);
                let ctx = std::mem::replace(&mut usage.ctx, around);
                self.follow_uses(call, usage, any_case);
                usage.ctx = ctx;
            }
            None => usage.plain = true,
        }
    }

    /// The words of a `match`, and the default that `case None:` gives.
    fn follow_cases(&mut self, holder: Node<'t>, usage: &mut Usage<'t>, any_case: bool) {
        let all = holder.subtree().filter(|one| one.kind() == "case_pattern");
        let words: Vec<_> = all.map(|one| normal(one.text())).collect();
        // A name takes any value.
        let is_word = |text: &String| {
            let is_name = text.chars().all(|c| c.is_alphanumeric() || c == '_');
            text != "None" && (!is_name || text == "_")
        };
        match words.iter().any(is_word) {
            true => usage.note_use(format!("in {}{}", words.join(" "), case(any_case))),
            false => usage.plain = true,
        }
        let is_none = |clause: &Node<'t>| {
            let mut patterns = clause.children().filter(|c| c.kind() == "case_pattern");
            clause.kind() == "case_clause"
                && patterns.any(|one| one.text().split(" | ").any(|text| text == "None"))
        };
        for inside in holder.subtree().filter(is_none).flat_map(Node::subtree) {
            match inside.kind() {
                "assignment" => inside.field("right"),
                "return_statement" => inside.child(0),
                _ => None,
            }
            .into_iter()
            .for_each(|value| self.default(value, usage));
        }
    }

    /// The call of a function in a context, or its only call.
    fn call_of(&self, function: Node<'t>, ctx: &Ctx<'t>) -> Option<Node<'t>> {
        if let Some(Frame::Call(_, call)) = ctx.frame(function) {
            return *call;
        }
        match self.sites.get(&function)?.as_slice() {
            [super::calls::Site::Call(call)] => Some(*call),
            _ => None,
        }
    }

    fn follow_comparison(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        usage: &mut Usage<'t>,
        any_case: bool,
    ) {
        let Some(other) = parent.children().find(|child| *child != node) else {
            return;
        };
        let operators: Vec<_> = parent.fields("operators").map(Node::text).collect();
        let operator = operators.join(" ");
        if parent.child(0) != Some(node) && operator.contains("in") {
            usage.plain = true;
            return;
        }
        let value = self.at(other, &usage.ctx.clone());
        if matches!(value, Val::None) || value.as_str().is_some_and(str::is_empty) {
            self.note_branch_defaults(node, usage);
            return;
        }
        let shown = match value.elements() {
            Some(items) if operator.ends_with("in") => {
                let words: Option<Vec<_>> = items.iter().map(Val::display).collect();
                words.map(|mut words| {
                    words.sort();
                    format!("[{}]", words.join(","))
                })
            }
            _ => value.display(),
        };
        // A comparison with an unknown value says nothing about how the value is taken.
        match shown {
            Some(shown) => usage.note_use(format!("{operator} {shown}{}", case(any_case))),
            None => usage.plain = true,
        }
    }

    /// The keys of a dict that a value is looked up in.
    pub fn follow_lookup(
        &mut self,
        table: Option<Node<'t>>,
        usage: &mut Usage<'t>,
        any_case: bool,
    ) {
        let ctx = usage.ctx.clone();
        let Some(Val::Dict(items)) = table.map(|table| self.at(table, &ctx)) else {
            usage.plain = true;
            return;
        };
        let words: Option<Vec<String>> = items.iter().map(|(key, _)| key.display()).collect();
        match words {
            Some(mut words) => {
                words.sort();
                usage.note_use(format!("in [{}]{}", words.join(","), case(any_case)));
            }
            None => usage.plain = true,
        }
    }

    /// Arithmetic with a constant: `* 60`.
    fn arithmetic(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        usage: &Usage<'t>,
    ) -> Option<String> {
        let other = parent.children().find(|child| *child != node)?;
        let number = Some(self.at(other, &usage.ctx));
        let number = number
            .filter(|one| matches!(one, Val::Int(_) | Val::Float(_)))?
            .display()?;
        let operator = parent.text_of("operator");
        let turned = parent.field("right") == Some(node) && !matches!(operator, "+" | "*");
        Some(match turned {
            true => format!("{number} {operator}"),
            false => format!("{operator} {number}"),
        })
    }

    /// Follows the uses of a variable.
    fn follow_variable(&mut self, target: Node<'t>, usage: &mut Usage<'t>, any_case: bool) {
        let all = self.program.uses_of(target.scope(), target.text());
        self.steps += all.len();
        for one in all {
            let parent = one.parent();
            let sets = parent.is_some_and(|p| p.kind() == "assignment" && one.role() == "left");
            let may_be = one.range().start > target.range().start && !sets;
            // `if name == "LIST": value.split(",")` is for that variable alone.
            if may_be && self.may_run(one, &usage.ctx.clone()) {
                self.follow_uses(one, usage, any_case);
            }
        }
    }

    /// The default that `except KeyError` gives.
    fn note_exception_default(&mut self, node: Node<'t>, usage: &mut Usage<'t>) {
        let mut inner = node;
        let target = node
            .ancestor("assignment")
            .map_or("", |a| a.text_of("left"));
        for above in node.local_ancestors() {
            let body = above.kind() == "try_statement" && inner.role() == "body";
            for clause in above
                .children()
                .filter(|c| body && c.kind() == "except_clause")
            {
                let is = |kind| move |node: &Node<'t>| node.kind() == kind;
                let sets = clause.subtree().filter(is("assignment"));
                let mut sets = sets.filter(|n| n.text_of("left") == target && !target.is_empty());
                let mut returns = clause.subtree().filter(is("return_statement"));
                let value = sets.next().and_then(|n| n.field("right"));
                // A dict that tells of an error is no value.
                let returned = || returns.next()?.child(0);
                if value.is_none() && clause.subtree().any(is_error) {
                    continue;
                }
                match value.or_else(returned) {
                    Some(value) => self.default(value, usage),
                    None if clause.subtree().any(|n| n.kind() == "raise_statement") => {}
                    None => usage.defaults.push((Val::None, clause)),
                }
            }
            inner = above;
        }
    }

    /// Whether a condition around a read tests for the same variable.
    pub fn is_guarded(node: Node<'t>, name: &str) -> bool {
        let first = || node.argument_values().first().copied();
        let key = node.field("subscript").or_else(first);
        let key = key.map_or(name, Node::text);
        node.local_ancestors().any(|above| {
            let within = above.is_comprehension();
            let clause = || above.children().find(|c| within && c.kind() == "if_clause");
            let condition = match above.kind() {
                "conditional_expression" => above.child(1),
                "boolean_operator" => above.field("left"),
                _ => above.field("condition").or_else(clause),
            };
            condition.is_some_and(|condition| {
                let text = condition.text();
                !condition.range().contains(&node.range().start)
                    && (text.contains(name) || text.contains(key))
            })
        })
    }

    /// The value that the program sets a variable to before this read.
    pub fn value_set_before(&self, name: &str, read: Node<'t>) -> Option<String> {
        let mut before = self.written.iter().filter(|(own, node, _)| {
            let mut above = node
                .ancestors()
                .take_while(|a| !matches!(a.kind(), "module" | "function_definition"));
            const UNCONDITIONAL: &str = "assignment expression_statement block for_statement \
                delete_statement";
            let always = above.all(|a| is_among(UNCONDITIONAL, a.kind()))
                && super::flags::conditions(*node).is_empty();
            let scope = node.scope();
            **own == *name
                && node.file() == read.file()
                && always
                && node.range().start < read.range().start
                && (scope.kind() == "module" || scope == read.scope())
        });
        let (_, _, value) = before.next()?;
        Some(normal(value).trim_matches('"').to_owned())
    }

    /// Adds a default to a read: other variables, or a text.
    pub fn add_default(
        &self,
        value: &Val<'t>,
        at: Node<'t>,
        read: &mut EnvRead,
        found: &mut Vec<String>,
    ) {
        match value {
            Val::Env(name, under) => {
                if !read.fallbacks.iter().any(|own| **own == **name) {
                    read.fallbacks.push(name.to_string());
                }
                self.add_default(under, at, read, found);
            }
            Val::Any(all) => {
                let mut texts = Vec::new();
                for one in all.iter() {
                    self.add_default(one, at, read, &mut texts);
                }
                if !texts.is_empty() {
                    found.push(texts.join(" | "));
                }
            }
            Val::None => {}
            Val::Str(text, _) if text.is_empty() => {}
            value => found.push(value.display().unwrap_or_else(|| self.fingerprinted(at))),
        }
    }

    /// The value of an expression as text.
    pub fn display_or_source(&mut self, node: Node<'t>) -> String {
        let value = self.value(node);
        value.display().unwrap_or_else(|| self.fingerprinted(node))
    }

    /// The source text of a computed default, with a hash of what it depends on: functions and
    /// values of the program, and data files.
    pub fn fingerprinted(&self, at: Node<'t>) -> String {
        const MOST: usize = 40;
        let mut todo = vec![at];
        let mut from: Vec<Node<'t>> = Vec::new();
        while let Some(node) = todo.pop() {
            let names = node
                .subtree()
                .filter(|n| n.kind() == "identifier" && n.role() != "attribute");
            let bound = names.flat_map(|name| self.bound_nodes(name));
            let bound = bound.flat_map(|bound| self.relevant_parts(bound, at));
            for bound in bound.collect::<Vec<_>>() {
                if from.len() < MOST && bound != at && !from.contains(&bound) {
                    from.push(bound);
                    todo.push(bound);
                }
            }
        }
        let text = normal(at.text());
        if from.is_empty() {
            return text;
        }
        let own = &self.program.files[at.file()].source.text;
        let named = |path: &String| own.contains(path.rsplit('/').next().unwrap_or(path));
        let data = self.data.iter().filter(|(path, _)| named(path));
        let data = data.map(|(_, source)| source.text.clone());
        let all = from.iter().map(|node| normal(node.text())).chain(data);
        // FNV-1a, which is the same in every version of this tool.
        let all = all.collect::<Vec<_>>().join("\n");
        let mark = all.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        format!("{text}{COMPUTED}{:04x})", mark & 0xffff)
    }

    /// Of a class only what sets the attributes that an expression mentions, where that is known.
    fn relevant_parts(&self, bound: Node<'t>, at: Node<'t>) -> Vec<Node<'t>> {
        let attributes = at.subtree().filter(|node| node.kind() == "attribute");
        let names = attributes.map(|node| node.text_of("attribute"));
        let sets = names.flat_map(|name| self.program.attribute(&[bound], name).0);
        let sets: Vec<Node<'t>> = sets.map(|(value, _)| value).collect();
        if bound.kind() == "class_definition" && !sets.is_empty() {
            return sets;
        }
        vec![bound]
    }

    /// The expressions and functions that a name is bound to.
    fn bound_nodes(&self, name: Node<'t>) -> Vec<Node<'t>> {
        let Some((scope, name)) = self.program.variable(name) else {
            return Vec::new();
        };
        let bindings = self.program.bound_in(scope, name).unwrap_or_default();
        bindings
            .iter()
            .filter_map(|one| node_of(&one.what))
            .collect()
    }

    /// What a name or an attribute is set to.
    pub fn definitions_of(&mut self, name: Node<'t>) -> Vec<Node<'t>> {
        if name.kind() == "identifier" && name.role() != "attribute" {
            return self.bound_nodes(name);
        }
        let owners = match name.field("object").map(|own| self.value(own)) {
            Some(Val::Module(file)) => vec![self.program.files[file].syntax.root()],
            Some(Val::Class(class) | Val::Object(class, _)) => self.family(class),
            _ => return Vec::new(),
        };
        let name = name.text_of("attribute");
        let (sets, _) = self.program.attribute(&owners, name);
        let own = owners
            .iter()
            .filter_map(|own| self.program.bound_in(*own, name));
        let own = own.flatten().filter_map(|one| node_of(&one.what));
        sets.into_iter()
            .map(|(value, _)| value)
            .chain(own)
            .collect()
    }
}

fn node_of<'t>(what: &Bound<'t>) -> Option<Node<'t>> {
    match what {
        Bound::Value(node) | Bound::Function(node) | Bound::Class(node) => Some(*node),
        Bound::Element(owner) => owner.field("right"),
        _ => None,
    }
}

fn case(any: bool) -> &'static str {
    if any { " any case" } else { "" }
}
