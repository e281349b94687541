//! Where the files of a `COPY` source land, and how to name them after the move.

use std::collections::{BTreeMap, BTreeSet};

use crate::glob::{Glob, is_pattern};
use crate::rewrite::{PathMap, listed};
use xtask_core::tree::RepoPath;

/// What takes the place of one source.
#[derive(Debug, Default)]
pub struct Landing {
    /// Sources that land in the destination itself.
    pub here: Vec<String>,
    /// Sources that land elsewhere: the folder or file below the destination, and the sources.
    pub below: BTreeMap<String, Vec<String>>,
    /// Files that the image had and that do not come along.
    pub left: BTreeSet<RepoPath>,
    /// Whether a folder was taken apart into its files.
    pub folder: bool,
    /// Whether a pattern was replaced by what it matches.
    pub pattern: bool,
}

impl PathMap {
    /// What the source `path` (already cleaned) becomes; `Err` says what is in the way.
    pub(super) fn land(&self, path: &str, folder_mark: bool) -> Result<Landing, String> {
        if path.is_empty() && !self.root.is_empty() {
            let what = "the whole build context is copied, and upstream's other files are not in a \
                        worker's repository";
            return Err(what.to_owned());
        }
        let mut landing = Landing::default();
        let file = RepoPath::from(path);
        if is_pattern(path) {
            self.land_pattern(path, &mut landing)?;
        } else if let Some(result) = self.moved.get(&file) {
            landing.add(&file, "", result)?;
        } else if self.left.contains(&file) {
            return Err(format!("`{path}` is copied, which does not come along"));
        } else {
            self.land_folder(path, folder_mark, &mut landing)?;
        }
        landing
            .here
            .sort_by_key(|name| (name.starts_with(".runpod/"), name.clone()));
        Ok(landing)
    }

    fn land_pattern(&self, pattern: &str, landing: &mut Landing) -> Result<(), String> {
        if pattern.contains("**") {
            return Err(format!("the pattern `{pattern}` spans folders"));
        }
        if !self.root.is_empty() && !RepoPath::from(pattern).is_within(&self.root) {
            let root = &self.root;
            return Err(format!(
                "the pattern `{pattern}` reaches outside of `{root}/`"
            ));
        }
        let depth = pattern.split('/').count();
        let glob =
            Glob::new(pattern, false).ok_or_else(|| format!("`{pattern}` is a bad pattern"))?;
        let mut folders = BTreeSet::new();
        for file in self.moved.keys().chain(&self.left) {
            let text = String::from_utf8_lossy(file.as_bytes()).into_owned();
            let parts: Vec<&str> = text.split('/').collect();
            let Some(head) = parts.get(..depth).map(|head| head.join("/")) else {
                continue;
            };
            if !glob.matches(&head) {
                continue;
            }
            if parts.len() > depth {
                folders.insert(head);
            } else if let Some(result) = self.moved.get(file) {
                landing.add(file, "", result)?;
            } else {
                landing.left.insert(file.clone());
            }
        }
        for folder in folders {
            self.land_folder(&folder, true, landing)?;
        }
        if landing.here.is_empty() && landing.below.is_empty() && landing.left.is_empty() {
            return Err(format!("nothing that comes along matches `{pattern}`"));
        }
        landing.pattern = true;
        Ok(())
    }

    /// A folder's contents land in the destination.
    fn land_folder(
        &self,
        folder: &str,
        folder_mark: bool,
        landing: &mut Landing,
    ) -> Result<(), String> {
        let within = |path: &&RepoPath| folder.is_empty() || path.is_within(folder);
        let left: Vec<_> = self.left.iter().filter(within).collect();
        if !self.moved.keys().any(|path| within(&path)) {
            return Err(if left.is_empty() {
                format!("`{folder}` is copied, which a worker's repository does not hold")
            } else {
                format!("{} would not come along", listed(left))
            });
        }
        landing.left.extend(left.into_iter().cloned());
        if let Some(whole) = self.whole(folder) {
            let mark = if folder_mark { "/" } else { "" };
            landing.here.push(whole + mark);
            return Ok(());
        }
        landing.folder = true;
        self.spread(folder, "", landing)
    }

    /// The members of a folder one by one. A folder among them that stays whole is copied as such.
    fn spread(&self, folder: &str, place: &str, landing: &mut Landing) -> Result<(), String> {
        let prefix = if folder.is_empty() { "" } else { "/" };
        let prefix = format!("{folder}{prefix}");
        let mut done = BTreeSet::new();
        for (file, result) in &self.moved {
            if !folder.is_empty() && !file.is_within(folder) {
                continue;
            }
            let text = file.as_str().ok_or_else(|| {
                format!("the name of {file} is not UTF-8, so no line can copy it by name")
            })?;
            let below = &text[prefix.len()..];
            let Some((child, _)) = below.split_once('/') else {
                landing.add(file, place, result)?;
                continue;
            };
            if !done.insert(child) {
                continue;
            }
            let inner = format!("{prefix}{child}");
            let place = format!("{place}{child}/");
            match self.whole(&inner) {
                Some(result) => landing.push_below(&place, format!("{result}/")),
                None => self.spread(&inner, &place, landing)?,
            }
        }
        Ok(())
    }

    /// The folder of the result that holds just what the upstream's `folder` held, under the same
    /// names; `None` where there is no such folder.
    fn whole(&self, folder: &str) -> Option<String> {
        let mut target: Option<&str> = None;
        for (from, to) in &self.moved {
            let Some(below) = from.strip_prefix(folder) else {
                continue;
            };
            let head = to
                .as_str()?
                .strip_suffix(std::str::from_utf8(below).ok()?)?;
            let head = head.strip_suffix('/')?;
            if *target.get_or_insert(head) != head {
                return None;
            }
        }
        let target = target.filter(|target| !target.is_empty())?;
        let mut moved = self.moved.iter();
        let stranger = moved.any(|(from, to)| to.is_within(target) && !from.is_within(folder));
        let torn = self.left.iter().any(|path| path.is_within(folder));
        (!stranger && !torn && !folder.is_empty()).then(|| target.to_owned())
    }
}

impl Landing {
    /// One file, which landed in the folder `parent` below the destination.
    fn add(&mut self, file: &RepoPath, parent: &str, result: &RepoPath) -> Result<(), String> {
        // Spaces can stand in a COPY line, in the JSON form.
        let odd = |c: char| c.is_control() || "*?[]\\$\"'`<".contains(c);
        let name = result.as_str().filter(|name| !name.contains(odd));
        let name = name.ok_or_else(|| {
            format!("the name of {file} has characters that a COPY line cannot say plainly")
        })?;
        if result.name() != file.name() {
            let wanted = String::from_utf8_lossy(file.name());
            self.push_below(&format!("{parent}{wanted}"), name.to_owned());
        } else if parent.is_empty() {
            self.here.push(name.to_owned());
        } else {
            self.push_below(parent, name.to_owned());
        }
        Ok(())
    }

    fn push_below(&mut self, place: &str, source: String) {
        self.below.entry(place.to_owned()).or_default().push(source);
    }
}
