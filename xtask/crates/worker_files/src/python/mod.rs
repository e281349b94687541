//! The worker's Python: which variables it reads and what for, the server's command line, the
//! routes it asks for, the shapes of job input it tells apart, and its classes and functions.

mod api;
mod calls;
mod define;
mod eval;
mod format;
mod interp;
mod json;
mod methods;
mod requests;
mod server;
mod statements;
mod syntax;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use self::syntax::Syntax;
use super::{EnvRead, How, Place, Reading, Source, Unread};
use xtask_core::tree::RepoPath;

pub use api::ApiItem;

/// Everything that is read from a worker's Python files.
#[derive(Debug, Default, Clone)]
pub struct PythonFacts {
    pub env: Vec<EnvRead>,
    /// Variables that the program sets for what it starts or imports.
    pub set: Vec<(String, Place)>,
    pub flags: Vec<FlagGiven>,
    pub routes: Vec<Requested>,
    pub inputs: Vec<InputKey>,
    pub serverless: Vec<Setting>,
    pub starts: Vec<Start>,
    pub api: Vec<ApiItem>,
    unread: Vec<Unread>,
    /// Dicts from a variable's name to a flag: name, flag, and the name's place.
    pub tables: Vec<(String, String, Place)>,
    /// Whether a command line for `SGLang`'s server was seen.
    pub launches: bool,
}

/// A flag that the program gives to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagGiven {
    pub flag: String,
    pub value: FlagValue,
    /// The variables that decide on it, and how.
    pub from: Vec<(String, How)>,
    pub place: Place,
}

/// What follows a flag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlagValue {
    /// Nothing: a switch.
    Alone,
    Fixed(String),
    /// What an environment variable holds.
    Env,
    /// Something that is not known statically.
    Computed,
}

/// A route that the program requests from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    /// The path; `{openai_route}` where the job's input gives it, `{}` where something else does.
    pub route: String,
    pub method: String,
    pub place: Place,
}

/// A key of the job's input that the handler looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputKey {
    /// From the input's root, with dots: `openai_input.stream`.
    pub path: String,
    /// What is used when the job does not hold it, as text.
    pub default: Option<String>,
    /// Whether a job without it fails.
    pub needed: bool,
    /// Whether the program asks first if it is there.
    pub asked: bool,
    pub place: Place,
}

/// A setting of `runpod.serverless.start`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub name: String,
    pub value: String,
    /// Whether the value is a constant, and not the name of a function.
    pub is_constant: bool,
    pub place: Place,
}

/// A process that the program starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    pub place: Place,
}

/// Which of the files run. `None` says that every file counts.
#[derive(Debug, Default, Clone)]
pub struct Reach {
    /// The files that the image starts; what they import is reached too.
    pub roots: Option<BTreeSet<RepoPath>>,
    /// The files that the image holds.
    pub held: Option<BTreeSet<RepoPath>>,
}

/// Reads Python files as one program. `data` are files beside it, by name, that it may load.
pub fn read(
    sources: &[&Source],
    data: &BTreeMap<String, &Source>,
    reach: &Reach,
) -> Reading<PythonFacts> {
    let _ = reach;
    let mut facts = read_all(sources, data);
    let unread = std::mem::take(&mut facts.unread);
    Reading::new(facts, unread)
}

fn read_all(sources: &[&Source], data: &BTreeMap<String, &Source>) -> PythonFacts {
    // Reading follows nesting by recursion, to a limit; the limit is worth some tens of
    // megabytes of stack, which is address space only until it is used.
    const STACK: usize = 256 * 1024 * 1024;
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || read_here(sources, data))
            .ok()
            .and_then(|thread| thread.join().ok())
    })
    .unwrap_or_else(|| PythonFacts {
        unread: sources
            .iter()
            .map(|source| {
                Unread::new(
                    "the Python files could not be read".to_owned(),
                    Place::start_of(&source.path),
                )
            })
            .collect(),
        ..PythonFacts::default()
    })
}

fn read_here(sources: &[&Source], data: &BTreeMap<String, &Source>) -> PythonFacts {
    let mut unread = Vec::new();
    let trees = parsed(sources);
    let mut parsed = Vec::new();
    let mut api = Vec::new();
    for (source, tree) in sources.iter().zip(&trees) {
        let tree = match tree {
            Ok(tree) => tree,
            Err(why) => {
                unread.push(Unread::new(
                    (*why).to_owned(),
                    Place::start_of(&source.path),
                ));
                continue;
            }
        };
        let root = tree.root();
        if let Some(error) = &tree.error {
            unread.push(Unread::new(
                "no Python from here on, or not read as such; facts after it may be missing"
                    .to_owned(),
                source.place(error.clone()),
            ));
        }
        api.extend(api::items(source, root));
        parsed.push((*source, root));
    }
    let mut facts = interp::Interp::new(parsed, data.clone()).run();
    facts.api = api;
    facts.unread.extend(unread);
    facts.finish();
    facts
}

/// The syntax of each file. Half of them are parsed beside the others, which is what takes longest.
fn parsed(sources: &[&Source]) -> Vec<Result<Syntax, &'static str>> {
    let parse = |sources: &[&Source]| -> Vec<_> {
        let texts = sources.iter().map(|source| &source.text);
        texts.map(|text| syntax::parse(text)).collect()
    };
    let all: usize = sources.iter().map(|source| source.text.len()).sum();
    let mut bytes = 0;
    let half = sources.iter().take_while(|source| {
        bytes += source.text.len();
        bytes <= all / 2
    });
    let (first, second) = sources.split_at(half.count());
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| parse(first));
        let second = parse(second);
        let mut trees = beside.join().unwrap_or_else(|_| {
            let failed = |_: &&Source| Err("the parser failed on these files");
            first.iter().map(failed).collect()
        });
        trees.extend(second);
        trees
    })
}

impl PythonFacts {
    /// Ties reads and flags together, and puts everything in order.
    fn finish(&mut self) {
        let mut drives: BTreeMap<&str, super::Drive> = BTreeMap::new();
        for given in &self.flags {
            for (name, how) in &given.from {
                let drive = super::Drive {
                    flag: given.flag.clone(),
                    how: how.clone(),
                };
                // A flag that takes the variable's value says more than one that it switches on.
                let better = drives
                    .get(name.as_str())
                    .is_none_or(|old| old.how != How::Value && *how == How::Value);
                if better {
                    drives.insert(name, drive);
                }
            }
        }
        for read in &mut self.env {
            read.drives = drives.get(read.name.as_str()).cloned();
        }
        for input in &mut self.inputs {
            input.needed &= !input.asked;
        }
        self.env.sort();
        self.env.dedup();
        self.unread.sort();
        self.unread.dedup();
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
mod tests;
