//! What handlers take from a job's input, which routes the program asks for, and how RunPod's SDK
//! is started.

use super::environment::argument_values;
use super::eval::Reader;
use super::scope::parameters;
use super::syntax::Node;
use super::value::{Args, Ctx, Val};
use super::{InputKey, Requested, Setting};
use crate::Hides;

impl<'t> Reader<'t> {
    /// Finds what `runpod.serverless.start` is given, so that the handler's parameter is the job.
    pub fn serverless(&mut self, node: Node<'t>) {
        let Some(function) = node
            .field("function")
            .filter(|f| f.text().ends_with("start"))
        else {
            return;
        };
        if !matches!(self.value(function), Val::Ext(path) if &*path == "runpod.serverless.start" || path.ends_with("serverless.start"))
        {
            return;
        }
        let Some(config) = argument_values(node).first().copied() else {
            return;
        };
        let Val::Dict(items) = self.value(config) else {
            return self.not_read(
                node,
                "what runpod.serverless.start is given was not followed",
                &[Hides::JobInput],
            );
        };
        for (key, value) in items.iter() {
            let Some(name) = key.as_str() else { continue };
            let place = match key {
                Val::Str(_, Some(at)) => self.place(*at),
                _ => self.place(node),
            };
            if name == "handler" {
                self.handler(node, value);
            }
            let called = matches!(
                value,
                Val::Func(..) | Val::Partial(..) | Val::Class(_) | Val::Method(..)
            )
            .then(|| {
                let current = Args {
                    positional: vec![Val::Unknown],
                    ..Args::default()
                };
                if name == "handler" {
                    Val::Unknown
                } else {
                    self.result(value, &current, None)
                }
            });
            let constant = called
                .as_ref()
                .unwrap_or(value)
                .display()
                .filter(|text| text != "None");
            let label = match value {
                Val::Func(own, ..) => own.text_of("name").to_owned(),
                _ => String::new(),
            };
            let label = if label.is_empty() {
                "function".to_owned()
            } else {
                label
            };
            let is_constant = constant.is_some();
            self.facts.serverless.push(Setting {
                name: name.to_owned(),
                value: constant.unwrap_or(label),
                is_constant,
                place,
            });
        }
    }

    fn handler(&mut self, node: Node<'t>, value: &Val<'t>) {
        for one in value.each() {
            let job = Args {
                positional: vec![Val::Job],
                ..Args::default()
            };
            match one {
                Val::Func(..) | Val::Partial(..) | Val::Object(..) => self.called(one, &job, node),
                _ => self.not_read(
                    node,
                    "which function the handler is was not followed",
                    &[Hides::JobInput],
                ),
            }
        }
    }

    /// Accounts for a node, where it takes something of a job's input.
    pub fn input(&mut self, node: Node<'t>) {
        match node.kind() {
            "subscript" => {
                let (Some(object), Some(key)) = (node.field("value"), node.field("subscript"))
                else {
                    return;
                };
                let set = node.part() == "left"
                    && node.parent().is_some_and(|p| p.kind() == "assignment");
                if !set && key.kind() != "slice" && self.is_input(object) {
                    self.taken(node, object, key, None, true);
                }
            }
            "comparison_operator" if node.text_of("operators").ends_with("in") => {
                let Some((left, right)) = node.child(0).zip(node.child(1)) else {
                    return;
                };
                // A sign that is looked for in text is no key.
                let sign = left.kind() == "string"
                    && !super::environment::bare(left.text()).contains(char::is_alphanumeric);
                if !sign && self.is_input(right) {
                    self.taken(node, right, left, None, false);
                }
                self.filtered(node, left, right);
            }
            "call" => self.input_call(node),
            "match_statement" => self.matched(node),
            _ => {}
        }
    }

    fn is_input(&mut self, node: Node<'t>) -> bool {
        self.value(node)
            .each()
            .iter()
            .any(|one| matches!(one, Val::Input(_) | Val::Job))
    }

