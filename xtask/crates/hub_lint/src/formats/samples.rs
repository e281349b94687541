//! Findings to print in tests.

use super::Sources;
use crate::finding::{Finding, Location, Safety};
use crate::rule::{Rule, Severity};
use worker_files::Source;

pub const TEXT: &str = "{\n  \"ä\": \"x\",\n  \"typ\": 100%\n}\n";

pub static RULE: Rule = Rule {
    code: "TST001",
    name: "a-sample",
    severity: Severity::Error,
    summary: "A sample",
};

pub fn add(sources: &mut Sources, path: &str, text: &str) {
    let source = Source::new(path.into(), text.as_bytes());
    sources.insert(path.into(), source);
}

pub fn finding() -> (Vec<Finding>, Sources) {
    let mut sources = Sources::new();
    add(&mut sources, ".runpod/hub.json", TEXT);
    let at = TEXT.find("\"typ\"").unwrap();
    let finding = Finding {
        rule: &RULE,
        severity: Severity::Error,
        message: "there is no key `typ`, 100%\r\nsure".to_owned(),
        place: Location::new(".runpod/hub.json", at..at + 5),
        related: Vec::new(),
        help: Vec::new(),
        fix: None,
    }
    .related(Location::new(".runpod/hub.json", 4..8), "beside this")
    .help("did you mean `type`?")
    .fix(
        Safety::Safe,
        "write it",
        [(at + 1..at + 4, "type".to_owned())],
    );
    (vec![finding], sources)
}
