//! Data files that the program loads: plain lists and tables of names and defaults.
//!
//! A file that is not plain, not in the repository or not the only one of its name has no value, so
//! that what depends on it is unread.

use std::rc::Rc;

use super::eval::Reader;
use super::value::Val;
use crate::dockerfile::Named;
use crate::json::ProblemKind;
use crate::{Source, json, toml, yaml};

/// The largest file that is read as a table of names, in bytes.
pub const LARGEST: usize = 64 * 1024;

impl<'t> Reader<'t> {
    /// The text of the file that `open(path)` gives.
    pub fn opened(&self, path: &Val<'t>) -> Val<'t> {
        match path {
            // Where the job or a variable names the file, they decide on its content.
            Val::Input(_) | Val::Env(..) => path.clone(),
            // Only the end of the path has to be known.
            path => match path.pieces().last() {
                Some(Val::Str(name, _)) if path.as_str().is_some() || name.contains('/') => {
                    let source = self.data_file(name);
                    source.map_or(Val::Unknown, |source| Val::text(&source.text))
                }
                _ => Val::Unknown,
            },
        }
    }

    /// What a `.env` file sets.
    pub fn file_settings(&self, path: Option<&str>) -> Rc<[(Val<'t>, Val<'t>)]> {
        let source = path.and_then(|path| self.data_file(path));
        let all = source.map(crate::compose::env_file).unwrap_or_default();
        let pair = |one: Named| (Val::text(&one.name), Val::text(&one.value));
        let all: Vec<_> = all.into_iter().map(pair).collect();
        Val::as_defaults(&all).collect()
    }

    /// A file of the repository by its path, or by its name where that is unique.
    pub fn data_file(&self, path: &str) -> Option<&'t Source> {
        let path = path.trim_start_matches("./");
        if let Some(source) = self.data.get(path) {
            return Some(source);
        }
        let name = path.rsplit('/').next();
        let all = self.data.iter();
        let mut named = all.filter(|(own, _)| own.rsplit('/').next() == name);
        let first = named.next()?;
        named.next().is_none().then_some(*first.1)
    }
}

/// The result of `json.load`, `tomllib.load` or `yaml.safe_load`, of a file's text.
pub fn loaded<'t>(module: &str, from: &Val<'t>) -> Val<'t> {
    if let Some(request) = from.text_of_answer() {
        return Val::Made(format!("{request}.json").into());
    }
    let root = match from {
        Val::Str(text, _) if module == "yaml" => {
            let root = yaml::parse(text).ok();
            root.map(|root| yaml::typed(&root, text))
        }
        Val::Str(text, _) if module.starts_with("toml") => toml::parse(text).ok(),
        Val::Str(text, _) => {
            let parsed = json::parse(text.as_bytes());
            // Of a key that stands twice, Python takes the last, too.
            let mut problems = parsed.problems.iter();
            let is_json = problems.all(|problem| problem.kind == ProblemKind::DuplicateKey);
            parsed.root.filter(|_| is_json)
        }
        Val::Input(_) | Val::Env(..) => return from.clone(),
        _ => None,
    };
    root.map_or(Val::Unknown, |root| Val::from_node(&root))
}
