//! What the stages need of the machine, looked at before the first one runs.

use std::path::Path;
use std::process::Command;

use super::environment::python;
use super::stages::{TestStage, cargo, command};
use super::{image, page, text_of};
use xtask_core::docker::Engine;
use xtask_core::git::Git;
use xtask_core::outcome::UsageError;

/// What a stage needs and that can't be set up here without root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Rustfmt,
    Clippy,
    Git,
    Python,
    Docker,
    Browser,
    /// What the base image of the stage `image` is made from.
    BaseImage,
}

/// What a look at the machine told of a need: it is there, perhaps with something to say of that;
/// or what is missing, and how to install it.
pub type Found = Result<Option<String>, String>;

/// Messages before the first stage, each with the name of a stage.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// Why it will be skipped.
    pub skips: Vec<(&'static str, String)>,
    pub notes: Vec<(&'static str, String)>,
}

impl Need {
    /// Whether a stage that lacks this is skipped, where it may be.
    fn may_lack(self) -> bool {
        matches!(self, Self::Docker | Self::BaseImage | Self::Browser)
    }

    fn look(self, root: &Path) -> Found {
        let or =
            |there: bool, missing: &str| there.then_some(None).ok_or_else(|| missing.to_owned());
        match self {
            Self::Rustfmt => or(
                component("fmt", "rustfmt"),
                "rustfmt: rustup component add rustfmt",
            ),
            Self::Clippy => or(
                component("clippy", "clippy"),
                "clippy: rustup component add clippy",
            ),
            Self::Git => match Git::find().and_then(|git| git.check_version()) {
                Ok(()) => Ok(None),
                Err(error) => Err(format!("{error:#}")),
            },
            Self::Python => or(
                python().is_some(),
                "Python 3.10 or newer with venv: apt-get install python3 python3-venv",
            ),
            Self::Docker => match Engine::find() {
                Ok(_) => Ok(None),
                Err(none) => Err(none.to_string()),
            },
            Self::Browser => or(
                page::browser().is_some(),
                "there is no Chromium on PATH\ninstall it: apt-get install chromium",
            ),
            Self::BaseImage => base_image(root),
        }
    }
}

/// Looks at all that the stages need, each thing once.
pub fn look(stages: &[&TestStage], root: &Path) -> Vec<(Need, Found)> {
    let mut found: Vec<(Need, Found)> = Vec::new();
    for need in stages.iter().flat_map(|stage| stage.needs) {
        if !found.iter().any(|(known, _)| known == need) {
            found.push((*need, need.look(root)));
        }
    }
    found
}

/// What comes of it: everything that is missing at once where the stages can't run without it, or
/// else what to say of those that will be skipped.
pub fn judge(
    stages: &[&TestStage],
    found: &[(Need, Found)],
    may_skip: bool,
) -> Result<Foresight, UsageError> {
    let mut foresight = Foresight::default();
    for stage in stages {
        let needs = found.iter().filter(|(need, _)| stage.needs.contains(need));
        let mut lacking = Vec::new();
        for (need, found) in needs {
            match found {
                Err(what) if need.may_lack() => lacking.push(what.as_str()),
                Ok(Some(note)) => foresight.notes.push((stage.name, note.clone())),
                _ => {}
            }
        }
        if !lacking.is_empty() {
            foresight.skips.push((stage.name, lacking.join("\n")));
        }
    }
    let must = found.iter().filter(|(need, _)| !need.may_lack());
    let mut missing: Vec<String> = must.filter_map(|(_, found)| found.clone().err()).collect();
    if missing.is_empty() && (may_skip || foresight.skips.is_empty()) {
        return Ok(foresight);
    }
    let then = if may_skip {
        "would be skipped"
    } else {
        "can't run, and where CI is set none may be skipped"
    };
    let skips = foresight.skips.iter();
    missing.extend(skips.map(|(stage, why)| format!("the stage {stage} {then}: {why}")));
    let mut text = "the tests need what this machine lacks:".to_owned();
    for what in missing {
        text += &format!("\n  {}", what.replace('\n', "\n  "));
    }
    Err(UsageError(text))
}

/// Whether a part of the toolchain works, which rustup adds where it doesn't: that takes no root.
/// Looking for the program is not enough, because rustup puts one in place of each part.
fn component(subcommand: &str, name: &str) -> bool {
    let works = || {
        let said = cargo(Path::new("."), &format!("{subcommand} --version")).output();
        said.is_ok_and(|output| output.status.success())
    };
    let add = || {
        let Ok(rustup) = which::which("rustup") else {
            return false;
        };
        xtask_core::output::tell(&format!("adding {name} with rustup\n"));
        let added = Command::new(rustup)
            .args(["component", "add", name])
            .output();
        added.is_ok_and(|output| output.status.success())
    };
    works() || add() && works()
}

fn base_image(root: &Path) -> Found {
    match command(root, &root.join(image::BASE), "--check").output() {
        Ok(output) => {
            let said = text_of(&output).trim_end().to_owned();
            if output.status.success() {
                Ok(Some(said).filter(|said| !said.is_empty()))
            } else {
                Err(said)
            }
        }
        Err(error) => Err(format!("{} can't be run: {error}", image::BASE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::stages::STAGES;

    const NO_DOCKER: &str = "there is no docker on PATH\ninstall docker: …";

    fn stages(names: &[&str]) -> Vec<&'static TestStage> {
        let named = |stage: &&TestStage| names.contains(&stage.name);
        STAGES.iter().filter(named).collect()
    }

    fn missing(need: Need, what: &str) -> (Need, Found) {
        (need, Err(what.to_owned()))
    }

    #[test]
    fn what_must_be_there_is_told_with_what_may_be_missing() {
        let stages = stages(&["format", "ruff", "image"]);
        let found = [
            missing(Need::Rustfmt, "rustfmt: add it"),
            missing(Need::Python, "Python: install it"),
            missing(Need::Docker, NO_DOCKER),
            missing(Need::BaseImage, "no bundle of certificates"),
        ];
        let told = |may_skip| judge(&stages, &found, may_skip).unwrap_err().0;
        assert_eq!(
            told(true),
            "the tests need what this machine lacks:\n  \
             rustfmt: add it\n  \
             Python: install it\n  \
             the stage image would be skipped: there is no docker on PATH\n  \
             install docker: …\n  \
             no bundle of certificates"
        );
        assert!(told(false).contains("the stage image can't run, and where CI is set"));
    }

    #[test]
    fn a_stage_that_lacks_docker_is_skipped_where_it_may_be() {
        let stages = stages(&["compare", "image"]);
        let found = [
            missing(Need::Docker, NO_DOCKER),
            (Need::BaseImage, Ok(Some("another".to_owned()))),
        ];
        let foresight = judge(&stages, &found, true).unwrap();
        assert_eq!(
            foresight,
            Foresight {
                skips: vec![("image", NO_DOCKER.to_owned())],
                notes: vec![("image", "another".to_owned())],
            }
        );
        assert_eq!(
            judge(&stages, &found, false).unwrap_err().0,
            "the tests need what this machine lacks:\n  \
             the stage image can't run, and where CI is set none may be skipped: \
             there is no docker on PATH\n  install docker: …"
        );
    }

    #[test]
    fn where_nothing_is_missing_nothing_is_said() {
        let all: Vec<&TestStage> = STAGES.iter().collect();
        let needs = all.iter().flat_map(|stage| stage.needs);
        let found: Vec<_> = needs.map(|need| (*need, Ok(None))).collect();
        for may_skip in [true, false] {
            assert_eq!(judge(&all, &found, may_skip), Ok(Foresight::default()));
        }
    }
}
