//! Runs the worker: it has to register with a stand-in for RunPod's job API, answer the Hub's test
//! cases, end on request, and leave nothing behind.
//!
//! The worker shares the network of the stand-in, where both are on loopback: no network to make
//! and to remove, no name to resolve, nothing that a firewall could forbid, and it works with a
//! daemon on another machine.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::containers::{Container, ContainerState, Session};
use super::inspect::InspectedImage;
use super::secrets::hidden;
use crate::report::{Check, CheckStatus};
use worker_files::{Source, tests_json};
use xtask_core::interrupt;
use xtask_core::outcome::Interrupted;
use xtask_core::tree::{RepoPath, Tree};

const RUNPOD: &str = include_str!("runpod.py");

/// The label of images whose SGLang is the stand-in of tests/standin.
const STANDIN: &str = "worker-sglang.standin";

/// How long a worker has to end, by RunPod's word.
const GRACE: u32 = 10;

/// The wait for an event, and between looks at whether the worker runs.
const LOOK: Duration = Duration::from_millis(100);
const BEAT: Duration = Duration::from_secs(1);

const TAIL: usize = 15;

const START: &str = "start";
const ANSWERS: &str = "answers";
const STOP: &str = "stop";
const LEFTOVERS: &str = "leftovers";

struct Server {
    words: &'static str,
    is_real: bool,
    network: &'static str,
    /// How long the worker may take to ask for jobs, which it does before the model is loaded.
    registers_in: Duration,
    /// The longest that a job may take, in milliseconds.
    most: u64,
}

const STAND_IN: Server = Server {
    words: "the stand-in for SGLang",
    is_real: false,
    network: "none",
    registers_in: Duration::from_secs(30),
    most: 60_000,
};

const SGLANG: Server = Server {
    words: "SGLang itself, on this host's GPU",
    is_real: true,
    // It fetches its model.
    network: "bridge",
    registers_in: Duration::from_mins(2),
    most: 1_800_000,
};

impl Server {
    /// How long a job may take: what the file says, but no longer than makes sense.
    fn answers_in(&self, case: &Case) -> Duration {
        const USUAL: u64 = 300_000;
        Duration::from_millis(case.timeout.unwrap_or(USUAL).min(self.most))
    }
}

struct Case {
    /// Where it comes from, and its name there.
    name: String,
    input: Value,
    /// In milliseconds, where the file says.
    timeout: Option<u64>,
}

enum Waited {
    Came(Value),
    Late,
    /// The worker ended meanwhile, with that exit code.
    Died(i64),
}

pub struct TestPlan<'a> {
    env: BTreeMap<String, String>,
    cases: Vec<Case>,
    /// The token that is passed on, and that is never shown.
    token: Option<&'a str>,
}

/// What the Hub would set and run.
pub fn plan<'a>(tree: &dyn Tree, token: Option<&'a str>) -> Result<TestPlan<'a>> {
    let json = |text: Option<String>| serde_json::from_str(&text?).ok();
    let mut env = BTreeMap::new();
    let mut cases = Vec::new();
    let mut places = [".runpod/tests.json", "tests.json"].into_iter();
    let path = places.find(|path| tree.entries().contains_key(&RepoPath::from(*path)));
    if let Some(path) = path
        && let Some(bytes) = tree.read_file(path)?
        && let Ok(tests) = tests_json::read(&Source::new(path.into(), &bytes))
    {
        let all = tests.env.into_iter();
        env = all.map(|named| (named.name, named.value)).collect();
        for (number, test) in tests.tests.into_iter().enumerate() {
            let Some(input) = json(test.input_text) else {
                continue;
            };
            let name = Some(test.name).filter(|name| !name.is_empty());
            cases.push(Case {
                name: name.unwrap_or_else(|| format!("test {}", number + 1)),
                input,
                timeout: test.timeout.and_then(|timeout| timeout.parse().ok()),
            });
        }
    }
    if let Some(bytes) = tree.read_file("test_input.json")? {
        let job: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let input = job.get("input").cloned();
        cases.extend(input.map(|input| Case {
            name: "test_input.json".to_owned(),
            input,
            timeout: None,
        }));
    }
    Ok(TestPlan { env, cases, token })
}

/// Which server would run here; the error says why none can.
fn server(session: &Session, image: &InspectedImage, name: &str) -> Result<Result<Server, String>> {
    if image.labels.contains_key(STANDIN) {
        return Ok(Ok(STAND_IN));
    }
    let alone = ["--network", "none", "--entrypoint", "python3"];
    let with_gpu = [&["--gpus", "all"], &alone[..]].concat();
    let container = session.create(None, name, &with_gpu, &["-c", ""]);
    Ok(match container.and_then(|container| container.start()) {
        Ok(()) => Ok(SGLANG),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(_) => Err(
            "the image has SGLang itself, and docker has no GPU here to run it on: run this on a \
             host with NVIDIA's container toolkit"
                .to_owned(),
        ),
    })
}

