//! The official repository, which forks come from, and the revision that a fork started from. Its
//! commits and the hashes of its files are known without a network; what a fork lacks of them is
//! fetched.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use super::address::OFFICIAL_ADDRESS;
use super::preflight::Preflight;
use super::remote::Remote;
use super::revisions::{Likeness, Revision, is_workers, most_similar, parse_revisions};
use super::upstream::{locate, open_place};
use xtask_core::git::{Git, GitTree, Scratch};
use xtask_core::layout::{self, Layout, Shape};
use xtask_core::lock::{LockedFile, Origin};
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Oid, RepoPath, Tree, differences};

/// The official repository's commits, with the hashes of their files.
const LIST: &str = include_str!("../../../data/official.json");

/// The value of `--carry` that has the base looked for.
const AUTO: &str = "auto";

/// How many digits name a commit.
const MIN_NAME: usize = 7;

/// The official repository's revisions, for the repository at hand.
pub struct Official<'a> {
    git: &'a Git,
    at: &'a Preflight,
    revisions: Vec<Revision>,
    /// What to say where these are not all.
    cut: Option<String>,
    /// Where its files come from, if that is open; by default it is not asked before they are
    /// needed.
    opened: Option<(String, Remote)>,
}

/// What a fork started from.
pub struct OfficialBase {
    pub commit: Oid,
    /// All of its files that are known.
    pub tree: GitTree,
    /// How sure it is that this is the one.
    pub notes: Vec<String>,
}

impl<'a> Official<'a> {
    /// The repository that was named, or what is known of the official one.
    pub fn open(git: &'a Git, address: Option<&str>, at: &'a Preflight) -> Result<Self> {
        let mut official = Self {
            git,
            at,
            revisions: Vec::new(),
            cut: None,
            opened: None,
        };
        let Some(address) = address else {
            official.revisions = parse_revisions(LIST)?;
            return Ok(official);
        };
        let here = std::env::current_dir().context("finding the current folder")?;
        let (address, place) = locate(address, &here, &at.repo.top)?;
        let (Some(head), _, Some(remote)) = open_place(git, &place, None)? else {
            bail!(UserError::new(
                format!("{address} is no git repository, so it has no revisions"),
                "name the repository that this fork came from with --official URL|DIR"
            ));
        };
        let (history, cut) = remote.history(&head)?;
        for commit in history {
            let commit = Oid(commit);
            let files = remote.tree(&commit, &address)?.entries().clone();
            official.revisions.push(Revision::new(commit, files));
        }
        official.cut = cut;
        official.opened = Some((address, remote));
        Ok(official)
    }

    /// What a legacy fork started from: the revision that `carry` names, or the newest official one in
    /// its history. Without `carry`, nothing is fetched.
    pub fn base(&self, scratch: &Scratch, carry: Option<&str>) -> Result<Option<OfficialBase>> {
        match carry {
            None => self.local_base(),
            Some(AUTO) => self.likeliest(scratch).map(Some),
            Some(revision) => self.named(scratch, revision).map(Some),
        }
    }

    /// The newest official revision of the legacy layout that HEAD descends from, or else the one
    /// that most files are the same as.
    fn likeliest(&self, scratch: &Scratch) -> Result<OfficialBase> {
        if let Some(mut base) = self.local_base()? {
            let commit = base.commit.short();
            base.notes = vec![format!(
                "this fork started from the official worker at {commit}"
            )];
            return Ok(base);
        }
        let cut = self.cut.clone().into_iter().chain(shallow(self.at)?);
        if let Some(alike) = self.most_similar(Layout::Legacy) {
            let mut base = self.fetched(scratch, alike.revision)?;
            base.notes = [alike.note()].into_iter().chain(cut).collect();
            return Ok(base);
        }
        let cut: String = cut.map(|cut| format!("; {cut}")).collect();
        bail!(UserError::new(
            format!(
                "no official revision is an ancestor of HEAD or has the same files, so what this \
                 fork started from is not known{cut}"
            ),
            "name it with `--carry BASE`, a commit of the official repository, or the repository that \
             it came from with `--official URL|DIR`"
        ))
    }

