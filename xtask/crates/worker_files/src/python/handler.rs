//! What handlers take from a job's input, and how RunPod's SDK is started.

use super::api::normal;
use super::eval::Reader;
use super::syntax::{Node, is_among};
use super::value::{Args, Val};
use super::{InputKey, Setting};
use crate::{Hides, Place, add_value};
use std::collections::BTreeSet;

/// Functions that may get the job's input: they read no key of it, or what they return is followed.
const HARMLESS: &str = "any all bool callable cast copy debug deepcopy dict dumps enumerate error exception \
    float frozenset get id info int isinstance itemgetter iter keys len list loads log post \
    print progress_update put repr request send_result set setdefault sorted str stream stream_result tuple type \
    validate warning ws_connect";

/// Begins what is added to a list of the input.
pub const ADDED: &str = "with ";

/// Functions that make one text of a value.
const TEXTS: &str = "str repr dumps";

impl<'t> Reader<'t> {
    /// What `runpod.serverless.start` is given.
    pub fn note_serverless_start(&mut self, node: Node<'t>, callee: &Val<'t>) {
        if !callee.path().ends_with("serverless.start") {
            return;
        }
        let first = node.argument_values().first().copied();
        let Some(config) = first.filter(|_| self.program.reaches(node)) else {
            return;
        };
        let Val::Dict(items) = self.value(config) else {
            let what = "what runpod.serverless.start is given was not followed";
            return self.not_read(node, what, &[Hides::JobInput]);
        };
        for (key, value) in items.iter() {
            let Val::Str(name, at) = key else { continue };
            let place = self.place(at.unwrap_or(node));
            let is_function = |one: &Val<'t>| one.is_own() || matches!(one, Val::Object(..));
            if &**name == "handler" && !value.each().iter().all(is_function) {
                let what = "which function the handler is was not followed";
                self.not_read(node, what, &[Hides::JobInput]);
            }
            if &**name == "handler" {
                let result = self.result(value, &Args::of(vec![Val::Job]), None);
                self.note_result_keys(node, "", &result);
            }
            if &**name == "handler" && value.may_be(yields) {
                self.facts
                    .serverless
                    .push(holds("handler.yields", place.clone()));
            }
            let label = match value {
                Val::Func(own, ..) => own.text_of("name"),
                _ => "",
            };
            let label = if label.is_empty() { "function" } else { label };
            // A modifier that always returns the same is a constant.
            let calls = is_function(value) || matches!(value, Val::Method(..));
            let constant = match (&**name, calls) {
                ("handler", true) => None,
                (_, true) => {
                    let current = Args::of(vec![Val::Unknown]);
                    self.exactly(|reader| reader.result(value, &current, None))
                        .default_text()
                }
                _ => value.default_text(),
            };
            self.facts.serverless.push(Setting {
                name: name.to_string(),
                numbers: match value {
                    Val::Func(own, ..) if &**name != "handler" => numbers(*own),
                    _ => String::new(),
                },
                is_constant: constant.is_some(),
                value: constant.unwrap_or_else(|| label.to_owned()),
                place,
            });
        }
    }