    /// `{k: v for k, v in input.items() if k in ALLOWED}`.
    fn filtered(&mut self, node: Node<'t>, left: Node<'t>, right: Node<'t>) {
        let owner = node.ancestors().find(|a| {
            a.kind().ends_with("comprehension")
                || matches!(a.kind(), "for_statement" | "generator_expression")
        });
        let clause = owner.and_then(|o| {
            if o.kind() == "for_statement" {
                Some(o)
            } else {
                o.children().find(|c| c.kind() == "for_in_clause")
            }
        });
        let Some(clause) = clause else { return };
        let Some(iter) = clause.field("right") else {
            return;
        };
        let key = clause
            .field("left")
            .map_or("", |l| l.child(0).unwrap_or(l).text());
        if key != left.text() {
            return;
        }
        let object = match iter.kind() {
            "call" => iter
                .field("function")
                .and_then(|f| f.field("object"))
                .unwrap_or(iter),
            _ => iter,
        };
        let Some(Val::Input(path)) = self
            .value(object)
            .each()
            .iter()
            .find(|one| matches!(one, Val::Input(_)))
            .cloned()
        else {
            return;
        };
        for name in self.value(right).elements().unwrap_or_default() {
            if let Val::Input(full) = Val::Input(path.clone()).item(&name) {
                self.key(node, &full, None, false, true);
            }
        }
    }

    fn taken(
        &mut self,
        node: Node<'t>,
        object: Node<'t>,
        key: Node<'t>,
        default: Option<Node<'t>>,
        needed: bool,
    ) {
        for way in self.ways(&[object, key], &Ctx::default()) {
            let name = self.eval(key, &way);
            for one in self.eval(object, &way).each() {
                let Val::Input(path) = one else { continue };
                for name in name.each() {
                    match name {
                        Val::Str(..) => {
                            let Val::Input(full) = Val::Input(path.clone()).item(name) else {
                                continue;
                            };
                            let text = default.map(|d| {
                                let value = self.eval(d, &way);
                                value
                                    .display()
                                    .unwrap_or_else(|| super::api::normal(d.text()))
                            });
                            let text = text.filter(|text| text != "None");
                            self.key(node, &full, text, needed, !needed);
                        }
                        Val::Int(_) => {}
                        _ => self.not_read(
                            node,
                            "the name of what is taken from the job's input is computed",
                            &[Hides::JobInput],
                        ),
                    }
                }
            }
        }
    }

    fn key(
        &mut self,
        node: Node<'t>,
        path: &str,
        default: Option<String>,
        needed: bool,
        asked: bool,
    ) {
        let place = self.place(node);
        if let Some(known) = self
            .facts
            .inputs
            .iter_mut()
            .find(|input| input.path == path)
        {
            known.needed |= needed;
            known.asked |= asked;
            known.default = known.default.take().or(default);
            return;
        }
        if !path.is_empty() && path.len() < 200 {
            self.facts.inputs.push(InputKey {
                path: path.to_owned(),
                default,
                needed,
                asked,
                place,
            });
        }
    }

    fn input_call(&mut self, node: Node<'t>) {
        const HARMLESS: [&str; 42] = [
            "setdefault",
            "set",
            "tuple",
            "frozenset",
            "any",
            "all",
            "enumerate",
            "iter",
            "isinstance",
            "len",
            "print",
            "str",
            "dict",
            "list",
            "bool",
            "type",
            "copy",
            "deepcopy",
            "loads",
            "dumps",
            "get",
            "int",
            "float",
            "debug",
            "info",
            "warning",
            "error",
            "exception",
            "post",
            "put",
            "request",
            "stream",
            "validate",
            "repr",
            "progress_update",
            "sorted",
            "cast",
            "keys",
            "log",
            "callable",
            "id",
            "ws_connect",
        ];
        let Some(function) = node.field("function") else {
            return;
        };
        let args = argument_values(node);
        if let Some(object) = function
            .field("object")
            .filter(|_| function.kind() == "attribute")
            && self.is_input(object)
        {
            return match function.text_of("attribute") {
                "get" | "pop" | "setdefault" if !args.is_empty() => {
                    let needed = function.text_of("attribute") == "pop" && args.len() < 2;
                    self.taken(node, object, args[0], args.get(1).copied(), needed);
                }
                _ => {}
            };
        }
        let callee = self.value(function);
        if callee == Val::Unknown || matches!(callee, Val::Ext(_) | Val::Made(_) | Val::Method(..))
        {
            let name = function.text().rsplit('.').next().unwrap_or_default();
            if name == "validate" {
                return self.schema(node, &args);
            }
            if name == "itemgetter" {
                return;
            }
            if let Val::Method(object, method) = &callee
                && let Val::Class(class) = **object
                && matches!(&**method, "model_validate" | "parse_obj" | "from_dict")
            {
                if let Some(first) = args.first() {
                    self.model(class, *first);
                }
                return;
            }
            if HARMLESS.contains(&name) {
                return;
            }
            for arg in args {
                let whole = self.value(arg).each().iter().any(|one| {
                    matches!(one, Val::Job) || matches!(one, Val::Input(path) if path.is_empty())
                });
                let handed = matches!(&callee, Val::Ext(_)) && self.hands_on(node);
                if whole
                    && !handed
                    && !arg.ancestors().next().is_some_and(|p| {
                        p.kind() == "keyword_argument"
                            && matches!(p.text_of("name"), "json" | "data" | "extra")
                    })
                {
                    self.not_read(
                        node,
                        format!("the job's input goes into `{}`", function.text()),
                        &[Hides::JobInput],
                    );
                }
            }
            return;
        }
        for one in callee.each().to_vec() {
            let Val::Class(class) = one else { continue };
            let splat = node
                .field("arguments")
                .into_iter()
                .flat_map(Node::children)
                .find(|a| a.kind() == "dictionary_splat");
            if let Some(inner) = splat.and_then(|s| s.child(0)) {
                self.model(class, inner);
            }
        }
        let splat = node
            .field("arguments")
            .into_iter()
            .flat_map(Node::children)
            .find(|a| a.kind() == "dictionary_splat");
        if let Some(inner) = splat.and_then(|s| s.child(0)) {
            self.splat(&callee, inner);
        }
    }

