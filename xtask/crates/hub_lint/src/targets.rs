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
use xtask_core::tree::{Directory, Entries, Entry, Mode, RepoPath, Tree};

/// Files whose bytes are others than on disk.
type Changed = BTreeMap<RepoPath, Vec<u8>>;

/// One thing to lint.
#[derive(Default)]
pub struct LintTarget {
    /// The folder that paths are below.
    root: PathBuf,
    /// What stands before the paths of findings.
    prefix: String,
    /// Findings of these files only; all where it is empty.
    only: Vec<RepoPath>,
    /// The kind of a file that is linted by itself: the one of `only`.
    alone: Option<Which>,
    /// Standard input, in the place of the file of `only`.
    input: Option<Vec<u8>>,
    /// What was fixed, in memory.
    pub fixed: Changed,
}

/// Finds out what the command line means.
pub fn resolve(
    repo: Option<&Path>,
    paths: &[PathBuf],
    stdin_name: Option<&Path>,
) -> Result<Vec<LintTarget>> {
    let refuse = |words: &str| Err(UsageError(words.to_owned()).into());
    match paths.iter().filter(|path| path.as_os_str() == "-").count() {
        0 if stdin_name.is_some() => {
            let words = "--stdin-name says where standard input is from, and `-` is not asked for";
            return refuse(words);
        }
        0 | 1 => {}
        _ => return refuse("standard input can be read only once"),
    }
    if paths.is_empty() {
        return Ok(vec![match repo {
            Some(root) => folder(root, String::new())?,
            None => around().and_then(|root| folder(&root, prefix(&root)))?,
        }]);
    }
    let mut targets: Vec<LintTarget> = Vec::new();
    let mut missing = Vec::new();
    for shown in paths {
        if shown.as_os_str() == "-" {
            targets.push(standard_input(stdin_name)?);
            continue;
        }
        let path = repo.map_or_else(|| shown.clone(), |repo| repo.join(shown));
        if path.is_dir() {
            let inside = path.file_name().is_some_and(|name| name == ".runpod");
            targets.push(if inside {
                folder(&above(&path), prefix(&above(shown)))?
            } else {
                folder(&path, prefix(shown))?
            });
        } else if path.is_file() {
            add_file(&mut targets, &path, shown)?;
        } else {
            missing.push(shown.display().to_string());
        }
    }
    if !missing.is_empty() {
        return Err(UsageError(format!("there is no {}", missing.join(", no "))).into());
    }
    Ok(targets)
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
fn add_file(targets: &mut Vec<LintTarget>, path: &Path, shown: &Path) -> Result<()> {
    let name = RepoPath::new(path.file_name().unwrap_or_default().as_encoded_bytes());
    let Some(which) = Which::of(&name) else {
        let which = match name.as_bytes() {
            name if name.starts_with(b"hub") => Which::Hub,
            name if name.starts_with(b"tests") => Which::Tests,
            _ => guess(&fs_err::read(path)?),
        };
        targets.push(LintTarget {
            root: above(path),
            prefix: prefix(&above(shown)),
            only: vec![name],
            alone: Some(which),
            ..LintTarget::default()
        });
        return Ok(());
    };
    let (root, inner) = repository_of(path, which);
    // Two files of one repository are linted once.
    let is_same = |target: &&mut LintTarget| {
        let by_file = target.input.is_none() && target.alone.is_none() && !target.only.is_empty();
        by_file && target.root == root
    };
    if let Some(target) = targets.iter_mut().find(is_same) {
        target.only.push(inner);
        return Ok(());
    }
    targets.push(LintTarget {
        root,
        prefix: prefix(&repository_of(shown, which).0),
        only: vec![inner],
        ..LintTarget::default()
    });
    Ok(())
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

fn standard_input(name: Option<&Path>) -> Result<LintTarget> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().read_to_end(&mut bytes);
    read.context("could not read standard input")?;
    let named = name.map(|name| RepoPath::new(name.as_os_str().as_encoded_bytes()));
    let which = named.and_then(|file| Which::of(&file));
    let which = which.unwrap_or_else(|| guess(&bytes));
    let Some(name) = name else {
        return Ok(LintTarget {
            only: vec![which.name().into()],
            alone: Some(which),
            input: Some(bytes),
            ..LintTarget::default()
        });
    };
    let (root, path) = repository_of(name, which);
    Ok(LintTarget {
        prefix: prefix(&root),
        only: vec![path],
        alone: (!root.is_dir()).then_some(which),
        root,
        input: Some(bytes),
        ..LintTarget::default()
    })
}

impl LintTarget {
    /// Lints it with what was fixed so far; paths are those of its own tree.
    pub fn lint(&self) -> Result<LintReport> {
        let mut report = if let Some(which) = self.alone {
            alone(&self.only[0], which, &self.read(&self.only[0])?)
        } else {
            let input = self
                .input()
                .map(|(path, bytes)| (path.clone(), bytes.to_vec()));
            let changed = input.into_iter().chain(self.fixed.clone()).collect();
            let tree = Overlay::new(Directory::open_work_tree(&self.root)?, changed);
            lint(&tree, self.only.is_empty())?
        };
        if !self.only.is_empty() {
            let only = |finding: &Finding| self.only.contains(&finding.place.path);
            report.findings.retain(only);
            report.files = self.only.len();
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
        match self.prefix.as_str() {
            "" => finding,
            prefix => finding.inside(prefix),
        }
    }

    pub fn shown_path(&self, path: &RepoPath) -> RepoPath {
        match self.prefix.as_str() {
            "" => path.clone(),
            prefix => path.inside(prefix),
        }
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
        let bytes = self.input.as_deref()?;
        Some((&self.only[0], bytes))
    }
}

/// A folder some of whose files are others than on disk.
struct Overlay {
    below: Directory,
    entries: Entries,
    changed: Changed,
}

impl Overlay {
    fn new(below: Directory, changed: Changed) -> Self {
        let mut entries = below.entries().clone();
        let entry = Entry {
            mode: Mode::File,
            size: None,
            oid: None,
        };
        entries.extend(changed.keys().map(|path| (path.clone(), entry.clone())));
        Self {
            below,
            entries,
            changed,
        }
    }
}

impl Tree for Overlay {
    fn entries(&self) -> &Entries {
        &self.entries
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
