//! The file whose lock says that a task is at work.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::fs::OFlags;

use crate::outcome::UserError;

/// Opens it, and makes it where it is not there. Anything else in its place (a link, a pipe, on
/// where opening would never end) is refused.
pub fn open(path: &Path) -> Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
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
