//! `cargo xtask`: moves a RunPod worker for SGLang to the modern layout and keeps it there.
//!
//! This file parses the command line, runs the task and returns its exit code.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use xtask::{cli, example, status, test};
use xtask_core::outcome::Outcome;
use xtask_core::{fault, outcome, output, process, progress};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // For `compare`, 1 means that something is open, so errors have another code.
    let is_compare = matches!(cli.task, Some(cli::Task::Compare(_)));
    let refusal = if is_compare { 2 } else { 1 };
    process::set_verbose(cli.verbose);
    progress::set_quiet(cli.quiet);
    cli::set_colours(cli.color);
    let result = match cli.task {
        None if cli.version => print(&cli::version()),
        None => (cli::Cli::command().print_help())
            .map(|()| Outcome::Done)
            .map_err(anyhow::Error::from),
        Some(cli::Task::HubLint(args)) => hub_lint::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Migrate(args)) if args.example => example::run(&args),
        Some(cli::Task::Migrate(args)) => migrate::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Compare(args)) => {
            compare::run(cli.repo.as_deref(), &args, &cleanup::questions)
        }
        Some(cli::Task::BuildImage(args)) => build_image::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Cleanup(args)) => cleanup::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Status(args)) => status::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Test(args)) => test::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Completions(args)) => print(cli::completions(args.shell).trim_end()),
    };
    let code = match result {
        Ok(outcome) => outcome.into(),
        Err(error) => outcome::report(&error, refusal),
    };
    if let Some(count) = fault::passed() {
        eprintln!("fault points: {count}");
    }
    code
}

fn print(text: &str) -> anyhow::Result<Outcome> {
    output::print(&format!("{text}\n")).map(|()| Outcome::Done)
}
