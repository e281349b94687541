//! GPU pools, GPU ids and CUDA versions.

use std::collections::HashSet;

use crate::facts;
use crate::finding::{Finding, Safety};
use crate::model::{self, HubDocument, Which, short};
use worker_files::json::{JsonNode, Span};
use xtask_core::suggest;

pub fn check(document: &HubDocument, findings: &mut Vec<Finding>) {
    let config = document.config();
    let versions = config.list("allowedCudaVersions").iter();
    findings.extend(versions.filter_map(|node| cuda(document, node)));
    match document.which {
        Which::Hub => {
            // A list has the wrong type, but its names can be checked.
            let nodes = config.get("gpuIds").into_iter();
            for node in nodes.chain(config.list("gpuIds")) {
                if let Some(text) = node.as_str() {
                    gpu_ids(document, node, text, findings);
                }
            }
        }
        Which::Tests => {
            let node = model::non_empty(config.at("gpuTypeId"));
            findings.extend(node.and_then(|node| gpu_type(document, node)));
        }
    }
}

/// One GPU or pool of a list.
#[derive(Debug)]
pub struct Choice<'a> {
    pub name: &'a str,
    /// Whether it has a `-` in front.
    pub excluded: bool,
    /// The place of the name without the `-`.
    pub span: Span,
}

/// The parts of `gpuIds`.
pub fn choices<'a>(document: &HubDocument, node: &JsonNode, text: &'a str) -> Vec<Choice<'a>> {
    // Offsets within the text are offsets in the file, unless something is escaped.
    let is_plain = document.source(node).len() == text.len() + 2;
    let choice = |part: &'a str| {
        let name = part.strip_prefix('-').map_or(part, str::trim_start);
        let start = node.span.start + 1 + (name.as_ptr().addr() - text.as_ptr().addr());
        let span = is_plain.then(|| start..start + name.len());
        Choice {
            name,
            excluded: part.starts_with('-'),
            span: span.unwrap_or_else(|| node.span.clone()),
        }
    };
    let choices = text.split(',').map(|part| choice(part.trim()));
    choices.filter(|choice| !choice.name.is_empty()).collect()
}

/// Whether a name looks like a pool's: capitals, digits and at least one `_`.
pub fn looks_like_pool(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    name.contains('_') && name.chars().all(is_allowed)
}

fn gpu_ids(document: &HubDocument, node: &JsonNode, text: &str, findings: &mut Vec<Finding>) {
    let choices = choices(document, node, text);
    let mut seen = HashSet::new();
    for choice in &choices {
        if seen.insert(choice.name) {
            findings.extend(check_choice(document, node, choice));
        } else {
            let what = format!("`{}` is in the list twice", short(choice.name));
            findings.push(document.at("odd-gpu-list", &choice.span, what));
        }
    }
    if choices.is_empty() {
        let help = "leave the key out to take any GPU, or name pools such as `ADA_24`";
        let finding = document.at("odd-gpu-list", &node.span, "`gpuIds` names no GPU");
        findings.push(finding.help(help));
    } else if choices.iter().all(|choice| choice.excluded) {
        let what = "`gpuIds` only excludes GPUs and names none to use";
        findings.push(document.at("odd-gpu-exclusion", &node.span, what));
    }
}

fn check_choice(document: &HubDocument, node: &JsonNode, choice: &Choice<'_>) -> Option<Finding> {
    let (name, excluded, span) = (choice.name, choice.excluded, &choice.span);
    if excluded && facts::GPU_POOLS.contains(&name) {
        let what = format!("`-` excludes one GPU, not the pool `{name}`");
        let help = "leave the pool out of the list, or name the GPU's id";
        Some(document.at("odd-gpu-exclusion", span, what).help(help))
    } else if excluded && !facts::may_be_in_a_pool(name) {
        let shown = short(name);
        let what = format!("no pool holds `{shown}`, so there is nothing to exclude");
        Some(document.at("odd-gpu-exclusion", span, what))
    } else if is_known(name) {
        None
    } else if let Some(right) = with_commas(name) {
        let what = "the names in `gpuIds` are separated by commas";
        Some(did_you_mean(
            document.at("odd-gpu-list", span, what),
            node,
            &right,
        ))
    } else if looks_like_pool(&name.to_uppercase()) && !excluded {
        let what = format!("RunPod has no GPU pool `{}`", short(name));
        let finding = document.at("unknown-gpu-pool", span, what);
        let finding = match nearest_pool(name) {
            Some(right) => did_you_mean(finding, node, right),
            None => suggest_model(finding, node, name),
        };
        let pools = suggest::all_of(&facts::GPU_POOLS);
        Some(finding.help(format!("the pools are {pools}")))
    } else {
        Some(unknown_gpu(document, node, span, name))
    }
}

fn is_known(name: &str) -> bool {
    facts::GPU_POOLS.contains(&name) || facts::GPU_IDS.contains(&name)
}

