//! Build arguments that the new Dockerfile does not declare.

use super::{File, Form};
use crate::dockerfile::{Named, is_predefined};
use crate::yaml::{Node, Yaml};
use crate::{Source, bake};

/// `dockerfile` is where the Dockerfile lies: what builds another is passed over.
pub(super) fn find(file: &mut File<'_>, dockerfile: &str, declared: &[String]) {
    let mut passed = on_command_lines(file, dockerfile);
    match file.form {
        Form::Yaml => passed.extend(in_yaml(file.text, dockerfile)),
        Form::Hcl => {
            let args = in_bake(file.text, dockerfile).into_iter();
            passed.extend(args.map(|arg| (arg.place.start, arg.name)));
        }
        _ => {}
    }
    let instead = match declared {
        [] => "leave it out: the Dockerfile declares no argument".to_owned(),
        all => format!(
            "leave it out, or pass one that is declared: {}",
            all.join(", ")
        ),
    };
    for (offset, name) in passed {
        if is_undeclared(&name, declared) {
            let what = format!("the Dockerfile declares no argument `{name}`");
            file.hit(offset, what, instead.clone());
        }
    }
}

pub(super) fn is_undeclared(name: &str, declared: &[String]) -> bool {
    !declared.iter().any(|known| known == name) && !is_predefined(name)
}

/// Whether a build that names this file builds the worker's Dockerfile, rather than another of the
/// repository. One that names none builds the one at the root.
fn is_the_dockerfile(named: Option<&str>, dockerfile: &str) -> bool {
    let path = named.unwrap_or("Dockerfile").trim_matches(['"', '\'']);
    path.trim_start_matches("./") == dockerfile
}

fn is_root(path: &str) -> bool {
    matches!(path, "." | "./" | "")
        || path.contains("github.workspace")
        || path.contains("defaultContext")
}

/// The name before `=`, if there is one.
fn name(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    is_name.then(|| &text[..end])
}

/// `docker build --build-arg NAME=value`, wherever it is written.
fn on_command_lines(file: &File<'_>, dockerfile: &str) -> Vec<(usize, String)> {
    const OPTION: &str = "--build-arg";
    let mut found = Vec::new();
    for (at, _) in file.text.match_indices(OPTION) {
        let rest = &file.text[at + OPTION.len()..];
        let value = rest.trim_start_matches(|c: char| " \t=\"',".contains(c));
        let gap = rest.len() - value.len();
        if gap == 0 || !builds_the_dockerfile(&command(file.text, at), dockerfile) {
            continue;
        }
        if let Some(name) = name(value) {
            found.push((at + OPTION.len() + gap, name.to_owned()));
        }
    }
    found
}

/// The command around an offset, with the lines that it goes on over.
fn command(text: &str, at: usize) -> String {
    let mut start = text[..at].rfind('\n').map_or(0, |before| before + 1);
    while start > 0 && text[..start - 1].trim_end_matches('\r').ends_with('\\') {
        start = text[..start - 1].rfind('\n').map_or(0, |before| before + 1);
    }
    let mut command = String::new();
    for line in text[start..].lines() {
        let goes_on = line.strip_suffix('\\');
        command.push_str(goes_on.unwrap_or(line));
        if goes_on.is_none() {
            break;
        }
    }
    command
}

fn builds_the_dockerfile(command: &str, dockerfile: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().collect();
    let file = words.iter().enumerate().find_map(|(at, word)| match *word {
        "-f" | "--file" => words.get(at + 1).copied(),
        word => word
            .strip_prefix("--file=")
            .or_else(|| word.strip_prefix("-f=")),
    });
    is_the_dockerfile(file, dockerfile)
}

/// `build-args:` of a workflow step, `build: args:` of a compose file.
fn in_yaml(text: &str, dockerfile: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let Ok(yaml) = Yaml::parse(text) else {
        return found;
    };
    for node in yaml.nodes() {
        let Node::Mapping(pairs) = node else { continue };
        let text_of = |key: &str| {
            let mut pairs = pairs.iter();
            let (_, value) = pairs.find(|(name, _)| yaml.text(*name) == Some(key))?;
            yaml.text(*value)
        };
        let (context, named) = (text_of("context"), text_of("dockerfile"));
        let file = text_of("file").or(named);
        if !is_the_dockerfile(file, dockerfile) || !context.is_none_or(is_root) {
            continue;
        }
        for &(key, value) in pairs {
            let key = yaml.text(key);
            let is_build = context.or(named).is_some();
            if key == Some("build-args") || key == Some("args") && is_build {
                passed(&yaml, text, value, &mut found);
            }
        }
    }
    found
}

fn passed(yaml: &Yaml, text: &str, value: usize, found: &mut Vec<(usize, String)>) {
    match yaml.node(value) {
        Node::Scalar { span, .. } => {
            let mut offset = span.start;
            for line in text[span.clone()].split_inclusive('\n') {
                let code =
                    line.trim_start_matches(|c: char| c.is_whitespace() || "\"'".contains(c));
                if code.contains('=')
                    && let Some(name) = name(code)
                {
                    found.push((offset + line.len() - code.len(), name.to_owned()));
                }
                offset += line.len();
            }
        }
        Node::Sequence(members) => {
            for &member in members {
                passed(yaml, text, member, found);
            }
        }
        Node::Mapping(pairs) => {
            for &(key, _) in pairs {
                if let Node::Scalar { value, span, .. } = yaml.node(key) {
                    found.push((span.start, value.clone()));
                }
            }
        }
    }
}

/// `args = { … }` of a bake file's targets.
pub(super) fn in_bake(text: &str, ours: &str) -> Vec<Named> {
    let source = Source::new(bake::FILE.into(), text.as_bytes());
    let (bake, _) = bake::read(&source).split();
    let is_ours = |target: &&bake::Target| {
        let context = bake.setting(target, "context");
        is_the_dockerfile(bake.setting(target, "dockerfile"), ours) && context.is_none_or(is_root)
    };
    let targets = bake.targets.iter().filter(is_ours);
    targets.flat_map(|target| target.args.clone()).collect()
}
