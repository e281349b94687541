//! Which names may stand for the environment, for a job or for what starts processes.
//!
//! This goes by names alone, wherever they are, so that it takes one pass over the text and leaves
//! nothing out that a value can get to through assignments, calls and returns. What it finds is
//! looked at closely by the rest of the reader; what it leaves out is not looked at, and what it
//! finds and nobody can follow is unread.

use indexmap::{IndexMap, IndexSet};

use super::environment::bare;
use super::scope::{Program, parameters};
use super::syntax::Node;

/// The environment, a function that reads it, or something that holds one of these.
pub const ENV: u8 = 1;
/// A job or its input.
pub const JOB: u8 = 2;
/// What starts a process or asks a server.
pub const RUN: u8 = 4;
/// A function, method, class or lambda of the program.
pub const FUNCTION: u8 = 8;

const ENV_NAMES: [&str; 24] = [
    "BaseSettings",
    "pydantic_settings",
    "os",
    "posix",
    "environ",
    "environb",
    "getenv",
    "getenvb",
    "expandvars",
    "putenv",
    "unsetenv",
    "dotenv",
    "dotenv_values",
    "get_key",
    "environs",
    "decouple",
    "starlette",
    "OmegaConf",
    "omegaconf",
    "exec",
    "eval",
    "getattr",
    "__import__",
    "import_module",
];

const RUN_NAMES: [&str; 14] = [
    "os",
    "subprocess",
    "pexpect",
    "pty",
    "Popen",
    "sglang",
    "Engine",
    "ServerArgs",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "getattr",
    "__import__",
    "import_module",
    "asyncio",
];

/// Functions whose result is plain text or a number, whatever they are given.
const PLAIN: [&str; 14] = [
    "str",
    "int",
    "float",
    "bool",
    "len",
    "isinstance",
    "print",
    "getenv",
    "expandvars",
    "any",
    "all",
    "hasattr",
    "type",
    "repr",
];

/// What each node speaks of, by file and number.
pub struct Taint<'t> {
    nodes: Vec<Vec<u8>>,
    /// The functions that do something with one of these, or call one that does.
    leads: super::quick::Set<Node<'t>>,
    pub steps: usize,
}

struct Flow<'t> {
    /// From a name to those that may get what it stands for.
    to: IndexMap<&'t str, Vec<&'t str>>,
    /// The same for what functions of a name are called with: it gets to their parameters.
    calls: IndexMap<&'t str, Vec<&'t str>>,
    parameters: IndexMap<&'t str, IndexSet<&'t str>>,
    functions: IndexSet<&'t str>,
    seeds: Vec<(&'t str, u8)>,
    spoken_of: IndexSet<&'t str>,
    /// Whether the program hands a handler to RunPod's SDK.
    serverless: bool,
    steps: usize,
}

impl<'t> Taint<'t> {
    pub fn of(&self, node: Node<'_>) -> u8 {
        self.nodes
            .get(node.file())
            .and_then(|file| file.get(node.number()))
            .copied()
            .unwrap_or_default()
    }

    /// Whether it matters what a function is called with.
    pub fn leads(&self, function: Node<'t>) -> bool {
        self.leads.contains(&function)
    }

    pub fn new(program: &Program<'t>) -> Self {
        let mut flow = Flow {
            to: IndexMap::new(),
            calls: IndexMap::new(),
            parameters: IndexMap::new(),
            spoken_of: IndexSet::new(),
            functions: IndexSet::new(),
            seeds: Vec::new(),
            serverless: program
                .files
                .iter()
                .any(|file| file.source.text.contains("serverless")),
            steps: 0,
        };
        for file in &program.files {
            file.syntax.nodes().for_each(|node| flow.define(node));
        }
        for file in &program.files {
            file.syntax.nodes().for_each(|node| flow.edges(node));
        }
        let names = flow.spread();
        let nodes: Vec<Vec<u8>> = program
            .files
            .iter()
            .map(|file| {
                let mut masks: Vec<u8> = Vec::new();
                for node in file.syntax.nodes() {
                    let own = match node.kind() {
                        "identifier" => names.get(node.text()).copied().unwrap_or_default(),
                        "string" => string(node.text()),
                        "lambda" => FUNCTION,
                        _ => 0,
                    };
                    masks.push(own);
                }
                // Children come after what they are in.
                for at in (1..masks.len()).rev() {
                    let parent = file.syntax.parent_of(at);
                    masks[parent] |= masks[at];
                }
                masks
            })
            .collect();
        let mut taint = Self {
            nodes,
            leads: super::quick::Set::default(),
            steps: flow.steps,
        };
        taint.find_leading(program, &flow);
        taint
    }
}

