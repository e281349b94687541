//! Uses of the whole environment: copies, loops, arguments.

use super::environment::{EnvLookup, READING};
use super::settings::reads_setting;
use crate::EnvRead;
use crate::python::evaluation::contexts::{Ctx, Frame};
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among, last_part};
use crate::python::server::process::starts_process;

/// Functions that may get the whole environment and read no variable of it.
const HARMLESS: &str = "dict copy deepcopy ChainMap len isinstance type bool MappingProxyType partial map filter \
    OrderedDict cast id hash staticmethod";

/// Functions that make a list or a set of the names.
const COLLECTING: &str = "list set tuple frozenset sorted dict";

/// Calls that start a process, in whatever library.
const STARTING: &str = "run Popen call check_call check_output spawn subprocess_exec subprocess_shell exec_run \
    StdioServerParameters field Field";

/// Methods whose calls or results are followed.
const FOLLOWED: &str = "copy update __setitem__ __delitem__ clear __len__ __call__";

const LISTING: &str = "items keys values __iter__";

impl<'t> Reader<'t> {
    /// Follows a mention of the environment as a whole.
    pub fn whole_environment(&mut self, node: Node<'t>) {
        let Some(parent) = node.parent() else { return };
        let mentioned = matches!(node.text(), "environ" | "environb" | "getenv");
        if node.role() == "attribute" {
            // `x.environ` of an unknown `x`.
            let is_known = |value: &Val<'t>| match value {
                Val::Environ(_) | Val::Func(..) => true,
                Val::Ext(path) => path.starts_with("os.getenv"),
                Val::Method(object, _) => object.is_environ(),
                _ => false,
            };
            if mentioned && !self.value(parent).may_be(is_known) {
                self.variables_unread(parent, "this mention of the environment is not understood");
            }
            return;
        }
        if is_target(node, parent) {
            return;
        }
        let value = self.value(node);
        let is_whole = value.is_environ() && !value.is_picked_environ();
        let function = matches!(value.path(), "os.getenv" | "os.getenvb")
            || matches!(value, Val::Ext(_)) && reads_setting(&value).is_some();
        if !is_whole && !function {
            return;
        }
        let inner = node.with_parentheses();
        let Some(outer) = inner.parent() else { return };
        match outer.kind() {
            "attribute" => {
                let method = outer.text_of("attribute");
                if is_among(LISTING, method) {
                    if !outer
                        .parent_of("call")
                        .is_some_and(|call| self.is_followed(call))
                    {
                        self.listed_environment(outer);
                    }
                } else if !is_among(READING, method)
                    && !is_among(FOLLOWED, method)
                    && reads_setting(&self.value(outer)).is_none()
                {
                    let what = "what is done with the whole environment is not understood";
                    self.variables_unread(outer, what);
                }
            }
            // `items()`, `keys()` and `values()` are noted at their attribute.
            "for_statement" | "for_in_clause"
                if is_whole && !is_among(LISTING, inner.callee_name()) =>
            {
                self.listed_environment(inner);
            }
            "argument_list" | "keyword_argument" => {
                self.environment_argument(inner, outer, is_whole);
            }
            "dictionary_splat" if is_whole => {
                if let Some(list) = outer.parent_of("argument_list") {
                    self.environment_argument(outer, list, is_whole);
                }
            }
            // What is set is followed only where it is found again.
            "assignment" if is_whole => {
                let left = outer.field("left");
                let left = left.filter(|left| left.is_any("attribute subscript"));
                if left.is_some_and(|left| !self.value(left).is_environ()) {
                    let what = "the whole environment goes somewhere that was not followed";
                    self.variables_unread(outer, what);
                }
            }
            "pair" if is_whole => {
                let dict = outer.parent();
                if let Some((dict, list)) =
                    dict.and_then(|dict| Some((dict, dict.parent_of("argument_list")?)))
                {
                    self.environment_argument(dict, list, is_whole);
                }
            }
            "list" | "tuple" | "interpolation" | "list_splat" | "binary_operator"
                if is_whole && !outer.text_of("operator").starts_with('|') =>
            {
                let what = "the whole environment goes somewhere that was not followed";
                self.variables_unread(outer, what);
            }
            _ => {}
        }
    }

    fn environment_argument(&mut self, node: Node<'t>, outer: Node<'t>, is_whole: bool) {
        let call = outer.call_of_arguments();
        let Some(function) = call.and_then(|call| call.field("function")) else {
            return;
        };
        let callee = self.value(function);
        let is_for_child = outer.is("keyword_argument")
            && matches!(outer.text_of("name"), "env" | "environ" | "default_factory")
            && is_among(STARTING, function.last_name());
        // A class of a library may read any variable of it.
        let is_own = callee.each().iter().all(|one| match one {
            Val::Class(class) => {
                let init = self.class_member(*class, "__init__");
                class.field("superclasses").is_none()
                    || matches!(init, Val::Func(..))
                    || class.is_decorated("dataclass")
            }
            // A dict that gets the environment is followed.
            Val::Method(object, method) if object.is_environ() => &**method == "update",
            one => one.is_own(),
        });
        if is_own && node.is("dictionary_splat") {
            self.environment_splat(node, call.unwrap_or(node), &callee);
        }
        let is_harmless = is_among(HARMLESS, last_part(function.text()))
            || is_among(COLLECTING, function.text())
                && call.is_some_and(|call| self.is_followed(call));
        let is_started = starts_process(&callee) || is_for_child && is_whole;
        if !(is_own || is_harmless || is_started) {
            let what = format!("the environment goes into `{}`", function.text());
            self.variables_unread(node, &what);
        }
    }

    /// `main(**os.environ)`: each parameter that nothing else gives is a variable.
    fn environment_splat(&mut self, node: Node<'t>, call: Node<'t>, callee: &Val<'t>) {
        for one in callee.each() {
            let bound = self.bind_in(one, call, &Ctx::default());
            let Some((function, ctx)) = bound else {
                continue;
            };
            let Some(Frame::Call(frame, _)) = ctx.frame(function).cloned() else {
                continue;
            };
            for (name, value) in frame.iter() {
                if let Val::Env(variable, default) = value
                    && **variable == **name
                {
                    let default = Some((**default).clone()).filter(|one| *one != Val::None);
                    let lookup = EnvLookup::new(Val::text(name), default, false);
                    self.add_reads(node, &lookup, &Ctx::default());
                }
            }
        }
    }

    /// Whether what a call makes of the environment's names is followed: where it is asked for a
    /// name, goes through a loop, or gets a name of its own.
    fn is_followed(&self, call: Node<'t>) -> bool {
        let call = call.with_parentheses();
        let Some(parent) = call.parent() else {
            return false;
        };
        match parent.kind() {
            "comparison_operator" => parent.membership().is_some_and(|(_, whole)| whole == call),
            "assignment" => parent.field("left").is_some_and(|left| {
                let uses = self.program.uses_of(left.scope(), left.text());
                left.is("identifier") && uses.len() > 1
            }),
            "argument_list" => {
                let outer = parent.parent();
                outer.is_some_and(|outer| outer.text_of("function") == "dict")
            }
            "for_statement" | "for_in_clause" => call.callee_name() == "sorted",
            _ => false,
        }
    }

    /// A loop over the whole environment. It reads the prefixes and names that it compares with.
    fn listed_environment(&mut self, node: Node<'t>) {
        let mut above = node.ancestors();
        let owner = above.find(|node| node.is_any("for_statement for_in_clause"));
        let scope = owner.and_then(|owner| match owner.kind() {
            "for_in_clause" => owner.parent(),
            _ => Some(owner),
        });
        let (Some(owner), Some(scope)) = (owner, scope) else {
            return self.variables_unread(node, "the whole environment is listed");
        };
        let left = owner.field("left");
        let first = left.and_then(|left| left.child(0));
        let key = first.or(left).map_or("", Node::text);
        let names = self.names_compared(scope, key);
        // A copy: reads of it are followed.
        let pair = scope.field("body").filter(|body| body.is("pair"));
        let is_copy = pair.is_some_and(|pair| pair.text_of("key") == key);
        if first.is_some() && is_copy && names.is_empty() {
            return;
        }
        if names.is_empty() {
            let picks = picked(scope, left, key);
            if let Some((function, call)) = picks
                && self.value(function).is_own()
            {
                let name = format!("{}(*)", function.last_name());
                let read = EnvRead {
                    interpreted: Some(self.fingerprinted(call)),
                    ..self.env_read(node, name, node)
                };
                return self.facts.env.push(read);
            }
            return self.add_reads(node, &EnvLookup::named(Val::Unknown), &Ctx::default());
        }
        for name in names {
            self.add_reads(node, &EnvLookup::named(name), &Ctx::default());
        }
    }

    /// The names, and prefixes with `*`, that a loop over the environment compares its key with.
    pub fn names_compared(&mut self, scope: Node<'t>, key: &str) -> Vec<Val<'t>> {
        let mut names = Vec::new();
        // `if not name.startswith("CUDA_")` in a comprehension keeps all others.
        let is_left_out = |inner: &Node<'t>| {
            let mut above = inner.ancestors().take_while(|above| *above != scope);
            let operator = inner.text_of("operators");
            let is_negated = operator.starts_with('!')
                || operator.starts_with("not")
                || above.any(|above| above.is("not_operator"));
            is_negated && !scope.is("for_statement")
        };
        for inner in scope.subtree().filter(|inner| !is_left_out(inner)) {
            if inner.is("call") && inner.text_of("function") == format!("{key}.startswith") {
                let begin = inner.argument(0);
                let begin = begin.map_or(Val::Unknown, |node| self.value(node));
                let begins = begin.elements_or_each().into_iter();
                names.extend(begins.map(|one| one.join(&Val::text("*"))));
            } else if inner.is("comparison_operator")
                && let Some((left, right)) = inner.child(0).zip(inner.child(1))
                && left.text() == key
            {
                names.extend(self.value(right).elements_or_each());
            }
        }
        names
    }
}

