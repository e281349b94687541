//! Whether a file is JSON: the problems of [`worker_files::json`] as rules.

use crate::document::{HubDocument, Which};
use crate::finding::{Finding, Location, Safety};
use crate::rule::{Fixability, Rule, rules};
use worker_files::json::{self, ProblemKind};
use xtask_core::tree::RepoPath;

rules! {
    /// There is no JSON in the file, so that the Hub has no listing to show or no test to run.
    ///
    /// Bad:
    /// ```json hub
    /// ```
    EMPTY = "HUB001" "empty-file" Error Never
        "the file has nothing in it"
        from "JSON (RFC 8259); a published tests.json of 0 bytes";
    /// JSON is UTF-8. Editors on Windows sometimes save UTF-16 or a Latin code page.
    ///
    /// Bad: a file saved as "Unicode", whose first bytes are `FF FE`.
    NOT_UTF8 = "HUB002" "not-utf8" Error Never
        "the file is not UTF-8"
        from "JSON (RFC 8259)";
    /// An invisible mark (`EF BB BF`) at the beginning of the file, which some editors write.
    /// JSON parsers take it for text that does not belong there.
    ///
    /// Bad: a file saved as "UTF-8 with BOM".
    BYTE_ORDER_MARK = "HUB003" "byte-order-mark" Error Safely
        "the file begins with a byte-order mark"
        from "JSON (RFC 8259)";
    /// The Hub reads strict JSON, which has no comments.
    ///
    /// Bad:
    /// ```json hub
    /// {
    ///   // what it is called
    ///   "title": "Worker"
    /// }
    /// ```
    COMMENT = "HUB005" "comment" Error Safely
        "JSON has no comments"
        from "JSON (RFC 8259); two published listings";
    /// The Hub reads strict JSON, which allows no trailing comma.
    ///
    /// ```diff tests
    /// - { "tests": [{ "name": "one", "input": { "prompt": "Hi", } }], "config": {} }
    /// + { "tests": [{ "name": "one", "input": { "prompt": "Hi" } }], "config": {} }
    /// ```
    TRAILING_COMMA = "HUB006" "trailing-comma" Error Safely
        "a trailing comma"
        from "JSON (RFC 8259); two published tests.json";
    /// Two elements stand side by side without the comma between them.
    ///
    /// ```diff tests
    /// - { "tests": [{ "name": "one" "input": {} }], "config": {} }
    /// + { "tests": [{ "name": "one", "input": {} }], "config": {} }
    /// ```
    MISSING_COMMA = "HUB007" "missing-comma" Error Safely
        "a comma is missing between two elements"
        from "JSON (RFC 8259)";
    /// A backslash and an `n` are written where a line should end: the file went through a program
    /// that escaped it once too often.
    ///
    /// Bad:
    /// ```json tests
    /// {\n  "tests": [],\n  "config": {}\n}
    /// ```
    LITERAL_ESCAPE = "HUB008" "literal-escape" Error Safely
        "`\\n` is written out where a line should end"
        from "JSON (RFC 8259); two published tests.json";
    /// A bracket is not closed, closed by the other kind, or closed twice. The finding names the
    /// place where it was opened, which is where the mistake mostly is.
    ///
    /// Bad:
    /// ```json hub
    /// {
    ///   "title": "Worker",
    ///   "config": {
    ///     "runsOn": "GPU"
    /// }
    /// ```
    BRACKETS = "HUB009" "unbalanced-brackets" Error Never
        "brackets don't match"
        from "JSON (RFC 8259); two published listings";
    /// A string without an end, in the wrong quotes, with an unknown escape, or with a raw tab or
    /// other control character; or a key without quotes.
    ///
    /// Bad:
    /// ```json hub
    /// { 'title': 'Worker' }
    /// ```
    BAD_STRING = "HUB010" "bad-string" Error Safely
        "text that is no JSON string"
        from "JSON (RFC 8259)";
    /// A word or number that other languages have and JSON does not: `True`, `None`, `NaN`, `01`.
    ///
    /// Bad:
    /// ```json hub
    /// { "required": True }
    /// ```
    BAD_VALUE = "HUB011" "bad-value" Error Safely
        "a word or number that JSON doesn't have"
        from "JSON (RFC 8259)";
    /// There is something other than what JSON needs at this place: another character, a NUL byte, or
    /// brackets that are nested more than 127 levels deep, which common parsers refuse.
    ///
    /// Bad:
    /// ```json hub
    /// { "title" = "Worker" }
    /// ```
    UNEXPECTED = "HUB012" "unexpected-text" Error Never
        "text that does not belong there"
        from "JSON (RFC 8259)";
    /// Parsers take the last of two values for one key, without a word. Whoever edits the first
    /// one wonders why nothing changes.
    ///
    /// ```diff config
    /// - "containerDiskInGb": 20,
    ///   "containerDiskInGb": 80
    /// ```
    DUPLICATE_KEY = "HUB014" "duplicate-key" Warning Unsafely
        "a key appears twice"
        from "JSON (RFC 8259)";
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
