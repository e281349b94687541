//! `build-image` with a real engine: the repository's own image on a stand-in for SGLang's, and
//! images made from it in which one thing or another is not as it should be.
//!
//! `cargo xtask test --stage image` makes the base image, names it in `WORKER_SGLANG_BASE`, and
//! removes whatever carries its label when all is over, which is all that is built on it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;
use testing::Running;

/// What the build is given as `HF_TOKEN`; nobody's.
const TOKEN: &str = "hf_0a1b2c3d4e5f6g7h8i9jKLMNOPQRSTuvwx";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn base() -> String {
    variable("WORKER_SGLANG_BASE").unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

fn docker(arguments: &[&str]) -> Command {
    let mut docker = Command::new(variable("DOCKER").unwrap_or_else(|| "docker".to_owned()));
    docker.args(arguments);
    docker
}

/// The command, on the repository in `root`.
fn build_image(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command
        .arg("-C")
        .arg(root)
        .args(["build-image", "--base-image", &base()]);
    command.args(arguments).env("HF_TOKEN", TOKEN);
    command
}

/// What a run found.
struct Found {
    code: i32,
    all: Value,
}

impl Found {
    fn read(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !text.contains(TOKEN) && !said.contains(TOKEN),
            "a token is never shown"
        );
        Self {
            code: output.status.code().unwrap(),
            all: serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{said}")),
        }
    }

    /// The words of a check, which came out like this.
    fn words(&self, name: &str, verdict: &str) -> String {
        let checks = self.all["after"].as_array().unwrap();
        let check = checks.iter().find(|check| check["name"] == name).unwrap();
        assert_eq!(check["verdict"], verdict, "{check:#}");
        let words = check["words"].as_array().unwrap().iter();
        words
            .map(|line| line.as_str().unwrap())
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// A check failed, and its words have all of these.
    fn failed(&self, name: &str, parts: &[&str]) {
        assert_eq!(self.code, 1);
        let words = self.words(name, "failed");
        for part in parts {
            assert!(words.contains(part), "{name}: no {part:?} in\n{words}");
        }
    }

    /// All checks that came out like this.
    fn all(&self, verdict: &str) -> Vec<&str> {
        let checks = self.all["after"].as_array().unwrap().iter();
        let fitting = checks.filter(|check| check["verdict"] == verdict);
        fitting
            .map(|check| check["name"].as_str().unwrap())
            .collect()
    }
}

/// The image of this repository, built and checked once for all tests.
fn good() -> &'static (String, Found) {
    static GOOD: OnceLock<(String, Found)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let tag = format!("worker-sglang-test:{}-good", std::process::id());
        let mut command = build_image(&repository(), &["--tag", &tag, "--format", "json"]);
        (tag, Found::read(&command.output().unwrap()))
    })
}

/// An image made from the good one; it goes with this value.
struct Derived(String);

