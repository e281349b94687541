//! `docs/architecture.md` names every module at the top and every task, and nothing else; every
//! file says itself what it is for; modules keep to their layers.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::{repository, text_of};

/// The first cells of the page's tables: the tool's, then the worker's.
fn named() -> [BTreeSet<String>; 2] {
    let page = text_of("docs/architecture.md");
    let (tool, worker) = page.split_once("## The worker").unwrap();
    [tool, worker].map(|text| {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
        let cells = rows.filter_map(|row| row.split_once(" | "));
        cells.flat_map(|(first, _)| words(first)).collect()
    })
}

/// What stands between back ticks.
fn words(text: &str) -> impl Iterator<Item = String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned)
}

/// What lies in a folder below `xtask/src/`, folders with a `/` behind their names; without what
/// only tests use.
fn modules(folder: &str) -> BTreeSet<String> {
    let path = repository().join("xtask/src").join(folder);
    let parent = ["mod.rs", "main.rs"].map(|name| path.join(name));
    let parent = parent.iter().find(|path| path.is_file()).unwrap();
    let text = fs::read_to_string(parent).unwrap();
    let mut found = BTreeSet::new();
    let mut before = "";
    for line in text.lines() {
        let declared = line.strip_suffix(';').and_then(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            line.strip_prefix("mod ")
        });
        if let Some(name) = declared.filter(|_| before != "#[cfg(test)]") {
            let is_folder = path.join(name).is_dir();
            found.insert(format!(
                "{folder}{name}{}",
                if is_folder { "/" } else { ".rs" }
            ));
        }
        before = line;
    }
    assert!(!found.is_empty(), "{folder} has no modules");
    found
}

/// The tool's sources, by their path below `xtask/src/`.
fn sources() -> Vec<(String, String)> {
    fn gather(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = repository().join("xtask/src");
    let mut paths = Vec::new();
    gather(&root, &mut paths);
    paths.sort();
    let named = paths.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    });
    named.collect()
}

#[test]
fn nothing_below_the_tasks_names_one() {
    let names = |text: &str| text.contains("task::") || text.contains("crate::{task");
    let (tasks, below): (Vec<_>, Vec<_>) = sources()
        .into_iter()
        .filter(|(path, _)| path != "main.rs")
        .partition(|(path, _)| path.starts_with("task/"));
    // Tasks do name each other, in the words that are looked for.
    assert!(tasks.iter().any(|(_, text)| names(text)));
    let named = below.iter().filter(|(_, text)| names(text));
    let named: Vec<&String> = named.map(|(path, _)| path).collect();
    assert!(below.len() > 50 && named.is_empty(), "{named:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| {
            let first = text.lines().next().unwrap_or_default();
            // A name alone says nothing.
            let said = first.strip_prefix("//! ").unwrap_or_default();
            said.split_whitespace().count() < 2
        })
        .map(|(path, _)| path)
        .collect();
    assert!(silent.is_empty(), "without a first line: {silent:?}");
}

#[test]
fn the_page_names_the_modules_at_the_top_and_the_tasks() {
    let [tool, worker] = named();
    let mut there = modules("");
    assert!(there.remove("task/"));
    there.extend(modules("task/"));
    there.insert("main.rs".to_owned());
    assert_eq!(tool, there);
    let entries = fs::read_dir(repository()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().display().to_string());
    let mut there: BTreeSet<String> = names
        .filter(|name| Path::new(name).extension().is_some_and(|end| end == "py"))
        .collect();
    there.insert("sglang_flags.json".to_owned());
    assert_eq!(worker, there);
}

#[test]
fn the_page_stays_a_page() {
    let lines = text_of("docs/architecture.md").lines().count();
    assert!(
        lines <= 100,
        "{lines} lines: what is one module's goes into its file"
    );
}
