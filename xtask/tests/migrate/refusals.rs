//! What a migration can't start from: told in words that say what to do, and nothing is written.

use crate::support::{Lab, Repo};

const MIGRATE: &[&str] = &["--upstream", "../upstream"];

/// A legacy worker, prepared, is refused in these words and stays as it was.
#[track_caller]
fn refused(prepare: impl FnOnce(&Repo), what: &str, help: &str) {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    prepare(&worker);
    let before = worker.everything();
    worker.migrate(MIGRATE).refused(what, help);
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn changes_that_are_not_committed() {
    let many: Vec<String> = (10..20).map(|number| format!("many/{number}")).collect();
    let many = format!("{}\n  … and 10 more", many.join("\n  "));
    type Prepare<'a> = &'a dyn Fn(&Repo);
    let cases: [(Prepare<'_>, &str); 3] = [
        (
            &|worker| {
                worker.append("src/engine.py", "# changed\n");
                worker.remove("README.md");
            },
            "README.md\n  src/engine.py",
        ),
        (
            &|worker| {
                worker.write("docs/new.md", "new\n");
                worker.git(&["add", "docs/new.md"]);
            },
            "docs/new.md",
        ),
        (
            &|worker| {
                for number in 10..30 {
                    worker.write(format!("many/{number}"), "");
                }
                worker.git(&["add", "--all"]);
            },
            &many,
        ),
    ];
    let what = "the work tree or the index has changes that are not committed:\n  ";
    let help = "commit them, or put them away with `git stash`";
    for (prepare, listed) in cases {
        refused(prepare, &format!("{what}{listed}"), help);
    }
}

fn diverge(worker: &Repo) {
    worker.git(&["checkout", "--quiet", "-b", "side"]);
    worker.write("README.md", "side\n");
    worker.commit("docs: side");
    worker.git(&["checkout", "--quiet", "main"]);
    worker.write("README.md", "main\n");
    worker.commit("docs: main");
}

#[test]
fn something_of_git_that_is_under_way() {
    let cases: [(&str, &[&str]); 4] = [
        ("merge", &["merge", "side"]),
        ("rebase", &["rebase", "side"]),
        ("cherry-pick", &["cherry-pick", "side"]),
        ("revert", &["revert", "--no-edit", "HEAD~1"]),
    ];
    for (name, command) in cases {
        refused(
            |worker| {
                diverge(worker);
                worker.write("README.md", "again\n");
                worker.commit("docs: again");
                worker.try_git(command);
            },
            &format!("a {name} is under way in [LAB]/worker"),
            "finish it or abort it, then run this again",
        );
    }
}

#[test]
fn an_unborn_branch() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.empty("worker");
    worker.write("src/handler.py", "");
    let before = worker.everything();
    worker.migrate(MIGRATE).refused(
        "[LAB]/worker has no commit yet",
        "commit the worker's files first",
    );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_bare_repository() {
    let lab = Lab::new();
    lab.upstream("upstream");
    lab.legacy("worker");
    lab.at("home")
        .git(&["clone", "--quiet", "--bare", "../worker", "../bare"]);
    let bare = lab.at("bare");
    bare.migrate(MIGRATE).refused(
        ". has no work tree (a bare repository)",
        "clone it, and run this in the clone",
    );
    // Nor does the git directory of a repository have a work tree.
    let worker = lab.path("worker/.git");
    let run = lab.at("worker").xtask(MIGRATE).dir(worker).run();
    assert!(run.stderr.contains("has no work tree"), "{run:?}");
}

#[test]
fn a_path_that_holds_a_newline() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("wor\nker");
    let before = worker.everything();
    worker.migrate(MIGRATE).refused(
        "the path of [LAB]/wor\nker holds a newline",
        "rename that directory",
    );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn no_repository_and_no_folder() {
    let lab = Lab::new();
    lab.upstream("upstream");
    lab.write("plain/src/handler.py", "");
    let run = lab.at("plain").migrate(MIGRATE);
    assert_eq!(run.code, Some(1));
    // The rest of the line is git's.
    assert!(
        run.stderr
            .starts_with("error: . is in no git repository (fatal: not a git repository"),
        "{run:?}"
    );
    assert!(
        run.stderr
            .ends_with("\nhelp: run `git init`, and commit the worker's files first\n"),
        "{run:?}"
    );
    lab.at("plain").xtask_at("missing", MIGRATE).run().refused(
        "missing is not a directory",
        "name the worker's repository with `-C DIR`",
    );
}

#[test]
fn a_repository_that_is_no_worker() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let other = lab.empty("other");
    other.write("main.c", "int main;\n");
    other.commit("feat: something else");
    other.migrate(MIGRATE).refused(
        "[LAB]/other is no worker of the legacy layout: it has none of builder, src, \
         worker-config.json",
        "name the worker's repository with `-C DIR`",
    );
}

#[test]
fn a_worker_with_its_files_at_the_root_is_told_how_to_become_one() {
    refused(
        |worker| {
            for path in ["builder", "worker-config.json"] {
                worker.remove(path);
            }
            worker.rename("src/handler.py", "handler.py");
            worker.remove("src");
            worker.commit("refactor: all files at the root");
        },
        "[LAB]/worker is no worker of the legacy layout: it has none of builder, src, \
         worker-config.json",
        "its handler.py is at the root: move it and the modules beside it to src/ with `git mv`, \
         let the Dockerfile copy them from there, and commit that; then run this again",
    );
}

#[test]
fn a_worker_that_somebody_began_to_move_by_hand() {
    refused(
        |worker| {
            for path in ["builder", "src", "worker-config.json"] {
                worker.rename(path, &format!("outdated/{path}"));
            }
            worker.commit("refactor: move the old files");
        },
        "[LAB]/worker is no worker of the legacy layout: it has none of builder, src, \
         worker-config.json",
        "move the files in outdated/ back to where they were and commit that, then run this again",
    );
}

#[test]
fn a_modern_worker_without_a_lock() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let run = lab.modern("worker").migrate(MIGRATE);
    assert!(
        run.stderr.starts_with(
            "error: this worker has the modern layout, but no .xtask/upstream.lock.json\nhelp: "
        ),
        "{run:?}"
    );
    assert!(run.stderr.contains("--adopt"), "{run:?}");
}

