//! Facts: what a interface says, one by one, each with an id that is the same for every worker.
//!
//! Everything after this speaks of facts only, so that a worker that is long gone and is known
//! from `.xtask/baseline.json` compares like one that is there.

use std::collections::{BTreeMap, BTreeSet};

use super::unread::{self, UnreadFact, in_layout};
use worker_files::dockerfile::Named;
use worker_files::packages::Manager;
use worker_files::python::FlagValue;
use worker_files::{Declared, EnvRead, FlagKind, Place, WorkerInterface, is_inherited};
use xtask_core::secret::masked;
use xtask_core::sglang;
use xtask_core::tree::{RepoPath, Tree};

/// One thing that a worker exposes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fact {
    /// What is known of it: `default`, `flag`, `value`, … Empty values are left out.
    pub value: BTreeMap<String, String>,
    /// Where it was read.
    pub places: Vec<Place>,
}

impl Fact {
    /// A value that was read nowhere.
    pub fn of_value(value: &impl ToString) -> Self {
        Self {
            value: BTreeMap::from([("value".to_owned(), value.to_string())]),
            places: Vec::new(),
        }
    }

    /// What of it is judged.
    pub fn judged(&self) -> impl Iterator<Item = (&String, &String)> {
        let value = self.value.iter();
        value.filter(|(key, _)| !WORDING.contains(&key.as_str()))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.value.get(key).map(String::as_str)
    }
}

/// Attributes that are wording: told, but a change of them is no change of the worker.
pub const WORDING: [&str; 4] = ["title", "description", "label", "target"];

/// What a flag has as its value that stands alone.
pub const ALONE: &str = "on";

/// Of a folder that is one fact: the names of the files in it, a line each.
pub const FILES: &str = "files";

/// Facts by id, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    pub all: BTreeMap<String, Fact>,
    /// What was not understood, and may hold more of them.
    pub unread: Vec<UnreadFact>,
    /// Whether an older reader made them, which saw less.
    pub is_older: bool,
    /// The release of `SGLang` that the worker runs, where that is known.
    pub sglang: Option<String>,
}

impl Facts {
    /// Reads a tree.
    pub fn read(tree: &dyn Tree) -> anyhow::Result<Self> {
        let (interface, unread) = WorkerInterface::read(tree)?.split();
        Ok(Self {
            unread: unread::of(unread, tree)?,
            ..Self::of(&interface, tree)
        })
    }

    pub fn get(&self, id: &str) -> Option<&Fact> {
        self.all.get(id)
    }

    /// Adds what another record knows from files that `tree`, which these facts were read from,
    /// doesn't hold.
    pub fn complete(&mut self, record: Self, tree: &dyn Tree) {
        let holds = |fact: &Fact| {
            let mut files = fact.places.iter().map(|place| &place.file);
            files.any(|file| tree.entries().contains_key(file))
        };
        for (id, fact) in record.all {
            if !holds(&fact) {
                self.all.entry(id).or_insert(fact);
            }
        }
        self.sglang = self.sglang.take().or(record.sglang);
    }

    /// The same as the first reader would have told them: without the attributes it had no eyes
    /// for, so that a record of that time makes no false "changed".
    #[must_use]
    pub fn as_first_read(&self) -> Self {
        const LATER: [&str; 11] = [
            "undefaulted",
            "set",
            "required",
            "interpreted",
            "fallbacks",
            "reached",
            "index",
            "min",
            "max",
            "true",
            "false",
        ];
        let mut facts = self.clone();
        for (id, fact) in &mut facts.all {
            let is_input = id.starts_with("input:");
            fact.value
                .retain(|key, _| !(LATER.contains(&key.as_str()) || is_input && key == "default"));
        }
        facts
    }

