//! Runs the task, and prints what it found.

use std::path::Path;

use annotate_snippets::Renderer;
use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::finding::{Counts, Safety, sort};
use crate::formats::{github, json, sarif, text};
use crate::lint::LintReport;
use crate::rule::Rule;
use crate::{fix, rule, targets};
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
        let found = target.lint()?;
        report.files += found.files;
        let findings = found.findings.into_iter();
        let findings = findings.filter(|finding| args.selects(finding));
        let findings = findings.map(|finding| finding.inside(&target.prefix));
        report.findings.extend(findings);
        // By their paths as people see them.
        let sources = found.sources.into_iter();
        let sources = sources.map(|(path, source)| (path.inside(&target.prefix), source));
        report.sources.extend(sources);
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
    let all = rule::all().iter();
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
    let line = |rule: &Rule| {
        let (code, name, severity) = (rule.code, rule.name, rule.severity.word());
        format!("{code} {name:<28} {severity:<8} {}\n", rule.summary)
    };
    rule::all().iter().map(line).collect()
}

fn print(report: &LintReport, args: &Args) -> Result<()> {
    let (findings, sources) = (&report.findings, &report.sources);
    let text = match args.format {
        LintFormat::Text => {
            let text = text::render(&Renderer::styled(), findings, sources);
            return output::print(&format!("{text}{}\n", summary(report)));
        }
        LintFormat::Json => format!("{:#}\n", json::render(findings, sources)),
        LintFormat::Sarif => {
            let log = sarif::render(rule::all(), findings, sources);
            format!("{log:#}\n")
        }
        LintFormat::Github => github::render(findings, sources),
    };
    output::print_plain(&text)
}

/// One line with the counts, also for other tasks.
pub fn summary(report: &LintReport) -> String {
    let files = output::counted(report.files, "file");
    if report.findings.is_empty() {
        return format!("hub-lint: nothing found in {files}");
    }
    let counts = Counts::of(&report.findings);
    let mut line = format!("hub-lint: {counts} in {files}");
    let fixes = report.findings.iter().filter_map(|it| it.fix.as_ref());
    for safety in [Safety::Safe, Safety::Unsafe] {
        let count = fixes.clone().filter(|fix| fix.safety == safety).count();
        if count > 0 {
            line += &format!("; {count} to fix with `{}`", safety.option());
        }
    }
    line + "; `--explain RULE` says why"
}
