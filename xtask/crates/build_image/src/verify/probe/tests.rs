//! The program, run in folders that stand for images.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;
use crate::report::CheckStatus;
use xtask_core::process;
use xtask_core::tree::Memory;

/// What Python prints for a program that reads JSON.
fn python(python: &Path, folder: &Path, program: &str, input: &Value) -> Value {
    let mut command = Command::new(python);
    command.args(["-c", program]).current_dir(folder);
    let done = process::within(command, input.to_string().as_bytes(), None);
    let done = done.unwrap().unwrap();
    serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr))
}

const SCRIPT_OF_THE_WORKER: &str = "import pathlib, sys\n\
    pathlib.Path(sys.argv[2]).write_text(pathlib.Path('made.json').read_text())\n";

fn table(version: &str, flags: &str) -> String {
    format!("{{\"version\": \"{version}\", \"flags\": {{{flags}}}, \"retired\": {{}}}}")
}

const OLD: &str =
    r#""--a": {"kind": "value", "default": 1, "replacement": "--x"}, "--b": {"kind": "value"}"#;
const NEW: &str = r#""--a": {"kind": "value", "default": 2}, "--c": {"kind": "value"}"#;

/// An image: a folder in which the program finds what the Dockerfile copies.
struct Image {
    folder: tempfile::TempDir,
    made: ExpectedImage,
    tree: Memory,
}

