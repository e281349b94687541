//! Where the modern files come from: a directory, a git repository on this machine, a URL, or the
//! repository that holds this tool. All become a tree to read.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::address::{self, OWN_ADDRESS, UpstreamPlace};
use super::incoming::{self, Bundle};
use super::plan::{Planner, UpstreamSource};
use super::remote::Remote;
use super::trust;
use xtask_core::git::foreign::{TRANSPORTS, is_git};
use xtask_core::git::{Git, GitTree, refuse_option};
use xtask_core::layout::{self, Shape};
use xtask_core::lock::Origin;
use xtask_core::outcome::{UsageError, UserError};
use xtask_core::tool_repo::{self, same_folder};
use xtask_core::tree::{Directory, Entries, Oid, RepoPath, Tree};

pub struct Upstream {
    pub source: UpstreamSource,
    pub tree: Box<dyn Tree>,
    remote: Option<Remote>,
}

/// The commit that was read, its files, and the git repository on this machine or the partial copy
/// of one elsewhere that they are from; of a directory without git only the files.
pub type Opened = (Option<String>, Box<dyn Tree>, Option<Remote>);

impl Planner<'_> {
    /// Finds and reads the upstream: the one that is named, else what the lock records, else the
    /// repository that holds this tool.
    pub fn open_upstream(
        &self,
        named: Option<&str>,
        rev: Option<&str>,
        locked: Option<&Origin>,
    ) -> Result<Upstream> {
        let (git, repository) = (self.git, &*self.at.repo.top);
        let locked = locked.filter(|_| named.is_none());
        let rev = rev.or(locked.and_then(|origin| origin.rev.as_deref()));
        if let Some(rev) = rev {
            refuse_option("revision", rev)?;
        }
        let locked_address = locked.map(|origin| &*origin.address);
        let address = named.or(locked_address).unwrap_or(OWN_ADDRESS);
        let base = if locked.is_some() {
            repository.to_owned()
        } else {
            std::env::current_dir().context("finding the current folder")?
        };
        let (mut recorded, place) = locate(address, &base, repository)?;
        if locked.is_some() {
            trust::check(git, address, &place)?;
        }
        let (commit, tree, remote) = open_place(git, &place, rev)?;
        let shape = Shape::of(tree.entries()).ok_or_else(|| {
            UserError::new(
                format!(
                    "{} is no upstream: it has neither .runpod/handler.py nor handler.py beside \
                     .runpod/hub.json",
                    tree.describe()
                ),
                "name one with --upstream DIR|URL, or another revision",
            )
        })?;
        if self.args.embed && recorded == OWN_ADDRESS {
            // `xtask:` would mean this repository as soon as the tool is embedded.
            recorded = permanent_address(git, repository)?;
        }
        let source = UpstreamSource {
            address: recorded,
            rev: rev.map(ToOwned::to_owned),
            commit,
            shape,
        };
        let upstream = Upstream {
            source,
            tree,
            remote,
        };
        upstream.fetch_files(&*upstream.tree)?;
        Ok(upstream)
    }
}

/// Opens a git repository at a revision or at its HEAD, or a directory without git.
pub fn open_place(git: &Git, place: &UpstreamPlace, rev: Option<&str>) -> Result<Opened> {
    let ((remote, commit), name) = match place {
        UpstreamPlace::Url(url) => (Remote::fetched(git, url, rev)?, url.clone()),
        UpstreamPlace::Path(path) if is_git(path) => {
            (Remote::local(git, path, rev)?, path.display().to_string())
        }
        UpstreamPlace::Path(path) => match rev {
            None => return Ok((None, Box::new(directory(path)?), None)),
            Some(rev) => bail!(UserError::new(
                format!(
                    "{} is a directory without git, so it has no revision {rev}",
                    path.display()
                ),
                "name a git repository, or take it as it is: without --rev, or with `--adopt .`"
            )),
        },
    };
    let tree = remote.tree(&commit, &name)?;
    Ok((Some(commit.0), Box::new(tree), Some(remote)))
}

