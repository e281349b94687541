//! The walk over every node of the program: what a node mentions becomes a fact, or unread.

use std::collections::BTreeSet;
use std::ops::Range;

use super::evaluation::eval::{ALL_KINDS, Reader};
use super::evaluation::value::Val;
use super::program::node::{Node, is_among};
use super::variables::environment::TOO_MUCH;
use crate::{Source, Unread};

/// Functions of libraries that call their arguments.
const CALLING: &str = "map filter starmap submit apply apply_async Thread Process Timer to_thread run_in_executor \
    call_soon call_later run_coroutine_threadsafe add_done_callback";

/// A place may take one of so many parts of all steps for calls in their contexts.
const MOST_PARTS: usize = 20;

/// Whether a module calls something, or changes what another one holds, when it is imported.
pub fn acts_on_import(root: Node<'_>) -> bool {
    let mut todo: Vec<Node<'_>> = root.children().collect();
    while let Some(node) = todo.pop() {
        match node.kind() {
            "function_definition" | "class_definition" | "decorated_definition" => {}
            "if_statement" if node.text_of("condition").contains("__name__") => {}
            "expression_statement" => {
                let first = node.child(0);
                let target = first.and_then(|first| first.field("left"));
                if target.is_some_and(|target| target.is_any("attribute subscript"))
                    || first.is_some_and(|first| first.is("call"))
                {
                    return true;
                }
            }
            _ => todo.extend(node.children()),
        }
    }
    false
}

impl<'t> Reader<'t> {
    /// Reads the program: first its call graph, then every node.
    pub fn run(&mut self) {
        let mut nodes: Vec<Node<'t>> = Vec::new();
        for file in &self.program.files {
            nodes.extend(file.syntax.nodes());
        }
        let calls = nodes.iter().copied();
        let calls =
            calls.filter(|node| matches!(node.kind(), "call" | "function_definition" | "lambda"));
        self.sweep_all(&calls.collect::<Vec<_>>());
        self.note_all_tested(&nodes);
        let mut unfinished: BTreeSet<usize> = BTreeSet::new();
        for node in nodes {
            self.note_names(node);
            if self.steps > self.limit {
                unfinished.insert(node.file());
            } else {
                self.exact_until = self.steps + self.limit / MOST_PARTS;
                self.account_for(node);
                self.drop_many_contexts();
            }
        }
        for file in unfinished {
            let root = self.program.files[file].syntax.root();
            let what = "this file is too much to follow to its end";
            self.all_unread(root.child(0).unwrap_or(root), what);
        }
        self.unknown_programs();
        self.note_syntax_errors();
    }

