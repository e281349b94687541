//! The worker's own files: what the Dockerfile starts, what lies in `.runpod/`, and what the
//! handler makes of the tests.

use super::{Worker, is_sglang, place};
use crate::document::{Document, Which, begin, short};
use crate::rule::rules;
use worker_files::json::{Kind, Node};
use worker_files::{Hides, WorkerInterface};
use xtask_core::finding::{Finding, Place};
use xtask_core::tree::{RepoPath, Tree};

rules! { Agreement;
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

    /// In the modern layout `.runpod/` holds hub.json and tests.json and nothing else: a Dockerfile
    /// or README there takes precedence over the one at the root, unseen. Said of repositories that
    /// `cargo xtask migrate` has moved (they have an `.xtask/upstream.lock.json`).
    ///
    /// Bad:
    /// ```json .xtask/upstream.lock.json
    /// {}
    /// ```
    /// ```dockerfile .runpod/Dockerfile
    /// FROM scratch
    /// ```
    STRAY = "HUB315" "stray-file" Warning Never
        "something else in `.runpod/` of a modern worker"
        from "the modern layout";

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

/// Looks at the repository around the two files.
pub fn check(
    worker: &Worker<'_>,
    hub: Option<&Document>,
    tests: Option<&Document>,
    findings: &mut Vec<Finding>,
) {
    if hub.is_some() {
        handler(worker, findings);
    }
    strays(worker.tree, findings);
    if let Some(tests) = tests
        && is_sglang(&worker.facts)
    {
        for test in tests.root.get("tests").map_or(&[][..], Node::items) {
            if let Some(input) = test.get("input") {
                findings.extend(refused(tests, input, &worker.facts));
            }
        }
    }
}

/// The Python file that the image starts has to be in the repository, unless the image may have
/// it from elsewhere.
fn handler(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    let (tree, interface) = (worker.tree, &worker.facts);
    let Some(image) = &interface.image else {
        return;
    };
    let copies = image.copies.iter().any(|copy| copy.from.is_none());
    if !copies || worker.brings_code() || worker.may_hide(Hides::Image) {
        return;
    }
    for start in image.starts() {
        let words = start
            .text
            .split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '[' | ']' | ','));
        let python = |word: &&str| {
            word.strip_suffix(".py")
                .is_some_and(|stem| !stem.is_empty())
        };
        for word in words.filter(python) {
            if word.contains(['$', '*', '=']) {
                continue;
            }
            let name = word.rsplit('/').next().unwrap_or(word);
            let there = tree
                .entries()
                .keys()
                .any(|path| path.name() == name.as_bytes());
            // A step of the build may write it.
            let lines = interface
                .sources
                .get(&start.place.file)
                .map(|source| source.text.lines());
            let written = lines.into_iter().flatten().any(|line| {
                let copied = ["COPY", "ADD", "CMD", "ENTRYPOINT"]
                    .iter()
                    .any(|word| line.trim_start().starts_with(word));
                line.contains(name) && !copied
            });
            if !there && !written {
                findings.push(
                    Finding::at(
                        &NO_HANDLER,
                        place(&start.place),
                        format!(
                            "the image starts `{}`, which is not in the repository",
                            short(word)
                        ),
                    )
                    .help("the Hub builds from what is committed; is it ignored by git?"),
                );
            }
        }
    }
}

/// What else lies in `.runpod/`, where the modern layout has two files.
fn strays(tree: &dyn Tree, findings: &mut Vec<Finding>) {
    let lock = RepoPath::from(".xtask/upstream.lock.json");
    if !tree.entries().contains_key(&lock) {
        return;
    }
    for path in tree.entries().keys() {
        let Some(inner) = path.strip_prefix(".runpod") else {
            continue;
        };
        if Which::of(path).is_some() && inner == path.name() {
            continue;
        }
        findings.push(
            Finding::at(
                &STRAY,
                Place::new(path.clone(), 0..0),
                format!("{path}: `.runpod/` of a modern worker holds hub.json and tests.json alone"),
            )
            .help("the Hub prefers what lies there over the root; `cargo xtask migrate --check` says where it belongs"),
        );
    }
}

/// Routes that answer to GET, without a body: those of `GET_ROUTES` in the worker's relay.py.
pub const READING: &[&str] = &[
    "/v1/models",
    "/models",
    "/health",
    "/health_generate",
    "/ping",
    "/model_info",
    "/get_model_info",
    "/server_info",
    "/get_server_info",
    "/get_load",
    "/v1/loads",
    "/metrics",
    "/weight_version",
    "/get_weight_version",
];

/// One of these is what `/generate` makes something of.
const GENERATE: &[&str] = &["text", "input_ids", "input_embeds"];

fn refused(tests: &Document, input: &Node, interface: &WorkerInterface) -> Option<Finding> {
    let Kind::Object(members) = &input.kind else {
        return None;
    };
    let say =
        |span: &xtask_core::finding::Span, message: String| Some(tests.at(&REFUSED, span, message));
    if let Some(route) = input.member("openai_route") {
        let Some(text) = route.value.as_str() else {
            let what = route.value.what();
            return say(
                &route.value.span,
                format!("`openai_route` is {what}, not a path"),
            );
        };
        if !text.starts_with('/') {
            return say(
                &route.value.span,
                format!("the route `{}` does not begin with `/`", short(text)),
            );
        }
        if text.starts_with("//") {
            return say(
                &route.value.span,
                format!("the route `{}` names another host", short(text)),
            );
        }
        let path = text.split('?').next().unwrap_or(text);
        let Some(body) = input.member("openai_input") else {
            if READING.contains(&path.trim_end_matches('/')) || path.starts_with("/v1/models/") {
                return None;
            }
            return say(
                &route.key_span,
                format!(
                    "`{}` takes a body, and there is no `openai_input`",
                    short(text)
                ),
            );
        };
        let needs: &[&str] = match path.strip_prefix("/v1").unwrap_or(path) {
            "/chat/completions" => &["messages"],
            "/completions" => &["prompt"],
            "/embeddings" => &["input"],
            _ => return None,
        };
        let missing = needs.iter().find(|key| body.value.get(key).is_none())?;
        return say(
            &body.key_span,
            format!("`{}` answers 400 without `{missing}`", short(text)),
        );
    }
    // Keys that the handler itself looks at make it a form of its own.
    let looked_at = |key: &str| {
        interface
            .python
            .inputs
            .iter()
            .any(|input| input.path.split('.').next() == Some(key))
    };
    if members
        .iter()
        .any(|member| GENERATE.contains(&member.key.as_str()) || looked_at(&member.key))
    {
        return None;
    }
    // Nothing is known of how this handler reads its jobs.
    if interface.python.inputs.is_empty() {
        return None;
    }
    let span = members
        .first()
        .map_or_else(|| begin(input), |member| member.key_span.clone());
    Some(
        tests
            .at(
                &REFUSED,
                &span,
                "this goes to `/generate`, which takes `text` or `input_ids`",
            )
            .help("a chat is `openai_route` with `openai_input`"),
    )
}
