//! Follows a Python program as far as constants carry: assignments, loops over literals, calls
//! of its own functions, both sides of every `if`.
//!
//! Workers never read their variables one by one: they loop over a table and hand each name to
//! `os.getenv`. Finding the names therefore needs what the loop variable holds, which is what
//! this does: it walks through the program with values in place of names, every loop over a
//! known list once for each item, and notes each variable read, flag added and route requested
//! on the way. What is not known is `Unknown` and stays silent, except where a fact would need
//! it: then a gap is noted. Work is bounded by a budget of steps and of depth, so that any text
//! ends it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::rc::Rc;

use super::syntax::{Node, children, field};
use super::value::{EnvRef, Function, Origin, Scope, Value};
use super::{FlagGiven, PythonFacts};
use crate::{Place, Source, Unread};

/// Steps before the reader gives up on a program.
const BUDGET: usize = 600_000;
/// Nested expressions, statements and calls before the reader looks away.
pub const DEEPEST: usize = 300;
/// Items of a list that a loop is walked through for.
const LONGEST_LOOP: usize = 5_000;

/// A file with what is known of it so far.
pub struct Module<'t> {
    pub source: &'t Source,
    pub root: Node<'t>,
    /// `engine` for `src/engine.py`.
    name: String,
    pub globals: Scope<'t>,
    started: bool,
}

/// How a block ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    On,
    /// With `return`, `continue`, `break` or `raise`: what follows runs under the opposite
    /// condition.
    Off,
}

/// One call that is being followed.
pub struct Frame<'t> {
    pub module: usize,
    /// Innermost last; empty for a module's own level.
    pub scopes: Vec<Scope<'t>>,
    pub returns: Vec<Value<'t>>,
    pub yields: Vec<Value<'t>>,
    pub node: usize,
}

pub struct Interp<'t> {
    pub modules: Vec<Module<'t>>,
    /// The modules by name.
    pub named: HashMap<String, Vec<usize>>,
    /// JSON files beside the program that it may load.
    pub data: BTreeMap<String, &'t Source>,
    pub facts: PythonFacts,
    pub frames: Vec<Frame<'t>>,
    /// The variables that decide whether the current statement runs.
    pub guards: Vec<Vec<Rc<EnvRef>>>,
    /// Reads of a name that was not known here, until one that is turns up.
    unread: BTreeMap<(usize, usize), Unread>,
    read_at: HashSet<(usize, usize)>,
    pub called: HashSet<(usize, usize)>,
    /// Where in `facts` the reads of a variable and the uses of a flag stand.
    pub reads_of: HashMap<String, Vec<usize>>,
    uses_of: HashMap<String, Vec<usize>>,
    pub functions: Vec<Rc<Function<'t>>>,
    steps: usize,
    pub depth: usize,
    exhausted: bool,
}

