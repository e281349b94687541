//! `hub-lint.json`: the findings that a repository accepts, each with a reason.

use std::cell::Cell;

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

#[derive(Debug, Default)]
pub struct Suppressions {
    entries: Vec<Entry>,
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
    used: Cell<bool>,
}

/// The whole file. Entries are read one by one, so that one mistake leaves the others in force.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    ignore: Vec<serde_json::Value>,
    #[serde(rename = "$schema")]
    _schema: Option<String>,
}

/// Reads `hub-lint.json`, where there is one. What is wrong with it becomes findings.
pub fn read(
    tree: &dyn Tree,
    is_rule: &dyn Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<(Suppressions, Option<Vec<u8>>)> {
    let mut ignored = Suppressions::default();
    let Some(bytes) = tree.read_file(FILE)? else {
        return Ok((ignored, None));
    };
    let mut bad = |span: Span, message: &str| {
        let finding = BAD_ENTRY.at(Location::new(FILE, span), message);
        findings.push(finding.help(
            "it looks like { \"ignore\": [{ \"rule\": \"HUB250\", \"path\": \".runpod/tests.json\", \"reason\": \"…\" }] }",
        ));
    };
    let parsed = json::parse(&bytes);
    for problem in &parsed.problems {
        bad(problem.span.clone(), &problem.message);
    }
    let Some(root) = parsed.root.filter(|_| parsed.problems.is_empty()) else {
        return Ok((ignored, Some(bytes)));
    };
    let entries = match serde_json::from_slice::<File>(&bytes) {
        Ok(file) => file.ignore,
        Err(error) => {
            bad(begin(&root), &error.to_string());
            Vec::new()
        }
    };
    for (node, entry) in root.list("ignore").iter().zip(entries) {
        match serde_json::from_value::<Entry>(entry) {
            Err(error) => bad(begin(node), &error.to_string()),
            Ok(entry) if !is_rule(&entry.rule) => {
                bad(begin(node), &format!("there is no rule `{}`", entry.rule));
            }
            Ok(entry) if entry.reason.trim().is_empty() => {
                let what = format!("the entry for `{}` gives no `reason`", entry.rule);
                bad(begin(node), &what);
            }
            Ok(entry) => {
                let span = node.span.clone();
                ignored.entries.push(Entry { span, ..entry });
            }
        }
    }
    Ok((ignored, Some(bytes)))
}

impl Suppressions {
    pub fn covers(&self, finding: &Finding) -> bool {
        let mut covered = false;
        for entry in &self.entries {
            let is_path = |path: &String| finding.place.path == *path.as_str();
            let names = [finding.code, finding.name];
            if entry.path.as_ref().is_none_or(is_path)
                && names
                    .iter()
                    .any(|name| name.eq_ignore_ascii_case(&entry.rule))
            {
                entry.used.set(true);
                covered = true;
            }
        }
        covered
    }

    /// The entries that covered nothing.
    pub fn stale(&self) -> impl Iterator<Item = Finding> {
        let unused = self.entries.iter().filter(|entry| !entry.used.get());
        unused.map(|entry| {
            let what = format!("nothing here breaks `{}` any more", entry.rule);
            let place = Location::new(FILE, entry.span.clone());
            STALE.at(place, what).help("remove the entry")
        })
    }
}
