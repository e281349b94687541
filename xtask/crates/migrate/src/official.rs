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

/// The value of `--carry` that has the base looked for.
pub const AUTO: &str = "auto";

/// How many digits name a commit.
const MIN_NAME: usize = 7;

/// The official repository's revisions.
pub struct Official {
    git: Git,
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
    pub files: Entries,
    /// The content of these files.
    pub tree: GitTree,
    /// How sure it is that this is the one.
    pub notes: Vec<String>,
}

impl Official {
    /// The repository that was named, or what is known of the official one.
    pub fn open(git: &Git, address: Option<&str>, at: &Preflight) -> Result<Self> {
        let Some(address) = address else {
            return Ok(Self {
                git: git.clone(),
                revisions: parse_revisions(include_str!("../../../data/official.json"))?,
                cut: None,
                opened: None,
            });
        };
        let here = std::env::current_dir().context("finding the current folder")?;
        let (address, place) = locate(address, &here, &at.repo.top)?;
        let (Some(head), _, Some(remote)) = open_place(git, &place, None)? else {
            bail!(UserError::new(
                format!("{address} is no git repository, so it has no revisions"),
                "name the repository that this fork came from with --official URL|DIR"
            ));
        };
        let mut revisions = Vec::new();
        let (history, cut) = remote.history(&head)?;
        for commit in history {
            let commit = Oid(commit);
            let files = remote.tree(&commit, &address)?.entries().clone();
            revisions.push(Revision::new(commit, files));
        }
        Ok(Self {
            git: git.clone(),
            revisions,
            cut,
            opened: Some((address, remote)),
        })
    }

