//! The Dockerfile: what the image is made from, what it sets, holds and starts.

mod copy;
mod expand;
mod image;
mod landing;
mod more_copies;
mod more_lines;
mod reader;
mod rewrite;
mod split;
mod stages;

use super::shell::Script;
use super::{Hides, Place, Reading, Source, Unread};

pub use expand::expand;
use expand::try_expand;
pub use image::Image;
pub use more_copies::with_copies;
pub use more_lines::{added_steps, with_lines};
pub use reader::{read, read_on};
pub use rewrite::{Taken, arguments, rewrite, taken};
use split::{Instruction, clean, document_mark, split};

/// A name with a value: ENV, ARG, LABEL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub name: String,
    /// As written, quotes removed.
    pub value: String,
    pub place: Place,
}

impl Named {
    pub fn new(name: impl Into<String>, value: impl Into<String>, place: Place) -> Self {
        let (name, value) = (name.into(), value.into());
        Self { name, value, place }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub text: String,
    pub place: Place,
}

impl Text {
    pub fn new(text: impl Into<String>, place: Place) -> Self {
        let text = text.into();
        Self { text, place }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    pub sources: Vec<String>,
    pub dest: String,
    pub from: Option<String>,
    pub paths: Vec<String>,
    /// Where they go in the image, from its root; a slash at the end stays.
    pub target: String,
    /// Whether the folders of a source's path are kept.
    pub parents: bool,
    pub excludes: Vec<String>,
    /// `--chmod` and `--chown`.
    pub mode: Option<String>,
    pub owner: Option<String>,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// `cache` or `secret`, or another of `BuildKit`'s.
    pub kind: String,
    /// The secret's id, or where it is mounted.
    pub name: String,
    /// What a bind mount takes, where that is not another stage's.
    pub source: Option<String>,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    pub script: Script,
    /// Where the script begins in the file.
    pub base: usize,
    /// WORKDIR at that line.
    pub workdir: Option<String>,
    pub place: Place,
}

/// Something that the build does other than setting, copying and installing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub commands: Vec<String>,
    pub place: Place,
}

/// Arguments that every build takes.
pub fn is_predefined(name: &str) -> bool {
    const OTHERS: &str = "SOURCE_DATE_EPOCH HTTP_PROXY HTTPS_PROXY FTP_PROXY NO_PROXY ALL_PROXY";
    let upper = name.to_uppercase();
    upper.starts_with("BUILDKIT_") || crate::is_one_of(OTHERS, &upper)
}

#[cfg(test)]
mod tests;
