//! Calls: of the program's own functions, of Python's, of `os`, of HTTP clients and of RunPod.

use std::cell::RefCell;
use std::rc::Rc;

use super::interp::Interp;
use super::syntax::{Node, children, field};
use super::value::{EnvRef, Value};
use super::{FlagGiven, FlagValue, InputKey, Requested, Setting, Start};
use crate::surface::{EnvRead, How};

/// Whether a dotted name is the environment: `os.environ`, or a mapping handed in its place.
pub fn is_environ(name: &str) -> bool {
    matches!(name, "os.environ" | "environ" | "os.environb")
}

/// What a parameter that no call gives a value stands for, by its name: handlers name the job
/// `job` or `event`, and code that is made to be tested takes the environment as a mapping.
pub fn parameter<'t>(name: &str, annotation: &str) -> Value<'t> {
    let mapping =
        annotation.is_empty() || annotation.contains("apping") || annotation.contains("dict");
    match name {
        "job" | "event" => Value::Job,
        "job_input" => Value::Input("".into()),
        "env" | "environ" | "environment" if mapping => Value::Outside("os.environ".into()),
        _ => Value::Param(name.into()),
    }
}

/// The arguments of a call.
struct Arguments<'t> {
    positional: Vec<Value<'t>>,
    named: Vec<(String, Value<'t>)>,
    nodes: Vec<Node<'t>>,
}

impl<'t> Arguments<'t> {
    fn get(&self, index: usize) -> Value<'t> {
        self.positional
            .get(index)
            .cloned()
            .unwrap_or(Value::Unknown)
    }

    fn named(&self, name: &str) -> Option<&Value<'t>> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }
}

