//! `--diff`: the files that both layouts have, side by side as unified diffs.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use similar::{ChangeTag, TextDiff};

use super::pairs::{Pair, Text};

/// The diffs of every pair that differs: old against new, and where an upstream is known,
/// upstream against new.
pub fn diff(pairs: &[Pair]) -> String {
    let mut out = String::new();
    for Pair { old, upstream, new } in pairs {
        for (side, texts) in [("old", old), ("upstream", upstream)] {
            if let (Some(before), Some(after)) = (texts.first(), new.first())
                && before.text != after.text
            {
                pair(&mut out, side, before, after);
            }
        }
    }
    out
}

/// One unified diff. In changed lines, the words that changed stand out on a terminal.
fn pair(out: &mut String, side: &str, before: &Text, after: &Text) {
    const CONTEXT: usize = 3;
    let red = Style::new().fg_color(Some(AnsiColor::Red.into()));
    let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
    let bold = Style::new().bold();
    let cyan = Style::new().fg_color(Some(AnsiColor::Cyan.into()));
    let _ = writeln!(
        out,
        "{bold}--- {side}/{}{bold:#}\n{bold}+++ new/{}{bold:#}",
        before.path, after.path
    );
    let mut config = TextDiff::configure();
    config.timeout(std::time::Duration::from_secs(2));
    let changes = config.diff_lines(before.text.as_str(), after.text.as_str());
    for group in changes.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else {
            continue;
        };
        let old = first.old_range().start..last.old_range().end;
        let new = first.new_range().start..last.new_range().end;
        let _ = writeln!(
            out,
            "{cyan}@@ -{},{} +{},{} @@{cyan:#}",
            old.start + usize::from(!old.is_empty()),
            old.len(),
            new.start + usize::from(!new.is_empty()),
            new.len()
        );
        for op in &group {
            for change in changes.iter_inline_changes(op) {
                let (sign, style) = match change.tag() {
                    ChangeTag::Delete => ("-", red),
                    ChangeTag::Insert => ("+", green),
                    ChangeTag::Equal => (" ", Style::new()),
                };
                let _ = write!(out, "{style}{sign}");
                for (emphasized, text) in change.iter_strings_lossy() {
                    let text = printable(text.trim_end_matches(['\n', '\r']));
                    if emphasized {
                        let strong = style.bold().underline();
                        let _ = write!(out, "{style:#}{strong}{text}{strong:#}{style}");
                    } else {
                        out.push_str(&text);
                    }
                }
                let _ = writeln!(out, "{style:#}");
                if change.missing_newline() {
                    out.push_str("\\ No newline at end of file\n");
                }
            }
        }
    }
    out.push('\n');
}

/// Text without what a terminal would take as an order.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() && c != '\t' {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::pairs::{OldFiles, of};
    use super::*;
    use xtask_core::tree::Memory;

    #[test]
    fn pairs_are_found_across_layouts_and_words_that_changed_stand_out() {
        let old = Memory::new()
            .with("src/engine.py", "a = 1\nport = 30000\nc\nb = 2\n")
            .with("worker-config.json", "{}\n");
        let new = Memory::new()
            .with("engine.py", "a = 1\nport = 30001\nc\nb = 2")
            .with(".runpod/hub.json", "{\"x\": \"\u{1b}[2J\"}\n");
        let before = OldFiles {
            tree: &old,
            is_whole: true,
        };
        let text = diff(&of(Some(before), Some(&new), &new, &[]).unwrap());
        let plain = anstream::adapter::strip_str(&text).to_string();
        assert!(plain.contains("--- old/src/engine.py\n+++ new/engine.py\n@@ -1,4 +1,4 @@\n a = 1\n-port = 30000\n+port = 30001\n"), "{plain}");
        assert!(plain.contains("\\ No newline at end of file"));
        assert!(plain.contains("--- old/worker-config.json\n+++ new/.runpod/hub.json"));
        assert!(
            !plain.contains("upstream/"),
            "what is the same is not shown"
        );
        assert!(!text.contains("\u{1b}[2J"));
        assert!(text.contains("\u{1b}[1m"), "changed words are bold");
        let all = diff(&of(Some(before), Some(&old), &new, &[]).unwrap());
        assert!(all.contains("upstream/src/engine.py"));
    }
}
