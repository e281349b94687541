//! The shape of tests.json.

use crate::document::{HubDocument, begin};
use crate::finding::{Finding, Safety};
use crate::rule::rules;
use worker_files::json::{JsonKind, JsonNode};
use xtask_core::suggest::letters;

rules! {
    ROOT = "HUB120" "tests-root" Error Unsafely "tests.json is not an object with `tests`";
    NO_TESTS = "HUB121" "no-tests" Warning Never "tests.json has no tests";
    NO_CONFIG = "HUB122" "tests-without-config" Warning Never "tests.json has no `config`";
}

/// Checks the root. False where nothing else can be checked.
pub fn check_root(document: &HubDocument, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    if let Some(finding) = not_tests(document, root) {
        findings.push(finding);
        return false;
    }
    if let Some(tests) = root.member("tests")
        && tests.value.kind == JsonKind::Array(Vec::new())
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

/// The finding for a file that is not the Hub's tests.json.
fn not_tests(document: &HubDocument, root: &JsonNode) -> Option<Finding> {
    const READS: &str =
        "the Hub reads `{ \"tests\": [{ \"name\": …, \"input\": {…} }], \"config\": {…} }`";
    if matches!(root.kind, JsonKind::Object(_)) {
        // A single test at the root: one finding for the wrapping that it lacks.
        let input = root.member("input")?;
        let what = "tests.json has no `tests`: it is a single job's input";
        let finding = document.at(&NO_TESTS, &input.key_span, what).help(READS);
        return root.get("tests").is_none().then_some(finding);
    }
    let found = root.what();
    let what = format!("tests.json is {found} and has to be an object with `tests`");
    let finding = document.at(&ROOT, &begin(root), what).help(READS);
    let is_test = |item: &JsonNode| item.get("name").or(item.get("input")).is_some();
    if root.items().is_empty() || !root.items().iter().all(is_test) {
        return Some(finding);
    }
    let insert = |at: usize, text: &str| (at..at, text.to_owned());
    let start = insert(root.span.start, "{ \"tests\": ");
    let edits = [start, insert(root.span.end, " }")];
    Some(finding.fix(Safety::Unsafe, "put the list into `tests`", edits))
}
