//! Facts: what an interface says, one by one, each with an id that is the same for every worker.
//!
//! All later steps see facts only, so that a worker that is long gone and is known
//! from `.xtask/baseline.json` compares like one that is there.

mod hub;
mod image;
mod running;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::unread::{self, UnreadFact};
use worker_files::dockerfile::Named;
use worker_files::{COMPUTED, Hides, Place, WorkerInterface, add_value, is_one_of};
use xtask_core::output::cut;
use xtask_core::secret::masked;
use xtask_core::tree::{RepoPath, Tree};

/// One thing that a worker exposes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Fact {
    /// What is known of it: `default`, `flag`, `value`, … Empty values are left out.
    pub value: BTreeMap<String, String>,
    #[serde(skip)]
    pub places: Vec<Place>,
}

impl Fact {
    /// A value that was read nowhere.
    pub fn of_value(value: &impl ToString) -> Self {
        Self::single("value", value.to_string(), Vec::new())
    }

    pub fn single(key: &str, text: String, places: Vec<Place>) -> Self {
        let value = BTreeMap::from([(key.to_owned(), text)]);
        Self { value, places }
    }

    pub fn judged(&self) -> impl Iterator<Item = (&String, &String)> {
        let value = self.value.iter();
        value.filter(|(key, _)| !WORDING.contains(&key.as_str()))
    }

    /// The attributes that are judged and that another fact has otherwise.
    pub fn differing<'f>(&'f self, other: &'f Self) -> impl Iterator<Item = &'f str> {
        let keys: BTreeSet<&String> = self.value.keys().chain(other.value.keys()).collect();
        let keys = keys.into_iter().map(String::as_str);
        keys.filter(|key| !WORDING.contains(key) && self.get(key) != other.get(key))
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.value.get(key).map(String::as_str)
    }

    /// The parts of an attribute; none where it is not there.
    pub fn parts<'f>(&'f self, key: &str, by: &'f str) -> impl Iterator<Item = &'f str> + Clone {
        let text = self.get(key).into_iter();
        text.flat_map(move |text| text.split(by))
    }

    /// Whether it is a variable that switches something on.
    pub fn is_switch(&self) -> bool {
        self.get("how") == Some("switch")
    }

    /// Adds to an attribute that is a sorted list of words.
    fn add_word(&mut self, key: &str, word: &str) {
        let words = self.value.entry(key.to_owned()).or_default();
        let mut known: BTreeSet<&str> = words.split_whitespace().collect();
        known.insert(word);
        *words = known.into_iter().collect::<Vec<_>>().join(" ");
    }

    /// Adds a line to an attribute, unless it is there or the attribute is that long already.
    fn add_line(&mut self, key: &str, line: &str, most_bytes: usize) {
        let lines = self.value.entry(key.to_owned()).or_default();
        let line = line.replace('\n', " ");
        if lines.len() < most_bytes && !lines.lines().any(|known| known == line) {
            let end = if lines.is_empty() { "" } else { "\n" };
            *lines += &format!("{end}{line}");
        }
    }

    pub fn has(&self, key: &str) -> bool {
        self.value.contains_key(key)
    }

    /// Whether code that runs has it.
    pub fn is_reached(&self) -> bool {
        !self.has("reached")
    }
}

/// The areas of facts: each with its name for people, the harm that its facts do, and the kind of
/// construct that was not read and may hold them. Below 10 are those that endpoints depend on, the
/// most harmful first; then come results, what is unknown, the form, the image, other ways to build
/// and to start it, and the rest.
pub const AREAS: [(&str, &str, usize, Option<Hides>); 27] = [
    ("env", "environment variables", 0, Some(Hides::Variables)),
    ("flag", "server flags", 7, Some(Hides::Flags)),
    ("route", "routes", 2, JOBS),
    ("input", "job input", 1, JOBS),
    ("serverless", "serverless settings", 3, JOBS),
    ("result", "results", 4, JOBS),
    ("serves", "served routes", 5, None),
    ("model", "models", 6, None),
    ("code", "code behind no fact", 10, None),
    ("python", "Python API", 60, None),
    ("image", "image", 40, Some(Hides::Image)),
    ("arg", "build arguments", 40, Some(Hides::Image)),
    ("mount", "build mounts", 40, Some(Hides::Image)),
    ("copy", "copied files", 40, Some(Hides::Image)),
    ("pip", "pip packages", 40, Some(Hides::Packages)),
    ("constraint", "pip constraints", 40, Some(Hides::Packages)),
    ("apt", "apt packages", 40, Some(Hides::Packages)),
    ("conda", "conda packages", 40, Some(Hides::Packages)),
    ("apk", "apk packages", 40, Some(Hides::Packages)),
    ("step", "build steps", 40, Some(Hides::Packages)),
    ("compose", "compose", 50, Some(Hides::Settings)),
    ("bake", "bake", 50, Some(Hides::Settings)),
    ("hub", "Hub form", 30, Some(Hides::Settings)),
    ("tests", "Hub tests", 30, Some(Hides::Settings)),
    ("readme", "README", 60, None),
    ("unread", "not read", 20, None),
    ("run", "runs", 10, None),
];

