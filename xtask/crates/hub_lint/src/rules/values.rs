//! Defaults and preset values against the variable that they are for.

use std::collections::{HashMap, HashSet};

use crate::document::{HubDocument, Which, short};
use crate::edit;
use crate::model::{self, EnvVariable, Input};
use crate::rule::rules;
use worker_files::json::{Kind, Member, Node};
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
pub fn check(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    if document.which != Which::Hub {
        return;
    }
    for variable in variables {
        if let Some(input) = &variable.input {
            default(document, variable.key, input, findings);
            keys(document, variable.key, input, findings);
        }
    }
    presets(document, variables, findings);
}

fn default(document: &HubDocument, key: &str, input: &Input<'_>, findings: &mut Vec<Finding>) {
    if let (Some((min, min_node)), Some((max, max_node))) = (input.min, input.max)
        && min > max
    {
        let what = format!("`min` of `{key}` is above its `max`");
        let finding = document.at(&OUT_OF_RANGE, &min_node.span, what);
        findings.push(finding.related(document.place(&max_node.span), "the `max`"));
        return;
    }
    let Some(node) = input.default else {
        return;
    };
    let written = document.source(node);
    let shown = short(written);
    let wrong = |what: String| document.at(&DEFAULT_TYPE, &node.span, what);
    let quoted = |kind: &str, with: &str| {
        let what = format!("`{key}` is {kind} and its default is {}", node.what());
        let finding = document.at(&QUOTED, &node.span, what);
        finding.write(Safety::Safe, &node.span, &short(with), with)
    };
    match (input.kind, &node.kind) {
        (Some("number"), Kind::String(text)) if is_number(text.trim()) => {
            findings.push(quoted("a number", text.trim()));
        }
        (Some("number"), Kind::String(_)) => {
            findings.push(wrong(format!(
                "the default of the number `{key}` is {shown}"
            )));
            return;
        }
        (Some("boolean"), Kind::String(text)) => {
            let lower = text.to_lowercase();
            if matches!(lower.as_str(), "true" | "false") {
                findings.push(quoted("a boolean", &lower));
            } else if !is_switch(input, text) {
                findings.push(wrong(format!(
                    "the default of the boolean `{key}` is {shown}"
                )));
            }
            return;
        }
        (Some(kind @ "number"), Kind::Bool(_)) | (Some(kind @ "boolean"), Kind::Number(_))
            if !matches!(written, "0" | "1") =>
        {
            findings.push(wrong(format!(
                "the default of `{key}` is {shown} and its type {kind}"
            )));
            return;
        }
        (Some("string" | "huggingface"), Kind::Number(_) | Kind::Bool(_)) => {
            findings.push(quoted("a string", &edit::quote(written)));
        }
        _ => {}
    }
    if let Some((problem, place)) = outside(document, input, node) {
        let what = format!("the default of `{key}` {problem}");
        findings.push(match place {
            Some(place) => document
                .at(&OUT_OF_RANGE, &node.span, what)
                .related(document.place(&place.span), "the bound"),
            None => document
                .at(&NOT_AN_OPTION, &node.span, what)
                .help(options_help(input)),
        });
    }
}

fn is_number(text: &str) -> bool {
    let is_json = || {
        worker_files::json::parse(text.as_bytes())
            .problems
            .is_empty()
    };
    !text.is_empty() && text.parse::<f64>().is_ok_and(f64::is_finite) && is_json()
}

/// Whether a text is one that a boolean can hold.
fn is_switch(input: &Input<'_>, text: &str) -> bool {
    let own = |key: &&str| input.node.get(key).and_then(Node::scalar).as_deref() == Some(text);
    ["trueValue", "falseValue"].iter().any(own)
        || matches!(
            text.to_lowercase().as_str(),
            "true" | "false" | "1" | "0" | "yes" | "no" | "on" | "off"
        )
}

