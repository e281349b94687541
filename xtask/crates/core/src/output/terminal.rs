//! Makes foreign text safe for a terminal. All output goes through here, since nearly every message
//! has names, contents of files or answers of programs in it.

use std::borrow::Cow;

/// Whether a terminal acts on a character instead of showing it: control characters, and those that
/// change the direction of text.
pub fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

/// The text with each control character escaped as `\u001b`, which means the same inside of JSON.
/// Line breaks and tabs stay, and this tool's colours if it is `coloured`.
pub fn harmless(text: &str, coloured: bool) -> Cow<'_, str> {
    if !text.contains(|c| is_control(c) && !matches!(c, '\n' | '\t')) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\x1b' if coloured => colour_length(rest),
            '\n' | '\t' => 1,
            '\r' if rest.starts_with("\r\n") => 1,
            _ if is_control(c) => 0,
            _ => c.len_utf8(),
        };
        if length == 0 {
            // All of them are in the first plane, so four digits are enough.
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
            rest = &rest[c.len_utf8()..];
        } else {
            out.push_str(&rest[..length]);
            rest = &rest[length..];
        }
    }
    Cow::Owned(out)
}

/// The length of the escape sequence at the start of a text if it only sets a colour or weight; 0 for
/// others, such as hidden or blinking text, which this tool does not print.
fn colour_length(text: &str) -> usize {
    let is_known = |code: &str| {
        matches!(code, "" | "0" | "1" | "2" | "3" | "4" | "22" | "39" | "49")
            || matches!(code.parse(), Ok(30..=37 | 40..=47 | 90..=97 | 100..=107_u8))
    };
    let codes = text.strip_prefix("\x1b[").and_then(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';')?;
        rest[end..].starts_with('m').then_some(&rest[..end])
    });
    let codes = codes.filter(|codes| codes.starts_with("38;5;") || codes.split(';').all(is_known));
    codes.map_or(0, |codes| codes.len() + 3)
}

/// The width of the terminal; `None` for anything else.
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
            for call in ["print!(", "println!(", "stdout().lock", "stderr().lock"] {
                assert!(
                    PRINTERS.contains(&&*name) || !text.contains(call),
                    "{name} prints with {call}; use output::print or output::tell"
                );
            }
        }
    }

    /// What another module makes would stay at Ctrl-C, and nothing would sweep it.
    #[test]
    fn nothing_else_makes_temporary_folders() {
        for (name, text) in product() {
            for call in [
                "tempdir()",
                "NamedTempFile::new()",
                "create_temp_dir",
                "env::temp_dir()",
            ] {
                assert!(
                    name.ends_with("scratch_folder.rs") || !text.contains(call),
                    "{name} has {call}; use ScratchFolder"
                );
            }
        }
    }
}
