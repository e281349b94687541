//! Programs that are run: one place for the working directory, logging and errors.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell};

use crate::{interrupt, output};

static VERBOSE: AtomicBool = AtomicBool::new(false);

pub fn set_verbose(on: bool) {
    VERBOSE.store(on, Ordering::Relaxed);
}

/// A shell in the current directory, or in `dir`.
pub fn shell(dir: Option<&Path>) -> Result<Shell> {
    let Some(dir) = dir else {
        return Shell::new().context("finding the current directory");
    };
    let shell = Shell::new().or_else(|_| {
        // The current folder may have moved meanwhile.
        std::env::set_current_dir("/").context("leaving a folder that is gone")?;
        Shell::new().context("finding the current directory")
    })?;
    shell.change_dir(dir);
    Ok(shell)
}

#[derive(Debug)]
pub struct Finished {
    pub ok: bool,
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
    /// What it said on standard error, or else how it ended.
    pub message: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let said = stderr.trim();
        Self {
            ok: output.status.success(),
            code: output.status.code(),
            stdout: output.stdout,
            message: if said.is_empty() {
                output.status.to_string()
            } else {
                said.to_owned()
            },
            stderr,
        }
    }
}

/// Runs a program to its end; any exit code is fine.
pub fn finish(cmd: Cmd<'_>, input: &[u8]) -> Result<Finished> {
    let done = within(command(cmd), input, None)?;
    done.context("a program without a limit was killed")
}

/// A file without a name. On Linux it is in memory, so no directory needs to be writable.
fn unnamed_file() -> Result<File> {
    #[cfg(target_os = "linux")]
    if let Ok(file) = rustix::fs::memfd_create("xtask", rustix::fs::MemfdFlags::CLOEXEC) {
        return Ok(file.into());
    }
    tempfile::tempfile().context("making a temporary file (TMPDIR says where)")
}

/// Runs a program with `input`; `None` if it was killed after `limit`. Uses files, since a pipe
/// could fill up or be held open by a grandchild.
pub fn within(
    mut command: Command,
    input: &[u8],
    limit: Option<Duration>,
) -> Result<Option<Finished>> {
    let (mut stdin, stdout, stderr) = (unnamed_file()?, unnamed_file()?, unnamed_file()?);
    stdin.write_all(input)?;
    stdin.rewind()?;
    let mut child = command
        .stdin(stdin)
        .stdout(stdout.try_clone()?)
        .stderr(stderr.try_clone()?)
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().display()))?;
    let Some(status) = wait(&mut child, limit)? else {
        return Ok(None);
    };
    let read = |mut file: File| -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let output = Output {
        status,
        stdout: read(stdout)?,
        stderr: read(stderr)?,
    };
    Ok(Some(output.into()))
}

/// The command of a program that is run, and told with `-v`.
pub fn command(cmd: Cmd<'_>) -> Command {
    if VERBOSE.load(Ordering::Relaxed) {
        output::tell(&format!("$ {cmd}\n"));
    }
    cmd.into()
}

/// Waits for a child; `None` where it took longer and was killed. A signal ends the wait.
fn wait(child: &mut Child, limit: Option<Duration>) -> Result<Option<ExitStatus>> {
    let Some(limit) = limit else {
        return Ok(Some(child.wait()?));
    };
    let deadline = Instant::now() + limit;
    loop {
        let status = child.try_wait()?;
        let interrupted = interrupt::check();
        if let (Some(status), Ok(())) = (status, &interrupted) {
            return Ok(Some(status));
        }
        if interrupted.is_err() || Instant::now() > deadline {
            // It may have ended in this very moment.
            let _ = child.kill();
            child.wait()?;
            interrupted?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xshell::cmd;

    #[test]
    fn a_program_is_told_by_its_words_or_by_its_end() {
        let shell = shell(None).unwrap();
        let run = |cmd, input: &[u8]| within(command(cmd), input, None).unwrap().unwrap();
        let done = run(cmd!(shell, "sh -c 'cat; echo no >&2; exit 3'"), b"in");
        let deaf = run(cmd!(shell, "sh -c 'exit 4'"), &vec![0; 1 << 20]);
        assert_eq!(deaf.code, Some(4));
        assert_eq!((done.ok, done.code), (false, Some(3)));
        assert_eq!(
            (done.stdout.as_slice(), done.message.as_str()),
            (&b"in"[..], "no")
        );
        let killed = finish(cmd!(shell, "sh -c 'kill -9 $$'"), b"").unwrap();
        assert!(
            killed.message.starts_with("signal: 9"),
            "{}",
            killed.message
        );
        assert!(finish(cmd!(shell, "no-such-program-anywhere"), b"").is_err());
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed() {
        let shell = shell(None).unwrap();
        let run = |cmd, limit| within(command(cmd), b"", Some(limit)).unwrap();
        assert!(run(cmd!(shell, "sleep 60"), Duration::from_millis(20)).is_none());
        let done = run(cmd!(shell, "true"), Duration::from_mins(1)).unwrap();
        assert!(done.ok);
        // What a program left behind does not hold its end up.
        let left = cmd!(shell, "sh -c 'echo said; sleep 20 & exit 3'");
        let done = run(left, Duration::from_secs(10)).unwrap();
        assert_eq!(
            (done.code, done.stdout.as_slice()),
            (Some(3), &b"said\n"[..])
        );
    }
}