impl Image {
    /// One whose SGLang takes the flags of `takes`, with the table `own` of its own; the
    /// repository has the table `here`.
    fn new(takes: &str, own: &str, here: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Memory::new()
            .with("handler.py", "import sglang\n")
            .with("requirements.txt", "no-such-package>=1\n")
            .with(SCRIPT, SCRIPT_OF_THE_WORKER)
            .with(TABLE, here);
        let workdir = folder.path().to_str().unwrap().trim_start_matches('/');
        let files = ["handler.py", TABLE];
        let files = files.map(|path| (format!("{workdir}/{path}"), path.into()));
        let image = Self {
            made: ExpectedImage {
                files: files.into_iter().collect(),
                ..ExpectedImage::default()
            },
            folder,
            tree,
        };
        image.write("handler.py", "import sglang\n");
        image.write("sglang.py", "__version__ = '1.0'\n");
        image.write("made.json", takes);
        image.write(TABLE, own);
        image
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    fn asked(&self, update: bool) -> Value {
        let workdir = self.folder.path().to_str().unwrap();
        probe_input(&self.tree, &self.made, workdir, update).unwrap()
    }

    /// What an expression of the program gives, which is a check.
    fn check(&self, expression: &str, update: bool) -> (CheckStatus, Vec<String>) {
        let check = said(self.folder.path(), expression, &self.asked(update));
        let check: Check = serde_json::from_value(check).unwrap();
        (check.verdict, check.words)
    }
}

/// What an expression of the program gives.
fn said(folder: &Path, expression: &str, asked: &Value) -> Value {
    let (probe, _) = PROBE.split_once("if __name__").unwrap();
    let ask = format!("asked = json.load(sys.stdin)\nprint(json.dumps({expression}))");
    python(
        Path::new("python3"),
        folder,
        &format!("{probe}\n{ask}"),
        asked,
    )
}

#[test]
fn the_repository_says_what_to_ask_for() {
    let tree = Memory::new()
        .with(
            "pyproject.toml",
            "[project]\nrequires-python = \">=3.11\"\n",
        )
        .with("requirements.txt", "runpod>=1.12,<2\naiohttp\n")
        .with("x", b"\xff".to_vec());
    let files = [
        "worker/handler.py",
        "worker/lib/__init__.py",
        "worker/lib/a.py",
        "worker/scripts/x.py",
        "worker/a-b.py",
        "other.py",
    ];
    let made = ExpectedImage {
        files: files.map(|path| (path.to_owned(), "x".into())).into(),
        ..ExpectedImage::default()
    };
    let asked = probe_input(&tree, &made, "/worker", false).unwrap();
    assert_eq!(asked["python"], ">=3.11");
    assert_eq!(asked["modules"], json!(["handler", "lib", "lib.a"]));
    let packages = json!({"runpod": "runpod>=1.12,<2", "aiohttp": "aiohttp"});
    assert_eq!(asked["packages"], packages);
    assert_eq!(asked["files"]["other.py"], json!(["x", "\u{ff}"]));
    let none = super::probe_input(&Memory::new(), &ExpectedImage::default(), "/", false).unwrap();
    assert_eq!(none["python"], PYTHON);
    assert_eq!(none["script"], Value::Null);
}

#[test]
fn files_modules_and_packages_are_looked_at() {
    let new = table("1.0", NEW);
    let image = Image::new(&new, &new, &new);
    let answer = python(
        Path::new("python3"),
        image.folder.path(),
        PROBE,
        &image.asked(false),
    );
    let checks: Vec<Check> = serde_json::from_value(answer).unwrap();
    let verdict = |name: &str| {
        let check = checks.iter().find(|check| check.name == name);
        check.map(|check| check.verdict)
    };
    for name in ["files", "python", "modules", "flags"] {
        assert_eq!(verdict(name), Some(CheckStatus::Passed), "{checks:?}");
    }
    assert!(verdict("packages").is_some());
    let (verdict, words) = image.check("versions(asked)[1]", false);
    assert_eq!(verdict, CheckStatus::Failed);
    assert!(
        words[0].starts_with("no-such-package is not installed"),
        "{words:?}"
    );
    image.write("handler.py", "import nothing_of_that_name\n");
    fs_err::remove_file(image.folder.path().join(TABLE)).unwrap();
    let (verdict, words) = image.check("files(asked)", false);
    assert_eq!(verdict, CheckStatus::Failed);
    assert!(
        words[0].contains("is not what handler.py is here (28 bytes, 14 here)"),
        "{words:?}"
    );
    assert!(words[1].contains("is not in the image, and the Dockerfile copies"));
    let (verdict, words) = image.check("modules(asked['modules'])", false);
    assert_eq!(verdict, CheckStatus::Failed);
    assert!(
        words[0].starts_with("handler can't be imported: ModuleNotFoundError"),
        "{words:?}"
    );
}

#[test]
fn flags_added_gone_and_changed_are_named() {
    let (old, new) = (table("1.0", OLD), table("1.0", NEW));
    let (verdict, words) = Image::new(&new, &old, &new).check("flags(asked)", false);
    assert_eq!(verdict, CheckStatus::Failed);
    assert_eq!(
        words,
        [
            "the image's sglang_worker/sglang_flags.json is not what its SGLang 1.0 takes:",
            "1 added: --c",
            "1 gone: --b",
            "1 changed: --a",
            "`cargo xtask build-image --update-flags` writes the repository's; then build again",
        ]
    );
    let (verdict, words) = Image::new(&new, &new, &old).check("flags(asked)", false);
    assert_eq!(verdict, CheckStatus::Failed);
    assert!(words[0].starts_with("the repository's"), "{words:?}");
}

#[test]
fn only_the_repository_s_table_may_be_another_release_s() {
    let (old, new) = (table("0.9", OLD), table("1.0", NEW));
    let other = Image::new(&new, &new, &old);
    let (verdict, words) = other.check("flags(asked)", false);
    assert_eq!(verdict, CheckStatus::Passed);
    assert!(words[1].contains("SGLang 0.9, and"), "{words:?}");
    let (verdict, _) = other.check("files(asked)", false);
    assert_eq!(verdict, CheckStatus::Passed);
    let (verdict, _) = Image::new(&new, &table("0.9", NEW), &new).check("flags(asked)", false);
    assert_eq!(verdict, CheckStatus::Failed);
    let (verdict, words) = Image::new("no table", &new, &new).check("flags(asked)", false);
    assert_eq!(verdict, CheckStatus::Failed);
    assert!(words[0].contains("can't be read in the image"), "{words:?}");
}

#[test]
fn an_update_says_what_it_changes() {
    let (old, new) = (table("1.0", OLD), table("1.1", NEW));
    let (verdict, words) = Image::new(&new, &new, &old).check("flags(asked)", true);
    assert_eq!(verdict, CheckStatus::Passed);
    let all = words.join("\n");
    for part in [
        "is written, for SGLang 1.1",
        "before, it was for SGLang 1.0",
        "1 gone: --b",
    ] {
        assert!(all.contains(part), "{part}\n{all}");
    }
    let (verdict, words) = Image::new(&new, &old, &new).check("flags(asked)", true);
    assert_eq!(verdict, CheckStatus::Warning);
    assert!(words[0].contains("already"), "{words:?}");
    assert!(words[1].contains("build it again"), "{words:?}");
}

#[test]
fn only_conflicts_that_the_worker_brings_fail() {
    let (old, new) = ("a 1 requires b, which is not installed.", "c 1 requires d.");
    let judged = |base: Value, found: &[&str], checker: Value| {
        let input = json!([base, checker, found]);
        let check: Check =
            serde_json::from_value(said(Path::new("/"), "packages(*asked)", &input)).unwrap();
        (check.verdict, check.words)
    };
    let (verdict, words) = judged(json!([old]), &[old, new], json!("pip"));
    assert_eq!(verdict, CheckStatus::Failed);
    assert_eq!(words[0], new);
    assert_eq!(words[2], "the base image itself has 1 more");
    let (verdict, _) = judged(Value::Null, &[old, new], json!("pip"));
    assert_eq!(verdict, CheckStatus::Warning);
    let (verdict, _) = judged(json!([old]), &[old], json!("pip"));
    assert_eq!(verdict, CheckStatus::Passed);
    let (verdict, _) = judged(json!([old]), &[old, new], Value::Null);
    assert_eq!(verdict, CheckStatus::Skipped);
}

/// Held by the probe itself, with the pip of an environment: Python alone may have none.
#[test]
fn specifiers_hold_or_do_not() {
    const JUDGE: &str = "import json, sys\n\
        versions, wanted = json.load(sys.stdin)\n\
        print(json.dumps(unfit(wanted, versions)))\n";
    let cases = [
        ("1.12.0", ">=1.12,<2", true),
        ("1.9.3", ">=1.12,<2", false),
        ("2.0", ">=1.12,<2", false),
        ("1.12.0rc1+local", ">=1.12,<2", true),
        ("1.13.0.post1", "[all]>=1.12", true),
        ("1.7.4", "~=1.7.0", true),
        ("1.8.0", "~=1.7.0", false),
        ("1.8", "~=1.7", true),
        ("0.5.19", "==0.5.19", true),
        ("0.5.19", "==0.5.*", true),
        ("0.6", "!=0.5.*", true),
        ("3.11.2", ">=3.10", true),
        ("1.0", "", true),
        ("1.0", ">=1 ; python_version > '3'", true),
        // What can't be told is no fault.
        ("1.0", "@git+https://x", true),
        ("unknown", ">=1", true),
    ];
    let name = |at: usize| format!("p{at:02}");
    let cases_by = |part: &dyn Fn(usize) -> String| -> BTreeMap<String, String> {
        (0..cases.len()).map(|at| (name(at), part(at))).collect()
    };
    let versions = cases_by(&|at| cases[at].0.to_owned());
    let wanted = cases_by(&|at| format!("{}{}", name(at), cases[at].1));
    let input = json!([versions, wanted]);
    let (probe, _) = PROBE.split_once("if __name__").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let python3 = |args: &[&str]| Command::new("python3").args(args).output().unwrap();
    let has_pip = python3(&["-c", "import pip._vendor.packaging"]);
    // An environment of its own has pip, but takes seconds to make.
    let interpreter = if has_pip.status.success() {
        PathBuf::from("python3")
    } else {
        let made = python3(&["-m", "venv", scratch.path().to_str().unwrap()]);
        assert!(made.status.success(), "python3 -m venv: {made:?}");
        scratch.path().join("bin/python")
    };
    let program = format!("{probe}\n{JUDGE}");
    let unfit = python(&interpreter, scratch.path(), &program, &input);
    let unfit: Vec<String> = serde_json::from_value(unfit).unwrap();
    let expected = (0..cases.len()).filter(|&at| !cases[at].2).map(name);
    assert_eq!(unfit, expected.collect::<Vec<_>>());
}
