//! What is the user's stays: files that git does not track, and every byte, mode, link and name
//! of those that it does.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::support::{Lab, Repo};

const MIGRATE: &[&str] = &["--upstream", "../upstream"];
const WAY: &str = "move what git does not track out of the way, then run this again";

#[test]
fn untracked_and_ignored_files_stay_and_are_named() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.write("src/__pycache__/engine.pyc", "cached");
    worker.write(".env", "SECRET=1\n");
    worker.write("src/scratch.txt", "untracked\n");
    worker.write("notes/todo.md", "untracked elsewhere\n");
    worker
        .migrate(MIGRATE)
        .done()
        .says("\nStays where it is, because git does not track it\n")
        .says("\n  .env\n")
        .says("\n  src/__pycache__\n")
        .says("\n  src/scratch.txt\n");
    assert_eq!(worker.read("src/__pycache__/engine.pyc"), "cached");
    assert_eq!(worker.read("src/scratch.txt"), "untracked\n");
    assert_eq!(worker.read(".env"), "SECRET=1\n");
    assert_eq!(worker.read("notes/todo.md"), "untracked elsewhere\n");
    assert!(!worker.has("src/engine.py"));
    assert!(!worker.has("builder"));
    let untracked: Vec<String> = worker
        .status()
        .lines()
        .filter(|line| line.starts_with("??"))
        .map(ToOwned::to_owned)
        .collect();
    assert_eq!(untracked, ["?? notes/", "?? src/"]);
}

#[test]
fn what_git_does_not_track_is_not_overwritten() {
    const FILE: &str = "a file that git does not track is in the way";
    // What is ignored, the file, and what is said of it.
    let cases = [
        ("", "engine.py", format!("engine.py: {FILE}")),
        ("/engine.py", "engine.py", format!("engine.py: {FILE}")),
        (
            "/public",
            "public",
            "public: is not a directory; \
             public/worker-sglang_banner.png needs it to be one"
                .to_owned(),
        ),
        (
            "/utils.py/",
            "utils.py/mine",
            "utils.py: a folder that git does not track is in the way".to_owned(),
        ),
        (
            "",
            "outdated/src/engine.py",
            format!("outdated/src/engine.py: {FILE}"),
        ),
    ];
    for (ignored, file, line) in cases {
        let lab = Lab::new();
        lab.upstream("upstream");
        let worker = lab.legacy("worker");
        worker.append(".gitignore", &format!("{ignored}\n"));
        worker.commit("chore: ignore it");
        worker.write(file, "mine\n");
        let before = worker.everything();
        worker
            .migrate(MIGRATE)
            .refused(&format!("these paths can't be written:\n  {line}"), WAY);
        worker.everything().expect_same(&before, "a refusal");
    }
}

#[test]
fn an_untracked_link_is_not_written_through() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    for (link, line) in [
        (
            "public",
            "public: is not a directory; public/worker-sglang_banner.png needs it to be one",
        ),
        (
            ".runpod",
            ".runpod: is not a directory; .runpod/hub.json needs it to be one",
        ),
        (
            "engine.py",
            "engine.py: a file that git does not track is in the way",
        ),
    ] {
        worker.link(link, "../elsewhere");
        let run = worker.migrate(MIGRATE);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(line), "{run:?}");
        worker.remove(link);
    }
    worker.link("outdated", "../elsewhere");
    let run = worker.migrate(MIGRATE);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(
        run.stderr.contains("\n  outdated: is not a directory"),
        "{run:?}"
    );
    worker.remove("outdated");
    assert_eq!(std::fs::read_dir(lab.path("elsewhere")).unwrap().count(), 0);
    assert_eq!(worker.status(), "");
}

#[test]
fn a_tracked_link_in_place_of_a_folder_is_not_written_through() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path("elsewhere")).unwrap();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    worker.link("public", "../elsewhere");
    worker.link("engine.py", "src/engine.py");
    worker.commit("feat: links");
    worker.migrates(MIGRATE);
    assert_eq!(std::fs::read_dir(lab.path("elsewhere")).unwrap().count(), 0);
    assert!(!worker.file("public").is_symlink());
    assert!(!worker.file("engine.py").is_symlink());
    assert_eq!(
        std::fs::read_link(worker.file("outdated/public")).unwrap(),
        Path::new("../elsewhere")
    );
    worker.migrate(&["--abort"]).done();
    assert!(worker.file("public").is_symlink());
    assert_eq!(worker.status(), "");
}

