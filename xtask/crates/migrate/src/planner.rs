//! Making the plan: reads the repository and the upstream, and decides.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::incoming::{self, Bundle};
use super::merge::{self, Sides};
use super::official::{Official, OfficialBase};
use super::plan::{self, Move, Plan, Planned, Planner, UpstreamSource};
use super::preflight::Preflight;
use super::upstream::{self, Upstream};
use super::{context, follow_up, fork, validate_upstream};
use crate::args::{Conflicts, TASK};
use compare::Exposed;
use transaction::journal::{Commit, JournalRecord};
use transaction::steps;
use transaction::targets::check_targets_free;
use xtask_core::layout::{self, ACCEPTED, BASELINE, LOCK, Layout, OUTDATED, Shape};
use xtask_core::lock::{Lock, Origin};
use xtask_core::outcome::UserError;
use xtask_core::records;
use xtask_core::tree::{Entries, Oid, RepoPath, Tree, same};

impl Planner<'_> {
    pub fn make(&self) -> Result<Planned> {
        let (at, scratch, args) = (self.at, self.scratch, self.args);
        let first = at.lock.is_none();
        self.check_applicable()?;
        let open = || Official::open(self.git, args.official.as_deref(), at);
        let official = first.then(open).transpose()?;
        let mut fork_base = match &official {
            Some(official) => official.base(scratch, args.carry.as_deref())?,
            None => None,
        };
        let locked = at.lock.as_ref().map(|lock| &lock.upstream);
        let upstream = self.open_upstream(args.upstream.as_deref(), args.rev.as_deref(), locked)?;
        // Where the upstream changes, the files of the previous one are the old worker.
        let previous = locked.filter(|origin| origin.address != upstream.source.address);
        self.check_conflicts_option(previous.is_some())?;
        let bundle = upstream.collect()?;
        let mut notes = bundle.notes.clone();
        let mut sides = self.sides(&upstream, &bundle)?;
        if first {
            sides.moves = plan::relocate(at.ours.entries(), &sides.theirs)?;
        }
        check_confusable_names(&sides)?;
        if let (Some(base), Some(_)) = (&fork_base, &args.carry) {
            sides.carry(base)?;
            notes.extend(base.notes.clone());
        }
        let is_recorded = first || previous.is_some();
        let exposed = is_recorded.then(|| exposed(at, &mut notes)).flatten();
        if let Some(origin) = previous {
            fork_base = OfficialBase::locked(at, origin)?;
        }
        let carries = args.carry.is_some() || previous.is_some();
        let base = match &fork_base {
            Some(base) => Some((base, Exposed::read(&base.tree)?)),
            None => None,
        };
        if let Some(exposed) = &exposed {
            sides.records = records(at, exposed, base.as_ref(), &upstream, &mut notes);
        }
        let own = match &fork_base {
            Some(base) => {
                fork::changes_since(&base.commit, base.changed(at.ours.entries()), carries)
            }
            None => match &official {
                Some(official) => fork::changes_by_files(official, at, &mut notes)?,
                None => None,
            },
        };
        let plan = Plan {
            own,
            ..Plan::new(at, upstream.source)
        };
        let mut built = sides.build(plan)?;
        let plan = &mut built.plan;
        if let (Some(own), Some((base, old)), Some(fork)) = (&mut plan.own, &base, &exposed)
            && own.carried
            && !(plan.conflicts.is_empty() && plan.taken.is_empty())
        {
            let mut theirs = sides.theirs.clone();
            theirs.retain(|path, _| !layout::is_tool(path));
            let new = Exposed::read(&at.tree(&theirs, "upstream"))?;
            let conflicts: Vec<_> = plan.conflicts.iter().chain(&plan.taken).collect();
            own.changes = fork::changes_in_conflict(at, base, [fork, old, &new], &conflicts)?;
        }
        // Upstream's Dockerfile copies upstream's modules; the fork's others may be missing, with
        // the data beside them.
        let carried = sides.carried.into_iter();
        let carried = carried.filter(|(from, _)| from.is_within("src"));
        let mut modules: Vec<RepoPath> = carried.map(|(_, to)| to).collect();
        modules.retain(|to| !bundle.files.contains_key(to));
        if previous.is_some() {
            modules.extend(context::own_modules(&at.ours, &sides.base, &bundle)?);
        }
        if first {
            plan.local = follow_up::local_in_retired(at);
        }
        plan.moves = sides.moves;
        plan.notes = notes;
        self.fill(&mut built, &bundle, &modules, fork_base.as_ref())?;
        Ok(built)
    }

    /// Puts into a plan what the merged result tells. `modules` are those that upstream does not
    /// give.
    fn fill(
        &self,
        built: &mut Planned,
        bundle: &Bundle,
        modules: &[RepoPath],
        base: Option<&OfficialBase>,
    ) -> Result<()> {
        let (at, first) = (self.at, self.at.lock.is_none());
        let plan = &mut built.plan;
        plan.rewrites = follow_up::rewrites(bundle, |path| is_changed(plan, path));
        if first {
            self.drop_undeclared(built)?;
        }
        self.copy_modules(built, modules)?;
        if let Some(base) = base {
            self.write_settings(built, &base.tree)?;
        }
        let moves = built.plan.moves.iter();
        let moved: Vec<_> = moves.map(|it| (it.from.clone(), it.to.clone())).collect();
        if !moved.is_empty() || is_changed(&built.plan, &"Dockerfile".into()) {
            let dangling = self.dangling(bundle, &moved, &built.entries)?;
            built.plan.dangling = self.fix_workflows(built, &dangling)?;
        }
        let (before, after, plan) = (at.ours.entries(), &built.entries, &mut built.plan);
        plan.steps = steps::changes_between(before, after, &moved);
        check_targets_free(&at.repo, &plan.steps, before)?;
        if !first {
            plan.notes.extend(strays(before));
        }
        let mut notes = Vec::new();
        for (path, incoming) in bundle
            .files
            .iter()
            .filter(|(path, _)| is_changed(plan, path))
        {
            let of_file = incoming.rewritten.notes.iter();
            notes.extend(of_file.map(|note| format!("{path}: {note}")));
        }
        plan.notes.extend(notes);
        let given: Vec<&RepoPath> = bundle.files.keys().collect();
        let result = at.tree(after, "the result");
        plan.notes
            .extend(context::notes(&result, before, &given, modules)?);
        Ok(())
    }

    /// The record of a transaction that does what was planned.
    pub fn record(&self, made: &Planned) -> Result<JournalRecord> {
        let (at, plan) = (self.at, &made.plan);
        let waits = !plan.conflicts.is_empty();
        let lock = waits.then(|| made.lock.to_bytes()).transpose()?;
        let upstream = match &plan.upstream.commit {
            Some(commit) => format!("{} at {commit}", plan.upstream.address),
            None => plan.upstream.address.clone(),
        };
        let subject = if self.args.adopt.is_some() {
            "chore: record the upstream that this worker came from"
        } else if at.lock.is_none() {
            "feat: bring in the modern worker"
        } else {
            "feat: bring in upstream's changes"
        };
        Ok(JournalRecord {
            task: TASK.to_owned(),
            head: plan.head.clone(),
            before_tree: plan.before.clone(),
            after_tree: plan.after.clone(),
            steps: plan.steps.clone(),
            conflicts: plan.conflicts.clone(),
            stages: made.stages.clone(),
            pending: lock.map(String::from_utf8).transpose()?,
            commit: Some(Commit {
                wanted: self.args.commit,
                moves_tree: self.moves_tree(&plan.moves)?,
                moves_message: format!(
                    "refactor: move the legacy worker to {OUTDATED}/\n\nMoves only, so that \
                     history follows each file.\n"
                ),
                message: format!("{subject}\n\nUpstream: {upstream}\n"),
                tip: None,
            }),
            ..JournalRecord::default()
        })
    }

    /// The tree in which files have moved and nothing else, where any move.
    fn moves_tree(&self, moves: &[Move]) -> Result<Option<Oid>> {
        if moves.is_empty() {
            return Ok(None);
        }
        let before = self.at.ours.entries();
        let mut entries = before.clone();
        for planned in moves {
            if let Some(entry) = entries.remove(&planned.from) {
                entries.insert(planned.to.clone(), entry);
            }
        }
        steps::write_tree(self.scratch, before, &entries).map(Some)
    }

    /// Refuses what can't be migrated in this way.
    fn check_applicable(&self) -> Result<()> {
        if self.at.lock.is_none() {
            let ours = self.at.ours.entries();
            let is_worker =
                Layout::of(ours) != Layout::Unknown || ours.contains_key(&"handler.py".into());
            if is_worker && !self.args.anyway {
                fork::check_sglang(self.at)?;
            }
            check_legacy(self.at)?;
        } else if self.args.carry.is_some() {
            bail!(UserError::new(
                format!("{LOCK} is there, so this worker is modern already"),
                "leave --carry out; upstream's changes are merged with those made here anyway"
            ));
        }
        Ok(())
    }

    /// Refuses `--conflicts upstream` unless the old state is recorded.
    fn check_conflicts_option(&self, is_another_upstream: bool) -> Result<()> {
        if self.args.conflicts == Conflicts::Upstream
            && self.args.carry.is_none()
            && !is_another_upstream
        {
            bail!(UserError::new(
                "`--conflicts upstream` is for `--carry` and for another upstream, where `compare` \
                 knows what was there before",
                "write the conflicts into the files with `--conflicts markers`"
            ));
        }
        Ok(())
    }

    /// The outer sides of the merge, and the lines of the lock.
    fn sides(&self, upstream: &Upstream, bundle: &Bundle) -> Result<Sides<'_>> {
        let mut origin = merge::store(self.scratch, bundle, upstream.source.clone())?;
        let (mut base, mut theirs) = (Entries::new(), Entries::new());
        let lock = self.at.lock.as_ref();
        let known = lock.filter(|lock| gives_the_same(&lock.upstream, &origin));
        // With nothing new, nothing is merged and the lock keeps its lines.
        if let Some(lock) = known {
            origin = lock.upstream.clone();
        } else {
            (base, theirs) = (self.base(upstream)?, origin.entries());
        }
        let mut tool = lock.and_then(|lock| lock.tool.clone());
        if self.args.embed {
            let fresh = self.tool(tool.as_ref())?;
            theirs.extend(fresh.entries());
            base.extend(tool.iter().flat_map(Origin::entries));
            tool = Some(fresh);
        }
        Ok(Sides {
            planner: self,
            base,
            theirs,
            upstream: (origin, known.is_none()),
            tool: tool.map(|tool| (tool, self.args.embed)),
            moves: Vec::new(),
            carried: Vec::new(),
            orphans: Vec::new(),
            records: Vec::new(),
        })
    }

    /// What upstream gave last time: from the object database, or from the commit that the lock
    /// records.
    pub fn base(&self, upstream: &Upstream) -> Result<Entries> {
        let Some(Lock { upstream: last, .. }) = &self.at.lock else {
            return Ok(Entries::new());
        };
        if OfficialBase::locked(self.at, last)?.is_some() {
            return Ok(last.entries());
        }
        let commit = last.commit.as_deref();
        let tree = commit.map(|commit| upstream.at(commit)).transpose()?;
        let Some(tree) = tree.flatten() else {
            bail!(UserError::new(
                "what upstream gave last time is not to be had any more",
                format!(
                    "name an upstream that has commit {} with --upstream, or remove {LOCK} and run \
                     `cargo xtask migrate --adopt REV`",
                    commit.unwrap_or("(none)")
                )
            ));
        };
        upstream.fetch_files(&tree)?;
        let bundle = incoming::collect(&tree, last.shape, |_| Ok(()))?;
        Ok(merge::store(self.scratch, &bundle, upstream.source.clone())?.entries())
    }

    /// The tool's own files, which come along; `before` are those that it gave last time.
    fn tool(&self, before: Option<&Origin>) -> Result<Origin> {
        let (repository, ours) = (&*self.at.repo.top, self.at.ours.entries());
        let (commit, tree) = upstream::open_own(self.git, repository)?;
        let source = UpstreamSource {
            address: upstream::permanent_address(self.git, repository)?,
            rev: None,
            commit,
            shape: Shape::Root,
        };
        let origin = merge::store(self.scratch, &incoming::collect_tool(&*tree)?, source)?;
        let mut taken = origin.entries();
        taken.retain(|path, new| ours.get(path).is_some_and(|ours| !same(ours, new)));
        if before.is_none() && !taken.is_empty() {
            let taken: Vec<String> = taken.keys().map(ToString::to_string).collect();
            bail!(UserError::new(
                format!(
                    "the tool can't be embedded: {} is there already",
                    taken.join(", ")
                ),
                "leave --embed out, and run the tool from its own clone with `-C`"
            ));
        }
        Ok(origin)
    }
}

