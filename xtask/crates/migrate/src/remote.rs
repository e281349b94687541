//! Reads an upstream through a git directory of our own: it borrows the objects of a local
//! repository, or is a partial clone of a remote one.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::address::OFFICIAL_ADDRESS;
use xtask_core::git::{Call, Git, GitTree, Objects, foreign, refuse_option};
use xtask_core::outcome::{UsageError, UserError};
use xtask_core::output;
use xtask_core::progress;
use xtask_core::scratch_folder::ScratchFolder;
use xtask_core::tree::{Entries, Oid};

#[derive(Clone)]
pub struct Remote {
    git: Git,
    /// The git directory, which is there as long as this or a tree that is read from it.
    dir: Arc<ScratchFolder>,
    /// Whether what is not here yet can be fetched: it is no repository on this machine.
    can_fetch: bool,
    objects: Arc<Objects>,
}

impl Remote {
    /// Reads a revision of a git repository on this machine.
    pub fn local(git: &Git, path: &Path, rev: Option<&str>) -> Result<(Self, Oid)> {
        let dir = ScratchFolder::new("upstream")?;
        foreign::borrow(git, path, dir.path())?;
        let remote = Self::new(git, dir, false);
        let revision = rev.unwrap_or("HEAD");
        let commit = remote.resolve(revision)?.ok_or_else(|| {
            UserError::new(
                format!("the upstream {} has no revision {revision}", path.display()),
                "name a branch, a tag or a commit that it has; a partial clone may lack the commit",
            )
        })?;
        Ok((remote, commit))
    }

    /// Fetches what is needed of a repository elsewhere: one commit and its folders, no file yet.
    pub fn fetched(git: &Git, url: &str, rev: Option<&str>) -> Result<(Self, Oid)> {
        let wanted = rev.unwrap_or("HEAD");
        check_revision_name(git, wanted)?;
        let dir = ScratchFolder::new("upstream")?;
        foreign::make_git_dir(dir.path(), "sha1")?;
        let remote = Self::new(git, dir, true);
        for (key, value) in [
            ("remote.upstream.url", url),
            ("remote.upstream.promisor", "true"),
            ("remote.upstream.partialCloneFilter", "blob:none"),
            ("core.repositoryFormatVersion", "1"),
            ("extensions.partialClone", "upstream"),
        ] {
            remote.call().args(["config", key, value]).output()?;
        }
        let fetched = remote.fetch_commit(wanted);
        fetched.map_err(|error| {
            let what = format!("{wanted} could not be fetched from {url}: {error:#}");
            let help = "check the address and the revision; a commit is named by all of its digits, \
                        a pull request is refs/pull/N/head";
            let copy = "; without a network, name a copy of that repository: `--official DIR`";
            let copy = if url == OFFICIAL_ADDRESS { copy } else { "" };
            UserError::new(what, format!("{help}{copy}"))
        })?;
        let commit = remote.resolve("FETCH_HEAD")?;
        Ok((remote, commit.context("git fetched no commit")?))
    }

    fn new(git: &Git, dir: ScratchFolder, can_fetch: bool) -> Self {
        let (git, dir) = (git.clone(), Arc::new(dir));
        let (of_git, of_dir) = (git.clone(), Arc::clone(&dir));
        let start = move || reading(&of_git, of_dir.path(), can_fetch);
        Self {
            git,
            dir,
            can_fetch,
            objects: Arc::new(Objects::new(start)),
        }
    }

    /// A call of git that reads what is here.
    fn call(&self) -> Call {
        reading(&self.git, self.dir.path(), self.can_fetch)
    }

    /// A fetch of no files, but those that are asked for. The other side does not fetch in turn.
    fn fetch(&self, option: &str) -> Call {
        let call = foreign::call(&self.git, self.dir.path());
        let call = call.words("fetch --quiet --no-tags");
        call.args([option, "--filter=blob:none"])
    }

    fn resolve(&self, revision: &str) -> Result<Option<Oid>> {
        self.call().object(format!("{revision}^{{commit}}"))
    }

    fn fetch_commit(&self, revision: &str) -> Result<()> {
        let call = self.fetch("--depth=1").args(["upstream", revision]);
        if anstream::stderr().is_terminal() {
            output::tell(&format!("fetching the upstream's {revision}\n"));
        }
        // Git may ask for what logs in.
        progress::clear();
        call.output().map(drop)
    }

