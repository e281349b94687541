//! A git repository that an upstream is read from: one on this machine, in place, or the partial
//! copy of one elsewhere.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context, Result, anyhow, bail};

use super::address;
use xtask_core::git::{Call, Git, GitTree, Objects};
use xtask_core::outcome::{UsageError, UserError};
use xtask_core::tree::{Entries, Oid};

/// Transports that only fetch. `ext::` and others run commands.
pub const TRANSPORTS: &[&str] = &["https", "http", "ssh", "git", "file"];

/// A git repository to read revisions from.
pub struct Remote {
    git: Git,
    dir: PathBuf,
    /// Where `dir` is a partial copy: what takes it away in the end.
    copy: Option<tempfile::TempDir>,
    objects: Rc<Objects>,
}

/// Whether a folder is the top of a git repository, bare or not.
pub fn is_git(path: &Path) -> bool {
    path.join(".git").exists() || (path.join("HEAD").is_file() && path.join("objects").is_dir())
}

impl Remote {
    /// Reads a git repository on this machine, in place.
    pub fn local(git: &Git, path: &Path, rev: Option<&str>) -> Result<(Self, Oid)> {
        let remote = Self::new(git, path, None);
        let revision = rev.unwrap_or("HEAD");
        let commit = remote.resolve(revision)?.ok_or_else(|| {
            UserError::new(
                format!("the upstream {} has no revision {revision}", path.display()),
                "name a branch, a tag or a commit that it has with --rev",
            )
        })?;
        Ok((remote, commit))
    }

    /// Fetches what is needed of a repository elsewhere: one commit and its folders, no file yet.
    pub fn fetched(git: &Git, url: &str, rev: Option<&str>) -> Result<(Self, Oid)> {
        let wanted = rev.unwrap_or("HEAD");
        expect_name(wanted)?;
        let is_sha256 = wanted.len() == 64 && wanted.bytes().all(|b| b.is_ascii_hexdigit());
        let mut remote = Self::empty(git, url, if is_sha256 { "sha256" } else { "sha1" })?;
        let mut fetched = remote.fetch_commit(wanted);
        if let Err(error) = &fetched
            && !is_sha256
            && remote.is_sha256(error)?
        {
            remote = Self::empty(git, url, "sha256")?;
            fetched = remote.fetch_commit(wanted);
        }
        fetched.map_err(|error| {
            let why = address::redacted(&format!("{error:#}"), url);
            UserError::new(
                format!(
                    "{wanted} could not be fetched from {}: {why}",
                    address::without_credentials(url)
                ),
                "check the address and the revision; a commit is named by all of its digits, a \
                 pull request is refs/pull/N/head",
            )
        })?;
        let commit = remote
            .resolve("FETCH_HEAD")?
            .context("git fetched no commit")?;
        Ok((remote, commit))
    }

    /// A partial copy that has nothing yet.
    fn empty(git: &Git, url: &str, object_format: &str) -> Result<Self> {
        let copy = tempfile::Builder::new()
            .prefix("xtask-upstream-")
            .tempdir()
            .context("making a folder for what is fetched")?;
        let dir = copy.path().to_owned();
        git.call()
            .args(["init", "--quiet", "--bare", "--template="])
            .args([&format!("--object-format={object_format}"), "."])
            .dir(&dir)
            .output()?;
        let remote = Self::new(git, &dir, Some(copy));
        for (key, value) in [
            ("remote.upstream.url", url),
            ("remote.upstream.promisor", "true"),
            ("remote.upstream.partialCloneFilter", "blob:none"),
            ("extensions.partialClone", "upstream"),
            ("core.repositoryFormatVersion", "1"),
        ] {
            let set = remote.call().args(["config", key, value]).output();
            set.map_err(|error| anyhow!(address::redacted(&format!("{error:#}"), url)))?;
        }
        Ok(remote)
    }

