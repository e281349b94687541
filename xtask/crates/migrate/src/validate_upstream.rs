//! Validates an upstream's files by name, kind and size before any is read or written.

use std::collections::{BTreeMap, BTreeSet};

use xtask_core::fold::{folded, is_dot_git, is_invisible};
use xtask_core::layout;
use xtask_core::tree::{Entries, Mode, RepoPath};

/// No worker has files of this size; the largest known, a banner, has 2 MB.
pub const MAX_FILE: u64 = 20 * 1024 * 1024;

/// The most files that may come; the real upstream has 15.
pub const MAX_FILES: usize = 1000;

/// The longest name and path, in bytes: a name has 255 on every common file system, and a path of
/// 4,096 must hold the worker's folder too.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 2048;

/// The problems of the incoming files, one per line.
///
/// `incoming` is keyed by the place in the modern layout; `link` gives the target of a symbolic
/// link.
pub fn validate(incoming: &Entries, link: impl Fn(&RepoPath) -> Option<Vec<u8>>) -> Vec<String> {
    let mut problems = Vec::new();
    if incoming.len() > MAX_FILES {
        problems.push(format!(
            "{} files would come; more than {MAX_FILES} is no worker",
            incoming.len()
        ));
        return problems;
    }
    for (path, entry) in incoming {
        if let Some(problem) = name_problem(path) {
            problems.push(problem);
            continue;
        }
        if let Some(size) = entry.size.filter(|&size| size > MAX_FILE) {
            problems.push(format!(
                "{path}: {} MB is more than the {} MB a file may have",
                size / 1024 / 1024,
                MAX_FILE / 1024 / 1024
            ));
        }
        match entry.mode {
            Mode::Submodule => problems.push(format!("{path}: is a submodule")),
            Mode::Symlink => {
                if let Some(problem) = link(path).and_then(|target| link_problem(path, &target)) {
                    problems.push(format!("{path}: {problem}"));
                }
            }
            Mode::File | Mode::Executable => {}
        }
    }
    for path in incoming.keys() {
        if let Some(above) = path.ancestors().find(|above| incoming.contains_key(above)) {
            problems.push(format!(
                "{above}: is a file, and {path} needs it to be a folder"
            ));
        }
    }
    problems.extend(twins(incoming.keys(), std::iter::empty()));
    problems
}

/// What is wrong with a path as such, as a line.
pub fn name_problem(path: &RepoPath) -> Option<String> {
    let problem = match path.as_str() {
        None => "the name is not UTF-8",
        Some(text) => problem_of_text(text)?,
    };
    Some(format!("{path}: {problem}"))
}

fn problem_of_text(text: &str) -> Option<&'static str> {
    let has = |is_bad: &dyn Fn(&str) -> bool| text.split('/').any(is_bad);
    Some(if text.starts_with('/') {
        "the path is absolute"
    } else if text.contains(char::is_control) {
        "the name holds control characters"
    } else if has(&|part| part.len() > MAX_NAME) {
        "no file system takes a name of that length"
    } else if text.len() > MAX_PATH {
        "no file system takes a path of that length"
    } else if text.contains(['\\', ':']) {
        "the name holds a character that Windows reads as part of a path"
    } else if has(&str::is_empty) {
        "the path has an empty part"
    } else if has(&|part| matches!(part, "." | "..")) {
        "the path leaves its folder"
    } else if has(&is_dot_git) {
        "some systems read this name as .git"
    } else if text.contains(is_invisible) {
        "the name holds invisible characters"
    } else {
        return None;
    })
}

/// What is wrong with a symbolic link at `path` to `target`.
fn link_problem(path: &RepoPath, target: &[u8]) -> Option<String> {
    let shown = RepoPath::new(target);
    if layout::is_core(path) && !path.is_within("public") {
        return Some(format!("a core file may not be a link (to {shown})"));
    }
    // `..` after the name of another link would lead up from wherever that leads.
    let mut parts = target.split(|&byte| byte == b'/');
    let goes_down = parts.any(|part| !matches!(part, b"" | b"." | b".."));
    if goes_down && parts.any(|part| part == b"..") {
        return Some(format!(
            "the link to {shown} goes up again after it went down"
        ));
    }
    let Some(resolved) = path.leads_to(target) else {
        return Some(format!("the link to {shown} leaves the worker"));
    };
    if layout::is_core(&resolved) && !resolved.is_within("public") {
        return Some(format!("the link is a second name of {resolved}"));
    }
    let mut parts = resolved.parts();
    let leads_to_git = parts.any(|part| is_dot_git(&String::from_utf8_lossy(part)));
    let is_kept_out = leads_to_git || layout::kept_out(&resolved).is_some();
    is_kept_out.then(|| format!("the link leads to {resolved}"))
}

/// Names of incoming files that some system takes for another one of them or of those here.
pub fn twins<'a>(
    incoming: impl Iterator<Item = &'a RepoPath>,
    here: impl Iterator<Item = &'a RepoPath>,
) -> BTreeSet<String> {
    let mut spellings: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for name in here.flat_map(with_folders) {
        spellings.entry(folded(&name)).or_default().insert(name);
    }
    let mut problems = BTreeSet::new();
    for name in incoming.flat_map(with_folders) {
        let others = spellings.entry(folded(&name)).or_default();
        let others = others.iter().filter(|other| **other != name);
        problems.extend(others.map(|other| format!("{name}: some systems take it for {other}")));
        spellings.entry(folded(&name)).or_default().insert(name);
    }
    problems
}

