//! GPU pools, GPU ids and CUDA versions.

use std::collections::HashSet;

use crate::document::{Document, Which, short};
use crate::edit;
use crate::facts;
use crate::model;
use crate::rule::rules;
use worker_files::json::Node;
use xtask_core::finding::{Finding, Safety, Severity, Span};
use xtask_core::suggest;

rules! { Meaning;
    /// A pool groups GPUs by architecture and memory. There are eleven; this is none of them, so
    /// that the endpoint finds no machine.
    ///
    /// Bad:
    /// ```json config
    /// "gpuIds": "ADA_48"
    /// ```
    /// Good:
    /// ```json config
    /// "gpuIds": "ADA_48_PRO"
    /// ```
    POOL = "HUB210" "unknown-gpu-pool" Error Unsafely
        "a GPU pool that RunPod doesn't have"
        from "the Hub's publishing guide and RunPod's Flash documentation; eight published listings";

    /// A GPU is named by its full id, as `NVIDIA GeForce RTX 4090`. The Hub guide's own template
    /// says `"gpuIds": "RTX A4000,-NVIDIA GeForce RTX 4090"`, of which `RTX A4000` is no id: it is
    /// `NVIDIA RTX A4000`.
    ///
    /// Bad:
    /// ```json config
    /// "gpuIds": "RTX A4000,-NVIDIA RTX 4090"
    /// ```
    /// Good:
    /// ```json config
    /// "gpuIds": "NVIDIA RTX A4000,-NVIDIA GeForce RTX 4090"
    /// ```
    GPU = "HUB211" "unknown-gpu" Error Unsafely
        "a GPU that RunPod doesn't have under this name"
        from "RunPod's list of GPU types (February 2026); ten published listings";

    /// A `-` excludes a single GPU from the pools before it. It takes an id, not a pool, and has no
    /// meaning where nothing was chosen, or for a GPU that no pool holds.
    ///
    /// Bad:
    /// ```json config
    /// "gpuIds": "ADA_24,-AMPERE_24"
    /// ```
    /// Good:
    /// ```json config
    /// "gpuIds": "ADA_24,-NVIDIA L4"
    /// ```
    EXCLUSION = "HUB212" "odd-gpu-exclusion" Warning Never
        "an exclusion that excludes nothing"
        from "the Hub's publishing guide";

    /// The tests run on one GPU, which `gpuTypeId` names by its id; pools are for `gpuIds` in
    /// hub.json.
    ///
    /// Bad:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": {} }], "config": { "gpuTypeId": "AMPERE_16" } }
    /// ```
    /// Good:
    /// ```json tests
    /// { "tests": [{ "name": "one", "input": {} }], "config": { "gpuTypeId": "NVIDIA RTX A4000" } }
    /// ```
    POOL_AS_GPU = "HUB213" "pool-as-gpu" Error Never
        "a pool where one GPU has to be named"
        from "the Hub's publishing guide; two published tests.json";

    /// CUDA versions are written with a dot and in quotes: `"12.8"`.
    ///
    /// Bad:
    /// ```json config
    /// "allowedCudaVersions": ["12", "cuda12.8"]
    /// ```
    /// Good:
    /// ```json config
    /// "allowedCudaVersions": ["12.8"]
    /// ```
    CUDA_FORM = "HUB214" "odd-cuda-version" Error Never
        "text that is no CUDA version"
        from "the Hub's publishing guide";

    /// A version of CUDA that is not known to exist: no host has it.
    ///
    /// Bad:
    /// ```json config
    /// "allowedCudaVersions": ["12.8", "12.11"]
    /// ```
    /// Good:
    /// ```json config
    /// "allowedCudaVersions": ["12.8", "12.9"]
    /// ```
    CUDA_UNKNOWN = "HUB215" "unknown-cuda-version" Warning Never
        "a CUDA version that nobody has seen"
        from "the versions in published listings: 11.8, 12.0 to 12.9, 13.0 to 13.2";

    /// `gpuIds` is one text: names, separated by commas, each once. An empty text names nothing.
    ///
    /// Bad:
    /// ```json config
    /// "gpuIds": "ADA_24;AMPERE_24"
    /// ```
    /// Good:
    /// ```json config
    /// "gpuIds": "ADA_24,AMPERE_24"
    /// ```
    LIST = "HUB216" "odd-gpu-list" Warning Unsafely
        "a list of GPUs that is empty, names one twice or has no commas"
        from "the Hub's publishing guide; published listings";
}

