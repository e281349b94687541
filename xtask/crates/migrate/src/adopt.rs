//! `migrate --adopt`: a lock for a worker that is modern already and has none. It finds the
//! upstream revision that the worker's files came from and writes that down; nothing else
//! changes, and the next migrate is a merge.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::address::OFFICIAL_ADDRESS;
use super::incoming;
use super::merge;
use super::official::Official;
use super::plan::{Arrival, Plan, Planned, Planner, UpstreamSource, What};
use super::revisions::Likeness;
use transaction::steps;
use transaction::targets::check_targets_free;
use xtask_core::layout::{self, LOCK, Layout, Shape};
use xtask_core::lock::{Lock, LockedFile, Origin};
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Mode, Oid, RepoPath, Tree, TreeEntry, short};

impl Planner<'_> {
    /// Makes the plan that writes the lock of a modern worker.
    pub fn adopt(&self, revision: &str) -> Result<Planned> {
        let (at, scratch) = (self.at, self.scratch);
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
        let Found {
            mut source,
            mut origin,
            mut notes,
            ..
        } = self.find_source(revision)?;
        source.rev = rev_to_follow(revision, source.commit.as_deref());
        source.commit.clone_from(&origin.commit);
        origin.rev.clone_from(&source.rev);
        let files = files(&origin, ours);
        merge::record(&mut origin, ours);
        let lock = Lock::new(origin, None);
        let oid = scratch.blob(&lock.to_bytes()?)?;
        let mut entries = ours.clone();
        entries.insert(LOCK.into(), TreeEntry::of(Mode::File, oid));
        notes.extend(left_over(ours));
        let steps = steps::changes_between(ours, &entries, &[]);
        check_targets_free(&at.repo, &steps, ours)?;
        let plan = Plan {
            after: steps::write_tree(scratch, ours, &entries)?,
            files,
            notes,
            steps,
            ..Plan::new(at, source)
        };
        Ok(Planned {
            plan,
            stages: Vec::new(),
            entries,
            lock,
        })
    }

    /// The upstream that was named; else the official repository or this tool's, whichever more
    /// files are as it gave them.
    fn find_source(&self, revision: &str) -> Result<Found> {
        let named = self.args.upstream.as_deref();
        if named.is_some() {
            return self.search(revision, named);
        }
        let official = self.args.official.as_deref();
        let known = Official::open(self.git, official, self.at)?;
        let best = known.most_similar(Layout::Modern);
        let (count, is_most) = best.map_or((0, false), |Likeness { revision, same, .. }| {
            (same, same * 2 > revision.files.len())
        });
        match (!is_most).then(|| self.search(revision, None)) {
            Some(Ok(own)) if own.same >= count => Ok(own),
            Some(Err(error)) if count == 0 => Err(error),
            _ => self.search(revision, Some(official.unwrap_or(OFFICIAL_ADDRESS))),
        }
    }

    /// Of the named revision of an upstream and those before it, takes the one with the most equal
    /// files. Of several it takes one that is in this worker's own history, and then the newest: the
    /// changes of another would pass for the owner's.
    fn search(&self, revision: &str, address: Option<&str>) -> Result<Found> {
        let (at, ours) = (self.at, self.at.ours.entries());
        // Without the commit here, it is none of this worker's.
        let is_own = |commit: &str| {
            let commit = Oid(commit.to_owned());
            at.repo.descends(&at.head, &commit).unwrap_or(false)
        };
        // `.` names a directory without git, which has no revisions.
        let rev = (revision != ".").then_some(revision);
        let upstream = self.open_upstream(address, rev, None)?;
        let source = &upstream.source;
        let store = |bundle| merge::store(self.scratch, &bundle, source.clone());
        let mut origin = store(upstream.collect()?)?;
        let mut same = count_same(&origin, ours);
        let total = origin.files.len();
        let mut has_own = origin.commit.as_deref().is_some_and(is_own);
        // Revisions with the same worker files need only one look.
        let mut seen: BTreeSet<Vec<(RepoPath, Oid)>> = BTreeSet::new();
        let (history, cut) = upstream.history()?;
        for commit in history {
            if same == total {
                break;
            }
            let Some(tree) = upstream.at(&commit)? else {
                break;
            };
            let entries = tree.entries();
            let is_better =
                |count: usize| count > same || count == same && !has_own && is_own(&commit);
            if Shape::of(entries) != Some(source.shape)
                || !seen.insert(fingerprint(entries, source.shape))
                || !is_better(max_same(entries, source.shape, ours))
            {
                continue;
            }
            upstream.fetch_files(&tree)?;
            // An older revision may be incomplete or unreadable.
            let Ok(bundle) = incoming::collect(&tree, source.shape, |_| Ok(())) else {
                continue;
            };
            let older = store(bundle)?;
            let count = count_same(&older, ours);
            if is_better(count) {
                (same, origin) = (count, older);
                has_own = is_own(&commit);
                origin.commit = Some(commit);
            }
        }
        if same == 0 {
            let cut = cut.map_or(String::new(), |cut| format!("; {cut}"));
            bail!(UserError::new(
                format!(
                    "no file here is as {} gave it in any revision{cut}",
                    source.address
                ),
                format!(
                    "name the upstream that the files came from with --upstream; the official one \
                     is {OFFICIAL_ADDRESS}"
                )
            ));
        }
        let mut notes = told(&origin, source, same, ours);
        notes.extend(cut.filter(|_| same < total));
        Ok(Found {
            source: upstream.source,
            same,
            origin,
            notes,
        })
    }
}

