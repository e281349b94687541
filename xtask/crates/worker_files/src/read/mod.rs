//! From a tree to a worker's interface: which files count, and how their facts fit together.

mod configurations;
mod exports;
mod files;
mod installs;
mod lines;
mod places;
mod programs;
mod run;
mod script_flags;
mod started;
mod table;
mod writes;

use std::collections::{BTreeMap, BTreeSet};

pub use files::is_aside;

use anyhow::Result;

use super::copied::Copied;
use super::dockerfile::{self, Copy, Run, Step};
use super::glob::{clean, head, is_pattern};
use super::ignore::Ignore;
use super::packages::Manager;
use super::python::{FlagGiven, FlagValue};
use super::{
    EnvRead, FlagKind, FlagMapping, Hides, Package, Place, Reading, Source, Unread,
    WorkerInterface, bake, compose, hub, packages, python, readme, shell, source, tests_json,
    worker_config, yaml,
};
use xtask_core::tree::{RepoPath, Tree};

const COMPOSE: [&str; 5] = [
    "docker-compose.yml",
    "docker-compose.yaml",
    "compose.yml",
    "compose.yaml",
    ".runpod/docker-compose.yml",
];

impl WorkerInterface {
    /// Reads everything a worker exposes from a tree.
    pub fn read(tree: &dyn Tree) -> Result<Reading<Self>> {
        let mut reader = Reader {
            tree,
            interface: Self::default(),
            unread: Vec::new(),
            copied: None,
            roots: BTreeSet::new(),
            starts_python: false,
            starts_script: false,
            starts_other: false,
            absent: Vec::new(),
            called: BTreeSet::new(),
            jobs: Vec::new(),
            names: BTreeMap::new(),
            inline: Vec::new(),
            listed_files: BTreeSet::new(),
            included: BTreeSet::new(),
            mentions: BTreeSet::new(),
            drives: BTreeMap::new(),
            first: BTreeSet::new(),
            opened: BTreeSet::new(),
            writes: Vec::new(),
        };
        reader.read_declarations()?;
        reader.read_image()?;
        reader.open_sources()?;
        reader.find_programs()?;
        reader.follow_scripts()?;
        reader.read_python()?;
        reader.read_other_packages()?;
        reader.flag_table();
        reader.follow_copies();
        reader.note_misplaced_in_python();
        reader.tell_written();
        let Reader {
            mut interface,
            mut unread,
            ..
        } = reader;
        interface.drop_defaults();
        interface.env.sort();
        interface.env.dedup();
        unread.sort();
        unread.dedup();
        Ok(Reading::new(interface, unread))
    }
}

pub struct Reader<'t> {
    tree: &'t dyn Tree,
    interface: WorkerInterface,
    unread: Vec<Unread>,
    /// The files that the image holds; without a Dockerfile, any.
    copied: Option<Copied>,
    /// Python files that something starts.
    roots: BTreeSet<RepoPath>,
    /// Python functions that commands of an installed project call.
    called: BTreeSet<String>,
    /// Whether a Python file of the worker runs at the start, or a script, or another program, from
    /// which more of the worker's files may be started.
    starts_python: bool,
    starts_script: bool,
    starts_other: bool,
    /// Python programs that start and are not in the repository, though other modules are.
    absent: Vec<Unread>,
    jobs: Vec<run::Job>,
    /// The files of the tree by their names.
    names: BTreeMap<Vec<u8>, Vec<RepoPath>>,
    /// Python programs inside scripts.
    inline: Vec<Source>,
    /// Files whose packages were taken, and those of the install that is being read.
    listed_files: BTreeSet<RepoPath>,
    included: BTreeSet<RepoPath>,
    /// What the variables of all scripts that run drive.
    drives: BTreeMap<String, crate::FlagMapping>,
    /// The scripts that the image itself starts.
    first: BTreeSet<RepoPath>,
    /// The files that something asked for, and the steps that write files, told where nothing did.
    opened: BTreeSet<RepoPath>,
    writes: Vec<(RepoPath, Step)>,
    /// Files that the Python names in quotes.
    mentions: BTreeSet<RepoPath>,
}

