//! The Dockerfile's base image against the two files: CUDA, and what that release of SGLang takes.

use super::{is_sglang, place};
use crate::document::{Document, short};
use crate::edit;
use crate::model;
use crate::rule::{Rule, rules};
use worker_files::WorkerInterface;
use worker_files::json::Node;
use xtask_core::finding::{Finding, Safety};
use xtask_core::sglang::{self, Exactness, Flag, Table};
use xtask_core::suggest;

rules! { Agreement;
    /// SGLang ends at start with "invalid choice" when this option is chosen. The list is that of
    /// the release that the Dockerfile pins; of an unknown release, the nearest one's.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL_NAME", "input": { "name": "Model", "type": "string" } },
    /// { "key": "REASONING_PARSER", "input": { "name": "Parser", "type": "string",
    ///   "options": [{ "label": "DeepSeek", "value": "deepseekv3" }] } }
    /// ```
    /// ```python engine.py
    /// import os
    /// import subprocess
    /// command = ["python3", "-m", "sglang.launch_server"]
    /// command += ["--model-path", os.getenv("MODEL_NAME")]
    /// if os.getenv("REASONING_PARSER"):
    ///     command += ["--reasoning-parser", os.getenv("REASONING_PARSER")]
    /// subprocess.Popen(command)
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM lmsysorg/sglang:v0.5.2
    /// COPY engine.py /
    /// CMD ["python3", "/engine.py"]
    /// ```
    OPTION = "HUB330" "option-not-of-flag" Error Unsafely
        "an option that SGLang doesn't take"
        from "SGLang's own command lines; the official worker's REASONING_PARSER, TOOL_CALL_PARSER and QUANTIZATION";

    /// A default, a fixed value, a preset's or a test's value that SGLang refuses, so that the
    /// worker ends at start.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "DTYPE", "input": { "name": "Type", "type": "string", "default": "fp16" } }
    /// ```
    /// ```python engine.py
    /// import os
    /// import subprocess
    /// command = ["python3", "-m", "sglang.launch_server", "--model-path", "/model"]
    /// if os.getenv("DTYPE"):
    ///     command += ["--dtype", os.getenv("DTYPE")]
    /// subprocess.Popen(command)
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM lmsysorg/sglang:v0.5.10
    /// COPY engine.py /
    /// CMD ["python3", "/engine.py"]
    /// ```
    VALUE = "HUB331" "value-not-of-flag" Error Never
        "a value that SGLang doesn't take"
        from "SGLang's own command lines";

    /// The variable drives a flag that the pinned release does not have. SGLang ends with exit
    /// code 2 when it is set.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "ENABLE_MLA", "input": { "name": "MLA", "type": "boolean", "default": false } }
    /// ```
    /// ```python engine.py
    /// import os
    /// import subprocess
    /// command = ["python3", "-m", "sglang.launch_server", "--model-path", "/model"]
    /// if os.getenv("ENABLE_MLA", "").lower() in ("true", "1", "yes"):
    ///     command.append("--enable-mla")
    /// subprocess.Popen(command)
    /// ```
    /// ```dockerfile Dockerfile
    /// FROM lmsysorg/sglang:v0.5.10
    /// COPY engine.py /
    /// CMD ["python3", "/engine.py"]
    /// ```
    FLAG_GONE = "HUB332" "flag-gone" Error Never
        "a variable drives a flag that SGLang no longer has"
        from "SGLang's own command lines";

    /// A container whose CUDA is newer than the host's is refused before it starts. A version older
    /// than the base image's lets the Hub choose such a host.
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
}

/// Compares the two files with the image.
pub fn check(
    hub: Option<&Document>,
    tests: Option<&Document>,
    surface: &WorkerInterface,
    findings: &mut Vec<Finding>,
) {
    for document in [hub, tests].into_iter().flatten() {
        cuda(document, surface, findings);
    }
    if !is_sglang(surface) {
        return;
    }
    let Some((version, _)) = surface.sglang() else {
        return;
    };
    let release = Release::of(&version);
    if let Some(hub) = hub {
        for variable in model::variables(&hub.root) {
            let Some(flag) = release.driven(variable.key, surface) else {
                continue;
            };
            let Driven::Flag(name, flag) = flag else {
                findings.push(release.gone(hub, &variable, surface));
                continue;
            };
            let mut values: Vec<(&Rule, &Node, &str)> = Vec::new();
            if let Some(input) = &variable.input {
                values.extend(input.options.iter().map(|node| (&OPTION, *node, "offers")));
                // A default that is an option has been told as that.
                let listed = |node: &Node| {
                    let text = model::text_of(node);
                    input
                        .options
                        .iter()
                        .any(|option| model::text_of(option) == text)
                };
                values.extend(
                    input
                        .default
                        .filter(|node| !listed(node))
                        .map(|node| (&VALUE, node, "has as its default")),
                );
            }
            values.extend(variable.value.map(|node| (&VALUE, node, "is set to")));
            for (rule, node, verb) in values {
                findings.extend(release.judge(hub, rule, variable.key, verb, node, name, flag));
            }
        }
        for preset in model::presets(&hub.root) {
            for member in preset.defaults {
                if let Some(Driven::Flag(name, flag)) = release.driven(&member.key, surface) {
                    findings.extend(release.judge(
                        hub,
                        &VALUE,
                        &member.key,
                        "is set to",
                        &member.value,
                        name,
                        flag,
                    ));
                }
            }
        }
    }
    if let Some(tests) = tests {
        for own in model::test_variables(&tests.root) {
            if let (Some(node), Some(Driven::Flag(name, flag))) =
                (own.value, release.driven(own.key, surface))
            {
                findings.extend(release.judge(
                    tests,
                    &VALUE,
                    own.key,
                    "is set to",
                    node,
                    name,
                    flag,
                ));
            }
        }
    }
}

