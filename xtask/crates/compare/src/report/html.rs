//! The report as one page for a browser: no script, and nothing from elsewhere. All that others
//! wrote goes through [`escaped`](super::markup::escaped).

use std::fmt::Write as _;

use super::super::facts::{Fact, value};
use super::super::judge::{Item, Verdict};
use super::super::pairs::Pair;
use super::Report;
use super::columns::{Columns, Linked, RowKind};
use super::markup::{anchor, escaped, prose};
use worker_files::{Place, Unread};

const STYLE: &str = include_str!("page.css");

/// Lines around a change that are not folded.
const CONTEXT: usize = 3;
/// The longest stretch of lines that only one side has and that is not folded.
const SHOWN: usize = 60;

impl Report {
    pub fn html(&self, pairs: &[Pair]) -> String {
        let all: Vec<Columns> = pairs.iter().map(Columns::of).collect();
        let (same, columns): (Vec<_>, Vec<_>) = all.iter().partition(|it| it.is_same());
        let page = Page {
            report: self,
            linked: self.linked(&columns),
        };
        let mut out = String::new();
        let title = escaped(&self.title());
        let _ = write!(
            out,
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>compare: {title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
        );
        page.summary(&mut out);
        page.entries(&mut out);
        page.rest(&mut out);
        page.files(&mut out, &columns, &same);
        out.push_str("</body></html>\n");
        out
    }

    /// The lines that facts were read from and that the page shows.
    fn linked<'a>(&'a self, columns: &[&Columns<'a>]) -> Linked<'a> {
        let mut wanted = Linked::new();
        for item in &self.items {
            for (side, fact) in self.sides(item) {
                let places = fact.into_iter().flat_map(|fact| &fact.places);
                wanted.extend(places.map(|place| (side, &place.file, place.line)));
            }
        }
        let shown = columns.iter().flat_map(|columns| {
            let sides = columns.sides.iter().enumerate();
            sides.flat_map(|(at, side)| {
                let lines = columns.lines(at);
                lines.map(|line| (*side, line.file, line.number))
            })
        });
        shown.filter(|line| wanted.contains(line)).collect()
    }
}

struct Page<'a> {
    report: &'a Report,
    /// The lines that can be linked to.
    linked: Linked<'a>,
}

impl Page<'_> {
    fn summary(&self, out: &mut String) {
        let report = self.report;
        let class = if report.failures() == 0 {
            "kept"
        } else {
            "missing"
        };
        let said = format!("<b class=\"{class}\">{}</b>", report.sentence());
        let _ = writeln!(out, "<p>{said}</p>\n<table class=\"sums\">\n<tr><th></th>");
        let (words, rows) = report.sums();
        out.extend(words.iter().map(|word| format!("<th>{word}</th>")));
        for (name, counts) in rows {
            let all = if name == "all" { " class=\"all\"" } else { "" };
            let _ = write!(out, "</tr>\n<tr{all}><th>{name}</th>");
            out.extend(counts.iter().map(|count| match count {
                0 => "<td>·</td>".to_owned(),
                count => format!("<td>{count}</td>"),
            }));
        }
        out.push_str("</tr>\n</table>\n");
        for note in &report.notes {
            let _ = writeln!(out, "<p><b>note</b>: {}</p>", prose(note));
        }
        if let Some(runs) = &report.executed {
            let _ = writeln!(out, "<p>Run {runs}.</p>");
        }
    }

    /// What is open, the most harmful first.
    fn entries(&self, out: &mut String) {
        let entries = &self.report.entries;
        if let Some(first) = entries.first() {
            let _ = writeln!(
                out,
                "<h2>Open</h2>\n<p>Fix them, or record why one is intended:</p>\n<pre>{}</pre>",
                escaped(&self.report.acceptance(&first.id))
            );
        }
        for entry in entries {
            let members = entry.members.iter();
            let members: Vec<&Item> = members.filter_map(|id| self.report.item_of(id)).collect();
            if let [item, members @ ..] = members.as_slice() {
                self.item(out, item, members, entry.origin);
            }
        }
    }

    fn item(&self, out: &mut String, item: &Item, members: &[&Item], origin: Option<&str>) {
        let word = item.verdict.word();
        let now = item
            .now
            .as_ref()
            .map(|id| format!(" → <code>{}</code>", escaped(id)));
        let origin = origin.map(|origin| format!(" <small>{}</small>", escaped(origin)));
        let _ = write!(
            out,
            "<article><h3><span class=\"word {word}\">{word}</span><code>{}</code>{}{}</h3>\n<dl>",
            escaped(&item.id),
            now.unwrap_or_default(),
            origin.unwrap_or_default()
        );
        for (side, fact) in self.report.sides(item) {
            let _ = match fact {
                Some(fact) => write!(
                    out,
                    "<dt>{side}</dt><dd><code>{}</code> {}</dd>",
                    escaped(&value(fact)),
                    self.places(side, fact)
                ),
                None => write!(out, "<dt>{side}</dt><dd class=\"dim\">not there</dd>"),
            };
        }
        let _ = writeln!(out, "</dl><p>{}</p>", prose(&item.why));
        if let Some(reason) = &item.reason {
            let _ = writeln!(out, "<p><b>reason</b>: {}</p>", prose(reason));
        } else if item.open && !item.help.is_empty() {
            let _ = writeln!(out, "<p><b>help</b>: {}</p>", prose(&item.help));
        }
        if !members.is_empty() {
            let _ = write!(
                out,
                "<details><summary><small>and {} with it</small></summary>\n<ul>",
                members.len()
            );
            for member in members {
                let (side, fact) = match &member.old {
                    Some(fact) => ("old", Some(fact)),
                    None => ("new", member.new.as_ref()),
                };
                let places = fact.map(|fact| self.places(side, fact)).unwrap_or_default();
                let word = member.verdict.word();
                let _ = writeln!(
                    out,
                    "<li><span class=\"{word}\">{word}</span> <code>{}</code> {places} {}</li>",
                    escaped(&member.id),
                    prose(&member.why)
                );
            }
            out.push_str("</ul></details>");
        }
        out.push_str("</article>\n");
    }

