//! Reads what a build depends on: the Dockerfile, what docker would be sent, the bake file, the
//! token, and where all of that comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Map, Value};

use super::check::{DOCKERFILES, Dockerfile, Subject};
use super::labels::{self, Origin};
use super::plan::{self, Plan};
use super::token::{self, Token};
use crate::args::Args;
use worker_files::dockerfile::{arguments, taken};
use worker_files::ignore::Ignore;
use worker_files::{Source, bake, dockerfile};
use xtask_core::tree::{Directory, RepoPath, Tree};

/// A repository, with what is to be built of it.
pub struct Repository {
    pub root: PathBuf,
    pub tree: Directory,
    dockerfile: Option<(String, Vec<u8>)>,
    ignore_path: Option<String>,
    pub ignore: Ignore,
    around: Directory,
    pub bake: Option<Result<bake::Resolved, String>>,
    pub token: Option<Token>,
    origin: Origin,
    pub plan: Plan,
    model: Option<String>,
    update_flags: bool,
}

impl Repository {
    /// The Dockerfile's path and text.
    pub fn dockerfile(&self) -> Option<(&str, &[u8])> {
        let (path, bytes) = self.dockerfile.as_ref()?;
        Some((path, bytes))
    }

    pub fn read(root: PathBuf, args: &Args) -> Result<Self> {
        let tree = Directory::open_work_tree(&root)?;
        let mut dockerfile = None;
        for path in DOCKERFILES {
            if let Some(bytes) = tree.read_file(path)? {
                dockerfile = Some((path.to_owned(), bytes));
                break;
            }
        }
        let path = dockerfile.as_ref().map_or("Dockerfile", |(path, _)| path);
        // One that belongs to the Dockerfile comes before the one for all.
        let mut ignore_path = None;
        let mut ignore = Ignore::default();
        for name in [format!("{path}.dockerignore"), ".dockerignore".to_owned()] {
            if let Some(bytes) = tree.read_file(&name)? {
                ignore = Ignore::read(&bytes);
                ignore_path = Some(name);
                break;
            }
        }
        let around = Directory::open_all(&root, |folder| ignore.excludes_all_of(folder))?;
        let token = token::find(
            environment(token::NAME),
            tree.read_file(token::FILE)?.as_deref(),
        );
        // Docker finds the token in its environment, wherever it came from.
        let given = |name: &str| match name {
            token::NAME => token.as_ref().map(|token| token.value.clone()),
            name => environment(name),
        };
        let bake = tree.read_file(bake::FILE)?.map(|bytes| {
            let source = Source::new(bake::FILE.into(), &bytes);
            bake::resolve(&source, &given)
        });
        let bytes = dockerfile.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let origin = {
            let copied = taken(bytes).unwrap_or_default();
            let beside = [path, bake::FILE];
            let in_image = |file: &RepoPath| copied.iter().any(|copy| copy.covers(file));
            labels::origin(&root, |changed| {
                let is_changed = |file: &RepoPath| {
                    file == changed || file.ancestors().any(|folder| folder == *changed)
                };
                beside.iter().any(|file| is_changed(&(*file).into()))
                    || ignore_path
                        .as_ref()
                        .is_some_and(|file| is_changed(&file.as_str().into()))
                    || in_image(changed) && !ignore.excludes(changed)
                    || around
                        .entries()
                        .keys()
                        .any(|file| is_changed(file) && in_image(file) && !ignore.excludes(file))
            })?
        };
        let target = bake.as_ref().and_then(|bake| {
            let (name, settings) = bake.as_ref().ok()?.target()?;
            is_for(settings, path).then(|| (name.to_owned(), settings.clone()))
        });
        let declared = arguments(bytes).unwrap_or_default();
        let base_path = target
            .as_ref()
            .and_then(|(_, target)| target.get("args")?.get("BASE_PATH")?.as_str())
            .map(str::to_owned)
            .or_else(|| default_of(path, bytes, "BASE_PATH"));
        let plan = Plan {
            tag: args.tag.clone().unwrap_or_else(|| plan::TAG.to_owned()),
            dockerfile: path.to_owned(),
            target,
            given: plan::given(args, &declared, base_path.as_deref()),
            labels: labels::labels(&origin, labels::created_here()?),
            secret: token.is_some(),
            extra: args.docker.clone(),
            epoch: environment(labels::EPOCH).filter(|epoch| !epoch.is_empty()),
        };
        Ok(Self {
            root,
            dockerfile,
            ignore_path,
            ignore,
            around,
            bake,
            token,
            origin,
            plan,
            model: args.model.clone(),
            update_flags: args.update_flags,
            tree,
        })
    }

    /// What the checks look at.
    pub fn subject(&self) -> Subject<'_> {
        Subject {
            tree: &self.tree,
            dockerfile: self
                .dockerfile
                .as_ref()
                .map(|(path, bytes)| Dockerfile { path, bytes }),
            ignore: self
                .ignore_path
                .as_ref()
                .map(|path| (path.clone(), &self.ignore)),
            around: self.around.entries(),
            bake: self.bake.as_ref(),
            plan: &self.plan,
            origin: &self.origin,
            token: self.token.as_ref(),
            model: self.model.as_deref(),
            update_flags: self.update_flags,
        }
    }

    /// The base image that the build takes.
    pub fn base(&self) -> String {
        let given: BTreeMap<String, String> = self.plan.arguments().into_iter().collect();
        self.dockerfile
            .as_ref()
            .and_then(|(path, bytes)| {
                let source = Source::new(path.as_str().into(), bytes);
                dockerfile::read_with(&source, given).split().0.base
            })
            .map_or_else(String::new, |base| base.text)
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

/// An argument's default, as the Dockerfile has it.
fn default_of(path: &str, bytes: &[u8], name: &str) -> Option<String> {
    let source = Source::new(path.into(), bytes);
    let (image, _) = dockerfile::read(&source).split();
    let arg = image.args.iter().find(|arg| arg.name == name)?;
    Some(arg.value.clone())
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
        assert_eq!(
            default_of("Dockerfile", b"FROM x\nARG BASE_PATH=\"/x\"\n", "BASE_PATH").as_deref(),
            Some("/x")
        );
    }
}
