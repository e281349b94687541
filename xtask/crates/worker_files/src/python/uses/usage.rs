//! How the value of a variable, or of a key of the job's input, is used, and what its default is.
//!
//! [`Reader::usage`] follows the value forward from its read: through operators, names, calls and
//! returns. On its way it notes tests, conversions and limits ([`Usage::interpreted`]), and the
//! defaults that stand beside the value. Defaults of `if` branches are found in `branch_defaults`.

use super::comparisons::{chosen_by, picks_first};
use std::collections::BTreeSet;

use super::branch_defaults::is_given_up;
use super::limits::DECODERS;
use crate::python::evaluation::calls::Site;
use crate::python::evaluation::contexts::{Ctx, Frame};
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::{Node, is_among, last_part};

/// The most expressions that a value is followed through.
const MOST_USES: usize = 24;

/// How a value is used.
#[derive(Default)]
pub struct Usage<'t> {
    /// Its defaults, with their nodes.
    pub defaults: Vec<(Val<'t>, Node<'t>)>,
    pub how: BTreeSet<String>,
    /// Comparisons with numbers by which the job fails: `not it > 8`.
    pub refused: BTreeSet<String>,
    /// Whether the program, or the job, ends where it is unset.
    pub ends: bool,
    /// Whether the program catches that it is missing, and goes on.
    pub caught: bool,
    /// Whether it is used as plain text somewhere.
    pub plain: bool,
    /// Whether a variable of a module or a class holds it.
    shared: bool,
    pub seen: Vec<Node<'t>>,
    /// The context of the mention.
    pub ctx: Ctx<'t>,
    /// Whether its written default is text that becomes no number.
    pub no_number: bool,
    /// The method by which the value that is followed now was made lower or upper case.
    case: Option<&'t str>,
    /// What its words stand for in a table that they are looked up in: `small: 2048`.
    pub gives: BTreeSet<String>,
}

