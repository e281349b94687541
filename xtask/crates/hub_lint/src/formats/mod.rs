//! The formats of findings.
//!
//! Every format takes the findings and their [`Sources`], and returns a string or a JSON value.

pub mod github;
pub mod json;
pub mod sarif;
pub mod text;

use std::collections::BTreeMap;

use crate::finding::Location;
use worker_files::Source;
use xtask_core::tree::RepoPath;

/// The files that findings are about, with their paths as people see them.
pub type Sources = BTreeMap<RepoPath, Source>;

/// The start and the end of a place in a file that was read: line and column, both from 1.
pub fn positions(sources: &Sources, place: &Location) -> Option<[(usize, usize); 2]> {
    let source = sources.get(&place.path)?;
    Some([place.span.start, place.span.end].map(|at| source.position(at)))
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
