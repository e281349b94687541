//! The image and its packages.

use std::collections::{BTreeSet, HashSet};

use super::super::facts::{ABSENT, FILES, Fact, Facts, IDLE, RUNS};
use super::variables::show;
use super::{Item, Judge, Verdict, few};
use worker_files::{Place, is_one_of};
use xtask_core::sglang;

/// What `SGLang`'s own images bring because `SGLang` needs it, so that a worker on top of one need
/// not install it.
const BROUGHT: &str = "sglang flashinfer flashinfer-python torch torchvision triton transformers \
    huggingface-hub hf-transfer packaging pydantic typing-extensions numpy fastapi uvicorn uvloop \
    aiohttp requests openai pillow psutil orjson outlines xgrammar";

/// The same of Debian's packages.
const BROUGHT_APT: &str = "python3 python3-pip build-essential ca-certificates curl git wget";

impl Judge<'_> {
    pub fn image(&mut self) {
        for (name, old) in self.old.area("image") {
            let id = format!("image:{name}");
            if let Some(new) = self.new.get(&id) {
                self.push(Self::image_both(name, &id, old, new));
            }
        }
        let why = "The new image doesn't set it.";
        self.judge_plainly("image", why, "Set it again, or record why not.");
        let why = "Builds that give it are told that it does nothing.";
        self.judge_plainly("arg", why, "Take it again, or record what to give instead.");
        let why = "No step of the new build mounts it.";
        self.judge_plainly("mount", why, "Mount it again, or record why not.");
        // A folder of many files is one fact, so that on one side a name may stand alone that is
        // part of a folder on the other.
        let missing = |lost: &[String], of: usize| match of {
            1 => "The new image doesn't hold this file.".to_owned(),
            of => format!(
                "The new image doesn't hold {} of these {of} files: {}.",
                lost.len(),
                few(lost, 5)
            ),
        };
        let help = "Copy it again, or record why not.";
        self.judge_parts("copy", files, missing, help);
        self.copied();
    }

    /// What a COPY says besides the name of a file, for files that both images may hold.
    fn copied(&mut self) {
        let lists = [self.old, self.new].map(requirement_lists);
        // A build step that still installs from a list finds it only where the image has it.
        let mut mounts = self.new.area("mount");
        let has_bind = mounts.any(|(name, _)| name.starts_with("bind"));
        let facts = self.new;
        for (name, old) in self.old.area("copy") {
            let id = format!("copy:{name}");
            let Some(item) = self.items.get_mut(&id) else {
                continue;
            };
            // A list of requirements is judged by what it installs, whatever it is called.
            let file = name.rsplit('/').next().unwrap_or(name).as_bytes();
            let is_needed = !has_bind && lists[1].contains(file);
            if item.open && lists[0].contains(file) && !is_needed {
                item.keep("What it lists is judged package by package.");
            }
            if item.open && facts.ignored.contains(name) {
                item.why += " `.dockerignore` leaves it out of the build.";
                item.help =
                    format!("Let it in with `!{name}` there and copy it again, or record why not.");
            }
            let Some(new) = facts.get(&id) else { continue };
            if let (Some(was), Some(is)) = (old.get("to"), new.get("to"))
                && was != is
                && !item.open
            {
                let help = "Copy it there, or record that nothing names the old place.";
                let why = format!("The image held it as {was}, and holds it as {is}.");
                item.change(why, help);
            }
            if new.has(IDLE) && old.get(RUNS) == new.get(IDLE) && !item.open {
                let why = "The image holds it as before, but nothing that runs imports it now.";
                let help = "Import it where that was done, or record why it isn't needed.";
                item.change(why.to_owned(), help);
            }
            for (option, what) in [("chmod", "mode"), ("chown", "owner")] {
                let Some(was) = old.get(option) else { continue };
                let is = new.get(option);
                if is != Some(was) && !sets(facts, option, name) {
                    let is = is.map_or("not set".to_owned(), |is| format!("`{is}`"));
                    let why = format!("Its {what} was `{was}`, and is {is} now.");
                    let help = format!("Copy it with `--{option}={was}`, or record why not.");
                    item.add_change(why, &help);
                }
            }
        }
    }

    fn image_both(name: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let [was, is] = [old, new].map(|fact| fact.get("value").unwrap_or_default());
        let kept = Item::new(id, Verdict::Kept, old, new);
        let changed = Item::new(id, Verdict::Changed, old, new);
        if let Some(path) = new.get(ABSENT).filter(|_| !old.has(ABSENT)) {
            return changed
                .why(format!(
                    "It starts {path}, where the new image holds no file."
                ))
                .help("Copy the file there, or start it where it is.");
        }
        if was == is {
            return match left_to_code(old, new) {
                Some(place) => changed
                    .why(format!("The Dockerfile set it too; now only {place} does."))
                    .help(
                        "Set it again, or record that this is early enough for all that reads it.",
                    ),
                None => Self::kept_or_changed(id, old, new, Some(&["platform"])),
            };
        }
        if name == "CMD" && same_start(was, is) {
            return kept.why(format!("It was `{was}` in the old layout."));
        }
        let with_fallback = was.strip_prefix('$').map(|name| format!("${{{name}:-"));
        if with_fallback.is_some_and(|begin| is.starts_with(&begin)) {
            return kept.why("With something to fall back on now.");
        }
        let from_to = format!("It was {}, is {}.", show(Some(was)), show(Some(is)));
        match name {
            "cuda" if sglang::order(was, is).is_lt() => changed
                .why(format!(
                    "{from_to} Hosts whose driver is older than CUDA {is} refuse the image."
                ))
                .help("Record it, and say so in the release's notes."),
            "sglang" => changed
                .why(format!(
                    "{from_to} Its flags and defaults are another release's."
                ))
                .help("Record which release people get now."),
            _ => changed.why(from_to).help("If that is meant, record why."),
        }
    }

    /// Packages of every kind, and the other steps of the build.
    pub fn packages(&mut self) {
        // An entry is a RUN line, but a command may move to another one.
        let (before, after) = (self.old, self.new);
        let missing = |lost: &[String], _: usize| {
            if let [one] = lost
                && let Some(now) = in_place_of(one, before, after)
            {
                return format!("It was `{one}`, is `{now}`.");
            }
            format!("The new image does it nowhere: {}.", few(lost, 5))
        };
        let help = "Do it again, or record why it isn't needed.";
        self.judge_parts("step", commands, missing, help);
        self.fewer_places();
        let base = self.new.attribute("image:FROM", "value");
        let on_sglang = base.is_some_and(|base| base.contains("sglang"));
        for area in ["pip", "constraint", "apt", "conda", "apk"] {
            self.judge_area(area, |judge, name, id, old, new| match new {
                Some(new) if !old.has("unused") && new.has("unused") => {
                    Item::new(id, Verdict::Missing, old, new)
                        .why("It is still written down, and no step of the build installs it.")
                        .help("Install it again, or record why it isn't needed.")
                }
                Some(new) => {
                    let parts = ["spec", "index", "options"];
                    let item = Self::kept_or_changed(id, old, new, Some(&parts));
                    match old.get("index").filter(|_| item.open) {
                        Some(index) if !new.has("index") => item.help(format!(
                            "Install it with `{index}` again, or record why not."
                        )),
                        _ => item,
                    }
                }
                None => judge.package_gone(area, name, id, old, on_sglang),
            });
        }
    }

    /// Steps of several files, as a build's and a start's are, that one of these lacks now.
    fn fewer_places(&mut self) {
        fn files(fact: &Fact) -> BTreeSet<&[u8]> {
            fact.places.iter().map(|place| place.file.name()).collect()
        }
        let after = self.new;
        let all: BTreeSet<&[u8]> = after.all.values().flat_map(files).collect();
        for (name, old) in self.old.area("step") {
            let id = format!("step:{name}");
            let (was, is) = (files(old), after.get(&id).map(files).unwrap_or_default());
            if let Some(file) = was.difference(&is).find(|file| all.contains(*file))
                && !was.is_disjoint(&is)
                && let Some(item) = self.items.get_mut(&id).filter(|item| !item.open)
            {
                let file = String::from_utf8_lossy(file);
                let why = format!("{file} did it too, and does not now.");
                item.change(why, "Do it there again, or record why it isn't needed.");
            }
        }
    }

    /// Whether the new image's `SGLang` is one that the old worker's requirement allows. A release
    /// that the old worker ran is compared with the new one.
    fn allows(&self, package: &Fact) -> bool {
        let Some(is) = self.new.sglang.as_deref() else {
            return true;
        };
        let spec = package.get("spec").unwrap_or_default();
        let spec = spec.rsplit(']').next().unwrap_or(spec);
        let spec = spec.split(';').next().unwrap_or(spec);
        spec.split(',').all(|limit| {
            let limit = limit.trim();
            let version = limit.trim_start_matches(['=', '<', '>', '~', '!']).trim();
            let order = sglang::order(is, version);
            let series = version.strip_suffix(".*");
            let is_in = |series: &str| {
                is.strip_prefix(series)
                    .is_some_and(|rest| rest.starts_with('.'))
            };
            let is_it = series.map_or(order.is_eq(), is_in);
            match &limit[..limit.len() - version.len()].trim_end() {
                &"==" | &"===" => is_it || self.old.sglang.as_deref() == Some(version),
                &"!=" => !is_it,
                &">=" => order.is_ge(),
                &"<=" => order.is_le(),
                &">" => order.is_gt(),
                &"<" => order.is_lt(),
                &"~=" => {
                    order.is_ge()
                        && version
                            .rsplit_once('.')
                            .is_none_or(|(series, _)| is_in(series))
                }
                _ => true,
            }
        })
    }

    fn package_gone(&self, area: &str, name: &str, id: &str, old: &Fact, on_sglang: bool) -> Item {
        let kept = Item::new(id, Verdict::Kept, old, None);
        let changed = Item::new(id, Verdict::Changed, old, None);
        let names = match area {
            "pip" => BROUGHT,
            "apt" => BROUGHT_APT,
            _ => "",
        };
        let is_brought = on_sglang && is_one_of(names, name);
        let brought = format!("{}'s own image brings it", self.sglang);
        match own_build(old).filter(|_| is_brought && area == "pip") {
            // A build of its own is another program.
            Some(build) => changed
                .why(format!("It was installed from {build}; {brought} as released."))
                .help("Install that build again, or record that the release has what it was for."),
            None if is_brought && name == "sglang" && !self.allows(old) => {
                let spec = old.get("spec").unwrap_or_default();
                let release = self.sglang.split(" (").next().unwrap_or_default();
                changed
                    .why(format!(
                        "It was installed as `{spec}`; the new image has {release}."
                    ))
                    .help("Install a release that this allows, or record that this one is meant.")
            }
            None if is_brought && matches!(name, "sglang" | "flashinfer") => {
                kept.why(format!("{brought}, at the version that the base image names."))
            }
            None if is_brought && area == "pip" => changed
                .why(format!("The worker doesn't install it any more; {brought}, at whatever version that is."))
                .help("If nothing of the worker's own needs a version of it, record that."),
            None if old.has("unused") => {
                kept.why("The old image never had it: only a script that its build never ran installed it.")
            }
            None if is_brought => kept.why(format!("{brought}.")),
            None => Item::missing(id, old)
                .why("Nothing installs it now.")
                .help("Install it again, or record why it isn't needed."),
        }
    }
}