impl<'t> Taint<'t> {
    fn find_leading(&mut self, program: &Program<'t>, flow: &Flow<'t>) {
        let mut said_by: IndexMap<&'t str, Vec<Node<'t>>> = IndexMap::new();
        let mut todo: Vec<Node<'t>> = Vec::new();
        for file in &program.files {
            let mut owners: Vec<Option<Node<'t>>> = Vec::new();
            for node in file.syntax.nodes() {
                let parent = owners.get(file.syntax.parent_of(node.number())).copied();
                let owner = match node.kind() {
                    "function_definition" | "lambda" => Some(node),
                    _ => parent.flatten(),
                };
                owners.push(owner);
                match node.kind() {
                    "function_definition" | "lambda" => {
                        if self.of(node) & (ENV | JOB | RUN) > 0 {
                            todo.push(node);
                        }
                        // What is inside a function runs as part of it.
                        if let Some(outer) = parent.flatten() {
                            said_by.entry(node.text_of("name")).or_default().push(outer);
                        }
                    }
                    "identifier" if self.of(node) & FUNCTION > 0 => {
                        if let Some(owner) = owner {
                            said_by.entry(node.text()).or_default().push(owner);
                        }
                    }
                    // A request or a command can be made of the parameters.
                    "string" if program.starts_server(node.text()) => {
                        todo.extend(owner);
                    }
                    // What it keeps somewhere is read elsewhere.
                    "attribute" | "subscript" if node.part() == "left" => todo.extend(owner),
                    "call" => {
                        let callee = node.field("function").map_or("", last_name);
                        let keeps = super::scope::CHANGING.contains(&callee);
                        if let Some(owner) = owner.filter(|_| keeps || asks(node)) {
                            todo.push(owner);
                        }
                    }
                    _ => {}
                }
            }
        }
        let mut done: IndexSet<&'t str> = IndexSet::from([""]);
        while let Some(function) = todo.pop() {
            if !self.leads.insert(function) {
                continue;
            }
            self.steps += 1;
            let class = super::scope::class_of(function).map_or("", |c| c.text_of("name"));
            let mut names = vec![function.text_of("name"), class];
            // What a name stands for goes by those that it flows into, too.
            while let Some(name) = names.pop() {
                if done.insert(name) {
                    todo.extend(said_by.swap_remove(name).unwrap_or_default());
                    names.extend(flow.to.get(name).into_iter().flatten());
                }
            }
        }
    }
}

/// Whether a call may ask a server for something.
pub fn asks(call: Node<'_>) -> bool {
    const NAMES: [&str; 14] = [
        "get",
        "post",
        "put",
        "delete",
        "patch",
        "head",
        "options",
        "urlopen",
        "ws_connect",
        "request",
        "stream",
        "Request",
        "create",
        "list",
    ];
    let Some(callee) = call.field("function") else {
        return false;
    };
    let literal = call.field("arguments").and_then(|list| list.child(0));
    callee.kind() == "call"
        || NAMES.contains(&last_name(callee))
        || literal.is_some_and(|first| {
            first.kind() == "string" && bare(first.text()).bytes().all(|b| b.is_ascii_uppercase())
        })
}

/// Text that names one of these things.
fn string(text: &str) -> u8 {
    match bare(text) {
        "os" | "environ" | "environb" | "getenv" | "posix" => ENV | RUN,
        "subprocess" => RUN,
        _ => 0,
    }
}

impl<'t> Flow<'t> {
    fn define(&mut self, node: Node<'t>) {
        match node.kind() {
            "function_definition" => {
                let name = node.text_of("name");
                self.seeds.push((name, FUNCTION));
                self.function(name, node);
                if name == "__call__" && self.serverless {
                    let all = parameters(node).filter(|(name, ..)| *name != "self");
                    self.seeds.extend(all.map(|(name, ..)| (name, JOB)));
                }
                if name == "__init__" || name == "__call__" {
                    let class = super::scope::class_of(node).map_or("", |c| c.text_of("name"));
                    self.function(class, node);
                }
                for (parameter, default, _) in parameters(node) {
                    if matches!(parameter, "job" | "event") {
                        self.seeds.push((parameter, JOB));
                    }
                    if let Some(default) = default {
                        self.flow(default, parameter);
                    }
                }
            }
            "lambda" => {
                for (parameter, default, _) in parameters(node) {
                    if let Some(default) = default {
                        self.flow(default, parameter);
                    }
                }
            }
            "class_definition" => {
                self.seeds.push((node.text_of("name"), FUNCTION));
                // An object of it is what its bases are.
                if let Some(bases) = node.field("superclasses") {
                    self.flow(bases, node.text_of("name"));
                }
            }
            _ => {}
        }
    }