/// The stand-in for RunPod's job API in a container of its own, with the way to it.
struct Api<'s> {
    container: Container<'s>,
    child: Child,
    stdin: ChildStdin,
    events: Receiver<Value>,
}

impl<'s> Api<'s> {
    fn start(session: &'s Session, image: &str, network: &str) -> Result<Self> {
        let options = ["--interactive", "--network", network];
        let options = [&options[..], &["--entrypoint", "python3"]].concat();
        let container = session.create(None, image, &options, &["-c", RUNPOD])?;
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

    /// The next thing that happens, within a time.
    fn event(&self, limit: Duration) -> Result<Option<Value>> {
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

pub fn check(
    session: &Session,
    image: &InspectedImage,
    name: &str,
    plan: &TestPlan,
    done: &mut dyn FnMut(Check),
) -> Result<()> {
    let server = match server(session, image, name)? {
        Ok(server) => server,
        Err(why) => {
            for check in [START, ANSWERS, STOP, LEFTOVERS] {
                done(Check::skipped(check, &why));
            }
            return Ok(());
        }
    };
    let mut api = Api::start(session, name, server.network)?;
    let listening = api.event(Duration::from_mins(1))?;
    let port = listening.and_then(|event| event["port"].as_u64());
    let port = port.context("the stand-in for RunPod's API does not begin to listen")?;
    let worker = create(session, &server, name, plan, (&api.container, port))?;
    worker.start()?;
    let watch = Watch {
        worker: &worker,
        server,
        plan,
    };
    let started = watch.registers(&api)?;
    let goes_on = started.verdict == CheckStatus::Passed;
    done(started);
    if goes_on {
        done(watch.answers(&mut api)?);
        done(watch.stops()?);
    } else {
        for check in [ANSWERS, STOP] {
            done(Check::skipped(check, "the worker did not start"));
        }
    }
    let state = worker.state()?;
    drop((worker, api));
    done(leftovers(&state, &session.left()?));
    Ok(())
}

/// The worker's container, as the platform would make it.
fn create<'s>(
    session: &'s Session,
    server: &Server,
    image: &str,
    plan: &TestPlan,
    (api, port): (&Container, u64),
) -> Result<Container<'s>> {
    let mut env = plan.env.clone();
    if !server.is_real {
        // It loads nothing, but the worker wants to know what.
        let model = env.entry("MODEL_NAME".to_owned());
        model.or_insert_with(|| "stand-in/model".to_owned());
    }
    let at = |path: &str| format!("http://127.0.0.1:{port}/{path}?gpu=none");
    for (name, path) in [
        ("GET_JOB", "job-take/$ID"),
        ("POST_OUTPUT", "job-done/$RUNPOD_POD_ID/$ID"),
        ("POST_STREAM", "job-stream/$RUNPOD_POD_ID/$ID"),
        ("PING", "ping/$RUNPOD_POD_ID"),
    ] {
        env.insert(format!("RUNPOD_WEBHOOK_{name}"), at(path));
    }
    for (name, value) in [
        ("RUNPOD_POD_ID", "image-check"),
        ("RUNPOD_AI_API_KEY", "none"),
        // They dial a public address, which is not there.
        ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "true"),
        // Docker's own settings may name a proxy for all containers.
        ("NO_PROXY", "127.0.0.1,localhost"),
        ("no_proxy", "127.0.0.1,localhost"),
    ] {
        env.insert(name.to_owned(), value.to_owned());
    }
    let network = format!("container:{}", api.name);
    let mut options = vec!["--network", &network];
    let pairs: Vec<String> = env
        .iter()
        .map(|(n, value)| format!("{n}={value}"))
        .collect();
    options.extend(pairs.iter().flat_map(|pair| ["--env", pair]));
    let mut token = None;
    if server.is_real {
        options.extend(["--gpus", "all"]);
        token = plan.token;
    }
    session.create(token, image, &options, &[])
}

struct Watch<'a> {
    worker: &'a Container<'a>,
    server: Server,
    plan: &'a TestPlan<'a>,
}

