//! Upstreams that mean harm: refused by name, before anything is written.

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;

use crate::support::{Lab, Repo, Run};

/// The upstream's `.runpod/` with further entries, as raw tree objects that git itself would not
/// make. A kind is a mode; the rest of a line is a path below `.runpod/`, the content a blob.
fn crafted(upstream: &Repo, entries: &[(&str, &[u8], &[u8])]) {
    let mut items = listed(upstream);
    let added: Vec<Item> = entries
        .iter()
        .map(|(mode, path, content)| {
            let mut oid = upstream.git_input(&["hash-object", "-w", "--stdin"], content);
            let mut parts: Vec<&[u8]> = path.split(|&b| b == b'/').collect();
            let first = parts.remove(0);
            let mut mode = (*mode).to_owned();
            // From the deepest part up.
            while let Some(name) = parts.pop() {
                oid = tree(upstream, &[(mode.clone(), name.to_vec(), oid)]);
                "40000".clone_into(&mut mode);
            }
            (mode, first.to_vec(), oid)
        })
        .collect();
    items.retain(|(_, name, _)| !added.iter().any(|other| other.1 == *name));
    items.extend(added);
    take_over(upstream, &items);
}

/// Mode, name and object of a tree's entry.
type Item = (String, Vec<u8>, String);

/// What the upstream's `.runpod/` holds.
fn listed(upstream: &Repo) -> Vec<Item> {
    let listing = upstream.git(&["ls-tree", "HEAD:.runpod"]);
    listing
        .lines()
        .map(|line| {
            let (head, name) = line.split_once('\t').unwrap();
            let words: Vec<&str> = head.split(' ').collect();
            (words[0].to_owned(), name.into(), words[2].to_owned())
        })
        .collect()
}

/// Commits these entries as the upstream's `.runpod/`.
fn take_over(upstream: &Repo, items: &[Item]) {
    let folder = tree(upstream, items);
    let root = tree(upstream, &[("40000".into(), b".runpod".to_vec(), folder)]);
    let commit = upstream.git(&["commit-tree", &root, "-m", "hostile"]);
    upstream.git(&["update-ref", "HEAD", &commit]);
}

fn tree(repo: &Repo, items: &[Item]) -> String {
    let mut items = items.to_vec();
    items.sort_by(|one, other| {
        let key = |item: &Item| {
            let mut name = item.1.clone();
            if item.0.ends_with("40000") {
                name.push(b'/');
            }
            name
        };
        key(one).cmp(&key(other))
    });
    let mut raw = Vec::new();
    for (mode, name, oid) in items {
        write!(raw, "{} ", mode.trim_start_matches('0')).unwrap();
        raw.extend_from_slice(&name);
        raw.push(0);
        raw.extend(
            (0..oid.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&oid[at..at + 2], 16).unwrap()),
        );
    }
    repo.git_input(
        &["hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        &raw,
    )
}

/// A worker meets a hostile upstream, named as a folder and as a URL.
fn refuses(prepare: impl Fn(&Repo), line: &str) {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    prepare(&upstream);
    let worker = lab.legacy("worker");
    let before = worker.everything();
    let url = format!("file://{}", upstream.path.display());
    for address in ["../upstream", &url] {
        let run = worker.migrate(&["--upstream", address]);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.starts_with("error: "), "{run:?}");
        assert!(run.stderr.contains(line), "no {line:?} in {}", run.stderr);
        worker.everything().expect_same(&before, address);
    }
    assert!(!lab.path("escaped").exists());
    assert_eq!(std::fs::read_dir(lab.path("tmp")).unwrap().count(), 0);
}

