//! A run that is ended half-way leaves no temporary folder.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Lab, Repo};

/// A migration that waits for a server that never answers, with its folders made.
struct Waiting {
    child: Child,
    /// Where what it starts writes down its number.
    left: PathBuf,
}

impl Waiting {
    fn start(lab: &Lab, worker: &Repo) -> Self {
        let before = folders(lab);
        let ssh = lab.script("ssh", "echo $$ >> \"$HOME/left\"\nexec sleep 60");
        let mut command = worker.xtask(&["--upstream", "ssh://host/x"]).command;
        let child = command
            .env("GIT_SSH_COMMAND", ssh)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let left = lab.path("home/left");
        let waiting = Self { child, left };
        let is_new = |name: &String| name.starts_with("xtask-upstream-") && !before.contains(name);
        until(|| folders(lab).iter().any(is_new));
        waiting
    }

    fn end(&mut self, signal: Signal) {
        assert!(testing::send(signal, self.child.id()));
        assert!(!self.child.wait().unwrap().success());
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        testing::end_all(&std::fs::read_to_string(&self.left).unwrap_or_default());
    }
}

fn folders(lab: &Lab) -> Vec<String> {
    let items = std::fs::read_dir(lab.path("tmp")).unwrap();
    items
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[track_caller]
fn until(holds: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < patience, "it does not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_signal_leaves_no_folder() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let lab = Lab::new();
        let worker = lab.legacy("worker");
        let before = worker.everything();
        Waiting::start(&lab, &worker).end(signal);
        assert_eq!(folders(&lab), [""; 0], "{signal:?}");
        let after = worker
            .everything()
            .without(|key| key.ends_with("xtask-migrate.lock"));
        after.expect_same(&before, &format!("{signal:?}"));
    }
}

#[test]
fn what_cannot_clean_up_is_cleaned_up_after() {
    let lab = Lab::new();
    lab.upstream("upstream");
    Waiting::start(&lab, &lab.legacy("killed")).end(Signal::KILL);
    assert!(!folders(&lab).is_empty());
    let mut other = Waiting::start(&lab, &lab.legacy("other"));
    let there = folders(&lab);
    assert_eq!(there.len(), 2, "{there:?}");
    let worker = lab.legacy("worker");
    let check = || {
        worker
            .migrate(&["--upstream", "../upstream", "--check"])
            .finds()
    };
    // Those of a run that is still at work stay.
    check();
    assert_eq!(folders(&lab), there);
    other.end(Signal::KILL);
    check();
    assert_eq!(folders(&lab), [""; 0]);
}

/// As Ctrl-C comes: to the tool and to the git that it waits for, whose end the tool sees as well.
#[test]
fn a_signal_at_any_moment_leaves_no_folder() {
    let lab = Lab::new();
    let worker = lab.small_legacy("worker");
    let start = || {
        let args = ["--upstream", "../upstream", "--dry-run"];
        let mut command = worker.xtask(&args).command;
        command.process_group(0);
        let streams = command.stdout(Stdio::null()).stderr(Stdio::null());
        streams.spawn().unwrap()
    };
    let begun = Instant::now();
    assert!(start().wait().unwrap().success());
    let whole = begun.elapsed();
    for part in 0..40 {
        let mut child = start();
        std::thread::sleep(whole * part / 40);
        let group = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        let _ = rustix::process::kill_process_group(group, Signal::TERM);
        child.wait().unwrap();
        assert_eq!(folders(&lab), [""; 0], "after {part}/40 of {whole:?}");
    }
}
