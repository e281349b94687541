//! The shape of env entries, their options, and presets.

use crate::document::{Document, begin, short};
use crate::rule::rules;
use crate::{edit, model};
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Safety};

rules! { Shape;
    /// An entry is either a fixed `value` or an `input` that users fill in. This one is neither,
    /// so the variable is never set.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL" }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MODEL", "input": { "name": "Model", "type": "string" } }
    /// ```
    NEITHER = "HUB110" "env-without-value" Error Never
        "an env entry with neither `value` nor `input`"
        from "the Hub's publishing guide";

    /// An entry is either a fixed `value` or an `input` that users fill in. With both, one of them
    /// has no effect.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL", "value": "a/b", "input": { "name": "Model", "type": "string" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MODEL", "input": { "name": "Model", "type": "string", "default": "a/b" } }
    /// ```
    BOTH = "HUB111" "env-with-both" Warning Unsafely
        "an env entry with both `value` and `input`"
        from "the Hub's publishing guide; one published listing";

    /// The key is no name that an environment variable can have: letters, digits and `_`, no digit
    /// first.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MAX-TOKENS", "value": "100" }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MAX_TOKENS", "value": "100" }
    /// ```
    BAD_NAME = "HUB112" "bad-variable-name" Error Never
        "a key that is no name of an environment variable"
        from "POSIX";

    /// One variable has two entries, and only one of them can take effect.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL", "value": "a" }, { "key": "MODEL", "value": "b" }
    /// ```
    DUPLICATE = "HUB113" "duplicate-variable" Warning Never
        "a variable has two entries"
        from "the Hub's publishing guide";

    /// Each option is an object with a `label` to read and a `value` to set.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "SIZE", "input": { "name": "Size", "type": "string", "options": ["small"] } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "SIZE", "input": { "name": "Size", "type": "string",
    ///   "options": [{ "label": "small", "value": "small" }] } }
    /// ```
    BARE_OPTION = "HUB114" "bare-option" Error Safely
        "an option without label and value"
        from "the Hub's publishing guide; one published listing";

    /// A preset without `defaults` sets nothing.
    ///
    /// Bad:
    /// ```json config
    /// "presets": [{ "name": "Small" }]
    /// ```
    PRESET_WITHOUT_DEFAULTS = "HUB115" "preset-without-defaults" Warning Never
        "a preset that sets nothing"
        from "the Hub's publishing guide; two published listings";

    /// Two presets of one name, or two options with one value, can't be distinguished.
    ///
    /// Bad:
    /// ```json config
    /// "presets": [{ "name": "Small", "defaults": {} }, { "name": "Small", "defaults": {} }]
    /// ```
    SAME_CHOICE = "HUB116" "same-choice-twice" Warning Never
        "two presets or options with the same name or value"
        from "the Hub's publishing guide";
}

/// What an entry is, beyond its keys one by one. `meant` are keys that stand there misspelt.
pub fn check_entry(document: &Document, node: &Node, meant: &[&str], findings: &mut Vec<Finding>) {
    let name = node.get("key").and_then(Node::as_str).unwrap_or_default();
    let has = |key: &str| node.get(key).is_some_and(|n| n.kind != Kind::Null);
    match (has("value"), has("input")) {
        (false, false) if !meant.contains(&"value") && !meant.contains(&"input") => {
            findings.push(
                document
                    .at(
                        &NEITHER,
                        &begin(node),
                        format!("`{}` has neither `value` nor `input`", short(name)),
                    )
                    .help("`value` fixes it; `input` lets users set it"),
            );
        }
        (true, true) => {
            let Some(value) = node.member("value") else {
                return;
            };
            let mut finding = document
                .at(
                    &BOTH,
                    &value.key_span,
                    format!("`{}` has both `value` and `input`", short(name)),
                )
                .help("a fixed `value`, or an `input` with the value as its `default`");
            if let Some(input) = node.member("input") {
                finding = finding
                    .related(
                        document.place(&input.key_span),
                        "users are asked for it here",
                    )
                    .fix(
                        Safety::Unsafe,
                        "remove `value`",
                        [edit::remove(node, value)],
                    );
            }
            findings.push(finding);
        }
        _ => {}
    }
    if let Some(key) = node.get("key")
        && let Kind::String(text) = &key.kind
        && !is_name(text)
    {
        findings.push(
            document
                .at(
                    &BAD_NAME,
                    &key.span,
                    format!(
                        "`{}` can't be the name of an environment variable",
                        short(text)
                    ),
                )
                .help("letters, digits and `_`, and no digit first"),
        );
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// An option that is a bare string or number.
pub fn bare_option(document: &Document, node: &Node, findings: &mut Vec<Finding>) {
    let written = document.source(node);
    let text = edit::quote(node.as_str().unwrap_or(written));
    let with = format!("{{ \"label\": {text}, \"value\": {text} }}");
    findings.push(
        document
            .at(
                &BARE_OPTION,
                &node.span,
                format!("the option {} has no label and value", short(written)),
            )
            .write(Safety::Safe, &node.span, &short(&with), with),
    );
}

/// What stands twice in a listing: variables, presets, options.
pub fn check_twice(document: &Document, findings: &mut Vec<Finding>) {
    let variables = model::list(&document.root, "env");
    twice(
        document,
        variables,
        "key",
        |node, first, name| {
            document
                .at(
                    &DUPLICATE,
                    &node.span,
                    format!("the variable `{name}` has two entries"),
                )
                .related(document.place(&first.span), "the other one")
        },
        findings,
    );
    let same = |what: &'static str| {
        move |node: &Node, first: &Node, name: &str| {
            document
                .at(
                    &SAME_CHOICE,
                    &node.span,
                    format!("there are two {what} `{name}`"),
                )
                .related(document.place(&first.span), "the other one")
        }
    };
    let presets = model::list(&document.root, "presets");
    twice(document, presets, "name", same("presets"), findings);
    for variable in variables {
        let options = variable.get("input").and_then(|input| input.get("options"));
        let options = options.map_or(&[][..], Node::items);
        twice(
            document,
            options,
            "value",
            same("options with the value"),
            findings,
        );
    }
}

fn twice(
    document: &Document,
    nodes: &[Node],
    key: &str,
    say: impl Fn(&Node, &Node, &str) -> Finding,
    findings: &mut Vec<Finding>,
) {
    let mut seen = std::collections::HashMap::new();
    for node in nodes {
        let Some(value) = node.get(key) else {
            continue;
        };
        let text = value.as_str().unwrap_or_else(|| document.source(value));
        if text.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(text.to_owned(), value) {
            findings.push(say(value, first, &short(text)));
        }
    }
}
