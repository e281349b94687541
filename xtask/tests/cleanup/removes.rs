//! What goes, what is said, and how it comes back.

use serde_json::json;

use crate::support::{Lab, Repo};
use crate::{accept, cleanup, expect_only, obstacles, paste, ready, settled};

const REMOVES: &str = "\
Removes outdated/, 9 files
  outdated/Dockerfile
  outdated/builder/requirements.txt
  outdated/builder/setup.sh
  outdated/src/__init__.py
  outdated/src/download_model.py
  outdated/src/engine.py
  outdated/src/handler.py
  outdated/src/utils.py
  outdated/worker-config.json

Comes back with git restore --source=[OID] -- outdated
  a commit that main keeps
";

#[test]
fn a_dry_run_tells_all_and_changes_nothing() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let before = worker.everything();
    let run = cleanup(&worker, &["--dry-run"]).done();
    assert_eq!(
        run.stdout,
        format!(
            "{REMOVES}\nNothing was changed. outdated/ can go:\n\n    cargo xtask cleanup -C . \
             --commit\n"
        )
    );
    worker.everything().expect_same(&before, "after a dry run");
}

#[test]
fn staged_first_and_committed_then() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let head = worker.head();
    let staged = format!(
        "{REMOVES}\nDone. The removal is staged, HEAD has not moved. Next:\n\n    \
         cargo xtask cleanup -C . --commit                                        # commits it, and says \
         how to get it back\n    \
         git restore --staged --worktree -- outdated .xtask/upstream.lock.json    # or takes it back\n"
    );
    assert_eq!(cleanup(&worker, &[]).done().stdout, staged);
    assert!(!worker.has("outdated"));
    assert_eq!(worker.head(), head);
    worker.expect_settled();
    let state = worker.state();
    // Twice is no error, and changes nothing.
    assert_eq!(cleanup(&worker, &[]).done().stdout, staged);
    worker.state().expect_same(&state, "the second run");
    let run = cleanup(&worker, &["--commit"]).done();
    assert_eq!(
        run.stdout,
        format!("{REMOVES}\nDone. Committed as [OID].\n")
    );
    assert_eq!(worker.status(), "");
    assert_eq!(worker.git(&["rev-parse", "HEAD~1"]), head);
    let run = cleanup(&worker, &["--commit"]).done();
    assert_eq!(run.stdout, "Nothing to clean up: there is no outdated/.\n");
}

#[test]
fn what_is_staged_can_be_taken_back_as_it_says() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let before = worker.state();
    let run = cleanup(&worker, &[]).done();
    let line = run
        .stdout
        .lines()
        .find(|line| line.contains("restore --staged"));
    let command = line.unwrap().split('#').next().unwrap();
    let words: Vec<&str> = command.split_whitespace().skip(1).collect();
    worker.git(&words);
    worker.state().expect_same(&before, "taken back");
}

#[test]
fn the_message_says_what_went_and_brings_it_back() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append("outdated/src/utils.py", "# fixed once more\n");
    worker.commit("fix: fix the old worker");
    accept(&worker, "outdated:src/utils.py", "only a\nremark");
    let before = worker.copied("before");
    cleanup(&worker, &["--commit"])
        .done()
        .says("\nPasses for a reason on record\n  outdated:src/utils.py: only a\nremark\n");
    let message = worker.git(&["log", "-1", "--format=%B"]);
    assert_eq!(
        lab.scrub(&message),
        "\
chore: remove outdated/

`cargo xtask compare` has nothing open, and .xtask/baseline.json keeps what the old
worker exposed.

Get it back with:
    git restore --source=[OID] -- outdated

Accepted:
- outdated:src/utils.py: only a remark"
    );
    let reflog = worker.git(&["reflog", "-1", "--format=%gs"]);
    assert_eq!(reflog, "xtask cleanup: chore: remove outdated/");
    // The reason went with the file that it spoke of, so that nothing is stale.
    assert!(!worker.read(".xtask/accepted.json").contains("outdated:"));
    let lock: serde_json::Value =
        serde_json::from_str(&worker.read(".xtask/upstream.lock.json")).unwrap();
    assert_eq!(lock["retired"], json!({}));
    let run = worker.compare(&[]).done();
    assert!(run.stdout.starts_with(".xtask/baseline.json → "), "{run:?}");
    run.says("Nothing is open.");

    let restore = message
        .lines()
        .find_map(|line| line.trim().strip_prefix("git "))
        .unwrap();
    worker.git(&restore.split(' ').collect::<Vec<_>>());
    let outside = |path: &str| !path.starts_with("outdated/");
    let expected = before.state().without(outside);
    let found = worker.state().without(outside);
    found.expect_same(&expected, "what comes back");
}