impl Usage<'_> {
    /// The uses other than as plain text, in words.
    pub fn interpreted(&self) -> Option<String> {
        let mut how = self.how.clone();
        // A part of a variable's value is mostly what stands between quotes.
        how.retain(|one| !one.starts_with('['));
        if self.plain || how.len() > 1 {
            how.remove("truthy");
            how.remove("not truthy");
        }
        (!how.is_empty()).then(|| how.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Whether other code may get the value.
    pub fn is_handed_on(&self) -> bool {
        self.plain || self.shared
    }

    pub fn note_use(&mut self, how: impl Into<String>) {
        self.how.insert(how.into());
    }

    /// Notes a use as plain text, in the case that it was made.
    fn note_plain(&mut self) {
        self.plain = true;
        if let Some(case) = self.case {
            self.note_use(format!("{case}()"));
        }
    }

    /// Notes a comparison with words. One with unknown words says nothing of how it is used.
    pub fn note_words(&mut self, how: Option<String>) {
        match how {
            Some(how) if self.case.is_some() => self.note_use(format!("{how} any case")),
            Some(how) => self.note_use(how),
            None => self.plain = true,
        }
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
        let written = node.keyword("default").or_else(|| node.argument(1));
        let written = written.map(|written| self.at(written, ctx));
        let text = written.as_ref().and_then(Val::as_str);
        usage.no_number = text.is_some_and(|text| text.trim().parse::<f64>().is_err());
        self.follow_uses(node, &mut usage);
        self.follow_tested(node, own, &mut usage);
        // `"A" in os.environ` has no default.
        if node.is("comparison_operator") {
            usage.defaults.clear();
        }
        if required {
            self.note_exception_default(node, required, &mut usage);
        }
        self.note_guard_defaults(node, own, &mut usage);
        self.note_fallback_names(node, own, &mut usage);
        usage
    }

    /// Follows the value of an expression through names, calls and returns.
    pub fn follow_uses(&mut self, node: Node<'t>, usage: &mut Usage<'t>) {
        if usage.seen.len() >= MOST_USES || usage.seen.contains(&node) || self.steps > self.limit {
            return;
        }
        usage.seen.push(node);
        self.steps += 1;
        let Some(parent) = node.parent() else { return };
        match parent.kind() {
            "parenthesized_expression" | "await" => self.follow_uses(parent, usage),
            "boolean_operator" => self.follow_boolean(node, parent, usage),
            "conditional_expression" => {
                let branches = [parent.child(0), parent.child(2)];
                if !branches.contains(&Some(node)) {
                    return self.note_truth(node, usage);
                }
                self.note_other_value(node, parent, usage);
                self.follow_uses(parent, usage);
            }
            "not_operator" | "if_statement" | "elif_clause"
                if self.note_branch_defaults(node, usage) => {}
            "not_operator" => self.note_truth(node, usage),
            "assert_statement" if parent.child(0) == Some(node) => {
                usage.ends |= is_given_up(parent, node, usage.seen[0]);
            }
            "if_statement" | "elif_clause" | "while_statement" | "assert_statement"
            | "if_clause" => self.note_truth(node, usage),
            "binary_operator" => match self.arithmetic(node, parent, &usage.ctx) {
                Some(how) => {
                    usage.note_use(how);
                    self.follow_uses(parent, usage);
                }
                None => usage.note_plain(),
            },
            "comparison_operator" => self.follow_comparison(node, parent, usage),
            "match_statement" if node.role() == "subject" => self.follow_cases(parent, usage),
            "attribute" => self.follow_method(node, parent, usage),
            "argument_list" | "keyword_argument" => self.follow_argument(node, parent, usage),
            "interpolation" if parent.parent().and_then(Node::only_part) == Some(node) => {
                if let Some(text) = parent.parent() {
                    self.follow_uses(text, usage);
                }
            }
            "subscript" if node.role() == "subscript" => {
                self.follow_lookup(parent.field("value"), usage);
            }
            // `prompt[:4000]`, but not a few letters for a log.
            "subscript"
                if parent
                    .field("subscript")
                    .is_some_and(|part| part.is("slice")) =>
            {
                if !is_shown(parent) {
                    let part = parent
                        .field("subscript")
                        .map(|part| self.fingerprinted(part));
                    let part = part.unwrap_or_default().replace(": ", ":");
                    let part = part
                        .strip_prefix("0:")
                        .map_or(part.clone(), |end| format!(":{end}"));
                    usage.note_use(format!("[{part}]"));
                    self.follow_uses(parent, usage);
                }
            }
            "assignment" | "named_expression" => {
                let target = parent.field("left").or(parent.field("name"));
                match target.filter(|target| target.is("identifier") && *target != node) {
                    Some(target) => {
                        usage.shared |= target.scope().is_any("module class_definition");
                        self.follow_variable(target, usage);
                    }
                    None => usage.note_plain(),
                }
                if parent.is("named_expression") {
                    self.follow_uses(parent, usage);
                }
            }
            "return_statement" | "lambda" | "yield" => self.follow_return(parent, usage),
            "expression_statement" => {}
            _ => usage.note_plain(),
        }
    }

    /// `value or default`, `value and other`.
    fn follow_boolean(&mut self, node: Node<'t>, parent: Node<'t>, usage: &mut Usage<'t>) {
        let is_left = parent.field("left") == Some(node);
        if is_left && parent.text_of("operator") == "and" {
            if !self.note_branch_defaults(node, usage) {
                self.note_truth(node, usage);
            }
            return;
        }
        if let Some(right) = parent.field("right").filter(|_| is_left) {
            match self.never_returns(right) {
                true => usage.ends |= is_given_up(parent, node, usage.seen[0]),
                false => self.default(right, usage),
            }
        }
        self.follow_uses(parent, usage);
    }

    /// A method of the value: `value.lower()`, `value.split(",")`.
    fn follow_method(&mut self, node: Node<'t>, parent: Node<'t>, usage: &mut Usage<'t>) {
        let Some(call) = parent.parent_of("call") else {
            return;
        };
        match parent.text_of("attribute") {
            case @ ("lower" | "upper" | "casefold") => {
                self.follow_with_case(call, usage, Some(case));
            }
            "strip" | "rstrip" | "lstrip" => self.follow_uses(call, usage),
            method => {
                let how = normal(&format!("{method}{}", call.text_of("arguments")));
                self.note_replacement(node, call, &how, usage);
                usage.note_use(how);
                self.follow_conversion(call, usage);
            }
        }
    }

    /// Notes that only its truth counts. That of `name in os.environ` is what the operator says.
    fn note_truth(&mut self, node: Node<'t>, usage: &mut Usage<'t>) {
        let is_absence = node.operators() == "not in";
        usage.note_use(match self.is_inverted(node, &usage.ctx) == is_absence {
            true => "truthy",
            false => "not truthy",
        });
    }

    fn follow_with_case(&mut self, node: Node<'t>, usage: &mut Usage<'t>, case: Option<&'t str>) {
        let before = std::mem::replace(&mut usage.case, case);
        self.follow_uses(node, usage);
        usage.case = before;
    }

    /// `os.getenv("A").split() or "b"`: the default stands beside the converted value.
    fn follow_conversion(&mut self, call: Node<'t>, usage: &mut Usage<'t>) {
        let parent = call.parent().map_or("", Node::kind);
        if matches!(parent, "conditional_expression" | "boolean_operator") {
            self.follow_with_case(call, usage, None);
        }
    }

    /// Follows a function's result to its call: the call of this context, or the only one.
    fn follow_return(&mut self, parent: Node<'t>, usage: &mut Usage<'t>) {
        let function = match parent.kind() {
            "lambda" => Some(parent),
            _ => parent.function(),
        };
        let call = function.and_then(|function| match usage.ctx.frame(function) {
            Some(Frame::Call(_, call)) => *call,
            _ => self.only_call(function),
        });
        let Some(call) = call else {
            return usage.note_plain();
        };
        let around = usage.ctx.around(call);
        let ctx = std::mem::replace(&mut usage.ctx, around);
        self.follow_uses(call, usage);
        usage.ctx = ctx;
    }

    /// The call of a function that has no other call site.
    pub fn only_call(&self, function: Node<'t>) -> Option<Node<'t>> {
        match self.sites.get(&function)?.as_slice() {
            [Site::Call(call)] => Some(*call),
            _ => None,
        }
    }

    /// Follows the later uses of a variable.
    fn follow_variable(&mut self, target: Node<'t>, usage: &mut Usage<'t>) {
        let all = self.program.uses_of(target.scope(), target.text());
        self.steps += all.len();
        for one in all {
            let parent = one.parent().map_or("", Node::kind);
            let is_target = parent == "assignment" && one.role() == "left";
            let is_later = one.range().start > target.range().start && !is_target
                || chosen_by(target).is_some_and(|choice| choice.contains(one) && one != target);
            let is_later = is_later && self.program.sees(one, target);
            // `if name == "LIST": value.split(",")` is for that variable alone.
            if is_later && self.may_run(one, &usage.ctx) {
                self.follow_uses(one, usage);
            }
        }
    }

    /// Follows a value into a call: types, limits, choices, and the program's own functions.
    fn follow_argument(&mut self, node: Node<'t>, parent: Node<'t>, usage: &mut Usage<'t>) {
        let call = parent.call_of_arguments();
        let Some((call, function)) = call.and_then(|call| Some((call, call.field("function")?)))
        else {
            return;
        };
        // A parameter may hold the type: `cast(value)`.
        let callee = self.at(function, &usage.ctx);
        let text = match callee.path() {
            "" => function.text(),
            path => path,
        };
        match last_part(text) {
            kind @ ("int" | "float") => {
                usage.note_use(kind);
                self.note_exception_default(call, false, usage);
                self.follow_uses(call, usage);
            }
            "loads" => usage.note_use("json"),
            kind @ ("match" | "fullmatch" | "search") if text.starts_with("re.") => {
                let pattern = call.argument(0).filter(|pattern| *pattern != node);
                let pattern = pattern.and_then(|pattern| self.at(pattern, &usage.ctx).display());
                usage.note_words(pattern.map(|pattern| format!("{kind} {pattern}")));
            }
            kind @ ("min" | "max") if call.argument_values().len() > 1 => {
                let values = call.argument_values().into_iter();
                for bound in values.filter(|value| *value != node) {
                    let value = self.at(bound, &usage.ctx);
                    let text = value.display().unwrap_or_else(|| self.fingerprinted(bound));
                    usage.note_use(format!("{kind} {text}"));
                }
                self.follow_uses(call, usage);
            }
            "bool" => self.note_truth(call, usage),
            "len" => {
                usage.plain = true;
                usage.seen.push(call);
                if !self.note_branch_defaults(call, usage)
                    && call.parent_of("comparison_operator").is_some()
                {
                    self.note_refusal(call, "length ", usage);
                }
            }
            "get" if call.argument(0) == Some(node) => {
                self.follow_lookup(function.field("object"), usage);
                if let Some(other) = call.argument(1) {
                    let other = self.display_or_source(other);
                    usage.gives.insert(format!("*: {other}"));
                }
            }
            "str" => self.follow_uses(call, usage),
            decoder if is_among(DECODERS, decoder) => {
                usage.note_use(format!("{decoder}()"));
                self.follow_uses(call, usage);
            }
            "strtobool" if !callee.is_own() => {
                usage.note_use("strtobool");
                self.follow_uses(call, usage);
            }
            _ => self.follow_parameter(node, parent, &callee, usage),
        }
    }

    /// Follows a value into a function of the program.
    fn follow_parameter(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        callee: &Val<'t>,
        usage: &mut Usage<'t>,
    ) {
        let Some(call) = parent.call_of_arguments() else {
            return;
        };
        self.note_choices(parent, call, callee, usage);
        let bound = self.bind_in(callee, call, &usage.ctx);
        let is_bound = match callee {
            Val::Func(_, _, object) => Some(object.is_some()),
            Val::Class(_) => Some(true),
            _ => None,
        };
        let (Some((own, inner)), Some(is_bound)) = (bound, is_bound) else {
            usage.note_plain();
            return self.follow_conversion(call, usage);
        };
        let values = call.argument_values();
        let at = values.iter().position(|value| *value == node);
        let at = at.unwrap_or_default();
        let before = at + usize::from(is_bound);
        let mut parameters = own.parameters();
        let parameter = match parent.kind() {
            "keyword_argument" => parameters.find(|(name, ..)| *name == parent.text_of("name")),
            _ => parameters.nth(before),
        };
        let name = parameter.map(|(name, ..)| name);
        let starred = own.starred();
        let starred = starred.filter(|own| name.is_none_or(|name| name == *own));
        let body = own.field("body").filter(|_| parent.is("argument_list"));
        // `first_set(value, other, "default")`
        if body.is_some_and(|body| starred.is_some_and(|name| picks_first(body, name))) {
            let behind = values.get(at + 1..).unwrap_or_default();
            for one in behind {
                self.default(*one, usage);
            }
            return self.follow_uses(call, usage);
        }
        if let (Some(name), Some(body)) = (name, own.field("body")) {
            self.steps += body.range().len() / 16;
            let ctx = std::mem::replace(&mut usage.ctx, inner);
            let names = body.subtree_of("identifier");
            for name in names.filter(|node| node.text() == name) {
                self.follow_uses(name, usage);
            }
            usage.ctx = ctx;
        } else {
            usage.note_plain();
        }
    }

    /// Whether a call runs a function of the program that only fails.
    fn never_returns(&mut self, call: Node<'t>) -> bool {
        const LEAVES: &str = "return_statement yield";
        let Some(Val::Func(own, ..)) = call.is("call").then(|| self.callee(call)) else {
            return false;
        };
        let last = own.field_children("body").last();
        let ends = |one: Node<'t>| {
            one.is("raise_statement")
                || one
                    .child(0)
                    .is_some_and(|call| is_among("exit _exit", call.callee_name()))
        };
        last.is_some_and(ends) && !own.subtree().any(|one| one.is_any(LEAVES))
    }
}

/// Whether a value is only shown to people: in a log, or in the text of an error.
fn is_shown(node: Node<'_>) -> bool {
    const LOGS: &str = "print debug info warning warn error exception critical log";
    let mut above = node.local_ancestors();
    above.any(|one| {
        let is_log = one.is("call") && is_among(LOGS, one.callee_name());
        is_log || one.is_any("raise_statement interpolation")
    })
}

/// Whether a statement ends a function or the program.
pub fn ends_job(node: Node<'_>) -> bool {
    node.is_any("return_statement raise_statement") || node.callee_name() == "exit"
}
