//! `cargo xtask`: moves a RunPod worker for SGLang to the modern layout and keeps it there.
//!
//! This file parses, runs the task and turns its outcome into an exit code; nothing else.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use xtask::{cli, example, status, test};
use xtask_core::{fault, outcome, process};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    process::set_verbose(cli.verbose);
    let result = match cli.task {
        None => cli::Cli::command()
            .print_help()
            .map(|()| outcome::Outcome::Done)
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
    };
    let code = match result {
        Ok(outcome) => outcome.into(),
        Err(error) => outcome::report(&error),
    };
    if let Some(count) = fault::passed() {
        eprintln!("fault points: {count}");
    }
    code
}
