//! What every task uses: trees of files, git, docker, output, and the layout.

pub mod cli;
pub mod commands;
pub mod docker;
pub mod fault;
pub mod fold;
pub mod git;
pub mod interrupt;
pub mod layout;
pub mod lock;
pub mod lock_file;
pub mod outcome;
pub mod output;
pub mod process;
pub mod progress;
pub mod records;
pub mod scratch_folder;
pub mod secret;
pub mod sglang;
pub mod suggest;
pub mod tool_repo;
pub mod tree;

/// The result of an operation on a file; `None` where there is no such file.
pub fn if_there<T>(done: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match done {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        done => done.map(Some),
    }
}
