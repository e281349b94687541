//! `cargo xtask hub-lint`: the linter that the Hub doesn't have.
//!
//! The way of the data: a tree's files are read ([`syntax`]), looked at by layers ([`shape`], then
//! what they mean, then whether they agree), and what is found is sorted, filtered and printed.

mod agreement;
mod agreement_env;
mod agreement_sglang;
mod agreement_worker;
pub mod args;
mod document;
mod edit;
mod facts;
mod fix;
mod gpu;
mod ignored;
mod leftovers;
mod model;
pub mod near;
mod pages;
mod registry;
mod schema;
mod secrets;
mod shape;
mod shape_env;
mod shape_tests;
mod syntax;
mod targets;
mod tests_meaning;
mod values;
mod words;

#[cfg(test)]
mod tests;

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;

use crate::args::{Args, LintFormat};
use document::{Document, Which};
pub use ignored::FILE as IGNORED;
use xtask_core::finding::{self, Finding, Severity};
use xtask_core::outcome::{Outcome, UsageError};
use xtask_core::output::{self, Counts, Sources};
use xtask_core::tree::{Directory, RepoPath, Tree};

pub use agreement_sglang::cuda_is_older;

/// So many findings of one rule in one file are told; of more, only how many they are.
const MOST_OF_A_KIND: usize = 50;

/// What was found in one repository.
#[derive(Debug, Default)]
pub struct Report {
    pub findings: Vec<Finding>,
    pub sources: Sources,
    /// How many of the Hub's files there were.
    pub files: usize,
}

/// Lints a repository. What `hub-lint.json` ignores is left out; `whole` says that all of the
/// repository is looked at, so that what the Hub needs besides can be missed.
pub fn lint(tree: &dyn Tree, whole: bool) -> Result<Report> {
    let mut report = Report::default();
    let findings = &mut report.findings;
    let mut documents: Vec<Document> = Vec::new();
    let hub_inside = tree.entries().contains_key(&".runpod/hub.json".into());
    for which in [Which::Hub, Which::Tests] {
        let Some((path, bytes)) = find(tree, which)? else {
            continue;
        };
        // A tests.json at the root, with the listing in `.runpod/`, may be of another tool.
        if hub_inside && path == "tests.json" && !targets::looks_like_tests(&bytes) {
            continue;
        }
        report.files += 1;
        documents.extend(check_file(&path, which, &bytes, findings));
        report.sources.add(path, &bytes);
    }
    let of = |which| documents.iter().find(|document| document.which == which);
    if let (Some(hub), Some(tests)) = (of(Which::Hub), of(Which::Tests)) {
        agreement::check_files(hub, tests, findings);
    }
    if let Some(hub) = of(Which::Hub)
        && whole
    {
        agreement::check_tree(tree, hub, findings);
    }
    if !documents.is_empty() && agreement_worker::has_code(tree) {
        let (surface, unread) = agreement_worker::surface(tree)?.split();
        let (hub, tests) = (of(Which::Hub), of(Which::Tests));
        agreement_env::check(hub, tests, (&surface, &unread), findings);
        agreement_sglang::check(hub, tests, &surface, findings);
        agreement_worker::check(tree, hub, tests, &surface, findings);
    }
    let (ignored, bytes) = ignored::read(tree, findings)?;
    if let Some(bytes) = bytes {
        report.sources.add(ignored::FILE.into(), &bytes);
    }
    findings.retain(|finding| !ignored.covers(finding));
    if whole {
        findings.extend(ignored.stale());
    }
    finding::sort(findings);
    shorten(findings);
    for finding in &report.findings {
        let path = &finding.place.path;
        for place in std::iter::once(path).chain(finding.related.iter().map(|r| &r.place.path)) {
            if report.sources.get(place).is_none()
                && let Some(bytes) = tree.read_file(&String::from_utf8_lossy(place.as_bytes()))?
            {
                report.sources.add(place.clone(), &bytes);
            }
        }
    }
    Ok(report)
}

/// The Hub's file of this kind: the one in `.runpod/` takes precedence.
fn find(tree: &dyn Tree, which: Which) -> Result<Option<(RepoPath, Vec<u8>)>> {
    for path in [format!(".runpod/{}", which.name()), which.name().to_owned()] {
        if let Some(bytes) = tree.read_file(&path)? {
            return Ok(Some((RepoPath::new(path), bytes)));
        }
    }
    Ok(None)
}

/// All that can be said of one file alone. A document, where it is fit to be compared with others.
fn check_file(
    path: &RepoPath,
    which: Which,
    bytes: &[u8],
    findings: &mut Vec<Finding>,
) -> Option<Document> {
    let document = syntax::read(path, which, bytes, findings)?;
    if !shape::check(&document, findings) {
        // Not what the Hub reads; but if it is a bare list of tests, those have a meaning.
        tests_meaning::check(&document, findings);
        return None;
    }
    shape_env::check_twice(&document, findings);
    let variables = match which {
        Which::Hub => model::variables(&document.root),
        Which::Tests => Vec::new(),
    };
    words::check(&document, &variables, findings);
    gpu::check(&document, findings);
    values::check(&document, &variables, findings);
    secrets::check(&document, &variables, findings);
    tests_meaning::check(&document, findings);
    leftovers::check(&document, &variables, findings);
    Some(document)
}

