//! The stages: what each is called, what it needs, and what it runs.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::environment::Environment;
use super::needs::Need;
use super::{StageOutcome, image, page, wheel};
use xtask_core::layout;

/// One stage: what it is called, what it needs, and what it runs.
pub struct TestStage {
    pub name: &'static str,
    pub about: &'static str,
    pub needs: &'static [Need],
    /// A file without which there is nothing to test (a repository that carries the tool need
    /// not have the worker's tests).
    pub file: Option<&'static str>,
    /// What it does at the root of the repository.
    pub run: fn(&Checkout) -> Result<StageOutcome>,
}

impl TestStage {
    /// Whether `--fast` leaves it out: it needs docker, or builds everything once more.
    pub fn is_slow(&self) -> bool {
        self.needs.contains(&Need::Docker) || self.name == wheel::NAME
    }

    /// Whether it runs only where it is named: it takes many minutes, or room that is not
    /// everyone's.
    pub fn is_named_only(&self) -> bool {
        NAMED_ONLY.contains(&self.name)
    }
}

/// What the stages of one run share.
pub struct Checkout<'a> {
    pub root: &'a Path,
    /// Whether programs may fix what they find.
    pub fix: bool,
    pub environment: Environment,
}

fn programs(mut commands: Vec<Command>) -> Result<StageOutcome> {
    let mut all = StageOutcome::default();
    let mut commands = commands.iter_mut();
    commands.try_for_each(|command| all.absorb(command))?;
    Ok(all)
}

/// What a look by one of the other tasks came to, where it found something.
fn looked(found: Option<String>) -> StageOutcome {
    let failed = found;
    StageOutcome {
        failed,
        ..StageOutcome::default()
    }
}

pub const WORKER_TESTS: &str = "tests/requirements.txt";

/// The stages that are no part of the everyday run.
const NAMED_ONLY: &[&str] = &["upgrade", "real-sglang"];

pub const STAGES: &[TestStage] = &[
    TestStage {
        name: "format",
        about: "Rust is formatted",
        needs: &[Need::Rustfmt],
        file: None,
        run: |checkout| {
            let mut fmt = cargo(checkout.root, "fmt --all");
            if !checkout.fix {
                fmt.arg("--check");
            }
            programs(vec![fmt])
        },
    },
    TestStage {
        name: "clippy",
        about: "clippy has nothing to say",
        needs: &[Need::Clippy],
        file: None,
        run: |checkout| {
            let mut clippy = cargo(checkout.root, "clippy --quiet --workspace --all-targets");
            if checkout.fix {
                clippy.args(["--fix", "--allow-dirty", "--allow-staged"]);
            }
            clippy.args(["--locked", "--", "-D", "warnings"]);
            programs(vec![clippy])
        },
    },
    TestStage {
        name: "rust",
        about: "the tool's tests",
        needs: &[Need::Git],
        file: None,
        run: |checkout| {
            let words = "test --workspace --locked --no-fail-fast";
            programs(vec![cargo(checkout.root, words)])
        },
    },
    TestStage {
        name: "ruff",
        about: "Python is formatted and linted",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
        run: |checkout| {
            let python = checkout.environment.python(checkout.root)?;
            let ruff = |words| command(checkout.root, &python, words);
            let mut check = ruff("-m ruff check --quiet .");
            let mut format = ruff("-m ruff format --quiet .");
            if checkout.fix {
                check.arg("--fix");
            } else {
                format.arg("--check");
            }
            programs(vec![check, format])
        },
    },
    TestStage {
        name: "worker",
        about: "the worker's tests",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
        run: |checkout| {
            let python = checkout.environment.python(checkout.root)?;
            let words = "-m pytest --quiet tests";
            programs(vec![command(checkout.root, &python, words)])
        },
    },
    TestStage {
        name: "compare",
        about: "nothing of the old worker is lost",
        needs: &[],
        file: Some(layout::BASELINE),
        run: |checkout| {
            let (summary, open) = compare::summary(checkout.root)?;
            let found = || format!("{summary}\nSee `cargo xtask compare`.");
            Ok(looked((open > 0).then(found)))
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
            Ok(looked((!report.findings.is_empty()).then(found)))
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
            let python = checkout.environment.python(checkout.root)?;
            let tool = std::env::current_exe()?;
            let words = "tests/upgrade.py 0.5.21 0.5.23 --xtask";
            let mut walk = command(checkout.root, &python, words);
            walk.arg(tool);
            programs(vec![walk])
        },
    },
    TestStage {
        name: "real-sglang",
        about: "the worker with the real SGLang",
        needs: &[Need::Python],
        file: Some("tests/real_sglang/run.py"),
        run: |checkout| {
            let python = checkout.environment.python(checkout.root)?;
            let words = "tests/real_sglang/run.py";
            programs(vec![command(checkout.root, &python, words)])
        },
    },
];

/// A command at the root; `words` are written here, divided by spaces.
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
