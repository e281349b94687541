//! Packages: what install commands, requirements files and project files ask for.

mod install;
mod project;

use std::ops::Range;

use super::json::JsonNode;
use super::{Hides, Place, Reading, Source, Unread};

pub use install::{BREAKS_SYSTEM, Install, Listing, Wanted, counts, installed, synced, versioned};
pub use project::{Chosen, OTHERS_LOCKED, environment, inline_metadata, project};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    #[default]
    Pip,
    /// pip's constraint files: they install nothing, and say which versions may be.
    Constraint,
    Apt,
    Conda,
    Apk,
}

impl Manager {
    pub fn word(self) -> &'static str {
        match self {
            Self::Pip => "pip",
            Self::Constraint => "constraint",
            Self::Apt => "apt",
            Self::Conda => "conda",
            Self::Apk => "apk",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Normal form: lower case, with dashes.
    pub name: String,
    /// `~=1.7.0`, with extras in front: `[all]>=0.4`. Empty for any version.
    pub spec: String,
    pub place: Place,
}

impl Requirement {
    pub fn new(name: impl Into<String>, spec: impl Into<String>, place: Place) -> Self {
        let (name, spec) = (name.into(), spec.into());
        Self { name, spec, place }
    }
}

/// What a file of pip's asks for, with the places in it.
pub fn requirements(source: &Source) -> Reading<Install> {
    let mut found = Install::default();
    let mut unread = Vec::new();
    for (range, text) in logical_lines(source) {
        let wanted = if text.starts_with('-') {
            // An option means what it means on pip's command line.
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let line = install::options(&words);
            add_options(&mut found.index, line.index.as_deref());
            add_options(&mut found.options, line.options.as_deref());
            line.wanted.into_iter().map(|(wanted, _)| wanted).collect()
        } else if let Some((name, spec)) = requirement(&text) {
            vec![Wanted::Package(name, spec)]
        } else if is_path(&text) {
            vec![Wanted::Listed(Listing::Project, text)]
        } else {
            vec![Wanted::Computed(text)]
        };
        for wanted in wanted {
            if let Wanted::Computed(text) = wanted {
                let what = format!("{text}: the name of this requirement is not written here");
                unread.push(source.unread(range.clone(), what, &[Hides::Packages]));
            } else {
                found.wanted.push((wanted, range.clone()));
            }
        }
    }
    // Its own packages come before those of other files.
    let is_listed = |(wanted, _): &(Wanted, _)| matches!(wanted, Wanted::Listed(..));
    found.wanted.sort_by_key(is_listed);
    Reading::new(found, unread)
}

/// Adds options to those that are known.
pub fn add_options(known: &mut Option<String>, more: Option<&str>) {
    let all: Vec<&str> = known.as_deref().into_iter().chain(more).collect();
    *known = (!all.is_empty()).then(|| all.join(" "));
}

/// Lines without comments, joined where they are continued, with their places.
fn logical_lines(source: &Source) -> Vec<(Range<usize>, String)> {
    let mut lines: Vec<(Range<usize>, String)> = Vec::new();
    let mut continued = false;
    for (start, line) in source.lines() {
        let comment = line.find(" #").or_else(|| line.find("\t#"));
        let whole = line.trim_start().starts_with('#').then_some(0);
        let body = &line[..whole.or(comment).unwrap_or(line.len())];
        let continues = body.trim_end().ends_with('\\');
        let text = body.trim().trim_end_matches('\\').trim_end();
        let indent = body.len() - body.trim_start().len();
        let range = start + indent..start + indent + text.len();
        match lines.last_mut().filter(|_| continued) {
            Some((whole, before)) if !text.is_empty() => {
                before.push(' ');
                before.push_str(text);
                whole.end = range.end;
            }
            _ if text.is_empty() => {}
            _ => lines.push((range, text.to_owned())),
        }
        continued = continues;
    }
    lines
}

/// Name and specifier of `name[extras] ~= 1.0 ; marker`, `name @ url`, a URL or an archive.
pub fn requirement(text: &str) -> Option<(String, String)> {
    let text = text.split(" --").next().unwrap_or(text).trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    // `name[extras] @ URL`
    if let Some((own, url)) = text.split_once('@')
        && let (own, url) = (own.trim(), url.trim())
        && let extras = own.trim_start_matches(is_name)
        && own.len() > extras.len()
        && (extras.is_empty() || extras.starts_with('['))
        && url.contains(":/")
    {
        let name = &own[..own.len() - extras.len()];
        return Some((normal(name), format!("{extras}@{url}")));
    }
    if let Some(found) = url_name(text).or_else(|| archive_name(text)) {
        return Some(found);
    }
    let spec = text.trim_start_matches(is_name);
    let name = &text[..text.len() - spec.len()];
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || spec.starts_with([':', '/', '+', '\\']) || name.contains("..") {
        return None;
    }
    let spec: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
    Some((normal(name), in_order(&spec)))
}

/// A specifier with its extras and its bounds in one order: `[a,b]>=1,!=2,<3`.
fn in_order(spec: &str) -> String {
    let (rest, marker) = spec.split_at(spec.find(';').unwrap_or(spec.len()));
    let marker = marker.replace('"', "'");
    let extras = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (extras, bounds) = extras.unwrap_or(("", rest));
    let mut extras: Vec<&str> = extras.split(',').collect();
    extras.retain(|extra| !extra.is_empty());
    extras.sort_unstable();
    let mut bounds: Vec<&str> = bounds.split(',').collect();
    bounds.sort_by_key(|bound| (bound.starts_with('<'), bound.starts_with('!'), *bound));
    let bounds = bounds.join(",");
    if extras.is_empty() {
        return format!("{bounds}{marker}");
    }
    format!("[{}]{bounds}{marker}", extras.join(","))
}

/// The package that a URL names: by `#egg=`, by its repository, or by its archive.
fn url_name(text: &str) -> Option<(String, String)> {
    let (_, rest) = text.split_once("://")?;
    let scheme = &text[..text.len() - rest.len() - 3];
    if scheme.contains(|c: char| !(c.is_ascii_alphanumeric() || c == '+')) {
        return None;
    }
    let spec = format!("@{text}");
    if let Some((_, egg)) = text.split_once("egg=") {
        let end = egg.find(['&', '[']).unwrap_or(egg.len());
        return Some((normal(&egg[..end]), spec));
    }
    let path = rest.split(['#', '?']).next().unwrap_or(rest);
    if let Some((name, _)) = archive_name(path) {
        return Some((name, spec));
    }
    let (_, path) = path.trim_end_matches('/').split_once('/')?;
    let last = path.rsplit('/').next()?;
    let name = last.split('@').next()?.trim_end_matches(".git");
    plain_name(name).map(|name| (name, spec))
}

/// The normal form of a name that is cut out of a path, if it is one.
fn plain_name(name: &str) -> Option<String> {
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (begins && !name.contains('$')).then(|| normal(name))
}

/// The package of a wheel or a source archive, by its file's name.
fn archive_name(path: &str) -> Option<(String, String)> {
    let file = path.rsplit('/').next()?;
    let wheel = file.strip_suffix(".whl");
    let mut ends = [".tar.gz", ".zip", ".tar.bz2"].iter();
    let stem = wheel.or_else(|| ends.find_map(|end| file.strip_suffix(end)))?;
    let is_version = |at: &usize| stem[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let mut dashes = stem.match_indices('-').map(|(at, _)| at);
    let end = match wheel {
        Some(_) => dashes.next(),
        None => dashes.rfind(is_version),
    };
    let name = &stem[..end.unwrap_or(stem.len())];
    plain_name(name).map(|name| (name, format!("@{path}")))
}

/// Whether a word names a folder or a file, and no package.
fn is_path(text: &str) -> bool {
    text.starts_with(['.', '/', '~']) || text.contains('/') && !text.contains("://")
}

pub fn normal(name: &str) -> String {
    let mut name = name.to_ascii_lowercase().replace(['_', '.'], "-");
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    name
}

/// Adds a requirement that is a string of a project's file. Other values name groups of them.
fn add(source: &Source, node: &JsonNode, found: &mut Vec<Requirement>, unread: &mut Vec<Unread>) {
    let Some(text) = node.as_str() else { return };
    if let Some((name, spec)) = requirement(text) {
        found.push(Requirement::new(name, spec, node.place(source)));
    } else {
        let what = format!("{text}: no requirement that can be read");
        unread.push(source.unread(node.span.clone(), what, &[Hides::Packages]));
    }
}

#[cfg(test)]
mod tests;
