//! Checks of the text of the worker's files.

use std::collections::HashSet;

use super::env::not_read;
use super::{Worker, is_foreign, is_sglang, place};
use crate::finding::{Finding, Safety};
use crate::model::{self, EnvVariable, HubDocument, short};
use crate::rule;
use anyhow::Result;
use worker_files::dockerfile::Text;
use worker_files::{Hides, is_one_of};
use xtask_core::tree::Tree;

/// A repository with more text is not just a worker, and is not checked.
const MOST: usize = 32 * 1024 * 1024;

/// The repository's texts without prose and without the Hub's files.
struct WorkerTexts(Vec<String>);

impl WorkerTexts {
    /// Reads the texts; `None` where there is too much text for a worker.
    fn read(tree: &dyn Tree) -> Result<Option<Self>> {
        let mut texts = Vec::new();
        let mut total = 0;
        for (path, entry) in tree.entries() {
            let name = path.as_str().unwrap_or_default().to_lowercase();
            if !entry.mode.is_file() || is_prose(&name) {
                continue;
            }
            let bytes = tree.read(path)?;
            // Pictures and weights have NUL bytes near their start.
            if bytes.iter().take(1024).any(|byte| *byte == 0) {
                continue;
            }
            total += bytes.len();
            if total > MOST {
                return Ok(None);
            }
            texts.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        Ok(Some(Self(texts)))
    }

    fn contain(&self, words: &[&str]) -> bool {
        let mut texts = self.0.iter();
        texts.any(|text| words.iter().any(|word| text.contains(word)))
    }

    /// The wanted names that occur in some text, in capitals: settings classes read any case.
    fn names(&self, wanted: &HashSet<String>) -> HashSet<String> {
        let is_separator = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let words = self.0.iter().flat_map(|text| text.split(is_separator));
        let names = words.map(str::to_ascii_uppercase);
        names.filter(|word| wanted.contains(word)).collect()
    }

    /// Whether some text computes names of variables, or reads all variables.
    fn computes_names(&self) -> bool {
        const ALL_VARIABLES: &[&str] = &[
            "environ.items(",
            "environ.keys(",
            "in os.environ:",
            "in os.environ if",
            "in environ:",
            "env_prefix",
            "${!",
            "printenv",
            "envsubst",
            "Object.entries(process.env",
            "Object.keys(process.env",
            "{...process.env",
        ];
        self.contain(ALL_VARIABLES) || self.0.iter().any(|text| computes_name(text))
    }
}

/// Whether a file is prose, or one of the Hub's and the linter's own, by its path in lower case.
fn is_prose(name: &str) -> bool {
    let ending = name.rsplit('.').next().unwrap_or_default();
    matches!(ending, "md" | "rst" | "ipynb" | "svg" | "csv" | "lock")
        || (ending == "txt" && !name.contains("requirements"))
        || name.contains("tests")
        || name == "hub-lint.json"
        || name.ends_with("hub.json")
        || name.ends_with("license")
}

/// Whether a text reads a variable whose name it computes.
fn computes_name(text: &str) -> bool {
    let is_computed = |argument: &str| match argument.chars().next() {
        Some('"' | '\'') => false,
        // A name in a Python variable is a text elsewhere, unless it is computed.
        Some(first) if first.is_alphabetic() || first == '_' => {
            let word = argument.split([',', ')', ']']).next().unwrap_or(argument);
            ["f\"", "f'"].iter().any(|start| word.starts_with(start))
                || word.contains(['+', '%', '.', '('])
                || [".upper()", "f\"{"].iter().any(|part| text.contains(part))
        }
        _ => true,
    };
    let accesses = ["getenv(", "environ.get(", "environ[", "process.env["];
    let mut arguments = (accesses.iter()).flat_map(|access| text.split(access).skip(1));
    arguments.any(|argument| is_computed(argument.trim_start()))
}

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) -> Result<()> {
    let Some(code) = &WorkerTexts::read(worker.tree)? else {
        return Ok(());
    };
    if let Some(hub) = worker.hub {
        if !is_sglang(&worker.facts) {
            unread(worker, code, hub, findings);
        }
        check_start(worker, code, hub, findings);
        findings.extend(idle_gpus(worker, hub));
    }
    if let Some(tests) = worker.tests {
        short_timeouts(code, tests, findings);
    }
    Ok(())
}

fn unread(worker: &Worker<'_>, code: &WorkerTexts, hub: &HubDocument, findings: &mut Vec<Finding>) {
    let mut own = model::variables(hub);
    own.retain(|variable| !is_foreign(variable.key));
    if own.is_empty() || !worker.has_plain_base() || code.computes_names() {
        return;
    }
    let upper = |variable: &EnvVariable<'_>| variable.key.to_ascii_uppercase();
    let named = code.names(&own.iter().map(upper).collect());
    own.retain(|variable| !named.contains(&upper(variable)));
    findings.extend(own.iter().map(not_read));
}

const TAKES_JOBS: &[&str] = &[
    "runpod.serverless",
    "serverless.start",
    "import runpod",
    "from runpod",
    "runpod-sdk",
    "RUNPOD_WEBHOOK_GET_JOB",
];

