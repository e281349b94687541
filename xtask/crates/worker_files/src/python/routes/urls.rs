//! Addresses of requests: the server and the path, with the parts that the job's input gives.

use crate::python::evaluation::value::Val;

/// A text with alternatives in it, as a list of texts.
pub fn alternatives<'t>(value: &Val<'t>) -> Vec<Val<'t>> {
    const MOST: usize = 64;
    let mut done = Vec::new();
    let mut todo = value.each().to_vec();
    while let Some(one) = todo.pop() {
        let parts = one.pieces();
        let is_open = |part: &Val<'_>| match part {
            Val::Env(_, default) => default.as_str().is_some(),
            part => matches!(part, Val::Any(_)),
        };
        match parts.iter().position(is_open) {
            Some(at) if done.len() + todo.len() < MOST => {
                let choices = match &parts[at] {
                    Val::Env(_, default) => vec![(**default).clone(), Val::Unknown],
                    part => part.each().to_vec(),
                };
                todo.extend(choices.into_iter().map(|choice| {
                    let mut parts = parts.to_vec();
                    parts[at] = choice;
                    parts
                        .into_iter()
                        .reduce(|a, b| a.join(&b))
                        .unwrap_or(Val::Unknown)
                }));
            }
            _ => done.push(one),
        }
    }
    done
}

/// A URL as text; `{name}` where the job's input gives a part, NUL where something else does.
pub fn pattern(url: &Val<'_>) -> String {
    let mut pattern = String::new();
    for part in url.pieces() {
        match part {
            Val::Str(text, _) => pattern += text,
            Val::Input(path) if !path.is_empty() => pattern += &format!("{{{path}}}"),
            _ => pattern.push('\0'),
        }
    }
    pattern
}

/// The server of a URL, where it is known and is another one than the worker's own.
pub fn server(url: &Val<'_>) -> Option<String> {
    let pattern = pattern(url);
    let (scheme, rest) = pattern.split_once("://")?;
    let host = rest.split('/').next().unwrap_or(rest);
    let is_known = !host.contains(['\0', '{', '@']) && host.contains('.');
    let is_own = host.starts_with("127.") || host.starts_with("0.0.0.0");
    (is_known && !is_own).then(|| format!("{scheme}://{host}").to_lowercase())
}

/// The path of a URL.
pub fn route(url: &Val<'_>) -> Option<String> {
    let pattern = pattern(url);
    let rest = match pattern.split_once("://") {
        Some((_, rest)) => &rest[rest.find(['/', '{'])?..],
        None => pattern.trim_start_matches(|c: char| c == '\0' || c == ':' || c.is_ascii_digit()),
    };
    let rest = rest.trim_start_matches('\0');
    let route = rest.split(['?', '#']).next().unwrap_or(rest);
    let mut route = route.replace('\0', "{}");
    if route.starts_with("//") {
        route.remove(0);
    }
    let known = route.starts_with('/') || route.starts_with('{') && !route.starts_with("{}");
    (known && route.len() < 256 && route != "/").then_some(route)
}