#[test]
fn executable_bits_and_links_move_as_they_are() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.chmod(".runpod/download_model.py", 0o755);
    upstream.link(".runpod/public/latest.png", "worker-sglang_banner.png");
    upstream.commit("feat: modes and links");
    let worker = lab.legacy("worker");
    worker.chmod("src/handler.py", 0o755);
    worker.link("src/current", "engine.py");
    worker.link("src/broken", "../nowhere/\u{fc}");
    worker.write("src/untouched/file", "x");
    worker.commit("feat: modes and links");
    let setup = worker.git(&["ls-files", "-s", "builder/setup.sh"]);
    worker.migrates(MIGRATE);
    let modes = worker.git(&["ls-files", "--format=%(objectmode) %(path)"]);
    for line in [
        "100755 outdated/src/handler.py",
        "120000 outdated/src/current",
        "100755 download_model.py",
        "120000 public/latest.png",
        "100644 outdated/src/engine.py",
    ] {
        assert!(modes.lines().any(|it| it == line), "{line}: {modes}");
    }
    assert_eq!(
        worker.git(&["ls-files", "-s", "outdated/builder/setup.sh"]),
        setup.replace("builder/", "outdated/builder/")
    );
    let link = |path: &str| std::fs::read_link(worker.file(path)).unwrap();
    assert_eq!(link("outdated/src/current"), Path::new("engine.py"));
    assert_eq!(link("outdated/src/broken"), Path::new("../nowhere/\u{fc}"));
    assert_eq!(
        link("public/latest.png"),
        Path::new("worker-sglang_banner.png")
    );
    assert_eq!(worker.git(&["diff", "--name-only"]), "");
}

#[test]
fn names_of_any_bytes_survive() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.state();
    let names: [&[u8]; 6] = [
        b"a name with spaces.py",
        b"quote\"and'quote.py",
        b"line\nbreak\ttab.py",
        b"caf\xe9 latin-1.py",
        b"-rf",
        "\u{fc}\u{6f22}.py".as_bytes(),
    ];
    let all: Vec<u8> = (0..=255).collect();
    for name in names {
        let path = [b"src/", name].concat();
        worker.write(OsStr::from_bytes(&path), &all);
    }
    worker.commit("feat: odd names");
    let odd = worker.state();
    // Once as a whole folder, once file by file.
    for local in [false, true] {
        if local {
            worker.write("src/local", "untracked");
        }
        worker.migrates(MIGRATE);
        for name in names {
            let path = [b"outdated/src/", name].concat();
            assert_eq!(worker.bytes(OsStr::from_bytes(&path)), all);
        }
        assert_eq!(worker.git(&["diff", "--name-only"]), "");
        worker.migrate(&["--abort"]).done();
        if local {
            worker.remove("src/local");
        }
        worker.state().expect_same(&odd, "after --abort");
    }
    worker.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let refs = |name: &str| name.starts_with("(refs)");
    worker
        .state()
        .without(refs)
        .expect_same(&before.without(refs), "without the odd names");
}

