//! The numbers that a value is kept between: by `min` and `max`, by an `if` that sets it, or by one
//! that ends the job.

use super::branch_defaults::fails;
use super::usage::Usage;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};

impl Usage<'_> {
    /// The numbers that the value is cut to, or beyond which the job fails.
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
        let all = self.how.iter().filter_map(bound);
        let all: Vec<String> = all.chain(self.refused.iter().cloned()).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// Functions that make another text of one.
pub const DECODERS: &str = "b64decode b64encode urlsafe_b64decode unquote unquote_plus unescape";

impl Usage<'_> {
    /// What is made of the value: another number, the same text in another case or decoded, or a
    /// part of it.
    pub fn made(&self) -> impl Iterator<Item = String> {
        let is_made = |how: &&String| {
            let call = how.strip_suffix("()");
            let is_text = call.is_some_and(|call| matches!(call, "lower" | "upper"));
            let is_decoded = call.is_some_and(|call| is_among(DECODERS, call));
            how.starts_with(['*', '/', '[']) || is_text || is_decoded
        };
        self.how.iter().filter(is_made).cloned()
    }
}

impl<'t> Reader<'t> {
    /// Notes the numbers of a comparison by which the job fails: `if not 1 <= value <= 8: raise …`.
    pub fn note_refusal(&mut self, value: Node<'t>, name: &str, usage: &mut Usage<'t>) {
        let Some(comparison) = value.parent() else {
            return;
        };
        let is_joint =
            |one: &Node<'_>| one.is("parenthesized_expression") || one.text_of("operator") == "or";
        let negated = comparison.parent_of("not_operator");
        let mut above = negated.unwrap_or(comparison).ancestors();
        // Below `and` or another `not`, more decides than this.
        let holder = above.find(|one| !is_joint(one));
        let Some(holder) = holder.filter(|one| one.is_any("if_statement elif_clause")) else {
            return;
        };
        if !fails(holder) {
            return self.note_clamp(value, comparison, holder, usage);
        }
        let sides: Vec<Node<'t>> = comparison.children().collect();
        let operators = comparison.fields("operators").map(Node::text);
        for (pair, operator) in sides.windows(2).zip(operators) {
            let (number, is_right) = match (pair[0] == value, pair[1] == value) {
                (true, _) => (self.at(pair[1], &usage.ctx), true),
                (_, true) => (self.at(pair[0], &usage.ctx), false),
                _ => continue,
            };
            if let Some(limit) = limit(&number, operator, is_right, negated.is_some()) {
                usage.refused.insert(format!("{name}{limit}"));
            }
        }
    }

    /// `if value > 8: value = 8` is `min(value, 8)`.
    fn note_clamp(
        &mut self,
        value: Node<'t>,
        comparison: Node<'t>,
        holder: Node<'t>,
        usage: &mut Usage<'t>,
    ) {
        let kind = match &*comparison.operators() {
            ">" | ">=" => "min",
            "<" | "<=" => "max",
            _ => return,
        };
        let bound = comparison
            .child(1)
            .filter(|_| comparison.child(0) == Some(value));
        let bound = bound.and_then(|bound| self.at(bound, &usage.ctx).display());
        let first = holder
            .field_children("consequence")
            .next()
            .and_then(|one| one.child(0));
        let set = first.filter(|one| one.is("assignment") && one.text_of("left") == value.text());
        let set = set.and_then(|one| self.at(one.field("right")?, &usage.ctx).display());
        if let Some(bound) = bound.filter(|bound| set.as_ref() == Some(bound)) {
            usage.note_use(format!("{kind} {bound}"));
        }
    }
}

/// The limit that a comparison sets below or above which the job fails: `at most 8 or it fails`.
fn limit(number: &Val<'_>, operator: &str, is_right: bool, negated: bool) -> Option<String> {
    // What has to hold: the other way round of what fails, unless that is negated.
    let is_upper = match operator {
        ">" | ">=" => is_right,
        "<" | "<=" => !is_right,
        _ => return None,
    } != negated;
    let is_strict = operator.ends_with('=') != negated;
    let step = i64::from(is_strict);
    Some(match number {
        // Whether there is anything is no limit.
        Val::Int(0 | 1) if !is_upper => return None,
        Val::Int(number) if is_upper => {
            format!("at most {} or it fails", number.saturating_sub(step))
        }
        Val::Int(number) => format!("at least {} or it fails", number.saturating_add(step)),
        Val::Float(number) if is_upper && is_strict => format!("below {number} or it fails"),
        Val::Float(number) if is_upper => format!("at most {number} or it fails"),
        Val::Float(number) if is_strict => format!("above {number} or it fails"),
        Val::Float(number) => format!("at least {number} or it fails"),
        _ => return None,
    })
}
