//! Attributes, items, classes and objects.

use std::rc::Rc;

use super::arguments::Args;
use super::contexts::{Ctx, Frame};
use super::eval::{Reader, external};
use super::names::takes_out;
use super::value::Val;
use crate::python::program::node::Node;
use crate::python::program::scope::Bound;

/// The most base classes of a class.
const MOST_BASES: usize = 40;

/// A field of a class: its name, its value, and its annotation.
pub type Field<'t> = (&'t str, Option<Node<'t>>, Option<Node<'t>>);

impl<'t> Reader<'t> {
    /// The value of an environment variable; one of them for each possible name. Only an exact
    /// evaluation keeps the default.
    pub fn env_value(&self, name: &Val<'t>, default: Option<Val<'t>>) -> Val<'t> {
        let default = default.filter(|_| self.exact).unwrap_or(Val::None);
        Val::any(name.each().iter().map(|name| match name {
            Val::Str(text, _) => Val::Env(text.clone(), Rc::new(default.clone())),
            Val::Never => Val::Never,
            _ => Val::Unknown,
        }))
    }

    /// `object[key]`.
    pub fn item(&mut self, object: &Val<'t>, key: &Val<'t>) -> Val<'t> {
        match object {
            Val::Environ(_) => {
                let always = object.always(key);
                always.unwrap_or_else(|| self.env_value(key, object.default_of(key)))
            }
            Val::Any(all) => Val::any(all.iter().map(|one| self.item(one, key))),
            // Any module, and any function of it.
            Val::Ext(path) if &**path == "sys.modules" => Val::Lost,
            Val::Class(_) | Val::Object(..) => Val::Unknown,
            object => object.item(key),
        }
    }

    /// `object.name`.
    pub fn attribute(&mut self, object: &Val<'t>, name: &'t str) -> Val<'t> {
        let method = |of: &Val<'t>| Val::Method(Rc::new(of.clone()), name.into());
        match object {
            Val::Never | Val::Lost => object.clone(),
            Val::Any(all) => Val::any(all.iter().map(|one| self.attribute(one, name))),
            Val::Ext(_) | Val::Method(..) if name == "__call__" => object.clone(),
            Val::Ext(path) => external(&format!("{path}.{name}")),
            object if name == "__dict__" && object.has_members() => Val::Lost,
            Val::Class(class) | Val::Object(class, _) if name == "__annotations__" => {
                let fields = self.annotated_fields(*class).into_iter();
                Val::list(fields.map(|(name, ..)| Val::text(name)).collect())
            }
            Val::Module(index) => {
                let found = self.member(*index, name);
                if found != Val::Unknown {
                    return found;
                }
                let path = self.program.files[*index].source.path.to_string();
                let folder = path.strip_suffix("/__init__.py").unwrap_or_default();
                let inner = self.program.module(*index, &format!("/{folder}/{name}"));
                inner.map_or(Val::Unknown, Val::Module)
            }
            Val::Class(class) => match self.class_member(*class, name) {
                Val::Unknown => method(object),
                value => value,
            },
            Val::Object(class, made) => match self.setting(*class, name) {
                Some(variable) => variable,
                None => self.object_member(*class, made, name),
            },
            // A field of a namespace.
            Val::Dict(_) => {
                let field = object.entry(&Val::text(name));
                field.unwrap_or_else(|| method(object))
            }
            Val::Made(path) if path.ends_with(".parse_args") => self.option(name),
            Val::Str(..) | Val::Int(_) if name == "value" => object.clone(),
            // An attribute of something unknown is unknown, too.
            Val::Method(inner, _) if **inner == Val::Unknown => method(inner),
            object => method(object),
        }
    }

    /// What an option of argparse is where the command line does not give it.
    fn option(&mut self, name: &str) -> Val<'t> {
        let options = self.program.options.get(name).cloned().unwrap_or_default();
        let default = |option: Node<'t>| match option.keyword("default") {
            Some(default) => self.value(default),
            None if option.text().contains("store_true") => Val::Bool(false),
            None => Val::Unknown,
        };
        Val::any(options.into_iter().map(default).collect::<Vec<_>>())
    }

    pub fn object_member(&mut self, class: Node<'t>, made: &Ctx<'t>, name: &'t str) -> Val<'t> {
        let object = || Some(Rc::new(Val::Object(class, made.clone())));
        let fields: &[(&'t str, Val<'t>)] = match made.frame(class) {
            Some(Frame::Call(fields, _)) => fields,
            _ => self.summaries.params(class, &mut self.uses),
        };
        if let Some((_, field)) = fields.iter().find(|(own, _)| *own == name) {
            return field.clone();
        }
        match self.class_member(class, name) {
            Val::Func(node, ctx, _) => {
                let bound = Val::Func(node, ctx, object());
                if node.is_decorated("property") || node.is_decorated("cached_property") {
                    return self.result(&bound, &Args::default(), None);
                }
                return bound;
            }
            Val::Unknown => {}
            value => return value,
        }
        let mut values = Vec::new();
        let family = self.family(class);
        let (sets, changes) = self.program.attribute(&family, name);
        self.steps += sets.len();
        for (value, path) in sets {
            // The arguments that made the object are those of its `__init__`.
            let method = value.function();
            let known = method.is_some_and(|method| made.frame(method).is_some());
            let ctx = if known { made.clone() } else { Ctx::default() };
            let ask = |reader: &mut Self| reader.settled(|reader| reader.eval(value, &ctx));
            values.push(self.once(value, ask).unwrap_or(Val::Never).item_at(&path));
        }
        match Val::any(values) {
            Val::Unknown if self.unbound.is_none() => {
                let object = Val::Object(class, made.clone());
                Val::Method(Rc::new(object), name.into())
            }
            value => {
                let added = changes.into_iter().filter(|change| !takes_out(*change));
                self.with_changes(value, &added.collect::<Vec<_>>())
            }
        }
    }

    /// `super().name`: the method of a base class, bound to the object.
    pub fn of_base(&mut self, attribute: Node<'t>) -> Option<Val<'t>> {
        attribute
            .field("object")
            .filter(|object| object.text_of("function") == "super")?;
        let class = attribute.function().and_then(Node::class)?;
        let bases = self.family(class).into_iter().skip(1);
        let mut bound =
            bases.filter_map(|base| self.program.bound_in(base, attribute.text_of("attribute")));
        match bound.next()?.last()?.what {
            Bound::Function(method) => {
                let made = Val::Object(class, Ctx::default());
                Some(Val::Func(method, Ctx::default(), Some(Rc::new(made))))
            }
            _ => None,
        }
    }

    /// A class and its base classes, the nearest first.
    pub fn family(&mut self, class: Node<'t>) -> Vec<Node<'t>> {
        let mut all = vec![class];
        let mut at = 0;
        while at < all.len() {
            if all.len() > MOST_BASES {
                self.gave_up = true;
                break;
            }
            let bases = all[at].field("superclasses");
            for base in bases.into_iter().flat_map(Node::children) {
                if let Val::Class(base) = self.fixed(base)
                    && !all.contains(&base)
                {
                    all.push(base);
                }
            }
            at += 1;
        }
        all
    }

    pub fn class_member(&mut self, class: Node<'t>, name: &'t str) -> Val<'t> {
        let family = self.family(class);
        let mut bound = family.iter();
        let bound = bound.find_map(|own| self.program.bound_in(*own, name));
        let Some(bindings) = bound.map(<[_]>::to_vec) else {
            return Val::Unknown;
        };
        let values = bindings.into_iter().map(|binding| match binding.what {
            Bound::Value(node) => {
                let value = self.once(node, |reader| reader.fixed(node));
                value.unwrap_or(Val::Never)
            }
            Bound::Function(node) => Val::Func(node, Ctx::default(), None),
            Bound::Class(node) => Val::Class(node),
            _ => Val::Unknown,
        });
        let mut values: Vec<Val<'t>> = values.collect();
        let (sets, mut changes) = self.program.attribute(&family, name);
        for (node, path) in sets {
            let value = self.once(node, |reader| reader.fixed(node));
            values.push(value.unwrap_or(Val::Never).item_at(&path));
        }
        changes.retain(|change| !takes_out(*change));
        self.with_changes(Val::any(values), &changes)
    }

    /// The assignments in a class's body: name, value, annotation.
    pub fn fields(&mut self, class: Node<'t>) -> Vec<Field<'t>> {
        let mut all: Vec<Field<'t>> = Vec::new();
        for own in self.family(class).into_iter().rev() {
            let body = own.field_children("body");
            let first = body.filter_map(|statement| statement.child(0));
            for set in first.filter(|first| first.is("assignment")) {
                let left = set.field("left");
                if let Some(left) = left.filter(|left| left.is("identifier")) {
                    all.retain(|(name, _, _)| *name != left.text());
                    all.push((left.text(), set.field("right"), set.field("type")));
                }
            }
        }
        all
    }

    /// The fields that a dataclass or a model takes as arguments.
    pub fn annotated_fields(&mut self, class: Node<'t>) -> Vec<Field<'t>> {
        let mut all = self.fields(class);
        all.retain(|(_, _, kind)| kind.is_some());
        all
    }

    /// The fields of a model or of settings: no constant of the class, and nothing private.
    pub fn model_fields(&mut self, class: Node<'t>) -> Vec<Field<'t>> {
        let mut all = self.fields(class);
        all.retain(|(name, _, kind)| {
            let is_constant = kind.is_some_and(|kind| kind.text().starts_with("ClassVar"));
            !is_constant && *name != "model_config" && !name.starts_with('_')
        });
        all
    }

    /// `dataclasses.fields(class)`: each field's name and default.
    pub fn dataclass_fields(&mut self, class: Node<'t>) -> Val<'t> {
        let all = self.annotated_fields(class).into_iter();
        let all = all.map(|(name, value, _)| {
            let default = value.map_or(Val::Unknown, |value| self.value(value));
            let parts = [("name", Val::text(name)), ("default", default)];
            Val::Dict(parts.map(|(key, part)| (Val::text(key), part)).into())
        });
        Val::list(all.collect())
    }

    /// The fields of an object of a model or a dataclass, by name.
    pub fn dict_of(&mut self, object: &Val<'t>) -> Option<Val<'t>> {
        let Val::Object(class, _) = object else {
            return None;
        };
        // These options change the names or the number of keys.
        let changes = |text: &str| text.contains("alias") || text.contains("exclude");
        if self.family(*class).iter().any(|own| changes(own.text())) {
            return None;
        }
        let mut fields = self.model_fields(*class);
        fields.retain(|(_, _, kind)| kind.is_some());
        let pair = |(name, ..): Field<'t>| (Val::text(name), self.attribute(object, name));
        Some(Val::Dict(fields.into_iter().map(pair).collect()))
    }

    /// The elements that a loop takes; of an enumeration, its members.
    pub fn elements(&mut self, value: &Val<'t>) -> Option<Vec<Val<'t>>> {
        match value {
            Val::Class(class) => {
                let fields = self.fields(*class).into_iter();
                let values = fields.filter_map(|(_, value, _)| Some(self.value(value?)));
                Some(values.collect())
            }
            Val::Never => Some(Vec::new()),
            value => value.elements(),
        }
    }

    /// An object of a class.
    pub fn made(&mut self, class: Node<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        let made = Some(Val::Class(class)).filter(|_| self.exact);
        let made = made.and_then(|class| self.bind(&class, args, call));
        Val::Object(class, made.map_or_else(Ctx::default, |(_, ctx)| ctx))
    }
}
