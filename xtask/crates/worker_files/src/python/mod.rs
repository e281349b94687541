//! The worker's Python: which variables it reads and what for, the server's command line, the
//! routes it asks for, what it takes of a job's input, and its classes and functions.
//!
//! Nothing is run. Each mention of the environment, of a job's input and of a command that starts
//! `SGLang` is a fact or an [`Unread`]. The names and defaults that a mention needs are evaluated
//! abstractly, through variables, loops over tables and calls of the program's own functions.

#![allow(
    clippy::match_bool,
    clippy::match_same_arms,
    clippy::needless_for_each,
    reason = "one arm for each construct of the language, in one place"
)]

mod api;
mod branch_defaults;
mod builtins;
mod calls;
mod command;
mod contexts;
mod data;
mod declared;
mod environment;
mod eval;
mod flags;
mod handler;
pub mod imports;
mod input_writes;
mod leads_to_fact;
mod models;
mod names;
mod objects;
mod offers;
mod passed;
mod process;
mod reachability;
mod relevant_files;
mod requests;
mod scope;
mod settings;
mod statements;
mod summaries;
mod syntax;
mod text;
mod usage;
mod value;
mod whole_environment;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use self::eval::Reader;
use self::scope::Program;
use self::syntax::{Node, Syntax, is_among};
use self::value::Val;
use super::{EnvRead, FlagKind, Hides, Place, Reading, Source, Unread};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use xtask_core::tree::RepoPath;

pub use api::ApiItem;
pub use data::LARGEST as LARGEST_DATA;
pub use declared::string_lists;
pub use handler::ADDED;
pub use offers::{COMPUTED, Offer};
pub use process::hands_on;
pub use requests::{FROM, HEADER, NO_BODY, said_of_part};
pub use statements::{Statement, statements};

/// In the order of insertion, so that one program is read in the same way each time.
type Map<K, V> = indexmap::IndexMap<K, V, FxBuildHasher>;
type Set<K> = indexmap::IndexSet<K, FxBuildHasher>;

/// Functions of libraries that call their arguments.
const CALLING: &str = "map filter starmap submit apply apply_async Thread Process Timer to_thread run_in_executor \
    call_soon call_later run_coroutine_threadsafe add_done_callback";

/// Why a read of a variable without a known name is unread.
pub const COMPUTED_NAME: &str = "the name of this environment variable is computed";

/// Everything that is read from a worker's Python files.
#[derive(Debug, Default, Clone)]
pub struct PythonFacts {
    pub env: Vec<EnvRead>,
    /// Variables that the program sets for what it starts or imports.
    pub set: Vec<(String, Place)>,
    /// Variables that reached code sets, with the value.
    pub assigned: Vec<(String, String, Place)>,
    /// What reads find that the program writes before, with nothing set.
    write_defaults: Vec<EnvRead>,
    pub flags: Vec<FlagGiven>,
    pub routes: Vec<Requested>,
    pub inputs: Vec<InputKey>,
    pub serverless: Vec<Setting>,
    pub offers: Vec<Offer>,
    pub api: Vec<ApiItem>,
    /// The files among those that run that do something when they are imported.
    pub acting: BTreeSet<RepoPath>,
    /// Names of files in texts of reached code: tables that it may open.
    pub opens: BTreeSet<String>,
    /// Variables whose words are arguments of the server's command.
    pub passed: BTreeSet<String>,
    /// Variables whose value another one is set to: `environ["NEW"] = environ["OLD"]`.
    pub handed: Vec<(String, String)>,
    /// Dicts from a variable's name to a flag: name, flag, and the name's place.
    pub tables: Vec<(String, String, Place)>,
    /// Whether a command line for `SGLang`'s server was seen.
    pub launches: bool,
    /// The programs through which it starts the server, with their options.
    pub started_through: Vec<(String, Place)>,
}

/// A flag that the program gives to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagGiven {
    pub flag: String,
    pub value: FlagValue,
    /// The variables that decide on it, and how.
    pub from: Vec<(String, FlagKind)>,
    pub place: Place,
    /// Whether it stands in a file that the image runs.
    pub runs: bool,
    /// Whether it stands in code that runs.
    pub reached: bool,
}

impl FlagGiven {
    /// Whether no variable decides on it.
    pub fn is_fixed(&self) -> bool {
        let fixed = matches!(self.value, FlagValue::Fixed(_) | FlagValue::Alone);
        self.from.is_empty() && fixed
    }
}