/// Looks at one file.
pub fn check(document: &Document, findings: &mut Vec<Finding>) {
    let Some(config) = document.root.get("config") else {
        return;
    };
    cuda(document, config, findings);
    match document.which {
        Which::Hub => {
            if let Some(node) = config.get("gpuIds") {
                // A list is of the wrong type, and its names are looked at all the same.
                for node in std::iter::once(node).chain(node.items()) {
                    if let Some(text) = node.as_str() {
                        gpu_ids(document, node, text, findings);
                    }
                }
            }
        }
        Which::Tests => {
            if let Some(node) = config.get("gpuTypeId").and_then(model::said)
                && let Some(text) = node.as_str()
            {
                gpu_type(document, node, text, findings);
            }
        }
    }
}

/// One GPU or pool of a list.
#[derive(Debug)]
pub struct Choice<'a> {
    pub name: &'a str,
    /// Whether `-` stands before it.
    pub excluded: bool,
    /// Where the name stands in the file, without the `-`.
    pub span: Span,
}

/// The parts of `gpuIds`.
pub fn choices<'a>(document: &Document, node: &Node, text: &'a str) -> Vec<Choice<'a>> {
    // Offsets within the text are offsets in the file, unless something is escaped.
    let plain = document.source(node).len() == text.len() + 2;
    let mut at = 0;
    let mut choices = Vec::new();
    for part in text.split(',') {
        let start = at + (part.len() - part.trim_start().len());
        at += part.len() + 1;
        let part = part.trim();
        let (name, excluded) = match part.strip_prefix('-') {
            Some(name) => (name.trim_start(), true),
            None => (part, false),
        };
        if name.is_empty() {
            continue;
        }
        let begin = node.span.start + 1 + start + (part.len() - name.len());
        let span = if plain {
            begin..begin + name.len()
        } else {
            node.span.clone()
        };
        choices.push(Choice {
            name,
            excluded,
            span,
        });
    }
    choices
}

