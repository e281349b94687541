//! What modules import from each other, and whether it is there.

use std::collections::{BTreeMap, BTreeSet};

use super::node::Node;
use super::syntax::{self};
use crate::{Place, Source};

/// `from engine import Engine` where `engine` has no `Engine`, or where there is no `engine`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unresolved {
    pub module: String,
    /// The name that is not there; `None` where the whole module is gone.
    pub name: Option<String>,
    pub place: Place,
}

/// Imports of names that their module does not define, among modules at the root, and of modules
/// that are `gone`. A file that can't be parsed defines whatever it is asked for.
pub fn unresolved(sources: &[Source], gone: &BTreeSet<String>) -> Vec<Unresolved> {
    let mut wanted: Vec<Unresolved> = Vec::new();
    let mut lost: Vec<Unresolved> = Vec::new();
    let mut defined: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for source in sources {
        let module = crate::python::module_name(&source.path);
        let Ok(syntax) = syntax::parse(&source.text) else {
            defined.insert(module, None);
            continue;
        };
        let mut names = Some(BTreeSet::new());
        for node in syntax.nodes() {
            let unresolved = |module: &str, name: Option<&str>| Unresolved {
                module: module.to_owned(),
                name: name.map(str::to_owned),
                place: source.place(node.range()),
            };
            if node.is("import_from_statement") {
                let module = node.text_of("module_name");
                let names = node.imports();
                wanted.extend(names.map(|(name, _)| unresolved(module, Some(name))));
            }
            let modules = modules(node).filter(|module| gone.contains(*module));
            lost.extend(modules.map(|module| unresolved(module, None)));
            if node.is("wildcard_import") {
                names = None;
            }
            if let Some(names) = &mut names {
                names.extend(bound(node).into_iter().map(str::to_owned));
            }
        }
        defined.insert(module, names);
    }
    wanted.retain(|import| match (defined.get(&import.module), &import.name) {
        (Some(Some(names)), Some(name)) => !names.contains(name),
        _ => false,
    });
    lost.append(&mut wanted);
    lost.sort_by(|a, b| a.place.cmp(&b.place));
    lost
}

/// The modules that an import names, each by the first part of its name.
fn modules(node: Node<'_>) -> impl Iterator<Item = &str> {
    let from = node.field("module_name").map(Node::text);
    let plain = node.imports().map(|(name, _)| name);
    let plain = plain.filter(move |_| node.is("import_statement"));
    from.into_iter().chain(plain).map(first)
}

fn first(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// Names that a node binds in any scope: a name too many is better than a false alarm.
fn bound(node: Node<'_>) -> Vec<&str> {
    match node.kind() {
        "function_definition" | "class_definition" => vec![node.text_of("name")],
        "assignment" => node.text_of("left").split([',', '(', ')', ' ']).collect(),
        "import_statement" | "import_from_statement" => {
            let bound_name = |(name, alias): (_, Option<_>)| alias.unwrap_or(first(name));
            node.imports().map(bound_name).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_gone_is_told_with_its_place() {
        let source = |path: &str, text: &str| Source::new(path.into(), text.as_bytes());
        let found = unresolved(
            &[
                source(
                    "lb.py",
                    "import os\nfrom engine import Engine, LIMIT as most, gone\nfrom runpod import x\n",
                ),
                source(
                    "engine.py",
                    "import os as system\nclass Engine: ...\nif system:\n    LIMIT = 1\n",
                ),
                source("star.py", "from os import *\n"),
                source("other.py", "from star import anything\n"),
                source(
                    "own.py",
                    "import os, sampling.top as top\nfrom sampling import choose\n",
                ),
            ],
            &BTreeSet::from(["sampling".to_owned()]),
        );
        let told: Vec<String> = found
            .iter()
            .map(|one| format!("{} {}.{:?}", one.place, one.module, one.name))
            .collect();
        assert_eq!(
            told,
            [
                "lb.py:2:1 engine.Some(\"gone\")",
                "own.py:1:1 sampling.None",
                "own.py:2:1 sampling.None"
            ]
        );
    }
}