#[test]
fn names_that_leave_the_worker_or_are_git_to_somebody() {
    for (path, line) in [
        (
            b"public/../../../escaped" as &[u8],
            "the path leaves its folder",
        ),
        (b"public/./x", "the path leaves its folder"),
        (
            b"public/.git/hooks/post-checkout",
            "some systems read this name as .git",
        ),
        (b"public/.GIT/config", "some systems read this name as .git"),
        (b"public/.Git", "some systems read this name as .git"),
        (
            b"public/git~1/config",
            "some systems read this name as .git",
        ),
        (b"public/GIT~1", "some systems read this name as .git"),
        (b"public/.git /x", "some systems read this name as .git"),
        (
            "public/.g\u{200c}it/x".as_bytes(),
            "some systems read this name as .git",
        ),
        (
            b"public/a\\b",
            "a character that Windows reads as part of a path",
        ),
        (
            b"public/c:x",
            "a character that Windows reads as part of a path",
        ),
        (b"public/a\nb", "the name holds control characters"),
        (b"public/a\x1b[2Jb", "the name holds control characters"),
        (b"public/\xff", "the name is not UTF-8"),
    ] {
        refuses(
            |upstream| crafted(upstream, &[("100644", path, b"harm")]),
            line,
        );
    }
}

#[test]
fn nothing_that_others_wrote_acts_on_a_terminal() {
    let acts = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || "\u{202e}\u{2066}\u{2069}".contains(c)
    };
    let harmless = |run: &Run| {
        let raw = String::from_utf8(run.raw.clone()).unwrap();
        for text in [&raw, &run.stderr] {
            assert!(!text.contains(acts), "{text:?}");
        }
    };
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.write(".runpod/fdp.\u{202e}yp", "");
    upstream.commit("feat: harm");
    let worker = lab.legacy("worker");
    let odd = std::ffi::OsStr::from_bytes(b"run\xff\xc2\x9b2J.sh");
    worker.write(odd, "python3 src/handler.py\n");
    worker.write(
        ".runpod/hub.json",
        "{\"title\": \"\u{1b}]0;x\u{7}\u{202e}\u{9b}2J\", }",
    );
    worker.write(
        ".runpod/tests.json",
        b"{\"tests\": [\"\xff\xc2\x9b2J\x1b[8m\"]}",
    );
    worker.commit("feat: odd");
    let run = worker.migrate(&["--upstream", "../upstream"]);
    harmless(&run);
    run.refused_like("the name holds invisible characters");
    lab.at("upstream")
        .git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    for options in [
        &["--dry-run"] as &[&str],
        &["--dry-run", "--format", "json"],
    ] {
        let run = worker.migrate(&[&["--upstream", "../upstream"], options].concat());
        harmless(&run);
        assert!(run.stdout.contains("2J.sh"), "{run:?}");
    }
    for format in ["text", "github", "json", "sarif"] {
        let run = worker.task("hub-lint", &["--format", format]).run();
        harmless(&run);
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stdout.contains("hub.json"), "{run:?}");
    }
}

#[test]
fn names_of_git_at_the_top() {
    // Even where they would stay behind, because `.git` is the repository's own.
    for (path, line) in [
        (
            b".git/config" as &[u8],
            ".git/config: some systems read this name as .git",
        ),
        (
            b".GIT/config",
            ".GIT/config: some systems read this name as .git",
        ),
        (
            b"git~1/config",
            "git~1/config: some systems read this name as .git",
        ),
        (b"../escaped", "../escaped: the path leaves its folder"),
        (b"../.git/hooks/post-commit", "the path leaves its folder"),
    ] {
        refuses(
            |upstream| crafted(upstream, &[("100644", path, b"harm")]),
            line,
        );
    }
}

#[test]
fn links_that_lead_out_or_alias() {
    for (path, target, line) in [
        (
            b"public/x" as &[u8],
            b"/etc/passwd" as &[u8],
            "public/x: the link to /etc/passwd leaves the worker",
        ),
        (
            b"public/x",
            b"../../escaped",
            "public/x: the link to ../../escaped leaves the worker",
        ),
        (
            b"public/x",
            b"../engine.py",
            "public/x: the link is a second name of engine.py",
        ),
        (
            b"public/x",
            b"../.git/hooks/post-commit",
            "public/x: the link leads to .git/hooks/post-commit",
        ),
        (
            b"public/x",
            b"../.GIT/config",
            "public/x: the link leads to .GIT/config",
        ),
        (
            b"engine.py",
            b"handler.py",
            "engine.py: a core file may not be a link (to handler.py)",
        ),
        (b"hub.json", b"/etc/passwd", ".runpod/hub.json: "),
        (b"public", b"/tmp", "public: "),
        (b"public", b".git", "public: "),
        (b"public", b"..", "public: "),
        (b"public/x", b"", "public/x: "),
    ] {
        refuses(
            |upstream| crafted(upstream, &[("120000", path, target)]),
            line,
        );
    }
}

