//! Runs the builder, with a terminal of its own where there is one: what it prints passes straight
//! through, and its end is kept.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::termios;

use xtask_core::interrupt;

/// So much of the end is kept: a step that failed, with what it printed.
const TAIL: usize = 64 * 1024;

/// How long what is still on its way is waited for, once the builder has ended.
const REST: Duration = Duration::from_secs(2);

/// A builder that has ended.
pub struct Ended {
    pub status: ExitStatus,
    /// The last that it printed on standard error, where builders print.
    pub tail: Vec<u8>,
}

/// Runs a program to its end. On a terminal it is given one of its own, so that it draws its
/// progress as it would without us; elsewhere a pipe, in which it prints line by line.
pub fn through(mut command: Command) -> Result<Ended> {
    let terminal = std::io::stderr()
        .is_terminal()
        .then(|| Terminal::open().ok())
        .flatten();
    let (reader, writer): (Box<dyn Read + Send>, Stdio) = if let Some((terminal, end)) = terminal {
        (Box::new(terminal), end.into())
    } else {
        let (reader, writer) = std::io::pipe().context("a pipe for docker's output")?;
        (Box::new(reader), writer.into())
    };
    let mut child = command
        .stdin(Stdio::null())
        .stderr(writer)
        .spawn()
        .with_context(|| format!("running {}", command.get_program().display()))?;
    // The command holds the writing end, and as long as anybody does nothing ends.
    drop(command);
    let tail = Arc::new(Mutex::new(Vec::new()));
    let (sender, ended) = mpsc::channel::<()>();
    let copy = Arc::clone(&tail);
    std::thread::spawn(move || {
        pass_on(reader, &copy);
        drop(sender);
    });
    let status = interrupt::wait(&mut child)?;
    // What it started may outlive it and hold the pipe open: no reason to wait for that.
    let _ = ended.recv_timeout(REST);
    let tail = tail.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Ended { status, tail })
}

/// Copies to standard error as it comes, and keeps the end.
fn pass_on(mut from: impl Read, copy: &Mutex<Vec<u8>>) {
    let mut chunk = [0; 8192];
    loop {
        match from.read(&mut chunk) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            // A terminal whose other end is closed answers with an error and not with an end.
            Ok(0) | Err(_) => return,
            Ok(length) => {
                let mut err = std::io::stderr().lock();
                // A terminal that is gone is no reason to end a build.
                let _ = err.write_all(&chunk[..length]).and_then(|()| err.flush());
                let mut tail = copy.lock().unwrap_or_else(PoisonError::into_inner);
                tail.extend_from_slice(&chunk[..length]);
                if tail.len() > 2 * TAIL {
                    let surplus = tail.len() - TAIL;
                    tail.drain(..surplus);
                }
            }
        }
    }
}

/// A terminal of the builder's own, as wide as ours.
struct Terminal(File);

impl Terminal {
    /// Our end and the builder's.
    fn open() -> Result<(Self, OwnedFd)> {
        use rustix::fs::{Mode, OFlags};
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(name.as_c_str(), flags, Mode::empty())?;
        // Our own terminal turns line ends into what it needs; once is enough.
        let mut settings = termios::tcgetattr(&theirs)?;
        settings.output_modes.remove(termios::OutputModes::OPOST);
        termios::tcsetattr(&theirs, termios::OptionalActions::Now, &settings)?;
        let terminal = Self(File::from(ours));
        terminal.fit();
        Ok((terminal, theirs))
    }

    /// Takes on the size that our terminal has now.
    fn fit(&self) {
        if let Ok(size) = termios::tcgetwinsize(std::io::stderr()) {
            let _ = termios::tcsetwinsize(&self.0, size);
        }
    }
}

impl Read for Terminal {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.fit();
        self.0.read(buffer)
    }
}
