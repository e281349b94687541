//! Symbolic links that stay and no longer lead where they led, because what they name moved. Those
//! that move to `outdated/` go with it.

use std::collections::BTreeMap;

use super::{After, Dangling, MentionKind, counterpart, has};
use xtask_core::layout::OUTDATED;
use xtask_core::tree::{Entries, RepoPath, same};

/// Every link in `links` (its path, and what it names) that leads nowhere after the migration, in the
/// order of paths. What led nowhere before is passed over.
pub fn links(links: &[(RepoPath, Vec<u8>)], before: &Entries, after: &After<'_>) -> Vec<Dangling> {
    let moved: BTreeMap<&RepoPath, &RepoPath> =
        after.moved.iter().map(|(from, to)| (from, to)).collect();
    let stays = |path: &RepoPath| {
        let entries = (before.get(path), after.result.get(path));
        matches!(entries, (Some(before), Some(after)) if same(before, after))
    };
    let check = |(link, target): &(RepoPath, Vec<u8>)| {
        if link.is_within(OUTDATED) || target.starts_with(b"/") || !stays(link) {
            return None;
        }
        let named = link.leads_to(target)?;
        let now = (!has(after.result, &named)).then(|| now(&named, &moved))??;
        let instead = match named.as_str().and_then(counterpart).map(RepoPath::from) {
            Some(modern) if after.result.contains_key(&modern) => modern,
            _ => now.clone(),
        };
        Some(Dangling {
            path: link.clone(),
            line: 1,
            column: 1,
            kind: MentionKind::Code,
            text: format!("a link to {}", RepoPath::new(target.as_slice())),
            what: format!("`{named}` is now `{now}`"),
            instead: link.link_to(&instead).to_string(),
        })
    };
    let mut found: Vec<Dangling> = links.iter().filter_map(check).collect();
    found.sort();
    found
}

/// Where that went which was at `path`: with what moved above it, or as a folder of which nothing is
/// left, where its files did; `None` if nothing was.
fn now(path: &RepoPath, moved: &BTreeMap<&RepoPath, &RepoPath>) -> Option<RepoPath> {
    let mut places = std::iter::once(path.clone()).chain(path.ancestors());
    if let Some((above, to)) = places.find_map(|above| Some((above.clone(), *moved.get(&above)?))) {
        let below = &path.as_bytes()[above.as_bytes().len()..];
        return Some(RepoPath::new([to.as_bytes(), below].concat()));
    }
    let first = RepoPath::new([path.as_bytes(), b"/"].concat());
    moved
        .range::<RepoPath, _>(&first..)
        .map_while(|(from, to)| {
            let below = from.as_bytes().strip_prefix(path.as_bytes())?;
            below.starts_with(b"/").then_some((below, to))
        })
        .find_map(|(below, to)| to.as_bytes().strip_suffix(below).map(RepoPath::new))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::files;
    use xtask_core::tree::{Memory, Mode, Tree};

    /// What is said of one link at `path` in a worker with some files of both kinds.
    fn check(path: &str, target: &str) -> Option<String> {
        let mut tree = Memory::new()
            .with_mode("alias", Mode::Symlink, "docs")
            .with_mode(path, Mode::Symlink, target);
        for path in [
            ".runpod/hub.json",
            ".runpod/notes.md",
            "Dockerfile",
            "README.md",
            "builder/setup.sh",
            "docs/a.md",
            "src/engine.py",
            "src/lib/x.py",
        ] {
            tree = tree.with(path, path);
        }
        let before = tree.entries();
        let mut moved = Vec::new();
        let mut result = files(&[("engine.py", "1")]);
        for (old, entry) in before {
            let leaves =
                xtask_core::layout::is_retired(old) || xtask_core::layout::is_stray_in_runpod(old);
            let new = if leaves || *old == "Dockerfile" {
                let new = xtask_core::layout::outdated(old);
                moved.push((old.clone(), new.clone()));
                new
            } else {
                old.clone()
            };
            result.insert(new, entry.clone());
        }
        result.extend(files(&[("Dockerfile", "2")]));
        let after = After {
            moved: &moved,
            result: &result,
            arguments: &[],
        };
        let found = links(&[(path.into(), target.into())], before, &after);
        found
            .first()
            .map(|one| format!("{}: {}; {}", one.path, one.what, one.instead))
    }

    #[test]
    fn links_to_what_moved() {
        for (path, target, expected) in [
            (
                "srclink",
                "src",
                "`src` is now `outdated/src`; outdated/src",
            ),
            (
                "srclink",
                "./src/",
                "`src` is now `outdated/src`; outdated/src",
            ),
            (
                "docs/eng",
                "../src/engine.py",
                "`src/engine.py` is now `outdated/src/engine.py`; ../engine.py",
            ),
            (
                "x",
                "src/lib/x.py",
                "`src/lib/x.py` is now `outdated/src/lib/x.py`; outdated/src/lib/x.py",
            ),
            (
                "x",
                "src/lib",
                "`src/lib` is now `outdated/src/lib`; outdated/src/lib",
            ),
        ] {
            assert_eq!(check(path, target), Some(format!("{path}: {expected}")));
        }
    }

    #[test]
    fn links_that_hold() {
        for (path, target) in [
            ("readme", "README.md"),
            ("image", "Dockerfile"),
            ("here", "."),
            ("hub", ".runpod/hub.json"),
            ("broken", "src/gone.py"),
            ("absolute", "/src/engine.py"),
            ("out", "../src/engine.py"),
            ("docs/alias", "../alias/a.md"),
            ("src/current", "engine.py"),
            ("src/self", "."),
            ("src/setup", "../builder/setup.sh"),
            ("src/image", "../Dockerfile"),
            ("src/notes", "../.runpod/notes.md"),
            ("src/broken", "../nowhere"),
            // What moves itself is not looked at any more.
            ("src/up", "../README.md"),
            ("src/absolute", "/etc/hosts"),
        ] {
            assert_eq!(check(path, target), None, "{path} -> {target}");
        }
    }
}
