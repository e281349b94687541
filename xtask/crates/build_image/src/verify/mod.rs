//! Checks the image that was built.
//!
//! `inspect`, `layers` and `probe` read the image, and the modules named after a check judge it.
//! Programs run in `containers`. They are in Python, which every image has.

mod behaviour;
mod configuration;
mod containers;
mod expected_image;
mod inspect;
mod layers;
mod probe;
mod secrets;
mod size;
mod stray;

use anyhow::{Result, bail};

use self::containers::Session;
use self::expected_image::ExpectedImage;
use self::inspect::InspectedImage;
pub use self::inspect::image as inspect;
use self::layers::Look;
use super::report::{Check, CheckReport};
use super::repository::BuildInputs;
use super::token::SHORTEST;
use worker_files::Source;
use xtask_core::docker::Engine;
use xtask_core::interrupt;
use xtask_core::outcome::UserError;
use xtask_core::progress;

/// Runs all checks of an image, and reports each. A worker that adds more than `budget` bytes to its
/// base image gets a warning.
pub fn image(
    engine: &Engine,
    repository: &BuildInputs,
    name: &str,
    budget: u64,
    report: &mut CheckReport,
) -> Result<Vec<Check>> {
    let tree = &*repository.tree;
    let mut checks = Vec::new();
    let mut add = |check: Check| {
        report.check("after", &check)?;
        checks.push(check);
        anyhow::Ok(())
    };
    progress::at("its description");
    let base_name = repository.base();
    let (seen, base_check) = Seen::read(engine, repository, name, &base_name)?;
    add(base_check)?;
    configuration::check(&seen)
        .into_iter()
        .try_for_each(&mut add)?;
    let session = Session::begin(engine)?;
    progress::at("its Python packages and flags");
    interrupt::check()?;
    let probed = probe::check(&session, &seen, repository, name, &base_name)?;
    probed.into_iter().try_for_each(&mut add)?;
    progress::at("its layers");
    let stray = stray::StrayFiles::new(&seen.expected, tree, seen.workdir());
    let look = Look {
        token: seen.token.map(str::as_bytes),
        keep: &|path| stray.contains(path) || secrets::is_credentials(path),
    };
    let layers = layers::read(engine, name, &look)?;
    add(stray::check(&stray, &layers, seen.base_layers()))?;
    add(secrets::check(&seen, &layers))?;
    let plan = behaviour::plan(tree, seen.token)?;
    progress::at("jobs in a worker");
    behaviour::check(&session, &seen.image, name, &plan, &mut add)?;
    add(size::check(&seen, budget))?;
    Ok(checks)
}

/// What is known of an image, and what is expected of it.
#[derive(Default)]
struct Seen<'a> {
    image: InspectedImage,
    /// The instructions that made it, the oldest first.
    history: Vec<String>,
    /// The base image with its history, if the engine has it and the image was built on it.
    base: Option<(InspectedImage, Vec<String>)>,
    expected: ExpectedImage,
    /// The value of `HF_TOKEN` to search for; a text that is too short occurs in many files.
    token: Option<&'a str>,
}

impl<'a> Seen<'a> {
    /// Reads the image and its base image, without which some checks know less.
    fn read(
        engine: &Engine,
        repository: &'a BuildInputs,
        name: &str,
        base_name: &str,
    ) -> Result<(Self, Check)> {
        let token = repository.token.as_ref();
        let token = token.map(|token| token.value.as_str());
        let token = token.filter(|token| token.len() >= SHORTEST);
        let Some(image) = inspect::image(engine, name)? else {
            let name = secrets::hidden(name, token);
            bail!(UserError::new(
                format!("docker has no image {name}"),
                "build it with `cargo xtask build-image`, or pull it"
            ));
        };
        let history = inspect::history(engine, name)?;
        let mut base = None;
        let check = match inspect::image(engine, base_name)? {
            Some(known) if image.is_built_on(&known) => {
                let (layers, all) = (known.layers.len(), image.layers.len());
                base = Some((known, inspect::history(engine, base_name)?));
                Ok(format!("{base_name}, {layers} of {all} layers"))
            }
            Some(_) => Err(format!(
                "the image was not built on {base_name} as it is on this engine: name its own base \
                 image with --base-image, or build again"
            )),
            None => Err(format!(
                "{base_name} is not on this engine: `docker pull {base_name}`"
            )),
        };
        let unknown = "what was there before the worker can't be told from what the worker brings";
        let check = match check {
            Ok(words) => Check::passed("base image", words),
            Err(why) => Check::warning("base image", why).and([unknown.to_owned()]),
        };
        let seen = Self {
            expected: expected(repository, &history, base.as_ref().map(|(base, _)| base))?,
            image,
            history,
            base,
            token,
        };
        Ok((seen, check))
    }

    fn base_image(&self) -> Option<&InspectedImage> {
        self.base.as_ref().map(|(image, _)| image)
    }

    /// How many of the lowest layers belong to the base image.
    fn base_layers(&self) -> usize {
        self.base_image().map_or(0, |base| base.layers.len())
    }

    /// The worker's folder: the Dockerfile's WORKDIR, or the base image's.
    fn workdir(&self) -> &str {
        let workdir = self.expected.workdir.as_ref();
        match &**workdir.unwrap_or(&self.image.workdir) {
            "" => "/",
            folder => folder,
        }
    }
}

/// A folder of the image, with a slash at its end only; empty for the root.
fn below_root(folder: &str) -> String {
    match folder.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    }
}

/// Keeps the first of many findings, and adds the number of the others.
fn shorten(wrong: &mut Vec<String>, what: &str) {
    const MOST: usize = 10;
    if let Some(more @ 1..) = wrong.len().checked_sub(MOST) {
        wrong.truncate(MOST);
        wrong.push(format!("and {more} {what}"));
    }
}

fn expected(
    inputs: &BuildInputs,
    history: &[String],
    base: Option<&InspectedImage>,
) -> Result<ExpectedImage> {
    let tree = &*inputs.tree;
    let Some((path, bytes)) = &inputs.dockerfile else {
        bail!(UserError::new(
            format!("{} has no Dockerfile", tree.describe()),
            "name the repository that the image was built from with `-C DIR`"
        ));
    };
    let source = Source::new(path.as_str().into(), bytes);
    ExpectedImage::new(tree, &inputs.ignore, &source, history, base).map_err(|unread| {
        UserError::new(
            format!("{}: {}", unread.place, unread.what),
            "fix the Dockerfile; `cargo xtask build-image --check` looks at it without building",
        )
        .into()
    })
}