const JOBS: Option<Hides> = Some(Hides::JobInput);

/// Attributes that are wording: told, but a change of them is no change of the worker.
pub const WORDING: [&str; 7] = [
    "title",
    "description",
    "label",
    "target",
    ADVANCED,
    RUNS,
    IDLE,
];

/// That the Hub's form hides a variable, which is judged by itself.
pub const ADVANCED: &str = "advanced";

/// The content of a Python file that runs and does something when it is imported, and of any other.
pub const RUNS: &str = "runs";
pub const IDLE: &str = "idle";

/// How a variable reaches the server's command whose words are arguments of it.
pub const PASSED: &str = "passed";
/// The numbers and switches of a function that its calls leave out.
pub const LEFT_OUT: &str = "left out";

/// A path that a command starts, and at which the image holds no file.
pub const ABSENT: &str = "absent";

/// What besides variables decides whether a flag is passed.
pub const WHEN: &str = "when";
/// The other variables that must hold for a flag, or must not.
pub const NEEDS: &str = "needs";

/// The value that a flag is given behind those of its variables, which never count.
pub const LAST: &str = "last";

/// What a flag has as its value that stands alone.
pub const ALONE: &str = "on";

/// How long a list of what requests hold, or of what loads a model, may get.
const MOST_BYTES: usize = 8192;

/// The programs through which the server is started, with their options.
pub const STARTED_THROUGH: &str = "flag:started-through";

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
    /// Whether they are of a record of version 1, which spelt some values in another way.
    pub is_first: bool,
    /// The facts that come from an older reader's record, though the rest is read now.
    pub from_older: BTreeSet<String>,
    /// The release of `SGLang` that the worker runs, where that is known.
    pub sglang: Option<String>,
    /// Whether that is what `sglang_flags.json` was made from, as nothing pins a release.
    pub is_by_table: bool,
    /// What of the worker has no effect, and so is no fact; in words.
    pub passed_over: Option<String>,
    /// The files that the builder is not given, by the names that facts of COPY have.
    pub ignored: BTreeSet<String>,
    /// The Python files that run, whether or not they do anything when they are imported.
    pub reached: BTreeSet<RepoPath>,
    /// Where in results stands what was not followed: the keys before it, with dots.
    pub loose_results: BTreeSet<String>,
}

impl Facts {
    pub fn read(tree: &dyn Tree) -> anyhow::Result<Self> {
        let (interface, unread) = WorkerInterface::read(tree)?.split();
        let pinned = interface.sglang().map(|(version, _)| version);
        let mut facts = Self {
            unread: unread::of(unread, tree)?,
            is_by_table: pinned.is_none(),
            sglang: pinned.or_else(|| interface.flag_table.as_ref()?.version.clone()),
            ..Self::default()
        };
        facts.add_running(&interface);
        facts.add_flags(&interface);
        facts.add_python(&interface);
        facts.add_image(&interface, tree);
        facts.add_build(&interface);
        facts.add_hub(&interface);
        facts.ignored = image::ignored(tree)?;
        facts.reached = interface.python.reached;
        facts.loose_results = interface.python.loose_results;
        Ok(facts)
    }

    pub fn get(&self, id: &str) -> Option<&Fact> {
        self.all.get(id)
    }

    pub fn has(&self, id: &str) -> bool {
        self.all.contains_key(id)
    }

