//! Findings as GitHub Actions reads them from a step's output: one `::error …::…` per line, which
//! GitHub shows beside the line of the file.

use super::{Sources, positions};
use crate::finding::Finding;

pub fn render(findings: &[Finding], sources: &Sources) -> String {
    let mut out = String::new();
    for finding in findings {
        let command = finding.severity.word();
        let path = &finding.place.path;
        let shown = path.to_string();
        let path = property(path.as_str().unwrap_or(&shown));
        out += &format!("::{command} file={path}");
        if let Some([(line, column), (end_line, end)]) = positions(sources, &finding.place) {
            out += &format!(",line={line},endLine={end_line}");
            // GitHub takes columns within one line only.
            if line == end_line {
                out += &format!(",col={column},endColumn={end}");
            }
        }
        let title = property(&format!("{} {}", finding.rule.code, finding.rule.name));
        out += &format!(",title={title}::{}\n", data(&finding.whole_message()));
    }
    out
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
