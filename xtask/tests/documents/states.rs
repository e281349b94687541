//! Where a story starts: a clone of this repository, as it is in the work tree, and a worker of the
//! reader's beside it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Lab, Repo};
use crate::{fork, repository};

/// The reader's clone, in which they stand.
pub const CLONE: &str = "worker-sglang";
/// The reader's own worker.
pub const WORKER: &str = "my-worker";
/// Where the clone comes from.
const ORIGIN: &str = "origin";

/// Makes the state of that name.
pub fn make(lab: &Lab, state: &str) {
    let origin = origin(lab);
    match state {
        "clone" => clone(lab),
        fork::STATE => {
            clone(lab);
            fork::make(lab);
        }
        "migrated" => {
            clone(lab);
            migrated(lab);
            newer(&origin);
        }
        "modern fork" => {
            modern_fork(lab, &origin);
            newer(&origin);
            clone(lab);
        }
        other => panic!("there is no state `{other}`"),
    }
}

/// This repository's files as they are now, committed.
fn origin(lab: &Lab) -> Repo<'_> {
    lab.once(ORIGIN, ORIGIN, || take_this_repository(&lab.empty(ORIGIN)))
}

fn take_this_repository(origin: &Repo) {
    let from = repository();
    let listed = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(&from)
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let (source, target) = (from.join(path), origin.file(path));
        if source.is_file() {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(source, target).unwrap();
        }
    }
    origin.commit("feat: a worker, and the tool that keeps it");
}

fn clone(lab: &Lab) {
    lab.at(ORIGIN)
        .git(&["clone", "--quiet", ".", &format!("../{CLONE}")]);
    let target = lab.at(CLONE).file("target");
    fs::create_dir(&target).unwrap();
    // Python's environment takes long to make; a run of `cargo xtask test` leaves one.
    let made = repository().join("target/venv");
    if made.join("requirements.installed").is_file() {
        std::os::unix::fs::symlink(made, target.join("venv")).unwrap();
    }
}

/// What upstream does while the reader is busy elsewhere.
fn newer(origin: &Repo) {
    origin.edit("sglang_worker/sdk.py", "LOOK = 0.1", "LOOK = 0.2");
    origin.commit("perf: look for jobs half as often");
}

/// The change that the reader made to the worker of the modern layout.
fn own_change(worker: &Repo) {
    worker.edit(
        "sglang_worker/supervisor.py",
        "TERM_GRACE = 2.5 ",
        "TERM_GRACE = 5.0 ",
    );
    worker.commit("feat: more time for the server to end");
}

/// A legacy worker that was migrated with the clone, and changed since.
fn migrated(lab: &Lab) {
    let worker = lab.legacy(WORKER);
    let run = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["migrate", "--commit", "-C"])
        .arg(&worker.path)
        .env("CARGO_MANIFEST_DIR", lab.at(CLONE).file("xtask"))
        .env("HOME", lab.path("home"))
        .current_dir(lab.path(CLONE))
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    own_change(&worker);
}

/// A worker made by copying the files of this one, with a change of its own.
fn modern_fork(lab: &Lab, origin: &Repo) {
    let worker = lab.empty(WORKER);
    let copied: Vec<_> = origin
        .git(&["ls-files"])
        .lines()
        .filter(|path| is_the_worker_s(path))
        .map(str::to_owned)
        .collect();
    for path in &copied {
        worker.write(path, origin.bytes(path));
    }
    worker.commit("feat: our worker");
    own_change(&worker);
}

fn is_the_worker_s(path: &str) -> bool {
    let root = [
        ".dockerignore",
        "Dockerfile",
        "README.md",
        "docker-compose.yml",
        "requirements.txt",
        "test_input.json",
    ];
    let ends = Path::new(path).extension();
    let is_module = !path.contains('/') && ends.is_some_and(|end| end == "py");
    let folders = [
        ".runpod/",
        "public/",
        "scripts/sglang_flags.py",
        "sglang_worker/",
    ];
    is_module || root.contains(&path) || folders.iter().any(|folder| path.starts_with(folder))
}
