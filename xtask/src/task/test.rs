//! `cargo xtask test`: everything that a contribution must pass, stage by stage.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result, bail};

use crate::cli;
use crate::layout;
use crate::outcome::{Outcome, Unusable};
use crate::own;
use crate::task::{compare, hub_lint};

const BOLD: Style = Style::new().bold();
const GREEN: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Green)));
const RED: Style = Style::new().fg_color(Some(anstyle::Color::Ansi(AnsiColor::Red)));

/// One stage: what it is called, what it needs, and what it runs.
struct Stage {
    name: &'static str,
    about: &'static str,
    needs: &'static [Need],
    /// A file without which there is nothing to test (a repository that carries the tool need
    /// not have the worker's tests).
    file: Option<&'static str>,
    run: Run,
}

/// What a stage does at the root of the repository.
enum Run {
    /// Programs to call, one after the other; the flag says that they may mend what they find.
    Programs(fn(&Path, bool) -> Result<Vec<Command>>),
    /// A look by one of the other tasks: what it found, where it found something.
    Look(fn(&Path) -> Result<Option<String>>),
}

/// A program that a stage needs and that can't be set up without root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Rustfmt,
    Clippy,
    Git,
    Python,
}

/// What the worker's tests need.
const WORKER_TESTS: &str = "tests/requirements.txt";

const STAGES: &[Stage] = &[
    Stage {
        name: "format",
        about: "Rust is formatted",
        needs: &[Need::Rustfmt],
        file: None,
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
        run: Run::Programs(|root, _| Ok(vec![cargo(root, &["test", "--workspace", "--locked"])])),
    },
    Stage {
        name: "ruff",
        about: "Python is formatted and linted",
        needs: &[Need::Python],
        file: Some(WORKER_TESTS),
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
        run: Run::Look(|root| {
            let report = hub_lint::lint_directory(root)?;
            let found = !report.findings.is_empty();
            Ok(found.then(|| {
                format!(
                    "{}\nSee `cargo xtask hub-lint`.",
                    hub_lint::summary(&report)
                )
            }))
        }),
    },
];

/// How many tests a stage ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

/// Runs the stages and ends with a line that counts the tests.
pub fn run(args: &cli::Test) -> Result<Outcome> {
    let root = own::repository();
    let stages: Vec<&Stage> = STAGES
        .iter()
        .filter(|stage| args.stage.is_empty() || args.stage.iter().any(|name| name == stage.name))
        .collect();
    if let Some(unknown) = args
        .stage
        .iter()
        .find(|name| !STAGES.iter().any(|stage| stage.name == *name))
    {
        let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
        bail!(Unusable(format!(
            "there is no stage {unknown:?}; the stages are {}",
            names.join(", ")
        )));
    }
    let (stages, nothing): (Vec<&Stage>, Vec<&Stage>) = stages
        .into_iter()
        .partition(|stage| stage.file.is_none_or(|file| root.join(file).exists()));
    for stage in nothing {
        anstream::println!(
            "none   {BOLD}{:<8}{BOLD:#} there is no {}",
            stage.name,
            stage.file.unwrap_or_default()
        );
    }
    expect_programs(&stages)?;
    let mut counts = Counts::default();
    let mut failed = Vec::new();
    for stage in stages {
        let start = Instant::now();
        let outcome = run_stage(stage, &root, args.fix)?;
        let seconds = start.elapsed().as_secs_f32();
        let ok = outcome.failed.is_none();
        let (style, word) = if ok {
            (GREEN, "ok    ")
        } else {
            (RED, "failed")
        };
        anstream::println!(
            "{style}{word}{style:#} {BOLD}{:<8}{BOLD:#} {:<34} {seconds:>6.1} s{}",
            stage.name,
            stage.about,
            described(outcome.counts)
        );
        if let Some(output) = outcome.failed {
            anstream::println!("{output}");
            failed.push(stage.name);
        }
        for note in outcome.notes {
            anstream::println!("       {note}");
        }
        counts.passed += outcome.counts.passed;
        counts.failed += outcome.counts.failed;
        counts.skipped += outcome.counts.skipped;
    }
    anstream::println!(
        "\n{} passed, {} failed, {} skipped",
        counts.passed,
        counts.failed,
        counts.skipped
    );
    if failed.is_empty() {
        return Ok(Outcome::Done);
    }
    anstream::println!(
        "\n{RED}Failed:{RED:#} {}. Once more, alone:\n",
        failed.join(", ")
    );
    for name in failed {
        anstream::println!("    cargo xtask test --stage {name}");
    }
    Ok(Outcome::Findings)
}

struct StageOutcome {
    counts: Counts,
    /// The output, where the stage failed.
    failed: Option<String>,
    /// Why tests were skipped, in their words.
    notes: Vec<String>,
}

