//! The image, its build, and the other ways to build and start it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::not_judged::READ;
use super::super::unread::{digest, in_layout};
use super::{ABSENT, FILES, Facts, IDLE, RUNS};
use worker_files::dockerfile::{Image, Named, Text};
use worker_files::ignore::Ignore;
use worker_files::packages::{BREAKS_SYSTEM, Manager};
use worker_files::source::LARGEST;
use worker_files::{IF, Package, Source, WorkerInterface, is_aside, is_one_of};
use xtask_core::layout::{CORE_FILES, CORE_OPTIONAL, OWN, RETIRED, TOOL};
use xtask_core::secret::masked;
use xtask_core::tree::{Mode, RepoPath, Tree};

impl Facts {
    pub(super) fn add_image(&mut self, interface: &WorkerInterface, tree: &dyn Tree) {
        let Some(image) = &interface.image else {
            return;
        };
        if let Some(base) = &image.base {
            let platform = ("platform", image.platform.as_deref());
            let value = [("value", Some(base.text.as_str())), platform];
            self.add("image:FROM", &base.place, &value);
            for (name, version) in [("sglang", image.sglang()), ("cuda", image.cuda())] {
                if let Some(version) = version {
                    self.add_value(format!("image:{name}"), &base.place, &version);
                }
            }
        }
        if !self.has("image:sglang")
            && let Some((version, place)) = interface.sglang()
        {
            self.add_value("image:sglang", &place, &version);
        }
        self.add_environment(image);
        for Named { name, value, place } in &image.args {
            self.add_value(format!("arg:{name}"), place, &braces(value));
        }
        // Of a stage that files are copied from.
        for Named { name, value, place } in image.parts.iter().flat_map(|part| &part.args) {
            let id = format!("arg:{name}");
            if !image.args.iter().any(|own| own.name == *name) {
                self.add_value(id, place, &braces(value));
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
                self.add_value(format!("image:{name}"), &text.place, started(&text.text));
            }
        }
        // A script that the start runs is part of it.
        let starts = [("CMD", &image.cmd), ("ENTRYPOINT", &image.entrypoint)].into_iter();
        let starts = starts.filter_map(|(name, text)| Some((name, text.as_ref()?)));
        for (path, place) in &interface.misplaced {
            let names = |(_, text): &(&str, &Text)| text.text.contains(path);
            let start = starts.clone().find(names).or(starts.clone().next_back());
            if let Some((name, _)) = start {
                self.add_text(format!("image:{name}"), place, ABSENT, path);
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
            self.add_text(id, &mount.place, "target", &mount.name);
        }
        self.add_copies(interface, image, tree);
        for (name, place) in &interface.build_reads {
            let declared = [format!("arg:{name}"), format!("image:{name}")];
            if let Some(id) = declared.iter().find(|id| self.has(id)) {
                self.add(id, place, &[]);
            }
        }
    }

    /// What ENV sets: what a later line says holds.
    fn add_environment(&mut self, image: &Image) {
        let set = image.env.iter().map(|it| (&it.name, braces(&it.value)));
        let set: BTreeMap<&String, String> = set.collect();
        for Named { name, place, .. } in &image.env {
            self.add_value(format!("image:{name}"), place, &set[name]);
        }
    }

    fn add_copies(&mut self, interface: &WorkerInterface, image: &Image, tree: &dyn Tree) {
        let landed = interface.landed.iter();
        let landed: BTreeMap<&RepoPath, &str> = landed.map(|(to, path)| (path, &**to)).collect();
        let own = image.copies.iter().filter(|copy| copy.from.is_none());
        for (copy, source) in own.flat_map(|copy| copy.sources.iter().map(move |it| (copy, it))) {
            if is_elsewhere(tree, source) {
                let name = in_layout(clean(source));
                let value = [("target", Some(copy.dest.as_str())), (ABSENT, Some("yes"))];
                self.add(format!("copy:{name}"), &copy.place, &value);
            }
            for held in held(tree, source, interface.held.as_ref()) {
                let files = (!held.files.is_empty()).then(|| held.files.join("\n"));
                let to = landed.get(held.first).filter(|_| goes_by_place(&held.name));
                let to = to.and_then(|to| match files {
                    Some(_) => Some(to.rsplit_once('/')?.0),
                    None => Some(*to),
                });
                let to = to.map(|to| format!("/{to}"));
                let module = files.is_none() && held.first.name().ends_with(b".py");
                let module = interface.sources.get(held.first).filter(|_| module);
                let content = module.map(|it| format!("{:x}", digest([it.text.as_bytes()])));
                let data = named_data(interface, tree, &held);
                let is_run = interface.python.acting.contains(held.first) || data.is_some();
                let content = content.or(data);
                let value = [
                    (if is_run { RUNS } else { IDLE }, content.as_deref()),
                    ("target", Some(copy.dest.as_str())),
                    (FILES, files.as_deref()),
                    ("to", to.as_deref()),
                    ("chmod", copy.mode.as_deref()),
                    ("chown", copy.owner.as_deref()),
                ];
                self.add(format!("copy:{}", held.name), &copy.place, &value);
            }
        }
    }

    /// What the build and the start do besides installing.
    fn add_steps(&mut self, interface: &WorkerInterface) {
        let drives = interface.env.iter().any(|read| read.drives.is_some());
        if interface.python.launches || drives {
            let step = self.all.entry("step:start SGLang".to_owned()).or_default();
            step.add_line("commands", "start SGLang", usize::MAX);
        }
        for (path, place) in &interface.starts {
            let commands = format!("start {}", String::from_utf8_lossy(path.name()));
            self.add_text(format!("step:{commands}"), place, "commands", &commands);
        }
        let in_image = interface.image.iter().flat_map(|image| &image.steps);
        for step in in_image.chain(&interface.steps) {
            let first = step.commands[0].split(IF).next().unwrap_or_default();
            let name: String = masked(first).chars().take(80).collect();
            let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
            let id = format!("step:{name}");
            self.add(id.clone(), &step.place, &[]);
            // Two RUN lines may begin with the same command.
            let fact = self.all.entry(id).or_default();
            for command in &step.commands {
                fact.add_line("commands", &masked(command), usize::MAX);
            }
        }
    }

    pub(super) fn add_build(&mut self, interface: &WorkerInterface) {
        // What one place installs is installed, whatever other places there are.
        let key = |package: &Package| (package.manager, package.name.clone());
        let installed = interface.packages.iter().filter(|package| package.in_image);
        let installed: BTreeSet<(Manager, String)> = installed.map(key).collect();
        for package in &interface.packages {
            let is_installed = installed.contains(&key(package));
            if is_installed && !package.in_image {
                continue;
            }
            let unused = (!is_installed).then_some("nothing runs it");
            // A matter of the base image: one fact for all packages, and none where only new ones
            // need it.
            let options = package.options.as_deref().unwrap_or_default();
            if is_one_of(options, BREAKS_SYSTEM) && is_installed {
                let step = format!("install with {BREAKS_SYSTEM}");
                self.add_text(format!("step:{step}"), &package.place, "commands", &step);
            }
            let options = options.split(' ').filter(|option| *option != BREAKS_SYSTEM);
            let options = options.collect::<Vec<_>>().join(" ");
            let value = [
                ("spec", Some(package.spec.as_str())),
                ("index", package.index.as_deref()),
                ("options", Some(options.trim())),
                ("unused", unused),
            ];
            let id = format!("{}:{}", package.manager.word(), package.name);
            self.add(id, &package.place, &value);
        }
        self.add_steps(interface);
        for service in &interface.compose {
            let id = format!("compose:{}", service.name);
            let value = [
                ("image", service.image.as_deref()),
                ("command", service.command.as_deref()),
                ("ports", Some(&*service.ports.join(" "))),
                ("volumes", Some(&*service.volumes.join(" "))),
                ("entrypoint", service.entrypoint.as_deref()),
                ("settings", Some(&*service.settings.join("\n"))),
            ];
            self.add(&id, &service.place, &value);
            self.add_named(&format!("{id}."), &service.environment);
            let args = service.build.iter().flat_map(|build| &build.args);
            for Named { name, value, place } in args {
                self.add_text(&id, place, "args", &format!("{name}={value}"));
            }
        }
        let Some(bake) = &interface.bake else {
            return;
        };
        for Named { name, value, place } in &bake.variables {
            self.add_text(format!("bake:variable.{name}"), place, "default", value);
        }
        self.add_named("bake:group.", &bake.groups);
        for target in &bake.targets {
            let id = format!("bake:{}", target.name);
            self.add(&id, &target.place, &[]);
            let mut known: BTreeSet<(&str, bool)> = BTreeSet::new();
            for own in bake.lineage(target) {
                let settings = own.settings.iter().filter(|one| one.name != "inherits");
                for one in settings.filter(|one| known.insert((&one.name, false))) {
                    // Its stage is more than wording.
                    let stage = Some("stage").filter(|_| one.name == "target");
                    self.add_text(&id, &target.place, stage.unwrap_or(&one.name), &one.value);
                }
                let args = own.args.iter();
                for one in args.filter(|one| known.insert((&one.name, true))) {
                    self.add_value(format!("{id}.args.{}", one.name), &one.place, &one.value);
                }
            }
        }
    }
}

/// A command without the `exec` that changes nothing, and without the server's flags, which are
/// facts of their own.
fn started(command: &str) -> &str {
    let command = command.strip_prefix("exec ").unwrap_or(command);
    let (program, flags) = command.split_once(" --").unwrap_or((command, ""));
    let is_server = program.ends_with("sglang.launch_server") || program.ends_with("sglang serve");
    let is_short = |word: &str| word.starts_with('-') && !word.starts_with("--");
    let is_more = flags.contains(['&', ';', '|', '<', '>', '(', '`', '\n'])
        || flags.split_whitespace().any(is_short);
    Some(program)
        .filter(|_| is_server && !is_more)
        .unwrap_or(command)
}

/// Git's names of no content.
const EMPTY: [&str; 2] = [
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
];

/// Whether others name a copied file by its place in the image. Programs and the files that the
/// layout knows go where the layout has them.
fn goes_by_place(name: &str) -> bool {
    let is_program = [".py", ".sh", ".md"].iter().any(|end| name.ends_with(end));
    let top = name.split('/').next().unwrap_or(name);
    let mut known = [OWN, CORE_OPTIONAL, RETIRED, TOOL].into_iter();
    let is_known = CORE_FILES.contains(&name) || known.any(|names| names.contains(&top));
    !(is_program || is_known || top.starts_with('.'))
}

/// The content of a file that is no code, where the image or what it runs names it: a chat template
/// or a configuration. Other readers read lists of packages.
fn named_data(interface: &WorkerInterface, tree: &dyn Tree, held: &Held<'_>) -> Option<String> {
    let name = String::from_utf8_lossy(held.first.name());
    let end = name.rsplit('.').next().unwrap_or_default();
    let opened = interface.sources.get(held.first);
    let first = |source: &Source| source.text.lines().next().unwrap_or_default().to_owned();
    let is_script = |source: &Source| first(source).trim_end().ends_with("sh");
    let is_read = is_one_of(READ, &name)
        || is_one_of("py sh md lock toml cfg", end)
        || opened.is_some_and(|it| is_one_of("txt in yml yaml conf ini", end) || is_script(it))
        || ["requirements", "dockerfile", "license"]
            .iter()
            .any(|one| name.to_lowercase().contains(one));
    let places = interface
        .landed
        .iter()
        .filter(|(_, path)| *path == held.first);
    let places: Vec<&str> = places.map(|(place, _)| &**place).collect();
    let is_code = |path: &RepoPath| path.name().ends_with(b".py");
    let texts = interface
        .sources
        .values()
        .filter(|source| !is_code(&source.path));
    let parts = |c: char| c.is_whitespace() || "\"'=,;:()<>".contains(c);
    let words = texts.flat_map(|source| source.text.split(parts));
    // What is named at another place is another file.
    let is_meant = |word: &str| match word.strip_prefix('/') {
        Some(place) => places.contains(&place),
        None => word.rsplit('/').next() == Some(&*name),
    };
    let is_named =
        places.iter().any(|place| place.starts_with("etc/")) || words.into_iter().any(is_meant);
    let entry = tree.entries().get(held.first)?;
    let is_small = entry.size.is_none_or(|size| size <= LARGEST as u64);
    let counts = held.files.is_empty() && !is_read && is_named && is_small && entry.mode.is_file();
    let bytes = counts.then(|| tree.read(held.first).ok()).flatten()?;
    Some(format!("{:x}", digest([bytes.as_slice()])))
}

/// What a COPY takes: a file, or a folder of many files.
struct Held<'t> {
    /// The name that both layouts know it by: `handler.py` for `src/handler.py`.
    name: String,
    /// Of a folder of many files, their names.
    files: Vec<String>,
    /// The file, or the first one of the folder.
    first: &'t RepoPath,
}

