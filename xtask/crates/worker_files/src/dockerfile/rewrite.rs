//! Which files the Dockerfile takes from the build context, and how to say so after the move.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::landing::Landing;
use super::{Instruction, Word, split, try_expand};
use crate::glob::{Glob, is_pattern};
use crate::rewrite::{NotUnderstood, Output, PathMap, Rewritten, Text, listed};
use xtask_core::tree::RepoPath;

/// Lines of named sources are broken before they get longer than this.
const WIDTH: usize = 100;

/// Something that the build takes from its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The path as the build cleans it, without outer slashes; empty for the whole context.
    pub path: String,
    pub line: usize,
}

impl Taken {
    /// Whether the build takes the whole context.
    pub fn is_everything(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether the build takes the file `path`: by its name, by a folder or by a pattern.
    pub fn covers(&self, path: &RepoPath) -> bool {
        if self.is_everything() || path.is_within(&self.path) {
            return true;
        }
        let text = String::from_utf8_lossy(path.as_bytes());
        let depth = self.path.split('/').count();
        let head: Vec<&str> = text.split('/').take(depth).collect();
        let matches = |glob: Glob| glob.matches(&head.join("/"));
        is_pattern(&self.path)
            && head.len() == depth
            && Glob::new(&self.path, false).is_some_and(matches)
    }
}

/// Every path that `COPY`, `ADD` and bind mounts take from the build context.
pub fn taken(dockerfile: &[u8]) -> Result<Vec<Taken>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut found = Vec::new();
    Walk::new(&text).each(|walk, instruction| {
        let sources = walk.copy(instruction)?.map(|copy| copy.sources);
        let mounts = walk.mounts(instruction)?.into_iter();
        let mounts = mounts.map(|mount| (mount.path, mount.flag));
        for (path, span) in sources.into_iter().flatten().chain(mounts) {
            let line = text.line(span.start);
            found.push(Taken { path, line });
        }
        Ok(())
    })?;
    Ok(found)
}

/// The names of the build arguments that a Dockerfile declares, in order.
pub fn arguments(dockerfile: &[u8]) -> Result<Vec<String>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut names: Vec<String> = Vec::new();
    Walk::new(&text).each(|_, instruction| {
        let assignments = instruction.assignments().into_iter();
        for (name, _) in assignments.filter(|_| instruction.keyword == "ARG") {
            if !names.contains(&name.text) {
                names.push(name.text);
            }
        }
        Ok(())
    })?;
    Ok(names)
}

/// The Dockerfile with every path of the build context where it lies in the result. The image gets
/// the same files at the same places as before, without those that do not come along: these are in
/// the notes.
pub fn rewrite(dockerfile: &[u8], map: &PathMap) -> Result<Rewritten, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut output = Output::default();
    Walk::new(&text).each(|walk, instruction| {
        if let Some(copy) = walk.copy(instruction)? {
            copy.rewrite(walk, map, &mut output)?;
        }
        for mount in walk.mounts(instruction)? {
            mount.rewrite(walk, map, &mut output)?;
        }
        let inner = instruction.line().to_ascii_uppercase();
        let copies = inner.starts_with("COPY") || inner.starts_with("ADD");
        let from_context = copies && !inner.contains("--FROM=") && !map.root.is_empty();
        if instruction.keyword == "ONBUILD" && from_context {
            let what = "ONBUILD copies from the context of another build";
            let help = "copy the files in the Dockerfile that builds on this image";
            return Err(text.refuse(instruction.range.start, what, help));
        }
        Ok(())
    })?;
    output.finish(&text)
}

/// A source that the context holds: its cleaned path, and where it is written.
type ContextSource = (String, Range<usize>);

/// A way through the instructions that knows the variables which each sees.
struct Walk<'t> {
    text: &'t Text<'t>,
    /// Arguments before the first FROM, which a stage sees once it declares them.
    global: BTreeMap<String, String>,
    /// Those whose values stand in the file.
    values: BTreeMap<String, String>,
    /// The names that ENV set, which ARG does not set again.
    env: BTreeSet<String>,
    in_stage: bool,
}

impl<'t> Walk<'t> {
    fn new(text: &'t Text<'t>) -> Self {
        Self {
            text,
            global: BTreeMap::new(),
            values: BTreeMap::new(),
            env: BTreeSet::new(),
            in_stage: false,
        }
    }

