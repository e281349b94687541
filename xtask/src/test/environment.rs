//! The Python environment in which the worker's tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::stages::{WORKER_TESTS, command};
use super::{hold, run_command};
use xtask_core::if_there;
use xtask_core::outcome::UserError;

/// Its folder, and the file in it that lists the installed requirements.
const FOLDER: &str = "target/venv";
const STAMP: &str = "requirements.installed";

pub const PIP_INSTALL: &str = "-m pip install --quiet --disable-pip-version-check";

/// The lists of what is in it.
const LISTS: [&str; 2] = ["requirements.txt", WORKER_TESTS];

pub fn python() -> Option<PathBuf> {
    let script = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))";
    let is_fit = |python: &PathBuf| {
        let output = Command::new(python).args(["-c", script]).output();
        output.is_ok_and(|output| output.status.success())
    };
    let pythons = ["python3", "python"].iter().flat_map(which::which_all);
    pythons.flatten().find(is_fit)
}

/// The Python of the virtual environment for the worker's tests, which is made or updated where the
/// requirements have changed.
pub fn make(root: &Path) -> Result<PathBuf> {
    let venv = root.join(FOLDER);
    let inside = venv.join("bin/python");
    let stamp = venv.join(STAMP);
    let lists = LISTS.map(|list| fs_err::read_to_string(root.join(list)));
    let wanted = lists.into_iter().collect::<Result<String, _>>()?;
    let lock = hold(root, "venv", "make the tests' Python environment")?;
    if inside.exists() && fs_err::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(inside);
    }
    // The stamp is removed first and written last, so that an unfinished environment has none.
    if_there(fs_err::remove_file(&stamp))?;
    let python = python().context("no Python with venv")?;
    // The programs get the lock as their standard input: if this process is killed and pip lives on,
    // the next run waits for pip.
    let lock = || lock.try_clone().context("sharing the lock");
    let mut venv_command = command(root, &python, "-m venv --clear");
    run_command(venv_command.arg(&venv).stdin(lock()?))?;
    let mut install = command(root, &inside, PIP_INSTALL);
    install.args(LISTS.iter().flat_map(|list| ["-r", list]));
    run_command(install.stdin(lock()?)).map_err(|error| {
        let lists = LISTS.join(" and ");
        UserError::new(
            format!("pip could not install into {FOLDER} what {lists} list:\n{error:#}"),
            "pip takes packages from PyPI, or from the index that PIP_INDEX_URL or pip.conf names; \
             HTTPS_PROXY names a proxy. Once it reaches one, run this again",
        )
    })?;
    let unfinished = venv.join(format!("{STAMP}.new"));
    fs_err::write(&unfinished, wanted)?;
    fs_err::rename(unfinished, stamp)?;
    Ok(inside)
}
