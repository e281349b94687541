//! The parts of the two files that have the right shape, for the rules that look at what they
//! mean. What has the wrong shape is not in here: something has been said of it already.

use worker_files::json::{JsonKind, JsonNode};
use xtask_core::finding::Span;

/// A variable of hub.json; those of tests.json have no input.
#[derive(Debug)]
pub struct EnvVariable<'a> {
    pub key: &'a str,
    pub key_span: &'a Span,
    /// A fixed value.
    pub value: Option<&'a JsonNode>,
    pub input: Option<Input<'a>>,
}

/// How users set a variable.
#[derive(Debug)]
pub struct Input<'a> {
    pub node: &'a JsonNode,
    pub kind: Option<&'a str>,
    /// The default, where it says something: neither null nor empty.
    pub default: Option<&'a JsonNode>,
    pub required: bool,
    /// The values to choose from.
    pub options: Vec<&'a JsonNode>,
    pub min: Option<f64>,
    pub max: Option<f64>,
}

/// A value that says something.
pub fn said(node: &JsonNode) -> Option<&JsonNode> {
    match &node.kind {
        JsonKind::Null => None,
        JsonKind::String(text) if text.trim().is_empty() => None,
        _ => Some(node),
    }
}

/// A list of the `config`; nothing where there is none.
pub fn list<'a>(root: &'a JsonNode, key: &str) -> &'a [JsonNode] {
    root.get("config").map_or(&[], |config| config.list(key))
}

/// The variables of either file.
pub fn variables(root: &JsonNode) -> Vec<EnvVariable<'_>> {
    list(root, "env")
        .iter()
        .filter_map(|node| {
            let key = node.get("key")?;
            Some(EnvVariable {
                key: key.as_str()?,
                key_span: &key.span,
                value: node.get("value").and_then(said),
                input: node
                    .get("input")
                    .filter(|input| matches!(input.kind, JsonKind::Object(_)))
                    .map(input),
            })
        })
        .collect()
}

fn input(node: &JsonNode) -> Input<'_> {
    let number = |key| node.get(key)?.as_f64();
    let options = node.list("options").iter();
    let options = options.filter_map(|option| match option.kind {
        JsonKind::Object(_) => option.get("value"),
        // Bare options have their own rule; their values are plain all the same.
        JsonKind::String(_) | JsonKind::Number(_) => Some(option),
        _ => None,
    });
    Input {
        node,
        kind: node.text("type"),
        default: node.get("default").and_then(said),
        required: node.is_true("required"),
        options: options.collect(),
        min: number("min"),
        max: number("max"),
    }
}

/// The CUDA versions that a file allows, each as two numbers and where it stands.
pub fn cuda_versions(root: &JsonNode) -> Vec<((u32, u32), &JsonNode)> {
    list(root, "allowedCudaVersions")
        .iter()
        .filter_map(|node| Some((version(node.as_str()?)?, node)))
        .collect()
}

/// "12.8" as numbers.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
