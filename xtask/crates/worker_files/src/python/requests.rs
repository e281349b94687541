//! The routes that the program requests.

use super::Requested;
use super::eval::Reader;
use super::syntax::Node;
use super::value::Val;
use crate::Hides;

const METHODS: [&str; 7] = ["get", "post", "put", "delete", "patch", "head", "options"];
/// Calls of `OpenAI`'s client, with method and route.
const OPENAI: [(&str, &str, &str); 5] = [
    ("chat.completions.create", "POST", "/v1/chat/completions"),
    ("embeddings.create", "POST", "/v1/embeddings"),
    ("responses.create", "POST", "/v1/responses"),
    ("models.list", "GET", "/v1/models"),
    ("completions.create", "POST", "/v1/completions"),
];

impl<'t> Reader<'t> {
    /// Notes the routes of a request.
    pub fn request(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let text = function.text();
        if let Some((_, method, route)) = OPENAI.iter().find(|(end, ..)| text.ends_with(end)) {
            return self.asked_for(node, method, (*route).to_owned());
        }
        // A method of the program itself, which is evaluated.
        if function.kind() == "attribute" && matches!(callee, Val::Func(..)) {
            return;
        }
        let handed = handed_on(node);
        let function = handed.map_or(function, |(function, _)| function);
        let asked = match handed {
            Some((function, url)) => Some((vec![function.last_name().to_uppercase()], url)),
            None => self.method_and_url(node, function, callee),
        };
        let Some((methods, url)) = asked else {
            return;
        };
        let object = function
            .field("object")
            .filter(|_| function.kind() == "attribute");
        let is_data = |one: &Val<'t>| {
            matches!(one, Val::Dict(_) | Val::List(_) | Val::Environ(_))
                || matches!(one, Val::Env(..) | Val::Input(_) | Val::Job)
        };
        if object.is_some_and(|object| self.value(object).may_be(is_data)) {
            return;
        }
        for way in self.each_context(node, &[url], Hides::Flags) {
            for one in spread(&self.at(url, &way)) {
                for method in route(&one).map(|_| &methods).into_iter().flatten() {
                    self.asked_for(node, method, route(&one).unwrap_or_default());
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
        let args = node.values();
        let first = args.first().copied();
        let mut words = |method: Option<Node<'t>>, default: &str| match method {
            Some(method) => {
                let value = self.value(method);
                let word = |one: &Val<'t>| one.as_str().map_or("*".to_owned(), str::to_uppercase);
                value.each().iter().map(word).collect()
            }
            None => vec![default.to_owned()],
        };
        if function.kind() == "call" && function.text_of("function") == "getattr" {
            return Some((words(function.values().get(1).copied(), "*"), first?));
        }
        let text = function.text();
        let name = text.rsplit('.').next().unwrap_or(text);
        let one = |method: &str| vec![method.to_uppercase()];
        match name {
            method if METHODS.contains(&method) && function.kind() == "attribute" => {
                let first = first.filter(|first| first.part() != "value");
                Some((one(method), first.or(node.keyword("url"))?))
            }
            "urlopen" | "ws_connect" => Some((one("GET"), first?)),
            // A class of the program's own.
            "Request" if matches!(callee, Val::Class(_)) => {
                Some((words(first, "GET"), *args.get(1)?))
            }
            "request" | "stream" | "Request" => {
                let by_place = first.filter(|_| name != "Request");
                let at = usize::from(name != "Request");
                let url = node.keyword("url").or_else(|| args.get(at).copied());
                Some((words(node.keyword("method").or(by_place), "GET"), url?))
            }
            // A function of the program's own: a method and then a route.
            _ => {
                let word = first.filter(|first| first.kind() == "string")?.bare();
                let is_method = METHODS.iter().any(|method| method.to_uppercase() == word);
                Some((one(word), *args.get(1).filter(|_| is_method)?))
            }
        }
    }

    fn asked_for(&mut self, node: Node<'t>, method: &str, route: String) {
        let place = self.place(node);
        // What is asked again and again until the server is there says nothing of jobs.
        let timeout = node.keyword("timeout").filter(|_| method != "GET");
        let timeout = timeout.map(|value| self.shown(value));
        let requested = Requested {
            route,
            method: method.to_owned(),
            timeout,
            place,
            reached: self.program.runs(node),
        };
        if !self.facts.routes.contains(&requested) {
            self.facts.routes.push(requested);
        }
    }
}

/// A method of a client that is given to another function with the URL: `to_thread(requests.post,
/// url)`.
fn handed_on(call: Node<'_>) -> Option<(Node<'_>, Node<'_>)> {
    let args = call.values();
    let mut pairs = args.windows(2).map(|pair| (pair[0], pair[1]));
    pairs.find(|(method, _)| method.kind() == "attribute" && METHODS.contains(&method.last_name()))
}

/// Each text that a text with alternatives in it may be.
fn spread<'t>(value: &Val<'t>) -> Vec<Val<'t>> {
    const MOST: usize = 64;
    let mut done = Vec::new();
    let mut todo = value.each().to_vec();
    while let Some(one) = todo.pop() {
        let parts = one.pieces();
        match parts.iter().position(|part| matches!(part, Val::Any(_))) {
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

/// The path of a URL; `{name}` where the job's input gives it.
fn route(url: &Val<'_>) -> Option<String> {
    let mut pattern = String::new();
    for part in url.pieces() {
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
    let route = match route.strip_prefix("//") {
        Some(rest) => format!("/{rest}"),
        None => route,
    };
    let known = route.starts_with('/') || route.starts_with('{') && !route.starts_with("{}");
    (known && route.len() < 256 && route != "/").then_some(route)
}
