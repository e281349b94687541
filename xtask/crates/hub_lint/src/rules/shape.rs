//! Checks keys and types by the tables in [`crate::facts`].

use std::collections::HashMap;

use super::{allowed_values, shape_env, shape_tests};
use crate::document::{HubDocument, Which, begin, short};
use crate::edit::{self, safety};
use crate::facts::{self, FieldRule, FieldTable, ValueShape};
use crate::finding::{Finding, Safety};
use crate::rule::{Rule, Severity, rules};
use worker_files::json::{JsonKind, JsonNode, Member};
use xtask_core::suggest::{self, Sure};

rules! {
    OTHER_SCHEMA = "HUB100" "not-a-listing" Error Never "the file is not a listing of the Hub";
    MISSING_KEY = "HUB101" "missing-key" Error Never "a key that the Hub needs is not there";
    WRONG_TYPE = "HUB102" "wrong-type" Error Safely "a value of the wrong type";
    NEAR_KEY = "HUB103" "misspelt-key" Error Either "a key that is spelled differently";
    MISPLACED_KEY = "HUB104" "misplaced-key" Warning Unsafely "a key at the wrong level";
    UNKNOWN_KEY = "HUB105" "unknown-key" Warning Never "a key that the Hub doesn't know";
}

/// Checks a whole file. False if it is of another kind.
pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    let mut shape = ShapeCheck { document, findings };
    match document.which {
        Which::Hub if is_foreign(root) => {
            let what = "this is no listing of the Hub: it has no `config`";
            let help = "a listing has `title`, `description`, `type`, `category` and `config`";
            let finding = document.at(&OTHER_SCHEMA, &begin(root), what);
            shape.findings.push(finding.help(help));
            return false;
        }
        Which::Tests if !shape_tests::check_root(document, shape.findings) => {
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

/// Walks through a document along the tables.
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
            shape_env::check_entry(self.document, node, &meant, self.findings);
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
        let finding = self.document.at(&NEAR_KEY, &member.key_span, what);
        let mut finding = finding.help(format!("did you mean `{}`? {}", field.key, field.about));
        // A listing without a picture of its own still works.
        if field.key == "iconUrl" {
            finding.severity = Severity::Warning;
        }
        if fits(&member.value, field.shape) {
            let edit = (member.key_span.clone(), edit::quote(field.key));
            finding = finding.fix(safety(sure), format!("call it `{}`", field.key), [edit]);
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
                let finding = shape_env::bare_option(self.document, node);
                self.findings.push(finding);
            }
            ValueShape::Object(table) => self.value(node, shape, table.what),
            _ => self.value(node, shape, &format!("an element of {list}")),
        }
    }

    fn missing(&self, node: &JsonNode, table: &FieldTable, field: &FieldRule) -> Finding {
        let rule: &'static Rule = match field.key {
            "tests" => &shape_tests::NO_TESTS,
            _ => &MISSING_KEY,
        };
        let what = format!("{} has no `{}`", named(table, node), field.key);
        let help = format!("`{}`: {}", field.key, field.about);
        let mut finding = self.document.at(rule, &begin(node), what).help(help);
        // A preset that sets nothing does no harm.
        if table.is(&facts::PRESET) {
            finding.severity = Severity::Warning;
        }
        finding
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
        let finding = self.document.at(&UNKNOWN_KEY, &first.key_span, what);
        Some(finding.help(help))
    }

    fn misplaced(&self, node: &JsonNode, member: &Member, home: &FieldTable) -> Finding {
        let (document, key) = (self.document, member.key.as_str());
        let what = format!("the Hub looks for `{key}` in {}, not here", home.what);
        let mut finding = document.at(&MISPLACED_KEY, &member.key_span, what);
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
        let finding = self.document.at(&WRONG_TYPE, &span, message);
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
