//! `compare.accepted.json`: what is gone or different for a reason.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::judge::{Item, Verdict};
use xtask_core::layout::ACCEPTED;
use xtask_core::outcome::UserError;
use xtask_core::output::quoted;
use xtask_core::suggest::nearest;
use xtask_core::tree::{RepoPath, Tree};

/// The file: entries in order, one a line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    entries: Vec<Entry>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// A fact's id; `*` stands for anything.
    pub fact: String,
    pub reason: String,
    /// Whether only running both workers shows what it speaks of.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub execute: bool,
}

/// What `cleanup` asks reasons for, besides facts: a file below `outdated/` that is not the one
/// that migrate put there, and a file that still speaks of `outdated/`.
pub const CHANGED: &str = "outdated:";
pub const MENTION: &str = "mention:";

/// How many names are told to whoever asks for one that there isn't.
const NEAR: usize = 5;

/// Whether an id is a question of `cleanup`'s and no fact.
pub fn is_cleanups(id: &str) -> bool {
    id.starts_with(CHANGED) || id.starts_with(MENTION)
}

/// The option of `compare` that takes an entry off the record.
pub fn withdrawal(fact: &str) -> String {
    // Whoever wrote the file by hand may have begun with anything.
    let joint = if fact.starts_with('-') { '=' } else { ' ' };
    format!("--withdraw{joint}{}", quoted(fact))
}

impl Entry {
    /// Whether `cleanup` may still ask for this reason: the file that it speaks of is there.
    pub fn waits_for_cleanup(&self, outdated: &dyn Tree, rest: &dyn Tree) -> bool {
        let there = |tree: &dyn Tree, path: &str| {
            RepoPath::unquote(path).is_some_and(|path| tree.entries().contains_key(&path))
        };
        match (
            self.fact.strip_prefix(CHANGED),
            self.fact.strip_prefix(MENTION),
        ) {
            (Some(path), _) => there(outdated, path),
            (_, Some(path)) => there(rest, path),
            _ => false,
        }
    }

    /// Whether it can't be told to be stale without running both workers.
    pub fn needs_run(&self) -> bool {
        self.execute || self.fact.starts_with("run:")
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u64,
    accepted: Vec<Entry>,
}

impl Accepted {
    /// Reads the file of the repository, and says what to do where it can't be read.
    pub fn of_repository(text: &str) -> Result<Self> {
        Self::read(text).map_err(|error| {
            let what = format!("{ACCEPTED} can't be read: {error:#}");
            let help = format!("mend it; `git log -p -- {ACCEPTED}` shows what it was");
            UserError::new(what, help).into()
        })
    }

    /// Reads that of a repository's tree; one without it has no reasons.
    pub fn of_tree(tree: &dyn Tree) -> Result<Self> {
        match tree.read_file(ACCEPTED)? {
            None => Ok(Self::default()),
            Some(bytes) => Self::of_repository(&String::from_utf8_lossy(&bytes)),
        }
    }

    /// Reads the file.
    pub fn read(text: &str) -> Result<Self> {
        let file: File = serde_json::from_str(text)
            .context("it has another shape than {version, accepted: [{fact, reason}]}")?;
        if file.version != 1 {
            bail!("it is of version {}; this tool knows 1", file.version);
        }
        if let Some(entry) = file
            .accepted
            .iter()
            .find(|entry| entry.reason.trim().is_empty())
        {
            bail!("{} is accepted without a reason", entry.fact);
        }
        Ok(Self {
            entries: file.accepted,
        })
    }

    /// The file's text.
    pub fn write(&self) -> String {
        let mut entries = self.entries.clone();
        entries.sort();
        let lines: Vec<String> = entries
            .iter()
            .filter_map(|entry| serde_json::to_string(entry).ok())
            .collect();
        let lines = match lines.join(",\n") {
            none if none.is_empty() => none,
            some => format!("\n{some}\n"),
        };
        format!("{{\n\"version\": 1,\n\"accepted\": [{lines}]\n}}\n")
    }

    /// Whether a reason is on record for a fact.
    pub fn covers(&self, fact: &str) -> bool {
        self.entries.iter().any(|entry| matches(&entry.fact, fact))
    }

    /// What is on record for exactly this.
    pub fn reason(&self, id: &str) -> Option<&str> {
        let entry = self.entries.iter().find(|entry| entry.fact == id)?;
        Some(&entry.reason)
    }

    /// The answers to `cleanup`'s questions.
    pub fn of_cleanup(&self) -> impl Iterator<Item = &str> {
        let ids = self.entries.iter().map(|entry| entry.fact.as_str());
        ids.filter(|id| is_cleanups(id))
    }

    /// The same without them, once `outdated/` is gone and nobody asks any more.
    pub fn after_cleanup(&self) -> Self {
        let facts = self.entries.iter().filter(|e| !is_cleanups(&e.fact));
        Self {
            entries: facts.cloned().collect(),
        }
    }

    /// Adds an entry, or gives an old one a new reason.
    pub fn add(&mut self, fact: &str, reason: &str, execute: bool) {
        self.entries.retain(|entry| entry.fact != fact);
        self.entries.push(Entry {
            fact: fact.to_owned(),
            reason: reason.to_owned(),
            execute: execute && !fact.starts_with("run:"),
        });
    }

