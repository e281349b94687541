//! Reachability: which files and functions run.

use std::collections::BTreeSet;

use super::node::{Node, is_among, last_part};
use super::scope::{Binding, Bound, Program};
use crate::python::Reach;
use crate::python::{Map, Set};

/// The names that code mentions, by its function, and the functions by their names.
#[derive(Default)]
struct Mentions<'t> {
    by: Map<Option<Node<'t>>, Vec<&'t str>>,
    functions: Map<&'t str, Vec<Node<'t>>>,
    /// The names that imports give other names, by those.
    aliases: Map<&'t str, Vec<&'t str>>,
    /// Whether a class may find the classes below it.
    collects: bool,
}

impl<'t> Program<'t> {
    /// Marks the files that the image starts and what their running code imports, and the functions
    /// whose names such code mentions.
    pub fn find_reached(&mut self, reach: &Reach) {
        let is = |program: &Self, set: &Option<BTreeSet<_>>, index: usize| {
            let path = &program.files[index].source.path;
            set.as_ref().is_none_or(|set| set.contains(path))
        };
        let holds = |word| self.files.iter().any(|it| it.source.text.contains(word));
        let mut names = Mentions {
            collects: holds("subclass") || holds("metaclass"),
            ..Mentions::default()
        };
        let mut todo: Vec<usize> = (0..self.files.len()).collect();
        self.files.iter_mut().for_each(|file| file.reached = false);
        todo.retain(|index| is(self, &reach.roots, *index));
        while !todo.is_empty() {
            // What a file imports at its top does not depend on which functions run.
            while let Some(index) = todo.pop() {
                if is(self, &reach.held, index) && !self.files[index].reached {
                    let is_root = is(self, &reach.roots, index);
                    self.files[index].dead = self.collect_mentions(index, is_root, &mut names);
                    self.files[index].reached = true;
                    todo.extend(self.imports(index));
                }
            }
            self.find_live(reach, &names);
            let all = (0..self.files.len()).filter(|index| self.files[*index].reached);
            let imported = all.flat_map(|index| self.imports(index));
            let is_new = |index: &usize| !self.files[*index].reached;
            let new = imported.filter(|index| is(self, &reach.held, *index) && is_new(index));
            todo.extend(new);
        }
    }

    /// The files that a file imports, and their packages.
    fn imports(&self, index: usize) -> Vec<usize> {
        const IMPORTING: &str = "import_module __import__ run_module run_path";
        let mut names: Vec<String> = Vec::new();
        let calls = |node: Node<'_>| node.is("call") && is_among(IMPORTING, node.callee_name());
        let imports = |node: &Node<'_>| is_import(*node) || calls(*node);
        let nodes = self.files[index].syntax.nodes().filter(imports);
        for node in nodes.filter(|node| self.reaches(*node)) {
            match node.kind() {
                "import_statement" => names.extend(node.imports().map(|(name, _)| name.to_owned())),
                "import_from_statement" => {
                    let module = self.full_module(index, node.text_of("module_name"));
                    let joint = if module.starts_with('/') { "/" } else { "." };
                    let inner = node.imports();
                    names.extend(inner.map(|(name, _)| format!("{module}{joint}{name}")));
                    names.push(module);
                }
                _ => {
                    let name = node.argument(0).map_or("", Node::unquoted);
                    names.push(self.full_module(index, name.trim_end_matches(".py")));
                }
            }
        }
        // A package's modules run its `__init__` first.
        for at in 0..names.len() {
            let ends = names[at].match_indices(['.', '/']).map(|(end, _)| end);
            let packages: Vec<String> = ends.map(|end| names[at][..end].to_owned()).collect();
            names.extend(packages);
        }
        let names = names.iter();
        names.filter_map(|name| self.module(index, name)).collect()
    }