/// The files from which packages are installed.
fn requirement_lists(facts: &Facts) -> HashSet<&[u8]> {
    let installed = facts.area("pip").filter(|(_, fact)| !fact.has("unused"));
    let files = installed.flat_map(|(_, fact)| &fact.places);
    let names = files.map(|place| place.file.name());
    names.filter(|name| name.ends_with(b".txt")).collect()
}

/// Where a package came from that was installed from no index: a repository, an archive.
pub fn own_build(package: &Fact) -> Option<&str> {
    let (_, build) = package.get("spec")?.split_once('@')?;
    Some(build)
}

/// Where the code still sets a variable that the old Dockerfile set as well, and the new one does
/// not: only programs that come to that line see it.
fn left_to_code(old: &Fact, new: &Fact) -> Option<String> {
    let is_code = |place: &Place| place.file.name().ends_with(b".py");
    let is_left = new.places.iter().all(is_code) && !old.places.iter().all(is_code);
    let mut both = new.places.iter().filter(|place| {
        let mut before = old.places.iter().filter(|other| is_code(other));
        before.any(|other| other.file.name() == place.file.name())
    });
    both.next().filter(|_| is_left).map(ToString::to_string)
}

/// Whether two commands start the same program: the path of the script goes with the layout.
fn same_start(old: &str, new: &str) -> bool {
    let names = |line: &str| -> Vec<String> {
        let words = line.split_whitespace();
        let names = words.map(|word| word.rsplit('/').next().unwrap_or(word).to_owned());
        names.filter(|word| word != "-u").collect()
    };
    names(old) == names(new)
}

