//! What the image says of itself: a program in it looks at its files, its Python, its packages and
//! the flags of its SGLang.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::containers::Session;
use super::expected_image::ExpectedImage;
use super::{Seen, Subject, below_root};
use crate::report::Check;
use worker_files::Source;
use worker_files::packages;
use xtask_core::tree::Tree;

const PROBE: &str = include_str!("probe.py");

/// How long it may take: importing the real SGLang takes most of it, more so without a GPU.
const LIMIT: Duration = Duration::from_mins(10);

/// What Python the worker is written for, where pyproject.toml does not say.
const PYTHON: &str = ">=3.10";

/// The table of flags, the script of a modern worker that reads SGLang's parser, and the module
/// that it reads with.
const TABLE: &str = "sglang_worker/sglang_flags.json";
const SCRIPT: &str = "scripts/sglang_flags.py";
const READER: &str = "sglang_worker/extract.py";

fn text(tree: &dyn Tree, path: &str) -> Result<Option<String>> {
    let bytes = tree.read_file(path)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// What the program is asked about.
fn asked(tree: &dyn Tree, made: &ExpectedImage, workdir: &str, update: bool) -> Result<Value> {
    let project = text(tree, "pyproject.toml")?.unwrap_or_default();
    let mut lines = project.lines();
    let python = lines.find_map(|line| line.strip_prefix("requires-python")?.split_once('='));
    let python = python.map_or(PYTHON, |(_, value)| value.trim().trim_matches(['"', '\'']));
    let requirements = text(tree, "requirements.txt")?.unwrap_or_default();
    let source = Source::new("requirements.txt".into(), requirements.as_bytes());
    let requirements = packages::requirements(&source).split().0.packages;
    let packages = requirements.into_iter();
    let packages: BTreeMap<String, String> = packages
        .map(|asked| (asked.name.clone(), asked.name + &asked.spec))
        .collect();
    let mut files = BTreeMap::new();
    for (place, path) in &made.files {
        // A character for each byte: JSON has no other way for bytes that are no text.
        let text: String = tree.read(path)?.into_iter().map(char::from).collect();
        files.insert(place, (path.to_string(), text));
    }
    Ok(json!({
        "files": files,
        "modules": modules(made, workdir),
        "packages": packages,
        "python": python,
        "script": text(tree, SCRIPT)?,
        "reader": text(tree, READER)?,
        "table": text(tree, TABLE)?,
        "update": update,
    }))
}

/// The modules that are copied into WORKDIR, those of packages included.
fn modules(made: &ExpectedImage, workdir: &str) -> Vec<String> {
    let workdir = below_root(workdir);
    let below = |place: &String| {
        let place = place.strip_prefix(&workdir)?;
        Some(place.strip_suffix(".py")?.to_owned())
    };
    let names: BTreeSet<String> = made.files.keys().filter_map(below).collect();
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

/// Runs the program in an image's folder; the error is a sentence about why it can't.
fn ask(session: &Session, place: (&str, &str), asked: &Value) -> Result<Result<Value, String>> {
    let said = match session.python(place, PROBE, &asked.to_string(), LIMIT)? {
        Ok(said) => said,
        Err(why) => return Ok(Err(why)),
    };
    let line = said.lines().last().unwrap_or_default();
    let answer = serde_json::from_str(line);
    Ok(Ok(answer.with_context(|| {
        format!("reading what Python said in {}", place.0)
    })?))
}

/// Asks the image, and the base image for the conflicts that it has already. Writes the
/// repository's table of flags where that is wanted.
pub fn check(session: &Session, seen: &Seen, subject: &Subject, base: &str) -> Result<Vec<Check>> {
    let repository = subject.repository;
    let update = repository.update_flags;
    let mut asked = asked(&*repository.tree, &seen.made, seen.workdir(), update)?;
    if seen.base.is_some() {
        asked["base"] = ask(session, (base, "/"), &json!({}))?.unwrap_or_default();
    }
    let answer = match ask(session, (subject.image, seen.workdir()), &asked)? {
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
