//! What was left in from a template.

use crate::document::{HubDocument, Which, short};
use crate::facts;
use crate::model::{self, EnvVariable};
use crate::rule::rules;
use worker_files::json::JsonNode;
use xtask_core::finding::{Finding, Span};

rules! {
    /// A text of the Hub guide's template that nobody replaced. Users of the listing see it.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "STATIC_VAR", "value": "static_value" }
    /// ```
    LEFTOVER = "HUB260" "template-leftover" Warning Never
        "a text of the template is still there"
        from "the Hub guide's template; nine places in published listings";
}

/// Hosts and paths that stand in templates.
const ICONS: &[&str] = &[
    "://example.com",
    "://www.example.com",
    "your-icon",
    "your-image",
    "your-domain",
    "yourdomain",
];

const KEYS: &str = "\
    BOOLEAN_VAR BOOL_ENV_VAR ENV_KEY_HERE INT_ENV_VAR NUMBER_VAR OPTION_ENV_VAR STATIC_ENV_VAR \
    STATIC_VAR STRING_ENV_VAR STRING_VAR TEST_ENV_VAR YOUR_VAR";

const TEXTS: &[&str] = &[
    "a brief explanation of what your tool does",
    "an example description",
    "enable feature",
    "numeric value",
    "preset name",
    "select option",
    "static_value",
    "test_case_name",
    "user friendly input name",
    "user-friendly name",
    "your tool's name",
];

pub fn check(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    let root = &document.root;
    if document.which == Which::Tests {
        tests(document, findings);
        return;
    }
    findings.extend(icon(document));
    let mut nodes = vec![root.get("title"), root.get("description")];
    for variable in variables {
        if let Some(finding) = key(document, variable.key, variable.key_span) {
            findings.push(finding);
        } else {
            let input = variable.input.as_ref();
            nodes.extend([
                variable.value,
                input.and_then(|input| input.node.get("name")),
            ]);
        }
    }
    nodes.extend(
        model::list(root, "presets")
            .iter()
            .map(|preset| preset.get("name")),
    );
    findings.extend(nodes.into_iter().filter_map(|node| text(document, node?)));
}

/// The template's test, its variable, and the addresses of examples.
fn tests(document: &HubDocument, findings: &mut Vec<Finding>) {
    for test in document.root.list("tests") {
        findings.extend(test.get("name").and_then(|name| text(document, name)));
        for member in test.object("input") {
            let value = member.value.as_str().unwrap_or_default();
            let hosts = ["://example.com/", "://www.example.com/"];
            if member.key == "param1" && value == "value1" {
                let what = "the input `param1` is the template's example";
                findings.push(document.at(&LEFTOVER, &member.key_span, what));
            } else if hosts.iter().any(|host| value.contains(host)) {
                let what = format!("`{}` is an example's address", short(value));
                let finding = document.at(&LEFTOVER, &member.value.span, what);
                findings.push(finding.help("there is no such file, so the test fails"));
            }
        }
    }
    let own = model::variables(&document.root).into_iter();
    findings.extend(own.filter_map(|own| key(document, own.key, own.key_span)));
}

fn key(document: &HubDocument, key: &str, span: &Span) -> Option<Finding> {
    let what = format!("the variable `{key}` is the template's example");
    facts::lists(KEYS, key).then(|| document.at(&LEFTOVER, span, what))
}

fn text(document: &HubDocument, node: &JsonNode) -> Option<Finding> {
    let text = node.as_str()?;
    let plain = text.trim().trim_end_matches('.');
    let is_left = TEXTS.iter().any(|left| plain.eq_ignore_ascii_case(left));
    let what = format!("`{}` is the template's example", short(text));
    is_left.then(|| document.at(&LEFTOVER, &node.span, what))
}

fn icon(document: &HubDocument) -> Option<Finding> {
    let node = document.root.get("iconUrl")?;
    let text = node.as_str()?;
    let lower = text.to_lowercase();
    let what = format!("`{}` is an example's address", short(text));
    let is_left = ICONS.iter().any(|left| lower.contains(left));
    is_left.then(|| document.at(&LEFTOVER, &node.span, what))
}
