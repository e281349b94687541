//! The linter as a whole: the rules' examples, whole repositories, fixes, schemas and damage.

use super::*;
use crate::finding::{Finding, Safety};
use crate::formats;
use crate::rule::Severity;
use model::Which;
use rule::Rule;
use rules::check_file;
use xtask_core::tree::{Memory, Tree};

mod corpus;
mod examples;
mod fixes;
mod fuzz;
mod repository;
mod schemas;

/// A listing that nothing can be said against; `config` and `env` take more.
fn listing(config: &str, env: &str) -> String {
    let mut members = vec![];
    for (key, value) in [
        ("runsOn", "\"GPU\""),
        ("containerDiskInGb", "20"),
        ("gpuIds", "\"ADA_24\""),
        ("gpuCount", "1"),
    ] {
        if !config.contains(&format!("\"{key}\"")) {
            members.push(format!("\"{key}\": {value}"));
        }
    }
    if !config.is_empty() {
        members.push(config.trim().to_owned());
    }
    if !config.contains("\"env\"") {
        members.push(format!("\"env\": [{env}]"));
    }
    format!(
        r#"{{
  "title": "Worker",
  "description": "Does things.",
  "type": "serverless",
  "category": "language",
  "config": {{
    {}
  }}
}}
"#,
        members.join(",\n    ")
    )
}

const TESTS: &str = r#"{
  "tests": [{ "name": "one", "input": { "prompt": "Hi" } }],
  "config": { "gpuTypeId": "NVIDIA RTX A4000", "gpuCount": 1,
    "env": [{ "key": "HF_HOME", "value": "/models" }] }
}
"#;

/// [`TESTS`]' variable.
const HOME: &str = r#"{ "key": "HF_HOME", "value": "/models" }"#;

/// A repository with these two files and what the Hub needs besides. Tests that have [`HOME`] set
/// what the listing asks its users for, too.
fn repository_of(hub: &str, tests: &str) -> Memory {
    let root = worker_files::json::parse(hub.as_bytes()).root;
    let asked: std::collections::BTreeSet<&str> = root
        .iter()
        .flat_map(|root| root.at("config").list("env"))
        .filter(|entry| entry.get("input").is_some())
        .filter_map(|entry| entry.text("key"))
        .collect();
    let set: String = asked
        .iter()
        .map(|key| format!(r#"{{ "key": "{key}", "value": "" }}, "#))
        .collect();
    let tests = tests.replace(HOME, &format!("{set}{HOME}"));
    Memory::new()
        .with("Dockerfile", "FROM scratch\n")
        .with("README.md", "# Worker\n")
        .with(".runpod/hub.json", hub)
        .with(".runpod/tests.json", tests)
}

/// What is said of a tree, as code and message.
fn said(tree: &dyn Tree) -> Vec<String> {
    lint(tree, true)
        .unwrap()
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.rule.code, finding.message))
        .collect()
}
