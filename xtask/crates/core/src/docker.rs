//! Finds a docker client that can build the worker, and runs it.
//!
//! From version 23 on, a client builds with the buildx plugin; without it, it falls back to a builder
//! that lacks `RUN --mount`. Older clients have `BuildKit` built in. Both kinds can be on one PATH,
//! so this takes the first that can build.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use xshell::{Cmd, Shell, cmd};

use crate::outcome::UsageError;
use crate::process::{self, Finished};

const VARIABLE: &str = "DOCKER";

const TIMEOUT: Duration = Duration::from_secs(20);

const INSTALL: &str = "install docker: https://docs.docker.com/engine/install/ (Debian: apt-get \
                       install docker.io)";

/// The first version with `BuildKit` built in, and the first that needs the plugin.
const BUILDKIT: (u32, u32) = (18, 9);
const PLUGIN: u32 = 23;

/// A client and the daemon that it reaches.
#[derive(Debug, Clone)]
pub struct Engine {
    pub program: PathBuf,
}

/// The label of every container that a task makes.
pub const LABEL: &str = "worker-sglang.xtask";

impl Engine {
    /// The first client of this machine that reaches a daemon and can build with `BuildKit`:
    /// `$DOCKER` where that is set, else each `docker` on PATH.
    /// The error names each that was tried with the reason against it, and what to do.
    pub fn find() -> Result<Self, UsageError> {
        let chosen = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        let found = which::which_all(chosen.as_deref().unwrap_or(OsStr::new("docker")));
        let most = if chosen.is_some() { 1 } else { usize::MAX };
        let mut tried = Vec::new();
        for program in found.into_iter().flatten().take(most) {
            match check_client(&program) {
                Ok(()) => return Ok(Self { program }),
                Err(reason) => tried.push((program, reason)),
            }
        }
        let chosen = chosen.map(|name| name.to_string_lossy().into_owned());
        Err(no_engine(&tried, chosen.as_deref()))
    }

    fn cmd<'a>(&self, shell: &'a Shell, args: &[&str]) -> Cmd<'a> {
        let program = &self.program;
        cmd!(shell, "{program} {args...}").env("DOCKER_BUILDKIT", "1")
    }

    /// A command for a child that the caller starts and follows.
    pub fn command(&self, args: &[&str]) -> Result<Command> {
        Ok(process::command(self.cmd(&process::shell(None)?, args)))
    }

    pub fn finish(&self, args: &[&str]) -> Result<Finished> {
        process::finish(self.cmd(&process::shell(None)?, args), b"")
    }

    /// Standard output of a command that must succeed.
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

    /// Removes every container and image with a label: those of this run, or of a killed one.
    pub fn sweep(&self, label: &str) -> Result<()> {
        let filter = format!("label={label}");
        let ids = self.output(&["container", "ls", "--all", "--quiet", "--filter", &filter])?;
        let ids = String::from_utf8_lossy(&ids);
        if !ids.trim().is_empty() {
            let remove = ["container", "rm", "--force", "--volumes"].into_iter();
            self.output(&remove.chain(ids.lines()).collect::<Vec<_>>())?;
        }
        // Prune removes images before the images that they are built on.
        self.output(&["image", "prune", "--all", "--force", "--filter", &filter])?;
        Ok(())
    }
}

/// The error for no usable client: the reason against each that was tried. `chosen` is `$DOCKER`.
fn no_engine(tried: &[(PathBuf, String)], chosen: Option<&str>) -> UsageError {
    let (mut text, help) = match chosen {
        _ if !tried.is_empty() => (
            "no docker client here can build the image".to_owned(),
            "install the buildx plugin (with Docker's packages: apt-get install \
             docker-buildx-plugin; else https://github.com/docker/buildx#installing), or start the \
             daemon (systemctl start docker, or Docker Desktop); DOCKER_HOST or `docker context \
             use` names one elsewhere",
        ),
        Some(name) => (format!("there is no program `{name}`"), INSTALL),
        None => ("there is no docker on PATH".to_owned(), INSTALL),
    };
    for (program, reason) in tried {
        text += &format!("\n  {}: {reason}", program.display());
    }
    if chosen.is_some() {
        text += &format!("\n  (${VARIABLE} names it, so nothing else was tried)");
    }
    UsageError(format!("{text}\n{help}"))
}

fn has_buildkit(version: &str) -> bool {
    let parts = version.split(|c: char| !c.is_ascii_digit());
    let numbers: Vec<u32> = parts.map_while(|part| part.parse().ok()).collect();
    matches!(numbers[..], [major, minor, ..] if (major, minor) >= BUILDKIT && major < PLUGIN)
}

fn check_client(program: &Path) -> Result<(), String> {
    let run = |args: &[&str]| {
        let mut command = Command::new(program);
        command.args(args);
        process::within(command, b"", Some(TIMEOUT))
    };
    let version = match run(&["version", "--format", "{{json .}}"]) {
        Ok(Some(done)) => parse_version(&done.stdout, &done.stderr)?,
        Ok(None) => {
            let limit = TIMEOUT.as_secs();
            return Err(format!("the daemon did not answer within {limit} s"));
        }
        Err(error) => return Err(format!("it could not be started: {}", error.root_cause())),
    };
    let has_buildx = matches!(run(&["buildx", "version"]), Ok(Some(done))
        if done.ok && String::from_utf8_lossy(&done.stdout).contains("buildx"));
    if has_buildx || has_buildkit(&version) {
        return Ok(());
    }
    Err(format!(
        "client {version} has no buildx, without which it cannot run `RUN --mount`"
    ))
}

