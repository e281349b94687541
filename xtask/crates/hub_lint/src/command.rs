//! Runs the task.

use std::path::Path;

use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::finding::sort;
use crate::lint::LintReport;
use crate::report::print;
use crate::rule::Rule;
use crate::{fix, registry, targets};
use xtask_core::outcome::{Outcome, UsageError};
use xtask_core::{output, suggest};

pub fn run(repo: Option<&Path>, args: &Args) -> Result<Outcome> {
    if args.rules {
        output::print(&list())?;
        return Ok(Outcome::Done);
    }
    if let Some(pattern) = &args.explain {
        let rules = matching(pattern)?.into_iter();
        let page = |rule: &Rule| format!("# {} {}\n\n{}\n", rule.code, rule.name, rule.page());
        let pages: Vec<String> = rules.map(page).collect();
        output::print(&pages.join("\n"))?;
        return Ok(Outcome::Done);
    }
    for pattern in args.select.iter().chain(&args.ignore) {
        matching(pattern)?;
    }
    let mut targets = targets::resolve(repo, &args.paths)?;
    if matches!(args.format, LintFormat::Github | LintFormat::Sarif) {
        // GitHub shows findings by their paths in the whole repository.
        for target in &mut targets {
            target.show_from_git_root();
        }
    }
    let mut report = LintReport::default();
    let mut fixed = 0;
    for target in &targets {
        if args.fix || args.unsafe_fixes {
            fixed += fix::run(target, args)?;
        }
        report.add(target, args)?;
    }
    sort(&mut report.findings);
    print(&report, args)?;
    if fixed > 0 && args.format == LintFormat::Text {
        let counted = output::counted(fixed, "finding");
        output::print(&format!("hub-lint: fixed {counted}\n"))?;
    }
    Ok(if report.findings.is_empty() {
        Outcome::Done
    } else {
        Outcome::Findings
    })
}

/// The rules that match a pattern; it is wrong usage if there is none.
fn matching(pattern: &str) -> Result<Vec<&'static Rule>, UsageError> {
    let all = registry::all().iter().copied();
    let rules: Vec<&Rule> = all.clone().filter(|rule| rule.matches(pattern)).collect();
    if !rules.is_empty() {
        return Ok(rules);
    }
    let guess = suggest::nearest(pattern, all.flat_map(|rule| [rule.code, rule.name]));
    let guess = guess.map_or_else(String::new, |(name, _)| format!(" Did you mean `{name}`?"));
    Err(UsageError(format!(
        "there is no rule `{pattern}`.{guess} `--rules` lists them"
    )))
}

fn list() -> String {
    let line = |rule: &&Rule| {
        let (code, name, severity) = (rule.code, rule.name, rule.severity.word());
        format!("{code} {name:<28} {severity:<8} {}\n", rule.summary)
    };
    registry::all().iter().map(line).collect()
}
