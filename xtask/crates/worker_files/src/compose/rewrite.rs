//! Rewrites the paths in a compose file, which are relative to its folder, for the new folder.

use crate::Source;
use crate::json::JsonNode;
use crate::rewrite::{NotUnderstood, Output, PathMap, Rewritten, open};
use crate::yaml;
use xtask_core::tree::RepoPath;

/// The compose file with every path as it is in the result. Files that move are followed. Folders
/// that are no part of the repository (`./data`) stay beside the compose file. A path out of the
/// worker folder means the same place in the worker's repository as in the upstream's.
pub fn rewrite(compose: &[u8], map: &PathMap) -> Result<Rewritten, NotUnderstood> {
    let text = open(compose)?;
    let root = yaml::parse(&text.text).map_err(|(at, why)| {
        let what = format!("no compose file that can be rewritten safely: {why}");
        let help = "fix the upstream's file; `docker compose config` reads it the same way";
        text.refuse(at, what, help)
    })?;
    let mut editor = Editor {
        text: &text,
        map,
        old: RepoPath::from("docker-compose.yml").inside(&map.root),
        output: Output::default(),
    };
    editor.file(&root)?;
    let mut output = editor.output;
    output.changes.sort_by_key(|change| change.line);
    output.changes.dedup();
    output.notes.dedup();
    output.finish(&text)
}

/// Where a compose file names paths, beside builds and volumes.
const PATHS: &str = "configs * file, secrets * file, \
    include [], include [] path, include [] path [], include [] env_file, include [] env_file [], \
    include [] project_directory, \
    services * env_file, services * env_file [], services * env_file [] path, \
    services * label_file, services * label_file [], services * extends file, \
    services * credential_spec file, services * volumes [] source, \
    services * develop watch [] path, services * build additional_contexts *";

struct Editor<'a> {
    text: &'a Source,
    map: &'a PathMap,
    /// Where the upstream has the file.
    old: RepoPath,
    output: Output,
}

