//! `cargo xtask status`: where a repository stands, and the one command that is of most use.

use serde_json::{Value, json};

use crate::support::{Lab, Repo};
use crate::{accept_all, cleanup, count, ready};

/// What it says.
fn status(repo: &Repo<'_>, args: &[&str]) -> String {
    let before = repo.everything();
    let text = anywhere(repo, args);
    repo.everything().expect_same(&before, "after a look");
    text
}

fn anywhere(repo: &Repo<'_>, args: &[&str]) -> String {
    let text = repo.task("status", args).run().done().stdout;
    repo.lab.scrub(&text)
}

fn json(repo: &Repo<'_>) -> Value {
    let run = repo.task("status", &["--format", "json"]);
    run.run().done().json()
}

#[track_caller]
fn expect_next(repo: &Repo<'_>, command: &str) {
    let found = json(repo);
    assert_eq!(found["next"]["command"], command, "{found:#}");
}

/// The output of a program goes through memory, so no directory needs to be writable.
#[cfg(target_os = "linux")]
#[test]
fn no_temporary_folder_is_needed() {
    let lab = Lab::new();
    let worker = lab.legacy("worker");
    let run = worker.task("status", &[]).env("TMPDIR", "/nonexistent");
    let run = run.run().done();
    assert_eq!(run.stdout, status(&worker, &[]));
}

#[test]
fn a_legacy_worker() {
    let lab = Lab::new();
    let worker = lab.legacy("worker");
    assert_eq!(
        status(&worker, &[]),
        "\
.: main at [OID]

  layout    legacy
  upstream  none recorded: there is no .xtask/upstream.lock.json
  outdated/ not there
  compare   nothing to compare with: neither outdated/ nor .xtask/baseline.json
  hub-lint  no file of the Hub's is here

Next: shows what moving to the modern layout would do

    cargo xtask migrate -C . --dry-run
"
    );
    worker.append("README.md", "more\n");
    expect_next(&worker, "git status");
}

#[test]
fn a_migrated_worker_from_its_first_day_to_its_last() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.migrates(&["--upstream", "../upstream"]);
    let text = status(&worker, &[]);
    assert!(
        text.contains("  layout    modern; a migration is staged and not committed\n"),
        "{text}"
    );
    assert!(text.contains("changes not committed\n"), "{text}");
    expect_next(&worker, "git commit");
    worker.git(&["commit", "--quiet", "-m", "feat: the modern worker"]);
    let open = count(&worker, "open");
    assert_eq!(
        status(&worker, &[]),
        format!(
            "\
.: main at [OID]

  layout    modern
  upstream  ../upstream at [OID]
  outdated/ 9 files
  compare   {open} open
  hub-lint  nothing found

Next: shows what is not decided yet

    cargo xtask compare -C .
"
        )
    );
    accept_all(&worker);
    // Cleanup commits the reasons beside the removal; other changes come first.
    let dry_run = "cargo xtask cleanup -C . --dry-run";
    expect_next(&worker, dry_run);
    lab.types("worker", dry_run).done();
    worker.append("README.md", "more\n");
    expect_next(&worker, "git status");
    worker.commit("docs: say why");
    worker
        .compare(&[])
        .done()
        .says("outdated/ can go:\n  cargo xtask cleanup -C . --dry-run\n");
    expect_next(&worker, dry_run);
    cleanup(&worker, &[]).done();
    let text = status(&worker, &[]);
    let staged = "  layout    modern; the removal of outdated/ is staged and not committed\n";
    assert!(text.contains(staged), "{text}");
    expect_next(&worker, "cargo xtask cleanup -C . --commit");
    cleanup(&worker, &["--commit"]).done();
    let text = status(&worker, &[]);
    assert!(text.contains("  outdated/ not there\n"), "{text}");
    let accepted = format!("nothing open, {open} accepted\n");
    assert!(text.contains(&accepted), "{text}");
    expect_next(&worker, "cargo xtask migrate -C . --check");

    let upstream = lab.at("upstream");
    upstream.write(".runpod/new.py", "# new\n");
    upstream.commit("feat: new");
    let text = status(&worker, &[]);
    assert!(
        text.contains("  upstream  ../upstream at [OID]\n"),
        "{text}"
    );
    expect_next(&worker, "cargo xtask migrate -C . --check");
    worker.edit(".runpod/hub.json", "\"language\"", "\"no such\"");
    expect_next(&worker, "cargo xtask hub-lint -C .");
}

