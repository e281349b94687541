//! `cargo xtask status`: the state of a repository on one screen, and the next command.
//!
//! Read-only: takes no lock and fetches nothing.

mod next;
mod report;

use std::path::Path;

use anyhow::Result;
use serde::{Serialize, Serializer};

use self::next::UnderWay;
use hub_lint::{Counts, LintReport};
use migrate::{Unsettled, address};
use transaction::journal::{Journal, Phase};
use xtask_core::cli::Format;
use xtask_core::commands::Commands;
use xtask_core::git::{Git, Repo, Status};
use xtask_core::layout::{self, ACCEPTED, BASELINE, Layout, OUTDATED};
use xtask_core::lock::Lock;
use xtask_core::outcome::Outcome;
use xtask_core::tool_repo::{self, same_folder};
use xtask_core::tree::{Directory, RepoPath, Tree};

/// Show where this repository stands, and what to type next
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Who reads the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    pub format: Format,
}

/// A part of the state: `None` where it does not exist; the error says why it isn't known.
type Known<T> = Result<Option<T>, String>;

/// Serializes the value, `null`, or an object with the reason.
fn known<T: Serialize, S: Serializer>(part: &Known<T>, serializer: S) -> Result<S::Ok, S::Error> {
    match part {
        Ok(value) => value.serialize(serializer),
        Err(why) => serializer.collect_map([("unknown", why)]),
    }
}

#[derive(Serialize)]
struct WorkTree {
    branch: String,
    /// `None` before the first commit.
    head: Option<String>,
    /// How many tracked files differ from HEAD, including records of this tool that are untracked.
    changed: usize,
    /// How many of these are records that `cleanup --commit` commits.
    #[serde(skip)]
    records: usize,
}

#[derive(Serialize)]
struct RecordedUpstream {
    address: String,
    rev: Option<String>,
    commit: Option<String>,
}

#[derive(Serialize)]
struct RepositoryStatus {
    layout: Layout,
    /// Whether handler.py is at the root, where it would be in the modern layout.
    #[serde(skip)]
    has_root_handler: bool,
    #[serde(serialize_with = "known")]
    repository: Known<WorkTree>,
    under_way: Option<UnderWay>,
    #[serde(serialize_with = "known")]
    upstream: Known<RecordedUpstream>,
    /// Whether it contains this tool, and so is an upstream itself.
    is_tools_own: bool,
    /// Whether nothing in it names `SGLang`, so that it serves models with another engine.
    is_for_another_engine: bool,
    /// Whether it is a legacy fork with changes of its own.
    has_own_changes: bool,
    outdated: usize,
    #[serde(serialize_with = "known")]
    compare: Known<compare::OpenCounts>,
    #[serde(serialize_with = "known")]
    lint: Known<Counts>,
}

impl RecordedUpstream {
    fn is_official(&self) -> bool {
        self.commit.as_deref().is_some_and(migrate::is_official)
    }
}

pub fn run(chosen: Option<&Path>, args: &Args) -> Result<Outcome> {
    let commands = Commands::new(chosen);
    let dir = tool_repo::chosen(chosen)?;
    let repo = Git::find().and_then(|git| Repo::open(&git, &dir));
    let (root, commands) = match &repo {
        Ok(repo) => (repo.top.clone(), commands.at_root(chosen, &repo.top)),
        Err(_) => (dir, commands),
    };
    // A git without a status is of no use: it may not be able to read the index.
    let repo = repo.and_then(|repo| Ok((repo.status()?, repo)));
    let at = read_status(repo, &root)?;
    report::print(&crate::from_here(&root), &at, &commands, args.format)?;
    Ok(Outcome::Done)
}

