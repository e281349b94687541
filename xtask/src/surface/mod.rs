//! What a worker exposes, read from its files without running anything.
//!
//! Each module below goes from a file's text to facts with places; none does I/O. [`Surface::read`]
//! picks the files from a tree, gives each to its module and keeps the results side by side, so
//! that compare and hub-lint ask one value instead of reading files again.

pub mod json;
pub mod python;
pub mod source;

use anyhow::Result;

pub use source::{Gap, Place, Source};

use crate::tree::Tree;

/// How an environment variable reaches SGLang's command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Drive {
    /// The flag as the worker writes it: `--model-path`.
    pub flag: String,
    pub how: How,
}

/// What of the variable is passed on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// Its value follows the flag.
    Value,
    /// The flag stands alone when the variable holds one of these words.
    Switch { words: Vec<String> },
}

/// An environment variable that the running worker reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EnvRead {
    pub name: String,
    /// What is used when it is unset, as source text or value.
    pub default: Option<String>,
    /// The flag it drives, if it drives one.
    pub drives: Option<Drive>,
    pub place: Place,
}

/// An environment variable that a Hub file or the old template form declares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    pub name: String,
    pub title: Option<String>,
    pub description: Option<String>,
    /// `string`, `number`, `boolean` or `huggingface`; the old form's words are translated.
    pub kind: Option<String>,
    pub default: Option<serde_json::Value>,
    pub options: Vec<(String, Place)>,
    pub required: bool,
    pub advanced: bool,
    /// A fixed value that no person can change.
    pub fixed: Option<String>,
    pub place: Place,
    /// Where the default stands.
    pub default_place: Option<Place>,
}

/// What a worker exposes.
#[derive(Debug, Default)]
pub struct Surface {
    /// Read at run time, by Python and by scripts that the image starts.
    pub env: Vec<EnvRead>,
    /// Declared in `.runpod/hub.json`.
    pub hub: Option<Vec<Declared>>,
    /// Whatever could not be read statically.
    pub gaps: Vec<Gap>,
}

impl Surface {
    /// Reads everything a worker exposes from a tree.
    pub fn read(_tree: &dyn Tree) -> Result<Self> {
        Ok(Self::default())
    }

    /// Every place that reads the variable of that name.
    pub fn reads<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a EnvRead> {
        self.env.iter().filter(move |read| read.name == name)
    }
}