    pub fn attribute(&self, id: &str, key: &str) -> Option<&str> {
        self.get(id)?.get(key)
    }

    pub fn variable(&self, name: &str) -> Option<&Fact> {
        self.get(&format!("env:{name}"))
    }

    /// What the image, or what starts in it, sets a variable to.
    pub fn in_image(&self, name: &str) -> Option<&str> {
        self.attribute(&format!("image:{name}"), "value")
    }

    /// What a build that is given no argument fills in for `$NAME` and `${NAME:-default}`; any other
    /// text as it is.
    pub fn filled_in<'f>(&'f self, text: &'f str) -> &'f str {
        let name = text.strip_prefix('$').map(|name| {
            let inner = name.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            inner.unwrap_or(name)
        });
        let (name, default) = match name.map(|name| (name, name.split_once(":-"))) {
            None => return text,
            Some((_, Some((name, default)))) => (name, self.filled_in(default)),
            Some((name, None)) => (name, text),
        };
        let given = self.attribute(&format!("arg:{name}"), "value");
        given.filter(|given| !given.is_empty()).unwrap_or(default)
    }

    /// The variable to set for a flag in the image: the one that the Hub's form offers, as an
    /// endpoint has that one too, and the worker ends where two of a flag disagree.
    pub fn offered<'n>(&'n self, name: &'n str) -> &'n str {
        let is_offered = |name: &str| self.has(&format!("hub:{name}"));
        let flag = self.variable(name).and_then(|fact| fact.get("flag"));
        let flag = flag.filter(|_| !is_offered(name));
        let mut others = flag.into_iter().flat_map(|flag| self.drivers(flag));
        others.find(|other| is_offered(other)).unwrap_or(name)
    }

    /// The variables that set a flag.
    pub fn drivers<'f>(&'f self, flag: &'f str) -> impl Iterator<Item = &'f str> {
        let all = self.area("env");
        let drivers = all.filter(move |(_, fact)| fact.get("flag") == Some(flag));
        drivers.map(|(name, _)| name)
    }

    /// Adds what a record of the whole worker knows beside `tree`, which these facts were read from
    /// and which lacks files. What this reader recorded itself is taken as it is: a COPY is read
    /// with the files that it names, a default in all files together. Of an older reader's record
    /// only what stands in other files is.
    pub fn complete(&mut self, record: Self, tree: &dyn Tree) {
        if !record.is_older && record.has_code_beside(tree) {
            // What starts that code is read otherwise without it.
            let is_start = |id: &str| is_one_of("step flag", area_of(id));
            self.all.retain(|id, _| record.has(id) || !is_start(id));
            self.unread.clear();
        }
        if !record.is_older {
            // A list that this tree lacks; the record has its packages.
            let is_list =
                |id: &str| is_one_of("pip apt constraint", area_of(id)) && id.contains(' ');
            self.all.retain(|id, _| record.has(id) || !is_list(id));
            let mut more = record.unread;
            more.retain(|gap| self.unread.iter().all(|known| known.id != gap.id));
            self.unread.extend(more);
            for (id, mut fact) in record.all {
                let own = self.all.remove(&id).unwrap_or_default().value;
                let wording = own.into_iter().filter(|(key, _)| WORDING.contains(&&**key));
                fact.value.extend(wording);
                self.all.insert(id, fact);
            }
            self.sglang = record.sglang.or(self.sglang.take());
            return;
        }
        let holds = |fact: &Fact| {
            let mut files = fact.places.iter().map(|place| &place.file);
            files.any(|file| tree.entries().contains_key(file))
        };
        for (id, fact) in record.all {
            if !holds(&fact) && !self.has(&id) {
                self.from_older.insert(id.clone());
                self.all.insert(id, fact);
            }
        }
        self.sglang = self.sglang.take().or(record.sglang);
    }

    /// Whether some of these facts stand in code or scripts that a tree lacks.
    pub fn has_code_beside(&self, tree: &dyn Tree) -> bool {
        let is_code = |file: &RepoPath| {
            let name = file.name();
            name.ends_with(b".py") || name.ends_with(b".sh") || !name.contains(&b'.')
        };
        let mut places = self.all.values().flat_map(|fact| &fact.places);
        places.any(|at| is_code(&at.file) && !tree.entries().contains_key(&at.file))
    }

