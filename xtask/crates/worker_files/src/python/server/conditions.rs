//! The variables, files and machines that decide whether a flag is passed.

use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};
use crate::python::uses::negation::{is_nothing, opposite};
use crate::python::variables::environment::CALLERS;
use std::rc::Rc;

/// Expressions that hold values and decide nothing.
const HOLDERS: &str = "dictionary list tuple set";

/// How programs ask whether there is a file.
const FILE_TESTS: &str = "exists isfile isdir is_file is_dir";

impl<'t> Reader<'t> {
    /// The variables that an expression depends on, each with the words that it is compared with.
    pub fn deciders(&mut self, of: Node<'t>, ctx: &Ctx<'t>) -> Vec<(String, Vec<String>)> {
        let mut found = (Vec::new(), Vec::new());
        self.collect_deciders(of, ctx, CALLERS, &mut found);
        let (mut names, words) = found;
        names.dedup();
        let names = names.into_iter();
        names
            .map(|name| (name.to_string(), words.clone()))
            .collect()
    }

    /// Which file a condition asks for, by its path where that is known.
    pub fn file_test(&mut self, condition: Node<'t>, ctx: &Ctx<'t>) -> Option<String> {
        let asks = |one: &Node<'t>| is_among(FILE_TESTS, one.callee_name());
        let call = condition.subtree_of("call").find(asks)?;
        let path = call.argument(0).or(call.callee_object());
        let path = path.and_then(|path| self.at(path, ctx).display());
        let not = call.parent_of("not_operator").map_or("", |_| "not ");
        Some(match path {
            // `is_file` of a Path is `isfile`.
            Some(path) => format!("{not}{}(\"{path}\")", call.callee_name().replace('_', "")),
            None => self.fingerprinted(condition),
        })
    }

    /// What a condition asks the machine: `torch.cuda.device_count() > 1`.
    pub fn machine_test(&mut self, condition: Node<'t>, ctx: &Ctx<'t>) -> Option<String> {
        let comparison = condition.subtree_of("comparison_operator").next()?;
        let call = self.written(comparison.child(0)?);
        let is_question = call.is("call") && call.argument(0).is_none();
        let callee = call.field("function").filter(|_| is_question)?;
        let callee = self.at(callee, ctx);
        let to = self.at(comparison.child(1)?, ctx).display()?;
        let path = callee.path();
        let operators = comparison.operators();
        let operator = match self.is_inverted(comparison, ctx) {
            true => opposite(&operators),
            false => &operators,
        };
        let (operator, to) = match (operator, to.parse::<i64>()) {
            (">", Ok(to)) => (">=".to_owned(), (to + 1).to_string()),
            ("<", Ok(to)) => ("<=".to_owned(), (to - 1).to_string()),
            (operator, _) => (operator.to_owned(), to),
        };
        (!path.is_empty()).then(|| format!("{path}() {operator} {to}"))
    }

    /// The variables that decide whether a place is reached, with the words that they are compared
    /// with.
    pub fn deciding_variables(
        &mut self,
        node: Node<'t>,
        ctx: &Ctx<'t>,
    ) -> Vec<(String, Vec<String>)> {
        let mut found: Vec<(String, Vec<String>)> = Vec::new();
        for (condition, holds) in conditions(node) {
            if self.static_truth(condition, ctx) == Some(true) {
                continue;
            }
            for (name, mut words) in self.deciders(condition, ctx) {
                if !holds {
                    words = words.iter().map(|word| denied(word)).collect();
                }
                if !found.iter().any(|(own, _)| *own == name) {
                    found.push((name, words));
                }
            }
        }
        found
    }