#[test]
fn a_program_gets_the_plan_and_the_ending() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.append("README.md", "\nThe old files are in `outdated/src`.\n");
    worker.commit("docs: where the old files are");
    let line = worker.read("README.md").lines().count();
    let ask = |args: &[&str]| {
        let run = cleanup(&worker, &[args, &["--format", "json"]].concat()).done();
        run.json()
    };
    let dry = ask(&["--dry-run"]);
    let kept_by = worker.git(&["rev-list", "-1", "HEAD", "--", "outdated"]);
    assert_eq!(dry["version"], 1);
    assert_eq!(dry["ending"], "dry-run");
    assert_eq!(dry["commit"], json!(null));
    assert_eq!(dry["restore"], json!({"commit": kept_by, "on": "main"}));
    assert_eq!(dry["files"].as_array().unwrap().len(), 9);
    assert_eq!(dry["writes"], json!([".xtask/upstream.lock.json"]));
    assert_eq!(dry["obstacles"], json!([]));
    assert_eq!(dry["reasons"], json!([]));
    assert_eq!(
        dry["mentions"],
        json!([{
            "path": "README.md", "line": line, "column": 23, "kind": "prose",
            "text": "The old files are in `outdated/src`.",
        }])
    );
    assert_eq!(ask(&[])["ending"], "staged");
    let committed = ask(&["--commit"]);
    assert_eq!(committed["ending"], "committed");
    assert_eq!(committed["commit"], json!(worker.head()));
    assert_eq!(
        ask(&[]),
        json!({"version": 1, "ending": "nothing", "commit": null, "open": 0, "records": []})
    );
}

/// A record of the first version named no commit, or called it the worker before its migration.
#[test]
fn a_record_of_an_older_reader_is_made_again_where_its_commit_is_there() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let record = ".xtask/baseline.json";
    let whole: serde_json::Value = serde_json::from_str(&worker.read(record)).unwrap();
    let commit = whole["commit"].as_str().unwrap().to_owned();
    let older = |of: &str| {
        let mut facts = whole["facts"].as_array().unwrap().clone();
        // Its reader did not see variables.
        facts.retain(|fact| !fact["id"].as_str().unwrap().starts_with("env:"));
        json!({"version": 1, "of": of, "sglang": null, "facts": facts}).to_string()
    };
    for of in [
        "worker-sglang before its migration",
        "outdated",
        &format!("the worker at {}", &commit[..10]),
    ] {
        let copy = worker.copied("older");
        copy.write(record, older(of));
        copy.commit("chore: an older record");
        let json = copy.compare(&["--format", "json"]).done().json();
        let note = format!(
            "{record} was made by an older reader; {} is read",
            &commit[..10]
        );
        assert!(json["notes"].to_string().contains(&note), "{of}: {json:#}");
        cleanup(&copy, &["--dry-run"])
            .done()
            .says("\nMade again .xtask/baseline.json, which an older reader had made\n");
        cleanup(&copy, &["--commit"]).done();
        let made: serde_json::Value = serde_json::from_str(&copy.read(record)).unwrap();
        assert_eq!(made["facts"], whole["facts"], "{of}");
        assert_eq!(made["commit"], whole["commit"], "{of}");
        assert_eq!(copy.status(), "");
        std::fs::remove_dir_all(&copy.path).unwrap();
    }
    // Of another worker nobody knows the commit.
    worker.write(record, older("a folder"));
    worker.commit("chore: an older record");
    let settle = "cargo xtask compare -C . --write-baseline";
    expect_only(&worker, "baseline .xtask/baseline.json", settle);
}

/// Where the folder is gone already, reasons that are given later still count, and go on record.
#[test]
fn without_the_folder_the_records_are_read_as_they_are_and_committed() {
    let lab = Lab::new();
    let worker = ready(&lab);
    cleanup(&worker, &["--commit"]).done();
    worker.edit("Dockerfile", "HF_TRANSFER=1", "HF_TRANSFER=0");
    worker.commit("feat: no fast downloads");
    cleanup(&worker, &[]).done().says("But compare has 1 open:");
    worker.append("engine.py", "# not ready\n");
    let accept = ["--accept", "image:HF_HUB_ENABLE_HF_TRANSFER"];
    let reason = ["--reason", "ours"];
    worker.compare(&[&accept[..], &reason].concat()).done();
    let head = worker.head();
    let look = cleanup(&worker, &["--dry-run"]).done();
    look.says(
        "Not committed yet:\n  .xtask/accepted.json\n\n    cargo xtask cleanup -C . --commit\n",
    )
    .says_not("open");
    assert_eq!(worker.head(), head);
    cleanup(&worker, &["--commit"])
        .done()
        .says("The records are committed as [OID].\n")
        .says_not("open");
    assert_eq!(worker.status(), " M engine.py");
    let files = worker.git(&["show", "--name-only", "--format=", "HEAD"]);
    assert_eq!(files, ".xtask/accepted.json");
}

