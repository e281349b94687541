//! Defaults and preset values against the variable that they are for.

use std::collections::{HashMap, HashSet};

use crate::document::{HubDocument, Which, short};
use crate::edit;
use crate::model::{self, EnvVariable, Input};
use crate::rule::rules;
use worker_files::json::{JsonKind, JsonNode, Member};
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::suggest;

rules! {
    /// The default is in quotes (or not) where its type wants the other. It mostly works, and the
    /// form then compares a text with a number.
    ///
    /// ```diff env
    /// - { "key": "MAX", "input": { "name": "Max", "type": "number", "default": "300" } }
    /// + { "key": "MAX", "input": { "name": "Max", "type": "number", "default": 300 } }
    /// ```
    QUOTED = "HUB220" "default-in-quotes" Warning Safely
        "a default is written as another type than its own"
        from "the Hub's publishing guide; one published listing";
    /// A default, or a value of a preset, that the form refuses: it is no value of the input's type,
    /// not among its options, or outside of `min` and `max`. An empty default is fine: it means that
    /// nothing is chosen. In presets, numbers and booleans in quotes are fine, too. All but a default
    /// of another type is a warning.
    ///
    /// ```diff env
    /// - { "key": "MAX", "input": { "name": "Max", "type": "number", "default": "auto" } }
    /// + { "key": "MAX", "input": { "name": "Max", "type": "string", "default": "auto" } }
    /// ```
    DOES_NOT_FIT = "HUB221" "value-does-not-fit" Error Never
        "a default or a preset's value that its input can't have"
        from "the Hub's publishing guide";
    /// A preset sets a variable that the listing doesn't have, so the value goes nowhere.
    ///
    /// ```diff config
    ///   "env": [{ "key": "MODEL_NAME", "input": { "name": "Model", "type": "string" } }],
    /// - "presets": [{ "name": "Small", "defaults": { "MODEL_NAMES": "a/b" } }]
    /// + "presets": [{ "name": "Small", "defaults": { "MODEL_NAME": "a/b" } }]
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
}

pub fn check(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    if document.which != Which::Hub {
        return;
    }
    for variable in variables {
        if let Some(input) = &variable.input {
            default(document, variable.key, input, findings);
        }
    }
    presets(document, variables, findings);
}

fn default(document: &HubDocument, key: &str, input: &Input<'_>, findings: &mut Vec<Finding>) {
    let Some(node) = input.default else {
        return;
    };
    let written = document.source(node);
    // What only its quotes tell from a value of the type.
    let other = match (input.kind, &node.kind) {
        (Some("number"), JsonKind::String(text)) if is_number(text.trim()) => {
            Some(("a number", text.trim().to_owned()))
        }
        (Some("boolean"), JsonKind::String(text))
            if matches!(text.to_lowercase().as_str(), "true" | "false") =>
        {
            Some(("a boolean", text.to_lowercase()))
        }
        (Some("string" | "huggingface"), JsonKind::Number(_) | JsonKind::Bool(_)) => {
            Some(("a string", edit::quote(written)))
        }
        _ => None,
    };
    if let Some((kind, with)) = other {
        let what = format!("`{key}` is {kind} and its default is {}", node.what());
        let finding = document.at(&QUOTED, &node.span, what);
        findings.push(finding.write(Safety::Safe, &node.span, &short(&with), with.as_str()));
    }
    if let Some((words, severity)) = misfit(document, input, node) {
        let what = format!("the default of `{key}` is {words}");
        let mut finding = document.at(&DOES_NOT_FIT, &node.span, what);
        finding.severity = severity;
        findings.push(finding);
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
    let own = |key: &&str| input.node.get(key).and_then(JsonNode::scalar).as_deref() == Some(text);
    ["trueValue", "falseValue"].iter().any(own)
        || matches!(
            text.to_lowercase().as_str(),
            "true" | "false" | "1" | "0" | "yes" | "no" | "on" | "off"
        )
}

/// What keeps a value from being its variable's: its type, the options, the bounds.
fn misfit(
    document: &HubDocument,
    input: &Input<'_>,
    node: &JsonNode,
) -> Option<(String, Severity)> {
    let text = node.scalar()?;
    let mut severity = Severity::Error;
    let number = is_number(text.trim()).then(|| text.trim().parse::<f64>().unwrap_or_default());
    let is_it = |option: &&JsonNode| option.scalar().as_ref() == Some(&text);
    let why = match (input.kind, number) {
        (Some("number"), None) => "which is no number".to_owned(),
        (Some("boolean"), _) if !is_switch(input, &text) => "which is no boolean".to_owned(),
        _ if !input.options.is_empty() && !input.options.iter().any(is_it) => {
            let values = input.options.iter().filter_map(|option| option.scalar());
            let values: Vec<String> = values.take(12).collect();
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            severity = Severity::Warning;
            format!("which is not one of {}", suggest::all_of(&values))
        }
        (Some("number"), Some(number)) => {
            severity = Severity::Warning;
            match (input.min, input.max) {
                (Some(min), _) if number < min => format!("below its `min` of {min}"),
                (_, Some(max)) if number > max => format!("above its `max` of {max}"),
                _ => return None,
            }
        }
        _ => return None,
    };
    let words = format!("{}, {why}", short(document.source(node)));
    Some((words, severity))
}

fn presets(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    let by_name: HashMap<&str, &EnvVariable<'_>> = variables
        .iter()
        .rev()
        .map(|variable| (variable.key, variable))
        .collect();
    let mut guesses = suggest::Guesses::default();
    for preset in model::list(&document.root, "presets") {
        let defaults = preset.object("defaults");
        // What the preset sets already can't be meant by another of its keys.
        let mut taken: HashSet<&str> = defaults.iter().map(|m| m.key.as_str()).collect();
        let name = short(preset.text("name").unwrap_or_default());
        for member in defaults {
            let value = &member.value;
            if let Some(variable) = by_name.get(member.key.as_str()) {
                findings.extend(preset_value(document, variable, member, &name));
            } else if (value.scalar().is_some() || value.kind == JsonKind::Null)
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
    let node = model::said(&member.value)?;
    let (words, _) = misfit(document, variable.input.as_ref()?, node)?;
    let what = format!("the value of `{key}` in the preset `{preset}` is {words}");
    let mut finding = document.at(&DOES_NOT_FIT, &node.span, what);
    finding.severity = Severity::Warning;
    Some(finding)
}
