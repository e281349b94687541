//! A repository with a work tree, and its state.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::objects::{entry, fields_and_path, parse_ls_tree};
use super::{Call, Git, Objects, Scratch, records, refuse_option};
use crate::outcome::UserError;
use crate::output::quoted;
use crate::tree::{Entries, Oid, RepoPath};

#[derive(Debug, Clone)]
pub struct Repo {
    pub(super) git: Git,
    pub top: PathBuf,
    /// The git directory of this work tree (a linked work tree has one of its own).
    pub git_dir: PathBuf,
    /// The git directory that all work trees share.
    pub common_dir: PathBuf,
    pub index_file: PathBuf,
    pub object_format: String,
    /// The names of the settings that let a filter run, as git writes them.
    filters: Vec<Vec<u8>>,
}

/// How the work tree and the index differ from HEAD.
#[derive(Debug, Default)]
pub struct Status {
    /// The commit that HEAD names; `None` on an unborn branch.
    pub head: Option<Oid>,
    /// The branch, or `(detached)`.
    pub branch: String,
    /// Tracked paths that differ from HEAD, staged or not, or are unmerged.
    pub changed: Vec<RepoPath>,
    /// Those of them whose file is not what the index stages.
    pub unstaged: Vec<RepoPath>,
    /// Those of them that are in conflict.
    pub unmerged: Vec<RepoPath>,
    /// Files that git does not track, ignored ones included; a folder stands for all that is in
    /// it.
    pub local: Vec<RepoPath>,
}

#[derive(Debug, Default)]
pub struct Index {
    /// All tracked files but those that are unmerged.
    pub entries: Entries,
    pub unmerged: BTreeSet<RepoPath>,
    /// The files that git ignores in the work tree, with the mark that tells it to.
    pub unseen: BTreeMap<RepoPath, &'static str>,
}

impl Repo {
    pub fn open(git: &Git, dir: &Path) -> Result<Self> {
        let shown = dir.display();
        // The top comes last, because it ends the call where there is no work tree.
        let call = git.call().dir(dir).words(
            "rev-parse --path-format=absolute --is-bare-repository --is-inside-work-tree \
             --show-object-format --absolute-git-dir --git-common-dir --git-path index \
             --show-toplevel",
        );
        let answer = call.finish()?;
        let no_work_tree = || {
            UserError::new(
                format!("{shown} has no work tree (a bare repository)"),
                "clone it, and run this in the clone",
            )
        };
        let message = &answer.message;
        if message.contains("dubious ownership") {
            let folder = dir.canonicalize()?.display().to_string();
            bail!(UserError::new(
                format!("git does not trust {shown}: somebody else owns it"),
                format!(
                    "trust it with `git config --global --add safe.directory {}`",
                    quoted(&folder)
                )
            ));
        }
        if message.contains("safe.bareRepository") {
            bail!(no_work_tree());
        }
        if answer.stdout.is_empty() {
            bail!(UserError::new(
                format!("{shown} is in no git repository ({message})"),
                "run `git init`, and commit the worker's files first"
            ));
        }
        let lines: Vec<&[u8]> = answer.stdout.split(|&b| b == b'\n').collect();
        let [bare, inside, format, git_dir, common_dir, index, top @ ..] = lines.as_slice() else {
            bail!("git rev-parse answered too few lines in {shown}");
        };
        if *bare == b"true" || *inside != b"true" {
            bail!(no_work_tree());
        }
        let &[top, b""] = top else {
            bail!(UserError::new(
                format!(
                    "the path of {} holds a newline",
                    dir.canonicalize()?.display()
                ),
                "rename that directory"
            ));
        };
        let call = git
            .call()
            .dir(dir)
            .words("config -z --name-only --get-regexp");
        let filters = call.arg(r"^filter\..*\.(clean|smudge|process|required)$");
        let filters = filters.finish()?.stdout;
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        Ok(Self {
            git: git.clone(),
            top: path(top),
            git_dir: path(git_dir),
            common_dir: path(common_dir),
            index_file: path(index),
            object_format: String::from_utf8_lossy(format).into_owned(),
            filters: records(&filters).map(Into::into).collect(),
        })
    }

    /// A call in this repository, with every filter switched off.
    pub fn call(&self) -> Call {
        let off = |key: &Vec<u8>| {
            let is_required = key.ends_with(b".required");
            let value = if is_required { "false" } else { "" };
            // The name of a filter may be any bytes.
            (OsString::from_vec(key.clone()), value.to_owned())
        };
        let off: Vec<_> = self.filters.iter().map(off).collect();
        self.git.call().dir(&self.top).config_by_environment(&off)
    }

