//! The report for people: what is open first, with places and a way on.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::super::accepted::withdrawal;
use super::super::judge::{Item, Verdict};
use super::{Parts, Report, places, value};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

fn style(verdict: Verdict) -> Style {
    let color = match verdict {
        Verdict::Missing | Verdict::Unread => AnsiColor::Red,
        Verdict::Renamed | Verdict::Changed => AnsiColor::Yellow,
        Verdict::Retired | Verdict::Accepted => AnsiColor::Cyan,
        Verdict::Added => AnsiColor::Blue,
        Verdict::Kept => AnsiColor::Green,
    };
    Style::new().bold().fg_color(Some(color.into()))
}

impl Report {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{BOLD}{} → {}{BOLD:#}\n", self.old, self.new);
        self.summary(&mut out);
        let parts = self.parts();
        for item in self.open() {
            self.item(&mut out, item, &parts);
        }
        for entry in &self.stale {
            let red = style(Verdict::Missing);
            let _ = writeln!(
                out,
                "\n{red}stale{red:#} {BOLD}{}{BOLD:#}\n  The reason on record matches nothing that is open any more: {}\n  {BOLD}help{BOLD:#}: take it off the record with `{}`",
                entry.fact,
                entry.reason,
                self.commands.task("compare", &withdrawal(&entry.fact))
            );
        }
        if self.all {
            for item in self.items.iter().filter(|item| !item.open) {
                self.item(&mut out, item, &parts);
            }
        }
        for note in &self.notes {
            let _ = writeln!(out, "\n{BOLD}note{BOLD:#}: {note}");
        }
        self.unread(&mut out);
        if let Some(runs) = &self.executed {
            let _ = writeln!(
                out,
                "\n{BOLD}run{BOLD:#} {} times: {} variables do the same in both workers, {} differ as read, {} findings that only running shows",
                runs.scenarios, runs.alike, runs.as_read, runs.findings
            );
        }
        self.verdict(&mut out);
        out
    }

    /// The counts alone.
    pub fn summary_text(&self) -> String {
        let mut out = String::new();
        self.summary(&mut out);
        out
    }

    fn summary(&self, out: &mut String) {
        let columns = Verdict::ALL;
        let _ = write!(out, "{:24}", "");
        for verdict in columns {
            let _ = write!(out, "{:>9}", verdict.word());
        }
        let _ = writeln!(out, "{:>9}", "open");
        let mut row = |name: &str, items: &[&Item], style: Style| {
            let _ = write!(out, "{style}{name:24}");
            for verdict in columns {
                let count = items.iter().filter(|item| item.verdict == verdict).count();
                let cell = if count == 0 {
                    "·".to_owned()
                } else {
                    count.to_string()
                };
                let _ = write!(out, "{cell:>9}");
            }
            let open = items.iter().filter(|item| item.open).count();
            let cell = if open == 0 {
                "·".to_owned()
            } else {
                open.to_string()
            };
            let _ = writeln!(out, "{cell:>9}{style:#}");
        };
        for (area, name) in self.areas() {
            let items: Vec<&Item> = self
                .items
                .iter()
                .filter(|item| item.area() == area)
                .collect();
            row(name, &items, Style::new());
        }
        let all: Vec<&Item> = self.items.iter().collect();
        row("all", &all, BOLD);
    }

    fn item(&self, out: &mut String, item: &Item, parts: &Parts<'_>) {
        let style = style(item.verdict);
        let now = item
            .now
            .as_ref()
            .map(|id| format!(" → {id}"))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "\n{style}{}{style:#} {BOLD}{}{now}{BOLD:#}",
            item.verdict.word(),
            item.id
        );
        let mut sides = vec![("old", item.old.as_ref()), ("new", item.new.as_ref())];
        if let Some(upstream) = &self.upstream {
            sides.insert(1, ("upstream", upstream.get(&item.id)));
        }
        let width = if self.upstream.is_some() { 8 } else { 3 };
        for (side, fact) in sides {
            if let Some(fact) = fact {
                let _ = writeln!(
                    out,
                    "  {DIM}{side:width$}{DIM:#} {}{}{DIM}{}{DIM:#}",
                    value(fact),
                    if value(fact).is_empty() { "" } else { "  " },
                    places(Some(fact), 3)
                );
            } else if side == "upstream" {
                let _ = writeln!(out, "  {DIM}{side:width$} not there{DIM:#}");
            }
        }
        if !item.why.is_empty() {
            let _ = writeln!(out, "  {}", item.why);
        }
        if let Some(reason) = &item.reason {
            let _ = writeln!(out, "  {BOLD}reason{BOLD:#}: {reason}");
        } else if item.open && !item.help.is_empty() {
            let _ = writeln!(out, "  {BOLD}help{BOLD:#}: {}", item.help);
        }
        let parts = parts.get(item.id.as_str()).cloned().unwrap_or_default();
        if !parts.is_empty() {
            let _ = writeln!(out, "  {DIM}with it: {}{DIM:#}", parts.join(", "));
        }
    }

    fn unread(&self, out: &mut String) {
        let count: usize = self.unread.iter().map(|(_, unread)| unread.len()).sum();
        if count == 0 {
            return;
        }
        let _ = writeln!(out, "\n{BOLD}not read statically{BOLD:#}");
        for (side, unread) in &self.unread {
            for gap in unread {
                let _ = writeln!(
                    out,
                    "  {DIM}{side}{DIM:#} {}: {}",
                    gap.unread.place, gap.unread.what
                );
            }
        }
    }

    fn verdict(&self, out: &mut String) {
        let (open, stale) = (self.open().count(), self.stale.len());
        if open + stale == 0 {
            let green = style(Verdict::Kept);
            let _ = writeln!(out, "\n{green}Nothing is open.{green:#}");
            if let Some(cleanup) = &self.cleanup {
                let _ = writeln!(
                    out,
                    "Once that is committed, see whether outdated/ can go:\n  {cleanup}"
                );
            }
            return;
        }
        let stale = match stale {
            0 => String::new(),
            1 => ", and 1 reason on record is stale".to_owned(),
            n => format!(", and {n} reasons on record are stale"),
        };
        let red = style(Verdict::Missing);
        let _ = writeln!(out, "\n{red}{open} open{stale}.{red:#}");
        if let Some(item) = self.open().next() {
            let _ = writeln!(
                out,
                "Mend them, or record why one is meant:\n  {} --accept {} --reason \"…\"",
                self.command, item.id
            );
        }
    }
}