/// What an address means, and how the lock records it.
pub fn locate(address: &str, base: &Path, repository: &Path) -> Result<(String, UpstreamPlace)> {
    let path = base.join(address);
    if !path.is_dir() {
        address::check_no_credentials(address)?;
    }
    refuse_option("upstream", address)?;
    if address == OWN_ADDRESS {
        let own = tool_repo::repository();
        if same_folder(&own, repository) {
            let refusal = tool_repo::no_worker_is_named("migrate");
            let help = "; an upstream of this repository itself is named with --upstream DIR|URL";
            bail!(UserError::new(refusal.what, refusal.help + help));
        }
        return Ok((OWN_ADDRESS.to_owned(), UpstreamPlace::Path(own)));
    }
    let url = || (address.to_owned(), UpstreamPlace::Url(address.to_owned()));
    if let Some((scheme, _)) = address.split_once("://") {
        if !TRANSPORTS.contains(&scheme) {
            bail!(UsageError(format!(
                "upstream {address:?}: the transport {scheme} is not one of {}",
                TRANSPORTS.join(", ")
            )));
        }
        return Ok(url());
    }
    if address.contains("::") {
        bail!(UsageError(format!(
            "upstream {address:?} names a transport helper, which could run any command; use one \
             of {}",
            TRANSPORTS.join(", ")
        )));
    }
    if path.is_dir() {
        let recorded = relative(&path, repository);
        return Ok((recorded, UpstreamPlace::Path(path)));
    }
    // `host:path` and `user@host:path`, as git reads them: no slash before the first colon.
    let host = address.split_once(':').map(|(host, _)| host);
    if host.is_some_and(|host| !host.is_empty() && !host.contains('/')) {
        return Ok(url());
    }
    bail!(UserError::new(
        format!("upstream {} is not a directory", path.display()),
        "name a directory, a git repository or a URL with --upstream"
    ))
}

/// The tool repository's address for a repository with an embedded copy: its origin, else its
/// folder.
pub fn permanent_address(git: &Git, repository: &Path) -> Result<String> {
    let path = tool_repo::repository();
    let call = git.call().dir(&path);
    let origin = call
        .args(["config", "--get", "remote.origin.url"])
        .optional_text()?;
    Ok(match origin.filter(|url| url.contains([':', '@'])) {
        Some(url) => address::without_credentials(&url),
        None => relative(&path, repository),
    })
}

/// Opens the repository that holds this tool, as an upstream of the tool itself.
pub fn open_own(git: &Git, repository: &Path) -> Result<(Option<String>, Box<dyn Tree>)> {
    let path = tool_repo::repository();
    if same_folder(&path, repository) {
        bail!(UserError::new(
            "this repository holds the tool already",
            "leave --embed out"
        ));
    }
    let (commit, tree, _) = open_place(git, &UpstreamPlace::Path(path), None)?;
    Ok((commit, tree))
}

/// Reads a directory without git, and of it only what a worker consists of.
fn directory(path: &Path) -> Result<Directory> {
    let wanted = layout::CORE_OPTIONAL.iter().copied();
    let wanted: Vec<&str> = wanted.chain([layout::RUNPOD, layout::KEPT]).collect();
    let open = |extra: &[String]| {
        let is_read = |folder: &RepoPath| {
            wanted.iter().any(|wanted| folder.is_within(wanted))
                || extra.iter().any(|extra| {
                    let leads_to = |folder| RepoPath::from(&**extra).is_within(folder);
                    folder.is_within(extra) || folder.as_str().is_some_and(leads_to)
                })
        };
        Directory::open(path, |folder| !is_read(folder)).map_err(|error| {
            UserError::new(
                format!("the upstream can't be read: {error:#}"),
                "remove it there, or name another upstream",
            )
        })
    };
    let tree = open(&[])?;
    // A Dockerfile may copy further folders.
    if Shape::of(tree.entries()) == Some(Shape::Root)
        && let Some(dockerfile) = tree.read_file("Dockerfile")?
    {
        return Ok(open(&incoming::copied_folders(&dockerfile)?)?);
    }
    Ok(tree)
}

