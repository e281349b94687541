//! stub
use std::path::Path;
pub fn run(_: Option<&Path>, _: &crate::cli::Status) -> anyhow::Result<crate::outcome::Outcome> {
    anyhow::bail!("not yet")
}