/// Keeps the first findings of each rule in each file and counts the rest.
fn shorten(findings: &mut Vec<Finding>) {
    use std::collections::HashMap;
    let mut counts: HashMap<(&'static str, RepoPath), usize> = HashMap::new();
    for finding in findings.iter() {
        *counts
            .entry((finding.code, finding.place.path.clone()))
            .or_default() += 1;
    }
    if counts.values().all(|count| *count <= MOST_OF_A_KIND) {
        return;
    }
    let mut seen: HashMap<(&'static str, RepoPath), usize> = HashMap::new();
    findings.retain_mut(|finding| {
        let key = (finding.code, finding.place.path.clone());
        let all = counts.get(&key).copied().unwrap_or_default();
        let nth = seen.entry(key).or_default();
        *nth += 1;
        if *nth == MOST_OF_A_KIND && all > MOST_OF_A_KIND {
            let more = all - MOST_OF_A_KIND;
            finding
                .help
                .push(format!("and {more} more of this kind in this file"));
        }
        *nth <= MOST_OF_A_KIND
    });
}

/// Lints the work tree at `root`.
pub fn lint_directory(root: &Path) -> Result<Report> {
    lint(&Directory::open_work_tree(root)?, true)
}

/// The task.
pub fn run(repo: Option<&Path>, args: &Args) -> Result<Outcome> {
    if let Some(folder) = &args.write_generated {
        return pages::write(folder);
    }
    if let Some(rule) = &args.explain {
        return explain(rule);
    }
    for pattern in args.select.iter().chain(&args.ignore) {
        if !registry::all()
            .iter()
            .any(|rule| registry::means(pattern, rule.code, rule.name))
        {
            return Err(unknown_rule(pattern).into());
        }
    }
    let targets = targets::resolve(repo, &args.paths, args.stdin_name.as_deref())?;
    if args.fix || args.unsafe_fixes || args.dry_run {
        return fix::run(&targets, args);
    }
    let mut all = Report::default();
    for target in &targets {
        let report = target.lint()?;
        all.files += report.files;
        for finding in report.findings {
            if wanted(&finding, args) {
                all.findings.push(target.shown(finding));
            }
        }
        for (path, bytes) in target.sources(report.sources) {
            all.sources.insert(path, bytes);
        }
    }
    finding::sort(&mut all.findings);
    print(&all, args)?;
    Ok(outcome(&all.findings))
}

/// Notes of style alone are no failure.
pub fn fails(findings: &[Finding]) -> bool {
    findings.iter().any(|f| f.severity > Severity::Info)
}

fn outcome(findings: &[Finding]) -> Outcome {
    if fails(findings) {
        Outcome::Findings
    } else {
        Outcome::Done
    }
}

/// Whether the command line asks for this finding.
fn wanted(finding: &Finding, args: &Args) -> bool {
    let means = |patterns: &[String]| {
        patterns
            .iter()
            .any(|pattern| registry::means(pattern, finding.code, finding.name))
    };
    (args.select.is_empty() || means(&args.select))
        && !means(&args.ignore)
        && finding.severity >= args.min_severity
}

fn print(report: &Report, args: &Args) -> Result<()> {
    let (findings, sources) = (&report.findings, &report.sources);
    let text = match args.format {
        LintFormat::Text => {
            // Asked here rather than by taking the colour out again: that costs more than the rest.
            let coloured = output::is_coloured();
            let mut text = if coloured {
                output::text::render(findings, sources)
            } else {
                output::text::plain(findings, sources)
            };
            let _ = writeln!(text, "{}", summary(report));
            if coloured {
                return output::print(&text);
            }
            text
        }
        LintFormat::Json => format!("{:#}\n", output::json::render(findings, sources)),
        LintFormat::Sarif => {
            let log = output::sarif::render("hub-lint", &pages::descriptors(), findings, sources);
            format!("{log:#}\n")
        }
        LintFormat::Github => output::github::render(findings, sources),
        LintFormat::Markdown => output::markdown::render(findings, sources),
    };
    output::print_plain(&text)
}

/// One line for the end of the text, and for whoever shows the task's result among others.
pub fn summary(report: &Report) -> String {
    let files = output::counted(report.files, "file");
    if report.findings.is_empty() {
        return format!("hub-lint: nothing found in {files}");
    }
    let counts = Counts::of(&report.findings);
    let mut line = format!("hub-lint: {counts} in {files}");
    let fixes = |safety| {
        report
            .findings
            .iter()
            .filter_map(|finding| finding.fix.as_ref())
            .filter(|fix| fix.safety == safety)
            .count()
    };
    for safety in [finding::Safety::Safe, finding::Safety::Unsafe] {
        let count = fixes(safety);
        if count > 0 {
            let how = output::text::how_to_fix(safety);
            let _ = write!(line, "; {count} to mend with `{how}`");
        }
    }
    line.push_str("; `--explain RULE` tells why");
    line
}

fn explain(rule: &str) -> Result<Outcome> {
    let Some(rule) = registry::find(rule) else {
        return Err(unknown_rule(rule).into());
    };
    output::print(&format!("{}\n", pages::page(rule, 1)))?;
    Ok(Outcome::Done)
}

fn unknown_rule(text: &str) -> UsageError {
    let all = registry::all();
    let names = all.iter().flat_map(|rule| [rule.code, rule.name]);
    let guess = match near::nearest(text, names) {
        Some((name, _)) => format!(" Did you mean `{name}`?"),
        None => String::new(),
    };
    UsageError(format!(
        "there is no rule `{text}`.{guess} docs/hub-lint.md lists them"
    ))
}
