//! Conflicts: listed, written with markers, resolved, finished or taken back.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Lab, Repo};

/// A worker and its upstream that changed the same line of engine.py; handler.py merges.
fn pair(lab: &Lab) -> Repo<'_> {
    let upstream = lab.upstream("upstream");
    let worker = lab.migrated("worker");
    worker.edit("engine.py", "interval=5", "interval=1");
    worker.commit("fix: ask more often");
    upstream.edit(".runpod/engine.py", "interval=5", "interval=9");
    upstream.append(".runpod/handler.py", "# more\n");
    upstream.commit("feat: changes");
    worker
}

fn resolve(worker: &Repo) {
    let engine = worker.read("engine.py");
    let (head, rest) = engine.split_once("<<<<<<<").unwrap();
    let (_, tail) = rest.split_once(">>>>>>> upstream\n").unwrap();
    let line = "    def wait_for_server(self, timeout=900, interval=4):\n";
    worker.write("engine.py", format!("{head}{line}{tail}"));
}

fn locked_commit(worker: &Repo) -> String {
    let lock: serde_json::Value =
        serde_json::from_str(&worker.read(".xtask/upstream.lock.json")).unwrap();
    lock["upstream"]["commit"].as_str().unwrap().to_owned()
}

#[test]
fn conflicts_are_listed_and_nothing_is_written() {
    let lab = Lab::new();
    let worker = pair(&lab);
    let before = worker.everything();
    for (options, again) in [(&[] as &[&str], ""), (&["--commit"], " --commit")] {
        worker
            .migrate(options)
            .finds()
            .says("\nConflicts\n  engine.py: changed here and upstream in the same place\n")
            .says("  ! engine.py                          conflict\n")
            .says(&format!(
                "\n1 file is in conflict; nothing was written. To resolve them in the files:\n\n    \
                 cargo xtask migrate -C .{again} --conflicts markers\n",
            ));
        worker
            .everything()
            .expect_same(&before, "conflicts, listed");
    }
    // A dry run ends as the run would, and has the same way on.
    worker
        .migrate(&["--dry-run"])
        .finds()
        .says("\n1 file is in conflict; nothing was written. To resolve them in the files:\n\n    cargo xtask migrate -C . --conflicts markers\n")
        .says_not("--dry-run");
    let data = worker.migrate(&["--format", "json"]).finds().json();
    assert_eq!(data["ending"], "conflicts");
    assert_eq!(
        data["plan"]["conflicts"],
        serde_json::json!([{
            "path": "engine.py",
            "reason": "changed here and upstream in the same place"
        }])
    );
}

#[test]
fn markers_and_stages_are_those_of_a_git_merge() {
    let lab = Lab::new();
    let worker = pair(&lab);
    let lock = worker.read(".xtask/upstream.lock.json");
    worker
        .migrate(&["--conflicts", "markers"])
        .finds()
        .says("The conflicts are written with markers. Resolve them, stage each with `git add` or `git rm`, then:")
        .says("    cargo xtask migrate -C . --resume    # finishes\n");
    assert!(
        worker.read("engine.py").contains(
            "<<<<<<< ours\n    def wait_for_server(self, timeout=900, interval=1):\n=======\n    \
             def wait_for_server(self, timeout=900, interval=9):\n>>>>>>> upstream\n"
        ),
        "{}",
        worker.read("engine.py")
    );
    let stages = worker.git(&[
        "ls-files",
        "--unmerged",
        "--format=%(objectmode) %(stage) %(path)",
    ]);
    assert_eq!(
        stages,
        "100644 1 engine.py\n100644 2 engine.py\n100644 3 engine.py"
    );
    for (stage, line) in [(1, "interval=5"), (2, "interval=1"), (3, "interval=9")] {
        let content = worker.git(&["show", &format!(":{stage}:engine.py")]);
        assert!(content.contains(line), "stage {stage}");
    }
    assert_eq!(worker.status(), "UU engine.py\nM  handler.py");
    assert_eq!(
        worker.read(".xtask/upstream.lock.json"),
        lock,
        "the lock has advanced"
    );
}

#[test]
fn markers_follow_the_users_style() {
    let lab = Lab::new();
    let worker = pair(&lab);
    worker.git(&["config", "merge.conflictStyle", "diff3"]);
    worker.migrate(&["--conflicts", "markers"]).finds();
    let engine = worker.read("engine.py");
    assert!(
        engine.contains("\n|||||||") && engine.contains("interval=5"),
        "{engine}"
    );
}