#[test]
fn line_ends_stay_whatever_git_is_told_about_them() {
    let crlf = "one\r\ntwo\r\n";
    let mixed = "one\r\ntwo\n";
    for (autocrlf, attributes) in [
        ("false", ""),
        ("input", ""),
        ("true", ""),
        ("false", "*.txt text eol=crlf\n*.py text eol=lf\n"),
        ("true", "* text=auto\n"),
        ("false", "* -text\n"),
        ("false", "crlf.txt working-tree-encoding=UTF-16LE-BOM\n"),
    ] {
        let lab = Lab::new();
        let upstream = lab.upstream("upstream");
        upstream.write(".runpod/handler.py", crlf);
        upstream.commit("style: carriage returns");
        let worker = lab.legacy("worker");
        // What was committed before anybody thought of line ends.
        worker.write("src/crlf.txt", crlf);
        worker.write("src/mixed.py", mixed);
        worker.write("src/lf.txt", "one\ntwo\n");
        worker.commit("feat: line ends");
        worker.git(&["config", "core.autocrlf", autocrlf]);
        if !attributes.is_empty() {
            worker.write(".gitattributes", attributes);
            worker.commit("chore: attributes");
        }
        let when = format!("autocrlf={autocrlf}, {attributes:?}");
        // Such a repository is not clean for git itself until it is normalised. Git's status alone
        // would not tell: it reads a file again only where its times are too close to the index's.
        worker.git(&["add", "--renormalize", "."]);
        if !worker.status().is_empty() {
            worker.commit("style: normalise");
        }
        let files = [
            "src/crlf.txt",
            "src/mixed.py",
            "src/lf.txt",
            "src/engine.py",
        ];
        let before = files.map(|file| worker.bytes(file));
        let blobs = |folder: &str| {
            worker
                .git(&["ls-files", "--stage", "--", folder])
                .replace("outdated/", "")
        };
        let stored = blobs("src");
        worker.migrates(MIGRATE);
        for (file, bytes) in files.iter().zip(before) {
            assert_eq!(
                worker.bytes(format!("outdated/{file}")),
                bytes,
                "{when}: {file}"
            );
        }
        assert_eq!(blobs("outdated/src"), stored, "{when}");
        assert_eq!(worker.bytes("handler.py"), crlf.as_bytes(), "{when}");
        // What upstream gave is stored as it is.
        let id = worker.git_input(&["hash-object", "--no-filters", "--stdin"], crlf.as_bytes());
        assert!(
            worker
                .git(&["ls-files", "--stage", "handler.py"])
                .contains(&id),
            "{when}"
        );
        worker.migrate(&["--abort"]).done();
        assert_eq!(worker.status(), "", "{when}");
    }
}

#[test]
fn pointers_of_large_files_stay_pointers() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    upstream.write(".runpod/public/large.bin", pointer);
    upstream.commit("feat: a pointer");
    let worker = lab.legacy("worker");
    worker.write("src/model.bin", pointer);
    worker.write(
        ".gitattributes",
        "*.bin filter=lfs diff=lfs merge=lfs -text\n",
    );
    worker.commit("feat: a pointer");
    let marker = lab.path("ran");
    let filter = lab.script(
        "filter",
        &format!("echo filter >> {}; cat", marker.display()),
    );
    for (key, value) in [
        ("filter.lfs.clean", filter.display().to_string()),
        ("filter.lfs.smudge", filter.display().to_string()),
        ("filter.lfs.required", "true".to_owned()),
        ("filter.odd name=.process", filter.display().to_string()),
        ("merge.lfs.driver", filter.display().to_string()),
    ] {
        worker.git(&["config", key, &value]);
    }
    // Nor one that the environment names, in either of git's ways.
    let named = format!(
        "'filter.lfs.clean'='{}' 'filter.x.smudge'='x'",
        filter.display()
    );
    worker
        .xtask(MIGRATE)
        .env("GIT_CONFIG_PARAMETERS", named)
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "filter.lfs.process")
        .env("GIT_CONFIG_VALUE_0", &filter)
        .run()
        .done();
    worker.migrate(&["--abort"]).done();
    worker.migrates(MIGRATE);
    assert_eq!(worker.read("outdated/src/model.bin"), pointer);
    assert_eq!(worker.read("public/large.bin"), pointer);
    worker.migrate(&["--abort"]).done();
    assert_eq!(worker.read("src/model.bin"), pointer);
    assert!(!marker.exists(), "a filter has run");
}

#[test]
fn what_a_filter_made_of_a_file_moves_as_it_lies_there() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    // Stored in small letters, large in the work tree.
    worker.git(&["config", "filter.case.clean", "tr A-Z a-z"]);
    worker.git(&["config", "filter.case.smudge", "tr a-z A-Z"]);
    worker.write(".gitattributes", "*.shout filter=case\n");
    worker.write("src/word.shout", "HELLO\n");
    let file = std::fs::File::options()
        .write(true)
        .open(worker.file("src/word.shout"))
        .unwrap();
    let written = std::time::SystemTime::now() - std::time::Duration::from_secs(10);
    file.set_modified(written).unwrap();
    worker.commit("feat: a filtered file");
    assert_eq!(worker.git(&["show", "HEAD:src/word.shout"]), "hello");
    // The filter does not run here, so git has to know from the index alone that the file is as
    // committed; written in the same moment as the index, it might have changed unseen.
    let index = std::fs::File::options()
        .write(true)
        .open(worker.file(".git/index"))
        .unwrap();
    index.set_modified(written).unwrap();
    let run = worker.migrate(MIGRATE);
    assert!(
        run.stderr.ends_with(
            "; files behind a filter such as LFS can look changed right after a clone, until \
             `git update-index --refresh --force-write-index` has looked at them\n"
        ),
        "{run:?}"
    );
    worker.git(&["update-index", "--refresh", "--force-write-index"]);
    worker.migrates(MIGRATE);
    assert_eq!(worker.read("outdated/src/word.shout"), "HELLO\n");
    assert_eq!(worker.git(&["show", ":outdated/src/word.shout"]), "hello");
    assert_eq!(worker.git(&["diff", "--name-only"]), "");
}

