//! `cargo xtask test`: everything that a contribution must pass, stage by stage.

pub mod args;
mod environment;
mod image;
mod needs;
mod output;
mod page;
mod stages;
mod wheel;

use std::ffi::OsStr;
use std::fs::File;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Instant;

use anstyle::Style;
use anyhow::{Context, Result, bail};

use self::args::Args;
use environment::Environment;
use migrate::upstream::same_folder;
use needs::{Foresight, judge, look};
use output::{TestCounts, count, described};
use stages::{Checkout, STAGES, TestStage};
use xtask_core::lock_file;
use xtask_core::outcome::{Outcome, UsageError, error_text};
use xtask_core::output::counted;
use xtask_core::output::style::{BOLD, GREEN, RED, YELLOW};
use xtask_core::progress::{self, Progress};
use xtask_core::tool_repo;

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
    let stages = chosen(args)?;
    let (stages, nothing): (Vec<&TestStage>, Vec<&TestStage>) = stages
        .into_iter()
        .partition(|stage| stage.file.is_none_or(|file| root.join(file).exists()));
    for stage in nothing {
        xtask_core::say!(
            "none    {BOLD}{:<8}{BOLD:#} there is no {}",
            stage.name,
            stage.file.unwrap_or_default()
        );
    }
    let ci = in_ci(std::env::var_os("CI").as_deref());
    let foresight = judge(&stages, &look(&stages, &root), !ci)?;
    foretell(&foresight);
    let checkout = Checkout {
        root: &root,
        fix: args.fix,
        environment: Environment::default(),
    };
    let mut sum = Sum::default();
    for stage in stages {
        let start = Instant::now();
        announce(stage);
        let mut skips = foresight.skips.iter();
        let mut outcome = match skips.find(|(name, _)| *name == stage.name) {
            Some((_, why)) => StageOutcome::skipped(why.lines().next().unwrap_or_default()),
            None => run_stage(stage, &checkout),
        };
        if ci {
            outcome.refuse_to_skip();
        }
        print(stage, &outcome, start.elapsed().as_secs_f32());
        sum.add(stage.name, &outcome);
    }
    xtask_core::say!("\n{}\n{}", sum.stages(), sum.closing());
    if sum.failed.is_empty() {
        return Ok(Outcome::Done);
    }
    if !sum.failed_tests.is_empty() {
        xtask_core::say!("\n{RED}Failed tests{RED:#}, each alone:\n");
        for line in &sum.failed_tests {
            xtask_core::say!("    {line}");
        }
    }
    xtask_core::say!("\n{RED}Failed stages{RED:#}, each alone:\n");
    for name in sum.failed {
        xtask_core::say!("    cargo xtask test --stage {name}");
    }
    Ok(Outcome::Findings)
}

/// In a log, the stage that begins; a terminal has a line of its own for that.
fn announce(stage: &TestStage) {
    if !std::io::stderr().is_terminal() {
        xtask_core::say!("run     {BOLD}{:<8}{BOLD:#} {}", stage.name, stage.about);
    }
}

fn chosen(args: &Args) -> Result<Vec<&'static TestStage>> {
    let names: Vec<&str> = STAGES.iter().map(|stage| stage.name).collect();
    let mut asked = args.stage.iter();
    if let Some(unknown) = asked.find(|name| !names.contains(&name.as_str())) {
        bail!(UsageError(format!(
            "there is no stage {unknown:?}; the stages are {}",
            names.join(", ")
        )));
    }
    let asked = |stage: &TestStage| {
        let named = args.stage.iter().any(|name| name == stage.name);
        let everyday = args.stage.is_empty() && !stage.is_named_only();
        (named || everyday) && !(args.fast && stage.is_slow())
    };
    Ok(STAGES.iter().filter(|stage| asked(stage)).collect())
}

/// In CI, a skipped stage would go unnoticed.
fn in_ci(variable: Option<&OsStr>) -> bool {
    variable.is_some_and(|value| !value.is_empty() && value != "false" && value != "0")
}

