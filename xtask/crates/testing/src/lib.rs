//! What the tests of several crates are written with. No crate depends on it but for its tests.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test stops at the first surprise"
)]

mod json;
mod random;
pub mod sarif;

use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};

use rustix::process::{Pid, Signal};
use xtask_core::tree::{Entries, Mode, Oid, TreeEntry};

pub use json::agrees_with_serde;
pub use random::Random;

/// Files with their ids, for tests that look at nothing else.
pub fn files(of: &[(&str, &str)]) -> Entries {
    let entry = |oid: &str| TreeEntry::of(Mode::File, Oid(oid.into()));
    of.iter()
        .map(|&(path, oid)| (path.into(), entry(oid)))
        .collect()
}

/// A program that runs while a test goes on; it ends with the test, also where that panics.
pub struct Running(Option<Child>);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    /// Waits for its end, and takes what it said.
    pub fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Deref for Running {
    type Target = Child;

    fn deref(&self) -> &Child {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Child {
        self.0.as_mut().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process; `false` where there is none of that number.
pub fn send(signal: Signal, process: u32) -> bool {
    let process = i32::try_from(process).ok().and_then(Pid::from_raw);
    process.is_some_and(|process| rustix::process::kill_process(process, signal).is_ok())
}

/// Ends what a script wrote down: a process number on each line.
pub fn end_all(numbers: &str) {
    for number in numbers.lines().filter_map(|line| line.trim().parse().ok()) {
        // One that has ended by itself is as good.
        send(Signal::TERM, number);
    }
}

/// A program in a folder that does what a shell script says. Another process writes it: a program
/// that is open for writing can't be started.
pub fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let program = folder.join(name);
    let text = format!("#!/bin/sh\n{script}\n");
    let written = Command::new("sh")
        .args(["-c", "printf %s \"$1\" > \"$2\" && chmod 755 \"$2\""])
        .args(["sh", &text])
        .arg(&program)
        .status();
    assert!(written.unwrap().success());
    program
}
