//! The options of `status`; the doc comments are the help.

use xtask_core::cli::Format;

/// Show where this repository stands, and what to type next
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}