fn run_stage(stage: &Stage, root: &Path, fix: bool) -> Result<StageOutcome> {
    let mut all = StageOutcome {
        counts: Counts::default(),
        failed: None,
        notes: Vec::new(),
    };
    let commands = match stage.run {
        Run::Programs(commands) => commands(root, fix)?,
        Run::Look(look) => {
            all.failed = look(root)?;
            return Ok(all);
        }
    };
    for mut command in commands {
        let output = command
            .output()
            .with_context(|| format!("running stage {}", stage.name))?;
        let text = text_of(&output);
        let counts = count(&text);
        all.counts.passed += counts.passed;
        all.counts.failed += counts.failed;
        all.counts.skipped += counts.skipped;
        all.notes.extend(
            text.lines()
                .filter(|line| {
                    line.trim_start().starts_with("skipped: ") || line.starts_with("SKIPPED")
                })
                .map(|line| line.trim().to_owned()),
        );
        if !output.status.success() {
            all.failed.get_or_insert_default().push_str(&text);
        }
    }
    Ok(all)
}

fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn described(counts: Counts) -> String {
    match (
        counts.passed + counts.failed + counts.skipped,
        counts.skipped,
    ) {
        (0, _) => String::new(),
        (_, 0) => format!("  {} tests", counts.passed + counts.failed),
        (_, skipped) => format!(
            "  {} tests, {skipped} skipped",
            counts.passed + counts.failed
        ),
    }
}

/// Adds up the closing lines of cargo test and pytest.
fn count(text: &str) -> Counts {
    let mut counts = Counts::default();
    for line in text.lines() {
        let pytest = line.contains(" in ") && line.trim_end().ends_with(['s', ')', '=']);
        if !line.starts_with("test result: ") && !pytest {
            continue;
        }
        let words: Vec<&str> = line
            .split([' ', ',', ';', '='])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let Ok(number) = pair[0].parse::<usize>() else {
                continue;
            };
            match pair[1] {
                "passed" => counts.passed += number,
                "failed" | "error" | "errors" => counts.failed += number,
                "ignored" | "skipped" => counts.skipped += number,
                _ => {}
            }
        }
    }
    counts
}

fn command(root: &Path, program: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root);
    command
}

fn cargo(root: &Path, args: &[&str]) -> Command {
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

/// Names everything at once that is missing and that this can't set up by itself.
fn expect_programs(stages: &[&Stage]) -> Result<()> {
    let mut missing = Vec::new();
    let mut looked_at = Vec::new();
    for need in stages.iter().flat_map(|stage| stage.needs) {
        if looked_at.contains(need) {
            continue;
        }
        looked_at.push(*need);
        let (there, name, install) = match need {
            Need::Rustfmt => (
                which::which("cargo-fmt").is_ok(),
                "rustfmt",
                "rustup component add rustfmt",
            ),
            Need::Clippy => (
                which::which("cargo-clippy").is_ok(),
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

/// A Python that can make a virtual environment.
fn python() -> Option<PathBuf> {
    ["python3", "python"].iter().find_map(|name| {
        which::which_all(name).ok()?.find(|python| {
            Command::new(python)
                .args([
                    "-c",
                    "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))",
                ])
                .output()
                .is_ok_and(|output| output.status.success())
        })
    })
}

/// The Python of the virtual environment for the worker's tests, made or brought up to date where
/// the requirements have changed since.
fn environment(root: &Path) -> Result<PathBuf> {
    let venv = root.join("target/venv");
    let inside = venv.join("bin/python");
    let lists = ["requirements.txt", WORKER_TESTS];
    let mut wanted = String::new();
    for list in lists {
        wanted.push_str(&fs_err::read_to_string(root.join(list))?);
    }
    let stamp = venv.join("requirements.installed");
    if inside.exists() && fs_err::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(inside);
    }
    let python = python().context("no Python with venv")?;
    let mut make = command(root, &python, &["-m", "venv", "--clear"]);
    make.arg(&venv);
    let mut install = command(root, &inside, &["-m", "pip", "install", "--quiet"]);
    install.arg("--disable-pip-version-check");
    for list in lists {
        install.args(["-r", list]);
    }
    for mut step in [make, install] {
        let output = step
            .output()
            .context("setting up the tests' Python environment")?;
        if !output.status.success() {
            bail!(Unusable(format!(
                "the tests' Python environment could not be set up:\n{}",
                text_of(&output)
            )));
        }
    }
    fs_err::write(stamp, wanted)?;
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_both_runners_are_added_up() {
        let text = "test result: ok. 11 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; \
                    finished in 0.10s\nrunning 3 tests\n\
                    ====== 5 passed, 1 skipped, 1 failed in 1.20s ======\n\
                    7 passed, 2 errors in 61.00s (0:01:01)\n";
        assert_eq!(
            count(text),
            Counts {
                passed: 23,
                failed: 3,
                skipped: 3
            }
        );
        assert_eq!(count("12 passed the door in time"), Counts::default());
    }
}
