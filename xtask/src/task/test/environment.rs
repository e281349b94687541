//! The Python environment in which the worker's tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::stages::{WORKER_TESTS, command};
use super::text_of;
use crate::outcome::Unusable;

/// A Python that can make a virtual environment.
pub fn python() -> Option<PathBuf> {
    ["python3", "python"].iter().find_map(|name| {
        which::which_all(name).ok()?.find(|python| {
            Command::new(python)
                .args([
                    "-c",
                    "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))",
                ])
                .output()
                .is_ok_and(|output| output.status.success())
        })
    })
}

/// The Python of the virtual environment for the worker's tests, made or brought up to date where
/// the requirements have changed since.
pub fn environment(root: &Path) -> Result<PathBuf> {
    let venv = root.join("target/venv");
    let inside = venv.join("bin/python");
    let lists = ["requirements.txt", WORKER_TESTS];
    let mut wanted = String::new();
    for list in lists {
        wanted.push_str(&fs_err::read_to_string(root.join(list))?);
    }
    let stamp = venv.join("requirements.installed");
    if inside.exists() && fs_err::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(inside);
    }
    let python = python().context("no Python with venv")?;
    let mut make = command(root, &python, &["-m", "venv", "--clear"]);
    make.arg(&venv);
    let mut install = command(root, &inside, &["-m", "pip", "install", "--quiet"]);
    install.arg("--disable-pip-version-check");
    for list in lists {
        install.args(["-r", list]);
    }
    for mut step in [make, install] {
        let output = step
            .output()
            .context("setting up the tests' Python environment")?;
        if !output.status.success() {
            bail!(Unusable(format!(
                "the tests' Python environment could not be set up:\n{}",
                text_of(&output)
            )));
        }
    }
    fs_err::write(stamp, wanted)?;
    Ok(inside)
}
