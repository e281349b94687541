//! What changed in code, scripts and data and holds no fact that did. Nothing judges it, and
//! `compare` says so.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::Result;

use super::facts::{Fact, Facts, IDLE};
use super::judge::{Item, Verdict, few};
use super::unread::in_layout;
use worker_files::python::{Statement, statements};
use worker_files::source::LARGEST;
use worker_files::{Place, Source, is_one_of};
use xtask_core::output::counted;
use xtask_core::tree::{RepoPath, Tree};

/// Files that other readers account for, and prose.
pub const READ: &str = "requirements.txt pyproject.toml hub.json tests.json worker-config.json docker-bake.hcl \
    docker-compose.yml docker-compose.yaml compose.yml compose.yaml sglang_flags.json LICENSE";

/// The lines of facts that are told, by file.
type Told<'a> = BTreeSet<(&'a RepoPath, usize)>;

/// The parts of a file: its statements, or its lines.
pub type Parts = BTreeMap<String, Vec<Statement>>;

/// A note on what changed in files that both workers have: functions, scripts and data, as far as no
/// fact of it is told. What a fork left as `base` had it is upstream's change.
pub fn note(
    (old, base): (&dyn Tree, Option<&dyn Tree>),
    facts: &Facts,
    new: &dyn Tree,
    items: &[Item],
) -> Result<Option<String>> {
    let (mut before, mut after) = (parts(old, new, facts)?, parts(new, old, facts)?);
    let mut untouched = BTreeSet::new();
    for path in base.iter().flat_map(|_| old.entries().keys()) {
        let was = base
            .map(|base| base.read_file(&path.to_string()))
            .transpose()?;
        if was
            .flatten()
            .is_some_and(|was| old.read(path).is_ok_and(|is| is == was))
        {
            untouched.insert(in_layout(&path.to_string()));
        }
    }
    before.retain(|name, _| !untouched.contains(name));
    after.retain(|name, _| !untouched.contains(name));
    let told = |fact: fn(&Item) -> Option<&Fact>| -> Told<'_> {
        let told = items.iter().filter(|item| item.verdict != Verdict::Kept);
        let places = told.filter_map(fact).flat_map(|fact| &fact.places);
        places.map(|at| (&at.file, at.line)).collect()
    };
    let removed = changes(&before, &after, &told(|item| item.old.as_ref()));
    let added = changes(&after, &before, &told(|item| item.new.as_ref()));
    let names: BTreeSet<&String> = removed.keys().chain(added.keys()).collect();
    let count = |name: &&String| removed.get(*name).max(added.get(*name)).copied();
    let count: usize = names.iter().filter_map(count).sum();
    let (are, them) = [("are", "them"), ("is", "it")][usize::from(count == 1)];
    let shown: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let (changes, names) = (counted(count, "change"), few(&shown, 4));
    Ok((count > 0).then(|| {
        format!(
            "{changes} of code or data {are} not judged, as no fact is about {them}: {names}. \
             `--diff` shows {them}."
        )
    }))
}

/// How many parts of each function, script or data file the other worker, which has it too, lacks.
fn changes(own: &Parts, other: &Parts, told: &Told<'_>) -> BTreeMap<String, usize> {
    // What moved is still there.
    let mut left: HashMap<&str, usize> = HashMap::new();
    for one in other.values().flatten() {
        *left.entry(&one.text).or_default() += 1;
    }
    let mut changed: BTreeMap<String, usize> = BTreeMap::new();
    for (path, all) in own {
        let there = other.get(path).into_iter().flatten();
        let functions: BTreeSet<&str> = there.map(|one| &*one.function).collect();
        for one in all {
            let same = left.get_mut(&*one.text).filter(|count| **count > 0);
            let is_there = same.map(|count| *count -= 1).is_some();
            let mut lines = one.place.line..=one.last_line;
            let mut is_told = || lines.any(|line| told.contains(&(&one.place.file, line)));
            if !is_there && functions.contains(&*one.function) && !is_told() {
                let name = format!("{path} {}", one.function);
                *changed.entry(name.trim_end().to_owned()).or_default() += 1;
            }
        }
    }
    changed
}