    fn function(&mut self, name: &'t str, node: Node<'t>) {
        self.functions.insert(name);
        let all = parameters(node).map(|(name, ..)| name);
        self.parameters
            .entry(name)
            .or_default()
            .extend(all.filter(|name| !matches!(*name, "self" | "cls")));
    }

    fn edges(&mut self, node: Node<'t>) {
        match node.kind() {
            "assignment" | "augmented_assignment" | "for_statement" | "for_in_clause" => {
                if let Some((left, right)) = node.field("left").zip(node.field("right")) {
                    self.targets(left, right);
                }
            }
            "named_expression" | "keyword_argument" => {
                if let Some((name, value)) = node.field("name").zip(node.field("value")) {
                    self.targets(name, value);
                }
            }
            "as_pattern" => {
                if let Some((value, alias)) = node.child(0).zip(node.field("alias")) {
                    self.targets(alias, value);
                }
            }
            "return_statement" | "yield" => {
                let function = node.ancestors().find(|a| a.kind() == "function_definition");
                if let Some((function, value)) = function.zip(node.child(0)) {
                    self.flow(value, function.text_of("name"));
                    // What a decorator or a special method gives goes by the class's name.
                    let class = super::scope::class_of(function);
                    if let Some(class) =
                        class.filter(|_| function.text_of("name").starts_with("__"))
                    {
                        self.flow(value, class.text_of("name"));
                    }
                }
            }
            "import_statement" | "import_from_statement" => self.import(node),
            "call" => self.call(node),
            "identifier" => self.spoken_of(node),
            _ => {}
        }
    }

    fn import(&mut self, node: Node<'t>) {
        let module = node.text_of("module_name");
        for name in node.fields("name") {
            let alias = name.field("alias").map(Node::text);
            let full = name.field("name").unwrap_or(name).text();
            let last = full.rsplit('.').next().unwrap_or(full);
            let own = alias.unwrap_or(if module.is_empty() {
                full.split('.').next().unwrap_or(full)
            } else {
                last
            });
            for part in full.split('.').chain(module.split('.')) {
                if !part.is_empty() && part != own {
                    self.to.entry(part).or_default().push(own);
                }
            }
        }
    }

    fn call(&mut self, node: Node<'t>) {
        let (Some(callee), Some(list)) = (node.field("function"), node.field("arguments")) else {
            return;
        };
        let name = last_name(callee);
        if name == "start" {
            let lambdas = list.below().filter(|node| node.kind() == "lambda");
            for lambda in lambdas {
                self.seeds
                    .extend(parameters(lambda).map(|(name, ..)| (name, JOB)));
            }
        }
        let mut given: Vec<&'t str> = Vec::new();
        self.names(list, &mut given);
        if given.is_empty() {
            return;
        }
        if callee.kind() == "attribute"
            && let Some(object) = callee.field("object")
            && super::scope::CHANGING.contains(&name)
        {
            self.connect(&given, last_name(object));
        }
        // A function that is handed on is called with what goes with it.
        let mut called: Vec<&'t str> = vec![name];
        called.extend(given.iter().filter(|name| self.functions.contains(*name)));
        for name in called
            .into_iter()
            .filter(|name| self.functions.contains(name))
        {
            self.steps += given.len();
            for given in &given {
                self.calls.entry(given).or_default().push(name);
            }
        }
        if callee.kind() == "lambda" {
            for (parameter, ..) in parameters(callee) {
                self.connect(&given, parameter);
            }
        }
    }

    /// A function that is spoken of, and not called: it may be the handler, which gets jobs.
    fn spoken_of(&mut self, node: Node<'t>) {
        let whole = match node.part() {
            "attribute" => node.parent().unwrap_or(node),
            "name" => return,
            _ => node,
        };
        if whole.part() == "function" || !self.serverless {
            return;
        }
        if self.spoken_of.insert(node.text()) {
            let all = self.parameters.get(node.text()).into_iter().flatten();
            self.seeds.extend(all.map(|name| (*name, JOB)));
        }
    }

