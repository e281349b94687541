//! A directory in the file system, as a tree.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::{Entries, Mode, RepoPath, Tree, TreeEntry};

/// Folders of built or installed files. They can be very large and are no part of a worker.
const BUILT: &str = "\
    target node_modules __pycache__ .venv venv .tox .mypy_cache .pytest_cache .ruff_cache";

/// A directory in the file system, without its `.git`.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    entries: Entries,
}

impl Directory {
    /// Lists a work tree, without the folders that hold what was built or installed.
    pub fn open_work_tree(root: &Path) -> Result<Self> {
        let is_built = |name: &[u8]| BUILT.split(' ').any(|built| name == built.as_bytes());
        Self::open(root, |path| is_built(path.name()))
    }

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

    /// Lists `root`. `skip` says which folders not to enter; symbolic links are not followed. Other
    /// kinds (a FIFO, a socket, a device) are an error: reading one could block or have effects.
    pub fn open_all(root: &Path, skip: impl Fn(&RepoPath) -> bool) -> Result<Self> {
        let mut entries = Entries::new();
        let mut pending = vec![RepoPath(Vec::new())];
        while let Some(folder) = pending.pop() {
            for item in fs_err::read_dir(folder.below(root))? {
                let item = item?;
                let mut path = folder.0.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(item.file_name().as_bytes());
                let path = RepoPath(path);
                let metadata = fs_err::symlink_metadata(item.path())?;
                if metadata.is_dir() {
                    if !skip(&path) {
                        pending.push(path);
                    }
                    continue;
                }
                let is_program = metadata.permissions().mode() & 0o100 != 0;
                let mode = match (metadata.is_symlink(), metadata.is_file()) {
                    (true, _) => Mode::Symlink,
                    (false, true) if is_program => Mode::Executable,
                    (false, true) => Mode::File,
                    (false, false) => bail!(
                        "{path} in {} is neither a file, a link nor a folder",
                        root.display()
                    ),
                };
                entries.insert(path, TreeEntry::sized(mode, metadata.len()));
            }
        }
        let root = root.to_owned();
        Ok(Self { root, entries })
    }
}

impl Tree for Directory {
    fn entries(&self) -> &Entries {
        &self.entries
    }

    fn read(&self, path: &RepoPath) -> Result<Vec<u8>> {
        let file = path.below(&self.root);
        match self.entries.get(path).map(|entry| entry.mode) {
            None => bail!("no file {path} in {}", self.root.display()),
            Some(Mode::Symlink) => Ok(fs_err::read_link(file)?.into_os_string().into_vec()),
            Some(_) => Ok(fs_err::read(file)?),
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
