//! The options of `compare`; the doc comments are the help.

use clap::ValueEnum;

/// Show what became of everything that the old worker exposed
///
/// Every environment variable, flag, route, package, image setting and Hub
/// field of the old worker gets a verdict: kept, renamed, changed, missing,
/// retired or accepted. What is missing, renamed or changed fails until it is
/// fixed or a reason for it is on record.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// The old worker: a directory or a git revision [default: outdated/, or
    /// else .xtask/baseline.json]
    pub old: Option<String>,

    /// The new worker: a directory or a git revision [default: the work tree]
    #[arg(requires = "old")]
    pub new: Option<String>,

    /// A third worker to show beside them: a directory or a git revision
    /// [default: what .xtask/upstream.lock.json records]
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

    /// Keep the reason for forks of OLD that take this worker for their upstream:
    /// they are offered it for the same value, and it answers for nothing here
    #[arg(long, requires_all = ["accept", "old"], conflicts_with_all = ["execute", "accept_upstream"])]
    pub for_forks: bool,

    /// Accept a pattern that takes in more than 20 facts
    #[arg(long, requires = "accept")]
    pub yes: bool,

    /// Take the reasons that upstream has for what is open, each for the value
    /// that it was given for; `--accept` may go with it for the rest
    #[arg(long, conflicts_with_all = ["new", "upstream", "all", "diff", "format"])]
    pub accept_upstream: bool,

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

    /// Commit .xtask/accepted.json, and nothing else
    #[arg(long, conflicts_with_all = ["diff", "write_baseline"])]
    pub commit: bool,

    /// Write the old worker's facts to .xtask/baseline.json, for when its
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
    /// A page for a browser, with the files of both workers side by side
    Html,
}
