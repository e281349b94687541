//! The command line. The doc comments below are the help that users read.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Moves a RunPod worker for SGLang to the modern layout, proves that nothing
/// was lost, and keeps it in line with upstream.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    max_term_width = 80,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The repository to work on [default: the one that holds this tool]
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub repo: Option<PathBuf>,

    #[command(subcommand)]
    pub task: Option<Task>,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    Migrate(Box<Migrate>),
    HubLint(Box<HubLint>),
    Compare(Compare),
    BuildImage(BuildImage),
    Cleanup(Cleanup),
    Status(Status),
    Test(Test),
}

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Move a worker to the modern layout, or bring in what upstream changed since
///
/// The result is staged and HEAD does not move: look at it with `git status`
/// and `git diff --cached`, then commit it, or take it back with `--abort`.
#[derive(Debug, Clone, Args)]
pub struct Migrate {
    /// Where the modern files come from: a directory, a git repository or a
    /// URL [default: what upstream.lock.json records, else this tool's own
    /// repository]. What the lock records on this machine is read only where
    /// `git config --global xtask.trustedUpstream` names it too
    #[arg(long, value_name = "DIR|URL")]
    pub upstream: Option<String>,

    /// Branch, tag, full commit or ref of the upstream
    #[arg(long, value_name = "REF")]
    pub rev: Option<String>,

    /// For a fork with changes of its own: merge what changed since BASE, the
    /// revision of the legacy worker that it started from
    #[arg(long, value_name = "BASE")]
    pub carry: Option<String>,

    /// For a worker that is modern already but has no upstream.lock.json: find
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

    /// What to do with conflicts: list them and write nothing, or write the
    /// files with conflict markers as `git merge` does
    #[arg(long, value_enum, value_name = "HOW", default_value_t)]
    pub conflicts: Conflicts,

    /// Finish a migration that was interrupted, or whose conflicts are
    /// resolved and staged
    #[arg(long, group = "recovery", conflicts_with_all = ["upstream", "rev", "carry", "adopt", "embed", "dry_run", "check", "commit", "example", "with_image"])]
    pub resume: bool,

    /// Take back a migration that was interrupted or is not committed yet
    #[arg(long, group = "recovery", conflicts_with_all = ["upstream", "rev", "carry", "adopt", "embed", "dry_run", "check", "commit", "example"])]
    pub abort: bool,

    /// Build the bundled legacy worker in a scratch folder and migrate that:
    /// needs no network, docker or GPU
    #[arg(long, conflicts_with_all = ["repo", "upstream", "rev", "carry", "adopt"])]
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
}

/// Show what became of everything that the old worker exposed
///
/// Every environment variable, flag, route, package, image setting and Hub
/// field of the old worker gets a verdict: kept, renamed, changed, missing,
/// retired or accepted. What is missing, renamed or changed fails until it is
/// mended or a reason for it is on record.
#[derive(Debug, Default, Args)]
pub struct Compare {
    /// The old worker: a directory or a git revision [default: outdated/, or
    /// else compare.baseline.json]
    pub old: Option<String>,

    /// The new worker: a directory or a git revision [default: the work tree]
    #[arg(requires = "old")]
    pub new: Option<String>,

    /// A third worker to show beside them: a directory or a git revision
    /// [default: what upstream.lock.json records]
    #[arg(long, value_name = "TREE")]
    pub upstream: Option<String>,

    /// Show every fact, those that are kept or added too
    #[arg(long)]
    pub all: bool,

    /// Show what changed in the files that the layouts have in common
    #[arg(long, conflicts_with = "format")]
    pub diff: bool,

    /// Also run the Python of both workers, in a sandbox of stand-ins, and
    /// compare what they would start and request. This runs code of both trees
    #[arg(long)]
    pub execute: bool,

    /// Record why the loss of FACT is meant; `*` stands for anything
    #[arg(
        long,
        value_name = "FACT",
        requires = "reason",
        conflicts_with = "diff"
    )]
    pub accept: Vec<String>,

    /// The reason, for those who will ask
    #[arg(long, value_name = "TEXT", requires = "accept")]
    pub reason: Option<String>,

    /// Take the reason for FACT off the record; FACT is what it was accepted as,
    /// with its `*`
    #[arg(
        long,
        value_name = "FACT",
        conflicts_with_all = [
            "old", "upstream", "all", "diff", "execute", "accept", "format"
        ]
    )]
    pub withdraw: Vec<String>,

    /// Write the old worker's facts to compare.baseline.json, for when its
    /// files are gone
    #[arg(long, conflicts_with_all = ["execute", "diff", "accept", "withdraw"])]
    pub write_baseline: bool,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: ReportFormat,
}

/// Who reads a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// For a pull request
    Markdown,
}

/// Build the worker's image, and check that what was built works
///
/// Looks at the repository first, builds with docker, then checks the image:
/// its configuration, its Python, and a worker that runs jobs in it. What
/// follows `--` goes to docker as it is.
#[derive(Debug, Args)]
pub struct BuildImage {
    /// Tag of the image [default: worker-sglang:dev]
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,