/// The parts of the files that both trees have and that differ, and of the code that the other one
/// lacks: it may have moved into a file of its own.
pub fn parts(tree: &dyn Tree, other: &dyn Tree, facts: &Facts) -> Result<Parts> {
    let there = other.entries().keys();
    let there = there.map(|path| (in_layout(&path.to_string()), path));
    let there: BTreeMap<String, &RepoPath> = there.collect();
    let mut all = Parts::new();
    for (path, entry) in tree.entries() {
        let (name, shown) = (String::from_utf8_lossy(path.name()), path.to_string());
        let ending = name.rsplit('.').next().unwrap_or_default();
        let copied = facts.get(&format!("copy:{}", in_layout(&shown)));
        // What a module defines runs where it is imported, though the import alone does nothing.
        let is_idle = |fact: &Fact| fact.has(IDLE) && !facts.reached.contains(path);
        let is_code = is_one_of("py sh", ending) && !copied.is_some_and(is_idle);
        let is_data = copied.is_some() && !is_one_of("md py sh", ending);
        let is_read = is_one_of(READ, &name) || name.to_lowercase().contains("dockerfile");
        let is_test = name.starts_with("test_") || shown.starts_with("tests/");
        let is_large = entry.size.is_some_and(|size| size > LARGEST as u64);
        let is_aside = is_read || is_test || is_large || name.starts_with('.');
        let own = in_layout(&shown);
        let other_path = there.get(&own);
        let is_wanted = is_code || is_data && other_path.is_some();
        if is_aside || !is_wanted || !entry.mode.is_file() {
            continue;
        }
        let content = tree.read(path)?;
        let is_same = match other_path {
            Some(path) => other.read(path)? == content,
            None => false,
        };
        if !is_same && content.len() <= LARGEST && !content.contains(&0) {
            let source = Source::new(path.clone(), &content);
            let read = if ending == "py" { statements } else { lines };
            all.insert(own, read(&source));
        }
    }
    Ok(all)
}

