//! Compares SGLang's own parser with the flag tables of the image and the repository; can rewrite
//! the latter.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::super::{Check, CheckStatus};
use super::containers::Session;
use super::{Seen, Subject, text};
use xtask_core::output::cut;

const NAME: &str = "flags";

/// The table of flags. `--update-flags` writes it for an image with another SGLang.
pub const TABLE: &str = "sglang_worker/sglang_flags.json";

/// The script of a modern worker that reads SGLang's parser.
const SCRIPT: &str = "scripts/sglang_flags.py";

/// The module that the script reads with, where a worker has it.
const READER: &str = "sglang_worker/extract.py";

const READ: &str = include_str!("flags.py");

/// Importing the real SGLang takes a while, more so without a GPU.
const LIMIT: Duration = Duration::from_mins(5);

/// The fields that come from the parser itself. The others are guessed from help texts, so a table
/// may know more.
const SAID: [&str; 9] = [
    "kind",
    "type",
    "choices",
    "default",
    "aliases",
    "dest",
    "nargs",
    "required",
    "deprecated",
];

const NAMED: usize = 12;

#[derive(Debug, Clone, Default, Deserialize)]
struct Answer {
    /// Its own table.
    image: Option<String>,
    /// The repository's table brought up to what the parser takes.
    made: Option<String>,
    error: Option<String>,
}

pub fn version(table: &str) -> Option<String> {
    let table: Value = serde_json::from_str(table).ok()?;
    Some(table.get("version")?.as_str()?.to_owned())
}

/// Asks the image, and writes the repository's table where that is wanted.
pub fn look(session: &Session, seen: &Seen, subject: &Subject) -> Result<Check> {
    let repository = subject.repository;
    let tree = &*repository.tree;
    let Some(script) = text(tree, SCRIPT)? else {
        let why = format!("the repository has no {SCRIPT}, which reads SGLang's parser");
        return Ok(Check::skipped(NAME, why));
    };
    let (workdir, here) = (seen.workdir(), text(tree, TABLE)?);
    let input = serde_json::json!({
        "script": script,
        "reader": text(tree, READER)?,
        "table": here,
        "image": format!("{}/{TABLE}", workdir.trim_end_matches('/')),
    });
    let place = (subject.image, workdir);
    let answer = match session.python(place, READ, &input.to_string(), LIMIT)? {
        Ok(said) => serde_json::from_str(&said).context("reading the image's flags")?,
        Err(why) => return Ok(unread(&why)),
    };
    if repository.update_flags {
        return update(&answer, here.as_deref(), &repository.root);
    }
    Ok(check(&answer, here.as_deref()))
}

fn unread(why: &str) -> Check {
    let words = format!("SGLang's parser can't be read in the image: {why}");
    Check::failed(NAME, words)
}

/// The verdict, where the repository's table is left as it is.
fn check(answer: &Answer, here: Option<&str>) -> Check {
    let made = match made(answer) {
        Ok(made) => made,
        Err(check) => return check,
    };
    let (mut wrong, mut notes) = (Vec::new(), Vec::new());
    let release = &made.version;
    let tables = [
        ("the image", answer.image.as_deref(), false),
        ("the repository", here, true),
    ];
    for (whose, table, may_be_another) in tables {
        match table.map(parse) {
            None => wrong.push(format!("{whose} has no {TABLE}, which engine.py reads")),
            Some(None) => wrong.push(format!(
                "{whose}'s {TABLE} can't be read: it is no table of flags"
            )),
            // The build writes the table of a base image with another SGLang.
            Some(Some(Table { version, .. })) if version != *release && may_be_another => {
                notes.push(format!(
                    "the repository's {TABLE} is SGLang {version}'s; --update-flags writes \
                     {release}'s"
                ));
            }
            Some(Some(Table { version, .. })) if version != *release => wrong.push(format!(
                "{whose}'s {TABLE} is SGLang {version}'s, and its SGLang is {release}"
            )),
            Some(Some(table)) => {
                let lines = differences(&table, &made);
                if !lines.is_empty() {
                    wrong.push(format!(
                        "{whose}'s {TABLE} is not what its SGLang {release} takes:"
                    ));
                    wrong.extend(lines);
                }
            }
        }
    }
    let help = format!(
        "`cargo xtask build-image --update-flags` writes the repository's {TABLE} from the image; \
         then build again"
    );
    let count = made.flags.len();
    let in_order = format!("{count} flags of SGLang {release}, as its own parser has them");
    Check::judged(NAME, wrong, &help, in_order).and(notes)
}

