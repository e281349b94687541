//! What follows from a merge: what was rewritten, what stays, and what no longer finds what it names.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context, Result};

use super::incoming::{Bundle, Incoming};
use super::merge;
use super::plan::{Planned, Planner, Rewrite};
use super::preflight::Preflight;
use transaction::steps;
use worker_files::references::{self, Dangling, MentionKind};
use worker_files::rewrite::Change;
use worker_files::{bake, dockerfile};
use xtask_core::layout::{self, LOCK, OUTDATED};
use xtask_core::outcome::UserError;
use xtask_core::output::diff;
use xtask_core::tree::{Entries, Mode, RepoPath, Tree, TreeEntry, equal, same};

/// The files of a bundle whose paths were rewritten on the way, where they come.
pub fn rewrites(bundle: &Bundle, is_changed: impl Fn(&RepoPath) -> bool) -> Vec<Rewrite> {
    let rewrite = |(
        path,
        Incoming {
            from,
            given,
            rewritten,
            ..
        },
    ): (&RepoPath, &Incoming)| {
        let (old, new) = (format!("upstream/{from}"), path.to_string());
        (*given != rewritten.bytes && is_changed(path)).then(|| Rewrite {
            path: path.clone(),
            changes: rewritten.changes.clone(),
            diff: diff::unified(&old, &new, given, &rewritten.bytes),
        })
    };
    bundle.files.iter().filter_map(rewrite).collect()
}

/// Files that git does not track in folders that retire, and a root `.env`: they stay, and the user
/// should know.
pub fn local_in_retired(at: &Preflight) -> Vec<RepoPath> {
    let retires = |path: &&RepoPath| {
        let is_environment = path.parent().is_none() && path.name().starts_with(b".env");
        layout::is_retired(path) || layout::is_stray_in_runpod(path) || is_environment
    };
    at.status.local.iter().filter(retires).cloned().collect()
}

/// The arguments that a bake file lost: their names, and the line of the first.
fn dropped(text: &str, without: &str) -> Change {
    let mut left = without.lines().peekable();
    let gone = text.lines().zip(1..);
    let gone = gone.filter(|(line, _)| left.next_if_eq(line).is_none());
    let gone: Vec<(&str, usize)> = gone.collect();
    let name = |line: &str| {
        let (name, _) = line.split_once(['=', ':'])?;
        Some(name.trim().trim_matches('"').to_owned())
    };
    let names: BTreeSet<String> = gone.iter().filter_map(|(line, _)| name(line)).collect();
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    Change {
        line: gone.first().map_or(1, |(_, line)| *line),
        what: format!(
            "the new Dockerfile has no argument {names}: set it as a variable, where it is still needed"
        ),
    }
}

