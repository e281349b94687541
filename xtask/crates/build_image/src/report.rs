//! The checks with their results, and the output: for people as it goes, for programs at the end.

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
    Warning,
    Failed,
    Skipped,
}

/// A check of the repository before the build, or of the image, with its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub name: String,
    pub verdict: CheckStatus,
    /// What was found; of a failure also what was expected and what to do.
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

    /// Passed with the words `fine`, or failed with what is `wrong` and the help.
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

    /// Adds warnings, with which the check can't pass.
    #[must_use]
    pub fn warn(mut self, warnings: impl IntoIterator<Item = String>) -> Self {
        let before = self.words.len();
        self.words.extend(warnings);
        if self.verdict == CheckStatus::Passed && self.words.len() > before {
            self.verdict = CheckStatus::Warning;
        }
        self
    }
}

pub struct CheckReport {
    format: Format,
    json: Map<String, Value>,
}

impl CheckReport {
    pub fn new(format: Format) -> Self {
        let json = Map::from_iter([("version".to_owned(), json!(1))]);
        Self { format, json }
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
        self.json.insert(key.to_owned(), value.into());
    }

    pub fn check(&mut self, group: &str, check: &Check) -> Result<()> {
        if self.is_text() {
            return output::print(&text(check));
        }
        let group = self.json.entry(group).or_insert_with(|| json!([]));
        if let Value::Array(checks) = group {
            checks.push(json!(check));
        }
        Ok(())
    }

    pub fn end(&self) -> Result<()> {
        if self.is_text() {
            return Ok(());
        }
        output::print_plain(&format!("{:#}\n", Value::Object(self.json.clone())))
    }
}

/// A check in one line, with further words below it.
fn text(check: &Check) -> String {
    let (word, style) = match check.verdict {
        CheckStatus::Passed => ("passed", GREEN),
        CheckStatus::Warning => ("warning", YELLOW),
        CheckStatus::Failed => ("failed", RED),
        CheckStatus::Skipped => ("skipped", Style::new()),
    };
    let name = &check.name;
    let words = check.words.join(&format!("\n{:24}", ""));
    format!("{style}{word:<7}{style:#} {BOLD}{name:<15}{BOLD:#} {words}\n")
}

/// "9 passed, 1 warning, 2 failed".
pub fn summary(checks: &[Check]) -> String {
    let count = |verdict| checks.iter().filter(|c| c.verdict == verdict).count();
    let mut parts = vec![
        format!("{} passed", count(CheckStatus::Passed)),
        counted(count(CheckStatus::Warning), "warning"),
        format!("{} failed", count(CheckStatus::Failed)),
        format!("{} skipped", count(CheckStatus::Skipped)),
    ];
    parts.retain(|part| part.ends_with("passed") || !part.starts_with("0 "));
    parts.join(", ")
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
