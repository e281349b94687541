//! One occurrence deleted at random, with a text tool: whatever a worker loses, compare says so.

use std::collections::BTreeMap;
use std::path::Path;

use super::facts::Facts;
use super::judge::judge;
use xtask_core::tree::{Directory, Memory, Tree};

type Files = BTreeMap<String, String>;

/// What makes a line an occurrence of something that a worker exposes.
const MARKS: [&str; 11] = [
    "os.environ",
    "getenv(",
    "environ.get(",
    "Setting(\"",
    "job_input.get(",
    "job_input[",
    "\"--",
    "'--",
    "ENV ",
    "ARG ",
    "pip install",
];

/// Random numbers that are the same in every run: a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % below
    }
}

/// The text files of a folder of this repository, without what is no part of the worker.
fn files(folder: &str, skip: &[&str]) -> Files {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let tree = Directory::open(&root.join(folder), |path| {
        let name = path.to_string();
        skip.iter().any(|skipped| name.starts_with(skipped))
    });
    let tree = tree.unwrap();
    let text = |path: &_| String::from_utf8(tree.read(path).unwrap()).ok();
    let all = tree.entries().keys();
    all.filter_map(|path| Some((path.to_string(), text(path)?)))
        .collect()
}

fn facts(files: &Files) -> Facts {
    let tree = files.iter().fold(Memory::new(), |tree, (path, text)| {
        tree.with(path, text.as_str())
    });
    Facts::read(&tree).unwrap()
}

/// A word in quotes or before `=` that stands on this line and on no other: without it something
/// is lost for certain.
fn is_unique(line: &str, all: &str) -> bool {
    let words = line.split(|c: char| !(c.is_ascii_alphanumeric() || "_-".contains(c)));
    let mut names = words.filter(|word| {
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        word.len() > 3 && (word.chars().all(is_name) || word.starts_with("--"))
    });
    names.any(|name| all.matches(name).count() == 1)
}

/// Lines of the worker's own code that expose something, by file and number.
fn occurrences(files: &Files, of: &[&str]) -> Vec<(String, usize)> {
    let code: BTreeMap<_, _> = files
        .iter()
        .filter(|(path, _)| of.iter().any(|end| path.ends_with(end)))
        .collect();
    let all: String = code.values().map(|text| text.as_str()).collect();
    let mut found = Vec::new();
    for (path, text) in &code {
        for (number, line) in text.lines().enumerate() {
            let is_code = !line.trim_start().starts_with('#');
            if is_code && MARKS.iter().any(|mark| line.contains(mark)) && is_unique(line, &all) {
                found.push(((*path).clone(), number));
            }
        }
    }
    found
}

/// The files without some lines.
fn without(files: &Files, gone: &[&(String, usize)]) -> Files {
    let mut files = files.clone();
    for (path, text) in &mut files {
        let is_gone = |at: usize| gone.iter().any(|(file, line)| file == path && *line == at);
        let lines = text.split_inclusive('\n').enumerate();
        *text = lines
            .filter(|(at, _)| !is_gone(*at))
            .map(|(_, line)| line)
            .collect();
    }
    files
}

/// Deletes some of them, and names those of which nothing is said. All go at once, because reading
/// takes long: what is open at a line that went tells of that one. Where none is, the line goes
/// once more, alone.
fn silent(files: &Files, of: &[&str], count: usize) -> Vec<String> {
    let old = facts(files);
    let all = occurrences(files, of);
    assert!(all.len() >= count, "{} occurrences", all.len());
    let mut dice = Dice(20_261_128);
    let gone: Vec<&(String, usize)> = (0..count).map(|_| &all[dice.roll(all.len())]).collect();
    let open = |gone: &[&(String, usize)]| {
        let items = judge(&old, &facts(&without(files, gone)));
        items.into_iter().filter(|item| item.open)
    };
    let told = open(&gone).filter_map(|item| item.old);
    let told: Vec<(String, usize)> = told
        .flat_map(|fact| fact.places)
        .map(|place| (place.file.to_string(), place.line - 1))
        .collect();
    let left = gone.into_iter().filter(|one| !told.contains(*one));
    let silent = left.filter(|one| open(&[*one]).next().is_none());
    silent
        .map(|(path, number)| {
            let line = files[path].lines().nth(*number).unwrap();
            format!("{path}:{}: {}", number + 1, line.trim())
        })
        .collect()
}

#[test]
fn what_the_example_loses_is_told() {
    for folder in ["xtask/example/legacy", "xtask/example/upstream"] {
        let files = files(folder, &[]);
        // Nothing runs its setup.sh.
        let silent = silent(&files, &[".py", "Dockerfile"], 25);
        assert!(silent.is_empty(), "{folder}: {silent:#?}");
    }
}

#[test]
fn what_this_worker_loses_is_told() {
    let skip = ["xtask", "target", "tests", "docs", "scripts", ".git", ".ci"];
    let files = files(".", &skip);
    let silent = silent(&files, &[".py", "Dockerfile", ".sh"], 6);
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn what_the_cases_lose_is_told() {
    let cases = include_str!("../cases/reading.jsonl").lines();
    let mut all = Vec::new();
    for line in cases {
        let case: serde_json::Value = serde_json::from_str(line).unwrap();
        // Lost are a variable of another stage's image, and one that a function reads which
        // nothing calls.
        let is_unused = ["d03-multistage", "67-type-stmt-generics"]
            .iter()
            .any(|name| case["name"] == *name);
        if case["expect"].is_object() && !is_unused {
            let mut files: Files = serde_json::from_value(case["files"].clone()).unwrap();
            files.insert("zz_base.py".into(), "import os\nos.getenv(\"ZZ\")\n".into());
            let of = [".py", "Dockerfile", ".sh"];
            if !occurrences(&files, &of).is_empty() {
                let silent = silent(&files, &of, 1);
                all.extend(silent.iter().map(|one| format!("{}: {one}", case["name"])));
            }
        }
    }
    assert!(all.is_empty(), "{all:#?}");
}
