//! What stops a cleanup, each with the command that settles it.

use crate::support::{Lab, Repo};
use crate::{accept, accept_all, cleanup, expect_only, obstacles, paste, ready, shell};

const ACCEPT: &str = "cargo xtask compare -C . --accept";

#[test]
fn facts_that_are_open() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    let open = obstacles(&worker);
    let named = |named: &str| open.iter().find(|one| one.0 == named);
    assert_eq!(
        named("open env:MODEL_NAME").unwrap().1,
        format!("{ACCEPT} env:MODEL_NAME --reason \"…\"")
    );
    let compare = worker.compare(&["--format", "json"]).json();
    // One reason answers for all that has one cause.
    assert_eq!(compare["entries"].as_array().unwrap().len(), open.len());

    let run = cleanup(&worker, &[]).finds();
    run.says("\nFacts of the old worker without a decision\n")
        .says(&format!(
            "\noutdated/ stays: {} things are in the way, and nothing was changed.\nWhat is \
             settled has to be committed too. Then:\n\n    cargo xtask cleanup -C . --dry-run\n",
            open.len()
        ));
    // A record counts once it is committed.
    accept_all(&worker);
    let first = obstacles(&worker).remove(0);
    assert_eq!(
        first,
        (
            "uncommitted .xtask/accepted.json".to_owned(),
            "git add --force -- .xtask/accepted.json".to_owned()
        )
    );
    worker.commit("docs: say why");
    cleanup(&worker, &["--dry-run"]).done();
}

/// A command of this tool as the tests can run it.
fn typed(command: &str) -> String {
    command.replace("cargo xtask", env!("CARGO_BIN_EXE_xtask"))
}

/// Everything that can be in the way, at once.
fn with_all_in_the_way(lab: &Lab) -> Repo<'_> {
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    let json = worker.compare(&["--format", "json"]).json();
    let facts = json["facts"].as_array().unwrap().iter();
    let open: Vec<&str> = facts
        .filter(|fact| fact["open"] == true)
        .map(|fact| fact["id"].as_str().unwrap())
        .collect();
    let accept: Vec<&str> = open[1..].iter().flat_map(|id| ["--accept", id]).collect();
    let accept = [&accept[..], &["--reason", "nobody missed it"]].concat();
    worker.compare(&accept).done();
    worker.edit(
        ".xtask/accepted.json",
        "\"accepted\": [\n",
        "\"accepted\": [\n{\"fact\":\"-never\",\"reason\":\"r\"},\n\
         {\"fact\":\"env:NEVER*\",\"reason\":\"r\"},\n\
         {\"fact\":\"mention:engine.py\",\"reason\":\"r\"},\n",
    );
    worker.write(".xtask/baseline.json", "{");
    worker.append("Dockerfile", "COPY outdated/builder /builder\n");
    worker.append(".runpod/tests.json", "}");
    worker.commit("chore: much that is wrong");
    worker.git(&["checkout", "--quiet", "--detach"]);
    worker.append("outdated/src/handler.py", "# more\n");
    worker.commit("fix: fix the old worker");
    let mark = [
        "update-index",
        "--assume-unchanged",
        "outdated/src/utils.py",
    ];
    worker.git(&mark);
    worker.append("engine.py", "# more\n");
    worker.write("outdated/.env", "HF_TOKEN=secret");
    worker
}

