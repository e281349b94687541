//! What is checked in the image that was built.
//!
//! `inspect`, `layers` and the program in the image read it into values, the modules named after a
//! check judge those, and only `containers` runs anything. In the image run Python programs: a
//! Python is all that is sure to be there.

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
pub use self::inspect::image as inspected;
use self::inspect::{HistoryStep, InspectedImage};
use self::layers::Look;
use super::report::Check;
use super::repository::BuildInputs;
use super::token::SHORTEST;
use worker_files::Source;
use xtask_core::docker::Engine;
use xtask_core::interrupt;
use xtask_core::outcome::UserError;
use xtask_core::progress;

pub struct Subject<'a> {
    pub engine: &'a Engine,
    /// The repository from whose work tree the image was built.
    pub repository: &'a BuildInputs,
    pub image: &'a str,
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
    configuration::check(&seen).into_iter().for_each(&mut tell);
    let session = Session::begin(engine)?;
    progress::at("its Python packages and flags");
    interrupt::check()?;
    let probed = probe::check(&session, &seen, subject, &base_name)?;
    probed.into_iter().for_each(&mut tell);
    progress::at("its layers");
    let sought = stray::Sought::new(&seen.made, tree, seen.workdir());
    let look = Look {
        token: seen.token.map(str::as_bytes),
        keep: &|path| sought.is_stray(path) || secrets::is_credentials(path),
    };
    let layers = layers::read(engine, subject.image, &look)?;
    tell(stray::check(&sought, &layers, seen.base_layers()));
    tell(secrets::check(&seen, &layers));
    let plan = behaviour::plan(tree, seen.token)?;
    progress::at("jobs in a worker");
    behaviour::check(&session, &seen.image, subject.image, &plan, &mut tell)?;
    tell(size::check(&seen, subject.budget));
    Ok(checks)
}

#[derive(Default)]
struct Seen<'a> {
    image: InspectedImage,
    history: Vec<HistoryStep>,
    /// The base image with its history, where it is on this engine and is what the image was built
    /// on.
    base: Option<(InspectedImage, Vec<HistoryStep>)>,
    made: ExpectedImage,
    /// The value of `HF_TOKEN` to search for. A text that is too short is in many a file.
    token: Option<&'a str>,
}

impl<'a> Seen<'a> {
    /// Reads the image and checks for its base image, without which some checks know less.
    fn read(subject: &Subject<'a>, base_name: &str) -> Result<(Self, Check)> {
        let &Subject {
            engine, repository, ..
        } = subject;
        let token = repository.token.as_ref();
        let token = token.map(|token| token.value.as_str());
        let token = token.filter(|token| token.len() >= SHORTEST);
        let Some(image) = inspect::image(engine, subject.image)? else {
            let name = secrets::hidden(subject.image, token);
            bail!(UserError::new(
                format!("docker has no image {name}"),
                "build it with `cargo xtask build-image`, or pull it"
            ));
        };
        let history = inspect::history(engine, subject.image)?;
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
            made: made(repository, &history, base.as_ref().map(|(base, _)| base))?,
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

    /// How many of the lowest layers are the base image's.
    fn base_layers(&self) -> usize {
        self.base_image().map_or(0, |base| base.layers.len())
    }

    /// The worker's folder: the Dockerfile's WORKDIR, or the base image's.
    fn workdir(&self) -> &str {
        match self.made.workdir.as_deref().unwrap_or(&self.image.workdir) {
            "" => "/",
            folder => folder,
        }
    }
}

/// A folder of the image with a slash at its end and none before it; empty for the root.
fn below_root(folder: &str) -> String {
    match folder.trim_matches('/') {
        "" => String::new(),
        folder => format!("{folder}/"),
    }
}

/// Keeps the first of many findings, and says how many there are besides.
fn shorten(wrong: &mut Vec<String>, what: &str) {
    const MOST: usize = 10;
    if let Some(more @ 1..) = wrong.len().checked_sub(MOST) {
        wrong.truncate(MOST);
        wrong.push(format!("and {more} {what}"));
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
            "name the repository that the image was built from with `-C DIR`"
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
