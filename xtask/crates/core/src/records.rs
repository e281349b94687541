//! The tool's records in `.xtask/`. Older versions kept them at the root, where they are read until
//! they are rewritten.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::if_there;
use crate::layout::RECORDS;
use crate::outcome::UserError;
use crate::tree::{Entries, RepoPath, Tree};

/// The place of a record: the older one where only that exists.
fn place(record: &'static str, exists: impl Fn(&str) -> bool) -> Result<&'static str> {
    let mut records = RECORDS.iter().filter(|(_, older)| exists(older));
    match records.find(|(place, _)| *place == record) {
        Some((_, older)) if exists(record) => bail!(UserError::new(
            format!("{record} and {older} are both there, and only one can be right"),
            format!(
                "delete {older}, the older place: `git rm {older}`, or `rm` where git does not track it"
            )
        )),
        Some((_, older)) => Ok(older),
        None => Ok(record),
    }
}

pub fn place_in(entries: &Entries, record: &'static str) -> Result<&'static str> {
    place(record, |path| entries.contains_key(&RepoPath::from(path)))
}

pub fn read(tree: &dyn Tree, record: &'static str) -> Result<Option<(Vec<u8>, &'static str)>> {
    let place = place_in(tree.entries(), record)?;
    Ok(tree.read_file(place)?.map(|bytes| (bytes, place)))
}

/// The file of a record in a work tree, which may not exist.
pub fn file(root: &Path, record: &'static str) -> Result<PathBuf> {
    Ok(root.join(place(record, |path| root.join(path).is_file())?))
}

pub fn read_file(root: &Path, record: &'static str) -> Result<Option<(String, &'static str)>> {
    let place = place(record, |path| root.join(path).is_file())?;
    let text = if_there(fs_err::read_to_string(root.join(place)))?;
    Ok(text.map(|text| (text, place)))
}

/// Writes a record to its place in a work tree, and removes it from its older one.
pub fn write(root: &Path, record: &'static str, text: &str) -> Result<()> {
    let (before, now) = (file(root, record)?, root.join(record));
    if let Some(folder) = now.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(&now, text)?;
    if before != now && before.is_file() {
        fs_err::remove_file(before)?;
    }
    Ok(())
}

pub fn settle(entries: &mut Entries) {
    for (place, older) in RECORDS {
        if entries.contains_key(&RepoPath::from(*place)) {
            continue;
        }
        if let Some(entry) = entries.remove(&RepoPath::from(*older)) {
            entries.insert((*place).into(), entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{ACCEPTED, LOCK};
    use crate::tree::Memory;

    #[test]
    fn a_record_is_found_in_either_place_and_not_in_both() {
        let old = Memory::new().with("compare.accepted.json", "{}");
        assert_eq!(
            read(&old, ACCEPTED).unwrap().unwrap().1,
            "compare.accepted.json"
        );
        assert!(read(&old, LOCK).unwrap().is_none());
        let both = old.with(ACCEPTED, "{}");
        let error = read(&both, ACCEPTED).unwrap_err();
        let refusal = error.downcast_ref::<UserError>().unwrap();
        assert!(
            refusal
                .help
                .contains("`git rm compare.accepted.json`, or `rm` where git does not track it"),
            "{refusal:?}"
        );
    }

    #[test]
    fn what_is_written_moves() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path();
        fs_err::write(root.join("compare.accepted.json"), "old").unwrap();
        assert!(
            file(root, ACCEPTED)
                .unwrap()
                .ends_with("compare.accepted.json")
        );
        write(root, ACCEPTED, "new").unwrap();
        assert!(!root.join("compare.accepted.json").exists());
        assert_eq!(
            fs_err::read_to_string(file(root, ACCEPTED).unwrap()).unwrap(),
            "new"
        );
        let mut entries = Memory::new()
            .with("upstream.lock.json", "{}")
            .entries()
            .clone();
        settle(&mut entries);
        assert!(entries.contains_key(&RepoPath::from(LOCK)));
        assert_eq!(entries.len(), 1);
    }
}
