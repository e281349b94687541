//! `.runpod/tests.json`: how the Hub tests a release.

use super::dockerfile::{Named, Text};
use super::hub::{root, scalar, texts};
use super::json::Node;
use super::{Place, Source, Unread};

/// The Hub's tests.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::struct_field_names, reason = "the file's own words")]
pub struct Tests {
    pub tests: Vec<Test>,
    pub env: Vec<Named>,
    pub cuda: Vec<Text>,
    pub gpu_type: Option<Text>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Test {
    pub name: String,
    /// The keys of its input.
    pub input: Vec<String>,
    /// The input's JSON, for those who run it.
    pub input_text: Option<String>,
    pub place: Place,
}

/// Reads the Hub's tests.
pub fn read(source: &Source) -> Result<Tests, Unread> {
    let root = root(source)?;
    let config = root.get("config");
    let gpu_type = config.and_then(|c| c.get("gpuTypeId"));
    Ok(Tests {
        tests: root
            .get("tests")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .map(|test| Test {
                name: test
                    .get("name")
                    .and_then(Node::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                input: test
                    .get("input")
                    .map(Node::members)
                    .unwrap_or_default()
                    .iter()
                    .map(|m| m.key.clone())
                    .collect(),
                input_text: test
                    .get("input")
                    .and_then(|i| source.text.get(i.span.clone()))
                    .map(str::to_owned),
                place: source.place(test.span.clone()),
            })
            .collect(),
        env: config
            .and_then(|c| c.get("env"))
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .filter_map(|entry| {
                let key = entry.get("key")?;
                Some(Named {
                    name: key.as_str()?.to_owned(),
                    value: entry.get("value").and_then(scalar).unwrap_or_default(),
                    place: source.place(key.span.clone()),
                })
            })
            .collect(),
        cuda: texts(source, config.and_then(|c| c.get("allowedCudaVersions"))),
        gpu_type: gpu_type.and_then(|node| {
            Some(Text {
                text: scalar(node)?,
                place: source.place(node.span.clone()),
            })
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_with_their_environment() {
        let source = Source::new(
            ".runpod/tests.json".into(),
            br#"{"tests": [{"name": "t", "input": {"messages": []}}], "config": {"gpuTypeId": "NVIDIA L4", "env": [{"key": "A", "value": true}], "allowedCudaVersions": ["12.6"]}}"#,
        );
        let tests = read(&source).unwrap();
        assert_eq!(tests.env[0].value, "true");
        assert_eq!(tests.tests[0].input, ["messages"]);
        assert_eq!(
            tests.tests[0].input_text.as_deref(),
            Some(r#"{"messages": []}"#)
        );
        assert_eq!(tests.cuda[0].text, "12.6");
        assert_eq!(tests.gpu_type.unwrap().text, "NVIDIA L4");
    }
}
