//! The report as a comment on a pull request: short at first sight, the rest folded.

use std::fmt::Write as _;

use super::super::facts::{Fact, value};
use super::super::judge::{Item, Verdict};
use super::{Report, places};
use worker_files::Unread;

impl Report {
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let open: Vec<&Item> = self.open().collect();
        let _ = writeln!(out, "### Compared with {}\n", code(&self.old));
        let counts: Vec<String> = Verdict::ALL
            .iter()
            .map(|verdict| (verdict, self.count(*verdict)))
            .filter(|(_, count)| *count > 0)
            .map(|(verdict, count)| format!("{count} {}", verdict.word()))
            .collect();
        let state = match self.failures() {
            0 => "Nothing is open".to_owned(),
            n => format!("**{n} open**"),
        };
        let _ = writeln!(out, "{state}: {}.\n", counts.join(", "));
        if !open.is_empty() {
            self.table(&mut out, &open);
        }
        for entry in &self.stale {
            let _ = writeln!(
                out,
                "- stale reason for {}: {}",
                code(&entry.fact),
                cell(&entry.reason)
            );
        }
        for verdict in [Verdict::Accepted, Verdict::Retired, Verdict::Added] {
            let items = self.closed(verdict);
            if items.is_empty() {
                continue;
            }
            let _ = writeln!(
                out,
                "\n<details><summary>{} {}</summary>\n",
                items.len(),
                verdict.word()
            );
            self.table(&mut out, &items);
            out.push_str("\n</details>\n");
        }
        if let Some(runs) = &self.executed {
            let _ = writeln!(out, "\nRun {runs}.");
        }
        let line = |(side, gap): (&str, &Unread)| {
            format!(
                "- {side} {}: {}",
                code(&gap.place.to_string()),
                cell(&gap.what)
            )
        };
        let unread: Vec<String> = self.gaps().map(line).collect();
        if !unread.is_empty() {
            let _ = writeln!(
                out,
                "\n<details><summary>{} not read statically</summary>\n\n{}\n\n</details>",
                unread.len(),
                unread.join("\n")
            );
        }
        shortened(out)
    }

    fn table(&self, out: &mut String, items: &[&Item]) {
        let (head, line) = match self.upstream {
            Some(_) => (" upstream |", "---|"),
            None => ("", ""),
        };
        let _ = writeln!(
            out,
            "| fact | | old |{head} now | why |\n|---|---|---|{line}---|---|"
        );
        for item in items {
            let now = item.now.as_ref().map(|id| format!(" → {}", code(id)));
            let side = |(_, fact): (_, Option<&Fact>)| match fact {
                None => "—".to_owned(),
                Some(known) => cell(&format!("{} {}", value(known), places(fact, 1))),
            };
            let sides: Vec<String> = self.sides(item).into_iter().map(side).collect();
            let why = item.reason.as_deref().unwrap_or(&item.why);
            let _ = writeln!(
                out,
                "| {}{} | {} | {} | {} |",
                code(&item.id),
                now.unwrap_or_default(),
                item.verdict.word(),
                sides.join(" | "),
                cell(why)
            );
        }
    }
}

/// Text in a table's cell: nothing in it ends the cell or is markup.
fn cell(text: &str) -> String {
    let mut out = String::new();
    for c in text.trim().chars() {
        match c {
            '|' | '<' | '>' | '*' | '_' | '[' | ']' | '\\' | '`' | '@' | '#' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn code(text: &str) -> String {
    format!(
        "`{}`",
        text.replace('`', "'")
            .replace('|', "\\|")
            .replace('\n', " ")
    )
}

/// A comment may have 65,536 characters; what is beyond is cut at a line's end and said.
fn shortened(text: String) -> String {
    const LONGEST: usize = 60_000;
    if text.len() <= LONGEST {
        return text;
    }
    let mut kept = String::new();
    for line in text.split_inclusive('\n') {
        if kept.len() + line.len() > LONGEST {
            break;
        }
        kept.push_str(line);
    }
    let folded = kept.matches("<details>").count() > kept.matches("</details>").count();
    if folded {
        kept.push_str("\n</details>\n");
    }
    kept.push_str("\nThe rest doesn't fit into a comment: run `cargo xtask compare --all`.\n");
    kept
}
