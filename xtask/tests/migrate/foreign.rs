//! Repositories that somebody else wrote: their configuration never runs anything. Each trap is
//! sprung by plain git first, so that a trap that has gone dull fails its test.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Lab, Repo, Run};

/// A configuration that has git run a command.
struct Trap {
    /// What is wrong with the repository; `[RUN]` stands for the command.
    config: &'static str,
    /// Calls of git that spring it; `[OID]` stands for a file's object.
    sprung_by: &'static [&'static [&'static str]],
    /// Which objects are missing.
    lacks: Lacks,
}

#[derive(Clone, Copy, PartialEq)]
enum Lacks {
    Nothing,
    Files,
    Everything,
}

/// A partial clone, whose lazy fetch starts what its configuration names.
const READ: &[&[&str]] = &[&["cat-file", "-p", "[OID]"]];
const PARTIAL: &str = "[core]\n\trepositoryformatversion = 1\n\tbare = true\n\
                       [extensions]\n\tpartialClone = o\n[remote \"o\"]\n\tpromisor = true\n";

/// The gits on PATH, a folder with one `git` for each version.
fn gits(lab: &Lab) -> Vec<PathBuf> {
    let mut versions: Vec<String> = Vec::new();
    let mut folders = Vec::new();
    for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap()) {
        let program = folder.join("git");
        let Ok(answer) = Command::new(&program).arg("version").output() else {
            continue;
        };
        let version = String::from_utf8(answer.stdout).unwrap();
        if versions.contains(&version) {
            continue;
        }
        let own = lab.path(&format!("git-{}", versions.len()));
        std::fs::create_dir(&own).unwrap();
        std::os::unix::fs::symlink(program, own.join("git")).unwrap();
        versions.push(version);
        folders.push(own);
    }
    folders
}

/// Plants the trap as a bare repository in `folder`; gives the object that a reader asks for.
fn plant(lab: &Lab, folder: &str, trap: &Trap, harm: &Path) -> String {
    let from = lab.at("upstream");
    let bare = lab.at(folder);
    from.git(&[
        "clone",
        "--quiet",
        "--bare",
        ".",
        bare.path.to_str().unwrap(),
    ]);
    // What is missing can only be taken out of single objects.
    let objects = bare.file("objects");
    let packs: Vec<PathBuf> = std::fs::read_dir(objects.join("pack"))
        .unwrap()
        .map(|item| item.unwrap().path())
        .collect();
    for pack in packs {
        let content = std::fs::read(&pack).unwrap();
        std::fs::remove_file(&pack).unwrap();
        if pack.extension().is_some_and(|end| end == "pack") {
            bare.git_input_quietly(&["unpack-objects", "-q"], &content);
        }
    }
    let file = bare.git(&["rev-parse", "HEAD:.runpod/engine.py"]);
    if trap.lacks != Lacks::Nothing {
        let all = bare.git(&["cat-file", "--batch-all-objects", "--batch-check"]);
        for line in all.lines() {
            let mut words = line.split(' ');
            let (oid, kind) = (words.next().unwrap(), words.next().unwrap());
            if kind == "blob" || trap.lacks == Lacks::Everything {
                std::fs::remove_file(objects.join(&oid[..2]).join(&oid[2..])).unwrap();
            }
        }
    }
    // A folder that is empty does not survive a clone of what holds it.
    for kept in ["refs/keep", "objects/keep"] {
        bare.write(kept, "");
    }
    let harm = harm.to_str().unwrap();
    let config = trap.config.replace("[RUN]", harm);
    if config.contains("hooksPath") {
        for hook in [
            "post-index-change",
            "reference-transaction",
            "post-checkout",
        ] {
            lab.script(&format!("{folder}/planted/{hook}"), harm);
        }
    }
    bare.write("info/attributes", "* filter=harm diff=harm merge=harm\n");
    bare.write("planted.config", config.replace("[INCLUDED]", ""));
    match config.split_once("[INCLUDED]") {
        Some((_, included)) => {
            bare.write("included.config", included);
            bare.write("config", "[include]\n\tpath = included.config\n");
        }
        None => bare.write("config", config),
    }
    file
}

/// Every way that leads a task into a foreign repository, with every git of this machine.
#[track_caller]
fn runs_nothing(trap: &Trap) {
    runs_nothing_behind(trap, |_, address| address.to_owned());
}