/// Says before the first stage what will be skipped, and what is not as it could be.
fn foretell(foresight: &Foresight) {
    let tell = |word: &str, stage: &str, text: &str| {
        let text = text.replace('\n', &format!("\n{:17}", ""));
        xtask_core::say!("{YELLOW}{word:<7}{YELLOW:#} {BOLD}{stage:<8}{BOLD:#} {text}");
    };
    for (stage, why) in &foresight.skips {
        tell("skip", stage, &format!("will be skipped: {why}"));
    }
    for (stage, note) in &foresight.notes {
        tell("note", stage, note);
    }
}

fn print(stage: &TestStage, outcome: &StageOutcome, seconds: f32) {
    let (style, word) = match (&outcome.failed, &outcome.skipped) {
        (Some(_), _) => (RED, "failed "),
        (None, Some(_)) => (YELLOW, "skipped"),
        (None, None) => (GREEN, "ok     "),
    };
    let line = format!(
        "{style}{word}{style:#} {BOLD}{:<8}{BOLD:#} {:<34} {seconds:>6.1} s  {}",
        stage.name,
        stage.about,
        described(outcome.counts)
    );
    xtask_core::say!("{}", line.trim_end());
    if let Some(output) = outcome.failed.as_ref().or(outcome.skipped.as_ref()) {
        xtask_core::say!("{output}");
    }
    for note in &outcome.notes {
        xtask_core::say!("        {note}");
    }
}

#[derive(Default)]
struct Sum {
    counts: TestCounts,
    failed: Vec<&'static str>,
    skipped: Vec<&'static str>,
    passed: usize,
    /// The failed tests, each with the command that runs it alone.
    failed_tests: Vec<String>,
    /// Whether the stage ran that others leave tests to.
    image: bool,
}

impl Sum {
    fn add(&mut self, name: &'static str, outcome: &StageOutcome) {
        self.counts += outcome.counts;
        // A stage without tests of its own is one check.
        let is_check = outcome.counts == TestCounts::default() && outcome.skipped.is_none();
        if is_check && outcome.failed.is_some() {
            self.counts.failed += 1;
        } else if is_check {
            self.counts.passed += 1;
        }
        self.failed_tests
            .extend(outcome.failed_tests.iter().cloned());
        if outcome.failed.is_some() {
            self.failed.push(name);
        } else if outcome.skipped.is_some() {
            self.skipped.push(name);
        } else {
            self.passed += 1;
        }
        self.image |= name == image::NAME && outcome.counts.ran() > 0;
    }

    fn stages(&self) -> String {
        let all = self.passed + self.failed.len() + self.skipped.len();
        let mut line = format!("{} of {} passed", self.passed, counted(all, "stage"));
        for (what, names) in [("failed", &self.failed), ("skipped", &self.skipped)] {
            if !names.is_empty() {
                line.push_str(&format!("; {what}: {}", names.join(", ")));
            }
        }
        line
    }

    /// The closing line. A test that was left to a stage which did not run is skipped.
    fn closing(&self) -> String {
        let left = if self.image { 0 } else { self.counts.left };
        format!(
            "{} passed, {} failed, {} skipped",
            self.counts.passed,
            self.counts.failed,
            self.counts.skipped + left
        )
    }
}

#[derive(Debug, Default)]
struct StageOutcome {
    counts: TestCounts,
    /// The output, where the stage failed.
    failed: Option<String>,
    /// The tests that failed, each with the command that runs it alone.
    failed_tests: Vec<String>,
    /// Why it did not run, where this machine lacks what it takes.
    skipped: Option<String>,
    /// Why tests were skipped, in their words.
    notes: Vec<String>,
}

impl StageOutcome {
    fn skipped(reason: impl Into<String>) -> Self {
        Self {
            skipped: Some(reason.into()),
            ..Self::default()
        }
    }

    fn fail(&mut self, output: &str) {
        self.failed.get_or_insert_default().push_str(output);
    }

