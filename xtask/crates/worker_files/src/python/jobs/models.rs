//! Models of a job's input: pydantic's and dataclasses, parameters, and RunPod's schemas.

use crate::COMPUTED;
use crate::python::evaluation::arguments::Args;
use crate::python::evaluation::contexts::Ctx;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::objects::Field;
use crate::python::evaluation::value::Val;
use crate::python::program::code_text::normal;
use crate::python::program::node::Node;

/// A field of a class whose objects are made from variables or from a job's input.
#[derive(Default)]
pub struct FieldInfo {
    pub default: Option<String>,
    /// The aliases that replace its own name.
    pub aliases: Option<Vec<String>>,
    pub needed: bool,
    /// The type and the limits of its value.
    pub limits: Option<String>,
}

/// Why the keys of the job's input are unread where a schema is asked.
const UNKNOWN_SCHEMA: &str = "the schema of the job's input was not followed";

/// The type of a field and the limits of its value: `int, le 10`, `in [fast,slow]`.
fn limits(kind: &str, value: Option<Node<'_>>) -> Option<String> {
    const LIMITS: &str = "ge gt le lt multiple_of pattern max_length";
    let literal = kind.split_once("Literal[");
    let words = literal.and_then(|(_, rest)| rest.split(']').next());
    let words = words.map(|words| format!("in [{}]", words.replace([' ', '"', '\''], "")));
    let plain = kind.trim_start_matches("Annotated[");
    let plain = plain
        .split(['|', '[', ','])
        .next()
        .unwrap_or_default()
        .trim();
    let plain = matches!(plain, "int" | "float" | "bool").then(|| plain.to_owned());
    let limit = |key| Some(format!("{key} {}", value?.keyword(key)?.text()));
    let limits = LIMITS.split(' ').filter_map(limit);
    let parts: Vec<String> = words.or(plain).into_iter().chain(limits).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Whether a method of a model is a validator of a field, or one of the model that mentions it.
fn validates(method: Node<'_>, name: &str) -> bool {
    method.decorators().any(|decorator| {
        let mut names = decorator.arguments().filter(|one| one.is("string"));
        match decorator.callee_name() {
            "field_validator" | "validator" => {
                names.any(|one| one.content() == name || one.content() == "*")
            }
            "model_validator" | "root_validator" => {
                let mut inner = method.subtree();
                inner.any(|one| one.text() == name || one.content() == name)
            }
            _ => decorator.text().ends_with("root_validator") && method.text().contains(name),
        }
    })
}

impl<'t> Reader<'t> {
    /// `f(**input)`: each parameter is a key.
    pub fn splat(&mut self, function: Node<'t>, inner: Node<'t>, first: &Args<'t>) {
        let paths = self.input_paths(inner);
        // What the call itself gives is no key: `f("a", b=1, **input)`.
        let call = inner
            .parent_of("dictionary_splat")
            .and_then(|splat| splat.ancestor("call"));
        let given: Vec<Node<'t>> = call.into_iter().flat_map(Node::arguments).collect();
        let places = given
            .iter()
            .filter(|one| !one.is_any("keyword_argument dictionary_splat"));
        let mut places = places.count() + first.positional.len();
        for (name, default, stars) in function.parameters() {
            if stars > 0 || matches!(name, "self" | "cls") {
                continue;
            }
            let is_named = given.iter().any(|one| one.text_of("name") == name);
            if places > 0 || is_named || first.named(name).is_some() {
                places = places.saturating_sub(1);
                continue;
            }
            let text = default.and_then(|node| self.value(node).default_text());
            let place = default.unwrap_or(inner);
            for path in &paths {
                let key = path.item(&Val::text(name));
                self.note_key(place, &key, text.clone(), default.is_none());
            }
        }
    }

    /// A model made of the input: each field is a key.
    pub fn model(&mut self, class: Node<'t>, inner: Node<'t>) {
        let paths = self.input_paths(inner);
        if paths.is_empty() {
            return;
        }
        if let Val::Func(init, ..) = self.class_member(class, "__init__") {
            return self.splat(init, inner, &Args::default());
        }
        self.fields_of_model(class, inner, &paths);
        let extra = self.model_option(class, "extra");
        if extra.as_str() == Some("allow") || extra.path().ends_with("Extra.allow") {
            for path in &paths {
                self.note_key(inner, &path.item(&Val::text("*")), None, false);
            }
        }
    }

    fn fields_of_model(&mut self, class: Node<'t>, inner: Node<'t>, paths: &[Val<'t>]) {
        for (name, value, kind) in self.model_fields(class) {
            let field = self.checked_field(class, (name, value, kind));
            let Some(kind) = kind else { continue };
            let needed = field.needed && !(value.is_none() && kind.text().contains("Optional"));
            for alias in field.aliases.unwrap_or_else(|| vec![name.to_owned()]) {
                let alias = Val::text(&alias);
                let keys: Vec<_> = paths.iter().map(|path| path.item(&alias)).collect();
                for key in &keys {
                    self.note_key(value.unwrap_or(inner), key, field.default.clone(), needed);
                    self.limit(key, field.limits.clone());
                }
                if let Some(nested) = self.nested_model(class, name) {
                    self.fields_of_model(nested, inner, &keys);
                }
            }
        }
    }

    /// The model that a field holds. Recursive models end at the longest path.
    fn nested_model(&mut self, class: Node<'t>, name: &str) -> Option<Node<'t>> {
        let family = self.family(class).into_iter();
        let sets = family.flat_map(Node::subtree);
        let sets = sets.filter(|node| node.is("assignment") && node.text_of("left") == name);
        let kinds = sets.filter_map(|node| node.field("type"));
        let single = kinds.filter(|kind| !kind.text().to_lowercase().contains("list["));
        let mut names = single.flat_map(|kind| kind.subtree_of("identifier"));
        names.find_map(|name| match self.value(name) {
            Val::Class(inner) if inner != class => Some(inner),
            _ => None,
        })
    }

    /// Notes the type and the limits of a value of the input.
    pub fn limit(&mut self, key: &Val<'t>, limits: Option<String>) {
        let Val::Input(path) = key else { return };
        let mut inputs = self.facts.inputs.iter_mut();
        if let Some(known) = inputs.find(|input| input.path == **path) {
            known.limits = limits.or_else(|| known.limits.take());
        }
    }

    /// The default, aliases and need of a class's field. `Field(…)` is its value, or stands in its
    /// annotation.
    pub fn field(&mut self, value: Option<Node<'t>>, kind: Option<Node<'t>>) -> FieldInfo {
        let is_marker = |node: &Node<'t>| {
            node.is("call") && node.callee_name().to_lowercase().ends_with("field")
        };
        let annotated = kind.and_then(|kind| kind.subtree().find(is_marker));
        let marker = value.filter(is_marker).or(annotated);
        let mut field = FieldInfo {
            needed: true,
            limits: limits(kind.map_or("", Node::text), marker),
            ..FieldInfo::default()
        };
        if let Some(marker) = marker {
            let args = self.args(marker, &Ctx::default());
            let named = |keys: &[&str]| keys.iter().find_map(|key| args.named(key));
            field.aliases = named(&["validation_alias", "alias", "env"]).map(|alias| {
                let each = alias.elements().unwrap_or_else(|| vec![alias.clone()]);
                let texts = each.iter().filter_map(|one| Some(one.as_str()?.to_owned()));
                texts.collect()
            });
            let first = args.positional.first();
            let first = first.filter(|_| marker.callee_name() == "Field");
            let explicit = first.or(named(&["default", "default_factory"]));
            field.default = self.value(marker).default_text();
            field.needed = explicit.is_none() || marker.text().contains("(...");
        }
        if let Some(plain) = value.filter(|value| !is_marker(value)) {
            let default = self.value(plain).display();
            let default = default.unwrap_or_else(|| normal(plain.text()));
            field.default = Some(default).filter(|text| text != "None");
            field.needed = false;
        }
        field
    }

    /// A field with the program's own functions that check or change its value, each with a hash of
    /// what it does: `@field_validator("n")`, `Annotated[int, AfterValidator(f)]`, and a validator
    /// of the whole model that mentions the field.
    pub fn checked_field(&mut self, class: Node<'t>, (name, value, kind): Field<'t>) -> FieldInfo {
        let family = self.family(class).into_iter();
        let methods = family.flat_map(|own| own.subtree_of("function_definition"));
        let mut found: Vec<Node<'t>> = methods.filter(|one| validates(*one, name)).collect();
        let annotated = kind.into_iter().flat_map(|kind| kind.subtree_of("call"));
        let annotated = annotated.filter(|call| call.callee_name().ends_with("Validator"));
        for given in annotated.filter_map(|call| call.argument(0)) {
            found.extend(self.definitions_of(given));
        }
        let checks = found.into_iter().filter_map(|one| {
            let mark = self.mark(one.field("body")?);
            Some(format!(
                "checked by {}{COMPUTED}{mark})",
                one.text_of("name")
            ))
        });
        let checks: Vec<String> = checks.collect();
        let field = self.field(value, kind);
        let limits: Vec<String> = field.limits.into_iter().chain(checks).collect();
        let limits = (!limits.is_empty()).then(|| limits.join(", "));
        FieldInfo { limits, ..field }
    }

    /// RunPod's `validate(input, SCHEMA)`.
    pub fn schema(&mut self, node: Node<'t>, args: &[Node<'t>]) {
        let [input, schema, ..] = args else {
            let mut given = args.iter().map(|input| self.value(*input));
            if given.any(|input| input.holds_whole_input()) {
                self.input_unread(node, UNKNOWN_SCHEMA);
            }
            return;
        };
        let paths = self.input_paths(*input);
        if paths.is_empty() {
            return;
        }
        let schema = self.value(*schema);
        let of_schema = |name| schema.entry(&Val::text(name));
        // A schema of `jsonschema` has its keys one level down.
        let properties = of_schema("properties").filter(|all| matches!(all, Val::Dict(_)));
        let is_json_schema = properties.is_some();
        let is_closed = of_schema("additionalProperties") == Some(Val::Bool(false));
        let required = of_schema("required").filter(|_| is_json_schema);
        let required = required.map_or(Vec::new(), |names| names.elements_or_each());
        let Val::Dict(items) = properties.unwrap_or_else(|| schema.clone()) else {
            return self.input_unread(node, UNKNOWN_SCHEMA);
        };
        for path in paths.iter().filter(|_| !is_json_schema || is_closed) {
            if let Val::Input(path) = path {
                let names = items.iter().filter_map(|(key, _)| key.as_str());
                let known = self.schemas.entry(path.to_string()).or_default();
                known.extend(names.map(str::to_owned));
            }
        }
        for (key, rules) in items.iter() {
            let rule = |name| rules.entry(&Val::text(name));
            let default = rule("default").and_then(|value| value.default_text());
            let is_required = required.iter().any(|name| name.as_str() == key.as_str());
            let needed = is_required || rule("required") == Some(Val::Bool(true));
            let limits = ["type", "constraints"].into_iter().filter_map(rule);
            let limits = limits.map(|rule| match rule {
                Val::Func(node, ..) => normal(node.text()),
                Val::Str(name, _) if &*name == "string" => "str".to_owned(),
                Val::Str(name, _) => name.to_string(),
                value => value.path().to_owned(),
            });
            let limits = limits.filter(|text| !text.is_empty());
            let limits: Vec<String> = limits.collect();
            let limits = (!limits.is_empty()).then(|| limits.join(", "));
            for path in &paths {
                let key = path.item(key);
                self.add_key(node, &key, default.clone(), needed);
                self.limit(&key, limits.clone());
            }
        }
    }
}