impl Watch<'_> {
    /// Waits for an event, for as long as the worker runs.
    fn until(&self, api: &Api, limit: Duration, wanted: &str) -> Result<Waited> {
        let start = Instant::now();
        let mut looked = Instant::now();
        let mut ended = None;
        loop {
            interrupt::check()?;
            // What a worker has sent before its end still comes in.
            if let Some(event) = api.event(LOOK)? {
                if let Some(found) = event.get(wanted) {
                    return Ok(Waited::Came(found.clone()));
                }
            } else if let Some(code) = ended {
                return Ok(Waited::Died(code));
            } else if start.elapsed() > limit {
                return Ok(Waited::Late);
            }
            if looked.elapsed() > BEAT {
                looked = Instant::now();
                let state = self.worker.state()?;
                ended = (!state.running).then_some(state.exit_code);
            }
        }
    }

    /// The worker's last lines, for the words of a check that failed.
    fn tail(&self) -> Vec<String> {
        let mut lines = self.worker.tail(TAIL);
        if lines.is_empty() {
            return vec!["the worker wrote nothing".to_owned()];
        }
        for line in &mut lines {
            *line = format!("| {}", hidden(line, self.plan.token));
        }
        lines.insert(0, "its last lines:".to_owned());
        lines
    }

    fn registers(&self, api: &Api) -> Result<Check> {
        let limit = self.server.registers_in;
        let words = match self.until(api, limit, "poll")? {
            Waited::Came(_) => {
                let words = format!("asks for jobs, with {}", self.server.words);
                return Ok(Check::passed(START, words));
            }
            Waited::Late => format!(
                "the worker has not asked for a job in {} s: it has to register with RunPod before \
                 the model is loaded, or the platform gives it up",
                limit.as_secs()
            ),
            Waited::Died(code) => format!(
                "the worker ended with exit code {code} before it asked for a job: it has to start \
                 with the variables of tests.json"
            ),
        };
        Ok(Check::failed(START, words).and(self.tail()))
    }

    fn answers(&self, api: &mut Api) -> Result<Check> {
        let cases = &self.plan.cases;
        if cases.is_empty() {
            let why = "neither .runpod/tests.json nor test_input.json has a case";
            return Ok(Check::skipped(ANSWERS, why));
        }
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        let mut wrong = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let (answer, goes_on) = self.answer(api, number, case)?;
            if let Some(words) = answer {
                let words = hidden(&words, self.plan.token);
                wrong.push(format!("{}: {words}", case.name));
            }
            // What blocks this one blocks the others too.
            if !goes_on {
                let left = names[number + 1..].join(", ");
                let left = Some(left).filter(|left| !left.is_empty());
                wrong.extend(left.map(|left| format!("not tried after that: {left}")));
                break;
            }
        }
        let tail = if wrong.is_empty() {
            Vec::new()
        } else {
            self.tail()
        };
        let help = "the Hub runs these cases too, and takes no release that fails them";
        Ok(Check::judged(ANSWERS, wrong, help, names.join(", ")).and(tail))
    }

    /// What is wrong with the answer to a job, and whether the worker is fit for another.
    fn answer(&self, api: &mut Api, number: usize, case: &Case) -> Result<(Option<String>, bool)> {
        let limit = self.server.answers_in(case);
        let job = json!({
            "id": format!("case-{number}"),
            "input": case.input,
            "seconds": limit.as_secs(),
        });
        writeln!(api.stdin, "{job}").context("handing a job to the stand-in for RunPod's API")?;
        // The stand-in tells what is late, and what of it.
        let limit = limit + Duration::from_secs(10);
        let (words, goes_on) = match self.until(api, limit, "answered")? {
            Waited::Came(answered) => {
                let wrong = answered["wrong"].as_str().map(str::to_owned);
                return Ok((wrong, answered["late"] != true));
            }
            Waited::Late => ("no answer".to_owned(), false),
            Waited::Died(code) => {
                let why = format!("the worker ended with exit code {code} before it answered");
                (why, false)
            }
        };
        Ok((Some(words), goes_on))
    }

    fn stops(&self) -> Result<Check> {
        if !self.worker.state()?.running {
            return Ok(Check::skipped(STOP, "the worker had ended before"));
        }
        self.worker.stop(GRACE)?;
        let fine = format!("ends with exit code 0, in less than {GRACE} s");
        Ok(match ending(&self.worker.state()?) {
            Ok(()) => Check::passed(STOP, fine),
            Err(words) => Check::failed(STOP, words).and(self.tail()),
        })
    }
}

/// What is wrong with how a worker ended that was told to.
fn ending(state: &ContainerState) -> Result<(), String> {
    Err(match state.exit_code {
        _ if state.out_of_memory => "the kernel ended the worker for want of memory".to_owned(),
        0 => return Ok(()),
        137 => format!(
            "the worker did not end within {GRACE} s of SIGTERM and was killed: it has to end its \
             server and itself by then, or RunPod kills it with the jobs it has"
        ),
        code => format!(
            "the worker ended with exit code {code} when it was told to: it has to catch the signal, \
             end its server and then itself with exit code 0"
        ),
    })
}

/// Whether anything stays when the container goes.
fn leftovers(state: &ContainerState, left: &[String]) -> Check {
    let left = left
        .iter()
        .map(|name| format!("container {name} is still there"));
    let volumes = state.volumes.iter().map(|folder| {
        format!(
            "each worker leaves a volume behind for {folder}: take VOLUME out of the Dockerfile, or \
             choose a base image without it"
        )
    });
    let wrong = left.chain(volumes).collect();
    Check::judged(LEFTOVERS, wrong, "", "no container and no volume stays")
}

#[cfg(test)]
mod tests;
