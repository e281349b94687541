//! Finding a docker engine that can build the worker, and talking to it.

mod find;
mod images;

pub use find::NoEngine;
pub use images::{Image, images};

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

/// A client and the daemon that it reaches.
#[derive(Debug, Clone)]
pub struct Engine {
    pub program: PathBuf,
    /// Whether the client has buildx, and so bake.
    pub buildx: bool,
}

/// What every container, network and volume carries that a task makes for a moment.
pub const LABEL: &str = "worker-sglang.xtask";

impl Engine {
    /// The first client of this machine that reaches a daemon and can build with `BuildKit`:
    /// `$DOCKER` where that is set, else each `docker` on PATH.
    pub fn find() -> Result<Self, NoEngine> {
        find::find()
    }

    /// A command of this client, BuildKit switched on.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(args).env("DOCKER_BUILDKIT", "1");
        command
    }

    /// What a command prints.
    pub fn output(&self, args: &[&str]) -> Result<Vec<u8>> {
        let output = self
            .command(args)
            .output()
            .with_context(|| format!("running {}", self.program.display()))?;
        anyhow::ensure!(
            output.status.success(),
            "docker {} failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(output.stdout)
    }
}
