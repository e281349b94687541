//! Writes into a job's input, and removals.

use super::eval::Reader;
use super::handler::is_input;
use super::syntax::Node;
use super::value::Val;
use crate::Hides;

impl<'t> Reader<'t> {
    /// Notes a write of a key, or its removal.
    pub fn note_key_write(
        &mut self,
        node: Node<'t>,
        object: Node<'t>,
        key: Node<'t>,
        value: Option<Node<'t>>,
    ) {
        let name = self.value(key);
        let text = value.map_or_else(
            || "removed".to_owned(),
            |value| self.display_or_source(value),
        );
        self.note_writes(node, object, &name, &text);
    }

    fn note_writes(&mut self, node: Node<'t>, object: Node<'t>, name: &Val<'t>, text: &str) {
        for path in self.input_paths(object) {
            for name in name.each() {
                if let Val::Str(..) = name {
                    if let Some(known) = self.input_entry(node, &path.item(name)) {
                        known.set.insert(text.to_owned());
                    }
                } else if !matches!(name, Val::Int(_) | Val::Never) {
                    let what = "the name of what is put into the job's input is computed";
                    self.not_read(node, what, &[Hides::JobInput]);
                }
            }
        }
    }

    /// Notes the writes of a dict's entries or of keyword arguments. With `under`, they are only
    /// defaults.
    pub fn note_all_writes(&mut self, object: Node<'t>, more: Node<'t>, under: bool) {
        match (more.kind(), more.field("key").zip(more.field("value"))) {
            ("pair", Some((key, value))) if under => {
                self.note_key_reads(key, object, key, Some(value), false);
            }
            ("pair", Some((key, value))) => self.note_key_write(key, object, key, Some(value)),
            ("keyword_argument", _) => {
                let text = more
                    .field("value")
                    .map(|value| self.display_or_source(value));
                let name = Val::text(more.text_of("name"));
                self.note_writes(more, object, &name, &text.unwrap_or_default());
            }
            ("dictionary" | "argument_list", _) => {
                let inner: Vec<_> = more.children().collect();
                inner
                    .into_iter()
                    .for_each(|inner| self.note_all_writes(object, inner, under));
            }
            ("dictionary_splat", _) => {
                more.children()
                    .for_each(|inner| self.note_all_writes(object, inner, under));
            }
            _ => match self.value(more) {
                Val::Dict(items) => {
                    for (name, value) in items.iter() {
                        let text = value
                            .display()
                            .unwrap_or_else(|| self.display_or_source(more));
                        match under {
                            true => self.input_paths(object).iter().for_each(|path| {
                                self.note_key(more, &path.item(name), Some(text.clone()), false);
                            }),
                            false => self.note_writes(more, object, name, &text),
                        }
                    }
                }
                value if is_input(&value) => {}
                _ => {
                    let what = "what is put into the job's input was not followed";
                    self.not_read(more, what, &[Hides::JobInput]);
                }
            },
        }
    }

    /// `input |= {…}`.
    pub fn input_joined(&mut self, node: Node<'t>) {
        if let Some((left, right)) = node.field("left").zip(node.field("right"))
            && node.text_of("operator") == "|="
            && is_input(&self.value(left))
        {
            self.note_all_writes(left, right, false);
        }
    }

    /// `{**input, …}`, `input | {…}`: a copy with something else in it.
    pub fn input_extended(&mut self, node: Node<'t>) {
        let children: Vec<_> = node.children().collect();
        let is_dict = node.kind() == "dictionary";
        if !is_dict && node.text_of("operator") != "|" {
            return;
        }
        for (at, inner) in children.iter().enumerate() {
            let object = match inner.kind() {
                "dictionary_splat" => inner.child(0),
                _ => Some(*inner).filter(|_| !is_dict),
            };
            let Some(object) = object.filter(|one| is_input(&self.value(*one))) else {
                continue;
            };
            for (place, other) in children
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != at)
            {
                self.note_all_writes(object, *other, place < at);
            }
        }
    }
}
