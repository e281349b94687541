//! The repository that holds this tool.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::layout::{LOCK, OUTDATED};
use crate::outcome::UserError;
use crate::records;

pub fn repository() -> PathBuf {
    // The package may have moved since the build; cargo knows.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    holder(&package).to_owned()
}

/// The folder above `xtask/`, for the package itself and for its crates.
fn holder(package: &Path) -> &Path {
    let tool = package.ancestors().find(|path| path.ends_with("xtask"));
    tool.unwrap_or(package).parent().unwrap_or(package)
}

/// The repository to work on: the named one, or the tool's own. A folder below the top means the
/// repository, unless the folder is a worker itself.
pub fn chosen(repo: Option<&Path>) -> Result<PathBuf> {
    let dir = repo.map_or_else(repository, Path::to_owned);
    if !dir.is_dir() {
        bail!(UserError::new(
            format!("{} is not a directory", dir.display()),
            "name the worker's repository with `-C DIR`"
        ));
    }
    let Some(top) = top(&dir) else {
        return Ok(dir);
    };
    if is_worker(&dir) && !is_worker(&top) {
        let (dir, top) = (dir.display(), top.display());
        bail!(UserError::new(
            format!(
                "{dir} is a subfolder of a monorepo, {top}; this task works on a repository that is \
                 one worker"
            ),
            "make the folder a repository of its own first (git subtree split keeps its history); \
             hub-lint takes it as it is"
        ));
    }
    Ok(top)
}

pub fn same_folder(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

/// The top of the work tree above a folder, where the folder is not the top itself.
fn top(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    // A git directory has no work tree; git's message is better.
    let is_git_dir = |path: &Path| path.join("HEAD").is_file() && path.join("objects").is_dir();
    let mut above = dir.ancestors();
    let top = above.find(|path| path.join(".git").exists() || is_git_dir(path))?;
    (top != dir && !is_git_dir(top)).then(|| top.to_owned())
}

/// Whether a folder is a worker: it has a Dockerfile or a listing.
fn is_worker(folder: &Path) -> bool {
    let files = ["Dockerfile", ".runpod/hub.json"];
    files.iter().any(|file| folder.join(file).is_file())
}

/// Refuses to work on the tool's own clone unless it was named or has been migrated.
pub fn expect_named(repo: Option<&Path>, root: &Path, task: &str) -> Result<()> {
    let legacy = root.join("src").is_dir();
    let moved = records::file(root, LOCK)?.exists() || root.join(OUTDATED).exists();
    if repo.is_none() && !legacy && !moved {
        bail!(no_worker_is_named(task));
    }
    Ok(())
}

/// What to say where the tool's own clone was taken for a worker.
pub fn no_worker_is_named(task: &str) -> UserError {
    UserError::new(
        "this repository holds the tool; name your worker with -C",
        format!("for example `cargo xtask {task} -C ../my-worker`"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_above_the_tool() {
        for (package, repository) in [
            ("/a/worker/xtask", "/a/worker"),
            ("/a/xtask/xtask", "/a/xtask"),
            ("/a/xtask/xtask/crates/core", "/a/xtask"),
            ("/a/renamed", "/a"),
        ] {
            assert_eq!(holder(Path::new(package)), Path::new(repository));
        }
    }

    #[test]
    fn a_folder_stands_for_its_repository_unless_it_is_a_worker_by_itself() {
        let lab = tempfile::tempdir().unwrap();
        let top = lab.path().canonicalize().unwrap().join("mono");
        for folder in [".git", "docs", "workers/one/src", "workers/two/.runpod"] {
            fs_err::create_dir_all(top.join(folder)).unwrap();
        }
        fs_err::write(top.join("workers/one/Dockerfile"), "FROM scratch\n").unwrap();
        fs_err::write(top.join("workers/two/.runpod/hub.json"), "{}\n").unwrap();
        let chosen = |folder: &str| chosen(Some(&top.join(folder)));
        assert_eq!(chosen("docs").unwrap(), top);
        for worker in ["workers/one", "workers/two"] {
            let said = chosen(worker).unwrap_err().to_string();
            let wanted = format!(
                "{}/{worker} is a subfolder of a monorepo, {}; ",
                top.display(),
                top.display()
            );
            assert!(said.starts_with(&wanted), "{said}");
        }
        // What retired lies in a worker.
        fs_err::write(top.join("Dockerfile"), "FROM scratch\n").unwrap();
        assert_eq!(chosen("workers/one").unwrap(), top);
    }

    #[test]
    fn the_tools_own_clone_is_no_worker_until_it_is_moved() {
        let lab = tempfile::tempdir().unwrap();
        let said = expect_named(None, lab.path(), "cleanup").unwrap_err();
        assert_eq!(
            said.to_string(),
            "this repository holds the tool; name your worker with -C"
        );
        assert!(expect_named(Some(lab.path()), lab.path(), "cleanup").is_ok());
        fs_err::create_dir(lab.path().join("outdated")).unwrap();
        assert!(expect_named(None, lab.path(), "cleanup").is_ok());
    }
}