/// The same where `reached` gives the address by which the planted repository is named.
#[track_caller]
fn runs_nothing_behind(trap: &Trap, reached: impl Fn(&Lab, &str) -> String) {
    let lab = Lab::new();
    lab.upstream("upstream");
    let marker = lab.path("ran");
    let harm = lab.script("harm", &format!("touch '{}'", marker.display()));
    let file = plant(&lab, "planted.git", trap, &harm);
    let address = reached(&lab, "../planted.git");
    let url = format!("file://{}", lab.path("planted.git").display());
    let commit = lab.at("upstream").head();
    // One within the worker, as a clone brings it.
    let worker = lab.migrated("worker");
    plant(&lab, "worker/vendor/up.git", trap, &harm);
    worker.commit("chore: vendor the upstream");
    let lock = worker.read(".xtask/upstream.lock.json");
    let locked = |to: &str| {
        worker.write(".xtask/upstream.lock.json", lock.replace("../upstream", to));
        worker.git(&[
            "commit",
            "--quiet",
            "--all",
            "--allow-empty",
            "-m",
            "chore: harm",
        ]);
    };
    let legacy = lab.legacy("legacy");
    let gits = gits(&lab);
    assert!(!gits.is_empty());
    for git in gits {
        springs(&lab, trap, &git, &file, &marker);
        let quiet = |run: Run, how: &str| {
            assert!(matches!(run.code, Some(0..=2)), "{how}: {run:?}");
            assert!(
                !marker.exists(),
                "{how} ran a command with {}: {run:?}",
                git.display()
            );
        };
        let task = |repo: &Repo, name: &str, args: &[&str]| {
            repo.task(name, args)
                .path_first(&git)
                .env("DOCKER", "none")
                .run()
        };
        let inside = "vendor/up.git";
        for named in [inside, &address, &url] {
            locked(named);
            for trust in [false, true] {
                lab.trust(&[if trust {
                    worker.file(named)
                } else {
                    lab.path("nothing")
                }]);
                quiet(task(&worker, "status", &[]), "status");
                quiet(task(&worker, "migrate", &["--check"]), "migrate --check");
            }
            for options in [&["--check"] as &[&str], &["--check", "--rev", &commit]] {
                let options = [options, &["--upstream", named]].concat();
                quiet(
                    task(&worker, "migrate", &options),
                    "migrate --check --upstream",
                );
            }
            quiet(task(&worker, "compare", &[named]), "compare");
        }
        let options = ["--upstream", &address];
        quiet(task(&legacy, "migrate", &options), "migrate --upstream");
        legacy.git(&["reset", "--quiet", "--hard"]);
        let options = ["--adopt", "main", "--upstream", &address];
        quiet(
            task(&lab.modern("modern"), "migrate", &options),
            "migrate --adopt",
        );
        lab.at("modern").remove("");
        let at = worker
            .task_at("vendor/up.git", "status", &[])
            .path_first(&git);
        quiet(at.env("DOCKER", "none").run(), "status -C");
    }
}

/// Plain git does run the command: the trap is a trap.
#[track_caller]
fn springs(lab: &Lab, trap: &Trap, git: &Path, file: &str, marker: &Path) {
    for call in trap.sprung_by {
        let mut command = Command::new(git.join("git"));
        lab.environment(&mut command);
        let call = call
            .iter()
            .map(|word| if *word == "[OID]" { file } else { word });
        let _ = command
            .current_dir(lab.path("planted.git"))
            .args(call)
            .output()
            .unwrap();
    }
    assert!(
        marker.exists(),
        "{} is not caught by the trap",
        git.display()
    );
    std::fs::remove_file(marker).unwrap();
    for left in ["index", "index.lock"] {
        let _ = std::fs::remove_file(lab.path("planted.git").join(left));
    }
}

fn partial(more: &str, lacks: Lacks) -> Trap {
    Trap {
        config: Box::leak(format!("{PARTIAL}{more}").into_boxed_str()),
        sprung_by: READ,
        lacks,
    }
}

#[test]
fn a_promisor_whose_pack_is_made_by_a_command() {
    for lacks in [Lacks::Everything, Lacks::Files] {
        runs_nothing(&partial("\turl = /tmp\n\tuploadpack = [RUN]\n", lacks));
    }
}

#[test]
fn an_ssh_command() {
    let more = "\turl = ssh://host.invalid/x\n[core]\n\tsshCommand = [RUN]\n";
    runs_nothing(&partial(more, Lacks::Files));
}

#[test]
fn a_proxy_of_the_git_protocol() {
    let more = "\turl = git://host.invalid/x\n[core]\n\tgitProxy = [RUN]\n";
    runs_nothing(&partial(more, Lacks::Files));
}

#[test]
fn a_transport_that_is_a_command() {
    let more = "\turl = ext::[RUN]\n[protocol \"ext\"]\n\tallow = always\n";
    runs_nothing(&partial(more, Lacks::Files));
}

