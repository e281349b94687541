//! A worker that runs: it registers with a stand-in for RunPod's job API, answers the Hub's test
//! cases, ends when it is told to, and leaves nothing.
//!
//! The worker shares the network of the stand-in, where both are on loopback: no network to make
//! and to remove, no name to resolve, nothing that a firewall could forbid, and it works with a
//! daemon on another machine.

mod api;
mod judge;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use self::api::{Api, Event};
use self::judge::{Answer, Case, judge};
use super::super::{Check, Verdict};
use super::containers::{Container, Session, State};
use super::inspect::Image;
use super::secrets::hidden;
use worker_files::{Source, tests_json};
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tree::Tree;

/// The label of images whose SGLang is the stand-in of tests/standin.
const STANDIN: &str = "worker-sglang.standin";

/// How long a worker has to end, by RunPod's word.
const GRACE: u32 = 10;

/// How often it is looked at whether the worker still runs.
const BEAT: Duration = Duration::from_secs(1);

/// How many of its last lines are shown.
const TAIL: usize = 15;

const CHECKS: [&str; 4] = ["start", "answers", "stop", "leftovers"];

/// Which server the worker starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    StandIn,
    /// SGLang itself, on a GPU.
    Real,
}

impl Server {
    fn words(self) -> &'static str {
        match self {
            Self::StandIn => "the stand-in for SGLang",
            Self::Real => "SGLang itself, on this host's GPU",
        }
    }

    /// How long the worker may take to ask for jobs, which it does before the model is loaded.
    fn registers_in(self) -> Duration {
        Duration::from_secs(match self {
            Self::StandIn => 30,
            Self::Real => 120,
        })
    }

    /// How long a job may take: what the file says, but no longer than makes sense.
    fn answers_in(self, case: &Case) -> Duration {
        const USUAL: u64 = 300_000;
        let most = match self {
            Self::StandIn => 60_000,
            Self::Real => 1_800_000,
        };
        Duration::from_millis(case.timeout.unwrap_or(USUAL).min(most))
    }
}

/// What the worker is to do.
pub struct Plan {
    pub env: BTreeMap<String, String>,
    pub cases: Vec<Case>,
    /// The token that is passed on, and that is never shown.
    pub token: Option<String>,
}

/// What the Hub would set and run.
pub fn plan(tree: &dyn Tree, token: Option<&str>) -> Result<Plan> {
    let mut env = BTreeMap::new();
    let mut cases = Vec::new();
    for path in [".runpod/tests.json", "tests.json"] {
        let Some(bytes) = tree.read_file(path)? else {
            continue;
        };
        if let Ok(tests) = tests_json::read(&Source::new(path.into(), &bytes)) {
            let all = tests.env.into_iter();
            env = all.map(|named| (named.name, named.value)).collect();
        }
        cases = cases_of(&bytes);
        break;
    }
    if let Some(bytes) = tree.read_file("test_input.json")?
        && let Ok(Value::Object(mut job)) = serde_json::from_slice::<Value>(&bytes)
        && let Some(input) = job.remove("input")
    {
        cases.push(Case {
            name: "test_input.json".to_owned(),
            input,
            timeout: None,
        });
    }
    Ok(Plan {
        env,
        cases,
        token: token.map(str::to_owned),
    })
}

/// The cases of tests.json.
fn cases_of(tests: &[u8]) -> Vec<Case> {
    let root: Value = serde_json::from_slice(tests).unwrap_or_default();
    let all = root.get("tests").and_then(Value::as_array);
    let all = all.into_iter().flatten().enumerate();
    all.filter_map(|(number, test)| {
        let name = test.get("name").and_then(Value::as_str);
        Some(Case {
            name: name.map_or_else(|| format!("test {}", number + 1), str::to_owned),
            input: test.get("input")?.clone(),
            timeout: test.get("timeout").and_then(Value::as_u64),
        })
    })
    .collect()
}

