//! Texts that were left from a template.

use crate::finding::Finding;
use crate::model::{self, HubDocument, Which, short};
use worker_files::is_one_of;
use worker_files::json::JsonNode;

/// Hosts and paths in addresses of templates.
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

pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) {
    let root = &document.root;
    let is_hub = document.which == Which::Hub;
    let mut nodes = Vec::new();
    for variable in model::variables(document) {
        let key = variable.key;
        if is_one_of(KEYS, key) {
            let what = format!("the variable `{key}` is the template's example");
            findings.push(variable.at("template-leftover", what));
        } else if is_hub {
            nodes.extend(variable.value);
            nodes.push(variable.input.at("name"));
        }
    }
    if is_hub {
        let presets = document.config().list("presets").iter();
        nodes.extend(presets.map(|preset| preset.at("name")));
        nodes.extend([root.at("title"), root.at("description")]);
        let icon = root.text("iconUrl").unwrap_or_default();
        let lower = icon.to_lowercase();
        if ICONS.iter().any(|part| lower.contains(part)) {
            findings.push(example(document, root.at("iconUrl"), icon));
        }
    } else {
        nodes.extend(tests(document, findings));
    }
    findings.extend(nodes.into_iter().filter_map(|node| text(document, node)));
}

/// Checks the inputs of the tests, and returns the tests' names.
fn tests<'a>(document: &'a HubDocument, findings: &mut Vec<Finding>) -> Vec<&'a JsonNode> {
    let tests = document.root.list("tests").iter();
    for member in tests.clone().flat_map(|test| test.object("input")) {
        let value = member.value.as_str().unwrap_or_default();
        let hosts = ["://example.com/", "://www.example.com/"];
        if member.key == "param1" && value == "value1" {
            let what = "the input `param1` is the template's example";
            findings.push(document.at("template-leftover", &member.key_span, what));
        } else if hosts.iter().any(|host| value.contains(host)) {
            let finding = example(document, &member.value, value);
            findings.push(finding.help("there is no such file, so the test fails"));
        }
    }
    tests.map(|test| test.at("name")).collect()
}

fn text(document: &HubDocument, node: &JsonNode) -> Option<Finding> {
    let text = node.as_str()?;
    let plain = text.trim().trim_end_matches('.');
    let is_left = TEXTS.iter().any(|left| plain.eq_ignore_ascii_case(left));
    let what = format!("`{}` is the template's example", short(text));
    is_left.then(|| document.at("template-leftover", &node.span, what))
}

fn example(document: &HubDocument, node: &JsonNode, text: &str) -> Finding {
    let what = format!("`{}` is an example's address", short(text));
    document.at("template-leftover", &node.span, what)
}
