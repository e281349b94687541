//! Findings as SARIF 2.1.0, for GitHub's code scanning and for editors.

use serde_json::{Value, json};

use super::{Sources, positions};
use crate::finding::{Finding, Location, Related};
use crate::rule::Rule;

pub fn render(rules: &[Rule], findings: &[Finding], sources: &Sources) -> Value {
    let descriptor = |rule: &Rule| {
        let page = rule.page();
        json!({
            "id": rule.code,
            "name": rule.name,
            "shortDescription": { "text": rule.summary },
            "helpUri": rule.address(),
            "help": { "text": page, "markdown": page },
            "defaultConfiguration": { "level": rule.severity.word() },
        })
    };
    let result = |finding| result(finding, rules, sources);
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "hub-lint",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(descriptor).collect::<Value>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": findings.iter().map(result).collect::<Value>(),
        }],
    })
}

fn result(finding: &Finding, rules: &[Rule], sources: &Sources) -> Value {
    let mut result = json!({
        "ruleId": finding.rule.code,
        "level": finding.severity.word(),
        "message": { "text": finding.whole_message() },
        "locations": [{ "physicalLocation": physical(&finding.place, sources) }],
    });
    if let Some(index) = rules.iter().position(|rule| rule.code == finding.rule.code) {
        result["ruleIndex"] = index.into();
    }
    if !finding.related.is_empty() {
        let location = |(id, related): (usize, &Related)| {
            json!({
                "id": id,
                "physicalLocation": physical(&related.place, sources),
                "message": { "text": related.label },
            })
        };
        let related = finding.related.iter().enumerate();
        result["relatedLocations"] = related.map(location).collect();
    }
    result
}

fn physical(place: &Location, sources: &Sources) -> Value {
    json!({
        "artifactLocation": { "uri": uri(place) },
        "region": region(place, sources),
    })
}

/// A place in a file that was not read is its first line.
fn region(place: &Location, sources: &Sources) -> Value {
    let Some([(line, column), (end_line, end_column)]) = positions(sources, place) else {
        return json!({ "startLine": 1 });
    };
    json!({
        "startLine": line,
        "startColumn": column,
        "endLine": end_line,
        "endColumn": end_column,
    })
}

/// The path as a relative URI reference, with escaped characters.
fn uri(place: &Location) -> String {
    let escaped = place.path.as_bytes().iter().map(|&byte| {
        if byte.is_ascii_alphanumeric() || b"/-._~+@".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    });
    escaped.collect()
}
