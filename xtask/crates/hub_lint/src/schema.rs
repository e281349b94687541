//! JSON Schema 2020-12 for the two files, from the tables that the rules use.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::facts::{self, FieldRule, FieldTable, Presence, ValueShape};
use crate::model::Which;

pub fn of(which: Which) -> Value {
    let (file, table) = (which.name(), which.table());
    let id = file.replace(".json", ".schema.json");
    let head = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": format!("{}/raw/main/xtask/schemas/{id}", env!("CARGO_PKG_REPOSITORY")),
        "title": format!("RunPod Hub: .runpod/{file}"),
        "$comment": "Generated from the tables that the rules of hub-lint use",
    });
    let parts = [head, object(table)].into_iter();
    let members = parts.filter_map(|part| part.as_object().cloned());
    members.flatten().collect()
}

fn object(table: &'static FieldTable) -> Value {
    let property = |field: &'static FieldRule| (field.key, property(field));
    let properties: Value = table.fields.iter().map(property).collect();
    let required: Vec<&str> = table.required().map(|field| field.key).collect();
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
    static CUDA_VERSIONS: LazyLock<ValueShape> =
        LazyLock::new(|| ValueShape::Word(&facts::CUDA_VERSIONS));
    let of = match field.key {
        "gpuTypeId" => &ValueShape::Word(&facts::GPU_IDS),
        "allowedCudaVersions" => &ValueShape::List(&CUDA_VERSIONS),
        _ => &field.shape,
    };
    let mut schema = shape(of, field.need == Presence::Required);
    schema["description"] = field.about.into();
    if field.key == "gpuIds" {
        schema["examples"] = [&facts::GPU_POOLS[..], &facts::GPU_IDS].concat().into();
    }
    schema
}

fn shape(shape_of: &ValueShape, required: bool) -> Value {
    let (name, _) = shape_of.kind();
    let scalar = json!({ "type": ["string", "number", "boolean", "null"] });
    let mut schema = match shape_of {
        ValueShape::Scalar => return scalar,
        ValueShape::Word(words) => {
            let null = (!required).then_some(Value::Null);
            let words = words.iter().map(|word| json!(word)).chain(null);
            return json!({ "enum": words.collect::<Value>() });
        }
        ValueShape::Object(table) => object(table),
        _ => json!({ "type": name }),
    };
    // Null counts as not there.
    if !required {
        schema["type"] = json!([name, "null"]);
    }
    let (key, value) = match shape_of {
        ValueShape::Limited(most) => ("maxLength", (*most).into()),
        ValueShape::Count => ("minimum", 1.into()),
        ValueShape::List(item) => ("items", shape(item, true)),
        ValueShape::Values => ("additionalProperties", scalar),
        _ => return schema,
    };
    schema[key] = value;
    schema
}
