//! `worker-config.json`: the form that the old template UI showed, before the Hub.

use std::collections::BTreeSet;

use super::dockerfile::Text;
use super::hub::{options, text};
use super::json::{self, JsonNode, Member};
use super::{Declared, Source, Unread};
use xtask_core::sglang;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WorkerConfig {
    pub env: Vec<Declared>,
    /// Category to its variables, of the last version listed.
    pub categories: Vec<(Text, Vec<String>)>,
    pub image: Option<Text>,
    /// The variable that the template UI put the model's name into.
    pub model_variable: Option<Text>,
    pub cuda: Option<Text>,
}

/// Reads the old form. Its types get the Hub's names, so that both can be compared.
pub fn read(source: &Source) -> Result<WorkerConfig, Unread> {
    let root = json::read(source)?;
    let mut form = WorkerConfig::default();
    let mut rows: Vec<(&String, Declared)> = Vec::new();
    for member in root.object("schema") {
        let entry = &member.value;
        let word = |key: &str| entry.text(key).map(str::to_owned);
        let default = entry.at("value").scalar();
        let row = Declared {
            name: word("env_var_name").unwrap_or_else(|| member.key.clone()),
            title: word("title"),
            description: word("description"),
            kind: word("type").map(|kind| match kind.as_str() {
                "text" | "select" => "string".to_owned(),
                "toggle" => "boolean".to_owned(),
                _ => kind,
            }),
            default: default.filter(|default| !default.is_empty()),
            options: options(source, entry),
            required: entry.at("required").scalar().as_deref() == Some("true"),
            default_place: entry.get("value").map(|value| value.place(source)),
            place: member.place(source),
            ..Declared::default()
        };
        rows.push((&member.key, row));
    }
    // The highest version counts.
    let versions = root.object("versions");
    let keys = |version: &Member| -> Vec<String> {
        let settings = version.value.all("categories [] settings []").into_iter();
        settings.filter_map(JsonNode::scalar).collect()
    };
    let highest = |a: &&Member, b: &&Member| sglang::order(&a.key, &b.key);
    if let Some(highest) = versions.iter().max_by(highest) {
        // `latest` is no number that could be compared.
        let is_word = |version: &&Member| !version.key.starts_with(|c: char| c.is_ascii_digit());
        let words = versions.iter().filter(is_word);
        let shown: BTreeSet<String> = words.chain([highest]).flat_map(keys).collect();
        let listed: BTreeSet<String> = versions.iter().flat_map(keys).collect();
        if !shown.is_empty() {
            rows.retain(|(key, _)| shown.contains(*key) || !listed.contains(*key));
        }
        let version = &highest.value;
        let one = |key: &str| text(source, version.get(key)?);
        form.image = one("imageName");
        form.cuda = one("minimumCudaVersion");
        form.model_variable = one("modelEnvVarKey");
        let category = |category: &JsonNode| {
            let settings = category.list("settings").iter();
            let settings = settings.filter_map(JsonNode::scalar).collect();
            Some((text(source, category.get("title")?)?, settings))
        };
        let categories = version.list("categories").iter();
        form.categories = categories.filter_map(category).collect();
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
