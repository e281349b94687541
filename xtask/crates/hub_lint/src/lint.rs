//! Lints one tree: reads the Hub's files, applies the rules, and leaves out suppressed findings.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;

use crate::finding::{self, Finding, Location};
use crate::formats::Sources;
use crate::model::{HubDocument, Which};
use crate::rules::{check_file, cross_file};
use crate::suppressions;
use worker_files::Source;
use xtask_core::tree::{Directory, RepoPath, Tree};

/// How many findings of one rule in one file are kept; the others are only counted.
const MOST_OF_A_KIND: usize = 50;

#[derive(Debug, Default)]
pub struct LintReport {
    pub findings: Vec<Finding>,
    pub sources: Sources,
    /// How many of the Hub's files there were.
    pub files: usize,
}

/// Lints a repository, without the findings that `hub-lint.json` ignores. `whole` also reports
/// missing files.
pub fn lint(tree: &dyn Tree, whole: bool) -> Result<LintReport> {
    let mut report = LintReport::default();
    let findings = &mut report.findings;
    let mut documents: Vec<HubDocument> = Vec::new();
    let is_hub_in_runpod = tree.entries().contains_key(&".runpod/hub.json".into());
    for which in [Which::Hub, Which::Tests] {
        let Some((path, bytes)) = find(tree, which)? else {
            continue;
        };
        // A tests.json at the root may belong to another tool if the listing is in `.runpod/`.
        if is_hub_in_runpod && path == "tests.json" && !looks_like_tests(&bytes) {
            continue;
        }
        report.files += 1;
        documents.extend(check_file(&path, which, &bytes, findings));
    }
    let of = |which| documents.iter().find(|document| document.which == which);
    let (hub, tests) = (of(Which::Hub), of(Which::Tests));
    cross_file::check(tree, hub, tests, whole, findings)?;
    suppressions::apply(tree, whole, findings)?;
    shorten(findings);
    for Location { path, .. } in report.findings.iter().flat_map(Finding::places) {
        if !report.sources.contains_key(path)
            && let Some(bytes) = tree.read_file(&String::from_utf8_lossy(path.as_bytes()))?
        {
            let source = Source::new(path.clone(), &bytes);
            report.sources.insert(path.clone(), source);
        }
    }
    Ok(report)
}

/// The Hub's file of this kind: the one in `.runpod/` takes precedence.
fn find(tree: &dyn Tree, which: Which) -> Result<Option<(RepoPath, Vec<u8>)>> {
    for path in [format!(".runpod/{}", which.name()), which.name().to_owned()] {
        if let Some(bytes) = tree.read_file(&path)? {
            return Ok(Some((RepoPath::new(path), bytes)));
        }
    }
    Ok(None)
}

/// Sorts the findings, keeps the first of each rule in each file and counts the rest.
fn shorten(findings: &mut Vec<Finding>) {
    finding::sort(findings);
    let key = |finding: &Finding| (finding.rule.code, finding.place.path.clone());
    let mut counts: HashMap<(&str, RepoPath), usize> = HashMap::new();
    findings.retain(|finding| {
        let nth = counts.entry(key(finding)).or_default();
        *nth += 1;
        *nth <= MOST_OF_A_KIND
    });
    for finding in findings.iter_mut().rev() {
        let count = counts.remove(&key(finding)).unwrap_or_default();
        if let Some(more @ 1..) = count.checked_sub(MOST_OF_A_KIND) {
            let help = format!("and {more} more of this kind in this file");
            finding.help.push(help);
        }
    }
}

pub fn lint_directory(root: &Path) -> Result<LintReport> {
    lint(&Directory::open_work_tree(root)?, true)
}

/// Whether a `tests.json` is the Hub's and not another tool's.
fn looks_like_tests(bytes: &[u8]) -> bool {
    let root = worker_files::json::parse(bytes).root;
    root.is_some_and(|root| root.get("tests").is_some() && root.get("config").is_some())
}

pub fn alone(path: &RepoPath, which: Which, bytes: &[u8]) -> LintReport {
    let mut report = LintReport {
        files: 1,
        ..LintReport::default()
    };
    check_file(path, which, bytes, &mut report.findings);
    shorten(&mut report.findings);
    let source = Source::new(path.clone(), bytes);
    report.sources.insert(path.clone(), source);
    report
}