impl Derived {
    /// With these lines of a Dockerfile, and these files beside it in `files/`. Layers cost time:
    /// one holds as much as it can.
    fn new(name: &str, lines: &str, files: &[(&str, &str)]) -> Self {
        let tag = format!("worker-sglang-test:{}-{name}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join("files").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let text = format!("FROM {}\n{lines}", good().0);
        std::fs::write(folder.path().join("Dockerfile"), text).unwrap();
        let built = docker(&["build", "--quiet", "--tag", &tag, "."])
            .current_dir(folder.path())
            .env("DOCKER_BUILDKIT", "1")
            .output()
            .unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        Self(tag)
    }

    fn verify(&self, arguments: &[&str]) -> Found {
        self.verify_in(&repository(), arguments)
    }

    fn verify_in(&self, root: &Path, arguments: &[&str]) -> Found {
        let mut command = build_image(root, &["--verify", &self.0, "--format", "json"]);
        Found::read(&command.args(arguments).output().unwrap())
    }
}

impl Drop for Derived {
    fn drop(&mut self) {
        let _ = docker(&["image", "rm", "--force", &self.0]).output();
    }
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn the_repository_s_own_image_passes_every_check() {
    let (tag, found) = good();
    assert_eq!(found.code, 0, "{:#}", found.all);
    assert_eq!(found.all["image"], tag.as_str());
    assert_eq!(
        found.all("passed"),
        [
            "base image",
            "platform",
            "command",
            "environment",
            "files",
            "python",
            "modules",
            "packages",
            "versions",
            "flags",
            "repository",
            "secrets",
            "start",
            "answers",
            "stop",
            "leftovers",
            "size"
        ]
    );
    let words = |name| found.words(name, "passed");
    assert!(words("secrets").contains("HF_TOKEN is in none of"));
    assert!(words("start").contains("the stand-in for SGLang"));
    for case in ["chat", "stream", "native", "test_input.json"] {
        assert!(words("answers").contains(case));
    }
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn secrets_and_files_that_do_not_belong_there_are_found_in_every_layer() {
    let read = |path: &str| std::fs::read_to_string(repository().join(path)).unwrap();
    let tests = read("tests/test_jobs.py");
    let (password, token) = (format!("password {TOKEN}\n"), format!("{TOKEN}\n"));
    let files = [
        ("worker/tests/test_jobs.py", tests.as_str()),
        ("worker/.git/HEAD", "ref: refs/heads/main\n"),
        ("worker/utils.py", "# changed\n"),
        ("srv/deep/x", token.as_str()),
        ("root/.netrc", password.as_str()),
        ("root/.env", "A=1\n"),
    ];
    let lines = format!(
        "COPY files/ /\n\
         RUN rm -r /srv/deep tests sglang_worker/relay.py; : {TOKEN}\n\
         ENV ANY_NAME=x{TOKEN} GITHUB_TOKEN=opensesame\n\
         LABEL by={TOKEN}\n"
    );
    let found = Derived::new("contents", &lines, &files).verify(&[]);
    found.failed(
        "secrets",
        &[
            "ENV ANY_NAME holds the value of HF_TOKEN",
            "ENV GITHUB_TOKEN holds a value for what is a secret by its name",
            "LABEL by holds the value of HF_TOKEN",
            "of the history (RUN /bin/sh -c rm -r /srv/deep",
            "has the value of HF_TOKEN in /root/.netrc",
            "has the value of HF_TOKEN in /srv/deep/x",
            "has /root/.env, a file for passwords and tokens",
            "RUN --mount=type=secret",
        ],
    );
    found.failed(
        "environment",
        &[
            "ANY_NAME is set to `x***`, which neither the Dockerfile",
            "GITHUB_TOKEN is set to `***`",
        ],
    );
    assert!(!found.all.to_string().contains("opensesame"));
    found.failed(
        "files",
        &[
            "/worker/sglang_worker/relay.py is not in the image, and the Dockerfile copies sglang_worker/relay.py there",
            "/worker/utils.py is not what utils.py is here",
        ],
    );
    found.failed(
        "repository",
        &[
            "/worker/tests/test_jobs.py is the repository's",
            "/worker/.git is the repository's",
        ],
    );
    found.failed(
        "modules",
        &["sglang_worker.relay can't be imported: ModuleNotFoundError"],
    );
    found.failed(
        "start",
        &["ended with exit code 1 before it asked for a job", "utils"],
    );
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn another_configuration_fails_and_so_does_a_worker_that_takes_no_job() {
    let lines = "ENV HF_HOME=/elsewhere PYTHONPATH=/worker NEW=1\n\
                 WORKDIR /srv\n\
                 CMD [\"sleep\", \"600\"]\n";
    let found = Derived::new("configuration", lines, &[]).verify(&[]);
    found.failed(
        "command",
        &[
            "CMD is `sleep 600`, and by the Dockerfile it is `python3 handler.py`",
            "WORKDIR is `/srv`, and by the Dockerfile it is `/worker`",
        ],
    );
    found.failed(
        "environment",
        &[
            "HF_HOME is `/elsewhere`, and by the Dockerfile it is `/runpod-volume/",
            "PYTHONPATH is `/worker`, and by the Dockerfile it is `/`",
            "NEW is set to `1`",
        ],
    );
    found.failed("start", &["has not asked for a job in 30 s"]);
    assert_eq!(found.all("skipped"), ["answers", "stop"]);
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn packages_and_flags_that_do_not_fit_fail_and_the_table_can_be_written_anew() {
    let change = "import importlib.metadata as m, json, pathlib, sglang\n\
        site = pathlib.Path(m.distribution('runpod').locate_file(''))\n\
        odd = site / 'odd-1.0.dist-info'\n\
        odd.mkdir()\n\
        (odd / 'METADATA').write_text('Metadata-Version: 2.1\\nName: odd\\nVersion: 1.0\\nRequires-Dist: nowhere\\n')\n\
        about = next(site.glob('runpod-*.dist-info')) / 'METADATA'\n\
        text = about.read_text()\n\
        about.write_text(text.replace('Version: ' + m.version('runpod'), 'Version: 1.0.0', 1))\n\
        path = pathlib.Path(sglang.__file__).with_name('sglang_flags.json')\n\
        table = json.loads(path.read_text())\n\
        flags = table['flags']\n\
        flags['--brand-new'] = flags['--tokenizer-path'] | {'dest': 'brand_new'}\n\
        del flags['--dtype']\n\
        flags['--port']['default'] = 31000\n\
        path.write_text(json.dumps(table))\n";
    let lines = format!("RUN {}\n", serde_json::json!(["python3", "-c", change]));
    let image = Derived::new("packages", &lines, &[]);
    let found = image.verify(&["--size-budget", "1"]);
    found.failed(
        "packages",
        &["odd 1.0 requires nowhere", "not in the base image"],
    );
    found.failed(
        "versions",
        &["runpod is 1.0.0, and requirements.txt asks for runpod>=1.12"],
    );
    found.failed(
        "flags",
        &[
            "the image's sglang_worker/sglang_flags.json is not what its SGLang 0.5.19 takes",
            "the repository's sglang_worker/sglang_flags.json is not what",
            "1 added: --brand-new",
            "1 gone: --dtype",
            "1 changed: --port",
            "--update-flags",
        ],
    );
    let size = found.words("size", "warning");
    assert!(
        size.contains("more than the 1.0 MB that a worker may add"),
        "{size}"
    );

    let copy = copy_of_the_repository();
    let table = copy.path().join("sglang_worker/sglang_flags.json");
    let before = std::fs::read_to_string(&table).unwrap();
    let found = image.verify_in(copy.path(), &["--update-flags"]);
    let words = found.words("flags", "warning");
    for part in [
        "is written",
        "1 added: --brand-new",
        "1 gone: --dtype",
        "build it again",
    ] {
        assert!(words.contains(part), "{words}");
    }
    let after = std::fs::read_to_string(&table).unwrap();
    let lines = |text: &str, with: &str| text.lines().filter(|l| l.contains(with)).count();
    assert_eq!(lines(&after, "    \"--brand-new\": {"), 1, "a flag a line");
    let retired = "    \"--dtype\": {\"kind\": \"value\", \"last\": \"0.5.19\"";
    assert_eq!(lines(&after, retired), 1, "what is gone is kept as retired");
    assert_eq!(lines(&before, "--brand-new"), 0);
}

/// The worker's files, with which nothing is done here.
fn copy_of_the_repository() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(repository())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for path in listed.split('\0').filter(|path| !path.is_empty()) {
        let from = repository().join(path);
        if !path.starts_with("xtask/") && from.is_file() {
            let to = folder.path().join(path);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
    folder
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn wrong_answers_a_worker_that_will_not_stop_and_what_it_leaves_fail() {
    let handler = "import signal, subprocess, sys\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        sys.exit(subprocess.call([sys.executable, '/srv/worker.py']))\n";
    let worker = "import runpod\n\
        def answer(job):\n\
        \x20   if 'text' in job['input']:\n\
        \x20       return {'text': ''}\n\
        \x20   return {'error': 'no model of that name'}\n\
        runpod.serverless.start({'handler': answer})\n";
    let lines = "COPY files/ /\nVOLUME /data\n";
    let files = [("worker/handler.py", handler), ("srv/worker.py", worker)];
    let found = Derived::new("behaviour", lines, &files).verify(&[]);
    found.words("start", "passed");
    found.failed(
        "answers",
        &[
            "chat: the worker answered with an error: no model of that name",
            "native: the answer is empty",
            "its last lines:",
        ],
    );
    found.failed(
        "stop",
        &["did not end within 10 s of SIGTERM and was killed"],
    );
    found.failed("leftovers", &["a volume behind for /data"]);
}

/// The containers that carry a process's mark.
fn containers_of(process: u32) -> Vec<String> {
    let listed = docker(&[
        "ps",
        "--all",
        "--filter",
        "label=worker-sglang.xtask",
        "--format",
        "{{.Label \"worker-sglang.xtask\"}} {{.Names}}",
    ])
    .output()
    .unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let mark = format!("/{process}/");
    text.lines()
        .filter(|line| line.contains(&mark))
        .map(str::to_owned)
        .collect()
}

/// Waits for something, for longer than it can take.
fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(
            start.elapsed() < Duration::from_mins(2),
            "not within two minutes: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn a_run_that_is_ended_leaves_nothing_and_neither_does_one_that_was_killed() {
    let image = Derived::new("ended", "CMD [\"sleep\", \"600\"]\n", &[]);
    let start = || {
        let mut command = build_image(&repository(), &["--verify", &image.0]);
        Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
    };
    let mut killed = start();
    // A worker beside the stand-in for RunPod: the run is in the middle of it.
    wait_for("two containers", || containers_of(killed.id()).len() == 2);
    killed.kill().unwrap();
    killed.wait().unwrap();
    wait_for("none", || containers_of(killed.id()).is_empty());

    let mut told = start();
    wait_for("two containers", || containers_of(told.id()).len() == 2);
    assert!(testing::send(rustix::process::Signal::TERM, told.id()));
    assert_eq!(told.wait().unwrap().code(), Some(143));
    assert!(containers_of(told.id()).is_empty());
}
