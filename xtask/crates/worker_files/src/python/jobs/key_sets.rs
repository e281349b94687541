//! Sets of keys that the job's input is compared with: `set(input) - KNOWN`, `REQUIRED <= input.keys()`.

use super::job_input::COMPUTED_KEY;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};

/// Methods of sets that compare one with another.
const METHODS: &str = "issubset issuperset difference intersection isdisjoint symmetric_difference";

impl<'t> Reader<'t> {
    /// An operator or a method of sets between the keys of the input and others.
    pub fn input_key_set(&mut self, node: Node<'t>) {
        let sides = match node.kind() {
            "call" if is_among(METHODS, node.callee_name()) => {
                [node.callee_object(), node.argument(0)]
            }
            "comparison_operator" if is_among("<= >= < > == !=", &node.operators()) => {
                [node.child(0), node.child(1)]
            }
            "binary_operator" if is_among("- & ^", node.text_of("operator")) => {
                [node.field("left"), node.field("right")]
            }
            _ => return,
        };
        let [Some(left), Some(right)] = sides else {
            return;
        };
        let (keys, others) = match (self.keys_of_input(left), self.keys_of_input(right)) {
            (Some(keys), None) => (keys, right),
            (None, Some(keys)) => (keys, left),
            _ => return,
        };
        let names = self.value(others).elements_or_unknown();
        for name in names {
            match name.as_str() {
                Some(_) => self.note_key(node, &keys.item(&name), None, false),
                None => self.input_unread(node, COMPUTED_KEY),
            }
        }
    }

    /// The input whose keys an expression is: `input.keys()`, `set(input)`; of a method's side, the
    /// input itself.
    fn keys_of_input(&mut self, node: Node<'t>) -> Option<Val<'t>> {
        let made = self.written(node);
        let of = match made.callee_name() {
            "keys" => made.callee_object(),
            "set" | "frozenset" => made.argument(0),
            _ => Some(made).filter(|_| node.parent_of("argument_list").is_some()),
        };
        let of = self.value(of?);
        of.each()
            .iter()
            .find(|one| matches!(one, Val::Input(_)))
            .cloned()
    }
}
