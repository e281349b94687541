//! Prints findings and decides the exit code.

use std::fmt::Write;

use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::lint::LintReport;
use crate::targets::LintTarget;
use crate::{pages, rule};
use xtask_core::finding::{Finding, Safety};
use xtask_core::outcome::Outcome;
use xtask_core::output::{self, Counts};

pub fn outcome(findings: &[Finding]) -> Outcome {
    if findings.is_empty() {
        Outcome::Done
    } else {
        Outcome::Findings
    }
}

/// Whether the command line asks for this finding.
pub fn wanted(finding: &Finding, args: &Args) -> bool {
    let is_it = |pattern: &String| rule::means(pattern, finding.code, finding.name);
    let means = |patterns: &[String]| patterns.iter().any(is_it);
    (args.select.is_empty() || means(&args.select))
        && !means(&args.ignore)
        && finding.severity >= args.min_severity
}

impl LintReport {
    /// Lints a target, and takes what the command line asks for, with its paths as people see them.
    pub fn take(&mut self, target: &LintTarget, args: &Args) -> Result<()> {
        let report = target.lint()?;
        self.files += report.files;
        let findings = report.findings.into_iter();
        let findings = findings.filter(|finding| wanted(finding, args));
        let shown = findings.map(|finding| finding.inside(&target.prefix));
        self.findings.extend(shown);
        self.sources.add_inside(&target.prefix, report.sources);
        Ok(())
    }
}

pub fn print(report: &LintReport, args: &Args) -> Result<()> {
    let (findings, sources) = (&report.findings, &report.sources);
    let text = match args.format {
        LintFormat::Text => {
            let text = output::text::render(findings, sources);
            return output::print(&format!("{text}{}\n", summary(report)));
        }
        LintFormat::Json => format!("{:#}\n", output::json::render(findings, sources)),
        LintFormat::Sarif => {
            let log = output::sarif::render("hub-lint", &pages::descriptors(), findings, sources);
            format!("{log:#}\n")
        }
        LintFormat::Github => output::github::render(findings, sources),
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
            let how = output::text::how_to_fix(safety);
            let _ = write!(line, "; {count} to fix with `{how}`");
        }
    }
    line.push_str("; `--explain RULE` says why");
    line
}
