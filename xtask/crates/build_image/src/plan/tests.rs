//! Command lines and bake files, and what docker is called with.

use super::*;

fn args(line: &str) -> Args {
    use clap::{Args as _, FromArgMatches as _};
    let command = Args::augment_args(clap::Command::new("build-image"));
    let words = format!("build-image {line}");
    let matches = command.try_get_matches_from(words.split_whitespace());
    Args::from_arg_matches(&matches.unwrap()).unwrap()
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

fn plan() -> BuildPlan {
    BuildPlan {
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
        epoch: Some("1700000000".to_owned()),
    }
}

fn shell(plan: &BuildPlan, way: Builder) -> String {
    plan.call(Path::new("/usr/bin/docker"), way).shell(None)
}

#[test]
fn a_client_without_buildx_is_told_all_that_the_bake_file_says() {
    assert_eq!(
        shell(&plan(), Builder::Plain),
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
        shell(&plan(), Builder::Bake { buildx: (0, 30) }),
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
            "args": {
                "BASE_IMAGE": "mine:1",
                "MODEL_NAME": "",
                "SOURCE_DATE_EPOCH": "1700000000",
            },
            "labels": { "a.b": "it's" },
            "tags": ["worker-sglang:dev"],
            "secret": [{ "id": "HF_TOKEN", "env": "HF_TOKEN" }],
            "platforms": ["linux/amd64"],
        })
    );
}

#[test]
fn bake_is_allowed_what_it_would_ask_for() {
    let asks = BuildPlan {
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
        shell(&asks, Builder::Bake { buildx: (0, 19) }),
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
    assert!(!shell(&asks, Builder::Bake { buildx: (0, 18) }).contains("fs.read"));
    assert!(!shell(&plan(), Builder::Bake { buildx: (0, 30) }).contains("--allow"));
}

#[test]
fn buildx_without_a_bake_file_loads_what_it_built() {
    let plain = BuildPlan {
        target: None,
        dockerfile: ".runpod/Dockerfile".to_owned(),
        secret: false,
        labels: Vec::new(),
        extra: Vec::new(),
        ..plan()
    };
    assert_eq!(
        shell(&plain, Builder::Buildx),
        "\
DOCKER_BUILDKIT=1 /usr/bin/docker buildx build \\
  --file .runpod/Dockerfile \\
  --tag worker-sglang:dev \\
  --platform linux/amd64 \\
  --build-arg BASE_IMAGE=mine:1 \\
  --load \\
  ."
    );
    let other = BuildPlan {
        extra: vec!["--platform=linux/arm64".into(), "-o".into(), "out".into()],
        ..plain
    };
    let said = shell(&other, Builder::Buildx);
    assert!(
        !said.contains("linux/amd64") && !said.contains("--load"),
        "{said}"
    );
}

#[test]
fn a_folder_elsewhere_is_entered_first() {
    let call = plan().call(Path::new("docker"), Builder::Plain);
    let text = call.shell(Some(Path::new("/my repo")));
    assert!(text.starts_with("cd '/my repo' &&\nDOCKER_BUILDKIT=1 docker build \\\n"));
}

#[test]
fn the_way_follows_from_the_client() {
    let engine = |buildx| Engine {
        program: "docker".into(),
        buildx,
    };
    assert_eq!(Builder::of(&engine(false), None, true), Builder::Plain);
    assert_eq!(Builder::of(&engine(true), None, false), Builder::Buildx);
    assert_eq!(
        Builder::of(&engine(true), Some((0, 21)), true),
        Builder::Bake { buildx: (0, 21) }
    );
}