    /// The variables that an expression depends on, and the words that they are compared with.
    pub fn collect_deciders(
        &mut self,
        condition: Node<'t>,
        ctx: &Ctx<'t>,
        calls: usize,
        found: &mut (Vec<Rc<str>>, Vec<String>),
    ) {
        if condition.is("case_clause") {
            let of = condition.ancestor("match_statement");
            if let Some(subject) = of.and_then(|of| of.field("subject")) {
                self.collect_deciders(subject, ctx, calls, found);
            }
            let patterns = condition.children_of("case_pattern");
            let words = patterns.flat_map(|pattern| pattern.subtree_of("string"));
            let words: Vec<_> = words
                .filter_map(|one| self.at(one, ctx).display())
                .collect();
            let any = words.is_empty().then(|| "*".to_owned());
            return found.1.extend(words.into_iter().chain(any));
        }
        for part in condition.subtree() {
            match part.kind() {
                "call" | "subscript" | "identifier" | "attribute" => {
                    let envs = self.at(part, ctx).envs();
                    // The one member of an object or dict decides, not all of it.
                    let whole = part.parent().map_or("", Node::kind);
                    let is_owner = matches!(part.role(), "object" | "value")
                        && matches!(whole, "attribute" | "subscript");
                    let is_known = !envs.is_empty();
                    found.0.extend(envs);
                    if calls > 0 && !is_known && !is_owner {
                        for (test, ctx) in self.tests_behind(part, ctx) {
                            self.collect_deciders(test, &ctx, calls - 1, found);
                        }
                    }
                }
                "comparison_operator" => {
                    let Some((left, right)) = part.child(0).zip(part.child(1)) else {
                        continue;
                    };
                    let value = self.at(right, ctx);
                    // A test of a fixed word says nothing: `"a" in NAMES`. `"a" in value` does.
                    let fixed = self.at(left, ctx).display();
                    if let Some(word) = fixed.filter(|_| !value.is_environ()) {
                        let is_part = part.membership().is_some() && !value.envs().is_empty();
                        found.1.extend(is_part.then(|| format!("*{word}*")));
                        continue;
                    }
                    let operator = part.operators();
                    let is_other = operator == "!=" || operator.contains("not");
                    let is_denied = is_other != self.is_inverted(part, ctx);
                    let all = value.elements_or_each();
                    let all = all.iter().filter_map(Val::as_str).filter(|w| !w.is_empty());
                    found.1.extend(all.map(|word| match is_denied {
                        true => denied(word),
                        false => word.to_owned(),
                    }));
                    if value.is_environ()
                        && let Val::Str(name, _) = self.at(left, ctx)
                    {
                        found.0.push(name);
                    }
                }
                _ => {}
            }
        }
    }

    /// The tests that a name or a call in a condition stands for, each with its context.
    fn tests_behind(&mut self, part: Node<'t>, ctx: &Ctx<'t>) -> Vec<(Node<'t>, Ctx<'t>)> {
        // A name stands for what it was set to: `on = value.lower() in YES`.
        let mut tests: Vec<(Node<'t>, Ctx<'t>)> = Vec::new();
        for set in self.definitions_of(part) {
            let all = match set.is_decorated("property") {
                true => self.return_values(set),
                false => [set].into(),
            };
            let is_test = |one: &&Node<'t>| one.is_any("comparison_operator call");
            tests.extend(all.iter().filter(is_test).map(|one| (*one, ctx.clone())));
        }
        // `if is_on("NAME")`
        let callee = part.field("function");
        let callee = callee.map_or(Val::Unknown, |callee| self.at(callee, ctx));
        let bound = self.bind_in(&callee, part, ctx);
        if let (Some((own, inner)), Val::Func(..)) = (bound, &callee) {
            let all = self.return_values(own);
            let decides = |one: &&Node<'t>| !one.is_any(HOLDERS);
            tests.extend(all.iter().filter(decides).map(|one| (*one, inner.clone())));
        }
        tests
    }
}

/// Any word but one: `not a`. That of `not a` is `a`.
fn denied(word: &str) -> String {
    let other = word.strip_prefix("not ").map(str::to_owned);
    other.unwrap_or_else(|| format!("not {word}"))
}

/// The conditions under which a place is reached, within its function, and whether each must hold.
/// One that skips the place is told by its words.
pub fn conditions(node: Node<'_>) -> Vec<(Node<'_>, bool)> {
    let mut all: Vec<(Node<'_>, bool)> = Vec::new();
    let holds = |condition| (condition, true);
    for (child, above) in node.steps_up() {
        match above.kind() {
            "if_statement" | "elif_clause" if child.role() == "consequence" => {
                all.extend(above.field("condition").map(holds));
            }
            "case_clause" if child.role() == "consequence" => all.push((above, true)),
            "conditional_expression" if above.child(1) != Some(child) => {
                // The words of `[] if test else ["--flag"]` are turned round already.
                let then = above.child(0);
                let is_then = then == Some(child) || then.is_some_and(is_nothing);
                all.extend(above.child(1).map(|test| (test, is_then)));
            }
            "block" => {
                let before = above.children().take_while(|other| *other != child);
                let skips = before.filter(|other| {
                    other.is("if_statement") && other.text_of("consequence").contains("continue")
                });
                all.extend(skips.filter_map(|skip| skip.field("condition")).map(holds));
            }
            _ if above.is_comprehension() => {
                let clauses = above.children_of("if_clause");
                all.extend(clauses.filter_map(|c| c.child(0)).map(holds));
            }
            _ => {}
        }
    }
    all
}