    /// The target gets what the value stands for.
    fn targets(&mut self, target: Node<'t>, value: Node<'t>) {
        let mut given = Vec::new();
        self.names(value, &mut given);
        if given.is_empty() {
            return;
        }
        match target.kind() {
            "identifier" | "attribute" | "subscript" => self.connect(&given, last_name(target)),
            _ => {
                let all = target.below().filter(|node| node.kind() == "identifier");
                for name in all.collect::<Vec<_>>() {
                    self.connect(&given, name.text());
                }
            }
        }
    }

    fn flow(&mut self, value: Node<'t>, target: &'t str) {
        let mut given = Vec::new();
        self.names(value, &mut given);
        self.connect(&given, target);
    }

    fn connect(&mut self, given: &[&'t str], target: &'t str) {
        self.steps += given.len();
        for name in given.iter().filter(|name| **name != target) {
            self.to.entry(name).or_default().push(target);
        }
    }

    /// The names that decide on what an expression stands for.
    fn names(&mut self, node: Node<'t>, out: &mut Vec<&'t str>) {
        self.steps += 1;
        match node.kind() {
            "identifier" => out.push(node.text()),
            "lambda" => {
                out.push("lambda");
                node.children().for_each(|child| self.names(child, out));
            }
            "string" => {
                if string(node.text()) > 0 {
                    out.push(bare(node.text()));
                }
            }
            "comparison_operator" | "not_operator" | "integer" | "float" | "type" => {}
            "call" => {
                let callee = node.field("function");
                let text = callee.map_or("", Node::text);
                let name = callee.map_or("", last_name);
                if PLAIN.contains(&name) || is_reading(text) {
                    return;
                }
                node.children().for_each(|child| self.names(child, out));
            }
            "subscript" if node.text_of("value").ends_with("environ") => {}
            "keyword_argument" | "pair" => {
                if let Some(value) = node.field("value") {
                    self.names(value, out);
                }
            }
            "conditional_expression" => {
                for at in [0, 2] {
                    if let Some(branch) = node.child(at) {
                        self.names(branch, out);
                    }
                }
            }
            _ => node.children().for_each(|child| self.names(child, out)),
        }
    }

    fn spread(&mut self) -> IndexMap<&'t str, u8> {
        let seeds = ENV_NAMES.iter().map(|name| (*name, ENV));
        let seeds = seeds.chain(RUN_NAMES.iter().map(|name| (*name, RUN)));
        let mut todo: Vec<(&'t str, u8)> = seeds.chain([("lambda", FUNCTION)]).collect();
        todo.append(&mut self.seeds);
        let mut names: IndexMap<&'t str, u8> = IndexMap::new();
        let mut reached: IndexSet<(&'t str, u8)> = IndexSet::new();
        while let Some((name, mask)) = todo.pop() {
            let known = names.entry(name).or_default();
            let new = mask & !*known;
            if new == 0 {
                continue;
            }
            *known |= new;
            let before = todo.len();
            let targets = self.to.get(name).into_iter().flatten();
            todo.extend(targets.map(|target| (*target, new)));
            for function in self.calls.get(name).into_iter().flatten() {
                // The same mask gets to the same parameters once.
                if reached.insert((*function, new)) {
                    let all = self.parameters.get(function).into_iter().flatten();
                    todo.extend(all.map(|parameter| (*parameter, new)));
                }
            }
            self.steps += todo.len() - before;
        }
        names
    }
}

/// Whether a call reads a variable in the plainest way, so that its result is text.
fn is_reading(callee: &str) -> bool {
    [
        "environ.get",
        "environ.pop",
        "environ.setdefault",
        "os.getenv",
    ]
    .iter()
    .any(|end| callee.ends_with(end))
}

/// The name at the end of an expression: of `a.b[c]` it is `b`.
fn last_name(node: Node<'_>) -> &str {
    match node.kind() {
        "identifier" => node.text(),
        "attribute" => node.text_of("attribute"),
        "subscript" => node.field("value").map_or("", last_name),
        "call" => node.field("function").map_or("", last_name),
        "parenthesized_expression" | "await" => node.child(0).map_or("", last_name),
        _ => "",
    }
}
