//! The needs of the stages, which are checked before the first stage runs.

use std::path::Path;
use std::process::Command;

use super::environment::python;
use super::stages::{TestStage, cargo, command};
use super::{image, page, text_of};
use xtask_core::docker::Engine;
use xtask_core::git::Git;
use xtask_core::outcome::UsageError;

/// A need of a stage that can't be set up without root.
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

/// Whether a need is met, maybe with a note; the error says what is missing and how to install it.
pub type Found = Result<Option<String>, String>;

/// Messages before the first stage, each with the name of a stage.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    pub skips: Vec<(&'static str, String)>,
    pub notes: Vec<(&'static str, String)>,
}

impl Need {
    fn may_lack(self) -> bool {
        matches!(self, Self::Docker | Self::BaseImage | Self::Browser)
    }

    fn check(self, root: &Path) -> Found {
        let (is_met, missing) = match self {
            Self::Rustfmt => (
                has_component("fmt", "rustfmt"),
                "rustfmt: rustup component add rustfmt",
            ),
            Self::Clippy => (
                has_component("clippy", "clippy"),
                "clippy: rustup component add clippy",
            ),
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
                return checked.map(|_| None).map_err(|error| format!("{error:#}"));
            }
            Self::Docker => {
                let found = Engine::find();
                return found.map(|_| None).map_err(|error| error.to_string());
            }
            Self::BaseImage => return base_image(root),
        };
        is_met.then_some(None).ok_or_else(|| missing.to_owned())
    }
}

/// Checks the needs of all stages, each once.
pub fn check(stages: &[&TestStage], root: &Path) -> Vec<(Need, Found)> {
    let mut found: Vec<(Need, Found)> = Vec::new();
    for need in stages.iter().flat_map(|stage| stage.needs) {
        if !found.iter().any(|(known, _)| known == need) {
            found.push((*need, need.check(root)));
        }
    }
    found
}

/// The stages to skip, with notes. The error lists everything that is missing, if some of it is
/// required.
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

/// Whether a component of the toolchain works, after rustup added it where it was missing. It has to be
/// run, because rustup installs a proxy for each component.
fn has_component(subcommand: &str, name: &str) -> bool {
    let succeeds = |command: &mut Command| {
        let output = command.output();
        output.is_ok_and(|output| output.status.success())
    };
    let works = || {
        succeeds(&mut cargo(
            Path::new("."),
            &format!("{subcommand} --version"),
        ))
    };
    let add = |rustup| {
        xtask_core::output::tell(&format!("adding {name} with rustup\n"));
        succeeds(Command::new(rustup).args(["component", "add", name]))
    };
    works() || which::which("rustup").is_ok_and(add) && works()
}

fn base_image(root: &Path) -> Found {
    let output = command(root, &root.join(image::BASE), "--check").output();
    let output = output.map_err(|error| format!("{} can't be run: {error}", image::BASE))?;
    let text = text_of(&output).trim_end().to_owned();
    if output.status.success() {
        Ok(Some(text).filter(|text| !text.is_empty()))
    } else {
        Err(text)
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