    /// Build on this image [default: what the Dockerfile says]
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,

    /// Bake this model into the image; `HF_TOKEN`, from the environment or .env,
    /// is used as a build secret
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,

    /// Revision of the model
    #[arg(long, value_name = "REV", requires = "model")]
    pub revision: Option<String>,

    /// Quantization of the model
    #[arg(long, value_name = "METHOD", requires = "model")]
    pub quantization: Option<String>,

    /// Tokenizer to bake in beside the model
    #[arg(long, value_name = "NAME", requires = "model")]
    pub tokenizer: Option<String>,

    /// Push the image once every check has passed
    #[arg(long, conflicts_with_all = ["check", "print"])]
    pub push: bool,

    /// Look at the repository and build nothing
    #[arg(long, conflicts_with = "print")]
    pub check: bool,

    /// Print the command and the resolved bake file, and build nothing
    #[arg(long)]
    pub print: bool,

    /// Check this image, and build nothing
    #[arg(
        long,
        value_name = "IMAGE",
        conflicts_with_all = ["check", "print", "push", "tag", "model", "docker"]
    )]
    pub verify: Option<String>,

    /// Write the flags of the image's SGLang to `sglang_flags.json`
    #[arg(long, conflicts_with_all = ["check", "print", "push"])]
    pub update_flags: bool,

    /// Megabytes that the image may add to its base image before that is worth
    /// a warning
    #[arg(long, value_name = "MB", default_value_t = 300)]
    pub size_budget: u64,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,

    /// Arguments for docker itself
    #[arg(last = true, value_name = "DOCKER ARGUMENTS")]
    pub docker: Vec<std::ffi::OsString>,
}

/// Remove outdated/, once nothing of the old worker is missing
///
/// Only where all of it is committed, compare has nothing open, the Hub's files
/// have no errors and nothing that runs or builds refers to it any more. What
/// stands in the way is listed, with the command that settles each.
#[derive(Debug, Clone, Args)]
pub struct Cleanup {
    /// Print what would be removed, or what stands in the way, and leave the
    /// repository as it is
    #[arg(long, conflicts_with = "commit")]
    pub dry_run: bool,

    /// Commit the removal, with a message that says how to get it back
    #[arg(long)]
    pub commit: bool,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

/// Show where this repository stands, and what to type next
#[derive(Debug, Clone, Args)]
pub struct Status {
    /// Ask an upstream that is a URL whether it has moved on; without it the
    /// network is left alone
    #[arg(long)]
    pub online: bool,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

/// Run everything that a contribution must pass
///
/// Names at once what the machine lacks, and sets up on the way what takes no
/// root: a fresh clone and this command are enough.
#[derive(Debug, Args)]
pub struct Test {
    /// Run these stages only
    #[arg(long, value_name = "NAME")]
    pub stage: Vec<String>,

    /// Leave out what needs docker: the stage that builds the image
    #[arg(long, conflicts_with = "stage")]
    pub fast: bool,

    /// Let the formatters and linters mend what they can
    #[arg(long)]
    pub fix: bool,
}

/// Lint the RunPod Hub's files: .runpod/hub.json and .runpod/tests.json
///
/// Also looks at what they have to agree on with each other and with the rest
/// of the repository. Works on any worker repository. What a repository has
/// decided to live with stands in its hub-lint.json. Ends with 1 where there is
/// an error or a warning.
#[derive(Debug, Args)]
pub struct HubLint {
    /// Repositories or single files; `-` reads standard input [default: the
    /// repository]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,

    /// Mend what can be mended without a look
    #[arg(long)]
    pub fix: bool,

    /// Mend what can be mended, guesses included: look at the result
    #[arg(long)]
    pub unsafe_fixes: bool,

    /// With --fix or --unsafe-fixes: show the changes and make none
    #[arg(long)]
    pub dry_run: bool,

    /// Print the page of a rule, by its id or name
    #[arg(long, value_name = "RULE")]
    pub explain: Option<String>,

    /// Look for these rules only: ids, names, or the beginning of an id (HUB2)
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub select: Vec<String>,

    /// Leave these rules out
    #[arg(long, value_name = "RULE", value_delimiter = ',')]
    pub ignore: Vec<String>,

    /// Leave out what is less bad
    #[arg(long, value_enum, value_name = "SEVERITY", default_value = "info")]
    pub min_severity: crate::finding::Severity,

    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: LintFormat,

    /// With `-`: the path that standard input would be saved at
    #[arg(long, value_name = "PATH")]
    pub stdin_name: Option<PathBuf>,

    /// Write docs/hub-lint.md and schemas/ of a repository anew
    #[arg(long, value_name = "DIR", hide = true)]
    pub write_generated: Option<PathBuf>,
}

/// Who reads what hub-lint found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LintFormat {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations in GitHub Actions
    Github,
    /// For a step's summary or a pull request
    Markdown,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
