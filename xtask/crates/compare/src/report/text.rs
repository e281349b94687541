//! The report for people: what is open first, with places and a way on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use super::super::accepted::withdrawal;
use super::super::entries::Entry;
use super::super::facts::{Fact, value};
use super::super::judge::{Item, Verdict, few};
use super::super::own_changes::{FORK, UPSTREAM};
use super::{Report, places};
use xtask_core::output::cut;
use xtask_core::tree::short;

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

/// How many columns the text has, where a word of it is not longer.
const WIDTH: usize = 80;

/// A text in lines that begin with as many spaces.
fn wrapped(text: &str, indent: usize) -> String {
    // What stands in backquotes is copied, so it stays on one line.
    let mut words: Vec<String> = Vec::new();
    for piece in text.split(' ') {
        let is_open = |word: &&mut String| {
            word.matches('`').count() % 2 == 1 && indent + word.len() + piece.len() < WIDTH
        };
        match words.last_mut().filter(is_open) {
            Some(word) => *word += &format!(" {piece}"),
            None => words.push(piece.to_owned()),
        }
    }
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        let wide = word.chars().count();
        match lines.last_mut() {
            Some(line) if line.chars().count() + wide < WIDTH => *line += &format!(" {word}"),
            _ => lines.push(format!("{:indent$}{word}", "")),
        }
    }
    lines.join("\n")
}

/// The value of a fact and where it is, for what is left of a line behind `indent` columns. Places
/// that leave no room for the value have lines of their own.
fn in_line(fact: &Fact, indent: usize) -> String {
    const SHORTEST: usize = 24;
    let width = WIDTH - indent;
    let value = value(fact);
    let fits = |places: &String| value.chars().count() + places.chars().count() + 2 <= width;
    let some = Some(places(Some(fact), 3)).filter(fits);
    let places = some.unwrap_or_else(|| places(Some(fact), 1));
    let room = width.saturating_sub(places.chars().count() + 2);
    if value.is_empty() {
        format!("{DIM}{}{DIM:#}", wrapped(&places, indent).trim_start())
    } else if room < SHORTEST.min(value.chars().count()) {
        let places = wrapped(&places, indent);
        format!("{}\n{DIM}{places}{DIM:#}", cut(&value, width - 1))
    } else {
        format!("{}  {DIM}{places}{DIM:#}", cut(&value, room - 1))
    }
}

