//! Runs git's plumbing commands. Nothing here runs a hook, a filter, a merge driver or a file system
//! monitor, and no revision, path or address can become an option.

pub mod foreign;
mod objects;
mod repo;
mod scratch;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

pub use objects::{GitTree, Objects, parse_ls_tree};
pub use repo::{Index, Repo, Status};
pub use scratch::{IndexEdit, Scratch};

use crate::outcome::UsageError;
use crate::process;
pub use crate::process::Finished;
use crate::tree::Oid;

/// The oldest git with `merge-tree --write-tree`.
const OLDEST: (u32, u32) = (2, 38);

/// Variables that point git to another repository; `git rev-parse --local-env-vars` lists them.
/// Those for configuration stay, because they may hold credentials.
const LOCAL_VARIABLES: &str = "\
    GIT_ALTERNATE_OBJECT_DIRECTORIES GIT_ATTR_SOURCE GIT_COMMON_DIR GIT_CONFIG GIT_DEFAULT_HASH \
    GIT_DIR GIT_EXTERNAL_DIFF GIT_GLOB_PATHSPECS GIT_GRAFT_FILE GIT_ICASE_PATHSPECS \
    GIT_IMPLICIT_WORK_TREE GIT_INDEX_FILE GIT_INTERNAL_SUPER_PREFIX GIT_LITERAL_PATHSPECS \
    GIT_NAMESPACE GIT_NOGLOB_PATHSPECS GIT_NO_REPLACE_OBJECTS GIT_OBJECT_DIRECTORY GIT_PREFIX \
    GIT_QUARANTINE_PATH GIT_REPLACE_REF_BASE GIT_SHALLOW_FILE GIT_WORK_TREE";

#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
}

impl Git {
    /// The program on PATH, asked for its version once. Fails where it is too old, or does not tell
    /// it.
    pub fn find() -> Result<Self> {
        static FOUND: OnceLock<Git> = OnceLock::new();
        if let Some(found) = FOUND.get() {
            return Ok(found.clone());
        }
        let program = which::which("git").map_err(|_| {
            UsageError(
                "git is not on PATH; install it (Debian and Ubuntu: apt-get install git, \
                 macOS: xcode-select --install)"
                    .to_owned(),
            )
        })?;
        let git = Self { program };
        let version = git.call().arg("version").text()?;
        if parse_version(&version).is_none_or(|found| found < OLDEST) {
            bail!(UsageError(format!(
                "{} is too old: {}.{} or newer is needed for `git merge-tree --write-tree`",
                version.trim(),
                OLDEST.0,
                OLDEST.1
            )));
        }
        Ok(FOUND.get_or_init(|| git).clone())
    }

    /// A call of git outside of any repository.
    pub fn call(&self) -> Call {
        let call = Call {
            program: self.program.clone(),
            ..Call::default()
        };
        // This program reads the messages, and no index may be refreshed.
        call.env("LC_ALL", "C")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .config(&[
                ("core.hooksPath", "/dev/null"),
                ("core.fsmonitor", "false"),
                ("gc.auto", "0"),
                ("maintenance.auto", "false"),
                // Never discover a bare repository among a worker's files.
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

#[derive(Debug, Default)]
#[must_use]
pub struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    input: Vec<u8>,
}

impl Call {
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.arguments.extend(args);
        self
    }

    pub fn arg(self, arg: impl AsRef<OsStr>) -> Self {
        self.args([arg])
    }

    /// Fixed arguments, separated by spaces. Nothing from outside may be in them.
    pub fn words(self, words: &'static str) -> Self {
        self.args(words.split_whitespace())
    }

    pub fn config(self, settings: &[(&str, &str)]) -> Self {
        settings.iter().fold(self, |call, (key, value)| {
            call.arg("-c").arg(format!("{key}={value}"))
        })
    }

    /// Settings that the process list does not show, and whose names may hold any character. They
    /// override the environment's.
    pub fn config_by_environment<K: AsRef<OsStr>>(self, settings: &[(K, String)]) -> Self {
        const VARIABLE: &str = "GIT_CONFIG_PARAMETERS";
        if settings.is_empty() {
            return self;
        }
        // Git reads `GIT_CONFIG_COUNT` before this variable, so this one wins.
        let mut all = std::env::var_os(VARIABLE).unwrap_or_default();
        for (key, value) in settings {
            all.push(if all.is_empty() { "" } else { " " });
            all.push(sq_quoted(key.as_ref()));
            all.push("=");
            all.push(sq_quoted(value.as_ref()));
        }
        self.env(VARIABLE, all)
    }

    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.into(), value.as_ref().to_owned());
        self.environment.push(pair);
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.environment.retain(|(set, _)| set != name);
        self
    }

