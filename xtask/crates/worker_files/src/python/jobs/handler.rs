//! How `RunPod`'s SDK is started, and what handlers return.

use crate::python::Setting;
use crate::python::evaluation::arguments::Args;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::items::is_answer;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among};
use crate::python::routes::offers::COMPUTED;
use crate::python::server::conditions::conditions;

impl<'t> Reader<'t> {
    /// Notes what `runpod.serverless.start` is given.
    pub fn note_serverless_start(&mut self, node: Node<'t>, callee: &Val<'t>) {
        if !callee.path().ends_with("serverless.start") || !self.program.reaches(node) {
            return;
        }
        let Some(config) = node.argument(0) else {
            return;
        };
        let Val::Dict(items) = self.value(config) else {
            let what = "what runpod.serverless.start is given was not followed";
            return self.input_unread(node, what);
        };
        let is_function = |one: &Val<'t>| one.is_own() || matches!(one, Val::Object(..));
        for (key, value) in items.iter() {
            let Val::Str(name, at) = key else { continue };
            let at = at.unwrap_or(node);
            let is_handler = &**name == "handler";
            if is_handler {
                if !value.each().iter().all(is_function) {
                    self.input_unread(node, "which function the handler is was not followed");
                }
                let around = self.decorated(value);
                let value = around.as_ref().unwrap_or(value);
                let job = Args::of(vec![Val::Job]);
                let result = self.exactly(|reader| reader.result(value, &job, None));
                self.note_result_keys(node, "", &result);
                for one in value.each() {
                    if let Val::Func(own, ..) = one {
                        self.note_writes_of_handler(*own);
                    }
                }
                let is_list = |one: &Val<'t>| matches!(one, Val::List(items) if !items.is_empty());
                if value.may_be(yields) {
                    self.note_handler_trait("handler.yields", at);
                } else if result.may_be(is_list) {
                    self.offer(node, "result:{list}".to_owned(), None);
                }
            }
            // A modifier that always returns the same is a constant.
            let is_called = is_function(value) || matches!(value, Val::Method(..));
            let given = if is_called && is_handler {
                Val::None
            } else if is_called {
                let current = Args::of(vec![Val::Unknown]);
                self.exactly(|reader| reader.result(value, &current, None))
            } else {
                value.clone()
            };
            let constant = given.default_text();
            let variable = match given {
                Val::Env(name, _) if is_called => Some(name.to_string()),
                _ => None,
            };
            let function = match value {
                Val::Func(own, ..) => Some(*own),
                _ => None,
            };
            let label = function.map_or("", |own| own.text_of("name"));
            let label = if label.is_empty() { "function" } else { label };
            let modifier = function.filter(|_| !is_handler);
            let only = conditions(at);
            let only = only.iter().map(|(test, _)| test.text());
            let only: Vec<&str> = only.filter(|test| !test.contains("__name__")).collect();
            self.facts.serverless.push(Setting {
                name: name.to_string(),
                when: only.join(" and "),
                numbers: modifier.map_or_else(String::new, numbers),
                is_constant: constant.is_some(),
                value: constant.unwrap_or_else(|| label.to_owned()),
                variable,
                place: self.place(at),
            });
        }
    }

    /// Notes something that is true of the handler.
    pub fn note_handler_trait(&mut self, name: &str, at: Node<'t>) {
        self.facts.serverless.push(Setting {
            name: name.into(),
            value: "True".into(),
            when: String::new(),
            numbers: String::new(),
            is_constant: true,
            variable: None,
            place: self.place(at),
        });
    }

