//! From then on: `outdated/` goes, and upstream moves on.

use snapbox::str;

use crate::shows;
use crate::support::Repo;
use crate::terminal::Terminal;

/// `outdated/` goes, and what it said is still known.
pub fn cleans_up(terminal: &Terminal<'_>, worker: &Repo<'_>) {
    terminal.next_is("cargo xtask cleanup --dry-run");
    shows(
        &terminal.types("cargo xtask cleanup --dry-run").done(),
        str![[r"
Removes outdated/, 9 files
...
Comes back with git restore --source=[OID] -- outdated
  a commit that main keeps

Nothing was changed. outdated/ can go:

    cargo xtask cleanup --commit

"]],
    );
    terminal
        .types("cargo xtask cleanup")
        .done()
        .says("Done. The removal is staged, HEAD has not moved. Next:\n");
    terminal.next_is("cargo xtask cleanup --commit");
    terminal
        .types("cargo xtask cleanup --commit")
        .done()
        .says("\nDone. Committed as [OID].\n");
    assert_eq!(worker.status(), "");
    for again in ["cargo xtask cleanup", "cargo xtask cleanup --commit"] {
        let run = terminal.types(again).done();
        assert_eq!(run.stdout, "Nothing to clean up: there is no outdated/.\n");
    }
    let listed = terminal.types("git ls-files -- . ':!xtask'").done();
    shows(
        &listed,
        str![[r"
.cargo/config.toml
.github/workflows/docker_buildandpush.yml
.gitignore
.runpod/hub.json
.runpod/tests.json
.xtask/accepted.json
.xtask/baseline.json
.xtask/upstream.lock.json
Cargo.lock
Cargo.toml
Dockerfile
LICENSE
README.md
docker-bake.hcl
docker-compose.yml
docs/conventions.md
download_model.py
engine.py
handler.py
public/worker-sglang_banner.png
requirements.txt
test_input.json
tests/test_utils.py
utils.py

"]],
    );
    // What was lost is still known, and so is why.
    shows(
        &terminal.types("cargo xtask compare").done(),
        str![[r"
.xtask/baseline.json → [LAB]/my-worker
...
Nothing is open.

"]],
    );
}

/// Upstream and the worker change the same line: listed first, then with markers.
pub fn upstream_moves_on(terminal: &Terminal<'_>, worker: &Repo<'_>, upstream: &Repo<'_>) {
    upstream.edit(".runpod/handler.py", "\"100\"", "\"200\"");
    upstream.edit(
        ".runpod/engine.py",
        "    \"DTYPE\": \"--dtype\",\n",
        "    \"DTYPE\": \"--dtype\",\n    \"KV_CACHE_DTYPE\": \"--kv-cache-dtype\",\n",
    );
    upstream.commit("feat: more jobs at a time, and the type of the cache");
    terminal
        .types("cargo xtask status")
        .done()
        .says("\n  upstream  ../upstream at [OID]\n");
    terminal.next_is("cargo xtask migrate --check");

    let before = worker.everything();
    for listing in [
        "cargo xtask migrate --dry-run",
        "cargo xtask migrate --commit",
    ] {
        let again = listing.strip_prefix("cargo xtask migrate --dry-run");
        let run = terminal.types(listing).finds();
        let run = run
            .says("\nConflicts\n  handler.py: changed here and upstream in the same place\n")
            .says("\n1 file is in conflict; nothing was written. To resolve them in the files:\n");
        let way_on = match again {
            Some(_) => "\n    cargo xtask migrate --conflicts markers\n",
            None => "\n    cargo xtask migrate --commit --conflicts markers\n",
        };
        run.says(way_on);
        worker.everything().expect_same(&before, listing);
    }

    terminal
        .types("cargo xtask migrate --commit --conflicts markers")
        .finds()
        .says("    cargo xtask migrate --resume    # finishes\n");
    assert_eq!(worker.status(), "M  engine.py\nUU handler.py");
    terminal.next_is("git status");
    terminal.types("cargo xtask migrate --resume").refused(
        "conflicts of a migration wait to be resolved:\n  handler.py",
        "resolve each and stage it with `git add FILE` or `git rm FILE`, then run `cargo xtask migrate \
         --resume`; `git checkout --merge FILE` brings a conflict back, and `cargo xtask migrate \
         --abort` takes all back",
    );
    terminal.edits(
        "handler.py",
        &[(
            "<<<<<<< ours\n    return int(os.getenv(\"MAX_CONCURRENCY\", \"300\"))\n=======\n    \
             return int(os.getenv(\"MAX_CONCURRENCY\", \"200\"))\n>>>>>>> upstream\n",
            "    return int(os.getenv(\"MAX_CONCURRENCY\", \"300\"))\n",
        )],
    );
    terminal.types("git add handler.py").done();
    terminal.next_is("cargo xtask migrate --resume");
    terminal
        .types("cargo xtask migrate --resume")
        .done()
        .says("Finished and committed.\n");
    assert_eq!(worker.status(), "");
    let engine = worker.read("engine.py");
    assert!(engine.contains("KV_CACHE_DTYPE") && engine.contains("FORMER = {"));
    assert!(!worker.has("outdated"), "what is gone stays gone");
    terminal.types("cargo xtask migrate --check").done();
    terminal.types("cargo xtask compare").done();
    terminal.next_is("cargo xtask migrate --check");
}