#[test]
fn nothing_of_the_users_runs() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let marker = lab.path("ran");
    let hooks = [
        "applypatch-msg",
        "commit-msg",
        "fsmonitor-watchman",
        "post-checkout",
        "post-commit",
        "post-index-change",
        "post-merge",
        "post-rewrite",
        "pre-auto-gc",
        "pre-commit",
        "pre-merge-commit",
        "prepare-commit-msg",
        "reference-transaction",
    ];
    for repo in ["worker", "upstream"] {
        for hook in hooks {
            lab.script(
                &format!("{repo}/.git/hooks/{hook}"),
                &format!("echo {hook} >> {}", marker.display()),
            );
        }
    }
    let touch = lab.script("touch", &format!("echo $* >> {}; exit 1", marker.display()));
    let touch = touch.display().to_string();
    for (key, value) in [
        ("core.fsmonitor", touch.as_str()),
        ("merge.custom.driver", &touch),
        ("diff.custom.command", &touch),
        ("diff.custom.textconv", &touch),
        ("diff.external", &touch),
        ("core.pager", &touch),
        ("core.editor", &touch),
        ("core.sshCommand", &touch),
        ("sequence.editor", &touch),
        ("trailer.x.command", &touch),
    ] {
        for repo in [&worker, &upstream] {
            repo.git(&["config", key, value]);
        }
    }
    let _ = std::fs::remove_file(&marker);
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    // Later changes on both sides need a real merge.
    let quiet = [
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "core.fsmonitor=false",
    ];
    let commit = |repo: &Repo| {
        repo.git(&[&quiet[..], &["add", "--all"]].concat());
        repo.git(&[&quiet[..], &["commit", "--quiet", "-m", "more"]].concat());
    };
    worker.write(".gitattributes", "*.py merge=custom diff=custom\n");
    worker.edit("engine.py", "import os", "import os  # mine");
    commit(&worker);
    upstream.append(".runpod/engine.py", "# theirs\n");
    upstream.write(".gitattributes", "*.py merge=custom diff=custom\n");
    commit(&upstream);
    worker.migrate(&[]).done().says("merged");
    worker.migrate(&["--abort"]).done();
    let said = std::fs::read_to_string(&marker).unwrap_or_default();
    assert_eq!(said, "", "these have run");
    let engine = worker.read("engine.py");
    assert!(engine.contains("# mine") && !engine.contains("# theirs"));
}

#[test]
fn filters_of_any_name_and_those_of_submodules_do_not_run() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let part = lab.empty("part");
    part.write(".gitattributes", "* filter=own\n");
    part.write("x.txt", "x\n");
    part.commit("feat: a part");
    let worker = lab.legacy("worker");
    let add = ["submodule", "--quiet", "add", "../part", "vendor/part"];
    worker.git(&[&["-c", "protocol.file.allow=always"][..], &add].concat());
    worker.commit("feat: a submodule");
    let marker = lab.path("ran");
    let run = lab.script("run", &format!("echo $PWD >> '{}'; cat", marker.display()));
    let mut config = std::fs::read(worker.path.join(".git/config")).unwrap();
    config.extend(b"[filter \"\xff'!=\"]\n\tclean = ");
    config.extend(run.as_os_str().as_bytes());
    std::fs::write(worker.path.join(".git/config"), config).unwrap();
    std::fs::create_dir_all(worker.path.join(".git/info")).unwrap();
    std::fs::write(
        worker.path.join(".git/info/attributes"),
        b"*.md filter=\xff'!=\n",
    )
    .unwrap();
    let inside = lab.at("worker/vendor/part");
    for key in ["filter.own.clean", "core.fsmonitor"] {
        inside.git(&["config", key, run.to_str().unwrap()]);
    }
    worker.git(&["config", "submodule.recurse", "true"]);
    // What is as old as the index has to be read.
    let touch = || {
        for file in ["README.md", "docs/conventions.md", "vendor/part/x.txt"] {
            let file = std::fs::File::open(worker.path.join(file)).unwrap();
            file.set_modified(std::time::SystemTime::now()).unwrap();
        }
        let _ = std::fs::remove_file(&marker);
    };
    for args in [&["--upstream", "../upstream"][..], &["--abort"]] {
        touch();
        worker.migrates(args);
        assert!(
            !marker.exists(),
            "{args:?}: {}",
            std::fs::read_to_string(&marker).unwrap()
        );
    }
}

