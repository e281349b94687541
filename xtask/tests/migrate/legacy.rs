//! A legacy worker becomes a modern one.

use crate::support::{Lab, Repo};
use snapbox::{Assert, str};

/// What every migrated worker has, whatever the upstream's shape.
const MODERN: &[&str] = &[
    ".github/workflows/docker_buildandpush.yml",
    ".gitignore",
    ".runpod/hub.json",
    ".runpod/tests.json",
    ".xtask/baseline.json",
    ".xtask/upstream.lock.json",
    "Dockerfile",
    "LICENSE",
    "README.md",
    "docker-bake.hcl",
    "docker-compose.yml",
    "docs/conventions.md",
    "download_model.py",
    "engine.py",
    "handler.py",
    "outdated/Dockerfile",
    "outdated/builder/requirements.txt",
    "outdated/builder/setup.sh",
    "outdated/src/__init__.py",
    "outdated/src/download_model.py",
    "outdated/src/engine.py",
    "outdated/src/handler.py",
    "outdated/src/utils.py",
    "outdated/worker-config.json",
    "public/worker-sglang_banner.png",
    "requirements.txt",
    "test_input.json",
    "tests/test_utils.py",
    "utils.py",
];

/// What is the repository's own.
const OWN: &[&str] = &[
    ".gitignore",
    "LICENSE",
    "README.md",
    "docs/conventions.md",
    "tests/test_utils.py",
];

fn expect_modern(worker: &Repo, before: &Repo) {
    assert_eq!(worker.paths(), MODERN);
    for own in OWN {
        assert_eq!(worker.bytes(own), before.bytes(own), "{own}");
    }
    for path in MODERN {
        if let Some(old) = path.strip_prefix("outdated/") {
            assert_eq!(worker.bytes(path), before.bytes(old), "{old}");
        }
    }
    assert_eq!(worker.git(&["diff", "--name-only"]), "");
}

