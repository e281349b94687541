//! The stages of the tests.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::environment;
use super::needs::Need;
use super::{StageOutcome, image, page, wheel};
use xtask_core::layout;

pub struct TestStage {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [Need],
    /// A file without which there is nothing to test: a repository with this tool may lack the
    /// worker's tests.
    pub file: Option<&'static str>,
    pub run: fn(&Checkout) -> Result<StageOutcome>,
}

impl TestStage {
    /// Whether `--fast` leaves it out: it needs docker, or builds everything again.
    pub fn is_slow(&self) -> bool {
        self.needs.contains(&Need::Docker) || self.name == wheel::NAME
    }

    /// Whether it runs only where it is named: it takes many minutes, or gigabytes.
    pub fn is_named_only(&self) -> bool {
        ["upgrade", "real-sglang"].contains(&self.name)
    }
}

pub struct Checkout<'a> {
    pub root: &'a Path,
    /// Whether programs may fix what they find.
    pub fix: bool,
}

impl Checkout<'_> {
    fn cargo(&self, words: &str) -> Command {
        cargo(self.root, words)
    }

    fn python(&self, words: &str) -> Result<Command> {
        let python = environment::make(self.root)?;
        Ok(command(self.root, &python, words))
    }
}

fn run(commands: impl IntoIterator<Item = Command>) -> Result<StageOutcome> {
    let mut outcome = StageOutcome::default();
    for mut command in commands {
        outcome.run(&mut command)?;
    }
    Ok(outcome)
}

/// The outcome of another task, which failed if it found something.
fn outcome_of(failed: Option<String>) -> StageOutcome {
    StageOutcome {
        failed,
        ..StageOutcome::default()
    }
}

pub const WORKER_TESTS: &str = "tests/requirements.txt";

/// The tests of the tool compute, and those of the worker wait for processes most of the time: where
/// both run, they run at once.
pub const RUST: &str = "rust";
pub const WORKER: &str = "worker";

pub const STAGES: &[TestStage] = &[
    TestStage {
        name: "format",
        about: "Rust is formatted",
        needs: &[Need::Rustfmt],
        file: None,
        run: |checkout| {
            let check = if checkout.fix { "" } else { "--check" };
            run([checkout.cargo(&format!("fmt --all {check}"))])
        },
    },
    TestStage {
        name: "clippy",
        about: "clippy has nothing to say",
        needs: &[Need::Clippy],
        file: None,
        run: |checkout| {
            let mut clippy = checkout.cargo("clippy --quiet --workspace --all-targets");
            if checkout.fix {
                clippy.args(["--fix", "--allow-dirty", "--allow-staged"]);
            }
            clippy.args(["--locked", "--", "-D", "warnings"]);
            run([clippy])
        },
    },
    TestStage {
        name: RUST,
        about: "the tool's tests",
        needs: &[Need::Git],
        file: None,
        run: |checkout| {
            let words = "test --quiet --workspace --locked --no-fail-fast";
            run([checkout.cargo(words)])
        },
    },
    TestStage {
        name: "ruff",
        about: "Python is formatted and linted",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
        run: |checkout| {
            let mut check = checkout.python("-m ruff check --quiet .")?;
            let mut format = checkout.python("-m ruff format --quiet .")?;
            if checkout.fix {
                check.arg("--fix");
            } else {
                format.arg("--check");
            }
            run([check, format])
        },
    },
    TestStage {
        name: WORKER,
        about: "the worker's tests",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
        run: |checkout| run([checkout.python("-m pytest --quiet tests")?]),
    },
    TestStage {
        name: "compare",
        about: "nothing of the old worker is lost",
        needs: &[],
        file: Some(layout::BASELINE),
        run: |checkout| {
            let (summary, open) = compare::summary(checkout.root)?;
            let found = || format!("{summary}\nSee `cargo xtask compare`.");
            Ok(outcome_of((open > 0).then(found)))
        },
    },
    TestStage {
        name: "hub-lint",
        about: "the Hub's files are sound",
        needs: &[],
        file: Some(".runpod/hub.json"),
        run: |checkout| {
            let report = hub_lint::lint_directory(checkout.root)?;
            let summary = hub_lint::summary(&report);
            let found = || format!("{summary}\nSee `cargo xtask hub-lint`.");
            Ok(outcome_of((!report.findings.is_empty()).then(found)))
        },
    },
    TestStage {
        name: page::NAME,
        about: "a browser shows compare's page",
        needs: &[Need::Git, Need::Browser],
        file: Some(page::FILE),
        run: page::run,
    },
    TestStage {
        name: wheel::NAME,
        about: "hub-lint installs and runs in another worker",
        needs: &[Need::Python],
        file: Some(wheel::FILE),
        run: wheel::run,
    },
    TestStage {
        name: image::NAME,
        about: "the image is built and works",
        needs: &[Need::Docker, Need::BaseImage],
        file: Some(image::BASE),
        run: image::run,
    },
    TestStage {
        name: "upgrade",
        about: "two releases of SGLang are taken",
        needs: &[Need::Python, Need::Git],
        file: Some("tests/upgrade.py"),
        run: |checkout| {
            let words = "tests/upgrade.py 0.5.21 0.5.23 --xtask";
            let mut upgrade = checkout.python(words)?;
            upgrade.arg(std::env::current_exe()?);
            run([upgrade])
        },
    },
    TestStage {
        name: "real-sglang",
        about: "the worker with the real SGLang",
        needs: &[Need::Python],
        file: Some("tests/real_sglang/run.py"),
        run: |checkout| run([checkout.python("tests/real_sglang/run.py")?]),
    },
];

/// A command at the root, with arguments separated by spaces.
pub fn command(root: &Path, program: &Path, words: &str) -> Command {
    let mut command = Command::new(program);
    command.args(words.split_whitespace()).current_dir(root);
    command
}

pub fn cargo(root: &Path, words: &str) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = command(root, Path::new(&program), words);
    // The tests must not see this build's cargo variables.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}