    /// Whether a fetch failed because the repository elsewhere names its objects by SHA-256, which
    /// a copy has to do as well.
    fn is_sha256(&self, error: &anyhow::Error) -> Result<bool> {
        if !anstream::stderr().is_terminal() {
            return Ok(format!("{error:#}").contains("server sha256"));
        }
        // A person has read git's words; this program has to look for itself.
        let refs = self
            .call()
            .args(["ls-remote", "--quiet", "upstream"])
            .env("GIT_TERMINAL_PROMPT", "0")
            .finish()?;
        let digits = refs
            .stdout
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit());
        Ok(refs.ok && digits.count() == 64)
    }

    fn new(git: &Git, dir: &Path, copy: Option<tempfile::TempDir>) -> Self {
        let start = (git.clone(), dir.to_owned());
        Self {
            git: git.clone(),
            dir: dir.to_owned(),
            copy,
            objects: Rc::new(Objects::new(move || call(&start.0, &start.1))),
        }
    }

    fn call(&self) -> Call {
        call(&self.git, &self.dir)
    }

    /// The commit that a revision names here.
    fn resolve(&self, revision: &str) -> Result<Option<Oid>> {
        let answer = self
            .call()
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options"])
            .arg(format!("{revision}^{{commit}}"))
            .finish()?;
        if answer.message.contains("dubious ownership") {
            bail!(UserError::new(
                format!(
                    "git will not read {}: {}",
                    self.dir.display(),
                    answer.message
                ),
                "trust it with `git config --global --add safe.directory DIR`"
            ));
        }
        let oid = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        Ok((answer.ok && !oid.is_empty()).then_some(Oid(oid)))
    }

    fn fetch_commit(&self, revision: &str) -> Result<()> {
        expect_name(revision)?;
        let call = self
            .call()
            .args(["fetch", "--progress", "--no-tags", "--depth=1"])
            .args(["--filter=blob:none", "upstream", revision]);
        let call = if anstream::stderr().is_terminal() {
            call.show_progress()
        } else {
            call
        };
        call.output().map(drop)
    }

    /// The files of a commit.
    pub fn tree(&self, commit: &Oid, name: &str) -> Result<GitTree> {
        let output = self
            .call()
            .args(["ls-tree", "-r", "-z", "--full-tree", &commit.0])
            .output()?;
        let entries = xtask_core::git::parse_ls_tree(&output).map_err(|error| {
            UserError::new(
                format!("the upstream {name} can't be trusted: {error:#}"),
                "name another upstream or revision",
            )
        })?;
        let short = &commit.0[..commit.0.len().min(10)];
        let name = format!("{name} at {short}");
        Ok(GitTree::new(self.objects.clone(), entries, name))
    }

    /// Fetches the files of a partial copy that will be read, all in one round.
    pub fn prefetch(&self, oids: &[&Oid]) -> Result<()> {
        if self.copy.is_none() || oids.is_empty() {
            return Ok(());
        }
        let list: String = oids.iter().map(|oid| format!("{oid}\n")).collect();
        self.call()
            .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
            .args(["--filter=blob:none", "--stdin", "upstream"])
            .input(list)
            .output()
            .map(drop)
    }

    /// Whether it has a commit, or can fetch it.
    pub fn has(&self, commit: &str) -> Result<bool> {
        Ok(self.resolve(commit)?.is_some()
            || (self.copy.is_some() && self.fetch_commit(commit).is_ok()))
    }

    /// The commits before one, newest first: as many as are worth looking at, and fewer where they
    /// have to be fetched.
    pub fn history(&self, commit: &str) -> Result<Vec<String>> {
        const LOCAL: usize = 500;
        const FETCHED: usize = 50;
        if self.copy.is_some() {
            self.call()
                .args(["fetch", "--quiet", "--no-tags"])
                .arg(format!("--depth={FETCHED}"))
                .args(["--filter=blob:none", "upstream", commit])
                .output()?;
        }
        let text = self
            .call()
            .args(["rev-list", &format!("--max-count={LOCAL}"), commit])
            .text()?;
        Ok(text.lines().map(ToOwned::to_owned).collect())
    }

    /// The sizes of files, in bytes, without reading them.
    pub fn sizes(&self, entries: &mut Entries) -> Result<()> {
        let list: String = entries
            .values()
            .filter_map(|entry| entry.oid.as_ref())
            .map(|oid| format!("{oid}\n"))
            .collect();
        let text = self
            .call()
            .args(["cat-file", "--batch-check=%(objectsize)"])
            .input(list)
            .text()?;
        let mut sizes = text.lines();
        for entry in entries.values_mut().filter(|entry| entry.oid.is_some()) {
            entry.size = sizes.next().and_then(|size| size.parse().ok());
        }
        Ok(())
    }
}

/// Refuses what no branch, tag or commit is called. To fetch `a:b` or `+a` would write refs, and an
/// expression such as `main~1` means nothing to another repository.
fn expect_name(revision: &str) -> Result<()> {
    let found = if revision.starts_with('+') {
        Some("a leading `+`".to_owned())
    } else if let Some(part) = ["..", "@{"]
        .into_iter()
        .find(|part| revision.contains(part))
    {
        Some(format!("`{part}`"))
    } else {
        let odd = revision
            .chars()
            .find(|&c| ":^~ *?[\\".contains(c) || c.is_control());
        odd.map(|c| format!("{c:?}"))
    };
    match found {
        None => Ok(()),
        Some(found) => bail!(UsageError(format!(
            "revision {revision:?} has {found}, which no branch, tag or commit elsewhere has in its \
             name; name one of those, or a ref such as refs/pull/N/head"
        ))),
    }
}

/// A call of git in a repository that somebody else may have made.
pub fn call(git: &Git, dir: &Path) -> Call {
    git.call()
        .dir(dir)
        .env("GIT_ALLOW_PROTOCOL", TRANSPORTS.join(":"))
        .config(&[
            ("protocol.version", "2"),
            ("credential.interactive", "auto"),
        ])
}
