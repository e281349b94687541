//! A scratch folder with repositories in it, the command that is tested, and what it left behind.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;

/// A scratch folder: the home of a user, and repositories side by side.
pub struct Lab {
    root: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        let lab = Self {
            root: tempfile::Builder::new()
                .prefix("migrate-")
                .tempdir_in(scratch())
                .unwrap(),
        };
        fs::create_dir(lab.path("home")).unwrap();
        fs::create_dir(lab.path("tmp")).unwrap();
        lab.trust(&[lab.path("upstream")]);
        lab
    }

    /// The user's configuration, with the upstreams on this machine that a lock alone may name.
    pub fn trust(&self, upstreams: &[PathBuf]) {
        let mut config = "[user]\n\tname = Maintainer\n\temail = maintainer@localhost\n\
                          [init]\n\tdefaultBranch = main\n[advice]\n\tdetachedHead = false\n\
                          [xtask]\n"
            .to_owned();
        for upstream in upstreams {
            let _ = writeln!(config, "\ttrustedUpstream = {}", upstream.display());
        }
        fs::write(self.path("home/.gitconfig"), config).unwrap();
    }

    /// The command by which a user trusts an upstream.
    pub fn trusting(&self, upstream: &str) -> String {
        let path = self.path("home").join(upstream).canonicalize().unwrap();
        format!(
            "git config --global --add xtask.trustedUpstream {}",
            path.display()
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file that belongs to no repository.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A program for the PATH of a command.
    pub fn script(&self, path: &str, text: &str) -> PathBuf {
        let path = self.write(path, format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// An empty repository.
    pub fn empty(&self, name: &str) -> Repo<'_> {
        self.init(name, &[])
    }

    pub fn init(&self, name: &str, options: &[&str]) -> Repo<'_> {
        let repo = self.at(name);
        fs::create_dir_all(&repo.path).unwrap();
        repo.git(&[&["init", "--quiet", "--template="], options].concat());
        repo
    }

    /// Whether this machine's git is of this version or a newer one. Debian 12 has 2.39.
    pub fn git_is_at_least(&self, wanted: (u32, u32)) -> bool {
        let said = self.at("").git(&["version"]);
        let version = said.trim_start_matches("git version ");
        let mut numbers = version.split('.').map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap()) >= wanted
    }

    /// Whether this git can keep references in a table.
    pub fn git_knows_reftable(&self) -> bool {
        let made = self
            .at("")
            .try_git(&["init", "--quiet", "--ref-format=reftable", "probe"]);
        let _ = fs::remove_dir_all(self.path("probe"));
        made.status.success()
    }

    /// A folder of the scratch folder, taken as a repository.
    pub fn at(&self, name: &str) -> Repo<'_> {
        Repo {
            lab: self,
            path: self.path(name),
        }
    }

    /// The legacy worker that comes with the tool, committed.
    pub fn legacy(&self, name: &str) -> Repo<'_> {
        self.once("legacy", name, || {
            let repo = self.empty(name);
            copy(&example("legacy"), &repo.path);
            repo.commit("feat: a worker of the legacy layout");
        })
    }

    /// The upstream that comes with the tool, in SGLang's shape, committed.
    pub fn upstream(&self, name: &str) -> Repo<'_> {
        self.once("upstream", name, || {
            let repo = self.empty(name);
            copy(&example("upstream"), &repo.path);
            repo.write("python/sglang/launch_server.py", "# the rest of SGLang\n");
            repo.write("README.md", "# SGLang\n");
            repo.commit("feat: the worker that upstream maintains");
        })
    }

    /// A legacy worker and its upstream with little in them, but a step of each kind between them:
    /// for tests that run the tool at each of its moments.
    pub fn small_legacy(&self, name: &str) -> Repo<'_> {
        self.small_upstream();
        self.once("small legacy", name, || {
            let repo = self.empty(name);
            for path in SMALL_IN_PLACE {
                repo.write(path, format!("# {path}\n"));
            }
            repo.write(".runpod/tests.json", SMALL_TESTS);
            repo.write(".runpod/README.md", "mine\n");
            repo.write("README.md", "# Worker\n");
            repo.write(".gitignore", "__pycache__/\n");
            repo.write("Dockerfile", "FROM scratch\n");
            repo.write("src/engine.py", "# starts sglang\n");
            // One folder moves file by file, the other as a whole.
            repo.write("src/__pycache__/engine.pyc", "cached");
            repo.write("builder/setup.sh", "# sets up\n");
            repo.link("builder/latest", "setup.sh");
            repo.commit("feat: a worker of the legacy layout");
        })
    }

    pub fn small_upstream(&self) -> Repo<'_> {
        if self.path("upstream").exists() {
            return self.at("upstream");
        }
        self.once("small upstream", "upstream", || {
            let repo = self.empty("upstream");
            for path in SMALL_IN_PLACE {
                repo.write(format!(".runpod/{path}"), format!("# {path}\n"));
            }
            repo.write(".runpod/hub.json", SMALL_LISTING);
            repo.write(".runpod/tests.json", SMALL_TESTS);
            repo.write(".runpod/Dockerfile", "FROM scratch\nCOPY .runpod/ ./\n");
            repo.write(".runpod/handler.py", "def handler(job):\n    pass\n");
            repo.write(".runpod/engine.py", "# waits:\ninterval=5\n");
            repo.write(".runpod/public/banner.png", "a picture");
            repo.commit("feat: the worker that upstream maintains");
        })
    }

    /// The small worker, migrated and committed.
    pub fn small_migrated(&self, name: &str) -> Repo<'_> {
        self.small_upstream();
        self.once("small migrated", name, || {
            let worker = self.small_legacy(name);
            worker.migrates(&["--upstream", "../upstream", "--commit"]);
        })
    }

    /// A modern worker as upstream: the same files at the root.
    pub fn modern(&self, name: &str) -> Repo<'_> {
        let repo = self.empty(name);
        copy(&example("upstream").join(".runpod"), &repo.path);
        for file in ["hub.json", "tests.json"] {
            repo.rename(file, &format!(".runpod/{file}"));
        }
        repo.write("README.md", "# A modern worker\n");
        let dockerfile = repo.read("Dockerfile");
        repo.write(
            "Dockerfile",
            dockerfile.replace("COPY .runpod/ ./", "COPY *.py requirements.txt ./"),
        );
        repo.commit("feat: a modern worker");
        repo
    }

    /// A legacy worker that was migrated to `upstream` and committed.
    pub fn migrated(&self, name: &str) -> Repo<'_> {
        self.once_for_upstream("migrated", name, || {
            let worker = self.legacy(name);
            worker.migrates(&["--upstream", "../upstream", "--commit"]);
        })
    }

    /// A repository that this process makes once for each upstream, and unpacks after that.
    pub fn once_for_upstream(&self, what: &str, name: &str, make: impl FnOnce()) -> Repo<'_> {
        let upstream = self.at("upstream").head();
        self.once(&format!("{what} {upstream}"), name, make)
    }

    /// A repository that this process makes once, and unpacks after that.
    pub fn once(&self, what: &str, name: &str, make: impl FnOnce()) -> Repo<'_> {
        static MADE: Mutex<BTreeMap<String, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let repo = self.at(name);
        let made = MADE.lock().unwrap().get(what).cloned();
        if let Some(packed) = made {
            tar::Archive::new(&packed[..]).unpack(&repo.path).unwrap();
            repo.git(&["update-index", "--refresh"]);
            return repo;
        }
        make();
        let mut packed = tar::Builder::new(Vec::new());
        packed.follow_symlinks(false);
        packed.append_dir_all("", &repo.path).unwrap();
        let packed = packed.into_inner().unwrap();
        MADE.lock().unwrap().insert(what.to_owned(), packed);
        repo
    }

    /// The environment of every command: this folder's own user, a fixed time, no colours.
    pub fn environment(&self, command: &mut Command) {
        command.env_clear();
        for name in ["PATH", "LLVM_PROFILE_FILE"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_DATE", "2024-05-06T07:08:09 +0000")
            .env("GIT_COMMITTER_DATE", "2024-05-06T07:08:09 +0000")
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
    }

    /// Types a command that was printed, in a folder of the scratch folder.
    pub fn types(&self, dir: &str, line: &str) -> Run {
        // cargo would build the tool first.
        let tool = env!("CARGO_BIN_EXE_xtask");
        self.script("bin/cargo", &format!("shift\nexec '{tool}' \"$@\""));
        let root = self.root.path().canonicalize().unwrap();
        let line = line.replace("[LAB]", &root.display().to_string());
        let mut shell = Command::new("sh");
        self.environment(&mut shell);
        let path = std::env::var("PATH").unwrap();
        shell
            .current_dir(self.path(dir))
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("GIT_EDITOR", "echo typed >")
            .args(["-c", &line]);
        self.ended(shell.output().unwrap())
    }

    /// How a command ended.
    pub fn ended(&self, output: Output) -> Run {
        let text = |bytes: &[u8]| self.scrub(&String::from_utf8_lossy(bytes));
        Run {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
            raw: output.stdout,
            refusal: 1,
        }
    }

    /// Takes what differs from run to run out of a text: this folder, and names of objects.
    pub fn scrub(&self, text: &str) -> String {
        let root = self.root.path().canonicalize().unwrap();
        let text = text
            .replace(&self.root.path().display().to_string(), "[LAB]")
            .replace(&root.display().to_string(), "[LAB]");
        let mut out = String::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !matches!(c, '0'..='9' | 'a'..='f'))
                .unwrap_or(rest.len());
            if matches!(digits, 40 | 64) || digits == 10 {
                out.push_str("[OID]");
                rest = &rest[digits..];
            } else {
                let end = digits.max(1);
                let end = (end..=rest.len())
                    .find(|&at| rest.is_char_boundary(at))
                    .unwrap();
                out.push_str(&rest[..end]);
                rest = &rest[end..];
            }
        }
        out
    }
}

