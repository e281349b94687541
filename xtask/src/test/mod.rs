//! `cargo xtask test`: everything that a contribution must pass, stage by stage.

pub mod args;
mod environment;
mod image;
mod needs;
mod page;
mod stages;
mod wheel;

use std::ffi::OsStr;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anstyle::Style;
use anyhow::{Context, Result, bail};

use self::args::Args;
use stages::{Checkout, STAGES, TestStage};
use xtask_core::lock_file;
use xtask_core::outcome::{Outcome, UsageError, error_text};
use xtask_core::output::counted;
use xtask_core::output::style::{BOLD, GREEN, RED, YELLOW};
use xtask_core::progress::Progress;
use xtask_core::tool_repo::{self, same_folder};

/// Runs the stages and ends with a line that counts the tests.
pub fn run(repo: Option<&Path>, args: &Args) -> Result<Outcome> {
    let root = tool_repo::repository();
    if let Some(repo) = repo.filter(|repo| !same_folder(repo, &root)) {
        bail!(UsageError(format!(
            "`test` runs the tests of the repository that holds this tool, {}; run it in {} itself \
             if that one holds the tool too",
            root.display(),
            repo.display()
        )));
    }
    let mut stages = chosen(args)?;
    stages.retain(|stage| {
        let missing = stage.file.filter(|file| !root.join(file).exists());
        if let Some(file) = missing {
            print(YELLOW, "none", stage, &format!("there is no {file}"));
        }
        missing.is_none()
    });
    let ci = in_ci(std::env::var_os("CI").as_deref());
    let lacking = needs::check(&stages, &root, ci)?;
    let mut summary = Summary::default();
    for (stage, why) in &lacking {
        print(YELLOW, "skipped", stage, why);
        summary.skipped.push(stage.name);
    }
    stages.retain(|stage| !summary.skipped.contains(&stage.name));
    let fix = args.fix;
    let checkout = Checkout { root: &root, fix };
    run_all(&stages, &checkout, &mut summary);
    xtask_core::say!("\n{}\n{}", summary.stages(), summary.closing());
    if summary.failed.is_empty() {
        return Ok(Outcome::Done);
    }
    xtask_core::say!("\n{RED}Failed stages{RED:#}, each alone:\n");
    for name in summary.failed {
        xtask_core::say!("    cargo xtask test --stage {name}");
    }
    Ok(Outcome::Findings)
}

/// Runs the stages in their order; the worker's tests begin with those of the tool.
fn run_all(stages: &[&TestStage], checkout: &Checkout, summary: &mut Summary) {
    std::thread::scope(|scope| {
        let mut begun = None;
        for stage in stages {
            // A terminal has a progress line instead.
            if !std::io::stderr().is_terminal() {
                print(Style::new(), "run", stage, stage.about);
            }
            if stage.name == stages::RUST {
                let worker = stages.iter().find(|stage| stage.name == stages::WORKER);
                begun = worker.map(|worker| scope.spawn(|| run_stage(worker, checkout)));
            }
            let progress = Progress::begin(stage.name);
            let ended = match begun.take_if(|_| stage.name == stages::WORKER) {
                Some(begun) => begun.join(),
                None => Ok(run_stage(stage, checkout)),
            };
            drop(progress);
            let (outcome, seconds) = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            summary.add(stage, &outcome, seconds);
        }
    });
}

fn chosen(args: &Args) -> Result<Vec<&'static TestStage>> {
    let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
    if let Some(unknown) = args.stage.iter().find(|name| !names.contains(&&***name)) {
        let names = names.join(", ");
        let words = format!("there is no stage {unknown:?}; the stages are {names}");
        bail!(UsageError(words));
    }
    let is_chosen = |stage: &&TestStage| {
        let is_named = args.stage.iter().any(|name| name == stage.name);
        let is_default = args.stage.is_empty() && !stage.is_named_only();
        (is_named || is_default) && !(args.fast && stage.is_slow())
    };
    Ok(STAGES.iter().filter(is_chosen).collect())
}

