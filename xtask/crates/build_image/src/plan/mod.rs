//! The arguments for docker: a pure function of the command line, the bake file and the client, so
//! that `--print` shows what a build would run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{labels, token};
use crate::args::Args;
use worker_files::bake;
use xtask_core::docker::Engine;
use xtask_core::output::quoted;

/// The tag where none is given.
pub const TAG: &str = "worker-sglang:dev";

/// The default platform; `RunPod` has no other machines.
const PLATFORM: &str = "linux/amd64";

/// Where a network volume is mounted, and where a baked model goes instead, since the volume would
/// hide it.
const VOLUME: &str = "/runpod-volume";
const MODELS: &str = "/models";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Builder {
    /// `docker buildx bake`, with the release of buildx.
    Bake {
        buildx: (u32, u32),
    },
    Buildx,
    /// `docker build` of a client that has `BuildKit` built in.
    Plain,
}

impl Builder {
    /// `bake` says whether the bake file has one target for this Dockerfile.
    pub fn of(engine: &Engine, buildx: Option<(u32, u32)>, bake: bool) -> Self {
        let buildx = buildx.unwrap_or_default();
        match (engine.buildx, bake) {
            (false, _) => Self::Plain,
            (true, false) => Self::Buildx,
            (true, true) => Self::Bake { buildx },
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildPlan {
    pub tag: String,
    pub dockerfile: String,
    /// The bake file's target for it, by its name.
    pub target: Option<(String, Map<String, Value>)>,
    /// Build arguments of the command line; they override the bake file's.
    pub given: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    /// Whether there is a token to hand on.
    pub secret: bool,
    pub extra: Vec<OsString>,
    /// `SOURCE_DATE_EPOCH`, where it is set: buildx hands it to the build by itself.
    pub epoch: Option<String>,
}

/// The build arguments that the command line stands for. `declared` are those of the Dockerfile,
/// `base_path` is what `BASE_PATH` would be.
pub fn given(args: &Args, declared: &[String], base_path: Option<&str>) -> Vec<(String, String)> {
    let is_declared = |name: &str| declared.iter().any(|declared| declared == name);
    // SGLang's own Dockerfile calls it MODEL_PATH alone.
    let model = if is_declared("MODEL_PATH") && !is_declared("MODEL_NAME") {
        "MODEL_PATH"
    } else {
        "MODEL_NAME"
    };
    let hidden = base_path.is_some_and(|path| Path::new(path).starts_with(VOLUME));
    let mut chosen = in_extra(&args.docker).into_iter();
    let moves = args.model.is_some() && hidden && is_declared("BASE_PATH");
    let moves = moves && !chosen.any(|(name, _)| name == "BASE_PATH");
    [
        ("BASE_IMAGE", args.base_image.clone()),
        (model, args.model.clone()),
        ("MODEL_REVISION", args.revision.clone()),
        ("QUANTIZATION", args.quantization.clone()),
        ("TOKENIZER_NAME", args.tokenizer.clone()),
        ("BASE_PATH", moves.then(|| MODELS.to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// The options among the arguments for docker, each with its value: after its `=`, or the next
/// word.
fn options(extra: &[OsString]) -> Vec<(String, String)> {
    let words: Vec<_> = extra.iter().map(|word| word.to_string_lossy()).collect();
    let mut options = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let next = words.get(at + 1).map_or("", |next| next);
        let (name, value) = match word.split_once('=') {
            Some(pair) if word.starts_with("--") => pair,
            _ => (&**word, next),
        };
        if word.starts_with('-') {
            options.push((name.to_owned(), value.to_owned()));
        }
    }
    options
}

/// Build arguments among what is for docker itself.
pub fn in_extra(extra: &[OsString]) -> Vec<(String, String)> {
    let argument = |(option, value): (String, String)| {
        let (key, value) = value.split_once('=')?;
        let name = match option.as_str() {
            "--build-arg" => key,
            "--set" => key.split_once(".args.")?.1,
            _ => return None,
        };
        Some((name.to_owned(), value.to_owned()))
    };
    options(extra).into_iter().filter_map(argument).collect()
}

/// Whether the arguments for docker pass this build argument from the environment.
pub fn is_inherited(extra: &[OsString], name: &str) -> bool {
    let mut all = options(extra).into_iter();
    all.any(|(option, value)| option == "--build-arg" && value == name)
}

impl BuildPlan {
    /// The effective build arguments: the bake file's, the command line's, then those for docker,
    /// each name once.
    pub fn arguments(&self) -> Vec<(String, String)> {
        let mut all = self.in_target("args");
        for (name, value) in self.given.iter().cloned().chain(in_extra(&self.extra)) {
            match all.iter_mut().find(|(known, _)| *known == name) {
                Some(known) => known.1 = value,
                None => all.push((name, value)),
            }
        }
        all
    }

    /// Whether the arguments for docker have one of these options.
    fn has(&self, wanted: &[&str]) -> bool {
        let mut all = options(&self.extra).into_iter();
        all.any(|(option, _)| wanted.contains(&option.as_str()))
    }

    /// Whether the arguments for docker set a target's key, as `--set '*.platform=…'`.
    fn sets(&self, key: &str) -> bool {
        let mut all = options(&self.extra).into_iter();
        all.any(|(_, value)| value.split_once('=').is_some_and(|(n, _)| n.ends_with(key)))
    }

    fn setting(&self, name: &str) -> Option<&Value> {
        self.target.as_ref()?.1.get(name)
    }

    fn text(&self, setting: &str) -> Option<&str> {
        self.setting(setting)?.as_str()
    }

    fn list(&self, setting: &str) -> impl Iterator<Item = &Value> {
        let all = self.setting(setting).and_then(Value::as_array);
        all.into_iter().flatten()
    }

    fn in_target(&self, setting: &str) -> Vec<(String, String)> {
        let settings = self.setting(setting).and_then(Value::as_object);
        let pairs = settings.into_iter().flatten();
        pairs
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn texts(&self, setting: &str) -> Vec<String> {
        let texts = self.list(setting).filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// The target with all that this build sets, as `bake --print` would show it.
    pub fn resolved(&self) -> Option<Value> {
        let (name, settings) = self.target.as_ref()?;
        let mut settings = settings.clone();
        let mut set = |key: &str, pairs: Vec<(String, String)>| {
            let mut all = settings.get(key).and_then(Value::as_object).cloned();
            let all = all.get_or_insert_default();
            all.extend(pairs.into_iter().map(|(name, value)| (name, value.into())));
            all.sort_keys();
            settings.insert(key.to_owned(), all.clone().into());
        };
        let mut arguments = self.arguments();
        let epoch = self.epoch.iter();
        arguments.extend(epoch.map(|epoch| (labels::EPOCH.to_owned(), epoch.clone())));
        set("args", arguments);
        set("labels", self.labels.clone());
        settings.insert("tags".to_owned(), json!([self.tag]));
        let platforms = settings.entry("platforms");
        platforms.or_insert_with(|| json!([PLATFORM]));
        Some(json!({
            "group": { "default": { "targets": [name] } },
            "target": { name: bake::ordered(settings) },
        }))
    }

    pub fn call(&self, program: &Path, way: Builder) -> DockerCall {
        let mut call = DockerCall {
            program: program.to_owned(),
            groups: Vec::new(),
        };
        match (way, &self.target) {
            (Builder::Bake { buildx }, Some((name, _))) => self.bake(&mut call, buildx, name),
            (Builder::Plain, _) => self.build(&mut call, &["build"]),
            _ => self.build(&mut call, &["buildx", "build"]),
        }
        call
    }

    fn bake(&self, call: &mut DockerCall, buildx: (u32, u32), name: &str) {
        call.words(&["buildx", "bake"]);
        call.words(&["--file", bake::FILE]);
        for resource in self.asked_for(buildx) {
            call.words(&["--allow", &resource]);
        }
        let mut set =
            |key: &str, value: &str| call.words(&["--set", &format!("{name}.{key}={value}")]);
        set("tags", &self.tag);
        if self.setting("platforms").is_none() && !self.sets(".platform") {
            set("platform", PLATFORM);
        }
        for (name, value) in &self.given {
            set(&format!("args.{name}"), value);
        }
        for (name, value) in &self.labels {
            set(&format!("labels.{name}"), value);
        }
        let has_secret = self.list("secret").any(|one| one["id"] == token::NAME);
        if self.secret && !has_secret {
            // `--set` replaces the target's secrets, so only if none is the token's.
            set("secrets", &secret());
        }
        if !self.has(&["--load", "--push"]) && !self.sets(".output") {
            call.words(&["--load"]);
        }
        call.words(&self.extra);
        call.words(&[name]);
    }

    fn build(&self, call: &mut DockerCall, command: &[&str]) {
        call.words(command);
        call.words(&["--file", &self.dockerfile]);
        call.words(&["--tag", &self.tag]);
        if !self.has(&["--platform"]) {
            let platforms = match self.texts("platforms").join(",") {
                none if none.is_empty() => PLATFORM.to_owned(),
                some => some,
            };
            call.words(&["--platform", &platforms]);
        }
        if let Some(stage) = self.text("target") {
            call.words(&["--target", stage]);
        }
        let extra = in_extra(&self.extra);
        for (name, value) in self.arguments() {
            // Docker gets those once more as they are.
            if !extra.iter().any(|(given, _)| *given == name) {
                call.words(&["--build-arg", &format!("{name}={value}")]);
            }
        }
        for (name, value) in self.in_target("labels").iter().chain(&self.labels) {
            call.words(&["--label", &format!("{name}={value}")]);
        }
        if self.secret {
            call.words(&["--secret", &secret()]);
        }
        let keeps = self.has(&["--load", "--push", "--output", "-o"]);
        if command.contains(&"buildx") && !keeps {
            call.words(&["--load"]);
        }
        call.words(&self.extra);
        call.words(&["."]);
    }

    /// The permissions that bake would ask for: a target's entitlements and, from buildx 0.19 on,
    /// paths outside the working directory.
    fn asked_for(&self, buildx: (u32, u32)) -> Vec<String> {
        let mut asked = self.texts("entitlements");
        if self.text("network") == Some("host") && !asked.iter().any(|one| one == "network.host") {
            asked.push("network.host".to_owned());
        }
        if buildx < (0, 19) {
            return asked;
        }
        let contexts = self.in_target("contexts");
        let files = ["secret", "ssh"].into_iter().flat_map(|key| self.list(key));
        let paths = ["context", "dockerfile"].into_iter();
        let paths = paths
            .filter_map(|key| self.text(key))
            .chain(contexts.iter().map(|(_, path)| path.as_str()))
            .chain(files.filter_map(|one| one["src"].as_str().or(one["source"].as_str())));
        let outside = paths.filter(|path| leaves(path));
        asked.extend(outside.map(|path| format!("fs.read={path}")));
        asked
    }
}

/// The token as a build secret, by the name of its variable.
fn secret() -> String {
    format!("id={0},env={0}", token::NAME)
}

/// Whether a path leaves the working directory. Stages and URLs are no paths.
fn leaves(path: &str) -> bool {
    if path.contains("://") || path.starts_with("git@") {
        return false;
    }
    let mut depth = 0_i32;
    let mut leaves = path.starts_with(['/', '~']);
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        leaves |= depth < 0;
    }
    leaves
}

/// A call of docker, with each option and its value as a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerCall {
    pub program: PathBuf,
    groups: Vec<Vec<OsString>>,
}

impl DockerCall {
    fn words(&mut self, words: &[impl AsRef<OsStr>]) {
        if !words.is_empty() {
            let words = words.iter().map(|word| word.as_ref().to_owned());
            self.groups.push(words.collect());
        }
    }

    pub fn arguments(&self) -> impl Iterator<Item = &OsStr> {
        self.groups.iter().flatten().map(OsString::as_os_str)
    }

    /// The call as shell text, one option per line; `folder` is where to run it, unless it is the
    /// current one.
    pub fn shell(&self, folder: Option<&Path>) -> String {
        let quote = |word: &OsString| quoted(&word.to_string_lossy());
        let groups = self.groups.iter();
        let groups = groups.map(|group| group.iter().map(quote).collect::<Vec<_>>().join(" "));
        let groups: Vec<String> = groups.collect();
        let folder = folder.map(|folder| format!("cd {} &&\n", quoted(&folder.to_string_lossy())));
        format!(
            "{}DOCKER_BUILDKIT=1 {} {}",
            folder.unwrap_or_default(),
            quoted(&self.program.to_string_lossy()),
            groups.join(" \\\n  ")
        )
    }
}

#[cfg(test)]
mod tests;