/// Files that the small legacy worker has where upstream has them, and alike.
const SMALL_IN_PLACE: [&str; 5] = [
    "docker-compose.yml",
    "download_model.py",
    "requirements.txt",
    "test_input.json",
    "utils.py",
];

const SMALL_LISTING: &str = r#"{ "title": "Worker", "description": "Serves.", "type": "serverless", "category": "language",
  "config": { "runsOn": "GPU", "containerDiskInGb": 20 } }
"#;
const SMALL_TESTS: &str = r#"{ "tests": [{ "name": "one", "input": { "prompt": "Hi" } }],
  "config": { "gpuTypeId": "NVIDIA GeForce RTX 4090", "gpuCount": 1 } }
"#;

/// In memory where that is possible: these tests write much and keep nothing.
fn scratch() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let writable = tempfile::tempfile_in(&memory).is_ok();
    if writable {
        memory
    } else {
        std::env::temp_dir()
    }
}

/// A folder of the example that comes with the tool.
pub fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("example")
        .join(name)
}

/// Copies a folder with everything in it: links as links, two names of one file as such.
pub fn copy(from: &Path, to: &Path) {
    copy_below(from, to, &mut BTreeMap::new());
}

fn copy_below(from: &Path, to: &Path, known: &mut BTreeMap<u64, PathBuf>) {
    fs::create_dir_all(to).unwrap();
    for item in fs::read_dir(from).unwrap() {
        let item = item.unwrap();
        let target = to.join(item.file_name());
        let kind = item.file_type().unwrap();
        if kind.is_dir() {
            copy_below(&item.path(), &target, known);
            let permissions = item.metadata().unwrap().permissions();
            fs::set_permissions(target, permissions).unwrap();
        } else if kind.is_symlink() {
            symlink(fs::read_link(item.path()).unwrap(), target).unwrap();
        } else {
            let metadata = item.metadata().unwrap();
            let first = known.get(&metadata.ino()).filter(|_| metadata.nlink() > 1);
            if let Some(first) = first {
                fs::hard_link(first, target).unwrap();
            } else {
                fs::copy(item.path(), &target).unwrap();
                known.insert(metadata.ino(), target);
            }
        }
    }
}

