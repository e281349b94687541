//! Whether a file is JSON: the problems of [`worker_files::json`] as rules.

use crate::finding::{Finding, Location, Safety};
use crate::model::{HubDocument, Which};
use crate::rule;
use worker_files::json::{self, ProblemKind};
use xtask_core::tree::RepoPath;

/// The rule for a problem, and the title of its fix.
fn rule_for(kind: ProblemKind) -> (&'static str, &'static str) {
    const REWRITE: &str = "write it as JSON does";
    match kind {
        ProblemKind::Empty => ("empty-file", REWRITE),
        ProblemKind::Encoding => ("not-utf8", REWRITE),
        ProblemKind::ByteOrderMark => ("byte-order-mark", "remove the mark"),
        ProblemKind::Comment => ("comment", "remove the comment"),
        ProblemKind::TrailingComma => ("trailing-comma", "remove the comma"),
        ProblemKind::MissingComma => ("missing-comma", "add a comma"),
        ProblemKind::LiteralEscape => ("literal-escape", "write line breaks there"),
        ProblemKind::Unclosed => ("unbalanced-brackets", REWRITE),
        ProblemKind::BadString => ("bad-string", REWRITE),
        ProblemKind::BadValue => ("bad-value", REWRITE),
        ProblemKind::Unexpected => ("unexpected-text", REWRITE),
        ProblemKind::DuplicateKey => ("duplicate-key", "remove the one without effect"),
    }
}

/// Reads a file. Returns a document if nothing is wrong but duplicate keys.
pub fn read(
    path: &RepoPath,
    which: Which,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Option<HubDocument> {
    let parsed = json::parse(bytes);
    let is_duplicate = |problem: &json::Problem| problem.kind == ProblemKind::DuplicateKey;
    let mut document = None;
    if parsed.problems.iter().all(is_duplicate) {
        document = Some(HubDocument {
            path: path.clone(),
            which,
            text: String::from_utf8(bytes.to_vec()).ok()?,
            root: parsed.root?,
        });
    }
    for problem in parsed.problems {
        // The parser recovers from other mistakes by guesses, which may duplicate keys.
        let is_duplicate = is_duplicate(&problem);
        if document.is_none() && is_duplicate {
            continue;
        }
        let place = Location::new(path.clone(), problem.span);
        let (rule, title) = rule_for(problem.kind);
        let mut finding = rule::named(rule).at(place, problem.message);
        if problem.kind == ProblemKind::Comment {
            finding = finding.help("the Hub reads strict JSON; move the words into a README");
        }
        if let Some((span, words)) = problem.related {
            finding = finding.related(Location::new(path.clone(), span), words);
        }
        if !problem.edits.is_empty() {
            finding = finding.fix(Safety::of(!is_duplicate), title, problem.edits);
        }
        findings.push(finding);
    }
    document
}
