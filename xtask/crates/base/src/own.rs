//! The repository that holds this tool.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::outcome::Refusal;

/// Its folder.
pub fn repository() -> PathBuf {
    // cargo tells where the package lies now; the place at build time may be another.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    // In the tests of one of its crates that package lies further down.
    let tool = package.ancestors().find(|path| path.ends_with("xtask"));
    let repository = tool.unwrap_or(&package).parent();
    repository.unwrap_or(&package).to_owned()
}

/// The repository to work on: the one that is named, or the one that holds this tool.
pub fn chosen(repo: Option<&Path>) -> Result<PathBuf> {
    let dir = repo.map_or_else(repository, Path::to_owned);
    if !dir.is_dir() {
        bail!(Refusal::new(
            format!("{} is no folder", dir.display()),
            "name the worker's repository with `-C DIR`"
        ));
    }
    Ok(dir)
}
