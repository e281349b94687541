//! What a person has to look at after a migration: what was rewritten, what stays, and what no longer
//! finds what it names.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::context;
use super::incoming::Bundle;
use super::plan::{Move, Rewrite};
use super::preflight::Preflight;
use worker_files::references::{self, Dangling};
use worker_files::{bake, dockerfile};
use xtask_core::git::Unseen;
use xtask_core::layout::{self, OUTDATED};
use xtask_core::outcome::UserError;
use xtask_core::output::diff;
use xtask_core::tree::{Entries, Mode, RepoPath, Tree, same};

pub fn rewrites(bundle: &Bundle, news: impl Fn(&RepoPath) -> bool) -> Vec<Rewrite> {
    bundle
        .files
        .iter()
        .filter(|(path, incoming)| incoming.given != incoming.rendered && news(path))
        .map(|(path, incoming)| Rewrite {
            path: path.clone(),
            changes: incoming.changes.clone(),
            diff: diff::unified(
                &format!("upstream/{}", incoming.from),
                &path.to_string(),
                &incoming.given,
                &incoming.rendered,
            ),
        })
        .collect()
}

/// Files that git does not track in folders that retire: they stay, and the user should know.
pub fn local_in_retired(at: &Preflight, moves: &[Move]) -> Vec<RepoPath> {
    let left: BTreeSet<RepoPath> = moves
        .iter()
        .filter_map(|planned| planned.from.parent())
        .collect();
    at.status
        .local
        .iter()
        .filter(|local| {
            let folder = local.parent();
            layout::is_retired(local)
                || layout::is_stray_in_runpod(local)
                || folder.is_none() && local.name().starts_with(b".env")
                || folder.is_some_and(|folder| left.contains(&folder))
        })
        .cloned()
        .collect()
}

/// What a person should fix before building the new image.
pub fn context_notes(
    at: &Preflight,
    bundle: &Bundle,
    carried: &[RepoPath],
    after: &Entries,
) -> Result<Vec<String>> {
    let content = |path: &str| match after.get(&path.into()).and_then(|file| file.oid.as_ref()) {
        Some(oid) => at.objects.blob(oid),
        None => Ok(None),
    };
    let Some(dockerfile) = content("Dockerfile")? else {
        return Ok(Vec::new());
    };
    let mut notes = context::notes(&context::Context {
        dockerfile: &dockerfile,
        dockerignore: content(".dockerignore")?.as_deref(),
        result: after,
        given: bundle.files.keys().collect(),
        carried: carried.iter().collect(),
    });
    if !carried.is_empty() {
        let mut sources = Vec::new();
        let code = |path: &&RepoPath| path.as_bytes().ends_with(b".py");
        for path in bundle.files.keys().filter(code).chain(carried) {
            let oid = after.get(path).and_then(|entry| entry.oid.as_ref());
            if let Some(text) = oid.map(|oid| at.objects.blob(oid)).transpose()?.flatten() {
                sources.push(worker_files::Source::new(path.clone(), &text));
            }
        }
        notes.extend(context::unresolved(&sources, carried, at.ours.entries()));
    }
    Ok(notes)
}

/// The repository's symbolic links, and what each names.
fn links(at: &Preflight) -> Result<Vec<(RepoPath, Vec<u8>)>> {
    let links = at.ours.entries().iter();
    links
        .filter(|(_, entry)| entry.mode == Mode::Symlink)
        .map(|(path, _)| Ok((path.clone(), at.ours.read(path)?)))
        .collect()
}

/// The files that may refer to the old places. Of a clean work tree the index says the same, and a
/// pack is read many times faster than as many files. Not so where the checkout is sparse: the index
/// would have git download what a partial clone left out.
fn mentions(at: &Preflight) -> Result<Vec<RepoPath>> {
    let outside: Vec<&str> = layout::RETIRED.iter().copied().chain([OUTDATED]).collect();
    let sparse = at.unseen.values().any(|why| *why == Unseen::Sparse);
    let options = if sparse { "-I" } else { "-I --cached" };
    let needles = references::candidates();
    let needles = needles.iter().map(String::as_str);
    at.repo.files_with(needles, &outside, options)
}

/// What in the repository's own files still points at a path that moved, or passes an argument
/// that the new Dockerfile does not declare.
pub fn dangling(
    at: &Preflight,
    bundle: &Bundle,
    moved: &[(RepoPath, RepoPath)],
    after: &Entries,
) -> Result<Vec<Dangling>> {
    let ours = at.ours.entries();
    let mut files = Vec::new();
    for path in &mentions(at)? {
        // Files from upstream or below `outdated/` are not the user's to fix.
        let stays = match (ours.get(path), after.get(path)) {
            (Some(before), Some(after)) => {
                before.mode.is_file() && (same(before, after) || path == bake::FILE)
            }
            _ => false,
        };
        let oid = after.get(path).and_then(|entry| entry.oid.as_ref());
        if let (true, Some(oid)) = (stays && !bundle.files.contains_key(path), oid) {
            let content = at.objects.blob(oid)?;
            files.push((path.clone(), content.unwrap_or_default()));
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
        found.extend(references::links(&links(at)?, ours, &after));
        found.sort();
    }
    Ok(found)
}
