//! What compare has to say before `outdated/` goes: whether anything is open, and whether
//! `.xtask/baseline.json` can speak for the old worker from then on.
//!
//! Pure: the committed tree goes in, so that nothing which git does not know has a say.

use anyhow::Result;

use super::accepted::Accepted;
use super::baseline;
use super::entries;
use super::facts::{Fact, Facts, area_of};
use super::judge::{Item, few};
use super::own_changes::{OwnChanges, judge_all};
use worker_files::is_one_of;
use xtask_core::layout::{BASELINE, OUTDATED};
use xtask_core::records;
use xtask_core::tree::{Part, Tree};

#[derive(Debug)]
pub struct CleanupGate {
    /// Facts that nobody has decided on: the first of each entry.
    pub open: Vec<Item>,
    /// Why the baseline can't stand for `outdated/`, where it can't.
    pub baseline: Option<Unfit>,
    pub accepted: Accepted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub why: String,
    /// Whether nothing of it can be taken over into the next one.
    pub is_unreadable: bool,
}

/// Looks at a tree that still has `outdated/`.
pub fn look(tree: &dyn Tree) -> Result<CleanupGate> {
    let outdated = Part::below(tree, OUTDATED);
    let rest = Part::without(tree, OUTDATED);
    let record = records::read(tree, BASELINE)?;
    let record = record.map(|(bytes, _)| baseline::read(&String::from_utf8_lossy(&bytes)));
    let mut old = Facts::read(&outdated)?;
    let why = match &record {
        None => Some("is not committed".to_owned()),
        Some(Err(error)) => Some(format!("can't be read: {error:#}")),
        Some(Ok(record)) if record.facts.is_older => {
            Some("was made by an older reader, which saw less than this one".to_owned())
        }
        Some(Ok(record)) => lacking(&record.facts, &old, &outdated),
    };
    let is_unreadable = matches!(record, Some(Err(_)));
    let unfit = why.map(|why| Unfit { why, is_unreadable });
    let record = record.and_then(Result::ok).unwrap_or_default();
    old.complete(record.facts, &outdated);
    let base = record.base;
    let accepted = Accepted::of_tree(tree)?;
    let new = Facts::read(&rest)?;
    let mut open = judge_all(&old, base.as_ref(), &new, &rest)?;
    accepted.apply(&mut open);
    open.retain(|item| item.open);
    Ok(CleanupGate {
        open: by_cause(open, base.as_ref()),
        baseline: unfit,
        accepted,
    })
}

/// The first fact of each entry, with what goes with it: one reason answers for all of them.
fn by_cause(mut open: Vec<Item>, base: Option<&OwnChanges>) -> Vec<Item> {
    let first = entries::of(&open, base).into_iter().filter_map(|entry| {
        let at = open.iter().position(|item| item.id == entry.id)?;
        let mut item = open.swap_remove(at);
        if let [_, more @ ..] = entry.members.as_slice()
            && !more.is_empty()
        {
            item.why += &format!(" With it: {}.", few(more, 3));
        }
        Some(item)
    });
    first.collect()
}

