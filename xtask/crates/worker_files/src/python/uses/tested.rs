//! Where the program tests whether a variable of the environment is set, or gives it a default,
//! through whatever holds its value: an attribute, a dict, a parameter, an import.

use std::rc::Rc;

use super::usage::Usage;
use crate::python::evaluation::arguments::Args;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::Node;
use crate::python::variables::environment::env_lookup;

/// The most variables whose values one expression may hold to be followed.
const MOST_HELD: usize = 4;

impl<'t> Reader<'t> {
    /// Notes an expression that is tested, or that `or` stands behind, by the variables whose
    /// values it may hold. A read itself is followed from where it stands.
    pub fn note_tested(&mut self, node: Node<'t>) {
        let second = second_choice(node);
        if node.is("dictionary") || node.text_of("operator") == "|" {
            return self.note_covered(node);
        }
        if !is_tested(node) && second.is_none() || !gives_to_all(node) {
            return;
        }
        let names = self.held_variables(node);
        if names.len() <= MOST_HELD {
            let second = second.map(|other| self.at(other, &Ctx::default()));
            for name in names {
                let all = self.tested.entry(name).or_default();
                all.push((node, second.clone()));
            }
        }
    }

    /// Notes what a dict has for a key before a variable's value: `{**DEFAULTS, **given}`.
    fn note_covered(&mut self, node: Node<'t>) {
        if node.is("dictionary") && node.children_of("dictionary_splat").next().is_none() {
            return;
        }
        let Val::Dict(items) = self.at(node, &Ctx::default()) else {
            return;
        };
        for (at, (key, value)) in items.iter().enumerate() {
            let mut before = items[..at]
                .iter()
                .filter(|(own, _)| own.as_str() == key.as_str());
            if let (Val::Env(name, _), Some((_, under))) = (value, before.next_back()) {
                let all = self.tested.entry(name.clone()).or_default();
                all.push((node, Some(under.clone())));
            }
        }
    }

    /// The variables whose values an expression may be. An item of a dict may be what any statement
    /// puts there.
    fn held_variables(&mut self, node: Node<'t>) -> Vec<Rc<str>> {
        let mut values = Vec::new();
        let object = node.field("value").or(node.callee_object());
        if let Some((object, key)) = object.zip(node.key_of_read()) {
            let (object, key) = (self.at(object, &Ctx::default()), self.value(key));
            if object.is_environ() {
                return Vec::new();
            }
            for one in object.each() {
                if let Val::Dict(items) = one {
                    let own = items.iter().filter(|(own, _)| own.as_str() == key.as_str());
                    values.extend(own.map(|(_, value)| value.clone()));
                }
            }
        }
        let callee = node.field("function").map(|function| self.value(function));
        let reads = |one: &Val<'t>| env_lookup(one, &Args::default()).is_some();
        if !callee.is_some_and(|callee| callee.may_be(reads)) {
            values.push(self.at(node, &Ctx::default()));
        }
        let whole = values.iter().flat_map(Val::each);
        let whole = whole.filter(|one| matches!(one, Val::Env(..)));
        let mut names: Vec<Rc<str>> = whole.flat_map(Val::envs).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Follows a variable's value from each place that tests it, if its read hands it on.
    pub fn follow_tested(&mut self, read: Node<'t>, own: &Val<'t>, usage: &mut Usage<'t>) {
        let Val::Env(name, _) = own else { return };
        if !usage.is_handed_on() {
            return;
        }
        let ctx = std::mem::take(&mut usage.ctx);
        for (node, second) in self.tested.get(name).cloned().unwrap_or_default() {
            match second {
                // A key is always there, unless a condition puts it there.
                Some(other) if read.local_ancestors().any(is_conditional) => {
                    usage.defaults.push((other, node));
                }
                Some(_) => {}
                None => self.follow_uses(node, usage),
            }
        }
        usage.ctx = ctx;
    }
}

/// Whether a condition or an `or` tests an expression. What only a message shows is no default.
fn is_tested(node: Node<'_>) -> bool {
    const TESTING: &str = "boolean_operator not_operator if_statement elif_clause \
        conditional_expression";
    let inner = node.with_parentheses();
    let Some(parent) = inner.parent() else {
        return false;
    };
    let is_test = match parent.kind() {
        "comparison_operator" => {
            let mut others = parent.children().filter(|other| *other != inner);
            others.any(|other| other.is("none") || other.is_any("string tuple list set"))
        }
        "argument_list" => parent
            .parent()
            .is_some_and(|call| call.callee_name() == "len" && is_tested(call)),
        _ => parent.is_any(TESTING) && !matches!(inner.role(), "consequence" | "alternative"),
    };
    let is_holder =
        node.is_any("identifier attribute subscript call") && node.role() != "attribute";
    is_holder && is_test && !node.local_ancestors().any(Node::is_message)
}

/// Whether what a test of an expression leads to is for all who use its value. Of another object's
/// attribute it is so only if it is stored: `{"model": engine.model or "any"}` is for a message.
fn gives_to_all(node: Node<'_>) -> bool {
    let sets = |one: Node<'_>| one.is("assignment") && one.text_of("left") == node.text();
    let mut around = node.local_ancestors();
    !node.is("attribute")
        || node.text_of("object") == "self"
        || around.any(|above| match above.kind() {
            "if_statement" => above.subtree_of("assignment").any(sets),
            "assignment" => {
                sets(above) || above.field("left").is_some_and(|it| it.is("identifier"))
            }
            _ => false,
        })
}

/// The value that a dict gives in place of one that it lacks: `c.get("a", "x")`,
/// `c.setdefault("a", "x")`.
fn second_choice(node: Node<'_>) -> Option<Node<'_>> {
    let gives = matches!(node.callee_name(), "get" | "setdefault");
    node.argument(1).filter(|_| gives)
}

fn is_conditional(above: Node<'_>) -> bool {
    above.is("if_statement") || above.children_of("if_clause").next().is_some()
}
