//! What to lint: repositories, or single files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::lint::{LintReport, alone, lint};
use crate::model::Which;
use xtask_core::outcome::UsageError;
use xtask_core::tree::{Directory, RepoPath};

/// A repository to lint, or a file.
pub struct LintTarget {
    root: PathBuf,
    /// The folder in front of the paths of findings.
    pub prefix: String,
    /// Report the findings of this file only.
    only: Option<RepoPath>,
}

pub fn resolve(repo: Option<&Path>, paths: &[PathBuf]) -> Result<Vec<LintTarget>> {
    if paths.is_empty() {
        let target = match repo {
            Some(root) => folder(root, String::new()),
            None => around().and_then(|root| folder(&root, prefix(&root))),
        };
        return Ok(vec![target?]);
    }
    let target = |shown: &PathBuf| {
        let path = repo.map_or_else(|| shown.clone(), |repo| repo.join(shown));
        if path.is_file() {
            return file(&path, shown);
        } else if !path.exists() {
            return Err(UsageError(format!("there is no {}", shown.display())).into());
        }
        let root = |folder: &Path| root_of(&folder.join("hub.json"));
        folder(&root(&path), prefix(&root(shown)))
    };
    paths.iter().map(target).collect()
}

/// The parent folder; of a single name, the working directory.
fn parent(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) => PathBuf::from("."),
        None => path.join(".."),
    }
}

/// The repository around the working directory, as a path from there.
fn around() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the working directory is gone")?;
    let is_in_runpod = here.file_name().is_some_and(|name| name == ".runpod");
    let up = |count| [".."].repeat(count).iter().collect::<PathBuf>();
    for (count, folder) in here.ancestors().enumerate().skip(is_in_runpod.into()) {
        if HUB_FILES.iter().any(|file| folder.join(file).is_file()) {
            return Ok(Path::new(".").join(up(count)));
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    Ok(PathBuf::from("."))
}

const HUB_FILES: [&str; 4] = [
    ".runpod/hub.json",
    "hub.json",
    ".runpod/tests.json",
    "tests.json",
];

fn prefix(shown: &Path) -> String {
    let text = shown.to_string_lossy();
    let text = text.trim_end_matches('/');
    match text.strip_prefix("./").unwrap_or(text) {
        "." => String::new(),
        text => text.to_owned(),
    }
}

fn folder(root: &Path, prefix: String) -> Result<LintTarget> {
    let shown = root.display();
    if !root.is_dir() {
        return Err(UsageError(format!("{shown} is not a directory")).into());
    }
    if !HUB_FILES.iter().any(|path| root.join(path).is_file()) {
        let words = format!("{shown} has no .runpod/hub.json: there is nothing to lint");
        return Err(UsageError(words).into());
    }
    Ok(LintTarget {
        root: root.to_owned(),
        prefix,
        only: None,
    })
}

/// A file of a repository if it has the Hub's name, or else a file alone.
fn file(path: &Path, shown: &Path) -> Result<LintTarget> {
    let Some(name) = path.file_name().and_then(OsStr::to_str) else {
        let words = format!("the name of {} is not UTF-8", shown.display());
        return Err(UsageError(words).into());
    };
    if HUB_FILES.contains(&name) {
        let root = root_of(path);
        // `components` drops `//` and `/./`, as in the tree's paths.
        let inner = path.strip_prefix(&root).unwrap_or(path);
        let inner: PathBuf = inner.components().collect();
        let inner = RepoPath::new(inner.as_os_str().as_encoded_bytes());
        let mut target = folder(&root, prefix(&root_of(shown)))?;
        target.only = Some(inner);
        return Ok(target);
    }
    Ok(LintTarget {
        root: parent(path),
        prefix: prefix(&parent(shown)),
        only: Some(name.into()),
    })
}

/// The repository that one of the Hub's files belongs to.
fn root_of(path: &Path) -> PathBuf {
    let folder = parent(path);
    match folder.file_name() {
        Some(name) if name == ".runpod" => parent(&folder),
        _ => folder,
    }
}

impl LintTarget {
    pub fn file(&self, path: &RepoPath) -> PathBuf {
        path.below(&self.root)
    }

    /// Lints the files as they are now; paths are relative to the root.
    pub fn lint(&self) -> Result<LintReport> {
        let tree = || Directory::open_work_tree(&self.root);
        let Some(only) = &self.only else {
            return lint(&tree()?, true);
        };
        if !HUB_FILES.iter().any(|file| only == *file) {
            let is_tests = only.as_bytes().starts_with(b"tests");
            let which = if is_tests { Which::Tests } else { Which::Hub };
            return Ok(alone(only, which, &fs_err::read(self.file(only))?));
        }
        let mut report = lint(&tree()?, false)?;
        let findings = &mut report.findings;
        findings.retain(|finding| finding.place.path == *only);
        report.files = 1;
        Ok(report)
    }

    /// Shows paths relative to the git repository around the target.
    pub fn show_from_git_root(&mut self) {
        let root = self.root.canonicalize().unwrap_or_default();
        let top = root.ancestors().find(|folder| folder.join(".git").exists());
        if let Some(inner) = top.and_then(|top| root.strip_prefix(top).ok()) {
            self.prefix = inner.to_string_lossy().into_owned();
        }
    }
}
