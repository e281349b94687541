//! Whether the files below `outdated/` are those that migrate put there.
//!
//! `.xtask/upstream.lock.json` keeps the hash of every file that retired. Without that record
//! (migrated by hand, or by an older version) the history decides: the file must have existed with
//! this content at its old path, and have been added with it here.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use xtask_core::git::{Repo, records};
use xtask_core::layout::OUTDATED;
use xtask_core::lock::Retired;
use xtask_core::tree::{Entries, Entry, Mode, Oid, RepoPath};

/// A file below `outdated/` that is not proven to be unchanged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// As seen from `outdated/`.
    pub below: RepoPath,
    pub why: &'static str,
}

/// Which files were where with which content.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MoveHistory {
    /// Every state of a path, before or after a commit.
    states: BTreeSet<(RepoPath, Mode, Oid)>,
    /// The states in which a path came into being.
    arrivals: BTreeSet<(RepoPath, Mode, Oid)>,
}

/// What can vouch for the files below `outdated/`.
pub trait Witness {
    /// Why a file is not the one that was put there; `below` is its path as seen from `outdated/`.
    fn doubts(&self, below: &RepoPath, path: &RepoPath, entry: &Entry) -> Option<&'static str>;
}

/// The files below `outdated/` that are not those that were put there.
pub fn changed(entries: &Entries, witness: &impl Witness) -> Vec<Changed> {
    let changed = entries.iter().filter_map(|(path, entry)| {
        let below = path
            .strip_prefix(OUTDATED)
            .filter(|path| !path.is_empty())?;
        let below = RepoPath::new(below);
        let why = witness.doubts(&below, path, entry)?;
        Some(Changed { below, why })
    });
    changed.collect()
}

impl Witness for Retired {
    fn doubts(&self, _: &RepoPath, path: &RepoPath, entry: &Entry) -> Option<&'static str> {
        match self.get(path) {
            None => Some("was not put there by migrate"),
            Some(side) if entry.oid.as_ref() != Some(&side.oid) => {
                Some("was changed since migrate put it there")
            }
            Some(side) if side.mode != entry.mode => {
                Some("its mode was changed since migrate put it there")
            }
            Some(_) => None,
        }
    }
}

impl Witness for MoveHistory {
    fn doubts(&self, below: &RepoPath, path: &RepoPath, entry: &Entry) -> Option<&'static str> {
        let state = |path: &RepoPath| Some((path.clone(), entry.mode, entry.oid.clone()?));
        let is_proven = state(below).is_some_and(|state| self.states.contains(&state))
            && state(path).is_some_and(|state| self.arrivals.contains(&state));
        (!is_proven).then_some("the history does not show that it was moved there like this")
    }
}

impl MoveHistory {
    /// Reads what happened to the files below `outdated/`, here and where they were before.
    pub fn read(repo: &Repo, head: &Oid, entries: &Entries) -> Result<Self> {
        let old = entries
            .keys()
            .filter_map(|path| path.strip_prefix(OUTDATED));
        let old = old.filter(|path| !path.is_empty()).map(RepoPath::new);
        let wanted: BTreeSet<RepoPath> = std::iter::once(OUTDATED.into()).chain(old).collect();
        let mut asked = format!("{head}\n--\n").into_bytes();
        // A path with a newline can't be passed by line, and stays unproven.
        let paths = wanted.iter().map(RepoPath::as_bytes);
        for path in paths.filter(|path| !path.contains(&b'\n')) {
            asked.extend([b":(top,literal)", path, b"\n"].concat());
        }
        // The paths of a large folder don't fit on a command line.
        let commits = repo.git("rev-list --stdin --full-history");
        let commits = commits.input(asked).text()?;
        let call = repo
            .git("diff-tree --stdin -r -z --root -m --raw --no-renames --no-abbrev --no-commit-id");
        let output = call.input(commits).output()?;
        Self::parse(&output, |path| {
            path.is_within(OUTDATED) || wanted.contains(path)
        })
    }

