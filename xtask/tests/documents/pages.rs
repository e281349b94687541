//! What the documents say about the repository is so.

use std::fs;
use std::path::{Path, PathBuf};

use crate::page::stories;
use crate::{FOLLOWED, repository, text_of};

/// All pages that are written by hand, and the one that is not.
fn pages() -> Vec<String> {
    let docs = fs::read_dir(repository().join("docs")).unwrap();
    let mut pages: Vec<_> = docs
        .map(|entry| format!("docs/{}", entry.unwrap().file_name().display()))
        .filter(|path| is_page(path))
        .collect();
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(str::to_owned));
    pages.sort();
    pages
}

fn is_page(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("md"))
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        for link in links(&text_of(&page)) {
            if link.contains("://") {
                continue;
            }
            let (path, part) = link.split_once('#').unwrap_or((&link, ""));
            let folder = repository().join(&page);
            let target = if path.is_empty() {
                folder
            } else {
                folder.parent().unwrap().join(path)
            };
            assert!(target.exists(), "{page}: {link}");
            if !part.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                let there = text.lines().filter_map(anchor).any(|name| name == part);
                assert!(there, "{page}: {link}");
            }
        }
    }
}

/// The addresses of a page's links, but for those in blocks of code.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    let begins = prose.flat_map(|prose| prose.split("](").skip(1));
    begins
        .filter_map(|rest| rest.split_once(')'))
        .map(|(link, _)| link.to_owned())
        .collect()
}

/// What GitHub calls a heading in a link.
fn anchor(line: &str) -> Option<String> {
    let heading = line.strip_prefix('#')?.trim_start_matches('#');
    let heading = heading.strip_prefix(' ')?.to_lowercase();
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    Some(
        heading
            .chars()
            .filter(kept)
            .collect::<String>()
            .replace(' ', "-"),
    )
}

#[test]
fn the_readme_leads_to_every_page() {
    let readme = text_of("README.md");
    for page in pages() {
        if page != "README.md" {
            assert!(readme.contains(&format!("]({page}")), "{page}");
        }
    }
}

#[test]
fn every_walk_is_followed() {
    for page in pages() {
        let has_story = text_of(&page)
            .lines()
            .any(|line| line.starts_with("<!-- starts: "));
        assert_eq!(has_story, FOLLOWED.contains(&page.as_str()), "{page}");
    }
}

/// What users are told to type is understood.
#[test]
fn commands_of_every_page_are_understood() {
    let mut found = 0;
    for page in pages() {
        let text = text_of(&page);
        let typed = text.lines().filter_map(|line| {
            let line = line.trim_start_matches("$ ").trim_start();
            line.strip_prefix("cargo xtask ")
        });
        let typed = typed.filter(|rest| rest.matches('`').count() % 2 == 0);
        for rest in typed {
            found += 1;
            let words = own_words(rest);
            let output = std::process::Command::new("bash")
                .arg("-c")
                .arg(format!("'{}' {words} --help", env!("CARGO_BIN_EXE_xtask")))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{page}: {rest}\n{said}");
        }
    }
    assert!(found > 60, "{found} commands");
}

/// A command up to where a comment, another command or prose begins.
fn own_words(rest: &str) -> &str {
    let mut quoted = None;
    let end = rest.find(|c: char| {
        if let Some(quote) = quoted {
            quoted = (c != quote).then_some(quote);
            return false;
        }
        quoted = matches!(c, '"' | '\'').then_some(c);
        matches!(c, '#' | '|' | '>' | '<' | '`' | ';')
    });
    // What goes on in the next line is left to the walk.
    let words = rest[..end.unwrap_or(rest.len())].trim_end_matches('\\');
    words.split(" -- ").next().unwrap_or(words)
}

#[test]
fn a_command_ends_outside_of_quotes() {
    assert_eq!(own_words("a 'b; c' \"d|e\"; f"), "a 'b; c' \"d|e\"");
    assert_eq!(own_words("a -- b"), "a");
}

/// Errors are quoted as the tool and the worker print them.
#[test]
fn troubleshooting_quotes_what_is_printed() {
    let page = text_of("docs/troubleshooting.md");
    let sources: Vec<String> = sources().iter().map(|path| printed_by(path)).collect();
    let mut found = 0;
    let mut unknown = Vec::new();
    for block in page.split("```text\n").skip(1) {
        for line in block.split("```").next().unwrap().lines() {
            found += 1;
            // No part may be too short to mean anything.
            let longest = line.split('…').map(str::len).max().unwrap();
            assert!(longest > 12, "nearly nothing is quoted: {line}");
            let mut printed = sources.iter().flat_map(|source| source.lines());
            if !printed.any(|text| may_print(text, line)) {
                unknown.push(line);
            }
        }
    }
    assert!(unknown.is_empty(), "nothing prints these: {unknown:#?}");
    assert!(found > 30, "{found} lines");
}

#[test]
fn the_benches_look_for_what_is_printed() {
    let sources: Vec<String> = sources().iter().map(|path| printed_by(path)).collect();
    let script = text_of("xtask/bench/kill.sh");
    let wanted: Vec<&str> = script
        .split("grep -q '")
        .skip(1)
        .filter_map(|rest| rest.split_once('\''))
        .map(|(words, _)| words)
        .collect();
    assert_eq!(wanted.len(), 3, "{wanted:?}");
    for words in wanted {
        let is_printed = sources.iter().any(|source| source.contains(words));
        assert!(is_printed, "nothing prints {words:?}");
    }
}

/// Whether a line of a source has all parts of what is quoted, in that order.
fn may_print(source: &str, quoted: &str) -> bool {
    let mut rest = source;
    quoted.split('…').all(|part| {
        let found = rest.split_once(part);
        found.is_some_and(|(_, after)| {
            rest = after;
            true
        })
    })
}

#[test]
fn a_quote_has_every_part_in_order() {
    assert!(may_print(
        "bail!(\"{path}: not a {kind}, so give one\")",
        "…: not a …, so give one"
    ));
    assert!(!may_print("so give one, not a", "…not a …, so give one"));
    assert!(!may_print("not a number", "not a word"));
}

/// The worker's modules and the tool's.
fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let root = repository();
    for folder in [root.clone(), root.join("sglang_worker")] {
        let files = fs::read_dir(folder).unwrap().map(|one| one.unwrap().path());
        found.extend(files.filter(|path| path.extension().is_some_and(|end| end == "py")));
    }
    for folder in ["xtask/src", "xtask/crates"] {
        walk(&root.join(folder), &mut found);
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// A source with each of its texts on one line.
fn printed_by(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let mut out = String::new();
    for line in text.lines() {
        let line = line.trim();
        // Rust goes on after a backslash, Python with the next literal.
        if out.ends_with('\\') {
            out.pop();
        } else if out.ends_with('"') && (line.starts_with('"') || line.starts_with("f\"")) {
            out.pop();
            out += line.trim_start_matches('f').trim_start_matches('"');
            continue;
        } else {
            out.push('\n');
        }
        out += line;
    }
    out.replace("\\\"", "\"")
}

#[test]
fn the_pages_that_are_followed_are_stories() {
    for page in FOLLOWED {
        assert!(!stories(page, &text_of(page)).is_empty(), "{page}");
    }
}
