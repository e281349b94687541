//! `--carry`: a fork of the legacy layout brings its own changes along.

use crate::support::{Lab, Repo};

/// A fork, and the revision that it started from.
fn fork(lab: &Lab) -> (Repo<'_>, Repo<'_>) {
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.git(&["tag", "base"]);
    (worker, upstream)
}

const CARRY: &[&str] = &["--upstream", "../upstream", "--carry", "base"];

#[test]
fn a_change_is_carried_into_the_file_of_the_same_role() {
    let lab = Lab::new();
    let (worker, upstream) = fork(&lab);
    worker.edit(
        "src/engine.py",
        "import subprocess\n",
        "import subprocess\nimport shlex\n",
    );
    worker.commit("feat: more imports");
    let engine = worker.bytes("src/engine.py");
    worker.migrates(CARRY);
    assert_eq!(
        worker.read("engine.py"),
        upstream.read(".runpod/engine.py").replacen(
            "import subprocess\n",
            "import subprocess\nimport shlex\n",
            1
        )
    );
    // What the fork had is kept as it was.
    assert_eq!(worker.bytes("outdated/src/engine.py"), engine);
    // What it did not change is upstream's.
    for file in [
        "handler.py",
        "utils.py",
        "download_model.py",
        "requirements.txt",
    ] {
        assert_eq!(
            worker.bytes(file),
            upstream.bytes(format!(".runpod/{file}")),
            "{file}"
        );
    }
    assert_eq!(worker.git(&["diff", "--name-only"]), "");
}

#[test]
fn a_change_of_a_dissimilar_file_is_carried_to_its_role_too() {
    let lab = Lab::new();
    let (worker, upstream) = fork(&lab);
    // Far from what the base had, so that no similarity leads there.
    upstream.write(
        ".runpod/download_model.py",
        format!(
            "\"\"\"Downloads the model into the image.\"\"\"\n\n{}",
            "# written anew\n".repeat(60)
        ),
    );
    upstream.commit("refactor: write it anew");
    let first = worker.read("src/download_model.py");
    let first = first.lines().next().unwrap().to_owned();
    worker.edit(
        "src/download_model.py",
        &first,
        &format!("#!/usr/bin/env python3\n{first}"),
    );
    worker.commit("feat: a shebang");
    let old = worker.bytes("src/download_model.py");
    let run = worker.migrate(CARRY);
    if run.code == Some(0) {
        assert!(
            worker
                .read("download_model.py")
                .contains("#!/usr/bin/env python3")
        );
    } else {
        run.finds()
            .says("  download_model.py: changed here and upstream in the same place\n");
        worker
            .migrate(&[CARRY, &["--conflicts", "markers"]].concat())
            .finds();
        assert!(
            worker
                .read("download_model.py")
                .contains("#!/usr/bin/env python3")
        );
    }
    assert_eq!(worker.bytes("outdated/src/download_model.py"), old);
}

#[test]
fn a_change_that_does_not_apply_is_a_conflict() {
    let lab = Lab::new();
    let (worker, _) = fork(&lab);
    worker.edit(
        "src/engine.py",
        "    def __init__(self, host=\"0.0.0.0\", port=30000):\n",
        "    def __init__(self, host=\"127.0.0.1\", port=30001):\n",
    );
    worker.commit("feat: another default");
    let before = worker.everything();
    worker
        .migrate(CARRY)
        .finds()
        .says("\nConflicts\n  engine.py: changed here and upstream in the same place\n");
    worker.everything().expect_same(&before, "a conflict");
    worker
        .migrate(&[CARRY, &["--conflicts", "markers"]].concat())
        .finds();
    assert!(worker.read("engine.py").contains("<<<<<<< ours\n"));
    assert!(!worker.has(".xtask/upstream.lock.json"));
    let after = worker.git(&["ls-files", "--unmerged", "--format=%(stage) %(path)"]);
    assert_eq!(after, "1 engine.py\n2 engine.py\n3 engine.py");
    let copy = worker.copied("copy");
    copy.migrate(&["--abort"]).done();
    copy.everything().expect_same(&before, "after --abort");
    worker.git(&["checkout", "--theirs", "engine.py"]);
    worker.git(&["add", "engine.py"]);
    worker.migrate(&["--resume"]).done();
    worker.git(&["commit", "--quiet", "-m", "feat: modern"]);
    worker.migrate(&[]).done().says("Up to date");
}

