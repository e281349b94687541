//! git, called as a program and through its plumbing only: nothing here runs a hook, a filter, a
//! merge driver or a file system monitor, and no revision, path or address can become an option.

pub mod foreign;
mod objects;
mod repo;
mod scratch;

use std::ffi::{CStr, OsStr, OsString};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};

pub use objects::{GitTree, Objects, parse_ls_tree};
pub use repo::{Index, Repo, Search, Status, Unseen};
pub use scratch::{IndexEdit, Scratch};

use crate::outcome::UsageError;

/// The oldest git with `merge-tree --write-tree`.
const OLDEST: (u32, u32) = (2, 38);

/// Variables that tie git to another repository than the one it is asked about; git itself
/// lists them with `rev-parse --local-env-vars`. Those of configuration stay: they may hold the
/// way to log in.
const LOCAL_VARIABLES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_ATTR_SOURCE",
    "GIT_COMMON_DIR",
    "GIT_CONFIG",
    "GIT_DEFAULT_HASH",
    "GIT_DIR",
    "GIT_EXTERNAL_DIFF",
    "GIT_GLOB_PATHSPECS",
    "GIT_GRAFT_FILE",
    "GIT_ICASE_PATHSPECS",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_LITERAL_PATHSPECS",
    "GIT_NAMESPACE",
    "GIT_NOGLOB_PATHSPECS",
    "GIT_NO_REPLACE_OBJECTS",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// The git program of this machine.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    /// The question for its version, until the answer is needed: what comes next can begin
    /// meanwhile.
    asked: Arc<Mutex<Option<Started>>>,
}

impl Git {
    /// Finds git on PATH. Opening a repository sees that it is new enough.
    pub fn find() -> Result<Self> {
        let program = which::which("git").map_err(|_| {
            UsageError(
                "git is not on PATH; install it (Debian and Ubuntu: apt-get install git, \
                 macOS: xcode-select --install)"
                    .to_owned(),
            )
        })?;
        let git = Self {
            program,
            asked: Arc::default(),
        };
        let version = git.call().args(["version"]).quiet().start()?;
        *git.asked() = Some(version);
        Ok(git)
    }

    fn asked(&self) -> MutexGuard<'_, Option<Started>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails where it is too old, or does not tell its version.
    pub fn expect_new_enough(&self) -> Result<()> {
        let Some(version) = self.asked().take() else {
            return Ok(());
        };
        let answer = version.finish()?;
        let version = String::from_utf8_lossy(&answer.stdout);
        match parse_version(&version) {
            Some(found) if found >= OLDEST => Ok(()),
            _ => bail!(UsageError(format!(
                "{} is too old: {}.{} or newer is needed for `git merge-tree --write-tree`",
                version.trim(),
                OLDEST.0,
                OLDEST.1
            ))),
        }
    }

