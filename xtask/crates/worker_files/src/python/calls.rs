//! Calls: of the program's own functions, of Python's, of `os`, of HTTP clients and of `RunPod`.

use std::cell::RefCell;
use std::rc::Rc;

use super::interp::Interp;
use super::methods::dict_method;
use super::server::starts_process;
use super::syntax::{Node, children, field};
use super::value::{EnvRef, Value};
use super::{InputKey, Setting};
use crate::EnvRead;

/// Paths into a job's input are followed to this length.
const LONGEST_PATH: usize = 256;

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
pub struct Arguments<'t> {
    pub positional: Vec<Value<'t>>,
    pub named: Vec<(String, Value<'t>)>,
    pub nodes: Vec<Node<'t>>,
}

impl<'t> Arguments<'t> {
    pub fn get(&self, index: usize) -> Value<'t> {
        self.positional
            .get(index)
            .cloned()
            .unwrap_or(Value::Unknown)
    }

    pub fn named(&self, name: &str) -> Option<&Value<'t>> {
        self.named.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// What a call that was not followed may give back: any of the variables that went in.
    fn envs(&self) -> Value<'t> {
        let envs = self.positional.iter().flat_map(Value::envs);
        Value::any(envs.map(Value::Env).collect())
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

    pub fn apply(
        &mut self,
        node: Node<'t>,
        function: &Value<'t>,
        args: &Arguments<'t>,
    ) -> Value<'t> {
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
            _ => args.envs(),
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
        args.envs()
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
            _ => Value::Unknown,
        }
    }

    /// A call of something that is not in these files.
    #[expect(clippy::too_many_lines, reason = "one case per kind of syntax")]
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
        args.envs()
    }

    pub fn items_or_empty(&mut self, value: &Value<'t>) -> Vec<Value<'t>> {
        match value {
            Value::List(_) | Value::Dict(_) | Value::Any(_) => self.items(value),
            _ => Vec::new(),
        }
    }

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
    #[allow(clippy::needless_pass_by_value, reason = "callers make it for this")]
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
            let default = default.clone().filter(|d| !d.is_empty());
            let fact = EnvRead::new(text.to_string(), default, place);
            // Each read is held against the earlier ones of the same variable.
            self.charge(self.reads_of.get(&fact.name).map_or(0, Vec::len));
            let known = self.reads_of.entry(fact.name.clone()).or_default();
            if !known.iter().any(|&at| self.facts.env[at] == fact) {
                known.push(self.facts.env.len());
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
        for &at in self.reads_of.get(name).into_iter().flatten() {
            let read = &mut self.facts.env[at];
            if read.default.is_none() {
                read.default = Some(default.to_owned());
            }
        }
    }

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
                default: None,
                path: path.clone(),
                needed,
                asked: !needed,
                place,
            }),
        }
        if path.len() > LONGEST_PATH {
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
}
