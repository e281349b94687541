//! Runs the worker: it has to register with a stand-in for RunPod's job API, answer the Hub's test
//! cases, end on request, and leave nothing behind.
//!
//! The worker shares the stand-in's network and reaches it on loopback. That needs no network of its
//! own, no name resolution and no firewall rule, and works with a daemon on another machine.

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::containers::{Container, ContainerState, Session};
use super::inspect::InspectedImage;
use super::secrets::hidden;
use crate::report::{Check, CheckStatus};
use crate::repository::first_file;
use worker_files::{Source, tests_json};
use xtask_core::interrupt;
use xtask_core::outcome::Interrupted;
use xtask_core::tree::Tree;

const RUNPOD: &str = include_str!("runpod.py");

/// The label of images whose SGLang is the stand-in of tests/standin.
const STANDIN: &str = "worker-sglang.standin";

/// The seconds that RunPod gives a worker to end.
const GRACE: u32 = 10;

/// Where the stand-in for RunPod's API listens, on a network of its own.
const PORT: u16 = 47_213;

const EVENT_WAIT: Duration = Duration::from_millis(200);

/// How many lines of the worker's output a failed check shows.
const TAIL: usize = 15;

const START: &str = "start";
const ANSWERS: &str = "answers";
const STOP: &str = "stop";
const LEFTOVERS: &str = "leftovers";

struct Server {
    words: &'static str,
    is_real: bool,
    network: &'static str,
    /// The time limit for the first request for jobs, which comes before the model is loaded.
    registers_in: Duration,
    /// The longest time limit of a job, in milliseconds.
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
    fn answers_in(&self, case: &Case) -> Duration {
        const USUAL: u64 = 300_000;
        Duration::from_millis(case.timeout.unwrap_or(USUAL).min(self.most))
    }
}

struct Case {
    name: String,
    input: Value,
    /// In milliseconds.
    timeout: Option<u64>,
}

pub struct TestPlan<'a> {
    env: BTreeMap<String, String>,
    cases: Vec<Case>,
    /// The token for the worker, which is never shown.
    token: Option<&'a str>,
}

/// The variables and the test cases of the Hub.
pub fn plan<'a>(tree: &dyn Tree, token: Option<&'a str>) -> Result<TestPlan<'a>> {
    let mut env = BTreeMap::new();
    let mut cases = Vec::new();
    if let Some((path, bytes)) = first_file(tree, [".runpod/tests.json", "tests.json"])?
        && let Ok(tests) = tests_json::read(&Source::new(path.as_str().into(), &bytes))
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
        cases.extend(job.get("input").map(|input| Case {
            name: "test_input.json".to_owned(),
            input: input.clone(),
            timeout: None,
        }));
    }
    Ok(TestPlan { env, cases, token })
}

/// The server in the image; the inner error says why it can't run here.
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

/// The stand-in for RunPod's job API in a container of its own.
struct Api<'s> {
    container: Container<'s>,
    /// The client that hands the cases to it.
    child: Child,
}

impl<'s> Api<'s> {
    fn start(session: &'s Session, image: &str, server: &Server, plan: &TestPlan) -> Result<Self> {
        let case = |case: &Case| {
            let seconds = server.answers_in(case).as_secs();
            json!({ "input": case.input, "seconds": seconds })
        };
        let cases: Value = plan.cases.iter().map(case).collect();
        let mut input = tempfile::tempfile().context("making a temporary file")?;
        write!(input, "{cases}")?;
        input.rewind()?;
        // Its events are read from its log.
        let logged = ["--log-driver", "json-file"];
        let (container, mut start) = session.script(image, server.network, &logged, RUNPOD)?;
        let child = (start.stdin(input))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting the stand-in for RunPod's API")?;
        let mut api = Self { container, child };
        // The worker shares its network, which is there once it runs.
        while !api.container.state()?.running {
            interrupt::check()?;
            api.expect_alive()?;
            std::thread::sleep(EVENT_WAIT);
        }
        Ok(api)
    }

    fn expect_alive(&mut self) -> Result<()> {
        anyhow::ensure!(
            self.child.try_wait()?.is_none(),
            "the stand-in for RunPod's API ended: {}",
            self.container.tail(3).join(" | ")
        );
        Ok(())
    }
}

impl Drop for Api<'_> {
    fn drop(&mut self) {
        // This ends the client; dropping the container removes that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn check(
    session: &Session,
    image: &InspectedImage,
    name: &str,
    plan: &TestPlan,
    done: &mut dyn FnMut(Check) -> Result<()>,
) -> Result<()> {
    let server = match server(session, image, name)? {
        Ok(server) => server,
        Err(why) => {
            for check in [START, ANSWERS, STOP, LEFTOVERS] {
                done(Check::skipped(check, &why))?;
            }
            return Ok(());
        }
    };
    let api = Api::start(session, name, &server, plan)?;
    let container = create(session, &server, name, plan, &api.container)?;
    container.start()?;
    let mut worker = Worker {
        container,
        api,
        server,
        plan,
    };
    let start = worker.check_start()?;
    let has_started = start.verdict == CheckStatus::Passed;
    done(start)?;
    if has_started {
        done(worker.check_answers()?)?;
        done(worker.check_stop()?)?;
    } else {
        for check in [ANSWERS, STOP] {
            done(Check::skipped(check, "the worker did not start"))?;
        }
    }
    let state = worker.container.state()?;
    drop(worker);
    done(leftovers(&state, &session.left()?))
}

