//! `SGLang`'s command line, release by release: which flags there are, what they take, and what
//! happened to those that are gone.
//!
//! The tables are compiled in (`xtask/data/sglang.json` and `sglang.flags`, both written by
//! `xtask/data/sglang.py`), so that nothing needs to be installed or downloaded to judge a flag.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

/// One flag as one release defines it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Flag {
    /// How many values it takes: `value`, `list`, `optional_value`, `store_true`, `no_value` or
    /// `boolean_optional`.
    pub kind: String,
    /// The type that `SGLang` converts the value to: `str`, `int`, `float`, …
    #[serde(rename = "type")]
    pub value_type: Option<String>,
    pub choices: Option<Vec<Value>>,
    #[serde(default)]
    pub default: Value,
    #[serde(default)]
    pub aliases: Vec<String>,
    pub replacement: Option<String>,
    /// What a deprecated flag still does, where that is known.
    pub effect: Option<String>,
}

/// Whether a flag takes no value, in the newest release that knows it.
pub fn is_switch(name: &str) -> bool {
    let releases = (0..DATA.releases.len()).rev();
    let mut known = releases.filter_map(|release| Table { release }.flag(name));
    known.next().is_some_and(|(_, flag)| flag.is_switch())
}

impl Flag {
    pub fn is_switch(&self) -> bool {
        ["store_true", "no_value", "boolean_optional"].contains(&&*self.kind)
    }