#[test]
fn a_worker_is_migrated_to_sglangs_upstream() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.copied("before");
    let head = worker.head();
    let run = worker.migrate(&["--upstream", "../upstream"]).done();
    expect_modern(&worker, &before);
    for file in ["handler.py", "engine.py", "utils.py", "test_input.json"] {
        let given = upstream.bytes(format!(".runpod/{file}"));
        assert_eq!(worker.bytes(file), given, "{file}");
    }
    for hub in [".runpod/hub.json", ".runpod/tests.json"] {
        assert_eq!(worker.bytes(hub), upstream.bytes(hub), "{hub}");
    }
    assert_eq!(worker.head(), head, "HEAD has moved");
    assert!(!worker.read("Dockerfile").contains("COPY .runpod/ ./"));
    // git sees the moves as renames.
    let status = worker.status();
    let is_renamed = |line: &&str| {
        let paths = line
            .strip_prefix("R  ")
            .and_then(|it| it.split_once(" -> "));
        paths.is_some_and(|(old, new)| new.strip_prefix("outdated/") == Some(old))
    };
    assert_eq!(status.lines().filter(is_renamed).count(), 8, "{status}");
    Assert::new().normalize_paths(false).eq(
        run.stdout,
        str![[r"
Upstream ../upstream at [OID]

Moves
  Dockerfile                 → outdated/Dockerfile                replaced by upstream's
  builder/                   → outdated/builder/                  2 files
  src/                       → outdated/src/                      5 files
  worker-config.json         → outdated/worker-config.json        1 file

Comes from upstream
  + .runpod/hub.json                   new
  + .runpod/tests.json                 new
  + Dockerfile                         replaces the old one
  + docker-compose.yml                 new
  + download_model.py                  new
  + engine.py                          new
  + handler.py                         new
  + public/worker-sglang_banner.png    new
  + requirements.txt                   new
  + test_input.json                    new
  + utils.py                           new

Rewritten on the way
  Dockerfile
    line 11: what was `.runpod` is copied by name
    --- upstream/.runpod/Dockerfile
    +++ Dockerfile
    @@ -9,5 +9,6 @@
     
     # Everything that the worker is made of
    -COPY .runpod/ ./
    +COPY Dockerfile docker-compose.yml download_model.py engine.py handler.py requirements.txt test_input.json utils.py .runpod/hub.json .runpod/tests.json ./
    +COPY public/ ./public/
     RUN --mount=type=cache,target=/root/.cache/uv \
         UV_LINK_MODE=copy uv pip install --system --break-system-packages -r requirements.txt
  docker-compose.yml
    line 5: `..` is `.` from the root
    line 6: `.runpod/Dockerfile` is `Dockerfile` from the root
...
Done. The result is staged, HEAD has not moved. Next:

    git status                          # what has moved and what is new
    git diff --cached                   # the content
    git commit                          # keeps it
    cargo xtask migrate -C . --abort    # or takes it back

Side by side in a browser: [..]/.git/compare.html

"]],
    );
}

#[test]
fn a_worker_is_migrated_to_a_modern_worker_as_upstream() {
    let lab = Lab::new();
    let upstream = lab.modern("upstream");
    let worker = lab.legacy("worker");
    let before = worker.copied("before");
    worker
        .migrate(&["--upstream", "../upstream"])
        .done()
        .says_not("--- upstream/");
    expect_modern(&worker, &before);
    for file in ["Dockerfile", "docker-compose.yml", ".runpod/hub.json"] {
        assert_eq!(worker.bytes(file), upstream.bytes(file), "{file}");
    }
}

#[test]
fn further_files_that_the_upstreams_dockerfile_copies_come_too() {
    let lab = Lab::new();
    let upstream = lab.modern("upstream");
    upstream.write("sglang_flags.json", "{}\n");
    upstream.write("routes.py", "ROUTES = []\n");
    upstream.write("lib/more.py", "MORE = 1\n");
    upstream.write("unrelated/notes.txt", "not part of the worker\n");
    upstream.write(".dockerignore", "*.md\n");
    upstream.append("Dockerfile", "COPY sglang_flags.json lib/ /x/\n");
    upstream.commit("feat: further files");
    let worker = lab.legacy("worker");
    worker.migrates(&["--upstream", "../upstream"]);
    for path in [
        "sglang_flags.json",
        "routes.py",
        "lib/more.py",
        ".dockerignore",
    ] {
        assert_eq!(worker.bytes(path), upstream.bytes(path), "{path}");
    }
    assert!(!worker.has("unrelated"));
    assert_eq!(
        worker.read("README.md"),
        lab.legacy("other").read("README.md")
    );
}

#[test]
fn a_hub_folder_keeps_the_two_hub_files_and_nothing_else() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write(".runpod/hub.json", "{\"title\": \"mine\"}\n");
    worker.write(".runpod/README.md", "mine\n");
    worker.write(".runpod/img/logo.svg", "<svg/>\n");
    worker.commit("feat: hub files");
    worker
        .migrate(&["--upstream", "../upstream"])
        .done()
        .says("  .runpod/README.md          → outdated/.runpod/README.md         no Hub file")
        .says("  .runpod/hub.json           → outdated/.runpod/hub.json          replaced by");
    let hub: Vec<String> = worker
        .paths()
        .into_iter()
        .filter(|path| path.contains(".runpod/"))
        .collect();
    assert_eq!(
        hub,
        [
            ".runpod/hub.json",
            ".runpod/tests.json",
            "outdated/.runpod/README.md",
            "outdated/.runpod/hub.json",
            "outdated/.runpod/img/logo.svg"
        ]
    );
    assert!(worker.read("outdated/.runpod/hub.json").contains("mine"));
    assert!(!worker.read(".runpod/hub.json").contains("mine"));
}