    /// The revision that a person names. An official one need not be here; it need not be an ancestor
    /// only where none is, as a fork that was made by copying files has another history.
    fn named(&self, scratch: &Scratch, revision: &str) -> Result<OfficialBase> {
        let at = self.at;
        let here = at.repo.commit(revision)?;
        let is_ancestor = match &here {
            Some(commit) => at.repo.descends(&at.head, commit)?,
            None => false,
        };
        let name = here.clone();
        let name = name.map_or_else(|| revision.to_lowercase(), |commit| commit.0);
        let is_named = |it: &&Revision| {
            name.len() >= MIN_NAME && it.commit.0.starts_with(&name) && it.is(Layout::Legacy)
        };
        let known = self.revisions.iter().find(is_named);
        let problem = if let Some(known) = known.filter(|_| !is_ancestor) {
            let Some(newest) = self.newest_ancestor()? else {
                return self.fetched(scratch, known);
            };
            format!(
                "is no ancestor of HEAD, which has the official {} as its newest, so this fork did \
                 not start from it",
                newest.commit.short()
            )
        } else {
            let commit = here.ok_or_else(|| {
                UserError::new(
                    format!("there is no revision {revision} here"),
                    "name the commit of the legacy worker that this fork started from: one of the \
                     official repository is fetched, another has to be here; `--carry auto` looks \
                     for it",
                )
            })?;
            let mut base = OfficialBase::new(at, commit.clone(), &at.repo.entries(&commit)?);
            if !base.tree.entries().keys().any(layout::is_retired) {
                format!("has none of {}", layout::RETIRED.join(", "))
            } else if commit == at.head {
                "is HEAD itself, so nothing has changed since".to_owned()
            } else if !is_ancestor {
                "is no ancestor of HEAD, so this fork did not start from it".to_owned()
            } else {
                base.notes.extend(self.passed_over(&base)?);
                return Ok(base);
            }
        };
        bail!(UserError::new(
            format!("{revision} {problem}"),
            "name the commit of the legacy worker that this fork started from: an ancestor of HEAD, \
             or one of the official repository, which `--carry auto` looks for",
        ))
    }

    /// What to say where another commit than the newest official ancestor is named: changes between
    /// the two count on the wrong side.
    fn passed_over(&self, base: &OfficialBase) -> Result<Option<String>> {
        let newest = self.newest_ancestor()?;
        let Some(newest) = newest.filter(|it| it.is(Layout::Legacy) && it.commit != base.commit)
        else {
            return Ok(None);
        };
        let files = changed(&newest.files, base.tree.entries());
        let names: Vec<String> = files.iter().map(ToString::to_string).collect();
        let [named, official] = [&base.commit, &newest.commit].map(Oid::short);
        let side = if self.at.repo.descends(&base.commit, &newest.commit)? {
            "the base's, and not as this fork's own"
        } else {
            "this fork's own, and not as the official worker's"
        };
        let what = names.join(", ");
        Ok((!names.is_empty()).then(|| {
            format!(
                "changes between the official {official} and {named} count as {side}: {what}. \
                 `--carry auto` takes {official}"
            )
        }))
    }

    /// The base, if nothing has to be fetched for it.
    pub fn local_base(&self) -> Result<Option<OfficialBase>> {
        let newest = self.newest_ancestor()?;
        let Some(Revision { commit, .. }) = newest.filter(|it| it.is(Layout::Legacy)) else {
            return Ok(None);
        };
        let files = self.at.repo.entries(commit)?;
        Ok(Some(OfficialBase::new(self.at, commit.clone(), &files)))
    }

    fn newest_ancestor(&self) -> Result<Option<&Revision>> {
        let revisions = self.revisions.iter();
        let known: BTreeMap<&str, &Revision> = revisions.map(|it| (&*it.commit.0, it)).collect();
        let call = self.at.repo.git("rev-list --topo-order");
        let listed = call.arg(&self.at.head.0).text()?;
        Ok(listed.lines().find_map(|commit| known.get(commit)).copied())
    }

