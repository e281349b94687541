//! Paths as Docker cleans them, and its patterns: those of `COPY`, and `.dockerignore`'s with `**`.

use xtask_core::tree::RepoPath;

enum Token {
    Literal(char),
    /// One character that is in a range, or with `true` in none of them; never `/`.
    Class(bool, Vec<(char, char)>),
    /// `*`: anything but `/`.
    Part,
    /// `**` at the end.
    All,
    /// `**/`: no folder, or any number of them.
    Folders,
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == c,
            Self::Class(negated, ranges) => {
                c != '/' && ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated
            }
            Self::Part | Self::All | Self::Folders => false,
        }
    }
}

pub struct Glob(Vec<Token>);

impl Glob {
    /// `deep` says whether `**` spans folders. `None` for a pattern that Docker calls bad.
    pub fn new(pattern: &str, deep: bool) -> Option<Self> {
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' if deep && chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    let is_last = chars.peek().is_none();
                    if is_last { Token::All } else { Token::Folders }
                }
                '*' => Token::Part,
                '?' => Token::Class(true, Vec::new()),
                '\\' => Token::Literal(chars.next()?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                        let low = end_of(&mut chars)?;
                        let is_range = chars.next_if_eq(&'-').is_some();
                        let high = if is_range { end_of(&mut chars)? } else { low };
                        ranges.push((low, high));
                    }
                    Token::Class(negated, ranges)
                }
                c => Token::Literal(c),
            });
        }
        Some(Self(tokens))
    }

    /// Whether the pattern takes all of `text`. Linear in pattern times text, whatever the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        // open[i]: the tokens so far can take exactly the first i characters.
        let mut open = vec![false; chars.len() + 1];
        open[0] = true;
        for token in &self.0 {
            let mut next = vec![false; chars.len() + 1];
            let mut running = false;
            for (i, slot) in next.iter_mut().enumerate() {
                let before = i.checked_sub(1).map(|before| chars[before]);
                if let Token::Part = token {
                    running &= before != Some('/');
                }
                running |= open[i];
                *slot = match token {
                    Token::Part | Token::All => running,
                    Token::Folders => open[i] || (running && before == Some('/')),
                    single => before.is_some_and(|c| open[i - 1] && single.takes(c)),
                };
            }
            open = next;
        }
        open[chars.len()]
    }
}

/// A character of a class.
fn end_of(chars: &mut impl Iterator<Item = char>) -> Option<char> {
    match chars.next()? {
        '\\' => chars.next(),
        '-' | ']' => None,
        c => Some(c),
    }
}

/// Where the head of a path ends that a `COPY` source takes: the file, or a folder above it.
pub fn head(source: &str, path: &str) -> Option<usize> {
    let depth = source.split('/').count();
    let ends = path.match_indices('/').map(|(at, _)| at);
    let end = ends.chain([path.len()]).nth(depth - 1)?;
    let takes = |glob: Glob| glob.matches(&path[..end]);
    (path[..end] == *source || is_pattern(source) && Glob::new(source, false).is_some_and(takes))
        .then_some(end)
}

/// Whether a `COPY` source has characters that make it a pattern.
pub fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '[', '\\'])
}

/// The file of the repository that a cleaned path names.
pub fn repo_path(path: &str) -> RepoPath {
    RepoPath::from(clean(path).as_str())
}

/// A path without its dots and outer slashes.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, text: &str) -> bool {
        Glob::new(pattern, true).unwrap().matches(text)
    }

    #[test]
    fn stars_stop_at_slashes_and_double_stars_do_not() {
        assert!(takes("*.py", "a.py"));
        assert!(takes("*", ".gitignore"));
        assert!(!takes("*.py", "a/b.py"));
        assert!(takes("**/*.py", "b.py"));
        assert!(takes("**/*.py", "a/b/c.py"));
        assert!(takes("a/**", "a/b/c"));
        assert!(!takes("a/**", "b/c"));
        assert!(takes("a/**/z", "a/z"));
        assert!(takes("a/**/z", "a/b/c/z"));
        assert!(!takes("a/**/z", "a/bz"));
    }

    #[test]
    fn classes_and_escapes() {
        assert!(takes("[a-c]?.py", "bx.py"));
        assert!(!takes("[^a-c]?.py", "bx.py"));
        assert!(takes(r"\*.py", "*.py"));
        assert!(!takes(r"\*.py", "a.py"));
        assert!(Glob::new("[a", false).is_none());
        assert!(Glob::new("[]", false).is_none());
        assert!(Glob::new("a\\", false).is_none());
    }

    #[test]
    fn many_stars_take_no_time() {
        let pattern = "*a".repeat(200) + "b";
        assert!(!takes(&pattern, &"a".repeat(2_000)));
    }
}