/// Whether a name looks like a pool's: capitals, digits and at least one `_`.
pub fn looks_like_pool(name: &str) -> bool {
    name.contains('_')
        && name
            .chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

fn gpu_ids(document: &Document, node: &Node, text: &str, findings: &mut Vec<Finding>) {
    let choices = choices(document, node, text);
    let mut seen = HashSet::new();
    for choice in &choices {
        if !seen.insert(choice.name) {
            let message = format!("`{}` is in the list twice", short(choice.name));
            findings.push(document.at(&LIST, &choice.span, message));
            continue;
        }
        let known_pool = facts::GPU_POOLS.contains(&choice.name);
        if known_pool && choice.excluded {
            findings.push(
                document
                    .at(
                        &EXCLUSION,
                        &choice.span,
                        format!("`-` excludes one GPU, not the pool `{}`", choice.name),
                    )
                    .help("leave the pool out of the list, or name the GPU's id"),
            );
        } else if choice.excluded && !facts::may_be_in_a_pool(choice.name) {
            findings.push(document.at(
                &EXCLUSION,
                &choice.span,
                format!(
                    "no pool holds `{}`, so there is nothing to exclude",
                    short(choice.name)
                ),
            ));
        } else if known_pool || facts::GPU_IDS.contains(&choice.name) {
        } else if let Some(right) = separated(choice.name) {
            let finding = document
                .at(
                    &LIST,
                    &choice.span,
                    "the names in `gpuIds` are separated by commas",
                )
                .help(format!("did you mean `{right}`?"));
            findings.push(replace(finding, node, &choice.span, &right));
        } else if looks_like_pool(&choice.name.to_uppercase()) && !choice.excluded {
            findings.push(unknown_pool(document, node, choice));
        } else {
            findings.push(unknown_gpu(document, node, &choice.span, choice.name));
        }
    }
    if choices.is_empty() {
        findings.push(
            document
                .at(&LIST, &node.span, "`gpuIds` names no GPU")
                .help("leave the key out to take any GPU, or name pools such as `ADA_24`"),
        );
    } else if choices.iter().all(|choice| choice.excluded) {
        findings.push(document.at(
            &EXCLUSION,
            &node.span,
            "`gpuIds` only excludes GPUs and names none to use",
        ));
    }
}

/// The names of a list with other separators than commas, with commas.
fn separated(text: &str) -> Option<String> {
    let names: Vec<&str> = text.split([';', '|']).map(str::trim).collect();
    let known = |name: &&str| facts::GPU_POOLS.contains(name) || facts::GPU_IDS.contains(name);
    (names.len() > 1 && names.iter().all(known)).then(|| names.join(","))
}

fn unknown_pool(document: &Document, node: &Node, choice: &Choice<'_>) -> Finding {
    let name = choice.name;
    let mut finding = document.at(
        &POOL,
        &choice.span,
        format!("RunPod has no GPU pool `{}`", short(name)),
    );
    if let Some(right) = nearest_pool(name) {
        finding = finding.help(format!("did you mean `{right}`?"));
        finding = replace(finding, node, &choice.span, right);
    } else if let [right] = alike(name)[..] {
        finding = finding.help(format!("the GPU's id is `{right}`"));
        finding = replace(finding, node, &choice.span, right);
    } else {
        let models = same_model(name);
        if !models.is_empty() {
            finding = finding.help(format!("GPUs of this model: {}", suggest::all_of(&models)));
        }
    }
    finding.help(format!(
        "the pools are {}",
        suggest::all_of(facts::GPU_POOLS)
    ))
}

/// The pool that a name means: by its letters, or by its memory where the rest begins alike.
fn nearest_pool(name: &str) -> Option<&'static str> {
    if let Some((pool, _)) = suggest::nearest(name, facts::GPU_POOLS.iter().copied()) {
        return Some(pool);
    }
    let (family, memory) = name.rsplit_once('_')?;
    let mut fitting = facts::GPU_POOLS.iter().copied().filter(|pool| {
        let mut parts = pool.split('_');
        let (Some(own), Some(size)) = (parts.next(), parts.next()) else {
            return false;
        };
        size == memory && (own.starts_with(family) || family.starts_with(own))
    });
    let pool = fitting.next()?;
    fitting.next().is_none().then_some(pool)
}

/// The words of a GPU's name, in lower case.
fn words(name: &str) -> Vec<String> {
    name.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The GPU ids that hold every word of a name.
fn alike(name: &str) -> Vec<&'static str> {
    let wanted: Vec<String> = words(name);
    let mut found: Vec<(usize, &'static str)> = facts::GPU_IDS
        .iter()
        .filter_map(|id| {
            let have = words(id);
            wanted
                .iter()
                .all(|word| have.contains(word))
                .then_some((have.len(), *id))
        })
        .collect();
    // The id that adds least is meant: `RTX 3080` is no `3080 Ti`.
    found.sort_unstable();
    let ties = found.iter().filter(|(n, _)| *n == found[0].0).count();
    if wanted.len() > 1 && ties == 1 {
        found.truncate(1);
    }
    found.into_iter().map(|(_, id)| id).collect()
}

/// The GPU ids of the model that a name speaks of: all H100 for `H100 SXM` and `H100_80`.
fn same_model(name: &str) -> Vec<&'static str> {
    // `4090` or `h100`, and neither `80` nor `80gb`.
    let is_model = |word: &String| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        digits > 0 && (digits == 4 || digits < word.len()) && !word.ends_with("gb")
    };
    let wanted: Vec<String> = words(name).into_iter().filter(is_model).collect();
    facts::GPU_IDS
        .iter()
        .copied()
        .filter(|id| words(id).iter().any(|word| wanted.contains(word)))
        .collect()
}

