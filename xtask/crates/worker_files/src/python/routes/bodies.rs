//! The parts of a request's body.

use super::offers::COMPUTED;
use crate::python::evaluation::value::Val;
use crate::python::program::node::last_part;
use xtask_core::secret::is_secret;

/// Marks between the name of a part of a body and: the keys of the job's input that it is, what its
/// list always holds, the pattern of its text.
pub const FROM: &str = " from ";
const WITH: &str = " with ";
const AS: &str = " as ";

/// Splits a line into the name of a part of a body, the mark, and the rest.
pub fn said_of_part(line: &str) -> Option<(&str, &str, &str)> {
    let name = line.split(['=', '{', ' ']).next().unwrap_or_default();
    let rest = &line[name.len()..];
    let mut marks = [FROM, WITH, AS].into_iter();
    let mark = marks.find(|mark| rest.starts_with(mark))?;
    Some((name, mark, &rest[mark.len()..]))
}

impl Val<'_> {
    /// What is known of a part of a body that is not a constant, a line each: the keys of the job's
    /// input that it is, what its list always holds, the pattern of its text.
    pub fn known_parts(&self, name: &str) -> Vec<String> {
        if is_secret(last_part(name)) {
            return Vec::new();
        }
        let source = |one: &Self| match one {
            Self::Input(path) if !path.is_empty() => Some(path.to_string()),
            Self::Env(name, _) => Some(format!("${name}")),
            _ => None,
        };
        let keys: Vec<String> = self.each().iter().filter_map(source).collect();
        let is_known = |one: &Self| source(one).is_some() || one.display().is_some();
        let is_taken = !keys.is_empty() && self.each().iter().all(is_known);
        let from = is_taken.then(|| format!("{FROM}{}", keys.join(" or ")));
        let fixed = self.each().iter().flat_map(Self::fixed_parts);
        let line = |part: String| format!("{name}{}", part.replace('\n', "\\n"));
        from.into_iter().chain(fixed).map(line).collect()
    }

    fn fixed_parts(&self) -> Vec<String> {
        match self {
            Self::List(items) => {
                let parts = items.iter().filter_map(Self::pattern);
                let mut parts: Vec<String> = parts.map(|part| format!("{WITH}{part}")).collect();
                if parts.is_empty() && items.iter().all(Self::is_known) {
                    parts.push(format!("{WITH}{COMPUTED}"));
                }
                parts
            }
            Self::Pieces(_) => Vec::from_iter(self.pattern().map(|text| format!("{AS}{text}"))),
            _ => Vec::new(),
        }
    }

    /// Whether only parts that come from the job's input are not constant.
    fn is_known(&self) -> bool {
        let is_known = |(key, value): &(Self, Self)| key.is_known() && value.is_known();
        match self {
            Self::Input(_) => true,
            Self::Pieces(parts) => parts.iter().all(Self::is_known),
            Self::Dict(items) => items.iter().all(is_known),
            one => one.display().is_some(),
        }
    }

    /// The value as text with `{}` for parts from the job's input. `None` if nothing is constant,
    /// if other parts are unknown, or if it may be a secret.
    fn pattern(&self) -> Option<String> {
        match self {
            Self::Pieces(parts) if self.is_known() => {
                let text = |part: &Self| part.display().unwrap_or_else(|| "{}".to_owned());
                let text: String = parts.iter().map(text).collect();
                Some(text).filter(|text| text.contains(char::is_alphabetic))
            }
            Self::Dict(items) => {
                let tells = |(_, value): &(Self, Self)| {
                    value.display().is_none() && value.pattern().is_some()
                };
                let is_fixed = items.iter().all(|(_, value)| value.display().is_some());
                let is_secret = |(key, _): &(Self, Self)| key.as_str().is_some_and(is_secret);
                let says_something = is_fixed || items.iter().any(tells);
                if !says_something || !self.is_known() || items.iter().any(is_secret) {
                    return None;
                }
                let shown = |one: &Self| one.pattern().unwrap_or_else(|| "{}".to_owned());
                let parts = items.iter();
                let parts = parts.map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
                let mut parts: Vec<String> = parts.collect();
                parts.sort_unstable();
                Some(format!("{{{}}}", parts.join(", ")))
            }
            one => one.display(),
        }
    }
}
