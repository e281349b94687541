//! The commands that a person is told to type: with the repository of this run in them, so that
//! whoever works on another one with `-C` can type them as they stand.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::outcome::Refusal;
use crate::output::quoted_file;
use crate::tree::RepoPath;

const TASK: &str = "cargo xtask ";

/// What the commands have to name.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// The repository for git, where it was named and is not the current folder.
    git: String,
    /// The same for this tool, which takes another repository by default.
    task: String,
}

impl Commands {
    pub fn new(repo: Option<&Path>) -> Self {
        Self {
            git: repo
                .filter(|repo| *repo != Path::new("."))
                .map_or_else(String::new, option),
            task: repo.map_or_else(String::new, option),
        }
    }

    /// The same, with the root of the work tree for git, which looks for paths from where it runs.
    pub fn at_root(mut self, repo: Option<&Path>, top: &Path) -> Self {
        let runs = repo.unwrap_or(Path::new("."));
        let is_root = match (runs.canonicalize(), top.canonicalize()) {
            (Ok(runs), Ok(top)) => runs == top,
            _ => true,
        };
        if !is_root {
            self.git = option(top);
        }
        self
    }

    /// A command of git.
    pub fn git(&self, command: &str) -> String {
        format!("git {}{command}", self.git)
    }

    /// A task of this tool.
    pub fn task(&self, name: &str, options: &str) -> String {
        let repo = &self.task;
        format!("{TASK}{name} {repo}{options}").trim_end().into()
    }

    /// A text with the repository in its commands of this tool.
    pub fn fit(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for task in ["migrate", "compare", "hub-lint", "build-image", "cleanup"] {
            let short = format!("{TASK}{task}");
            out = out.replace(&short, &self.task(task, ""));
        }
        out
    }

    /// A refusal whose way on can be typed as it stands.
    pub fn refusal(&self, mut error: anyhow::Error) -> anyhow::Error {
        if let Some(refusal) = error.downcast_mut::<Refusal>() {
            refusal.help = self.fit(&refusal.help);
        }
        error
    }
}

/// The option that names a folder, whatever bytes are in its name.
fn option(folder: &Path) -> String {
    let folder = RepoPath::new(folder.as_os_str().as_bytes());
    format!("-C {} ", quoted_file(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_named_by_its_bytes() {
        use std::ffi::OsStr;
        let commands = |name: &[u8]| Commands::new(Some(Path::new(OsStr::from_bytes(name))));
        assert_eq!(commands(b"a b*").git("status"), "git -C 'a b*' status");
        assert_eq!(
            commands(b"w\xff").task("status", ""),
            r"cargo xtask status -C $'w\377'"
        );
    }

    #[test]
    fn every_task_gets_the_repository() {
        let commands = Commands::new(Some(Path::new("../w")));
        assert_eq!(
            commands.fit("`cargo xtask hub-lint --fix`, then `cargo xtask cleanup`"),
            "`cargo xtask hub-lint -C ../w --fix`, then `cargo xtask cleanup -C ../w`"
        );
    }
}
