//! Which files of both workers belong side by side: those that the layout names and those that
//! facts were read from, by their places in the modern layout. They follow the code: a module that
//! the old worker has no file for stands with the old file whose facts it holds now.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;

use super::facts::Fact;
use super::judge::Item;
use worker_files::source::LARGEST;
use xtask_core::layout::{self, CORE_FILES, HUB_FILES};
use xtask_core::tree::{RepoPath, Tree};

/// A file as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    pub path: RepoPath,
    pub text: String,
}

/// What belongs together. A side that is not known is empty.
#[derive(Debug, Default)]
pub struct Pair {
    pub old: Vec<FileText>,
    pub upstream: Vec<FileText>,
    pub new: Vec<FileText>,
}

#[derive(Clone, Copy)]
pub struct OldFiles<'a> {
    pub tree: &'a dyn Tree,
    /// Whether all of them are there, and not only those that retired.
    pub is_whole: bool,
}

/// A tree's files by their places in the modern layout.
type Files = BTreeMap<RepoPath, RepoPath>;

/// The pairs, in the layout's order.
pub fn of(
    old: Option<OldFiles>,
    upstream: Option<&dyn Tree>,
    new: &dyn Tree,
    items: &[Item],
) -> Result<Vec<Pair>> {
    let before = old.map_or_else(Files::new, |old| files(old.tree, false));
    let theirs = upstream.map_or_else(Files::new, |tree| files(tree, true));
    let after = files(new, true);
    let mut groups: BTreeMap<(usize, RepoPath), Vec<RepoPath>> = BTreeMap::new();
    for (place, leader) in leaders(&before, &after, items) {
        // Of the rest it is not known whether the old worker had it.
        let is_upstreams = layout::is_core(&place) || theirs.contains_key(&place);
        let is_known = is_upstreams && !layout::is_own(&place) || before.contains_key(&place);
        if !is_known && old.is_some_and(|old| !old.is_whole) {
            continue;
        }
        let mut order = CORE_FILES.iter().chain(HUB_FILES);
        let at = order.position(|known| leader == *known);
        let group = groups.entry((at.unwrap_or(usize::MAX), leader.clone()));
        let group = group.or_default();
        // The file of the same role stands before what came out of it.
        let end = group.len();
        group.insert(if place == leader { 0 } else { end }, place);
    }
    let mut pairs = Vec::new();
    for group in groups.into_values() {
        let texts = |tree: Option<&dyn Tree>, files: &Files| -> Result<Vec<FileText>> {
            let paths = group.iter().filter_map(|place| files.get(place));
            let there = paths.filter_map(|path| Some(text(tree?, path)));
            there.collect()
        };
        pairs.push(Pair {
            old: texts(old.map(|old| old.tree), &before)?,
            upstream: texts(upstream, &theirs)?,
            new: texts(Some(new), &after)?,
        });
    }
    pairs.retain(|pair| !(pair.old.is_empty() && pair.upstream.is_empty() && pair.new.is_empty()));
    Ok(pairs)
}

/// Of several files with one place that of the Hub counts first; then in an old worker the one that
/// moves there, in a modern one the one that is there.
fn files(tree: &dyn Tree, is_modern: bool) -> Files {
    let rank = |path: &RepoPath| {
        let is_there = layout::successor(path) == *path;
        let is_hub = HUB_FILES.iter().any(|file| path == file);
        (!is_hub, is_there != is_modern, !layout::is_retired(path))
    };
    let mut files = Files::new();
    for (path, entry) in tree.entries() {
        let place = layout::successor(path);
        let other = files.get(&place);
        let is_first = other.is_none_or(|other| rank(path) < rank(other));
        if entry.mode.is_file() && is_first {
            files.insert(place, path.clone());
        }
    }
    files
}

/// Each place that is shown, with the place that it stands with.
fn leaders(before: &Files, after: &Files, items: &[Item]) -> BTreeMap<RepoPath, RepoPath> {
    let is_module = |place: &RepoPath| place.name().ends_with(b".py");
    let places = |fact: Option<&Fact>| -> Vec<RepoPath> {
        let places = fact.into_iter().flat_map(|fact| &fact.places);
        places.map(|place| layout::successor(&place.file)).collect()
    };
    let named = CORE_FILES.iter().chain(HUB_FILES);
    let named = named.map(|path| RepoPath::from(*path));
    let retired = before.iter().filter(|(_, path)| layout::is_retired(path));
    let retired = retired.map(|(place, _)| place.clone());
    let mut shown: BTreeSet<RepoPath> = named.chain(retired).collect();
    // Data beside modules, such as a table, counts for the whole package.
    let ways = |to: &RepoPath| {
        let alone = is_module(to).then(|| to.clone());
        [alone, to.parent()].into_iter().flatten()
    };
    // How many facts went from one file to another, and to a folder.
    let mut moved: BTreeMap<RepoPath, BTreeMap<RepoPath, usize>> = BTreeMap::new();
    for item in items {
        let (from, to) = (places(item.old.as_ref()), places(item.new.as_ref()));
        shown.extend(from.iter().chain(&to).cloned());
        for to in &to {
            for from in from.iter().filter(|from| is_module(from)) {
                for way in ways(to) {
                    let files = moved.entry(way).or_default();
                    *files.entry(from.clone()).or_default() += 1;
                }
            }
        }
    }
    // The other modules of a package in which there are facts.
    let in_package = |place: &&RepoPath| {
        let folder = place.parent();
        is_module(place) && folder.is_some_and(|folder| moved.contains_key(&folder))
    };
    shown.extend(after.keys().filter(in_package).cloned());
    let leader = |place: RepoPath| {
        let mut ways = ways(&place).filter(|_| is_module(&place) && !before.contains_key(&place));
        let most = ways.find_map(|way| {
            let files = moved.get(&way)?.iter();
            let files = files.filter(|(file, _)| before.contains_key(*file));
            files.max_by_key(|(_, count)| **count)
        });
        let leader = most.map_or(&place, |(file, _)| file).clone();
        (place, leader)
    };
    shown.into_iter().map(leader).collect()
}

