//! `cargo xtask status`: where a repository stands, on one screen, and what to type next.
//!
//! Read-only: takes no lock and fetches nothing; slow answers become "unknown".

pub mod args;
mod report;
mod repository_status;

use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use anyhow::Result;

use self::args::Args;
use self::repository_status::{
    BuiltImage, Known, Layout, RecordedUpstream, RepositoryStatus, UnderWay, WorkTree,
};
use migrate::{address, upstream::same_folder, upstream_status as upstream};
use transaction::journal::{Journal, Phase};
use xtask_core::commands::Commands;
use xtask_core::docker;
use xtask_core::git::{Git, Repo, Status};
use xtask_core::layout::{self, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::outcome::Outcome;
use xtask_core::output::Counts;
use xtask_core::tool_repo;
use xtask_core::tree::{Directory, RepoPath, Tree};

/// How long docker may take.
const DOCKER: Duration = Duration::from_secs(3);

pub fn run(chosen: Option<&Path>, args: &Args) -> Result<Outcome> {
    let commands = Commands::new(chosen);
    let dir = tool_repo::chosen(chosen)?;
    let git = Git::find();
    let repo = match &git {
        Ok(git) => Repo::open(git, &dir),
        Err(error) => Err(anyhow::anyhow!("{error}")),
    };
    let (root, commands) = match &repo {
        Ok(repo) => (repo.top.clone(), commands.at_root(chosen, &repo.top)),
        Err(_) => (dir, commands),
    };
    // A git that can't even tell that is of no use: it may not read the index.
    let repo = repo.and_then(|repo| {
        let status = repo.status()?;
        Ok((repo, status))
    });
    let standing = look(git.as_ref().ok(), &repo, &root)?;
    report::print(&root, &standing, &commands, args.format)?;
    Ok(Outcome::Done)
}

/// A repository, and what git tells of it; or why there is none.
type Looked = Result<(Repo, Status)>;

fn look(git: Option<&Git>, repo: &Looked, root: &Path) -> Result<RepositoryStatus> {
    std::thread::scope(|scope| {
        // The slowest first; each is a look of its own.
        let images = scope.spawn(|| docker::images(DOCKER));
        let compared = scope.spawn(|| compare::counts(root));
        let linted = scope.spawn(|| {
            let report = hub_lint::lint_directory(root)?;
            Ok((report.files > 0).then(|| Counts::of(&report.findings)))
        });
        let tree = Directory::open_work_tree(root)?;
        let outdated = tree
            .entries()
            .keys()
            .filter(|path| path.is_within(OUTDATED));
        let standing = RepositoryStatus {
            layout: Layout::of(tree.entries()),
            repository: repository(repo),
            under_way: match repo {
                Ok((repo, status)) => under_way(repo, status, &tree)?,
                Err(_) => None,
            },
            upstream: upstream_of(git, &tree, root),
            is_for_another_engine: match repo {
                Ok((repo, _)) => !migrate::names_sglang(repo)?,
                Err(_) => false,
            },
            is_tools_own: same_folder(&tool_repo::repository(), root),
            outdated: outdated.count(),
            compare: known(compared, "comparing failed"),
            lint: known(linted, "linting failed"),
            image: match images.join() {
                Ok(Ok(images)) => image(repo, &images)?,
                Ok(Err(why)) => Known::Unknown(why),
                Err(_) => Known::Unknown("asking docker failed".to_owned()),
            },
        };
        Ok(standing)
    })
}

/// What a look came to that another thread took.
fn known<T>(look: ScopedJoinHandle<Result<Option<T>>>, failed: &str) -> Known<T> {
    match look.join() {
        Ok(Ok(Some(found))) => Known::Is(found),
        Ok(Ok(None)) => Known::None,
        Ok(Err(error)) => Known::Unknown(format!("{error:#}")),
        Err(_) => Known::Unknown(failed.to_owned()),
    }
}

fn repository(repo: &Looked) -> Known<WorkTree> {
    match repo {
        Ok((_, status)) => {
            // An untracked record is a change: other tasks read only committed ones.
            let is_record =
                |path: &&RepoPath| layout::is_record(path) || **path == hub_lint::SUPPRESSIONS;
            let new = status.local.iter().filter(is_record).count();
            Known::Is(WorkTree {
                branch: status.branch.clone(),
                head: status.head.as_ref().map(|head| head.0.clone()),
                changed: status.changed.len() + new,
            })
        }
        Err(error) => {
            // The command, and what git says in brackets, are too much for a line.
            let why = error.to_string();
            let why = why.split_once("` failed: ").map_or(&*why, |(_, why)| why);
            Known::Unknown(why.split(" (").next().unwrap_or_default().to_owned())
        }
    }
}

/// What is begun and not ended.
fn under_way(repo: &Repo, status: &Status, tree: &dyn Tree) -> Result<Option<UnderWay>> {
    let record = match Journal::glance(repo) {
        Ok(record) => record,
        Err(error) => return Ok(Some(UnderWay::Unreadable(error))),
    };
    if let Some(record) = record {
        // A record of what has been committed since is cleared by the next run.
        let is_open = matches!(record.state, Phase::Applying)
            || repo.commit("HEAD")?.as_ref() == Some(&record.head) && !status.changed.is_empty();
        let state = match (record.task.as_str(), record.state) {
            (cleanup::TASK, _) => UnderWay::Cleanup,
            (_, Phase::Applying) => UnderWay::Interrupted,
            (_, Phase::Conflicts) if status.unmerged.is_empty() => {
                let marked = migrate::marked(repo, &record, &repo.index()?.entries)?;
                if marked.is_empty() {
                    UnderWay::Resolved
                } else {
                    UnderWay::Marked(marked)
                }
            }
            (_, Phase::Conflicts) => UnderWay::Conflicts,
            (_, Phase::Staged) => UnderWay::Staged,
        };
        // Conflicts that were committed leave the lock to be written.
        if is_open || record.state == Phase::Conflicts {
            return Ok(Some(state));
        }
    }
    if let Some(what) = repo.under_way()? {
        return Ok(Some(UnderWay::Git(what.to_owned())));
    }
    // A cleanup keeps no record once all is staged.
    let goes = |path: &RepoPath| path.is_within(OUTDATED);
    let is_staged = status.changed.iter().any(goes)
        && !status.unstaged.iter().chain(&status.local).any(goes)
        && repo.index()?.entries.keys().all(|path| !goes(path));
    Ok(is_staged.then(|| match cleanup::is_on_record(tree) {
        Ok(true) => UnderWay::RemovalStaged,
        _ => UnderWay::CleanupStaged,
    }))
}

fn upstream_of(git: Option<&Git>, tree: &dyn Tree, root: &Path) -> Known<RecordedUpstream> {
    let lock = match Lock::read(tree) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Known::None,
        Err(error) => return Known::Unknown(format!("{error:#}")),
    };
    let origin = lock.upstream;
    let standing = match git {
        // What the lock says may be no revision at all.
        Some(git) => upstream::standing(git, &origin, root)
            .unwrap_or_else(|error| upstream::UpstreamStatus::Unknown(error.to_string())),
        None => upstream::UpstreamStatus::Unknown("git is not there to look".to_owned()),
    };
    let behind = match standing {
        upstream::UpstreamStatus::UpToDate => Known::Is(0),
        upstream::UpstreamStatus::Behind(count) => Known::Is(count),
        upstream::UpstreamStatus::Unknown(why) => Known::Unknown(why),
    };
    Known::Is(RecordedUpstream {
        address: address::without_credentials(&origin.address),
        rev: origin.rev,
        commit: origin.commit,
        behind,
    })
}

/// The newest image that was made from a commit of this repository's history.
fn image(repo: &Looked, images: &[docker::LocalImage]) -> Result<Known<BuiltImage>> {
    let Ok((repo, _)) = repo else {
        return Ok(Known::None);
    };
    for image in images {
        if !names_commit(&image.revision) {
            continue;
        }
        let range = format!("{}..HEAD", image.revision);
        let call = repo.call();
        let count = call.args(["rev-list", "--count", "--end-of-options", &range]);
        if let Some(behind) = count.said()?.and_then(|count| count.parse().ok()) {
            return Ok(Known::Is(BuiltImage {
                name: image.name.clone(),
                commit: image.revision.clone(),
                dirty: image.dirty,
                created: image.created.clone(),
                behind,
            }));
        }
    }
    Ok(Known::None)
}

/// Whether this is a commit's name and no branch's; many an image inherits an empty label.
fn names_commit(revision: &str) -> bool {
    matches!(revision.len(), 40 | 64) && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A folder, as a person would type it.
fn shown(root: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match root.strip_prefix(&here) {
        Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
        Ok(below) => below.to_owned(),
        Err(_) => root.to_owned(),
    }
}
