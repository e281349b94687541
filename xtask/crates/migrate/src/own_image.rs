//! Brings a fork's own modules, with the data beside them, into the new image: a line of the
//! Dockerfile, and what lets them into the build.

use anyhow::Result;

use super::follow_up::put;
use super::plan::{Planned, Rewrite, What};
use super::preflight::Preflight;
use worker_files::dockerfile;
use worker_files::ignore::Ignore;
use worker_files::rewrite::Change;
use xtask_core::git::Scratch;
use xtask_core::tree::{RepoPath, Tree};

const DOCKERFILE: &str = "Dockerfile";
const IGNORE: &str = ".dockerignore";

/// Copies what the result's Dockerfile does not copy of `modules`, beside the handler. Where that is
/// not written plainly, a person has to.
pub fn copy(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut Planned,
    modules: &[RepoPath],
) -> Result<Vec<Rewrite>> {
    let result = at.tree(&built.entries, "the result");
    let mut conflicts = built.plan.conflicts.iter();
    let is_open = conflicts.any(|it| it.path == DOCKERFILE || it.path == IGNORE);
    let Some(before) = result.read_file(DOCKERFILE)?.filter(|_| !is_open) else {
        return Ok(Vec::new());
    };
    let there = modules
        .iter()
        .filter(|path| result.entries().contains_key(*path));
    let Some((line, after, names)) = dockerfile::with_copies(&before, "handler.py", there) else {
        return Ok(Vec::new());
    };
    let change = |line, what: &str| {
        vec![Change {
            line,
            what: what.to_owned(),
        }]
    };
    let changes = change(line, "modules of this fork are copied too");
    let path = DOCKERFILE.into();
    let mut rewrites = vec![put(
        at,
        scratch,
        built,
        &path,
        [&before, after.as_bytes()],
        changes,
    )?];
    // The listing of the fork's changes was made from upstream's Dockerfile.
    if let Some(own) = &mut built.plan.own {
        let is_copied = |id: &str| {
            let file = id.strip_prefix("copy:").unwrap_or_default();
            names.contains_key(file.split('/').next().unwrap_or_default())
        };
        own.changes.retain(|change| !is_copied(&change.id));
    }
    for arrival in built
        .plan
        .files
        .iter_mut()
        .filter(|it| it.path == DOCKERFILE)
    {
        if arrival.what == What::Updated {
            arrival.what = What::Merged;
        }
    }
    if let Some(before) = result.read_file(IGNORE)? {
        let after = Ignore::letting_in(&before, &names);
        let line = before.split(|&byte| byte == b'\n').count();
        if after != before {
            let changes = change(line, "and let into the build");
            rewrites.push(put(
                at,
                scratch,
                built,
                &IGNORE.into(),
                [&before, &after],
                changes,
            )?);
        }
    }
    Ok(rewrites)
}
