//! Follows what the image's build and the container run: scripts, their variables and flags, and
//! the files that they start.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use anyhow::Result;

use super::lines::{below_folder, conditions, full_line, piped_line, step_lines};
use super::started::{RUNNERS, Started};
use super::{
    Hides, Place, Reader, RepoPath, Run, Source, Step, Unread, is_supervisor, last_part, packages,
    shell,
};
use crate::glob::clean;
use crate::shell::{Command, Script, Word};
use crate::steps;
use crate::{IF, is_one_of};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    Start,
    Build,
    /// While a stage is built that the image only copies files from.
    Part,
    Never,
}

/// A script that runs, or commands of the Dockerfile, with the file that they stand in.
pub struct Job {
    pub source: Rc<Source>,
    pub run: Run,
    pub when: When,
}

impl Job {
    /// A file that is a script as a whole.
    fn of(source: Source, when: When, workdir: Option<String>, script: Script) -> Self {
        let run = Run {
            script,
            base: 0,
            workdir,
            place: Place::start_of(&source.path),
        };
        let source = Rc::new(source);
        Self { source, run, when }
    }

    pub fn is_build(&self) -> bool {
        matches!(self.when, When::Build | When::Part)
    }

    /// A range of the script, in bytes of the file.
    pub fn in_file(&self, range: &Range<usize>) -> Range<usize> {
        range.start + self.run.base..range.end + self.run.base
    }

    pub fn place(&self, range: &Range<usize>) -> Place {
        self.source.place(self.in_file(range))
    }

    pub fn unread(&self, range: &Range<usize>, what: impl Into<String>, hides: &[Hides]) -> Unread {
        self.source.unread(self.in_file(range), what, hides)
    }
}

