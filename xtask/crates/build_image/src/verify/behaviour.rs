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

pub struct TestPlan<'a> {
    env: BTreeMap<String, String>,
    cases: Vec<Case>,
    /// The token that is passed on, and that is never shown.
    token: Option<&'a str>,
}

/// What the Hub would set and run.
pub fn plan<'a>(tree: &dyn Tree, token: Option<&'a str>) -> Result<TestPlan<'a>> {
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
        let numbered = (1..).zip(tests.tests);
        cases.extend(numbered.filter_map(|(number, test)| {
            let name = Some(test.name).filter(|name| !name.is_empty());
            Some(Case {
                name: name.unwrap_or_else(|| format!("test {number}")),
                input: serde_json::from_str(&test.input_text?).ok()?,
                timeout: test.timeout.and_then(|timeout| timeout.parse().ok()),
            })
        }));
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
        let (container, mut start) = session.script(image, network, &[], RUNPOD)?;
        let mut child = start
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the stand-in for RunPod's API")?;
        let stdin = child.stdin.take().context("docker start has no input")?;
        let stdout = child.stdout.take().context("docker start has no output")?;
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
    let api = Api::start(session, name, server.network)?;
    let listening = api.event(Duration::from_mins(1))?;
    let port = listening.and_then(|event| event["port"].as_u64());
    let port = port.context("the stand-in for RunPod's API does not begin to listen")?;
    let container = create(session, &server, name, plan, (&api.container, port))?;
    container.start()?;
    let mut worker = Worker {
        container,
        api,
        server,
        plan,
    };
    let started = worker.registers()?;
    let goes_on = started.verdict == CheckStatus::Passed;
    done(started);
    if goes_on {
        done(worker.answers()?);
        done(worker.stops()?);
    } else {
        for check in [ANSWERS, STOP] {
            done(Check::skipped(check, "the worker did not start"));
        }
    }
    let state = worker.container.state()?;
    drop(worker);
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
    for (name, value) in [
        ("RUNPOD_WEBHOOK_GET_JOB", &*at("job-take/$ID")),
        (
            "RUNPOD_WEBHOOK_POST_OUTPUT",
            &at("job-done/$RUNPOD_POD_ID/$ID"),
        ),
        (
            "RUNPOD_WEBHOOK_POST_STREAM",
            &at("job-stream/$RUNPOD_POD_ID/$ID"),
        ),
        ("RUNPOD_WEBHOOK_PING", &at("ping/$RUNPOD_POD_ID")),
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
    let pairs = env.iter().map(|(name, value)| format!("{name}={value}"));
    let pairs: Vec<String> = pairs.collect();
    options.extend(pairs.iter().flat_map(|pair| ["--env", pair]));
    let mut token = None;
    if server.is_real {
        options.extend(["--gpus", "all"]);
        token = plan.token;
    }
    session.create(token, image, &options, &[])
}

/// A worker that runs beside the stand-in for RunPod's API.
struct Worker<'a> {
    container: Container<'a>,
    api: Api<'a>,
    server: Server,
    plan: &'a TestPlan<'a>,
}

impl Worker<'_> {
    /// Waits for an event, for as long as the worker runs. The inner error says that it is `late`, or
    /// that the worker ended `before` that.
    fn until(
        &self,
        limit: Duration,
        wanted: &str,
        late: &str,
        before: &str,
    ) -> Result<Result<Value, String>> {
        let start = Instant::now();
        let mut looked = Instant::now();
        let mut ended = None;
        loop {
            interrupt::check()?;
            // What a worker has sent before its end still comes in.
            if let Some(event) = self.api.event(LOOK)? {
                if let Some(found) = event.get(wanted) {
                    return Ok(Ok(found.clone()));
                }
            } else if let Some(code) = ended {
                let words = format!("the worker ended with exit code {code} before it {before}");
                return Ok(Err(words));
            } else if start.elapsed() > limit {
                return Ok(Err(late.to_owned()));
            }
            if looked.elapsed() > BEAT {
                looked = Instant::now();
                let state = self.container.state()?;
                ended = (!state.running).then_some(state.exit_code);
            }
        }
    }

    /// A check that failed, with the worker's last lines.
    fn failed(&self, check: Check) -> Check {
        let lines = self.container.tail(TAIL);
        if lines.is_empty() {
            return check.and(["the worker wrote nothing".to_owned()]);
        }
        let lines = lines.iter().map(|line| hidden(line, self.plan.token));
        let check = check.and(["its last lines:".to_owned()]);
        check.and(lines.map(|line| format!("| {line}")))
    }

    fn registers(&self) -> Result<Check> {
        let limit = self.server.registers_in;
        let late = format!(
            "the worker has not asked for a job in {} s: it has to register with RunPod before the \
             model is loaded, or the platform gives it up",
            limit.as_secs()
        );
        let before = "asked for a job: it has to start with the variables of tests.json";
        Ok(match self.until(limit, "poll", &late, before)? {
            Ok(_) => Check::passed(START, format!("asks for jobs, with {}", self.server.words)),
            Err(words) => self.failed(Check::failed(START, words)),
        })
    }

    fn answers(&mut self) -> Result<Check> {
        let cases = &self.plan.cases;
        if cases.is_empty() {
            let why = "neither .runpod/tests.json nor test_input.json has a case";
            return Ok(Check::skipped(ANSWERS, why));
        }
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        let mut wrong = Vec::new();
        for (number, case) in cases.iter().enumerate() {
            let (answer, goes_on) = self.answer(number, case)?;
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
        let help = "the Hub runs these cases too, and takes no release that fails them";
        let check = Check::judged(ANSWERS, wrong, help, names.join(", "));
        Ok(match check.verdict {
            CheckStatus::Passed => check,
            _ => self.failed(check),
        })
    }

    /// What is wrong with the answer to a job, and whether the worker is fit for another.
    fn answer(&mut self, number: usize, case: &Case) -> Result<(Option<String>, bool)> {
        let limit = self.server.answers_in(case);
        let job = json!({
            "id": format!("case-{number}"),
            "input": case.input,
            "seconds": limit.as_secs(),
        });
        writeln!(self.api.stdin, "{job}")
            .context("handing a job to the stand-in for RunPod's API")?;
        // The stand-in tells what is late, and what of it.
        let limit = limit + Duration::from_secs(10);
        Ok(
            match self.until(limit, "answered", "no answer", "answered")? {
                Ok(answered) => {
                    let wrong = answered["wrong"].as_str().map(str::to_owned);
                    (wrong, answered["late"] != true)
                }
                Err(words) => (Some(words), false),
            },
        )
    }

    fn stops(&self) -> Result<Check> {
        if !self.container.state()?.running {
            return Ok(Check::skipped(STOP, "the worker had ended before"));
        }
        self.container.stop(GRACE)?;
        let fine = format!("ends with exit code 0, in less than {GRACE} s");
        Ok(match ending(&self.container.state()?) {
            Ok(()) => Check::passed(STOP, fine),
            Err(words) => self.failed(Check::failed(STOP, words)),
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
    let left = left.iter();
    let left = left.map(|name| format!("container {name} is still there"));
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
