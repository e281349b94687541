//! What a worker exposes, read from its files without running anything.
//!
//! Each module below turns a file's text into facts with places; none does I/O.
//! [`WorkerInterface::read`] picks the files from a tree and collects the facts.

pub mod bake;
pub mod compose;
pub mod copied;
pub mod dockerfile;
#[cfg(test)]
mod fuzz;
pub mod glob;
pub mod hub;
pub mod ignore;
pub mod json;
pub mod packages;
pub mod python;
mod read;
mod readme;
pub mod references;
pub mod rewrite;
pub mod shell;
pub mod source;
mod steps;
#[cfg(test)]
mod tests;
pub mod tests_json;
mod toml;
mod worker_config;
pub mod yaml;

use std::collections::{BTreeMap, BTreeSet};

pub use read::is_aside;
pub use source::{Hides, Place, Reading, Source, Unread};

use xtask_core::tree::RepoPath;

/// Separates a command or a package's options from the conditions that they stand below.
pub const IF: &str = " if ";

/// Separates a computed value's source text from the fingerprint of what it depends on.
pub const COMPUTED: &str = " (computed, fingerprint ";

/// Marks the source text of a default that depends on the name of its variable.
pub const BY_NAME: &str = " (depends on its name)";

/// Separates the values that one name has in several places.
pub const ALSO: &str = " or else ";

/// The message about a Dockerfile that nothing builds.
pub const NOT_BUILT: &str = "not read: nothing says that the worker's image is built from it";

/// Adds the value that a name has in another place, unless it is known or there are too many.
pub fn add_value(known: &mut String, value: &str) {
    const MOST_BYTES: usize = 8192;
    if known.is_empty() {
        value.clone_into(known);
    } else if known.len() < MOST_BYTES && !known.split(ALSO).any(|one| one == value) {
        known.push_str(ALSO);
        known.push_str(value);
    }
}

/// How an environment variable reaches `SGLang`'s command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlagMapping {
    /// The flag as the worker writes it: `--model-path`.
    pub flag: String,
    pub how: FlagKind,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagKind {
    Value,
    /// The flag stands alone when the variable holds one of these words.
    Switch {
        words: Vec<String>,
    },
}

/// An environment variable that the running worker reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvRead {
    pub name: String,
    /// What the program uses when nothing is set, as text.
    pub default: Option<String>,
    /// Whether it takes no default for what is set to nothing.
    pub keeps_empty: bool,
    /// Whether the program fails when it is unset.
    pub required: bool,
    /// Whether the program itself ends where it is unset.
    pub ends: bool,
    /// Whether it does so at its start, whatever else is set.
    pub at_start: bool,
    /// Whether the program only asks if it is set.
    pub asked: bool,
    /// Where it is read into a variable: whether nothing is done with that.
    pub idle: Option<bool>,
    /// How the value is used, if not as text: `in [1,true] any case`, `== 1`, `truthy`, `int`.
    pub interpreted: Option<String>,
    /// What its words stand for in a table that they are looked up in: `small: 2048`.
    pub gives: Vec<String>,
    /// The variables that are tried when it is unset, in order.
    pub fallbacks: Vec<String>,
    /// Whether code that runs reads it.
    pub reached: bool,
    pub drives: Option<FlagMapping>,
    /// Whether it is read because `sglang_flags.json` lists its flag. Its default is then unknown.
    pub by_table: bool,
    pub place: Place,
}

impl EnvRead {
    /// A read of plain text by code that runs.
    pub fn new(name: impl Into<String>, default: Option<String>, place: Place) -> Self {
        Self {
            name: name.into(),
            default,
            reached: true,
            place,
            ..Self::default()
        }
    }
}

/// An environment variable that a Hub file or the old template form declares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    /// `string`, `number`, `boolean` or `huggingface`; the old form's words are translated.
    pub kind: Option<String>,
    /// Empty text is no default.
    pub default: Option<String>,
    /// The values, with their places.
    pub options: Vec<(String, Place)>,
    pub required: bool,
    /// What a boolean that is on sets the variable to, and one that is off.
    pub true_value: Option<String>,
    pub false_value: Option<String>,
    pub min: Option<String>,
    pub max: Option<String>,
    /// The other keys of its input, as JSON: `dependsOn`, `step`, `multiple`, …
    pub others: Vec<(String, String)>,
    /// A fixed value, which no person can change.
    pub fixed: Option<String>,
    pub place: Place,
    pub default_place: Option<Place>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    pub manager: packages::Manager,
    pub name: String,
    /// Version specifier, empty for any; `@URL` where it comes from there.
    pub spec: String,
    /// Options that decide where it comes from: another index, constraints.
    pub index: Option<String>,
    /// Options that decide what of it is installed: `--no-deps`, `--pre`, another folder.
    pub options: Option<String>,
    /// Whether the image's build gets to it; a script that nothing runs does not.
    pub in_image: bool,
    pub place: Place,
}

