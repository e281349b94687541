//! What the image's build and the running container run: scripts with their variables, the flags
//! that they give to `SGLang`, and the files that they start.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::Result;

use super::started::{ProgramKind, RUNNERS, Started};
use super::{
    EnvRead, FlagKind, FlagMapping, Hides, Place, Reader, RepoPath, Run, Source, Step, last_part,
    packages, python, shell,
};
use crate::is_one_of;
use crate::shell::{Command, NOT, NOT_SET, Script, Variable, Word};
use crate::steps;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Start,
    Build,
    /// While a stage is built that the image only copies files from.
    Part,
    Never,
}

pub struct Invocation {
    pub file: RepoPath,
    pub run: Run,
    pub when: When,
}

impl Invocation {
    /// A file that is a script.
    fn of(source: &Source, when: When, workdir: Option<String>, script: Script) -> Self {
        let run = Run {
            script,
            base: 0,
            workdir,
            place: Place::start_of(&source.path),
        };
        let file = source.path.clone();
        Self { file, run, when }
    }

    pub fn place(&self, source: &Source, range: &Range<usize>) -> Place {
        source.place(offset(range, self.run.base))
    }
}

impl Reader<'_> {
    /// Follows what runs from the Dockerfile and compose into the files that they start.
    pub fn scripts(&mut self) -> Result<()> {
        let mut jobs = self.first_jobs();
        /// A script that calls itself is read so often.
        const MOST_CALLS: usize = 6;
        let mut done: BTreeMap<(RepoPath, When), BTreeSet<String>> = BTreeMap::new();
        while let Some(job) = jobs.pop() {
            for started in self.job(&job)? {
                let Some(source) = self.source(&started.path)? else {
                    continue;
                };
                let calls = done.entry((started.path, job.when)).or_default();
                let texts = started.arguments.iter().map(|word| &*word.text);
                let call = texts.collect::<Vec<_>>().join("\0");
                if calls.len() == MOST_CALLS || !calls.insert(call) {
                    continue;
                }
                let workdir = job.run.workdir.clone();
                let sourced = self.sourced(&source, workdir.as_deref())?;
                let text = self.live(&source);
                let mut script = shell::parse_called(&text, &started.arguments, &sourced);
                if started.exports {
                    script.exports.extend(script.sets.iter().cloned());
                }
                let opened = Invocation::of(&source, job.when, workdir, script);
                self.hand_over(&opened);
                jobs.push(opened);
            }
            jobs.append(&mut self.jobs);
        }
        self.other_scripts(&done)
    }

    /// A script without the functions that no file calls.
    fn live(&self, source: &Source) -> String {
        let others = self.interface.sources.values();
        let others: Vec<&Source> = others.filter(|one| one.path != source.path).collect();
        let is_elsewhere = |name: &str| others.iter().any(|one| one.text.contains(name));
        // Functions that nothing calls call others.
        (0..4).fold(source.text.clone(), |text, _| {
            shell::without_idle(&text, &is_elsewhere)
        })
    }

    /// The texts of the repository's files that a script sources.
    fn sourced(&mut self, source: &Source, workdir: Option<&str>) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        if source.text.contains("source ") || source.text.contains(". ") {
            let script = shell::parse(&source.text);
            let commands = script.commands.iter();
            for command in commands.filter(|one| matches!(one.program(), "." | "source")) {
                for path in self.resolve(command.word(1), workdir) {
                    texts.extend(self.source(&path)?.map(|source| source.text));
                }
            }
        }
        Ok(texts)
    }

    fn first_jobs(&mut self) -> Vec<Invocation> {
        let mut jobs = std::mem::take(&mut self.jobs);
        let (Some(image), Some(file)) = (&self.interface.image, &self.interface.dockerfile) else {
            return jobs;
        };
        let runs = image.runs.iter().map(|run| (run, When::Build));
        let started = image.started.iter().map(|run| (run, When::Start));
        let parts = image.parts.iter().flat_map(|part| &part.runs);
        let parts = parts.map(|run| (run, When::Part));
        // The last job is read first.
        for (run, when) in started.rev().chain(runs.rev()).chain(parts.rev()) {
            let (file, run) = (file.clone(), run.clone());
            jobs.push(Invocation { file, run, when });
        }
        jobs
    }

    /// Scripts that nothing starts. Without a Dockerfile, or where the base image decides what
    /// runs, any of them may be.
    fn other_scripts(&mut self, done: &BTreeMap<(RepoPath, When), BTreeSet<String>>) -> Result<()> {
        let image = self.interface.image.as_ref();
        let unknown = image.is_none_or(|image| image.started.is_empty());
        let done: BTreeSet<&RepoPath> = done.keys().map(|(path, _)| path).collect();
        let scripts = self.interface.sources.values().filter(|source| {
            let name = source.path.name();
            (name.ends_with(b".sh") || name.ends_with(b".bash")) && !done.contains(&source.path)
        });
        for source in scripts.cloned().collect::<Vec<Source>>() {
            let starts =
                self.holds(&source.path) && (unknown || self.mentions.contains(&source.path));
            let when = if starts { When::Start } else { When::Never };
            let job = Invocation::of(&source, when, None, shell::parse(&self.live(&source)));
            if starts {
                self.hand_over(&job);
            }
            self.job(&job)?;
        }
        Ok(())
    }

    /// Reports what a script that runs doesn't tell, and takes Python out of it.
    fn hand_over(&mut self, job: &Invocation) {
        let source = &self.interface.sources[&job.file];
        for (range, what) in &job.run.script.unread {
            let hides = [Hides::Variables, Hides::Flags, Hides::Packages];
            self.unread
                .push(source.unread(range.clone(), *what, &hides));
        }
        for command in &job.run.script.commands {
            if let Some((_, range)) = &command.input
                && command.program().starts_with("python")
            {
                self.inline.push(only(source, range));
                self.starts_python |= job.when == When::Start;
                self.roots.insert(job.file.clone());
            }
        }
    }

    /// Takes the facts of a script, and returns the scripts that it starts.
    fn job(&mut self, job: &Invocation) -> Result<Vec<Started>> {
        let Some(source) = self.interface.sources.get(&job.file).cloned() else {
            return Ok(Vec::new());
        };
        let in_build = matches!(job.when, When::Build | When::Part);
        if in_build {
            let reads = job.run.script.reads.iter();
            let reads = reads.map(|read| (read.name.clone(), job.place(&source, &read.range)));
            self.interface.build_reads.extend(reads);
        } else {
            self.flags_and_reads(job, &source);
        }
        let mut starts = Vec::new();
        let mut left = Vec::new();
        // Programs of the repository that are called with arguments.
        let mut told = Vec::new();
        if job.when == When::Start {
            self.exports(job, &source);
        }
        self.constrained(job, &source)?;
        let mut before: Option<&Command> = None;
        for command in &job.run.script.commands {
            let feeds = before.replace(command);
            if command.program() == "supervisord" {
                self.supervisors(command, job.when)?;
            }
            self.uninstall(command);
            if let Some(install) = packages::installed(command) {
                self.install(job, &source, install)?;
                if let Some((_, range)) = &command.input {
                    self.given(job, &source, command, range)?;
                }
                continue;
            }
            if matches!(job.when, When::Build | When::Start) {
                self.makes(command);
            }
            left.extend(feeds.and_then(|before| fed(before, command)));
            let started = self.started_by(command, job.run.workdir.as_deref())?;
            let runs_shell = started.iter().any(|one| one.kind == ProgramKind::Shell);
            if job.when == When::Start && !steps::has_no_effect(command) {
                self.set_for_it(job, &source, command);
                self.absent(job, &source, command, started.is_empty());
            }
            let is_known = if in_build {
                runs_shell
            } else {
                !started.is_empty() || command.sglang().is_some() || steps::only_watches(command)
            };
            // What holds for all that the script starts.
            let hides =
                job.when == When::Start && is_one_of("unset ulimit umask", command.program());
            if !is_known && (hides || !steps::has_no_effect(command)) {
                let sets = command
                    .set_for_it()
                    .filter(|(name, _)| in_build && packages::counts(name));
                left.extend(sets.map(|(name, value)| format!("export {name}={value}")));
                left.push(full_line(command, &started));
                // Two programs are told apart by their text.
                let input = command.input.iter();
                left.extend(input.map(|(text, _)| format!("<< {}", text.trim())));
            }
            let arguments = started.last().map(|one| one.arguments.as_slice());
            if arguments.is_some_and(|words| words.iter().any(|word| word.text != "$@"))
                && (!in_build || runs_shell)
                || !started.is_empty() && is_one_of(RUNNERS, command.program())
            {
                told.push(full_line(command, &started));
            }
            for started in started {
                if started.kind == ProgramKind::Shell {
                    starts.push(started);
                } else if job.when != When::Never {
                    self.program(job, started.path);
                }
            }
        }
        // What a script does before it starts the server counts like a step of the build.
        let is_script = job.when == When::Start && job.run.base == 0 && !is_supervisor(&source);
        if in_build {
            left.extend(conditions(&job.run.script));
        }
        let by_supervisor = job.when == When::Start && is_supervisor(&source);
        self.starts_script |= is_script || by_supervisor;
        if job.when == When::Start {
            let hands_over = |command: &Command| {
                let program = command.program();
                program.starts_with(['$', '"']) || matches!(program, "source" | "." | "eval")
            };
            let commands = &job.run.script.commands;
            self.starts_other |= !left.is_empty() || commands.iter().any(hands_over);
        }
        if is_script || in_build {
            left.append(&mut told);
        }
        if (in_build || is_script || by_supervisor) && !left.is_empty() {
            self.interface.steps.push(Step {
                commands: left,
                place: job.run.place.clone(),
            });
        }
        if job.when == When::Never {
            starts.clear();
        }
        Ok(starts)
    }

    /// A Python file that a script or a step of the build runs.
    fn program(&mut self, job: &Invocation, path: RepoPath) {
        if job.when == When::Start {
            self.starts_python = true;
            let place = job.run.place.clone();
            self.interface.starts.insert(path.clone(), place);
        } else {
            self.may_install(&path);
        }
        self.roots.insert(path);
    }

    /// A Python program that starts and is not in the repository, beside modules that are.
    fn absent(&mut self, job: &Invocation, source: &Source, command: &Command, is_other: bool) {
        let words = command.run();
        let script = words
            .iter()
            .skip(1)
            .find(|word| !word.text.starts_with('-'));
        let script = script.filter(|word| word.text.rsplit('.').next() == Some("py"));
        let held = self.interface.held.iter().flatten();
        let mut modules = held.filter(|path| path.name().ends_with(b".py"));
        if let Some(script) = script
            && is_other
            && command.program().starts_with("python")
            && !words.iter().any(|word| matches!(&*word.text, "-c" | "-m"))
            && !script.text.contains('$')
            && modules.next().is_some()
        {
            let what = "this program is not in the repository";
            let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
            let at = offset(&script.range, job.run.base);
            self.absent.push(source.unread(at, what, &hides));
        }
    }

    /// `make` and others that do what a file says, which is not read.
    fn makes(&mut self, command: &Command) {
        let program = command.program();
        let files = match program {
            "make" => "Makefile makefile GNUmakefile",
            "npm" | "yarn" | "pnpm" => "package.json",
            "bundle" => "Gemfile",
            "cargo" => "Cargo.toml",
            "go" => "go.mod",
            _ => return,
        };
        let files = files.split(' ');
        let files = files.filter_map(|name| self.names.get(name.as_bytes()));
        let files = files.flatten().filter(|file| self.holds(file));
        for file in files.cloned().collect::<Vec<_>>() {
            let what = format!("what `{program}` does with this file is not read");
            self.file_not_read(&file, what, &[Hides::Packages]);
        }
    }

    /// A Python program of the build that calls an installer.
    fn may_install(&mut self, path: &RepoPath) {
        let source = &self.interface.sources[path];
        let has = |line: &str, word: &str| line.contains(word);
        let installs = |line: &str| has(line, "install") && (has(line, "pip") || has(line, "apt"));
        if let Some((at, line)) = source.lines().find(|(_, line)| installs(line)) {
            let what = "what this program installs is not read";
            let unread = source.unread(at..at + line.len(), what, &[Hides::Packages]);
            self.unread.push(unread);
        }
    }

    /// What a script sets for one program alone: `NAME=value python3 handler.py`.
    fn set_for_it(&mut self, job: &Invocation, source: &Source, command: &Command) {
        let range = command.words.first().map(|word| word.range.clone());
        for (name, value) in command.set_for_it() {
            let place = job.place(source, &range.clone().unwrap_or_default());
            self.export(name, value, place);
        }
    }

    /// `export NAME=${NAME:-default}` is a read with a default. One that adds to it is none.
    fn export(&mut self, name: &str, value: &str, place: Place) {
        let is_own = shell::variables(value).first().is_some_and(|(first, at)| {
            let ends = value.len() == at.end || value.starts_with("${") && value.ends_with('}');
            first == name && at.start == 0 && ends
        });
        if !is_own {
            // A part of another value is not handed on.
            if let [(other, at)] = shell::variables(value).as_slice()
                && at.start == 0
                && (at.end == value.len() || value.ends_with('}'))
            {
                let handed = (other.clone(), name.to_owned());
                self.interface.python.handed.push(handed);
            }
            let export = (name.to_owned(), value.to_owned(), place);
            self.interface.exports.push(export);
        }
    }

    /// Opens the configuration that supervisor is given, whatever its name.
    fn supervisors(&mut self, command: &Command, when: When) -> Result<()> {
        let words = command.run().iter();
        let mut files = words.skip_while(|word| !matches!(&*word.text, "-c" | "--configuration"));
        let name = files.nth(1).map(|word| last_part(&word.text));
        let paths = name.and_then(|name| self.names.get(name.as_bytes()));
        for path in paths.cloned().unwrap_or_default() {
            if !self.interface.sources.contains_key(&path)
                && let Some(source) = self.source(&path)?
            {
                self.supervisor(&source, when);
            }
        }
        Ok(())
    }

    /// What the script's programs find in their environment, and commands that see all of it.
    fn exports(&mut self, job: &Invocation, source: &Source) {
        for (name, value, range) in &job.run.script.exports {
            self.export(name, value, job.place(source, range));
        }
        for command in &job.run.script.commands {
            let words = command.run();
            let asks = |word: &&Word| word.text.contains("environ") || word.text.contains("getenv");
            let mut code = words
                .iter()
                .skip_while(|word| word.text != "-c")
                .skip(1)
                .take(1);
            let ends = words.first().zip(words.last());
            let mut at = ends.map_or(0..0, |(a, b)| a.range.start..b.range.end);
            let mut hides = &[Hides::Variables][..];
            let what = match (command.program(), code.find(asks)) {
                (program, Some(code)) if program.starts_with("python") => {
                    at = code.range.clone();
                    hides = &[Hides::Variables, Hides::Flags];
                    "a Python program inside of a command reads the environment"
                }
                ("awk" | "gawk", _) if words.iter().any(|word| word.text.contains("ENVIRON")) => {
                    "a program inside of a command reads the environment"
                }
                ("." | "source", _) if words.len() > 1 && !self.has_file(command.word(1)) => {
                    "what this file sets is not known: it is not in the repository"
                }
                _ => continue,
            };
            let at = offset(&at, job.run.base);
            self.unread.push(source.unread(at, what, hides));
        }
    }

    /// Whether the repository, or an environment of Python's, has a file of that name.
    fn has_file(&self, path: &str) -> bool {
        let name = last_part(path);
        self.names.contains_key(name.as_bytes()) || name == "activate"
    }

    /// The words of the server's command that come from variables, or from where is not known.
    fn passed(&mut self, job: &Invocation, source: &Source, command: &Command) {
        for word in command.filled_in() {
            let names = shell::variables(&word.text).into_iter();
            let names: Vec<String> = names.map(|(name, _)| name).collect();
            let reads = &job.run.script.reads;
            let is_read = |name: &String| reads.iter().any(|read| read.name == *name);
            let is_call = matches!(&*word.text, "$@" | "$*");
            if !is_call && (names.is_empty() || !names.iter().all(is_read)) {
                let what = "what the server is given here is not known";
                let at = offset(&word.range, job.run.base);
                self.unread.push(source.unread(at, what, &[Hides::Flags]));
            }
            self.interface.python.passed.extend(names);
        }
    }

    /// The flags that a script gives to `SGLang`, and the variables that it reads.
    fn flags_and_reads(&mut self, job: &Invocation, source: &Source) {
        let starts = job.when == When::Start;
        let mut drives: BTreeMap<String, FlagMapping> = BTreeMap::new();
        let mut switched: Vec<(String, FlagMapping)> = Vec::new();
        for command in &job.run.script.commands {
            let Some(given) = command.sglang() else {
                continue;
            };
            self.interface.python.launches |= starts;
            if starts {
                self.passed(job, source, command);
            }
            let through = command.started_through();
            if starts && !through.is_empty() {
                let place = job.place(source, &command.run()[0].range);
                self.interface.started_through.push((through, place));
            }
            let mut all: Vec<python::FlagGiven> = Vec::new();
            for given in given {
                for name in &given.from {
                    drives.entry(name.clone()).or_insert_with(|| FlagMapping {
                        flag: given.flag.clone(),
                        how: FlagKind::Value,
                    });
                }
                let value = match given.value {
                    None => python::FlagValue::Alone,
                    Some(_) if !given.from.is_empty() => python::FlagValue::Env,
                    // What a command prints, or the script is called with, is told by its text.
                    Some(value) if ["$(", "${1", "${2"].iter().any(|own| value.contains(own)) => {
                        python::FlagValue::Fixed(value)
                    }
                    Some(value) if value.contains('$') => python::FlagValue::Computed(value),
                    Some(value) => python::FlagValue::Fixed(value),
                };
                let from = given.from.into_iter().map(|name| (name, FlagKind::Value));
                let mut from: Vec<_> = from.collect();
                if from.is_empty() {
                    from = job.run.script.switches(&given.flag);
                    switched.extend(from.iter().cloned().map(|(name, how)| {
                        let flag = given.flag.clone();
                        (name, FlagMapping { flag, how })
                    }));
                }
                let given = python::FlagGiven {
                    value,
                    flag: given.flag,
                    from,
                    place: job.place(source, &given.range),
                    runs: starts,
                    reached: true,
                };
                // Of a flag that stands twice in one command, SGLang takes the last.
                let again = |one: &python::FlagGiven| {
                    one.flag == given.flag && one.is_fixed() && one.place < given.place
                };
                all.retain(|one| !(given.is_fixed() && again(one)));
                all.push(given);
            }
            self.interface.python.flags.extend(all);
        }
        for (name, mapping) in switched {
            drives.entry(name).or_insert(mapping);
        }
        let reads = job.run.script.reads.iter().map(|variable| {
            let place = job.place(source, &variable.range);
            let drives = drives.get(&variable.name).cloned();
            EnvRead {
                required: variable.required,
                interpreted: interpreted(variable, drives.as_ref()),
                reached: starts,
                drives,
                ..EnvRead::new(&variable.name, variable.default.clone(), place)
            }
        });
        self.interface.env.extend(reads);
    }
}

