//! What the reader finds in a worker's Python files.

use std::collections::{BTreeMap, BTreeSet};

use super::{ApiItem, Offer};
use crate::{EnvRead, FlagKind, FlagMapping, Place};
use xtask_core::tree::RepoPath;

/// Everything that is read from a worker's Python files.
#[derive(Debug, Default, Clone)]
pub struct PythonFacts {
    pub env: Vec<EnvRead>,
    /// Variables that the program sets for what it starts or imports.
    pub set: Vec<(String, Place)>,
    /// Variables that reached code sets, with the value.
    pub assigned: Vec<(String, String, Place)>,
    /// The same with the conditions that it does so under, without what is set for a child alone.
    pub written: Vec<(String, Option<String>, Place)>,
    /// Defaults that the program writes to the environment before its reads.
    pub(super) write_defaults: Vec<EnvRead>,
    pub flags: Vec<FlagGiven>,
    pub routes: Vec<Requested>,
    pub inputs: Vec<InputKey>,
    pub serverless: Vec<Setting>,
    pub offers: Vec<Offer>,
    /// Where in results stands what was not followed: the keys before it, with dots.
    pub loose_results: BTreeSet<String>,
    pub api: Vec<ApiItem>,
    /// The files that run and do something when they are imported.
    pub acting: BTreeSet<RepoPath>,
    /// The files that run: those that the image starts, and what they import.
    pub reached: BTreeSet<RepoPath>,
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
    /// The flags that each process is started with; `None` where they are not known.
    pub(super) started: Vec<Option<BTreeSet<String>>>,
    /// The programs through which it starts the server, with their options.
    pub started_through: Vec<(String, Place)>,
}

/// A flag that the program gives to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagGiven {
    pub flag: String,
    pub value: FlagValue,
    /// The text around the variables of its value, where there is any: `/models/{}`.
    pub form: Option<String>,
    /// The variables that decide on it, and how.
    pub from: Vec<(String, FlagKind)>,
    /// What else decides on it, in the program's own words: a test for a file.
    pub when: Option<String>,
    /// The other variables that must hold, or must not: `A, B or C, not D`.
    pub needs: Option<String>,
    /// Whether it is always added behind a variable's value for the same flag: `SGLang` takes the last.
    pub wins: bool,
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
    /// How often it is tried where it fails: a number, or the decorator that does so.
    pub tries: Option<String>,
    /// What its body holds, a line each: `stream=True`, `messages`.
    pub body: BTreeSet<String>,
    pub place: Place,
    /// Whether it stands in code that runs.
    pub reached: bool,
}

/// A key of the job's input that the handler looks at.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
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
    /// What the program makes of its value: `* 60`, `lower()`.
    pub made: BTreeSet<String>,
    /// The type and the limits that a model gives it: `int, le 10`.
    pub limits: Option<String>,
    pub place: Place,
    /// Whether text of JSON is taken for it, too.
    pub from_text: bool,
    /// Whether a schema that does not know it refuses jobs that give it.
    pub refused: bool,
    /// Whether a schema lists it that refuses all other keys.
    pub listed: bool,
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
    /// The conditions under which it is given, as text.
    pub when: String,
    /// Of a function: the numbers in it that no variable replaces.
    pub numbers: String,
    /// Whether the value is a constant, and not the name of a function.
    pub is_constant: bool,
    /// The variable that a function returns as it is.
    pub variable: Option<String>,
    pub place: Place,
}

impl PythonFacts {
    /// Adds to each read the flag that it drives, and sorts.
    pub(super) fn finish(
        &mut self,
        mut words: BTreeMap<String, BTreeSet<String>>,
        schemas: &BTreeMap<String, BTreeSet<String>>,
    ) {
        // What is added to a command that is started without it is not passed.
        let started: Option<Vec<_>> = std::mem::take(&mut self.started).into_iter().collect();
        if let Some(started) = started.filter(|all| !all.is_empty()) {
            let all: BTreeSet<String> = started.into_iter().flatten().collect();
            let flags = self.flags.iter_mut();
            flags.for_each(|given| given.reached &= all.contains(&given.flag));
        }
        let mut drives: BTreeMap<&str, FlagMapping> = BTreeMap::new();
        // What code that runs does with a variable is preferred to what other code does.
        let (live, dead): (Vec<_>, Vec<_>) = self.flags.iter().partition(|given| given.reached);
        for given in live.into_iter().chain(dead) {
            for (name, how) in &given.from {
                // A flag that takes the value is preferred to one that it only switches on.
                let known = drives.get(name.as_str()).map(|old| &old.how);
                let is_better = |old: &FlagKind| {
                    given.reached && *old != FlagKind::Value && *how == FlagKind::Value
                };
                if known.is_none_or(is_better) {
                    let (flag, how) = (given.flag.clone(), how.clone());
                    drives.insert(name, FlagMapping { flag, how });
                }
            }
        }
        // A write counts only if something reads the variable and does not always take something
        // else.
        let mut is_overwritten: BTreeMap<&str, bool> = BTreeMap::new();
        for read in &self.env {
            let how = read.interpreted.as_deref().unwrap_or_default();
            *is_overwritten.entry(&read.name).or_default() |= how.starts_with("always ");
        }
        let counts = |write: &EnvRead| is_overwritten.get(&*write.name) == Some(&false);
        self.write_defaults.retain(counts);
        self.env.append(&mut self.write_defaults);
        for read in &mut self.env {
            read.drives = drives.get(read.name.as_str()).cloned();
        }
        let is_sent = self.routes.iter().any(|one| one.body.contains("{input}"));
        for input in &mut self.inputs {
            input.needed &= !input.asked;
            input.words = words.remove(&input.path).unwrap_or_default();
            let (owner, name) = input.path.rsplit_once('.').unwrap_or(("", &input.path));
            let is_listed = schemas.get(owner).map(|keys| keys.contains(name));
            (input.refused, input.listed) = (is_listed == Some(false), is_listed == Some(true));
            // A request that sends all of the input uses each of its keys.
            input.used |= is_sent && input.listed && owner.is_empty();
        }
        self.env.sort();
        self.env.dedup();
        self.assigned.sort();
        self.assigned.dedup();
    }
}