fn read_status(repo: Result<(Status, Repo)>, root: &Path) -> Result<RepositoryStatus> {
    let tree = Directory::open_work_tree(root)?;
    let paths = tree.entries().keys();
    let outdated = paths.filter(|path| path.is_within(OUTDATED)).count();
    let lint = in_one_line(hub_lint::lint_directory(root));
    let counts = |report: LintReport| (report.files > 0).then(|| Counts::of(&report.findings));
    let mut at = RepositoryStatus {
        layout: Layout::of(tree.entries()),
        has_root_handler: tree.entries().contains_key(&"handler.py".into()),
        repository: Ok(None),
        under_way: None,
        upstream: upstream_of(&tree),
        is_tools_own: same_folder(&tool_repo::repository(), root),
        is_for_another_engine: false,
        has_own_changes: false,
        outdated,
        compare: in_one_line(compare::counts(root)),
        lint: lint.map(counts),
    };
    match repo {
        Ok((status, repo)) => {
            at.under_way = under_way(&repo, &status)?;
            at.is_for_another_engine = !migrate::names_sglang(&repo)?;
            at.has_own_changes = at.layout == Layout::Legacy
                && at.under_way.is_none()
                && status.head.is_some()
                && migrate::has_own_changes(&repo).unwrap_or(false);
            at.repository = Ok(Some(work_tree(status)));
        }
        Err(error) => {
            // The command and git's message in brackets are too long for a line.
            let why = error.to_string();
            let why = why.split_once("` failed: ").map_or(&*why, |(_, why)| why);
            at.repository = Err(why.split(" (").next().unwrap_or_default().to_owned());
        }
    }
    Ok(at)
}

fn in_one_line<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

fn work_tree(status: Status) -> WorkTree {
    // An untracked record counts as a change, since other tasks read only committed ones.
    let is_record = |path: &&RepoPath| layout::is_record(path) || **path == hub_lint::SUPPRESSIONS;
    let differs = |record: &&str| {
        let mut paths = status.changed.iter().chain(&status.local);
        paths.any(|path| path == *record)
    };
    WorkTree {
        records: [ACCEPTED, BASELINE].into_iter().filter(differs).count(),
        changed: status.changed.len() + status.local.iter().filter(is_record).count(),
        branch: status.branch,
        head: status.head.map(|head| head.0),
    }
}

/// The task or git operation that has begun and not ended.
fn under_way(repo: &Repo, status: &Status) -> Result<Option<UnderWay>> {
    let record = match Journal::peek(repo) {
        Ok(record) => record,
        Err(error) => return Ok(Some(UnderWay::Unreadable(error))),
    };
    if let Some(record) = record {
        // The next run clears the record of a transaction that has been committed since.
        let is_open = matches!(record.state, Phase::Applying)
            || repo.commit("HEAD")?.as_ref() == Some(&record.head) && !status.changed.is_empty();
        let state = match (record.task.as_str(), record.state) {
            (cleanup::TASK, _) => UnderWay::Cleanup,
            (_, Phase::Applying) => UnderWay::Interrupted,
            (_, Phase::Conflicts) => match migrate::unsettled(repo, status, &record)? {
                Some(Unsettled::Unmerged(_)) => UnderWay::Conflicts,
                Some(Unsettled::Marked(paths)) => UnderWay::Marked(paths),
                Some(Unsettled::Retired(paths)) => UnderWay::Retired(paths),
                None => UnderWay::Resolved,
            },
            (_, Phase::Staged) => UnderWay::Staged,
        };
        // After committed conflicts, the lock still has to be written.
        if is_open || record.state == Phase::Conflicts {
            return Ok(Some(state));
        }
    }
    if let Some(what) = repo.under_way()? {
        return Ok(Some(UnderWay::Git(what.to_owned())));
    }
    // A cleanup has no record once all is staged.
    let is_outdated = |path: &RepoPath| path.is_within(OUTDATED);
    let is_staged = status.changed.iter().any(is_outdated)
        && !status.unstaged.iter().chain(&status.local).any(is_outdated)
        && !repo.index()?.entries.keys().any(is_outdated);
    Ok(is_staged.then_some(UnderWay::CleanupStaged))
}

fn upstream_of(tree: &dyn Tree) -> Known<RecordedUpstream> {
    let lock = in_one_line(Lock::read(tree))?;
    Ok(lock.map(|lock| RecordedUpstream {
        address: address::without_credentials(&lock.upstream.address),
        rev: lock.upstream.rev,
        commit: lock.upstream.commit,
    }))
}
