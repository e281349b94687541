//! What to lint: repositories, single files, or standard input.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::document::Which;
use crate::lint::{LintReport, alone, lint};
use xtask_core::finding::Finding;
use xtask_core::outcome::UsageError;
use xtask_core::output::{SourceText, Sources};
use xtask_core::tree::{Directory, Entries, RepoPath, Tree};

/// Files whose bytes are others than on disk.
type Changed = BTreeMap<RepoPath, Vec<u8>>;

/// One thing to lint.
#[derive(Default)]
pub struct LintTarget {
    /// The folder that paths are below.
    root: PathBuf,
    /// What stands before the paths of findings.
    prefix: String,
    /// Findings of this file only.
    only: Option<RepoPath>,
    /// The kind of that file, where it is linted by itself.
    alone: Option<Which>,
    /// Standard input, in the place of that file.
    input: Option<Vec<u8>>,
    /// What was fixed, in memory.
    pub fixed: Changed,
}

/// Finds out what the command line means.
pub fn resolve(repo: Option<&Path>, paths: &[PathBuf]) -> Result<Vec<LintTarget>> {
    if paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(UsageError("standard input can be read only once".to_owned()).into());
    }
    if paths.is_empty() {
        return Ok(vec![match repo {
            Some(root) => folder(root, String::new())?,
            None => around().and_then(|root| folder(&root, prefix(&root)))?,
        }]);
    }
    let target = |shown: &PathBuf| {
        if shown.as_os_str() == "-" {
            return standard_input();
        }
        let path = repo.map_or_else(|| shown.clone(), |repo| repo.join(shown));
        if path.is_file() {
            return file(&path, shown);
        } else if !path.exists() {
            return Err(UsageError(format!("there is no {}", shown.display())).into());
        }
        if path.file_name().is_some_and(|name| name == ".runpod") {
            return folder(&above(&path), prefix(&above(shown)));
        }
        folder(&path, prefix(shown))
    };
    paths.iter().map(target).collect()
}

/// The folder above; of a single name, the working directory.
fn above(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        Some(_) => PathBuf::from("."),
        None => path.join(".."),
    }
}

/// The repository around the working directory, as a path from there.
fn around() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the working directory is gone")?;
    let inside = here.file_name().is_some_and(|name| name == ".runpod");
    let up = |count| (0..count).map(|_| "..").collect::<PathBuf>();
    for (count, folder) in here.ancestors().enumerate().skip(usize::from(inside)) {
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
    let text = text.strip_prefix("./").unwrap_or(text);
    if text == "." {
        String::new()
    } else {
        text.to_owned()
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
        ..LintTarget::default()
    })
}

/// A file: of its repository where it has the Hub's name, else by itself.
fn file(path: &Path, shown: &Path) -> Result<LintTarget> {
    let name = RepoPath::new(path.file_name().unwrap_or_default().as_encoded_bytes());
    if let Some(which) = Which::of(&name) {
        let (root, inner) = repository_of(path, which);
        return Ok(LintTarget {
            root,
            prefix: prefix(&repository_of(shown, which).0),
            only: Some(inner),
            ..LintTarget::default()
        });
    }
    let which = match name.as_bytes() {
        name if name.starts_with(b"hub") => Which::Hub,
        name if name.starts_with(b"tests") => Which::Tests,
        _ => guess(&fs_err::read(path)?),
    };
    Ok(LintTarget {
        root: above(path),
        prefix: prefix(&above(shown)),
        only: Some(name),
        alone: Some(which),
        ..LintTarget::default()
    })
}

/// The repository that one of the Hub's files belongs to, and the file's path in there.
fn repository_of(path: &Path, which: Which) -> (PathBuf, RepoPath) {
    let root = above(path);
    if root.file_name().is_some_and(|name| name == ".runpod") {
        (above(&root), RepoPath::from(which.name()).inside(".runpod"))
    } else {
        (root, which.name().into())
    }
}

fn guess(bytes: &[u8]) -> Which {
    let root = worker_files::json::parse(bytes).root;
    match root {
        Some(root) if root.get("tests").is_some() || !root.items().is_empty() => Which::Tests,
        _ => Which::Hub,
    }
}

fn standard_input() -> Result<LintTarget> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.context("could not read standard input")?;
    let which = guess(&bytes);
    Ok(LintTarget {
        only: Some(which.name().into()),
        alone: Some(which),
        input: Some(bytes),
        ..LintTarget::default()
    })
}

impl LintTarget {
    /// Lints it with what was fixed so far; paths are those of its own tree.
    pub fn lint(&self) -> Result<LintReport> {
        if let (Some(which), Some(path)) = (self.alone, &self.only) {
            return Ok(alone(path, which, &self.read(path)?));
        }
        let below = Directory::open_work_tree(&self.root)?;
        let changed = &self.fixed;
        let mut report = lint(&Overlay { below, changed }, self.only.is_none())?;
        if let Some(only) = &self.only {
            let is_of_it = |finding: &Finding| finding.place.path == *only;
            report.findings.retain(is_of_it);
            report.files = 1;
        }
        Ok(report)
    }

    /// From here on, paths are shown as the git repository around the target has them.
    pub fn show_from_git_root(&mut self) {
        let Ok(root) = self.root.canonicalize() else {
            return;
        };
        let top = root.ancestors().find(|folder| folder.join(".git").exists());
        if let Some(inner) = top.and_then(|top| root.strip_prefix(top).ok()) {
            self.prefix = inner.to_string_lossy().into_owned();
        }
    }

    /// The finding with its paths as the command line has them.
    pub fn shown(&self, finding: Finding) -> Finding {
        finding.inside(&self.prefix)
    }

    pub fn shown_path(&self, path: &RepoPath) -> RepoPath {
        path.inside(&self.prefix)
    }

    /// The texts under the paths of [`Self::shown`].
    pub fn sources(&self, sources: Sources) -> impl Iterator<Item = (RepoPath, SourceText)> {
        let sources = sources.into_iter();
        sources.map(|(path, source)| (self.shown_path(&path), source))
    }

    /// The bytes of a file before anything was fixed.
    pub fn original(&self, path: &RepoPath) -> Result<Vec<u8>> {
        match self.input() {
            Some((input, bytes)) if input == path => Ok(bytes.to_vec()),
            _ => Ok(fs_err::read(path.below(&self.root))?),
        }
    }

    /// The bytes of a file as they are by now.
    pub fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        let fixed = self.fixed.get(path);
        fixed.map_or_else(|| self.original(path), |bytes| Ok(bytes.clone()))
    }

    /// Puts new bytes in the place of a file; of standard input, on standard output.
    pub fn write(&self, path: &RepoPath, new: &[u8]) -> Result<()> {
        if self.input.is_some() {
            return Ok(std::io::stdout().lock().write_all(new)?);
        }
        Ok(fs_err::write(path.below(&self.root), new)?)
    }

    /// The file in whose place standard input is linted, with its bytes.
    pub fn input(&self) -> Option<(&RepoPath, &[u8])> {
        Some((self.only.as_ref()?, self.input.as_deref()?))
    }
}

/// A folder some of whose files are others than on disk.
struct Overlay<'a> {
    below: Directory,
    changed: &'a Changed,
}

impl Tree for Overlay<'_> {
    fn entries(&self) -> &Entries {
        self.below.entries()
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        match self.changed.get(path) {
            Some(bytes) => Ok(bytes.clone()),
            None => self.below.read(path),
        }
    }

    fn describe(&self) -> String {
        self.below.describe()
    }
}
