//! Repositories and command lines, and what is said before a build.

use super::*;
use crate::plan::{BuildPlan, TAG};
use crate::repository::DOCKERFILES;
use crate::token::Token;
use worker_files::Source;
use worker_files::dockerfile::taken;
use worker_files::ignore::Ignore;
use xtask_core::tree::{Memory, Tree};

const DOCKERFILE: &str = "\
ARG BASE_IMAGE=lmsysorg/sglang:v0.5.19-cu129
FROM ${BASE_IMAGE}
ARG MODEL_NAME=\"\"
ARG BASE_PATH=/runpod-volume
COPY handler.py engine.py ./
COPY lib/ ./lib/
CMD [\"python3\", \"handler.py\"]
";

const BAKE: &str = "\
target \"worker\" {
  args = { BASE_IMAGE = \"lmsysorg/sglang:v0.5.19-cu129\" }
}
";

const HUB: &str = r#"{
  "title": "Worker",
  "description": "Does things.",
  "type": "serverless",
  "category": "language",
  "config": {
    "runsOn": "GPU",
    "containerDiskInGb": 20,
    "gpuCount": 1,
    "gpuIds": "ADA_24",
    "allowedCudaVersions": ["12.9", "13.0"]
  }
}
"#;

const TESTS: &str = r#"{
  "tests": [{ "name": "one", "input": { "prompt": "Hi" }, "timeout": 60000 }],
  "config": { "gpuTypeId": "NVIDIA GeForce RTX 4090", "gpuCount": 1, "allowedCudaVersions": ["12.9", "13.0"] }
}
"#;

fn worker() -> Memory {
    Memory::new()
        .with("Dockerfile", DOCKERFILE)
        .with(".dockerignore", "*\n!handler.py\n!engine.py\n!lib\n")
        .with("docker-bake.hcl", BAKE)
        .with("handler.py", "import engine\n")
        .with("engine.py", "x = 1\n")
        .with("lib/a.py", "y = 2\n")
        .with("README.md", "# Worker\n")
        .with("sglang_flags.json", r#"{"version": "0.5.19", "flags": {}}"#)
        .with(".runpod/hub.json", HUB)
        .with(".runpod/tests.json", TESTS)
}

fn plan() -> BuildPlan {
    BuildPlan {
        tag: TAG.to_owned(),
        dockerfile: "Dockerfile".to_owned(),
        target: Some(("worker".to_owned(), serde_json::Map::new())),
        base_image: None,
        labels: Vec::new(),
        secret: false,
        extra: Vec::new(),
    }
}

fn clean() -> SourceRevision {
    SourceRevision {
        revision: Some("0123456789abcdef".to_owned()),
        ..SourceRevision::default()
    }
}

/// All checks as `verdict name: words / words`.
fn all(tree: &Memory, plan: &BuildPlan, origin: &SourceRevision) -> Vec<String> {
    looked_at(tree, plan, origin, None)
}

fn with_token(tree: &Memory, plan: &BuildPlan, token: Option<&Token>) -> Vec<String> {
    looked_at(tree, plan, &clean(), token)
}

fn looked_at(
    tree: &Memory,
    plan: &BuildPlan,
    origin: &SourceRevision,
    token: Option<&Token>,
) -> Vec<String> {
    let file = |path: &str| tree.read_file(path).unwrap();
    let dockerfile = DOCKERFILES
        .into_iter()
        .find_map(|path| Some((path.to_owned(), file(path)?)));
    let ignore = file(".dockerignore").map(|bytes| Ignore::read(&bytes));
    let bake = file(bake::FILE).map(|bytes| {
        let read = bake::read(&Source::new(bake::FILE.into(), &bytes), &|_| None);
        read.map(|read| read.split().0)
    });
    let subject = BuildInputs {
        root: "/worker".into(),
        tree: Box::new(tree.clone()),
        copied: taken(dockerfile.as_ref().map_or(b"", |(_, bytes)| bytes)),
        dockerfile,
        ignore_path: ignore.is_some().then(|| ".dockerignore".to_owned()),
        ignore: ignore.unwrap_or_default(),
        around: tree.entries().clone(),
        bake,
        plan: plan.clone(),
        origin: origin.clone(),
        token: token.cloned(),
        update_flags: plan.tag == "worker:flags",
    };
    repository(&subject)
        .unwrap()
        .into_iter()
        .map(|check| {
            let verdict = format!("{:?}", check.verdict).to_lowercase();
            format!("{verdict} {}: {}", check.name, check.words.join(" / "))
        })
        .collect()
}

fn wrong(tree: &Memory, plan: &BuildPlan) -> Vec<String> {
    let mut all = all(tree, plan, &clean());
    all.retain(|line| !line.starts_with("passed"));
    all
}

#[test]
fn a_sound_worker_passes_everything() {
    assert_eq!(
        all(&worker(), &plan(), &clean()),
        [
            "passed Dockerfile: Dockerfile, on lmsysorg/sglang:v0.5.19-cu129",
            "passed copied files: 3 sources of COPY, all there and none left out by .dockerignore",
            "passed build arguments: 3 arguments declared; no other is passed",
            "passed base image: lmsysorg/sglang:v0.5.19-cu129: SGLang 0.5.19",
            "passed bake file: docker-bake.hcl: target `worker`",
            "passed hub-lint: hub-lint: nothing found in 2 files",
            "passed build context: 26 B in 3 files",
            "passed source: commit 0123456789ab",
        ]
    );
}

#[test]
fn without_a_dockerfile_or_with_a_broken_one_the_rest_is_still_looked_at() {
    let none = Memory::new().with("handler.py", "");
    assert_eq!(
        wrong(&none, &plan()),
        [
            "failed Dockerfile: there is none, neither at the root nor in .runpod/: name the \
             worker's repository with `-C DIR`",
            "skipped hub-lint: there is no hub.json and no tests.json",
        ]
    );
    let broken = worker().with("Dockerfile", "FROM x\nNONSENSE y\n");
    let said = wrong(&broken, &plan());
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("failed Dockerfile: Dockerfile:2:1: `NONSENSE` is no"),
        "{said:?}"
    );
    let empty = worker().with("Dockerfile", "# nothing\n");
    assert!(wrong(&empty, &plan())[0].starts_with("failed Dockerfile: Dockerfile:1:1"));
}

