//! Findings as rustc shows them: the message, the line with a mark under it, and what to do.

use annotate_snippets::{Annotation, AnnotationKind, Element, Group, Level, Origin, Renderer};

use super::{Source, Sources};
use crate::finding::{Finding, Place, Safety, Severity, Span};

/// Longer lines are cut around the place, for people and for speed.
const LONG_LINE: usize = 400;

/// All findings, coloured, for a terminal.
pub fn render(findings: &[Finding], sources: &Sources) -> String {
    let renderer = Renderer::styled();
    let mut out = String::new();
    for finding in findings {
        out.push_str(&one(&renderer, finding, sources));
        out.push_str("\n\n");
    }
    out
}

/// All findings without colour.
pub fn plain(findings: &[Finding], sources: &Sources) -> String {
    let mut out = String::new();
    for finding in findings {
        out.push_str(&one(&Renderer::plain(), finding, sources));
        out.push_str("\n\n");
    }
    out
}

/// The words that tell how a fix is made.
pub fn how_to_fix(safety: Safety) -> &'static str {
    match safety {
        Safety::Safe => "--fix",
        Safety::Unsafe => "--unsafe-fixes",
    }
}

fn one(renderer: &Renderer, finding: &Finding, sources: &Sources) -> String {
    let level = match finding.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Info => Level::INFO,
    };
    let title = level
        .primary_title(finding.message.replace(['\r', '\n'], " "))
        .id(format!("{} {}", finding.code, finding.name));
    let mut elements = Vec::new();
    excerpt(
        &mut elements,
        sources,
        &finding.place,
        AnnotationKind::Primary,
        finding.label.as_deref(),
        &finding.related,
    );
    for related in &finding.related {
        if related.place.path != finding.place.path {
            excerpt(
                &mut elements,
                sources,
                &related.place,
                AnnotationKind::Context,
                Some(&related.label),
                &[],
            );
        }
    }
    for help in &finding.help {
        elements.push(Level::HELP.message(help.as_str()).into());
    }
    if let Some(fix) = &finding.fix {
        let how = how_to_fix(fix.safety);
        elements.push(
            Level::HELP
                .message(format!("`{how}` will {}", fix.title))
                .into(),
        );
    }
    renderer.render(&[Group::with_title(title).elements(elements)])
}

/// The lines around a place. Related places of the same file stand in the same excerpt.
fn excerpt<'a>(
    elements: &mut Vec<Element<'a>>,
    sources: &'a Sources,
    place: &Place,
    kind: AnnotationKind,
    label: Option<&'a str>,
    related: &'a [crate::finding::Related],
) {
    let Some(source) = sources.get(&place.path) else {
        elements.push(Origin::path(place.path.to_string()).into());
        return;
    };
    let mut marks: Vec<(Span, AnnotationKind, Option<&str>)> =
        vec![(source.clamp(&place.span), kind, label)];
    for other in related.iter().filter(|r| r.place.path == place.path) {
        marks.push((
            source.clamp(&other.place.span),
            AnnotationKind::Context,
            Some(&other.label),
        ));
    }
    // The window: whole lines from the first mark to the last, or a piece of one long line.
    let first = marks.iter().map(|m| m.0.start).min().unwrap_or(0);
    let last = marks.iter().map(|m| m.0.end).max().unwrap_or(0);
    let window = whole_lines(source, &(first..last));
    if longest_line(&source.text[window.clone()]) <= LONG_LINE {
        let at = source.position(first);
        let snippet = annotate_snippets::Snippet::source(&source.text[window.clone()])
            .line_start(at.line)
            .path(place.path.to_string())
            .annotations(
                marks
                    .into_iter()
                    .map(|(span, kind, label)| mark(&window, span, kind, label)),
            );
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
        elements.push(
            Origin::path(place.path.to_string())
                .line(at.line)
                .char_column(at.column)
                .into(),
        );
        elements.push(
            annotate_snippets::Snippet::source(&source.text[window.clone()])
                .line_start(at.line)
                .annotation(mark(&window, span, kind, label))
                .into(),
        );
    }
}

fn mark<'a>(
    window: &Span,
    span: Span,
    kind: AnnotationKind,
    label: Option<&'a str>,
) -> Annotation<'a> {
    kind.span(span.start - window.start..span.end - window.start)
        .label(label)
}

/// The span widened to whole lines, without the last line's end.
fn whole_lines(source: &Source, span: &Span) -> Span {
    let start = source.lines[source.line_of(span.start)];
    let last = source.line_of(span.end);
    let end = source
        .lines
        .get(last + 1)
        .map_or(source.text.len(), |next| next - 1);
    start..end.max(span.end)
}

fn longest_line(text: &str) -> usize {
    text.split('\n').map(str::len).max().unwrap_or(0)
}
