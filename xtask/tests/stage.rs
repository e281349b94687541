//! `cargo xtask test`, as it is typed: what is told of a machine that lacks something, how the
//! Python environment is made, and the commands in CI.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use testing::Running;

fn xtask(args: &[&str]) -> Command {
    let mut xtask = Command::new(env!("CARGO_BIN_EXE_xtask"));
    xtask.arg("test").args(args).env_remove("CI");
    xtask
}

/// A repository with a folder of programs beside it.
struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        for folder in ["bin", "repo/tests/standin", "repo/xtask"] {
            fs::create_dir_all(lab.path(folder)).unwrap();
        }
        lab
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a program, by another process: one that is open for writing can't be started, and a
    /// test beside this one may be starting something while the file is open here.
    fn script(&self, path: &str, text: &str) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let write = "printf '#!/bin/sh\\n%s\\n' \"$1\" > \"$2\"; chmod +x \"$2\"";
        let mut sh = Command::new("sh");
        sh.args(["-c", write, "sh", text]).arg(&path);
        assert!(sh.status().unwrap().success());
        path
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_default()
    }

    /// The task in this repository.
    fn xtask(&self, args: &[&str]) -> Command {
        let mut xtask = xtask(args);
        xtask.env("CARGO_MANIFEST_DIR", self.path("repo/xtask"));
        xtask
    }

    /// On a machine that has no programs but those of the lab.
    fn bare(&self, args: &[&str]) -> Command {
        let mut xtask = self.xtask(args);
        xtask
            .env("PATH", self.path("bin"))
            .env("CARGO", self.path("bin/cargo"))
            .env_remove("DOCKER");
        xtask
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn image(ci: &str) -> Output {
    xtask(&["--stage", "image"])
        .env("DOCKER", "no-such-docker")
        .env("CI", ci)
        .output()
        .unwrap()
}

#[test]
fn without_an_engine_the_image_is_not_built_and_the_words_say_why() {
    let output = image("");
    let said = stdout(&output);
    let first = "skipped image    there is no program `no-such-docker`\n";
    assert!(said.starts_with(first), "{said}");
    assert!(
        said.contains("\n                 install docker: "),
        "{said}"
    );
    assert!(
        said.ends_with("0 of 1 stage passed; skipped: image\n0 passed, 0 failed, 0 skipped\n"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn in_ci_an_engine_must_answer() {
    let output = image("true");
    let said = stderr(&output);
    assert!(
        said.contains(
            "\n  the stage image can't run, and where CI is set none may be skipped: there is no \
             program `no-such-docker`\n"
        ),
        "{said}"
    );
    assert_eq!(stdout(&output), "");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn without_a_browser_the_page_is_not_looked_at_and_ci_fails() {
    let page = |ci: &str| {
        let mut run = xtask(&["--stage", "page"]);
        run.env("CHROMIUM", "no-such-browser").env("CI", ci);
        run.output().unwrap()
    };
    let output = page("");
    let said = stdout(&output);
    let first = "skipped page     there is no Chromium on PATH\n                 \
                 install it: apt-get install chromium\n";
    assert!(said.starts_with(first), "{said}");
    assert!(said.contains("; skipped: page\n"), "{said}");
    assert_eq!(output.status.code(), Some(0));
    let output = page("true");
    let said = stderr(&output);
    let refused =
        "the stage page can't run, and where CI is set none may be skipped: there is no Chromium";
    assert!(said.contains(refused), "{said}");
    assert_eq!(output.status.code(), Some(2));
}

/// On a machine with nothing, so that one look is enough to set it up.
#[test]
fn all_that_is_missing_is_named_before_the_first_stage() {
    let lab = Lab::new();
    lab.write("repo/tests/requirements.txt", "");
    lab.script(
        "repo/tests/standin/base-image.sh",
        "[ \"$*\" = --check ] && echo 'no bundle of certificates; install it' >&2; exit 2",
    );
    lab.script("bin/cargo", "exit 1");
    let run = || {
        let output = lab.bare(&[]).output().unwrap();
        assert_eq!(stdout(&output), NONE);
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    assert_eq!(
        run(),
        "error: the tests need what this machine lacks:\n  \
         rustfmt: rustup component add rustfmt\n  \
         clippy: rustup component add clippy\n  \
         git is not on PATH; install it (Debian and Ubuntu: apt-get install git, macOS: \
         xcode-select --install)\n  \
         Python 3.10 or newer with venv: apt-get install python3 python3-venv\n  \
         the stage image would be skipped: there is no docker on PATH\n  \
         install docker: https://docs.docker.com/engine/install/ (Debian: apt-get install \
         docker.io)\n  \
         no bundle of certificates; install it\n"
    );
    lab.script("bin/cargo", "exit 0");
    lab.script("bin/git", "echo git version 2.30.2");
    lab.script("bin/python3", "exit 1");
    let said = run();
    assert!(
        said.contains("lacks:\n  git version 2.30.2 is too old: 2.38 or newer is needed"),
        "{said}"
    );
    assert!(
        said.contains("\n  Python 3.10 or newer with venv"),
        "{said}"
    );
}

const NONE: &str = "none    compare  there is no .xtask/baseline.json\n\
                    none    hub-lint there is no .runpod/hub.json\n\
                    none    page     there is no xtask/example/legacy/Dockerfile\n\
                    none    wheel    there is no pyproject.toml\n";

/// With docker alone missing, all stages run but one.
#[test]
fn what_only_lets_a_stage_be_skipped_is_told_first_and_the_others_run() {
    let lab = Lab::new();
    lab.script(
        "repo/tests/standin/base-image.sh",
        "echo 'no debootstrap; building on another instead'",
    );
    lab.script("bin/cargo", "exit 0");
    lab.script("bin/git", "echo git version 2.38.0");
    let output = lab.bare(&[]).output().unwrap();
    let said = stdout(&output);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.contains("none ") && !line.starts_with("run "))
        .collect();
    assert_eq!(lines[0], "skipped image    there is no docker on PATH");
    assert!(lines[1].trim().starts_with("install docker: "), "{said}");
    let told = stderr(&output);
    assert_eq!(told, "no debootstrap; building on another instead\n");
    let words: Vec<&str> = lines[2..5].iter().map(|line| &line[..16]).collect();
    assert_eq!(
        words,
        ["ok      format  ", "ok      clippy  ", "ok      rust    "]
    );
    assert_eq!(
        lines[5..],
        [
            "",
            "3 of 4 stages passed; skipped: image",
            "3 passed, 0 failed, 0 skipped"
        ]
    );
    assert_eq!(output.status.code(), Some(0));
}

/// Each of them ends once the other has begun.
#[test]
fn the_worker_s_tests_run_beside_the_tool_s() {
    let lab = Lab::new();
    for list in ["requirements.txt", "tests/requirements.txt"] {
        lab.write(&format!("repo/{list}"), "");
    }
    lab.write("repo/target/venv/requirements.installed", "");
    let met = |own: &str, other: &str, said: &str| {
        let [own, other] = [own, other].map(|name| lab.path(name).display().to_string());
        format!(
            ": > {own}; tries=0\n\
             until [ -e {other} ]; do\n\
             tries=$((tries + 1)); [ $tries -lt 400 ] || exit 1; /bin/sleep 0.05\n\
             done\n\
             echo {said:?}"
        )
    };
    let rust = met(
        "rust",
        "worker",
        "test result: ok. 2 passed; 0 failed; 1 ignored",
    );
    lab.script("bin/cargo", &rust);
    let worker = met("worker", "rust", "3 passed in 0.10s");
    lab.script("repo/target/venv/bin/python", &worker);
    lab.script("bin/python3", "exit 0");
    lab.script("bin/git", "echo git version 2.38.0");
    let stages = ["--stage", "rust", "--stage", "worker"];
    let said = stdout(&lab.bare(&stages).output().unwrap());
    let lines: Vec<&str> = said
        .lines()
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(lines[..4], ["run", "ok", "run", "ok"], "{said}");
    assert!(
        said.ends_with("2 of 2 stages passed\n5 passed, 0 failed, 1 skipped\n"),
        "{said}"
    );
}

/// The real script, which can't be run to its end without docker.
#[test]
fn what_the_base_image_lacks_is_known_before_it_is_made() {
    let lab = Lab::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for file in [
        "tests/standin/base-image.sh",
        "sglang_worker/sglang_flags.json",
        "tests/standin/debootstrap.sh",
    ] {
        let copy = lab.path("repo").join(file);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::copy(root.join(file), copy).unwrap();
    }
    lab.write("certificates", "");
    // Root without debootstrap.
    for program in ["bash", "dirname", "mktemp", "rm", "sed", "head"] {
        let program = which::which(program).unwrap();
        let name = program.file_name().unwrap();
        std::os::unix::fs::symlink(&program, lab.path("bin").join(name)).unwrap();
    }
    lab.script("bin/id", "echo 0");
    let output = Command::new(lab.path("bin/bash"))
        .arg(lab.path("repo/tests/standin/base-image.sh"))
        .arg("--check")
        .env("PATH", lab.path("bin"))
        .env("DOCKER", "false")
        .env("SSL_CERT_FILE", lab.path("certificates"))
        .output()
        .unwrap();
    assert_eq!(
        stderr(&output),
        "base-image: debootstrap is not installed (apt-get install debootstrap); building on \
         python:3.12-slim-bookworm instead\n"
    );
    assert_eq!(stdout(&output), "");
    assert_eq!(output.status.code(), Some(0));
    assert!(!lab.path("repo/target").exists());
}

/// An index that nobody serves fails the stages that need what is in it, and no others.
#[test]
fn an_index_out_of_reach_fails_the_stages_that_need_python() {
    let lab = Lab::new();
    lab.write("repo/requirements.txt", "not-in-any-index==1\n");
    lab.write("repo/tests/requirements.txt", "");
    lab.write("repo/.runpod/hub.json", "{");
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let stages = ["ruff", "worker", "hub-lint"].map(|stage| ["--stage", stage]);
    let output = lab
        .xtask(&stages.concat())
        .env("PIP_CONFIG_FILE", "/dev/null")
        .env("PIP_INDEX_URL", format!("http://127.0.0.1:{port}/simple"))
        .env("PIP_RETRIES", "0")
        .env_remove("PIP_FIND_LINKS")
        .env_remove("PIP_EXTRA_INDEX_URL")
        .env_remove("PIP_NO_INDEX")
        .output()
        .unwrap();
    let said = stdout(&output);
    let at = |text: &str| {
        let found = said.find(text);
        found.unwrap_or_else(|| panic!("no {text:?} in\n{said}"))
    };
    let order = [
        at("failed  ruff "),
        at(
            "error: pip could not install into target/venv what requirements.txt and \
            tests/requirements.txt list:\n",
        ),
        at("not-in-any-index"),
        at("\nhelp: pip takes packages from PyPI, or from the index that PIP_INDEX_URL or"),
        at("failed  worker "),
        at("failed  hub-lint "),
        at("\n0 of 3 stages passed; failed: ruff, worker, hub-lint\n"),
        at("\n0 passed, 3 failed, 0 skipped\n"),
        at("\n    cargo xtask test --stage hub-lint\n"),
    ];
    assert!(order.is_sorted(), "{order:?}\n{said}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!lab.path("repo/target/venv/requirements.installed").exists());
}

/// A Python that makes an environment of itself, tells of it, and installs until it may end.
fn slow_python(lab: &Lab) {
    let log = lab.path("log");
    let go = lab.path("go");
    let text = format!(
        "case \"$1 $2\" in
          '-m venv')
            for folder; do :; done
            echo venv >> '{log}'; mkdir -p \"$folder/bin\"; cp \"$0\" \"$folder/bin/python\" ;;
          '-m pip')
            echo begins >> '{log}'
            for _ in $(seq 600); do [ -e '{go}' ] && break; sleep 0.05; done
            echo ends >> '{log}' ;;
          '-m pytest') echo '1 passed in 0.01s' ;;
        esac",
        log = log.display(),
        go = go.display()
    );
    lab.script("bin/python3", &text);
    lab.write("repo/requirements.txt", "worker\n");
    lab.write("repo/tests/requirements.txt", "tests\n");
}

/// A run of the stage that needs the environment.
fn worker(lab: &Lab) -> Running {
    let path = std::env::var("PATH").unwrap();
    let mut command = lab.xtask(&["--stage", "worker"]);
    command.env("PATH", format!("{}:{path}", lab.path("bin").display()));
    Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

/// Waits until pip is at work.
fn until_pip_begins(lab: &Lab) {
    let end = Instant::now() + Duration::from_mins(1);
    while !lab.read("log").contains("begins") {
        assert!(Instant::now() < end, "pip was not called");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The first line of what a run says beside its result.
fn first_words(run: &mut Child) -> String {
    let mut line = String::new();
    let words = run.stderr.take().unwrap();
    BufReader::new(words).read_line(&mut line).unwrap();
    line
}

fn expect_success(mut run: Running) {
    let mut said = String::new();
    run.stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    assert!(said.contains("\nok      worker "), "{said}");
    assert!(said.ends_with("1 passed, 0 failed, 0 skipped\n"), "{said}");
    assert_eq!(run.wait().unwrap().code(), Some(0));
}

const WAITING: &str = "waiting for another run here to make the tests' Python environment\n";

#[test]
fn two_runs_make_one_environment() {
    let lab = Lab::new();
    slow_python(&lab);
    let first = worker(&lab);
    until_pip_begins(&lab);
    let mut second = worker(&lab);
    assert_eq!(first_words(&mut second), WAITING);
    lab.write("go", "");
    expect_success(first);
    expect_success(second);
    assert_eq!(lab.read("log"), "venv\nbegins\nends\n");
}

/// Here the list of what is installed says that all is, and Python itself is gone: that is how the
/// machine's Python being replaced looks.
#[test]
fn an_environment_that_was_not_finished_is_made_anew() {
    let lab = Lab::new();
    slow_python(&lab);
    let stamp = "repo/target/venv/requirements.installed";
    lab.write(stamp, "worker\ntests\n");
    let mut first = worker(&lab);
    until_pip_begins(&lab);
    first.kill().unwrap();
    first.wait().unwrap();
    let mut second = worker(&lab);
    assert_eq!(first_words(&mut second), WAITING, "pip outlives its parent");
    lab.write("go", "");
    expect_success(second);
    assert_eq!(lab.read("log"), "venv\nbegins\nends\nvenv\nbegins\nends\n");
    assert_eq!(lab.read(stamp), "worker\ntests\n");
}

/// What the workflows and the way to a release tell people and machines to type.
#[test]
fn commands_of_the_workflows_are_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files: Vec<_> = std::fs::read_dir(root.join(".github/workflows"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.extend([root.join(".ci/run"), root.join("docs/releasing.md")]);
    let mut found = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (at, begin) in text.match_indices("cargo xtask ") {
            found += 1;
            let rest = &text[at + begin.len()..];
            let line = rest.lines().next().unwrap();
            let line = line.split(['#', '`', ';', '&', '|']).next().unwrap();
            let words = line.split_whitespace().map(|word| word.trim_matches('"'));
            let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
                .args(words)
                .arg("--help")
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "{}: {line}\n{said}",
                file.display()
            );
        }
    }
    assert!(found > 5, "{found} commands");
}