    /// Reads `git diff-tree --raw -z`: `:mode mode oid oid status`, then the path.
    fn parse(output: &[u8], wanted: impl Fn(&RepoPath) -> bool) -> Result<Self> {
        let mut history = Self::default();
        let mut fields = records(output);
        while let Some(field) = fields.next() {
            let Some(head) = field.strip_prefix(b":") else {
                continue;
            };
            let head = String::from_utf8_lossy(head).into_owned();
            let words: Vec<&str> = head.split(' ').collect();
            let path = fields.next().context("git diff-tree answered no path")?;
            let [old_mode, new_mode, old, new, status] = words[..] else {
                anyhow::bail!("git diff-tree answered an unknown line: {head}");
            };
            let path = RepoPath::new(path);
            if !wanted(&path) {
                continue;
            }
            for (mode, oid, arrives) in [(old_mode, old, false), (new_mode, new, status == "A")] {
                if let Some(mode) = Mode::from_octal(mode.as_bytes()) {
                    let state = (path.clone(), mode, Oid(oid.to_owned()));
                    if arrives {
                        history.arrivals.insert(state.clone());
                    }
                    history.states.insert(state);
                }
            }
        }
        Ok(history)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Side;

    fn entry(mode: Mode, oid: &str) -> Entry {
        Entry {
            mode,
            size: None,
            oid: Some(Oid(oid.into())),
        }
    }

    fn shown(changed: &[Changed]) -> Vec<String> {
        changed
            .iter()
            .map(|one| format!("{}: {}", one.below, one.why))
            .collect()
    }

    #[test]
    fn a_record_knows_each_file_and_its_mode() {
        let entries = Entries::from([
            ("handler.py".into(), entry(Mode::File, "0")),
            ("outdated/a".into(), entry(Mode::File, "1")),
            ("outdated/b".into(), entry(Mode::File, "9")),
            ("outdated/c".into(), entry(Mode::Executable, "3")),
            ("outdated/d".into(), entry(Mode::File, "4")),
        ]);
        let side = |oid: &str| Side {
            mode: Mode::File,
            oid: Oid(oid.into()),
        };
        let record = Retired::from([
            ("outdated/a".into(), side("1")),
            ("outdated/b".into(), side("2")),
            ("outdated/c".into(), side("3")),
            ("outdated/gone".into(), side("5")),
        ]);
        assert_eq!(
            shown(&changed(&entries, &record)),
            [
                "b: was changed since migrate put it there",
                "c: its mode was changed since migrate put it there",
                "d: was not put there by migrate",
            ]
        );
    }

    #[test]
    fn a_history_must_show_the_file_in_both_places() {
        let log = b":100644 000000 1 0 D\0src/a\0:000000 100644 0 1 A\0outdated/src/a\0\
            :000000 100644 0 2 A\0outdated/src/b\0\
            :100644 100644 3 4 M\0outdated/src/c\0:100644 000000 3 0 D\0src/c\0\
            :000000 100644 0 3 A\0outdated/src/c\0:000000 100644 0 7 A\0elsewhere\0";
        let history = MoveHistory::parse(log, |path| path != "elsewhere").unwrap();
        let entries = Entries::from([
            ("outdated/src/a".into(), entry(Mode::File, "1")),
            ("outdated/src/b".into(), entry(Mode::File, "2")),
            ("outdated/src/c".into(), entry(Mode::File, "4")),
        ]);
        let why = "the history does not show that it was moved there like this";
        assert_eq!(
            shown(&changed(&entries, &history)),
            [format!("src/b: {why}"), format!("src/c: {why}")]
        );
        assert!(!history.states.iter().any(|(path, ..)| path == "elsewhere"));
        assert!(MoveHistory::parse(b":1 2\0x\0", |_| true).is_err());
    }
}
