//! Temporary folders. They are removed at the end, at Ctrl-C and at `kill`; the next run removes those
//! that `kill -9` leaves.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::interrupt;

const PREFIX: &str = "xtask-";

const IN_USE: &str = "in-use";

/// An older folder without that file is abandoned.
const ABANDONED: Duration = Duration::from_hours(1);

static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

#[derive(Debug)]
pub struct ScratchFolder {
    dir: TempDir,
    _in_use: File,
}

impl ScratchFolder {
    /// Makes a folder, and removes those of killed runs. `what` is part of its name.
    pub fn new(what: &str) -> Result<Self> {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            sweep(&std::env::temp_dir());
            // If this fails, Ctrl-C leaves folders for the next run to sweep.
            let _ = watch();
        });
        let dir = {
            // The lock makes a signal wait for the new folder.
            let mut folders = folders();
            let dir = tempfile::Builder::new()
                .prefix(&format!("{PREFIX}{what}-"))
                .tempdir()
                .context("making a temporary folder")?;
            folders.push(dir.path().to_owned());
            dir
        };
        // Lock before the rename: another run may be sweeping.
        let unlocked = dir.path().join("new");
        let in_use = fs_err::File::create(&unlocked)?.into_file();
        in_use.lock().context("locking a temporary folder")?;
        fs_err::rename(unlocked, dir.path().join(IN_USE))?;
        Ok(Self {
            dir,
            _in_use: in_use,
        })
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Drop for ScratchFolder {
    fn drop(&mut self) {
        // It stays in the list until it is gone, for signals. `dir` tries again if this fails.
        let _ = fs_err::remove_dir_all(self.dir.path());
        folders().retain(|path| path != self.dir.path());
    }
}

fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() -> Result<()> {
    for signal in interrupt::SIGNALS {
        let signal = signal.as_raw();
        let (mut woken, wakes) = UnixStream::pair()?;
        signal_hook::low_level::pipe::register(signal, wakes)?;
        std::thread::spawn(move || {
            while woken.read_exact(&mut [0]).is_ok() {
                // A task that listens itself cleans up in its own time.
                if !interrupt::is_listening() {
                    let folders = folders();
                    // Twice, because a program may have created a folder again.
                    let twice = folders.iter().chain(folders.iter());
                    twice.for_each(|folder| remove(folder));
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        });
    }
    Ok(())
}

/// Removes a folder into which a program may still write.
fn remove(folder: &Path) {
    for _ in 0..50 {
        let _ = fs_err::remove_dir_all(folder);
        if !folder.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Removes the folders of killed runs: their locks are free.
fn sweep(folder: &Path) {
    let Ok(items) = fs_err::read_dir(folder) else {
        return;
    };
    for item in items.flatten() {
        let (name, path) = (item.file_name(), item.path());
        if name.to_string_lossy().starts_with(PREFIX) && is_abandoned(&path) {
            remove(&path);
        }
    }
}

fn is_abandoned(folder: &Path) -> bool {
    // In a shared folder, others may put links or folders of their own.
    let Ok(metadata) = fs_err::symlink_metadata(folder) else {
        return false;
    };
    let ours = metadata.uid() == rustix::process::getuid().as_raw();
    if !metadata.is_dir() || !ours {
        return false;
    }
    let lock = folder.join(IN_USE);
    if fs_err::symlink_metadata(&lock).is_ok_and(|lock| lock.is_file()) {
        return fs_err::File::open(lock).is_ok_and(|lock| lock.file().try_lock().is_ok());
    }
    let age = metadata.modified().map(|at| at.elapsed());
    age.is_ok_and(|age| age.is_ok_and(|age| age > ABANDONED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn what_killed_runs_left_is_swept_and_nothing_else() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = |name: &str, lock: bool| {
            let path = temporary.path().join(name);
            fs_err::create_dir(&path).unwrap();
            fs_err::write(path.join("config"), "").unwrap();
            if lock {
                fs_err::write(path.join(IN_USE), "").unwrap();
            }
            path
        };
        let killed = folder("xtask-upstream-killed", true);
        let runs = folder("xtask-scratch-runs", true);
        let held = File::open(runs.join(IN_USE)).unwrap();
        held.lock().unwrap();
        let begun = folder("xtask-scratch-begun", false);
        let old = folder("xtask-scratch-old", false);
        let then = SystemTime::now() - 2 * ABANDONED;
        File::open(&old).unwrap().set_modified(then).unwrap();
        let other = folder("other", true);
        fs_err::os::unix::fs::symlink(&other, temporary.path().join("xtask-link")).unwrap();
        sweep(temporary.path());
        for (path, stays) in [(killed, false), (old, false), (runs, true), (begun, true)] {
            assert_eq!(path.exists(), stays, "{}", path.display());
        }
        assert!(other.join("config").exists());
        assert!(temporary.path().join("xtask-link").is_symlink());
    }
}
