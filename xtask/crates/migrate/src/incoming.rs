//! Selects an upstream's files, their places, and rewrites their paths.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::validate_upstream;
use worker_files::compose;
use worker_files::dockerfile::{self, Taken};
use worker_files::rewrite::{NotUnderstood, PathMap, Rewritten};
use xtask_core::layout::{self, Shape};
use xtask_core::outcome::UserError;
use xtask_core::tree::{Entries, Mode, RepoPath, Tree, TreeEntry};

#[derive(Debug, Clone)]
pub struct Incoming {
    pub from: RepoPath,
    pub mode: Mode,
    pub given: Vec<u8>,
    /// The same with its paths as they are here.
    pub rewritten: Rewritten,
}

impl Incoming {
    fn new(from: RepoPath, mode: Mode, given: Vec<u8>) -> Self {
        let rewritten = Rewritten {
            bytes: given.clone(),
            changes: Vec::new(),
            notes: Vec::new(),
        };
        Self {
            from,
            mode,
            given,
            rewritten,
        }
    }
}

#[derive(Debug, Default)]
pub struct Bundle {
    pub files: BTreeMap<RepoPath, Incoming>,
    pub notes: Vec<String>,
}

/// Chooses, vets, reads and renders the files of an upstream.
///
/// `sizes` fills in the sizes that the tree does not know, so that nothing large is read.
pub fn collect(
    tree: &dyn Tree,
    shape: Shape,
    sizes: impl Fn(&mut Entries) -> Result<()>,
) -> Result<Bundle> {
    let name = tree.describe();
    let needed = layout::CORE_FILES.iter().chain(layout::HUB_FILES);
    let needed = needed.map(|path| shape.source(path));
    let missing = needed.filter(|source| !tree.entries().contains_key(source));
    let missing: Vec<String> = missing.map(|source| source.to_string()).collect();
    if !missing.is_empty() {
        bail!(UserError::new(
            format!("{name} lacks {}", missing.join(", ")),
            "name a complete upstream with --upstream, or another revision"
        ));
    }
    let dockerfile = shape.source("Dockerfile");
    let copied = match tree.entries().get(&dockerfile) {
        Some(entry) if entry.mode.is_file() => dockerfile::taken(&tree.read(&dockerfile)?)
            .map_err(|error| not_understood(&name, &dockerfile, error))?,
        _ => Vec::new(),
    };
    let mut bundle = Bundle::default();
    let is_repository = |copied: &&Taken| shape == Shape::Root && copied.is_everything();
    if copied.iter().any(|copied| is_repository(&copied)) {
        bundle.notes.push(format!(
            "the Dockerfile of {name} copies its whole repository; of that only the files of the \
             modern layout come along"
        ));
    }
    let is_copied = |source: &RepoPath| {
        let mut parts = copied.iter().filter(|copied| !is_repository(copied));
        parts.any(|copied| copied.covers(source))
    };
    let (selected, left) = choose(tree.entries(), shape, is_copied, &mut bundle.notes);
    let entries = selected.iter();
    let entries = entries.map(|(to, (_, entry))| (to.clone(), entry.clone()));
    let mut entries: Entries = entries.collect();
    sizes(&mut entries)?;
    let mut problems =
        validate_upstream::validate(&entries, |to| tree.read(&selected.get(to)?.0).ok());
    // Report a malicious name even if the file would not come.
    problems.extend(left.iter().filter_map(validate_upstream::name_problem));
    if !problems.is_empty() {
        bail!(UserError::new(
            format!("{name} is refused:\n  {}", problems.join("\n  ")),
            "nothing of it was written; name an upstream that you trust"
        ));
    }
    let folder = match shape {
        Shape::Runpod => layout::RUNPOD,
        Shape::Root => "",
    };
    let places = selected.iter();
    let places = places.map(|(to, (from, _))| (from.clone(), to.clone()));
    let map = PathMap::new(folder, places, left);
    for (to, (from, entry)) in selected {
        let mut incoming = Incoming::new(from.clone(), entry.mode, tree.read(&from)?);
        if let Some(rewriter) = rewriter(&to, shape) {
            let rewritten = rewriter(&incoming.given, &map);
            incoming.rewritten = rewritten.map_err(|error| not_understood(&name, &from, error))?;
        }
        bundle.files.insert(to, incoming);
    }
    Ok(bundle)
}

type Rewriter = fn(&[u8], &PathMap) -> Result<Rewritten, NotUnderstood>;

/// What rewrites the paths in a file that comes to `to`.
pub fn rewriter(to: &RepoPath, shape: Shape) -> Option<Rewriter> {
    match to.as_str() {
        Some("Dockerfile") if shape == Shape::Runpod => Some(dockerfile::rewrite as Rewriter),
        Some("docker-compose.yml") if shape == Shape::Runpod => Some(compose::rewrite as _),
        _ => None,
    }
}

/// An upstream's files that come, by where they go, and those of its part that stay behind; the
/// notes tell which of these a reviewer would expect to come, and why they don't.
fn choose(
    entries: &Entries,
    shape: Shape,
    is_copied: impl Fn(&RepoPath) -> bool,
    notes: &mut Vec<String>,
) -> (BTreeMap<RepoPath, (RepoPath, TreeEntry)>, Vec<RepoPath>) {
    let (mut selected, mut left) = (BTreeMap::new(), Vec::new());
    for (source, entry) in entries {
        let Some(to) = shape.destination(source) else {
            continue;
        };
        if layout::is_core(&to) || is_copied(source) {
            let Some(why) = layout::kept_out(&to) else {
                selected.insert(to, (source.clone(), entry.clone()));
                continue;
            };
            // Every upstream has a README; nobody expects it here.
            if !matches!(to.as_str(), Some("README.md" | "LICENSE" | ".gitignore")) {
                notes.push(format!("{source} of the upstream is left out: {why}"));
            }
        }
        if shape == Shape::Runpod {
            left.push(source.clone());
        }
    }
    (selected, left)
}

