//! Removing what a run made with docker, however the run ends.
//!
//! A process of its own waits at a pipe whose other end this process holds, and every process that
//! it starts from then on. The end of the last of them wakes it: after Ctrl-C and after `kill -9`
//! as after a run that came to its end.

use std::fs::File;
use std::io::{PipeWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::Engine;

/// Waits for a word or the end of its input, then removes what carries the label `$2` with the
/// client `$1`. What a daemon was still making while its client died is found by looking again.
const WAIT_AND_SWEEP: &str = r#"
docker=$1 label=$2
trap '' HUP INT TERM
read -r word || :
looks=0
while [ "$looks" -lt 5 ]; do
  looks=$((looks + 1))
  found=
  for kind in container network volume image; do
    all=--all
    case $kind in network | volume) all= ;; esac
    ids=$("$docker" "$kind" ls $all --quiet --filter "label=$label") || exit 1
    ids=$(printf '%s\n' "$ids" | sort -u)
    [ -n "$ids" ] || continue
    found=yes
    case $kind in
      container) "$docker" container rm --force --volumes $ids ;;
      image) "$docker" image prune --all --force --filter "label=$label" ;;
      *) "$docker" "$kind" rm $ids ;;
    esac >/dev/null
  done
  [ -n "$found" ] || exit 0
done
echo "docker would not remove everything that carries the label $label" >&2
exit 1
"#;

/// The process that removes the labelled things once all processes that could make more are gone.
#[derive(Debug)]
pub struct Janitor {
    process: Child,
    /// Held by this process and by all that it starts while this lives.
    at_work: PipeWriter,
}

impl Janitor {
    /// Starts it. `held` is a lock that stays taken until everything is removed.
    pub fn start(engine: &Engine, label: &str, held: Option<&File>) -> Result<Self> {
        let (wait, at_work) = std::io::pipe().context("making a pipe")?;
        if let Some(lock) = held {
            inherited(lock)?;
        }
        let process = sweeper(engine, label)
            .stdin(wait)
            .spawn()
            .context("starting the process that tidies up")?;
        // Only now, so that it does not wait for itself.
        inherited(&at_work)?;
        Ok(Self { process, at_work })
    }

    /// Has everything removed now.
    pub fn finish(mut self) -> Result<()> {
        // A word and not just the end of the input: a stray process may still hold the pipe.
        self.at_work
            .write_all(b"now\n")
            .context("having the run tidied up")?;
        drop(self.at_work);
        let output = self.process.wait_with_output()?;
        judge(output.status.success(), &output.stderr)
    }
}

/// Removes everything that carries a label: what an earlier run has left.
pub fn sweep(engine: &Engine, label: &str) -> Result<()> {
    let output = sweeper(engine, label)
        .stdin(Stdio::null())
        .output()
        .context("tidying up")?;
    judge(output.status.success(), &output.stderr)
}

fn sweeper(engine: &Engine, label: &str) -> Command {
    let mut sh = Command::new("sh");
    sh.args(["-c", WAIT_AND_SWEEP, "sh"])
        .arg(&engine.program)
        .arg(label)
        // The terminal's Ctrl-C must not reach it.
        .process_group(0)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    sh
}

fn judge(success: bool, said: &[u8]) -> Result<()> {
    if !success {
        bail!(
            "what the run made with docker is not all removed: {}",
            String::from_utf8_lossy(said).trim()
        );
    }
    Ok(())
}

fn inherited(file: impl AsFd) -> Result<()> {
    rustix::io::fcntl_setfd(file, rustix::io::FdFlags::empty())
        .context("handing a file to the processes that are started")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::time::Duration;

    /// A recording client whose containers are the lines of a file.
    fn client(scratch: &Path) -> Engine {
        let log = scratch.join("log");
        let containers = scratch.join("containers");
        fs_err::write(&containers, "one\ntwo\n").unwrap();
        let script = format!(
            "echo \"$@\" >> '{log}'\n\
             case \"$1 $2\" in\n\
             'container ls') cat '{containers}' ;;\n\
             'container rm') : > '{containers}' ;;\n\
             esac",
            log = log.display(),
            containers = containers.display()
        );
        Engine {
            program: testing::program(scratch, "docker", &script),
            buildx: false,
        }
    }

    fn removed(scratch: &Path) -> bool {
        let log = fs_err::read_to_string(scratch.join("log")).unwrap_or_default();
        log.contains("container rm --force --volumes one two\n")
    }

    #[test]
    fn what_carries_the_label_is_removed_at_the_end() {
        let scratch = tempfile::tempdir().unwrap();
        let janitor = Janitor::start(&client(scratch.path()), "a=b", None).unwrap();
        assert!(!removed(scratch.path()));
        janitor.finish().unwrap();
        assert!(removed(scratch.path()));
        let log = fs_err::read_to_string(scratch.path().join("log")).unwrap();
        let looks = |kind: &str| log.matches(kind).count();
        assert_eq!(
            looks("container ls --all --quiet --filter label=a=b\n"),
            2,
            "it looks again: {log}"
        );
        assert_eq!(looks("network ls --quiet --filter label=a=b\n"), 2);
        assert_eq!(looks("volume ls --quiet --filter label=a=b\n"), 2);
        assert_eq!(looks("image ls --all --quiet --filter label=a=b\n"), 2);
    }

    #[test]
    fn a_client_that_fails_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let engine = Engine {
            program: "false".into(),
            buildx: false,
        };
        assert!(sweep(&engine, "a=b").is_err());
        sweep(&client(scratch.path()), "a=b").unwrap();
        assert!(removed(scratch.path()));
    }

    /// Killed without a word: everything that is started holds the pipe, and this is one of them.
    #[test]
    fn the_end_of_the_last_process_is_enough() {
        let scratch = tempfile::tempdir().unwrap();
        let Janitor {
            mut process,
            at_work,
        } = Janitor::start(&client(scratch.path()), "a=b", None).unwrap();
        let mut last = Command::new("sleep").arg("60").spawn().unwrap();
        drop(at_work);
        std::thread::sleep(Duration::from_millis(200));
        assert!(process.try_wait().unwrap().is_none(), "one is still there");
        assert!(!removed(scratch.path()));
        last.kill().unwrap();
        last.wait().unwrap();
        // Other tests of this process start programs too, and each holds the pipe for a moment.
        assert!(process.wait().unwrap().success());
        assert!(removed(scratch.path()));
    }
}
