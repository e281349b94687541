//! Findings as rustc shows them: the message, the line with a mark under it, and what to do.

use annotate_snippets::{
    Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet,
};

use super::{SourceText, Sources};
use crate::finding::{Finding, Location, Related};
use crate::rule::Severity;
use worker_files::json::Span;

/// Longer lines are cut around the place, for people and for speed.
const LONG_LINE: usize = 400;

pub fn render(findings: &[Finding], sources: &Sources) -> String {
    all(&Renderer::styled(), findings, sources)
}

pub fn plain(findings: &[Finding], sources: &Sources) -> String {
    all(&Renderer::plain(), findings, sources)
}

fn all(renderer: &Renderer, findings: &[Finding], sources: &Sources) -> String {
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
    let label = finding.label.as_deref();
    let mut marks = vec![(&finding.place, AnnotationKind::Primary, label)];
    let is_here = |other: &&Related| other.place.path == finding.place.path;
    marks.extend(finding.related.iter().filter(is_here).map(context));
    excerpt(&mut elements, sources, &marks);
    for related in finding.related.iter().filter(|other| !is_here(other)) {
        excerpt(&mut elements, sources, &[context(related)]);
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
type ClampedMark<'a> = (Span, AnnotationKind, Option<&'a str>);

fn context(other: &Related) -> Mark<'_> {
    (&other.place, AnnotationKind::Context, Some(&other.label))
}

fn excerpt<'a>(elements: &mut Vec<Element<'a>>, sources: &'a Sources, marks: &[Mark<'a>]) {
    let Some((place, _, _)) = marks.first() else {
        return;
    };
    let path = place.path.to_string();
    let Some(source) = sources.get(&place.path) else {
        elements.push(Origin::path(path).into());
        return;
    };
    let marks = marks.iter();
    let marks = marks.map(|(place, kind, label)| (source.clamp(&place.span), *kind, *label));
    let marks: Vec<ClampedMark> = marks.collect();
    // The window: whole lines from the first mark to the last, or a piece of one long line.
    let first = marks.iter().map(|m| m.0.start).min().unwrap_or(0);
    let last = marks.iter().map(|m| m.0.end).max().unwrap_or(0);
    let window = whole_lines(source, &(first..last));
    if longest_line(&source.text[window.clone()]) <= LONG_LINE {
        let snippet = Snippet::source(&source.text[window.clone()])
            .line_start(source.position(first).line)
            .path(path)
            .annotations(marks.into_iter().map(|mark| annotation(&window, mark)));
        elements.push(snippet.into());
        return;
    }
    // A line too long to show: each mark gets a piece of its line, below its own position.
    for (span, kind, label) in marks {
        let at = source.position(span.start);
        let line = whole_lines(source, &(span.start..span.start));
        let start = span.start.saturating_sub(40).max(line.start);
        let start = source.text.floor_char_boundary(start);
        let end = source.text.ceil_char_boundary((start + 120).min(line.end));
        let window = start..end;
        let span = span.start..span.end.min(end);
        let origin = Origin::path(path.clone()).line(at.line);
        elements.push(origin.char_column(at.column).into());
        let snippet = Snippet::source(&source.text[window.clone()])
            .line_start(at.line)
            .annotation(annotation(&window, (span, kind, label)));
        elements.push(snippet.into());
    }
}

fn annotation<'a>(window: &Span, (span, kind, label): ClampedMark<'a>) -> Annotation<'a> {
    let span = span.start - window.start..span.end - window.start;
    kind.span(span).label(label)
}

/// The span widened to whole lines, without the last line's end.
fn whole_lines(source: &SourceText, span: &Span) -> Span {
    let start = source.lines[source.line_of(span.start)];
    let last = source.line_of(span.end);
    let next = source.lines.get(last + 1);
    let end = next.map_or(source.text.len(), |next| next - 1);
    start..end.max(span.end)
}

fn longest_line(text: &str) -> usize {
    text.split('\n').map(str::len).max().unwrap_or(0)
}
