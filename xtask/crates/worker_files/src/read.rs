//! From a tree to a surface: which files count, and which of their facts belong together.

use std::collections::BTreeMap;

use anyhow::Result;

use super::dockerfile::{Image, Run};
use super::shell::Manager;
use super::{
    Drive, EnvRead, FlagTable, How, Package, Place, Source, TableFlag, Unread, WorkerInterface,
    bake, compose, dockerfile, hub, json, python, readme, requirements, shell, source, tests_json,
    worker_config,
};
use xtask_core::sglang;
use xtask_core::tree::{RepoPath, Tree};

/// Folders that are no part of what a worker exposes: its tests, its tools, its history.
const OUTSIDE: [&str; 14] = [
    "tests",
    "test",
    "docs",
    "bench",
    "xtask",
    "outdated",
    "target",
    "node_modules",
    "examples",
    "venv",
    "env",
    "schemas",
    "build",
    "dist",
];

/// Whether a file belongs to the worker itself.
fn belongs(path: &RepoPath) -> bool {
    let parts: Vec<_> = path.parts().collect();
    let Some((name, folders)) = parts.split_last() else {
        return false;
    };
    let outside = folders.iter().any(|folder| {
        let text = String::from_utf8_lossy(folder);
        OUTSIDE.contains(&&*text) || (text.starts_with('.') && text != ".runpod")
    });
    let test = name.starts_with(b"test_") && name.ends_with(b".py") || *name == b"conftest.py";
    !outside && !test
}

/// What a file is, by its name.
fn wanted(path: &RepoPath) -> bool {
    let Some(text) = path.as_str() else {
        return false;
    };
    let name = text.rsplit('/').next().unwrap_or(text);
    let ends = |end: &str| name.len() > end.len() && name.ends_with(end);
    ends(".py")
        || ends(".sh")
        || (name.contains("requirements") && ends(".txt"))
        || name == "sglang_flags.json"
        || matches!(
            text,
            "Dockerfile"
                | ".runpod/Dockerfile"
                | "docker-bake.hcl"
                | "docker-compose.yml"
                | "docker-compose.yaml"
                | "compose.yml"
                | "compose.yaml"
                | ".runpod/docker-compose.yml"
                | ".runpod/hub.json"
                | "hub.json"
                | ".runpod/tests.json"
                | "worker-config.json"
                | "README.md"
                | ".runpod/README.md"
        )
}

impl WorkerInterface {
    /// Reads everything a worker exposes from a tree.
    pub fn read(tree: &dyn Tree) -> Result<Self> {
        let mut surface = Self::default();
        for (path, entry) in tree.entries() {
            if !entry.mode.is_file() || !wanted(path) || !belongs(path) {
                continue;
            }
            let known = usize::try_from(entry.size.unwrap_or_default()).unwrap_or(usize::MAX);
            let bytes = if known > source::LARGEST {
                Vec::new()
            } else {
                tree.read(path)?
            };
            let size = known.max(bytes.len());
            if size > source::LARGEST {
                surface.unread.push(Unread::new(
                    format!("not read: {size} bytes are more than any source file has"),
                    Place::start_of(path),
                ));
                continue;
            }
            let source = Source::new(path.clone(), &bytes);
            surface.unread.extend(source.trouble());
            surface.sources.insert(path.clone(), source);
        }
        let sources = std::mem::take(&mut surface.sources);
        surface.read_files(&sources);
        surface.read_python(&sources);
        surface.read_packages(&sources);
        surface.read_table(&sources);
        surface.read_env_files(tree, &sources)?;
        surface.env.sort();
        surface.env.dedup();
        surface.unread.sort();
        surface.unread.dedup();
        surface.sources = sources;
        Ok(surface)
    }

