//! What still points at something that the migration moved.
//!
//! Only whole paths that are gone count: `mysrc/a.py`, an address, or a path that the result still
//! has is no finding.

mod arguments;
mod find;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use serde::Serialize;

use crate::{Source, bake};
use xtask_core::layout::{self, OUTDATED};
use xtask_core::output::cut;
use xtask_core::tree::{Entries, RepoPath, same};

/// The paths of files with their contents.
pub type Files = [(RepoPath, Vec<u8>)];

pub struct After<'a> {
    pub moved: &'a [(RepoPath, RepoPath)],
    pub result: &'a Entries,
    /// The build arguments that the new Dockerfile declares.
    pub arguments: &'a [String],
}

/// A place that the migration leaves behind pointing at nothing; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Dangling {
    pub path: RepoPath,
    pub line: usize,
    pub column: usize,
    pub kind: MentionKind,
    /// The line, without the space around it; a long one is cut.
    pub text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub what: String,
    /// What to write instead: the bare text where one replaces the other, else what to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instead: String,
}

/// Whether something runs the line or somebody reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MentionKind {
    Code,
    Prose,
}

/// Fixed strings of which every file with a finding holds at least one: the names of what retires
/// and of what leaves `.runpod/`, how build arguments are passed, and modules that move.
pub fn candidates(moved: &[(RepoPath, RepoPath)], result: &Entries) -> Vec<String> {
    let needles = layout::RETIRED.iter().chain(&[layout::RUNPOD, "args"]);
    let modules = moved.iter().filter_map(|(from, _)| {
        let from = from.as_str()?;
        let below = from.strip_prefix("src/");
        let below = below.or(from.strip_prefix("builder/"))?;
        let package = below.strip_suffix("/__init__.py");
        let name = package.or(below.strip_suffix(".py"));
        name.filter(|name| !name.contains('/'))
    });
    let is_gone = |name: &&str| !has(result, &RepoPath::from(&*format!("{name}.py")));
    let modules = modules.filter(is_gone);
    needles.copied().chain(modules).map(str::to_owned).collect()
}

/// Everything in `files` that dangles after the migration, in the order of paths and lines. Change
/// logs and files in `outdated/` are skipped.
pub fn dangling(files: &Files, after: &After<'_>) -> Vec<Dangling> {
    let gone = Gone::new(after);
    let mut found = Vec::new();
    for file in files.iter().filter_map(File::open) {
        let mut hits = find::find(&file, &gone);
        hits.extend(arguments::find(&file, "Dockerfile", after.arguments));
        found.extend(file.findings(hits));
    }
    found.sort();
    found.dedup();
    found
}

/// Every symbolic link in `links` (its path and its target) that stays and whose target moved.
pub fn links(links: &Files, before: &Entries, after: &After<'_>) -> Vec<Dangling> {
    let gone = Gone::new(after);
    let stays = |path: &RepoPath| {
        let entries = (before.get(path), after.result.get(path));
        matches!(entries, (Some(before), Some(after)) if same(before, after))
    };
    let check = |(link, target): &(RepoPath, Vec<u8>)| {
        if link.is_within(OUTDATED) || target.starts_with(b"/") || !stays(link) {
            return None;
        }
        let named = link.leads_to(target)?;
        let named = named.as_str()?;
        let folder = || gone.folders.contains(named).then(|| gone.new_folder(named));
        let file = gone.files.get(named).map(|_| gone.replacement(named));
        let instead = file.or_else(folder)?;
        Some(Dangling {
            path: link.clone(),
            line: 1,
            column: 1,
            kind: MentionKind::Code,
            text: format!("a link to {}", RepoPath::new(target.as_slice())),
            what: gone.lookup(named)?.0,
            instead: link.link_to(&RepoPath::from(&*instead)).to_string(),
        })
    };
    let mut found: Vec<Dangling> = links.iter().filter_map(check).collect();
    found.sort();
    found
}

/// Everything in `files` that names `folder`, which will be removed, or a path below it.
pub fn removed(files: &Files, folder: &str) -> Vec<Dangling> {
    let mut found = Vec::new();
    for file in files.iter().filter_map(File::open) {
        // One line is one thing to do.
        let hits = file.source.lines().filter_map(|(start, line)| {
            let mut all = line.match_indices(folder);
            let is_meant = |(at, _): &(usize, &str)| {
                is_meant(file.form, &line[..*at], &line[at + folder.len()..])
            };
            let (at, _) = all.find(is_meant)?;
            Some((start + at, String::new(), String::new()))
        });
        found.extend(file.findings(hits.collect()));
    }
    let is_aside = |one: &&mut Dangling| is_aside(&one.path, &one.text);
    let asides = found.iter_mut().filter(is_aside);
    asides.for_each(|one| one.kind = MentionKind::Prose);
    found.sort();
    found
}

