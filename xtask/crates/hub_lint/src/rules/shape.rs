//! Checks keys and types by the tables in [`crate::facts`].

use std::collections::HashMap;

use super::allowed_values;
use crate::edit;
use crate::facts::{self, FieldRule, FieldTable, ValueShape};
use crate::finding::{Finding, Safety};
use crate::model::{self, HubDocument, Which, begin, short};
use crate::rule::Severity;
use worker_files::json::{JsonKind, JsonNode, Member};
use worker_files::shell::is_name;
use xtask_core::suggest::{self, Sure, letters};

/// Checks a whole file. False if it is of another kind.
pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    let mut shape = ShapeCheck { document, findings };
    match document.which {
        Which::Hub if is_foreign(root) => {
            let what = "this is no listing of the Hub: it has no `config`";
            let help = "a listing has `title`, `description`, `type`, `category` and `config`";
            let finding = document.at("not-a-listing", &begin(root), what);
            shape.findings.push(finding.help(help));
            return false;
        }
        Which::Tests if !check_root(document, shape.findings) => {
            // The tests of a bare list can be checked.
            for item in root.items() {
                shape.object(item, &facts::TEST);
            }
            return false;
        }
        which => shape.object(root, which.table()),
    }
    true
}

/// Whether a file has too little in common with a listing to be checked as one.
fn is_foreign(root: &JsonNode) -> bool {
    if root.members().is_empty() || !root.object("config").is_empty() {
        return root.members().is_empty();
    }
    let fields = facts::LISTING.documented();
    let present = fields.filter(|field| root.get(field.key).is_some());
    present.count() < 4
}

struct ShapeCheck<'a> {
    document: &'a HubDocument,
    findings: &'a mut Vec<Finding>,
}

