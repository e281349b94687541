//! What is checked in the image that was built.
//!
//! `inspect`, `layers` and the scripts in the image read it into values, the modules named after a
//! check judge those, and only `containers` runs anything. In the image run Python scripts
//! (`probe.py`, `flags.py`): a Python is all that is sure to be there.

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

use anyhow::{Result, bail};

use self::configuration::Promise;
use self::containers::Session;
use self::expected_image::ExpectedImage;
use self::inspect::{HistoryStep, InspectedImage};
use self::layers::Look;
use super::Check;
use super::repository::BuildInputs;
use compare::accepted::Accepted;
use compare::baseline;
use worker_files::Source;
use xtask_core::docker::Engine;
use xtask_core::interrupt;
use xtask_core::layout::BASELINE;
use xtask_core::outcome::UserError;
use xtask_core::progress;
use xtask_core::records;
use xtask_core::tree::Tree;

pub struct Subject<'a> {
    pub engine: &'a Engine,
    /// The repository from whose work tree the image was built.
    pub repository: &'a BuildInputs,
    pub image: &'a str,
    /// The image that carried the same tag before this build, where there was one.
    pub before: Option<&'a str>,
    /// How many bytes the image may add to its base before that is worth a warning.
    pub budget: u64,
}

/// Runs all checks in the printed order; calls `done` with each.
pub fn image(subject: &Subject, done: &mut dyn FnMut(&Check)) -> Result<Vec<Check>> {
    let Subject {
        engine, repository, ..
    } = subject;
    let tree = &*repository.tree;
    let mut checks = Vec::new();
    let mut tell = |check: Check| {
        done(&check);
        checks.push(check);
    };
    progress::at("its description");
    let base_name = repository.base();
    let (seen, base_check) = Seen::read(subject, &base_name)?;
    tell(base_check);
    let (image, made, base) = (&seen.image, &seen.made, seen.base.as_ref());
    let base = base.map(|base| &base.image);
    let hide = |name: &str, value: &str| secrets::shown_value(name, value, seen.token);
    tell(configuration::platform(image));
    tell(configuration::command(image, made, base));
    tell(configuration::environment(image, made, base, &hide));
    let promise = promise(tree)?;
    tell(configuration::promise(image, made, promise.as_ref()));
    progress::at("its layers");
    layer_checks(subject, &seen, &mut tell)?;
    let session = Session::begin(engine)?;
    progress::at("its Python packages");
    interrupt::check()?;
    let images = (subject.image, base_name.as_str());
    for check in python::check(&session, &seen, images, tree)? {
        tell(check);
    }
    progress::at("its flags");
    tell(flags::look(&session, &seen, subject)?);
    let plan = behaviour::plan(tree, seen.token)?;
    progress::at("jobs in a worker");
    behaviour::check(&session, image, subject.image, &plan, &mut tell)?;
    let before = match subject.before {
        Some(before) => inspect::image(engine, before)?,
        None => None,
    };
    let budget = subject.budget;
    tell(size::check(
        image,
        &seen.history,
        base,
        before.as_ref(),
        budget,
    ));
    Ok(checks)
}

#[derive(Default)]
struct Seen<'a> {
    image: InspectedImage,
    history: Vec<HistoryStep>,
    /// The base image, where it is on this engine and is what the image was built on.
    base: Option<Base>,
    made: ExpectedImage,
    /// The value of `HF_TOKEN` to search for, and whether the given one is too short for that.
    token: Option<&'a str>,
    too_short: bool,
}

struct Base {
    image: InspectedImage,
    history: Vec<HistoryStep>,
    /// How many of the lowest layers are its own.
    layers: usize,
}

