//! `worker-config.json`: the form that the old template UI showed, before the Hub.

use std::collections::BTreeSet;

use super::dockerfile::Text;
use super::hub::{options, root, text};
use super::json::{JsonNode, Member};
use super::{Declared, Source, Unread};
use xtask_core::sglang;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerConfig {
    pub env: Vec<Declared>,
    /// Category to its variables, of the last version listed.
    pub categories: Vec<(Text, Vec<String>)>,
    pub image: Option<Text>,
    pub cuda: Option<Text>,
}

/// Reads the old form. Its types are told in the Hub's words, so that both compare: `text` and
/// `select` are strings, `toggle` is a boolean.
pub fn read(source: &Source) -> Result<WorkerConfig, Unread> {
    let root = root(source)?;
    let mut form = WorkerConfig::default();
    let mut rows: Vec<(&String, Declared)> = Vec::new();
    for member in root.object("schema") {
        let entry = &member.value;
        let word = |key: &str| entry.text(key).map(str::to_owned);
        let value = entry.get("value");
        let row = Declared {
            name: word("env_var_name").unwrap_or_else(|| member.key.clone()),
            title: word("title"),
            description: word("description"),
            kind: word("type").map(|kind| match kind.as_str() {
                "text" | "select" => "string".to_owned(),
                "toggle" => "boolean".to_owned(),
                _ => kind,
            }),
            default: value.and_then(JsonNode::scalar).filter(|v| !v.is_empty()),
            options: options(source, entry),
            required: entry.get("required").and_then(JsonNode::scalar).as_deref() == Some("true"),
            default_place: value.map(|v| source.place(v.span.clone())),
            place: source.place(member.key_span.clone()),
            ..Declared::default()
        };
        rows.push((&member.key, row));
    }
    let settings = |version: &JsonNode| -> Vec<(Option<Text>, Vec<String>)> {
        let categories = version.list("categories").iter();
        let read = |category: &JsonNode| {
            let settings = category.list("settings").iter();
            let title = category.get("title").and_then(|title| text(source, title));
            (title, settings.filter_map(JsonNode::scalar).collect())
        };
        categories.map(read).collect()
    };
    let keys = |version: &JsonNode| settings(version).into_iter().flat_map(|(_, keys)| keys);
    // The highest counts, wherever it stands.
    let versions = root.object("versions");
    let highest = |a: &&Member, b: &&Member| sglang::order(&a.key, &b.key);
    if let Some(Member { value: version, .. }) = versions.iter().max_by(highest) {
        let shown: BTreeSet<String> = keys(version).collect();
        let mut retired: BTreeSet<String> = versions.iter().flat_map(|v| keys(&v.value)).collect();
        retired.retain(|key| !shown.contains(key));
        rows.retain(|(key, _)| !retired.contains(*key));
        let one = |key: &str| text(source, version.get(key)?);
        form.image = one("imageName");
        form.cuda = one("minimumCudaVersion");
        let titled = settings(version).into_iter();
        form.categories = titled
            .filter_map(|(title, keys)| Some((title?, keys)))
            .collect();
    }
    form.env = rows.into_iter().map(|(_, row)| row).collect();
    Ok(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_form_in_the_hubs_words() {
        let source = Source::new(
            "worker-config.json".into(),
            br#"{"versions": {"1": {"imageName": "i", "minimumCudaVersion": "12.1", "categories": [{"title": "C", "settings": ["A"]}]}},
"schema": {"A": {"env_var_name": "A", "value": "x", "title": "t", "type": "select", "options": [{"value": "x", "label": "X"}]}, "B": {"type": "toggle", "value": false, "required": true}}}"#,
        );
        let form = read(&source).unwrap();
        assert_eq!(form.env[0].kind.as_deref(), Some("string"));
        assert_eq!(form.env[0].options[0].0, "x");
        assert_eq!(form.env[1].kind.as_deref(), Some("boolean"));
        assert_eq!(form.env[1].default.as_deref(), Some("false"));
        assert!(form.env[1].required);
        assert_eq!(form.cuda.unwrap().text, "12.1");
        assert_eq!(form.categories[0].1, ["A"]);
    }

    #[test]
    fn a_row_that_only_an_older_version_shows_does_not_count() {
        let source = Source::new(
            "worker-config.json".into(),
            br#"{"versions": {"0.9": {"categories": [{"title": "C", "settings": ["A", "OLD"]}]}, "0.10": {"categories": [{"title": "C", "settings": ["A"]}]}},
"schema": {"A": {"value": "x"}, "OLD": {"value": "y"}, "UNLISTED": {"value": "z"}}}"#,
        );
        let form = read(&source).unwrap();
        let names: Vec<&str> = form.env.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["A", "UNLISTED"]);
    }
}
