//! Findings as Markdown, for a pull request or a step's summary.

use super::Sources;
use crate::finding::Finding;

/// A table; empty where there is nothing to say.
pub fn render(findings: &[Finding], sources: &Sources) -> String {
    if findings.is_empty() {
        return String::new();
    }
    let mut out = "| | where | what |\n| --- | --- | --- |\n".to_owned();
    for finding in findings {
        let mut place = finding.place.path.to_string();
        if let Some((at, _)) = sources.positions(&finding.place) {
            place += &format!(":{}", at.line);
        }
        let (severity, code_of) = (finding.severity.word(), finding.code);
        let (place, message) = (code(&place), cell(&finding.message));
        out += &format!("| {severity} {code_of} | {place} | {message} |\n");
    }
    out
}

/// Text as one cell: nothing in it ends the cell, begins HTML, or mentions somebody. What stands
/// between backticks stays code.
pub fn cell(text: &str) -> String {
    let mut out = String::new();
    let paired = text.matches('`').count().is_multiple_of(2);
    for (index, part) in text.split('`').enumerate() {
        if paired && index % 2 == 1 {
            out.push_str(&code(part));
            continue;
        }
        if !paired && index > 0 {
            out.push_str("\\`");
        }
        for c in part.chars() {
            match c {
                '|' | '\\' | '<' | '>' | '*' | '_' | '[' | ']' | '#' | '@' => {
                    out.push('\\');
                    out.push(c);
                }
                c if c.is_control() => out.push(' '),
                c => out.push(c),
            }
        }
    }
    out
}

/// Text as code within a cell.
pub fn code(text: &str) -> String {
    let text = text.replace(char::is_control, " ").replace('|', "\\|");
    // A fence longer than any run of backticks inside.
    let longest = text.split(|c| c != '`').map(str::len).max();
    let longest = longest.unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let space = if longest == 0 { "" } else { " " };
    format!("{fence}{space}{text}{space}{fence}")
}
