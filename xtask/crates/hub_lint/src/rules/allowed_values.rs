//! Values that are one of a few words, or a text of a certain kind.

use crate::document::{HubDocument, Which, short};
use crate::edit::{self, safety};
use crate::facts;
use crate::model::{self, EnvVariable};
use crate::rule::{Rule, rules};
use worker_files::json::Node;
use xtask_core::finding::{Finding, Safety};
use xtask_core::suggest;

rules! {
    /// The Hub stores 191 characters and rejects a longer description. The long form belongs in
    /// the README, which the listing shows below.
    ///
    /// Bad: a `description` of 192 characters.
    DESCRIPTION_TOO_LONG = "HUB201" "description-too-long" Error Never
        "the description is over 191 characters"
        from "the Hub's answer to longer ones";
    /// A title, description, key or label that is empty shows as nothing in the Hub.
    ///
    /// ```diff env
    /// - { "key": "MODEL", "input": { "name": "", "type": "string" } }
    /// + { "key": "MODEL", "input": { "name": "Model", "type": "string" } }
    /// ```
    EMPTY_TEXT = "HUB202" "empty-text" Warning Never
        "a text that has to say something is empty"
        from "the Hub's publishing guide";
    /// The Hub has five categories.
    ///
    /// ```diff listing
    /// - "category": "text"
    /// + "category": "language"
    /// ```
    CATEGORY = "HUB203" "unknown-category" Error Either
        "a category that the Hub doesn't have"
        from "the Hub's publishing guide; four published listings";
    /// A listing's type is `serverless` (RunPod's own tools know `pod`, too). A load-balancing endpoint
    /// is a serverless listing, with `endpointType` in its `config`.
    ///
    /// ```diff listing
    /// - "type": "LB"
    /// + "config": { "runsOn": "GPU", "containerDiskInGb": 20, "endpointType": "LB" }
    /// ```
    LISTING_TYPE = "HUB204" "unknown-listing-type" Error Either
        "a listing type that the Hub doesn't have"
        from "the Hub's publishing guide; two published listings";
    /// `runsOn` is `GPU` or `CPU`, `endpointType` is `LB` or not there, in capital letters.
    ///
    /// ```diff config
    /// - "endpointType": "load-balancer"
    /// + "endpointType": "LB"
    /// ```
    RUNS_ON = "HUB205" "unknown-endpoint" Error Safely
        "a word for `runsOn` or `endpointType` that the Hub doesn't have"
        from "the Hub's publishing guide";
    /// The Hub's form knows four types. A list to choose from is a `string` with `options`; a
    /// secret is a `string` too, for which users pick one of their RunPod secrets.
    ///
    /// ```diff env
    /// - { "key": "HF_TOKEN", "input": { "name": "Token", "type": "password" } }
    /// + { "key": "HF_TOKEN", "input": { "name": "Token", "type": "string" } }
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
    /// A disk of no size, no GPU at all: the worker can't start.
    ///
    /// ```diff config
    /// - "gpuCount": 0
    /// + "gpuCount": 1
    /// ```
    TOO_SMALL = "HUB209" "not-positive" Error Never
        "a size or count that has to be at least 1"
        from "the Hub's publishing guide";
}

