//! Classes, functions and their signatures: what other code may import and call.

use super::syntax::Node;
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

/// The public names of a module. Names that begin with an underscore are private, except
/// `__init__`, whose signature is how objects are made.
pub fn items(source: &Source, root: Node<'_>) -> Vec<ApiItem> {
    let module = super::module_name(&source.path);
    let mut found = Vec::new();
    for statement in root.children() {
        definition(source, &module, "", statement, &mut found);
    }
    found
}

fn definition(
    source: &Source,
    module: &str,
    owner: &str,
    node: Node<'_>,
    found: &mut Vec<ApiItem>,
) {
    // Below its decorators.
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
        place: source.place(name.range()),
    });
    if kind == ApiKind::Class && owner.is_empty() {
        for member in node.field("body").into_iter().flat_map(Node::children) {
            definition(source, module, own, member, found);
        }
    }
}

/// Source text with one space where there was any white space, none inside brackets' edges, one
/// kind of quote and no trailing comma, so that a formatter's work is no change.
pub fn normal(text: &str) -> String {
    let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let joined = joined.replace('\'', "\"");
    let mut out = joined.replace("( ", "(").replace(" )", ")");
    out = out.replace(",)", ")");
    for (loose, tight) in [(" =", "="), ("= ", "=")] {
        out = out.replace(loose, tight);
    }
    out
}
