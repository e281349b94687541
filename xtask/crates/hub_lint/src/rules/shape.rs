//! Whether keys and types are those of the Hub, by the tables in [`crate::facts`].

use std::collections::HashMap;

use super::{shape_env, shape_tests};
use crate::document::{Document, Which, begin, short};
use crate::edit;
use crate::facts::{self, Field, Need, Shape, Table};
use crate::rule::{Rule, rules};
use worker_files::json::{Kind, Member, Node};
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::suggest::{self, Sure};

rules! { Shape;
    /// The file is JSON, but of some other kind: another platform's description, a schema, a list
    /// of inputs. The Hub finds nothing in it that it knows. Everything else that could be said of
    /// the file follows from this, so nothing else is said.
    ///
    /// Bad:
    /// ```json hub
    /// { "name": "my-worker", "version": "1.0.0", "runtime": { "handler": "handler.py" } }
    /// ```
    OTHER_SCHEMA = "HUB100" "not-a-listing" Error Never
        "the file is not a listing of the Hub"
        from "the Hub's publishing guide; 13 published files";

    /// The Hub needs this key and rejects or ignores the file without it.
    ///
    /// Bad:
    /// ```json hub
    /// {
    ///   "title": "Worker", "description": "Does things.", "type": "serverless",
    ///   "config": { "runsOn": "GPU", "containerDiskInGb": 20 }
    /// }
    /// ```
    /// Good:
    /// ```json listing
    /// "category": "language"
    /// ```
    MISSING_KEY = "HUB101" "missing-key" Error Never
        "a key that the Hub needs is not there"
        from "the Hub's publishing guide";

    /// The value is of another type than the Hub reads: a list where it wants a text with commas,
    /// a number in quotes.
    ///
    /// Bad:
    /// ```json config
    /// "gpuIds": ["ADA_24", "AMPERE_24"]
    /// ```
    /// Good:
    /// ```json config
    /// "gpuIds": "ADA_24,AMPERE_24"
    /// ```
    WRONG_TYPE = "HUB102" "wrong-type" Error Safely
        "a value of the wrong type"
        from "the Hub's publishing guide";

    /// A key that is not quite one of the Hub's. The Hub ignores what it does not know, so that
    /// the setting is simply not made. For the icon it is a warning.
    ///
    /// Bad:
    /// ```json config
    /// "allowedCudaVersion": ["12.8"]
    /// ```
    /// Good:
    /// ```json config
    /// "allowedCudaVersions": ["12.8"]
    /// ```
    NEAR_KEY = "HUB103" "misspelt-key" Error Either
        "a key that is spelled differently"
        from "the Hub's publishing guide; published listings with `runOn`, `gpuTypeIds`";

    /// A key of the Hub's at a level where the Hub does not look for it. For `endpointType` it is an
    /// error: the endpoint gets a queue instead of a load balancer.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL", "advanced": true, "input": { "name": "Model", "type": "string" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MODEL", "input": { "name": "Model", "type": "string", "advanced": true } }
    /// ```
    MISPLACED_KEY = "HUB104" "misplaced-key" Warning Unsafely
        "a key at the wrong level"
        from "the Hub's publishing guide; two published listings";

    /// The Hub ignores keys that it does not know, so this one has no effect.
    ///
    /// Bad:
    /// ```json config
    /// "volumeInGb": 100
    /// ```
    UNKNOWN_KEY = "HUB105" "unknown-key" Warning Never
        "a key that the Hub doesn't know"
        from "the Hub's publishing guide";
}

/// Looks at a whole file. False where it is of another kind, and nothing more is to be said.
pub fn check(document: &Document, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    match document.which {
        Which::Hub => {
            if is_foreign(root) {
                findings.push(
                    document
                        .at(&OTHER_SCHEMA, &begin(root), foreign_message(root))
                        .help(
                            "a listing has `title`, `description`, `type`, `category` and `config`",
                        ),
                );
                return false;
            }
            object(document, root, &facts::LISTING, findings);
        }
        Which::Tests => {
            if !shape_tests::check_root(document, findings) {
                // The tests of a bare list can be looked at all the same.
                for item in root.items() {
                    object(document, item, &facts::TEST, findings);
                }
                return false;
            }
            object(document, root, &facts::TESTS, findings);
        }
    }
    true
}

