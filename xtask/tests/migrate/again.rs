//! What upstream changes later is merged into what the worker has made of it.

use crate::support::{Lab, Repo};

/// A migrated worker beside its upstream; both may then change.
fn pair(lab: &Lab) -> (Repo<'_>, Repo<'_>) {
    let upstream = lab.upstream("upstream");
    (lab.migrated("worker"), upstream)
}

/// The table of all presence combinations of base, ours and theirs, each on a file of its own.
#[test]
fn every_combination_of_base_ours_and_theirs() {
    // (base, ours, theirs) → what becomes of it. `None` is an absent file.
    type Case = (
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
        Result<Option<&'static str>, &'static str>,
    );
    let changed = "changed here and upstream in the same place";
    let added = "added here and upstream with different content";
    let cases: [Case; 15] = [
        ("000", None, None, None, Ok(None)),
        ("001", None, None, Some("t"), Ok(Some("t"))),
        ("010", None, Some("o"), None, Ok(Some("o"))),
        ("011-same", None, Some("s"), Some("s"), Ok(Some("s"))),
        ("011-other", None, Some("o"), Some("t"), Err(added)),
        ("100", Some("b"), None, None, Ok(None)),
        ("101-same", Some("b"), None, Some("b"), Ok(None)),
        (
            "101-other",
            Some("b"),
            None,
            Some("t"),
            Err("changed upstream, removed or moved here"),
        ),
        ("110-same", Some("b"), Some("b"), None, Ok(None)),
        (
            "110-other",
            Some("b"),
            Some("o"),
            None,
            Err("changed here, removed or moved upstream"),
        ),
        ("111-same", Some("b"), Some("b"), Some("b"), Ok(Some("b"))),
        ("111-ours", Some("b"), Some("o"), Some("b"), Ok(Some("o"))),
        ("111-theirs", Some("b"), Some("b"), Some("t"), Ok(Some("t"))),
        ("111-alike", Some("b"), Some("s"), Some("s"), Ok(Some("s"))),
        ("111-other", Some("b"), Some("o"), Some("t"), Err(changed)),
    ];
    // Content of its own for each case, so that no rename is seen between them.
    let content = |name: &str, letter: &str| {
        (0..20).fold(String::new(), |text, line| {
            text + &format!("{name} {line} {}\n", if line == 10 { letter } else { "" })
        })
    };
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let put = |repo: &Repo, folder: &str, name: &str, side: Option<&str>| {
        let path = format!("{folder}public/{name}");
        match side {
            Some(letter) => repo.write(&path, content(name, letter)),
            None if repo.has(&path) => repo.remove(&path),
            None => {}
        }
    };
    for (name, base, ..) in cases {
        put(&upstream, ".runpod/", name, base);
    }
    upstream.commit("feat: base");
    let worker = lab.migrated("worker");
    for (name, _, ours, theirs, _) in cases {
        put(&worker, "", name, ours);
        put(&upstream, ".runpod/", name, theirs);
    }
    worker.commit("feat: ours");
    upstream.commit("feat: theirs");
    let before = worker.everything();

    let conflicts: Vec<_> = cases
        .iter()
        .filter_map(|(name, .., result)| result.err().map(|reason| (name, reason)))
        .collect();
    let mut run = worker.migrate(&[]).finds();
    for (name, reason) in &conflicts {
        run = run.says(&format!("  public/{name}: {reason}\n"));
    }
    run.says("4 files are in conflict; nothing was written.");
    worker
        .everything()
        .expect_same(&before, "conflicts, listed");

    worker.migrate(&["--conflicts", "markers"]).finds();
    for (name, .., result) in cases {
        let path = format!("public/{name}");
        match result {
            Ok(Some(letter)) => assert_eq!(worker.read(&path), content(name, letter), "{name}"),
            Ok(None) => assert!(!worker.has(&path), "{name}"),
            Err(_) => assert!(
                !worker
                    .git(&["ls-files", "--unmerged", "--", &path])
                    .is_empty(),
                "{name}"
            ),
        }
    }
}

