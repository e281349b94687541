//! `COPY` and `ADD`: what they take from the context, and where that lies after the move.

use std::ops::Range;

use parse_dockerfile::{Flag, Instruction, Source, UnescapedString};

use super::writer::Writer;
use super::{Output, climbs, fill_in, refuse_source};
use crate::rewrite::landing::clean;
use crate::rewrite::scope::Scope;
use crate::rewrite::{Change, NotUnderstood, PathMap, Text, listed};

/// `COPY` and `ADD`, which share their shape.
pub struct Copy<'i, 'a> {
    pub keyword: Range<usize>,
    pub is_add: bool,
    pub options: &'i [Flag<'a>],
    pub src: &'i [Source<'a>],
    pub dest: &'i UnescapedString<'a>,
    /// Where the instruction begins, with an `ONBUILD` before it.
    pub start: usize,
}

impl<'i, 'a> Copy<'i, 'a> {
    pub fn of(instruction: &'i Instruction<'a>, inside: bool) -> Option<Self> {
        match instruction {
            Instruction::Copy(copy) => Some(Self {
                keyword: copy.copy.span.clone(),
                is_add: false,
                options: &copy.options,
                src: &copy.src,
                dest: &copy.dest,
                start: copy.copy.span.start,
            }),
            Instruction::Add(add) => Some(Self {
                keyword: add.add.span.clone(),
                is_add: true,
                options: &add.options,
                src: &add.src,
                dest: &add.dest,
                start: add.add.span.start,
            }),
            Instruction::Onbuild(onbuild) if inside => {
                let inner = Self::of(&onbuild.instruction, false)?;
                Some(Self {
                    start: onbuild.onbuild.span.start,
                    ..inner
                })
            }
            _ => None,
        }
    }

    fn option(&self, name: &str) -> Option<&Flag<'a>> {
        self.options.iter().find(|flag| flag.name.value == name)
    }

    /// Whether the arguments are a JSON array.
    pub fn is_json(&self, text: &Text<'_>) -> bool {
        let before = text
            .body
            .as_bytes()
            .get(self.dest.span.start.wrapping_sub(1));
        let after = text.body.as_bytes().get(self.dest.span.end);
        before == Some(&b'"') && after == Some(&b'"')
    }

    /// The sources in the build context, cleaned, with their places in the text.
    pub fn sources(
        &self,
        text: &Text<'_>,
        scope: &Scope,
    ) -> Result<Vec<(String, Range<usize>)>, NotUnderstood> {
        let mut sources = Vec::new();
        if self.option("from").is_some() {
            return Ok(sources);
        }
        let is_json = self.is_json(text);
        for source in self.src {
            let Source::Path(source) = source else {
                continue;
            };
            let word = match source.value.as_bytes() {
                [quote @ (b'"' | b'\''), inner @ .., last]
                    if !is_json && quote == last && !inner.contains(quote) =>
                {
                    &source.value[1..source.value.len() - 1]
                }
                _ => &source.value,
            };
            if !is_json && word.contains(['"', '\'']) {
                return Err(text.refuse(
                    source.span.start,
                    format!("quotes inside of the source `{}`", source.value),
                    "write the source without quotes, or the arguments as a JSON array",
                ));
            }
            let word = fill_in(text, scope, word, source.span.start)?;
            if self.is_add && is_remote(&word) {
                continue;
            }
            let path = clean(&word).ok_or_else(|| climbs(text, source.span.start, &word))?;
            sources.push((path, source.span.clone()));
        }
        Ok(sources)
    }
}

/// What `ADD` fetches instead of reading it from the context.
fn is_remote(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    ["http://", "https://", "git://", "ssh://", "git@"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
}

/// Plans the edits that make the instruction copy from where the files now lie.
pub fn rewrite(
    text: &Text<'_>,
    copy: &Copy<'_, '_>,
    sources: &[(String, Range<usize>)],
    map: &PathMap,
    output: &mut Output,
) -> Result<(), NotUnderstood> {
    let mut landings = Vec::new();
    for (path, span) in sources {
        let written = text.body.get(span.clone()).unwrap_or_default();
        let mut landing = map
            .land(path, written.ends_with('/'))
            .map_err(|what| refuse_source(text, span.start, what))?;
        landing
            .here
            .sort_by_key(|name| (name.starts_with(".runpod/"), name.clone()));
        landings.push((span, landing));
    }
    if map.root.is_empty() || landings.is_empty() {
        return Ok(());
    }
    for flag in copy.options {
        if !["chown", "chmod", "link"].contains(&flag.name.value.as_ref()) {
            return Err(text.refuse(
                flag.flag_span().start,
                format!("`--{}` beside sources that move", flag.name.value),
                "copy the files without it, or from a stage",
            ));
        }
    }
    let line = text.line(copy.start);
    for (_, landing) in &landings {
        if !landing.left.is_empty() {
            output.notes.push(format!(
                "line {line}: the image no longer gets {}, which the worker does not take over",
                listed(&landing.left)
            ));
        }
    }
    Writer::new(text, copy).write(&landings, &mut output.edits)?;
    output.changes.push(Change {
        line,
        what: match sources {
            [(path, _)] if landings[0].1.folder || landings[0].1.pattern => {
                format!("what was `{path}` is copied by name")
            }
            _ => "the files are copied from where they now lie".to_owned(),
        },
    });
    Ok(())
}