/// The files that `.dockerignore` keeps from the build.
pub(super) fn ignored(tree: &dyn Tree) -> anyhow::Result<BTreeSet<String>> {
    let Some(text) = tree.read_file(".dockerignore")? else {
        return Ok(BTreeSet::new());
    };
    let ignore = Ignore::read(&text);
    let files = tree.entries().keys().filter(|path| ignore.excludes(path));
    Ok(files.map(|path| in_layout(&path.to_string())).collect())
}

/// The files that a COPY takes. Empty files hold nothing that could be lost.
fn held<'t>(tree: &'t dyn Tree, source: &str, kept: Option<&BTreeSet<RepoPath>>) -> Vec<Held<'t>> {
    /// A folder with more files than that is one fact: it is data, and nobody reads on.
    const MANY: usize = 50;
    let source = clean(source);
    let source = if source == "." { "" } else { source };
    let files = tree.entries().iter().filter(|(path, entry)| {
        let inside = source.is_empty() || path.is_within(source);
        let is_kept = kept.is_none_or(|kept| kept.contains(*path));
        let is_one = entry.mode.is_file() || entry.mode == Mode::Symlink;
        let oid = entry.oid.as_ref();
        let is_empty = entry.size == Some(0) || oid.is_some_and(|oid| EMPTY.contains(&&*oid.0));
        inside && is_kept && !is_empty && is_one
    });
    let mut folders: BTreeMap<&[u8], Vec<&RepoPath>> = BTreeMap::new();
    for (path, _) in files {
        let bytes = path.as_bytes();
        let folder = &bytes[..bytes.len() - path.name().len()];
        if !source.is_empty() || !(is_aside(path) || is_about_repository(path)) {
            folders.entry(folder).or_default().push(path);
        }
    }
    let mut held = Vec::new();
    for (folder, files) in folders {
        let of = |path: &RepoPath, files, first| {
            let name = in_layout(&path.to_string());
            Held { name, files, first }
        };
        if files.len() <= MANY {
            held.extend(files.into_iter().map(|path| of(path, Vec::new(), path)));
            continue;
        }
        let names = files.iter().map(|path| RepoPath::new(path.name()));
        let names: Vec<String> = names.map(|name| name.to_string()).collect();
        held.push(of(&RepoPath::new(folder), names, files[0]));
    }
    held
}

