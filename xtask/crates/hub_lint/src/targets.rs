//! What to lint: repositories, single files, or what an editor sends on standard input.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::document::Which;
use crate::lint::{Report, alone, lint};
use xtask_core::finding::Finding;
use xtask_core::outcome::UsageError;
use xtask_core::output::{Source, Sources};
use xtask_core::tree::{Directory, Entries, Entry, Mode, RepoPath, Tree};

/// One thing to lint.
pub struct Target {
    /// What stands before the paths of findings.
    prefix: String,
    /// Findings of these files only; all where it is empty.
    only: Vec<RepoPath>,
    what: What,
}

enum What {
    /// A repository.
    Folder(PathBuf),
    /// A file by itself, under another name than the Hub's, and which of the two it is.
    File(PathBuf, Which),
    /// Standard input, in the place of a file of a repository where its name says so.
    Input(Vec<u8>, RepoPath, Option<PathBuf>),
}

/// Finds out what the command line means.
pub fn resolve(
    repo: Option<&Path>,
    paths: &[PathBuf],
    stdin_name: Option<&Path>,
) -> Result<Vec<Target>> {
    match paths.iter().filter(|path| path.as_os_str() == "-").count() {
        0 if stdin_name.is_some() => {
            let words = "--stdin-name says where standard input is from, and `-` is not asked for";
            return Err(UsageError(words.to_owned()).into());
        }
        0 | 1 => {}
        _ => return Err(UsageError("standard input can be read only once".to_owned()).into()),
    }
    if paths.is_empty() {
        return Ok(vec![match repo {
            Some(root) => folder(root, String::new())?,
            None => around().and_then(|root| folder(&root, prefix(&root)))?,
        }]);
    }
    let mut targets: Vec<Target> = Vec::new();
    let mut missing = Vec::new();
    // The repositories of single files, so that two files of one are linted once.
    let mut roots = HashMap::new();
    for path in paths {
        if path.as_os_str() == "-" {
            targets.push(standard_input(stdin_name)?);
            continue;
        }
        let shown = path;
        let path = repo.map_or_else(|| path.clone(), |repo| repo.join(path));
        if path.is_dir() {
            let (root, shown) = if path.file_name().is_some_and(|name| name == ".runpod") {
                (above(&path), above(shown))
            } else {
                (path, shown.clone())
            };
            targets.push(folder(&root, prefix(&shown))?);
        } else if path.is_file() {
            add_file(&mut targets, &mut roots, &path, shown)?;
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
    let mut path = PathBuf::from(if inside { ".." } else { "." });
    for folder in here.ancestors().skip(usize::from(inside)) {
        if HUB_FILES.iter().any(|file| folder.join(file).is_file()) {
            return Ok(path);
        }
        if folder.join(".git").exists() {
            break;
        }
        path = if path == Path::new(".") {
            PathBuf::from("..")
        } else {
            path.join("..")
        };
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

fn folder(root: &Path, prefix: String) -> Result<Target> {
    if !root.is_dir() {
        return Err(UsageError(format!("{} is not a directory", root.display())).into());
    }
    if !HUB_FILES.iter().any(|path| root.join(path).is_file()) {
        return Err(UsageError(format!(
            "{} has no .runpod/hub.json: there is nothing to lint",
            root.display()
        ))
        .into());
    }
    Ok(Target {
        prefix,
        only: Vec::new(),
        what: What::Folder(root.to_owned()),
    })
}

/// A file: of its repository where it has the Hub's name, else by itself.
fn add_file(
    targets: &mut Vec<Target>,
    roots: &mut HashMap<OsString, usize>,
    path: &Path,
    shown: &Path,
) -> Result<()> {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let Some(which) = Which::of(&RepoPath::from(name.as_str())) else {
        let which = if name.starts_with("hub") {
            Which::Hub
        } else if name.starts_with("tests") {
            Which::Tests
        } else {
            guess(&fs_err::read(path)?)
        };
        targets.push(Target {
            prefix: prefix(&above(shown)),
            only: Vec::new(),
            what: What::File(path.to_owned(), which),
        });
        return Ok(());
    };
    let (root, inner) = repository_of(path, which);
    let prefix = prefix(&repository_of(shown, which).0);
    match roots.entry(root.clone().into_os_string()) {
        std::collections::hash_map::Entry::Occupied(entry) => {
            if let Some(target) = targets.get_mut(*entry.get()) {
                target.only.push(inner);
            }
        }
        std::collections::hash_map::Entry::Vacant(entry) => {
            entry.insert(targets.len());
            targets.push(Target {
                prefix,
                only: vec![inner],
                what: What::Folder(root),
            });
        }
    }
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

fn standard_input(name: Option<&Path>) -> Result<Target> {
    let mut bytes = Vec::new();
    std::io::stdin()
        .lock()
        .read_to_end(&mut bytes)
        .context("could not read standard input")?;
    let Some(name) = name else {
        let path = RepoPath::from(guess(&bytes).name());
        return Ok(Target {
            prefix: String::new(),
            only: Vec::new(),
            what: What::Input(bytes, path, None),
        });
    };
    let file = RepoPath::new(name.as_os_str().as_encoded_bytes());
    let which = Which::of(&file).unwrap_or_else(|| guess(&bytes));
    let (root, inner) = repository_of(name, which);
    Ok(Target {
        prefix: prefix(&root),
        only: vec![inner.clone()],
        what: What::Input(bytes, inner, root.is_dir().then_some(root)),
    })
}

impl Target {
    /// Lints it; paths are those of its own tree.
    pub fn lint(&self) -> Result<Report> {
        self.lint_with(&BTreeMap::new())
    }

    /// Lints it as if these files had these bytes.
    fn lint_with(&self, changed: &BTreeMap<RepoPath, Vec<u8>>) -> Result<Report> {
        let mut report = match &self.what {
            What::Folder(root) => {
                let (tree, whole) = (Directory::open_work_tree(root)?, self.only.is_empty());
                if changed.is_empty() {
                    lint(&tree, whole)?
                } else {
                    lint(&Overlay::new(tree, changed), whole)?
                }
            }
            What::File(file, which) => {
                let path = name_of(file);
                match changed.get(&path) {
                    Some(bytes) => alone(&path, *which, bytes),
                    None => alone(&path, *which, &fs_err::read(file)?),
                }
            }
            What::Input(bytes, path, root) => {
                let bytes = changed.get(path).unwrap_or(bytes);
                match root {
                    None => alone(path, Which::of(path).unwrap_or(Which::Hub), bytes),
                    Some(root) => {
                        let input = BTreeMap::from([(path.clone(), bytes.clone())]);
                        lint(
                            &Overlay::new(Directory::open_work_tree(root)?, &input),
                            false,
                        )?
                    }
                }
            }
        };
        if !self.only.is_empty() {
            report
                .findings
                .retain(|f| self.only.contains(&f.place.path));
            report.files = self.only.len();
        }
        Ok(report)
    }

    /// From here on, paths are shown as the git repository around the target has them.
    pub fn show_from_git_root(&mut self) {
        let root = match &self.what {
            What::Folder(root) | What::Input(_, _, Some(root)) => root.clone(),
            What::File(file, _) => above(file),
            What::Input(..) => return,
        };
        let Ok(root) = root.canonicalize() else {
            return;
        };
        let top = root.ancestors().find(|folder| folder.join(".git").exists());
        if let Some(inner) = top.and_then(|top| root.strip_prefix(top).ok()) {
            self.prefix = inner.to_string_lossy().into_owned();
        }
    }

    /// The finding with its paths as the command line has them.
    pub fn shown(&self, finding: Finding) -> Finding {
        if self.prefix.is_empty() {
            finding
        } else {
            finding.inside(&self.prefix)
        }
    }

    pub fn shown_path(&self, path: &RepoPath) -> RepoPath {
        if self.prefix.is_empty() {
            path.clone()
        } else {
            path.inside(&self.prefix)
        }
    }

    /// The texts under the paths of [`Self::shown`].
    pub fn sources(&self, sources: Sources) -> BTreeMap<RepoPath, Source> {
        sources
            .into_iter()
            .map(|(path, source)| (self.shown_path(&path), source))
            .collect()
    }

    /// Puts new bytes in the place of a file; of standard input, on standard output.
    pub fn write(&self, path: &RepoPath, new: &[u8]) -> Result<()> {
        match &self.what {
            What::Folder(root) => Ok(fs_err::write(path.below(root), new)?),
            What::File(file, _) => Ok(fs_err::write(file, new)?),
            What::Input(..) => Ok(std::io::stdout().lock().write_all(new)?),
        }
    }

    /// The bytes of standard input, where that is what is linted.
    pub fn input(&self) -> Option<(&RepoPath, &[u8])> {
        match &self.what {
            What::Input(bytes, path, _) => Some((path, bytes)),
            _ => None,
        }
    }
}

fn name_of(path: &Path) -> RepoPath {
    RepoPath::new(path.file_name().unwrap_or_default().as_encoded_bytes())
}

/// A target whose files are changed in memory alone.
pub struct Rehearsal<'a> {
    target: &'a Target,
    changed: BTreeMap<RepoPath, Vec<u8>>,
}

impl<'a> Rehearsal<'a> {
    pub fn new(target: &'a Target) -> Self {
        Self {
            target,
            changed: BTreeMap::new(),
        }
    }

    pub fn lint(&self) -> Result<Report> {
        self.target.lint_with(&self.changed)
    }

    /// The bytes of a file as they are by now.
    pub fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        if let Some(bytes) = self.changed.get(path) {
            return Ok(bytes.clone());
        }
        match &self.target.what {
            What::Folder(root) => Ok(fs_err::read(path.below(root))?),
            What::File(file, _) => Ok(fs_err::read(file)?),
            What::Input(bytes, ..) => Ok(bytes.clone()),
        }
    }

    pub fn write(&mut self, path: &RepoPath, new: Vec<u8>) {
        self.changed.insert(path.clone(), new);
    }

    /// The files that became others.
    pub fn changed(&self) -> &BTreeMap<RepoPath, Vec<u8>> {
        &self.changed
    }
}

/// A folder some of whose files are others than on disk.
struct Overlay {
    below: Directory,
    entries: Entries,
    changed: BTreeMap<RepoPath, Vec<u8>>,
}

impl Overlay {
    fn new(below: Directory, changed: &BTreeMap<RepoPath, Vec<u8>>) -> Self {
        let mut entries = below.entries().clone();
        for path in changed.keys() {
            let entry = Entry {
                mode: Mode::File,
                size: None,
                oid: None,
            };
            entries.insert(path.clone(), entry);
        }
        Self {
            below,
            entries,
            changed: changed.clone(),
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
