//! The options of `test`; the doc comments are the help.

/// Run everything that a contribution must pass
///
/// Names at once what the machine lacks, and sets up on the way what takes no
/// root: a fresh clone and this command are enough.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run these stages only: format, clippy, rust, ruff, worker, compare,
    /// hub-lint, page, wheel, image, and where they are named upgrade (takes two
    /// releases of SGLang in copies) and real-sglang (10 GB: asks, or takes
    /// `SGLANG_PYTHON`)
    #[arg(long, value_name = "NAME")]
    pub stage: Vec<String>,

    /// Leave out what builds most: the wheel and the image
    #[arg(long, conflicts_with = "stage")]
    pub fast: bool,

    /// Let the formatters and linters fix what they can
    #[arg(long)]
    pub fix: bool,
}