#[test]
fn a_root_file_that_upstream_replaces_is_kept_below_outdated() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write("engine.py", "# an engine of this worker's own\n");
    worker.write("public", "a file where a folder comes\n");
    // The same as upstream's: nothing to keep.
    worker.write(
        "requirements.txt",
        upstream.bytes(".runpod/requirements.txt"),
    );
    worker.commit("feat: own files");
    worker.migrates(&["--upstream", "../upstream"]);
    assert_eq!(
        worker.read("outdated/engine.py"),
        "# an engine of this worker's own\n"
    );
    assert_eq!(
        worker.read("outdated/public"),
        "a file where a folder comes\n"
    );
    assert!(!worker.has("outdated/requirements.txt"));
    assert_eq!(
        worker.bytes("engine.py"),
        upstream.bytes(".runpod/engine.py")
    );
}

#[test]
fn history_and_blame_follow_across_the_two_commits() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.append("src/engine.py", "# the last line\n");
    let head = worker.commit("fix: a line more");
    worker
        .migrate(&["--upstream", "../upstream", "--commit"])
        .done()
        .says("Done. Committed as [OID]. Look at it with:\n\n    git log --stat -2           # what has moved and what is new\n    cargo xtask compare -C .");
    worker.expect_settled();
    assert_eq!(worker.git(&["fsck", "--no-dangling"]), "");
    assert_eq!(worker.status(), "");
    assert_eq!(
        worker.git(&["log", "--format=%s"]),
        "feat: bring in the modern worker\n\
         refactor: move the legacy worker to outdated/\n\
         fix: a line more\n\
         feat: a worker of the legacy layout"
    );
    assert_eq!(worker.git(&["rev-parse", "HEAD~2"]), head);
    // The first commit moves and does nothing else.
    let moves = worker.git(&["diff", "--name-status", "-M100%", "HEAD~2", "HEAD~1"]);
    for line in moves.lines() {
        assert!(line.starts_with("R100\t"), "{line}");
    }
    assert_eq!(moves.lines().count(), 9, "{moves}");
    for path in [
        "src/engine.py",
        "src/__init__.py",
        "builder/setup.sh",
        "worker-config.json",
        "Dockerfile",
    ] {
        let path = format!("outdated/{path}");
        let log = worker.git(&["log", "--follow", "--format=%s", "--", &path]);
        let oldest = log.lines().last().unwrap();
        assert_eq!(oldest, "feat: a worker of the legacy layout", "{path}");
    }
    let blame = worker.git(&["blame", "-l", "outdated/src/engine.py"]);
    assert!(blame.lines().last().unwrap().starts_with(&head), "{blame}");
    assert!(!blame.contains(&worker.head()));
}

#[test]
fn a_commit_knows_who_made_it_and_where_the_files_came_from() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.migrated("worker");
    assert_eq!(
        worker.git(&["log", "-1", "--format=%an <%ae> %B"]),
        format!(
            "Maintainer <maintainer@localhost> feat: bring in the modern worker\n\n\
             Upstream: ../upstream at {}",
            upstream.head()
        )
    );
    assert!(
        worker
            .git(&["reflog", "-1"])
            .ends_with("HEAD@{0}: xtask migrate: feat: bring in the modern worker")
    );
}

#[test]
fn a_commit_needs_somebody_who_makes_it() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.everything();
    lab.write("home/.gitconfig", "[user]\n\tuseConfigOnly = true\n");
    worker
        .migrate(&["--upstream", "../upstream", "--commit"])
        .refused(
            "git does not know who commits",
            "set it with `git config user.name NAME` and `git config user.email ADDRESS`",
        );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_dry_run_leaves_everything_as_it_was() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    // Stat data that is out of date, which a `git status` would refresh in the index.
    worker.write("README.md", worker.read("README.md"));
    let before = worker.everything();
    worker
        .migrate(&["--upstream", "../upstream", "--dry-run"])
        .done()
        .says("  src/                       → outdated/src/                      5 files\n")
        .says("    -COPY .runpod/ ./\n")
        .says("Nothing was changed. What to type next:\n\n    cargo xtask migrate -C . --upstream ../upstream    # does this\n");
    worker.everything().expect_same(&before, "a dry run");
    worker
        .migrate(&["--upstream", "../upstream", "--check"])
        .finds();
    worker.everything().expect_same(&before, "a check");
    let left = std::fs::read_dir(lab.path("tmp")).unwrap().count();
    assert_eq!(left, 0, "temporary files are left");
}

