//! The reader of a worker's Python: which variables it reads and what for, the server's command
//! line, the routes it asks for, what it takes of a job's input, and its classes and functions.
//!
//! Nothing is run. Each mention of the environment, of a job's input and of a command that starts
//! `SGLang` becomes a fact or an [`Unread`]. The stages:
//!
//! 1. `program`: picks the files that matter, parses them, binds names, and finds what the image
//!    runs.
//! 2. `evaluation`: sweeps over all calls until the summaries of functions are settled, and
//!    evaluates expressions abstractly.
//! 3. `walk`: accounts for every node. Where a mention depends on its callers or loops, it is
//!    evaluated in each of these contexts.
//! 4. The facts: `variables` of the environment, the command line of the `server`, `jobs`, and
//!    `routes`. `uses` says what is done with a value, and its defaults and limits. `facts` holds
//!    it all.

#![allow(
    clippy::match_bool,
    clippy::match_same_arms,
    reason = "one arm for each construct of the language, in one place"
)]

mod evaluation;
mod facts;
mod jobs;
mod program;
mod routes;
mod server;
mod uses;
mod variables;
mod walk;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use self::evaluation::eval::Reader;
use self::program::scope::{File, Program};
use self::program::syntax::Syntax;
use self::walk::{acts_on_import, is_most, no_python};
use super::{Place, Reading, Source, Unread};
use indexmap::IndexSet;
use rustc_hash::FxBuildHasher;
use xtask_core::tree::RepoPath;

pub use evaluation::data::LARGEST as LARGEST_DATA;
pub use facts::{FlagGiven, FlagValue, InputKey, PythonFacts, Requested, Setting};
pub use jobs::job_input::{ADDED, REMOVED};
pub use program::api::ApiItem;
pub use program::code_text::{tokens, without_comments};
pub use program::imports;
pub use program::statements::{Statement, statements};
pub use routes::bodies::{FROM, said_of_part};
pub use routes::offers::{COMPUTED, Offer};
pub use routes::requests::{FORM, HEADER, NO_BODY};
pub use server::process::hands_on;
pub use variables::declared::string_lists;

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
    let (sources, standalone) = program::relevance::split(sources, reach);
    let all = || sources.iter().chain(&standalone);
    let texts: Vec<&str> = all().map(|source| source.text.as_str()).collect();
    for (source, syntax) in all().zip(program::syntax::parse_all(&texts)) {
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
        let reads = variables::declared::reads(file.source, file.syntax, &mut passed, &mut unread);
        declared.extend(reads);
    }
    let running = program.files.iter().filter(|file| file.reached);
    let path = |file: &File<'_>| file.source.path.clone();
    let reached = running.clone().map(path).collect();
    let acting = running.filter(|file| acts_on_import(file.syntax.root()));
    let acting = acting.map(path).collect();
    let mut reader = Reader::new(program, data);
    reader.run();
    let calls = program::api::calls(&reader.program);
    let mut facts = reader.facts;
    (facts.acting, facts.reached) = (acting, reached);
    facts.passed.append(&mut passed);
    for (source, syntax) in &parsed {
        if standalone.contains(&source.path) {
            let most = syntax.errors.iter().filter(|error| is_most(source, error));
            unread.extend(most.map(|error| no_python(source, error)));
        }
        facts
            .api
            .extend(program::api::items(source, syntax.root(), &calls));
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
mod tests;
