//! Modules of the new worker that import what is gone of the old one.

use std::collections::BTreeSet;

use anyhow::Result;

use super::judge::{Item, Verdict, few};
use worker_files::Source;
use worker_files::python::{imports, module_name};
use worker_files::source::LARGEST;
use xtask_core::tree::Tree;

/// A note on modules that import at their top what a module beside them has lost: they end there.
pub fn note(items: &[Item], tree: &dyn Tree) -> Result<Option<String>> {
    let gone = items.iter().filter(|item| {
        let is_gone = item.verdict == Verdict::Missing && item.old.is_some();
        item.area() == "python" && is_gone
    });
    let gone: BTreeSet<&str> = gone
        .filter_map(|it| it.id.rsplit([':', '.']).next())
        .collect();
    if gone.is_empty() {
        return Ok(None);
    }
    let mut sources = Vec::new();
    for (path, entry) in tree.entries() {
        let name = path.name();
        let is_beside = path.parent().is_none_or(|folder| folder == *"src");
        let is_test = name.starts_with(b"test_") || name == b"conftest.py";
        let is_large = entry.size.is_some_and(|size| size > LARGEST as u64);
        if name.ends_with(b".py") && entry.mode.is_file() && is_beside && !is_test && !is_large {
            sources.push(Source::new(path.clone(), &tree.read(path)?));
        }
    }
    let lacks = |module: &str, name: &str| {
        let mut of_module = sources.iter().filter(|it| module_name(&it.path) == module);
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let dynamic = ["globals()", "setattr(", "__getattr__"];
        of_module.next().is_some_and(|source| {
            let text = &source.text;
            let mut words = text.split(|c| !is_word(c));
            !words.any(|word| word == name) && !dynamic.iter().any(|it| text.contains(it))
        })
    };
    let found = imports::unresolved(&sources, &BTreeSet::new()).into_iter();
    let told = found.filter_map(|import| {
        let name = import
            .name
            .as_ref()
            .filter(|name| gone.contains(name.as_str()))?;
        let is_broken = import.place.column == 1 && lacks(&import.module, name);
        is_broken.then(|| {
            format!(
                "{} imports `{name}` from {}.py",
                import.place, import.module
            )
        })
    });
    let told: Vec<String> = told.collect();
    Ok((!told.is_empty()).then(|| {
        let them = few(&told, 3);
        format!("{them}, which has no such name: it ends there. Write what takes its place.")
    }))
}
