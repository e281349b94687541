//! Which old worker the new one is compared with, and where its facts come from.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Result, bail};

use super::baseline::{self, Record};
use super::facts::{AREAS, Facts, area_of};
use super::own_changes::OwnChanges;
use super::trees;
use worker_files::is_one_of;
use xtask_core::layout::{BASELINE, OUTDATED};
use xtask_core::outcome::UserError;
use xtask_core::records;
use xtask_core::tree::{Tree, short};

#[derive(Default)]
pub struct Old {
    pub facts: Facts,
    pub name: String,
    /// Its files, where they are there.
    pub tree: Option<Box<dyn Tree>>,
    /// The commit that they are of.
    pub commit: Option<String>,
    /// The files of that commit, where it is in this repository.
    pub recorded: Option<Box<dyn Tree>>,
    /// What it started from, where it is a fork.
    pub base: Option<OwnChanges>,
    /// What a reader should know of where the facts come from.
    pub notes: Vec<String>,
}

impl Old {
    /// Its files: those that are there, else those of its commit.
    pub fn files(&self) -> Option<&dyn Tree> {
        self.tree.as_deref().or(self.recorded.as_deref())
    }

    /// What a fork took out of the worker that it started from, and the new worker has again.
    pub fn own_removals(&self, new: &Facts) -> Option<String> {
        let own = self.base.as_ref()?.own.iter();
        let areas = "env input route hub tests image arg copy step compose";
        let is_told = |id: &str| is_one_of(areas, area_of(id));
        let again = own.filter(|id| is_told(id) && !self.facts.has(id) && new.has(id));
        let again: BTreeSet<&str> = again.map(String::as_str).collect();
        // A default goes with its variable.
        let is_part = |id: &str| {
            let owner = id.rsplit_once('.').map(|(owner, _)| owner);
            owner.is_some_and(|owner| again.contains(owner))
        };
        let told = AREAS.iter().filter_map(|(area, label, ..)| {
            let ids = again
                .iter()
                .filter(|id| area_of(id) == *area && !is_part(id));
            let ids: Vec<&str> = ids.copied().collect();
            let names = match ids.len() {
                0 => return None,
                1..=3 => ids.join(", "),
                many => format!("{many}, such as {}", ids[0]),
            };
            Some(format!("{label}: {names}"))
        });
        let told = told.collect::<Vec<_>>().join("; ");
        (!told.is_empty()).then(|| {
            format!(
                "this fork took out what the new worker has. {told}. `--all` lists them as added."
            )
        })
    }

    /// Files that hold no facts, in whose places others stand: those that a fork changed, or all
    /// where what it started from is not here.
    pub fn own_files(&self, root: &Path, new: &dyn Tree) -> Result<Option<String>> {
        let base = self.base.as_ref().map(|base| base.commit.as_str());
        let Some(old) = self.files() else {
            return Ok(None);
        };
        let base = trees::revision(root, base)?;
        let mut own = Vec::new();
        for name in [".dockerignore", "test_input.json"] {
            let is = old.read_file(name)?;
            let of_base = base.as_ref().map(|base| base.read_file(name)).transpose()?;
            if is.is_some() && Some(&is) != of_base.as_ref() && is != new.read_file(name)? {
                own.push(name);
            }
        }
        let names = own.join(" and ");
        let place = match &self.commit {
            Some(commit) if self.tree.is_none() => {
                let named = own.iter().map(|name| format!(" {}:{name}", short(commit)));
                format!("`git show{}` shows it", named.collect::<String>())
            }
            _ => format!("see {OUTDATED}/ before cleanup removes it"),
        };
        let whose = match base {
            Some(_) => "this fork has its own",
            None => "the old worker has another",
        };
        Ok((!own.is_empty()).then(|| format!("{whose} {names}, which is not compared: {place}")))
    }
}