/// What keeps a value from being chosen; with the bound that it breaks.
fn outside<'a>(
    document: &HubDocument,
    input: &Input<'a>,
    node: &Node,
) -> Option<(String, Option<&'a Node>)> {
    let text = node.scalar()?;
    let is_it = |option: &&Node| option.scalar().as_ref() == Some(&text);
    if !input.options.is_empty() && !input.options.iter().any(is_it) {
        let shown = short(document.source(node));
        return Some((format!("is {shown}, which is not among its options"), None));
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
    let values = input.options.iter().filter_map(|option| option.scalar());
    let values: Vec<String> = values.take(12).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    format!("the options are {}", suggest::all_of(&values))
}

/// Keys that belong to another type, and switches that don't switch.
fn keys(document: &HubDocument, name: &str, input: &Input<'_>, findings: &mut Vec<Finding>) {
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
            let what = format!("`{key}` is for a {owner}, and `{name}` is a {kind}");
            let finding = document.at(&WITHOUT_EFFECT, &member.key_span, what);
            let edit = edit::remove(input.node, member);
            findings.push(finding.fix(Safety::Unsafe, "remove it", [edit]));
        }
    }
    if let (Some(on), Some(off)) = (input.node.get("trueValue"), input.node.get("falseValue"))
        && kind == "boolean"
        && on.kind == off.kind
        && on.kind != Kind::Null
    {
        let what = format!("on and off are the same for `{name}`");
        findings.push(document.at(&SAME_SWITCH, &off.span, what));
    }
}

fn presets(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    let by_name: HashMap<&str, &EnvVariable<'_>> = variables
        .iter()
        .rev()
        .map(|variable| (variable.key, variable))
        .collect();
    let mut guesses = suggest::Guesses::default();
    for preset in model::presets(&document.root) {
        // What the preset sets already can't be meant by another of its keys.
        let mut taken: HashSet<&str> = preset.defaults.iter().map(|m| m.key.as_str()).collect();
        let name = short(preset.name);
        for member in preset.defaults {
            let value = &member.value;
            if let Some(variable) = by_name.get(member.key.as_str()) {
                findings.extend(preset_value(document, variable, member, &name));
            } else if (value.scalar().is_some() || value.kind == Kind::Null)
                // RunPod's own variables need no declaration; an object has been told as the wrong type.
                && !member.key.starts_with("RUNPOD_")
            {
                let keys = variables.iter().map(|variable| variable.key);
                let free = keys.filter(|key| !taken.contains(key));
                let meant = guesses.nearest(&member.key, free);
                taken.extend(meant);
                findings.push(undeclared(document, member, meant, &name));
            }
        }
    }
}

fn undeclared(
    document: &HubDocument,
    member: &Member,
    meant: Option<&str>,
    preset: &str,
) -> Finding {
    let key = short(&member.key);
    let what = format!("the preset `{preset}` sets `{key}`, which `env` does not declare");
    let finding = document.at(&PRESET_UNKNOWN, &member.key_span, what);
    match meant {
        Some(right) => finding.help(format!("did you mean `{right}`?")).write(
            Safety::Unsafe,
            &member.key_span,
            right,
            edit::quote(right),
        ),
        None => finding,
    }
}

/// What is wrong with a preset's value for a variable that is declared.
fn preset_value(
    document: &HubDocument,
    variable: &EnvVariable<'_>,
    member: &Member,
    preset: &str,
) -> Option<Finding> {
    let key = variable.key;
    if let Some(value) = variable.value {
        let what = format!("the preset `{preset}` sets `{key}`, which is fixed");
        let finding = document.at(&PRESET_FIXED, &member.key_span, what);
        let finding = finding.related(document.place(&value.span), "fixed here");
        return Some(finding.help("an `input` with a `default` can be set"));
    }
    let input = variable.input.as_ref()?;
    let node = model::said(&member.value)?;
    let text = node.scalar()?;
    let shown = short(document.source(node));
    let problem = match input.kind {
        Some("number") if !is_number(text.trim()) => format!("is {shown}, which is no number"),
        Some("boolean") if !is_switch(input, &text) => format!("is {shown}, which is no boolean"),
        _ => outside(document, input, node)?.0,
    };
    let what = format!("the value of `{key}` in the preset `{preset}` {problem}");
    Some(document.at(&PRESET_VALUE, &node.span, what))
}
