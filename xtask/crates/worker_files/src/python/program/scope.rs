//! Scopes and the bindings of names in them.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::node::{Node, is_among};
use super::syntax::Syntax;
use crate::Source;
use crate::python::Reach;
use crate::python::{Map, Set};

/// A binding of a name.
#[derive(Debug, Clone)]
pub struct Binding<'t> {
    pub what: Bound<'t>,
    /// The path into the value: `a, (b, c) = …` gives `c` the path 1, 1.
    pub path: Vec<i64>,
    /// The target; the name has this value after it, within its block.
    at: Option<Node<'t>>,
}

#[derive(Debug, Clone)]
pub enum Bound<'t> {
    Value(Node<'t>),
    /// An element of what a loop or a comprehension's clause goes through.
    Element(Node<'t>),
    /// What a pattern of a `match` takes.
    Matched(Node<'t>),
    /// A parameter of a function.
    Parameter(Node<'t>),
    Function(Node<'t>),
    Class(Node<'t>),
    /// A module, and a name in it.
    Import(Rc<str>, Option<&'t str>),
    Unknown,
}

impl<'t> Binding<'t> {
    /// What it is bound to, if that is one expression.
    pub fn whole_value(&self) -> Option<Node<'t>> {
        match self.what {
            Bound::Value(value) if self.path.is_empty() => Some(value),
            _ => None,
        }
    }

    /// Where its target stands.
    pub fn start(&self) -> Option<usize> {
        self.at.map(|at| at.range().start)
    }

    /// The block in which the name certainly has this value after it.
    fn block(&self) -> Option<Node<'t>> {
        match self.what {
            Bound::Element(owner) if owner.is("for_statement") => Some(owner),
            _ => {
                let mut above = self.at?.ancestors();
                above.find(|a| matches!(a.kind(), "block" | "module" | "for_in_clause"))
            }
        }
    }

    /// Whether it takes effect before a place in the file.
    fn is_before(&self, start: usize) -> bool {
        match (&self.what, self.at) {
            (Bound::Element(_), at) => at.is_some_and(|node| node.range().start <= start),
            (_, None) => true,
            (_, Some(node)) => {
                let mut above = node.ancestors();
                let whole = above.find(|a| matches!(a.kind(), "assignment" | "named_expression"));
                whole.unwrap_or(node).range().end <= start
            }
        }
    }
}

/// A Python file.
pub struct File<'t> {
    pub source: &'t Source,
    pub syntax: &'t Syntax<'t>,
    /// Modules whose names it takes over: `from x import *`.
    pub stars: Vec<String>,
    /// Whether it is in the image, and something that runs imports it.
    pub reached: bool,
    /// For each node: whether it is dead code.
    pub dead: Vec<bool>,
}

/// A scope, and the bindings of a name in it.
type Found<'s, 't> = (Node<'t>, &'s [Binding<'t>]);

/// A map by scope and name.
type ByName<'t, T> = Map<(Node<'t>, &'t str), Vec<T>>;

#[derive(Default)]
pub struct Program<'t> {
    pub files: Vec<File<'t>>,
    bindings: ByName<'t, Binding<'t>>,
    /// `self.name = value`, by class and name: the value, and the path into it.
    pub attributes: ByName<'t, (Node<'t>, Vec<i64>)>,
    /// Statements that change a list or dict, by scope or class and name: calls, assignments to
    /// items, `+=`.
    pub changes: ByName<'t, Node<'t>>,
    /// Statements that change attributes of objects other than `self`, by the attribute's name.
    pub loose: Map<&'t str, Vec<Node<'t>>>,
    /// Every use of a name, by file.
    pub uses: Map<(usize, &'t str), Vec<Node<'t>>>,
    /// The functions that reached code names.
    pub live: Set<Node<'t>>,
    globals: Set<(Node<'t>, &'t str)>,
    /// Files by the path that they are imported by, without `.py`, and by its last part.
    by_path: Map<String, usize>,
    by_end: Map<String, Vec<usize>>,
    launchers: BTreeSet<String>,
    pub takes_output: bool,
    /// argparse's options, by the name of the attribute that holds their value.
    pub options: Map<String, Vec<Node<'t>>>,
}

/// Methods that change a list or a dict.
const CHANGING: &str = "append extend insert add update setdefault remove discard pop clear";

impl<'t> Program<'t> {
    pub fn new(parsed: Vec<(&'t Source, &'t Syntax<'t>)>, reach: &Reach) -> Self {
        let mut program = Self {
            launchers: reach.launchers.clone(),
            takes_output: reach.takes_output,
            ..Self::default()
        };
        for (index, (source, syntax)) in parsed.into_iter().enumerate() {
            let stem = stem(source);
            let end = stem.rsplit('/').next().unwrap_or_default().to_owned();
            program.by_end.entry(end).or_default().push(index);
            program.by_path.insert(stem, index);
            program.files.push(File {
                source,
                syntax,
                stars: Vec::new(),
                reached: true,
                dead: Vec::new(),
            });
        }
        let (mut changing, mut set) = (Vec::new(), Vec::new());
        for index in 0..program.files.len() {
            let syntax = program.files[index].syntax;
            for node in syntax.nodes() {
                if matches!(node.kind(), "global_statement" | "nonlocal_statement") {
                    let names = node.children().map(|name| (node.scope(), name.text()));
                    program.globals.extend(names);
                }
            }
            for node in syntax.nodes() {
                program.bind_node(node, &mut changing);
                if node.is("assignment") {
                    set.extend(node.field("left").filter(|left| left.is("attribute")));
                }
            }
        }
        program.note_changes(changing);
        program.find_reached(reach);
        program.note_sets(set);
        program
    }

    /// Whether a text in quotes begins a command that starts the server.
    pub fn starts_server(&self, text: &str) -> bool {
        let named = |name: &String| {
            let before = text.trim_end_matches(['"', '\'']).strip_suffix(&**name);
            before.is_some_and(|before| before.ends_with(['"', '\'', '/']))
        };
        crate::python::server::process::is_server(text) || self.launchers.iter().any(named)
    }

    fn bind_node(&mut self, node: Node<'t>, changing: &mut Vec<(Node<'t>, Node<'t>)>) {
        match node.kind() {
            "identifier" => {
                let key = (node.file(), node.text());
                self.uses.entry(key).or_default().push(node);
            }
            "assignment" | "named_expression" => {
                let left = node.field("left").or(node.field("name"));
                let right = node.field("right").or(node.field("value"));
                if let (Some(left), Some(right)) = (left, right) {
                    self.bind(left, &Bound::Value(right), Vec::new());
                    let items = left.fields_or_self();
                    let items = items.filter(|one| one.is("subscript"));
                    let inner = |one: Node<'t>| one.field("value").filter(|_| one.is("subscript"));
                    let held = |one| std::iter::successors(Some(one), |of| inner(*of)).last();
                    changing.extend(items.filter_map(|one| Some((held(one)?, node))));
                }
            }
            "augmented_assignment" => {
                changing.extend(node.field("left").map(|left| (left, node)));
            }
            "for_statement" | "for_in_clause" => {
                if let Some(left) = node.field("left") {
                    self.bind(left, &Bound::Element(node), Vec::new());
                }
            }
            // `case {"key": value, **rest}`
            "splat_pattern" => {
                let of = node.ancestor("match_statement");
                let of = of.and_then(|of| of.field("subject"));
                if let Some((of, rest)) = of.zip(node.child(0)) {
                    self.bind(rest, &Bound::Value(of), Vec::new());
                }
            }
            // `case {"key": value}`
            "dotted_name" if node.child(1).is_none() && node.role() != "key" => {
                if let (Some(pattern), Some(name)) = (node.parent_of("case_pattern"), node.child(0))
                {
                    self.add_binding(
                        name.scope(),
                        name.text(),
                        Binding {
                            what: Bound::Matched(pattern),
                            path: Vec::new(),
                            at: Some(name),
                        },
                    );
                }
            }
            "as_pattern" => {
                if let (Some(value), Some(alias)) = (node.child(0), node.field("alias")) {
                    let target = alias.child(0).unwrap_or(alias);
                    self.bind(target, &Bound::Value(value), Vec::new());
                }
            }
            "function_definition" | "lambda" => {
                for (name, _, _) in node.parameters() {
                    self.add(node, name, Bound::Parameter(node));
                }
                if let Some(name) = node.field("name") {
                    self.add(node.scope(), name.text(), Bound::Function(node));
                }
            }
            "class_definition" => {
                self.add(node.scope(), node.text_of("name"), Bound::Class(node));
            }
            "import_statement" | "import_from_statement" => self.import(node),
            "call" if is_among(CHANGING, node.callee_name()) => {
                changing.extend(node.callee_object().map(|object| (object, node)));
            }
            // `del NAMES["A"]`
            "subscript" if node.parent_of("delete_statement").is_some() => {
                changing.extend(node.field("value").map(|object| (object, node)));
            }
            "call" if node.callee_name() == "add_argument" => {
                let long = node.argument_values().into_iter().map(Node::unquoted);
                let name = long.max_by_key(|name| name.starts_with("--"));
                let dest = node.keyword("dest").map(Node::unquoted).or(name);
                let dest = dest.unwrap_or_default().trim_start_matches('-');
                let of = self.options.entry(dest.replace('-', "_")).or_default();
                of.push(node);
            }
            _ => {}
        }
    }

    pub fn add(&mut self, scope: Node<'t>, name: &'t str, what: Bound<'t>) {
        let (path, at) = (Vec::new(), None);
        self.add_binding(scope, name, Binding { what, path, at });
    }

    fn add_binding(&mut self, scope: Node<'t>, name: &'t str, binding: Binding<'t>) {
        let is_global = self.globals.contains(&(scope, name));
        let module = scope.ancestors().last().filter(|_| is_global);
        let key = (module.unwrap_or(scope), name);
        self.bindings.entry(key).or_default().push(binding);
    }

    fn bind(&mut self, target: Node<'t>, what: &Bound<'t>, mut path: Vec<i64>) {
        match target.kind() {
            "identifier" => {
                let (what, at) = (what.clone(), Some(target));
                self.add_binding(target.scope(), target.text(), Binding { what, path, at });
            }
            "attribute" => {
                if let Bound::Value(value) = what
                    && let Some(class) = target.function().and_then(Node::class)
                {
                    let key = (class, target.text_of("attribute"));
                    self.attributes.entry(key).or_default().push((*value, path));
                }
            }
            "list_splat_pattern" => {
                if let Some(name) = target.child(0) {
                    path.clear();
                    self.bind(name, &Bound::Unknown, path);
                }
            }
            "pattern_list"
            | "tuple_pattern"
            | "list_pattern"
            | "tuple"
            | "list"
            | "parenthesized_expression" => {
                // `a, b = x, y` is two assignments.
                if let Bound::Value(value) = what
                    && path.is_empty()
                    && value.is_any("tuple list expression_list")
                    && value.children().count() == target.children().count()
                    && value.children_of("list_splat").next().is_none()
                {
                    for (child, value) in target.children().zip(value.children()) {
                        self.bind(child, &Bound::Value(value), Vec::new());
                    }
                    return;
                }
                for (at, child) in (0..).zip(target.children()) {
                    let mut path = path.clone();
                    path.push(at);
                    self.bind(child, what, path);
                }
            }
            _ => {}
        }
    }

    /// The scope and name of a variable; of an imported one, those in its module.
    pub fn variable(&self, at: Node<'t>) -> Option<(Node<'t>, &'t str)> {
        self.named(at, at.text())
    }

    /// The same of a name that is used at a node.
    pub fn named(&self, at: Node<'t>, name: &'t str) -> Option<(Node<'t>, &'t str)> {
        let (scope, bindings) = self.lookup(at, name)?;
        let imported = bindings.iter().find_map(|binding| match &binding.what {
            Bound::Import(module, Some(item)) => {
                let file = self.module(at.file(), module)?;
                Some((self.files[file].syntax.root(), *item))
            }
            _ => None,
        });
        Some(imported.unwrap_or((scope, name)))
    }

    fn import(&mut self, node: Node<'t>) {
        let scope = node.scope();
        let module = node.field("module_name");
        let module = module.map(|name| self.full_module(node.file(), name.text()));
        for (dotted, alias) in node.imports() {
            let first = dotted.split('.').next().unwrap_or(dotted);
            let (own, what) = match &module {
                Some(module) => (dotted, Bound::Import(module.as_str().into(), Some(dotted))),
                None if alias.is_some() => (dotted, Bound::Import(dotted.into(), None)),
                None => (first, Bound::Import(first.into(), None)),
            };
            self.add(scope, alias.unwrap_or(own), what);
        }
        if node.children_of("wildcard_import").next().is_some() {
            self.files[node.file()].stars.extend(module);
        }
    }

    /// The absolute name of a module; a relative one becomes a path: `/src/consts`.
    pub fn full_module(&self, file: usize, name: &str) -> String {
        let Some(rest) = name.strip_prefix('.') else {
            return name.to_owned();
        };
        let path = self.files[file].source.path.to_string();
        let mut folder: Vec<&str> = path.split('/').collect();
        let ups = rest.len() - rest.trim_start_matches('.').len();
        folder.truncate(folder.len().saturating_sub(ups + 1));
        let rest = rest.trim_start_matches('.').replace('.', "/");
        folder.push(&rest);
        format!("/{}", folder.join("/").trim_end_matches('/'))
    }

    /// The file of a module, seen from another.
    pub fn module(&self, from: usize, name: &str) -> Option<usize> {
        if let Some(path) = name.strip_prefix('/') {
            return self.by_path.get(path).copied();
        }
        let path = name.replace('.', "/");
        let importer = self.files.get(from)?.source.path.to_string();
        let folder = importer.rsplit_once('/').map(|(folder, _)| folder);
        let beside = folder.map(|folder| format!("{folder}/{path}"));
        let near = beside.and_then(|path| self.by_path.get(&path));
        if let Some(index) = near.or_else(|| self.by_path.get(&path)) {
            return Some(*index);
        }
        // The image may hold `src/` under another name, or put it on the path.
        let all = self.by_end.get(path.rsplit('/').next()?)?;
        let path = format!("/{path}");
        let fits = |index: &&usize| {
            let stem = format!("/{}", stem(self.files[**index].source));
            stem.ends_with(&path) || path.ends_with(&stem)
        };
        all.iter().find(fits).copied()
    }

    /// The bindings of a name seen from a node, and their scope.
    pub fn lookup<'s>(&'s self, at: Node<'t>, name: &'s str) -> Option<Found<'s, 't>> {
        let mut scope = at.scope();
        let mut first = true;
        loop {
            if (first || !scope.is("class_definition"))
                && let Some(found) = self.bound_in(scope, name)
            {
                return Some((scope, found));
            }
            // The root of a file with syntax errors is no module.
            scope.parent()?;
            first = first && scope.is_comprehension();
            scope = scope.scope();
        }
    }

    pub fn bound_in<'s>(&'s self, scope: Node<'t>, name: &'s str) -> Option<&'s [Binding<'t>]> {
        let all: &'s Map<(Node<'s>, &'s str), Vec<Binding<'t>>> = &self.bindings;
        all.get(&(scope, name)).map(Vec::as_slice)
    }

    /// The uses of a variable.
    pub fn uses_of(&self, scope: Node<'t>, name: &'t str) -> Vec<Node<'t>> {
        let all = self.uses.get(&(scope.file(), name)).into_iter().flatten();
        let own = |one: &&Node<'t>| {
            let found = || self.lookup(**one, name);
            let is_inner = scope.contains(**one);
            one.scope() == scope || is_inner && found().is_some_and(|(own, _)| own == scope)
        };
        all.filter(own).copied().collect()
    }

    /// Whether a use of a variable may see the value that is given to it at a target.
    pub fn sees(&self, one: Node<'t>, target: Node<'t>) -> bool {
        let scope = target.scope();
        let all = self.bound_in(scope, target.text()).unwrap_or_default();
        let is_it = |binding: &Binding<'t>| binding.at == Some(target);
        !all.iter().any(is_it) || Self::reaching(one, scope, all).iter().any(is_it)
    }

    /// The bindings that reach a node: one that stands before it, in a block around it, replaces
    /// those before.
    pub fn reaching(at: Node<'t>, scope: Node<'t>, all: &[Binding<'t>]) -> Vec<Binding<'t>> {
        let inner_scope = at.scope();
        if all.len() < 2 || inner_scope != scope && !inner_scope.is_comprehension() {
            return all.to_vec();
        }
        let start = at.range().start;
        let replaces = |binding: &Binding<'t>| {
            binding.is_before(start) && binding.block().is_some_and(|block| block.contains(at))
        };
        let Some(last) = all.iter().rposition(replaces) else {
            return all.to_vec();
        };
        // A loop around the node, but not around that binding, brings later ones back.
        let block = all[last].block();
        let mut inner = at.ancestors().take_while(|a| Some(*a) != block);
        let repeats = inner.find(|a| matches!(a.kind(), "for_statement" | "while_statement"));
        let is_repeated = |binding: &Binding<'t>| {
            let at = repeats.zip(binding.at);
            at.is_some_and(|(repeats, at)| repeats.contains(at))
        };
        let reaching = all[last..].iter();
        let reaching = reaching.filter(|one| one.is_before(start) || is_repeated(one));
        reaching.cloned().collect()
    }
}

/// A file's path as imports name it.
fn stem(source: &Source) -> String {
    let path = source.path.to_string();
    let stem = path.strip_suffix(".py").unwrap_or(&path);
    stem.strip_suffix("/__init__").unwrap_or(stem).to_owned()
}