#[test]
fn the_plan_of_a_dry_run_is_what_the_real_run_applies() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write(".env", "SECRET=1\n");
    let options = ["--upstream", "../upstream", "--format", "json"];
    let dry = worker
        .migrate(&[&options[..], &["--dry-run"]].concat())
        .done()
        .json();
    let real = worker.migrate(&options).done().json();
    assert_eq!(dry["version"], 1);
    assert_eq!(dry["ending"], "dry-run");
    assert_eq!(real["ending"], "staged");
    assert_eq!(dry["plan"], real["plan"]);
    let plan = &dry["plan"];
    assert_eq!(plan["after"], worker.index_tree());
    assert_eq!(plan["before"], worker.git(&["rev-parse", "HEAD^{tree}"]));
    assert_eq!(plan["head"], worker.head());
    assert_eq!(plan["local"], serde_json::json!([".env"]));
    assert_eq!(plan["upstream"]["address"], "../upstream");
    assert_eq!(plan["upstream"]["shape"], ".runpod");
    assert_eq!(
        plan["moves"][0],
        serde_json::json!({"from": "Dockerfile", "to": "outdated/Dockerfile", "why": "replaced"})
    );
    assert!(
        plan["rewrites"][0]["diff"]
            .as_str()
            .unwrap()
            .contains("-COPY .runpod/ ./")
    );
    // --commit comes to the same tree.
    let other = lab.legacy("other");
    other.migrates(&["--upstream", "../upstream", "--commit"]);
    assert_eq!(plan["after"], other.git(&["rev-parse", "HEAD^{tree}"]));
}

#[test]
fn running_it_again_with_nothing_new_changes_nothing() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    // `--check` tells by its exit code whether a worker is in line.
    worker
        .migrate(&["--upstream", "../upstream", "--check"])
        .finds()
        .says(
            "This worker is not in line with its upstream. Bring it in line with:\n\n    \
             cargo xtask migrate -C . --upstream ../upstream\n",
        );
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    let before = worker.everything();
    for options in [&[] as &[&str], &["--commit"], &["--check"], &["--dry-run"]] {
        worker
            .migrate(options)
            .done()
            .says("Up to date: [LAB]/worker has all that upstream gives.\n");
        worker.everything().expect_same(&before, "nothing new");
    }
    // Nor is a commit news that touches nothing of the worker's.
    upstream.write("python/sglang/launch_server.py", "# other things\n");
    upstream.commit("feat: other things");
    worker.migrate(&[]).done().says("Up to date");
    worker.everything().expect_same(&before, "nothing of ours");
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: more");
    worker.migrate(&["--check"]).finds().says("  ~ engine.py");
}

#[test]
fn what_is_staged_can_be_taken_back() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write("src/__pycache__/engine.pyc", "cached");
    worker.write(".env", "SECRET=1\n");
    let before = worker.everything();
    worker.migrates(&["--upstream", "../upstream"]);
    worker
        .migrate(&["--abort"])
        .done()
        .says("Taken back. The repository is as it was.\n");
    worker.everything().expect_same(&before, "after --abort");
    worker.migrate(&["--abort"]).refused(
        "there is no migration to abort",
        "start one with `cargo xtask migrate -C .`",
    );
    worker.migrate(&["--resume"]).refused(
        "there is no migration to resume",
        "start one with `cargo xtask migrate -C .`",
    );
}

#[test]
fn taking_it_back_keeps_what_was_written_since() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.state();
    worker.migrates(&["--upstream", "../upstream"]);
    worker.append("engine.py", "# written after the migration\n");
    worker.append("outdated/src/utils.py", "# an edit of an old file\n");
    worker.write("notes.txt", "new\n");
    worker.write("docs/own.md", "staged by hand\n");
    worker.git(&["add", "docs/own.md"]);
    worker.migrate(&["--abort"]).done().says(
        "\nFiles that were changed since are kept:\n  [LAB]/worker/.git/xtask-kept/engine.py\n",
    );
    let kept = std::fs::read_to_string(worker.file(".git/xtask-kept/engine.py")).unwrap();
    assert!(kept.ends_with("# written after the migration\n"));
    assert_eq!(worker.read("notes.txt"), "new\n");
    assert!(
        worker
            .read("src/utils.py")
            .ends_with("# an edit of an old file\n")
    );
    assert_eq!(
        worker.status(),
        "A  docs/own.md\n M src/utils.py\n?? notes.txt"
    );
    worker.git(&["reset", "--quiet", "--hard"]);
    worker.remove("notes.txt");
    worker
        .state()
        .expect_same(&before, "after --abort and a reset");
}