    pub fn tree(&self, commit: &Oid, name: &str) -> Result<GitTree> {
        let call = self.call().words("ls-tree -r -z --full-tree");
        let listed = call.arg(&commit.0).finish()?;
        if !listed.ok {
            bail!(incomplete(&listed.message));
        }
        let entries = xtask_core::git::parse_ls_tree(&listed.stdout).map_err(|error| {
            UserError::new(
                format!("the upstream {name} can't be trusted: {error:#}"),
                "name another upstream or revision",
            )
        })?;
        let name = format!("{name} at {}", commit.short());
        Ok(GitTree::new(self.objects.clone(), entries, name))
    }

    /// Fetches the files that will be read in one round. A local repository has them or never will.
    pub fn prefetch(&self, oids: &[&Oid]) -> Result<()> {
        let list: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
        if oids.is_empty() {
            return Ok(());
        }
        if !self.can_fetch {
            let call = self.call().arg("cat-file");
            let text = call.arg("--batch-check=%(objectname)").input(list).text()?;
            return match text.lines().find(|line| line.contains(' ')) {
                Some(missing) => bail!(incomplete(missing)),
                None => Ok(()),
            };
        }
        let call = self.fetch("--no-write-fetch-head");
        let call = call.args(["--stdin", "upstream"]).input(list);
        call.output().map(drop)
    }

    pub fn has(&self, commit: &str) -> Result<bool> {
        let can_fetch = || {
            let checked = check_revision_name(&self.git, commit);
            checked.is_ok() && self.fetch_commit(commit).is_ok()
        };
        Ok(self.resolve(commit)?.is_some() || self.can_fetch && can_fetch())
    }

    /// The commits before one, newest first: all of them, or fewer where they have to be fetched.
    /// With a note where that is not all.
    pub fn history(&self, commit: &str) -> Result<(Vec<String>, Option<String>)> {
        // A revision is looked at in milliseconds.
        const LOCAL: usize = 20_000;
        const FETCHED: usize = 50;
        if self.can_fetch {
            let call = self.fetch(&format!("--depth={FETCHED}"));
            call.args(["upstream", commit]).output()?;
        }
        let call = self.call().arg("rev-list");
        let most = format!("--max-count={LOCAL}");
        let text = call.args([&most, commit]).text()?;
        let commits: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        let count = commits.len();
        let (is_part, more) = if self.can_fetch {
            let call = self.call().words("rev-parse --is-shallow-repository");
            let more = "; name a clone on this machine to have all looked at";
            (call.line()? == "true", more)
        } else {
            (count >= LOCAL, "")
        };
        let note = format!("only its newest {count} revisions were looked at{more}");
        Ok((commits, is_part.then_some(note)))
    }

    /// The sizes of files, in bytes, without reading them.
    pub fn sizes(&self, entries: &mut Entries) -> Result<()> {
        let oids = entries.values().filter_map(|entry| entry.oid.as_ref());
        let list: String = oids.map(|oid| format!("{oid}\n")).collect();
        let call = self.call().arg("cat-file");
        let text = call.arg("--batch-check=%(objectsize)").input(list).text()?;
        let mut sizes = text.lines();
        for entry in entries.values_mut().filter(|entry| entry.oid.is_some()) {
            entry.size = sizes.next().and_then(|size| size.parse().ok());
        }
        Ok(())
    }
}

/// Refuses what can't name a branch, tag or commit: `a:b` and `+a` would write refs, and another
/// repository can't resolve `main~1`.
fn check_revision_name(git: &Git, revision: &str) -> Result<()> {
    refuse_option("revision", revision)?;
    let call = git.call().words("check-ref-format --allow-onelevel");
    if revision.starts_with('+') || !call.arg(revision).finish()?.ok {
        bail!(UsageError(format!(
            "revision {revision:?} can't name a branch, a tag or a commit elsewhere; name one of \
             those, or a ref such as refs/pull/N/head"
        )));
    }
    Ok(())
}

fn reading(git: &Git, dir: &Path, can_fetch: bool) -> Call {
    let call = foreign::call(git, dir);
    if !can_fetch {
        return call;
    }
    // The only promisor is the one that was written here. Unset and not 0, which would reach
    // `git upload-pack` and allow it the same.
    call.unset("GIT_NO_LAZY_FETCH")
}

/// A repository on this machine that lacks objects.
fn incomplete(what: &str) -> UserError {
    UserError::new(
        format!("the upstream is a partial clone, which lacks what a migration reads ({what})"),
        "name a whole clone, or the URL that it was cloned from, with --upstream",
    )
}
