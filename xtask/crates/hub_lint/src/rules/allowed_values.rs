//! Values that are one of a few words, or a text of a certain kind.

use crate::document::{Document, Which, short};
use crate::edit;
use crate::facts;
use crate::model::{self, Variable};
use crate::rule::{Rule, rules};
use worker_files::json::Node;
use xtask_core::finding::{Finding, Safety};
use xtask_core::suggest::{self, Sure};

rules! { Meaning;
    /// The Hub stores 191 characters and rejects a longer description. The long form belongs in
    /// the README, which the listing shows below.
    ///
    /// Bad: a `description` of 192 characters.
    DESCRIPTION_TOO_LONG = "HUB201" "description-too-long" Error Never
        "the description is over 191 characters"
        from "the Hub's answer to longer ones";

    /// A title, description, key or label that is empty shows as nothing in the Hub.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "MODEL", "input": { "name": "", "type": "string" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "MODEL", "input": { "name": "Model", "type": "string" } }
    /// ```
    EMPTY_TEXT = "HUB202" "empty-text" Warning Never
        "a text that has to say something is empty"
        from "the Hub's publishing guide";

    /// The Hub has five categories.
    ///
    /// Bad:
    /// ```json listing
    /// "category": "text"
    /// ```
    /// Good:
    /// ```json listing
    /// "category": "language"
    /// ```
    CATEGORY = "HUB203" "unknown-category" Error Either
        "a category that the Hub doesn't have"
        from "the Hub's publishing guide; four published listings";

    /// A listing's type is `serverless` (RunPod's own tools know `pod`, too). A load-balancing endpoint
    /// is a serverless listing, with `endpointType` in its `config`.
    ///
    /// Bad:
    /// ```json listing
    /// "type": "LB"
    /// ```
    /// Good:
    /// ```json listing
    /// "config": { "runsOn": "GPU", "containerDiskInGb": 20, "endpointType": "LB" }
    /// ```
    LISTING_TYPE = "HUB204" "unknown-listing-type" Error Either
        "a listing type that the Hub doesn't have"
        from "the Hub's publishing guide; two published listings";

    /// `runsOn` is `GPU` or `CPU`, `endpointType` is `LB` or not there, in capital letters.
    ///
    /// Bad:
    /// ```json config
    /// "endpointType": "load-balancer"
    /// ```
    /// Good:
    /// ```json config
    /// "endpointType": "LB"
    /// ```
    RUNS_ON = "HUB205" "unknown-endpoint" Error Safely
        "a word for `runsOn` or `endpointType` that the Hub doesn't have"
        from "the Hub's publishing guide";

    /// The Hub's form knows four types. A list to choose from is a `string` with `options`; a
    /// secret is a `string` too, for which users pick one of their RunPod secrets.
    ///
    /// Bad:
    /// ```json env
    /// { "key": "HF_TOKEN", "input": { "name": "Token", "type": "password" } }
    /// ```
    /// Good:
    /// ```json env
    /// { "key": "HF_TOKEN", "input": { "name": "Token", "type": "string" } }
    /// ```
    INPUT_TYPE = "HUB206" "unknown-input-type" Error Either
        "an input type that the Hub doesn't have"
        from "the Hub's publishing guide; listings with `select` and `password`";

    /// What a worker runs on and the keys that choose its machine don't go together.
    ///
    /// Bad:
    /// ```json config
    /// "cpuFlavor": "cpu3g-4-16"
    /// ```
    /// Good:
    /// ```json listing
    /// "config": { "runsOn": "CPU", "containerDiskInGb": 20, "cpuFlavor": "cpu3g-4-16" }
    /// ```
    MACHINE = "HUB207" "machine-mismatch" Warning Never
        "a key for GPU workers on a CPU worker, or the other way round"
        from "the Hub's publishing guide";

    /// A CPU flavor names the machine, its cores and its memory in gigabytes: `cpu3g-4-16`.
    ///
    /// Bad:
    /// ```json listing
    /// "config": { "runsOn": "CPU", "containerDiskInGb": 20, "cpuFlavor": "4 cores" }
    /// ```
    CPU_FLAVOR = "HUB208" "odd-cpu-flavor" Warning Never
        "a CPU flavor of an unusual form"
        from "the Hub's publishing guide";

    /// A disk of no size, no GPU at all: the worker can't start.
    ///
    /// Bad:
    /// ```json config
    /// "gpuCount": 0
    /// ```
    /// Good:
    /// ```json config
    /// "gpuCount": 1
    /// ```
    TOO_SMALL = "HUB209" "not-positive" Error Never
        "a size or count that has to be at least 1"
        from "the Hub's publishing guide";
}

