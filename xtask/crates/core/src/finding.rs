//! A finding of hub-lint: a code, a place, a message and help.
//!
//! A finding can only be begun with a place ([`Finding::at`]), so that none is without one.

use std::ops::Range;

use clap::ValueEnum;
use serde::Serialize;

use crate::tree::RepoPath;

/// Bytes of a file, or of a file's text.
pub type Span = Range<usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Will surprise somebody.
    Warning,
    /// Rejected, or can't work.
    Error,
}

impl Severity {
    /// The word that people and programs read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Where something is: bytes of a file in the tree that was read.
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

/// A place that has to do with a finding, and what it has to do with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Related {
    pub place: Location,
    pub label: String,
}

/// Whether a fix can be made without a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// Says the same in the right form.
    Safe,
    /// A guess that needs a look.
    Unsafe,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    pub place: Location,
    pub with: String,
}

/// A way to fix a finding: all of its edits or none.
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

    /// The way to fix it where one text takes the place of another; `shown` is how people see it.
    #[must_use]
    pub fn write(self, safety: Safety, span: &Span, shown: &str, with: impl Into<String>) -> Self {
        let edit = (span.clone(), with.into());
        self.fix(safety, format!("write `{shown}`"), [edit])
    }

    /// The way to fix it; edits are of the finding's own file.
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

    pub fn whole_message(&self) -> String {
        let help = self.help.iter().map(|help| format!("\n{help}"));
        help.fold(self.message.clone(), |text, help| text + &help)
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

/// Puts findings in the order in which they are read: by file, then by place, then by code.
pub fn sort(findings: &mut [Finding]) {
    let key = |finding: &Finding| {
        let Location { path, span } = finding.place.clone();
        (path, span.start, finding.code, finding.message.clone())
    };
    findings.sort_by_cached_key(key);
}
