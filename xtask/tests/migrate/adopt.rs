//! `--adopt REV`: a lock for workers that are modern already and have none.

use serde_json::json;

use crate::support::{Lab, Repo, copy, example};

/// An upstream of three revisions, and a worker with the files of the second.
fn pair(lab: &Lab) -> (Repo<'_>, Repo<'_>, String) {
    let upstream = lab.upstream("upstream");
    upstream.append(".runpod/handler.py", "# second\n");
    let second = upstream.commit("feat: second");
    let worker = lab.modern("worker");
    worker.append("handler.py", "# second\n");
    // As the Dockerfile of SGLang's shape is rewritten; the two shapes share the other files.
    let rendered = lab.migrated("other").read("Dockerfile");
    worker.write("Dockerfile", rendered);
    worker.commit("feat: as the second revision");
    upstream.append(".runpod/engine.py", "# third\n");
    upstream.commit("feat: third");
    (upstream, worker, second)
}

fn lock(worker: &Repo) -> serde_json::Value {
    serde_json::from_str(&worker.read(".xtask/upstream.lock.json")).unwrap()
}

#[test]
fn the_revision_before_the_one_named_that_the_files_came_from_is_found() {
    let lab = Lab::new();
    let (upstream, worker, second) = pair(&lab);
    let before = worker.state();
    worker
        .migrate(&["--adopt", "main", "--upstream", "../upstream"])
        .done()
        .says("Upstream ../upstream at [OID] (main)\n")
        .says("  that is an older revision than [OID], which main names there\n");
    assert_eq!(worker.status(), "A  .xtask/upstream.lock.json");
    let only_the_lock = |name: &str| name.contains(".xtask");
    worker
        .state()
        .without(only_the_lock)
        .expect_same(&before, "all but the lock");
    let lock = lock(&worker);
    assert_eq!(lock["upstream"]["commit"], json!(second));
    assert_eq!(lock["upstream"]["rev"], "main");
    // The next run is a merge: what came since, beside what was changed here.
    worker.append("handler.py", "# mine\n");
    worker.commit("feat: mine, and the lock");
    worker.migrates(&["--commit"]);
    assert!(worker.read("engine.py").ends_with("# third\n"));
    assert!(worker.read("handler.py").ends_with("# second\n# mine\n"));
    assert_eq!(self::lock(&worker)["upstream"]["commit"], upstream.head());
    worker.migrate(&["--check"]).done().says("Up to date");
}

#[test]
fn records_in_both_places_are_told_before_anything_else() {
    let lab = Lab::new();
    let (_, worker, _) = pair(&lab);
    for (now, before) in [
        (".xtask/accepted.json", "compare.accepted.json"),
        (".xtask/baseline.json", "compare.baseline.json"),
    ] {
        worker.write(now, "{}\n");
        worker.write(before, "{}\n");
        worker.commit("chore: two records");
        worker
            .migrate(&["--adopt", "main", "--upstream", "../upstream"])
            .refused(
                &format!("{now} and {before} are both there, and only one can be right"),
                &format!("delete {before}, the older place: `git rm {before}`, or `rm` where git does not track it"),
            );
        worker.remove(before);
        worker.commit("chore: one record");
    }
}

#[test]
fn what_was_changed_or_removed_here_is_told_and_stays_so() {
    let lab = Lab::new();
    let (upstream, worker, second) = pair(&lab);
    worker.edit("engine.py", "import os\n", "import os  # mine\n");
    worker.remove("test_input.json");
    worker.commit("feat: a fork's own");
    worker
        .migrate(&["--adopt", &second, "--upstream", "../upstream", "--commit"])
        .done()
        .says("  changed or removed here: docker-compose.yml, engine.py, test_input.json\n")
        .says_not("older revision");
    assert_eq!(
        worker.git(&["show", "--format=", "--name-status", "HEAD"]),
        "A\t.xtask/upstream.lock.json"
    );
    let files = &lock(&worker)["upstream"]["files"];
    assert_eq!(
        files["engine.py"]["written"],
        worker.git(&["rev-parse", "HEAD:engine.py"])
    );
    assert_eq!(files["test_input.json"]["removed"], true);
    // A commit is no branch to follow: without --rev the next run takes upstream's own HEAD.
    assert_eq!(lock(&worker)["upstream"].get("rev"), None);
    worker.migrates(&["--commit"]);
    let engine = worker.read("engine.py");
    assert!(engine.contains("import os  # mine\n") && engine.ends_with("# third\n"));
    assert!(!worker.has("test_input.json"));
    assert_eq!(lock(&worker)["upstream"]["commit"], upstream.head());
}