impl Reader<'_> {
    /// Follows what runs from the Dockerfile and compose into the files that they start.
    pub fn follow_scripts(&mut self) -> Result<()> {
        /// A script that calls itself is read at most so often.
        const MOST_CALLS: usize = 6;
        let mut jobs = self.first_jobs();
        let mut done: BTreeMap<(RepoPath, When), BTreeSet<String>> = BTreeMap::new();
        while let Some(job) = jobs.pop() {
            for started in self.run_job(&job)? {
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
                let mut script = self.parse(&source, &started.arguments, &sourced);
                if started.exports {
                    script.exports.extend(script.sets.iter().cloned());
                }
                let opened = Job::of(source, job.when, workdir, script);
                if job.run.base > 0 {
                    self.first.insert(opened.source.path.clone());
                }
                self.take_inline_python(&opened);
                jobs.push(opened);
            }
            jobs.append(&mut self.jobs);
        }
        self.other_scripts(&done.into_keys().map(|(path, _)| path).collect())?;
        self.link_reads();
        Ok(())
    }

    /// Whether the image's start surely comes by here: no condition stands in front of it, and its
    /// line is not indented like those of a block.
    pub fn is_passed(&self, job: &Job, range: &Range<usize>) -> bool {
        const LONGEST_LINE: usize = 400;
        const MARKS: [&str; 9] = ["&&", "||", "[", "if ", "then ", "else ", "do ", "{", ")"];
        let before = job.source.text.get(..job.in_file(range).start);
        let line = before.and_then(|text| text.rsplit('\n').next());
        line.is_some_and(|line| {
            let is_in_block = line.starts_with([' ', '\t']) || line.len() > LONGEST_LINE;
            let is_first = self.first.contains(&job.source.path);
            is_first && !is_in_block && !MARKS.iter().any(|mark| line.contains(mark))
        })
    }

    /// Reads a script, without the functions that no file calls.
    fn parse(&self, source: &Source, arguments: &[Word], sourced: &[String]) -> Script {
        let others = self.interface.sources.values();
        let others: Vec<&Source> = others.filter(|other| other.path != source.path).collect();
        // Where a file defines it, it is not called.
        let is_elsewhere = |name: &str| {
            let mut found = others.iter().flat_map(|other| {
                let all = other.text.match_indices(name);
                all.map(|(at, _)| (&other.text[..at], &other.text[at + name.len()..]))
            });
            found.any(|(before, after)| {
                let is_defined = after.trim_start_matches(' ').starts_with("()");
                !is_defined && !before.ends_with("function ")
            })
        };
        shell::parse_called(&source.text, arguments, sourced, &is_elsewhere)
    }

    /// The texts of the repository's files that a script sources.
    fn sourced(&mut self, source: &Source, workdir: Option<&str>) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        let mut known = BTreeSet::new();
        if source.text.contains("source ") || source.text.contains(". ") {
            let commands = shell::parse(&source.text).commands.into_iter();
            for command in commands.filter(|one| matches!(one.program(), "." | "source")) {
                let paths = self.resolve(command.word(1), workdir).into_iter();
                for path in paths.filter(|path| known.insert(path.clone())) {
                    texts.extend(self.source(&path)?.map(|source| source.text));
                }
            }
        }
        Ok(texts)
    }

    fn first_jobs(&mut self) -> Vec<Job> {
        let mut jobs = std::mem::take(&mut self.jobs);
        let (Some(image), Some(file)) = (&self.interface.image, &self.interface.dockerfile) else {
            return jobs;
        };
        let source = Rc::new(self.interface.sources[file].clone());
        let runs = image.runs.iter().map(|run| (run, When::Build));
        let started = image.started.iter().map(|run| (run, When::Start));
        let parts = image.parts.iter().flat_map(|part| &part.runs);
        let parts = parts.map(|run| (run, When::Part));
        // The last job is read first.
        for (run, when) in started.rev().chain(runs.rev()).chain(parts.rev()) {
            let (source, run) = (source.clone(), run.clone());
            jobs.push(Job { source, run, when });
        }
        jobs
    }

    /// Scripts that nothing starts. Any may run where no Dockerfile says what the image starts.
    fn other_scripts(&mut self, done: &BTreeSet<RepoPath>) -> Result<()> {
        let image = self.interface.image.as_ref();
        let is_unknown = image.is_none_or(|image| image.started.is_empty());
        let scripts = self.interface.sources.values().filter(|source| {
            let name = source.path.name();
            (name.ends_with(b".sh") || name.ends_with(b".bash")) && !done.contains(&source.path)
        });
        for source in scripts.cloned().collect::<Vec<Source>>() {
            let path = &source.path;
            let starts = self.holds(path) && (is_unknown || self.mentions.contains(path));
            let when = if starts { When::Start } else { When::Never };
            let script = self.parse(&source, &[], &[]);
            let job = Job::of(source, when, None, script);
            if starts {
                self.take_inline_python(&job);
            }
            self.run_job(&job)?;
        }
        Ok(())
    }

    /// Takes the Python programs out of a script that runs, and reports what of it is not read.
    fn take_inline_python(&mut self, job: &Job) {
        let hides = [Hides::Variables, Hides::Flags, Hides::Packages];
        let unread = job.run.script.unread.iter();
        let unread = unread.map(|(range, what)| job.unread(range, *what, &hides));
        self.unread.extend(unread);
        for command in &job.run.script.commands {
            if let Some((_, range)) = &command.input
                && command.program().starts_with("python")
            {
                self.inline.push(blank_except(&job.source, range));
                self.starts_python |= job.when == When::Start;
                self.roots.insert(job.source.path.clone());
            }
        }
    }

    /// Takes the facts of a job, and returns the scripts that it starts.
    fn run_job(&mut self, job: &Job) -> Result<Vec<Started>> {
        let script = &job.run.script;
        let (in_build, at_start) = (job.is_build(), job.when == When::Start);
        if in_build {
            let reads = script.reads.iter();
            let reads = reads.map(|read| (read.name.clone(), job.place(&read.range)));
            self.interface.build_reads.extend(reads);
        } else {
            self.take_flags_and_reads(job);
        }
        if at_start {
            self.take_exports(job);
        }
        self.constraints_by_variable(job)?;
        let mut scripts = Vec::new();
        // The commands that are not followed, and the calls of the repository's programs.
        let (mut lines, mut calls) = (Vec::new(), Vec::new());
        let mut before: Option<&Command> = None;
        let mut folder = clean(job.run.workdir.as_deref().unwrap_or_default());
        for command in &script.commands {
            let feeds = before.replace(command);
            if is_one_of("cd pushd", command.program()) {
                folder = below_folder(&folder, command.word(1));
            }
            self.open_program_list(job, command)?;
            self.uninstall(command);
            if let Some(install) = packages::installed(command) {
                self.install(job, install, &command.guard)?;
                self.install_from_input(job, command)?;
                continue;
            }
            if matches!(job.when, When::Build | When::Start) {
                self.report_build_tool(command);
            }
            if self.writes_or_fetches(job, command)? {
                continue;
            }
            lines.extend(feeds.and_then(|before| piped_line(before, command)));
            let started = self.started_by(command, job.run.workdir.as_deref())?;
            self.synced(job, command, &started)?;
            if at_start {
                self.note_misplaced(job, command, &started);
            }
            let runs_shell = started.iter().any(|one| one.is_shell);
            let has_effect = !steps::has_no_effect(command);
            if at_start && has_effect {
                let first = command.words.first().map(|word| word.range.clone());
                let place = job.place(&first.unwrap_or_default());
                for (name, value) in command.set_for_it() {
                    self.export(name, value, place.clone());
                }
                if started.is_empty() {
                    self.note_absent(job, command);
                }
            }
            let is_followed = || command.server_flags().is_some() || steps::only_watches(command);
            let is_known = runs_shell || !in_build && (!started.is_empty() || is_followed());
            if !is_known && (Self::sets_limits(job, command) || has_effect) {
                lines.extend(step_lines(command, &started, &folder, in_build));
            }
            let mut arguments = started.last().into_iter().flat_map(|one| &one.arguments);
            if arguments.any(|word| word.text != "$@") && (!in_build || runs_shell)
                || !started.is_empty() && is_one_of(RUNNERS, command.program())
            {
                calls.push(full_line(command, &started));
            }
            for started in started {
                if started.is_shell {
                    scripts.push(started);
                } else if job.when != When::Never {
                    self.note_through(job, command, &started.path);
                    self.run_python(job, started.path);
                }
            }
        }
        self.add_step(job, lines, calls);
        scripts.retain(|_| job.when != When::Never);
        Ok(scripts)
    }

    /// Adds what a job does as a step: commands that are not followed, and calls of the repository's
    /// programs.
    fn add_step(&mut self, job: &Job, mut lines: Vec<String>, mut calls: Vec<String>) {
        let script = &job.run.script;
        let (in_build, at_start) = (job.is_build(), job.when == When::Start);
        if in_build {
            lines.extend(conditions(script));
        }
        if at_start {
            let exports = script.guarded_exports.iter();
            lines.extend(exports.map(|(name, guard)| format!("export {name}{IF}{guard}")));
            let hands_over = |command: &Command| {
                let program = command.program();
                program.starts_with(['$', '"']) || matches!(program, "source" | "." | "eval")
            };
            self.starts_other |= !lines.is_empty() || script.commands.iter().any(hands_over);
        }
        // What a script does before it starts the server counts like a step of the build.
        let is_script = at_start && job.run.base == 0;
        self.starts_script |= is_script;
        if in_build || is_script && !is_supervisor(&job.source) {
            lines.append(&mut calls);
        }
        if (in_build || is_script) && !lines.is_empty() {
            let (commands, place) = (lines, job.run.place.clone());
            self.interface.steps.push(Step { commands, place });
        }
    }

    /// The limits and the environment of all programs that the script starts are its matter.
    fn sets_limits(job: &Job, command: &Command) -> bool {
        job.when == When::Start && is_one_of("unset ulimit umask", command.program())
    }

    /// What a Python file is started through, where that may change how it runs: `nice`, `env -i`.
    /// What only sets variables, or finds Python, is told elsewhere.
    fn note_through(&mut self, job: &Job, command: &Command, path: &RepoPath) {
        let through = command.started_through();
        let clears = |word: &str| is_one_of("-i - --ignore-environment", word);
        let mut words = through.split(' ');
        let changes = match words.next().map(last_part) {
            Some("env") => words.any(clears),
            Some(program) => !is_one_of("conda mamba micromamba uv poetry pipenv pdm", program),
            None => false,
        };
        if job.when == When::Start && changes && !through.is_empty() {
            let through = format!("{through} {}", last_part(&path.to_string()));
            let place = job.run.place.clone();
            self.interface.started_through.push((through, place));
        }
    }

    /// A Python file that a script or a step of the build runs.
    fn run_python(&mut self, job: &Job, path: RepoPath) {
        if job.when == When::Start {
            self.starts_python = true;
            let place = job.run.place.clone();
            self.interface.starts.insert(path.clone(), place);
        } else {
            self.report_installer(&path);
        }
        self.roots.insert(path);
    }

    /// Notes a Python program that starts and is not in the repository, though other modules are.
    fn note_absent(&mut self, job: &Job, command: &Command) {
        let mut arguments = command.run().iter().skip(1);
        let is_code = |word: &Word| matches!(&*word.text, "-c" | "-m");
        let runs_code = arguments.clone().any(is_code);
        let script = arguments.find(|word| !word.text.starts_with('-'));
        let is_file = |text: &str| text.rsplit('.').next() == Some("py") && !text.contains('$');
        let mut held = self.interface.held.iter().flatten();
        if let Some(script) = script.filter(|word| is_file(&word.text))
            && command.program().starts_with("python")
            && !runs_code
            && held.any(|path| path.name().ends_with(b".py"))
        {
            let what = "this program is not in the repository";
            let hides = [Hides::Variables, Hides::Flags, Hides::JobInput];
            self.absent.push(job.unread(&script.range, what, &hides));
        }
    }

    /// Reports `make` and others, whose files are not read.
    fn report_build_tool(&mut self, command: &Command) {
        let program = command.program();
        let files = match program {
            "make" => "Makefile makefile GNUmakefile",
            "npm" | "yarn" | "pnpm" => "package.json",
            "bundle" => "Gemfile",
            "cargo" => "Cargo.toml",
            "go" => "go.mod",
            _ => return,
        };
        let files = files.split(' ').flat_map(|name| self.files_named(name));
        let files: Vec<RepoPath> = files.filter(|file| self.holds(file)).cloned().collect();
        for file in files {
            let what = format!("what `{program}` does with this file is not read");
            self.file_not_read(&file, what, &[Hides::Packages]);
        }
    }

    /// A Python program of the build that calls an installer.
    fn report_installer(&mut self, path: &RepoPath) {
        let source = &self.interface.sources[path];
        let has = |line: &str, word: &str| line.contains(word);
        let installs = |line: &str| has(line, "install") && (has(line, "pip") || has(line, "apt"));
        if let Some((at, line)) = source.lines().find(|(_, line)| installs(line)) {
            let what = "what this program installs is not read";
            let unread = source.unread(at..at + line.len(), what, &[Hides::Packages]);
            self.unread.push(unread);
        }
    }
}

/// A file of which only this part is left; the rest is blank, so that places stay true.
pub fn blank_except(source: &Source, range: &Range<usize>) -> Source {
    let before = source.text.get(..range.start).unwrap_or_default();
    let mut text = shell::blank(before);
    text.push_str(source.text.get(range.clone()).unwrap_or_default());
    Source::new(source.path.clone(), text.as_bytes())
}
