//! Which files the Dockerfile takes from the build context, and how to say so after the move.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::expand::Values;
use super::landing::Landing;
use super::reader::field;
use super::{Instruction, document_mark, split, try_expand};
use crate::glob::{clean, head, is_pattern};
use crate::json::quote;
use crate::rewrite::{NotUnderstood, Output, PathMap, Rewritten, open};
use crate::shell::Word;
use crate::{Source, is_one_of};
use xtask_core::suggest;
use xtask_core::tree::RepoPath;

/// Something that the build takes from its context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The path as the build cleans it, without outer slashes; empty for the whole context.
    pub path: String,
    pub line: usize,
}

impl Taken {
    pub fn is_everything(&self) -> bool {
        self.path.is_empty()
    }

    /// Whether the build takes the file `path`: by its name, by a folder or by a pattern.
    pub fn covers(&self, path: &RepoPath) -> bool {
        let text = String::from_utf8_lossy(path.as_bytes());
        self.is_everything() || head(&self.path, &text).is_some()
    }
}

/// Every path that `COPY`, `ADD` and bind mounts take from the build context.
pub fn taken(dockerfile: &[u8]) -> Result<Vec<Taken>, NotUnderstood> {
    let text = open(dockerfile)?;
    let mut found = Vec::new();
    Walk::each(&text, |walk, instruction| {
        let line = |span: Range<usize>| text.line_of(span.start);
        let sources = walk.sources(instruction)?.into_iter();
        found.extend(sources.map(|(path, span)| Taken {
            path,
            line: line(span),
        }));
        Ok(())
    })?;
    Ok(found)
}

