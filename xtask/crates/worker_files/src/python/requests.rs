//! The requests that a program sends, in whatever client's words.

use super::Requested;
use super::calls::Arguments;
use super::interp::Interp;
use super::syntax::Node;
use super::value::Value;

impl<'t> Interp<'t> {
    pub fn request(
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
            "urlopen" | "ws_connect" => ("GET".to_owned(), args.positional.first()),
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
    pub fn own_request(&mut self, node: Node<'t>, args: &Arguments<'t>) {
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

    /// What a client of the `OpenAI` library asks for stands in the names of its methods.
    pub fn openai_client(&mut self, callee: Node<'t>) {
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
