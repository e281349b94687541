//! The command line, composed of the options that each task owns.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::{status, test};

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

    /// Print each program that is run to its end, before it runs
    #[arg(short, long, global = true)]
    pub verbose: bool,

    #[command(subcommand)]
    pub task: Option<Task>,
}

#[derive(Debug, Subcommand)]
pub enum Task {
    Migrate(Box<migrate::args::Args>),
    HubLint(Box<hub_lint::args::Args>),
    Compare(compare::args::Args),
    BuildImage(build_image::args::Args),
    Cleanup(cleanup::args::Args),
    Status(status::args::Args),
    Test(test::args::Args),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        super::Cli::command().debug_assert();
    }
}
