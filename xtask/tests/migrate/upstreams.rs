//! Where the modern files come from.

use std::io::Read;

use crate::support::{Lab, Repo, copy, example};

fn url(repo: &Repo) -> String {
    format!("file://{}", repo.path.display())
}

fn lock(worker: &Repo) -> serde_json::Value {
    serde_json::from_str(&worker.read(".xtask/upstream.lock.json")).unwrap()
}

#[test]
fn a_directory_without_git() {
    let lab = Lab::new();
    lab.trust(&[lab.path("plain"), lab.path("flat")]);
    for (name, nested) in [("plain", true), ("flat", false)] {
        let upstream = if nested {
            copy(&example("upstream"), &lab.path(name));
            lab.at(name)
        } else {
            lab.modern(name)
        };
        if !nested {
            upstream.remove(".git");
            // Its name is that of what cargo builds, but the image takes it.
            upstream.write("target/table.json", "{}");
            upstream.append("Dockerfile", "COPY target /target\n");
        }
        upstream.write("unrelated/large.bin", "not read");
        let worker = lab.legacy(&format!("worker-{name}"));
        worker
            .migrate(&["--upstream", &format!("../{name}"), "--commit"])
            .done()
            .says(&format!("Upstream ../{name}\n"));
        assert_eq!(worker.has("target/table.json"), !nested);
        let lock = lock(&worker);
        assert_eq!(lock["upstream"]["address"], format!("../{name}"));
        assert_eq!(lock["upstream"]["commit"], serde_json::Value::Null);
        assert_eq!(
            lock["upstream"]["shape"],
            if nested { ".runpod" } else { "root" }
        );
        worker.migrate(&[]).done().says("Up to date");
        // It has no history, and is merged by what this repository knows of it.
        let folder = if nested { ".runpod/" } else { "" };
        worker.edit("engine.py", "import os\n", "import os  # mine\n");
        worker.commit("feat: mine");
        upstream.append(&format!("{folder}engine.py"), "# theirs\n");
        worker.migrates(&["--commit"]);
        let engine = worker.read("engine.py");
        assert!(engine.contains("# mine\n") && engine.ends_with("# theirs\n"));
    }
}

#[test]
fn a_directory_has_no_revisions() {
    let lab = Lab::new();
    copy(&example("upstream"), &lab.path("upstream"));
    lab.legacy("worker")
        .migrate(&["--upstream", "../upstream", "--rev", "main"])
        .refused(
            "[LAB]/worker/../upstream is a directory without git, so it has no revision main",
            "name a git repository, or take it as it is: without --rev, or with `--adopt .`",
        );
}

#[test]
fn a_repository_is_read_at_a_revision_and_not_at_its_work_tree() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let first = upstream.head();
    upstream.git(&["tag", "-a", "-m", "one", "v1"]);
    upstream.git(&["checkout", "--quiet", "-b", "next"]);
    upstream.append(".runpod/engine.py", "# next\n");
    let next = upstream.commit("feat: next");
    upstream.git(&["update-ref", "refs/pull/7/head", "HEAD"]);
    upstream.git(&["checkout", "--quiet", "main"]);
    upstream.append(".runpod/engine.py", "# not committed\n");
    let bare = lab.at("bare");
    lab.at("home")
        .git(&["clone", "--quiet", "--mirror", "../upstream", "../bare"]);
    let filtering = url(&upstream);
    let plain = url(&bare);
    upstream.git(&["config", "uploadpack.allowFilter", "true"]);
    for (number, address) in ["../upstream", "../bare", &filtering, &plain]
        .iter()
        .enumerate()
    {
        for (rev, commit) in [
            (None, &first),
            (Some("main"), &first),
            (Some("v1"), &first),
            (Some("next"), &next),
            (Some(next.as_str()), &next),
            (Some("refs/pull/7/head"), &next),
        ] {
            let worker = lab.legacy(&format!("worker-{number}-{}", rev.unwrap_or("none").len()));
            let mut options = vec!["--upstream", address];
            if let Some(rev) = rev {
                options.extend(["--rev", rev]);
            }
            worker.migrates(&options);
            let when = format!("{address} at {rev:?}");
            let lock = lock(&worker);
            assert_eq!(lock["upstream"]["commit"], **commit, "{when}");
            assert_eq!(lock["upstream"]["rev"].as_str(), rev, "{when}");
            assert_eq!(lock["upstream"]["address"], **address, "{when}");
            let engine = worker.read("engine.py");
            assert_eq!(engine.ends_with("# next\n"), commit == &next, "{when}");
            worker.remove("");
        }
    }
}

