//! `.runpod/tests.json`: how the Hub tests a release.

use super::dockerfile::{Named, Text};
use super::hub::{READ_BY_PARTS, as_written, root, texts};
use super::json::{JsonNode, Member};
use super::{Place, Source, Unread, is_one_of};

/// The Hub's tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_field_names, reason = "the file's own words")]
pub struct Tests {
    pub tests: Vec<Test>,
    pub env: Vec<Named>,
    pub cuda: Vec<Text>,
    /// The rest of what the file and its `config` say: `gpuTypeId`, `gpuCount`, `cpuFlavor`, …
    pub settings: Vec<(String, Text)>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    pub name: String,
    /// The input's JSON, for those who run it.
    pub input_text: Option<String>,
    /// Milliseconds that it may take.
    pub timeout: Option<String>,
    pub place: Place,
}

/// The JSON with the keys of all objects in order: theirs means nothing.
fn in_order(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(text) else {
        return text.to_owned();
    };
    value.sort_all_objects();
    value.to_string()
}

/// Reads the Hub's tests.
pub fn read(source: &Source) -> Result<Tests, Unread> {
    let root = root(source)?;
    let config = root.get("config");
    let list = |key: &str| config.map(|config| config.list(key)).unwrap_or_default();
    let test = |test: &JsonNode| {
        let input = test.get("input");
        Test {
            name: test.text("name").unwrap_or_default().to_owned(),
            input_text: input.map(|input| in_order(&source.text[input.span.clone()])),
            timeout: test.get("timeout").and_then(JsonNode::scalar),
            place: source.place(test.span.clone()),
        }
    };
    let variable = |entry: &JsonNode| {
        let key = entry.get("key")?;
        let value = entry
            .get("value")
            .and_then(JsonNode::scalar)
            .unwrap_or_default();
        Some(Named::new(
            key.as_str()?,
            value,
            source.place(key.span.clone()),
        ))
    };
    let settings = root.members().iter();
    let settings = settings.chain(config.map(JsonNode::members).unwrap_or_default());
    let settings = settings.filter(|member| !is_one_of(READ_BY_PARTS, &member.key));
    let setting = |member: &Member| (member.key.clone(), as_written(source, &member.value));
    Ok(Tests {
        tests: root.list("tests").iter().map(test).collect(),
        env: list("env").iter().filter_map(variable).collect(),
        cuda: texts(source, list("allowedCudaVersions")),
        settings: settings.map(setting).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_with_their_environment() {
        let source = Source::new(
            ".runpod/tests.json".into(),
            br#"{"tests": [{"name": "t", "timeout": 9, "input": {"messages": []}}], "config": {"gpuTypeId": "NVIDIA L4", "gpuCount": 2, "env": [{"key": "A", "value": true}], "allowedCudaVersions": ["12.6"]}}"#,
        );
        let tests = read(&source).unwrap();
        assert_eq!(tests.env[0].value, "true");
        assert_eq!(
            tests.tests[0].input_text.as_deref(),
            Some(r#"{"messages":[]}"#)
        );
        assert_eq!(tests.cuda[0].text, "12.6");
        assert_eq!(tests.tests[0].timeout.as_deref(), Some("9"));
        let settings = tests.settings.iter();
        let settings: Vec<_> = settings
            .map(|(name, text)| (&**name, &*text.text))
            .collect();
        assert_eq!(settings, [("gpuTypeId", "NVIDIA L4"), ("gpuCount", "2")]);
    }
}
