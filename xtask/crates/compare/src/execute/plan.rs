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
        // What a flag becomes of is seen in the command line; the rest may act on jobs.
        let drives = [old, new].map(|facts| facts.variable(name).is_some_and(|it| it.has("flag")));
        let jobs = if drives == [true, true] { &[] } else { jobs };
        let mut scenario = scenario(name, Some((name, &value(name, old, new, table))), jobs);
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

/// The jobs to hand to both handlers: some of every shape that workers understand, those of both
/// workers' test files, and those that hold what the old handler takes from a job.
pub fn jobs(trees: &[&dyn Tree], old: &Facts) -> Vec<RunJob> {
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
    let mut add = |name: String, input: &Value| {
        let is_job = input.as_object().is_some_and(|keys| !keys.is_empty());
        if is_job && !jobs.iter().any(|(_, known)| known == input) {
            jobs.push((name, input.clone()));
        }
    };
    for (side, tree) in ["old", "new"].into_iter().zip(trees) {
        for folder in ["", ".runpod/", "src/"] {
            let read = |name: &str| -> Value {
                let bytes = tree.read_file(&format!("{folder}{name}")).ok().flatten();
                serde_json::from_slice(&bytes.unwrap_or_default()).unwrap_or_default()
            };
            add(
                format!("{side}.{folder}test_input.json"),
                &read("test_input.json")["input"],
            );
            let tests = read("tests.json");
            for test in tests["tests"].as_array().into_iter().flatten() {
                let name = test["name"].as_str().unwrap_or("test");
                let name = name.replace(|c: char| !c.is_alphanumeric(), "-");
                add(format!("{side}.tests.{name}"), &test["input"]);
            }
        }
    }
    add("needed-keys".to_owned(), &taken(old, true));
    add("every-key".to_owned(), &taken(old, false));
    jobs
}

/// A job's input with the keys that a handler takes: all of them, or those that it can't do without.
fn taken(facts: &Facts, needed: bool) -> Value {
    let mut input = json!({});
    for (path, fact) in facts.area("input") {
        if needed && !fact.has("needed") {
            continue;
        }
        let mut at = &mut input;
        for key in path.split('.') {
            if !at.is_object() {
                *at = json!({});
            }
            at = &mut at[key];
        }
        if at.is_null() {
            *at = of_input(path, fact);
        }
    }
    input
}

/// A value that a key of a job's input may have, and that is not its default.
fn of_input(path: &str, fact: &Fact) -> Value {
    let default = fact.get("default");
    let words = fact
        .get("words")
        .and_then(|words| words.split(" | ").next());
    match (path.rsplit('.').next(), default) {
        (Some("openai_route"), _) => json!("/v1/chat/completions"),
        (Some("messages"), _) => json!([{"role": "user", "content": "hello"}]),
        (Some("stream"), _) | (_, Some("False" | "false")) => json!(true),
        (_, Some("True" | "true")) => json!(false),
        (_, Some(number)) if number.parse::<i64>().is_ok() => json!(7),
        (_, Some(number)) if number.parse::<f64>().is_ok() => json!(0.5),
        _ => json!(words.unwrap_or("hello")),
    }
}
