//! Whether the work tree lets every step of a plan put its file in place.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use anyhow::{Result, bail};

use super::steps::PathChange;
use xtask_core::git::Repo;
use xtask_core::outcome::UserError;
use xtask_core::output::{quoted_file, quoted_path};
use xtask_core::tree::{Entries, Mode, RepoPath};

type Blocker = (String, String);

const MOVE_AWAY: &str = "move what git does not track out of the way";

/// Refuses steps that the work tree blocks: files that git does not track, submodules, links and
/// files where a folder is needed. Names each, and how to fix it.
pub fn check_targets_free(repo: &Repo, steps: &[PathChange], tracked: &Entries) -> Result<()> {
    let tree = WorkTree {
        vacated: steps.iter().filter_map(PathChange::vacated).collect(),
        tracked,
        top: &repo.top,
    };
    let modules = tree.vacated.iter().filter(|path| tree.is_submodule(path));
    let modules = modules.map(|path| (format!("{path}: is a submodule"), take_out(path)));
    let mut blockers: BTreeSet<Blocker> = modules.collect();
    for target in steps.iter().filter_map(PathChange::target) {
        blockers.extend(tree.blocker(target)?);
    }
    if blockers.is_empty() {
        return Ok(());
    }
    let fixes: BTreeSet<&str> = blockers.iter().map(|(_, fix)| &**fix).collect();
    let fixes: Vec<&str> = fixes.into_iter().collect();
    let whats: Vec<&str> = blockers.iter().map(|(what, _)| &**what).collect();
    bail!(UserError::new(
        format!("these paths can't be written:\n  {}", whats.join("\n  ")),
        format!("{}, then run this again", fixes.join("; "))
    ))
}

fn take_out(module: &RepoPath) -> String {
    let path = quoted_path(module);
    format!(
        "take the submodule out with `git rm -- {path}`, or move it with `git mv`, and commit that"
    )
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

    fn blocker(&self, target: &RepoPath) -> Result<Option<Blocker>> {
        let above: Vec<RepoPath> = target.ancestors().collect();
        if let Some(module) = above.iter().find(|above| self.is_submodule(above)) {
            let what = format!("{target}: is in the submodule {module}");
            return Ok(Some((what, take_out(module))));
        }
        let is_no_folder = |above: &&RepoPath| {
            let metadata = above.below(self.top).symlink_metadata();
            !self.vacated.contains(above) && metadata.is_ok_and(|metadata| !metadata.is_dir())
        };
        if let Some(above) = above.iter().rev().find(is_no_folder) {
            let what = format!("{above}: is not a directory; {target} needs it to be one");
            let fix = if self.tracked.contains_key(above) {
                format!(
                    "give {} another name with `git mv`, and commit that",
                    quoted_file(above)
                )
            } else {
                MOVE_AWAY.to_owned()
            };
            return Ok(Some((what, fix)));
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
        Ok(Some((what, MOVE_AWAY.to_owned())))
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
