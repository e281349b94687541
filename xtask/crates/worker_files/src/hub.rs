//! `.runpod/hub.json`: what the Hub offers people to set.

use super::dockerfile::Text;
use super::json::{self, JsonNode};
use super::{Declared, Place, Source, Unread, is_one_of};

/// A preset: a name with values for some of the variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preset {
    pub name: String,
    pub defaults: Vec<(String, String)>,
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hub {
    pub env: Vec<Declared>,
    pub presets: Vec<Preset>,
    pub cuda: Vec<Text>,
    /// `title`, `category`, `config.gpuIds`, `config.containerDiskInGb`, …
    pub settings: Vec<(String, Text)>,
}

/// The root of a JSON file, or what is wrong with it.
pub fn root(source: &Source) -> Result<JsonNode, Unread> {
    let parsed = json::parse(source.text.as_bytes());
    parsed.root.ok_or_else(|| {
        let (what, at) = parsed.problems.first().map_or_else(
            || ("it is empty".to_owned(), 0),
            |problem| (problem.message.clone(), problem.span.start),
        );
        Unread::new(format!("not JSON: {what}"), source.place(at..at))
    })
}

/// Reads a listing. What has another shape than the Hub's is left out: judging it is the
/// linter's work.
pub fn read(source: &Source) -> Result<Hub, Unread> {
    let root = root(source)?;
    let mut hub = Hub::default();
    let config = root.at("config");
    for (prefix, object) in [("", &root), ("config.", config)] {
        for member in object.members() {
            if !is_one_of(READ_BY_PARTS, &member.key) {
                let key = format!("{prefix}{}", member.key);
                hub.settings.push((key, as_written(source, &member.value)));
            }
        }
    }
    hub.cuda = texts(source, config.list("allowedCudaVersions"));
    let env = config.list("env").iter();
    hub.env = env.filter_map(|entry| declared(source, entry)).collect();
    let presets = config.list("presets").iter().map(|preset| {
        let defaults = preset.object("defaults").iter();
        let defaults = defaults.filter_map(|it| Some((it.key.clone(), it.value.scalar()?)));
        Preset {
            name: preset.text("name").unwrap_or_default().to_owned(),
            defaults: defaults.collect(),
            place: source.place(preset.span.clone()),
        }
    });
    hub.presets = presets.collect();
    Ok(hub)
}

fn declared(source: &Source, entry: &JsonNode) -> Option<Declared> {
    let key = entry.get("key")?;
    let name = key.as_str()?.to_owned();
    let input = entry.at("input");
    let word = |key: &str| input.text(key).map(str::to_owned);
    let value = |key: &str| input.at(key).scalar();
    let default = input.get("default");
    Some(Declared {
        name,
        title: word("name"),
        description: word("description"),
        kind: word("type"),
        default: value("default").filter(|default| !default.is_empty()),
        options: options(source, input),
        required: input.is_true("required"),
        true_value: value("trueValue"),
        false_value: value("falseValue"),
        min: value("min"),
        max: value("max"),
        others: others(source, input),
        fixed: entry.at("value").scalar(),
        default_place: default.map(|node| source.place(node.span.clone())),
        place: source.place(key.span.clone()),
    })
}

/// What of an input is told by a field of its own, or is only about how the form looks.
const TOLD: &str = "name description placeholder hint advanced type default options required \
    trueValue falseValue min max";

fn others(source: &Source, input: &JsonNode) -> Vec<(String, String)> {
    let others = input.members().iter();
    let others = others.filter(|member| !is_one_of(TOLD, &member.key));
    let value = |node: &JsonNode| {
        let text = &source.text[node.span.clone()];
        let json = serde_json::from_str(text).unwrap_or(serde_json::Value::from(text));
        json.to_string()
    };
    let others = others.map(|member| (member.key.clone(), value(&member.value)));
    others.filter(|(_, value)| value != "false").collect()
}

/// What an input lets people choose from: objects with a `value`, or the values themselves.
pub fn options(source: &Source, input: &JsonNode) -> Vec<(String, Place)> {
    let options = input.list("options").iter();
    let values = options.map(|option| text(source, option.get("value").unwrap_or(option)));
    let values = values.flatten();
    values.map(|text| (text.text, text.place)).collect()
}

/// What of a listing and its tests has readers of its own.
pub const READ_BY_PARTS: &str = "config env presets allowedCudaVersions tests";

/// A setting's value: a scalar's text, or the JSON of something larger.
pub fn as_written(source: &Source, node: &JsonNode) -> Text {
    text(source, node).unwrap_or_else(|| {
        let words = source.text[node.span.clone()].split_whitespace();
        let json = words.collect::<Vec<_>>().join(" ");
        Text::new(json, source.place(node.span.clone()))
    })
}

pub fn text(source: &Source, node: &JsonNode) -> Option<Text> {
    Some(Text::new(node.scalar()?, source.place(node.span.clone())))
}

pub fn texts(source: &Source, nodes: &[JsonNode]) -> Vec<Text> {
    nodes.iter().filter_map(|node| text(source, node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_with_variables_presets_and_cuda() {
        let source = Source::new(
            ".runpod/hub.json".into(),
            br#"{"title": "T", "config": {"gpuIds": "ADA_24", "allowedCudaVersions": ["12.4"],
"env": [{"key": "A", "input": {"name": "a", "type": "number", "default": 3, "required": true, "step": 2,
  "multiple": false, "dependsOn": {"key": "B"},
  "options": [{"label": "x", "value": "1"}, "2"]}}, {"key": "F", "value": "x"}, 7, {"no": 1}],
"presets": [{"name": "p", "defaults": {"A": 4}}]}}"#,
        );
        let hub = read(&source).unwrap();
        let declared = |name: &str| hub.env.iter().find(|declared| declared.name == name);
        let a = declared("A").unwrap();
        assert_eq!(
            (a.default.as_deref(), a.required, a.options.len()),
            (Some("3"), true, 2)
        );
        let others = [("step", "2"), ("dependsOn", r#"{"key":"B"}"#)];
        assert_eq!(
            a.others,
            others.map(|(key, value)| (key.into(), value.into()))
        );
        assert_eq!(declared("F").unwrap().fixed.as_deref(), Some("x"));
        assert_eq!(hub.cuda[0].text, "12.4");
        assert_eq!(hub.presets[0].defaults[0].1, "4");
        assert!(
            hub.settings
                .iter()
                .any(|(k, t)| k == "config.gpuIds" && t.text == "ADA_24")
        );
    }

    #[test]
    fn what_is_no_listing_is_a_gap_or_empty() {
        assert!(read(&Source::new("h".into(), b"{")).is_err());
        assert!(
            read(&Source::new("h".into(), b"[1]"))
                .unwrap()
                .env
                .is_empty()
        );
    }
}
