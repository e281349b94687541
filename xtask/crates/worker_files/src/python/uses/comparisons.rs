//! What a value is compared with, looked up in or chosen from.

use super::negation::opposite;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::Node;

use super::usage::Usage;

/// The most words of a table whose values are told.
const MOST_WORDS: usize = 32;

impl<'t> Reader<'t> {
    /// The words of a `match`, and the default that `case None:` gives.
    pub fn follow_cases(&mut self, holder: Node<'t>, usage: &mut Usage<'t>) {
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

    pub fn follow_comparison(&mut self, node: Node<'t>, parent: Node<'t>, usage: &mut Usage<'t>) {
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
    pub fn note_other_value(&mut self, node: Node<'t>, holder: Node<'t>, usage: &mut Usage<'t>) {
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
    pub fn follow_lookup(&mut self, table: Option<Node<'t>>, usage: &mut Usage<'t>) {
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
    pub fn arithmetic(
        &mut self,
        node: Node<'t>,
        parent: Node<'t>,
        ctx: &Ctx<'t>,
    ) -> Option<String> {
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

    /// The values that an enumeration or an option of the command line lets through.
    pub fn note_choices(
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
}

/// The choice that a name in its condition is set for: `value if (value := …) else other`.
pub fn chosen_by(target: Node<'_>) -> Option<Node<'_>> {
    let set = target.parent_of("named_expression")?;
    let mut choices = set
        .local_ancestors()
        .filter(|above| above.is("conditional_expression"));
    choices.next()
}

/// Whether a function gives the first of its arguments for which a test holds: by `next`, or by a
/// loop that returns it.
pub fn picks_first(body: Node<'_>, parameter: &str) -> bool {
    let of = |one: Node<'_>| one.text_of("right") == parameter;
    body.subtree().any(|one| match one.kind() {
        "for_statement" => of(one) && one.subtree_of("return_statement").next().is_some(),
        "for_in_clause" => of(one) && one.parent().and_then(Node::call_of_list) == Some("next"),
        _ => false,
    })
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