impl ShapeCheck<'_> {
    fn object(&mut self, node: &JsonNode, table: &'static FieldTable) {
        let JsonKind::Object(members) = &node.kind else {
            return;
        };
        // Keys of the table that are misspelt in the object.
        let mut meant: Vec<&str> = Vec::new();
        let mut unknown: Vec<&Member> = Vec::new();
        // The last of duplicate keys counts.
        let last: HashMap<&str, &Member> = members.iter().map(|m| (&*m.key, m)).collect();
        for member in members {
            if last[&*member.key].key_span != member.key_span {
                continue;
            }
            if let Some(field) = table.field(&member.key) {
                self.value(&member.value, field.shape, &format!("`{}`", member.key));
            } else if table.is(&facts::TEST) && facts::is_assertion(&member.key) {
                // `ignored-assertion` reports these.
            } else if let Some(finding) = self.misspelt(node, member, table, &mut meant) {
                self.findings.push(finding);
            } else {
                unknown.push(member);
            }
        }
        let finding = self.unknown_keys(table, &unknown);
        self.findings.extend(finding);
        for field in table.required() {
            if node.get(field.key).is_none() && !meant.contains(&field.key) {
                let finding = self.missing(node, table, field);
                self.findings.push(finding);
            }
        }
        if table.is(&facts::VARIABLE) {
            check_entry(self.document, node, &meant, self.findings);
        }
    }

    fn misspelt(
        &self,
        node: &JsonNode,
        member: &Member,
        table: &'static FieldTable,
        meant: &mut Vec<&'static str>,
    ) -> Option<Finding> {
        let key = member.key.as_str();
        // Two keys can't both be meant for one.
        let mut free = table.fields.iter().collect::<Vec<_>>();
        free.retain(|field| node.get(field.key).is_none() && !meant.contains(&field.key));
        let alias = free.iter().find(|field| field.aliases.contains(&key));
        let guess = alias.map(|field| (*field, Sure::Near)).or_else(|| {
            let (name, sure) = suggest::nearest(key, free.iter().map(|field| field.key))?;
            Some((table.field(name)?, sure))
        });
        let home = elsewhere(self.document.which, table, key);
        let is_sure = |sure| alias.is_some() || home.is_none() || sure == Sure::Same;
        let Some((field, sure)) = guess.filter(|(_, sure)| is_sure(*sure)) else {
            return home.map(|home| self.misplaced(node, member, home));
        };
        meant.push(field.key);
        let what = format!("{} has no key `{key}`", named(table, node));
        // A listing without a picture of its own still works.
        let finding = self.document.at("misspelt-key", &member.key_span, what);
        let finding = finding.warn_unless(field.key != "iconUrl");
        let mut finding = finding.help(format!("did you mean `{}`? {}", field.key, field.about));
        if fits(&member.value, field.shape) {
            let edit = (member.key_span.clone(), edit::quote(field.key));
            let safety = Safety::of(sure == Sure::Same);
            finding = finding.fix(safety, format!("call it `{}`", field.key), [edit]);
        }
        Some(finding)
    }

    /// Checks a value and its parts. Null counts as absent.
    fn value(&mut self, node: &JsonNode, shape: ValueShape, key: &str) {
        if !fits(node, shape) {
            self.findings.push(self.wrong_type(node, shape, key));
            return;
        }
        let value = allowed_values::check(self.document, node, shape, key);
        self.findings.extend(value);
        match shape {
            ValueShape::Object(table) => self.object(node, table),
            ValueShape::List(item) => {
                for element in node.items() {
                    self.element(element, *item, key);
                }
            }
            ValueShape::Values => {
                for member in node.members() {
                    let key = format!("`{}`", short(&member.key));
                    self.value(&member.value, ValueShape::Scalar, &key);
                }
            }
            _ => {}
        }
    }

    fn element(&mut self, node: &JsonNode, shape: ValueShape, list: &str) {
        let is_bare = matches!(node.kind, JsonKind::String(_) | JsonKind::Number(_));
        match shape {
            ValueShape::Object(table) if table.is(&facts::OPTION) && is_bare => {
                let finding = bare_option(self.document, node);
                self.findings.push(finding);
            }
            ValueShape::Object(table) => self.value(node, shape, table.what),
            _ => self.value(node, shape, &format!("an element of {list}")),
        }
    }

    fn missing(&self, node: &JsonNode, table: &FieldTable, field: &FieldRule) -> Finding {
        let rule = match field.key {
            "tests" => "no-tests",
            _ => "missing-key",
        };
        let what = format!("{} has no `{}`", named(table, node), field.key);
        let help = format!("`{}`: {}", field.key, field.about);
        let finding = self.document.at(rule, &begin(node), what).help(help);
        // A preset that sets nothing does no harm.
        finding.warn_unless(!table.is(&facts::PRESET))
    }

    /// The finding for the keys of one object that the Hub doesn't know.
    fn unknown_keys(&self, table: &FieldTable, unknown: &[&Member]) -> Option<Finding> {
        let first = unknown.first()?;
        let names: Vec<String> = unknown.iter().map(|m| short(&m.key)).take(8).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let word = if names.len() == 1 { "key" } else { "keys" };
        let known: Vec<&str> = table.documented().map(|field| field.key).take(12).collect();
        let names = suggest::all_of(&names);
        let what = format!("the Hub ignores the {word} {names} in {}", table.what);
        let help = format!("it knows {}", suggest::all_of(&known));
        let finding = self.document.at("unknown-key", &first.key_span, what);
        Some(finding.help(help))
    }

    fn misplaced(&self, node: &JsonNode, member: &Member, home: &FieldTable) -> Finding {
        let (document, key) = (self.document, member.key.as_str());
        let what = format!("the Hub looks for `{key}` in {}, not here", home.what);
        let mut finding = document.at("misplaced-key", &member.key_span, what);
        // The endpoint gets a queue instead of a load balancer.
        if key == "endpointType" {
            finding.severity = Severity::Error;
        }
        if !home.is(&facts::INPUT) {
            return finding;
        }
        if let Some(input) = node.get("input").filter(|input| input.get(key).is_none()) {
            let value = document.source(&member.value);
            let add = edit::add(&document.text, input, key, value);
            let edits = [edit::remove(node, member), add];
            let finding = finding.related(document.place(&begin(input)), "it belongs in here");
            return finding.fix(Safety::Unsafe, "move it there", edits);
        }
        match node.get("value") {
            Some(_) => finding.help("users don't see a fixed `value`, and it takes no such key"),
            None => finding,
        }
    }

    fn wrong_type(&self, node: &JsonNode, shape: ValueShape, key: &str) -> Finding {
        let (wanted, what) = (shape.kind().1, node.what());
        let found = match &node.kind {
            JsonKind::Number(text) if wanted == "a whole number" => format!("`{}`", short(text)),
            _ => what.to_owned(),
        };
        // The place is a whole scalar, or the start of an object or list.
        let span = node.scalar().map(|_| node.span.clone());
        let span = span.unwrap_or_else(|| begin(node));
        let message = format!("{key} has to be {wanted} and is {found}");
        let finding = self.document.at("wrong-type", &span, message);
        match converted(self.document, node, shape) {
            Some(with) => finding.write(Safety::Safe, &node.span, &short(&with), with),
            None => finding,
        }
    }
}

