//! Which files the Dockerfile takes from the build context, and how to say so after the move.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::landing::Landing;
use super::reader::part;
use super::{Instruction, Word, split, try_expand};
use crate::glob::{clean, head, is_pattern};
use crate::rewrite::{NotUnderstood, Output, PathMap, Rewritten, Text, listed};
use xtask_core::tree::RepoPath;

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
        let text = String::from_utf8_lossy(path.as_bytes());
        self.is_everything() || head(&self.path, &text).is_some()
    }
}

/// Every path that `COPY`, `ADD` and bind mounts take from the build context.
pub fn taken(dockerfile: &[u8]) -> Result<Vec<Taken>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
    let mut found = Vec::new();
    Walk::each(&text, |walk, instruction| {
        let sources = walk.sources(instruction)?.into_iter();
        found.extend(sources.map(|(path, span)| Taken {
            path,
            line: text.line(span.start),
        }));
        Ok(())
    })?;
    Ok(found)
}

/// The names of the build arguments that a Dockerfile declares, in order.
pub fn arguments(dockerfile: &[u8]) -> Result<Vec<String>, NotUnderstood> {
    let text = Text::new(dockerfile)?;
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

/// The Dockerfile with every path of the build context as it is in the result. The image gets
/// the same files at the same places as before, without those that do not come along: these are in
/// the notes.
pub fn rewrite(dockerfile: &[u8], map: &PathMap) -> Result<Rewritten, NotUnderstood> {
    const HELP: &str = "take an upstream whose Dockerfile copies from its worker folder only, or \
                        fix its Dockerfile there";
    let text = Text::new(dockerfile)?;
    let mut output = Output::default();
    Walk::each(&text, |walk, instruction| {
        let inner = instruction.line().to_ascii_uppercase();
        let copies = inner.starts_with("COPY") || inner.starts_with("ADD");
        if instruction.keyword == "ONBUILD" && copies && !inner.contains("--FROM=") {
            let what = "ONBUILD copies from the context of another build";
            let help = "copy the files in the Dockerfile that builds on this image";
            return Err(text.refuse(instruction.range.start, what, help));
        }
        let sources = walk.sources(instruction)?;
        let mut landings = Vec::new();
        for (path, span) in &sources {
            let folder_mark = text.body[span.clone()].ends_with('/');
            let landing = map.land(path, folder_mark);
            let landing = landing.map_err(|what| text.refuse(span.start, what, HELP))?;
            if !landing.left.is_empty() {
                output.notes.push(format!(
                    "line {}: the image no longer gets {}, which the worker does not take over",
                    text.line(instruction.range.start),
                    listed(&landing.left)
                ));
            }
            landings.push(landing);
        }
        if sources.is_empty() {
            return Ok(());
        }
        output
            .edits
            .extend(edits(&text, instruction, &sources, &landings)?);
        let what = match sources.as_slice() {
            [(path, _)] if landings[0].only().is_none() => {
                format!("what was `{path}` is copied by name")
            }
            _ => "the files are taken from where they now lie".to_owned(),
        };
        output.change(text.line(instruction.range.start), what);
        Ok(())
    })?;
    output.finish(&text)
}

/// A source that the context holds: its cleaned path, and where it is written.
type ContextSource = (String, Range<usize>);
type Edits = Vec<(Range<usize>, String)>;

/// An instruction with as little change as the files allow: its words, or where files land in
/// several folders, an instruction for each.
fn edits(
    text: &Text<'_>,
    instruction: &Instruction,
    sources: &[ContextSource],
    landings: &[Landing],
) -> Result<Edits, NotUnderstood> {
    let (options, at) = instruction.options();
    let is_mount = instruction.keyword == "RUN";
    for option in options.iter().filter(|_| !is_mount) {
        let name = option.text.split('=').next().unwrap_or_default();
        if !["--chown", "--chmod", "--link"].contains(&name) {
            let what = format!("`{name}` beside sources that move");
            let help = "copy the files without it, or from a stage";
            return Err(text.refuse(option.range.start, what, help));
        }
    }
    let is_json = instruction.json(at).is_some();
    let only = |landing: &Landing| {
        let name = landing.only()?;
        if is_json {
            Some(quoted(name).trim_matches('"').to_owned())
        } else {
            (!name.contains(' ')).then(|| name.to_owned())
        }
    };
    let names = landings.iter().map(only);
    if let Some(names) = names.collect::<Option<Vec<String>>>() {
        let spans = sources.iter().map(|(_, span)| span.clone());
        return Ok(spans.zip(names).collect());
    }
    if is_mount {
        let torn = landings.iter().position(|landing| only(landing).is_none());
        let (path, span) = &sources[torn.unwrap_or_default()];
        let what = format!("`{path}` is mounted, whose files no longer lie together");
        let help = "mount single files, or folders that come along as they are";
        return Err(text.refuse(span.start, what, help));
    }
    anew(text, instruction, sources, landings)
}

/// The instruction written from scratch, once for each destination.
fn anew(
    text: &Text<'_>,
    instruction: &Instruction,
    sources: &[ContextSource],
    landings: &[Landing],
) -> Result<Edits, NotUnderstood> {
    let (start, first) = (instruction.range.start, sources[0].1.start);
    let refuse = |at: usize, what: &str, help: &str| Err(text.refuse(at, what, help));
    let at = instruction.options().1;
    let mut words = instruction.words(at);
    if words.len() != sources.len() + 1 {
        let what = "files of the context beside a here-document or an address";
        let help = "give the files of the context an instruction of their own";
        return refuse(first, what, help);
    }
    if text.body[instruction.range.clone()].contains('\n') {
        let what = "a copy over several lines, of files that no longer lie together";
        return refuse(first, what, "write the instruction on one line");
    }
    let mut head = text.body[start..instruction.start + at].to_owned();
    if instruction.keyword == "ADD" && landings.iter().any(|landing| landing.folder) {
        if landings.len() > 1 || is_pattern(&sources[0].0) {
            let what = "ADD with a folder beside files, which it would unpack";
            return refuse(first, what, "give each source an instruction of its own");
        }
        // ADD does not unpack archives inside of a folder, but it would unpack one named alone.
        head.replace_range(.."ADD".len(), "COPY");
    }
    let dest = words.swap_remove(sources.len());
    if dest.text.contains(['\\', '`', '"', '\'']) {
        let what = format!("the destination `{}`", dest.text);
        return refuse(
            dest.range.start,
            &what,
            "write it without quotes and backslashes",
        );
    }
    // The destination of several files must end in a slash.
    let to = format!("{}/", dest.text.trim_end_matches('/'));
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (place, names) in landings.iter().flat_map(|landing| &landing.places) {
        let known = places.entry(place).or_default();
        known.extend(names.iter().map(String::as_str));
        known.sort_by_key(|name| (name.starts_with(".runpod/"), *name));
    }
    let has_space = |name: &&str| name.contains(' ');
    let is_json = instruction.json(at).is_some()
        || has_space(&to.as_str())
        || places.values().flatten().any(has_space);
    let line = |(place, names): (&&str, &Vec<&str>)| {
        let mut words: Vec<String> = names.iter().map(ToString::to_string).collect();
        words.push(format!("{to}{place}"));
        if is_json {
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            return format!("{head}[{}]", words.join(", "));
        }
        format!("{head}{}", words.join(" "))
    };
    let lines: Vec<String> = places.iter().map(line).collect();
    let separator = format!("{}{}", text.newline(start), text.indent(start));
    Ok(vec![(instruction.range.clone(), lines.join(&separator))])
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

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
    /// Sees each instruction with what is known of the variables there.
    fn each(
        text: &'t Text<'t>,
        mut see: impl FnMut(&Self, &Instruction) -> Result<(), NotUnderstood>,
    ) -> Result<(), NotUnderstood> {
        const HELP: &str =
            "fix the upstream's Dockerfile; `docker build --check` reads it the same way";
        let mut walk = Self {
            text,
            global: BTreeMap::new(),
            values: BTreeMap::new(),
            env: BTreeSet::new(),
            in_stage: false,
        };
        for instruction in &split(text.body) {
            let start = instruction.range.start;
            let keyword = instruction.keyword.as_str();
            if !is_keyword(keyword) {
                let what = format!("unknown instruction `{keyword}`");
                return Err(text.refuse(start, what, HELP));
            }
            if instruction.documents.iter().any(|document| !document.ends) {
                let help = "end it with a line that holds nothing but its name";
                let what = "a here-document that never ends";
                return Err(text.refuse(start, what, help));
            }
            match keyword {
                "FROM" => {
                    let values = std::mem::take(&mut walk.values);
                    if !walk.in_stage {
                        walk.global = values;
                    }
                    walk.env.clear();
                    walk.in_stage = true;
                }
                "ENV" | "ARG" => walk.set(instruction),
                _ => {}
            }
            see(&walk, instruction)?;
        }
        if !walk.in_stage {
            return Err(text.refuse(0, "no base image: FROM is missing", HELP));
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
        if filled.split('/').any(|part| part == "..") {
            let what = format!("the source `{filled}` climbs with `..`");
            let help = "write the path from the root of the build context";
            return Err(self.text.refuse(at, what, help));
        }
        Ok(clean(&filled))
    }

    /// What an instruction takes from the build context: the sources of COPY and ADD, and those of
    /// bind mounts.
    fn sources(&self, instruction: &Instruction) -> Result<Vec<ContextSource>, NotUnderstood> {
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

    fn copied(
        &self,
        instruction: &Instruction,
        at: usize,
    ) -> Result<Vec<ContextSource>, NotUnderstood> {
        let keyword = instruction.keyword.as_str();
        let mut all = instruction.words(at);
        if all.pop().is_none() || all.is_empty() {
            let what = format!("{keyword} needs at least two arguments");
            let help = "name what is copied and where to";
            return Err(self.text.refuse(instruction.range.start, what, help));
        }
        let is_json = instruction.json(at).is_some();
        let is_remote = |source: &str| keyword == "ADD" && is_remote(source);
        let mut sources = Vec::new();
        for word in all {
            let digits = word.text.trim_start_matches(|c: char| c.is_ascii_digit());
            if !is_json && digits.starts_with("<<") || is_remote(&word.text) {
                continue;
            }
            let written = &self.text.body[word.range.clone()];
            if !is_json && written.contains(char::from(instruction.escape)) {
                let what = format!("escapes or a line end inside of the source `{written}`");
                let help = "write the source plainly on one line, or the arguments as a JSON array";
                return Err(self.text.refuse(word.range.start, what, help));
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
        let is_bind = part(value, &["type"]).is_none_or(|kind| kind == "bind");
        if !is_bind || part(value, &["from"]).is_some() {
            return Ok(None);
        }
        let (start, written) = (option.range.start, &self.text.body[option.range.clone()]);
        // What is written is found by its text, so each byte must stand for itself.
        if written != option.text {
            let what = "a mount with quotes or over several lines";
            let help = "write the mount in one piece without quotes";
            return Err(self.text.refuse(start, what, help));
        }
        let source = part(value, &["source", "src"]).unwrap_or_default();
        let keys = ["source=", "src="].into_iter();
        let mut at =
            keys.filter_map(|key| Some(written.find(&format!("{key}{source}"))? + key.len()));
        let span = match at.next() {
            Some(at) => start + at..start + at + source.len(),
            None => option.range.clone(),
        };
        Ok(Some((self.source(&source, span.start)?, span)))
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

#[cfg(test)]
#[path = "places.rs"]
mod places;
#[cfg(test)]
#[path = "rewrite_tests.rs"]
mod tests;