#[test]
fn changes_in_different_places_are_merged() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    worker.edit("engine.py", "import os\n", "import logging\nimport os\n");
    worker.edit("Dockerfile", "v0.5.2-cu126", "v0.5.3-cu126");
    worker.commit("feat: changes here");
    upstream.append(".runpod/engine.py", "# upstream's last line\n");
    upstream.edit(".runpod/Dockerfile", "CMD [", "EXPOSE 30000\nCMD [");
    upstream.write(".runpod/public/new.txt", "new\n");
    upstream.commit("feat: changes upstream");
    worker
        .migrate(&[])
        .done()
        .says("  ~ Dockerfile                         merged with the changes made here\n")
        .says("  ~ engine.py                          merged with the changes made here\n")
        .says("  + public/new.txt                     new\n");
    let engine = worker.read("engine.py");
    assert!(engine.contains("import logging\n") && engine.ends_with("# upstream's last line\n"));
    let dockerfile = worker.read("Dockerfile");
    assert!(dockerfile.contains("v0.5.3-cu126") && dockerfile.contains("EXPOSE 30000"));
    assert!(!dockerfile.contains("COPY .runpod/ ./"));
    assert_eq!(worker.git(&["diff", "--name-only"]), "");
    worker.git(&["commit", "--quiet", "-m", "feat: merge"]);
    worker.migrate(&[]).done().says("Up to date");
}

#[test]
fn later_changes_are_committed_in_one_commit() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: more");
    let head = worker.head();
    worker.migrates(&["--commit"]);
    assert_eq!(worker.git(&["rev-parse", "HEAD~1"]), head);
    assert_eq!(
        worker.git(&["log", "-1", "--format=%s"]),
        "feat: bring in upstream's changes"
    );
    assert_eq!(
        worker.git(&["show", "--name-only", "--format="]),
        ".xtask/upstream.lock.json\nengine.py"
    );
}

#[test]
fn a_file_that_was_renamed_here_gets_upstreams_changes() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    worker.rename("engine.py", "sglang_engine.py");
    worker.commit("refactor: rename the engine");
    upstream.append(".runpod/engine.py", "# upstream's last line\n");
    upstream.commit("feat: more");
    let plan = worker.migrate(&["--dry-run", "--format", "json"]).json();
    let files = plan["plan"]["files"].as_array().unwrap();
    let engine: Vec<_> = files
        .iter()
        .filter(|file| file["path"].as_str().unwrap().ends_with("engine.py"))
        .collect();
    assert_eq!(
        engine,
        [
            &serde_json::json!({
                "path": "engine.py",
                "from": ".runpod/engine.py",
                "what": "removed-here",
            }),
            &serde_json::json!({
                "path": "sglang_engine.py",
                "from": "sglang_engine.py",
                "what": "merged",
            })
        ]
    );
    worker
        .migrate(&["--commit"])
        .done()
        .says("\n  ~ sglang_engine.py                   merged with the changes made here\n");
    assert!(!worker.has("engine.py"));
    assert!(
        worker
            .read("sglang_engine.py")
            .ends_with("# upstream's last line\n")
    );
    // And once more.
    upstream.append(".runpod/engine.py", "# a later line\n");
    upstream.commit("feat: still more");
    worker.migrates(&["--commit"]);
    assert!(
        worker
            .read("sglang_engine.py")
            .ends_with("# a later line\n")
    );
    assert!(!worker.has("engine.py"));
}

/// Each of several new names here is told.
#[test]
fn files_that_were_renamed_here_are_told_apart() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    for (old, new) in [
        ("engine.py", "lib/a.py"),
        ("utils.py", "lib/b.py"),
        ("download_model.py", "lib/c.py"),
        ("Dockerfile", "docker/worker.Dockerfile"),
    ] {
        worker.rename(old, new);
    }
    worker.append("lib/b.py", "# mine\n");
    worker.commit("refactor: rename");
    upstream.append(".runpod/engine.py", "# upstream's last line\n");
    upstream.edit(".runpod/utils.py", "import", "import  # theirs\nimport");
    upstream.append(".runpod/Dockerfile", "# upstream's last line\n");
    upstream.append(".runpod/handler.py", "# upstream's last line\n");
    upstream.commit("feat: more");
    let run = worker.migrate(&[]).done();
    let merged: Vec<&str> = run
        .stdout
        .lines()
        .filter(|line| line.starts_with("  ~ "))
        .map(|line| line["  ~ ".len()..].split(" merged").next().unwrap())
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(
        merged,
        [
            "docker/worker.Dockerfile",
            "handler.py",
            "lib/a.py",
            "lib/b.py",
        ]
    );
    assert!(run.stdout.contains("4 removed here"), "{run:?}");
    let utils = worker.read("lib/b.py");
    assert!(
        utils.ends_with("# mine\n") && utils.contains("# theirs"),
        "{utils}"
    );
}

