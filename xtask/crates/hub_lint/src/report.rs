//! Prints findings.

use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::lint::LintReport;
use crate::targets::LintTarget;
use crate::{pages, rule};
use xtask_core::finding::{Finding, Safety};
use xtask_core::output::{self, Counts};

/// Whether the command line selects a finding.
pub fn is_selected(finding: &Finding, args: &Args) -> bool {
    let matches = |pattern: &String| rule::matches(pattern, finding.code, finding.name);
    (args.select.is_empty() || args.select.iter().any(matches))
        && !args.ignore.iter().any(matches)
        && finding.severity >= args.min_severity
}

impl LintReport {
    /// Lints a target, and adds the selected findings with their paths as people see them.
    pub fn add(&mut self, target: &LintTarget, args: &Args) -> Result<()> {
        let report = target.lint()?;
        self.files += report.files;
        let findings = report.findings.into_iter();
        let findings = findings.filter(|finding| is_selected(finding, args));
        let findings = findings.map(|finding| finding.inside(&target.prefix));
        self.findings.extend(findings);
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
            let option = output::text::how_to_fix(safety);
            line += &format!("; {count} to fix with `{option}`");
        }
    }
    line + "; `--explain RULE` says why"
}
