//! The reader of a worker's Python: which variables it reads and what for, the server's command
//! line, the routes it asks for, what it takes of a job's input, and its classes and functions.
//!
//! Nothing is run. Each mention of the environment, of a job's input and of a command that starts
//! `SGLang` becomes a fact or an [`Unread`]. The stages:
//!
//! 1. `relevance` picks the files, and `syntax` parses them.
//! 2. `scope` binds names, `changes` finds what changes lists and attributes, and `reachability`
//!    what the image runs.
//! 3. `calls` sweeps over all calls until the summaries of functions (`summaries`) are settled.
//!    `eval` evaluates expressions abstractly (`value`), with `names` for variables, `objects` for
//!    classes, `builtins` and `text` for Python's own functions, and `data` for files of data.
//! 4. `walk` accounts for every node. Where a mention depends on its callers or loops, `contexts`
//!    lists them, and the mention is evaluated in each.
//! 5. Facts: `environment`, `whole_environment`, `settings` and `declared` (variables);
//!    `usage`, `tested`, `negation`, `limits`, `branch_defaults`, `earlier` and `unused` (what is done with a
//!    value, its limits and its defaults, in the words of `fingerprint`);
//!    `process`, `command`, `command_text`, `flags` and `needs` (the server's command line);
//!    `handler`, `job_input` and
//!    `models` (jobs); `requests` (routes asked for); `offers` (routes served, models, programs).
//! 6. `api` reads the names that other code may import. `facts` holds it all.
//!
//! `imports` and `statements` answer questions of their own about single files.

#![allow(
    clippy::match_bool,
    clippy::match_same_arms,
    reason = "one arm for each construct of the language, in one place"
)]

mod api;
mod branch_defaults;
mod builtins;
mod calls;
mod changes;
mod command;
mod command_text;
mod contexts;
mod data;
mod declared;
mod earlier;
mod environment;
mod eval;
mod facts;
mod fingerprint;
mod flags;
mod handler;
pub mod imports;
mod job_input;
mod key_sets;
mod limits;
mod models;
mod names;
mod needs;
mod negation;
mod objects;
mod offers;
mod process;
mod reachability;
mod relevance;
mod requests;
mod scope;
mod settings;
mod statements;
mod summaries;
mod syntax;
mod tested;
mod text;
mod unused;
mod usage;
mod value;
mod walk;
mod whole_environment;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use self::eval::Reader;
use self::scope::{File, Program};
use self::syntax::Syntax;
use self::walk::{acts_on_import, is_most, no_python};
use super::{Place, Reading, Source, Unread};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use xtask_core::tree::RepoPath;

pub use api::ApiItem;
pub use data::LARGEST as LARGEST_DATA;
pub use declared::string_lists;
pub use facts::{FlagGiven, FlagValue, InputKey, PythonFacts, Requested, Setting};
pub use job_input::{ADDED, REMOVED};
pub use offers::{COMPUTED, Offer};
pub use process::hands_on;
pub use requests::{FORM, FROM, HEADER, NO_BODY, said_of_part};
pub use statements::{Statement, statements};

/// In the order of insertion, so that one program is read in the same way each time.
type Map<K, V> = indexmap::IndexMap<K, V, FxBuildHasher>;
type Set<K> = indexmap::IndexSet<K, FxBuildHasher>;

/// Why a read of a variable without a known name is unread.
pub const COMPUTED_NAME: &str = "the name of this environment variable is computed";

/// Which of the files run. `None` says that every file counts.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Reach {
    /// The files that the image starts; what they import is reached too.
    pub roots: Option<BTreeSet<RepoPath>>,
    /// The files that the image holds.
    pub held: Option<BTreeSet<RepoPath>>,
    /// Functions that the commands of an installed project call.
    pub called: BTreeSet<String>,
    /// Whether a program that starts is not among the files: it may call any function.
    pub absent: bool,
    /// The names of shell scripts that hand their arguments on to the server.
    pub launchers: BTreeSet<String>,
    /// Whether a shell script may take what a program prints.
    pub takes_output: bool,
}

