//! Rewrites upstream's files for a worker's root: bytes go in, bytes come out, and what is not
//! understood is refused with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use crate::Source;
use xtask_core::tree::RepoPath;

/// Which file of the upstream becomes which file of the worker.
#[derive(Debug, Clone, Default)]
pub struct PathMap {
    /// The upstream folder that holds the worker: `.runpod`, or nothing for its root. Outside of it
    /// the map has only the files that the worker takes over.
    pub(crate) root: String,
    pub(crate) moved: BTreeMap<RepoPath, RepoPath>,
    pub(crate) left: BTreeSet<RepoPath>,
}

impl PathMap {
    /// `moved` pairs each path of the upstream's build context with its path in the result; `left`
    /// are the files below `root` that the worker does not take over.
    pub fn new(
        root: &str,
        moved: impl IntoIterator<Item = (RepoPath, RepoPath)>,
        left: impl IntoIterator<Item = RepoPath>,
    ) -> Self {
        Self {
            root: root.trim_matches('/').to_owned(),
            moved: moved.into_iter().collect(),
            left: left.into_iter().collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewritten {
    pub bytes: Vec<u8>,
    /// What was changed, in the order of the lines; empty when the file is as it was.
    pub changes: Vec<Change>,
    /// What a reviewer should know although nothing was changed for it.
    pub notes: Vec<String>,
}

/// One change, with the line of the file before the change.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Change {
    pub line: usize,
    pub what: String,
}

/// A file that cannot be rewritten without guessing: where (both from 1), why, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    pub line: usize,
    pub column: usize,
    /// What is there, without a full stop.
    pub what: String,
    pub help: String,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = (self.line, self.column);
        write!(f, "line {line}, column {column}: {}", self.what)
    }
}

impl std::error::Error for NotUnderstood {}

pub(crate) fn open(bytes: &[u8]) -> Result<Source, NotUnderstood> {
    let source = Source::new(RepoPath::from(""), bytes);
    if let Err(error) = std::str::from_utf8(bytes) {
        let at = error.valid_up_to().saturating_sub(source.skipped);
        let help = "save the file as UTF-8 in the upstream";
        return Err(source.refuse(at, "a byte that is not UTF-8", help));
    }
    Ok(source)
}

impl Source {
    pub(crate) fn refuse(&self, at: usize, what: impl Into<String>, help: &str) -> NotUnderstood {
        let place = self.place(at..at);
        NotUnderstood {
            line: place.line,
            column: place.column,
            what: what.into(),
            help: help.to_owned(),
        }
    }

    /// The number of the line that holds an offset, from 1.
    pub(crate) fn line_of(&self, offset: usize) -> usize {
        self.place(offset..offset).line
    }
}

#[derive(Default)]
pub(crate) struct Output {
    pub edits: Vec<(Range<usize>, String)>,
    pub changes: Vec<Change>,
    pub notes: Vec<String>,
}

impl Output {
    pub fn change(&mut self, line: usize, what: impl Into<String>) {
        let what = what.into();
        self.changes.push(Change { line, what });
    }

    /// The text after the edits, or the place where two of them meet.
    pub fn finish(mut self, source: &Source) -> Result<Rewritten, NotUnderstood> {
        let order = |(range, _): &(Range<usize>, String)| (range.start, range.end);
        self.edits.sort_by_key(order);
        self.edits.dedup();
        let mark = if source.skipped > 0 { "\u{feff}" } else { "" };
        let mut out = mark.to_owned();
        let mut done = 0;
        for (range, text) in self.edits {
            let Some(between) = source.text.get(done..range.start) else {
                let what = "a place that is used with two meanings";
                let help = "write the value out at each place that uses it";
                return Err(source.refuse(range.start, what, help));
            };
            out.push_str(between);
            out.push_str(&text);
            done = range.end;
        }
        out.push_str(source.text.get(done..).unwrap_or_default());
        Ok(Rewritten {
            bytes: out.into_bytes(),
            changes: self.changes,
            notes: self.notes,
        })
    }
}

#[cfg(test)]
#[path = "rewrite_fuzz.rs"]
mod fuzz;
