//! Project files: pyproject.toml with its lock, Pipfile, setup.py and conda's environment.yml.

use std::collections::BTreeMap;

use super::super::yaml::{Node, Yaml};
use super::super::{Hides, Reading, Source, Unread};
use super::install::versioned;
use super::toml::{self, Entry};
use super::{Manager, Requirement, listed, normal};

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
    for source in files
        .iter()
        .filter(|source| source.path.name().ends_with(b".lock"))
    {
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
    let sources: BTreeMap<String, String> = sources
        .map(|entry| (normal(&entry.key), entry.value.replace(' ', "")))
        .collect();
    let begin = packages.len();
    for entry in &entries {
        let (table, key) = (entry.table.as_str(), entry.key.as_str());
        let (value, range) = (&entry.value, entry.range.clone());
        let in_list = entry.listed
            && (table == "project" && key == "dependencies"
                || table == "project.optional-dependencies"
                || table == "dependency-groups"
                || table == "tool.uv" && key == "dev-dependencies");
        let poetry = table == "tool.poetry.dependencies"
            || source.path.name() == b"Pipfile" && table == "packages"
            || table.starts_with("tool.poetry.group.") && table.ends_with(".dependencies");
        if in_list {
            listed(source, value, range, packages, unread);
        } else if poetry && key != "python" && !entry.listed {
            packages.push(Requirement {
                name: normal(key),
                spec: Some(value)
                    .filter(|value| *value != "*")
                    .cloned()
                    .unwrap_or_default(),
                place: source.place(range),
            });
        } else if is_index(table) && key == "url" {
            packages.push(Requirement {
                name: format!("--index {value}"),
                spec: String::new(),
                place: source.place(range),
            });
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

/// Whether a table says where packages come from.
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
    let of_packages = |key: &'static str| {
        let entries = entries.iter();
        entries.filter(move |entry| entry.table == "package" && entry.key == key)
    };
    let versions: BTreeMap<usize, &str> = of_packages("version")
        .map(|entry| (entry.number, entry.value.as_str()))
        .collect();
    let names: BTreeMap<usize, &Entry> = of_packages("name")
        .map(|entry| (entry.number, entry))
        .collect();
    let alone = packages.is_empty();
    for (number, entry) in names {
        let name = normal(&entry.value);
        let spec = versions.get(&number).map(|version| format!("=={version}"));
        if alone {
            packages.push(Requirement {
                name,
                spec: spec.unwrap_or_default(),
                place: source.place(entry.range.clone()),
            });
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
    let mut unread = Vec::new();
    let yaml = match Yaml::parse(&source.text) {
        Ok(yaml) => yaml,
        Err(fault) => {
            let at = fault.offset..fault.offset;
            unread.push(source.unread(at, format!("not YAML: {}", fault.what), &[Hides::Packages]));
            return Reading::new(Vec::new(), unread);
        }
    };
    let mut found = Vec::new();
    let list = |id: Option<usize>| id.map(|id| yaml.members(id)).unwrap_or_default();
    let root = yaml.root();
    let get = |key: &str| root.and_then(|root| yaml.get(root, key));
    for &item in list(get("channels")) {
        if let Node::Scalar { value, span, .. } = yaml.node(item) {
            let (name, spec) = (format!("-c {value}"), String::new());
            let place = source.place(span.clone());
            found.push((Manager::Conda, Requirement { name, spec, place }));
        }
    }
    if let Some(Node::Mapping(pairs)) = get("variables").map(|id| yaml.node(id)) {
        let at = pairs.first().map_or(0..0, |(key, _)| yaml.span(*key));
        let what = "what the environment sets is not read";
        unread.push(source.unread(at, what, &[Hides::Variables]));
    }
    for &item in list(get("dependencies")) {
        if let Node::Scalar { value, span, .. } = yaml.node(item) {
            if let Some((name, spec)) = versioned(value) {
                let place = source.place(span.clone());
                found.push((Manager::Conda, Requirement { name, spec, place }));
            }
            continue;
        }
        let mut packages = Vec::new();
        for &line in list(yaml.get(item, "pip")) {
            if let Node::Scalar { value, span, .. } = yaml.node(line) {
                listed(source, value, span.clone(), &mut packages, &mut unread);
            }
        }
        found.extend(packages.into_iter().map(|package| (Manager::Pip, package)));
    }
    Reading::new(found, unread)
}
