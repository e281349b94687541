//! What the program writes into a job's input.

use super::job_input::REMOVED;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::Node;
use crate::python::program::scope::{Binding, Bound};

/// Why the job's input is unread where all of it is stored.
const STORED: &str = "the job's input is stored where it was not followed";

impl<'t> Reader<'t> {
    /// An assignment of all of the input to something that does not hold it afterwards.
    pub fn input_stored(&mut self, node: Node<'t>) {
        let (Some(left), Some(right)) = (node.field("left"), node.field("right")) else {
            return;
        };
        // What a function puts into a value of its own goes where that goes.
        let name = left
            .field("value")
            .filter(|name| left.is("subscript") && name.is("identifier"));
        let found = name.and_then(|name| self.program.lookup(name, name.text()));
        let is_local = found.is_some_and(|(scope, bindings)| {
            let is_parameter = |it: &Binding| matches!(it.what, Bound::Parameter(_));
            scope.is("function_definition") && !bindings.iter().any(is_parameter)
        });
        if left.is_any("attribute subscript")
            && !is_local
            && self.value(right).holds_whole_input()
            && !self.value(left).holds_whole_input()
        {
            self.input_unread(node, STORED);
        }
    }

    /// Notes a write of a key, or its removal.
    pub fn note_key_write(
        &mut self,
        node: Node<'t>,
        object: Node<'t>,
        key: Node<'t>,
        value: Option<Node<'t>>,
    ) {
        let name = self.value(key);
        let text = value.map(|value| self.display_or_source(value));
        self.note_writes(node, object, &name, text.as_deref().unwrap_or(REMOVED));
    }

    fn note_writes(&mut self, node: Node<'t>, object: Node<'t>, name: &Val<'t>, text: &str) {
        for path in self.input_paths(object) {
            for name in name.each() {
                if let Val::Str(..) = name {
                    if let Some(entry) = self.input_entry(node, &path.item(name)) {
                        entry.set.insert(text.to_owned());
                    }
                } else if !matches!(name, Val::Int(_) | Val::Never) {
                    let what = "the name of what is put into the job's input is computed";
                    self.input_unread(node, what);
                }
            }
        }
    }

    /// Notes the writes of a dict's entries or of keyword arguments. With `only_defaults`, keys of
    /// the input win over them.
    pub fn note_all_writes(&mut self, object: Node<'t>, more: Node<'t>, only_defaults: bool) {
        match (more.kind(), more.field("key").zip(more.field("value"))) {
            ("pair", Some((key, value))) if only_defaults => {
                self.note_key_reads(key, object, key, Some(value), false);
            }
            ("pair", Some((key, value))) => self.note_key_write(key, object, key, Some(value)),
            ("keyword_argument", _) => {
                let value = more.field("value");
                let text = value.map(|value| self.display_or_source(value));
                let name = Val::text(more.text_of("name"));
                self.note_writes(more, object, &name, &text.unwrap_or_default());
            }
            ("dictionary" | "argument_list" | "dictionary_splat", _) => {
                for inner in more.children() {
                    self.note_all_writes(object, inner, only_defaults);
                }
            }
            _ => match self.value(more) {
                Val::Dict(items) => {
                    for (name, value) in items.iter() {
                        let text = value.display();
                        let text = text.unwrap_or_else(|| self.display_or_source(more));
                        if !only_defaults {
                            self.note_writes(more, object, name, &text);
                            continue;
                        }
                        for path in self.input_paths(object) {
                            self.note_key(more, &path.item(name), Some(text.clone()), false);
                        }
                    }
                }
                value if value.is_input() => {}
                _ => self.input_unread(more, "what is put into the job's input was not followed"),
            },
        }
    }

    /// `input |= {…}`.
    pub fn input_joined(&mut self, node: Node<'t>) {
        if let Some((left, right)) = node.field("left").zip(node.field("right"))
            && node.text_of("operator") == "|="
            && self.value(left).is_input()
        {
            self.note_all_writes(left, right, false);
        }
    }

    /// `{**input, …}`, `dict(input, …)`, `input | {…}`: a copy with something else in it.
    pub fn input_extended(&mut self, node: Node<'t>) {
        let is_dict = node.is("dictionary");
        // `"%(name)s" % input`
        if node.text_of("operator") == "%"
            && node.text_of("left").contains("%(")
            && node
                .field("right")
                .is_some_and(|all| self.value(all).holds_whole_input())
        {
            self.input_unread(node, "a text is made of the job's input");
        }
        let parts: Vec<Node<'t>> = match node.kind() {
            "call" => node.arguments().collect(),
            _ if is_dict || node.text_of("operator") == "|" => node.children().collect(),
            _ => return,
        };
        for (at, inner) in parts.iter().copied().enumerate() {
            let object = match inner.kind() {
                "dictionary_splat" => inner.child(0),
                _ => Some(inner).filter(|_| !is_dict),
            };
            let Some(object) = object.filter(|one| self.value(*one).is_input()) else {
                continue;
            };
            let all = parts.iter().copied().enumerate();
            for (place, other) in all.filter(|(place, _)| *place != at) {
                self.note_all_writes(object, other, place < at);
            }
        }
    }
}
