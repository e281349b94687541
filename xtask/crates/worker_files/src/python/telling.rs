//! Which functions and classes speak of the environment, a job or a command, be it through others.
//! A call through something that can't be followed is silent only where none of them is in it.

use super::eval::Reader;
use super::relevant::matters;
use super::syntax::Node;
use super::{Map, Set};

impl<'t> Reader<'t> {
    /// Whether a function or class may read the environment, take a job or build a command. It may
    /// where it, or anything of a name that it mentions, has a word that matters.
    pub fn tells(&self, node: Node<'t>) -> bool {
        self.telling
            .get_or_init(|| self.find_telling())
            .contains(&node)
    }

    fn find_telling(&self) -> Set<Node<'t>> {
        let mut says: Map<&'t str, Vec<Node<'t>>> = Map::default();
        for node in self
            .program
            .files
            .iter()
            .flat_map(|file| file.syntax.nodes())
        {
            if matches!(node.kind(), "identifier" | "string") {
                let around = node.ancestors().filter(|above| names(*above).is_some());
                says.entry(node.text()).or_default().extend(around);
            }
        }
        let words = says.keys().filter(|word| matters(word));
        let mut todo: Vec<&str> = words.copied().collect();
        let mut telling = Set::default();
        while let Some(word) = todo.pop() {
            for node in says.swap_remove(word).unwrap_or_default() {
                if telling.insert(node) {
                    todo.extend(names(node));
                }
            }
        }
        telling
    }
}

/// The name that what a node defines is called by; empty where it has none.
fn names(node: Node<'_>) -> Option<&str> {
    match node.kind() {
        "function_definition" | "class_definition" => Some(node.text_of("name")),
        "assignment" => node.field("left").map(Node::last_name),
        "aliased_import" => Some(node.text_of("alias")),
        "lambda" => Some(""),
        _ => None,
    }
}
