//! `hub-lint` as it is used: a repository in, a command, its words and its exit code out.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

const LISTING: &str = r#"{
  "title": "Worker",
  "description": "Does things.",
  "type": "serverless",
  "category": "language",
  "config": {
    "runsOn": "GPU",
    "containerDiskInGb": "20",
    "gpuIds": "RTX A4000"
  }
}
"#;

const TESTS: &str = r#"{
  "tests": [{ "name": "one", "input": { "prompt": "Hi" } }],
  "config": { "gpuCount": 1 }
}
"#;

fn repository(listing: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| std::fs::write(folder.path().join(path), text).unwrap();
    std::fs::create_dir(folder.path().join(".runpod")).unwrap();
    write("Dockerfile", "FROM scratch\n");
    write("README.md", "# Worker\n");
    write(".runpod/hub.json", listing);
    write(".runpod/tests.json", TESTS);
    folder
}

fn lint(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .current_dir(folder)
        .arg("hub-lint")
        .args(arguments)
        .output()
        .unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

#[test]
fn findings_are_shown_at_their_line() {
    let folder = repository(LISTING);
    let output = lint(folder.path(), &["."]);
    assert_eq!(code(&output), 1);
    assert_eq!(
        words(&output),
        "\
error[HUB102 wrong-type]: `containerDiskInGb` has to be a whole number and is a string
 --> .runpod/hub.json:8:26
  |
8 |     \"containerDiskInGb\": \"20\",
  |                          ^^^^
  |
  = help: `--fix` will write `20`

error[HUB211 unknown-gpu]: RunPod has no GPU with the id `RTX A4000`
 --> .runpod/hub.json:9:16
  |
9 |     \"gpuIds\": \"RTX A4000\"
  |                ^^^^^^^^^
  |
  = help: did you mean `NVIDIA RTX A4000`?
  = help: `--unsafe-fixes` will write `NVIDIA RTX A4000`

hub-lint: 2 errors in 2 files; 1 to fix with `--fix`; 1 to fix with `--unsafe-fixes`; `--explain RULE` says why
"
    );
}

#[test]
fn a_clean_repository_ends_with_zero() {
    let clean = LISTING
        .replace("\"20\"", "20")
        .replace("RTX A4000", "ADA_24");
    let folder = repository(&clean);
    let output = lint(folder.path(), &["."]);
    assert_eq!(
        (code(&output), words(&output).as_str()),
        (0, "hub-lint: nothing found in 2 files\n")
    );
}

#[test]
fn a_file_is_linted_however_its_path_is_written() {
    let folder = repository(LISTING);
    for path in [
        ".runpod/hub.json",
        ".runpod//hub.json",
        "./.runpod/./hub.json",
    ] {
        let output = lint(folder.path(), &[path]);
        assert_eq!(code(&output), 1, "{path}: {}", words(&output));
    }
}

#[test]
fn paths_may_be_folders_or_files_of_several_repositories() {
    let (one, two) = (repository(LISTING), repository(LISTING));
    let folder = two.path().join(".runpod");
    let file = one.path().join(".runpod/hub.json");
    let tests = one.path().join(".runpod/tests.json");
    let paths = [&file, &tests, &folder].map(|path| path.to_str().unwrap());
    let output = lint(Path::new("/"), &paths);
    let text = words(&output);
    for repository in [&one, &two] {
        let place = format!(
            "--> {}/.runpod/hub.json:9:16\n",
            repository.path().display()
        );
        assert_eq!(text.matches(&place).count(), 1, "{text}");
    }
    assert!(text.contains("hub-lint: 4 errors in 4 files;"), "{text}");
}

#[test]
fn safe_fixes_are_made_and_the_others_when_asked_for() {
    let folder = repository(LISTING);
    let file = folder.path().join(".runpod/hub.json");
    assert_eq!(code(&lint(folder.path(), &[".", "--fix"])), 1);
    let fixed = LISTING.replace("\"20\"", "20");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), fixed);

    let output = lint(folder.path(), &[".", "--unsafe-fixes"]);
    assert_eq!(code(&output), 0);
    assert!(words(&output).ends_with("hub-lint: fixed 1 finding\n"));
    let fixed = fixed.replace("RTX A4000", "NVIDIA RTX A4000");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), fixed);
}