/// What a variable drives.
enum Driven {
    Flag(&'static str, &'static Flag),
    Gone,
}

/// The flags of the release that the worker runs.
struct Release {
    table: Table,
    exactness: Exactness,
}

impl Release {
    fn of(version: &str) -> Self {
        let (table, exactness) = Table::for_version(version);
        Self { table, exactness }
    }

    /// The release in words; of an unknown one, that it is unknown.
    fn words(&self) -> String {
        match &self.exactness {
            Exactness::Exact => format!("SGLang {}", self.table.release()),
            Exactness::Nearest { asked } => format!(
                "SGLang {asked} (not known here; judged by {})",
                self.table.release()
            ),
        }
    }

    fn driven(&self, name: &str, surface: &WorkerInterface) -> Option<Driven> {
        let drive = surface.reads(name).find_map(|read| read.drives.as_ref())?;
        Some(match self.table.flag(&drive.flag) {
            Some((name, flag)) => Driven::Flag(name, flag),
            // Of a flag that no release ever had, nothing is known.
            None if sglang::history(&drive.flag).seen.is_none() => return None,
            None => Driven::Gone,
        })
    }

    fn gone(
        &self,
        hub: &Document,
        variable: &model::Variable<'_>,
        surface: &WorkerInterface,
    ) -> Finding {
        let read = surface
            .reads(variable.key)
            .find(|read| read.drives.is_some());
        let flag = read
            .and_then(|read| read.drives.as_ref())
            .map_or("", |drive| drive.flag.as_str());
        let mut finding = hub
            .at(
                &FLAG_GONE,
                variable.key_span,
                format!(
                    "`{}` drives `{flag}`, which {} does not have",
                    variable.key,
                    self.words()
                ),
            )
            .help(format!("`{flag}` is {}", sglang::history(flag)));
        if let Some(read) = read {
            finding = finding.related(place(&read.place), "it is passed on here");
        }
        finding
    }

    #[allow(
        clippy::too_many_arguments,
        reason = "one sentence needs all of its words"
    )]
    fn judge(
        &self,
        document: &Document,
        rule: &Rule,
        key: &str,
        verb: &str,
        node: &Node,
        name: &str,
        flag: &Flag,
    ) -> Option<Finding> {
        let text = model::text_of(model::said(node)?)?;
        if flag.is_switch() || flag.accepts(&text) {
            return None;
        }
        // A flag that takes a list has its values separated by spaces or commas.
        let all = |separator: char| text.split(separator).all(|part| flag.accepts(part.trim()));
        if flag.kind == "list" && (all(' ') || all(',')) {
            return None;
        }
        let choices: Vec<String> = flag
            .choices
            .iter()
            .flatten()
            .filter_map(|choice| choice.as_str().map(str::to_owned))
            .collect();
        let choices: Vec<&str> = choices.iter().map(String::as_str).collect();
        let mut finding = document
            .at(
                rule,
                &node.span,
                format!(
                    "`{}` {verb} `{}`, which `{name}` of {} does not take",
                    short(key),
                    short(&text),
                    self.words()
                ),
            )
            .help(format!("it takes {}", suggest::one_of(&choices)));
        if let Some((right, _)) = suggest::nearest(&text, choices.iter().copied()) {
            finding = finding.help(format!("did you mean `{right}`?"));
            if std::ptr::eq(rule, &raw const OPTION) {
                finding = finding.fix(
                    Safety::Unsafe,
                    format!("write `{right}`"),
                    [(node.span.clone(), edit::quote(right))],
                );
            }
        }
        Some(finding)
    }
}

/// Whether a CUDA version that the Hub's files allow is older than the one that an image needs.
pub fn cuda_is_older(allowed: &str, needed: &str) -> bool {
    match (model::version(allowed), model::version(needed)) {
        (Some(allowed), Some(needed)) => allowed < needed,
        _ => false,
    }
}

fn cuda(document: &Document, surface: &WorkerInterface, findings: &mut Vec<Finding>) {
    let Some(image) = &surface.image else {
        return;
    };
    let (Some(text), Some(base)) = (image.cuda(), &image.base) else {
        return;
    };
    let allowed = model::cuda_versions(&document.root);
    let older: Vec<&Node> = allowed
        .iter()
        .filter(|(_, node)| node.as_str().is_some_and(|one| cuda_is_older(one, &text)))
        .map(|(_, node)| *node)
        .collect();
    let Some(first) = older.first() else {
        return;
    };
    let names: Vec<&str> = older.iter().filter_map(|node| node.as_str()).collect();
    let mut finding = document
        .at(
            &CUDA,
            &first.span,
            format!(
                "CUDA {} allowed, and the image needs {text}",
                match names.as_slice() {
                    [one] => format!("`{one}` is"),
                    several => format!("{} are", suggest::all_of(several)),
                }
            ),
        )
        .related(place(&base.place), format!("the image has CUDA {text}"))
        .help("a host with an older driver refuses the container before it starts");
    let list = document
        .root
        .get("config")
        .and_then(|config| config.get("allowedCudaVersions"));
    if let Some(list) = list
        && older.len() < allowed.len()
    {
        let edits = edit::remove_items(list, |node| older.iter().any(|old| old.span == node.span));
        finding = finding.fix(Safety::Unsafe, "take the older ones out", edits);
    }
    findings.push(finding);
}
