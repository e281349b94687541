//! Lists, dicts, comprehensions and subscripts.

use super::contexts::{Ctx, Frame};
use super::eval::{MOST_CONTEXTS, Reader};
use super::text::slice;
use super::value::Val;
use crate::python::program::node::Node;
use std::rc::Rc;

impl<'t> Reader<'t> {
    pub fn sequence(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let mut items = Vec::new();
        for child in node.children() {
            if child.is("list_splat") {
                let inner = self.eval_opt(child.child(0), ctx);
                items.extend(inner.elements_or_unknown());
            } else {
                items.push(self.eval(child, ctx));
            }
        }
        Val::list(items)
    }

    pub fn dictionary(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let mut items = Vec::new();
        let mut whole = None;
        for child in node.children() {
            if child.is("pair") {
                let key = self.eval_opt(child.field("key"), ctx);
                items.push((key, self.eval_opt(child.field("value"), ctx)));
            } else if child.is("dictionary_splat") {
                match self.eval_opt(child.child(0), ctx) {
                    Val::Dict(more) => items.extend(more.iter().cloned()),
                    Val::Environ(more) => {
                        items = Val::as_defaults(&items).collect();
                        items.extend(more.iter().cloned());
                        whole = Some(Val::Environ(Rc::from([])));
                    }
                    input @ (Val::Input(_) | Val::Job) => whole = Some(input),
                    other => items.extend(other.joined_pairs()),
                }
            }
        }
        match whole {
            Some(Val::Environ(_)) => Val::Environ(items.into()),
            Some(input) => input,
            None => Val::Dict(items.into()),
        }
    }

    /// The value of a comprehension: its body for each element.
    pub fn comprehension(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let Some(body) = node.field("body") else {
            return Val::Unknown;
        };
        let is_dict = body.is("pair");
        let mut contexts = vec![ctx.clone()];
        for clause in node.children_of("for_in_clause") {
            let mut next = Vec::new();
            for ctx in contexts {
                let iter = self.eval_opt(clause.field("right"), &ctx);
                if matches!(iter, Val::Input(_)) {
                    return iter;
                }
                if let Some(input) = copied_input(node, clause, &iter) {
                    return input;
                }
                // A dict made of the environment is a copy; a list is names or values.
                if is_dict && iter.is_environ() {
                    return self.copied_environment(node, clause, iter);
                }
                let Some(items) = self.elements(&iter) else {
                    return if iter.is_lost() {
                        Val::Lost
                    } else {
                        Val::Unknown
                    };
                };
                let bind = |item| ctx.with(clause, Frame::Element(item));
                next.extend(items.into_iter().map(bind));
            }
            contexts = next;
            self.steps += contexts.len();
            if contexts.len() > MOST_CONTEXTS {
                self.gave_up = true;
                return Val::Lost;
            }
        }
        for test in node.children_of("if_clause").filter_map(|one| one.child(0)) {
            contexts.retain(|ctx| self.static_truth(test, ctx) != Some(false));
        }
        let contexts = contexts.iter();
        if is_dict {
            let pair = |ctx| {
                let key = self.eval_opt(body.field("key"), ctx);
                (key, self.eval_opt(body.field("value"), ctx))
            };
            Val::Dict(contexts.map(pair).collect())
        } else {
            Val::list(contexts.map(|ctx| self.eval(body, ctx)).collect())
        }
    }

    /// The dict that a comprehension makes of the environment. Reads of it are followed where it
    /// keeps the names of the variables.
    fn copied_environment(&mut self, node: Node<'t>, clause: Node<'t>, iter: Val<'t>) -> Val<'t> {
        let left = clause.field("left");
        let key = left.and_then(|left| left.child(0)).or(left);
        let key = key.map_or("", Node::text);
        if node
            .field("body")
            .is_none_or(|pair| pair.text_of("key") != key)
        {
            Val::Unknown
        } else if self.names_compared(node, key).is_empty() {
            iter
        } else {
            Val::picked_environ()
        }
    }

    pub fn subscript(&mut self, node: Node<'t>, ctx: &Ctx<'t>) -> Val<'t> {
        let object = self.eval_opt(node.field("value"), ctx);
        let Some(key) = node.field("subscript") else {
            return Val::Unknown;
        };
        if key.is("slice") {
            return match object {
                Val::Str(text, at) => {
                    let chars: Vec<char> = text.chars().collect();
                    let cut = slice(key.text(), &chars).map(String::from_iter);
                    cut.map_or(Val::Unknown, |cut| Val::Str(cut.into(), at))
                }
                // Of one that is put together only sometimes it is not known what stands where.
                Val::List(items) if items.len() > 1 && items.iter().all(Val::is_word) => {
                    let cut = slice(key.text(), &items).map(<[_]>::to_vec);
                    cut.map_or(Val::List(items), Val::list)
                }
                list @ (Val::List(_) | Val::Input(_) | Val::Lost) => list,
                _ => Val::Unknown,
            };
        }
        let key = self.eval(key, ctx);
        self.item(&object, &key)
    }
}

/// The job's input, of which a comprehension makes a dict without some of its keys:
/// `{key: value for key, value in input.items() if key not in NAMES}`.
fn copied_input<'t>(node: Node<'t>, clause: Node<'t>, iter: &Val<'t>) -> Option<Val<'t>> {
    let pair = node.field("body").filter(|body| body.is("pair"))?;
    let targets = clause.field("left")?.children().map(Node::text);
    let is_copy = [pair.text_of("key"), pair.text_of("value")]
        .into_iter()
        .eq(targets);
    // Any other test may pick some keys.
    let value = pair.text_of("value");
    let keeps = |test: Node<'t>| {
        let operators = test.operators();
        match test.kind() {
            "comparison_operator" if test.child(0).is_some_and(|left| left.text() == value) => {
                operators == "is not" || operators == "!="
            }
            "comparison_operator" => operators == "not in" || operators == "!=",
            _ => test.text() == value,
        }
    };
    let tests = node
        .children_of("if_clause")
        .filter_map(|clause| clause.child(0));
    let mut tests = tests.flat_map(Node::terms);
    let item = iter.item(&Val::Int(0)).item(&Val::Int(1));
    (is_copy && matches!(item, Val::Input(_)) && tests.all(keeps)).then_some(item)
}
