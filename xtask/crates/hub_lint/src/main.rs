//! The command `hub-lint`, for any worker's repository.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use xtask_core::outcome;

/// Lint the RunPod Hub's files: .runpod/hub.json and .runpod/tests.json
#[derive(Debug, Parser)]
#[command(name = "hub-lint", version, max_term_width = 80)]
struct Cli {
    /// The repository to lint [default: the one around the working directory]
    #[arg(short = 'C', value_name = "DIR")]
    repo: Option<PathBuf>,

    #[command(flatten)]
    args: hub_lint::args::Args,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match hub_lint::run(cli.repo.as_deref(), &cli.args) {
        Ok(outcome) => outcome.into(),
        Err(error) => outcome::report(&error, 1),
    }
}