#[test]
fn a_revision_that_is_not_there() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.everything();
    worker
        .migrate(&["--upstream", "../upstream", "--rev", "gone"])
        .refused(
            "the upstream [LAB]/worker/../upstream has no revision gone",
            "name a branch, a tag or a commit that it has; a partial clone may lack the commit",
        );
    let run = worker.migrate(&["--upstream", &url(&upstream), "--rev", "gone"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr
            .starts_with("error: gone could not be fetched from file://[LAB]/upstream: "),
        "{run:?}"
    );
    assert!(
        run.stderr.ends_with(
            "\nhelp: check the address and the revision; a commit is named by all of its digits, \
             a pull request is refs/pull/N/head\n"
        ),
        "{run:?}"
    );
    let run = worker.migrate(&["--upstream", "file:///nowhere/at/all"]);
    assert!(run.stderr.contains("HEAD could not be fetched"), "{run:?}");
    worker.everything().expect_same(&before, "refusals");
    assert_eq!(std::fs::read_dir(lab.path("tmp")).unwrap().count(), 0);
}

#[test]
fn the_lock_is_followed_by_later_runs() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.git(&["branch", "stable"]);
    let address = url(&upstream);
    let worker = lab.legacy("worker");
    worker.migrates(&["--upstream", &address, "--rev", "stable", "--commit"]);
    upstream.append(".runpod/engine.py", "# main only\n");
    upstream.commit("feat: main only");
    worker.migrate(&[]).done().says("Up to date");
    upstream.git(&["checkout", "--quiet", "stable"]);
    upstream.append(".runpod/utils.py", "# stable\n");
    let stable = upstream.commit("feat: stable");
    worker.edit("utils.py", "import", "import  # mine\nimport");
    worker.commit("feat: mine");
    worker.migrates(&["--commit"]);
    assert_eq!(lock(&worker)["upstream"]["commit"], stable);
    assert!(!worker.read("engine.py").ends_with("# main only\n"));
    let utils = worker.read("utils.py");
    assert!(utils.ends_with("# stable\n") && utils.contains("# mine"));
    // Another revision is taken where it is named.
    worker.migrates(&["--rev", "main", "--commit"]);
    assert_eq!(lock(&worker)["upstream"]["rev"], "main");
    assert!(worker.read("engine.py").ends_with("# main only\n"));
}

#[test]
fn the_lock_works_from_another_place() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.migrated("worker");
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: more");
    // The recorded path is seen from the repository, not from where the command is typed.
    let deep = worker.file("docs");
    worker
        .xtask_at("..", &["--check"])
        .dir(deep)
        .run()
        .finds()
        .says("  ~ engine.py");
}

#[test]
fn without_an_upstream_the_tools_own_repository_is_taken() {
    let lab = Lab::new();
    let tool = lab.modern("tool");
    tool.write("xtask/Cargo.toml", "[package]\n");
    tool.commit("feat: the tool");
    let worker = lab.legacy("worker");
    let run = worker
        .xtask(&["--commit"])
        .env("CARGO_MANIFEST_DIR", lab.path("tool/xtask"))
        .run()
        .done();
    assert!(
        run.stdout.starts_with("Upstream xtask: at [OID]\n"),
        "{run:?}"
    );
    assert_eq!(worker.bytes("engine.py"), tool.bytes("engine.py"));
    assert!(!worker.has("xtask"));
    tool.append("engine.py", "# later\n");
    tool.commit("feat: later");
    worker
        .xtask(&[])
        .env("CARGO_MANIFEST_DIR", lab.path("tool/xtask"))
        .run()
        .done();
    assert!(worker.read("engine.py").ends_with("# later\n"));
}

