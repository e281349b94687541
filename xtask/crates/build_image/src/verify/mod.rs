//! What is checked in the image that was built.
//!
//! Reading, deciding and doing are apart: `inspect`, `layers` and the scripts that run in the
//! image turn it into values, the modules named after what they check judge those, and
//! `containers` is the only one that runs anything. In the image run Python scripts (`probe.py`,
//! `flags.py`): a Python is all that is sure to be there.

mod behaviour;
mod configuration;
mod containers;
mod expected_image;
mod files;
mod flags;
mod inspect;
mod layers;
mod python;
mod secrets;
mod size;

use std::path::Path;

use anyhow::{Result, bail};

use self::configuration::Promise;
use self::containers::Session;
use self::expected_image::ExpectedImage;
use self::inspect::{Image, Step};
use self::layers::Look;
use super::{Check, Verdict};
use compare::accepted::Accepted;
use compare::baseline;
use worker_files::Source;
use worker_files::ignore::Ignore;
use xtask_core::docker::Engine;
use xtask_core::interrupt;
use xtask_core::layout::{ACCEPTED, BASELINE};
use xtask_core::outcome::UserError;
use xtask_core::progress;
use xtask_core::records;
use xtask_core::tree::Tree;

/// What the checks need to know.
pub struct Subject<'a> {
    /// The repository's work tree, from which the image was built.
    pub tree: &'a dyn Tree,
    /// The Dockerfile's path and text, where there is one.
    pub dockerfile: Option<(&'a str, &'a [u8])>,
    /// What its build is not sent.
    pub ignore: &'a Ignore,
    /// The image's tag or id.
    pub image: &'a str,
    /// The base image that it was built on.
    pub base: &'a str,
    /// The value of `HF_TOKEN` that the build was given.
    pub token: Option<&'a str>,
    /// The image that carried the same tag before this build, where there was one.
    pub before: Option<&'a str>,
    /// How many bytes the image may add to its base before that is worth a warning.
    pub budget: u64,
    /// The repository whose `sglang_flags.json` is to be written from the image.
    pub update_flags: Option<&'a Path>,
}

/// Looks at everything, in the order in which it is printed; calls `done` with each check as it
/// ends.
pub fn image(
    engine: &Engine,
    subject: &Subject,
    done: &mut dyn FnMut(&Check),
) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    let mut tell = |check: Check| {
        done(&check);
        checks.push(check);
    };
    let (token, too_short) = secrets::sought(subject.token);
    progress::at("its description");
    let seen = Seen::read(engine, subject, token)?;
    tell(seen.base_check(subject.base));
    configuration_checks(&seen, subject, token, &mut tell)?;
    progress::at("its layers");
    layer_checks(engine, &seen, subject, (token, too_short), &mut tell)?;
    let session = Session::begin(engine)?;
    progress::at("its Python packages");
    python_checks(&session, &seen, subject, &mut tell)?;
    progress::at("its flags");
    flag_checks(&session, &seen, subject, &mut tell)?;
    let plan = behaviour::plan(subject.tree, token)?;
    progress::at("jobs in a worker");
    behaviour::check(&session, &seen.image, subject.image, &plan, &mut tell)?;
    let before = match subject.before {
        Some(before) => inspect::image(engine, before)?,
        None => None,
    };
    tell(size::check(
        &seen.image,
        &seen.history,
        seen.base.as_ref(),
        before.as_ref(),
        subject.budget,
    ));
    Ok(checks)
}

/// The image as the daemon and the Dockerfile describe it.
struct Seen {
    image: Image,
    history: Vec<Step>,
    /// The base image, where it is on this engine and is what the image was built on.
    base: Option<Image>,
    base_history: Vec<Step>,
    base_layers: usize,
    is_other_base: bool,
    made: ExpectedImage,
}

impl Seen {
    fn read(engine: &Engine, subject: &Subject, token: Option<&str>) -> Result<Self> {
        let Some(image) = inspect::image(engine, subject.image)? else {
            bail!(UserError::new(
                format!(
                    "docker has no image {}",
                    secrets::hidden(subject.image, token)
                ),
                "build it with `cargo xtask build-image`, or pull it"
            ));
        };
        let history = inspect::history(engine, subject.image)?;
        let base = inspect::image(engine, subject.base)?;
        let is_there = base.is_some();
        let base = base.filter(|base| image.layers_of(base).is_some());
        let base_history = match &base {
            Some(_) => inspect::history(engine, subject.base)?,
            None => Vec::new(),
        };
        let made = made(subject, &history, base.as_ref())?;
        Ok(Self {
            base_layers: base
                .as_ref()
                .and_then(|base| image.layers_of(base))
                .unwrap_or(0),
            is_other_base: is_there && base.is_none(),
            image,
            history,
            base,
            base_history,
            made,
        })
    }

    /// Where the worker is: by the Dockerfile, or else where the base image left off.
    fn workdir(&self) -> &str {
        match self.made.workdir.as_deref().unwrap_or(&self.image.workdir) {
            "" => "/",
            folder => folder,
        }
    }

    /// What the image stands on, without which some checks know less.
    fn base_check(&self, name: &str) -> Check {
        let what = "base image";
        if self.base.is_some() {
            let layers = self.image.layers.len();
            return Check::passed(
                what,
                format!("{name}, {} of {layers} layers", self.base_layers),
            );
        }
        let why = if self.is_other_base {
            format!(
                "the image was not built on {name} as it is on this engine: name its own base image \
                 with --base-image, or build again"
            )
        } else {
            format!("{name} is not on this engine: `docker pull {name}`")
        };
        Check::new(what, Verdict::Warning, [why]).and([
            "what was there before the worker can't be told from what the worker brings".to_owned(),
        ])
    }
}