/// A revision that a worker's files may have come from.
struct Found {
    /// The upstream as it was named.
    source: UpstreamSource,
    /// How many files are here as it gave them.
    same: usize,
    origin: Origin,
    notes: Vec<String>,
}

/// What a modern worker still has of the old layout.
fn left_over(ours: &Entries) -> Option<String> {
    let is_there = |path: &&&str| ours.keys().any(|file| file.is_within(path));
    let left: Vec<&str> = layout::RETIRED.iter().filter(is_there).copied().collect();
    (!left.is_empty()).then(|| {
        let (names, paths) = (left.join(", "), left.join(" "));
        format!(
            "{names} is left of the legacy layout, and the modern worker does not read it: take it \
             out with `git rm -r {paths}`, or move it"
        )
    })
}

/// The revision that the next run is to follow: a branch or a ref, but not a commit, which would
/// never change.
fn rev_to_follow(revision: &str, commit: Option<&str>) -> Option<String> {
    // Git's own abbreviations have seven digits or more; a branch may well be called `dead`.
    let is_commit = revision.len() >= 7
        && commit.is_some_and(|commit| commit.starts_with(&revision.to_lowercase()));
    let is_default = revision == "HEAD" || revision == ".";
    (!is_commit && !is_default).then(|| revision.to_owned())
}

/// What to say of the revision that was found.
fn told(origin: &Origin, source: &UpstreamSource, same: usize, ours: &Entries) -> Vec<String> {
    let short = |commit: &Option<String>| {
        let commit = commit.as_deref();
        commit.map_or_else(String::new, |commit| format!(" {}", short(commit)))
    };
    let ours = files(origin, ours).into_iter();
    let other = ours.filter(|file| file.what != What::Unchanged);
    let other: Vec<String> = other.map(|file| file.path.to_string()).collect();
    let mut notes = vec![format!(
        "{same} of {} files are as upstream{} gave them",
        origin.files.len(),
        short(&origin.commit)
    )];
    if !other.is_empty() {
        notes.push(format!("changed or removed here: {}", other.join(", ")));
    }
    if origin.commit != source.commit {
        notes.push(format!(
            "that is an older revision than{}, which {} names there",
            short(&source.commit),
            source.rev.as_deref().unwrap_or("HEAD")
        ));
    }
    notes
}

fn fingerprint(entries: &Entries, shape: Shape) -> Vec<(RepoPath, Oid)> {
    let named = entries.iter().filter_map(|(path, entry)| {
        shape.destination(path)?;
        Some((path.clone(), entry.oid.clone()?))
    });
    named.collect()
}

/// How many of a revision's files could be here as it gives them: those that are rewritten are
/// not known before they are read.
fn max_same(entries: &Entries, shape: Shape, ours: &Entries) -> usize {
    let could = |(path, entry): &(&RepoPath, &TreeEntry)| {
        shape.destination(path).is_some_and(|to| {
            let is_rewritten = incoming::rewriter(&to, shape).is_some();
            let ours = ours.get(&to);
            ours.is_some_and(|ours| is_rewritten || ours.oid == entry.oid)
                && layout::kept_out(&to).is_none()
        })
    };
    entries.iter().filter(could).count()
}

/// How many of upstream's files are here as it gave them.
fn count_same(origin: &Origin, ours: &Entries) -> usize {
    let files = files(origin, ours).into_iter();
    files.filter(|it| it.what == What::Unchanged).count()
}

fn files(origin: &Origin, ours: &Entries) -> Vec<Arrival> {
    let arrival = |(path, file): (&RepoPath, &LockedFile)| Arrival {
        path: path.clone(),
        from: file.from.clone(),
        what: match ours.get(path).map(|ours| ours.oid.as_ref()) {
            None => What::RemovedHere,
            Some(ours) if ours == Some(file.rendered()) => What::Unchanged,
            Some(_) => What::ChangedHere,
        },
    };
    origin.files.iter().map(arrival).collect()
}