#[test]
fn whatever_is_in_the_way_comes_with_a_command_that_settles_it() {
    let lab = Lab::new();
    let worker = with_all_in_the_way(&lab);
    let dry = || cleanup(&worker, &["--dry-run", "--format", "json"]).json();
    let list = |json: &serde_json::Value| {
        let all = json["obstacles"].as_array().unwrap().clone();
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().unwrap().to_owned();
        let all = all.iter();
        all.map(|one| (text(one, "kind"), text(one, "settle")))
            .collect::<Vec<_>>()
    };
    let mut kinds: Vec<String> = list(&dry()).into_iter().map(|(kind, _)| kind).collect();
    kinds.dedup();
    assert_eq!(
        kinds,
        [
            "uncommitted",
            "local",
            "unreachable",
            "baseline",
            "changed",
            "open",
            "lint",
            "mention"
        ]
    );
    // What is typed may bring something else to light, but not for ever.
    for _ in 0..5 {
        for (kind, settle) in list(&dry()) {
            let line = typed(&settle)
                .replace('…', "it is meant")
                .replace("clean -dxi", "clean -dxfq")
                .replace("git commit", "git commit --quiet -m 'fix: more'");
            paste(&worker, &worker.path, [line]);
            if kind == "lint" {
                // It says what is wrong, which only a person can fix.
                assert!(settle.contains("hub-lint -C . --explain HUB"), "{settle}");
                let text = worker.read(".runpod/tests.json");
                worker.write(
                    ".runpod/tests.json",
                    text.strip_suffix('}').unwrap_or(&text),
                );
            }
        }
        if worker.status() != "" {
            worker.commit("chore: settle it");
        }
    }
    assert_eq!(list(&dry()), []);
    cleanup(&worker, &["--commit"]).done();
    assert!(!worker.has("outdated"));
}

#[test]
fn a_removal_that_was_staged_by_hand() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["rm", "-r", "--quiet", "outdated"]);
    let found = obstacles(&worker);
    assert_eq!(found.len(), 9, "{found:?}");
    assert!(found.iter().all(|one| one.1 == "git status"), "{found:?}");
    // What git says of it: keep it so, or bring it back.
    let kept = worker.copied("kept");
    kept.git(&["commit", "--quiet", "-m", "chore: remove the old worker"]);
    cleanup(&kept, &[]).done().says("Nothing to clean up");
    worker.git(&["restore", "--staged", "--worktree", "--", "outdated"]);
    cleanup(&worker, &["--commit"]).done();
}

#[test]
fn what_this_has_staged_is_not_in_its_own_way() {
    let lab = Lab::new();
    let worker = ready(&lab);
    cleanup(&worker, &[]).done();
    worker.append("engine.py", "# mine\n");
    let commit = "git commit -- engine.py";
    expect_only(&worker, "uncommitted engine.py", commit);
    let commit = commit.replace("commit", "commit --quiet -m 'fix: mine'");
    paste(&worker, &worker.path, [commit]);
    cleanup(&worker, &["--commit"]).done();
    assert_eq!(worker.status(), "");
    assert!(!worker.has("outdated"));
}

#[test]
fn what_compare_recorded_goes_with_the_removal() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    accept_all(&worker);
    let before = worker.everything();
    let said = "\nCommits beside it\n  .xtask/accepted.json\n";
    cleanup(&worker, &["--dry-run"]).done().says(said);
    worker.everything().expect_same(&before, "a dry run");
    // Other changes come first, in few words.
    worker.append("engine.py", "# more\n");
    worker.append("utils.py", "# more\n");
    cleanup(&worker, &["--commit"]).finds().says(
        "\nNot committed\n  engine.py, utils.py changed since HEAD\n    git commit --all\n\n\
         outdated/ stays: 2 things are in the way, and nothing was changed.\n\
         What is committed decides about the rest. Then:\n",
    );
    worker.git(&["checkout", "--quiet", "--", "engine.py", "utils.py"]);
    cleanup(&worker, &["--commit"]).done().says(said);
    assert_eq!(worker.status(), "");
    assert!(
        worker
            .git(&["show", "HEAD:.xtask/accepted.json"])
            .contains("nobody missed it")
    );
    worker.compare(&[]).done();
}