#[test]
fn fetching_leaves_no_process_behind_that_holds_the_repository() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    // An ssh that keeps its connection open for the next call, as ControlPersist does.
    let ssh = lab.script(
        "ssh",
        "sleep 30 > /dev/null 2>&1 < /dev/null &\n\
         echo $! >> \"$HOME/left\"\n\
         for last; do :; done\n\
         exec sh -c \"$last\"",
    );
    let worker = lab.legacy("worker");
    let address = format!("ssh://host{}", upstream.path.display());
    let began = std::time::Instant::now();
    for options in [&["--upstream", &address] as &[&str], &["--abort"]] {
        worker
            .xtask(options)
            .env("GIT_SSH_COMMAND", &ssh)
            .run()
            .done();
    }
    let left = std::fs::read_to_string(lab.path("home/left")).unwrap();
    let quick = began.elapsed() < std::time::Duration::from_secs(19);
    testing::end_all(&left);
    assert!(quick, "the second run waited for a process of the first");
}

#[test]
fn only_what_is_needed_comes_from_elsewhere() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    // What does not compress, elsewhere and in what came before.
    let noise = |mut state: u32| {
        let mut bytes = Vec::new();
        for _ in 0..2_000_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            bytes.push(state.to_be_bytes()[0]);
        }
        bytes
    };
    upstream.write("assets/large.bin", noise(1));
    upstream.write(".runpod/public/old.bin", noise(2));
    upstream.commit("feat: large files");
    upstream.remove(".runpod/public/old.bin");
    upstream.commit("feat: one less");
    upstream.git(&["config", "uploadpack.allowFilter", "true"]);
    let ssh = lab.script(
        "ssh",
        "echo call >> \"$HOME/calls\"\n\
         for last; do :; done\n\
         sh -c \"$last\" | tee -a \"$HOME/sent\"",
    );
    let worker = lab.legacy("worker");
    let address = format!("ssh://host{}", upstream.path.display());
    worker
        .xtask(&["--upstream", &address])
        .env("GIT_SSH_COMMAND", &ssh)
        .run()
        .done();
    let given = worker.bytes("engine.py");
    assert_eq!(given, upstream.bytes(".runpod/engine.py"));
    let sent = std::fs::metadata(lab.path("home/sent")).unwrap().len();
    assert!(sent < 100_000, "{sent} bytes came");
    // The commit and its folders, then all files at once; one more to find the revision.
    let calls = std::fs::read_to_string(lab.path("home/calls")).unwrap();
    assert!(calls.lines().count() <= 3, "{calls}");
}

#[test]
fn a_terminal_is_told_that_something_is_fetched_and_nothing_else_is() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.git(&["config", "uploadpack.allowFilter", "true"]);
    let worker = lab.legacy("worker");
    let address = format!("file://{}", upstream.path.display());
    let quiet = worker
        .migrate(&["--upstream", &address, "--dry-run"])
        .done();
    assert_eq!(quiet.stderr, "");

    let shown = on_a_terminal(worker.xtask(&["--upstream", &address]).command);
    assert!(shown.contains("fetching the upstream's HEAD"), "{shown}");
}

/// Runs a command that must succeed, with its messages on a terminal; what that showed.
fn on_a_terminal(mut command: std::process::Command) -> String {
    let (mut screen, terminal) = terminal();
    let mut child = command
        .stdout(std::process::Stdio::null())
        .stderr(terminal)
        .spawn()
        .unwrap();
    // It holds the terminal open.
    drop(command);
    let mut shown = Vec::new();
    // A terminal whose last program has ended answers with an error, not with an end.
    let _ = screen.read_to_end(&mut shown);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert!(child.wait().unwrap().success(), "{shown}");
    shown
}

/// A terminal: what it shows, and the end that a program writes to.
fn terminal() -> (std::fs::File, std::fs::File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let name = ptsname(&screen, Vec::new()).unwrap();
    let terminal = std::fs::File::options()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    (screen.into(), terminal)
}

#[test]
fn what_logs_in_where_the_tool_was_cloned_from_is_not_embedded() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let tool = lab.modern("tool");
    tool.write("xtask/Cargo.toml", "[package]\n");
    tool.write("Cargo.toml", "[workspace]\n");
    tool.commit("feat: the tool");
    let origin = "https://x-access-token:s3cret@host.invalid/tool.git";
    tool.git(&["remote", "add", "origin", origin]);
    let worker = lab.legacy("worker");
    worker
        .xtask(&["--upstream", "../upstream", "--embed"])
        .env("CARGO_MANIFEST_DIR", lab.path("tool/xtask"))
        .run()
        .done();
    assert_eq!(
        lock(&worker)["tool"]["address"],
        "https://host.invalid/tool.git"
    );
}