#[test]
fn what_is_staged_is_neither_begun_nor_finished_again_and_once_committed_not_taken_back() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let legacy = worker.head();
    worker.migrates(&["--upstream", "../upstream"]);
    let before = worker.everything();
    for options in [&["--upstream", "../upstream"] as &[_], &["--resume"]] {
        worker.migrate(options).refused(
            "a migration is staged here and not committed yet",
            "commit it with `git commit`, or take it back with `cargo xtask migrate -C . --abort`",
        );
    }
    worker.everything().expect_same(&before, "a refusal");
    worker.git(&["commit", "--quiet", "-m", "feat: modern"]);
    let before = worker.everything();
    // Nor is there anything to begin with then, or to finish.
    worker.migrate(&[]).done().says("Up to date");
    worker.migrate(&["--resume"]).refused(
        "there is no migration to resume",
        "start one with `cargo xtask migrate -C .`",
    );
    worker.everything().expect_same(&before, "nothing to do");
    let before = worker.state();
    worker.migrate(&["--abort"]).refused(
        "the migration is committed already, or HEAD has moved since",
        "take a commit back with `git revert COMMIT`; or, if nobody has it yet, with `git reset \
         --soft [OID]`, and run this again",
    );
    worker.state().expect_same(&before, "a refused abort");
    // As the help says.
    worker.git(&["reset", "--quiet", "--soft", &legacy]);
    worker.migrate(&["--abort"]).done();
    assert_eq!(worker.status(), "");
    assert!(worker.has("src/engine.py") && !worker.has("outdated"));
}

#[test]
fn what_still_points_at_a_path_that_moved_is_listed() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let run = worker
        .migrate(&["--upstream", "../upstream", "--dry-run"])
        .done();
    for words in [
        // A workflow, the bake file, an import, and texts. What one file takes the place of is
        // written at once.
        "    line 8: a file that moved is `requirements.txt` now\n",
        "    +      - \"requirements.txt\"\n",
        "  .github/workflows/docker_buildandpush.yml:7:10 `src/` is now `outdated/src/`\n",
        "line 18: the new Dockerfile has no argument MODEL_NAME, WORKER_CUDA_VERSION: ",
        "    -    MODEL_NAME          = \"\"\n",
        "  tests/test_utils.py:1:6 the module `src.utils` is gone\n",
        "    instead: utils\n",
        "  README.md:37:21 `src/engine.py` is now `outdated/src/engine.py`\n",
        "    instead: engine.py\n",
    ] {
        assert!(run.stdout.contains(words), "no {words:?} in {run:?}");
    }
    let data = worker
        .migrate(&["--upstream", "../upstream", "--dry-run", "--format", "json"])
        .done()
        .json();
    assert!(data["plan"]["dangling"].as_array().unwrap().len() > 5);
    // Fixed, it is not listed any more.
    worker.edit("tests/test_utils.py", "from src.utils", "from utils");
    worker.commit("fix: import");
    worker
        .migrate(&["--upstream", "../upstream"])
        .done()
        .says_not("test_utils.py");
}

