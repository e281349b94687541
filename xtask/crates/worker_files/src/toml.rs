//! TOML as the same values with places that JSON has.

use ::toml::Spanned;
use ::toml::de::{DeString, DeTable, DeValue};

use crate::json::{JsonKind, JsonNode, Member};
use crate::{Hides, Source, Unread};

/// A file's root table: what can be read, although some of it is no TOML.
pub fn read(source: &Source, may_hide: &[Hides], unread: &mut Vec<Unread>) -> JsonNode {
    let (root, faults) = DeTable::parse_recoverable(&source.text);
    for fault in faults {
        let what = format!("not TOML: {}", fault.message());
        unread.push(source.unread(fault.span().unwrap_or(0..0), what, may_hide));
    }
    JsonNode::new(root.span(), object(root.get_ref()))
}

/// A text that is TOML as a whole.
pub fn parse(text: &str) -> Result<JsonNode, ::toml::de::Error> {
    let root = DeTable::parse(text)?;
    Ok(JsonNode::new(root.span(), object(root.get_ref())))
}

fn object(table: &DeTable) -> JsonKind {
    let member = |(key, value): (&Spanned<DeString>, &_)| {
        Member::new(&**key.get_ref(), key.span(), node(value))
    };
    let mut members: Vec<Member> = table.iter().map(member).collect();
    members.sort_by_key(|member| member.key_span.start);
    JsonKind::Object(members)
}

fn node(value: &Spanned<DeValue>) -> JsonNode {
    let kind = match value.get_ref() {
        DeValue::String(text) => JsonKind::String(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let known = i64::from_str_radix(number.as_str(), number.radix());
            JsonKind::Number(known.map_or_else(|_| number.to_string(), |it| it.to_string()))
        }
        DeValue::Float(number) => JsonKind::Number(number.as_str().to_owned()),
        DeValue::Boolean(value) => JsonKind::Bool(*value),
        DeValue::Datetime(date) => JsonKind::String(date.to_string()),
        DeValue::Array(items) => JsonKind::Array(items.iter().map(node).collect()),
        DeValue::Table(table) => object(table),
    };
    JsonNode::new(value.span(), kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (JsonNode, usize) {
        let mut unread = Vec::new();
        let source = Source::new("a.toml".into(), text.as_bytes());
        let root = read(&source, &[], &mut unread);
        (root, unread.len())
    }

    #[test]
    fn places_are_bytes_and_members_in_the_order_of_the_text() {
        let text = "b.c = \"é\" # x\n[a]\nlist = ['q', 1]\n";
        let (root, faults) = parse(text);
        assert_eq!(faults, 0);
        let keys: Vec<_> = root.members().iter().map(|it| it.key.as_str()).collect();
        assert_eq!(keys, ["b", "a"]);
        let value = root.get("b").unwrap().get("c").unwrap();
        assert_eq!(&text[value.span.clone()], "\"é\"");
        let (numbers, _) = parse("a = 0x10\nb = 1_000\n");
        let number = |key| numbers.get(key).and_then(JsonNode::scalar).unwrap();
        assert_eq!([number("a"), number("b")], ["16", "1000"]);
        let list = root.get("a").unwrap().list("list");
        assert_eq!(list[0].as_str(), Some("q"));
        assert_eq!(list[1].kind, JsonKind::Number("1".into()));
    }

    #[test]
    fn broken_files_give_what_can_be_read() {
        let (root, faults) = parse("[project]\nname = \"w\"\na = no value\n[more]\na = 1\n");
        assert_eq!(root.get("project").unwrap().text("name"), Some("w"));
        assert!(root.get("more").is_some());
        assert_eq!(faults, 1);
        let deep = "[".repeat(100_000);
        for text in ["[", "a = \"", "a = [\"x", "=", "a = '''", "\"", "a=\"\\"] {
            assert!(parse(text).1 > 0, "{text}");
        }
        assert!(parse(&format!("a = {deep}")).1 > 0);
    }
}
