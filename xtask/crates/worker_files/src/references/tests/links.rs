//! Symbolic links to what moved.

use super::super::*;
use testing::files;
use xtask_core::tree::{Memory, Mode, Tree};

/// What is said of one link at `path` in a worker with some files of both kinds.
fn check(path: &str, target: &str) -> Option<String> {
    let mut tree = Memory::new()
        .with_mode("alias", Mode::Symlink, "docs")
        .with_mode(path, Mode::Symlink, target);
    for path in [
        ".runpod/hub.json",
        ".runpod/notes.md",
        "Dockerfile",
        "README.md",
        "builder/setup.sh",
        "docs/a.md",
        "src/engine.py",
        "src/lib/x.py",
    ] {
        tree = tree.with(path, path);
    }
    let before = tree.entries();
    let mut moved = Vec::new();
    let mut result = files(&[("engine.py", "1")]);
    for (old, entry) in before {
        let leaves =
            xtask_core::layout::is_retired(old) || xtask_core::layout::is_stray_in_runpod(old);
        let new = if leaves || *old == "Dockerfile" {
            let new = xtask_core::layout::outdated(old);
            moved.push((old.clone(), new.clone()));
            new
        } else {
            old.clone()
        };
        result.insert(new, entry.clone());
    }
    result.extend(files(&[("Dockerfile", "2")]));
    let after = After {
        moved: &moved,
        result: &result,
        arguments: &[],
    };
    let found = links(&[(path.into(), target.into())], before, &after);
    found
        .first()
        .map(|one| format!("{}: {}; {}", one.path, one.what, one.instead))
}

#[test]
fn links_to_what_moved() {
    for (path, target, expected) in [
        (
            "srclink",
            "src",
            "`src/` is now `outdated/src/`; outdated/src",
        ),
        (
            "srclink",
            "./src/",
            "`src/` is now `outdated/src/`; outdated/src",
        ),
        (
            "docs/eng",
            "../src/engine.py",
            "`src/engine.py` is now `outdated/src/engine.py`; ../engine.py",
        ),
        (
            "x",
            "src/lib/x.py",
            "`src/lib/x.py` is now `outdated/src/lib/x.py`; outdated/src/lib/x.py",
        ),
        (
            "x",
            "src/lib",
            "`src/` is now `outdated/src/`; outdated/src/lib",
        ),
    ] {
        assert_eq!(check(path, target), Some(format!("{path}: {expected}")));
    }
}

#[test]
fn links_that_hold() {
    for (path, target) in [
        ("readme", "README.md"),
        ("image", "Dockerfile"),
        ("here", "."),
        ("hub", ".runpod/hub.json"),
        ("broken", "src/gone.py"),
        ("absolute", "/src/engine.py"),
        ("out", "../src/engine.py"),
        ("docs/alias", "../alias/a.md"),
        ("src/current", "engine.py"),
        ("src/self", "."),
        ("src/setup", "../builder/setup.sh"),
        ("src/image", "../Dockerfile"),
        ("src/notes", "../.runpod/notes.md"),
        ("src/broken", "../nowhere"),
        // What moves itself is not looked at any more.
        ("src/up", "../README.md"),
        ("src/absolute", "/etc/hosts"),
    ] {
        assert_eq!(check(path, target), None, "{path} -> {target}");
    }
}
