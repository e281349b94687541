//! What lists, dicts and copies of the environment hold: items, entries and elements.

use std::rc::Rc;

use super::value::{Val, join_pairs};
use crate::python::program::node::is_among;

/// The longest key that is told of what a request is answered with, and how often it is gone into.
const LONGEST_KEY: usize = 40;
const DEEPEST_KEY: usize = 6;

/// Whether a pseudo-path is what a request is answered with, or a part of that.
pub fn is_answer(path: &str) -> bool {
    path.rsplit('.').next() == Some("json")
        || path.ends_with(']') && path.contains(".json[") && path.matches('[').count() < DEEPEST_KEY
}

impl Val<'_> {
    /// The pseudo-path of the request whose answer this is, as text: `r.text`, `await r.text()`.
    pub fn text_of_answer(&self) -> Option<&str> {
        let (request, name) = match self {
            Self::Method(object, name) => (object.made()?, &**name),
            one => one.made()?.rsplit_once('.')?,
        };
        let is_text = is_among("text content read", name);
        (is_text && request.rsplit('.').next() == Some("post")).then_some(request)
    }

    fn made(&self) -> Option<&str> {
        match self {
            Self::Made(path) => Some(path),
            _ => None,
        }
    }

    /// `self[key]`.
    pub fn item(&self, key: &Self) -> Self {
        match (self, key) {
            (Self::Never | Self::Lost, _) => self.clone(),
            (_, Self::Never) => Self::Never,
            (Self::Any(all), key) => Self::any(all.iter().map(|one| one.item(key))),
            (Self::List(items), Self::Int(at)) => {
                let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
                let at = usize::try_from(if *at < 0 { at + len } else { *at });
                let item = at.ok().and_then(|at| items.get(at));
                item.cloned().unwrap_or(Self::Unknown)
            }
            (Self::List(items), _) => Self::any(items.iter().cloned()),
            (Self::Dict(_), Self::Any(keys)) => Self::any(keys.iter().map(|key| self.item(key))),
            (Self::Dict(_), Self::Str(..) | Self::Int(_) | Self::Bool(_) | Self::None) => {
                self.entry(key).unwrap_or(Self::Unknown)
            }
            (Self::Dict(items), key) => {
                let all = || Self::any(items.iter().map(|(_, value)| value.clone()));
                self.entry(key).unwrap_or_else(all)
            }
            (Self::Input(path), Self::Str(key, _)) => match path.rsplit('.').next() {
                // `input.input` is the same as `input`.
                Some(last) if last == &**key => Self::Input(path.clone()),
                Some("") | None => Self::Input(key.clone()),
                Some(_) => Self::Input(format!("{path}.{key}").into()),
            },
            (Self::Input(path), _) => Self::Input(path.clone()),
            // A part of what a request is answered with.
            (Self::Made(path), key) if is_answer(path) => {
                let key = key.display().filter(|key| key.len() < LONGEST_KEY);
                let part = key.map(|key| Self::Made(format!("{path}[{key}]").into()));
                part.unwrap_or(Self::Unknown)
            }
            (Self::Job, Self::Any(keys)) => Self::any(keys.iter().map(|key| self.item(key))),
            (Self::Job, Self::Str(key, _)) if &**key == "input" => Self::Input("".into()),
            _ => Self::Unknown,
        }
    }

    /// The value at a path of numbers: `x[1][0]`.
    pub fn item_at(self, path: &[i64]) -> Self {
        let steps = path.iter().map(|step| Self::Int(*step));
        steps.fold(self, |value, step| value.item(&step))
    }

    /// The entries of a dict that hold only where the environment does not set the name:
    /// `{**defaults, **os.environ}`.
    pub fn as_defaults(items: &[(Self, Self)]) -> impl Iterator<Item = (Self, Self)> {
        items.iter().map(|(key, value)| match key {
            Self::Str(name, _) if !matches!(value, Self::Env(own, _) if own == name) => {
                let default = Self::Env(name.clone(), Rc::new(value.clone()));
                (key.clone(), default)
            }
            _ => (key.clone(), value.clone()),
        })
    }

    /// The default that a copy of the environment has for a name.
    pub fn default_of(&self, key: &Self) -> Option<Self> {
        let Self::Env(_, default) = self.entry(key)? else {
            return None;
        };
        Some(default.as_ref().clone()).filter(|default| *default != Self::None)
    }

    /// What a copy of the environment holds under a name whatever the environment sets:
    /// `{**os.environ, "A": "1"}`.
    pub fn always(&self, key: &Self) -> Option<Self> {
        let value = self.entry(key)?;
        let own = key.as_str();
        let is_default = matches!(&value, Self::Env(name, _) if Some(&**name) == own);
        (own.is_some_and(|own| own != "*") && !is_default).then_some(value)
    }

    /// A dict's value of a key that it has.
    pub fn entry(&self, key: &Self) -> Option<Self> {
        let (Self::Dict(items) | Self::Environ(items)) = self else {
            return None;
        };
        let same = |own: &Self| match (own, key) {
            (Self::Str(a, _), Self::Str(b, _)) => a == b,
            (a, b) => a == b,
        };
        let found = items.iter().rev().find(|(own, _)| same(own));
        found.map(|(_, value)| value.clone())
    }

    /// The elements that a loop takes, where they are known.
    pub fn elements(&self) -> Option<Vec<Self>> {
        match self {
            Self::List(items) => Some(items.to_vec()),
            Self::Dict(items) => Some(items.iter().map(|(key, _)| key.clone()).collect()),
            // An element has the same path as the list.
            Self::Input(_) => Some(vec![self.clone()]),
            Self::Any(all) => {
                let some = all.iter().filter(|one| !matches!(one, Self::None));
                // Unknown alternatives must not hide the job's input.
                let other = self.is_input().then(|| vec![Self::Unknown]);
                let each = some.map(|one| one.elements().or_else(|| other.clone()));
                Some(each.collect::<Option<Vec<_>>>()?.concat())
            }
            _ => None,
        }
    }

    /// The elements of a collection, or each value that it may be.
    pub fn elements_or_each(&self) -> Vec<Self> {
        self.elements().unwrap_or_else(|| self.each().to_vec())
    }

    /// The elements of a collection, or one that is not known.
    pub fn elements_or_unknown(&self) -> Vec<Self> {
        self.elements().unwrap_or_else(|| vec![Self::Unknown])
    }

    /// The items of a dict, or of several that it may be.
    pub fn joined_pairs(&self) -> Vec<(Self, Self)> {
        let mut known = Vec::new();
        for one in self.each() {
            match one {
                Self::Dict(items) => join_pairs(&mut known, items),
                Self::Never => {}
                _ => known.push((Self::Unknown, Self::Unknown)),
            }
        }
        known
    }
}
