//! The needs of the stages, which are checked before the first stage runs.

use std::path::Path;

use super::environment::python;
use super::stages::{TestStage, cargo, command};
use super::{image, page, text_of};
use xtask_core::docker::Engine;
use xtask_core::git::Git;
use xtask_core::outcome::UsageError;
use xtask_core::output;

/// A need of a stage that only a person can install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Rustfmt,
    Clippy,
    Git,
    Python,
    Docker,
    Browser,
    /// The parts of the base image of the stage `image`.
    BaseImage,
}

impl Need {
    fn may_lack(self) -> bool {
        matches!(self, Self::Docker | Self::BaseImage | Self::Browser)
    }

    /// The error says what is missing and how to install it.
    fn check(self, root: &Path) -> Result<(), String> {
        let component = |name| cargo(root, name).arg("--version").output();
        let has = |name| component(name).is_ok_and(|output| output.status.success());
        let (is_met, missing) = match self {
            Self::Rustfmt => (has("fmt"), "rustfmt: rustup component add rustfmt"),
            Self::Clippy => (has("clippy"), "clippy: rustup component add clippy"),
            Self::Python => (
                python().is_some(),
                "Python 3.10 or newer with venv: apt-get install python3 python3-venv",
            ),
            Self::Browser => (
                page::browser().is_some(),
                "there is no Chromium on PATH\ninstall it: apt-get install chromium",
            ),
            Self::Git => {
                let checked = Git::find();
                return checked.map(drop).map_err(|error| format!("{error:#}"));
            }
            Self::Docker => return Engine::find().map(drop).map_err(|error| error.0),
            Self::BaseImage => return base_image(root),
        };
        is_met.then_some(()).ok_or_else(|| missing.to_owned())
    }
}

/// The stages that can't run here, each with the reason. The error lists everything that is
/// missing, where some of it is required; in CI, all is.
pub fn check(
    stages: &[&'static TestStage],
    root: &Path,
    ci: bool,
) -> Result<Vec<(&'static TestStage, String)>, UsageError> {
    let mut found: Vec<(Need, Result<(), String>)> = Vec::new();
    for need in stages.iter().flat_map(|stage| stage.needs) {
        if !found.iter().any(|(known, _)| known == need) {
            found.push((*need, need.check(root)));
        }
    }
    let must = found.iter().filter(|(need, _)| !need.may_lack());
    let mut missing: Vec<String> = must.filter_map(|(_, found)| found.clone().err()).collect();
    let mut skips = Vec::new();
    for stage in stages {
        let needs = found.iter().filter(|(need, _)| stage.needs.contains(need));
        let lacking = needs.filter(|(need, _)| need.may_lack());
        let lacking: Vec<String> = lacking.filter_map(|(_, it)| it.clone().err()).collect();
        if !lacking.is_empty() {
            skips.push((*stage, lacking.join("\n")));
        }
    }
    if missing.is_empty() && (!ci || skips.is_empty()) {
        return Ok(skips);
    }
    let then = if ci {
        "can't run, and where CI is set none may be skipped"
    } else {
        "would be skipped"
    };
    let line = |(stage, why): &(&TestStage, _)| format!("the stage {} {then}: {why}", stage.name);
    missing.extend(skips.iter().map(line));
    let missing = missing.join("\n").replace('\n', "\n  ");
    let words = format!("the tests need what this machine lacks:\n  {missing}");
    Err(UsageError(words))
}

fn base_image(root: &Path) -> Result<(), String> {
    let checked = command(root, &root.join(image::BASE), "--check").output();
    let checked = checked.map_err(|error| format!("{} can't be run: {error}", image::BASE))?;
    let text = text_of(&checked);
    if !checked.status.success() {
        return Err(text.trim_end().to_owned());
    }
    // It may have another way than the usual one.
    output::tell(&text);
    Ok(())
}
