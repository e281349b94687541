//! The image that a Dockerfile builds.

use std::collections::BTreeMap;

use super::{Copy, Mount, Named, Place, Run, Step, Text};

/// The image that a Dockerfile builds: its last stage with those it builds on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The base image with its arguments' defaults filled in.
    pub base: Option<Text>,
    pub platform: Option<String>,
    pub env: Vec<Named>,
    pub args: Vec<Named>,
    pub labels: Vec<Named>,
    pub workdir: Option<Text>,
    pub user: Option<Text>,
    pub expose: Vec<Text>,
    pub entrypoint: Option<Text>,
    pub cmd: Option<Text>,
    pub volumes: Vec<Text>,
    pub healthcheck: Option<Text>,
    pub stopsignal: Option<Text>,
    pub shell: Option<Text>,
    pub copies: Vec<Copy>,
    pub mounts: Vec<Mount>,
    pub runs: Vec<Run>,
    /// Files from the web, from other images and from other stages.
    pub steps: Vec<Step>,
    /// What the container runs: ENTRYPOINT with CMD, and HEALTHCHECK's command.
    pub started: Vec<Run>,
    /// Texts that the Dockerfile itself writes, by where the image has them.
    pub written: BTreeMap<String, Written>,
    /// Other stages that files are copied from, each without those it builds on.
    pub parts: Vec<Image>,
}

/// A file whose text stands in the Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub text: String,
    /// Where the text begins in the Dockerfile.
    pub start: usize,
    /// The instruction.
    pub place: Place,
}

impl Image {
    /// Notes a text that is written to a file, or added to what was.
    pub(super) fn write(&mut self, target: String, text: &str, start: usize, place: &Place) {
        let place = place.clone();
        let own = Written {
            text: String::new(),
            start,
            place,
        };
        self.written.entry(target).or_insert(own).text += text;
    }

    /// `SGLang`'s release, from the base image's tag: `0.4.6.post4`.
    pub fn sglang(&self) -> Option<String> {
        let (name, tag) = split_image(&self.base.as_ref()?.text);
        let tag = tag.filter(|_| name.contains("sglang"))?;
        let version = tag.strip_prefix('v').unwrap_or(tag).split('-').next()?;
        // A team's image may be named after SGLang, with other versions: `sglang-base:2024.12`.
        let is_its_own = name.rsplit('/').next() == Some("sglang");
        let is_number = version.starts_with("0.")
            || is_its_own && version.starts_with(|c: char| c.is_ascii_digit());
        is_number.then(|| version.to_owned())
    }

    /// The CUDA version in the image, from the base image's tag: `12.4`.
    pub fn cuda(&self) -> Option<String> {
        let (name, tag) = split_image(&self.base.as_ref()?.text);
        let tag = tag?;
        let short = || undotted(&tag[tag.find("cu1")? + 2..]);
        let long = || {
            let version = tag[tag.find("cuda")? + 4..].trim_start_matches(['-', ':']);
            undotted(version).or_else(|| major_minor(version))
        };
        if let Some(version) = short().or_else(long) {
            return Some(version);
        } else if name.ends_with("nvidia/cuda") {
            return major_minor(tag);
        }
        // From 0.5.20 on a tag without a suffix means CUDA 13.
        let sglang = self.sglang()?;
        let is_cuda_13 = xtask_core::sglang::order(&sglang, "0.5.20").is_ge();
        is_cuda_13.then(|| "13.0".to_owned())
    }

    /// The files that the image starts, as written in ENTRYPOINT and CMD.
    pub fn starts(&self) -> impl Iterator<Item = &Text> {
        self.entrypoint.iter().chain(self.cmd.iter())
    }
}
fn major_minor(text: &str) -> Option<String> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let (major, minor) = (parts.next()?, parts.next()?);
    (!major.is_empty() && !minor.is_empty()).then(|| format!("{major}.{minor}"))
}
/// Name and tag of an image, its digest left out.
fn split_image(image: &str) -> (&str, Option<&str>) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (image, None),
    }
}

/// A version without its dots: `126` is 12.6, and `1281` is 12.8.1, of which the patch is left out.
fn undotted(text: &str) -> Option<String> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    (digits.len() >= 3).then(|| format!("{}.{}", &digits[..2], &digits[2..3]))
}