pub fn check(document: &HubDocument, variables: &[EnvVariable<'_>], findings: &mut Vec<Finding>) {
    let root = &document.root;
    let config = root.get("config");
    if document.which == Which::Hub {
        findings.extend(description(document));
        empty_texts(document, findings);
        findings.extend(listing_type(document));
        let mut word = |node: Option<&Node>, key: &str, rule, words| {
            let is = format!("`{key}` is");
            findings
                .extend(node.and_then(|node| one_of(document, node, rule, &is, words, &category)));
        };
        word(
            root.get("category"),
            "category",
            &CATEGORY,
            facts::CATEGORIES,
        );
        for (key, words) in [
            ("runsOn", facts::RUNS_ON),
            ("endpointType", facts::ENDPOINT_TYPES),
        ] {
            word(document.config(key), key, &RUNS_ON, words);
        }
        if let Some(config) = config {
            machine(document, config, findings);
        }
        let types = variables.iter();
        findings.extend(types.filter_map(|variable| input_type(document, variable)));
    }
    let Some(config) = config else {
        return;
    };
    for key in ["containerDiskInGb", "gpuCount"] {
        if let Some(node) = config.get(key)
            && node.as_f64().is_some_and(|number| number < 1.0)
        {
            let written = document.source(node);
            let what = format!("`{key}` is {written}; it has to be at least 1");
            findings.push(document.at(&TOO_SMALL, &node.span, what));
        }
    }
}

fn description(document: &HubDocument) -> Option<Finding> {
    let node = document.root.get("description")?;
    let length = node.as_str()?.chars().count();
    let limit = facts::DESCRIPTION_LIMIT;
    let over = length.checked_sub(limit).filter(|over| *over > 0)?;
    let what =
        format!("the description has {length} characters; the Hub rejects more than {limit}");
    let help = "the README, which the listing shows too, is the place for the rest";
    let finding = document.at(&DESCRIPTION_TOO_LONG, &node.span, what);
    Some(finding.label(format!("{over} too many")).help(help))
}

fn empty_texts(document: &HubDocument, findings: &mut Vec<Finding>) {
    let root = &document.root;
    // An empty `key` has been told as a bad name.
    let inputs = model::list(root, "env")
        .iter()
        .map(|entry| entry.get("input")?.get("name"));
    let presets = model::list(root, "presets")
        .iter()
        .map(|preset| preset.get("name"));
    let names = inputs.chain(presets).map(|node| ("name", node));
    let own = ["title", "description"].map(|key| (key, root.get(key)));
    for (key, node) in own.into_iter().chain(names) {
        if let Some(node) = node
            && node.as_str().is_some_and(|text| text.trim().is_empty())
        {
            findings.push(document.at(&EMPTY_TEXT, &node.span, format!("`{key}` is empty")));
        }
    }
}

/// Words for a category, and the category that they mean.
const CATEGORY_ALIASES: facts::Aliases = &[
    (
        "language",
        &["text", "llm", "nlp", "chat", "language model"],
    ),
    ("image", &["vision", "images", "photo"]),
    ("audio", &["speech", "voice", "music", "tts"]),
];

/// The category that another word means.
fn category(word: &str) -> Option<(&'static str, Safety)> {
    Some((facts::meaning(CATEGORY_ALIASES, word)?, Safety::Unsafe))
}

/// A value that has to be one of some words. `is` begins the message, `alias` knows what other words
/// mean, in lower case.
fn one_of(
    document: &HubDocument,
    node: &Node,
    rule: &Rule,
    is: &str,
    words: &[&'static str],
    alias: &dyn Fn(&str) -> Option<(&'static str, Safety)>,
) -> Option<Finding> {
    let text = node.as_str().filter(|text| !words.contains(text))?;
    let known = suggest::one_of(words);
    let what = format!("{is} `{}`; the Hub knows {known}", short(text));
    let finding = document.at(rule, &node.span, what);
    let nearest = suggest::nearest(text, words.iter().copied());
    let guess = nearest.map(|(word, sure)| (word, safety(sure)));
    let guess = guess.or_else(|| alias(&text.to_lowercase()));
    Some(match guess {
        Some((word, safety)) => finding.help(format!("did you mean `{word}`?")).write(
            safety,
            &node.span,
            word,
            edit::quote(word),
        ),
        None => finding,
    })
}

fn listing_type(document: &HubDocument) -> Option<Finding> {
    let root = &document.root;
    let node = root.get("type")?;
    let text = node.as_str()?;
    if facts::LISTING_TYPES.contains(&text) {
        return None;
    }
    let is = "the listing's type is";
    let other = |_: &str| Some(("serverless", Safety::Unsafe));
    let finding = one_of(document, node, &LISTING_TYPE, is, &["serverless"], &other)?;
    if !facts::ENDPOINT_TYPES.contains(&text.to_uppercase().as_str()) {
        return Some(finding);
    }
    let mut edits = vec![(node.span.clone(), edit::quote("serverless"))];
    let config = root.get("config");
    if let Some(config) = config.filter(|config| config.get("endpointType").is_none()) {
        edits.push(edit::add(&document.text, config, "endpointType", "\"LB\""));
    }
    let help = "a load-balancing endpoint is `\"type\": \"serverless\"` with `\"endpointType\": \
                \"LB\"` in `config`";
    let finding = document
        .at(&LISTING_TYPE, &node.span, finding.message)
        .help(help);
    Some(finding.fix(Safety::Unsafe, "write it that way", edits))
}

fn machine(document: &HubDocument, config: &Node, findings: &mut Vec<Finding>) {
    let Some(runs_on) = config.get("runsOn") else {
        return;
    };
    let (other, keys): (&str, &[&str]) = match runs_on.as_str() {
        Some("CPU") => ("GPU", &["gpuIds", "gpuCount", "allowedCudaVersions"]),
        Some("GPU") => ("CPU", &["cpuFlavor"]),
        _ => return,
    };
    for member in keys.iter().filter_map(|key| config.member(key)) {
        let value = &member.value;
        let empty = value.items().is_empty() && value.scalar().is_none();
        if !empty && model::said(value).is_some() {
            let what = format!("`{}` is for workers that run on {other}", member.key);
            let finding = document.at(&MACHINE, &member.key_span, what);
            findings.push(finding.related(document.place(&runs_on.span), "this one doesn't"));
        }
    }
    if other == "GPU" && config.get("cpuFlavor").is_none() {
        let what = "the worker runs on CPU and no `cpuFlavor` says on which machine";
        let help = "`\"cpuFlavor\": \"cpu3g-4-16\"` is 4 cores and 16 GB";
        findings.push(document.at(&MACHINE, &runs_on.span, what).help(help));
    }
}

fn input_type(document: &HubDocument, variable: &EnvVariable<'_>) -> Option<Finding> {
    let node = variable.input.as_ref()?.node.get("type")?;
    let is = format!("`{}` has the input type", short(variable.key));
    let alias = |word: &str| {
        Some((
            facts::meaning(facts::INPUT_TYPE_ALIASES, word)?,
            Safety::Safe,
        ))
    };
    let finding = one_of(document, node, &INPUT_TYPE, &is, facts::INPUT_TYPES, &alias)?;
    Some(match node.as_str()?.to_lowercase().as_str() {
        "select" | "dropdown" | "enum" => {
            finding.help("a list to choose from is a `string` with `options`")
        }
        "password" | "secret" => finding.help(
            "a secret is a `string`; users fill it from their RunPod secrets, and it has no default",
        ),
        _ => finding,
    })
}
