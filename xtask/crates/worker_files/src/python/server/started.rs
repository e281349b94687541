//! How the server's process is started: through what, in which folder, with which output.

use super::command::{Seen, filled_in, outermost_maker};
use super::process::starts_process;
use crate::python::evaluation::eval::Reader;
use crate::python::evaluation::value::Val;
use crate::python::program::node::Node;
use crate::shell::started_through;

impl<'t> Reader<'t> {
    /// Notes the program that starts the server: the words before it in its list or text.
    pub fn note_launcher(&mut self, node: Node<'t>) {
        let list = node.parent_of("list tuple argument_list");
        let before = list.into_iter().flat_map(Node::children);
        let before = before.take_while(|one| *one != node);
        let word = |one: Node<'t>| {
            let value = self.value(one).display();
            value.unwrap_or_else(|| one.text().to_owned())
        };
        let mut words: Vec<String> = before.map(word).collect();
        words.extend(node.unquoted().split_whitespace().map(str::to_owned));
        self.started_by(node, &words);
    }

    pub fn started_by(&mut self, node: Node<'t>, words: &[String]) {
        let through = started_through(words);
        if !through.is_empty() {
            let place = self.place(node);
            self.facts.started_through.push((through, place));
        }
    }

    /// The folder in which the server is started, and the files that take its output.
    pub fn started_with(&mut self, call: Node<'t>) {
        let mut told = Vec::new();
        for name in ["cwd", "stdout", "stderr"] {
            let Some(given) = call.keyword(name) else {
                continue;
            };
            let set = match self.definitions_of(given)[..] {
                [only] => only,
                _ => given,
            };
            let is_file = set.callee_name() == "open";
            let path = match name {
                "cwd" => Some(given),
                _ => set.argument(0).or(set.callee_object()).filter(|_| is_file),
            };
            let path = path.and_then(|path| self.value(path).display());
            told.extend(path.map(|path| format!("{name} {path}")));
        }
        if !told.is_empty() {
            let place = self.place(call);
            self.facts.started_through.push((told.join(", "), place));
        }
    }

    /// Reads the command that names the server's module.
    pub fn server(&mut self, node: Node<'t>) {
        const HOLDERS: &str = "list tuple binary_operator concatenated_string \
            parenthesized_expression conditional_expression expression_list";
        self.note_launcher(node);
        let mut seen = Seen::default();
        let holder = |inner: &Node<'t>| inner.parent_of(HOLDERS);
        let holders = std::iter::successors(Some(node), holder);
        let root = filled_in(holders.last().unwrap_or(node));
        if let Some(list) = root.parent_of("argument_list") {
            // The words of a process are arguments of their own.
            let callee = list.parent().map_or(Val::Unknown, |call| self.callee(call));
            let words = list.children().filter(|n| n.kind() != "keyword_argument");
            let words: Vec<_> = words.collect();
            if starts_process(&callee) && root.kind() != "list" && words.len() > 1 {
                return self.note_sequence(&words, &mut seen);
            }
        }
        // `os.getenv("NAME", "sglang.launch_server")`, `str(Path("launcher.py"))`
        let maker = outermost_maker(root);
        if maker == root {
            self.collect_parts(root, &mut seen);
        } else if let Some(list) = maker.parent_of("list") {
            self.collect_parts(list, &mut seen);
            return self.follow_forward(list, &mut seen);
        } else {
            if maker.callee_name() == "join" {
                self.collect_parts(maker, &mut seen);
            }
            seen.insert(maker);
        }
        self.follow_forward(maker, &mut seen);
    }
}
