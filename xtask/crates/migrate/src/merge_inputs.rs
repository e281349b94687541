//! What upstream gives now and what it gave last time: the two outer sides of a merge.

use anyhow::{Result, bail};

use super::incoming;
use super::merge;
use super::official::OfficialBase;
use super::plan::{Planner, UpstreamSource};
use super::preflight::Preflight;
use super::upstream::{self, Upstream};
use xtask_core::layout::{LOCK, Shape};
use xtask_core::lock::{Lock, Origin};
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Tree, same};

/// What the lock will record of what upstream gives, and whether that is anything new.
pub fn updated_origin(at: &Preflight, fresh: Origin) -> (Origin, bool) {
    let Some(lock) = &at.lock else {
        return (fresh, true);
    };
    let old = &lock.upstream;
    let same_files = old.files.len() == fresh.files.len()
        && old.files.iter().zip(&fresh.files).all(|(old, new)| {
            old.0 == new.0 && old.1.given == new.1.given && old.1.mode == new.1.mode
        });
    // A commit that changed no file of the worker does not count as new.
    if same_files && old.address == fresh.address && old.rev == fresh.rev {
        return (old.clone(), false);
    }
    (fresh, true)
}

impl Planner<'_> {
    /// What upstream gave last time: from the object database, or from the commit that the lock
    /// records.
    pub fn base(&self, upstream: &Upstream) -> Result<Entries> {
        let Some(Lock { upstream: last, .. }) = &self.at.lock else {
            return Ok(Entries::new());
        };
        if OfficialBase::locked(self.at, last)?.is_some() {
            return Ok(last.entries());
        }
        let commit = last.commit.as_deref();
        let tree = commit.map(|commit| upstream.at(commit)).transpose()?;
        let Some(tree) = tree.flatten() else {
            bail!(UserError::new(
                "what upstream gave last time is not to be had any more",
                format!(
                    "name an upstream that has commit {} with --upstream, or remove {LOCK} and run \
                     `cargo xtask migrate --adopt REV`",
                    commit.unwrap_or("(none)")
                )
            ));
        };
        upstream.fetch_files(&tree)?;
        let bundle = incoming::collect(&tree, last.shape, |_| Ok(()))?;
        Ok(merge::store(self.scratch, &bundle, upstream.source.clone())?.entries())
    }

    /// The tool's own files, where they are to come along: now, and what was given last time.
    pub fn tool_side(&self) -> Result<Option<(Origin, Entries)>> {
        let (git, at, scratch) = (self.git, self.at, self.scratch);
        if !self.args.embed {
            return Ok(None);
        }
        let (commit, tree) = upstream::open_own(git, &at.repo.top)?;
        let bundle = incoming::collect_tool(&*tree)?;
        let source = UpstreamSource {
            address: upstream::permanent_address(git, &at.repo.top)?,
            rev: None,
            commit,
            shape: Shape::Root,
        };
        let origin = merge::store(scratch, &bundle, source)?;
        let before = at.lock.as_ref().and_then(|lock| lock.tool.as_ref());
        if before.is_none() {
            let mut taken = origin.entries();
            taken.retain(|path, new| {
                let ours = at.ours.entries().get(path);
                ours.is_some_and(|ours| !same(ours, new))
            });
            let taken: Vec<String> = taken.keys().map(ToString::to_string).collect();
            if !taken.is_empty() {
                bail!(UserError::new(
                    format!(
                        "the tool can't be embedded: {} is there already",
                        taken.join(", ")
                    ),
                    "leave --embed out, and run the tool from its own clone with `-C`"
                ));
            }
        }
        let before = before.map_or_else(Entries::new, Origin::entries);
        Ok(Some((origin, before)))
    }
}