fn not_understood(upstream: &str, file: &RepoPath, error: NotUnderstood) -> UserError {
    UserError::new(format!("{file} of {upstream}, {error}"), error.help)
}

/// The folders outside of the core that a Dockerfile copies from.
pub fn copied_folders(dockerfile: &[u8]) -> Result<Vec<String>> {
    let copied = dockerfile::taken(dockerfile).map_err(|error| {
        UserError::new(format!("Dockerfile of the upstream, {error}"), error.help)
    })?;
    let folder = |copied: &Taken| {
        // Of a pattern, the folders before it.
        let fixed = copied
            .path
            .split(['*', '?', '['])
            .next()
            .unwrap_or_default();
        match fixed.rsplit_once('/') {
            Some((folder, _)) if fixed.len() < copied.path.len() => folder.to_owned(),
            _ => fixed.to_owned(),
        }
    };
    let parts = copied.iter().filter(|copied| !copied.is_everything());
    Ok(parts
        .map(folder)
        .filter(|folder| !folder.is_empty())
        .collect())
}

pub fn collect_tool(tree: &dyn Tree) -> Result<Bundle> {
    let mut bundle = Bundle::default();
    let tool = tree.entries().iter();
    for (path, entry) in tool.filter(|(path, _)| layout::is_tool(path)) {
        let incoming = Incoming::new(path.clone(), entry.mode, tree.read(path)?);
        bundle.files.insert(path.clone(), incoming);
    }
    if bundle.files.is_empty() {
        bail!("{} does not hold the tool", tree.describe());
    }
    Ok(bundle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    fn upstream(dockerfile: &str) -> Memory {
        let tree =
            layout::CORE_FILES
                .iter()
                .chain(layout::HUB_FILES)
                .fold(Memory::new(), |tree, path| {
                    let source = Shape::Runpod.source(path).to_string();
                    tree.with(&source, format!("# {path}\n"))
                });
        tree.with(".runpod/Dockerfile", dockerfile)
    }

    fn names(bundle: &Bundle) -> Vec<String> {
        bundle.files.keys().map(ToString::to_string).collect()
    }

    #[test]
    fn an_incomplete_upstream_is_refused_with_all_that_is_missing() {
        let tree = Memory::new()
            .with(".runpod/handler.py", "")
            .with(".runpod/hub.json", "");
        let error = collect(&tree, Shape::Runpod, |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "a tree in memory lacks .runpod/engine.py, .runpod/utils.py, \
             .runpod/download_model.py, .runpod/Dockerfile, .runpod/docker-compose.yml, \
             .runpod/requirements.txt, .runpod/test_input.json, .runpod/tests.json"
        );
    }

    #[test]
    fn what_the_dockerfile_copies_comes_too_and_readme_does_not() {
        let tree = upstream("FROM x\nCOPY .runpod/ ./\n")
            .with(".runpod/README.md", "theirs")
            .with(".runpod/extra/flags.json", "{}")
            .with("python/sglang/x.py", "");
        let bundle = collect(&tree, Shape::Runpod, |_| Ok(())).unwrap();
        assert!(names(&bundle).contains(&"extra/flags.json".to_owned()));
        assert!(!names(&bundle).contains(&"README.md".to_owned()));
        assert!(!names(&bundle).iter().any(|name| name.contains("sglang")));
    }

    #[test]
    fn what_would_rule_or_run_here_is_left_out_and_told() {
        let harm = [
            ".env",
            ".vscode/tasks.json",
            "Compare.accepted.json",
            "conftest.py",
            "public/.htaccess",
            "rust-toolchain.toml",
            "src/handler.py",
        ];
        let everything = "FROM x\nCOPY .runpod/ ./\n";
        let tree = upstream(everything).with(".runpod/helper.py", "");
        let tree = harm.iter().fold(tree, |tree, path| {
            tree.with(&format!(".runpod/{path}"), "harm")
        });
        let bundle = collect(&tree, Shape::Runpod, |_| Ok(())).unwrap();
        let names = names(&bundle);
        assert!(names.contains(&"helper.py".to_owned()), "{names:?}");
        for path in harm {
            assert!(!names.contains(&path.to_owned()), "{path} came");
            let told = format!(".runpod/{path} of the upstream is left out: ");
            let told = bundle.notes.iter().any(|note| note.starts_with(&told));
            assert!(told, "{path}: {:?}", bundle.notes);
        }
        assert_eq!(bundle.notes.len(), harm.len());
    }

    #[test]
    fn a_file_that_is_copied_by_name_and_may_not_come_is_refused_with_its_line() {
        let tree = upstream("FROM x\nCOPY .runpod/.env ./\n").with(".runpod/.env", "");
        let error = collect(&tree, Shape::Runpod, |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(".runpod/Dockerfile of a tree in memory, line 2")
                && error.contains("`.runpod/.env` is copied, which does not come along"),
            "{error}"
        );
    }

    #[test]
    fn a_dockerfile_that_is_not_understood_is_refused_with_its_line() {
        let tree = upstream("FROM x\n\nCOPY . /sgl-workspace\n");
        let error = collect(&tree, Shape::Runpod, |_| Ok(()))
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with(".runpod/Dockerfile of a tree in memory, line 3"),
            "{error}"
        );
    }
}