/// Writes the repository's table from the image, and says what changed.
fn update(answer: &Answer, here: Option<&str>, repository: &Path) -> Result<Check> {
    let made = match made(answer) {
        Ok(made) => made,
        Err(check) => return Ok(check),
    };
    let (text, release) = (answer.made.as_deref().unwrap_or_default(), &made.version);
    let mut words = Vec::new();
    if here == Some(text) {
        words.push(format!("{TABLE} is SGLang {release}'s already"));
    } else {
        write(&repository.join(TABLE), text)?;
        words.push(format!("{TABLE} is written, for SGLang {release}:"));
        let old = here.and_then(parse).unwrap_or_default();
        if old.version != *release && !old.version.is_empty() {
            words.push(format!("it was SGLang {}'s", old.version));
        }
        let lines = differences(&old, &made);
        if lines.is_empty() {
            words.push("the flags are the same".to_owned());
        }
        words.extend(lines);
    }
    let own = answer.image.as_deref().and_then(parse);
    if own.is_some_and(|own| own.version == *release && differences(&own, &made).is_empty()) {
        return Ok(Check::new(NAME, CheckStatus::Passed, words));
    }
    words.push("the image still has another table: build it again".to_owned());
    Ok(Check::new(NAME, CheckStatus::Warning, words))
}

/// What SGLang's parser takes, or why that isn't known.
fn made(answer: &Answer) -> Result<Table, Check> {
    let Some(text) = &answer.made else {
        let why = answer.error.as_deref();
        return Err(unread(why.unwrap_or("no reason was given")));
    };
    let nothing = || Check::failed(NAME, format!("{SCRIPT} wrote no table of flags"));
    parse(text).ok_or_else(nothing)
}

/// Writes a file atomically.
fn write(path: &Path, text: &str) -> Result<()> {
    // A link is written through.
    let path = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("writing to {}", folder.display()))?;
    file.write_all(text.as_bytes())?;
    let permissions = match fs_err::metadata(&path) {
        Ok(metadata) => metadata.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    file.as_file().set_permissions(permissions)?;
    file.persist(&path)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(())
}

#[derive(Debug, Default, Deserialize)]
struct Table {
    version: String,
    flags: Map<String, Value>,
}

fn parse(text: &str) -> Option<Table> {
    serde_json::from_str(text).ok()
}

/// How the flags that a parser takes differ from a table's: a line for those that are added, gone
/// and changed.
fn differences(table: &Table, made: &Table) -> Vec<String> {
    let not_in = |other: &Table, flags: &Table| -> Vec<String> {
        let names = flags.flags.keys().cloned();
        names
            .filter(|name| !other.flags.contains_key(name))
            .collect()
    };
    let changed = made.flags.iter().filter_map(|(name, flag)| {
        let different = fields(table.flags.get(name)?, flag).join(", ");
        (!different.is_empty()).then(|| format!("{name} ({different})"))
    });
    let kinds = [
        ("added", not_in(table, made)),
        ("gone", not_in(made, table)),
        ("changed", changed.collect()),
    ];
    let some = kinds.iter().filter(|(_, flags)| !flags.is_empty());
    some.map(|(kind, flags)| {
        let named: Vec<&str> = flags.iter().take(NAMED).map(String::as_str).collect();
        let more = match flags.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} {kind}: {}{more}", flags.len(), named.join(", "))
    })
    .collect()
}

