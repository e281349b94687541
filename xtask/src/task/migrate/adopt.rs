//! `migrate --adopt`: a lock for a worker that is modern already and has none.

use anyhow::{Result, bail};

use super::make::{Made, Situation};
use crate::git::{Git, Scratch};

pub fn make(
    _git: &Git,
    _at: &Situation,
    _scratch: &Scratch,
    _upstream: Option<&str>,
    _revision: &str,
) -> Result<Made> {
    bail!("later")
}