/// A path relative to the repository, so that the lock does not describe the machine.
fn relative(path: &Path, repository: &Path) -> String {
    let (Ok(path), Ok(repository)) = (path.canonicalize(), repository.canonicalize()) else {
        return path.display().to_string();
    };
    let inside = |path: &Path| {
        let bytes = path.as_os_str().as_bytes();
        RepoPath::new(bytes.strip_prefix(b"/").unwrap_or(bytes))
    };
    let relative = inside(&repository.join("link")).link_to(&inside(&path));
    String::from_utf8_lossy(relative.as_bytes()).into_owned()
}

impl Upstream {
    /// The tree of another commit of the same upstream; `None` where it is out of reach. Its
    /// files are fetched by [`Upstream::fetch_files`].
    pub fn at(&self, commit: &str) -> Result<Option<GitTree>> {
        match &self.remote {
            Some(remote) if remote.has(commit)? => {
                let oid = Oid(commit.to_owned());
                remote.tree(&oid, &self.source.address).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Brings the files of a tree that a migration reads, all in one round.
    pub fn fetch_files(&self, tree: &dyn Tree) -> Result<()> {
        match &self.remote {
            Some(remote) => remote.prefetch(&wanted(tree.entries(), self.source.shape)),
            None => Ok(()),
        }
    }

    /// The commits before the one that was read, newest first, with a note where they are not all.
    pub fn history(&self) -> Result<(Vec<String>, Option<String>)> {
        match (&self.remote, &self.source.commit) {
            (Some(remote), Some(commit)) => remote.history(commit),
            _ => Ok((Vec::new(), None)),
        }
    }

    /// Chooses, checks, reads and renders its files.
    pub fn collect(&self) -> Result<Bundle> {
        incoming::collect(&*self.tree, self.source.shape, |entries| {
            let remote = self.remote.as_ref();
            remote.map_or(Ok(()), |remote| remote.sizes(entries))
        })
    }
}

/// The files that a migration reads, as far as they are known before the Dockerfile is.
fn wanted(entries: &Entries, shape: Shape) -> Vec<&Oid> {
    let is_wanted = |path: &RepoPath| match shape {
        Shape::Runpod => path.is_within(layout::RUNPOD),
        Shape::Root => {
            layout::is_core(path)
                || layout::is_record(path)
                || path.parent().is_none() && !layout::is_own(path) && !layout::is_tool(path)
        }
    };
    let wanted = entries.iter().filter(|(path, _)| is_wanted(path));
    wanted.filter_map(|(_, entry)| entry.oid.as_ref()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_that_run_commands_are_refused() {
        let here = Path::new("/");
        for address in [
            "ext::sh -c true",
            "fd::17",
            "persistent-https://x/y",
            "-oProxyCommand=x",
            "--upload-pack=x",
        ] {
            let refused = locate(address, here, here)
                .err()
                .map(|error| error.to_string());
            assert!(refused.is_some(), "{address} was taken");
        }
        for address in ["https://example.com/a.git", "git@example.com:a/b.git"] {
            assert!(matches!(
                locate(address, here, here),
                Ok((_, UpstreamPlace::Url(_)))
            ));
        }
    }

    #[test]
    fn the_lock_speaks_of_places_as_seen_from_the_repository() {
        let scratch = tempfile::tempdir().unwrap();
        let (mine, theirs) = (scratch.path().join("mine"), scratch.path().join("a/theirs"));
        fs_err::create_dir_all(&mine).unwrap();
        fs_err::create_dir_all(&theirs).unwrap();
        assert_eq!(relative(&theirs, &mine), "../a/theirs");
        assert_eq!(relative(&mine, &mine), ".");
    }
}
