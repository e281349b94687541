//! Where the files of a `COPY` source land, and how to name them after the move.

use std::collections::{BTreeMap, BTreeSet};

use super::{PathMap, listed};
use worker_files::glob::{Glob, is_pattern};
use xtask_core::tree::RepoPath;

/// What takes the place of one source.
#[derive(Debug, Default, PartialEq, Eq)]
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

/// A source, cleaned the way the build cleans it; `None` when it leaves the context.
pub fn clean(source: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in source.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

impl PathMap {
    /// What the source `path` (already cleaned) becomes; `Err` says what is in the way.
    pub(super) fn land(&self, path: &str, folder_mark: bool) -> Result<Landing, String> {
        if path.is_empty() && !self.root.is_empty() {
            return Err(
                "the whole build context is copied, and upstream's other files are not in a \
                 worker's repository"
                    .to_owned(),
            );
        }
        if is_pattern(path) {
            return self.land_pattern(path);
        }
        let file = RepoPath::from(path);
        if let Some(result) = self.moved.get(&file) {
            let mut landing = Landing::default();
            landing.add(&file, "", &file, result)?;
            return Ok(landing);
        }
        if self.left.contains(&file) {
            return Err(format!("`{path}` is copied, which does not come along"));
        }
        let mut landing = Landing::default();
        self.land_folder(path, folder_mark, &mut landing)?;
        Ok(landing)
    }

    fn land_pattern(&self, pattern: &str) -> Result<Landing, String> {
        if pattern.contains("**") {
            return Err(format!("the pattern `{pattern}` spans folders"));
        }
        if !self.root.is_empty() && !RepoPath::from(pattern).is_within(&self.root) {
            return Err(format!(
                "the pattern `{pattern}` reaches outside of `{}/`",
                self.root
            ));
        }
        let depth = pattern.split('/').count();
        let glob =
            Glob::new(pattern, false).ok_or_else(|| format!("`{pattern}` is a bad pattern"))?;
        let mut landing = Landing::default();
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
                landing.add(file, "", file, result)?;
            } else {
                landing.left.insert(file.clone());
            }
        }
        for folder in folders {
            self.land_folder(&folder, true, &mut landing)?;
        }
        if landing.is_empty() && landing.left.is_empty() {
            return Err(format!("nothing that comes along matches `{pattern}`"));
        }
        landing.pattern = true;
        Ok(landing)
    }

    /// A folder's contents land in the destination.
    fn land_folder(
        &self,
        folder: &str,
        folder_mark: bool,
        landing: &mut Landing,
    ) -> Result<(), String> {
        let within = |path: &RepoPath| folder.is_empty() || path.is_within(folder);
        let files: Vec<&RepoPath> = self.moved.keys().filter(|path| within(path)).collect();
        if files.is_empty() {
            let left: Vec<_> = self.left.iter().filter(|path| within(path)).collect();
            return Err(if left.is_empty() {
                format!("`{folder}` is copied, which a worker's repository does not hold")
            } else {
                format!("{} would not come along", listed(left))
            });
        }
        landing
            .left
            .extend(self.left.iter().filter(|path| within(path)).cloned());
        if let Some(whole) = self.whole(folder) {
            landing
                .here
                .push(if folder_mark { whole + "/" } else { whole });
            return Ok(());
        }
        landing.folder = true;
        // Folders that stay whole are copied as such, and what is in them need not be named.
        let mut whole: BTreeSet<String> = BTreeSet::new();
        for file in files {
            let text = file.as_str().ok_or_else(|| {
                format!("the name of {file} is not UTF-8, so no line can copy it by name")
            })?;
            let below = &text[if folder.is_empty() {
                0
            } else {
                folder.len() + 1
            }..];
            if whole.iter().any(|folder| file.is_within(folder)) {
                continue;
            }
            let mut kept = None;
            for (at, _) in below.match_indices('/') {
                let inner = &text[..text.len() - below.len() + at];
                if let Some(result) = self.whole(inner) {
                    kept = Some((inner.to_owned(), below[..at].to_owned(), result));
                    break;
                }
            }
            if let Some((inner, below, result)) = kept {
                landing.push_below(&format!("{below}/"), format!("{result}/"));
                whole.insert(inner);
                continue;
            }
            let result = &self.moved[file];
            let parent = below.rfind('/').map_or("", |end| &below[..=end]);
            landing.add(file, parent, &RepoPath::from(below), result)?;
        }
        Ok(())
    }

    /// The folder of the result that holds just what the upstream's `folder` held, under the same
    /// names; `None` where there is no such folder.
    fn whole(&self, folder: &str) -> Option<String> {
        let mut target: Option<String> = None;
        for (from, to) in &self.moved {
            let Some(below) = from.strip_prefix(folder) else {
                continue;
            };
            let to = to.as_str()?;
            let head = to
                .strip_suffix(std::str::from_utf8(below).ok()?)?
                .strip_suffix('/')?;
            if *target.get_or_insert_with(|| head.to_owned()) != head {
                return None;
            }
        }
        let target = target.filter(|target| !target.is_empty())?;
        let stranger = self
            .moved
            .iter()
            .any(|(from, to)| to.is_within(&target) && !from.is_within(folder));
        let torn = self.left.iter().any(|path| path.is_within(folder));
        (!stranger && !torn && !folder.is_empty()).then_some(target)
    }
}

impl Landing {
    pub fn is_empty(&self) -> bool {
        self.here.is_empty() && self.below.is_empty()
    }

    /// One file: `wanted` is where it landed below the destination, in the folder `parent`.
    fn add(
        &mut self,
        file: &RepoPath,
        parent: &str,
        wanted: &RepoPath,
        result: &RepoPath,
    ) -> Result<(), String> {
        let name = result.as_str().filter(|name| writable(name));
        let name = name.ok_or_else(|| {
            format!("the name of {file} has characters that a COPY line cannot say plainly")
        })?;
        if result.name() == wanted.name() {
            if parent.is_empty() {
                self.here.push(name.to_owned());
            } else {
                self.push_below(parent, name.to_owned());
            }
        } else {
            let wanted = String::from_utf8_lossy(wanted.name()).into_owned();
            self.push_below(&format!("{parent}{wanted}"), name.to_owned());
        }
        Ok(())
    }

    fn push_below(&mut self, place: &str, source: String) {
        self.below.entry(place.to_owned()).or_default().push(source);
    }
}

/// Whether a name can stand in a COPY line and mean itself. Spaces can, in the JSON form.
fn writable(name: &str) -> bool {
    !name.contains(|c: char| c.is_control() || "*?[]\\$\"'`<".contains(c))
}