/// The table's name, with the object's own name where it has one.
fn named(table: &FieldTable, node: &JsonNode) -> String {
    let name = node.text("key").or(node.text("name"));
    let name = name.filter(|name| !name.is_empty() && name.len() < 60);
    match name {
        Some(name) if table.what.starts_with('a') => {
            let what = table.what.split_once(' ').map_or(table.what, |(_, w)| w);
            format!("the {what} `{name}`")
        }
        _ => table.what.to_owned(),
    }
}

/// Another table of the same file that has a key.
fn elsewhere(which: Which, table: &FieldTable, key: &str) -> Option<&'static FieldTable> {
    use facts::{CONFIG, INPUT, LISTING, TEST, TESTS, TESTS_CONFIG, VARIABLE};
    let tables: &[&'static FieldTable] = match which {
        Which::Hub => &[&INPUT, &CONFIG, &VARIABLE, &LISTING],
        Which::Tests => &[&TESTS_CONFIG, &TEST, &TESTS],
    };
    let has = |other: &FieldTable| other.documented().any(|field| field.key == key);
    let mut tables = tables.iter().copied();
    tables.find(|other| !other.is(table) && has(other))
}

fn fits(node: &JsonNode, shape: ValueShape) -> bool {
    match (shape.kind().0, &node.kind) {
        (_, JsonKind::Null)
        | ("string", JsonKind::String(_))
        | ("boolean", JsonKind::Bool(_))
        | ("number", JsonKind::Number(_))
        | ("object", JsonKind::Object(_))
        | ("array", JsonKind::Array(_)) => true,
        ("integer", _) => node.as_f64().is_some_and(|n| n.fract() == 0.0),
        ("scalar", _) => node.scalar().is_some(),
        _ => false,
    }
}

/// The number that a text is, as JSON writes it.
pub fn number(text: &str) -> Option<f64> {
    serde_json::from_str(text.trim()).ok()
}

/// The same value in another shape, where the conversion is obvious.
pub fn converted(document: &HubDocument, node: &JsonNode, shape: ValueShape) -> Option<String> {
    match (shape, &node.kind) {
        (ValueShape::Whole | ValueShape::Count | ValueShape::Number, JsonKind::String(text)) => {
            let number = number(text)?;
            let fits = matches!(shape, ValueShape::Number) || number.fract() == 0.0;
            fits.then(|| text.trim().to_owned())
        }
        (ValueShape::Flag, JsonKind::String(text)) => {
            let lower = text.to_lowercase();
            matches!(lower.as_str(), "true" | "false").then_some(lower)
        }
        (ValueShape::Text | ValueShape::Word(_), JsonKind::Number(_) | JsonKind::Bool(_)) => {
            Some(edit::quote(document.source(node)))
        }
        (ValueShape::Text, JsonKind::Array(items)) if !items.is_empty() => {
            let texts: Option<Vec<&str>> = items.iter().map(JsonNode::as_str).collect();
            Some(edit::quote(&texts?.join(",")))
        }
        (ValueShape::List(ValueShape::Text | ValueShape::Word(_)), JsonKind::String(text)) => {
            let parts = text.split(',').map(|part| edit::quote(part.trim()));
            Some(format!("[{}]", parts.collect::<Vec<_>>().join(", ")))
        }
        _ => None,
    }
}