    fn read_files(&mut self, sources: &BTreeMap<RepoPath, Source>) {
        let file = |name: &str| sources.get(&RepoPath::from(name));
        let first = |names: &[&str]| names.iter().find_map(|name| file(name));
        let mut unread = Vec::new();
        // `.runpod/` takes precedence over the root.
        self.image = first(&[".runpod/Dockerfile", "Dockerfile"])
            .and_then(|source| kept(dockerfile::read(source), &mut unread));
        self.bake =
            file("docker-bake.hcl").and_then(|source| kept(bake::read(source), &mut unread));
        let compose_files = [
            "docker-compose.yml",
            "docker-compose.yaml",
            "compose.yml",
            "compose.yaml",
            ".runpod/docker-compose.yml",
        ];
        self.compose = first(&compose_files)
            .and_then(|source| kept(compose::read(source), &mut unread))
            .unwrap_or_default();
        self.hub = first(&[".runpod/hub.json", "hub.json"])
            .and_then(|source| kept(hub::read(source), &mut unread));
        self.tests = file(".runpod/tests.json")
            .and_then(|source| kept(tests_json::read(source), &mut unread));
        self.form = file("worker-config.json")
            .and_then(|source| kept(worker_config::read(source), &mut unread));
        self.readme = first(&["README.md", ".runpod/README.md"])
            .map(readme::read)
            .unwrap_or_default();
        self.unread.extend(unread);
    }