    /// Whether `SGLang` would take `value`; flags without choices take anything.
    pub fn accepts(&self, value: &str) -> bool {
        let written = |choice: &Value| match choice {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let choices = self.choices.as_ref();
        choices.is_none_or(|choices| choices.iter().any(|choice| written(choice) == value))
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Table {
    release: usize,
}

/// Abbreviations that `SGLang`'s documents use; its parser takes them.
const ABBREVIATIONS: [(&str, &str); 3] = [
    ("--tp", "--tp-size"),
    ("--dp", "--dp-size"),
    ("--pp", "--pp-size"),
];

impl Table {
    /// The table for a release such as `0.5.19`, `v0.4.6.post4` or `latest`, and whether it is that
    /// release's own. Otherwise it is the nearest older release's, or the oldest of all.
    pub fn for_version(version: &str) -> (Self, bool) {
        let version = version.strip_prefix('v').unwrap_or(version);
        let releases = &DATA.releases;
        if let Some(release) = releases.iter().position(|known| known == version) {
            return (Self { release }, true);
        }
        if !version.starts_with(|c: char| c.is_ascii_digit()) {
            return (Self::newest(), false);
        }
        let is_older = |known: &String| order(known, version) != Ordering::Greater;
        let release = releases.iter().rposition(is_older).unwrap_or_default();
        (Self { release }, false)
    }

    /// The tables for a release: its own, or those of its known neighbours.
    pub fn around(version: &str) -> Vec<Self> {
        let (table, is_exact) = Self::for_version(version);
        let version = version.trim_start_matches('v');
        let is_between = !is_exact && version.starts_with(|c: char| c.is_ascii_digit());
        let next = table.newer().filter(|_| is_between);
        std::iter::once(table).chain(next).collect()
    }

    pub fn newest() -> Self {
        Self {
            release: DATA.releases.len().saturating_sub(1),
        }
    }

    pub fn newer(self) -> Option<Self> {
        let release = self.release + 1;
        (release < DATA.releases.len()).then_some(Self { release })
    }

    pub fn release(self) -> &'static str {
        DATA.releases.get(self.release).map_or("", String::as_str)
    }

    /// The flag with this name or alias. Abbreviations don't match: their meaning changes between
    /// releases.
    pub fn flag(self, name: &str) -> Option<(&'static str, &'static Flag)> {
        let abbreviation = ABBREVIATIONS.iter().find(|(short, _)| *short == name);
        let name = abbreviation.map_or(name, |(_, long)| long);
        let by_name = |name: &str| {
            let (name, definitions) = DATA.flags.get_key_value(name)?;
            Some((*name, of_release(definitions, self.release)?))
        };
        by_name(name).or_else(|| {
            let mut owners = DATA.aliases.get(name)?.iter();
            let (_, owner) = owners.find(|(release, _)| *release == self.release)?;
            by_name(owner)
        })
    }

    /// The one flag that begins with this name, which is no flag's in any release. The parser takes
    /// it for that flag.
    pub fn abbreviated(self, name: &str) -> Option<(&'static str, &'static Flag)> {
        if name.len() <= "--".len() || is_known(name) {
            return None;
        }
        let all = DATA.flags.iter().filter(|(flag, _)| flag.starts_with(name));
        let mut all = all.filter_map(|(flag, all)| Some((*flag, of_release(all, self.release)?)));
        all.next().filter(|_| all.next().is_none())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct History {
    /// The oldest and the newest release known to have it; `None` for a name never seen.
    pub seen: Option<(&'static str, &'static str)>,
    /// What `SGLang` named in its place: `--flag`, or `--flag value`.
    pub successor: Option<&'static str>,
    /// What does nearly the same, where nothing took its place.
    pub nearest: Option<&'static str>,
}

impl History {
    /// The flag that took its place, without a value.
    pub fn successor_flag(&self) -> Option<&'static str> {
        self.successor?.split([' ', '=']).next()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.seen {
            Some((first, last)) if first == last => write!(f, "known from SGLang {first} only")?,
            Some((first, last)) => write!(f, "in SGLang {first} to {last}")?,
            None => f.write_str("in no release of SGLang that is known here")?,
        }
        match (self.successor, self.nearest) {
            (Some(successor), _) => write!(f, "; SGLang names {successor} instead"),
            (None, Some(nearest)) => {
                write!(f, "; nothing took its place, {nearest} comes nearest")
            }
            (None, None) if self.seen.is_some() => f.write_str("; nothing took its place"),
            (None, None) => Ok(()),
        }
    }
}

/// What `SGLang` named in a flag's place: `--flag`, or `--flag value`.
pub fn successor(flag: &str) -> Option<&'static str> {
    let named = DATA.successors.get(flag).and_then(Option::as_deref);
    named.or_else(|| {
        let definitions = DATA.flags.get(flag)?.iter().rev();
        let mut replacements = definitions.filter_map(|(_, flag)| flag.replacement.as_deref());
        replacements.next()
    })
}

/// Whether a successor is a flag alone, so that what names it can simply be renamed.
pub fn is_plain(successor: &str) -> bool {
    !successor.contains([' ', '=', '{'])
}

/// What is known of a flag over all releases, by name or alias.
pub fn history(flag: &str) -> History {
    let definitions = DATA.flags.get(flag).into_iter().flatten();
    let owners = DATA.aliases.get(flag).into_iter().flatten();
    let with_table = definitions.flat_map(|(releases, _)| releases);
    let with_table = with_table.chain(owners.map(|(release, _)| release));
    let older = DATA.history.get(flag).into_iter().flatten();
    let newer = with_table.filter_map(|index| DATA.releases.get(*index));
    let older = older.filter_map(|index| DATA.history_releases.get(*index));
    History {
        seen: first_and_last(newer.chain(older)),
        successor: successor(flag),
        nearest: DATA.nearest.get(flag).map(String::as_str),
    }
}

/// Whether any release that is known has, or had, a flag or alias of this name.
pub fn is_known(flag: &str) -> bool {
    DATA.flags.contains_key(flag)
        || DATA.aliases.contains_key(flag)
        || DATA.history.contains_key(flag)
        || DATA.successors.contains_key(flag)
}

/// The oldest and the newest release of which anything is known.
pub fn known_releases() -> (&'static str, &'static str) {
    let all = DATA.releases.iter().chain(&DATA.history_releases);
    first_and_last(all).unwrap_or_default()
}

fn first_and_last(
    releases: impl Iterator<Item = &'static String>,
) -> Option<(&'static str, &'static str)> {
    let mut all: Vec<&str> = releases.map(String::as_str).collect();
    all.sort_by(|a, b| order(a, b));
    Some((*all.first()?, *all.last()?))
}

/// The environment variable that stands for a flag: `--tp-size` is `TP_SIZE`.
pub fn env_name(flag: &str) -> String {
    flag.trim_start_matches('-')
        .replace('-', "_")
        .to_uppercase()
}

/// The order of releases: by their numbers, so that 0.5.10 comes after 0.5.2.
pub fn order(a: &str, b: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        let parts = text.split(|c: char| !c.is_ascii_digit());
        parts.filter_map(|part| part.parse().ok()).collect()
    };
    numbers(a).cmp(&numbers(b))
}

#[derive(Debug, Default, Deserialize)]
struct Data {
    releases: Vec<String>,
    #[serde(skip)]
    flags: BTreeMap<&'static str, Definitions>,
    /// Alias to the releases that have it, with the flag it stands for.
    #[serde(borrow)]
    aliases: HashMap<&'static str, Vec<(usize, &'static str)>>,
    history_releases: Vec<String>,
    history: HashMap<String, Vec<usize>>,
    successors: HashMap<String, Option<String>>,
    nearest: HashMap<String, String>,
}

/// A flag's definitions, each with its releases.
type Definitions = Vec<(Vec<usize>, Flag)>;

fn of_release(all: &Definitions, release: usize) -> Option<&Flag> {
    let (_, flag) = all.iter().find(|(of, _)| of.contains(&release))?;
    Some(flag)
}

static DATA: LazyLock<Data> = LazyLock::new(|| {
    let text = include_str!("../../../data/sglang.json");
    // Compiled in and parsed by a test.
    let mut data: Data = serde_json::from_str(text).unwrap_or_default();
    let flags = definitions().map(|(name, text)| (name, serde_json::from_str(text)));
    let flags = flags.map(|(name, read)| (name, read.unwrap_or_default()));
    data.flags = flags.collect();
    data
});

