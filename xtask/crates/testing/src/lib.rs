//! What the tests of several crates are written with. No crate depends on it but for its tests.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test stops at the first surprise"
)]

mod json;
mod random;
pub mod sarif;

use std::path::{Path, PathBuf};
use std::process::Command;

use xtask_core::tree::{Entries, Entry, Mode, Oid};

pub use json::agrees_with_serde;
pub use random::Random;

/// Files with their ids, for tests that look at nothing else.
pub fn files(of: &[(&str, &str)]) -> Entries {
    let entry = |oid: &str| Entry {
        mode: Mode::File,
        size: None,
        oid: Some(Oid(oid.into())),
    };
    of.iter()
        .map(|&(path, oid)| (path.into(), entry(oid)))
        .collect()
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