    fn read_python(&mut self, sources: &BTreeMap<RepoPath, Source>) {
        let ending = |end: &'static str| {
            sources
                .iter()
                .filter(move |(path, _)| path.name().ends_with(end.as_bytes()))
                .map(|(_, source)| source)
        };
        let python: Vec<&Source> = ending(".py").collect();
        let data = ending(".json")
            .map(|source| {
                (
                    String::from_utf8_lossy(source.path.name()).into_owned(),
                    source,
                )
            })
            .collect();
        self.python = python::read(&python, &data, &python::Reach::default())
            .collect_unread(&mut self.unread);
        self.env.extend(self.python.env.iter().cloned());
        for source in ending(".sh") {
            let script = shell::parse(&source.text);
            self.shell_facts(source, &script, 0);
        }
        // What the image starts in shell form reads variables too.
        if let Some(image) = self.image.clone() {
            for text in image.starts() {
                let Some(source) = sources.get(&text.place.file) else {
                    continue;
                };
                let script = shell::parse(&text.text);
                for variable in &script.reads {
                    let (name, default) = (&variable.name, variable.default.clone());
                    self.env
                        .push(EnvRead::new(name, default, text.place.clone()));
                }
                let _ = source;
            }
        }
    }

    /// Variables and flags of a script.
    fn shell_facts(&mut self, source: &Source, script: &shell::Script, base: usize) {
        let place =
            |range: &std::ops::Range<usize>| source.place(base + range.start..base + range.end);
        let mut drives: BTreeMap<String, Drive> = BTreeMap::new();
        for command in &script.commands {
            let line = command.line();
            if !line.contains("sglang.launch_server") && !line.contains("sglang serve") {
                continue;
            }
            self.python.launches = true;
            for (index, word) in command.words.iter().enumerate() {
                if !word.text.starts_with("--") {
                    continue;
                }
                let (flag, inline) = word
                    .text
                    .split_once('=')
                    .map_or((word.text.as_str(), None), |(f, v)| (f, Some(v)));
                let next = command.words.get(index + 1).map(|w| w.text.as_str());
                let value = inline.or(next.filter(|n| !n.starts_with("--")));
                let names: Vec<_> = value.map(shell::variables).unwrap_or_default();
                for (name, _) in &names {
                    let drive = Drive {
                        flag: flag.to_owned(),
                        how: How::Value,
                    };
                    drives.entry(name.clone()).or_insert(drive);
                }
                self.python.flags.push(python::FlagGiven {
                    flag: flag.to_owned(),
                    value: match value {
                        None => python::FlagValue::Alone,
                        Some(_) if !names.is_empty() => python::FlagValue::Env,
                        Some(value) => python::FlagValue::Fixed(value.to_owned()),
                    },
                    from: names
                        .into_iter()
                        .map(|(name, _)| (name, How::Value))
                        .collect(),
                    place: place(&word.range),
                });
            }
        }
        for variable in &script.reads {
            let default = variable.default.clone();
            self.env.push(EnvRead {
                drives: drives.get(&variable.name).cloned(),
                ..EnvRead::new(&variable.name, default, place(&variable.range))
            });
        }
    }

    fn read_packages(&mut self, sources: &BTreeMap<RepoPath, Source>) {
        let runs: Vec<String> = self
            .image
            .iter()
            .flat_map(|image| &image.runs)
            .flat_map(|run| &run.script.commands)
            .map(shell::Command::line)
            .collect();
        let runs_it = |source: &Source| {
            let name = String::from_utf8_lossy(source.path.name()).into_owned();
            runs.iter().any(|line| line.contains(&name))
        };
        for (path, source) in sources {
            if path.name().ends_with(b".txt") {
                let (found, unread) = requirements::read(source);
                self.unread.extend(unread);
                let in_image = runs_it(source);
                self.packages.extend(found.into_iter().map(|r| Package {
                    manager: Manager::Pip,
                    name: r.name,
                    spec: r.spec,
                    in_image,
                    place: r.place,
                }));
            } else if path.name().ends_with(b".sh") {
                let run = Run {
                    script: shell::parse(&source.text),
                    base: 0,
                };
                let in_image = runs_it(source);
                self.installed(source, &run, in_image);
            }
        }
        let image: Option<Image> = self.image.clone();
        if let Some(image) = &image
            && let Some(base) = &image.base
            && let Some(source) = sources.get(&base.place.file)
        {
            for run in &image.runs {
                self.installed(source, run, true);
                for variable in &run.script.reads {
                    let range = run.base + variable.range.start..run.base + variable.range.end;
                    self.build_reads
                        .push((variable.name.clone(), source.place(range)));
                }
            }
        }
    }

    fn installed(&mut self, source: &Source, run: &Run, in_image: bool) {
        for command in &run.script.commands {
            let Some((manager, words)) = command.installs() else {
                continue;
            };
            for word in words {
                let package = match manager {
                    // Upgrading the installer installs nothing for the worker.
                    Manager::Pip
                        if matches!(word.text.as_str(), "pip" | "setuptools" | "wheel") =>
                    {
                        continue;
                    }
                    Manager::Pip => {
                        requirements::of_word(source, word, run.base).map(|r| (r.name, r.spec))
                    }
                    Manager::Apt => {
                        let (name, version) = word.text.split_once('=').unwrap_or((&word.text, ""));
                        let spec = if version.is_empty() {
                            String::new()
                        } else {
                            format!("={version}")
                        };
                        Some((name.to_owned(), spec))
                    }
                };
                let place = source.place(run.base + word.range.start..run.base + word.range.end);
                if word.text.contains('$') {
                    self.unread.push(Unread::new(
                        format!("{}: the name of this package is computed", word.text),
                        place,
                    ));
                } else if let Some((name, spec)) = package {
                    self.packages.push(Package {
                        manager,
                        name,
                        spec,
                        in_image,
                        place,
                    });
                }
            }
        }
    }

    /// An engine that loads `sglang_flags.json` reads a variable for each flag and alias in it,
    /// however it goes about it.
    fn read_table(&mut self, sources: &BTreeMap<RepoPath, Source>) {
        let Some((_, source)) = sources
            .iter()
            .find(|(path, _)| path.name() == b"sglang_flags.json")
        else {
            return;
        };
        let parsed = json::parse(source.text.as_bytes());
        let Some(root) = parsed.root else {
            self.unread.extend(hub::root(source).err());
            return;
        };
        let mut table = FlagTable {
            version: root
                .get("version")
                .and_then(json::Node::as_str)
                .map(str::to_owned),
            flags: Vec::new(),
        };
        for member in root
            .get("flags")
            .map(json::Node::members)
            .unwrap_or_default()
        {
            let kind = member
                .value
                .get("kind")
                .and_then(json::Node::as_str)
                .unwrap_or("value");
            let aliases = member
                .value
                .get("aliases")
                .map(json::Node::items)
                .unwrap_or_default();
            table.flags.push(TableFlag {
                flag: member.key.clone(),
                aliases: aliases
                    .iter()
                    .filter_map(|a| a.as_str().map(str::to_owned))
                    .collect(),
                is_switch: matches!(kind, "store_true" | "no_value" | "boolean_optional"),
                place: source.place(member.key_span.clone()),
            });
        }
        // A comment that speaks of the file opens nothing.
        let loads = self.python.opens.contains("sglang_flags.json");
        if loads {
            for flag in &table.flags {
                let how = if flag.is_switch {
                    How::Switch { words: Vec::new() }
                } else {
                    How::Value
                };
                let names = std::iter::once(&flag.flag).chain(&flag.aliases);
                for name in names.filter(|name| name.starts_with("--")) {
                    self.table_read(
                        &sglang::env_name(name),
                        &flag.flag,
                        how.clone(),
                        &flag.place,
                    );
                }
            }
            // What SGLang has dropped, where the table says which flag took its place.
            for member in root
                .get("retired")
                .map(json::Node::members)
                .unwrap_or_default()
            {
                let instead = member
                    .value
                    .get("instead")
                    .map(json::Node::items)
                    .unwrap_or_default();
                let Some(flag) = instead.first().and_then(json::Node::as_str) else {
                    continue;
                };
                let kind = member.value.get("kind").and_then(json::Node::as_str);
                let how = if kind == Some("boolean") {
                    How::Switch { words: Vec::new() }
                } else {
                    How::Value
                };
                let place = source.place(member.key_span.clone());
                self.table_read(&sglang::env_name(&member.key), flag, how, &place);
            }
            // More names for some flags, as a dict from name to flag.
            for (name, flag, place) in self.python.tables.clone() {
                self.table_read(&name, &flag, How::Value, &place);
            }
            for gap in self.unread.iter_mut().filter(|gap| computed_name(gap)) {
                "the name of this environment variable is computed; every flag in \
                 sglang_flags.json counts as read"
                    .clone_into(&mut gap.what);
            }
        }
        self.flag_table = Some(table);
    }

    /// Notes that a variable is read because a table names it.
    fn table_read(&mut self, name: &str, flag: &str, how: How, place: &Place) {
        let drives = Drive {
            flag: flag.to_owned(),
            how,
        };
        let mut known = false;
        for read in self.env.iter_mut().filter(|read| read.name == name) {
            known = true;
            if read.drives.is_none() {
                read.drives = Some(drives.clone());
                read.by_table = true;
            }
        }
        if !known {
            self.env.push(EnvRead {
                drives: Some(drives),
                by_table: true,
                ..EnvRead::new(name, None, place.clone())
            });
        }
    }

    fn read_env_files(
        &mut self,
        tree: &dyn Tree,
        sources: &BTreeMap<RepoPath, Source>,
    ) -> Result<()> {
        for service in &mut self.compose {
            for name in &service.env_files {
                let path = name.trim_start_matches("./");
                if sources.contains_key(&RepoPath::from(path)) {
                    continue;
                }
                if let Some(bytes) = tree.read_file(path)?
                    && bytes.len() <= source::LARGEST
                {
                    let source = Source::new(path.into(), &bytes);
                    service.environment.extend(compose::env_file(&source));
                }
            }
        }
        Ok(())
    }
}

/// Whether a gap is about a variable's name: an engine that goes by the flag table computes them
/// all, and the table tells them.
fn computed_name(gap: &Unread) -> bool {
    gap.what.contains("environment variable is computed")
}

fn kept<T>(result: Result<T, Unread>, unread: &mut Vec<Unread>) -> Option<T> {
    result.map_err(|gap| unread.push(gap)).ok()
}
