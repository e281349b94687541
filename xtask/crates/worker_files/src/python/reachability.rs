//! Reachability: which files and functions run.

use std::collections::BTreeSet;

use super::Reach;
use super::scope::{Binding, Bound, Program};
use super::syntax::{Node, is_among, last_part};
use super::{Map, Set};

/// The names that code mentions, by its function, and the functions by their names.
#[derive(Default)]
struct Mentions<'t> {
    by: Map<Option<Node<'t>>, Vec<&'t str>>,
    functions: Map<&'t str, Vec<Node<'t>>>,
    /// The names that imports give other names, by those.
    aliases: Map<&'t str, Vec<&'t str>>,
}

impl<'t> Program<'t> {
    /// Marks the files that the image starts, and what they import.
    pub fn find_reached(&mut self, reach: &Reach) {
        let is = |set: &Option<BTreeSet<_>>, index: usize| {
            let path = &self.files[index].source.path;
            set.as_ref().is_none_or(|set| set.contains(path))
        };
        let mut reached: BTreeSet<usize> = BTreeSet::new();
        let mut todo: Vec<usize> = (0..self.files.len()).collect();
        todo.retain(|index| is(&reach.roots, *index));
        while let Some(index) = todo.pop() {
            if is(&reach.held, index) && reached.insert(index) && reach.roots.is_some() {
                todo.extend(self.imports(index));
            }
        }
        for (index, file) in self.files.iter_mut().enumerate() {
            file.reached = reached.contains(&index);
        }
    }

    /// The files that a file imports, and their packages.
    fn imports(&self, index: usize) -> Vec<usize> {
        const IMPORTING: &str = "import_module __import__ run_module run_path";
        let mut names: Vec<String> = Vec::new();
        for node in self.files[index].syntax.nodes() {
            match node.kind() {
                "import_statement" => names.extend(node.imports().map(|(name, _)| name.to_owned())),
                "import_from_statement" => {
                    let module = self.full_module(index, node.text_of("module_name"));
                    let joint = if module.starts_with('/') { "/" } else { "." };
                    let inner = node.imports();
                    names.extend(inner.map(|(name, _)| format!("{module}{joint}{name}")));
                    names.push(module);
                }
                "call" if is_among(IMPORTING, node.callee_name()) => {
                    let name = node.argument(0).map_or("", Node::unquoted);
                    names.push(self.full_module(index, name.trim_end_matches(".py")));
                }
                _ => {}
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

    /// Marks the functions whose names reached code mentions.
    pub fn find_live(&mut self, reach: &Reach) {
        let mut names = Mentions::default();
        for index in 0..self.files.len() {
            if self.files[index].reached {
                let path = &self.files[index].source.path;
                let roots = reach.roots.as_ref();
                let is_root = roots.is_none_or(|roots| roots.contains(path));
                self.files[index].dead = self.collect_mentions(index, is_root, &mut names);
            }
        }
        let Mentions {
            by,
            functions,
            aliases,
        } = &mut names;
        let mut todo: Vec<&str> = by.swap_remove(&None).unwrap_or_default();
        let is_called = |name: &&&str| reach.absent || reach.called.contains(**name);
        todo.extend(functions.keys().filter(is_called));
        let mut known: Set<&str> = Set::default();
        while let Some(name) = todo.pop() {
            if !known.insert(name) {
                continue;
            }
            todo.extend(aliases.get(name).into_iter().flatten());
            for function in functions.get(name).into_iter().flatten() {
                if self.live.insert(*function) {
                    todo.extend(by.swap_remove(&Some(*function)).unwrap_or_default());
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
        // By node number: whether it is dead code, and the function that it is part of.
        let mut dead: Vec<bool> = vec![false];
        let mut owner: Vec<Option<Node<'t>>> = vec![None];
        // The blocks of which the rest never runs.
        let mut ended: Set<usize> = Set::default();
        for node in self.files[index].syntax.nodes().skip(1) {
            let Some(parent) = node.parent() else {
                continue;
            };
            let is_dead = dead[parent.number()]
                || ended.contains(&parent.number())
                || is_dead_branch(node, parent, is_root);
            dead.push(is_dead);
            if ends(node) && !self.calls_own(node) {
                ended.insert(parent.number());
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
                    if registered(node) || function.is_none() && is_special {
                        mention(name);
                    }
                    let class = node.class().filter(|_| is_special);
                    let class = class.map(|class| class.text_of("name"));
                    for name in std::iter::once(name).chain(class) {
                        names.functions.entry(name).or_default().push(node);
                    }
                }
                // `runpod.serverless.start` does not mention the program's own `start`.
                "identifier"
                    if node.role() == "attribute" && modules.contains(first_name(parent)) => {}
                "aliased_import" => {
                    let own = names.aliases.entry(node.text_of("alias")).or_default();
                    own.push(last_part(node.text_of("name")));
                }
                // An import alone calls nothing.
                "identifier" if node.ancestors().take(3).any(|of| of.is_any(IMPORTS)) => {}
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
        file.reached
            && !dead
            && node.ancestors().all(|above| {
                let is_inside = above.is("function_definition") && child.role() == "body";
                child = above;
                !is_inside || self.live.contains(&above)
            })
    }
}

const IMPORTS: &str = "import_statement import_from_statement";

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
    const ENDS: &str = "return_statement raise_statement continue_statement break_statement";
    const EXITS: &str = "sys.exit exit quit os._exit";
    let called = || node.child(0).map_or("", |call| call.text_of("function"));
    node.is_any(ENDS) || node.is("expression_statement") && is_among(EXITS, called())
}

/// The name at the left end of `a.b.c`.
fn first_name(attribute: Node<'_>) -> &str {
    let all = std::iter::successors(Some(attribute), |one| one.field("object"));
    all.last().map_or("", Node::text)
}

/// Whether a branch never runs: `if False:`, or `__main__` of a module that is only imported.
fn is_dead_branch(node: Node<'_>, parent: Node<'_>, is_root: bool) -> bool {
    const OFF: &str = "False 0 None TYPE_CHECKING typing.TYPE_CHECKING";
    if parent.kind() != "if_statement" || node.role() != "consequence" {
        return false;
    }
    let condition = parent.text_of("condition");
    let words = ["__name__", "__main__", "=="];
    let main = words.iter().all(|word| condition.contains(word));
    is_among(OFF, condition) || main && !is_root
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
