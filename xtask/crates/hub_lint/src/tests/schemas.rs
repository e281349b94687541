//! The schemas and the rules say the same: a small validator of the words that the schemas use.

use super::*;
use serde_json::Value;

/// Whether a value is as a schema says. Knows the keywords that ours use and refuses others.
fn valid(schema: &Value, value: &Value) -> bool {
    let schema = schema.as_object().unwrap();
    schema.iter().all(|(keyword, rule)| match keyword.as_str() {
        "$schema" | "$id" | "$comment" | "title" | "description" | "examples" => true,
        "type" => match rule {
            Value::Array(kinds) => kinds.iter().any(|kind| is(kind.as_str().unwrap(), value)),
            kind => is(kind.as_str().unwrap(), value),
        },
        "enum" => rule.as_array().unwrap().contains(value),
        "required" => value.as_object().is_none_or(|object| {
            rule.as_array()
                .unwrap()
                .iter()
                .all(|key| object.contains_key(key.as_str().unwrap()))
        }),
        "properties" => value.as_object().is_none_or(|object| {
            object
                .iter()
                .all(|(key, value)| rule.get(key).is_none_or(|schema| valid(schema, value)))
        }),
        "additionalProperties" => value
            .as_object()
            .is_none_or(|object| object.values().all(|value| valid(rule, value))),
        "items" => value
            .as_array()
            .is_none_or(|items| items.iter().all(|item| valid(rule, item))),
        "anyOf" => rule
            .as_array()
            .unwrap()
            .iter()
            .any(|schema| valid(schema, value)),
        "maxLength" => value
            .as_str()
            .is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap()),
        "minimum" => value
            .as_f64()
            .is_none_or(|number| number >= rule.as_f64().unwrap()),
        other => panic!("the validator does not know `{other}`"),
    })
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type `{other}`"),
    }
}

/// The rules that a schema can say too.
const SAID_BY_BOTH: &[&str] = &[
    "HUB100", "HUB101", "HUB102", "HUB110", "HUB114", "HUB120", "HUB121", "HUB201", "HUB203",
    "HUB204", "HUB205", "HUB206", "HUB209", "HUB213", "HUB215",
];

#[test]
fn what_a_schema_can_say_it_says_as_the_rules_do() {
    for rule in rule::all() {
        if rule.code.starts_with("HUB0") {
            continue;
        }
        let tree = examples::bad_example(rule);
        for which in [Which::Hub, Which::Tests] {
            let schema = schema::of(which);
            let path = format!(".runpod/{}", which.name());
            let Some(bytes) = tree.read_file(&path).unwrap() else {
                continue;
            };
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            let found = lint(&tree, true).unwrap().findings;
            let here = found
                .iter()
                .any(|finding| finding.place.path == *path.as_str());
            let refused = !valid(&schema, &value);
            let expected = here && SAID_BY_BOTH.contains(&rule.code);
            assert_eq!(refused, expected, "{} {path}", rule.code);
        }
    }
}

#[test]
fn the_schemas_name_every_key_and_word_of_the_tables() {
    let hub = schema::of(Which::Hub);
    let config = &hub["properties"]["config"]["properties"];
    let input = &config["env"]["items"]["properties"]["input"]["properties"];
    assert_eq!(input["type"]["enum"], serde_json::json!(facts::INPUT_TYPES));
    assert_eq!(
        hub["properties"]["category"]["enum"],
        serde_json::json!(facts::CATEGORIES)
    );
    assert_eq!(config["gpuIds"]["examples"][0], "ADA_24");
    for table in [&facts::INPUT, &facts::CONFIG] {
        for field in table.fields {
            let found = input.get(field.key).or_else(|| config.get(field.key));
            assert_eq!(found.unwrap()["description"], field.about);
        }
    }
}
