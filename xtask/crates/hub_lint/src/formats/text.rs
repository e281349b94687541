//! Findings as rustc shows them: the message, the line with a mark under it, and what to do.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};

use super::Sources;
use crate::finding::{Finding, Location, Related};
use crate::rule::Severity;

/// Larger excerpts, in bytes, are left out.
const LARGEST: usize = 64 * 1024;

pub fn render(renderer: &Renderer, findings: &[Finding], sources: &Sources) -> String {
    let text = |finding| one(renderer, finding, sources) + "\n\n";
    findings.iter().map(text).collect()
}

fn one(renderer: &Renderer, finding: &Finding, sources: &Sources) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(finding.message.replace(['\r', '\n'], " "))
        .id(format!("{} {}", finding.rule.code, finding.rule.name));
    let mut elements = Vec::new();
    let mut marks = vec![(&finding.place, AnnotationKind::Primary, None)];
    let is_here = |other: &&Related| other.place.path == finding.place.path;
    marks.extend(finding.related.iter().filter(is_here).map(context));
    elements.push(excerpt(sources, &finding.place, &marks));
    for related in finding.related.iter().filter(|other| !is_here(other)) {
        elements.push(excerpt(sources, &related.place, &[context(related)]));
    }
    for help in &finding.help {
        elements.push(Level::HELP.message(help.as_str()).into());
    }
    if let Some(fix) = &finding.fix {
        let help = format!("`{}` will {}", fix.safety.option(), fix.title);
        elements.push(Level::HELP.message(help).into());
    }
    renderer.render(&[Group::with_title(title).elements(elements)])
}

/// A place with its label.
type Mark<'a> = (&'a Location, AnnotationKind, Option<&'a str>);

fn context(other: &Related) -> Mark<'_> {
    (&other.place, AnnotationKind::Context, Some(&other.label))
}

/// The whole lines of marks in one file. The renderer cuts what is too long.
fn excerpt<'a>(sources: &'a Sources, place: &Location, marks: &[Mark<'a>]) -> Element<'a> {
    let path = place.path.to_string();
    let Some(source) = sources.get(&place.path) else {
        return Origin::path(path).into();
    };
    let spans = || marks.iter().map(|(place, ..)| source.in_text(&place.span));
    let first = spans().map(|span| span.start).min().unwrap_or(0);
    let last = spans().map(|span| span.end).max().unwrap_or(0);
    let at = source.place(first..last);
    let (start, _) = source.line(at.line - 1);
    let (last_start, last_line) = source.line(source.place(last..last).line - 1);
    let end = last.max(last_start + last_line.len());
    if end - start > LARGEST {
        let origin = Origin::path(path).line(at.line);
        return origin.char_column(at.column).into();
    }
    let annotations = spans().zip(marks).map(|(span, (_, kind, label))| {
        let span = span.start - start..span.end - start;
        kind.span(span).label(*label)
    });
    let snippet = Snippet::source(&source.text[start..end]);
    let snippet = snippet.line_start(at.line).path(path);
    snippet.annotations(annotations).into()
}