#[test]
fn a_submodule_where_files_move() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let part = lab.empty("part");
    part.write("x", "x");
    part.commit("feat: x");
    let worker = lab.legacy("worker");
    worker.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "../part",
        "src/x",
    ]);
    worker.commit("feat: a submodule");
    let before = worker.everything();
    worker.migrate(MIGRATE).refused(
        "these paths can't be written:\n  src/x: is a submodule",
        "take the submodule out with `git rm -- src/x`, or move it with `git mv`, and commit that, \
         then run this again",
    );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_submodule_where_a_folder_must_be() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let part = lab.empty("part");
    part.write("x", "x");
    part.commit("feat: x");
    let worker = lab.legacy("worker");
    worker.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "../part",
        "public",
    ]);
    worker.commit("feat: a submodule");
    let before = worker.everything();
    let run = worker.migrate(MIGRATE);
    assert_eq!(run.code, Some(1));
    assert!(run.stderr.contains("public: is a submodule"), "{run:?}");
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn an_outdated_folder_with_other_files() {
    refused(
        |worker| {
            worker.write("outdated/src/engine.py", "# another engine\n");
            worker.write("outdated/notes.md", "notes\n");
            worker.commit("feat: outdated things");
        },
        "outdated/ is for the retired files, and holds others:\n  outdated/notes.md\n  \
         outdated/src/engine.py",
        "move them back to where they were, or to another place, and commit that; then run this \
         again",
    );
}

