//! Expressions: what is known of their value.

use std::rc::Rc;

use super::define::bound;
use super::format::percent;
use super::interp::Interp;
use super::syntax::{Node, children, field, fields};
use super::value::{Function, Origin, Value, unescape};

impl<'t> Interp<'t> {
    /// The value of an expression, as far as it is known. Reads, flags and requests in it are
    /// noted on the way.
    pub fn eval(&mut self, node: Node<'t>) -> Value<'t> {
        if !self.may_go_on(node) {
            return Value::Unknown;
        }
        self.depth += 1;
        let value = self.eval_kind(node);
        self.depth -= 1;
        value
    }

    #[expect(clippy::too_many_lines, reason = "one case per kind of syntax")]
    fn eval_kind(&mut self, node: Node<'t>) -> Value<'t> {
        match node.kind() {
            "identifier" => self.lookup(self.text(node)),
            "string" => self.string(node),
            "concatenated_string" => {
                let parts: Vec<_> = children(node).into_iter().map(|n| self.eval(n)).collect();
                parts
                    .iter()
                    .skip(1)
                    .fold(parts.first().cloned().unwrap_or(Value::Unknown), |a, b| {
                        join(&a, b)
                    })
            }
            "integer" | "float" | "true" | "false" | "none" => Value::Plain(self.text(node).into()),
            "parenthesized_expression" | "await" | "expression_list_item" => children(node)
                .first()
                .map_or(Value::Unknown, |&inner| self.eval(inner)),
            "list" | "tuple" | "set" | "expression_list" | "pattern_list" => {
                let items = self.sequence(node);
                let value = Value::list(items);
                self.command_literal(node, &value);
                value
            }
            "dictionary" => self.dictionary(node),
            "list_comprehension" | "set_comprehension" | "generator_expression" => {
                let items = self.comprehension(node, false);
                Value::list(items.into_iter().map(|(item, _)| item).collect())
            }
            "dictionary_comprehension" => {
                let items = self.comprehension(node, true);
                Value::dict(items)
            }
            "attribute" => self.attribute(node),
            "subscript" => self.subscript(node),
            "call" => self.eval_call(node),
            "boolean_operator" => {
                let left = field(node, "left").map_or(Value::Unknown, |n| self.eval(n));
                let guards = self.guards.len();
                self.guards.push(left.envs());
                let right = field(node, "right").map_or(Value::Unknown, |n| self.eval(n));
                self.guards.truncate(guards);
                if let (Value::Env(env), Some(default)) = (&left, right.display())
                    && field(node, "operator").is_some_and(|n| self.text(n) == "or")
                    && field(node, "left").is_some_and(|n| n.kind() == "call")
                {
                    self.default_of(&env.name, &default);
                }
                Value::any(vec![left, right])
            }
            "not_operator" | "unary_operator" => {
                let inner = field(node, "argument").map_or(Value::Unknown, |n| self.eval(n));
                match inner {
                    Value::Env(_) | Value::Any(_) => inner,
                    Value::Plain(_) => Value::Plain(self.text(node).into()),
                    _ => Value::Unknown,
                }
            }
            "comparison_operator" => self.comparison(node),
            "conditional_expression" => {
                let parts = children(node);
                let mut guard = Vec::new();
                if let Some(&condition) = parts.get(1) {
                    guard = self.condition(condition);
                }
                let guards = self.guards.len();
                self.guards.push(guard.clone());
                let mut values: Vec<_> = [0, 2]
                    .iter()
                    .filter_map(|&i| parts.get(i))
                    .map(|&n| self.eval(n))
                    .collect();
                self.guards.truncate(guards);
                values.extend(guard.into_iter().map(Value::Env));
                Value::any(values)
            }
            "binary_operator" => self.binary(node),
            "named_expression" => {
                let value = field(node, "value").map_or(Value::Unknown, |n| self.eval(n));
                if let Some(name) = field(node, "name") {
                    self.assign(name, &value);
                }
                value
            }
            "lambda" => {
                let function = Function {
                    module: self.at(),
                    node,
                    receiver: None,
                    defaults: std::collections::HashMap::new(),
                    is_property: false,
                    is_static: false,
                    outer: self
                        .frames
                        .last()
                        .map(|f| f.scopes.clone())
                        .unwrap_or_default(),
                };
                if let Some(body) = field(node, "body") {
                    self.eval(body);
                }
                Value::Function(Rc::new(function))
            }
            "yield" => {
                let value = children(node).first().map_or(Value::Unknown, |&inner| {
                    let value = self.eval(inner);
                    self.flags_in_literal(inner, &value);
                    value
                });
                let from = self.text(node).starts_with("yield from");
                let items = if from {
                    self.items(&value)
                } else {
                    vec![value]
                };
                if let Some(frame) = self.frames.last_mut() {
                    frame.yields.extend(items);
                }
                Value::Unknown
            }
            _ => {
                for child in children(node) {
                    self.eval(child);
                }
                Value::Unknown
            }
        }
    }

    fn sequence(&mut self, node: Node<'t>) -> Vec<Value<'t>> {
        let mut items = Vec::new();
        for child in children(node) {
            if child.kind() == "list_splat" {
                let inner = children(child)
                    .first()
                    .map_or(Value::Unknown, |&n| self.eval(n));
                items.extend(self.items(&inner));
            } else {
                let value = self.eval(child);
                items.push(value);
            }
        }
        items
    }

    fn dictionary(&mut self, node: Node<'t>) -> Value<'t> {
        let mut items = Vec::new();
        let mut environ = false;
        for child in children(node) {
            match child.kind() {
                "pair" => {
                    let key = field(child, "key").map_or(Value::Unknown, |n| self.eval(n));
                    let value = field(child, "value").map_or(Value::Unknown, |n| self.eval(n));
                    self.name_and_flag(&key, &value, child);
                    items.push((key, value));
                }
                "dictionary_splat" => {
                    let inner = children(child)
                        .first()
                        .map_or(Value::Unknown, |&n| self.eval(n));
                    match inner {
                        Value::Dict(more) => items.extend(more.borrow().iter().cloned()),
                        Value::Outside(name) if super::calls::is_environ(&name) => environ = true,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        if environ {
            return Value::Outside("os.environ".into());
        }
        Value::dict(items)
    }

    /// Notes a pair of a table that says which flag a variable sets.
    fn name_and_flag(&mut self, name: &Value<'t>, flag: &Value<'t>, node: Node<'t>) {
        let (Value::Text(text, _), Some(flag)) = (name, flag.as_text()) else {
            return;
        };
        let is_name = text.starts_with(|c: char| c.is_ascii_uppercase())
            && text
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if is_name && flag.starts_with("--") && !flag.contains([' ', '=']) {
            let place = self.place_of_value(name, node);
            let pair = (text.to_string(), flag.to_string(), place);
            if !self.facts.tables.contains(&pair) {
                self.facts.tables.push(pair);
            }
        }
    }

    /// The items of a comprehension; pairs for a dict's.
    fn comprehension(&mut self, node: Node<'t>, pairs: bool) -> Vec<(Value<'t>, Value<'t>)> {
        let clauses: Vec<_> = children(node)
            .into_iter()
            .filter(|n| matches!(n.kind(), "for_in_clause" | "if_clause"))
            .collect();
        let Some(body) = field(node, "body") else {
            return Vec::new();
        };
        let mut out = Vec::new();
        let guards = self.guards.len();
        self.comprehend(&clauses, body, pairs, &mut out);
        self.guards.truncate(guards);
        out
    }

    fn comprehend(
        &mut self,
        clauses: &[Node<'t>],
        body: Node<'t>,
        pairs: bool,
        out: &mut Vec<(Value<'t>, Value<'t>)>,
    ) {
        if !self.may_go_on(body) {
            return;
        }
        match clauses.split_first() {
            None if pairs => {
                let key = field(body, "key").map_or(Value::Unknown, |n| self.eval(n));
                let value = field(body, "value").map_or(Value::Unknown, |n| self.eval(n));
                out.push((key, value));
            }
            None => {
                let value = self.eval(body);
                out.push((value, Value::Unknown));
            }
            Some((clause, rest)) if clause.kind() == "if_clause" => {
                let guards = self.guards.len();
                if let Some(&condition) = children(*clause).first() {
                    let guard = self.condition(condition);
                    self.guards.push(guard);
                }
                self.comprehend(rest, body, pairs, out);
                self.guards.truncate(guards);
            }
            Some((clause, rest)) => {
                let items = field(*clause, "right").map_or(Value::Unknown, |n| self.eval(n));
                for item in self.items(&items) {
                    if let Some(left) = field(*clause, "left") {
                        self.assign(left, &item);
                    }
                    self.depth += 1;
                    self.comprehend(rest, body, pairs, out);
                    self.depth -= 1;
                }
            }
        }
    }

    fn string(&mut self, node: Node<'t>) -> Value<'t> {
        let mut parts: Vec<Value<'t>> = Vec::new();
        let mut raw = false;
        let mut content: Option<(usize, usize)> = None;
        for child in children(node) {
            match child.kind() {
                "string_start" => {
                    raw = self.text(child).to_ascii_lowercase().contains('r');
                }
                "string_content" => {
                    let text = self.text(child);
                    let text = if raw { text.to_owned() } else { unescape(text) };
                    content = Some(
                        content.map_or((child.start_byte(), child.end_byte()), |(start, _)| {
                            (start, child.end_byte())
                        }),
                    );
                    parts.push(Value::Text(text.into(), None));
                }
                "interpolation" => {
                    let value = field(child, "expression").map_or(Value::Unknown, |n| self.eval(n));
                    parts.push(value);
                }
                _ => {}
            }
        }
        let (start, end) = content.unwrap_or((node.start_byte(), node.end_byte()));
        let origin = Origin {
            module: self.at(),
            range: start..end,
        };
        match parts.len() {
            0 => Value::Text("".into(), Some(origin)),
            _ => match parts
                .iter()
                .skip(1)
                .fold(parts.first().cloned().unwrap_or(Value::Unknown), |a, b| {
                    join(&a, b)
                }) {
                Value::Text(text, None) => Value::Text(text, Some(origin)),
                Value::Unknown | Value::Param(_) => Value::Pieces(Rc::new(parts)),
                other => other,
            },
        }
    }

    fn attribute(&mut self, node: Node<'t>) -> Value<'t> {
        let owner = field(node, "object").map_or(Value::Unknown, |n| self.eval(n));
        let name = field(node, "attribute").map_or("", |n| self.text(n));
        self.attribute_of(&owner, name)
    }

    /// What an attribute of a value holds.
    pub fn attribute_of(&mut self, owner: &Value<'t>, name: &str) -> Value<'t> {
        match owner {
            Value::Object(object) => {
                if let Some(value) = object.attributes.borrow().get(name) {
                    return value.clone();
                }
                let class = object.class.clone();
                match Self::class_attribute(&class, name, 0) {
                    Some(Value::Function(function)) if function.is_property => {
                        let method = bound(&function, owner);
                        self.call(&method, &[], &[])
                    }
                    Some(Value::Function(function)) => Value::Function(bound(&function, owner)),
                    Some(value) => value,
                    None => Value::Unknown,
                }
            }
            Value::Class(class) => Self::class_attribute(class, name, 0).unwrap_or(Value::Unknown),
            Value::Outside(path) => {
                if let Some(module) = self.own_module(path) {
                    let globals = self.modules[module].globals.clone();
                    self.module(module);
                    if let Some(value) = globals.borrow().get(name) {
                        return value.clone();
                    }
                }
                Value::Outside(format!("{path}.{name}").into())
            }
            Value::Any(all) => {
                let values = all.clone();
                let found = values
                    .iter()
                    .map(|one| self.attribute_of(one, name))
                    .collect();
                Value::any(found)
            }
            _ => Value::Unknown,
        }
    }

    fn subscript(&mut self, node: Node<'t>) -> Value<'t> {
        let owner = field(node, "value").map_or(Value::Unknown, |n| self.eval(n));
        let index = field(node, "subscript").map_or(Value::Unknown, |n| self.eval(n));
        match &owner {
            Value::Outside(path) if super::calls::is_environ(path) => {
                self.env_read(&index, None, node)
            }
            Value::Job => match index.as_text().as_deref() {
                Some("input") => Value::Input("".into()),
                _ => Value::Unknown,
            },
            Value::Input(path) => self.input_key(&path.clone(), &index, true, node),
            _ => item_of(&owner, &index),
        }
    }

    fn comparison(&mut self, node: Node<'t>) -> Value<'t> {
        let parts: Vec<_> = children(node).into_iter().map(|n| self.eval(n)).collect();
        let operators: Vec<_> = fields(node, "operators")
            .map(|n| self.text(n).to_owned())
            .collect();
        let operator = operators.join(" ");
        let (left, right) = (
            parts.first().cloned().unwrap_or(Value::Unknown),
            parts.get(1).cloned().unwrap_or(Value::Unknown),
        );
        if operator.contains("in") {
            match &right {
                Value::Outside(path) if super::calls::is_environ(path) => {
                    return self.env_read(&left, None, node);
                }
                Value::Input(path) => {
                    self.input_key(&path.clone(), &left, false, node);
                }
                _ => {}
            }
        }
        let mut words = Vec::new();
        if operator == "in" {
            for item in self.items(&right) {
                words.extend(item.as_text().map(|t| t.to_string()));
            }
        } else if operator == "==" {
            words.extend(right.as_text().map(|t| t.to_string()));
        }
        words.retain(|word| !word.is_empty());
        for env in left.envs() {
            let mut known = env.words.borrow_mut();
            for word in &words {
                if !known.contains(word) {
                    known.push(word.clone());
                }
            }
        }
        let envs: Vec<_> = left
            .envs()
            .into_iter()
            .chain(right.envs())
            .map(Value::Env)
            .collect();
        Value::any(envs)
    }

    fn binary(&mut self, node: Node<'t>) -> Value<'t> {
        let left = field(node, "left").map_or(Value::Unknown, |n| self.eval(n));
        let right = field(node, "right").map_or(Value::Unknown, |n| self.eval(n));
        match field(node, "operator").map_or("", |n| self.text(n)) {
            "+" => {
                if let Value::List(items) = &right {
                    self.charge(items.borrow().len());
                    self.flags_in(&right, node);
                }
                if let Value::List(items) = &left {
                    self.charge(items.borrow().len());
                }
                join(&left, &right)
            }
            "|" => match (&left, &right) {
                (Value::Dict(a), Value::Dict(b)) => {
                    Value::dict([a.borrow().as_slice(), b.borrow().as_slice()].concat())
                }
                (Value::List(a), Value::List(b)) => {
                    Value::list([a.borrow().as_slice(), b.borrow().as_slice()].concat())
                }
                _ => Value::any(vec![left, right]),
            },
            "/" => {
                let middle = join(&left, &Value::text("/"));
                join(&middle, &right)
            }
            "%" => {
                let Some(text) = left.as_text() else {
                    return Value::Unknown;
                };
                self.charge(text.len());
                percent(&text, &right)
            }
            _ => Value::any(vec![left, right]),
        }
    }
}

/// The item of a list or dict that a constant names; every item when the key is not known.
pub fn item_of<'t>(owner: &Value<'t>, index: &Value<'t>) -> Value<'t> {
    match owner {
        Value::Dict(items) => {
            let items = items.borrow();
            if let Some(key) = index.as_text() {
                return items
                    .iter()
                    .rev()
                    .find(|(k, _)| k.as_text().is_some_and(|k| k == key))
                    .map_or(Value::Unknown, |(_, v)| v.clone());
            }
            Value::Unknown
        }
        Value::List(items) => match index {
            Value::Plain(number) => {
                let items = items.borrow();
                let at = number.parse::<i64>().ok().and_then(|n| {
                    usize::try_from(n).ok().or_else(|| {
                        items
                            .len()
                            .checked_sub(usize::try_from(n.unsigned_abs()).ok()?)
                    })
                });
                at.and_then(|at| items.get(at))
                    .cloned()
                    .unwrap_or(Value::Unknown)
            }
            _ => Value::Unknown,
        },
        Value::Any(all) => Value::any(all.iter().map(|one| item_of(one, index)).collect()),
        // A part of a variable's value is made from that variable.
        Value::Env(_) => owner.clone(),
        _ => Value::Unknown,
    }
}

/// Alternatives that a text is told apart by.
const MOST_ENDS: usize = 8;

/// Parts that a joined text is made of, at most.
const MOST_PARTS: usize = 64;

/// Two values one after the other: text, lists, or text with parts that are not known.
pub fn join<'t>(a: &Value<'t>, b: &Value<'t>) -> Value<'t> {
    const LONGEST: usize = 64 * 1024;
    match (a, b) {
        (Value::Text(x, origin), Value::Text(y, _)) if x.len() + y.len() < LONGEST => {
            Value::Text(format!("{x}{y}").into(), origin.clone())
        }
        (Value::Text(x, origin), Value::Plain(y)) if x.len() + y.len() < LONGEST => {
            Value::Text(format!("{x}{y}").into(), origin.clone())
        }
        (Value::List(x), Value::List(y)) => {
            let both = x
                .borrow()
                .iter()
                .chain(y.borrow().iter())
                .cloned()
                .collect();
            Value::list(both)
        }
        (Value::List(_), Value::Unknown | Value::Any(_)) => a.clone(),
        // Text with one of several ends is one of several texts.
        (_, Value::Any(ends)) if ends.len() <= MOST_ENDS => {
            Value::any(ends.iter().map(|end| join(a, end)).collect())
        }
        (Value::Unknown, Value::List(_)) => b.clone(),
        _ => {
            let mut parts = Vec::new();
            for value in [a, b] {
                match value {
                    Value::Pieces(inner) => parts.extend(inner.iter().cloned()),
                    other => parts.push(other.clone()),
                }
            }
            parts.truncate(MOST_PARTS);
            Value::Pieces(Rc::new(parts))
        }
    }
}
