//! Install commands: which package manager, and what for.

use std::ops::Range;

use super::{Manager, archive_name, is_path, requirement};
use crate::is_one_of;
use crate::shell::{Command, Word, variables};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Install {
    pub manager: Manager,
    pub wanted: Vec<(Wanted, Range<usize>)>,
    /// Options that decide where packages come from: another index, constraints.
    pub index: Option<String>,
    /// Options that decide what of them is installed, and where to.
    pub options: Option<String>,
    /// Whether a release that is installed already is replaced.
    pub upgrades: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// Its name and its version.
    Package(String, String),
    /// What a file or a folder lists.
    Listed(Listing, String),
    /// A name that only the build knows.
    Computed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    Requirements,
    Constraints,
    Words,
    Environment,
    Project,
}

impl Listing {
    /// The prefix of the path of a file that is not in the repository.
    pub fn word(self) -> &'static str {
        match self {
            Self::Requirements => "-r ",
            Self::Constraints => "-c ",
            Self::Words => "the names in ",
            Self::Environment => "-f ",
            Self::Project => "",
        }
    }
}

impl Install {
    fn new(manager: Manager) -> Self {
        Self {
            manager,
            ..Self::default()
        }
    }

    fn want(&mut self, wanted: Wanted, word: &Word) {
        self.wanted.push((wanted, word.range.clone()));
    }

    fn list(&mut self, listing: Listing, path: impl Into<String>, word: &Word) {
        self.want(Wanted::Listed(listing, path.into()), word);
    }

    fn index(&mut self, option: &str) {
        super::add_options(&mut self.index, Some(option));
    }

    fn option(&mut self, option: &str) {
        super::add_options(&mut self.options, Some(option));
    }

    /// The file whose lines the command is given as its arguments.
    fn listed(mut self, command: &Command, listing: Listing) -> Self {
        if let (Some(file), Some(first)) = (&command.list, command.run().first()) {
            self.list(listing, file, first);
        }
        self
    }
}

/// Options of pip and uv that take a value of no interest here.
const PIP_VALUES: &str = "--python -o -p --trusted-host --timeout --retries --cache-dir \
    --progress-bar --src --upgrade-strategy --log --proxy --cert --client-cert --exists-action \
    --root-user-action --link-mode";

/// Options that decide what of a package is installed, and where to. These take a value.
const PIP_CHOICES: &str = "-t --target --prefix --root --platform --python-version --abi \
    --implementation --no-binary --only-binary --config-settings -C --global-option \
    --index-strategy --resolution --prerelease --torch-backend --build-constraint -b --extra";

const PIP_SWITCHES: &str = "--no-deps --no-index --no-build-isolation --require-hashes --user \
    --force-reinstall --ignore-installed -I --all-extras";

/// Options that say which of a project's groups of packages are installed; `GROUPS` take a value.
const GROUPS: &str = "--extra -E --extras --group --only-group --no-group --with --without --only";
const GROUP_SWITCHES: &str = "--all-extras --all-groups --no-dev --dev --only-dev \
    --no-default-groups";

/// Replaces a release that is installed already.
const UPGRADES: &str = "--upgrade";

/// Lets pip and uv change the packages of the system's own Python.
pub const BREAKS_SYSTEM: &str = "--break-system-packages";

/// Variables that change how fast or how loudly something is installed, but not what.
const SPEED: &str = "DEBIAN_FRONTEND MAX_JOBS PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE HOME PATH \
    UV_LINK_MODE UV_COMPILE_BYTECODE UV_HTTP_TIMEOUT UV_NO_CACHE UV_NO_PROGRESS NVCC_THREADS \
    PIP_NO_CACHE_DIR PIP_DEFAULT_TIMEOUT PIP_ROOT_USER_ACTION PIP_DISABLE_PIP_VERSION_CHECK \
    PIP_PROGRESS_BAR PIP_RETRIES CMAKE_BUILD_PARALLEL_LEVEL";

const PIP_INDEX: &str = "-i --index-url --extra-index-url -f --find-links -c \
    --constraint --constraints --index --default-index";

/// What a command installs; `None` where it is no install command.
pub fn installed(command: &Command) -> Option<Install> {
    let mut install = by_words(command)?;
    for (name, value) in command.set_for_it() {
        if name.ends_with("_BREAK_SYSTEM_PACKAGES") {
            install.option(BREAKS_SYSTEM);
        } else if counts(name) {
            install.option(&format!("{name}={value}"));
        }
    }
    Some(install)
}

