//! Arguments that docker-bake.hcl passes and the new Dockerfile does not declare.

use anyhow::Result;

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
    let oid = scratch.blob(without.as_bytes())?;
    let rewrite = Rewrite {
        diff: diff::unified(bake::FILE, bake::FILE, &text, without.as_bytes()),
        changes: changes(&String::from_utf8_lossy(&text), &without),
        path: path.clone(),
    };
    built.entries.insert(path, Entry::of(entry.mode, oid));
    built.after = steps::tree_of(scratch, ours, &built.entries)?;
    Ok(Some(rewrite))
}

/// What goes, line by line, and what to do about a value.
fn changes(text: &str, without: &str) -> Vec<Change> {
    let mut kept = without.lines().peekable();
    let lines = text.lines().enumerate();
    let gone = lines.filter(|(_, line)| kept.next_if_eq(line).is_none());
    let change = |(index, line): (usize, &str)| {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let (name, value) = (name.trim(), value.trim().trim_matches(['"', ',']));
        let instead = if value.is_empty() {
            String::new()
        } else {
            format!("; what needs {name}={value} has to be told in another way")
        };
        let what = format!("the new Dockerfile declares no argument {name}{instead}");
        let line = index + 1;
        Change { line, what }
    };
    gone.map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_goes_is_named() {
        let text = "args = {\n  A = \"1\"\n  MODEL_NAME = \"org/model\"\n  B = \"\"\n}\n";
        let changes = changes(text, "args = {\n  A = \"1\"\n}\n");
        let said: Vec<_> = changes.iter().map(|it| (it.line, &*it.what)).collect();
        let model = "the new Dockerfile declares no argument MODEL_NAME; what needs \
                     MODEL_NAME=org/model has to be told in another way";
        let empty = "the new Dockerfile declares no argument B";
        assert_eq!(said, [(3, model), (4, empty)]);
    }
}