/// A worker of the legacy layout in a repository of some kind; `None` where git lacks the kind.
fn of_kind<'a>(lab: &'a Lab, kind: &str) -> Option<Repo<'a>> {
    let options: &[&str] = match kind {
        "sha256" => &["--object-format=sha256"],
        "reftable" if !lab.git_knows_reftable() => return None,
        "reftable" => &["--ref-format=reftable"],
        _ => &[],
    };
    let worker = lab.init("worker", options);
    crate::support::copy(&crate::support::example("legacy"), &worker.path);
    worker.commit("feat: a worker of the legacy layout");
    match kind {
        "split index" => drop(worker.git(&["update-index", "--split-index"])),
        "untracked cache" => drop(worker.git(&["update-index", "--force-untracked-cache"])),
        "old index" => drop(worker.git(&["update-index", "--index-version", "4"])),
        "packed" => {
            worker.git(&["gc", "--quiet"]);
            worker.git(&["pack-refs", "--all"]);
        }
        "worktree" => {
            worker.git(&["worktree", "add", "--quiet", "-b", "linked", "../linked"]);
            return Some(lab.at("linked"));
        }
        _ => {}
    }
    Some(worker)
}

const KINDS: [&str; 7] = [
    "sha256",
    "reftable",
    "split index",
    "untracked cache",
    "old index",
    "packed",
    "worktree",
];

#[test]
fn repositories_of_every_kind_are_migrated() {
    for kind in KINDS {
        let lab = Lab::new();
        lab.upstream("upstream");
        let Some(worker) = of_kind(&lab, kind) else {
            eprintln!("skipped: this git has no {kind}");
            continue;
        };
        let before = worker.state();
        worker.migrates(MIGRATE);
        assert_eq!(worker.git(&["diff", "--name-only"]), "", "{kind}");
        assert_eq!(worker.git(&["fsck", "--no-dangling"]), "", "{kind}");
        worker.migrate(&["--abort"]).done();
        worker.state().expect_same(&before, kind);
        worker.migrates(&["--upstream", "../upstream", "--commit"]);
        assert_eq!(worker.status(), "", "{kind}");
        worker.migrate(&[]).done().says("Up to date");
    }
}

