//! `migrate --example`: a migration of the worker that comes with this tool.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::cli::{Cli, Task};
use crate::from_here;
use xtask_core::cli::Format;
use xtask_core::git::Git;
use xtask_core::outcome::{Outcome, UsageError};
use xtask_core::output;
use xtask_core::output::style::BOLD;
use xtask_core::tool_repo;
use xtask_core::tree::{Directory, Tree};

const IMAGE: &str = "worker-sglang-example:dev";

/// Makes a git repository of the bundled legacy worker, and migrates it.
pub fn run(args: &migrate::args::Args) -> Result<Outcome> {
    let git = &Git::find()?;
    let root = tool_repo::repository();
    let scratch = from_here(&root.join("target/example"));
    if scratch.exists() {
        fs_err::remove_dir_all(&scratch)?;
    }
    let (worker, theirs) = repositories(git, &scratch)?;
    if args.format == Format::Text {
        output::print(&format!(
            "The example is a worker of the legacy layout, as a git repository of its own:\n  \
             {}\n\n",
            worker.display()
        ))?;
    }
    let args = migrate::args::Args {
        example: false,
        upstream: Some(theirs.display().to_string()),
        ..args.clone()
    };
    let outcome = migrate::run(Some(&worker), &args)?;
    let migrated = outcome == Outcome::Done && !args.dry_run && !args.check;
    if migrated && args.format == Format::Text {
        next(&worker)?;
    }
    match &args.with_image {
        Some(base) if migrated => image(&worker, Some(base).filter(|base| !base.is_empty())),
        _ => Ok(outcome),
    }
}

/// Makes git repositories of the bundled legacy worker and its upstream in a folder.
pub fn repositories(git: &Git, folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let bundled = tool_repo::repository().join("xtask/example");
    let (worker, theirs) = (folder.join("my-worker"), folder.join("upstream"));
    copy(&bundled.join("legacy"), &worker)?;
    copy(&bundled.join("upstream"), &theirs)?;
    commit(git, &worker, "feat: a worker of the legacy layout")?;
    commit(git, &theirs, "feat: the worker that upstream maintains")?;
    Ok((worker, theirs))
}

/// Builds the migrated worker's image and checks it: on the base image that its Dockerfile names,
/// or on another.
fn image(worker: &Path, base: Option<&String>) -> Result<Outcome> {
    let mut words = vec!["build-image", "--tag", IMAGE];
    words.extend(base.iter().flat_map(|base| ["--base-image", base]));
    output::print(&format!(
        "\n{BOLD}Its image{BOLD:#}\n\n    cargo xtask {} -C {}\n\n",
        words.join(" "),
        worker.display()
    ))?;
    // The command line fills in the defaults.
    let typed = Cli::try_parse_from(std::iter::once("cargo xtask").chain(words));
    match typed.map(|cli| cli.task) {
        Ok(Some(Task::BuildImage(args))) => build_image::run(Some(worker), &args),
        Ok(_) => bail!("`build-image` is another task"),
        Err(error) => Err(UsageError(error.to_string()).into()),
    }
}

fn next(worker: &Path) -> Result<()> {
    let here = worker.display();
    let (summary, open) = compare::summary(worker)?;
    let lint = hub_lint::lint_directory(worker)?;
    output::print(&format!(
        "\n{BOLD}What became of what the old worker exposed{BOLD:#}\n\n{summary}\n\
         {open} are open. Each, with what to do: cargo xtask compare -C {here}\n\
         \n{BOLD}Hub lint{BOLD:#}\n\n{}\n\
         Each, with its place: cargo xtask hub-lint -C {here}\n",
        hub_lint::summary(&lint)
    ))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let tree = Directory::open(from, |_| false)?;
    for path in tree.entries().keys() {
        let target = path.below(to);
        if let Some(parent) = target.parent() {
            fs_err::create_dir_all(parent)?;
        }
        fs_err::copy(path.below(from), &target)?;
    }
    Ok(())
}

fn commit(git: &Git, dir: &Path, message: &str) -> Result<()> {
    for words in [
        "init --quiet --template= --initial-branch=main",
        "config user.name Example",
        "config user.email example@localhost",
        "config commit.gpgSign false",
        "add --all --force",
    ] {
        git.call().dir(dir).words(words).output()?;
    }
    let call = git.call().dir(dir).words("commit --quiet -m").arg(message);
    call.output().context("making the example's repository")?;
    Ok(())
}
