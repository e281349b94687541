//! Short-lived containers with this run's label, always removed; the next run removes those of a
//! killed one.

use std::cell::Cell;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::token;
use xtask_core::docker::{Engine, LABEL};
use xtask_core::{interrupt, process};

/// A run of this task, with its containers.
pub struct Session<'a> {
    pub engine: &'a Engine,
    /// The label of its containers, with host and process.
    label: String,
    names: String,
    count: Cell<usize>,
}

impl<'a> Session<'a> {
    /// Begins a run, and removes the containers of dead runs.
    pub fn begin(engine: &'a Engine) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().replace('/', "-");
        let process = std::process::id();
        sweep(engine, &host)?;
        Ok(Self {
            engine,
            label: format!("{LABEL}={host}/{process}/"),
            names: format!("worker-sglang-{process}-{}", now.as_nanos()),
            count: Cell::new(0),
        })
    }

    /// Creates a container without starting it. `options` go before the image, `command` after it.
    /// Docker takes `HF_TOKEN` from its environment, because everybody can read its arguments.
    pub fn create(
        &self,
        token: Option<&str>,
        image: &str,
        options: &[&str],
        command: &[&str],
    ) -> Result<Container<'_>> {
        self.count.set(self.count.get() + 1);
        let name = format!("{}-{}", self.names, self.count.get());
        let create = ["create", "--name", &name, "--label", &self.label];
        let secret: &[&str] = token.map_or(&[], |_| &["--env", token::NAME]);
        let words = [&create, options, secret, &[image], command].concat();
        // Before `create` runs, since an interrupted one may have created it.
        let container = Container {
            engine: self.engine,
            name: name.clone(),
        };
        let mut create = self.engine.command(&words)?;
        create.envs(token.map(|token| (token::NAME, token)));
        let done = process::within(create, b"", None)?;
        let done = done.context("docker create did not end")?;
        anyhow::ensure!(done.ok, "docker create failed: {}", done.message);
        interrupt::check()?;
        Ok(container)
    }

    /// A container for a Python script, and the command that starts it.
    pub fn script(
        &self,
        image: &str,
        network: &str,
        options: &[&str],
        script: &str,
    ) -> Result<(Container<'_>, Command)> {
        let fixed = ["--interactive", "--network", network, "--entrypoint"];
        let options = [&fixed[..], &["python3"], options].concat();
        let container = self.create(None, image, &options, &["-c", script])?;
        let start = ["start", "--attach", "--interactive", &container.name];
        let start = self.engine.command(&start)?;
        Ok((container, start))
    }

    /// The names of this run's containers that still exist.
    pub fn left(&self) -> Result<Vec<String>> {
        let filter = format!("label={}", self.label);
        let list = ["ps", "--all", "--format", "{{.Names}}", "--filter", &filter];
        let names = self.engine.output(&list)?;
        let names = String::from_utf8_lossy(&names);
        Ok(names.lines().map(str::to_owned).collect())
    }
}

fn sweep(engine: &Engine, host: &str) -> Result<()> {
    let filter = format!("label={LABEL}");
    let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
    let list = ["ps", "--all", "--no-trunc", "--filter", &filter];
    let listed = engine.output(&[&list[..], &["--format", &format]].concat())?;
    for line in String::from_utf8_lossy(&listed).lines() {
        if let Some((id, label)) = line.split_once(' ')
            && is_dead(label, host, &is_running)
        {
            remove(engine, id);
        }
    }
    Ok(())
}

/// Whether a container is from a run on this host that has ended. Runs on others are not known.
fn is_dead(label: &str, host: &str, is_running: &dyn Fn(i32) -> bool) -> bool {
    let is_running = |process: &str| process.trim_end_matches('/').parse().is_ok_and(is_running);
    let parts = label.split_once('/');
    parts.is_some_and(|(on, process)| on == host && !is_running(process))
}

fn is_running(process: i32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    Pid::from_raw(process).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

fn remove(engine: &Engine, name: &str) {
    // It may be gone already; a failure can't be helped.
    let _ = engine.finish(&["rm", "--force", "--volumes", name]);
}

/// A container, which is removed when this value is dropped.
pub struct Container<'a> {
    engine: &'a Engine,
    pub name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerState {
    pub running: bool,
    pub exit_code: i64,
    /// Ended by the kernel for want of memory.
    pub out_of_memory: bool,
    /// The folders of its anonymous volumes.
    pub volumes: Vec<String>,
}

impl Container<'_> {
    pub fn start(&self) -> Result<()> {
        self.engine.output(&["start", &self.name]).map(drop)
    }

    pub fn state(&self) -> Result<ContainerState> {
        let format = "{{json .State}} {{json .Mounts}}";
        let inspect = ["inspect", "--format", format, &self.name];
        read_state(&self.engine.output(&inspect)?)
            .context("reading what docker says of a container")
    }

    /// Asks it to end, and kills it after so many seconds.
    pub fn stop(&self, seconds: u32) -> Result<()> {
        let seconds = seconds.to_string();
        let stop = ["stop", "-t", &seconds, &self.name];
        self.engine.output(&stop).map(drop)
    }

    /// What it has printed so far.
    pub fn output(&self) -> Result<Vec<u8>> {
        self.engine.output(&["logs", &self.name])
    }

    pub fn tail(&self, lines: usize) -> Vec<String> {
        let lines = lines.to_string();
        let logs = ["logs", "--timestamps", "--tail", &lines, &self.name];
        let Ok(done) = self.engine.finish(&logs) else {
            return Vec::new();
        };
        let stdout = String::from_utf8_lossy(&done.stdout);
        let lines = stdout.lines().chain(done.stderr.lines());
        let lines = lines.map(|line| line.split_once(' ').unwrap_or((line, line)));
        let mut lines: Vec<_> = lines.collect();
        // The streams come one after the other; the times put them together.
        lines.sort_by_key(|(time, _)| *time);
        let shorten = |(_, line): (_, &str)| line.chars().take(300).collect();
        lines.into_iter().map(shorten).collect()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        remove(self.engine, &self.name);
    }
}

fn read_state(text: &[u8]) -> Option<ContainerState> {
    let values = serde_json::Deserializer::from_slice(text).into_iter::<Value>();
    let mut values = values.map_while(Result::ok);
    let (state, mounts) = (values.next()?, values.next()?);
    let mounts = mounts.as_array().into_iter().flatten();
    let volumes = mounts.filter(|mount| mount["Type"] == "volume");
    let place = |mount: &Value| mount["Destination"].as_str().map(str::to_owned);
    Some(ContainerState {
        running: state["Running"].as_bool()?,
        exit_code: state["ExitCode"].as_i64()?,
        out_of_memory: state["OOMKilled"].as_bool().unwrap_or_default(),
        volumes: volumes.filter_map(place).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_run_of_this_host_made_is_removed() {
        let dead = |label: &str| is_dead(label, "here", &|process| process == 7);
        assert!(dead("here/8/"));
        assert!(!dead("here/7/"));
        assert!(!dead("there/8/"));
        assert!(!dead("anything else"));
    }

    #[test]
    fn a_container_s_state_is_read() {
        let state = read_state(
            br#"{"Running": false, "ExitCode": 137, "OOMKilled": true, "Pid": 0} [{"Type": "volume", "Name": "x", "Destination": "/data"}, {"Type": "bind"}]"#,
        )
        .unwrap();
        assert_eq!(
            state,
            ContainerState {
                running: false,
                exit_code: 137,
                out_of_memory: true,
                volumes: vec!["/data".into()],
            }
        );
    }
}
