//! What OLD and NEW name: a directory, a git revision, or the work tree.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::git::{Git, GitTree, Repo};
use crate::outcome::Refusal;
use crate::tree::{Directory, RepoPath, Tree};

/// Folders that hold no worker's files and may hold very many: not entered.
const SKIPPED: [&str; 8] = [
    "target",
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    ".ruff_cache",
    ".pytest_cache",
    ".mypy_cache",
];

/// The repository to work on: the one given, or the one that holds this tool.
pub fn root(repo: Option<&Path>) -> Result<PathBuf> {
    let dir = repo.map_or_else(own, Path::to_owned);
    if !dir.is_dir() {
        bail!(Refusal::new(
            format!("{} is no folder", dir.display()),
            "name the worker's repository with `-C DIR`"
        ));
    }
    Ok(dir)
}

fn own() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

pub struct Trees<'a> {
    root: &'a Path,
}

impl<'a> Trees<'a> {
    pub fn new(root: &'a Path) -> Self {
        Self { root }
    }

    /// The tree that a word names; the work tree when there is none.
    pub fn open(&self, name: Option<&str>) -> Result<Box<dyn Tree>> {
        let Some(name) = name else {
            let tree = Directory::open(self.root, |path| skipped(path) || *path == "outdated")?;
            return Ok(Box::new(tree));
        };
        let inside = self.root.join(name);
        let dir = if inside.is_dir() {
            inside
        } else {
            PathBuf::from(name)
        };
        if dir.is_dir() {
            return Ok(Box::new(Directory::open(&dir, skipped)?));
        }
        let git = Git::find()?;
        let repo = Repo::open(&git, self.root)?;
        let Some(commit) = repo.commit(name)? else {
            bail!(Refusal::new(
                format!("{name} is neither a directory nor a revision of this repository"),
                "name a directory, a branch, a tag or a commit; in a shallow clone fetch it first"
            ));
        };
        let entries = repo.entries(&commit)?;
        Ok(Box::new(GitTree::new(repo.objects(), entries, name)))
    }

    /// The legacy worker under `outdated/`, with whatever it shared with the modern one.
    pub fn outdated(&self) -> Result<Box<dyn Tree>> {
        self.open(Some("outdated"))
    }
}

fn skipped(path: &RepoPath) -> bool {
    SKIPPED.iter().any(|name| path.name() == name.as_bytes())
}
