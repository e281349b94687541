//! Small edits of JSON text that leave the rest as it is: order, indentation, line endings.

use crate::finding::{Edit, Finding, Safety};
pub use worker_files::json::quote;
use worker_files::json::{JsonNode, Member, Span, removal};

/// Suggests a word, with a fix that writes it.
pub fn did_you_mean(finding: Finding, safety: Safety, span: &Span, right: &str) -> Finding {
    let finding = finding.help(format!("did you mean `{right}`?"));
    finding.write(safety, span, right, quote(right))
}

/// Removes a member with the comma that goes with it.
pub fn remove(object: &JsonNode, member: &Member) -> Edit {
    let members = object.members();
    let before = |other: &Member| other.key_span.start < member.key_span.start;
    removal(members, members.partition_point(before))
}

/// Adds a member after the last one, laid out like it. `value` is JSON.
pub fn add(text: &str, object: &JsonNode, key: &str, value: &str) -> Edit {
    let member = format!("{}: {value}", quote(key));
    if let Some(last) = object.members().last() {
        // The space before the last key also goes before the new one.
        let start = text[..last.key_span.start].trim_end().len();
        let space = &text[start..last.key_span.start];
        let end = last.value.span.end;
        (end..end, format!(",{space}{member}"))
    } else {
        let start = object.span.start + 1;
        (start..start, member)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use worker_files::json::parse;

    fn with(text: &str, edit: impl Fn(&JsonNode) -> Edit) -> String {
        let root = parse(text.as_bytes()).root.unwrap();
        let (span, with) = edit(&root);
        let mut out = text.to_owned();
        out.replace_range(span, &with);
        assert!(parse(out.as_bytes()).problems.is_empty(), "{out}");
        out
    }

    #[test]
    fn the_comma_goes_with_its_member() {
        let text = "{\n  \"a\": 1,\n  \"b\": 2\n}";
        let drop = |key: &'static str| move |n: &JsonNode| remove(n, n.member(key).unwrap());
        assert_eq!(with(text, drop("a")), "{\n  \"b\": 2\n}");
        assert_eq!(with(text, drop("b")), "{\n  \"a\": 1\n}");
        assert_eq!(with("{ \"a\": 1 }", drop("a")), "{  }");
    }

    #[test]
    fn a_new_member_looks_like_the_last_one() {
        let text = "{\r\n\t\"a\": 1\r\n}";
        assert_eq!(
            with(text, |n| add(text, n, "b", "true")),
            "{\r\n\t\"a\": 1,\r\n\t\"b\": true\r\n}"
        );
        assert_eq!(with("{}", |n| add("{}", n, "b", "1")), "{\"b\": 1}");
    }
}
