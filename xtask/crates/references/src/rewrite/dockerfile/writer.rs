//! A copy instruction, written anew.

use std::ops::Range;

use super::copy::Copy;
use crate::rewrite::landing::Landing;
use crate::rewrite::{NotUnderstood, Text, heredoc};

/// Lines of named sources are broken before they get longer than this.
const WIDTH: usize = 100;

/// Writes an instruction anew, with as little change as the files allow.
pub struct Writer<'t, 'i, 'a> {
    text: &'t Text<'t>,
    copy: &'i Copy<'i, 'a>,
    is_json: bool,
    newline: &'static str,
    escape: char,
    indent: String,
}

impl<'t, 'i, 'a> Writer<'t, 'i, 'a> {
    pub fn new(text: &'t Text<'t>, copy: &'i Copy<'i, 'a>) -> Self {
        let before = &text.body[..copy.start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            text,
            copy,
            is_json: copy.is_json(text),
            newline: text.newline(copy.start),
            escape: heredoc::escape(text.body),
            indent: before[line_start..].to_owned(),
        }
    }

    pub fn write(
        &self,
        landings: &[(&Range<usize>, Landing)],
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> Result<(), NotUnderstood> {
        let copy = self.copy;
        let first = landings.first().map_or(copy.start, |(span, _)| span.start);
        let needs_lines = landings
            .iter()
            .any(|(_, landing)| !landing.below.is_empty());
        let needs_json = !self.is_json
            && landings.iter().any(|(_, landing)| {
                let below = landing.below.iter();
                below
                    .flat_map(|(place, names)| names.iter().chain([place]))
                    .chain(&landing.here)
                    .any(|name| name.contains(char::is_whitespace))
            });
        let folder = landings.iter().any(|(_, landing)| landing.folder);
        let pattern = landings.iter().any(|(_, landing)| landing.pattern);
        let alone = landings.len() == copy.src.len();
        if !alone && (needs_lines || needs_json || (folder && copy.is_add)) {
            return Err(self.text.refuse(
                first,
                "files of the context beside a here-document or an address",
                "give the files of the context an instruction of their own",
            ));
        }
        if folder && copy.is_add && (pattern || landings.len() > 1) {
            return Err(self.text.refuse(
                first,
                "ADD with a folder beside files, which it would unpack",
                "give each source an instruction of its own",
            ));
        }
        let written = &self.text.body[copy.dest.span.clone()];
        let count: usize = landings.iter().map(|(_, landing)| landing.here.len()).sum();
        let is_folder = written.ends_with('/') || written == "." || written.ends_with("/.");
        if needs_lines && !folder && !is_folder {
            return Err(self.text.refuse(
                copy.dest.span.start,
                format!("`{written}` may be a file or a folder"),
                "end it with a slash if it is a folder",
            ));
        }
        // The destination of several files must end in a slash.
        let dest = if folder || count > 1 || needs_lines {
            self.folder(written)?
        } else {
            written.to_owned()
        };
        if needs_lines || needs_json {
            self.anew(landings, &dest, needs_json, edits)?;
            self.as_copy(folder, edits);
            return Ok(());
        }
        let mut column = self.text.place(first).1;
        for (span, landing) in landings {
            let words = self.wrap(&landing.here, &mut column);
            edits.push(((*span).clone(), words));
        }
        if dest != written {
            edits.push((copy.dest.span.clone(), dest));
        }
        self.as_copy(folder, edits);
        Ok(())
    }

    /// The instruction and the ones that follow it, written from scratch.
    fn anew(
        &self,
        landings: &[(&Range<usize>, Landing)],
        dest: &str,
        as_json: bool,
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> Result<(), NotUnderstood> {
        let copy = self.copy;
        let first = landings.first().map_or(copy.start, |(span, _)| span.start);
        let body = self.text.body;
        let rest = &body[copy.dest.span.end..];
        let mut end = copy.dest.span.end;
        if self.is_json {
            end += rest.find(']').map_or(0, |at| at + 1);
        }
        let tail = body[end..].lines().next().unwrap_or_default();
        if !tail.trim().is_empty() {
            return Err(self.text.refuse(
                end,
                "an instruction that goes on after its destination",
                "end the line with the destination",
            ));
        }
        let last = landings.last().map_or(first, |(span, _)| span.end);
        let between = &body[first..copy.dest.span.start.max(last)];
        if between.contains('#') {
            return Err(self.text.refuse(
                first,
                "a comment among the sources of a copy that must be split",
                "move the comment above the instruction",
            ));
        }
        let json = self.is_json || as_json;
        let start = first - usize::from(self.is_json);
        let mut head_end = start;
        if self.is_json {
            head_end = body[..start].rfind('[').unwrap_or(start);
        }
        let head = &body[copy.start..head_end];
        let mut here: Vec<String> = Vec::new();
        let mut below = Vec::new();
        for (_, landing) in landings {
            here.extend(landing.here.iter().cloned());
            below.extend(landing.below.iter());
        }
        let mut column = self.text.place(copy.start).1 + head.trim_end().chars().count() + 1;
        let mut lines = Vec::new();
        if !here.is_empty() {
            lines.push(self.line(&here, dest, json, &mut column));
        }
        for (place, names) in below {
            let mut column = column;
            lines.push(self.line(names, &format!("{dest}{place}"), json, &mut column));
        }
        let separator = format!("{}{}{head}", self.newline, self.indent);
        edits.push((head_end..end, lines.join(&separator)));
        Ok(())
    }

    /// `ADD` does not unpack archives inside of a folder, but it would unpack one named alone.
    fn as_copy(&self, folder: bool, edits: &mut Vec<(Range<usize>, String)>) {
        if folder && self.copy.is_add {
            edits.push((self.copy.keyword.clone(), "COPY".to_owned()));
        }
    }

    fn line(&self, names: &[String], dest: &str, json: bool, column: &mut usize) -> String {
        if json {
            let words: Vec<String> = names
                .iter()
                .map(String::as_str)
                .chain([dest])
                .map(quoted)
                .collect();
            return format!("[{}]", words.join(", "));
        }
        format!("{} {dest}", self.wrap(names, column))
    }

    /// The names in a row, broken where the line would get long.
    fn wrap(&self, names: &[String], column: &mut usize) -> String {
        let mut out = String::new();
        for (i, name) in names.iter().enumerate() {
            let width = name.chars().count();
            if i > 0 {
                let separator = if self.is_json { "\", \"" } else { " " };
                if !self.is_json && *column + width + 2 > WIDTH {
                    out.extend([
                        " ",
                        &self.escape.to_string(),
                        self.newline,
                        &self.indent,
                        "    ",
                    ]);
                    *column = self.indent.chars().count() + 5;
                } else {
                    out.push_str(separator);
                    *column += separator.len();
                }
            }
            if self.is_json {
                let name = quoted(name);
                out.push_str(&name[1..name.len() - 1]);
            } else {
                out.push_str(name);
            }
            *column += width;
        }
        out
    }

    /// The destination as a folder.
    fn folder(&self, dest: &str) -> Result<String, NotUnderstood> {
        if dest.ends_with('/') {
            return Ok(dest.to_owned());
        }
        if dest.ends_with(['"', '\'', '\\', '`']) || dest.contains(char::is_whitespace) {
            return Err(self.text.refuse(
                self.copy.dest.span.start,
                format!("the destination `{dest}`"),
                "write it without quotes and with a slash at the end",
            ));
        }
        Ok(format!("{dest}/"))
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