    /// A call of git that belongs to no repository yet.
    pub fn call(&self) -> Call {
        let mut command = Command::new(&self.program);
        for name in LOCAL_VARIABLES {
            command.env_remove(name);
        }
        command
            // Messages are read by this program; prompts and refreshed indexes are not wanted.
            .env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .stdin(Stdio::null());
        Call {
            command,
            input: None,
        }
        .config(&[
            ("core.hooksPath", "/dev/null"),
            ("core.fsmonitor", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            // A bare repository among a worker's files is somebody else's; ours are named.
            ("safe.bareRepository", "explicit"),
        ])
    }
}

/// "git version 2.39.5 (Apple Git-154)" → (2, 39).
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let number = text.split_whitespace().nth(2)?;
    let mut parts = number.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// One call of git.
#[derive(Debug)]
pub struct Call {
    command: Command,
    input: Option<Vec<u8>>,
}

impl Call {
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    pub fn config(mut self, settings: &[(&str, &str)]) -> Self {
        for (key, value) in settings {
            self.command.arg("-c").arg(format!("{key}={value}"));
        }
        self
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn without_env(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Bytes for git's standard input.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Shows git's own progress and messages to the user.
    pub fn show_progress(mut self) -> Self {
        self.command.stderr(Stdio::inherit());
        self
    }

    /// Standard output of a call that must succeed.
    pub fn output(self) -> Result<Vec<u8>> {
        let shown = self.shown();
        let done = self.finish()?;
        if done.ok {
            return Ok(done.stdout);
        }
        bail!("`{shown}` failed: {}", done.message)
    }

    /// Standard output as text, of a call that must succeed.
    pub fn text(self) -> Result<String> {
        let shown = self.shown();
        String::from_utf8(self.output()?).with_context(|| format!("`{shown}` answered no text"))
    }

    /// Like [`Call::text`] without the last newline.
    pub fn line(self) -> Result<String> {
        let mut text = self.text()?;
        if text.ends_with('\n') {
            text.pop();
        }
        Ok(text)
    }

    /// Runs to the end, whatever the exit code.
    pub fn finish(self) -> Result<Finished> {
        self.start()?.finish()
    }

    /// Begins, and leaves its end for later.
    pub fn start(mut self) -> Result<Started> {
        let shown = self.shown();
        self.command.stdout(Stdio::piped());
        if self.input.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let mut child = self.spawn()?;
        let writer = match (child.stdin.take(), self.input.take()) {
            (Some(mut stdin), Some(input)) => Some(std::thread::spawn(move || {
                // git ends early when it refuses its input; its own message says why.
                let _ = stdin.write_all(&input);
            })),
            _ => None,
        };
        Ok(Started {
            shown,
            child,
            writer,
        })
    }

    /// Starts git and leaves it to the caller; standard error is piped unless it is shown.
    pub fn spawn(&mut self) -> Result<Child> {
        let shown = self.shown();
        self.command
            .spawn()
            .with_context(|| format!("starting `{shown}`"))
    }

    /// Standard input, output and error all piped, for a conversation with git.
    pub fn piped(mut self) -> Self {
        self.command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        self
    }

    /// Keeps git's messages for the error text instead of printing them.
    pub fn quiet(mut self) -> Self {
        self.command.stderr(Stdio::piped());
        self
    }

    /// The call as a person would type it, without the settings that every call gets.
    fn shown(&self) -> String {
        let mut words: Vec<OsString> = vec!["git".into()];
        let mut args = self.command.get_args();
        while let Some(arg) = args.next() {
            if arg == "-c" {
                args.next();
            } else if !arg.to_string_lossy().starts_with("--git-dir=") {
                words.push(arg.to_owned());
            }
        }
        words.join(OsStr::new(" ")).to_string_lossy().into_owned()
    }
}

/// A call that runs beside other work.
#[derive(Debug)]
pub struct Started {
    shown: String,
    child: Child,
    writer: Option<JoinHandle<()>>,
}

impl Started {
    /// Runs to the end, whatever the exit code.
    pub fn finish(self) -> Result<Finished> {
        let output = self
            .child
            .wait_with_output()
            .with_context(|| format!("running `{}`", self.shown))?;
        if let Some(writer) = self.writer {
            let _ = writer.join();
        }
        Ok(Finished {
            ok: output.status.success(),
            code: output.status.code(),
            stdout: output.stdout,
            message: message(&output.stderr, output.status),
        })
    }
}

/// A call that has ended.
#[derive(Debug)]
pub struct Finished {
    pub ok: bool,
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    /// What git said on standard error, or else how it ended.
    pub message: String,
}

fn message(stderr: &[u8], status: std::process::ExitStatus) -> String {
    let text = String::from_utf8_lossy(stderr);
    let text = text.trim();
    if text.is_empty() {
        status.to_string()
    } else {
        text.to_owned()
    }
}

/// Splits output made with `-z`.
pub fn records(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = output;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            // A search for a byte that is fast in every build, which `slice::split` is not.
            let length = CStr::from_bytes_until_nul(rest).map_or(rest.len(), CStr::count_bytes);
            let (record, after) = rest.split_at(length);
            rest = after.get(1..).unwrap_or_default();
            if !record.is_empty() {
                return Some(record);
            }
        }
    })
}

/// Refuses what would be read as an option or run as a command: a revision or an address comes
/// from outside.
pub fn refuse_option(what: &str, value: &str) -> Result<()> {
    if value.starts_with('-') {
        bail!(UsageError(format!(
            "{what} {value:?} begins with `-`; git would read it as an option"
        )));
    }
    if value.is_empty() || value.contains(|c: char| c.is_control()) {
        bail!(UsageError(format!(
            "{what} {value:?} is empty or holds control characters"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_every_vendor_are_read() {
        assert_eq!(parse_version("git version 2.47.3\n"), Some((2, 47)));
        assert_eq!(
            parse_version("git version 2.39.5 (Apple Git-154)\n"),
            Some((2, 39))
        );
        assert_eq!(
            parse_version("git version 2.45.1.windows.1\n"),
            Some((2, 45))
        );
        assert_eq!(parse_version("hub version"), None);
    }

    #[test]
    fn an_option_in_disguise_is_refused() {
        assert!(refuse_option("revision", "--upload-pack=x").is_err());
        assert!(refuse_option("revision", "").is_err());
        assert!(refuse_option("revision", "a\nb").is_err());
        assert!(refuse_option("revision", "main").is_ok());
    }
}
