//! The journal of a transaction, in the git directory: what to do, and what was there before. It is
//! written before the first file changes and removed when nothing is left to undo.
//!
//! ```text
//! xtask-migrate/journal.json   the record
//! xtask-migrate/next           the file that the current step puts in place
//! xtask-migrate/old/N          what step N took away
//! xtask-migrate/ours/N         a copy of a file in conflict that no step touches
//! xtask-migrate/index.*        the index from before, and the new one
//! xtask-migrate/scratch        git's temporary files
//! ```
//!
//! Whether a step is done is told by where its files are and by their hashes, so that no step needs
//! a second write to be on record, and a kill between any two writes leaves a state that can be
//! read.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::Task;
use super::files::{atomically, exists, is_same_inode};
use super::steps::{Conflict, ConflictStage, PathChange};
use xtask_core::git::Repo;
use xtask_core::outcome::UserError;
use xtask_core::output::quoted_file;
use xtask_core::tree::{Oid, RepoPath};
use xtask_core::{fault, if_there, lock_file};

pub const VERSION: u32 = 2;

/// The last commit of this tool that writes and reads version 1.
const LAST_OF_VERSION_1: &str = "ac8c84b";

const PATIENCE: Duration = Duration::from_secs(20);

const FOLDER: &str = "xtask-migrate";
const RECORD: &str = "journal.json";

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Steps are being taken; a journal found in this state was interrupted.
    #[default]
    Applying,
    /// Conflict markers are in the work tree and wait for a person.
    Conflicts,
    /// All is staged and waits to be committed.
    Staged,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct JournalRecord {
    pub version: u32,
    pub task: String,
    pub state: Phase,
    pub head: Oid,
    pub before_tree: Oid,
    pub after_tree: Oid,
    pub steps: Vec<PathChange>,
    /// How many of the steps an earlier run has finished.
    pub done: usize,
    /// The first step that can still be undone; those before it have been committed.
    pub undo_from: usize,
    /// The hashes of the replaced files in the work tree, unfiltered.
    pub found: BTreeMap<RepoPath, Oid>,
    pub new_folders: Vec<RepoPath>,
    pub conflicts: Vec<Conflict>,
    pub stages: Vec<ConflictStage>,
    /// The files in conflict that stay in place, and that a person may change to resolve them.
    pub ours: Vec<RepoPath>,
    /// What the task needs once the conflicts are resolved, in its own format.
    pub pending: Option<String>,
    /// Without one the journal ends once all is staged, and the task commits nothing.
    pub commit: Option<Commit>,
}

impl JournalRecord {
    /// The last of the commits, once they are made.
    pub fn tip(&self) -> Option<&Oid> {
        self.commit.as_ref()?.tip.as_ref()
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Whether it was asked for; `--resume` may ask later.
    pub wanted: bool,
    /// The tree of the first commit, in which files have moved and nothing else; absent where
    /// nothing moves.
    pub moves_tree: Option<Oid>,
    pub moves_message: String,
    pub message: String,
    /// The last of the commits, once they are made.
    pub tip: Option<Oid>,
}

/// The journal's folder, held by one process at a time.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    lock: PathBuf,
    pub task: Task,
    /// Held by this process and every git that it starts, so the next run waits for a git that
    /// outlives a killed parent.
    _held: File,
}

impl Drop for Journal {
    fn drop(&mut self) {
        // A waiting process sees that the file is gone and makes another.
        let _ = fs_err::remove_file(&self.lock);
    }
}