    /// The facts of an area with the rest of their ids.
    pub fn area<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Fact)> {
        self.all
            .iter()
            .filter_map(move |(id, fact)| Some((id.strip_prefix(prefix)?.strip_prefix(':')?, fact)))
    }

    /// The facts of a interface; the tree tells what a copied folder holds.
    pub fn of(interface: &WorkerInterface, tree: &dyn Tree) -> Self {
        let mut facts = Self {
            sglang: interface.sglang().map(|(version, _)| version),
            ..Self::default()
        };
        facts.sglang = facts
            .sglang
            .or_else(|| interface.flag_table.as_ref()?.version.clone());
        facts.running(interface);
        facts.flags(interface);
        facts.python(interface);
        facts.image(interface, tree);
        facts.build(interface);
        facts.hub(interface);
        facts
    }

    /// Adds to a fact: places pile up, the first value of an attribute stays. Facts are recorded and
    /// shown, so they hold no secret.
    fn add(&mut self, id: impl AsRef<str>, place: &Place, value: &[(&str, Option<&str>)]) {
        const MOST_PLACES: usize = 8;
        let id = masked(id.as_ref()).into_owned();
        let fact = self.all.entry(id).or_default();
        if fact.places.len() < MOST_PLACES && !fact.places.contains(place) {
            fact.places.push(place.clone());
        }
        for (key, value) in value {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                let entry = fact.value.entry((*key).to_owned());
                entry.or_insert_with(|| masked(value).into_owned());
            }
        }
    }

    /// Adds a fact that is one value.
    fn add_value(&mut self, id: impl AsRef<str>, place: &Place, value: &str) {
        self.add(id, place, &[("value", Some(value))]);
    }

    /// Adds a fact for each name, with its value.
    fn add_named(&mut self, prefix: &str, all: &[Named]) {
        for Named { name, value, place } in all {
            self.add_value(format!("{prefix}{name}"), place, value);
        }
    }

    fn running(&mut self, interface: &WorkerInterface) {
        let mut variables: BTreeMap<&str, Vec<&EnvRead>> = BTreeMap::new();
        for read in &interface.env {
            variables.entry(&read.name).or_default().push(read);
        }
        for (name, reads) in variables {
            self.variable(interface, name, &reads);
        }
        // What the server inherits of the worker is as if the image set it.
        let assigned = &interface.python.assigned;
        let own = |name: &String| interface.env.iter().any(|read| read.name == *name);
        let outside = |(name, ..): &&(String, _, _)| is_inherited(name) || !own(name);
        let assigned = assigned.iter().filter(outside);
        for (name, value, place) in assigned.chain(&interface.exports) {
            self.add_value(format!("image:{name}"), place, value);
        }
        for requested in &interface.python.routes {
            let id = format!("route:{}", requested.route);
            self.add(id.clone(), &requested.place, &[]);
            if let Some(fact) = self.all.get_mut(&id) {
                let methods = fact.value.entry("method".to_owned()).or_default();
                let mut known: Vec<&str> = methods.split_whitespace().collect();
                if !known.contains(&requested.method.as_str()) {
                    known.push(&requested.method);
                    known.sort_unstable();
                    *methods = known.join(" ");
                }
            }
        }
        for input in &interface.python.inputs {
            let needed = input.needed.then_some("yes");
            let set: Vec<&str> = input.set.iter().map(String::as_str).collect();
            self.add(
                format!("input:{}", input.path),
                &input.place,
                &[
                    ("needed", needed),
                    ("default", input.default.as_deref()),
                    ("set", Some(&*set.join(" | "))),
                ],
            );
        }
        for setting in &interface.python.serverless {
            let id = format!("serverless:{}", setting.name);
            // The name of a function is the worker's own business.
            let key = if setting.is_constant {
                "value"
            } else {
                "label"
            };
            self.add(id, &setting.place, &[(key, Some(&setting.value))]);
        }
    }

    /// A variable, with what all of its reads say of it. Only code that runs has a say, where any
    /// does.
    fn variable(&mut self, interface: &WorkerInterface, name: &str, reads: &[&EnvRead]) {
        let reached = reads.iter().any(|read| read.reached);
        let reads: Vec<&EnvRead> = reads
            .iter()
            .filter(|r| r.reached == reached)
            .copied()
            .collect();
        let drive = reads.iter().find_map(|read| read.drives.as_ref());
        let flag = drive.map(|drive| drive.flag.as_str());
        let (how, words) = match drive.map(|drive| &drive.how) {
            None => (None, String::new()),
            Some(FlagKind::Value) => (Some("value"), String::new()),
            Some(FlagKind::Switch { words }) => (Some("switch"), words.join(" ")),
        };
        // The worker's own fixed value for a flag is what holds when the variable is unset.
        let fixed = || {
            let mut given = interface.python.flags.iter().filter(|given| given.runs);
            given.find_map(|given| match &given.value {
                FlagValue::Fixed(value)
                    if Some(given.flag.as_str()) == flag && given.from.is_empty() =>
                {
                    Some(value.clone())
                }
                _ => None,
            })
        };
        let all = |one: &dyn Fn(&EnvRead) -> Option<String>| -> Option<String> {
            let all: BTreeSet<String> = reads.iter().filter_map(|read| one(read)).collect();
            let all: Vec<String> = all.into_iter().collect();
            (!all.is_empty()).then(|| all.join(" | "))
        };
        let default = all(&|read| read.default.clone()).or_else(fixed);
        let interpreted = all(&|read| read.interpreted.clone());
        let fallbacks = all(&|read| (!read.fallbacks.is_empty()).then(|| read.fallbacks.join(" ")));
        // Elsewhere it is read without one, and not to ask if it is there.
        let is_bare = |read: &EnvRead| {
            let asks = ["truthy", "not truthy"];
            let how = read.interpreted.as_deref();
            read.default.is_none() && !read.asked && how.is_none_or(|how| !asks.contains(&how))
        };
        let is_bare = default.is_some() && reads.iter().any(|read| is_bare(read));
        let by_table = reads.iter().any(|read| read.by_table);
        let required = reads.iter().any(|read| read.required);
        let value = [
            ("flag", flag),
            ("how", how),
            ("on", Some(words.as_str())),
            ("by", by_table.then_some("table")),
            ("default", default.as_deref()),
            ("undefaulted", is_bare.then_some("yes")),
            ("required", required.then_some("yes")),
            ("interpreted", interpreted.as_deref()),
            ("fallbacks", fallbacks.as_deref()),
            ("reached", (!reached).then_some("no")),
        ];
        for read in &reads {
            self.add(format!("env:{name}"), &read.place, &value);
        }
    }

    fn flags(&mut self, interface: &WorkerInterface) {
        for given in interface.python.flags.iter().filter(|given| given.runs) {
            let from: Vec<&str> = given.from.iter().map(|(name, _)| name.as_str()).collect();
            let (value, from) = match &given.value {
                FlagValue::Fixed(value) => (Some(value.as_str()), from.join(" ")),
                FlagValue::Alone if from.is_empty() => (Some(ALONE), String::new()),
                _ => (None, from.join(" ")),
            };
            // A value that variables only let through is not that of those variables.
            let through = value.filter(|_| !from.is_empty());
            // What no variable decides on and no text says.
            let is_computed = given.value == FlagValue::Computed && from.is_empty();
            let value = [
                ("value", value),
                ("from", Some(&*from)),
                ("through", through),
                ("computed", is_computed.then_some("yes")),
            ];
            self.add(format!("flag:{}", given.flag), &given.place, &value);
        }
        for read in &interface.env {
            if let Some(drive) = &read.drives {
                let id = format!("flag:{}", drive.flag);
                self.add(id, &read.place, &[("from", Some(&read.name))]);
            }
        }
    }

    fn python(&mut self, interface: &WorkerInterface) {
        for path in interface.sources.keys() {
            if path.name() == b"__init__.py"
                && let Some(package) = path.parent()
            {
                let kind = [("kind", Some("package"))];
                self.add(format!("python:{package}"), &Place::start_of(path), &kind);
            }
        }
        for item in &interface.python.api {
            let plain = format!("python:{}", item.name);
            let taken = self
                .all
                .get(&plain)
                .is_some_and(|fact| fact.get("module") != Some(&item.module));
            let id = if taken {
                format!("python:{}.{}", item.module, item.name)
            } else {
                plain
            };
            self.add(
                id,
                &item.place,
                &[
                    ("kind", Some(item.kind.word())),
                    ("signature", Some(&item.signature)),
                    ("module", Some(&item.module)),
                ],
            );
        }
    }

    fn image(&mut self, interface: &WorkerInterface, tree: &dyn Tree) {
        let Some(image) = &interface.image else {
            return;
        };
        if let Some(base) = &image.base {
            self.add_value("image:FROM", &base.place, &base.text);
            let versions = [("sglang", image.sglang()), ("cuda", image.cuda())];
            for (name, version) in versions {
                if let Some(version) = version {
                    self.add_value(format!("image:{name}"), &base.place, &version);
                }
            }
        }
        if !self.all.contains_key("image:sglang")
            && let Some((version, place)) = interface.sglang()
        {
            self.add_value("image:sglang", &place, &version);
        }
        for (kind, named) in [("image", &image.env), ("arg", &image.args)] {
            for Named { name, value, place } in named {
                self.add_value(format!("{kind}:{name}"), place, &braces(value));
            }
        }
        let single = [
            ("WORKDIR", &image.workdir),
            ("USER", &image.user),
            ("ENTRYPOINT", &image.entrypoint),
            ("CMD", &image.cmd),
            ("HEALTHCHECK", &image.healthcheck),
            ("STOPSIGNAL", &image.stopsignal),
            ("SHELL", &image.shell),
        ];
        for (name, text) in single {
            if let Some(text) = text {
                self.add_value(format!("image:{name}"), &text.place, &text.text);
            }
        }
        self.add_named("image:LABEL.", &image.labels);
        for (name, many) in [("EXPOSE", &image.expose), ("VOLUME", &image.volumes)] {
            for text in many {
                self.add(format!("image:{name}.{}", text.text), &text.place, &[]);
            }
        }
        for mount in &image.mounts {
            let id = match mount.kind.as_str() {
                "cache" => "mount:cache".to_owned(),
                kind => format!("mount:{kind}.{}", mount.name),
            };
            self.add(id, &mount.place, &[("target", Some(&mount.name))]);
        }
        for copy in image.copies.iter().filter(|copy| copy.from.is_none()) {
            for source in &copy.sources {
                for (name, files) in held(tree, source, interface.held.as_ref()) {
                    let files = (!files.is_empty()).then(|| files.join("\n"));
                    self.add(
                        format!("copy:{name}"),
                        &copy.place,
                        &[("target", Some(&copy.dest)), (FILES, files.as_deref())],
                    );
                }
            }
        }
        for (name, place) in &interface.build_reads {
            let declared = [format!("arg:{name}"), format!("image:{name}")];
            if let Some(id) = declared.iter().find(|id| self.all.contains_key(*id)) {
                self.add(id.clone(), place, &[]);
            }
        }
    }

    fn build(&mut self, interface: &WorkerInterface) {
        // What one place installs is installed, whatever other places there are.
        let installed: BTreeSet<(Manager, &str)> = interface
            .packages
            .iter()
            .filter(|package| package.in_image)
            .map(|package| (package.manager, package.name.as_str()))
            .collect();
        for package in &interface.packages {
            let is_installed = installed.contains(&(package.manager, &*package.name));
            if is_installed && !package.in_image {
                continue;
            }
            let unused = (!is_installed).then_some("nothing runs it");
            self.add(
                format!("{}:{}", package.manager.word(), package.name),
                &package.place,
                &[
                    ("spec", Some(&package.spec)),
                    ("index", package.index.as_deref()),
                    ("unused", unused),
                ],
            );
        }
        let in_image = interface.image.iter().flat_map(|image| &image.steps);
        for step in in_image.chain(&interface.steps) {
            let name: String = masked(&step.commands[0]).chars().take(80).collect();
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            let id = format!("step:{name}");
            self.add(id.clone(), &step.place, &[]);
            // Two RUN lines may begin with the same command.
            let fact = self.all.entry(id).or_default();
            let known = fact.value.entry("commands".to_owned()).or_default();
            for command in &step.commands {
                let command = masked(command).replace('\n', " ");
                if known.is_empty() {
                    *known = command;
                } else if !known.lines().any(|line| line == command) {
                    *known += &format!("\n{command}");
                }
            }
        }
        for service in &interface.compose {
            let id = format!("compose:{}", service.name);
            self.add(
                id.clone(),
                &service.place,
                &[
                    ("image", service.image.as_deref()),
                    ("command", service.command.as_deref()),
                    ("ports", Some(&service.ports.join(" "))),
                    ("volumes", Some(&service.volumes.join(" "))),
                    ("settings", Some(&service.settings.join("\n"))),
                ],
            );
            self.add_named(&format!("{id}."), &service.environment);
        }
        let Some(bake) = &interface.bake else {
            return;
        };
        for Named { name, value, place } in &bake.variables {
            let default = [("default", Some(value.as_str()))];
            self.add(format!("bake:variable.{name}"), place, &default);
        }
        self.add_named("bake:group.", &bake.groups);
        for target in &bake.targets {
            let id = format!("bake:{}", target.name);
            let settings: Vec<_> = target
                .settings
                .iter()
                .map(|s| (s.name.as_str(), Some(s.value.as_str())))
                .collect();
            self.add(id.clone(), &target.place, &settings);
            self.add_named(&format!("{id}.args."), &target.args);
        }
    }

    fn hub(&mut self, interface: &WorkerInterface) {
        let form = interface.form.as_ref().filter(|_| interface.hub.is_none());
        let declared = interface
            .hub
            .iter()
            .flat_map(|hub| &hub.env)
            .chain(form.iter().flat_map(|form| &form.env));
        for declared in declared {
            self.declared(declared);
        }
        if let Some(form) = form {
            for (title, variables) in &form.categories {
                let id = format!("hub:category.{}", title.text);
                let variables = variables.join(" ");
                self.add(id, &title.place, &[("variables", Some(&variables))]);
            }
            if let Some(image) = &form.image {
                self.add_value("hub:imageName", &image.place, &image.text);
            }
            if let Some(cuda) = &form.cuda {
                self.add("hub:cuda", &cuda.place, &[("from", Some(&cuda.text))]);
            }
        }
        if let Some(hub) = &interface.hub {
            self.cuda("hub:cuda", &hub.cuda);
            for preset in &hub.presets {
                let values: Vec<String> = preset
                    .defaults
                    .iter()
                    .map(|(name, value, _)| format!("{name}={value}"))
                    .collect();
                let id = format!("hub:preset.{}", preset.name);
                self.add(id, &preset.place, &[("defaults", Some(&values.join(" ")))]);
            }
            for (name, text) in &hub.settings {
                if name.starts_with("config.") || name == "type" || name == "endpointType" {
                    self.add_value(format!("hub:{name}"), &text.place, &text.text);
                }
            }
        }
        if let Some(tests) = &interface.tests {
            self.cuda("tests:cuda", &tests.cuda);
            self.add_named("tests:", &tests.env);
            if let Some(gpu) = &tests.gpu_type {
                self.add_value("tests:config.gpuTypeId", &gpu.place, &gpu.text);
            }
            for test in &tests.tests {
                let input = test.input_text.as_deref().and_then(|text| {
                    let value: serde_json::Value = serde_json::from_str(text).ok()?;
                    Some(value.to_string())
                });
                let input = [("input", input.as_deref())];
                self.add(format!("tests:test.{}", test.name), &test.place, &input);
            }
        }
        for documented in &interface.readme {
            let id = format!("readme:{}", documented.name);
            let default = [("default", documented.default.as_deref())];
            self.add(id, &documented.place, &default);
        }
    }

    fn cuda(&mut self, id: &str, versions: &[worker_files::dockerfile::Text]) {
        let lowest = versions
            .iter()
            .min_by(|a, b| sglang::order(&a.text, &b.text));
        if let Some(lowest) = lowest {
            let all: Vec<&str> = versions.iter().map(|v| v.text.as_str()).collect();
            let list = all.join(" ");
            let value = [("from", Some(&*lowest.text)), ("list", Some(&list))];
            self.add(id, &lowest.place, &value);
        }
    }

    fn declared(&mut self, declared: &Declared) {
        let id = format!("hub:{}", declared.name);
        let place = &declared.place;
        let required = declared.required.then_some("yes");
        // What the Hub sets where a switch does not say it.
        let switch = |value: &Option<String>, word: &str| {
            let is_listing = place.file.name() == b"hub.json";
            let implied = is_listing && declared.kind.as_deref() == Some("boolean");
            value.clone().or(implied.then(|| word.to_owned()))
        };
        let on = switch(&declared.true_value, "true");
        let off = switch(&declared.false_value, "false");
        self.add(
            id.clone(),
            place,
            &[
                ("type", declared.kind.as_deref()),
                ("required", required),
                ("fixed", declared.fixed.as_deref()),
                ("min", declared.min.as_deref()),
                ("max", declared.max.as_deref()),
                ("true", on.as_deref()),
                ("false", off.as_deref()),
                ("title", declared.title.as_deref()),
                ("description", declared.description.as_deref()),
            ],
        );
        if let Some(default) = &declared.default {
            let place = declared.default_place.as_ref().unwrap_or(place);
            self.add_value(format!("{id}.default"), place, default);
        }
        if let Some((_, place)) = declared.options.first() {
            let options: Vec<&str> = declared.options.iter().map(|(v, _)| v.as_str()).collect();
            let options = options.join("\n");
            self.add(
                format!("{id}.options"),
                place,
                &[("values", Some(&options))],
            );
        }
    }
}

