//! `cargo xtask migrate`.

mod dangling;
mod rewrite;

use crate::{cli, outcome::Outcome};
use anyhow::Result;
use std::path::PathBuf;
pub fn run(_repo: &Option<PathBuf>, _args: &cli::Migrate) -> Result<Outcome> {
    Ok(Outcome::Done)
}
