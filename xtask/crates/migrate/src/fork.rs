//! A fork's own changes: since when, in which files, and what became of each; for `--carry`, as
//! sides of a merge.

use std::ops::Range;

use anyhow::{Result, bail};

use super::merge::Sides;
use super::official::{Official, OfficialBase, changed, shallow};
use super::plan::ForkChanges;
use super::preflight::{self, Preflight};
use super::revisions::Revision;
use compare::{Exposed, ForkChange};
use transaction::steps::{Conflict, ConflictStage};
use worker_files::WorkerInterface;
use xtask_core::git::{Git, Repo};
use xtask_core::layout::{self, Layout};
use xtask_core::outcome::UserError;
use xtask_core::output::cut;
use xtask_core::tree::{Oid, RepoPath, Tree, TreeEntry, equal};

/// The changes of a legacy fork without its history, by the files that it has in common with an
/// official revision; and how sure that is.
pub fn changes_by_files(
    official: &Official,
    at: &Preflight,
    notes: &mut Vec<String>,
) -> Result<Option<ForkChanges>> {
    let similar = official.most_similar(Layout::Legacy);
    let mut own = None;
    if let Some(similar) = &similar {
        let Revision { commit, files, .. } = similar.revision;
        own = changes_since(commit, changed(files, at.ours.entries()), false);
        notes.extend(own.as_ref().map(|_| similar.note()));
    } else {
        notes.push(
            "this worker is like no official revision, so what it changed itself is not known: \
             `cargo xtask migrate --carry BASE` merges what changed since BASE into the new files"
                .to_owned(),
        );
    }
    notes.extend(shallow(at)?);
    Ok(own.map(|own| ForkChanges {
        guessed: true,
        ..own
    }))
}

/// Whether a legacy worker is a fork of the official one and has changes of its own.
pub fn has_own_changes(repo: &Repo) -> Result<bool> {
    let at = preflight::read(repo)?;
    let (git, ours) = (Git::find()?, at.ours.entries());
    let official = Official::open(&git, None, &at)?;
    let changed = match official.local_base()? {
        Some(base) => Some(base.changed(ours)),
        None => (official.most_similar(Layout::Legacy))
            .map(|similar| changed(&similar.revision.files, ours)),
    };
    Ok(changed.is_some_and(|files| !files.is_empty()))
}

pub fn changes_since(base: &Oid, files: Vec<RepoPath>, carried: bool) -> Option<ForkChanges> {
    (!files.is_empty()).then(|| ForkChanges {
        base: base.0.clone(),
        guessed: false,
        carried,
        files,
        changes: Vec::new(),
    })
}

/// The changes in files in conflict: first those of what a worker exposes, then other lines.
pub fn changes_in_conflict(
    at: &Preflight,
    base: &OfficialBase,
    exposed: [&Exposed; 3],
    conflicts: &[&Conflict],
) -> Result<Vec<ForkChange>> {
    let [fork, started, new] = exposed;
    let is_there = |path: &RepoPath| {
        let place = layout::counterpart(path);
        let mut paths = conflicts.iter().map(|conflict| &conflict.path);
        paths.any(|conflict| conflict == path || place.as_ref() == Some(conflict))
    };
    let mut changes = fork.changes(started, new);
    let mut changed: Vec<(RepoPath, String, Vec<Hunk>)> = Vec::new();
    for path in base.changed(at.ours.entries()) {
        let text = |tree: &dyn Tree| {
            let is_there = tree.entries().contains_key(&path);
            let content = is_there.then(|| tree.read(&path)).transpose()?;
            let content = content.unwrap_or_default();
            anyhow::Ok(String::from_utf8_lossy(&content).into_owned())
        };
        let (before, after) = (text(&base.tree)?, text(&at.ours)?);
        if is_there(&path) && !before.contains('\0') && !after.contains('\0') {
            let hunks = hunks(&path, &before, &after);
            changed.push((path, after, hunks));
        }
    }
    // Where several places read a variable, name the one that the fork changed.
    for change in &mut changes {
        let holds = |place: &&(RepoPath, usize)| {
            let mut files = changed.iter().filter(|(path, ..)| *path == place.0);
            files.any(|(.., hunks)| hunks.iter().any(|hunk| hunk.after.contains(&place.1)))
        };
        if let Some((path, line)) = change.places.iter().find(holds)
            && !change.is_removal()
        {
            (change.path, change.line) = (path.clone(), *line);
        }
    }
    changes.retain(|change| is_there(&change.path));
    // A flag beside its variable is the same change.
    let place = |change: &ForkChange| (change.path.clone(), change.line);
    let variables = changes.iter().filter(|it| it.id.starts_with("env:"));
    let variables: Vec<(RepoPath, usize)> = variables.map(place).collect();
    changes.retain(|it| !it.id.starts_with("flag:") || !variables.contains(&place(it)));
    for (path, text, hunks) in changed {
        // A different reading of an unchanged line is a consequence; a changed value still counts.
        changes.retain(|change| {
            let is_changed = || hunks.iter().any(|hunk| hunk.holds(change));
            change.path != path || !change.is_loss() || is_changed()
        });
        let mut lines = Vec::new();
        for hunk in hunks {
            let mut of_file = changes.iter_mut().filter(|change| change.path == path);
            match of_file.find(|change| hunk.holds(change)) {
                Some(first) => {
                    let line = text.lines().nth(first.line.saturating_sub(1));
                    let line = line.filter(|_| !first.is_removal()).map(shown);
                    first.text = Some(line.unwrap_or(hunk.change.what));
                }
                None => lines.push(hunk.change),
            }
        }
        changes.extend(lines);
    }
    changes.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(changes)
}

