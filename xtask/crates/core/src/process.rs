//! Programs that are run: one place for the working directory, logging and errors.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use xshell::{Cmd, Shell};

use crate::output;

static VERBOSE: AtomicBool = AtomicBool::new(false);

/// With `-v` every command is printed before it runs.
pub fn set_verbose(on: bool) {
    VERBOSE.store(on, Ordering::Relaxed);
}

/// A shell in the current directory, or in `dir`.
pub fn shell(dir: Option<&Path>) -> Result<Shell> {
    let Some(dir) = dir else {
        return Shell::new().context("finding the current directory");
    };
    let shell = Shell::new().or_else(|_| {
        // The folder in which the command was typed may have moved meanwhile.
        std::env::set_current_dir("/").context("leaving a folder that is gone")?;
        Shell::new().context("finding the current directory")
    })?;
    shell.change_dir(dir);
    Ok(shell)
}

/// A program that ran to its end.
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

/// Runs a program without input to its end, whatever its exit code.
pub fn finish(cmd: Cmd<'_>) -> Result<Finished> {
    log(&cmd);
    let cmd = cmd.quiet().ignore_status();
    let shown = cmd.to_string();
    let output = cmd.output().with_context(|| format!("running `{shown}`"))?;
    Ok(output.into())
}

/// Like [`finish`], with bytes for standard input. A program that ends without reading them all
/// says why by its exit code.
pub fn finish_with_input(cmd: Cmd<'_>, input: &[u8]) -> Result<Finished> {
    let shown = cmd.to_string();
    let mut child = command(cmd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{shown}`"))?;
    let stdin = child.stdin.take();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input)));
        child.wait_with_output()
    });
    let output = output.with_context(|| format!("running `{shown}`"))?;
    Ok(output.into())
}

/// Like [`finish`], with standard error shown to the user as it comes.
pub fn finish_with_progress(cmd: Cmd<'_>) -> Result<Finished> {
    let output = command(cmd)
        .stderr(Stdio::inherit())
        .output()
        .context("running a program")?;
    Ok(output.into())
}

/// A command for a child that lives on beside this process.
pub fn command(cmd: Cmd<'_>) -> std::process::Command {
    log(&cmd);
    cmd.into()
}

fn log(cmd: &Cmd<'_>) {
    if VERBOSE.load(Ordering::Relaxed) {
        output::tell(&format!("$ {cmd}\n"));
    }
}

/// Waits for a child; `None` where it took longer than `limit` and was killed.
pub fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
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
        let cat = cmd!(shell, "sh -c 'cat; echo no >&2; exit 3'");
        let done = finish_with_input(cat, b"in").unwrap();
        let deaf = cmd!(shell, "sh -c 'exit 4'");
        assert_eq!(
            finish_with_input(deaf, &vec![0; 1 << 20]).unwrap().code,
            Some(4)
        );
        assert_eq!((done.ok, done.code), (false, Some(3)));
        assert_eq!(
            (done.stdout.as_slice(), done.message.as_str()),
            (&b"in"[..], "no")
        );
        let killed = finish(cmd!(shell, "sh -c 'kill -9 $$'")).unwrap();
        assert!(
            killed.message.starts_with("signal: 9"),
            "{}",
            killed.message
        );
        assert!(finish(cmd!(shell, "no-such-program-anywhere")).is_err());
    }

    #[test]
    fn a_program_that_takes_too_long_is_killed() {
        let shell = shell(None).unwrap();
        let mut child = command(cmd!(shell, "sleep 60")).spawn().unwrap();
        assert_eq!(wait(&mut child, Duration::from_millis(20)).unwrap(), None);
        let mut child = command(cmd!(shell, "true")).spawn().unwrap();
        assert!(
            wait(&mut child, Duration::from_mins(1))
                .unwrap()
                .unwrap()
                .success()
        );
    }
}