fn unknown_gpu(document: &Document, node: &Node, span: &Span, name: &str) -> Finding {
    let mut finding = document.at(
        &GPU,
        span,
        format!("RunPod has no GPU with the id `{}`", short(name)),
    );
    if facts::GPU_IDS_OF_REST.contains(&name) {
        finding.severity = Severity::Warning;
        finding.message = format!("`{name}` is an id of RunPod's REST API alone");
        return finding.help("the Hub's list of GPUs does not have it");
    }
    let alike = alike(name);
    // A slip in `GeForce` is one; another model is another GPU, however near it is written.
    let models = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.contains(|c: char| c.is_ascii_digit()))
            .map(str::to_lowercase)
            .collect()
    };
    let wanted = models(name);
    let same = facts::GPU_IDS.iter().copied().filter(|id| {
        let have = models(id);
        wanted.iter().all(|word| have.contains(word))
    });
    let nearest = suggest::nearest(name, same).filter(|_| alike.is_empty());
    let one = match (alike.as_slice(), nearest) {
        ([right], _) => Some(*right),
        ([], Some((right, _))) => Some(right),
        _ => None,
    };
    match (alike.as_slice(), one) {
        (_, Some(right)) => {
            finding = finding.help(format!("did you mean `{right}`?"));
            finding = replace(finding, node, span, right);
        }
        ([], None) => {
            let models = same_model(name);
            finding = finding.help(if models.is_empty() {
                "`--explain unknown-gpu` lists the ids".to_owned()
            } else {
                format!("there are {}", suggest::all_of(&models))
            });
        }
        (several, _) => {
            finding = finding.help(format!("there are {}", suggest::all_of(several)));
        }
    }
    if name == "RTX A4000" {
        finding = finding
            .help("the Hub guide's own template says `RTX A4000`, which its table does not have");
    }
    finding
}

fn replace(finding: Finding, node: &Node, span: &Span, right: &str) -> Finding {
    // Only where the name's own place is known.
    if *span == node.span {
        return finding;
    }
    finding.write(Safety::Unsafe, span, right, right)
}

fn gpu_type(document: &Document, node: &Node, text: &str, findings: &mut Vec<Finding>) {
    if facts::GPU_IDS.contains(&text) {
        return;
    }
    let help = "name one GPU's id, such as `NVIDIA GeForce RTX 4090`";
    if text.contains(',') {
        let message = "`gpuTypeId` names one GPU, not several";
        findings.push(document.at(&POOL_AS_GPU, &node.span, message).help(help));
        return;
    }
    if looks_like_pool(text.trim().trim_start_matches('-')) {
        let message = format!("`gpuTypeId` names one GPU, and `{}` is a pool", short(text));
        findings.push(document.at(&POOL_AS_GPU, &node.span, message).help(help));
        return;
    }
    let inner = node.span.start + 1..node.span.end.saturating_sub(1).max(node.span.start + 1);
    findings.push(unknown_gpu(document, node, &inner, text));
}

fn cuda(document: &Document, config: &Node, findings: &mut Vec<Finding>) {
    for node in config
        .get("allowedCudaVersions")
        .map_or(&[][..], Node::items)
    {
        let Some(text) = node.as_str() else {
            continue;
        };
        if facts::CUDA_VERSIONS.contains(&text) {
            continue;
        }
        let Some(version) = model::version(text).filter(|_| text.trim() == text) else {
            let digits: String = text
                .chars()
                .filter(|c| c.is_ascii_digit() || *c == '.')
                .collect();
            let mut finding = document.at(
                &CUDA_FORM,
                &node.span,
                format!("`{}` is no CUDA version", short(text)),
            );
            finding = match facts::CUDA_VERSIONS.iter().find(|known| **known == digits) {
                Some(right) => finding.help(format!("write {}", edit::quote(right))),
                None => finding.help("they are written like \"12.8\""),
            };
            findings.push(finding);
            continue;
        };
        // What is older or newer than all of them may well exist.
        let known = |text: Option<&&str>| text.and_then(|text| model::version(text));
        let oldest = known(facts::CUDA_VERSIONS.first());
        let newest = known(facts::CUDA_VERSIONS.last());
        if oldest.is_some_and(|oldest| version < oldest) || newest.is_some_and(|n| version > n) {
            continue;
        }
        findings.push(
            document
                .at(
                    &CUDA_UNKNOWN,
                    &node.span,
                    format!("no host has CUDA {}", short(text)),
                )
                .help(format!(
                    "known are {}",
                    suggest::all_of(facts::CUDA_VERSIONS)
                )),
        );
    }
}
