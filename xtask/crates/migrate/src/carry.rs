//! `--carry`: the changes of a fork of the legacy layout, as sides of a merge.

use anyhow::Result;

use super::official::OfficialBase;
use super::preflight::Preflight;
use transaction::steps::{Conflict, ConflictStage};
use xtask_core::git::Scratch;
use xtask_core::layout;
use xtask_core::tree::{Entries, Entry, RepoPath, Tree, same};

/// The changes of a fork of the legacy layout, as sides of a merge.
#[derive(Default)]
pub struct Carry {
    /// The legacy files that the fork started from, by their place in the modern layout.
    pub base: Entries,
    pub carried: Vec<(RepoPath, RepoPath)>,
    pub orphans: Vec<(Conflict, Vec<ConflictStage>)>,
}

/// What changed in this fork since `base`. `theirs` is what upstream gives.
pub fn carry(
    at: &Preflight,
    scratch: &Scratch,
    base: &OfficialBase,
    theirs: &Entries,
) -> Result<Carry> {
    let started = &base.files;
    let mut carry = Carry::default();
    let ours = at.ours.entries();
    let place = |path: &RepoPath| {
        layout::counterpart(path).or_else(|| theirs.contains_key(path).then(|| path.clone()))
    };
    for (path, entry) in started {
        if let Some(to) = place(path) {
            carry.base.insert(to, entry.clone());
        }
    }
    for (path, entry) in ours {
        match place(path) {
            Some(to) => carry.carried.push((path.clone(), to)),
            None if layout::is_retired(path) => {
                let before = started.get(path);
                if before.is_some_and(|before| same(before, entry)) {
                    continue;
                }
                carry.orphans.push(orphan(path, before, entry));
            }
            None => {}
        }
    }
    // Package markers say nothing that could be lost.
    let empty = scratch.hashes([&b""[..]])?.pop();
    carry.orphans.retain(|(_, stages)| {
        stages
            .iter()
            .any(|stage| Some(&stage.side.oid) != empty.as_ref())
    });
    Ok(carry)
}

/// A legacy file that the fork changed and the modern layout has no counterpart of.
fn orphan(path: &RepoPath, before: Option<&Entry>, now: &Entry) -> (Conflict, Vec<ConflictStage>) {
    let reason = match path.as_str() {
        Some("worker-config.json") => {
            "changed here; its settings belong in .runpod/hub.json, which is written differently"
        }
        Some("builder/setup.sh") => "changed here; what it installs belongs in the Dockerfile",
        _ => "changed here, and the modern layout has no such file",
    };
    let stage = |stage: u8, entry: &Entry| {
        let side = entry.side()?;
        let path = path.clone();
        Some(ConflictStage { path, stage, side })
    };
    let stages = before
        .and_then(|before| stage(1, before))
        .into_iter()
        .chain(stage(2, now))
        .collect();
    let conflict = Conflict {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    (conflict, stages)
}
