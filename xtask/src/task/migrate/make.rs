//! Making the plan: reads the repository and the upstream, and decides.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use super::dangling::{self, Dangling};
use super::incoming::{self, Bundle};
use super::lock::{Lock, LockedFile, Origin};
use super::merge::{self, Built, Sides, Stage, Stored};
use super::plan::{self, Conflict, Move, Plan, Rewrite, Source};
use super::rewrite;
use super::steps::{self, Side, Step};
use super::upstream::{self, OWN_ADDRESS, Upstream};
use crate::git::{Git, GitTree, Index, Objects, Repo, Scratch, Search, Status, Unseen};
use crate::layout::{self, BASELINE, LOCK, OUTDATED, Shape};
use crate::outcome::Refusal;
use crate::task::compare;
use crate::tree::{Entries, Entry, Mode, Oid, RepoPath, Tree, same};

/// A repository as it stands, with nothing in the way of a migration.
pub struct Situation {
    pub repo: Repo,
    pub objects: Rc<Objects>,
    pub status: Status,
    pub unseen: BTreeMap<RepoPath, Unseen>,
    pub head: Oid,
    pub head_tree: Oid,
    pub ours: GitTree,
    pub lock: Option<Lock>,
}

/// Looks at the repository and refuses what a migration can't start from.
pub fn look(repo: &Repo) -> Result<Situation> {
    if let Some(operation) = repo.under_way() {
        bail!(Refusal::new(
            format!("{operation} is under way in {}", repo.top.display()),
            "finish it or abort it, then run this again"
        ));
    }
    let status = repo.status()?;
    let Some(head) = status.head.clone() else {
        bail!(Refusal::new(
            format!("{} has no commit yet", repo.top.display()),
            "commit the worker's files first"
        ));
    };
    if !status.changed.is_empty() {
        let filters = if repo.has_filters() {
            "; files behind a filter such as LFS can look changed right after a clone, until \
             `git update-index --refresh --force-write-index` has looked at them"
        } else {
            ""
        };
        bail!(Refusal::new(
            format!(
                "the work tree or the index has changes that are not committed:\n  {}",
                list(&status.changed)
            ),
            format!("commit them, or put them away with `git stash`{filters}")
        ));
    }
    if repo.git_dir.join("index.lock").exists() {
        bail!(Refusal::new(
            format!(
                "{} is there: another git is at work, or was killed",
                repo.git_dir.join("index.lock").display()
            ),
            "wait for it to end, or remove the file"
        ));
    }
    let Index { entries, unseen } = repo.index()?;
    let objects = repo.objects();
    let ours = GitTree::new(objects.clone(), entries, repo.top.display().to_string());
    let lock = Lock::read(&ours)?;
    Ok(Situation {
        head_tree: repo.tree_of(&head)?,
        repo: repo.clone(),
        objects,
        status,
        unseen,
        head,
        ours,
        lock,
    })
}

/// The first few of many, a line each.
pub fn list(paths: &[RepoPath]) -> String {
    const SHOWN: usize = 10;
    let mut lines: Vec<String> = paths.iter().take(SHOWN).map(ToString::to_string).collect();
    if paths.len() > SHOWN {
        lines.push(format!("… and {} more", paths.len() - SHOWN));
    }
    lines.join("\n  ")
}

/// What the user asks for.
pub struct Wish<'a> {
    pub upstream: Option<&'a str>,
    pub rev: Option<&'a str>,
    pub carry: Option<&'a str>,
    pub embed: bool,
}

/// The plan, and what it takes to apply it.
pub struct Made {
    pub plan: Plan,
    pub stages: Vec<Stage>,
    pub entries: Entries,
    pub lock: Lock,
    pub kind: Kind,
}

/// What a plan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From the legacy layout to the modern one.
    First,
    /// From one upstream revision to the next.
    Again,
    /// The lock alone.
    Adopt,
}

