//! The stage `wheel`: builds the wheel of hub-lint and runs it in another worker's folder, without cargo
//! and this repository.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::environment::{PIP_INSTALL, python};
use super::stages::{Checkout, cargo, command};
use super::{StageOutcome, hold, run_command, text_of};
use xtask_core::progress;
use xtask_core::scratch_folder::ScratchFolder;

pub const NAME: &str = "wheel";

/// The file that describes the build.
pub const FILE: &str = "pyproject.toml";

/// Where it is installed, below the repository's root.
const FOLDER: &str = "target/wheel";

/// Another worker with one mistake, and the expected finding.
const LISTING: &str = r#"{
  "title": "Worker", "description": "Does things.", "type": "serverless", "category": "language",
  "config": { "runsOn": "GPU", "containerDiskInGb": 20, "gpuIds": "RTX A4000" }
}
"#;
const TESTS: &str = r#"{ "tests": [{ "name": "one", "input": { "prompt": "Hi" } }], "config": { "gpuCount": 1 } }
"#;
const MISTAKE: &str = "error[HUB211 unknown-gpu]";
const PLACE: &str = "--> .runpod/hub.json:3:68";

pub fn run(checkout: &Checkout) -> Result<StageOutcome> {
    let root = checkout.root;
    let python = python().context("no Python with venv")?;
    let _lock = hold(root, "wheel-stage", "run the stage wheel")?;
    let folder = root.join(FOLDER);
    run_command(command(root, &python, "-m venv --clear").arg(&folder))?;
    progress::at("building and installing the wheel");
    let mut install = command(root, &folder.join("bin/python"), PIP_INSTALL);
    install.arg(".");
    // Most of the unoptimized build exists already, and the test is about the wheel and not its speed.
    // Maturin calls cargo, which must not see the variables of this tool's build.
    install.env("MATURIN_PEP517_ARGS", "--profile dev");
    for (name, _) in cargo(root, "").get_envs() {
        install.env_remove(name);
    }
    run_command(&mut install)?;
    progress::at("running it elsewhere");
    let mut outcome = StageOutcome::default();
    if let Err(error) = try_command(root, &folder.join("bin/hub-lint")) {
        outcome.fail(&format!("{error:#}\n"));
    }
    Ok(outcome)
}

/// Runs the installed command in a worker's folder that has nothing to do with this repository.
fn try_command(root: &Path, lint: &Path) -> Result<()> {
    let bytes = fs_err::read(lint)?;
    let own = root.as_os_str().as_encoded_bytes();
    if bytes.windows(own.len()).any(|window| window == own) {
        bail!(
            "the program holds the path {} of this machine",
            root.display()
        );
    }
    let worker = ScratchFolder::new("wheel")?;
    let inside = worker.path().join(".runpod");
    fs_err::create_dir(&inside)?;
    for (path, text) in [
        ("Dockerfile", "FROM scratch\n"),
        ("README.md", "# Worker\n"),
        (".runpod/tests.json", TESTS),
        (".runpod/hub.json", LISTING),
    ] {
        fs_err::write(worker.path().join(path), text)?;
    }
    let mut lint = command(worker.path(), lint, "");
    let output = lint.env_clear().output().context("running hub-lint")?;
    let (code, said) = (output.status.code(), text_of(&output));
    if code != Some(1) || !said.contains(MISTAKE) || !said.contains(PLACE) {
        bail!("expected exit code 1, `{MISTAKE}` and `{PLACE}`, got {code:?}:\n{said}");
    }
    Ok(())
}
