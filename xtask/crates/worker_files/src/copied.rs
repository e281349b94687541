//! Which files of the repository the image holds, and where.

use std::collections::{BTreeMap, BTreeSet};

use super::dockerfile::{Copy, Image};
use super::glob::{Glob, clean, head, is_pattern};
use super::ignore::Ignore;
use xtask_core::tree::{Mode, RepoPath, Tree};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// By their path in the image, without the first slash.
    pub files: BTreeMap<String, RepoPath>,
    /// The folders that are copied by name. What is in them counts, whatever they are called.
    pub folders: BTreeSet<String>,
    /// Whether a source is computed, so that any file may be in the image.
    pub any: bool,
}

struct Context<'a> {
    tree: &'a dyn Tree,
    ignore: &'a Ignore,
    /// The Dockerfile's own folder, which may be the context.
    beside: &'a str,
    copied: Copied,
}

impl Copied {
    /// The files of the image's own stages and of those that it copies from.
    pub fn new(tree: &dyn Tree, ignore: &Ignore, image: &Image, beside: &str) -> Self {
        let copied = Self::default();
        let mut context = Context {
            tree,
            ignore,
            beside,
            copied,
        };
        for part in image.parts.iter().chain([image]) {
            for copy in part.copies.iter().filter(|copy| copy.from.is_none()) {
                for source in &copy.paths {
                    context.copy(copy, source);
                }
            }
            // A mount shows a file at a place while the image is built.
            for mount in &part.mounts {
                if let Some(source) = &mount.source {
                    context.take(&clean(source), mount.name.trim_matches('/'), &[]);
                }
            }
        }
        context.copied
    }

    pub fn held(&self) -> BTreeSet<RepoPath> {
        self.files.values().cloned().collect()
    }
}

impl Context<'_> {
    fn copy(&mut self, copy: &Copy, source: &str) {
        if source.contains('$') {
            self.copied.any = true;
            return;
        }
        let folder = copy.target.trim_end_matches('/');
        let is_marked = folder.is_empty() || copy.target.ends_with('/');
        let is_folder = is_marked || copy.sources.len() > 1;
        let source = clean(source);
        let excludes = copy.excludes.iter().filter_map(|e| Glob::new(e, true));
        let excludes: Vec<Glob> = excludes.collect();
        let taken = if is_pattern(&source) {
            self.pattern(&source, folder)
        } else {
            let kept = copy.parents.then(|| under(folder, &source));
            let target = kept.unwrap_or_else(|| self.target(&source, folder, is_folder));
            self.take(&source, &target, &excludes)
        };
        if !taken && !self.beside.is_empty() && !source.is_empty() {
            let inner = format!("{}/{source}", self.beside);
            let target = self.target(&inner, folder, is_folder);
            self.take(&inner, &target, &excludes);
        }
    }

    /// Where a source goes: a file keeps its name in a folder.
    fn target(&self, source: &str, folder: &str, is_folder: bool) -> String {
        let entry = self.tree.entries().get(&RepoPath::from(source));
        if is_folder && entry.is_some_and(|entry| entry.mode.is_file()) {
            under(folder, source.rsplit('/').next().unwrap_or(source))
        } else {
            folder.to_owned()
        }
    }

    /// Takes a file, or what is below a folder.
    fn take(&mut self, source: &str, target: &str, excludes: &[Glob]) -> bool {
        let mut taken = false;
        if !source.is_empty() {
            self.copied.folders.insert(source.to_owned());
        }
        for (path, entry) in self.tree.entries().range(RepoPath::from(source)..) {
            let Some(text) = path.as_str() else { continue };
            let Some(rest) = text.strip_prefix(source) else {
                break;
            };
            let below = rest.strip_prefix('/');
            let below = if source.is_empty() { Some(rest) } else { below };
            let place = match below {
                _ if rest.is_empty() => target.to_owned(),
                Some(below) => under(target, below),
                None => continue,
            };
            let mut globs = excludes.iter();
            let is_excluded = below.is_some_and(|below| globs.any(|glob| glob.matches(below)));
            let is_one = entry.mode.is_file() || entry.mode == Mode::Symlink;
            if is_one && !is_excluded && !self.ignore.excludes(path) {
                self.copied.files.insert(place, path.clone());
                taken = true;
            }
        }
        taken
    }

    fn pattern(&mut self, source: &str, folder: &str) -> bool {
        if Glob::new(source, false).is_none() {
            return true;
        }
        let paths = self.tree.entries().keys().filter_map(RepoPath::as_str);
        let heads = paths.filter_map(|path| Some(path[..head(source, path)?].to_owned()));
        let heads: BTreeSet<String> = heads.collect();
        let mut taken = false;
        for head in heads {
            let target = self.target(&head, folder, true);
            taken |= self.take(&head, &target, &[]);
        }
        taken
    }
}

fn under(folder: &str, below: &str) -> String {
    let slash = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{slash}{below}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Source, dockerfile};
    use xtask_core::tree::Memory;

    fn files(text: &str) -> String {
        let tree = Memory::new()
            .with("handler.py", "")
            .with("engine.py", "")
            .with("lib/deep/x.py", "")
            .with("lib/y.py", "")
            .with("lib.py", "")
            .with("docker/start.sh", "")
            .with(".dockerignore", "lib/y.py\n");
        let source = Source::new(
            "docker/Dockerfile".into(),
            format!("FROM base\n{text}").as_bytes(),
        );
        let (image, unread) = dockerfile::read(&source).split();
        assert!(unread.is_empty(), "{unread:?}");
        let copied = Copied::new(&tree, &Ignore::read(b"lib/y.py\n"), &image, "docker");
        let text = |(at, path): (&String, &RepoPath)| format!("{at}<{path}");
        let any = if copied.any { "any " } else { "" };
        any.to_owned() + &copied.files.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn files_are_where_copy_puts_them() {
        assert_eq!(files("COPY handler.py x\n"), "x<handler.py");
        assert_eq!(
            files("WORKDIR /w\nWORKDIR in\nCOPY *.py lib /\n"),
            "deep/x.py<lib/deep/x.py engine.py<engine.py handler.py<handler.py lib.py<lib.py"
        );
        assert_eq!(
            files("ENV AT=/here\nCOPY lib ${AT}/lib\n"),
            "here/lib/deep/x.py<lib/deep/x.py"
        );
        assert_eq!(files("COPY start.sh /\n"), "start.sh<docker/start.sh");
        assert_eq!(
            files("COPY --parents lib/deep /a/\n"),
            "a/lib/deep/x.py<lib/deep/x.py"
        );
        assert_eq!(
            files("RUN --mount=type=bind,source=engine.py,target=/e.py true\n"),
            "e.py<engine.py"
        );
        assert_eq!(files("COPY $FROM_OUTSIDE /\n"), "any ");
    }

    #[test]
    fn what_an_earlier_stage_copies_counts_where_files_come_from_it() {
        let text = "COPY engine.py /\nFROM base AS b\nCOPY handler.py /b/\nFROM base\nCOPY --from=b /b /b\n";
        assert_eq!(files(text), "b/handler.py<handler.py");
    }
}
