//! Secrets in the public files.

use crate::edit;
use crate::finding::{Finding, Safety};
use crate::model::{self, HubDocument, Which, short};
use worker_files::is_one_of;
use worker_files::json::JsonKind;
use xtask_core::secret::{is_secret, token};

pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) {
    let tokens = tokens(document, findings);
    if document.which != Which::Hub {
        return;
    }
    let variables = model::variables(document).into_iter();
    for variable in variables.filter(|variable| is_secret(variable.key)) {
        let (key, kind) = (variable.key, variable.kind());
        // A switch whose name ends in `_TOKEN` holds no token.
        if let Some(node) = variable.value.or(variable.default())
            && !matches!(kind, Some("boolean" | "number"))
            && !tokens.contains(&node.span.start)
            && !node.scalar().is_some_and(|text| is_placeholder(&text))
        {
            let what = format!("the secret `{key}` has a value that everybody reads");
            let help = "leave it empty; users fill it from their RunPod secrets";
            let finding = document.at("secret-with-value", &node.span, what);
            findings.push(finding.help(help));
        }
        if kind == Some("huggingface") {
            let span = &variable.input.at("type").span;
            let what = format!("`huggingface` picks a model, and `{key}` is a secret");
            let finding = document.at("model-picker-for-token", span, what);
            let right = edit::quote("string");
            findings.push(finding.write(Safety::Unsafe, span, "string", right));
        }
    }
}

/// Whether a value stands for none, or for one of RunPod's secrets.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_lowercase();
    let starts = ["your", "<", "{{"];
    text.contains("RUNPOD_SECRET")
        || is_one_of("empty none null dummy changeme true false", &lower)
        || starts.iter().any(|start| lower.starts_with(start))
}

/// Searches all texts of the file except keys for tokens, and returns their offsets.
fn tokens(document: &HubDocument, findings: &mut Vec<Finding>) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut pending = vec![&document.root];
    while let Some(node) = pending.pop() {
        pending.extend(node.items());
        pending.extend(node.members().iter().map(|member| &member.value));
        if let JsonKind::String(text) = &node.kind
            && let Some(what) = token(text)
        {
            offsets.push(node.span.start);
            let help = "remove it and revoke it: it stays in the repository's history";
            let what = format!("this looks like {what}");
            findings.push(document.at("token-in-file", &node.span, what).help(help));
        }
    }
    offsets
}

/// A variable's value for a message, which shows no secret.
pub fn shown(key: &str, text: &str) -> String {
    if is_secret(key) || token(text).is_some() {
        return "…".to_owned();
    }
    short(text)
}
