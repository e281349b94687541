//! The numbers that a value is kept between: by `min` and `max`, by an `if` that sets it, or by one
//! that ends the job.

use super::branch_defaults::fails;
use super::eval::Reader;
use super::syntax::Node;
use super::usage::Usage;
use super::value::Val;

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

impl<'t> Reader<'t> {
    /// Notes the numbers of a comparison by which the job fails: `if not 1 <= value <= 8: raise …`.
    pub fn note_refusal(&mut self, value: Node<'t>, name: &str, usage: &mut Usage<'t>) {
        let Some(comparison) = value.parent() else {
            return;
        };
        let mut above = comparison.ancestors();
        let holder =
            above.find(|one| !one.is_any("not_operator parenthesized_expression boolean_operator"));
        let Some(holder) = holder else { return };
        if !fails(holder) {
            return self.note_clamp(value, comparison, holder, usage);
        }
        let mut operators = comparison.fields("operators").map(Node::text);
        let (mut parts, mut numbers) = (Vec::new(), 0);
        for child in comparison.children() {
            let number = self.at(child, &usage.ctx);
            let number = Some(number).filter(|one| matches!(one, Val::Int(_) | Val::Float(_)));
            // Whether there is anything is no limit.
            numbers += usize::from(number.as_ref().is_some_and(|one| *one != Val::Int(0)));
            match number.and_then(|one| one.display()) {
                _ if child == value => parts.push(name.to_owned()),
                Some(number) => parts.push(number),
                None => return,
            }
            parts.extend(operators.next().map(str::to_owned));
        }
        if numbers > 0 {
            let is_negated = comparison.parent_of("not_operator").is_some();
            let not = if is_negated { "" } else { "not " };
            usage.refused.insert(format!("{not}{}", parts.join(" ")));
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
