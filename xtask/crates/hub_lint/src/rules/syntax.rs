//! Whether a file is JSON: what [`worker_files::json`] sees, as rules.

use crate::document::{Document, Which};
use crate::rule::{Rule, rules};
use worker_files::json::{self, Member, Node, ProblemKind};
use xtask_core::finding::{Finding, Place, Safety};
use xtask_core::tree::RepoPath;

rules! { Syntax;
    EMPTY = "HUB001" "empty-file" Error Never
        "the file has nothing in it";
    NOT_UTF8 = "HUB002" "not-utf8" Error Never
        "the file is not UTF-8";
    BYTE_ORDER_MARK = "HUB003" "byte-order-mark" Error Safely
        "the file begins with a byte-order mark";
    NUL = "HUB004" "nul-byte" Error Never
        "the file holds a NUL byte";
    COMMENT = "HUB005" "comment" Error Safely
        "JSON has no comments";
    TRAILING_COMMA = "HUB006" "trailing-comma" Error Safely
        "a trailing comma";
    MISSING_COMMA = "HUB007" "missing-comma" Error Safely
        "a comma is missing between two elements";
    LITERAL_ESCAPE = "HUB008" "literal-escape" Error Safely
        "`\\n` is written out where a line should end";
    BRACKETS = "HUB009" "unbalanced-brackets" Error Never
        "brackets don't match";
    BAD_STRING = "HUB010" "bad-string" Error Safely
        "text that is no JSON string";
    BAD_VALUE = "HUB011" "bad-value" Error Safely
        "a word or number that JSON doesn't have";
    UNEXPECTED = "HUB012" "unexpected-text" Error Never
        "text that does not belong there";
    TOO_DEEP = "HUB013" "too-deep" Error Never
        "nested too deep";
    DUPLICATE_KEY = "HUB014" "duplicate-key" Warning Unsafely
        "a key appears twice";
}

fn rule(kind: ProblemKind) -> &'static Rule {
    match kind {
        ProblemKind::Empty => &EMPTY,
        ProblemKind::Encoding => &NOT_UTF8,
        ProblemKind::ByteOrderMark => &BYTE_ORDER_MARK,
        ProblemKind::Nul => &NUL,
        ProblemKind::Comment => &COMMENT,
        ProblemKind::TrailingComma => &TRAILING_COMMA,
        ProblemKind::MissingComma => &MISSING_COMMA,
        ProblemKind::LiteralEscape => &LITERAL_ESCAPE,
        ProblemKind::Unclosed | ProblemKind::Mismatched => &BRACKETS,
        ProblemKind::BadString => &BAD_STRING,
        ProblemKind::BadValue => &BAD_VALUE,
        ProblemKind::Unexpected | ProblemKind::Trailing => &UNEXPECTED,
        ProblemKind::TooDeep => &TOO_DEEP,
        ProblemKind::DuplicateKey => &DUPLICATE_KEY,
    }
}

/// Reads a file; there is a document where this layer has nothing against it.
pub fn read(
    path: &RepoPath,
    which: Which,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Option<Document> {
    let parsed = json::parse(bytes);
    let is_duplicate = |problem: &json::Problem| problem.kind == ProblemKind::DuplicateKey;
    let duplicates = !parsed.problems.is_empty();
    let mut document = None;
    if parsed.problems.iter().all(is_duplicate) {
        document = Some(Document {
            path: path.clone(),
            which,
            text: String::from_utf8(bytes.to_vec()).ok()?,
            root: parsed.root?,
            duplicates,
        });
    }
    for problem in parsed.problems {
        // After a mistake that the parser only guessed its way past, duplicates may be guesses.
        if document.is_none() && is_duplicate(&problem) {
            continue;
        }
        let place = Place::new(path.clone(), problem.span);
        let mut finding = Finding::at(rule(problem.kind), place, problem.message);
        if problem.kind == ProblemKind::Comment {
            finding = finding.help("the Hub reads strict JSON; move the words into a README");
        }
        if let (Some(document), Some((first, _))) = (&document, &problem.related)
            && let Some((object, member)) = member_at(&document.root, first.start)
        {
            let edit = crate::edit::remove(object, member);
            finding = finding.fix(Safety::Unsafe, "remove the one without effect", [edit]);
        }
        if let Some((span, words)) = problem.related {
            finding = finding.related(Place::new(path.clone(), span), words);
        }
        if !problem.edits.is_empty() {
            finding = finding.fix(Safety::Safe, title(problem.kind), problem.edits);
        }
        findings.push(finding);
    }
    document
}

/// The object and its member whose key begins at a place.
fn member_at(root: &Node, at: usize) -> Option<(&Node, &Member)> {
    let mut node = root;
    loop {
        // Members and items are in the order of the text.
        let members = node.members();
        let after = members.partition_point(|member| member.key_span.start <= at);
        let member = after.checked_sub(1).map(|before| &members[before]);
        if let Some(member) = member.filter(|member| member.key_span.start == at) {
            return Some((node, member));
        }
        let items = node.items();
        let after = items.partition_point(|item| item.span.start <= at);
        let item = after.checked_sub(1).map(|before| &items[before]);
        node = member.map(|member| &member.value).or(item)?;
    }
}

fn title(kind: ProblemKind) -> &'static str {
    match kind {
        ProblemKind::ByteOrderMark => "remove the mark",
        ProblemKind::Comment => "remove the comment",
        ProblemKind::TrailingComma => "remove the comma",
        ProblemKind::MissingComma => "add a comma",
        ProblemKind::LiteralEscape => "write line breaks there",
        _ => "write it as JSON does",
    }
}