/// Makes the plan for `wish`.
pub fn make(git: &Git, at: &Situation, scratch: &Scratch, wish: &Wish) -> Result<Made> {
    let first = at.lock.is_none();
    if first {
        expect_legacy(at)?;
    } else if wish.carry.is_some() {
        bail!(Refusal::new(
            format!("{LOCK} is there, so this worker is modern already"),
            "leave --carry out; upstream's changes are merged with those made here anyway"
        ));
    }
    let outside: Vec<&str> = layout::RETIRED.iter().copied().chain([OUTDATED]).collect();
    let mentions = at.repo.search(&dangling::candidates(), &outside)?;
    let mut upstream = upstream::open(
        git,
        &upstream::Request {
            address: wish.upstream,
            rev: wish.rev,
            locked: at.lock.as_ref().map(|lock| &lock.upstream),
            repository: &at.repo.top,
        },
    )?;
    if wish.embed && upstream.address == OWN_ADDRESS {
        // "The repository that holds the tool" will be this one from now on.
        upstream.address = upstream::lasting_address(git, &at.repo.top)?;
    }
    let bundle = incoming::collect(&*upstream.tree, upstream.shape, |entries| {
        upstream.sizes(entries)
    })?;
    let stored = merge::store(scratch, &bundle)?;
    let tool = tool_side(git, at, scratch, wish)?;
    let mut notes = bundle.notes.clone();

    let (origin, news) = origin(at, &upstream, &stored);
    let (mut base, mut theirs) = if news {
        (base(at, scratch, &upstream, &mut notes)?, stored.entries)
    } else {
        // Its part of the lock stays as it is, and it takes no part in the merge.
        (Entries::new(), Entries::new())
    };
    let (tool_origin, tool_news) = match tool {
        Some((tool_stored, tool, tool_base)) => {
            theirs.extend(tool_stored.entries);
            base.extend(tool_base);
            (Some(tool), true)
        }
        None => (at.lock.as_ref().and_then(|lock| lock.tool.clone()), false),
    };

    let moves = plan::relocate(at.ours.entries(), &theirs, first)
        .map_err(|problems| plan::outdated_taken(&problems))?;
    let carry = match wish.carry {
        Some(revision) => Some(carry(at, scratch, revision, &theirs)?),
        None => None,
    };
    let (carried, orphans) = match carry {
        Some(carry) => {
            base.extend(carry.base);
            (carry.carried, carry.orphans)
        }
        None => (Vec::new(), Vec::new()),
    };
    let records = if first {
        records(at, &mut notes)
    } else {
        Vec::new()
    };
    let built = merge::build(
        &at.repo,
        scratch,
        Sides {
            records: &records,
            before: at.ours.entries(),
            moves: &moves,
            base: &base,
            theirs: &theirs,
            carried: &carried,
            orphans: &orphans,
            renames: wish.carry.is_none(),
            upstream: (origin, news),
            tool: tool_origin.map(|origin| (origin, tool_news)),
        },
    )?;
    finish(at, &upstream, &bundle, mentions, moves, built, notes, first)
}

/// What the old worker exposes, for the time when its files are gone. What can't be read of it
/// keeps nobody from migrating.
fn records(at: &Situation, notes: &mut Vec<String>) -> Vec<(RepoPath, Vec<u8>)> {
    let path = RepoPath::from(BASELINE);
    if at.ours.entries().contains_key(&path) {
        return Vec::new();
    }
    let short = &at.head.0[..at.head.0.len().min(10)];
    match compare::baseline_of(&at.ours, &format!("the worker at {short}")) {
        Ok((text, count)) => {
            notes.push(format!(
                "{BASELINE} keeps {count} facts of the old worker; `cargo xtask compare` says what \
                 became of each"
            ));
            vec![(path, text.into_bytes())]
        }
        Err(error) => {
            notes.push(format!("{BASELINE} is not written: {error:#}"));
            Vec::new()
        }
    }
}