#[test]
fn a_credential_helper() {
    let port = asks_for_a_password();
    let more = format!("\turl = http://127.0.0.1:{port}/x.git\n[credential]\n\thelper = ![RUN]\n");
    runs_nothing(&partial(&more, Lacks::Files));
}

/// A web server that lets nobody in; it ends with this process.
fn asks_for_a_password() -> u16 {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in server.incoming().flatten() {
            let mut client = client;
            let _ = client.read(&mut [0; 4096]);
            let _ = client.write_all(
                b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n\
                  Content-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    port
}

#[test]
fn a_configuration_that_includes_another() {
    let trap = Trap {
        config: "[INCLUDED][remote \"o\"]\n\tpromisor = true\n\turl = /tmp\n\tuploadpack = [RUN]\n",
        sprung_by: READ,
        lacks: Lacks::Files,
    };
    runs_nothing(&trap);
}

#[test]
fn a_file_that_names_the_git_directory() {
    let trap = partial("\turl = /tmp\n\tuploadpack = [RUN]\n", Lacks::Files);
    runs_nothing_behind(&trap, |lab, address| {
        lab.write("pointing/.git", format!("gitdir: {address}\n"));
        "../pointing".to_owned()
    });
}

#[test]
fn a_monitor_of_the_file_system() {
    runs_nothing(&Trap {
        config: "[core]\n\tfsmonitor = [RUN]\n\tbare = false\n\tworktree = .\n",
        sprung_by: &[
            &[
                "--git-dir=.",
                "update-index",
                "--add",
                "--cacheinfo",
                "100644,[OID],x",
            ],
            &["--git-dir=.", "read-tree", "HEAD"],
            &["--git-dir=.", "status"],
        ],
        lacks: Lacks::Nothing,
    });
}

#[test]
fn hooks_in_a_folder_of_its_own() {
    runs_nothing(&Trap {
        config: "[core]\n\thooksPath = planted\n\tbare = false\n\tworktree = .\n",
        sprung_by: &[&["--git-dir=.", "read-tree", "HEAD"]],
        lacks: Lacks::Nothing,
    });
}

#[test]
fn filters_and_drivers() {
    runs_nothing(&Trap {
        config: "[filter \"harm\"]\n\tclean = [RUN]\n\tsmudge = [RUN]\n\tprocess = [RUN]\n\
                 [diff \"harm\"]\n\ttextconv = [RUN]\n\tcommand = [RUN]\n\
                 [merge \"harm\"]\n\tdriver = [RUN]\n[core]\n\tbare = false\n\tworktree = .\n",
        sprung_by: &[&["--git-dir=.", "hash-object", "--path=x", "description"]],
        lacks: Lacks::Nothing,
    });
}

#[test]
fn a_lock_does_not_vouch_for_a_directory_on_this_machine() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let worker = lab.migrated("worker");
    let url = format!("file://{}", upstream.path.display());
    upstream.append(".runpod/engine.py", "# more\n");
    upstream.commit("feat: more");
    let lock = worker.read(".xtask/upstream.lock.json");
    for address in ["../upstream", &url] {
        worker.write(
            ".xtask/upstream.lock.json",
            lock.replace("../upstream", address),
        );
        worker.git(&[
            "commit",
            "--quiet",
            "--all",
            "--allow-empty",
            "-m",
            "chore: move",
        ]);
        let shown = lab.scrub(address);
        let what = format!(
            ".xtask/upstream.lock.json names {shown} as upstream, a directory on this machine"
        );
        let help = format!(
            "name it with --upstream {shown}, or trust it from now on with `git config --global \
             --add xtask.trustedUpstream [LAB]/upstream`"
        );
        lab.trust(&[]);
        // What the repository's own configuration says came with the repository.
        worker.git(&[
            "config",
            "xtask.trustedUpstream",
            upstream.path.to_str().unwrap(),
        ]);
        worker.migrate(&["--check"]).refused(&what, &help);
        // It names the upstream and does not read it.
        let status = worker.task("status", &[]).env("DOCKER", "none").run();
        status.says(&format!("  upstream  {shown} at [OID]\n"));
        worker
            .migrate(&["--check", "--upstream", address])
            .finds()
            .says("  ~ engine.py");
        lab.types("worker", &lab.trusting("../upstream")).done();
        worker.migrate(&["--check"]).finds().says("  ~ engine.py");
    }
}

#[test]
fn repositories_of_every_kind_are_read() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let commit = upstream.head();
    upstream.git(&["tag", "-m", "one", "v1"]);
    upstream.append(".runpod/engine.py", "# newer\n");
    upstream.commit("feat: newer");
    let url = format!("file://{}", upstream.path.display());
    let home = lab.at("home");
    upstream.git(&["worktree", "add", "--quiet", "--detach", "../linked", "v1"]);
    home.git(&["clone", "--quiet", "--shared", "../upstream", "../shared"]);
    home.git(&[
        "clone",
        "--quiet",
        "--depth=1",
        "--branch=v1",
        &url,
        "../shallow",
    ]);
    home.git(&[
        "clone",
        "--quiet",
        "--bare",
        "../upstream",
        "../a \"quoted\"\n# name\\.git",
    ]);
    let mut kinds = vec!["linked", "shared", "shallow", "a \"quoted\"\n# name\\.git"];
    let formats = ["--ref-format=reftable", "--object-format=sha256"];
    for (name, format) in [("reftable", formats[0]), ("sha256", formats[1])] {
        let made = home.try_git(&["init", "--quiet", format, &format!("../{name}")]);
        if !made.status.success() {
            eprintln!("skipped: this git knows no {format}");
            continue;
        }
        crate::support::copy(&crate::support::example("upstream"), &lab.path(name));
        lab.at(name).commit("feat: the worker");
        lab.at(name).git(&["tag", "-m", "one", "v1"]);
        kinds.push(name);
    }
    for name in kinds {
        let worker = lab.legacy("worker");
        let address = format!("../{name}");
        let options = ["--upstream", &address, "--rev", "v1"];
        if name.contains('\n') {
            // Nobody could type what is printed.
            worker.migrate(&options).unusable(&format!(
                "upstream {address:?} is empty or holds control characters"
            ));
        } else {
            worker.migrates(&options);
            let lock = worker.read(".xtask/upstream.lock.json");
            let same = lock.contains(&format!("\"commit\": \"{commit}\""));
            assert_eq!(
                same,
                !matches!(name, "reftable" | "sha256"),
                "{name}: {lock}"
            );
            assert!(!worker.read("engine.py").ends_with("# newer\n"), "{name}");
        }
        worker.remove("");
    }
    assert_eq!(std::fs::read_dir(lab.path("tmp")).unwrap().count(), 0);
}