/// Whether `SGLang` itself reads an environment variable: one of its own, or one of NCCL's.
pub fn reads(variable: &str) -> bool {
    static NAMES: LazyLock<Vec<&str>> = LazyLock::new(|| {
        let names = include_str!("../../../data/sglang.variables");
        names.lines().collect()
    });
    let is_begin = |name: &str| name.ends_with('_') && variable.starts_with(name);
    let known = |name: &&str| variable == *name || is_begin(name);
    variable.starts_with("NCCL_") || NAMES.iter().any(known)
}

/// Every flag with what stands behind its name.
fn definitions() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = include_str!("../../../data/sglang.flags").lines();
    lines.filter_map(|line| line.split_once(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_tables_parse_and_say_how_they_are_made() {
        let text = include_str!("../../../data/sglang.json");
        let data: Data = serde_json::from_str(text).unwrap();
        assert!(data.releases.len() >= 9);
        assert!(text.contains("generated_by"));
        assert!(text.len() < 400_000);
        let mut aliases: HashMap<String, Vec<(usize, &str)>> = HashMap::new();
        let flags: BTreeMap<&str, &str> = definitions().collect();
        let lines = include_str!("../../../data/sglang.flags").lines();
        assert_eq!(flags.len(), lines.count(), "each stands there once");
        for (name, text) in &flags {
            assert!(name.starts_with("--"), "{name}");
            let read: Vec<(Vec<usize>, Flag)> = serde_json::from_str(text).unwrap();
            for (releases, flag) in &read {
                assert!(!releases.is_empty(), "{name}");
                for alias in &flag.aliases {
                    let owners = aliases.entry(alias.clone()).or_default();
                    owners.extend(releases.iter().map(|&release| (release, *name)));
                }
            }
        }
        let listed = data.aliases.iter();
        let listed: HashMap<String, _> =
            listed.map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        assert_eq!(listed, aliases);
    }

    #[test]
    fn a_flag_is_found_by_name_and_by_alias_of_its_release() {
        let (table, is_exact) = Table::for_version("0.5.19");
        assert!(is_exact);
        assert_eq!(table.flag("--tp-size").unwrap().0, "--tp-size");
        assert_eq!(table.flag("--tensor-parallel-size").unwrap().0, "--tp-size");
        assert_eq!(
            table.flag("--nccl-init-addr").unwrap().0,
            "--dist-init-addr"
        );
        assert!(
            table.flag("--tensor-parallel").is_none(),
            "no abbreviations"
        );
        let (old, _) = Table::for_version("v0.4.6.post4");
        assert_eq!(
            old.flag("--tensor-parallel-size").unwrap().0,
            "--tensor-parallel-size"
        );
        assert!(old.flag("--disable-flashinfer").is_none());
    }

    #[test]
    fn a_release_without_a_table_takes_the_nearest_older_one_and_says_so() {
        let (table, is_exact) = Table::for_version("0.5.20");
        assert_eq!((table.release(), is_exact), ("0.5.19", false));
        assert_eq!(Table::for_version("0.1").0.release(), "0.3.3");
        assert_eq!(
            Table::for_version("latest").0.release(),
            Table::newest().release()
        );
        assert_eq!(Table::for_version("0.5.9").0.release(), "0.5.2");
    }

    #[test]
    fn choices_say_what_a_flag_accepts() {
        let (table, _) = Table::for_version("0.5.19");
        let (_, flag) = table.flag("--reasoning-parser").unwrap();
        assert!(flag.accepts("mistral"));
        assert!(!flag.accepts("llama4"));
        let (_, level) = table.flag("--log-requests-level").unwrap();
        assert!(level.accepts("2") && !level.accepts("4"), "numbers too");
        let (_, path) = table.flag("--model").unwrap();
        assert!(path.accepts("anything/at-all"));
        assert!(table.flag("--trust-remote-code").unwrap().1.is_switch());
    }

    #[test]
    fn what_is_gone_names_what_took_its_place() {
        let gone = history("--file-storage-pth");
        assert_eq!(gone.successor_flag(), Some("--file-storage-path"));
        assert!(is_plain("--file-storage-path"));
        let flashinfer = history("--disable-flashinfer");
        assert_eq!(flashinfer.successor, Some("--attention-backend triton"));
        // Newer releases take it as the beginning of another flag's name.
        assert_eq!(flashinfer.seen, Some(("0.2.6", "0.4.0.post2")));
        assert!(!is_plain("--attention-backend triton"));
        assert_eq!(
            history("--max-num-reqs").nearest,
            Some("--max-running-requests")
        );
        let deepep = history("--enable-deepep-moe");
        assert_eq!(deepep.successor, Some("--moe-a2a-backend deepep"));
        assert_eq!(history("--enable-ep-moe").nearest, Some("--ep-size"));
        let text = history("--enable-mla").to_string();
        assert!(text.contains("nothing took its place"), "{text}");
        assert!(history("--never-was").seen.is_none());
    }
}