#[test]
fn reasons_are_committed_alone() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    worker.append("engine.py", "# mine\n");
    worker.git(&["add", "engine.py"]);
    let accept = [
        "--accept",
        "env:MODEL_NAME",
        "--reason",
        "renamed",
        "--commit",
    ];
    worker.compare(&accept).done().says("Committed as ");
    assert_eq!(worker.status(), "M  engine.py");
    let files = worker.git(&["show", "--name-only", "--format=", "HEAD"]);
    assert_eq!(files.trim(), ".xtask/accepted.json");
    let withdraw = ["--withdraw", "env:MODEL_NAME", "--commit"];
    worker.compare(&withdraw).done().says("Committed as ");
    assert_eq!(worker.status(), "M  engine.py");
}

#[test]
fn changes_that_are_not_committed() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append("engine.py", "# more\n");
    expect_only(&worker, "uncommitted engine.py", "git commit -- engine.py");
    worker.git(&["add", "engine.py"]);
    expect_only(&worker, "uncommitted engine.py", "git commit -- engine.py");
    worker.git(&["reset", "--quiet", "--hard"]);
    worker.remove("outdated/worker-config.json");
    let named = "uncommitted outdated/worker-config.json";
    expect_only(&worker, named, "git status");
    worker.git(&["rm", "--quiet", "outdated/worker-config.json"]);
    expect_only(&worker, named, "git status");
    worker.git(&["reset", "--quiet", "--hard"]);
    cleanup(&worker, &["--dry-run"]).done();
}

#[test]
fn files_that_git_does_not_track_are_never_deleted() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.write("outdated/src/it's mine", "untracked");
    worker.write("outdated/.env", "HF_TOKEN=secret");
    worker.append(".gitignore", "\n.env\n__pycache__/\n");
    worker.git(&[
        "commit",
        "--quiet",
        "-m",
        "chore: ignore",
        "--",
        ".gitignore",
    ]);
    worker.write("outdated/src/__pycache__/engine.pyc", "cached");
    let clean = |path: &str| format!("git clean -dxi -- {path}");
    let expected = [
        ("local outdated/.env", clean("outdated/.env")),
        (
            "local outdated/src/__pycache__",
            clean("outdated/src/__pycache__"),
        ),
        (
            "local outdated/src/it's mine",
            clean(r"'outdated/src/it'\''s mine'"),
        ),
    ];
    let expected = expected.map(|(named, settle)| (named.to_owned(), settle));
    let mut found = obstacles(&worker);
    found.sort();
    assert_eq!(found, expected);
    // The same once nothing else is left in the folder.
    worker.git(&["rm", "-r", "--quiet", "outdated"]);
    worker.git(&["commit", "--quiet", "-m", "chore: remove", "--", "outdated"]);
    let mut found = obstacles(&worker);
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(worker.read("outdated/.env"), "HF_TOKEN=secret");
}

#[test]
fn files_that_were_changed_are_accepted_by_name() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append("outdated/src/engine.py", "# changed\n");
    worker.chmod("outdated/src/utils.py", 0o755);
    worker.write("outdated/notes.md", "added\n");
    worker.commit("feat: go on working on the old one");
    let found = obstacles(&worker);
    let ids = ["notes.md", "src/engine.py", "src/utils.py"];
    let expected = ids.map(|id| {
        let id = format!("outdated:{id}");
        (
            format!("changed {id}"),
            format!("{ACCEPT} {id} --reason \"…\""),
        )
    });
    assert_eq!(found, expected);
    let run = cleanup(&worker, &[]).finds();
    run.says("outdated:notes.md was not put there by migrate")
        .says("outdated:src/engine.py was changed since migrate put it there")
        .says("outdated:src/utils.py was changed since migrate put it there");
    for id in ["outdated:*", "outdated:src/handler.py", "outdated:gone"] {
        worker.compare(&["--accept", id, "--reason", "all of it"]).refused(
            &format!("{id} matches nothing that is open"),
            "see the ids with `cargo xtask cleanup -C . --dry-run`; each is accepted by its own name, \
             without `*`",
        );
    }
    for id in ids {
        accept(&worker, &format!("outdated:{id}"), "kept for a while");
        // To compare such a reason is not stale as long as the file is there.
        worker.compare(&[]).done();
    }
    cleanup(&worker, &["--dry-run"])
        .done()
        .says("outdated:notes.md: kept for a while");
    // One that forgives nothing any more is.
    worker.git(&["rm", "--quiet", "outdated/notes.md"]);
    worker.edit("outdated/src/engine.py", "# changed\n", "");
    worker.commit("revert: what was changed");
    worker.compare(&[]).finds().says("stale outdated:notes.md");
    cleanup(&worker, &["--dry-run"]).done();
}

