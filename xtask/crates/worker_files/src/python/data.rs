//! Data files that the program loads: plain lists and tables of names and defaults.
//!
//! A file that is not plain, not in the repository or not the only one of its name has no value, so
//! that what depends on it is unread.

use serde_json::Value as Json;

use super::eval::Reader;
use super::value::Val;
use crate::Source;
use crate::yaml::{Node, Yaml};

/// The largest file that is read as a table of names, in bytes.
pub const LARGEST: usize = 64 * 1024;
/// The most values that are read of a file. An alias of YAML counts each time.
const MOST: usize = 5_000;

impl<'t> Reader<'t> {
    /// The file that `open(path)` gives.
    pub fn opened(&self, path: &Val<'t>) -> Val<'t> {
        match path {
            // Where the job or a variable names the file, they decide on its content.
            Val::Input(_) | Val::Env(..) => path.clone(),
            path => match self.file_at(path) {
                Some(source) => Val::File(source.text.as_str().into()),
                None => Val::Unknown,
            },
        }
    }

    /// The file that a path names. Only the end of the path has to be known.
    fn file_at(&self, path: &Val<'t>) -> Option<&'t Source> {
        let name = match path {
            Val::Str(text, _) => text.clone(),
            Val::Pieces(parts) => match parts.last() {
                Some(Val::Str(text, _)) if text.contains('/') => text.clone(),
                _ => return None,
            },
            _ => return None,
        };
        self.data_file(&name)
    }

    /// A file of the repository by its path, or by its name where that is unique.
    pub fn data_file(&self, path: &str) -> Option<&'t Source> {
        let path = path.trim_start_matches("./");
        if let Some(source) = self.data.get(path) {
            return Some(source);
        }
        let name = path.rsplit('/').next();
        let mut named = self
            .data
            .iter()
            .filter(|(own, _)| own.rsplit('/').next() == name);
        let first = named.next()?;
        named.next().is_none().then_some(*first.1)
    }

    /// The result of `json.load`, `yaml.safe_load` and similar functions.
    pub fn loaded(&self, function: &str, from: &Val<'t>) -> Val<'t> {
        let text = match from {
            Val::Input(_) | Val::Env(..) => return from.clone(),
            Val::File(text) => text.clone(),
            // A path, where the library opens it by itself.
            Val::Str(text, _) => match self.file_at(from) {
                Some(source) if function.ends_with("load") => source.text.as_str().into(),
                _ => text.clone(),
            },
            path => match self.file_at(path) {
                Some(source) => source.text.as_str().into(),
                None => return Val::Unknown,
            },
        };
        let mut budget = MOST;
        let json = if function.contains("yaml") {
            let yaml = Yaml::parse(&text).ok();
            yaml.and_then(|yaml| from_yaml(&yaml, yaml.root()?, &mut budget))
        } else {
            serde_json::from_str(&text).ok()
        };
        json.map_or(Val::Unknown, |json| Val::from_json(&json))
    }
}

fn from_yaml(yaml: &Yaml, id: usize, budget: &mut usize) -> Option<Json> {
    *budget = budget.checked_sub(1)?;
    Some(match yaml.node(id) {
        Node::Scalar { value, style, .. } if *style == ' ' => plain(value),
        Node::Scalar { value, .. } => Json::String(value.clone()),
        Node::Sequence(items) => {
            let items = items.iter().map(|id| from_yaml(yaml, *id, budget));
            Json::Array(items.collect::<Option<_>>()?)
        }
        Node::Mapping(pairs) => {
            if pairs.iter().any(|(key, _)| yaml.text(*key).is_none()) {
                return None;
            }
            let pairs = yaml.pairs(id).into_iter();
            let pair = |(key, id): (&str, _)| Some((key.to_owned(), from_yaml(yaml, id, budget)?));
            Json::Object(pairs.map(pair).collect::<Option<_>>()?)
        }
    })
}

/// A value that is written without quotes.
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        text => match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(number)) if number.is_finite() => number.into(),
            _ => Json::String(text.to_owned()),
        },
    }
}