/// Whether an upstream gives what it gave last time. A commit that changed no file of the worker does
/// not count as new.
fn gives_the_same(old: &Origin, fresh: &Origin) -> bool {
    old.files.len() == fresh.files.len()
        && old.files.iter().zip(&fresh.files).all(|(old, new)| {
            old.0 == new.0 && old.1.given == new.1.given && old.1.mode == new.1.mode
        })
        && old.address == fresh.address
        && old.rev == fresh.rev
}

/// Whether a plan changes a file: those that stay as they are have been reviewed before.
fn is_changed(plan: &Plan, path: &RepoPath) -> bool {
    let mut arrivals = plan.files.iter();
    arrivals.any(|arrival| arrival.path == *path && !arrival.what.is_unchanged())
}

fn name_of(at: &Preflight) -> String {
    format!("the worker at {}", at.head.short())
}

/// What the old worker exposes, unless that is on record. One that can't be read does not stop a
/// migration.
fn exposed(at: &Preflight, notes: &mut Vec<String>) -> Option<Exposed> {
    let entries = at.ours.entries();
    let place = records::place_in(entries, BASELINE).unwrap_or(BASELINE);
    if entries.contains_key(&RepoPath::from(place)) {
        return None;
    }
    let read = Exposed::read(&at.tree(entries, name_of(at)));
    read.inspect_err(|error| notes.push(format!("{BASELINE} is not written: {error:#}")))
        .ok()
}

