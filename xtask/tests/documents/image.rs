//! The documents' commands that need docker, on a stand-in for a newer release of SGLang: the
//! stand-in for the pinned one, with the flags that the newer one really takes.
//!
//! `cargo xtask test --stage image` makes the base image, and removes whatever is made from it.

use std::fs;
use std::process::Command;

use serde_json::{Map, Value, json};

use crate::page::stories;
use crate::reader::Reader;
use crate::{needs_docker, repository, text_of};

const DOCUMENT: &str = "docs/upgrading-sglang.md";
/// The release that the document takes.
const RELEASE: &str = "0.5.21";

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn docker() -> Command {
    Command::new(variable("DOCKER").unwrap_or_else(|| "docker".to_owned()))
}

#[test]
#[ignore = "needs docker: cargo xtask test --stage image"]
fn a_new_release_is_taken_as_the_document_says() {
    let mark = std::process::id();
    // Names of this test's own: on a developer's engine the real ones may be taken.
    let base = Image(format!("lmsysorg/sglang:v{RELEASE}-test-{mark}"));
    let built = Image(format!("worker-sglang-test:{mark}-next"));
    make_base(&base.0);
    let swaps = [
        (format!("lmsysorg/sglang:v{RELEASE}"), base.0.clone()),
        ("worker-sglang:next".to_owned(), built.0.clone()),
    ];
    let with_docker: Vec<_> = stories(DOCUMENT, &text_of(DOCUMENT))
        .into_iter()
        .filter(needs_docker)
        .collect();
    assert!(!with_docker.is_empty(), "{DOCUMENT} builds nothing");
    let engine = variable("DOCKER").map(|program| ("DOCKER".to_owned(), program));
    let variables: Vec<_> = engine.into_iter().collect();
    for story in &with_docker {
        Reader::new(DOCUMENT, &story.state)
            .with_docker(&swaps)
            .follow(story, &variables);
    }
}

/// An image that goes with this value.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = docker().args(["image", "rm", "--force", &self.0]).output();
    }
}

/// Makes the stand-in for the newer release. What the stage marked the base with is inherited.
fn make_base(tag: &str) {
    let read = |path: &str| -> Value {
        serde_json::from_str(&fs::read_to_string(repository().join(path)).unwrap()).unwrap()
    };
    let table = read("sglang_worker/sglang_flags.json");
    let old = table["version"].as_str().unwrap();
    let newer = newer(&table, &read("xtask/data/sglang.json"));
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
    write("flags.json", newer.to_string());
    let change = format!(
        "import pathlib, shutil, sglang\n\
         package = pathlib.Path(sglang.__file__).parent\n\
         about = package.with_name('sglang-{RELEASE}.dist-info')\n\
         shutil.move(package.with_name('sglang-{old}.dist-info'), about)\n\
         for file in (about / 'METADATA', about / 'RECORD'):\n\
         \x20   file.write_text(file.read_text().replace('{old}', '{RELEASE}'))\n\
         shutil.copy('/flags.json', package / 'sglang_flags.json')\n"
    );
    let run = json!(["python3", "-c", change]);
    let from = variable("WORKER_SGLANG_BASE").unwrap();
    write(
        "Dockerfile",
        format!("FROM {from}\nCOPY flags.json /\nRUN {run}\n"),
    );
    let built = docker()
        .args(["build", "--quiet", "--tag", tag, "."])
        .current_dir(folder.path())
        .env("DOCKER_BUILDKIT", "1")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
}

/// The pinned release's table with what is known of the newer one: which flags it takes, and how.
fn newer(table: &Value, known: &Value) -> Value {
    let releases = known["releases"].as_array().unwrap();
    let at = releases.iter().position(|name| name == RELEASE).unwrap();
    let is_of = |list: &Value| list.as_array().unwrap().contains(&json!(at));
    let mut flags = Map::new();
    let lines = fs::read_to_string(repository().join("xtask/data/sglang.flags")).unwrap();
    for (name, spans) in lines.lines().map(|line| line.split_once(' ').unwrap()) {
        let spans: Vec<Value> = serde_json::from_str(spans).unwrap();
        let Some(facts) = spans.iter().find(|span| is_of(&span[0])) else {
            continue;
        };
        let word = name.trim_start_matches('-').replace('-', "_");
        let mut flag = json!({"kind": "value", "type": "str", "choices": null, "default": null,
            "aliases": [], "deprecated": false, "dest": word});
        for facts in [&table["flags"][name], &facts[1]] {
            for (key, value) in facts.as_object().into_iter().flatten() {
                flag[key] = value.clone();
            }
        }
        flags.insert(name.to_owned(), flag);
    }
    // Those of the pinned release stay only where they are aliases still.
    for flag in flags.values_mut() {
        flag["aliases"] = json!([]);
    }
    for (alias, spans) in known["aliases"].as_object().unwrap() {
        for span in spans.as_array().unwrap().iter().filter(|s| s[0] == at) {
            let aliases = &mut flags[span[1].as_str().unwrap()]["aliases"];
            aliases.as_array_mut().unwrap().push(json!(alias));
        }
    }
    json!({"version": RELEASE, "flags": flags, "retired": table["retired"]})
}