    /// Where a fact was read, with links into the files below.
    fn places(&self, side: &str, fact: &Fact) -> String {
        let place = |place: &Place| {
            let text = escaped(&place.to_string());
            if self.linked.contains(&(side, &place.file, place.line)) {
                let anchor = anchor(side, &place.file, place.line);
                format!("<a href=\"#{anchor}\">{text}</a>")
            } else {
                format!("<span class=\"dim\">{text}</span>")
            }
        };
        fact.places.iter().map(place).collect::<Vec<_>>().join(", ")
    }

    /// What is not open, folded by verdict; what is stale; what was not read.
    fn rest(&self, out: &mut String) {
        for entry in &self.report.stale {
            let _ = writeln!(
                out,
                "<article><h3><span class=\"word stale\">stale</span><code>{}</code></h3><p>The reason on record matches nothing that is open any more: {}</p></article>",
                escaped(&entry.fact),
                prose(&entry.reason)
            );
        }
        for verdict in [
            Verdict::Accepted,
            Verdict::Retired,
            Verdict::Added,
            Verdict::Kept,
        ] {
            let items = self.report.closed(verdict);
            if items.is_empty() {
                continue;
            }
            let _ = writeln!(
                out,
                "<details><summary><h3>{} {}</h3></summary>",
                items.len(),
                verdict.word()
            );
            for item in items {
                self.item(out, item, &[], None);
            }
            out.push_str("</details>\n");
        }
        let line = |(side, gap): (&str, &Unread)| {
            let place = escaped(&gap.place.to_string());
            format!("<li>{side} <code>{place}</code>: {}</li>", prose(&gap.what))
        };
        let lines: Vec<String> = self.report.gaps().map(line).collect();
        if !lines.is_empty() {
            let _ = writeln!(
                out,
                "<details><summary><h3>{} not read statically</h3></summary>\n<ul>{}</ul></details>",
                lines.len(),
                lines.join("\n")
            );
        }
    }

    fn files(&self, out: &mut String, columns: &[&Columns], same: &[&Columns]) {
        out.push_str("<h2>Files</h2>\n");
        if columns.iter().any(|columns| columns.sides.len() == 3) {
            out.push_str("<input type=\"checkbox\" class=\"up\" id=\"up\"><label for=\"up\"> without upstream's column</label>\n");
        }
        out.push_str("<section>\n");
        for columns in columns {
            self.columns(out, columns);
        }
        if !same.is_empty() {
            let names: Vec<String> = same
                .iter()
                .map(|columns| format!("<code>{}</code>", columns.names(columns.sides.len() - 1)))
                .collect();
            let _ = writeln!(
                out,
                "<p class=\"dim\">The same on every side: {}</p>",
                names.join(", ")
            );
        }
        out.push_str("</section>\n");
    }