impl Editor<'_> {
    fn file(&mut self, root: &JsonNode) -> Result<(), NotUnderstood> {
        for node in root.all(PATHS) {
            self.rewrite_scalar(node, |editor, path| editor.new_path(path, node))?;
        }
        for node in root.all("services * build") {
            self.rewrite_build(node)?;
        }
        for node in root.all("services * build additional_contexts []") {
            self.rewrite_scalar(node, |editor, value| {
                let (name, path) = value.split_once('=').unwrap_or((value, ""));
                let new = editor.new_path(path, node)?;
                Ok(new.map(|path| format!("{name}={path}")))
            })?;
        }
        for node in root.all("services * volumes []") {
            self.rewrite_scalar(node, |editor, value| editor.new_volume(value, node))?;
        }
        Ok(())
    }

    fn rewrite_build(&mut self, build: &JsonNode) -> Result<(), NotUnderstood> {
        let root = &self.map.root;
        let written = build.get("context").unwrap_or(build);
        let context = written.as_str().unwrap_or(".");
        let inline = build.at("dockerfile_inline");
        if inline.as_str().is_some_and(|text| text.contains(root)) {
            let what = format!("a Dockerfile inside of the compose file that names `{root}`");
            let help = "move it to a file of its own in the upstream";
            return Err(self.text.refuse(inline.span.start, what, help));
        }
        if is_elsewhere(context) {
            return Ok(());
        }
        let old = self.old.leads_to(context.as_bytes());
        if let (Some(node), Some(old)) = (build.get("dockerfile"), &old) {
            let inside = |folder: &RepoPath| RepoPath::from("x").inside(&folder.to_string());
            self.rewrite_scalar(node, |editor, path| {
                let to = inside(old).leads_to(path.as_bytes());
                let to = to.and_then(|to| editor.map.moved.get(&to));
                Ok(to.map(|to| inside(&editor.result_path(old)).link_to(to).to_string()))
            })?;
        } else if old.is_none_or(|old| old != root.as_str()) {
            // Without a name, the Dockerfile is the one at the context's root.
            self.output.notes.push(format!(
                "line {}: the build names no Dockerfile, which meant the one in `{context}`; now \
                 it means the worker's",
                self.text.line_of(written.span.start)
            ));
        }
        self.rewrite_scalar(written, |editor, path| editor.new_path(path, written))
    }

    fn new_volume(&self, value: &str, node: &JsonNode) -> Result<Option<String>, NotUnderstood> {
        // The colon in `${VAR:-x}` does not end the host path.
        let mut depth = 0;
        let end = value.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            c == ':' && depth == 0
        });
        let (host, rest) = value.split_at(end.unwrap_or_default());
        if !host.starts_with(['.', '$']) {
            return Ok(None);
        }
        let new = self.new_path(host, node)?;
        Ok(new.map(|host| format!("{host}{rest}")))
    }

    /// The path as it must read after the move; `None` if it stays.
    fn new_path(&self, path: &str, node: &JsonNode) -> Result<Option<String>, NotUnderstood> {
        if is_elsewhere(path) || path.is_empty() {
            return Ok(None);
        }
        if path.contains('$') {
            if path.contains("../") || path.contains(&self.map.root) {
                let what = format!("the path `{path}` depends on a variable");
                let help = "write the path itself in the upstream";
                return Err(self.text.refuse(node.span.start, what, help));
            }
            return Ok(None);
        }
        let Some(old) = self.old.leads_to(path.as_bytes()) else {
            // Out of the upstream: there is one folder less to leave.
            return Ok(path.strip_prefix("../").map(str::to_owned));
        };
        let new = self.result_path(&old);
        let after = RepoPath::from("x");
        if after.leads_to(path.as_bytes()).as_ref() == Some(&new) {
            return Ok(None);
        }
        let mut text = after.link_to(&new).to_string();
        if path.starts_with('.') && text != "." {
            text = format!("./{text}");
        }
        if path.ends_with('/') {
            text.push('/');
        }
        Ok(Some(text))
    }

    /// Where the result has what upstream has at a place.
    fn result_path(&self, old: &RepoPath) -> RepoPath {
        let below = || old.strip_prefix(&self.map.root).map(RepoPath::new);
        let file = self.map.moved.get(old).cloned();
        file.or_else(below).unwrap_or_else(|| old.clone())
    }

    fn rewrite_scalar(
        &mut self,
        node: &JsonNode,
        new_path: impl FnOnce(&Self, &str) -> Result<Option<String>, NotUnderstood>,
    ) -> Result<(), NotUnderstood> {
        let value = node.as_str();
        let new = value.map(|value| new_path(self, value)).transpose()?;
        let Some((value, new)) = value.zip(new.flatten()) else {
            return Ok(());
        };
        let span = &node.span;
        let is_quoted = self.text.text[span.clone()].starts_with(['"', '\'']);
        let quote = usize::from(is_quoted);
        let inner = span.start + quote..span.end - quote;
        if self.text.text.get(inner.clone()) != Some(value) {
            let what = format!("the path `{value}` is written with escapes or over several lines");
            let help = "write it plainly on one line in the upstream";
            return Err(self.text.refuse(span.start, what, help));
        }
        let what = format!("`{value}` is `{new}` from the root");
        self.output.change(self.text.line_of(span.start), what);
        self.output.edits.push((inner, new));
        Ok(())
    }
}