#[test]
fn rules_can_be_chosen_and_severity_too() {
    let folder = repository(LISTING);
    let found = |arguments: &[&str]| {
        let output = lint(
            folder.path(),
            &[&[".", "--format", "json"], arguments].concat(),
        );
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let codes: Vec<String> = value["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        (code(&output), codes.join(" "))
    };
    assert_eq!(found(&[]), (1, "HUB102 HUB211".to_owned()));
    assert_eq!(found(&["--select", "HUB2"]), (1, "HUB211".to_owned()));
    assert_eq!(
        found(&["--ignore", "wrong-type,hub211"]),
        (0, String::new())
    );
    std::fs::remove_file(folder.path().join(".runpod/tests.json")).unwrap();
    assert_eq!(found(&["--select", "HUB3"]), (1, "HUB313".to_owned()));
    assert_eq!(
        found(&["--select", "HUB3", "--min-severity", "error"]),
        (0, String::new())
    );
}

#[test]
fn a_page_is_printed_by_id_or_name() {
    let by_id = lint(Path::new("/"), &["--explain", "hub252"]);
    let by_name = lint(Path::new("/"), &["--explain", "wrapped-input"]);
    assert_eq!(words(&by_id), words(&by_name));
    assert!(words(&by_id).starts_with("# HUB252 wrapped-input\n"));
}

#[test]
fn wrong_usage_ends_with_two_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let output = lint(folder.path(), arguments);
        (code(&output), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(
        said(&["."]),
        (
            2,
            "error: . has no .runpod/hub.json: there is nothing to lint\n".to_owned()
        )
    );
    assert_eq!(said(&["a", "b"]), (2, "error: there is no a\n".to_owned()));
    assert_eq!(
        said(&["--explain", "wraped-input"]),
        (
            2,
            "error: there is no rule `wraped-input`. Did you mean `wrapped-input`? \
             `--rules` lists them\n"
                .to_owned()
        )
    );
    assert_eq!(said(&[".", "--select", "HUB999"]).0, 2);
}

#[test]
fn programs_get_their_formats() {
    let folder = repository(LISTING);
    let github = words(&lint(folder.path(), &[".", "--format", "github"]));
    assert_eq!(
        github.lines().next().unwrap(),
        "::error file=.runpod/hub.json,line=8,endLine=8,col=26,endColumn=30,\
         title=HUB102 wrong-type::`containerDiskInGb` has to be a whole number and is a string"
    );
    let sarif: serde_json::Value =
        serde_json::from_str(&words(&lint(folder.path(), &[".", "--format", "sarif"]))).unwrap();
    let run = &sarif["runs"][0];
    let result = &run["results"][1];
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(
        run["tool"]["driver"]["rules"][index]["id"],
        result["ruleId"]
    );
    assert_eq!(
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        ".runpod/hub.json"
    );
}

#[test]
fn rules_are_listed_and_explained_by_the_beginning_of_their_ids() {
    let list = words(&lint(Path::new("/"), &["--rules"]));
    assert!(list.starts_with("HUB001 empty-file "), "{list}");
    let pages = words(&lint(Path::new("/"), &["--explain", "HUB25"]));
    let titles: Vec<_> = pages
        .lines()
        .filter(|line| line.starts_with("# HUB"))
        .collect();
    assert!(titles.len() > 2, "{titles:?}");
    assert!(
        titles.iter().all(|title| title.starts_with("# HUB25")),
        "{titles:?}"
    );
}

#[test]
fn the_repository_is_the_one_around_the_working_directory() {
    let folder = repository(LISTING);
    let inner = folder.path().join("src/deep");
    std::fs::create_dir_all(&inner).unwrap();
    for (place, shown) in [
        (folder.path().to_owned(), "--> .runpod/hub.json:8:26\n"),
        (inner, "--> ../../.runpod/hub.json:8:26\n"),
        (
            folder.path().join(".runpod"),
            "--> ../.runpod/hub.json:8:26\n",
        ),
    ] {
        let output = lint(&place, &[]);
        assert!(words(&output).contains(shown), "{}", words(&output));
        assert_eq!(code(&output), 1);
    }
    // The search ends where the repository does.
    let other = folder.path().join("other");
    std::fs::create_dir_all(other.join(".git")).unwrap();
    assert_eq!(code(&lint(&other, &[])), 2);
}

#[test]
fn a_file_of_another_name_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.json"), LISTING).unwrap();
    let text = words(&lint(folder.path(), &["bad.json"]));
    assert!(text.contains("--> bad.json:8:26\n"), "{text}");
}

#[test]
fn github_gets_paths_from_the_git_root() {
    let outer = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(outer.path().join(".git")).unwrap();
    let worker = outer.path().join("workers/one");
    std::fs::create_dir_all(worker.join(".runpod")).unwrap();
    std::fs::write(worker.join(".runpod/hub.json"), LISTING).unwrap();
    let text = words(&lint(&worker, &["--format", "github"]));
    assert!(
        text.contains("file=workers/one/.runpod/hub.json,line=8"),
        "{text}"
    );
    let text = words(&lint(&worker, &["--format", "sarif"]));
    assert!(
        text.contains("\"uri\": \"workers/one/.runpod/hub.json\""),
        "{text}"
    );
    // People get the paths that they can open.
    assert!(words(&lint(&worker, &[])).contains("--> .runpod/hub.json:8:26\n"));
}