/// A repository in the scratch folder.
#[derive(Clone)]
pub struct Repo<'a> {
    pub lab: &'a Lab,
    pub path: PathBuf,
}

impl<'a> Repo<'a> {
    /// git in this repository; it must succeed. Gives standard output without the last newline.
    pub fn git(&self, args: &[&str]) -> String {
        let output = self.try_git(args);
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .trim_end_matches('\n')
            .to_owned()
    }

    pub fn try_git(&self, args: &[&str]) -> Output {
        self.git_command(args).output().unwrap()
    }

    pub fn git_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        self.lab.environment(&mut command);
        command.current_dir(&self.path).args(args);
        command
    }

    /// git with bytes on its standard input.
    pub fn git_input(&self, args: &[&str], input: &[u8]) -> String {
        let output = self.git_input_quietly(args, input);
        String::from_utf8(output).unwrap().trim().to_owned()
    }

    /// The same, whose answer is bytes.
    pub fn git_input_quietly(&self, args: &[&str], input: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut child = self
            .git_command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        output.stdout
    }

    pub fn file(&self, path: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(path.as_ref())
    }

    pub fn write(&self, path: impl AsRef<OsStr>, content: impl AsRef<[u8]>) {
        let path = self.file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub fn append(&self, path: &str, text: &str) {
        let content = self.read(path) + text;
        self.write(path, content);
    }

    /// Replaces a text that must be there.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let content = self.read(path);
        assert!(content.contains(from), "{path} lacks {from:?}");
        self.write(path, content.replacen(from, to, 1));
    }

    pub fn read(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path)).unwrap()
    }

    pub fn bytes(&self, path: impl AsRef<OsStr>) -> Vec<u8> {
        let path = self.file(path);
        fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub fn has(&self, path: impl AsRef<OsStr>) -> bool {
        self.file(path).symlink_metadata().is_ok()
    }

    pub fn remove(&self, path: &str) {
        let path = self.file(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else {
            fs::remove_file(path).unwrap();
        }
    }

    pub fn rename(&self, from: &str, to: &str) {
        let to = self.file(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(self.file(from), to).unwrap();
    }

    pub fn link(&self, path: &str, target: &str) {
        let path = self.file(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    pub fn chmod(&self, path: &str, mode: u32) {
        fs::set_permissions(self.file(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Commits everything, ignored files aside, and gives the commit.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.head()
    }

    /// Has commits signed with an ssh key that is made for it; `asked` is how the configuration
    /// asks for that. Gives the key's file, or `None` where this machine can't make one.
    pub fn sign_with_a_new_key(&self, asked: &str) -> Option<PathBuf> {
        let key = self.lab.path("key");
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "somebody", "-f"])
            .arg(&key)
            .stdin(Stdio::null())
            .status();
        if !made.is_ok_and(|made| made.success()) {
            eprintln!("skipped: there is no ssh-keygen on this machine");
            return None;
        }
        let public = fs::read_to_string(self.lab.path("key.pub")).unwrap();
        let signers = self.lab.write("signers", format!("* {public}"));
        for (name, value) in [
            ("gpg.format", "ssh"),
            ("user.signingKey", key.to_str().unwrap()),
            ("gpg.ssh.allowedSignersFile", signers.to_str().unwrap()),
            ("commit.gpgSign", asked),
        ] {
            self.git(&["config", name, value]);
        }
        Some(key)
    }

    /// Whether a commit has a signature that holds.
    pub fn is_signed(&self, commit: &str) -> bool {
        self.try_git(&["verify-commit", commit]).status.success()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn index_tree(&self) -> String {
        self.git(&["write-tree"])
    }

    pub fn git_dir(&self) -> PathBuf {
        let usual = self.file(".git");
        if usual.is_dir() {
            return usual;
        }
        PathBuf::from(self.git(&["rev-parse", "--absolute-git-dir"]))
    }

    /// A copy of the whole repository beside it.
    pub fn copied(&self, name: &str) -> Repo<'a> {
        let copied = self.lab.at(name);
        copy(&self.path, &copied.path);
        copied
    }

    /// `cargo xtask migrate` on this repository.
    pub fn migrate(&self, args: &[&str]) -> Run {
        self.xtask(args).run()
    }

    /// The same where it has to work and its words don't matter: for a program it writes no page.
    #[track_caller]
    pub fn migrates(&self, args: &[&str]) {
        self.xtask(args).format("json").run().done();
    }

    /// `cargo xtask compare` on this repository. Its 1 says that something is open.
    pub fn compare(&self, args: &[&str]) -> Run {
        let run = self.task("compare", args).run();
        Run { refusal: 2, ..run }
    }

    /// Any task on this repository, not run yet.
    pub fn task(&self, name: &str, args: &[&str]) -> Xtask<'a> {
        self.task_at(".", name, args)
    }

    /// `cargo xtask migrate`, not run yet.
    pub fn xtask(&self, args: &[&str]) -> Xtask<'a> {
        self.xtask_at(".", args)
    }

    /// The same on another folder, as seen from this one.
    pub fn xtask_at(&self, dir: impl AsRef<OsStr>, args: &[&str]) -> Xtask<'a> {
        self.task_at(dir, "migrate", args)
    }

    /// The same as any task.
    pub fn task_at(&self, dir: impl AsRef<OsStr>, name: &str, args: &[&str]) -> Xtask<'a> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        self.lab.environment(&mut command);
        command
            .current_dir(&self.path)
            .arg("-C")
            .arg(dir)
            .arg(name)
            .args(args);
        Xtask {
            lab: self.lab,
            command,
        }
    }

    /// The work tree, the index, HEAD and all refs.
    pub fn state(&self) -> State {
        let mut files = BTreeMap::new();
        walk(&self.path, &self.path, &mut files, &|path| path == ".git");
        let mut state = State(files);
        for (name, args) in [
            ("(index)", &["ls-files", "--stage"] as &[_]),
            (
                "(refs)",
                &["for-each-ref", "--format=%(refname) %(objectname)"],
            ),
        ] {
            for line in self.git(args).lines() {
                state.0.insert(format!("{name} {line}"), String::new());
            }
        }
        let head = fs::read_to_string(self.git_dir().join("HEAD")).unwrap();
        state.0.insert("(HEAD)".into(), head);
        state
    }

    /// The same with every file of the git directory but objects.
    pub fn everything(&self) -> State {
        let mut state = self.state();
        let git_dir = self.git_dir();
        let mut files = BTreeMap::new();
        walk(&git_dir, &git_dir, &mut files, &|path| path == "objects");
        for (path, content) in files {
            state.0.insert(format!("(git) {path}"), content);
        }
        state
    }

    /// The paths of the work tree, files only.
    pub fn paths(&self) -> Vec<String> {
        let state = self.state();
        state
            .0
            .keys()
            .filter(|path| !path.starts_with('(') && !path.ends_with('/'))
            .cloned()
            .collect()
    }

    /// What `git status --short` says, with renames.
    pub fn status(&self) -> String {
        self.git(&["-c", "status.renames=true", "status", "--short"])
    }

    /// Nothing of a migration is left in the git directory.
    pub fn expect_settled(&self) {
        let git_dir = self.git_dir();
        for name in ["xtask-migrate", "index.lock"] {
            let there = git_dir.join(name).symlink_metadata().is_ok();
            assert!(!there, "{name} is left in the git directory");
        }
    }
}

