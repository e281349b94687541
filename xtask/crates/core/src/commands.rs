//! The commands that messages suggest, with this run's `-C DIR`, so that they can be pasted.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::outcome::UserError;
use crate::output::quoted_file;
use crate::tree::RepoPath;

const TASK: &str = "cargo xtask ";

#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// The `-C` option for git; empty where the repository is the current folder.
    git: String,
    /// The `-C` option for this tool, which has another default.
    task: String,
    /// The options of this run that [`Self::again`] repeats.
    options: String,
}

impl Commands {
    pub fn new(repo: Option<&Path>) -> Self {
        Self {
            git: repo.map_or_else(String::new, git_option),
            task: repo.map_or_else(String::new, option),
            options: String::new(),
        }
    }

    /// The same, with options that [`Self::again`] repeats.
    #[must_use]
    pub fn asking(mut self, options: String) -> Self {
        self.options = options;
        self
    }

    /// The same commands for the top of the work tree: git resolves paths from the folder where it
    /// runs, and a folder below the top may be gone by then.
    pub fn at_root(mut self, repo: Option<&Path>, top: &Path) -> Self {
        let here = Path::new(".").canonicalize();
        let (Ok(here), Ok(root)) = (here, top.canonicalize()) else {
            return self;
        };
        let is_root = |dir: &&Path| dir.canonicalize().is_ok_and(|dir| dir == root);
        // Who stands in the repository may stand in a folder that moves.
        let named = repo.filter(|_| !here.starts_with(&root)).filter(is_root);
        let place = match named {
            _ if here == root => Path::new("."),
            named => named.unwrap_or(&root),
        };
        self.git = git_option(place);
        if repo.is_some() {
            self.task = option(place);
        }
        self
    }

    pub fn git(&self, command: &str) -> String {
        format!("git {}{command}", self.git)
    }

    pub fn task(&self, name: &str, options: &str) -> String {
        let repo = &self.task;
        format!("{TASK}{name} {repo}{options}").trim_end().into()
    }

    /// A task with the options of this run, and more.
    pub fn again(&self, name: &str, more: &str) -> String {
        self.task(name, format!("{} {more}", self.options).trim_start())
    }

    /// Adds the repository to a text's commands of this tool, and to git's in backticks.
    pub fn fit(&self, text: &str) -> String {
        let part = |(number, part): (usize, &str)| match part.strip_prefix("git ") {
            // A global setting belongs to no repository.
            Some(command) if number % 2 == 1 && !command.contains("--global") => self.git(command),
            _ => part.to_owned(),
        };
        let parts: Vec<String> = text.split('`').enumerate().map(part).collect();
        let mut out = parts.join("`");
        for task in ["migrate", "compare", "hub-lint", "build-image", "cleanup"] {
            let short = format!("{TASK}{task}");
            out = out.replace(&short, &self.task(task, ""));
        }
        out
    }

    /// An error whose help names the repository in its commands.
    pub fn refusal(&self, mut error: anyhow::Error) -> anyhow::Error {
        if let Some(refusal) = error.downcast_mut::<UserError>() {
            refusal.help = self.fit(&refusal.help);
        }
        error
    }
}

fn git_option(folder: &Path) -> String {
    let elsewhere = Some(folder).filter(|folder| *folder != Path::new("."));
    elsewhere.map_or_else(String::new, option)
}

/// The `-C` option for a folder; its name may be any bytes.
fn option(folder: &Path) -> String {
    let folder = RepoPath::new(folder.as_os_str().as_bytes());
    format!("-C {} ", quoted_file(&folder))
}

pub fn listed(title: &str, commands: &[(String, &str)]) -> String {
    let width = commands.iter().map(|(command, _)| command.len()).max();
    let width = width.unwrap_or_default() + 4;
    let mut out = format!("\n{title}\n\n");
    for (command, what) in commands {
        out += &match *what {
            "" => format!("    {command}\n"),
            what => format!("    {command:<width$}# {what}\n"),
        };
    }
    out
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
    fn git_gets_the_repository_where_it_is_a_command() {
        let commands = Commands::new(Some(Path::new("../w")));
        assert_eq!(
            commands.fit("`git add FILE` or `git rm FILE`, as git says; `git config --global x`"),
            "`git -C ../w add FILE` or `git -C ../w rm FILE`, as git says; `git config --global x`"
        );
        let here = Commands::new(Some(Path::new(".")));
        assert_eq!(here.fit("`git stash`"), "`git stash`");
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
