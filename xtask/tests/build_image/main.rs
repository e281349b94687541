//! `build-image` before and around a build: a repository in, a command, its words, its exit code
//! and the call of docker out. Docker is a stand-in here, for what a client is called with and for
//! clients that the machine doesn't have; the real one is in the `image` stage of `cargo xtask test`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use testing::Running;

const DOCKERFILE: &str = "\
ARG BASE_IMAGE=lmsysorg/sglang:v0.5.19-cu129
FROM ${BASE_IMAGE}
ARG MODEL_NAME=\"\"
ARG MODEL_REVISION=\"\"
ARG BASE_PATH=\"/runpod-volume\"
COPY handler.py ./
RUN --mount=type=secret,id=HF_TOKEN,required=false true
";

const BAKE: &str = "\
variable \"BASE_IMAGE\" { default = \"lmsysorg/sglang:v0.5.19-cu129\" }
target \"worker\" {
  args = { BASE_IMAGE = BASE_IMAGE }
  tags = [\"runpod/worker:dev\"]
  platforms = [\"linux/amd64\"]
  secret = [\"id=HF_TOKEN,env=HF_TOKEN\"]
}
";

/// A worker in a repository with one commit, and the stand-in that builds it.
struct Worker {
    folder: tempfile::TempDir,
    log: tempfile::NamedTempFile,
}

impl Worker {
    fn new() -> Self {
        let worker = Self {
            folder: tempfile::tempdir().unwrap(),
            log: tempfile::NamedTempFile::new().unwrap(),
        };
        worker.write("Dockerfile", DOCKERFILE);
        worker.write("docker-bake.hcl", BAKE);
        worker.write(".dockerignore", "*\n!handler.py\n");
        worker.write("handler.py", "print()\n");
        worker.write(".gitignore", ".env\n");
        worker.git(&["init", "--quiet", "--initial-branch=main"]);
        worker.git(&[
            "remote",
            "add",
            "origin",
            "https://me:secret@example.com/a/worker.git",
        ]);
        worker.git(&["add", "."]);
        worker.git(&["commit", "--quiet", "-m", "worker"]);
        worker.git(&["tag", "v1.2.0"]);
        worker
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.folder.path().join(path), text).unwrap();
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(self.folder.path())
            .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The command, with a client that has buildx.
    fn command(&self, args: &[&str]) -> Command {
        let standin = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/build_image/docker");
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .current_dir(self.folder.path())
            .args(["build-image", "-C", "."])
            .args(args)
            .env("DOCKER", standin)
            .env("STANDIN_LOG", self.log.path())
            .env("STANDIN_VERSION", "28.2.2")
            .env("STANDIN_BUILDX", "0.30.0")
            .env_remove("STANDIN_BUILD")
            .env_remove("STANDIN_ID")
            .env_remove("HF_TOKEN")
            .env_remove("BASE_IMAGE");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// What docker was asked to build with.
    fn called(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn docker_is_called_with_what_the_bake_file_and_the_command_line_say() {
    let worker = Worker::new();
    worker.write(".env", "HF_TOKEN='hf_from_the_file' # mine\n");
    let output = worker.run(&["--", "--build-arg", "MODEL_NAME=a/b", "--no-cache"]);
    let head = worker.git(&["rev-parse", "HEAD"]);
    assert_eq!(
        worker.called(),
        format!(
            "\
build
--file
Dockerfile
--tag
worker-sglang:dev
--platform
linux/amd64
--build-arg
BASE_IMAGE=lmsysorg/sglang:v0.5.19-cu129
--label
org.opencontainers.image.revision={head}
--label
org.opencontainers.image.version=1.2.0
--label
org.opencontainers.image.source=https://example.com/a/worker
--secret
id=HF_TOKEN,env=HF_TOKEN
--build-arg
MODEL_NAME=a/b
--no-cache
.
in {}, BuildKit 1, token hf_from_the_file
",
            worker.root().display()
        )
    );
    // The stand-in keeps no image, and that is told instead of being checked.
    assert_eq!(code(&output), 1);
    assert_eq!(
        errors(&output),
        "error: docker built, and kept no image worker-sglang:dev: nothing was checked\n\
         help: leave what sends the image elsewhere out of what follows `--`, and push it with \
         `docker push` once all checks have passed; a builder of your own needs `-- --load`\n"
    );
    let said = words(&output);
    assert!(!said.contains("hf_from_the_file"), "{said}");
}

#[test]
fn the_image_with_the_id_of_the_build_is_checked() {
    let worker = Worker::new();
    let mut command = worker.command(&[]);
    let output = command.env("STANDIN_ID", "sha256:1").output().unwrap();
    // The stand-in has no more to say of it.
    assert!(
        words(&output).contains("\nbuilt worker-sglang:dev (sha256:1)\n"),
        "{}",
        errors(&output)
    );
}

#[test]
fn a_client_without_buildx_builds_the_same() {
    let worker = Worker::new();
    let output = worker
        .command(&[
            "--tag",
            "mine:1",
            "--base-image",
            "base:1",
            "--format",
            "json",
        ])
        .env("STANDIN_VERSION", "20.10.24+dfsg1")
        .env_remove("STANDIN_BUILDX")
        .env("HF_TOKEN", "hf_from_the_environment")
        .output()
        .unwrap();
    let called = worker.called();
    let begin = "build\n--file\nDockerfile\n--tag\nmine:1\n--platform\nlinux/amd64\n--build-arg\n\
                 BASE_IMAGE=base:1\n--label\norg.opencontainers.image.revision=";
    assert!(called.starts_with(begin), "{called}");
    let end = "--secret\nid=HF_TOKEN,env=HF_TOKEN\n.\n";
    assert!(called.contains(end), "{called}");
    assert!(
        called.ends_with("token hf_from_the_environment\n"),
        "{called}"
    );
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["before"][0]["name"], "Dockerfile");
    assert_eq!(json["version"], 1);
    assert_eq!(json["before"][0]["verdict"], "passed");
    assert!(!words(&output).contains("hf_from"));
}

#[test]
fn an_empty_token_in_the_environment_is_none() {
    let worker = Worker::new();
    worker.write(".env", "HF_TOKEN=hf_from_the_file\n");
    worker.command(&[]).env("HF_TOKEN", "").output().unwrap();
    assert!(
        worker.called().ends_with("token unset\n"),
        "{}",
        worker.called()
    );
}

#[test]
fn a_client_that_cannot_build_is_told_with_what_to_install() {
    let worker = Worker::new();
    let output = worker
        .command(&[])
        .env_remove("STANDIN_BUILDX")
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    let errors = errors(&output);
    assert!(
        errors.starts_with("error: no docker client here can build the image\n  /"),
        "{errors}"
    );
    assert!(
        errors.contains("docker: client 28.2.2 has no buildx"),
        "{errors}"
    );
    assert!(
        errors.contains("apt-get install docker-buildx-plugin"),
        "{errors}"
    );
    assert_eq!(worker.called(), "");
    // To look at the repository none is needed.
    let output = worker
        .command(&["--check"])
        .env("DOCKER", "/nowhere/docker")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0);
    assert!(
        words(&output).contains(
            "warning engine          there is no program `/nowhere/docker`\n                        \
             ($DOCKER names it"
        ),
        "{}",
        words(&output)
    );
}

#[test]
fn every_problem_is_named_and_nothing_is_built() {
    let worker = Worker::new();
    worker.write(
        "Dockerfile",
        &DOCKERFILE.replace("handler.py ./", "handler.py gone.py LICENSE ./"),
    );
    worker.write("LICENSE", "MIT\n");
    worker.write(
        "docker-bake.hcl",
        &BAKE.replace("args = {", "args = { TAG = 1, "),
    );
    let said = |args: &[&str]| {
        let output = worker.run(args);
        assert_eq!(code(&output), 1);
        assert_eq!(errors(&output), "");
        words(&output)
    };
    let text = said(&["--check"]);
    assert!(
        text.contains(
            "\
failed  copied files    Dockerfile:6: `gone.py` is copied, and is not here: take it out, or write \
the name that it has now
                        Dockerfile:6: `LICENSE` is copied, and .dockerignore:1 leaves it out: add \
`!LICENSE` below that
failed  build arguments `TAG` is passed, and Dockerfile does not declare it: leave it out; it has \
BASE_IMAGE, MODEL_NAME, MODEL_REVISION, BASE_PATH
"
        ),
        "{text}"
    );
    assert!(
        text.contains("-dirty: not committed: Dockerfile, docker-bake.hcl\n"),
        "{text}"
    );
    assert!(!text.contains("nothing was built"));
    assert!(said(&[]).ends_with("failed, 1 skipped\nnothing was built\n"));
    let json: serde_json::Value = serde_json::from_str(&said(&["--format", "json"])).unwrap();
    assert_eq!(json["before"][1]["verdict"], "failed");
    assert_eq!(json["before"][1]["words"].as_array().unwrap().len(), 2);
    assert_eq!(worker.called(), "");
}

#[test]
fn the_command_that_is_printed_is_the_one_that_runs() {
    let worker = Worker::new();
    worker.write(".env", "HF_TOKEN=hf_secret\n");
    let args = ["--base-image", "my base:1", "--print"];
    let output = worker.run(&args);
    assert_eq!(code(&output), 0);
    let said = words(&output);
    assert!(!said.contains("hf_secret"), "{said}");
    assert!(said.starts_with("# HF_TOKEN stands in .env: export it before you run this\n"));
    let (_, command) = said.split_once('\n').unwrap();
    assert!(command.contains("'BASE_IMAGE=my base:1'"), "{command}");
    // Pasted into a shell, it is the call that the task itself makes.
    worker.run(&args[..2]);
    let ran = worker.called();
    let pasted = Command::new("sh")
        .current_dir(worker.folder.path())
        .args(["-c", command])
        .env("STANDIN_LOG", worker.log.path())
        .env("HF_TOKEN", "hf_secret")
        .output()
        .unwrap();
    assert!(pasted.status.success(), "{pasted:?}");
    assert_eq!(worker.called(), ran);
}

#[test]
fn a_variable_of_the_bake_file_is_read_from_the_environment() {
    let worker = Worker::new();
    let output = worker
        .command(&["--print"])
        .env("BASE_IMAGE", "base:2")
        .output()
        .unwrap();
    assert!(words(&output).contains("--build-arg BASE_IMAGE=base:2"));
}

#[test]
fn a_build_that_fails_ends_with_the_way_on() {
    let worker = Worker::new();
    for args in [&[][..], &["--format", "json"]] {
        let mut command = worker.command(args);
        let output = command.env("STANDIN_BUILD", "fail").output().unwrap();
        assert_eq!(code(&output), 1);
        let said = errors(&output);
        // All of docker's own words pass through first.
        assert!(said.starts_with("#9 [5/9] RUN uv pip install"), "{said}");
        let (docker, ours) = said.split_once("error: ").unwrap();
        assert!(docker.contains("No space left on device (os error 28)"));
        let begin = "the build failed; docker's last lines above say why\nhelp: fix what docker";
        assert!(ours.starts_with(begin), "{ours}");
    }
}

#[test]
fn a_signal_ends_docker_too_and_then_the_task() {
    for (signal, expected) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let worker = Worker::new();
        let mut command = worker.command(&[]);
        command.env("STANDIN_BUILD", "wait").stdout(Stdio::null());
        let child = Running::start(command.stderr(Stdio::piped()));
        while !worker.called().contains("waiting") {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(testing::send(signal, child.id()));
        let output = child.output();
        assert_eq!(code(&output), expected);
        assert!(worker.called().ends_with("ended\n"), "{}", worker.called());
        assert_eq!(errors(&output), "error: interrupted\n");
    }
}
