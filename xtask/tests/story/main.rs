//! The whole way of a worker, as one story: from the legacy layout to a release, and on from there.
//! Every step is a command as it is typed, with real git, the real tool and (in the stage `image`)
//! real docker; all that stands in for something is the base image, whose SGLang is one.
//!
//! What this leaves out: whatever GitHub and a registry do (`RELEASE` names each such step), and
//! SGLang itself.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

mod release;
#[allow(dead_code, reason = "the tests of migrate need all of it")]
#[path = "../migrate/support.rs"]
mod support;
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};

use snapbox::{Assert, Data, str};

use support::{Lab, Repo, Run};
use terminal::Terminal;

/// What docker builds with.
struct Docker {
    /// The program.
    program: String,
    /// The image that stands in for SGLang's.
    base: String,
    /// What everything made carries, to be removed by whoever started this.
    label: Option<String>,
}

#[test]
fn from_the_legacy_layout_to_a_release_without_docker() {
    // Not captured, unlike `eprintln!`: whoever reads the run is to know.
    let _ = writeln!(
        std::io::stderr(),
        "the story without docker: no image was built and none was checked; \
         `cargo xtask test --stage image` tells it with both"
    );
    tell(None);
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn from_the_legacy_layout_to_a_release() {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    tell(Some(&Docker {
        program: variable("DOCKER").unwrap_or_else(|| "docker".to_owned()),
        base: variable("WORKER_SGLANG_BASE").unwrap(),
        label: variable("WORKER_SGLANG_LABEL"),
    }));
}

fn tell(docker: Option<&Docker>) {
    let lab = Lab::new();
    let mut terminal = Terminal::new(&lab);
    let program = docker.map_or("no-such-docker", |docker| &docker.program);
    terminal.set("DOCKER", program);
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("my-worker");
    terminal.cd("my-worker");

    migrates(&terminal, &worker);
    settles(&terminal, &worker);
    if let Some(docker) = docker {
        builds(&terminal, &worker, docker);
    }
    cleans_up(&terminal, &worker);
    upstream_moves_on(&terminal, &worker, &upstream);
    releases(&mut terminal, &worker, docker);
    terminal.cd("my-worker");
    nothing_is_left(&terminal, &worker, docker);
}

/// The words of a run, in which `...` stands for lines and `[..]` for characters.
#[track_caller]
fn shows(run: &Run, expected: impl Into<Data>) {
    Assert::new()
        .normalize_paths(false)
        .eq(run.stdout.clone(), expected.into());
}

/// A legacy worker becomes a modern one that carries the tool.
fn migrates(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    shows(
        &terminal.types("cargo xtask status -C .").done(),
        str![[r#"
.: main at [OID]

  layout    legacy
  upstream  none recorded: there is no upstream.lock.json
  outdated/ not there
  compare   nothing to compare with: neither outdated/ nor compare.baseline.json
  hub-lint  no file of the Hub's is here
  image     [..]

Next: shows what moving to the modern layout would do

    cargo xtask migrate -C . --dry-run

"#]],
    );
    let before = worker.everything();
    let dry_run = "cargo xtask migrate -C . --dry-run --upstream ../upstream --embed";
    shows(
        &terminal.types(dry_run).done(),
        str![[r#"
Upstream ../upstream at [OID]

Moves
  Dockerfile                 → outdated/Dockerfile                replaced by upstream's
  builder/                   → outdated/builder/                  2 files
  src/                       → outdated/src/                      5 files
  worker-config.json         → outdated/worker-config.json        1 file

Comes from upstream
...
  + xtask                              the tool, [..] files
...
To mend by hand: these no longer find what they name
...
Nothing was changed. Run it again without --dry-run to do this.

"#]],
    );
    worker.everything().expect_same(&before, "a dry run");

    let run = terminal.types("cargo xtask migrate -C . --upstream ../upstream --embed");
    shows(
        &run.done(),
        str![[r#"
Upstream ../upstream at [OID]
...
Done. The result is staged, HEAD has not moved. Next:

    git status                          # what has moved and what is new
    git diff --cached                   # the content
    git commit                          # keeps it
    cargo xtask migrate -C . --abort    # or takes it back

"#]],
    );
    let status = terminal.types("git status --short -- . ':!xtask'").done();
    shows(
        &status,
        str![[r#"
A  .cargo/config.toml
A  .runpod/hub.json
A  .runpod/tests.json
A  Cargo.lock
A  Cargo.toml
M  Dockerfile
A  compare.baseline.json
A  docker-compose.yml
A  download_model.py
A  engine.py
A  handler.py
A  outdated/Dockerfile
R  builder/requirements.txt -> outdated/builder/requirements.txt
R  builder/setup.sh -> outdated/builder/setup.sh
R  src/__init__.py -> outdated/src/__init__.py
R  src/download_model.py -> outdated/src/download_model.py
R  src/engine.py -> outdated/src/engine.py
R  src/handler.py -> outdated/src/handler.py
R  src/utils.py -> outdated/src/utils.py
R  worker-config.json -> outdated/worker-config.json
A  public/worker-sglang_banner.png
A  requirements.txt
A  test_input.json
A  upstream.lock.json
A  utils.py

"#]],
    );
    // From here on the repository carries the tool: no `-C` any more.
    terminal.next_is("git commit");
    terminal
        .types("git commit --quiet -m 'feat: the modern layout'")
        .done();
    terminal.next_is("cargo xtask compare");
}

/// What `compare` and `hub-lint` find is mended, or a reason for it goes on record.
fn settles(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    shows(
        &terminal.types("cargo xtask compare").finds(),
        str![[r#"
[LAB]/my-worker/outdated → [LAB]/my-worker
...
renamed env:MODEL_NAME → env:MODEL_PATH
  old      --model-path  src/download_model.py:22:25, src/engine.py:11:6
  upstream not there
  new      --model-path  download_model.py:22:25, engine.py:11:6, engine.py:53:33
  Both drive --model-path, but endpoints that set MODEL_NAME are ignored: the new worker reads only MODEL_PATH.
  help: Let the worker read MODEL_NAME too, where MODEL_PATH is not set.
  with it: arg:MODEL_NAME, hub:MODEL_NAME, image:MODEL_NAME
...
26 open.
Mend them, or record why one is meant:
  cargo xtask compare --accept apt:curl --reason "…"

"#]],
    );
    mends_the_code(terminal);
    terminal
        .types("cargo xtask compare")
        .finds()
        .says_not("renamed env:MODEL_NAME")
        .says_not("changed env:MAX_CONCURRENCY");

    // The Hub's form gets back what people could set, with two mistakes.
    terminal.edits(
        ".runpod/hub.json",
        &[
            (r#""default": "fcfs""#, r#""default": "lpm""#),
            (
                "\"env\": [\n",
                r#""env": [
      {"key": "HF_TOKEN", "input": {"name": "Token", "type": "password", "advanced": true}},
      {"key": "MAX_CONCURRENCY", "input": {"name": "Jobs", "type": "number", "default": "300"}},
"#,
            ),
        ],
    );
    for (facts, reason) in [
        ("apt:*", "the base image brings what is needed of them"),
        ("pip:*", "SGLang brings it; the worker does not import it"),
        ("arg:*", "builds pass MODEL_PATH and BASE_IMAGE"),
        ("bake:worker.args.*", "they follow the Dockerfile"),
        ("env:DISABLE_DISK_CACHE", "nobody set it"),
        ("hub:HOST", "a worker of this kind has no use for another"),
        ("hub:PORT", "a worker of this kind has no use for another"),
        ("hub:NNODES", "no code ever read it"),
        ("hub:LOAD_BALANCE_METHOD", "SGLang chooses"),
        ("hub:cuda", "the base image needs it"),
        ("image:*", "it stands on the image that SGLang makes"),
        ("python:Engine.__init__", "handler.py alone makes one"),
    ] {
        let command = format!("cargo xtask compare --accept '{facts}' --reason '{reason}'");
        terminal
            .types(&command)
            .done()
            .says(&format!("{facts}: accepted ("));
    }
    shows(
        &terminal.types("cargo xtask compare").done(),
        str![[r#"
...
Nothing is open.
Once that is committed, see whether outdated/ can go:
  cargo xtask cleanup --dry-run

"#]],
    );

    terminal.next_is("cargo xtask hub-lint");
    shows(
        &terminal.types("cargo xtask hub-lint").finds(),
        str![[r#"
...
error[HUB206 unknown-input-type]: `HF_TOKEN` has the input type `password`; the Hub knows `string`, `number`, `boolean` or `huggingface`
  --> .runpod/hub.json:25:62
...
   = help: `--fix` will write `string`
...
hub-lint: 1 error, 1 warning, 2 notes of style in 2 files; 2 to mend with `--fix`; `--explain RULE` tells why

"#]],
    );
    shows(
        &terminal.types("cargo xtask hub-lint --fix").done(),
        str![[r#"
...
hub-lint: 2 notes of style in 2 files; `--explain RULE` tells why
hub-lint: mended 2 findings

"#]],
    );
    // Reasons are kept beside the code that they speak of: both are committed.
    terminal.next_is("git status");
    terminal
        .types("cargo xtask cleanup --dry-run")
        .finds()
        .says("\n  compare.accepted.json only what is committed counts\n    git add -- compare.accepted.json\n");
    terminal
        .types("git add --all && git commit --quiet -m 'fix: keep what endpoints set'")
        .done();
    assert_eq!(worker.status(), "");
}

/// What the plan of the migration left to a person, and two of compare's findings.
fn mends_the_code(terminal: &Terminal<'_>) {
    terminal.edits(
        "engine.py",
        &[
            (
                "# Environment variable -> flag",
                "# What a variable was called before: endpoints still set that.\n\
                 FORMER = {\"MODEL_PATH\": \"MODEL_NAME\", \"FILE_STORAGE_PATH\": \"FILE_STORAGE_PTH\"}\n\n\
                 # Environment variable -> flag",
            ),
            (
                "            value = os.getenv(name)\n",
                "            value = os.getenv(name) or os.getenv(FORMER.get(name, name))\n",
            ),
            (
                "self.model = os.getenv(\"MODEL_PATH\")",
                "self.model = os.getenv(\"MODEL_PATH\") or os.getenv(\"MODEL_NAME\")",
            ),
        ],
    );
    terminal.edits(
        "handler.py",
        &[(
            "\"MAX_CONCURRENCY\", \"100\"",
            "\"MAX_CONCURRENCY\", \"300\"",
        )],
    );
    terminal.edits(
        "docker-bake.hcl",
        &[
            (
                "    MODEL_NAME          = \"\"\n",
                "    MODEL_PATH = \"\"\n",
            ),
            ("    WORKER_CUDA_VERSION = \"12.1.0\"\n", ""),
        ],
    );
    terminal.edits(
        ".github/workflows/docker_buildandpush.yml",
        &[
            ("            WORKER_CUDA_VERSION=12.1.0\n", ""),
            ("src/**", "*.py"),
            ("builder/requirements.txt", "requirements.txt"),
            ("compileall src", "compileall ."),
        ],
    );
    terminal.edits("tests/test_utils.py", &[("from src.utils", "from utils")]);
    terminal.edits(".gitignore", &[("", "/target/\n")]);
}

/// The image, built on the stand-in and checked with jobs.
fn builds(terminal: &Terminal<'_>, worker: &Repo<'_>, docker: &Docker) {
    terminal.next_is("cargo xtask build-image");
    let run = terminal.types(&format!(
        "cargo xtask build-image --tag {} --base-image {}{}",
        image("story"),
        docker.base,
        docker.label()
    ));
    assert_eq!(run.code, Some(0), "{run:?}");
    for check in ["files", "modules", "start", "answers", "stop", "leftovers"] {
        assert!(
            run.stdout.contains(&format!("\npassed  {check} ")),
            "{check}: {run:?}"
        );
    }
    assert_eq!(worker.status(), "", "a build changes nothing here");
    let status = terminal.types("cargo xtask status").done();
    status.says(&format!(
        "\n  image     {} of [OID] (HEAD), ",
        image("story")
    ));
}

impl Docker {
    /// What makes the image one that is removed afterwards.
    fn label(&self) -> String {
        self.label
            .as_ref()
            .map_or_else(String::new, |label| format!(" -- --label '{label}'"))
    }
}

/// A name for an image of this run.
fn image(tag: &str) -> String {
    format!("worker-sglang-test:{}-{tag}", std::process::id())
}

/// `outdated/` goes, and comes back if that is wanted.
fn cleans_up(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    terminal.next_is("cargo xtask cleanup --dry-run");
    shows(
        &terminal.types("cargo xtask cleanup --dry-run").done(),
        str![[r#"
Removes outdated/, 9 files
...
Comes back with git restore --source=[OID] -- outdated
  a commit that main keeps

Nothing was changed. outdated/ can go:

    cargo xtask cleanup --commit

"#]],
    );
    terminal
        .types("cargo xtask cleanup")
        .done()
        .says("Done. The removal is staged, HEAD has not moved. Next:\n");
    terminal.next_is("cargo xtask cleanup --commit");
    terminal
        .types("cargo xtask cleanup --commit")
        .done()
        .says("\nDone. Committed as [OID].\n");
    assert_eq!(worker.status(), "");
    for again in ["cargo xtask cleanup", "cargo xtask cleanup --commit"] {
        let run = terminal.types(again).done();
        assert_eq!(run.stdout, "Nothing to clean up: there is no outdated/.\n");
    }
    let listed = terminal.types("git ls-files -- . ':!xtask'").done();
    shows(
        &listed,
        str![[r#"
.cargo/config.toml
.github/workflows/docker_buildandpush.yml
.gitignore
.runpod/hub.json
.runpod/tests.json
Cargo.lock
Cargo.toml
Dockerfile
LICENSE
README.md
compare.accepted.json
compare.baseline.json
docker-bake.hcl
docker-compose.yml
docs/conventions.md
download_model.py
engine.py
handler.py
public/worker-sglang_banner.png
requirements.txt
test_input.json
tests/test_utils.py
upstream.lock.json
utils.py

"#]],
    );
    // What was lost is still known, and so is why.
    shows(
        &terminal.types("cargo xtask compare").done(),
        str![[r#"
compare.baseline.json → [LAB]/my-worker
...
Nothing is open.

"#]],
    );
}

/// Upstream and the worker change the same line: listed first, then with markers.
fn upstream_moves_on(terminal: &Terminal<'_>, worker: &Repo<'_>, upstream: &Repo<'_>) {
    upstream.edit(".runpod/handler.py", "\"100\"", "\"200\"");
    upstream.edit(
        ".runpod/engine.py",
        "    \"DTYPE\": \"--dtype\",\n",
        "    \"DTYPE\": \"--dtype\",\n    \"KV_CACHE_DTYPE\": \"--kv-cache-dtype\",\n",
    );
    upstream.commit("feat: more jobs at a time, and the type of the cache");
    terminal
        .types("cargo xtask status")
        .done()
        .says("\n  upstream  ../upstream at [OID]: 1 commit behind\n");
    terminal.next_is("cargo xtask migrate --dry-run");

    let before = worker.everything();
    for listing in [
        "cargo xtask migrate --dry-run",
        "cargo xtask migrate --commit",
    ] {
        let again = listing.strip_prefix("cargo xtask migrate --dry-run");
        let run = terminal.types(listing).finds();
        let run = run
            .says("\nConflicts\n  handler.py: changed here and upstream in the same place\n")
            .says("\n1 file is in conflict; nothing was written. To resolve them in the files:\n");
        let way_on = match again {
            Some(_) => "\n    cargo xtask migrate --conflicts markers\n",
            None => "\n    cargo xtask migrate --commit --conflicts markers\n",
        };
        run.says(way_on);
        worker.everything().expect_same(&before, listing);
    }

    terminal
        .types("cargo xtask migrate --commit --conflicts markers")
        .finds()
        .says("    cargo xtask migrate --resume    # finishes\n");
    assert_eq!(worker.status(), "M  engine.py\nUU handler.py");
    terminal.next_is("git status");
    terminal.types("cargo xtask migrate --resume").refused(
        "these conflicts are not resolved yet:\n  handler.py",
        "resolve each, stage it with `git add FILE` or `git rm FILE`, then run this again",
    );
    terminal.edits(
        "handler.py",
        &[(
            "<<<<<<< ours\n    return int(os.getenv(\"MAX_CONCURRENCY\", \"300\"))\n=======\n    \
             return int(os.getenv(\"MAX_CONCURRENCY\", \"200\"))\n>>>>>>> upstream\n",
            "    return int(os.getenv(\"MAX_CONCURRENCY\", \"300\"))\n",
        )],
    );
    terminal.types("git add handler.py").done();
    terminal.next_is("cargo xtask migrate --resume");
    terminal
        .types("cargo xtask migrate --resume")
        .done()
        .says("Finished and committed.\n");
    assert_eq!(worker.status(), "");
    let engine = worker.read("engine.py");
    assert!(engine.contains("KV_CACHE_DTYPE") && engine.contains("FORMER = {"));
    assert!(!worker.has("outdated"), "what is gone stays gone");
    terminal.types("cargo xtask migrate --check").done();
    terminal.types("cargo xtask compare").done();
}

/// What becomes of a step of release.yml here.
enum Here {
    /// It runs as it stands.
    Runs,
    /// It runs as far as there is docker, on the stand-in, without what only buildx records.
    Builds,
    /// It doesn't, for this reason.
    Not(#[allow(dead_code, reason = "for whoever reads the table")] &'static str),
}

/// The steps of release.yml, in its order.
const RELEASE: &[(&str, &str, Here)] = &[
    (
        "check",
        "The changelog tells what is in this version",
        Here::Runs,
    ),
    ("check", "The Hub's files are sound", Here::Runs),
    ("check", "Nothing of the old worker is lost", Here::Runs),
    (
        "check",
        "Run the one test command",
        Here::Not("this test is part of it"),
    ),
    (
        "image",
        "Make room for the base image",
        Here::Not("removes what a runner of GitHub comes with"),
    ),
    (
        "image",
        "Have docker keep what says how an image was made",
        Here::Not("changes the machine's docker"),
    ),
    (
        "image",
        "Build with provenance and a list of what is in it, and check",
        Here::Builds,
    ),
    ("image", "Push", Here::Not("needs a registry")),
    ("release", "Publish", Here::Not("needs GitHub")),
];

/// A tag, and what the release workflow does on it.
fn releases(terminal: &mut Terminal<'_>, worker: &Repo<'_>, docker: Option<&Docker>) {
    for file in [".github/workflows/release.yml", "scripts/release_notes.py"] {
        worker.write(file, std::fs::read(clone().join(file)).unwrap());
    }
    worker.write(
        "CHANGELOG.md",
        "# Changelog\n\n## Unreleased\n\n## 1.0.0 - 2024-05-06\n\n- The modern layout.\n",
    );
    terminal.types("git add --all").done();
    terminal.next_is("git status");
    terminal
        .types("git commit --quiet -m 'chore: release 1.0.0' && git tag -a v1.0.0 -m v1.0.0")
        .done();

    // What actions/checkout gives the workflow: the tag's commit and nothing before it.
    let url = format!("file://{}", worker.path.display());
    terminal.cd(".");
    terminal.types(&format!(
        "git clone --quiet --depth 1 --branch v1.0.0 '{url}' checkout"
    ));
    terminal.cd("checkout");
    terminal.set("GITHUB_REF_NAME", "v1.0.0");
    let tag = image("release");
    let (name, version) = tag.split_once(':').unwrap();
    terminal.set("REPOSITORY", "localhost");
    terminal.set("IMAGE", name);
    terminal.set("VERSION", version);

    let steps = release::steps(&worker.file(".github/workflows/release.yml"));
    let named = steps.iter().map(|step| (&*step.job, &*step.name));
    let expected = RELEASE.iter().map(|(job, name, _)| (*job, *name));
    assert_eq!(
        named.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "release.yml has other steps: say in this table what becomes of each here"
    );
    for (step, (_, _, here)) in steps.iter().zip(RELEASE) {
        let run = match (here, docker) {
            (Here::Runs, _) => step.run.clone(),
            (Here::Builds, Some(docker)) => step.run.replace(
                " -- --provenance=mode=max --sbom=true",
                &format!(" --base-image '{}'{}", docker.base, docker.label()),
            ),
            // Looks at what a build depends on, and at what docker would be told.
            (Here::Builds, None) => step.run.replace("build-image", "build-image --check"),
            (Here::Not(_), _) => continue,
        };
        let run = terminal.types(&run);
        assert_eq!(run.code, Some(0), "{}: {run:?}", step.name);
        match step.name.as_str() {
            "The changelog tells what is in this version" => {
                assert_eq!(run.stdout, "- The modern layout.\n");
            }
            "Build with provenance and a list of what is in it, and check" => {
                run.says("\npassed  copied files ")
                    .says("\npassed  bake file ");
            }
            "Nothing of the old worker is lost" => {
                run.says("compare.baseline.json → ")
                    .says("Nothing is open.");
            }
            _ => {}
        }
    }
    // A tag that the changelog doesn't know stops it at the first step.
    terminal.set("GITHUB_REF_NAME", "v1.0.1");
    let run = terminal.types(&steps[0].run);
    assert_eq!(run.code, Some(1), "{run:?}");
}

/// The repository that this is a test of.
fn clone() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// The history is whole, and nothing of the tool lies about.
fn nothing_is_left(terminal: &Terminal<'_>, worker: &Repo<'_>, docker: Option<&Docker>) {
    let rest = match docker {
        Some(_) => "cargo xtask build-image",
        None => "cargo xtask migrate --check",
    };
    terminal.next_is(rest);
    let log = |path: &str| {
        let command = format!("git log --follow --format=%s -- {path}");
        terminal.types(&command).done().stdout
    };
    assert_eq!(
        log("engine.py"),
        "feat: bring in upstream's changes\n\
         fix: keep what endpoints set\n\
         feat: the modern layout\n\
         feat: a worker of the legacy layout\n"
    );
    assert_eq!(
        log("outdated/src/engine.py"),
        "chore: remove outdated/\n\
         feat: the modern layout\n\
         feat: a worker of the legacy layout\n"
    );
    let fsck = terminal.types("git fsck --strict --no-dangling").done();
    assert_eq!(fsck.stdout, "");
    assert_eq!(worker.status(), "");
    worker.expect_settled();
    let names = |folder: &Path| -> Vec<String> {
        let items = std::fs::read_dir(folder).unwrap();
        items
            .map(|item| item.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let in_git = names(&worker.git_dir());
    let ours = |name: &&String| name.contains("xtask") || name.ends_with(".lock");
    assert_eq!(in_git.iter().find(ours), None);
    assert_eq!(names(&terminal.lab.path("tmp")), [""; 0]);
}