#[test]
fn the_tool_comes_along_and_is_kept_in_line() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let tool = lab.empty("tool");
    for path in [
        "xtask/Cargo.toml",
        "xtask/src/main.rs",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        tool.write(path, format!("# {path}\n"));
    }
    tool.write(".cargo/config.toml", "[alias]\n");
    tool.write("bench/run.sh", "not part of the tool\n");
    tool.commit("feat: the tool");
    let worker = lab.legacy("worker");
    let embed = |options: &[&str]| {
        worker
            .xtask(&[options, &["--embed", "--commit"]].concat())
            .env("CARGO_MANIFEST_DIR", lab.path("tool/xtask"))
            .run()
    };
    embed(&["--upstream", "../upstream"]).done();
    for path in [
        "xtask/src/main.rs",
        "Cargo.toml",
        "Cargo.lock",
        ".cargo/config.toml",
    ] {
        assert_eq!(worker.bytes(path), tool.bytes(path), "{path}");
    }
    assert!(!worker.has("bench"));
    tool.write("xtask/src/main.rs", "// later\n");
    tool.commit("feat: later");
    upstream.append(".runpod/engine.py", "# later\n");
    upstream.commit("feat: later");
    embed(&[]).done();
    assert_eq!(worker.read("xtask/src/main.rs"), "// later\n");
    assert!(worker.read("engine.py").ends_with("# later\n"));
    embed(&[]).done().says("Up to date");
    // A repository with a workspace of its own is not taken over.
    let other = lab.legacy("other");
    other.write("Cargo.toml", "[workspace]\n");
    other.commit("feat: a workspace");
    let before = other.everything();
    other
        .xtask(&["--upstream", "../upstream", "--embed"])
        .env("CARGO_MANIFEST_DIR", lab.path("tool/xtask"))
        .run()
        .refused(
            "the tool can't be embedded: Cargo.toml is there already",
            "leave --embed out, and run the tool from its own clone with `-C`",
        );
    other.everything().expect_same(&before, "a refusal");
}

#[test]
fn options_that_contradict_each_other_are_wrong_usage() {
    let lab = Lab::new();
    let worker = lab.legacy("worker");
    for options in [
        &["--dry-run", "--commit"] as &[&str],
        &["--check", "--commit"],
        &["--resume", "--abort"],
        &["--resume", "--upstream", "x"],
        &["--conflicts", "guess"],
    ] {
        assert_eq!(worker.migrate(options).code, Some(2), "{options:?}");
    }
}

#[test]
fn the_bundled_example_shows_the_main_job() {
    let lab = Lab::new();
    // The example is built beside the tool; here that is a copy.
    crate::support::copy(
        &crate::support::example(""),
        &lab.path("tool/xtask/example"),
    );
    let home = lab.at("home");
    let example = |options: &[&str]| {
        let tool = lab.path("tool/xtask");
        let call = home.xtask(&[]).env("CARGO_MANIFEST_DIR", tool);
        call.example(options).run()
    };
    let data = example(&["--format", "json"]).done().json();
    assert_eq!(data["ending"], "staged");
    let run = example(&[])
        .done()
        .says("[LAB]/tool/target/example/my-worker")
        .says("Done. The result is staged");
    assert!(run.stdout.contains("outdated/src/"));
    let worker = lab.at("tool/target/example/my-worker");
    assert!(worker.has("outdated/src/engine.py") && worker.has("engine.py"));
    // What the other tasks say of the result ends it.
    let title = "What became of what the old worker exposed\n\n";
    let (_, table) = run.stdout.split_once(title).unwrap();
    let mut lines = table.lines();
    let verdicts: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(
        verdicts,
        ["open", "folded", "accepted", "retired", "kept", "added"]
    );
    let all = lines.find_map(|line| line.strip_prefix("all ")).unwrap();
    let counts: Vec<u32> = all
        .split_whitespace()
        .map(|count| count.parse().unwrap_or_default())
        .collect();
    assert_eq!(counts.len(), verdicts.len());
    let empty = counts.iter().filter(|&&count| count == 0);
    assert_eq!(
        empty.count(),
        1,
        "nothing is accepted, and no other column is empty: {all}"
    );
    assert!(run.stdout.contains("\nhub-lint: "), "{run:?}");
}