/// Checks an entry as a whole. `meant` are the keys that are misspelt in it.
fn check_entry(
    document: &HubDocument,
    node: &JsonNode,
    meant: &[&str],
    findings: &mut Vec<Finding>,
) {
    let name = short(node.text("key").unwrap_or_default());
    let has = |key| (node.member(key)).filter(|member| member.value.kind != JsonKind::Null);
    match (has("value"), has("input")) {
        (None, None) if !meant.contains(&"value") && !meant.contains(&"input") => {
            let what = format!("`{name}` has neither `value` nor `input`");
            let finding = document.at("env-without-value", &begin(node), what);
            findings.push(finding.help("`value` fixes it; `input` lets users set it"));
        }
        (Some(value), Some(input)) => {
            let what = format!("`{name}` has both `value` and `input`");
            let help = "a fixed `value`, or an `input` with the value as its `default`";
            let input = document.place(&input.key_span);
            let finding = document.at("env-with-both", &value.key_span, what);
            let finding = finding.help(help);
            let finding = finding.related(input, "users are asked for it here");
            let edit = edit::remove(node, value);
            findings.push(finding.fix(Safety::Unsafe, "remove `value`", [edit]));
        }
        _ => {}
    }
    let key = node.at("key");
    if key.as_str().is_some_and(|text| !is_name(text)) {
        let what = format!("`{name}` can't be the name of an environment variable");
        let finding = document.at("bad-variable-name", &key.span, what);
        findings.push(finding.help("letters, digits and `_`, and no digit first"));
    }
}

fn bare_option(document: &HubDocument, node: &JsonNode) -> Finding {
    let written = document.source(node);
    let text = edit::quote(node.as_str().unwrap_or(written));
    let with = format!("{{ \"label\": {text}, \"value\": {text} }}");
    let what = format!("the option {} has no label and value", short(written));
    let finding = document.at("bare-option", &node.span, what);
    finding.write(Safety::Safe, &node.span, &short(&with), with)
}

pub fn duplicates(document: &HubDocument, findings: &mut Vec<Finding>) {
    let mut seen = HashMap::new();
    for variable in model::variables(document) {
        let key = variable.key;
        let first = seen.insert(key, variable.place());
        if let Some(first) = first.filter(|_| !key.is_empty()) {
            let what = format!("the variable `{}` has two entries", short(key));
            let finding = variable.at("duplicate-variable", what);
            findings.push(finding.related(first, "the other one"));
        }
    }
}

/// Checks the root of tests.json. False where nothing else can be checked.
fn check_root(document: &HubDocument, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    if let Some(finding) = not_tests(document, root) {
        findings.push(finding);
        return false;
    }
    if let Some(tests) = root.member("tests")
        && tests.value.kind == JsonKind::Array(Vec::new())
    {
        findings.push(document.at("no-tests", &tests.key_span, "`tests` is empty"));
    }
    let mut keys = root.members().iter().map(|member| letters(&member.key));
    if !root.list("tests").is_empty() && !keys.any(|key| key.starts_with("config")) {
        let help = "the Hub's test run takes no default from hub.json: what the worker needs has \
                    to be in `config.env`";
        let finding = document.at(
            "tests-without-config",
            &begin(root),
            "tests.json has no `config`",
        );
        findings.push(finding.help(help));
    }
    true
}

/// The finding for a file that is not the Hub's tests.json.
fn not_tests(document: &HubDocument, root: &JsonNode) -> Option<Finding> {
    const READS: &str =
        "the Hub reads `{ \"tests\": [{ \"name\": …, \"input\": {…} }], \"config\": {…} }`";
    if matches!(root.kind, JsonKind::Object(_)) {
        // A single test at the root: one finding for the wrapping that it lacks.
        let input = root.member("input")?;
        let what = "tests.json has no `tests`: it is a single job's input";
        let finding = document.at("no-tests", &input.key_span, what).help(READS);
        return root.get("tests").is_none().then_some(finding);
    }
    let found = root.what();
    let what = format!("tests.json is {found} and has to be an object with `tests`");
    let finding = document.at("tests-root", &begin(root), what).help(READS);
    let is_test = |item: &JsonNode| item.get("name").or(item.get("input")).is_some();
    if root.items().is_empty() || !root.items().iter().all(is_test) {
        return Some(finding);
    }
    let insert = |at: usize, text: &str| (at..at, text.to_owned());
    let start = insert(root.span.start, "{ \"tests\": ");
    let edits = [start, insert(root.span.end, " }")];
    Some(finding.fix(Safety::Unsafe, "put the list into `tests`", edits))
}