    fn each(
        mut self,
        mut see: impl FnMut(&Self, &Instruction) -> Result<(), NotUnderstood>,
    ) -> Result<(), NotUnderstood> {
        const HELP: &str =
            "fix the upstream's Dockerfile; `docker build --check` reads it the same way";
        for instruction in &split(self.text.body) {
            let start = instruction.range.start;
            let keyword = instruction.keyword.as_str();
            if !is_keyword(keyword) {
                let what = format!("unknown instruction `{keyword}`");
                return Err(self.text.refuse(start, what, HELP));
            }
            if instruction.documents.iter().any(|document| !document.ends) {
                let help = "end it with a line that holds nothing but its name";
                let what = "a here-document that never ends";
                return Err(self.text.refuse(start, what, help));
            }
            match keyword {
                "FROM" => {
                    let values = std::mem::take(&mut self.values);
                    if !self.in_stage {
                        self.global = values;
                    }
                    self.env.clear();
                    self.in_stage = true;
                }
                "ENV" | "ARG" => self.set(instruction),
                _ => {}
            }
            see(&self, instruction)?;
        }
        if !self.in_stage {
            return Err(self.text.refuse(0, "no base image: FROM is missing", HELP));
        }
        Ok(())
    }

    /// What ENV or ARG changes in the variables.
    fn set(&mut self, instruction: &Instruction) {
        let is_env = instruction.keyword == "ENV";
        let pairs = instruction.assignments().into_iter();
        // All values of a line see what was set before it.
        let expanded = pairs.map(|(name, value)| {
            let value = match value {
                // The old form of ENV keeps its quotes.
                Some(value) => self.expand(value.trim_matches(['"', '\''])),
                None => self.global.get(&name.text).cloned(),
            };
            (name.text, value)
        });
        for (name, value) in expanded.collect::<Vec<_>>() {
            if is_env {
                self.env.insert(name.clone());
            } else if self.env.contains(&name) {
                continue;
            }
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
    }

    /// The text with its variables filled in; `None` where one's value is not in the file.
    fn expand(&self, text: &str) -> Option<String> {
        try_expand(text, &self.values).filter(|text| !text.contains('$'))
    }

    /// A source as the build cleans it.
    fn source(&self, word: &str, at: usize) -> Result<String, NotUnderstood> {
        let Some(filled) = self.expand(word) else {
            let what = format!(
                "the source `{word}` depends on a variable whose value is not in the Dockerfile"
            );
            let help =
                "write the path itself, or give the variable a literal default in this stage";
            return Err(self.text.refuse(at, what, help));
        };
        let parts = filled.split('/').filter(|part| !matches!(*part, "" | "."));
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"..") {
            let what = format!("the source `{filled}` climbs with `..`");
            let help = "write the path from the root of the build context";
            return Err(self.text.refuse(at, what, help));
        }
        Ok(parts.join("/"))
    }

    fn land(&self, map: &PathMap, (path, span): &ContextSource) -> Result<Landing, NotUnderstood> {
        const HELP: &str = "take an upstream whose Dockerfile copies from its worker folder only, \
                            or fix its Dockerfile there";
        let folder_mark = self.text.body[span.clone()].ends_with('/');
        let landing = map.land(path, folder_mark);
        landing.map_err(|what| self.text.refuse(span.start, what, HELP))
    }

