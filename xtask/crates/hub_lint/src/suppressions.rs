//! `hub-lint.json`: the findings that a repository accepts, each with a reason.

use crate::document::begin;
use crate::rule::rules;
use anyhow::Result;
use serde::Deserialize;
use worker_files::json;
use xtask_core::finding::{Finding, Location, Span};
use xtask_core::tree::Tree;

/// The file's name, at the repository's root.
pub const FILE: &str = "hub-lint.json";

rules! {
    /// An entry of `hub-lint.json` that matches nothing any more. What it was for is fixed; the
    /// entry would hide the next mistake of its kind.
    ///
    /// Bad:
    /// ```json hub-lint.json
    /// { "ignore": [{ "rule": "HUB250", "path": ".runpod/tests.json", "reason": "a quick worker" }] }
    /// ```
    STALE = "HUB390" "stale-ignore" Warning Never
        "an entry of hub-lint.json matches nothing"
        from "this tool";

    /// An entry names the `rule`, the `path` (which may be left out for all files) and the
    /// `reason`. The reason is for those who come after.
    ///
    /// Bad:
    /// ```json hub-lint.json
    /// { "ignore": [{ "rule": "HUB250", "path": ".runpod/tests.json" }] }
    /// ```
    BAD_ENTRY = "HUB391" "bad-ignore" Error Never
        "hub-lint.json can't be understood"
        from "this tool";
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: String,
    path: Option<String>,
    reason: String,
    #[serde(skip)]
    span: Span,
    #[serde(skip)]
    used: bool,
}

/// The whole file. Entries are read one by one, so that one mistake leaves the others in force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ignore: Vec<serde_json::Value>,
    #[serde(rename = "$schema")]
    _schema: Option<String>,
}

/// Leaves out what `hub-lint.json` ignores. What is wrong with that file becomes findings; where
/// the `whole` repository is linted, so do the entries that match nothing.
pub fn apply(
    tree: &dyn Tree,
    is_rule: &dyn Fn(&str) -> bool,
    whole: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let mut entries = match tree.read_file(FILE)? {
        Some(bytes) => read(&bytes, is_rule, findings),
        None => return Ok(()),
    };
    findings.retain(|finding| {
        let mut covered = false;
        for entry in entries.iter_mut().filter(|entry| entry.covers(finding)) {
            entry.used = true;
            covered = true;
        }
        !covered
    });
    for entry in entries.iter().filter(|entry| whole && !entry.used) {
        let what = format!("nothing here breaks `{}` any more", entry.rule);
        let finding = STALE.at(Location::new(FILE, entry.span.clone()), what);
        findings.push(finding.help("remove the entry"));
    }
    Ok(())
}

/// The entries of the file that are in order.
fn read(bytes: &[u8], is_rule: &dyn Fn(&str) -> bool, findings: &mut Vec<Finding>) -> Vec<Entry> {
    let mut bad = |span: Span, message: &str| {
        let finding = BAD_ENTRY.at(Location::new(FILE, span), message);
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
    let all = match serde_json::from_slice::<File>(bytes) {
        Ok(file) => file.ignore,
        Err(error) => {
            bad(begin(&root), &error.to_string());
            return Vec::new();
        }
    };
    let mut entries = Vec::new();
    for (node, entry) in root.list("ignore").iter().zip(all) {
        let trouble = match serde_json::from_value::<Entry>(entry) {
            Err(error) => error.to_string(),
            Ok(entry) if !is_rule(&entry.rule) => format!("there is no rule `{}`", entry.rule),
            Ok(entry) if entry.reason.trim().is_empty() => {
                format!("the entry for `{}` gives no `reason`", entry.rule)
            }
            Ok(entry) => {
                let span = node.span.clone();
                entries.push(Entry { span, ..entry });
                continue;
            }
        };
        bad(begin(node), &trouble);
    }
    entries
}

impl Entry {
    fn covers(&self, finding: &Finding) -> bool {
        let is_path = |path: &String| finding.place.path == *path.as_str();
        let is_rule = |name: &str| name.eq_ignore_ascii_case(&self.rule);
        self.path.as_ref().is_none_or(is_path) && (is_rule(finding.code) || is_rule(finding.name))
    }
}