    /// The names of modules that a file imports and the repository does not have.
    fn foreign(&self, index: usize) -> BTreeSet<&'t str> {
        let nodes = self.files[index].syntax.nodes();
        let imports = nodes.filter(|node| node.is("import_statement"));
        let names = imports.flat_map(Node::imports);
        let foreign = names.filter(|(name, _)| self.module(index, name).is_none());
        let first = |name: &'t str| name.split('.').next().unwrap_or(name);
        let own = foreign.map(|(name, alias)| alias.unwrap_or_else(|| first(name)));
        own.collect()
    }

    /// Marks the functions and classes whose names reached code mentions.
    fn find_live(&mut self, reach: &Reach, names: &Mentions<'t>) {
        let of = |owner: Option<Node<'t>>| names.by.get(&owner).into_iter().flatten().copied();
        let mut todo: Vec<&str> = of(None).collect();
        let is_called = |name: &&&str| reach.absent || reach.called.contains(**name);
        todo.extend(names.functions.keys().filter(is_called));
        self.live.clear();
        let mut known: Set<&str> = Set::default();
        while let Some(name) = todo.pop() {
            if !known.insert(name) {
                continue;
            }
            todo.extend(names.aliases.get(name).into_iter().flatten());
            for function in names.functions.get(name).into_iter().flatten() {
                if self.live.insert(*function) {
                    todo.extend(of(Some(*function)));
                }
            }
        }
    }

    /// Whether a statement calls a function of the program: its own `exit` ends nothing.
    fn calls_own(&self, statement: Node<'t>) -> bool {
        let called = statement.child(0).and_then(|call| call.field("function"));
        let found = called.and_then(|name| self.lookup(name, name.text()));
        let is_own = |one: &Binding<'t>| matches!(one.what, Bound::Function(_));
        found.is_some_and(|(_, all)| all.iter().any(is_own))
    }

    /// Collects the names that a file mentions. Returns for each node whether it is dead code.
    fn collect_mentions(&self, index: usize, is_root: bool, names: &mut Mentions<'t>) -> Vec<bool> {
        let modules = self.foreign(index);
        let own_name = crate::python::module_name(&self.files[index].source.path);
        // By node number: whether it is dead code, and the function that it is part of.
        let mut dead: Vec<bool> = vec![false];
        let mut owner: Vec<Option<Node<'t>>> = vec![None];
        // The blocks of which the rest never runs.
        let mut ended: Vec<bool> = vec![false];
        for node in self.files[index].syntax.nodes().skip(1) {
            let Some(parent) = node.parent() else {
                continue;
            };
            let is_dead = dead[parent.number()]
                || ended[parent.number()]
                || is_dead_branch(node, parent, is_root, &own_name);
            dead.push(is_dead);
            ended.push(false);
            if ends(node) && !self.calls_own(node) {
                ended[parent.number()] = true;
            }
            let function = match parent.kind() {
                "function_definition" if node.role() == "body" => Some(parent),
                _ => owner[parent.number()],
            };
            owner.push(function);
            if is_dead {
                continue;
            }
            let mut mention = |name| names.by.entry(function).or_default().push(name);
            match node.kind() {
                "function_definition" => {
                    let name = node.text_of("name");
                    let is_special = name.starts_with("__");
                    // Python itself calls a module's `__getattr__`.
                    let class = node.class();
                    if registered(node) || function.or(class).is_none() && is_special {
                        mention(name);
                    }
                    let class = class.filter(|_| is_special);
                    let name = class.map_or(name, |class| class.text_of("name"));
                    if !is_replaced(node) {
                        names.functions.entry(name).or_default().push(node);
                    }
                }
                "class_definition" => {
                    let name = node.text_of("name");
                    // Its base class may collect the classes below it.
                    if registered(node) || names.collects && node.field("superclasses").is_some() {
                        mention(name);
                    }
                    names.functions.entry(name).or_default().push(node);
                }
                // `runpod.serverless.start` does not mention the program's own `start`.
                "identifier"
                    if node.role() == "attribute" && modules.contains(first_name(parent)) => {}
                "aliased_import" => {
                    let own = names.aliases.entry(node.text_of("alias")).or_default();
                    own.push(last_part(node.text_of("name")));
                }
                // An import alone calls nothing.
                "identifier" if node.ancestors().take(3).any(is_import) => {}
                "identifier" if node.role() != "name" => mention(node.text()),
                // What `getattr` or `globals()` may be asked for.
                "string" if !is_only_key(node, parent) => mention(node.unquoted()),
                _ => {}
            }
        }
        dead
    }

    /// Whether a node is in code that runs.
    pub fn reaches(&self, node: Node<'t>) -> bool {
        let file = &self.files[node.file()];
        let dead = file.dead.get(node.number()).copied().unwrap_or_default();
        let mut child = node;
        let mut is_later = false;
        file.reached
            && !dead
            && node.ancestors().all(|above| {
                let is_function = above.is("function_definition") && child.role() == "body";
                is_later |= is_function || above.is("lambda");
                // The functions of a class run where something names the class.
                let is_inside = is_function || above.is("class_definition") && is_later;
                child = above;
                !is_inside || self.live.contains(&above)
            })
    }
}

