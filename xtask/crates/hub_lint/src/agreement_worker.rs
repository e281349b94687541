//! The worker's own files: what the Dockerfile starts, what lies in `.runpod/`, and what the
//! handler makes of the tests.

use super::agreement::{NO_HANDLER, REFUSED, STRAY};
use super::agreement_env::{is_sglang, place};
use super::document::{Document, Which};
use super::shape::{begin, short};
use anyhow::Result;
use worker_files::WorkerInterface;
use worker_files::json::{Kind, Node};
use xtask_core::finding::{Finding, Place};
use xtask_core::tree::{Memory, RepoPath, Tree};

/// Whether there is anything to compare the two files with.
pub fn has_code(tree: &dyn Tree) -> bool {
    tree.entries().keys().any(|path| {
        let name = path.name();
        name == b"Dockerfile" || name == b"README.md" || name.ends_with(b".py")
    })
}

/// What the worker exposes. Of one that has nothing to do with `sglang`, only the Dockerfile and the
/// README are asked, so its code is not read.
pub fn surface(tree: &dyn Tree) -> Result<WorkerInterface> {
    let mut around = Memory::new();
    for (path, entry) in tree.entries() {
        let name = path.name();
        let code = name.ends_with(b".py") || name.ends_with(b".sh") || name.ends_with(b".txt");
        let image = matches!(name, b"Dockerfile" | b"README.md" | b"sglang_flags.json");
        if !entry.mode.is_file() || !(code || image) || entry.size.is_some_and(|n| n > LARGEST) {
            continue;
        }
        // The README of any language model's worker may speak of SGLang.
        if name != b"README.md" && String::from_utf8_lossy(&tree.read(path)?).contains("sglang") {
            return WorkerInterface::read(tree);
        }
        if image && let Some(text) = path.as_str() {
            around = around.with(text, tree.read(path)?);
        }
    }
    WorkerInterface::read(&around)
}

/// Files beyond this many bytes hold no worker's code.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Looks at the repository around the two files.
pub fn check(
    tree: &dyn Tree,
    hub: Option<&Document>,
    tests: Option<&Document>,
    surface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    if hub.is_some() {
        handler(tree, surface, findings);
    }
    strays(tree, findings);
    if let Some(tests) = tests
        && is_sglang(surface)
    {
        for test in tests.root.get("tests").map_or(&[][..], Node::items) {
            if let Some(input) = test.get("input") {
                findings.extend(refused(tests, input, surface));
            }
        }
    }
}

/// The Python file that the image starts has to be in the repository, unless the image may have
/// it from elsewhere.
fn handler(tree: &dyn Tree, surface: &WorkerInterface, findings: &mut Vec<Finding>) {
    let Some(image) = &surface.image else {
        return;
    };
    let copies = image.copies.iter().any(|copy| copy.from.is_none());
    // What the build fetches may well be what it starts.
    let fetches = image.base.as_ref().is_none_or(|base| {
        let source = surface.sources.get(&base.place.file);
        source.is_none_or(|source| {
            ["git clone", "wget ", "curl "]
                .iter()
                .any(|word| source.text.contains(word))
        })
    });
    if !copies || fetches {
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
            if !there {
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
            .help("the Hub prefers what lies there over the root; `cargo xtask migrate --check` tells where it belongs"),
        );
    }
}

/// Routes that answer to GET, without a body: those of `GET_ROUTES` in the worker's relay.py.
pub(super) const READING: &[&str] = &[
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

fn refused(tests: &Document, input: &Node, surface: &WorkerInterface) -> Option<Finding> {
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
        surface
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
    if surface.python.inputs.is_empty() {
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