/// Whether git's name of the content is that of no content.
fn is_empty_blob(entry: &xtask_core::tree::Entry) -> bool {
    let empty = [
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    ];
    entry
        .oid
        .as_ref()
        .is_some_and(|oid| empty.contains(&oid.0.as_str()))
}

/// The files that a COPY takes, by the name that both layouts know them by: `handler.py` for
/// `src/handler.py`. A folder of many files comes with their names. Empty files hold nothing that
/// could be lost.
fn held(
    tree: &dyn Tree,
    source: &str,
    kept: Option<&BTreeSet<RepoPath>>,
) -> Vec<(String, Vec<String>)> {
    /// A folder with more files than that is one fact: it is data, and nobody reads on.
    const MANY: usize = 50;
    let source = source.trim_start_matches("./").trim_end_matches('/');
    let source = if source == "." { "" } else { source };
    let files = tree.entries().iter().filter(|(path, entry)| {
        let inside = source.is_empty() || path.is_within(source);
        let is_kept = kept.is_none_or(|kept| kept.contains(*path));
        inside && is_kept && entry.size != Some(0) && !is_empty_blob(entry) && entry.mode.is_file()
    });
    let mut folders: BTreeMap<&[u8], Vec<&RepoPath>> = BTreeMap::new();
    for (path, _) in files {
        let bytes = path.as_bytes();
        let folder = &bytes[..bytes.len() - path.name().len()];
        if !source.is_empty() || folder.is_empty() {
            folders.entry(folder).or_default().push(path);
        }
    }
    let mut held = Vec::new();
    for (folder, files) in folders {
        if files.len() <= MANY {
            let names = files.iter().map(|path| in_layout(&path.to_string()));
            held.extend(names.map(|name| (name, Vec::new())));
            continue;
        }
        let names = files.iter().map(|path| RepoPath::new(path.name()));
        let names = names.map(|name| name.to_string()).collect();
        held.push((in_layout(&RepoPath::new(folder).to_string()), names));
    }
    held
}

/// Characters of a value that a line shows.
const LONGEST_VALUE: usize = 160;

/// A fact's value in one line: `--model-path, default 0.0.0.0`.
pub fn value(fact: &Fact) -> String {
    let mut parts = Vec::new();
    for (key, value) in &fact.value {
        let value = value.replace('\n', ", ");
        match key.as_str() {
            "title" | "description" | "on" | "module" | "kind" => {}
            "value" | "flag" | "spec" | "signature" | "values" | "target" => parts.insert(0, value),
            "how" if value == "value" => {}
            _ => parts.push(format!("{key} {value}")),
        }
    }
    let line = parts.join(", ");
    match line.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// `${NAME}` as `$NAME`, so that both spellings are one value.
fn braces(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        rest = &rest[at + 2..];
        let end = rest.find('}').unwrap_or(rest.len());
        let inside = &rest[..end];
        let plain = inside
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_');
        if plain {
            out.push('$');
            out.push_str(inside);
        } else {
            out.push_str("${");
            out.push_str(inside);
            out.push('}');
        }
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}