#[test]
fn every_source_that_is_missing_or_left_out_is_named() {
    let tree = worker().with(
        "Dockerfile",
        "FROM x\nCOPY handler.py gone.py ./\nCOPY README.md .\nCOPY --from=x /a /b\n\
         COPY *.txt ./\nADD sglang_flags.json ./\n",
    );
    assert_eq!(
        wrong(&tree, &plan())[0],
        "failed copied files: \
         Dockerfile:2: `gone.py` is copied, and is not here: take it out, or write the name that \
         it has now / \
         Dockerfile:3: `README.md` is copied, and .dockerignore:1 leaves it out: add `!README.md` \
         below that / \
         Dockerfile:6: `sglang_flags.json` is copied, and .dockerignore:1 leaves it out: add \
         `!sglang_flags.json` below that / \
         Dockerfile:5: nothing matches `*.txt`"
    );
    let only = worker().with("Dockerfile", "FROM x\nCOPY *.txt ./\n");
    assert!(wrong(&only, &plan())[0].starts_with("warning copied files: Dockerfile:2: nothing"));
    let whole = worker().with("Dockerfile", "FROM x\nCOPY . .\n");
    assert!(
        wrong(&whole, &plan())
            .iter()
            .all(|line| !line.contains("copied files"))
    );
    let unknown = worker().with("Dockerfile", "FROM x\nARG A\nCOPY ${A}.py ./\n");
    assert!(wrong(&unknown, &plan())[0].starts_with("warning copied files: Dockerfile: line 3"));
}

