//! Uses of the whole environment: copies, loops, arguments.

use super::environment::{EnvLookup, READING};
use super::eval::Reader;
use super::syntax::{Node, is_among};
use super::value::{Ctx, Val};
use crate::EnvRead;

/// Functions that may get the whole environment and read no variable of it.
const HARMLESS: &str = "dict copy deepcopy ChainMap len isinstance type bool MappingProxyType partial map filter \
    OrderedDict cast id hash";

/// Methods whose calls or results are followed.
const FOLLOWED: &str = "copy update __setitem__ __delitem__ clear __len__";

const LISTING: &str = "items keys values __iter__";

impl<'t> Reader<'t> {
    /// The environment as a whole has to be followed wherever it goes.
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
                self.variables(parent, "this mention of the environment is not understood");
            }
            return;
        }
        if is_target(node, parent) {
            return;
        }
        let value = self.value(node);
        let is_whole = value.is_environ();
        let function = matches!(value.path(), "os.getenv" | "os.getenvb");
        if !is_whole && !function {
            return;
        }
        let mut inner = node;
        let mut outer = parent;
        while outer.kind() == "parenthesized_expression" {
            inner = outer;
            let Some(next) = outer.parent() else { return };
            outer = next;
        }
        match outer.kind() {
            "attribute" => {
                let method = outer.text_of("attribute");
                if is_among(LISTING, method) {
                    self.listed_environment(outer);
                } else if !is_among(READING, method) && !is_among(FOLLOWED, method) {
                    let what = "what is done with the whole environment is not understood";
                    self.variables(outer, what);
                }
            }
            // `items()`, `keys()` and `values()` are reported at their attribute.
            "for_statement" | "for_in_clause"
                if is_whole && !is_among(LISTING, inner.callee_name()) =>
            {
                self.listed_environment(inner);
            }
            "argument_list" | "keyword_argument" => {
                self.environment_argument(inner, outer, is_whole);
            }
            "dictionary_splat" if is_whole => {
                if let Some(list) = outer.parent().filter(|list| list.kind() == "argument_list") {
                    self.environment_argument(outer, list, is_whole);
                }
            }
            "list" | "tuple" | "interpolation" | "list_splat" | "binary_operator"
                if is_whole && !outer.text_of("operator").starts_with('|') =>
            {
                let what = "the whole environment goes somewhere that was not followed";
                self.variables(outer, what);
            }
            _ => {}
        }
    }

    pub fn environment_argument(&mut self, node: Node<'t>, outer: Node<'t>, is_whole: bool) {
        let call = match outer.kind() {
            "keyword_argument" => outer.ancestor("call"),
            _ => outer.parent(),
        };
        let Some(function) = call.and_then(|call| call.field("function")) else {
            return;
        };
        let callee = self.value(function);
        let child = outer.kind() == "keyword_argument"
            && matches!(outer.text_of("name"), "env" | "environ" | "default_factory");
        let name = function.text().rsplit('.').next().unwrap_or_default();
        // What the class of a library makes of it is its own business.
        let is_own = callee.each().iter().all(|one| match one {
            Val::Class(class) => {
                let init = self.class_member(*class, "__init__");
                class.field("superclasses").is_none()
                    || matches!(init, Val::Func(..))
                    || class.is_decorated("dataclass")
            }
            one => one.is_own(),
        });
        if is_own
            || is_among(HARMLESS, name)
            || child && is_whole
            || super::process::starts(&callee)
        {
            return;
        }
        self.variables(
            node,
            &format!("the environment goes into `{}`", function.text()),
        );
    }

    /// A loop over the whole environment. It reads the prefixes and names that it compares with.
    pub fn listed_environment(&mut self, node: Node<'t>) {
        let mut above = node.ancestors();
        let owner = above.find(|node| matches!(node.kind(), "for_statement" | "for_in_clause"));
        let scope = owner.and_then(|owner| match owner.kind() {
            "for_in_clause" => owner.parent(),
            _ => Some(owner),
        });
        let (Some(owner), Some(scope)) = (owner, scope) else {
            return self.variables(node, "the whole environment is listed");
        };
        let left = owner.field("left");
        let key = left.map_or("", |left| left.child(0).unwrap_or(left).text());
        // A copy: reads of it are followed.
        let pair = scope.field("body").filter(|body| body.kind() == "pair");
        if pair.is_some_and(|pair| pair.text_of("key") == key)
            && left.is_some_and(|l| l.child(0).is_some())
        {
            return;
        }
        let mut names: Vec<Val<'t>> = Vec::new();
        for inner in scope.subtree() {
            if inner.kind() == "call" && inner.text_of("function") == format!("{key}.startswith") {
                let begin = inner.argument_values().first().copied();
                let begin = begin.map_or(Val::Unknown, |node| self.value(node));
                names.extend(begin.all().iter().map(|one| one.join(&Val::text("*"))));
            } else if inner.kind() == "comparison_operator"
                && let Some((left, right)) = inner.child(0).zip(inner.child(1))
                && left.text() == key
            {
                names.extend(self.value(right).all());
            }
        }
        if names.is_empty() {
            let picks = picked(scope, left, key);
            if let Some(picks) = picks.filter(|picks| self.value(picks.0).is_own()) {
                let name = format!("{}(*)", picks.0.last_name());
                let interpreted = Some(self.fingerprinted(picks.1));
                let reached = self.program.reaches(node);
                let read = EnvRead::new(name, None, self.place(node));
                return self.facts.env.push(EnvRead {
                    interpreted,
                    reached,
                    ..read
                });
            }
            names.push(Val::Unknown);
        }
        for name in names {
            self.add_reads(node, &EnvLookup::named(name), &Ctx::default());
        }
    }
}

/// The predicate that picks names, and its call, where a loop does nothing else with a name.
fn picked<'t>(scope: Node<'t>, left: Option<Node<'t>>, key: &str) -> Option<(Node<'t>, Node<'t>)> {
    let bound = left.map(Node::range)?;
    let names = scope
        .subtree()
        .filter(|one| one.kind() == "identifier" && one.text() == key);
    let mut uses = names.filter(|one| !bound.contains(&one.range().start));
    let one = uses.next().filter(|_| uses.next().is_none())?;
    let call = one
        .parent()?
        .parent()
        .filter(|call| call.kind() == "call")?;
    let mut above = call.ancestors().take_while(|above| *above != scope);
    let alone = call.arguments().count() == 1;
    let asks = above.any(|above| {
        above.kind() == "if_clause"
            || above
                .field("condition")
                .is_some_and(|c| c.range().contains(&one.range().start))
    });
    call.field("function")
        .filter(|_| alone && asks)
        .map(|function| (function, call))
}

/// Whether a name is a target of an assignment, not a use.
fn is_target(node: Node<'_>, parent: Node<'_>) -> bool {
    const BINDING: &str = "parameters pattern_list dotted_name aliased_import lambda_parameters keyword_argument \
    typed_parameter for_statement for_in_clause";
    let set = matches!(
        parent.kind(),
        "assignment" | "augmented_assignment" | "named_expression"
    );
    set && matches!(node.role(), "left" | "name")
        || is_among(BINDING, parent.kind()) && !matches!(node.role(), "value" | "right")
        || matches!(node.role(), "name" | "alias" | "attribute")
        || parent.kind() == "type"
}
