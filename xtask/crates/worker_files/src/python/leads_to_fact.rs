//! Functions and classes that may lead to a fact, directly or through others. A call through a
//! value that can't be followed is unread only where the value may hold one of them.

use super::eval::Reader;
use super::relevant_files::matters;
use super::syntax::Node;
use super::{Map, Set};

impl<'t> Reader<'t> {
    /// Whether a function or class may read the environment, take a job or build a command: it, or
    /// anything of a name that it mentions, holds a word that matters.
    pub fn may_lead_to_fact(&self, node: Node<'t>) -> bool {
        self.leads_to_fact
            .get_or_init(|| self.find_leads_to_fact())
            .contains(&node)
    }

    fn find_leads_to_fact(&self) -> Set<Node<'t>> {
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

/// The name that a node defines; empty for a lambda.
fn names(node: Node<'_>) -> Option<&str> {
    match node.kind() {
        "function_definition" | "class_definition" => Some(node.text_of("name")),
        "assignment" => node.field("left").map(Node::last_name),
        "aliased_import" => Some(node.text_of("alias")),
        "lambda" => Some(""),
        _ => None,
    }
}