#[test]
fn what_is_begun_and_not_ended() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let copy = worker.copied("copy");
    copy.task("cleanup", &[])
        .env("XTASK_FAULT", "kill:25")
        .run()
        .killed();
    assert!(copy.has(".git/xtask-migrate/journal.json"));
    let text = status(&copy, &[]);
    assert!(
        text.contains("  layout    modern; a cleanup was interrupted\n"),
        "{text}"
    );
    expect_next(&copy, "cargo xtask cleanup -C .");

    worker.append("engine.py", "# mine\n");
    worker.commit("fix: mine");
    let upstream = lab.at("upstream");
    upstream.append(".runpod/engine.py", "# theirs\n");
    upstream.commit("fix: theirs");
    let run = worker.migrate(&["--conflicts", "markers"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    let text = status(&worker, &[]);
    assert!(
        text.contains("; conflicts of a migration wait to be resolved\n"),
        "{text}"
    );
    expect_next(&worker, "git status");
    worker.edit("engine.py", "<<<<<<< ours\n", "");
    worker.git(&["add", "engine.py"]);
    expect_next(&worker, "cargo xtask migrate -C . --resume");
    worker.migrate(&["--abort"]).done();

    worker.write(".git/MERGE_HEAD", format!("{}\n", worker.head()));
    let text = status(&worker, &[]);
    assert!(text.contains("; a merge is under way\n"), "{text}");
    expect_next(&worker, "git status");
}

#[test]
fn an_upstream_elsewhere_is_not_asked() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let url = format!("file://{}", upstream.path.display());
    let run = worker.migrate(&["--upstream", &url, "--rev", "main", "--commit"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let text = status(&worker, &[]);
    assert!(text.contains("(main) at [OID]\n"), "{text}");
}

#[test]
fn a_program_gets_values_or_the_reason_why_there_is_none() {
    let lab = Lab::new();
    let worker = ready(&lab);
    let found = json(&worker);
    assert_eq!(found["version"], 1);
    assert_eq!(found["layout"], "modern");
    assert_eq!(
        found["repository"],
        json!({"branch": "main", "head": worker.head(), "changed": 0})
    );
    assert_eq!(found["under_way"], Value::Null);
    assert_eq!(found["upstream"]["address"], "../upstream");
    assert_eq!(found["outdated"], 9);
    assert_eq!(
        found["compare"],
        json!({"open": 0, "stale": 0, "accepted": count(&worker, "accepted")})
    );
    assert_eq!(found["lint"], json!({"errors": 0, "warnings": 0}));
    worker.write(".xtask/baseline.json", "{");
    worker.write(".xtask/upstream.lock.json", "{");
    let found = json(&worker);
    for part in ["compare", "upstream"] {
        let why = found[part]["unknown"].as_str().unwrap();
        assert!(why.contains(".json"), "{part}: {why}");
    }
    // What can't be compared may not go.
    assert_eq!(found["next"]["command"], "cargo xtask compare -C .");
}

#[test]
fn what_is_broken_is_said_and_hides_nothing_else() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker.write(".git/index", "no index");
    let found = json(&worker);
    let why = found["repository"]["unknown"].as_str().unwrap();
    assert!(why.contains("index"), "{why}");
    assert_eq!(found["compare"]["open"], 0);
    assert_eq!(found["next"]["command"], "git status");
}

#[test]
fn a_journal_that_can_not_be_read_is_one_line_among_the_others() {
    let lab = Lab::new();
    let worker = ready(&lab);
    worker
        .task("cleanup", &[])
        .env("XTASK_FAULT", "kill:20")
        .run()
        .killed();
    let journal = ".git/xtask-migrate/journal.json";
    let whole = worker.read(journal);
    assert!(whole.contains("\"state\":\"applying\""), "{whole}");
    assert!(!worker.has("outdated/Dockerfile"), "half of it is gone");
    let newer = whole.replace("\"version\":2", "\"version\":3");
    let older = whole.replace("\"version\":2", "\"version\":1");
    let path = worker.file(journal).display().to_string();
    let aside = format!(
        "mv {} {}",
        worker.file(".git/xtask-migrate").display(),
        worker.file(".git/xtask-migrate.aside").display()
    );
    for (text, why) in [
        (newer.as_str(), "it is of version 3; this tool knows 2"),
        (
            older.as_str(),
            "it is of version 1; the tool of commit ac8c84b finishes it",
        ),
        (&whole[..whole.len() / 2], "EOF while parsing"),
        ("", "EOF while parsing"),
        ("{\"version\":2}", "missing field"),
    ] {
        worker.write(journal, text);
        let found = json(&worker);
        let record = &found["under_way"]["unreadable"];
        assert_eq!(record["path"], path.as_str(), "{found:#}");
        assert!(record["why"].as_str().unwrap().starts_with(why), "{record}");
        assert_eq!(found["next"]["command"], aside.as_str());
        assert_ne!(found["outdated"], 0, "the rest is told as ever");
        assert_eq!(found["repository"]["branch"], "main");
        let text = status(&worker, &[]);
        let line = format!(
            "  layout    modern; the journal of a migration or cleanup can't be read: \
             [LAB]/worker/{journal}: {why}"
        );
        assert!(text.contains(&line), "{text}");
        let finish =
            "Next: if another version of this tool wrote it, finish with that one; else put";
        assert!(text.contains(finish), "{text}");
        // The tasks that would have to go by it refuse, and say the same.
        for run in [cleanup(&worker, &[]), worker.migrate(&["--abort"])] {
            let run = run.refused_like("the journal of a migration or cleanup can't be read: ");
            let help = format!("else put it aside with `{}`", lab.scrub(&aside));
            assert!(run.stderr.contains(&help), "{run:?}");
        }
    }
    // What is to be typed leads out, and nothing is lost.
    crate::paste(&worker, &worker.path, [aside]);
    assert_eq!(json(&worker)["under_way"], Value::Null);
    assert!(worker.has(".git/xtask-migrate.aside/old/0"));
    let (_, look) = crate::obstacles(&worker).remove(0);
    assert_eq!(look, "git status");
    worker.git(&["restore", "--staged", "--worktree", "--", "."]);
    cleanup(&worker, &["--commit"]).done();
    expect_next(&worker, "cargo xtask migrate -C . --check");
}

#[test]
fn what_is_no_worker_and_what_has_no_git() {
    let lab = Lab::new();
    let other = lab.empty("other");
    other.write("src/main.rs", "fn main() {}\n");
    let told = "no worker: neither handler.py beside .runpod/hub.json nor src/handler.py is here\n";
    let text = status(&other, &[]);
    assert!(
        text.starts_with(".: main, without a commit yet\n"),
        "{text}"
    );
    assert!(text.contains(told), "{text}");
    assert!(!text.contains("hub-lint"), "{text}");
    other.commit("feat: something else");
    expect_next(&other, "cargo xtask status -C DIR");

    let worker = lab.legacy("worker");
    worker.remove(".git");
    let text = anywhere(&worker, &[]);
    assert!(text.starts_with(".: . is in no git repository\n"), "{text}");
    assert!(text.contains("  layout    legacy\n"), "{text}");
    assert!(text.ends_with("\n    git init\n"), "{text}");

    let run = worker
        .task("status", &[])
        .env("PATH", lab.path("tmp"))
        .run();
    run.done().says("git is not on PATH");
    let run = worker.task("status", &["-C", "../nowhere"]).run();
    run.refused(
        "../nowhere is not a directory",
        "name the worker's repository with `-C DIR`",
    );
}