fn is_meant(form: Form, before: &str, after: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    if before.ends_with(word) {
        return false;
    }
    // The last word of a command is the folder that docker builds.
    let context = before.contains("docker") && before.ends_with(' ') && after.trim().is_empty();
    // `from outdated.src import engine`, `patch("outdated.src.utils")`.
    let quote = before.ends_with(['"', '\'']);
    let rest = after.strip_prefix('.');
    let dotted = rest.is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
    let import = matches!(before.trim_start(), "from " | "import ");
    let module = form == Form::Python && (import || quote && dotted);
    let quoted = quote && after.starts_with(['"', '\'']);
    // `OLD=outdated`, `ARG OLD=outdated`, `OLD := outdated`, to be put before a path.
    let takes = before.ends_with('=') || before.trim_end().ends_with(":=");
    let ends = after.is_empty() || after.starts_with([' ', '\t', ';']);
    let assigned = form == Form::Code && takes && ends;
    after.starts_with('/')
        || module
        || form != Form::Prose
            && (quoted || context || assigned || find::is_folder(form, before, after))
}

/// Whether a line that names what is gone breaks nothing: a comment, an entry of `.gitignore`.
fn is_aside(path: &RepoPath, line: &str) -> bool {
    let is_comment = line.starts_with('#') && !line.starts_with("#!")
        || ["//", "<!--"].iter().any(|mark| line.starts_with(mark));
    is_comment || Form::of(path) == Form::Paths
}

struct File {
    source: Source,
    form: Form,
}

/// A place in a file's text, what is wrong there, and what to write instead.
type Hit = (usize, String, String);

/// A bake file without the arguments on lines of their own that the Dockerfile does not declare.
pub fn without_undeclared(bake: &[u8], declared: &[String]) -> Option<String> {
    let text = std::str::from_utf8(bake).ok()?;
    let source = Source::new(bake::FILE.into(), bake);
    let passed = arguments::in_bake(&source, "Dockerfile");
    let undeclared = arguments::undeclared(passed, declared).collect();
    let without = bake::without_arguments(text, undeclared);
    (without != text).then_some(without)
}

impl File {
    /// Opens a text file that is no change log and not in `outdated/`.
    fn open((path, bytes): &(RepoPath, Vec<u8>)) -> Option<Self> {
        let is_text = !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok();
        let counts = is_text && !path.is_within(OUTDATED) && !is_change_log(path);
        counts.then(|| Self {
            source: Source::new(path.clone(), bytes),
            form: Form::of(path),
        })
    }

    /// The findings in the file. The first hit at a place counts.
    fn findings(&self, mut hits: Vec<Hit>) -> Vec<Dangling> {
        hits.sort_by_key(|(offset, ..)| *offset);
        hits.dedup_by_key(|(offset, ..)| *offset);
        let kind = match self.form {
            Form::Prose => MentionKind::Prose,
            _ => MentionKind::Code,
        };
        let finding = |(offset, what, instead)| {
            let place = self.source.place(offset..offset);
            Dangling {
                path: place.file,
                line: place.line,
                column: place.column,
                kind,
                text: cut(self.source.line(place.line - 1).1.trim(), 160),
                what,
                instead,
            }
        };
        hits.into_iter().map(finding).collect()
    }
}

/// What a file is written in, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Prose,
    Python,
    Yaml,
    Hcl,
    /// Lists of paths from the root: `.gitignore`, CODEOWNERS.
    Paths,
    /// Scripts, Dockerfiles, settings and all other files.
    Code,
}

impl Form {
    fn of(path: &RepoPath) -> Self {
        let name = String::from_utf8_lossy(path.name()).to_lowercase();
        match name.rsplit('.').next().unwrap_or_default() {
            "codeowners" | "gitignore" | "dockerignore" | "gitattributes" => Self::Paths,
            "license" | "readme" | "contributing" | "md" | "mdx" | "rst" | "adoc" | "txt" => {
                Self::Prose
            }
            "py" | "pyi" | "ipynb" => Self::Python,
            "yml" | "yaml" => Self::Yaml,
            "hcl" => Self::Hcl,
            _ => Self::Code,
        }
    }
}

/// Change logs say what was true once.
fn is_change_log(path: &RepoPath) -> bool {
    let name = String::from_utf8_lossy(path.name()).to_lowercase();
    let starts = ["changelog", "changes.", "history."];
    starts.iter().any(|start| name.starts_with(start))
}