    pub fn most_similar(&self, layout: Layout) -> Option<Likeness<'_>> {
        most_similar(&self.revisions, self.at.ours.entries(), layout)
    }

    /// A revision with the content of its files, which are fetched where one is not here.
    fn fetched(&self, scratch: &Scratch, revision: &Revision) -> Result<OfficialBase> {
        let at = self.at;
        let Revision { commit, others, .. } = revision;
        let mut files = revision.files.clone();
        if is_here(at, files.values().filter_map(|it| it.oid.as_ref()))? {
            for (path, entry) in others {
                if is_here(at, &entry.oid)? {
                    files.insert(path.clone(), entry.clone());
                }
            }
        } else {
            let (address, remote) = if let Some(opened) = self.opened.clone() {
                opened
            } else {
                let fetched = Remote::fetched(self.git, OFFICIAL_ADDRESS, Some(&commit.0));
                let (remote, _) = fetched.map_err(|error| {
                    UserError::new(
                        format!("what this fork started from is not here, and {error:#}"),
                        "name another copy of the official repository with --official URL|DIR",
                    )
                })?;
                (OFFICIAL_ADDRESS.to_owned(), remote)
            };
            files.extend(others.clone());
            let oids = files.values().filter_map(|it| it.oid.as_ref());
            remote.prefetch(&oids.collect::<Vec<_>>())?;
            let theirs = remote.tree(commit, &address)?;
            let contents = files.keys().map(|path| theirs.read(path));
            let contents: Vec<Vec<u8>> = contents.collect::<Result<_>>()?;
            scratch.blobs(contents.iter().map(Vec::as_slice))?;
        }
        Ok(OfficialBase::new(at, commit.clone(), &files))
    }
}

/// What to say where the history of a clone is cut, so that the base may be missing in it.
pub fn shallow(at: &Preflight) -> Result<Option<String>> {
    Ok(at.repo.is_shallow()?.then(|| {
        "the history of this clone is cut: `git fetch --unshallow` brings the rest, in which the \
         base may be found"
            .to_owned()
    }))
}

/// Whether this repository has all of some objects.
fn is_here<'a>(at: &Preflight, oids: impl IntoIterator<Item = &'a Oid>) -> Result<bool> {
    for oid in oids {
        if at.objects.blob(oid)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

impl OfficialBase {
    fn new(at: &Preflight, commit: Oid, files: &Entries) -> Self {
        Self {
            tree: at.tree(files, commit.short()),
            commit,
            notes: Vec::new(),
        }
    }

    /// What the upstream that a lock records gave last; `None` where its files are not here.
    pub fn locked(at: &Preflight, origin: &Origin) -> Result<Option<Self>> {
        let oids = origin.files.values().map(LockedFile::rendered);
        if !is_here(at, oids)? {
            return Ok(None);
        }
        // The lock names no README and no bake file; where the commit is here, it has them.
        let known = match (origin.shape, &origin.commit) {
            (Shape::Root, Some(commit)) => at.repo.commit(commit)?,
            _ => None,
        };
        let mut files = known.map_or(Ok(Entries::new()), |commit| at.repo.entries(&commit))?;
        files.extend(origin.entries());
        Ok(Some(Self {
            commit: Oid(origin.commit.clone().unwrap_or_default()),
            tree: at.tree(&files, "upstream"),
            notes: Vec::new(),
        }))
    }

    /// The worker's files that are not here as the base has them.
    pub fn changed(&self, ours: &Entries) -> Vec<RepoPath> {
        changed(self.tree.entries(), ours)
    }
}

/// The worker's files that are not here as some revision has them.
pub fn changed(theirs: &Entries, ours: &Entries) -> Vec<RepoPath> {
    let changed = differences(theirs, ours).into_iter();
    let changed = changed.map(|(path, ..)| path).filter(|it| is_workers(it));
    changed.cloned().collect()
}

/// Whether a commit is one of the official repository's.
pub fn is_official(commit: &str) -> bool {
    LIST.contains(commit) && commit.len() >= 40
}
