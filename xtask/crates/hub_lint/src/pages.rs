//! The rules' pages: for `--explain`, for docs/hub-lint.md, and for SARIF.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use crate::facts;
use crate::rule::{Layer, Rule};
use crate::{registry, schema};
use xtask_core::outcome::Outcome;
use xtask_core::output::sarif::Descriptor;
use xtask_core::suggest;

/// What comes before the rules in docs/hub-lint.md.
const INTRODUCTION: &str = include_str!("introduction.md");

/// One rule's page, with its heading at `level`.
pub fn page(rule: &Rule, level: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{} {} {}\n", "#".repeat(level), rule.code, rule.name);
    let _ = writeln!(
        out,
        "*{}; fix: {}.* {}.\n",
        rule.severity.word(),
        rule.fixability.words(),
        sentence(rule.summary)
    );
    let _ = writeln!(out, "{}\n", rule.text());
    let _ = write!(out, "Known from: {}.", rule.source);
    out
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

/// docs/hub-lint.md.
pub fn document() -> String {
    let mut out = INTRODUCTION.trim_end().to_owned();
    out.push_str(
        "\n\n## Rules\n\n| rule | severity | fix | what it finds |\n| --- | --- | --- | --- |\n",
    );
    for rule in registry::all() {
        let _ = writeln!(
            out,
            "| [{} {}](#{}-{}) | {} | {} | {} |",
            rule.code,
            rule.name,
            rule.code.to_lowercase(),
            rule.name,
            rule.severity.word(),
            rule.fixability.words(),
            rule.summary.replace('|', "\\|"),
        );
    }
    for layer in Layer::ALL {
        let _ = write!(out, "\n## {}\n", layer.title());
        for rule in registry::all().iter().filter(|rule| rule.layer == layer) {
            let _ = write!(out, "\n{}\n", page(rule, 3));
        }
    }
    let _ = write!(
        out,
        "\n## GPUs and CUDA versions\n\nPools: {}.\n\nGPU ids:\n\n{}\n\nCUDA versions: {}.\n",
        suggest::all_of(facts::GPU_POOLS),
        facts::GPU_IDS
            .iter()
            .map(|id| format!("- `{id}`"))
            .collect::<Vec<_>>()
            .join("\n"),
        facts::CUDA_VERSIONS.join(", "),
    );
    out
}

/// The rules for SARIF.
pub fn descriptors() -> Vec<Descriptor> {
    registry::all()
        .iter()
        .map(|rule| Descriptor {
            code: rule.code,
            name: rule.name,
            severity: rule.severity,
            summary: rule.summary,
            page: rule.text(),
        })
        .collect()
}

/// Every generated file with its content.
pub fn generated() -> Vec<(&'static str, String)> {
    vec![
        ("docs/hub-lint.md", document()),
        ("schemas/hub.schema.json", format!("{:#}\n", schema::hub())),
        (
            "schemas/tests.schema.json",
            format!("{:#}\n", schema::tests()),
        ),
    ]
}

/// Writes the generated files into a repository.
pub fn write(folder: &Path) -> Result<Outcome> {
    for (path, content) in generated() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::write(path, content)?;
    }
    Ok(Outcome::Done)
}
