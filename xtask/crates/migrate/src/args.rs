//! The options of `migrate`; the doc comments are the help.

use clap::ValueEnum;

use crate::address;
use xtask_core::cli::Format;
use xtask_core::output::quoted;

/// What the journal calls this task.
pub const TASK: &str = "migrate";

/// The options that move a fork of the official modern worker to this tool's.
pub const TO_THIS_WORKER: &str = "--upstream xtask: --conflicts upstream --commit";

/// The options that merge a legacy fork's own changes into the new files.
pub const WITH_OWN_CHANGES: &str = "--carry auto --conflicts upstream";

/// Move a worker to the modern layout, or bring in what upstream changed since
///
/// The result is staged and HEAD does not move: look at it with `git status`
/// and `git diff --cached`, then commit it, or take it back with `--abort`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where the modern files come from: a directory, a git repository or a
    /// URL [default: what .xtask/upstream.lock.json records, else this tool's own
    /// repository]. What the lock records on this machine is read only where
    /// `git config --global xtask.trustedUpstream` names it too
    #[arg(long, value_name = "DIR|URL")]
    pub upstream: Option<String>,

    /// Branch, tag, full commit or ref of the upstream
    #[arg(long, value_name = "REF")]
    pub rev: Option<String>,

    /// For a fork with changes of its own: merge what changed since BASE, the
    /// revision of the legacy worker that it started from; `auto` finds the newest
    /// revision of the official repository that it has
    #[arg(long, value_name = "BASE")]
    pub carry: Option<String>,

    /// Where the official worker is, which forks come from
    /// [default: <https://github.com/runpod-workers/worker-sglang>, asked only for
    /// what is not here]
    #[arg(long, value_name = "URL|DIR")]
    pub official: Option<String>,

    /// Migrate a worker all the same in which nothing names SGLang
    #[arg(long)]
    pub anyway: bool,

    /// For a worker that is modern already but has no .xtask/upstream.lock.json: find
    /// out which upstream revision its files came from (REV or one before it;
    /// `.` for a directory without git) and write the lock, nothing else
    #[arg(long, value_name = "REV", conflicts_with_all = ["carry", "embed", "rev"])]
    pub adopt: Option<String>,

    /// Also add this tool to the repository: xtask/, Cargo.toml, Cargo.lock
    /// and .cargo/
    #[arg(long)]
    pub embed: bool,

    /// Print the plan and leave the repository as it is
    #[arg(long, conflicts_with_all = ["commit", "check"])]
    pub dry_run: bool,

    /// Change nothing; exit with 1 if there is something to bring in
    #[arg(long, conflicts_with = "commit")]
    pub check: bool,

    /// Commit the result: the moves first, then the new content
    #[arg(long)]
    pub commit: bool,

    /// What to do with conflicts: list them and write nothing, write the files
    /// with conflict markers as `git merge` does, or (with --carry, or where
    /// upstream is another one now) take upstream's files and tell what of
    /// this fork's is not in them
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub conflicts: Conflicts,

    /// Finish a migration that was interrupted, or whose conflicts are
    /// resolved and staged; with --commit, commit it too
    #[arg(long, group = "recovery", conflicts_with_all = ["upstream", "rev", "carry", "official", "adopt", "embed", "dry_run", "check", "example", "with_image"])]
    pub resume: bool,

    /// Take back a migration that was interrupted or is not committed yet
    #[arg(long, group = "recovery", conflicts_with_all = ["upstream", "rev", "carry", "official", "adopt", "embed", "dry_run", "check", "commit", "example"])]
    pub abort: bool,

    /// Build the bundled legacy worker in a scratch folder and migrate that:
    /// needs no network, docker or GPU
    #[arg(long, conflicts_with_all = ["repo", "upstream", "rev", "carry", "official", "adopt"])]
    pub example: bool,

    /// With --example: build the image of the migrated worker too, and check
    /// it. BASE takes the place of the base image that its Dockerfile names
    #[arg(long, value_name = "BASE", num_args = 0..=1, default_missing_value = "", requires = "example", conflicts_with_all = ["dry_run", "check", "format"])]
    pub with_image: Option<String>,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

/// How conflicts are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Conflicts {
    /// List them and write nothing
    #[default]
    List,
    /// Write conflict markers and git's index stages
    Markers,
    /// Take upstream's files; `compare` lists what this fork loses by that
    Upstream,
}

impl Args {
    /// What was asked for, as it is typed, for the commands that a person is told to type next.
    pub fn asked(&self) -> String {
        let mut asked = String::new();
        let upstream = self.upstream.as_deref();
        for (name, value) in [
            ("upstream", &upstream.map(address::without_credentials)),
            ("rev", &self.rev),
            ("carry", &self.carry),
            ("official", &self.official),
            ("adopt", &self.adopt),
        ] {
            if let Some(value) = value {
                asked += &format!(" --{name} {}", quoted(value));
            }
        }
        let conflicts = |how| self.conflicts == how;
        for (option, wished) in [
            ("embed", self.embed),
            ("anyway", self.anyway),
            ("commit", self.commit),
            ("conflicts markers", conflicts(Conflicts::Markers)),
            ("conflicts upstream", conflicts(Conflicts::Upstream)),
        ] {
            if wished {
                asked += &format!(" --{option}");
            }
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use xtask_core::commands::Commands;

    #[derive(Parser)]
    struct Line {
        #[arg(short = 'C')]
        repo: Option<std::path::PathBuf>,
        #[command(flatten)]
        args: Args,
    }

    fn next(line: &str) -> Commands {
        let words = format!("xtask {line}");
        let line = Line::parse_from(words.split(' ').filter(|word| *word != "migrate"));
        Commands::new(line.repo.as_deref()).asking(line.args.asked())
    }

    #[test]
    fn the_repository_of_this_run_is_named() {
        let next = next("-C ../my~worker migrate");
        assert_eq!(next.git("status"), "git -C '../my~worker' status");
        assert_eq!(
            next.again("migrate", ""),
            "cargo xtask migrate -C '../my~worker'"
        );
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
        assert_eq!(none.again("migrate", ""), "cargo xtask migrate");
        assert_eq!(none.fit("`cargo xtask migrate`"), "`cargo xtask migrate`");
        assert_eq!(next("-C . migrate").git("status"), "git status");
    }

    #[test]
    fn what_was_asked_for_is_asked_for_again() {
        assert_eq!(
            next("migrate --upstream u --rev v --embed --commit")
                .again("migrate", "--conflicts markers"),
            "cargo xtask migrate --upstream u --rev v --embed --commit --conflicts markers"
        );
        assert_eq!(
            next("migrate --carry v1 --check --conflicts markers").again("migrate", ""),
            "cargo xtask migrate --carry v1 --conflicts markers"
        );
        assert_eq!(
            next("migrate --adopt main --check").task("migrate", "--abort"),
            "cargo xtask migrate --abort"
        );
    }
}
