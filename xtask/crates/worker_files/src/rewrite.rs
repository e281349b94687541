//! What an upstream's files must say differently once they lie at a worker's root. Pure: bytes
//! go in, bytes come out, and what is not understood is refused with its place instead of guessed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use xtask_core::tree::RepoPath;

/// Which file of the upstream becomes which file of the worker.
#[derive(Debug, Clone, Default)]
pub struct PathMap {
    /// The upstream folder that holds the worker: `.runpod`, or nothing for its root. Of what
    /// lies outside of this folder the map knows only the files that come along.
    pub(crate) root: String,
    pub(crate) moved: BTreeMap<RepoPath, RepoPath>,
    pub(crate) left: BTreeSet<RepoPath>,
}

impl PathMap {
    /// `root` is the upstream folder that holds the worker (`.runpod`, or `""`); `moved` pairs
    /// each path of the upstream's build context with its path in the result; `left` are the
    /// files below `root` that do not come along.
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

/// A file after rewriting.
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

/// A file that cannot be rewritten without guessing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUnderstood {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is there, without a full stop.
    pub what: String,
    /// What to do about it.
    pub help: String,
}

impl fmt::Display for NotUnderstood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "line {}, column {}: {}",
            self.line, self.column, self.what
        )
    }
}

impl std::error::Error for NotUnderstood {}

/// The text of a file, without a byte order mark, and where its lines begin.
pub(crate) struct Text<'a> {
    mark: &'a str,
    pub body: &'a str,
}

impl<'a> Text<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, NotUnderstood> {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let (line, column) = place(&good, good.len());
            NotUnderstood {
                line,
                column,
                what: "a byte that is not UTF-8".to_owned(),
                help: "save the file as UTF-8 in the upstream".to_owned(),
            }
        })?;
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mark = &text[..text.len() - body.len()];
        Ok(Self { mark, body })
    }

    /// Line and column, both from 1.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        place(self.body, offset)
    }

    pub fn line(&self, offset: usize) -> usize {
        self.place(offset).0
    }

    pub fn refuse(
        &self,
        offset: usize,
        what: impl Into<String>,
        help: impl Into<String>,
    ) -> NotUnderstood {
        let (line, column) = self.place(offset);
        NotUnderstood {
            line,
            column,
            what: what.into(),
            help: help.into(),
        }
    }

    /// What stands before an offset in its line.
    pub fn indent(&self, offset: usize) -> &'a str {
        let before = &self.body[..offset];
        &before[before.rfind('\n').map_or(0, |at| at + 1)..]
    }

    /// The line ending in use at `offset`: that of the line which holds it, else of the one before.
    pub fn newline(&self, offset: usize) -> &'static str {
        let rest = self.body.get(offset..).unwrap_or_default();
        let end = rest.find('\n').map(|at| offset + at);
        match end.or_else(|| self.body.rfind('\n')) {
            Some(at) if self.body[..at].ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    /// The body after the edits, or the place where two of them meet.
    pub fn edited(&self, mut edits: Vec<(Range<usize>, String)>) -> Result<Vec<u8>, NotUnderstood> {
        edits.sort_by_key(|(range, _)| (range.start, range.end));
        edits.dedup();
        let mut out = self.mark.to_owned();
        let mut done = 0;
        for (range, text) in edits {
            let Some(between) = self.body.get(done..range.start) else {
                return Err(self.refuse(
                    range.start,
                    "a place that is used with two meanings",
                    "write the value out at each place that uses it",
                ));
            };
            out.push_str(between);
            out.push_str(&text);
            done = range.end;
        }
        out.push_str(self.body.get(done..).unwrap_or_default());
        Ok(out.into_bytes())
    }
}

/// What a rewrite gathers on its way.
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

    pub fn finish(self, text: &Text<'_>) -> Result<Rewritten, NotUnderstood> {
        Ok(Rewritten {
            bytes: text.edited(self.edits)?,
            changes: self.changes,
            notes: self.notes,
        })
    }
}

/// Line and column of a byte offset, both from 1, the column in characters.
pub fn place(text: &str, offset: usize) -> (usize, usize) {
    let offset = offset.min(text.len());
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (
        before.bytes().filter(|&b| b == b'\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The paths as a sentence says them: `a`, `b` and `c`.
pub(crate) fn listed<'a>(paths: impl IntoIterator<Item = &'a RepoPath>) -> String {
    let mut names: Vec<String> = paths.into_iter().map(|path| format!("`{path}`")).collect();
    match names.pop() {
        Some(last) if !names.is_empty() => format!("{} and {last}", names.join(", ")),
        Some(only) => only,
        None => String::new(),
    }
}

#[cfg(test)]
#[path = "rewrite_fuzz.rs"]
mod fuzz;