fn expect_legacy(at: &Situation) -> Result<()> {
    let entries = at.ours.entries();
    if entries.keys().any(layout::is_retired) {
        return Ok(());
    }
    if Shape::of(entries) == Some(Shape::Root) {
        bail!(Refusal::new(
            format!("this worker has the modern layout, but no {LOCK}"),
            "name the upstream that its files came from: `cargo xtask migrate --adopt REV \
             --upstream DIR|URL`"
        ));
    }
    bail!(Refusal::new(
        format!(
            "{} is no worker of the legacy layout: it has none of {}",
            at.repo.top.display(),
            layout::RETIRED.join(", ")
        ),
        "name the worker's repository with `-C DIR`"
    ))
}

/// The upstream as the lock will record it, and whether it gives anything new.
fn origin(at: &Situation, upstream: &Upstream, stored: &Stored) -> (Origin, bool) {
    let fresh = Origin {
        address: upstream.address.clone(),
        rev: upstream.rev.clone(),
        commit: upstream.commit.clone(),
        shape: upstream.shape,
        files: stored.locked.clone(),
    };
    let Some(lock) = &at.lock else {
        return (fresh, true);
    };
    let old = &lock.upstream;
    let same_files = old.files.len() == fresh.files.len()
        && old.files.iter().zip(&fresh.files).all(|(old, new)| {
            old.0 == new.0 && old.1.given == new.1.given && old.1.mode == new.1.mode
        });
    // A commit that changed no file of the worker's is no news.
    if same_files && old.address == fresh.address && old.rev == fresh.rev {
        return (old.clone(), false);
    }
    (fresh, true)
}

fn locked_entries(files: &BTreeMap<RepoPath, LockedFile>) -> Entries {
    files
        .iter()
        .map(|(path, file)| {
            let entry = Entry {
                mode: file.mode,
                size: None,
                oid: Some(file.rendered().clone()),
            };
            (path.clone(), entry)
        })
        .collect()
}

/// What upstream gave last time, as this version would render it: from the object database, or
/// from the commit that the lock records.
fn base(
    at: &Situation,
    scratch: &Scratch,
    upstream: &Upstream,
    notes: &mut Vec<String>,
) -> Result<Entries> {
    let Some(lock) = &at.lock else {
        return Ok(Entries::new());
    };
    let mut base = Entries::new();
    let mut missing = Vec::new();
    for (path, file) in &lock.upstream.files {
        // Files that are not rewritten are in the history of the repository itself.
        if file.rendered.is_none() && at.objects.blob(&file.given)?.is_some() {
            base.insert(path.clone(), entry(file.mode, &file.given));
        } else {
            missing.push(path);
        }
    }
    if missing.is_empty() {
        return Ok(base);
    }
    if let Some(commit) = &lock.upstream.commit {
        if let Some(tree) = upstream.at(commit)? {
            upstream.fetch_files(&tree)?;
            let bundle = incoming::collect(&tree, lock.upstream.shape, |_| Ok(()))?;
            return Ok(merge::store(scratch, &bundle)?.entries);
        }
        notes.push(format!(
            "commit {commit} of the upstream is out of reach; what it gave is taken from this \
             repository's objects"
        ));
    }
    for path in missing {
        let file = &lock.upstream.files[path];
        if at.objects.blob(file.rendered())?.is_none() {
            bail!(Refusal::new(
                format!("what upstream gave as {path} last time is not to be had any more"),
                format!(
                    "name an upstream that has commit {} with --upstream, or remove {LOCK} and \
                     run `cargo xtask migrate --adopt REV`",
                    lock.upstream.commit.as_deref().unwrap_or("(none)")
                )
            ));
        }
        base.insert(path.clone(), entry(file.mode, file.rendered()));
    }
    Ok(base)
}

fn entry(mode: Mode, oid: &Oid) -> Entry {
    Entry {
        mode,
        size: None,
        oid: Some(oid.clone()),
    }
}

