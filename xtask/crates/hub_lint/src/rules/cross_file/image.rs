//! The Dockerfile's base image against the CUDA versions and the GPUs of the two files.

use super::place;
use crate::document::{Document, Which};
use crate::rule::rules;
use crate::rules::gpu;
use crate::{edit, facts, model};
use worker_files::WorkerInterface;
use worker_files::dockerfile::Image;
use worker_files::json::Node;
use xtask_core::finding::{Finding, Safety, Severity};
use xtask_core::suggest;

rules! { Agreement;
    /// A container whose CUDA is newer than the host's is refused before it starts. A version older
    /// than the base image's lets the Hub choose such a host. That holds for images that carry the
    /// requirement (nvidia/cuda, runpod/*, lmsysorg/sglang, vllm/* and pytorch's `-devel`), unless
    /// `NVIDIA_DISABLE_REQUIRE` is set; an `NVIDIA_REQUIRE_CUDA` of your own counts instead. Other
    /// images run on any driver of the same major version; an older one is a warning.
    ///
    /// Bad:
    /// ```json config
    /// "allowedCudaVersions": ["12.4", "12.5", "12.6"]
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM nvidia/cuda:12.6.3-runtime-ubuntu22.04
    /// ```
    /// Good:
    /// ```json config
    /// "allowedCudaVersions": ["12.6", "12.7", "12.8", "12.9"]
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM nvidia/cuda:12.6.3-runtime-ubuntu22.04
    /// ```
    CUDA = "HUB333" "cuda-older-than-image" Error Unsafely
        "a CUDA version older than the base image's is allowed"
        from "the official worker, which allowed 12.4 and 12.5 with an image for 12.6";

    /// GPUs of the Blackwell generation run nothing that was built with a CUDA before 12.8: the first
    /// kernel fails with "no kernel image is available".
    ///
    /// Bad:
    /// ```json config
    /// "gpuIds": "BLACKWELL_96"
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04
    /// ```
    /// Good:
    /// ```json config
    /// "gpuIds": "BLACKWELL_96"
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM nvidia/cuda:12.8.1-runtime-ubuntu22.04
    /// ```
    BLACKWELL = "HUB334" "blackwell-needs-newer-cuda" Warning Never
        "a Blackwell GPU with a CUDA before 12.8"
        from "NVIDIA's compatibility guide for Blackwell";
}

/// Compares the two files with the image.
pub fn check(
    hub: Option<&Document>,
    tests: Option<&Document>,
    interface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    for document in [hub, tests].into_iter().flatten() {
        cuda(document, hub, interface, findings);
        blackwell(document, interface, findings);
    }
}

/// Whether a CUDA version that the Hub's files allow is older than the one that an image needs.
pub fn cuda_is_older(allowed: &str, needed: &str) -> bool {
    match (model::version(allowed), model::version(needed)) {
        (Some(allowed), Some(needed)) => allowed < needed,
        _ => false,
    }
}

/// Whether a base image says which driver it needs, so that a host with an older one refuses it.
fn carries_requirement(base: &str) -> bool {
    let name = ["docker.io/", "nvcr.io/"]
        .iter()
        .find_map(|registry| base.strip_prefix(registry))
        .unwrap_or(base);
    ["nvidia/cuda:", "runpod/", "lmsysorg/sglang:", "vllm/"]
        .iter()
        .any(|start| name.starts_with(start))
        || (name.starts_with("pytorch/pytorch:") && name.contains("-devel"))
}

/// The CUDA version that hosts must have, and whether they refuse the container otherwise.
fn needed(image: &Image, hub: Option<&Document>) -> Option<(String, bool)> {
    // What the listing fixes stands in the container's environment, too.
    let variables = hub
        .map(|hub| model::variables(&hub.root))
        .unwrap_or_default();
    let set = |name: &str| {
        let fixed = variables.iter().find(|variable| variable.key == name);
        let fixed = fixed.and_then(|variable| model::text_of(variable.value?));
        let baked = image.env.iter().rev().find(|own| own.name == name);
        fixed.or_else(|| baked.map(|own| own.value.clone()))
    };
    let disabled = set("NVIDIA_DISABLE_REQUIRE")
        .is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    if let Some(own) = set("NVIDIA_REQUIRE_CUDA").filter(|_| !disabled) {
        let (_, version) = own.split_once("cuda>=")?;
        let version = version.split([' ', ',']).next()?;
        return Some((version.to_owned(), true));
    }
    let carries = image
        .base
        .as_ref()
        .is_some_and(|base| carries_requirement(&base.text));
    Some((image.cuda()?, carries && !disabled))
}

fn cuda(
    document: &Document,
    hub: Option<&Document>,
    interface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    let Some(image) = &interface.image else {
        return;
    };
    let (Some((text, refused)), Some(base)) = (needed(image, hub), &image.base) else {
        return;
    };
    if !facts::CUDA_VERSIONS.contains(&text.as_str()) {
        return;
    }
    let major = |version: &str| model::version(version).map(|(major, _)| major);
    let allowed = model::cuda_versions(&document.root);
    let older: Vec<&Node> = allowed
        .iter()
        .map(|(_, node)| *node)
        .filter(|node| {
            node.as_str().is_some_and(|one| {
                cuda_is_older(one, &text) && (refused || major(one) < major(&text))
            })
        })
        .collect();
    let Some(first) = older.first() else {
        return;
    };
    let names: Vec<&str> = older.iter().filter_map(|node| node.as_str()).collect();
    let are = match names.as_slice() {
        [one] => format!("`{one}` is"),
        several => format!("{} are", suggest::all_of(several)),
    };
    let mut finding = document
        .at(
            &CUDA,
            &first.span,
            format!("CUDA {are} allowed, and the image needs {text}"),
        )
        .related(place(&base.place), format!("the image has CUDA {text}"));
    if refused {
        finding =
            finding.help("a host with an older driver refuses the container before it starts");
    } else {
        finding.severity = Severity::Warning;
        finding = finding.help("a driver of an older major version does not run it");
    }
    if let Some(list) = document.config("allowedCudaVersions")
        && older.len() < allowed.len()
    {
        let edits = edit::remove_items(list, |node| older.iter().any(|old| old.span == node.span));
        finding = finding.fix(Safety::Unsafe, "remove the older ones", edits);
    }
    findings.push(finding);
}

fn blackwell(document: &Document, interface: &WorkerInterface, findings: &mut Vec<Finding>) {
    let key = match document.which {
        Which::Hub => "gpuIds",
        Which::Tests => "gpuTypeId",
    };
    let Some(node) = document.config(key) else {
        return;
    };
    let text = node.as_str().unwrap_or_default();
    let choices = gpu::choices(document, node, text);
    let Some(choice) = choices
        .iter()
        .find(|c| !c.excluded && facts::is_blackwell(c.name))
    else {
        return;
    };
    let Some(image) = &interface.image else {
        return;
    };
    let (Some(cuda), Some(base)) = (image.cuda(), &image.base) else {
        return;
    };
    // What pip installs brings a CUDA of its own.
    let newer = interface.sources.values().any(|source| {
        ["cu128", "cu129", "cu13"]
            .iter()
            .any(|tag| source.text.contains(tag))
    });
    if !cuda_is_older(&cuda, "12.8") || newer {
        return;
    }
    findings.push(
        document
            .at(
                &BLACKWELL,
                &choice.span,
                format!(
                    "`{}` needs CUDA 12.8, and the image has {cuda}",
                    choice.name
                ),
            )
            .related(place(&base.place), "the image"),
    );
}