/// The most steps for sources of so many bytes.
fn steps_for(bytes: usize) -> usize {
    100_000 + bytes * 20
}

/// A program, and what was read of it.
struct ReadProgram {
    sources: Vec<Source>,
    data: BTreeMap<String, Source>,
    reach: Reach,
    read: Arc<OnceLock<Reading<PythonFacts>>>,
}

/// Reads Python files as one program. `data` are files beside it, by path, that it may load.
///
/// The last programs are kept: a worker and its upstream often have the same one, several rules and
/// tasks ask for one, and reading takes seconds. A caller that asks for one that is
/// being read waits for it.
pub fn read(
    sources: &[&Source],
    data: &BTreeMap<String, &Source>,
    reach: &Reach,
) -> Reading<PythonFacts> {
    const KEPT: usize = 4;
    static LAST: Mutex<VecDeque<ReadProgram>> = Mutex::new(VecDeque::new());
    let is_same = |known: &&ReadProgram| {
        let data = data.iter().map(|(name, source)| (name, *source));
        known.reach == *reach
            && known.sources.iter().eq(sources.iter().copied())
            && known.data.iter().eq(data)
    };
    let known = |all: &VecDeque<ReadProgram>| Some(all.iter().find(is_same)?.read.clone());
    let add = |all: &mut VecDeque<ReadProgram>| {
        let data = data.iter();
        let read = Arc::default();
        all.push_front(ReadProgram {
            sources: sources.iter().copied().cloned().collect(),
            data: data
                .map(|(name, source)| (name.clone(), (*source).clone()))
                .collect(),
            reach: reach.clone(),
            read: Arc::clone(&read),
        });
        all.truncate(KEPT);
        read
    };
    let mut all = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let read = known(&all).unwrap_or_else(|| add(&mut all));
    drop(all);
    read.get_or_init(|| read_counted(sources, data, reach).0)
        .clone()
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
    let (sources, standalone) = relevance::split(sources, reach);
    let all = || sources.iter().chain(&standalone);
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
    let standalone: IndexSet<&RepoPath> = standalone.iter().map(|source| &source.path).collect();
    let files = parsed.iter().map(|(source, syntax)| (*source, syntax));
    let files = files.filter(|(source, _)| !standalone.contains(&source.path));
    let program = Program::new(files.collect(), reach);
    let (mut declared, mut passed) = (Vec::new(), BTreeSet::new());
    for file in program.files.iter().filter(|file| file.reached) {
        let reads = declared::reads(file.source, file.syntax, &mut passed, &mut unread);
        declared.extend(reads);
    }
    let running = program.files.iter().filter(|file| file.reached);
    let path = |file: &File<'_>| file.source.path.clone();
    let reached = running.clone().map(path).collect();
    let acting = running.filter(|file| acts_on_import(file.syntax.root()));
    let acting = acting.map(path).collect();
    let mut reader = Reader::new(program, data);
    reader.run();
    let calls = api::calls(&reader.program);
    let mut facts = reader.facts;
    (facts.acting, facts.reached) = (acting, reached);
    facts.passed.append(&mut passed);
    for (source, syntax) in &parsed {
        if standalone.contains(&source.path) {
            let most = syntax.errors.iter().filter(|error| is_most(source, error));
            unread.extend(most.map(|error| no_python(source, error)));
        }
        facts.api.extend(api::items(source, syntax.root(), &calls));
    }
    unread.extend(reader.unread);
    facts.env.extend(declared);
    facts.finish(reader.words, &reader.schemas);
    unread.sort();
    unread.dedup();
    (Reading::new(facts, unread), reader.steps)
}

/// The name that a file is imported by, without its package.
pub fn module_name(path: &RepoPath) -> String {
    let name = |path: &RepoPath| String::from_utf8_lossy(path.name()).into_owned();
    let file = name(path);
    match file.strip_suffix(".py").unwrap_or(&file) {
        "__init__" => path.parent().as_ref().map_or_else(String::new, name),
        stem => stem.to_owned(),
    }
}

#[cfg(test)]
mod accounting;
#[cfg(test)]
mod budget;
#[cfg(test)]
mod containers;
#[cfg(test)]
mod tests;