struct Hunk {
    change: ForkChange,
    before: Range<usize>,
    after: Range<usize>,
}

impl Hunk {
    /// Whether a fact that changed stands in these lines.
    fn holds(&self, change: &ForkChange) -> bool {
        let is_removal = change.is_removal();
        let lines = if is_removal {
            &self.before
        } else {
            &self.after
        };
        lines.contains(&change.line)
    }
}

/// A line as it is told.
fn shown(line: &str) -> String {
    format!("`{}`", cut(line.trim(), 60))
}

fn hunks(path: &RepoPath, before: &str, after: &str) -> Vec<Hunk> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let diff = similar::TextDiff::from_lines(before, after);
    let is_comment = |line: &str| {
        line.starts_with('#') && !line.starts_with("#!") && !path.name().ends_with(b".md")
    };
    let hunk = |operation: &similar::DiffOp| {
        let (old_range, new_range) = (operation.old_range(), operation.new_range());
        let said = |lines: Option<&[&str]>| -> Vec<String> {
            let lines = lines.into_iter().flatten().map(|line| line.trim());
            let lines = lines.filter(|line| !line.is_empty() && !is_comment(line));
            lines.map(str::to_owned).collect()
        };
        let text = |lines: &[String]| {
            let mut found = lines.iter();
            let words = found.find(|line| line.contains(char::is_alphanumeric));
            let said = words.or(lines.first());
            said.map(|line| shown(line))
        };
        let removed = said(old.get(old_range.clone()));
        let added = said(new.get(new_range.clone()));
        // Spaces and comments do nothing, nor do the lines of a JSON file.
        let bare = |lines: &[String]| lines.concat().replace(char::is_whitespace, "");
        let is_json = path.name().ends_with(b".json");
        if removed == added || is_json && bare(&removed) == bare(&added) {
            return None;
        }
        let what = match text(&added) {
            Some(line) => line,
            None => format!("removed: {}", text(&removed)?),
        };
        let change = ForkChange {
            id: String::new(),
            path: path.clone(),
            line: new_range.start + 1,
            what,
            now: "decide whether the new worker needs it, and write it where that does this now"
                .to_owned(),
            text: None,
            set: None,
            is_open: true,
            places: Vec::new(),
        };
        Some(Hunk {
            change,
            before: old_range.start + 1..old_range.end + 1,
            after: new_range.start + 1..new_range.end + 1,
        })
    };
    let operations = diff.ops().iter();
    let changes = operations.filter(|it| it.tag() != similar::DiffTag::Equal);
    changes.filter_map(hunk).collect()
}

/// Whether anything in a worker names `SGLang`: an import, a command, its base image or a
/// requirement. Texts for people do not count.
pub fn names_sglang(repo: &Repo) -> Result<bool> {
    let texts = [
        "*.md", "*.rst", "*.svg", "LICENSE*", "docs", ".github", ".xtask",
    ];
    let found = repo.files_with(["sglang"], &texts, "--cached -i -I")?;
    Ok(!found.is_empty())
}