#[test]
fn resolved_conflicts_are_finished_and_only_then_locked() {
    let lab = Lab::new();
    let worker = pair(&lab);
    let old = locked_commit(&worker);
    let retired = || {
        let lock = worker.read(".xtask/upstream.lock.json");
        serde_json::from_str::<serde_json::Value>(&lock).unwrap()["retired"].clone()
    };
    let before = retired();
    assert!(before["outdated/src/engine.py"].is_string(), "{before}");
    let head = worker.head();
    worker.migrate(&["--conflicts", "markers"]).finds();
    let unresolved = worker.everything();
    for again in [&["--resume"][..], &[]] {
        worker.migrate(again).refused(
            "conflicts of a migration wait to be resolved:\n  engine.py",
            "resolve each and stage it with `git add FILE` or `git rm FILE`, then run `cargo xtask \
             migrate -C . --resume`; `git checkout --merge FILE` brings a conflict back, and `cargo \
             xtask migrate -C . --abort` takes all back",
        );
    }
    let journal = |name: &str| name.contains("xtask-migrate/scratch");
    worker
        .everything()
        .without(journal)
        .expect_same(&unresolved.without(journal), "refusals");
    // Staged with the markers still in it.
    worker.git(&["add", "engine.py"]);
    for again in [&["--resume"][..], &[]] {
        worker.migrate(again).refused(
            "conflict markers of a migration are staged:\n  engine.py",
            "bring each conflict back with `git checkout --merge FILE`, resolve it, stage it with \
             `git add FILE`, then run `cargo xtask migrate -C . --resume`",
        );
    }
    assert_eq!(locked_commit(&worker), old);
    resolve(&worker);
    worker.git(&["add", "engine.py"]);
    worker
        .migrate(&["--resume"])
        .done()
        .says("The result is staged, HEAD has not moved. Next:");
    assert_eq!(locked_commit(&worker), lab.at("upstream").head());
    assert_eq!(retired(), before);
    assert_eq!(worker.head(), head);
    assert_eq!(
        worker.status(),
        "M  .xtask/upstream.lock.json\nM  engine.py\nM  handler.py"
    );
    worker.git(&["commit", "--quiet", "-m", "feat: merge"]);
    worker.migrate(&[]).done().says("Up to date");
    // The resolution is ours, so the next change of upstream merges with it.
    let upstream = lab.at("upstream");
    upstream.append(".runpod/engine.py", "# later\n");
    upstream.commit("feat: later");
    worker.migrates(&[]);
    let engine = worker.read("engine.py");
    assert!(engine.contains("interval=4") && engine.ends_with("# later\n"));
}

#[test]
fn resolved_conflicts_are_committed_if_that_was_asked_for() {
    let lab = Lab::new();
    let worker = pair(&lab);
    let head = worker.head();
    worker
        .migrate(&["--conflicts", "markers", "--commit"])
        .finds();
    assert_eq!(worker.head(), head);
    resolve(&worker);
    worker.git(&["add", "engine.py"]);
    let more = worker.copied("more");
    worker
        .migrate(&["--resume"])
        .done()
        .says("Finished and committed.");
    assert_eq!(worker.git(&["rev-parse", "HEAD~1"]), head);
    assert_eq!(worker.status(), "");
    assert_eq!(
        worker.git(&["show", "--name-only", "--format=%s"]),
        "feat: bring in upstream's changes\n\n.xtask/upstream.lock.json\nengine.py\nhandler.py"
    );
    worker.expect_settled();
    worker.migrate(&["--check"]).done();

    // What else was staged while it was resolved is kept.
    more.append("handler.py", "# adapted to the engine\n");
    more.write("docs/merge.md", "how it was merged\n");
    more.git(&["add", "handler.py", "docs/merge.md"]);
    more.migrate(&["--resume"]).done();
    assert_eq!(more.status(), "");
    let committed = |path: &str| more.git(&["show", &format!("HEAD:{path}")]);
    assert!(committed("handler.py").ends_with("# adapted to the engine"));
    assert_eq!(committed("docs/merge.md"), "how it was merged");
}

#[test]
fn conflicts_are_taken_back() {
    let lab = Lab::new();
    let worker = pair(&lab);
    let before = worker.everything();
    worker.migrate(&["--conflicts", "markers"]).finds();
    let written = worker.copied("written");
    worker.migrate(&["--abort"]).done();
    worker.everything().expect_same(&before, "after --abort");
    // Half resolved, and resolved.
    resolve(&written);
    let resolved = written.copied("resolved");
    resolved.git(&["add", "engine.py"]);
    for worker in [&written, &resolved] {
        let run = worker.migrate(&["--abort"]).done();
        assert!(run.stdout.contains("engine.py"), "{run:?}");
        let kept = |name: &str| name.contains("xtask-kept") || name == "(git) index";
        worker
            .everything()
            .without(kept)
            .expect_same(&before.clone().without(kept), "after --abort");
        assert!(
            worker.has(".git/xtask-kept/engine.py"),
            "the resolution is lost"
        );
    }
}