/// The predicate that picks names, and its call, where a loop does nothing else with a name.
fn picked<'t>(scope: Node<'t>, left: Option<Node<'t>>, key: &str) -> Option<(Node<'t>, Node<'t>)> {
    let target = left?;
    let is_use =
        |one: &Node<'t>| one.is("identifier") && one.text() == key && !target.contains(*one);
    let mut uses = scope.subtree().filter(is_use);
    let name = uses.next().filter(|_| uses.next().is_none())?;
    let call = name.parent()?.parent_of("call")?;
    let holds = |condition: Node<'t>| condition.contains(name);
    let mut above = call.ancestors().take_while(|above| *above != scope);
    let tests =
        above.any(|above| above.is("if_clause") || above.field("condition").is_some_and(holds));
    let is_alone = tests && call.arguments().count() == 1;
    let function = call.field("function")?;
    is_alone.then_some((function, call))
}

/// Whether a name is a target of an assignment, not a use.
fn is_target(node: Node<'_>, parent: Node<'_>) -> bool {
    match (parent.kind(), node.role()) {
        (_, "name" | "alias" | "attribute") | ("type", _) => true,
        ("assignment" | "augmented_assignment" | "named_expression", role) => role == "left",
        (
            "parameters" | "pattern_list" | "dotted_name" | "aliased_import" | "lambda_parameters"
            | "keyword_argument" | "typed_parameter" | "for_statement" | "for_in_clause",
            role,
        ) => !matches!(role, "value" | "right"),
        _ => false,
    }
}