    /// Whether a call hands a function of the program on, which is then followed.
    fn hands_on(&mut self, node: Node<'t>) -> bool {
        argument_values(node)
            .into_iter()
            .any(|arg| matches!(self.value(arg), Val::Func(..)))
    }

    fn input_paths(&mut self, node: Node<'t>) -> Vec<Val<'t>> {
        self.value(node)
            .each()
            .iter()
            .filter(|one| matches!(one, Val::Input(_)))
            .cloned()
            .collect()
    }

    /// `f(**input)`: each parameter is a key.
    fn splat(&mut self, callee: &Val<'t>, inner: Node<'t>) {
        let paths = self.input_paths(inner);
        for one in callee.each().to_vec() {
            let function = match one {
                Val::Func(function, ..) => function,
                Val::Class(class) => match self.class_member(class, "__init__") {
                    Val::Func(init, ..) => init,
                    _ => continue,
                },
                _ => continue,
            };
            for (name, default, stars) in parameters(function) {
                if stars > 0 || matches!(name, "self" | "cls") {
                    continue;
                }
                for path in &paths {
                    if let Val::Input(full) = path.item(&Val::text(name)) {
                        let text = default
                            .map(|node| self.value(node))
                            .and_then(|v| v.display())
                            .filter(|t| t != "None");
                        self.key(
                            default.unwrap_or(inner),
                            &full,
                            text,
                            default.is_none(),
                            default.is_some(),
                        );
                    }
                }
            }
        }
    }

    /// A model made of the input: each field is a key.
    fn model(&mut self, class: Node<'t>, inner: Node<'t>) {
        let paths = self.input_paths(inner);
        if paths.is_empty() {
            return;
        }
        for (name, value, kind) in self.fields(class) {
            if name == "model_config" || kind.is_empty() || kind.starts_with("ClassVar") {
                continue;
            }
            let mut default = value
                .map(|node| self.value(node))
                .and_then(|v| v.display())
                .filter(|t| t != "None");
            let mut key = Val::text(name);
            let mut needed = value.is_none() && !kind.contains("Optional");
            if let Some(call) = value.filter(|v| v.kind() == "call") {
                let args = self.args(call, &Ctx::default());
                if let Some(alias) = ["validation_alias", "alias"]
                    .iter()
                    .find_map(|n| args.get(usize::MAX, n))
                {
                    key = alias.clone();
                }
                needed = args.get(0, "default").is_none()
                    && args.get(usize::MAX, "default_factory").is_none()
                    || call.text().contains("(...");
            } else if let Some(value) = value.filter(|_| default.is_none()) {
                default = Some(super::api::normal(value.text())).filter(|t| t != "None");
            }
            for path in &paths {
                if let Val::Input(full) = path.item(&key) {
                    self.key(
                        value.unwrap_or(inner),
                        &full,
                        default.clone(),
                        needed,
                        !needed,
                    );
                }
            }
        }
    }

    /// RunPod's `validate(input, SCHEMA)`.
    fn schema(&mut self, node: Node<'t>, args: &[Node<'t>]) {
        let (Some(input), Some(schema)) = (args.first(), args.get(1)) else {
            return;
        };
        let paths = self.input_paths(*input);
        if paths.is_empty() {
            return;
        }
        let Val::Dict(items) = self.value(*schema) else {
            return self.not_read(
                node,
                "the schema of the job's input was not followed",
                &[Hides::JobInput],
            );
        };
        for (key, rules) in items.iter() {
            let default = rules
                .entry(&Val::text("default"))
                .and_then(|v| v.display())
                .filter(|t| t != "None");
            let needed = rules.entry(&Val::text("required")) == Some(Val::Bool(true));
            for path in &paths {
                if let Val::Input(full) = path.item(key) {
                    self.key(node, &full, default.clone(), needed, !needed);
                }
            }
        }
    }

