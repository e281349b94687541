//! JSON that is read, JSON that is not, and what is said of it; a strict parser agrees.

use super::*;
use std::fmt::Write;
use testing::{Random, agrees_with_serde};

/// What is said of a text, one line a problem: `line:column kind message`, and the related place.
fn said(text: &str) -> Vec<String> {
    let at = |offset: usize| {
        let before = &text[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
        format!("{line}:{column}")
    };
    parse(text.as_bytes())
        .problems
        .iter()
        .map(|problem| {
            let mut line = format!(
                "{} {:?}: {}",
                at(problem.span.start),
                problem.kind,
                problem.message
            );
            if let Some((span, words)) = &problem.related {
                let _ = write!(line, " [{} {words}]", at(span.start));
            }
            line
        })
        .collect()
}

/// The text with all edits made.
fn fixed(text: &str) -> String {
    let mut edits: Vec<_> = parse(text.as_bytes())
        .problems
        .into_iter()
        .flat_map(|problem| problem.edits)
        .collect();
    edits.sort_by_key(|(span, _)| span.start);
    let mut out = text.to_owned();
    for (span, with) in edits.into_iter().rev() {
        out.replace_range(span, &with);
    }
    out
}

#[test]
fn each_mistake_is_told_in_words_and_at_its_place() {
    let cases: &[(&str, &[&str])] = &[
        ("", &["1:1 Empty: the file is empty"]),
        (" \n ", &["1:1 Empty: the file has no value"]),
        (
            "\u{feff}{}",
            &[
                "1:1 ByteOrderMark: the file begins with a byte-order mark, which JSON parsers refuse",
            ],
        ),
        ("{\0}", &["1:2 Unexpected: a NUL byte"]),
        ("[\"a\0\"]", &["1:4 Unexpected: a NUL byte"]),
        (
            "{ // one\n \"a\": 1 /* two */ # three\n}",
            &[
                "1:3 Comment: JSON has no comments",
                "2:9 Comment: JSON has no comments",
                "2:19 Comment: JSON has no comments",
            ],
        ),
        (
            "/* no end",
            &["1:1 Comment: a comment that never ends; JSON has no comments"],
        ),
        (
            "{\"a\": [1, 2,],\n}",
            &[
                "1:12 TrailingComma: JSON has no trailing comma",
                "1:14 TrailingComma: JSON has no trailing comma",
            ],
        ),
        (
            "{\"a\": 1\n \"b\": 2}",
            &["1:7 MissingComma: a comma is missing after this"],
        ),
        (
            "{\n  \"a\": {\n    \"b\": 1\n",
            &[
                "3:10 Unclosed: the file ends before it is complete: `}` `}` are missing [2:8 this `{` is not closed]",
            ],
        ),
        (
            "{\n  \"a\": {\n    \"b\": 1\n}\n",
            &[
                "4:1 Unclosed: the file ends before it is complete: `}` is missing [2:8 this `{` is not closed]",
            ],
        ),
        (
            "{\n  \"a\": [\n    1\n}",
            &["4:1 Unclosed: expected `]`, found `}` [2:8 this `[` is not closed]"],
        ),
        (
            "{\\n  \"a\": 1\\n}",
            &["1:2 LiteralEscape: `\\n` is written out where a line should end"],
        ),
        (
            "{\"a\": 1}}",
            &["1:9 Unexpected: one closing bracket too many [1:8 the value ends here]"],
        ),
        (
            "{} {}",
            &[
                "1:4 Unexpected: there is more text after the end of the value [1:2 the value ends here]",
            ],
        ),
        (
            "{'a': 1}",
            &["1:2 BadString: strings stand in double quotes (\"), not in '"],
        ),
        ("{a: 1}", &["1:2 BadString: the key `a` has no quotes"]),
        (
            "[\"a\n\"]",
            &["1:2 BadString: this string is not closed on its line"],
        ),
        (
            "[\"C:\\dir\"]",
            &["1:5 BadString: strings have no escape `\\d`; a backslash is written `\\\\`"],
        ),
        (
            "[\"\\ud800x\"]",
            &[
                "1:2 BadString: `\\u` takes four hexadecimal digits, and both halves of a surrogate pair",
            ],
        ),
        (
            "[True]",
            &["1:2 BadValue: `True` is written `true` in JSON"],
        ),
        ("[NaN]", &["1:2 BadValue: JSON has no `NaN`"]),
        (
            "[01, 2]",
            &[
                "1:2 BadValue: `01` is no JSON number: one has no `+` and no zero in front, and digits on both sides of a point",
            ],
        ),
        ("[1e999]", &["1:2 BadValue: `1e999` is too large a number"]),
        (
            "{\"a\" 1}",
            &["1:6 Unexpected: expected `:` after the key `a`, found `1`"],
        ),
        (
            "{\"a\": 1, \"a\": 2}",
            &["1:10 DuplicateKey: the key `a` appears twice [1:2 this one has no effect]"],
        ),
        (
            "{\u{a0}}",
            &["1:2 Unexpected: the character U+00A0 stands where a key in double quotes has to"],
        ),
    ];
    for (text, words) in cases {
        assert_eq!(&said(text), words, "{text:?}");
    }
    let utf16: Vec<u8> = b"\xff\xfe{\0}\0".to_vec();
    assert_eq!(
        parse(&utf16).problems[0].message,
        "the file is UTF-16; JSON files are UTF-8"
    );
    assert_eq!(parse(b"[\"a\xff\"]").problems[0].span, 3..4);
}

#[test]
fn what_can_be_fixed_without_doubt_becomes_strict_json() {
    let cases = [
        (
            "{\r\n  // whole line\r\n  \"a\": 1, // behind\r\n  \"b\": [1,],\r\n}\r\n",
            "{\r\n  \"a\": 1,\r\n  \"b\": [1]\r\n}\r\n",
        ),
        ("{\\n  \"a\": \"x\\n\"\\n}\\n", "{\n  \"a\": \"x\\n\"\n}\n"),
        ("\u{feff}[True, None]", "[true, null]"),
        ("{a: 1 \"b\": 2}", "{\"a\": 1, \"b\": 2}"),
        ("[\"a\tb\"]", "[\"a\\tb\"]"),
    ];
    for (text, expected) in cases {
        assert_eq!(fixed(text), expected, "{text:?}");
    }
}

#[test]
fn a_hundred_thousand_levels_are_an_error_message() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let deep = open.repeat(100_000);
        let parsed = parse(deep.as_bytes());
        assert_eq!(
            parsed.problems[0].message,
            "nested more than 127 levels deep"
        );
    }
    let fits = "[".repeat(MAX_DEPTH) + &"]".repeat(MAX_DEPTH);
    assert!(parse(fits.as_bytes()).problems.is_empty());
    assert!(serde_json::from_str::<serde_json::Value>(&fits).is_ok());
    let over = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
    assert!(!parse(over.as_bytes()).problems.is_empty());
    assert!(serde_json::from_str::<serde_json::Value>(&over).is_err());
}

#[test]
fn it_takes_what_serde_json_takes_and_nothing_else() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let whole = br#"{"title": "x", "config": {"env": [{"key": "A", "value": "1"}], "n": -1.5e2, "on": [true, false, null, "\u00e4\n"]}}"#;
    for _ in 0..60_000 {
        agrees_with_serde(&random.text());
        agrees_with_serde(&random.damaged(whole));
    }
}
