//! The file whose lock says that a task is at work.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use crate::outcome::UserError;
use crate::output;

/// Takes the lock, which others wait for while the file is open, in this process or in one that
/// inherited it. Where another run has it, this waits: without a limit for `None`, and says so.
/// Past the limit it gives up.
pub fn hold(path: &Path, work: &str, limit: Option<Duration>) -> Result<File> {
    let file = open(path)?;
    let begun = Instant::now();
    let locked = loop {
        match (file.try_lock(), limit) {
            (Ok(()), _) => break Ok(()),
            (Err(TryLockError::Error(error)), _) => break Err(error),
            (Err(TryLockError::WouldBlock), None) => {
                output::tell(&format!("waiting for another run here to {work}\n"));
                break file.lock();
            }
            (Err(TryLockError::WouldBlock), Some(limit)) if begun.elapsed() > limit => {
                bail!(UserError::new(
                    format!(
                        "another run here is about to {work}: it holds {}",
                        path.display()
                    ),
                    "wait for it to end, then run this again"
                ))
            }
            (Err(TryLockError::WouldBlock), Some(_)) => {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    };
    locked.with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// Opens it, and makes it where it is not there. Anything else in its place (a link, a pipe, on
/// where opening would never end) is refused.
fn open(path: &Path) -> Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .custom_flags(i32::try_from(flags)?)
        .open(path);
    let is_file = |file: &File| file.metadata().is_ok_and(|file| file.is_file());
    let other = fs_err::symlink_metadata(path).is_ok_and(|there| !there.is_file());
    match opened {
        Ok(file) if is_file(&file) && !other => Ok(file),
        Err(error) if !other => Err(error).with_context(|| format!("opening {}", path.display())),
        _ => bail!(UserError::new(
            format!("{} is not a regular file", path.display()),
            "remove it; this tool makes its own"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_run_is_not_waited_for_without_end() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("lock");
        let limit = Some(Duration::from_millis(1));
        let held = hold(&path, "migrate", limit).unwrap();
        let error = hold(&path, "migrate", limit).unwrap_err().to_string();
        assert!(error.contains("another run here"), "{error}");
        drop(held);
        hold(&path, "migrate", limit).unwrap();
    }
}