fn made(subject: &Subject, history: &[Step], base: Option<&Image>) -> Result<ExpectedImage> {
    let Some((path, bytes)) = subject.dockerfile else {
        bail!(UserError::new(
            format!("{} has no Dockerfile", subject.tree.describe()),
            "name the repository that the image was built from with --repo"
        ));
    };
    let source = Source::new(path.into(), bytes);
    ExpectedImage::new(subject.tree, subject.ignore, &source, history, base).map_err(|unread| {
        UserError::new(
            format!("{}: {}", unread.place, unread.what),
            "fix the Dockerfile; `cargo xtask build-image --check` looks at it without building",
        )
        .into()
    })
}

fn configuration_checks(
    seen: &Seen,
    subject: &Subject,
    token: Option<&str>,
    tell: &mut dyn FnMut(Check),
) -> Result<()> {
    let base = seen.base.as_ref();
    let hide = |name: &str, value: &str| secrets::shown_value(name, value, token);
    tell(configuration::platform(&seen.image));
    tell(configuration::command(&seen.image, &seen.made, base));
    tell(configuration::environment(
        &seen.image,
        &seen.made,
        base,
        &hide,
    ));
    let promise = promise(subject.tree)?;
    tell(configuration::promise(
        &seen.image,
        &seen.made,
        promise.as_ref(),
    ));
    Ok(())
}

/// The text of a record that may be missing.
fn text(tree: &dyn Tree, record: &'static str) -> Result<Option<String>> {
    let found = records::read(tree, record)?;
    Ok(found.map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()))
}

/// What the record says that the legacy image set.
fn promise(tree: &dyn Tree) -> Result<Option<Promise>> {
    let Some(record) = text(tree, BASELINE)? else {
        return Ok(None);
    };
    let facts = baseline::of_repository(&record, BASELINE)?.facts;
    let accepted = match text(tree, ACCEPTED)? {
        Some(text) => Accepted::of_repository(&text, ACCEPTED)?,
        None => Accepted::default(),
    };
    let is_variable = |name: &str| {
        // FROM, CMD and the like are the image's, not its environment's.
        let instructions = [
            "FROM",
            "CMD",
            "ENTRYPOINT",
            "WORKDIR",
            "USER",
            "HEALTHCHECK",
        ];
        name.chars()
            .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && !instructions.contains(&name)
    };
    let values = facts
        .area("image")
        .filter(|(name, _)| is_variable(name))
        .filter_map(|(name, fact)| Some((name.to_owned(), fact.get("value")?.to_owned())));
    let (accepted, variables) =
        values.partition(|(name, _)| accepted.covers(&format!("image:{name}")));
    Ok(Some(Promise {
        variables,
        accepted,
    }))
}

fn layer_checks(
    engine: &Engine,
    seen: &Seen,
    subject: &Subject,
    (token, too_short): (Option<&str>, bool),
    tell: &mut dyn FnMut(Check),
) -> Result<()> {
    let sought = files::Sought::new(&seen.made, subject.tree, seen.workdir());
    let layers = layers::read(
        engine,
        subject.image,
        &Look {
            token: token.map(str::as_bytes),
            keep: &|path, size| sought.keep(path, size).max(secrets::keep(path)),
        },
    )?;
    tell(files::copied(
        &sought,
        &layers,
        subject.update_flags.is_some(),
    )?);
    tell(files::strange(&sought, &layers, seen.base_layers)?);
    tell(secrets::check(&secrets::Known {
        image: &seen.image,
        history: &seen.history,
        layers: &layers,
        base: seen
            .base
            .as_ref()
            .map(|base| (base, seen.base_history.as_slice())),
        base_layers: seen.base_layers,
        token,
        too_short,
    }));
    Ok(())
}

fn python_checks(
    session: &Session,
    seen: &Seen,
    subject: &Subject,
    tell: &mut dyn FnMut(Check),
) -> Result<()> {
    interrupt::check()?;
    let asked = python::Asked::new(subject.tree, &seen.made, seen.workdir())?;
    let answer = match python::ask(session, (subject.image, seen.workdir()), &asked)? {
        Ok(answer) => answer,
        Err(why) => {
            let words = format!(
                "python3 can't be run in the image: {why}: take a base image with Python, and \
                 keep it on PATH"
            );
            tell(Check::failed("python", words));
            for name in ["modules", "packages", "versions"] {
                tell(Check::skipped(name, "python3 can't be run in the image"));
            }
            return Ok(());
        }
    };
    tell(python::interpreter(&answer, &asked));
    tell(python::imports(&answer));
    // The base image is asked only where that makes a difference.
    let base = if answer.conflicts.is_empty() || seen.base.is_none() {
        None
    } else {
        python::ask_conflicts(session, subject.base)?.ok()
    };
    tell(python::packages(
        &answer,
        base.filter(|base| base.checker.is_some())
            .as_ref()
            .map(|base| base.conflicts.as_slice()),
    ));
    tell(python::versions(&answer, &asked));
    Ok(())
}

fn flag_checks(
    session: &Session,
    seen: &Seen,
    subject: &Subject,
    tell: &mut dyn FnMut(Check),
) -> Result<()> {
    let here = text(subject.tree, files::TABLE)?;
    let answer = flags::ask(session, (subject.image, seen.workdir()), subject.tree)?;
    tell(match (answer, subject.update_flags) {
        (None, _) => flags::unasked(),
        (Some(Err(why)), _) => flags::unread(&why),
        (Some(Ok(answer)), None) => flags::check(&answer, here.as_deref()),
        (Some(Ok(answer)), Some(repository)) => {
            flags::update(&answer, here.as_deref(), repository)?
        }
    });
    Ok(())
}