/// The client's version from the output of `docker version`, or why this client is unusable.
fn parse_version(stdout: &[u8], stderr: &str) -> Result<String, String> {
    let versions: serde_json::Value = serde_json::from_slice(stdout).unwrap_or_default();
    let version = versions["Client"]["Version"].as_str();
    if let Some(version) = version.filter(|_| versions["Server"].is_object()) {
        return Ok(version.to_owned());
    }
    let mut lines = stderr.lines().map(str::trim);
    let reason = lines.find(|line| !line.is_empty());
    let reason = reason.unwrap_or("it does not answer `docker version` as a docker client does");
    Err(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_carries_a_label_is_removed() {
        let scratch = tempfile::tempdir().unwrap();
        let log = scratch.path().join("log");
        let script = format!(
            "echo \"$@\" >> '{}'; case \"$1 $2\" in 'container ls') printf 'one\\ntwo\\n';; esac",
            log.display()
        );
        let engine = |program| Engine { program };
        engine(testing::program(scratch.path(), "docker", &script))
            .sweep("a=b")
            .unwrap();
        assert_eq!(
            fs_err::read_to_string(log).unwrap(),
            "container ls --all --quiet --filter label=a=b\n\
             container rm --force --volumes one two\n\
             image prune --all --force --filter label=a=b\n"
        );
        assert!(engine("false".into()).sweep("a=b").is_err());
    }

    #[test]
    fn a_client_of_some_ages_has_buildkit_built_in() {
        let of = has_buildkit;
        assert!(of("20.10.24+dfsg1") && of("22.06.0-beta.0") && of("18.09.1"));
        assert!(!of("28.2.2") && !of("23.0.0") && !of("18.06.3-ce") && !of("dev"));
    }

    #[test]
    fn all_that_was_tried_is_told_with_the_reason() {
        let tried = [
            ("/usr/local/bin/docker", "client 28.2.2 has no buildx"),
            ("/opt/docker", "it does not tell its version"),
        ];
        let tried = tried.map(|(it, reason)| (it.into(), reason.to_owned()));
        let told = no_engine(&tried, None).0;
        let lines = "no docker client here can build the image\n  \
                     /usr/local/bin/docker: client 28.2.2 has no buildx\n  \
                     /opt/docker: it does not tell its version\n\
                     install the buildx plugin (";
        assert!(told.starts_with(lines), "{told}");
    }

    #[test]
    fn without_any_client_the_way_to_one_is_told() {
        assert_eq!(
            no_engine(&[], None).0,
            "there is no docker on PATH\n\
             install docker: https://docs.docker.com/engine/install/ (Debian: apt-get install \
             docker.io)"
        );
        assert_eq!(
            no_engine(&[], Some("/opt/docker")).0,
            "there is no program `/opt/docker`\n  \
             ($DOCKER names it, so nothing else was tried)\n\
             install docker: https://docs.docker.com/engine/install/ (Debian: apt-get install \
             docker.io)"
        );
    }

    #[test]
    fn what_a_client_prints_is_understood() {
        let parse_version =
            |stdout: &str, stderr: &str| super::parse_version(stdout.as_bytes(), stderr);
        assert_eq!(
            parse_version(
                r#"{"Client":{"Version":"20.10.24+dfsg1"},"Server":{"Version":"20.10.24"}}"#,
                ""
            ),
            Ok("20.10.24+dfsg1".to_owned())
        );
        assert_eq!(
            parse_version(
                r#"{"Client":{"Version":"28.2.2"},"Server":null}"#,
                "\nCannot connect to the Docker daemon at unix:///x.\nMore.\n"
            ),
            Err("Cannot connect to the Docker daemon at unix:///x.".to_owned())
        );
        assert_eq!(
            parse_version("", "docker: not today\n"),
            Err("docker: not today".to_owned())
        );
        for nonsense in ["", "Docker version 1", "[]", "{\"Server\":{}}"] {
            assert!(parse_version(nonsense, "").is_err(), "{nonsense}");
        }
    }

    /// A real program, so that starting, reading and ending are real.
    #[test]
    fn a_client_is_asked() {
        let scratch = tempfile::tempdir().unwrap();
        let program = scratch.path().join("docker");
        // Written by another process: a program that is open for writing can't be started, and a
        // test beside this one may be starting something while the file is open here.
        let script = |text: &str| {
            let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\"; chmod +x \"$2\"";
            let mut sh = Command::new("sh");
            sh.args(["-c", write, "sh", text]).arg(&program);
            assert!(sh.status().unwrap().success());
            check_client(&program)
        };
        assert_eq!(
            script(
                r#"case $1 in version) echo '{"Client":{"Version":"28.0.0"},"Server":{}}';; *) echo github.com/docker/buildx v0.19.0;; esac"#
            ),
            Ok(())
        );
        // One that answers a command that it does not know with its help is no buildx.
        assert_eq!(
            script(
                r#"case $1 in version) echo '{"Client":{"Version":"28.0.0"},"Server":{}}';; *) echo usage; exit 1;; esac"#
            ),
            Err(
                "client 28.0.0 has no buildx, without which it cannot run `RUN --mount`".to_owned()
            )
        );
        fs_err::remove_file(&program).unwrap();
        let reason = check_client(&program).unwrap_err();
        assert!(reason.starts_with("it could not be started"), "{reason}");
    }
}
