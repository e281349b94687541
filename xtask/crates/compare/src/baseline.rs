//! `.xtask/baseline.json`: the old worker's facts, kept for the time when its files are gone.
//!
//! One fact a line, in order, so that a change of it reads well in a diff. Wording (titles,
//! descriptions) is not kept: it is never judged.

use std::collections::BTreeMap;

use anyhow::{Context, Error, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::facts::{Fact, Facts};
use super::own_changes::OwnChanges;
use super::unread::UnreadFact;
use worker_files::Place;
use xtask_core::layout::OUTDATED;
use xtask_core::outcome::UserError;
use xtask_core::tree::short;

/// The version that is written. Version 1 named no commit, no reader and nothing unread.
const VERSION: u64 = 2;

/// Raised when the readers of `worker_files` learn to see more, so that a record of an older one
/// is known for what it is.
const READER: u64 = 23;

#[derive(Debug, Default)]
pub struct Record {
    pub facts: Facts,
    /// The commit that it was read from, where there is one.
    pub commit: Option<String>,
    /// Whether it is of the worker before its migration, without a word on which commit that is.
    pub is_before_migration: bool,
    /// What it started from, where it is a fork and that is known.
    pub base: Option<OwnChanges>,
}

/// What version 1 called the worker that migrate recorded, with its abbreviated commit.
const AT: &str = "the worker at ";

/// What else it called the worker before its migration, without its commit.
const BEFORE_MIGRATION: [&str; 2] = ["worker-sglang before its migration", OUTDATED];

#[derive(Deserialize)]
struct File {
    version: u64,
    #[serde(default)]
    of: String,
    commit: Option<String>,
    reader: Option<u64>,
    sglang: Option<String>,
    base: Option<OwnChanges>,
    #[serde(default)]
    unread: Vec<UnreadFact>,
    facts: Option<Vec<Line>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    id: String,
    #[serde(flatten)]
    value: BTreeMap<String, String>,
    #[serde(default)]
    places: Vec<String>,
}

/// The text of a record that was made again from its commit.
pub fn write_again(record: &Record) -> String {
    let commit = record.commit.as_deref();
    let of = format!("{AT}{}", short(commit.unwrap_or_default()));
    write(&record.facts, &of, commit, record.base.as_ref())
}

/// The file's text. `of` says in words which worker it is.
pub fn write(facts: &Facts, of: &str, commit: Option<&str>, base: Option<&OwnChanges>) -> String {
    let owned = |(key, value): (&String, &String)| (key.clone(), value.clone());
    let line = |(id, fact): (&String, &Fact)| Line {
        id: id.clone(),
        value: fact.judged().map(owned).collect(),
        places: fact.places.iter().map(ToString::to_string).collect(),
    };
    let made_by = "cargo xtask compare OLD --write-baseline";
    let parts = [
        ("version", json!(VERSION)),
        ("made_by", json!(made_by)),
        ("of", json!(of)),
        ("commit", json!(commit)),
        ("reader", json!(READER)),
        ("sglang", json!(facts.sglang)),
    ];
    let base = base.map(|base| ("base", json!(base)));
    let parts = parts.into_iter().chain(base);
    let parts = parts.map(|(key, value)| format!("\"{key}\": {value},\n"));
    let (unread, facts) = (list(facts.unread.iter()), list(facts.all.iter().map(line)));
    let head: String = parts.collect();
    format!("{{\n{head}\"unread\": {unread},\n\"facts\": {facts}\n}}\n")
}

/// A list of JSON with a line for each item.
pub fn list(lines: impl Iterator<Item = impl Serialize>) -> String {
    let lines = lines.filter_map(|line| serde_json::to_string(&line).ok());
    match lines.collect::<Vec<_>>().join(",\n") {
        none if none.is_empty() => "[]".to_owned(),
        some => format!("[\n{some}\n]"),
    }
}

/// Reads the file of the repository, and says what to do where it can't be read.
pub fn of_repository(text: &str, place: &str) -> Result<Record> {
    let help = "`cargo xtask compare OLD --write-baseline` makes it anew";
    read(text).map_err(|error| unreadable(place, &error, help))
}

/// A record that can't be read, with what to do.
pub fn unreadable(place: &str, error: &Error, help: impl Into<String>) -> Error {
    UserError::new(format!("{place} can't be read: {error:#}"), help).into()
}

pub fn read(text: &str) -> Result<Record> {
    let file: File = serde_json::from_str(text).context("it is no baseline")?;
    let version = file.version;
    if !(1..=VERSION).contains(&version) {
        bail!("it is of version {version}; this tool knows {VERSION}");
    }
    let fact = |line: Line| {
        let places = line.places.iter().map(|text| place(text)).collect();
        let value = line.value;
        (line.id, Fact { value, places })
    };
    let facts = file.facts.context("it has no list of facts")?;
    let named = file.of.strip_prefix(AT).map(str::to_owned);
    let commit = file.commit.or(named);
    Ok(Record {
        is_before_migration: commit.is_none() && BEFORE_MIGRATION.contains(&&*file.of),
        commit,
        base: file.base,
        facts: Facts {
            all: facts.into_iter().map(fact).collect(),
            unread: file.unread,
            is_older: file.reader.is_none_or(|reader| reader < READER),
            is_first: file.reader.is_none(),
            sglang: file.sglang,
            ..Facts::default()
        },
    })
}

/// `file:line:column`, read.
fn place(text: &str) -> Place {
    let mut parts = text.rsplitn(3, ':');
    let column = parts.next().and_then(|n| n.parse().ok());
    let line = parts.next().and_then(|n| n.parse().ok());
    match (parts.next(), line, column) {
        (Some(file), Some(line), Some(column)) => {
            let start = Place::start_of(&file.into());
            Place {
                line,
                column,
                ..start
            }
        }
        _ => Place::start_of(&text.into()),
    }
}
