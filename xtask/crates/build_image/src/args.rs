//! The options of `build-image`; the doc comments are the help.

use xtask_core::cli::Format;

/// Build the worker's image, and check that what was built works
///
/// Looks at the repository first, builds with docker, then checks the image:
/// its configuration, its Python, and a worker that runs jobs in it. What
/// follows `--` goes to docker as it is.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Tag of the image [default: worker-sglang:dev]
    #[arg(long, value_name = "NAME")]
    pub tag: Option<String>,

    /// Build on this image [default: what the Dockerfile says]
    #[arg(long, value_name = "IMAGE")]
    pub base_image: Option<String>,

    /// Look at the repository and build nothing
    #[arg(long, conflicts_with = "print")]
    pub check: bool,

    /// Print the command, and build nothing
    #[arg(long, conflicts_with = "format")]
    pub print: bool,

    /// Check this image, and build nothing
    #[arg(
        long,
        value_name = "IMAGE",
        conflicts_with_all = ["check", "print", "tag", "docker"]
    )]
    pub verify: Option<String>,

    /// Write the flags of the image's SGLang to `sglang_flags.json`
    #[arg(long, conflicts_with_all = ["check", "print"])]
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
    pub docker: Vec<String>,
}