#[test]
fn what_the_old_worker_exposed_is_kept_as_facts() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let head = worker.head();
    worker
        .migrate(&["--upstream", "../upstream", "--commit"])
        .done()
        .says("  .xtask/baseline.json keeps ");
    let baseline = worker.read(".xtask/baseline.json");
    assert!(baseline.contains(&format!("the worker at {}", &head[..10])));
    assert!(baseline.contains("env:MODEL_NAME"));
    // A later run leaves it alone, and so does one that finds a baseline.
    worker.write(".xtask/baseline.json", baseline.clone() + "\n");
    worker.commit("chore: touch the baseline");
    lab.at("upstream").append(".runpod/engine.py", "# later\n");
    lab.at("upstream").commit("feat: later");
    worker.migrates(&["--commit"]);
    assert_eq!(worker.read(".xtask/baseline.json"), baseline + "\n");
    let other = lab.legacy("other");
    other.write(".xtask/baseline.json", "{}\n");
    other.commit("chore: a baseline of its own");
    other.migrates(&["--upstream", "../upstream", "--commit"]);
    assert_eq!(other.read(".xtask/baseline.json"), "{}\n");
}

#[test]
fn the_commands_to_type_next_name_the_repository_of_this_run() {
    let lab = Lab::new();
    lab.upstream("upstream");
    lab.legacy("my worker");
    let from = lab.at("home");
    let on = |options: &[&str]| from.xtask_at("../my worker", options).run();
    on(&["--upstream", "../upstream", "--check"])
        .finds()
        .says("\n    cargo xtask migrate -C '../my worker' --upstream ../upstream\n");
    on(&["--upstream", "../upstream"])
        .done()
        .says("\n    git -C '../my worker' commit ")
        .says("\n    cargo xtask migrate -C '../my worker' --abort ")
        .says("`cargo xtask compare -C '../my worker'` says what became of each");
    on(&[]).refused(
        "a migration is staged here and not committed yet",
        "commit it with `git -C '../my worker' commit`, or take it back with `cargo xtask migrate \
         -C '../my worker' --abort`",
    );
}

#[test]
fn links_that_no_longer_lead_anywhere_are_told() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.link("srclink", "src");
    worker.link("eng", "src/engine.py");
    worker.link("readme", "README.md");
    worker.link("src/up", "../README.md");
    worker.link("src/current", "engine.py");
    worker.commit("feat: links");
    let run = worker.migrate(&["--upstream", "../upstream", "--dry-run", "--format", "json"]);
    let plan = run.json();
    let dangling = plan["plan"]["dangling"].as_array().unwrap();
    let links: Vec<_> = dangling
        .iter()
        .filter(|one| one["text"].as_str().unwrap().starts_with("a link to "))
        .collect();
    let link = |path: &str, target: &str, what: &str, instead: &str| {
        serde_json::json!({
            "path": path,
            "line": 1,
            "column": 1,
            "kind": "code",
            "text": format!("a link to {target}"),
            "what": what,
            "instead": instead,
        })
    };
    let expected = [
        link(
            "eng",
            "src/engine.py",
            "`src/engine.py` is now `outdated/src/engine.py`",
            "engine.py",
        ),
        link(
            "srclink",
            "src",
            "`src/` is now `outdated/src/`",
            "outdated/src",
        ),
    ];
    assert_eq!(links, expected.iter().collect::<Vec<_>>());
    worker
        .migrate(&["--upstream", "../upstream"])
        .done()
        .says("\nTo fix by hand: these no longer find what they name\n")
        .says("\n  srclink:1:1 `src/` is now `outdated/src/`\n    a link to src\n    instead: outdated/src\n");
    // Done as it says, each leads to a file of the same name again.
    for one in dangling.iter().filter(|one| links.contains(one)) {
        let path = one["path"].as_str().unwrap();
        assert!(!worker.file(path).exists(), "{path}");
        worker.remove(path);
        worker.link(path, one["instead"].as_str().unwrap());
        assert!(worker.file(path).exists(), "{path}");
    }
    assert_eq!(worker.read("eng"), worker.read("engine.py"));
    assert!(worker.has("srclink/engine.py"));
    assert_eq!(
        worker.read("outdated/src/current"),
        worker.read("outdated/src/engine.py")
    );
}
