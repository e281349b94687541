//! The stage `image`: the base image that stands in for SGLang's, and the tests that build on it.
//!
//! The base image has a label, which everything that is built on it inherits. The stage removes by that
//! label at the end, or the next run does after a kill. It also removes what it added to the build
//! cache, unless it was interrupted.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::stages::{Checkout, cargo, command};
use super::{StageOutcome, hold, text_of};
use xtask_core::docker::Engine;
use xtask_core::progress;

pub const NAME: &str = "image";

/// Makes the base image. Its exit code is 2 where this machine lacks something.
pub const BASE: &str = "tests/standin/base-image.sh";
const LACKING: i32 = 2;

/// The label of everything that the stage makes on the engine.
const LABEL: &str = "worker-sglang.test";

/// Builds base and worker and runs the tests of the tool that need docker.
pub fn run(checkout: &Checkout) -> Result<StageOutcome> {
    let root = checkout.root;
    let engine = match Engine::find() {
        Ok(engine) => engine,
        Err(none) => return Ok(StageOutcome::skipped(none.to_string())),
    };
    let _lock = hold(root, "image-stage", "run the stage image")?;
    // Only one run holds the lock, so a killed run left what has the label now.
    let label = label(root);
    engine.sweep(&label)?;
    let outcome = build_and_test(root, &engine, &label);
    progress::at("removing what was built");
    let tidied = engine.sweep(&label);
    let mut outcome = outcome?;
    if let Err(error) = tidied {
        outcome.fail(&format!("{error:#}\n"));
    }
    Ok(outcome)
}

fn build_and_test(root: &Path, engine: &Engine, label: &str) -> Result<StageOutcome> {
    let mut outcome = StageOutcome::default();
    let start = Instant::now();
    let base = format!("worker-sglang-standin:stage-{}", std::process::id());
    progress::at("making the base image");
    let made = command(root, &root.join(BASE), "")
        .args(["--tag", &base, "--label", label])
        .env("DOCKER", &engine.program)
        .output()
        .with_context(|| format!("running {BASE}"))?;
    if made.status.code() == Some(LACKING) {
        return Ok(StageOutcome::skipped(text_of(&made).trim_end()));
    }
    if !made.status.success() {
        outcome.fail(&text_of(&made));
        return Ok(outcome);
    }
    outcome.notes.push(format!(
        "the base image took {:.0} s of that",
        start.elapsed().as_secs_f32()
    ));
    let run = |targets: &[&str]| {
        let mut tests = cargo(root, "test --workspace --locked");
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
    outcome.join(first?);
    outcome.join(second.unwrap_or_else(|_| bail!("the tests ended in a panic"))?);
    if outcome.counts.ran() == 0 && outcome.failed.is_none() {
        outcome.fail("no test ran");
    }
    Ok(outcome)
}

fn label(root: &Path) -> String {
    let host = fs_err::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{LABEL}={}:{}", host.trim(), root.display())
}
