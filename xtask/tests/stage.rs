//! `cargo xtask test`, as it is typed: how a stage that can't run is told.

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
