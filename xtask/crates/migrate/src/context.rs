//! The build context of the new image: whether the Dockerfile finds what it copies, and copies what
//! the worker is made of.

use anyhow::Result;

use super::incoming::Bundle;
use super::plan::{Planned, Planner, What};
use worker_files::Source;
use worker_files::dockerfile;
use worker_files::ignore::Ignore;
use worker_files::python::{imports, module_name};
use worker_files::rewrite::Change;
use xtask_core::layout::{self, OUTDATED};
use xtask_core::tree::{Entries, RepoPath, Tree};

/// What a person should fix before building the new image. `result` is the repository as the
/// migration leaves it and `before` as it was; `given` comes from upstream, and `carried` are
/// modules that upstream does not have.
pub fn notes(
    result: &dyn Tree,
    before: &Entries,
    given: &[&RepoPath],
    carried: &[RepoPath],
) -> Result<Vec<String>> {
    let Some(dockerfile) = result.read_file("Dockerfile")? else {
        return Ok(Vec::new());
    };
    let copied = dockerfile::taken(&dockerfile).unwrap_or_default();
    let is_copied = |path: &RepoPath| copied.iter().any(|copied| copied.covers(path));
    let there = |path: &RepoPath| result.entries().contains_key(path);
    let mut notes = Vec::new();
    let ignore = result.read_file(".dockerignore")?;
    let ignore = Ignore::read(&ignore.unwrap_or_default());
    let hidden = |path: &&RepoPath| is_copied(path) && ignore.excludes(path);
    let all = given.iter().copied();
    let all = all.chain(carried.iter().filter(|path| there(path)));
    let hidden: Vec<String> = all.filter(hidden).map(ToString::to_string).collect();
    if !hidden.is_empty() {
        notes.push(format!(
            ".dockerignore keeps from the build what the Dockerfile copies: {}",
            hidden.join(", ")
        ));
    }
    for path in given.iter().filter(|path| !there(path)) {
        if let Some(copy) = copied.iter().find(|copy| **path == copy.path.as_str()) {
            notes.push(format!(
                "Dockerfile: line {}: `{path}` is copied, and is not here: take it out there, or \
                 write the name that it has now",
                copy.line
            ));
        }
    }
    for path in carried.iter().filter(|it| there(it) && !is_copied(it)) {
        let let_in = if ignore.excludes(path) {
            format!(", and let it in with `!{path}` at the end of .dockerignore")
        } else {
            String::new()
        };
        notes.push(format!(
            "Dockerfile: `{path}` is not copied into the image: add it where the other modules \
             are copied{let_in}"
        ));
    }
    if !carried.is_empty() {
        let mut sources = Vec::new();
        for path in given.iter().copied().chain(carried) {
            let entry = result.entries().get(path);
            if path.as_bytes().ends_with(b".py") && entry.is_some_and(|it| it.mode.is_file()) {
                sources.push(Source::new(path.clone(), &result.read(path)?));
            }
        }
        notes.extend(unresolved(&sources, carried, before));
    }
    Ok(notes)
}

/// Modules of a worker's own image, which neither upstream knows.
pub fn own_modules(ours: &dyn Tree, base: &Entries, bundle: &Bundle) -> Result<Vec<RepoPath>> {
    let aside = ["tests", "docs", OUTDATED];
    let text = ours.read_file("Dockerfile")?.unwrap_or_default();
    let copied = dockerfile::taken(&text).ok();
    let was_copied = |path: &RepoPath| {
        let mut parts = copied.iter().flatten();
        copied.is_none() || parts.any(|copied| copied.covers(path))
    };
    let is_own = |path: &&RepoPath| {
        path.as_bytes().ends_with(b".py")
            && !base.contains_key(*path)
            && !bundle.files.contains_key(*path)
            && !aside.iter().any(|it| path.is_within(it))
            && !layout::is_tool(path)
            && was_copied(path)
    };
    Ok(ours.entries().keys().filter(is_own).cloned().collect())
}

/// What a worker's own modules import, and that is not where they look for it.
fn unresolved(sources: &[Source], own: &[RepoPath], before: &Entries) -> Vec<String> {
    let there: Vec<String> = sources.iter().map(|one| module_name(&one.path)).collect();
    let is_module = |path: &&RepoPath| {
        let folder = path.parent();
        path.as_bytes().ends_with(b".py")
            && folder.is_none_or(|folder| folder.as_str() == Some("src"))
    };
    let gone = before.keys().filter(is_module).map(module_name);
    let gone = gone.filter(|module| !there.contains(module)).collect();
    let found = imports::unresolved(sources, &gone).into_iter();
    found
        .filter(|import| own.contains(&import.place.file))
        .map(|import| match &import.name {
            Some(name) => format!(
                "{}: `{name}` is imported from {}.py, which has no such name: write what takes its \
                 place there",
                import.place, import.module
            ),
            None => format!(
                "{}: `{}` is imported, and the new worker has no such module: write what takes \
                 its place there, or bring it along",
                import.place, import.module
            ),
        })
        .collect()
}

