//! How the value of a variable, or of a key of the job's input, is used, and what its default is.
//!
//! [`Reader::usage`] follows the value forward from its read: through operators, names, calls and
//! returns. On its way it notes tests, conversions and limits ([`Usage::interpreted`]), and the
//! defaults that stand beside the value. Defaults of `if` branches are found in `branch_defaults`.

use std::collections::BTreeSet;

use super::branch_defaults::{is_error, is_given_up};
use super::negation::opposite;
use crate::EnvRead;
use crate::python::evaluation::calls::Site;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::{Ctx, Frame, Val};
use crate::python::program::api::normal;
use crate::python::program::syntax::{Node, is_among, last_part};

/// The most expressions that a value is followed through.
const MOST_USES: usize = 24;

/// The most words of a table whose values are told.
const MOST_WORDS: usize = 32;

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
    fn note_words(&mut self, how: Option<String>) {
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

    pub fn default(&mut self, node: Node<'t>, usage: &mut Usage<'t>) {
        usage.defaults.push((self.at(node, &usage.ctx), node));
    }

    /// The constant default that `or`, a condition or an `if` beside a value gives. Computed
    /// defaults may be those of another kind of job, and empty ones are none.
    pub fn default_beside(node: Node<'t>, needed: bool, usage: &Usage<'t>) -> Option<String> {
        // In other functions the value was checked already.
        let is_beside = |at: &Node<'t>| !needed || at.function() == node.function();
        let mut defaults = usage.defaults.iter().filter(|(_, at)| is_beside(at));
        let empty = ["None", "False", "0", "{}", "[]", ""];
        let text = |value: &Val<'t>| value.display().or_else(|| other_key(value));
        defaults.find_map(|(value, _)| text(value).filter(|text| !empty.contains(&&**text)))
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
            "boolean_operator" => {
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
            "attribute" => {
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
            "argument_list" | "keyword_argument" => self.follow_argument(node, parent, usage),
            "interpolation" if parent.parent().and_then(Node::only_part) == Some(node) => {
                if let Some(text) = parent.parent() {
                    self.follow_uses(text, usage);
                }
            }
            "subscript" if node.role() == "subscript" => {
                self.follow_lookup(parent.field("value"), usage);
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

    /// The words of a `match`, and the default that `case None:` gives.
    fn follow_cases(&mut self, holder: Node<'t>, usage: &mut Usage<'t>) {
        let is_pattern = |node: &Node<'t>| node.is("case_pattern");
        let patterns = holder.subtree().filter(is_pattern);
        let words: Vec<_> = patterns.map(|pattern| normal(pattern.text())).collect();
        // A name takes any value.
        let is_word = |text: &String| {
            let is_name = text.chars().all(|c| c.is_alphanumeric() || c == '_');
            text != "None" && (!is_name || text == "_")
        };
        let has_word = words.iter().any(is_word);
        usage.note_words(has_word.then(|| format!("in {}", words.join(" "))));
        let is_none = |clause: &Node<'t>| {
            let mut patterns = clause.children().filter(is_pattern);
            clause.is("case_clause")
                && patterns.any(|one| one.text().split(" | ").any(|text| text == "None"))
        };
        for inside in holder.subtree().filter(is_none).flat_map(Node::subtree) {
            let value = match inside.kind() {
                "assignment" => inside.field("right"),
                "return_statement" => inside.child(0),
                _ => None,
            };
            if let Some(value) = value {
                self.default(value, usage);
            }
        }
    }

    fn follow_comparison(&mut self, node: Node<'t>, parent: Node<'t>, usage: &mut Usage<'t>) {
        let Some(other) = parent.children().find(|child| *child != node) else {
            return;
        };
        let operator = parent.operators();
        if parent.child(0) != Some(node) && operator.contains("in") {
            usage.plain = true;
            return;
        }
        self.note_refusal(node, "", usage);
        let value = self.at(other, &usage.ctx);
        if is_nothing(&value, &operator) {
            self.note_branch_defaults(node, usage);
            return;
        }
        // `any(value == word for word in WORDS)`
        let of = parent
            .local_ancestors()
            .find(|above| above.is_comprehension());
        let of = of.and_then(Node::call_of_list);
        let (shown, operator) = match (value.elements(), of) {
            (Some(items), _) if operator.ends_with("in") => (sorted_list(items.iter()), operator),
            (_, Some("any")) if operator == "==" => {
                (sorted_list(value.each().iter()), "in".to_owned())
            }
            _ => (value.display(), operator),
        };
        let operator = match self.is_inverted(parent, &usage.ctx) {
            true => opposite(&operator),
            false => &operator,
        };
        let how = shown.map(|shown| format!("{operator} {shown}"));
        if let Some(how) = &how {
            self.note_replacement(node, parent, how, usage);
        }
        usage.note_words(how);
        // `value == "true" if value else True`
        let holder = parent.parent_of("conditional_expression");
        if let Some(holder) = holder.filter(|holder| holder.condition() != Some(parent)) {
            self.note_other_value(parent, holder, usage);
        }
    }

    /// The other value of `first if first else value`.
    fn note_other_value(&mut self, node: Node<'t>, holder: Node<'t>, usage: &mut Usage<'t>) {
        let condition = holder.child(1).map_or("", Node::text);
        let mut others = [holder.child(0), holder.child(2)].into_iter().flatten();
        if let Some(other) = others.find(|one| *one != node && one.text() != condition) {
            // Where the condition asks for the other one, that one comes first.
            let value = self.at(other, &usage.ctx);
            let is_read = matches!(value, Val::Env(..) | Val::Input(_));
            let test = holder.condition().filter(|_| is_read);
            if test.is_none_or(|test| self.tests_of(test, &value, &usage.ctx).is_empty()) {
                self.default(other, usage);
            }
        }
    }

    /// The keys of a dict that a value is looked up in.
    fn follow_lookup(&mut self, table: Option<Node<'t>>, usage: &mut Usage<'t>) {
        let words = match table.map(|table| self.at(table, &usage.ctx)) {
            Some(Val::Dict(items)) => {
                let text = |(key, value): &(Val<'t>, Val<'t>)| {
                    Some(format!("{}: {}", key.display()?, value.display()?))
                };
                usage
                    .gives
                    .extend(items.iter().take(MOST_WORDS).filter_map(text));
                sorted_list(items.iter().map(|(key, _)| key))
            }
            _ => None,
        };
        usage.note_words(words.map(|words| format!("in {words}")));
    }

    /// Arithmetic with a constant: `* 60`.
    fn arithmetic(&mut self, node: Node<'t>, parent: Node<'t>, ctx: &Ctx<'t>) -> Option<String> {
        let other = parent.children().find(|child| *child != node)?;
        let number = Some(self.at(other, ctx));
        let number = number.filter(|one| matches!(one, Val::Int(_) | Val::Float(_)))?;
        let (number, operator) = (number.display()?, parent.text_of("operator"));
        let is_right = parent.field("right") == Some(node) && !matches!(operator, "+" | "*");
        Some(if is_right {
            format!("{number} {operator}")
        } else {
            format!("{operator} {number}")
        })
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
            "strtobool" if !callee.is_own() => {
                usage.note_use("strtobool");
                self.follow_uses(call, usage);
            }
            _ => {
                self.note_choices(parent, call, &callee, usage);
                let bound = self.bind_in(&callee, call, &usage.ctx);
                let is_bound = match &callee {
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
                    "keyword_argument" => {
                        parameters.find(|(name, ..)| *name == parent.text_of("name"))
                    }
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

    /// The values that an enumeration or an option of the command line lets through.
    fn note_choices(
        &mut self,
        argument: Node<'t>,
        call: Node<'t>,
        callee: &Val<'t>,
        usage: &mut Usage<'t>,
    ) {
        let is_default = argument.is("keyword_argument") && argument.text_of("name") == "default";
        let choices = match callee {
            Val::Class(class) if class.text_of("superclasses").contains("Enum") => {
                Some(callee.clone())
            }
            _ if is_default && call.callee_name() == "add_argument" => {
                let kind = call.keyword("type").map(|kind| self.value(kind));
                if let Some(kind) = kind.filter(|kind| matches!(kind.path(), "int" | "float")) {
                    usage.note_use(kind.path());
                }
                call.keyword("choices").map(|choices| self.value(choices))
            }
            _ => None,
        };
        let choices = choices.and_then(|choices| self.elements(&choices));
        if let Some(words) = choices.and_then(|choices| sorted_list(choices.iter())) {
            usage.note_use(format!("in {words}"));
        }
    }

    /// The default that `except KeyError` gives, or `suppress(KeyError)`.
    fn note_exception_default(&mut self, node: Node<'t>, required: bool, usage: &mut Usage<'t>) {
        // Where it is unset, `int(None)` fails, and `int("")`.
        let error = match usage.no_number {
            true => "ValueError",
            false => "TypeError",
        };
        let is_caught =
            |caught: &str| required || caught.contains(error) || caught.contains("Exception");
        let catches = |clause: &Node<'t>| {
            let caught = clause.child(0).filter(|one| !one.is("block"));
            is_caught(caught.map_or("Exception", Node::text))
        };
        let target = node.ancestor("assignment");
        let target = target.map_or("", |set| set.text_of("left"));
        let is_of_value = |set: Node<'t>| {
            let parts = set.field("right").into_iter().flat_map(Node::subtree);
            !target.is_empty() && parts.into_iter().any(|part| part.text() == target)
        };
        for (child, above) in node.steps_up() {
            let head = above.text().split(':').next().unwrap_or_default();
            if above.is("with_statement") && head.contains("suppress(") && is_caught(head) {
                usage.caught = true;
                match self.earlier_value(above, target) {
                    Some(value) => self.default(value, usage),
                    None => usage.defaults.push((Val::None, above)),
                }
            }
            let is_tried = above.is("try_statement") && child.role() == "body";
            let clauses = above.children_of("except_clause");
            for clause in clauses.filter(|_| is_tried).filter(catches) {
                let of_kind = |kind| clause.subtree_of(kind);
                // What the other clauses make of the value: `else: model = value`.
                let others = above
                    .subtree_of("assignment")
                    .filter(|set| is_of_value(*set));
                let mut names: Vec<&str> = others.map(|set| set.text_of("left")).collect();
                names.push(target);
                names.retain(|name| !name.is_empty());
                let is_same = |set: &Node<'t>| names.contains(&set.text_of("left"));
                let set = of_kind("assignment").find(is_same);
                let value = set.and_then(|set| set.field("right"));
                // A dict that tells of an error is no value.
                if value.is_none() && clause.subtree().any(is_error) {
                    continue;
                }
                let kinds = clause.children().take_while(|one| one.kind() != "block");
                let is_of_key = kinds
                    .into_iter()
                    .any(|kind| kind.text().contains("KeyError"));
                let returned = of_kind("return_statement").next();
                let returned = returned.and_then(|returned| returned.child(0));
                usage.caught |=
                    value.or(returned).is_some() || is_of_key && !clause.subtree().any(ends_job);
                let goes_on = !clause.subtree().any(ends_job);
                let earlier = || self.earlier_value(above, target).filter(|_| goes_on);
                match value.or(returned).or_else(earlier) {
                    Some(value) => self.default(value, usage),
                    None if of_kind("raise_statement").next().is_some() || !required => {}
                    None => usage.defaults.push((Val::None, clause)),
                }
            }
        }
    }

    /// Whether a condition around a read tests for the same variable.
    pub fn is_guarded(node: Node<'t>, name: &str) -> bool {
        let key = node.key_of_read().map_or(name, Node::text);
        node.local_ancestors().any(|above| {
            let within = above.is_comprehension();
            let clause = || above.children().find(|c| within && c.is("if_clause"));
            let condition = match above.kind() {
                "boolean_operator" => above.field("left"),
                _ => above.condition().or_else(clause),
            };
            condition.is_some_and(|condition| {
                let text = condition.text();
                !condition.contains(node) && (text.contains(name) || text.contains(key))
            })
        })
    }

    /// The value that the program always sets a variable to before this read.
    pub fn value_set_before(&self, name: &str, read: Node<'t>) -> Option<String> {
        let mut before = self.written.iter();
        let (_, _, value) =
            before.find(|(own, node, _)| **own == *name && is_always_before(*node, read))?;
        Some(normal(value).trim_matches('"').to_owned())
    }

    /// The default that the program always gives to a variable before this read.
    pub fn defaulted_before(&self, name: &str, read: Node<'t>) -> Option<String> {
        let mut before = self.defaulted.iter();
        let (_, _, value) =
            before.find(|(own, node, _)| **own == *name && is_always_before(*node, read))?;
        Some(value.clone())
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
            Val::List(items) if items.is_empty() => {}
            value => found.push(value.display().unwrap_or_else(|| self.fingerprinted(at))),
        }
    }
}

/// Whether a statement runs before a read of the same file, whatever holds.
fn is_always_before(node: Node<'_>, read: Node<'_>) -> bool {
    const UNCONDITIONAL: &str = "assignment expression_statement block for_statement \
        delete_statement";
    let is_outer = |above: &Node<'_>| above.is_any("module function_definition");
    let mut above = node.ancestors().take_while(|above| !is_outer(above));
    let scope = node.scope();
    node.file() == read.file()
        && above.all(|above| above.is_any(UNCONDITIONAL))
        && crate::python::server::flags::conditions(node).is_empty()
        && node.range().start < read.range().start
        && (scope.is("module") || scope == read.scope())
}

/// The choice that a name in its condition is set for: `value if (value := …) else other`.
fn chosen_by(target: Node<'_>) -> Option<Node<'_>> {
    let set = target.parent_of("named_expression")?;
    let mut choices = set
        .local_ancestors()
        .filter(|above| above.is("conditional_expression"));
    choices.next()
}

/// Another key of the job's input, which is taken where one is missing.
pub fn other_key(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Input(path) if !path.is_empty() => Some(format!("input.{path}")),
        _ => None,
    }
}

/// Whether a function gives the first of its arguments for which a test holds: by `next`, or by a
/// loop that returns it.
fn picks_first(body: Node<'_>, parameter: &str) -> bool {
    let of = |one: Node<'_>| one.text_of("right") == parameter;
    body.subtree().any(|one| match one.kind() {
        "for_statement" => of(one) && one.subtree_of("return_statement").next().is_some(),
        "for_in_clause" => of(one) && one.parent().and_then(Node::call_of_list) == Some("next"),
        _ => false,
    })
}

/// Whether a statement ends a function or the program.
fn ends_job(node: Node<'_>) -> bool {
    node.is_any("return_statement raise_statement") || node.callee_name() == "exit"
}

/// Whether a comparison is with what an unset variable is: `is None`, `in (None, "")`.
pub fn is_nothing(other: &Val<'_>, operator: &str) -> bool {
    let is_in = operator.ends_with("in");
    match other {
        Val::None => true,
        Val::Str(text, _) => text.is_empty() && !is_in,
        Val::List(items) => {
            is_in && !items.is_empty() && items.iter().all(|one| is_nothing(one, ""))
        }
        _ => false,
    }
}

/// Constants as a sorted list; `None` where one is not known.
fn sorted_list<'v, 't: 'v>(items: impl Iterator<Item = &'v Val<'t>>) -> Option<String> {
    let mut words = items.map(Val::display).collect::<Option<Vec<_>>>()?;
    words.sort();
    Some(format!("[{}]", words.join(",")))
}