#[test]
fn what_runs_or_builds_must_not_speak_of_the_folder() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append(
        "Dockerfile",
        "# was outdated/Dockerfile\nCOPY outdated/builder /builder\n",
    );
    worker.write(
        "Makefile",
        "lint:\n\tcd outdated && ruff check .\n\truff check outdated/src\n",
    );
    worker.write("docs/old.md", "See `outdated/src/engine.py`.\n");
    worker.link("docs/legacy", "../outdated");
    worker.commit("chore: use the old files");
    let lines = worker.read("Dockerfile").lines().count();
    let settle = |path: &str| format!("{ACCEPT} mention:{path} --reason \"…\"");
    let expected = [
        (
            format!("mention Dockerfile:{lines}:6"),
            settle("Dockerfile"),
        ),
        ("mention Makefile:2:5".to_owned(), settle("Makefile")),
        ("mention Makefile:3:13".to_owned(), settle("Makefile")),
        ("mention docs/legacy:1:1".to_owned(), settle("docs/legacy")),
    ];
    assert_eq!(obstacles(&worker), expected);
    cleanup(&worker, &[])
        .finds()
        .says("docs/old.md:1:6 See `outdated/src/engine.py`.");
    // A reason stands for a file.
    accept(&worker, "mention:Makefile", "the target goes as well");
    worker.git(&["rm", "--quiet", "docs/legacy"]);
    worker.edit("Dockerfile", "COPY outdated/builder /builder\n", "");
    worker.commit("chore: build without the old files");
    let run = cleanup(&worker, &["--commit"]).done();
    run.says("Passes for a reason on record\n  mention:Makefile: the target goes as well\n");
    worker.compare(&[]).done();
}

#[test]
fn errors_of_hub_lint_and_no_mere_warnings() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.edit(
        ".runpod/hub.json",
        "\"config\": {",
        "\"colour\": \"red\",\n  \"config\": {",
    );
    worker.commit("feat: a key that the Hub does not know");
    let lint = worker.task("hub-lint", &["--format", "json"]).run().json();
    assert_eq!(lint["summary"]["errors"], 0, "{lint:#}");
    assert_ne!(lint["summary"]["warnings"], 0, "so warnings stop nothing");
    cleanup(&worker, &["--dry-run"]).done();
    worker.write(".runpod/tests.json", "{");
    worker.commit("chore: break the tests");
    let found = obstacles(&worker);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].0.starts_with("lint HUB"), "{found:?}");
    assert!(found[0].0.ends_with(": .runpod/tests.json"), "{found:?}");
    assert!(
        found[0]
            .1
            .starts_with("cargo xtask hub-lint -C . --explain HUB"),
        "{found:?}"
    );
}

#[test]
fn a_baseline_that_can_not_stand_for_the_files() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let write = "cargo xtask compare -C . --write-baseline";
    let good = worker.read(".xtask/baseline.json");
    let line = good
        .lines()
        .find(|line| line.contains("\"env:MODEL_NAME\""))
        .unwrap();
    worker.write(
        ".xtask/baseline.json",
        good.replace(&format!("{line}\n"), ""),
    );
    worker.commit("chore: lose a fact");
    expect_only(&worker, "baseline .xtask/baseline.json", write);
    cleanup(&worker, &[])
        .finds()
        .says("does not hold what outdated/ says of env:MODEL_NAME");
    worker.git(&["rm", "--quiet", ".xtask/baseline.json"]);
    worker.commit("chore: lose all of it");
    let found = obstacles(&worker);
    assert!(
        found.contains(&("baseline .xtask/baseline.json".to_owned(), write.to_owned())),
        "{found:?}"
    );
    worker.compare(&["--write-baseline"]).done();
    worker.commit("chore: record the old worker");
    cleanup(&worker, &["--commit"]).done();
}

