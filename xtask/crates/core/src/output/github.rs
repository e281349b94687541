//! Findings as GitHub Actions reads them from a step's output: one `::error …::…` a line, which it
//! shows beside the line of the file.

use std::fmt::Write;

use super::Sources;
use crate::finding::{Finding, Severity};

/// One workflow command for each finding.
pub fn render(findings: &[Finding], sources: &Sources) -> String {
    let mut out = String::new();
    for finding in findings {
        let command = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "notice",
        };
        let path = finding.place.path.as_str().map_or_else(
            || finding.place.path.to_string(),
            std::borrow::ToOwned::to_owned,
        );
        let _ = write!(out, "::{command} file={}", property(&path));
        if let Some(source) = sources.get(&finding.place.path) {
            let (start, end) = source.positions(&finding.place.span);
            let _ = write!(out, ",line={},endLine={}", start.line, end.line);
            // GitHub takes columns within one line only.
            if start.line == end.line {
                let _ = write!(out, ",col={},endColumn={}", start.column, end.column);
            }
        }
        let title = format!("{} {}", finding.code, finding.name);
        let _ = write!(out, ",title={}::", property(&title));
        let mut message = finding.message.clone();
        for help in &finding.help {
            message.push('\n');
            message.push_str(help);
        }
        out.push_str(&data(&message));
        out.push('\n');
    }
    out
}

/// What stands after the second `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// What stands behind a `=` before it.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
