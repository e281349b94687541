//! The image and its packages.

use std::collections::{BTreeSet, HashSet};

use super::super::facts::{FILES, Fact, Facts, IDLE, RUNS};
use super::variables::show;
use super::{Item, Judge, Verdict, difference, few};
use worker_files::{Place, is_one_of};
use xtask_core::sglang;

/// What `SGLang`'s own images bring because `SGLang` needs it, so that a worker on top of one need
/// not install it.
const BROUGHT: &str = "sglang flashinfer flashinfer-python torch torchvision triton transformers \
    huggingface-hub hf-transfer packaging pydantic typing-extensions numpy fastapi uvicorn uvloop \
    aiohttp requests openai pillow psutil orjson outlines xgrammar";

/// The same of Debian's packages.
const BROUGHT_APT: &str = "python3 python3-pip build-essential ca-certificates curl git wget";

impl<'a> Judge<'a> {
    /// What the Dockerfile says.
    pub fn image(&mut self) {
        for (name, old) in self.old.area("image") {
            let id = format!("image:{name}");
            if let Some(new) = self.new.get(&id) {
                self.push(Self::image_both(name, &id, old, new));
            }
        }
        self.simple(
            "image",
            "The new image doesn't set it.",
            "Set it again, or record why not.",
        );
        self.simple(
            "arg",
            "Builds that give it are told that it does nothing.",
            "Take it again, or record what to give instead.",
        );
        self.simple(
            "mount",
            "No step of the new build mounts it.",
            "Mount it again, or record why not.",
        );
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
        self.each_part("copy", files, missing, help);
        self.requirements();
        self.moved();
        self.idle();
        self.permissions("chmod", "mode");
        self.permissions("chown", "owner");
    }

    /// Files that lose the mode or the owner that their COPY gave them, unless a step sets it.
    fn permissions(&mut self, option: &'static str, what: &str) {
        let (before, after) = (self.old.area("copy"), self.new);
        for (name, old) in before {
            let id = format!("copy:{name}");
            let is = after.get(&id).map(|new| new.get(option));
            if let (Some(was), Some(is)) = (old.get(option), is)
                && is != Some(was)
                && !sets(after, option, name)
                && let Some(item) = self.item_mut(&id)
            {
                let is = is.map_or("not set".to_owned(), |is| format!("`{is}`"));
                let why = format!("Its {what} was `{was}`, and is {is} now.");
                let help = format!("Copy it with `--{option}={was}`, or record why not.");
                item.change_too(why, &help);
            }
        }
    }

    /// A list of requirements is judged by what it installs, whatever it is called.
    fn requirements(&mut self) {
        let lists = |facts: &'a Facts| -> HashSet<&'a [u8]> {
            let installed = facts.area("pip");
            let installed = installed.filter(|(_, fact)| fact.get("unused").is_none());
            let files = installed.flat_map(|(_, fact)| &fact.places);
            let files = files.map(|place| place.file.name());
            files.filter(|name| name.ends_with(b".txt")).collect()
        };
        // A build step that still installs from a list finds it only where the image has it.
        let mut mounts = self.new.area("mount");
        let bound = mounts.any(|(name, _)| name.starts_with("bind"));
        let (lists, needed) = (lists(self.old), lists(self.new));
        for (name, _) in self.old.area("copy") {
            let file = name.rsplit('/').next().unwrap_or(name);
            if lists.contains(file.as_bytes())
                && (bound || !needed.contains(file.as_bytes()))
                && let Some(item) = self.item_mut(&format!("copy:{name}"))
                && item.open
            {
                item.keep("What it lists is judged package by package.");
            }
        }
    }

    /// Python files that are the same, and that nothing runs or imports any more.
    fn idle(&mut self) {
        let (before, after) = (self.old.area("copy"), self.new);
        for (name, old) in before {
            let id = format!("copy:{name}");
            let new = after.get(&id).and_then(|new| new.get(IDLE));
            if new.is_some()
                && old.get(RUNS) == new
                && let Some(item) = self.item_mut(&id).filter(|item| !item.open)
            {
                item.change(
                    "The image holds it as before, but nothing that runs imports it now."
                        .to_owned(),
                    "Import it where that was done, or record why it isn't needed.",
                );
            }
        }
    }

    /// Files that the image holds at another place.
    fn moved(&mut self) {
        let (before, after) = (self.old.area("copy"), self.new);
        for (name, old) in before {
            let id = format!("copy:{name}");
            let new = after.get(&id);
            let place = |fact: &Fact| fact.get("to").map(str::to_owned);
            if let (Some(was), Some(is)) = (place(old), new.and_then(place))
                && was != is
                && let Some(item) = self.item_mut(&id).filter(|item| !item.open)
            {
                let why = format!("The image held it as {was}, and holds it as {is}.");
                item.change(
                    why,
                    "Copy it there, or record that nothing names the old place.",
                );
            }
        }
    }

