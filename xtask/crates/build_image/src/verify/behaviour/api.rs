//! The stand-in for RunPod's job API, in a container of its own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use super::super::containers::{Container, Session};

const SCRIPT: &str = include_str!("runpod.py");

/// Something that the worker did, or the API itself.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    Listening { port: u16 },
    Poll,
    Taken { id: String },
    Stream { id: String, value: Value },
    Done { id: String, value: Value },
}

/// It, with the way to it and what comes from it.
pub struct Api<'s> {
    pub container: Container<'s>,
    child: Child,
    stdin: ChildStdin,
    events: Receiver<Event>,
}

impl<'s> Api<'s> {
    /// Starts it. The worker shares its network, where both are on the loopback device: so there
    /// is no network to make, no name to resolve, and nothing that a firewall could forbid.
    pub fn start(session: &'s Session, image: &str, network: &str) -> Result<Self> {
        let options = ["--network", network, "--entrypoint", "python3"];
        let options = [&["--interactive"], &options[..]].concat();
        let container = session.create(image, &options, &["-c", SCRIPT])?;
        let mut child = session
            .engine
            .command(&["start", "--attach", "--interactive", &container.name])?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the stand-in for RunPod's API")?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            anyhow::bail!("docker start has no input");
        };
        let (sender, events) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            let mut events = lines.filter_map(|line| serde_json::from_str(&line).ok());
            events.try_for_each(|event| sender.send(event))
        });
        Ok(Self {
            container,
            child,
            stdin,
            events,
        })
    }

    /// Puts a job into the queue.
    pub fn submit(&mut self, id: &str, input: &Value) -> Result<()> {
        let job = serde_json::json!({"id": id, "input": input});
        writeln!(self.stdin, "{job}").context("handing a job to the stand-in for RunPod's API")
    }

    /// The next thing that happens, within a time; the error is that it has ended.
    pub fn event(&self, limit: Duration) -> Result<Option<Event>> {
        match self.events.recv_timeout(limit) {
            Ok(event) => Ok(Some(event)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => anyhow::bail!(
                "the stand-in for RunPod's API ended: {}",
                self.container.tail(3).join(" | ")
            ),
        }
    }
}

impl Drop for Api<'_> {
    fn drop(&mut self) {
        // Only the client: the container goes with its own value.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