/// The lines of a script or of data, without comments of scripts.
fn lines(source: &Source) -> Vec<Statement> {
    let all = source.text.lines().map(str::trim).zip(1..);
    let all = all.filter(|(text, _)| !text.is_empty() && !text.starts_with('#'));
    let line = |(text, number): (&str, usize)| Statement {
        function: String::new(),
        text: text.to_owned(),
        place: Place {
            line: number,
            ..Place::start_of(&source.path)
        },
        last_line: number,
    };
    all.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge;
    use super::*;
    use xtask_core::tree::Memory;

    const HANDLER: &str = "import runpod\nimport time\n\n\ndef handler(job):\n    for _ in range(5):\n        time.sleep(1)\n    return {'output': job['input']['prompt']}\n\n\nrunpod.serverless.start({'handler': handler})\n";

    fn worker(handler: &str, start: &str, chat: &str) -> Memory {
        Memory::new()
            .with(
                "Dockerfile",
                "FROM python:3.11\nCOPY . /\nCMD [\"/start.sh\"]\n",
            )
            .with("handler.py", handler)
            .with("start.sh", start)
            .with("chat.jinja", chat)
    }

    fn noted(old: &Memory, new: &Memory) -> Option<String> {
        let facts = [old, new].map(|tree| Facts::read(tree).unwrap());
        let items = judge(&facts[0], &facts[1]);
        note((old, None), &facts[0], new, &items).unwrap()
    }

    #[test]
    fn what_changes_no_fact_is_named() {
        let start = "#!/bin/bash\nsleep 5\nexec python3 /handler.py\n";
        let old = worker(HANDLER, start, "{{ messages }}\n");
        assert_eq!(noted(&old, &old), None);
        let said = |new: &Memory| noted(&old, new).unwrap_or_default();
        let patient = HANDLER.replace("range(5)", "range(50)");
        assert!(
            said(&worker(&patient, start, "{{ messages }}\n")).starts_with(
                "1 change of code or data is not judged, as no fact is about it: `handler.py handler`."
            )
        );
        let once = HANDLER.replace("sleep(1)\n", "sleep(1)\n        break\n");
        let once = said(&worker(&once, start, "{{ messages }}\n"));
        assert!(once.starts_with("1 change "), "{once}");
        let shell = start.replace("sleep 5", "sleep 50");
        let both = said(&worker(HANDLER, &shell, "{{ messages[0] }}\n"));
        assert!(both.contains("2 changes"), "{both}");
        assert!(both.contains("`chat.jinja`, `start.sh`"), "{both}");
    }

    /// A told line of the old file says nothing of the line of that number in the new one.
    #[test]
    fn told_lines_are_those_of_one_worker() {
        let old = "import runpod\n\n\ndef handler(job):\n    text = job['input']['prompt']\n    return {'output': text}\n\n\nrunpod.serverless.start({'handler': handler})\n";
        let new = old.replace(
            "    text = job['input']['prompt']\n",
            "    wait(60)\n    text = job['input']['text']\n",
        );
        let [old, new] = [old, &*new].map(|text| worker(text, "x\n", "x\n"));
        assert!(
            noted(&old, &new)
                .unwrap_or_default()
                .starts_with("1 change ")
        );
    }

    #[test]
    fn data_below_src_counts_as_the_image_has_it() {
        let with = |text: &str| {
            Memory::new()
                .with(
                    "Dockerfile",
                    "FROM python:3.11\nCOPY src /src\nCMD [\"python3\", \"/src/handler.py\"]\n",
                )
                .with("src/handler.py", HANDLER)
                .with("src/chat.jinja", text)
        };
        let said = noted(&with("{{ a }}\n"), &with("{{ b }}\n"));
        assert!(said.unwrap_or_default().contains("`chat.jinja`"));
    }

    /// A module that only defines things runs where it is imported, and nowhere else.
    #[test]
    fn functions_of_an_imported_module_count() {
        let with = |import: &str, seconds: u8| {
            let module = format!("import time\n\n\ndef pause():\n    time.sleep({seconds})\n");
            Memory::new()
                .with(
                    "Dockerfile",
                    "FROM python:3.11\nCOPY *.py /\nCMD [\"python3\", \"/handler.py\"]\n",
                )
                .with("handler.py", format!("{import}\n{HANDLER}"))
                .with("pause.py", module)
        };
        let said = |import: &str| noted(&with(import, 5), &with(import, 50)).unwrap_or_default();
        assert!(said("from pause import pause\npause()").contains("`pause.py pause`"));
        assert_eq!(said(""), "");
    }

    #[test]
    fn what_is_told_as_a_fact_or_moved_is_not_named() {
        let old = worker(HANDLER, "exec python3 /handler.py\n", "x\n");
        let key = HANDLER.replace("['prompt']", "['text']");
        let lost = worker(&key, "exec python3 /handler.py\n", "x\n");
        assert_eq!(noted(&old, &lost), None);
        let comment = HANDLER.replace("    for", "    # why\n    for");
        let same = worker(&comment, "# how\nexec python3 /handler.py\n", "x\n");
        assert_eq!(noted(&old, &same), None);
        let helper =
            "import time\n\n\ndef pause():\n    for _ in range(5):\n        time.sleep(1)\n";
        let moved = HANDLER.replace("    for _ in range(5):\n        time.sleep(1)\n", "");
        let moved = worker(&moved, "exec python3 /handler.py\n", "x\n").with("pause.py", helper);
        assert_eq!(noted(&old, &moved), None);
    }
}
