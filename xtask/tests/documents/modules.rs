//! `docs/architecture.md` names every crate of the tool, what all of them share and every task, and
//! nothing else; every file says itself what it is for; crates keep to their layers.

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

/// The modules that a crate of the tool declares, folders with a `/` behind their names;
/// without what only tests use. `parent` is below `xtask/`, and so are they, without `src/`.
fn modules(parent: &str) -> BTreeSet<String> {
    let parent = tool().join(parent);
    let text = fs::read_to_string(&parent).unwrap();
    let folder = parent.parent().unwrap();
    let mut found = BTreeSet::new();
    let mut before = "";
    for line in text.lines() {
        let declared = line.strip_suffix(';').and_then(|line| {
            let line = line.strip_prefix("pub ").unwrap_or(line);
            line.strip_prefix("mod ")
        });
        if let Some(name) = declared.filter(|_| before != "#[cfg(test)]") {
            let path = folder.join(name);
            let end = if path.is_dir() { "/" } else { ".rs" };
            let path = path.strip_prefix(tool()).unwrap().display().to_string();
            found.insert(path.replace("src/", "") + end);
        }
        before = line;
    }
    assert!(!found.is_empty(), "{} has no modules", parent.display());
    found
}

/// The folder of the tool.
fn tool() -> PathBuf {
    repository().join("xtask")
}

/// The names of the tool's crates.
fn crates() -> BTreeSet<String> {
    let entries = fs::read_dir(tool().join("crates")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().display().to_string());
    names.collect()
}

/// The tool's sources, by their path below `xtask/`.
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
    let root = tool();
    let mut paths = Vec::new();
    for folder in ["src", "crates"] {
        gather(&root.join(folder), &mut paths);
    }
    paths.sort();
    let named = paths.into_iter().map(|path| {
        let name = path.strip_prefix(&root).unwrap().display().to_string();
        (name, fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// The crates of the tool that a crate is built on.
fn dependencies(of: &str) -> BTreeSet<String> {
    let path = tool().join("crates").join(of).join("Cargo.toml");
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().skip_while(|line| *line != "[dependencies]");
    let lines = lines.skip(1).take_while(|line| !line.starts_with('['));
    let all: BTreeSet<String> = lines
        .filter_map(|line| line.strip_suffix(".workspace = true"))
        .map(str::to_owned)
        .collect();
    all.intersection(&crates()).cloned().collect()
}

#[test]
fn nothing_below_the_tasks_is_built_on_one() {
    let below = ["core", "worker_files"].map(str::to_owned);
    for one in &below {
        let on = dependencies(one);
        assert!(on.iter().all(|on| below.contains(on)), "{one}: {on:?}");
    }
    for one in crates().iter().filter(|&one| one != "testing") {
        let on = dependencies(one);
        assert!(!on.contains("testing"), "{one} is built on `testing`");
    }
    // Tasks are built on each other.
    assert!(dependencies("cleanup").contains("compare"));
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
fn the_page_names_the_crates_and_the_modules_that_all_share() {
    let [tool, worker] = named();
    let mut there: BTreeSet<String> = crates()
        .into_iter()
        .filter(|name| name != "core")
        .map(|name| format!("crates/{name}/"))
        .collect();
    there.extend(modules("crates/core/src/lib.rs"));
    there.extend(modules("src/lib.rs"));
    there.insert("main.rs".to_owned());
    assert_eq!(tool, there);
    let mut there = BTreeSet::from(["sglang_worker/sglang_flags.json".to_owned()]);
    for folder in ["", "sglang_worker/"] {
        for entry in fs::read_dir(repository().join(folder)).unwrap() {
            let name = entry.unwrap().file_name().display().to_string();
            if let Some(stem) = name.strip_suffix(".py")
                && stem != "__init__"
            {
                there.insert(format!("{folder}{name}"));
            }
        }
    }
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