#[test]
fn names_that_some_systems_take_for_one_another() {
    refuses(
        |upstream| {
            let id = upstream.git_input(&["hash-object", "-w", "--stdin"], b"2");
            let file = |name: &str| ("100644".to_owned(), name.into(), id.clone());
            let folder = tree(upstream, &[file("A.txt"), file("a.txt")]);
            let mut items = listed(upstream);
            items.retain(|item| item.1 != b"public");
            items.push(("40000".into(), b"public".to_vec(), folder));
            take_over(upstream, &items);
        },
        "public/a.txt: some systems take it for public/A.txt",
    );
    refuses(
        |upstream| crafted(upstream, &[("100644", b"Engine.py", b"1")]),
        "some systems take it for",
    );
}

#[test]
fn configuration_and_records_stay_behind_and_are_told() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let harm = [
        ".Cargo/config.toml",
        ".devcontainer/devcontainer.json",
        ".env",
        ".envrc",
        ".pre-commit-config.yaml",
        ".vscode/tasks.json",
        ".xtask/accepted.json",
        "Compare.accepted.json",
        "builder/setup.sh",
        "conftest.py",
        "hub-lint.json",
        "rust-toolchain.toml",
        "\u{17f}rc/handler.py",
    ];
    for path in harm {
        upstream.write(format!(".runpod/{path}"), "harm");
    }
    let silence = r#"{"ignore": [{"rule": "HUB*", "reason": "harm"}]}"#;
    upstream.write(".runpod/hub-lint.json", silence);
    upstream.edit(".runpod/hub.json", "\"language\"", "\"nonsense\"");
    upstream.write(".runpod/helper.py", "import json\n");
    upstream.write(".runpod/.dockerignore", "*.md\n");
    upstream.commit("feat: harm");
    let modern = lab.modern("flat");
    for path in harm {
        modern.write(path, "harm");
    }
    modern.write("helper.py", "import json\n");
    modern.write(".dockerignore", "*.md\n");
    let copied = harm.map(|path| path.split('/').next().unwrap()).join(" ");
    modern.edit("Dockerfile", "COPY *.py", &format!("COPY {copied} *.py"));
    modern.commit("feat: harm");
    for (name, folder) in [("upstream", ".runpod/"), ("flat", "")] {
        let worker = lab.legacy(&format!("worker-{name}"));
        let run = worker
            .migrate(&["--upstream", &format!("../{name}")])
            .done();
        for path in harm {
            assert!(!worker.has(path), "{path} came from {name}");
            let told = format!("{folder}{path} of the upstream is left out: ");
            assert!(run.stdout.contains(&told), "no {told:?} in {run:?}");
        }
        assert_eq!(worker.read("helper.py"), "import json\n");
        assert_eq!(worker.read(".dockerignore"), "*.md\n");
        if name == "upstream" {
            let lint = worker.task("hub-lint", &[]).run();
            assert!(lint.stdout.contains("\"nonsense\""), "{lint:?}");
            assert_eq!(lint.code, Some(1), "{lint:?}");
        }
    }
}

#[test]
fn a_name_that_this_worker_has_in_another_spelling() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.write(".runpod/LB.py", "theirs");
    upstream.commit("feat: theirs");
    let worker = lab.legacy("worker");
    worker.write("lb.py", "mine");
    worker.commit("feat: mine");
    let before = worker.everything();
    worker.migrate(&["--upstream", "../upstream"]).refused(
        "the upstream is refused:\n  LB.py: some systems take it for lb.py",
        "give your file another name with `git mv`, and commit that; or name another upstream",
    );
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_name_that_is_there_twice() {
    refuses(
        |upstream| {
            crafted(
                upstream,
                &[("100644", b"twice.py", b"1"), ("100644", b"twice.py", b"2")],
            );
        },
        "the tree names .runpod/twice.py twice",
    );
}

