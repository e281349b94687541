//! Where the command is typed, and what the environment says of git.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::Lab;

const MIGRATE: &[&str] = &["--upstream", "../upstream"];

#[test]
fn a_subfolder_stands_for_its_repository() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker
        .xtask_at("docs", &["--upstream", "../upstream"])
        .run()
        .done();
    assert!(worker.has("outdated/src/engine.py"));
    assert!(
        worker
            .read(".xtask/upstream.lock.json")
            .contains("\"../upstream\"")
    );
    // From inside a folder that moves, too.
    worker
        .xtask_at(".", &["--abort"])
        .dir(worker.file("docs"))
        .run()
        .done();
    worker
        .xtask_at(".", &["--upstream", "../../upstream"])
        .dir(worker.file("src"))
        .run()
        .done();
    assert!(worker.has("outdated/src/engine.py"));
}

#[test]
fn variables_of_another_repository_are_not_followed() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let other = lab.legacy("other");
    let before = other.everything();
    for number in 0..2 {
        let worker = lab.legacy(&format!("worker-{number}"));
        let index = lab.write("index", "not an index");
        let run = worker
            .xtask(MIGRATE)
            .env("GIT_DIR", other.file(".git"))
            .env("GIT_WORK_TREE", &other.path)
            .env("GIT_INDEX_FILE", &index)
            .env("GIT_OBJECT_DIRECTORY", other.file(".git/objects"))
            .env("GIT_COMMON_DIR", other.file(".git"))
            .env("GIT_NAMESPACE", "x")
            .env("GIT_PREFIX", "src/")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_EXTERNAL_DIFF", "false")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "core.bare")
            .env("GIT_CONFIG_VALUE_0", "false")
            .run()
            .done();
        assert!(run.stdout.contains("Done."));
        assert!(worker.has("outdated/src/engine.py"));
        assert_eq!(worker.git(&["fsck", "--no-dangling"]), "");
        assert_eq!(std::fs::read(&index).unwrap(), b"not an index");
        other
            .everything()
            .expect_same(&before, "another repository");
    }
}

#[test]
fn a_hook_of_git_may_call_it() {
    // git sets GIT_DIR and GIT_INDEX_FILE for its hooks, relative to the work tree.
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    let before = worker.everything();
    worker
        .xtask(&["--check"])
        .env("GIT_DIR", ".git")
        .env("GIT_INDEX_FILE", ".git/index")
        .run()
        .done();
    worker.everything().expect_same(&before, "a check");
}

#[test]
fn a_linked_work_tree_is_migrated_alone() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let main = lab.legacy("main");
    main.git(&["worktree", "add", "--quiet", "-b", "move", "../linked"]);
    let linked = lab.at("linked");
    let (before, untouched) = (linked.everything(), main.state());
    linked.migrates(MIGRATE);
    assert!(linked.has("outdated/src/engine.py"));
    main.state().expect_same(&untouched, "the main work tree");
    linked.migrate(&["--abort"]).done();
    linked.everything().expect_same(&before, "after --abort");
    linked.migrates(&["--upstream", "../upstream", "--commit"]);
    assert_eq!(linked.status(), "");
    assert_eq!(main.git(&["rev-list", "--count", "main..move"]), "2");
    linked.expect_settled();
}

#[test]
fn a_work_tree_on_another_file_system_than_its_git_directory_is_refused() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let main = lab.legacy("main");
    let elsewhere = tempfile::tempdir().unwrap();
    let device = |path: &Path| std::os::unix::fs::MetadataExt::dev(&path.metadata().unwrap());
    if device(elsewhere.path()) == device(&lab.path("main")) {
        eprintln!("skipped: /dev/shm and the folder for temporary files are one file system");
        return;
    }
    let path = elsewhere.path().join("linked");
    let name = path.to_str().unwrap();
    main.git(&["worktree", "add", "--quiet", "-b", "x", name]);
    let linked = crate::support::Repo { lab: &lab, path };
    let before = linked.everything();
    let upstream = lab.path("upstream");
    let run = linked.migrate(&["--upstream", upstream.to_str().unwrap()]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let why = "is on another file system than its git directory";
    assert!(run.stderr.contains(why), "{run:?}");
    linked.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_repository_behind_a_link_or_with_its_git_directory_elsewhere() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let apart = lab.init("apart", &["--separate-git-dir", "../apart.git"]);
    crate::support::copy(&crate::support::example("legacy"), &apart.path);
    apart.commit("feat: legacy");
    apart.migrates(MIGRATE);
    apart.migrate(&["--abort"]).done();
    assert_eq!(apart.status(), "");
    let worker = lab.legacy("worker");
    std::os::unix::fs::symlink("worker", lab.path("link")).unwrap();
    lab.at("link").migrates(MIGRATE);
    assert!(worker.has("outdated/src/engine.py"));
}

