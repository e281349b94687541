//! The report as one page for a browser: no script, and nothing from elsewhere. All that others
//! wrote goes through [`escaped`](super::markup::escaped).

use std::collections::HashSet;

use super::super::facts::{Fact, value};
use super::super::judge::{Item, Verdict};
use super::super::pairs::Pair;
use super::Report;
use super::columns::{Columns, Linked, RowKind};
use super::markup::{anchor, escaped, prose};
use worker_files::{Place, Unread};
use xtask_core::tree::RepoPath;

const STYLE: &str = include_str!("page.css");

/// Lines around a change that are not folded.
const CONTEXT: usize = 3;
/// The longest stretch of lines that only one side has and that is not folded.
const SHOWN: usize = 60;

impl Report {
    pub fn html(&self, pairs: &[Pair]) -> String {
        let all: Vec<Columns> = pairs.iter().map(Columns::of).collect();
        // An unchanged script may hold a loss, because nothing starts it any more.
        let lost = self.open().filter_map(|item| item.old.as_ref());
        let lost: HashSet<&RepoPath> = lost
            .flat_map(|fact| fact.places.iter().map(|place| &place.file))
            .collect();
        let holds_lost =
            |it: &Columns| it.sides[0] == "old" && it.lines(0).any(|line| lost.contains(line.file));
        let (same, columns): (Vec<_>, Vec<_>) =
            all.iter().partition(|it| it.is_same() && !holds_lost(it));
        let page = Page {
            report: self,
            linked: self.linked(&columns),
        };
        let title = escaped(&self.title());
        let mut out = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>compare: {title}</title>\n<style>\n{STYLE}</style></head>\n<body>\n<h1>{title}</h1>\n"
        );
        page.summary(&mut out);
        page.entries(&mut out);
        page.rest(&mut out);
        page.files(&mut out, &columns, &same);
        out + "</body></html>\n"
    }

    /// The lines that facts were read from and that the page shows.
    fn linked<'a>(&'a self, columns: &[&Columns<'a>]) -> Linked<'a> {
        let sides = self.items.iter().flat_map(|item| self.sides(item));
        let places = sides.flat_map(|(side, fact)| {
            let places = fact.into_iter().flat_map(|fact| &fact.places);
            places.map(move |place| (side, &place.file, place.line))
        });
        let wanted: Linked = places.collect();
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
        let is_clean = report.failures() == 0;
        let class = if is_clean { "kept" } else { "missing" };
        let said = report.sentence();
        *out += &format!("<p><b class=\"{class}\">{said}</b></p>\n");
        *out += "<table class=\"sums\">\n<tr><th></th>\n";
        let (words, rows) = report.sums();
        out.extend(words.iter().map(|word| format!("<th>{word}</th>")));
        for (name, counts) in rows {
            let all = if name == "all" { " class=\"all\"" } else { "" };
            *out += &format!("</tr>\n<tr{all}><th>{name}</th>");
            out.extend(counts.iter().map(|count| match count {
                0 => "<td>·</td>".to_owned(),
                count => format!("<td>{count}</td>"),
            }));
        }
        *out += "</tr>\n</table>\n";
        let notes = report.notes.iter().map(|note| prose(note));
        out.extend(notes.map(|note| format!("<p><b>note</b>: {note}</p>\n")));
        let runs = report.executed.iter();
        out.extend(runs.map(|runs| format!("<p>Run {runs}.</p>\n")));
    }

    /// What is open, the most harmful first.
    fn entries(&self, out: &mut String) {
        let entries = &self.report.entries;
        if let Some(first) = entries.first() {
            *out += "<h2>Open</h2>\n";
            if let Some(accept) = self.report.acceptance(&first.id) {
                let accept = escaped(&accept);
                *out += &format!(
                    "<p>Fix them, or record why one is intended:</p>\n<pre>{accept}</pre>\n"
                );
            }
        }
        let mut origin = None;
        for entry in entries
            .iter()
            .filter(|entry| !self.report.is_offered(entry))
        {
            if origin != entry.origin {
                origin = entry.origin;
                *out += &format!("<h2>{}</h2>\n", escaped(&self.report.heading(origin)));
            }
            let members = entry.members.iter();
            let members: Vec<&Item> = members.filter_map(|id| self.report.item_of(id)).collect();
            if let [item, members @ ..] = members.as_slice() {
                self.item(out, item, members, entry.origin);
            }
        }
        self.offers(out);
    }

    /// What upstream has reasons for, and what has something else to set.
    fn offers(&self, out: &mut String) {
        let report = self.report;
        let row = |ids: &str, text: &str| {
            format!("<li><code>{}</code>: {}</li>\n", escaped(ids), prose(text))
        };
        if let Some(are) = report.offer() {
            *out += &format!("<h2>{}</h2>\n", escaped(&are));
            let reasons = report.offered_by_reason().into_iter();
            let rows = reasons.map(|(reason, ids)| row(&ids.join(", "), reason));
            *out += &format!("<ul>\n{}</ul>\n", rows.collect::<String>());
            let take = escaped(&format!("{} --accept-upstream", report.command));
            *out += &format!("<p>Take them with:</p>\n<pre>{take}</pre>\n");
        }
        if report.replaced().next().is_some() {
            *out += "<h2>Retired, with something to set instead</h2>\n";
            let rows = report.replaced().map(|item| row(&item.id, &item.help));
            *out += &format!("<ul>\n{}</ul>\n", rows.collect::<String>());
        }
    }

    fn item(&self, out: &mut String, item: &Item, members: &[&Item], origin: Option<&str>) {
        let (word, id) = (item.verdict.word(), escaped(&item.id));
        let now = item.now.as_ref().map(|id| escaped(id));
        let now = now.map_or_else(String::new, |id| format!(" → <code>{id}</code>"));
        let origin = origin.map_or_else(String::new, |it| format!(" <small>{it}</small>"));
        *out += "<article><h3>";
        *out += &format!("<span class=\"word {word}\">{word}</span><code>{id}</code>{now}{origin}");
        *out += "</h3>\n<dl>";
        for (side, fact) in self.report.sides(item) {
            let there = fact.map(|fact| (escaped(&value(fact)), self.places(side, fact)));
            *out += &match there {
                Some((value, places)) => {
                    format!("<dt>{side}</dt><dd><code>{value}</code> {places}</dd>")
                }
                None => format!("<dt>{side}</dt><dd class=\"dim\">not there</dd>"),
            };
        }
        *out += &format!("</dl><p>{}</p>\n", prose(&item.why));
        if let Some(reason) = &item.reason {
            *out += &format!("<p><b>reason</b>: {}</p>\n", prose(reason));
        } else if item.open && !item.help.is_empty() {
            *out += &format!("<p><b>help</b>: {}</p>\n", prose(&item.help));
        }
        if !members.is_empty() {
            let count = members.len();
            *out +=
                &format!("<details><summary><small>and {count} with it</small></summary>\n<ul>");
            out.extend(members.iter().map(|member| self.member(member)));
            *out += "</ul></details>";
        }
        *out += "</article>\n";
    }

    fn member(&self, item: &Item) -> String {
        let (side, fact) = match &item.old {
            Some(fact) => ("old", Some(fact)),
            None => ("new", item.new.as_ref()),
        };
        let places = fact.map(|fact| self.places(side, fact)).unwrap_or_default();
        let (word, id, why) = (item.verdict.word(), escaped(&item.id), prose(&item.why));
        format!("<li><span class=\"{word}\">{word}</span> <code>{id}</code> {places} {why}</li>\n")
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
        use Verdict::{Accepted, Added, Kept, Retired};
        for entry in &self.report.stale {
            let (id, reason) = (escaped(&entry.fact), prose(&entry.reason));
            *out += &format!(
                "<article><h3><span class=\"word stale\">stale</span><code>{id}</code></h3><p>The reason on record matches nothing that is open any more: {reason}</p></article>\n"
            );
        }
        for verdict in [Accepted, Retired, Added, Kept] {
            let items = self.report.closed(verdict);
            let (count, word) = (items.len(), verdict.word());
            if count > 0 {
                *out += &format!("<details><summary><h3>{count} {word}</h3></summary>\n");
                for item in items {
                    self.item(out, item, &[], None);
                }
                *out += "</details>\n";
            }
        }
        let line = |(side, gap): (&str, &Unread)| {
            let place = escaped(&gap.place.to_string());
            format!("<li>{side} <code>{place}</code>: {}</li>", prose(&gap.what))
        };
        let lines: Vec<String> = self.report.gaps().map(line).collect();
        if !lines.is_empty() {
            let (count, lines) = (lines.len(), lines.join("\n"));
            let title = format!("<h3>{count} not read statically</h3>");
            *out += &format!("<details><summary>{title}</summary>\n<ul>{lines}</ul></details>\n");
        }
    }

    fn files(&self, out: &mut String, columns: &[&Columns], same: &[&Columns]) {
        *out += "<h2>Files</h2>\n";
        if columns.iter().any(|columns| columns.sides.len() == 3) {
            *out += "<input type=\"checkbox\" class=\"up\" id=\"up\"><label for=\"up\"> without upstream's column</label>\n";
        }
        *out += "<section>\n";
        for columns in columns {
            self.columns(out, columns);
        }
        let names = same.iter().map(|it| it.names(it.sides.len() - 1));
        let names: Vec<String> = names.map(|names| format!("<code>{names}</code>")).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            *out += &format!("<p class=\"dim\">The same on every side: {names}</p>\n");
        }
        *out += "</section>\n";
    }

    /// A file pair, with what is the same and what stands alone at length folded.
    fn columns(&self, out: &mut String, columns: &Columns) {
        const OPEN: &str = "<table class=\"side\">";
        let sides = 0..columns.sides.len();
        let names: Vec<String> = sides.map(|side| columns.names(side)).collect();
        let mut title = names.clone();
        title.dedup();
        let title = title.join(" → ");
        *out += &format!("<details class=\"pair\" open><summary><h3>{title}</h3></summary>\n");
        *out += &format!("{OPEN}<thead><tr>\n");
        let heads = columns.sides.iter().zip(&names);
        let head = |(side, names): (&&str, _)| {
            format!("<th class=\"{}\">{side}: {names}</th>", &side[..1])
        };
        out.extend(heads.map(head));
        *out += "</tr></thead>\n";
        let count = columns.rows.len();
        let mut from = 0;
        while from < count {
            let kind = columns.kind(from);
            let to = (from..count).find(|row| columns.kind(*row) != kind);
            let to = to.unwrap_or(count);
            let around = |is_end: bool| if is_end { 0 } else { CONTEXT };
            let (head, tail) = match kind {
                RowKind::Same => (around(from == 0), around(to == count)),
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
                let title = format!("<summary>{} lines {what}</summary>", end - begin);
                *out += &format!("</table><details class=\"fold\">{title}{OPEN}\n");
                columns.write(out, begin..end, &self.linked);
                *out += &format!("</table></details>{OPEN}\n");
                columns.write(out, end..to, &self.linked);
            }
            from = to;
        }
        *out += "</table></details>\n";
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
    fn a_script_that_nothing_starts_any_more_is_shown_although_it_is_the_same() {
        let script = "export NCCL_DEBUG=INFO\nexec python3 -m sglang.launch_server\n";
        let image = "FROM python:3.12\nCOPY launch.sh /\n";
        let tree = |start: &str| {
            Memory::new()
                .with("launch.sh", script)
                .with("Dockerfile", format!("{image}{start}\n"))
        };
        let old = tree("CMD [\"bash\", \"/launch.sh\"]");
        let html = page(&old, None, &tree("CMD [\"python3\", \"/handler.py\"]"));
        assert!(html.contains("<summary><h3>launch.sh</h3>"), "{html}");
        assert!(html.contains("id=\"old-launch.sh-1\""), "{html}");
        let html = page(&old, None, &old);
        assert!(!html.contains("<summary><h3>launch.sh</h3>"), "{html}");
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