#[test]
fn a_ref_is_followed_and_a_commit_is_not() {
    let lab = Lab::new();
    let (upstream, worker, second) = pair(&lab);
    upstream.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    upstream.git(&["tag", "-a", "-m", "two", "v2", &second]);
    let address = format!("file://{}", upstream.path.display());
    for (revision, rev) in [
        ("refs/pull/7/head", json!("refs/pull/7/head")),
        ("v2", json!("v2")),
        ("HEAD", json!(null)),
        (&second, json!(null)),
    ] {
        for address in ["../upstream", &address] {
            worker
                .migrate(&["--adopt", revision, "--upstream", address])
                .done();
            let lock = lock(&worker);
            assert_eq!(lock["upstream"]["rev"], rev, "{revision} of {address}");
            assert_eq!(lock["upstream"]["commit"], json!(second), "{revision}");
            assert_eq!(lock["upstream"]["address"], address);
            worker.migrate(&["--abort"]).done();
        }
    }
}

#[test]
fn a_directory_without_git_is_adopted_as_it_is() {
    let lab = Lab::new();
    copy(&example("upstream"), &lab.path("plain"));
    lab.trust(&[lab.path("plain")]);
    let worker = lab.modern("worker");
    worker
        .migrate(&["--adopt", ".", "--upstream", "../plain", "--commit"])
        .done()
        .says("Upstream ../plain\n")
        .says(" files are as upstream gave them\n");
    let lock = lock(&worker);
    assert_eq!(lock["upstream"]["address"], "../plain");
    assert_eq!(lock["upstream"]["commit"], json!(null));
    lab.at("plain").append(".runpod/engine.py", "# later\n");
    worker.migrates(&["--commit"]);
    assert!(worker.read("engine.py").ends_with("# later\n"));
    // It has no other revision.
    worker.git(&["reset", "--quiet", "--hard", "HEAD~2"]);
    worker
        .migrate(&["--adopt", "main", "--upstream", "../plain"])
        .refused(
            "[LAB]/worker/../plain is a directory without git, so it has no revision main",
            "name a git repository, or take it as it is: without --rev, or with `--adopt .`",
        );
}

#[test]
fn a_plan_comes_first_here_too() {
    let lab = Lab::new();
    let (_, worker, second) = pair(&lab);
    let before = worker.everything();
    let adopt = ["--adopt", "main", "--upstream", "../upstream"];
    worker
        .migrate(&[&adopt[..], &["--dry-run"]].concat())
        .done()
        .says(" files are as upstream [OID] gave them\n");
    worker
        .migrate(&[&adopt[..], &["--check"]].concat())
        .finds()
        .says("\n    cargo xtask migrate -C . --upstream ../upstream --adopt main\n");
    let data = worker
        .migrate(&[&adopt[..], &["--dry-run", "--format", "json"]].concat())
        .done()
        .json();
    assert_eq!(data["plan"]["upstream"]["commit"], json!(second));
    assert_eq!(data["plan"]["steps"].as_array().unwrap().len(), 1);
    assert_eq!(data["plan"]["moves"], json!([]));
    worker.everything().expect_same(&before, "plans");
}

