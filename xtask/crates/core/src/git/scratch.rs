//! A git directory of our own that shares a repository's objects and nothing else.
//!
//! Trees are built and merged here. The repository's configuration, attributes and hooks are out of
//! sight, so no merge driver or filter runs, and the repository's own index is never touched. New
//! objects go into the repository's database, where they stay unreachable until something names
//! them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::objects::{entry, fields_and_path};
use super::{Call, Repo};
use crate::if_there;
use crate::tree::{Oid, RepoPath, Side, TreeEntry};

/// The author of the temporary commits for a merge.
const NOBODY: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "xtask"),
    ("GIT_AUTHOR_EMAIL", "xtask@localhost"),
    ("GIT_AUTHOR_DATE", "@0 +0000"),
    ("GIT_COMMITTER_NAME", "xtask"),
    ("GIT_COMMITTER_EMAIL", "xtask@localhost"),
    ("GIT_COMMITTER_DATE", "@0 +0000"),
];

#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
    /// The repository that the objects belong to.
    of: Repo,
}

/// A change to a list of files by which a tree or an index is derived from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IndexEdit {
    /// The new file at each path, with its stage; `None` removes the path.
    lines: Vec<(RepoPath, Option<Side>, u8)>,
}

impl IndexEdit {
    /// Removes a path. Removals come before additions.
    pub fn remove(&mut self, path: &RepoPath) {
        self.lines.push((path.clone(), None, 0));
    }

    /// Puts a file at a path; as one side of a conflict with its stage (1 base, 2 ours, 3 theirs),
    /// else with 0.
    pub fn put(&mut self, path: &RepoPath, file: Side, stage: u8) {
        self.lines.push((path.clone(), Some(file), stage));
    }

    pub fn extend(&mut self, more: Self) {
        self.lines.extend(more.lines);
    }

    /// The lines for `git update-index -z --index-info`; an object's name has `width` digits.
    fn input(&self, width: usize) -> Vec<u8> {
        let mut input = Vec::new();
        let nothing = "0".repeat(width);
        for (path, put, stage) in &self.lines {
            let (mode, oid) = match put {
                Some(Side { mode, oid }) => (mode.octal(), &oid.0),
                None => ("0", &nothing),
            };
            input.extend_from_slice(format!("{mode} {oid} {stage}\t").as_bytes());
            input.extend_from_slice(path.as_bytes());
            input.push(0);
        }
        input
    }
}

#[derive(Debug)]
pub struct Merged {
    /// The tree, with conflict markers where there are conflicts.
    pub tree: Oid,
    /// The sides of each conflict, for the index.
    pub stages: Vec<(RepoPath, u8, TreeEntry)>,
    /// Git's messages: paths, kind (`CONFLICT (contents)`, `Auto-merging`), message.
    pub messages: Vec<(Vec<RepoPath>, String, String)>,
}

impl Scratch {
    pub(super) fn create(dir: &Path, of: &Repo) -> Result<Self> {
        // A killed run may have left one with a lock in it.
        if dir.exists() {
            fs_err::remove_dir_all(dir)?;
        }
        make_git_dir(dir, &of.object_format)?;
        let (dir, of) = (dir.to_owned(), of.clone());
        Ok(Self { dir, of })
    }

    fn call(&self) -> Call {
        let call = self.of.git.call().dir(&self.dir).arg("--git-dir=.");
        call.env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_OBJECT_DIRECTORY", self.of.common_dir.join("objects"))
    }