/// The records of the old worker: its facts, and what upstream gives as reasons for the same.
fn records(
    at: &Preflight,
    exposed: &Exposed,
    fork_base: Option<&(&OfficialBase, Exposed)>,
    upstream: &Upstream,
    notes: &mut Vec<String>,
) -> Vec<(RepoPath, Vec<u8>)> {
    let since = fork_base.map(|(base, facts)| (facts, &*base.commit.0));
    let (text, count) = exposed.baseline(&name_of(at), Some(&at.head.0), since);
    notes.push(format!(
        "{BASELINE} keeps {count} facts of the old worker; `cargo xtask compare` says what became \
         of each"
    ));
    let mut records = vec![(RepoPath::from(BASELINE), text.into_bytes())];
    if let (Some((_, fork_base)), Some(commit)) = (fork_base, &upstream.source.commit) {
        match exposed.offered(fork_base, &at.ours, &*upstream.tree, commit) {
            Ok(Some(text)) => records.push((ACCEPTED.into(), text.into_bytes())),
            Ok(None) => {}
            Err(error) => notes.push(format!("upstream's reasons are not offered: {error:#}")),
        }
    }
    records
}

/// Refuses names that a file system could confuse with those of files here.
fn check_confusable_names(sides: &Sides) -> Result<()> {
    let (ours, theirs) = (sides.planner.at.ours.entries(), &sides.theirs);
    let moved: BTreeSet<&RepoPath> = sides.moves.iter().map(|planned| &planned.from).collect();
    let stays = |path: &&RepoPath| !moved.contains(path) && !sides.base.contains_key(path);
    let new = theirs.keys().filter(|path| !ours.contains_key(path));
    let problems = validate_upstream::twins(new, ours.keys().filter(stays));
    let problems = Vec::from_iter(problems);
    if problems.is_empty() {
        return Ok(());
    }
    bail!(UserError::new(
        format!("the upstream is refused:\n  {}", problems.join("\n  ")),
        "give your file another name with `git mv`, and commit that; or name another upstream"
    ))
}

