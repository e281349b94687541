//! Adds instructions in front of what starts the image, and finds those that one version of a
//! Dockerfile has more than another.

use std::ops::Range;

use super::expand::Values;
use super::stages::Stages;
use super::{Instruction, split};

/// A Dockerfile with these lines in front of the CMD or ENTRYPOINT of its last stage, and the number
/// of the first; `None` where nothing starts it, or a user without rights does what they do.
pub fn with_lines(text: &[u8], lines: &str) -> Option<(usize, String)> {
    let text = std::str::from_utf8(text).ok()?;
    let instructions = split(text);
    let stages = Stages::new(&instructions, &Values::new());
    let last = &instructions[stages.all.last()?.range.clone()];
    let is_start = |one: &&Instruction| matches!(&*one.keyword, "CMD" | "ENTRYPOINT");
    let start = last.iter().find(is_start)?.range.start;
    if last.iter().any(|one| one.keyword == "USER") {
        return None;
    }
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let lines = lines.replace('\n', end);
    let number = text[..start].matches('\n').count() + 1;
    let new = format!("{}{lines}{end}{}", &text[..start], &text[start..]);
    Some((number, new))
}

/// The RUN instructions, and the downloads by ADD, that stand in the last stage of `after` and not
/// in `before`, as they are written and with their lines (from 1). What uses a variable of the build
/// is left out, and what took the place of an instruction that begins alike.
pub fn added_steps<'a>(before: &str, after: &'a str) -> Vec<(Range<usize>, &'a str)> {
    let (old, new) = (split(before), split(after));
    let stages = Stages::new(&new, &Values::new());
    let last = stages.all.last().map_or(0..0, |stage| stage.range.clone());
    let text = |one: &Instruction| format!("{} {}", one.keyword, one.line());
    let texts = |all: &[Instruction]| all.iter().map(text).collect::<Vec<String>>();
    let (before, now) = (texts(&old), texts(&new));
    let start = |text: &str| -> Vec<String> {
        let words = text.split_whitespace().take(2);
        words.map(str::to_owned).collect()
    };
    let gone = before.iter().filter(|text| !now.contains(text));
    let gone: Vec<Vec<String>> = gone.map(|text| start(text)).collect();
    let is_added = |one: &&Instruction| {
        let text = text(one);
        !before.contains(&text) && !gone.contains(&start(&text))
    };
    let is_step = |one: &&Instruction| match &*one.keyword {
        "RUN" => !one.line().starts_with("--"),
        "ADD" => one.line().contains("://"),
        _ => false,
    };
    let is_filled = |text: &str| {
        let mut rests = text.match_indices('$').map(|(at, _)| &text[at + 1..]);
        rests.any(|rest| rest.starts_with(|c: char| "{_".contains(c) || c.is_alphanumeric()))
    };
    let line = |at: usize| after[..at].matches('\n').count() + 1;
    let step = |one: &Instruction| {
        let text = after[one.range.clone()].trim_end();
        let lines = line(one.range.start)..line(one.range.start + text.len()) + 1;
        (!is_filled(text)).then_some((lines, text))
    };
    let added = new[last].iter().filter(is_step).filter(is_added);
    added.filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stand_in_front_of_what_starts_the_image() {
        let of = |text: &str| with_lines(text.as_bytes(), "ENV A=1\n");
        assert_eq!(
            of("FROM x\nCMD [\"a\"]\nFROM y\nRUN b\n\nCMD [\"c\"]\n"),
            Some((
                6,
                "FROM x\nCMD [\"a\"]\nFROM y\nRUN b\n\nENV A=1\n\nCMD [\"c\"]\n".to_owned()
            ))
        );
        assert_eq!(of("FROM x\nRUN a\n"), None);
        assert_eq!(of("FROM x\nUSER me\nCMD a\n"), None);
    }

    #[test]
    fn steps_that_are_new_are_told_as_they_are_written() {
        let before = "FROM x\nRUN a\nRUN b --old\nCMD c\n";
        let after = "FROM x\nRUN a\nADD https://a.example/b /b\nRUN one \\\n  && two\nRUN b --new\n\
                     RUN use $KIND\nADD c /c\nRUN d $(nproc)\nCMD c\n";
        assert_eq!(
            added_steps(before, after),
            [
                (3..4, "ADD https://a.example/b /b"),
                (4..6, "RUN one \\\n  && two"),
                (9..10, "RUN d $(nproc)")
            ]
        );
    }
}
