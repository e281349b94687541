//! Reads the inputs of a build: Dockerfile, build context, bake file, token, and git's state.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value};

use super::labels::{self, SourceRevision};
use super::plan::{self, BuildPlan};
use super::token::{self, Token};
use crate::args::Args;
use worker_files::dockerfile::{Taken, taken};
use worker_files::ignore::Ignore;
use worker_files::rewrite::NotUnderstood;
use worker_files::{Source, Unread, bake, dockerfile};
use xtask_core::tree::{Directory, Entries, RepoPath, Tree};

/// Where the Hub looks for the Dockerfile.
pub const DOCKERFILES: [&str; 2] = [".runpod/Dockerfile", "Dockerfile"];

pub struct BuildInputs {
    pub root: PathBuf,
    pub tree: Box<dyn Tree>,
    pub dockerfile: Option<(String, Vec<u8>)>,
    /// What the Dockerfile takes from the build context.
    pub copied: Result<Vec<Taken>, NotUnderstood>,
    /// The path of the `.dockerignore` that applies.
    pub ignore_path: Option<String>,
    pub ignore: Ignore,
    /// The candidates for the build context; ignored folders may be missing.
    pub around: Entries,
    pub bake: Option<Result<bake::Bake, Unread>>,
    pub token: Option<Token>,
    pub origin: SourceRevision,
    pub plan: BuildPlan,
    /// Whether to write the flag table from the image.
    pub update_flags: bool,
}

/// The first of two files that is there, with its path.
pub fn first_file(tree: &dyn Tree, names: [&str; 2]) -> Result<Option<(String, Vec<u8>)>> {
    for name in names {
        if let Some(bytes) = tree.read_file(name)? {
            return Ok(Some((name.to_owned(), bytes)));
        }
    }
    Ok(None)
}

impl BuildInputs {
    pub fn read(root: PathBuf, args: &Args) -> Result<Self> {
        let tree = Directory::open_work_tree(&root)?;
        let dockerfile = first_file(&tree, DOCKERFILES)?;
        let (path, bytes) = match &dockerfile {
            Some((path, bytes)) => (path.as_str(), bytes.as_slice()),
            None => ("Dockerfile", &[][..]),
        };
        // `Dockerfile.dockerignore` takes precedence.
        let specific = format!("{path}.dockerignore");
        let (ignore_path, ignore) = first_file(&tree, [&specific, ".dockerignore"])?.unzip();
        let ignore = ignore.map_or_else(Ignore::default, |bytes| Ignore::read(&bytes));
        let around = Directory::open_all(&root, |folder| ignore.excludes_all_of(folder))?;
        let around = around.entries().clone();
        let in_file = tree.read_file(token::FILE)?;
        let token = token::find(environment(token::NAME), in_file.as_deref());
        // Docker gets the token in its environment.
        let variable = |name: &str| match name {
            token::NAME => token.as_ref().map(|token| token.value.clone()),
            name => environment(name),
        };
        let read = |bytes: Vec<u8>| {
            let read = bake::read(&Source::new(bake::FILE.into(), &bytes), &variable);
            read.map(|read| read.split().0)
        };
        let bake = tree.read_file(bake::FILE)?.map(read);
        let copied = taken(bytes);
        let in_image = |file: &RepoPath| {
            let mut copied = copied.iter().flatten();
            copied.any(|copy| copy.covers(file)) && !ignore.excludes(file)
        };
        let origin = labels::origin(&root, |changed| {
            let is_changed = |file: &RepoPath| {
                file == changed || file.ancestors().any(|folder| folder == *changed)
            };
            let build_files = [Some(path), Some(bake::FILE), ignore_path.as_deref()];
            let mut build_files = build_files.into_iter().flatten();
            build_files.any(|file| is_changed(&file.into()))
                || in_image(changed)
                || around.keys().any(|file| is_changed(file) && in_image(file))
        })?;
        let target = bake.as_ref().and_then(|bake| {
            let target = bake.as_ref().ok()?.default_target()?;
            let settings = &target.resolved;
            is_for(settings, path).then(|| (target.name.clone(), settings.clone()))
        });
        let plan = BuildPlan {
            tag: args.tag.clone().unwrap_or_else(|| plan::TAG.to_owned()),
            dockerfile: path.to_owned(),
            target,
            base_image: args.base_image.clone(),
            labels: labels::labels(&origin),
            secret: token.is_some(),
            extra: args.docker.clone(),
        };
        Ok(Self {
            root,
            tree: Box::new(tree),
            dockerfile,
            copied,
            ignore_path,
            ignore,
            around,
            bake,
            token,
            origin,
            plan,
            update_flags: args.update_flags,
        })
    }

    /// The Dockerfile with the build's arguments, and its parts that can't be read.
    pub fn image(&self) -> Option<(dockerfile::Image, Vec<Unread>)> {
        let (path, bytes) = self.dockerfile.as_ref()?;
        let arguments = self.plan.arguments().into_iter();
        let texts = arguments.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned())));
        let source = Source::new(path.as_str().into(), bytes);
        Some(dockerfile::read_on(&source, texts.collect(), None).split())
    }

    pub fn base(&self) -> String {
        let base = self.image().and_then(|(image, _)| image.base);
        base.map_or_else(String::new, |base| base.text)
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whether a target of the bake file builds this Dockerfile, with the repository as its context.
fn is_for(target: &Map<String, Value>, dockerfile: &str) -> bool {
    let plain = |key: &str| {
        let text = target.get(key).and_then(Value::as_str).unwrap_or_default();
        let text = text.trim_start_matches("./").trim_end_matches('/');
        if text.is_empty() { "." } else { text }.to_owned()
    };
    plain("context") == "." && Path::new(&plain("dockerfile")) == Path::new(dockerfile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_for_another_dockerfile_or_context_is_not_ours() {
        let is_for = |context: &str, file: &str| {
            let target = serde_json::json!({ "context": context, "dockerfile": file });
            is_for(target.as_object().unwrap(), "Dockerfile")
        };
        assert!(is_for(".", "Dockerfile"));
        assert!(is_for("./", "./Dockerfile"));
        assert!(!is_for("worker", "Dockerfile"));
        assert!(!is_for(".", "Dockerfile.cpu"));
    }
}