/// Accepts whatever is open, an area at a time, since no glob may take in everything.
fn accept_all(worker: &Repo<'_>) {
    let text = worker.compare(&["--format", "json"]).stdout;
    let report: serde_json::Value = serde_json::from_str(&text).unwrap();
    let open = report["facts"].as_array().unwrap().iter();
    let areas: BTreeSet<String> = open
        .filter(|fact| fact["open"] == true)
        .map(|fact| {
            fact["id"]
                .as_str()
                .unwrap()
                .split(':')
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    for area in areas {
        let all = format!("{area}:*");
        worker.compare(&["--accept", &all, "--reason", "nobody missed it", "--yes"]);
    }
    worker.compare(&[]).done();
}

#[test]
fn every_task_runs_in_repositories_of_every_kind() {
    for kind in KINDS {
        let lab = Lab::new();
        lab.upstream("upstream");
        let Some(worker) = of_kind(&lab, kind) else {
            continue;
        };
        worker.migrates(&["--upstream", "../upstream", "--commit"]);
        worker.task("status", &[]).run().done();
        accept_all(&worker);
        worker.commit("docs: say why");
        let lint = worker.task("hub-lint", &[]).run();
        assert_eq!(lint.code, Some(0), "{kind}: {lint:?}");
        let run = worker.task("cleanup", &["--commit"]).run();
        assert_eq!(run.code, Some(0), "{kind}: {run:?}");
        assert_eq!(worker.status(), "", "{kind}");
        assert!(!worker.has("outdated"), "{kind}");
    }
}

#[test]
fn a_commit_in_a_repository_of_another_kind_is_finished_or_taken_back() {
    for kind in ["reftable", "sha256", "worktree"] {
        let lab = Lab::new();
        lab.upstream("upstream");
        let Some(worker) = of_kind(&lab, kind) else {
            continue;
        };
        let before = worker.state();
        let commit = ["--upstream", "../upstream", "--commit"];
        for at in [15, 30, 45] {
            let killed = worker.xtask(&commit);
            killed
                .env("XTASK_FAULT", format!("kill:{at}"))
                .run()
                .killed();
            let run = worker.migrate(&["--abort"]);
            if run.code != Some(0) {
                assert!(
                    run.stderr.contains("there is no migration"),
                    "{kind}: {run:?}"
                );
            }
            worker
                .state()
                .expect_same(&before, &format!("{kind}: kill:{at}"));
        }
        let killed = worker.xtask(&commit);
        killed.env("XTASK_FAULT", "kill:40").run().killed();
        worker.migrate(&["--resume"]).done();
        assert_eq!(worker.git(&["rev-list", "--count", "HEAD"]), "3", "{kind}");
        worker.expect_settled();
    }
}

#[test]
fn a_program_that_does_not_sign_stops_a_commit_before_anything_is_written() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let program = lab.script("sign", "echo 'no card in the reader' >&2; exit 2");
    lab.write(
        "home/.gitconfig",
        lab.at("home").read(".gitconfig")
            + &format!(
                "[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {}\n",
                program.display()
            ),
    );
    let options = [MIGRATE, &["--commit"]].concat();
    let before = worker.state();
    // What the program said, git passes on from 2.40 on.
    let words = if lab.git_is_at_least((2, 40)) {
        "no card in the reader"
    } else {
        "gpg failed to sign the data"
    };
    let run = worker
        .migrate(&options)
        .refused_like("error: the commit could not be made with a signature: ")
        .refused_like(words)
        .refused_like(
            "help: fix what git says of the key, or do without signatures here by `git config \
             commit.gpgSign false`, then run this again; ",
        );
    assert!(run.stdout.starts_with("Upstream "), "{run:?}");
    worker.state().expect_same(&before, "without a signature");
    worker.git(&["config", "commit.gpgSign", "false"]);
    worker.migrates(&options);
    worker.expect_settled();
}

#[test]
fn commits_are_signed_where_that_is_asked_for() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let Some(key) = worker.sign_with_a_new_key("On") else {
        return;
    };
    assert!(!worker.is_signed("HEAD"), "made before");
    let options = [MIGRATE, &["--commit"]].concat();
    let away = lab.path("away");
    std::fs::rename(&key, &away).unwrap();
    let before = worker.state();
    worker
        .migrate(&options)
        .refused_like("the commit could not be made with a signature: ");
    worker.state().expect_same(&before, "without the key");
    worker.git(&["config", "commit.gpgSign", "perhaps"]);
    worker
        .migrate(&options)
        .refused_like("git can't read the setting commit.gpgSign: ");
    worker
        .state()
        .expect_same(&before, "nobody knows whether to sign");
    std::fs::rename(&away, &key).unwrap();
    // A key without a value is on, and git config would print an empty line.
    worker.git(&["config", "--unset", "commit.gpgSign"]);
    let config = worker.read(".git/config");
    worker.write(".git/config", config + "[commit]\n\tgpgSign\n");
    worker.migrates(&options);
    assert!(worker.is_signed("HEAD~1") && worker.is_signed("HEAD"));

    let other = lab.legacy("other");
    other.migrates(&options);
    let raw = other.git(&["cat-file", "commit", "HEAD"]);
    assert!(!raw.contains("gpgsig"), "{raw}");
}

#[test]
fn a_folder_without_files_is_in_nobodys_way() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let undisturbed = lab.legacy("undisturbed");
    undisturbed.migrates(&["--upstream", "../upstream"]);
    for place in [
        "builder/setup.sh",
        "Dockerfile/below",
        "worker-config.json",
        "src",
    ] {
        let worker = lab.legacy("worker");
        std::fs::create_dir_all(worker.path.join("outdated").join(place)).unwrap();
        worker.migrates(&["--upstream", "../upstream"]);
        worker
            .state()
            .expect_same(&undisturbed.state(), &format!("outdated/{place}"));
        worker.migrate(&["--abort"]).done();
        // But for the folder, of which git knows nothing.
        worker.expect_settled();
        assert_eq!(worker.git(&["status", "--porcelain"]), "");
        worker.remove("");
    }
}
