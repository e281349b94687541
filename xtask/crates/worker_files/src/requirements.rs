//! Python requirements: names and version specifiers, as pip reads them.

use super::shell::Word;
use super::{Place, Source, Unread};

/// A requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// Normal form: lower case, with dashes.
    pub name: String,
    /// `~=1.7.0`, with extras in front: `[all]>=0.4`. Empty for any version.
    pub spec: String,
    pub place: Place,
}

/// Reads a requirements file. What is no plain requirement (another file, a URL without a name)
/// is reported as a gap.
pub fn read(source: &Source) -> (Vec<Requirement>, Vec<Unread>) {
    let mut found = Vec::new();
    let mut unread = Vec::new();
    let mut continued = false;
    for (start, line) in source.lines() {
        let skip = std::mem::replace(&mut continued, line.trim_end().ends_with('\\'));
        let text = line.split(" #").next().unwrap_or(line);
        let text = text.trim().trim_end_matches('\\').trim_end();
        if text.is_empty() || text.starts_with('#') || skip {
            continue;
        }
        let indent = line.len() - line.trim_start().len();
        let place = source.place(start + indent..start + indent + text.len());
        if let Some(option) = text.strip_prefix('-') {
            if option.starts_with(['r', 'e']) || option.starts_with("-requirement") {
                unread.push(Unread::new(
                    format!("{text}: read from where it points, if that file is here"),
                    place,
                ));
            }
            continue;
        }
        match split(text) {
            Some((name, spec)) => found.push(Requirement { name, spec, place }),
            None => unread.push(Unread::new(
                format!("{text}: the name of this requirement is not written here"),
                place,
            )),
        }
    }
    (found, unread)
}

/// A word of a `pip install` as a requirement; `None` for files, archives and variables.
pub fn of_word(source: &Source, word: &Word, base: usize) -> Option<Requirement> {
    if word.text.starts_with(['.', '/', '$']) {
        return None;
    }
    let (name, spec) = split(&word.text)?;
    Some(Requirement {
        name,
        spec,
        place: source.place(base + word.range.start..base + word.range.end),
    })
}

/// Name and specifier of `name[extras] ~= 1.0 ; marker` or `name @ url`.
fn split(text: &str) -> Option<(String, String)> {
    let text = text.split(" --").next().unwrap_or(text);
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(text.len());
    let (name, spec) = text.split_at(end);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins || spec.starts_with([':', '/', '+']) || name.contains("..") {
        return None;
    }
    let spec: String = spec.chars().filter(|c| !c.is_whitespace()).collect();
    Some((normal(name), spec))
}

/// The normal form of a package's name.
pub fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.push(c.to_ascii_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_specifiers_of_a_requirements_file() {
        let text = "ray\nrunpod~=1.7.0\r\nTyping_Extensions == 4.7.1 # why\n# no\n\nsglang[all]>=0.4 ; python_version > '3'\n-r more.txt\n-i https://x\nhttps://x/y.whl\npkg @ git+https://x\nlast \\\n  --hash=sha256:1\n";
        let source = Source::new("requirements.txt".into(), text.as_bytes());
        let (found, unread) = read(&source);
        let found: Vec<_> = found
            .iter()
            .map(|r| format!("{}{}", r.name, r.spec))
            .collect();
        assert_eq!(
            found,
            [
                "ray",
                "runpod~=1.7.0",
                "typing-extensions==4.7.1",
                "sglang[all]>=0.4;python_version>'3'",
                "pkg@git+https://x",
                "last"
            ]
        );
        assert_eq!(unread.len(), 2);
    }
}