    pub fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// A call with fixed arguments, separated by spaces.
    pub fn git(&self, words: &'static str) -> Call {
        self.call().words(words)
    }

    /// The state of the work tree. Not inside submodules: git would use their configuration and run
    /// their filters.
    pub fn status(&self) -> Result<Status> {
        let call = self.git(
            "status --porcelain=v2 -z --branch --untracked-files=all --ignored=matching \
             --ignore-submodules=dirty --no-renames",
        );
        parse_status(&call.output()?)
    }

    pub fn index(&self) -> Result<Index> {
        let mut index = Index::default();
        let output = self.git("ls-files -z -v --stage --full-name").output()?;
        for record in records(&output) {
            let ([tag, mode, oid, stage], path) = fields_and_path(record, "ls-files")?;
            if stage != "0" {
                index.unmerged.insert(path);
                continue;
            }
            if tag.eq_ignore_ascii_case("s") {
                index.unseen.insert(path.clone(), "skip-worktree");
            } else if tag.starts_with(char::is_lowercase) {
                index.unseen.insert(path.clone(), "assume-unchanged");
            }
            index.entries.insert(path, entry(mode, oid)?);
        }
        Ok(index)
    }

    /// The tracked files that contain one of some fixed strings, except in some folders. `options`
    /// say where git looks and in which files.
    pub fn files_with<'n>(
        &self,
        needles: impl IntoIterator<Item = &'n str>,
        outside: &[&str],
        options: &'static str,
    ) -> Result<Vec<RepoPath>> {
        let call = self.git("grep -l -z -F --no-textconv --full-name --no-recurse-submodules");
        let needles = needles.into_iter().flat_map(|needle| ["-e", needle]);
        let call = call.words(options).args(needles).words("-- .");
        let outside = outside.iter().map(|path| format!(":(exclude,top){path}"));
        let answer = call.args(outside).finish()?;
        match answer.code {
            // 1: none has.
            Some(0 | 1) => Ok(records(&answer.stdout).map(RepoPath::new).collect()),
            _ => bail!("git could not search the tracked files: {}", answer.message),
        }
    }

    /// Which of some tracked files differ from the index.
    pub fn changed_among<'p>(
        &self,
        paths: impl Iterator<Item = &'p RepoPath>,
    ) -> Result<Vec<RepoPath>> {
        // Unlike `git diff-files` it compares contents if only the time differs.
        let output = self.git("ls-files --modified -z --full-name").output()?;
        let modified: BTreeSet<&[u8]> = records(&output).collect();
        let changed = paths.filter(|path| modified.contains(path.as_bytes()));
        Ok(changed.cloned().collect())
    }

    pub fn folder(&self, commit: &Oid, folder: &str) -> Result<Option<Oid>> {
        self.call().object(format!("{commit}:{folder}"))
    }

    pub fn last_change(&self, head: &Oid, folder: &str) -> Result<Option<Oid>> {
        let folder = format!(":(top,literal){folder}");
        let call = self.git("rev-list --max-count=1");
        let call = call.args([&head.0, "--", &folder]);
        Ok(call.optional_line()?.map(Oid))
    }

    /// A branch or tag, of this repository or a remote one, that keeps a commit.
    pub fn kept_by(&self, commit: &Oid) -> Result<Option<String>> {
        let call = self.git("for-each-ref --count=1 --format=%(refname:short) --contains");
        let call = call.arg(&commit.0);
        call.words("refs/heads refs/tags refs/remotes")
            .optional_line()
    }

    pub fn descends(&self, commit: &Oid, ancestor: &Oid) -> Result<bool> {
        let call = self.git("merge-base --is-ancestor");
        Ok(call.args([&ancestor.0, &commit.0]).finish()?.ok)
    }

    /// Whether the history here ends before the repository's first commit.
    pub fn is_shallow(&self) -> Result<bool> {
        Ok(self.git("rev-parse --is-shallow-repository").line()? == "true")
    }

    pub fn index_lock(&self) -> PathBuf {
        self.index_file.with_extension("lock")
    }

    pub fn entries(&self, treeish: &Oid) -> Result<Entries> {
        let call = self.git("ls-tree -r -z --full-tree").arg(&treeish.0);
        parse_ls_tree(&call.output()?)
    }

    /// The commit that a revision names; `None` where there is none.
    pub fn commit(&self, revision: &str) -> Result<Option<Oid>> {
        refuse_option("revision", revision)?;
        self.call().object(format!("{revision}^{{commit}}"))
    }

    pub fn tree_of(&self, commit: &Oid) -> Result<Oid> {
        let call = self.git("rev-parse --verify --quiet");
        Ok(Oid(call.arg(format!("{commit}^{{tree}}")).line()?))
    }

    pub fn setting(&self, key: &str) -> Result<Option<String>> {
        self.git("config --get").arg(key).optional_text()
    }

    /// Whether a boolean setting is on, in any of git's spellings.
    pub fn is_on(&self, key: &str) -> Result<bool> {
        let answer = self.git("config --type=bool --get").arg(key).finish()?;
        match answer.code {
            Some(0) => Ok(answer.stdout.starts_with(b"true")),
            // It is not set.
            Some(1) => Ok(false),
            _ => bail!(UserError::new(
                format!("git can't read the setting {key}: {}", answer.message),
                format!("fix it: `git config --show-origin {key}` tells where it is")
            )),
        }
    }

    pub fn objects(&self) -> Arc<Objects> {
        let repo = self.clone();
        Arc::new(Objects::new(move || repo.call()))
    }

    /// A scratch git directory that writes into this repository's object database.
    pub fn scratch(&self, dir: &Path) -> Result<Scratch> {
        Scratch::create(dir, self)
    }

    /// The operation that is in progress and must end first, if there is one.
    pub fn under_way(&self) -> Result<Option<&'static str>> {
        const REFS: [(&str, &str); 3] = [
            ("MERGE_HEAD", "a merge"),
            ("CHERRY_PICK_HEAD", "a cherry-pick"),
            ("REVERT_HEAD", "a revert"),
        ];
        const FOLDERS: [(&str, &str); 3] = [
            ("rebase-merge", "a rebase"),
            ("rebase-apply", "a rebase or `git am`"),
            ("sequencer", "a cherry-pick or revert"),
        ];
        // The refs may be in a reftable, so git reads them: one line of output for each.
        let names = REFS.map(|(name, _)| name).join("\n");
        let answers = self.git("cat-file --batch-check").input(names).text()?;
        let mut refs = answers.lines().zip(REFS);
        if let Some((_, (_, operation))) = refs.find(|(answer, _)| !answer.ends_with(" missing")) {
            return Ok(Some(operation));
        }
        let mut folders = FOLDERS.into_iter();
        let folder = folders.find(|(folder, _)| self.git_dir.join(folder).exists());
        Ok(folder.map(|(_, operation)| operation))
    }
}