fn foreign_message(root: &Node) -> String {
    if matches!(root.kind, Kind::Object(_)) && root.members().is_empty() {
        return "the listing is empty".to_owned();
    }
    if root.members().is_empty() {
        return format!("the file holds {} where a listing has to be", root.what());
    }
    let keys: Vec<&str> = root
        .members()
        .iter()
        .map(|member| member.key.as_str())
        .filter(|key| facts::LISTING.field(key).is_none())
        .take(4)
        .collect();
    let has = match keys.as_slice() {
        [] => "no".to_owned(),
        keys => format!("{} and no", suggest::all_of(keys)),
    };
    format!("this is no listing of the Hub: it has {has} `config`")
}

/// Keys that only the Hub's `config` has.
const TELLING: &[&str] = &[
    "runsOn",
    "containerDiskInGb",
    "gpuIds",
    "gpuCount",
    "cpuFlavor",
    "presets",
    "endpointType",
];

/// Whether a file has too little in common with a listing for its parts to be worth a word.
fn is_foreign(root: &Node) -> bool {
    let Kind::Object(members) = &root.kind else {
        return true;
    };
    let has = |key: &str| root.get(key).is_some();
    if members.is_empty() || root.get("config").is_some_and(|c| !c.members().is_empty()) {
        return members.is_empty();
    }
    let documented = |field: &&Field| field.need != Need::Seen && has(field.key);
    let own = facts::LISTING.fields.iter().filter(documented).count();
    let nested = TELLING.iter().filter(|key| has(key)).count();
    own < 4 && nested < 2
}

/// Looks at an object's keys and values.
pub fn object(
    document: &Document,
    node: &Node,
    table: &'static Table,
    findings: &mut Vec<Finding>,
) {
    let Kind::Object(members) = &node.kind else {
        return;
    };
    let mut meant: Vec<&str> = Vec::new();
    let mut strangers: Vec<&Member> = Vec::new();
    // Of a key that is there twice, the last one counts.
    let last: HashMap<&str, &Member> = if document.duplicates {
        members.iter().map(|m| (m.key.as_str(), m)).collect()
    } else {
        HashMap::new()
    };
    for member in members {
        if last
            .get(member.key.as_str())
            .is_some_and(|last| last.key_span != member.key_span)
        {
            continue;
        }
        if let Some(field) = table.field(&member.key) {
            let key = format!("`{}`", member.key);
            value(document, &member.value, field.shape, &key, findings);
        } else if std::ptr::eq(table, &raw const facts::TEST) && facts::is_assertion(&member.key) {
            // `ignored-assertion` speaks of these.
        } else if !unknown(document, node, member, table, &mut meant, findings) {
            strangers.push(member);
        }
    }
    if !strangers.is_empty() {
        findings.push(ignored_keys(document, table, &strangers));
    }
    for field in table.fields {
        if field.need == Need::Required
            && node.get(field.key).is_none()
            && !meant.contains(&field.key)
        {
            missing(document, node, table, field, findings);
        }
    }
    if std::ptr::eq(table, &raw const facts::VARIABLE) {
        shape_env::check_entry(document, node, &meant, findings);
    }
}

fn missing(
    document: &Document,
    node: &Node,
    table: &'static Table,
    field: &Field,
    findings: &mut Vec<Finding>,
) {
    let rule: &Rule = match (table.what, field.key) {
        ("a preset", "defaults") => &shape_env::PRESET_WITHOUT_DEFAULTS,
        ("tests.json", "tests") => &shape_tests::NO_TESTS,
        ("a test", _) => &shape_tests::INCOMPLETE_TEST,
        _ => &MISSING_KEY,
    };
    let message = format!("{} has no `{}`", named(table, node), field.key);
    findings.push(
        document
            .at(rule, &begin(node), message)
            .help(format!("`{}`: {}", field.key, field.about)),
    );
}

/// The table's name, with the object's own name where it has one.
fn named(table: &Table, node: &Node) -> String {
    let name = ["key", "name"]
        .iter()
        .find_map(|key| node.get(key).and_then(Node::as_str))
        .filter(|name| !name.is_empty() && name.len() < 60);
    match name {
        Some(name) if table.what.starts_with('a') => {
            let what = table.what.split_once(' ').map_or(table.what, |(_, w)| w);
            format!("the {what} `{name}`")
        }
        _ => table.what.to_owned(),
    }
}

