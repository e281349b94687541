//! The routes that the program requests.

use super::urls::{alternatives, pattern, route, server};
use std::collections::BTreeSet;

use super::offers::{COMPUTED, argument};
use crate::Hides;
use crate::python::Requested;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::{Node, last_part};
use crate::python::server::process::is_engine;
use xtask_core::secret::is_secret;

/// In place of the body of a request that has none.
pub const NO_BODY: &str = "(none)";
/// Beside the parts of a body that is sent as a form, and not as JSON.
pub const FORM: &str = "(form)";
/// The prefix of a line for a header of the request; `…` stands for unknown headers.
pub const HEADER: &str = "header ";
pub const METHODS: [&str; 7] = ["get", "post", "put", "delete", "patch", "head", "options"];
/// Calls of `OpenAI`'s client, with method and route.
const OPENAI: [(&str, &str, &str); 5] = [
    ("chat.completions.create", "POST", "/v1/chat/completions"),
    ("embeddings.create", "POST", "/v1/embeddings"),
    ("responses.create", "POST", "/v1/responses"),
    ("models.list", "GET", "/v1/models"),
    ("completions.create", "POST", "/v1/completions"),
];

/// The first parameters of `sglang.Engine.generate`.
const ENGINE: [&str; 2] = ["prompt", "sampling_params"];

