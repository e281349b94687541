//! The repository that holds this tool.

use std::path::{Path, PathBuf};

/// Its folder.
pub fn repository() -> PathBuf {
    // cargo tells where the package lies now; the place at build time may be another.
    let package = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    package.parent().map_or(package.clone(), Path::to_owned)
}