#[test]
fn our_side_of_a_conflict_comes_back_however_it_was_resolved() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.write(".runpod/extra.py", "EXTRA = 1\n");
    upstream.append(".runpod/README.md", "extra\n");
    upstream.edit(
        ".runpod/Dockerfile",
        "COPY .runpod/ ./",
        "COPY .runpod/ ./\nCOPY .runpod/extra.py ./",
    );
    upstream.commit("feat: a module");
    let worker = lab.migrated("worker");
    let banner = "public/worker-sglang_banner.png";
    worker.append("extra.py", "# ours\n");
    worker.write(banner, b"\0ours");
    worker.commit("feat: of our own");
    upstream.git(&["rm", "--quiet", ".runpod/extra.py"]);
    upstream.edit(".runpod/Dockerfile", "\nCOPY .runpod/extra.py ./", "");
    upstream.write(format!(".runpod/{banner}"), b"\0theirs");
    upstream.commit("feat: changes");
    let aside = |name: &str| name.contains("xtask-kept") || name == "(git) index";
    let before = worker.everything().without(aside);
    worker.migrate(&["--conflicts", "markers"]).finds();
    let waiting = worker.git(&["diff", "--name-only", "--diff-filter=U"]);
    assert_eq!(waiting, format!("extra.py\n{banner}"));
    let ways: [&dyn Fn(&Repo); 4] = [
        &|_| {},
        &|repo| drop(repo.git(&["rm", "--quiet", "extra.py"])),
        &|repo| {
            repo.git(&["checkout", "--quiet", "--theirs", banner]);
            repo.git(&["add", "--all"]);
        },
        &|repo| repo.append("extra.py", "# half resolved\n"),
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let copy = worker.copied(&format!("way-{number}"));
        way(&copy);
        copy.migrate(&["--abort"]).done();
        copy.everything()
            .without(aside)
            .expect_same(&before, &format!("way {number}, taken back"));
        assert_eq!(copy.git(&["status", "--porcelain"]), "");
        if number == 3 {
            let kept = copy.read(".git/xtask-kept/extra.py");
            assert!(kept.ends_with("# half resolved\n"), "{kept}");
        }
    }
}

#[test]
fn an_edit_against_a_removal_is_a_conflict_both_ways() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.write(".runpod/public/a.txt", "a\n".repeat(9));
    upstream.write(".runpod/public/b.txt", "b\n".repeat(9));
    upstream.commit("feat: two files");
    let worker = lab.migrated("worker");
    worker.append("public/a.txt", "mine\n");
    worker.remove("public/b.txt");
    worker.commit("feat: mine");
    upstream.remove(".runpod/public/a.txt");
    upstream.append(".runpod/public/b.txt", "theirs\n");
    upstream.commit("feat: theirs");
    worker
        .migrate(&[])
        .finds()
        .says("  public/a.txt: changed here, removed or moved upstream\n")
        .says("  public/b.txt: changed upstream, removed or moved here\n");
    worker.migrate(&["--conflicts", "markers"]).finds();
    assert_eq!(worker.status(), "UD public/a.txt\nDU public/b.txt");
    worker.git(&["rm", "--quiet", "public/a.txt"]);
    worker.git(&["add", "public/b.txt"]);
    worker.migrate(&["--resume"]).done();
    worker.git(&["commit", "--quiet", "-m", "feat: merge"]);
    worker.migrate(&["--check"]).done();
    assert!(!worker.has("public/a.txt"));
    assert!(worker.read("public/b.txt").ends_with("theirs\n"));
}

