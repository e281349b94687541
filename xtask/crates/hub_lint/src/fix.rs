//! Applies fixes. Overlapping edits wait for the next pass, and no fix may break the JSON.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::args::Args;
use crate::finding::{Edit, Safety};
use crate::targets::LintTarget;
use worker_files::json;
use worker_files::json::Span;
use xtask_core::tree::RepoPath;

/// The maximum of passes, since a fix may make others possible.
const PASSES: usize = 20;

/// Fixes a target. Returns the number of fixed findings.
pub fn run(target: &LintTarget, args: &Args) -> Result<usize> {
    let allowed = Safety::of(!args.unsafe_fixes);
    let mut fixed = 0;
    for _ in 0..PASSES {
        let findings = target.lint()?.findings;
        let selected = findings.iter().filter(|it| args.selects(it));
        let mut by_path: BTreeMap<&RepoPath, Vec<&[Edit]>> = BTreeMap::new();
        for finding in selected {
            if let Some(fix) = finding.fix.as_ref().filter(|fix| fix.safety <= allowed) {
                let fixes = by_path.entry(&finding.place.path).or_default();
                fixes.push(&fix.edits);
            }
        }
        let count = pass(target, by_path)?;
        if count == 0 {
            break;
        }
        fixed += count;
    }
    Ok(fixed)
}

/// Makes each fix whose edits touch no earlier one's. Returns their number.
fn pass(target: &LintTarget, by_path: BTreeMap<&RepoPath, Vec<&[Edit]>>) -> Result<usize> {
    let mut fixed = 0;
    for (path, fixes) in by_path {
        let file = target.file(path);
        let old = fs_err::read(&file)?;
        // All of them or, if they break the JSON together, the first that does not break it.
        let single = fixes.iter().map(std::slice::from_ref);
        let choices = std::iter::once(&fixes[..]).chain(single);
        let mut results = choices.map(|fixes| apply(&old, fixes));
        let good = results.find(|(new, _)| !breaks(&old, new));
        if let Some((new, count @ 1..)) = good.filter(|(new, _)| *new != old) {
            fs_err::write(&file, new)?;
            fixed += count;
        }
    }
    Ok(fixed)
}

/// Applies the fixes that don't touch an earlier one. Returns the text and their number.
pub fn apply(old: &[u8], fixes: &[&[Edit]]) -> (Vec<u8>, usize) {
    let mut taken: Vec<(&Span, &str)> = Vec::new();
    let mut made = 0;
    for edits in fixes {
        let is_free = |(span, _): &Edit| {
            span.end <= old.len() && !taken.iter().any(|(other, _)| touch(span, other))
        };
        if edits.iter().all(is_free) {
            taken.extend(edits.iter().map(|(span, with)| (span, &**with)));
            made += 1;
        }
    }
    // Edits from the end on leave earlier offsets as they are.
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