impl Reader<'_> {
    fn is_file(&self, path: &RepoPath) -> bool {
        let entry = self.tree.entries().get(path);
        entry.is_some_and(|entry| entry.mode.is_file())
    }

    /// Reads a file of the tree; false if it is missing or too large.
    fn open(&mut self, path: &RepoPath) -> Result<bool> {
        if self.interface.sources.contains_key(path) {
            self.opened.insert(path.clone());
            return Ok(true);
        }
        if !self.is_file(path) {
            return Ok(false);
        }
        let size = self.tree.entries()[path].size.unwrap_or_default();
        let is_small = size <= source::LARGEST as u64;
        let bytes = is_small.then(|| self.tree.read(path)).transpose()?;
        let bytes = bytes.unwrap_or_default();
        let size = size.max(bytes.len() as u64);
        if size > source::LARGEST as u64 {
            let what = format!("not read: {size} bytes are more than any source file has");
            self.unread.push(Unread::new(what, Place::start_of(path)));
            return Ok(false);
        }
        let source = Source::new(path.clone(), &bytes);
        self.unread.extend(source.trouble());
        self.interface.sources.insert(path.clone(), source);
        Ok(true)
    }

    fn source(&mut self, path: &RepoPath) -> Result<Option<Source>> {
        let is_open = self.open(path)?;
        let source = self.interface.sources.get(path);
        Ok(source.filter(|_| is_open).cloned())
    }

    /// Notes that a file as a whole was not understood.
    fn file_not_read(&mut self, file: &RepoPath, what: impl Into<String>, hides: &[Hides]) {
        let unread = Unread::new(what, Place::start_of(file));
        self.unread.push(unread.hiding(hides));
    }

    fn first(&mut self, names: &[&str]) -> Result<Option<Source>> {
        for name in names {
            if let Some(source) = self.source(&RepoPath::from(*name))? {
                return Ok(Some(source));
            }
        }
        Ok(None)
    }

    fn read_declarations(&mut self) -> Result<()> {
        let read = |source: &Source| bake::read(source, &|_| None);
        let bake = self.parsed(&[bake::FILE], read)?;
        for name in bake::OTHERS {
            if self.is_file(&name.into()) {
                let what = "not read: what bake takes of it";
                self.file_not_read(&name.into(), what, &[Hides::Settings, Hides::Image]);
            }
        }
        self.interface.bake = bake.map(|bake| bake.collect_unread(&mut self.unread));
        let first = self.first(&COMPOSE)?;
        let first = first.map_or_else(|| self.other_compose(), |it| Ok(Some(it)))?;
        if let Some(source) = first {
            self.interface.compose = compose::read(&source).collect_unread(&mut self.unread);
            for other in self
                .compose_files()
                .filter(|path| *path != source.path)
                .collect::<Vec<_>>()
            {
                let what = "not read: it changes the services of the file beside it, or has others";
                self.file_not_read(&other, what, &[Hides::Variables, Hides::Image]);
            }
            self.read_environment_files(&source.path)?;
        }
        // `.runpod/` takes precedence over the root.
        self.interface.hub = self.parsed(&[".runpod/hub.json", "hub.json"], hub::read)?;
        self.interface.tests = self.parsed(&[".runpod/tests.json"], tests_json::read)?;
        self.interface.form = self.parsed(&["worker-config.json"], worker_config::read)?;
        if let Some(source) = self.first(&["README.md", ".runpod/README.md"])? {
            let mut known = readme::read(&source);
            for page in readme::pages(&source) {
                let page = self.first(&[page.as_str()])?;
                for documented in page.iter().flat_map(readme::read_page) {
                    if known.iter().all(|other| other.name != documented.name) {
                        known.push(documented);
                    }
                }
            }
            self.interface.readme = known;
        }
        Ok(())
    }

    /// The compose files at the root, whatever they are called: `docker-compose.gpu.yml`.
    fn compose_files(&self) -> impl Iterator<Item = RepoPath> {
        let names = self.tree.entries().keys().filter(|path| {
            let name = String::from_utf8_lossy(path.name());
            let stem = name.strip_suffix(".yml").or(name.strip_suffix(".yaml"));
            let is_one = |stem: &str| stem.split(['.', '-', '_']).any(|part| part == "compose");
            path.parts().count() == 1 && stem.is_some_and(is_one)
        });
        names.cloned()
    }

    /// The only compose file, where none has a name that compose looks for.
    fn other_compose(&mut self) -> Result<Option<Source>> {
        let all: Vec<RepoPath> = self.compose_files().take(2).collect();
        match all.as_slice() {
            [only] => self.source(only),
            _ => Ok(None),
        }
    }

    /// What the first of these files holds.
    fn parsed<T>(
        &mut self,
        names: &[&str],
        read: impl Fn(&Source) -> Result<T, Unread>,
    ) -> Result<Option<T>> {
        let found = self.first(names)?.map(|source| read(&source)).transpose();
        Ok(found.unwrap_or_else(|unread| {
            self.unread.push(unread);
            None
        }))
    }

    fn read_environment_files(&mut self, compose: &RepoPath) -> Result<()> {
        let folder = folder_of(compose);
        let beside = format!("{folder}/.env");
        let given = self.tree.read_file(beside.trim_start_matches('/'))?;
        let given = given.map(|bytes| compose::env_file(&Source::new(".env".into(), &bytes)));
        let given = given.into_iter().flatten().map(|it| (it.name, it.value));
        let given: BTreeMap<String, String> = given.collect();
        for service in &mut self.interface.compose {
            for named in &mut service.environment {
                let used = shell::variables(&named.value);
                if !used.is_empty() && used.iter().all(|(name, _)| given.contains_key(name)) {
                    named.value = dockerfile::expand(&named.value, &given);
                }
            }
            // The last one wins.
            for name in service.env_files.iter().rev() {
                let name = name.trim_start_matches("./");
                let beside = format!("{folder}/{name}");
                let mut found = None;
                for path in [beside.trim_start_matches('/'), name] {
                    if found.is_none() {
                        let bytes = self.tree.read_file(path)?;
                        let bytes = bytes.filter(|bytes| bytes.len() <= source::LARGEST);
                        found = bytes.map(|bytes| Source::new(path.into(), &bytes));
                    }
                }
                let Some(source) = found else {
                    let setting = format!("{}{name}", compose::ENV_FILE);
                    service.settings.push(setting);
                    continue;
                };
                // What `environment` sets wins.
                let set = service.environment.iter().map(|named| named.name.clone());
                let set: BTreeSet<String> = set.collect();
                let more = compose::env_file(&source).into_iter();
                let more = more.filter(|named| !set.contains(&named.name));
                service.environment.extend(more);
            }
        }
        Ok(())
    }

    fn read_image(&mut self) -> Result<()> {
        let found = files::dockerfiles(self.tree, &self.interface)?;
        for other in files::other_dockerfiles(self.tree) {
            if !found.contains(&other) {
                self.file_not_read(&other, super::NOT_BUILT, &[Hides::Image, Hides::Packages]);
            }
        }
        let Some((first, others)) = found.split_first() else {
            return Ok(());
        };
        let Some(source) = self.source(first)? else {
            return Ok(());
        };
        for other in others {
            let what = format!("not read: the image is built from {first}");
            self.file_not_read(other, what, &[Hides::Image, Hides::Packages]);
        }
        let mut image = dockerfile::read(&source).collect_unread(&mut self.unread);
        let ignore = match self.tree.read_file(&format!("{first}.dockerignore"))? {
            Some(bytes) => Some(bytes),
            None => self.tree.read_file(".dockerignore")?,
        };
        let ignore = Ignore::read(&ignore.unwrap_or_default());
        let mut copied = Copied::new(self.tree, &ignore, &image, &folder_of(first));
        let held = copied.held();
        // A pattern is replaced by the files that it matches.
        let names = |source: String| {
            let pattern = is_pattern(&source).then(|| clean(&source));
            let matched = |path: &str| Some(path[..head(pattern.as_ref()?, path)?].to_owned());
            let paths = held.iter().filter_map(RepoPath::as_str);
            let mut names: BTreeSet<String> = paths.filter_map(matched).collect();
            if names.is_empty() {
                names.insert(source);
            }
            names
        };
        for copy in &mut image.copies {
            // A source may be named by a build argument.
            let sources = std::mem::take(&mut copy.sources).into_iter();
            let sources = sources.zip(&copy.paths).map(|(source, path)| {
                let is_filled = source.contains('$') && !path.contains('$');
                if is_filled { path.clone() } else { source }
            });
            copy.sources = sources.flat_map(names).collect();
        }
        self.interface.landed.clone_from(&copied.files);
        self.interface.held = (!copied.any).then_some(held);
        // What the Dockerfile writes is a file at its place, whose text stands there.
        for (target, own) in &image.written {
            let is_module = target.rsplit('.').next() == Some("py");
            let is_python = is_module || files::shebang(&own.text).contains("python");
            if !is_python && !copied.files.contains_key(target) {
                let text = shell::blank(&source.text[..own.start]) + &own.text;
                let file = RepoPath::from(format!("{first}/{target}").as_str());
                let source = Source::new(first.clone(), text.as_bytes());
                self.interface.sources.insert(file.clone(), source);
                copied.files.insert(target.clone(), file);
            }
        }
        self.copied = Some(copied);
        self.interface.image = Some(image);
        self.interface.dockerfile = Some(first.clone());
        Ok(())
    }

    /// Tells the files that the Dockerfile writes and that nothing was seen to read.
    fn tell_written(&mut self) {
        for (file, step) in std::mem::take(&mut self.writes) {
            if !self.opened.contains(&file) {
                self.interface.steps.push(step);
            }
        }
        if let (Some(image), Some(own)) = (&mut self.interface.image, &self.interface.dockerfile) {
            let is_read = |target: &String| {
                let file = RepoPath::from(format!("{own}/{target}").as_str());
                self.opened.contains(&file)
            };
            let read = image.written.iter().filter(|(target, _)| is_read(target));
            let read: Vec<Place> = read.map(|(_, own)| own.place.clone()).collect();
            image.steps.retain(|step| !read.contains(&step.place));
        }
    }

    /// Whether the image holds a file; without a Dockerfile it may hold any.
    fn holds(&self, path: &RepoPath) -> bool {
        let held = self.interface.held.as_ref();
        held.is_none_or(|held| held.contains(path))
    }

    fn read_python(&mut self) -> Result<()> {
        // `$(python3 build.py)`, `python3 build.py | sh`
        let takes_output = |source: &Source| {
            let name = source.path.name();
            let is_shell = name.ends_with(b".sh") || name.starts_with(b"Dockerfile");
            let runs = |line: &&str| line.contains("python") || line.contains(".py");
            let takes = |line: &str| ["$(", "`", "<(", "|"].iter().any(|by| line.contains(by));
            is_shell && source.text.lines().filter(runs).any(takes)
        };
        // If a program of the worker starts, a missing one belongs to another product.
        let mut absent = std::mem::take(&mut self.absent);
        absent.retain(|_| !self.starts_python);
        let files = self.data_files()?;
        let named = files.iter().map(|source| (source.path.to_string(), source));
        let data = named.collect();
        let sources = std::mem::take(&mut self.interface.sources);
        let is_program = |source: &&Source| {
            is_python(&source.path) || files::shebang(&source.text).contains("python")
        };
        let programs = sources.values().filter(is_program);
        let program: Vec<&Source> = programs.chain(&self.inline).collect();
        // Where nothing that starts is known, everything that the image holds may run.
        let is_known = self.starts_python || self.starts_script && !self.starts_other;
        let mentioned = self.mentions.iter().filter(|path| self.holds(path));
        let roots = self.roots.iter().chain(mentioned).cloned();
        let reach = python::Reach {
            roots: is_known.then(|| roots.collect()),
            held: self.interface.held.clone(),
            absent: !absent.is_empty(),
            called: std::mem::take(&mut self.called),
            launchers: self.launchers(&sources),
            takes_output: sources.values().any(takes_output),
        };
        self.unread.extend(absent);
        let mut facts = python::read(&program, &data, &reach).collect_unread(&mut self.unread);
        self.interface.env.extend(facts.env.iter().cloned());
        let mut flags = std::mem::take(&mut self.interface.python.flags);
        facts.launches |= self.interface.python.launches;
        facts.flags.append(&mut flags);
        facts.passed.append(&mut self.interface.python.passed);
        facts.handed.append(&mut self.interface.python.handed);
        facts.written.append(&mut self.interface.python.written);
        self.interface.python = facts;
        self.interface.sources = sources;
        self.read_configurations()
    }
}

fn is_python(path: &RepoPath) -> bool {
    path.name().ends_with(b".py")
}

fn is_supervisor(source: &Source) -> bool {
    let name = source.path.name();
    name.ends_with(b".conf") || name.ends_with(b".ini")
}

/// A path's last part.
fn last_part(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The folder that holds a file; empty for the root.
fn folder_of(path: &RepoPath) -> String {
    let parent = path.parent();
    let parent = parent.as_ref().and_then(RepoPath::as_str);
    parent.unwrap_or_default().to_owned()
}
