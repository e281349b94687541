//! A finding: a rule, a place, a message and help.
//!
//! A finding can only be created with a place ([`Rule::at`]), so that none is without one.

use serde::Serialize;

use crate::rule::{Rule, Severity};
use worker_files::json::Span;
use xtask_core::output::counted;
use xtask_core::tree::RepoPath;

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

impl Safety {
    pub fn of(is_certain: bool) -> Self {
        if is_certain { Self::Safe } else { Self::Unsafe }
    }

    pub fn option(self) -> &'static str {
        match self {
            Self::Safe => "--fix",
            Self::Unsafe => "--unsafe-fixes",
        }
    }
}

/// A place in the finding's own file, and its new text.
pub type Edit = (Span, String);

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
    pub rule: &'static Rule,
    /// By default the rule's.
    pub severity: Severity,
    /// What is wrong, in one line that stands alone.
    pub message: String,
    pub place: Location,
    pub related: Vec<Related>,
    /// What to do about it, and why, a line each.
    pub help: Vec<String>,
    pub fix: Option<Fix>,
}

impl Rule {
    pub fn at(&'static self, place: Location, message: impl Into<String>) -> Finding {
        Finding {
            rule: self,
            severity: self.severity,
            message: message.into(),
            place,
            related: Vec::new(),
            help: Vec::new(),
            fix: None,
        }
    }
}

impl Finding {
    #[must_use]
    pub fn related(mut self, place: Location, label: impl Into<String>) -> Self {
        self.related.push(Related {
            place,
            label: label.into(),
        });
        self
    }

    /// The finding as a mere warning, unless it `is_certain`.
    #[must_use]
    pub fn warn_unless(mut self, is_certain: bool) -> Self {
        if !is_certain {
            self.severity = Severity::Warning;
        }
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
        edits: impl IntoIterator<Item = Edit>,
    ) -> Self {
        self.fix = Some(Fix {
            title: title.into(),
            safety,
            edits: edits.into_iter().collect(),
        });
        self
    }

    pub fn whole_message(&self) -> String {
        let help = self.help.iter().map(|help| format!("\n{help}"));
        self.message.clone() + &help.collect::<String>()
    }

    pub fn places(&self) -> impl Iterator<Item = &Location> {
        let related = self.related.iter().map(|related| &related.place);
        related.chain([&self.place])
    }

    /// The same finding, with every path below `folder`.
    #[must_use]
    pub fn inside(mut self, folder: &str) -> Self {
        let related = self.related.iter_mut().map(|related| &mut related.place);
        for place in related.chain([&mut self.place]) {
            place.path = place.path.inside(folder);
        }
        self
    }
}

pub fn sort(findings: &mut [Finding]) {
    let key = |finding: &Finding| {
        let Location { path, span } = finding.place.clone();
        (path, span.start, finding.rule.code, finding.message.clone())
    };
    findings.sort_by_cached_key(key);
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Counts {
    pub errors: usize,
    pub warnings: usize,
}

impl Counts {
    pub fn of(findings: &[Finding]) -> Self {
        let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
        Self {
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
        }
    }
}

/// "2 errors, 1 warning"; empty where there is nothing.
impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [(self.errors, "error"), (self.warnings, "warning")];
        let some = all.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = some.map(|(count, word)| counted(*count, word)).collect();
        f.write_str(&parts.join(", "))
    }
}
