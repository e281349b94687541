//! Runs the builder, passes its output through, and keeps its last lines.

use std::io::{Read, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result};

use xtask_core::interrupt;

/// How many bytes of the output are kept, and how many of its lines are repeated when a build fails.
const KEPT: usize = 16 * 1024;
const LINES: usize = 20;

/// The time limit for the rest of the output once the builder has ended: a process that it left
/// behind may hold the pipe open.
const REST: Duration = Duration::from_secs(2);

/// Runs a program to its end, and returns the last lines of its standard error, where builders print.
pub fn run_builder(mut command: Command) -> Result<(ExitStatus, Vec<String>)> {
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    let (sender, tail) = mpsc::channel();
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || sender.send(pass_on(stderr)));
    }
    let status = interrupt::wait(&mut child)?;
    let tail = tail.recv_timeout(REST).unwrap_or_default();
    Ok((status, last_lines(&tail)))
}

/// Copies to standard error, and returns the end.
fn pass_on(mut from: impl Read) -> Vec<u8> {
    let mut chunk = [0; 8192];
    let mut tail = Vec::new();
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        let mut err = std::io::stderr().lock();
        // A closed terminal is no reason to end a build.
        let _ = err.write_all(&chunk[..length]).and_then(|()| err.flush());
        tail.extend_from_slice(&chunk[..length]);
        tail.drain(..tail.len().saturating_sub(KEPT));
    }
    tail
}

/// The last lines without colours and empty lines. Of a line that was overwritten, the last text
/// counts.
fn last_lines(tail: &[u8]) -> Vec<String> {
    let plain = anstream::adapter::strip_bytes(tail).into_vec();
    let text = String::from_utf8_lossy(&plain);
    let shown = |line: &str| line.trim_end().rsplit('\r').next().map(str::to_owned);
    let mut lines: Vec<String> = text.lines().filter_map(shown).collect();
    lines.retain(|line| !line.is_empty());
    lines.split_off(lines.len().saturating_sub(LINES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_as_they_stand_at_the_end() {
        assert_eq!(
            last_lines(b"one\n\n10 %\r50 %\rdone\n\x1b[31mERROR: no\x1b[0m\r\n"),
            ["one", "done", "ERROR: no"]
        );
        let many: String = (0..40).map(|n| format!("line {n}\n")).collect();
        let kept = last_lines(many.as_bytes());
        assert_eq!((kept.len(), kept[0].as_str()), (LINES, "line 20"));
        assert!(last_lines(b"").is_empty());
    }

    #[test]
    fn a_process_left_behind_does_not_hold_the_end_up() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo failed >&2; sleep 20 & exit 3"]);
        let (status, _) = run_builder(command).unwrap();
        assert_eq!(status.code(), Some(3));
    }
}
