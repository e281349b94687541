//! Python's `%` formatting, as far as what is put in is known.

use super::eval::{item_of, join};
use super::value::Value;

/// `text % right`.
pub fn percent<'t>(text: &str, right: &Value<'t>) -> Value<'t> {
    let mut values = match right {
        Value::List(items) => items.borrow().clone(),
        one => vec![one.clone()],
    }
    .into_iter();
    let mut out = Value::text("");
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out = join(&out, &Value::text(before));
        if let Some(after) = after.strip_prefix('%') {
            out = join(&out, &Value::text("%"));
            rest = after;
            continue;
        }
        let named = after.strip_prefix('(').and_then(|a| a.split_once(')'));
        let (value, after) = match named {
            Some((name, after)) => (Some(item_of(right, &Value::text(name))), after),
            None => (values.next(), after),
        };
        let end = after.find(|c: char| c.is_ascii_alphabetic());
        let (kind, after) = after.split_at(end.map_or(after.len(), |end| end + 1));
        // With a width or another base it would have to be computed.
        let plain = matches!(kind, "s" | "d" | "i");
        out = join(&out, &value.filter(|_| plain).unwrap_or(Value::Unknown));
        rest = after;
    }
    join(&out, &Value::text(rest))
}