#[test]
fn a_record_that_git_does_not_look_at_is_not_written_over() {
    let lab = Lab::new();
    let worker = ready(&lab);
    for (mark, removes) in [
        ("--assume-unchanged", false),
        ("--skip-worktree", false),
        ("--skip-worktree", true),
    ] {
        worker.git(&["update-index", mark, ".xtask/upstream.lock.json"]);
        let mine = worker.read(".xtask/upstream.lock.json") + "\n";
        if removes {
            worker.remove(".xtask/upstream.lock.json");
        } else {
            worker.write(".xtask/upstream.lock.json", &mine);
        }
        let look = format!(
            "git update-index {} .xtask/upstream.lock.json",
            mark.replace("--", "--no-")
        );
        expect_only(&worker, "uncommitted .xtask/upstream.lock.json", &look);
        cleanup(&worker, &["--commit"]).finds();
        if !removes {
            assert_eq!(worker.read(".xtask/upstream.lock.json"), mine);
        }
        paste(&worker, &worker.path, [look]);
        let (named, _) = obstacles(&worker).remove(0);
        assert_eq!(named, "uncommitted .xtask/upstream.lock.json");
        worker.git(&["checkout", "--quiet", "--", ".xtask/upstream.lock.json"]);
    }
    cleanup(&worker, &["--commit"]).done();
}

#[test]
fn no_command_that_is_pasted_writes_over_what_is_nowhere_else() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let (file, named) = (
        "outdated/src/engine.py",
        "uncommitted outdated/src/engine.py",
    );
    // Staged to go, and still there with changes of its own.
    worker.git(&["rm", "--quiet", "--cached", file]);
    worker.append(file, "# mine\n");
    expect_only(&worker, named, "git status");
    worker.git(&["reset", "--quiet"]);
    expect_only(&worker, named, &format!("git commit -- {file}"));
    // Staged, and gone from the work tree.
    worker.git(&["add", file]);
    worker.remove(file);
    expect_only(&worker, named, "git status");
    worker.git(&["reset", "--quiet", "--hard"]);
    cleanup(&worker, &["--dry-run"]).done();
}

#[test]
fn a_conflict_of_a_stash_is_not_committed() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append("engine.py", "# one\n");
    worker.git(&["stash", "--quiet"]);
    worker.append("engine.py", "# other\n");
    worker.commit("feat: other");
    let pop = worker.git_command(&["stash", "pop"]).output().unwrap();
    assert_eq!(pop.status.code(), Some(1));
    expect_only(&worker, "uncommitted engine.py", "git status");
}

#[test]
fn what_was_staged_and_comes_again_is_not_committed_over() {
    let lab = Lab::new();
    let worker = ready(&lab);
    cleanup(&worker, &[]).done();
    worker.write("outdated/Dockerfile", "# mine\n");
    expect_only(
        &worker,
        "local outdated/Dockerfile",
        "git clean -dxi -- outdated/Dockerfile",
    );
    cleanup(&worker, &["--commit"]).finds();
    assert_eq!(worker.read("outdated/Dockerfile"), "# mine\n");
}

#[test]
fn a_repository_in_the_folder_is_asked_about_too() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["init", "--quiet", "outdated/other"]);
    worker.write("outdated/other/notes", "mine\n");
    let ask = "git clean -dxi -- outdated/other";
    expect_only(&worker, "local outdated/other", ask);
}

