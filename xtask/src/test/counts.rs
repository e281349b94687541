//! How many tests ran, read from what the runners print.

use super::image;
use xtask_core::output::counted;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TestCounts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
    /// Those that name the stage that runs them: no test is lost where that stage runs too.
    pub left: usize,
}

/// How the reason of a test ends that another stage runs.
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

/// A stage's tests, in a few words.
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
    counts.skipped = counts.skipped.saturating_sub(counts.left);
    counts
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