#[test]
fn a_program_that_starts_at_a_place_without_a_file_is_told() {
    let starts = |path: &str| {
        let start = format!("FROM x\nCOPY handler.py /worker/\nCMD [\"python3\", \"{path}\"]\n");
        let mut wrong = wrong(&worker().with("Dockerfile", start), &plan());
        wrong.retain(|line| line.contains(" start: "));
        wrong
    };
    assert_eq!(starts("/worker/handler.py"), [""; 0]);
    assert_eq!(
        starts("/src/handler.py"),
        ["warning start: Dockerfile:3:4: /src/handler.py starts, and COPY puts no file there"]
    );
}

#[test]
fn an_argument_that_is_not_declared_is_found_wherever_it_is_passed() {
    let target = serde_json::json!({ "args": { "BASE": "x", "MODEL_NAME": "y" } });
    let plan = BuildPlan {
        target: Some(("worker".to_owned(), target.as_object().unwrap().clone())),
        extra: vec![
            "--build-arg=QUANTIZATION=awq".into(),
            "--build-arg".into(),
            "MINE".into(),
            "--build-arg=https_proxy=x".into(),
        ],
        ..plan()
    };
    let said = wrong(&worker(), &plan).remove(0);
    let parts: Vec<&str> = said.split(" / ").collect();
    let begins = [
        "failed build arguments: `BASE` is passed, and Dockerfile does not declare it: leave it out; \
         it has BASE_IMAGE, MODEL_NAME, BASE_PATH",
        "`MINE` is passed",
        "`QUANTIZATION` is passed",
    ];
    assert_eq!(parts.len(), begins.len(), "{said}");
    for (part, begin) in parts.iter().zip(begins) {
        assert!(part.starts_with(begin), "{part}");
    }
}

