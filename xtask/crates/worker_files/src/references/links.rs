//! Symbolic links that no longer lead where they led. A link is kept byte for byte, so it goes
//! wrong when what it names moves, and when it moves itself without what it names.

use std::collections::BTreeMap;

use super::{After, Dangling, MentionKind, counterpart, has};
use xtask_core::layout::OUTDATED;
use xtask_core::tree::{Entries, Mode, RepoPath, same};

/// Every link in `links` (its path before the migration, and what it names) that leads nowhere or
/// elsewhere afterwards, in the order of paths. What led nowhere before is passed over.
pub fn links(links: &[(RepoPath, Vec<u8>)], before: &Entries, after: &After<'_>) -> Vec<Dangling> {
    let moved: BTreeMap<&RepoPath, &RepoPath> =
        after.moved.iter().map(|(from, to)| (from, to)).collect();
    let places = Places {
        before,
        moved: &moved,
        result: after.result,
    };
    let own = links.iter().filter(|(path, _)| !path.is_within(OUTDATED));
    let found = own.filter_map(|(path, target)| places.check(path, target));
    let mut found: Vec<Dangling> = found.collect();
    found.sort();
    found
}

struct Places<'a> {
    before: &'a Entries,
    moved: &'a BTreeMap<&'a RepoPath, &'a RepoPath>,
    result: &'a Entries,
}

impl Places<'_> {
    fn check(&self, old: &RepoPath, target: &[u8]) -> Option<Dangling> {
        let new = self.moved.get(old).map_or(old, |new| *new);
        let stays = matches!(
            (self.before.get(old), self.result.get(new)),
            (Some(before), Some(after)) if same(before, after)
        );
        if !stays || target.starts_with(b"/") {
            return None;
        }
        let (what, instead) = if new == old {
            self.named_moved(old, target)?
        } else {
            let instead = self.at_new_place(old, new, target)?;
            let what = format!("was `{old}`, and its target is no longer found from here");
            (what, instead)
        };
        Some(Dangling {
            path: new.clone(),
            line: 1,
            column: 1,
            kind: MentionKind::Code,
            text: format!("a link to {}", RepoPath::new(target)),
            what,
            instead: instead.to_string(),
        })
    }

    /// Of a link that stays: what became of what it names, and what to write for that.
    fn named_moved(&self, link: &RepoPath, target: &[u8]) -> Option<(String, RepoPath)> {
        let named = link.leads_to(target)?;
        if has(self.result, &named) {
            return None;
        }
        let now = self.now(&named).filter(|now| *now != named)?;
        let what = format!("`{named}` is now `{now}`");
        let to = match named.as_str().and_then(counterpart).map(RepoPath::from) {
            Some(modern) if self.result.contains_key(&modern) => modern,
            _ => now,
        };
        Some((what, link.link_to(&to)))
    }

    /// Of a link that moves: what to write, if it leads elsewhere from its new place.
    fn at_new_place(&self, old: &RepoPath, new: &RepoPath, target: &[u8]) -> Option<RepoPath> {
        if let Some(named) = old.leads_to(target) {
            let now = self.now(&named)?;
            let holds = new.leads_to(target).as_ref() == Some(&now);
            return (!holds).then(|| new.link_to(&now));
        }
        // Out of the repository, from as many folders deeper.
        let depth = |path: &RepoPath| path.ancestors().count();
        let mut instead = b"../".repeat(depth(new).checked_sub(depth(old))?);
        instead.extend_from_slice(target);
        Some(RepoPath::new(instead))
    }

    /// Where that is now which was at `path`; `None` if nothing was.
    fn now(&self, path: &RepoPath) -> Option<RepoPath> {
        if let Some(to) = self.moved.get(path) {
            return Some((*to).clone());
        }
        if has(self.result, path) {
            return Some(path.clone());
        }
        // Through another link, which is looked at for itself.
        let through = path.ancestors().find(|above| {
            let entry = self.before.get(above);
            entry.is_some_and(|entry| entry.mode == Mode::Symlink)
        });
        if let Some(link) = through {
            let mut now = self.now(&link)?.as_bytes().to_vec();
            now.extend_from_slice(&path.as_bytes()[link.as_bytes().len()..]);
            return Some(RepoPath::new(now));
        }
        // A folder of which nothing is left went where its files did.
        let first = RepoPath::new([path.as_bytes(), b"/"].concat());
        self.moved
            .range::<RepoPath, _>(&first..)
            .map_while(|(from, to)| {
                let below = from.as_bytes().strip_prefix(path.as_bytes())?;
                below.starts_with(b"/").then_some((below, to))
            })
            .find_map(|(below, to)| to.as_bytes().strip_suffix(below).map(RepoPath::new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testing::files;
    use xtask_core::tree::{Memory, Tree};

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
    fn links_that_move() {
        for (path, target, expected) in [
            ("src/up", "../README.md", "../../README.md"),
            ("src/lib/up", "../../docs", "../../../docs"),
            ("src/root", "..", "../.."),
            // Another folder of that name is there, with what is no Hub file.
            ("src/hub", "../.runpod", "../../.runpod"),
            ("src/hub", "../.runpod/hub.json", "../../.runpod/hub.json"),
            ("src/a", "../alias/a.md", "../../alias/a.md"),
            ("src/out", "../../shared/x", "../../../shared/x"),
        ] {
            let words = "and its target is no longer found from here";
            assert_eq!(
                check(path, target),
                Some(format!(
                    "outdated/{path}: was `{path}`, {words}; {expected}"
                ))
            );
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
            ("src/absolute", "/etc/hosts"),
        ] {
            assert_eq!(check(path, target), None, "{path} -> {target}");
        }
    }
}
