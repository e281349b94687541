//! Programs that supervisor's configuration starts, and files that the Python names.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;

use anyhow::Result;

use super::run::{Job, When};
use super::{
    Hides, Reader, RepoPath, Run, Source, Step, is_python, is_supervisor, last_part, python, shell,
};
use crate::is_one_of;
use crate::shell::Command;

impl Reader<'_> {
    pub fn find_programs(&mut self) -> Result<()> {
        for (path, entry) in self.tree.entries() {
            if entry.mode.is_file() {
                let same = self.names.entry(path.name().to_vec()).or_default();
                same.push(path.clone());
            }
        }
        let sources = self.interface.sources.values();
        let sources = sources.filter(|source| is_supervisor(source)).cloned();
        for source in sources.collect::<Vec<Source>>() {
            let is_held = self.holds(&source.path);
            self.read_supervisor(source, if is_held { When::Start } else { When::Never })?;
        }
        self.find_mentions()
    }

    /// The repository's files of that name, in any folder.
    pub fn files_named(&self, name: &str) -> impl Iterator<Item = &RepoPath> {
        self.names.get(name.as_bytes()).into_iter().flatten()
    }

    /// Scripts and programs that a Python file names in quotes: it may start them.
    fn find_mentions(&mut self) -> Result<()> {
        let sources = self.interface.sources.values();
        for source in sources.filter(|source| is_python(&source.path)) {
            for end in [".sh\"", ".sh'", ".py\"", ".py'"] {
                for (at, _) in source.text.match_indices(end) {
                    let from = source.text[..at].trim_end_matches(is_name_part).len();
                    let name = &source.text[from..at + end.len() - 1];
                    let files = self.names.get(name.as_bytes()).into_iter().flatten();
                    self.mentions.extend(files.cloned());
                }
            }
        }
        let renamed: Vec<(String, RepoPath)> = self.renamed().collect();
        for (name, path) in renamed {
            let quoted = [format!("{name}\""), format!("{name}'")];
            let sources = self.interface.sources.values();
            let mut python = sources.filter(|source| is_python(&source.path));
            let names = |text: &str, quoted: &String| {
                let mut found = text.match_indices(&**quoted);
                found.any(|(at, _)| text[..at].ends_with(['"', '\'', '/']))
            };
            if python.any(|source| quoted.iter().any(|quoted| names(&source.text, quoted)))
                && self.open(&path)?
            {
                self.mentions.insert(path);
            }
        }
        Ok(())
    }

    /// The files that the image holds by another name, with that name.
    fn renamed(&self) -> impl Iterator<Item = (String, RepoPath)> {
        let copied = self.copied.iter().flat_map(|copied| &copied.files);
        let pairs = copied.map(|(place, path)| (last_part(place).to_owned(), path.clone()));
        pairs.filter(|(name, path)| !name.is_empty() && name.as_bytes() != path.name())
    }

    /// Notes the paths by which Python starts scripts and programs that the image holds elsewhere,
    /// unless it asks whether they are there. Only what stands in the line of a call that starts
    /// something counts.
    pub fn note_misplaced_in_python(&mut self) {
        let sources = self.interface.sources.values();
        let held = sources.filter(|source| is_python(&source.path) && self.holds(&source.path));
        const STARTING: [&str; 7] = [
            "Popen(",
            "run(",
            "call(",
            "check_output(",
            "system(",
            "exec",
            "spawn",
        ];
        let mut found = Vec::new();
        for source in held {
            let text = source.text.as_str();
            let mut seen: BTreeSet<&str> = BTreeSet::new();
            for end in [".sh\"", ".sh'", ".py\"", ".py'"] {
                for (at, _) in text.match_indices(end) {
                    let (stop, quote) = (at + end.len() - 1, &end[end.len() - 1..]);
                    let start = text[..at].rfind(quote).map_or(stop, |start| start + 1);
                    let path = &text[start..stop];
                    let line = text[..start].rfind('\n').map_or(0, |end| end + 1);
                    let starts = || STARTING.iter().any(|word| text[line..start].contains(word));
                    let is_path = path.starts_with('/')
                        && !path.starts_with("/runpod-volume/")
                        && !path.contains(|c| c != '/' && !is_name_part(c));
                    if !is_path || !starts() || !seen.insert(path) {
                        continue;
                    }
                    let mut files = self.files_named(last_part(path));
                    let asks = |test: &str| text.contains(&format!("{test}({quote}{path}"));
                    if files.any(|file| self.holds(file))
                        && self.in_image(path, None).is_none()
                        && self.knows_place(path, &[])
                        && !["exists", "isfile"].iter().any(|test| asks(test))
                    {
                        found.push((path.to_owned(), source.place(start..stop)));
                    }
                }
            }
        }
        self.interface.misplaced.extend(found);
    }

    /// Scripts and programs that Python may start and that hand their arguments on to the server.
    pub fn launchers(&self, sources: &BTreeMap<RepoPath, Source>) -> BTreeSet<String> {
        let hands_on = |source: &&Source| {
            if is_python(&source.path) {
                return python::hands_on(&source.text);
            }
            shell::parse(&source.text).commands.iter().any(|command| {
                let all = |word: &shell::Word| matches!(&*word.text, "$@" | "$*");
                command.server_flags().is_some() && command.words.iter().any(all)
            })
        };
        let mentioned = self.mentions.iter().filter_map(|path| sources.get(path));
        let name = |source: &Source| String::from_utf8_lossy(source.path.name()).into_owned();
        let found: Vec<&Source> = mentioned.filter(hands_on).collect();
        let renamed = self.renamed();
        let renamed = renamed.filter(|(_, path)| found.iter().any(|source| source.path == *path));
        let renamed = renamed.map(|(name, _)| name);
        found
            .iter()
            .map(|source| name(source))
            .chain(renamed)
            .collect()
    }

    /// Files that a Python program names and that it may read its tables from.
    pub fn data_files(&self) -> Result<Vec<Source>> {
        let texts = self.interface.sources.values().chain(&self.inline);
        let words = texts.flat_map(|source| dotted_words(&source.text));
        let is_name = |word: &&str| word.split_once('.').is_some_and(|(_, end)| end != "py");
        // `load_dotenv()` reads this file by default.
        let loads = |source: &Source| source.text.contains("load_dotenv");
        let dotenv = self.interface.sources.values().any(loads).then_some(".env");
        let names: BTreeSet<&str> = words.filter(is_name).chain(dotenv).collect();
        let mut found = Vec::new();
        for path in names.iter().flat_map(|name| self.files_named(name)) {
            let size = self.tree.entries().get(path).and_then(|entry| entry.size);
            let most = python::LARGEST_DATA;
            if !self.holds(path) || size.is_some_and(|size| size > most as u64) {
                continue;
            }
            let bytes = self.tree.read(path)?;
            let source = Source::new(path.clone(), &bytes);
            if bytes.len() <= most && source.trouble().is_none() {
                found.push(source);
            }
        }
        Ok(found)
    }

    /// What supervisor, or a program that starts a Procfile, is given to start.
    pub fn open_program_list(&mut self, job: &Job, command: &Command) -> Result<()> {
        match command.program() {
            "supervisord" => self.open_supervisor(command, job.when),
            "honcho" | "foreman" | "goreman" | "overmind" | "hivemind" => {
                self.open_procfile(job, command)
            }
            _ => Ok(()),
        }
    }

    /// Opens the configuration that supervisor is given, whatever its name.
    fn open_supervisor(&mut self, command: &Command, when: When) -> Result<()> {
        let words = command.run().iter();
        let mut files = words.skip_while(|word| !matches!(&*word.text, "-c" | "--configuration"));
        let name = files.nth(1).map(|word| last_part(&word.text).to_owned());
        // Without the option it looks for its files in these folders.
        let copied = self.copied.iter().flat_map(|copied| &copied.files);
        let by_default = copied.filter(|(path, _)| {
            let parts = path.strip_prefix("etc/supervisor");
            name.is_none() && parts.is_some_and(|parts| parts.ends_with("conf"))
        });
        let by_default = by_default.map(|(_, file)| file.clone());
        let named = name.iter().flat_map(|name| self.files_named(name)).cloned();
        for path in named.chain(by_default).collect::<Vec<_>>() {
            if !self.interface.sources.contains_key(&path)
                && let Some(source) = self.source(&path)?
            {
                self.read_supervisor(source, when)?;
            }
        }
        Ok(())
    }

    /// `NAME: COMMAND` of each program of a Procfile, in whose folder the commands run.
    fn open_procfile(&mut self, job: &Job, command: &Command) -> Result<()> {
        let words = command.run().iter().map(|word| &*word.text);
        let mut given = words.skip_while(|word| !is_one_of("-f --procfile", word));
        let path = given.nth(1).unwrap_or("Procfile");
        let workdir = job.run.workdir.clone();
        let found = self.resolve(path, workdir.as_deref()).into_iter().next();
        let source = found.map(|path| self.source(&path)).transpose()?;
        let Some(source) = source.flatten().map(Rc::new) else {
            return Ok(());
        };
        for (start, line) in source.lines() {
            let Some((_, text)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let run = Run {
                script: shell::parse(text),
                base: start + line.len() - text.len(),
                workdir: workdir.clone(),
                place: source.place(start..start + line.len()),
            };
            let (source, when) = (source.clone(), job.when);
            self.jobs.push(Job { source, run, when });
        }
        Ok(())
    }

    /// `command=` of each program; `%(ENV_NAME)s` is the variable NAME.
    pub fn read_supervisor(&mut self, source: Source, when: When) -> Result<()> {
        let source = Rc::new(source);
        let mut included = Vec::new();
        for (range, key, value) in supervisor_entries(&source) {
            let start = range.start;
            let before = included.len();
            if key == "files" {
                let folder = self
                    .interface
                    .landed
                    .iter()
                    .find(|(_, file)| **file == source.path);
                let folder = folder.map(|(path, _)| path.rsplit_once('/').unwrap_or_default().0);
                let files = value.split_whitespace();
                included.extend(files.flat_map(|file| self.resolve(file, folder)));
            }
            if key == "files" && when == When::Start && included.len() == before {
                let what = "what the files say that are included here is not read";
                let hides = [Hides::Variables, Hides::Flags];
                self.unread.push(source.unread(range.clone(), what, &hides));
            }
            if matches!(&*key, "autorestart" | "user") && when == When::Start {
                let (commands, place) = (
                    vec![format!("supervisor: {key}={value}")],
                    source.place(range),
                );
                self.interface.steps.push(Step { commands, place });
                continue;
            }
            if !matches!(&*key, "command" | "environment" | "directory") {
                continue;
            }
            let (before, behind) = source.text.split_at(start);
            let is_off = |text: &str| text.replace(' ', "").contains("autostart=false");
            let (head, rest) = (before.rsplit("\n[").next(), behind.split("\n[").next());
            let is_off = head.is_some_and(is_off) || rest.is_some_and(is_off);
            let when = if is_off { When::Never } else { when };
            let mut text = value.replace("%%", "%");
            while let Some(at) = text.find("%(ENV_")
                && let Some(length) = text[at..].find(")s")
            {
                let name = format!("${{{}}}", &text[at + 6..at + length]);
                text.replace_range(at..at + length + 2, &name);
            }
            let mut script = shell::parse(&text);
            let words = script.commands.iter_mut().flat_map(|it| &mut it.words);
            words.for_each(|word| word.range = range.clone());
            let reads = script.reads.iter_mut();
            reads.for_each(|read| read.range = range.clone());
            script.commands.retain(|_| key == "command");
            if key == "environment" && when == When::Start {
                for (name, value) in pairs(&value) {
                    let place = source.place(range.clone());
                    self.interface.exports.push((name, value, place));
                }
            }
            script.unread.clear();
            let run = Run {
                script,
                base: 0,
                workdir: None,
                place: source.place(range),
            };
            let source = source.clone();
            self.jobs.push(Job { source, run, when });
        }
        for file in included {
            if !self.interface.sources.contains_key(&file)
                && let Some(source) = self.source(&file)?
            {
                self.read_supervisor(source, when)?;
            }
        }
        Ok(())
    }
}

