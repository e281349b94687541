//! Defaults and preset values against the variable that they are for.

use std::collections::{HashMap, HashSet};

use crate::document::{Document, Which, short};
use crate::edit;
use crate::model::{self, Input, Variable};
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Safety};
use xtask_core::suggest;

rules! { Meaning;
    /// The default is in quotes (or not) where its type wants the other. It mostly works, and the
    /// form then compares a text with a number.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MAX", "input": { "name": "Max", "type": "number", "default": "300" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MAX", "input": { "name": "Max", "type": "number", "default": 300 } }
    /// ```
    QUOTED = "HUB220" "default-in-quotes" Warning Safely
        "a default is written as another type than its own"
        from "the Hub's publishing guide; one published listing";

    /// The default can't be a value of the input's type.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MAX", "input": { "name": "Max", "type": "number", "default": "auto" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MAX", "input": { "name": "Max", "type": "string", "default": "auto" } }
    /// ```
    DEFAULT_TYPE = "HUB221" "default-of-wrong-type" Error Never
        "a default that is no value of its type"
        from "the Hub's publishing guide";

    /// The form offers the options alone, so a default outside of them is not there to be seen.
    /// An empty default is fine: it means that nothing is chosen.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "DTYPE", "input": { "name": "Type", "type": "string", "default": "fp16",
    ///   "options": [{ "label": "half", "value": "half" }] } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "DTYPE", "input": { "name": "Type", "type": "string", "default": "half",
    ///   "options": [{ "label": "half", "value": "half" }] } }
    /// ```
    NOT_AN_OPTION = "HUB222" "default-not-an-option" Warning Never
        "a default that is not among the options"
        from "the Hub's publishing guide";

    /// The form refuses what is below `min` or above `max`, the default included.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MAX", "input": { "name": "Max", "type": "number", "default": 0, "min": 1 } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MAX", "input": { "name": "Max", "type": "number", "default": 1, "min": 1 } }
    /// ```
    OUT_OF_RANGE = "HUB223" "default-out-of-range" Warning Never
        "a default outside of `min` and `max`, or no room between the two"
        from "the Hub's publishing guide";

    /// `min` and `max` are for numbers, `trueValue` and `falseValue` for booleans; elsewhere they
    /// have no effect.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "NAME", "input": { "name": "Name", "type": "string", "max": 10 } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "NAME", "input": { "name": "Name", "type": "string" } }
    /// ```
    WITHOUT_EFFECT = "HUB224" "key-without-effect" Info Unsafely
        "a key of another input type"
        from "the Hub's publishing guide";

    /// On and off set the same value, so the switch does nothing.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "FAST", "input": { "name": "Fast", "type": "boolean", "trueValue": "1", "falseValue": "1" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "FAST", "input": { "name": "Fast", "type": "boolean", "trueValue": "1", "falseValue": "0" } }
    /// ```
    SAME_SWITCH = "HUB225" "switch-without-effect" Warning Never
        "`trueValue` and `falseValue` are the same"
        from "the Hub's publishing guide";

    /// A preset sets a variable that the listing doesn't have, so the value goes nowhere.
    ///
    /// Bad:
    /// ```json config
    /// "env": [{ "key": "MODEL_NAME", "input": { "name": "Model", "type": "string" } }],
    /// "presets": [{ "name": "Small", "defaults": { "MODEL_NAMES": "a/b" } }]
    /// ```
    /// Good:
    /// ```json config
    /// "env": [{ "key": "MODEL_NAME", "input": { "name": "Model", "type": "string" } }],
    /// "presets": [{ "name": "Small", "defaults": { "MODEL_NAME": "a/b" } }]
    /// ```
    PRESET_UNKNOWN = "HUB230" "preset-of-unknown-variable" Warning Unsafely
        "a preset sets a variable that is not declared"
        from "the Hub's publishing guide; eight published listings";

    /// A preset sets a variable whose `value` is fixed. One of the two has no effect.
    ///
    /// Bad:
    /// ```json config
    /// "env": [{ "key": "MODEL", "value": "a/b" }],
    /// "presets": [{ "name": "Small", "defaults": { "MODEL": "c/d" } }]
    /// ```
    /// Good:
    /// ```json config
    /// "env": [{ "key": "MODEL", "input": { "name": "Model", "type": "string", "default": "a/b" } }],
    /// "presets": [{ "name": "Small", "defaults": { "MODEL": "c/d" } }]
    /// ```
    PRESET_FIXED = "HUB231" "preset-of-fixed-value" Warning Never
        "a preset sets a variable whose value is fixed"
        from "the Hub's publishing guide; six published listings";

    /// A preset's value does not fit its variable: not a number, not among the options, out of
    /// range. Numbers and booleans in quotes are fine.
    ///
    /// Bad:
    /// ```json config
    /// "env": [{ "key": "MAX", "input": { "name": "Max", "type": "number" } }],
    /// "presets": [{ "name": "Small", "defaults": { "MAX": "many" } }]
    /// ```
    /// Good:
    /// ```json config
    /// "env": [{ "key": "MAX", "input": { "name": "Max", "type": "number" } }],
    /// "presets": [{ "name": "Small", "defaults": { "MAX": "100" } }]
    /// ```
    PRESET_VALUE = "HUB232" "preset-value-does-not-fit" Warning Never
        "a preset's value does not fit its variable"
        from "the Hub's publishing guide";
}

