//! The options of `cleanup`; the doc comments are the help.

use xtask_core::cli::Format;

/// Remove outdated/, once nothing of the old worker is missing
///
/// Only where all of it is committed, compare has nothing open, the Hub's files
/// have no errors and nothing that runs or builds refers to it any more. What
/// stands in the way is listed, with the command that settles each.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
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
