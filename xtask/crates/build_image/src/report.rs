//! What was looked at, how that came out, and the output: for people as it goes, for programs at
//! the end.

use anstyle::Style;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use xtask_core::cli::Format;
use xtask_core::output::style::{BOLD, GREEN, RED, YELLOW};
use xtask_core::output::{self, counted};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, in a word or two: the name in text and JSON.
    pub name: String,
    pub verdict: CheckStatus,
    /// What was seen; where it failed, what was expected and what to do.
    pub words: Vec<String>,
}

impl Check {
    pub fn new(name: &str, verdict: CheckStatus, words: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            verdict,
            words,
        }
    }

    pub fn passed(name: &str, words: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Passed, vec![words.into()])
    }

    pub fn warning(name: &str, words: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Warning, vec![words.into()])
    }

    pub fn failed(name: &str, words: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Failed, vec![words.into()])
    }

    pub fn skipped(name: &str, why: impl Into<String>) -> Self {
        Self::new(name, CheckStatus::Skipped, vec![why.into()])
    }

    /// In order with these words, unless something was found: then `help` says what to do, once
    /// for all of it.
    pub fn judged(name: &str, wrong: Vec<String>, help: &str, fine: impl Into<String>) -> Self {
        if wrong.is_empty() {
            return Self::passed(name, fine);
        }
        let help = Some(help.to_owned()).filter(|help| !help.is_empty());
        Self::new(name, CheckStatus::Failed, wrong).and(help)
    }

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

/// Prints each result, or collects them for JSON.
pub struct CheckReport {
    format: Format,
    all: Map<String, Value>,
}

impl CheckReport {
    pub fn new(format: Format) -> Self {
        let all = Map::from_iter([("version".to_owned(), json!(1))]);
        Self { format, all }
    }

    pub fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    pub fn say(&self, text: &str) -> Result<()> {
        if self.is_text() {
            output::print(&format!("{text}\n"))?;
        }
        Ok(())
    }

    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.all.insert(key.to_owned(), value.into());
    }

    pub fn check(&mut self, group: &str, check: &Check) -> Result<()> {
        if self.is_text() {
            return output::print(&text(check));
        }
        let group = self.all.entry(group).or_insert_with(|| json!([]));
        if let Value::Array(all) = group {
            all.push(json!(check));
        }
        Ok(())
    }

    pub fn end(&self) -> Result<()> {
        if self.is_text() {
            return Ok(());
        }
        output::print_plain(&format!("{:#}\n", Value::Object(self.all.clone())))
    }
}

/// A check in a line, with more below it where there is more to say.
fn text(check: &Check) -> String {
    let (word, style) = shown(check.verdict);
    let name = &check.name;
    let words = check.words.join(&format!("\n{:24}", ""));
    format!("{style}{word:<7}{style:#} {BOLD}{name:<15}{BOLD:#} {words}\n")
}

pub fn shown(verdict: CheckStatus) -> (&'static str, Style) {
    match verdict {
        CheckStatus::Passed => ("passed", GREEN),
        CheckStatus::Warning => ("warning", YELLOW),
        CheckStatus::Failed => ("failed", RED),
        CheckStatus::Skipped => ("skipped", Style::new()),
    }
}

/// "9 passed, 1 warning, 2 failed".
pub fn summary(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    let parts = [
        format!("{} passed", count(CheckStatus::Passed)),
        counted(count(CheckStatus::Warning), "warning"),
        format!("{} failed", count(CheckStatus::Failed)),
        format!("{} skipped", count(CheckStatus::Skipped)),
    ];
    let (passed, others) = (&parts[..1], parts[1..].iter());
    let others = others.filter(|part| !part.starts_with("0 "));
    let parts: Vec<&str> = passed.iter().chain(others).map(String::as_str).collect();
    parts.join(", ")
}

pub fn has_failed(checks: &[Check]) -> bool {
    let mut verdicts = checks.iter().map(|check| check.verdict);
    verdicts.any(|verdict| verdict == CheckStatus::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_what_is_below_it() {
        let check = |verdict, words: &[&str]| Check {
            name: "copied files".to_owned(),
            verdict,
            words: words.iter().map(|w| (*w).to_owned()).collect(),
        };
        let plain = |check: &Check| {
            let text = text(check);
            anstream::adapter::strip_str(&text).to_string()
        };
        let one = check(CheckStatus::Passed, &["13 sources"]);
        assert_eq!(plain(&one), "passed  copied files    13 sources\n");
        let two = check(CheckStatus::Failed, &["first", "second"]);
        assert_eq!(
            plain(&two),
            "failed  copied files    first\n                        second\n"
        );
        assert!(text(&two).starts_with("\u{1b}[31mfailed"));
        let skipped = check(CheckStatus::Skipped, &[]);
        assert!(!has_failed(&[one.clone(), skipped.clone()]));
        assert!(has_failed(&[one.clone(), two.clone()]));
        assert_eq!(
            summary(&[
                one.clone(),
                one,
                two,
                check(CheckStatus::Warning, &[]),
                skipped
            ]),
            "2 passed, 1 warning, 1 failed, 1 skipped"
        );
    }
}