    fn image_both(name: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let (was, is) = (
            old.get("value").unwrap_or_default(),
            new.get("value").unwrap_or_default(),
        );
        if was == is
            && let Some(place) = left_to_code(old, new)
        {
            return Item::new(id, Verdict::Changed, Some(old), Some(new))
                .why(format!("The Dockerfile set it too; now only {place} does."))
                .help("Set it again, or record that this is early enough for all that reads it.");
        }
        if was == is && name != "FROM" || (name == "CMD" && same_start(was, is)) {
            let note = if was == is {
                String::new()
            } else {
                format!("It was `{was}` in the old layout.")
            };
            return Item::new(id, Verdict::Kept, Some(old), Some(new)).why(note);
        }
        let (asked, asks) = (old.get("platform"), new.get("platform"));
        if name == "FROM" && was == is {
            let differ = [difference("platform", asked, asks)];
            return Item::by_differences(id, old, new, &differ[usize::from(asked == asks)..]);
        }
        let falls_back = was
            .strip_prefix('$')
            .is_some_and(|name| is.starts_with(&format!("${{{name}:-")));
        if falls_back {
            return Item::new(id, Verdict::Kept, Some(old), Some(new))
                .why("With something to fall back on now.");
        }
        let item = Item::new(id, Verdict::Changed, Some(old), Some(new));
        let from_to = format!("It was {}, is {}.", show(Some(was)), show(Some(is)));
        match name {
            "cuda" if sglang::order(was, is).is_lt() => item
                .why(format!(
                    "{from_to} Hosts whose driver is older than CUDA {is} refuse the image."
                ))
                .help("Record it, and say so in the release's notes."),
            "sglang" => item
                .why(format!(
                    "{from_to} Its flags and defaults are another release's."
                ))
                .help("Record which release people get now."),
            _ => item.why(from_to).help("If that is meant, record why."),
        }
    }