/// What the record lacks of the old worker's facts. The record may know a fact from more files than
/// the folder has, because some stayed at the root and some were removed. If those are code, the
/// folder alone gives other values, so only the ids are compared.
fn lacking(record: &Facts, old: &Facts, outdated: &dyn Tree) -> Option<String> {
    let from_there = |fact: &Fact| {
        let mut files = fact.places.iter().map(|place| &place.file);
        files.all(|file| outdated.entries().contains_key(file))
    };
    let is_part = record.has_code_beside(outdated);
    let is_kept = |id: &str, fact: &Fact| match record.get(id) {
        Some(kept) => is_part || kept.differing(fact).next().is_none() || !from_there(kept),
        None => is_part && is_one_of("step flag", area_of(id)),
    };
    let missing = old.all.iter().filter(|(id, fact)| !is_kept(id, fact));
    let missing: Vec<&str> = missing.map(|(id, _)| id.as_str()).collect();
    let ids = few(&missing, 3);
    (!missing.is_empty()).then(|| format!("does not hold what {OUTDATED}/ says of {ids}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xtask_core::layout::ACCEPTED;
    use xtask_core::tree::Memory;

    const OLD: &str = "import os\nA = os.environ.get('A', '1')\nB = os.environ.get('B')\n";
    const NEW: &str = "import os\nA = os.environ.get('A', '1')\n";

    fn baseline_of(text: &str) -> String {
        let tree = Memory::new().with("src/handler.py", text);
        let exposed = crate::Exposed::read(&tree).unwrap();
        exposed.baseline("the old one", None, None).0
    }

    fn accepted(entries: &str) -> String {
        format!("{{\"version\": 1, \"accepted\": [{entries}]}}")
    }

    fn tree(baseline: Option<String>, accepted: &str) -> Memory {
        let tree = Memory::new()
            .with("outdated/src/handler.py", OLD)
            .with("handler.py", NEW)
            .with(ACCEPTED, accepted);
        match baseline {
            Some(text) => tree.with(BASELINE, text),
            None => tree,
        }
    }

    fn open(gate: &CleanupGate) -> Vec<&str> {
        gate.open.iter().map(|item| item.id.as_str()).collect()
    }

    #[test]
    fn what_is_open() {
        let none = look(&tree(Some(baseline_of(OLD)), &accepted(""))).unwrap();
        assert_eq!(open(&none), ["env:B"]);
        assert_eq!(none.baseline, None);
        let given =
            accepted(r#"{"fact": "env:B", "reason": "r"}, {"fact": "env:C", "reason": "r"}"#);
        let some = look(&tree(Some(baseline_of(OLD)), &given)).unwrap();
        assert!(some.open.is_empty());
        assert_eq!(some.baseline, None);
    }

    #[test]
    fn a_baseline_has_to_hold_all_that_the_files_say() {
        let unfit = |baseline| look(&tree(baseline, &accepted(""))).unwrap().baseline;
        let why = |baseline| unfit(baseline).map(|unfit| unfit.why);
        assert_eq!(why(None).unwrap(), "is not committed");
        assert_eq!(
            why(Some(baseline_of(NEW))).unwrap(),
            "does not hold what outdated/ says of env:B"
        );
        let other = OLD.replace("'1'", "'2'");
        assert_eq!(
            why(Some(baseline_of(&other))).unwrap(),
            "does not hold what outdated/ says of env:A"
        );
        // What the record knows beyond the files has to be settled as well.
        let more = format!("{OLD}C = os.environ.get('C')\n");
        let gate = look(&tree(Some(baseline_of(&more)), &accepted(""))).unwrap();
        assert_eq!(open(&gate), ["env:B", "env:C"]);
        assert_eq!(gate.baseline, None);
        let broken = unfit(Some("{".to_owned())).unwrap();
        assert!(broken.is_unreadable && broken.why.contains("can't be read"));
        assert!(!unfit(None).unwrap().is_unreadable);
    }

    #[test]
    fn a_script_that_stayed_at_the_root_is_no_lack() {
        let engine = "import os, subprocess\ncommand = ['/launch.sh', '--model-path', os.environ['M']]\nsubprocess.Popen(command)\n";
        let script = "#!/bin/bash\nexec python3 -m sglang.launch_server --host 0.0.0.0 \"$@\"\n";
        let dockerfile = "FROM python:3.11\nCOPY launch.sh /launch.sh\nCOPY src /src\nRUN chmod +x /launch.sh\nCMD [\"python3\", \"/src/handler.py\"]\n";
        let legacy = Memory::new()
            .with("src/handler.py", engine)
            .with("Dockerfile", dockerfile)
            .with("launch.sh", script);
        let exposed = crate::Exposed::read(&legacy).unwrap();
        let tree = Memory::new()
            .with("outdated/src/handler.py", engine)
            .with("outdated/Dockerfile", dockerfile)
            .with("launch.sh", script)
            .with("handler.py", engine)
            .with(
                "Dockerfile",
                dockerfile
                    .replace("src/", "")
                    .replace("COPY src /src", "COPY handler.py /src/"),
            )
            .with(BASELINE, exposed.baseline("x", None, None).0);
        let gate = look(&tree).unwrap();
        assert_eq!(gate.baseline, None);
        assert!(
            !open(&gate)
                .iter()
                .any(|id| id.starts_with("step:") || id.starts_with("env:")),
            "{:?}",
            open(&gate)
        );
    }

    #[test]
    fn what_the_old_worker_kept_elsewhere_is_known_from_the_record() {
        let legacy = Memory::new().with("src/handler.py", OLD).with(
            "README.md",
            "| Variable | Default |\n| --- | --- |\n| `B` | 1 |\n",
        );
        let (text, _) = crate::Exposed::read(&legacy)
            .unwrap()
            .baseline("x", None, None);
        let gate = look(&tree(Some(text), &accepted(""))).unwrap();
        assert_eq!(gate.baseline, None);
        assert!(open(&gate).contains(&"env:B"));
    }
}
