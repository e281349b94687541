//! What must hold together where a flag is passed: which variables must say so, and which must not.

use std::collections::BTreeSet;

use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::Node;
use crate::python::program::reachability::ends;
use crate::python::variables::environment::CALLERS;

/// Words that switch something off.
const OFF: [&str; 5] = ["", "0", "false", "no", "off"];

/// Variables of which one must hold, or none.
type Group = (bool, BTreeSet<String>);

impl<'t> Reader<'t> {
    /// The conditions around a flag that its own variables do not tell: `A, B or C, not D`.
    pub fn needs(&mut self, node: Node<'t>, own: &[&str], ctx: &Ctx<'t>) -> Option<String> {
        let mut groups: BTreeSet<Group> = BTreeSet::new();
        for (condition, holds) in around(node) {
            self.collect_groups(condition, holds, ctx, &mut groups);
        }
        let is_own = |names: &BTreeSet<String>| names.iter().any(|name| own.contains(&&**name));
        // In a chain of branches on one variable each excludes those before it.
        let wanted: BTreeSet<String> = {
            let wanted = groups.iter().filter(|(holds, _)| *holds);
            wanted.flat_map(|(_, names)| names.clone()).collect()
        };
        groups.retain(|(holds, names)| !is_own(names) && (*holds || !names.is_subset(&wanted)));
        // One variable alone is told with the flag.
        let is_plain = |(_, names): &Group| names.len() == 1;
        if groups.len() < 2 && own.is_empty() && groups.iter().all(is_plain) {
            return None;
        }
        let told = groups.into_iter().map(|(holds, names)| {
            let names = names.into_iter().collect::<Vec<_>>().join(" or ");
            if holds { names } else { format!("not {names}") }
        });
        let told: BTreeSet<String> = told.collect();
        (!told.is_empty()).then(|| told.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// The variables of a condition, by what must hold at once.
    fn collect_groups(
        &mut self,
        condition: Node<'t>,
        holds: bool,
        ctx: &Ctx<'t>,
        groups: &mut BTreeSet<Group>,
    ) {
        let mut inner = |role: &'static str, holds: bool| {
            if let Some(part) = condition.field(role) {
                self.collect_groups(part, holds, ctx, groups);
            }
        };
        let at_once = if holds { "and" } else { "or" };
        match condition.kind() {
            "parenthesized_expression" => {
                let part = condition.without_parentheses();
                return self.collect_groups(part, holds, ctx, groups);
            }
            "identifier" => {
                let is_before = |at: &Node<'t>| at.range().end <= condition.range().start;
                if let [written] = self.definitions_of(condition).as_slice()
                    && is_before(written)
                    && written.is_any("boolean_operator not_operator")
                {
                    return self.collect_groups(*written, holds, ctx, groups);
                }
            }
            "call" => match (condition.callee_name(), condition.argument(0)) {
                ("bool", Some(of)) => return self.collect_groups(of, holds, ctx, groups),
                ("all", Some(list)) if holds && list.is_any("list tuple") => {
                    let parts = list.children();
                    return parts.for_each(|part| self.collect_groups(part, holds, ctx, groups));
                }
                _ => {}
            },
            "not_operator" => return inner("argument", !holds),
            "boolean_operator" if condition.text_of("operator") == at_once => {
                inner("left", holds);
                return inner("right", holds);
            }
            _ => {}
        }
        if self.static_truth(condition, ctx).is_some() {
            return;
        }
        let mut found = (Vec::new(), Vec::new());
        self.collect_deciders(condition, ctx, CALLERS, &mut found);
        let names: BTreeSet<String> = found.0.iter().map(ToString::to_string).collect();
        if !names.is_empty() {
            let holds = holds != self.asks_for_less(condition, ctx);
            groups.insert((holds, names));
        }
    }

    /// Whether a comparison holds where a variable is off: `!= "1"`, `is None`, not `!= "false"`.
    fn asks_for_less(&mut self, comparison: Node<'t>, ctx: &Ctx<'t>) -> bool {
        let operator = comparison.operators();
        let is_other = operator == "!=" || operator.contains("not");
        let is_nothing = comparison.child(1).is_some_and(|other| {
            let value = self.at(other, ctx);
            let is_off = |text: &str| OFF.iter().any(|word| word.eq_ignore_ascii_case(text));
            matches!(value, Val::None | Val::Bool(false)) || value.as_str().is_some_and(is_off)
        });
        comparison.is("comparison_operator") && is_other != is_nothing
    }
}

/// The conditions under which a place is reached within its function, and whether each must hold.
fn around(node: Node<'_>) -> Vec<(Node<'_>, bool)> {
    let mut all = Vec::new();
    let mut note = |condition: Option<_>, holds| all.extend(condition.map(|one| (one, holds)));
    for (child, above) in node.steps_up() {
        match above.kind() {
            "if_statement" | "elif_clause" if child.role() == "consequence" => {
                note(above.condition(), true);
            }
            "if_statement" if child.role() == "alternative" => {
                note(above.condition(), false);
                let before = above.fields("alternative").take_while(|one| *one != child);
                before.for_each(|one| note(one.condition(), false));
            }
            "conditional_expression" if above.condition() != Some(child) => {
                note(above.condition(), above.child(0) == Some(child));
            }
            "block" => {
                let before = above.children().take_while(|other| *other != child);
                before
                    .filter(|other| leaves(*other))
                    .for_each(|other| note(other.condition(), false));
            }
            _ if above.is_comprehension() => {
                let clauses = above.children_of("if_clause");
                clauses.for_each(|clause| note(clause.child(0), true));
            }
            _ => {}
        }
    }
    all
}

/// An `if` that leaves a function or a loop; one that ends the program or the job is none.
fn leaves(statement: Node<'_>) -> bool {
    let body = statement.field("consequence");
    let last = body.and_then(|body| body.children().last());
    statement.is("if_statement")
        && statement.field("alternative").is_none()
        && last.is_some_and(|last| {
            ends(last) && last.is_any("return_statement continue_statement break_statement")
        })
}
