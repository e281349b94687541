//! `docs/architecture.md` names every module, and nothing else.
//!
//! A row of a table stands for a module at the top, for one of the folder that the table's head
//! names (`in FOLDER`), or for a folder whose modules the row's text names. Modules in deeper folders are
//! their `mod.rs`'s to explain, unless a table names them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use crate::{repository, text_of};

/// The worker's modules, which lie at the root.
const WORKER: &str = "the worker";
/// The tool's, below `xtask/src/`.
const TOOL: &str = "";

/// What the page names, by folder.
#[derive(Default)]
struct Named {
    /// First cells: these have to exist.
    rows: BTreeMap<String, BTreeSet<String>>,
    /// Names in a folder's row, with those of its table.
    inside: BTreeMap<String, BTreeSet<String>>,
}

fn named(page: &str) -> Named {
    let mut named = Named::default();
    let mut table = TOOL.to_owned();
    for line in page.lines() {
        if line.starts_with("## The worker") {
            WORKER.clone_into(&mut table);
        }
        let Some((first, text)) = line
            .strip_prefix("| ")
            .and_then(|row| row.split_once(" | "))
        else {
            continue;
        };
        if let Some(folder) = first.strip_prefix("in ") {
            words(folder).next().unwrap().clone_into(&mut table);
            continue;
        }
        for word in words(first) {
            let rows = named.rows.entry(table.clone()).or_default();
            rows.insert(word.to_owned());
            let inside = named.inside.entry(table.clone()).or_default();
            inside.insert(stem(word).to_owned());
            let inside = named.inside.entry(word.to_owned()).or_default();
            inside.extend(words(text).map(|word| stem(word).to_owned()));
        }
    }
    named
}

/// What stands between back ticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn stem(name: &str) -> &str {
    name.trim_end_matches('/').trim_end_matches(".rs")
}

/// The modules of a folder below `xtask/src/`, but for those of the tests.
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
            found.insert(name.to_owned());
        }
        before = line;
    }
    found
}

/// The folders of which every module has to be named: those at the top, the tasks', and all with a
/// table of their own.
fn folders(named: &Named) -> BTreeSet<String> {
    let root = repository().join("xtask/src");
    let tables = named.rows.keys().filter(|name| *name != WORKER);
    let mut folders: BTreeSet<String> = tables.cloned().collect();
    for parent in [TOOL, "task/"] {
        let below = modules(parent)
            .into_iter()
            .map(|name| format!("{parent}{name}/"));
        folders.extend(below.filter(|folder| root.join(folder).is_dir()));
    }
    folders
}

#[test]
fn every_module_that_is_there_is_named() {
    let named = named(&text_of("docs/architecture.md"));
    let mut missing = Vec::new();
    for folder in folders(&named) {
        let there = modules(&folder);
        assert!(!there.is_empty(), "{folder} has no modules");
        // Tasks are at the top, as `task/NAME/`.
        let (table, prefix) = match folder.as_str() {
            "task/" => (TOOL, folder.as_str()),
            other => (other, ""),
        };
        let inside = &named.inside[table];
        let names = there.iter().map(|name| format!("{prefix}{name}"));
        missing.extend(
            names
                .filter(|name| name != "task" && !inside.contains(name))
                .map(|name| format!("{folder}: {name}")),
        );
    }
    assert!(missing.is_empty(), "not named: {missing:#?}");
    let entries = fs::read_dir(repository()).unwrap();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.extension().is_some_and(|end| end == "py") {
            let name = path.file_name().unwrap().display().to_string();
            assert!(named.rows[WORKER].contains(&name), "{name} is not named");
        }
    }
}

#[test]
fn every_module_that_is_named_is_there() {
    let root = repository();
    let mut found = 0;
    for (table, rows) in &named(&text_of("docs/architecture.md")).rows {
        let folder: PathBuf = match table.as_str() {
            WORKER => root.clone(),
            table => root.join("xtask/src").join(table),
        };
        for name in rows {
            found += 1;
            let path = folder.join(name);
            assert!(path.exists(), "there is no {}", path.display());
            assert_eq!(path.is_dir(), name.ends_with('/'), "{name}");
        }
    }
    assert!(found > 60, "{found} modules");
}
