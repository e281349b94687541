//! The shape of tests.json.

use crate::document::{Document, begin};
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Safety};
use xtask_core::suggest::letters;

rules! { Shape;
    ROOT = "HUB120" "tests-root" Error Unsafely
        "tests.json is not an object with `tests`";
    NO_TESTS = "HUB121" "no-tests" Warning Never
        "tests.json has no tests";
    NO_CONFIG = "HUB122" "tests-without-config" Warning Never
        "tests.json has no `config`";
    INCOMPLETE_TEST = "HUB123" "incomplete-test" Error Never
        "a test without name or input";
}

/// Looks at the root. False where nothing more can be said of the file.
pub fn check_root(document: &Document, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    if let Some(finding) = not_tests(document, root) {
        findings.push(finding);
        return false;
    }
    let tests = root.member("tests");
    if let Some(tests) = tests
        && matches!(&tests.value.kind, Kind::Array(items) if items.is_empty())
    {
        findings.push(document.at(&NO_TESTS, &tests.key_span, "`tests` is empty"));
    }
    let mut keys = root.members().iter().map(|member| letters(&member.key));
    if !root.list("tests").is_empty() && !keys.any(|key| key.starts_with("config")) {
        let help = "the Hub's test run takes no default from hub.json: what the worker needs has \
                    to be in `config.env`";
        let finding = document.at(&NO_CONFIG, &begin(root), "tests.json has no `config`");
        findings.push(finding.help(help));
    }
    true
}

/// What makes a file none of the Hub's tests.
fn not_tests(document: &Document, root: &Node) -> Option<Finding> {
    match &root.kind {
        // A single test at the root: one finding for the wrapping that it lacks.
        Kind::Object(_) => {
            let input = root
                .member("input")
                .filter(|_| root.get("tests").is_none())?;
            let what = "tests.json has no `tests`: it is a single job's input";
            let help =
                "the Hub reads `{ \"tests\": [{ \"name\": …, \"input\": {…} }], \"config\": {…} }`";
            Some(document.at(&NO_TESTS, &input.key_span, what).help(help))
        }
        Kind::Array(items) => {
            let what = "tests.json is a list and has to be an object with `tests`";
            let finding = document.at(&ROOT, &begin(root), what);
            let finding = finding.help("the Hub reads `{ \"tests\": […], \"config\": {…} }`");
            let is_test = |item: &Node| item.get("name").or(item.get("input")).is_some();
            if items.is_empty() || !items.iter().all(is_test) {
                return Some(finding);
            }
            let (start, end) = (root.span.start, root.span.end);
            let edits = [
                (start..start, "{ \"tests\": ".to_owned()),
                (end..end, " }".to_owned()),
            ];
            Some(finding.fix(Safety::Unsafe, "put the list into `tests`", edits))
        }
        _ => {
            let is = root.what();
            let what = format!("tests.json is {is} where an object with `tests` has to be");
            Some(document.at(&ROOT, &begin(root), what))
        }
    }
}
