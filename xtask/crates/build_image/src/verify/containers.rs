//! Containers for a moment: each carries this run's label and is removed whatever happens. What
//! a run left behind that was killed, the next one removes.

use std::cell::Cell;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

use xtask_core::docker::{Engine, LABEL};
use xtask_core::interrupt;

/// How often what runs is looked at.
pub const LOOK: Duration = Duration::from_millis(20);

/// After this time whatever carries the label belongs to nobody any more.
const ABANDONED: u64 = 24 * 60 * 60;

/// A run of this task, and the containers that it makes.
pub struct Session<'a> {
    pub engine: &'a Engine,
    /// Host, process and time: who may remove what carries it.
    mark: String,
    names: String,
    count: Cell<usize>,
}

impl<'a> Session<'a> {
    /// Begins a run, and removes what dead ones left behind.
    pub fn begin(engine: &'a Engine) -> Result<Self> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().replace('/', "-");
        let process = std::process::id();
        let session = Self {
            engine,
            mark: format!("{host}/{process}/{}", now.as_secs()),
            names: format!("worker-sglang-{process}-{}", now.as_nanos()),
            count: Cell::new(0),
        };
        session.sweep(&host, now.as_secs())?;
        Ok(session)
    }

    fn sweep(&self, host: &str, now: u64) -> Result<()> {
        let filter = format!("label={LABEL}");
        let format = format!("{{{{.ID}}}} {{{{.Label \"{LABEL}\"}}}}");
        let listed = self.engine.output(&[
            "ps",
            "--all",
            "--no-trunc",
            "--filter",
            &filter,
            "--format",
            &format,
        ])?;
        for line in String::from_utf8_lossy(&listed).lines() {
            if let Some((id, mark)) = line.split_once(' ')
                && is_dead(mark, host, now, &is_running)
            {
                remove(self.engine, id);
            }
        }
        Ok(())
    }

    /// A name for a container of this run.
    fn name(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("{}-{}", self.names, self.count.get())
    }

    /// Makes a container, without starting it. `options` go before the image, `command` behind.
    pub fn create(&self, image: &str, options: &[&str], command: &[&str]) -> Result<Container<'_>> {
        let name = self.name();
        let label = format!("{LABEL}={}", self.mark);
        let mut words = vec!["create", "--name", &name, "--label", &label];
        words.extend(options);
        words.push(image);
        words.extend(command);
        // Before it is made: an interrupted `create` may well have made it.
        let container = Container {
            engine: self.engine,
            name: name.clone(),
        };
        let done = self.engine.finish(&words)?;
        anyhow::ensure!(done.ok, "docker create failed: {}", done.message);
        interrupt::check()?;
        Ok(container)
    }

    /// Runs Python in a folder of the image with nothing around it, and gives what it prints. `input`
    /// is what it reads.
    pub fn python(
        &self,
        (image, folder): (&str, &str),
        script: &str,
        input: &str,
        limit: Duration,
    ) -> Result<Ended> {
        let container = self.create(
            image,
            &[
                "--interactive",
                "--network",
                "none",
                "--entrypoint",
                "python3",
                "--workdir",
                folder,
            ],
            &["-c", script],
        )?;
        let start = ["start", "--attach", "--interactive", &container.name];
        let start = self.engine.command(&start)?;
        ended(start, input.as_bytes(), limit)
    }

    /// What of this run is still there: containers, networks and volumes.
    pub fn left(&self) -> Result<Vec<String>> {
        let filter = format!("label={LABEL}={}", self.mark);
        let mut left = Vec::new();
        for (what, list) in [
            (
                "container",
                ["ps", "--all", "--format", "{{.Names}}"].as_slice(),
            ),
            ("network", &["network", "ls", "--format", "{{.Name}}"]),
            ("volume", &["volume", "ls", "--format", "{{.Name}}"]),
        ] {
            let mut words = list.to_vec();
            words.extend(["--filter", &filter]);
            let listed = self.engine.output(&words)?;
            let names = String::from_utf8_lossy(&listed);
            left.extend(names.lines().map(|name| format!("{what} {name}")));
        }
        Ok(left)
    }
}

/// Whether what carries a mark belongs to no run any more.
fn is_dead(mark: &str, host: &str, now: u64, is_running: &dyn Fn(i32) -> bool) -> bool {
    let mut parts = mark.split('/');
    let (Some(of), Some(process), Some(since)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let since: u64 = since.parse().unwrap_or(now);
    let is_old = now.saturating_sub(since) > ABANDONED;
    let runs = process.parse().is_ok_and(is_running);
    is_old || of == host && !runs
}

fn is_running(process: i32) -> bool {
    use rustix::io::Errno;
    use rustix::process::{Pid, test_kill_process};
    Pid::from_raw(process).is_some_and(|pid| test_kill_process(pid) != Err(Errno::SRCH))
}

fn remove(engine: &Engine, name: &str) {
    // It may be gone already, and there is nothing more to be done about one that will not go.
    let _ = engine.finish(&["rm", "--force", "--volumes", name]);
}

/// A container that goes with this value.
pub struct Container<'a> {
    engine: &'a Engine,
    pub name: String,
}

/// What docker says of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    pub running: bool,
    pub exit_code: i64,
    /// Ended by the kernel for want of memory.
    pub out_of_memory: bool,
    /// The volumes that it has, other than those that it was given.
    pub volumes: Vec<String>,
}

