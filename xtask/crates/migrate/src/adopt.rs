//! `migrate --adopt`: a lock for a worker that is modern already and has none. It finds the
//! upstream revision that the worker's files came from and writes that down; nothing else
//! changes, and the next migrate is a merge.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::incoming;
use super::merge::{self, Stored};
use super::official::{ADDRESS, Official};
use super::plan::{Arrival, Plan, UpstreamSource, What};
use super::planner::{self, Planned};
use super::preflight::{self, Preflight};
use super::upstream::{self, Upstream};
use crate::args::Args;
use transaction::steps;
use xtask_core::git::{Git, Scratch};
use xtask_core::layout::{self, LOCK, Shape};
use xtask_core::lock::Lock;
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Mode, Oid, RepoPath, Tree, TreeEntry};

pub fn make(
    git: &Git,
    at: &Preflight,
    scratch: &Scratch,
    args: &Args,
    revision: &str,
) -> Result<Planned> {
    if at.lock.is_some() {
        bail!(UserError::new(
            format!("{LOCK} is there already"),
            "bring in what upstream changed with `cargo xtask migrate`"
        ));
    }
    let ours = at.ours.entries();
    if Shape::of(ours) != Some(Shape::Root) {
        bail!(UserError::new(
            "this worker does not have the modern layout, so there is nothing to adopt",
            "move it to the modern layout with `cargo xtask migrate`"
        ));
    }
    let (upstream, found) = source(git, at, scratch, args, revision)?;
    let source = UpstreamSource {
        rev: followed(revision, upstream.source.commit.as_deref()),
        commit: found.commit,
        ..upstream.source
    };
    let mut origin = source.clone().origin(found.stored.locked.clone());
    merge::record(&mut origin, ours);
    let lock = Lock::new(origin, None);
    let oid = scratch.blob(&lock.to_bytes()?)?;
    let mut entries = ours.clone();
    entries.insert(LOCK.into(), TreeEntry::of(Mode::File, oid));
    let after = steps::tree_of(scratch, ours, &entries)?;
    let mut notes = found.notes;
    notes.extend(left_over(ours));
    let steps = steps::between(ours, &entries, &[]);
    preflight::expect_room(at, &steps)?;
    let plan = Plan {
        after,
        files: files(&found.stored, ours),
        notes,
        steps,
        ..Plan::new(at, source)
    };
    Ok(Planned {
        plan,
        stages: Vec::new(),
        entries,
        lock,
        kind: planner::MigrationKind::Adopt,
    })
}

/// The upstream that was named; else the official repository or this tool's, whichever more files
/// are as it gave them.
fn source(
    git: &Git,
    at: &Preflight,
    scratch: &Scratch,
    args: &Args,
    revision: &str,
) -> Result<(Upstream, Found)> {
    let search = |address| search(git, at, scratch, revision, address).map_err(named_by_adopt);
    if let Some(address) = args.upstream.as_deref() {
        return search(Some(address));
    }
    let official = args.official.as_deref();
    let (count, most) = Official::open(git, official, at)?.has_of(at.ours.entries());
    let own = (!most).then(|| search(None));
    match own {
        Some(Ok(own)) if own.1.same >= count => Ok(own),
        Some(Err(error)) if count == 0 => Err(unlike_the_official(error)),
        _ => search(Some(official.unwrap_or(ADDRESS))),
    }
}

/// Opens an upstream, and finds the revision of it that the files came from.
fn search(
    git: &Git,
    at: &Preflight,
    scratch: &Scratch,
    revision: &str,
    address: Option<&str>,
) -> Result<(Upstream, Found)> {
    let request = upstream::Request {
        address,
        // A directory without git has no revisions; it is what it is.
        rev: (revision != ".").then_some(revision),
        locked: None,
        repository: &at.repo.top,
    };
    let upstream = upstream::open(git, &request)?;
    let found = find(&upstream, scratch, at.ours.entries())?;
    Ok((upstream, found))
}

/// What a modern worker still has of the old layout.
fn left_over(ours: &Entries) -> Option<String> {
    let is_there = |path: &&&str| ours.keys().any(|file| file.is_within(path));
    let left: Vec<&str> = layout::RETIRED.iter().filter(is_there).copied().collect();
    (!left.is_empty()).then(|| {
        format!(
            "{} is left of the legacy layout, and the modern worker does not read it: take it \
             out with `git rm -r`, or move it",
            left.join(", ")
        )
    })
}

