//! The lock file of a running task.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use crate::outcome::UserError;
use crate::output;

/// Takes the lock, which is held while this process, or one that inherited the file, has it open.
/// Where another run holds it, this waits until the limit; without a limit it says so first.
pub fn hold(path: &Path, work: &str, limit: Option<Duration>) -> Result<File> {
    let file = open(path)?;
    let begun = Instant::now();
    let shown = path.display();
    let locked = loop {
        match file.try_lock() {
            Ok(()) => break Ok(()),
            Err(TryLockError::Error(error)) => break Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let Some(limit) = limit else {
            output::tell(&format!("waiting for another run here to {work}\n"));
            break file.lock();
        };
        if begun.elapsed() > limit {
            bail!(UserError::new(
                format!("another run here is about to {work}: it holds {shown}"),
                "wait for it to end, then run this again"
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    locked.with_context(|| format!("locking {shown}"))?;
    Ok(file)
}

/// Opens or creates the file. Anything else in its place is refused: a link, or a pipe, where opening
/// would never end.
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
