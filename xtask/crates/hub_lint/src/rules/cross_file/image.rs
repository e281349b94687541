//! The Dockerfile's base image against the CUDA versions and the GPUs of the two files.

use super::{Worker, place};
use crate::facts;
use crate::finding::{Finding, Safety};
use crate::model::{self, HubDocument, Which};
use crate::rules::gpu;
use worker_files::dockerfile::{Image, Text};
use worker_files::json::JsonNode;
use xtask_core::suggest;

pub fn check(worker: &Worker<'_>, findings: &mut Vec<Finding>) {
    for document in worker.documents() {
        findings.extend(cuda(document, worker));
        findings.extend(blackwell(document, worker));
    }
}

/// Whether a CUDA version that the Hub's files allow is older than the one that an image needs.
pub fn cuda_is_older(allowed: &str, needed: &str) -> bool {
    let versions = model::version(allowed).zip(model::version(needed));
    versions.is_some_and(|(allowed, needed)| allowed < needed)
}

/// Whether a base image declares the CUDA that it needs, so that hosts with an older one refuse it.
fn carries_requirement(base: &str) -> bool {
    let registries = ["docker.io/", "nvcr.io/"];
    let name = registries.iter().find_map(|it| base.strip_prefix(it));
    let name = name.unwrap_or(base);
    let starts = ["nvidia/cuda:", "runpod/", "lmsysorg/sglang:", "vllm/"];
    starts.iter().any(|start| name.starts_with(start))
        || (name.starts_with("pytorch/pytorch:") && name.contains("-devel"))
}

/// The CUDA version that hosts must have, and whether they refuse the container otherwise.
fn needed(image: &Image, base: &Text, hub: Option<&HubDocument>) -> Option<(String, bool)> {
    // The listing's fixed values are in the container's environment, too.
    let variables = hub.map(model::variables).unwrap_or_default();
    let value = |name: &str| {
        let fixed = variables.iter().find(|variable| variable.key == name);
        let fixed = fixed.and_then(|variable| variable.value?.scalar());
        let in_image = image.env.iter().rev().find(|it| it.name == name);
        fixed.or_else(|| in_image.map(|variable| variable.value.clone()))
    };
    let disabled = value("NVIDIA_DISABLE_REQUIRE");
    let is_disabled = disabled.is_some_and(|it| !matches!(&*it, "" | "0" | "false"));
    if let Some(required) = value("NVIDIA_REQUIRE_CUDA").filter(|_| !is_disabled) {
        let (_, version) = required.split_once("cuda>=")?;
        let version = version.split([' ', ',']).next()?;
        return Some((version.to_owned(), true));
    }
    let is_refused = carries_requirement(&base.text) && !is_disabled;
    Some((image.cuda()?, is_refused))
}

fn cuda(document: &HubDocument, worker: &Worker<'_>) -> Option<Finding> {
    let image = worker.facts.image.as_ref()?;
    let base = image.base.as_ref()?;
    let (needed, refused) = needed(image, base, worker.hub)?;
    if !facts::CUDA_VERSIONS.contains(&needed.as_str()) {
        return None;
    }
    let major = |version: &str| model::version(version).map(|(major, _)| major);
    let is_older = |version: &str| {
        cuda_is_older(version, &needed) && (refused || major(version) < major(&needed))
    };
    let older = |node: &&JsonNode| node.as_str().is_some_and(is_older);
    let list = document.config().at("allowedCudaVersions");
    let first = list.items().iter().find(older)?;
    let names = list.items().iter().filter_map(JsonNode::as_str);
    let names: Vec<&str> = names.filter(|name| is_older(name)).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let versions = suggest::all_of(&names);
    let what = format!("CUDA {versions} {verb} allowed, and the image needs {needed}");
    let finding = document.at("cuda-older-than-image", &first.span, what);
    let finding = finding.warn_unless(refused);
    let finding = finding.related(place(&base.place), format!("the image has CUDA {needed}"));
    let mut finding = finding.help(if refused {
        "a host with an older driver refuses the container before it starts"
    } else {
        "a driver of an older major version does not run it"
    });
    if names.len() < model::cuda_versions(document).len() {
        let kept = list.items().iter().filter(|node| !older(node));
        let kept: Vec<&str> = kept.map(|node| document.source(node)).collect();
        let edit = (list.span.clone(), format!("[{}]", kept.join(", ")));
        finding = finding.fix(Safety::Unsafe, "remove the older ones", [edit]);
    }
    Some(finding)
}

fn blackwell(document: &HubDocument, worker: &Worker<'_>) -> Option<Finding> {
    let image = worker.facts.image.as_ref()?;
    let base = image.base.as_ref()?;
    let node = document.config().at(match document.which {
        Which::Hub => "gpuIds",
        Which::Tests => "gpuTypeId",
    });
    let choices = gpu::choices(document, node, node.as_str()?);
    let mut chosen = choices.iter().filter(|choice| !choice.excluded);
    let choice = chosen.find(|choice| facts::is_blackwell(choice.name))?;
    let cuda = image.cuda().filter(|cuda| cuda_is_older(cuda, "12.8"))?;
    // Packages from pip may bring a newer CUDA.
    let tags = ["cu128", "cu129", "cu13"];
    let is_newer = |text: &str| tags.iter().any(|tag| text.contains(tag));
    let mut sources = worker.facts.sources.values();
    if sources.any(|source| is_newer(&source.text)) {
        return None;
    }
    let name = choice.name;
    let what = format!("`{name}` needs CUDA 12.8, and the image has {cuda}");
    let finding = document.at("blackwell-needs-newer-cuda", &choice.span, what);
    Some(finding.related(place(&base.place), "the image"))
}
