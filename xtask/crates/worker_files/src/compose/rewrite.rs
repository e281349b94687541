//! The compose file: relative paths in it are seen from the folder that holds it, so each must be
//! said anew when the file moves up to the root.

use crate::rewrite::{NotUnderstood, Output, PathMap, Rewritten, Text};
use crate::yaml::{Node, Yaml};
use xtask_core::tree::RepoPath;

/// The compose file of the upstream's worker folder, with every path that it names where that lies
/// in the result. Files that move are followed; folders on the host that are no part of the
/// repository (`./data`) stay beside the compose file; a path out of the worker folder means the
/// same place in the worker's repository as it did in the upstream's.
pub fn rewrite(compose: &[u8], map: &PathMap) -> Result<Rewritten, NotUnderstood> {
    let text = Text::new(compose)?;
    let yaml = Yaml::parse(text.body).map_err(|fault| {
        text.refuse(
            fault.offset,
            format!(
                "no compose file that can be rewritten safely: {}",
                fault.what
            ),
            "fix the upstream's file; `docker compose config` reads it the same way",
        )
    })?;
    let mut editor = Editor {
        text: &text,
        yaml: &yaml,
        map,
        output: Output::default(),
    };
    if let (Some(root), false) = (yaml.root(), map.root.is_empty()) {
        editor.file(root)?;
    }
    let mut output = editor.output;
    output.changes.sort_by_key(|change| change.line);
    output.changes.dedup();
    output.notes.dedup();
    output.finish(&text)
}

/// Where a compose file names paths, beside builds and volumes.
const PATHS: &[&str] = &[
    "configs * file",
    "secrets * file",
    "include []",
    "include [] path",
    "include [] path []",
    "include [] env_file",
    "include [] env_file []",
    "include [] project_directory",
    "services * env_file",
    "services * env_file []",
    "services * env_file [] path",
    "services * label_file",
    "services * label_file []",
    "services * extends file",
    "services * credential_spec file",
    "services * volumes [] source",
    "services * develop watch [] path",
    "services * build context",
    "services * build additional_contexts *",
];

struct Editor<'a> {
    text: &'a Text<'a>,
    yaml: &'a Yaml,
    map: &'a PathMap,
    output: Output,
}

