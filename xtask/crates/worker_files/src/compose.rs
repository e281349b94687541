//! docker-compose.yml: services with their image, environment, ports and volumes.

mod rewrite;

use std::collections::BTreeMap;

use super::dockerfile::{Named, expand};
use super::yaml::{Node, Yaml};
use super::{Hides, Place, Reading, Source, Unread, is_one_of};

pub use rewrite::rewrite;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub image: Option<String>,
    pub build: Option<Build>,
    pub environment: Vec<Named>,
    /// Files with more of the environment.
    pub env_files: Vec<String>,
    pub ports: Vec<String>,
    pub volumes: Vec<String>,
    pub command: Option<String>,
    pub entrypoint: Option<String>,
    /// What else it sets, a line each: `shm_size: 32g`.
    pub settings: Vec<String>,
    pub place: Place,
}

/// The keys of a service that have a field of their own, or do nothing to its container.
const KEYS: &str = "image build environment env_file ports volumes command entrypoint extends \
    container_name profiles labels depends_on << restart";

/// What a service's image is built from, with variables at their defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub context: String,
    /// From the context.
    pub dockerfile: String,
    pub args: Vec<Named>,
}

const HIDES: [Hides; 2] = [Hides::Settings, Hides::Variables];

pub fn read(source: &Source) -> Reading<Vec<Service>> {
    let yaml = match Yaml::parse(&source.text) {
        Ok(yaml) => yaml,
        Err(fault) => {
            let at = fault.offset..fault.offset;
            let what = format!("not YAML: {}", fault.what);
            return Reading::new(Vec::new(), vec![source.unread(at, what, &HIDES)]);
        }
    };
    let mut file = File {
        source,
        yaml: &yaml,
        unread: Vec::new(),
        budget: 100_000,
    };
    let mut found = Vec::new();
    for (key, value) in yaml.root().map(|root| file.pairs(root)).unwrap_or_default() {
        match file.line(key).as_str() {
            "services" => {
                for (name, service) in file.pairs(value) {
                    found.push(file.service(name, service));
                }
            }
            "include" => file.not_read(key, "what other files include is not read"),
            "version" | "name" => {}
            other if other.starts_with("x-") => {}
            // Other keys, such as networks and volumes, are compared as text.
            _ => found.push(file.service(key, value)),
        }
    }
    Reading::new(found, file.unread)
}

struct File<'a> {
    source: &'a Source,
    yaml: &'a Yaml,
    unread: Vec<Unread>,
    /// Aliases may make a file as large as one likes: so many members are looked at.
    budget: usize,
}

