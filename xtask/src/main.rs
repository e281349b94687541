//! `cargo xtask`: moves a RunPod worker for SGLang to the modern layout and keeps it there.
//!
//! This file parses, runs the task and turns its outcome into an exit code; nothing else.

mod cli;
mod commands;
mod docker;
mod fault;
mod finding;
mod git;
mod interrupt;
mod layout;
mod outcome;
mod output;
mod own;
mod patience;
#[cfg(test)]
mod random;
mod secret;
mod sglang;
mod surface;
mod task;
mod tree;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let result = match cli.task {
        None => cli::Cli::command()
            .print_help()
            .map(|()| outcome::Outcome::Done)
            .map_err(anyhow::Error::from),
        Some(cli::Task::HubLint(args)) => task::hub_lint::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Migrate(args)) => task::migrate::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Compare(args)) => task::compare::run(cli.repo.as_deref(), &args),
        Some(cli::Task::BuildImage(args)) => task::build_image::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Cleanup(args)) => task::cleanup::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Status(args)) => task::status::run(cli.repo.as_deref(), &args),
        Some(cli::Task::Test(args)) => task::test::run(&args),
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
