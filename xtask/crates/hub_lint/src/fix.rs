//! Applying fixes: edits that overlap wait for the next pass, and none may break the JSON.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::Result;

use super::targets::{Rehearsal, Target};
use super::{Report, outcome, print, wanted};
use crate::args::{Args, LintFormat};
use worker_files::json;
use xtask_core::finding::{self, Edit, Fix, Safety, Span};
use xtask_core::outcome::Outcome;
use xtask_core::output;
use xtask_core::tree::RepoPath;

/// More passes than fixes that one fix can make possible.
const PASSES: usize = 20;

/// Fixes what can be fixed, or with a dry run shows it, and tells what is left.
pub fn run(targets: &[Target], args: &Args) -> Result<Outcome> {
    let mut left = Report::default();
    let mut mended = 0;
    let mut changes = 0;
    for target in targets {
        let mut rehearsal = Rehearsal::new(target);
        mended += mend(&mut rehearsal, args)?;
        for (path, new) in rehearsal.changed() {
            changes += 1;
            let old = Rehearsal::new(target).read(path)?;
            if args.dry_run {
                let shown = target.shown_path(path);
                output::print(&diff(&shown, &old, new))?;
            } else {
                target.write(path, new)?;
            }
        }
        if let Some((path, bytes)) = target.input() {
            // A filter: what comes in and is right goes out as it is.
            if !args.dry_run && !rehearsal.changed().contains_key(path) {
                target.write(path, bytes)?;
            }
            continue;
        }
        let report = rehearsal.lint()?;
        left.files += report.files;
        left.findings.extend(
            report
                .findings
                .into_iter()
                .filter(|finding| wanted(finding, args))
                .map(|finding| target.shown(finding)),
        );
        for (path, source) in target.sources(report.sources) {
            left.sources.insert(path, source);
        }
    }
    if targets.iter().any(|target| target.input().is_some()) {
        return Ok(Outcome::Done);
    }
    finding::sort(&mut left.findings);
    if args.dry_run {
        if changes > 0 {
            output::print(&format!(
                "hub-lint: would mend {}\n",
                output::counted(mended, "finding")
            ))?;
            return Ok(Outcome::Findings);
        }
        output::print("hub-lint: nothing to mend\n")?;
        return Ok(outcome(&left.findings));
    }
    print(&left, args)?;
    if mended > 0 && args.format == LintFormat::Text {
        output::print(&format!(
            "hub-lint: mended {}\n",
            output::counted(mended, "finding")
        ))?;
    }
    Ok(outcome(&left.findings))
}

/// Passes until nothing is left to mend; how many findings were.
pub fn mend(rehearsal: &mut Rehearsal<'_>, args: &Args) -> Result<usize> {
    let allowed = if args.unsafe_fixes {
        Safety::Unsafe
    } else {
        Safety::Safe
    };
    let mut mended = 0;
    for _ in 0..PASSES {
        let report = rehearsal.lint()?;
        let fixes: Vec<&Fix> = report
            .findings
            .iter()
            .filter(|finding| wanted(finding, args))
            .filter_map(|finding| finding.fix.as_ref())
            .filter(|fix| fix.safety <= allowed)
            .collect();
        let made = pass(rehearsal, &fixes)?;
        if made == 0 {
            break;
        }
        mended += made;
    }
    Ok(mended)
}

/// One pass: each fix whose edits touch no earlier one's.
fn pass(rehearsal: &mut Rehearsal<'_>, fixes: &[&Fix]) -> Result<usize> {
    let mut texts: BTreeMap<&RepoPath, Vec<u8>> = BTreeMap::new();
    for edit in fixes.iter().flat_map(|fix| &fix.edits) {
        let path = &edit.place.path;
        if !texts.contains_key(path) {
            texts.insert(path, rehearsal.read(path)?);
        }
    }
    let mut made = 0;
    for (path, old) in texts {
        let of_file: Vec<&[Edit]> = fixes
            .iter()
            .filter(|fix| fix.edits.iter().all(|edit| edit.place.path == *path))
            .map(|fix| fix.edits.as_slice())
            .collect();
        let (mut new, mut count) = apply(&old, &of_file);
        if breaks(&old, &new) {
            // One of them does: take them one by one.
            (new, count) = (old.clone(), 0);
            for edits in of_file {
                let (one, made) = apply(&old, &[edits]);
                if made == 1 && !breaks(&old, &one) {
                    (new, count) = (one, 1);
                    break;
                }
            }
        }
        if count > 0 && new != old {
            rehearsal.write(path, new);
            made += count;
        }
    }
    Ok(made)
}

/// Applies the fixes that don't touch each other, the first come first.
pub fn apply(old: &[u8], fixes: &[&[Edit]]) -> (Vec<u8>, usize) {
    let mut taken: Vec<&Edit> = Vec::new();
    let mut made = 0;
    for edits in fixes {
        let free = edits.iter().all(|edit| {
            edit.place.span.end <= old.len()
                && !taken
                    .iter()
                    .any(|other| touch(&edit.place.span, &other.place.span))
        });
        if free {
            taken.extend(edits.iter());
            made += 1;
        }
    }
    taken.sort_by_key(|edit| (edit.place.span.start, edit.place.span.end));
    let mut new = Vec::with_capacity(old.len());
    let mut at = 0;
    for edit in taken {
        // Edits of one fix that overlap would be a mistake of the rule: leave the second out.
        if edit.place.span.start < at {
            continue;
        }
        new.extend_from_slice(&old[at..edit.place.span.start]);
        new.extend_from_slice(edit.with.as_bytes());
        at = edit.place.span.end;
    }
    new.extend_from_slice(&old[at..]);
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

/// Whether a text that was JSON is none any more.
fn breaks(old: &[u8], new: &[u8]) -> bool {
    let problems = |bytes: &[u8]| json::parse(bytes).problems.len();
    problems(new) > problems(old)
}

/// The change as a unified diff.
fn diff(path: &RepoPath, old: &[u8], new: &[u8]) -> String {
    use anstyle::{AnsiColor, Style};
    let old = String::from_utf8_lossy(old);
    let new = String::from_utf8_lossy(new);
    let diff = similar::TextDiff::from_lines(&old, &new);
    let path = path.to_string();
    let path = path.trim_start_matches('/');
    let text = diff
        .unified_diff()
        .context_radius(2)
        .header(&format!("a/{path}"), &format!("b/{path}"))
        .to_string();
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let mut out = String::new();
    for line in text.split_inclusive('\n') {
        let style = match line.as_bytes().first() {
            Some(b'-') => red,
            Some(b'+') => green,
            _ => Style::new(),
        };
        let (body, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |body| (body, "\n"));
        let _ = write!(out, "{style}{body}{style:#}{end}");
    }
    out
}

/// For tests: the text with everything mended that may be.
#[cfg(test)]
pub fn mended(old: &[u8], findings: &[finding::Finding], allowed: Safety) -> Vec<u8> {
    let fixes: Vec<&[Edit]> = findings
        .iter()
        .filter_map(|finding| finding.fix.as_ref())
        .filter(|fix| fix.safety <= allowed)
        .map(|fix| fix.edits.as_slice())
        .collect();
    apply(old, &fixes).0
}
