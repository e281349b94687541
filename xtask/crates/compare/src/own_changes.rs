//! What a fork changed itself, since the revision that it started from: facts, and code that is
//! behind no fact.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::facts::{Fact, Facts};
use super::judge::{Item, Verdict, judge};
use worker_files::python::{Statement, statements};
use worker_files::source::LARGEST;
use worker_files::{Place, Source};
use xtask_core::output::cut;
use xtask_core::secret::masked;
use xtask_core::tree::{Mode, RepoPath, Tree};

/// The revision that a fork started from, and which of its facts are not that revision's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnChanges {
    pub commit: String,
    /// The ids of what the fork added, changed or removed.
    pub own: BTreeSet<String>,
    /// The fork's own statements, by `code:PATH:FUNCTION`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub code: BTreeMap<String, OwnCode>,
}

/// What a fork added to a function of the revision that it started from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnCode {
    /// The line of the first, from 1.
    pub line: usize,
    pub statements: Vec<String>,
}

/// The statements of a worker's Python, by file.
pub type Code = BTreeMap<RepoPath, Vec<Statement>>;

/// The statements of all Python files of a tree but its tests. They are recorded and shown, so they
/// hold no secret.
pub fn code_of(tree: &dyn Tree) -> Result<Code> {
    let mut all = Code::new();
    for (path, entry) in tree.entries() {
        let name = path.name();
        let is_test = name.starts_with(b"test_") || path.as_bytes().starts_with(b"tests/");
        if entry.mode == Mode::Symlink || !name.ends_with(b".py") || is_test {
            continue;
        }
        let content = tree.read(path)?;
        if content.len() <= LARGEST {
            let mut found = statements(&Source::new(path.clone(), &content));
            for one in &mut found {
                one.text = masked(&one.text).into_owned();
            }
            all.insert(path.clone(), found);
        }
    }
    Ok(all)
}

impl OwnChanges {
    /// Compares a fork with what it started from.
    pub fn of(base: &Facts, fork: &Facts, commit: &str) -> Self {
        let ids = base.all.keys().chain(fork.all.keys());
        let differ = |id: &&String| match (base.get(id), fork.get(id)) {
            (Some(one), Some(other)) => !one.judged().eq(other.judged()),
            _ => true,
        };
        let unread = fork.unread.iter().filter(|gap| !gap.is_in(&base.unread));
        Self {
            commit: commit.to_owned(),
            own: ids
                .filter(differ)
                .chain(unread.map(|gap| &gap.id))
                .cloned()
                .collect(),
            code: BTreeMap::new(),
        }
    }

    /// Adds the fork's own statements in files that it started from. Those that hold or name one of
    /// its facts are judged with that, and whole files of its own by what copies and imports them.
    #[must_use]
    pub fn with_code(mut self, base: &Code, fork: &Code, facts: &Facts) -> Self {
        // Python's functions are facts that are never open.
        let judged = self.own.iter().filter(|id| !id.starts_with("python:"));
        let own = judged.filter_map(|id| facts.get(id));
        let places: Vec<&Place> = own.flat_map(|fact| &fact.places).collect();
        // A table names a variable or flag on a line that holds no fact.
        let there = self.own.iter().filter(|id| facts.get(id).is_some());
        let names = there.filter_map(|id| id.strip_prefix("env:").or(id.strip_prefix("flag:")));
        let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        let is_fact = |one: &Statement| {
            let lines = one.place.line..=one.last_line;
            let mut places = places.iter();
            let mut words = one.text.split(|c| !is_of_a_name(c));
            places.any(|at| at.file == one.place.file && lines.contains(&at.line))
                || words.any(|word| matches!(word, "environ" | "getenv"))
                || names.iter().any(|name| one.text.contains(name))
        };
        for (path, before) in base {
            let before: BTreeSet<&str> = before.iter().map(|one| one.text.as_str()).collect();
            let after = fork.get(path).into_iter().flatten();
            for one in after.filter(|one| !before.contains(one.text.as_str()) && !is_fact(one)) {
                let function = match one.function.as_str() {
                    "" => String::new(),
                    function => format!(":{function}"),
                };
                let id = format!("code:{path}{function}");
                let known = self.code.entry(id.clone()).or_insert_with(|| OwnCode {
                    line: one.place.line,
                    statements: Vec::new(),
                });
                known.statements.push(one.text.clone());
                self.own.insert(id);
            }
        }
        self
    }

    /// Whether the fork's own changes are in an entry. What only a run shows is the fork's where
    /// it is about a variable of the fork's.
    pub fn is_own(&self, members: &[String]) -> bool {
        let of_a_run = |id: &str| {
            let mut words = id
                .strip_prefix("run:")
                .into_iter()
                .flat_map(|id| id.split('.'));
            words.any(|word| self.own.contains(&format!("env:{word}")))
        };
        members
            .iter()
            .any(|id| self.own.contains(id) || of_a_run(id))
    }
}

/// Judges every fact of both workers and, where it is known what the old one started from, its own
/// code. `tree` is the new worker's.
pub fn judge_all(
    old: &Facts,
    base: Option<&OwnChanges>,
    new: &Facts,
    tree: &dyn Tree,
) -> Result<Vec<Item>> {
    let mut items = judge(old, new);
    if let Some(base) = base.filter(|base| !base.code.is_empty()) {
        let code = code_of(tree)?;
        let there = code.values().flatten().map(|one| one.text.as_str());
        let there: BTreeSet<&str> = there.collect();
        items.extend(base.code.iter().map(|(id, code)| code.judged(id, &there)));
    }
    Ok(items)
}