    pub fn input_paths(&mut self, node: Node<'t>) -> Vec<Val<'t>> {
        let value = self.value(node);
        let inputs = value
            .each()
            .iter()
            .filter(|one| matches!(one, Val::Input(_)));
        inputs.cloned().collect()
    }

    /// `input[key]`.
    pub fn input_item(&mut self, node: Node<'t>, whole: &Val<'t>) {
        let (Some(object), Some(key)) = (node.field("value"), node.field("subscript")) else {
            return;
        };
        if matches!(whole, Val::Dict(_)) {
            self.input_word(key, object);
        }
        if key.kind() == "slice" || !is_input(whole) {
            return;
        }
        let parent = node.parent().filter(|_| node.role() == "left");
        match parent.map(|parent| (parent.kind(), parent.field("right"))) {
            Some(("assignment", value)) => self.note_key_write(node, object, key, value),
            Some(("augmented_assignment", value)) => {
                self.note_key_reads(node, object, key, None, true);
                self.note_key_write(node, object, key, value);
            }
            _ if node
                .ancestors()
                .take(2)
                .any(|a| a.kind() == "delete_statement") =>
            {
                self.note_key_write(node, object, key, None);
            }
            _ => self.note_key_reads(node, object, key, None, true),
        }
    }

    /// `key in input`, and `key in KEYS` in a loop over the input.
    pub fn input_test(&mut self, node: Node<'t>, left: Node<'t>, right: Node<'t>) {
        // What is searched in a text is no key: a sign, or the end of a file's name.
        let sign = left.kind() == "string"
            && left
                .unquoted()
                .starts_with(|c: char| c != '_' && !c.is_alphanumeric());
        let value = self.value(right);
        // Nor is a word that is searched in the text of it all.
        let sign = sign
            || right
                .subtree()
                .any(|one| is_among(TEXTS, one.callee_name()));
        if !sign && is_input(&value) {
            self.note_key_reads(node, right, left, None, false);
        }
        let mut above = node.ancestors();
        let owner = above.find(|a| a.is_comprehension() || a.kind() == "for_statement");
        let clause = owner.and_then(|owner| match owner.kind() {
            "for_statement" => Some(owner),
            _ => owner.children().find(|c| c.kind() == "for_in_clause"),
        });
        let Some((bound, iter)) = clause.and_then(|c| c.field("left").zip(c.field("right"))) else {
            return;
        };
        if bound.child(0).unwrap_or(bound).text() != left.text() {
            return;
        }
        let object = iter
            .field("function")
            .and_then(|f| f.field("object"))
            .unwrap_or(iter);
        for path in self.input_paths(object) {
            for name in value.elements().unwrap_or_default() {
                self.note_key(node, &path.item(&name), None, false);
            }
        }
    }

    pub fn note_key_reads(
        &mut self,
        node: Node<'t>,
        object: Node<'t>,
        key: Node<'t>,
        default: Option<Node<'t>>,
        needed: bool,
    ) {
        let of: Vec<_> = [object, key].into_iter().chain(default).collect();
        for ctx in self.each_context(node, &of, Hides::JobInput) {
            let name = self.at(key, &ctx);
            let whole = self.at(object, &ctx);
            let inputs = whole.each().iter().filter(|one| is_input(one));
            for (one, name) in inputs.flat_map(|one| name.each().iter().map(move |n| (one, n))) {
                if let Val::Str(..) = name {
                    let text = default.and_then(|default| {
                        let value = self.at(default, &ctx);
                        let text = value.display().unwrap_or_else(|| normal(default.text()));
                        Some(text).filter(|text| text != "None")
                    });
                    let path = one.item(name);
                    let usage = self.usage(node, &path, needed, &ctx);
                    let text = text.or_else(|| Self::default_beside(node, needed, &usage));
                    let ends = usage.ends && text.is_none();
                    self.note_key(node, &path, text, needed);
                    if let Some(known) = self.input_entry(node, &path) {
                        known.ends |= ends;
                    }
                    self.limit(&path, usage.bounds());
                } else if !matches!(name, Val::Int(_) | Val::Never) {
                    let what = "the name of what is taken from the job's input is computed";
                    self.not_read(node, what, &[Hides::JobInput]);
                }
            }
        }
    }

    /// Notes a read of a key. One that may be missing counts as asked for.
    pub fn note_key(
        &mut self,
        node: Node<'t>,
        path: &Val<'t>,
        default: Option<String>,
        needed: bool,
    ) {
        let used = self.is_unused(node) != Some(true);
        self.declare_key(node, path, default, needed);
        if let Some(known) = self.input_entry(node, path) {
            known.used |= used;
        }
    }

    /// The same of a key that is only declared.
    pub fn declare_key(
        &mut self,
        node: Node<'t>,
        path: &Val<'t>,
        default: Option<String>,
        needed: bool,
    ) {
        if let Some(known) = self.input_entry(node, path) {
            known.needed |= needed;
            known.asked |= !needed;
            if let Some(default) = default {
                add_value(known.default.get_or_insert_default(), &default);
            }
        }
    }

    /// Where what is taken goes into a variable or a parameter: whether nothing looks at that but its
    /// own line, a log, or a check that ends the job.
    pub fn is_unused(&mut self, node: Node<'t>) -> Option<bool> {
        const THROUGH: &str = "parenthesized_expression boolean_operator conditional_expression \
            not_operator comparison_operator binary_operator attribute keyword_argument";
        const SHAPES: &str = "int float str bool min max strip rstrip lower upper split";
        // That a job holds it is no use of its value.
        if node.kind() == "comparison_operator" {
            let right = node.child(1)?;
            return is_input(&self.value(right)).then_some(true);
        }
        if !matches!(node.kind(), "call" | "subscript") {
            return None;
        }
        let converts =
            |above: &Node<'t>| above.kind() == "call" && is_among(SHAPES, above.callee_name());
        let mut value = node;
        for above in node.ancestors() {
            match above.kind() {
                "argument_list" | "lambda" => {}
                // `name: str = field(default_factory=lambda: os.getenv("NAME"))`
                "call" if matches!(above.callee_name(), "field" | "Field") => value = above,
                "assignment" if above.scope().kind() == "class_definition" => {
                    let (class, name) = (above.scope(), above.text_of("left"));
                    return Some(self.is_unused_member(class, name));
                }
                "assignment" => {
                    let left = above.field("left")?;
                    if left.kind() == "attribute" {
                        return Some(self.is_unused_attribute(left));
                    }
                    let is_name = left.kind() == "identifier";
                    return is_name.then(|| self.is_idle(left.scope(), left.text()));
                }
                kind if is_among(THROUGH, kind) || converts(&above) => value = above,
                "call" => return self.is_unused_parameter(above, value).then_some(true),
                _ => return None,
            }
        }
        None
    }

    /// Whether nothing looks at an attribute of this name, in any object and any file. What may look
    /// at all of an object's attributes may look at this one.
    fn is_unused_attribute(&mut self, attribute: Node<'t>) -> bool {
        let class = attribute.function().and_then(Node::class);
        let is_own = attribute.text_of("object") == "self";
        class.is_some_and(|class| {
            is_own && self.is_unused_member(class, attribute.text_of("attribute"))
        })
    }

    fn is_unused_member(&mut self, class: Node<'t>, name: &'t str) -> bool {
        const ALL: &str = "vars __dict__ asdict getattr __getattribute__ attrgetter format fields \
            model_dump dict to_dict to_json copy deepcopy pickle";
        // A base of a library may look at it.
        if class.field("superclasses").is_some() {
            return false;
        }
        let uses = &self.program.uses;
        let all = |name: &'t str| {
            let files = 0..self.program.files.len();
            files.flat_map(move |file| uses.get(&(file, name)).into_iter().flatten())
        };
        // As a type `dict` looks at nothing.
        let looks = |one: &Node<'t>| one.text() != "dict" || one.role() == "attribute";
        let mut of_all = ALL
            .split_whitespace()
            .flat_map(&all)
            .filter(|one| looks(one));
        // So may what is given the object.
        let is_given = |one: &Node<'t>| {
            let made = one.parent().filter(|above| above.kind() == "call");
            let of = made.unwrap_or(*one).parent();
            of.is_some_and(|of| matches!(of.kind(), "argument_list" | "keyword_argument"))
        };
        let own = class.text_of("name");
        let mut objects = all("self").chain(all(own));
        let is_kept = !objects.any(is_given);
        let is_idle = is_kept
            && of_all.next().is_none()
            && all(name).all(|one| {
                let part = one.parent().filter(|above| above.kind() == "attribute");
                part.is_none_or(|part| part.role() == "left" || part.is_idle())
            });
        self.steps += self.program.files.len();
        is_idle
    }

    fn is_idle(&mut self, scope: Node<'t>, name: &'t str) -> bool {
        let all = self.program.uses_of(scope, name);
        let mut others = (0..self.program.files.len()).filter(|file| *file != scope.file());
        let is_told = match scope.kind() {
            // Other files may import it, and others take it from its class.
            "module" => others.any(|file| self.program.uses.contains_key(&(file, name))),
            kind => kind == "class_definition",
        };
        self.steps += all.len() + self.program.files.len();
        !is_told && all.into_iter().all(Node::is_idle)
    }

    /// Whether a call of the program's own function gives this argument to a parameter that nothing
    /// looks at.
    fn is_unused_parameter(&mut self, call: Node<'t>, argument: Node<'t>) -> bool {
        let callee = call
            .field("function")
            .map_or(Val::Unknown, |own| self.value(own));
        callee.each().iter().all(|one| {
            let Val::Func(own, ..) = one else {
                return false;
            };
            let is_bound = own.class().is_some() && !own.is_decorated("staticmethod");
            let at = call.arguments().position(|one| one == argument);
            let mut all = own.parameters().skip(usize::from(is_bound)).enumerate();
            let given = all.find(|(number, (name, ..))| match argument.kind() {
                "keyword_argument" => *name == argument.text_of("name"),
                _ => Some(*number) == at,
            });
            given.is_some_and(|(_, (name, _, stars))| stars == 0 && self.is_idle(*own, name))
        })
    }

    /// The entry of a key, made where there is none.
    pub fn input_entry(&mut self, node: Node<'t>, path: &Val<'t>) -> Option<&mut InputKey> {
        let Val::Input(path) = path else { return None };
        if path.is_empty() || path.len() >= 200 {
            return None;
        }
        let reached = self.program.reaches(node);
        let mut all = self.facts.inputs.iter();
        let at = all.position(|input| *input.path == **path);
        let at = at.unwrap_or_else(|| {
            self.facts.inputs.push(InputKey {
                path: path.to_string(),
                default: None,
                needed: false,
                asked: false,
                ends: false,
                set: BTreeSet::new(),
                words: BTreeSet::new(),
                limits: None,
                from_text: false,
                refused: false,
                place: self.place(node),
                used: false,
                reached,
            });
            self.facts.inputs.len() - 1
        });
        let known = self.facts.inputs.get_mut(at)?;
        known.reached |= reached;
        Some(known)
    }

    /// A call of one of the input's methods, or with the input.
    pub fn input_call(&mut self, node: Node<'t>, callee: &Val<'t>) {
        let Some(function) = node.field("function") else {
            return;
        };
        let args = node.argument_values();
        let text = function.text();
        let name = text.rsplit('.').next().unwrap_or(text);
        let object = function.field("object");
        if let Some(object) = object.filter(|_| function.kind() == "attribute") {
            let whole = self.value(object);
            if let ("get", Some(key), Val::Dict(_)) = (name, args.first(), &whole) {
                self.input_word(*key, object);
            }
            if is_input(&whole) {
                return self.input_method(node, object, name, &args);
            }
        }
        if callee.is_own() || matches!(callee, Val::Object(..)) {
            let mut all = node.arguments();
            let splat = all.find(|argument| argument.kind() == "dictionary_splat");
            for inner in splat.into_iter().flat_map(Node::children) {
                for one in callee.each() {
                    match one {
                        Val::Class(class) => self.model(*class, inner),
                        Val::Func(function, ..) => self.splat(*function, inner),
                        _ => {}
                    }
                }
            }
            return;
        }
        if let Val::Method(object, method) = callee
            && let Val::Class(class) = **object
            && matches!(&**method, "model_validate" | "parse_obj" | "from_dict")
        {
            return args
                .iter()
                .take(1)
                .for_each(|first| self.model(class, *first));
        }
        if name == "validate" {
            return self.schema(node, &args);
        }
        if name == "loads" {
            let first = args.first().map(|arg| self.input_paths(*arg));
            for path in first.unwrap_or_default() {
                if let Some(known) = self.input_entry(node, &path) {
                    known.from_text = true;
                } else {
                    let place = self.place(node);
                    self.facts.serverless.push(holds("handler.text", place));
                }
            }
        }
        if is_among(HARMLESS, name) {
            return;
        }
        // A function of the program that is handed on with it is followed.
        if matches!(callee, Val::Ext(_)) && args.iter().any(|arg| self.value(*arg).is_own()) {
            return;
        }
        for arg in args {
            let sent = arg.role() == "value"
                && arg.parent().is_some_and(|p| {
                    p.kind() == "keyword_argument"
                        && matches!(p.text_of("name"), "json" | "data" | "extra")
                });
            let whole = |one: &Val<'t>| match one {
                Val::Input(path) => path.is_empty(),
                one => matches!(one, Val::Job),
            };
            if !sent && self.value(arg).may_be(whole) {
                let what = format!("the job's input goes into `{}`", function.text());
                self.not_read(node, what, &[Hides::JobInput]);
            }
        }
    }

    /// A call of one of the input's methods.
    fn input_method(&mut self, node: Node<'t>, object: Node<'t>, method: &str, args: &[Node<'t>]) {
        match (method, args.first()) {
            ("startswith" | "endswith", Some(word)) => self.input_word(object, *word),
            ("get" | "pop" | "setdefault" | "__getitem__", Some(key)) => {
                let needed = method == "pop" && args.len() < 2 || method == "__getitem__";
                self.note_key_reads(node, object, *key, args.get(1).copied(), needed);
                if method == "pop" {
                    self.note_key_write(node, object, *key, None);
                }
            }
            ("append" | "insert" | "extend", _) => {
                if let Some(given) = args.last() {
                    // `extend([one])`
                    let one = given.child(0).filter(|_| {
                        method == "extend" && given.kind() == "list" && given.child(1).is_none()
                    });
                    let text = format!("{ADDED}{}", self.display_or_source(one.unwrap_or(*given)));
                    for path in self.input_paths(object) {
                        if let Some(known) = self.input_entry(node, &path) {
                            known.set.insert(text.clone());
                        }
                    }
                }
            }
            ("update", _) => {
                let list = node.field("arguments");
                list.into_iter()
                    .for_each(|list| self.note_all_writes(object, list, false));
            }
            _ => {}
        }
    }

    /// Notes the words that a value of the input is compared with, or the keys of a dict that it is
    /// looked up in.
    pub fn input_word(&mut self, node: Node<'t>, against: Node<'t>) {
        let paths = self.input_paths(node);
        if !paths.is_empty() {
            let words = self.value(against);
            self.note_words(
                &paths,
                &words.elements().unwrap_or_else(|| words.each().to_vec()),
            );
        }
    }

    pub fn note_words(&mut self, paths: &[Val<'t>], words: &[Val<'t>]) {
        for path in paths {
            let Val::Input(path) = path else { continue };
            for word in words {
                if let Val::Str(text, _) = word
                    && !path.is_empty()
                    && !text.is_empty()
                {
                    let known = self.words.entry(path.to_string()).or_default();
                    known.insert(text.to_string());
                }
            }
        }
    }

    /// `match input:` with the keys of its cases, or the words.
    pub fn note_match(&mut self, node: Node<'t>) {
        let Some(subject) = node.field("subject") else {
            return;
        };
        let paths = self.input_paths(subject);
        if paths.is_empty() {
            return;
        }
        for pattern in node.subtree().filter(|n| n.kind() == "case_pattern") {
            let texts = pattern.subtree().filter(|n| n.kind() == "string");
            let plain = texts.filter(|text| text.ancestor("dict_pattern").is_none());
            let words: Vec<_> = plain.map(|text| Val::text(text.unquoted())).collect();
            self.note_words(&paths, &words);
        }
        for pattern in node.subtree().filter(|n| n.kind() == "dict_pattern") {
            let mut within = pattern.ancestors().take_while(|a| *a != node);
            if within.any(|a| a.kind() == "dict_pattern") {
                continue;
            }
            for key in pattern.fields("key") {
                let inner = key.child(0).filter(|_| key.kind() != "string");
                let name = self.value(inner.unwrap_or(key));
                for path in paths.iter().filter(|_| name.as_str().is_some()) {
                    self.note_key(key, &path.item(&name), None, false);
                }
            }
        }
    }
}

/// What is so of a handler.
fn holds(name: &str, place: Place) -> Setting {
    Setting {
        name: name.into(),
        value: "True".into(),
        numbers: String::new(),
        is_constant: true,
        place,
    }
}

/// The numbers in a function, without the defaults of what it asks for by name.
fn numbers(function: Node<'_>) -> String {
    let all = function.field("body").into_iter().flat_map(Node::subtree);
    let all = all.filter(|node| matches!(node.kind(), "integer" | "float"));
    let asks = |node: &Node<'_>| {
        let mut calls = node
            .local_ancestors()
            .filter(|above| above.kind() == "call");
        calls.any(|call| is_among("get getenv", call.callee_name()))
    };
    let all: Vec<&str> = all.filter(|node| !asks(node)).map(Node::text).collect();
    all.join(" ")
}

/// Whether a handler gives its results one by one.
fn yields(handler: &Val<'_>) -> bool {
    let Val::Func(own, ..) = handler else {
        return false;
    };
    let mut all = own.subtree().filter(|node| node.kind() == "yield");
    all.any(|node| node.function() == Some(*own))
}

pub fn is_input(value: &Val<'_>) -> bool {
    value.may_be(|one| matches!(one, Val::Input(_)))
}
