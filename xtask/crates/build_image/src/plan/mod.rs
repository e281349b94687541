//! What docker is called with. Pure: decided from the command line, the bake file and the client,
//! so that `--print` shows what a build would run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{labels, token};
use crate::args::Args;
use worker_files::bake;
use xtask_core::docker::Engine;
use xtask_core::output::quoted;

/// The tag where none is given.
pub const TAG: &str = "worker-sglang:dev";

/// What is built where nothing else is said: `RunPod` has no other machines.
const PLATFORM: &str = "linux/amd64";

/// Where a network volume is mounted, and where a model goes that must not lie below that: the
/// volume would hide it.
const VOLUME: &str = "/runpod-volume";
const MODELS: &str = "/models";

/// How docker is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `docker buildx bake`, with the release of buildx.
    Bake { buildx: (u32, u32) },
    /// `docker buildx build`.
    Buildx,
    /// `docker build` of a client that has `BuildKit` built in.
    Plain,
}

impl Way {
    /// The way for a client; `bake` says whether there is a bake file with one target for this
    /// Dockerfile.
    pub fn of(engine: &Engine, buildx: Option<(u32, u32)>, bake: bool) -> Self {
        match (engine.buildx, bake) {
            (false, _) => Self::Plain,
            (true, false) => Self::Buildx,
            (true, true) => Self::Bake {
                buildx: buildx.unwrap_or_default(),
            },
        }
    }
}

/// What is to be built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub tag: String,
    /// The Dockerfile, from the root of the repository.
    pub dockerfile: String,
    /// The bake file's target for it, by its name.
    pub target: Option<(String, Map<String, Value>)>,
    /// Build arguments of the command line; they come before those of the bake file.
    pub given: Vec<(String, String)>,
    pub labels: Vec<(String, String)>,
    /// Whether there is a token to hand on.
    pub secret: bool,
    /// What is for docker itself.
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
    let mut given: Vec<(String, String)> = [
        ("BASE_IMAGE", &args.base_image),
        (model, &args.model),
        ("MODEL_REVISION", &args.revision),
        ("QUANTIZATION", &args.quantization),
        ("TOKENIZER_NAME", &args.tokenizer),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
    .collect();
    let hidden = base_path.is_some_and(|path| Path::new(path).starts_with(VOLUME));
    let chosen = in_extra(&args.docker)
        .iter()
        .any(|(name, _)| name == "BASE_PATH");
    if args.model.is_some() && hidden && !chosen && is_declared("BASE_PATH") {
        given.push(("BASE_PATH".to_owned(), MODELS.to_owned()));
    }
    given
}

/// Build arguments among what is for docker itself.
pub fn in_extra(extra: &[OsString]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let words: Vec<String> = extra
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, value),
            _ => match word.as_str() {
                "--build-arg" | "--set" => (word.as_str(), words.next().map_or("", |w| w)),
                _ => continue,
            },
        };
        let pair = match option {
            "--build-arg" => value.split_once('='),
            "--set" => value
                .split_once('=')
                .and_then(|(key, value)| Some((key.split_once(".args.")?.1, value))),
            _ => None,
        };
        found.extend(pair.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
    found
}

/// Whether what is for docker itself passes this argument with the value that the environment has.
pub fn is_inherited(extra: &[OsString], name: &str) -> bool {
    let alone = format!("--build-arg={name}");
    extra.iter().any(|word| *word == *alone)
        || extra
            .windows(2)
            .any(|pair| pair[0] == "--build-arg" && pair[1] == name)
}

/// Whether what is for docker itself has one of these options.
fn has(extra: &[OsString], options: &[&str]) -> bool {
    extra.iter().any(|word| {
        let word = word.to_string_lossy();
        let name = word.split('=').next().unwrap_or(&word);
        options.contains(&name)
    })
}

impl Plan {
    /// The build arguments as docker gets them: the bake file's, then those of the command line,
    /// then what is for docker itself; each name once.
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