/// The names of a path and of the folders above it.
fn with_folders(path: &RepoPath) -> impl Iterator<Item = String> + use<> {
    let paths: Vec<RepoPath> = path.ancestors().chain([path.clone()]).collect();
    let text = |path: RepoPath| String::from_utf8_lossy(path.as_bytes()).into_owned();
    paths.into_iter().map(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::TreeEntry;

    fn entries(paths: &[(&str, Mode, u64)]) -> Entries {
        paths
            .iter()
            .map(|&(path, mode, size)| {
                let entry = TreeEntry {
                    mode,
                    size: Some(size),
                    oid: None,
                };
                (path.into(), entry)
            })
            .collect()
    }

    fn problems(path: &str) -> Vec<String> {
        validate(&entries(&[(path, Mode::File, 1)]), |_| None)
    }

    #[test]
    fn hostile_names_are_refused() {
        for path in [
            "../x",
            "a/../x",
            "/etc/passwd",
            ".git/hooks/x",
            ".GIT/config",
            "a/.Git",
            "git~1/config",
            ".git. /x",
            ".g\u{200c}it/x",
            "a//b",
            "a\\b",
            "c:x",
            "a\nb",
            "a\u{202e}b",
            "a\u{2066}b",
            &"a".repeat(256),
            &"a/".repeat(1200),
        ] {
            assert_eq!(problems(path).len(), 1, "{path:?}: {:?}", problems(path));
        }
        for path in ["engine.py", ".gitignore", "public/a b.png", "gitx", "ü.py"] {
            assert_eq!(problems(path), [""; 0], "{path}");
        }
    }

    #[test]
    fn links_may_not_leave_or_alias() {
        let link = |path: &str, target: &'static str| {
            validate(&entries(&[(path, Mode::Symlink, 1)]), |_| {
                Some(target.as_bytes().to_vec())
            })
        };
        assert_eq!(
            link("public/x", "/etc/passwd"),
            ["public/x: the link to /etc/passwd leaves the worker"]
        );
        assert_eq!(link("public/x", "../../up").len(), 1);
        assert_eq!(
            link("public/x", "../engine.py"),
            ["public/x: the link is a second name of engine.py"]
        );
        assert_eq!(link("engine.py", "other.py").len(), 1);
        assert_eq!(link("public/x", "../.git/config").len(), 1);
        for (target, problem) in [
            ("../.GIT/config", "the link leads to .GIT/config"),
            ("../Git~1/hooks/x", "the link leads to Git~1/hooks/x"),
            ("../.env", "the link leads to .env"),
            ("../Docs/x.md", "the link leads to Docs/x.md"),
            // Where `d` is a link to `.`, each `..` after it goes one further up.
            (
                "d/d/../../../x",
                "the link to d/d/../../../x goes up again after it went down",
            ),
            (
                ".././d/../x",
                "the link to .././d/../x goes up again after it went down",
            ),
        ] {
            assert_eq!(link("public/x", target), [format!("public/x: {problem}")]);
        }
        assert_eq!(link("public/a/x", ".././../helper.py"), [""; 0]);
        assert_eq!(link("public/x", "banner.png"), [""; 0]);
    }

    #[test]
    fn twins_of_files_that_are_here_are_found_with_their_folders() {
        let here = ["lb.py", "Lib/x.py", "stra\u{df}e.py", "same.py"].map(RepoPath::from);
        let comes = ["LB.py", "lib/y.py", "STRASSE.py", "same.py", "new.py"].map(RepoPath::from);
        assert_eq!(
            Vec::from_iter(twins(comes.iter(), here.iter())),
            [
                "LB.py: some systems take it for lb.py",
                "STRASSE.py: some systems take it for stra\u{df}e.py",
                "lib: some systems take it for Lib",
            ]
        );
    }

    #[test]
    fn size_number_and_case_have_limits() {
        let big = entries(&[("public/x", Mode::File, 2 << 30)]);
        assert_eq!(
            validate(&big, |_| None),
            ["public/x: 2048 MB is more than the 20 MB a file may have"]
        );
        let case = entries(&[("public/A", Mode::File, 1), ("public/a", Mode::File, 1)]);
        assert_eq!(
            validate(&case, |_| None),
            ["public/a: some systems take it for public/A"]
        );
        let composed = entries(&[
            ("public/\u{e9}", Mode::File, 1),
            ("public/E\u{301}", Mode::File, 1),
        ]);
        assert_eq!(
            validate(&composed, |_| None),
            ["public/\u{e9}: some systems take it for public/E\u{301}"]
        );
        let folder = entries(&[("public", Mode::File, 1), ("public/a", Mode::File, 1)]);
        assert_eq!(
            validate(&folder, |_| None),
            ["public: is a file, and public/a needs it to be a folder"]
        );
        let many: Entries = (0..=MAX_FILES)
            .map(|n| {
                let entry = TreeEntry {
                    mode: Mode::File,
                    size: None,
                    oid: None,
                };
                (RepoPath::from(format!("public/{n}").as_str()), entry)
            })
            .collect();
        assert_eq!(validate(&many, |_| None).len(), 1);
    }
}