    /// Takes an entry off the record, by the name that it has there; gives its reason.
    pub fn withdraw(&mut self, fact: &str) -> Option<String> {
        let reason = self.reason(fact)?.to_owned();
        self.entries.retain(|entry| entry.fact != fact);
        Some(reason)
    }

    /// The entries that may be meant by a name that none of them has: those that one pattern or
    /// the other takes in, or else the one that is a slip away.
    pub fn near(&self, fact: &str) -> Vec<&str> {
        let names = || self.entries.iter().map(|entry| entry.fact.as_str());
        let fits: Vec<&str> = names()
            .filter(|name| matches(name, fact) || matches(fact, name))
            .collect();
        if fits.is_empty() {
            nearest(fact, names())
                .map(|(name, _)| name)
                .into_iter()
                .collect()
        } else {
            fits.into_iter().take(NEAR).collect()
        }
    }

    /// Turns what a reason is on record for into accepted. Returns the entries that match
    /// nothing any more.
    pub fn apply(&self, items: &mut [Item]) -> Vec<Entry> {
        let mut used = vec![false; self.entries.len()];
        for item in items.iter_mut().filter(|item| item.open) {
            // The most particular entry speaks: the longest.
            let mut best: Option<(usize, &Entry)> = None;
            for (index, entry) in self.entries.iter().enumerate() {
                if matches(&entry.fact, &item.id) {
                    used[index] = true;
                    if best.is_none_or(|(_, old)| entry.fact.len() > old.fact.len()) {
                        best = Some((index, entry));
                    }
                }
            }
            if let Some((_, entry)) = best {
                item.open = false;
                item.verdict = Verdict::Accepted;
                item.reason = Some(entry.reason.clone());
            }
        }
        let stale = self.entries.iter().zip(used).filter(|(_, used)| !used);
        stale.map(|(entry, _)| entry.clone()).collect()
    }
}

/// Whether a pattern with `*` fits a whole id.
pub fn matches(pattern: &str, id: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(first) = parts.next() else {
        return false;
    };
    let Some(mut rest) = id.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_ids() {
        assert!(matches("env:A", "env:A"));
        assert!(!matches("env:A", "env:AB"));
        assert!(matches("python:*", "python:A.b"));
        assert!(matches("hub:*.default", "hub:A.default"));
        assert!(matches("*:A*C", "env:ABC"));
        assert!(!matches("hub:*.default", "hub:A.options"));
    }

    #[test]
    fn what_is_taken_back_leaves_the_rest_as_it_was() {
        let mut accepted = Accepted::default();
        assert_eq!(
            accepted.write(),
            "{\n\"version\": 1,\n\"accepted\": []\n}\n"
        );
        accepted.add("hub:*", "one", false);
        accepted.add("env:MAX_NUM_REQS", "two", false);
        let before = accepted.clone();
        accepted.add("env:B", "three", true);
        assert_eq!(accepted.withdraw("env:B").as_deref(), Some("three"));
        assert_eq!(accepted.write(), before.write());
        assert_eq!(accepted.withdraw("env:B"), None);
        // A pattern is a name like any other here: it takes nothing else with it.
        assert_eq!(accepted.withdraw("*"), None);
        assert_eq!(accepted, before);
        assert_eq!(accepted.near("*"), ["hub:*", "env:MAX_NUM_REQS"]);
        assert_eq!(accepted.near("hub:A.default"), ["hub:*"]);
        assert_eq!(accepted.near("env:MAX_NUM_REQ"), ["env:MAX_NUM_REQS"]);
        assert!(accepted.near("apt:curl").is_empty());
    }

    #[test]
    fn the_option_that_takes_back_is_what_a_shell_reads() {
        assert_eq!(withdrawal("env:A"), "--withdraw env:A");
        assert_eq!(withdrawal("hub:*"), "--withdraw 'hub:*'");
        assert_eq!(withdrawal("-x"), "--withdraw=-x");
        assert_eq!(withdrawal(""), "--withdraw ''");
    }

    #[test]
    fn a_file_is_sorted_one_entry_a_line_and_needs_reasons() {
        let mut accepted = Accepted::default();
        accepted.add("env:B", "because", false);
        accepted.add("env:A", "so", true);
        accepted.add("env:B", "since", false);
        accepted.add("run:job.chat", "meant", true);
        let text = accepted.write();
        assert_eq!(
            text,
            "{\n\"version\": 1,\n\"accepted\": [\n{\"fact\":\"env:A\",\"reason\":\"so\",\"execute\":true},\n{\"fact\":\"env:B\",\"reason\":\"since\"},\n{\"fact\":\"run:job.chat\",\"reason\":\"meant\"}\n]\n}\n"
        );
        assert_eq!(Accepted::read(&text).unwrap().entries.len(), 3);
        let empty = "{\"version\": 1, \"accepted\": [{\"fact\": \"x\", \"reason\": \" \"}]}";
        assert!(
            Accepted::read(empty)
                .unwrap_err()
                .to_string()
                .contains("without a reason")
        );
        assert!(Accepted::read("{\"version\": 2, \"accepted\": []}").is_err());
        let error = Accepted::of_repository("{").unwrap_err();
        let refusal = error.downcast_ref::<UserError>().unwrap();
        assert!(
            refusal
                .what
                .starts_with("compare.accepted.json can't be read: ")
        );
        assert!(refusal.help.contains("git log -p -- compare.accepted.json"));
        assert!(Accepted::read("[]").is_err());
    }
}