#[test]
fn a_name_that_is_both_a_file_and_a_folder() {
    refuses(
        |upstream| {
            crafted(
                upstream,
                &[("100644", b"both", b"1"), ("100644", b"both/x", b"2")],
            );
        },
        "both",
    );
}

#[test]
fn a_submodule() {
    refuses(
        |upstream| crafted(upstream, &[("160000", b"public/sub", b"x")]),
        "public/sub: is a submodule",
    );
}

#[test]
fn a_large_file() {
    refuses(
        |upstream| {
            upstream.write(".runpod/public/large.bin", vec![b'x'; 21 << 20]);
            upstream.commit("feat: large");
        },
        "public/large.bin: 21 MB is more than the 20 MB a file may have",
    );
}

#[test]
fn very_many_files() {
    refuses(
        |upstream| {
            let id = upstream.git_input(&["hash-object", "-w", "--stdin"], b"x");
            let mut list = String::new();
            for number in 0..10_000 {
                writeln!(list, "100644 {id}\t.runpod/public/{number}").unwrap();
            }
            upstream.git_input(&["update-index", "--index-info"], list.as_bytes());
            upstream.git(&["commit", "--quiet", "-m", "feat: many"]);
        },
        "files would come; more than 1000 is no worker",
    );
}

/// The same from a directory without git.
fn directory_refuses(prepare: impl Fn(&Lab, &Repo), line: &str) {
    let lab = Lab::new();
    let upstream = lab.at("upstream");
    crate::support::copy(&crate::support::example("upstream"), &upstream.path);
    prepare(&lab, &upstream);
    let worker = lab.legacy("worker");
    let before = worker.everything();
    let run = worker.migrate(&["--upstream", "../upstream"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains(line), "no {line:?} in {}", run.stderr);
    worker.everything().expect_same(&before, "a refusal");
}

#[test]
fn a_directory_with_a_sparse_file_of_2_gb() {
    directory_refuses(
        |_, upstream| {
            let file = std::fs::File::create(upstream.file(".runpod/public/huge.bin")).unwrap();
            file.set_len(2 << 30).unwrap();
        },
        "public/huge.bin: 2048 MB is more than the 20 MB a file may have",
    );
}

#[test]
fn a_directory_with_a_fifo() {
    directory_refuses(
        |_, upstream| {
            let made = std::process::Command::new("mkfifo")
                .arg(upstream.file(".runpod/pipe"))
                .status();
            assert!(made.unwrap().success());
        },
        ".runpod/pipe in [LAB]/worker/../upstream is neither a file, a link nor a folder",
    );
}

#[test]
fn a_directory_with_very_many_files_or_links_that_lead_out() {
    directory_refuses(
        |_, upstream| {
            for number in 0..10_000 {
                upstream.write(format!(".runpod/public/{number}"), "");
            }
        },
        "files would come; more than 1000 is no worker",
    );
    directory_refuses(
        |lab, upstream| {
            lab.write("secret", "secret");
            upstream.remove(".runpod/engine.py");
            upstream.link(".runpod/engine.py", "../../secret");
        },
        "engine.py: a core file may not be a link",
    );
    directory_refuses(
        |lab, upstream| {
            lab.write("secret/x", "secret");
            upstream.remove(".runpod/public");
            upstream.link(".runpod/public", "../../secret");
        },
        "public: ",
    );
}

#[track_caller]
fn untouched(options: &[&str]) -> Run {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.legacy("worker");
    let before = worker.everything();
    let run = worker.migrate(options);
    worker.everything().expect_same(&before, "a refusal");
    assert!(!lab.path("worker/ran").exists() && !lab.path("ran").exists());
    run
}

#[test]
fn addresses_and_revisions_that_are_options() {
    untouched(&["--upstream=--upload-pack=touch ran"]).unusable(
        "upstream \"--upload-pack=touch ran\" begins with `-`; git would read it as an option",
    );
    untouched(&["--upstream", "../upstream", "--rev=--output=ran"])
        .unusable("revision \"--output=ran\" begins with `-`; git would read it as an option");
    untouched(&["--upstream", "../upstream", "--rev", ""])
        .unusable("revision \"\" is empty or holds control characters");
    untouched(&["--upstream", "ssh://-oProxyCommand=touch ran/x"])
        .refused_like("could not be fetched");
    assert_eq!(
        untouched(&["--upstream", "-oProxyCommand=touch ran:x"]).code,
        Some(2)
    );
}

#[test]
fn transports_that_run_commands() {
    let ext = "ext::sh -c touch% ran";
    untouched(&["--upstream", ext]).unusable(&format!(
        "upstream {ext:?} names a transport helper, which could run any command; use one of \
         https, http, ssh, git, file"
    ));
    untouched(&["--upstream", "fd::17"]).unusable(
        "upstream \"fd::17\" names a transport helper, which could run any command; use one of \
         https, http, ssh, git, file",
    );
    untouched(&["--upstream", "ext://x/y"]).unusable(
        "upstream \"ext://x/y\": the transport ext is not one of https, http, ssh, git, file",
    );
}

#[test]
fn a_lock_that_names_a_transport_that_runs_commands() {
    let lab = Lab::new();
    lab.upstream("upstream");
    let worker = lab.migrated("worker");
    for address in [
        "ext::sh -c touch% ran",
        "--upload-pack=touch ran",
        "ext://x",
    ] {
        worker.edit(
            ".xtask/upstream.lock.json",
            &serde_json::from_str::<serde_json::Value>(&worker.read(".xtask/upstream.lock.json"))
                .unwrap()["upstream"]["address"]
                .to_string(),
            &serde_json::json!(address).to_string(),
        );
        worker.commit("chore: harm");
        let before = worker.everything();
        for options in [&[] as &[&str], &["--check"], &["--dry-run"]] {
            let run = worker.migrate(options);
            assert_eq!(run.code, Some(2), "{run:?}");
            worker.everything().expect_same(&before, address);
        }
    }
    assert!(!worker.has("ran"));
}

#[test]
fn a_lock_that_names_paths_outside_of_the_worker() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.migrated("worker");
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: more");
    let lock = worker.read(".xtask/upstream.lock.json");
    for path in ["../escaped", ".git/hooks/post-commit", "/tmp/escaped"] {
        worker.write(
            ".xtask/upstream.lock.json",
            lock.replacen("\"test_input.json\": {", &format!("\"{path}\": {{"), 1),
        );
        worker.commit("chore: harm");
        let before = worker.state();
        let hooks = worker.file(".git/hooks");
        let run = worker.migrate(&[]);
        if run.code == Some(0) {
            worker.migrate(&["--abort"]).done();
        }
        worker.state().expect_same(&before, path);
        assert!(!hooks.exists() && !lab.path("escaped").exists());
    }
}

#[test]
fn nothing_of_the_upstream_runs() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let marker = lab.path("ran");
    upstream.write(
        ".runpod/handler.py",
        format!("open({:?}, 'w')\n", marker.display().to_string()),
    );
    upstream.write(".gitattributes", "* filter=harm merge=harm\n");
    upstream.commit("feat: harm");
    let touch = lab.script("touch", &format!("touch {}", marker.display()));
    for (key, value) in [
        ("uploadpack.packObjectsHook", touch.display().to_string()),
        ("filter.harm.smudge", touch.display().to_string()),
        ("core.fsmonitor", touch.display().to_string()),
        ("core.alternateRefsCommand", touch.display().to_string()),
    ] {
        upstream.git(&["config", key, &value]);
    }
    let _ = std::fs::remove_file(&marker);
    let url = format!("file://{}", upstream.path.display());
    for (name, address) in [("one", "../upstream"), ("two", &url)] {
        lab.legacy(name).migrates(&["--upstream", address]);
        assert!(
            !marker.exists(),
            "something of the upstream has run ({address})"
        );
    }
}
