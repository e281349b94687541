//! Project files: pyproject.toml with its lock, Pipfile, setup.py and conda's environment.yml.

use super::install::versioned;
use super::{Manager, Requirement, add, normal};
use crate::json::{JsonKind, JsonNode, Member};
use crate::python::string_lists;
use crate::{Hides, Reading, Source, Unread, json, toml, yaml};

const PACKAGES: &[Hides] = &[Hides::Packages];

/// What a project asks for, from whichever of its files are given.
pub fn project(files: &[&Source]) -> Reading<Vec<Requirement>> {
    let mut packages = Vec::new();
    let mut unread = Vec::new();
    for source in files {
        match source.path.name() {
            b"pyproject.toml" => pyproject(source, &mut packages, &mut unread),
            b"Pipfile" => {
                let root = toml::read(source, PACKAGES, &mut unread);
                index_urls(source, root.all("source [] url"), &mut packages);
                table(source, root.all("packages"), &mut packages);
            }
            b"setup.py" => setup_py(source, &mut packages, &mut unread),
            b"setup.cfg" => {
                if let Some(at) = source.text.find("install_requires") {
                    let what = "the packages that setup.cfg asks for are not read";
                    unread.push(source.unread(at..at, what, PACKAGES));
                }
            }
            _ => {}
        }
    }
    let is_lock = |source: &&&Source| source.path.name().ends_with(b".lock");
    for source in files.iter().filter(is_lock) {
        locked(source, &mut packages, &mut unread);
    }
    Reading::new(packages, unread)
}

fn pyproject(source: &Source, packages: &mut Vec<Requirement>, unread: &mut Vec<Unread>) {
    let root = toml::read(source, PACKAGES, unread);
    let begin = packages.len();
    let lists = "project dependencies [], project optional-dependencies * [], \
                 dependency-groups * [], tool uv dev-dependencies []";
    for item in root.all(lists) {
        add(source, item, packages, unread);
    }
    for item in root.all("project dynamic []") {
        if item.as_str() == Some("dependencies") {
            let what = "the project's dependencies are computed";
            unread.push(source.unread(item.span.clone(), what, PACKAGES));
        }
    }
    let tables = "tool poetry dependencies, tool poetry group * dependencies";
    table(source, root.all(tables), packages);
    let indexes = "tool uv index [] url, tool poetry source [] url, tool pdm source [] url";
    index_urls(source, root.all(indexes), packages);
    // The origin of a package is part of its specifier.
    for from in root.at("tool").at("uv").object("sources") {
        let name = normal(&from.key);
        let spec = format!("@{}", written(source, &from.value).replace(' ', ""));
        let of_name = |package: &&mut Requirement| package.name == name;
        for package in packages[begin..].iter_mut().filter(of_name) {
            package.spec += &spec;
        }
    }
}

/// The packages that are a table's keys, as poetry and pipenv have them.
fn table(source: &Source, tables: Vec<&JsonNode>, packages: &mut Vec<Requirement>) {
    let members = tables.into_iter().flat_map(JsonNode::members);
    for member in members.filter(|member| member.key != "python") {
        let spec = written(source, &member.value);
        let (name, spec) = (normal(&member.key), if spec == "*" { "" } else { &spec });
        packages.push(Requirement::new(name, spec, member.place(source)));
    }
}

/// A value as it is written; that of a table with a heading as if it stood in one line.
fn written(source: &Source, value: &JsonNode) -> String {
    let text = &source.text[value.span.clone()];
    if let Some(text) = value.as_str() {
        return text.to_owned();
    }
    if value.members().is_empty() || text.starts_with('{') {
        return text.to_owned();
    }
    let members = value.members().iter().map(|Member { key, value, .. }| {
        let quote = if value.as_str().is_some() { "\"" } else { "" };
        format!("{key} = {quote}{}{quote}", written(source, value))
    });
    format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
}

fn index_urls(source: &Source, urls: Vec<&JsonNode>, packages: &mut Vec<Requirement>) {
    for url in urls {
        let name = format!("--index {}", url.as_str().unwrap_or_default());
        packages.push(Requirement::new(name, "", url.place(source)));
    }
}

/// Takes the versions of a lock file. Without a project file all of its packages count.
fn locked(source: &Source, packages: &mut Vec<Requirement>, unread: &mut Vec<Unread>) {
    let mut found: Vec<Requirement> = Vec::new();
    let mut push = |name: &str, spec: String, place| {
        found.push(Requirement::new(normal(name), spec, place));
    };
    if source.path.name() == b"Pipfile.lock" {
        let root = json::parse(source.text.as_bytes()).root;
        for package in root.iter().flat_map(|root| root.object("default")) {
            let version = package.value.text("version").unwrap_or_default();
            push(&package.key, version.to_owned(), package.place(source));
        }
    } else {
        for package in toml::read(source, PACKAGES, unread).list("package") {
            let version = package.text("version");
            let spec = version.map(|version| format!("=={version}"));
            if let Some(name) = package.get("name") {
                let text = name.as_str().unwrap_or_default();
                push(text, spec.unwrap_or_default(), name.place(source));
            }
        }
    }
    if packages.is_empty() {
        packages.append(&mut found);
    }
    for locked in found.into_iter().filter(|locked| !locked.spec.is_empty()) {
        let of_name = |package: &&mut Requirement| package.name == locked.name;
        if let Some(package) = packages.iter_mut().find(of_name) {
            package.spec = locked.spec;
        }
    }
}

/// The strings of `install_requires=[…]`.
fn setup_py(source: &Source, packages: &mut Vec<Requirement>, unread: &mut Vec<Unread>) {
    if let Some(at) = source.text.find("extras_require") {
        let what = "the packages that extras ask for are not read";
        unread.push(source.unread(at..at, what, PACKAGES));
    }
    let lists = string_lists(&source.text, "install_requires");
    let at = source.text.find("install_requires");
    let unseen = at.filter(|_| lists.is_empty()).map(|at| at..at);
    let computed = lists.iter().filter(|list| !list.is_whole);
    for range in computed.map(|list| list.range.clone()).chain(unseen) {
        let what = "the packages that this project needs are computed, or some of them";
        unread.push(source.unread(range, what, PACKAGES));
    }
    for (string, range) in lists.into_iter().flat_map(|list| list.strings) {
        let node = JsonNode::new(range, JsonKind::String(string));
        add(source, &node, packages, unread);
    }
}

/// conda's environment file: packages of conda and of pip.
pub fn environment(source: &Source) -> Reading<Vec<(Manager, Requirement)>> {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let root = yaml::read(source, PACKAGES, &mut unread);
    let conda = |(name, spec): (String, String), node: &JsonNode| {
        let place = node.place(source);
        (Manager::Conda, Requirement { name, spec, place })
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
            add(source, line, &mut packages, &mut unread);
        }
        found.extend(packages.into_iter().map(|package| (Manager::Pip, package)));
    }
    Reading::new(found, unread)
}