#[test]
fn a_file_in_conflict_that_no_step_touches_stays_as_it_is_in_the_work_tree() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    for name in ["lines", "filter", "local"] {
        upstream.write(format!(".runpod/public/{name}.txt"), "a\n".repeat(9));
    }
    upstream.commit("feat: three files");
    let worker = lab.migrated("worker");
    worker.git(&["config", "filter.upper.clean", "tr A-Z a-z"]);
    worker.git(&["config", "filter.upper.smudge", "tr a-z A-Z"]);
    worker.write(
        ".gitattributes",
        "public/lines.txt eol=crlf\npublic/filter.txt filter=upper\n",
    );
    worker.write("public/lines.txt", "mine\r\n".repeat(9));
    worker.write("public/filter.txt", "MINE\n".repeat(9));
    // So that git need not look at the content again, for which the tool runs no filter.
    let past = std::time::SystemTime::now() - std::time::Duration::from_mins(1);
    let file = std::fs::File::options()
        .append(true)
        .open(worker.file("public/filter.txt"));
    file.unwrap().set_modified(past).unwrap();
    worker.commit("feat: mine");
    worker.chmod("public/lines.txt", 0o600);
    let names = ["lines", "filter"].map(|name| format!("public/{name}.txt"));
    let seen = || {
        let mode = |name: &String| worker.file(name).metadata().unwrap().permissions().mode();
        names.each_ref().map(|name| (worker.read(name), mode(name)))
    };
    let before = seen();
    for name in ["lines", "filter"] {
        upstream.remove(&format!(".runpod/public/{name}.txt"));
    }
    upstream.commit("feat: none of them");
    worker.migrate(&["--conflicts", "markers"]).finds();
    assert_eq!(seen(), before);
    worker.migrate(&["--abort"]).done();
    assert_eq!(seen(), before);
    // Nor does it matter what was made of one to resolve it.
    worker.migrate(&["--conflicts", "markers"]).finds();
    worker.write("public/lines.txt", "resolved\n");
    worker.migrate(&["--abort"]).done().says("lines.txt");
    assert_eq!(seen(), before);
    worker.migrate(&["--conflicts", "markers"]).finds();
    worker.git(&["add", "public"]);
    worker.migrate(&["--resume", "--commit"]).done();
    assert_eq!(seen(), before);
    assert_eq!(
        worker.git(&["show", "HEAD:public/filter.txt"]),
        "mine\n".repeat(9).trim_end()
    );
}

#[test]
fn an_abort_keeps_an_empty_folder_that_was_there() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.write(".runpod/public/a.txt", "a\n");
    upstream.commit("feat: a file");
    let worker = lab.migrated("worker");
    upstream.write(".runpod/public/icons/b.txt", "b\n");
    upstream.commit("feat: another one");
    std::fs::create_dir(worker.file("public/icons")).unwrap();
    worker.migrates(&[]);
    worker.migrate(&["--abort"]).done();
    assert!(worker.file("public/icons").is_dir());
}

#[test]
fn a_conflict_given_up_by_git_itself_can_begin_anew() {
    let lab = Lab::new();
    let worker = pair(&lab);
    worker.migrate(&["--conflicts", "markers"]).finds();
    worker.git(&["reset", "--quiet", "--hard"]);
    let lock = locked_commit(&worker);
    worker.migrate(&[]).finds().says("1 file is in conflict");
    assert_eq!(locked_commit(&worker), lock);
    worker.migrate(&["--conflicts", "markers"]).finds();
    assert_eq!(worker.status(), "UU engine.py\nM  handler.py");
}

#[test]
fn a_program_is_told_whether_a_resumed_run_waits_for_a_person() {
    let lab = Lab::new();
    let worker = pair(&lab);
    worker
        .xtask(&["--conflicts", "markers", "--commit"])
        .env("XTASK_FAULT", "kill:12")
        .run()
        .killed();
    let resume = &["--resume", "--format", "json"];
    let run = worker.migrate(resume).finds();
    assert_eq!(run.json()["ending"], "markers");
    resolve(&worker);
    worker.git(&["add", "engine.py"]);
    let run = worker.migrate(resume).done();
    assert_eq!(run.json()["ending"], "committed");
}

#[test]
fn what_was_begun_without_a_commit_is_finished_with_one() {
    let lab = Lab::new();
    let worker = pair(&lab);
    let head = worker.head();
    worker.migrate(&["--conflicts", "markers"]).finds();
    resolve(&worker);
    worker.git(&["add", "engine.py"]);
    let staged = worker.copied("staged");
    let run = worker.migrate(&["--resume", "--commit"]).done();
    run.says("Finished and committed.");
    assert_eq!(worker.status(), "");
    assert_eq!(worker.git(&["rev-parse", "HEAD~1"]), head);
    worker.expect_settled();
    staged.migrate(&["--resume"]).done();
    staged.migrate(&["--resume", "--commit"]).done();
    assert_eq!(staged.status(), "");
    let tree = |repo: &Repo| repo.git(&["rev-parse", "HEAD^{tree}"]);
    assert_eq!(tree(&staged), tree(&worker));
    staged.expect_settled();
}

#[test]
fn an_interrupted_migration_is_finished_with_a_commit() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let run = worker.xtask(&["--upstream", "../upstream"]);
    run.env("XTASK_FAULT", "kill:40").run().killed();
    worker.migrate(&["--resume", "--commit"]).done();
    assert_eq!(worker.status(), "");
    // The moves come first, as with `--commit` from the start.
    assert_eq!(worker.git(&["rev-list", "--count", "HEAD"]), "3");
    worker.expect_settled();
}
