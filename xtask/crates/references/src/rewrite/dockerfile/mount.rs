//! `RUN --mount=type=bind`: what it takes from the context, and where that lies after the move.

use std::ops::Range;

use parse_dockerfile::RunInstruction;

use super::{Output, climbs, fill_in, refuse_source};
use crate::rewrite::landing::clean;
use crate::rewrite::scope::Scope;
use crate::rewrite::{Change, NotUnderstood, PathMap, Text, heredoc, listed};
use worker_files::glob::is_pattern;

/// A bind mount from the build context.
pub struct Mount {
    /// The whole `--mount=…`.
    pub flag: Range<usize>,
    /// What it mounts, cleaned.
    pub path: String,
    /// Where the source's path stands, if it does.
    source: Option<Range<usize>>,
    target: Option<Range<usize>>,
    writable: bool,
}

/// The bind mounts of a step from the build context.
pub fn mounts(
    text: &Text<'_>,
    run: &RunInstruction<'_>,
    scope: &Scope,
) -> Result<Vec<Mount>, NotUnderstood> {
    let mut found = Vec::new();
    for flag in run.options.iter().filter(|flag| flag.name.value == "mount") {
        let Some(value) = &flag.value else { continue };
        let mut mount = Mount {
            flag: flag.span(),
            path: String::new(),
            source: None,
            target: None,
            writable: false,
        };
        let mut is_bind = true;
        let mut offset = value.span.start;
        let written = text.body.get(value.span.clone()).unwrap_or_default();
        for field in written.split(',') {
            let (key, inner) = field.split_once('=').unwrap_or((field, ""));
            let span = field
                .contains('=')
                .then(|| offset + key.len() + 1..offset + field.len());
            match key.to_ascii_lowercase().as_str() {
                "type" => is_bind = inner == "bind",
                "from" => is_bind = false,
                "source" | "src" => mount.source = span,
                "target" | "dst" | "destination" => mount.target = span,
                "rw" | "readwrite" => mount.writable = inner != "false",
                _ => {}
            }
            offset += field.len() + 1;
        }
        if !is_bind {
            continue;
        }
        if written != value.value || written.contains(['"', '\\']) {
            return Err(text.refuse(
                value.span.start,
                "a mount with quotes or over several lines",
                "write the mount in one piece without quotes",
            ));
        }
        if let Some(span) = &mount.source {
            let word = fill_in(text, scope, &text.body[span.clone()], span.start)?;
            mount.path = clean(&word).ok_or_else(|| climbs(text, span.start, &word))?;
        }
        found.push(mount);
    }
    Ok(found)
}

/// Plans the edits that make the mount take the files from where they now lie.
pub fn rewrite(
    text: &Text<'_>,
    mount: &Mount,
    map: &PathMap,
    output: &mut Output,
) -> Result<(), NotUnderstood> {
    if map.root.is_empty() {
        return Ok(());
    }
    let at = mount.source.clone().unwrap_or(mount.flag.clone());
    let written = &text.body[at.clone()];
    if is_pattern(&mount.path) {
        return Err(text.refuse(
            at.start,
            "a pattern as the source of a mount",
            "name the file or the folder",
        ));
    }
    let landing = map
        .land(&mount.path, written.ends_with('/'))
        .map_err(|what| refuse_source(text, at.start, what))?;
    let line = text.line(mount.flag.start);
    let (Some(source), Some(target)) = (&mount.source, &mount.target) else {
        return Err(text.refuse(
            mount.flag.start,
            "a mount without a source or a target",
            "give it both",
        ));
    };
    if !landing.left.is_empty() {
        output.notes.push(format!(
            "line {line}: the step no longer sees {}, which the worker does not take over",
            listed(&landing.left)
        ));
    }
    if let ([only], false) = (landing.here.as_slice(), landing.folder) {
        output.edits.push((source.clone(), only.clone()));
    } else {
        if mount.writable {
            return Err(text.refuse(
                mount.flag.start,
                "a folder mounted for writing, whose files no longer lie together",
                "mount single files, or mount for reading",
            ));
        }
        let target_folder = text.body[target.clone()].trim_end_matches('/');
        let mut all = Vec::new();
        let here = landing.here.iter().map(|name| (String::new(), name));
        let below = landing
            .below
            .iter()
            .flat_map(|(place, names)| names.iter().map(move |name| (place.clone(), name)));
        for (place, name) in here.chain(below) {
            let place = if place.is_empty() || (place.ends_with('/') && !name.ends_with('/')) {
                let base = name.rsplit('/').next().unwrap_or(name);
                format!("{place}{base}")
            } else {
                place.trim_end_matches('/').to_owned()
            };
            let mut flag = text.body[mount.flag.clone()].to_owned();
            let mut parts = [
                (source.clone(), name.trim_end_matches('/').to_owned()),
                (target.clone(), format!("{target_folder}/{place}")),
            ];
            parts.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
            for (span, value) in parts {
                let base = mount.flag.start;
                flag.replace_range(span.start - base..span.end - base, &value);
            }
            if flag.contains(char::is_whitespace) {
                return Err(refuse_source(
                    text,
                    at.start,
                    format!("`{name}` has a space in it"),
                ));
            }
            all.push(flag);
        }
        let separator = format!(
            " {}{}    ",
            heredoc::escape(text.body),
            text.newline(mount.flag.start)
        );
        output
            .edits
            .push((mount.flag.clone(), all.join(&separator)));
    }
    output.changes.push(Change {
        line,
        what: "the mount takes the files from where they now lie".to_owned(),
    });
    Ok(())
}
