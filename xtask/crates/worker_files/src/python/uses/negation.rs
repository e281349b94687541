//! Whether a test counts where it holds, or where it does not: `not`, `is False`, `if test: return`.

use crate::python::evaluation::contexts::{Ctx, Frame};
use crate::python::evaluation::eval::Reader;
use crate::python::program::node::{Node, is_among};
use crate::python::program::reachability::ends;

/// The most places that are looked at for one test.
const MOST_PLACES: usize = 100;

/// Functions that give the truth of their argument.
const TRUTHS: &str = "bool all any";

impl<'t> Reader<'t> {
    /// Whether a test counts only where it does not hold. `not a == b` is as good as `a != b`.
    pub fn is_inverted(&mut self, test: Node<'t>, ctx: &Ctx<'t>) -> bool {
        self.inverts(test, ctx, &mut { MOST_PLACES })
    }

    fn inverts(&mut self, test: Node<'t>, ctx: &Ctx<'t>, most: &mut usize) -> bool {
        let Some(parent) = test.parent().filter(|_| *most > 0) else {
            return false;
        };
        *most -= 1;
        self.steps += 1;
        match parent.kind() {
            "not_operator" => !self.inverts(parent, ctx, most),
            "comparison_operator" => denies(parent) != self.inverts(parent, ctx, most),
            "parenthesized_expression" | "boolean_operator" => self.inverts(parent, ctx, most),
            "conditional_expression" if parent.condition() != Some(test) => {
                self.inverts(parent, ctx, most)
            }
            "conditional_expression" => {
                let [then, otherwise] = [0, 2].map(|at| parent.child(at).is_some_and(is_nothing));
                then && !otherwise
            }
            "if_statement" => test.role() == "condition" && is_skip(parent),
            "assignment" | "named_expression" => {
                let target = parent.field("left").or(parent.field("name"));
                target.is_some_and(|target| self.all_invert(target, ctx, most))
            }
            "argument_list" | "keyword_argument" => parent
                .parent_of("call")
                .filter(|call| is_among(TRUTHS, call.callee_name()))
                .is_some_and(|call| self.inverts(call, ctx, most)),
            "return_statement" | "lambda" => {
                let function = match parent.kind() {
                    "lambda" => Some(parent),
                    _ => parent.function(),
                };
                let call = function.and_then(|function| match ctx.frame(function) {
                    Some(Frame::Call(_, call)) => *call,
                    _ => self.only_call(function),
                });
                call.is_some_and(|call| self.inverts(call, &ctx.around(call), most))
            }
            _ => false,
        }
    }

    /// Whether every use of a name or attribute that holds a test is inverted.
    fn all_invert(&mut self, target: Node<'t>, ctx: &Ctx<'t>, most: &mut usize) -> bool {
        let name = target.last_name();
        let is_member = target.is("attribute") || target.scope().is("class_definition");
        let files = 0..self.program.files.len();
        let uses: Vec<Node<'t>> = if is_member {
            let all = files.filter_map(|file| self.program.uses.get(&(file, name)));
            let members = all.flatten().filter(|one| one.role() == "attribute");
            members.filter_map(|one| one.parent()).collect()
        } else {
            self.program.uses_of(target.scope(), name)
        };
        self.steps += uses.len();
        let is_target =
            |one: &Node<'t>| one.parent_of("assignment").is_some() && one.role() == "left";
        let is_said = |one: &Node<'t>| {
            let call = one.parent_of("argument_list").and_then(Node::parent);
            call.is_some_and(Node::is_message)
        };
        let uses = uses.into_iter();
        let uses = uses.filter(|one| *one != target && !is_target(one) && !is_said(one));
        let uses: Vec<Node<'t>> = uses.collect();
        !uses.is_empty() && uses.into_iter().all(|one| self.inverts(one, ctx, most))
    }
}

/// `test is False`, `test != True`
fn denies(comparison: Node<'_>) -> bool {
    let operators = comparison.operators();
    let is_other = operators.contains("not") || operators == "!=";
    let sides = || comparison.children().map(Node::kind);
    let is_yes = sides().any(|kind| kind == "true");
    (is_yes || sides().any(|kind| kind == "false")) && is_yes == is_other
}

/// A branch that gives nothing: `[] if test else ["--flag"]`.
pub fn is_nothing(branch: Node<'_>) -> bool {
    matches!(
        branch.text(),
        "[]" | "()" | "{}" | "\"\"" | "''" | "None" | "False"
    )
}

/// Whether an `if` only leaves: `if test: return`.
fn is_skip(holder: Node<'_>) -> bool {
    let body = holder.field("consequence");
    let last = body.and_then(|body| body.children().last());
    let is_bare = |last: Node<'_>| {
        !last.is("raise_statement") && last.child(0).is_none_or(|value| value.is("none"))
    };
    holder.field("alternative").is_none() && last.is_some_and(|last| ends(last) && is_bare(last))
}

/// The operator that holds where another does not.
pub fn opposite(operator: &str) -> &str {
    const PAIRS: [(&str, &str); 5] = [
        ("==", "!="),
        ("in", "not in"),
        ("is", "is not"),
        ("<", ">="),
        (">", "<="),
    ];
    let mut both = PAIRS.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
    both.find_map(|(own, other)| (own == operator).then_some(other))
        .unwrap_or(operator)
}
