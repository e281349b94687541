//! What the Dockerfile says that the image is: its arguments filled in, its files by their place
//! in the image.

use std::collections::BTreeMap;

use super::inspect::{Image, Step};
use worker_files::dockerfile::{self, Copy, Named, expand};
use worker_files::glob::{Glob, is_pattern};
use worker_files::ignore::Ignore;
use xtask_core::tree::{RepoPath, Tree};

/// The image as the Dockerfile has it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// As written, words joined; `None` where the base image's stays.
    pub cmd: Option<String>,
    pub entrypoint: Option<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    /// Each variable that is set, with its value; `None` where that depends on a base image that
    /// isn't known.
    pub env: BTreeMap<String, Option<String>>,
    /// Each file that is copied, by its path in the image (without the first slash).
    pub files: BTreeMap<String, RepoPath>,
}

impl Made {
    pub fn new(
        tree: &dyn Tree,
        ignore: &Ignore,
        image: &dockerfile::Image,
        history: &[Step],
        base: Option<&Image>,
    ) -> Self {
        let text = |text: &Option<dockerfile::Text>| text.as_ref().map(|text| text.text.clone());
        let env = environment(image, &arguments(history), base);
        let known: BTreeMap<String, String> = env
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect();
        let base_workdir = base.map(|base| base.workdir.as_str());
        let mut files = BTreeMap::new();
        for copy in image.copies.iter().filter(|copy| copy.from.is_none()) {
            let workdir = copy.workdir.as_deref().or(base_workdir);
            let place = |path: &str| absolute(&expand(path, &known), workdir);
            copied(tree, ignore, copy, &place(&copy.dest), &mut files);
        }
        Self {
            cmd: text(&image.cmd),
            entrypoint: text(&image.entrypoint),
            workdir: text(&image.workdir)
                .map(|path| format!("/{}", absolute(&expand(&path, &known), base_workdir))),
            user: text(&image.user),
            env,
            files,
        }
    }
}

/// The build arguments with the values that the build was given, as its history has them.
fn arguments(history: &[Step]) -> BTreeMap<String, String> {
    let words = history.iter().filter_map(|step| {
        let text = step.created_by.trim();
        // The builder before BuildKit writes its steps as a shell's comment.
        let text = text
            .strip_prefix("/bin/sh -c #(nop)")
            .unwrap_or(text)
            .trim_start();
        text.strip_prefix("ARG ")?.trim().split_once('=')
    });
    words
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What ENV sets, one after the other.
fn environment(
    image: &dockerfile::Image,
    arguments: &BTreeMap<String, String>,
    base: Option<&Image>,
) -> BTreeMap<String, Option<String>> {
    let mut values = BTreeMap::new();
    for Named { name, value, .. } in &image.args {
        let value = arguments
            .get(name)
            .cloned()
            .unwrap_or_else(|| expand(value, &values));
        values.insert(name.clone(), value);
    }
    if let Some(base) = base {
        values.extend(base.env.clone());
    }
    let mut env = BTreeMap::new();
    for Named { name, value, .. } in &image.env {
        let unset: Vec<String> = names(value)
            .filter(|name| !values.contains_key(*name))
            .map(str::to_owned)
            .collect();
        if base.is_none() && !unset.is_empty() {
            values.remove(name);
            env.insert(name.clone(), None);
            continue;
        }
        let mut known = values.clone();
        known.extend(unset.into_iter().map(|name| (name, String::new())));
        let value = expand(value, &known);
        values.insert(name.clone(), value.clone());
        env.insert(name.clone(), Some(value));
    }
    env
}

/// The variables that a text mentions.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).filter_map(|rest| {
        let rest = rest.strip_prefix('{').unwrap_or(rest);
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

/// A path of the image without the first slash, dots taken out; what is relative begins in
/// `workdir`. A slash at the end stays.
fn absolute(path: &str, workdir: Option<&str>) -> String {
    let joined = if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{}/{path}", workdir.unwrap_or("/"))
    };
    let mut parts: Vec<&str> = Vec::new();
    for part in joined.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let is_folder = path.ends_with('/') || path.ends_with("/.") || path == ".";
    let mut plain = parts.join("/");
    if is_folder && !plain.is_empty() {
        plain.push('/');
    }
    plain
}