/// Whether a variable decides what a step of the build makes.
pub fn counts(name: &str) -> bool {
    let is_cache = name.ends_with("_CACHE_DIR") || name.starts_with("UV_CONCURRENT_");
    !is_cache && !is_one_of(SPEED, name)
}

fn by_words(command: &Command) -> Option<Install> {
    let words = command.run();
    let program = command.program();
    let text = |index: usize| command.word(index);
    // The subcommand, behind options of the program itself.
    let verb = |from: usize, valued: &str| {
        let mut at = from;
        while text(at).starts_with(['-', '$']) {
            at += 1 + usize::from(is_one_of(valued, text(at)));
        }
        (text(at), at + 1)
    };
    let valued = [PIP_VALUES, PIP_CHOICES].join(" ");
    let pip_install = |from: usize| {
        let (what, from) = verb(from, &valued);
        (what == "install").then(|| pip(command, from))
    };
    let is_pip = |name: &str| {
        let version = name.strip_prefix("pip");
        version.is_some_and(|v| v.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    if program.starts_with("python") || program.starts_with("pypy") {
        if text(1) == "setup.py" && matches!(text(2), "install" | "develop") {
            return Some(whole_project(program, words));
        }
        let mut options = (1..words.len()).take_while(|&i| text(i).starts_with('-'));
        let module = options.find(|&i| text(i) == "-m")?;
        return pip_install(module + 2).filter(|_| is_pip(text(module + 1)));
    }
    if is_pip(program) || program == "pipx" {
        return pip_install(1);
    }
    match program {
        "uv" => match verb(1, "--directory --project --cache-dir --color") {
            ("pip", from) => match verb(from, &valued) {
                ("install", from) => Some(pip(command, from)),
                // What it reads are files.
                ("sync" | "compile", from) => {
                    let mut install = pip(command, from);
                    install.wanted.clear();
                    let files = words.iter().skip(from);
                    for word in files.filter(|word| !word.text.starts_with('-')) {
                        install.list(Listing::Requirements, &word.text, word);
                    }
                    Some(install)
                }
                _ => None,
            },
            ("sync" | "export", _) => Some(whole_project(program, words)),
            ("add", from) => Some(pip(command, from)),
            ("tool", from) if text(from) == "install" => Some(pip(command, from + 1)),
            _ => None,
        },
        "poetry" | "pdm" | "hatch" | "rye" | "pipenv" => {
            match verb(1, "-C --directory -P --project") {
                ("install", from) if program == "pipenv" && is_argument(text(from)) => {
                    Some(pip(command, from))
                }
                ("install" | "sync" | "export", _) => Some(whole_project(program, words)),
                ("add", from) => Some(pip(command, from)),
                _ => None,
            }
        }
        "conda" | "mamba" | "micromamba" => conda(command),
        "apt" | "apt-get" | "aptitude" => match verb(1, "-o -t -c") {
            ("install", from) => Some(system(command, from, Manager::Apt)),
            _ => None,
        },
        "apk" => match verb(1, "-X --repository -p --root") {
            ("add", from) => Some(system(command, from, Manager::Apk)),
            _ => None,
        },
        _ => None,
    }
}

fn is_argument(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('-')
}

/// `--name=value` as its two parts.
fn option(text: &str) -> (&str, Option<&str>) {
    match text.split_once('=') {
        Some((option, value)) if text.starts_with("--") => (option, Some(value)),
        _ => (text, None),
    }
}

/// What `uv run PROGRAM` installs before the program starts.
pub fn synced(command: &Command) -> Option<Install> {
    let words = &command.words;
    let is_run = |two: &[Word]| two[0].text == "uv" && two[1].text == "run";
    let at = words.windows(2).position(is_run)?;
    let own = words.get(at..words.len() - command.run().len())?;
    let leaves = |word: &Word| is_one_of("--no-sync --no-project --script", &word.text);
    (!own.iter().any(leaves)).then(|| whole_project("uv", own))
}

/// A project with the groups of its packages that are installed, as options of one form.
fn whole_project(program: &str, words: &[Word]) -> Install {
    let mut install = Install::default();
    let mut folder = ".";
    let mut by_default = match program {
        "uv" => "--group dev",
        "poetry" => "--all-groups",
        "pdm" | "hatch" | "rye" | "pipenv" => "--all-extras --all-groups",
        _ => "",
    };
    let is_known = matches!(program, "uv" | "poetry");
    for (index, word) in words.iter().enumerate() {
        let (option, inline) = option(&word.text);
        let next = words.get(index + 1).map_or("", |word| word.text.as_str());
        let value = inline.unwrap_or(next);
        let form = match option {
            "--directory" | "--project" | "-C" if folder == "." => {
                folder = value;
                continue;
            }
            "--extra" | "-E" | "--extras" => "--extra",
            "--group" | "--with" => "--group",
            "--no-group" | "--without" => "--no-group",
            "--only" if value.split(',').any(|group| group == "main") => "--group",
            "--only-group" | "--only" => "--only-group",
            "--all-extras" | "--all-groups" => option,
            _ if is_one_of(GROUP_SWITCHES, option) && !is_known => option,
            "--only-dev" => "--only-group dev",
            _ => "",
        };
        let is_default =
            !(option.starts_with("--only") || is_one_of("--no-dev --no-default-groups", option));
        by_default = if is_default || !is_known {
            by_default
        } else {
            ""
        };
        if is_one_of(GROUPS, option) {
            for name in value
                .split([',', ' '])
                .filter(|name| !matches!(*name, "" | "main"))
            {
                install.option(&format!("{form} {name}"));
            }
        } else if !form.is_empty() {
            install.option(form);
        }
    }
    if !by_default.is_empty() {
        install.option(by_default);
    }
    if let Some(first) = words.first() {
        install.list(Listing::Project, folder, first);
    }
    install
}

/// What an option line of a requirements file asks for.
pub(super) fn options(words: &[String]) -> Install {
    let script = crate::shell::exec(words, &(0..0));
    let command = script.commands.first();
    command.map(|command| pip(command, 0)).unwrap_or_default()
}

fn pip(command: &Command, from: usize) -> Install {
    let mut install = Install::default();
    // A base image has a release of SGLang, which is replaced with this option alone.
    let mut named = command.run().iter().skip(from).map(|word| &*word.text);
    let is_sglang = |word: &str| requirement(word).is_some_and(|(name, _)| name == "sglang");
    let has_sglang = named.any(is_sglang);
    let mut words = command.run().iter().skip(from);
    while let Some(word) = words.next() {
        let (option, inline) = option(&word.text);
        let mut next = || words.next().map_or("", |word| &word.text);
        let mut value = || inline.unwrap_or_else(&mut next);
        match option {
            "-r" | "--requirement" | "--requirements" => {
                install.list(Listing::Requirements, value(), word);
            }
            "-e" | "--editable" => {
                let value = value();
                let named = requirement(value).filter(|_| value.contains("://"));
                let project = Wanted::Listed(Listing::Project, value.to_owned());
                let package = named.map(|(name, spec)| Wanted::Package(name, spec));
                install.want(package.unwrap_or(project), word);
            }
            _ if is_one_of(PIP_INDEX, option) => {
                let value = value();
                let option = match option {
                    "-i" => "--index-url",
                    "-f" => "--find-links",
                    "--constraint" => "-c",
                    option => option,
                };
                install.index(&format!("{option} {value}"));
                if matches!(option, "-c" | "--constraint" | "--constraints") {
                    install.list(Listing::Constraints, value, word);
                }
            }
            "-U" | "--upgrade" => {
                install.upgrades = true;
                if has_sglang {
                    install.option(UPGRADES);
                }
            }
            // `--group NAME`, `--group PROJECT/pyproject.toml:NAME`
            "--group" => {
                let value = value();
                let (file, name) = value.rsplit_once(':').unwrap_or(("", value));
                let folder = file.rsplit_once('/').map_or(".", |(folder, _)| folder);
                install.option(&format!("--only-group {name}"));
                install.list(Listing::Project, folder, word);
            }
            "--pre" => install.index(option),
            // uv's word for `--pre`.
            "--prerelease" => match value() {
                "allow" => install.index("--pre"),
                other => install.option(&format!("{option} {other}")),
            },
            _ if option == BREAKS_SYSTEM || is_one_of(PIP_SWITCHES, option) => {
                install.option(option);
            }
            _ if is_one_of(PIP_CHOICES, option) => {
                let value = value();
                install.option(&format!("{option} {value}"));
            }
            _ if is_one_of(PIP_VALUES, option) => {
                value();
            }
            _ if option.starts_with("-r") => {
                install.list(Listing::Requirements, &option[2..], word);
            }
            _ if option.starts_with('-') => {}
            _ => {
                let wanted = python_word(&word.text).into_iter();
                wanted.for_each(|wanted| install.want(wanted, word));
            }
        }
    }
    install.listed(command, Listing::Requirements)
}

/// A word of `pip install` that is no option.
fn python_word(text: &str) -> Option<Wanted> {
    if let Some(file) = printed_file(text) {
        return Some(Wanted::Listed(Listing::Requirements, file));
    }
    if text.starts_with(['$', '`']) {
        return Some(Wanted::Computed(text.to_owned()));
    }
    if is_path(text) && archive_name(text).is_none() {
        return Some(Wanted::Listed(Listing::Project, text.to_owned()));
    }
    match requirement(text) {
        // Upgrading the installer installs nothing for the worker, but for a release to stay with.
        Some((name, spec))
            if is_one_of("pip setuptools wheel uv poetry", &name)
                && !["==", "<", "~="].iter().any(|limit| spec.contains(limit)) =>
        {
            None
        }
        Some((name, spec)) => Some(Wanted::Package(name, spec)),
        None if text.is_empty() => None,
        None => Some(Wanted::Computed(text.to_owned())),
    }
}

/// The file that `$(cat FILE)` prints.
fn printed_file(text: &str) -> Option<String> {
    let inside = text.strip_prefix("$(").and_then(|t| t.strip_suffix(')'));
    let inside = inside.or_else(|| text.strip_prefix('`').and_then(|t| t.strip_suffix('`')))?;
    let script = super::super::shell::parse(inside);
    let command = script.commands.first()?;
    if let Some(file) = inside.trim_start().strip_prefix('<') {
        return Some(file.trim().to_owned());
    }
    let word = match command.program() {
        "cat" => command.word(1),
        "grep" | "egrep" | "sed" | "awk" => &command.run().last()?.text,
        _ => return None,
    };
    (!word.is_empty() && variables(word).is_empty()).then(|| word.to_owned())
}

fn system(command: &Command, from: usize, manager: Manager) -> Install {
    let valued = match manager {
        Manager::Conda => "-c --channel -n --name -p --prefix --solver --file -f",
        Manager::Apk => "-t --virtual -X --repository -p --root",
        _ => "-o -t --target-release -c --option",
    };
    let mut install = Install::new(manager);
    let mut words = command.run().iter().skip(from);
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        let (option, inline) = option(text);
        if is_one_of(valued, option) {
            let mut next = || words.next().map_or("", |word| word.text.as_str());
            let value = inline.unwrap_or_else(|| next());
            match option {
                "--file" | "-f" if [".yml", ".yaml"].iter().any(|end| value.ends_with(end)) => {
                    install.list(Listing::Environment, value, word);
                }
                "--file" | "-f" => install.list(Listing::Words, value, word),
                "-t" if manager != Manager::Apt => {}
                "-c" | "--channel" | "-X" | "--repository" | "-t" | "--target-release" => {
                    install.index(&format!("{option} {value}"));
                }
                _ => {}
            }
        } else if !is_argument(text) {
        } else if let Some(file) = printed_file(text) {
            install.list(Listing::Words, file, word);
        } else if text.contains('$') || text.starts_with('`') {
            install.want(Wanted::Computed(text.to_owned()), word);
        } else if manager == Manager::Apt && is_path(text) {
            install.want(Wanted::Package(text.to_owned(), String::new()), word);
        } else if let Some((name, spec)) = versioned(text) {
            install.want(Wanted::Package(name, spec), word);
        }
    }
    install.listed(command, Listing::Words)
}

/// `name=1.2`, `name>=1`, `channel::name`; a `-` at the end takes an apt package away.
pub fn versioned(text: &str) -> Option<(String, String)> {
    let text = text.rsplit("::").next().unwrap_or(text);
    let end = text.find(['=', '<', '>', '~', '!', '[']);
    let end = end.unwrap_or(text.len());
    let (name, spec) = text.split_at(end);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == '*');
    (begins && !name.ends_with('-')).then(|| (name.trim().to_owned(), spec.replace(' ', "")))
}

fn conda(command: &Command) -> Option<Install> {
    let words = command.run();
    let text = |index: usize| command.word(index);
    let verb = (1..words.len()).find(|&i| !text(i).starts_with('-'))?;
    match text(verb) {
        "install" | "create" => Some(system(command, verb + 1, Manager::Conda)),
        "env" if matches!(text(verb + 1), "create" | "update") => {
            let mut install = Install::new(Manager::Conda);
            let is_file = |&i: &usize| matches!(option(text(i)).0, "-f" | "--file");
            let at = (verb + 2..words.len()).find(is_file);
            let file = at.map(|at| option(text(at)).1.unwrap_or(text(at + 1)));
            let file = file.unwrap_or("environment.yml");
            install.list(Listing::Environment, file, &words[at.unwrap_or_default()]);
            Some(install)
        }
        _ => None,
    }
}
