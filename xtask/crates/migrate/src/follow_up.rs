//! What a person has to look at after a migration: what was rewritten, what stays, and what no
//! longer finds what it names.

use anyhow::{Context, Result};

use super::incoming::{Bundle, Incoming};
use super::plan::{Planned, Rewrite};
use super::preflight::Preflight;
use transaction::steps;
use worker_files::references::{self, Dangling};
use worker_files::rewrite::Change;
use worker_files::{bake, dockerfile};
use xtask_core::git::Scratch;
use xtask_core::layout::{self, OUTDATED};
use xtask_core::outcome::UserError;
use xtask_core::output::diff;
use xtask_core::tree::{Entries, Mode, RepoPath, Tree, TreeEntry, same};

pub fn rewrites(bundle: &Bundle, is_changed: impl Fn(&RepoPath) -> bool) -> Vec<Rewrite> {
    let rewritten = bundle.files.iter();
    let rewritten = rewritten.filter(|(path, it)| it.given != it.rendered && is_changed(path));
    let rewrite = |(path, incoming): (&RepoPath, &Incoming)| {
        let (old, new) = (format!("upstream/{}", incoming.from), path.to_string());
        Rewrite {
            path: path.clone(),
            changes: incoming.changes.clone(),
            diff: diff::unified(&old, &new, &incoming.given, &incoming.rendered),
        }
    };
    rewritten.map(rewrite).collect()
}

/// Files that git does not track in folders that retire, and a root `.env`: they stay, and the user
/// should know.
pub fn local_in_retired(at: &Preflight) -> Vec<RepoPath> {
    let retires = |path: &&RepoPath| {
        let is_environment = path.parent().is_none() && path.name().starts_with(b".env");
        layout::is_retired(path) || layout::is_stray_in_runpod(path) || is_environment
    };
    at.status.local.iter().filter(retires).cloned().collect()
}

/// The files that may refer to the old places. Of a clean work tree the index says the same, and a
/// pack is read many times faster than as many files.
fn mentions(at: &Preflight) -> Result<Vec<RepoPath>> {
    let outside: Vec<&str> = layout::RETIRED.iter().copied().chain([OUTDATED]).collect();
    let needles = references::candidates();
    let needles = needles.iter().map(String::as_str);
    at.repo.files_with(needles, &outside, "-I --cached")
}

/// What in the repository's own files still points at a path that moved, or passes an argument
/// that the new Dockerfile does not declare.
pub fn dangling(
    at: &Preflight,
    bundle: &Bundle,
    moved: &[(RepoPath, RepoPath)],
    after: &Entries,
) -> Result<Vec<Dangling>> {
    let (ours, result) = (at.ours.entries(), at.tree(after, "the result"));
    let mut files = Vec::new();
    for path in &mentions(at)? {
        // Files from upstream or below `outdated/` are not the user's to fix.
        let stays = match (ours.get(path), after.get(path)) {
            (Some(before), Some(after)) => {
                before.mode.is_file() && (same(before, after) || path == bake::FILE)
            }
            _ => false,
        };
        if stays && !bundle.files.contains_key(path) {
            files.push((path.clone(), result.read(path)?));
        }
    }
    let dockerfile = bundle
        .files
        .get(&RepoPath::from("Dockerfile"))
        .context("the upstream has no Dockerfile")?;
    let arguments = dockerfile::arguments(&dockerfile.rendered)
        .map_err(|error| UserError::new(format!("Dockerfile, {error}"), error.help))?;
    let after = references::After {
        moved,
        result: after,
        arguments: &arguments,
    };
    let mut found = references::dangling(&files, &after);
    if !moved.is_empty() {
        let links = ours.iter().filter(|(_, entry)| entry.mode == Mode::Symlink);
        let links = links.map(|(path, _)| Ok((path.clone(), at.ours.read(path)?)));
        let links: Vec<_> = links.collect::<Result<_>>()?;
        found.extend(references::links(&links, ours, &after));
        found.sort();
    }
    Ok(found)
}

const UNDECLARED: &str = "the new Dockerfile does not declare what goes here; what needs a value of \
                          it has to be told in another way";

/// Drops what the new Dockerfile does not declare from the arguments in the repository's
/// docker-bake.hcl, and shows how.
pub fn drop_undeclared(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut Planned,
) -> Result<Option<Rewrite>> {
    let path = RepoPath::from(bake::FILE);
    let ours = at.ours.entries();
    let is_ours = |entry: &&TreeEntry| {
        entry.mode.is_file() && ours.get(&path).is_some_and(|before| same(before, entry))
    };
    let Some(entry) = built.entries.get(&path).filter(is_ours).cloned() else {
        return Ok(None);
    };
    let mut conflicts = built.plan.conflicts.iter();
    let dockerfile = at
        .tree(&built.entries, "the result")
        .read_file("Dockerfile")?;
    let dockerfile = dockerfile.filter(|_| !conflicts.any(|it| it.path == "Dockerfile"));
    let Some(Ok(declared)) = dockerfile.map(|it| dockerfile::arguments(&it)) else {
        return Ok(None);
    };
    let text = at.ours.read(&path)?;
    let Some(without) = references::without_undeclared(&text, &declared) else {
        return Ok(None);
    };
    let oid = scratch.blob(without.as_bytes())?;
    let rewrite = Rewrite {
        diff: diff::unified(bake::FILE, bake::FILE, &text, without.as_bytes()),
        changes: vec![Change {
            line: 1,
            what: UNDECLARED.to_owned(),
        }],
        path: path.clone(),
    };
    built.entries.insert(path, TreeEntry::of(entry.mode, oid));
    built.plan.after = steps::write_tree(scratch, ours, &built.entries)?;
    Ok(Some(rewrite))
}