#[test]
fn commands_can_be_pasted_whatever_a_file_is_called() {
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    let lab = Lab::new();
    let worker = ready(&lab);
    let names: [&[u8]; 8] = [
        b"a b",
        b"it's",
        b"new\nline",
        b"no\xfftext",
        b"qu\"ote",
        b"back\\slash",
        b"*",
        b"-dash",
    ];
    let write = |text: &str| {
        for name in names {
            let name = std::ffi::OsStr::from_bytes(name);
            std::fs::write(worker.file("outdated").join(name), text).unwrap();
        }
    };
    write("one\n");
    let settles = |kind: &str| -> Vec<String> {
        let found = obstacles(&worker);
        let of_kind = found.iter().filter(|one| one.0.starts_with(kind));
        of_kind.map(|one| one.1.clone()).collect()
    };
    // What would be asked about is the file, and no other.
    let cleans = settles("local ");
    assert_eq!(cleans.len(), names.len());
    for clean in &cleans {
        let output = shell(&worker, &worker.path, &clean.replace("-dxi", "-dxn"));
        let asked = String::from_utf8(output.stdout).unwrap();
        assert_eq!(asked.lines().count(), 1, "{clean}: {asked}");
    }
    worker.commit("feat: names");
    write("two\n");
    let commits = settles("uncommitted ");
    assert_eq!(commits.len(), names.len());
    paste(
        &worker,
        &worker.path,
        commits
            .iter()
            .map(|one| one.replace("git commit", "git commit -qm more")),
    );
    assert_eq!(worker.status(), "");
    for name in names {
        let name = std::ffi::OsStr::from_bytes(name);
        let path = Path::new("outdated").join(name);
        let mark = [
            "update-index".as_ref(),
            "--assume-unchanged".as_ref(),
            path.as_os_str(),
        ];
        assert!(
            worker
                .git_command(&[])
                .args(mark)
                .status()
                .unwrap()
                .success()
        );
    }
    paste(&worker, &worker.path, settles("uncommitted "));
    assert!(settles("uncommitted ").is_empty());
    worker.write(":colon", "");
    worker.git(&["add", "./:colon"]);
    let commit = settles("uncommitted ").remove(0);
    paste(
        &worker,
        &worker.path,
        [commit.replace("git commit", "git commit -qm more")],
    );
    // A placeholder is no reason.
    let accepts: Vec<String> = settles("changed ");
    assert_eq!(accepts.len(), names.len());
    let binary = env!("CARGO_BIN_EXE_xtask");
    for accept in accepts {
        let accept = accept.replace("cargo xtask", binary);
        let output = shell(&worker, &worker.path, &accept);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        paste(&worker, &worker.path, [accept.replace('…', "an odd name")]);
    }
    worker.commit("docs: say why");
    cleanup(&worker, &["--commit"]).done();
}

#[test]
fn commands_can_be_pasted_in_a_folder_of_the_repository() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append("engine.py", "# more\n");
    let docs = worker.file("docs");
    for (dir, from) in [("docs", &worker.path), (".", &docs)] {
        let run = worker
            .task("cleanup", &["-C", dir, "--format", "json"])
            .dir(from)
            .run();
        let settle = run.json()["obstacles"][0]["settle"].clone();
        let settle = settle.as_str().unwrap();
        paste(
            &worker,
            from,
            [settle.replace(" commit ", " commit --dry-run ")],
        );
    }
}

#[test]
fn what_git_is_told_not_to_look_at_is_looked_at_again() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["update-index", "--skip-worktree", "outdated/Dockerfile"]);
    worker.remove("outdated/Dockerfile");
    let look = "git update-index --no-skip-worktree outdated/Dockerfile";
    expect_only(&worker, "uncommitted outdated/Dockerfile", look);
    paste(&worker, &worker.path, [look.to_owned()]);
    expect_only(&worker, "uncommitted outdated/Dockerfile", "git status");
    worker.git(&["checkout", "--", "outdated/Dockerfile"]);
    // A record that something ignores.
    worker.git(&["rm", "--quiet", "--cached", ".xtask/accepted.json"]);
    worker.append(".gitignore", "\n*.accepted.json\n");
    worker.git(&["commit", "--quiet", "-am", "chore: ignore it"]);
    let (named, add) = obstacles(&worker).remove(0);
    assert_eq!(named, "uncommitted .xtask/accepted.json");
    paste(&worker, &worker.path, [add]);
    worker.commit("chore: keep it");
    cleanup(&worker, &["--dry-run"]).done();
}

