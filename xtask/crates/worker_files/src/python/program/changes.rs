//! What changes lists, dicts and attributes, also under another name or from another module.

use super::node::Node;
use super::scope::{Bound, Program};
use crate::python::Set;

/// The values of an attribute, each with the path into it, and the statements that change it.
pub type AttributeUses<'t> = (Vec<(Node<'t>, Vec<i64>)>, Vec<Node<'t>>);

/// The variables that a statement is known to change.
type Done<'t> = Set<(Node<'t>, &'t str, Node<'t>)>;

/// The most other names of a list or dict that are followed, one after the other.
const MOST_NAMES: usize = 4;

impl<'t> Program<'t> {
    /// Takes in what changes each list or dict.
    pub fn note_changes(&mut self, changing: Vec<(Node<'t>, Node<'t>)>) {
        let mut done = Set::default();
        for (object, by) in changing {
            self.change(object, by, MOST_NAMES, &mut done);
        }
    }

    /// Takes in the attributes that code which runs sets from outside.
    pub fn note_sets(&mut self, set: Vec<Node<'t>>) {
        for attribute in set {
            if self.reaches(attribute) {
                self.set_from_outside(attribute);
            }
        }
    }

    /// `config.name = value`, where `config` is a module, a class, or an object of a class.
    fn set_from_outside(&mut self, attribute: Node<'t>) {
        let set = attribute.parent_of("assignment");
        let value = set.and_then(|set| set.field("right"));
        let object = attribute.field("object").filter(|of| of.text() != "self");
        let (Some(value), Some(object)) = (value, object.filter(|of| of.is("identifier"))) else {
            return;
        };
        let owner = match self.only_binding(object) {
            Some(Bound::Value(call)) => call
                .field("function")
                .and_then(|name| self.only_class(name)),
            _ => self.owner(attribute),
        };
        let Some(owner) = owner else { return };
        let name = attribute.text_of("attribute");
        if owner.is("class_definition") {
            let sets = self.attributes.entry((owner, name)).or_default();
            sets.push((value, Vec::new()));
        } else {
            self.add(owner, name, Bound::Value(value));
        }
    }

    /// The class that a name stands for, where the program makes one object of it.
    fn only_class(&self, name: Node<'t>) -> Option<Node<'t>> {
        let class = self.class_of(name)?;
        let (scope, own) = self.variable(name)?;
        let uses = self.uses_of(scope, own).into_iter();
        let made = uses.filter(|one| one.role() == "function");
        (made.count() < 2).then_some(class)
    }

    /// The class that a name stands for.
    fn class_of(&self, name: Node<'t>) -> Option<Node<'t>> {
        let (scope, own) = self.variable(name)?;
        match self.bound_in(scope, own)? {
            [only] => match only.what {
                Bound::Class(class) => Some(class),
                _ => None,
            },
            _ => None,
        }
    }

    /// What a name is bound to, where that is one thing.
    fn only_binding(&self, name: Node<'t>) -> Option<Bound<'t>> {
        let (scope, own) = self.variable(name)?;
        match self.bound_in(scope, own)? {
            [only] if only.path.is_empty() => Some(only.what.clone()),
            _ => None,
        }
    }

    /// Notes what changes a list or dict under the variable or attribute that holds it, and under
    /// the other names that it has: `alias = flags`, `fill(flags)`.
    fn change(&mut self, object: Node<'t>, by: Node<'t>, names: usize, done: &mut Done<'t>) {
        if let Some((scope, name)) = self.variable(object).filter(|_| object.is("identifier"))
            && !done.insert((scope, name, by))
        {
            return;
        }
        let others = match self
            .only_binding(object)
            .filter(|_| object.is("identifier"))
        {
            Some(Bound::Value(other)) => vec![other],
            Some(Bound::Parameter(function)) => self.arguments_for(function, object.text()),
            _ => Vec::new(),
        };
        let is_name = |other: &Node<'t>| names > 0 && other.is_any("identifier attribute");
        for other in others.into_iter().filter(is_name) {
            self.change(other, by, names - 1, done);
        }
        let key = match object.kind() {
            "identifier" => self.variable(object),
            "attribute" => {
                let name = object.text_of("attribute");
                let owner = self.owner(object);
                if owner.is_none() {
                    self.loose.entry(name).or_default().push(by);
                }
                owner.map(|owner| (owner, name))
            }
            _ => None,
        };
        if let Some(key) = key {
            self.changes.entry(key).or_default().push(by);
        }
    }

    /// What calls by a function's own name give for one of its parameters.
    fn arguments_for(&self, function: Node<'t>, parameter: &str) -> Vec<Node<'t>> {
        let class = function.class();
        let mut all = function.parameters().skip(usize::from(class.is_some()));
        let at = all.position(|(name, ..)| name == parameter);
        let (Some(own), Some(at)) = (function.field("name"), at) else {
            return Vec::new();
        };
        let uses = (0..self.files.len()).filter_map(|file| self.uses.get(&(file, own.text())));
        let call = |one: &Node<'t>| {
            let method = one.parent_of("attribute");
            let is_it = match class {
                Some(_) => {
                    method
                        .filter(|of| of.text_of("object") == "self")?
                        .function()?
                        .class()
                        == class
                }
                None => self.variable(*one) == self.variable(own),
            };
            let called = method.unwrap_or(*one);
            called
                .parent()
                .filter(|_| is_it && called.role() == "function")
        };
        let calls = uses.flatten().filter_map(call);
        calls
            .filter_map(|call| call.keyword(parameter).or(call.argument(at)))
            .collect()
    }

    /// The class or the module whose attribute this is, where that is plain.
    pub fn owner(&self, attribute: Node<'t>) -> Option<Node<'t>> {
        let object = attribute.field("object").filter(|of| of.is("identifier"))?;
        if object.text() == "self" {
            return attribute.function().and_then(Node::class);
        }
        match self.lookup(object, object.text())?.1 {
            [only] => match &only.what {
                Bound::Class(class) => Some(*class),
                Bound::Import(module, None) => {
                    let file = self.module(object.file(), module)?;
                    Some(self.files[file].syntax.root())
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// What sets and changes an attribute of these classes.
    pub fn attribute(&self, classes: &[Node<'t>], name: &'t str) -> AttributeUses<'t> {
        let mut sets = Vec::new();
        let mut changes = self.loose.get(name).cloned().unwrap_or_default();
        for class in classes {
            let key = (*class, name);
            sets.extend(self.attributes.get(&key).into_iter().flatten().cloned());
            changes.extend(self.changes.get(&key).into_iter().flatten());
        }
        (sets, changes)
    }
}
