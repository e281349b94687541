//! A file pair as rows: each line of the new file beside the lines of the other sides that it came
//! from, and the words that differ.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use similar::{Algorithm, ChangeTag, DiffTag, TextDiff};

use super::super::pairs::{FileText, Pair};
use super::markup::{anchor, escaped};
use xtask_core::tree::RepoPath;

/// Lines of files, each with its side.
pub type Linked<'a> = HashSet<(&'a str, &'a RepoPath, usize)>;

#[derive(Clone, Copy)]
pub struct Line<'a> {
    pub file: &'a RepoPath,
    /// From 1.
    pub number: usize,
    /// With its end, where it has one.
    text: &'a str,
}

/// The line of each side, where it has one; other sides' lines are the new one's origins.
type Row<'a> = Vec<Option<Line<'a>>>;

/// What a row is, for folding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RowKind {
    Same,
    /// Only this side has a line.
    Alone(usize),
    Mixed,
}

/// The sides that have the file: old, upstream, new.
pub struct Columns<'a> {
    pub sides: Vec<&'static str>,
    pub rows: Vec<Row<'a>>,
}

impl<'a> Columns<'a> {
    pub fn of(pair: &'a Pair) -> Self {
        let all = [&pair.old, &pair.upstream, &pair.new].into_iter();
        let all = ["old", "upstream", "new"].into_iter().zip(all);
        let there = all.filter(|(_, texts)| !texts.is_empty());
        let there = there.map(|(side, texts)| (side, lines(texts)));
        let (sides, texts): (Vec<_>, Vec<_>) = there.unzip();
        let rows = texts.split_last();
        let rows = rows.map_or_else(Vec::new, |(last, others)| rows_of(others, last));
        Self { sides, rows }
    }

    pub fn lines(&self, side: usize) -> impl Iterator<Item = &Line<'a>> {
        self.rows.iter().filter_map(move |row| row[side].as_ref())
    }

    /// The names of a side's files.
    pub fn names(&self, side: usize) -> String {
        let mut files: Vec<&RepoPath> = self.lines(side).map(|line| line.file).collect();
        files.dedup();
        let names = files.iter().map(|file| escaped(&file.to_string()));
        names.collect::<Vec<_>>().join(", ")
    }

    pub fn is_same(&self) -> bool {
        (0..self.rows.len()).all(|row| self.kind(row) == RowKind::Same)
    }

    pub fn kind(&self, row: usize) -> RowKind {
        let row = &self.rows[row];
        let texts: Vec<&str> = row.iter().flatten().map(|line| line.text).collect();
        match texts.as_slice() {
            [_] => RowKind::Alone(row.iter().position(Option::is_some).unwrap_or_default()),
            [first, rest @ ..] if texts.len() == row.len() && rest.iter().all(|it| it == first) => {
                RowKind::Same
            }
            _ => RowKind::Mixed,
        }
    }

    /// Writes rows of the table.
    pub fn write(&self, out: &mut String, rows: Range<usize>, linked: &Linked) {
        let last = self.sides.len() - 1;
        let has_parts = self.names(last).contains(", ");
        for row in &self.rows[rows] {
            if let Some(line) = row[last].filter(|line| has_parts && line.number == 1) {
                let (width, name) = (last + 1, escaped(&line.file.to_string()));
                *out += &format!("<tr class=\"file\"><td colspan=\"{width}\">{name}</td></tr>\n");
            }
            let texts: Vec<Option<&str>> = row.iter().map(|cell| Some((*cell)?.text)).collect();
            let new = texts[last];
            let is_own = (0..last).any(|side| self.sides[side] == "upstream" && texts[side] != new);
            // The words that the new line does not have from the first other side that differs.
            let mut others = texts[..last].iter().flatten();
            let before = others.find(|text| Some(**text) != new);
            out.push_str("<tr>");
            for (side, cell) in row.iter().enumerate() {
                let name = self.sides[side];
                let Some(line) = cell else {
                    *out += &format!("<td class=\"{} x\"></td>", &name[..1]);
                    continue;
                };
                let html = match (new, before) {
                    (Some(new), Some(before)) if side == last => words(before, new).1,
                    (Some(new), _) if texts[side] != Some(new) => words(line.text, new).0,
                    _ => whole(line.text),
                };
                let is_changed = last == 0 || texts[if side < last { side } else { 0 }] != new;
                let own = if side == last && is_own { " own" } else { "" };
                let class = format!("{}{own}", if is_changed { "c" } else { "e" });
                *out += &td(name, &class, line, &html, linked);
            }
            out.push_str("</tr>\n");
        }
    }
}