impl Report {
    pub fn text(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}\n", self.title());
        out += &self.summary();
        self.entries(&mut out);
        self.instead(&mut out);
        for entry in &self.stale {
            let red = style(Verdict::Missing);
            let (fact, reason) = (&entry.fact, &entry.reason);
            let take_off = self.commands.task("compare", &withdrawal(fact));
            let _ = writeln!(
                out,
                "\n{red}stale{red:#} {BOLD}{fact}{BOLD:#}\n{}\n  {BOLD}help{BOLD:#}: take it off the record with `{take_off}`",
                wrapped(
                    &format!(
                        "The reason on record matches nothing that is open any more: {reason}"
                    ),
                    2
                ),
            );
        }
        if self.all {
            for item in self.items.iter().filter(|item| !item.open) {
                self.item(&mut out, item, &[]);
            }
        }
        for note in &self.notes {
            let note = wrapped(&format!("note: {note}"), 0);
            let bold = format!("{BOLD}note{BOLD:#}:");
            let _ = writeln!(out, "\n{}", note.replacen("note:", &bold, 1));
        }
        self.unread(&mut out);
        if let Some(runs) = &self.executed {
            let _ = writeln!(out, "\n{BOLD}run{BOLD:#} {runs}");
        }
        self.verdict(&mut out);
        out
    }

    pub fn summary(&self) -> String {
        let (words, rows) = self.sums();
        let mut out = " ".repeat(22);
        for word in words {
            let _ = write!(out, "{word:>9}");
        }
        out.push('\n');
        for (name, counts) in rows {
            let style = if name == "all" { BOLD } else { Style::new() };
            let _ = write!(out, "{style}{name:22}");
            for count in counts {
                let cell = Some(count.to_string()).filter(|_| count > 0);
                let _ = write!(out, "{:>9}", cell.as_deref().unwrap_or("·"));
            }
            let _ = writeln!(out, "{style:#}");
        }
        out
    }

    /// What is open, the most harmful first: up to ten entries in full, a line for each of the others. Of
    /// a fork its own changes come first, and of upstream's decisions only those are told in full
    /// that break endpoints.
    fn entries(&self, out: &mut String) {
        const IN_FULL: usize = 10;
        // So that about a hundred lines hold all.
        const LAST_LINE: usize = 72;
        const BREAKS: [&str; 3] = ["env", "input", "route"];
        let entries = self.entries.iter();
        let mut origin = None;
        let mut is_list = false;
        for entry in entries.filter(|entry| !self.is_offered(entry)) {
            let Some(item) = self.item_of(&entry.id) else {
                continue;
            };
            if origin != entry.origin {
                origin = entry.origin;
                is_list = false;
                let _ = writeln!(out, "\n{BOLD}{}{BOLD:#}", self.heading(origin));
            }
            let is_folded = origin == Some(UPSTREAM) && !BREAKS.contains(&item.area());
            let is_early = entry.rank <= IN_FULL && out.lines().count() < LAST_LINE;
            if is_early && !is_folded || self.all {
                self.item(out, item, &entry.members[1..]);
                is_list = false;
                continue;
            }
            if !std::mem::replace(&mut is_list, true) {
                out.push('\n');
            }
            let more = match entry.members.len() {
                1 => String::new(),
                n => format!(" and {} with it", n - 1),
            };
            let (style, word, id) = (style(item.verdict), item.verdict.word(), &item.id);
            let _ = writeln!(out, "{style}{word}{style:#} {id}{more}");
        }
        self.offers(out);
    }

    fn heading(&self, origin: Option<&str>) -> String {
        if origin != Some(FORK) {
            return "Upstream's decisions".to_owned();
        }
        let base = self.old.base.as_ref().map_or("", |base| &base.commit);
        format!("This fork's own changes since {}", short(base))
    }

    /// Whether upstream has a reason for all that is open in an entry.
    fn is_offered(&self, entry: &Entry) -> bool {
        let open = |id: &String| self.item_of(id).is_some_and(|item| item.open);
        let mut open = entry.members.iter().filter(|id| open(id)).peekable();
        open.peek().is_some() && open.all(|id| self.offered.contains_key(id))
    }

    /// What upstream has reasons for, by reason.
    fn offers(&self, out: &mut String) {
        if self.offered.is_empty() {
            return;
        }
        let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (id, reason) in &self.offered {
            reasons.entry(reason).or_default().push(id);
        }
        let are = match self.offered.len() {
            1 => "1 is upstream's decision".to_owned(),
            n => format!("{n} are upstream's decisions"),
        };
        let _ = writeln!(out, "\n{BOLD}{are}:{BOLD:#}");
        for (reason, ids) in reasons {
            let (ids, reason) = (wrapped(&ids.join(", "), 2), wrapped(reason, 4));
            let _ = writeln!(out, "{ids}\n{DIM}{reason}{DIM:#}");
        }
        let take = self.commands.task("compare", "--accept-upstream");
        let _ = writeln!(out, "Look at them, and take them with:\n  {take}");
    }

    /// Variables that retired and that another one stands in for.
    fn instead(&self, out: &mut String) {
        let is_retired = |item: &&Item| item.verdict == Verdict::Retired && !item.open;
        let items = self.items.iter().filter(is_retired);
        let items = items.filter(|item| item.area() == "env" && item.help.starts_with("Set "));
        let items: Vec<&Item> = items.collect();
        if !items.is_empty() {
            let heading = "retired, with something to set instead";
            let _ = writeln!(out, "\n{BOLD}{heading}{BOLD:#}");
        }
        for item in items {
            let line = wrapped(&format!("{}: {}", item.id, item.help), 2);
            let _ = writeln!(out, "{line}");
        }
    }

    fn item(&self, out: &mut String, item: &Item, parts: &[String]) {
        let (style, word, id) = (style(item.verdict), item.verdict.word(), &item.id);
        let now = item.now.as_ref().map(|id| format!(" → {id}"));
        let now = now.unwrap_or_default();
        let _ = writeln!(out, "\n{style}{word}{style:#} {BOLD}{id}{now}{BOLD:#}");
        let width = if self.upstream.is_some() { 8 } else { 3 };
        for (side, fact) in self.sides(item) {
            if let Some(fact) = fact {
                let is_upstreams = side == "upstream" && item.new.as_ref() == Some(fact);
                if is_upstreams {
                    continue;
                }
                let line = in_line(fact, width + 3);
                let _ = writeln!(out, "  {DIM}{side:width$}{DIM:#} {line}");
            } else if side == "upstream" {
                let _ = writeln!(out, "  {DIM}{side:width$} not there{DIM:#}");
            }
        }
        if !item.why.is_empty() {
            let _ = writeln!(out, "{}", wrapped(&item.why, 2));
        }
        if let Some(reason) = &item.reason {
            let _ = writeln!(out, "  {BOLD}reason{BOLD:#}: {reason}");
        } else if item.open && !item.help.is_empty() {
            let help = wrapped(&format!("help: {}", item.help), 2);
            let bold = format!("{BOLD}help{BOLD:#}:");
            let _ = writeln!(out, "{}", help.replacen("help:", &bold, 1));
        }
        if !parts.is_empty() {
            let fits = |names: &String| "  with it: ".len() + names.chars().count() <= WIDTH;
            let with_it = (1..=6).rev().map(|most| few(parts, most)).find(fits);
            let with_it = with_it.unwrap_or_else(|| few(parts, 1));
            let _ = writeln!(out, "  {DIM}with it: {with_it}{DIM:#}");
        }
    }

    fn unread(&self, out: &mut String) {
        if self.gaps().next().is_some() {
            let _ = writeln!(out, "\n{BOLD}not read statically{BOLD:#}");
        }
        for (side, gap) in self.gaps() {
            let gap = wrapped(&format!("{side} {}: {}", gap.place, gap.what), 2);
            let dim = format!("{DIM}{side}{DIM:#}");
            let _ = writeln!(out, "{}", gap.replacen(side, &dim, 1));
        }
    }

    fn verdict(&self, out: &mut String) {
        let is_clean = self.failures() == 0;
        let style = style(if is_clean {
            Verdict::Kept
        } else {
            Verdict::Missing
        });
        let _ = writeln!(out, "\n{style}{}{style:#}", self.sentence());
        if let Some(Entry { id, .. }) = self.entries.first() {
            let _ = writeln!(out, "Fix them, or record why one is intended:");
            let _ = writeln!(out, "  {}", self.acceptance(id));
        } else if let Some(cleanup) = self.cleanup.as_ref().filter(|_| is_clean) {
            let _ = writeln!(out, "Once that is committed, see whether outdated/ can go:");
            let _ = writeln!(out, "  {cleanup}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use worker_files::Place;

    #[test]
    fn no_line_of_a_fact_is_wider_than_the_text() {
        let place = |name: &str| Place::start_of(&name.into());
        let long = "deployments/production/overlays/europe/start_the_worker";
        let names =
            [".sh", "_again.sh", "_a_third_time.sh", "_more.sh"].map(|end| format!("{long}{end}"));
        let of = |value: &str, names: &[String]| {
            let places = names.iter().map(|name| place(name)).collect();
            in_line(&Fact::single("value", value.to_owned(), places), 11)
        };
        for value in [
            "",
            "1",
            "a value that is as long as a sentence, and then some words more of it",
        ] {
            for count in 1..=names.len() {
                let shown = of(value, &names[..count]);
                let shown = anstream::adapter::strip_str(&shown).to_string();
                for (at, line) in shown.lines().enumerate() {
                    let indent = if at == 0 { 11 } else { 0 };
                    assert!(line.chars().count() + indent <= WIDTH, "{shown}");
                }
                let more = format!(", and {} more", count - 1);
                assert!(
                    count == 1 || shown.replace("\n          ", "").contains(&more),
                    "{shown}"
                );
            }
        }
        assert_eq!(
            anstream::adapter::strip_str(&of("1", &["a.sh".to_owned()])).to_string(),
            "1  a.sh:1:1"
        );
    }
}
