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
use needs::{Foresight, judge};
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
    let mut stages = chosen(args)?;
    stages.retain(|stage| {
        let missing = stage.file.filter(|file| !root.join(file).exists());
        if let Some(file) = missing {
            let name = stage.name;
            xtask_core::say!("none    {BOLD}{name:<8}{BOLD:#} there is no {file}");
        }
        missing.is_none()
    });
    let ci = in_ci(std::env::var_os("CI").as_deref());
    let foresight = judge(&stages, &needs::check(&stages, &root), !ci)?;
    announce_skips(&foresight);
    let checkout = Checkout {
        root: &root,
        fix: args.fix,
        environment: Environment::default(),
    };
    let mut summary = Summary::default();
    for stage in stages {
        let start = Instant::now();
        // A terminal has a progress line instead.
        if !std::io::stderr().is_terminal() {
            xtask_core::say!("run     {BOLD}{:<8}{BOLD:#} {}", stage.name, stage.about);
        }
        let mut skips = foresight.skips.iter();
        let mut outcome = match skips.find(|(name, _)| *name == stage.name) {
            Some((_, why)) => StageOutcome::skipped(why.lines().next().unwrap_or_default()),
            None => run_stage(stage, &checkout),
        };
        if ci {
            outcome.refuse_to_skip();
        }
        print(stage, &outcome, start.elapsed().as_secs_f32());
        summary.add(stage.name, &outcome);
    }
    xtask_core::say!("\n{}\n{}", summary.stages(), summary.closing());
    if summary.failed.is_empty() {
        return Ok(Outcome::Done);
    }
    if !summary.failed_tests.is_empty() {
        xtask_core::say!("\n{RED}Failed tests{RED:#}, each alone:\n");
        for line in &summary.failed_tests {
            xtask_core::say!("    {line}");
        }
    }
    xtask_core::say!("\n{RED}Failed stages{RED:#}, each alone:\n");
    for name in summary.failed {
        xtask_core::say!("    cargo xtask test --stage {name}");
    }
    Ok(Outcome::Findings)
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

/// Prints, before the first stage, the stages that will be skipped, and notes.
fn announce_skips(foresight: &Foresight) {
    let print = |word: &str, stage: &str, text: &str| {
        let text = text.replace('\n', &format!("\n{:17}", ""));
        xtask_core::say!("{YELLOW}{word:<7}{YELLOW:#} {BOLD}{stage:<8}{BOLD:#} {text}");
    };
    for (stage, why) in &foresight.skips {
        print("skip", stage, &format!("will be skipped: {why}"));
    }
    for (stage, note) in &foresight.notes {
        print("note", stage, note);
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
struct Summary {
    counts: TestCounts,
    failed: Vec<&'static str>,
    skipped: Vec<&'static str>,
    passed: usize,
    /// The failed tests, each with the command that runs it alone.
    failed_tests: Vec<String>,
    /// Whether the stage `image` ran, which runs tests of other stages.
    has_image_run: bool,
}

impl Summary {
    fn add(&mut self, name: &'static str, outcome: &StageOutcome) {
        self.counts += outcome.counts;
        // A stage without tests counts as one test.
        let count = usize::from(outcome.counts == TestCounts::default());
        if outcome.failed.is_some() {
            self.counts.failed += count;
            self.failed.push(name);
        } else if outcome.skipped.is_some() {
            self.skipped.push(name);
        } else {
            self.counts.passed += count;
            self.passed += 1;
        }
        self.failed_tests.extend_from_slice(&outcome.failed_tests);
        self.has_image_run |= name == image::NAME && outcome.counts.ran() > 0;
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

    /// The closing line. Tests for the stage `image` are skipped if that did not run.
    fn closing(&self) -> String {
        let TestCounts { left, skipped, .. } = self.counts;
        let skipped = skipped + if self.has_image_run { 0 } else { left };
        let (passed, failed) = (self.counts.passed, self.counts.failed);
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[derive(Debug, Default)]
struct StageOutcome {
    counts: TestCounts,
    /// The output, where the stage failed.
    failed: Option<String>,
    /// The failed tests, each with the command that runs it alone.
    failed_tests: Vec<String>,
    /// Why the stage did not run, where this machine lacks something.
    skipped: Option<String>,
    /// The reasons of skipped tests.
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

    fn refuse_to_skip(&mut self) {
        if let Some(reason) = self.skipped.take() {
            self.fail(&format!(
                "{reason}\nWhere CI is set, a stage that does not run is a failure."
            ));
        }
    }

    fn join(&mut self, part: Self) {
        self.counts += part.counts;
        self.notes.extend(part.notes);
        self.failed_tests.extend(part.failed_tests);
        if let Some(output) = part.failed {
            self.fail(&output);
        }
    }

    fn run(&mut self, command: &mut Command) -> Result<()> {
        let (status, text) = output::follow(command, &mut |line| progress::at(line))?;
        self.counts += count(&text);
        self.notes.extend(output::skipped(&text));
        if !status.success() {
            self.failed_tests.extend(output::failed_tests(&text));
            self.fail(&output::without_passing(&text));
        }
        Ok(())
    }
}

/// Runs a stage. An error is a failure of this stage only.
fn run_stage(stage: &TestStage, checkout: &Checkout) -> StageOutcome {
    let _progress = Progress::begin(stage.name);
    (stage.run)(checkout).unwrap_or_else(|error| {
        let mut failed = StageOutcome::default();
        failed.fail(&error_text(&error, Style::new(), Style::new()));
        failed
    })
}

/// Waits until no other run in this repository does `work`; see [`lock_file::hold`].
fn hold(root: &Path, name: &str, work: &str) -> Result<File> {
    let folder = root.join("target");
    fs_err::create_dir_all(&folder)?;
    lock_file::hold(&folder.join(format!("{name}.lock")), work, None)
}

/// Runs a command that must succeed; the error has its output.
fn run_command(command: &mut Command) -> Result<()> {
    let output = command.output();
    let name = command.get_program().display();
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
        let mut summary = Summary::default();
        summary.add("rust", &with(8, 2));
        assert_eq!(summary.closing(), "8 passed, 0 failed, 2 skipped");
        summary.add("image", &StageOutcome::skipped("no engine"));
        assert_eq!(summary.closing(), "8 passed, 0 failed, 2 skipped");
        assert_eq!(summary.stages(), "1 of 2 stages passed; skipped: image");
        let mut summary = Summary::default();
        summary.add("rust", &with(8, 2));
        summary.add("image", &with(2, 0));
        assert_eq!(summary.closing(), "10 passed, 0 failed, 0 skipped");
    }

    #[test]
    fn a_stage_without_tests_counts_as_one_check() {
        let mut summary = Summary::default();
        summary.add("format", &StageOutcome::default());
        assert_eq!(summary.closing(), "1 passed, 0 failed, 0 skipped");
        let mut broken = StageOutcome::default();
        broken.fail("no");
        summary.add("ruff", &broken);
        assert_eq!(summary.closing(), "1 passed, 1 failed, 0 skipped");
        assert_eq!(summary.stages(), "1 of 2 stages passed; failed: ruff");
    }
}
