//! `cargo xtask test`, as it is typed: how a stage that can't run is told, and the commands in CI.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

fn image(ci: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["test", "--stage", "image"])
        .env("DOCKER", "no-such-docker")
        .env("CI", ci)
        .output()
        .unwrap()
}

#[test]
fn without_an_engine_the_image_is_not_built_and_the_words_say_why() {
    let output = image("");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("skipped image "), "{said}");
    assert!(
        said.contains("there is no program `no-such-docker`"),
        "{said}"
    );
    assert!(
        said.ends_with("0 passed, 0 failed, 0 skipped; not run: image\n"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn in_ci_an_engine_must_answer() {
    let output = image("true");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("failed  image "), "{said}");
    assert!(
        said.contains("there is no program `no-such-docker`"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(1));
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

/// rustup puts a program in the place of each part of the toolchain, whether it is there or not.
#[test]
fn a_part_of_the_toolchain_that_is_missing_is_added_where_that_takes_no_root() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let added = folder.path().join("added");
    let cargo = script(
        "cargo",
        &format!(
            "[ -e '{}' ] || {{ echo not installed >&2; exit 1; }}",
            added.display()
        ),
    );
    let run = || {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["test", "--stage", "format"])
            .env("CARGO", &cargo)
            .env("PATH", folder.path())
            .output()
            .unwrap()
    };
    script("cargo-fmt", "exit 1");
    script("rustup", "exit 1");
    let output = run();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.ends_with("  rustfmt: rustup component add rustfmt\n"),
        "{said}"
    );
    assert_eq!(output.status.code(), Some(2));
    script(
        "rustup",
        &format!(
            "[ \"$*\" = 'component add rustfmt' ] && : > '{}'",
            added.display()
        ),
    );
    let output = run();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.starts_with("ok      format "), "{said}");
    assert_eq!(output.status.code(), Some(0));
}