fn is_import(node: Node<'_>) -> bool {
    matches!(node.kind(), "import_statement" | "import_from_statement")
}

/// Whether a text names something else than itself, or only exports what it names:
/// `{"handler": other}`, `__all__ = ["main"]`.
fn is_only_key(text: Node<'_>, parent: Node<'_>) -> bool {
    let named = match text.role() {
        "key" => parent.field("value"),
        "subscript" if parent.role() == "left" => parent.parent().and_then(|of| of.field("right")),
        _ => None,
    };
    let set = parent.parent_of("assignment");
    named.is_some_and(|value| value.is_any("identifier attribute lambda call"))
        || set.is_some_and(|set| set.text_of("left") == "__all__")
}

/// Whether what follows a statement in its block never runs.
pub fn ends(node: Node<'_>) -> bool {
    const EXITS: &str = "sys.exit exit quit os._exit";
    match node.kind() {
        "return_statement" | "raise_statement" | "continue_statement" | "break_statement" => true,
        "expression_statement" => is_among(
            EXITS,
            node.child(0).map_or("", |call| call.text_of("function")),
        ),
        _ => false,
    }
}

/// The name at the left end of `a.b.c`.
fn first_name(attribute: Node<'_>) -> &str {
    let all = std::iter::successors(Some(attribute), |one| one.field("object"));
    all.last().map_or("", Node::text)
}

/// Whether a branch never runs: `if False:`, `while 0:`, or one for another `__name__` than the module
/// has.
fn is_dead_branch(node: Node<'_>, parent: Node<'_>, is_root: bool, own: &str) -> bool {
    const OFF: &str = "False 0 None TYPE_CHECKING typing.TYPE_CHECKING";
    let is_body = match parent.kind() {
        "if_statement" => node.role() == "consequence",
        "while_statement" => node.role() == "body",
        _ => false,
    };
    let Some(condition) = parent.field("condition").filter(|_| is_body) else {
        return false;
    };
    let never = |term: Node<'_>| {
        let sides = || term.children();
        let names_it = term.operators() == "==" && sides().any(|one| one.text() == "__name__");
        let mut words = sides().filter(|one| names_it && one.is("string"));
        is_among(OFF, term.text())
            || words.any(|word| match word.unquoted() {
                "__main__" => !is_root,
                "__mp_main__" => false,
                word => last_part(word) != own,
            })
    };
    condition.terms().into_iter().any(never)
}

/// Whether a later statement of its block gives the name of a function to something else before
/// anything mentions it.
fn is_replaced(function: Node<'_>) -> bool {
    let name = function.text_of("name");
    let block = function.parent_of("block module").into_iter();
    let all = block
        .flat_map(Node::children)
        .skip_while(|one| *one != function);
    let holds =
        |one: &Node<'_>| memchr::memmem::find(one.text().as_bytes(), name.as_bytes()).is_some();
    for one in all.skip(1).filter(holds) {
        let names = one
            .subtree_of("identifier")
            .filter(|word| word.text() == name);
        let mentions = names.count();
        let set = one
            .child(0)
            .filter(|set| one.is("expression_statement") && set.is("assignment"));
        let target = set.and_then(|set| set.field("left")).or(one.field("name"));
        let is_set = target.is_some_and(|target| target.text() == name);
        if is_set && (one.is("function_definition") || mentions == 1) {
            return true;
        }
        if mentions > 0 {
            return false;
        }
    }
    false
}

/// Decorators that do not pass the function on.
const HARMLESS: &str = "property staticmethod classmethod lru_cache cache cached_property wraps contextmanager \
    asynccontextmanager dataclass override abstractmethod";

/// Whether a decorator passes the function on to code that may call it.
pub fn registered(function: Node<'_>) -> bool {
    let is_harmless = |decorator: Node<'_>| {
        let name = match decorator.kind() {
            "call" => decorator.callee_name(),
            _ => decorator.last_name(),
        };
        is_among(HARMLESS, name)
    };
    !function.decorators().all(is_harmless)
}