    /// Notes what is tested. This has steps of its own, so that it leaves the walk enough.
    fn note_all_tested(&mut self, nodes: &[Node<'t>]) {
        let (before, share) = (self.steps, self.limit / MOST_PARTS);
        for node in nodes {
            if self.steps < before + 2 * share {
                self.exact_until = self.steps + share;
                self.note_tested(*node);
                self.drop_many_contexts();
            }
        }
        self.steps = before;
    }

    /// Turns what a node mentions into facts, or reports it as unread.
    fn account_for(&mut self, node: Node<'t>) {
        match node.kind() {
            "call" => self.account_for_call(node),
            "subscript" => {
                let whole = node.field("value");
                let whole = whole.map_or(Val::Unknown, |object| self.value(object));
                // A call through it is reported at the call, and what is set there is not read.
                if whole.is_lost() && !is_called_through(node) && node.role() != "left" {
                    self.note_lost(node);
                }
                self.environment_item(node, &whole);
                self.input_item(node, &whole);
            }
            "comparison_operator" => {
                if let Some((key, container)) = node.membership() {
                    self.environment_test(node, key, container);
                    self.input_test(node, key, container);
                }
                if let Some((left, right)) = node.child(0).zip(node.child(1)) {
                    self.input_key_test(node, left, right);
                    self.note_compared_path(left, right);
                    self.note_compared_words(left, right);
                    self.note_compared_words(right, left);
                }
                self.input_key_set(node);
            }
            "assignment" => {
                self.input_stored(node);
                self.note_answer_write(node);
            }
            "class_definition" => self.settings_class(node),
            "decorator" => {
                if let Some(own) = node.child(0).filter(|own| !own.is("call")) {
                    let callee = self.value(own);
                    self.note_sdk_call(node, &callee);
                }
            }
            "keyword_argument" => self.envvar(node),
            "augmented_assignment" => {
                self.environment_joined(node);
                self.input_joined(node);
                self.note_answer_write(node);
            }
            "dictionary" | "binary_operator" => {
                self.input_extended(node);
                self.input_key_set(node);
            }
            "match_statement" => {
                self.environment_match(node);
                self.note_match(node);
            }
            "import_statement" | "import_from_statement" => self.foreign_import(node),
            "string" => {
                self.environment_string(node);
                self.command_string(node);
            }
            "identifier" => self.whole_environment(node),
            "attribute" => {
                self.note_status(node);
                self.whole_environment(node);
            }
            _ => {}
        }
    }

    fn account_for_call(&mut self, node: Node<'t>) {
        if node.field("function").is_none() {
            return;
        }
        let callee = self.callee(node);
        let calls = is_among(CALLING, node.callee_name());
        let mut arguments = node.argument_values().into_iter().filter(|_| calls);
        if callee.is_lost() || arguments.any(|argument| self.value(argument).is_lost()) {
            self.note_lost(node);
        }
        self.environment_call(node, &callee);
        self.process(node, &callee);
        self.note_serverless_start(node, &callee);
        self.input_call(node, &callee);
        self.input_key_set(node);
        self.request(node, &callee);
        self.note_sdk_call(node, &callee);
        self.note_file_call(node, &callee);
        self.note_served_routes(node);
        self.note_loaded_model(node, &callee);
        self.note_answer_write(node);
        self.note_answer_change(node, &callee);
        self.whole_environment(node);
    }

    /// Notes a value that was too much to follow, once for each function: it may be the
    /// environment, a job's input or a client.
    fn note_lost(&mut self, node: Node<'t>) {
        let root = self.program.files[node.file()].syntax.root();
        let within = node.function().unwrap_or(root);
        if self.program.reaches(node) && self.lost_in.insert(within) {
            self.all_unread(node, TOO_MUCH);
        }
    }

    /// Notes the data files that reached code names, and tables from variables to flags.
    fn note_names(&mut self, node: Node<'t>) {
        let is_statement = || node.parent_of("expression_statement").is_some();
        if node.is("string") && !is_statement() && self.program.reaches(node) {
            let name = node.unquoted().rsplit('/').next().unwrap_or_default();
            if name.contains('.') && !name.contains(' ') {
                self.facts.opens.insert(name.to_owned());
            }
        }
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if node.is("pair")
            && let Some((key, value)) = node.field("key").zip(node.field("value"))
            && value.unquoted().starts_with("--")
            && self.program.reaches(node)
            && let Val::Str(name, _) = self.value(key)
            && let Val::Str(flag, _) = self.value(value)
            && !name.is_empty()
            && name.chars().all(is_name)
        {
            let entry = (name.to_string(), flag.to_string(), self.place(key));
            self.facts.tables.push(entry);
        }
    }

    /// A syntax error is unread where its text mentions something that matters.
    fn note_syntax_errors(&mut self) {
        const WORDS: &str =
            "environ getenv launch_server [\"input\"] ['input'] Settings serverless";
        for file in self.program.files.iter().filter(|file| file.reached) {
            for error in &file.syntax.errors {
                let text = file.source.text.get(error.clone()).unwrap_or_default();
                if is_most(file.source, error) || WORDS.split(' ').any(|word| text.contains(word)) {
                    self.unread.push(no_python(file.source, error));
                }
            }
        }
    }
}

/// Whether a node is what a call calls, or the object of its method.
fn is_called_through(node: Node<'_>) -> bool {
    let mut outer = node;
    while matches!(outer.role(), "value" | "object")
        && let Some(parent) = outer.parent()
        && parent.is_any("subscript attribute")
    {
        outer = parent;
    }
    outer.role() == "function"
}

/// Whether a place takes up most of a file.
pub fn is_most(source: &Source, range: &Range<usize>) -> bool {
    range.len() > source.text.len() / 2 && range.len() > 200
}

/// A syntax error.
pub fn no_python(source: &Source, range: &Range<usize>) -> Unread {
    let what = "no Python, or not read as such; facts in it may be missing";
    source.unread(range.clone(), what, &ALL_KINDS)
}
