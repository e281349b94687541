//! docker-compose.yml: services with their image, environment, ports and volumes.

mod rewrite;

use super::dockerfile::{Named, expand};
use super::json::{JsonKind, JsonNode, Member};
use super::{Hides, Place, Reading, Source, Unread, is_one_of, yaml};

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

/// Begins the setting of a file with variables that is not in the repository.
pub const ENV_FILE: &str = "env_file: ";

/// The keys of a service that have a field above, or that do not change its container.
const KEYS: &str = "image build environment env_file ports volumes command entrypoint extends \
    container_name profiles labels depends_on restart";

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
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let root = yaml::read(source, &HIDES, &mut unread);
    let what = "what other files include is not read";
    not_read(source, root.member("include"), what, &mut unread);
    let mut read = |member: &Member| service(source, member, &mut unread);
    for member in root.members() {
        match member.key.as_str() {
            "services" => found.extend(member.value.members().iter().map(&mut read)),
            "version" | "name" | "include" => {}
            other if other.starts_with("x-") => {}
            // Other keys, such as networks and volumes, are compared as text.
            _ => found.push(read(member)),
        }
    }
    Reading::new(found, unread)
}

fn service(source: &Source, member: &Member, unread: &mut Vec<Unread>) -> Service {
    let service = &member.value;
    let what = "the service that this one extends is not read";
    not_read(source, service.member("extends"), what, unread);
    let text = |name: &str| service.get(name).map(line);
    let build = service.get("build");
    let mut others: Vec<&Member> = service.members().iter().collect();
    others.retain(|member| !is_one_of(KEYS, &member.key));
    others.sort_by_key(|member| &member.key);
    let setting = |member: &Member| format!("{}: {}", member.key, line(&member.value));
    let mut settings: Vec<String> = others.into_iter().map(setting).collect();
    for part in ["args", "target"] {
        let member = build.and_then(|build| build.member(part));
        settings.extend(member.map(|member| format!("build {}", setting(member))));
    }
    let path = |node: &JsonNode| expand(&line(node.get("path").unwrap_or(node)), &[].into());
    Service {
        settings,
        name: member.key.clone(),
        image: text("image"),
        environment: named(source, service.at("environment")),
        env_files: each(service.get("env_file")).iter().map(path).collect(),
        ports: each(service.get("ports")).iter().map(port).collect(),
        volumes: service.list("volumes").iter().map(volume).collect(),
        command: text("command"),
        entrypoint: text("entrypoint"),
        place: member.place(source),
        build: build.map(|node| read_build(source, node, unread)),
    }
}

fn read_build(source: &Source, build: &JsonNode, unread: &mut Vec<Unread>) -> Build {
    let inline = build.member("dockerfile_inline");
    not_read(source, inline, "a Dockerfile inside of this file", unread);
    let text = |key: &str| build.get(key).map(line);
    let short_form = build.as_str().map(str::to_owned);
    let context = short_form.or_else(|| text("context"));
    let at_default = |text: Option<String>, default: &str| {
        text.map_or_else(|| default.to_owned(), |text| expand(&text, &[].into()))
    };
    Build {
        context: at_default(context, "."),
        dockerfile: at_default(text("dockerfile"), "Dockerfile"),
        args: named(source, build.at("args")),
    }
}

/// Names with values, as a mapping or as a list of `NAME=value`.
fn named(source: &Source, node: &JsonNode) -> Vec<Named> {
    let named = |m: &Member| Named::new(&*m.key, line(&m.value), m.place(source));
    let members = node.members().iter().map(named);
    let items = node.items().iter().map(|item| {
        let text = line(item);
        let (name, value) = text.split_once('=').unwrap_or((&text, ""));
        Named::new(name, value, item.place(source))
    });
    members.chain(items).collect()
}

fn not_read(source: &Source, member: Option<&Member>, what: &str, all: &mut Vec<Unread>) {
    let unread = member.map(|it| source.unread(it.key_span.clone(), what, &HIDES));
    all.extend(unread.filter(|unread| !all.contains(unread)));
}

/// The members of a list, or a value alone.
fn each(node: Option<&JsonNode>) -> &[JsonNode] {
    match node.map(|node| &node.kind) {
        Some(JsonKind::Array(items)) => items,
        _ => node.map(std::slice::from_ref).unwrap_or_default(),
    }
}

/// A value in one line, which is cut short where it is very long.
fn line(node: &JsonNode) -> String {
    const LONGEST: usize = 4096;
    let member = |member: &Member| format!("{}={}", member.key, line(&member.value));
    let mut members: Vec<String> = node.members().iter().map(member).collect();
    // The order of keys means nothing.
    members.sort();
    let items: Vec<String> = node.items().iter().map(line).collect();
    let text = node.as_str().unwrap_or_default();
    let text = [text, &items.join(" "), &members.join(",")].concat();
    xtask_core::output::cut(&text, LONGEST)
}

/// `SOURCE:TARGET`, which may be written as a mapping too.
fn volume(node: &JsonNode) -> String {
    let short = matches!(node.text("type"), Some("bind" | "volume")) && node.members().len() == 3;
    match node.text("source").zip(node.text("target")) {
        Some((source, target)) if short => format!("{source}:{target}"),
        _ => line(node),
    }
}

/// `PUBLISHED:TARGET`, which may be written as a mapping too.
fn port(node: &JsonNode) -> String {
    let [target, published] = ["target", "published"].map(|key| node.at(key).scalar());
    match published.zip(target) {
        Some((published, target)) if node.members().len() == 2 => format!("{published}:{target}"),
        _ => line(node),
    }
}

/// Reads an `env_file`, or a `.env`: `NAME=value` lines, quoted as compose has them.
pub fn env_file(source: &Source) -> Vec<Named> {
    let mut found = Vec::new();
    for (start, line) in source.lines() {
        let trimmed = line.trim();
        let trimmed = trimmed.strip_prefix("export ").unwrap_or(trimmed);
        let setting = trimmed.split_once('=');
        if let Some((name, value)) = setting.filter(|_| !trimmed.starts_with('#')) {
            let at = start + line.find(name).unwrap_or(0);
            let place = source.place(at..at + name.len());
            found.push(Named::new(name.trim(), unquoted(value.trim()), place));
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
