//! Follows the output of test runners, counts the tests, and extracts the failures.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use super::image;
use xtask_core::output::counted;

/// Runs a command and returns both streams as one text; `seen` gets each line at once.
pub fn follow(command: &mut Command, seen: &mut dyn FnMut(&str)) -> Result<(ExitStatus, String)> {
    let program = command.get_program().display().to_string();
    let (reader, writer) = std::io::pipe().context("making a pipe")?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(writer.try_clone().context("making a pipe")?)
        .stderr(writer)
        .spawn()
        .with_context(|| format!("running {program}"))?;
    // `command` keeps the pipe's other end open until it gets another one.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut text = String::new();
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while let Ok(1..) = reader.read_until(b'\n', &mut line) {
        let words = String::from_utf8_lossy(&line);
        seen(words.trim_end());
        text.push_str(&words);
        line.clear();
    }
    let status = child.wait();
    let status = status.with_context(|| format!("waiting for {program}"))?;
    Ok((status, text))
}

/// The commands that run each failed test of cargo and pytest alone.
pub fn failed_tests(text: &str) -> Vec<String> {
    let command = |line: &str| {
        if let Some(name) = line.strip_prefix("test ") {
            let name = name.strip_suffix(" ... FAILED")?;
            let name = name.split(" - ").next().unwrap_or(name);
            return Some(format!("cargo test --workspace {name}"));
        }
        let test = (line.strip_prefix("FAILED ")).or_else(|| line.strip_prefix("ERROR "))?;
        let test = test.split(" - ").next().unwrap_or(test);
        let is_test = test.contains(".py");
        is_test.then(|| format!("target/venv/bin/python -m pytest '{test}'"))
    };
    let commands: BTreeSet<String> = text.lines().filter_map(command).collect();
    commands.into_iter().collect()
}

/// The reasons of tests that pytest skipped, each with the number of tests.
pub fn skipped(text: &str) -> Vec<String> {
    let mut reasons: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        // SKIPPED [2] tests/test_a.py:12: the reason
        let rest = line.strip_prefix("SKIPPED [");
        let Some((number, rest)) = rest.and_then(|rest| rest.split_once("] ")) else {
            continue;
        };
        let (number, reason) = (number.parse().unwrap_or(1), rest.split_once(": "));
        let reason = reason.map_or(rest, |(_, reason)| reason);
        match reasons.iter_mut().find(|(_, known)| *known == reason) {
            Some((all, _)) => *all += number,
            None => reasons.push((number, reason)),
        }
    }
    let note = |(number, reason): (usize, &str)| format!("{number} skipped: {reason}");
    reasons.into_iter().map(note).collect()
}

/// The output of a runner without passed and skipped tests.
pub fn without_passing(text: &str) -> String {
    const PROGRESS: [&str; 7] = [
        "SKIPPED [",
        "test result: ok.",
        "Running ",
        "Doc-tests ",
        "Compiling ",
        "Finished ",
        "Fresh ",
    ];
    let passing = |line: &str| {
        let line = line.trim();
        let is_ok = || line.ends_with(" ... ok") || line.contains(" ... ignored");
        line.is_empty()
            || line.ends_with("%]") && line.starts_with(['.', 's', 'F', 'E', 'x'])
            || line.starts_with("test ") && is_ok()
            || line.starts_with("running ") && line.ends_with([' ', 's', 't'])
            || PROGRESS.iter().any(|start| line.starts_with(start))
    };
    let kept = text.lines().filter(|line| !passing(line));
    kept.flat_map(|line| [line, "\n"]).collect()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TestCounts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Tests that the stage `image` runs.
    pub left: usize,
}

/// The end of the reason of such a test.
const LEFT: &str = "cargo xtask test --stage image";

impl TestCounts {
    pub fn ran(self) -> usize {
        self.passed + self.failed
    }
}

impl std::ops::AddAssign for TestCounts {
    fn add_assign(&mut self, more: Self) {
        self.passed += more.passed;
        self.failed += more.failed;
        self.skipped += more.skipped;
        self.left += more.left;
    }
}

pub fn described(counts: TestCounts) -> String {
    let mut words = Vec::new();
    if counts.ran() + counts.skipped > 0 {
        words.push(counted(counts.ran(), "test"));
    }
    if counts.skipped > 0 {
        words.push(format!("{} skipped", counts.skipped));
    }
    if counts.left > 0 {
        words.push(format!("{} for the stage {}", counts.left, image::NAME));
    }
    words.join(", ")
}

