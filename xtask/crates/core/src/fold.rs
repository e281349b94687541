//! Names on file systems of macOS and Windows, which treat spellings as equal that git keeps apart.

use unicode_normalization::UnicodeNormalization;

/// Invisible characters: HFS+ drops some from names, others change the text direction.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}')
}

/// One text for all spellings that some file system treats as equal: case-folded (`ß` is `ss`, both
/// small sigmas are one), decomposed, without dropped characters.
pub fn folded(path: &str) -> String {
    let parts = path.split('/').map(|part| {
        if part.is_ascii() {
            return part.trim_end_matches(['.', ' ']).to_ascii_lowercase();
        }
        let visible = part.chars().filter(|&c| !is_invisible(c)).nfd();
        // Character by character: a whole text would get the sigma of a word's end.
        let upper = visible.flat_map(char::to_uppercase);
        let lower: String = upper.flat_map(char::to_lowercase).nfd().collect();
        lower.trim_end_matches(['.', ' ']).to_owned()
    });
    parts.collect::<Vec<_>>().join("/")
}

/// Whether a file system could read a part of a path as `.git`; its 8.3 spelling counts too.
pub fn is_dot_git(part: &str) -> bool {
    matches!(folded(part).as_str(), ".git" | "git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_one() {
        for (one, other) in [
            ("Engine.py", "ENGINE.PY"),
            ("stra\u{df}e", "STRASSE"),
            (
                "\u{3bb}\u{3cc}\u{3b3}\u{3bf}\u{3c2}",
                "\u{39b}\u{38c}\u{393}\u{39f}\u{3a3}",
            ),
            ("\u{3c3}", "\u{3c2}"),
            ("\u{e9}.py", "e\u{301}.py"),
            ("\u{c9}.py", "e\u{301}.py"),
            ("\u{212a}ey", "key"),
            ("hub\u{200c}-lint.json", "hub-lint.json"),
            ("a. /b", "a/b"),
            ("\u{fb01}le", "FILE"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} {other}");
        }
        assert_ne!(folded("a/b"), folded("ab"));
        assert_eq!(folded("flags_2.json"), "flags_2.json");
    }

    #[test]
    fn git_is_known_under_each_of_its_names() {
        for name in [
            ".git",
            ".GIT",
            ".Git. ",
            "GIT~1",
            ".g\u{200c}it",
            ".git\u{feff}",
        ] {
            assert!(is_dot_git(name), "{name:?}");
        }
        for name in [".gitignore", "git", ".github"] {
            assert!(!is_dot_git(name), "{name}");
        }
    }
}
