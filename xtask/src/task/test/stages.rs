//! The stages: what each is called, what it needs, and what it runs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use super::environment::{environment, python};
use super::{StageOutcome, image};
use crate::layout;
use crate::outcome::Unusable;
use crate::task::{compare, hub_lint};

/// One stage: what it is called, what it needs, and what it runs.
pub struct Stage {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [Need],
    /// A file without which there is nothing to test (a repository that carries the tool need
    /// not have the worker's tests).
    pub file: Option<&'static str>,
    /// Whether it needs docker, which `--fast` leaves out.
    pub docker: bool,
    pub run: Run,
}

/// What a stage does at the root of the repository.
pub enum Run {
    /// Programs to call, one after the other; the flag says that they may mend what they find.
    Programs(fn(&Path, bool) -> Result<Vec<Command>>),
    /// A look by one of the other tasks: what it found, where it found something.
    Look(fn(&Path) -> Result<Option<String>>),
    /// Work of its own.
    Own(fn(&Path) -> Result<StageOutcome>),
}

/// A program that a stage needs and that can't be set up without root.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Rustfmt,
    Clippy,
    Git,
    Python,
}

/// What the worker's tests need.
pub const WORKER_TESTS: &str = "tests/requirements.txt";

pub const STAGES: &[Stage] = &[
    Stage {
        name: "format",
        about: "Rust is formatted",
        needs: &[Need::Rustfmt],
        file: None,
        docker: false,
        run: Run::Programs(|root, fix| {
            let mut fmt = cargo(root, &["fmt", "--all"]);
            if !fix {
                fmt.arg("--check");
            }
            Ok(vec![fmt])
        }),
    },
    Stage {
        name: "clippy",
        about: "clippy has nothing to say",
        needs: &[Need::Clippy],
        file: None,
        docker: false,
        run: Run::Programs(|root, fix| {
            let mut clippy = cargo(root, &["clippy", "--quiet", "--workspace", "--all-targets"]);
            if fix {
                clippy.args(["--fix", "--allow-dirty", "--allow-staged"]);
            }
            clippy.args(["--locked", "--", "-D", "warnings"]);
            Ok(vec![clippy])
        }),
    },
    Stage {
        name: "rust",
        about: "the tool's tests",
        needs: &[Need::Git],
        file: None,
        docker: false,
        run: Run::Programs(|root, _| Ok(vec![cargo(root, &["test", "--workspace", "--locked"])])),
    },
    Stage {
        name: "ruff",
        about: "Python is formatted and linted",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
        docker: false,
        run: Run::Programs(|root, fix| {
            let python = environment(root)?;
            let ruff = |args: &[&str]| {
                let mut ruff = command(root, &python, &["-m", "ruff"]);
                ruff.args(args);
                ruff
            };
            Ok(if fix {
                vec![
                    ruff(&["check", "--quiet", "--fix", "."]),
                    ruff(&["format", "--quiet", "."]),
                ]
            } else {
                vec![
                    ruff(&["check", "--quiet", "."]),
                    ruff(&["format", "--check", "--quiet", "."]),
                ]
            })
        }),
    },
    Stage {
        name: "worker",
        about: "the worker's tests",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
        docker: false,
        run: Run::Programs(|root, _| {
            let python = environment(root)?;
            Ok(vec![command(
                root,
                &python,
                &["-m", "pytest", "--quiet", "tests"],
            )])
        }),
    },
    Stage {
        name: "compare",
        about: "nothing of the old worker is lost",
        needs: &[],
        file: Some(layout::BASELINE),
        docker: false,
        run: Run::Look(|root| {
            let (summary, open) = compare::summary(root)?;
            Ok((open > 0).then(|| format!("{summary}\nSee `cargo xtask compare`.")))
        }),
    },
    Stage {
        name: "hub-lint",
        about: "the Hub's files are sound",
        needs: &[],
        file: Some(".runpod/hub.json"),
        docker: false,
        run: Run::Look(|root| {
            let report = hub_lint::lint_directory(root)?;
            Ok(hub_lint::fails(&report.findings).then(|| {
                format!(
                    "{}\nSee `cargo xtask hub-lint`.",
                    hub_lint::summary(&report)
                )
            }))
        }),
    },
    Stage {
        name: image::NAME,
        about: "the image is built and works",
        needs: &[],
        file: Some(image::BASE),
        docker: true,
        run: Run::Own(image::run),
    },
];

pub fn command(root: &Path, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root);
    command
}

pub fn cargo(root: &Path, args: &[&str]) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = command(root, Path::new(&program), args);
    // The build in which this runs is none of the tests' business.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Whether a part of the toolchain works, which rustup adds where it doesn't: that takes no root.
/// Looking for the program is not enough, because rustup puts one in place of each part.
fn component(subcommand: &str, name: &str) -> bool {
    let works = || {
        let said = cargo(Path::new("."), &[subcommand, "--version"]).output();
        said.is_ok_and(|output| output.status.success())
    };
    let add = || {
        let Ok(rustup) = which::which("rustup") else {
            return false;
        };
        anstream::eprintln!("adding {name} with rustup");
        let added = Command::new(rustup)
            .args(["component", "add", name])
            .output();
        added.is_ok_and(|output| output.status.success())
    };
    works() || add() && works()
}

/// Names everything at once that is missing and that this can't set up by itself.
pub fn expect_programs(stages: &[&Stage]) -> Result<()> {
    let mut missing = Vec::new();
    let mut looked_at = Vec::new();
    for need in stages.iter().flat_map(|stage| stage.needs) {
        if looked_at.contains(need) {
            continue;
        }
        looked_at.push(*need);
        let (there, name, install) = match need {
            Need::Rustfmt => (
                component("fmt", "rustfmt"),
                "rustfmt",
                "rustup component add rustfmt",
            ),
            Need::Clippy => (
                component("clippy", "clippy"),
                "clippy",
                "rustup component add clippy",
            ),
            Need::Git => (which::which("git").is_ok(), "git", "apt-get install git"),
            Need::Python => (
                python().is_some(),
                "Python 3.10 or newer with venv",
                "apt-get install python3 python3-venv",
            ),
        };
        if !there {
            missing.push(format!("  {name}: {install}"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    bail!(Unusable(format!(
        "the tests need what this machine lacks:\n{}",
        missing.join("\n")
    )))
}
