//! Attributes, items, classes and objects.

use std::rc::Rc;

use super::eval::{Reader, external};
use super::scope::Bound;
use super::syntax::Node;
use super::value::{Args, Ctx, Frame, Val};

/// The most base classes of a class.
const MOST_BASES: usize = 40;

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
            Val::Environ(_) => self.env_value(key, object.entry(key)),
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
            Val::Ext(path) => external(&format!("{path}.{name}")),
            object if name == "__dict__" && object.has_members() => Val::Lost,
            Val::Class(class) | Val::Object(class, _) if name == "__annotations__" => {
                let fields = self.fields(*class).into_iter();
                let fields = fields.filter(|(_, _, kind)| !kind.is_empty());
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
            Val::Object(class, made) => self.object_member(object, *class, made, name),
            // A field of a namespace.
            Val::Dict(_) => object
                .entry(&Val::text(name))
                .unwrap_or_else(|| method(object)),
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

    fn object_member(
        &mut self,
        object: &Val<'t>,
        class: Node<'t>,
        made: &Ctx<'t>,
        name: &'t str,
    ) -> Val<'t> {
        let unknown = Val::Method(Rc::new(object.clone()), name.into());
        let of = |all: &[(&'t str, Val<'t>)]| {
            let mut named = all.iter().filter(|(own, _)| *own == name);
            named.next().map(|(_, value)| value.clone())
        };
        let field = match made.frame(class) {
            Some(Frame::Call(fields, _)) => of(fields),
            _ => of(self.summaries.params(class, &mut self.uses)),
        };
        if let Some(field) = field {
            return field;
        }
        match self.class_member(class, name) {
            Val::Func(node, ctx, _) => {
                let bound = Val::Func(node, ctx, Some(Rc::new(object.clone())));
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
            let whole = self.once(value, ask).unwrap_or(Val::Never);
            let into = path.iter();
            values.push(into.fold(whole, |value, step| value.item(&Val::Int(*step))));
        }
        match Val::any(values) {
            Val::Unknown if self.unbound.is_none() => unknown,
            value => self.with_changes(value, &changes),
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
            for base in all[at]
                .field("superclasses")
                .into_iter()
                .flat_map(Node::children)
            {
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

    pub fn class_member(&mut self, class: Node<'t>, name: &str) -> Val<'t> {
        for own in self.family(class) {
            let Some(bindings) = self.program.bound_in(own, name) else {
                continue;
            };
            let found: Vec<_> = bindings.iter().map(|one| one.what.clone()).collect();
            let values = found.into_iter().map(|what| match what {
                Bound::Value(node) => {
                    let value = self.once(node, |reader| reader.fixed(node));
                    value.unwrap_or(Val::Never)
                }
                Bound::Function(node) => Val::Func(node, Ctx::default(), None),
                Bound::Class(node) => Val::Class(node),
                _ => Val::Unknown,
            });
            return Val::any(values.collect::<Vec<_>>());
        }
        Val::Unknown
    }

    /// The assignments in a class's body: name, value, annotation.
    pub fn fields(&mut self, class: Node<'t>) -> Vec<(&'t str, Option<Node<'t>>, &'t str)> {
        let mut all = Vec::new();
        for own in self.family(class).into_iter().rev() {
            let body = own.field("body").into_iter().flat_map(Node::children);
            let first = body.filter_map(|statement| statement.child(0));
            for statement in first.filter(|first| first.kind() == "assignment") {
                let left = statement.field("left");
                if let Some(left) = left.filter(|left| left.kind() == "identifier") {
                    all.retain(|(name, _, _)| *name != left.text());
                    all.push((
                        left.text(),
                        statement.field("right"),
                        statement.text_of("type"),
                    ));
                }
            }
        }
        all
    }

    /// `dataclasses.fields(class)`: each field's name and default.
    pub fn dataclass_fields(&mut self, class: Node<'t>) -> Val<'t> {
        let fields = self.fields(class).into_iter();
        let annotated = fields.filter(|(_, _, kind)| !kind.is_empty());
        let all = annotated.map(|(name, value, _)| {
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
        // These change what the library puts out.
        let texts = self.family(*class).into_iter().map(Node::text);
        if texts
            .into_iter()
            .any(|text| text.contains("alias") || text.contains("exclude"))
        {
            return None;
        }
        let fields = self.fields(*class).into_iter();
        let annotated = fields.filter(|(name, _, kind)| {
            let is_own = kind.starts_with("ClassVar") || *name == "model_config";
            !kind.is_empty() && !is_own && !name.starts_with('_')
        });
        let names: Vec<_> = annotated.map(|(name, ..)| name).collect();
        let pair = |name| (Val::text(name), self.attribute(object, name));
        Some(Val::Dict(names.into_iter().map(pair).collect()))
    }

    /// The elements that a loop takes; of an enumeration, its members.
    pub fn elements(&mut self, value: &Val<'t>) -> Option<Vec<Val<'t>>> {
        match value {
            Val::Class(class) => {
                let fields = self.fields(*class).into_iter();
                let values: Vec<_> = fields.filter_map(|(_, value, _)| value).collect();
                Some(values.into_iter().map(|value| self.value(value)).collect())
            }
            Val::Never => Some(Vec::new()),
            value => value.elements(),
        }
    }

    /// An object of a class.
    pub fn made(&mut self, class: Node<'t>, args: &Args<'t>, call: Option<Node<'t>>) -> Val<'t> {
        let made = match self.exact {
            true => self.bind(&Val::Class(class), args, call),
            false => None,
        };
        Val::Object(class, made.map_or_else(Ctx::default, |(_, ctx)| ctx))
    }
}
