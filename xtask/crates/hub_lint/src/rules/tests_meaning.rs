//! What the tests of tests.json say.

use crate::document::{Document, Which, short};
use crate::facts;
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Safety};
use xtask_core::suggest;

rules! { Meaning;
    /// `timeout` counts milliseconds. So few of them pass before any worker has started.
    ///
    /// Bad:
    /// ```json test
    /// { "name": "one", "input": { "prompt": "Hi" }, "timeout": 300 }
    /// ```
    /// Good:
    /// ```json test
    /// { "name": "one", "input": { "prompt": "Hi" }, "timeout": 300000 }
    /// ```
    TIMEOUT = "HUB250" "timeout-in-seconds" Warning Unsafely
        "a timeout that looks like seconds"
        from "the Hub's publishing guide; three published tests.json";

    /// The Hub passes a test when the endpoint answers with status 200 and looks at nothing else.
    /// These keys promise a check that is not made. What the answer says can be checked where it
    /// is made: a handler that returns an error fails the test.
    ///
    /// Bad:
    /// ```json test
    /// { "name": "one", "input": { "prompt": "Hi" }, "expected_output": { "ok": true } }
    /// ```
    /// Good:
    /// ```json test
    /// { "name": "one", "input": { "prompt": "Hi" } }
    /// ```
    ASSERTION = "HUB251" "ignored-assertion" Warning Never
        "a test asserts what the Hub doesn't look at"
        from "the Hub's publishing guide; seven published tests.json";

    /// `input` is what the handler finds in `job["input"]`. The Hub wraps it itself; wrapped twice,
    /// the handler finds `job["input"]["input"]`.
    ///
    /// Bad:
    /// ```json test
    /// { "name": "one", "input": { "input": { "prompt": "Hi" } } }
    /// ```
    /// Good:
    /// ```json test
    /// { "name": "one", "input": { "prompt": "Hi" } }
    /// ```
    WRAPPED = "HUB252" "wrapped-input" Warning Unsafely
        "an input inside an input"
        from "the Hub's publishing guide; four published tests.json";

    /// The Hub passes a test when the job succeeds, so a test of what the worker refuses fails, and
    /// the release with it. Such tests belong in the worker's own test suite. Told by the name.
    ///
    /// Bad:
    /// ```json test
    /// { "name": "missing_prompt_returns_error", "input": {} }
    /// ```
    /// Good:
    /// ```json test
    /// { "name": "prompt", "input": { "prompt": "Hi" } }
    /// ```
    EXPECTS_FAILURE = "HUB253" "test-expects-failure" Warning Never
        "a test that wants the worker to fail"
        from "three published tests.json";
}

/// Words in the name of a test that wants an error.
const FAILURES: &[&str] = &[
    "invalid", "error", "fail", "fails", "failure", "missing", "reject", "rejects",
];

/// Below this many milliseconds, seconds are meant.
const SHORTEST: f64 = 5000.0;

/// Looks at tests.json.
pub fn check(document: &Document, findings: &mut Vec<Finding>) {
    if document.which != Which::Tests {
        return;
    }
    // A bare list has had its finding; what it lists are tests all the same.
    let tests = document.root.get("tests").unwrap_or(&document.root);
    for test in tests.items() {
        timeout(document, test, findings);
        assertions(document, test, findings);
        wrapped(document, test, findings);
        failing(document, test, findings);
    }
}

fn timeout(document: &Document, test: &Node, findings: &mut Vec<Finding>) {
    let Some(node) = test.get("timeout") else {
        return;
    };
    let Some(number) = node.as_f64() else {
        return;
    };
    if number >= SHORTEST {
        return;
    }
    let written = document.source(node);
    let mut finding = document
        .at(
            &TIMEOUT,
            &node.span,
            format!("a timeout of {written} milliseconds ends before a worker has started"),
        )
        .help("`timeout` counts milliseconds, not seconds");
    if number >= 1.0 && number.fract() == 0.0 && written.bytes().all(|b| b.is_ascii_digit()) {
        let with = format!("{written}000");
        finding = finding.write(Safety::Unsafe, &node.span, &with, with.as_str());
    }
    findings.push(finding);
}

fn assertions(document: &Document, test: &Node, findings: &mut Vec<Finding>) {
    let keys: Vec<_> = test
        .members()
        .iter()
        .filter(|member| facts::is_assertion(&member.key))
        .collect();
    let Some(first) = keys.first() else {
        return;
    };
    let names: Vec<&str> = keys.iter().map(|member| member.key.as_str()).collect();
    let name = test.get("name").and_then(Node::as_str).unwrap_or_default();
    let of = if name.is_empty() {
        "the test".to_owned()
    } else {
        format!("the test `{}`", short(name))
    };
    findings.push(
        document
            .at(
                &ASSERTION,
                &first.key_span,
                format!("the Hub ignores {} of {of}", suggest::all_of(&names)),
            )
            .help("a test passes when the endpoint answers with status 200"),
    );
}

fn wrapped(document: &Document, test: &Node, findings: &mut Vec<Finding>) {
    let Some(outer) = test.get("input") else {
        return;
    };
    let Some(inner) = outer.member("input") else {
        return;
    };
    // An input that merely has a field of that name has others beside it.
    let wrapper = outer
        .members()
        .iter()
        .all(|member| facts::TEST.field(&member.key).is_some());
    if !wrapper || !matches!(inner.value.kind, Kind::Object(_)) {
        return;
    }
    let mut wrapping = document
        .at(
            &WRAPPED,
            &inner.key_span,
            "the input is wrapped in a second `input`",
        )
        .help("the handler finds it in `job[\"input\"][\"input\"]`");
    if outer.members().len() == 1 {
        let text = document.source(&inner.value).to_owned();
        wrapping = wrapping.fix(Safety::Unsafe, "unwrap it", [(outer.span.clone(), text)]);
    }
    findings.push(wrapping);
}

fn failing(document: &Document, test: &Node, findings: &mut Vec<Finding>) {
    let Some((node, name)) = test
        .get("name")
        .and_then(|node| Some((node, node.as_str()?)))
    else {
        return;
    };
    let lower = name.to_lowercase();
    let says = lower
        .split(|c: char| !c.is_alphanumeric())
        .any(|word| FAILURES.contains(&word));
    // `no_error` and `missing_is_fine` want the opposite.
    let denied = [
        "no_error", "no error", "no-error", "without", "optional", "default",
    ];
    if says && !denied.iter().any(|word| lower.contains(word)) {
        findings.push(
            document
                .at(
                    &EXPECTS_FAILURE,
                    &node.span,
                    format!("the test `{}` seems to want a failure", short(name)),
                )
                .help("a test passes when the job succeeds, and by nothing else"),
        );
    }
}