/// As an archive may hold it: at a pipe git would wait for ever, and a device never ends.
#[test]
fn a_pipe_or_a_device_in_a_git_directory_is_refused() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    let object = upstream.git(&["rev-parse", "HEAD:.runpod/engine.py"]);
    let object = format!("objects/{}/{}", &object[..2], &object[2..]);
    let worker = lab.legacy("worker");
    let names = [
        "HEAD",
        "config",
        "packed-refs",
        "commondir",
        "shallow",
        "refs/x",
        &object,
    ];
    for name in names {
        for device in [None, Some("/dev/zero")] {
            let odd = upstream.copied("odd");
            let path = odd.path.join(".git").join(name);
            let _ = std::fs::remove_file(&path);
            match device {
                Some(device) => std::os::unix::fs::symlink(device, &path).unwrap(),
                None => assert!(
                    Command::new("mkfifo")
                        .arg(&path)
                        .status()
                        .unwrap()
                        .success()
                ),
            }
            worker
                .migrate(&["--upstream", "../odd", "--check"])
                .refused(
                    &format!("[LAB]/odd/.git/{name} is no file that git would have made"),
                    "name another upstream with --upstream",
                );
            std::fs::remove_file(&path).unwrap();
            odd.remove("");
        }
    }
    let odd = upstream.copied("odd");
    odd.remove(".git");
    let file = std::fs::File::create(odd.path.join(".git")).unwrap();
    file.set_len(3 << 30).unwrap();
    worker
        .migrate(&["--upstream", "../odd", "--check"])
        .refused_like(".git is no file that git would have made");
}

#[test]
fn a_partial_clone_is_told_and_not_completed() {
    let lab = Lab::new();
    let upstream = lab.upstream("upstream");
    upstream.git(&["config", "uploadpack.allowFilter", "true"]);
    let url = format!("file://{}", upstream.path.display());
    let home = lab.at("home");
    for (name, filter) in [("files", "blob:none"), ("folders", "tree:0")] {
        let filter = format!("--filter={filter}");
        let to = format!("../{name}");
        home.git(&["clone", "--quiet", "--no-checkout", &filter, &url, &to]);
        let run = lab
            .legacy(&format!("worker-{name}"))
            .migrate(&["--upstream", &to]);
        run.refused_like("error: the upstream is a partial clone, which lacks what a migration")
            .refused_like("help: name a whole clone, or the URL that it was cloned from");
    }
    // What has been checked out is there.
    home.git(&[
        "clone",
        "--quiet",
        "--filter=blob:none",
        &url,
        "../checked-out",
    ]);
    lab.legacy("worker")
        .migrates(&["--upstream", "../checked-out"]);
}