/// What follows a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagValue {
    /// Nothing: a switch.
    Alone,
    Fixed(String),
    /// What an environment variable holds.
    Env,
    /// What the program works out, in its own words.
    Computed(String),
}

/// A route that the program requests from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The path; `{openai_route}` where the job's input gives it, `{}` where something else does.
    pub route: String,
    /// The server, where it is another one than the worker's own: `https://api.example`.
    pub server: Option<String>,
    pub method: String,
    /// How long it waits for the answer, where the call says so.
    pub timeout: Option<String>,
    /// What its body holds, a line each: `stream=True`, `messages`.
    pub body: BTreeSet<String>,
    pub place: Place,
    /// Whether it stands in code that runs.
    pub reached: bool,
}

/// A key of the job's input that the handler looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputKey {
    /// From the input's root, with dots: `openai_input.stream`.
    pub path: String,
    /// The default where the job does not hold it, as text.
    pub default: Option<String>,
    /// Whether a job without it fails.
    pub needed: bool,
    /// Whether the program tests for it.
    pub asked: bool,
    /// Whether the program itself refuses a job without it.
    pub ends: bool,
    /// Values that the program writes there, as text, or `removed`.
    pub set: BTreeSet<String>,
    /// The words that the program compares its value with.
    pub words: BTreeSet<String>,
    /// The type and the limits that a model gives it: `int, le 10`.
    pub limits: Option<String>,
    pub place: Place,
    /// Whether text of JSON is taken for it, too.
    pub from_text: bool,
    /// Whether a schema that does not know it refuses jobs that give it.
    pub refused: bool,
    /// Whether anything is done with what was taken.
    pub used: bool,
    /// Whether code that runs looks at it.
    pub reached: bool,
}

/// A setting of `runpod.serverless.start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: String,
    /// Of a function: the numbers in it that no variable replaces.
    pub numbers: String,
    /// Whether the value is a constant, and not the name of a function.
    pub is_constant: bool,
    pub place: Place,
}

/// Which of the files run. `None` says that every file counts.
#[derive(Debug, Default, Clone)]
pub struct Reach {
    /// The files that the image starts; what they import is reached too.
    pub roots: Option<BTreeSet<RepoPath>>,
    /// The files that the image holds.
    pub held: Option<BTreeSet<RepoPath>>,
    /// Whether a program that starts is not among the files: it may call any function.
    pub absent: bool,
    /// The names of shell scripts that hand their arguments on to the server.
    pub launchers: BTreeSet<String>,
}

/// The most steps for sources of so many bytes.
fn steps_for(bytes: usize) -> usize {
    100_000 + bytes * 20
}

/// Reads Python files as one program. `data` are files beside it, by path, that it may load.
pub fn read(
    sources: &[&Source],
    data: &BTreeMap<String, &Source>,
    reach: &Reach,
) -> Reading<PythonFacts> {
    read_counted(sources, data, reach).0
}