#[test]
fn a_sparse_checkout() {
    refused(
        |worker| {
            worker.git(&[
                "sparse-checkout",
                "set",
                "--no-cone",
                "/*",
                "!/src/utils.py",
            ]);
        },
        "git does not look at these files:\n  src/utils.py",
        "have it look again with `git update-index --no-skip-worktree FILE`, or check out a sparse \
         checkout whole with `git sparse-checkout disable`, then run this again",
    );
}

#[test]
fn a_path_that_is_assumed_to_be_unchanged() {
    refused(
        |worker| {
            worker.git(&["update-index", "--assume-unchanged", "Dockerfile"]);
            worker.append("Dockerfile", "# hidden from git\n");
        },
        "git does not look at these files:\n  Dockerfile",
        "have it look again with `git update-index --no-assume-unchanged FILE`, or check out a \
         sparse checkout whole with `git sparse-checkout disable`, then run this again",
    );
}

#[test]
fn an_upstream_without_the_required_files() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    for file in ["utils.py", "tests.json", "Dockerfile"] {
        upstream.remove(&format!(".runpod/{file}"));
    }
    upstream.commit("fix: remove too much");
    let worker = lab.legacy("worker");
    let before = worker.everything();
    worker.migrate(MIGRATE).refused(
        "[LAB]/worker/../upstream at [OID] lacks .runpod/utils.py, .runpod/Dockerfile, \
         .runpod/tests.json",
        "name a complete upstream with --upstream, or another revision",
    );
    worker.migrate(&["--upstream", "../home"]).refused(
        "[LAB]/worker/../home is no upstream: it has neither .runpod/handler.py nor handler.py \
         beside .runpod/hub.json",
        "name one with --upstream DIR|URL, or another revision",
    );
    worker.migrate(&["--upstream", "../nowhere"]).refused(
        "upstream [LAB]/worker/../nowhere is not a directory",
        "name a directory, a git repository or a URL with --upstream",
    );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_dockerfile_that_is_not_understood() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.edit(".runpod/Dockerfile", "COPY .runpod/ ./", "COPY . ./");
    upstream.commit("feat: copy everything");
    let worker = lab.legacy("worker");
    let before = worker.everything();
    let run = worker.migrate(MIGRATE);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .starts_with("error: .runpod/Dockerfile of [LAB]/worker/../upstream at [OID], line 11"),
        "{run:?}"
    );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_machine_without_git() {
    let lab = Lab::new();
    let worker = lab.legacy("worker");
    let nothing = lab.path("tmp");
    worker.xtask(MIGRATE).env("PATH", nothing).run().unusable(
        "git is not on PATH; install it (Debian and Ubuntu: apt-get install git, macOS: \
         xcode-select --install)",
    );
}

#[test]
fn a_git_that_is_too_old() {
    let lab = Lab::new();
    let worker = lab.legacy("worker");
    lab.script("bin/git", "echo git version 2.37.4");
    worker
        .xtask(MIGRATE)
        .env("PATH", lab.path("bin"))
        .run()
        .unusable(
            "git version 2.37.4 is too old: 2.38 or newer is needed for `git merge-tree \
             --write-tree`",
        );
}

#[test]
fn a_lock_that_is_broken_or_from_the_future() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    let lock = worker.read(".xtask/upstream.lock.json");
    worker.write(".xtask/upstream.lock.json", "<<<<<<< HEAD\n");
    worker.commit("chore: break the lock");
    let run = worker.migrate(&[]);
    assert!(
        run.stderr.starts_with(
            "error: .xtask/upstream.lock.json can't be read: expected value at line 1 column 1\n"
        ),
        "{run:?}"
    );
    worker.write(
        ".xtask/upstream.lock.json",
        lock.replacen("\"version\": 1", "\"version\": 7", 1),
    );
    worker.commit("chore: a lock of the future");
    worker.migrate(&[]).refused(
        ".xtask/upstream.lock.json can't be read: it is of version 7; this tool knows 1",
        "take a newer version of this tool",
    );
}