    fn in_target(&self, setting: &str) -> Vec<(String, String)> {
        let settings = self.setting(setting).and_then(Value::as_object);
        let pairs = settings.into_iter().flatten();
        pairs
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    fn setting(&self, name: &str) -> Option<&Value> {
        self.target.as_ref()?.1.get(name)
    }

    fn texts(&self, setting: &str) -> Vec<String> {
        let all = self.setting(setting).and_then(Value::as_array);
        let texts = all.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }

    /// The target with all that this build sets, as `bake --print` would show it.
    pub fn resolved(&self) -> Option<Value> {
        let (name, settings) = self.target.as_ref()?;
        let mut settings = settings.clone();
        let mut set = |key: &str, pairs: &[(String, String)]| {
            let mut all = settings.get(key).and_then(Value::as_object).cloned();
            let all = all.get_or_insert_default();
            for (name, value) in pairs {
                all.insert(name.clone(), value.clone().into());
            }
            all.sort_keys();
            settings.insert(key.to_owned(), all.clone().into());
        };
        let mut arguments = self.arguments();
        let epoch = self.epoch.iter();
        arguments.extend(epoch.map(|epoch| (labels::EPOCH.to_owned(), epoch.clone())));
        set("args", &arguments);
        set("labels", &self.labels);
        settings.insert(
            "tags".to_owned(),
            vec![Value::from(self.tag.as_str())].into(),
        );
        if !settings.contains_key("platforms") {
            settings.insert("platforms".to_owned(), vec![Value::from(PLATFORM)].into());
        }
        Some(serde_json::json!({
            "group": { "default": { "targets": [name] } },
            "target": { name: bake::ordered(settings) },
        }))
    }

    /// The call of docker.
    pub fn call(&self, program: &Path, way: Way) -> Call {
        let mut call = Call::new(program);
        match (way, &self.target) {
            (Way::Bake { buildx }, Some((name, _))) => self.bake(&mut call, buildx, name),
            (Way::Plain, _) => self.build(&mut call, &["build"]),
            _ => {
                self.build(&mut call, &["buildx", "build"]);
            }
        }
        call
    }

    fn bake(&self, call: &mut Call, buildx: (u32, u32), name: &str) {
        call.words(&["buildx", "bake"]);
        call.option("--file", bake::FILE);
        for resource in self.asked_for(buildx) {
            call.option("--allow", &resource);
        }
        let mut set =
            |key: &str, value: &str| call.option("--set", &format!("{name}.{key}={value}"));
        set("tags", &self.tag);
        if self.setting("platforms").is_none() && !sets(&self.extra, ".platform") {
            set("platform", PLATFORM);
        }
        for (name, value) in &self.given {
            set(&format!("args.{name}"), value);
        }
        for (name, value) in &self.labels {
            set(&format!("labels.{name}"), value);
        }
        if self.secret && !self.has_secret() {
            // Replaces what the target has: only where that has nothing for the token.
            set("secrets", &secret());
        }
        if !has(&self.extra, &["--load", "--push"]) && !sets(&self.extra, ".output") {
            call.words(&["--load"]);
        }
        call.extra(&self.extra);
        call.words(&[name]);
    }

    fn build(&self, call: &mut Call, command: &[&str]) {
        call.words(command);
        call.option("--file", &self.dockerfile);
        call.option("--tag", &self.tag);
        let platforms = self.texts("platforms").join(",");
        if !has(&self.extra, &["--platform"]) {
            let platforms = if platforms.is_empty() {
                PLATFORM
            } else {
                &platforms
            };
            call.option("--platform", platforms);
        }
        if let Some(stage) = self.setting("target").and_then(Value::as_str) {
            call.option("--target", stage);
        }
        let extra = in_extra(&self.extra);
        for (name, value) in self.arguments() {
            // Docker gets those once more as they are.
            if !extra.iter().any(|(given, _)| *given == name) {
                call.option("--build-arg", &format!("{name}={value}"));
            }
        }
        for (name, value) in self.in_target("labels").iter().chain(&self.labels) {
            call.option("--label", &format!("{name}={value}"));
        }
        if self.secret {
            call.option("--secret", &secret());
        }
        if command.contains(&"buildx") && !has(&self.extra, &["--load", "--push", "--output", "-o"])
        {
            call.words(&["--load"]);
        }
        call.extra(&self.extra);
        call.words(&["."]);
    }

    /// Whether the bake file's target takes the token as a secret.
    fn has_secret(&self) -> bool {
        let all = self.setting("secret").and_then(Value::as_array);
        all.into_iter()
            .flatten()
            .any(|one| one["id"] == token::NAME)
    }

    /// What bake would stop to ask for: from buildx 0.19 on, paths that leave the working
    /// directory, and before that already what a target calls its entitlements.
    fn asked_for(&self, buildx: (u32, u32)) -> Vec<String> {
        let mut asked = self.texts("entitlements");
        if self.setting("network").and_then(Value::as_str) == Some("host")
            && !asked.iter().any(|one| one == "network.host")
        {
            asked.push("network.host".to_owned());
        }
        if buildx < (0, 19) {
            return asked;
        }
        let mut paths: Vec<String> = ["context", "dockerfile"]
            .iter()
            .filter_map(|key| self.setting(key)?.as_str().map(str::to_owned))
            .collect();
        paths.extend(self.in_target("contexts").into_iter().map(|(_, path)| path));
        for secret in ["secret", "ssh"] {
            let all = self.setting(secret).and_then(Value::as_array);
            for one in all.into_iter().flatten() {
                let path = one["src"].as_str().or_else(|| one["source"].as_str());
                paths.extend(path.map(str::to_owned));
            }
        }
        let outside = paths.into_iter().filter(|path| leaves(path));
        asked.extend(outside.map(|path| format!("fs.read={path}")));
        asked
    }
}

/// How the token is handed on: by the name of the variable that holds it.
fn secret() -> String {
    format!("id={0},env={0}", token::NAME)
}

/// Whether what is for docker sets something of a target, as `--set '*.platform=…'`.
fn sets(extra: &[OsString], key: &str) -> bool {
    extra.iter().any(|word| {
        let word = word.to_string_lossy();
        let word = word.strip_prefix("--set=").unwrap_or(&word);
        word.split_once('=')
            .is_some_and(|(name, _)| name.ends_with(key))
    })
}

/// Whether a path leads out of the working directory. Other stages and addresses are no paths.
fn leaves(path: &str) -> bool {
    if path.contains("://") || path.starts_with("git@") {
        return false;
    }
    let mut depth = 0_i32;
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        if depth < 0 {
            return true;
        }
    }
    path.starts_with('/') || path.starts_with('~')
}