pub fn check_sglang(at: &Preflight) -> Result<()> {
    if names_sglang(&at.repo)? {
        return Ok(());
    }
    let worker = WorkerInterface::read(&at.ours)?.split().0;
    let mut has = Vec::new();
    if let Some(base) = worker.image.as_ref().and_then(|image| image.base.as_ref()) {
        has.push(format!("it is built on {}", base.text));
    }
    let packages = worker.packages.iter();
    let packages = packages.filter(|it| it.manager == worker_files::packages::Manager::Pip);
    let mut packages: Vec<&str> = packages.map(|package| &*package.name).collect();
    packages.dedup();
    if !packages.is_empty() {
        let more = if packages.len() > 6 { ", …" } else { "" };
        packages.truncate(6);
        has.push(format!("it installs {}{more}", packages.join(", ")));
    }
    let colon = if has.is_empty() { "" } else { ": " };
    bail!(UserError::new(
        format!(
            "{} is no worker for SGLang: no import, command, base image or requirement in it \
             names that{colon}{}",
            at.repo.top.display(),
            has.join(" and ")
        ),
        "name the worker's repository with `-C DIR`, or migrate this one all the same with --anyway"
    ))
}

impl Sides<'_> {
    /// Adds what changed in this fork of the legacy layout since `base`.
    pub fn carry(&mut self, base: &OfficialBase) -> Result<()> {
        let (theirs, files) = (&self.theirs, base.tree.entries());
        let place = |path: &RepoPath| {
            layout::counterpart(path).or_else(|| theirs.contains_key(path).then(|| path.clone()))
        };
        for (path, entry) in files {
            if let Some(to) = place(path) {
                self.base.insert(to, entry.clone());
            }
        }
        // An empty `__init__.py` holds nothing that could be lost.
        let empty = self.planner.scratch.hashes([&b""[..]])?.pop();
        for (path, entry) in self.planner.at.ours.entries() {
            let before = files.get(path);
            if let Some(to) = place(path) {
                self.carried.push((path.clone(), to));
            } else if layout::is_retired(path) && !equal(before, Some(entry)) {
                let (conflict, stages) = orphan(path, before, entry);
                if stages.iter().any(|it| Some(&it.side.oid) != empty.as_ref()) {
                    self.orphans.push((conflict, stages));
                }
            }
        }
        Ok(())
    }
}

/// A legacy file that the fork changed and the modern layout has no counterpart of.
fn orphan(
    path: &RepoPath,
    before: Option<&TreeEntry>,
    now: &TreeEntry,
) -> (Conflict, Vec<ConflictStage>) {
    let reason = match path.as_str() {
        Some("worker-config.json") => {
            "changed here; its settings belong in .runpod/hub.json, which is written differently"
        }
        Some("builder/setup.sh") => "changed here; what it installs belongs in the Dockerfile",
        _ => "changed here, and the modern layout has no such file",
    };
    let stages = [(1, before), (2, Some(now))].into_iter();
    let stages = stages.filter_map(|(stage, entry)| {
        let (path, side) = (path.clone(), entry?.side()?);
        Some(ConflictStage { path, stage, side })
    });
    let (path, reason) = (path.clone(), reason.to_owned());
    (Conflict { path, reason }, stages.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_changed_are_told_by_their_place_in_the_fork() {
        let found = hunks(&"a.py".into(), "1\n2\n3\n4\n", "1\n  two\n3\n");
        let told: Vec<(usize, &str, Range<usize>)> = found
            .iter()
            .map(|hunk| (hunk.change.line, &*hunk.change.what, hunk.after.clone()))
            .collect();
        assert_eq!(told, [(2, "`two`", 2..3), (4, "removed: `4`", 4..4)]);
    }

    #[test]
    fn spaces_and_comments_are_no_changes() {
        let of = |before, after| -> Vec<String> {
            let found = hunks(&"a.py".into(), before, after).into_iter();
            found.map(|hunk| hunk.change.what).collect()
        };
        assert_eq!(
            of("a()\n# one\nb()\n", "a() \n# two\n# three\n\nb()\n"),
            [""; 0]
        );
        assert_eq!(of("b()\n", "# why\na()\nb()\n"), ["`a()`"]);
        assert_eq!(of("# why\na()\nb()\n", "b()\n"), ["removed: `a()`"]);
        assert_eq!(of("b()\n", "#!/bin/sh\nb()\n"), ["`#!/bin/sh`"]);
    }

    #[test]
    fn a_change_is_told_by_a_line_with_words() {
        let found = hunks(&"a.json".into(), "[\n]\n", "[\n{\n\"key\": 1\n}\n]\n");
        let told: Vec<&str> = found.iter().map(|hunk| &*hunk.change.what).collect();
        assert_eq!(told, ["`\"key\": 1`"]);
    }
}
