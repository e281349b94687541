//! References to `outdated/`: those in files that run or build stop a cleanup, those in texts are
//! listed.

use anyhow::Result;

use worker_files::references::{self, Dangling, MentionKind};
use xtask_core::git::Repo;
use xtask_core::layout::{self, OUTDATED};
use xtask_core::tree::{Mode, Part, RepoPath, Tree};

/// All mentions in the files of `tree`, which is a commit of `repo`, and links that lead there.
pub fn find(tree: &dyn Tree, repo: &Repo) -> Result<Vec<Dangling>> {
    // Even binary files, and those that are not checked out.
    find_in(
        tree,
        &repo.files_with([OUTDATED], &[OUTDATED], "--cached -a")?,
    )
}

fn find_in(tree: &dyn Tree, candidates: &[RepoPath]) -> Result<Vec<Dangling>> {
    let rest = Part::without(tree, OUTDATED);
    let rest = rest.entries();
    let mut files = Vec::new();
    for path in candidates {
        // The tool and its records refer to the folder by design.
        let passed_over = layout::is_tool(path) || layout::is_record(path);
        let is_file = rest.get(path).is_some_and(|entry| entry.mode.is_file());
        if is_file && !passed_over {
            // Files may be non-UTF-8; decode lossily, since `outdated` is ASCII.
            let text = String::from_utf8_lossy(&tree.read(path)?).into_owned();
            files.push((path.clone(), text.into_bytes()));
        }
    }
    let mut found = references::removed(&files, OUTDATED);
    for (path, _) in rest.iter().filter(|(_, entry)| entry.mode == Mode::Symlink) {
        let target = tree.read(path)?;
        let to = path.leads_to(&target);
        if to.is_some_and(|to| to.is_within(OUTDATED)) {
            found.push(Dangling {
                path: path.clone(),
                line: 1,
                column: 1,
                kind: MentionKind::Code,
                text: format!("a link to {}", RepoPath::new(target)),
                what: String::new(),
                instead: String::new(),
            });
        }
    }
    found.sort_by(|one, other| (&one.path, one.line).cmp(&(&other.path, other.line)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    #[test]
    fn files_that_run_texts_and_links() {
        let tree = Memory::new()
            .with("outdated/src/a.py", "'outdated/'")
            .with(
                "Dockerfile",
                "FROM x\n# from outdated/\nCOPY outdated/src /src\n",
            )
            .with("docs/a.md", "It is in `outdated/src/a.py`.\n")
            .with("xtask/crates/core/src/layout.rs", "\"outdated/\"")
            .with("latin.sh", b"# caf\xe9\nD=outdated\ncd outdated/src\n")
            .with("b.sh", "python3 tool.py --dir=outdated --x\n")
            .with("Cargo.toml", "exclude = ['outdated/']")
            .with(".xtask/upstream.lock.json", "{\"outdated/src/a.py\": 1}")
            .with(".xtask/accepted.json", "\"outdated/\"")
            .with_mode("docs/old", Mode::Symlink, "../outdated/src")
            .with_mode("docs/new", Mode::Symlink, "../src/outdated");
        let candidates: Vec<RepoPath> = tree.entries().keys().cloned().collect();
        let found = find_in(&tree, &candidates).unwrap();
        let shown: Vec<String> = found
            .iter()
            .map(|one| format!("{}:{} {:?} {}", one.path, one.line, one.kind, one.text))
            .collect();
        assert_eq!(
            shown,
            [
                "Dockerfile:2 Prose # from outdated/",
                "Dockerfile:3 Code COPY outdated/src /src",
                "b.sh:1 Code python3 tool.py --dir=outdated --x",
                "docs/a.md:1 Prose It is in `outdated/src/a.py`.",
                "docs/old:1 Code a link to ../outdated/src",
                "latin.sh:2 Code D=outdated",
                "latin.sh:3 Code cd outdated/src",
            ]
        );
    }
}
