//! `hub-lint.json`: the findings that a repository accepts, each with a reason.

use crate::finding::{Finding, Location};
use crate::model::begin;
use crate::rule;
use anyhow::Result;
use serde::Deserialize;
use worker_files::json;
use worker_files::json::Span;
use xtask_core::tree::Tree;

pub const FILE: &str = "hub-lint.json";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    path: Option<String>,
    reason: String,
    #[serde(skip)]
    span: Span,
    #[serde(skip)]
    is_used: bool,
}

/// The whole file. Entries are read one by one, so that a mistake in one leaves the others in force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ignore: Vec<serde_json::Value>,
    #[serde(rename = "$schema")]
    _schema: Option<String>,
}

/// Removes the findings that `hub-lint.json` ignores, and adds findings about that file. Entries that
/// match nothing are findings only where the `whole` repository is linted.
pub fn apply(tree: &dyn Tree, whole: bool, findings: &mut Vec<Finding>) -> Result<()> {
    let Some(bytes) = tree.read_file(FILE)? else {
        return Ok(());
    };
    let mut entries = read(&bytes, findings);
    findings.retain(|finding| {
        let mut is_covered = false;
        for entry in entries.iter_mut().filter(|entry| entry.covers(finding)) {
            (entry.is_used, is_covered) = (true, true);
        }
        !is_covered
    });
    for entry in entries.iter().filter(|entry| whole && !entry.is_used) {
        let what = format!("nothing here breaks `{}` any more", entry.rule);
        let finding = rule::named("stale-ignore").at(Location::new(FILE, entry.span.clone()), what);
        findings.push(finding.help("remove the entry"));
    }
    Ok(())
}

fn read(bytes: &[u8], findings: &mut Vec<Finding>) -> Vec<Entry> {
    let mut bad = |span: Span, message: &str| {
        let finding = rule::named("bad-ignore").at(Location::new(FILE, span), message);
        findings.push(finding.help(
            "it looks like { \"ignore\": [{ \"rule\": \"HUB250\", \"path\": \".runpod/tests.json\", \"reason\": \"…\" }] }",
        ));
    };
    let parsed = json::parse(bytes);
    for problem in &parsed.problems {
        bad(problem.span.clone(), &problem.message);
    }
    let Some(root) = parsed.root.filter(|_| parsed.problems.is_empty()) else {
        return Vec::new();
    };
    let values = serde_json::from_slice(bytes).map(|file: File| file.ignore);
    let values = values.unwrap_or_else(|error| {
        bad(begin(&root), &error.to_string());
        Vec::new()
    });
    let mut entries = Vec::new();
    for (node, entry) in root.list("ignore").iter().zip(values) {
        let problem = match serde_json::from_value::<Entry>(entry) {
            Err(error) => error.to_string(),
            Ok(entry) if rule::find(&entry.rule).is_none() => {
                format!("there is no rule `{}`", entry.rule)
            }
            Ok(entry) if entry.reason.trim().is_empty() => {
                format!("the entry for `{}` gives no `reason`", entry.rule)
            }
            Ok(entry) => {
                let span = node.span.clone();
                entries.push(Entry { span, ..entry });
                continue;
            }
        };
        bad(begin(node), &problem);
    }
    entries
}

impl Entry {
    fn covers(&self, finding: &Finding) -> bool {
        let is_path = |path: &String| finding.place.path == *path.as_str();
        let is_rule = |name: &str| name.eq_ignore_ascii_case(&self.rule);
        self.path.as_ref().is_none_or(is_path)
            && (is_rule(finding.rule.code) || is_rule(finding.rule.name))
    }
}