/// Which server would run here; the error says why none can.
fn server(session: &Session, image: &Image, name: &str) -> Result<Result<Server, String>> {
    if image.labels.contains_key(STANDIN) {
        return Ok(Ok(Server::StandIn));
    }
    let options = [
        "--gpus",
        "all",
        "--network",
        "none",
        "--entrypoint",
        "python3",
    ];
    let with_gpu = session.create(name, &options, &["-c", ""]);
    Ok(match with_gpu.and_then(|container| container.start()) {
        Ok(()) => Ok(Server::Real),
        Err(error) if error.is::<xtask_core::outcome::Interrupted>() => return Err(error),
        Err(_) => Err(
            "the image has SGLang itself, and docker has no GPU here to run it on: run this on a \
             host with NVIDIA's container toolkit"
                .to_owned(),
        ),
    })
}

/// Runs the worker and looks at it.
pub fn check(
    session: &Session,
    image: &Image,
    name: &str,
    plan: &Plan,
    done: &mut dyn FnMut(Check),
) -> Result<()> {
    let server = match server(session, image, name)? {
        Ok(server) => server,
        Err(why) => {
            for check in CHECKS {
                done(Check::skipped(check, &why));
            }
            return Ok(());
        }
    };
    // The real server fetches its model.
    let network = match server {
        Server::StandIn => "none",
        Server::Real => "bridge",
    };
    let mut api = Api::start(session, name, network)?;
    let Some(Event::Listening { port }) = api.event(Duration::from_mins(1))? else {
        anyhow::bail!("the stand-in for RunPod's API does not begin to listen");
    };
    let worker = create(session, server, name, plan, (&api.container, port))?;
    worker.start()?;
    let watch = Watch {
        worker: &worker,
        server,
        plan,
    };
    let started = watch.registers(&api)?;
    let goes_on = started.verdict == Verdict::Passed;
    done(started);
    if goes_on {
        done(watch.answers(&mut api)?);
        done(watch.stops()?);
    } else {
        for check in &CHECKS[1..3] {
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
    server: Server,
    image: &str,
    plan: &Plan,
    (api, port): (&Container, u16),
) -> Result<Container<'s>> {
    let base = format!("http://127.0.0.1:{port}");
    let mut env = plan.env.clone();
    if server == Server::StandIn {
        // It loads nothing, but the worker wants to know what.
        env.entry("MODEL_NAME".to_owned())
            .or_insert_with(|| "stand-in/model".to_owned());
    }
    for (name, value) in [
        (
            "RUNPOD_WEBHOOK_GET_JOB",
            format!("{base}/job-take/$ID?gpu=none"),
        ),
        (
            "RUNPOD_WEBHOOK_POST_OUTPUT",
            format!("{base}/job-done/$RUNPOD_POD_ID/$ID?gpu=none"),
        ),
        (
            "RUNPOD_WEBHOOK_POST_STREAM",
            format!("{base}/job-stream/$RUNPOD_POD_ID/$ID?gpu=none"),
        ),
        (
            "RUNPOD_WEBHOOK_PING",
            format!("{base}/ping/$RUNPOD_POD_ID?gpu=none"),
        ),
        ("RUNPOD_POD_ID", "image-check".to_owned()),
        ("RUNPOD_AI_API_KEY", "none".to_owned()),
        // They dial a public address, which is not there.
        ("RUNPOD_SKIP_AUTO_SYSTEM_CHECKS", "true".to_owned()),
        // Docker's own settings may name a proxy for all containers.
        ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ("no_proxy", "127.0.0.1,localhost".to_owned()),
    ] {
        env.insert(name.to_owned(), value);
    }
    let mut options = vec!["--network".to_owned(), format!("container:{}", api.name)];
    if server == Server::Real {
        options.extend(["--gpus".to_owned(), "all".to_owned()]);
        if let Some(token) = &plan.token {
            env.insert("HF_TOKEN".to_owned(), token.clone());
        }
    }
    // By a file, as an argument could be seen by everybody on this machine. It has no way to write
    // a line's end; what tests.json says everybody may see.
    let scratch = ScratchFolder::new("environment")?;
    let path = scratch.path().join("environment");
    let mut file = fs_err::File::create(&path)?;
    for (name, value) in &env {
        if value.contains('\n') {
            options.extend(["--env".to_owned(), format!("{name}={value}")]);
        } else {
            writeln!(file, "{name}={value}").context("writing a scratch file")?;
        }
    }
    options.push("--env-file".to_owned());
    options.push(path.display().to_string());
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    session.create(image, &options, &[])
}

/// A worker that is looked at.
struct Watch<'a> {
    worker: &'a Container<'a>,
    server: Server,
    plan: &'a Plan,
}