/// The worker's container, as RunPod would create it.
fn create<'s>(
    session: &'s Session,
    server: &Server,
    image: &str,
    plan: &TestPlan,
    api: &Container,
) -> Result<Container<'s>> {
    let mut env = plan.env.clone();
    if !server.is_real {
        // The stand-in loads no model, but the worker needs a name.
        let model = env.entry("MODEL_NAME".to_owned());
        model.or_insert_with(|| "stand-in/model".to_owned());
    }
    let at = |path: &str| format!("http://127.0.0.1:{PORT}/{path}?gpu=none");
    let done = at("job-done/$RUNPOD_POD_ID/$ID");
    let stream = at("job-stream/$RUNPOD_POD_ID/$ID");
    for (name, value) in [
        ("RUNPOD_WEBHOOK_GET_JOB", &*at("job-take/$ID")),
        ("RUNPOD_WEBHOOK_POST_OUTPUT", &done),
        ("RUNPOD_WEBHOOK_POST_STREAM", &stream),
        ("RUNPOD_WEBHOOK_PING", &at("ping/$RUNPOD_POD_ID")),
        ("RUNPOD_POD_ID", "image-check"),
        ("RUNPOD_AI_API_KEY", "none"),
        // These checks connect to a public address, which is out of reach.
        ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "true"),
        // Docker's settings may name a proxy for all containers.
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
    if server.is_real {
        options.extend(["--gpus", "all"]);
    }
    let token = plan.token.filter(|_| server.is_real);
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
    /// Waits while the worker runs until there are `enough` events of a kind. Returns those that there
    /// are, and what is wrong if they are not enough: they are `late`, or the worker ended `before` it.
    fn wait_for(
        &mut self,
        kind: &str,
        limit: Duration,
        (late, before): (&str, &str),
        enough: impl Fn(&[Value]) -> bool,
    ) -> Result<(Vec<Value>, Option<String>)> {
        let start = Instant::now();
        loop {
            interrupt::check()?;
            // The events are read after the state, so that none from before the worker's end is missed.
            let state = self.container.state()?;
            let log = self.api.container.output()?;
            // Python may print other lines when it starts.
            let lines = log.split(|byte| *byte == b'\n');
            let events = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
            let events = events.filter_map(|event| event.get(kind).cloned());
            let events: Vec<Value> = events.collect();
            if enough(&events) {
                return Ok((events, None));
            } else if !state.running {
                let code = state.exit_code;
                let words = format!("the worker ended with exit code {code} before it {before}");
                return Ok((events, Some(words)));
            } else if start.elapsed() > limit {
                return Ok((events, Some(late.to_owned())));
            }
            self.api.expect_alive()?;
            std::thread::sleep(EVENT_WAIT);
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

    fn check_start(&mut self) -> Result<Check> {
        let limit = self.server.registers_in;
        let late = format!(
            "the worker has not asked for a job in {} s: it has to register with RunPod before the \
             model is loaded, or the platform gives it up",
            limit.as_secs()
        );
        let before = "asked for a job: it has to start with the variables of tests.json";
        let is_any = |events: &[Value]| !events.is_empty();
        let (_, wrong) = self.wait_for("poll", limit, (&late, before), is_any)?;
        Ok(match wrong {
            None => Check::passed(START, format!("asks for jobs, with {}", self.server.words)),
            Some(words) => self.failed(Check::failed(START, words)),
        })
    }

    fn check_answers(&mut self) -> Result<Check> {
        let cases = &self.plan.cases;
        if cases.is_empty() {
            let why = "neither .runpod/tests.json nor test_input.json has a case";
            return Ok(Check::skipped(ANSWERS, why));
        }
        let names: Vec<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        let limits = cases.iter().map(|case| self.server.answers_in(case));
        let limit = limits.sum::<Duration>() + Duration::from_secs(10);
        // An answer that is late is the last one: a blocked worker would block the other cases too.
        let is_last = |event: &Value| event["late"] == true;
        let is_over =
            |events: &[Value]| events.len() == cases.len() || events.last().is_some_and(is_last);
        let (answered, trouble) =
            self.wait_for("answered", limit, ("no answer", "answered"), is_over)?;
        let answers = answered.iter();
        let answers = answers.map(|answer| answer["wrong"].as_str().map(str::to_owned));
        let answers: Vec<Option<String>> = answers.chain(trouble.map(Some)).collect();
        let (tried, left) = names.split_at(answers.len());
        let wrong = tried.iter().zip(answers).filter_map(|(name, wrong)| {
            let wrong = hidden(&wrong?, self.plan.token);
            Some(format!("{name}: {wrong}"))
        });
        let left = (!left.is_empty()).then(|| format!("not tried after that: {}", left.join(", ")));
        let wrong = wrong.chain(left).collect();
        let help = "the Hub runs these cases too, and takes no release that fails them";
        let check = Check::judged(ANSWERS, wrong, help, names.join(", "));
        Ok(match check.verdict {
            CheckStatus::Passed => check,
            _ => self.failed(check),
        })
    }

    fn check_stop(&self) -> Result<Check> {
        if !self.container.state()?.running {
            return Ok(Check::skipped(STOP, "the worker had ended before"));
        }
        self.container.stop(GRACE)?;
        let fine = format!("ends with exit code 0, in less than {GRACE} s");
        Ok(match check_exit(&self.container.state()?) {
            Ok(()) => Check::passed(STOP, fine),
            Err(words) => self.failed(Check::failed(STOP, words)),
        })
    }
}

/// Whether a stopped worker ended well; the error says what is wrong.
fn check_exit(state: &ContainerState) -> Result<(), String> {
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
