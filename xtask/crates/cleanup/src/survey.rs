//! Everything that is found out about a repository before `outdated/` may go.

use std::path::Path;

use anyhow::Result;

use super::differs::{self, Differs};
use super::mentions::{self, Mention};
use super::restore_point::{self, Restore};
use super::retired::{self, Changed, MoveHistory};
use compare::cleanup_gate::CleanupGate;
use migrate::preflight::Preflight;
use xtask_core::finding::Finding;
use xtask_core::git::{GitTree, Repo, Unseen};
use xtask_core::layout::{self, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::tree::{Mode, Part, RepoPath, Tree};

pub struct Survey {
    pub uncommitted: Vec<(RepoPath, Differs)>,
    /// Records that git does not track: they are not in the commit.
    pub unrecorded: Vec<RepoPath>,
    /// Records whose changes git does not report.
    pub unseen: Vec<(RepoPath, Unseen)>,
    /// What git does not track below `outdated/`.
    pub local: Vec<Local>,
    /// What is tracked there and is no file, or is not looked at.
    pub not_plain: Vec<(RepoPath, Mode, Option<Unseen>)>,
    pub is_sparse: bool,
    /// The commit that must be kept, where it has the folder.
    pub head: Option<String>,
    pub restore: Option<Restore>,
    pub changed: Vec<Changed>,
    /// Whether a history that would vouch for the files was cut off.
    pub is_cut_off: bool,
    pub gate: CleanupGate,
    pub lint: Vec<Finding>,
    pub mentions: Vec<Mention>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    pub path: RepoPath,
    /// Whether it is a git repository, which `git clean` removes only with `-ff`.
    pub is_repository: bool,
}

impl Survey {
    /// Reads the files of HEAD. `lock` is the commit's, as a staged removal has changed the index;
    /// `staged` are the paths that this task has staged.
    pub fn make(
        at: &Preflight,
        head: &GitTree,
        lock: Option<&Lock>,
        gate: CleanupGate,
        staged: &[RepoPath],
    ) -> Result<Self> {
        let (tracked, index, status) = (head.entries(), at.ours.entries(), &at.status);
        let mut uncommitted = Vec::new();
        for path in status.changed.iter().filter(|path| !staged.contains(path)) {
            let differs = Differs::look(path, &at.repo.top, status, tracked, index)?;
            uncommitted.push((path.clone(), differs));
        }
        // Staged for deletion but still on disk: uncommitted work, so never suggest deleting it.
        let is_forgotten =
            |one: &Local| uncommitted.contains(&(one.path.clone(), Differs::Forgotten));
        let mut local = local(&at.repo, &status.local);
        local.retain(|one| !is_forgotten(one));
        let not_plain = tracked.iter().filter_map(|(path, entry)| {
            let unseen = at.unseen.get(path).copied();
            let odd = entry.mode == Mode::Submodule || unseen.is_some() || *path == OUTDATED;
            (path.is_within(OUTDATED) && odd).then(|| (path.clone(), entry.mode, unseen))
        });
        let is_record =
            |path: &RepoPath| layout::is_record(path) || *path == hub_lint::SUPPRESSIONS;
        let unrecorded = status.local.iter().filter(|path| is_record(path));
        let unseen = at.unseen.iter().filter(|(path, _)| is_record(path));
        let has_folder = tracked.keys().any(|path| path.is_within(OUTDATED));
        Ok(Self {
            uncommitted: differs::joined(uncommitted, tracked, index),
            unrecorded: unrecorded.cloned().collect(),
            unseen: unseen.map(|(path, why)| (path.clone(), *why)).collect(),
            local,
            not_plain: not_plain.collect(),
            is_sparse: at.repo.is_sparse()?,
            head: has_folder.then(|| at.head.0.clone()),
            restore: restore_point::restore(&at.repo, &at.head)?,
            changed: changed(at, head, lock)?,
            is_cut_off: lock.is_none_or(|lock| lock.retired.is_none()) && at.repo.is_shallow()?,
            gate,
            lint: hub_lint::lint(&Part::without(head, OUTDATED), true)?.findings,
            mentions: mentions::find(head, &mentions::candidates(&at.repo)?)?,
        })
    }
}

/// Those of the untracked paths that are below the folder.
pub fn local(repo: &Repo, paths: &[RepoPath]) -> Vec<Local> {
    let is_repository = |path: &Path| path.join(".git").exists();
    let below = paths.iter().filter(|path| path.is_within(OUTDATED));
    below
        .map(|path| Local {
            path: path.clone(),
            is_repository: is_repository(&path.below(&repo.top)),
        })
        .collect()
}

/// The changed files below the folder, by the record of retired files or, without one, by the
/// history.
pub fn changed(at: &Preflight, head: &GitTree, lock: Option<&Lock>) -> Result<Vec<Changed>> {
    let entries = head.entries();
    if let Some(record) = lock.and_then(|lock| lock.retired.as_ref()) {
        return Ok(retired::changed(entries, record));
    }
    let history = MoveHistory::read(&at.repo, &at.head, entries)?;
    Ok(retired::changed(entries, &history))
}
