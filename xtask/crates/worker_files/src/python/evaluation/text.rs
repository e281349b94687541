//! Formatting, escapes and operators of texts and numbers.

use super::arguments::Args;
use super::value::Val;

impl<'t> Val<'t> {
    /// `text % right`, with `%s` and `%d` alone.
    pub fn percent(text: &str, right: &Self) -> Self {
        let values = right.elements().unwrap_or_else(|| vec![right.clone()]);
        let mut values = values.into_iter();
        let mut parts = text.split('%');
        let mut out = Self::text(parts.next().unwrap_or_default());
        for part in parts {
            let Some(rest) = part.strip_prefix(['s', 'd']) else {
                return Self::Unknown;
            };
            out = out.join(&values.next().unwrap_or(Self::Unknown));
            out = out.join(&Self::text(rest));
        }
        out
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
            Some(kind @ ('x' | 'u' | 'U')) => {
                let len = match kind {
                    'x' => 2,
                    'u' => 4,
                    _ => 8,
                };
                let code = rest.as_str().get(..len);
                let code = code.and_then(|code| u32::from_str_radix(code, 16).ok());
                match code.and_then(char::from_u32) {
                    Some(c) => {
                        out.push(c);
                        rest.nth(len - 1);
                    }
                    None => out.extend(['\\', kind]),
                }
            }
            Some('\n') => {}
            Some(c @ ('\\' | '\'' | '"')) => out.push(c),
            Some(c) => out.extend(['\\', c]),
            None => out.push('\\'),
        }
    }
    out
}

/// The most bytes of a text that is repeated.
const LONGEST: usize = 1_000;

pub fn integer<'t>(text: &str) -> Val<'t> {
    let plain = text.replace('_', "").to_lowercase();
    let radix = match plain.get(..2) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => 10,
    };
    let digits = if radix == 10 { &plain } else { &plain[2..] };
    let number = i64::from_str_radix(digits, radix);
    number.map_or_else(|_| Val::Float(text.into()), Val::Int)
}

/// A number as Python shows it: `1e-3` is `0.001`.
pub fn float<'t>(text: &str) -> Val<'t> {
    let number = text.replace('_', "").parse::<f64>();
    let number = number.ok().filter(|_| text.contains(['e', 'E', '_']));
    let shown = number.map(|number| format!("{number:?}"));
    Val::Float(shown.as_deref().unwrap_or(text).into())
}

/// The result of an operator with numbers that is no whole number.
fn arithmetic(operator: &str, left: &Val<'_>, right: &Val<'_>) -> Option<f64> {
    let number = |one: &Val<'_>| match one {
        Val::Int(_) | Val::Float(_) => one.display()?.parse::<f64>().ok(),
        _ => None,
    };
    let both_whole = matches!((left, right), (Val::Int(_), Val::Int(_)));
    let (left, right) = (number(left)?, number(right)?);
    match operator {
        "/" if right != 0.0 => Some(left / right),
        "+" if !both_whole => Some(left + right),
        "-" if !both_whole => Some(left - right),
        "*" if !both_whole => Some(left * right),
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
            "**" => small.and_then(|b| a.checked_pow(b)),
            "<<" => small.and_then(|b| a.checked_mul(1_i64.checked_shl(b)?)),
            _ => None,
        };
        if let Some(whole) = whole {
            return Val::Int(whole);
        }
    }
    if let Some(number) = arithmetic(operator, left, right) {
        return Val::Float(format!("{number:?}").into());
    }
    let both = |a: &[Val<'t>], b: &[Val<'t>]| Val::list([a, b].concat());
    match (operator, left, right) {
        (_, Val::Never, _) | (_, _, Val::Never) => Val::Never,
        ("+" | "|", Val::List(a), Val::List(b)) => both(a, b),
        ("+", Val::List(a), _) | ("+", _, Val::List(a)) => both(a, &[Val::Unknown]),
        ("*", Val::List(a), _) => Val::List(a.clone()),
        ("*", Val::Str(text, _), Val::Int(count)) | ("*", Val::Int(count), Val::Str(text, _)) => {
            let count = usize::try_from(*count).unwrap_or_default();
            match count * text.len() < LONGEST {
                true => Val::text(&text.repeat(count)),
                false => Val::Unknown,
            }
        }
        ("%", Val::Str(text, _), right) => Val::percent(text, right),
        ("/", left, right) => left.join(&Val::text("/")).join(right),
        ("|", Val::Environ(a), Val::Dict(b) | Val::Environ(b)) => {
            Val::Environ([&a[..], &b[..]].concat().into())
        }
        ("|", Val::Dict(a), Val::Environ(b)) => {
            Val::Environ(Val::as_defaults(a).chain(b.iter().cloned()).collect())
        }
        ("|", whole @ Val::Environ(_), _) | ("|", _, whole @ Val::Environ(_)) => whole.clone(),
        ("|", Val::Dict(a), Val::Dict(b)) => Val::Dict([&a[..], &b[..]].concat().into()),
        // Of what a server answered and a dict, both are given back.
        ("|", Val::Made(_), Val::Dict(_)) | ("|", Val::Dict(_), Val::Made(_)) => {
            Val::any([left.clone(), right.clone()])
        }
        ("|", input @ Val::Input(_), _) | ("|", _, input @ Val::Input(_)) => input.clone(),
        ("+", left, right) => left.join(right),
        _ => Val::Unknown,
    }
}

/// A part of a text or a list: `[a:b]`.
pub fn slice<'v, T>(range: &str, all: &'v [T]) -> Option<&'v [T]> {
    let len = i64::try_from(all.len()).ok()?;
    let at = |text: &str, default: i64| {
        let number = match text.trim() {
            "" => default,
            text => text.parse().ok()?,
        };
        let from_end = if number < 0 { number + len } else { number };
        usize::try_from(from_end.clamp(0, len)).ok()
    };
    let (from, to) = range.split_once(':')?;
    all.get(at(from, 0)?..at(to, len)?)
}