    fn matched(&mut self, node: Node<'t>) {
        let Some(subject) = node.field("subject") else {
            return;
        };
        let paths = self.input_paths(subject);
        if paths.is_empty() {
            return;
        }
        for pattern in node.below().filter(|n| n.kind() == "dict_pattern") {
            if pattern
                .ancestors()
                .take_while(|a| *a != node)
                .any(|a| a.kind() == "dict_pattern")
            {
                continue;
            }
            for key in pattern.fields("key") {
                let name = self.value(
                    key.child(0)
                        .filter(|_| key.kind() != "string")
                        .unwrap_or(key),
                );
                for path in &paths {
                    if let (Val::Str(..), Val::Input(full)) = (&name, path.item(&name)) {
                        self.key(key, &full, None, false, true);
                    }
                }
            }
        }
    }

    /// Accounts for a request.
    pub fn request(&mut self, node: Node<'t>) {
        const METHODS: [&str; 7] = ["get", "post", "put", "delete", "patch", "head", "options"];
        let Some(function) = node.field("function") else {
            return;
        };
        let text = function.text();
        let mut name = text.rsplit('.').next().unwrap_or(text);
        let mut computed = None;
        if function.kind() == "call" && function.text_of("function") == "getattr" {
            let method = argument_values(function).get(1).copied();
            computed = Some(
                method
                    .map(|m| self.value(m))
                    .and_then(|v| v.as_str().map(str::to_uppercase))
                    .unwrap_or_else(|| "*".to_owned()),
            );
            name = "get";
        }
        let args = argument_values(node);
        let keyword = |name: &str| {
            let all = node.field("arguments").into_iter().flat_map(Node::children);
            all.into_iter()
                .find(|a| a.kind() == "keyword_argument" && a.text_of("name") == name)
                .and_then(|a| a.field("value"))
        };
        let openai = [
            ("chat.completions.create", "POST", "/v1/chat/completions"),
            ("embeddings.create", "POST", "/v1/embeddings"),
            ("responses.create", "POST", "/v1/responses"),
            ("models.list", "GET", "/v1/models"),
            ("completions.create", "POST", "/v1/completions"),
        ];
        if let Some((_, method, route)) = openai.iter().find(|(end, ..)| text.ends_with(end)) {
            return self.asked_for(node, method, (*route).to_owned());
        }
        let (methods, url): (Vec<String>, _) = match name {
            _ if computed.is_some() => (computed.into_iter().collect(), args.first().copied()),
            method if METHODS.contains(&method) && function.kind() == "attribute" => (
                vec![method.to_uppercase()],
                args.first()
                    .copied()
                    .filter(|a| a.part() != "value")
                    .or(keyword("url")),
            ),
            "urlopen" | "ws_connect" => (vec!["GET".to_owned()], args.first().copied()),
            // A class of the program's own words.
            "Request" if matches!(self.value(function), Val::Class(_)) => {
                match args.first().map(|node| self.value(*node)) {
                    Some(Val::Str(method, _)) => {
                        (vec![method.to_uppercase()], args.get(1).copied())
                    }
                    _ => return,
                }
            }
            "request" | "stream" | "Request" => {
                let method = keyword("method")
                    .or_else(|| args.first().copied().filter(|_| name != "Request"));
                let methods: Vec<_> = match method.map(|node| self.value(node)) {
                    Some(value) => value
                        .each()
                        .iter()
                        .map(|one| {
                            one.as_str()
                                .map_or_else(|| "*".to_owned(), str::to_uppercase)
                        })
                        .collect(),
                    None => vec!["GET".to_owned()],
                };
                (
                    methods,
                    keyword("url").or_else(|| args.get(usize::from(name != "Request")).copied()),
                )
            }
            _ => match args.first().map(|node| self.value(*node)) {
                // The program's own words: a method and then a route.
                Some(Val::Str(method, _))
                    if METHODS.contains(&&*method.to_lowercase())
                        && *method == *method.to_uppercase() =>
                {
                    (vec![method.to_string()], args.get(1).copied())
                }
                _ => return,
            },
        };
        let Some(url) = url else { return };
        if let Some(object) = function
            .field("object")
            .filter(|_| function.kind() == "attribute")
            && self.value(object).each().iter().any(|one| {
                matches!(
                    one,
                    Val::Dict(_)
                        | Val::Environ(_)
                        | Val::Input(_)
                        | Val::Job
                        | Val::Env(..)
                        | Val::List(_)
                )
            })
        {
            return;
        }
        for way in self.ways(&[url], &Ctx::default()) {
            let value = self.eval(url, &way);
            for one in spread(&value) {
                let Some(route) = route(&one) else { continue };
                for method in &methods {
                    self.asked_for(node, method, route.clone());
                }
            }
        }
    }