    /// What a `COPY` or `ADD` takes from the context.
    fn copy<'i>(&self, instruction: &'i Instruction) -> Result<Option<Copy<'i>>, NotUnderstood> {
        let keyword = instruction.keyword.as_str();
        let (options, at) = instruction.options();
        let from_elsewhere = options
            .iter()
            .any(|option| option.text.starts_with("--from="));
        if !matches!(keyword, "COPY" | "ADD") || from_elsewhere {
            return Ok(None);
        }
        let mut all = instruction.words(at);
        let Some(dest) = all.pop().filter(|_| !all.is_empty()) else {
            let what = format!("{keyword} needs at least two arguments");
            let help = "name what is copied and where to";
            return Err(self.text.refuse(instruction.range.start, what, help));
        };
        let is_add = keyword == "ADD";
        let is_json = instruction.json(at).is_some();
        let count = all.len();
        let mut sources = Vec::new();
        for word in all {
            let digits = word.text.trim_start_matches(|c: char| c.is_ascii_digit());
            if !is_json && digits.starts_with("<<") || is_add && is_remote(&word.text) {
                continue;
            }
            let written = &self.text.body[word.range.clone()];
            if !is_json && written.contains(char::from(instruction.escape)) {
                let what = format!("escapes or a line end inside of the source `{written}`");
                let help = "write the source plainly on one line, or the arguments as a JSON array";
                return Err(self.text.refuse(word.range.start, what, help));
            }
            let path = self.source(&word.text, word.range.start)?;
            if !(is_add && is_remote(&path)) {
                sources.push((path, word.range));
            }
        }
        Ok(Some(Copy {
            instruction,
            options,
            is_add,
            is_json,
            alone: count == sources.len(),
            sources,
            dest,
        }))
    }

    /// The bind mounts of a step from the build context.
    fn mounts(&self, instruction: &Instruction) -> Result<Vec<Mount>, NotUnderstood> {
        let mut found = Vec::new();
        let options = instruction.options().0.into_iter();
        for option in options.filter(|_| instruction.keyword == "RUN") {
            let written = &self.text.body[option.range.clone()];
            let Some(value) = option.text.strip_prefix("--mount=") else {
                continue;
            };
            let mut mount = Mount {
                flag: option.range.clone(),
                path: String::new(),
                source: None,
                target: None,
                writable: false,
                escape: instruction.escape,
            };
            let mut is_bind = true;
            let mut at = option.range.start + "--mount=".len();
            for field in value.split(',') {
                let (key, inner) = field.split_once('=').unwrap_or((field, ""));
                let span = (key.len() < field.len()).then(|| at + key.len() + 1..at + field.len());
                match key.to_ascii_lowercase().as_str() {
                    "type" => is_bind = inner == "bind",
                    "from" => is_bind = false,
                    "source" | "src" => mount.source = span,
                    "target" | "dst" | "destination" => mount.target = span,
                    "rw" | "readwrite" => mount.writable = inner != "false",
                    _ => {}
                }
                at += field.len() + 1;
            }
            if !is_bind {
                continue;
            }
            // Fields are found by their length, so each byte must stand for itself.
            if written != option.text {
                let what = "a mount with quotes or over several lines";
                let help = "write the mount in one piece without quotes";
                return Err(self.text.refuse(mount.flag.start, what, help));
            }
            if let Some(span) = &mount.source {
                mount.path = self.source(&self.text.body[span.clone()], span.start)?;
            }
            found.push(mount);
        }
        Ok(found)
    }
}

fn is_keyword(word: &str) -> bool {
    const KEYWORDS: &str = "FROM ARG ENV LABEL WORKDIR USER STOPSIGNAL EXPOSE VOLUME HEALTHCHECK \
                            COPY ADD RUN SHELL CMD ENTRYPOINT ONBUILD MAINTAINER";
    crate::is_one_of(KEYWORDS, word)
}

/// What `ADD` fetches instead of reading it from the context.
fn is_remote(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    ["http://", "https://", "git://", "ssh://", "git@"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
}

/// `COPY` or `ADD` with what it takes from the context.
struct Copy<'i> {
    instruction: &'i Instruction,
    options: Vec<Word>,
    is_add: bool,
    is_json: bool,
    /// Whether it takes nothing else.
    alone: bool,
    sources: Vec<ContextSource>,
    dest: Word,
}