impl<'t> Interp<'t> {
    pub fn eval_call(&mut self, node: Node<'t>) -> Value<'t> {
        let Some(callee) = field(node, "function") else {
            return Value::Unknown;
        };
        let arguments = self.arguments(node);
        if callee.kind() == "attribute" {
            let owner = field(callee, "object").map_or(Value::Unknown, |n| self.eval(n));
            let name = field(callee, "attribute").map_or("", |n| self.text(n));
            return self.method(node, callee, &owner, name, &arguments);
        }
        let function = self.eval(callee);
        self.apply(node, &function, &arguments)
    }

    fn arguments(&mut self, node: Node<'t>) -> Arguments<'t> {
        let mut out = Arguments {
            positional: Vec::new(),
            named: Vec::new(),
            nodes: Vec::new(),
        };
        let Some(list) = field(node, "arguments") else {
            return out;
        };
        if list.kind() == "generator_expression" {
            out.positional.push(self.eval(list));
            out.nodes.push(list);
            return out;
        }
        for child in children(list) {
            match child.kind() {
                "keyword_argument" => {
                    let name = field(child, "name").map_or("", |n| self.text(n)).to_owned();
                    let value = field(child, "value").map_or(Value::Unknown, |n| self.eval(n));
                    out.named.push((name, value));
                }
                "list_splat" => {
                    let inner = children(child)
                        .first()
                        .map_or(Value::Unknown, |&n| self.eval(n));
                    out.positional.push(inner);
                    out.nodes.push(child);
                }
                "dictionary_splat" => {
                    self.eval(child);
                }
                _ => {
                    out.positional.push(self.eval(child));
                    out.nodes.push(child);
                }
            }
        }
        out
    }

    fn apply(&mut self, node: Node<'t>, function: &Value<'t>, args: &Arguments<'t>) -> Value<'t> {
        if matches!(function, Value::Function(_) | Value::Class(_)) {
            self.own_request(node, args);
        }
        match function {
            Value::Function(function) => self.call(function, &args.positional, &args.named),
            Value::Class(class) => self.instantiate(class, &args.positional, &args.named),
            Value::Outside(path) => self.outside(node, &path.clone(), args),
            Value::Any(all) => {
                let all = all.clone();
                let results = all.iter().map(|one| self.apply(node, one, args)).collect();
                Value::any(results)
            }
            _ => Value::any(
                args.positional
                    .iter()
                    .flat_map(|a| a.envs())
                    .map(Value::Env)
                    .collect(),
            ),
        }
    }

    /// `owner.name(…)`.
    fn method(
        &mut self,
        node: Node<'t>,
        callee: Node<'t>,
        owner: &Value<'t>,
        name: &str,
        args: &Arguments<'t>,
    ) -> Value<'t> {
        match owner {
            Value::Outside(path) if is_environ(path) => return self.environ(node, name, args),
            Value::Outside(path) => {
                if let Some(index) = self.own_module(path) {
                    self.module(index);
                    let function = self.modules[index].globals.borrow().get(name).cloned();
                    if let Some(function) = function {
                        return self.apply(node, &function, args);
                    }
                }
                let path = format!("{path}.{name}");
                return self.outside(node, &path, args);
            }
            Value::Object(_) | Value::Class(_) => {
                let function = self.attribute_of(owner, name);
                if !matches!(function, Value::Unknown) {
                    return self.apply(node, &function, args);
                }
            }
            Value::Input(path) if matches!(name, "get" | "pop" | "setdefault") => {
                return self.input_key(&path.clone(), &args.get(0), false, node);
            }
            Value::Job if name == "get" => {
                return match args.get(0).as_text().as_deref() {
                    Some("input") => Value::Input("".into()),
                    _ => Value::Unknown,
                };
            }
            Value::List(list) => return self.list_method(owner, &list.clone(), name, args, node),
            Value::Dict(_) => return dict_method(owner, name, args),
            Value::Text(..) | Value::Env(_) | Value::Plain(_) | Value::Pieces(_) => {
                return self.text_method(owner, name, args);
            }
            // Text from the job, made tidy, is still that text.
            Value::Input(_)
                if matches!(name, "strip" | "lstrip" | "rstrip" | "lower" | "upper") =>
            {
                return owner.clone();
            }
            Value::Any(all) => {
                let all = all.clone();
                let results = all
                    .iter()
                    .map(|one| self.method(node, callee, one, name, args))
                    .collect();
                return Value::any(results);
            }
            _ => {}
        }
        self.request(node, Some(callee), name, args);
        self.openai_client(callee);
        Value::any(
            args.positional
                .iter()
                .flat_map(|a| a.envs())
                .map(Value::Env)
                .collect(),
        )
    }

    fn environ(&mut self, node: Node<'t>, name: &str, args: &Arguments<'t>) -> Value<'t> {
        match name {
            "get" | "pop" | "setdefault" => {
                let default = args.positional.get(1);
                let default = self.default_text(default, args.nodes.get(1).copied());
                self.env_read(&args.get(0), default, node)
            }
            "update" => {
                if let Value::Dict(items) = args.get(0) {
                    for (key, _) in items.borrow().iter() {
                        if let Some(name) = key.as_text() {
                            let place = self.place_of_value(key, node);
                            self.facts.set.push((name.to_string(), place));
                        }
                    }
                }
                for (name, _) in &args.named {
                    let place = self.place(node);
                    self.facts.set.push((name.clone(), place));
                }
                Value::Unknown
            }
            "copy" => Value::Outside("os.environ".into()),
            "items" | "keys" | "values" => Value::Unknown,
            _ => Value::Unknown,
        }
    }

    /// A call of something that is not in these files.
    fn outside(&mut self, node: Node<'t>, path: &str, args: &Arguments<'t>) -> Value<'t> {
        let name = path.rsplit('.').next().unwrap_or(path);
        match path {
            "os.getenv" | "getenv" | "os.environ.get" => {
                let default = args.positional.get(1).or(args.named("default"));
                let default = self.default_text(default, args.nodes.get(1).copied());
                return self.env_read(&args.get(0), default, node);
            }
            "os.putenv" => {
                if let Some(name) = args.get(0).as_text() {
                    let place = self.place_of_value(&args.get(0), node);
                    self.facts.set.push((name.to_string(), place));
                }
                return Value::Unknown;
            }
            "runpod.serverless.start" | "serverless.start" => {
                self.serverless(node, args);
                return Value::Unknown;
            }
            _ if path.starts_with("json.load") => {
                return self.load_json(&args.get(0));
            }
            "dict" => {
                return match args.get(0) {
                    Value::Unknown => {
                        let items = args.named.iter().map(|(k, v)| (Value::text(k), v.clone()));
                        Value::dict(items.collect())
                    }
                    other => other,
                };
            }
            "str"
            | "int"
            | "float"
            | "bool"
            | "list"
            | "tuple"
            | "set"
            | "frozenset"
            | "sorted"
            | "reversed"
            | "iter"
            | "next"
            | "typing.cast"
            | "asyncio.run"
            | "asyncio.create_task"
            | "pathlib.Path"
            | "Path"
            | "types.MappingProxyType"
            | "shlex.split" => {
                let value = if path == "typing.cast" {
                    args.get(1)
                } else {
                    args.get(0)
                };
                return match value {
                    // A loop over a dict goes through its keys; a copy must not be the same list.
                    Value::Dict(_) | Value::List(_) => Value::list(self.items_or_empty(&value)),
                    other => other,
                };
            }
            "enumerate" => {
                let items = self.items_or_empty(&args.get(0));
                let pairs = items.into_iter().enumerate();
                return Value::list(
                    pairs
                        .map(|(i, v)| Value::list(vec![Value::Plain(i.to_string().into()), v]))
                        .collect(),
                );
            }
            "zip" => {
                let (a, b) = (
                    self.items_or_empty(&args.get(0)),
                    self.items_or_empty(&args.get(1)),
                );
                return Value::list(
                    a.into_iter()
                        .zip(b)
                        .map(|(a, b)| Value::list(vec![a, b]))
                        .collect(),
                );
            }
            "itertools.chain" | "chain" => {
                let all: Vec<_> = args
                    .positional
                    .iter()
                    .flat_map(|one| self.items_or_empty(one))
                    .collect();
                return Value::list(all);
            }
            "getattr" => {
                if let Some(name) = args.get(1).as_text() {
                    return self.attribute_of(&args.get(0), &name);
                }
            }
            "open" => return args.get(0),
            _ => {}
        }
        if starts_process(path) {
            self.start_process(node, args);
            return Value::Outside("subprocess".into());
        }
        self.request(node, None, name, args);
        Value::any(
            args.positional
                .iter()
                .flat_map(|a| a.envs())
                .map(Value::Env)
                .collect(),
        )
    }

