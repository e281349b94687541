//! The repository that holds this tool.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::outcome::UserError;

/// Its folder.
pub fn repository() -> PathBuf {
    // cargo tells where the package lies now; the place at build time may be another.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    holder(&package).to_owned()
}

/// The folder that holds the tool: above `xtask`, which is the package or lies above it, in the tests
/// of one of its crates and where cargo doesn't start the tool.
fn holder(package: &Path) -> &Path {
    let tool = package.ancestors().find(|path| path.ends_with("xtask"));
    tool.unwrap_or(package).parent().unwrap_or(package)
}

/// The repository to work on: the one that is named, or the one that holds this tool.
pub fn chosen(repo: Option<&Path>) -> Result<PathBuf> {
    let dir = repo.map_or_else(repository, Path::to_owned);
    if !dir.is_dir() {
        bail!(UserError::new(
            format!("{} is no folder", dir.display()),
            "name the worker's repository with `-C DIR`"
        ));
    }
    Ok(dir)
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
}