fn parse_status(output: &[u8]) -> Result<Status> {
    let mut status = Status::default();
    for record in records(output) {
        let text = String::from_utf8_lossy(record);
        if let Some(oid) = text.strip_prefix("# branch.oid ") {
            status.head = (oid != "(initial)").then(|| Oid(oid.to_owned()));
        } else if let Some(branch) = text.strip_prefix("# branch.head ") {
            branch.clone_into(&mut status.branch);
            continue;
        }
        // Fields before the path: git-status(1), "Porcelain Format Version 2".
        let fields = match record {
            [b'?' | b'!', b' ', path @ ..] => {
                let path = path.strip_suffix(b"/").unwrap_or(path);
                status.local.push(RepoPath::new(path));
                continue;
            }
            [b'1', ..] => 8,
            [b'2', ..] => 9,
            [b'u', ..] => 10,
            _ => continue,
        };
        let path = record.splitn(fields + 1, |&b| b == b' ').nth(fields);
        let path = RepoPath::new(path.context("git status answered a line without a path")?);
        if record[0] == b'u' {
            status.unmerged.push(path.clone());
        }
        // `XY`: the index against HEAD, the work tree against the index.
        if record.get(3).is_some_and(|&y| y != b'.') {
            status.unstaged.push(path.clone());
        }
        status.changed.push(path);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_changed_from_local() {
        let output = b"# branch.oid 1234\0# branch.head main\0\
            1 .M N... 100644 100644 100644 aa bb a file.py\0\
            1 D. N... 100644 000000 000000 aa 00 gone.py\0\
            u UU N... 100644 100644 100644 100644 a b c both.py\0\
            ? new\0! target/\0";
        let status = parse_status(output).unwrap();
        assert_eq!(status.head, Some(Oid("1234".into())));
        assert_eq!(status.branch, "main");
        assert_eq!(
            status.changed,
            [
                RepoPath::from("a file.py"),
                "gone.py".into(),
                "both.py".into()
            ]
        );
        assert_eq!(
            status.unstaged,
            [RepoPath::from("a file.py"), "both.py".into()]
        );
        assert_eq!(status.unmerged, [RepoPath::from("both.py")]);
        assert_eq!(status.local, [RepoPath::from("new"), "target".into()]);
    }
}