    fn asked_for(&mut self, node: Node<'t>, method: &str, route: String) {
        let place = self.place(node);
        let requested = Requested {
            route,
            method: method.to_owned(),
            place,
        };
        if !self.facts.routes.contains(&requested) {
            self.facts.routes.push(requested);
        }
    }

    /// Gives a function that nobody is seen to call what its parameters are without arguments. One
    /// named `job` is a job: the program starts the handler in a way of its own.
    pub fn unknown_call(&mut self, function: Node<'t>) {
        let jobs = parameters(function)
            .filter(|(name, default, stars)| *name == "job" && default.is_none() && *stars == 0);
        let named = jobs.map(|(name, ..)| (name.into(), Val::Job)).collect();
        let args = Args {
            named,
            ..Args::default()
        };
        let ctx = self.bind(function, &Ctx::default(), None, &args, None);
        self.frame(function, ctx);
    }
}

/// Each text that a text with alternatives in it may be.
fn spread<'t>(value: &Val<'t>) -> Vec<Val<'t>> {
    const MOST: usize = 64;
    let mut done = Vec::new();
    let mut todo = value.each().to_vec();
    while let Some(one) = todo.pop() {
        let Val::Pieces(parts) = &one else {
            done.push(one);
            continue;
        };
        let several = parts.iter().position(|part| matches!(part, Val::Any(_)));
        match several {
            Some(at) if done.len() + todo.len() < MOST => {
                todo.extend(parts[at].each().iter().map(|choice| {
                    let mut parts = parts.to_vec();
                    parts[at] = choice.clone();
                    Val::Pieces(parts.into())
                }));
            }
            _ => done.push(one),
        }
    }
    done
}

/// The path that a URL asks for; `{name}` where the job's input gives it.
fn route(url: &Val<'_>) -> Option<String> {
    let parts = match url {
        Val::Pieces(parts) => parts.to_vec(),
        one => vec![one.clone()],
    };
    let mut pattern = String::new();
    for part in &parts {
        match part {
            Val::Str(text, _) => pattern += text,
            Val::Input(path) if !path.is_empty() => pattern += &format!("{{{path}}}"),
            _ => pattern.push('\0'),
        }
    }
    let rest = match pattern.split_once("://") {
        Some((_, rest)) => &rest[rest.find(['/', '{'])?..],
        None => pattern.trim_start_matches(|c: char| c == '\0' || c == ':' || c.is_ascii_digit()),
    };
    let rest = rest.trim_start_matches('\0');
    let route = rest
        .split(['?', '#'])
        .next()
        .unwrap_or(rest)
        .replace('\0', "{}");
    let route = if route.starts_with("//") {
        route.replacen("//", "/", 1)
    } else {
        route
    };
    let known = route.starts_with('/') || route.starts_with('{') && !route.starts_with("{}");
    (known && route.len() < 256 && route != "/").then_some(route)
}