#[test]
fn a_token_that_would_be_anything_but_a_secret_stops_the_build() {
    let token = Token {
        value: "hf_0123456789".to_owned(),
        from: "the environment",
    };
    let tree = worker().with(
        "Dockerfile",
        DOCKERFILE.replace("ARG MODEL_NAME", "ARG HF_TOKEN\nARG MODEL_NAME"),
    );
    let wrong = |plan: &BuildPlan| {
        let mut all = with_token(&tree, plan, Some(&token));
        all.retain(|line| !line.starts_with("passed "));
        assert!(!all.join("\n").contains("hf_0123456789"), "{all:?}");
        all
    };
    assert_eq!(wrong(&plan()), [""; 0]);
    let settings = |text: &str| serde_json::from_str(text).unwrap();
    let in_bake = |text: &str| BuildPlan {
        target: Some(("worker".to_owned(), settings(text))),
        ..plan()
    };
    let extra = |words: &[&str]| BuildPlan {
        extra: words.iter().map(ToString::to_string).collect(),
        ..plan()
    };
    for plan in [
        in_bake(r#"{"args": {"HF_TOKEN": "hf_0123456789"}}"#),
        extra(&["--build-arg", "HF_TOKEN=hf_0123456789"]),
        extra(&["--build-arg", "HF_TOKEN"]),
        extra(&["--build-arg=HF_TOKEN"]),
    ] {
        assert_eq!(
            wrong(&plan),
            [
                "failed build arguments: `HF_TOKEN` would hold the value of HF_TOKEN, which everybody \
                 reads in the image's history: the build has it as a secret already, for `RUN \
                 --mount=type=secret,id=HF_TOKEN`"
            ]
        );
    }
    let label = in_bake(r#"{"labels": {"by": "x/hf_0123456789"}}"#);
    assert!(
        wrong(&label)[0].starts_with("failed build arguments: `by` would hold the value of"),
        "{:?}",
        wrong(&label)
    );
}

#[test]
fn the_base_image_is_held_against_the_flags() {
    let of = |base: &str| BuildPlan {
        base_image: Some(base.to_owned()),
        ..plan()
    };
    assert_eq!(
        wrong(&worker(), &of("lmsysorg/sglang:v0.5.21")),
        [
            "warning base image: lmsysorg/sglang:v0.5.21: SGLang 0.5.21, and sglang_flags.json is for \
          0.5.19: the image asks its own SGLang for the flags"
        ]
    );
    assert_eq!(wrong(&worker(), &of("mine:1")), [""; 0]);
    let older = worker().with("sglang_flags.json", r#"{"version": "0.5.2", "flags": {}}"#);
    assert_eq!(
        wrong(&older, &plan()),
        [
            "failed base image: lmsysorg/sglang:v0.5.19-cu129: SGLang 0.5.19, and sglang_flags.json \
          is for 0.5.2: `cargo xtask build-image --update-flags` writes it anew"
        ]
    );
    let update = BuildPlan {
        tag: "worker:flags".to_owned(),
        ..plan()
    };
    assert_eq!(wrong(&older, &update), [""; 0]);
}

#[test]
fn errors_of_hub_lint_stop_a_build_and_its_warnings_do_not() {
    let older = worker().with(
        ".runpod/hub.json",
        HUB.replace("[\"12.9\"", "[\"12.4\", \"12.9\""),
    );
    let said = wrong(&older, &plan());
    assert!(
        said.iter()
            .any(|line| line.starts_with("failed hub-lint: hub-lint: 1 error in 2 files; ")),
        "{said:?}"
    );
    let warned = worker().with(
        ".runpod/tests.json",
        TESTS.replace(", \"13.0\"", ", \"13.1\""),
    );
    let said = wrong(&warned, &plan());
    assert!(
        said.len() == 1 && said[0].starts_with("warning hub-lint: hub-lint: 1 warning"),
        "{said:?}"
    );
}

#[test]
fn a_bake_file_that_cannot_be_used_is_told() {
    let broken = worker().with("docker-bake.hcl", "target \"a\" {\n");
    assert!(wrong(&broken, &plan())[0].starts_with("failed bake file: docker-bake.hcl: line "));
    let clever = worker().with(
        "docker-bake.hcl",
        "target \"a\" { args = { MODEL_NAME = lower(\"A\") } }\n",
    );
    assert_eq!(
        wrong(&clever, &plan()),
        [
            "warning bake file: docker-bake.hcl: line 1: `args`: the function `lower`, which only \
          docker resolves / `docker build` is not told these: say what it needs of them behind `--`"
        ]
    );
    let other = BuildPlan {
        target: None,
        ..plan()
    };
    assert_eq!(
        wrong(&worker(), &other),
        [
            "warning bake file: docker-bake.hcl is not used: it has no single default target for this \
          Dockerfile"
        ]
    );
}

#[test]
fn a_context_is_told_when_it_holds_secrets_or_cannot_be_read() {
    let open = worker()
        .with(".dockerignore", "docs\n")
        .with(".env", "HF_TOKEN=x\n");
    assert!(
        wrong(&open, &plan())[0].contains(".env is in it, which no image needs"),
        "{:?}",
        wrong(&open, &plan())
    );
    let copied = open.with("Dockerfile", "FROM x\nCOPY . /worker\n");
    let said = wrong(&copied, &plan());
    assert!(
        said.iter()
            .any(|line| line.starts_with("failed build context")
                && line.contains(".env would be copied into the image")),
        "{said:?}"
    );
    let bad = worker().with(".dockerignore", "*\n!handler.py\n!engine.py\n!lib\n[a\n");
    assert_eq!(
        wrong(&bad, &plan()),
        [
            "failed build context: 26 B in 3 files / .dockerignore:5: `[a` is no pattern, and docker builds nothing then: fix it, \
             or take it out"
        ]
    );
}

#[test]
fn what_the_image_is_made_from_is_told() {
    let said = |origin: &SourceRevision| {
        let all = all(&worker(), &plan(), origin);
        all.last().unwrap().clone()
    };
    assert_eq!(
        said(&SourceRevision {
            changed: vec!["engine.py".into(), "handler.py".into()],
            ..clean()
        }),
        "warning source: commit 0123456789ab-dirty: not committed: engine.py, handler.py"
    );
    assert_eq!(
        said(&SourceRevision::default()),
        "warning source: no git commit: the image will not say what it was made from"
    );
}
