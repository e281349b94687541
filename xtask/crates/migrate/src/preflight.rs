//! The repository as it stands before a migration, and what a migration can't start from.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, bail};

use transaction::list;
use xtask_core::git::{GitTree, Objects, Repo, Status};
use xtask_core::layout::RECORDS;
use xtask_core::lock::Lock;
use xtask_core::outcome::UserError;
use xtask_core::records;
use xtask_core::tree::{Entries, Oid, RepoPath, Tree as _};

/// A repository as it stands, with nothing in the way of a migration.
pub struct Preflight {
    pub repo: Repo,
    pub objects: Arc<Objects>,
    pub status: Status,
    /// The files that git ignores in the work tree, with the mark that tells it to.
    pub unseen: BTreeMap<RepoPath, &'static str>,
    pub head: Oid,
    pub head_tree: Oid,
    pub ours: GitTree,
    pub lock: Option<Lock>,
}

impl Preflight {
    /// Files that git has, as a tree to read.
    pub fn tree(&self, entries: &Entries, name: impl Into<String>) -> GitTree {
        GitTree::new(self.objects.clone(), entries.clone(), name)
    }
}

/// Looks at the repository and refuses what a migration can't start from.
pub fn check(repo: &Repo) -> Result<Preflight> {
    let at = read(repo)?;
    check_clean(&at)?;
    check_seen(&at)?;
    check_unlocked(repo)?;
    Ok(at)
}

/// Reads the repository, even with uncommitted changes.
pub fn read(repo: &Repo) -> Result<Preflight> {
    if let Some(operation) = repo.under_way()? {
        bail!(UserError::new(
            format!("{operation} is under way in {}", repo.top.display()),
            "finish it or abort it, then run this again"
        ));
    }
    // Before the status, which then sees every earlier edit.
    let index = repo.index()?;
    let status = repo.status()?;
    let Some(head) = status.head.clone() else {
        bail!(UserError::new(
            format!("{} has no commit yet", repo.top.display()),
            "commit the worker's files first"
        ));
    };
    let objects = repo.objects();
    let name = repo.top.display().to_string();
    let ours = GitTree::new(objects.clone(), index.entries, name);
    let lock = Lock::read(&ours)?;
    for (record, _) in RECORDS {
        records::place_in(ours.entries(), record)?;
    }
    Ok(Preflight {
        head_tree: repo.tree_of(&head)?,
        repo: repo.clone(),
        objects,
        status,
        unseen: index.unseen,
        head,
        ours,
        lock,
    })
}

fn check_clean(at: &Preflight) -> Result<()> {
    let changed = &at.status.changed;
    if changed.is_empty() {
        return Ok(());
    }
    let filters = if at.repo.has_filters() {
        "; files behind a filter such as LFS can look changed right after a clone, until \
         `git update-index --refresh --force-write-index` has looked at them"
    } else {
        ""
    };
    bail!(UserError::new(
        format!(
            "the work tree or the index has changes that are not committed:\n  {}",
            list(changed)
        ),
        format!("commit them, or put them away with `git stash`{filters}")
    ))
}

/// Nobody knows whether a file is committed that git does not look at.
fn check_seen(at: &Preflight) -> Result<()> {
    let Some(mark) = at.unseen.values().next() else {
        return Ok(());
    };
    let unseen: Vec<RepoPath> = at.unseen.keys().cloned().collect();
    bail!(UserError::new(
        format!("git does not look at these files:\n  {}", list(&unseen)),
        format!(
            "have it look again with `git update-index --no-{mark} FILE`, or check out a sparse \
             checkout whole with `git sparse-checkout disable`, then run this again"
        )
    ))
}

pub fn check_unlocked(repo: &Repo) -> Result<()> {
    let lock = repo.index_lock();
    if !lock.exists() {
        return Ok(());
    }
    let lock = lock.display();
    bail!(UserError::new(
        format!("{lock} is there: another git is at work, or was killed"),
        "wait for it to end, or remove the file"
    ))
}