/// The server's route for what a method of `sglang.Engine` does.
fn engine_route(callee: &Val<'_>) -> Option<&'static str> {
    let Val::Method(object, name) = callee else {
        return None;
    };
    let is_engine = |one: &Val<'_>| matches!(one, Val::Made(path) if is_engine(path));
    let route = match name.trim_start_matches("async_") {
        "generate" => "/generate",
        "encode" => "/encode",
        _ => return None,
    };
    object.may_be(is_engine).then_some(route)
}

impl<'t> Reader<'t> {
    /// Notes the routes of a request.
    pub fn request(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let text = function.text();
        if let Some((_, method, route)) = OPENAI.iter().find(|(end, ..)| text.ends_with(end)) {
            return self.add_request(node, None, method, ((*route).to_owned(), None));
        }
        if let Some(route) = engine_route(callee) {
            return self.add_request(node, None, "POST", (route.to_owned(), None));
        }
        // A method of the program itself, which is evaluated, or a route that it serves.
        let serves = node.parent_of("decorator").is_some();
        if serves || function.is("attribute") && matches!(callee, Val::Func(..)) {
            return;
        }
        let (function, found) = match passed_method(node) {
            Some((method, url)) => (method, Some((vec![method.last_name().to_uppercase()], url))),
            None => (function, self.method_and_url(node, function, callee)),
        };
        let Some((methods, url)) = found else { return };
        let is_data = |one: &Val<'t>| {
            matches!(one, Val::Dict(_) | Val::List(_) | Val::Environ(_))
                || matches!(one, Val::Env(..) | Val::Input(_) | Val::Job)
        };
        let object = function.field("object");
        if object.is_some_and(|object| self.value(object).may_be(is_data)) {
            return;
        }
        for ctx in self.each_context(node, &[url], Hides::Flags) {
            for one in alternatives(&self.at(url, &ctx)) {
                let Some(mut route) = route(&one) else {
                    continue;
                };
                let is_relative = !pattern(&one).contains("://");
                let base = self.client(node).filter(|_| is_relative);
                if let Some(base) = base.and_then(|made| made.keyword("base_url")) {
                    let base = self.at(base, &ctx);
                    let base = self::route(&base).unwrap_or_default();
                    route.insert_str(0, base.trim_end_matches('/'));
                }
                for method in &methods {
                    self.add_request(node, Some(url), method, (route.clone(), server(&one)));
                }
            }
        }
    }

    /// The methods that a call may use, and the URL.
    fn method_and_url(
        &mut self,
        node: Node<'t>,
        function: Node<'t>,
        callee: &Val<'t>,
    ) -> Option<(Vec<String>, Node<'t>)> {
        let args = node.argument_values();
        let first = args.first().copied();
        let by_place = |node: &Node<'t>| node.role() != "value";
        let made = self.written(function);
        let mut words = |method: Option<Node<'t>>, default: &str| match method {
            Some(method) => {
                let value = self.value(method);
                let word = |one: &Val<'t>| one.as_str().map_or("*".to_owned(), str::to_uppercase);
                value.each().iter().map(word).collect()
            }
            None => vec![default.to_owned()],
        };
        if made.is("call") && made.text_of("function") == "getattr" {
            return Some((words(made.argument(1), "*"), first?));
        }
        let one = |method: &str| vec![method.to_uppercase()];
        // `post = requests.post`, `METHODS[name]`
        let named: Vec<String> = match function.is("attribute") {
            true => Vec::new(),
            false => callee.each().iter().filter_map(client_method).collect(),
        };
        if !named.is_empty() {
            return Some((named, first.filter(by_place).or(node.keyword("url"))?));
        }
        let name = last_part(function.text());
        match name {
            method if METHODS.contains(&method) && function.is("attribute") => {
                let url = first.filter(by_place).or(node.keyword("url"))?;
                Some((one(method), url))
            }
            "urlopen" | "ws_connect" => {
                let second = args.get(1).copied().filter(by_place);
                let data = second.or(node.keyword("data"));
                let sends = data.is_some_and(|data| data.kind() != "none");
                let is_post = sends && name == "urlopen";
                Some((one(if is_post { "POST" } else { "GET" }), first?))
            }
            // A class of the program's own.
            "Request" if matches!(callee, Val::Class(_)) => {
                Some((words(first, "GET"), *args.get(1)?))
            }
            "request" | "stream" | "Request" => {
                let is_urllib = name == "Request";
                let url = node.keyword("url");
                let url = url.or_else(|| args.get(usize::from(!is_urllib)).copied());
                // With something to send `urllib.request.Request` is a POST.
                let data = node.keyword("data").filter(|data| data.kind() != "none");
                let default = if is_urllib && data.is_some() {
                    "POST"
                } else {
                    "GET"
                };
                let method = node.keyword("method").or(first.filter(|_| !is_urllib));
                Some((words(method, default), url?))
            }
            // A function of the program's own: a method and then a route.
            _ => {
                let word = first.filter(|first| first.is("string"))?.unquoted();
                let is_method = METHODS.iter().any(|method| method.to_uppercase() == word);
                Some((one(word), *args.get(1).filter(|_| is_method)?))
            }
        }
    }

    /// What the body of a request holds: its keys, with the values that are fixed, and what of the
    /// job's input goes into it as a whole.
    fn body(&mut self, node: Node<'t>, url: Node<'t>, method: &str) -> BTreeSet<String> {
        const BODY: [&str; 4] = ["json", "data", "content", "body"];
        let splat = |argument: Node<'t>| argument.is("dictionary_splat");
        let is_plain = METHODS.contains(&node.callee_name()) && !node.arguments().any(splat);
        let named = BODY.iter().find_map(|name| node.keyword(name));
        let is_behind = |one: &Node<'t>| {
            one.role() != "value"
                && one.range().start > url.range().end
                && node.callee_name() != "get"
        };
        let behind = node.argument_values().into_iter().find(is_behind);
        let mut all = BTreeSet::new();
        let Some(body) = named.or(behind).filter(|_| method != "GET") else {
            // Other calls may be given it in other ways.
            if matches!(method, "POST" | "PUT" | "PATCH" | "*") {
                all.insert(if is_plain { NO_BODY } else { COMPUTED }.to_owned());
            }
            return all;
        };
        // `json.dumps(body).encode()`
        let mut calls = body.subtree().filter(|one| one.callee_name() == "dumps");
        let dumped = calls.next().and_then(|call| call.argument(0));
        let is_form = dumped.is_none() && node.keyword("data") == Some(body);
        let body = self.value(dumped.unwrap_or(body));
        Self::parts_of_body("", &body, &mut all);
        if is_form && matches!(body, Val::Dict(_)) {
            all.insert(FORM.to_owned());
        }
        all
    }

    /// What a call of a client's or the engine's method sends.
    fn arguments_sent(&mut self, node: Node<'t>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let args = self.args(node, &Ctx::default());
        // Only the engine's methods take arguments by place.
        let names = ENGINE.map(Val::text).into_iter();
        let mut parts: Vec<_> = names.zip(args.positional).collect();
        for (name, value) in &args.named {
            if ENGINE.contains(&&**name) {
                parts.push((Val::text(name), value.clone()));
                continue;
            }
            all.insert(argument(name, value));
            if value.display().is_none() {
                all.extend(value.known_parts(name));
            }
        }
        let parts = Some(parts).filter(|parts| !parts.is_empty());
        let parts = parts.map(|parts| Val::Dict(parts.into()));
        for more in parts.iter().chain(&args.more) {
            Self::parts_of_body("", more, &mut all);
        }
        all
    }

    /// The headers of a request, as lines, without those that only name a content type.
    fn headers(&mut self, node: Node<'t>) -> Vec<String> {
        const OWN: [&str; 3] = ["accept", "content-type", "user-agent"];
        const MODULES: [&str; 3] = ["requests.", "httpx.", "urllib."];
        // A client may have headers of its own.
        let mut files = self.program.files.iter();
        let sets = files.any(|file| file.source.text.contains("headers"));
        let is_plain = node.keyword("auth").is_none()
            && node.arguments().all(|one| one.kind() != "dictionary_splat");
        let function = node.text_of("function");
        let by_module = MODULES.iter().any(|name| function.starts_with(name));
        let computed = || COMPUTED.to_owned();
        let mut names = match node.keyword("headers").map(|given| self.value(given)) {
            Some(Val::Dict(items)) => {
                let name =
                    |(key, _): &(Val<'t>, _)| key.as_str().map_or_else(computed, str::to_lowercase);
                items.iter().map(name).collect()
            }
            None if is_plain && (by_module || !sets) => Vec::new(),
            _ => vec![computed()],
        };
        names.retain(|name| !OWN.contains(&&**name));
        names.iter().map(|name| format!("{HEADER}{name}")).collect()
    }

    /// The call that makes the client of a request: `aiohttp.ClientSession(timeout=…)`.
    fn client(&mut self, node: Node<'t>) -> Option<Node<'t>> {
        // `client.chat.completions`
        let all = std::iter::successors(node.callee_object(), |one| one.field("object"));
        let made = self.definitions_of(all.filter(|one| one.text() != "self").last()?);
        made.into_iter().find(|one| one.is("call"))
    }

    /// Notes the parts of a body below a key: `stream=True`, `sampling_params.n=2`, `messages`,
    /// `text from prompt`, `messages with {content: Be brief., role: system}`, `prompt as User: {}`.
    fn parts_of_body(of: &str, body: &Val<'t>, all: &mut BTreeSet<String>) {
        for one in body.each() {
            let items = match one {
                Val::Dict(items) if !items.is_empty() => items,
                other => {
                    all.insert(match other {
                        Val::Input(path) if path.is_empty() => "{input}".to_owned(),
                        Val::Input(path) => format!("{{input.{path}}}"),
                        _ => COMPUTED.to_owned(),
                    });
                    continue;
                }
            };
            for (key, value) in items.iter() {
                let name = format!("{of}{}", key.as_str().unwrap_or(COMPUTED));
                // One of several values may be computed.
                let fixed = value.display().filter(|_| !matches!(value, Val::List(_)));
                let fixed = fixed.filter(|_| !is_secret(&name[of.len()..]));
                if fixed.is_none() {
                    all.extend(value.known_parts(&name));
                }
                for one in value.each().iter().filter(|one| **one != Val::Never) {
                    match (one, &fixed) {
                        (Val::Dict(inner), _) if !inner.is_empty() && of.len() < 200 => {
                            Self::parts_of_body(&format!("{name}."), one, all);
                        }
                        (_, None) => drop(all.insert(name.clone())),
                        (_, Some(fixed)) => drop(all.insert(format!("{name}={fixed}"))),
                    }
                }
            }
        }
    }

    fn add_request(
        &mut self,
        node: Node<'t>,
        url: Option<Node<'t>>,
        method: &str,
        (route, server): (String, Option<String>),
    ) {
        // A GET waits for the server to start; its timeout says nothing of jobs.
        let (timeout, tries) = if method == "GET" {
            (None, None)
        } else {
            (self.timeout(node), self.tries(node))
        };
        let body = match url {
            Some(url) => {
                let mut body = self.body(node, url, method);
                if !body.is_empty() {
                    body.extend(self.headers(node));
                }
                body
            }
            None => self.arguments_sent(node),
        };
        let requested = Requested {
            route,
            server,
            body,
            method: method.to_owned(),
            timeout,
            tries,
            place: self.place(node),
            reached: self.program.reaches(node),
        };
        if !self.facts.routes.contains(&requested) {
            self.facts.routes.push(requested);
        }
    }

    /// How often a request is tried: `for attempt in range(3): …`, or a decorator of its function.
    fn tries(&mut self, node: Node<'t>) -> Option<String> {
        let decorated = node.function()?.parent_of("decorated_definition");
        let mut decorators = decorated
            .into_iter()
            .flat_map(|it| it.children_of("decorator"));
        let again = |one: &Node<'t>| one.text().contains("retry") || one.text().contains("backoff");
        if let Some(by) = decorators.find(again) {
            return Some(normal(by.text()));
        }
        let ends = |one: Node<'t>| one.is_any("break_statement return_statement try_statement");
        let counts = |above: &Node<'t>| {
            let name = above.text_of("left");
            // A loop over parts of a job makes another request each time.
            let is_used = node
                .subtree()
                .any(|one| one.is("identifier") && one.text() == name);
            above.is("for_statement") && !is_used && above.subtree().any(ends)
        };
        let holder = node.local_ancestors().find(counts)?;
        let range = holder
            .field("right")
            .filter(|it| it.callee_name() == "range")?;
        let last = range.argument_values().into_iter().take(2).next_back()?;
        Some(self.value(last).in_short())
    }

    /// How long a request waits: by its own argument, or by its client's.
    fn timeout(&mut self, node: Node<'t>) -> Option<String> {
        let by_client = || self.client(node)?.keyword("timeout");
        let timeout = node.keyword("timeout").or_else(by_client)?;
        // `timeout = ClientTimeout(…)` by a name.
        let timeout = match self.definitions_of(timeout)[..] {
            [made] if made.callee_name().ends_with("Timeout") => made,
            _ => timeout,
        };
        // `ClientTimeout(total=600)`
        let made = timeout.callee_name().ends_with("Timeout");
        let first = timeout.argument(0).filter(|_| made);
        let seconds = timeout.keyword("total").or(first).unwrap_or(timeout);
        let value = self.at(seconds, &Ctx::default());
        // A timeout that a variable sets is shown as the variable.
        let names: Vec<String> = value.envs().iter().map(|name| format!("${name}")).collect();
        Some(if names.is_empty() {
            value.in_short()
        } else {
            names.join(" | ")
        })
    }
}

/// The method of HTTP that a function of a client's library stands for.
fn client_method(callee: &Val<'_>) -> Option<String> {
    let (owner, name) = match callee {
        Val::Ext(path) => path.rsplit_once('.')?,
        Val::Method(of, name) => match &**of {
            Val::Made(path) => (&**path, &**name),
            _ => return None,
        },
        _ => return None,
    };
    let is_client = ["requests", "httpx", "aiohttp"]
        .iter()
        .any(|library| owner.starts_with(library));
    (is_client && METHODS.contains(&name)).then(|| name.to_uppercase())
}

/// A method of a client that is given to another function with the URL: `to_thread(requests.post,
/// url)`.
fn passed_method(call: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    let args = call.argument_values();
    let mut pairs = args.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.find(|(method, _)| method.is("attribute") && METHODS.contains(&method.last_name()))
}