/// Whether a file says how the repository is built, used or kept in git. An image that holds it
/// because everything is copied doesn't need it.
fn is_about_repository(path: &RepoPath) -> bool {
    const BEGINNINGS: &str = "readme license licence changelog contributing dockerfile \
                              docker-compose docker-bake .git .dockerignore";
    let name = String::from_utf8_lossy(path.as_bytes()).to_lowercase();
    let mut beginnings = BEGINNINGS.split_whitespace();
    !name.contains('/') && beginnings.any(|beginning| name.starts_with(beginning))
}

fn clean(source: &str) -> &str {
    source.trim_start_matches("./").trim_matches('/')
}

/// Whether a file or folder that COPY names plainly is not in the repository: something else puts
/// it there before the build.
fn is_elsewhere(tree: &dyn Tree, source: &str) -> bool {
    let source = clean(source);
    let is_plain = !matches!(source, "" | ".") && !source.contains(['*', '?', '[', '$']);
    is_plain && !tree.entries().keys().any(|path| path.is_within(source))
}

/// `${NAME}` as `$NAME`, so that both spellings are one value.
fn braces(value: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut out, mut rest) = (String::new(), value);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        let is_plain = name.chars().all(is_part);
        let [open, close] = if is_plain { ["$", ""] } else { ["${", "}"] };
        out.extend([before, open, name, close]);
        rest = behind;
    }
    out + rest
}
