//! Which files the Dockerfile takes from the build context, and how to say so after the move.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::landing::Landing;
use super::{Instruction, Split, Word, split, try_expand, words};
use crate::glob::{Glob, is_pattern};
use crate::rewrite::{Change, NotUnderstood, PathMap, Rewritten, Text, listed};
use xtask_core::tree::RepoPath;

/// Lines of named sources are broken before they get longer than this.
const WIDTH: usize = 100;

const KEYWORDS: &str = "FROM ARG ENV LABEL WORKDIR USER STOPSIGNAL EXPOSE VOLUME HEALTHCHECK COPY \
                        ADD RUN SHELL CMD ENTRYPOINT ONBUILD MAINTAINER";

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
        if !is_pattern(&self.path) {
            return false;
        }
        let text = String::from_utf8_lossy(path.as_bytes());
        let depth = self.path.split('/').count();
        let head: Vec<&str> = text.split('/').take(depth).collect();
        head.len() == depth
            && Glob::new(&self.path, false).is_some_and(|glob| glob.matches(&head.join("/")))
    }
}

/// Every path that `COPY`, `ADD` and bind mounts take from the build context.
pub fn taken(dockerfile: &[u8]) -> Result<Vec<Taken>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut found = Vec::new();
    Walk::new(&text).each(|walk, instruction| {
        let copy = walk.copy(instruction)?;
        let sources = copy.into_iter().flat_map(|copy| copy.sources);
        let mounts = walk.mounts(instruction)?;
        let mounts = mounts.into_iter().map(|mount| (mount.path, mount.flag));
        for (path, span) in sources.chain(mounts) {
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
    let mut names = Vec::new();
    Walk::new(&text).each(|walk, instruction| {
        for word in walk
            .words(instruction, 0)
            .iter()
            .filter(|_| instruction.keyword == "ARG")
        {
            let name = word.text.split('=').next().unwrap_or_default().to_owned();
            if !names.contains(&name) {
                names.push(name);
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
            return Err(text.refuse(
                instruction.range.start,
                "ONBUILD copies from the context of another build",
                "copy the files in the Dockerfile that builds on this image",
            ));
        }
        Ok(())
    })?;
    Ok(Rewritten {
        bytes: text.edited(output.edits)?,
        changes: output.changes,
        notes: output.notes,
    })
}

/// What a rewrite gathers on its way.
#[derive(Default)]
struct Output {
    edits: Vec<(Range<usize>, String)>,
    changes: Vec<Change>,
    notes: Vec<String>,
}

/// A source that the context holds: its cleaned path, and where it is written.
type ContextSource = (String, Range<usize>);

/// A way through the instructions that knows the variables which each sees.
struct Walk<'t> {
    text: &'t Text<'t>,
    escape: u8,
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
            escape: b'\\',
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
        let Split {
            instructions,
            escape,
        } = split(self.text.body);
        self.escape = escape;
        for instruction in &instructions {
            let start = instruction.range.start;
            let keyword = &instruction.keyword;
            if !KEYWORDS.split(' ').any(|known| known == keyword) {
                let what = format!("unknown instruction `{keyword}`");
                return Err(self.text.refuse(start, what, HELP));
            }
            if instruction.documents.iter().any(|document| !document.ends) {
                let help = "end it with a line that holds nothing but its name";
                return Err(self
                    .text
                    .refuse(start, "a here-document that never ends", help));
            }
            self.set(instruction);
            see(&self, instruction)?;
        }
        if !self.in_stage {
            return Err(self.text.refuse(0, "no base image: FROM is missing", HELP));
        }
        Ok(())
    }

    /// What an instruction changes in the variables.
    fn set(&mut self, instruction: &Instruction) {
        if instruction.keyword == "FROM" {
            if !self.in_stage {
                self.global = std::mem::take(&mut self.values);
            }
            self.values.clear();
            self.env.clear();
            self.in_stage = true;
        }
        let is_env = instruction.keyword == "ENV";
        if !is_env && instruction.keyword != "ARG" {
            return;
        }
        let found = self.words(instruction, 0);
        let mut pairs: Vec<(String, Option<String>)> = Vec::new();
        match found.as_slice() {
            // `ENV NAME value`
            [first, rest @ ..] if is_env && !first.text.contains('=') => {
                let rest: Vec<&str> = rest.iter().map(|word| word.text.as_str()).collect();
                pairs.push((first.text.clone(), Some(rest.join(" "))));
            }
            all => pairs.extend(all.iter().map(|word| match word.text.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (word.text.clone(), None),
            })),
        }
        // All values of a line see what was set before it.
        for (name, value) in &mut pairs {
            *value = match value {
                Some(value) => self.expand(value),
                None => self.global.get(name).cloned(),
            };
        }
        for (name, value) in pairs {
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

    /// The words from `at` on, with their places in the file.
    fn words(&self, instruction: &Instruction, at: usize) -> Vec<Word> {
        let text = &instruction.text[at..instruction.line_end];
        let base = instruction.start + at;
        let strings = instruction
            .json(at)
            .map(|strings| (strings, quoted_spans(text)));
        let mut found = match strings {
            Some((strings, spans)) => std::iter::zip(strings, spans)
                .map(|(text, range)| Word { text, range })
                .collect(),
            None => words(text, self.escape),
        };
        for word in &mut found {
            word.range = word.range.start + base..word.range.end + base;
        }
        found
    }

    /// Options in front of the arguments, with their places in the file, and where the rest begins.
    fn options(&self, instruction: &Instruction) -> (Vec<Word>, usize) {
        let (mut options, at) = instruction.options(self.escape);
        for option in &mut options {
            let base = instruction.start;
            option.range = option.range.start + base..option.range.end + base;
        }
        (options, at)
    }

    /// A source as the build cleans it.
    fn source(&self, word: &str, at: usize) -> Result<String, NotUnderstood> {
        let filled = self.expand(word).ok_or_else(|| {
            self.text.refuse(
                at,
                format!(
                    "the source `{word}` depends on a variable whose value is not in the Dockerfile"
                ),
                "write the path itself, or give the variable a literal default in this stage",
            )
        })?;
        let parts = filled.split('/').filter(|part| !matches!(*part, "" | "."));
        let parts: Vec<&str> = parts.collect();
        if parts.contains(&"..") {
            return Err(self.text.refuse(
                at,
                format!("the source `{filled}` climbs with `..`"),
                "write the path from the root of the build context",
            ));
        }
        Ok(parts.join("/"))
    }

    fn land(&self, map: &PathMap, (path, span): &ContextSource) -> Result<Landing, NotUnderstood> {
        let folder_mark = self.text.body[span.clone()].ends_with('/');
        map.land(path, folder_mark).map_err(|what| {
            self.text.refuse(
                span.start,
                what,
                "take an upstream whose Dockerfile copies from its worker folder only, or fix its \
                 Dockerfile there",
            )
        })
    }

    /// What a `COPY` or `ADD` takes from the context.
    fn copy<'i>(&self, instruction: &'i Instruction) -> Result<Option<Copy<'i>>, NotUnderstood> {
        if !matches!(instruction.keyword.as_str(), "COPY" | "ADD") {
            return Ok(None);
        }
        let (options, at) = self.options(instruction);
        if options
            .iter()
            .any(|option| option.text.starts_with("--from="))
        {
            return Ok(None);
        }
        let mut all = self.words(instruction, at);
        let dest = all.pop().filter(|_| !all.is_empty()).ok_or_else(|| {
            let what = format!("{} needs at least two arguments", instruction.keyword);
            let help = "name what is copied and where to";
            self.text.refuse(instruction.range.start, what, help)
        })?;
        let is_add = instruction.keyword == "ADD";
        let is_json = instruction.json(at).is_some();
        let count = all.len();
        let mut sources = Vec::new();
        for word in all {
            let digits = word.text.trim_start_matches(|c: char| c.is_ascii_digit());
            if !is_json && digits.starts_with("<<") || is_add && is_remote(&word.text) {
                continue;
            }
            let written = &self.text.body[word.range.clone()];
            if !is_json && written.contains(char::from(self.escape)) {
                return Err(self.text.refuse(
                    word.range.start,
                    format!("escapes or a line end inside of the source `{written}`"),
                    "write the source plainly on one line, or the arguments as a JSON array",
                ));
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
        if instruction.keyword != "RUN" {
            return Ok(found);
        }
        for option in self.options(instruction).0 {
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
                return Err(self.text.refuse(
                    mount.flag.start,
                    "a mount with quotes or over several lines",
                    "write the mount in one piece without quotes",
                ));
            }
            if let Some(span) = &mount.source {
                mount.path = self.source(&self.text.body[span.clone()], span.start)?;
            }
            found.push(mount);
        }
        Ok(found)
    }
}

/// Where the strings of a JSON array stand, without their quotes.
fn quoted_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut open = None;
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match (byte, open) {
            (b'"', None) => open = Some(at + 1),
            (b'"', Some(start)) => {
                spans.push(start..at);
                open = None;
            }
            (b'\\', Some(_)) => {
                bytes.next();
            }
            _ => {}
        }
    }
    spans
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
        let mut landings = Vec::new();
        for source in &self.sources {
            landings.push(walk.land(map, source)?);
        }
        if map.root.is_empty() || landings.is_empty() {
            return Ok(());
        }
        for option in &self.options {
            let name = option.text.split('=').next().unwrap_or_default();
            if !["--chown", "--chmod", "--link"].contains(&name) {
                return Err(walk.text.refuse(
                    option.range.start,
                    format!("`{name}` beside sources that move"),
                    "copy the files without it, or from a stage",
                ));
            }
        }
        let line = walk.text.line(self.instruction.range.start);
        for left in landings.iter().map(|landing| &landing.left) {
            if !left.is_empty() {
                output.notes.push(format!(
                    "line {line}: the image no longer gets {}, which the worker does not take over",
                    listed(left)
                ));
            }
        }
        self.write(walk, &landings, &mut output.edits)?;
        let what = match self.sources.as_slice() {
            [(path, _)] if landings[0].folder || landings[0].pattern => {
                format!("what was `{path}` is copied by name")
            }
            _ => "the files are copied from where they now lie".to_owned(),
        };
        output.changes.push(Change { line, what });
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
        let first = self.sources[0].1.start;
        let folder = landings.iter().any(|landing| landing.folder);
        let pattern = landings.iter().any(|landing| landing.pattern);
        let here: Vec<&String> = landings.iter().flat_map(|landing| &landing.here).collect();
        let below: Vec<_> = landings.iter().flat_map(|landing| &landing.below).collect();
        let has_space = |name: &&String| name.contains(char::is_whitespace);
        let nested = below
            .iter()
            .flat_map(|(place, names)| names.iter().chain([*place]));
        let needs_json = !self.is_json
            && here
                .iter()
                .copied()
                .chain(nested)
                .any(|name| has_space(&name));
        if !self.alone && (!below.is_empty() || needs_json || folder && self.is_add) {
            return Err(text.refuse(
                first,
                "files of the context beside a here-document or an address",
                "give the files of the context an instruction of their own",
            ));
        }
        if folder && self.is_add {
            if pattern || landings.len() > 1 {
                return Err(text.refuse(
                    first,
                    "ADD with a folder beside files, which it would unpack",
                    "give each source an instruction of its own",
                ));
            }
            // ADD does not unpack archives inside of a folder, but it would unpack one named alone.
            let start = self.instruction.range.start;
            edits.push((start..start + "ADD".len(), "COPY".to_owned()));
        }
        let written = &text.body[self.dest.range.clone()];
        let is_folder = written.ends_with('/') || written == "." || written.ends_with("/.");
        if !below.is_empty() && !folder && !is_folder {
            return Err(text.refuse(
                self.dest.range.start,
                format!("`{written}` may be a file or a folder"),
                "end it with a slash if it is a folder",
            ));
        }
        let mut dest = written.to_owned();
        // The destination of several files must end in a slash.
        if (folder || here.len() > 1 || !below.is_empty()) && !written.ends_with('/') {
            let plain = |c: char| !c.is_whitespace() && !"\"'\\`".contains(c);
            if !written.chars().all(plain) {
                return Err(text.refuse(
                    self.dest.range.start,
                    format!("the destination `{written}`"),
                    "write it without quotes and with a slash at the end",
                ));
            }
            dest.push('/');
        }
        if !below.is_empty() || needs_json {
            return self.anew(walk, &here, &below, &dest, needs_json, edits);
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

    /// The sources and the destination written from scratch, and more instructions behind them.
    fn anew(
        &self,
        walk: &Walk<'_>,
        here: &[&String],
        below: &[(&String, &Vec<String>)],
        dest: &str,
        needs_json: bool,
        edits: &mut Vec<(Range<usize>, String)>,
    ) -> Result<(), NotUnderstood> {
        let text = walk.text;
        let body = text.body;
        let (start, mut first) = (self.instruction.range.start, self.sources[0].1.start);
        let mut end = self.dest.range.end;
        if body[first..end].contains('#') {
            return Err(text.refuse(
                first,
                "a comment among the sources of a copy that must be split",
                "move the comment above the instruction",
            ));
        }
        if self.is_json {
            first = body[..first].rfind('[').unwrap_or(first);
            end += body[end..].find(']').map_or(0, |at| at + 1);
        }
        if !body[end..self.instruction.range.end].trim().is_empty() {
            return Err(text.refuse(
                end,
                "an instruction that goes on after its destination",
                "end the line with the destination",
            ));
        }
        let line = |names: &[&String], dest: &str| {
            if self.is_json || needs_json {
                let names = names.iter().map(|name| name.as_str());
                let words: Vec<String> = names.chain([dest]).map(quoted).collect();
                return format!("[{}]", words.join(", "));
            }
            let mut column = text.place(first).1;
            format!("{} {dest}", self.row(walk, names, &mut column))
        };
        let mut lines = Vec::new();
        if !here.is_empty() {
            lines.push(line(here, dest));
        }
        for (place, names) in below {
            let names: Vec<&String> = names.iter().collect();
            lines.push(line(&names, &format!("{dest}{place}")));
        }
        let (newline, indent) = (text.newline(start), text.indent(start));
        let separator = format!("{newline}{indent}{}", &body[start..first]);
        edits.push((first..end, lines.join(&separator)));
        Ok(())
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
                let (escape, newline) = (char::from(walk.escape), walk.text.newline(start));
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
            return refuse(
                "a pattern as the source of a mount",
                "name the file or the folder",
            );
        }
        let (Some(source), Some(target)) = (&self.source, &self.target) else {
            return refuse("a mount without a source or a target", "give it both");
        };
        let landing = walk.land(map, &(self.path.clone(), source.clone()))?;
        let line = text.line(self.flag.start);
        if !landing.left.is_empty() {
            output.notes.push(format!(
                "line {line}: the step no longer sees {}, which the worker does not take over",
                listed(&landing.left)
            ));
        }
        output.changes.push(Change {
            line,
            what: "the mount takes the files from where they now lie".to_owned(),
        });
        if let ([only], false) = (landing.here.as_slice(), landing.folder) {
            output.edits.push((source.clone(), only.clone()));
            return Ok(());
        }
        if self.writable {
            return refuse(
                "a folder mounted for writing, whose files no longer lie together",
                "mount single files, or mount for reading",
            );
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
            let mut parts = [
                (source, name.trim_end_matches('/').to_owned()),
                (
                    target,
                    format!("{folder}/{}", place.trim_start_matches('/')),
                ),
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
        let (escape, newline) = (char::from(walk.escape), text.newline(self.flag.start));
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