/// Whether a tree has a file or a folder at a path; the root is always there.
fn has(entries: &Entries, path: &RepoPath) -> bool {
    let below = RepoPath::new([path.as_bytes(), b"/"].concat());
    let is_below = |next: &RepoPath| next.as_bytes().starts_with(below.as_bytes());
    let next = || entries.range(&below..).next();
    let is_folder = || next().is_some_and(|(next, _)| is_below(next));
    path.as_bytes().is_empty() || entries.contains_key(path) || is_folder()
}

struct Gone<'a> {
    /// Files that are no longer where they were, and where they went.
    files: BTreeMap<&'a str, &'a str>,
    folders: BTreeSet<&'a str>,
    result: &'a Entries,
}

#[cfg(test)]
thread_local! {
    /// How often something was looked up, by which the tests measure time.
    static LOOKUPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn count_lookup() {
    #[cfg(test)]
    LOOKUPS.set(LOOKUPS.get() + 1);
}

impl<'a> Gone<'a> {
    fn new(after: &After<'a>) -> Self {
        let result = after.result;
        let moved = after.moved.iter();
        let moved = moved.filter(|(from, _)| !result.contains_key(from));
        let names = moved.filter_map(|(from, to)| from.as_str().zip(to.as_str()));
        let files: BTreeMap<&str, &str> = names.collect();
        let mut folders = BTreeSet::new();
        for mut folder in files.keys().copied() {
            count_lookup();
            // If a folder is known, so are those above it.
            while let Some((above, _)) = folder.rsplit_once('/')
                && folders.insert(above)
            {
                folder = above;
            }
        }
        folders.retain(|folder| !has(result, &RepoPath::from(*folder)));
        Self {
            files,
            folders,
            result,
        }
    }

    fn exists(&self, path: &str) -> bool {
        count_lookup();
        has(self.result, &RepoPath::from(path))
    }

    /// What replaces a file that is gone: its modern counterpart, or else the moved file.
    fn replacement(&self, file: &str) -> String {
        let is_here = |modern: &&str| self.result.contains_key(&RepoPath::from(*modern));
        let modern = counterpart(file).filter(is_here);
        let to = modern.or(self.files.get(file).copied());
        to.unwrap_or(file).to_owned()
    }

    /// The folder among those that are gone that holds `path`, or is it; the topmost one.
    fn folder<'p>(&self, path: &'p str) -> Option<(&'p str, &'p str)> {
        let slashes = path.match_indices('/').map(|(at, _)| at);
        let mut ends = slashes.chain([path.len()]).inspect(|_| count_lookup());
        let end = ends.find(|end| self.folders.contains(&path[..*end]))?;
        Some((&path[..end], path[end..].trim_start_matches('/')))
    }

    /// What happened to a path that is gone, and what to write instead.
    fn lookup(&self, path: &str) -> Option<(String, String)> {
        let path = path.trim_end_matches('/');
        if path.is_empty() || self.exists(path) {
            return None;
        }
        if let Some(to) = self.files.get(path) {
            return Some((format!("`{path}` is now `{to}`"), self.replacement(path)));
        }
        let (folder, below) = self.folder(path)?;
        let to = self.new_folder(folder);
        let what = format!("`{folder}/` is now `{to}/`");
        let instead = match (folder, below) {
            ("src" | "builder", "") => ".".to_owned(),
            ("src", "*" | "**" | "**/*") => "*.py".to_owned(),
            // Their modern counterparts lie at the root.
            ("src" | "builder", below) => below.to_owned(),
            (_, "") => to,
            (_, below) => format!("{to}/{below}"),
        };
        Some((what, instead))
    }

    fn new_folder(&self, folder: &str) -> String {
        let first = format!("{folder}/");
        let from = (Bound::Included(&*first), Bound::Unbounded);
        let files = self.files.range::<str, _>(from);
        let files = files.inspect(|_| count_lookup());
        let mut below = files.take_while(|(from, _)| from.starts_with(&first));
        let to = below.find_map(|(from, to)| to.strip_suffix(&from[folder.len()..]));
        to.map_or_else(|| format!("outdated/{folder}"), ToOwned::to_owned)
    }
}

/// The file of the modern layout that does what `file` did.
fn counterpart(file: &str) -> Option<&str> {
    if file == "worker-config.json" {
        return Some(".runpod/hub.json");
    }
    let mut folders = ["src/", "builder/", ".runpod/"].iter();
    folders.find_map(|folder| file.strip_prefix(folder))
}

#[cfg(test)]
mod tests;