/// The tool's own files, where they are to come along: now, their line in the lock, and what was
/// given last time.
fn tool_side(
    git: &Git,
    at: &Situation,
    scratch: &Scratch,
    wish: &Wish,
) -> Result<Option<(Stored, Origin, Entries)>> {
    if !wish.embed {
        return Ok(None);
    }
    let own = upstream::own(git, &at.repo.top)?;
    let bundle = incoming::collect_tool(&*own.tree)?;
    let stored = merge::store(scratch, &bundle)?;
    let before = at.lock.as_ref().and_then(|lock| lock.tool.as_ref());
    if before.is_none() {
        let taken: Vec<String> = stored
            .entries
            .iter()
            .filter(|(path, entry)| {
                let there = at.ours.entries().get(path);
                there.is_some_and(|there| !same(there, entry))
            })
            .map(|(path, _)| path.to_string())
            .collect();
        if !taken.is_empty() {
            bail!(Refusal::new(
                format!(
                    "the tool can't be embedded: {} is there already",
                    taken.join(", ")
                ),
                "leave --embed out, and run the tool from its own clone with `-C`"
            ));
        }
    }
    let base = before.map_or_else(Entries::new, |tool| locked_entries(&tool.files));
    let origin = Origin {
        address: upstream::lasting_address(git, &at.repo.top)?,
        rev: None,
        commit: own.commit,
        shape: Shape::Root,
        files: stored.locked.clone(),
    };
    Ok(Some((stored, origin, base)))
}

/// The changes of a fork of the legacy layout, as sides of a merge.
struct Carry {
    /// The legacy files that the fork started from, by their place in the modern layout.
    base: Entries,
    carried: Vec<(RepoPath, RepoPath)>,
    orphans: Vec<(Conflict, Vec<Stage>)>,
}

fn carry(at: &Situation, scratch: &Scratch, revision: &str, theirs: &Entries) -> Result<Carry> {
    let commit = at.repo.commit(revision)?.ok_or_else(|| {
        Refusal::new(
            format!("there is no revision {revision} here"),
            "name the commit of the legacy worker that this fork started from, and fetch it first \
             if it is not here",
        )
    })?;
    let started = at.repo.entries(&commit)?;
    if !started.keys().any(layout::is_retired) {
        bail!(Refusal::new(
            format!("{revision} has none of {}", layout::RETIRED.join(", ")),
            "name the commit of the legacy worker that this fork started from"
        ));
    }
    let mut carry = Carry {
        base: Entries::new(),
        carried: Vec::new(),
        orphans: Vec::new(),
    };
    let ours = at.ours.entries();
    let place = |path: &RepoPath| {
        layout::counterpart(path).or_else(|| theirs.contains_key(path).then(|| path.clone()))
    };
    for (path, entry) in &started {
        if let Some(to) = place(path) {
            carry.base.insert(to, entry.clone());
        }
    }
    for (path, entry) in ours {
        match place(path) {
            Some(to) => carry.carried.push((path.clone(), to)),
            None if layout::is_retired(path) => {
                let before = started.get(path);
                if before.is_some_and(|before| same(before, entry)) {
                    continue;
                }
                carry.orphans.push(orphan(path, before, entry));
            }
            None => {}
        }
    }
    // Package markers say nothing that could be lost.
    let empty = scratch.hashes([&b""[..]])?.pop();
    carry.orphans.retain(|(_, stages)| {
        stages
            .iter()
            .any(|stage| Some(&stage.side.oid) != empty.as_ref())
    });
    Ok(carry)
}

/// A legacy file that the fork changed and the modern layout has no counterpart of.
fn orphan(path: &RepoPath, before: Option<&Entry>, now: &Entry) -> (Conflict, Vec<Stage>) {
    let reason = match path.as_str() {
        Some("worker-config.json") => {
            "changed here; its settings belong in .runpod/hub.json, which is written differently"
        }
        Some("builder/setup.sh") => "changed here; what it installs belongs in the Dockerfile",
        _ => "changed here, and the modern layout has no such file",
    };
    let stage = |stage: u8, entry: &Entry| {
        let side = Side {
            mode: entry.mode,
            oid: entry.oid.clone()?,
        };
        let path = path.clone();
        Some(Stage { path, stage, side })
    };
    let stages = before
        .and_then(|before| stage(1, before))
        .into_iter()
        .chain(stage(2, now))
        .collect();
    let conflict = Conflict {
        path: path.clone(),
        reason: reason.to_owned(),
    };
    (conflict, stages)
}

