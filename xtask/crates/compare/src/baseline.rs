//! `.xtask/baseline.json`: the old worker's facts, kept for the time when its files are gone.
//!
//! One fact a line, in order, so that a change of it reads well in a diff. Wording (titles,
//! descriptions) is not kept: it is never judged.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::facts::{Fact, Facts, WORDING};
use super::own_changes::OwnChanges;
use worker_files::Place;
use xtask_core::outcome::UserError;

/// The version that is written. Version 1 named no commit, no reader and nothing unread.
const VERSION: u64 = 2;

/// Raised when the readers of `worker_files` learn to see more, so that a record of an older one
/// is known for what it is.
pub const READER: u64 = 5;

/// Where a record comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OldCommit {
    /// The old worker, for people.
    pub of: String,
    /// The commit that it was read from, where there is one.
    pub commit: Option<String>,
    /// What it started from, where it is a fork and that is known.
    pub base: Option<OwnChanges>,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub origin: OldCommit,
    pub facts: Facts,
}

/// What version 1 called the worker that migrate recorded, with its abbreviated commit.
const AT: &str = "the worker at ";

/// The file's text.
pub fn write(facts: &Facts, origin: &OldCommit) -> String {
    let mut out = format!(
        "{{\n\"version\": {VERSION},\n\"made_by\": \"cargo xtask compare OLD --write-baseline\",\n\"of\": {},\n\"commit\": {},\n\"reader\": {READER},\n\"sglang\": {},\n\"unread\": [",
        Value::from(origin.of.as_str()),
        origin.commit.as_deref().map_or(Value::Null, Value::from),
        facts.sglang.as_deref().map_or(Value::Null, Value::from)
    );
    if let Some(base) = origin
        .base
        .as_ref()
        .and_then(|it| serde_json::to_string(it).ok())
    {
        out = out.replacen("\"unread\"", &format!("\"base\": {base},\n\"unread\""), 1);
    }
    let gaps = facts
        .unread
        .iter()
        .filter_map(|gap| serde_json::to_string(gap).ok());
    let gaps = gaps.collect::<Vec<_>>().join(",\n");
    if !gaps.is_empty() {
        out.extend(["\n", &gaps, "\n"]);
    }
    out.push_str("],\n\"facts\": [\n");
    let lines: Vec<String> = facts
        .all
        .iter()
        .map(|(id, fact)| {
            // Put together here, because a value of JSON made for each line costs more than the
            // line.
            let mut line = format!("{{\"id\":{}", quoted(id));
            for (key, value) in &fact.value {
                if !WORDING.contains(&key.as_str()) {
                    line.extend([",", &quoted(key), ":", &quoted(value)]);
                }
            }
            line.push_str(",\"places\":[");
            let places = fact.places.iter().map(|place| quoted(&place.to_string()));
            line.push_str(&places.collect::<Vec<_>>().join(","));
            line.push_str("]}");
            line
        })
        .collect();
    out.push_str(&lines.join(",\n"));
    out.push_str("\n]\n}\n");
    out
}

/// A text as JSON has it.
fn quoted(text: &str) -> String {
    let needs_no_escape = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(needs_no_escape) {
        ["\"", text, "\""].concat()
    } else {
        Value::from(text).to_string()
    }
}

/// Reads the file of the repository, and says what to do where it can't be read.
pub fn of_repository(text: &str, place: &str) -> Result<Record> {
    read(text).map_err(|error| {
        let what = format!("{place} can't be read: {error:#}");
        let help = "`cargo xtask compare OLD --write-baseline` makes it anew";
        UserError::new(what, help).into()
    })
}

/// Reads the file.
pub fn read(text: &str) -> Result<Record> {
    let root: Value = serde_json::from_str(text).context("it is no JSON")?;
    match root.get("version") {
        Some(version) if version.as_u64().is_some_and(|v| (1..=VERSION).contains(&v)) => {}
        Some(version) => bail!("it is of version {version}; this tool knows {VERSION}"),
        None => bail!("it names no version"),
    }
    let word = |key: &str| root.get(key).and_then(Value::as_str).map(str::to_owned);
    let of = word("of").unwrap_or_default();
    let named = of.strip_prefix(AT).map(str::to_owned);
    let unread = match root.get("unread") {
        None => Vec::new(),
        Some(list) => {
            serde_json::from_value(list.clone()).context("its list of what was not read")?
        }
    };
    let base = match root.get("base") {
        None => None,
        Some(base) => serde_json::from_value(base.clone()).context("what it says of its base")?,
    };
    let list = root
        .get("facts")
        .and_then(Value::as_array)
        .context("it has no list of facts")?;
    let mut all = BTreeMap::new();
    for entry in list {
        let object = entry.as_object().context("a fact is no object")?;
        let id = object
            .get("id")
            .and_then(Value::as_str)
            .context("a fact has no id")?;
        let mut fact = Fact::default();
        for (key, value) in object {
            match (key.as_str(), value) {
                ("id", _) => {}
                ("places", Value::Array(places)) => {
                    fact.places = places.iter().filter_map(Value::as_str).map(place).collect();
                }
                (key, Value::String(text)) => {
                    fact.value.insert(key.to_owned(), text.clone());
                }
                (key, _) => bail!("{key} of {id} is no text"),
            }
        }
        all.insert(id.to_owned(), fact);
    }
    let reader = root.get("reader").and_then(Value::as_u64).unwrap_or(1);
    Ok(Record {
        origin: OldCommit {
            of,
            commit: word("commit").or(named),
            base,
        },
        facts: Facts {
            all,
            unread,
            older: (reader < READER).then_some(reader),
            sglang: word("sglang"),
            passed_over: None,
        },
    })
}

/// `file:line:column`, read.
fn place(text: &str) -> Place {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next().and_then(|n| n.parse().ok());
    let line = parts.next().and_then(|n| n.parse().ok());
    match (parts.next(), line, column) {
        (Some(file), Some(line), Some(column)) => Place {
            file: file.into(),
            line,
            column,
            start: 0,
            end: 0,
        },
        _ => Place::start_of(&text.into()),
    }
}
