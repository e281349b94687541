//! Revisions of the official repository by the hashes of their files, and which of them a worker is
//! most like.

use anyhow::{Context, Result};
use serde::Deserialize;

use compare::few;
use xtask_core::layout::{self, Layout, OUTDATED};
use xtask_core::tree::{Entries, Mode, Oid, RepoPath, TreeEntry};

/// How many files a worker without the official history must have as they were there.
const MIN_SAME: usize = 2;

/// One commit. Newer ones come first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    pub commit: Oid,
    /// The worker's files in it.
    pub files: Entries,
    /// Texts and what else is in it.
    pub others: Entries,
}

/// The revision that a worker without its history has the most files of.
pub struct Likeness<'a> {
    pub revision: &'a Revision,
    /// How many of the revision's files are the same.
    pub same: usize,
    /// Others that as many files are the same of, and that have other files of the worker's.
    equals: Vec<&'a Revision>,
}

impl Likeness<'_> {
    /// What a person should know before taking it for the base.
    pub fn note(&self) -> String {
        let Revision { commit, files, .. } = self.revision;
        let (of, same) = (files.len(), self.same);
        let equals: Vec<&str> = self.equals.iter().map(|it| it.commit.short()).collect();
        let named = few(&equals, 3);
        let again = match equals.len() {
            0 => String::new(),
            1 => format!("; 1 other revision is equally like it: {named}"),
            count => format!("; {count} other revisions are equally like it: {named}"),
        };
        format!(
            "this fork is most like the official worker at {}: {same} of its {of} files are the \
             same{again}. Where it started from another one, name that with `--carry BASE`",
            commit.short()
        )
    }
}

impl Revision {
    pub fn new(commit: Oid, all: Entries) -> Self {
        let (files, others) = all.into_iter().partition(|(path, _)| is_workers(path));
        Self {
            commit,
            files,
            others,
        }
    }

    pub fn is(&self, layout: Layout) -> bool {
        Layout::of(&self.files) == layout
    }
}

/// The revision that a worker without its history has the most files of: first of the worker's,
/// then of all, and of equals the newest.
pub fn most_similar<'a>(
    revisions: &'a [Revision],
    ours: &Entries,
    layout: Layout,
) -> Option<Likeness<'a>> {
    let revisions = revisions.iter().filter(|it| it.is(layout));
    let counted = revisions.map(|revision| {
        let others = count_same(&revision.others, ours);
        ((count_same(&revision.files, ours), others), revision)
    });
    let counted: Vec<_> = counted.filter(|((same, _), _)| *same >= MIN_SAME).collect();
    let most = counted.iter().map(|(count, _)| *count).max()?;
    let mut best = counted.iter().filter(|(count, _)| *count == most);
    let revision = best.next()?.1;
    let mut equals: Vec<&Revision> = Vec::new();
    for (_, equal) in best {
        let is_same = |it: &&Revision| it.files == equal.files;
        let is_told = is_same(&revision) || equals.iter().any(is_same);
        equals.extend((!is_told).then_some(*equal));
    }
    Some(Likeness {
        revision,
        same: most.0,
        equals,
    })
}

/// Whether a file is the worker's, and no text about it.
pub fn is_workers(path: &RepoPath) -> bool {
    (layout::is_retired(path)
        || layout::is_core(path)
        || path.is_within(layout::RUNPOD)
        || *path == "docker-bake.hcl")
        && !path.is_within(OUTDATED)
}

/// How many files with something in them are the same.
fn count_same(theirs: &Entries, ours: &Entries) -> usize {
    // git's names of the empty file.
    const EMPTY: [&str; 2] = [
        "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
        "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
    ];
    let is_same = |path: &RepoPath, oid: &Oid| {
        let ours = ours.get(path).and_then(|ours| ours.oid.as_ref());
        !EMPTY.contains(&&*oid.0) && ours == Some(oid)
    };
    let files = theirs.iter();
    files
        .filter(|(path, entry)| entry.oid.as_ref().is_some_and(|oid| is_same(path, oid)))
        .count()
}

/// Reads the list that comes with the tool.
pub fn parse_revisions(text: &str) -> Result<Vec<Revision>> {
    #[derive(Deserialize)]
    struct Facts {
        files: Vec<(String, String, String)>,
        commits: Vec<Vec<serde_json::Value>>,
    }
    let facts: Facts = serde_json::from_str(text).context("official.json")?;
    let file = |index: &serde_json::Value| {
        let index = usize::try_from(index.as_u64()?).ok()?;
        let (path, mode, oid) = facts.files.get(index)?;
        let entry = TreeEntry::of(Mode::from_octal(mode.as_bytes())?, Oid(oid.clone()));
        Some((RepoPath::from(path.as_str()), entry))
    };
    let revision = |line: &Vec<serde_json::Value>| {
        let (commit, files) = line.split_first()?;
        let files = files.iter().map(file).collect::<Option<_>>()?;
        Some(Revision::new(Oid(commit.as_str()?.to_owned()), files))
    };
    let revisions: Option<_> = facts.commits.iter().map(revision).collect();
    revisions.context("official.json has a line that is no commit with its files")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_knows_both_layouts_of_the_official_worker() {
        let all = parse_revisions(include_str!("../../../data/official.json")).unwrap();
        let of = |start: &str| all.iter().find(|one| one.commit.0.starts_with(start));
        // The commit before its migration, and the migration.
        let legacy = of("7ce2cf5").unwrap();
        assert_eq!(Layout::of(&legacy.files), Layout::Legacy);
        assert_eq!(Layout::of(&of("1d3221a").unwrap().files), Layout::Modern);
        assert!(legacy.files.contains_key(&"src/engine.py".into()));
        assert!(all.len() > 70, "{}", all.len());
    }

    #[test]
    fn all_files_decide_between_revisions_that_are_equally_like_a_fork() {
        let revision = |name: &str, engine: &str, readme: &str| {
            let files = [
                ("src/handler.py", "1"),
                ("src/b.py", "2"),
                ("src/engine.py", engine),
                ("README.md", readme),
            ];
            Revision::new(Oid(name.repeat(40)), testing::files(&files))
        };
        let revisions = [
            revision("d", "6", "8"),
            revision("c", "5", "8"),
            revision("b", "4", "7"),
            revision("a", "3", "7"),
        ];
        let like = |readme| {
            let ours = [
                ("src/handler.py", "1"),
                ("src/b.py", "2"),
                ("src/engine.py", "9"),
                ("README.md", readme),
            ];
            let ours = testing::files(&ours);
            let alike = most_similar(&revisions, &ours, Layout::Legacy);
            alike.unwrap().note()
        };
        assert_eq!(
            like("7"),
            "this fork is most like the official worker at bbbbbbbbbb: 2 of its 3 files are the \
             same; 1 other revision is equally like it: aaaaaaaaaa. Where it started from another \
             one, name that with `--carry BASE`"
        );
        assert!(like("none").contains("at dddddddddd: 2 of its 3 files are the same; 3 other"));
    }

    #[test]
    fn empty_files_make_nothing_alike() {
        let empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
        let files = testing::files(&[("src/__init__.py", empty), ("src/a.py", "1")]);
        assert_eq!(count_same(&files, &files), 1);
        assert_eq!(count_same(&files, &Entries::new()), 0);
    }
}
