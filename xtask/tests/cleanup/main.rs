//! `cargo xtask cleanup` and `cargo xtask status` as their users meet them: a worker's git
//! repository in, a command, and the tree and the words out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

#[allow(dead_code, reason = "the tests of migrate need all of it")]
#[path = "../migrate/support.rs"]
mod support;

mod faults;
mod removes;
mod status;
mod stops;

use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{Lab, Repo, Run};

/// A worker that was migrated, and of which every loss is accepted and committed.
fn ready(lab: &Lab) -> Repo<'_> {
    lab.upstream("upstream");
    lab.once_for_upstream("ready", "worker", || {
        settled(lab.migrated("worker"));
    })
}

/// The same for a worker that was migrated already.
fn settled(worker: Repo<'_>) -> Repo<'_> {
    accept_all(&worker);
    worker.commit("docs: say why");
    worker
}

/// Puts a reason on record for everything that is open.
fn accept_all(worker: &Repo<'_>) -> Run {
    let json = worker.compare(&["--format", "json"]).json();
    let facts = json["facts"].as_array().unwrap().iter();
    let open = facts.filter(|fact| fact["open"] == true);
    let ids: Vec<&str> = open.filter_map(|fact| fact["id"].as_str()).collect();
    let mut args: Vec<&str> = ids.iter().flat_map(|id| ["--accept", id]).collect();
    args.extend(["--reason", "nobody missed it"]);
    worker.compare(&args).done()
}

/// Puts a reason on record, and commits it.
fn accept(worker: &Repo<'_>, id: &str, reason: &str) {
    let run = worker.compare(&["--accept", id, "--reason", reason]);
    assert_eq!(run.code, Some(0), "{run:?}");
    worker.commit("docs: say why");
}

/// How many facts have this verdict, or are `open`, as compare counts them.
fn count(worker: &Repo<'_>, what: &str) -> u64 {
    let json = worker.compare(&["--format", "json"]).json();
    json["summary"][what].as_u64().unwrap()
}

fn cleanup(worker: &Repo<'_>, args: &[&str]) -> Run {
    worker.task("cleanup", args).run()
}

/// What is in the way, as `kind subject`, with the command that settles each.
fn obstacles(worker: &Repo<'_>) -> Vec<(String, String)> {
    let before = worker.everything();
    let run = cleanup(worker, &["--format", "json"]);
    worker
        .everything()
        .expect_same(&before, "a cleanup that was stopped");
    assert_eq!(run.stderr, "");
    let json = run.json();
    let obstacles = json["obstacles"].as_array().unwrap();
    assert_eq!(json["ending"] == "stopped", !obstacles.is_empty(), "{json}");
    assert_eq!(run.code, Some(1), "{json}");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    obstacles
        .iter()
        .map(|one| {
            let named = format!("{} {}", text(&one["kind"]), text(&one["subject"]));
            (named, text(&one["settle"]))
        })
        .collect()
}

/// Runs a line as it would be pasted into a shell in some folder.
fn shell(repo: &Repo<'_>, dir: &Path, line: &str) -> Output {
    let git = repo.git_command(&[]);
    let environment = git
        .get_envs()
        .filter_map(|(name, value)| Some((name, value?)));
    Command::new("bash")
        .args(["-c", line])
        .env_clear()
        .envs(environment)
        .current_dir(dir)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Pastes lines that must work.
#[track_caller]
fn paste(repo: &Repo<'_>, dir: &Path, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        let output = shell(repo, dir, &line);
        assert!(output.status.success(), "{line}: {output:?}");
    }
}

/// The one thing that is in the way.
#[track_caller]
fn expect_only(worker: &Repo<'_>, named: &str, settle: &str) {
    let found = obstacles(worker);
    assert_eq!(found, [(named.to_owned(), settle.to_owned())]);
}
