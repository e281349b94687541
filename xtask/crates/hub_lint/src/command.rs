//! The task, from its options to its outcome.

use std::path::Path;

use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::lint::LintReport;
use crate::report::{outcome, print};
use crate::rule::Rule;
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
    if let Some(pattern) = &args.explain {
        let rules = meant(pattern)?.into_iter();
        let pages: Vec<String> = rules.map(|rule| pages::page(rule, 1)).collect();
        output::print(&format!("{}\n", pages.join("\n\n")))?;
        return Ok(Outcome::Done);
    }
    for pattern in args.select.iter().chain(&args.ignore) {
        meant(pattern)?;
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

/// The rules that a pattern means; none is wrong usage.
fn meant(pattern: &str) -> Result<Vec<&'static Rule>, UsageError> {
    let mut rules = registry::all().to_vec();
    rules.retain(|rule| rule.means(pattern));
    if !rules.is_empty() {
        return Ok(rules);
    }
    let all = registry::all().iter();
    let guess = suggest::nearest(pattern, all.flat_map(|rule| [rule.code, rule.name]));
    let guess = guess.map_or_else(String::new, |(name, _)| format!(" Did you mean `{name}`?"));
    Err(UsageError(format!(
        "there is no rule `{pattern}`.{guess} `--rules` lists them"
    )))
}
