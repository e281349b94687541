//! What start scripts put into the environment of the programs that they start, and take out of it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::run::Job;
use super::{Hides, Place, Reader, Run, last_part, shell};
use crate::is_one_of;
use crate::shell::{Command, Word};
use crate::steps;

impl Reader<'_> {
    /// What the script's programs find in their environment, and commands that see all of it.
    pub fn take_exports(&mut self, job: &Job) {
        let script = &job.run.script;
        // Behind the last program nothing sees what is exported.
        let mut programs = script.commands.iter().rev();
        let last = programs.find(|command| !steps::has_no_effect(command));
        let is_python = |it: &&Command| it.program().starts_with("python");
        // A function runs where it is called, and not where it stands.
        let has_functions = job.source.text.contains("()") || job.source.text.contains("function ");
        let last = last.filter(|it| is_python(it) || it.server_flags().is_some());
        let last = last.filter(|_| !has_functions);
        let end = last.and_then(|command| Some(command.words.last()?.range.end));
        let is_seen = |range: &Range<usize>| end.is_none_or(|end| range.start < end);
        for (name, value, range) in script.exports.iter().filter(|(.., at)| is_seen(at)) {
            self.export(name, value, job.place(range));
        }
        // What the endpoint sets stays exported under its new value.
        let of_one = script.commands.iter().filter(|it| !it.words.is_empty());
        let of_one: BTreeSet<&(String, String)> = of_one.flat_map(|it| &it.sets).collect();
        for (name, value, range) in &script.sets {
            let text = job.source.text.get(job.in_file(range));
            let is_plain = !value.contains(['$', '`']) && text.is_some_and(|it| !it.contains("+="));
            let is_whole = !of_one.contains(&(name.clone(), value.clone()));
            if is_plain && is_whole && self.is_passed(job, range) {
                let set = (value.clone(), job.place(range));
                self.interface.always_set.insert(name.clone(), set);
            }
        }
        for (name, guard) in &script.guarded_exports {
            let export = script.exports.iter().find(|(own, ..)| own == name);
            let place = export.map(|(.., range)| job.place(range));
            let written = place.map(|place| (name.clone(), Some(guard.to_string()), place));
            self.interface.python.written.extend(written);
        }
        for command in &script.commands {
            for name in unset_by(command) {
                if !self.is_passed(job, &name.range) {
                    continue;
                }
                let place = job.place(&name.range);
                let set = (String::new(), place.clone());
                self.interface.always_set.insert(name.text.clone(), set);
                self.interface
                    .exports
                    .push((name.text.clone(), String::new(), place));
            }
            let words = command.run();
            let asks = |word: &&Word| word.text.contains("environ") || word.text.contains("getenv");
            let mut code = words.iter().skip_while(|word| word.text != "-c");
            let ends = words.first().zip(words.last());
            let mut at = ends.map_or(0..0, |(a, b)| a.range.start..b.range.end);
            let mut hides = &[Hides::Variables][..];
            let what = match (command.program(), code.nth(1).filter(asks)) {
                (program, Some(code)) if program.starts_with("python") => {
                    at = code.range.clone();
                    hides = &[Hides::Variables, Hides::Flags];
                    "a Python program inside of a command reads the environment"
                }
                ("awk" | "gawk", _) if words.iter().any(|word| word.text.contains("ENVIRON")) => {
                    "a program inside of a command reads the environment"
                }
                ("." | "source", _)
                    if words.len() > 1 && !self.has_file(command.word(1), &job.run) =>
                {
                    "what this file sets is not known: it is not in the repository"
                }
                _ => continue,
            };
            self.unread.push(job.unread(&at, what, hides));
        }
    }

    /// `export NAME=${NAME:-default}` is a read with a default. One that adds to it is none.
    pub fn export(&mut self, name: &str, value: &str, place: Place) {
        let variables = shell::variables(value);
        let is_all = |at: &Range<usize>| at.start == 0 && at.end == value.len();
        let is_braced = |at: &Range<usize>| at.start == 0 && value.ends_with('}');
        let is_itself = variables.first().is_some_and(|(first, at)| {
            first == name && (is_all(at) || is_braced(at) && value.starts_with("${"))
        });
        if !is_itself {
            // A variable that is only part of the value is not handed on.
            if let [(other, at)] = variables.as_slice()
                && (is_all(at) || is_braced(at))
            {
                let handed = (other.clone(), name.to_owned());
                self.interface.python.handed.push(handed);
            }
            let export = (name.to_owned(), shell::without_braces(value), place);
            self.interface.exports.push(export);
        }
    }

    /// Whether the repository, or an environment of Python's, has a file of that name.
    pub fn has_file(&self, path: &str, run: &Run) -> bool {
        let name = last_part(path);
        let is_found = || !self.resolve(path, run.workdir.as_deref()).is_empty();
        self.names.contains_key(name.as_bytes()) || name == "activate" || is_found()
    }
}

/// The variables that a command takes out of the environment: `unset A B`, `env -u A program`.
fn unset_by(command: &Command) -> impl Iterator<Item = &Word> {
    let is_env = command.words.first().is_some_and(|word| word.text == "env");
    let before = &command.words[..command.words.len() - command.run().len()];
    let by_env = before
        .windows(2)
        .filter(move |pair| is_env && is_one_of("-u --unset", &pair[0].text));
    let is_unset = command.program() == "unset";
    let names = command.run().iter().skip(1);
    let names = names.filter(move |word| is_unset && shell::is_name(&word.text));
    by_env.map(|pair| &pair[1]).chain(names)
}
