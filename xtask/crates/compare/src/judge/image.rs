//! The image and its packages.

use std::collections::{BTreeSet, HashSet};

use super::super::facts::{ABSENT, FILES, Fact, Facts, IDLE, RUNS, WHEN};
use super::flags::passed_when;
use super::hub::is_read_outside;
use super::values::ALWAYS_SET;
use super::{Item, Judge, Verdict, difference, few};
use worker_files::{ALSO, IF, Place, is_one_of};
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
        self.newly_set();
        self.judge_area("image", |judge, name, id, old, new| match new {
            Some(new) => Some(judge.image_both(name, id, old, new)),
            None => judge.image_kept(name, id, old),
        });
        for area in ["arg", "mount"] {
            self.judge_area(area, |_, _, _, _, _| None);
        }
        // A folder of many files is one fact, so that on one side a name may stand alone that is
        // part of a folder on the other.
        self.judge_parts("copy", files, |lost, of| match (few(lost, 5), lost.len()) {
            _ if of == 1 => "The new image doesn't hold this file.".to_owned(),
            (names, n) => format!("The new image doesn't hold {n} of these {of} files: {names}."),
        });
        self.copied();
        self.started();
        self.user_added();
    }

    /// Programs that were the base image's user, mostly root, may write less as another one.
    fn user_added(&mut self) {
        let id = "image:USER";
        let user = self.new.attribute(id, "value").unwrap_or_default();
        let name = user.split(':').next().unwrap_or_default();
        let is_root = name.is_empty() || is_one_of("root 0", name);
        if !self.old.has(id) && !is_root && !name.contains('$') {
            let why =
                format!("The container runs as `{name}` now, and not as the base image does.");
            let item = Item::new(id, Verdict::Added, None, self.new.get(id)).open(why);
            self.items.insert(id.to_owned(), item);
        }
    }

    /// What the new worker always sets, and the old one left to the endpoint, for the programs that
    /// inherit it.
    fn newly_set(&mut self) {
        let (before, after) = (self.old, self.new);
        for (name, new) in after.area("image") {
            let id = format!("image:{name}");
            let is_known = before.has(&id) || before.variable(name).is_some();
            if new.get("set").is_some() && is_read_outside(name) && !is_known {
                let item = Item::new(&id, Verdict::Changed, None, new);
                self.push(item.why(format!("{ALWAYS_SET}.")));
            }
        }
    }

    /// What the new start names and the new image does not hold, whichever instruction starts it.
    fn started(&mut self) {
        let starts = ["image:CMD", "image:ENTRYPOINT"];
        let before = starts.iter().filter_map(|id| self.old.get(id));
        let before: BTreeSet<&str> = before.flat_map(|fact| fact.parts(ABSENT, ALSO)).collect();
        for id in starts {
            let paths = self.new.get(id).into_iter();
            let paths = paths.flat_map(|fact| fact.parts(ABSENT, ALSO));
            let paths: Vec<&str> = paths.filter(|path| !before.contains(path)).collect();
            let all = paths.join(" and ");
            let why = format!("It starts {all}, where the new image holds no file.");
            self.change(id, (!paths.is_empty()).then_some(why));
        }
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
                let help = "there and copy it again, or record why not.";
                item.why += " `.dockerignore` leaves it out of the build.";
                item.help = format!("Let it in with `!{name}` {help}");
            }
            let Some(new) = facts.get(&id) else { continue };
            if new.has(ABSENT) && !old.has(ABSENT) && !item.open {
                item.change(
                    "The Dockerfile copies it, and the repository has no such file.".to_owned(),
                );
            }
            if let Some((was, is)) = old.get("to").zip(new.get("to"))
                && was != is
                && !item.open
            {
                item.change(format!("The image held it as {was}, and holds it as {is}."));
                item.help = format!(
                    "Name the new place where {was} is opened, or copy it there: \
                     `COPY {name} {was}` in the Dockerfile; or record why not."
                );
            }
            if new.has(IDLE) && old.get(RUNS) == new.get(IDLE) && !item.open {
                let why = "The image holds it as before, but nothing that runs imports it now.";
                item.change(why.to_owned());
            }
            let is_module = name.rsplit('.').next() == Some("py");
            // The local test's data is no part of what an endpoint does.
            let is_data = !is_module && name != "test_input.json" && old.has(RUNS) && new.has(RUNS);
            if is_data && old.get(RUNS) != new.get(RUNS) && !item.open {
                item.change(format!("{name} holds another text now."));
            }
            for (option, what) in [("chmod", "mode"), ("chown", "owner")] {
                let (was, is) = (old.get(option), new.get(option));
                if was.is_some() && is != was && !sets(facts, option, name) {
                    item.change(format!("{}.", difference(what, was, is)));
                }
            }
        }
    }

    /// What the new image sets no longer, and need not: only the worker read it, and does as before.
    fn image_kept(&self, name: &str, id: &str, old: &Fact) -> Option<Item> {
        let now = self.renamed.get(name).map_or(name, String::as_str);
        let [was, is] = [self.old.variable(name)?, self.new.variable(now)?];
        if is_read_outside(name) || !was.is_reached() || !is.is_reached() {
            return None;
        }
        let why = self.still_in_effect(name, was, is)?;
        if why.is_empty() {
            return None;
        }
        Some(Item::new(id, Verdict::Kept, old, None).why(why))
    }

    fn image_both(&self, name: &str, id: &str, old: &Fact, new: &Fact) -> Item {
        let [was, is] = [old, new].map(|fact| fact.get("value").unwrap_or_default());
        let kept = Item::new(id, Verdict::Kept, old, new);
        let changed = Item::new(id, Verdict::Changed, old, new);
        // What a script exports under a condition is not told here.
        let mut places = old.places.iter().chain(&new.places);
        let by_code = places.all(is_code);
        let conditional = [old, new].map(|fact| fact.get(WHEN).filter(|_| !fact.has("set")));
        let differs = conditional[0].is_some() != conditional[1].is_some();
        let sets = old.has("set") || by_code && new.has("set");
        if was == is && differs && sets {
            let [before, now] = conditional.map(passed_when);
            return changed.why(format!("It was set {before}; now it is {now}."));
        }
        if was == is || name == "FROM" && without_registry(was) == without_registry(is) {
            return match left_to_code(old, new) {
                Some(place) => {
                    changed.why(format!("The Dockerfile set it too; now only {place} does."))
                }
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
        // Where no build argument was given, the code's own default held.
        let default = self.old.attribute(&format!("env:{name}"), "default");
        if was.starts_with('$') && Some(is) == default {
            return kept.why("It is the default that the code had.");
        }
        let [before, now] = [was, is].map(|value| Some(value).filter(|value| !value.is_empty()));
        let from_to = format!("{}.", difference("It", before, now));
        let is_sglangs = |facts: &Facts| facts.has("image:sglang");
        let changed = match name {
            "FROM" if is_sglangs(self.new) && !is_sglangs(self.old) => changed.help(
                "The new worker is made for SGLang's own image: record why it is meant, or name \
                 another tag of it.",
            ),
            "cuda" => changed.help(
                "It comes with the base image: record why that is meant, or build on another.",
            ),
            _ => changed,
        };
        changed.why(match name {
            "cuda" if sglang::order(was, is).is_lt() => {
                format!("{from_to} Hosts whose driver is older than CUDA {is} refuse the image.")
            }
            "sglang" => format!("{from_to} Its flags and defaults are another release's."),
            _ => from_to,
        })
    }

    /// Packages of every kind, and the other steps of the build.
    pub fn packages(&mut self) {
        // An entry is a RUN line, but a command may move to another one.
        self.judge_parts("step", commands, |lost, _| {
            format!("The new image does it nowhere: {}.", few(lost, 5))
        });
        self.made_executable();
        self.fewer_places();
        for area in ["pip", "constraint", "apt", "conda", "apk"] {
            let unused = "It is still written down, and no step of the build installs it.";
            self.judge_area(area, |judge, name, id, old, new| match new {
                _ if old.has("unused") => {
                    let why = "The old image never had it: no step of its build installed it.";
                    Some(Item::new(id, Verdict::Kept, old, new).why(why))
                }
                Some(new) if new.has("unused") => {
                    Some(Item::new(id, Verdict::Missing, old, new).why(unused))
                }
                Some(new) => {
                    let kept = Item::new(id, Verdict::Kept, old, new);
                    if judge.condition_is_known(old, new) {
                        return Some(kept);
                    }
                    let [was, is] = [old, new].map(|fact| fact.get("spec"));
                    let others = Self::differences(old, new, Some(&["index", "options"]));
                    let [before, now] = [was, is].map(newest);
                    let mut gone = before.difference(&now);
                    let is_looser = now.is_subset(&before) && gone.all(|one| one.starts_with('>'));
                    let is_same = was != is && others.is_empty() && is_looser;
                    let differ = difference("spec", was, is);
                    is_same.then(|| {
                        kept.why(format!("{differ}: the newest that it allows is the same."))
                    })
                }
                None => judge.package_gone(area, name, id, old),
            });
        }
    }

    /// Whether two packages differ by a condition alone, which a build argument decided in the other
    /// build: what became of that is told of the argument.
    fn condition_is_known(&self, old: &Fact, new: &Fact) -> bool {
        let told = |fact: &Fact, facts: &Facts| {
            let options = fact.get("options").unwrap_or_default();
            let (rest, condition) = options.split_once(IF.trim_start()).unwrap_or((options, ""));
            let name = condition.split(' ').next().unwrap_or_default();
            let value = facts.attribute(&format!("arg:{name}"), "value");
            let is_known = value.is_some_and(|value| !value.is_empty());
            (rest.trim().to_owned(), !condition.is_empty(), is_known)
        };
        let (was, is) = (told(old, self.new), told(new, self.old));
        let mut keys = ["spec", "index"].into_iter();
        was.0 == is.0
            && (was.1 && !is.1 && was.2 || is.1 && !was.1 && is.2)
            && keys.all(|key| old.get(key) == new.get(key))
    }

    /// A step that made files executable is no loss where they are copied so now.
    fn made_executable(&mut self) {
        let copies = self.new.area("copy");
        let is_one = |mode| is_one_of(EXECUTABLE, mode);
        let copied = copies.filter(|(_, fact)| fact.get("chmod").is_some_and(is_one));
        let copied = copied.filter_map(|(name, _)| name.rsplit('/').next());
        let copied: HashSet<&str> = copied.collect();
        let steps = self.new.area("step");
        let after: HashSet<String> = steps.flat_map(|(_, it)| commands("", it)).collect();
        for (name, old) in self.old.area("step").filter(|_| !copied.is_empty()) {
            let is_kept = |line: &String| {
                let files = line.strip_prefix("chmod +x ").into_iter();
                let mut files = files.flat_map(str::split_whitespace).peekable();
                after.contains(line)
                    || files.peek().is_some() && files.all(|file| copied.contains(file))
            };
            if commands(name, old).iter().all(is_kept)
                && let Some(item) = self.items.get_mut(&format!("step:{name}"))
                && item.open
            {
                item.keep("The file is copied with that mode now.");
            }
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
                item.change(format!("{file} did it too, and does not now."));
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
        spec.split(',').map(str::trim).all(|limit| {
            let version = limit.trim_start_matches(['=', '<', '>', '~', '!', ' ']);
            let operator = limit[..limit.len() - version.len()].trim();
            let order = sglang::order(is, version);
            let is_in = |series: &str| is.starts_with(&format!("{series}."));
            let is_it = version.strip_suffix(".*").map_or(order.is_eq(), is_in);
            let series = version.rsplit_once('.').map(|(series, _)| series);
            match operator {
                "==" | "===" => is_it || self.old.sglang.as_deref() == Some(version),
                "!=" => !is_it,
                ">=" => order.is_ge(),
                "<=" => order.is_le(),
                ">" => order.is_gt(),
                "<" => order.is_lt(),
                "~=" => order.is_ge() && series.is_none_or(is_in),
                _ => true,
            }
        })
    }

    /// A package that nothing installs now, where the old image did not have it or the new one has
    /// it from its base.
    fn package_gone(&self, area: &str, name: &str, id: &str, old: &Fact) -> Option<Item> {
        let names = match area {
            "pip" => BROUGHT,
            "apt" => BROUGHT_APT,
            _ => "",
        };
        let base = self.new.in_image("FROM").unwrap_or_default();
        if !(base.contains("sglang") && is_one_of(names, name)) {
            return None;
        }
        let brought = format!("{}'s own image brings it", self.sglang);
        let as_named = format!("{brought}, at the version that the base image names.");
        let spec = old.get("spec").unwrap_or_default();
        // At whatever release is the newest, also over one that is there.
        let is_upgraded = !spec.contains(['=', '<', '>', '~'])
            && old.parts("options", " ").any(|one| one == "--upgrade");
        let item = |verdict, why: String| Some(Item::new(id, verdict, old, None).why(why));
        let (kept, changed) = (
            |why| item(Verdict::Kept, why),
            |why| item(Verdict::Changed, why),
        );
        match own_build(old).filter(|_| area == "pip") {
            // A build of its own is another program.
            Some(build) => changed(format!(
                "It was installed from {build}; {brought} as released."
            )),
            None if name == "sglang" && !self.allows(old) => {
                let release = self.pinned();
                changed(format!(
                    "It was installed as `{spec}`; the new image has {release}."
                ))
            }
            None if name == "sglang" && is_upgraded => changed(format!(
                "It was upgraded to the newest release at each build; {as_named}"
            )),
            None if matches!(name, "sglang" | "flashinfer") => kept(as_named),
            None if area == "pip" => changed(format!(
                "The worker doesn't install it any more; {brought}, at whatever version that is."
            )),
            None => kept(format!("{brought}.")),
        }
    }
}

/// What a specifier says of the newest release that it allows: all but its lower bounds within a
/// major version.
fn newest(spec: Option<&str>) -> BTreeSet<String> {
    let (bounds, marker) = spec
        .unwrap_or_default()
        .split_once(';')
        .unwrap_or((spec.unwrap_or_default(), ""));
    let (extras, bounds) = bounds.rsplit_once(']').unwrap_or(("", bounds));
    let bounds = bounds.split(',').map(|bound| {
        let series = bound.strip_prefix("~=").and_then(|it| it.rsplit_once('.'));
        match (series, bound.strip_prefix('>')) {
            (Some((series, _)), _) => format!("=={series}.*"),
            // A newer major version is another package to those who use it.
            (None, Some(lower)) => format!(">{}", lower.split('.').next().unwrap_or_default()),
            _ => bound.to_owned(),
        }
    });
    let bounds = bounds.filter(|bound| !bound.is_empty());
    bounds
        .chain([extras, marker].map(|part| format!("; {part}")))
        .collect()
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
    let is_left = new.places.iter().all(is_code) && !old.places.iter().all(is_code);
    let mut both = new.places.iter().filter(|place| {
        let mut before = old.places.iter().filter(|other| is_code(other));
        before.any(|other| other.file.name() == place.file.name())
    });
    both.next().filter(|_| is_left).map(ToString::to_string)
}

fn is_code(place: &Place) -> bool {
    place.file.name().ends_with(b".py")
}

/// The name of an image without that of the registry that it comes from anyway.
fn without_registry(image: &str) -> &str {
    let short = image.strip_prefix("docker.io/").unwrap_or(image);
    short.strip_prefix("library/").unwrap_or(short)
}

/// Whether two commands start the same program: the path of the script goes with the layout. Bash
/// asks for no mode of a script that it is given.
fn same_start(old: &str, new: &str) -> bool {
    fn names(line: &str) -> impl Iterator<Item = Option<&str>> {
        let names = line.split_whitespace().map(|word| word.rsplit('/').next());
        names.filter(|word| *word != Some("-u"))
    }
    let mut by_bash = ["bash ", "/bin/bash "].iter();
    let script = by_bash.find_map(|bash| new.strip_prefix(bash));
    let is_script = |text: &&str| text.rsplit('.').next() == Some("sh") && !text.contains(' ');
    let script = script.filter(is_script);
    script.is_some_and(|script| same_start(old, script)) || names(old).eq(names(new))
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
    commands.map(in_one_form).collect()
}

/// The modes that let a file be run, as `chmod` is told.
const EXECUTABLE: &str = "+x a+x ugo+x 755 0755";

/// A command in one of the forms that mean the same: what makes files executable by their names,
/// as a wrong folder fails the build, and what fetches a file with the address last.
fn in_one_form(line: &str) -> String {
    let mut words: Vec<&str> = line.split_whitespace().collect();
    let is_address = |word: &&str| word.contains("://");
    match words[..] {
        ["chmod", mode, ref files @ ..]
            if is_one_of(EXECUTABLE, mode) && !line.contains([';', '*', '$']) =>
        {
            let names = files.iter().map(|file| file.rsplit('/').next());
            let names: Vec<&str> = names.map(Option::unwrap_or_default).collect();
            format!("chmod +x {}", names.join(" "))
        }
        ["curl" | "wget", ..] if words.iter().copied().filter(|w| is_address(w)).count() == 1 => {
            words.sort_by_key(is_address);
            words.join(" ")
        }
        _ => line.to_owned(),
    }
}

/// Whether a step of the build runs this program on a file, or on all of a folder.
fn sets(facts: &Facts, program: &str, file: &str) -> bool {
    let own = file.rsplit('/').next().unwrap_or(file);
    let steps = facts.area("step");
    let mut lines = steps.flat_map(|(_, step)| step.parts("commands", "\n"));
    lines.any(|line| {
        let words = || line.split_whitespace();
        let is_meant = |word: &str| word.ends_with(own) || word.contains('*') || word == "-R";
        words().any(|word| word == program) && words().any(is_meant)
    })
}