    fn items_or_empty(&mut self, value: &Value<'t>) -> Vec<Value<'t>> {
        match value {
            Value::List(_) | Value::Dict(_) | Value::Any(_) => self.items(value),
            _ => Vec::new(),
        }
    }

    fn list_method(
        &mut self,
        owner: &Value<'t>,
        list: &Rc<RefCell<Vec<Value<'t>>>>,
        name: &str,
        args: &Arguments<'t>,
        node: Node<'t>,
    ) -> Value<'t> {
        const MOST: usize = 20_000;
        match name {
            "append" | "add" => {
                let value = args.get(0);
                let last = list.borrow().last().cloned();
                if let (Some(last), false) = (last, is_flag(&value)) {
                    self.flag_pair(&last, Some(&value), node);
                } else {
                    self.flag_pair(&value, None, node);
                }
                if list.borrow().len() < MOST {
                    list.borrow_mut().push(value);
                }
                Value::Unknown
            }
            "extend" | "update" => {
                self.extend(list, &args.get(0), node);
                Value::Unknown
            }
            "insert" => {
                let value = args.get(1);
                self.flag_pair(&value, None, node);
                if list.borrow().len() < MOST {
                    list.borrow_mut().push(value);
                }
                Value::Unknown
            }
            "copy" => Value::list(list.borrow().clone()),
            _ => {
                let _ = owner;
                Value::Unknown
            }
        }
    }

