//! Which runs to make: one for each variable with a value that fits it, and one with jobs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::super::facts::{Fact, Facts};
use super::{RunJob, Scenario};
use worker_files::Place;
use xtask_core::sglang::{Flag, Table};
use xtask_core::tree::Tree;

/// The run without any variable but the model's.
pub const BASE: &str = "(nothing else set)";

pub const MODEL: [&str; 2] = ["MODEL_NAME", "MODEL_PATH"];

/// The runs to make with both workers: for every variable that either of them reads.
pub fn scenarios(old: &Facts, new: &Facts, table: Table, jobs: &[RunJob]) -> Vec<Scenario> {
    let model = MODEL.map(|name| (name.to_owned(), "org/model".to_owned()));
    let scenario = |name: &str, set: Option<(&str, &str)>, jobs: &[RunJob]| {
        let mut env = BTreeMap::from(model.clone());
        env.extend(set.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let (name, jobs) = (name.to_owned(), jobs.to_vec());
        Scenario { name, env, jobs }
    };
    let mut all = vec![scenario(BASE, None, jobs)];
    let names = old.area("env").chain(new.area("env"));
    for name in names.map(|(name, _)| name).collect::<BTreeSet<_>>() {
        let mut scenario = scenario(name, Some((name, &value(name, old, new, table))), &[]);
        // Alone, each name of the model counts.
        let is_model = MODEL.contains(&name);
        scenario.env.retain(|other, _| !is_model || other == name);
        all.push(scenario);
    }
    for (name, fact) in old.area("env") {
        // What is empty, and what is written in another case, has its own way of being read.
        let is_word = fact.is_switch() || fact.has("interpreted");
        let values = ["", "True", "TRUE"].into_iter();
        for value in values.take(if is_word { 3 } else { 1 }) {
            let run = format!("{name}={value}");
            all.push(scenario(&run, Some((name, value)), &[]));
        }
    }
    all
}

/// The scenarios as they run in a worker's image, whose Dockerfile sets variables, too. What code and
/// scripts set is theirs to do. Paths are left out: they name places of the image, and not of this
/// machine.
pub fn in_image(scenarios: &[Scenario], facts: &Facts) -> Vec<Scenario> {
    let plain = |name: &str| {
        let fact = facts.get(&format!("image:{name}"))?;
        let is_code = |place: &Place| {
            let name = place.file.name();
            name.ends_with(b".py") || name.ends_with(b".sh")
        };
        let value = fact.get("value").filter(|it| !it.contains(['/', '$']))?;
        let is_set = !fact.places.iter().any(is_code);
        is_set.then(|| (name.to_owned(), value.to_owned()))
    };
    let set = facts.area("env").filter_map(|(name, _)| plain(name));
    let set: BTreeMap<String, String> = set.collect();
    let mut all = scenarios.to_vec();
    for Scenario { env, .. } in &mut all {
        *env = set.clone().into_iter().chain(std::mem::take(env)).collect();
    }
    all
}

/// A value that the variable's type allows and that is not its default.
fn value(name: &str, old: &Facts, new: &Facts, table: Table) -> String {
    let known = match name {
        "MODEL_NAME" | "MODEL_PATH" | "MODEL" => Some("org/other"),
        "HOST" => Some("127.0.0.2"),
        "PORT" => Some("30123"),
        "LOG_LEVEL" | "LOG_LEVEL_HTTP" => Some("debug"),
        _ => None,
    };
    let facts = [new, old].map(|facts| facts.variable(name));
    let facts: Vec<&Fact> = facts.into_iter().flatten().collect();
    let flag = facts.iter().find_map(|fact| fact.get("flag"));
    let flag = flag.and_then(|flag| table.flag(flag));
    let is_switch = facts.iter().any(|fact| fact.is_switch());
    let mut defaults = facts.iter().filter_map(|fact| fact.get("default"));
    let value = match (known, flag, defaults.clone().next()) {
        (Some(known), ..) => known,
        _ if is_switch => "true",
        (_, Some((_, flag)), _) => return of_flag(flag),
        (.., Some("true")) => "false",
        (.., Some("false")) => "true",
        _ if defaults.any(|text| text.parse::<f64>().is_ok()) => "7",
        _ => "a-value",
    };
    value.to_owned()
}

fn of_flag(flag: &Flag) -> String {
    if flag.is_switch() {
        return "true".to_owned();
    }
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some(choices) = &flag.choices {
        let is_other = |choice: &&Value| **choice != flag.default && !choice.is_null();
        let other = choices.iter().find(is_other);
        return other.or(choices.first()).map(text).unwrap_or_default();
    }
    match flag.value_type.as_deref() {
        Some("int" | "human_readable_int") => "7".to_owned(),
        Some("float") => "0.5".to_owned(),
        Some("loads") => "{}".to_owned(),
        Some("json_list_type") => "[]".to_owned(),
        _ => "a-value".to_owned(),
    }
}

/// The jobs to hand to both handlers: some of every shape that workers understand, and those of
/// both workers' test files.
pub fn jobs(trees: &[&dyn Tree]) -> Vec<RunJob> {
    let messages = json!([{"role": "user", "content": "hello"}]);
    let chat = "/v1/chat/completions";
    let known = json!({
        "chat": {"openai_route": chat, "openai_input": {"model": "m", "messages": messages}},
        "chat-stream": {"openai_route": chat, "openai_input": {"model": "m", "messages": messages, "stream": true}},
        "completions": {"openai_route": "/v1/completions", "openai_input": {"model": "m", "prompt": "hello"}},
        "models": {"openai_route": "/v1/models", "openai_input": {}},
        "bare-messages": {"messages": messages},
        "generate": {"text": "hello", "sampling_params": {"max_new_tokens": 4}},
    });
    let known = known.as_object().cloned().into_iter().flatten();
    let mut jobs: Vec<RunJob> = known.collect();
    for tree in trees {
        for folder in ["", ".runpod/", "src/"] {
            let path = format!("{folder}test_input.json");
            let bytes = tree.read_file(&path).ok().flatten().unwrap_or_default();
            let job: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            if let Some(input) = job.get("input")
                && !jobs.iter().any(|(_, known)| known == input)
            {
                jobs.push((format!("{path} of {}", tree.describe()), input.clone()));
            }
        }
    }
    jobs
}
