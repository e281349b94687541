//! docker-compose.yml: services with their image, environment, ports and volumes.

use yaml_serde::Value;

use super::dockerfile::Named;
use super::{Gap, Place, Source, too_deep};

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub image: Option<String>,
    pub environment: Vec<Named>,
    /// Files with more of the environment.
    pub env_files: Vec<String>,
    pub ports: Vec<String>,
    pub volumes: Vec<String>,
    pub command: Option<String>,
    pub place: Place,
}

/// Reads a compose file.
pub fn read(source: &Source) -> Result<Vec<Service>, Gap> {
    let whole = Place::start_of(&source.path);
    if too_deep(&source.text) {
        return Err(Gap {
            what: "nested too deeply to be read".to_owned(),
            place: whole,
        });
    }
    let document: Value = yaml_serde::from_str(&source.text).map_err(|error| {
        let at = error.location().map_or(0, |l| l.index());
        Gap {
            what: format!("not YAML: {error}"),
            place: source.place(at..at),
        }
    })?;
    let Some(services) = document.get("services").and_then(Value::as_mapping) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (name, service) in services {
        let name = text(name);
        let list = |key: &str| -> Vec<String> {
            match service.get(key) {
                Some(Value::Sequence(items)) => items.iter().map(text).collect(),
                Some(Value::Null) | None => Vec::new(),
                Some(other) => vec![text(other)],
            }
        };
        let place = key_place(source, &name, 0).unwrap_or_else(|| whole.clone());
        let from = source
            .lines()
            .nth(place.line.saturating_sub(1))
            .map_or(0, |(at, _)| at);
        let mut environment = Vec::new();
        let mut add = |name: String, value: String| {
            let place = key_place(source, &name, from).unwrap_or_else(|| whole.clone());
            environment.push(Named { name, value, place });
        };
        match service.get("environment") {
            Some(Value::Mapping(items)) => {
                for (key, value) in items {
                    add(text(key), text(value));
                }
            }
            Some(Value::Sequence(items)) => {
                for item in items {
                    let item = text(item);
                    let (name, value) = item.split_once('=').unwrap_or((&item, ""));
                    add(name.to_owned(), value.to_owned());
                }
            }
            _ => {}
        }
        found.push(Service {
            image: service.get("image").map(text),
            env_files: list("env_file"),
            ports: list("ports"),
            volumes: list("volumes"),
            command: service.get("command").map(text),
            environment,
            name,
            place,
        });
    }
    Ok(found)
}

/// Reads an env_file: `NAME=value` lines.
pub fn env_file(source: &Source) -> Vec<Named> {
    let mut found = Vec::new();
    for (start, line) in source.lines() {
        let trimmed = line.trim();
        let trimmed = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        if let Some((name, value)) = trimmed.split_once('=')
            && !trimmed.starts_with('#')
        {
            let at = start + line.find(name).unwrap_or(0);
            found.push(Named {
                name: name.trim().to_owned(),
                value: value.trim().trim_matches(['"', '\'']).to_owned(),
                place: source.place(at..at + name.len()),
            });
        }
    }
    found
}

/// A scalar as it is written in YAML; other values in one line.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Sequence(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        Value::Mapping(items) => items
            .iter()
            .map(|(key, value)| format!("{}={}", text(key), text(value)))
            .collect::<Vec<_>>()
            .join(","),
        Value::Tagged(tagged) => text(&tagged.value),
    }
}

/// The first line from `from` on where a name stands as a key or an item. The YAML reader tells
/// no places, and a line is found by what it begins with.
fn key_place(source: &Source, name: &str, from: usize) -> Option<Place> {
    if name.is_empty() {
        return None;
    }
    source.lines().find_map(|(start, line)| {
        if start < from {
            return None;
        }
        let content = line.trim_start().trim_start_matches("- ").trim_start();
        let content = content.trim_start_matches(['"', '\'']);
        let rest = content.strip_prefix(name)?;
        let ends = rest.is_empty() || rest.starts_with([':', '=', '"', '\'']);
        let at = start + line.len() - content.len();
        ends.then(|| source.place(at..at + name.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_environment() {
        let source = Source::new(
            "docker-compose.yml".into(),
            b"services:\n  a:\n    image: x:1\n    environment:\n      - HOST=0.0.0.0\n      - EMPTY\n    env_file: .env\n    ports: [\"8000:8000\"]\n  b:\n    environment:\n      HOST: 1\n      FLAG: true\n",
        );
        let services = read(&source).unwrap();
        let env: Vec<_> = services
            .iter()
            .flat_map(|s| &s.environment)
            .map(|e| format!("{}={}@{}", e.name, e.value, e.place.line))
            .collect();
        assert_eq!(
            env,
            ["HOST=0.0.0.0@5", "EMPTY=@6", "HOST=1@11", "FLAG=true@12"]
        );
        assert_eq!(services[0].env_files, [".env"]);
        assert_eq!(services[0].ports, ["8000:8000"]);
    }

    #[test]
    fn broken_and_hostile_yaml_is_a_gap() {
        for text in ["a: [", "services: &a [*a]", "\u{0}", &"[".repeat(50_000)] {
            let _ = read(&Source::new("c.yml".into(), text.as_bytes()));
        }
        let gap = read(&Source::new("c.yml".into(), b"a: b\nc: [1\n")).unwrap_err();
        assert!(gap.what.contains("not YAML"));
    }

    #[test]
    fn an_env_file_is_read() {
        let named = env_file(&Source::new(".env".into(), b"# no\nA=1\nexport B=\"2\"\n"));
        assert_eq!(named.len(), 2);
        assert_eq!(named[1].value, "2");
    }
}
