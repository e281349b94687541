//! One of the Hub's files.

use crate::finding::{Finding, Location};
pub use worker_files::json::short;
use worker_files::json::{JsonNode, Span};
use xtask_core::tree::RepoPath;

use crate::facts::{self, FieldTable};
use crate::rule::Rule;

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
    pub fn at(&self, rule: &'static Rule, span: &Span, message: impl Into<String>) -> Finding {
        rule.at(self.place(span), message)
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
