//! Project files: pyproject.toml with its lock, Pipfile, setup.py and conda's environment.yml.

use std::collections::BTreeMap;

use super::install::versioned;
use super::toml::{self, TomlEntry};
use super::{Manager, Requirement, listed, normal};
use crate::json::JsonNode;
use crate::{Hides, Reading, Source, Unread, yaml};

/// What a project asks for, from whichever of its files are given.
pub fn project(files: &[&Source]) -> Reading<Vec<Requirement>> {
    let mut packages = Vec::new();
    let mut unread = Vec::new();
    for source in files {
        match source.path.name() {
            b"pyproject.toml" | b"Pipfile" => pyproject(source, &mut packages, &mut unread),
            b"setup.py" => setup_py(source, &mut packages, &mut unread),
            b"setup.cfg" => {
                if let Some(at) = source.text.find("install_requires") {
                    let what = "the packages that setup.cfg asks for are not read";
                    unread.push(source.unread(at..at, what, &[Hides::Packages]));
                }
            }
            _ => {}
        }
    }
    let is_lock = |source: &&&Source| source.path.name().ends_with(b".lock");
    for source in files.iter().filter(is_lock) {
        locked(source, &mut packages);
    }
    Reading::new(packages, unread)
}

fn pyproject(source: &Source, packages: &mut Vec<Requirement>, unread: &mut Vec<Unread>) {
    let (entries, broken) = toml::entries(&source.text);
    for range in broken {
        unread.push(source.unread(range, "this line is no TOML", &[Hides::Packages]));
    }
    // Where packages come from is part of what is asked for.
    let sources = entries
        .iter()
        .filter(|entry| entry.table == "tool.uv.sources");
    let from = |entry: &TomlEntry| (normal(&entry.key), entry.value.replace(' ', ""));
    let sources: BTreeMap<String, String> = sources.map(from).collect();
    let begin = packages.len();
    for entry in &entries {
        let (table, key) = (entry.table.as_str(), entry.key.as_str());
        let (value, range) = (&entry.value, entry.range.clone());
        let in_list = entry.listed
            && matches!(
                (table, key),
                ("project", "dependencies")
                    | ("project.optional-dependencies" | "dependency-groups", _)
                    | ("tool.uv", "dev-dependencies")
            );
        let poetry = table == "tool.poetry.dependencies"
            || source.path.name() == b"Pipfile" && table == "packages"
            || table.starts_with("tool.poetry.group.") && table.ends_with(".dependencies");
        if in_list {
            listed(source, value, range, packages, unread);
        } else if poetry && key != "python" && !entry.listed {
            let spec = if value == "*" { "" } else { value };
            packages.push(Requirement::new(normal(key), spec, source.place(range)));
        } else if is_index(table) && key == "url" {
            let name = format!("--index {value}");
            packages.push(Requirement::new(name, "", source.place(range)));
        } else if table == "project" && key == "dynamic" && value == "dependencies" {
            let what = "the project's dependencies are computed";
            unread.push(source.unread(range, what, &[Hides::Packages]));
        }
    }
    for package in &mut packages[begin..] {
        if let Some(from) = sources.get(&package.name) {
            package.spec += &format!("@{from}");
        }
    }
}

fn is_index(table: &str) -> bool {
    matches!(
        table,
        "tool.uv.index" | "tool.poetry.source" | "tool.pdm.source" | "source"
    )
}

/// A lock file gives the project's own dependencies their versions. Without a project file all of
/// its packages count.
fn locked(source: &Source, packages: &mut Vec<Requirement>) {
    let (entries, _) = toml::entries(&source.text);
    let of_packages = |key: &'static str| -> BTreeMap<usize, &TomlEntry> {
        let entries = entries.iter();
        let found = entries.filter(move |entry| entry.table == "package" && entry.key == key);
        found.map(|entry| (entry.number, entry)).collect()
    };
    let (names, versions) = (of_packages("name"), of_packages("version"));
    let alone = packages.is_empty();
    for (number, entry) in names {
        let name = normal(&entry.value);
        let spec = versions
            .get(&number)
            .map(|version| format!("=={}", version.value));
        if alone {
            let place = source.place(entry.range.clone());
            packages.push(Requirement::new(name, spec.unwrap_or_default(), place));
        } else if let Some(package) = packages.iter_mut().find(|p| p.name == name)
            && let Some(spec) = spec
        {
            package.spec = spec;
        }
    }
}

/// The strings of `install_requires=[…]`.
fn setup_py(source: &Source, packages: &mut Vec<Requirement>, unread: &mut Vec<Unread>) {
    let text = &source.text;
    if let Some(at) = text.find("extras_require") {
        let what = "the packages that extras ask for are not read";
        unread.push(source.unread(at..at, what, &[Hides::Packages]));
    }
    for (at, name) in text.match_indices("install_requires") {
        let rest = text[at + name.len()..].trim_start();
        let Some(rest) = rest.strip_prefix('=') else {
            continue;
        };
        let value = toml::value(text, text.len() - rest.trim_start().len());
        let is_list = value.rest.starts_with('[');
        for (string, range) in value.strings.into_iter().filter(|_| is_list) {
            listed(source, string, range, packages, unread);
        }
        if !is_list || value.rest.contains(|c| !"[],".contains(c)) {
            let what = "the packages that this project needs are computed, or some of them";
            unread.push(source.unread(at..value.end, what, &[Hides::Packages]));
        }
    }
}

/// conda's environment file: its own packages, and pip's.
pub fn environment(source: &Source) -> Reading<Vec<(Manager, Requirement)>> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let root = match yaml::read(source, &[Hides::Packages]) {
        Ok(root) => root,
        Err(fault) => return Reading::new(found, vec![fault]),
    };
    let conda = |(name, spec), node: &JsonNode| {
        let place = source.place(node.span.clone());
        (Manager::Conda, Requirement::new(name, spec, place))
    };
    for node in root.list("channels") {
        let named = |value: &str| (format!("-c {value}"), String::new());
        let channel = node.as_str().map(named);
        found.extend(channel.map(|channel| conda(channel, node)));
    }
    if let Some(first) = root.object("variables").first() {
        let what = "what the environment sets is not read";
        unread.push(source.unread(first.key_span.clone(), what, &[Hides::Variables]));
    }
    for node in root.list("dependencies") {
        let package = node.as_str().and_then(versioned);
        found.extend(package.map(|package| conda(package, node)));
        let mut packages = Vec::new();
        for line in node.list("pip") {
            if let Some(value) = line.as_str() {
                listed(source, value, line.span.clone(), &mut packages, &mut unread);
            }
        }
        found.extend(packages.into_iter().map(|package| (Manager::Pip, package)));
    }
    Reading::new(found, unread)
}