impl Editor<'_> {
    fn file(&mut self, root: usize) -> Result<(), NotUnderstood> {
        for keys in PATHS {
            for id in self.found(root, keys) {
                self.path(id)?;
            }
        }
        for id in self.found(root, "services * build") {
            self.build(id)?;
        }
        for id in self.found(root, "services * build additional_contexts []") {
            self.named_context(id)?;
        }
        for id in self.found(root, "services * volumes []") {
            self.volume(id)?;
        }
        Ok(())
    }

    /// The values at a place: `*` is each value of a mapping, `[]` each member of a list.
    fn found(&self, root: usize, keys: &str) -> Vec<usize> {
        let mut found = vec![root];
        for key in keys.split(' ') {
            let inside = |id: usize| -> Vec<usize> {
                match key {
                    "*" => self.yaml.pairs(id).into_iter().map(|pair| pair.1).collect(),
                    "[]" => self.yaml.members(id).to_vec(),
                    key => self.yaml.get(id, key).into_iter().collect(),
                }
            };
            found = found.into_iter().flat_map(inside).collect();
            // What aliases lead to more than once is one value.
            found.sort_unstable();
            found.dedup();
        }
        found
    }

    fn build(&mut self, build: usize) -> Result<(), NotUnderstood> {
        if let Some(context) = self.yaml.text(build) {
            if !is_elsewhere(context) {
                self.context_without_dockerfile(build, context);
            }
            return self.path(build);
        }
        let context_id = self.yaml.get(build, "context");
        let context = context_id.and_then(|id| self.yaml.text(id)).unwrap_or(".");
        if let Some(inline) = self.yaml.get(build, "dockerfile_inline")
            && let Node::Scalar { span, value, .. } = self.yaml.node(inline)
            && !self.map.root.is_empty()
            && value.contains(&self.map.root)
        {
            let root = &self.map.root;
            let what = format!("a Dockerfile inside of the compose file that names `{root}`");
            let help = "move it to a file of its own in the upstream";
            return Err(self.text.refuse(span.start, what, help));
        }
        if is_elsewhere(context) {
            return Ok(());
        }
        let dockerfile = self.yaml.get(build, "dockerfile");
        match (context_id, dockerfile) {
            (Some(id), None) => self.context_without_dockerfile(id, context),
            (_, Some(id)) => {
                let old = self.resolved(context);
                let new = self.moved(&old);
                self.scalar(id, |editor, path| {
                    if path.starts_with('/') {
                        return Ok(None);
                    }
                    let full = join(&old, path);
                    let to = editor.file_at(&full);
                    Ok(to.map(|to| relative(&new, &to, false)))
                })?;
            }
            (None, None) => {}
        }
        Ok(())
    }

    /// Without a name, the Dockerfile is the one at the context's root.
    fn context_without_dockerfile(&mut self, id: usize, context: &str) {
        if self.resolved(context).join("/") != self.map.root {
            let line = self.text.line(self.offset(id));
            self.output.notes.push(format!(
                "line {line}: the build names no Dockerfile, which meant the one in `{context}`; \
                 now it means the worker's"
            ));
        }
    }

    /// `name=path`
    fn named_context(&mut self, item: usize) -> Result<(), NotUnderstood> {
        self.scalar(item, |editor, value| {
            let Some((name, path)) = value.split_once('=') else {
                return Ok(None);
            };
            let new = editor.anew(path, editor.offset(item))?;
            Ok(new.map(|path| format!("{name}={path}")))
        })
    }

    fn volume(&mut self, volume: usize) -> Result<(), NotUnderstood> {
        self.scalar(volume, |editor, value| {
            // `${VAR:-x}` holds colons of its own.
            let mut depth = 0;
            let end = value.find(|c| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                c == ':' && depth == 0
            });
            let Some(end) = end else { return Ok(None) };
            let (host, rest) = value.split_at(end);
            if !host.starts_with('.') && !host.starts_with('$') {
                return Ok(None);
            }
            let new = editor.anew(host, editor.offset(volume))?;
            Ok(new.map(|host| format!("{host}{rest}")))
        })
    }

    fn path(&mut self, id: usize) -> Result<(), NotUnderstood> {
        self.scalar(id, |editor, path| editor.anew(path, editor.offset(id)))
    }

    /// The path as it must read after the move; `None` if it stays.
    fn anew(&self, path: &str, offset: usize) -> Result<Option<String>, NotUnderstood> {
        if is_elsewhere(path) {
            return Ok(None);
        }
        if path.contains('$') {
            if path.contains("../") || path.contains(&self.map.root) {
                let what = format!("the path `{path}` depends on a variable");
                return Err(self.text.refuse(
                    offset,
                    what,
                    "write the path itself in the upstream",
                ));
            }
            return Ok(None);
        }
        let old = self.resolved(path);
        let new = self.moved(&old);
        if join(&[], path) == new {
            return Ok(None);
        }
        let mut text = relative(&[], &new, path.starts_with('.'));
        if path.ends_with('/') && !text.ends_with('/') {
            text.push('/');
        }
        Ok(Some(text))
    }

    /// The parts of a path, from the root of the upstream.
    fn resolved(&self, path: &str) -> Vec<String> {
        join(std::slice::from_ref(&self.map.root), path)
    }

    /// The path that an upstream file has in the result.
    fn file_at(&self, old: &[String]) -> Option<Vec<String>> {
        let path = RepoPath::from(old.join("/").as_str());
        let text = self.map.moved.get(&path)?.as_str()?;
        Some(text.split('/').map(ToOwned::to_owned).collect())
    }

    /// Where an upstream place lies in the result.
    fn moved(&self, old: &[String]) -> Vec<String> {
        if let Some(file) = self.file_at(old) {
            return file;
        }
        match old.split_first() {
            Some((first, below)) if *first == self.map.root => below.to_vec(),
            _ => old.to_vec(),
        }
    }

    fn offset(&self, id: usize) -> usize {
        match self.yaml.node(id) {
            Node::Scalar { span, .. } => span.start,
            _ => 0,
        }
    }

    fn scalar(
        &mut self,
        id: usize,
        anew: impl FnOnce(&Self, &str) -> Result<Option<String>, NotUnderstood>,
    ) -> Result<(), NotUnderstood> {
        let Node::Scalar { value, span, style } = self.yaml.node(id) else {
            return Ok(());
        };
        let Some(new) = anew(self, value)? else {
            return Ok(());
        };
        let inner = match style {
            '\'' | '"' => span.start + 1..span.end - 1,
            _ => span.clone(),
        };
        if self.text.body.get(inner.clone()) != Some(value) || *style == '|' {
            let what = format!("the path `{value}` is written with escapes or over several lines");
            let help = "write it plainly on one line in the upstream";
            return Err(self.text.refuse(span.start, what, help));
        }
        let what = format!("`{value}` is `{new}` from the root");
        self.output.change(self.text.line(span.start), what);
        self.output.edits.push((inner, new));
        Ok(())
    }
}

/// Absolute, in the home folder, or an address.
fn is_elsewhere(path: &str) -> bool {
    path.starts_with(['/', '~'])
        || path.contains("://")
        || path.starts_with("git@")
        || path.contains('\\')
}

/// `path` seen from `base`, with `..` at the front where it leaves the tree.
fn join(base: &[String], path: &str) -> Vec<String> {
    let mut parts = base.to_vec();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
    parts
}

/// `to` as seen from `from`.
fn relative(from: &[String], to: &[String], dotted: bool) -> String {
    let shared = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let mut parts = vec![".."; from.len() - shared];
    parts.extend(to[shared..].iter().map(String::as_str));
    match parts.first() {
        None => ".".to_owned(),
        Some(&"..") => parts.join("/"),
        Some(_) if dotted => format!("./{}", parts.join("/")),
        Some(_) => parts.join("/"),
    }
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

    #[test]
    fn the_modern_shape_stays_as_it_is() {
        let map = PathMap::new("", [("Dockerfile".into(), "Dockerfile".into())], []);
        let text = b"services: {a: {build: ., env_file: ../x}}\n";
        assert_eq!(rewrite(text, &map).unwrap().bytes, text);
    }
}