    /// Stores contents as blobs, all in one process, and returns their names in order.
    pub fn blobs<'a>(&self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Oid>> {
        self.hash_objects(contents, "-w")
    }

    pub fn blob(&self, content: &[u8]) -> Result<Oid> {
        let mut oids = self.blobs([content])?;
        oids.pop().context("git stored no file")
    }

    /// The names that contents would have as blobs.
    pub fn hashes<'a>(&self, contents: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Oid>> {
        self.hash_objects(contents, "")
    }

    fn hash_objects<'a>(
        &self,
        contents: impl IntoIterator<Item = &'a [u8]>,
        options: &'static str,
    ) -> Result<Vec<Oid>> {
        let folder = self.dir.join("blobs");
        fs_err::create_dir_all(&folder)?;
        let mut list = Vec::new();
        for (number, content) in contents.into_iter().enumerate() {
            fs_err::write(folder.join(number.to_string()), content)?;
            list.push(format!("blobs/{number}\n"));
        }
        if list.is_empty() {
            return Ok(Vec::new());
        }
        let call = self.call().arg("hash-object").words(options);
        let call = call.words("--no-filters --stdin-paths");
        let answer = call.input(list.concat()).text()?;
        let oids: Vec<Oid> = answer.lines().map(|line| Oid(line.to_owned())).collect();
        if oids.len() != list.len() {
            bail!(
                "git hash-object named {} of {} files",
                oids.len(),
                list.len()
            );
        }
        fs_err::remove_dir_all(&folder)?;
        Ok(oids)
    }

    /// The tree of the files that `edit` puts together.
    pub fn tree(&self, edit: &IndexEdit) -> Result<Oid> {
        let index = self.dir.join("index");
        // An earlier index would leak into this tree.
        if_there(fs_err::remove_file(&index))?;
        let call = || self.call().env("GIT_INDEX_FILE", &index);
        self.update(call(), edit)?;
        Ok(Oid(call().arg("write-tree").line()?))
    }

    fn update(&self, call: Call, edit: &IndexEdit) -> Result<()> {
        if !edit.lines.is_empty() {
            let call = call.words("update-index -z --index-info");
            let is_sha1 = self.of.object_format == "sha1";
            let input = edit.input(if is_sha1 { 40 } else { 64 });
            call.input(input).output()?;
        }
        Ok(())
    }

    /// The tree of the repository's index after `edit`. Uses a copy of the index, which has the
    /// folders' trees cached.
    pub fn tree_from_index(&self, edit: &IndexEdit) -> Result<Oid> {
        let index = self.dir.join("index.copy");
        fs_err::copy(self.of.git_dir.join("index"), &index)?;
        self.edit_index(&index, edit)?;
        let call = self.of.call().env("GIT_INDEX_FILE", &index);
        Ok(Oid(call.arg("write-tree").line()?))
    }

    /// Applies `edit` to a copy of the repository's index, in place. It may refer to a shared
    /// index in the repository's git directory, so it can't be read from here.
    pub fn edit_index(&self, index: &Path, edit: &IndexEdit) -> Result<()> {
        self.update(self.of.call().env("GIT_INDEX_FILE", index), edit)
    }

    /// Merges what changed from `base` to `theirs` into `ours`.
    ///
    /// The trees are wrapped in commits with the base as their parent, which git understands
    /// from 2.38 on; `merge-tree --merge-base` came with 2.40.
    pub fn merge(&self, base: &Oid, ours: &Oid, theirs: &Oid, renames: bool) -> Result<Merged> {
        let root = self.wrap(base, None)?;
        let ours = self.wrap(ours, Some(&root))?;
        let theirs = self.wrap(theirs, Some(&root))?;
        // The names of these branches end up in the conflict markers.
        for (name, commit) in [("ours", &ours), ("upstream", &theirs)] {
            fs_err::write(
                self.dir.join("refs/heads").join(name),
                format!("{commit}\n"),
            )?;
        }
        let mut settings = vec![("merge.renames", renames.to_string())];
        let style = self.of.setting("merge.conflictStyle")?;
        settings.extend(style.map(|style| ("merge.conflictStyle", style)));
        let settings: Vec<_> = settings.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let call = self.call().config(&settings).words(
            "merge-tree --write-tree -z --messages --allow-unrelated-histories ours upstream",
        );
        let answer = call.finish()?;
        match answer.code {
            Some(0 | 1) => parse_merge(&answer.stdout),
            _ => bail!("git could not merge: {}", answer.message),
        }
    }

    fn wrap(&self, tree: &Oid, parent: Option<&Oid>) -> Result<Oid> {
        let call = self.call().words("commit-tree -m tree").arg(&tree.0);
        let call = (NOBODY.iter()).fold(call, |call, (name, value)| call.env(name, value));
        let parent = parent.into_iter().flat_map(|parent| ["-p", &parent.0]);
        Ok(Oid(call.args(parent).line()?))
    }
}

/// Makes what `git init --bare` makes, without templates. `object_format` is `sha1` or `sha256`.
pub fn make_git_dir(dir: &Path, object_format: &str) -> Result<()> {
    fs_err::create_dir_all(dir.join("refs/heads"))?;
    fs_err::create_dir_all(dir.join("objects"))?;
    fs_err::write(dir.join("HEAD"), "ref: refs/heads/none\n")?;
    let (version, extension) = match object_format {
        "sha1" => (0, String::new()),
        other => (1, format!("[extensions]\n\tobjectformat = {other}\n")),
    };
    let core = format!("[core]\n\trepositoryformatversion = {version}\n\tbare = true\n");
    Ok(fs_err::write(dir.join("config"), core + &extension)?)
}

/// Reads `git merge-tree --write-tree -z --messages`: the tree, the conflicted entries, an empty
/// record, then messages of `count, paths…, kind, text`.
fn parse_merge(output: &[u8]) -> Result<Merged> {
    let mut fields = output.split(|&b| b == 0);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tree = fields.next().context("git merge-tree answered nothing")?;
    let tree = Oid(text(tree));
    let mut stages = Vec::new();
    for field in fields.by_ref().take_while(|field| !field.is_empty()) {
        let ([mode, oid, stage], path) = fields_and_path(field, "merge-tree")?;
        stages.push((path, stage.parse()?, entry(mode, oid)?));
    }
    let mut messages = Vec::new();
    while let Some(count) = fields.next().filter(|field| !field.is_empty()) {
        let count = text(count).trim().parse::<usize>();
        let count = count.context("git merge-tree: messages")?;
        let paths = fields.by_ref().take(count).map(RepoPath::new).collect();
        let kind = text(fields.next().unwrap_or_default());
        let message = text(fields.next().unwrap_or_default());
        messages.push((paths, kind, message.trim().to_owned()));
    }
    Ok(Merged {
        tree,
        stages,
        messages,
    })
}
