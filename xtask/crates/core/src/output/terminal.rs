//! What others wrote, made fit for a terminal. Everything that is printed goes through here, since
//! names, files and answers of programs stand in nearly every message.

use std::borrow::Cow;

/// Whether a terminal would do something at a character instead of showing it: a control character,
/// or one that turns the text around it about.
pub fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

/// The text with each of these written as `\u001b`, which means the same inside of JSON. Line
/// breaks and tabs stay, and our colours where there are any.
pub fn harmless(text: &str, coloured: bool) -> Cow<'_, str> {
    if !text.contains(|c| acts(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\x1b' if coloured => colour(rest),
            '\n' | '\t' => 1,
            '\r' if rest.starts_with("\r\n") => 1,
            _ if acts(c) => 0,
            _ => c.len_utf8(),
        };
        if length == 0 {
            // All of these are in the first plane, so four digits are enough.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
            rest = &rest[c.len_utf8()..];
        } else {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    Cow::Owned(out)
}

/// The length of a sequence that begins a text and only chooses a colour or weight; 0 for others.
/// This tool hides no text, and none blinks.
fn colour(text: &str) -> usize {
    let Some(inside) = text.strip_prefix("\x1b[").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then(|| &rest[..end])
    }) else {
        return 0;
    };
    let ours = |code: &str| {
        matches!(code, "" | "0" | "1" | "2" | "3" | "4" | "22" | "39" | "49")
            || code
                .parse()
                .is_ok_and(|code: u8| matches!(code, 30..=37 | 40..=47 | 90..=97 | 100..=107))
    };
    let fits = inside.starts_with("38;5;") || inside.split(';').all(ours);
    if fits { inside.len() + 3 } else { 0 }
}

/// How wide the terminal is that this leads to; nothing where it leads elsewhere.
pub fn columns(to: &impl std::os::fd::AsFd) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(to).ok()?;
    Some(usize::from(size.ws_col)).filter(|&columns| columns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        for (text, shown) in [
            ("\x1b]0;title\x07", "\\u001b]0;title\\u0007"),
            ("a\rb", "a\\u000db"),
            ("a\u{9b}2Jb", "a\\u009b2Jb"),
            ("\x1b[2J", "\\u001b[2J"),
            ("\x1b[8mhidden", "\\u001b[8mhidden"),
            ("fdp.\u{202e}exe", "fdp.\\u202eexe"),
            ("a\u{2066}b\u{2069}", "a\\u2066b\\u2069"),
            ("\x7f", "\\u007f"),
        ] {
            assert_eq!(harmless(text, true), shown);
            assert_eq!(harmless(text, false), shown);
        }
        let plain = "ünï\ttext\r\n👩\u{200d}💻\n";
        assert_eq!(harmless(plain, false), plain);
    }

    #[test]
    fn our_colours_stay_where_there_are_any() {
        let text = "\x1b[1m\x1b[91merror\x1b[0m \x1b[38;5;9mx\x1b[1;31m";
        assert_eq!(harmless(text, true), text);
        assert!(!harmless(text, false).contains('\x1b'));
    }

    #[test]
    fn json_means_what_it_meant() {
        let value = serde_json::json!({ "name": "a\u{202e}b\u{9b}c\u{7f}\x1b" });
        let text = value.to_string();
        let read: serde_json::Value = serde_json::from_str(&harmless(&text, false)).unwrap();
        assert_eq!(read, value);
    }

    /// The product code that may write to a terminal, and why.
    const PRINTERS: &[&str] = &[
        "crates/core/src/output/mod.rs",
        // One line, which is rid of these characters there.
        "crates/core/src/progress.rs",
        // Shows docker's own progress.
        "crates/build_image/src/run.rs",
        // Writes a file's content where it was asked to.
        "crates/hub_lint/src/targets.rs",
        // A number.
        "src/main.rs",
    ];

    /// The product's code by file, without its unit tests.
    fn product() -> Vec<(String, String)> {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let tree = crate::tree::Directory::open(&root, |path| path.name() == b"tests").unwrap();
        let mut found = Vec::new();
        for path in crate::tree::Tree::entries(&tree).keys() {
            let name = path.to_string();
            let is_test = name.ends_with("tests.rs") || name.ends_with("fuzz.rs");
            if name.strip_suffix(".rs").is_none() || is_test {
                continue;
            }
            let text = fs_err::read_to_string(path.below(&root)).unwrap();
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            found.push((name, product.to_owned()));
        }
        assert!(found.len() > 100, "{} files were read", found.len());
        found
    }

    #[test]
    fn nothing_else_prints() {
        for (name, text) in product() {
            for way in ["print!(", "println!(", "stdout().lock", "stderr().lock"] {
                assert!(
                    PRINTERS.contains(&&*name) || !text.contains(way),
                    "{name} prints with {way}; use output::print or output::tell"
                );
            }
        }
    }

    /// What another module makes would stay at Ctrl-C, and nothing would sweep it.
    #[test]
    fn nothing_else_makes_temporary_folders() {
        for (name, text) in product() {
            for way in [
                "tempdir()",
                "NamedTempFile::new()",
                "create_temp_dir",
                "env::temp_dir()",
            ] {
                assert!(
                    name.ends_with("scratch_folder.rs") || !text.contains(way),
                    "{name} has {way}; use ScratchFolder"
                );
            }
        }
    }
}
