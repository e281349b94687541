//! The tasks that use other tasks, which are crates of their own.

pub mod cli;
pub mod example;
pub mod status;
pub mod test;

use std::path::{Path, PathBuf};

/// A folder as a person would type it.
fn from_here(folder: &Path) -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    match folder.strip_prefix(&here) {
        Ok(below) if below.as_os_str().is_empty() => PathBuf::from("."),
        Ok(below) => below.to_owned(),
        Err(_) => folder.to_owned(),
    }
}