/// The same, with how many steps it took.
fn read_counted(
    sources: &[&Source],
    data: &BTreeMap<String, &Source>,
    reach: &Reach,
) -> (Reading<PythonFacts>, usize) {
    let mut unread = Vec::new();
    let mut parsed: Vec<(&Source, Syntax<'_>)> = Vec::new();
    // Files that stand alone come last: only their classes and functions are read.
    let (sources, apart) = relevant_files::sorted(sources, reach);
    let all = || sources.iter().chain(&apart);
    let texts: Vec<&str> = all().map(|source| source.text.as_str()).collect();
    for (source, syntax) in all().zip(syntax::parse_all(&texts)) {
        match syntax {
            Ok(mut syntax) => {
                syntax.file = u32::try_from(parsed.len()).unwrap_or(u32::MAX);
                parsed.push((source, syntax));
            }
            Err(why) => unread.push(Unread::new(why, Place::start_of(&source.path))),
        }
    }
    let own: IndexSet<&RepoPath> = apart.iter().map(|source| &source.path).collect();
    let files = parsed
        .iter()
        .filter(|(source, _)| !own.contains(&source.path))
        .map(|(source, syntax)| (*source, syntax))
        .collect();
    let program = Program::new(files, reach);
    let (mut declared, mut passed) = (Vec::new(), BTreeSet::new());
    for file in program.files.iter().filter(|file| file.reached) {
        let reads = declared::reads(file.source, file.syntax, &mut passed, &mut unread);
        declared.extend(reads);
    }
    let acts = |file: &&scope::File<'_>| file.reached && acts(file.syntax.root());
    let acting = program.files.iter().filter(acts);
    let acting = acting.map(|file| file.source.path.clone()).collect();
    let mut reader = Reader::new(program, data);
    reader.run();
    reader.facts.acting = acting;
    reader.facts.passed.append(&mut passed);
    let calls = api::calls(&reader.program);
    let Reader {
        mut facts,
        unread: more,
        steps,
        words,
        schemas,
        ..
    } = reader;
    for (source, syntax) in &parsed {
        if own.contains(&source.path) {
            let most = syntax.errors.iter().filter(|error| is_most(source, error));
            unread.extend(most.map(|error| no_python(source, error)));
        }
        facts.api.extend(api::items(source, syntax.root(), &calls));
    }
    unread.extend(more);
    facts.env.extend(declared);
    facts.finish(words, &schemas);
    unread.sort();
    unread.dedup();
    (Reading::new(facts, unread), steps)
}

/// Whether a module calls something, or changes what another one holds, when it is imported.
fn acts(root: Node<'_>) -> bool {
    let mut todo: Vec<Node<'_>> = root.children().collect();
    while let Some(node) = todo.pop() {
        let first = node.child(0);
        match node.kind() {
            "function_definition" | "class_definition" | "decorated_definition" => {}
            "if_statement" if node.text_of("condition").contains("__name__") => {}
            "expression_statement" => {
                let left = first.and_then(|one| one.field("left"));
                let changes = left.is_some_and(|one| is_among("attribute subscript", one.kind()));
                if changes || first.is_some_and(|one| one.kind() == "call") {
                    return true;
                }
            }
            _ => todo.extend(node.children()),
        }
    }
    false
}

impl<'t> Reader<'t> {
    fn run(&mut self) {
        let mut nodes: Vec<Node<'t>> = Vec::new();
        for file in &self.program.files {
            nodes.extend(file.syntax.nodes());
        }
        let calls = ["call", "function_definition", "lambda"];
        let calls = nodes.iter().filter(|node| calls.contains(&node.kind()));
        let calls: Vec<Node<'t>> = calls.copied().collect();
        self.sweep_all(&calls);
        let mut unfinished: BTreeSet<usize> = BTreeSet::new();
        for node in nodes {
            self.note_names(node);
            if self.steps > self.limit {
                unfinished.insert(node.file());
            } else {
                self.account_for(node);
                self.drop_many_contexts();
            }
        }
        for file in unfinished {
            let root = self.program.files[file].syntax.root();
            let what = "this file is too much to follow to its end";
            let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
            self.not_read(root.child(0).unwrap_or(root), what, &hides);
        }
        self.unknown_programs();
        self.note_syntax_errors();
    }

    /// Accounts for a node: what it mentions becomes a fact or unread.
    fn account_for(&mut self, node: Node<'t>) {
        match node.kind() {
            "call" => {
                let Some(function) = node.field("function") else {
                    return;
                };
                let callee = self.value(function);
                let calls = is_among(CALLING, function.last_name());
                let mut given = node.argument_values().into_iter().filter(|_| calls);
                if callee.is_lost() || given.any(|given| self.value(given).is_lost()) {
                    self.note_lost(node);
                }
                self.environment_call(node, &callee);
                self.process(node, &callee);
                self.note_serverless_start(node, &callee);
                self.input_call(node, &callee);
                self.request(node, &callee);
                self.note_sdk_call(node, &callee);
                self.note_served_routes(node);
                self.note_loaded_model(node, &callee);
                self.whole_environment(node);
            }
            "subscript" => {
                let whole = node
                    .field("value")
                    .map_or(Val::Unknown, |object| self.value(object));
                // A call through it is reported at the call.
                if whole.is_lost() && !is_called_through(node) {
                    self.note_lost(node);
                }
                self.environment_item(node, &whole);
                self.input_item(node, &whole);
            }
            "comparison_operator" => {
                if let Some((left, right)) = node.child(0).zip(node.child(1)) {
                    if node.text_of("operators").ends_with("in") {
                        self.environment_test(node, left, right);
                        self.input_test(node, left, right);
                    }
                    self.note_compared_path(left, right);
                    self.input_word(left, right);
                    self.input_word(right, left);
                }
            }
            "class_definition" => self.settings_class(node),
            "keyword_argument" => self.envvar(node),
            "augmented_assignment" => {
                self.environment_joined(node);
                self.input_joined(node);
            }
            "dictionary" | "binary_operator" => self.input_extended(node),
            "match_statement" => self.note_match(node),
            "import_statement" | "import_from_statement" => self.foreign_import(node),
            "string" => {
                self.environment_string(node);
                self.command_string(node);
            }
            "identifier" | "attribute" => self.whole_environment(node),
            _ => {}
        }
    }

    /// A value that was too much to follow may be the environment, a job's input or a client. What
    /// a function does with one value is told once.
    fn note_lost(&mut self, node: Node<'t>) {
        let root = self.program.files[node.file()].syntax.root();
        let within = node.function().unwrap_or(root);
        if !self.program.reaches(node) || !self.lost_in.insert(within) {
            return;
        }
        let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
        self.not_read(node, "this is too much to follow to its end", &hides);
    }

    /// Notes the data files that reached code names, and tables from variables to flags.
    fn note_names(&mut self, node: Node<'t>) {
        let is_text = node
            .parent()
            .is_some_and(|parent| parent.kind() == "expression_statement");
        if node.kind() == "string" && !is_text && self.program.reaches(node) {
            let name = node.unquoted().rsplit('/').next().unwrap_or_default();
            if name.contains('.') && !name.contains(' ') {
                self.facts.opens.insert(name.to_owned());
            }
        }
        if node.kind() == "pair"
            && let Some((key, value)) = node.field("key").zip(node.field("value"))
            && value.unquoted().starts_with("--")
            && self.program.reaches(node)
            && let Val::Str(name, _) = self.value(key)
            && let Val::Str(flag, _) = self.value(value)
            && !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
        {
            let place = self.place(key);
            self.facts
                .tables
                .push((name.to_string(), flag.to_string(), place));
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
        && matches!(parent.kind(), "subscript" | "attribute")
    {
        outer = parent;
    }
    outer.role() == "function"
}

/// Whether a place takes up most of a file.
fn is_most(source: &Source, range: &Range<usize>) -> bool {
    range.len() > source.text.len() / 2 && range.len() > 200
}

fn no_python(source: &Source, range: &Range<usize>) -> Unread {
    let what = "no Python, or not read as such; facts in it may be missing";
    let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
    source.unread(range.clone(), what, &hides)
}

impl PythonFacts {
    /// Adds to each read the flag that it drives, and sorts.
    fn finish(
        &mut self,
        mut words: BTreeMap<String, BTreeSet<String>>,
        schemas: &BTreeMap<String, BTreeSet<String>>,
    ) {
        let mut drives: BTreeMap<&str, super::FlagMapping> = BTreeMap::new();
        for given in &self.flags {
            for (name, how) in &given.from {
                let drive = super::FlagMapping {
                    flag: given.flag.clone(),
                    how: how.clone(),
                };
                // A flag that takes the value is preferred to one that it only switches on.
                let better = drives
                    .get(name.as_str())
                    .is_none_or(|old| old.how != FlagKind::Value && *how == FlagKind::Value);
                if better {
                    drives.insert(name, drive);
                }
            }
        }
        // A write is nothing to who does not read it, or takes something else whatever it is.
        let mut read: BTreeMap<&str, bool> = BTreeMap::new();
        for one in &self.env {
            let how = one.interpreted.as_deref().unwrap_or_default();
            *read.entry(&one.name).or_default() |= how.starts_with("always ");
        }
        self.write_defaults
            .retain(|one| read.get(&*one.name) == Some(&false));
        self.env.append(&mut self.write_defaults);
        for read in &mut self.env {
            read.drives = drives.get(read.name.as_str()).cloned();
        }
        for input in &mut self.inputs {
            input.needed &= !input.asked;
            input.words = words.remove(&input.path).unwrap_or_default();
            let (owner, name) = input.path.rsplit_once('.').unwrap_or(("", &input.path));
            input.refused = schemas.get(owner).is_some_and(|keys| !keys.contains(name));
        }
        self.env.sort();
        self.env.dedup();
        self.assigned.sort();
        self.assigned.dedup();
    }
}

/// The name that a file is imported by, without its package.
pub fn module_name(path: &RepoPath) -> String {
    let name = String::from_utf8_lossy(path.name()).into_owned();
    let stem = name.strip_suffix(".py").unwrap_or(&name);
    if stem == "__init__" {
        let parent = path.parent();
        return parent.map_or_else(String::new, |p| {
            String::from_utf8_lossy(p.name()).into_owned()
        });
    }
    stem.to_owned()
}

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod tests;
