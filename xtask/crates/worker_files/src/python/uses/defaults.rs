//! Defaults that are written beside a read, that an exception gives, or that are set before it.

use super::branch_defaults::is_error;
use crate::EnvRead;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::Node;

use super::usage::{Usage, ends_job};

impl<'t> Reader<'t> {
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

    /// The default that `except KeyError` gives, or `suppress(KeyError)`.
    pub fn note_exception_default(
        &mut self,
        node: Node<'t>,
        required: bool,
        usage: &mut Usage<'t>,
    ) {
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
        && crate::python::server::conditions::conditions(node).is_empty()
        && node.range().start < read.range().start
        && (scope.is("module") || scope == read.scope())
}

/// Another key of the job's input, which is taken where one is missing.
pub fn other_key(value: &Val<'_>) -> Option<String> {
    match value {
        Val::Input(path) if !path.is_empty() => Some(format!("input.{path}")),
        _ => None,
    }
}