fn check_legacy(at: &Preflight) -> Result<()> {
    let entries = at.ours.entries();
    match Layout::of(entries) {
        Layout::Legacy => return Ok(()),
        Layout::Modern => bail!(UserError::new(
            format!("this worker has the modern layout, but no {LOCK}"),
            "find the upstream that its files came from with `cargo xtask migrate --adopt main`: it looks \
             in the official repository and in this tool's; `--upstream DIR|URL` names another"
        )),
        Layout::Unknown => {}
    }
    bail!(UserError::new(
        format!(
            "{} is no worker of the legacy layout: it has none of {}",
            at.repo.top.display(),
            layout::RETIRED.join(", ")
        ),
        if entries.keys().any(|path| path.is_within(OUTDATED)) {
            "move the files in outdated/ back to where they were and commit that, then run this again"
        } else if entries.contains_key(&"handler.py".into()) {
            "its handler.py is at the root: move it and the modules beside it to src/ with `git mv`, \
             let the Dockerfile copy them from there, and commit that; then run this again"
        } else {
            "name the worker's repository with `-C DIR`"
        }
    ))
}

/// What an update leaves in `.runpod/` although the Hub reads nothing of it.
fn strays(ours: &Entries) -> Option<String> {
    let strays = ours.keys().filter(|path| layout::is_stray_in_runpod(path));
    let strays: Vec<String> = strays.map(ToString::to_string).collect();
    (!strays.is_empty()).then(|| {
        format!(
            "{} stays where it is; the Hub reads nothing in .runpod/ but hub.json and tests.json",
            strays.join(", ")
        )
    })
}