impl<'t> Interp<'t> {
    pub fn new(parsed: Vec<(&'t Source, Node<'t>)>, data: BTreeMap<String, &'t Source>) -> Self {
        let modules: Vec<Module<'t>> = parsed
            .into_iter()
            .map(|(source, root)| Module {
                source,
                root,
                name: super::module_name(&source.path),
                globals: Scope::default(),
                started: false,
            })
            .collect();
        let mut named: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, module) in modules.iter().enumerate() {
            named.entry(module.name.clone()).or_default().push(index);
        }
        Self {
            modules,
            named,
            data,
            facts: PythonFacts::default(),
            frames: Vec::new(),
            guards: Vec::new(),
            unread: BTreeMap::new(),
            read_at: HashSet::new(),
            called: HashSet::new(),
            reads_of: HashMap::new(),
            uses_of: HashMap::new(),
            functions: Vec::new(),
            steps: 0,
            depth: 0,
            exhausted: false,
        }
    }

    /// Follows everything: each module from the top, then what nothing called.
    pub fn run(mut self) -> PythonFacts {
        for index in 0..self.modules.len() {
            self.module(index);
        }
        let mut next = 0;
        while let Some(function) = self.functions.get(next).cloned() {
            next += 1;
            let key = (function.module, function.node.start_byte());
            if !self.called.contains(&key) {
                self.call(&function, &[], &[]);
            }
        }
        for (key, gap) in std::mem::take(&mut self.unread) {
            if !self.read_at.contains(&key) {
                self.facts.unread.push(gap);
            }
        }
        self.facts
    }

    /// Runs a module from the top, once.
    pub fn module(&mut self, index: usize) {
        let Some(module) = self.modules.get_mut(index) else {
            return;
        };
        if std::mem::replace(&mut module.started, true) {
            return;
        }
        let root = module.root;
        let guards = std::mem::take(&mut self.guards);
        self.frames.push(Frame {
            module: index,
            scopes: Vec::new(),
            returns: Vec::new(),
            yields: Vec::new(),
            node: usize::MAX,
        });
        self.block(&children(root));
        self.frames.pop();
        self.guards = guards;
    }

    /// Whether there is budget for one more step at this depth.
    pub fn may_go_on(&mut self, node: Node<'t>) -> bool {
        self.steps += 1;
        if self.steps <= BUDGET && self.depth < DEEPEST {
            return true;
        }
        if !std::mem::replace(&mut self.exhausted, true) {
            let what = if self.depth >= DEEPEST {
                "the program is nested too deeply here to be followed further"
            } else {
                "the program does too much to be followed to its end; some of what it reads may be \
                 missing here"
            };
            self.gap(what, node);
        }
        false
    }

    /// Counts work on a collection, which takes time by its size.
    pub fn charge(&mut self, items: usize) {
        self.steps += items / 8;
    }

    // ---- where we are ----

    pub fn at(&self) -> usize {
        self.frames.last().map_or(0, |frame| frame.module)
    }

    pub fn source(&self) -> &'t Source {
        let index = self.at();
        self.modules[index].source
    }

    pub fn text(&self, node: Node<'t>) -> &'t str {
        self.source()
            .text
            .get(node.byte_range())
            .unwrap_or_default()
    }

    pub fn place(&self, node: Node<'t>) -> Place {
        self.source().place(node.byte_range())
    }

    pub fn place_of(&self, module: usize, range: Range<usize>) -> Place {
        self.modules[module].source.place(range)
    }

    /// Where a constant was written, or else where it is used.
    pub fn place_of_value(&self, value: &Value<'t>, node: Node<'t>) -> Place {
        match value {
            Value::Text(_, Some(Origin { module, range })) => self.place_of(*module, range.clone()),
            _ => self.place(node),
        }
    }

    pub fn gap(&mut self, what: &str, node: Node<'t>) {
        let gap = Unread::new(what.to_owned(), self.place(node));
        if !self.facts.unread.contains(&gap) {
            self.facts.unread.push(gap);
        }
    }

    /// Notes a read whose name is not known on this way through the program. Another way may
    /// know it: the gap stays only when none does.
    pub fn name_unknown(&mut self, what: &str, node: Node<'t>) {
        let gap = Unread::new(what.to_owned(), self.place(node));
        self.unread.insert((self.at(), node.start_byte()), gap);
    }

    pub fn name_known(&mut self, node: Node<'t>) {
        self.read_at.insert((self.at(), node.start_byte()));
    }

    /// The variables that decide whether we are here.
    pub fn guarding(&self) -> Vec<Rc<EnvRef>> {
        self.guards.iter().flatten().cloned().collect()
    }

    /// Notes a flag of the server's command line.
    pub fn flag(&mut self, given: FlagGiven) {
        let known = self.uses_of.entry(given.flag.clone()).or_default();
        if !known.iter().any(|&at| self.facts.flags[at] == given) {
            known.push(self.facts.flags.len());
            self.facts.flags.push(given);
        }
    }

    // ---- names ----

    pub fn lookup(&mut self, name: &str) -> Value<'t> {
        let Some(frame) = self.frames.last() else {
            return Value::Unknown;
        };
        for scope in frame.scopes.iter().rev() {
            if let Some(value) = scope.borrow().get(name) {
                return value.clone();
            }
        }
        let globals = &self.modules[frame.module].globals;
        if let Some(value) = globals.borrow().get(name) {
            return value.clone();
        }
        match name {
            "str" | "int" | "float" | "bool" | "list" | "tuple" | "set" | "frozenset" | "dict"
            | "sorted" | "enumerate" | "zip" | "reversed" | "print" | "open" | "isinstance"
            | "len" | "any" | "all" | "map" | "filter" | "getattr" | "range" | "iter" | "next" => {
                Value::Outside(name.into())
            }
            _ => Value::Unknown,
        }
    }

    pub fn bind(&mut self, name: &str, value: Value<'t>) {
        let Some(frame) = self.frames.last() else {
            return;
        };
        let scope = frame
            .scopes
            .last()
            .unwrap_or(&self.modules[frame.module].globals);
        scope.borrow_mut().insert(name.to_owned(), value);
    }

    /// Binds a target: a name, a tuple of targets, an attribute or an item.
    pub fn assign(&mut self, target: Node<'t>, value: &Value<'t>) {
        if !self.may_go_on(target) {
            return;
        }
        self.depth += 1;
        match target.kind() {
            "identifier" => self.bind(self.text(target), value.clone()),
            "pattern_list" | "tuple_pattern" | "list_pattern" | "tuple" | "list" => {
                for (index, part) in children(target).into_iter().enumerate() {
                    let alternatives = value.alternatives();
                    let found = alternatives.iter().filter_map(|one| match one {
                        Value::List(items) => items.borrow().get(index).cloned(),
                        _ => None,
                    });
                    let item = Value::any(found.collect());
                    self.assign(part, &item);
                }
            }
            "attribute" => {
                let owner = field(target, "object").map(|node| self.eval(node));
                if let (Some(Value::Object(object)), Some(name)) =
                    (owner, field(target, "attribute"))
                {
                    let name = self.text(name).to_owned();
                    object.attributes.borrow_mut().insert(name, value.clone());
                }
            }
            "subscript" => {
                let owner = field(target, "value").map_or(Value::Unknown, |node| self.eval(node));
                let key = field(target, "subscript").map_or(Value::Unknown, |n| self.eval(n));
                self.set_item(&owner, key, value, target);
            }
            _ => {}
        }
        self.depth -= 1;
    }

    fn set_item(&mut self, owner: &Value<'t>, key: Value<'t>, value: &Value<'t>, node: Node<'t>) {
        match owner {
            Value::Outside(name) if super::calls::is_environ(name) => {
                if let Some(name) = key.as_text() {
                    let place = self.place_of_value(&key, node);
                    self.facts.set.push((name.to_string(), place));
                }
            }
            Value::Dict(items) => {
                const MOST: usize = 20_000;
                let mut items = items.borrow_mut();
                if items.len() < MOST {
                    items.push((key, value.clone()));
                }
            }
            _ => {}
        }
    }

    /// What a loop over a value goes through; `Unknown` once for what is not known.
    pub fn items(&mut self, value: &Value<'t>) -> Vec<Value<'t>> {
        let mut all = Vec::new();
        for one in value.alternatives() {
            match one {
                Value::List(items) => all.extend(items.borrow().iter().cloned()),
                Value::Dict(items) => all.extend(items.borrow().iter().map(|(k, _)| k.clone())),
                _ => {}
            }
        }
        all.truncate(LONGEST_LOOP);
        self.charge(all.len());
        if all.is_empty() {
            all.push(Value::Unknown);
        }
        all
    }
}
