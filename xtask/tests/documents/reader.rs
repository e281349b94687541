//! Somebody who does what a document says, in a scratch folder of their own.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::page::{Step, Story, What, difference};
use crate::support::Lab;
use crate::{fork, states};

/// How many lines are shown of a command that ended in another way than the document says.
const LAST: usize = 40;

pub struct Reader {
    document: String,
    pub lab: Lab,
    /// Where they stand.
    at: PathBuf,
    /// What they read as something else.
    swaps: Vec<(String, String)>,
    /// Whether they go on where docker is needed.
    docker: bool,
}

impl Reader {
    pub fn new(document: &str, state: &str) -> Self {
        let lab = Lab::new();
        states::make(&lab, state);
        let clone = lab.path(states::CLONE);
        // What cargo does with the alias `xtask`, without building it again.
        lab.script(
            "bin/cargo",
            &format!(
                "[ \"$1\" = xtask ] || {{ echo \"cargo $1 is not at hand\" >&2; exit 101; }}\n\
                 shift\nCARGO_MANIFEST_DIR='{}' exec '{}' \"$@\"",
                clone.join("xtask").display(),
                env!("CARGO_BIN_EXE_xtask")
            ),
        );
        Self {
            document: document.to_owned(),
            at: clone,
            lab,
            swaps: fork::swaps(),
            docker: false,
        }
    }

    /// One who has docker, and reads some names as others.
    pub fn with_docker(mut self, swaps: &[(String, String)]) -> Self {
        self.docker = true;
        self.swaps.extend_from_slice(swaps);
        self
    }

    /// Does what a story says, with these variables.
    pub fn follow(mut self, story: &Story, variables: &[(String, String)]) {
        for step in &story.steps {
            let place = format!("{}:{}", self.document, step.line);
            match step.needs.as_deref() {
                Some("docker") if !self.docker => {
                    println!("{place}: the rest is for `cargo xtask test --stage image`");
                    return;
                }
                Some(path) if path != "docker" && !self.lab.at(states::CLONE).has(path) => {
                    println!("{place}: skipped, because {path} is not there");
                    continue;
                }
                _ => {}
            }
            self.step(&place, step, variables);
        }
    }

    pub fn step(&mut self, place: &str, step: &Step, variables: &[(String, String)]) {
        match &step.what {
            What::Change(diff) => self.change(place, step.at.as_deref(), &self.swapped(diff)),
            What::Type(commands, exits) => {
                let last = commands.len() - 1;
                for (number, (command, shown)) in commands.iter().enumerate() {
                    let exits = if number == last { *exits } else { 0 };
                    let command = self.swapped(command);
                    let (code, printed) = self.types(&command, variables);
                    if code != Some(exits) {
                        let lines: Vec<&str> = printed.lines().collect();
                        let last = lines[lines.len().saturating_sub(LAST)..].join("\n");
                        panic!(
                            "{place}: $ {command}\nended with {code:?} and not {exits}; the last \
                             it printed:\n{last}"
                        );
                    }
                    let shown = self.lab.scrub(&self.swapped(shown));
                    if let Some(words) = difference(&shown, &self.lab.scrub(&printed)) {
                        panic!("{place}: $ {command}\n{words}\n--- printed\n{printed}");
                    }
                }
            }
        }
    }

    fn swapped(&self, text: &str) -> String {
        let swap = |text: String, (from, to): &(String, String)| text.replace(from, to);
        self.swaps.iter().fold(text.to_owned(), swap)
    }

    /// Types a command; gives how it ended, and all that it printed.
    fn types(&mut self, command: &str, variables: &[(String, String)]) -> (Option<i32>, String) {
        let place = self.lab.path("place");
        let script = format!(
            "exec 2>&1\n{command}\nended=$?\npwd >'{}'\nexit $ended\n",
            place.display()
        );
        let mut shell = Command::new("bash");
        self.lab.environment(&mut shell);
        let path = std::env::var("PATH").unwrap_or_default();
        let output = shell
            .arg("-c")
            .arg(script)
            .current_dir(&self.at)
            .env("PATH", format!("{}:{path}", self.lab.path("bin").display()))
            .envs(variables.iter().cloned())
            .output()
            .unwrap();
        if let Ok(now) = fs::read_to_string(place) {
            self.at = now.trim_end().into();
        }
        let printed = String::from_utf8(output.stdout).unwrap();
        (output.status.code(), printed)
    }

    /// Makes a change that is shown as a diff.
    fn change(&self, place: &str, at: Option<&str>, diff: &str) {
        let mut git = Command::new("git");
        self.lab.environment(&mut git);
        let mut git = git
            .args(["apply", "-"])
            .current_dir(self.at.join(at.unwrap_or(".")))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = git.stdin.take().unwrap();
        input.write_all(diff.as_bytes()).unwrap();
        drop(input);
        assert!(git.wait().unwrap().success(), "{place}: the change");
    }
}
