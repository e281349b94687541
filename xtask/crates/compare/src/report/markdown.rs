//! The report as a comment on a pull request: short at first sight, the rest folded.

use std::fmt::Write as _;

use super::super::facts::value;
use super::super::judge::{Item, Verdict};
use super::{Report, places};

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
            let items: Vec<&Item> = self
                .items
                .iter()
                .filter(|item| item.verdict == verdict && !item.open && item.part_of.is_none())
                .collect();
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
            let _ = writeln!(
                out,
                "\nRun {} times: {} variables do the same in both workers, {} differ as read, {} findings that only running shows.",
                runs.scenarios, runs.alike, runs.as_read, runs.findings
            );
        }
        let unread: Vec<String> = self
            .unread
            .iter()
            .flat_map(|(side, unread)| {
                unread.iter().map(move |gap| {
                    format!(
                        "- {side} {}: {}",
                        code(&gap.unread.place.to_string()),
                        cell(&gap.unread.what)
                    )
                })
            })
            .collect();
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
        let upstream = self.upstream.is_some();
        let (head, line) = if upstream {
            (" upstream |", "---|")
        } else {
            ("", "")
        };
        let _ = writeln!(
            out,
            "| fact | | old |{head} now | why |\n|---|---|---|{line}---|---|"
        );
        for item in items {
            let now = item
                .now
                .as_ref()
                .map(|id| format!(" → {}", code(id)))
                .unwrap_or_default();
            let side = |fact: Option<&super::super::facts::Fact>| match fact {
                None => "—".to_owned(),
                Some(fact) => cell(&format!("{} {}", value(fact), places(Some(fact), 1))),
            };
            let middle = match &self.upstream {
                Some(facts) => format!(" {} |", side(facts.get(&item.id))),
                None => String::new(),
            };
            let why = item.reason.as_deref().unwrap_or(&item.why);
            let _ = writeln!(
                out,
                "| {}{now} | {} | {} |{middle} {} | {} |",
                code(&item.id),
                item.verdict.word(),
                side(item.old.as_ref()),
                side(item.new.as_ref()),
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
