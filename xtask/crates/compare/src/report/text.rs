//! The report for people: what is open first, with places and a way on.

use anstyle::{AnsiColor, Style};

use super::super::accepted::withdrawal;
use super::super::entries::Entry;
use super::super::facts::{Fact, value};
use super::super::judge::{Item, Verdict, few};
use super::super::own_changes::UPSTREAM;
use super::{Report, places};
use worker_files::Unread;
use xtask_core::output::{cut, section};

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

/// The same with a word and a colon before it.
fn marked(style: Style, word: &str, text: &str, indent: usize) -> String {
    let text = wrapped(&format!("{word}: {text}"), indent);
    text.replacen(word, &format!("{style}{word}{style:#}"), 1)
}

/// The value of a fact and where it is, for what is left of a line behind `indent` columns. Places
/// that leave no room for the value have lines of their own.
fn in_line(fact: &Fact, indent: usize) -> String {
    const SHORTEST: usize = 24;
    let width = WIDTH - indent;
    let value = value(fact);
    let fits = |places: &String| value.chars().count() + places.chars().count() + 2 <= width;
    let some = Some(places(fact, 3)).filter(fits);
    let places = some.unwrap_or_else(|| places(fact, 1));
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
        let mut out = format!("{BOLD}{}{BOLD:#}\n\n{}", self.title(), self.summary());
        let is_short = self.entries(&mut out);
        self.instead(&mut out);
        for entry in &self.stale {
            let (red, fact) = (style(Verdict::Missing), &entry.fact);
            let why = "The reason on record matches nothing that is open any more";
            let why = wrapped(&format!("{why}: {}", entry.reason), 2);
            let take_off = self.commands.task("compare", &withdrawal(fact));
            out += &format!("\n{red}stale{red:#} {BOLD}{fact}{BOLD:#}\n{why}\n");
            out += &format!("  {BOLD}help{BOLD:#}: take it off the record with `{take_off}`\n");
        }
        if self.all {
            for item in self.items.iter().filter(|item| !item.open) {
                self.item(&mut out, item, &[]);
            }
        }
        for note in &self.notes {
            out += &format!("\n{}\n", marked(BOLD, "note", note, 0));
        }
        self.unread(&mut out);
        if let Some(runs) = &self.executed {
            out += &format!("\n{BOLD}run{BOLD:#} {runs}\n");
        }
        self.verdict(&mut out, is_short);
        out
    }

    pub fn summary(&self) -> String {
        let (words, rows) = self.sums();
        let words: String = words.iter().map(|word| format!("{word:>9}")).collect();
        let row = |(name, counts): &(&str, [usize; 6])| {
            let style = if *name == "all" { BOLD } else { Style::new() };
            let cells = counts.map(|count| match count {
                0 => format!("{:>9}", "·"),
                count => format!("{count:>9}"),
            });
            format!("{style}{name:22}{}{style:#}\n", cells.concat())
        };
        let rows: String = rows.iter().map(row).collect();
        format!("{:22}{words}\n{rows}", "")
    }

    /// What is open, the most harmful first: up to ten entries in full, a line for each of the others. Of
    /// a fork its own changes come first, and of upstream's decisions only those are told in full
    /// that break endpoints. Whether there are such lines.
    fn entries(&self, out: &mut String) -> bool {
        const IN_FULL: usize = 10;
        // So that about a hundred lines hold all.
        const LAST_LINE: usize = 72;
        const BREAKS: [&str; 3] = ["env", "input", "route"];
        let entries = self.entries.iter();
        let (mut origin, mut is_list, mut is_short) = (None, false, false);
        for entry in entries.filter(|entry| !self.is_offered(entry)) {
            let Some(item) = self.item_of(&entry.id) else {
                continue;
            };
            if origin != entry.origin {
                (origin, is_list) = (entry.origin, false);
                *out += &format!("\n{BOLD}{}{BOLD:#}\n", self.heading(origin));
            }
            let is_folded = origin == Some(UPSTREAM) && !BREAKS.contains(&item.area());
            let is_early = entry.rank <= IN_FULL && out.lines().count() < LAST_LINE;
            if is_early && !is_folded || self.all {
                self.item(out, item, &entry.members[1..]);
                is_list = false;
                continue;
            }
            is_short = true;
            if !std::mem::replace(&mut is_list, true) {
                out.push('\n');
            }
            let more = match entry.members.len() {
                1 => String::new(),
                n => format!(" and {} with it", n - 1),
            };
            let (style, word, id) = (style(item.verdict), item.verdict.word(), &item.id);
            *out += &format!("{style}{word}{style:#} {id}{more}\n");
        }
        self.offers(out);
        is_short
    }

    /// What upstream has reasons for, by reason.
    fn offers(&self, out: &mut String) {
        let reasons = self.offered_by_reason();
        let Some(are) = self.offer() else { return };
        *out += &format!("\n{BOLD}{are}:{BOLD:#}\n");
        if !self.all {
            // The first of each reason stands for those that share it.
            let group = |ids: &Vec<&str>| match ids.as_slice() {
                [first] => (*first).to_owned(),
                [first, more @ ..] => format!("{first} and {} more", more.len()),
                [] => String::new(),
            };
            let groups: Vec<String> = reasons.values().map(group).collect();
            let take = format!("{} --accept-upstream", self.command);
            *out += &format!("{}\n", wrapped(&groups.join(", "), 2));
            *out += &format!("Read why with --all, and take them with:\n  {take}\n");
            return;
        }
        for (reason, ids) in reasons {
            let (ids, reason) = (wrapped(&ids.join(", "), 2), wrapped(reason, 4));
            *out += &format!("{ids}\n{DIM}{reason}{DIM:#}\n");
        }
        let take = format!("{} --accept-upstream", self.command);
        *out += &format!("Look at them, and take them with:\n  {take}\n");
    }

    /// Variables and fixed flags that retired and that another variable stands in for.
    fn instead(&self, out: &mut String) {
        let items = self.replaced();
        let line = |item: &Item| wrapped(&format!("{}: {}", item.id, item.help), 2) + "\n";
        *out += &section("retired, with something to set instead", items.map(line));
    }

    fn item(&self, out: &mut String, item: &Item, parts: &[String]) {
        let (style, word, id) = (style(item.verdict), item.verdict.word(), &item.id);
        let now = item.now.as_ref().map(|id| format!(" → {id}"));
        let now = now.unwrap_or_default();
        *out += &format!("\n{style}{word}{style:#} {BOLD}{id}{now}{BOLD:#}\n");
        let width = if self.upstream.is_some() { 8 } else { 3 };
        for (side, fact) in self.sides(item) {
            *out += &match fact {
                Some(_) if side == "upstream" && item.new.as_ref() == fact => continue,
                Some(fact) => {
                    let line = in_line(fact, width + 3);
                    format!("  {DIM}{side:width$}{DIM:#} {line}\n")
                }
                None if side == "upstream" => format!("  {DIM}{side:width$} not there{DIM:#}\n"),
                None => continue,
            };
        }
        if !item.why.is_empty() {
            *out += &(wrapped(&item.why, 2) + "\n");
        }
        if let Some(reason) = &item.reason {
            *out += &format!("  {BOLD}reason{BOLD:#}: {reason}\n");
        } else if item.open && !item.help.is_empty() {
            *out += &(marked(BOLD, "help", &item.help, 2) + "\n");
        }
        if !parts.is_empty() {
            let fits = |names: &String| "  with it: ".len() + names.chars().count() <= WIDTH;
            let with_it = (1..=6).rev().map(|most| few(parts, most)).find(fits);
            let with_it = with_it.unwrap_or_else(|| few(parts, 1));
            *out += &format!("  {DIM}with it: {with_it}{DIM:#}\n");
        }
    }

    fn unread(&self, out: &mut String) {
        let line = |(side, gap): (&str, &Unread)| {
            let text = wrapped(&format!("{side} {}: {}", gap.place, gap.what), 2);
            text.replacen(side, &format!("{DIM}{side}{DIM:#}"), 1) + "\n"
        };
        *out += &section("not read statically", self.gaps().map(line));
    }

    fn verdict(&self, out: &mut String, is_short: bool) {
        let is_clean = self.failures() == 0;
        let style = style([Verdict::Missing, Verdict::Kept][usize::from(is_clean)]);
        *out += &format!("\n{style}{}{style:#}\n", self.sentence());
        if let Some(Entry { id, .. }) = self.entries.first() {
            match self.acceptance(id) {
                Some(accept) => {
                    *out += &format!("Fix them, or record why one is intended:\n  {accept}\n");
                }
                None => {
                    *out += "Fix them; in a checkout of the new worker reasons can be recorded.\n";
                }
            }
            if is_short {
                let all = format!("{} --all", self.command);
                *out += &format!("Why each of the short lines is open:\n  {all}\n");
            }
        } else if let Some(cleanup) = self.cleanup.as_ref().filter(|_| is_clean) {
            let then = "Once that is committed, see whether outdated/ can go";
            *out += &format!("{then}:\n  {cleanup}\n");
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
