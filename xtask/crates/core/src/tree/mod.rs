//! A read-only tree of files. A directory, a git tree and a map in memory have one interface, so
//! that readers can be tested from memory.

mod directory;
mod path;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub use directory::Directory;
pub use path::RepoPath;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    #[serde(rename = "100644")]
    File,
    #[serde(rename = "100755")]
    Executable,
    #[serde(rename = "120000")]
    Symlink,
    #[serde(rename = "160000")]
    Submodule,
}

impl Mode {
    pub fn octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }

    pub fn from_octal(text: &[u8]) -> Option<Self> {
        match text {
            // Old repositories hold 100664, which git reads as 100644.
            b"100644" | b"100664" => Some(Self::File),
            b"100755" => Some(Self::Executable),
            b"120000" => Some(Self::Symlink),
            b"160000" => Some(Self::Submodule),
            _ => None,
        }
    }

    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// The name of a git object, in hexadecimal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Oid(pub String);

impl Oid {
    pub fn short(&self) -> &str {
        short(&self.0)
    }
}

/// The first digits of a commit.
pub fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tree knows of a path without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    pub mode: Mode,
    /// In bytes, where it is known without reading.
    pub size: Option<u64>,
    /// The git object, where the tree is git's.
    pub oid: Option<Oid>,
}

impl TreeEntry {
    pub fn of(mode: Mode, oid: Oid) -> Self {
        let (oid, size) = (Some(oid), None);
        Self { mode, size, oid }
    }

    /// A file of a known size that is not git's.
    pub fn sized(mode: Mode, size: u64) -> Self {
        let (oid, size) = (None, Some(size));
        Self { mode, size, oid }
    }

    /// Its mode and content, where the tree is git's.
    pub fn side(&self) -> Option<Side> {
        let (mode, oid) = (self.mode, self.oid.clone()?);
        Some(Side { mode, oid })
    }
}

/// The mode and the content of a file in git.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Side {
    pub mode: Mode,
    pub oid: Oid,
}

pub type Entries = BTreeMap<RepoPath, TreeEntry>;

/// The paths at which two lists of files differ, with the entry of each.
pub fn differences<'a>(
    before: &'a Entries,
    after: &'a Entries,
) -> Vec<(&'a RepoPath, Option<&'a TreeEntry>, Option<&'a TreeEntry>)> {
    let paths: BTreeSet<&RepoPath> = before.keys().chain(after.keys()).collect();
    let entries = |path| (path, before.get(path), after.get(path));
    let entries = paths.into_iter().map(entries);
    entries.filter(|(_, old, new)| !equal(*old, *new)).collect()
}

/// Whether both entries are the same file, or both are absent.
pub fn equal(one: Option<&TreeEntry>, other: Option<&TreeEntry>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

pub fn same(one: &TreeEntry, other: &TreeEntry) -> bool {
    one.mode == other.mode && one.oid == other.oid
}

pub trait Tree: Send + Sync {
    /// All files, links and submodules; folders are implied.
    fn entries(&self) -> &Entries;

    /// The bytes of a file, or the target of a link.
    fn read(&self, path: &RepoPath) -> Result<Vec<u8>>;

    /// The name of this tree in messages.
    fn describe(&self) -> String;

    /// The bytes of a file that may be missing; links and submodules count as missing.
    fn read_file(&self, path: &str) -> Result<Option<Vec<u8>>> {
        let path = RepoPath::from(path);
        match self.entries().get(&path) {
            Some(entry) if entry.mode.is_file() => self.read(&path).map(Some),
            _ => Ok(None),
        }
    }
}

#[derive(Debug, Clone, Default)]
pub struct Memory {
    entries: Entries,
    contents: BTreeMap<RepoPath, Vec<u8>>,
}

impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn with(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with_mode(path, Mode::File, content)
    }

    #[must_use]
    pub fn with_mode(mut self, path: &str, mode: Mode, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        let entry = TreeEntry::sized(mode, content.len() as u64);
        self.entries.insert(path.into(), entry);
        self.contents.insert(path.into(), content);
        self
    }
}

impl Tree for Memory {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        let content = self.contents.get(path).cloned();
        content.with_context(|| format!("no file {path}"))
    }

    fn describe(&self) -> String {
        "a tree in memory".to_owned()
    }
}

pub struct Part<'a> {
    whole: &'a dyn Tree,
    entries: Entries,
    /// The folder that paths are relative to; empty for the root.
    folder: &'static str,
}

impl<'a> Part<'a> {
    /// The files below a folder, by their paths from there.
    pub fn below(whole: &'a dyn Tree, folder: &'static str) -> Self {
        let inside = whole.entries().iter().filter_map(|(path, entry)| {
            let below = path.strip_prefix(folder).filter(|path| !path.is_empty())?;
            Some((RepoPath::new(below), entry.clone()))
        });
        Self {
            whole,
            entries: inside.collect(),
            folder,
        }
    }

    pub fn without(whole: &'a dyn Tree, folder: &str) -> Self {
        let mut entries = whole.entries().clone();
        entries.retain(|path, _| !path.is_within(folder));
        Self {
            whole,
            entries,
            folder: "",
        }
    }
}

impl Tree for Part<'_> {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        self.whole.read(&path.inside(self.folder))
    }

    fn describe(&self) -> String {
        match self.folder {
            "" => self.whole.describe(),
            folder => format!("{folder} of {}", self.whole.describe()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_found_at_both_ends_and_in_between() {
        let one = Memory::new().with("a", "").with("c", "").with("d", "");
        let two = Memory::new()
            .with("b", "")
            .with("c", "")
            .with_mode("d", Mode::Executable, "")
            .with("e", "");
        let found: Vec<String> = differences(one.entries(), two.entries())
            .iter()
            .map(|(path, old, new)| format!("{path} {} {}", old.is_some(), new.is_some()))
            .collect();
        assert_eq!(
            found,
            [
                "a true false",
                "b false true",
                "d true true",
                "e false true"
            ]
        );
        assert_eq!(differences(one.entries(), one.entries()), []);
    }
}
