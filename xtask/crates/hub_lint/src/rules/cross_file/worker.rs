//! The worker's own files: what the Dockerfile starts, and what the handler makes of the tests.

use super::{Worker, is_sglang, place};
use crate::document::{begin, short};
use crate::facts;
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use worker_files::{Hides, WorkerInterface};
use xtask_core::finding::{Finding, Span};

rules! {
    /// The Dockerfile starts a Python file that is nowhere in the repository, so that the worker
    /// ends at once. Said only of images that copy their files from the repository, onto a base that
    /// brings no programs of its own.
    ///
    /// Bad:
    /// ```dockerfile Dockerfile
    /// FROM python:3.12
    /// COPY src /src
    /// CMD ["python3", "-u", "/src/handler.py"]
    /// ```
    /// Good:
    /// ```dockerfile Dockerfile
    /// FROM python:3.12
    /// COPY src /src
    /// CMD ["python3", "-u", "/src/handler.py"]
    /// ```
    /// ```python src/handler.py
    /// import runpod
    /// ```
    NO_HANDLER = "HUB314" "no-handler" Error Never
        "the Dockerfile starts a file that is not in the repository"
        from "the Hub's publishing guide";
    /// The handler refuses this input, or SGLang does, so that the Hub's test fails. A job is
    /// `openai_route` with `openai_input`, a bare chat completion with `messages` where the handler
    /// knows it, or what SGLang's `/generate` takes.
    ///
    /// Bad:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": { "openai_route": "/v1/chat/completions",
    ///   "openai_input": { "prompt": "Hi" } } }], "config": { "gpuCount": 1 } }
    /// ```
    /// ```sglang v0.5.19-cu129
    /// ```
    REFUSED = "HUB316" "test-input-refused" Error Never
        "a test's input that the handler or SGLang refuses"
        from "the official worker's handler and a real server's answers";
}

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    if worker.hub.is_some() {
        handler(worker, findings);
    }
    if let Some(tests) = worker.tests.filter(|_| is_sglang(&worker.facts)) {
        for input in tests
            .root
            .list("tests")
            .iter()
            .filter_map(|test| test.get("input"))
        {
            if let Some((span, message, help)) = refused(input, &worker.facts) {
                let finding = tests.at(&REFUSED, &span, message);
                findings.push(Finding {
                    help: help.map(str::to_owned).into_iter().collect(),
                    ..finding
                });
            }
        }
    }
}

/// The Python file that the image starts has to be in the repository, unless the image may have
/// it from elsewhere.
fn handler(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    let Some(image) = &worker.facts.image else {
        return;
    };
    let copies = image.copies.iter().any(|copy| copy.from.is_none());
    if !copies || worker.brings_code() || worker.may_hide(Hides::Image) {
        return;
    }
    for start in image.starts() {
        let between = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | ',');
        let words = start.text.split(between);
        let is_python = |word: &&str| {
            word.strip_suffix(".py")
                .is_some_and(|stem| !stem.is_empty())
        };
        for word in words.filter(is_python) {
            let name = word.rsplit('/').next().unwrap_or(word);
            let mut paths = worker.tree.entries().keys();
            if word.contains(['$', '*', '=']) || paths.any(|path| path.name() == name.as_bytes()) {
                continue;
            }
            // A step of the build may write it.
            let source = worker.facts.sources.get(&start.place.file);
            let mut lines = source.map_or("", |source| source.text.as_str()).lines();
            let written = lines.any(|line| {
                let mut takes = ["COPY", "ADD", "CMD", "ENTRYPOINT"].iter();
                line.contains(name) && !takes.any(|word| line.trim_start().starts_with(word))
            });
            if !written {
                let shown = short(word);
                let what = format!("the image starts `{shown}`, which is not in the repository");
                let help = "the Hub builds from what is committed; is it ignored by git?";
                findings.push(Finding::at(&NO_HANDLER, place(&start.place), what).help(help));
            }
        }
    }
}

/// Routes that answer to GET, without a body: those of `GET_ROUTES` in the worker's relay.py.
pub const READING: &str = "\
    /v1/models /models /health /health_generate /ping /model_info /get_model_info /server_info \
    /get_server_info /get_load /v1/loads /metrics /weight_version /get_weight_version";

/// One of these is what `/generate` makes something of.
const GENERATE: &[&str] = &["text", "input_ids", "input_embeds"];

/// Why an input is refused: where, what is wrong, and what helps.
type Refusal = (Span, String, Option<&'static str>);

fn refused(input: &Node, interface: &WorkerInterface) -> Option<Refusal> {
    let Kind::Object(members) = &input.kind else {
        return None;
    };
    if let Some(route) = input.member("openai_route") {
        let value = route.value.span.clone();
        let body = input.member("openai_input");
        let Some(text) = route.value.as_str() else {
            let what = format!("`openai_route` is {}, not a path", route.value.what());
            return Some((value, what, None));
        };
        let shown = short(text);
        let path = text.split('?').next().unwrap_or(text);
        let (span, what) = if !text.starts_with('/') {
            (
                value,
                format!("the route `{shown}` does not begin with `/`"),
            )
        } else if text.starts_with("//") {
            (value, format!("the route `{shown}` names another host"))
        } else if let Some(body) = body {
            let needed = match path.strip_prefix("/v1").unwrap_or(path) {
                "/chat/completions" => "messages",
                "/completions" => "prompt",
                "/embeddings" => "input",
                _ => return None,
            };
            if body.value.get(needed).is_some() {
                return None;
            }
            (
                body.key_span.clone(),
                format!("`{shown}` answers 400 without `{needed}`"),
            )
        } else if facts::lists(READING, path.trim_end_matches('/'))
            || path.starts_with("/v1/models/")
        {
            return None;
        } else {
            let what = format!("`{shown}` takes a body, and there is no `openai_input`");
            (route.key_span.clone(), what)
        };
        return Some((span, what, None));
    }
    // Keys that the handler itself looks at make it a form of its own.
    let inputs = &interface.python.inputs;
    let looked_at = |key: &str| {
        inputs
            .iter()
            .any(|own| (own.needed || own.asked) && own.path.split('.').next() == Some(key))
    };
    let mut keys = members.iter().map(|member| member.key.as_str());
    let known = keys.any(|key| GENERATE.contains(&key) || looked_at(key));
    // Without inputs, nothing is known of how this handler reads its jobs.
    if known || inputs.is_empty() {
        return None;
    }
    let first = members.first();
    let span = first.map_or_else(|| begin(input), |member| member.key_span.clone());
    let what = "this goes to `/generate`, which takes `text` or `input_ids`".to_owned();
    Some((
        span,
        what,
        Some("a chat is `openai_route` with `openai_input`"),
    ))
}
