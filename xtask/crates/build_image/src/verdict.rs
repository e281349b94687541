//! What was looked at, and how that came out.

use serde::Serialize;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    Passed,
    /// Worth a look, no failure.
    Warning,
    Failed,
    /// Not looked at; the words say why.
    Skipped,
}

/// One thing that was looked at, before the build or in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two: the name in text and JSON.
    pub name: &'static str,
    pub verdict: CheckStatus,
    /// What was seen; where it failed, what was expected and what to do.
    pub words: Vec<String>,
}

impl Check {
    pub fn new(
        name: &'static str,
        verdict: CheckStatus,
        words: impl IntoIterator<Item = String>,
    ) -> Self {
        let words = words.into_iter().collect();
        Self {
            name,
            verdict,
            words,
        }
    }

    pub fn passed(name: &'static str, words: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Passed, [words.into()])
    }

    pub fn warning(name: &'static str, words: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Warning, [words.into()])
    }

    pub fn failed(name: &'static str, words: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Failed, [words.into()])
    }

    pub fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Skipped, [why.into()])
    }

    /// In order with these words, unless something was found: then `help` says what to do, once
    /// for all of it.
    pub fn judged(
        name: &'static str,
        wrong: Vec<String>,
        help: &str,
        in_order: impl Into<String>,
    ) -> Self {
        if wrong.is_empty() {
            return Self::passed(name, in_order);
        }
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        Self::new(name, CheckStatus::Failed, wrong).and(help)
    }

    /// With more lines.
    #[must_use]
    pub fn and(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words.extend(words);
        self
    }

    /// With what could not be looked at: where that may hide something, nothing simply passes.
    #[must_use]
    pub fn doubted(mut self, unread: Vec<String>) -> Self {
        if self.verdict == CheckStatus::Passed && !unread.is_empty() {
            self.verdict = CheckStatus::Warning;
        }
        self.and(unread)
    }
}