/// A refusal with the option that names the revision here: `--rev` does not go with `--adopt`.
fn named_by_adopt(mut error: anyhow::Error) -> anyhow::Error {
    if let Some(refusal) = error.downcast_mut::<UserError>()
        // A name that mentions both says which is for what.
        && !refusal.help.contains("--adopt")
    {
        refusal.help = refusal.help.replace("--rev", "--adopt");
    }
    error
}

/// A refusal that says where else was looked.
fn unlike_the_official(mut error: anyhow::Error) -> anyhow::Error {
    if let Some(refusal) = error.downcast_mut::<UserError>() {
        refusal.what += ", and the files here are those of no revision of the official repository";
    }
    error
}

/// The revision that the next run is to follow: a branch or a ref, but not a commit, which would
/// never change.
fn followed(revision: &str, commit: Option<&str>) -> Option<String> {
    // Git's own abbreviations have seven digits or more; a branch may well be called `dead`.
    let is_commit = revision.len() >= 7
        && commit.is_some_and(|commit| commit.starts_with(&revision.to_lowercase()));
    let is_default = revision == "HEAD" || revision == ".";
    (!is_commit && !is_default).then(|| revision.to_owned())
}

struct Found {
    /// How many files are here as it gave them.
    same: usize,
    commit: Option<String>,
    stored: Stored,
    notes: Vec<String>,
}

/// Of the named revision and those before it, takes the one with the most equal files, the newest
/// of several.
fn find(upstream: &Upstream, scratch: &Scratch, ours: &Entries) -> Result<Found> {
    let named = merge::store(scratch, &upstream.collect()?)?;
    let UpstreamSource {
        address,
        commit: read,
        shape,
        ..
    } = &upstream.source;
    let total = named.entries.len();
    let mut best = (same_files(&named.entries, ours), read.clone(), named);
    // Revisions with equal worker files are looked at once.
    let mut seen: BTreeSet<Vec<(RepoPath, Oid)>> = BTreeSet::new();
    for commit in upstream.history()? {
        if best.0 == total {
            break;
        }
        let Some(tree) = upstream.at(&commit)? else {
            break;
        };
        if Shape::of(tree.entries()) != Some(*shape) {
            continue;
        }
        let key = fingerprint(tree.entries(), *shape);
        if !seen.insert(key) {
            continue;
        }
        upstream.fetch_files(&tree)?;
        // An older revision may be incomplete or unreadable.
        let Ok(bundle) = incoming::collect(&tree, *shape, |_| Ok(())) else {
            continue;
        };
        let stored = merge::store(scratch, &bundle)?;
        let same = same_files(&stored.entries, ours);
        if same > best.0 {
            best = (same, Some(commit), stored);
        }
    }
    let (same, commit, stored) = best;
    let short = |commit: &Option<String>| {
        commit.as_deref().map_or_else(String::new, |commit| {
            format!(" {}", &commit[..commit.len().min(10)])
        })
    };
    let mut notes = upstream.notes.clone();
    notes.push(format!(
        "{same} of {} files are as upstream{} gave them",
        stored.entries.len(),
        short(&commit)
    ));
    if commit != *read {
        notes.push(format!(
            "that is an older revision than{}, which was named",
            short(read)
        ));
    }
    if same == 0 {
        bail!(UserError::new(
            format!("no file here is as {address} gave it in any revision"),
            "name the upstream that the files came from with --upstream"
        ));
    }
    Ok(Found {
        same,
        commit,
        stored,
        notes,
    })
}

fn fingerprint(entries: &Entries, shape: Shape) -> Vec<(RepoPath, Oid)> {
    entries
        .iter()
        .filter(|(path, _)| shape.destination(path).is_some())
        .filter_map(|(path, entry)| Some((path.clone(), entry.oid.clone()?)))
        .collect()
}

/// How many of upstream's files are here as it gave them.
fn same_files(theirs: &Entries, ours: &Entries) -> usize {
    theirs
        .iter()
        .filter(|(path, theirs)| ours.get(path).is_some_and(|ours| ours.oid == theirs.oid))
        .count()
}

fn files(stored: &Stored, ours: &Entries) -> Vec<Arrival> {
    stored
        .entries
        .iter()
        .map(|(path, theirs)| Arrival {
            path: path.clone(),
            from: stored
                .locked
                .get(path)
                .map_or_else(|| path.clone(), |file| file.from.clone()),
            renamed_from: None,
            what: match ours.get(path) {
                None => What::RemovedHere,
                Some(ours) if ours.oid == theirs.oid => What::Unchanged,
                Some(_) => What::ChangedHere,
            },
        })
        .collect()
}