impl<'a> Seen<'a> {
    /// Reads the image and checks for its base image, without which some checks know less.
    fn read(subject: &Subject<'a>, base_name: &str) -> Result<(Self, Check)> {
        let &Subject {
            engine, repository, ..
        } = subject;
        let token = repository.token.as_ref();
        let (token, too_short) = secrets::sought(token.map(|token| token.value.as_str()));
        let Some(image) = inspect::image(engine, subject.image)? else {
            let name = secrets::hidden(subject.image, token);
            bail!(UserError::new(
                format!("docker has no image {name}"),
                "build it with `cargo xtask build-image`, or pull it"
            ));
        };
        let history = inspect::history(engine, subject.image)?;
        let mut base = None;
        let known = inspect::image(engine, base_name)?;
        let why = if known.is_some() {
            format!(
                "the image was not built on {base_name} as it is on this engine: name its own base \
                 image with --base-image, or build again"
            )
        } else {
            format!("{base_name} is not on this engine: `docker pull {base_name}`")
        };
        let mut check = Check::warning("base image", why).and([
            "what was there before the worker can't be told from what the worker brings".to_owned(),
        ]);
        if let Some(known) = known
            && let Some(layers) = image.layers_of(&known)
        {
            let all = image.layers.len();
            let words = format!("{base_name}, {layers} of {all} layers");
            check = Check::passed("base image", words);
            base = Some(Base {
                image: known,
                history: inspect::history(engine, base_name)?,
                layers,
            });
        }
        let base_image = base.as_ref().map(|base| &base.image);
        let seen = Self {
            made: made(repository, &history, base_image)?,
            image,
            history,
            base,
            token,
            too_short,
        };
        Ok((seen, check))
    }

    /// The worker's folder: the Dockerfile's WORKDIR, or the base image's.
    fn workdir(&self) -> &str {
        match self.made.workdir.as_deref().unwrap_or(&self.image.workdir) {
            "" => "/",
            folder => folder,
        }
    }
}

fn made(
    of: &BuildInputs,
    history: &[HistoryStep],
    base: Option<&InspectedImage>,
) -> Result<ExpectedImage> {
    let tree = &*of.tree;
    let Some((path, bytes)) = &of.dockerfile else {
        bail!(UserError::new(
            format!("{} has no Dockerfile", tree.describe()),
            "name the repository that the image was built from with --repo"
        ));
    };
    let source = Source::new(path.as_str().into(), bytes);
    ExpectedImage::new(tree, &of.ignore, &source, history, base).map_err(|unread| {
        UserError::new(
            format!("{}: {}", unread.place, unread.what),
            "fix the Dockerfile; `cargo xtask build-image --check` looks at it without building",
        )
        .into()
    })
}

/// The text of a record that may be missing.
fn text(tree: &dyn Tree, record: &'static str) -> Result<Option<String>> {
    let found = records::read(tree, record)?;
    Ok(found.map(|(bytes, _)| String::from_utf8_lossy(&bytes).into_owned()))
}

/// What the record says that the legacy image set.
fn promise(tree: &dyn Tree) -> Result<Option<Promise>> {
    /// These are the image's, not its environment's.
    const INSTRUCTIONS: [&str; 6] = [
        "FROM",
        "CMD",
        "ENTRYPOINT",
        "WORKDIR",
        "USER",
        "HEALTHCHECK",
    ];
    let Some(record) = text(tree, BASELINE)? else {
        return Ok(None);
    };
    let facts = baseline::of_repository(&record, BASELINE)?.facts;
    let accepted = Accepted::of_tree(tree)?;
    let is_variable = |name: &str| {
        let of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        name.chars().all(of_name) && !INSTRUCTIONS.contains(&name)
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

fn layer_checks(subject: &Subject, seen: &Seen, tell: &mut dyn FnMut(Check)) -> Result<()> {
    let repository = subject.repository;
    let sought = files::Sought::new(&seen.made, &*repository.tree, seen.workdir());
    let look = Look {
        token: seen.token.map(str::as_bytes),
        keep: &|path, size| sought.keep(path, size).max(secrets::keep(path)),
    };
    let layers = layers::read(subject.engine, subject.image, &look)?;
    let base_layers = seen.base.as_ref().map_or(0, |base| base.layers);
    tell(files::copied(&sought, &layers, repository.update_flags)?);
    tell(files::strange(&sought, &layers, base_layers)?);
    tell(secrets::check(seen, &layers));
    Ok(())
}