#[test]
fn an_address_that_logs_in_is_refused_and_not_repeated() {
    let lab = Lab::new();
    let worker = lab.legacy("worker");
    for (address, shown) in [
        ("http://bob:s3cret@host/x.git", "http://host/x.git"),
        ("https://s3cret@host/x.git", "https://host/x.git"),
        ("ssh://git:s3cret@host/x.git", "ssh://git@host/x.git"),
        (
            "https://host/x.git?private_token=s3cret",
            "https://host/x.git",
        ),
        ("https:/bob:s3cret@host/x.git", "https:/host/x.git"),
        ("bob:s3cret@host:x.git", "bob@host:x.git"),
        ("ftp://bob:s3cret@host/x", "ftp://host/x"),
    ] {
        let words = format!(
            "upstream {shown:?} was named with a user, a password or a query; leave that out: git \
             gets what logs in from its credential helper"
        );
        let run = worker.migrate(&["--upstream", address]);
        assert!(!format!("{run:?}").contains("s3cret"), "{run:?}");
        run.unusable(&words);
    }
}

#[test]
fn a_revision_that_no_name_can_be_is_refused_before_anything_is_fetched() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.append(".runpod/engine.py", "# next\n");
    upstream.commit("feat: next");
    let worker = lab.legacy("worker");
    let before = worker.everything();
    // Whatever is fetched fails in words of git.
    let nowhere = "file:///nowhere/at/all";
    let words = |revision: &str| {
        format!(
            "revision {revision:?} can't name a branch, a tag or a commit elsewhere; name one of \
             those, or a ref such as refs/pull/N/head"
        )
    };
    for revision in [
        "main:refs/heads/x",
        "+main",
        "^main",
        "main~1",
        "main x",
        "refs/heads/*",
        "mai?",
        "[m]ain",
        "a\\b",
        "a..b",
        "main@{1}",
    ] {
        for address in [nowhere, &url(&upstream)] {
            worker
                .migrate(&["--upstream", address, "--rev", revision])
                .unusable(&words(revision));
        }
    }
    let modern = lab.modern("modern");
    modern
        .migrate(&["--adopt", "+main", "--upstream", nowhere])
        .unusable(&words("+main"));
    for revision in ["main:refs/heads/x", "+main"] {
        worker
            .migrate(&["--upstream", "../upstream", "--rev", revision])
            .refused_like(&format!("has no revision {revision}\n"));
    }
    worker.everything().expect_same(&before, "refusals");
    // On this machine git reads whatever it can.
    worker.migrates(&["--upstream", "../upstream", "--rev", "main~1"]);
    assert!(!worker.read("engine.py").ends_with("# next\n"));
}

#[test]
fn an_upstream_that_names_its_objects_in_another_way() {
    let lab = Lab::new();
    let upstream = lab.init("upstream", &["--object-format=sha256"]);
    copy(&example("upstream"), &upstream.path);
    let commit = upstream.commit("feat: the worker that upstream maintains");
    assert_eq!(commit.len(), 64);
    // Such a repository is taken from this machine alone.
    let worker = lab.legacy("worker");
    let address = url(&upstream);
    worker
        .migrate(&["--upstream", &address])
        .refused_like("HEAD could not be fetched from file://[LAB]/upstream: ");
    worker.migrates(&["--upstream", "../upstream", "--commit"]);
    assert_eq!(lock(&worker)["upstream"]["commit"], commit);
    assert_eq!(
        worker.bytes("engine.py"),
        upstream.bytes(".runpod/engine.py")
    );
    upstream.append(".runpod/engine.py", "# more\n");
    let more = upstream.commit("feat: more");
    worker.edit("engine.py", "import", "import  # mine\nimport");
    worker.commit("feat: mine");
    worker.migrates(&["--rev", &more, "--commit"]);
    let engine = worker.read("engine.py");
    assert!(engine.contains("# mine") && engine.ends_with("# more\n"));
    assert_eq!(std::fs::read_dir(lab.path("tmp")).unwrap().count(), 0);
}