/// The words that a variable is compared with, and whether they switch its flag off.
fn interpreted(variable: &Variable, drives: Option<&FlagMapping>) -> Option<String> {
    let compared = variable.compared.clone();
    let words = match drives.map(|drives| &drives.how) {
        Some(FlagKind::Switch { words }) => words.as_slice(),
        _ => &[],
    };
    match words {
        [word] if word == NOT_SET => Some("not truthy".to_owned()),
        [word] if word.starts_with(NOT) => compared.map(|text| text.replace("== ", "!= ")),
        _ => compared,
    }
}

fn is_supervisor(source: &Source) -> bool {
    let name = source.path.name();
    name.ends_with(b".conf") || name.ends_with(b".ini")
}

/// A command with what another one gives to it, where that is text, or all of the environment.
fn fed(before: &Command, command: &Command) -> Option<String> {
    let takes = match before.program() {
        "echo" | "printf" => command.run().len() > 1 && !steps::has_no_effect(command),
        "env" | "printenv" | "export" | "set" => is_one_of("grep egrep awk sed", command.program()),
        _ => false,
    };
    let line = || format!("{} | {}", before.line(), full_line(command, &[]));
    (takes && command.piped).then(line)
}

/// The command with the files that it writes. The repository's own files go by their names: where
/// they are in the image is the layout's business.
fn full_line(command: &Command, started: &[Started]) -> String {
    let is_own = |name: &str| {
        let mut started = started.iter();
        started.any(|one| one.path.name() == name.as_bytes())
    };
    let words = command.run().iter().map(|word| {
        let name = last_part(&word.text);
        if is_own(name) { name } else { &word.text }
    });
    let mut line = words.collect::<Vec<_>>().join(" ");
    for file in &command.writes {
        line += &format!(" > {file}");
    }
    line
}

pub fn offset(range: &Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}

/// A file of which only this part is left; the rest is blank, so that places stay true.
pub fn only(source: &Source, range: &Range<usize>) -> Source {
    let before = source.text.get(..range.start).unwrap_or_default();
    let mut text = shell::blank(before);
    text.push_str(source.text.get(range.clone()).unwrap_or_default());
    Source::new(source.path.clone(), text.as_bytes())
}

/// What decides on the commands of a build step, and what is worked out for them. A secret that is
/// mounted may as well be read by the program itself.
fn conditions(script: &Script) -> impl Iterator<Item = String> {
    let asks = |command: &&Command| {
        matches!(command.program(), "[" | "[[" | "test")
            && command.words.iter().any(|word| word.text.contains('$'))
    };
    let tests = script.commands.iter().filter(asks).map(Command::line);
    let exports = script.exports.iter();
    let made = exports.filter(|(name, value, _)| {
        (value.contains("$(") || packages::counts(name)) && !value.contains("/run/secrets/")
    });
    let made = made.map(|(name, value, _)| format!("export {name}={value}"));
    tests
        .chain(made)
        .map(|line| line.replace("${", "$").replace('}', ""))
}