#[allow(
    clippy::too_many_arguments,
    reason = "the parts of one value, put together once"
)]
fn finish(
    at: &Situation,
    upstream: &Upstream,
    bundle: &Bundle,
    mentions: Search,
    moves: Vec<Move>,
    built: Built,
    mut notes: Vec<String>,
    first: bool,
) -> Result<Made> {
    let before = at.ours.entries();
    let moved: Vec<(RepoPath, RepoPath)> = moves
        .iter()
        .map(|planned| (planned.from.clone(), planned.to.clone()))
        .collect();
    let top = &at.repo.top;
    let steps = steps::between(before, &built.entries, &moved, &at.status.local, |path| {
        super::journal::exists(&path.below(top))
    });
    expect_no_obstacles(at, &steps)?;
    // What stays as it is needs no second reading.
    let news = |path: &RepoPath| {
        built
            .arrivals
            .iter()
            .any(|arrival| arrival.path == *path && !arrival.what.is_quiet())
    };
    let rewrites = rewrites(bundle, news);
    for (path, incoming) in bundle.files.iter().filter(|(path, _)| news(path)) {
        notes.extend(incoming.notes.iter().map(|note| format!("{path}: {note}")));
    }
    notes.extend(hidden_from_build(at, bundle, &built.entries)?);
    let dangling = if !moves.is_empty() || news(&"Dockerfile".into()) {
        dangling(at, bundle, &mentions.files()?, &moved, &built.entries)?
    } else {
        Vec::new()
    };
    let plan = Plan {
        upstream: Source {
            address: upstream.address.clone(),
            rev: upstream.rev.clone(),
            commit: upstream.commit.clone(),
            shape: upstream.shape,
        },
        head: at.head.clone(),
        before: at.head_tree.clone(),
        after: built.after.clone(),
        local: local_in_retired(at, &moves),
        moves,
        files: built.arrivals,
        rewrites,
        conflicts: built.conflicts,
        dangling,
        notes,
        steps,
    };
    Ok(Made {
        plan,
        stages: built.stages,
        entries: built.entries,
        lock: built.lock,
        kind: if first { Kind::First } else { Kind::Again },
    })
}

/// The tree in which files have moved and nothing else, where any move.
pub fn moves_tree(at: &Situation, scratch: &Scratch, moves: &[Move]) -> Result<Option<Oid>> {
    if moves.is_empty() {
        return Ok(None);
    }
    let before = at.ours.entries();
    let mut entries = before.clone();
    for planned in moves {
        if let Some(entry) = entries.remove(&planned.from) {
            entries.insert(planned.to.clone(), entry);
        }
    }
    merge::tree_of(scratch, before, &entries).map(Some)
}

/// Refuses steps that something in the work tree stands in the way of.
pub fn expect_no_obstacles(at: &Situation, steps: &[Step]) -> Result<()> {
    let obstacles = steps::obstacles(steps, at.ours.entries(), &at.unseen, &at.repo.top)?;
    if obstacles.is_empty() {
        return Ok(());
    }
    bail!(Refusal::new(
        format!(
            "these paths can't be written:\n  {}",
            obstacles.join("\n  ")
        ),
        "move files that git does not track out of the way, or check the paths out, then run this \
         again"
    ))
}

fn rewrites(bundle: &Bundle, news: impl Fn(&RepoPath) -> bool) -> Vec<Rewrite> {
    bundle
        .files
        .iter()
        .filter(|(path, incoming)| incoming.given != incoming.rendered && news(path))
        .map(|(path, incoming)| Rewrite {
            path: path.clone(),
            changes: incoming.changes.clone(),
            diff: diff(
                &incoming.from.to_string(),
                &path.to_string(),
                &incoming.given,
                &incoming.rendered,
            ),
        })
        .collect()
}

