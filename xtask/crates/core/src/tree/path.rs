//! A path inside a tree: bytes, as in git, with their quoted form.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::output::terminal::is_control;

/// A path inside a tree: relative, `/` between its parts, any bytes but NUL (git's rule, so that
/// names that are not UTF-8 survive).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(pub(super) Vec<u8>);

impl RepoPath {
    pub fn new(path: impl Into<Vec<u8>>) -> Self {
        Self(path.into())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    pub fn below(&self, root: &Path) -> PathBuf {
        root.join(OsStr::from_bytes(&self.0))
    }

    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or_default()
    }

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

    /// The path, from the root of the tree, that a link at this path leads to; `None` outside of the
    /// tree.
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

    /// The target of a link at this path that leads to `to`.
    pub fn link_to(&self, to: &Self) -> Self {
        let folder = self.parent();
        let from: Vec<&[u8]> = folder.iter().flat_map(Self::parts).collect();
        let to = to.parts().filter(|part| !matches!(*part, b"" | b"."));
        let to: Vec<&[u8]> = to.collect();
        let shared = from.iter().zip(&to).take_while(|(one, other)| one == other);
        let shared = shared.count();
        let mut parts: Vec<&[u8]> = vec![b".."; from.len() - shared];
        parts.extend(&to[shared..]);
        if parts.is_empty() {
            parts.push(b".");
        }
        Self::new(parts.join(&b'/'))
    }

    /// The path in a folder; the empty folder is the root.
    pub fn inside(&self, folder: &str) -> Self {
        let slash = if folder.is_empty() { "" } else { "/" };
        Self([folder.as_bytes(), slash.as_bytes(), &self.0].concat())
    }

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

/// As git quotes it: a path with bytes that a terminal could misread is in double quotes, with those
/// bytes escaped. Plain UTF-8 stays as it is.
impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.plain() {
            return f.write_str(text);
        }
        let octal = |byte: &u8| format!("\\{byte:03o}");
        f.write_str("\"")?;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '"' | '\\' => write!(f, "\\{c}")?,
                    '\n' => f.write_str("\\n")?,
                    '\t' => f.write_str("\\t")?,
                    c if is_control(c) => {
                        let bytes = c.to_string().into_bytes();
                        f.write_str(&bytes.iter().map(octal).collect::<String>())?;
                    }
                    c => write!(f, "{c}")?,
                }
            }
            f.write_str(&chunk.invalid().iter().map(octal).collect::<String>())?;
        }
        f.write_str("\"")
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl RepoPath {
    /// The path as text, where nothing in it needs quotes.
    fn plain(&self) -> Option<&str> {
        let needs_quotes = |c| is_control(c) || matches!(c, '"' | '\\');
        self.as_str().filter(|text| !text.contains(needs_quotes))
    }

    /// Reads a path as [`fmt::Display`] writes it.
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
        serializer.collect_str(self)
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
}
