//! What OLD and NEW name: a directory, a git revision, or the work tree.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};

use xtask_core::git::{Git, GitTree, Repo};
use xtask_core::layout::{Layout, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::outcome::{UsageError, UserError};
use xtask_core::tree::{Directory, Entries, Oid, Tree, TreeEntry};

/// The tree that a word names, with its commit where that is a revision; the work tree when there
/// is no word.
pub fn open(root: &Path, name: Option<&str>) -> Result<(Box<dyn Tree>, Option<String>)> {
    let Some(name) = name else {
        let tree = Directory::open_work_tree(root)?.without(OUTDATED);
        return Ok((Box::new(tree), None));
    };
    if name.is_empty() {
        bail!(UsageError(
            "OLD and NEW are directories or revisions; one of them is empty".to_owned()
        ));
    }
    if let Some(directory) = directory(root, name) {
        return Ok((Box::new(Directory::open_work_tree(&directory)?), None));
    }
    let repo = Repo::open(&Git::find()?, root)
        .with_context(|| format!("{name} is no directory; looking for a revision"))?;
    let Some(commit) = repo.commit(name)? else {
        bail!(UserError::new(
            format!("{name} is neither a directory nor a revision of this repository"),
            "name a directory, a branch, a tag or a commit; in a shallow clone fetch it first"
        ));
    };
    let tree = GitTree::new(repo.objects(), repo.entries(&commit)?, name);
    Ok((Box::new(tree), Some(commit.0)))
}

/// The directory that a word names.
pub fn directory(root: &Path, name: &str) -> Option<PathBuf> {
    let places = [root.join(name), PathBuf::from(name)];
    places.into_iter().find(|place| place.is_dir())
}

/// The repository, where there is one and git to ask. It is opened once.
fn repo(root: &Path) -> Result<Option<Repo>> {
    static OPENED: Mutex<Option<(PathBuf, Repo)>> = Mutex::new(None);
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if opened.as_ref().is_none_or(|(of, _)| of != root) {
        let git = Git::find().ok().filter(|_| root.join(".git").exists());
        let Some(git) = git else { return Ok(None) };
        *opened = Some((root.to_owned(), Repo::open(&git, root)?));
    }
    Ok(opened.as_ref().map(|(_, repo)| repo.clone()))
}

/// The whole name of a commit, where that is in this repository.
pub fn commit(root: &Path, name: Option<&str>) -> Result<Option<String>> {
    let (Some(name), Some(repo)) = (name, repo(root)?) else {
        return Ok(None);
    };
    Ok(repo.commit(name)?.map(|commit| commit.0))
}

/// The commit before the one that took a worker out of the legacy layout, where that is in this
/// repository.
pub fn before_migration(root: &Path) -> Result<Option<String>> {
    let Some(repo) = repo(root)? else {
        return Ok(None);
    };
    let is_legacy =
        |commit: &Oid| -> Result<bool> { Ok(Layout::of(&repo.entries(commit)?) == Layout::Legacy) };
    let head = repo.commit("HEAD")?;
    let last = head.map(|head| repo.last_change(&head, "src/handler.py"));
    let Some(migration) = last.transpose()?.flatten() else {
        return Ok(None);
    };
    let before = repo.commit(&format!("{migration}^"))?;
    let was = before.as_ref().map(is_legacy).transpose()?;
    let is_between = was == Some(true) && !is_legacy(&migration)?;
    Ok(before.filter(|_| is_between).map(|commit| commit.0))
}

/// The tree of a commit, where that is known and in this repository.
pub fn revision(root: &Path, commit: Option<&str>) -> Result<Option<Box<dyn Tree>>> {
    if let Some(name) = commit
        && let Some(repo) = repo(root)?
        && let Some(commit) = repo.commit(name)?
    {
        let entries = repo.entries(&commit)?;
        let tree = GitTree::new(repo.objects(), entries, commit.short());
        return Ok(Some(Box::new(tree)));
    }
    Ok(None)
}

/// The upstream that a migrated worker records, put together from the object database by the hashes
/// in its lock; nothing where the lock or one of the objects isn't there.
pub fn locked(root: &Path, of: &dyn Tree) -> Result<Option<Box<dyn Tree>>> {
    let (Some(lock), Some(repo)) = (Lock::read(of)?, repo(root)?) else {
        return Ok(None);
    };
    let objects = repo.objects();
    let mut entries = Entries::new();
    for (path, file) in &lock.upstream.files {
        let oid = file.rendered();
        if objects.blob(oid)?.is_none() {
            return Ok(None);
        }
        entries.insert(path.clone(), TreeEntry::of(file.mode, oid.clone()));
    }
    Ok(Some(Box::new(GitTree::new(objects, entries, "upstream"))))
}
