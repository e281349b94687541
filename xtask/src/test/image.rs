//! The stage `image`: the base image that stands in for SGLang's, and the tests that build on it.
//!
//! The base image has a label, which everything that is built on it inherits. The stage removes by that
//! label at the end, or the next run does after a kill.

use std::path::Path;

use anyhow::{Result, bail};

use super::stages::{Checkout, cargo, command};
use super::{StageOutcome, TestCounts, hold, run_command};
use xtask_core::docker::Engine;
use xtask_core::progress;

pub const NAME: &str = "image";

/// Makes the base image.
pub const BASE: &str = "tests/standin/base-image.sh";

/// The label of everything that the stage makes on the engine.
const LABEL: &str = "worker-sglang.test";

/// Builds base and worker and runs the tests of the tool that need docker.
pub fn run(checkout: &Checkout) -> Result<StageOutcome> {
    let root = checkout.root;
    let engine = Engine::find()?;
    let _lock = hold(root, "image-stage", "run the stage image")?;
    // Only one run holds the lock, so a killed run left what has the label now.
    let label = label(root);
    engine.sweep(&label)?;
    let outcome = build_and_test(root, &engine, &label);
    progress::at("removing what was built");
    let tidied = engine.sweep(&label);
    let outcome = outcome?;
    tidied.map(|()| outcome)
}

fn build_and_test(root: &Path, engine: &Engine, label: &str) -> Result<StageOutcome> {
    let base = format!("worker-sglang-standin:stage-{}", std::process::id());
    progress::at("making the base image");
    let mut make = command(root, &root.join(BASE), "");
    make.args(["--tag", &base, "--label", label]);
    run_command(make.env("DOCKER", &engine.program))?;
    progress::at("running the tests");
    let run = |targets: &[&str]| {
        let mut tests = cargo(root, "test --quiet --workspace --locked");
        tests.args(targets.iter().flat_map(|target| ["--test", target]));
        tests
            .args(["--", "--ignored"])
            .env("DOCKER", &engine.program)
            .env("WORKER_SGLANG_BASE", &base)
            .env("WORKER_SGLANG_LABEL", label);
        let mut outcome = StageOutcome::default();
        outcome.run(&mut tests).map(|()| outcome)
    };
    // In parallel, since both mostly wait for containers to start and to end.
    let (first, second) = std::thread::scope(|scope| {
        let second = scope.spawn(|| run(&["example_image", "story", "documents"]));
        (run(&[NAME]), second.join())
    });
    let mut outcome = first?;
    let second = second.unwrap_or_else(|_| bail!("the tests ended in a panic"))?;
    outcome.counts += second.counts;
    if let Some(output) = second.failed {
        outcome.fail(&output);
    }
    if outcome.counts == TestCounts::default() && outcome.failed.is_none() {
        outcome.fail("no test ran");
    }
    Ok(outcome)
}

fn label(root: &Path) -> String {
    let host = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{LABEL}={}:{}", host.trim(), root.display())
}