/// The names of the build arguments that a Dockerfile declares, in order.
pub fn arguments(dockerfile: &[u8]) -> Result<Vec<String>, NotUnderstood> {
    let text = open(dockerfile)?;
    let mut names: Vec<String> = Vec::new();
    Walk::each(&text, |_, instruction| {
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

/// What to do about a copy that cannot be rewritten.
const COPY_PLAINLY: &str = "in the upstream's Dockerfile, copy paths of its worker folder only, \
                            each written plainly, with an instruction on one line";

/// The Dockerfile with every path of the build context as it is in the result. The image gets the
/// same files at the same places as before; the notes name those that do not come along.
pub fn rewrite(dockerfile: &[u8], map: &PathMap) -> Result<Rewritten, NotUnderstood> {
    let text = open(dockerfile)?;
    let mut output = Output::default();
    Walk::each(&text, |walk, instruction| {
        let (start, inner) = (instruction.range.start, instruction.line());
        let inner = inner.to_ascii_uppercase();
        let copies = inner.starts_with("COPY") || inner.starts_with("ADD");
        if instruction.keyword == "ONBUILD" && copies && !inner.contains("--FROM=") {
            let what = "ONBUILD copies from the context of another build";
            return Err(text.refuse(start, what, COPY_PLAINLY));
        }
        let line = text.line_of(start);
        let mut moves = Vec::new();
        for (path, span) in walk.sources(instruction)? {
            let landing = map.find_landing(&path, text.text[span.clone()].ends_with('/'));
            let landing = landing.map_err(|what| text.refuse(span.start, what, COPY_PLAINLY))?;
            if !landing.left.is_empty() {
                let left: Vec<String> = landing.left.iter().map(ToString::to_string).collect();
                let left: Vec<&str> = left.iter().map(String::as_str).collect();
                let left = suggest::all_of(&left);
                let why = "which the worker does not take over";
                let note = format!("line {line}: the image no longer gets {left}, {why}");
                output.notes.push(note);
            }
            moves.push((path, span, landing));
        }
        let what = match &moves[..] {
            [] => return Ok(()),
            [(path, _, landing)] if landing.single_source().is_none() => {
                format!("what was `{path}` is copied by name")
            }
            _ => "the files are taken from where they now lie".to_owned(),
        };
        output.edits.extend(edits(&text, instruction, &moves)?);
        output.change(line, what);
        Ok(())
    })?;
    output.finish(&text)
}

/// A source that the context holds: its cleaned path, and where it is written.
type ContextSource = (String, Range<usize>);
type Sources = Vec<ContextSource>;
/// Such a source with what replaces it.
type Move = (String, Range<usize>, Landing);
type Edits = Result<Vec<(Range<usize>, String)>, NotUnderstood>;

/// Changes the words of an instruction, or where files land in several folders, makes one for each.
fn edits(text: &Source, instruction: &Instruction, moves: &[Move]) -> Edits {
    let (options, at) = instruction.options();
    let is_mount = instruction.keyword == "RUN";
    for option in options.iter().filter(|_| !is_mount) {
        let name = option.text.split('=').next().unwrap_or_default();
        if !["--chown", "--chmod", "--link"].contains(&name) {
            let what = format!("`{name}` beside sources that move");
            return Err(text.refuse(option.range.start, what, COPY_PLAINLY));
        }
    }
    let is_json = instruction.json(at).is_some();
    let new_word = |(_, span, landing): &Move| match landing.single_source()? {
        name if is_json => Some((span.clone(), quote(name).trim_matches('"').to_owned())),
        name => (!name.contains(' ')).then(|| (span.clone(), name.to_owned())),
    };
    let new_words: Option<Vec<_>> = moves.iter().map(new_word).collect();
    new_words.map_or_else(|| one_for_each_folder(text, instruction, moves), Ok)
}

/// The instruction written from scratch, once for each destination.
fn one_for_each_folder(text: &Source, instruction: &Instruction, moves: &[Move]) -> Edits {
    let start = instruction.range.start;
    let at = instruction.options().1;
    let mut words = instruction.words(at);
    let dest = words.pop().map(|word| word.text).unwrap_or_default();
    let is_torn = moves.iter().any(|(.., landing)| landing.folder);
    let unpacks = instruction.keyword == "ADD" && is_torn;
    let trouble = if instruction.keyword == "RUN" {
        "a mount of files that no longer lie together"
    } else if words.len() != moves.len() {
        "files of the context beside a here-document or an address"
    } else if text.text[instruction.range.clone()].contains('\n') {
        "a copy over several lines, of files that no longer lie together"
    } else if unpacks && (moves.len() > 1 || is_pattern(&moves[0].0)) {
        "ADD with a folder beside files, which it would unpack"
    } else if dest.contains(['\\', '`', '"', '\'']) {
        "a destination with quotes or backslashes"
    } else {
        ""
    };
    if !trouble.is_empty() {
        return Err(text.refuse(start, trouble, COPY_PLAINLY));
    }
    let mut head = text.text[start..instruction.start + at].to_owned();
    if unpacks {
        // ADD does not unpack archives inside of a folder, but it would unpack one named alone.
        head.replace_range(.."ADD".len(), "COPY");
    }
    // The destination of several files must end in a slash.
    let to = format!("{}/", dest.trim_end_matches('/'));
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (place, names) in moves.iter().flat_map(|(.., landing)| &landing.places) {
        let known = places.entry(place).or_default();
        known.extend(names.iter().map(String::as_str));
        known.sort_by_key(|name| (name.starts_with(".runpod/"), *name));
    }
    let has_space = |name: &&str| name.contains(' ');
    let is_json = instruction.json(at).is_some()
        || has_space(&to.as_str())
        || places.values().flatten().any(has_space);
    let line = |(place, names): (&&str, &Vec<&str>)| {
        let dest = format!("{to}{place}");
        let words = [&names[..], &[&dest]].concat();
        if is_json {
            let words: Vec<String> = words.into_iter().map(quote).collect();
            format!("{head}[{}]", words.join(", "))
        } else {
            format!("{head}{}", words.join(" "))
        }
    };
    let lines: Vec<String> = places.iter().map(line).collect();
    let line_start = text.line(text.line_of(start) - 1).0;
    let end = if text.text.contains("\r\n") { "\r" } else { "" };
    let separator = format!("{end}\n{}", &text.text[line_start..start]);
    Ok(vec![(instruction.range.clone(), lines.join(&separator))])
}

/// Walks through the instructions and keeps track of the variables.
struct Walk<'t> {
    text: &'t Source,
    /// Arguments before the first FROM, which a stage sees once it declares them; none before it.
    global: Option<Values>,
    /// Those whose values stand in the file.
    values: Values,
    /// The names that ENV set, which ARG does not set again.
    env: BTreeSet<String>,
}

impl<'t> Walk<'t> {
    /// Sees each instruction with what is known of the variables there.
    fn each(
        text: &'t Source,
        mut see: impl FnMut(&Self, &Instruction) -> Result<(), NotUnderstood>,
    ) -> Result<(), NotUnderstood> {
        const HELP: &str =
            "fix the upstream's Dockerfile; `docker build --check` reads it the same way";
        let mut walk = Self {
            text,
            global: None,
            values: BTreeMap::new(),
            env: BTreeSet::new(),
        };
        for instruction in &split(&text.text) {
            let start = instruction.range.start;
            let keyword = instruction.keyword.as_str();
            if !is_one_of(KEYWORDS, keyword) {
                let what = format!("unknown instruction `{keyword}`");
                return Err(text.refuse(start, what, HELP));
            }
            if instruction.documents.iter().any(|document| !document.ends) {
                return Err(text.refuse(start, "a here-document that never ends", HELP));
            }
            match keyword {
                "FROM" => {
                    let values = std::mem::take(&mut walk.values);
                    walk.global.get_or_insert(values);
                    walk.env.clear();
                }
                "ENV" | "ARG" => walk.set(instruction),
                _ => {}
            }
            see(&walk, instruction)?;
        }
        match walk.global {
            Some(_) => Ok(()),
            None => Err(text.refuse(0, "no base image: FROM is missing", HELP)),
        }
    }

    /// What ENV or ARG changes in the variables.
    fn set(&mut self, instruction: &Instruction) {
        let before = self.values.clone();
        for (name, value) in instruction.assignments() {
            let name = name.text;
            if instruction.keyword == "ENV" {
                self.env.insert(name.clone());
            } else if self.env.contains(&name) {
                continue;
            }
            let global = self.global.as_ref();
            let value = match value {
                // All values of a line see what was set before it. The old form of ENV keeps its quotes.
                Some(value) => expanded(value.trim_matches(['"', '\'']), &before),
                None => global.and_then(|global| global.get(&name).cloned()),
            };
            match value {
                Some(value) => self.values.insert(name, value),
                None => self.values.remove(&name),
            };
        }
    }

    fn refuse<T>(&self, at: usize, what: impl Into<String>) -> Result<T, NotUnderstood> {
        Err(self.text.refuse(at, what, COPY_PLAINLY))
    }

    /// A source as the build cleans it.
    fn source(&self, word: &str, at: usize) -> Result<String, NotUnderstood> {
        let why = match expanded(word, &self.values) {
            None => "depends on a variable whose value is not in the Dockerfile",
            Some(path) if path.split('/').any(|part| part == "..") => "climbs with `..`",
            Some(path) => return Ok(clean(&path)),
        };
        self.refuse(at, format!("the source `{word}` {why}"))
    }

    /// What an instruction takes from the build context, by COPY, ADD or a bind mount.
    fn sources(&self, instruction: &Instruction) -> Result<Sources, NotUnderstood> {
        let (options, at) = instruction.options();
        let from_elsewhere = |option: &Word| option.text.starts_with("--from=");
        match instruction.keyword.as_str() {
            "COPY" | "ADD" if !options.iter().any(from_elsewhere) => self.copied(instruction, at),
            "RUN" => {
                let mounts = options.iter().map(|option| self.mounted(option));
                mounts.filter_map(Result::transpose).collect()
            }
            _ => Ok(Vec::new()),
        }
    }

    fn copied(&self, instruction: &Instruction, at: usize) -> Result<Sources, NotUnderstood> {
        let keyword = instruction.keyword.as_str();
        let mut all = instruction.words(at);
        if all.pop().is_none() || all.is_empty() {
            let what = format!("{keyword} needs at least two arguments");
            return self.refuse(instruction.range.start, what);
        }
        let is_json = instruction.json(at).is_some();
        let is_remote = |source: &str| keyword == "ADD" && is_remote(source);
        let mut sources = Vec::new();
        for word in all {
            if !is_json && document_mark(&word.text).is_some() || is_remote(&word.text) {
                continue;
            }
            let written = &self.text.text[word.range.clone()];
            if !is_json && written.contains(char::from(instruction.escape)) {
                let what = format!("escapes or a line end inside of the source `{written}`");
                return self.refuse(word.range.start, what);
            }
            let path = self.source(&word.text, word.range.start)?;
            if !is_remote(&path) {
                sources.push((path, word.range));
            }
        }
        Ok(sources)
    }

    /// The source of a bind mount from the build context.
    fn mounted(&self, option: &Word) -> Result<Option<ContextSource>, NotUnderstood> {
        let Some(value) = option.text.strip_prefix("--mount=") else {
            return Ok(None);
        };
        let is_bind = field(value, &["type"]).is_none_or(|kind| kind == "bind");
        if !is_bind || field(value, &["from"]).is_some() {
            return Ok(None);
        }
        let (start, written) = (option.range.start, &self.text.text[option.range.clone()]);
        // What is written is found by its text, so each byte must stand for itself.
        if written != option.text {
            return self.refuse(start, "a mount with quotes or over several lines");
        }
        let source = field(value, &["source", "src"]).unwrap_or_default();
        let at = ["source=", "src="].iter().find_map(|key| {
            let at = written.find(&format!("{key}{source}"))?;
            Some(start + at + key.len())
        });
        let span = at.map_or(option.range.clone(), |at| at..at + source.len());
        Ok(Some((self.source(source, span.start)?, span)))
    }
}

/// The text with its variables filled in; `None` where one's value is not in the file.
fn expanded(text: &str, values: &Values) -> Option<String> {
    try_expand(text, values).filter(|text| !text.contains('$'))
}

const KEYWORDS: &str = "FROM ARG ENV LABEL WORKDIR USER STOPSIGNAL EXPOSE VOLUME HEALTHCHECK \
                        COPY ADD RUN SHELL CMD ENTRYPOINT ONBUILD MAINTAINER";

/// What `ADD` fetches instead of reading it from the context.
fn is_remote(source: &str) -> bool {
    let lower = source.to_ascii_lowercase();
    let schemes = ["http://", "https://", "git://", "ssh://", "git@"];
    schemes.iter().any(|scheme| lower.starts_with(scheme))
}

#[cfg(test)]
#[path = "places.rs"]
mod places;
#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
