//! `.runpod/tests.json`: how the Hub tests a release.

use super::dockerfile::{Named, Text};
use super::hub::{settings, texts};
use super::json::{self, JsonNode};
use super::{Place, Source, Unread};

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

/// The JSON with the keys of all objects sorted, since their order means nothing.
fn sorted(text: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<serde_json::Value>(text) else {
        return text.to_owned();
    };
    value.sort_all_objects();
    value.to_string()
}

/// Reads the Hub's tests.
pub fn read(source: &Source) -> Result<Tests, Unread> {
    let root = json::read(source)?;
    let config = root.at("config");
    let test = |test: &JsonNode| {
        let input = test.get("input");
        Test {
            name: test.text("name").unwrap_or_default().to_owned(),
            input_text: input.map(|input| sorted(&source.text[input.span.clone()])),
            timeout: test.at("timeout").scalar(),
            place: test.place(source),
        }
    };
    let variable = |entry: &JsonNode| {
        let value = entry.at("value").scalar().unwrap_or_default();
        let key = entry.get("key")?;
        Some(Named::new(key.as_str()?, value, key.place(source)))
    };
    let mut all = settings(source, &root, "");
    all.extend(settings(source, config, ""));
    Ok(Tests {
        // An older form is the list alone.
        tests: root
            .items()
            .iter()
            .chain(root.list("tests"))
            .map(test)
            .collect(),
        env: config.list("env").iter().filter_map(variable).collect(),
        cuda: texts(source, config.list("allowedCudaVersions")),
        settings: all,
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