    /// `list.extend(more)` and `list += more`.
    pub fn extend(&mut self, list: &Rc<RefCell<Vec<Value<'t>>>>, more: &Value<'t>, node: Node<'t>) {
        const MOST: usize = 20_000;
        self.flags_in(more, node);
        let items = self.items_or_empty(more);
        if list.borrow().len() < MOST {
            list.borrow_mut().extend(items);
        }
    }

    fn text_method(&mut self, owner: &Value<'t>, name: &str, args: &Arguments<'t>) -> Value<'t> {
        let Value::Text(text, origin) = owner else {
            return match (name, owner) {
                ("format" | "encode" | "decode", _) | (_, Value::Env(_) | Value::Pieces(_)) => {
                    owner.clone()
                }
                _ => Value::Unknown,
            };
        };
        let with = |new: String| Value::Text(new.into(), origin.clone());
        let argument = |index: usize| args.get(index).as_text();
        match name {
            "lower" | "casefold" => with(text.to_lowercase()),
            "upper" => with(text.to_uppercase()),
            "strip" => with(strip(text, argument(0).as_deref(), true, true)),
            "lstrip" => with(strip(text, argument(0).as_deref(), true, false)),
            "rstrip" => with(strip(text, argument(0).as_deref(), false, true)),
            "replace" => match (argument(0), argument(1)) {
                (Some(from), Some(to)) if !from.is_empty() => with(text.replace(&*from, &to)),
                _ => Value::Unknown,
            },
            "removeprefix" => with(
                argument(0)
                    .and_then(|p| text.strip_prefix(&*p))
                    .unwrap_or(text)
                    .to_owned(),
            ),
            "split" => {
                let parts: Vec<&str> = match argument(0) {
                    Some(by) if !by.is_empty() => text.split(&*by).collect(),
                    _ => text.split_whitespace().collect(),
                };
                Value::list(parts.into_iter().map(|p| with(p.to_owned())).collect())
            }
            "join" => {
                let items = self.items_or_empty(&args.get(0));
                let mut out = Value::text("");
                for (index, item) in items.iter().enumerate().take(64) {
                    if index > 0 {
                        out = super::eval::join(&out, &Value::Text(text.clone(), None));
                    }
                    out = super::eval::join(&out, item);
                }
                out
            }
            "format" => {
                let mut given = args.positional.iter();
                let mut parts = text.split("{}");
                let mut out = with(parts.next().unwrap_or_default().to_owned());
                for part in parts {
                    out = super::eval::join(&out, given.next().unwrap_or(&Value::Unknown));
                    out = super::eval::join(&out, &Value::text(part));
                }
                out
            }
            "encode" | "decode" | "title" | "format_map" => owner.clone(),
            _ => Value::Unknown,
        }
    }

    // ---- environment ----

    fn default_text(
        &mut self,
        value: Option<&Value<'t>>,
        node: Option<Node<'t>>,
    ) -> Option<String> {
        let value = value?;
        if let Value::Plain(text) = value
            && &**text == "None"
        {
            return None;
        }
        value.display().or_else(|| match value {
            Value::Param(_) => None,
            _ => node.map(|node| self.text(node).to_owned()),
        })
    }

    /// Notes that a variable is read, under each name that it may have.
    pub fn env_read(
        &mut self,
        name: &Value<'t>,
        default: Option<String>,
        node: Node<'t>,
    ) -> Value<'t> {
        let mut read = Vec::new();
        for one in name.alternatives() {
            let Value::Text(text, _) = &one else {
                continue;
            };
            let place = self.place_of_value(&one, node);
            let fact = EnvRead {
                name: text.to_string(),
                default: default.clone().filter(|d| !d.is_empty()),
                drives: None,
                by_table: false,
                place,
            };
            if !self.facts.env.contains(&fact) {
                self.facts.env.push(fact);
            }
            read.push(Value::Env(Rc::new(EnvRef {
                name: text.to_string(),
                words: RefCell::new(Vec::new()),
            })));
        }
        if read.is_empty() {
            self.name_unknown(
                "the name of this environment variable is computed and could not be followed",
                node,
            );
            return Value::Unknown;
        }
        self.name_known(node);
        Value::any(read)
    }

    /// Notes what `read or default` falls back to.
    pub fn default_of(&mut self, name: &str, default: &str) {
        if default.is_empty() || default == "None" {
            return;
        }
        for read in &mut self.facts.env {
            if read.name == name && read.default.is_none() {
                read.default = Some(default.to_owned());
            }
        }
    }

    // ---- the server's command line ----

    /// A list that names the server's module is its command line, whatever is done with it.
    pub fn command_literal(&mut self, node: Node<'t>, value: &Value<'t>) {
        let Value::List(items) = value else {
            return;
        };
        let server = items.borrow().iter().any(|item| {
            item.as_text()
                .is_some_and(|text| text.starts_with("sglang.launch_server"))
        });
        if server {
            self.facts.launches = true;
            self.flags_of(&items.borrow().clone(), node, true);
        }
    }

    pub fn flags_in(&mut self, value: &Value<'t>, node: Node<'t>) {
        for one in value.alternatives() {
            if let Value::List(items) = one {
                self.flags_of(&items.borrow().clone(), node, false);
            }
        }
    }

    /// Flags in what is returned or yielded: only where it is written out there, because a table
    /// of flag names is no command line.
    pub fn flags_in_literal(&mut self, node: Node<'t>, value: &Value<'t>) {
        match (node.kind(), value) {
            ("list" | "tuple" | "expression_list", value) => self.flags_in(value, node),
            ("string", value) => self.flag_pair(value, None, node),
            _ => {}
        }
    }

    fn flags_of(&mut self, items: &[Value<'t>], node: Node<'t>, launch: bool) {
        for (index, item) in items.iter().enumerate() {
            if is_flag(item) {
                let value = items.get(index + 1).filter(|next| !is_flag(next));
                self.flag_value(item, value, node, launch);
            }
        }
    }

    fn flag_pair(&mut self, flag: &Value<'t>, value: Option<&Value<'t>>, node: Node<'t>) {
        if is_flag(flag) {
            self.flag_value(flag, value, node, false);
        }
    }

    fn flag_value(
        &mut self,
        flag: &Value<'t>,
        value: Option<&Value<'t>>,
        node: Node<'t>,
        launch: bool,
    ) {
        let (name, inline) = match flag {
            Value::Pieces(parts) => {
                let first = parts.first().and_then(Value::as_text).unwrap_or_default();
                match first.split_once('=') {
                    Some((name, _)) => (name.to_owned(), Some(flag.clone())),
                    None => return,
                }
            }
            other => match other.as_text() {
                Some(text) => match text.split_once('=') {
                    Some((name, value)) => (name.to_owned(), Some(Value::text(value))),
                    None => (text.to_string(), None),
                },
                None => return,
            },
        };
        let value = inline.as_ref().or(value);
        let guards = self.guarding();
        let envs = value.map(Value::envs).unwrap_or_default();
        let driven = !envs.is_empty() || !guards.is_empty();
        if !launch && !crate::sglang::is_known(&name) && !driven {
            return;
        }
        let place = self.place_of_value(flag, node);
        let (value, sources) = match value {
            Some(_) if !envs.is_empty() => (FlagValue::Env, envs),
            Some(value) => match value.display() {
                Some(text) => (FlagValue::Fixed(text), guards),
                None => (FlagValue::Computed, guards),
            },
            None => (FlagValue::Alone, guards),
        };
        let mut names: Vec<(String, How)> = Vec::new();
        for env in sources {
            if names.iter().any(|(known, _)| *known == env.name) {
                continue;
            }
            let how = match &value {
                FlagValue::Env => How::Value,
                _ => How::Switch {
                    words: env.words.borrow().clone(),
                },
            };
            names.push((env.name.clone(), how));
        }
        self.flag(FlagGiven {
            flag: name,
            value,
            from: names,
            place,
        });
    }

    fn start_process(&mut self, node: Node<'t>, args: &Arguments<'t>) {
        let place = self.place(node);
        self.facts.starts.push(Start { place });
        for argument in &args.positional {
            if let Value::List(items) = argument {
                let items = items.borrow().clone();
                self.flags_of(&items, node, false);
            }
        }
    }

    // ---- jobs ----

    /// Notes a key of the job's input that the program asks for.
    pub fn input_key(
        &mut self,
        path: &str,
        key: &Value<'t>,
        needed: bool,
        node: Node<'t>,
    ) -> Value<'t> {
        let Some(key) = key.as_text() else {
            return Value::Unknown;
        };
        let path = if path.is_empty() {
            key.to_string()
        } else {
            format!("{path}.{key}")
        };
        let place = self.place(node);
        let known = self
            .facts
            .inputs
            .iter_mut()
            .find(|known| known.path == path);
        match known {
            Some(known) => {
                known.needed |= needed;
                known.asked |= !needed;
            }
            None => self.facts.inputs.push(InputKey {
                path: path.clone(),
                needed,
                asked: !needed,
                place,
            }),
        }
        const DEEPEST: usize = 256;
        if path.len() > DEEPEST {
            return Value::Unknown;
        }
        Value::Input(path.into())
    }

    fn serverless(&mut self, node: Node<'t>, args: &Arguments<'t>) {
        let Some(&first) = args.nodes.first() else {
            return;
        };
        if let Value::Dict(items) = args.get(0) {
            let written = children(first);
            for (key, value) in items.borrow().iter() {
                let Some(key) = key.as_text() else {
                    continue;
                };
                let text = written.iter().find_map(|pair| {
                    let name = field(*pair, "key").map(|n| self.text(n))?;
                    let value = field(*pair, "value")?;
                    (name.trim_matches(['"', '\'']) == &*key).then(|| self.text(value).to_owned())
                });
                let constant = value.display();
                let is_constant = constant.is_some();
                let place = self.place(node);
                self.facts.serverless.push(Setting {
                    name: key.to_string(),
                    value: constant.or(text).unwrap_or_else(|| "…".to_owned()),
                    is_constant,
                    place,
                });
            }
        } else {
            self.gap("the settings of runpod.serverless.start are computed", node);
        }
    }

    // ---- requests ----

    fn request(
        &mut self,
        node: Node<'t>,
        callee: Option<Node<'t>>,
        name: &str,
        args: &Arguments<'t>,
    ) {
        let (method, url) = match name {
            "get" | "post" | "put" | "delete" | "patch" | "head" | "options" => (
                name.to_uppercase(),
                args.positional.first().or(args.named("url")),
            ),
            "urlopen" => ("GET".to_owned(), args.positional.first()),
            "ws_connect" => ("GET".to_owned(), args.positional.first()),
            "request" | "stream" => {
                let method = args.get(0).as_text();
                let method = method.map_or_else(|| "*".to_owned(), |m| m.to_uppercase());
                (method, args.positional.get(1).or(args.named("url")))
            }
            _ => return,
        };
        let Some(url) = url else {
            return;
        };
        let _ = callee;
        for one in url.alternatives() {
            let Some(route) = route(&one) else {
                continue;
            };
            let place = self.place(node);
            let requested = Requested {
                route,
                method: method.clone(),
                place,
            };
            if !self.facts.routes.contains(&requested) {
                self.facts.routes.push(requested);
            }
        }
    }

    /// A request in the program's own words: a call that is given a method and then a route.
    fn own_request(&mut self, node: Node<'t>, args: &Arguments<'t>) {
        const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
        let Some(method) = args.get(0).as_text().filter(|m| METHODS.contains(&&**m)) else {
            return;
        };
        for one in args.get(1).alternatives() {
            let Some(route) = route(&one) else {
                continue;
            };
            let place = self.place(node);
            let requested = Requested {
                route,
                method: method.to_string(),
                place,
            };
            if !self.facts.routes.contains(&requested) {
                self.facts.routes.push(requested);
            }
        }
    }

    /// What a client of the OpenAI library asks for stands in the names of its methods.
    fn openai_client(&mut self, callee: Node<'t>) {
        let text = self.text(callee);
        let found = [
            (".chat.completions.create", "POST", "/v1/chat/completions"),
            (".completions.create", "POST", "/v1/completions"),
            (".embeddings.create", "POST", "/v1/embeddings"),
            (".responses.create", "POST", "/v1/responses"),
            (".models.list", "GET", "/v1/models"),
        ];
        if let Some((_, method, route)) = found.iter().find(|(end, _, _)| text.ends_with(end)) {
            let place = self.place(callee);
            let requested = Requested {
                route: (*route).to_owned(),
                method: (*method).to_owned(),
                place,
            };
            if !self.facts.routes.contains(&requested) {
                self.facts.routes.push(requested);
            }
        }
    }
}