/// A call of docker, with its arguments in the groups in which a person reads them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub program: PathBuf,
    groups: Vec<Vec<OsString>>,
}

impl Call {
    fn new(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            groups: Vec::new(),
        }
    }

    fn words(&mut self, words: &[&str]) {
        self.groups.push(words.iter().map(OsString::from).collect());
    }

    fn option(&mut self, name: &str, value: &str) {
        self.words(&[name, value]);
    }

    fn extra(&mut self, words: &[OsString]) {
        if !words.is_empty() {
            self.groups.push(words.to_vec());
        }
    }

    pub fn arguments(&self) -> impl Iterator<Item = &OsStr> {
        self.groups.iter().flatten().map(OsString::as_os_str)
    }

    /// The call for a shell, an option a line; `folder` is where it is to run, unless that is here.
    pub fn shell(&self, folder: Option<&Path>) -> String {
        let mut text = String::new();
        if let Some(folder) = folder {
            text += &format!("cd {} &&\n", quoted(&folder.to_string_lossy()));
        }
        text += "DOCKER_BUILDKIT=1 ";
        text += &quoted(&self.program.to_string_lossy());
        for (index, group) in self.groups.iter().enumerate() {
            text += if index == 0 { " " } else { " \\\n  " };
            let words: Vec<String> = group
                .iter()
                .map(|word| quoted(&word.to_string_lossy()))
                .collect();
            text += &words.join(" ");
        }
        text
    }
}

#[cfg(test)]
mod tests;
