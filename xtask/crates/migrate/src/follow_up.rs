//! What a person has to look at after a migration: what was rewritten, what stays, and what no
//! longer finds what it names.

use std::collections::BTreeSet;
use std::ops::Range;

use anyhow::{Context, Result};

use super::incoming::{Bundle, Incoming};
use super::merge;
use super::plan::{Planned, Rewrite};
use super::preflight::Preflight;
use transaction::steps;
use worker_files::references::{self, Dangling, MentionKind};
use worker_files::rewrite::Change;
use worker_files::{bake, dockerfile};
use xtask_core::git::Scratch;
use xtask_core::layout::{self, LOCK, OUTDATED};
use xtask_core::outcome::UserError;
use xtask_core::output::diff;
use xtask_core::tree::{Entries, Mode, RepoPath, Tree, TreeEntry, same};

pub fn rewrites(bundle: &Bundle, is_changed: impl Fn(&RepoPath) -> bool) -> Vec<Rewrite> {
    let rewritten = bundle.files.iter();
    let rewritten = rewritten.filter(|(path, it)| it.given != it.rendered && is_changed(path));
    let rewrite = |(path, incoming): (&RepoPath, &Incoming)| {
        let (old, new) = (format!("upstream/{}", incoming.from), path.to_string());
        Rewrite {
            path: path.clone(),
            changes: incoming.changes.clone(),
            diff: diff::unified(&old, &new, &incoming.given, &incoming.rendered),
        }
    };
    rewritten.map(rewrite).collect()
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

/// The files that may refer to the old places. Of a clean work tree the index says the same, and a
/// pack is read many times faster than as many files.
fn mentions(at: &Preflight, needles: &[String]) -> Result<Vec<RepoPath>> {
    let outside: Vec<&str> = layout::RETIRED.iter().copied().chain([OUTDATED]).collect();
    let needles = needles.iter().map(String::as_str);
    at.repo.files_with(needles, &outside, "-I --cached")
}

/// What in the repository's own files still points at a path that moved, or passes an argument
/// that the new Dockerfile does not declare.
pub fn dangling(
    at: &Preflight,
    bundle: &Bundle,
    moved: &[(RepoPath, RepoPath)],
    after: &Entries,
) -> Result<Vec<Dangling>> {
    let (ours, result) = (at.ours.entries(), at.tree(after, "the result"));
    let mut files = Vec::new();
    let needles = references::candidates(moved, after);
    for path in &mentions(at, &needles)? {
        // Files from upstream or below `outdated/` are not the user's to fix.
        let stays = match (ours.get(path), after.get(path)) {
            (Some(before), Some(after)) => {
                before.mode.is_file() && (same(before, after) || path == bake::FILE)
            }
            _ => false,
        };
        if stays && !bundle.files.contains_key(path) {
            files.push((path.clone(), result.read(path)?));
        }
    }
    let dockerfile = bundle
        .files
        .get(&RepoPath::from("Dockerfile"))
        .context("the upstream has no Dockerfile")?;
    let arguments = dockerfile::arguments(&dockerfile.rendered)
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

/// Drops what the new Dockerfile does not declare from the arguments in the repository's
/// docker-bake.hcl, and shows how.
pub fn drop_undeclared(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut Planned,
) -> Result<Option<Rewrite>> {
    let path = RepoPath::from(bake::FILE);
    let ours = at.ours.entries();
    let is_ours = |entry: &&TreeEntry| {
        entry.mode.is_file() && ours.get(&path).is_some_and(|before| same(before, entry))
    };
    if !built
        .entries
        .get(&path)
        .is_some_and(|entry| is_ours(&entry))
    {
        return Ok(None);
    }
    let mut conflicts = built.plan.conflicts.iter();
    let dockerfile = at
        .tree(&built.entries, "the result")
        .read_file("Dockerfile")?;
    let dockerfile = dockerfile.filter(|_| !conflicts.any(|it| it.path == "Dockerfile"));
    let Some(Ok(declared)) = dockerfile.map(|it| dockerfile::arguments(&it)) else {
        return Ok(None);
    };
    let text = at.ours.read(&path)?;
    let Some(without) = references::without_undeclared(&text, &declared) else {
        return Ok(None);
    };
    let changes = vec![dropped(&String::from_utf8_lossy(&text), &without)];
    put(
        at,
        scratch,
        built,
        &path,
        [&text, without.as_bytes()],
        changes,
    )
    .map(Some)
}

/// Puts another text in the place of a file of the result, and tells how.
pub fn put(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut Planned,
    path: &RepoPath,
    [old, new]: [&[u8]; 2],
    changes: Vec<Change>,
) -> Result<Rewrite> {
    let entries = &mut built.entries;
    let mode = entries.get(path).map_or(Mode::File, |entry| entry.mode);
    entries.insert(path.clone(), TreeEntry::of(mode, scratch.blob(new)?));
    if built.lock.upstream.files.contains_key(path) {
        merge::record(&mut built.lock.upstream, entries);
        if built.plan.conflicts.is_empty() {
            let lock = scratch.blob(&built.lock.to_bytes()?)?;
            entries.insert(LOCK.into(), TreeEntry::of(Mode::File, lock));
        }
    }
    built.plan.after = steps::write_tree(scratch, at.ours.entries(), entries)?;
    let name = path.to_string();
    Ok(Rewrite {
        diff: diff::unified(&name, &name, old, new),
        changes,
        path: path.clone(),
    })
}

/// Writes the new paths into the repository's workflows where one file has taken the place of
/// another. What else dangles is left to a person.
pub fn fix_workflows(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut Planned,
    dangling: &[Dangling],
) -> Result<(Vec<Dangling>, Vec<Rewrite>)> {
    let (mut left, mut rewrites) = (Vec::new(), Vec::new());
    for of_file in dangling.chunk_by(|one, other| one.path == other.path) {
        let path = &of_file[0].path;
        let is_yaml = [&b".yml"[..], b".yaml"]
            .iter()
            .any(|end| path.as_bytes().ends_with(end));
        if !path.is_within(".github") || !is_yaml {
            left.extend_from_slice(of_file);
            continue;
        }
        let before = at.ours.read(path)?;
        // Bytes that are no text must not be lost.
        let Ok(text) = std::str::from_utf8(&before) else {
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
                changes.insert(
                    0,
                    Change {
                        line: one.line,
                        what,
                    },
                );
            } else {
                left.push(one.clone());
            }
        }
        if !changes.is_empty() {
            let after = lines.concat();
            rewrites.push(put(
                at,
                scratch,
                built,
                path,
                [&before, after.as_bytes()],
                changes,
            )?);
        }
    }
    left.sort();
    Ok((left, rewrites))
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
    let mut moves = built
        .plan
        .moves
        .iter()
        .filter(|_| one.kind == MentionKind::Code && is_taken_over);
    let length = moves.find_map(|it| ends(it.from.as_str()?))?;
    Some(at..at + here.len() + length)
}