/// Looks at the words of either file.
pub fn check(document: &Document, variables: &[Variable<'_>], findings: &mut Vec<Finding>) {
    let root = &document.root;
    let config = root.get("config");
    if document.which == Which::Hub {
        description(document, findings);
        empty_texts(document, findings);
        one_of(
            document,
            root,
            "category",
            &CATEGORY,
            facts::CATEGORIES,
            findings,
        );
        listing_type(document, findings);
        if let Some(config) = config {
            for (key, words) in [
                ("runsOn", facts::RUNS_ON),
                ("endpointType", facts::ENDPOINT_TYPES),
            ] {
                one_of(document, config, key, &RUNS_ON, words, findings);
            }
            machine(document, config, findings);
        }
        for variable in variables {
            if let Some(input) = &variable.input {
                input_type(document, variable.key, input, findings);
            }
        }
    }
    if let Some(config) = config {
        flavor(document, config, findings);
        for key in ["containerDiskInGb", "gpuCount"] {
            let Some(node) = config.get(key) else {
                continue;
            };
            if node.as_f64().is_some_and(|number| number < 1.0) {
                findings.push(document.at(
                    &TOO_SMALL,
                    &node.span,
                    format!(
                        "`{key}` is {}; it has to be at least 1",
                        document.source(node)
                    ),
                ));
            }
        }
    }
}

fn description(document: &Document, findings: &mut Vec<Finding>) {
    let Some(node) = document.root.get("description") else {
        return;
    };
    let length = node.as_str().unwrap_or_default().chars().count();
    if length > facts::DESCRIPTION_LIMIT {
        findings.push(
            document
                .at(
                    &DESCRIPTION_TOO_LONG,
                    &node.span,
                    format!(
                        "the description has {length} characters; the Hub rejects more than {}",
                        facts::DESCRIPTION_LIMIT
                    ),
                )
                .label(format!("{} too many", length - facts::DESCRIPTION_LIMIT))
                .help("the README, which the listing shows too, is the place for the rest"),
        );
    }
}

fn empty_texts(document: &Document, findings: &mut Vec<Finding>) {
    let root = &document.root;
    let mut texts: Vec<(&str, Option<&Node>)> = vec![
        ("title", root.get("title")),
        ("description", root.get("description")),
    ];
    // An empty `key` has been told as a bad name.
    for entry in model::list(root, "env") {
        let input = entry.get("input");
        texts.push(("name", input.and_then(|input| input.get("name"))));
    }
    for preset in model::list(root, "presets") {
        texts.push(("name", preset.get("name")));
    }
    for (key, node) in texts {
        if let Some(node) = node
            && node.as_str().is_some_and(|text| text.trim().is_empty())
        {
            findings.push(document.at(&EMPTY_TEXT, &node.span, format!("`{key}` is empty")));
        }
    }
}

/// A value that has to be one of some words.
fn one_of(
    document: &Document,
    object: &Node,
    key: &str,
    rule: &Rule,
    words: &[&'static str],
    findings: &mut Vec<Finding>,
) {
    let Some(node) = object.get(key) else {
        return;
    };
    let Some(text) = node.as_str().filter(|text| !words.contains(text)) else {
        return;
    };
    let known = suggest::one_of(words);
    let mut finding = document.at(
        rule,
        &node.span,
        format!("`{key}` is `{}`; the Hub knows {known}", short(text)),
    );
    let related: Option<(&str, Safety)> = match suggest::nearest(text, words.iter().copied()) {
        Some((word, Sure::Same)) => Some((word, Safety::Safe)),
        Some((word, Sure::Near)) => Some((word, Safety::Unsafe)),
        None => match text.to_lowercase().as_str() {
            "text" | "llm" | "nlp" | "chat" | "language model" => {
                Some(("language", Safety::Unsafe))
            }
            "vision" | "images" | "photo" => Some(("image", Safety::Unsafe)),
            "speech" | "voice" | "music" | "tts" => Some(("audio", Safety::Unsafe)),
            _ => None,
        }
        .filter(|_| key == "category"),
    };
    if let Some((word, safety)) = related {
        finding = finding.help(format!("did you mean `{word}`?")).write(
            safety,
            &node.span,
            word,
            edit::quote(word),
        );
    }
    findings.push(finding);
}

fn listing_type(document: &Document, findings: &mut Vec<Finding>) {
    let root = &document.root;
    let Some(node) = root.get("type") else {
        return;
    };
    let Some(text) = node
        .as_str()
        .filter(|text| !facts::LISTING_TYPES.contains(text))
    else {
        return;
    };
    let mut finding = document.at(
        &LISTING_TYPE,
        &node.span,
        format!(
            "the listing's type is `{}`; the Hub knows `serverless`",
            short(text)
        ),
    );
    let written = edit::quote("serverless");
    if facts::ENDPOINT_TYPES.contains(&text.to_uppercase().as_str()) {
        finding = finding.help(
            "a load-balancing endpoint is `\"type\": \"serverless\"` with `\"endpointType\": \"LB\"` in `config`",
        );
        let mut edits = vec![(node.span.clone(), written)];
        if let Some(config) = root.get("config") {
            if config.get("endpointType").is_none() {
                edits.push(edit::add(&document.text, config, "endpointType", "\"LB\""));
            }
            finding = finding.fix(Safety::Unsafe, "write it that way", edits);
        }
    } else {
        let safety = match suggest::nearest(text, ["serverless"]) {
            Some((_, Sure::Same)) => Safety::Safe,
            _ => Safety::Unsafe,
        };
        finding = finding.fix(safety, "write `serverless`", [(node.span.clone(), written)]);
    }
    findings.push(finding);
}

fn machine(document: &Document, config: &Node, findings: &mut Vec<Finding>) {
    let Some(runs_on) = config.get("runsOn") else {
        return;
    };
    let (other, keys): (&str, &[&str]) = match runs_on.as_str() {
        Some("CPU") => ("GPU", &["gpuIds", "gpuCount", "allowedCudaVersions"]),
        Some("GPU") => ("CPU", &["cpuFlavor"]),
        _ => return,
    };
    for key in keys {
        let Some(member) = config.member(key) else {
            continue;
        };
        let empty = member.value.items().is_empty() && model::text_of(&member.value).is_none();
        if empty || model::said(&member.value).is_none() {
            continue;
        }
        findings.push(
            document
                .at(
                    &MACHINE,
                    &member.key_span,
                    format!("`{key}` is for workers that run on {other}"),
                )
                .related(document.place(&runs_on.span), "this one doesn't"),
        );
    }
    if runs_on.as_str() == Some("CPU") && config.get("cpuFlavor").is_none() {
        findings.push(
            document
                .at(
                    &MACHINE,
                    &runs_on.span,
                    "the worker runs on CPU and no `cpuFlavor` says on which machine",
                )
                .help("`\"cpuFlavor\": \"cpu3g-4-16\"` is 4 cores and 16 GB"),
        );
    }
}

fn flavor(document: &Document, config: &Node, findings: &mut Vec<Finding>) {
    let Some(node) = config.get("cpuFlavor").and_then(model::said) else {
        return;
    };
    let Some(text) = node.as_str() else {
        return;
    };
    let parts: Vec<&str> = text.split('-').collect();
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let usual = matches!(parts.as_slice(), [name, cores, memory]
        if name.starts_with("cpu") && number(cores) && number(memory));
    if !usual {
        findings.push(
            document
                .at(
                    &CPU_FLAVOR,
                    &node.span,
                    format!("`{}` does not look like a CPU flavor", short(text)),
                )
                .help("they look like `cpu3g-4-16`: the machine, its cores, its memory in GB"),
        );
    }
}

fn input_type(
    document: &Document,
    key: &str,
    input: &model::Input<'_>,
    findings: &mut Vec<Finding>,
) {
    let Some(node) = input.node.get("type") else {
        return;
    };
    let Some(text) = input.kind.filter(|kind| !facts::INPUT_TYPES.contains(kind)) else {
        return;
    };
    let known = suggest::one_of(facts::INPUT_TYPES);
    let mut finding = document.at(
        &INPUT_TYPE,
        &node.span,
        format!(
            "`{}` has the input type `{}`; the Hub knows {known}",
            short(key),
            short(text)
        ),
    );
    let lower = text.to_lowercase();
    let alias = facts::INPUT_TYPE_ALIASES
        .iter()
        .find(|(alias, _)| *alias == lower)
        .map(|(_, right)| (*right, Safety::Safe));
    let guess = alias.or_else(|| {
        let (word, sure) = suggest::nearest(text, facts::INPUT_TYPES.iter().copied())?;
        Some((
            word,
            if sure == Sure::Same {
                Safety::Safe
            } else {
                Safety::Unsafe
            },
        ))
    });
    finding = match lower.as_str() {
        "select" | "dropdown" | "enum" => {
            finding.help("a list to choose from is a `string` with `options`")
        }
        "password" | "secret" => finding.help(
            "a secret is a `string`; users fill it from their RunPod secrets, and it has no default",
        ),
        _ => finding,
    };
    if let Some((word, safety)) = guess {
        finding = finding.write(safety, &node.span, word, edit::quote(word));
    }
    findings.push(finding);
}