/// The flags that `sglang_flags.json` lists, with their aliases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlagTable {
    pub version: Option<String>,
    pub flags: Vec<TableFlag>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFlag {
    pub flag: String,
    pub aliases: Vec<String>,
    pub is_switch: bool,
    /// Whether `SGLang` still knows it and ends because of it; the worker never passes that on.
    pub is_refused: bool,
    pub place: Place,
}

#[derive(Debug, Default)]
pub struct WorkerInterface {
    /// Read at run time: by Python, by scripts, and through `sglang_flags.json`.
    pub env: Vec<EnvRead>,
    pub python: python::PythonFacts,
    pub image: Option<dockerfile::Image>,
    pub dockerfile: Option<RepoPath>,
    /// What the build does other than setting, copying and installing: an entry a RUN line.
    pub steps: Vec<dockerfile::Step>,
    /// The files that the image holds; nothing where that is not known.
    pub held: Option<BTreeSet<RepoPath>>,
    /// Where the image holds them, by their path in it, without the first slash.
    pub landed: BTreeMap<String, RepoPath>,
    /// Paths of files that the start, its scripts and Python name, and that the image holds
    /// elsewhere: with where they are named.
    pub misplaced: BTreeMap<String, Place>,
    /// Variables that a script which starts the worker exports, with their values.
    pub exports: Vec<(String, String, Place)>,
    /// Variables that such a script sets whatever the endpoint says: to what, and where.
    pub always_set: BTreeMap<String, (String, Place)>,
    /// The programs through which scripts start `SGLang`, with their options.
    pub started_through: Vec<(String, Place)>,
    /// The Python files that the image's start runs, and where it does.
    pub starts: BTreeMap<RepoPath, Place>,
    /// `$NAME` in RUN lines.
    pub build_reads: Vec<(String, Place)>,
    pub packages: Vec<Package>,
    pub compose: Vec<compose::Service>,
    pub bake: Option<bake::Bake>,
    pub hub: Option<hub::Hub>,
    pub tests: Option<tests_json::Tests>,
    pub form: Option<worker_config::WorkerConfig>,
    pub readme: Vec<readme::Documented>,
    pub flag_table: Option<FlagTable>,
    pub sources: BTreeMap<RepoPath, Source>,
}

impl WorkerInterface {
    /// Drops the defaults that never hold, because the image sets the variable to nothing.
    fn drop_defaults(&mut self) {
        let Some(image) = &self.image else { return };
        let value = |all: &[dockerfile::Named], name: &str| {
            let set = all.iter().rev().find(|set| set.name == name);
            set.map(|set| set.value.clone())
        };
        let is_empty = |name: &str| {
            value(&image.env, name).is_some_and(|set| {
                let argument = set.trim_start_matches('$').trim_matches(['{', '}']);
                let given = || value(&image.args, argument).unwrap_or(set.clone());
                set.is_empty() || set.starts_with('$') && given().is_empty()
            })
        };
        let is_set_later = |name: &str| self.exports.iter().any(|(own, ..)| own == name);
        let reads = self
            .env
            .iter_mut()
            .filter(|read| read.keeps_empty && read.default.is_some());
        for read in reads.filter(|read| is_empty(&read.name) && !is_set_later(&read.name)) {
            read.default = None;
        }
    }

    pub fn reads<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a EnvRead> {
        self.env.iter().filter(move |read| read.name == name)
    }

    /// The release of `SGLang` that the worker runs, by the base image's tag or a pinned package.
    pub fn sglang(&self) -> Option<(String, Place)> {
        let image = self.image.as_ref();
        let base = image.and_then(|it| Some((it.sglang()?, it.base.as_ref()?.place.clone())));
        base.or_else(|| {
            let installed = self.packages.iter().filter(|package| package.in_image);
            installed.into_iter().find_map(|package| {
                let (_, version) = package.spec.split_once("==")?;
                (package.name == "sglang").then(|| (version.to_owned(), package.place.clone()))
            })
        })
    }
}

/// Whether a word is one of a list of words with spaces between them. No search is set up for it,
/// as most lists are short and this is asked for each node of a program.
pub fn is_one_of(words: &str, word: &str) -> bool {
    let (mut rest, word) = (words.as_bytes(), word.as_bytes());
    loop {
        // Most words differ in their first letter.
        let is_alike = rest.first() == word.first();
        let after = is_alike.then(|| rest.strip_prefix(word)).flatten();
        if after.is_some_and(|after| matches!(after.first(), None | Some(b' '))) {
            return !word.contains(&b' ');
        }
        match memchr::memchr(b' ', rest) {
            Some(end) => rest = &rest[end + 1..],
            None => return false,
        }
    }
}

/// Whether brackets nest too deeply for parsers that recurse. No person writes such a file.
pub fn too_deep(text: &str) -> bool {
    const DEEPEST: usize = 60;
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' | b'(' if depth == DEEPEST => return true,
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}