impl Planner<'_> {
    /// What in the repository's own files still points at a path that moved, or passes an argument
    /// that the new Dockerfile does not declare.
    pub fn dangling(
        &self,
        bundle: &Bundle,
        moved: &[(RepoPath, RepoPath)],
        after: &Entries,
    ) -> Result<Vec<Dangling>> {
        let (at, ours) = (self.at, self.at.ours.entries());
        let result = at.tree(after, "the result");
        let outside: Vec<&str> = layout::RETIRED.iter().copied().chain([OUTDATED]).collect();
        let needles = references::candidates(moved, after);
        let needles = needles.iter().map(String::as_str);
        // Of a clean work tree the index says the same, and a pack is read many times faster than as
        // many files.
        let mentions = at.repo.files_with(needles, &outside, "-I --cached")?;
        let mut files = Vec::new();
        for path in mentions {
            // Files from upstream or below `outdated/` are not the user's to fix.
            let stays = match (ours.get(&path), after.get(&path)) {
                (Some(before), Some(after)) => {
                    before.mode.is_file() && (same(before, after) || path == bake::FILE)
                }
                _ => false,
            };
            if stays && !bundle.files.contains_key(&path) {
                let text = result.read(&path)?;
                files.push((path, text));
            }
        }
        let dockerfile = bundle.files.get(&RepoPath::from("Dockerfile"));
        let dockerfile = dockerfile.context("the upstream has no Dockerfile")?;
        let arguments = dockerfile::arguments(&dockerfile.rewritten.bytes)
            .map_err(|error| UserError::new(format!("Dockerfile, {error}"), error.help))?;
        let after = references::After {
            moved,
            result: after,
            arguments: &arguments,
        };
        let mut found = references::dangling(&files, &after);
        if !moved.is_empty() {
            let links = ours.iter().filter(|(_, entry)| entry.mode == Mode::Symlink);
            let links = links.map(|(path, _)| Ok((path.clone(), at.ours.read(path)?)));
            let links: Vec<_> = links.collect::<Result<_>>()?;
            found.extend(references::links(&links, ours, &after));
            found.sort();
        }
        Ok(found)
    }

    /// Drops what the new Dockerfile does not declare from the arguments in the repository's
    /// docker-bake.hcl.
    pub fn drop_undeclared(&self, built: &mut Planned) -> Result<()> {
        let path = RepoPath::from(bake::FILE);
        let (before, after) = (self.at.ours.entries().get(&path), built.entries.get(&path));
        if !before.is_some_and(|it| it.mode.is_file()) || !equal(before, after) {
            return Ok(());
        }
        let result = self.at.tree(&built.entries, "the result");
        let dockerfile = result.read_file("Dockerfile")?;
        let mut conflicts = built.plan.conflicts.iter();
        let dockerfile = dockerfile.filter(|_| !conflicts.any(|it| it.path == "Dockerfile"));
        let Some(Ok(declared)) = dockerfile.map(|it| dockerfile::arguments(&it)) else {
            return Ok(());
        };
        let text = self.at.ours.read(&path)?;
        let Some(without) = references::without_undeclared(&text, &declared) else {
            return Ok(());
        };
        let changes = vec![dropped(&String::from_utf8_lossy(&text), &without)];
        self.put(built, &path, [&text, without.as_bytes()], changes)
    }

    /// Puts another text in the place of a file of the result, and tells how.
    pub fn put(
        &self,
        built: &mut Planned,
        path: &RepoPath,
        [old, new]: [&[u8]; 2],
        changes: Vec<Change>,
    ) -> Result<()> {
        let (scratch, entries) = (self.scratch, &mut built.entries);
        let mode = entries.get(path).map_or(Mode::File, |entry| entry.mode);
        entries.insert(path.clone(), TreeEntry::of(mode, scratch.blob(new)?));
        if built.lock.upstream.files.contains_key(path) {
            merge::record(&mut built.lock.upstream, entries);
            if built.plan.conflicts.is_empty() {
                let lock = scratch.blob(&built.lock.to_bytes()?)?;
                entries.insert(LOCK.into(), TreeEntry::of(Mode::File, lock));
            }
        }
        built.plan.after = steps::write_tree(scratch, self.at.ours.entries(), entries)?;
        let name = path.to_string();
        built.plan.rewrites.push(Rewrite {
            diff: diff::unified(&name, &name, old, new),
            changes,
            path: path.clone(),
        });
        Ok(())
    }

    /// Writes the new paths into the repository's workflows where one file has taken the place of
    /// another. Returns what else dangles, which is left to a person.
    pub fn fix_workflows(
        &self,
        built: &mut Planned,
        dangling: &[Dangling],
    ) -> Result<Vec<Dangling>> {
        let mut left = Vec::new();
        for of_file in dangling.chunk_by(|one, other| one.path == other.path) {
            let path = &of_file[0].path;
            let name = path.name();
            let is_yaml = name.ends_with(b".yml") || name.ends_with(b".yaml");
            let is_workflow = path.is_within(".github") && is_yaml;
            let before = is_workflow.then(|| self.at.ours.read(path)).transpose()?;
            // Bytes that are no text must not be lost.
            let text = before.as_deref().map(std::str::from_utf8);
            let Some(Ok(text)) = text else {
                left.extend_from_slice(of_file);
                continue;
            };
            let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
            let mut changes = Vec::new();
            // From the end, so that places before stay as they are.
            for one in of_file.iter().rev() {
                let line = lines.get_mut(one.line.saturating_sub(1));
                if let Some(line) = line
                    && let Some(span) = exact(line, one, built)
                {
                    line.replace_range(span, &one.instead);
                    let what = format!("a file that moved is `{}` now", one.instead);
                    let line = one.line;
                    changes.insert(0, Change { line, what });
                } else {
                    left.push(one.clone());
                }
            }
            if !changes.is_empty() {
                let after = lines.concat();
                self.put(built, path, [text.as_bytes(), after.as_bytes()], changes)?;
            }
        }
        left.sort();
        Ok(left)
    }
}

/// Where a line names a file that moved, and whose place another file of the result has taken.
fn exact(line: &str, one: &Dangling, built: &Planned) -> Option<Range<usize>> {
    let at = line.char_indices().nth(one.column.checked_sub(1)?)?.0;
    let word = &line[at..];
    let here = if one.instead.starts_with("./") {
        "./"
    } else {
        ""
    };
    let bare = word.strip_prefix(here)?;
    let to = RepoPath::from(one.instead.strip_prefix(here)?);
    let is_taken_over = built.entries.contains_key(&to) && !to.is_within(OUTDATED);
    let goes_on = |c: char| c.is_alphanumeric() || "_-/*?+".contains(c);
    let ends = |from: &str| {
        let rest = bare.strip_prefix(from)?;
        (!rest.starts_with(goes_on)).then_some(from.len())
    };
    let mut moves = built.plan.moves.iter();
    let is_code = one.kind == MentionKind::Code;
    let length =
        moves.find_map(|it| ends(it.from.as_str()?).filter(|_| is_code && is_taken_over))?;
    Some(at..at + here.len() + length)
}
