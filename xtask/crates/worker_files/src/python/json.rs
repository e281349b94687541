//! JSON files that the program loads, as Python values: a worker's table of flags is followed
//! like any other table in its source.

use std::rc::Rc;

use super::interp::Interp;
use super::value::Value;

impl<'t> Interp<'t> {
    /// The content of the JSON file whose name a path ends with, where there is one.
    pub fn load_json(&mut self, path: &Value<'t>) -> Value<'t> {
        let name = last_name(path);
        let Some(source) = name.and_then(|name| self.data.get(&name).copied()) else {
            return Value::Unknown;
        };
        serde_json::from_str(&source.text).map_or(Value::Unknown, |json| value(&json))
    }
}

/// The file name at the end of a path that may begin with something unknown.
fn last_name(path: &Value<'_>) -> Option<String> {
    let pattern = path.pattern(&|_| None);
    let name = pattern.rsplit(['/', '\0']).next()?.to_owned();
    std::path::Path::new(&name)
        .extension()
        .is_some_and(|extension| extension == "json")
        .then_some(name)
}

fn value<'t>(json: &serde_json::Value) -> Value<'t> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Plain("None".into()),
        Json::Bool(true) => Value::Plain("True".into()),
        Json::Bool(false) => Value::Plain("False".into()),
        Json::Number(number) => Value::Plain(number.to_string().into()),
        Json::String(text) => Value::Text(Rc::from(text.as_str()), None),
        Json::Array(items) => Value::list(items.iter().map(value).collect()),
        Json::Object(items) => Value::dict(
            items
                .iter()
                .map(|(key, item)| (Value::text(key), value(item)))
                .collect(),
        ),
    }
}