/// A list with other separators, written with commas.
fn with_commas(text: &str) -> Option<String> {
    let names: Vec<&str> = text.split([';', '|']).map(str::trim).collect();
    (names.len() > 1 && names.iter().all(|name| is_known(name))).then(|| names.join(","))
}

/// The pool that a name means: by similar letters, or the only one with its memory and the beginning of
/// its family.
fn nearest_pool(name: &str) -> Option<&'static str> {
    let near = suggest::nearest(name, facts::GPU_POOLS.iter().copied());
    let (family, memory) = name.rsplit_once('_')?;
    let mut fitting = facts::GPU_POOLS.iter().filter(|pool| {
        let mut parts = pool.split('_');
        let start = parts.next().unwrap_or_default();
        parts.next() == Some(memory) && (start.starts_with(family) || family.starts_with(start))
    });
    let only = fitting.next().filter(|_| fitting.next().is_none());
    near.map(|(pool, _)| pool).or(only.copied())
}

/// Suggests the GPUs of the model in a name: every H100 for `H100 SXM` and `H100_80`. GPUs that share
/// more words come first. If one shares all words and adds the fewest, it is meant: `RTX 3080` is no
/// `3080 Ti`.
fn suggest_model(finding: Finding, node: &JsonNode, name: &str) -> Finding {
    let words = |name: &str| -> Vec<String> {
        let words = name.split(|c: char| !c.is_alphanumeric());
        words.map(str::to_lowercase).collect()
    };
    // `4090` or `h100`, and neither `80` nor `80gb`.
    let is_model = |word: &&String| {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        digits > 0 && (digits == 4 || digits < word.len()) && !word.ends_with("gb")
    };
    let wanted = words(name);
    let models: Vec<&String> = wanted.iter().filter(is_model).collect();
    let mut ids: Vec<(usize, usize, &str)> = Vec::new();
    for id in facts::GPU_IDS.iter() {
        let have = words(id);
        if !models.is_empty() && models.iter().all(|model| have.contains(model)) {
            let shared = have.iter().filter(|word| wanted.contains(word)).count();
            ids.push((wanted.len() - shared, have.len(), id));
        }
    }
    ids.sort_unstable();
    match ids.as_slice() {
        [] => finding.help("`--explain unknown-gpu` lists the ids"),
        [(.., id)] => did_you_mean(finding, node, id),
        [(0, words, id), (_, more, _), ..] if models.len() < wanted.len() && words < more => {
            did_you_mean(finding, node, id)
        }
        _ => {
            let names: Vec<&str> = ids.iter().map(|(.., id)| *id).collect();
            finding.help(format!("there are {}", suggest::all_of(&names)))
        }
    }
}

fn unknown_gpu(document: &HubDocument, node: &JsonNode, span: &Span, name: &str) -> Finding {
    let what = format!("RunPod has no GPU with the id `{}`", short(name));
    let mut finding = document.at("unknown-gpu", span, what);
    if facts::GPU_IDS_OF_REST.contains(&name) {
        finding.message = format!("`{name}` is an id of RunPod's REST API alone");
        let finding = finding.warn_unless(false);
        return finding.help("the Hub's list of GPUs does not have it");
    }
    suggest_model(finding, node, name)
}

/// Suggests a name, with a fix where the place of the name itself is known.
fn did_you_mean(finding: Finding, node: &JsonNode, right: &str) -> Finding {
    let finding = finding.help(format!("did you mean `{right}`?"));
    let span = finding.place.span.clone();
    if span == node.span {
        return finding;
    }
    finding.write(Safety::Unsafe, &span, right, right)
}

fn gpu_type(document: &HubDocument, node: &JsonNode) -> Option<Finding> {
    let text = node.as_str()?;
    if facts::GPU_IDS.contains(&text) {
        return None;
    }
    let what = if text.contains(',') {
        "not several".to_owned()
    } else if looks_like_pool(text.trim().trim_start_matches('-')) {
        format!("and `{}` is a pool", short(text))
    } else {
        let inner = node.span.start + 1..node.span.end.saturating_sub(1).max(node.span.start + 1);
        return Some(unknown_gpu(document, node, &inner, text));
    };
    let what = format!("`gpuTypeId` names one GPU, {what}");
    let help = "name one GPU's id, such as `NVIDIA GeForce RTX 4090`";
    Some(document.at("pool-as-gpu", &node.span, what).help(help))
}

fn cuda(document: &HubDocument, node: &JsonNode) -> Option<Finding> {
    let known = &*facts::CUDA_VERSIONS;
    let text = node.as_str().filter(|text| !known.contains(text))?;
    let help = format!("known are {}", suggest::all_of(known));
    let what = format!("`{}` is no CUDA version", short(text));
    let finding = document.at("unknown-cuda-version", &node.span, what);
    let finding = finding.help(help);
    let Some(version) = model::version(text).filter(|_| text.trim() == text) else {
        return Some(finding);
    };
    // A version older or newer than all of them may exist.
    let mut all = known.iter().filter_map(|text| model::version(text));
    let is_between = all.next()? <= version && version <= all.next_back()?;
    is_between.then(|| finding.warn_unless(false))
}
