//! The README's picture shows what the tool really prints. `UPDATE_PICTURE=1` draws it anew.

use std::path::Path;

/// The parts that are shown: how a part begins, and how many of its lines stand in the picture.
const PARTS: [(&str, usize); 6] = [
    ("Moves", 5),
    ("Comes from upstream", 4),
    ("Rewritten on the way", 6),
    ("To fix by hand", 3),
    ("Done.", 6),
    ("What became of", 12),
];

/// How many columns the picture has. A longer line is cut, and ends with `…`.
const COLUMNS: usize = 92;

const FONT_SIZE: usize = 13;
/// Tenths of a pixel, in a font of that size.
const COLUMN: usize = 78;
const LINE: usize = 18;
const MARGIN: usize = 16;

#[test]
fn the_picture_shows_the_example_as_it_runs() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["migrate", "--example"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let drawn = picture(&excerpt(&printed));
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrate-example.svg");
    if std::env::var_os("UPDATE_PICTURE").is_some() {
        std::fs::write(&file, &drawn).unwrap();
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        there, drawn,
        "draw it anew: UPDATE_PICTURE=1 cargo test -p xtask --test migrate picture"
    );
    let readme = include_str!("../../../README.md");
    assert!(readme.contains("](docs/migrate-example.svg)"));
}

/// The parts, each with its first lines.
fn excerpt(printed: &str) -> Vec<String> {
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    let mut shown = vec!["$ cargo xtask migrate --example".to_owned()];
    for (head, count) in PARTS {
        let begin = lines.iter().position(|line| line.starts_with(head));
        let begin = begin.unwrap_or_else(|| panic!("nothing begins with {head:?}:\n{printed}"));
        let ends = |line: &&&str| {
            !line.is_empty()
                && !line.starts_with(' ')
                && PARTS.iter().any(|(h, _)| line.starts_with(h))
        };
        let rest = &lines[begin + 1..];
        let length = rest
            .iter()
            .position(|line| ends(&line))
            .unwrap_or(rest.len());
        shown.push(String::new());
        shown.push(lines[begin].to_owned());
        shown.extend(
            rest[..length.min(count)]
                .iter()
                .map(|line| (*line).to_owned()),
        );
        while shown.last().is_some_and(String::is_empty) {
            shown.pop();
        }
        if length > count {
            shown.push("  …".to_owned());
        }
    }
    shown
}

fn picture(lines: &[String]) -> String {
    let width = COLUMNS * COLUMN / 10 + 2 * MARGIN;
    let height = lines.len() * LINE + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n\
         <title>What cargo xtask migrate --example prints</title>\n\
         <rect width=\"{width}\" height=\"{height}\" rx=\"8\" fill=\"#0d1117\"/>\n\
         <g font-family=\"ui-monospace, Menlo, Consolas, monospace\" font-size=\"{FONT_SIZE}\" \
         fill=\"#c9d1d9\" xml:space=\"preserve\">\n"
    );
    for (number, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.is_empty())
    {
        let y = MARGIN + (number + 1) * LINE - 5;
        let is_head = !line.starts_with(' ');
        let weight = if is_head { " font-weight=\"bold\"" } else { "" };
        let mut text: String = line.chars().take(COLUMNS).collect();
        if line.chars().count() > COLUMNS {
            text.pop();
            text.push('…');
        }
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        svg += &format!("<text x=\"{MARGIN}\" y=\"{y}\"{weight}>{text}</text>\n");
    }
    svg + "</g>\n</svg>\n"
}
