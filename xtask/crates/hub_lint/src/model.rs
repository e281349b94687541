//! The parts of the two files that have the right shape, for the rules about their meaning. Rules about
//! shape report the other parts.

use crate::document::HubDocument;
use crate::finding::{Finding, Location};
use crate::rule::Rule;
use worker_files::json::{JsonKind, JsonNode, Span};

/// A variable of hub.json; those of tests.json have no input.
#[derive(Debug)]
pub struct EnvVariable<'a> {
    pub document: &'a HubDocument,
    pub key: &'a str,
    pub key_span: &'a Span,
    /// A fixed value.
    pub value: Option<&'a JsonNode>,
    /// The form field; null where there is none.
    pub input: &'a JsonNode,
}

impl<'a> EnvVariable<'a> {
    /// Creates a finding at the variable's name.
    pub fn at(&self, rule: &'static Rule, message: impl Into<String>) -> Finding {
        self.document.at(rule, self.key_span, message)
    }

    pub fn place(&self) -> Location {
        self.document.place(self.key_span)
    }

    pub fn kind(&self) -> Option<&'a str> {
        self.input.text("type")
    }

    pub fn default(&self) -> Option<&'a JsonNode> {
        non_empty(self.input.at("default"))
    }

    /// The values to choose from.
    pub fn options(&self) -> Vec<&'a JsonNode> {
        let value = |option: &'a JsonNode| match option.kind {
            JsonKind::Object(_) => option.get("value"),
            // Another rule reports options without a label.
            JsonKind::String(_) | JsonKind::Number(_) => Some(option),
            _ => None,
        };
        let options = self.input.list("options").iter();
        options.filter_map(value).collect()
    }
}

/// A value, unless it is null or empty.
pub fn non_empty(node: &JsonNode) -> Option<&JsonNode> {
    match &node.kind {
        JsonKind::Null => None,
        JsonKind::String(text) if text.trim().is_empty() => None,
        _ => Some(node),
    }
}

pub fn variables(document: &HubDocument) -> Vec<EnvVariable<'_>> {
    let entries = document.config().list("env").iter();
    let variables = entries.filter_map(|node| {
        let key = node.get("key")?;
        Some(EnvVariable {
            document,
            key: key.as_str()?,
            key_span: &key.span,
            value: non_empty(node.at("value")),
            input: node.at("input"),
        })
    });
    variables.collect()
}

/// The CUDA versions that a file allows, each as two numbers, with its place.
pub fn cuda_versions(document: &HubDocument) -> Vec<((u32, u32), &JsonNode)> {
    let versions = document.config().list("allowedCudaVersions").iter();
    let versions = versions.filter_map(|node| Some((version(node.as_str()?)?, node)));
    versions.collect()
}

/// "12.8" as numbers.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.trim().split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