/// Looks at hub.json.
pub fn check(document: &Document, variables: &[Variable<'_>], findings: &mut Vec<Finding>) {
    if document.which != Which::Hub {
        return;
    }
    for variable in variables {
        if let Some(input) = &variable.input {
            default(document, variable, input, findings);
            keys(document, variable, input, findings);
        }
    }
    presets(document, variables, findings);
}

fn default(
    document: &Document,
    variable: &Variable<'_>,
    input: &Input<'_>,
    findings: &mut Vec<Finding>,
) {
    if let (Some((min, min_node)), Some((max, max_node))) = (input.min, input.max)
        && min > max
    {
        findings.push(
            document
                .at(
                    &OUT_OF_RANGE,
                    &min_node.span,
                    format!("`min` of `{}` is above its `max`", variable.key),
                )
                .related(document.place(&max_node.span), "the `max`"),
        );
        return;
    }
    let Some(node) = input.default else {
        return;
    };
    let written = document.source(node);
    let key = variable.key;
    match (input.kind, &node.kind) {
        (Some("number"), Kind::String(text)) => {
            if is_number(text.trim()) {
                findings.push(quoted(document, node, key, "a number", text.trim()));
            } else {
                findings.push(document.at(
                    &DEFAULT_TYPE,
                    &node.span,
                    format!("the default of the number `{key}` is {}", short(written)),
                ));
                return;
            }
        }
        (Some("boolean"), Kind::String(text)) => {
            let lower = text.to_lowercase();
            if lower == "true" || lower == "false" {
                findings.push(quoted(document, node, key, "a boolean", &lower));
            } else if !is_switch(input, text) {
                findings.push(document.at(
                    &DEFAULT_TYPE,
                    &node.span,
                    format!("the default of the boolean `{key}` is {}", short(written)),
                ));
            }
            return;
        }
        (Some("number"), Kind::Bool(_)) | (Some("boolean"), Kind::Number(_))
            if !matches!(written, "0" | "1") =>
        {
            findings.push(document.at(
                &DEFAULT_TYPE,
                &node.span,
                format!(
                    "the default of `{key}` is {} and its type {}",
                    short(written),
                    input.kind.unwrap_or_default()
                ),
            ));
            return;
        }
        (Some("string" | "huggingface"), Kind::Number(_) | Kind::Bool(_)) => {
            findings.push(quoted(
                document,
                node,
                key,
                "a string",
                &edit::quote(written),
            ));
        }
        _ => {}
    }
    if let Some((problem, place)) = outside(document, input, node) {
        let rule = if place.is_some() {
            &OUT_OF_RANGE
        } else {
            &NOT_AN_OPTION
        };
        let mut finding = document.at(
            rule,
            &node.span,
            format!("the default of `{key}` {problem}"),
        );
        if let Some(place) = place {
            finding = finding.related(document.place(&place.span), "the bound");
        } else {
            finding = finding.help(options_help(input));
        }
        findings.push(finding);
    }
}

fn quoted(document: &Document, node: &Node, key: &str, kind: &str, with: &str) -> Finding {
    document
        .at(
            &QUOTED,
            &node.span,
            format!("`{key}` is {kind} and its default is {}", node.what()),
        )
        .write(Safety::Safe, &node.span, &short(with), with.to_owned())
}

fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text.parse::<f64>().is_ok_and(f64::is_finite)
        && worker_files::json::parse(text.as_bytes())
            .problems
            .is_empty()
}

/// Whether a text is one that a boolean can hold.
fn is_switch(input: &Input<'_>, text: &str) -> bool {
    let own = ["trueValue", "falseValue"]
        .iter()
        .filter_map(|key| input.node.get(key).and_then(model::text_of))
        .any(|value| value == text);
    own || matches!(
        text.to_lowercase().as_str(),
        "true" | "false" | "1" | "0" | "yes" | "no" | "on" | "off"
    )
}

/// What keeps a value from being chosen; with the bound that it breaks.
fn outside<'a>(
    document: &Document,
    input: &Input<'a>,
    node: &Node,
) -> Option<(String, Option<&'a Node>)> {
    let text = model::text_of(node)?;
    if !input.options.is_empty()
        && !input
            .options
            .iter()
            .any(|option| model::text_of(option).is_some_and(|value| value == text))
    {
        return Some((
            format!(
                "is {}, which is not among its options",
                short(document.source(node))
            ),
            None,
        ));
    }
    if input.kind != Some("number") {
        return None;
    }
    let number: f64 = text.trim().parse().ok()?;
    match (input.min, input.max) {
        (Some((min, place)), _) if number < min => Some((
            format!("is {number}, below its `min` of {min}"),
            Some(place),
        )),
        (_, Some((max, place))) if number > max => Some((
            format!("is {number}, above its `max` of {max}"),
            Some(place),
        )),
        _ => None,
    }
}

