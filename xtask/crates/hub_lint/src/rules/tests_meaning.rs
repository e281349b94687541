//! The meaning of the tests in tests.json.

use crate::facts;
use crate::finding::{Finding, Safety};
use crate::model::{HubDocument, Which, short};
use worker_files::is_one_of;
use worker_files::json::{JsonKind, JsonNode, Member};
use xtask_core::suggest;

/// Words in the name of a test that expects an error.
const FAILURES: &str = "invalid error fail fails failure missing reject rejects";

/// Words in the name of a test that expects success, as `no_error` and `missing_is_default`.
const SUCCESSES: &[&str] = &[
    "no_error", "no error", "no-error", "without", "optional", "default",
];

/// Timeouts below this many milliseconds were meant as seconds.
const SHORTEST: f64 = 5000.0;

pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) {
    if document.which != Which::Tests {
        return;
    }
    // Another rule reports a bare list; its tests can be checked.
    let tests = document.root.get("tests").unwrap_or(&document.root);
    for test in tests.items() {
        let checks = [timeout, assertions, wrapped, failing];
        findings.extend(checks.iter().filter_map(|check| check(document, test)));
    }
}

fn timeout(document: &HubDocument, test: &JsonNode) -> Option<Finding> {
    let node = test.get("timeout")?;
    let number = node.as_f64().filter(|number| *number < SHORTEST)?;
    let written = document.source(node);
    let what = format!("a timeout of {written} milliseconds ends before a worker has started");
    let finding = document.at("timeout-in-seconds", &node.span, what);
    let finding = finding.help("`timeout` counts milliseconds, not seconds");
    if number < 1.0 || !written.bytes().all(|b| b.is_ascii_digit()) {
        return Some(finding);
    }
    let with = format!("{written}000");
    Some(finding.write(Safety::Unsafe, &node.span, &with, with.as_str()))
}

fn assertions(document: &HubDocument, test: &JsonNode) -> Option<Finding> {
    let keys = test.members().iter();
    let keys: Vec<&Member> = keys.filter(|it| facts::is_assertion(&it.key)).collect();
    let names: Vec<&str> = keys.iter().map(|member| &*member.key).collect();
    let first = keys.first()?;
    let of = match test.text("name").unwrap_or_default() {
        "" => "the test".to_owned(),
        name => format!("the test `{}`", short(name)),
    };
    let what = format!("the Hub ignores {} of {of}", suggest::all_of(&names));
    let help = "a test passes when the endpoint answers with status 200";
    Some(
        document
            .at("ignored-assertion", &first.key_span, what)
            .help(help),
    )
}

fn wrapped(document: &HubDocument, test: &JsonNode) -> Option<Finding> {
    let outer = test.get("input")?;
    let inner = outer.member("input")?;
    // Other members show that `input` is a field of the job's input.
    let mut members = outer.members().iter();
    let wrapper = members.all(|member| facts::TEST.field(&member.key).is_some());
    if !wrapper || !matches!(inner.value.kind, JsonKind::Object(_)) {
        return None;
    }
    let what = "the input is wrapped in a second `input`";
    let finding = document.at("wrapped-input", &inner.key_span, what);
    let finding = finding.help("the handler finds it in `job[\"input\"][\"input\"]`");
    if outer.members().len() > 1 {
        return Some(finding);
    }
    let text = document.source(&inner.value).to_owned();
    Some(finding.fix(Safety::Unsafe, "unwrap it", [(outer.span.clone(), text)]))
}

fn failing(document: &HubDocument, test: &JsonNode) -> Option<Finding> {
    let node = test.get("name")?;
    let name = node.as_str()?;
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric());
    let fails = words.any(|word| is_one_of(FAILURES, word));
    let what = format!("the test `{}` seems to want a failure", short(name));
    let help = "a test passes when the job succeeds, and by nothing else";
    (fails && !SUCCESSES.iter().any(|word| lower.contains(word))).then(|| {
        document
            .at("test-expects-failure", &node.span, what)
            .help(help)
    })
}
