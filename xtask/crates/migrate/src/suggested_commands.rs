//! The commands that a person is told to type next, for the repository and the upstream of this
//! run.

use std::path::Path;

use super::address;
use crate::args::{Args, Conflicts};
use xtask_core::commands::Commands;
use xtask_core::output::quoted;

pub struct SuggestedCommands {
    commands: Commands,
    wish: String,
}

impl SuggestedCommands {
    pub fn new(repo: Option<&Path>, args: &Args) -> Self {
        let mut wish = String::new();
        let upstream = args.upstream.as_deref();
        let upstream = upstream.map(address::without_credentials);
        for (name, value) in [
            ("upstream", &upstream),
            ("rev", &args.rev),
            ("carry", &args.carry),
            ("official", &args.official),
            ("adopt", &args.adopt),
        ] {
            if let Some(value) = value {
                wish += &format!(" --{name} {}", quoted(value));
            }
        }
        let conflicts = |how| args.conflicts == how;
        for (option, wished) in [
            ("embed", args.embed),
            ("anyway", args.anyway),
            ("commit", args.commit),
            ("conflicts markers", conflicts(Conflicts::Markers)),
            ("conflicts upstream", conflicts(Conflicts::Upstream)),
        ] {
            if wished {
                wish += &format!(" --{option}");
            }
        }
        Self {
            commands: Commands::new(repo),
            wish,
        }
    }

    /// The same, with the top of the repository in place of a folder below it.
    pub fn at_root(mut self, repo: Option<&Path>, top: &Path) -> Self {
        self.commands = self.commands.at_root(repo, top);
        self
    }

    pub fn migrate(&self, options: &str) -> String {
        self.task("migrate", options)
    }

    /// This task with what was asked for in this run, and more.
    pub fn again(&self, options: &str) -> String {
        let options = format!("{} {options}", self.wish);
        self.migrate(options.trim_start())
    }
}

impl std::ops::Deref for SuggestedCommands {
    type Target = Commands;

    fn deref(&self) -> &Commands {
        &self.commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[arg(short = 'C')]
        repo: Option<std::path::PathBuf>,
        #[command(flatten)]
        args: Args,
    }

    fn next(line: &str) -> SuggestedCommands {
        let words = format!("xtask {line}");
        let line = Line::parse_from(words.split(' ').filter(|word| *word != "migrate"));
        SuggestedCommands::new(line.repo.as_deref(), &line.args)
    }

    #[test]
    fn the_repository_of_this_run_is_named() {
        let next = next("-C ../my~worker migrate");
        assert_eq!(next.git("status"), "git -C '../my~worker' status");
        assert_eq!(next.again(""), "cargo xtask migrate -C '../my~worker'");
        assert_eq!(
            next.fit("type `cargo xtask migrate --abort` or `cargo xtask compare`"),
            "type `cargo xtask migrate -C '../my~worker' --abort` or `cargo xtask compare -C \
             '../my~worker'`"
        );
    }

    #[test]
    fn nothing_is_named_that_goes_without_saying() {
        let none = next("migrate --check");
        assert_eq!(none.git("status"), "git status");
        assert_eq!(none.again(""), "cargo xtask migrate");
        assert_eq!(none.fit("`cargo xtask migrate`"), "`cargo xtask migrate`");
        assert_eq!(next("-C . migrate").git("status"), "git status");
    }

    #[test]
    fn what_was_asked_for_is_asked_for_again() {
        assert_eq!(
            next("migrate --upstream u --rev v --embed --commit").again("--conflicts markers"),
            "cargo xtask migrate --upstream u --rev v --embed --commit --conflicts markers"
        );
        assert_eq!(
            next("migrate --carry v1 --check --conflicts markers").again(""),
            "cargo xtask migrate --carry v1 --conflicts markers"
        );
        assert_eq!(
            next("migrate --adopt main --check").migrate("--abort"),
            "cargo xtask migrate --abort"
        );
    }
}
