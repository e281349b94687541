//! What docker is called with. Pure: decided from the command line, the bake file and the client,
//! so that `--print` shows what a build would run.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{bake, token};
use crate::cli;
use crate::docker::Engine;
use crate::output::quoted;

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
}

/// The build arguments that the command line stands for. `declared` are those of the Dockerfile,
/// `base_path` is what `BASE_PATH` would be.
pub fn given(
    args: &cli::BuildImage,
    declared: &[String],
    base_path: Option<&str>,
) -> Vec<(String, String)> {
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
        set("args", &self.arguments());
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
mod tests {
    use super::*;

    fn args(line: &str) -> cli::BuildImage {
        use clap::Parser;
        let words = format!("xtask build-image {line}");
        let cli = cli::Cli::parse_from(words.split_whitespace());
        match cli.task {
            Some(cli::Task::BuildImage(args)) => args,
            _ => panic!("{line}"),
        }
    }

    const DECLARED: [&str; 6] = [
        "BASE_IMAGE",
        "MODEL_NAME",
        "MODEL_PATH",
        "BASE_PATH",
        "MODEL_REVISION",
        "QUANTIZATION",
    ];

    fn given_by(line: &str, base_path: Option<&str>) -> Vec<String> {
        let declared = DECLARED.map(str::to_owned);
        let given = given(&args(line), &declared, base_path);
        given.into_iter().map(|(n, v)| format!("{n}={v}")).collect()
    }

    #[test]
    fn a_model_that_is_baked_in_lies_where_no_volume_hides_it() {
        let volume = Some("/runpod-volume");
        assert_eq!(given_by("", volume), [""; 0]);
        assert_eq!(given_by("--base-image x:1", volume), ["BASE_IMAGE=x:1"]);
        assert_eq!(
            given_by(
                "--model a/b --revision r --quantization awq --tokenizer c/d",
                Some("/runpod-volume/x")
            ),
            [
                "MODEL_NAME=a/b",
                "MODEL_REVISION=r",
                "QUANTIZATION=awq",
                "TOKENIZER_NAME=c/d",
                "BASE_PATH=/models"
            ]
        );
        assert_eq!(
            given_by("--model a/b", Some("/elsewhere")),
            ["MODEL_NAME=a/b"]
        );
        assert_eq!(
            given_by("--model a/b", Some("/runpod-volumes")),
            ["MODEL_NAME=a/b"]
        );
        assert_eq!(
            given_by(
                "--model a/b -- --build-arg BASE_PATH=/runpod-volume/mine",
                volume
            ),
            ["MODEL_NAME=a/b"]
        );
        let upstream = given(&args("--model a/b"), &["MODEL_PATH".to_owned()], None);
        assert_eq!(upstream, [("MODEL_PATH".to_owned(), "a/b".to_owned())]);
    }

    #[test]
    fn arguments_for_docker_itself_are_seen() {
        let words = |text: &str| in_extra(&args(&format!("-- {text}")).docker);
        let pair = |n: &str, v: &str| (n.to_owned(), v.to_owned());
        assert_eq!(
            words("--no-cache --build-arg A=1 --build-arg=B=2=3 --set t.args.C=4 --set=*.args.D=5"),
            [
                pair("A", "1"),
                pair("B", "2=3"),
                pair("C", "4"),
                pair("D", "5")
            ]
        );
        assert_eq!(words("--set t.tags=x --build-arg A --build-arg"), []);
    }

    fn target(json: &Value) -> (String, Map<String, Value>) {
        ("worker".to_owned(), json.as_object().unwrap().clone())
    }

    fn plan() -> Plan {
        Plan {
            tag: TAG.to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            target: Some(target(&serde_json::json!({
                "context": ".",
                "dockerfile": "Dockerfile",
                "args": { "BASE_IMAGE": "pinned", "MODEL_NAME": "" },
                "platforms": ["linux/amd64"],
                "secret": [{ "id": "HF_TOKEN", "env": "HF_TOKEN" }],
            }))),
            given: vec![("BASE_IMAGE".to_owned(), "mine:1".to_owned())],
            labels: vec![("a.b".to_owned(), "it's".to_owned())],
            secret: true,
            extra: vec!["--no-cache".into()],
        }
    }

    fn shell(plan: &Plan, way: Way) -> String {
        plan.call(Path::new("/usr/bin/docker"), way).shell(None)
    }

    #[test]
    fn a_client_without_buildx_is_told_all_that_the_bake_file_says() {
        assert_eq!(
            shell(&plan(), Way::Plain),
            "\
DOCKER_BUILDKIT=1 /usr/bin/docker build \\
  --file Dockerfile \\
  --tag worker-sglang:dev \\
  --platform linux/amd64 \\
  --build-arg BASE_IMAGE=mine:1 \\
  --build-arg MODEL_NAME= \\
  --label 'a.b=it'\\''s' \\
  --secret id=HF_TOKEN,env=HF_TOKEN \\
  --no-cache \\
  ."
        );
    }

    #[test]
    fn bake_is_told_what_differs_from_its_file() {
        assert_eq!(
            shell(&plan(), Way::Bake { buildx: (0, 30) }),
            "\
DOCKER_BUILDKIT=1 /usr/bin/docker buildx bake \\
  --file docker-bake.hcl \\
  --set worker.tags=worker-sglang:dev \\
  --set worker.args.BASE_IMAGE=mine:1 \\
  --set 'worker.labels.a.b=it'\\''s' \\
  --load \\
  --no-cache \\
  worker"
        );
        let resolved = plan().resolved().unwrap();
        assert_eq!(
            resolved["target"]["worker"],
            serde_json::json!({
                "context": ".",
                "dockerfile": "Dockerfile",
                "args": { "BASE_IMAGE": "mine:1", "MODEL_NAME": "" },
                "labels": { "a.b": "it's" },
                "tags": ["worker-sglang:dev"],
                "secret": [{ "id": "HF_TOKEN", "env": "HF_TOKEN" }],
                "platforms": ["linux/amd64"],
            })
        );
    }

    #[test]
    fn bake_is_allowed_what_it_would_ask_for() {
        let asks = Plan {
            target: Some(target(&serde_json::json!({
                "context": "..",
                "dockerfile": "a/../../Dockerfile",
                "contexts": { "x": "/srv/x", "y": "docker-image://alpine", "z": "a/.." },
                "secret": [{ "id": "k", "src": "/etc/key" }],
                "network": "host",
                "entitlements": ["security.insecure"],
            }))),
            secret: false,
            given: Vec::new(),
            labels: Vec::new(),
            extra: vec![
                "--push".into(),
                "--set".into(),
                "*.platform=linux/arm64".into(),
            ],
            ..plan()
        };
        assert_eq!(
            shell(&asks, Way::Bake { buildx: (0, 19) }),
            "\
DOCKER_BUILDKIT=1 /usr/bin/docker buildx bake \\
  --file docker-bake.hcl \\
  --allow security.insecure \\
  --allow network.host \\
  --allow fs.read=.. \\
  --allow fs.read=a/../../Dockerfile \\
  --allow fs.read=/srv/x \\
  --allow fs.read=/etc/key \\
  --set worker.tags=worker-sglang:dev \\
  --push --set '*.platform=linux/arm64' \\
  worker"
        );
        assert!(!shell(&asks, Way::Bake { buildx: (0, 18) }).contains("fs.read"));
        assert!(!shell(&plan(), Way::Bake { buildx: (0, 30) }).contains("--allow"));
    }

    #[test]
    fn buildx_without_a_bake_file_loads_what_it_built() {
        let plain = Plan {
            target: None,
            dockerfile: ".runpod/Dockerfile".to_owned(),
            secret: false,
            labels: Vec::new(),
            extra: Vec::new(),
            ..plan()
        };
        assert_eq!(
            shell(&plain, Way::Buildx),
            "\
DOCKER_BUILDKIT=1 /usr/bin/docker buildx build \\
  --file .runpod/Dockerfile \\
  --tag worker-sglang:dev \\
  --platform linux/amd64 \\
  --build-arg BASE_IMAGE=mine:1 \\
  --load \\
  ."
        );
        let other = Plan {
            extra: vec!["--platform=linux/arm64".into(), "-o".into(), "out".into()],
            ..plain
        };
        let said = shell(&other, Way::Buildx);
        assert!(
            !said.contains("linux/amd64") && !said.contains("--load"),
            "{said}"
        );
    }

    #[test]
    fn a_folder_elsewhere_is_entered_first() {
        let call = plan().call(Path::new("docker"), Way::Plain);
        let text = call.shell(Some(Path::new("/my repo")));
        assert!(text.starts_with("cd '/my repo' &&\nDOCKER_BUILDKIT=1 docker build \\\n"));
    }

    #[test]
    fn the_way_follows_from_the_client() {
        let engine = |buildx| Engine {
            program: "docker".into(),
            buildx,
        };
        assert_eq!(Way::of(&engine(false), None, true), Way::Plain);
        assert_eq!(Way::of(&engine(true), None, false), Way::Buildx);
        assert_eq!(
            Way::of(&engine(true), Some((0, 21)), true),
            Way::Bake { buildx: (0, 21) }
        );
    }
}
