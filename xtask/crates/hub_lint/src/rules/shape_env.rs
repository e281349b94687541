//! The shape of env entries, their options, and presets.

use std::collections::HashMap;

use crate::document::{HubDocument, begin, short};
use crate::finding::{Finding, Safety};
use crate::rule::rules;
use crate::{edit, model};
use worker_files::json::{JsonKind, JsonNode};
use worker_files::shell::is_name;

rules! {
    NEITHER = "HUB110" "env-without-value" Error Never
        "an env entry with neither `value` nor `input`";
    BOTH = "HUB111" "env-with-both" Warning Unsafely "an env entry with both `value` and `input`";
    BAD_NAME = "HUB112" "bad-variable-name" Error Never
        "a key that is no name of an environment variable";
    DUPLICATE = "HUB113" "duplicate-variable" Warning Never "a variable has two entries";
    BARE_OPTION = "HUB114" "bare-option" Error Safely "an option without label and value";
}

/// Checks an entry as a whole. `meant` are the keys that are misspelt in it.
pub fn check_entry(
    document: &HubDocument,
    node: &JsonNode,
    meant: &[&str],
    findings: &mut Vec<Finding>,
) {
    let name = short(node.text("key").unwrap_or_default());
    let has = |key| (node.member(key)).filter(|member| member.value.kind != JsonKind::Null);
    match (has("value"), has("input")) {
        (None, None) if !meant.contains(&"value") && !meant.contains(&"input") => {
            let what = format!("`{name}` has neither `value` nor `input`");
            let finding = document.at(&NEITHER, &begin(node), what);
            findings.push(finding.help("`value` fixes it; `input` lets users set it"));
        }
        (Some(value), Some(input)) => {
            let what = format!("`{name}` has both `value` and `input`");
            let help = "a fixed `value`, or an `input` with the value as its `default`";
            let input = document.place(&input.key_span);
            let finding = document.at(&BOTH, &value.key_span, what).help(help);
            let finding = finding.related(input, "users are asked for it here");
            let edit = edit::remove(node, value);
            findings.push(finding.fix(Safety::Unsafe, "remove `value`", [edit]));
        }
        _ => {}
    }
    let key = node.at("key");
    if key.as_str().is_some_and(|text| !is_name(text)) {
        let what = format!("`{name}` can't be the name of an environment variable");
        let finding = document.at(&BAD_NAME, &key.span, what);
        findings.push(finding.help("letters, digits and `_`, and no digit first"));
    }
}

/// The finding for an option that is a string or number.
pub fn bare_option(document: &HubDocument, node: &JsonNode) -> Finding {
    let written = document.source(node);
    let text = edit::quote(node.as_str().unwrap_or(written));
    let with = format!("{{ \"label\": {text}, \"value\": {text} }}");
    let what = format!("the option {} has no label and value", short(written));
    let finding = document.at(&BARE_OPTION, &node.span, what);
    finding.write(Safety::Safe, &node.span, &short(&with), with)
}

/// Finds variables with two entries.
pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) {
    let mut seen = HashMap::new();
    for variable in model::variables(document) {
        let key = variable.key;
        if let Some(first) = seen
            .insert(key, variable.place())
            .filter(|_| !key.is_empty())
        {
            let what = format!("the variable `{}` has two entries", short(key));
            findings.push(
                variable
                    .at(&DUPLICATE, what)
                    .related(first, "the other one"),
            );
        }
    }
}