#[test]
fn the_official_repository_is_tried_where_few_files_are_still_as_it_gave_them() {
    let lab = Lab::new();
    let official = lab.modern("official");
    let worker = official.copied("worker");
    // Two of the worker's files are left.
    for path in [
        "utils.py",
        "download_model.py",
        "requirements.txt",
        "Dockerfile",
        ".runpod/hub.json",
        ".runpod/tests.json",
    ] {
        worker.append(path, "\n");
    }
    worker.commit("feat: nearly all is another");
    let adopt = ["--adopt", "main", "--official", "../official", "--dry-run"];
    // This tool's own repository is tried as well, and has a long history.
    let tool = lab.upstream("tool");
    worker
        .xtask(&adopt)
        .env("CARGO_MANIFEST_DIR", tool.file("xtask"))
        .run()
        .done()
        .says("Upstream ../official at [OID] (main)\n");
}

#[test]
fn what_there_is_nothing_to_adopt_for() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let adopt = &["--adopt", "main", "--upstream", "../upstream"];
    lab.legacy("legacy").migrate(adopt).refused(
        "this worker does not have the modern layout, so there is nothing to adopt",
        "move it to the modern layout with `cargo xtask migrate -C .`",
    );
    lab.migrated("migrated").migrate(adopt).refused(
        ".xtask/upstream.lock.json is there already",
        "bring in what upstream changed with `cargo xtask migrate -C .`",
    );
    let other = lab.empty("other");
    for path in ["handler.py", ".runpod/hub.json"] {
        other.write(path, "# another's\n");
    }
    other.commit("feat: a worker of its own");
    let before = other.everything();
    other.migrate(adopt).refused(
        "no file here is as ../upstream gave it in any revision",
        "name the upstream that the files came from with --upstream; the official one is \
         https://github.com/runpod-workers/worker-sglang",
    );
    other.everything().expect_same(&before, "a refusal");
}

/// As many files are as the newer revision gave them, which this worker never had.
#[test]
fn of_several_revisions_one_of_the_workers_own_history_is_taken() {
    let lab = Lab::new();
    let official = lab.modern("official");
    let base = official.head();
    let worker = official.copied("worker");
    worker.append(".runpod/hub.json", "\n");
    worker.commit("feat: mine");
    official.append(".runpod/hub.json", "\n\n");
    official.commit("feat: theirs");
    let adopt = ["--adopt", "main", "--upstream", "../official"];
    worker.migrate(&adopt).done();
    assert_eq!(lock(&worker)["upstream"]["commit"], json!(base));
}

#[test]
fn all_of_a_long_local_history_is_searched() {
    let lab = Lab::new();
    let (upstream, worker, second) = pair(&lab);
    let tree = upstream.git(&["rev-parse", "HEAD^{tree}"]);
    let mut commits = format!("reset refs/heads/main\nfrom {}\n\n", upstream.head());
    for _ in 0..520 {
        commits += "commit refs/heads/main\ncommitter a <a@example.com> 0 +0000\ndata 1\na\n";
    }
    upstream.git_input(&["fast-import", "--quiet", "--force"], commits.as_bytes());
    assert_eq!(upstream.git(&["rev-parse", "main^{tree}"]), tree);
    worker
        .migrate(&["--adopt", "main", "--upstream", "../upstream"])
        .done();
    assert_eq!(lock(&worker)["upstream"]["commit"], json!(second));
}

#[test]
fn a_history_that_was_fetched_in_part_is_told_as_that() {
    let lab = Lab::new();
    let (upstream, worker, _) = pair(&lab);
    let address = format!("file://{}", upstream.path.display());
    let adopt = ["--adopt", "main", "--upstream", &*address];
    const PART: &str = "revisions were looked at";
    let tree = upstream.git(&["rev-parse", "HEAD^{tree}"]);
    let grow = |generations: usize| {
        for _ in 0..generations {
            let head = upstream.head();
            let make = |parents: &[&str]| {
                let words = ["commit-tree", "-m", "one", &*tree];
                upstream.git(&[&words, parents].concat())
            };
            let side = make(&["-p", &head]);
            let next = make(&["-p", &head, "-p", &side]);
            upstream.git(&["update-ref", "refs/heads/main", &next]);
        }
    };
    // There are more revisions than generations, and all of them come.
    grow(30);
    worker.migrate(&adopt).done().says_not(PART);
    worker.migrate(&["--abort"]).done();
    grow(25);
    worker.migrate(&adopt).done().says(PART);
}