/// Adds up the closing lines of cargo test and pytest.
pub fn count(text: &str) -> TestCounts {
    let mut counts = TestCounts::default();
    for line in text.lines() {
        if line.starts_with("test ") && line.contains(" ... ignored") && line.ends_with(LEFT) {
            counts.left += 1;
        }
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
    counts.skipped = counts.skipped.saturating_sub(counts.left);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO: &str = "   Compiling xtask v0.1.0\n     Running unittests src/lib.rs (target/debug/deps/a-1)\n\n\
                         running 2 tests\ntest a::works ... ok\ntest a::breaks ... FAILED\n\nfailures:\n\n\
                         ---- a::breaks stdout ----\nleft: 1\n\ntest result: FAILED. 1 passed; 1 failed; \
                         0 ignored\ntest result: ok. 3 passed; 0 failed; 0 ignored\n";

    #[test]
    fn failed_tests_are_named_with_the_command_for_each() {
        assert_eq!(failed_tests(CARGO), ["cargo test --workspace a::breaks"]);
        let pytest = "FAILED tests/test_a.py::test_b[x y] - assert 1 == 2\nERROR tests/test_c.py - no\n\
                      ERROR: not found\n";
        assert_eq!(
            failed_tests(pytest),
            [
                "target/venv/bin/python -m pytest 'tests/test_a.py::test_b[x y]'",
                "target/venv/bin/python -m pytest 'tests/test_c.py'"
            ]
        );
    }

    #[test]
    fn what_passed_is_not_printed() {
        let text = without_passing(CARGO);
        assert!(
            text.starts_with("test a::breaks ... FAILED\nfailures:\n"),
            "{text}"
        );
        assert!(
            text.contains("left: 1\n") && !text.contains("works"),
            "{text}"
        );
        assert!(!text.contains("3 passed"), "{text}");
    }

    #[test]
    fn what_pytest_left_out_is_told_by_reason() {
        let text = "..sF.. [ 52%]\nSKIPPED [1] tests/a.py:3: no GPU\nSKIPPED [2] tests/b.py:9: no \
                    GPU\nSKIPPED [1] tests/a.py:8: too: old\n1 failed, 3 skipped in 2.00s\n";
        assert_eq!(skipped(text), ["3 skipped: no GPU", "1 skipped: too: old"]);
        assert_eq!(without_passing(text), "1 failed, 3 skipped in 2.00s\n");
    }

    #[test]
    fn both_streams_come_as_one_text_line_by_line() {
        let mut seen = Vec::new();
        let mut sh = Command::new("sh");
        sh.args(["-c", "echo one; echo two >&2; printf three; exit 3"]);
        let (status, text) = follow(&mut sh, &mut |line| seen.push(line.to_owned())).unwrap();
        assert_eq!(status.code(), Some(3));
        assert_eq!(text, "one\ntwo\nthree");
        assert_eq!(seen, ["one", "two", "three"]);
    }

    #[test]
    fn the_closing_lines_of_both_runners_are_added_up() {
        let text = "test result: ok. 11 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; \
                    finished in 0.10s\nrunning 3 tests\n\
                    ====== 5 passed, 1 skipped, 1 failed in 1.20s ======\n\
                    7 passed, 2 errors in 61.00s (0:01:01)\n";
        assert_eq!(
            count(text),
            TestCounts {
                passed: 23,
                failed: 3,
                skipped: 3,
                left: 0
            }
        );
        assert_eq!(count("12 passed the door in time"), TestCounts::default());
    }

    #[test]
    fn a_test_that_another_stage_runs_is_not_skipped() {
        let text = "running 3 tests\n\
                    test a ... ok\n\
                    test b ... ignored, needs docker: cargo xtask test --stage image\n\
                    test c ... ignored, too slow\n\n\
                    test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out\n";
        let counts = count(text);
        assert_eq!((counts.passed, counts.skipped, counts.left), (1, 1, 1));
        assert_eq!(
            described(counts),
            "1 test, 1 skipped, 1 for the stage image"
        );
        assert_eq!(described(TestCounts::default()), "");
    }
}
