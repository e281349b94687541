//! Install commands: which package manager, and what for.

use std::ops::Range;

use super::super::shell::{Command, Word, variables};
use super::{Manager, archive_name, is_path, requirement};

/// What an install command asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
    pub manager: Manager,
    pub wanted: Vec<(Wanted, Range<usize>)>,
    /// Options that decide where packages come from: another index, constraints.
    pub index: Option<String>,
}

/// One of its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Package {
        name: String,
        spec: String,
    },
    /// A requirements file.
    Requirements(String),
    /// A file that lists packages a word each.
    List(String),
    /// A conda environment file.
    Environment(String),
    /// The project in a folder.
    Project(String),
    /// A name that only the build knows.
    Computed(String),
}

const PIP_VALUES: [&str; 36] = [
    "-t",
    "--target",
    "--python",
    "--prefix",
    "--root",
    "-o",
    "-p",
    "--trusted-host",
    "--timeout",
    "--retries",
    "--cache-dir",
    "--progress-bar",
    "--platform",
    "--python-version",
    "--abi",
    "--implementation",
    "--no-binary",
    "--only-binary",
    "--src",
    "--upgrade-strategy",
    "--log",
    "--proxy",
    "--cert",
    "--client-cert",
    "--exists-action",
    "--config-settings",
    "-C",
    "--global-option",
    "--root-user-action",
    "--index-strategy",
    "--link-mode",
    "--resolution",
    "--prerelease",
    "--torch-backend",
    "--build-constraint",
    "-b",
];
const PIP_INDEX: [&str; 9] = [
    "-i",
    "--index-url",
    "--extra-index-url",
    "-f",
    "--find-links",
    "-c",
    "--constraint",
    "--index",
    "--default-index",
];

