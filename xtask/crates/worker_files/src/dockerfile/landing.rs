//! Where the files of a `COPY` source land, and how to name them after the move.

use std::collections::{BTreeMap, BTreeSet};

use crate::glob::{Glob, head, is_pattern};
use crate::rewrite::PathMap;
use xtask_core::tree::RepoPath;

#[derive(Debug, Default)]
pub struct Landing {
    /// The new sources by their folder below the destination, empty for the destination itself.
    pub places: BTreeMap<String, BTreeSet<String>>,
    /// Files that the image had and that the result does not take over.
    pub left: BTreeSet<RepoPath>,
    /// Whether a folder was taken apart into its files.
    pub folder: bool,
}

impl PathMap {
    /// Finds what replaces the cleaned source `path`; `Err` says why nothing does.
    pub(super) fn find_landing(&self, path: &str, folder_mark: bool) -> Result<Landing, String> {
        let root = &self.root;
        let pattern = is_pattern(path);
        let is_outside = || path.contains("**") || !RepoPath::from(path).is_within(root);
        if path.is_empty() {
            let what = "the whole build context is copied, and upstream's other files are not in \
                        a worker's repository";
            return Err(what.to_owned());
        } else if pattern && is_outside() {
            let what = "spans folders or reaches outside of";
            return Err(format!("the pattern `{path}` {what} `{root}/`"));
        } else if Glob::new(path, false).is_none() {
            return Err(format!("`{path}` is a bad pattern"));
        }
        let mut landing = Landing::default();
        let moved = self.moved.iter().map(|(from, to)| (from, Some(to)));
        for (file, to) in moved.chain(self.left.iter().map(|file| (file, None))) {
            let text = String::from_utf8_lossy(file.as_bytes());
            let Some(end) = head(path, &text) else {
                continue;
            };
            match to {
                None => {
                    landing.left.insert(file.clone());
                }
                Some(to) => self.place(file, end, to, folder_mark || pattern, &mut landing)?,
            }
        }
        if !landing.places.is_empty() {
            return Ok(landing);
        }
        let whys = ["a worker's repository does not hold", "does not come along"];
        let why = whys[usize::from(!landing.left.is_empty())];
        Err(format!("`{path}` is copied, which {why}"))
    }

    /// Adds a file whose path is taken up to `end`: alone, or with the topmost unchanged folder.
    fn place(
        &self,
        file: &RepoPath,
        end: usize,
        to: &RepoPath,
        folder_mark: bool,
        landing: &mut Landing,
    ) -> Result<(), String> {
        // Spaces can stand in a COPY line, in the JSON form.
        let odd = |c: char| c.is_control() || "*?[]\\$\"'`<".contains(c);
        let plain = to.as_str().filter(|to| !to.contains(odd));
        let names = file.as_str().zip(plain);
        let (text, to) = names.ok_or_else(|| {
            format!("the name of {file} has characters that a COPY line cannot say plainly")
        })?;
        let mut place = "";
        for (at, _) in text.match_indices('/').filter(|(at, _)| *at >= end) {
            let below = text[end..at].trim_start_matches('/');
            if let Some(whole) = self.whole_folder(&text[..at]) {
                let is_marked = folder_mark || !below.is_empty();
                let mark = if is_marked { "/" } else { "" };
                landing.add(below, format!("{whole}{mark}"));
                return Ok(());
            }
            landing.folder = true;
            place = below;
        }
        landing.add(place, to.to_owned());
        Ok(())
    }

    /// The folder of the result that holds the same files as an upstream's folder, if there is one.
    fn whole_folder<'f>(&self, folder: &'f str) -> Option<&'f str> {
        let below = folder.strip_prefix(&self.root)?.strip_prefix('/')?;
        let within = |file: &RepoPath| file.is_within(folder);
        let stays = |from: &RepoPath, to: &RepoPath| to.inside(&self.root) == *from;
        let mut moved = self.moved.iter().filter(|(from, _)| within(from));
        let is_whole = moved.all(|(from, to)| stays(from, to)) && !self.left.iter().any(within);
        is_whole.then_some(below)
    }
}

impl Landing {
    fn add(&mut self, folder: &str, source: String) {
        let slash = if folder.is_empty() { "" } else { "/" };
        let sources = self.places.entry(format!("{folder}{slash}"));
        sources.or_default().insert(source);
    }

    /// The source, where it is one that lands in the destination itself.
    pub fn single_source(&self) -> Option<&str> {
        let mut names = self.places.values().flatten();
        let is_alone = !self.folder && self.places.contains_key("") && names.clone().count() == 1;
        names.next().filter(|_| is_alone).map(String::as_str)
    }
}
