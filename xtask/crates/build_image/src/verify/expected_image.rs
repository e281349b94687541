//! The image that the Dockerfile describes: its settings, and its files by their place in the image.

use std::collections::BTreeMap;

use super::inspect::InspectedImage;
use worker_files::copied::Copied;
use worker_files::dockerfile::{self, Named, expand};
use worker_files::ignore::Ignore;
use worker_files::shell::variables;
use worker_files::{Source, Unread};
use xtask_core::tree::{RepoPath, Tree};

#[derive(Debug, Default, PartialEq, Eq)]
pub struct ExpectedImage {
    /// The words joined by spaces; `None` where the base image's value stays.
    pub cmd: Option<String>,
    pub entrypoint: Option<String>,
    pub workdir: Option<String>,
    pub user: Option<String>,
    /// Each variable with its value; `None` where the value depends on an unknown base image.
    pub env: BTreeMap<String, Option<String>>,
    /// The copied files by their paths in the image, without the first slash.
    pub files: BTreeMap<String, RepoPath>,
}

impl ExpectedImage {
    /// Reads the Dockerfile as the build did; the error is its first part that can't be read.
    pub fn new(
        tree: &dyn Tree,
        ignore: &Ignore,
        source: &Source,
        history: &[String],
        base: Option<&InspectedImage>,
    ) -> Result<Self, Unread> {
        let text = |text: &Option<dockerfile::Text>| text.as_ref().map(|text| text.text.clone());
        let arguments = arguments(history);
        let mut variables = arguments.clone();
        variables.extend(base.iter().flat_map(|base| base.env.clone()));
        let workdir = base.map(|base| base.workdir.as_str());
        let (mut image, unread) = dockerfile::read_on(source, variables, workdir).split();
        if let Some(unread) = unread.into_iter().next() {
            return Err(unread);
        }
        // Other stages and mounts are not in the image.
        image.parts.clear();
        image.mounts.clear();
        let absolute = |path: String| format!("/{}", path.trim_start_matches('/'));
        Ok(Self {
            cmd: text(&image.cmd),
            entrypoint: text(&image.entrypoint),
            workdir: text(&image.workdir).map(absolute),
            user: text(&image.user),
            env: environment(&image, &arguments, base),
            files: Copied::new(tree, ignore, &image, "").files,
        })
    }
}

/// The build arguments with their values, by the image's history.
fn arguments(history: &[String]) -> BTreeMap<String, String> {
    let argument = |step: &String| {
        let text = step.trim();
        // The builder before BuildKit writes its steps as a shell's comment.
        let text = text.strip_prefix("/bin/sh -c #(nop)").unwrap_or(text);
        let argument = text.trim_start().strip_prefix("ARG ")?;
        let (name, value) = argument.trim().split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    history.iter().filter_map(argument).collect()
}

fn environment(
    image: &dockerfile::Image,
    arguments: &BTreeMap<String, String>,
    base: Option<&InspectedImage>,
) -> BTreeMap<String, Option<String>> {
    let mut values = BTreeMap::new();
    for Named { name, value, .. } in &image.args {
        let argument = arguments.get(name).cloned();
        let value = argument.unwrap_or_else(|| expand(value, &values));
        values.insert(name.clone(), value);
    }
    values.extend(base.into_iter().flat_map(|base| base.env.clone()));
    let mut env = BTreeMap::new();
    for Named { name, value, .. } in &image.env {
        let mut unset: Vec<String> = variables(value).into_iter().map(|(name, _)| name).collect();
        unset.retain(|name| !values.contains_key(name));
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

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    fn made(
        dockerfile: &str,
        tree: &Memory,
        history: &[&str],
        base: Option<&InspectedImage>,
    ) -> ExpectedImage {
        let source = Source::new("Dockerfile".into(), dockerfile.as_bytes());
        let history: Vec<_> = history.iter().map(ToString::to_string).collect();
        let ignore = tree.read_file(".dockerignore").unwrap().unwrap_or_default();
        ExpectedImage::new(tree, &Ignore::read(&ignore), &source, &history, base).unwrap()
    }

    #[test]
    fn variables_have_the_values_of_the_build() {
        let text = "FROM base\nENV PYTHONPATH=\"/${PYTHONPATH:+:${PYTHONPATH}}\"\nARG MODEL=\"\"\nARG PATH_TO=\"/volume\"\nENV MODEL_NAME=\"${MODEL:-none}\" HOME_OF=\"${PATH_TO}/x\"\nCMD [\"python3\", \"handler.py\"]\n";
        let env = |history: &[&str], base: Option<&InspectedImage>| {
            let made = made(text, &Memory::new(), history, base);
            assert_eq!(made.cmd.as_deref(), Some("python3 handler.py"));
            let text = |(name, value): (&String, &Option<String>)| {
                format!("{name}={}", value.as_deref().unwrap_or("?"))
            };
            made.env.iter().map(text).collect::<Vec<_>>().join(" ")
        };
        let mut base = InspectedImage::default();
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
            let base = InspectedImage {
                workdir: "/base".into(),
                ..InspectedImage::default()
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
