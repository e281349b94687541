//! One run of a repository at a time, where two would get in each other's way.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::{Context, Result};

/// Waits until no other run of this repository is at `work`, and keeps others waiting while the
/// file lives, be it in this process or in one that it started with it.
pub fn hold(root: &Path, name: &str, work: &str) -> Result<File> {
    let path = root.join(format!("target/{name}.lock"));
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("locking {}", path.display()));
        }
    }
    xtask_core::output::tell(&format!("waiting for another run here to {work}\n"));
    file.lock()
        .with_context(|| format!("waiting at {}", path.display()))?;
    Ok(file)
}
