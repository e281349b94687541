//! What the tracked files and the index were before a plan was made, so that an edit meanwhile is
//! found whatever the clock says.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::journal::Journal;
use super::list;
use xtask_core::git::{Index, Repo};
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Oid, RepoPath};

/// What changes when a file is written or another takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stat([i64; 6], u64, u64);

impl Stat {
    fn of(path: &Path) -> Option<Self> {
        let data = path.symlink_metadata().ok()?;
        let size = i64::try_from(data.size()).unwrap_or(i64::MAX);
        let times = [
            data.mtime(),
            data.mtime_nsec(),
            data.ctime(),
            data.ctime_nsec(),
        ];
        let [mtime, mtime_part, ctime, ctime_part] = times;
        let mode = i64::from(data.mode());
        let values = [mode, size, mtime, mtime_part, ctime, ctime_part];
        Some(Self(values, data.dev(), data.ino()))
    }
}

/// The tracked files and the index as they were.
#[derive(Debug, Default)]
pub struct Seen {
    files: BTreeMap<RepoPath, Option<Stat>>,
    index: Option<Stat>,
    entries: Entries,
}

impl Seen {
    /// Looks at them. A `git status` that comes later sees every edit that came before this.
    pub fn look(repo: &Repo) -> Result<(Self, Index)> {
        let index = Stat::of(&repo.index_file);
        let staged = repo.index()?;
        let paths = staged.entries.keys();
        let files = paths.map(|path| (path.clone(), Stat::of(&path.below(&repo.top))));
        let seen = Self {
            files: files.collect(),
            index,
            entries: staged.entries.clone(),
        };
        Ok((seen, staged))
    }

    /// Refuses to go on where one of `paths`, the index or HEAD is not what it was.
    pub(crate) fn expect_same<'p>(
        &self,
        repo: &Repo,
        journal: &Journal,
        head: &Oid,
        paths: impl Iterator<Item = &'p RepoPath>,
    ) -> Result<()> {
        let now = |path: &RepoPath| Stat::of(&path.below(&repo.top));
        let touched: Vec<RepoPath> = paths
            .filter(|path| self.files.get(*path) != Some(&now(path)))
            .cloned()
            .collect();
        // Git tells a file that was only touched from one that was changed.
        let changed = repo.changed_among(&touched)?;
        let what = if !changed.is_empty() {
            let changed = list(&changed);
            format!("these have changed since the plan was made:\n  {changed}")
        } else if self.index != Stat::of(&repo.index_file) && self.entries != repo.index()?.entries
        {
            "the index has changed since the plan was made".to_owned()
        } else if repo.commit("HEAD")?.as_ref() != Some(head) {
            "HEAD has moved since the plan was made".to_owned()
        } else {
            return Ok(());
        };
        // With a record the journal holds what conflicts are taken back with.
        let help = if journal.is_open() {
            "take that back with `git restore FILE`, then run this again"
        } else {
            journal.remove()?;
            "commit or stash that, then run this again"
        };
        bail!(UserError::new(what, help))
    }
}
