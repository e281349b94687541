//! Defaults and preset values against the variable that they are for.

use std::collections::{HashMap, HashSet};

use crate::edit;
use crate::facts::ValueShape;
use crate::finding::{Finding, Safety};
use crate::model::{self, EnvVariable, HubDocument, Which, short};
use crate::rules::shape::{converted, number};
use worker_files::is_one_of;
use worker_files::json::{JsonKind, JsonNode, Member};
use xtask_core::suggest;

pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) {
    if document.which == Which::Hub {
        let variables = model::variables(document);
        for variable in &variables {
            default(variable, findings);
        }
        presets(document, &variables, findings);
    }
}

fn default(variable: &EnvVariable<'_>, findings: &mut Vec<Finding>) {
    let Some(node) = variable.default() else {
        return;
    };
    let (key, document) = (variable.key, variable.document);
    let kind = match variable.kind() {
        Some("number") => Some(("a number", ValueShape::Number)),
        Some("boolean") => Some(("a boolean", ValueShape::Flag)),
        Some("string" | "huggingface") => Some(("a string", ValueShape::Text)),
        _ => None,
    };
    // The value has the type apart from its quotes.
    if let Some((kind, shape)) = kind.filter(|_| node.scalar().is_some())
        && let Some(with) = converted(document, node, shape)
    {
        let what = format!("`{key}` is {kind} and its default is {}", node.what());
        let finding = document.at("default-in-quotes", &node.span, what);
        findings.push(finding.write(Safety::Safe, &node.span, &short(&with), with.as_str()));
    }
    if let Some((words, is_certain)) = misfit(variable, node) {
        let what = format!("the default of `{key}` is {words}");
        let finding = document.at("value-does-not-fit", &node.span, what);
        findings.push(finding.warn_unless(is_certain));
    }
}

fn is_boolean(input: &JsonNode, text: &str) -> bool {
    let is_value = |key: &&str| input.at(key).scalar().as_deref() == Some(text);
    ["trueValue", "falseValue"].iter().any(is_value)
        || is_one_of("true false 1 0 yes no on off", &text.to_lowercase())
}

/// Why a variable can't have a value: by its type, which is certain, its options or its bounds.
fn misfit(variable: &EnvVariable<'_>, node: &JsonNode) -> Option<(String, bool)> {
    let text = node.scalar()?;
    let input = variable.input;
    let options = variable.options().into_iter();
    let options: Vec<String> = options.filter_map(JsonNode::scalar).collect();
    let (kind, number) = (variable.kind(), number(&text));
    let no_type = match kind {
        Some("number") if number.is_none() => Some("which is no number"),
        Some("boolean") if !is_boolean(input, &text) => Some("which is no boolean"),
        _ => None,
    };
    let why = match (no_type, number) {
        (Some(words), _) => words.to_owned(),
        _ if !options.is_empty() && !options.contains(&text) => {
            let values: Vec<&str> = options.iter().take(12).map(String::as_str).collect();
            format!("which is not one of {}", suggest::all_of(&values))
        }
        (_, Some(number)) if kind == Some("number") => {
            match (input.at("min").as_f64(), input.at("max").as_f64()) {
                (Some(min), _) if number < min => format!("below its `min` of {min}"),
                (_, Some(max)) if number > max => format!("above its `max` of {max}"),
                _ => return None,
            }
        }
        _ => return None,
    };
    let words = format!("{}, {why}", short(variable.document.source(node)));
    Some((words, no_type.is_some()))
}

fn presets(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    let pairs = variables.iter().rev().map(|it| (it.key, it));
    let by_name: HashMap<&str, &EnvVariable<'_>> = pairs.collect();
    let mut guesses = suggest::Guesses::default();
    for preset in document.config().list("presets") {
        let defaults = preset.object("defaults");
        // A variable that the preset already sets is no suggestion for another key.
        let mut taken: HashSet<&str> = defaults.iter().map(|m| &*m.key).collect();
        let name = short(preset.text("name").unwrap_or_default());
        for member in defaults {
            let value = &member.value;
            if let Some(variable) = by_name.get(member.key.as_str()) {
                findings.extend(preset_value(variable, member, &name));
            } else if (value.scalar().is_some() || value.kind == JsonKind::Null)
                // RunPod's own variables need no declaration, and `wrong-type` reports objects.
                && !member.key.starts_with("RUNPOD_")
            {
                let key = short(&member.key);
                let what =
                    format!("the preset `{name}` sets `{key}`, which `env` does not declare");
                let mut finding = document.at("preset-of-unknown-variable", &member.key_span, what);
                let keys = variables.iter().map(|variable| variable.key);
                let free = keys.filter(|key| !taken.contains(key));
                if let Some(right) = guesses.nearest(&member.key, free) {
                    taken.insert(right);
                    let span = &member.key_span;
                    finding = edit::did_you_mean(finding, Safety::Unsafe, span, right);
                }
                findings.push(finding);
            }
        }
    }
}

fn preset_value(variable: &EnvVariable<'_>, member: &Member, preset: &str) -> Option<Finding> {
    let (key, document) = (variable.key, variable.document);
    if let Some(value) = variable.value {
        let what = format!("the preset `{preset}` sets `{key}`, which is fixed");
        let finding = document.at("preset-of-fixed-value", &member.key_span, what);
        let finding = finding.related(document.place(&value.span), "fixed here");
        return Some(finding.help("an `input` with a `default` can be set"));
    }
    let node = model::non_empty(&member.value)?;
    let (words, _) = misfit(variable, node)?;
    let what = format!("the value of `{key}` in the preset `{preset}` is {words}");
    let finding = document.at("value-does-not-fit", &node.span, what);
    Some(finding.warn_unless(false))
}