fn td(side: &str, class: &str, line: &Line, html: &str, linked: &Linked) -> String {
    let (letter, number) = (&side[..1], line.number);
    let is_linked = linked.contains(&(side, line.file, number));
    let id = is_linked.then(|| format!(" id=\"{}\"", anchor(side, line.file, number)));
    let id = id.unwrap_or_default();
    let end = [" <small>no newline at the end</small>", ""];
    let end = end[usize::from(line.text.ends_with('\n'))];
    format!("<td class=\"{letter} {class}\" data-n=\"{number}\"{id}>{html}{end}</td>")
}

fn lines(texts: &[FileText]) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    for FileText { path: file, text } in texts {
        let numbered = text.split_inclusive('\n').zip(1..);
        lines.extend(numbered.map(|(text, number)| Line { file, number, text }));
    }
    lines
}

/// The rows of several sides beside the last one.
fn rows_of<'a>(others: &[Vec<Line<'a>>], last: &[Line<'a>]) -> Vec<Row<'a>> {
    let origins: Vec<_> = others.iter().map(|lines| origins(lines, last)).collect();
    let mut next = vec![0; others.len()];
    let mut rows = Vec::new();
    for at in 0..=last.len() {
        // Lines that come before the origin of this one, or after all.
        loop {
            let due = others.iter().zip(&origins).zip(&mut next);
            let row = due.map(|((lines, origins), next)| {
                let until = origins.get(at).map(|origin| origin.unwrap_or(0));
                (*next < until.unwrap_or(lines.len())).then(|| take(lines, next))
            });
            let row: Row = row.chain([None]).collect();
            if row.iter().all(Option::is_none) {
                break;
            }
            rows.push(row);
        }
        if let Some(line) = last.get(at) {
            let due = others.iter().zip(&origins).zip(&mut next);
            let row = due.map(|((lines, origins), next)| {
                *next = origins[at]?;
                Some(take(lines, next))
            });
            rows.push(row.chain([Some(*line)]).collect());
        }
    }
    rows
}

fn take<'a>(lines: &[Line<'a>], next: &mut usize) -> Line<'a> {
    *next += 1;
    lines[*next - 1]
}

/// For each new line the line that it came from: the same one, or the most similar one of those
/// that were replaced.
fn origins(before: &[Line], after: &[Line]) -> Vec<Option<usize>> {
    const MOST: usize = 20_000;
    let old: Vec<&str> = before.iter().map(|line| line.text).collect();
    let new: Vec<&str> = after.iter().map(|line| line.text).collect();
    let mut config = TextDiff::configure();
    config.algorithm(Algorithm::Patience);
    config.timeout(Duration::from_secs(2));
    let mut origins = vec![None; new.len()];
    for op in config.diff_slices(&old, &new).ops() {
        let (from, mut rest) = (op.old_range(), op.new_range());
        if op.tag() == DiffTag::Equal {
            origins.splice(rest, from.map(Some));
            continue;
        }
        // Of very many lines none is looked for.
        if from.len() * rest.len() > MOST {
            continue;
        }
        let words: Vec<_> = rest.clone().map(|to| sorted_words(new[to])).collect();
        for from in from {
            let old_words = sorted_words(old[from]);
            let first = op.new_range().start;
            let is_origin =
                |to: &usize| old[from] == new[*to] || share_most(&old_words, &words[to - first]);
            if let Some(to) = rest.clone().find(is_origin) {
                origins[to] = Some(from);
                rest.start = to + 1;
            }
        }
    }
    origins
}

fn sorted_words(line: &str) -> Vec<&str> {
    let mut words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric()).collect();
    words.retain(|word| !word.is_empty());
    words.sort_unstable();
    words
}

/// Whether half of the words of two lines, which are sorted, are in both.
fn share_most(old: &[&str], new: &[&str]) -> bool {
    let mut rest = new.iter().peekable();
    let is_shared = |word: &&&str| {
        while rest.next_if(|other| other < word).is_some() {}
        rest.next_if_eq(word).is_some()
    };
    let shared = old.iter().filter(is_shared).count();
    shared > 0 && 4 * shared >= old.len() + new.len()
}