impl Planner<'_> {
    /// Copies what the result's Dockerfile does not copy of `modules`, with the data beside them,
    /// beside the handler. Where that is not written plainly, a person has to.
    pub fn copy_modules(&self, built: &mut Planned, modules: &[RepoPath]) -> Result<()> {
        let [path, ignore] = ["Dockerfile", ".dockerignore"].map(RepoPath::from);
        let result = self.at.tree(&built.entries, "the result");
        let mut conflicts = built.plan.conflicts.iter();
        let is_open = conflicts.any(|it| it.path == path || it.path == ignore);
        let Some(before) = result.read_file("Dockerfile")?.filter(|_| !is_open) else {
            return Ok(());
        };
        let there = modules.iter();
        let there = there.filter(|path| result.entries().contains_key(*path));
        let Some((line, after, names)) = dockerfile::with_copies(&before, "handler.py", there)
        else {
            return Ok(());
        };
        let what = "modules of this fork are copied too".to_owned();
        let changes = vec![Change { line, what }];
        self.put(built, &path, [&before, after.as_bytes()], changes)?;
        // The listing of the fork's changes was made from upstream's Dockerfile.
        if let Some(own) = &mut built.plan.own {
            let is_copied = |id: &str| {
                let file = id.strip_prefix("copy:").unwrap_or_default();
                names.contains_key(file.split('/').next().unwrap_or_default())
            };
            own.changes.retain(|change| !is_copied(&change.id));
        }
        for arrival in built.plan.files.iter_mut().filter(|it| it.path == path) {
            if arrival.what == What::Updated {
                arrival.what = What::Merged;
            }
        }
        if let Some(before) = result.read_file(".dockerignore")? {
            let after = Ignore::letting_in(&before, &names);
            let line = before.split(|&byte| byte == b'\n').count();
            let what = "and let into the build".to_owned();
            if after != before {
                let changes = vec![Change { line, what }];
                self.put(built, &ignore, [&before, &after], changes)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    #[test]
    fn what_the_build_does_not_find_or_does_not_take() {
        let tree = Memory::new()
            .with("handler.py", "")
            .with("sgl_engine.py", "")
            .with("lib/kept.py", "");
        let path = |path: &str| RepoPath::from(path);
        let (handler, engine, renamed) =
            (path("handler.py"), path("engine.py"), path("sgl_engine.py"));
        let carried = [path("gone.py"), path("lib/kept.py"), renamed];
        let of = |dockerfile: &str, ignore: Option<&str>| {
            let mut tree = tree.clone().with("Dockerfile", dockerfile);
            if let Some(ignore) = ignore {
                tree = tree.with(".dockerignore", ignore);
            }
            notes(&tree, &Entries::new(), &[&engine, &handler], &carried).unwrap()
        };
        assert_eq!(
            of(
                "FROM x\nCOPY handler.py \\\n  engine.py ./\nCOPY lib/ lib/\n",
                None
            ),
            [
                "Dockerfile: line 3: `engine.py` is copied, and is not here: take it out there, \
                 or write the name that it has now",
                "Dockerfile: `sgl_engine.py` is not copied into the image: add it where the other \
                 modules are copied",
            ]
        );
        assert_eq!(
            of("FROM x\nCOPY . .\n", Some("*\n!lib\n")),
            [
                ".dockerignore keeps from the build what the Dockerfile copies: engine.py, \
                 handler.py, sgl_engine.py"
            ]
        );
        // The advice suffices.
        let allowed = "*\n!handler.py\n!lib\n";
        let copies = "FROM x\nCOPY handler.py ./\nCOPY lib lib\n";
        assert_eq!(
            of(copies, Some(allowed)),
            [
                "Dockerfile: `sgl_engine.py` is not copied into the image: add it where the other \
                 modules are copied, and let it in with `!sgl_engine.py` at the end of .dockerignore"
            ]
        );
        let followed = copies.replace("COPY handler.py", "COPY handler.py sgl_engine.py");
        let let_in = format!("{allowed}!sgl_engine.py\n");
        assert_eq!(of(&followed, Some(&let_in)), [""; 0]);
    }
}