impl Journal {
    pub fn lock(repo: &Repo, task: Task) -> Result<Self> {
        let lock = repo.git_dir.join("xtask-migrate.lock");
        let held = loop {
            let file = lock_file::hold(&lock, "migrate or clean up", Some(PATIENCE))?;
            // The process that held the lock may have removed the file in between.
            if is_same_inode(file.metadata(), lock.metadata()) {
                break file;
            }
        };
        rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty())
            .context("handing the journal's lock to git")?;
        Ok(Self {
            dir: repo.git_dir.join(FOLDER),
            lock,
            task,
            _held: held,
        })
    }

    /// The record; `None` if no transaction is under way. Removes what a run left that was killed
    /// before it had written a record: it had changed nothing else.
    pub fn read(&self) -> Result<Option<JournalRecord>> {
        let record = read_record(&self.file(RECORD)).map_err(UserError::from)?;
        if record.is_none() {
            self.remove_folder()?;
        }
        Ok(record)
    }

    /// Reads the record without taking the lock or changing anything.
    pub fn peek(repo: &Repo) -> Result<Option<JournalRecord>, Unreadable> {
        read_record(&repo.git_dir.join(FOLDER).join(RECORD))
    }

    pub fn is_open(&self) -> bool {
        exists(&self.file(RECORD))
    }

    /// Makes room for a new record. A transaction that was completed can be taken back until then:
    /// its changes may come back out of a stash, or by a reset.
    pub fn begin(&self, repo: &Repo) -> Result<()> {
        let device = |path: &Path| fs_err::metadata(path).map(|data| data.dev());
        if device(&repo.top)? != device(&repo.git_dir)? {
            let (top, git_dir) = (repo.top.display(), repo.git_dir.display());
            bail!(UserError::new(
                format!("{top} is on another file system than its git directory, {git_dir}"),
                "files can't be moved there and back in one step: run this in a clone that has \
                 both on one file system"
            ));
        }
        self.remove()?;
        for folder in ["old", "ours"] {
            fs_err::create_dir_all(self.file(folder))?;
        }
        Ok(())
    }

    /// Puts the record on disk, whole or not at all.
    pub fn write(&self, record: &JournalRecord) -> Result<()> {
        let bytes = serde_json::to_vec(record).context("writing the journal as JSON")?;
        let next = self.file("journal.json.next");
        fault::point()?;
        let mut file = fs_err::File::create(&next)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        atomically(|| fs_err::rename(&next, self.file(RECORD)))
    }

    /// Ends the transaction: nothing is left to undo.
    pub fn remove(&self) -> Result<()> {
        atomically(|| if_there(fs_err::remove_file(self.file(RECORD))))?;
        self.remove_folder()
    }

    fn remove_folder(&self) -> Result<()> {
        if_there(fs_err::remove_dir_all(&self.dir))?;
        Ok(())
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn old_file(&self, number: usize) -> PathBuf {
        self.file(&format!("old/{number}"))
    }

    pub fn our_file(&self, number: usize) -> PathBuf {
        self.file(&format!("ours/{number}"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    pub path: PathBuf,
    pub why: String,
}

impl Unreadable {
    pub fn what(&self) -> String {
        let (path, why) = (self.path.display(), &self.why);
        format!("the journal of a migration or cleanup can't be read: {path}: {why}")
    }

    /// The command that moves the journal aside.
    pub fn put_aside(&self) -> String {
        let folder = self.path.parent().unwrap_or(&self.path);
        let quoted = |path: &Path| quoted_file(&RepoPath::new(path.as_os_str().as_bytes()));
        let aside = folder.with_extension("aside");
        format!("mv {} {}", quoted(folder), quoted(&aside))
    }

    pub fn help(&self) -> String {
        format!(
            "if another version of this tool wrote it, finish with that one; else put it aside with \
             `{}`: what was taken away stays in it, and `git status` tells what is half-done",
            self.put_aside()
        )
    }
}

impl From<Unreadable> for UserError {
    fn from(record: Unreadable) -> Self {
        Self::new(record.what(), record.help())
    }
}

fn read_record(path: &Path) -> Result<Option<JournalRecord>, Unreadable> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let read = || {
        let is_link = path.parent().is_some_and(Path::is_symlink);
        if is_link || path.symlink_metadata().is_ok_and(|data| !data.is_file()) {
            bail!("it is not a file of this tool");
        }
        let Some(bytes) = if_there(std::fs::read(path))? else {
            return Ok(None);
        };
        match serde_json::from_slice(&bytes)? {
            Versioned { version: VERSION } => Ok(serde_json::from_slice(&bytes)?),
            Versioned { version: 1 } => {
                bail!("it is of version 1; the tool of commit {LAST_OF_VERSION_1} finishes it")
            }
            Versioned { version } => bail!("it is of version {version}; this tool knows {VERSION}"),
        }
    };
    read().map_err(|error: anyhow::Error| Unreadable {
        path: path.to_owned(),
        why: error.to_string(),
    })
}
