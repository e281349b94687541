//! The file whose lock says that a task is at work.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use crate::outcome::UserError;
use crate::output;

/// Takes the lock, and keeps others waiting while the file lives, be it in this process or in one
/// that it started with it. Where another run of `work` has it this waits for its end, and says so
/// after a while.
pub fn hold(path: &Path, work: &str, quietly: Duration) -> Result<File> {
    let file = open(path)?;
    let begun = Instant::now();
    let locked = loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begun.elapsed() < quietly => {
                std::thread::sleep(Duration::from_millis(50));
            }
            Err(TryLockError::WouldBlock) => {
                output::tell(&format!("waiting for another run here to {work}\n"));
                break file.lock();
            }
            Err(TryLockError::Error(error)) => break Err(error),
            Ok(()) => break Ok(()),
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
