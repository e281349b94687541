//! Writes into a job's input, and removals.

use super::eval::Reader;
use super::handler::is_input;
use super::syntax::Node;
use super::value::Val;
use crate::Hides;

impl<'t> Reader<'t> {
    /// Notes a write of a key, or its removal.
    pub fn put(
        &mut self,
        node: Node<'t>,
        object: Node<'t>,
        key: Node<'t>,
        value: Option<Node<'t>>,
    ) {
        let name = self.value(key);
        let text = value.map(|value| self.shown(value));
        self.puts(node, object, &name, text);
    }

    fn puts(&mut self, node: Node<'t>, object: Node<'t>, name: &Val<'t>, text: Option<String>) {
        let text = text.unwrap_or_else(|| "removed".to_owned());
        for path in self.input_paths(object) {
            for name in name.each() {
                match name {
                    Val::Str(..) => {
                        if let Some(known) = self.noted(node, &path.item(name)) {
                            known.set.insert(text.clone());
                        }
                    }
                    Val::Int(_) | Val::Never => {}
                    _ => {
                        let what = "the name of what is put into the job's input is computed";
                        self.not_read(node, what, &[Hides::JobInput]);
                    }
                }
            }
        }
    }

    /// Notes the writes of a dict's entries. With `under`, the entries are only defaults.
    fn put_all(&mut self, object: Node<'t>, more: Node<'t>, under: bool) {
        if more.kind() == "dictionary" {
            let pairs: Vec<_> = more.children().collect();
            pairs
                .into_iter()
                .for_each(|pair| self.put_pair(object, pair, under));
            return;
        }
        match self.value(more) {
            Val::Dict(items) => {
                for (name, value) in items.iter() {
                    let text = value.display().unwrap_or_else(|| self.shown(more));
                    self.puts(more, object, name, Some(text));
                }
            }
            value if is_input(&value) => {}
            _ => {
                let what = "what is put into the job's input was not followed";
                self.not_read(more, what, &[Hides::JobInput]);
            }
        }
    }

    fn put_pair(&mut self, object: Node<'t>, pair: Node<'t>, under: bool) {
        if pair.kind() == "dictionary_splat"
            && let Some(inner) = pair.child(0)
            && let Val::Dict(items) = self.value(inner)
        {
            for (name, value) in items.iter() {
                let text = value.display().unwrap_or_else(|| self.shown(inner));
                match under {
                    true => self.input_paths(object).iter().for_each(|path| {
                        self.key(inner, &path.item(name), Some(text.clone()), false);
                    }),
                    false => self.puts(inner, object, name, Some(text)),
                }
            }
        }
        if let Some((key, value)) = pair.field("key").zip(pair.field("value")) {
            match under {
                true => self.taken(key, object, key, Some(value), false),
                false => self.put(key, object, key, Some(value)),
            }
        }
    }

    /// `input |= {…}`.
    pub fn input_joined(&mut self, node: Node<'t>) {
        if let Some((left, right)) = node.field("left").zip(node.field("right"))
            && node.text_of("operator") == "|="
            && is_input(&self.value(left))
        {
            self.put_all(left, right, false);
        }
    }

    /// `{**input, …}`, `input | {…}`: a copy with something else in it.
    pub fn input_extended(&mut self, node: Node<'t>) {
        if node.kind() == "dictionary" {
            let splat = |child: &Node<'t>| child.kind() == "dictionary_splat";
            let children: Vec<_> = node.children().collect();
            for (at, inner) in children.iter().enumerate().filter(|(_, one)| splat(one)) {
                let Some(object) = inner.child(0).filter(|one| is_input(&self.value(*one))) else {
                    continue;
                };
                for (place, pair) in children.iter().enumerate() {
                    self.put_pair(object, *pair, place < at);
                }
            }
        } else if let Some((left, right)) = node.field("left").zip(node.field("right"))
            && node.text_of("operator") == "|"
        {
            if is_input(&self.value(left)) {
                self.put_all(left, right, false);
            } else if is_input(&self.value(right)) {
                self.put_all(right, left, true);
            }
        }
    }

    /// `input.update(…)`.
    pub fn updated(&mut self, call: Node<'t>, object: Node<'t>) {
        for argument in call.arguments().collect::<Vec<_>>() {
            let splat = argument.kind() == "dictionary_splat";
            if let Some(value) = argument.field("value") {
                let text = self.shown(value);
                let name = Val::text(argument.text_of("name"));
                self.puts(argument, object, &name, Some(text));
            } else {
                let inner = argument.child(0).filter(|_| splat);
                self.put_all(object, inner.unwrap_or(argument), false);
            }
        }
    }
}
