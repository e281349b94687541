//! Formatting, escapes and operators of texts and numbers.

use super::value::{Args, Val};

impl<'t> Val<'t> {
    /// `text % right`.
    pub fn percent(&self, right: &Self) -> Self {
        let Some(text) = self.as_str() else {
            return Self::Unknown;
        };
        let values = match right {
            Self::List(items) => items.to_vec(),
            one => vec![one.clone()],
        };
        let mut values = values.into_iter();
        let mut out = Self::text("");
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('%') {
            out = out.join(&Self::text(before));
            if let Some(after) = after.strip_prefix('%') {
                out = out.join(&Self::text("%"));
                rest = after;
                continue;
            }
            let named = after.strip_prefix('(').and_then(|a| a.split_once(')'));
            let (value, after) = match named {
                Some((name, after)) => (Some(right.item(&Self::text(name))), after),
                None => (values.next(), after),
            };
            let end = after.find(|c: char| c.is_ascii_alphabetic());
            let (kind, after) = after.split_at(end.map_or(after.len(), |end| end + 1));
            // With a width or another base it would have to be computed.
            let plain = matches!(kind, "s" | "d" | "i");
            out = out.join(&value.filter(|_| plain).unwrap_or(Self::Unknown));
            rest = after;
        }
        out.join(&Self::text(rest))
    }

    /// `text.format(…)`.
    pub fn format(text: &str, args: &Args<'t>) -> Self {
        let mut out = Self::text("");
        let mut rest = text;
        let mut next = 0;
        while let Some((before, after)) = rest.split_once('{') {
            out = out.join(&Self::text(before));
            let Some((name, after)) = after.split_once('}') else {
                return Self::Unknown;
            };
            let value = match name.parse::<usize>() {
                Ok(at) => args.positional.get(at),
                Err(_) if name.is_empty() => {
                    next += 1;
                    args.positional.get(next - 1)
                }
                Err(_) => args.named(name),
            };
            out = out.join(value.unwrap_or(&Self::Unknown));
            rest = after;
        }
        out.join(&Self::text(rest))
    }
}

/// The text of a string as it stands between its quotes.
pub fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('r') => out.push('\r'),
            Some('0') => out.push('\0'),
            Some('\n') => {}
            Some(digits @ ('x' | 'u')) => {
                let count = if digits == 'x' { 2 } else { 4 };
                let code: String = rest.by_ref().take(count).collect();
                out.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
            }
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

pub fn integer<'t>(text: &str) -> Val<'t> {
    let plain = text.replace('_', "").to_lowercase();
    let number = match plain.get(..2) {
        Some("0x") => i64::from_str_radix(&plain[2..], 16),
        Some("0o") => i64::from_str_radix(&plain[2..], 8),
        Some("0b") => i64::from_str_radix(&plain[2..], 2),
        _ => plain.parse(),
    };
    number.map_or_else(|_| Val::Float(text.into()), Val::Int)
}

fn number(value: &Val<'_>) -> Option<f64> {
    match value {
        #[allow(
            clippy::cast_precision_loss,
            reason = "shown as text, where the digits suffice"
        )]
        Val::Int(number) => Some(*number as f64),
        Val::Float(text) => text.replace('_', "").parse().ok(),
        _ => None,
    }
}

/// `left operator right`.
pub fn binary<'t>(operator: &str, left: &Val<'t>, right: &Val<'t>) -> Val<'t> {
    if let (Val::Int(a), Val::Int(b)) = (left, right) {
        let small = u32::try_from(*b).ok();
        let whole = match operator {
            "+" => a.checked_add(*b),
            "-" => a.checked_sub(*b),
            "*" => a.checked_mul(*b),
            "//" if *b != 0 => Some(a.div_euclid(*b)),
            "%" if *b != 0 => Some(a.rem_euclid(*b)),
            "**" => small.and_then(|b| a.checked_pow(b)),
            "<<" => small
                .filter(|b| *b < 62)
                .and_then(|b| a.checked_mul(1 << b)),
            ">>" => small.and_then(|b| a.checked_shr(b)),
            "|" => Some(a | b),
            "&" => Some(a & b),
            _ => None,
        };
        if let Some(whole) = whole {
            return Val::Int(whole);
        }
    }
    if let (Some(a), Some(b)) = (number(left), number(right)) {
        let result = match operator {
            "+" => a + b,
            "-" => a - b,
            "*" => a * b,
            "/" => a / b,
            "**" => a.powf(b),
            _ => return Val::Unknown,
        };
        return Val::Float(format!("{result:?}").into());
    }
    let both = |a: &[Val<'t>], b: &[Val<'t>]| Val::list([a, b].concat());
    match (operator, left, right) {
        (_, Val::Never, _) | (_, _, Val::Never) => Val::Never,
        ("+" | "|", Val::List(a), Val::List(b)) => both(a, b),
        ("+", Val::List(a), _) | ("+", _, Val::List(a)) => both(a, &[Val::Unknown]),
        ("*", Val::List(a), _) => Val::List(a.clone()),
        ("%", Val::Str(..), right) => left.percent(right),
        ("/", left, right) => left.join(&Val::text("/")).join(right),
        ("|", Val::Environ(a), Val::Dict(b)) | ("|", Val::Dict(a), Val::Environ(b)) => {
            Val::Environ([&a[..], &b[..]].concat().into())
        }
        ("|", Val::Dict(a), Val::Dict(b)) => Val::Dict([&a[..], &b[..]].concat().into()),
        ("|", input @ Val::Input(_), _) | ("|", _, input @ Val::Input(_)) => input.clone(),
        ("+", left, right) => left.join(right),
        _ => Val::Unknown,
    }
}

/// A part of a text: `[a:b]`.
pub fn slice(range: &str, text: &str) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    let (from, to) = range.split_once(':')?;
    let len = i64::try_from(chars.len()).ok()?;
    let at = |text: &str, default: i64| -> Option<usize> {
        let number: i64 = match text.trim() {
            "" => default,
            text => text.parse().ok()?,
        };
        let from_end = if number < 0 {
            (number + len).max(0)
        } else {
            number.min(len)
        };
        usize::try_from(from_end).ok()
    };
    let part = chars.get(at(from, 0)?..at(to, len)?)?;
    Some(part.iter().collect())
}