#[test]
fn what_is_no_plain_file() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&[
        "update-index",
        "--assume-unchanged",
        "outdated/src/utils.py",
    ]);
    worker.append("outdated/src/utils.py", "# nobody sees this\n");
    expect_only(
        &worker,
        "uncommitted outdated/src/utils.py",
        "git update-index --no-assume-unchanged outdated/src/utils.py",
    );
    assert!(
        worker
            .read("outdated/src/utils.py")
            .ends_with("# nobody sees this\n")
    );
    worker.git(&[
        "update-index",
        "--no-assume-unchanged",
        "outdated/src/utils.py",
    ]);
    worker.git(&["checkout", "--quiet", "outdated/src/utils.py"]);

    let other = lab.empty("other");
    other.commit("feat: another repository");
    worker.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "../other",
        "outdated/module",
    ]);
    worker.commit("feat: a submodule");
    cleanup(&worker, &["--dry-run"]).finds();
    paste(
        &worker,
        &worker.path,
        ["git rm -q -- outdated/module".into()],
    );
    worker.commit("chore: no submodule");
    cleanup(&worker, &["--dry-run"]).done();
}

#[test]
fn a_link_in_the_place_of_the_folder_is_not_followed() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["mv", "outdated", "past"]);
    worker.commit("refactor: another name");
    worker.link("outdated", "past");
    expect_only(&worker, "local outdated", "git clean -dxi -- outdated");
    assert!(worker.has("past/src/engine.py"));
}

#[test]
fn another_git_or_a_migration_is_under_way() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.write(".git/index.lock", "");
    let before = worker.state();
    cleanup(&worker, &[]).refused_like("index.lock is there: another git is at work");
    worker.state().expect_same(&before, "somebody else's lock");
    worker.remove(".git/index.lock");

    worker.write(".git/MERGE_HEAD", format!("{}\n", worker.head()));
    cleanup(&worker, &[]).refused_like("a merge is under way");
    worker.remove(".git/MERGE_HEAD");

    lab.at("upstream").append(".runpod/utils.py", "# news\n");
    lab.at("upstream").commit("feat: news");
    worker.migrates(&[]);
    cleanup(&worker, &[]).refused(
        "a migration is staged here and not committed yet",
        "commit it with `git commit`, or take it back with `cargo xtask migrate -C . --abort`",
    );
    worker.migrate(&["--abort"]).done();
    let run = worker.xtask(&[]).env("XTASK_FAULT", "kill:9").run();
    run.killed();
    cleanup(&worker, &[]).refused(
        "a migration was interrupted here",
        "finish it with `cargo xtask migrate -C . --resume`, or take it back with `cargo xtask \
         migrate -C . --abort`",
    );
    worker.migrate(&["--abort"]).done();
    cleanup(&worker, &["--commit"]).done();
}

#[test]
fn a_place_without_a_worker() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("bare")).unwrap();
    let nowhere = lab.at("bare");
    cleanup(&nowhere, &[]).refused_like("is in no git repository");
    let worker = ready(&lab);
    let run = worker
        .task("cleanup", &[])
        .env("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
        .run();
    run.refused_like("git does not trust .: somebody else owns it");
    let empty = lab.empty("empty");
    cleanup(&empty, &[]).refused_like("has no commit yet");
    empty.write("README.md", "# Something else\n");
    empty.commit("docs: a readme");
    cleanup(&empty, &[])
        .done()
        .says("Nothing to clean up: there is no outdated/.");
}
