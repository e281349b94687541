//! Runs a program in the image that checks its files, its Python, its packages and the flags of its
//! SGLang.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::containers::Session;
use super::expected_image::ExpectedImage;
use super::{Seen, below_root};
use crate::report::Check;
use crate::repository::BuildInputs;
use worker_files::Source;
use worker_files::packages::{self, Wanted};
use xtask_core::process;
use xtask_core::tree::Tree;

const PROBE: &str = include_str!("probe.py");

/// The time limit. Importing the real SGLang takes most of the time, and longer without a GPU.
const LIMIT: Duration = Duration::from_mins(10);

/// The Python that the worker needs, where pyproject.toml does not say.
const PYTHON: &str = ">=3.10";

/// The table of flags, a modern worker's script that reads SGLang's parser, and the module that the
/// script uses.
const TABLE: &str = "sglang_worker/sglang_flags.json";
const SCRIPT: &str = "scripts/sglang_flags.py";
const READER: &str = "sglang_worker/extract.py";

fn text(tree: &dyn Tree, path: &str) -> Result<Option<String>> {
    let bytes = tree.read_file(path)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn probe_input(
    tree: &dyn Tree,
    expected: &ExpectedImage,
    workdir: &str,
    update: bool,
) -> Result<Value> {
    let project = text(tree, "pyproject.toml")?.unwrap_or_default();
    let mut lines = project.lines();
    let python = lines.find_map(|line| line.strip_prefix("requires-python")?.split_once('='));
    let python = python.map_or(PYTHON, |(_, value)| value.trim().trim_matches(['"', '\'']));
    let requirements = text(tree, "requirements.txt")?.unwrap_or_default();
    let source = Source::new("requirements.txt".into(), requirements.as_bytes());
    let requirements = packages::requirements(&source).split().0.wanted.into_iter();
    let packages = requirements.filter_map(|(wanted, _)| match wanted {
        Wanted::Package(name, spec) => Some((name.clone(), name + &spec)),
        _ => None,
    });
    let packages: BTreeMap<String, String> = packages.collect();
    let mut files = BTreeMap::new();
    for (place, path) in &expected.files {
        // A character for each byte, since JSON has no bytes.
        let text: String = tree.read(path)?.into_iter().map(char::from).collect();
        files.insert(place, (path.to_string(), text));
    }
    Ok(json!({
        "files": files,
        "modules": modules(expected, workdir),
        "packages": packages,
        "python": python,
        "script": text(tree, SCRIPT)?,
        "reader": text(tree, READER)?,
        "table": text(tree, TABLE)?,
        "update": update,
    }))
}

/// The modules that are copied into WORKDIR, including those of packages.
fn modules(expected: &ExpectedImage, workdir: &str) -> Vec<String> {
    let workdir = below_root(workdir);
    let below = |place: &String| {
        let place = place.strip_prefix(&workdir)?;
        Some(place.strip_suffix(".py")?.to_owned())
    };
    let names: BTreeSet<String> = expected.files.keys().filter_map(below).collect();
    let is_module = |name: &&String| {
        let package = name.rsplit_once('/').map(|(folder, _)| folder);
        !name.contains(['-', '.'])
            && package.is_none_or(|folder| names.contains(&format!("{folder}/__init__")))
    };
    let dotted = |name: &String| {
        let module = name.strip_suffix("/__init__").unwrap_or(name);
        module.replace('/', ".")
    };
    names.iter().filter(is_module).map(dotted).collect()
}

/// Runs the program in an image's folder; the inner error says why that is impossible.
fn probe(session: &Session, place: (&str, &str), input: &Value) -> Result<Result<Value, String>> {
    let (image, folder) = place;
    let (_container, start) = session.script(image, "none", &["--workdir", folder], PROBE)?;
    let input = input.to_string();
    let Some(done) = process::within(start, input.as_bytes(), Some(LIMIT))? else {
        return Ok(Err("it did not end in time".to_owned()));
    };
    if !done.ok {
        let lines: Vec<&str> = done.stderr.trim().lines().collect();
        return Ok(Err(match &lines[lines.len().saturating_sub(3)..] {
            [] => format!("exit code {}", done.code.unwrap_or(-1)),
            last => last.join(" | "),
        }));
    }
    let output = String::from_utf8_lossy(&done.stdout);
    let answer = serde_json::from_str(output.lines().last().unwrap_or_default());
    let answer = answer.with_context(|| format!("reading what Python said in {image}"))?;
    Ok(Ok(answer))
}

/// Probes the image, and the base image for the conflicts that it has already. Writes the
/// repository's table of flags with `--update-flags`.
pub fn check(
    session: &Session,
    seen: &Seen,
    repository: &BuildInputs,
    image: &str,
    base: &str,
) -> Result<Vec<Check>> {
    let (workdir, update) = (seen.workdir(), repository.update_flags);
    let mut input = probe_input(&*repository.tree, &seen.expected, workdir, update)?;
    if seen.base.is_some() {
        input["base"] = probe(session, (base, "/"), &json!({}))?.unwrap_or_default();
    }
    let answer = match probe(session, (image, workdir), &input)? {
        Ok(answer) => answer,
        Err(why) => {
            const WHAT: &str = "python3 can't be run in the image";
            let help = "take a base image with Python, and keep it on PATH";
            let python = Check::failed("python", format!("{WHAT}: {why}: {help}"));
            let others = ["files", "modules", "packages", "versions", "flags"];
            let others = others.map(|name| Check::skipped(name, WHAT));
            return Ok([python].into_iter().chain(others).collect());
        }
    };
    let checks = answer.as_array().context("the probe gave no checks")?;
    if let Some(table) = checks.iter().find_map(|check| check["table"].as_str()) {
        fs_err::write(repository.root.join(TABLE), table)?;
    }
    let checks: Result<_, _> = checks.iter().map(Check::deserialize).collect();
    checks.context("reading the checks")
}

#[cfg(test)]
mod tests;
