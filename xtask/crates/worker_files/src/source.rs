//! The text of a file with its lines, and places in it.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use xtask_core::tree::RepoPath;

/// Larger files are not read: no worker has such a source file.
pub const LARGEST: usize = 4 * 1024 * 1024;

/// A place in a file: line and column from 1, the column in characters, `start..end` in bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    pub file: RepoPath,
    pub line: usize,
    pub column: usize,
    #[serde(skip)]
    pub start: usize,
    #[serde(skip)]
    pub end: usize,
}

impl Place {
    /// The start of a file, for what concerns the file as a whole.
    pub fn start_of(file: &RepoPath) -> Self {
        Source::new(file.clone(), b"").place(0..0)
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::start_of(&RepoPath::from(""))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What a construct that was not read may hide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hides {
    Variables,
    /// Flags of `SGLang`'s command line.
    Flags,
    /// Keys of a job's input, and routes.
    JobInput,
    /// Packages and other steps of the image's build.
    Packages,
    /// Settings of the image: `ENV`, `ENTRYPOINT`, files that are copied.
    Image,
    /// Settings of the Hub, compose or bake.
    Settings,
}

/// A construct that was not understood. It is a value, so that silence means "read".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unread {
    /// Why it was not understood, as a sentence for people.
    pub what: String,
    pub place: Place,
    /// The source text, cut short.
    pub text: String,
    pub may_hide: BTreeSet<Hides>,
}

impl Unread {
    /// May hide anything. [`Source::unread`] adds the text, [`Self::hiding`] narrows it down.
    pub fn new(what: impl Into<String>, place: Place) -> Self {
        use Hides::{Flags, Image, JobInput, Packages, Settings, Variables};
        Self {
            what: what.into(),
            place,
            text: String::new(),
            may_hide: [Variables, Flags, JobInput, Packages, Image, Settings].into(),
        }
    }

    #[must_use]
    pub fn hiding(mut self, may_hide: &[Hides]) -> Self {
        self.may_hide = may_hide.iter().copied().collect();
        self
    }
}

/// What a reader found, and what it did not understand: neither can be taken without the other.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Reading<Facts> {
    facts: Facts,
    unread: Vec<Unread>,
}

impl<Facts> Reading<Facts> {
    pub fn new(facts: Facts, unread: Vec<Unread>) -> Self {
        Self { facts, unread }
    }

    /// Both parts; the caller decides what each unread construct means.
    pub fn split(self) -> (Facts, Vec<Unread>) {
        (self.facts, self.unread)
    }

    /// The facts; what was not understood joins what the caller keeps.
    pub fn collect_unread(self, into: &mut Vec<Unread>) -> Facts {
        into.extend(self.unread);
        self.facts
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    pub path: RepoPath,
    pub text: String,
    lines: Vec<usize>,
    /// Bytes in front of `text`: a byte order mark.
    pub(crate) skipped: usize,
    lossy: bool,
}

impl Source {
    /// Reads bytes as text: UTF-8, with or without a byte order mark. Each byte that is not UTF-8
    /// becomes one `?`, so that places stay true.
    pub fn new(path: RepoPath, bytes: &[u8]) -> Self {
        let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut text = String::with_capacity(body.len());
        for chunk in body.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|_| '?'));
        }
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self {
            path,
            lossy: std::str::from_utf8(body).is_err(),
            text,
            lines,
            skipped: bytes.len() - body.len(),
        }
    }

    /// What makes this file only partly readable, if anything.
    pub fn trouble(&self) -> Option<Unread> {
        let what = "the file is not UTF-8; it was read without what is not";
        let place = || Place::start_of(&self.path);
        self.lossy.then(|| Unread::new(what, place()))
    }

    pub fn place(&self, range: Range<usize>) -> Place {
        let Range { start, end } = self.clamp(range);
        let line = self.lines.partition_point(|&at| at <= start);
        Place {
            file: self.path.clone(),
            line,
            column: self.text[self.lines[line - 1]..start].chars().count() + 1,
            start: start + self.skipped,
            end: end + self.skipped,
        }
    }

    /// A range of the file as one of the text.
    pub fn in_text(&self, range: &Range<usize>) -> Range<usize> {
        let text = |at: usize| at.saturating_sub(self.skipped);
        self.clamp(text(range.start)..text(range.end))
    }

    /// Line and column of a byte of the file, both from 1.
    pub fn position(&self, at: usize) -> (usize, usize) {
        let place = self.place(self.in_text(&(at..at)));
        (place.line, place.column)
    }

    pub fn unread(&self, range: Range<usize>, what: impl Into<String>, hides: &[Hides]) -> Unread {
        const LONGEST: usize = 120;
        let text = &self.text[self.clamp(range.clone())];
        let text: String = text.chars().take(LONGEST).collect();
        Unread {
            text: one_line(&text),
            ..Unread::new(what, self.place(range)).hiding(hides)
        }
    }

    /// The lines of the text with where each starts, line ends not included.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (0..self.lines.len()).map(|index| self.line(index))
    }

    pub fn line(&self, index: usize) -> (usize, &str) {
        let start = self.lines[index];
        let end = self.lines.get(index + 1).map_or(self.text.len(), |n| n - 1);
        let line = &self.text[start..end];
        (start, line.strip_suffix('\r').unwrap_or(line))
    }

    /// Brings a range into the text and onto the bounds of characters.
    fn clamp(&self, range: Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(range.start);
        start..self.text.floor_char_boundary(range.end.max(start))
    }
}

/// The words of a text with one space between them.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let source = Source::new("a.py".into(), "é = 1\r\nb\r\n".as_bytes());
        let place = source.place(3..4);
        assert_eq!((place.line, place.column, place.start), (1, 3, 3));
        let place = source.place(8..9);
        assert_eq!((place.line, place.column), (2, 1));
        assert_eq!(
            source.lines().map(|l| l.1).collect::<Vec<_>>(),
            ["é = 1", "b", ""]
        );
    }

    #[test]
    fn a_byte_order_mark_counts_and_other_encodings_are_told() {
        let marked = Source::new("a".into(), b"\xef\xbb\xbfx\ny");
        assert_eq!(marked.place(2..3).start, 5);
        let latin = Source::new("a".into(), b"\xe9\xe9\nx");
        assert!(latin.trouble().is_some());
        assert_eq!(
            (latin.place(7..8).line, latin.place(999..9999).line),
            (2, 2)
        );
    }
}
