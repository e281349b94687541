//! Checks from what was found.

use super::{Check, Verdict};

impl Check {
    pub fn new(
        name: &'static str,
        verdict: Verdict,
        words: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            name,
            verdict,
            words: words.into_iter().collect(),
        }
    }

    /// In order, with what was seen.
    pub fn passed(name: &'static str, words: impl Into<String>) -> Self {
        Self::new(name, Verdict::Passed, [words.into()])
    }

    /// Worth a look.
    pub fn warning(name: &'static str, words: impl Into<String>) -> Self {
        Self::new(name, Verdict::Warning, [words.into()])
    }

    pub fn failed(name: &'static str, words: impl Into<String>) -> Self {
        Self::new(name, Verdict::Failed, [words.into()])
    }

    /// Not looked at, with the reason.
    pub fn skipped(name: &'static str, why: impl Into<String>) -> Self {
        Self::new(name, Verdict::Skipped, [why.into()])
    }

    /// In order with these words, unless something was found.
    pub fn judged(name: &'static str, wrong: Vec<String>, in_order: impl Into<String>) -> Self {
        if wrong.is_empty() {
            Self::passed(name, in_order)
        } else {
            Self::new(name, Verdict::Failed, wrong)
        }
    }

    /// With a line more.
    #[must_use]
    pub fn and(mut self, words: impl IntoIterator<Item = String>) -> Self {
        self.words.extend(words);
        self
    }
}
