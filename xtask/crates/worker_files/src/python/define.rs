//! What a program defines and calls: functions, classes, objects, imports.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::interp::{Frame, Interp};
use super::syntax::{Node, children, field, fields};
use super::value::{Class, Function, Object, Scope, Value};

/// Functions that are remembered as not called yet.
const MOST_FUNCTIONS: usize = 20_000;

impl<'t> Interp<'t> {
    pub fn define(&mut self, node: Node<'t>, decorators: &[String]) -> Rc<Function<'t>> {
        let mut defaults = HashMap::new();
        if let Some(parameters) = field(node, "parameters") {
            for parameter in children(parameters) {
                if let (Some(name), Some(value)) =
                    (field(parameter, "name"), field(parameter, "value"))
                {
                    let value = self.eval(value);
                    defaults.insert(self.text(name).to_owned(), value);
                }
            }
        }
        let function = Rc::new(Function {
            module: self.at(),
            node,
            receiver: None,
            defaults,
            is_property: decorators.iter().any(|d| d.ends_with("property")),
            is_static: decorators.iter().any(|d| d == "staticmethod"),
            outer: self
                .frames
                .last()
                .map(|f| f.scopes.clone())
                .unwrap_or_default(),
        });
        if self.functions.len() < MOST_FUNCTIONS {
            self.functions.push(function.clone());
        }
        function
    }

    pub fn decorated(&mut self, node: Node<'t>) {
        let mut decorators = Vec::new();
        for child in children(node) {
            if child.kind() == "decorator" {
                decorators.push(self.text(child).trim_start_matches('@').to_owned());
                for inner in children(child) {
                    self.eval(inner);
                }
            }
        }
        match field(node, "definition") {
            Some(inner) if inner.kind() == "function_definition" => {
                let function = self.define(inner, &decorators);
                let name = field(inner, "name").map(|n| self.text(n).to_owned());
                self.bind(&name.unwrap_or_default(), Value::Function(function));
            }
            Some(inner) => self.class(inner),
            None => {}
        }
    }

    pub fn class(&mut self, node: Node<'t>) {
        let Some(name) = field(node, "name").map(|n| self.text(n).to_owned()) else {
            return;
        };
        let mut bases = Vec::new();
        if let Some(list) = field(node, "superclasses") {
            for base in children(list) {
                if base.kind() != "keyword_argument" {
                    bases.push(self.eval(base));
                }
            }
        }
        let scope = Scope::default();
        let mut fields = Vec::new();
        let Some(body) = field(node, "body") else {
            return;
        };
        let first = self.functions.len();
        if let Some(frame) = self.frames.last_mut() {
            frame.scopes.push(scope.clone());
        }
        let statements = children(body);
        for statement in &statements {
            for inner in children(*statement) {
                if inner.kind() == "assignment" && field(inner, "type").is_some() {
                    fields.extend(field(inner, "left").map(|n| self.text(n).to_owned()));
                }
            }
        }
        self.block(&statements);
        if let Some(frame) = self.frames.last_mut() {
            frame.scopes.pop();
        }
        let class = Rc::new(Class {
            scope,
            bases,
            fields,
        });
        self.bind(&name, Value::Class(class.clone()));
        // A method that nothing calls is followed on an object made without arguments.
        let object = self.instantiate(&class, &[], &[]);
        for index in first..self.functions.len() {
            let function = &self.functions[index];
            self.functions[index] = bound(function, &object);
        }
    }

    /// Makes an object: `__init__` where there is one, a dataclass' fields otherwise.
    pub fn instantiate(
        &mut self,
        class: &Rc<Class<'t>>,
        args: &[Value<'t>],
        named: &[(String, Value<'t>)],
    ) -> Value<'t> {
        let attributes: Scope<'t> = Rc::new(RefCell::new(HashMap::new()));
        let object = Value::Object(Rc::new(Object {
            class: class.clone(),
            attributes: attributes.clone(),
        }));
        let init = Self::class_attribute(class, "__init__", 0);
        if let Some(Value::Function(init)) = init {
            let init = bound(&init, &object);
            self.call(&init, args, named);
        } else {
            let positional = class.fields.iter().cloned().zip(args.iter().cloned());
            let mut attributes = attributes.borrow_mut();
            attributes.extend(positional.chain(named.iter().cloned()));
        }
        object
    }

    /// What a class or one of its bases has under a name.
    pub fn class_attribute(class: &Rc<Class<'t>>, name: &str, depth: usize) -> Option<Value<'t>> {
        const DEEPEST_BASE: usize = 16;
        if let Some(value) = class.scope.borrow().get(name) {
            return Some(value.clone());
        }
        if depth >= DEEPEST_BASE {
            return None;
        }
        class.bases.iter().find_map(|base| match base {
            Value::Class(base) => Self::class_attribute(base, name, depth + 1),
            _ => None,
        })
    }

    /// Follows a call of one of the program's own functions.
    pub fn call(
        &mut self,
        function: &Rc<Function<'t>>,
        args: &[Value<'t>],
        named: &[(String, Value<'t>)],
    ) -> Value<'t> {
        let node = function.node;
        let recursive =
            |frame: &&Frame<'t>| frame.node == node.start_byte() && frame.module == function.module;
        if !self.may_go_on(node) || self.frames.iter().filter(recursive).count() > 1 {
            return Value::Unknown;
        }
        self.called.insert((function.module, node.start_byte()));
        let scope = Scope::default();
        self.parameters(function, args, named, &scope);
        let mut scopes = function.outer.clone();
        scopes.push(scope);
        self.frames.push(Frame {
            module: function.module,
            scopes,
            returns: Vec::new(),
            yields: Vec::new(),
            node: node.start_byte(),
        });
        // Conditions around the call say nothing of the reads inside it, but all of the flags.
        self.depth += 1;
        self.body(node);
        self.depth -= 1;
        let Some(frame) = self.frames.pop() else {
            return Value::Unknown;
        };
        if frame.yields.is_empty() {
            Value::any(frame.returns)
        } else {
            Value::list(frame.yields)
        }
    }

    fn parameters(
        &mut self,
        function: &Rc<Function<'t>>,
        args: &[Value<'t>],
        named: &[(String, Value<'t>)],
        scope: &Scope<'t>,
    ) {
        let source = self.modules[function.module].source;
        let text = |node: Node<'t>| source.text.get(node.byte_range()).unwrap_or_default();
        let mut given = args.iter();
        let mut receiver = function.receiver.as_ref();
        let Some(list) = field(function.node, "parameters") else {
            return;
        };
        for parameter in children(list) {
            let (name, annotation) = match parameter.kind() {
                "identifier" => (text(parameter), ""),
                "default_parameter" | "typed_default_parameter" => (
                    field(parameter, "name").map_or("", text),
                    field(parameter, "type").map_or("", text),
                ),
                "typed_parameter" => (
                    children(parameter).first().map_or("", |n| text(*n)),
                    field(parameter, "type").map_or("", text),
                ),
                _ => continue,
            };
            if name.starts_with('*') {
                continue;
            }
            let value = match receiver.take() {
                Some(object) if !function.is_static => object.clone(),
                _ => given
                    .next()
                    .or_else(|| named.iter().find(|(n, _)| n == name).map(|(_, v)| v))
                    .cloned()
                    .filter(|value| !matches!(value, Value::Unknown))
                    .or_else(|| function.defaults.get(name).cloned())
                    .unwrap_or_else(|| super::calls::parameter(name, annotation)),
            };
            scope.borrow_mut().insert(name.to_owned(), value);
        }
    }

    // ---- imports ----

    pub fn import(&mut self, node: Node<'t>) {
        let from = field(node, "module_name").map(|n| self.text(n).to_owned());
        for name in fields(node, "name") {
            let (path, alias) = if name.kind() == "aliased_import" {
                (
                    field(name, "name").map_or("", |n| self.text(n)),
                    field(name, "alias").map(|n| self.text(n)),
                )
            } else {
                (self.text(name), None)
            };
            if let Some(module) = &from {
                let value = self.imported(module, path);
                self.bind(alias.unwrap_or(path), value);
            } else {
                let first = path.split('.').next().unwrap_or(path);
                let (bound, target) = alias.map_or((first, first), |alias| (alias, path));
                self.bind(bound, Value::Outside(target.into()));
            }
        }
    }

    fn imported(&mut self, module: &str, name: &str) -> Value<'t> {
        let own = self.own_module(module);
        if let Some(index) = own {
            self.module(index);
            let globals = self.modules[index].globals.clone();
            if let Some(value) = globals.borrow().get(name) {
                return value.clone();
            }
        }
        let module = module.trim_start_matches('.');
        let dot = if module.is_empty() { "" } else { "." };
        Value::Outside(format!("{module}{dot}{name}").into())
    }

    /// The module of this program that an import names.
    pub fn own_module(&self, module: &str) -> Option<usize> {
        let last = module.rsplit('.').next().unwrap_or(module);
        let candidates = self.named.get(last)?;
        let here = self.source().path.parent();
        let beside = candidates
            .iter()
            .find(|&&i| self.modules[i].source.path.parent() == here);
        beside.or(candidates.first()).copied()
    }
}

/// A function as a method of an object.
pub fn bound<'t>(function: &Rc<Function<'t>>, object: &Value<'t>) -> Rc<Function<'t>> {
    Rc::new(Function {
        module: function.module,
        node: function.node,
        receiver: Some(object.clone()),
        defaults: function.defaults.clone(),
        is_property: function.is_property,
        is_static: function.is_static,
        outer: function.outer.clone(),
    })
}
