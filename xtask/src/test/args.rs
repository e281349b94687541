//! The options of `test`; the doc comments are the help.

/// Run everything that a contribution must pass
///
/// Names at once what the machine lacks, and sets up on the way what takes no
/// root: a fresh clone and this command are enough.
#[derive(Debug, clap::Args)]
pub struct Args {
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