    /// The newest official revision of the legacy layout that HEAD descends from, or else the one
    /// that most files are the same as.
    pub fn base(&self, at: &Preflight, scratch: &Scratch) -> Result<OfficialBase> {
        if let Some(mut base) = self.local_base(at)? {
            let commit = base.commit.short();
            base.notes = vec![format!(
                "this fork started from the official worker at {commit}"
            )];
            return Ok(base);
        }
        let cut = self.cut.clone().into_iter().chain(shallow(at)?);
        if let Some(alike) = self.most_similar(at.ours.entries(), Layout::Legacy) {
            let mut base = self.fetched(at, scratch, alike.revision)?;
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
    pub fn named(&self, at: &Preflight, scratch: &Scratch, revision: &str) -> Result<OfficialBase> {
        let here = at.repo.commit(revision)?;
        if let Some(commit) = &here
            && at.repo.descends(&at.head, commit)?
        {
            let mut base = OfficialBase::named(at, revision)?;
            base.notes.extend(self.passed_over(at, &base)?);
            return Ok(base);
        }
        let name = here.map_or_else(|| revision.to_lowercase(), |commit| commit.0);
        let is_named = |it: &&Revision| it.commit.0.starts_with(&name) && it.is(Layout::Legacy);
        let mut known = self.revisions.iter().filter(|_| name.len() >= MIN_NAME);
        match known.find(is_named) {
            None => OfficialBase::named(at, revision),
            Some(known) => match self.newest_ancestor(at)? {
                None => self.fetched(at, scratch, known),
                Some(newest) => bail!(no_base(
                    revision,
                    &format!(
                        "is no ancestor of HEAD, which has the official {} as its newest, so this \
                         fork did not start from it",
                        newest.commit.short()
                    )
                )),
            },
        }
    }

    /// What to say where another commit than the newest official ancestor is named: changes between
    /// the two count on the wrong side.
    fn passed_over(&self, at: &Preflight, base: &OfficialBase) -> Result<Option<String>> {
        let newest = self.newest_ancestor(at)?;
        let Some(newest) = newest.filter(|it| it.is(Layout::Legacy) && it.commit != base.commit)
        else {
            return Ok(None);
        };
        let files = changed(&newest.files, &base.files);
        let names: Vec<String> = files.iter().map(ToString::to_string).collect();
        let [named, official] = [&base.commit, &newest.commit].map(Oid::short);
        let side = if at.repo.descends(&base.commit, &newest.commit)? {
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
    pub fn local_base(&self, at: &Preflight) -> Result<Option<OfficialBase>> {
        let newest = self.newest_ancestor(at)?;
        let legacy = newest.filter(|revision| revision.is(Layout::Legacy));
        let base = legacy.map(|revision| OfficialBase::of_commit(at, &revision.commit));
        base.transpose()
    }

    fn newest_ancestor(&self, at: &Preflight) -> Result<Option<&Revision>> {
        let revisions = self.revisions.iter();
        let known: BTreeMap<&str, &Revision> = revisions.map(|it| (&*it.commit.0, it)).collect();
        let call = at.repo.call().args(["rev-list", "--topo-order"]);
        let listed = call.arg(&at.head.0).text()?;
        Ok(listed.lines().find_map(|commit| known.get(commit)).copied())
    }

    pub fn most_similar(&self, ours: &Entries, layout: Layout) -> Option<Likeness<'_>> {
        most_similar(&self.revisions, ours, layout)
    }

    /// How many files of one official revision a modern worker has, and whether that is most of
    /// them.
    pub fn count_of_best(&self, ours: &Entries) -> (usize, bool) {
        let alike = self.most_similar(ours, Layout::Modern);
        alike.map_or((0, false), |Likeness { revision, same, .. }| {
            (same, same * 2 > revision.files.len())
        })
    }

    /// A revision with the content of its files, which are fetched where one is not here.
    fn fetched(
        &self,
        at: &Preflight,
        scratch: &Scratch,
        revision: &Revision,
    ) -> Result<OfficialBase> {
        let oids = revision.files.values().filter_map(|it| it.oid.as_ref());
        let mut files = revision.files.clone();
        if is_here(at, oids)? {
            for (path, entry) in &revision.others {
                if is_here(at, &entry.oid)? {
                    files.insert(path.clone(), entry.clone());
                }
            }
        } else {
            let commit = &revision.commit;
            let fetched;
            let (address, remote) = if let Some((address, remote)) = &self.opened {
                (&**address, remote)
            } else {
                let opened = Remote::fetched(&self.git, OFFICIAL_ADDRESS, Some(&commit.0));
                fetched = opened.map_err(out_of_reach)?.0;
                (OFFICIAL_ADDRESS, &fetched)
            };
            files.extend(revision.others.clone());
            let oids = files.values().filter_map(|it| it.oid.as_ref());
            remote.prefetch(&oids.collect::<Vec<_>>())?;
            let theirs = remote.tree(commit, address)?;
            let contents = files.keys().map(|path| theirs.read(path));
            let contents: Vec<Vec<u8>> = contents.collect::<Result<_>>()?;
            scratch.blobs(contents.iter().map(Vec::as_slice))?;
        }
        Ok(OfficialBase {
            commit: revision.commit.clone(),
            tree: at.tree(&files, revision.commit.short()),
            files,
            notes: Vec::new(),
        })
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

fn no_base(revision: &str, problem: &str) -> UserError {
    UserError::new(
        format!("{revision} {problem}"),
        "name the commit of the legacy worker that this fork started from: an ancestor of HEAD, or \
         one of the official repository, which `--carry auto` looks for",
    )
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

#[allow(clippy::needless_pass_by_value, reason = "as map_err hands it on")]
fn out_of_reach(error: anyhow::Error) -> anyhow::Error {
    UserError::new(
        format!("what this fork started from is not here, and {error:#}"),
        "name another copy of the official repository with --official URL|DIR",
    )
    .into()
}

impl OfficialBase {
    fn of_commit(at: &Preflight, commit: &Oid) -> Result<Self> {
        let files = at.repo.entries(commit)?;
        Ok(Self {
            commit: commit.clone(),
            tree: at.tree(&files, commit.short()),
            files,
            notes: Vec::new(),
        })
    }

    /// The revision that a person names.
    pub fn named(at: &Preflight, revision: &str) -> Result<Self> {
        let commit = at.repo.commit(revision)?.ok_or_else(|| {
            UserError::new(
                format!("there is no revision {revision} here"),
                "name the commit of the legacy worker that this fork started from: one of the official \
                 repository is fetched, another has to be here; `--carry auto` looks for it",
            )
        })?;
        let base = Self::of_commit(at, &commit)?;
        let problem = if !base.files.keys().any(layout::is_retired) {
            format!("has none of {}", layout::RETIRED.join(", "))
        } else if commit == at.head {
            "is HEAD itself, so nothing has changed since".to_owned()
        } else if !at.repo.descends(&at.head, &commit)? {
            "is no ancestor of HEAD, so this fork did not start from it".to_owned()
        } else {
            return Ok(base);
        };
        bail!(no_base(revision, &problem))
    }

    /// What the upstream that a lock records gave last; `None` where its files are not here.
    pub fn locked(at: &Preflight, origin: &Origin) -> Result<Option<Self>> {
        let oids = origin.files.values().map(LockedFile::rendered);
        if !is_here(at, oids)? {
            return Ok(None);
        }
        let commit = origin.commit.clone().unwrap_or_default();
        // The lock names no README and no bake file; where the commit is here, it has them.
        let known = match origin.shape {
            Shape::Root if !commit.is_empty() => at.repo.commit(&commit)?,
            _ => None,
        };
        let mut files = known.map_or(Ok(Entries::new()), |commit| at.repo.entries(&commit))?;
        files.extend(origin.entries());
        Ok(Some(Self {
            commit: Oid(commit),
            tree: at.tree(&files, "upstream"),
            files,
            notes: Vec::new(),
        }))
    }

    /// The worker's files that are not here as the base has them.
    pub fn changed(&self, ours: &Entries) -> Vec<RepoPath> {
        changed(&self.files, ours)
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
    include_str!("../../../data/official.json").contains(commit) && commit.len() >= 40
}
