//! Calls of the methods of a job's input, and calls that are given it.

use super::job_input::{ADDED, COMPUTED_KEY, TEXTS};
use crate::python::evaluation::arguments::Args;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::{Node, is_among, last_part};
use crate::python::program::scope::Bound;

/// Functions that may get the job's input: they read no key of it, or what they return is followed.
const HARMLESS: &str = "any all bool callable dict enumerate float frozenset id int isinstance iter keys len list \
    print repr set sorted str tuple type";

/// Functions and methods of libraries of which the same holds.
const FOLLOWED: &str = "cast copy debug deepcopy difference dumps error exception get info intersection isdisjoint issubset issuperset\
    itemgetter loads log md5 post \
    progress_update request send_result setdefault sha1 sha256 stream stream_result validate warning ws_connect";

/// Methods of the input as a whole that read no key of it, or are followed.
const METHODS: &str = "append copy decode encode extend get insert items keys pop replace rstrip lstrip setdefault \
    strip update __contains__ __getitem__";

/// Methods of classes that make an object of their first argument.
const MAKERS: &str = "from_dict model_validate model_validate_json parse_obj parse_raw";

impl<'t> Reader<'t> {
    /// A call of one of the input's methods, or with the input.
    pub fn input_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let text = node.text_of("function");
        let name = last_part(text);
        let args = node.argument_values();
        // `get = input.get`
        let function = node
            .field("function")
            .map(|function| self.written(function));
        let bound = function.filter(|one| one.is("attribute") && node.callee_object().is_none());
        if let Some((bound, object)) = bound.and_then(|one| Some((one, one.field("object")?)))
            && self.value(object).is_input()
        {
            return self.input_method(node, object, bound.last_name(), &args);
        }
        if let (Val::Method(object, _), "map") = (
            args.first().map_or(Val::Unknown, |one| self.value(*one)),
            text,
        ) && object.is_input()
        {
            let names = args.get(1).map_or(Val::Unknown, |names| self.value(*names));
            for name in names.elements_or_unknown() {
                match name.as_str() {
                    Some(_) => self.note_key(node, &object.item(&name), None, false),
                    None => self.input_unread(node, COMPUTED_KEY),
                }
            }
            return;
        }
        if let Some(object) = node.callee_object() {
            let whole = self.value(object);
            if let ("get", Some(key), Val::Dict(_)) = (name, args.first(), &whole) {
                self.note_compared_words(*key, object);
            }
            if whole.is_input() {
                return self.input_method(node, object, name, &args);
            }
        }
        if callee.is_own() || matches!(callee, Val::Object(..)) {
            return self.own_call(node, callee);
        }
        if let Val::Method(object, method) = callee
            && let Val::Class(class) = **object
            && is_among(MAKERS, method)
        {
            return args.first().map_or((), |first| self.model(class, *first));
        }
        if text == "dict" {
            self.input_extended(node);
        }
        if name == "validate" {
            // `Validator(SCHEMA).validate(input)`
            let made = node
                .callee_object()
                .map_or_else(Vec::new, |of| self.definitions_of(of));
            let given = made.into_iter().find_map(|made| made.argument(0));
            let both: Vec<_> = args.into_iter().chain(given).collect();
            return self.schema(node, &both);
        }
        if let Some(text) = args.first().filter(|_| name == "loads") {
            self.note_loaded(node, *text);
        }
        if !is_among(HARMLESS, text) && !is_among(FOLLOWED, name) && !node.is_message() {
            self.input_argument(node, text, &args);
        }
    }

    /// A call of the program's own function or class with the input's keys: `run(**input)`.
    fn own_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let mut all = node.arguments();
        let splat = all.find(|argument| argument.is("dictionary_splat"));
        for inner in splat.into_iter().flat_map(Node::children) {
            for one in callee.each() {
                match one {
                    Val::Class(class) => self.model(*class, inner),
                    Val::Func(function, ..) => self.splat(*function, inner, &Args::default()),
                    Val::Partial(function, first) => {
                        if let Val::Func(function, ..) = **function {
                            self.splat(function, inner, first);
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Notes a part of the input that jobs give as text of JSON.
    fn note_loaded(&mut self, node: Node<'t>, text: Node<'t>) {
        let makes_text = |one: Node<'t>| is_among(TEXTS, one.callee_name());
        if text.subtree().any(makes_text) {
            return;
        }
        for path in self.input_paths(text) {
            if let Some(entry) = self.input_entry(node, &path) {
                entry.from_text = true;
            } else {
                self.note_handler_trait("handler.text", node);
            }
        }
    }

    /// A call of a function that is not known, which may get the input.
    fn input_argument(&mut self, node: Node<'t>, text: &str, args: &[Node<'t>]) {
        let is_function = |one: &Val<'t>| matches!(one, Val::Func(..) | Val::Partial(..));
        // A function of the program that is passed on with the input is followed, and so is a list
        // that it is put into.
        if args.iter().any(|arg| self.value(*arg).may_be(is_function)) {
            return;
        }
        // It hands on the job as it is.
        let is_part = args.iter().any(|arg| self.value(*arg).is_input());
        if !is_part && self.is_decorated_function(node) {
            return;
        }
        let holder = node.callee_object();
        if holder.is_some_and(|holder| self.value(holder).holds_whole_input()) {
            return;
        }
        let classes = args.iter().flat_map(|arg| self.value(*arg).each().to_vec());
        let class = classes.filter_map(|one| match one {
            Val::Class(class) => Some(class),
            _ => None,
        });
        let class = class.collect::<Vec<_>>().into_iter();
        let mut class = class.filter(|class| !self.model_fields(*class).is_empty());
        let class = class.next();
        for arg in args {
            let keyword = arg.parent_of("keyword_argument");
            let keyword = keyword.filter(|_| arg.role() == "value");
            let is_sent = keyword.is_some_and(|k| is_among("json data extra", k.text_of("name")));
            match class {
                // `from_dict(Class, input)`
                Some(class) => self.model(class, *arg),
                None if !is_sent && self.value(*arg).holds_whole_input() => {
                    self.input_unread(node, &format!("the job's input goes into `{text}`"));
                }
                None => {}
            }
        }
    }

    /// Whether a decorator calls what it decorates.
    fn is_decorated_function(&self, call: Node<'t>) -> bool {
        let name = call.field("function").filter(|name| name.is("identifier"));
        let found = name.and_then(|name| self.program.lookup(name, name.text()));
        let bindings = found.map_or(&[][..], |(_, bindings)| bindings);
        let outer = bindings.iter().filter_map(|binding| match binding.what {
            Bound::Parameter(outer) => Some(outer),
            _ => None,
        });
        // `@timed`, `@timed("name")`
        let outer = outer.flat_map(|outer| std::iter::once(outer).chain(outer.function()));
        let names: Vec<&str> = outer.map(|outer| outer.text_of("name")).collect();
        let files = self.program.files.iter().filter(|_| !names.is_empty());
        let mut all = files.flat_map(|file| file.syntax.nodes());
        all.any(|one| {
            let decorator = one.child(0).filter(|_| one.is("decorator"));
            let called = decorator.map(|of| of.field("function").unwrap_or(of));
            called.is_some_and(|called| names.contains(&called.last_name()))
        })
    }

    /// A call of one of the input's methods.
    fn input_method(&mut self, node: Node<'t>, object: Node<'t>, method: &str, args: &[Node<'t>]) {
        match (method, args) {
            ("startswith" | "endswith", [word, ..]) => self.note_compared_words(object, *word),
            ("get" | "pop" | "setdefault" | "__getitem__", [key, ..]) => {
                let needed = method == "pop" && args.len() < 2 || method == "__getitem__";
                self.note_key_reads(node, object, *key, args.get(1).copied(), needed);
                if method == "pop" {
                    self.note_key_write(node, object, *key, None);
                }
            }
            ("append" | "insert" | "extend", [.., given]) => {
                // `extend([one])`
                let is_single = method == "extend" && given.is("list") && given.child(1).is_none();
                let single = given.child(0).filter(|_| is_single);
                let text = self.display_or_source(single.unwrap_or(*given));
                for path in self.input_paths(object) {
                    if let Some(entry) = self.input_entry(node, &path) {
                        entry.set.insert(format!("{ADDED}{text}"));
                    }
                }
            }
            ("update", [given]) if self.value(*given) == Val::Input("".into()) => {
                for made in self.definitions_of(object) {
                    for (name, value) in self.value(made).joined_pairs() {
                        let text = value.display();
                        let text = text.unwrap_or_else(|| self.display_or_source(made));
                        self.note_key(node, &Val::Input("".into()).item(&name), Some(text), false);
                    }
                }
            }
            ("update", _) => {
                let list = node.field("arguments");
                if let Some(list) = list {
                    self.note_all_writes(object, list, false);
                }
            }
            _ if !is_among(METHODS, method) && self.value(object).holds_whole_input() => {
                self.input_unread(node, "what is taken from the job's input was not followed");
            }
            _ => {}
        }
    }
}