    /// The facts of an area with the rest of their ids.
    pub fn area<'a>(&'a self, area: &'a str) -> impl Iterator<Item = (&'a str, &'a Fact)> + Clone {
        let name = move |id: &'a String| id.strip_prefix(area)?.strip_prefix(':');
        let all = self.all.range(format!("{area}:")..);
        all.map_while(move |(id, fact)| Some((name(id)?, fact)))
    }

    /// Adds to a fact: its places and its values pile up. Facts are recorded and shown, so they hold
    /// no secret.
    fn add(&mut self, id: impl AsRef<str>, place: &Place, value: &[(&str, Option<&str>)]) {
        const MOST_PLACES: usize = 8;
        let id = masked(id.as_ref()).into_owned();
        let is_new = !self.has(&id);
        let fact = self.all.entry(id).or_default();
        if fact.places.len() < MOST_PLACES && !fact.places.contains(place) {
            fact.places.push(place.clone());
        }
        for (key, value) in value {
            // One place that runs is enough.
            if *key == "reached" && (value.is_none() || !is_new && !fact.has(key)) {
                fact.value.remove(*key);
            } else if let Some(value) = value.filter(|v| !v.is_empty()) {
                let value = masked(value);
                let known = fact.value.entry((*key).to_owned()).or_default();
                // Each of several places may give another value, and each counts.
                if known.is_empty() || !WORDING.contains(key) {
                    add_value(known, &value);
                }
            }
        }
    }

    fn add_value(&mut self, id: impl AsRef<str>, place: &Place, value: &str) {
        self.add_text(id, place, "value", value);
    }

    fn add_text(&mut self, id: impl AsRef<str>, place: &Place, key: &str, text: &str) {
        self.add(id, place, &[(key, Some(text))]);
    }

    /// Adds a fact for each name, with its value.
    fn add_named(&mut self, prefix: &str, all: &[Named]) {
        for Named { name, value, place } in all {
            self.add_value(format!("{prefix}{name}"), place, value);
        }
    }

    fn add_python(&mut self, interface: &WorkerInterface) {
        for path in interface.sources.keys() {
            if path.name() == b"__init__.py"
                && let Some(package) = path.parent()
            {
                let place = Place::start_of(path);
                self.add_text(format!("python:{package}"), &place, "kind", "package");
            }
        }
        for item in &interface.python.api {
            let plain = format!("python:{}", item.name);
            let known = self.get(&plain);
            let module = Some(item.module.as_str());
            let id = match known {
                Some(fact) if fact.get("module") != module => {
                    format!("python:{}.{}", item.module, item.name)
                }
                _ => plain,
            };
            let value = [
                ("kind", Some(item.kind.word())),
                ("signature", Some(&*item.signature)),
                ("module", module),
                (LEFT_OUT, Some(&*item.left_out.join(", "))),
            ];
            self.add(id, &item.place, &value);
        }
    }
}

/// The area of a fact: `env` of `env:MODEL_NAME`.
pub fn area_of(id: &str) -> &str {
    id.split(':').next().unwrap_or_default()
}

/// A text without the hashes behind the source text of what is computed.
pub fn without_marks(text: &str) -> String {
    let mut parts = text.split(COMPUTED);
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once(')').map_or(part, |(_, rest)| rest));
    rest.fold(first, |text, part| text + " (computed)" + part)
}

const LONGEST_VALUE: usize = 160;

/// A fact's value in one line: `--model-path, default 0.0.0.0`.
pub fn value(fact: &Fact) -> String {
    let mut parts = Vec::new();
    for (key, value) in &fact.value {
        let value = without_marks(value).replace('\n', ", ");
        match key.as_str() {
            RUNS | IDLE => parts.push(key.clone()),
            "title" | "description" | ADVANCED | "on" | "module" | "kind" | "used" => {}
            "value" | "flag" | "spec" | "signature" | "values" | "target" => parts.insert(0, value),
            "how" if value == "value" => {}
            "undefaulted" => parts.push("elsewhere without a default".to_owned()),
            _ => parts.push(format!("{key} {value}")),
        }
    }
    cut(&parts.join(", "), LONGEST_VALUE)
}
