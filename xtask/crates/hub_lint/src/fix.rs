//! Applies fixes: overlapping edits wait for the next pass, and none may break the JSON.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::args::Args;
use crate::report::wanted;
use crate::targets::LintTarget;
use worker_files::json;
use xtask_core::finding::{Edit, Fix, Safety, Span};
use xtask_core::output::{self, diff};
use xtask_core::tree::{RepoPath, Tree};

/// More passes than fixes that one fix can make possible.
const PASSES: usize = 20;

/// Fixes what can be fixed, or with a dry run shows it; how many findings that are.
pub fn run(target: &mut LintTarget, args: &Args) -> Result<usize> {
    let fixed = fix(target, args)?;
    if !args.dry_run {
        target.write()?;
        return Ok(fixed);
    }
    for (path, new) in &target.fixed {
        let shown = path.inside(&target.prefix).to_string();
        let [before, after] =
            ["a", "b"].map(|side| format!("{side}/{}", shown.trim_start_matches('/')));
        let diff = diff::unified(&before, &after, &target.tree.read(path)?, new);
        output::print(&diff::coloured(&diff, ""))?;
    }
    Ok(fixed)
}

/// Passes until nothing is left to fix; how many findings were.
fn fix(target: &mut LintTarget, args: &Args) -> Result<usize> {
    let allowed = if args.unsafe_fixes {
        Safety::Unsafe
    } else {
        Safety::Safe
    };
    let mut fixed = 0;
    for _ in 0..PASSES {
        let findings = target.lint()?.findings;
        let wanted = findings.iter().filter(|finding| wanted(finding, args));
        let fixes = wanted.filter_map(|finding| finding.fix.as_ref());
        let fixes: Vec<&Fix> = fixes.filter(|fix| fix.safety <= allowed).collect();
        let made = pass(target, &fixes)?;
        if made == 0 {
            break;
        }
        fixed += made;
    }
    Ok(fixed)
}

/// One pass: each fix whose edits touch no earlier one's.
fn pass(target: &mut LintTarget, fixes: &[&Fix]) -> Result<usize> {
    // Edits are of the finding's own file.
    let mut by_path: BTreeMap<&RepoPath, Vec<&[Edit]>> = BTreeMap::new();
    for fix in fixes {
        if let Some(first) = fix.edits.first() {
            by_path
                .entry(&first.place.path)
                .or_default()
                .push(&fix.edits);
        }
    }
    let mut made = 0;
    for (path, fixes) in by_path {
        let old = target.read(path)?;
        // All of them, or where they break the JSON together the first that does not.
        let single = fixes.iter().map(std::slice::from_ref);
        let mut tried = std::iter::once(&fixes[..])
            .chain(single)
            .map(|fixes| apply(&old, fixes));
        let good = tried.find(|(new, _)| !breaks(&old, new));
        if let Some((new, count @ 1..)) = good.filter(|(new, _)| *new != old) {
            target.fixed.insert(path.clone(), new);
            made += count;
        }
    }
    Ok(made)
}

/// Applies the fixes that don't touch each other, the first come first.
pub fn apply(old: &[u8], fixes: &[&[Edit]]) -> (Vec<u8>, usize) {
    let mut taken: Vec<(&Span, &str)> = Vec::new();
    let mut made = 0;
    for edits in fixes {
        let is_free = |edit: &Edit| {
            let span = &edit.place.span;
            span.end <= old.len() && !taken.iter().any(|(other, _)| touch(span, other))
        };
        if edits.iter().all(is_free) {
            taken.extend(edits.iter().map(|edit| (&edit.place.span, &*edit.with)));
            made += 1;
        }
    }
    // From the end on, places before an edit stay what they are.
    taken.sort_by_key(|(span, _)| std::cmp::Reverse((span.start, span.end)));
    let mut new = old.to_vec();
    for (span, with) in taken {
        new.splice(span.clone(), with.bytes());
    }
    (new, made)
}

/// Whether two edits can't both be made: they overlap, or insert at the same place.
fn touch(a: &Span, b: &Span) -> bool {
    if a.is_empty() || b.is_empty() {
        a.start <= b.end && b.start <= a.end
    } else {
        a.start < b.end && b.start < a.end
    }
}

fn breaks(old: &[u8], new: &[u8]) -> bool {
    let problems = |bytes: &[u8]| json::parse(bytes).problems.len();
    problems(new) > problems(old)
}
