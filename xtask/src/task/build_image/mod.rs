//! `cargo xtask build-image`: build the worker's image, and know that what was built works.

mod bake;
mod check;
mod failure;
mod labels;
mod plan;
mod run;
mod token;
mod verify;

use std::path::Path;

use anyhow::{Result, bail};

use crate::cli;
use crate::outcome::Outcome;

/// How a check came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// Worth a look, no failure.
    Warning,
    Failed,
    /// Not looked at; the words say why.
    Skipped,
}

/// One thing that was looked at, before the build or in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked at, in a word or two: the name in text and JSON.
    pub name: &'static str,
    pub verdict: Verdict,
    /// What was seen; where it failed, what was expected and what to do.
    pub words: Vec<String>,
}

/// Runs the task.
pub fn run(_repo: Option<&Path>, _args: &cli::BuildImage) -> Result<Outcome> {
    bail!("not there yet")
}
