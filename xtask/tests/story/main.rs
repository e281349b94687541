//! The whole way of a worker, as one story: from the legacy layout to a release, and on from there.
//! Every step is a command as it is typed, with real git, the real tool and (in the stage `image`)
//! real docker; all that stands in for something is the base image, whose SGLang is one.
//!
//! What this leaves out: whatever GitHub and a registry do (`RELEASE` names each such step), and
//! SGLang itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod image;
mod later;
mod modern;
mod release;
#[allow(dead_code, reason = "the tests of migrate need all of it")]
#[path = "../migrate/support.rs"]
mod support;
mod terminal;

use std::io::Write;
use std::path::Path;

use image::Docker;
use snapbox::{Assert, Data};

use support::{Lab, Repo, Run};
use terminal::Terminal;

#[test]
fn from_the_legacy_layout_to_a_release_without_docker() {
    // Not captured, unlike `eprintln!`: whoever reads the run is to know.
    let _ = writeln!(
        std::io::stderr(),
        "the story without docker: no image was built and none was checked; \
         `cargo xtask test --stage image` tells it with both"
    );
    tell(None);
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn from_the_legacy_layout_to_a_release() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    tell(Some(&Docker {
        chosen: variable("DOCKER"),
        base: variable("WORKER_SGLANG_BASE").unwrap(),
        label: variable("WORKER_SGLANG_LABEL"),
    }));
}

fn tell(docker: Option<&Docker>) {
    let lab = Lab::new();
    let mut terminal = Terminal::new(&lab);
    match docker {
        // Where nobody chose one, the tool finds the one that can build, as it does for anybody.
        Some(docker) => {
            if let Some(chosen) = &docker.chosen {
                terminal.set("DOCKER", chosen);
            }
        }
        None => terminal.set("DOCKER", "no-such-docker"),
    }
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("my-worker");
    terminal.cd("my-worker");

    modern::migrates(&terminal, &worker);
    modern::settles(&terminal, &worker);
    if let Some(docker) = docker {
        image::builds(&terminal, &worker, docker);
    }
    later::cleans_up(&terminal, &worker);
    later::upstream_moves_on(&terminal, &worker, &upstream);
    release::releases(&mut terminal, &worker, docker);
    terminal.cd("my-worker");
    nothing_is_left(&terminal, &worker);
}

/// The words of a run, in which `...` stands for lines and `[..]` for characters.
#[track_caller]
fn shows(run: &Run, expected: impl Into<Data>) {
    Assert::new()
        .normalize_paths(false)
        .eq(run.stdout.clone(), expected.into());
}

/// The history is whole, and nothing of the tool lies about.
fn nothing_is_left(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    terminal.next_is("cargo xtask migrate --check");
    let log = |path: &str| {
        let command = format!("git log --follow --format=%s -- {path}");
        terminal.types(&command).done().stdout
    };
    assert_eq!(
        log("engine.py"),
        "feat: bring in upstream's changes\n\
         fix: keep what endpoints set\n\
         feat: the modern layout\n\
         feat: a worker of the legacy layout\n"
    );
    assert_eq!(
        log("outdated/src/engine.py"),
        "chore: remove outdated/\n\
         feat: the modern layout\n\
         feat: a worker of the legacy layout\n"
    );
    let fsck = terminal.types("git fsck --strict --no-dangling").done();
    assert_eq!(fsck.stdout, "");
    assert_eq!(worker.status(), "");
    worker.expect_settled();
    let names = |folder: &Path| -> Vec<String> {
        let items = std::fs::read_dir(folder).unwrap();
        items
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let in_git = names(&worker.git_dir());
    let ours = |name: &&String| name.contains("xtask") || name.contains(".lock");
    assert_eq!(in_git.iter().find(ours), None);
    assert_eq!(names(&terminal.lab.path("tmp")), [""; 0]);
}
