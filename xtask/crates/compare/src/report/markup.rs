//! Text of others within HTML.

use xtask_core::output::terminal;
use xtask_core::tree::RepoPath;

/// Foreign text within HTML: nothing in it is markup, ends an attribute, or turns the text around
/// it about.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in terminal::harmless(text, false).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The same for sentences, with what stands between backticks as code.
pub fn prose(text: &str) -> String {
    if !text.matches('`').count().is_multiple_of(2) {
        return escaped(text);
    }
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(number, part)| match number % 2 {
        0 => escaped(part),
        _ => format!("<code>{}</code>", escaped(part)),
    });
    parts.collect()
}

/// The name of a line within the page.
pub fn anchor(side: &str, file: &RepoPath, line: usize) -> String {
    let name = file.to_string().replace(
        |c: char| !c.is_ascii_alphanumeric() && !"._/-".contains(c),
        "_",
    );
    format!("{side}-{name}-{line}")
}