    /// A file pair, with what is the same and what stands alone at length folded.
    fn columns(&self, out: &mut String, columns: &Columns) {
        const OPEN: &str = "<table class=\"side\">";
        let sides = 0..columns.sides.len();
        let names: Vec<String> = sides.map(|side| columns.names(side)).collect();
        let mut title = names.clone();
        title.dedup();
        let _ = writeln!(
            out,
            "<details class=\"pair\" open><summary><h3>{}</h3></summary>\n{OPEN}<thead><tr>",
            title.join(" → ")
        );
        for (side, names) in columns.sides.iter().zip(&names) {
            let _ = write!(out, "<th class=\"{}\">{side}: {names}</th>", &side[..1]);
        }
        out.push_str("</tr></thead>\n");
        let count = columns.rows.len();
        let mut from = 0;
        while from < count {
            let kind = columns.kind(from);
            let to = (from..count)
                .find(|row| columns.kind(*row) != kind)
                .unwrap_or(count);
            let (head, tail) = match kind {
                RowKind::Same => (
                    if from == 0 { 0 } else { CONTEXT },
                    if to == count { 0 } else { CONTEXT },
                ),
                RowKind::Alone(_) if to - from > SHOWN => (CONTEXT, CONTEXT),
                _ => (to - from, 0),
            };
            let (mut begin, mut end) = (from + head, to.saturating_sub(tail));
            if begin + 1 >= end {
                (begin, end) = (to, to);
            }
            columns.write(out, from..begin, &self.linked);
            if begin < end {
                let what = match kind {
                    RowKind::Alone(side) => format!("only {}", columns.sides[side]),
                    _ => "unchanged".to_owned(),
                };
                let _ = writeln!(
                    out,
                    "</table><details class=\"fold\"><summary>{} lines {what}</summary>{OPEN}",
                    end - begin
                );
                columns.write(out, begin..end, &self.linked);
                let _ = writeln!(out, "</table></details>{OPEN}");
                columns.write(out, end..to, &self.linked);
            }
            from = to;
        }
        out.push_str("</table></details>\n");
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pairs::{OldFiles, of};
    use super::super::super::tests::{compared, legacy, modern, report};
    use super::*;
    use xtask_core::tree::Memory;

    fn page(old: &Memory, upstream: Option<&Memory>, new: &Memory) -> String {
        let items = compared(old, new);
        let before = OldFiles {
            tree: old,
            is_whole: true,
        };
        let upstream = upstream.map(|tree| tree as &dyn xtask_core::tree::Tree);
        let pairs = of(Some(before), upstream, new, &items).unwrap();
        report(items).html(&pairs)
    }

    #[test]
    fn foreign_text_is_neither_markup_nor_does_it_turn_the_page_about() {
        assert_eq!(
            escaped("<b a=\"x\" b='y'>&amp;\u{202e}\u{1b}[2J\0"),
            "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;amp;\\u202e\\u001b[2J\\u0000"
        );
        assert_eq!(prose("set `<A>`, or"), "set <code>&lt;A&gt;</code>, or");
        assert_eq!(prose("a ` <"), "a ` &lt;");
        assert!(!anchor("old", &"a b\"<.py".into(), 3).contains([' ', '"', '<']));
    }

    #[test]
    fn nothing_of_a_hostile_worker_gets_into_the_markup() {
        let evil = "</table><script>alert(1)</script>\u{202e}";
        let old = legacy()
            .with(
                "src/utils.py",
                format!("# {evil}\nimport os\nos.getenv('{evil}')\n"),
            )
            .with(&format!("src/{evil}.py"), "x = 1\n");
        let html = page(&old, None, &modern());
        assert!(!html.contains("<script"), "{html}");
        assert!(!html.contains('\u{202e}'));
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u202e"));
    }

    #[test]
    fn the_page_stands_alone_and_holds_entries_and_files() {
        let html = page(&legacy(), None, &modern());
        for part in [
            "default-src 'none'",
            "<span class=\"word renamed\">renamed</span><code>env:MODEL_NAME</code> → <code>env:MODEL_PATH</code>",
            "<a href=\"#old-src/engine.py-",
            "<details class=\"pair\" open><summary><h3>src/engine.py → engine.py</h3>",
            "<th class=\"o\">old: src/engine.py</th><th class=\"n\">new: engine.py</th>",
            "&quot;<del>MODEL_NAME</del>&quot;: &quot;--model-path&quot;,",
            "&quot;<ins>MODEL_PATH</ins>&quot;: &quot;--model-path&quot;,",
        ] {
            assert!(html.contains(part), "no {part} in {html}");
        }
        for from_elsewhere in [
            "http:", "https:", "src=", "url(", "@import", "<script", "<link",
        ] {
            let marked = html.split("<h2>Files").next().unwrap();
            assert!(!marked.contains(from_elsewhere), "{from_elsewhere}");
        }
        // Each link leads to a line that is there, once.
        for link in html.split("href=\"#").skip(1) {
            let target = format!(" id=\"{}\"", link.split('"').next().unwrap());
            assert_eq!(html.matches(&target).count(), 1, "{target}");
        }
        let opened = |tag: &str| html.matches(&format!("<{tag}")).count();
        let closed = |tag: &str| html.matches(&format!("</{tag}>")).count();
        for tag in ["table", "details", "article", "tr", "td", "section"] {
            assert_eq!(opened(tag), closed(tag), "{tag}");
        }
    }

    #[test]
    fn an_upstream_is_a_column_between_them_and_own_lines_stand_out() {
        let old = Memory::new().with("src/handler.py", "a = 1\nb = 2\nmine = 3\n");
        let upstream = Memory::new().with("handler.py", "a = 1\nb = 20\n");
        let new = Memory::new().with("handler.py", "a = 1\nb = 20\nmine = 3\n");
        let html = page(&old, Some(&upstream), &new);
        assert!(
            html.contains("<th class=\"u\">upstream: handler.py</th>"),
            "{html}"
        );
        assert!(html.contains("<td class=\"o c\" data-n=\"2\">b = <del>2</del></td><td class=\"u e\" data-n=\"2\">b = 20</td><td class=\"n c\" data-n=\"2\">b = <ins>20</ins></td>"), "{html}");
        assert!(
            html.contains(
                "<td class=\"u x\"></td><td class=\"n e own\" data-n=\"3\">mine = 3</td>"
            ),
            "{html}"
        );
    }
}
