//! `.dockerignore`.

use super::glob::Glob;
use crate::tree::RepoPath;

/// Whether the build context leaves `path` out. The last line that matches the path or a folder
/// above it decides, as Docker has it; a line that Docker would call a bad pattern matches nothing.
pub fn excluded(dockerignore: &[u8], path: &RepoPath) -> bool {
    let text = String::from_utf8_lossy(dockerignore);
    let path = String::from_utf8_lossy(path.as_bytes());
    let mut out = false;
    for line in text.trim_start_matches('\u{feff}').lines() {
        if line.starts_with('#') {
            continue;
        }
        let line = line.trim();
        let (pattern, takes_out) = match line.strip_prefix('!') {
            Some(rest) => (rest.trim(), false),
            None => (line, true),
        };
        if takes_out == out || pattern.is_empty() {
            continue;
        }
        let Some(pattern) = clean(pattern) else {
            continue;
        };
        if Glob::new(&pattern, true).is_some_and(|glob| above(&path).any(|p| glob.matches(p))) {
            out = takes_out;
        }
    }
    out
}

/// The pattern without `.`, `..`, doubled and outer slashes; `None` when it names nothing inside
/// the context.
fn clean(pattern: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

/// The path and each folder above it.
fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind('/').map(|end| &path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(dockerignore: &str, path: &str) -> bool {
        excluded(dockerignore.as_bytes(), &path.into())
    }

    #[test]
    fn the_last_line_that_matches_decides() {
        let ignore = "# all\n*\n!handler.py\n!public/\npublic/*.psd\n";
        assert!(out(ignore, "engine.py"));
        assert!(!out(ignore, "handler.py"));
        assert!(!out(ignore, "public/banner.png"));
        assert!(out(ignore, "public/banner.psd"));
    }

    #[test]
    fn a_folder_takes_what_is_below_it_and_patterns_begin_at_the_root() {
        assert!(out(".runpod\n", ".runpod/hub.json"));
        assert!(out("/docs/\r\n", "docs/a/b.md"));
        assert!(!out("*.md\n", "docs/a.md"));
        assert!(out("**/*.md\n", "docs/a.md"));
        assert!(out("**/*.md\n", "a.md"));
        assert!(!out("mysrc\n", "src/a.py"));
        assert!(!out("", "a"));
        assert!(out("./a/../b\n", "b"));
    }
}