impl File<'_> {
    fn service(&mut self, name: usize, service: usize) -> Service {
        let members = self.pairs(service).into_iter();
        let keys: BTreeMap<String, (usize, usize)> =
            members.map(|pair| (self.line(pair.0), pair)).collect();
        if let Some((key, _)) = keys.get("extends") {
            self.not_read(*key, "the service that this one extends is not read");
        }
        let get = |name: &str| keys.get(name).map(|(_, value)| *value);
        let one = |name: &str| get(name).map(|id| self.line(id));
        let lines = |name: &str| get(name).map(|id| self.lines(id)).unwrap_or_default();
        let (image, command, entrypoint) = (one("image"), one("command"), one("entrypoint"));
        let volumes = get("volumes").map(|id| self.yaml.members(id).to_vec());
        let volumes = volumes.into_iter().flatten();
        let volumes = volumes.map(|id| self.volume(id)).collect();
        let ports = lines("ports");
        let env_files = get("env_file")
            .map(|id| self.env_files(id))
            .unwrap_or_default();
        let environment = get("environment")
            .map(|id| self.named(id))
            .unwrap_or_default();
        let others = keys.iter().filter(|(key, _)| !is_one_of(KEYS, key));
        let mut settings: Vec<String> = others
            .map(|(key, (_, value))| format!("{key}: {}", self.line(*value)))
            .collect();
        for part in ["args", "target"] {
            let value = get("build").and_then(|build| self.yaml.get(build, part));
            settings.extend(value.map(|value| format!("build {part}: {}", self.line(value))));
        }
        Service {
            settings,
            name: self.line(name),
            image,
            build: get("build").map(|id| self.build(id)),
            environment,
            env_files,
            ports,
            volumes,
            command,
            entrypoint,
            place: self.place(name),
        }
    }

    fn build(&mut self, id: usize) -> Build {
        let at_default = |text: &str| expand(text, &BTreeMap::new());
        let mut build = Build {
            context: ".".to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            args: Vec::new(),
        };
        if let Some(context) = self.yaml.text(id) {
            build.context = at_default(context);
        }
        for (key, value) in self.pairs(id) {
            match self.line(key).as_str() {
                "context" => build.context = at_default(&self.line(value)),
                "dockerfile" => build.dockerfile = at_default(&self.line(value)),
                "args" => build.args = self.named(value),
                "dockerfile_inline" => self.not_read(key, "a Dockerfile inside of this file"),
                _ => {}
            }
        }
        build
    }

    /// Names with values, as a mapping or as a list of `NAME=value`.
    fn named(&mut self, id: usize) -> Vec<Named> {
        let mut found = Vec::new();
        for (key, value) in self.pairs(id) {
            found.push(Named {
                name: self.line(key),
                value: self.line(value),
                place: self.place(key),
            });
        }
        for &item in self.yaml.members(id) {
            let text = self.line(item);
            let (name, value) = text.split_once('=').unwrap_or((&text, ""));
            found.push(Named {
                name: name.to_owned(),
                value: value.to_owned(),
                place: self.place(item),
            });
        }
        found
    }

    /// A value, or those of a list.
    fn lines(&self, id: usize) -> Vec<String> {
        match self.yaml.node(id) {
            Node::Sequence(items) => items.iter().map(|&id| self.line(id)).collect(),
            _ => vec![self.line(id)],
        }
    }

    /// `env_file`: a path, or a list of paths or of mappings with one.
    fn env_files(&self, id: usize) -> Vec<String> {
        let members = match self.yaml.members(id) {
            [] => &[id],
            members => members,
        };
        let path = |&id: &usize| self.line(self.yaml.get(id, "path").unwrap_or(id));
        let at_default = |path: String| expand(&path, &BTreeMap::new());
        members.iter().map(path).map(at_default).collect()
    }

    /// A mapping's keys and values; its own win over those that `<<` merges in.
    fn pairs(&mut self, id: usize) -> Vec<(usize, usize)> {
        let pairs = self.yaml.merged(id, &mut self.budget);
        if self.budget == 0 {
            let at = pairs.last().map_or(id, |(key, _)| *key);
            self.not_read(at, "this file unfolds to more than can be read");
        }
        pairs
    }

    fn place(&self, id: usize) -> Place {
        self.source.place(self.yaml.span(id))
    }

    fn not_read(&mut self, id: usize, what: &str) {
        let unread = self.source.unread(self.yaml.span(id), what, &HIDES);
        if !self.unread.contains(&unread) {
            self.unread.push(unread);
        }
    }

    /// A value in one line. Aliases may make a value as large as one likes: it is cut short.
    fn line(&self, id: usize) -> String {
        let mut line = String::new();
        self.write(id, &mut line, 0);
        line
    }

    fn write(&self, id: usize, line: &mut String, depth: usize) {
        const DEEPEST: usize = 20;
        const LONGEST: usize = 4096;
        if depth > DEEPEST || line.len() > LONGEST {
            if !line.ends_with('…') {
                line.push('…');
            }
            return;
        }
        match self.yaml.node(id) {
            Node::Scalar { value, .. } => line.push_str(value),
            Node::Sequence(items) => {
                for (number, &item) in items.iter().enumerate() {
                    line.push_str(if number > 0 { " " } else { "" });
                    self.write(item, line, depth + 1);
                }
            }
            Node::Mapping(pairs) => {
                for (number, &(key, value)) in pairs.iter().enumerate() {
                    line.push_str(if number > 0 { "," } else { "" });
                    self.write(key, line, depth + 1);
                    line.push('=');
                    self.write(value, line, depth + 1);
                }
            }
        }
    }

    /// `SOURCE:TARGET`, which may be written as a mapping too.
    fn volume(&self, id: usize) -> String {
        let Node::Mapping(pairs) = self.yaml.node(id) else {
            return self.line(id);
        };
        let get = |name: &str| self.yaml.get(id, name).map(|id| self.line(id));
        match (
            get("source"),
            get("target"),
            get("type").as_deref(),
            pairs.len(),
        ) {
            (Some(source), Some(target), Some("bind" | "volume"), 3) => {
                format!("{source}:{target}")
            }
            _ => self.line(id),
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
    if text.starts_with('"') {
        // JSON has the same escapes, but for the dollar sign.
        let json = text.replace("\\$", "$");
        let mut strings = serde_json::Deserializer::from_str(&json).into_iter::<String>();
        if let Some(Ok(string)) = strings.next() {
            return string;
        }
    }
    if let Some(rest) = text.strip_prefix(['"', '\''])
        && let Some((inside, _)) = rest.split_once(&text[..1])
    {
        return inside.to_owned();
    }
    let comment = text.find(" #").or_else(|| text.find("\t#"));
    let end = if text.starts_with('#') { 0 } else { text.len() };
    text[..comment.unwrap_or(end)].trim_end().to_owned()
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
        let (services, unread) = read(&source).split();
        assert!(unread.is_empty());
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
        let (_, unread) = read(&Source::new("c.yml".into(), b"a: b\nc: [1\n")).split();
        assert!(unread[0].what.contains("not YAML"));
    }

    #[test]
    fn anchors_builds_and_what_is_elsewhere() {
        let text = "x-e: &e {A: 1, B: 2}\ninclude: [more.yml]\nservices:\n  w:\n    extends: {file: o.yml}\n    build:\n      context: ${CONTEXT:-sub}\n      dockerfile: Dockerfile.gpu\n      args: [X=1]\n    environment:\n      <<: *e\n      B: ${B:-3}\n    env_file:\n      - path: a.env\n        required: false\n      - b.env\n";
        let (services, unread) = read(&Source::new("compose.yml".into(), text.as_bytes())).split();
        let env = services[0]
            .environment
            .iter()
            .map(|e| format!("{}={}", e.name, e.value));
        assert_eq!(env.collect::<Vec<_>>(), ["B=${B:-3}", "A=1"]);
        let build = services[0].build.as_ref().unwrap();
        assert_eq!(
            (&*build.context, &*build.dockerfile),
            ("sub", "Dockerfile.gpu")
        );
        assert_eq!(build.args[0].name, "X");
        assert_eq!(services[0].env_files, ["a.env", "b.env"]);
        assert_eq!(
            unread.iter().map(|u| u.place.line).collect::<Vec<_>>(),
            [2, 5]
        );
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
            ("\"a \\\"b\\\" \\n\\$x\" # a comment", "a \"b\" \n$x"),
            ("\"a\\x\" # a comment", "a\\x"),
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
