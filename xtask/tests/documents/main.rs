//! The documents that walk through something, followed to the letter: every command is typed, every
//! change made, and what is shown is what is printed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on has failed"
)]

#[allow(dead_code, reason = "the tests of migrate need all of it")]
#[path = "../migrate/support.rs"]
mod support;

mod fork;
mod image;
mod modules;
mod page;
mod pages;
mod reader;
mod states;

use std::path::{Path, PathBuf};

use page::{Story, stories};
use reader::Reader;

/// The documents that are followed.
const FOLLOWED: &[&str] = &[
    "CONTRIBUTING.md",
    "docs/migrating-a-fork.md",
    "docs/upgrading-sglang.md",
];

fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap().to_owned()
}

fn text_of(document: &str) -> String {
    std::fs::read_to_string(repository().join(document)).unwrap()
}

fn needs_docker(story: &Story) -> bool {
    let is_docker = |needs: &Option<String>| needs.as_deref() == Some("docker");
    story.steps.iter().any(|step| is_docker(&step.needs))
}

/// Follows a document's stories, each from its own start and up to what needs docker.
fn follow(document: &str) {
    let stories = stories(document, &text_of(document));
    assert!(!stories.is_empty(), "{document} has no story");
    // The test in fork.rs follows the walk of a fork, and counts its steps.
    for story in stories.iter().filter(|story| story.state != fork::STATE) {
        Reader::new(document, &story.state).follow(story, &[]);
    }
}

#[test]
fn contributing() {
    follow("CONTRIBUTING.md");
}

#[test]
fn migrating_a_fork() {
    follow("docs/migrating-a-fork.md");
}

#[test]
fn upgrading_sglang() {
    follow("docs/upgrading-sglang.md");
}
