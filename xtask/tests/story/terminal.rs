//! A terminal: commands as they are typed, in a folder, and how each ended.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Lab, Run};

/// What the alias in `.cargo/config.toml` comes to once the tool is built: the tool, told where its
/// package lies. Of a repository that carries no tool it is this one's.
const CARGO: &str = r#"[ "$1" = xtask ] || exit 101
shift
top=$(git rev-parse --show-toplevel 2>/dev/null)
[ -f "$top/xtask/Cargo.toml" ] || top=$CLONE
export CARGO_MANIFEST_DIR="$top/xtask"
exec "$XTASK" "$@""#;

/// A terminal of one user.
pub struct Terminal<'a> {
    pub lab: &'a Lab,
    /// The current folder.
    dir: PathBuf,
    environment: Vec<(String, String)>,
}

impl<'a> Terminal<'a> {
    pub fn new(lab: &'a Lab) -> Self {
        lab.script("bin/cargo", CARGO);
        let clone = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        let set = |name: &str, value: String| (name.to_owned(), value);
        Self {
            lab,
            dir: lab.path("."),
            environment: vec![
                set("PATH", format!("{}:{path}", lab.path("bin").display())),
                set("CLONE", clone.display().to_string()),
                set("XTASK", env!("CARGO_BIN_EXE_xtask").to_owned()),
            ],
        }
    }

    pub fn cd(&mut self, folder: &str) {
        self.dir = self.lab.path(folder);
    }

    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Types a command and waits for its end.
    pub fn types(&self, command: &str) -> Run {
        let mut shell = Command::new("bash");
        self.lab.environment(&mut shell);
        shell
            // As GitHub's runners do.
            .args(["-e", "-o", "pipefail", "-c", command])
            .current_dir(&self.dir)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        self.lab.ended(shell.output().unwrap())
    }

    /// Writes a file with an editor: replaces texts that must be there.
    pub fn edits(&self, path: &str, changes: &[(&str, &str)]) {
        let repo = crate::support::Repo {
            lab: self.lab,
            path: self.dir.clone(),
        };
        for (from, to) in changes {
            repo.edit(path, from, to);
        }
    }

    /// What `status` names as the one command that is of most use now.
    #[track_caller]
    pub fn next_is(&self, command: &str) {
        let run = self.types("cargo xtask status").done();
        let next = run.stdout.lines().last().unwrap_or_default().trim();
        assert_eq!(next, command, "{run:?}");
    }
}