fn text(tree: &dyn Tree, path: &RepoPath) -> Result<FileText> {
    let bytes = tree.read(path)?;
    let text = if bytes.len() > LARGEST || bytes.contains(&0) {
        format!("({} bytes, not shown)\n", bytes.len())
    } else {
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let path = path.clone();
    Ok(FileText { path, text })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{compared, legacy, modern};
    use super::*;
    use xtask_core::tree::Memory;

    fn names(texts: &[FileText]) -> Vec<String> {
        texts.iter().map(|text| text.path.to_string()).collect()
    }

    fn found(old: OldFiles, new: &dyn Tree, items: &[Item]) -> Vec<(Vec<String>, Vec<String>)> {
        let pairs = of(Some(old), None, new, items).unwrap();
        let both = pairs
            .iter()
            .map(|pair| (names(&pair.old), names(&pair.new)));
        both.collect()
    }

    #[test]
    fn files_stand_beside_their_successors_in_the_layouts_order() {
        let (old, new) = (legacy(), modern());
        let items = compared(&old, &new);
        let old = OldFiles {
            tree: &old,
            is_whole: true,
        };
        let found = found(old, &new, &items);
        let old_names: Vec<&str> = found
            .iter()
            .flat_map(|(old, _)| old)
            .map(String::as_str)
            .collect();
        assert_eq!(
            old_names[..3],
            ["src/handler.py", "src/engine.py", "Dockerfile"]
        );
        let pair = |old: &str| {
            let pair = found.iter().find(|(names, _)| names == &[old]);
            pair.unwrap_or_else(|| panic!("{old} in {found:?}"))
                .1
                .join(" ")
        };
        assert_eq!(pair("src/engine.py"), "engine.py");
        assert_eq!(pair("builder/requirements.txt"), "requirements.txt");
        assert_eq!(pair("worker-config.json"), ".runpod/hub.json");
        assert_eq!(pair("builder/setup.sh"), "");
    }

    #[test]
    fn a_package_stands_with_the_old_file_whose_facts_its_table_holds() {
        use super::super::judge::Verdict;
        use worker_files::Place;
        let at =
            |file: &str| Fact::single("a", "b".to_owned(), vec![Place::start_of(&file.into())]);
        let old = Memory::new()
            .with("src/engine.py", "")
            .with("src/handler.py", "");
        let new = [
            "engine.py",
            "handler.py",
            "package/flags.py",
            "package/table.json",
        ];
        let new = new
            .iter()
            .fold(Memory::new(), |tree, path| tree.with(path, ""));
        let item = Item::new(
            "env:A",
            Verdict::Kept,
            &at("src/engine.py"),
            &at("package/table.json"),
        );
        let old = OldFiles {
            tree: &old,
            is_whole: true,
        };
        let found = found(old, &new, &[item]);
        let engine = found.iter().find(|(old, _)| old == &["src/engine.py"]);
        assert_eq!(engine.unwrap().1, ["engine.py", "package/flags.py"]);
    }

    #[test]
    fn a_module_stands_with_the_old_file_whose_facts_it_holds() {
        let old = Memory::new()
            .with(
                "src/engine.py",
                "import os\na = os.getenv('A')\nb = os.getenv('B')\n",
            )
            .with("src/handler.py", "import os, engine\nc = os.getenv('C')\n")
            .with(
                "Dockerfile",
                "FROM x\nCOPY src /src\nCMD python3 /src/handler.py\n",
            );
        let new = Memory::new()
            .with("handler.py", "import engine\nfrom package import jobs\n")
            .with("engine.py", "from package import config, empty\n")
            .with("package/__init__.py", "")
            .with(
                "package/config.py",
                "import os\na = os.getenv('A')\nb = os.getenv('B')\n",
            )
            .with("package/empty.py", "x = 1\n")
            .with("package/jobs.py", "import os\nc = os.getenv('C')\n")
            .with("tests/test_x.py", "x = 1\n")
            .with("Dockerfile", "FROM x\nCOPY . /\nCMD python3 /handler.py\n");
        let items = compared(&old, &new);
        let old = OldFiles {
            tree: &old,
            is_whole: true,
        };
        let found = found(old, &new, &items);
        assert_eq!(found[0].1, ["handler.py", "package/jobs.py"]);
        assert_eq!(
            found[1].1,
            [
                "engine.py",
                "package/__init__.py",
                "package/config.py",
                "package/empty.py"
            ]
        );
        assert!(!format!("{found:?}").contains("test_x"));
    }

    #[test]
    fn what_the_old_worker_is_not_known_to_lack_is_not_called_new() {
        let old = Memory::new().with("src/handler.py", "x = 1\n");
        let new = Memory::new()
            .with("handler.py", "x = 1\n")
            .with("docker-bake.hcl", "target \"a\" {\n}\n");
        let items = compared(&old, &new);
        let at = |is_whole| {
            found(
                OldFiles {
                    tree: &old,
                    is_whole,
                },
                &new,
                &items,
            )
            .len()
        };
        assert_eq!((at(false), at(true)), (1, 2));
    }
}
