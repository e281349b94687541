//! Secrets where everybody can read them.

use crate::document::{Document, Which, short};
use crate::edit;
use crate::model::{self, Variable};
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Safety};
use xtask_core::secret::{is_secret, token};

rules! { Meaning;
    /// A listing is public. A secret's default or fixed value is in the repository and in every
    /// deployment of everybody. Users fill such a variable from their RunPod secrets.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "LAB_API_KEY", "value": "aeon-4711" }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "LAB_API_KEY", "input": { "name": "API key", "type": "string" } }
    /// ```
    SECRET_VALUE = "HUB240" "secret-with-value" Warning Never
        "a secret has a value in a public file"
        from "one published listing";

    /// The text has the form of an access token that some service has given out. Whoever reads the
    /// repository can use it; remove it and revoke it, because it stays in the history.
    ///
    /// Bad: a `value` that begins with `hf_` and 34 letters and digits.
    TOKEN = "HUB241" "token-in-file" Error Never
        "there is an access token in the file"
        from "the forms of tokens that services document";

    /// The input type `huggingface` lets users pick a model. For a token it shows a search for
    /// models.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "HF_TOKEN", "input": { "name": "Token", "type": "huggingface" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "HF_TOKEN", "input": { "name": "Token", "type": "string" } }
    /// ```
    TOKEN_PICKER = "HUB242" "model-picker-for-token" Warning Unsafely
        "a token's input type is the model picker"
        from "the Hub's publishing guide; one published listing";
}

/// Looks at either file.
pub fn check(document: &Document, variables: &[Variable<'_>], findings: &mut Vec<Finding>) {
    let mut told = Vec::new();
    tokens(document, &document.root, findings, &mut told);
    if document.which != Which::Hub {
        return;
    }
    for variable in variables {
        if !is_secret(variable.key) {
            continue;
        }
        let value = variable
            .value
            .or_else(|| variable.input.as_ref().and_then(|input| input.default));
        // A switch whose name ends in `_TOKEN` holds no token.
        let switch = variable
            .input
            .as_ref()
            .is_some_and(|input| matches!(input.kind, Some("boolean" | "number")));
        if let Some(node) = value
            && !switch
            && !told.contains(&node.span.start)
            && !model::text_of(node).is_some_and(|text| is_placeholder(&text))
        {
            findings.push(
                document
                    .at(
                        &SECRET_VALUE,
                        &node.span,
                        format!(
                            "the secret `{}` has a value that everybody reads",
                            variable.key
                        ),
                    )
                    .help("leave it empty; users fill it from their RunPod secrets"),
            );
        }
        if let Some(input) = &variable.input
            && input.kind == Some("huggingface")
            && let Some(node) = input.node.get("type")
        {
            findings.push(
                document
                    .at(
                        &TOKEN_PICKER,
                        &node.span,
                        format!(
                            "`huggingface` picks a model, and `{}` is a secret",
                            variable.key
                        ),
                    )
                    .fix(
                        Safety::Unsafe,
                        "write `string`",
                        [(node.span.clone(), edit::quote("string"))],
                    ),
            );
        }
    }
}

/// A value that says that there is none, or takes it from RunPod's secrets.
fn is_placeholder(text: &str) -> bool {
    let lower = text.to_lowercase();
    text.contains("RUNPOD_SECRET")
        || matches!(
            lower.as_str(),
            "empty" | "none" | "null" | "dummy" | "changeme"
        )
        || lower.starts_with("your")
        || text.starts_with('<')
        || text.starts_with("{{")
        || matches!(lower.as_str(), "true" | "false")
}

/// Every text of the file, keys and all.
fn tokens(document: &Document, root: &Node, findings: &mut Vec<Finding>, told: &mut Vec<usize>) {
    let mut pending = vec![root];
    while let Some(node) = pending.pop() {
        match &node.kind {
            Kind::String(text) => {
                if let Some(what) = token(text) {
                    told.push(node.span.start);
                    findings.push(
                        document
                            .at(&TOKEN, &node.span, format!("this looks like {what}"))
                            .help("remove it and revoke it: it stays in the repository's history"),
                    );
                }
            }
            Kind::Array(items) => pending.extend(items),
            Kind::Object(members) => pending.extend(members.iter().map(|member| &member.value)),
            _ => {}
        }
    }
}

/// A text as a message may show it: nothing of a secret.
pub fn shown(key: &str, text: &str) -> String {
    if is_secret(key) || token(text).is_some() {
        "…".to_owned()
    } else {
        short(text)
    }
}