#[test]
fn a_fork_without_changes_takes_upstreams_files() {
    let lab = Lab::new();
    let (worker, upstream) = fork(&lab);
    worker.write("docs/ours.md", "ours\n");
    worker.commit("docs: ours");
    worker.migrates(CARRY);
    for file in ["engine.py", "handler.py", "utils.py", "download_model.py"] {
        assert_eq!(
            worker.bytes(file),
            upstream.bytes(format!(".runpod/{file}")),
            "{file}"
        );
    }
    // The same result as without --carry, but for what it started from.
    let other = lab.at("other");
    crate::support::copy(&worker.path, &other.path);
    other.git(&["reset", "--quiet", "--hard"]);
    other.migrate(&["--abort"]).code.unwrap();
    let plain = lab.legacy("plain");
    plain.write("docs/ours.md", "ours\n");
    plain.commit("docs: ours");
    plain.migrates(&["--upstream", "../upstream"]);
    for repo in [&plain, &worker] {
        repo.git(&["rm", "--quiet", "--force", ".xtask/baseline.json"]);
    }
    assert_eq!(plain.index_tree(), worker.index_tree());
}

#[test]
fn changes_without_a_counterpart_are_conflicts_with_a_reason() {
    let lab = Lab::new();
    let (worker, _) = fork(&lab);
    worker.edit("worker-config.json", "{", "{\n  \"ours\": true,");
    worker.append("builder/setup.sh", "apt-get install -y ffmpeg\n");
    worker.write("builder/extra.sh", "echo extra\n");
    worker.commit("feat: changes elsewhere");
    let before = worker.everything();
    worker
        .migrate(CARRY)
        .finds()
        .says(
            "  worker-config.json: changed here; its settings belong in .runpod/hub.json, which \
             is written differently\n",
        )
        .says("  builder/setup.sh: changed here; what it installs belongs in the Dockerfile\n")
        .says("  builder/extra.sh: changed here, and the modern layout has no such file\n");
    worker.everything().expect_same(&before, "a conflict");
    worker
        .migrate(&[CARRY, &["--conflicts", "markers"]].concat())
        .finds();
    // They wait in the index; the files are kept below outdated/ in any case.
    assert!(
        worker
            .read("outdated/builder/setup.sh")
            .ends_with("ffmpeg\n")
    );
    let waiting = worker.git(&["diff", "--name-only", "--diff-filter=U"]);
    assert_eq!(
        waiting,
        "builder/extra.sh\nbuilder/setup.sh\nworker-config.json"
    );
    // Kept at the root they would be neither in the old layout nor in the modern one.
    let kept = worker.copied("kept");
    kept.git(&["add", "builder", "worker-config.json"]);
    let next = "git rm builder/extra.sh builder/setup.sh worker-config.json";
    assert_eq!(kept.task("status", &[]).run().done().next(), [next]);
    kept.migrate(&["--resume"]).refused(
        "files of a migration are staged that have no place in the modern layout, and are below \
         outdated/ already:\n  builder/extra.sh\n  builder/setup.sh\n  worker-config.json",
        "bring what is still needed to the modern files, take each off with `git rm FILE`, then \
         run `cargo xtask migrate -C . --resume`",
    );
    worker.git(&[
        "rm",
        "--quiet",
        "builder/extra.sh",
        "builder/setup.sh",
        "worker-config.json",
    ]);
    let taken_back = worker.copied("taken-back");
    taken_back.migrate(&["--abort"]).done();
    taken_back
        .everything()
        .without(|name| name == "(git) index")
        .expect_same(
            &before.clone().without(|name| name == "(git) index"),
            "after --abort",
        );
    taken_back.expect_settled();
    worker.migrate(&["--resume"]).done();
    assert!(!worker.has("builder") && !worker.has("worker-config.json"));
    worker.git(&["commit", "--quiet", "-m", "feat: modern"]);
    worker.migrate(&[]).done().says("Up to date");
}

#[test]
fn a_new_module_comes_along() {
    let lab = Lab::new();
    let (worker, _) = fork(&lab);
    worker.write("src/extra.py", "EXTRA = 1\n");
    worker.commit("feat: a module");
    worker.write("src/pack/__init__.py", "from pack.one import ONE\n");
    worker.write("src/pack/one.py", "ONE = 1\n");
    worker.commit("feat: a package");
    worker
        .migrate(CARRY)
        .done()
        .says(": modules of this fork are copied too\n")
        .says_not("is not copied into the image");
    let dockerfile = worker.read("Dockerfile");
    assert!(
        dockerfile.contains("COPY extra.py ./\nCOPY pack ./pack\n"),
        "{dockerfile}"
    );
    assert_eq!(worker.read("extra.py"), "EXTRA = 1\n");
    assert_eq!(worker.read("outdated/src/extra.py"), "EXTRA = 1\n");
}

