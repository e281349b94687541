//! Which files are read.

use std::collections::BTreeSet;

use anyhow::Result;

use super::Reader;
use crate::WorkerInterface;
use xtask_core::tree::{RepoPath, Tree};

/// Folders that are no part of a worker, unless the image takes them by name or code imports them.
const OUTSIDE: [&str; 10] = [
    "tests", "test", "docs", "bench", "examples", "venv", "env", "schemas", "build", "dist",
];

/// Folders of tools, of other layouts, and of what is installed.
const NEVER: [&str; 4] = ["xtask", "outdated", "target", "node_modules"];

/// What a file is, by its name.
fn wanted(path: &RepoPath) -> bool {
    let name = path.name();
    let ends = |end: &[u8]| name.len() > end.len() && name.ends_with(end);
    let text = String::from_utf8_lossy(name).to_lowercase();
    ends(b".py")
        || ends(b".sh")
        || ends(b".bash")
        || text.contains("requirements") && (ends(b".txt") || ends(b".in"))
        || text.contains("supervisor") && (ends(b".conf") || ends(b".ini"))
        || name == b"sglang_flags.json"
}

/// The first line of a script, if it says which program reads it.
pub fn shebang(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("#!").unwrap_or_default()
}

/// The Dockerfiles of a worker: first the one that its image is built from, then the others.
pub fn dockerfiles(tree: &dyn Tree, interface: &WorkerInterface) -> Result<Vec<RepoPath>> {
    let is_file = |path: &RepoPath| {
        tree.entries()
            .get(path)
            .is_some_and(|entry| entry.mode.is_file())
    };
    let mut found: Vec<RepoPath> = Vec::new();
    let mut add = |path: RepoPath| {
        if is_file(&path) && !found.contains(&path) {
            found.push(path);
        }
    };
    add(".runpod/Dockerfile".into());
    add("Dockerfile".into());
    let named = |name: &str| RepoPath::from(clean(name).as_str());
    for target in interface.bake.iter().flat_map(|bake| &bake.targets) {
        let (dockerfile, context) = (target.setting("dockerfile"), target.setting("context"));
        add(named(&format!(
            "{}/{}",
            context.unwrap_or("."),
            dockerfile.unwrap_or("Dockerfile")
        )));
    }
    for build in interface
        .compose
        .iter()
        .filter_map(|service| service.build.as_ref())
    {
        add(named(&format!("{}/{}", build.context, build.dockerfile)));
    }
    let workflows = tree.entries().keys().filter(|path| {
        path.is_within(".github/workflows")
            && (path.name().ends_with(b".yml") || path.name().ends_with(b".yaml"))
    });
    for workflow in workflows {
        let text = tree.read(workflow)?;
        let text = String::from_utf8_lossy(&text);
        let words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '=' | ','));
        for word in words.filter(|word| word.to_lowercase().contains("dockerfile")) {
            add(named(word));
        }
    }
    for path in tree.entries().keys() {
        let name = String::from_utf8_lossy(path.name()).to_lowercase();
        let is_dockerfile = name == "dockerfile"
            || name.starts_with("dockerfile.")
            || name.ends_with(".dockerfile");
        let is_ignore = name.ends_with(".dockerignore");
        if is_dockerfile && !is_ignore && path.is_within("docker") {
            add(path.clone());
        }
    }
    for path in tree.entries().keys() {
        let name = String::from_utf8_lossy(path.name()).to_lowercase();
        let near = path.parts().count() == 1 || path.is_within(".runpod");
        let is_dockerfile = name.starts_with("dockerfile.") || name.ends_with(".dockerfile");
        if near && is_dockerfile && !name.ends_with(".dockerignore") {
            add(path.clone());
        }
    }
    Ok(found)
}

/// A path without dots.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Reader<'_> {
    /// Opens every file that may belong to the worker.
    pub fn load(&mut self) -> Result<()> {
        let paths: Vec<RepoPath> = self
            .tree
            .entries()
            .keys()
            .filter(|path| wanted(path))
            .cloned()
            .collect();
        let mut outside = Vec::new();
        for path in paths {
            match self.belongs(&path) {
                Some(true) => {
                    self.open(&path)?;
                }
                Some(false) => outside.push(path),
                None => {}
            }
        }
        // A folder of such a name counts where code imports it.
        let imported: BTreeSet<String> = self
            .interface
            .sources
            .values()
            .filter(|source| source.path.name().ends_with(b".py"))
            .flat_map(|source| source.text.lines())
            .filter_map(|line| {
                let line = line.trim_start();
                let rest = line
                    .strip_prefix("from ")
                    .or_else(|| line.strip_prefix("import "))?;
                let end = rest
                    .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .unwrap_or(rest.len());
                Some(rest[..end].to_owned())
            })
            .collect();
        for path in outside {
            let top = String::from_utf8_lossy(path.top()).into_owned();
            if imported.contains(&top) {
                self.open(&path)?;
            }
        }
        Ok(())
    }

    /// Whether a file belongs to the worker: `Some(false)` where that is for code to say.
    fn belongs(&self, path: &RepoPath) -> Option<bool> {
        let parts: Vec<_> = path.parts().map(String::from_utf8_lossy).collect();
        let (name, folders) = parts.split_last()?;
        let is = |names: &[&str]| folders.iter().any(|folder| names.contains(&&**folder));
        let hidden = folders
            .iter()
            .any(|folder| folder.starts_with('.') && folder != ".runpod");
        let copied = self.copied.as_ref().is_some_and(|copied| {
            copied.folders.contains(&*path.to_string())
                || path
                    .ancestors()
                    .any(|folder| copied.folders.contains(&*folder.to_string()))
        });
        if copied {
            return self.holds(path).then_some(true);
        }
        if is(&NEVER) || hidden {
            return None;
        }
        let test = name.starts_with("test_") && name.ends_with(".py") || name == "conftest.py";
        if is(&OUTSIDE) || test {
            // Without a Dockerfile every file counts, but for tests.
            let tests = test || is(&["tests", "test", "bench"]);
            return Some(self.copied.is_none() && !tests);
        }
        Some(true)
    }
}
