//! A read-only tree of files. A directory, a git tree and a map in memory look the same to
//! whoever reads one, so that everything that reads can be tested from memory.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// A path inside a tree: relative, `/` between its parts, any bytes but NUL (git's rule, so that
/// names that are not UTF-8 survive).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Vec<u8>);

impl RepoPath {
    pub fn new(path: impl Into<Vec<u8>>) -> Self {
        Self(path.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text of the path, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Where the path lies below `root` in the file system.
    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.0))
    }

    /// The last part of the path.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or_default()
    }

    /// The first part of the path.
    pub fn top(&self) -> &[u8] {
        self.parts().next().unwrap_or_default()
    }

    /// The folder that holds the path; `None` at the root.
    pub fn parent(&self) -> Option<Self> {
        let end = self.0.iter().rposition(|&b| b == b'/')?;
        Some(Self(self.0[..end].to_vec()))
    }

    /// Every folder above the path, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(self.parent(), Self::parent)
    }

    /// Whether the path is `folder` or lies below it.
    pub fn is_within(&self, folder: &str) -> bool {
        self.strip_prefix(folder).is_some()
    }

    /// The path below `folder`, empty for the folder itself.
    pub fn strip_prefix(&self, folder: &str) -> Option<&[u8]> {
        let rest = self.0.strip_prefix(folder.as_bytes())?;
        match rest {
            [] => Some(rest),
            [b'/', below @ ..] => Some(below),
            _ => None,
        }
    }

    /// Where a link at this path leads, by its target, from the root of the tree; `None` outside
    /// of it.
    pub fn leads_to(&self, target: &[u8]) -> Option<Self> {
        if target.starts_with(b"/") || target.is_empty() {
            return None;
        }
        let mut parts: Vec<&[u8]> = self.parts().collect();
        parts.pop();
        for part in target.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop()?;
                }
                part => parts.push(part),
            }
        }
        Some(Self::new(parts.join(&b'/')))
    }

    /// This path below the folder `folder`.
    pub fn inside(&self, folder: &str) -> Self {
        let mut joined = folder.as_bytes().to_vec();
        if !joined.is_empty() {
            joined.push(b'/');
        }
        joined.extend_from_slice(&self.0);
        Self(joined)
    }

    /// The parts between the slashes.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/')
    }
}

impl From<&str> for RepoPath {
    fn from(path: &str) -> Self {
        Self(path.as_bytes().to_vec())
    }
}

impl PartialEq<str> for RepoPath {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl PartialEq<&str> for RepoPath {
    fn eq(&self, other: &&str) -> bool {
        self.0 == other.as_bytes()
    }
}

/// As git quotes it: bytes that a terminal could misread are escaped, and such a path stands in
/// double quotes; `/` ends nothing and plain UTF-8 stays as it is.
impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.plain() {
            return f.write_str(text);
        }
        match self.as_str() {
            Some(text) if !text.contains(|c: char| c.is_control() || c == '"' || c == '\\') => {
                f.write_str(text)
            }
            _ => {
                f.write_str("\"")?;
                for chunk in self.0.utf8_chunks() {
                    for c in chunk.valid().chars() {
                        match c {
                            '"' | '\\' => write!(f, "\\{c}")?,
                            '\n' => f.write_str("\\n")?,
                            '\t' => f.write_str("\\t")?,
                            c if c.is_control() => {
                                let mut buffer = [0; 4];
                                for byte in c.encode_utf8(&mut buffer).bytes() {
                                    write!(f, "\\{byte:03o}")?;
                                }
                            }
                            c => write!(f, "{c}")?,
                        }
                    }
                    for byte in chunk.invalid() {
                        write!(f, "\\{byte:03o}")?;
                    }
                }
                f.write_str("\"")
            }
        }
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl RepoPath {
    /// The path, where it is of the kind that nearly all are of and stands for itself.
    fn plain(&self) -> Option<&str> {
        let needs_no_quotes = |byte: &u8| matches!(byte, b' '..=b'~') && !b"\"\\".contains(byte);
        self.as_str().filter(|_| self.0.iter().all(needs_no_quotes))
    }

    /// The path as a string of JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        match self.plain() {
            Some(text) => Ok(["\"", text, "\""].concat()),
            None => serde_json::to_string(self),
        }
    }

    /// Reads what `Display` wrote.
    pub fn unquote(text: &str) -> Option<Self> {
        let Some(quoted) = text.strip_prefix('"') else {
            return Some(text.into());
        };
        let mut bytes = Vec::new();
        let mut rest = quoted.strip_suffix('"')?.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'\\' {
                bytes.push(byte);
                continue;
            }
            match rest.next()? {
                b'n' => bytes.push(b'\n'),
                b't' => bytes.push(b'\t'),
                first @ b'0'..=b'7' => {
                    let digits = [first, rest.next()?, rest.next()?];
                    let digits = std::str::from_utf8(&digits).ok()?;
                    bytes.push(u8::from_str_radix(digits, 8).ok()?);
                }
                other => bytes.push(other),
            }
        }
        Some(Self(bytes))
    }
}

