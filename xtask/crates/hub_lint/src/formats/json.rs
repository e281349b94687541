//! Findings for programs, as JSON.

use serde_json::{Value, json};

use super::{Sources, positions};
use crate::finding::{Counts, Finding, Location};

/// One object with sorted `findings` and a `summary`. Lines and columns count from 1, columns in
/// characters; `start` and `end` are bytes from 0.
pub fn render(findings: &[Finding], sources: &Sources) -> Value {
    json!({
        "version": 1,
        "summary": Counts::of(findings),
        "findings": findings.iter().map(|f| finding(f, sources)).collect::<Value>(),
    })
}

fn finding(finding: &Finding, sources: &Sources) -> Value {
    json!({
        "code": finding.rule.code,
        "name": finding.rule.name,
        "severity": finding.severity,
        "message": finding.message,
        "place": place(&finding.place, sources),
        "related": finding.related.iter().map(|related| json!({
            "place": place(&related.place, sources),
            "label": related.label,
        })).collect::<Vec<_>>(),
        "help": finding.help,
        "fix": finding.fix.as_ref().map(|fix| json!({
            "title": fix.title,
            "safety": fix.safety,
            "edits": fix.edits.iter().map(|(span, with)| json!({
                "place": place(&Location::new(finding.place.path.clone(), span.clone()), sources),
                "with": with,
            })).collect::<Vec<_>>(),
        })),
    })
}

fn place(place: &Location, sources: &Sources) -> Value {
    let mut value = json!({
        "path": place.path,
        "start": place.span.start,
        "end": place.span.end,
    });
    if let Some(ends) = positions(sources, place) {
        for (prefix, (line, column)) in ["", "end_"].iter().zip(ends) {
            value[format!("{prefix}line")] = line.into();
            value[format!("{prefix}column")] = column.into();
        }
    }
    value
}