    /// Makes a failure of a stage that did not run.
    fn refuse_to_skip(&mut self) {
        if let Some(reason) = self.skipped.take() {
            self.fail(&format!(
                "{reason}\nWhere CI is set, a stage that does not run is a failure."
            ));
        }
    }

    /// Adds what another part of the stage came to.
    fn join(&mut self, part: Self) {
        self.counts += part.counts;
        self.notes.extend(part.notes);
        self.failed_tests.extend(part.failed_tests);
        if let Some(output) = part.failed {
            self.fail(&output);
        }
    }

    /// Runs a command whose tests are the stage's.
    fn absorb(&mut self, command: &mut Command) -> Result<()> {
        let (status, text) = output::followed(command, &mut |line| progress::at(line))?;
        self.counts += count(&text);
        self.notes.extend(output::skipped(&text));
        if !status.success() {
            self.failed_tests.extend(output::failed_tests(&text));
            self.fail(&output::without_passing(&text));
        }
        Ok(())
    }
}

/// Runs a stage. One that can't go on has failed, and is no reason to leave out the others.
fn run_stage(stage: &TestStage, checkout: &Checkout) -> StageOutcome {
    let _progress = Progress::begin(stage.name);
    (stage.run)(checkout).unwrap_or_else(|error| {
        let mut failed = StageOutcome::default();
        failed.fail(&error_text(&error, Style::new(), Style::new()));
        failed
    })
}

/// Waits until no other run of this repository is at `work`; see [`lock_file::hold`].
fn hold(root: &Path, name: &str, work: &str) -> Result<File> {
    let folder = root.join("target");
    fs_err::create_dir_all(&folder)?;
    lock_file::hold(&folder.join(format!("{name}.lock")), work, None)
}

/// Runs a program to its end; what it said is the error.
fn finished(step: &mut Command) -> Result<()> {
    let name = step.get_program().to_owned();
    let output = step
        .output()
        .with_context(|| format!("running {}", name.display()))?;
    if !output.status.success() {
        let words: Vec<_> = step.get_args().map(|word| word.to_string_lossy()).collect();
        bail!(
            "{} {} failed:\n{}",
            name.display(),
            words.join(" "),
            text_of(&output).trim_end()
        );
    }
    Ok(())
}

fn text_of(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
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
    fn a_stage_that_may_not_be_skipped_fails_with_the_reason() {
        let mut outcome = StageOutcome::skipped("no docker engine answers");
        outcome.refuse_to_skip();
        assert!(outcome.skipped.is_none());
        let said = outcome.failed.unwrap();
        assert!(said.starts_with("no docker engine answers\n"), "{said}");
        let mut ran = StageOutcome::default();
        ran.refuse_to_skip();
        assert!(ran.failed.is_none());
    }

    #[test]
    fn tests_that_are_left_to_a_stage_are_counted_once() {
        let with = |passed, left| StageOutcome {
            counts: TestCounts {
                passed,
                left,
                ..TestCounts::default()
            },
            ..StageOutcome::default()
        };
        let mut sum = Sum::default();
        sum.add("rust", &with(8, 2));
        assert_eq!(sum.closing(), "8 passed, 0 failed, 2 skipped");
        sum.add("image", &StageOutcome::skipped("no engine"));
        assert_eq!(sum.closing(), "8 passed, 0 failed, 2 skipped");
        assert_eq!(sum.stages(), "1 of 2 stages passed; skipped: image");
        let mut sum = Sum::default();
        sum.add("rust", &with(8, 2));
        sum.add("image", &with(2, 0));
        assert_eq!(sum.closing(), "10 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn a_stage_without_tests_counts_as_one_check() {
        let mut sum = Sum::default();
        sum.add("format", &StageOutcome::default());
        assert_eq!(sum.closing(), "1 passed, 0 failed, 0 skipped");
        let mut broken = StageOutcome::default();
        broken.fail("no");
        sum.add("ruff", &broken);
        assert_eq!(sum.closing(), "1 passed, 1 failed, 0 skipped");
        assert_eq!(sum.stages(), "1 of 2 stages passed; failed: ruff");
    }
}