#[test]
fn a_file_that_upstream_moved_keeps_the_changes_made_here() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.write(".runpod/public/page.html", "<p>\n".repeat(30));
    upstream.commit("feat: a page");
    let worker = lab.migrated("worker");
    worker.append("public/page.html", "<b>mine</b>\n");
    worker.commit("feat: mine");
    upstream.rename(".runpod/public/page.html", ".runpod/public/index.html");
    upstream.commit("refactor: move");
    worker.migrates(&[]);
    assert!(worker.read("public/index.html").ends_with("<b>mine</b>\n"));
    assert!(!worker.has("public/page.html"));
}

#[test]
fn a_binary_file_that_both_sides_changed_is_a_conflict() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    let banner = "public/worker-sglang_banner.png";
    worker.write(banner, b"\x89PNG\0ours");
    worker.commit("feat: our banner");
    upstream.write(format!(".runpod/{banner}"), b"\x89PNG\0theirs");
    upstream.commit("feat: their banner");
    let before = worker.everything();
    worker.migrate(&[]).finds().says(&format!(
        "\nConflicts\n  {banner}: changed here and upstream in the same place\n"
    ));
    worker.everything().expect_same(&before, "a conflict");
    worker.migrate(&["--conflicts", "markers"]).finds();
    assert_eq!(worker.bytes(banner), b"\x89PNG\0ours");
    worker.git(&["checkout", "--theirs", "--", banner]);
    worker.git(&["add", banner]);
    worker.migrate(&["--resume"]).done();
    assert_eq!(worker.bytes(banner), b"\x89PNG\0theirs");
}

#[test]
fn a_changed_mode_is_brought_in_or_kept() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    worker.chmod("handler.py", 0o755);
    worker.commit("fix: make the handler executable");
    upstream.chmod(".runpod/engine.py", 0o755);
    upstream.append(".runpod/handler.py", "# more\n");
    upstream.commit("fix: make the engine executable");
    worker.migrates(&[]);
    assert_eq!(
        worker.git(&[
            "ls-files",
            "--format=%(objectmode)",
            "engine.py",
            "handler.py"
        ]),
        "100755\n100755"
    );
    assert_eq!(worker.git(&["diff", "--name-only"]), "");
    assert!(worker.read("handler.py").ends_with("# more\n"));
}

#[test]
fn what_was_removed_on_one_side_only_is_removed() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    worker.remove("docker-compose.yml");
    worker.commit("chore: no compose here");
    upstream.remove(".runpod/public/worker-sglang_banner.png");
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: no banner");
    worker
        .migrate(&["--commit"])
        .done()
        .says("  - public/worker-sglang_banner.png    removed upstream\n");
    assert!(!worker.has("docker-compose.yml") && !worker.has("public"));
    worker.migrate(&["--check"]).done();
}

#[test]
fn the_lock_survives_a_squash() {
    let lab = Lab::new();
    let (worker, upstream) = pair(&lab);
    worker.edit("engine.py", "import os\n", "import logging\nimport os\n");
    worker.commit("feat: mine");
    let tree = worker.git(&["rev-parse", "HEAD^{tree}"]);
    let one = worker.git(&["commit-tree", &tree, "-m", "all in one"]);
    worker.git(&["reset", "--quiet", "--hard", &one]);
    worker.git(&["reflog", "expire", "--expire=now", "--all"]);
    worker.git(&["gc", "--quiet", "--prune=now"]);
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: more");
    worker.migrates(&[]);
    let engine = worker.read("engine.py");
    assert!(engine.contains("import logging\n") && engine.ends_with("# more\n"));
}

#[test]
fn stray_files_in_the_hub_folder_stay_in_an_ordinary_update() {
    let lab = Lab::new();
    let (worker, _) = pair(&lab);
    worker.write(".runpod/notes.md", "mine\n");
    worker.commit("docs: notes");
    worker.migrate(&["--check"]).done();
    worker.migrates(&[]);
    assert_eq!(worker.read(".runpod/notes.md"), "mine\n");
    assert!(!worker.has("outdated/.runpod/notes.md"));
}
