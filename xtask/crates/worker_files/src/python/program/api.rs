//! Classes, functions and their signatures: what other code may import and call.

use super::code_text::normal;
use std::collections::HashMap;

use super::node::Node;
use super::scope::Program;
use crate::{Place, Source};

/// A class, function or method that other code can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiItem {
    /// `engine`.
    pub module: String,
    /// `SGlangEngine.shutdown`.
    pub name: String,
    pub kind: ApiKind,
    /// Parameters with defaults, or base classes; white space and quotes made alike.
    pub signature: String,
    /// Defaults that a running call relies on, as it leaves the parameter out: `retries=3`.
    pub left_out: Vec<String>,
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKind {
    Class,
    Function,
    AsyncFunction,
}

impl ApiKind {
    pub fn word(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Function => "def",
            Self::AsyncFunction => "async def",
        }
    }
}

/// Calls by the name of the callee, each with its number of positional arguments.
pub type Calls<'t> = HashMap<&'t str, Vec<(usize, Node<'t>)>>;

/// The calls in code that runs, without those that spread a list or a dict.
pub fn calls<'t>(program: &Program<'t>) -> Calls<'t> {
    let mut all = Calls::new();
    for file in program.files.iter().filter(|file| file.reached) {
        for call in file.syntax.nodes().filter(|node| node.is("call")) {
            let kinds: Vec<&str> = call.arguments().map(Node::kind).collect();
            let is_known = !kinds.iter().any(|kind| kind.ends_with("_splat"));
            if is_known && program.reaches(call) {
                let by_position = kinds.iter().filter(|kind| **kind != "keyword_argument");
                let known = all.entry(call.callee_name()).or_default();
                known.push((by_position.count(), call));
            }
        }
    }
    all
}

/// The constant defaults of the parameters that calls of this function leave out.
fn left_out(function: Node<'_>, owner: &str, calls: &Calls<'_>) -> Vec<String> {
    let name = match function.text_of("name") {
        "__init__" => owner,
        name => name,
    };
    let Some(calls) = calls.get(name) else {
        return Vec::new();
    };
    let is_bound = !owner.is_empty() && !function.is_decorated("staticmethod");
    let is_fixed = |text: &str| {
        matches!(text, "True" | "False")
            || text.starts_with(|c: char| c.is_ascii_digit())
                && text.chars().all(|c| c.is_ascii_digit() || "._".contains(c))
    };
    // Methods of libraries may have the same name.
    let is_meant = |call: &Node<'_>| {
        let callee = call.field("function");
        let object = callee.and_then(|callee| callee.field("object"));
        match object {
            _ if name == owner => true,
            None => owner.is_empty(),
            Some(object) => {
                let object = object.text().to_lowercase();
                let is_own = object == "self" || object.contains(&owner.to_lowercase());
                !owner.is_empty() && (is_own || name.contains('_'))
            }
        }
    };
    let all = function.parameters().skip(usize::from(is_bound));
    let fixed = all.enumerate().filter_map(|(index, (name, default, _))| {
        let value = default?.text();
        let leaves =
            |(count, call): &(usize, Node<'_>)| *count <= index && call.keyword(name).is_none();
        let mut calls = calls.iter().filter(|(_, call)| is_meant(call));
        let is_left = is_fixed(value) && calls.any(leaves);
        is_left.then(|| format!("{name}={}", value.replace('_', "")))
    });
    fixed.collect()
}

/// The public names of a module. Names that begin with an underscore are private, except
/// `__init__`, whose signature is how objects are made.
pub fn items(source: &Source, root: Node<'_>, calls: &Calls<'_>) -> Vec<ApiItem> {
    let module = crate::python::module_name(&source.path);
    let mut found = Vec::new();
    for statement in root.children() {
        definition(source, (&module, ""), statement, calls, &mut found);
    }
    found
}

fn definition(
    source: &Source,
    (module, owner): (&str, &str),
    node: Node<'_>,
    calls: &Calls<'_>,
    found: &mut Vec<ApiItem>,
) {
    // The definition below its decorators.
    let node = node.field("definition").unwrap_or(node);
    let Some(name) = node.field("name") else {
        return;
    };
    let own = name.text();
    if own.starts_with('_') && own != "__init__" {
        return;
    }
    let (kind, signature) = match node.kind() {
        "class_definition" => (ApiKind::Class, "superclasses"),
        "function_definition" if node.text().starts_with("async") => {
            (ApiKind::AsyncFunction, "parameters")
        }
        "function_definition" => (ApiKind::Function, "parameters"),
        _ => return,
    };
    found.push(ApiItem {
        module: module.to_owned(),
        name: match owner {
            "" => own.to_owned(),
            owner => format!("{owner}.{own}"),
        },
        kind,
        signature: normal(node.text_of(signature)),
        left_out: match kind {
            ApiKind::Class => Vec::new(),
            ApiKind::Function | ApiKind::AsyncFunction => left_out(node, owner, calls),
        },
        place: source.place(name.range()),
    });
    if kind == ApiKind::Class && owner.is_empty() {
        for member in node.field_children("body") {
            definition(source, (module, own), member, calls, found);
        }
    }
}
