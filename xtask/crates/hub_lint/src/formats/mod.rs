//! The formats of findings.
//!
//! Every format takes the findings and their [`Sources`], and returns a string or a JSON value.

pub mod github;
pub mod json;
pub mod sarif;
pub mod text;

use std::collections::BTreeMap;
use std::ops::Range;

use crate::finding::Location;
use worker_files::json::Span;
use xtask_core::tree::RepoPath;

#[derive(Debug, Default)]
pub struct Sources(BTreeMap<RepoPath, SourceText>);

impl Sources {
    pub fn add(&mut self, path: RepoPath, bytes: &[u8]) {
        self.0.insert(path, SourceText::new(bytes));
    }

    /// Takes the files of `other`, with their paths below `folder`.
    pub fn add_inside(&mut self, folder: &str, other: Self) {
        let files = other.0.into_iter();
        self.0
            .extend(files.map(|(path, text)| (path.inside(folder), text)));
    }

    pub fn get(&self, path: &RepoPath) -> Option<&SourceText> {
        self.0.get(path)
    }

    /// The start and the end of a place in a file that was read.
    pub fn positions(&self, place: &Location) -> Option<(Position, Position)> {
        Some(self.get(&place.path)?.positions(&place.span))
    }
}

#[derive(Debug)]
pub struct SourceText {
    text: String,
    lines: Vec<usize>,
}

/// A position for people: both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl SourceText {
    fn new(bytes: &[u8]) -> Self {
        // Each invalid byte becomes one `?`, so that offsets stay right.
        let mut text = String::with_capacity(bytes.len());
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        Self { text, lines }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Limits a span to the text and to whole characters.
    fn clamp(&self, span: &Span) -> Range<usize> {
        let start = self.text.floor_char_boundary(span.start);
        let end = self.text.ceil_char_boundary(span.end.max(start));
        start..end
    }

    fn line_of(&self, offset: usize) -> usize {
        self.lines.partition_point(|&start| start <= offset) - 1
    }

    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.line_of(offset);
        let before = &self.text[self.lines[line]..offset];
        // A byte-order mark takes no column.
        let before = before.strip_prefix('\u{feff}').unwrap_or(before);
        Position {
            line: line + 1,
            column: before.chars().count() + 1,
        }
    }

    pub fn positions(&self, span: &Span) -> (Position, Position) {
        let span = self.clamp(span);
        (self.position(span.start), self.position(span.end))
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
