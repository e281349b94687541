//! `hub-lint.json`: the findings that a repository accepts, each with a reason.

use std::cell::Cell;

use crate::document::begin;
use crate::rule::rules;
use anyhow::Result;
use serde::Deserialize;
use worker_files::json::{self, Kind, Member};
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

/// What is ignored.
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

/// Reads `hub-lint.json`, where there is one. What is wrong with it becomes findings.
pub fn read(
    tree: &dyn Tree,
    is_rule: &dyn Fn(&str) -> bool,
    findings: &mut Vec<Finding>,
) -> Result<(Suppressions, Option<Vec<u8>>)> {
    let Some(bytes) = tree.read_file(FILE)? else {
        return Ok((Suppressions::default(), None));
    };
    let mut ignored = Suppressions::default();
    let parsed = json::parse(&bytes);
    let mut bad = |span: &Span, message: &str| {
        findings.push(
            Finding::at(&BAD_ENTRY, Location::new(FILE, span.clone()), message).help(
                "it looks like { \"ignore\": [{ \"rule\": \"HUB250\", \"path\": \".runpod/tests.json\", \"reason\": \"…\" }] }",
            ),
        );
    };
    for problem in &parsed.problems {
        bad(&problem.span, &problem.message);
    }
    let Some(root) = parsed.root.filter(|_| parsed.problems.is_empty()) else {
        return Ok((ignored, Some(bytes)));
    };
    let known = |member: &&Member| matches!(member.key.as_str(), "ignore" | "$schema");
    for member in root.members().iter().filter(|member| !known(member)) {
        bad(
            &member.key_span,
            &format!("there is no key `{}`", member.key),
        );
    }
    if !root
        .get("ignore")
        .is_some_and(|list| matches!(list.kind, Kind::Array(_)))
    {
        bad(&(0..1), "there is no list `ignore`");
    }
    for node in root.list("ignore") {
        match serde_json::from_slice::<Entry>(&bytes[node.span.clone()]) {
            Ok(entry) if !is_rule(&entry.rule) => {
                bad(&begin(node), &format!("there is no rule `{}`", entry.rule));
            }
            Ok(entry) if entry.reason.trim().is_empty() => {
                let what = format!("the entry for `{}` gives no `reason`", entry.rule);
                bad(&begin(node), &what);
            }
            Ok(entry) => ignored.entries.push(Entry {
                span: node.span.clone(),
                ..entry
            }),
            Err(error) => {
                let said = error.to_string();
                bad(&begin(node), said.split(" at line").next().unwrap_or(&said));
            }
        }
    }
    Ok((ignored, Some(bytes)))
}

impl Suppressions {
    /// Whether a finding is suppressed.
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
            Finding::at(&STALE, place, what).help("remove the entry")
        })
    }
}