impl Copy<'_> {
    fn rewrite(
        &self,
        walk: &Walk<'_>,
        map: &PathMap,
        output: &mut Output,
    ) -> Result<(), NotUnderstood> {
        let landings = self.sources.iter().map(|source| walk.land(map, source));
        let landings = landings.collect::<Result<Vec<Landing>, _>>()?;
        if map.root.is_empty() || landings.is_empty() {
            return Ok(());
        }
        for option in &self.options {
            let name = option.text.split('=').next().unwrap_or_default();
            if !["--chown", "--chmod", "--link"].contains(&name) {
                let what = format!("`{name}` beside sources that move");
                let help = "copy the files without it, or from a stage";
                return Err(walk.text.refuse(option.range.start, what, help));
            }
        }
        let line = walk.text.line(self.instruction.range.start);
        let left = landings.iter().map(|landing| &landing.left);
        for left in left.filter(|left| !left.is_empty()) {
            let files = listed(left);
            output.notes.push(format!(
                "line {line}: the image no longer gets {files}, which the worker does not take over"
            ));
        }
        self.write(walk, &landings, &mut output.edits)?;
        let what = match self.sources.as_slice() {
            [(path, _)] if landings[0].folder || landings[0].pattern => {
                format!("what was `{path}` is copied by name")
            }
            _ => "the files are copied from where they now lie".to_owned(),
        };
        output.change(line, what);
        Ok(())
    }

    /// Writes the instruction with as little change as the files allow: its words, or where files
    /// land in several folders, an instruction for each.
    fn write(
        &self,
        walk: &Walk<'_>,
        landings: &[Landing],
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> Result<(), NotUnderstood> {
        let text = walk.text;
        let refuse = |at: usize, what: &str, help: &str| Err(text.refuse(at, what, help));
        let first = self.sources[0].1.start;
        let folder = landings.iter().any(|landing| landing.folder);
        let pattern = landings.iter().any(|landing| landing.pattern);
        let here: Vec<&String> = landings.iter().flat_map(|landing| &landing.here).collect();
        let below: Vec<_> = landings.iter().flat_map(|landing| &landing.below).collect();
        let nested = below
            .iter()
            .flat_map(|(place, names)| names.iter().chain([*place]));
        let mut names = here.iter().copied().chain(nested);
        let needs_json = !self.is_json && names.any(|name| name.contains(char::is_whitespace));
        if !self.alone && (!below.is_empty() || needs_json || folder && self.is_add) {
            let what = "files of the context beside a here-document or an address";
            return refuse(
                first,
                what,
                "give the files of the context an instruction of their own",
            );
        }
        if folder && self.is_add {
            if pattern || landings.len() > 1 {
                let what = "ADD with a folder beside files, which it would unpack";
                return refuse(first, what, "give each source an instruction of its own");
            }
            // ADD does not unpack archives inside of a folder, but it would unpack one named alone.
            let start = self.instruction.range.start;
            edits.push((start..start + "ADD".len(), "COPY".to_owned()));
        }
        let written = &text.body[self.dest.range.clone()];
        let is_folder = written.ends_with('/') || written == "." || written.ends_with("/.");
        if !below.is_empty() && !folder && !is_folder {
            let what = format!("`{written}` may be a file or a folder");
            let help = "end it with a slash if it is a folder";
            return refuse(self.dest.range.start, &what, help);
        }
        let mut dest = written.to_owned();
        // The destination of several files must end in a slash.
        if (folder || here.len() > 1 || !below.is_empty()) && !written.ends_with('/') {
            let plain = |c: char| !c.is_whitespace() && !"\"'\\`".contains(c);
            if !written.chars().all(plain) {
                let what = format!("the destination `{written}`");
                let help = "write it without quotes and with a slash at the end";
                return refuse(self.dest.range.start, &what, help);
            }
            dest.push('/');
        }
        if !below.is_empty() || needs_json {
            let mut copies: Vec<(Vec<&String>, String)> = Vec::new();
            if !here.is_empty() {
                copies.push((here, dest.clone()));
            }
            let below = below.iter();
            copies.extend(
                below.map(|(place, names)| (names.iter().collect(), format!("{dest}{place}"))),
            );
            edits.push(self.anew(walk, &copies, needs_json)?);
            return Ok(());
        }
        let mut column = text.place(first).1;
        for ((_, span), landing) in self.sources.iter().zip(landings) {
            let here: Vec<&String> = landing.here.iter().collect();
            edits.push((span.clone(), self.row(walk, &here, &mut column)));
        }
        if dest != written {
            edits.push((self.dest.range.clone(), dest));
        }
        Ok(())
    }

    /// The sources and the destination written from scratch, an instruction for each destination.
    fn anew(
        &self,
        walk: &Walk<'_>,
        copies: &[(Vec<&String>, String)],
        needs_json: bool,
    ) -> Result<(Range<usize>, String), NotUnderstood> {
        let text = walk.text;
        let body = text.body;
        let (start, mut first) = (self.instruction.range.start, self.sources[0].1.start);
        let mut end = self.dest.range.end;
        if body[first..end].contains('#') {
            let what = "a comment among the sources of a copy that must be split";
            return Err(text.refuse(first, what, "move the comment above the instruction"));
        }
        if self.is_json {
            first = body[..first].rfind('[').unwrap_or(first);
            end += body[end..].find(']').map_or(0, |at| at + 1);
        }
        if !body[end..self.instruction.range.end].trim().is_empty() {
            let what = "an instruction that goes on after its destination";
            return Err(text.refuse(end, what, "end the line with the destination"));
        }
        let line = |(names, dest): &(Vec<&String>, String)| {
            if self.is_json || needs_json {
                let words = names
                    .iter()
                    .map(|name| name.as_str())
                    .chain([dest.as_str()]);
                let words: Vec<String> = words.map(quoted).collect();
                return format!("[{}]", words.join(", "));
            }
            let mut column = text.place(first).1;
            format!("{} {dest}", self.row(walk, names, &mut column))
        };
        let lines: Vec<String> = copies.iter().map(line).collect();
        let (newline, indent) = (text.newline(start), text.indent(start));
        let separator = format!("{newline}{indent}{}", &body[start..first]);
        Ok((first..end, lines.join(&separator)))
    }

    /// The names in a row, broken where the line would get long.
    fn row(&self, walk: &Walk<'_>, names: &[&String], column: &mut usize) -> String {
        if self.is_json {
            let names: Vec<String> = names.iter().map(|name| quoted(name)).collect();
            return names.join(", ").trim_matches('"').to_owned();
        }
        let start = self.instruction.range.start;
        let indent = walk.text.indent(start);
        let mut out = String::new();
        for name in names {
            let width = name.chars().count();
            if out.is_empty() {
            } else if *column + width + 2 > WIDTH {
                let escape = char::from(self.instruction.escape);
                let newline = walk.text.newline(start);
                out += &format!(" {escape}{newline}{indent}    ");
                *column = indent.chars().count() + 5;
            } else {
                out.push(' ');
                *column += 1;
            }
            out.push_str(name);
            *column += width;
        }
        out
    }
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A bind mount from the build context.
struct Mount {
    /// The whole `--mount=…`.
    flag: Range<usize>,
    /// What it mounts, cleaned.
    path: String,
    /// Where the source's path stands, if it does.
    source: Option<Range<usize>>,
    target: Option<Range<usize>>,
    writable: bool,
    /// What continues a line.
    escape: u8,
}

impl Mount {
    /// Plans the edits that make the mount take the files from where they now lie.
    fn rewrite(
        &self,
        walk: &Walk<'_>,
        map: &PathMap,
        output: &mut Output,
    ) -> Result<(), NotUnderstood> {
        let text = walk.text;
        if map.root.is_empty() {
            return Ok(());
        }
        let refuse = |what: &str, help: &str| Err(text.refuse(self.flag.start, what, help));
        if is_pattern(&self.path) {
            let what = "a pattern as the source of a mount";
            return refuse(what, "name the file or the folder");
        }
        let (Some(source), Some(target)) = (&self.source, &self.target) else {
            return refuse("a mount without a source or a target", "give it both");
        };
        let landing = walk.land(map, &(self.path.clone(), source.clone()))?;
        let line = text.line(self.flag.start);
        if !landing.left.is_empty() {
            let files = listed(&landing.left);
            output.notes.push(format!(
                "line {line}: the step no longer sees {files}, which the worker does not take over"
            ));
        }
        output.change(line, "the mount takes the files from where they now lie");
        if let ([only], false) = (landing.here.as_slice(), landing.folder) {
            output.edits.push((source.clone(), only.clone()));
            return Ok(());
        }
        if self.writable {
            let what = "a folder mounted for writing, whose files no longer lie together";
            return refuse(what, "mount single files, or mount for reading");
        }
        let here = landing.here.iter().map(|name| ("", name));
        let below = landing.below.iter();
        let below =
            below.flat_map(|(place, names)| names.iter().map(|name| (place.as_str(), name)));
        let mut all = Vec::new();
        for (place, name) in here.chain(below) {
            let mut place = place.trim_end_matches('/').to_owned();
            if !name.ends_with('/')
                && (place.is_empty() || landing.below.contains_key(&format!("{place}/")))
            {
                let base = name.rsplit('/').next().unwrap_or(name);
                place = format!("{place}/{base}");
            }
            let folder = text.body[target.clone()].trim_end_matches('/');
            let place = format!("{folder}/{}", place.trim_start_matches('/'));
            let mut parts = [
                (source, name.trim_end_matches('/').to_owned()),
                (target, place),
            ];
            parts.sort_by_key(|(span, _)| std::cmp::Reverse(span.start));
            let mut flag = text.body[self.flag.clone()].to_owned();
            for (span, value) in parts {
                let base = self.flag.start;
                flag.replace_range(span.start - base..span.end - base, &value);
            }
            if flag.contains(char::is_whitespace) {
                let what = format!("`{name}` has a space in it");
                return refuse(&what, "give the file another name in the upstream");
            }
            all.push(flag);
        }
        let (escape, newline) = (char::from(self.escape), text.newline(self.flag.start));
        let separator = format!(" {escape}{newline}    ");
        output.edits.push((self.flag.clone(), all.join(&separator)));
        Ok(())
    }
}

#[cfg(test)]
#[path = "places.rs"]
mod places;
#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
