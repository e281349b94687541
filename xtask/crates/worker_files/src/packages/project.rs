//! Project files: pyproject.toml with its lock, Pipfile, setup.py and conda's environment.yml.

use super::install::versioned;
use super::{Manager, Requirement, add, normal};
use crate::json::{JsonKind, JsonNode, Member};
use crate::python::string_lists;
use crate::shell::blank;
use crate::{Hides, Reading, Source, Unread, json, toml, yaml};

const PACKAGES: &[Hides] = &[Hides::Packages];

/// Ends the name of what a lock file holds besides what its project asks for.
pub const OTHERS_LOCKED: &str = "'s other packages";

/// Which of a project's groups of packages are installed.
#[derive(Debug, Default)]
pub struct Chosen {
    /// Whether the groups are installed without the project.
    pub only: bool,
    extras: Vec<String>,
    groups: Vec<String>,
    left_out: Vec<String>,
}

impl Chosen {
    /// Those that a command's options name, with the other options.
    pub fn of(options: &str, extras: &str) -> (Self, String) {
        let mut chosen = Self::default();
        let extras = extras.split(',').filter(|extra| !extra.is_empty());
        chosen.extras.extend(extras.map(normal));
        let mut others = Vec::new();
        let mut words = options.split(' ');
        while let Some(word) = words.next() {
            let names = match word {
                "--extra" | "--all-extras" => &mut chosen.extras,
                "--group" | "--all-groups" => &mut chosen.groups,
                "--no-group" => &mut chosen.left_out,
                "--only-group" => {
                    chosen.only = true;
                    &mut chosen.groups
                }
                other => {
                    others.push(other);
                    continue;
                }
            };
            let name = if word.starts_with("--all") {
                "*"
            } else {
                words.next().unwrap_or_default()
            };
            names.push(normal(name));
        }
        (chosen, others.join(" "))
    }

    fn extra(&self, name: &str) -> bool {
        self.extras
            .iter()
            .any(|one| *one == "*" || one.contains('$') || *one == normal(name))
    }

    /// Whether a group is installed; an optional one has to be named.
    fn group(&self, name: &str, is_optional: bool) -> bool {
        let name = normal(name);
        let is_all = !is_optional && self.groups.iter().any(|one| *one == "*");
        !self.left_out.contains(&name) && (is_all || self.groups.contains(&name))
    }
}

/// What a project asks for, from whichever of its files are given.
pub fn project(files: &[&Source], chosen: &Chosen) -> Reading<Vec<Requirement>> {
    let mut packages = Vec::new();
    let mut unread = Vec::new();
    for source in files {
        match source.path.name() {
            b"pyproject.toml" => pyproject(source, chosen, &mut packages, &mut unread),
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

/// What the extras that are installed ask for.
fn chosen_extras<'j>(root: &'j JsonNode, chosen: &Chosen) -> Vec<&'j JsonNode> {
    let extras = root.at("project").object("optional-dependencies").iter();
    // An extra may name others of its project: `all = ["worker[serve]"]`.
    let name = normal(root.at("project").text("name").unwrap_or_default());
    let named = |text: &str| {
        let (of, others) = text.strip_suffix(']')?.split_once('[')?;
        let others: Vec<String> = others.split(',').map(normal).collect();
        (normal(of) == name).then_some(others)
    };
    let is_chosen = |it: &&json::Member| chosen.extra(&it.key);
    let lists = extras.clone().filter(is_chosen);
    let texts = lists
        .flat_map(|it| it.value.items())
        .filter_map(|it| it.as_str());
    let others: Vec<String> = texts.filter_map(named).flatten().collect();
    let extras = extras.filter(|it| is_chosen(it) || others.contains(&normal(&it.key)));
    extras.flat_map(|it| it.value.items()).collect()
}

/// What the groups that are installed ask for, with the groups that they include.
fn chosen_groups<'j>(root: &'j JsonNode, chosen: &Chosen) -> Vec<&'j JsonNode> {
    let mut items = Vec::new();
    let groups = root.object("dependency-groups");
    let mut open: Vec<&str> = groups.iter().map(|group| &*group.key).collect();
    open.retain(|name| chosen.group(name, false));
    let by_default = root.all("tool uv default-groups []");
    open.extend(by_default.iter().filter_map(|it| it.as_str()));
    let mut known: Vec<&str> = Vec::new();
    while let Some(name) = open.pop() {
        let group = groups
            .iter()
            .find(|group| normal(&group.key) == normal(name));
        if let Some(group) = group.filter(|group| !known.contains(&&*group.key)) {
            known.push(&group.key);
            items.extend(group.value.items());
            open.extend(
                group
                    .value
                    .items()
                    .iter()
                    .filter_map(|it| it.text("include-group")),
            );
        }
    }
    items
}

