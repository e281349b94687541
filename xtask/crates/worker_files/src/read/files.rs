//! Which files are read.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Reader, is_python};
use crate::WorkerInterface;
use crate::glob::repo_path;
use xtask_core::tree::{RepoPath, Tree};

/// Folders that are no part of a worker, unless the image takes them by name or code imports them.
const OUTSIDE: [&str; 10] = [
    "tests", "test", "docs", "bench", "examples", "venv", "env", "schemas", "build", "dist",
];

/// Folders of tools, of other layouts, and of what is installed.
const NEVER: [&str; 4] = ["xtask", "outdated", "target", "node_modules"];

fn wanted(path: &RepoPath) -> bool {
    let name = String::from_utf8_lossy(path.name());
    let Some((stem, end)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return false;
    };
    match end {
        "py" | "sh" | "bash" => true,
        "txt" | "in" => stem.to_lowercase().contains("requirements"),
        "conf" | "ini" => stem.to_lowercase().contains("supervisor"),
        _ => name == "sglang_flags.json",
    }
}

/// The first line of a script, if it says which program reads it.
pub fn shebang(text: &str) -> &str {
    let line = text.trim_start().lines().next().unwrap_or_default();
    line.strip_prefix("#!").unwrap_or_default()
}

/// The Dockerfiles of a worker: first the one that its image is built from, then the others.
pub fn dockerfiles(tree: &dyn Tree, interface: &WorkerInterface) -> Result<Vec<RepoPath>> {
    let mut found: Vec<RepoPath> = Vec::new();
    let is_file = |path: &RepoPath| tree.entries().get(path).is_some_and(|it| it.mode.is_file());
    let mut add = |path: RepoPath| {
        if is_file(&path) && !found.contains(&path) {
            found.push(path);
        }
    };
    add(".runpod/Dockerfile".into());
    add("Dockerfile".into());
    // Docker takes this one where there is no other.
    if !is_file(&"Dockerfile".into()) {
        add("dockerfile".into());
    }
    for target in interface.bake.iter().flat_map(|bake| &bake.targets) {
        let context = target.setting("context").unwrap_or(".");
        let dockerfile = target.setting("dockerfile").unwrap_or("Dockerfile");
        add(repo_path(&format!("{context}/{dockerfile}")));
    }
    for build in interface.compose.iter().flat_map(|service| &service.build) {
        add(repo_path(&format!(
            "{}/{}",
            build.context, build.dockerfile
        )));
    }
    let is_yaml = |name: &[u8]| name.ends_with(b".yml") || name.ends_with(b".yaml");
    let workflows = tree.entries().keys();
    let workflows = workflows.filter(|path| path.is_within(".github/workflows"));
    for workflow in workflows.filter(|path| is_yaml(path.name())) {
        let text = tree.read(workflow)?;
        let text = String::from_utf8_lossy(&text);
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ','));
        for word in words.filter(|word| word.to_lowercase().contains("dockerfile")) {
            add(repo_path(word));
        }
    }
    // Those in `docker/`, then those in the folders of the first ones.
    let rank = |path: &&RepoPath| {
        let name = String::from_utf8_lossy(path.name()).to_lowercase();
        let is_other = (name.starts_with("dockerfile.") || name.ends_with(".dockerfile"))
            && !name.ends_with(".dockerignore");
        let is_beside = path.parts().count() == 1 || path.is_within(".runpod");
        let is_in_docker = path.is_within("docker") && (is_other || name == "dockerfile");
        let ranks = [is_in_docker, is_other && is_beside];
        ranks.iter().position(|is| *is)
    };
    let paths = tree.entries().keys();
    let mut others: Vec<&RepoPath> = paths.filter(|path| rank(path).is_some()).collect();
    others.sort_by_key(rank);
    others.into_iter().cloned().for_each(add);
    Ok(found)
}

/// Whether a file lies in a folder of tests, tools or installed packages. No worker needs these.
pub fn is_aside(path: &RepoPath) -> bool {
    let is_skipped = |folder: RepoPath| {
        let folder = String::from_utf8_lossy(folder.name()).into_owned();
        folder.starts_with('.') || OUTSIDE.contains(&&*folder) || NEVER.contains(&&*folder)
    };
    path.ancestors().any(is_skipped)
}

/// Dockerfiles in other folders, which nothing names.
pub fn other_dockerfiles(tree: &dyn Tree) -> Vec<RepoPath> {
    let is_other = |path: &&RepoPath| {
        let is_named = matches!(path.name(), b"Dockerfile" | b"Containerfile");
        is_named && !is_aside(path)
    };
    let paths = tree.entries().keys();
    paths.filter(is_other).cloned().collect()
}

impl Reader<'_> {
    pub fn open_sources(&mut self) -> Result<()> {
        let entries = self.tree.entries().keys();
        let mut outside = Vec::new();
        for path in entries.filter(|path| wanted(path)) {
            match self.belongs(path) {
                Some(true) => drop(self.open(path)?),
                Some(false) => outside.push(path),
                None => {}
            }
        }
        // A folder of such a name counts if code imports it.
        let module = |line: &str| {
            let line = line.trim_start();
            let from = line.strip_prefix("from ");
            let rest = from.or_else(|| line.strip_prefix("import "))?;
            let ends = |c: char| !(c.is_alphanumeric() || c == '_');
            rest.split(ends).next().map(str::to_owned)
        };
        let sources = self.interface.sources.values();
        let python = sources.filter(|source| is_python(&source.path));
        let lines = python.flat_map(|source| source.text.lines());
        let imported: BTreeSet<String> = lines.filter_map(module).collect();
        for path in outside {
            if imported.contains(&*String::from_utf8_lossy(path.top())) {
                self.open(path)?;
            }
        }
        Ok(())
    }

    /// Whether a file belongs to the worker: `Some(false)` where that is for code to say.
    fn belongs(&self, path: &RepoPath) -> Option<bool> {
        let parts: Vec<_> = path.parts().map(String::from_utf8_lossy).collect();
        let (name, folders) = parts.split_last()?;
        let is_in = |names: &[&str]| folders.iter().any(|folder| names.contains(&&**folder));
        let mut folders_in = folders.iter().filter(|folder| folder.starts_with('.'));
        let is_hidden = folders_in.any(|folder| folder != ".runpod");
        let is_copied = self.copied.as_ref().is_some_and(|copied| {
            let mut above = std::iter::once(path.clone()).chain(path.ancestors());
            above.any(|folder| copied.folders.contains(&*folder.to_string()))
        });
        if is_copied {
            return self.holds(path).then_some(true);
        }
        if is_in(&NEVER) || is_hidden {
            return None;
        }
        let is_test = name.starts_with("test_") && is_python(path) || name == "conftest.py";
        if is_in(&OUTSIDE) || is_test {
            // Without a Dockerfile every file counts, but for tests.
            let is_test = is_test || is_in(&["tests", "test", "bench"]);
            return Some(self.copied.is_none() && !is_test);
        }
        Some(true)
    }
}