impl OwnCode {
    /// `there` are the statements of the new worker.
    fn judged(&self, id: &str, there: &BTreeSet<&str>) -> Item {
        const SHOWN: usize = 3;
        const LONGEST: usize = 60;
        let path = id.split(':').nth(1).unwrap_or_default();
        let fact = Fact {
            value: BTreeMap::from([("statements".to_owned(), self.statements.join("\n"))]),
            places: vec![Place {
                line: self.line,
                ..Place::start_of(&path.into())
            }],
        };
        let lost = self.statements.iter();
        let lost: Vec<&String> = lost.filter(|one| !is_there(one, there)).collect();
        if lost.is_empty() {
            return Item::new(id, Verdict::Kept, Some(&fact), None);
        }
        let shown = lost.iter().take(SHOWN);
        let shown: Vec<String> = shown
            .map(|one| format!("`{}`", cut(one, LONGEST)))
            .collect();
        let more = if lost.len() > SHOWN { ", …" } else { "" };
        Item::new(id, Verdict::Missing, Some(&fact), None)
            .why(format!(
                "The new worker lacks {} of the {} statements that this fork added here: {}{more}.",
                lost.len(),
                self.statements.len(),
                shown.join(", ")
            ))
            .help("Write them where the new worker does this now, or record why it does not need them.")
    }
}

/// Whether the new worker has a statement. A call counts wherever its value goes; anything else is
/// too short to be told from other code by a part of it.
fn is_there(statement: &str, there: &BTreeSet<&str>) -> bool {
    let work = work(statement);
    let is_whole = |text: &str, at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + work.len()..].chars().next();
        ![before, after].into_iter().flatten().any(is_of_a_name)
    };
    let holds = |text: &&str| text.match_indices(work).any(|(at, _)| is_whole(text, at));
    there.contains(statement) || work.contains('(') && there.iter().any(holds)
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a statement computes, without where that goes: `f(x)` of `y=f(x)` and of `return f(x)`.
fn work(statement: &str) -> &str {
    let words = [
        "return ",
        "yield from ",
        "yield ",
        "await ",
        "if ",
        "elif ",
        "while ",
    ];
    let target = statement.split_once('=').filter(|(target, rest)| {
        target.chars().all(|c| is_of_a_name(c) || c == '.') && !rest.starts_with('=')
    });
    let rest = target.map_or(statement, |(_, rest)| rest);
    words
        .iter()
        .find_map(|word| rest.strip_prefix(word))
        .unwrap_or(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::tree::Memory;

    const BASE: &str =
        "import os\n\n\ndef handler(job):\n    value = os.getenv('A', '1')\n    yield ask(job)\n";

    /// What is open of a fork with these lines in its handler, against a new worker.
    fn lost(own: &str, new: &str) -> Vec<String> {
        let fork = BASE.replace("'1'", "'2'") + own;
        let tree = |text: &str| Memory::new().with("src/handler.py", text);
        let [base, fork, new] = [BASE, &fork, new].map(tree);
        let facts = [&base, &fork].map(|tree| Facts::read(tree).unwrap());
        let code = [&base, &fork].map(|tree| code_of(tree).unwrap());
        let own = OwnChanges::of(&facts[0], &facts[1], "abc");
        let own = own.with_code(&code[0], &code[1], &facts[1]);
        let none = Facts::default();
        let items = judge_all(&none, Some(&own), &none, &new).unwrap();
        let open = items.iter().filter(|item| item.open);
        open.map(|item| format!("{} {}", item.id, item.why))
            .collect()
    }

    #[test]
    fn a_forks_own_statements_are_looked_for_in_all_of_the_new_worker() {
        let own =
            "    for part in ask(\n        job,\n    ):\n        yield send({'part': part})\n";
        let moved =
            "def parts(job):\n    for part in ask(job):\n        x = send({\"part\": part})\n";
        assert_eq!(lost(own, moved), [""; 0]);
        assert_eq!(
            lost(own, BASE),
            [
                "code:src/handler.py:handler The new worker lacks 2 of the 2 statements that this fork added here: `for part in ask(job)`, `yield send({\"part\": part})`."
            ]
        );
    }

    #[test]
    fn a_statement_is_not_found_in_a_part_of_another() {
        for (own, new) in [
            ("    retries = 3\n", "port = 30000\n"),
            ("    return None\n", "x = None\n"),
            ("    if stream:\n        pass\n", "upstream = 1\n"),
            ("    clean(job)\n", "unclean(job)\n"),
            ("    prepare_environment(job)\n", "x = 1\n"),
            ("    limit(3)\n", "limit(30)\n"),
            ("\n\n@retry(3)\ndef ask(job): ...\n", "def ask(job): ...\n"),
            ("\n\ndef ask(job, most=3): ...\n", "def ask(job): ...\n"),
        ] {
            assert_eq!(lost(own, new).len(), 1, "{own}");
            let same = format!("def handler(job):\n{own}");
            assert_eq!(lost(own, &same), [""; 0], "{own}");
        }
        // These are judged with the variable that they read.
        assert_eq!(
            lost("    more = os.environ\n    x = {'A': 1}\n", ""),
            [""; 0]
        );
    }

    #[test]
    fn statements_hold_no_secret() {
        let secret = "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z";
        let told = lost(&format!("    login('hf_{secret}')\n"), "");
        assert_eq!(told.len(), 1);
        assert!(!told[0].contains(secret), "{told:?}");
    }
}