/// Whether a value is a flag: text that begins with two dashes.
fn is_flag(value: &Value<'_>) -> bool {
    let flag = |text: &str| {
        text.strip_prefix("--")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
    };
    match value {
        Value::Pieces(parts) => parts
            .first()
            .and_then(Value::as_text)
            .is_some_and(|t| flag(&t)),
        other => other.as_text().is_some_and(|text| flag(&text)),
    }
}

fn starts_process(path: &str) -> bool {
    path.starts_with("subprocess.")
        || path.starts_with("os.exec")
        || path.starts_with("os.posix_spawn")
        || path.ends_with("create_subprocess_exec")
        || path.ends_with("create_subprocess_shell")
        || path == "os.system"
        || path == "Popen"
}

/// The path that a URL asks for; `{name}` where the job's input gives it.
fn route(url: &Value<'_>) -> Option<String> {
    let pattern = url.pattern(&|value| match value {
        Value::Input(path) if !path.is_empty() => Some(format!("{{{path}}}")),
        _ => None,
    });
    let rest = match pattern.split_once("://") {
        Some((_, rest)) => {
            let at = rest.find(['/', '{'])?;
            &rest[at..]
        }
        None => pattern.trim_start_matches('\0'),
    };
    let route = rest.split(['?', '#']).next().unwrap_or(rest);
    let route = route.replace('\0', "{}");
    (route.starts_with('/') || route.starts_with('{'))
        .then_some(route)
        .filter(|route| route.len() < 256)
}