/// A unified diff of two texts.
fn diff(old_name: &str, new_name: &str, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    similar::TextDiff::from_lines(&*old, &*new)
        .unified_diff()
        .context_radius(2)
        .header(&format!("upstream/{old_name}"), new_name)
        .to_string()
}

/// Files that git does not track in folders that retire: they stay, and the user should know.
fn local_in_retired(at: &Situation, moves: &[Move]) -> Vec<RepoPath> {
    at.status
        .local
        .iter()
        .filter(|local| {
            let folder = local.parent();
            layout::is_retired(local)
                || layout::is_stray_in_runpod(local)
                || folder.is_none() && local.name().starts_with(b".env")
                || moves
                    .iter()
                    .any(|planned| planned.from.parent() == folder && folder.is_some())
        })
        .cloned()
        .collect()
}

/// The commit messages of a migration.
pub fn messages(plan: &Plan, kind: Kind) -> (String, String) {
    let upstream = match &plan.upstream.commit {
        Some(commit) => format!("{} at {commit}", plan.upstream.address),
        None => plan.upstream.address.clone(),
    };
    let moves = format!(
        "refactor: move the legacy worker to {OUTDATED}/\n\nMoves only, so that history follows \
         each file.\n"
    );
    let subject = match kind {
        Kind::First => "feat: bring in the modern worker",
        Kind::Again => "feat: bring in upstream's changes",
        Kind::Adopt => "chore: record the upstream that this worker came from",
    };
    let content = format!("{subject}\n\nUpstream: {upstream}\n");
    (moves, content)
}

/// Files that the Dockerfile copies and the repository's own `.dockerignore` keeps from it.
fn hidden_from_build(at: &Situation, bundle: &Bundle, after: &Entries) -> Result<Vec<String>> {
    let name = RepoPath::from(".dockerignore");
    let Some(ignore) = after.get(&name).and_then(|entry| entry.oid.as_ref()) else {
        return Ok(Vec::new());
    };
    let Some(ignore) = at.objects.blob(ignore)? else {
        return Ok(Vec::new());
    };
    let Some(dockerfile) = bundle.files.get(&RepoPath::from("Dockerfile")) else {
        return Ok(Vec::new());
    };
    let copied = rewrite::copied_paths(&dockerfile.rendered).unwrap_or_default();
    Ok(bundle
        .files
        .keys()
        .filter(|path| copied.iter().any(|copied| copied.covers(path)))
        .filter(|path| rewrite::excluded(&ignore, path))
        .map(|path| format!("{name} keeps {path} from the build, and the Dockerfile copies it"))
        .collect())
}

/// What in the repository's own files still points at a path that moved, or passes an argument
/// that the new Dockerfile does not declare.
fn dangling(
    at: &Situation,
    bundle: &Bundle,
    mentions: &[RepoPath],
    moved: &[(RepoPath, RepoPath)],
    after: &Entries,
) -> Result<Vec<Dangling>> {
    let ours = at.ours.entries();
    let mut files = Vec::new();
    for path in mentions {
        // What comes from upstream or lies below `outdated/` is not the repository's to mend.
        let stays = match (ours.get(path), after.get(path)) {
            (Some(before), Some(after)) => same(before, after) && before.mode.is_file(),
            _ => false,
        };
        if stays && !bundle.files.contains_key(path) {
            files.push((path.clone(), at.ours.read(path)?));
        }
    }
    let dockerfile = bundle
        .files
        .get(&RepoPath::from("Dockerfile"))
        .context("the upstream has no Dockerfile")?;
    let arguments = rewrite::arguments(&dockerfile.rendered)
        .map_err(|error| Refusal::new(format!("Dockerfile, {error}"), error.help))?;
    Ok(dangling::dangling(
        &files,
        &dangling::After {
            moved,
            result: after,
            arguments: &arguments,
        },
    ))
}