    /// Packages of every kind, and the other steps of the build.
    pub fn packages(&mut self) {
        // An entry is a RUN line, but a command may move to another one.
        let (before, after) = (self.old, self.new);
        let missing = |lost: &[String], _: usize| match lost {
            [one] if let Some(now) = in_place_of(one, before, after) => {
                format!("It was `{one}`, is `{now}`.")
            }
            lost => format!("The new image does it nowhere: {}.", few(lost, 5)),
        };
        let help = "Do it again, or record why it isn't needed.";
        self.each_part("step", commands, missing, help);
        self.fewer_places();
        let on_sglang = self
            .new
            .get("image:FROM")
            .and_then(|fact| fact.get("value"))
            .is_some_and(|base| base.contains("sglang"));
        for area in ["pip", "constraint", "apt", "conda", "apk"] {
            self.each(area, |judge, name, id, old, new| match new {
                Some(new) if old.get("unused").is_none() && new.get("unused").is_some() => {
                    Item::new(id, Verdict::Missing, Some(old), Some(new))
                        .why("It is still written down, and no step of the build installs it.")
                        .help("Install it again, or record why it isn't needed.")
                }
                Some(new) => {
                    let parts = ["spec", "index", "options"];
                    let item = Self::kept_or_changed(id, old, new, Some(&parts));
                    match old.get("index").filter(|_| item.open) {
                        Some(index) if new.get("index").is_none() => item.help(format!(
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
        let (before, after) = (self.old.area("step"), self.new);
        let files = |fact: &Fact| -> BTreeSet<Vec<u8>> {
            let names = fact.places.iter().map(|place| place.file.name().to_vec());
            names.collect()
        };
        let all: BTreeSet<Vec<u8>> = after.all.values().flat_map(files).collect();
        for (name, old) in before {
            let id = format!("step:{name}");
            let Some(is) = after.get(&id).map(files) else {
                continue;
            };
            let was = files(old);
            let lost = was
                .iter()
                .find(|file| !is.contains(*file) && all.contains(*file));
            if let Some(file) = lost.filter(|_| was.intersection(&is).next().is_some())
                && let Some(item) = self.item_mut(&id).filter(|item| !item.open)
            {
                let file = String::from_utf8_lossy(file);
                let why = format!("{file} did it too, and does not now.");
                item.change(why, "Do it there again, or record why it isn't needed.");
            }
        }
    }

    fn package_gone(&self, area: &str, name: &str, id: &str, old: &Fact, on_sglang: bool) -> Item {
        if area == "pip" && on_sglang && is_one_of(BROUGHT, name) {
            let brought = format!("{}'s own image brings it", self.sglang);
            return match (name, own_build(old)) {
                // A build of its own is another program.
                (_, Some(build)) => Item::new(id, Verdict::Changed, Some(old), None)
                    .why(format!("It was installed from {build}; {brought} as released."))
                    .help("Install that build again, or record that the release has what it was for."),
                ("sglang" | "flashinfer", None) => Item::new(id, Verdict::Kept, Some(old), None)
                    .why(format!("{brought}, at the version that the base image names.")),
                _ => Item::new(id, Verdict::Changed, Some(old), None)
                    .why(format!("The worker doesn't install it any more; {brought}, at whatever version that is."))
                    .help("If nothing of the worker's own needs a version of it, record that."),
            };
        }
        if old.get("unused").is_some() {
            return Item::new(id, Verdict::Kept, Some(old), None).why(
                "The old image never had it: only a script that its build never ran installed it.",
            );
        }
        if area == "apt" && on_sglang && is_one_of(BROUGHT_APT, name) {
            return Item::new(id, Verdict::Kept, Some(old), None)
                .why(format!("{}'s own image brings it.", self.sglang));
        }
        Item::new(id, Verdict::Missing, Some(old), None)
            .why("Nothing installs it now.")
            .help("Install it again, or record why it isn't needed.")
    }
}

/// Where a package came from that was installed from no index: a repository, an archive.
pub fn own_build(package: &Fact) -> Option<&str> {
    let (_, build) = package.get("spec")?.split_once('@')?;
    Some(build)
}

/// Where the code still sets a variable that the old Dockerfile set as well, and the new one does
/// not: only programs that come to that line see it.
fn left_to_code(old: &Fact, new: &Fact) -> Option<String> {
    let is_code = |place: &&Place| place.file.name().ends_with(b".py");
    let in_both = |place: &&Place| {
        let mut code = old.places.iter().filter(is_code);
        code.any(|other| other.file.name() == place.file.name())
    };
    let is_left = new.places.iter().all(|place| is_code(&place))
        && !old.places.iter().all(|place| is_code(&place));
    let mut both = new.places.iter().filter(in_both);
    both.next().filter(|_| is_left).map(ToString::to_string)
}

/// Whether two commands start the same program: the path of the script goes with the layout.
fn same_start(old: &str, new: &str) -> bool {
    let names = |line: &str| -> Vec<String> {
        line.split_whitespace()
            .map(|word| word.rsplit('/').next().unwrap_or(word).to_owned())
            .filter(|word| word != "-u")
            .collect()
    };
    names(old) == names(new)
}

/// The files of a copied fact: itself, or those of the folder.
fn files(name: &str, fact: &Fact) -> Vec<String> {
    match fact.get(FILES) {
        None => vec![name.to_owned()],
        Some(files) => {
            let folder = name.strip_prefix("./").unwrap_or(name);
            files
                .lines()
                .map(|file| format!("{folder}{file}"))
                .collect()
        }
    }
}

/// The commands of a step.
fn commands(_: &str, fact: &Fact) -> Vec<String> {
    let commands = fact.get("commands").unwrap_or_default().lines();
    commands.map(str::to_owned).collect()
}

/// What the new image does and the old one didn't, by the same program and with most of its words.
fn in_place_of(command: &str, old: &Facts, new: &Facts) -> Option<String> {
    let all = |facts: &Facts| -> Vec<String> {
        let steps = facts.area("step");
        steps
            .flat_map(|(name, fact)| commands(name, fact))
            .collect()
    };
    let before = all(old);
    let words: Vec<&str> = command.split_whitespace().collect();
    let shared = |other: &String| {
        let same = |word: &&str| words.contains(word);
        other.split_whitespace().filter(same).count()
    };
    let is_near = |other: &String| {
        let program = other.split_whitespace().next();
        let most = words.len().max(other.split_whitespace().count());
        program == words.first().copied() && 2 * shared(other) >= most
    };
    let other = all(new).into_iter().filter(|other| !before.contains(other));
    other.filter(is_near).max_by_key(shared)
}

/// Whether a step of the build runs this program on a file, or on all of a folder.
fn sets(facts: &Facts, program: &str, file: &str) -> bool {
    let own = file.rsplit('/').next().unwrap_or(file);
    let commands = facts
        .area("step")
        .filter_map(|(_, step)| step.get("commands"));
    commands.flat_map(str::lines).any(|line| {
        let words = || line.split_whitespace();
        let is_meant = |word: &str| word.ends_with(own) || word.contains('*') || word == "-R";
        words().any(|word| word == program) && words().any(is_meant)
    })
}
