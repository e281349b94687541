//! A finding of hub-lint: a code, a place, a message and help.
//!
//! A finding can only be begun with a place ([`Finding::at`]), so that none is without one.

use std::ops::Range;
use std::slice;

use clap::ValueEnum;
use serde::Serialize;

use crate::tree::RepoPath;

/// Bytes of a file, or of a file's text.
pub type Span = Range<usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Likely a mistake.
    Warning,
    /// The Hub rejects it, or it can't work.
    Error,
}

impl Severity {
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A place: bytes of a file in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub path: RepoPath,
    pub span: Span,
}

impl Location {
    pub fn new(path: impl Into<RepoPath>, span: Span) -> Self {
        Self {
            path: path.into(),
            span,
        }
    }
}

/// Another place that belongs to a finding, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub place: Location,
    pub label: String,
}

/// Whether a fix needs review.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// The meaning stays the same.
    Safe,
    /// A guess that needs review.
    Unsafe,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub place: Location,
    pub with: String,
}

/// A fix for a finding: all of its edits or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// What it does, as an order: "write it as a number".
    pub title: String,
    pub safety: Safety,
    pub edits: Vec<Edit>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable id of what kind it is: `HUB012`.
    pub code: &'static str,
    /// The readable name of that kind: `cuda-older-than-image`.
    pub name: &'static str,
    pub severity: Severity,
    /// What is wrong, in one line that stands alone.
    pub message: String,
    pub place: Location,
    /// A few words that stand at the place itself.
    pub label: Option<String>,
    pub related: Vec<Related>,
    /// What to do about it, and why, a line each.
    pub help: Vec<String>,
    pub fix: Option<Fix>,
}

impl Finding {
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    #[must_use]
    pub fn related(mut self, place: Location, label: impl Into<String>) -> Self {
        self.related.push(Related {
            place,
            label: label.into(),
        });
        self
    }

    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// A fix that replaces a text; `shown` is the new text for people.
    #[must_use]
    pub fn write(self, safety: Safety, span: &Span, shown: &str, with: impl Into<String>) -> Self {
        let edit = (span.clone(), with.into());
        self.fix(safety, format!("write `{shown}`"), [edit])
    }

    /// A fix with edits of the finding's own file.
    #[must_use]
    pub fn fix(
        mut self,
        safety: Safety,
        title: impl Into<String>,
        edits: impl IntoIterator<Item = (Span, String)>,
    ) -> Self {
        let path = &self.place.path;
        let edit = |(span, with)| Edit {
            place: Location::new(path.clone(), span),
            with,
        };
        self.fix = Some(Fix {
            title: title.into(),
            safety,
            edits: edits.into_iter().map(edit).collect(),
        });
        self
    }

    /// The message and the help.
    pub fn whole_message(&self) -> String {
        [slice::from_ref(&self.message), &self.help]
            .concat()
            .join("\n")
    }

    /// The same finding, with every path below `folder`.
    #[must_use]
    pub fn inside(mut self, folder: &str) -> Self {
        let related = self.related.iter_mut().map(|related| &mut related.place);
        let edits = self.fix.iter_mut().flat_map(|fix| &mut fix.edits);
        let places = related.chain(edits.map(|edit| &mut edit.place));
        for place in places.chain([&mut self.place]) {
            place.path = place.path.inside(folder);
        }
        self
    }
}

/// Sorts findings by file, then by place, then by code.
pub fn sort(findings: &mut [Finding]) {
    let key = |finding: &Finding| {
        let Location { path, span } = finding.place.clone();
        (path, span.start, finding.code, finding.message.clone())
    };
    findings.sort_by_cached_key(key);
}