#[test]
fn a_detached_head_is_moved_by_a_commit() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.git(&["checkout", "--quiet", "--detach"]);
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    assert_eq!(worker.git(&["rev-list", "--count", "main..HEAD"]), "2");
    assert_eq!(worker.status(), "");
}

#[test]
fn a_shallow_clone_is_migrated() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let full = lab.legacy("full");
    full.write("README.md", "more\n");
    full.commit("docs: more");
    let url = format!("file://{}", full.path.display());
    lab.at("home")
        .git(&["clone", "--quiet", "--depth=1", &url, "../worker"]);
    let worker = lab.at("worker");
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    worker.migrate(&["--check"]).done();
}

#[test]
fn a_partial_clone_is_migrated() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let full = lab.legacy("full");
    full.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", full.path.display());
    lab.at("home")
        .git(&["clone", "--quiet", "--filter=blob:none", &url, "../worker"]);
    let worker = lab.at("worker");
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    assert_eq!(worker.status(), "");
}

/// Another git of this machine, of a version that lacks `merge-tree --merge-base`.
fn git_2_39() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/bin"), PathBuf::from("/opt/git/bin")])
        .map(|folder| folder.join("git"))
        .find(|git| {
            version(git)
                .is_some_and(|version| ["2.38.", "2.39."].iter().any(|old| version.contains(old)))
        })
}

fn version(git: &Path) -> Option<String> {
    let output = Command::new(git).arg("version").output().ok()?;
    String::from_utf8(output.stdout).ok()
}

#[test]
fn the_oldest_git_that_is_promised_does_all_of_it() {
    let Some(git) = git_2_39() else {
        eprintln!("skipped: there is no git 2.38 or 2.39 on this machine");
        return;
    };
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    lab.script("bin/git", &format!("exec {} \"$@\"", git.display()));
    let bin = lab.path("bin");
    let worker = lab.legacy("worker");
    let run = |options: &[&str]| worker.xtask(options).path_first(&bin).run();
    run(&["--upstream", "../upstream", "--commit"]).done();
    worker.edit("engine.py", "import os\n", "import os  # mine\n");
    worker.edit("engine.py", "interval=5", "interval=1");
    worker.commit("feat: mine");
    upstream.append(".runpod/engine.py", "# theirs\n");
    upstream.commit("feat: theirs");
    run(&["--commit"])
        .done()
        .says("merged with the changes made here");
    upstream.edit(".runpod/engine.py", "interval=5", "interval=9");
    upstream.commit("feat: a conflict");
    run(&[]).finds().says("1 file is in conflict");
    run(&["--conflicts", "markers"]).finds();
    assert!(worker.read("engine.py").contains("<<<<<<< ours\n"));
    run(&["--abort"]).done();
    assert_eq!(worker.status(), "");
    let url = format!("file://{}", upstream.path.display());
    let other = lab.legacy("other");
    other
        .xtask(&["--upstream", &url])
        .path_first(&bin)
        .run()
        .done();
}

#[test]
fn the_variables_of_a_person_reach_the_commits() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker
        .xtask(&["--upstream", "../upstream", "--commit"])
        .env("GIT_AUTHOR_NAME", "Somebody Else")
        .run()
        .done();
    assert_eq!(
        worker.git(&["log", "-1", "--format=%an, %cn"]),
        "Somebody Else, Maintainer"
    );
}
