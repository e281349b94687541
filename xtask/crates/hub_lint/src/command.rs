//! The task, from its options to its outcome.

use std::path::Path;

use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::lint::LintReport;
use crate::report::{outcome, print};
use crate::{fix, pages, registry, targets};
use xtask_core::outcome::{Outcome, UsageError};
use xtask_core::{finding, output, suggest};

pub fn run(repo: Option<&Path>, args: &Args) -> Result<Outcome> {
    if let Some(folder) = &args.write_generated {
        return pages::write(folder);
    }
    if args.rules {
        output::print(&pages::list())?;
        return Ok(Outcome::Done);
    }
    if let Some(rule) = &args.explain {
        return explain(rule);
    }
    for pattern in args.select.iter().chain(&args.ignore) {
        if !registry::all().iter().any(|rule| rule.means(pattern)) {
            return Err(unknown_rule(pattern).into());
        }
    }
    let mut targets = targets::resolve(repo, &args.paths)?;
    if matches!(args.format, LintFormat::Github | LintFormat::Sarif) {
        // GitHub shows findings by their paths in the whole repository.
        for target in &mut targets {
            target.show_from_git_root();
        }
    }
    if args.fix || args.unsafe_fixes || args.dry_run {
        return fix::run(&mut targets, args);
    }
    let mut all = LintReport::default();
    for target in &targets {
        all.take(target, args)?;
    }
    finding::sort(&mut all.findings);
    print(&all, args)?;
    Ok(outcome(&all.findings))
}

fn explain(pattern: &str) -> Result<Outcome> {
    let rules = registry::all().iter().filter(|rule| rule.means(pattern));
    let pages: Vec<String> = rules.map(|rule| pages::page(rule, 1)).collect();
    if pages.is_empty() {
        return Err(unknown_rule(pattern).into());
    }
    output::print(&format!("{}\n", pages.join("\n\n")))?;
    Ok(Outcome::Done)
}

fn unknown_rule(text: &str) -> UsageError {
    let all = registry::all();
    let names = all.iter().flat_map(|rule| [rule.code, rule.name]);
    let guess = suggest::nearest(text, names);
    let guess = guess.map_or_else(String::new, |(name, _)| format!(" Did you mean `{name}`?"));
    UsageError(format!(
        "there is no rule `{text}`.{guess} `--rules` lists them"
    ))
}