/// A key that the table doesn't have. False where it is neither misspelt nor misplaced.
fn unknown(
    document: &Document,
    node: &Node,
    member: &Member,
    table: &'static Table,
    meant: &mut Vec<&'static str>,
    findings: &mut Vec<Finding>,
) -> bool {
    let key = member.key.as_str();
    // Two keys can't both be meant for one.
    let taken = meant.clone();
    let free =
        |field: &&'static Field| node.get(field.key).is_none() && !taken.contains(&field.key);
    let candidates = table.fields.iter().filter(free);
    let alias = candidates
        .clone()
        .find(|field| field.aliases.contains(&key))
        .map(|field| (field, Sure::Near));
    let guess = alias.or_else(|| {
        let (name, sure) = suggest::nearest(key, candidates.map(|field| field.key))?;
        Some((table.field(name)?, sure))
    });
    let home = elsewhere(document.which, table, key);
    if let Some((field, sure)) = guess
        && (alias.is_some() || home.is_none() || sure == Sure::Same)
    {
        meant.push(field.key);
        let mut finding = document
            .at(
                &NEAR_KEY,
                &member.key_span,
                format!("{} has no key `{key}`", named(table, node)),
            )
            .help(format!("did you mean `{}`? {}", field.key, field.about));
        // A listing without a picture of its own still works.
        if field.key == "iconUrl" {
            finding.severity = Severity::Warning;
        }
        if fits(&member.value, field.shape) {
            let safety = match sure {
                Sure::Same => Safety::Safe,
                Sure::Near => Safety::Unsafe,
            };
            finding = finding.fix(
                safety,
                format!("call it `{}`", field.key),
                [(member.key_span.clone(), edit::quote(field.key))],
            );
        }
        findings.push(finding);
        return true;
    }
    if let Some(home) = home {
        misplaced(document, node, member, home, findings);
        return true;
    }
    false
}

/// The keys of one object that the Hub doesn't know.
fn ignored_keys(document: &Document, table: &Table, strangers: &[&Member]) -> Finding {
    let names: Vec<String> = strangers.iter().map(|m| short(&m.key)).take(8).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let word = if names.len() == 1 { "key" } else { "keys" };
    let span = strangers
        .first()
        .map_or(0..0, |member| member.key_span.clone());
    let mut known: Vec<&str> = table
        .fields
        .iter()
        .filter(|field| field.need != Need::Seen)
        .map(|field| field.key)
        .collect();
    known.truncate(12);
    document
        .at(
            &UNKNOWN_KEY,
            &span,
            format!(
                "the Hub ignores the {word} {} in {}",
                suggest::all_of(&names),
                table.what
            ),
        )
        .help(format!("it knows {}", suggest::all_of(&known)))
}

/// Where a key would belong in the same file.
fn elsewhere(which: Which, table: &'static Table, key: &str) -> Option<&'static Table> {
    let tables: &[&'static Table] = match which {
        Which::Hub => &[
            &facts::INPUT,
            &facts::CONFIG,
            &facts::VARIABLE,
            &facts::LISTING,
        ],
        Which::Tests => &[&facts::TESTS_CONFIG, &facts::TEST, &facts::TESTS],
    };
    tables
        .iter()
        .copied()
        .filter(|other| !std::ptr::eq(*other, table))
        .find(|other| {
            other
                .field(key)
                .is_some_and(|field| field.need != Need::Seen)
        })
}

fn misplaced(
    document: &Document,
    node: &Node,
    member: &Member,
    home: &'static Table,
    findings: &mut Vec<Finding>,
) {
    let key = member.key.as_str();
    let mut finding = document.at(
        &MISPLACED_KEY,
        &member.key_span,
        format!("the Hub looks for `{key}` in {}, not here", home.what),
    );
    // A queue instead of a load balancer is another endpoint altogether.
    if key == "endpointType" {
        finding.severity = Severity::Error;
    }
    if std::ptr::eq(home, &raw const facts::INPUT) {
        if let Some(input) = node.get("input").filter(|input| input.get(key).is_none()) {
            let value = document.source(&member.value);
            finding = finding
                .related(document.place(&begin(input)), "it belongs in here")
                .fix(
                    Safety::Unsafe,
                    "move it there",
                    [
                        edit::remove(node, member),
                        edit::add(&document.text, input, key, value),
                    ],
                );
        } else if node.get("value").is_some() {
            finding = finding.help("a fixed `value` is shown to nobody and takes no such key");
        }
    }
    findings.push(finding);
}

/// Whether a value is of a shape, as it is.
fn fits(node: &Node, shape: Shape) -> bool {
    match (shape, &node.kind) {
        (_, Kind::Null)
        | (Shape::Text | Shape::Word(_), Kind::String(_))
        | (Shape::Flag, Kind::Bool(_))
        | (Shape::Number, Kind::Number(_))
        | (Shape::Scalar, Kind::String(_) | Kind::Number(_) | Kind::Bool(_))
        | (Shape::Object(_) | Shape::Payload | Shape::Values, Kind::Object(_))
        | (Shape::List(_), Kind::Array(_)) => true,
        (Shape::Whole, Kind::Number(_)) => node.as_f64().is_some_and(|n| n.fract() == 0.0),
        _ => false,
    }
}

/// The shape in words.
fn wanted(shape: Shape) -> &'static str {
    match shape {
        Shape::Text | Shape::Word(_) => "a string",
        Shape::Flag => "true or false",
        Shape::Whole => "a whole number",
        Shape::Number => "a number",
        Shape::Scalar => "a string, a number or a boolean",
        Shape::Object(_) | Shape::Payload | Shape::Values => "an object",
        Shape::List(_) => "an array",
    }
}

