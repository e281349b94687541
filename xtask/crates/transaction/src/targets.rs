//! Whether the work tree lets every step of a plan put its file in place.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::steps::PathChange;
use xtask_core::git::{Repo, Unseen};
use xtask_core::outcome::UserError;
use xtask_core::output::{quoted_file, quoted_path};
use xtask_core::tree::{Entries, Mode, RepoPath};

/// What blocks a step, how to fix that with `PATHS` in it, and the path for that.
type Blocker = (String, String, String);

const TAKE_OUT: &str = "take the submodule out with `git rm -- PATHS`, or move it with `git mv`, \
                        and commit that";
const RENAME: &str = "give PATHS another name with `git mv`, and commit that";
const MOVE_AWAY: &str = "move what git does not track out of the way";

/// Refuses steps that the work tree blocks: files that git does not track, links and files where a
/// folder is needed, paths that are not checked out. Names each, and how to fix it.
pub fn check_targets_free(
    repo: &Repo,
    steps: &[PathChange],
    tracked: &Entries,
    unseen: &BTreeMap<RepoPath, Unseen>,
) -> Result<()> {
    let tree = WorkTree {
        vacated: steps.iter().filter_map(PathChange::vacated).collect(),
        tracked,
        top: &repo.top,
    };
    let mut blockers: BTreeSet<Blocker> = BTreeSet::new();
    for &path in &tree.vacated {
        if let Some(unseen) = unseen.get(path) {
            let what = match unseen {
                Unseen::Sparse => "is not checked out (skip-worktree)",
                Unseen::Assumed => "is marked assume-unchanged",
            };
            let fix = if *unseen == Unseen::Sparse && repo.is_sparse()? {
                "check everything out with `git sparse-checkout disable`".to_owned()
            } else {
                let mark = unseen.mark();
                format!("have git look again with `git update-index --no-{mark} PATHS`")
            };
            blockers.insert((format!("{path}: {what}"), fix, quoted_file(path)));
        }
        if tree.is_submodule(path) {
            let what = format!("{path}: is a submodule");
            blockers.insert((what, TAKE_OUT.to_owned(), quoted_path(path)));
        }
    }
    for target in steps.iter().filter_map(PathChange::target) {
        let blocker = tree.blocker(target)?;
        blockers.extend(blocker.map(|(what, fix, path)| (what, fix.to_owned(), path)));
    }
    if blockers.is_empty() {
        return Ok(());
    }
    let mut fixes: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (_, fix, path) in &blockers {
        let paths = fixes.entry(fix).or_default();
        if !paths.contains(&&**path) {
            paths.push(path);
        }
    }
    let fixes = fixes.iter();
    let fixes = fixes.map(|(fix, paths)| fix.replace("PATHS", &paths.join(" ")));
    let fixes: Vec<String> = fixes.collect();
    let whats: Vec<&str> = blockers.iter().map(|(what, ..)| &**what).collect();
    bail!(UserError::new(
        format!("these paths can't be written:\n  {}", whats.join("\n  ")),
        format!("{}, then run this again", fixes.join("; "))
    ))
}

struct WorkTree<'a> {
    vacated: BTreeSet<&'a RepoPath>,
    tracked: &'a Entries,
    top: &'a Path,
}

impl WorkTree<'_> {
    fn is_submodule(&self, path: &RepoPath) -> bool {
        let entry = self.tracked.get(path);
        entry.is_some_and(|entry| entry.mode == Mode::Submodule)
    }

    /// What keeps a file from being put at `target`.
    fn blocker(&self, target: &RepoPath) -> Result<Option<(String, &'static str, String)>> {
        let above: Vec<RepoPath> = target.ancestors().collect();
        let is_no_folder = |above: &&RepoPath| {
            let metadata = above.below(self.top).symlink_metadata();
            !self.vacated.contains(above) && metadata.is_ok_and(|metadata| !metadata.is_dir())
        };
        if let Some(above) = above.iter().rev().find(is_no_folder) {
            let (kind, fix) = if self.is_submodule(above) {
                ("a submodule", TAKE_OUT)
            } else if self.tracked.contains_key(above) {
                ("not a directory", RENAME)
            } else {
                ("not a directory, and git does not track it", MOVE_AWAY)
            };
            let what = format!("{above}: is {kind}; {target} needs it to be one");
            return Ok(Some((what, fix, quoted_file(above))));
        }
        if let Some(module) = above.iter().find(|above| self.is_submodule(above)) {
            let what = format!("{target}: is in the submodule {module}");
            return Ok(Some((what, TAKE_OUT, quoted_path(module))));
        }
        let Ok(metadata) = target.below(self.top).symlink_metadata() else {
            return Ok(None);
        };
        if self.becomes_free(target)? {
            return Ok(None);
        }
        let kind = if metadata.is_dir() {
            "a folder"
        } else {
            "a file"
        };
        let what = format!("{target}: {kind} that git does not track is in the way");
        Ok(Some((what, MOVE_AWAY, quoted_file(target))))
    }

    /// Whether a file leaves, or all files of a folder do.
    fn becomes_free(&self, path: &RepoPath) -> Result<bool> {
        if self.vacated.contains(path) {
            return Ok(true);
        }
        let place = path.below(self.top);
        if place.is_symlink() || !place.is_dir() {
            return Ok(false);
        }
        for item in fs_err::read_dir(place)? {
            let name = item?.file_name();
            let path = RepoPath::new([path.as_bytes(), b"/", name.as_bytes()].concat());
            if !self.becomes_free(&path)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
