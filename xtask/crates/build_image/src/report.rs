//! What the task says: for people as it goes, for programs at the end.

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{Check, Verdict};
use xtask_core::cli::Format;
use xtask_core::output::style::BOLD;
use xtask_core::output::{self, counted};

/// Tells one thing after the other, or gathers them.
pub struct Report {
    format: Format,
    all: Map<String, Value>,
}

impl Report {
    pub fn new(format: Format) -> Self {
        Self {
            format,
            all: Map::from_iter([("version".to_owned(), json!(1))]),
        }
    }

    pub fn is_text(&self) -> bool {
        matches!(self.format, Format::Text)
    }

    /// A line for people.
    pub fn say(&self, text: &str) -> Result<()> {
        if self.is_text() {
            output::print(&format!("{text}\n"))?;
        }
        Ok(())
    }

    /// A value for programs.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.all.insert(key.to_owned(), value.into());
    }

    /// A check of the group `before` or `after`.
    pub fn check(&mut self, group: &str, check: &Check) -> Result<()> {
        if self.is_text() {
            return output::print(&text(check));
        }
        let group = self.all.entry(group).or_insert_with(|| json!([]));
        if let Value::Array(all) = group {
            all.push(json!({
                "name": check.name,
                "verdict": word(&check.verdict),
                "words": check.words,
            }));
        }
        Ok(())
    }

    /// Ends it: programs get everything now.
    pub fn end(&self) -> Result<()> {
        if self.is_text() {
            return Ok(());
        }
        output::print_plain(&format!("{:#}\n", Value::Object(self.all.clone())))
    }
}

/// A check in a line, with more below it where there is more to say.
fn text(check: &Check) -> String {
    let colour = match check.verdict {
        Verdict::Passed => Some(AnsiColor::Green),
        Verdict::Warning => Some(AnsiColor::Yellow),
        Verdict::Failed => Some(AnsiColor::Red),
        Verdict::Skipped => None,
    };
    let style = Style::new().fg_color(colour.map(Into::into));
    let mut words = check.words.iter();
    let first = words.next().map_or("", |word| word);
    let mut text = format!(
        "{style}{:<7}{style:#} {BOLD}{:<15}{BOLD:#} {first}\n",
        word(&check.verdict),
        check.name
    );
    for more in words {
        text += &format!("{:24}{more}\n", "");
    }
    text
}

pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

/// "9 passed, 1 warning, 2 failed".
pub fn summary(checks: &[Check]) -> String {
    let count = |verdict: &Verdict| checks.iter().filter(|c| c.verdict == *verdict).count();
    let mut parts = vec![format!("{} passed", count(&Verdict::Passed))];
    if count(&Verdict::Warning) > 0 {
        parts.push(counted(count(&Verdict::Warning), "warning"));
    }
    for verdict in [Verdict::Failed, Verdict::Skipped] {
        if count(&verdict) > 0 {
            parts.push(format!("{} {}", count(&verdict), word(&verdict)));
        }
    }
    parts.join(", ")
}

pub fn has_failed(checks: &[Check]) -> bool {
    checks.iter().any(|check| check.verdict == Verdict::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_a_line_and_what_is_below_it() {
        let check = |verdict, words: &[&str]| Check {
            name: "copied files",
            verdict,
            words: words.iter().map(|w| (*w).to_owned()).collect(),
        };
        let plain = |check: &Check| {
            let text = text(check);
            anstream::adapter::strip_str(&text).to_string()
        };
        let one = check(Verdict::Passed, &["13 sources"]);
        assert_eq!(plain(&one), "passed  copied files    13 sources\n");
        let two = check(Verdict::Failed, &["first", "second"]);
        assert_eq!(
            plain(&two),
            "failed  copied files    first\n                        second\n"
        );
        assert!(text(&two).starts_with("\u{1b}[31mfailed"));
        let skipped = check(Verdict::Skipped, &[]);
        assert!(!has_failed(&[one.clone(), skipped.clone()]));
        assert!(has_failed(&[one.clone(), two.clone()]));
        assert_eq!(
            summary(&[one.clone(), one, two, check(Verdict::Warning, &[]), skipped]),
            "2 passed, 1 warning, 1 failed, 1 skipped"
        );
    }
}