/// Checks that the repository has the Python files that the image starts, unless they may come from
/// elsewhere, and that something takes jobs.
fn check_start(
    worker: &Worker<'_>,
    code: &WorkerTexts,
    hub: &HubDocument,
    findings: &mut Vec<Finding>,
) {
    let Some(image) = &worker.facts.image else {
        return;
    };
    if worker.brings_code() || worker.may_hide(Hides::Image) {
        return;
    }
    let has_copies = image.copies.iter().any(|copy| copy.from.is_none());
    let mut known_start = None;
    for start in image.starts() {
        let is_separator = |c: char| c.is_whitespace() || "\"'[],".contains(c);
        let words = start.text.split(is_separator).filter(|word| word.len() > 3);
        for word in words.filter(|word| word.strip_suffix(".py").is_some()) {
            let name = word.rsplit('/').next().unwrap_or(word);
            let mut paths = worker.tree.entries().keys();
            let is_plain = has_copies && !word.contains(['$', '*', '=']);
            if paths.any(|path| path.name() == name.as_bytes()) {
                known_start = Some(start);
            } else if is_plain && !is_written(worker, start, name) {
                let shown = short(word);
                let what = format!("the image starts `{shown}`, which is not in the repository");
                let help = "the Hub builds from what is committed; is it ignored by git?";
                let finding = rule::named("no-handler").at(place(&start.place), what);
                findings.push(finding.help(help));
            }
        }
    }
    let is = |text: Option<&str>, word: &str| text.is_some_and(|t| t.eq_ignore_ascii_case(word));
    let is_balancer =
        is(hub.config().text("endpointType"), "LB") || hub.root.get("endpointType").is_some();
    if let Some(start) = known_start
        && !is_balancer
        && is(hub.root.text("type"), "serverless")
        && !code.contain(TAKES_JOBS)
    {
        let what =
            "nothing in the repository calls `runpod.serverless.start`: no job is ever taken";
        let help = "a load balancer says so: `\"endpointType\": \"LB\"` in hub.json's `config`";
        let finding = rule::named("no-serverless-start").at(place(&start.place), what);
        findings.push(finding.help(help));
    }
}

/// Whether a step of the build may write a file.
fn is_written(worker: &Worker<'_>, start: &Text, name: &str) -> bool {
    let source = worker.facts.sources.get(&start.place.file);
    let mut lines = source.iter().flat_map(|source| source.text.lines());
    let others = ["COPY", "ADD", "CMD", "ENTRYPOINT"];
    let is_other = |line: &str| others.iter().any(|it| line.trim_start().starts_with(it));
    lines.any(|line| line.contains(name) && !is_other(line))
}

const LOADERS: &str = "\
    from_pretrained transformers diffusers faster_whisper faster-whisper torch.load load_model \
    vllm sglang llama_cpp ollama comfyui ComfyUI safetensors";

fn short_timeouts(code: &WorkerTexts, tests: &HubDocument, findings: &mut Vec<Finding>) {
    let tests_of_file = tests.root.list("tests").iter();
    let timeouts = tests_of_file.filter_map(|test| {
        let node = test.at("timeout");
        Some((node, node.as_f64()?))
    });
    let mut short: Vec<_> = timeouts.collect();
    short.retain(|(_, timeout)| (5000.0..=30_000.0).contains(timeout));
    if short.is_empty() || !code.contain(&LOADERS.split(' ').collect::<Vec<_>>()) {
        return;
    }
    for (node, timeout) in short {
        let seconds = timeout / 1000.0;
        let what = format!("a timeout of {seconds} seconds is short where a model is loaded");
        let help = "the first job waits for a machine, the image and the model";
        let finding = tests.at("short-timeout", &node.span, what).help(help);
        findings.push(finding.write(Safety::Unsafe, &node.span, "300000", "300000"));
    }
}

/// The flags that spread a model or its requests over GPUs.
const SIZES: &str = "\
    --tp-size --tensor-parallel-size --tp --dp-size --data-parallel-size --dp --pp-size \
    --pipeline-parallel-size";

fn idle_gpus(worker: &Worker<'_>, hub: &HubDocument) -> Option<Finding> {
    let facts = &worker.facts;
    let count = hub.config().at("gpuCount");
    count.as_f64().filter(|n| *n >= 2.0)?;
    let drives = facts.env.iter().filter_map(|read| read.drives.as_ref());
    let fixed = facts.python.flags.iter().map(|given| &given.flag);
    let mut flags = drives.map(|drive| &drive.flag).chain(fixed);
    let mut texts = facts.sources.values().map(|source| source.text.as_str());
    let sets_size = facts.flag_table.is_some()
        || flags.any(|flag| is_one_of(SIZES, flag))
        || texts.any(|text| SIZES.split(' ').any(|flag| text.contains(flag)));
    if !is_sglang(facts) || sets_size || worker.may_hide(Hides::Flags) {
        return None;
    }
    let gpus = hub.source(count);
    let what = format!("SGLang uses one of {gpus} GPUs: nothing passes `--tp-size` on");
    Some(hub.at("idle-gpus", &count.span, what))
}
