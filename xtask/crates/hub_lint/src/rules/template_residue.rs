//! What was left in from a template.

use crate::document::{Document, Which, short};
use crate::model::{self, Variable};
use crate::rule::rules;
use worker_files::json::Node;
use xtask_core::finding::{Finding, Span};

rules! { Meaning;
    /// A text of the Hub guide's template that nobody replaced. Users of the listing see it.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "STATIC_VAR", "value": "static_value" }
    /// ```
    LEFTOVER = "HUB260" "template-leftover" Warning Never
        "a text of the template is still there"
        from "the Hub guide's template; nine places in published listings";

    /// The icon is fetched by browsers: it has to be a picture's own https address. The page of a
    /// picture on GitHub is no picture.
    ///
    /// Bad:
    /// ```json listing
    /// "iconUrl": "./icon.png"
    /// ```
    /// Good:
    /// ```json listing
    /// "iconUrl": "https://picture.example.org/icon.png"
    /// ```
    ICON = "HUB261" "icon-not-a-picture" Warning Never
        "the icon's address can't be shown"
        from "the Hub's publishing guide";
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

const KEYS: &[&str] = &[
    "BOOLEAN_VAR",
    "BOOL_ENV_VAR",
    "ENV_KEY_HERE",
    "INT_ENV_VAR",
    "NUMBER_VAR",
    "OPTION_ENV_VAR",
    "STATIC_ENV_VAR",
    "STATIC_VAR",
    "STRING_ENV_VAR",
    "STRING_VAR",
    "TEST_ENV_VAR",
    "YOUR_VAR",
];

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

/// Looks at either file.
pub fn check(document: &Document, variables: &[Variable<'_>], findings: &mut Vec<Finding>) {
    let root = &document.root;
    if document.which == Which::Tests {
        tests(document, findings);
        return;
    }
    icon(document, findings);
    for key in ["title", "description"] {
        text(document, root.get(key), findings);
    }
    for variable in variables {
        if !key(document, variable.key, variable.key_span, findings) {
            text(document, variable.value, findings);
            if let Some(input) = &variable.input {
                text(document, input.node.get("name"), findings);
            }
        }
    }
    for preset in model::list(root, "presets") {
        text(document, preset.get("name"), findings);
    }
}

/// The template's test, its variable, and the addresses of examples.
fn tests(document: &Document, findings: &mut Vec<Finding>) {
    for test in document.root.get("tests").map_or(&[][..], Node::items) {
        text(document, test.get("name"), findings);
        for member in test.get("input").map_or(&[][..], Node::members) {
            let value = member.value.as_str().unwrap_or_default();
            if member.key == "param1" && value == "value1" {
                let message = "the input `param1` is the template's example";
                findings.push(document.at(&LEFTOVER, &member.key_span, message));
            } else if ["://example.com/", "://www.example.com/"]
                .iter()
                .any(|a| value.contains(a))
            {
                let message = format!("`{}` is an example's address", short(value));
                findings.push(
                    document
                        .at(&LEFTOVER, &member.value.span, message)
                        .help("there is no such file, so the test fails"),
                );
            }
        }
    }
    for own in model::test_variables(&document.root) {
        key(document, own.key, own.key_span, findings);
    }
}

fn key(document: &Document, key: &str, span: &Span, findings: &mut Vec<Finding>) -> bool {
    let left = KEYS.contains(&key);
    if left {
        let message = format!("the variable `{key}` is the template's example");
        findings.push(document.at(&LEFTOVER, span, message));
    }
    left
}

fn text(document: &Document, node: Option<&Node>, findings: &mut Vec<Finding>) {
    if let Some(node) = node
        && let Some(text) = node.as_str()
        && TEXTS
            .iter()
            .any(|left| text.trim().trim_end_matches('.').eq_ignore_ascii_case(left))
    {
        findings.push(document.at(
            &LEFTOVER,
            &node.span,
            format!("`{}` is the template's example", short(text)),
        ));
    }
}

fn icon(document: &Document, findings: &mut Vec<Finding>) {
    let Some(node) = document.root.get("iconUrl").and_then(model::said) else {
        return;
    };
    let Some(text) = node.as_str() else {
        return;
    };
    let lower = text.to_lowercase();
    if ICONS.iter().any(|left| lower.contains(left)) {
        findings.push(document.at(
            &LEFTOVER,
            &node.span,
            format!(
                "the icon's address `{}` is the template's example",
                short(text)
            ),
        ));
    } else if !lower.starts_with("https://") {
        let message = if lower.starts_with("data:image/") {
            return;
        } else if lower.starts_with("http://") {
            "the icon's address has no https, and browsers don't load it into the Hub's pages"
        } else {
            "the icon is no address on the web"
        };
        findings.push(document.at(&ICON, &node.span, message));
    } else if let Some(page) = lower.strip_prefix("https://github.com/")
        && page.contains("/blob/")
        && !page.contains("raw=true")
    {
        findings.push(
            document
                .at(
                    &ICON,
                    &node.span,
                    "this is GitHub's page about the picture, not the picture",
                )
                .help("take the address behind the page's button \"Raw\""),
        );
    }
}
