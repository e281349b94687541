//! `.dockerignore`: which files of the context a build is not sent.

use std::collections::BTreeMap;

use super::glob::Glob;
use xtask_core::tree::RepoPath;

/// The lines of a `.dockerignore`.
#[derive(Default)]
pub struct Ignore {
    lines: Vec<Line>,
    /// The lines for which Docker refuses the whole file, with their numbers.
    pub bad: Vec<(usize, String)>,
}

struct Line {
    number: usize,
    takes_out: bool,
    /// The cleaned pattern as text.
    text: String,
    pattern: Glob,
}

impl Ignore {
    /// Reads a `.dockerignore`. A line that Docker would call a bad pattern matches nothing.
    pub fn read(dockerignore: &[u8]) -> Self {
        let text = String::from_utf8_lossy(dockerignore);
        let mut ignore = Self::default();
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            if line.starts_with('#') {
                continue;
            }
            let (number, line) = (index + 1, line.trim());
            let kept = line.strip_prefix('!');
            let (pattern, takes_out) = (kept.unwrap_or(line).trim(), kept.is_none());
            let text = clean(pattern);
            let glob = text.as_ref().map(|text| Glob::new(text, true));
            match text.zip(glob) {
                Some((text, Some(pattern))) => ignore.lines.push(Line {
                    number,
                    takes_out,
                    text,
                    pattern,
                }),
                None if takes_out || !pattern.is_empty() => {}
                _ => ignore.bad.push((number, line.to_owned())),
            }
        }
        ignore
    }

    /// A `.dockerignore` with lines at its end that let in what it keeps out of these.
    pub fn letting_in(text: &[u8], names: &BTreeMap<String, &RepoPath>) -> Vec<u8> {
        let ignore = Self::read(text);
        let mut after = text.to_vec();
        let kept_out = names.iter().filter(|(_, path)| ignore.excludes(path));
        for (name, _) in kept_out {
            if !after.is_empty() && !after.ends_with(b"\n") {
                after.push(b'\n');
            }
            after.extend(format!("!{name}\n").bytes());
        }
        after
    }

    pub fn excludes(&self, path: &RepoPath) -> bool {
        self.line_against(path).is_some()
    }

    /// The line that excludes `path`. The last line that matches it or a folder above it decides.
    pub fn line_against(&self, path: &RepoPath) -> Option<usize> {
        let path = String::from_utf8_lossy(path.as_bytes());
        let mut against = None;
        for line in &self.lines {
            if line.takes_out == against.is_none() && above(&path).any(|p| line.pattern.matches(p))
            {
                against = line.takes_out.then_some(line.number);
            }
        }
        against
    }

    /// Whether all files below `folder` are excluded. No line may bring back a file in it; only the
    /// first folder of both paths is compared.
    pub fn excludes_all_of(&self, folder: &RepoPath) -> bool {
        let top = String::from_utf8_lossy(folder.top()).into_owned();
        let may_lie_there = |line: &Line| {
            let first = line.text.split('/').next().unwrap_or_default();
            let glob = Glob::new(first, true);
            line.text.contains("**") || glob.is_some_and(|glob| glob.matches(&top))
        };
        let mut taken_back = self.lines.iter().filter(|line| !line.takes_out);
        self.excludes(folder) && !taken_back.any(may_lie_there)
    }
}

/// The pattern without dots and needless slashes; `None` if it names nothing in the context.
fn clean(pattern: &str) -> Option<String> {
    let path = RepoPath::from("x").leads_to(pattern.trim_start_matches('/').as_bytes())?;
    let path = path.as_str().filter(|path| !path.is_empty());
    path.map(str::to_owned)
}

fn above(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rfind('/').map(|end| &path[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn out(dockerignore: &str, path: &str) -> bool {
        Ignore::read(dockerignore.as_bytes()).excludes(&path.into())
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

    #[test]
    fn what_is_kept_out_is_let_in() {
        let paths = ["acme/__init__.py", "billing.py"].map(RepoPath::from);
        let names = BTreeMap::from([
            ("acme".to_owned(), &paths[0]),
            ("billing.py".to_owned(), &paths[1]),
        ]);
        let ignore = Ignore::letting_in(b"*\n!handler.py", &names);
        assert_eq!(ignore, b"*\n!handler.py\n!acme\n!billing.py\n");
        assert_eq!(Ignore::letting_in(b"docs", &names), b"docs");
    }

    #[test]
    fn the_line_that_decides_is_told() {
        let ignore = Ignore::read(b"# all\n*\n!docs\n\ndocs/*.md\n[bad\n");
        assert_eq!(ignore.line_against(&"a".into()), Some(2));
        assert_eq!(ignore.line_against(&"docs/a".into()), None);
        assert_eq!(ignore.line_against(&"docs/a.md".into()), Some(5));
    }

    /// Each of them was tried with Docker, which builds nothing then.
    #[test]
    fn lines_that_docker_refuses_are_kept_apart() {
        let bad = |text: &str| Ignore::read(text.as_bytes()).bad.clone();
        for line in ["[", "!a[b", "\\", "[a", "a[]b", "[a-]", "[^]", "!"] {
            assert_eq!(bad(&format!("*\n{line}\n")), [(2, line.to_owned())]);
        }
        assert_eq!(bad("*\n!a\n\n  \n# [\n../x\n[a-c]*\n"), []);
    }

    #[test]
    fn a_folder_is_passed_over_only_where_nothing_below_it_can_come_back() {
        let all_of = |ignore: &str, folder: &str| {
            Ignore::read(ignore.as_bytes()).excludes_all_of(&folder.into())
        };
        assert!(all_of("target\n", "target"));
        assert!(all_of("*\n!handler.py\n!scripts/a.py\n", "target"));
        assert!(!all_of("*\n!scripts/a.py\n", "scripts"));
        assert!(!all_of("*\n!scripts/sub/a.py\n", "scripts/sub"));
        assert!(!all_of("*\n!scripts/sub/a.py\n", "scripts/other"));
        assert!(!all_of("*\n!**/a.py\n", "target"));
        assert!(!all_of("*\n!t*/a.py\n", "target"));
        assert!(all_of("*\n!s*/a.py\n", "target"));
        assert!(!all_of("*\n!target\n", "target"));
        assert!(!all_of("", "target"));
    }
}