impl Container<'_> {
    pub fn start(&self) -> Result<()> {
        self.engine.output(&["start", &self.name]).map(drop)
    }

    pub fn state(&self) -> Result<State> {
        let format = "{{json .State}} {{json .Mounts}}";
        let text = self
            .engine
            .output(&["inspect", "--format", format, &self.name])?;
        read_state(&text).context("reading what docker says of a container")
    }

    /// Asks it to end, and kills it when it has not after so many seconds.
    pub fn stop(&self, seconds: u32) -> Result<()> {
        let seconds = seconds.to_string();
        let stop = self.engine.command(&["stop", "-t", &seconds, &self.name])?;
        let ended = ended(stop, b"", Duration::from_mins(2))?;
        anyhow::ensure!(
            ended.code == Some(0),
            "docker stop failed: {}",
            ended.said.trim()
        );
        Ok(())
    }

    /// The last lines of its output.
    pub fn tail(&self, lines: usize) -> Vec<String> {
        let lines = lines.to_string();
        let logs = ["logs", "--timestamps", "--tail", &lines, &self.name];
        let Ok(done) = self.engine.finish(&logs) else {
            return Vec::new();
        };
        let stdout = String::from_utf8_lossy(&done.stdout).into_owned();
        let text = [stdout, done.stderr];
        let mut all: Vec<&str> = text.iter().flat_map(|text| text.lines()).collect();
        // The two streams come apart; the times put them together.
        all.sort_by_key(|line| line.split(' ').next());
        all.iter()
            .map(|line| line.split_once(' ').map_or(*line, |(_, rest)| rest))
            .map(|line| line.chars().take(300).collect())
            .collect()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        remove(self.engine, &self.name);
    }
}

fn read_state(text: &[u8]) -> Result<State> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Raw {
        running: bool,
        exit_code: i64,
        #[serde(rename = "OOMKilled", default)]
        out_of_memory: bool,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Mount {
        #[serde(rename = "Type", default)]
        kind: String,
        #[serde(default)]
        destination: String,
    }
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>();
    let mut next = || values.next().context("half of it is missing");
    let raw: Raw = serde_json::from_value(next()??)?;
    let mounts: Option<Vec<Mount>> = serde_json::from_value(next()??)?;
    let volumes = mounts.into_iter().flatten();
    Ok(State {
        running: raw.running,
        exit_code: raw.exit_code,
        out_of_memory: raw.out_of_memory,
        volumes: volumes
            .filter(|mount| mount.kind == "volume")
            .map(|mount| mount.destination)
            .collect(),
    })
}

/// A program that was waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// `None` when the time was over.
    pub code: Option<i32>,
    pub output: String,
    /// What it wrote to standard error.
    pub said: String,
}

impl Ended {
    /// The last lines of what it said, or in what other way it ended.
    pub fn why(&self) -> String {
        let said: Vec<&str> = self.said.trim().lines().collect();
        let last = &said[said.len().saturating_sub(3)..];
        match (self.code, last) {
            (None, _) => "it did not end in time".to_owned(),
            (Some(code), []) => format!("exit code {code}"),
            (Some(_), lines) => lines.join(" | "),
        }
    }
}

/// Runs a program, for so long at the most.
pub fn ended(mut command: Command, input: &[u8], limit: Duration) -> Result<Ended> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting {}", command.get_program().to_string_lossy()))?;
    let stdin = child.stdin.take();
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // One that ends without reading says why in another way.
        stdin.map(|mut stdin| stdin.write_all(&input))
    });
    let output = reader(child.stdout.take());
    let said = reader(child.stderr.take());
    let code = wait(&mut child, limit);
    let _ = feeder.join();
    let text = |reader: JoinHandle<Vec<u8>>| {
        let bytes = reader.join().unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let (output, said) = (text(output), text(said));
    Ok(Ended {
        code: code?,
        output,
        said,
    })
}

fn reader(stream: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            let _ = stream.read_to_end(&mut bytes);
        }
        bytes
    })
}

/// The exit code; `None` when the time was over. A signal ends the wait.
fn wait(child: &mut Child, limit: Duration) -> Result<Option<i32>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("waiting for docker")? {
            interrupt::check()?;
            return Ok(Some(status.code().unwrap_or(-1)));
        }
        let interrupted = interrupt::check();
        if interrupted.is_err() || start.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            interrupted?;
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_dead_run_of_this_host_made_is_removed_before_a_day_is_over() {
        let runs = |process| process == 7;
        let dead = |mark: &str| is_dead(mark, "here", 1_000_000, &runs);
        assert!(!dead("here/7/999999"));
        assert!(dead("here/8/999999"));
        assert!(!dead("there/8/999999"));
        assert!(dead("there/8/100"));
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
            State {
                running: false,
                exit_code: 137,
                out_of_memory: true,
                volumes: vec!["/data".into()],
            }
        );
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended() {
        let mut sleep = Command::new("sh");
        sleep.args(["-c", "exec sleep 60"]);
        let end = ended(sleep, b"", Duration::from_millis(50)).unwrap();
        assert_eq!(end.code, None);
        assert!(end.why().contains("in time"));
        let mut cat = Command::new("sh");
        cat.args(["-c", "cat; echo one >&2; exit 3"]);
        let end = ended(cat, b"text", Duration::from_secs(30)).unwrap();
        assert_eq!((end.code, end.output.as_str()), (Some(3), "text"));
        assert_eq!(end.why(), "one");
    }
}