/// In CI, a skipped stage would go unnoticed.
fn in_ci(variable: Option<&OsStr>) -> bool {
    variable.is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

fn print(style: Style, word: &str, stage: &TestStage, text: &str) {
    let (name, text) = (stage.name, text.replace('\n', &format!("\n{:17}", "")));
    xtask_core::say!("{style}{word:<7}{style:#} {BOLD}{name:<8}{BOLD:#} {text}");
}

#[derive(Default)]
struct Summary {
    counts: TestCounts,
    failed: Vec<&'static str>,
    skipped: Vec<&'static str>,
    passed: usize,
}

impl Summary {
    /// Prints how a stage ended, and counts it.
    fn add(&mut self, stage: &TestStage, outcome: &StageOutcome, seconds: f32) {
        let mut counts = outcome.counts;
        let ran = counts.passed + counts.failed;
        let mut line = format!("{:<34} {seconds:>6.1} s", stage.about);
        if ran > 0 {
            line += &format!("  {}", counted(ran, "test"));
        }
        if stage.name == image::NAME {
            // The stage `rust` counted these as skipped.
            self.counts.skipped = self.counts.skipped.saturating_sub(ran);
        }
        // A stage without tests counts as one test.
        let check = usize::from(ran == 0);
        if let Some(output) = &outcome.failed {
            counts.failed += check;
            self.failed.push(stage.name);
            print(RED, "failed", stage, &line);
            xtask_core::say!("{output}");
        } else {
            counts.passed += check;
            self.passed += 1;
            print(GREEN, "ok", stage, &line);
        }
        self.counts += counts;
    }

    fn stages(&self) -> String {
        let all = self.passed + self.failed.len() + self.skipped.len();
        let mut line = format!("{} of {} passed", self.passed, counted(all, "stage"));
        for (what, names) in [("failed", &self.failed), ("skipped", &self.skipped)] {
            if !names.is_empty() {
                line += &format!("; {what}: {}", names.join(", "));
            }
        }
        line
    }

    fn closing(&self) -> String {
        let TestCounts {
            passed,
            failed,
            skipped,
        } = self.counts;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct TestCounts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl std::ops::AddAssign for TestCounts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
    }
}

/// Adds up the closing lines of cargo test and pytest.
fn count(text: &str) -> TestCounts {
    let mut counts = TestCounts::default();
    for line in text.lines() {
        let pytest = line.contains(" in ") && line.trim_end().ends_with(['s', ')', '=']);
        if !line.starts_with("test result: ") && !pytest {
            continue;
        }
        let mut number = 0;
        for word in line.split([' ', ',', ';', '=']).filter(|it| !it.is_empty()) {
            match word {
                "passed" => counts.passed += number,
                "failed" | "error" | "errors" => counts.failed += number,
                "ignored" | "skipped" => counts.skipped += number,
                _ => {}
            }
            number = word.parse().unwrap_or_default();
        }
    }
    counts
}

#[derive(Debug, Default)]
struct StageOutcome {
    counts: TestCounts,
    /// The output, where the stage failed.
    failed: Option<String>,
}

impl StageOutcome {
    fn fail(&mut self, output: &str) {
        self.failed.get_or_insert_default().push_str(output);
    }

    fn run(&mut self, command: &mut Command) -> Result<()> {
        let output = command.stdin(Stdio::null()).output();
        let name = command.get_program().display();
        let output = output.with_context(|| format!("running {name}"))?;
        let text = text_of(&output);
        self.counts += count(&text);
        if !output.status.success() {
            self.fail(&text);
        }
        Ok(())
    }
}

/// Runs a stage, and gives how many seconds it took. An error is a failure of this stage only.
fn run_stage(stage: &TestStage, checkout: &Checkout) -> (StageOutcome, f32) {
    let start = Instant::now();
    let outcome = (stage.run)(checkout).unwrap_or_else(|error| StageOutcome {
        failed: Some(error_text(&error, Style::new(), Style::new())),
        ..StageOutcome::default()
    });
    (outcome, start.elapsed().as_secs_f32())
}

/// Waits until no other run in this repository does `work`; see [`lock_file::hold`].
fn hold(root: &Path, name: &str, work: &str) -> Result<File> {
    let folder = root.join("target");
    fs_err::create_dir_all(&folder)?;
    lock_file::hold(&folder.join(format!("{name}.lock")), work, None)
}

/// Runs a command that must succeed; the error has its output.
fn run_command(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let output = command.output();
    let output = output.with_context(|| format!("running {name}"))?;
    if !output.status.success() {
        let words = command.get_args().map(OsStr::to_string_lossy);
        let words = words.collect::<Vec<_>>().join(" ");
        bail!("{name} {words} failed:\n{}", text_of(&output).trim_end());
    }
    Ok(())
}

fn text_of(output: &Output) -> String {
    [&*output.stdout, &output.stderr]
        .map(String::from_utf8_lossy)
        .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(stage: &[&str], fast: bool) -> Args {
        Args {
            stage: stage.iter().map(ToString::to_string).collect(),
            fast,
            fix: false,
        }
    }

    fn names(stage: &[&str], fast: bool) -> Vec<&'static str> {
        let chosen = chosen(&args(stage, fast)).unwrap();
        chosen.iter().map(|stage| stage.name).collect()
    }

    #[test]
    fn stages_are_chosen_by_name_and_by_what_they_need() {
        assert_eq!(names(&["rust", "image"], false), ["rust", "image"]);
        let all = names(&[], false);
        assert_eq!(all.last(), Some(&"image"));
        assert_eq!(names(&[], true), all[..all.len() - 2]);
        for alone in ["upgrade", "real-sglang"] {
            assert!(!all.contains(&alone), "{alone} runs only where it is named");
            assert_eq!(names(&[alone], false), [alone]);
        }
        let unknown = chosen(&args(&["imge"], false)).err().unwrap().to_string();
        assert!(unknown.contains("image"), "{unknown}");
    }

    #[test]
    fn the_help_names_every_stage() {
        let command = <Args as clap::Args>::augment_args(clap::Command::new("test"));
        let stage = command.get_arguments().find(|arg| arg.get_id() == "stage");
        let help = stage.unwrap().get_help().unwrap().to_string();
        let named: Vec<&str> = help.split([':', ',', ' ', '\n']).collect();
        for stage in STAGES {
            assert!(
                named.contains(&stage.name),
                "{} is not in {help}",
                stage.name
            );
        }
    }

    #[test]
    fn ci_is_what_says_so() {
        let in_ci = |value: &str| in_ci(Some(OsStr::new(value)));
        assert!(in_ci("true") && in_ci("1"));
        assert!(!in_ci("") && !in_ci("false"));
        assert!(!super::in_ci(None));
    }

    #[test]
    fn tests_that_are_left_to_a_stage_are_counted_once() {
        let stage = |name| STAGES.iter().find(|stage| stage.name == name).unwrap();
        let with = |passed, skipped| StageOutcome {
            counts: TestCounts {
                passed,
                skipped,
                failed: 0,
            },
            failed: None,
        };
        let mut summary = Summary::default();
        summary.add(stage("rust"), &with(8, 3), 1.0);
        assert_eq!(summary.closing(), "8 passed, 0 failed, 3 skipped");
        summary.add(stage("image"), &with(2, 0), 1.0);
        assert_eq!(summary.closing(), "10 passed, 0 failed, 1 skipped");
        assert_eq!(summary.stages(), "2 of 2 stages passed");
    }

    #[test]
    fn a_stage_without_tests_counts_as_one_check() {
        let mut summary = Summary::default();
        summary.skipped.push("image");
        summary.add(&STAGES[0], &StageOutcome::default(), 1.0);
        assert_eq!(summary.closing(), "1 passed, 0 failed, 0 skipped");
        let mut broken = StageOutcome::default();
        broken.fail("no");
        summary.add(&STAGES[3], &broken, 1.0);
        assert_eq!(summary.closing(), "1 passed, 1 failed, 0 skipped");
        let words = "1 of 3 stages passed; failed: ruff; skipped: image";
        assert_eq!(summary.stages(), words);
    }

    #[test]
    fn the_closing_lines_of_both_runners_are_added_up() {
        let text = "test result: ok. 11 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; \
                    finished in 0.10s\nrunning 3 tests\n\
                    ====== 5 passed, 1 skipped, 1 failed in 1.20s ======\n\
                    7 passed, 2 errors in 61.00s (0:01:01)\n";
        let counts = TestCounts {
            passed: 23,
            failed: 3,
            skipped: 3,
        };
        assert_eq!(count(text), counts);
        assert_eq!(count("12 passed the door in time"), TestCounts::default());
    }
}