fn dict_method<'t>(owner: &Value<'t>, name: &str, args: &Arguments<'t>) -> Value<'t> {
    let Value::Dict(items) = owner else {
        return Value::Unknown;
    };
    match name {
        "items" => Value::list(
            items
                .borrow()
                .iter()
                .map(|(k, v)| Value::list(vec![k.clone(), v.clone()]))
                .collect(),
        ),
        "keys" => Value::list(items.borrow().iter().map(|(k, _)| k.clone()).collect()),
        "values" => Value::list(items.borrow().iter().map(|(_, v)| v.clone()).collect()),
        "get" | "pop" => match super::eval::item_of(owner, &args.get(0)) {
            Value::Unknown => args.get(1),
            found => found,
        },
        "update" => {
            if let Value::Dict(more) = args.get(0)
                && !Rc::ptr_eq(items, &more)
            {
                items.borrow_mut().extend(more.borrow().iter().cloned());
            }
            Value::Unknown
        }
        "copy" => Value::dict(items.borrow().clone()),
        _ => Value::Unknown,
    }
}

fn strip(text: &str, set: Option<&str>, left: bool, right: bool) -> String {
    let inside = |c: char| set.map_or_else(|| c.is_whitespace(), |set| set.contains(c));
    let text = if left {
        text.trim_start_matches(inside)
    } else {
        text
    };
    let text = if right {
        text.trim_end_matches(inside)
    } else {
        text
    };
    text.to_owned()
}