fn fields(old: &Value, new: &Value) -> Vec<String> {
    let short = |value: Option<&Value>| {
        let text = value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        cut(&text, 40)
    };
    let values = SAID
        .iter()
        .map(|name| (name, old.get(*name), new.get(*name)));
    values
        .filter(|(_, old, new)| old != new)
        .map(|(name, old, new)| format!("{name}: {} → {}", short(old), short(new)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(version: &str, flags: &str) -> String {
        format!("{{\"version\": \"{version}\", \"flags\": {{{flags}}}, \"retired\": {{}}}}")
    }

    fn answer(image: &str, made: &str) -> Answer {
        Answer {
            image: Some(image.to_owned()),
            made: Some(made.to_owned()),
            error: None,
        }
    }

    const OLD: &str =
        r#""--a": {"kind": "value", "default": 1, "replacement": "--x"}, "--b": {"kind": "value"}"#;
    const NEW: &str = r#""--a": {"kind": "value", "default": 2}, "--c": {"kind": "value"}"#;

    #[test]
    fn flags_added_gone_and_changed_are_named() {
        let (old, new) = (table("1.0", OLD), table("1.0", NEW));
        let check = check(&answer(&old, &new), Some(&new));
        assert_eq!(check.verdict, CheckStatus::Failed);
        assert_eq!(
            check.words,
            [
                "the image's sglang_worker/sglang_flags.json is not what its SGLang 1.0 takes:",
                "1 added: --c",
                "1 gone: --b",
                "1 changed: --a (default: 1 → 2)",
                "`cargo xtask build-image --update-flags` writes the repository's sglang_worker/sglang_flags.json \
                 from the image; then build again",
            ]
        );
    }

    #[test]
    fn the_repository_s_table_counts_where_it_is_of_the_same_release() {
        let (old, new) = (table("1.0", OLD), table("1.0", NEW));
        let same = check(&answer(&new, &new), Some(&new));
        assert_eq!(same.verdict, CheckStatus::Passed, "{same:?}");
        let behind = check(&answer(&new, &new), Some(&old));
        assert_eq!(behind.verdict, CheckStatus::Failed);
        assert!(
            behind.words[0].starts_with("the repository's"),
            "{behind:?}"
        );
        let other = check(&answer(&new, &new), Some(&table("0.9", OLD)));
        assert_eq!(other.verdict, CheckStatus::Passed);
        assert!(other.words[1].contains("SGLang 0.9's"), "{other:?}");
        // The image's own has to be its own SGLang's.
        let stale = check(&answer(&table("0.9", NEW), &new), Some(&new));
        assert_eq!(stale.verdict, CheckStatus::Failed, "{stale:?}");
    }

    #[test]
    fn a_parser_that_cannot_be_read_fails_with_the_reason() {
        let broken = Answer {
            error: Some("sglang_flags: refused: only 3 flags".into()),
            ..Answer::default()
        };
        let check = check(&broken, None);
        assert_eq!(check.verdict, CheckStatus::Failed);
        assert!(check.words[0].contains("only 3 flags"), "{check:?}");
    }

    #[test]
    fn an_update_writes_the_table_and_says_what_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(TABLE);
        fs_err::create_dir(path.parent().unwrap()).unwrap();
        let (old, new) = (table("1.0", OLD), table("1.1", NEW));
        std::fs::write(&path, &old).unwrap();
        let check = update(&answer(&new, &new), Some(&old), folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), new);
        assert_eq!(check.verdict, CheckStatus::Passed);
        let all = check.words.join("\n");
        for part in [
            "is written, for SGLang 1.1",
            "it was SGLang 1.0's",
            "1 gone: --b",
        ] {
            assert!(all.contains(part), "{part}\n{all}");
        }
        let check = update(&answer(&old, &new), Some(&new), folder.path()).unwrap();
        assert_eq!(check.verdict, CheckStatus::Warning);
        assert!(check.words[0].contains("already"), "{check:?}");
        assert!(check.words[1].contains("build it again"), "{check:?}");
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "no temporary file");
    }
}
