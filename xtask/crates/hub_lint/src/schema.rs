//! JSON Schema 2020-12 for the two files, from the tables that the rules use.

use serde_json::{Map, Value, json};

use crate::facts::{self, FieldRule, FieldTable, Presence, ValueShape};

pub fn hub() -> Value {
    root(
        "hub.schema.json",
        "RunPod Hub: .runpod/hub.json",
        &facts::LISTING,
    )
}

pub fn tests() -> Value {
    root(
        "tests.schema.json",
        "RunPod Hub: .runpod/tests.json",
        &facts::TESTS,
    )
}

fn root(id: &str, title: &str, table: &'static FieldTable) -> Value {
    let mut schema = object(table);
    let mut head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("{}/raw/main/xtask/schemas/{id}", env!("CARGO_PKG_REPOSITORY")),
        "title": title,
        "$comment": "Generated from the tables that the rules of hub-lint use",
    });
    if let (Some(head), Some(body)) = (head.as_object_mut(), schema.as_object_mut()) {
        head.append(body);
    }
    head
}

fn object(table: &'static FieldTable) -> Value {
    let mut properties = Map::new();
    for field in table.fields {
        properties.insert(field.key.to_owned(), property(field));
    }
    let required: Vec<&str> = table
        .fields
        .iter()
        .filter(|field| field.need == Presence::Required)
        .map(|field| field.key)
        .collect();
    let mut schema = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    if table.is(&facts::VARIABLE) {
        schema["anyOf"] = json!([{ "required": ["value"] }, { "required": ["input"] }]);
    }
    schema
}

fn property(field: &'static FieldRule) -> Value {
    let mut schema = shape(&field.shape, field.need == Presence::Required);
    schema["description"] = field.about.into();
    if field.key == "gpuIds" {
        schema["examples"] = [facts::GPU_POOLS, facts::GPU_IDS].concat().into();
    }
    schema
}

fn shape(shape_of: &ValueShape, required: bool) -> Value {
    // Null counts as not there.
    let kind = |name: &str| {
        if required {
            json!({ "type": name })
        } else {
            json!({ "type": [name, "null"] })
        }
    };
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let with = |name: &str, key: &str, value: Value| {
        let mut schema = kind(name);
        schema[key] = value;
        schema
    };
    match shape_of {
        ValueShape::Text => kind("string"),
        ValueShape::Word(words) => {
            let words: Vec<Value> = words
                .iter()
                .map(|word| Value::from(*word))
                .chain((!required).then_some(Value::Null))
                .collect();
            json!({ "enum": words })
        }
        ValueShape::Limited(most) => with("string", "maxLength", (*most).into()),
        ValueShape::Count => with("integer", "minimum", 1.into()),
        ValueShape::Flag => kind("boolean"),
        ValueShape::Whole => kind("integer"),
        ValueShape::Number => kind("number"),
        ValueShape::Scalar => scalar,
        ValueShape::Object(table) if required => object(table),
        ValueShape::Object(table) => {
            let mut schema = object(table);
            schema["type"] = json!(["object", "null"]);
            schema
        }
        ValueShape::List(item) => with("array", "items", shape(item, true)),
        ValueShape::Values => with("object", "additionalProperties", scalar),
        ValueShape::Payload => kind("object"),
    }
}