/// The files of a copied fact: itself, or those of the folder.
fn files(name: &str, fact: &Fact) -> Vec<String> {
    let Some(files) = fact.get(FILES) else {
        return vec![name.to_owned()];
    };
    let folder = name.strip_prefix("./").unwrap_or(name);
    let files = files.lines();
    files.map(|file| format!("{folder}{file}")).collect()
}

fn commands(_: &str, fact: &Fact) -> Vec<String> {
    let commands = fact.get("commands").unwrap_or_default().lines();
    commands.map(str::to_owned).collect()
}

/// The commands of all steps.
fn all_commands(facts: &Facts) -> impl Iterator<Item = &str> {
    let steps = facts
        .area("step")
        .filter_map(|(_, step)| step.get("commands"));
    steps.flat_map(str::lines)
}

/// What the new image does and the old one didn't, by the same program and with most of its words.
fn in_place_of(command: &str, old: &Facts, new: &Facts) -> Option<String> {
    let before: Vec<&str> = all_commands(old).collect();
    let words: Vec<&str> = command.split_whitespace().collect();
    let shared = |other: &&str| {
        let same = |word: &&str| words.contains(word);
        other.split_whitespace().filter(same).count()
    };
    let is_near = |other: &&str| {
        let program = other.split_whitespace().next();
        let most = words.len().max(other.split_whitespace().count());
        program == words.first().copied() && 2 * shared(other) >= most
    };
    let others = all_commands(new).filter(|other| !before.contains(other));
    others.filter(is_near).max_by_key(shared).map(str::to_owned)
}

/// Whether a step of the build runs this program on a file, or on all of a folder.
fn sets(facts: &Facts, program: &str, file: &str) -> bool {
    let own = file.rsplit('/').next().unwrap_or(file);
    all_commands(facts).any(|line| {
        let words = || line.split_whitespace();
        let is_meant = |word: &str| word.ends_with(own) || word.contains('*') || word == "-R";
        words().any(|word| word == program) && words().any(is_meant)
    })
}