impl Watch<'_> {
    /// Waits for something to happen, for as long as the worker runs. `None` when the time was
    /// over; the error is the exit code of a worker that ended.
    fn until<T>(
        &self,
        api: &Api,
        limit: Duration,
        mut wanted: impl FnMut(Event) -> Option<T>,
    ) -> Result<Result<Option<T>, i64>> {
        let start = Instant::now();
        let mut looked = Instant::now();
        let mut ended = None;
        loop {
            xtask_core::interrupt::check()?;
            // What a worker has sent before its end still comes in.
            let patience = super::containers::LOOK * 5;
            if let Some(event) = api.event(patience)? {
                if let Some(found) = wanted(event) {
                    return Ok(Ok(Some(found)));
                }
            } else if let Some(code) = ended {
                return Ok(Err(code));
            } else if start.elapsed() > limit {
                return Ok(Ok(None));
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
        let lines = self.worker.tail(TAIL);
        if lines.is_empty() {
            return vec!["the worker wrote nothing".to_owned()];
        }
        let token = self.plan.token.as_deref();
        let lines = lines
            .iter()
            .map(|line| format!("| {}", hidden(line, token)));
        ["its last lines:".to_owned()]
            .into_iter()
            .chain(lines)
            .collect()
    }

    fn registers(&self, api: &Api) -> Result<Check> {
        let limit = self.server.registers_in();
        let polled = self.until(api, limit, |event| (event == Event::Poll).then_some(()))?;
        let words = match polled {
            Ok(Some(())) => {
                return Ok(Check::passed(
                    CHECKS[0],
                    format!("asks for jobs, with {}", self.server.words()),
                ));
            }
            Ok(None) => format!(
                "the worker has not asked for a job in {} s: it has to register with RunPod before \
                 the model is loaded, or the platform gives it up",
                limit.as_secs()
            ),
            Err(code) => format!(
                "the worker ended with exit code {code} before it asked for a job: it has to start \
                 with the variables of tests.json"
            ),
        };
        Ok(Check::new(CHECKS[0], Verdict::Failed, [words]).and(self.tail()))
    }

    fn answers(&self, api: &mut Api) -> Result<Check> {
        let mut wrong = Vec::new();
        let mut left = self.plan.cases.iter().enumerate();
        for (number, case) in left.by_ref() {
            let answer = self.answer(api, number, case)?;
            if let Err(words) = judge(&answer) {
                let words = hidden(&words, self.plan.token.as_deref());
                wrong.push(format!("{}: {words}", case.name));
            }
            // Whatever holds this one up holds up the others too.
            if !matches!(answer, Answer::Done { .. }) {
                break;
            }
        }
        let left: Vec<&str> = left.map(|(_, case)| case.name.as_str()).collect();
        if !left.is_empty() {
            wrong.push(format!("not tried after that: {}", left.join(", ")));
        }
        if self.plan.cases.is_empty() {
            let why = "neither .runpod/tests.json nor test_input.json has a case";
            return Ok(Check::skipped(CHECKS[1], why));
        }
        if !wrong.is_empty() {
            wrong.push(
                "the Hub runs these cases too, and takes no release that fails them".to_owned(),
            );
            wrong.extend(self.tail());
        }
        let names: Vec<&str> = self
            .plan
            .cases
            .iter()
            .map(|case| case.name.as_str())
            .collect();
        Ok(Check::judged(CHECKS[1], wrong, names.join(", ")))
    }

    fn answer(&self, api: &mut Api, number: usize, case: &Case) -> Result<Answer> {
        let job = format!("case-{number}");
        api.submit(&job, &case.input)?;
        let limit = self.server.answers_in(case);
        let mut was_taken = false;
        let mut streamed = Vec::new();
        let result = self.until(api, limit, |event| match event {
            Event::Taken { id } => {
                was_taken |= id == job;
                None
            }
            Event::Stream { id, value } => {
                let item = value.get("output").cloned();
                streamed.extend(item.filter(|_| id == job));
                None
            }
            Event::Done { id, value } => (id == job).then_some(value),
            _ => None,
        })?;
        Ok(match result {
            Ok(Some(result)) => Answer::Done { result, streamed },
            Ok(None) => Answer::Late {
                seconds: limit.as_secs(),
                taken: was_taken,
            },
            Err(code) => Answer::Died(code),
        })
    }

    fn stops(&self) -> Result<Check> {
        if !self.worker.state()?.running {
            return Ok(Check::skipped(CHECKS[2], "the worker had ended before"));
        }
        self.worker.stop(GRACE)?;
        let state = self.worker.state()?;
        let Err(words) = ending(&state) else {
            return Ok(Check::passed(
                CHECKS[2],
                format!("ends with exit code 0, in less than {GRACE} s"),
            ));
        };
        Ok(Check::new(CHECKS[2], Verdict::Failed, [words]).and(self.tail()))
    }
}

/// What is wrong with how a worker ended that was told to.
fn ending(state: &State) -> Result<(), String> {
    match state.exit_code {
        _ if state.out_of_memory => Err("the kernel ended the worker for want of memory".to_owned()),
        0 => Ok(()),
        137 => Err(format!(
            "the worker did not end within {GRACE} s of SIGTERM and was killed: it has to end its \
             server and itself by then, or RunPod kills it with the jobs it has"
        )),
        143 => Err(
            "SIGTERM ended the worker as it was (exit code 143): it has to catch the signal, end its \
             server and then itself with exit code 0"
                .to_owned(),
        ),
        code => Err(format!(
            "the worker ended with exit code {code} when it was told to: expected 0"
        )),
    }
}

/// Whether anything stays when the container goes.
fn leftovers(state: &State, left: &[String]) -> Check {
    let mut wrong: Vec<String> = left
        .iter()
        .map(|what| format!("{what} is still there"))
        .collect();
    for folder in &state.volumes {
        wrong.push(format!(
            "each worker leaves a volume behind for {folder}: take VOLUME out of the Dockerfile, or \
             choose a base image without it"
        ));
    }
    Check::judged(CHECKS[3], wrong, "no container, network or volume stays")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    #[test]
    fn the_hub_s_environment_and_cases_are_read() {
        let tree = Memory::new()
            .with(
                ".runpod/tests.json",
                r#"{"tests": [{"name": "a", "input": {"text": "x"}, "timeout": 5000}, {"input": {}}, {"name": "no input"}],
                   "config": {"env": [{"key": "MODEL_NAME", "value": "org/m"}]}}"#,
            )
            .with("test_input.json", r#"{"input": {"text": "y"}}"#);
        let plan = plan(&tree, None).unwrap();
        let names: Vec<_> = plan.cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["a", "test 2", "test_input.json"]);
        assert_eq!(plan.env["MODEL_NAME"], "org/m");
        assert_eq!(Server::StandIn.answers_in(&plan.cases[0]).as_secs(), 5);
        assert_eq!(Server::StandIn.answers_in(&plan.cases[1]).as_secs(), 60);
        assert_eq!(Server::Real.answers_in(&plan.cases[1]).as_secs(), 300);
        let none = self::plan(&Memory::new(), None).unwrap();
        assert!(none.cases.is_empty() && none.env.is_empty());
    }

    #[test]
    fn a_worker_has_to_end_by_itself_with_zero() {
        let state = |exit_code, out_of_memory| State {
            exit_code,
            out_of_memory,
            ..State::default()
        };
        assert_eq!(ending(&state(0, false)), Ok(()));
        for (code, memory, words) in [
            (137, false, "did not end within 10 s"),
            (143, false, "has to catch the signal"),
            (3, false, "exit code 3"),
            (137, true, "memory"),
        ] {
            let wrong = ending(&state(code, memory)).unwrap_err();
            assert!(wrong.contains(words), "{wrong}");
        }
    }

    #[test]
    fn what_stays_is_named() {
        let clean = leftovers(&State::default(), &[]);
        assert_eq!(clean.verdict, Verdict::Passed);
        let state = State {
            volumes: vec!["/data".into()],
            ..State::default()
        };
        let check = leftovers(&state, &["network x".into()]);
        assert_eq!(check.verdict, Verdict::Failed);
        assert_eq!(check.words[0], "network x is still there");
        assert!(check.words[1].contains("a volume behind for /data"));
    }
}
