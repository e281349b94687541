//! A transaction: changes to the work tree, the index and HEAD that can be finished or taken back
//! wherever the process was killed.
//!
//! A plan of path changes ([`steps`]) → a record in the git directory ([`journal`]) → [`apply`],
//! which also resumes, or [`undo`]. [`targets`] checks beforehand that nothing blocks the changes.
//! The crate knows no task: [`Task`] has its name, and the commands that resume and abort.

pub mod apply;
pub mod files;
mod head;
mod index;
pub mod journal;
pub mod steps;
pub mod targets;
mod undo;

use anyhow::{Error, Result, bail};

use self::journal::Journal;
use xtask_core::git::Repo;
use xtask_core::outcome::UserError;
use xtask_core::tree::RepoPath;

/// What a task calls its transactions, and the commands that finish or abort one.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    pub name: &'static str,
    pub resume: &'static str,
    pub abort: &'static str,
}

impl Task {
    /// An error after which the transaction can be finished or taken back.
    fn resume_or_abort(self, what: String, first: &str) -> UserError {
        let Self { resume, abort, .. } = self;
        let help = format!("{first}, then run `{resume}`; or take all back with `{abort}`");
        UserError::new(what, help)
    }

    /// An error after which only finishing makes sense.
    fn resume_only(self, what: String, first: &str) -> UserError {
        UserError::new(what, format!("{first}, then run `{}`", self.resume))
    }
}

/// A commit needs an author; better to know before anything is written.
pub fn check_identity(repo: &Repo) -> Result<()> {
    for name in ["GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"] {
        if !repo.git("var").arg(name).finish()?.ok {
            bail!(UserError::new(
                "git does not know who commits",
                "set it with `git config user.name NAME` and `git config user.email ADDRESS`"
            ));
        }
    }
    Ok(())
}

/// Adds the commands that resume and abort to an I/O error.
pub fn add_recovery_help(journal: &Journal, error: Error) -> Error {
    if error.is::<UserError>() || !journal.is_open() {
        return error;
    }
    let Task {
        name,
        resume,
        abort,
    } = journal.task;
    UserError::new(
        format!("the {name} stopped half-way: {error:#}"),
        format!("fix that, then finish with `{resume}`, or take it back with `{abort}`"),
    )
    .into()
}

/// The first few of many, a line each.
pub fn list(paths: &[RepoPath]) -> String {
    const SHOWN: usize = 10;
    let mut lines: Vec<String> = paths.iter().take(SHOWN).map(ToString::to_string).collect();
    if paths.len() > SHOWN {
        lines.push(format!("… and {} more", paths.len() - SHOWN));
    }
    lines.join("\n  ")
}
