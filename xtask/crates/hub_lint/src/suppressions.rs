//! `hub-lint.json`: the findings that a repository accepts, each with a reason.

use std::cell::Cell;

use crate::document::begin;
use crate::rule::rules;
use anyhow::Result;
use worker_files::json::{self, Kind, Node};
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

#[derive(Debug)]
struct Entry {
    rule: String,
    path: Option<String>,
    span: Span,
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
    let mut bad = |span: &Span, message: String| {
        findings.push(
            Finding::at(&BAD_ENTRY, Location::new(FILE, span.clone()), message).help(
                "it looks like { \"ignore\": [{ \"rule\": \"HUB250\", \"path\": \".runpod/tests.json\", \"reason\": \"…\" }] }",
            ),
        );
    };
    for problem in &parsed.problems {
        bad(&problem.span, problem.message.clone());
    }
    let Some(root) = parsed.root.filter(|_| parsed.problems.is_empty()) else {
        return Ok((ignored, Some(bytes)));
    };
    let list = match &root.kind {
        Kind::Array(_) => Some(&root),
        _ => root.get("ignore"),
    };
    for member in root.members() {
        if member.key != "ignore" && member.key != "$schema" {
            bad(
                &member.key_span,
                format!("there is no key `{}`", member.key),
            );
        }
    }
    let Some(list) = list.filter(|list| matches!(list.kind, Kind::Array(_))) else {
        bad(&(0..1), "there is no list `ignore`".to_owned());
        return Ok((ignored, Some(bytes)));
    };
    for node in list.items() {
        match entry(node, is_rule) {
            Ok(entry) => ignored.entries.push(entry),
            Err((span, message)) => bad(&span, message),
        }
    }
    Ok((ignored, Some(bytes)))
}

fn entry(node: &Node, is_rule: &dyn Fn(&str) -> bool) -> Result<Entry, (Span, String)> {
    let start = begin(node);
    if !matches!(node.kind, Kind::Object(_)) {
        return Err((start, format!("an entry is an object, not {}", node.what())));
    }
    let mut members = node.members().iter();
    if let Some(other) = members.find(|m| !["rule", "path", "reason"].contains(&m.key.as_str())) {
        let what = format!("an entry has no key `{}`", other.key);
        return Err((other.key_span.clone(), what));
    }
    let text = |key: &str| node.text(key).map(str::trim);
    let (Some(named), Some(rule)) = (node.get("rule"), text("rule")) else {
        return Err((start, "an entry names its `rule`".to_owned()));
    };
    if !is_rule(rule) {
        return Err((named.span.clone(), format!("there is no rule `{rule}`")));
    }
    if text("reason").is_none_or(str::is_empty) {
        return Err((start, format!("the entry for `{rule}` gives no `reason`")));
    }
    Ok(Entry {
        rule: rule.to_owned(),
        path: text("path").map(str::to_owned),
        span: node.span.clone(),
        used: Cell::new(false),
    })
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