/// The keys of supervisor's configuration with their values, which may go on in indented lines.
fn supervisor_entries(source: &Source) -> Vec<(Range<usize>, String, String)> {
    let mut entries: Vec<(Range<usize>, String, String)> = Vec::new();
    let mut indent = None;
    for (start, line) in source.lines() {
        let text = line.split(" ;").next().unwrap_or_default();
        let own = text.len() - text.trim_start().len();
        match (entries.last_mut(), text.split_once('=')) {
            _ if text.trim().is_empty() || text.starts_with([';', '#']) => {}
            _ if text.starts_with('[') => indent = None,
            (Some((range, _, value)), _) if indent.is_some_and(|indent| own > indent) => {
                range.end = start + text.len();
                *value = format!("{value} {}", text.trim());
            }
            (_, Some((key, value))) => {
                indent = Some(own);
                let range = start..start + text.len();
                entries.push((range, key.trim().to_owned(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    entries
}

/// Whether a character is part of a file's name as code writes it.
fn is_name_part(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The words of a text that hold a dot. Most words do not, and are not looked at.
fn dotted_words(text: &str) -> impl Iterator<Item = &str> {
    let mut end = 0;
    memchr::memchr_iter(b'.', text.as_bytes()).filter_map(move |at| {
        let start = (at >= end).then(|| text[..at].trim_end_matches(is_name_part).len())?;
        end = text.len() - text[at..].trim_start_matches(is_name_part).len();
        Some(&text[start..end])
    })
}

/// `NAME="value",OTHER=value`, as supervisor writes an environment.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut quote = None;
    let parts = text.split(|c: char| {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        c == ',' && quote.is_none()
    });
    let pairs = parts.filter_map(|part| part.trim().split_once('='));
    let pairs = pairs.map(|(name, value)| (name, value.trim_matches(['"', '\''])));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    pairs.collect()
}
