//! Commands as the lines of a step.

use super::started::Started;
use super::{last_part, packages, shell};
use crate::glob::clean;
use crate::shell::{Command, Script};
use crate::steps;
use crate::{IF, is_one_of};

/// A command with the one that it reads from, if that prints text or the environment.
pub fn piped_line(before: &Command, command: &Command) -> Option<String> {
    let takes = match before.program() {
        "echo" | "printf" => command.run().len() > 1 && !steps::has_no_effect(command),
        "env" | "printenv" | "export" | "set" => is_one_of("grep egrep awk sed", command.program()),
        _ => false,
    };
    let line = || format!("{} | {}", before.line(), full_line(command, &[]));
    (takes && command.piped).then(line)
}

/// The command with the files that it writes. The repository's files lose their folders, which the
/// layout decides.
pub fn full_line(command: &Command, started: &[Started]) -> String {
    let is_started = |name: &str| started.iter().any(|one| one.path.name() == name.as_bytes());
    let words = command.run().iter().map(|word| {
        let name = last_part(&word.text);
        if is_started(name) { name } else { &word.text }
    });
    let mut line = shell::without_braces(&words.collect::<Vec<_>>().join(" "));
    let read = command
        .list
        .iter()
        .map(|file| format!(" < {}", last_part(file)));
    let written = command.writes.iter().map(|file| format!(" > {file}"));
    line.extend(read.chain(written));
    line
}

/// The folder that a command changes, where its words don't say which.
fn within(command: &Command, folder: &str) -> String {
    let is_git = || command.program() == "git" && is_one_of("apply am checkout", command.word(1));
    let is_bound = is_one_of("patch make cmake ninja", command.program()) || is_git();
    if is_bound && !folder.is_empty() && !command.words.iter().any(|it| it.text == "-C") {
        format!(" in /{folder}")
    } else {
        String::new()
    }
}

pub fn below_folder(folder: &str, path: &str) -> String {
    if path.starts_with('/') {
        clean(path)
    } else {
        clean(&format!("{folder}/{path}"))
    }
}

/// A command as lines of a step: what is exported for it, itself, and the text that it is given.
pub fn step_lines(
    command: &Command,
    started: &[Started],
    folder: &str,
    in_build: bool,
) -> impl Iterator<Item = String> {
    let sets = command.set_for_it();
    let sets = sets.filter(move |(name, _)| in_build && packages::counts(name));
    let sets = sets.map(|(name, value)| format!("export {name}={value}"));
    let line = full_line(command, started) + &within(command, folder) + &below(command);
    // Programs in here-documents differ by their text.
    let input = command.input.iter();
    let input = input.map(|(text, _)| format!("<< {}", text.trim()));
    sets.chain([line]).chain(input)
}

/// The conditions that a command stands below.
pub fn below(command: &Command) -> String {
    let guard = Some(&command.guard).filter(|guard| guard.depth() > 0);
    guard.map_or_else(String::new, |guard| format!("{IF}{guard}"))
}

/// The tests of a build step below which nothing stands, and the variables that it exports. A
/// mounted secret does not count, since the program may read that itself.
pub fn conditions(script: &Script) -> impl Iterator<Item = String> {
    let with_effect = script.commands.iter();
    let with_effect: Vec<&Command> = with_effect
        .filter(|command| !steps::has_no_effect(command))
        .collect();
    let asks = move |command: &&Command| {
        let names = command.words.iter();
        let mut names = names.flat_map(|word| shell::variables(&word.text));
        let is_told = |name: &str| with_effect.iter().any(|it| it.guard.asks_for(name));
        matches!(command.program(), "[" | "[[" | "test")
            && command.words.iter().any(|word| word.text.contains('$'))
            && !names.any(|(name, _)| is_told(&name))
    };
    let tests = script.commands.iter().filter(asks).map(Command::line);
    let exports = script.exports.iter();
    let made = exports.filter(|(name, value, _)| {
        (value.contains("$(") || packages::counts(name)) && !value.contains("/run/secrets/")
    });
    let made = made.map(|(name, value, _)| format!("export {name}={value}"));
    let lines = tests.chain(made);
    lines.map(|line| line.replace("${", "$").replace('}', ""))
}
