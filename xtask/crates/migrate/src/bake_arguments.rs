//! Arguments that docker-bake.hcl passes and the new Dockerfile does not declare.

use anyhow::{Context, Result};

use super::merge::MergedTree;
use super::plan::Rewrite;
use super::preflight::Preflight;
use transaction::steps;
use worker_files::rewrite::Change;
use worker_files::{bake, dockerfile, references};
use xtask_core::git::Scratch;
use xtask_core::output::diff;
use xtask_core::tree::{Entry, RepoPath, Tree, same};

/// Drops them from the repository's own file, and shows how.
pub fn drop_undeclared(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut MergedTree,
) -> Result<Option<Rewrite>> {
    let path = RepoPath::from(bake::FILE);
    let ours = at.ours.entries();
    let is_ours = |entry: &&Entry| {
        entry.mode.is_file() && ours.get(&path).is_some_and(|before| same(before, entry))
    };
    let Some(entry) = built.entries.get(&path).filter(is_ours).cloned() else {
        return Ok(None);
    };
    let dockerfile = RepoPath::from("Dockerfile");
    let is_at_odds = built.conflicts.iter().any(|one| one.path == dockerfile);
    let dockerfile = built.entries.get(&dockerfile);
    let dockerfile = dockerfile.and_then(|entry| entry.oid.as_ref());
    let (Some(dockerfile), false) = (dockerfile, is_at_odds) else {
        return Ok(None);
    };
    let dockerfile = at.objects.blob(dockerfile)?.unwrap_or_default();
    let Ok(declared) = dockerfile::arguments(&dockerfile) else {
        return Ok(None);
    };
    let text = at.ours.read(&path)?;
    let Some(without) = references::without_undeclared(&text, &declared) else {
        return Ok(None);
    };
    let oid = scratch.blobs([without.as_bytes()])?.pop();
    let oid = oid.context("git stored no bake file")?;
    let lines = |text: &[u8]| text.split(|&byte| byte == b'\n').count();
    let what = format!(
        "{} arguments that the new Dockerfile does not declare are left out",
        lines(&text) - lines(without.as_bytes())
    );
    let rewrite = Rewrite {
        diff: diff::unified(bake::FILE, bake::FILE, &text, without.as_bytes()),
        changes: vec![Change { line: 1, what }],
        path: path.clone(),
    };
    built.entries.insert(path, Entry::of(entry.mode, oid));
    built.after = steps::tree_of(scratch, ours, &built.entries)?;
    Ok(Some(rewrite))
}