fn options_help(input: &Input<'_>) -> String {
    let values: Vec<String> = input
        .options
        .iter()
        .filter_map(|option| model::text_of(option))
        .take(12)
        .collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    format!("the options are {}", suggest::all_of(&values))
}

/// Keys that belong to another type, and switches that don't switch.
fn keys(
    document: &Document,
    variable: &Variable<'_>,
    input: &Input<'_>,
    findings: &mut Vec<Finding>,
) {
    let Some(kind) = input.kind else {
        return;
    };
    for (key, owner) in [
        ("min", "number"),
        ("max", "number"),
        ("trueValue", "boolean"),
        ("falseValue", "boolean"),
    ] {
        if let Some(member) = input.node.member(key)
            && kind != owner
            && crate::facts::INPUT_TYPES.contains(&kind)
            && member.value.kind != Kind::Null
        {
            findings.push(
                document
                    .at(
                        &WITHOUT_EFFECT,
                        &member.key_span,
                        format!(
                            "`{key}` is for a {owner}, and `{}` is a {kind}",
                            variable.key
                        ),
                    )
                    .fix(
                        Safety::Unsafe,
                        "remove it",
                        [edit::remove(input.node, member)],
                    ),
            );
        }
    }
    if let (Some(on), Some(off)) = (input.node.get("trueValue"), input.node.get("falseValue"))
        && kind == "boolean"
        && on.kind == off.kind
        && on.kind != Kind::Null
    {
        findings.push(document.at(
            &SAME_SWITCH,
            &off.span,
            format!("on and off are the same for `{}`", variable.key),
        ));
    }
}

fn presets(document: &Document, variables: &[Variable<'_>], findings: &mut Vec<Finding>) {
    let by_name: HashMap<&str, &Variable<'_>> = variables
        .iter()
        .rev()
        .map(|variable| (variable.key, variable))
        .collect();
    let mut guesses = suggest::Guesses::default();
    for preset in model::presets(&document.root) {
        // What the preset sets already can't be meant by another of its keys.
        let mut taken: HashSet<&str> = preset.defaults.iter().map(|m| m.key.as_str()).collect();
        for member in preset.defaults {
            let declared = by_name.get(member.key.as_str());
            let name = short(preset.name);
            let Some(variable) = declared else {
                // An object has been told as the wrong type.
                if model::text_of(&member.value).is_none() && member.value.kind != Kind::Null {
                    continue;
                }
                // RunPod's own variables need no declaration.
                if member.key.starts_with("RUNPOD_") {
                    continue;
                }
                let free = variables
                    .iter()
                    .map(|v| v.key)
                    .filter(|key| !taken.contains(key));
                let meant = guesses.nearest(&member.key, free);
                taken.extend(meant);
                findings.push(undeclared(document, member, meant, &name));
                continue;
            };
            if let Some(value) = variable.value {
                findings.push(
                    document
                        .at(
                            &PRESET_FIXED,
                            &member.key_span,
                            format!("the preset `{name}` sets `{}`, which is fixed", member.key),
                        )
                        .related(document.place(&value.span), "fixed here")
                        .help("an `input` with a `default` can be set"),
                );
                continue;
            }
            if let (Some(input), Some(node)) = (&variable.input, model::said(&member.value)) {
                preset_value(document, variable, input, node, &name, findings);
            }
        }
    }
}

fn undeclared(
    document: &Document,
    member: &worker_files::json::Member,
    meant: Option<&str>,
    preset: &str,
) -> Finding {
    let mut finding = document.at(
        &PRESET_UNKNOWN,
        &member.key_span,
        format!(
            "the preset `{preset}` sets `{}`, which `env` does not declare",
            short(&member.key)
        ),
    );
    if let Some(right) = meant {
        finding = finding.help(format!("did you mean `{right}`?")).write(
            Safety::Unsafe,
            &member.key_span,
            right,
            edit::quote(right),
        );
    }
    finding
}

fn preset_value(
    document: &Document,
    variable: &Variable<'_>,
    input: &Input<'_>,
    node: &Node,
    preset: &str,
    findings: &mut Vec<Finding>,
) {
    let key = variable.key;
    let Some(text) = model::text_of(node) else {
        return;
    };
    let problem = match input.kind {
        Some("number") if !is_number(text.trim()) => Some(format!(
            "is {}, which is no number",
            short(document.source(node))
        )),
        Some("boolean") if !is_switch(input, &text) => Some(format!(
            "is {}, which is no boolean",
            short(document.source(node))
        )),
        _ => outside(document, input, node).map(|(problem, _)| problem),
    };
    if let Some(problem) = problem {
        findings.push(document.at(
            &PRESET_VALUE,
            &node.span,
            format!("the value of `{key}` in the preset `{preset}` {problem}"),
        ));
    }
}
