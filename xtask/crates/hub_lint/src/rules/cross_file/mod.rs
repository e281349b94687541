//! Rules on the agreement between files. This file alone reads the worker.

pub mod code;
pub mod env;
pub mod files;
pub mod image;
pub mod sglang;

use anyhow::Result;

use crate::finding::{Finding, Location};
use crate::model::HubDocument;
use worker_files::{Hides, Reading, Unread, WorkerInterface, is_one_of};
use xtask_core::tree::{Memory, Tree};

/// Compares the two files with each other and with the rest of the repository. Missing files are
/// findings only if the tree is the `whole` repository.
pub fn check(
    tree: &dyn Tree,
    hub: Option<&HubDocument>,
    tests: Option<&HubDocument>,
    whole: bool,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    if let (Some(hub), Some(tests)) = (hub, tests) {
        files::check_files(hub, tests, findings);
    }
    if let Some(hub) = hub.filter(|_| whole) {
        files::check_tree(tree, hub, findings)?;
    }
    if (hub.is_some() || tests.is_some()) && has_code(tree) {
        let (facts, unread) = interface(tree)?.split();
        let worker = Worker {
            tree,
            hub,
            tests,
            facts,
            unread,
        };
        env::check(&worker, findings);
        image::check(&worker, findings);
        sglang::check(&worker, findings);
        if whole {
            code::check(&worker, findings)?;
        }
    }
    Ok(())
}

pub struct Worker<'a> {
    pub tree: &'a dyn Tree,
    pub hub: Option<&'a HubDocument>,
    pub tests: Option<&'a HubDocument>,
    pub facts: WorkerInterface,
    /// The parts of the worker that can't be read.
    pub unread: Vec<Unread>,
}

impl<'a> Worker<'a> {
    pub fn documents(&self) -> impl Iterator<Item = &'a HubDocument> {
        self.hub.into_iter().chain(self.tests)
    }

    /// Whether an unread part may hide such facts, so that their absence proves nothing.
    pub fn may_hide(&self, what: Hides) -> bool {
        // Variables and flags are in the code, and not in what is registered with RunPod.
        let is_in_code = matches!(what, Hides::Variables | Hides::Flags);
        self.unread.iter().any(|gap| {
            gap.may_hide.contains(&what)
                && (!is_in_code || gap.place.file.name().ends_with(b".py"))
                && !gap.what.contains("serverless.start")
        })
    }

    /// The base image's name without registry and tag.
    fn base(&self) -> Option<&str> {
        let base = self.facts.image.as_ref()?.base.as_ref()?;
        let name = base.text.split([':', '@']).next()?;
        let registries = ["docker.io/", "library/", "nvcr.io/", "ghcr.io/"];
        let strip = |name, start| str::strip_prefix(name, start).unwrap_or(name);
        Some(registries.into_iter().fold(name, strip))
    }

    /// Whether the base image contains no worker's program.
    pub fn has_plain_base(&self) -> bool {
        self.base().is_some_and(|name| is_one_of(PLAIN_BASES, name))
    }

    /// Whether the image may contain a worker's code from its base image or the internet.
    pub fn brings_code(&self) -> bool {
        let fetches = ["git clone", "git+", "wget ", "curl ", "--from=", "ADD http"];
        let image = self.facts.image.as_ref();
        let base = image.and_then(|image| image.base.as_ref());
        let source = base.and_then(|base| self.facts.sources.get(&base.place.file));
        let fetched = |text: &str| fetches.iter().any(|word| text.contains(word));
        !self.has_plain_base() || source.is_none_or(|source| fetched(&source.text))
    }
}

/// Whether there is anything to compare the two files with.
fn has_code(tree: &dyn Tree) -> bool {
    tree.entries().keys().any(|path| {
        let name = path.name();
        name == b"Dockerfile" || name == b"README.md" || name.ends_with(b".py")
    })
}

/// The worker's interface. For a worker without SGLang, only the Dockerfile and the README are read.
pub fn interface(tree: &dyn Tree) -> Result<Reading<WorkerInterface>> {
    let mut around = Memory::new();
    for (path, entry) in tree.entries() {
        let name = path.name();
        let is_needed = matches!(name, b"Dockerfile" | b"README.md");
        let ends = [&b".sh"[..], b".txt", b".toml"];
        let may_install = name == b"setup.py" || ends.iter().any(|end| name.ends_with(end));
        if !entry.mode.is_file() || entry.size.is_some_and(|n| n > LARGEST) {
            continue;
        }
        if name == b"sglang_flags.json" {
            return WorkerInterface::read(tree);
        }
        if !is_needed && !may_install {
            continue;
        }
        // The README and the code of any language model's worker may mention SGLang.
        let bytes = tree.read(path)?;
        if name != b"README.md" && String::from_utf8_lossy(&bytes).contains("sglang") {
            return WorkerInterface::read(tree);
        }
        if is_needed && let Some(text) = path.as_str() {
            around = around.with(text, bytes);
        }
    }
    WorkerInterface::read(&around)
}

/// Larger files, in bytes, are no worker's code.
const LARGEST: u64 = 4 * 1024 * 1024;

/// Prefixes of variables that libraries in the image read.
const LIBRARIES: &str = "\
    HF_ HUGGING TRANSFORMERS_ NCCL_ CUDA_ NVIDIA_ PYTORCH_ TORCH OMP_ SGLANG_ SGL_ VLLM_ \
    FLASHINFER_ TRITON_ RUNPOD_ PYTHON LD_ XDG_ UV_ PIP_ AWS_ OPENAI_ HTTP NO_PROXY SSL_ TZ \
    TOKENIZERS_ RAY_ GLOO_ MODELSCOPE_ PATH HOME USER BUCKET_ INFINITY_ OLLAMA_ LLAMA_ARG_ \
    GRADIO_ UVICORN_ NODE_ ONNX MKL_ XFORMERS_ COMFY_ PORT HEALTH_CHECK_PATH";

/// Whether a variable has readers outside of the worker's own code.
pub fn is_foreign(name: &str) -> bool {
    // Only libraries read `http_proxy` in lower case.
    let upper = name.to_uppercase();
    let mut starts = LIBRARIES.split_whitespace();
    starts.any(|start| upper.starts_with(start)) || upper.ends_with("_PROXY")
}

pub fn place(place: &worker_files::Place) -> Location {
    Location::new(place.file.clone(), place.start..place.end)
}

/// Whether the worker starts SGLang, so that its variables are known.
pub fn is_sglang(interface: &WorkerInterface) -> bool {
    let packages = &interface.packages;
    let installs = || packages.iter().any(|package| package.name == "sglang");
    interface.python.launches
        && (interface.sglang().is_some() || interface.flag_table.is_some() || installs())
}

/// Base images with a system, a language or libraries, and no program of a worker's.
const PLAIN_BASES: &str = "\
    alpine debian python ubuntu nvidia/cuda runpod/base runpod/pytorch pytorch/pytorch \
    condaforge/miniforge3 continuumio/miniconda3 astral-sh/uv";