#[test]
fn a_squashed_history_is_as_good() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let tree = worker.git(&["rev-parse", "HEAD^{tree}"]);
    let squashed = worker.git(&["commit-tree", "-m", "everything at once", &tree]);
    worker.git(&["reset", "--quiet", "--hard", &squashed]);
    cleanup(&worker, &["--commit"]).done();
    assert!(!worker.has("outdated"));
}

/// Takes the record out, as if a tool had migrated that did not keep one yet.
fn forget_record(worker: &Repo<'_>) {
    let text = worker.read(".xtask/upstream.lock.json");
    let mut lock: serde_json::Value = serde_json::from_str(&text).unwrap();
    lock.as_object_mut().unwrap().remove("retired").unwrap();
    let text = serde_json::to_string_pretty(&lock).unwrap() + "\n";
    worker.write(".xtask/upstream.lock.json", text);
    worker.commit("chore: a lock of an older tool");
}

#[test]
fn without_a_record_each_file_needs_a_reason() {
    let lab = Lab::new();
    let worker = ready(&lab);
    forget_record(&worker);
    let files = worker.git(&["ls-files", "outdated"]);
    let ids = files
        .lines()
        .map(|path| path.replacen("outdated/", "outdated:", 1));
    let ids: Vec<String> = ids.collect();
    let named: Vec<String> = obstacles(&worker).into_iter().map(|one| one.0).collect();
    let expected: Vec<String> = ids.iter().map(|id| format!("changed {id}")).collect();
    assert_eq!(named, expected);
    let accept = ids.iter().flat_map(|id| ["--accept", id]);
    let accept: Vec<&str> = accept.chain(["--reason", "moved there by hand"]).collect();
    worker.compare(&accept).done();
    worker.commit("docs: say why");
    cleanup(&worker, &["--commit"]).done();
}

#[test]
fn a_record_needs_no_history() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let url = format!("file://{}", worker.path.display());
    worker.git(&["clone", "--quiet", "--depth", "1", &url, "../shallow"]);
    let shallow = lab.at("shallow");
    cleanup(&shallow, &["--commit"]).done();
    assert!(!shallow.has("outdated"));
}

#[test]
fn the_record_grows_when_upstream_moves_on() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.write(".runpod/notes.md", "no Hub file\n");
    worker.commit("docs: notes");
    lab.at("upstream").append(".runpod/utils.py", "# news\n");
    lab.at("upstream").commit("feat: news");
    worker.migrates(&["--commit"]);
    // What is no file of the Hub stays where it is in an ordinary update.
    assert!(worker.has(".runpod/notes.md"));
    cleanup(&worker, &["--commit"])
        .done()
        .says("Removes outdated/, ");
    worker.migrate(&["--check"]).done();
}

#[test]
fn files_of_every_kind_go_and_nothing_that_they_point_at() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.chmod("builder/setup.sh", 0o755);
    lab.write("precious/file", "outside");
    worker.link("src/outside", "../../../precious");
    worker.link("src/inside", "engine.py");
    worker.write("src/empty", "");
    worker.commit("feat: more kinds of files");
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    let worker = settled(worker);
    std::fs::create_dir_all(worker.file("outdated/src/nothing/in it")).unwrap();
    cleanup(&worker, &["--commit"]).done();
    assert!(!worker.has("outdated"));
    assert_eq!(
        std::fs::read(lab.path("precious/file")).unwrap(),
        b"outside"
    );
}

#[test]
fn a_linked_work_tree_and_a_folder_of_the_repository() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["worktree", "add", "--quiet", "-b", "tidy", "../linked"]);
    let linked = lab.at("linked");
    cleanup(&linked, &["--commit"]).done();
    assert!(!linked.has("outdated"));
    assert!(
        worker.has("outdated/src/engine.py"),
        "that is another work tree"
    );
    let run = worker
        .task("cleanup", &["--commit"])
        .dir(worker.file("docs"))
        .run();
    run.done();
    assert!(!worker.has("outdated"));
}

