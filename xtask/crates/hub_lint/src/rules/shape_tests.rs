//! The shape of tests.json.

use crate::document::{Document, begin};
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Safety};

rules! { Shape;
    /// The Hub looks for an object with `tests` and `config`. In a bare list of tests it finds
    /// neither.
    ///
    /// Bad:
    /// ```json tests
    /// [{ "name": "one", "input": { "prompt": "Hi" } }]
    /// ```
    /// Good:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": { "prompt": "Hi" } }], "config": { "gpuCount": 1 } }
    /// ```
    ROOT = "HUB120" "tests-root" Error Unsafely
        "tests.json is not an object with `tests`"
        from "the Hub's publishing guide; four published files";

    /// Without a test the Hub has nothing to see the worker answer to.
    ///
    /// Bad:
    /// ```json tests
    /// { "config": { "gpuTypeId": "NVIDIA GeForce RTX 4090" } }
    /// ```
    /// Good:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": { "prompt": "Hi" } }],
    ///   "config": { "gpuTypeId": "NVIDIA GeForce RTX 4090" } }
    /// ```
    NO_TESTS = "HUB121" "no-tests" Warning Never
        "tests.json has no tests"
        from "the Hub's publishing guide; two published files";

    /// Without `config`, the Hub chooses the GPU, and the worker runs without the variables that
    /// it needs: the Hub's test run takes no default from hub.json.
    ///
    /// Bad:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": { "prompt": "Hi" } }] }
    /// ```
    /// Good:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": { "prompt": "Hi" } }],
    ///   "config": { "gpuTypeId": "NVIDIA GeForce RTX 4090", "gpuCount": 1 } }
    /// ```
    NO_CONFIG = "HUB122" "tests-without-config" Warning Never
        "tests.json has no `config`"
        from "the Hub's publishing guide; eleven published files";

    /// A test has a name and the input of a job.
    ///
    /// Bad:
    /// ```json test
    /// { "name": "health" }
    /// ```
    /// Good:
    /// ```json test
    /// { "name": "health", "input": { "prompt": "Hi" } }
    /// ```
    INCOMPLETE_TEST = "HUB123" "incomplete-test" Error Never
        "a test without name or input"
        from "the Hub's publishing guide; four published files";
}

/// Looks at the root. False where nothing more can be said of the file.
pub fn check_root(document: &Document, findings: &mut Vec<Finding>) -> bool {
    let root = &document.root;
    match &root.kind {
        Kind::Object(_) => {}
        Kind::Array(items) => {
            let mut finding = document
                .at(
                    &ROOT,
                    &begin(root),
                    "tests.json is a list and has to be an object with `tests`",
                )
                .help("the Hub reads `{ \"tests\": […], \"config\": {…} }`");
            let tests = !items.is_empty()
                && items
                    .iter()
                    .all(|item| item.get("name").is_some() || item.get("input").is_some());
            if tests {
                finding = finding.fix(
                    Safety::Unsafe,
                    "put the list into `tests`",
                    [
                        (root.span.start..root.span.start, "{ \"tests\": ".to_owned()),
                        (root.span.end..root.span.end, " }".to_owned()),
                    ],
                );
            }
            findings.push(finding);
            return false;
        }
        _ => {
            findings.push(document.at(
                &ROOT,
                &begin(root),
                format!(
                    "tests.json is {} where an object with `tests` has to be",
                    root.what()
                ),
            ));
            return false;
        }
    }
    // A single test at the root: one finding for the wrapping that it lacks.
    if root.get("tests").is_none()
        && let Some(input) = root.member("input")
    {
        findings.push(
            document
                .at(
                    &NO_TESTS,
                    &input.key_span,
                    "tests.json has no `tests`: it is a single job's input",
                )
                .help("the Hub reads `{ \"tests\": [{ \"name\": …, \"input\": {…} }], \"config\": {…} }`"),
        );
        return false;
    }
    if let Some(tests) = root.member("tests")
        && matches!(&tests.value.kind, Kind::Array(items) if items.is_empty())
    {
        findings.push(document.at(&NO_TESTS, &tests.key_span, "`tests` is empty"));
    }
    if root.get("tests").is_some_and(|t| !t.items().is_empty())
        && root
            .get("config")
            .is_none_or(|config| config.kind == Kind::Null)
        && !root
            .members()
            .iter()
            .any(|m| xtask_core::suggest::letters(&m.key).starts_with("config"))
    {
        findings.push(no_config(document, root));
    }
    true
}

fn no_config(document: &Document, root: &Node) -> Finding {
    document
        .at(&NO_CONFIG, &begin(root), "tests.json has no `config`")
        .help(
            "the Hub's test run takes no default from hub.json: what the worker needs has to be in \
             `config.env`",
        )
}
