//! The command line, with the options of all tasks.

use std::path::PathBuf;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;
use xtask_core::git::Git;
use xtask_core::tool_repo;

use crate::{status, test};

/// Moves a RunPod worker for SGLang to the modern layout, proves that nothing
/// was lost, and keeps it in line with upstream.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    max_term_width = 80,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// The repository to work on [default: the one that holds this tool]
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub repo: Option<PathBuf>,

    /// Print each program that is run to its end, before it runs
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,

    /// Show no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,

    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: clap::ColorChoice,

    /// Print the version, and the commit that the tool is of
    #[arg(short = 'V', long)]
    pub version: bool,

    #[command(subcommand)]
    pub task: Option<Task>,
}

pub fn set_colours(choice: clap::ColorChoice) {
    match choice {
        clap::ColorChoice::Auto => {}
        clap::ColorChoice::Always => anstream::ColorChoice::Always.write_global(),
        clap::ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
}

/// `cargo xtask 1.2.0 (0123456789 2026-02-03)`; without git, or outside of a clone, the version
/// alone.
pub fn version() -> String {
    let version = concat!("cargo xtask ", env!("CARGO_PKG_VERSION"));
    let commit = Git::find().and_then(|git| {
        let call = git.call().dir(&tool_repo::repository());
        let call = call.words("log -1 --abbrev=10");
        call.arg("--format=%h %cs").line()
    });
    match commit {
        Ok(commit) => format!("{version} ({commit})"),
        Err(_) => version.to_owned(),
    }
}

/// Print what completes this command line in a shell
///
/// The text also makes `xtask` short for `cargo xtask`, because a shell completes
/// a command by its first word. For bash: `source <(cargo xtask completions bash)`
/// in ~/.bashrc; zsh likewise, in ~/.zshrc after compinit; for fish
/// `cargo xtask completions fish | source` in ~/.config/fish/config.fish.
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    pub shell: Shell,
}

pub fn completions(shell: Shell) -> String {
    let function = match shell {
        Shell::Fish => "function xtask; cargo xtask $argv; end",
        Shell::Elvish => "fn xtask {|@a| cargo xtask $@a }",
        Shell::PowerShell => "function xtask { cargo xtask @args }",
        _ => "xtask() { cargo xtask \"$@\"; }",
    };
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "xtask", &mut text);
    let text = String::from_utf8_lossy(&text);
    format!("{}\n{function}\n", text.trim_end())
}

#[derive(Debug, Subcommand)]
pub enum Task {
    Migrate(Box<migrate::args::Args>),
    HubLint(Box<hub_lint::args::Args>),
    Compare(compare::args::Args),
    BuildImage(build_image::args::Args),
    Cleanup(cleanup::args::Args),
    Status(status::Args),
    Test(test::args::Args),
    Completions(CompletionsArgs),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, ValueEnum};

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_help_text_fits_into_80_columns() {
        let mut command = Cli::command();
        command.build();
        let mut all = vec![command.clone()];
        all.extend(command.get_subcommands().cloned());
        assert!(all.len() > 8);
        for mut command in all {
            for text in [command.render_long_help(), command.render_help()] {
                for line in text.to_string().lines() {
                    let name = command.get_name();
                    assert!(line.chars().count() <= 80, "{name}: {line}");
                }
            }
        }
    }

    #[test]
    fn every_shell_learns_every_task() {
        for shell in Shell::value_variants() {
            let text = completions(*shell);
            for task in ["migrate", "hub-lint", "build-image", "--dry-run"] {
                assert!(
                    text.contains(task.trim_start_matches('-')),
                    "{shell:?}: {task}"
                );
            }
            assert!(text.contains("cargo xtask "), "{shell:?}");
        }
    }
}