/// A line that is marked as a whole or not at all.
fn whole(text: &str) -> String {
    escaped(text.trim_end_matches('\n'))
}

/// Two lines with the words marked that only one of them has.
fn words(old: &str, new: &str) -> (String, String) {
    const LONGEST: usize = 4_000;
    if old.len() + new.len() > LONGEST {
        return (whole(old), whole(new));
    }
    let (old, new) = (old.trim_end_matches('\n'), new.trim_end_matches('\n'));
    let (mut before, mut after) = (String::new(), String::new());
    for change in TextDiff::from_unicode_words(old, new).iter_all_changes() {
        let text = escaped(change.value());
        match change.tag() {
            ChangeTag::Equal => {
                before += &text;
                after += &text;
            }
            ChangeTag::Delete => before += &format!("<del>{text}</del>"),
            ChangeTag::Insert => after += &format!("<ins>{text}</ins>"),
        }
    }
    let before = before.replace("</del><del>", "");
    (before, after.replace("</ins><ins>", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &str, text: &str) -> Vec<FileText> {
        vec![FileText {
            path: path.into(),
            text: text.to_owned(),
        }]
    }

    /// The lines of each row, `-` where a side has none.
    fn shown(old: &str, upstream: &str, new: &str) -> Vec<String> {
        let side = |text: &str| match text {
            "" => Vec::new(),
            text => texts("a.py", text),
        };
        let pair = Pair {
            old: side(old),
            upstream: side(upstream),
            new: side(new),
        };
        let columns = Columns::of(&pair);
        let row = |row: &Row| {
            let cells = row
                .iter()
                .map(|cell| cell.map_or("-", |line| line.text.trim_end()));
            cells.collect::<Vec<_>>().join(" | ")
        };
        columns.rows.iter().map(row).collect()
    }

    #[test]
    fn lines_stand_beside_those_that_they_came_from() {
        assert_eq!(
            shown("a\nport = 1\nc\n", "", "a\n# new\nport = 2\nc\nd\n"),
            [
                "a | a",
                "- | # new",
                "port = 1 | port = 2",
                "c | c",
                "- | d"
            ]
        );
        // What has nothing in common stands alone.
        assert_eq!(
            shown("a\nx\ny\nb\n", "", "a\nz\nb\n"),
            ["a | a", "- | z", "x | -", "y | -", "b | b"]
        );
        assert_eq!(shown("a\nb\n", "", ""), ["a", "b"]);
    }

    #[test]
    fn every_line_of_every_side_is_shown_once_and_in_order() {
        let old = "a\nb\nc = 1\nd\nd\ne\n";
        let upstream = "b\nc = 2\n\nd\nf f\n";
        let new = "z\nb\nc = 3\nd\nx y\ng\n";
        let rows = shown(old, upstream, new);
        for (side, text) in [old, upstream, new].into_iter().enumerate() {
            let cells = rows.iter().map(|row| row.split(" | ").nth(side).unwrap());
            let cells: Vec<&str> = cells.filter(|cell| *cell != "-").collect();
            assert_eq!(cells, text.lines().collect::<Vec<_>>(), "{rows:#?}");
        }
        assert!(
            rows.contains(&"c = 1 | c = 2 | c = 3".to_owned()),
            "{rows:#?}"
        );
    }

    #[test]
    fn the_words_that_differ_are_marked() {
        let (old, new) = words(
            "x = os.getenv(\"A<B\", 1)\n",
            "x = os.getenv(\"A<C\", 22)\n",
        );
        assert_eq!(
            old,
            "x = os.getenv(&quot;A&lt;<del>B</del>&quot;, <del>1</del>)"
        );
        assert_eq!(
            new,
            "x = os.getenv(&quot;A&lt;<ins>C</ins>&quot;, <ins>22</ins>)"
        );
    }

    #[test]
    fn a_missing_end_and_a_carriage_return_are_seen() {
        let pair = Pair {
            old: texts("a", "x\r\n"),
            new: texts("a", "x"),
            ..Pair::default()
        };
        let columns = Columns::of(&pair);
        assert!(!columns.is_same());
        let mut out = String::new();
        columns.write(&mut out, 0..1, &HashSet::new());
        assert!(out.contains("\\u000d"), "{out}");
        assert!(out.contains("no newline at the end"), "{out}");
    }
}