#[test]
fn a_module_that_was_renamed_keeps_its_new_name() {
    let lab = Lab::new();
    let (worker, _) = fork(&lab);
    worker.rename("src/engine.py", "src/server.py");
    worker.edit("src/server.py", "import os\n", "import os  # mine\n");
    worker.edit("src/handler.py", "from engine ", "from server ");
    worker.commit("refactor: another name");
    worker
        .migrate(CARRY)
        .done()
        .says("  ~ server.py                          merged with the changes made here\n")
        .says("`engine.py` is copied, and is not here: take it out there, or write the name")
        .says("COPY server.py ./");
    assert!(!worker.has("engine.py"));
    let engine = worker.read("server.py");
    assert!(engine.contains("import os  # mine\n") && engine.contains("MODEL_PATH"));
    assert!(worker.read("handler.py").contains("from server "));
}

#[test]
fn a_folder_that_was_renamed_stays_beside_upstreams_files() {
    let lab = Lab::new();
    let (worker, upstream) = fork(&lab);
    for file in ["engine.py", "handler.py", "utils.py", "download_model.py"] {
        worker.rename(&format!("src/{file}"), &format!("own/{file}"));
    }
    worker.edit("own/engine.py", "import os\n", "import os  # mine\n");
    worker.commit("refactor: another folder");
    let own = worker.read("own/engine.py");
    let take = [CARRY, &["--conflicts", "upstream"]].concat();
    worker
        .migrate(&take)
        .done()
        .says("  engine.py: changed upstream, removed or moved here\n");
    assert_eq!(worker.read("own/engine.py"), own);
    for file in ["engine.py", "handler.py", "utils.py", "download_model.py"] {
        let given = upstream.bytes(format!(".runpod/{file}"));
        assert_eq!(worker.bytes(file), given, "{file}");
    }
}

#[test]
fn a_module_that_was_renamed_stays_where_upstreams_is_taken() {
    let lab = Lab::new();
    let (worker, upstream) = fork(&lab);
    worker.rename("src/engine.py", "src/server.py");
    worker.edit(
        "src/server.py",
        "    def __init__(self, host=\"0.0.0.0\", port=30000):\n",
        "    def __init__(self, host=\"127.0.0.1\", port=30001):\n",
    );
    worker.commit("refactor: another name");
    let own = worker.read("src/server.py");
    worker.migrates(&[CARRY, &["--conflicts", "upstream"]].concat());
    assert_eq!(worker.read("server.py"), own);
    assert_eq!(
        worker.bytes("engine.py"),
        upstream.bytes(".runpod/engine.py")
    );
}

#[test]
fn requirements_are_carried_from_the_builder_folder() {
    let lab = Lab::new();
    let (worker, _) = fork(&lab);
    worker.edit(
        "builder/requirements.txt",
        "runpod~=1.7.0\n",
        "boto3\nrunpod~=1.7.0\n",
    );
    worker.commit("feat: one more package");
    let run = worker.migrate(CARRY).done();
    assert!(
        worker.read("requirements.txt").starts_with("boto3\n"),
        "{run:?}"
    );
}

#[test]
fn a_carried_fork_merges_what_upstream_changes_later() {
    let lab = Lab::new();
    let (worker, upstream) = fork(&lab);
    worker.edit(
        "src/engine.py",
        "import subprocess\n",
        "import subprocess\nimport shlex\n",
    );
    worker.commit("feat: more imports");
    worker.migrates(&[CARRY, &["--commit"]].concat());
    upstream.append(".runpod/engine.py", "# later\n");
    upstream.commit("feat: later");
    worker.migrates(&[]);
    let engine = worker.read("engine.py");
    assert!(engine.contains("import shlex\n") && engine.ends_with("# later\n"));
}

#[test]
fn a_base_that_is_none_is_refused() {
    let lab = Lab::new();
    let (worker, _) = fork(&lab);
    let empty = worker.git_input(&["mktree"], b"");
    let other = worker.git(&["commit-tree", &empty, "-m", "nothing"]);
    worker.git(&["tag", "nothing", &other]);
    let before = worker.everything();
    worker
        .migrate(&["--upstream", "../upstream", "--carry", "nowhere"])
        .refused(
            "there is no revision nowhere here",
            "name the commit of the legacy worker that this fork started from: one of the official \
             repository is fetched, another has to be here; `--carry auto` looks for it",
        );
    worker
        .migrate(&["--upstream", "../upstream", "--carry", "nothing"])
        .refused(
            "nothing has none of builder, src, worker-config.json",
            "name the commit of the legacy worker that this fork started from: an ancestor of HEAD, \
             or one of the official repository, which `--carry auto` looks for",
        );
    worker
        .migrate(&["--upstream", "../upstream", "--carry=--all"])
        .unusable("revision \"--all\" begins with `-`; git would read it as an option");
    worker.everything().expect_same(&before, "refusals");
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    worker.migrate(CARRY).refused(
        ".xtask/upstream.lock.json is there, so this worker is modern already",
        "leave --carry out; upstream's changes are merged with those made here anyway",
    );
}