/// The files that a line copies, by their place in the image.
fn copied(
    tree: &dyn Tree,
    ignore: &Ignore,
    copy: &Copy,
    dest: &str,
    files: &mut BTreeMap<String, RepoPath>,
) {
    let folder = dest.trim_end_matches('/');
    let is_folder = dest.is_empty() || dest.ends_with('/') || copy.sources.len() > 1;
    let under = |below: &str| match folder {
        "" => below.to_owned(),
        folder => format!("{folder}/{below}"),
    };
    for source in &copy.sources {
        let source = absolute(source, None);
        let source = source.trim_end_matches('/');
        let depth = source.split('/').count();
        let glob = is_pattern(source)
            .then(|| Glob::new(source, false))
            .flatten();
        for (path, entry) in tree.entries() {
            let Some(text) = path.as_str().filter(|_| entry.mode.is_file()) else {
                continue;
            };
            // What the source itself is called in this tree: itself, or what a pattern matches.
            let head = match &glob {
                Some(glob) => {
                    let head: Vec<&str> = text.splitn(depth + 1, '/').take(depth).collect();
                    let head = head.join("/");
                    if !glob.matches(&head) {
                        continue;
                    }
                    head
                }
                None => source.to_owned(),
            };
            if ignore.excludes(path) {
                continue;
            }
            if text == head {
                let name = String::from_utf8_lossy(path.name()).into_owned();
                let place = if is_folder || glob.is_some() {
                    under(&name)
                } else {
                    folder.to_owned()
                };
                files.insert(place, path.clone());
            } else if head.is_empty() {
                files.insert(under(text), path.clone());
            } else if let Some(below) = text.strip_prefix(&format!("{head}/")) {
                files.insert(under(below), path.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use worker_files::Source;
    use xtask_core::tree::Memory;

    fn made(dockerfile: &str, tree: &Memory, history: &[&str], base: Option<&Image>) -> Made {
        let source = Source::new("Dockerfile".into(), dockerfile.as_bytes());
        let (image, _) = dockerfile::read(&source).split();
        let history: Vec<_> = history
            .iter()
            .map(|text| Step {
                created_by: (*text).to_owned(),
                size: 0,
            })
            .collect();
        let ignore = tree.read_file(".dockerignore").unwrap().unwrap_or_default();
        Made::new(tree, &Ignore::read(&ignore), &image, &history, base)
    }

    #[test]
    fn variables_have_the_values_of_the_build() {
        let text = "FROM base\nENV PYTHONPATH=\"/${PYTHONPATH:+:${PYTHONPATH}}\"\nARG MODEL=\"\"\nARG PATH_TO=\"/volume\"\nENV MODEL_NAME=\"${MODEL:-none}\" HOME_OF=\"${PATH_TO}/x\"\nCMD [\"python3\", \"handler.py\"]\n";
        let env = |history: &[&str], base: Option<&Image>| {
            let made = made(text, &Memory::new(), history, base);
            assert_eq!(made.cmd.as_deref(), Some("python3 handler.py"));
            let text = |(name, value): (&String, &Option<String>)| {
                format!("{name}={}", value.as_deref().unwrap_or("?"))
            };
            made.env.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        let mut base = Image::default();
        assert_eq!(
            env(&[], Some(&base)),
            "HOME_OF=/volume/x MODEL_NAME=none PYTHONPATH=/"
        );
        base.env.insert("PYTHONPATH".into(), "/sgl".into());
        assert_eq!(
            env(
                &["ARG MODEL=org/model", "/bin/sh -c #(nop)  ARG PATH_TO=/p"],
                Some(&base)
            ),
            "HOME_OF=/p/x MODEL_NAME=org/model PYTHONPATH=/:/sgl"
        );
        assert_eq!(
            env(&[], None),
            "HOME_OF=/volume/x MODEL_NAME=none PYTHONPATH=?"
        );
    }

    #[test]
    fn files_are_where_copy_puts_them() {
        let tree = Memory::new()
            .with("handler.py", "")
            .with("engine.py", "")
            .with("scripts/flags.py", "")
            .with("lib/deep/x.py", "")
            .with("lib/y.py", "")
            .with(".dockerignore", "lib/y.py\n");
        let files = |text: &str| {
            let base = Image {
                workdir: "/base".into(),
                ..Image::default()
            };
            let made = made(&format!("FROM base\n{text}"), &tree, &[], Some(&base));
            let text = |(at, path): (&String, &RepoPath)| format!("{at}<{path}");
            made.files.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            files("COPY handler.py x\nWORKDIR /w\nCOPY scripts/flags.py ./scripts/\n"),
            "base/x<handler.py w/scripts/flags.py<scripts/flags.py"
        );
        assert_eq!(
            files("WORKDIR /w\nWORKDIR in\nCOPY *.py lib /\n"),
            "deep/x.py<lib/deep/x.py engine.py<engine.py handler.py<handler.py"
        );
        assert_eq!(
            files("ENV AT=/here\nCOPY lib ${AT}/lib\nCOPY --from=other a /b\n"),
            "here/lib/deep/x.py<lib/deep/x.py"
        );
        assert!(files("WORKDIR /w\nCOPY . .\n").contains("w/handler.py<handler.py"));
    }

    #[test]
    fn a_working_folder_may_be_relative_to_the_one_before() {
        let tree = Memory::new().with("a.py", "");
        let made = made(
            "FROM b\nWORKDIR /w\nWORKDIR in\nCOPY a.py ./\n",
            &tree,
            &[],
            None,
        );
        assert_eq!(made.workdir.as_deref(), Some("/w/in"));
        assert_eq!(made.files.keys().collect::<Vec<_>>(), ["w/in/a.py"]);
    }
}
