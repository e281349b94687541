//! Text of others within HTML.

use xtask_core::output::terminal;
use xtask_core::tree::RepoPath;

/// Foreign text within HTML: nothing in it is markup, ends an attribute, or turns the text around
/// it about.
pub fn escaped(text: &str) -> String {
    let text = terminal::harmless(text, false);
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let text = text.replace('>', "&gt;").replace('"', "&quot;");
    text.replace('\'', "&#39;")
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
    let is_odd = |c: char| !c.is_ascii_alphanumeric() && !"._/-".contains(c);
    let name = file.to_string().replace(is_odd, "_");
    format!("{side}-{name}-{line}")
}
