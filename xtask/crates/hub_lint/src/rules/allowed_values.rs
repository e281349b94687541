//! Values that are one of a few words, or a text of a certain kind.

use crate::edit;
use crate::facts::{self, ValueShape};
use crate::finding::{Finding, Safety};
use crate::model::{HubDocument, short};
use worker_files::json::JsonNode;
use xtask_core::suggest::{self, Sure};

/// Words with their aliases in lower case.
type Aliases = &'static [(&'static str, &'static [&'static str])];

const CATEGORY_ALIASES: Aliases = &[
    ("language", &["text", "llm", "nlp", "chat"]),
    ("language", &["language model"]),
    ("image", &["vision", "images", "photo"]),
    ("audio", &["speech", "voice", "music", "tts"]),
];

const INPUT_TYPE_ALIASES: Aliases = &[
    ("boolean", &["bool", "checkbox", "toggle"]),
    ("string", &["dropdown", "enum", "select"]),
    ("string", &["str", "text", "textarea", "url"]),
    ("string", &["password", "secret"]),
    ("number", &["float", "int", "integer"]),
    ("huggingface", &["model"]),
];

/// The rule for a list of words, their aliases, whether fixing an alias is safe, and help.
type WordRule = (&'static str, Aliases, Safety, Option<&'static str>);

fn rule_for(words: &[&str]) -> Option<WordRule> {
    let balancer = "a load-balancing endpoint is `\"type\": \"serverless\"` with \
                    `\"endpointType\": \"LB\"` in `config`";
    let string = "a list to choose from is a `string` with `options`, and a secret is a `string` \
                  without a default";
    Some(match words {
        facts::CATEGORIES => ("unknown-category", CATEGORY_ALIASES, Safety::Unsafe, None),
        facts::LISTING_TYPES => ("unknown-listing-type", &[], Safety::Unsafe, Some(balancer)),
        facts::RUNS_ON | facts::ENDPOINT_TYPES => ("unknown-endpoint", &[], Safety::Safe, None),
        facts::INPUT_TYPES => (
            "unknown-input-type",
            INPUT_TYPE_ALIASES,
            Safety::Safe,
            Some(string),
        ),
        // GPUs and CUDA versions have rules of their own.
        _ => return None,
    })
}

pub fn check(
    document: &HubDocument,
    node: &JsonNode,
    shape: ValueShape,
    key: &str,
) -> Option<Finding> {
    match shape {
        ValueShape::Limited(limit) => {
            let length = node.as_str()?.chars().count();
            let what = format!("{key} has {length} characters; the Hub rejects more than {limit}");
            let help = "the README, which the listing shows too, is the place for the rest";
            let finding = document.at("description-too-long", &node.span, what);
            (length > limit).then(|| finding.help(help))
        }
        ValueShape::Count if node.as_f64()? < 1.0 => {
            let source = document.source(node);
            let what = format!("{key} is {source}; it has to be at least 1");
            Some(document.at("not-positive", &node.span, what))
        }
        ValueShape::Word(words) => word(document, node, words, key),
        _ => None,
    }
}

/// Checks a value that has to be one of some words.
fn word(
    document: &HubDocument,
    node: &JsonNode,
    words: &[&'static str],
    key: &str,
) -> Option<Finding> {
    let (rule, aliases, safety_of_alias, help) = rule_for(words)?;
    let text = node.as_str().filter(|text| !words.contains(text))?;
    let known = suggest::one_of(words);
    let what = format!("{key} is `{}`; the Hub knows {known}", short(text));
    let mut finding = document.at(rule, &node.span, what);
    let nearest = suggest::nearest(text, words.iter().copied());
    let guess = nearest.map(|(word, sure)| (word, Safety::of(sure == Sure::Same)));
    let lower = &*text.to_lowercase();
    let alias = aliases.iter().find(|(_, others)| others.contains(&lower));
    if let Some((word, safety)) = guess.or(alias.map(|(word, _)| (*word, safety_of_alias))) {
        finding = edit::did_you_mean(finding, safety, &node.span, word);
    }
    finding.help.extend(help.map(str::to_owned));
    Some(finding)
}
