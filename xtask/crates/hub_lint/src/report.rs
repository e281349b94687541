//! Prints findings.

use annotate_snippets::Renderer;
use anyhow::Result;

use crate::args::{Args, LintFormat};
use crate::finding::{Counts, Finding, Safety};
use crate::formats::{github, json, sarif, text};
use crate::lint::LintReport;
use crate::registry;
use crate::targets::LintTarget;
use xtask_core::output;

pub fn is_selected(finding: &Finding, args: &Args) -> bool {
    let matches = |pattern: &String| finding.rule.matches(pattern);
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
        let sources = report.sources.into_iter();
        let sources = sources.map(|(path, source)| (path.inside(&target.prefix), source));
        self.sources.extend(sources);
        Ok(())
    }
}

pub fn print(report: &LintReport, args: &Args) -> Result<()> {
    let (findings, sources) = (&report.findings, &report.sources);
    let text = match args.format {
        LintFormat::Text => {
            let text = text::render(&Renderer::styled(), findings, sources);
            return output::print(&format!("{text}{}\n", summary(report)));
        }
        LintFormat::Json => format!("{:#}\n", json::render(findings, sources)),
        LintFormat::Sarif => {
            let log = sarif::render(registry::all(), findings, sources);
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
