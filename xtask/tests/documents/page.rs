//! A document as its reader follows it: stories, each a list of things to do one after the other.
//!
//! Comments, which a reader does not see, say what a test has to know:
//!
//! - `<!-- starts: STATE -->` begins a story; `lab.rs` has the states.
//! - `<!-- ends -->` ends it before the page does.
//! - `<!-- needs: docker -->` or `<!-- needs: PATH -->`: what the next block takes. Without it the
//!   story stops (docker) or leaves the block out (a path in the clone).
//! - `<!-- exits: 1 -->`: how the last command of the next block ends.
//! - `<!-- in: FOLDER -->`: where the change of the next block is made.
//! - `<!-- not run: WHY -->`: the next block is no part of a story.
//!
//! A `console` block has commands (`$ …`, going on with `> …`) and what they print, with `…` for
//! what is left out: alone on a line any lines, else any text. A `diff` block is applied.

use std::iter::Peekable;
use std::str::Lines;

#[derive(Debug, Clone)]
pub struct Story {
    pub state: String,
    pub steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub struct Step {
    /// The block's line in the document.
    pub line: usize,
    pub needs: Option<String>,
    /// Where a change is made, as seen from where the reader stands.
    pub at: Option<String>,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    /// Commands and what each prints, and the exit code of the last one.
    Type(Vec<(String, String)>, i32),
    /// A change that the reader makes.
    Change(String),
}

/// What the comments say about the next block.
#[derive(Default)]
struct Marks {
    needs: Option<String>,
    at: Option<String>,
    exits: Option<i32>,
    not_run: bool,
}

/// The stories of a page, in which every block to type belongs to one.
pub fn stories(name: &str, text: &str) -> Vec<Story> {
    let mut stories: Vec<Story> = Vec::new();
    let mut open = false;
    let mut marks = Marks::default();
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(kind) = line.strip_prefix("```") {
            let body: Vec<_> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| *line != "```")
                .collect();
            let marks = std::mem::take(&mut marks);
            if marks.not_run || !matches!(kind, "console" | "diff") {
                continue;
            }
            assert!(open, "{name}:{}: this block is in no story", at + 1);
            let what = if kind == "diff" {
                What::Change(body.join("\n") + "\n")
            } else {
                What::Type(commands(&body.join("\n")), marks.exits.unwrap_or(0))
            };
            stories.last_mut().unwrap().steps.push(Step {
                line: at + 1,
                needs: marks.needs,
                at: marks.at,
                what,
            });
        } else if let Some(comment) = line.strip_prefix("<!-- ") {
            let comment = comment.strip_suffix(" -->").unwrap_or(comment);
            match comment.split_once(": ").unwrap_or((comment, "")) {
                ("starts", state) => {
                    open = true;
                    stories.push(Story {
                        state: state.to_owned(),
                        steps: Vec::new(),
                    });
                }
                ("ends", _) => open = false,
                ("needs", what) => marks.needs = Some(what.to_owned()),
                ("in", folder) => marks.at = Some(folder.to_owned()),
                ("exits", code) => marks.exits = Some(code.parse().unwrap()),
                ("not run", _) => marks.not_run = true,
                _ => panic!("{name}:{}: what is `{comment}`?", at + 1),
            }
        }
    }
    stories
}

/// The commands of a block, and what each prints.
pub fn commands(block: &str) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut lines = block.lines().peekable();
    while let Some(line) = lines.next() {
        let command = line.strip_prefix("$ ");
        let mut command = command
            .unwrap_or_else(|| panic!("no command above this output: {line}"))
            .to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("> ") || *line == ">") {
            command += "\n";
            command += more.get(2..).unwrap_or_default();
        }
        out.push((command, output(&mut lines)));
    }
    out
}

/// The lines up to the next command.
fn output(lines: &mut Peekable<Lines>) -> String {
    let mut out = String::new();
    while let Some(line) = lines.next_if(|line| !line.starts_with("$ ")) {
        out += line;
        out.push('\n');
    }
    out
}

/// Where what is printed is not what is shown; nothing where it is.
pub fn difference(shown: &str, printed: &str) -> Option<String> {
    // The words of a reader for what `snapbox` calls `...` and `[..]`.
    let pattern: String = shown
        .lines()
        .map(|line| match line {
            "…" => "...\n".to_owned(),
            line => line.replace('…', "[..]") + "\n",
        })
        .collect();
    let printed: String = printed
        .lines()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect();
    let pattern = snapbox::IntoData::into_data(pattern);
    let result = snapbox::Assert::new()
        .action_env(snapbox::assert::DEFAULT_ACTION_ENV)
        .try_eq(None, printed.into(), pattern);
    result.err().map(|error| error.to_string())
}

#[test]
fn a_page_is_read_as_its_reader_follows_it() {
    let page = "Text\n<!-- starts: clone -->\n\n```console\n$ echo a \\\n>   b\na b\n$ true\n```\n\n\
        <!-- needs: docker -->\n<!-- exits: 1 -->\n```console\n$ false\n```\n```diff\n+x\n```\n\
        <!-- not run: it would take a day -->\n```console\n$ sleep 86400\n```\n<!-- ends -->\n";
    let [story] = &stories("page", page)[..] else {
        panic!("one story");
    };
    assert_eq!(story.state, "clone");
    let [first, second, third] = &story.steps[..] else {
        panic!("three steps");
    };
    assert!(
        matches!(&first.what, What::Type(commands, 0) if *commands == [
            ("echo a \\\n  b".to_owned(), "a b\n".to_owned()),
            ("true".to_owned(), String::new())
        ])
    );
    assert_eq!(second.needs.as_deref(), Some("docker"));
    assert!(matches!(&second.what, What::Type(_, 1)));
    assert!(matches!(&third.what, What::Change(diff) if diff == "+x\n"));
}

#[test]
fn what_is_left_out_may_be_anything_and_the_rest_may_not() {
    assert_eq!(difference("a\n…\nd …!\n", "a\nb\nc\nd e!\n"), None);
    assert_eq!(difference("", ""), None);
    assert!(difference("a\n", "a\nb\n").is_some());
    assert!(difference("", "a\n").is_some());
    assert!(difference("a …!\n", "a b\n").is_some());
    assert!(
        difference("a [..]\n", "a b\n").is_none(),
        "known of snapbox"
    );
}
