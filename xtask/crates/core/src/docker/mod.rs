//! Finding a docker engine that can build the worker, and talking to it.

mod find;
mod images;

pub use crate::outcome::UsageError as NoEngine;
pub use images::{LocalImage, images};

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;
use xshell::cmd;

use crate::process::{self, Finished};

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

    /// The release of buildx.
    pub fn buildx_release(&self) -> Option<(u32, u32)> {
        let said = self.output(&["buildx", "version"]).ok()?;
        buildx_release(&String::from_utf8_lossy(&said))
    }

    /// A command of this client for a child that lives on, BuildKit switched on.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        let (shell, program) = (process::shell(None)?, &self.program);
        let cmd = cmd!(shell, "{program} {args...}").env("DOCKER_BUILDKIT", "1");
        Ok(process::command(cmd))
    }

    /// What a one-shot command prints.
    pub fn output(&self, args: &[&str]) -> Result<Vec<u8>> {
        let done = self.finish(args)?;
        anyhow::ensure!(
            done.ok,
            "docker {} failed: {}",
            args.join(" "),
            done.message
        );
        Ok(done.stdout)
    }

    /// Removes every container, network, volume and image that carries a label: what a run has made,
    /// or a killed one has left.
    pub fn sweep(&self, label: &str) -> Result<()> {
        let filter = format!("label={label}");
        let kinds: [(&str, &str, &[&str]); 4] = [
            ("container", "--all", &["rm", "--force", "--volumes"]),
            ("network", "--quiet", &["rm"]),
            ("volume", "--quiet", &["rm"]),
            ("image", "--all", &["rm", "--force"]),
        ];
        for (kind, all, remove) in kinds {
            let ids = self.output(&[kind, "ls", all, "--quiet", "--filter", &filter])?;
            let ids = String::from_utf8_lossy(&ids).into_owned();
            // An image has a line for each of its names.
            let ids: BTreeSet<&str> = ids.lines().collect();
            if !ids.is_empty() {
                let words = [kind].into_iter().chain(remove.iter().copied());
                self.output(&words.chain(ids).collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// The ids of what the build cache holds.
    pub fn build_cache(&self) -> Result<BTreeSet<String>> {
        let format = "{{range .BuildCache}}{{.ID}}\n{{end}}";
        let said = self.output(&["system", "df", "--verbose", "--format", format])?;
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok(said.split_whitespace().map(str::to_owned).collect())
    }

    /// Removes what the build cache holds beyond `kept`.
    pub fn prune_build_cache(&self, kept: &BTreeSet<String>) -> Result<()> {
        // A record goes once nothing is built on it, so each round frees the next ones.
        const ROUNDS: usize = 40;
        let mut before = usize::MAX;
        for _ in 0..ROUNDS {
            let all = self.build_cache()?;
            let added: Vec<&String> = all.difference(kept).collect();
            if added.is_empty() || added.len() >= before {
                break;
            }
            before = added.len();
            for id in added {
                let filter = format!("id={id}");
                self.output(&["builder", "prune", "--all", "--force", "--filter", &filter])?;
            }
        }
        Ok(())
    }

    /// Runs a one-shot command to its end, whatever its exit code.
    pub fn finish(&self, args: &[&str]) -> Result<Finished> {
        let (shell, program) = (process::shell(None)?, &self.program);
        process::finish(cmd!(shell, "{program} {args...}").env("DOCKER_BUILDKIT", "1"))
    }
}

/// `github.com/docker/buildx v0.19.3 48d6a39` as numbers; a build of its own may say more or less.
fn buildx_release(said: &str) -> Option<(u32, u32)> {
    said.split_whitespace()
        .find_map(|word| find::release(word.strip_prefix('v').unwrap_or(word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_of_buildx_is_read() {
        let release = buildx_release;
        assert_eq!(
            release("github.com/docker/buildx v0.19.3 48d6a3927d8b4e6e7f6e0cc5a3d6a9b2"),
            Some((0, 19))
        );
        assert_eq!(release("github.com/docker/buildx 0.10.5 "), Some((0, 10)));
        assert_eq!(release("github.com/docker/buildx"), None);
        assert_eq!(release(""), None);
    }
}
