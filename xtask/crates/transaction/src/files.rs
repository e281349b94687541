//! Files and folders in the work tree and the journal: each change is atomic, so that a killed
//! process leaves it done or not begun.

use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use xtask_core::git::Objects;
use xtask_core::tree::{Mode, RepoPath, Side};
use xtask_core::{fault, if_there};

/// Makes a change between two fault points.
pub fn atomically<T, E: Into<anyhow::Error>>(change: impl FnOnce() -> Result<T, E>) -> Result<T> {
    fault::point()?;
    let done = change().map_err(Into::into)?;
    fault::point()?;
    Ok(done)
}

pub fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Whether a file or a link is at a path.
pub fn is_file(path: &Path) -> bool {
    path.is_symlink() || path.is_file()
}

pub fn same_file(one: &Path, other: &Path) -> bool {
    is_same_inode(one.symlink_metadata(), other.symlink_metadata())
}

pub fn is_same_inode(one: io::Result<Metadata>, other: io::Result<Metadata>) -> bool {
    let id = |it: Metadata| (it.dev(), it.ino());
    one.is_ok_and(|one| other.is_ok_and(|other| id(one) == id(other)))
}

pub fn same_content(one: &Path, other: &Path) -> Result<bool> {
    Ok(is_file(one) && is_file(other) && content(one)? == content(other)?)
}

/// The bytes of a file, or the target of a link.
pub fn content(path: &Path) -> Result<Vec<u8>> {
    if path.is_symlink() {
        return Ok(fs_err::read_link(path)?.into_os_string().into_vec());
    }
    Ok(fs_err::read(path)?)
}

/// Writes a git object to a file, without filters or line-end conversion.
pub fn write_new(objects: &Objects, path: &Path, side: &Side) -> Result<()> {
    let content = objects
        .blob(&side.oid)?
        .with_context(|| format!("git lacks object {}", side.oid))?;
    if side.mode == Mode::Symlink {
        let target = OsString::from_vec(content);
        return Ok(fs_err::os::unix::fs::symlink(target, path)?);
    }
    // The umask applies.
    let permissions = if side.mode == Mode::Executable {
        0o777
    } else {
        0o666
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    options
        .mode(permissions)
        .open(path)
        .and_then(|mut file| file.write_all(&content))
        .with_context(|| format!("writing {}", path.display()))
}

/// Renames, but never over a file that has appeared at the target.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    atomically(|| {
        let done = match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Not every file system knows the flag.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if exists(to) => Err(Errno::EXIST),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rustix::fs::rename(from, to),
            done => done,
        };
        done.with_context(|| format!("renaming {} to {}", from.display(), to.display()))
    })
}

/// Copies a file with its permissions, or a link as a link.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fault::point()?;
    if from.is_symlink() {
        fs_err::os::unix::fs::symlink(fs_err::read_link(from)?, to)?;
    } else {
        fs_err::copy(from, to)?;
    }
    Ok(())
}

pub fn make_parents(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.is_dir() => atomically(|| fs_err::create_dir_all(parent)),
        _ => Ok(()),
    }
}

/// Removes the folders above a path that are empty, as git does.
pub fn remove_empty_parents(path: &RepoPath, top: &Path) -> Result<()> {
    for folder in path.ancestors() {
        fault::point()?;
        // One that is not empty holds the user's files.
        if if_there(std::fs::remove_dir(folder.below(top))).is_err() {
            break;
        }
    }
    Ok(())
}

/// Whether nothing is at a path. Folders without files, which git does not see, make room.
pub fn is_free(path: &Path) -> Result<bool> {
    Ok(remove_empty(path)? || !exists(path))
}

/// Removes a folder if it holds only folders; returns whether it did. Otherwise nothing is removed.
pub fn remove_empty(folder: &Path) -> Result<bool> {
    let is_empty = holds_only_folders(folder)?;
    if is_empty {
        remove_folders(folder)?;
    }
    Ok(is_empty)
}

fn holds_only_folders(folder: &Path) -> Result<bool> {
    if folder.is_symlink() || !folder.is_dir() {
        return Ok(false);
    }
    for item in fs_err::read_dir(folder)? {
        if !holds_only_folders(&item?.path())? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn remove_folders(folder: &Path) -> Result<()> {
    for item in fs_err::read_dir(folder)? {
        remove_folders(&item?.path())?;
    }
    Ok(fs_err::remove_dir(folder)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

    use super::*;

    #[test]
    fn a_rename_takes_nothing_away_that_has_appeared() {
        let folder = std::env::temp_dir().join(format!("rename-{}", std::process::id()));
        fs_err::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs_err::write(&from, "ours").unwrap();
        fs_err::write(&to, "somebody's").unwrap();
        assert!(rename(&from, &to).is_err());
        assert_eq!(fs_err::read(&from).unwrap(), b"ours");
        assert_eq!(fs_err::read(&to).unwrap(), b"somebody's");
        fs_err::remove_file(&to).unwrap();
        rename(&from, &to).unwrap();
        assert_eq!(fs_err::read(&to).unwrap(), b"ours");
        fs_err::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn folders_go_together_or_not_at_all() {
        let folder = std::env::temp_dir().join(format!("folders-{}", std::process::id()));
        // Some of them are listed before the one with a file, in whatever order that is.
        let empty: Vec<_> = (0..20)
            .map(|number| folder.join(format!("{number}/empty")))
            .collect();
        for empty in &empty {
            fs_err::create_dir_all(empty).unwrap();
        }
        fs_err::create_dir_all(folder.join("b")).unwrap();
        fs_err::write(folder.join("b/file"), "somebody's").unwrap();
        assert!(!remove_empty(&folder).unwrap());
        assert!(empty.iter().all(|empty| empty.is_dir()));
        fs_err::remove_file(folder.join("b/file")).unwrap();
        assert!(remove_empty(&folder).unwrap());
        assert!(!folder.exists());
    }
}
