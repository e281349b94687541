//! `.xtask/upstream.lock.json`: where the modern files came from, as upstream had them and as they
//! were written. It names no commit of the repository itself, so squash and rebase don't break it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::layout::{LOCK, Shape};
use crate::outcome::UserError;
use crate::records;
use crate::tree::{Entries, Mode, Oid, RepoPath, Side, Tree, TreeEntry};

const VERSION: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub version: u32,
    pub upstream: Origin,
    /// Where the tool itself came from, when it was embedded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<Origin>,
    /// The files that this tool moved below `outdated/`, to tell later whether they are unchanged.
    /// Absent in locks of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired: Option<Retired>,
}

/// Files that retired, by the path that they have since: each as `mode hash`.
pub type Retired = BTreeMap<RepoPath, String>;

pub fn retired_as(file: &Side) -> String {
    format!("{} {}", file.mode.octal(), file.oid)
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// A URL, a path relative to the repository, or `xtask:` for the repository that holds the
    /// tool.
    pub address: String,
    /// The revision that was asked for; the next run follows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rev: Option<String>,
    /// The full commit that was read; absent for a directory without git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    pub shape: Shape,
    pub files: BTreeMap<RepoPath, LockedFile>,
}

/// A file as upstream gave it and as it was written; hashes are git's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedFile {
    pub from: RepoPath,
    pub mode: Mode,
    pub given: Oid,
    /// What it became when its paths were rewritten, where that made a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered: Option<Oid>,
    /// What was written, where merged local changes made a difference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written: Option<Oid>,
    /// Set when this repository has removed the file.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
}

impl LockedFile {
    /// Upstream's side of a merge.
    pub fn rendered(&self) -> &Oid {
        self.rendered.as_ref().unwrap_or(&self.given)
    }

    pub fn entry(&self) -> TreeEntry {
        TreeEntry::of(self.mode, self.rendered().clone())
    }
}

impl Origin {
    /// The files as upstream's side of a merge has them.
    pub fn entries(&self) -> Entries {
        let entry = |(path, file): (&RepoPath, &LockedFile)| (path.clone(), file.entry());
        self.files.iter().map(entry).collect()
    }
}

impl Lock {
    pub fn new(upstream: Origin, tool: Option<Origin>) -> Self {
        Self {
            version: VERSION,
            upstream,
            tool,
            retired: None,
        }
    }

    /// Reads the lock of a tree; `None` where there is none.
    pub fn read(tree: &dyn Tree) -> Result<Option<Self>> {
        let record = records::read(tree, LOCK)?;
        let lock = record.map(|(bytes, place)| Self::parse(&bytes, place));
        lock.transpose()
    }

    pub fn parse(bytes: &[u8], place: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let help = format!(
            "restore it with `git checkout HEAD~1 -- {place}`, or remove it and run \
             `cargo xtask migrate --adopt REV`"
        );
        // serde_json's message ends with the line and the column.
        let unread = |error: serde_json::Error| {
            UserError::new(format!("{place} can't be read: {error}"), help.clone())
        };
        let Version { version } = serde_json::from_slice(bytes).map_err(unread)?;
        if version != VERSION {
            let what = format!("it is of version {version}; this tool knows {VERSION}");
            bail!(UserError::new(
                format!("{place} can't be read: {what}"),
                "take a newer version of this tool"
            ));
        }
        Ok(serde_json::from_slice(bytes).map_err(unread)?)
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_string_pretty(self).context("writing the lock as JSON")?;
        Ok((text + "\n").into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Memory;

    #[test]
    fn a_broken_lock_is_refused_with_its_place() {
        let tree = Memory::new().with(LOCK, "{\n  \"version\": 1,\n  \"upstream\": 3\n}");
        let error = Lock::read(&tree).unwrap_err().to_string();
        assert!(
            error.contains(".xtask/upstream.lock.json can't be read"),
            "{error}"
        );
        assert!(error.contains("line 3"), "{error}");
    }

    #[test]
    fn a_lock_of_the_future_is_refused_by_its_version() {
        let tree = Memory::new().with(LOCK, r#"{"version": 2, "else": []}"#);
        let error = Lock::read(&tree).unwrap_err().to_string();
        assert_eq!(
            error,
            ".xtask/upstream.lock.json can't be read: it is of version 2; this tool knows 1"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut files = BTreeMap::new();
        files.insert(
            "Dockerfile".into(),
            LockedFile {
                from: ".runpod/Dockerfile".into(),
                mode: Mode::File,
                given: Oid("aa".into()),
                rendered: Some(Oid("bb".into())),
                written: None,
                removed: false,
            },
        );
        let mut lock = Lock::new(
            Origin {
                address: "https://example.com/sglang.git".into(),
                rev: Some("refs/pull/1/head".into()),
                commit: Some("cc".into()),
                shape: Shape::Runpod,
                files,
            },
            None,
        );
        assert_eq!(Lock::parse(&lock.to_bytes().unwrap(), LOCK).unwrap(), lock);
        lock.retired = Some(BTreeMap::from([(
            "outdated/src/a.py".into(),
            retired_as(&Side {
                mode: Mode::Executable,
                oid: Oid("dd".repeat(20)),
            }),
        )]));
        assert_eq!(Lock::parse(&lock.to_bytes().unwrap(), LOCK).unwrap(), lock);
        let odd = RepoPath::new(*b"outdated/\"\n\xff");
        let side = lock.retired.as_ref().unwrap().values().next().cloned();
        lock.retired.as_mut().unwrap().insert(odd, side.unwrap());
        assert_eq!(Lock::parse(&lock.to_bytes().unwrap(), LOCK).unwrap(), lock);
        let text = String::from_utf8(lock.to_bytes().unwrap()).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(format!("{value:#}\n"), text, "pretty to the end");
        lock.retired = Some(BTreeMap::new());
        assert_eq!(Lock::parse(&lock.to_bytes().unwrap(), LOCK).unwrap(), lock);
    }
}
