//! Whether a condition holds whatever is set, and so which code may run.

use crate::python::evaluation::calls::Site;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};

impl<'t> Reader<'t> {
    /// Whether a condition always holds, or never, in this context.
    pub fn static_truth(&mut self, condition: Node<'t>, ctx: &Ctx<'t>) -> Option<bool> {
        match condition.kind() {
            "parenthesized_expression" => self.static_truth(condition.child(0)?, ctx),
            "not_operator" => Some(!self.static_truth(condition.field("argument")?, ctx)?),
            "identifier" | "true" | "false" => match self.at(condition, ctx) {
                Val::Bool(holds) => Some(holds),
                _ => None,
            },
            "call" if is_among("startswith endswith isupper", condition.callee_name()) => {
                match self.at(condition, ctx) {
                    Val::Bool(holds) => Some(holds),
                    _ => None,
                }
            }
            "boolean_operator" => {
                let sides = [condition.field("left")?, condition.field("right")?];
                let decides = condition.text_of("operator") == "or";
                let both = sides.map(|side| self.static_truth(side, ctx));
                if both.contains(&Some(decides)) {
                    Some(decides)
                } else {
                    both[0].and(both[1])
                }
            }
            "comparison_operator" => {
                let operator = condition.operators();
                let sides = [condition.child(0)?, condition.child(1)?];
                match &*operator {
                    // `name == "NAME"`
                    "==" | "!=" => {
                        let both = sides.map(|side| self.at(side, ctx));
                        let same = both[0].as_str()? == both[1].as_str()?;
                        Some(same == (operator == "=="))
                    }
                    // `name in NAMES`
                    "in" | "not in" => {
                        let name = self.at(sides[0], ctx);
                        let names = self.at(sides[1], ctx).elements()?;
                        let names: Option<Vec<&str>> = names.iter().map(Val::as_str).collect();
                        Some(names?.contains(&name.as_str()?) == (operator == "in"))
                    }
                    "is" | "is not" if sides[1].is("none") => {
                        let is_set = self.is_always_set(sides[0], ctx);
                        is_set.then_some(operator == "is not")
                    }
                    _ => None,
                }
            }
            // `name.startswith("TOOL_")`
            "call" => {
                let of = condition.field("function")?.field("object")?;
                let both = [of, condition.argument(0)?].map(|one| self.at(one, ctx));
                let (text, part) = (both[0].as_str()?, both[1].as_str()?);
                match condition.callee_name() {
                    "startswith" => Some(text.starts_with(part)),
                    "endswith" => Some(text.ends_with(part)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Whether a condition holds for the values of this context: `env is None` too, where the call
    /// gives no `env`.
    pub fn truth_in(&mut self, condition: Node<'t>, ctx: &Ctx<'t>) -> Option<bool> {
        let operator = condition.operators();
        if let (Some(of), Some(other)) = (condition.child(0), condition.child(1))
            && matches!(&*operator, "is" | "is not")
            && other.is("none")
            && self.at(of, ctx) == Val::None
        {
            return Some(operator == "is");
        }
        let is_known = self.exact && self.unbound.is_none();
        is_known.then(|| self.static_truth(condition, ctx))?
    }

    /// Whether a name stands for a text that is not empty, whatever calls the function.
    fn is_always_set(&mut self, name: Node<'t>, ctx: &Ctx<'t>) -> bool {
        let value = self.at(name, ctx);
        let is_open = |site: &Site<'t>| matches!(site, Site::Callback(_));
        let sites = name
            .function()
            .and_then(|function| self.sites.get(&function));
        name.is("identifier")
            && value.as_str().is_some_and(|text| !text.is_empty())
            && !sites.into_iter().flatten().any(is_open)
    }

    /// Whether no condition around a node is always false in this context.
    pub fn may_run(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> bool {
        node.steps_up().all(|(child, above)| {
            let is_part = |of: usize| above.child(of) == Some(child);
            let (tests, runs_if) = match above.kind() {
                "if_statement" | "elif_clause" => {
                    let condition = above.field("condition").into_iter().collect();
                    (condition, child.role() != "alternative")
                }
                "conditional_expression" if !is_part(1) => {
                    (above.condition().into_iter().collect(), is_part(0))
                }
                _ if above.is_comprehension() => {
                    let tests = above
                        .children_of("if_clause")
                        .filter(|_| child.role() == "body");
                    (tests.filter_map(|one| one.child(0)).collect(), true)
                }
                _ => (Vec::new(), true),
            };
            let is_given = above.text_of("operator") == "or" && child.role() == "right";
            let left = above.field("left").filter(|_| is_given);
            !tests
                .into_iter()
                .any(|test| self.static_truth(test, ctx) == Some(!runs_if))
                && !left.is_some_and(|left| self.is_always_set(left, ctx))
                && !skips(child, above).any(|skip| self.static_truth(skip, ctx) == Some(true))
        })
    }
}

/// The conditions under which the block leaves before one of its statements:
/// `if name == "A": continue`.
fn skips<'t>(statement: Node<'t>, block: Node<'t>) -> impl Iterator<Item = Node<'t>> {
    let all = block.children().filter(move |_| block.is("block"));
    let before = all.take_while(move |other| *other != statement);
    let leaves = |other: &Node<'t>| {
        let last = other.field_children("consequence").last();
        last.is_some_and(crate::python::program::reachability::ends)
    };
    let skips = before
        .filter(|other| other.is("if_statement"))
        .filter(leaves);
    skips.filter_map(|skip| skip.field("condition"))
}