fn walk(
    root: &Path,
    folder: &Path,
    files: &mut BTreeMap<String, String>,
    skip: &dyn Fn(&str) -> bool,
) {
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        let name = escaped(path.strip_prefix(root).unwrap().as_os_str().as_bytes());
        if skip(&name) {
            continue;
        }
        let metadata = path.symlink_metadata().unwrap();
        let mode = metadata.mode() & 0o7777;
        if metadata.is_dir() {
            files.insert(format!("{name}/"), format!("folder {mode:o}"));
            walk(root, &path, files, skip);
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            let target = escaped(target.as_os_str().as_bytes());
            files.insert(name, format!("link {target}"));
        } else if metadata.is_file() {
            let content = escaped(&fs::read(&path).unwrap());
            files.insert(name, format!("file {mode:o} {content}"));
        } else {
            files.insert(name, "something else".into());
        }
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// A repository at one moment, a line for each thing in it.
#[derive(Clone, PartialEq, Eq)]
pub struct State(pub BTreeMap<String, String>);

impl State {
    /// Asserts that nothing differs, and tells what does.
    #[track_caller]
    pub fn expect_same(&self, other: &Self, when: &str) {
        let mut different = String::new();
        for key in self.0.keys().chain(other.0.keys()) {
            let (one, two) = (self.0.get(key), other.0.get(key));
            if one != two && !different.contains(&format!("\n{key}: ")) {
                let short = |text: Option<&String>| {
                    text.map_or("absent".to_owned(), |text| {
                        text.chars().take(120).collect::<String>()
                    })
                };
                let _ = write!(different, "\n{key}: {} => {}", short(one), short(two));
            }
        }
        assert!(different.is_empty(), "{when}: these differ{different}");
    }

    /// Only what lies below these folders.
    pub fn without(mut self, dropped: impl Fn(&str) -> bool) -> Self {
        self.0.retain(|key, _| !dropped(key));
        self
    }
}

/// A call of the tool.
pub struct Xtask<'a> {
    lab: &'a Lab,
    pub command: Command,
}