    /// Notes that the program looks whether the server answered with an error.
    pub fn note_status(&mut self, node: Node<'t>) {
        let asks = is_among(
            "raise_for_status status_code status ok is_success is_error",
            node.text_of("attribute"),
        );
        let Some(object) = node.field("object").filter(|_| asks) else {
            return;
        };
        let is_sent = |one: &Val<'t>| match one {
            Val::Made(path) => path
                .split('.')
                .any(|part| is_among("post post() request request() stream stream()", part)),
            _ => false,
        };
        if self.value(object).may_be(is_sent) {
            self.offer(node, "result:{status}".to_owned(), None);
        }
    }

    /// Notes what the program puts into the server's answer: `answer["model"] = …`,
    /// `answer.update(model=…)`.
    pub fn note_answer_write(&mut self, node: Node<'t>) {
        let is_answer = |one: &Val<'t>| matches!(one, Val::Made(path) if is_answer(path));
        if let Some(whole) = written(node)
            && self.program.reaches(node)
            && self.value(whole).may_be(is_answer)
        {
            self.note_written_keys(node);
        }
    }

    /// Notes what a handler puts into what it gives, though nobody knows what that is: a piece of a
    /// stream.
    fn note_writes_of_handler(&mut self, handler: Node<'t>) {
        let is_own = |node: &Node<'t>| node.function() == Some(handler);
        let given = handler
            .subtree()
            .filter(|node| node.is_any("yield return_statement"));
        let given = given.filter(is_own).filter_map(|node| node.child(0));
        let given: Vec<&str> = given.map(Node::text).collect();
        for node in handler.subtree().filter(is_own) {
            let whole = written(node).filter(|whole| whole.is("identifier"));
            if whole.is_some_and(|whole| given.contains(&whole.text())) {
                self.note_written_keys(node);
            }
        }
    }

    /// Notes the keys of a result that a statement writes.
    fn note_written_keys(&mut self, node: Node<'t>) {
        let named = node.arguments().filter(|one| one.is("keyword_argument"));
        let mut names: Vec<Val<'t>> = named.map(|one| Val::text(one.text_of("name"))).collect();
        let first = node.arguments().next();
        let first = first.filter(|one| !one.is("keyword_argument"));
        let key = match node.kind() {
            "augmented_assignment" => node.field("right"),
            _ => node.field("left").and_then(|left| left.field("subscript")),
        };
        names.extend(key.or(first).map(|key| self.value(key)));
        for name in names {
            if let Val::Dict(_) = name {
                self.note_result_keys(node, "", &name);
            } else if let Some(name) = name.as_str() {
                self.offer(node, format!("result:{name}"), None);
            }
        }
    }

    /// Notes what is made of a part of the server's answer: by a regular expression, or as JSON.
    pub fn note_answer_change(&mut self, node: Node<'t>, callee: &Val<'t>) {
        const CHANGES: &str = "re.sub re.findall re.search re.match re.split json.loads";
        let name = callee.path();
        let is_part = |one: &Val<'t>| matches!(one, Val::Made(path) if is_answer(path));
        if is_among(CHANGES, name) && self.program.reaches(node) {
            let mut given = node.argument_values().into_iter();
            if given.any(|one| self.value(one).may_be(is_part)) {
                self.offer(node, format!("result:changed by {name}"), None);
            }
        }
    }

    /// Notes the keys of what a handler returns, with dots; of a list those of its elements.
    pub fn note_result_keys(&mut self, node: Node<'t>, of: &str, result: &Val<'t>) {
        const DEEPEST: usize = 3;
        // A served route's own answer, or the text of an error, need not be the server's.
        let may_be_answer = !of.contains(' ') && !of.starts_with("error.");
        for one in result.each() {
            match one {
                Val::List(items) if of.len() < 200 => {
                    for item in items.iter() {
                        self.note_result_keys(node, of, item);
                    }
                }
                Val::Dict(items) if of.matches('.').count() < DEEPEST => {
                    // RunPod takes a result with an `error` for a failure; its other keys are
                    // details.
                    let failed = items.iter().any(|(key, _)| key.as_str() == Some("error"));
                    for (key, value) in items.iter() {
                        let Val::Str(name, at) = key else {
                            self.facts.loose_results.insert(of.to_owned());
                            continue;
                        };
                        if failed && !matches!(&**name, "error" | "refresh_worker") {
                            continue;
                        }
                        let path = format!("{of}{name}");
                        let words = value.each().iter().filter_map(word).collect::<Vec<_>>();
                        let is_word = |word: &String| word != COMPUTED;
                        // Of a model's object only the defaults of its fields are known.
                        let is_written = at.is_some() && &**name != "error";
                        let is_told = is_written && words.iter().any(is_word);
                        let told = is_told.then(|| ("value".to_owned(), words));
                        self.offer(at.unwrap_or(node), format!("result:{path}"), told);
                        self.note_result_keys(node, &format!("{path}."), value);
                    }
                }
                // What a request was answered with, as it is.
                one if may_be_answer && one.text_of_answer().is_some() => {
                    self.offer(node, format!("result:{of}{{answer}} as text"), None);
                }
                Val::Made(path) if may_be_answer && is_answer(path) => {
                    let part = path.rsplit_once(".json").map_or("", |(_, part)| part);
                    self.offer(node, format!("result:{of}{{answer}}{part}"), None);
                }
                Val::Lost if of.is_empty() => {
                    self.input_unread(node, "what the handler returns is too much to follow");
                }
                Val::Never | Val::None | Val::Bool(_) | Val::Int(_) | Val::Float(_) => {}
                Val::Str(..) | Val::Pieces(_) | Val::Env(..) | Val::Job | Val::Input(_) => {}
                _ => {
                    self.facts.loose_results.insert(of.to_owned());
                }
            }
        }
    }
}

/// The dict that a statement puts something into.
fn written(node: Node<'_>) -> Option<Node<'_>> {
    let place = match (node.kind(), node.callee_name()) {
        ("assignment", _) => node.field("left").filter(|left| left.is("subscript")),
        ("call", "update" | "setdefault") => node.field("function"),
        ("augmented_assignment", _) if node.text_of("operator") == "|=" => {
            return node.field("left");
        }
        _ => None,
    }?;
    place.field("value").or(place.field("object"))
}

/// A constant that a client may compare with, so no sentence; of what is worked out only that it is.
fn word(value: &Val<'_>) -> Option<String> {
    let text = match value {
        Val::Bool(_) | Val::Str(..) => value.display()?,
        Val::None | Val::Never => return None,
        _ => COMPUTED.to_owned(),
    };
    (!text.is_empty() && !text.contains(char::is_whitespace)).then_some(text)
}

/// The numbers in a function, without the defaults of its lookups.
fn numbers(function: Node<'_>) -> String {
    let is_default = |node: &Node<'_>| {
        let mut around = node.local_ancestors();
        around.any(|above| is_among("get getenv", above.callee_name()))
    };
    let all = function.field("body").into_iter().flat_map(Node::subtree);
    // `previous[0]` is a place in a list.
    let is_limit = |node: &Node<'_>| node.role() != "subscript" && !is_default(node);
    let all = all.filter(|node| node.is_any("integer float") && is_limit(node));
    all.map(Node::text).collect::<Vec<_>>().join(" ")
}

/// Whether a handler gives its results one by one.
fn yields(handler: &Val<'_>) -> bool {
    let Val::Func(own, ..) = handler else {
        return false;
    };
    let is_own = |node: Node<'_>| node.is("yield") && node.function() == Some(*own);
    own.subtree().any(is_own)
}