/// Looks at a value and what is in it. Null counts as not there.
pub fn value(
    document: &Document,
    node: &Node,
    shape: Shape,
    key: &str,
    findings: &mut Vec<Finding>,
) {
    if !fits(node, shape) {
        let found = match (shape, &node.kind) {
            (Shape::Whole, Kind::Number(text)) => format!("`{}`", short(text)),
            _ => node.what().to_owned(),
        };
        let mut finding = document.at(
            &WRONG_TYPE,
            &pointed(node),
            format!("{key} has to be {} and is {found}", wanted(shape)),
        );
        if let Some(with) = converted(document, node, shape) {
            finding = finding.write(Safety::Safe, &node.span, &short(&with), with);
        }
        findings.push(finding);
        return;
    }
    match (shape, &node.kind) {
        (Shape::Object(table), _) => object(document, node, table, findings),
        (Shape::List(item), Kind::Array(items)) => {
            for element in items {
                let bare = matches!(item, Shape::Object(table) if std::ptr::eq(*table, &raw const facts::OPTION))
                    && matches!(element.kind, Kind::String(_) | Kind::Number(_));
                if bare {
                    shape_env::bare_option(document, element, findings);
                } else {
                    let what = match item {
                        Shape::Object(table) => table.what.to_owned(),
                        _ => format!("an element of {key}"),
                    };
                    value(document, element, *item, &what, findings);
                }
            }
        }
        (Shape::Values, Kind::Object(members)) => {
            for member in members {
                value(
                    document,
                    &member.value,
                    Shape::Scalar,
                    &format!("`{}`", short(&member.key)),
                    findings,
                );
            }
        }
        _ => {}
    }
}

/// A scalar as a whole, of something larger the first byte.
fn pointed(node: &Node) -> std::ops::Range<usize> {
    match node.kind {
        Kind::Array(_) | Kind::Object(_) => begin(node),
        _ => node.span.clone(),
    }
}

/// The same value in the right shape, where that is plain.
fn converted(document: &Document, node: &Node, shape: Shape) -> Option<String> {
    match (shape, &node.kind) {
        (Shape::Whole | Shape::Number, Kind::String(text)) => {
            let text = text.trim();
            let parsed = worker_files::json::parse(text.as_bytes());
            let number = parsed.root.filter(|_| parsed.problems.is_empty())?;
            (matches!(number.kind, Kind::Number(_)) && fits(&number, shape))
                .then(|| text.to_owned())
        }
        (Shape::Flag, Kind::String(text)) => match text.to_lowercase().as_str() {
            "true" => Some("true".to_owned()),
            "false" => Some("false".to_owned()),
            _ => None,
        },
        (Shape::Text | Shape::Word(_), Kind::Number(_) | Kind::Bool(_)) => {
            Some(edit::quote(document.source(node)))
        }
        (Shape::Text, Kind::Array(items)) if !items.is_empty() => {
            let texts: Option<Vec<&str>> = items.iter().map(Node::as_str).collect();
            Some(edit::quote(&texts?.join(",")))
        }
        (Shape::List(Shape::Text | Shape::Word(_)), Kind::String(text)) => {
            let parts: Vec<String> = text
                .split(',')
                .map(|part| edit::quote(part.trim()))
                .collect();
            Some(format!("[{}]", parts.join(", ")))
        }
        (Shape::List(Shape::Object(table)), Kind::Object(members)) => {
            if members.iter().any(|m| table.field(&m.key).is_some()) {
                return Some(format!("[{}]", document.source(node)));
            }
            // A map from names to values, where a list of entries has to be.
            let entries = table.field("key").and(table.field("value"));
            if entries.is_none()
                || members.is_empty()
                || !members.iter().all(|m| fits(&m.value, Shape::Scalar))
            {
                return None;
            }
            let entries: Vec<String> = members
                .iter()
                .map(|member| {
                    let (key, value) = (edit::quote(&member.key), document.source(&member.value));
                    format!("{{ \"key\": {key}, \"value\": {value} }}")
                })
                .collect();
            Some(format!("[{}]", entries.join(", ")))
        }
        _ => None,
    }
}
