//! What may lead to a fact: the files that have to be evaluated, which hold a word that matters or
//! import or are imported by others, and the functions and classes among which a value that can't
//! be followed is unread.

use super::node::Node;
use crate::Source;
use crate::python::evaluation::eval::Reader;
use crate::python::routes::offers::LOADERS;
use crate::python::variables::settings::FOREIGN;
use crate::python::{Map, Reach, Set, module_name};
use indexmap::IndexSet;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// Without one of these a file neither reads the environment, nor takes a job, nor starts or asks a
/// server.
const WORDS: &str = "ENVIRONMENT_INTERFACE environ getenv expandvars dotenv pydantic Settings decouple envvar oc.env OmegaConf \
    starlette printenv putenv unsetenv posix sglang subprocess pexpect pty popen Popen \
    os.system os.exec spawn exec( eval( runpod serverless job input http /v1 request getattr \
    __import__ import_module runpy fastapi flask aiohttp --";

/// Whether a word that matters is in a text.
fn matters(text: &str) -> bool {
    static FINDERS: LazyLock<Vec<Finder<'_>>> = LazyLock::new(|| {
        let lists = [WORDS, FOREIGN, LOADERS].into_iter();
        let words = lists.flat_map(|list| list.split(' '));
        words.map(Finder::new).collect()
    });
    let mut finders = FINDERS.iter();
    finders.any(|finder| finder.find(text.as_bytes()).is_some())
}

/// The files to evaluate, and those that stand alone: they hold no word that matters, no file
/// imports them, and they import no other. Files that stand alone and that the image does not start
/// are left out.
pub fn split<'s>(sources: &[&'s Source], reach: &Reach) -> (Vec<&'s Source>, Vec<&'s Source>) {
    let is_quiet = |source: &&Source| !matters(&source.text);
    let mut is_standalone: Vec<bool> = sources.iter().map(is_quiet).collect();
    if is_standalone.contains(&true) {
        let names = sources.iter().map(|source| module_name(&source.path));
        let names: IndexSet<String> = names.collect();
        let mut imported: IndexSet<&str> = IndexSet::new();
        for (source, is_standalone) in sources.iter().zip(&mut is_standalone) {
            let words = import_words(&source.text);
            *is_standalone &= !words.iter().any(|word| names.contains(*word));
            imported.extend(words);
        }
        for (source, is_standalone) in sources.iter().zip(&mut is_standalone) {
            *is_standalone &= !imported.contains(&*module_name(&source.path));
        }
    }
    let (mut evaluated, mut standalone) = (Vec::new(), Vec::new());
    for (source, is_standalone) in sources.iter().zip(is_standalone) {
        let roots = reach.roots.as_ref();
        if !is_standalone {
            evaluated.push(*source);
        } else if roots.is_none_or(|roots| roots.contains(&source.path)) {
            standalone.push(*source);
        }
    }
    (evaluated, standalone)
}

/// All words of a text's import statements.
fn import_words(text: &str) -> IndexSet<&str> {
    let mut words = IndexSet::new();
    for at in memchr::memmem::find_iter(text.as_bytes(), b"import") {
        let start = memchr::memrchr(b'\n', &text.as_bytes()[..at]).map_or(0, |end| end + 1);
        let rest = &text.as_bytes()[at..];
        let line = memchr::memchr(b'\n', rest).map_or(text.len(), |end| at + end);
        // A list in parentheses goes on for some lines.
        let end = match memchr::memchr(b'(', &text.as_bytes()[at..line]) {
            Some(_) => memchr::memchr(b')', rest).map_or(text.len(), |end| at + end),
            None => line,
        };
        let all = text[start..end].split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.extend(all.filter(|word| !word.is_empty()));
    }
    words
}

impl<'t> Reader<'t> {
    /// Whether a function or class may lead to a fact: it, or a definition whose name it mentions,
    /// holds a word that matters.
    pub fn may_lead_to_fact(&self, node: Node<'t>) -> bool {
        let all = self.leads_to_fact.get_or_init(|| self.find_leads_to_fact());
        all.contains(&node)
    }

    fn find_leads_to_fact(&self) -> Set<Node<'t>> {
        let mut mentions: Map<&'t str, Vec<Node<'t>>> = Map::default();
        let files = self.program.files.iter();
        for node in files.flat_map(|file| file.syntax.nodes()) {
            if matches!(node.kind(), "identifier" | "string") {
                let is_definition = |above: &Node<'t>| defined_name(*above).is_some();
                let around = node.ancestors().filter(is_definition);
                mentions.entry(node.text()).or_default().extend(around);
            }
        }
        let words = mentions.keys().filter(|word| matters(word));
        let mut todo: Vec<&str> = words.copied().collect();
        let mut found = Set::default();
        while let Some(word) = todo.pop() {
            for node in mentions.swap_remove(word).unwrap_or_default() {
                if found.insert(node) {
                    todo.extend(defined_name(node));
                }
            }
        }
        found
    }
}

/// The name that a node defines; empty for a lambda.
fn defined_name(node: Node<'_>) -> Option<&str> {
    match node.kind() {
        "function_definition" | "class_definition" => Some(node.text_of("name")),
        "assignment" => node.field("left").map(Node::last_name),
        "aliased_import" => Some(node.text_of("alias")),
        "lambda" => Some(""),
        _ => None,
    }
}