fn pyproject(
    source: &Source,
    chosen: &Chosen,
    packages: &mut Vec<Requirement>,
    unread: &mut Vec<Unread>,
) {
    let root = toml::read(source, PACKAGES, unread);
    let begin = packages.len();
    let own = if chosen.only {
        ""
    } else {
        "project dependencies []"
    };
    let dev = chosen
        .group("dev", false)
        .then_some("tool uv dev-dependencies []");
    let mut items = root.all(own);
    items.extend(dev.into_iter().flat_map(|lists| root.all(lists)));
    items.extend(chosen_extras(&root, chosen));
    items.extend(chosen_groups(&root, chosen));
    for item in items {
        add(source, item, packages, unread);
    }
    for item in root.all("project dynamic []") {
        if item.as_str() == Some("dependencies") {
            let what = "the project's dependencies are computed";
            unread.push(source.unread(item.span.clone(), what, PACKAGES));
        }
    }
    let poetry = root.at("tool").at("poetry");
    let own = (!chosen.only).then(|| poetry.at("dependencies"));
    let old = chosen
        .group("dev", false)
        .then(|| poetry.at("dev-dependencies"));
    let groups = poetry.object("group").iter();
    let groups = groups.filter(|it| chosen.group(&it.key, it.value.is_true("optional")));
    let groups = groups.map(|group| group.value.at("dependencies"));
    table(
        source,
        own.into_iter().chain(old).chain(groups).collect(),
        packages,
    );
    let indexes = "tool uv index [] url, tool poetry source [] url, tool pdm source [] url";
    index_urls(source, root.all(indexes), packages);
    // What uv asks of packages that others bring.
    for key in ["constraint", "override"] {
        for item in root.all(&format!("tool uv {key}-dependencies []")) {
            let name = format!("--{key} {}", item.as_str().unwrap_or_default());
            packages.push(Requirement::new(name, "", item.place(source)));
        }
    }
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

/// The packages that a program asks for in comments of its own, which `uv run` installs:
/// <https://packaging.python.org/en/latest/specifications/inline-script-metadata/>.
pub fn inline_metadata(source: &Source) -> Option<Reading<Vec<Requirement>>> {
    let begin = source.lines().find(|(_, line)| *line == "# /// script")?.0;
    let mut lines = source.text[begin..].split_inclusive('\n');
    let first = lines.next().unwrap_or_default();
    let mut text = blank(&source.text[..begin]) + &blank(first);
    for line in lines.take_while(|line| line.starts_with('#') && line.trim_end() != "# ///") {
        text.push(' ');
        text += &line[1..];
    }
    let own = Source::new(source.path.clone(), text.as_bytes());
    let (mut packages, mut unread) = (Vec::new(), Vec::new());
    let root = toml::read(&own, PACKAGES, &mut unread);
    for item in root.all("dependencies []") {
        add(&own, item, &mut packages, &mut unread);
    }
    Some(Reading::new(packages, unread))
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
            // The project itself is one of them.
            let from = package.at("source");
            let is_own = ["editable", "virtual"]
                .iter()
                .any(|key| from.get(key).is_some());
            if let Some(name) = package.get("name").filter(|_| !is_own) {
                let text = name.as_str().unwrap_or_default();
                push(text, spec.unwrap_or_default(), name.place(source));
            }
        }
    }
    if packages.is_empty() {
        packages.append(&mut found);
    }
    let is_asked = |name: &str| packages.iter().any(|package| package.name == name);
    let others = found
        .iter()
        .filter(|it| !is_asked(&it.name) && !it.spec.is_empty());
    let mut others: Vec<String> = others.map(|it| format!("{}{}", it.name, it.spec)).collect();
    others.sort();
    if !others.is_empty() {
        let name = format!(
            "{}{OTHERS_LOCKED}",
            String::from_utf8_lossy(source.path.name())
        );
        packages.push(Requirement::new(name, others.join(" "), source.place(0..0)));
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