impl Xtask<'_> {
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn format(mut self, name: &str) -> Self {
        self.command.args(["--format", name]);
        self
    }

    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Puts a folder before all others on PATH.
    pub fn path_first(self, folder: &Path) -> Self {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let all: Vec<PathBuf> = std::iter::once(folder.to_owned())
            .chain(std::env::split_paths(&old))
            .collect();
        let joined: OsString = std::env::join_paths(all).unwrap();
        self.env("PATH", joined)
    }

    pub fn run(mut self) -> Run {
        let output = self.command.output().unwrap();
        self.lab.ended(output)
    }
}

/// How a call ended, with this machine's paths and the names of objects taken out of its words.
pub struct Run {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Standard output as it came.
    pub raw: Vec<u8>,
    /// The exit code of a refusal.
    pub refusal: i32,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (code, stdout, stderr) = (self.code, &self.stdout, &self.stderr);
        write!(
            f,
            "exit code {code:?}\n--- stdout\n{stdout}--- stderr\n{stderr}"
        )
    }
}

impl Run {
    #[track_caller]
    fn code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Exit code 0 and not a word on standard error.
    #[track_caller]
    pub fn done(self) -> Self {
        assert_eq!(self.stderr, "");
        self.code(0)
    }

    /// Exit code 0, whatever is on standard error.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        self.code(0)
    }

    /// Exit code 1, told on standard output.
    #[track_caller]
    pub fn finds(self) -> Self {
        assert_eq!(self.stderr, "");
        self.code(1)
    }

    /// A refusal in exactly these words.
    #[track_caller]
    pub fn refused(self, what: &str, help: &str) -> Self {
        let code = self.refusal;
        let run = self.code(code);
        assert_eq!(run.stderr, format!("error: {what}\nhelp: {help}\n"));
        run
    }

    /// A refusal in words that hold this; the rest is another program's.
    #[track_caller]
    pub fn refused_like(self, words: &str) -> Self {
        let code = self.refusal;
        let run = self.code(code);
        assert!(run.stderr.contains(words), "no {words:?} in {run:#?}");
        run
    }

    /// Wrong usage or a machine that lacks something, in exactly these words.
    #[track_caller]
    pub fn unusable(self, words: &str) -> Self {
        let run = self.code(2);
        assert_eq!(run.stderr, format!("error: {words}\n"));
        run
    }

    #[track_caller]
    pub fn killed(self) -> Self {
        assert_eq!(self.code, None, "{self:#?}");
        self
    }

    #[track_caller]
    pub fn says(self, words: &str) -> Self {
        assert!(
            self.stdout.contains(words),
            "no {words:?} in:\n{}",
            self.stdout
        );
        self
    }

    #[track_caller]
    pub fn says_not(self, words: &str) -> Self {
        assert!(!self.stdout.contains(words), "{words:?}:\n{}", self.stdout);
        self
    }

    /// The commands that are printed to be typed next, without what each does.
    pub fn next(&self) -> Vec<String> {
        let lines = self.stdout.lines();
        let typed = lines.filter_map(|line| line.strip_prefix("    "));
        typed
            .filter(|line| line.starts_with("git ") || line.starts_with("cargo "))
            .map(|line| line.split("  ").next().unwrap().to_owned())
            .collect()
    }

    /// The commands in the help of a refusal.
    #[track_caller]
    pub fn help(&self) -> Vec<String> {
        let help = self.stderr.split_once("\nhelp: ").unwrap().1;
        help.split('`').skip(1).step_by(2).map(Into::into).collect()
    }

    /// Standard output as data.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.raw).unwrap()
    }
}

/// Whether the user may do anything, so that permissions stop nobody.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Xtask<'_> {
    /// The same call of another copy of the tool.
    pub fn start_with(&mut self, tool: &Path) {
        let mut command = with_environment_of(&self.command, tool.as_os_str());
        command.args(self.command.get_args());
        command.current_dir(self.command.get_current_dir().unwrap());
        self.command = command;
    }

    /// `--example` instead of a repository.
    pub fn example(mut self, options: &[&str]) -> Self {
        let mut command = with_environment_of(&self.command, self.command.get_program());
        command.current_dir(self.lab.path("home"));
        command.args(["migrate", "--example"]).args(options);
        command.stdin(Stdio::null());
        self.command = command;
        self
    }
}

fn with_environment_of(other: &Command, program: &OsStr) -> Command {
    let mut command = Command::new(program);
    for (name, value) in other.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