    pub fn dir(mut self, dir: &Path) -> Self {
        self.directory = Some(dir.to_owned());
        self
    }

    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
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

    pub fn text(self) -> Result<String> {
        let shown = self.shown();
        String::from_utf8(self.output()?).with_context(|| format!("`{shown}` answered no text"))
    }

    /// Like [`Call::text`] without the last newline.
    pub fn line(self) -> Result<String> {
        let text = self.text()?;
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }

    /// Like [`Call::line`]; `None` for an empty one.
    pub fn optional_line(self) -> Result<Option<String>> {
        Ok(Some(self.line()?).filter(|line| !line.is_empty()))
    }

    /// Standard output, trimmed, where the call succeeds and prints anything.
    pub fn optional_text(self) -> Result<Option<String>> {
        let answer = self.finish()?;
        let text = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        Ok((answer.ok && !text.is_empty()).then_some(text))
    }

    /// The object that an expression names, where there is one.
    pub fn object(self, expression: String) -> Result<Option<Oid>> {
        let call = self.words("rev-parse --verify --quiet --end-of-options");
        Ok(call.arg(expression).optional_text()?.map(Oid))
    }

    /// Runs to the end, whatever the exit code.
    pub fn finish(self) -> Result<Finished> {
        let shell = process::shell(self.directory.as_deref())?;
        process::finish(self.cmd(&shell), &self.input)
    }

    pub fn spawn(self) -> Result<Child> {
        let shell = process::shell(self.directory.as_deref())?;
        let mut command = process::command(self.cmd(&shell));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.stderr(Stdio::null()).spawn();
        child.with_context(|| format!("starting `{}`", self.shown()))
    }

    fn cmd<'a>(&self, shell: &'a Shell) -> Cmd<'a> {
        let (program, arguments) = (&self.program, &self.arguments);
        let cmd = cmd!(shell, "{program} {arguments...}");
        let local = LOCAL_VARIABLES.split_whitespace();
        let cmd = local.fold(cmd, Cmd::env_remove);
        let set = self.environment.iter();
        set.fold(cmd, |cmd, (name, value)| cmd.env(name, value))
    }

    /// The call as a person would type it, without the settings that every call gets.
    fn shown(&self) -> String {
        let mut text = "git".to_owned();
        let mut args = self.arguments.iter().map(|arg| arg.to_string_lossy());
        while let Some(arg) = args.next() {
            if arg == "-c" {
                args.next();
            } else if !arg.starts_with("--git-dir=") {
                text += &format!(" {arg}");
            }
        }
        text
    }
}

fn sq_quoted(text: &OsStr) -> OsString {
    let escaped = text.as_bytes().iter().flat_map(|byte| match byte {
        b'\'' | b'!' => vec![b'\'', b'\\', *byte, b'\''],
        _ => vec![*byte],
    });
    OsString::from_vec([b"'", &*escaped.collect::<Vec<u8>>(), b"'"].concat())
}

/// Splits output made with `-z`.
pub fn records(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    let records = output.split(|&byte| byte == 0);
    records.filter(|record| !record.is_empty())
}

/// Refuses a revision or an address from outside that git would read as an option.
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
