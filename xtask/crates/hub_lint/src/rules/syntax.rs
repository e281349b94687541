//! Whether a file is JSON: the problems of [`worker_files::json`] as rules.

use crate::document::{HubDocument, Which};
use crate::finding::{Finding, Location, Safety};
use crate::rule::{Fixability, Rule, rules};
use worker_files::json::{self, ProblemKind};
use xtask_core::tree::RepoPath;

rules! {
    EMPTY = "HUB001" "empty-file" Error Never "the file has nothing in it";
    NOT_UTF8 = "HUB002" "not-utf8" Error Never "the file is not UTF-8";
    BYTE_ORDER_MARK = "HUB003" "byte-order-mark" Error Safely
        "the file begins with a byte-order mark";
    COMMENT = "HUB005" "comment" Error Safely "JSON has no comments";
    TRAILING_COMMA = "HUB006" "trailing-comma" Error Safely "a trailing comma";
    MISSING_COMMA = "HUB007" "missing-comma" Error Safely "a comma is missing between two elements";
    LITERAL_ESCAPE = "HUB008" "literal-escape" Error Safely
        "`\\n` is written out where a line should end";
    BRACKETS = "HUB009" "unbalanced-brackets" Error Never "brackets don't match";
    BAD_STRING = "HUB010" "bad-string" Error Safely "text that is no JSON string";
    BAD_VALUE = "HUB011" "bad-value" Error Safely "a word or number that JSON doesn't have";
    UNEXPECTED = "HUB012" "unexpected-text" Error Never "text that does not belong there";
    DUPLICATE_KEY = "HUB014" "duplicate-key" Warning Unsafely "a key appears twice";
}

/// The rule for a problem, and the title of its fix.
fn rule(kind: ProblemKind) -> (&'static Rule, &'static str) {
    const REWRITE: &str = "write it as JSON does";
    match kind {
        ProblemKind::Empty => (&EMPTY, REWRITE),
        ProblemKind::Encoding => (&NOT_UTF8, REWRITE),
        ProblemKind::ByteOrderMark => (&BYTE_ORDER_MARK, "remove the mark"),
        ProblemKind::Comment => (&COMMENT, "remove the comment"),
        ProblemKind::TrailingComma => (&TRAILING_COMMA, "remove the comma"),
        ProblemKind::MissingComma => (&MISSING_COMMA, "add a comma"),
        ProblemKind::LiteralEscape => (&LITERAL_ESCAPE, "write line breaks there"),
        ProblemKind::Unclosed => (&BRACKETS, REWRITE),
        ProblemKind::BadString => (&BAD_STRING, REWRITE),
        ProblemKind::BadValue => (&BAD_VALUE, REWRITE),
        ProblemKind::Unexpected => (&UNEXPECTED, REWRITE),
        ProblemKind::DuplicateKey => (&DUPLICATE_KEY, "remove the one without effect"),
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
        if document.is_none() && is_duplicate(&problem) {
            continue;
        }
        let place = Location::new(path.clone(), problem.span);
        let (rule, title) = rule(problem.kind);
        let mut finding = rule.at(place, problem.message);
        if problem.kind == ProblemKind::Comment {
            finding = finding.help("the Hub reads strict JSON; move the words into a README");
        }
        if let Some((span, words)) = problem.related {
            finding = finding.related(Location::new(path.clone(), span), words);
        }
        if !problem.edits.is_empty() {
            let is_safe = rule.fixability == Fixability::Safely;
            let safety = if is_safe {
                Safety::Safe
            } else {
                Safety::Unsafe
            };
            finding = finding.fix(safety, title, problem.edits);
        }
        findings.push(finding);
    }
    document
}
