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
    let node = match node.kind() {
        "decorated_definition" => match node.field("definition") {
            Some(inner) => inner,
            None => return,
        },
        _ => node,
    };
    let text = |node: Node<'_>| source.text.get(node.range()).unwrap_or_default();
    let Some(name) = node.field("name").map(text) else {
        return;
    };
    if name.starts_with('_') && name != "__init__" {
        return;
    }
    let full = if owner.is_empty() {
        name.to_owned()
    } else {
        format!("{owner}.{name}")
    };
    let place = node.field("name").map_or_else(
        || Place::start_of(&source.path),
        |name| source.place(name.range()),
    );
    let (kind, signature) = match node.kind() {
        "class_definition" => {
            let bases = node.field("superclasses").map_or("", text);
            (ApiKind::Class, normal(bases))
        }
        "function_definition" => {
            let asynchronous = text(node).starts_with("async");
            let kind = if asynchronous {
                ApiKind::AsyncFunction
            } else {
                ApiKind::Function
            };
            (kind, normal(node.field("parameters").map_or("()", text)))
        }
        _ => return,
    };
    found.push(ApiItem {
        module: module.to_owned(),
        name: full,
        kind,
        signature,
        place,
    });
    if node.kind() == "class_definition"
        && owner.is_empty()
        && let Some(body) = node.field("body")
    {
        for member in body.children() {
            definition(source, module, name, member, found);
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