#[test]
fn a_detached_head_needs_a_branch_that_keeps_the_folder() {
    let lab = Lab::new();
    let worker = ready(&lab);
    // The last change of the folder is on main, whatever came after.
    worker.git(&["checkout", "--quiet", "--detach"]);
    worker.append("README.md", "more\n");
    worker.commit("docs: more");
    cleanup(&worker, &["--dry-run"])
        .done()
        .says("a commit that main keeps");
    worker.append("outdated/src/utils.py", "# more\n");
    worker.commit("fix: fix the old worker");
    accept(&worker, "outdated:src/utils.py", "a remark");
    let head = worker.head();
    let settle = format!("git branch legacy-{} {head}", &head[..10]);
    expect_only(&worker, "unreachable outdated", &settle);
    // Another branch may have a name like it.
    worker.git(&["branch", "legacy", "main"]);
    paste(&worker, &worker.path, [settle]);
    cleanup(&worker, &["--commit"])
        .done()
        .says("a commit that legacy-[OID] keeps");
}

#[test]
fn a_folder_that_is_gone_in_part_or_empty() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["rm", "--quiet", "outdated/src/utils.py"]);
    worker.commit("chore: remove a module first");
    // What compare reads of the folder is less now; the baseline has the rest.
    cleanup(&worker, &["--commit"])
        .done()
        .says("Removes outdated/, ");
    std::fs::create_dir_all(worker.file("outdated/src/old")).unwrap();
    cleanup(&worker, &["--dry-run"]).done();
    assert!(worker.has("outdated/src/old"));
    cleanup(&worker, &[]).done().says("Nothing to clean up");
    assert!(!worker.has("outdated"));
}

#[test]
fn line_ends_and_filters_of_a_configuration_are_left_alone() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.git(&["config", "core.autocrlf", "true"]);
    worker.git(&["config", "filter.shout.clean", "cat"]);
    worker.git(&["config", "filter.shout.smudge", "false"]);
    worker.remove("outdated/src/engine.py");
    worker.git(&["checkout", "--quiet", "outdated/src/engine.py"]);
    assert!(worker.read("outdated/src/engine.py").contains("\r\n"));
    worker.write(".gitattributes", "outdated/src/utils.py filter=shout\n");
    worker.commit("chore: attributes");
    let before = worker.git(&["rev-parse", "HEAD:outdated"]);
    cleanup(&worker, &["--commit"]).done();
    assert!(!worker.has("outdated"));
    worker.git(&["config", "--unset", "filter.shout.smudge"]);
    let message = worker.git(&["log", "-1", "--format=%B"]);
    let restore = message
        .lines()
        .find_map(|line| line.trim().strip_prefix("git "))
        .unwrap();
    let mut words: Vec<&str> = restore.split(' ').collect();
    words.insert(1, "--staged");
    worker.git(&words);
    let tree = worker.index_tree();
    let after = worker.git(&["rev-parse", &format!("{tree}:outdated")]);
    assert_eq!(after, before, "what comes back");
}

#[test]
fn a_commit_is_signed_where_that_is_asked_for_and_runs_no_hook() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let marker = lab.path("ran");
    for hook in [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "reference-transaction",
    ] {
        let text = format!("echo {hook} >> {}; exit 1", marker.display());
        lab.script(&format!("worker/.git/hooks/{hook}"), &text);
    }
    let Some(key) = worker.sign_with_a_new_key("yes") else {
        return;
    };
    let away = lab.path("away");
    std::fs::rename(&key, &away).unwrap();
    let before = worker.state();
    cleanup(&worker, &["--commit"])
        .refused_like("error: the commit could not be made with a signature: ")
        .refused_like(
            "help: fix what git says of the key, or do without signatures here by `git config \
             commit.gpgSign false`, then run this again; `git config --show-origin \
             commit.gpgSign` tells who asks for them\n",
        );
    worker.state().expect_same(&before, "without the key");
    std::fs::rename(&away, &key).unwrap();
    cleanup(&worker, &["--commit"]).done();
    assert!(worker.is_signed("HEAD"));
    assert!(!marker.exists(), "{:?}", std::fs::read_to_string(&marker));
    assert_eq!(worker.status(), "");
    // They are hooks that git would have run.
    let commit = worker.try_git(&["commit", "--quiet", "--allow-empty", "-m", "x"]);
    assert!(!commit.status.success() && marker.exists());
}