/// Finds the old worker: what was named, `outdated/` with what the baseline adds, or the baseline.
pub fn find(root: &Path, named: Option<&str>) -> Result<Old> {
    if let Some(name) = named {
        let (tree, commit) = trees::open(root, Some(name))?;
        let facts = Facts::read(tree.as_ref())?;
        if facts.all.is_empty() && facts.unread.is_empty() {
            bail!(UserError::new(
                format!("{} holds nothing that a worker exposes", tree.describe()),
                "name the folder or the revision with the old worker's handler and Dockerfile"
            ));
        }
        return Ok(Old {
            facts,
            name: tree.describe(),
            tree: Some(tree),
            commit,
            ..Old::default()
        });
    }
    let mut notes = Vec::new();
    let is_there = root.join(OUTDATED).is_dir();
    let record = match records::read_file(root, BASELINE)? {
        Some((text, place)) => {
            let record = baseline::of_repository(&text, place)?;
            read_again(record, root, &mut notes)?
        }
        None if is_there => Record::default(),
        None => bail!(UserError::new(
            format!("there is neither {OUTDATED}/ nor {BASELINE} to compare with"),
            "name the old worker: `cargo xtask compare OLD`, a directory or a git revision"
        )),
    };
    let mut old = Old {
        facts: record.facts,
        name: BASELINE.to_owned(),
        tree: None,
        recorded: trees::revision(root, record.commit.as_deref())?,
        commit: record.commit,
        base: record.base,
        notes,
    };
    if is_there {
        let (tree, _) = trees::open(root, Some(OUTDATED))?;
        // What the old worker kept in files that didn't retire (its README, its bake file) is on
        // record only.
        let record = std::mem::replace(&mut old.facts, Facts::read(tree.as_ref())?);
        old.facts.complete(record, tree.as_ref());
        old.name = tree.describe();
        old.tree = Some(tree);
    }
    Ok(old)
}

/// A record that an older reader made is made again from its commit, where that is reachable.
fn read_again(record: Record, root: &Path, notes: &mut Vec<String>) -> Result<Record> {
    if !record.facts.is_older {
        return Ok(record);
    }
    let Some((facts, commit)) = facts_again(&record, root)? else {
        notes.push(format!(
            "{BASELINE} was made by an older reader, so that only what is gone is judged by it; `cargo xtask compare OLD --write-baseline` makes it anew"
        ));
        return Ok(record);
    };
    notes.push(format!(
        "{BASELINE} was made by an older reader; {} is read instead",
        short(&commit)
    ));
    let commit = Some(commit);
    Ok(Record {
        facts,
        commit,
        ..record
    })
}

/// The facts of a record's commit, which it names or which is the one before the migration.
fn facts_again(record: &Record, root: &Path) -> Result<Option<(Facts, String)>> {
    let commit = match &record.commit {
        None if record.is_before_migration => trees::before_migration(root)?,
        named => trees::commit(root, named.as_deref())?,
    };
    let Some(tree) = trees::revision(root, commit.as_deref())? else {
        return Ok(None);
    };
    let facts = Facts::read(tree.as_ref())?;
    Ok(commit.map(|commit| (facts, commit)))
}

/// The text of a tree's record, made again where an older reader made it and its commit is in the
/// repository at `root`.
pub fn remade(tree: &dyn Tree, root: &Path) -> Result<Option<String>> {
    let record = records::read(tree, BASELINE)?;
    let record = record.map(|(bytes, _)| baseline::read(&String::from_utf8_lossy(&bytes)));
    let Some(Ok(record)) = record.filter(|it| matches!(it, Ok(it) if it.facts.is_older)) else {
        return Ok(None);
    };
    let again = facts_again(&record, root)?;
    Ok(again.map(|(facts, commit)| {
        let commit = Some(commit);
        baseline::write_again(&Record {
            facts,
            commit,
            ..record
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    #[test]
    fn what_a_fork_took_out_is_told_by_area() {
        let variable = |name: usize| {
            format!(r#"{{"key": "V{name}", "input": {{"type": "string", "default": "{name}"}}}}"#)
        };
        let variables = (0..20).map(variable).collect::<Vec<_>>().join(", ");
        let hub = format!(r#"{{"config": {{"env": [{variables}]}}}}"#);
        let code = "import os\nos.getenv('A')\n";
        let new = Memory::new()
            .with(".runpod/hub.json", hub)
            .with("a.py", code);
        let new = Facts::read(&new).unwrap();
        let own = new.all.keys().cloned().collect();
        let base = OwnChanges {
            own,
            ..OwnChanges::default()
        };
        let old = Old {
            base: Some(base),
            ..Old::default()
        };
        assert_eq!(
            old.own_removals(&new).as_deref(),
            Some(
                "this fork took out what the new worker has. environment variables: env:A; Hub form: 20, such as hub:V0. `--all` lists them as added."
            )
        );
    }
}
