//! Paths that are written out.

use super::{File, Form, Gone};
use xtask_core::tree::RepoPath;

/// Finds every path in the text that names something gone.
pub fn find(file: &mut File<'_>, gone: &Gone<'_>) {
    for (start, line) in file.lines() {
        for (at, word) in words(line, file.form) {
            if let Some((what, instead)) = check(file, gone, line, at, word) {
                file.hit(start + at, what, instead);
            }
        }
    }
}

/// Whether `c` can be part of a path; what cannot ends the word.
pub fn is_path_char(c: char) -> bool {
    c.is_alphanumeric() || "_-./*?+".contains(c)
}

/// The words of a line that could be paths, with their offsets; those in addresses left out.
pub fn words(line: &str, form: Form) -> Vec<(usize, &str)> {
    let addresses = addresses(line);
    let mut found = Vec::new();
    let mut start = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        if is_path_char(c) {
            start.get_or_insert(at);
            continue;
        }
        let Some(mut from) = start.take() else {
            continue;
        };
        if addresses.iter().any(|range| range.contains(&from)) {
            continue;
        }
        let mut word = line[from..at].trim_end_matches(['.', '?', '+']);
        if form == Form::Prose {
            // Emphasis.
            let bare = word.trim_start_matches('*');
            from += word.len() - bare.len();
            word = bare;
            if !word.contains("/*") {
                word = word.trim_end_matches('*').trim_end_matches('.');
            }
        }
        if !word.is_empty() {
            found.push((from, word));
        }
    }
    found
}

fn addresses(line: &str) -> Vec<std::ops::Range<usize>> {
    let found = line.match_indices("://").map(|(at, _)| {
        let scheme = |c: char| c.is_ascii_alphanumeric() || c == '+';
        let start = line[..at].trim_end_matches(scheme).len();
        let ends = |c: char| c.is_whitespace() || "\"'`)>]".contains(c);
        start..line[at..].find(ends).map_or(line.len(), |end| at + end)
    });
    found.collect()
}

fn check(
    file: &File<'_>,
    gone: &Gone<'_>,
    line: &str,
    at: usize,
    word: &str,
) -> Option<(String, String)> {
    let before = line[..at].chars().next_back();
    // `$ROOT/src/a.py`, `${{ github.workspace }}/src/a.py`: only whole files are sure enough.
    let variable = match before {
        Some('$') => word.find('/').map(|slash| (&word[slash..], slash)),
        Some('}' | ')') if word.starts_with('/') => Some((word, 0)),
        _ => None,
    };
    if let Some((rest, kept)) = variable {
        let path = rest.trim_start_matches('/');
        let (what, instead) = gone
            .lookup(path)
            .filter(|_| gone.files.contains_key(path))?;
        let variable = variable_text(line, at, &word[..kept]);
        return Some((what, format!("{variable}/{instead}")));
    }
    if before.is_some_and(|c| "@\\~$%#".contains(c) || c == '}') {
        return None;
    }
    if let Some(rooted) = word.strip_prefix('/') {
        if !is_rooted(file) || word.starts_with("//") {
            return None;
        }
        let (what, instead) = gone.lookup(rooted)?;
        let instead = instead
            .strip_prefix('.')
            .filter(|rest| rest.is_empty())
            .unwrap_or(&instead);
        return Some((what, slashed(word, format!("/{instead}"))));
    }
    // A word without a slash is a path only if it is a file that is gone; folders have their
    // own rules.
    if !word.contains('/') && !gone.files.contains_key(word) {
        return None;
    }
    if file.path.parent().is_some()
        && let Some(path) = file.path.leads_to(word.as_bytes())
        && let Some(path) = path.as_str()
    {
        if gone.exists(path) {
            return None;
        }
        if let Some((what, instead)) = gone.lookup(path) {
            let instead = file.path.link_to(&RepoPath::from(instead.as_str()));
            return Some((what, slashed(word, instead.as_str()?.to_owned())));
        }
    }
    let (prefix, path) = root_part(word);
    let (what, instead) = gone.lookup(path)?;
    let is_file = gone.files.contains_key(path);
    if prefix.contains("..") && !is_file {
        return None;
    }
    let instead = if instead == "." && file.form == Form::Prose {
        format!("{prefix}{}", gone.folder_now(path.trim_end_matches('/')))
    } else if instead == "." && !prefix.is_empty() {
        prefix.to_owned()
    } else {
        format!("{prefix}{instead}")
    };
    Some((what, slashed(word, instead)))
}

/// The variable before a path, as it is written.
fn variable_text<'l>(line: &'l str, at: usize, name: &'l str) -> &'l str {
    if !name.is_empty() {
        return &line[at - 1..at + name.len()];
    }
    let start = line[..at].rfind('$').unwrap_or(at);
    &line[start..at]
}

/// Lists in which a leading slash means the repository's root.
fn is_rooted(file: &File<'_>) -> bool {
    file.form == Form::Paths || file.path.name().starts_with(b"dependabot.")
}

/// The word without the `./` and `../` at its front, and these.
fn root_part(word: &str) -> (&str, &str) {
    let mut path = word;
    while let Some(rest) = path.strip_prefix("./").or_else(|| path.strip_prefix("../")) {
        path = rest;
    }
    (&word[..word.len() - path.len()], path)
}

/// A slash at the end stays one.
fn slashed(word: &str, instead: String) -> String {
    if word.ends_with('/') && !instead.ends_with('/') {
        instead + "/"
    } else {
        instead
    }
}
