//! Brings a fork's own modules, with the data beside them, into the new image: a line of the
//! Dockerfile, and what lets them into the build.

use std::collections::BTreeMap;

use anyhow::Result;

use super::follow_up::put;
use super::plan::{Planned, Rewrite, What};
use super::preflight::Preflight;
use worker_files::dockerfile;
use worker_files::ignore::Ignore;
use worker_files::rewrite::Change;
use xtask_core::git::Scratch;
use xtask_core::tree::{RepoPath, Tree};

const DOCKERFILE: &str = "Dockerfile";
const IGNORE: &str = ".dockerignore";

/// Copies what the result's Dockerfile does not copy of `modules`, beside the handler. Where that is
/// not written plainly, a person has to.
pub fn copy(
    at: &Preflight,
    scratch: &Scratch,
    built: &mut Planned,
    modules: &[RepoPath],
) -> Result<Vec<Rewrite>> {
    let result = at.tree(&built.entries, "the result");
    let mut conflicts = built.plan.conflicts.iter();
    let is_open = conflicts.any(|it| it.path == DOCKERFILE || it.path == IGNORE);
    let Some(before) = result.read_file(DOCKERFILE)?.filter(|_| !is_open) else {
        return Ok(Vec::new());
    };
    let there = modules
        .iter()
        .filter(|path| result.entries().contains_key(*path));
    let Some((line, after, names)) = with_copies(&before, there) else {
        return Ok(Vec::new());
    };
    let change = |line, what: &str| {
        vec![Change {
            line,
            what: what.to_owned(),
        }]
    };
    let changes = change(line, "modules of this fork are copied too");
    let path = DOCKERFILE.into();
    let mut rewrites = vec![put(
        at,
        scratch,
        built,
        &path,
        [&before, after.as_bytes()],
        changes,
    )?];
    // The listing of the fork's changes was made from upstream's Dockerfile.
    if let Some(own) = &mut built.plan.own {
        let is_copied = |id: &str| {
            let file = id.strip_prefix("copy:").unwrap_or_default();
            names.contains_key(file.split('/').next().unwrap_or_default())
        };
        own.changes.retain(|change| !is_copied(&change.id));
    }
    for arrival in built
        .plan
        .files
        .iter_mut()
        .filter(|it| it.path == DOCKERFILE)
    {
        if arrival.what == What::Updated {
            arrival.what = What::Merged;
        }
    }
    if let Some(before) = result.read_file(IGNORE)? {
        let after = with_exceptions(&before, &names);
        let line = before.split(|&byte| byte == b'\n').count();
        if after != before {
            let changes = change(line, "and let into the build");
            rewrites.push(put(
                at,
                scratch,
                built,
                &IGNORE.into(),
                [&before, &after],
                changes,
            )?);
        }
    }
    Ok(rewrites)
}

/// The Dockerfile with lines that copy these files, behind which line they are, and the names that
/// the lines copy, each with a file of it: files, and folders whole.
fn with_copies<'m>(
    text: &[u8],
    modules: impl Iterator<Item = &'m RepoPath>,
) -> Option<(usize, String, BTreeMap<String, &'m RepoPath>)> {
    let copied = dockerfile::taken(text).ok()?;
    let is_plain = |name: &str| {
        name.chars()
            .all(|c| c.is_alphanumeric() || "_-.".contains(c))
    };
    let mut names = BTreeMap::new();
    for path in modules.filter(|path| !copied.iter().any(|copied| copied.covers(path))) {
        let is_test = path.name().starts_with(b"test_") || path.name() == b"conftest.py";
        let top = String::from_utf8_lossy(path.top()).into_owned();
        let is_hidden = top.starts_with('.') || top == "__init__.py";
        if !is_test && !is_hidden && is_plain(&top) {
            names.insert(top, path);
        }
    }
    let line = copied.iter().rev().find(|it| it.path == "handler.py")?.line;
    let text = std::str::from_utf8(text).ok()?;
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let beside = lines.get(line - 1)?.trim_end();
    let words: Vec<&str> = beside.split_whitespace().collect();
    let (to, words) = words.split_last()?;
    let is_plain = words.first() == Some(&"COPY") && to.ends_with('/') && !beside.contains('[');
    if names.is_empty() || !is_plain {
        return None;
    }
    let options = words.iter().filter(|word| word.starts_with("--"));
    let options: String = options.map(|word| format!("{word} ")).collect();
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let all = names.keys().map(String::as_str);
    let (files, folders): (Vec<&str>, Vec<&str>) = all.partition(|name| *names[*name] == **name);
    let mut new = String::new();
    if !files.is_empty() {
        new += &format!("COPY {options}{} {to}{end}", files.join(" "));
    }
    for folder in folders {
        new += &format!("COPY {options}{folder} {to}{folder}{end}");
    }
    if !lines[line - 1].ends_with('\n') {
        new.insert_str(0, end);
    }
    lines.insert(line, &new);
    Some((line + 1, lines.concat(), names))
}

/// `.dockerignore` with lines at its end that let in what it keeps out of these.
fn with_exceptions(text: &[u8], names: &BTreeMap<String, &RepoPath>) -> Vec<u8> {
    let ignore = Ignore::read(text);
    let mut after = text.to_vec();
    let kept_out = names.iter().filter(|(_, path)| ignore.excludes(path));
    for (name, _) in kept_out {
        if !after.is_empty() && !after.ends_with(b"\n") {
            after.push(b'\n');
        }
        after.extend(format!("!{name}\n").bytes());
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_copied_beside_the_handler() {
        let paths = [
            "billing.py",
            "acme/__init__.py",
            "acme/guard.py",
            "test_a.py",
            "utils.py",
            "rules.json",
            "texts/a.txt",
            ".env",
        ];
        let paths = paths.map(RepoPath::from);
        let of = |text: &str| with_copies(text.as_bytes(), paths.iter());
        let (line, text, names) =
            of("FROM x\nCOPY utils.py ./\nCOPY --chown=1 handler.py engine.py ./\nCMD x\n")
                .unwrap();
        assert_eq!(line, 4);
        assert_eq!(
            text,
            "FROM x\nCOPY utils.py ./\nCOPY --chown=1 handler.py engine.py ./\n\
             COPY --chown=1 billing.py rules.json ./\nCOPY --chown=1 acme ./acme\n\
             COPY --chown=1 texts ./texts\nCMD x\n"
        );
        let ignore = with_exceptions(b"*\n!handler.py", &names);
        assert_eq!(
            ignore,
            b"*\n!handler.py\n!acme\n!billing.py\n!rules.json\n!texts\n"
        );
        assert_eq!(with_exceptions(b"docs", &names), b"docs");
        // All of it is there, or the place is not plain.
        assert_eq!(of("FROM x\nCOPY . .\n"), None);
        assert_eq!(of("FROM x\nCOPY handler.py \\\n engine.py ./\n"), None);
        assert_eq!(of("FROM x\nCOPY [\"handler.py\", \"./\"]\n"), None);
    }
}