/// Absolute, in the home folder, or an address.
fn is_elsewhere(path: &str) -> bool {
    let is_address = path.contains("://") || path.starts_with("git@");
    is_address || path.starts_with(['/', '~']) || path.contains('\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> PathMap {
        PathMap::of_worker(
            &[
                "Dockerfile",
                "docker-compose.yml",
                "handler.py",
                "compose.env",
            ],
            &[],
        )
    }

    fn rewritten(text: &str) -> String {
        let result = rewrite(text.as_bytes(), &map()).unwrap();
        String::from_utf8(result.bytes).unwrap()
    }

    #[test]
    fn the_build_finds_its_dockerfile_and_comments_stay() {
        let before = "\
services:
  worker:   # the worker
    build:
      context: ..   # the repository
      dockerfile: '.runpod/Dockerfile'
    env_file: [compose.env, \"../shared.env\"]
    volumes:
      - ./data/runpod-volume:/runpod-volume
      - ../var/cache:/cache:ro
      - ${HF_HOME:-~/.cache}:/hf
      - named:/named
      - ../../elsewhere:/e
      - type: bind
        source: ../.runpod/handler.py
        target: /sgl-workspace/handler.py
      - ./hub.json:/hub.json
volumes:
  named:
";
        let after = "\
services:
  worker:   # the worker
    build:
      context: .   # the repository
      dockerfile: 'Dockerfile'
    env_file: [compose.env, \"./shared.env\"]
    volumes:
      - ./data/runpod-volume:/runpod-volume
      - ./var/cache:/cache:ro
      - ${HF_HOME:-~/.cache}:/hf
      - named:/named
      - ../elsewhere:/e
      - type: bind
        source: ./handler.py
        target: /sgl-workspace/handler.py
      - ./.runpod/hub.json:/hub.json
volumes:
  named:
";
        assert_eq!(rewritten(before), after);
    }

    #[test]
    fn line_endings_and_a_byte_order_mark_stay() {
        assert_eq!(
            rewritten("\u{feff}services:\r\n  a:\r\n    build: ..\r\n"),
            "\u{feff}services:\r\n  a:\r\n    build: .\r\n"
        );
    }

    #[test]
    fn a_build_without_a_dockerfile_is_pointed_out() {
        let result = rewrite(b"services: {a: {build: ..}}\n", &map()).unwrap();
        assert_eq!(result.notes.len(), 1);
        assert_eq!(result.changes[0].line, 1);
    }

    #[test]
    fn secrets_includes_and_contexts_follow() {
        assert_eq!(
            rewritten(
                "include:\n  - ../other.yml\n  - path: [../a.yml]\nsecrets:\n  t: {file: ../token}\n\
                 services:\n  a:\n    build: {context: .., dockerfile: .runpod/Dockerfile, \
                 additional_contexts: [x=../x, y=docker-image://y]}\n    extends: {file: ../b.yml, service: b}\n"
            ),
            "include:\n  - ./other.yml\n  - path: [./a.yml]\nsecrets:\n  t: {file: ./token}\n\
             services:\n  a:\n    build: {context: ., dockerfile: Dockerfile, \
             additional_contexts: [x=./x, y=docker-image://y]}\n    extends: {file: ./b.yml, service: b}\n"
        );
    }

    #[test]
    fn what_cannot_be_edited_safely_is_refused_with_its_place() {
        let refused = |text: &str| rewrite(text.as_bytes(), &map()).unwrap_err();
        let fault = refused("services:\n  a:\n    build: \"..\\u002f\"\n");
        assert_eq!((fault.line, fault.column), (3, 12));
        let fault = refused("services:\n  a:\n    volumes: ['${X:-../x}:/x']\n");
        assert_eq!(fault.line, 3);
        let fault = refused("services: [\n");
        assert!(fault.what.contains("compose file"));
        let fault = refused(
            "services:\n  a: {build: &p .., env_file: *p}\nsecrets: {s: {file: >-\n  ../x\n  }}\n",
        );
        assert!(fault.line >= 2);
    }

    #[test]
    fn an_anchor_that_is_used_twice_is_edited_once() {
        assert_eq!(
            rewritten("x: &v\n  - ../d:/d\nservices:\n  a: {volumes: *v}\n  b: {volumes: *v}\n"),
            "x: &v\n  - ./d:/d\nservices:\n  a: {volumes: *v}\n  b: {volumes: *v}\n"
        );
    }
}