impl<'de> serde::Deserialize<'de> for RepoPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::unquote(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is no path")))
    }
}

impl serde::Serialize for RepoPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.plain() {
            Some(text) => serializer.serialize_str(text),
            None => serializer.collect_str(self),
        }
    }
}

/// What kind of thing lies at a path, as git tells them apart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
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
    /// The mode as git writes it.
    pub fn octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }

    /// Git's mode, read.
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

    /// Whether the path holds bytes of its own: a regular file.
    pub fn is_file(self) -> bool {
        matches!(self, Self::File | Self::Executable)
    }
}

/// The name of a git object, in hexadecimal.
#[derive(
    Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(transparent)]
pub struct Oid(pub String);

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tree knows of a path without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub mode: Mode,
    /// In bytes, where it is known without reading.
    pub size: Option<u64>,
    /// The git object, where the tree is git's.
    pub oid: Option<Oid>,
}

/// Files by path, in order.
pub type Entries = BTreeMap<RepoPath, Entry>;

/// The paths at which two lists of files differ, with what each has there. Both lists are walked
/// once, side by side.
pub fn differences<'a>(
    before: &'a Entries,
    after: &'a Entries,
) -> Vec<(&'a RepoPath, Option<&'a Entry>, Option<&'a Entry>)> {
    let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (old.peek(), new.peek()) {
            (Some((old, _)), Some((new, _))) => old.cmp(new),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => return found,
        };
        let one = if order.is_le() { old.next() } else { None };
        let other = if order.is_ge() { new.next() } else { None };
        match (one, other) {
            (Some((path, old)), Some((_, new))) if !same(old, new) => {
                found.push((path, Some(old), Some(new)));
            }
            (Some((path, old)), None) => found.push((path, Some(old), None)),
            (None, Some((path, new))) => found.push((path, None, Some(new))),
            _ => {}
        }
    }
}

/// Whether two entries are the same file.
pub fn same(one: &Entry, other: &Entry) -> bool {
    one.mode == other.mode && one.oid == other.oid
}

/// A tree of files to read from.
pub trait Tree {
    /// All files, links and submodules; folders are implied.
    fn entries(&self) -> &Entries;

    /// The bytes of a file, or the target of a link.
    fn read(&self, path: &RepoPath) -> Result<Vec<u8>>;

    /// What to call this tree in a message.
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

/// A tree in memory.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    entries: Entries,
    contents: BTreeMap<RepoPath, Vec<u8>>,
}

#[allow(
    dead_code,
    reason = "tests of several modules build their trees with it"
)]
impl Memory {
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a regular file.
    #[must_use]
    pub fn with(self, path: &str, content: impl Into<Vec<u8>>) -> Self {
        self.with_mode(path, Mode::File, content)
    }

    /// Adds an entry of any kind.
    #[must_use]
    pub fn with_mode(mut self, path: &str, mode: Mode, content: impl Into<Vec<u8>>) -> Self {
        let content = content.into();
        self.entries.insert(
            path.into(),
            Entry {
                mode,
                size: Some(content.len() as u64),
                oid: None,
            },
        );
        self.contents.insert(path.into(), content);
        self
    }
}

impl Tree for Memory {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        match self.contents.get(path) {
            Some(content) => Ok(content.clone()),
            None => bail!("no file {path}"),
        }
    }

    fn describe(&self) -> String {
        "a tree in memory".to_owned()
    }
}

/// A part of a tree, seen as a tree of its own.
pub struct Part<'a> {
    of: &'a dyn Tree,
    entries: Entries,
    /// The folder that the paths are seen from; empty for the root.
    folder: &'static str,
}

impl<'a> Part<'a> {
    /// What lies below a folder, by its paths there.
    pub fn below(of: &'a dyn Tree, folder: &'static str) -> Self {
        let inside = of.entries().iter().filter_map(|(path, entry)| {
            let below = path.strip_prefix(folder).filter(|path| !path.is_empty())?;
            Some((RepoPath::new(below), entry.clone()))
        });
        Self {
            of,
            entries: inside.collect(),
            folder,
        }
    }

    /// All but what lies in a folder.
    pub fn without(of: &'a dyn Tree, folder: &str) -> Self {
        let outside = of
            .entries()
            .iter()
            .filter(|(path, _)| !path.is_within(folder));
        Self {
            of,
            entries: outside
                .map(|(path, entry)| (path.clone(), entry.clone()))
                .collect(),
            folder: "",
        }
    }
}

impl Tree for Part<'_> {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        self.of.read(&path.inside(self.folder))
    }

    fn describe(&self) -> String {
        match self.folder {
            "" => self.of.describe(),
            folder => format!("{folder} of {}", self.of.describe()),
        }
    }
}

