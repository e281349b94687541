//! `.runpod/hub.json`: what the Hub offers people to set.

use super::dockerfile::Text;
use super::json::{self, JsonKind, JsonNode, Member};
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

/// Reads a listing. What has another shape than the Hub's is left out: the linter reports that.
pub fn read(source: &Source) -> Result<Hub, Unread> {
    let root = json::read(source)?;
    let config = root.at("config");
    let mut all = settings(source, &root, "");
    all.extend(settings(source, config, "config."));
    let preset = |preset: &JsonNode| {
        let defaults = preset.object("defaults").iter();
        let defaults = defaults.filter_map(|it| Some((it.key.clone(), it.value.scalar()?)));
        Preset {
            name: preset.text("name").unwrap_or_default().to_owned(),
            defaults: defaults.collect(),
            place: preset.place(source),
        }
    };
    let env = config.list("env").iter();
    Ok(Hub {
        env: env.filter_map(|entry| declared(source, entry)).collect(),
        presets: config.list("presets").iter().map(preset).collect(),
        cuda: texts(source, config.list("allowedCudaVersions")),
        settings: all,
    })
}

/// A listing in which a variable has another default, and the line of that; `None` where it has none
/// now, or this one.
pub fn with_default(text: &[u8], name: &str, value: &str) -> Option<(usize, String)> {
    with_value(text, value, |root| {
        let mut all = root.at("config").list("env").iter();
        let entry = all.find(|entry| entry.text("key") == Some(name))?;
        entry.at("input").get("default")
    })
}

/// The same of a member: `title`, `config.gpuIds`.
pub fn with_setting(text: &[u8], path: &str, value: &str) -> Option<(usize, String)> {
    with_value(text, value, |root| match path.strip_prefix("config.") {
        Some(name) => root.at("config").get(name),
        None => root.get(path),
    })
}

/// A listing with another value in one place. It stays of its type where that can say it.
fn with_value(
    text: &[u8],
    value: &str,
    find: impl FnOnce(&JsonNode) -> Option<&JsonNode>,
) -> Option<(usize, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let root = json::parse(text.as_bytes()).root?;
    let node = find(&root)?;
    let before = node.scalar()?;
    let is_bare = match node.kind {
        JsonKind::Bool(_) => matches!(value, "true" | "false"),
        JsonKind::Number(_) => serde_json::from_str::<f64>(value).is_ok(),
        _ => false,
    };
    let quoted = serde_json::Value::from(value).to_string();
    let new = if is_bare { value } else { &quoted };
    let line = text[..node.span.start].matches('\n').count() + 1;
    let parts = [&text[..node.span.start], new, &text[node.span.end..]];
    (before != value && !before.is_empty()).then(|| (line, parts.concat()))
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
        default_place: default.map(|node| node.place(source)),
        place: key.place(source),
    })
}

/// The keys of an input that have a field in [`Declared`], or that are only wording.
const KNOWN: &str = "name description placeholder hint type default options required \
    trueValue falseValue min max";

fn others(source: &Source, input: &JsonNode) -> Vec<(String, String)> {
    let others = input.members().iter();
    let others = others.filter(|member| !is_one_of(KNOWN, &member.key));
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
    let values = options.map(|option| option.get("value").unwrap_or(option));
    let option = |value: &JsonNode| Some((value.scalar()?, value.place(source)));
    values.filter_map(option).collect()
}

/// The members that nothing else reads, each with its text, or as it is written.
pub fn settings(source: &Source, object: &JsonNode, prefix: &str) -> Vec<(String, Text)> {
    const READ_APART: &str = "config env presets allowedCudaVersions tests";
    let others = object.members().iter();
    let others = others.filter(|member| !is_one_of(READ_APART, &member.key));
    let setting = |Member { key, value, .. }: &Member| {
        let text = value.scalar().unwrap_or_else(|| value.written(source));
        (
            format!("{prefix}{key}"),
            Text::new(text, value.place(source)),
        )
    };
    others.map(setting).collect()
}

pub fn text(source: &Source, node: &JsonNode) -> Option<Text> {
    Some(Text::new(node.scalar()?, node.place(source)))
}

pub fn texts(source: &Source, nodes: &[JsonNode]) -> Vec<Text> {
    nodes.iter().filter_map(|node| text(source, node)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_changes_in_its_type() {
        let of = |name, value| {
            let text = r#"{"config": {"env": [
{"key": "A", "input": {"default": 0.9}}, {"key": "B", "input": {"default": false}},
{"key": "C", "input": {"default": "x"}}, {"key": "D", "input": {}}]}}"#;
            with_default(text.as_bytes(), name, value).map(|(line, text)| {
                (
                    line,
                    text.lines().nth(line - 1).unwrap_or_default().to_owned(),
                )
            })
        };
        let second = |a: &str, b: &str| {
            let line = format!(
                r#"{{"key": "A", "input": {{"default": {a}}}}}, {{"key": "B", "input": {{"default": {b}}}}},"#
            );
            Some((2, line))
        };
        assert_eq!(of("A", "0.3"), second("0.3", "false"));
        assert_eq!(of("A", "some"), second("\"some\"", "false"));
        assert_eq!(of("B", "true"), second("0.9", "true"));
        assert!(
            of("C", "a \"b\"")
                .unwrap()
                .1
                .contains(r#""default": "a \"b\"""#)
        );
        assert_eq!(of("A", "0.9"), None);
        assert_eq!(of("D", "1"), None);
        assert_eq!(of("E", "1"), None);
        let text = br#"{"title": "A", "config": {"gpuCount": 1}}"#;
        let title = with_setting(text, "title", "B").unwrap().1;
        assert_eq!(title, r#"{"title": "B", "config": {"gpuCount": 1}}"#);
        let count = with_setting(text, "config.gpuCount", "2").unwrap().1;
        assert_eq!(count, r#"{"title": "A", "config": {"gpuCount": 2}}"#);
        assert_eq!(with_setting(text, "config.none", "2"), None);
    }

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
