//! docker-compose.yml: services with their image, environment, ports and volumes.

use super::dockerfile::Named;
use super::yaml::{Node, Yaml};
use super::{Place, Source, Unread};

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
pub fn read(source: &Source) -> Result<Vec<Service>, Unread> {
    let yaml = Yaml::parse(&source.text).map_err(|fault| {
        Unread::new(
            format!("not YAML: {}", fault.what),
            source.place(fault.offset..fault.offset),
        )
    })?;
    let file = File {
        source,
        yaml: &yaml,
    };
    let services = yaml.root().and_then(|root| yaml.get(root, "services"));
    let mut found = Vec::new();
    for (key, service) in services.map(|id| file.members(id)).unwrap_or_default() {
        let one = |name: &str| yaml.get(service, name).map(|id| file.line(id, 0));
        let list = |name: &str| -> Vec<String> {
            let Some(id) = yaml.get(service, name) else {
                return Vec::new();
            };
            match yaml.node(id) {
                Node::Sequence(items) => items.iter().map(|&id| file.line(id, 0)).collect(),
                _ => vec![file.line(id, 0)],
            }
        };
        let mut environment = Vec::new();
        if let Some(id) = yaml.get(service, "environment") {
            for (key, value) in file.members(id) {
                environment.push(Named {
                    name: file.line(key, 0),
                    value: file.line(value, 0),
                    place: file.place(key),
                });
            }
            for &item in yaml.members(id) {
                let text = file.line(item, 0);
                let (name, value) = text.split_once('=').unwrap_or((&text, ""));
                environment.push(Named {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    place: file.place(item),
                });
            }
        }
        found.push(Service {
            name: file.line(key, 0),
            image: one("image"),
            env_files: list("env_file"),
            ports: list("ports"),
            volumes: list("volumes"),
            command: one("command"),
            environment,
            place: file.place(key),
        });
    }
    Ok(found)
}

struct File<'a> {
    source: &'a Source,
    yaml: &'a Yaml,
}

impl File<'_> {
    /// A mapping's own keys and values.
    fn members(&self, id: usize) -> Vec<(usize, usize)> {
        match self.yaml.node(id) {
            Node::Mapping(pairs) => pairs.clone(),
            _ => Vec::new(),
        }
    }

    fn place(&self, id: usize) -> Place {
        match self.yaml.node(id) {
            Node::Scalar { span, .. } => self.source.place(span.clone()),
            _ => Place::start_of(&self.source.path),
        }
    }

    /// A value in one line. Aliases may make a value as large as one likes: it is cut short.
    fn line(&self, id: usize, depth: usize) -> String {
        const DEEPEST: usize = 4;
        const MOST: usize = 32;
        if depth > DEEPEST {
            return "…".to_owned();
        }
        let inside = |id: usize| self.line(id, depth + 1);
        match self.yaml.node(id) {
            Node::Scalar { value, .. } => value.clone(),
            Node::Sequence(items) => {
                let items: Vec<_> = items.iter().take(MOST).map(|&id| inside(id)).collect();
                items.join(" ")
            }
            Node::Mapping(pairs) => {
                let pairs = pairs.iter().take(MOST);
                let pairs: Vec<_> = pairs
                    .map(|&(k, v)| format!("{}={}", inside(k), inside(v)))
                    .collect();
                pairs.join(",")
            }
        }
    }
}

/// Reads an `env_file`, or a `.env`: `NAME=value` lines, quoted as compose has them.
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
                value: unquoted(value.trim()),
                place: source.place(at..at + name.len()),
            });
        }
    }
    found
}

/// A value without its quotes and without a comment behind it. In single quotes everything stands
/// for itself; in double quotes a backslash escapes; a bare `#` begins a comment behind a space.
fn unquoted(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some('\'') => match chars.as_str().split_once('\'') {
            Some((inside, _)) => inside.to_owned(),
            None => text.to_owned(),
        },
        Some('"') => {
            let mut value = String::new();
            loop {
                match chars.next() {
                    Some('"') => return value,
                    Some('\\') => match chars.next() {
                        Some('n') => value.push('\n'),
                        Some('t') => value.push('\t'),
                        Some('r') => value.push('\r'),
                        Some(c @ ('"' | '\\' | '$')) => value.push(c),
                        Some(c) => value.extend(['\\', c]),
                        None => return text.to_owned(),
                    },
                    Some(c) => value.push(c),
                    None => return text.to_owned(),
                }
            }
        }
        Some('#') => String::new(),
        _ => {
            let comment = text.find(" #").or_else(|| text.find("\t#"));
            text[..comment.unwrap_or(text.len())].trim_end().to_owned()
        }
    }
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
        for text in ["a: [", "services: &a [*a]", "\u{0}", &"[".repeat(5_000)] {
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

    #[test]
    fn values_are_quoted_as_compose_has_it() {
        for (written, value) in [
            ("plain", "plain"),
            ("a#b", "a#b"),
            ("plain  # a comment", "plain"),
            ("# only a comment", ""),
            ("'it # is $HERE \\n' # a comment", "it # is $HERE \\n"),
            ("\"a \\\"b\\\" \\n\\x\" # a comment", "a \"b\" \n\\x"),
            ("\"never ends", "\"never ends"),
            ("", ""),
            ("''", ""),
        ] {
            let source = Source::new(".env".into(), format!(" A = {written}\r\n").as_bytes());
            let named = env_file(&source);
            assert_eq!(
                (&*named[0].name, &*named[0].value),
                ("A", value),
                "{written}"
            );
        }
    }
}
