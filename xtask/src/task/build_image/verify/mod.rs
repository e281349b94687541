//! What is checked in the image that was built.

use anyhow::Result;

use super::Check;
use crate::docker::Engine;
use crate::tree::Tree;

/// What the checks need to know.
pub struct Subject<'a> {
    /// The repository's work tree, from which the image was built.
    pub tree: &'a dyn Tree,
    /// The image's tag or id.
    pub image: &'a str,
    /// The base image that it was built on.
    pub base: &'a str,
    /// The value of HF_TOKEN that the build was given.
    pub token: Option<&'a str>,
    /// The image that carried the same tag before this build, where there was one.
    pub before: Option<&'a str>,
    /// How many bytes the image may add to its base before that is worth a warning.
    pub budget: u64,
}

/// Looks at everything, in the order in which it is printed; calls `done` with each check as it
/// ends.
pub fn image(
    _engine: &Engine,
    _subject: &Subject,
    _done: &mut dyn FnMut(&Check),
) -> Result<Vec<Check>> {
    Ok(Vec::new())
}
