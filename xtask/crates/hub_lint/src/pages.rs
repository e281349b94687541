//! The rules' pages: for `--explain`, for docs/hub-lint.md, and for SARIF.

use std::path::Path;

use anyhow::Result;

use crate::document::Which;
use crate::rule::{REFERENCE, Rule};
use crate::{facts, registry, schema};
use xtask_core::outcome::Outcome;
use xtask_core::suggest;

/// The groups of rules, by the beginning of their codes. A file that fails in one group is not checked
/// by the next.
const GROUPS: [(&str, &str); 4] = [
    ("HUB0", "Syntax"),
    ("HUB1", "Shape"),
    ("HUB2", "Meaning"),
    ("HUB3", "Agreement between files"),
];

const INTRODUCTION: &str = "\
# The rules of hub-lint

[hub-lint.md](hub-lint.md) says how to install and use the linter. `hub-lint --explain HUB252` prints a page of these.
This file is written by `cargo xtask hub-lint --write-generated .`; a test holds it equal to the rules.

In the examples, `env` is an entry of `config.env`, `config` a part of hub.json's `config`, `listing` a part of its root,
`test` one of tests.json's `tests`, and `hub` and `tests` are the whole files. Lines with `-` are a bad example, lines with
`+` a good one. `sglang v0.5.2` is a worker on the image of that release whose engine passes each variable on as the flag
beside it. Each example is run as a test: the bad one is found by its rule and by no other, the good one by none.

| rule | severity | fix | what it finds |
| --- | --- | --- | --- |
";

pub fn page(rule: &Rule, level: usize) -> String {
    let (marks, code, name) = ("#".repeat(level), rule.code, rule.name);
    let (severity, fix) = (rule.severity.word(), rule.fixability.words());
    let (summary, text, names) = (sentence(rule.summary), rule.text(), known_names(rule));
    format!(
        "{marks} {code} {name}\n\n*{severity}; fix: {fix}.* {summary}.\n\n{text}\n\n{names}\
         Known from: {}.",
        rule.source
    )
}

fn known_names(rule: &Rule) -> String {
    use suggest::all_of;
    match rule.code {
        "HUB210" => format!("The pools are {}.\n\n", all_of(facts::GPU_POOLS)),
        "HUB211" => format!(
            "The GPU ids are:\n\n- `{}`\n\n",
            facts::GPU_IDS.join("`\n- `")
        ),
        "HUB215" => format!("The versions are {}.\n\n", all_of(facts::CUDA_VERSIONS)),
        _ => String::new(),
    }
}

pub fn list() -> String {
    let line = |rule: &&Rule| {
        let (code, name, severity) = (rule.code, rule.name, rule.severity.word());
        format!("{code} {name:<28} {severity:<8} {}\n", rule.summary)
    };
    registry::all().iter().map(line).collect()
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => first.to_uppercase().chain(chars).collect(),
        None => String::new(),
    }
}

pub fn document() -> String {
    let mut out = INTRODUCTION.to_owned();
    for rule in registry::all() {
        let (code, name, severity) = (rule.code, rule.name, rule.severity.word());
        let (anchor, fix) = (code.to_lowercase(), rule.fixability.words());
        let summary = rule.summary.replace('|', "\\|");
        let head = format!("[{code} {name}](#{anchor}-{name})");
        out += &format!("| {head} | {severity} | {fix} | {summary} |\n");
    }
    for (start, title) in GROUPS {
        out += &format!("\n## {title}\n");
        for rule in registry::all().iter().filter(|rule| rule.matches(start)) {
            out += &format!("\n{}\n", page(rule, 3));
        }
    }
    out
}

pub fn generated() -> Vec<(&'static str, String)> {
    let schema = |which| format!("{:#}\n", schema::of(which));
    vec![
        (REFERENCE, document()),
        ("xtask/schemas/hub.schema.json", schema(Which::Hub)),
        ("xtask/schemas/tests.schema.json", schema(Which::Tests)),
    ]
}

pub fn write(folder: &Path) -> Result<Outcome> {
    for (path, content) in generated() {
        fs_err::write(folder.join(path), content)?;
    }
    Ok(Outcome::Done)
}
