//! What the names of a program mean, and which of its code runs.

use std::collections::BTreeSet;

use super::Reach;
use super::syntax::{Node, Syntax};
use crate::Source;
use indexmap::{IndexMap, IndexSet};

/// Where a name gets a value.
#[derive(Debug, Clone)]
pub struct Binding<'t> {
    pub what: Bound<'t>,
    /// Which element of the value: `a, (b, c) = …` gives `c` the path 1, 1.
    pub path: Vec<i64>,
    /// What stands for the place: after it, and within its block, the name has this value.
    pub at: Option<Node<'t>>,
}

#[derive(Debug, Clone)]
pub enum Bound<'t> {
    Value(Node<'t>),
    /// An element of what a loop or a comprehension's clause goes through.
    Element(Node<'t>),
    /// A parameter of a function.
    Parameter(Node<'t>),
    Function(Node<'t>),
    Class(Node<'t>),
    /// A module, and a name in it.
    Import(String, Option<&'t str>),
    Unknown,
}

/// An attribute that is set, the value, and the way into it where it is taken apart.
type Attribute<'t> = (Node<'t>, Node<'t>, Vec<i64>);

/// A Python file.
pub struct File<'t> {
    pub source: &'t Source,
    pub syntax: &'t Syntax<'t>,
    /// Modules whose names it takes over: `from x import *`.
    pub stars: Vec<String>,
    /// Whether it is in the image, and something that runs imports it.
    pub reached: bool,
    /// For each node: whether it stands where the program never comes.
    dead: Vec<bool>,
}

pub struct Program<'t> {
    pub files: Vec<File<'t>>,
    bindings: IndexMap<(Node<'t>, &'t str), Vec<Binding<'t>>>,
    /// `x.name = value`, by name.
    pub attributes: IndexMap<&'t str, Vec<Attribute<'t>>>,
    /// What changes a list or dict, by its name: calls, assignments to items, `+=`.
    pub changes: IndexMap<&'t str, Vec<Node<'t>>>,
    pub subclasses: IndexMap<&'t str, Vec<Node<'t>>>,
    /// The functions that code which runs names.
    live: IndexSet<Node<'t>>,
    globals: IndexSet<(Node<'t>, &'t str)>,
    /// Files by the path that they are imported by, without `.py`.
    by_path: IndexMap<String, usize>,
    by_end: IndexMap<String, Vec<usize>>,
    launchers: std::collections::BTreeSet<String>,
}

pub fn is_comprehension(node: Node<'_>) -> bool {
    node.kind().ends_with("_comprehension") || node.kind() == "generator_expression"
}

/// Methods that change a list or a dict.
pub const CHANGING: [&str; 6] = ["append", "extend", "insert", "add", "update", "setdefault"];

impl<'t> Program<'t> {
    /// Whether a text in quotes begins a command that starts the server.
    pub fn starts_server(&self, text: &str) -> bool {
        let named = |name: &String| {
            let before = text.trim_end_matches(['"', '\'']).strip_suffix(&**name);
            before.is_some_and(|before| before.ends_with(['"', '\'', '/']))
        };
        super::command::is_server(text) || self.launchers.iter().any(named)
    }

    pub fn new(parsed: Vec<(&'t Source, &'t Syntax<'t>)>, reach: &Reach) -> Self {
        let mut program = Self {
            files: Vec::new(),
            bindings: IndexMap::new(),
            attributes: IndexMap::new(),
            changes: IndexMap::new(),
            subclasses: IndexMap::new(),
            live: IndexSet::new(),
            globals: IndexSet::new(),
            by_path: IndexMap::new(),
            by_end: IndexMap::new(),
            launchers: reach.launchers.clone(),
        };
        for (index, (source, syntax)) in parsed.into_iter().enumerate() {
            let path = source.path.to_string();
            let stem = path.strip_suffix(".py").unwrap_or(&path);
            let stem = stem.strip_suffix("/__init__").unwrap_or(stem).to_owned();
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
        for index in 0..program.files.len() {
            let syntax = program.files[index].syntax;
            let globals = syntax
                .nodes()
                .filter(|node| node.kind().ends_with("l_statement"));
            for node in globals
                .filter(|node| matches!(node.kind(), "global_statement" | "nonlocal_statement"))
            {
                let scope = scope_of(node);
                program
                    .globals
                    .extend(node.children().map(|name| (scope, name.text())));
            }
            for node in syntax.nodes() {
                program.bind_node(node);
            }
        }
        program.find_reached(reach);
        program.find_live(reach);
        program
    }

    fn bind_node(&mut self, node: Node<'t>) {
        match node.kind() {
            "assignment" | "named_expression" => {
                let left = node.field("left").or(node.field("name"));
                let right = node.field("right").or(node.field("value"));
                if let (Some(left), Some(right)) = (left, right) {
                    self.bind(left, &Bound::Value(right), Vec::new());
                }
            }
            "augmented_assignment" => {
                if let Some(left) = node.field("left") {
                    self.change(left, node);
                }
            }
            "for_statement" | "for_in_clause" => {
                if let Some(left) = node.field("left") {
                    self.bind(left, &Bound::Element(node), Vec::new());
                }
            }
            "as_pattern" => {
                if let (Some(value), Some(alias)) = (node.child(0), node.field("alias")) {
                    let target = alias.child(0).unwrap_or(alias);
                    self.bind(target, &Bound::Value(value), Vec::new());
                }
            }
            "function_definition" | "class_definition" => self.define(node),
            "lambda" => self.parameters(node),
            "import_statement" | "import_from_statement" => self.import(node),
            "call" => {
                if let Some(callee) = node.field("function").filter(|f| f.kind() == "attribute")
                    && CHANGING.contains(&callee.text_of("attribute"))
                    && let Some(object) = callee.field("object")
                {
                    self.change(object, node);
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, node: Node<'t>) {
        let what = if node.kind() == "class_definition" {
            for base in node
                .field("superclasses")
                .into_iter()
                .flat_map(Node::children)
            {
                let name = base.text().rsplit('.').next().unwrap_or_default();
                self.subclasses.entry(name).or_default().push(node);
            }
            Bound::Class(node)
        } else {
            self.parameters(node);
            Bound::Function(node)
        };
        let scope = scope_of(node);
        self.add(scope, node.text_of("name"), what, Vec::new());
    }

    fn parameters(&mut self, function: Node<'t>) {
        for (name, _, _) in parameters(function) {
            self.add(function, name, Bound::Parameter(function), Vec::new());
        }
    }

    fn add(&mut self, scope: Node<'t>, name: &'t str, what: Bound<'t>, path: Vec<i64>) {
        self.add_at(scope, name, what, path, None);
    }

    fn add_at(
        &mut self,
        scope: Node<'t>,
        name: &'t str,
        what: Bound<'t>,
        path: Vec<i64>,
        at: Option<Node<'t>>,
    ) {
        let scope = if self.globals.contains(&(scope, name)) {
            root_of(scope)
        } else {
            scope
        };
        self.bindings
            .entry((scope, name))
            .or_default()
            .push(Binding { what, path, at });
    }

    fn bind(&mut self, target: Node<'t>, what: &Bound<'t>, path: Vec<i64>) {
        match target.kind() {
            "identifier" => {
                let scope = scope_of(target);
                self.add_at(scope, target.text(), what.clone(), path, Some(target));
            }
            "attribute" => {
                if let Bound::Value(value) = what {
                    let name = target.text_of("attribute");
                    self.attributes
                        .entry(name)
                        .or_default()
                        .push((target, *value, path));
                }
            }
            "subscript" => {
                if let (Some(object), Some(statement)) = (target.field("value"), target.parent()) {
                    self.change(object, statement);
                }
            }
            "list_splat_pattern" => {
                if let Some(name) = target.child(0) {
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
                    && matches!(value.kind(), "tuple" | "list" | "expression_list")
                    && value.children().count() == target.children().count()
                    && value.children().all(|child| child.kind() != "list_splat")
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

    fn change(&mut self, object: Node<'t>, by: Node<'t>) {
        let name = match object.kind() {
            "identifier" => object.text(),
            "attribute" => object.text_of("attribute"),
            _ => return,
        };
        self.changes.entry(name).or_default().push(by);
    }

    fn import(&mut self, node: Node<'t>) {
        let scope = scope_of(node);
        let module = node
            .field("module_name")
            .map(|name| self.full_module(node.file(), name.text()));
        for name in node.fields("name") {
            let (dotted, alias) = match name.field("alias") {
                Some(alias) => (name.text_of("name"), Some(alias.text())),
                None => (name.text(), None),
            };
            if let Some(module) = &module {
                let what = Bound::Import(module.clone(), Some(dotted));
                self.add(scope, alias.unwrap_or(dotted), what, Vec::new());
            } else {
                let first = dotted.split('.').next().unwrap_or(dotted);
                let what = Bound::Import(
                    if alias.is_some() { dotted } else { first }.to_owned(),
                    None,
                );
                self.add(scope, alias.unwrap_or(first), what, Vec::new());
            }
        }
        if let Some(module) = module
            && node
                .children()
                .any(|child| child.kind() == "wildcard_import")
        {
            self.files[node.file()].stars.push(module);
        }
    }

    /// A module's name with the package that `.` stands for, as a path begins: `/src/.consts`.
    fn full_module(&self, file: usize, name: &str) -> String {
        let Some(rest) = name.strip_prefix('.') else {
            return name.to_owned();
        };
        let path = self.files[file].source.path.to_string();
        let mut folder: Vec<&str> = path.split('/').collect();
        folder.pop();
        let ups = rest.len() - rest.trim_start_matches('.').len();
        folder.truncate(folder.len().saturating_sub(ups));
        let rest = rest.trim_start_matches('.').replace('.', "/");
        folder.push(&rest);
        let joined = folder.join("/");
        format!("/{}", joined.trim_end_matches('/'))
    }

    /// The file of a module, seen from another.
    pub fn module(&self, from: usize, name: &str) -> Option<usize> {
        if let Some(path) = name.strip_prefix('/') {
            return self.by_path.get(path).copied();
        }
        let path = name.replace('.', "/");
        let own = self.files.get(from)?.source.path.to_string();
        let beside = own
            .rsplit_once('/')
            .map(|(folder, _)| format!("{folder}/{path}"));
        let near = beside
            .and_then(|path| self.by_path.get(&path))
            .or_else(|| self.by_path.get(&path));
        near.copied().or_else(|| {
            // The image may hold `src/` under another name, or put it on the path.
            let all = self.by_end.get(path.rsplit('/').next()?)?;
            let mut fits = all.iter().filter(|index| {
                let own = self.files[**index].source.path.to_string();
                let stem = own.strip_suffix(".py").unwrap_or(&own);
                let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
                stem.strip_suffix(path.as_str())
                    .is_some_and(|head| head.ends_with('/'))
                    || path
                        .strip_suffix(stem)
                        .is_some_and(|head| head.ends_with('/'))
            });
            fits.next().copied()
        })
    }

    /// What a name is bound to where a node stands, and the scope that binds it.
    pub fn lookup<'s>(
        &'s self,
        at: Node<'t>,
        name: &'s str,
    ) -> Option<(Node<'t>, &'s [Binding<'t>])> {
        let mut scope = scope_of(at);
        let mut first = true;
        loop {
            if (first || scope.kind() != "class_definition")
                && let Some(found) = self.bound_in(scope, name)
            {
                return Some((scope, found));
            }
            // A file that is no Python has another root than a module.
            scope.parent()?;
            first = first && is_comprehension(scope);
            scope = scope_of(scope);
        }
    }

    /// Those bindings that a name can have where it stands: a later one in the same block, or
    /// the loop around it, takes the place of those before.
    pub fn reaching(at: Node<'t>, scope: Node<'t>, all: &[Binding<'t>]) -> Vec<Binding<'t>> {
        let own = scope_of(at);
        if all.len() < 2 || own != scope && !is_comprehension(own) {
            return all.to_vec();
        }
        let block = |binding: &Binding<'t>| match binding.what {
            Bound::Element(owner) if owner.kind() == "for_statement" => Some(owner),
            _ => binding
                .at?
                .ancestors()
                .find(|a| matches!(a.kind(), "block" | "module" | "for_in_clause")),
        };
        let around: IndexSet<Node<'t>> = at.ancestors().collect();
        let start = at.range().start;
        let before = |binding: &Binding<'t>| {
            let statement = binding.at.and_then(|node| {
                node.ancestors()
                    .find(|a| matches!(a.kind(), "assignment" | "named_expression"))
            });
            let end = statement.or(binding.at).map_or(0, |node| node.range().end);
            let is_loop = matches!(binding.what, Bound::Element(_));
            if is_loop {
                binding.at.is_some_and(|node| node.range().start <= start)
            } else {
                end <= start
            }
        };
        let sure = all.iter().rposition(|binding| {
            before(binding) && block(binding).is_some_and(|block| around.contains(&block))
        });
        let Some(sure) = sure else {
            return all.to_vec();
        };
        let within = block(&all[sure]);
        // A loop around the place, but not around that binding, brings later ones back.
        let turns = at
            .ancestors()
            .take_while(|a| Some(*a) != within)
            .find(|a| matches!(a.kind(), "for_statement" | "while_statement"));
        let comes = |binding: &Binding<'t>| {
            before(binding)
                || turns.is_some_and(|turn| {
                    binding
                        .at
                        .is_some_and(|node| turn.range().contains(&node.range().start))
                })
        };
        all[sure..]
            .iter()
            .filter(|binding| comes(binding))
            .cloned()
            .collect()
    }

    pub fn bound_in<'s>(&'s self, scope: Node<'t>, name: &'s str) -> Option<&'s [Binding<'t>]> {
        let all: &'s IndexMap<(Node<'s>, &'s str), Vec<Binding<'t>>> = &self.bindings;
        all.get(&(scope, name)).map(Vec::as_slice)
    }

    /// Which files run: what the image starts, and what that imports.
    fn find_reached(&mut self, reach: &Reach) {
        let held = |index: usize| {
            let path = &self.files[index].source.path;
            reach.held.as_ref().is_none_or(|held| held.contains(path))
        };
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut todo: Vec<usize> = (0..self.files.len())
            .filter(|index| {
                let path = &self.files[*index].source.path;
                reach
                    .roots
                    .as_ref()
                    .is_none_or(|roots| roots.contains(path))
            })
            .collect();
        while let Some(index) = todo.pop() {
            if held(index) && reached.insert(index) {
                todo.extend(self.imports(index));
            }
        }
        for (index, file) in self.files.iter_mut().enumerate() {
            file.reached = reached.contains(&index);
        }
    }

    fn imports(&self, index: usize) -> Vec<usize> {
        let mut names: Vec<String> = Vec::new();
        for node in self.files[index].syntax.nodes() {
            match node.kind() {
                "import_statement" => names.extend(node.fields("name").map(|name| {
                    let dotted = name.field("name").unwrap_or(name);
                    dotted.text().to_owned()
                })),
                "import_from_statement" => {
                    let module = self.full_module(index, node.text_of("module_name"));
                    for name in node.fields("name") {
                        let name = name.field("name").unwrap_or(name).text();
                        let joint = if module.starts_with('/') { "/" } else { "." };
                        names.push(format!("{module}{joint}{name}"));
                    }
                    names.push(module);
                }
                "call"
                    if matches!(
                        node.text_of("function"),
                        "importlib.import_module"
                            | "import_module"
                            | "__import__"
                            | "runpy.run_module"
                            | "runpy.run_path"
                    ) =>
                {
                    let name = node.field("arguments").and_then(|all| all.child(0));
                    if let Some(text) =
                        name.and_then(|n| n.children().find(|c| c.kind() == "string_content"))
                    {
                        names.push(self.full_module(index, text.text().trim_end_matches(".py")));
                    }
                }
                _ => {}
            }
        }
        // A package's modules run its `__init__` first.
        let parents: Vec<String> = names
            .iter()
            .flat_map(|name| {
                name.match_indices(['.', '/'])
                    .map(|(at, _)| name[..at].to_owned())
            })
            .collect();
        names.extend(parents);
        names
            .iter()
            .filter_map(|name| self.module(index, name))
            .collect()
    }

    /// Which functions run: those whose names code that runs speaks of.
    fn find_live(&mut self, reach: &Reach) {
        let mut says: IndexMap<Option<Node<'t>>, Vec<&'t str>> = IndexMap::new();
        let mut functions: IndexMap<&'t str, Vec<Node<'t>>> = IndexMap::new();
        for index in 0..self.files.len() {
            if !self.files[index].reached {
                continue;
            }
            let is_root = reach
                .roots
                .as_ref()
                .is_none_or(|roots| roots.contains(&self.files[index].source.path));
            // By the nodes' numbers: what never runs, and which function each is part of.
            let mut dead: Vec<bool> = Vec::new();
            let mut owner: Vec<Option<Node<'t>>> = Vec::new();
            for node in self.files[index].syntax.nodes() {
                let Some(parent) = node.parent() else {
                    dead.push(false);
                    owner.push(None);
                    continue;
                };
                let over = dead[parent.number()] || never(node, parent, is_root);
                dead.push(over);
                let own = match parent.kind() {
                    "function_definition" if node.part() == "body" => Some(parent),
                    _ => owner[parent.number()],
                };
                owner.push(own);
                if over {
                    continue;
                }
                match node.kind() {
                    "function_definition" => {
                        let name = node.text_of("name");
                        functions.entry(name).or_default().push(node);
                        if registered(node) {
                            says.entry(own).or_default().push(name);
                        }
                        if let Some(class) = class_of(node).filter(|_| name.starts_with("__")) {
                            functions
                                .entry(class.text_of("name"))
                                .or_default()
                                .push(node);
                        }
                    }
                    "identifier" if node.part() != "name" || parent.kind() == "aliased_import" => {
                        says.entry(own).or_default().push(node.text());
                    }
                    "dotted_name" if parent.kind() == "aliased_import" => {
                        let name = node.text().rsplit('.').next().unwrap_or_default();
                        says.entry(own).or_default().push(name);
                    }
                    "string_content"
                        if parent
                            .ancestors()
                            .nth(1)
                            .is_some_and(|call| call.text_of("function") == "getattr") =>
                    {
                        says.entry(own).or_default().push(node.text());
                    }
                    _ => {}
                }
            }
            self.files[index].dead = dead;
        }
        let mut todo: Vec<&str> = says.swap_remove(&None).unwrap_or_default();
        let mut known: IndexSet<&str> = IndexSet::new();
        while let Some(name) = todo.pop() {
            if !known.insert(name) {
                continue;
            }
            for function in functions.get(name).into_iter().flatten() {
                if self.live.insert(*function) {
                    todo.extend(says.swap_remove(&Some(*function)).unwrap_or_default());
                }
            }
        }
    }

    /// Whether a function runs where it is in the image at all.
    pub fn runs_if_called(&self, function: Node<'t>) -> bool {
        self.files[function.file()].reached
    }

    /// Whether the program comes to a node.
    pub fn runs(&self, node: Node<'t>) -> bool {
        let file = &self.files[node.file()];
        let called = |inner: Node<'t>| {
            let mut below = inner;
            inner.ancestors().all(|node| {
                let inside = node.kind() == "function_definition" && below.part() == "body";
                below = node;
                !inside || self.live.contains(&node)
            })
        };
        let dead = file.dead.get(node.number()).copied().unwrap_or_default();
        file.reached && !dead && called(node)
    }
}

/// Whether a condition keeps the program from ever coming to this part of a statement.
fn never(node: Node<'_>, parent: Node<'_>, is_root: bool) -> bool {
    if parent.kind() != "if_statement" || node.part() != "consequence" {
        return false;
    }
    let condition = parent.text_of("condition");
    let main = condition.contains("__name__")
        && condition.contains("__main__")
        && condition.contains("==");
    matches!(
        condition,
        "False" | "0" | "None" | "TYPE_CHECKING" | "typing.TYPE_CHECKING"
    ) || main && !is_root
}

/// Whether a decorator hands the function to somebody else, who may call it.
fn registered(function: Node<'_>) -> bool {
    const HARMLESS: [&str; 12] = [
        "property",
        "staticmethod",
        "classmethod",
        "lru_cache",
        "cache",
        "cached_property",
        "wraps",
        "contextmanager",
        "asynccontextmanager",
        "dataclass",
        "override",
        "abstractmethod",
    ];
    let Some(parent) = function
        .parent()
        .filter(|p| p.kind() == "decorated_definition")
    else {
        return false;
    };
    parent
        .children()
        .filter(|child| child.kind() == "decorator")
        .any(|decorator| {
            let text = decorator
                .text()
                .trim_start_matches('@')
                .split('(')
                .next()
                .unwrap_or_default();
            let name = text.trim().rsplit('.').next().unwrap_or_default();
            !HARMLESS.contains(&name)
        })
}

/// The class that a function is a method of.
pub fn class_of(function: Node<'_>) -> Option<Node<'_>> {
    let scope = scope_of(function);
    (scope.kind() == "class_definition").then_some(scope)
}

pub fn root_of(node: Node<'_>) -> Node<'_> {
    std::iter::successors(Some(node), |node| node.parent())
        .last()
        .unwrap_or(node)
}

/// The scope that a node's names are looked up in.
pub fn scope_of(node: Node<'_>) -> Node<'_> {
    node.scope()
}

/// A function's parameters: name, default, and the stars in front of it.
pub fn parameters(function: Node<'_>) -> impl Iterator<Item = (&str, Option<Node<'_>>, usize)> {
    let all = function
        .field("parameters")
        .into_iter()
        .flat_map(Node::children);
    all.filter_map(|parameter| match parameter.kind() {
        "identifier" => Some((parameter.text(), None, 0)),
        "default_parameter" | "typed_default_parameter" => {
            Some((parameter.text_of("name"), parameter.field("value"), 0))
        }
        "typed_parameter" | "list_splat_pattern" | "dictionary_splat_pattern" => {
            let text = parameter
                .text()
                .split(':')
                .next()
                .unwrap_or_default()
                .trim();
            let name = text.trim_start_matches('*');
            Some((name, None, text.len() - name.len()))
        }
        _ => None,
    })
}