/// Folders of a work tree that hold what was built or installed, and no part of a worker; they can
/// be very large.
const BUILT: &[&str] = &[
    "target",
    "node_modules",
    "__pycache__",
    ".venv",
    "venv",
    ".tox",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
];

/// A directory in the file system, without its `.git`.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    entries: Entries,
}

impl Directory {
    /// Lists a work tree, without the folders that hold what was built or installed.
    pub fn open_work_tree(root: &Path) -> Result<Self> {
        Self::open(root, |path| {
            BUILT.iter().any(|name| path.name() == name.as_bytes())
        })
    }

    /// Leaves out what lies in a folder.
    #[must_use]
    pub fn without(mut self, folder: &str) -> Self {
        self.entries.retain(|path, _| !path.is_within(folder));
        self
    }

    /// Lists `root` without any `.git`. `skip` says which other folders not to enter.
    pub fn open(root: &Path, skip: impl Fn(&RepoPath) -> bool) -> Result<Self> {
        let mut all = Self::open_all(root, |path| path.name() == b".git" || skip(path))?;
        all.entries.remove(&RepoPath::from(".git"));
        Ok(all)
    }

    /// Lists `root`. `skip` says which folders not to enter; symbolic links are not followed.
    /// What is neither file, link nor folder (a FIFO, a socket, a device) is an error, because
    /// reading one could block or have effects.
    pub fn open_all(root: &Path, skip: impl Fn(&RepoPath) -> bool) -> Result<Self> {
        let mut entries = Entries::new();
        let mut pending: Vec<OsString> = vec![OsString::new()];
        while let Some(folder) = pending.pop() {
            for item in fs_err::read_dir(root.join(&folder))? {
                let item = item?;
                let mut path = folder.clone().into_vec();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(item.file_name().as_bytes());
                let path = RepoPath(path);
                let metadata = fs_err::symlink_metadata(item.path())?;
                if metadata.is_dir() {
                    if !skip(&path) {
                        pending.push(OsString::from_vec(path.0));
                    }
                    continue;
                }
                let mode = if metadata.is_symlink() {
                    Mode::Symlink
                } else if metadata.is_file() {
                    use std::os::unix::fs::PermissionsExt;
                    if metadata.permissions().mode() & 0o100 == 0 {
                        Mode::File
                    } else {
                        Mode::Executable
                    }
                } else {
                    bail!(
                        "{path} in {} is neither a file, a link nor a folder",
                        root.display()
                    );
                };
                entries.insert(
                    path,
                    Entry {
                        mode,
                        size: Some(metadata.len()),
                        oid: None,
                    },
                );
            }
        }
        Ok(Self {
            root: root.to_owned(),
            entries,
        })
    }
}

impl Tree for Directory {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        let entry = self
            .entries
            .get(path)
            .with_context(|| format!("no file {path} in {}", self.root.display()))?;
        let file = path.below(&self.root);
        match entry.mode {
            Mode::Symlink => Ok(fs_err::read_link(file)?.into_os_string().into_vec()),
            _ => Ok(fs_err::read(file)?),
        }
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_as_git_quotes_them() {
        assert_eq!(RepoPath::from("a b/ü.py").to_string(), "a b/ü.py");
        assert_eq!(RepoPath::from("a\n\"b").to_string(), r#""a\n\"b""#);
        assert_eq!(
            RepoPath::new(b"x\xff\x1b".to_vec()).to_string(),
            r#""x\377\033""#
        );
    }

    #[test]
    fn every_path_survives_quoting() {
        let all: Vec<u8> = (1..=255).collect();
        for path in [&all[..], b"\"", b"a\\", b"plain", "ü\u{85}".as_bytes()] {
            let path = RepoPath::new(path);
            assert_eq!(RepoPath::unquote(&path.to_string()), Some(path));
        }
    }

    #[test]
    fn a_folder_holds_itself_and_what_is_below() {
        assert!(RepoPath::from("src").is_within("src"));
        assert!(RepoPath::from("src/a").is_within("src"));
        assert!(!RepoPath::from("srcs/a").is_within("src"));
        assert_eq!(RepoPath::from("a/b/c").ancestors().count(), 2);
    }

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

    #[test]
    fn a_directory_is_listed_without_following_links() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs_err::create_dir(root.join("sub")).unwrap();
        fs_err::create_dir(root.join(".git")).unwrap();
        fs_err::write(root.join(".git/config"), "x").unwrap();
        fs_err::write(root.join("sub/file"), "hello").unwrap();
        fs_err::os::unix::fs::symlink("..", root.join("sub/up")).unwrap();
        let tree = Directory::open(root, |_| false).unwrap();
        let paths: Vec<String> = tree.entries().keys().map(ToString::to_string).collect();
        assert_eq!(paths, ["sub/file", "sub/up"]);
        assert_eq!(tree.read(&"sub/up".into()).unwrap(), b"..");
    }
}
