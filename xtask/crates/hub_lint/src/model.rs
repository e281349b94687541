//! The Hub's two files, and their parts that have the right shape, for the rules about their meaning.
//! Rules about shape report the other parts.

use crate::facts::{self, FieldTable};
use crate::finding::{Finding, Location};
use crate::rule;
pub use worker_files::json::short;
use worker_files::json::{JsonKind, JsonNode, Span};
use xtask_core::tree::RepoPath;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Hub,
    Tests,
}

impl Which {
    pub fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub.json",
            Self::Tests => "tests.json",
        }
    }

    /// The keys of the file's root.
    pub fn table(self) -> &'static FieldTable {
        match self {
            Self::Hub => &facts::LISTING,
            Self::Tests => &facts::TESTS,
        }
    }
}

#[derive(Debug)]
pub struct HubDocument {
    pub path: RepoPath,
    pub which: Which,
    pub text: String,
    pub root: JsonNode,
}

impl HubDocument {
    /// A finding of the rule with this name.
    pub fn at(&self, rule: &str, span: &Span, message: impl Into<String>) -> Finding {
        rule::named(rule).at(self.place(span), message)
    }

    pub fn config(&self) -> &JsonNode {
        self.root.at("config")
    }

    /// The place where the file declares its variables, or would.
    pub fn env(&self) -> Span {
        let config = self.root.get("config").unwrap_or(&self.root);
        let env = config.member("env");
        env.map_or_else(|| begin(config), |env| env.key_span.clone())
    }

    pub fn place(&self, span: &Span) -> Location {
        Location::new(self.path.clone(), span.clone())
    }

    pub fn source(&self, node: &JsonNode) -> &str {
        &self.text[node.span.clone()]
    }
}

/// The first byte of a value, as a place for findings.
pub fn begin(node: &JsonNode) -> Span {
    node.span.start..node.span.start + 1
}

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
    pub fn at(&self, rule: &str, message: impl Into<String>) -> Finding {
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