/// What a command installs; `None` where it is no install command.
pub fn installed(command: &Command) -> Option<Install> {
    let words = command.run();
    let program = command.program();
    let text = |index: usize| command.word(index);
    // The word that says what to do, behind options of the program itself.
    let verb = |from: usize, valued: &[&str]| {
        let mut at = from;
        while text(at).starts_with('-') || text(at).starts_with('$') {
            at += 1 + usize::from(valued.contains(&text(at)));
        }
        (text(at), at + 1)
    };
    let is_pip = |name: &str| {
        name.strip_prefix("pip")
            .is_some_and(|v| v.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    if program.starts_with("python") || program.starts_with("pypy") {
        if text(1) == "setup.py" && matches!(text(2), "install" | "develop") {
            return Some(whole_project(command));
        }
        let module = (1..words.len())
            .take_while(|&i| text(i).starts_with('-'))
            .find(|&i| text(i) == "-m")?;
        if !is_pip(text(module + 1)) {
            return None;
        }
        let (what, from) = verb(module + 2, &PIP_VALUES);
        return (what == "install").then(|| pip(command, from));
    }
    if is_pip(program) || program == "pipx" {
        let (what, from) = verb(1, &PIP_VALUES);
        return (what == "install").then(|| pip(command, from));
    }
    match program {
        "uv" => {
            let (what, from) = verb(1, &["--directory", "--project", "--cache-dir", "--color"]);
            match what {
                "pip" => match verb(from, &PIP_VALUES) {
                    ("install", from) => Some(pip(command, from)),
                    // What it syncs with are files.
                    ("sync", from) => {
                        let mut install = pip(command, from);
                        let files = command.run().iter().skip(from);
                        let files = files.filter(|word| !word.text.starts_with('-'));
                        install.wanted = files
                            .map(|word| {
                                (Wanted::Requirements(word.text.clone()), word.range.clone())
                            })
                            .collect();
                        Some(install)
                    }
                    _ => None,
                },
                "sync" => Some(whole_project(command)),
                "add" => Some(pip(command, from)),
                _ => None,
            }
        }
        "poetry" | "pdm" | "hatch" | "rye" | "pipenv" => {
            let (what, from) = verb(1, &["-C", "--directory", "-P", "--project"]);
            match what {
                "install"
                    if program == "pipenv"
                        && !text(from).is_empty()
                        && !text(from).starts_with('-') =>
                {
                    Some(pip(command, from))
                }
                "install" | "sync" => Some(whole_project(command)),
                "add" => Some(pip(command, from)),
                _ => None,
            }
        }
        "conda" | "mamba" | "micromamba" => conda(command),
        "apt" | "apt-get" | "aptitude" => {
            let (what, from) = verb(1, &["-o", "-t", "-c"]);
            (what == "install").then(|| system(command, from, Manager::Apt))
        }
        "apk" => {
            let (what, from) = verb(1, &["-X", "--repository", "-p", "--root"]);
            (what == "add").then(|| system(command, from, Manager::Apk))
        }
        _ => None,
    }
}

fn whole_project(command: &Command) -> Install {
    let words = command.run();
    let folder = words
        .iter()
        .zip(words.iter().skip(1))
        .find_map(|(option, value)| {
            matches!(option.text.as_str(), "--directory" | "--project" | "-C")
                .then(|| value.text.clone())
        });
    let range = words.first().map_or(0..0, |word| word.range.clone());
    Install {
        manager: Manager::Pip,
        wanted: vec![(
            Wanted::Project(folder.unwrap_or_else(|| ".".to_owned())),
            range,
        )],
        index: None,
    }
}

fn pip(command: &Command, from: usize) -> Install {
    let mut index: Vec<String> = Vec::new();
    let mut wanted = Vec::new();
    let mut words = command.run().iter().skip(from);
    while let Some(word) = words.next() {
        let (option, inline) = match word.text.split_once('=') {
            Some((option, value)) if word.text.starts_with("--") => (option, Some(value)),
            _ => (word.text.as_str(), None),
        };
        let mut value = || match inline {
            Some(value) => value.to_owned(),
            None => words
                .next()
                .map(|word| word.text.clone())
                .unwrap_or_default(),
        };
        match option {
            "-r" | "--requirement" | "--requirements" => {
                wanted.push((Wanted::Requirements(value()), word.range.clone()));
            }
            "-e" | "--editable" => {
                let value = value();
                let target = requirement(&value)
                    .filter(|_| value.contains("://"))
                    .map_or(Wanted::Project(value), |(name, spec)| Wanted::Package {
                        name,
                        spec,
                    });
                wanted.push((target, word.range.clone()));
            }
            "--group" | "--extra" => {
                value();
            }
            _ if PIP_INDEX.contains(&option) => index.push(format!("{option} {}", value())),
            "--pre" => index.push(option.to_owned()),
            _ if PIP_VALUES.contains(&option) => {
                value();
            }
            _ if option.starts_with("-r") && !option.starts_with("--") => {
                wanted.push((
                    Wanted::Requirements(option[2..].to_owned()),
                    word.range.clone(),
                ));
            }
            _ if option.starts_with('-') => {}
            _ => wanted.extend(python_word(word).map(|found| (found, word.range.clone()))),
        }
    }
    if let Some(file) = &command.list {
        let range = command
            .run()
            .first()
            .map_or(0..0, |word| word.range.clone());
        wanted.push((Wanted::Requirements(file.clone()), range));
    }
    Install {
        manager: Manager::Pip,
        wanted,
        index: (!index.is_empty()).then(|| index.join(" ")),
    }
}

/// A word of `pip install` that is no option.
fn python_word(word: &Word) -> Option<Wanted> {
    let text = word.text.as_str();
    if let Some(file) = printed_file(text) {
        return Some(Wanted::Requirements(file));
    }
    if text.starts_with(['$', '`']) {
        return Some(Wanted::Computed(text.to_owned()));
    }
    if is_path(text) && archive_name(text).is_none() {
        // `./lib[extra]`
        let end = text.find('[').unwrap_or(text.len());
        return Some(Wanted::Project(text[..end].to_owned()));
    }
    match requirement(text) {
        // Upgrading the installer installs nothing for the worker.
        Some((name, _))
            if matches!(
                name.as_str(),
                "pip" | "setuptools" | "wheel" | "uv" | "poetry"
            ) =>
        {
            None
        }
        Some((name, spec)) => Some(Wanted::Package { name, spec }),
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
    let valued: &[&str] = match manager {
        Manager::Conda => &[
            "-c",
            "--channel",
            "-n",
            "--name",
            "-p",
            "--prefix",
            "--solver",
            "--file",
            "-f",
        ],
        Manager::Apk => &["-t", "--virtual", "-X", "--repository", "-p", "--root"],
        _ => &["-o", "-t", "--target-release", "-c", "--option"],
    };
    let mut wanted = Vec::new();
    let mut index = Vec::new();
    let mut words = command.run().iter().skip(from);
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        if valued.contains(&text) {
            let value = words
                .next()
                .map(|word| word.text.clone())
                .unwrap_or_default();
            match text {
                "--file" | "-f" => wanted.push((Wanted::List(value), word.range.clone())),
                "-c" | "--channel" | "-X" | "--repository" | "-t" | "--target-release"
                    if text != "-t" || manager == Manager::Apt =>
                {
                    index.push(format!("{text} {value}"));
                }
                _ => {}
            }
        } else if text.starts_with('-') || text.is_empty() {
        } else if let Some(file) = printed_file(text) {
            wanted.push((Wanted::List(file), word.range.clone()));
        } else if text.contains('$') || text.starts_with('`') {
            wanted.push((Wanted::Computed(text.to_owned()), word.range.clone()));
        } else if let Some((name, spec)) = (manager == Manager::Apt && is_path(text))
            .then(|| (text.to_owned(), String::new()))
            .or_else(|| versioned(text))
        {
            wanted.push((Wanted::Package { name, spec }, word.range.clone()));
        }
    }
    if let Some(file) = &command.list {
        let range = command
            .run()
            .first()
            .map_or(0..0, |word| word.range.clone());
        wanted.push((Wanted::List(file.clone()), range));
    }
    Install {
        manager,
        wanted,
        index: (!index.is_empty()).then(|| index.join(" ")),
    }
}

/// `name=1.2`, `name>=1`, `channel::name`; a `-` at the end takes an apt package away.
pub(super) fn versioned(text: &str) -> Option<(String, String)> {
    let text = text.rsplit("::").next().unwrap_or(text);
    let end = text
        .find(['=', '<', '>', '~', '!', '['])
        .unwrap_or(text.len());
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
            let at = (verb + 2..words.len())
                .find(|&i| matches!(text(i), "-f" | "--file") || text(i).starts_with("--file="));
            let (file, range) = match at {
                Some(at) => (
                    text(at)
                        .strip_prefix("--file=")
                        .unwrap_or(text(at + 1))
                        .to_owned(),
                    words[at].range.clone(),
                ),
                None => ("environment.yml".to_owned(), words[0].range.clone()),
            };
            Some(Install {
                manager: Manager::Conda,
                wanted: vec![(Wanted::Environment(file), range)],
                index: None,
            })
        }
        _ => None,
    }
}
